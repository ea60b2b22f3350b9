//! What subscriptions promise: through the real router and the running dispatcher, on a store that outlives them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::BodyExt;
use keyfold::api::{Api, ApiSettings, router};
use keyfold::engine::subscriptions::{Courier, DeliveryFault, PublicKey, SubscriptionSettings};
use keyfold::engine::{Engine, Settings};
use keyfold::model::Timestamp;
use keyfold::runtime::Clock;
use keyfold::storage::{Journal, JournalOptions, MemoryStore, SharedStore};
use keyfold::subscription::WebhookUrl;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tower::ServiceExt;

use super::engine::Gated;

/// A courier that keeps what it is given, and answers as it is told.
struct Post {
    sent: Mutex<Vec<Value>>,
    answers: Mutex<VecDeque<Result<bool, String>>>,
    /// What deliveries wait for before they are answered.
    gate: Semaphore,
    key: PublicKey,
    on_the_way: AtomicUsize,
}

impl Post {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            sent: Mutex::default(),
            answers: Mutex::default(),
            gate: Semaphore::new(1_000),
            key: PublicKey { kid: "ds_test".into(), bytes: [7; 32] },
            on_the_way: AtomicUsize::new(0),
        })
    }

    fn answers(&self, answers: impl IntoIterator<Item = Result<bool, &'static str>>) {
        self.answers.lock().extend(answers.into_iter().map(|answer| answer.map_err(str::to_owned)));
    }

    fn sent(&self) -> Vec<Value> {
        self.sent.lock().clone()
    }
}

/// What the engine holds: a post that several engines may share.
struct Carrier(Arc<Post>);

impl Courier for Carrier {
    fn key(&self) -> &PublicKey {
        &self.0.key
    }

    fn seal(&self, text: &str) -> String {
        let sum = text.bytes().fold(7u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        format!("{sum:x}")
    }

    fn deliver(&self, _: &WebhookUrl, body: Bytes, _: Timestamp) -> BoxFuture<'static, Result<bool, DeliveryFault>> {
        let post = self.0.clone();
        Box::pin(async move {
            post.on_the_way.fetch_add(1, Ordering::SeqCst);
            post.sent.lock().push(serde_json::from_slice(&body).unwrap());
            post.gate.acquire().await.unwrap().forget();
            let answer = post.answers.lock().pop_front().unwrap_or(Ok(false));
            answer.map_err(DeliveryFault)
        })
    }
}

struct World {
    store: SharedStore,
    clock: Clock,
    settings: SubscriptionSettings,
    token: Option<String>,
    post: Arc<Post>,
    engine: Engine,
    router: Router,
    dispatcher: tokio::task::JoinHandle<()>,
}

impl World {
    fn new() -> Self {
        let clock = Clock::manual(Timestamp::from_millis(1_800_000_000_000));
        Self::on(MemoryStore::new(clock.clone()), clock, SubscriptionSettings::default(), None)
    }

    fn on(store: SharedStore, clock: Clock, settings: SubscriptionSettings, token: Option<String>) -> Self {
        Self::start(store, clock, settings, token, Post::new())
    }

    fn start(
        store: SharedStore,
        clock: Clock,
        settings: SubscriptionSettings,
        token: Option<String>,
        post: Arc<Post>,
    ) -> Self {
        let given = Settings { subscriptions: settings.clone(), ..Settings::default() };
        let engine = Engine::start(store.clone(), clock.clone(), given).unwrap();
        engine.deliver_by(Arc::new(Carrier(post.clone())));
        let api = Api::new(ApiSettings { token: token.clone(), ..ApiSettings::default() });
        api.serve_from(engine.clone());
        let dispatcher = tokio::spawn(engine.clone().dispatch());
        Self { store, clock, settings, token, post, engine, router: router(api), dispatcher }
    }

    /// Another process on the same data. What was on its way is cut.
    async fn restarted(self) -> Self {
        self.engine.begin_stop();
        self.dispatcher.await.unwrap();
        Self::start(self.store, self.clock, self.settings, self.token, self.post)
    }

