//! One file per resource: a handler takes typed arguments, makes one call and turns the answer into a reply.

pub mod changes;
pub mod compatibility;
pub mod confluent;
pub mod entities;
pub mod history;
pub mod inspect;
pub mod life;
pub mod migrations;
pub mod registry;
pub mod root;
pub mod service;
pub mod state;
pub mod stream;
pub mod subscriptions;

use axum::Router;
use axum::routing::{any, get, post, put};

use super::problem::{Problem, ProblemType};
use super::state::Api;

/// Every route of the API.
pub fn all() -> Router<Api> {
    Router::new()
        .route("/v1/stream/__ds", any(subscriptions::dispatch))
        .route("/v1/stream/__ds/{*path}", any(subscriptions::dispatch))
        .route("/v1/stream/{*path}", any(stream::dispatch))
        .route("/v1/state", get(inspect::list))
        .route("/v1/state/{*path}", any(state::dispatch))
        .route("/v1/schemas", get(registry::subjects))
        .route("/v1/schemas/{subject}", get(registry::subject).delete(life::delete_subject))
        .route("/v1/schemas/{subject}/versions", post(registry::register).get(registry::versions))
        .route("/v1/schemas/{subject}/versions/{version}", get(registry::version).delete(life::delete_version))
        .route("/v1/schemas/{subject}/versions/{version}/state", get(life::state).put(life::set_state))
        .route("/v1/schemas/{subject}/versions/{version}/referenced-by", get(life::referenced_by))
        .route("/v1/schemas/{subject}/compatibility", post(compatibility::judge))
        .route(
            "/v1/schemas/{subject}/config",
            get(compatibility::config).put(compatibility::configure).delete(compatibility::unconfigure),
        )
        .route(
            "/v1/schema-config",
            get(compatibility::global).put(compatibility::configure_all).delete(compatibility::unconfigure_all),
        )
        .route(confluent::PREFIX, any(confluent::dispatch))
        .route("/v1/confluent/{*path}", any(confluent::dispatch))
        .route("/v1/bindings", get(registry::bindings))
        .route("/v1/bindings/{name}", put(registry::bind).get(registry::binding).delete(registry::unbind))
        .merge(service::routes())
        .fallback(root::dispatch)
        .method_not_allowed_fallback(|| async {
            Problem::new(ProblemType::MethodNotAllowed, "see /openapi.json for the methods of this path")
        })
}
