//! The HTTP edge: typed arguments in, one call of the engine, its answer out.
//!
//! Header names live in [`headers`], statuses in [`problem`]; nothing here decides what is allowed, and nothing here
//! knows how bytes are stored. Every refusal is `application/problem+json` that says whether anything was written.

pub mod body;
pub mod deprecation;
pub mod encoding;
pub mod events;
pub mod extract;
pub mod front;
pub mod headers;
pub mod ingest;
pub mod live;
pub mod metrics;
pub mod multiplex;
pub mod openapi;
pub mod problem;
pub mod room;
pub mod routes;
pub mod security;
pub mod snapshot;
pub mod splice;
pub mod state;
pub mod view;

use axum::Router;

pub use problem::{Problem, ProblemType};
pub use state::{Api, ApiSettings};

/// The whole service. Answers 503 until [`Api::serve_from`] gives it an engine.
pub fn router(api: Api) -> Router {
    security::guard(routes::all().merge(crate::console::routes()).with_state(api.clone()), api)
}
