//! A stream's schema changes while it is in use: through the real router, on a journal on a simulated disk.

mod defaults;
mod migrations;
mod storms;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use http_body_util::BodyExt;
use keyfold::api::{Api, ApiSettings, router};
use keyfold::engine::{Engine, Settings};
use keyfold::runtime::Clock;
use keyfold::storage::disk::SimDisk;
use keyfold::storage::{Journal, JournalOptions};
use serde_json::{Value, json};
use tower::ServiceExt;

/// A server on a disk, with its migrations running.
pub struct World {
    pub disk: SimDisk,
    pub engine: Engine,
    pub router: Router,
    migrator: tokio::task::JoinHandle<()>,
    running: std::sync::Weak<Journal>,
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    pub fn problem(&self) -> String {
        let kind = self.json()["type"].as_str().unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned();
        assert_eq!(self.json()["written"], "no", "{self:?}");
        kind
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub async fn send(router: &Router, method: &str, path: &str, headers: &[(&str, &str)], body: Value) -> Reply {
    let mut request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    let response = router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    Reply { status: head.status.as_u16(), headers: head.headers, text }
}

impl World {
    pub fn start(disk: SimDisk) -> Self {
        let clock = Clock::system();
        let options = JournalOptions { segment_bytes: 64 << 10, ..JournalOptions::new(clock.clone()) };
        let store = Journal::open(Arc::new(disk.clone()), options).unwrap();
        let running = Arc::downgrade(&store);
        let engine = Engine::start(store, clock, Settings::default()).unwrap();
        let api = Api::new(ApiSettings::default());
        api.serve_from(engine.clone());
        let migrator = tokio::spawn(engine.clone().migrate());
        Self { disk, engine, router: router(api), migrator, running }
    }

    /// With both versions of `people` registered, and `t/**` bound to the first.
    pub async fn bound(settings: Value) -> Self {
        let world = Self::start(SimDisk::new());
        world.ok("POST", "/v1/schemas/people/versions", first_version()).await;
        world.ok("POST", "/v1/schemas/people/versions?compatibility=none", second_version()).await;
        let mut binding = json!({"pattern": "t/**", "subject": "people", "version": 1});
        binding.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        world.ok("PUT", "/v1/bindings/t", binding).await;
        world
    }

    /// The power goes; what was not synced may be gone.
    pub async fn crashed(self, seed: u64) -> Self {
        let disk = self.disk.clone();
        let running = self.running.clone();
        self.stop().await;
        disk.cut_power_after(0);
        // What still runs of the process must not reach the disk of the next one.
        while running.strong_count() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        disk.power_loss(seed);
        Self::start(disk)
    }

    pub async fn stop(self) {
        self.engine.begin_stop();
        self.migrator.await.unwrap();
    }

    pub async fn ask(&self, method: &str, path: &str, body: Value) -> Reply {
        send(&self.router, method, path, &[], body).await
    }

    pub async fn ok(&self, method: &str, path: &str, body: Value) -> Value {
        let reply = self.ask(method, path, body).await;
        assert!((200..300).contains(&reply.status), "{method} {path}: {reply:?}");
        if reply.text.is_empty() { Value::Null } else { reply.json() }
    }

    pub async fn get(&self, path: &str) -> Value {
        self.ok("GET", path, Value::Null).await
    }

    pub async fn put(&self, key: &str, value: Value) -> Value {
        self.ok("PUT", &format!("/v1/state/t/a/-/entities/person/{key}"), value).await
    }

    pub async fn entity(&self, key: &str) -> Value {
        self.get(&format!("/v1/state/t/a/-/entities/person/{key}")).await
    }

    /// Waits until a migration rests.
    pub async fn rested(&self, id: u64) -> Value {
        let since = Instant::now();
        loop {
            let found = self.get(&format!("/v1/state/t/a/-/migrations/{id}")).await;
            if found["state"] != "running" {
                return found;
            }
            assert!(since.elapsed() < Duration::from_secs(30), "it does not end: {found}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Every stored message.
    pub async fn log(&self) -> Vec<Value> {
        let (mut from, mut all) = ("-1".to_owned(), Vec::new());
        loop {
            let reply = self.ask("GET", &format!("/v1/stream/t/a?offset={from}"), Value::Null).await;
            assert_eq!(reply.status, 200, "{reply:?}");
            all.extend(reply.json().as_array().unwrap().iter().cloned());
            if reply.header("stream-up-to-date") == "true" {
                return all;
            }
            from = reply.header("stream-next-offset").to_owned();
        }
    }

    /// What lives, as the server's own snapshot has it.
    pub async fn people(&self) -> BTreeMap<String, Value> {
        let snapshot = self.get("/v1/state/t/a/-/snapshot").await;
        let people = snapshot["collections"]["people"].as_object().unwrap();
        people.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}

/// What lives after these messages.
pub fn fold<'m>(messages: impl IntoIterator<Item = &'m Value>) -> BTreeMap<String, Value> {
    let mut live = BTreeMap::new();
    for message in messages {
        let key = message["key"].as_str().unwrap().to_owned();
        match message["headers"]["operation"].as_str().unwrap() {
            "delete" => drop(live.remove(&key)),
            _ => drop(live.insert(key, message["value"].clone())),
        }
    }
    live
}

fn document(properties: Value, required: &[&str]) -> Value {
    let schema =
        json!({"type": "object", "additionalProperties": false, "required": required, "properties": properties});
    json!({"collections": {"people": {"type": "person", "primaryKey": "id", "versionField": "rev", "schema": schema}}})
}

/// `{id, first, n, rev?, old?}`
pub fn first_version() -> Value {
    let properties = json!({"id": {"type": "string"}, "first": {"type": "string"}, "n": {"type": "integer"},
        "rev": {"type": "integer"}, "old": {}});
    document(properties, &["id", "first"])
}

/// `{id, name, n, state, rev?, nick?}`: `first` is called `name`, `state` is new, `old` is gone.
pub fn second_version() -> Value {
    let properties = json!({"id": {"type": "string"}, "name": {"type": "string", "minLength": 1},
        "n": {"type": "integer"}, "rev": {"type": "integer"}, "state": {"enum": ["new", "seen"], "default": "new"},
        "nick": {"type": "string", "default": "-"}});
    document(properties, &["id", "name", "state"])
}

/// From the first version to the second.
pub fn steps() -> Value {
    json!({"people": [
        {"rename": {"from": "first", "to": "/name"}},
        {"default": {"path": "/state", "value": "new"}},
        {"drop": "/old"},
    ]})
}

pub fn ask(steps: Value) -> Value {
    json!({"to": {"version": 2}, "steps": steps})
}

pub const MIGRATIONS: &str = "/v1/state/t/a/-/migrations";
