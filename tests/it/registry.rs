//! The registry through the real router: what fits, what may be taken away, what a restart finds.
//!
//! On a journal on a simulated disk, so that a restart reads what is on the disk and nothing else.

mod confluent;
mod life;
mod model;
mod verdict;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request};
use http_body_util::BodyExt;
use keyfold::api::{Api, ApiSettings, router};
use keyfold::engine::{Engine, Settings};
use keyfold::model::Timestamp;
use keyfold::runtime::Clock;
use keyfold::storage::disk::SimDisk;
use keyfold::storage::{Journal, JournalOptions};
use serde_json::{Value, json};
use tower::ServiceExt;

/// A server in this process, on a disk that outlives it.
struct World {
    clock: Clock,
    disk: SimDisk,
    engine: Engine,
    router: Router,
}

#[derive(Debug)]
struct Reply {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The last part of a problem's type.
    fn problem(&self) -> String {
        let body = self.json();
        body["type"].as_str().unwrap_or_default().rsplit('/').next().unwrap().to_owned()
    }
}

fn start(disk: &SimDisk, clock: &Clock) -> (Engine, Router) {
    let options = JournalOptions { segment_bytes: 1 << 20, ..JournalOptions::new(clock.clone()) };
    let store = Journal::open(Arc::new(disk.clone()), options).unwrap();
    let engine = Engine::start(store, clock.clone(), Settings::default()).unwrap();
    let api = Api::new(ApiSettings::default());
    api.serve_from(engine.clone());
    (engine, router(api))
}

impl World {
    fn new() -> Self {
        let clock = Clock::manual(Timestamp::from_millis(1_800_000_000_000));
        let disk = SimDisk::default();
        let (engine, router) = start(&disk, &clock);
        Self { clock, disk, engine, router }
    }

    /// Stops and starts again on what is on the disk.
    fn restart(&mut self) {
        self.engine.close();
        (self.engine, self.router) = start(&self.disk, &self.clock);
    }

    async fn send_as(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Value) -> Reply {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = if body.is_null() {
            Body::empty()
        } else {
            request = request.header("content-type", "application/json");
            Body::from(body.to_string())
        };
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Reply { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    async fn send(&self, method: &str, path: &str, body: Value) -> Reply {
        self.send_as(method, path, &[], body).await
    }

    async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, Value::Null).await
    }

    #[track_caller]
    fn expect(reply: &Reply, status: u16) {
        assert_eq!(reply.status, status, "{}", String::from_utf8_lossy(&reply.body));
    }

    /// Sends what must be answered with this status.
    async fn ask(&self, method: &str, path: &str, body: Value, status: u16) -> Reply {
        let reply = self.send(method, path, body).await;
        assert_eq!(reply.status, status, "{method} {path}: {}", String::from_utf8_lossy(&reply.body));
        reply
    }

    async fn register(&self, subject: &str, document: Value) -> Reply {
        self.send("POST", &format!("/v1/schemas/{subject}/versions"), document).await
    }

    /// Registers whatever it is compared with.
    async fn force(&self, subject: &str, document: Value) -> u64 {
        let path = format!("/v1/schemas/{subject}/versions?compatibility=none");
        let reply = self.send("POST", &path, document).await;
        assert!(matches!(reply.status, 200 | 201), "{}", String::from_utf8_lossy(&reply.body));
        reply.json()["version"].as_u64().unwrap()
    }

    async fn bind(&self, name: &str, pattern: &str, subject: &str) {
        let body = json!({ "pattern": pattern, "subject": subject });
        let reply = self.send("PUT", &format!("/v1/bindings/{name}"), body).await;
        assert!(matches!(reply.status, 200 | 201), "{}", String::from_utf8_lossy(&reply.body));
    }

    async fn put(&self, stream: &str, value: Value) -> Reply {
        let key = value["id"].as_str().unwrap().to_owned();
        self.send("PUT", &format!("/v1/state/{stream}/-/entities/t/{key}"), value).await
    }
}

/// One collection `c` of type `t` with the key `id` and these properties, of which some are required.
fn document(properties: Value, required: &[&str]) -> Value {
    let mut all = json!({ "id": { "type": "string" } });
    all.as_object_mut().unwrap().extend(properties.as_object().unwrap().clone());
    let required: Vec<&str> = ["id"].iter().chain(required).copied().collect();
    json!({ "collections": { "c": { "type": "t", "primaryKey": "id",
        "schema": { "type": "object", "required": required, "properties": all } } } })
}

/// A document with one property more than that of a smaller number.
fn widened(nth: usize) -> Value {
    let properties = (0..nth).map(|n| (format!("p{n}"), json!({ "type": "string" }))).collect();
    document(Value::Object(properties), &[])
}

#[tokio::test]
async fn a_restart_finds_the_registry_as_it_was() {
    let mut world = World::new();
    world.force("s", widened(0)).await;
    world.force("s", widened(1)).await;
    let refers = json!({
        "collections": { "c": { "type": "t", "primaryKey": "id", "schema": { "type": "object", "required": ["id"],
            "properties": { "id": { "type": "string" }, "s": { "$ref": "s.json" } } } } },
        "references": [{ "name": "s.json", "subject": "s", "version": 1 }] });
    world.force("r", refers).await;
    world.bind("b", "b/**", "r").await;
    world.ask("PUT", "/v1/schema-config", json!({ "compatibility": "FULL" }), 200).await;
    world.ask("PUT", "/v1/schemas/s/config", json!({ "content_model": "closed" }), 200).await;
    world.ask("PUT", "/v1/schemas/s/versions/1/state", json!({ "state": "deprecated" }), 200).await;
    world.ask("DELETE", "/v1/schemas/s/versions/2", Value::Null, 200).await;
    let look = async |world: &World| {
        let mut seen = Vec::new();
        for path in [
            "/v1/schemas?deleted=true",
            "/v1/schemas/s/versions?deleted=true",
            "/v1/schemas/s/versions/1",
            "/v1/schemas/s/versions/1/referenced-by",
            "/v1/schemas/r/versions/1",
            "/v1/schemas/s/config",
            "/v1/schema-config",
            "/v1/bindings",
            "/v1/confluent/schemas?deleted=true",
        ] {
            seen.push(world.ask("GET", path, Value::Null, 200).await.json());
        }
        seen
    };
    let before = look(&world).await;
    world.restart();
    assert_eq!(look(&world).await, before);
    // What it refers to is there, compiled.
    World::expect(&world.put("b/1", json!({ "id": "1", "s": { "id": "x" } })).await, 200);
    World::expect(&world.put("b/1", json!({ "id": "1", "s": {} })).await, 422);
}