    async fn call(&self, method: &str, path: &str, token: &str, body: Value) -> (u16, Value) {
        let uri = if path.starts_with('/') { path.to_owned() } else { format!("/v1/stream/{path}") };
        let mut request = Request::builder().method(method).uri(uri);
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let body = match body {
            Value::Null => Body::empty(),
            body => {
                request = request.header("content-type", "application/json");
                Body::from(body.to_string())
            }
        };
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn ok(&self, method: &str, path: &str, token: &str, body: Value) -> Value {
        let (status, reply) = self.call(method, path, token, body.clone()).await;
        assert!((200..300).contains(&status), "{method} {path} {body}: {status} {reply}");
        reply
    }

    async fn refused(&self, method: &str, path: &str, token: &str, body: Value, status: u16, code: &str) -> Value {
        let (given, reply) = self.call(method, path, token, body.clone()).await;
        assert_eq!((given, reply["error"]["code"].as_str()), (status, Some(code)), "{method} {path} {body}: {reply}");
        reply
    }

    /// A stream of JSON with `count` messages more.
    async fn append(&self, stream: &str, count: usize) -> String {
        self.ok("PUT", stream, "", json!([])).await;
        for n in 0..count {
            self.ok("POST", stream, "", json!([n])).await;
        }
        self.tail(stream).await
    }

    async fn tail(&self, stream: &str) -> String {
        let request = Request::head(format!("/v1/stream/{stream}")).body(Body::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        response.headers()["stream-next-offset"].to_str().unwrap().to_owned()
    }

    async fn webhook(&self, id: &str, pattern: &str) -> Value {
        let body = json!({ "type": "webhook", "pattern": pattern, "webhook": { "url": "https://worker.example/" },
            "lease_ttl_ms": 5_000 });
        self.ok("PUT", &sub(id), "", body).await
    }

    async fn pull(&self, id: &str, pattern: &str) -> Value {
        self.append("wake/pool", 0).await;
        let body =
            json!({ "type": "pull-wake", "pattern": pattern, "wake_stream": "wake/pool", "lease_ttl_ms": 5_000 });
        self.ok("PUT", &sub(id), "", body).await
    }

    async fn get(&self, id: &str) -> Value {
        self.ok("GET", &sub(id), "", Value::Null).await
    }

    async fn claim(&self, id: &str, worker: &str) -> Value {
        self.ok("POST", &format!("{}/claim", sub(id)), "", json!({ "worker": worker })).await
    }

    /// Waits for `count` deliveries in all, and gives the last of them.
    async fn delivery(&self, count: usize) -> Value {
        eventually("a delivery", async || self.post.sent().len() >= count).await;
        self.post.sent()[count - 1].clone()
    }

    async fn wake_events(&self) -> Vec<Value> {
        self.ok("GET", "wake/pool?offset=-1", "", Value::Null).await.as_array().unwrap().clone()
    }

    async fn acked(&self, id: &str, stream: &str) -> Option<String> {
        let reply = self.get(id).await;
        let link = reply["streams"].as_array().unwrap().iter().find(|link| link["path"] == stream)?.clone();
        Some(link["acked_offset"].as_str().unwrap().to_owned())
    }
}

fn sub(id: &str) -> String {
    format!("__ds/subscriptions/{id}")
}

fn done(wake: &Value, acks: &[(&str, &str)]) -> Value {
    let acks: Vec<Value> =
        acks.iter().map(|(stream, offset)| json!({ "stream": stream, "offset": offset })).collect();
    json!({ "wake_id": wake["wake_id"], "generation": wake["generation"], "acks": acks, "done": true })
}

fn token(wake: &Value) -> &str {
    wake["callback_token"].as_str().or(wake["token"].as_str()).unwrap()
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..200 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what} did not come");
}

/// Long enough for everything that is due to happen, and for what is not due to show that it happened.
async fn a_while() {
    tokio::time::sleep(Duration::from_millis(400)).await;
}

#[tokio::test]
async fn an_equal_configuration_is_confirmed_and_another_refused() {
    let world = World::new();
    let body = json!({ "type": "webhook", "pattern": "/events/*", "streams": ["b", "/a", "a"],
        "webhook": { "url": "https://Worker.example:443/x" } });
    let (status, made) = world.call("PUT", &sub("s"), "", body).await;
    assert_eq!((status, &made["status"], &made["lease_ttl_ms"]), (201, &json!("active"), &json!(30_000)));
    assert_eq!(made["webhook"]["signing"]["alg"], "ed25519");
    let same = json!({ "type": "webhook", "pattern": "events/*", "streams": ["a", "b"], "lease_ttl_ms": 30_000,
        "webhook": { "url": "https://worker.example/x" }, "wake_stream": null });
    assert_eq!(world.call("PUT", &sub("s"), "", same.clone()).await.0, 200);
    for (member, value) in [
        ("description", json!("d")),
        ("lease_ttl_ms", json!(1_000)),
        ("pattern", json!("events/**")),
        ("streams", json!(["a"])),
        ("webhook", json!({ "url": "https://worker.example/y" })),
    ] {
        let mut other = same.clone();
        other[member] = value;
        world.refused("PUT", &sub("s"), "", other, 409, "SUBSCRIPTION_ALREADY_EXISTS").await;
    }
    // What was added later is not part of the configuration.
    world.ok("POST", &format!("{}/streams", sub("s")), "", json!({ "streams": ["c"] })).await;
    assert_eq!(world.call("PUT", &sub("s"), "", same).await.0, 200);
}

#[tokio::test]
async fn requests_that_mean_nothing_are_refused() {
    let world = World::new();
    world.pull("p", "e/*").await;
    world.webhook("h", "e/*").await;
    let id = sub("x");
    for body in [
        json!({}),
        json!({ "type": "webhook", "pattern": "a" }),
        json!({ "type": "pull-wake", "pattern": "a" }),
        json!({ "type": "pull-wake", "wake_stream": "w" }),
        json!({ "type": "pull-wake", "wake_stream": "w", "pattern": "a", "lease_ttl_ms": 999 }),
        json!({ "type": "pull-wake", "wake_stream": "w", "pattern": "a", "lease_ttl_ms": 1.5 }),
        json!({ "type": "pull-wake", "wake_stream": "w", "pattern": "a**" }),
        json!({ "type": "pull-wake", "wake_stream": "__ds/x", "pattern": "a" }),
        json!({ "type": "pull-wake", "wake_stream": "w", "streams": [7] }),
    ] {
        world.refused("PUT", &id, "", body, 400, "INVALID_REQUEST").await;
    }
    for url in ["http://10.0.0.1/hook", "http://localhost:1/", "https://user@worker.example/", "https://0x7f000001/"]
    {
        let body = json!({ "type": "webhook", "pattern": "a", "webhook": { "url": url } });
        world.refused("PUT", &id, "", body, 400, "WEBHOOK_URL_REJECTED").await;
    }
    for (method, path) in [("GET", id.clone()), ("DELETE", id.clone()), ("DELETE", format!("{id}/streams/a"))] {
        world.refused(method, &path, "", Value::Null, 404, "SUBSCRIPTION_NOT_FOUND").await;
    }
    let ack = json!({ "wake_id": "w", "generation": 1 });
    world.refused("POST", &format!("{}/ack", sub("p")), "", ack.clone(), 401, "TOKEN_INVALID").await;
    world.refused("POST", &format!("{}/ack", sub("p")), "x", ack.clone(), 401, "TOKEN_INVALID").await;
    // Without a token of it, nobody learns whether there is a subscription, nor of which type.
    for path in [format!("{}/callback", sub("p")), format!("{}/ack", sub("h")), format!("{id}/release")] {
        world.refused("POST", &path, "x", ack.clone(), 401, "TOKEN_INVALID").await;
    }
    let worker = json!({ "worker": "w" });
    world.refused("POST", &format!("{}/claim", sub("h")), "", worker.clone(), 400, "INVALID_REQUEST").await;
    world.refused("POST", &format!("{}/claim", sub("p")), "", worker, 409, "NO_PENDING_WORK").await;
    world.refused("POST", &format!("{}/claim", sub("p")), "", json!({ "worker": "" }), 400, "INVALID_REQUEST").await;
    assert_eq!(world.call("GET", "__ds/other", "", Value::Null).await.0, 404);
    assert_eq!(world.call("PATCH", &sub("p"), "", Value::Null).await.0, 405);
}

#[tokio::test]
async fn the_reserved_prefix_is_no_stream_however_it_is_written() {
    let world = World::new();
    for path in ["__ds", "__ds/x", "_%5Fds/x", "%5f%5fds/subscriptions/x", "__d%73"] {
        let (status, reply) = world.call("PUT", path, "", json!([1])).await;
        assert!(matches!(status, 400 | 404 | 405), "{path}: {status} {reply}");
    }
    world.append("__dsx/y", 1).await;
}

#[tokio::test]
async fn existing_streams_are_linked_at_their_tails_and_later_ones_before_their_first_append() {
    let world = World::new();
    let old = world.append("events/old", 3).await;
    world.append("other/x", 1).await;
    world.webhook("s", "events/*").await;
    a_while().await;
    assert!(world.post.sent().is_empty(), "what was there before was replayed");
    assert_eq!(world.acked("s", "events/old").await, Some(old));
    world.append("events/new", 2).await;
    let wake = world.delivery(1).await;
    assert_eq!(wake["generation"], 1);
    let streams = wake["streams"].as_array().unwrap();
    let new = streams.iter().find(|stream| stream["path"] == "events/new").unwrap();
    assert_eq!((&new["link_type"], &new["has_pending"]), (&json!("glob"), &json!(true)));
    assert!(new["acked_offset"].as_str().unwrap() < new["tail_offset"].as_str().unwrap());
    assert_eq!(streams[0]["path"], "events/new", "pending work comes first");
    assert_eq!(wake["callback_url"], "http://127.0.0.1:4437/v1/stream/__ds/subscriptions/s/callback");
    assert_eq!(world.acked("s", "other/x").await, None);
}

#[tokio::test]
async fn an_explicit_link_leaves_and_the_glob_stays() {
    let world = World::new();
    world.append("events/a", 1).await;
    let extra = world.append("extra/x", 2).await;
    world.webhook("s", "events/*").await;
    let streams = format!("{}/streams", sub("s"));
    let kind = async |stream: &str| {
        let reply = world.get("s").await;
        let link = reply["streams"].as_array().unwrap().iter().find(|link| link["path"] == stream)?.clone();
        Some(link["link_type"].as_str().unwrap().to_owned())
    };
    for _ in 0..2 {
        world.ok("POST", &streams, "", json!({ "streams": ["events/a", "extra/x", "extra/none"] })).await;
    }
    assert_eq!(kind("events/a").await.as_deref(), Some("explicit"));
    assert_eq!(world.acked("s", "extra/x").await, Some(extra));
    for stream in ["events%2Fa", "extra/x", "extra%2Fnone", "extra/x"] {
        world.ok("DELETE", &format!("{streams}/{stream}"), "", Value::Null).await;
    }
    assert_eq!(kind("events/a").await.as_deref(), Some("glob"));
    assert_eq!((kind("extra/x").await, kind("extra/none").await), (None, None));
    world.append("extra/x", 1).await;
    a_while().await;
    assert!(world.post.sent().is_empty(), "a stream that was taken away woke somebody");
}

#[tokio::test]
async fn an_answer_of_done_acks_what_it_was_told_and_no_more() {
    let world = World::new();
    world.webhook("s", "events/*").await;
    world.post.gate.forget_permits(1_000);
    world.post.answers([Ok(true), Ok(true)]);
    world.append("events/a", 1).await;
    let first = world.delivery(1).await;
    // While the webhook is at it.
    let tail = world.append("events/a", 1).await;
    world.post.gate.add_permits(1);
    let second = world.delivery(2).await;
    assert_eq!((&first["generation"], &second["generation"]), (&json!(1), &json!(2)));
    assert_ne!(first["wake_id"], second["wake_id"]);
    assert_eq!(second["streams"][0]["acked_offset"], first["streams"][0]["tail_offset"]);
    assert_eq!(second["streams"][0]["tail_offset"], tail);
    world.post.gate.add_permits(1);
    eventually("the ack", async || world.acked("s", "events/a").await.as_ref() == Some(&tail)).await;
    a_while().await;
    assert_eq!(world.post.sent().len(), 2, "nothing was pending any more");
}

#[tokio::test]
async fn every_stale_part_is_fenced_and_a_forged_token_is_none() {
    let world = World::new();
    world.webhook("s", "events/*").await;
    world.webhook("other", "others/*").await;
    let tail = world.append("events/a", 2).await;
    let wake = world.delivery(1).await;
    let callback = format!("{}/callback", sub("s"));
    let good = done(&wake, &[("events/a", &tail)]);
    for (member, value) in [("generation", json!(2)), ("generation", json!(0)), ("wake_id", json!("w_other"))] {
        let mut stale = good.clone();
        stale[member] = value;
        world.refused("POST", &callback, token(&wake), stale, 409, "FENCED").await;
    }
    let (generation, rest) = token(&wake).split_once('.').unwrap();
    assert_eq!(generation, "1");
    for forged in [format!("2.{rest}"), format!("{}x", token(&wake)), "nonsense".into(), "1.w.".into()] {
        world.refused("POST", &callback, &forged, good.clone(), 401, "TOKEN_INVALID").await;
    }
    for other in ["ack", "release"] {
        let other = format!("{}/{other}", sub("s"));
        world.refused("POST", &other, token(&wake), good.clone(), 400, "INVALID_REQUEST").await;
    }
    let elsewhere = format!("{}/callback", sub("other"));
    world.refused("POST", &elsewhere, token(&wake), good.clone(), 401, "TOKEN_INVALID").await;
    for (stream, offset) in [("events/none", tail.as_str()), ("events/a", "00000000000000ff_0000000000000000")] {
        let body = done(&wake, &[("events/a", &tail), (stream, offset)]);
        world.refused("POST", &callback, token(&wake), body, 409, "INVALID_OFFSET").await;
    }
    for offset in ["-1", "now", "7"] {
        let body = done(&wake, &[("events/a", offset)]);
        world.refused("POST", &callback, token(&wake), body, 400, "INVALID_REQUEST").await;
    }
    assert_eq!(
        world.ok("POST", &callback, token(&wake), good.clone()).await,
        json!({ "ok": true, "next_wake": false })
    );
    assert_eq!(world.acked("s", "events/a").await.as_ref(), Some(&tail));
    world.refused("POST", &callback, token(&wake), good.clone(), 409, "FENCED").await;
    // The next generation does not let the last one's token back in.
    world.append("events/a", 1).await;
    world.delivery(2).await;
    world.refused("POST", &callback, token(&wake), good, 409, "FENCED").await;
}

#[tokio::test]
async fn a_partial_ack_says_that_another_wake_follows() {
    let world = World::new();
    world.webhook("s", "events/*").await;
    let half = world.append("events/a", 1).await;
    let wake = world.delivery(1).await;
    world.append("events/a", 1).await;
    let callback = format!("{}/callback", sub("s"));
    let reply = world.ok("POST", &callback, token(&wake), done(&wake, &[("events/a", &half)])).await;
    assert_eq!(reply, json!({ "ok": true, "next_wake": true }));
    assert_eq!(world.delivery(2).await["streams"][0]["acked_offset"], half);
}

#[tokio::test]
async fn a_lease_that_runs_out_wakes_again_and_callbacks_extend_it() {
    let world = World::new();
    world.webhook("s", "events/*").await;
    let tail = world.append("events/a", 1).await;
    let wake = world.delivery(1).await;
    let callback = format!("{}/callback", sub("s"));
    let mut heartbeat = done(&wake, &[]);
    heartbeat["done"] = json!(false);
    for _ in 0..3 {
        world.clock.advance(Duration::from_secs(4));
        world.ok("POST", &callback, token(&wake), heartbeat.clone()).await;
    }
    world.clock.advance(Duration::from_secs(5));
    world.refused("POST", &callback, token(&wake), heartbeat, 409, "FENCED").await;
    let again = world.delivery(2).await;
    assert_eq!(again["generation"], 2);
    world.ok("POST", &callback, token(&again), done(&again, &[("events/a", &tail)])).await;
    world.clock.advance(Duration::from_secs(60));
    a_while().await;
    assert_eq!(world.post.sent().len(), 2, "without pending work nobody is woken");
}

#[tokio::test]
async fn failed_deliveries_are_tried_again_later_and_later() {
    let world = World::new();
    world.webhook("s", "events/*").await;
    world.post.answers([Err("the webhook answered 500"), Err("the webhook answered 500"), Ok(true)]);
    let tail = world.append("events/a", 1).await;
    world.delivery(1).await;
    eventually("the failure", async || world.get("s").await["status"] == "failed").await;
    let failed = world.get("s").await;
    assert_eq!(failed["last_error"], "the webhook answered 500");
    world.clock.advance(Duration::from_millis(790));
    a_while().await;
    assert_eq!(world.post.sent().len(), 1, "tried again before a second less a fifth");
    world.clock.advance(Duration::from_millis(420));
    let second = world.delivery(2).await;
    assert_eq!(second["wake_id"], world.post.sent()[0]["wake_id"], "within its lease it is the same wake");
    eventually("the next try is set", async || world.get("s").await["next_attempt_at"] != failed["next_attempt_at"])
        .await;
    world.clock.advance(Duration::from_millis(1_590));
    a_while().await;
    assert_eq!(world.post.sent().len(), 2, "the second delay is twice the first");
    world.clock.advance(Duration::from_millis(820));
    world.delivery(3).await;
    eventually("the ack", async || world.acked("s", "events/a").await.as_ref() == Some(&tail)).await;
    assert_eq!(world.get("s").await["status"], "active");
}

#[tokio::test]
async fn one_worker_holds_the_wake_until_it_is_done_or_late() {
    let world = World::new();
    world.pull("s", "events/*").await;
    let first = world.append("events/a", 1).await;
    eventually("the event", async || !world.wake_events().await.is_empty()).await;
    let event = world.wake_events().await[0].clone();
    assert_eq!(
        (&event["type"], &event["subscription_id"], &event["stream"], &event["generation"]),
        (&json!("wake"), &json!("s"), &json!("events/a"), &json!(1))
    );
    let wake = world.claim("s", "one").await;
    assert_eq!((&wake["generation"], &wake["lease_ttl_ms"]), (&json!(1), &json!(5_000)));
    let claim = format!("{}/claim", sub("s"));
    let busy = world.refused("POST", &claim, "", json!({ "worker": "two" }), 409, "ALREADY_CLAIMED").await;
    assert_eq!((&busy["error"]["current_holder"], &busy["error"]["generation"]), (&json!("one"), &json!(1)));
    // The lease runs out: another takes the next generation, and the first is fenced.
    world.clock.advance(Duration::from_secs(5));
    eventually("the next event", async || world.wake_events().await.len() == 2).await;
    let next = world.claim("s", "two").await;
    assert_eq!(next["generation"], 2);
    let ack = format!("{}/ack", sub("s"));
    world.refused("POST", &ack, token(&wake), done(&wake, &[("events/a", &first)]), 409, "FENCED").await;
    let release = format!("{}/release", sub("s"));
    let stale = json!({ "wake_id": wake["wake_id"], "generation": 1 });
    world.refused("POST", &release, token(&wake), stale, 409, "FENCED").await;
    // Given back, with work pending: a third generation is announced.
    let given = json!({ "wake_id": next["wake_id"], "generation": 2 });
    world.ok("POST", &release, token(&next), given).await;
    eventually("the third event", async || world.wake_events().await.len() == 3).await;
    let last = world.claim("s", "three").await;
    let reply = world.ok("POST", &ack, token(&last), done(&last, &[("events/a", &first)])).await;
    assert_eq!(reply, json!({ "ok": true, "next_wake": false }));
    world.refused("POST", &claim, "", json!({ "worker": "four" }), 409, "NO_PENDING_WORK").await;
}

#[tokio::test]
async fn an_append_that_was_answered_can_be_claimed_at_once() {
    let world = World::new();
    world.pull("s", "events/*").await;
    for generation in 1..=20 {
        let tail = world.append("events/a", 1).await;
        let wake = world.claim("s", "w").await;
        assert_eq!(wake["generation"], generation);
        let ack = format!("{}/ack", sub("s"));
        let reply = world.ok("POST", &ack, token(&wake), done(&wake, &[("events/a", &tail)])).await;
        assert_eq!(reply["next_wake"], false);
    }
}

#[tokio::test]
async fn a_wake_stream_that_is_missing_is_shown_and_tried_again() {
    let world = World::new();
    let body = json!({ "type": "pull-wake", "pattern": "events/*", "wake_stream": "wake/pool" });
    world.ok("PUT", &sub("s"), "", body).await;
    world.append("events/a", 1).await;
    eventually("the failure", async || world.get("s").await["status"] == "failed").await;
    let failed = world.get("s").await;
    assert!(failed["last_error"].as_str().unwrap().contains("wake/pool does not exist"), "{failed}");
    assert!(failed["next_attempt_at"].is_string());
    world.append("wake/pool", 0).await;
    world.clock.advance(Duration::from_millis(1_200));
    eventually("the event", async || world.wake_events().await.len() == 1).await;
    eventually("recovery", async || world.get("s").await["status"] == "active").await;
    // Made anew without anybody having claimed: the event went with it, so there is another.
    world.ok("DELETE", "wake/pool", "", Value::Null).await;
    world.append("wake/pool", 0).await;
    eventually("the event again", async || world.wake_events().await.len() == 1).await;
    assert_eq!(world.wake_events().await[0]["generation"], 2);
}

#[tokio::test]
async fn a_deleted_stream_leaves_and_one_made_anew_is_pending_from_its_start() {
    let world = World::new();
    world.append("manual/x", 5).await;
    let body = json!({ "type": "webhook", "pattern": "events/*", "streams": ["manual/x"],
        "webhook": { "url": "https://worker.example/" } });
    world.append("events/a", 1).await;
    world.ok("PUT", &sub("s"), "", body).await;
    for stream in ["events/a", "manual/x"] {
        world.ok("DELETE", stream, "", Value::Null).await;
    }
    assert_eq!(world.acked("s", "events/a").await, None, "what the pattern found goes with the stream");
    assert!(world.acked("s", "manual/x").await.is_some(), "what was asked for by name stays asked for");
    let tail = world.append("manual/x", 1).await;
    let wake = world.delivery(1).await;
    let stream = &wake["streams"][0];
    assert_eq!((&stream["path"], &stream["tail_offset"]), (&json!("manual/x"), &json!(tail)));
    // The offset that it gives can be read from.
    let from = stream["acked_offset"].as_str().unwrap();
    let read = world.ok("GET", &format!("manual/x?offset={from}"), "", Value::Null).await;
    assert_eq!(read, json!([0]));
}

#[tokio::test]
async fn a_deleted_subscription_advances_nothing_and_its_id_begins_anew() {
    let world = World::new();
    world.webhook("s", "events/*").await;
    let tail = world.append("events/a", 1).await;
    let wake = world.delivery(1).await;
    world.ok("DELETE", &sub("s"), "", Value::Null).await;
    let callback = format!("{}/callback", sub("s"));
    let ack = done(&wake, &[("events/a", &tail)]);
    world.refused("POST", &callback, token(&wake), ack.clone(), 404, "SUBSCRIPTION_NOT_FOUND").await;
    world.refused("GET", &sub("s"), "", Value::Null, 404, "SUBSCRIPTION_NOT_FOUND").await;
    world.webhook("s", "events/*").await;
    world.refused("POST", &callback, token(&wake), ack.clone(), 409, "FENCED").await;
    world.append("events/a", 1).await;
    let again = world.delivery(2).await;
    assert_eq!(again["generation"], 1);
    world.refused("POST", &callback, token(&wake), ack.clone(), 409, "FENCED").await;
    let world = world.restarted().await;
    world.refused("POST", &callback, token(&wake), ack, 409, "FENCED").await;
    assert_eq!(world.get("s").await["generation"], 1);
    world.ok("DELETE", &sub("s"), "", Value::Null).await;
    let world = world.restarted().await;
    world.refused("GET", &sub("s"), "", Value::Null, 404, "SUBSCRIPTION_NOT_FOUND").await;
    assert_eq!(world.engine.subscriptions_held(), 0);
}

#[tokio::test]
async fn a_restart_keeps_cursor_generation_lease_and_holder() {
    let world = World::new();
    world.pull("s", "events/*").await;
    let half = world.append("events/a", 2).await;
    let wake = world.claim("s", "one").await;
    let tail = world.append("events/a", 1).await;
    let mut ack = done(&wake, &[("events/a", &half)]);
    ack["done"] = json!(false);
    world.clock.advance(Duration::from_secs(3));
    world.ok("POST", &format!("{}/ack", sub("s")), token(&wake), ack).await;
    let before = world.get("s").await;
    let world = world.restarted().await;
    assert_eq!(world.get("s").await, before);
    let claim = format!("{}/claim", sub("s"));
    world.refused("POST", &claim, "", json!({ "worker": "two" }), 409, "ALREADY_CLAIMED").await;
    world.clock.advance(Duration::from_secs(4));
    let ack = format!("{}/ack", sub("s"));
    let reply = world.ok("POST", &ack, token(&wake), done(&wake, &[("events/a", &tail)])).await;
    assert_eq!(reply, json!({ "ok": true, "next_wake": false }));
}

#[tokio::test]
async fn a_lease_runs_out_over_a_restart() {
    let world = World::new();
    world.pull("s", "events/*").await;
    world.append("events/a", 1).await;
    let wake = world.claim("s", "one").await;
    world.clock.advance(Duration::from_secs(5));
    let world = world.restarted().await;
    eventually("the next generation", async || world.get("s").await["generation"] == 2).await;
    let body = done(&wake, &[]);
    world.refused("POST", &format!("{}/ack", sub("s")), token(&wake), body, 409, "FENCED").await;
}

#[tokio::test]
async fn a_restart_honours_the_retry_schedule() {
    let world = World::new();
    world.webhook("s", "events/*").await;
    world.post.answers([Err("no"), Err("no"), Err("no"), Ok(false)]);
    world.append("events/a", 1).await;
    let mut shown = Value::Null;
    for (count, wait) in [(1, 1_300), (2, 2_500), (3, 0)] {
        world.delivery(count).await;
        eventually("the failure", async || {
            let now = world.get("s").await["next_attempt_at"].clone();
            now.is_string() && now != shown
        })
        .await;
        shown = world.get("s").await["next_attempt_at"].clone();
        world.clock.advance(Duration::from_millis(wait));
    }
    let world = world.restarted().await;
    assert_eq!(world.get("s").await["next_attempt_at"], shown);
    // 4 s less a fifth, of which the lease ends in between.
    world.clock.advance(Duration::from_millis(3_150));
    a_while().await;
    assert_eq!(world.post.sent().len(), 3, "a restart, or the end of the lease, made it earlier");
    world.clock.advance(Duration::from_millis(1_700));
    world.delivery(4).await;
}

#[tokio::test]
async fn a_wake_that_was_cut_on_its_way_is_delivered_again() {
    let world = World::new();
    world.webhook("s", "events/*").await;
    world.post.gate.forget_permits(1_000);
    world.append("events/a", 1).await;
    let cut = world.delivery(1).await;
    let world = world.restarted().await;
    let again = world.delivery(2).await;
    assert_eq!((&again["wake_id"], &again["generation"]), (&cut["wake_id"], &cut["generation"]));
    assert_eq!(again["callback_token"], cut["callback_token"]);
    // One that has been told is not told again: its worker has until its lease ends.
    world.post.gate.add_permits(1);
    a_while().await;
    let world = world.restarted().await;
    a_while().await;
    assert_eq!(world.post.sent().len(), 2);
}

#[tokio::test]
async fn what_moved_while_nobody_looked_is_found_after_a_start() {
    let world = World::new();
    world.append("events/a", 1).await;
    world.append("events/gone", 1).await;
    world.webhook("s", "events/*").await;
    world.engine.begin_stop();
    while !world.dispatcher.is_finished() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    world.append("events/a", 1).await;
    world.append("events/b", 1).await;
    world.ok("DELETE", "events/gone", "", Value::Null).await;
    let world = world.restarted().await;
    let wake = world.delivery(1).await;
    let streams = wake["streams"].as_array().unwrap();
    let pending: Vec<&Value> = streams.iter().map(|stream| &stream["path"]).collect();
    assert_eq!(pending, ["events/a", "events/b"]);
    assert!(streams.iter().all(|stream| stream["has_pending"] == true));
}

#[tokio::test]
async fn a_long_log_is_read_from_its_last_whole_state() {
    let world = World::new();
    world.pull("s", "events/*").await;
    world.append("events/a", 300).await;
    let wake = world.claim("s", "one").await;
    for n in 1..=300 {
        let offset = format!("{n:016x}_0000000000000000");
        let mut ack = done(&wake, &[("events/a", &offset)]);
        ack["done"] = json!(false);
        world.ok("POST", &format!("{}/ack", sub("s")), token(&wake), ack).await;
    }
    let before = world.get("s").await;
    let world = world.restarted().await;
    assert_eq!(world.get("s").await, before);
    assert_eq!(world.acked("s", "events/a").await.unwrap(), "000000000000012c_0000000000000000");
}

#[tokio::test]
async fn a_journal_that_is_opened_again_has_it_all() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Clock::manual(Timestamp::from_millis(1_800_000_000_000));
    let open = || -> SharedStore { Journal::open_dir(directory.path(), JournalOptions::new(clock.clone())).unwrap() };
    let world = World::on(open(), clock.clone(), SubscriptionSettings::default(), None);
    world.webhook("s", "events/*").await;
    world.post.answers([Err("no")]);
    world.append("events/a", 1).await;
    world.delivery(1).await;
    eventually("the failure", async || world.get("s").await["status"] == "failed").await;
    let before = world.get("s").await;
    let World { engine, dispatcher, post, settings, store, router, .. } = world;
    engine.begin_stop();
    dispatcher.await.unwrap();
    engine.close();
    drop((engine, store, router));
    let world = World::start(open(), clock.clone(), settings, None, post);
    assert_eq!(world.get("s").await, before);
    world.clock.advance(Duration::from_millis(1_200));
    assert_eq!(world.delivery(2).await["generation"], 1);
    // Names of its own streams are not told, however one asks.
    let (_, listed) = world.call("GET", "/v1/state?prefix=%01", "", Value::Null).await;
    assert!(!listed.to_string().contains("subscription"), "{listed}");
}

