//! The service itself: what is here, whether it is well, and its description.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::problem::{Problem, ProblemType};
use super::super::state::Api;
use super::super::{metrics, openapi};

/// What is here.
#[derive(Debug, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct ServiceReply {
    pub service: String,
    pub version: String,
    pub links: LinksBody,
}

/// Where to go on.
#[derive(Debug, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct LinksBody {
    pub streams: String,
    pub state: String,
    pub schemas: String,
    pub bindings: String,
    pub openapi: String,
    pub docs: String,
    pub health: String,
    pub metrics: String,
}

/// Whether the service is well.
#[derive(Debug, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct HealthReply {
    /// `ready`, or why it is not: `recovering`, `full`, `failed` or `stopping`.
    pub status: String,
    pub version: String,
}

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/", get(root))
        .route("/health", get(ready))
        .route("/health/ready", get(ready))
        .route("/health/live", get(live))
        .route("/metrics", get(metrics::scrape))
        .route("/openapi.json", get(openapi::whole))
        .route("/api/openapi.json", get(openapi::whole))
}

/// What is here: a service document, or the docs page for a browser.
#[utoipa::path(get, path = "/", tag = "operations", responses((status = 200, body = ServiceReply)))]
pub async fn root(head: HeaderMap) -> Response {
    let accept = head.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.starts_with("text/html") {
        return axum::response::Redirect::temporary("/docs/").into_response();
    }
    let links = LinksBody {
        streams: "/v1/stream/{path}".into(),
        state: "/v1/state".into(),
        schemas: "/v1/schemas".into(),
        bindings: "/v1/bindings".into(),
        openapi: "/openapi.json".into(),
        docs: "/docs".into(),
        health: "/health".into(),
        metrics: "/metrics".into(),
    };
    Json(ServiceReply { service: "keyfold".into(), version: env!("CARGO_PKG_VERSION").into(), links }).into_response()
}

/// Whether reads and writes are served.
#[utoipa::path(get, path = "/health", tag = "operations",
    responses((status = 200, body = HealthReply), (status = 503, body = super::super::problem::ProblemBody),
        (status = 507, body = super::super::problem::ProblemBody)))]
pub async fn ready(State(api): State<Api>) -> Result<Response, Problem> {
    let Some(engine) = api.engine() else {
        return Err(Problem::new(ProblemType::Recovering, "the log is being recovered")
            .retry_after(std::time::Duration::from_secs(1)));
    };
    if *engine.stopping().borrow() {
        return Err(Problem::new(ProblemType::Stopping, "the server is stopping"));
    }
    match engine.health() {
        crate::engine::Health::Ready => Ok(reply("ready").into_response()),
        crate::engine::Health::Full => {
            Err(Problem::new(ProblemType::DiskFull, "the disk is full: reads are served, writes are refused"))
        }
        crate::engine::Health::Failed => {
            Err(Problem::new(ProblemType::Stopping, "a barrier failed: restart the server once the disk is well"))
        }
    }
}

/// Whether the process answers at all.
#[utoipa::path(get, path = "/health/live", tag = "operations", responses((status = 200, body = HealthReply)))]
pub async fn live() -> Response {
    (StatusCode::OK, reply("live")).into_response()
}

fn reply(status: &str) -> Json<HealthReply> {
    Json(HealthReply { status: status.into(), version: env!("CARGO_PKG_VERSION").into() })
}
