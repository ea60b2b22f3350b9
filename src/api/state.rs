//! What every handler may reach: the engine, once it has recovered, and the edge's own settings.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::Method;
use axum::http::request::Parts;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::engine::{Engine, Shed, Sheds};
use crate::model::Limits;

use super::fan::Fans;
use super::headers as names;
use super::metrics::Requests;
use super::problem::{Problem, ProblemType};
use super::room::{ConnectionRooms, Room};

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
    /// How long a body may take at all, and nothing of it come; beyond that it is to come at some rate.
    pub body_patience: Duration,
    /// What all request bodies together may hold in memory, in bytes; beyond it 503.
    pub bodies_bytes_max: usize,
    /// What all pages on their way to readers may hold in memory, in bytes; beyond it readers wait.
    pub pages_bytes_max: usize,
    /// Requests in hand; beyond it 503. Live reads have a bound of their own.
    pub requests_max: usize,
    /// Prefix of the streams that are also served at the root: empty, or a path that ends with `/`. `None`: none are.
    pub root_mount: Option<String>,
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            token: None,
            long_poll: Duration::from_secs(20),
            heartbeat: Duration::from_secs(15),
            sse_rotation: Duration::from_secs(60),
            ack_timeout: Duration::from_secs(30),
            body_patience: Duration::from_secs(30),
            bodies_bytes_max: 256 << 20,
            pages_bytes_max: 512 << 20,
            requests_max: Limits::default().requests_max,
            root_mount: None,
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
    places: Arc<Semaphore>,
    body_room: Room,
    page_room: Room,
    sheds: Arc<Sheds>,
    fans: Fans,
    ready: watch::Sender<bool>,
}

impl Api {
    pub fn new(settings: ApiSettings) -> Self {
        let sheds = Arc::new(Sheds::default());
        Self(Arc::new(Inner {
            engine: OnceLock::new(),
            requests: Requests::default(),
            places: Arc::new(Semaphore::new(settings.requests_max)),
            body_room: Room::new(Shed::Bodies, settings.bodies_bytes_max, sheds.clone()),
            page_room: Room::new(Shed::Pages, settings.pages_bytes_max, sheds.clone()),
            sheds,
            fans: Fans::default(),
            ready: watch::Sender::new(false),
            settings,
        }))
    }

    /// Lets requests through from now on. Only the first engine counts.
    pub fn serve_from(&self, engine: Engine) {
        let _ = self.0.engine.set(engine);
        self.0.ready.send_replace(true);
    }

    pub fn settings(&self) -> &ApiSettings {
        &self.0.settings
    }

    pub fn requests(&self) -> &Requests {
        &self.0.requests
    }

    /// A place among the requests in hand. Without waiting: a queue in front of the queue only makes everyone late.
    pub fn place(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.0.places.clone().try_acquire_owned().map_err(|_| {
            self.0.sheds.count(Shed::Requests);
            Problem::new(ProblemType::Busy, "too many requests are in hand").retry_after(Duration::from_secs(1))
        })
    }

    /// What request bodies may hold, for whom is served now.
    pub fn body_room(&self) -> Room {
        self.0.body_room.here()
    }

    /// What pages on their way may hold, for whom is served now.
    pub fn page_room(&self) -> Room {
        self.0.page_room.here()
    }

    /// What the requests of a new connection may hold, where they share it.
    pub fn connection_rooms(&self) -> ConnectionRooms {
        ConnectionRooms::new(&self.0.body_room, &self.0.page_room)
    }

    /// Live readers that are served together.
    pub fn fans(&self) -> &Fans {
        &self.0.fans
    }

    /// What the edge has turned away; the engine counts its own.
    pub fn sheds(&self) -> &Sheds {
        &self.0.sheds
    }

    /// `None` while recovering.
    pub fn engine(&self) -> Option<&Engine> {
        self.0.engine.get()
    }

    /// The engine; refused until it has recovered.
    pub fn recovered(&self) -> Result<&Engine, Problem> {
        self.engine().ok_or_else(|| {
            Problem::new(ProblemType::Recovering, "the log is being recovered").retry_after(Duration::from_secs(1))
        })
    }
}

impl FromRequestParts<Api> for Engine {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        // An EventSource gives up for good on any refusal, so it is kept waiting instead.
        if wants_events(parts) {
            let _ = api.0.ready.subscribe().wait_for(|ready| *ready).await;
        }
        api.recovered().cloned()
    }
}

fn wants_events(parts: &Parts) -> bool {
    parts.method == Method::GET && names::accepts(&parts.headers, names::EVENT_STREAM)
}

impl FromRef<Api> for ApiSettings {
    fn from_ref(api: &Api) -> Self {
        api.settings().clone()
    }
}