#[tokio::test]
async fn nothing_leaves_and_nothing_is_told_before_it_is_durable() {
    let store = Gated::new();
    let clock = Clock::manual(Timestamp::from_millis(1_800_000_000_000));
    let world = World::on(store.clone(), clock, SubscriptionSettings::default(), None);
    world.webhook("s", "events/*").await;
    let tail = world.append("events/a", 1).await;
    let wake = world.delivery(1).await;
    let callback = format!("{}/callback", sub("s"));
    world.ok("POST", &callback, token(&wake), done(&wake, &[("events/a", &tail)])).await;
    store.shut();
    let append = tokio::spawn({
        let router = world.router.clone();
        let request = Request::post("/v1/stream/events/a").header("content-type", "application/json");
        let request = request.body(Body::from("[1]")).unwrap();
        async move { router.oneshot(request).await.unwrap().status() }
    });
    a_while().await;
    assert!(!append.is_finished());
    assert_eq!(world.post.sent().len(), 1, "a wake spoke of an append that was not durable");
    // The append becomes durable, the wake's own record does not yet.
    store.open_and_shut();
    assert!(append.await.unwrap().is_success());
    a_while().await;
    assert_eq!(world.post.sent().len(), 1, "a wake left before its record was durable");
    store.open();
    let wake = world.delivery(2).await;
    store.shut();
    let ack = tokio::spawn({
        let (router, body) = (world.router.clone(), done(&wake, &[]));
        let request = Request::post(format!("/v1/stream/{callback}"))
            .header("authorization", format!("Bearer {}", token(&wake)))
            .body(Body::from(body.to_string()))
            .unwrap();
        async move { router.oneshot(request).await.unwrap().status().as_u16() }
    });
    a_while().await;
    assert!(!ack.is_finished(), "an ack was answered before it was durable");
    store.fail();
    assert_eq!(ack.await.unwrap(), 507);
    // What failed has not happened: the wake goes on.
    eventually("the wake", async || {
        let (status, _) = world.call("POST", &callback, token(&wake), done(&wake, &[])).await;
        status == 200
    })
    .await;
}

