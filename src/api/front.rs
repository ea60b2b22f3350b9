//! The door in front of the router: what is asked most goes straight to its handler.
//!
//! Appends and reads of `/v1/stream/{path}` are nearly all that a server is asked, and the router's layers cost such a
//! request more than everything else that is done for it. So this door does what the layers do, by the same functions, in
//! one step: guard, count, headers for browsers, a fault that is caught. Whatever it does not know goes through the
//! router. Its invariant: an answer is the same through either way, which a test compares; only that a refused append is
//! never compressed here.

use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::{HeaderMap, Method, header};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use tokio::time::Instant;

use crate::engine::Engine;

use super::encoding::Asked;
use super::extract::{Query, StreamPath, WholeBody};
use super::multiplex;
use super::problem::Problem;
use super::routes::stream;
use super::security;
use super::splice::Outgoing;
use super::state::Api;

/// All of the service, for one connection.
#[derive(Clone)]
pub struct Front {
    api: Api,
    router: TowerToHyperService<Router>,
    outgoing: Outgoing,
}

type Answer = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

impl Front {
    pub fn new(api: Api, router: Router) -> Self {
        Self { api, router: TowerToHyperService::new(router), outgoing: Outgoing::default() }
    }

    /// For a further connection; what its socket is to send from files.
    pub fn connect(&self) -> (Self, Outgoing) {
        let outgoing = Outgoing::default();
        (Self { outgoing: outgoing.clone(), ..self.clone() }, outgoing)
    }
}

impl Service<Request<Incoming>> for Front {
    type Response = Response;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        match is_known(request.method(), request.uri().path(), request.headers()) {
            true => {
                let (outgoing, version) = (self.outgoing.clone(), request.version());
                let answer = answer(self.api.clone(), request.map(Body::new));
                Box::pin(answer.map(move |response| Ok(outgoing.splice(version, response))))
            }
            false => Box::pin(self.router.call(request)),
        }
    }
}

/// An append, or a read that nobody asks to have compressed.
fn is_known(method: &Method, path: &str, headers: &HeaderMap) -> bool {
    let is_stream = path
        .strip_prefix("/v1/stream/")
        .is_some_and(|rest| !rest.is_empty() && rest != "__ds" && !rest.starts_with("__ds/"));
    let plain = || !headers.contains_key(header::ACCEPT_ENCODING);
    is_stream && (method == Method::POST || (method == Method::GET && plain()))
}

/// What [`security::guard`] and the route do, in the same order.
async fn answer(api: Api, request: Request) -> Response {
    let (method, version) = (request.method().clone(), request.version());
    let path = tracing::enabled!(tracing::Level::DEBUG).then(|| request.uri().path().to_owned());
    let asked = (method == Method::GET).then(|| Asked::by(&request));
    let began = Instant::now();
    let handled = AssertUnwindSafe(handle(&api, request)).catch_unwind().await;
    let response = handled.unwrap_or_else(|panic| security::caught(&*panic));
    let (status, took) = (response.status(), began.elapsed());
    let mut response = match asked {
        Some(asked) => asked.finish(response),
        None => response,
    };
    security::cors_headers(response.headers_mut());
    security::browser_headers(response.headers_mut());
    api.requests().answered(&method, status, took);
    if let Some(path) = path {
        security::tell(&method, &path, status, took);
    }
    multiplex::share(version, response)
}

async fn handle(api: &Api, request: Request) -> Response {
    let place = match security::is_live(&request) {
        true => None,
        false => match api.place() {
            Ok(place) => Some(place),
            Err(problem) => return problem.into_response(),
        },
    };
    if let Some(problem) = security::refusal(api, &request) {
        return problem.into_response();
    }
    let response = serve(api, request).await.unwrap_or_else(Problem::into_response);
    drop(place);
    response
}

async fn serve(api: &Api, request: Request) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let engine = Engine::from_request_parts(&mut parts, api).await?;
    let path = StreamPath::from_request_parts(&mut parts, api).await?;
    if parts.method == Method::GET {
        let query = Query::parse(parts.uri.query());
        return stream::read(engine, api, path, query, parts.headers).await;
    }
    let head = std::mem::take(&mut parts.headers);
    let body = WholeBody::from_request(Request::from_parts(parts, body), api).await?;
    stream::append(engine, path, head, body).await
}
