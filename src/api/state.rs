//! What every handler may reach: the engine, once it has recovered, and the edge's own settings.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;

use crate::engine::Engine;

use super::metrics::Requests;
use super::problem::{Problem, ProblemType};

/// Settings of the edge.
#[derive(Clone, Debug)]
pub struct ApiSettings {
    /// Guards everything but health when set.
    pub token: Option<String>,
    /// How long a long-poll waits for data.
    pub long_poll: Duration,
    /// Longest silence on a live connection.
    pub heartbeat: Duration,
    /// About how long a protocol SSE response lasts before its reader is made to reconnect.
    pub sse_rotation: Duration,
    /// How long acknowledgements of an ingest may stay unread.
    pub ack_timeout: Duration,
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            token: None,
            long_poll: Duration::from_secs(20),
            heartbeat: Duration::from_secs(15),
            sse_rotation: Duration::from_secs(60),
            ack_timeout: Duration::from_secs(30),
        }
    }
}

/// State of the router. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

struct Inner {
    engine: OnceLock<Engine>,
    settings: ApiSettings,
    requests: Requests,
}

impl Api {
    pub fn new(settings: ApiSettings) -> Self {
        Self(Arc::new(Inner { engine: OnceLock::new(), settings, requests: Requests::default() }))
    }

    /// Lets requests through from now on. Only the first engine counts.
    pub fn serve_from(&self, engine: Engine) {
        let _ = self.0.engine.set(engine);
    }

    pub fn settings(&self) -> &ApiSettings {
        &self.0.settings
    }

    pub fn requests(&self) -> &Requests {
        &self.0.requests
    }

    /// `None` while recovering.
    pub fn engine(&self) -> Option<&Engine> {
        self.0.engine.get()
    }
}

impl FromRequestParts<Api> for Engine {
    type Rejection = Problem;

    async fn from_request_parts(_: &mut Parts, api: &Api) -> Result<Self, Problem> {
        api.engine().cloned().ok_or_else(|| {
            Problem::new(ProblemType::Recovering, "the log is being recovered").retry_after(Duration::from_secs(1))
        })
    }
}

impl FromRef<Api> for ApiSettings {
    fn from_ref(api: &Api) -> Self {
        api.settings().clone()
    }
}