/// A store that can be made to wait, with a subscription `s` that has been woken once for a stream of one change.
async fn woken_once() -> (Arc<Gated>, World, Value, String) {
    let store = Gated::new();
    let clock = Clock::manual(Timestamp::from_millis(1_800_000_000_000));
    let settings = SubscriptionSettings { subscriptions_max: 1, ..SubscriptionSettings::default() };
    let world = World::on(store.clone(), clock, settings, None);
    world.webhook("s", "events/*").await;
    let tail = world.append("events/a", 1).await;
    let wake = world.delivery(1).await;
    (store, world, wake, tail)
}

impl World {
    /// Sends a request whose client goes away while the disk is waited for.
    async fn abandoned(&self, method: &str, path: &str, token: &str, body: Value) {
        let request = Request::builder().method(method).uri(format!("/v1/stream/{path}"));
        let request = request.header("authorization", format!("Bearer {token}")).body(Body::from(body.to_string()));
        let answer = tokio::spawn(self.router.clone().oneshot(request.unwrap()));
        a_while().await;
        assert!(!answer.is_finished(), "{method} {path} did not wait");
        answer.abort();
        assert!(answer.await.unwrap_err().is_cancelled());
    }
}

#[tokio::test]
async fn what_a_client_began_goes_on_without_it() {
    let (store, world, wake, tail) = woken_once().await;
    world.append("events/a", 1).await;
    a_while().await;
    store.shut();
    let callback = format!("{}/callback", sub("s"));
    world.abandoned("POST", &callback, token(&wake), done(&wake, &[("events/a", &tail)])).await;
    store.open();
    let next = world.delivery(2).await;
    assert_eq!((&next["generation"], &next["streams"][0]["acked_offset"]), (&json!(2), &json!(tail)));
}

