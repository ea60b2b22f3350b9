//! A server of this process that can stop and come back on the same directory and the same port.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use keyfold::config::{ServeArgs, ServerSettings, StoreKind};
use keyfold::server::{self, Running};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::http::{Answer, Call};

/// The stream that a case writes; its path has a slash on purpose.
pub const STREAM: &str = "eq/case";

pub struct Server {
    pub address: SocketAddr,
    settings: ServeArgs,
    running: Mutex<Option<Running>>,
    _data: tempfile::TempDir,
}

/// What a case wants of its server.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub store: StoreKind,
    pub segment_bytes: u64,
    pub page_bytes_max: usize,
    pub stream_idle_ms: u64,
}

/// Protocol SSE rotates more often than anyone may ask for, so that every case sees it.
fn checked(settings: &ServeArgs) -> Result<ServerSettings, String> {
    let mut settings = settings.clone().settings().map_err(|e| e.to_string())?;
    settings.api.sse_rotation = Duration::from_millis(400);
    Ok(settings)
}

impl Server {
    pub async fn start(shape: Shape) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut settings = ServeArgs {
            host: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            data_dir: Some(data.path().to_owned()),
            store: Some(shape.store),
            segment_bytes: Some(shape.segment_bytes),
            page_bytes_max: Some(shape.page_bytes_max),
            stream_idle_ms: Some(shape.stream_idle_ms),
            long_poll_ms: Some(150),
            heartbeat_ms: Some(100),
            ..ServeArgs::default()
        };
        // Below the ports that outgoing connections take, so that nobody sits on ours while the server is away.
        static NEXT: AtomicU16 = AtomicU16::new(0);
        for _ in 0..200 {
            let spread = (std::process::id() % 100) as u16 * 100;
            let port = 20_000 + (spread + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
            settings.port = Some(port);
            match server::start(checked(&settings).unwrap()).await {
                Ok(running) => {
                    let address = running.address;
                    return Self { address, settings, running: Mutex::new(Some(running)), _data: data };
                }
                Err(server::ServerError::Listen { .. }) => {}
                Err(error) => panic!("the server does not start: {error}"),
            }
        }
        panic!("no free port");
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops it, leaves it away for a moment, and starts it again.
    pub async fn restart(&self, away: Duration) -> Result<(), String> {
        let mut running = self.running.lock().await;
        if let Some(running) = running.take() {
            let begun = std::time::Instant::now();
            running.stop().await.map_err(|e| format!("stopping: {e}"))?;
            if begun.elapsed() > Duration::from_secs(8) {
                return Err(format!("stopping took {:?}", begun.elapsed()));
            }
        }
        tokio::time::sleep(away).await;
        let settings = checked(&self.settings)?;
        *running = Some(server::start(settings).await.map_err(|e| format!("starting again: {e}"))?);
        Ok(())
    }

    pub async fn stop(&self) {
        if let Some(running) = self.running.lock().await.take() {
            let _ = running.stop().await;
        }
    }

    pub fn call(&self, method: &str, target: &str) -> Call {
        Call::new(self.address, method, target)
    }

    /// The protocol's URL of the stream, with a query.
    pub fn stream(&self, method: &str, query: &str) -> Call {
        self.call(method, &format!("/v1/stream/{STREAM}{query}"))
    }

    /// A resource of the stream below `/-/`.
    pub fn resource(&self, method: &str, resource: &str) -> Call {
        self.call(method, &format!("/v1/state/{STREAM}/-/{resource}"))
    }

    /// Registers the schema and binds the stream to it.
    pub async fn bind(&self, reads: &str) {
        self.register().await;
        let binding = json!({"pattern": "eq/**", "subject": "eq", "reads": reads});
        let bound = self.call("PUT", "/v1/bindings/eq").json(&binding).answer().await.unwrap();
        assert!(bound.status < 300, "{bound:?}");
    }

    pub async fn register(&self) {
        let collection = |entity_type: &str, key_type: &str, more: Value| {
            let mut collection = json!({"type": entity_type, "primaryKey": "id", "schema": {
                "type": "object",
                "required": ["id", "n"],
                "properties": {"id": {"type": key_type}, "n": {"type": "integer"}, "v": {"type": "integer"},
                    "pad": {"type": "string"}},
            }});
            collection.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            collection
        };
        let document = json!({"collections": {
            "jobs": collection("job", "string", json!({})),
            "counts": collection("count", "integer", json!({})),
            "notes": collection("note", "string", json!({"versionField": "v"})),
            "locks": collection("lock", "string", json!({"strict": true})),
        }});
        let registered = self.call("POST", "/v1/schemas/eq/versions").json(&document).answer().await.unwrap();
        assert_eq!(registered.status, 201, "{registered:?}");
    }

    /// The tail, as `HEAD` tells it.
    pub async fn tail(&self) -> Result<String, String> {
        let answer: Answer = self.stream("HEAD", "").open_head().await?;
        answer.header("stream-next-offset").map(str::to_owned).ok_or_else(|| format!("no tail in {answer:?}"))
    }
}

impl Call {
    /// An answer that has no body, whatever its length says.
    pub async fn open_head(&self) -> Result<Answer, String> {
        let incoming = self.open(super::http::Temper::STEADY).await.map_err(|e| e.to_string())?;
        Ok(Answer::headless(incoming.status, incoming.headers))
    }
}
