//! The door in front of the router: what is asked most goes straight to its handler.
//!
//! Appends and reads of `/v1/stream/{path}` are nearly all that a server is asked, and the router's layers cost such a
//! request more than everything else that is done for it. So this door does what the layers do, by the same functions, in
//! one step: guard, count, headers for browsers, a fault that is caught. Whatever it does not know goes through the
//! router. Its invariant: an answer is the same through either way, which a test compares. Only an append differs in two
//! things: a refusal is never compressed here, and where no `Origin` says that a browser asks for a page of another site,
//! the answer lacks what only that browser would read. Answers to `POST` are not cached, so nobody else is shown it.

use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, Request};
use axum::http::{HeaderMap, Method, Version, header};
use axum::response::{IntoResponse, Response};
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
use super::state::Api;

/// All of the service, for one connection.
#[derive(Clone)]
pub struct Front {
    api: Api,
    router: TowerToHyperService<Router>,
}

impl Front {
    pub fn new(api: Api, router: Router) -> Self {
        Self { api, router: TowerToHyperService::new(router) }
    }
}

impl Service<Request<Incoming>> for Front {
    type Response = Response;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        if !is_known(request.method(), request.uri().path(), request.headers()) {
            return Answer::Routed(Box::pin(self.router.call(request)));
        }
        let finish = Finish::of(&self.api, &request);
        let api = self.api.clone();
        // Each its own future: one that could be either would be as large as the larger, and is moved about.
        let work: Work = match *request.method() {
            Method::POST => Box::pin(append(api, request)),
            _ => Box::pin(read(api, request.map(Body::new))),
        };
        Answer::Known { work, finish }
    }
}

type Work = Pin<Box<dyn Future<Output = Response> + Send>>;

/// An answer on its way.
pub enum Answer {
    Known { work: Work, finish: Finish },
    Routed(Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>),
}

impl Future for Answer {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Routed(answer) => answer.as_mut().poll(cx),
            Self::Known { work, finish } => {
                let response = match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
                    Ok(answer) => ready!(answer),
                    Err(panic) => security::caught(&*panic),
                };
                Poll::Ready(Ok(finish.finish(response)))
            }
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

/// What is done to every answer.
pub struct Finish {
    api: Api,
    version: Version,
    began: Instant,
    /// Whether a browser asks for a page of another site, or may be shown what somebody else asked for.
    shared: bool,
    /// What a read says of representations; `None` for an append.
    asked: Option<Asked>,
    /// Where the log tells of it.
    path: Option<String>,
}

impl Finish {
    fn of<B>(api: &Api, request: &Request<B>) -> Self {
        let reads = request.method() == Method::GET;
        Self {
            api: api.clone(),
            version: request.version(),
            began: Instant::now(),
            shared: reads || request.headers().contains_key(header::ORIGIN),
            asked: reads.then(|| Asked::by(request)),
            path: tracing::enabled!(tracing::Level::DEBUG).then(|| request.uri().path().to_owned()),
        }
    }

    /// What [`security::guard`] does once its routes have answered, in the same order.
    fn finish(&mut self, response: Response) -> Response {
        let (status, took) = (response.status(), self.began.elapsed());
        let (method, mut response) = match self.asked.take() {
            Some(asked) => (Method::GET, asked.finish(response)),
            None => (Method::POST, response),
        };
        let headers = response.headers_mut();
        if self.shared {
            security::cors_headers(headers);
        }
        security::browser_headers(headers);
        if !self.shared {
            headers.remove(header::VARY);
        }
        self.api.requests().answered(&method, status, took);
        if let Some(path) = &self.path {
            security::tell(&method, path, status, took);
        }
        multiplex::share(self.version, response)
    }
}

async fn append(api: Api, request: Request<Incoming>) -> Response {
    appended(api, request).await.unwrap_or_else(Problem::into_response)
}

async fn appended(api: Api, request: Request<Incoming>) -> Result<Response, Problem> {
    let _place = api.place()?;
    security::refusal(&api, &request).map_or(Ok(()), Err)?;
    let engine = api.recovered()?.clone();
    let (parts, body) = request.into_parts();
    let path = StreamPath::of(&parts.uri)?;
    let body = WholeBody::collect(body, &api).await?;
    stream::append(engine, path, parts.headers, body).await
}

async fn read(api: Api, request: Request) -> Response {
    let answer = async {
        // A long-poll waits by design, among the live readers.
        let _place = if security::is_live(&request) { None } else { Some(api.place()?) };
        security::refusal(&api, &request).map_or(Ok(()), Err)?;
        let (mut parts, _) = request.into_parts();
        let engine = Engine::from_request_parts(&mut parts, &api).await?;
        let path = StreamPath::of(&parts.uri)?;
        let query = Query::parse(parts.uri.query());
        stream::read(engine, &api, path, query, parts.headers).await
    };
    answer.await.unwrap_or_else(Problem::into_response)
}