#[tokio::test]
async fn a_claim_whose_worker_went_away_runs_out() {
    let store = Gated::new();
    let clock = Clock::manual(Timestamp::from_millis(1_800_000_000_000));
    let world = World::on(store.clone(), clock, SubscriptionSettings::default(), None);
    world.pull("s", "events/*").await;
    world.append("events/a", 1).await;
    eventually("the event", async || world.wake_events().await.len() == 1).await;
    a_while().await;
    store.shut();
    world.abandoned("POST", &format!("{}/claim", sub("s")), "", json!({ "worker": "w" })).await;
    store.open();
    a_while().await;
    world.clock.advance(Duration::from_secs(31));
    eventually("the next event", async || world.wake_events().await.len() == 2).await;
}

#[tokio::test]
async fn a_clock_that_is_set_back_holds_nothing_up_for_ever() {
    let world = World::new();
    world.webhook("held", "held/*").await;
    world.webhook("failing", "failing/*").await;
    world.append("held/a", 1).await;
    world.delivery(1).await;
    world.post.answers([Err("the webhook answered 500")]);
    world.append("failing/a", 1).await;
    eventually("the failure", async || world.get("failing").await["status"] == "failed").await;
    a_while().await;
    // A year back: the manual clock counts modulo 2^64.
    let year = 365 * 24 * 3_600_000;
    world.clock.advance(Duration::from_millis(u64::MAX - year + 1));
    eventually("both", async || world.post.sent().len() >= 4).await;
    let again: Vec<Value> = world.post.sent()[2..4].iter().map(|wake| wake["subscription_id"].clone()).collect();
    assert!(again.contains(&json!("held")) && again.contains(&json!("failing")), "{again:?}");
}

