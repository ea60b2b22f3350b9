//! Those who write while the server is killed. Each knows what it was told, and what may be there afterwards.

mod expiry;
mod fork;
mod ingest;
mod lifecycle;
mod plain;
mod producer;
mod quarantine;
mod reader;
mod registry;
mod subscription;
mod typed;

use fastrand::Rng;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use crate::http::{Cut, Http};

/// One writer, alone responsible for some streams, keys, names or subjects.
pub trait Writer: Send {
    /// Makes one write and notes the answer.
    fn step<'a>(&'a mut self, http: &'a Http, rng: &'a mut Rng) -> BoxFuture<'a, Result<(), Cut>>;

    /// Compares what is there with what it was told, after a restart and before anything else is written.
    fn check<'a>(&'a mut self, http: &'a Http, rng: &'a mut Rng) -> BoxFuture<'a, ()>;
}

/// Makes what the writers rest on; the server is not killed meanwhile.
pub async fn prepare(http: &Http) {
    let put = async |path: &str, kind: &str| {
        let sent = http.send("PUT", path, &[("content-type", kind)], "").await;
        sent.expect("the server is up").expect(&[201]);
    };
    put("/v1/stream/plain/json", "application/json").await;
    put("/v1/stream/plain/bytes", "application/octet-stream").await;
    put("/v1/stream/plain/produced", "application/json").await;
    let document = document(0);
    http.json("POST", "/v1/schemas/crash/versions", &document).await.expect("the server is up").expect(&[201]);
    for (name, validation) in [("typed", "reject"), ("aside", "quarantine")] {
        let pattern = format!("{name}/**");
        let binding = json!({"pattern": pattern, "subject": "crash", "validation": validation});
        let path = format!("/v1/bindings/{name}");
        http.json("PUT", &path, &binding).await.expect("the server is up").expect(&[201]);
    }
}

pub fn all() -> Vec<Box<dyn Writer>> {
    vec![
        Box::new(plain::Json::new("a")),
        Box::new(plain::Json::new("b")),
        Box::new(plain::Raw::default()),
        Box::new(producer::Producer::new("p", "plain/produced")),
        Box::new(producer::Producer::new("q", "plain/produced")),
        Box::new(producer::Producer::new("r", "typed/shared")),
        Box::new(typed::Typed::new("t", "typed/shared")),
        Box::new(typed::Typed::new("u", "typed/shared")),
        Box::new(typed::Typed::new("v", "typed/own")),
        Box::new(ingest::Ingest::new("i", "typed/shared")),
        Box::new(quarantine::Quarantine::default()),
        Box::new(lifecycle::Lifecycle::new("one")),
        Box::new(lifecycle::Lifecycle::new("two")),
        Box::new(registry::Registry::default()),
        Box::new(fork::Fork::new("one")),
        Box::new(fork::Fork::new("two")),
        Box::new(expiry::Expiry::default()),
        Box::new(subscription::Worker::default()),
        Box::new(reader::Follower::new("plain/json", "sse")),
        Box::new(reader::Follower::new("plain/produced", "long-poll")),
        Box::new(reader::Mirror::new("typed/shared")),
        Box::new(reader::Mirror::new("typed/own")),
    ]
}

/// Only writers whose streams come and go, so that whole segments are given back.
pub fn fleeting() -> Vec<Box<dyn Writer>> {
    vec![
        Box::new(lifecycle::Lifecycle::large("one")),
        Box::new(lifecycle::Lifecycle::large("two")),
        Box::new(lifecycle::Lifecycle::new("three")),
        Box::new(fork::Fork::new("one")),
        Box::new(expiry::Expiry::default()),
    ]
}

/// A document with one collection; `more` says how many members it allows beyond the first two.
fn document(more: usize) -> Value {
    let mut properties = json!({"id": {"type": "string"}, "n": {"type": "integer"}});
    for extra in 0..more {
        properties[format!("more{extra}")] = json!({"type": "string"});
    }
    let schema = json!({"type": "object", "required": ["id", "n"], "properties": properties});
    json!({"collections": {"items": {"type": "item", "primaryKey": "id", "schema": schema}}})
}

fn upsert(key: &str, value: &Value) -> Value {
    json!({"type": "item", "key": key, "value": value, "headers": {"operation": "upsert"}})
}

fn delete(key: &str) -> Value {
    json!({"type": "item", "key": key, "headers": {"operation": "delete"}})
}

/// A stored change as its writer thinks of it: the key, and the value unless it was deleted.
type Change = (String, Option<Value>);

fn change(message: &Value) -> Change {
    let key = message["key"].as_str().expect("a change has a key").to_owned();
    let deleted = message["headers"]["operation"] == "delete";
    assert_eq!(message.get("value").is_none(), deleted, "{message}");
    (key, message.get("value").cloned())
}

/// The changes of a typed stream whose keys begin with `prefix`.
async fn changes(http: &Http, stream: &str, prefix: &str) -> Vec<Change> {
    let (messages, _) = http.messages(stream, "-1").await;
    messages.iter().map(change).filter(|(key, _)| key.starts_with(prefix)).collect()
}

/// Mostly small, sometimes as large as a small segment.
fn padding(rng: &mut Rng) -> String {
    let size = match rng.u8(..) {
        0..3 => rng.usize(10_000..70_000),
        3..30 => rng.usize(1_000..4_000),
        _ => rng.usize(0..300),
    };
    std::iter::repeat_with(|| rng.alphanumeric()).take(size).collect()
}
