//! What holds for every request: who may ask, from where, and what browsers must know of the answer.
//!
//! The token guards everything but health, public keys and what the token of a wake guards; a missing or wrong one is 401 and never 403, which producers take for a
//! fenced epoch. Sources: PROTOCOL.md §12.7; the Fetch standard for CORS.

use std::sync::LazyLock;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::CorsLayer;

use super::problem::{Problem, ProblemType};
use super::routes::subscriptions;
use super::state::Api;
use super::{encoding, headers as names, multiplex};

/// Wraps the routes in what every answer needs.
pub fn guard(routes: Router, api: Api) -> Router {
    let guarded = routes
        .layer(middleware::from_fn_with_state(api.clone(), authorise))
        .layer(CatchPanicLayer::custom(|panic: Box<dyn std::any::Any + Send>| caught(&*panic)))
        .layer(cors());
    encoding::compress(guarded).layer(middleware::from_fn_with_state(api, finish))
}

/// What a request is answered whose handler panicked.
pub(super) fn caught(panic: &(dyn std::any::Any + Send)) -> Response {
    let reason = panic.downcast_ref::<String>().map(String::as_str);
    let reason = reason.or(panic.downcast_ref::<&str>().copied()).unwrap_or("unknown");
    tracing::error!(panic = reason, "a request failed in a way that it should not have");
    Problem::new(ProblemType::Internal, "a fault of the server; it has been logged").into_response()
}

/// What is done to every answer; one step, since each costs every request.
///
/// Counts the request and, where the log asks for it, tells of it: no bodies, no tokens, no query.
async fn finish(State(api): State<Api>, request: Request, next: Next) -> Response {
    let (method, path, version) = (request.method().clone(), request.uri().path().to_owned(), request.version());
    let asked = encoding::Asked::by(&request);
    let began = tokio::time::Instant::now();
    let response = answer(&api, request, next).await;
    let (status, took) = (response.status(), began.elapsed());
    let mut response = asked.finish(response);
    browser_headers(response.headers_mut());
    api.requests().answered(&method, status, took);
    tell(&method, &path, status, took);
    multiplex::share(version, response)
}

/// One line of the log for an answer, where the log asks for it.
pub(super) fn tell(method: &Method, path: &str, status: StatusCode, took: Duration) {
    tracing::debug!(
        http.method = %method,
        http.path = path,
        http.status = status.as_u16(),
        duration_us = took.as_micros() as u64,
        "answered"
    );
}

/// Answers, unless too many others are waiting for their answers.
async fn answer(api: &Api, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    // Operators look when there is too much of something; and a long-poll waits by design, among the live readers.
    let free = path == "/metrics" || is_health(path) || is_live(&request);
    let place = match free {
        true => None,
        false => match api.place() {
            Ok(place) => Some(place),
            Err(problem) => return problem.into_response(),
        },
    };
    let response = next.run(request).await;
    drop(place);
    response
}

fn is_health(path: &str) -> bool {
    path == "/health" || path.starts_with("/health/")
}

pub(super) fn is_live<B>(request: &axum::http::Request<B>) -> bool {
    request.method() == Method::GET
        && request.uri().query().is_some_and(|query| query.split('&').any(|part| part.starts_with("live=")))
}

async fn authorise(State(api): State<Api>, request: Request, next: Next) -> Response {
    match refusal(&api, &request) {
        Some(problem) => problem.into_response(),
        None => next.run(request).await,
    }
}

/// Why a request without the token is not answered.
pub(super) fn refusal<B>(api: &Api, request: &axum::http::Request<B>) -> Option<Problem> {
    let token = api.settings().token.as_deref()?;
    let path = request.uri().path();
    if is_health(path) || subscriptions::has_its_own_guard(request.method(), path) {
        return None;
    }
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given =
        given.and_then(|text| text.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let fits = given.is_some_and(|(_, given)| bool::from(given.trim().as_bytes().ct_eq(token.as_bytes())));
    (!fits).then(|| {
        Problem::new(ProblemType::Unauthorized, "send `Authorization: Bearer <token>`")
            .with(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    })
}

pub(super) fn browser_headers(headers: &mut HeaderMap) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(names::CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept, Accept-Encoding, Origin"));
}

/// What [`cors`] adds to every answer but those to preflights; its `Vary` is among [`browser_headers`].
pub(super) fn cors_headers(headers: &mut HeaderMap) {
    static EXPOSED: LazyLock<HeaderValue> = LazyLock::new(|| {
        let list: Vec<String> = exposed().iter().map(ToString::to_string).collect();
        names::value(list.join(","))
    });
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED.clone());
}

fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(tower_http::cors::Any)
        .allow_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
            Method::OPTIONS,
        ])
        // By name: `*` does not cover Authorization.
        .allow_headers([
            header::CONTENT_TYPE,
            header::AUTHORIZATION,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            names::LAST_EVENT_ID,
            names::PRODUCER_ID,
            names::PRODUCER_EPOCH,
            names::PRODUCER_SEQ,
            names::STREAM_SEQ,
            names::STREAM_CLOSED,
            names::STREAM_TTL,
            names::STREAM_EXPIRES_AT,
            names::STREAM_SCHEMA,
            names::STREAM_FORKED_FROM,
            names::STREAM_FORK_OFFSET,
            names::STREAM_FORK_SUB_OFFSET,
        ])
        .expose_headers(exposed())
        .max_age(Duration::from_secs(24 * 3600))
}

fn exposed() -> Vec<HeaderName> {
    vec![
        names::STREAM_NEXT_OFFSET,
        names::STREAM_CURSOR,
        names::STREAM_UP_TO_DATE,
        names::STREAM_CLOSED,
        names::STREAM_TTL,
        names::STREAM_EXPIRES_AT,
        names::STREAM_SSE_DATA_ENCODING,
        names::STREAM_SCHEMA,
        names::PRODUCER_EPOCH,
        names::PRODUCER_SEQ,
        names::PRODUCER_EXPECTED_SEQ,
        names::PRODUCER_RECEIVED_SEQ,
        names::DEPRECATION,
        names::SUNSET,
        header::ETAG,
        header::LOCATION,
        header::RETRY_AFTER,
        header::CONTENT_ENCODING,
    ]
}