#[tokio::test]
async fn what_a_client_began_and_the_disk_refused_has_not_happened() {
    let (store, world, wake, tail) = woken_once().await;
    store.shut();
    let callback = format!("{}/callback", sub("s"));
    world.abandoned("POST", &callback, token(&wake), done(&wake, &[("events/a", &tail)])).await;
    store.fail();
    world.clock.advance(Duration::from_secs(1));
    a_while().await;
    world.clock.advance(Duration::from_secs(30));
    assert_eq!(world.delivery(2).await["generation"], 2, "the lease ran out unseen");
}

#[tokio::test]
async fn an_id_that_came_to_nothing_takes_no_place() {
    let (store, world, ..) = woken_once().await;
    let gone = async || {
        world.clock.advance(Duration::from_secs(1));
        world.engine.subscriptions_held() == 0
    };
    store.shut();
    world.abandoned("DELETE", &sub("s"), "", Value::Null).await;
    store.open();
    eventually("the end of what was deleted", gone).await;
    store.shut();
    let body = json!({ "type": "webhook", "pattern": "a", "webhook": { "url": "https://worker.example/" } });
    world.abandoned("PUT", &sub("t"), "", body.clone()).await;
    store.fail();
    eventually("the end of what was never made", gone).await;
    world.ok("PUT", &sub("u"), "", body).await;
}

#[tokio::test]
async fn who_waited_for_longer_than_the_lease_is_not_put_behind_the_others() {
    let clock = Clock::manual(Timestamp::from_millis(1_800_000_000_000));
    let settings = SubscriptionSettings { deliveries_max: 1, ..SubscriptionSettings::default() };
    let world = World::on(MemoryStore::new(clock.clone()), clock, settings, None);
    for (id, lease_ttl_ms) in [("first", 600_000), ("second", 1_000), ("third", 600_000)] {
        let body = json!({ "type": "webhook", "streams": [id], "lease_ttl_ms": lease_ttl_ms,
            "webhook": { "url": "https://worker.example/" } });
        world.ok("PUT", &sub(id), "", body).await;
    }
    world.post.gate.forget_permits(1_000);
    for (id, sent) in [("first", 1), ("second", 1), ("third", 1)] {
        world.append(id, 1).await;
        eventually("a place, or a wait", async || world.post.sent().len() == sent).await;
        a_while().await;
    }
    world.clock.advance(Duration::from_secs(5));
    a_while().await;
    world.post.gate.add_permits(1);
    let wake = world.delivery(2).await;
    assert_eq!(wake["subscription_id"], "second");
    world.ok("POST", &format!("{}/callback", sub("second")), token(&wake), done(&wake, &[])).await;
    world.post.gate.add_permits(2);
    assert_eq!(world.delivery(3).await["subscription_id"], "third");
}

#[tokio::test]
async fn a_worker_that_was_done_has_been_reached_whatever_it_answers() {
    let world = World::new();
    world.webhook("s", "events/*").await;
    world.post.gate.forget_permits(1_000);
    world.post.answers([Err("the webhook answered 502")]);
    let tail = world.append("events/a", 1).await;
    let wake = world.delivery(1).await;
    world.append("events/a", 1).await;
    let callback = format!("{}/callback", sub("s"));
    world.ok("POST", &callback, token(&wake), done(&wake, &[("events/a", &tail)])).await;
    world.post.gate.add_permits(1_000);
    assert_eq!(world.delivery(2).await["generation"], 2);
    assert_eq!(world.get("s").await["status"], "active");
}

#[tokio::test]
async fn who_has_no_token_makes_the_server_hold_nothing() {
    let world = World::new();
    for action in ["callback", "ack", "release"] {
        let endless = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        let request = Request::post(format!("/v1/stream/{}/{action}", sub("s"))).body(endless).unwrap();
        let answer = tokio::time::timeout(Duration::from_secs(5), world.router.clone().oneshot(request));
        assert_eq!(answer.await.expect("the body was waited for").unwrap().status(), 401, "{action}");
    }
}

#[tokio::test]
async fn bounds_are_told_with_429() {
    let clock = Clock::manual(Timestamp::from_millis(1_800_000_000_000));
    let settings = SubscriptionSettings {
        subscriptions_max: 2,
        links_max: 3,
        wake_streams_max: 2,
        ..SubscriptionSettings::default()
    };
    let world = World::on(MemoryStore::new(clock.clone()), clock, settings, None);
    for stream in ["a/1", "a/2", "a/3", "a/4", "b/1", "b/2", "b/3"] {
        world.append(stream, 1).await;
    }
    let body =
        |pattern: &str| json!({ "type": "webhook", "pattern": pattern, "webhook": { "url": "https://w.example/" } });
    assert_eq!(world.call("PUT", &sub("many"), "", body("a/*")).await.0, 429);
    world.ok("PUT", &sub("one"), "", body("b/*")).await;
    let (status, problem) =
        world.call("POST", &format!("{}/streams", sub("one")), "", json!({ "streams": ["c"] })).await;
    assert_eq!((status, &problem["title"]), (429, &json!("A limit of the server is reached")), "{problem}");
    world.ok("PUT", &sub("two"), "", body("c/*")).await;
    assert_eq!(world.call("PUT", &sub("three"), "", body("c/*")).await.0, 429);
    world.ok("DELETE", &sub("two"), "", Value::Null).await;
    world.ok("PUT", &sub("three"), "", body("c/*")).await;
    // A matching stream too many is left out; the others go on.
    world.append("b/4", 1).await;
    world.append("b/1", 1).await;
    let wake = world.delivery(1).await;
    assert_eq!(world.get("one").await["streams"].as_array().unwrap().len(), 3);
    assert_eq!(wake["streams"].as_array().unwrap().len(), 2);
    assert_eq!(wake["streams"][0]["path"], "b/1");
}

#[tokio::test]
async fn the_token_of_a_wake_is_enough_for_its_callback() {
    let clock = Clock::manual(Timestamp::from_millis(1_800_000_000_000));
    let store = MemoryStore::new(clock.clone());
    let world = World::on(store, clock, SubscriptionSettings::default(), Some("secret".into()));
    let body = json!({ "type": "pull-wake", "streams": ["a"], "wake_stream": "w" });
    assert_eq!(world.call("PUT", &sub("s"), "", body.clone()).await.0, 401);
    world.ok("PUT", &sub("s"), "secret", body).await;
    world.ok("PUT", "a", "secret", json!([1])).await;
    let claim = format!("{}/claim", sub("s"));
    assert_eq!(world.call("POST", &claim, "", json!({ "worker": "w" })).await.0, 401);
    let wake = world.ok("POST", &claim, "secret", json!({ "worker": "w" })).await;
    let ack = format!("{}/ack", sub("s"));
    world.refused("POST", &ack, "secret", done(&wake, &[]), 401, "TOKEN_INVALID").await;
    world.ok("POST", &ack, token(&wake), done(&wake, &[])).await;
    let keys = world.ok("GET", "__ds/jwks.json", "", Value::Null).await;
    assert_eq!(keys["keys"][0]["kid"], "ds_test");
    assert_eq!(world.call("GET", &sub("s"), "", Value::Null).await.0, 401);
}

#[tokio::test]
async fn typed_streams_wake_as_others_do() {
    let world = World::new();
    let document = json!({ "collections": { "things": { "type": "thing", "primaryKey": "id",
        "schema": { "type": "object", "required": ["id"], "properties": { "id": { "type": "string" } } } } } });
    world.ok("POST", "/v1/schemas/things/versions", "", document).await;
    world.ok("PUT", "/v1/bindings/t", "", json!({ "pattern": "t/**", "subject": "things" })).await;
    world.webhook("s", "t/**").await;
    let change = json!({ "type": "thing", "key": "a", "value": { "id": "a" }, "headers": { "operation": "upsert" } });
    world.ok("POST", "t/x", "", change).await;
    let wake = world.delivery(1).await;
    assert_eq!((&wake["streams"][0]["path"], &wake["streams"][0]["has_pending"]), (&json!("t/x"), &json!(true)));
}

#[tokio::test]
async fn a_wake_stream_that_hides_the_event_is_a_failure() {
    let world = World::new();
    let document = json!({ "collections": { "things": { "type": "thing", "primaryKey": "id",
        "schema": { "type": "object", "required": ["id"], "properties": { "id": { "type": "string" } } } } } });
    world.ok("POST", "/v1/schemas/things/versions", "", document).await;
    let binding = json!({ "pattern": "wake/*", "subject": "things", "validation": "quarantine" });
    world.ok("PUT", "/v1/bindings/w", "", binding).await;
    let body = json!({ "type": "pull-wake", "streams": ["a"], "wake_stream": "wake/pool" });
    world.ok("PUT", &sub("s"), "", body).await;
    world.append("a", 1).await;
    eventually("the failure", async || world.get("s").await["status"] == "failed").await;
    let failed = world.get("s").await;
    assert!(failed["last_error"].as_str().unwrap().contains("quarantine"), "{failed}");
}

#[tokio::test]
async fn a_full_disk_lets_a_subscription_go() {
    let store = Gated::new();
    let clock = Clock::manual(Timestamp::from_millis(1_800_000_000_000));
    let world = World::on(store.clone(), clock, SubscriptionSettings::default(), None);
    world.webhook("s", "events/*").await;
    world.engine.begin_stop();
    while !world.dispatcher.is_finished() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    world.append("events/new", 1).await;
    store.fill();
    let world = world.restarted().await;
    assert_eq!(world.call("POST", &format!("{}/streams", sub("s")), "", json!({ "streams": ["a"] })).await.0, 507);
    world.ok("DELETE", &sub("s"), "", Value::Null).await;
    world.refused("GET", &sub("s"), "", Value::Null, 404, "SUBSCRIPTION_NOT_FOUND").await;
}

#[tokio::test]
async fn a_fork_is_news_from_where_it_leaves_its_source() {
    let world = World::new();
    let source = world.append("source", 3).await;
    world.webhook("s", "events/*").await;
    let fork = Request::put("/v1/stream/events/fork").header("stream-forked-from", "/v1/stream/source");
    let response = world.router.clone().oneshot(fork.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status().as_u16(), 201);
    a_while().await;
    assert!(world.post.sent().is_empty(), "what a fork inherits woke somebody");
    world.ok("POST", "events/fork", "", json!([1])).await;
    let wake = world.delivery(1).await;
    assert_eq!(
        (&wake["streams"][0]["path"], &wake["streams"][0]["acked_offset"]),
        (&json!("events/fork"), &json!(source))
    );
    // Deleted, the source stays for its fork alone: to a subscription it is gone.
    world.append("events/origin", 1).await;
    world.delivery(1).await;
    let fork = Request::put("/v1/stream/kept").header("stream-forked-from", "/v1/stream/events/origin");
    world.router.clone().oneshot(fork.body(Body::empty()).unwrap()).await.unwrap();
    assert!(world.acked("s", "events/origin").await.is_some());
    world.ok("DELETE", "events/origin", "", Value::Null).await;
    assert_eq!(world.acked("s", "events/origin").await, None);
    let world = world.restarted().await;
    assert_eq!(world.acked("s", "events/origin").await, None);
}

/// Whatever fails, is slow or is started again in between: in the end everything has been told and acked.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_append_is_told_of_and_acked_in_the_end() {
    let seed = std::env::var("KEYFOLD_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7u64);
    println!("KEYFOLD_SEED={seed}");
    let mut dice = fastrand::Rng::with_seed(seed);
    let store = Gated::new();
    let clock = Clock::manual(Timestamp::from_millis(1_800_000_000_000));
    let mut world = World::on(store.clone(), clock.clone(), SubscriptionSettings::default(), None);
    world.webhook("hook", "events/**").await;
    world.pull("pull", "events/**").await;
    let time = tokio::spawn(async move {
        loop {
            clock.advance(Duration::from_millis(50));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    for _ in 0..400 {
        let stream = format!("events/{}", dice.u8(..6));
        match dice.u8(..40) {
            0 => drop(world.call("DELETE", &stream, "", Value::Null).await),
            1 => {
                // What is staged meanwhile fails.
                store.shut();
                let _ =
                    tokio::time::timeout(Duration::from_millis(5), world.call("POST", &stream, "", json!([0]))).await;
                store.fail();
            }
            2 => world = world.restarted().await,
            3..=8 => {
                let (status, wake) =
                    world.call("POST", &format!("{}/claim", sub("pull")), "", json!({ "worker": "w" })).await;
                if status == 200 && dice.u8(..3) > 0 {
                    let acks = told_tails(&wake);
                    let body = json!({ "wake_id": wake["wake_id"], "generation": wake["generation"], "acks": acks,
                        "done": dice.bool() });
                    world.call("POST", &format!("{}/ack", sub("pull")), token(&wake), body).await;
                }
            }
            _ => {
                let answer = [Ok(true), Ok(true), Ok(false), Err("the webhook answered 503")];
                world.post.answers([answer[dice.usize(..4)]]);
                world.call("PUT", &stream, "", json!([])).await;
                world.call("POST", &stream, "", json!([0])).await;
            }
        }
    }
    world.post.answers.lock().clear();
    world.post.answers((0..10_000).map(|_| Ok(true)));
    let names: Vec<String> = (0..6).map(|n| format!("events/{n}")).collect();
    for id in ["hook", "pull"] {
        eventually(&format!("all acks of {id}"), async || {
            if id == "pull" {
                let (status, wake) =
                    world.call("POST", &format!("{}/claim", sub("pull")), "", json!({ "worker": "w" })).await;
                if status == 200 {
                    let body = json!({ "wake_id": wake["wake_id"], "generation": wake["generation"],
                        "acks": told_tails(&wake), "done": true });
                    world.call("POST", &format!("{}/ack", sub("pull")), token(&wake), body).await;
                }
            }
            let (_, reply) = world.call("GET", &sub(id), "", Value::Null).await;
            let Some(links) = reply["streams"].as_array() else { return false };
            for name in &names {
                let (status, _) = world.call("GET", &format!("{name}?offset=now"), "", Value::Null).await;
                if status == 404 {
                    continue;
                }
                let tail = world.tail(name).await;
                if !links.iter().any(|link| link["path"] == **name && link["acked_offset"] == tail) {
                    return false;
                }
            }
            true
        })
        .await;
    }
    time.abort();
}

fn told_tails(wake: &Value) -> Vec<Value> {
    let streams = wake["streams"].as_array().unwrap().iter();
    streams.map(|stream| json!({ "stream": stream["path"], "offset": stream["tail_offset"] })).collect()
}
