//! How long streams live, how they are closed, and what a name keeps of its former streams: nothing.
//!
//! Through the real router, on a journal on a simulated disk, with a clock set by hand: to the millisecond, and across
//! restarts. Source: PROTOCOL.md §4.1 and §5.1 to §5.8.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use keyfold::api::{Api, ApiSettings, router};
use keyfold::engine::{Engine, Settings};
use keyfold::model::{StreamName, Timestamp};
use keyfold::runtime::Clock;
use keyfold::storage::disk::SimDisk;
use keyfold::storage::{Journal, JournalOptions, Store};
use serde_json::json;
use tower::ServiceExt;

const MS: Duration = Duration::from_millis(1);

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A server in this process, on a disk that outlives it.
struct World {
    clock: Clock,
    disk: SimDisk,
    idle: Duration,
    life: Option<Life>,
}

/// From a start to a stop.
struct Life {
    store: Arc<Journal>,
    engine: Engine,
    router: Router,
    sweeper: tokio::task::JoinHandle<()>,
}

#[derive(Clone, Debug)]
struct Call {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: &'static str,
}

#[derive(Debug)]
struct Reply {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

fn call(method: &'static str, path: impl Into<String>) -> Call {
    Call { method, path: path.into(), headers: Vec::new(), body: "" }
}

impl Call {
    fn header(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    fn text(mut self, body: &'static str) -> Self {
        self.body = body;
        self.header("content-type", "text/plain")
    }

    fn json(mut self, body: &'static str) -> Self {
        self.body = body;
        self.header("content-type", "application/json")
    }

    fn producer(self, (id, epoch, seq): (&str, u64, u64)) -> Self {
        self.header("producer-id", id).header("producer-epoch", epoch).header("producer-seq", seq)
    }
}

fn append(stream: &str) -> Call {
    call("POST", format!("/v1/stream/{stream}")).text("x")
}

fn close(stream: &str) -> Call {
    call("POST", format!("/v1/stream/{stream}")).header("stream-closed", "true")
}

impl Reply {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn closed(&self) -> bool {
        self.header("stream-closed") == "true"
    }
}

impl World {
    fn new() -> Self {
        Self::with_idle(secs(300))
    }

    fn with_idle(idle: Duration) -> Self {
        let clock = Clock::manual(Timestamp::from_millis(1_800_000_000_000));
        let mut world = Self { clock, disk: SimDisk::new(), idle, life: None };
        world.start();
        world
    }

    fn start(&mut self) {
        // What is clustered is not freed as it is.
        let options =
            JournalOptions { segment_bytes: 64 << 10, cluster_after: 0, ..JournalOptions::new(self.clock.clone()) };
        let store = Journal::open(Arc::new(self.disk.clone()), options).unwrap();
        let settings = Settings { stream_idle: self.idle, ..Settings::default() };
        let engine = Engine::start(store.clone(), self.clock.clone(), settings).unwrap();
        let api = Api::new(ApiSettings { long_poll: 20 * MS, ..ApiSettings::default() });
        api.serve_from(engine.clone());
        let sweeper = tokio::spawn(engine.clone().sweep(2 * MS));
        self.life = Some(Life { store, engine, router: router(api), sweeper });
    }

    async fn restart(&mut self) {
        let life = self.life.take().unwrap();
        life.engine.begin_stop();
        life.sweeper.await.unwrap();
        life.engine.close();
        drop((life.engine, life.router, life.store));
        self.start();
    }

    fn life(&self) -> &Life {
        self.life.as_ref().unwrap()
    }

    async fn begin(&self, call: Call) -> Response<Body> {
        let mut request = Request::builder().method(call.method).uri(&call.path);
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        self.life().router.clone().oneshot(request.body(Body::from(call.body)).unwrap()).await.unwrap()
    }

    async fn send(&self, call: Call) -> Reply {
        let (parts, body) = self.begin(call).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Reply { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    async fn ok(&self, call: Call) -> Reply {
        let what = format!("{call:?}");
        let reply = self.send(call).await;
        assert!((200..300).contains(&reply.status), "{what}: {reply:?}");
        reply
    }

    async fn create(&self, stream: &str, lifetime: (&'static str, String)) {
        let create = call("PUT", format!("/v1/stream/{stream}")).header("content-type", "text/plain");
        assert_eq!(self.send(create.header(lifetime.0, lifetime.1)).await.status, 201, "{stream}");
    }

    async fn is_there(&self, stream: &str) -> bool {
        self.send(call("HEAD", format!("/v1/stream/{stream}"))).await.status == 200
    }

    /// Nobody asks for the stream: it is looked up in the store only.
    fn is_stored(&self, stream: &str) -> bool {
        self.life().store.find(&StreamName::parse(stream).unwrap()).is_some()
    }

    async fn eventually(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..2_000 {
            if holds(self) {
                return;
            }
            tokio::time::sleep(2 * MS).await;
        }
        panic!("it takes too long: {what}");
    }

    /// The stream is there a millisecond before `moment`, and not at it.
    async fn ends_at(&self, stream: &str, moment: Timestamp, what: &str) {
        assert!(self.clock.now() < moment, "{what}");
        self.clock.set(Timestamp::from_millis(moment.as_millis() - 1));
        assert!(self.is_there(stream).await, "{what}: it ended too early");
        self.clock.set(moment);
        assert!(!self.is_there(stream).await, "{what}: it did not end");
    }
}

fn ttl(seconds: u64) -> (&'static str, String) {
    ("stream-ttl", seconds.to_string())
}

fn until(moment: Timestamp) -> (&'static str, String) {
    ("stream-expires-at", moment.to_string())
}

// ---- what moves the idle window -------------------------------------------------------------------------------------

/// `before` is done when the stream is made, `call` is the operation in question.
async fn check_renewal(renews: bool, before: Vec<Call>, operation: Call) {
    let world = World::new();
    let what = format!("{operation:?}");
    world.create("s", ttl(100)).await;
    for call in before {
        world.ok(call).await;
    }
    let made = world.clock.now();
    world.clock.advance(secs(60));
    let reply = world.begin(operation).await;
    // An event stream is left after its first frame.
    let mut body = reply.into_body();
    let _ = tokio::time::timeout(secs(5), body.frame()).await;
    drop(body);
    world.ends_at("s", made.after(secs(if renews { 160 } else { 100 })), &what).await;
}

#[tokio::test]
async fn every_read_and_every_write_moves_the_window() {
    let get = |query: &str| call("GET", format!("/v1/stream/s{query}"));
    let p = |epoch, seq| append("s").producer(("p", epoch, seq));
    for (before, operation) in [
        (vec![], get("")),
        (vec![], get("?offset=-1")),
        (vec![append("s")], get("?offset=now")),
        (vec![append("s")], get("?offset=-1&live=long-poll")),
        (vec![append("s")], get("?offset=now&live=long-poll")),
        (vec![append("s")], get("?offset=-1&live=sse")),
        (vec![], append("s")),
        (vec![], p(0, 0)),
        (vec![p(0, 0)], p(0, 0)),
        (vec![], close("s")),
        (vec![close("s")], close("s")),
        (vec![], append("s").header("stream-closed", "true")),
        (vec![close("s").producer(("p", 0, 0))], close("s").producer(("p", 0, 0))),
        (vec![close("s")], get("?offset=now&live=long-poll")),
    ] {
        check_renewal(true, before, operation).await;
    }
}

#[tokio::test]
async fn looking_and_being_refused_move_nothing() {
    let p = |epoch, seq| append("s").producer(("p", epoch, seq));
    let put =
        |seconds| call("PUT", "/v1/stream/s").header("content-type", "text/plain").header("stream-ttl", seconds);
    for (before, operation) in [
        (vec![], call("HEAD", "/v1/stream/s")),
        (vec![], call("GET", "/v1/state/s")),
        (vec![], call("GET", "/v1/state")),
        (vec![], put(100)),
        (vec![], put(99)),
        (vec![], call("GET", "/v1/stream/s?live=sse")),
        (vec![], call("POST", "/v1/stream/s").header("content-type", "text/plain")),
        (vec![], call("POST", "/v1/stream/s").json("{}")),
        (vec![append("s").header("stream-seq", "b")], append("s").header("stream-seq", "a")),
        (vec![], p(0, 7)),
        (vec![p(3, 0)], p(2, 0)),
        (vec![p(3, 0)], p(4, 1)),
        (vec![close("s")], append("s")),
        (vec![close("s")], append("s").header("stream-closed", "true")),
    ] {
        check_renewal(false, before, operation).await;
    }
}

#[tokio::test]
async fn typed_doors_move_the_window_as_the_plain_ones_do() {
    const DOCUMENT: &str = r#"{"collections":{"jobs":{"type":"job","primaryKey":"id",
        "schema":{"type":"object","properties":{"id":{"type":"string"}},"required":["id"]}}}}"#;
    const PATCH: &str = r#"{"a":1}"#;
    let entity = |method| call(method, "/v1/state/s/-/entities/job/a");
    let put = || entity("PUT").json(r#"{"id":"a"}"#);
    let repeat = || put().producer(("p", 0, 0));
    for (renews, before, operation) in [
        (true, vec![], call("GET", "/v1/state/s/-/snapshot")),
        (true, vec![], call("GET", "/v1/state/s/-/events")),
        (true, vec![], call("GET", "/v1/state/s/-/entities/job")),
        (true, vec![put()], entity("GET")),
        (true, vec![], call("GET", "/v1/stream/s?offset=-1&fold=true")),
        (true, vec![], put()),
        (true, vec![repeat()], repeat()),
        (true, vec![put()], entity("PATCH").json(PATCH)),
        (true, vec![put()], entity("DELETE")),
        (false, vec![], entity("PUT").json(r#"{"id":7}"#)),
        (false, vec![put()], put().header("if-none-match", "*")),
        (false, vec![], call("GET", "/v1/state/s/-/openapi.json")),
    ] {
        let world = World::new();
        world.ok(call("POST", "/v1/schemas/things/versions").json(DOCUMENT)).await;
        let create = call("PUT", "/v1/stream/s").header("stream-schema", "things").header("stream-ttl", 100);
        world.ok(create).await;
        for call in before {
            world.ok(call).await;
        }
        let made = world.clock.now();
        world.clock.advance(secs(60));
        let what = format!("{operation:?}");
        let mut body = world.begin(operation).await.into_body();
        let _ = tokio::time::timeout(secs(5), body.frame()).await;
        drop(body);
        world.ends_at("s", made.after(secs(if renews { 160 } else { 100 })), &what).await;
    }
}

#[tokio::test]
async fn moving_to_another_schema_version_is_no_use() {
    const DOCUMENT: &str = r#"{"collections":{"jobs":{"type":"job","primaryKey":"id",
        "schema":{"type":"object","properties":{"id":{"type":"string"}},"required":["id"]}}}}"#;
    let world = World::new();
    world.ok(call("POST", "/v1/schemas/things/versions").json(DOCUMENT)).await;
    let bind = r#"{"pattern":"t/**","subject":"things"}"#;
    world.ok(call("PUT", "/v1/bindings/t").json(bind)).await;
    world.ok(call("PUT", "/v1/stream/t/s").header("stream-ttl", 100)).await;
    let made = world.clock.now();
    world.clock.advance(secs(60));
    const NEXT: &str = r#"{"collections":{"jobs":{"type":"job","primaryKey":"id",
        "schema":{"type":"object","properties":{"id":{"type":"string"},"n":{"type":"number"}},"required":["id"]}}}}"#;
    world.ok(call("POST", "/v1/schemas/things/versions").json(NEXT)).await;
    world.ok(call("PUT", "/v1/bindings/t").json(r#"{"pattern":"t/**","subject":"things","version":2}"#)).await;
    // A bound name answers also where no stream stands under it.
    world.clock.set(made.after(secs(100)));
    world.eventually("the stream ends", |world| !world.is_stored("t/s")).await;
}

#[tokio::test]
async fn a_live_reader_holds_a_stream_until_it_leaves() {
    let world = World::new();
    world.create("s", ttl(100)).await;
    let mut body = world.begin(call("GET", "/v1/stream/s?offset=now&live=sse")).await.into_body();
    body.frame().await.unwrap().unwrap();
    for _ in 0..5 {
        world.clock.advance(secs(99));
        tokio::time::sleep(10 * MS).await;
        assert!(world.is_stored("s"));
    }
    let left = world.clock.now();
    drop(body);
    world.ends_at("s", left.after(secs(100)), "a window after the reader left").await;
}

#[tokio::test]
async fn the_reader_of_a_former_stream_does_not_hold_its_successor() {
    let world = World::new();
    world.create("s", ttl(100)).await;
    let mut body = world.begin(call("GET", "/v1/stream/s?offset=now&live=sse")).await.into_body();
    body.frame().await.unwrap().unwrap();
    // It does not take what comes, so it is still there.
    world.ok(call("DELETE", "/v1/stream/s")).await;
    world.create("s", ttl(100)).await;
    let made = world.clock.now();
    world.clock.advance(secs(50));
    world.ends_at("s", made.after(secs(100)), "while the former's reader is there").await;
    drop(body);
}

// ---- the end itself -------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_fixed_end_comes_at_its_moment_used_or_not() {
    let world = World::new();
    let end = world.clock.now().after(secs(100));
    world.create("s", until(end)).await;
    world.clock.advance(secs(99));
    world.ok(append("s")).await;
    world.ok(call("GET", "/v1/stream/s")).await;
    world.ends_at("s", end, "in spite of its uses").await;
}

#[tokio::test]
async fn what_is_over_at_its_creation_is_created_and_gone() {
    let world = World::new();
    let past = Timestamp::from_millis(world.clock.now().as_millis() - 1);
    for (stream, lifetime) in [("past", until(past)), ("now", until(world.clock.now())), ("zero", ttl(0))] {
        world.create(stream, lifetime.clone()).await;
        assert!(!world.is_there(stream).await, "{stream}");
        assert_eq!(world.send(append(stream)).await.status, 404, "{stream}");
        // Not a repeat: what stood there is gone.
        world.create(stream, lifetime).await;
        world.eventually(stream, |world| !world.is_stored(stream)).await;
    }
}

#[tokio::test]
async fn streams_end_at_their_moment_although_nobody_asks() {
    let world = World::new();
    let start = world.clock.now();
    for n in 1..=40 {
        world.create(&format!("s{n}"), ttl(n)).await;
    }
    world.create("for/ever", ("stream-seq", "x".into())).await;
    for n in [3, 17, 40] {
        world.clock.set(Timestamp::from_millis(start.after(secs(n)).as_millis() - 1));
        tokio::time::sleep(20 * MS).await;
        assert!(world.is_stored(&format!("s{n}")), "{n} ended too early");
        world.clock.set(start.after(secs(n)));
        world.eventually("the end", |world| !world.is_stored(&format!("s{n}"))).await;
        assert!((1..=n).all(|n| !world.is_stored(&format!("s{n}"))));
    }
    assert!(world.is_stored("for/ever"));
}

#[tokio::test]
async fn who_waits_is_woken_at_the_end() {
    let world = World::new();
    let end = world.clock.now().after(secs(100));
    world.create("s", until(end)).await;
    world.ok(append("s")).await;
    let api = Api::new(ApiSettings::default());
    api.serve_from(world.life().engine.clone());
    let patient = router(api);
    let poll = Request::get("/v1/stream/s?offset=now&live=long-poll").body(Body::empty()).unwrap();
    let poll = tokio::spawn(patient.oneshot(poll));
    let mut sse = world.begin(call("GET", "/v1/stream/s?offset=-1&live=sse")).await.into_body();
    let mut said = String::new();
    while !said.contains("upToDate") {
        said += std::str::from_utf8(&sse.frame().await.unwrap().unwrap().into_data().unwrap()).unwrap();
    }
    let rest = tokio::spawn(sse.collect());
    world.clock.set(Timestamp::from_millis(end.as_millis() - 1));
    tokio::time::sleep(50 * MS).await;
    assert!(!poll.is_finished() && !rest.is_finished(), "they were woken too early");
    world.clock.set(end);
    let poll = tokio::time::timeout(secs(5), poll).await.expect("the long-poll ends").unwrap().unwrap();
    assert_eq!(poll.status(), 404);
    let rest = tokio::time::timeout(secs(5), rest).await.expect("the event stream ends").unwrap().unwrap();
    said += std::str::from_utf8(&rest.to_bytes()).unwrap();
    assert!(said.ends_with("\n\n"), "it ends with a whole event: {said:?}");
    assert!(said.trim_end().lines().rev().nth(1).is_some_and(|line| line == "event: control"), "{said:?}");
}

#[tokio::test]
async fn a_clock_that_is_set_back_ends_nothing_early_and_orders_nothing_anew() {
    let world = World::new();
    let made = world.clock.now();
    world.create("s", ttl(100)).await;
    world.clock.advance(secs(50));
    world.ok(append("s")).await;
    world.clock.set(Timestamp::from_millis(made.as_millis() - 3_600_000));
    world.ok(append("s")).await;
    world.ok(call("GET", "/v1/stream/s")).await;
    // Counted from the latest use there ever was.
    world.ends_at("s", made.after(secs(150)), "after the clock was set back").await;
    let id = world.life().store.next_id();
    world.create("t", ttl(100)).await;
    let state = world.life().store.load(keyfold::model::StreamId(id.0 + 1)).unwrap();
    assert!(state.used_at >= made.after(secs(150)));
}

#[tokio::test]
async fn a_closed_stream_ends_too() {
    let world = World::new();
    world.create("s", ttl(100)).await;
    world.ok(close("s")).await;
    let closed = world.clock.now();
    world.ends_at("s", closed.after(secs(100)), "closed").await;
}

// ---- across restarts ------------------------------------------------------------------------------------------------

#[tokio::test]
async fn after_a_restart_it_counts_from_the_later_of_journaled_use_and_start() {
    for (used, restarted, ends) in [
        // Read a moment ago, which is not in the log: the start counts.
        (5, 6, 106),
        (50, 55, 155),
        (99, 99, 199),
    ] {
        let mut world = World::new();
        let made = world.clock.now();
        world.create("s", ttl(100)).await;
        world.clock.set(made.after(secs(used)));
        world.ok(call("GET", "/v1/stream/s")).await;
        world.clock.set(made.after(secs(restarted)));
        world.restart().await;
        world.ends_at("s", made.after(secs(ends)), &format!("used {used}, restarted {restarted}")).await;
    }
    // The clock was behind at the start: the journaled use counts.
    let mut world = World::new();
    let made = world.clock.now();
    world.create("s", ttl(100)).await;
    world.clock.set(made.after(secs(50)));
    let before = world.life().store.stats().records;
    world.ok(call("GET", "/v1/stream/s")).await;
    world.eventually("the use is journaled", |world| world.life().store.stats().records > before).await;
    world.clock.set(made);
    world.restart().await;
    world.ends_at("s", made.after(secs(150)), "with a clock that is behind").await;
}

#[tokio::test]
async fn reads_reach_the_log_at_most_every_tenth_of_the_window() {
    let world = World::new();
    world.create("s", ttl(100)).await;
    let before = world.life().store.stats().records;
    for _ in 0..100 {
        world.clock.advance(secs(1));
        world.ok(call("GET", "/v1/stream/s")).await;
    }
    // Nobody waited for them; the next write does.
    world.ok(append("s")).await;
    assert_eq!(world.life().store.stats().records - before, 10 + 1);
}

#[tokio::test]
async fn streams_end_after_a_restart_although_nobody_asks() {
    let mut world = World::new();
    let made = world.clock.now();
    world.create("idle", ttl(100)).await;
    world.create("fixed", until(made.after(secs(130)))).await;
    world.create("over", until(made.after(secs(20)))).await;
    world.clock.advance(secs(40));
    world.restart().await;
    world.eventually("the one that is over", |world| !world.is_stored("over")).await;
    world.clock.set(Timestamp::from_millis(made.after(secs(130)).as_millis() - 1));
    tokio::time::sleep(20 * MS).await;
    assert!(world.is_stored("fixed") && world.is_stored("idle"));
    world.clock.set(made.after(secs(130)));
    world.eventually("the fixed end", |world| !world.is_stored("fixed")).await;
    assert!(world.is_stored("idle"), "it counts from the start");
    world.clock.set(made.after(secs(140)));
    world.eventually("the idle one", |world| !world.is_stored("idle")).await;
}

#[tokio::test]
async fn closing_survives_a_restart() {
    let mut world = World::new();
    world.create("s", ttl(100)).await;
    world.ok(append("s").producer(("p", 0, 0)).header("stream-closed", "true")).await;
    world.restart().await;
    assert!(world.ok(call("HEAD", "/v1/stream/s")).await.closed());
    let repeat = world.send(append("s").producer(("p", 0, 0)).header("stream-closed", "true")).await;
    assert_eq!((repeat.status, repeat.closed()), (204, true));
    assert_eq!(world.send(append("s")).await.status, 409);
}

// ---- memory and space -----------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_timer_does_not_keep_a_stream_in_memory() {
    let world = World::with_idle(secs(10));
    let made = world.clock.now();
    for n in 0..200 {
        world.create(&format!("s{n}"), ttl(1000)).await;
    }
    world.clock.advance(secs(60));
    // A use that is not in the log.
    world.ok(call("GET", "/v1/stream/s7")).await;
    world.clock.advance(secs(11));
    world.eventually("nothing is held", |world| world.life().engine.handles_held() == 0).await;
    world.clock.set(made.after(secs(1000)));
    world
        .eventually("the others end", |world| (0..200).filter(|n| world.is_stored(&format!("s{n}"))).count() == 1)
        .await;
    world.clock.advance(secs(11));
    world.eventually("nothing is held again", |world| world.life().engine.handles_held() == 0).await;
    world.ends_at("s7", made.after(secs(1060)), "its use was remembered").await;
}

#[tokio::test]
async fn an_expired_stream_gives_its_segments_back() {
    const LINE: &str = "0123456789abcdef";
    let mut world = World::new();
    world.create("kept", ("stream-seq", "x".into())).await;
    world.ok(append("kept")).await;
    let made = world.clock.now();
    world.create("s", ttl(100)).await;
    let text: &'static str = Box::leak(LINE.repeat(1000).into_boxed_str());
    for _ in 0..40 {
        world.ok(call("POST", "/v1/stream/s").text(text)).await;
    }
    world.ok(append("kept")).await;
    assert!(world.life().store.stats().segments > 9);
    world.clock.set(made.after(secs(100)));
    // One has what is kept, one is written to.
    world.eventually("its segments go", |world| world.life().store.stats().segments <= 3).await;
    assert!(world.life().store.stats().stored_bytes < 3 * (64 << 10));
    for _ in 0..2 {
        assert_eq!(&world.ok(call("GET", "/v1/stream/kept")).await.body[..], b"xx");
        assert!(!world.is_there("s").await);
        world.restart().await;
        assert!(world.life().store.stats().segments <= 4);
    }
    world.create("s", ttl(100)).await;
    assert!(world.ok(append("s")).await.header("stream-next-offset") > "0000000000007d00");
}

// ---- closing --------------------------------------------------------------------------------------------------------

/// Everything that a `POST` can be on an open stream and on one that was closed in any way.
#[tokio::test]
async fn a_closed_stream_answers_as_specified() {
    type Tuple = Option<(&'static str, u64, u64)>;
    let by: Tuple = Some(("p", 1, 1));
    let post = |body: bool, closes: bool, tuple: Tuple| {
        let mut call = call("POST", "/v1/stream/s");
        call = if body { call.text("x") } else { call };
        call = if closes { call.header("stream-closed", "true") } else { call };
        tuple.map_or(call.clone(), |tuple| call.producer(tuple))
    };
    // How it was closed: (with a body, by which tuple); `None` for open.
    let closings = [None, Some((false, None)), Some((true, None)), Some((false, by)), Some((true, by))];
    let tuples: [Tuple; 7] = [
        None,
        by,
        // The batch before, the next one, another epoch's, a fenced one's, somebody else's.
        Some(("p", 1, 0)),
        Some(("p", 1, 2)),
        Some(("p", 2, 0)),
        Some(("p", 0, 9)),
        Some(("q", 0, 0)),
    ];
    for closing in closings {
        for (body, closes, tuple) in tuples
            .iter()
            .flat_map(|t| [(true, true), (true, false), (false, true), (false, false)].map(|(b, c)| (b, c, *t)))
        {
            let world = World::new();
            world.create("s", ttl(100)).await;
            world.ok(append("s").producer(("p", 1, 0))).await;
            if let Some((body, tuple)) = closing {
                world.ok(post(body, true, tuple)).await;
            }
            let before = world.ok(call("HEAD", "/v1/stream/s")).await.header("stream-next-offset").to_owned();
            let reply = world.send(post(body, closes, tuple)).await;
            let after = world.ok(call("HEAD", "/v1/stream/s")).await;
            let what = format!("closed {closing:?}, then body {body}, closes {closes}, {tuple:?}: {reply:?}");
            let is_repeat = closing.is_some_and(|(_, by)| by.is_some() && by == tuple);
            let expected = match (closing, body, closes, tuple) {
                (_, false, false, _) => 400,
                // The tuple that closed it, whatever it carries now: decided by the tuple alone.
                (Some(_), ..) if is_repeat => 204,
                // A fenced incarnation learns that it is; both are conflicts for the client.
                (_, _, _, Some(("p", 0, _))) => 403,
                (Some(_), false, true, None) => 204,
                (Some(_), ..) => 409,
                (None, true, _, None) | (None, false, _, None) => 204,
                (None, _, _, Some(("p", 1, 0))) => 204,
                (None, _, _, Some(("p", 1, 2))) => 409,
                (None, body, _, _) => {
                    if body {
                        200
                    } else {
                        204
                    }
                }
            };
            assert_eq!(reply.status, expected, "{what}");
            let wrote = closing.is_none() && matches!(reply.status, 200 | 204) && tuple != Some(("p", 1, 0));
            assert_eq!(after.header("stream-next-offset") > before.as_str(), wrote && body, "{what}");
            let is_closed = closing.is_some() || (wrote && closes);
            assert_eq!(after.closed(), is_closed, "{what}");
            if !matches!(reply.status, 400 | 403) {
                assert_eq!(reply.closed(), is_closed, "{what}");
                let says_tail = reply.status != 409 || closing.is_some();
                assert!(
                    !says_tail || reply.header("stream-next-offset") == after.header("stream-next-offset"),
                    "{what}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_put_matches_only_a_stream_as_closed_as_it_asks() {
    let put = |closed: Option<&'static str>, body: &'static str| {
        let mut call = call("PUT", "/v1/stream/s").header("content-type", "text/plain");
        call.body = body;
        closed.map_or(call.clone(), |value| call.header("stream-closed", value))
    };
    for created_closed in [false, true] {
        for closed_later in [false, true] {
            for (asked, is_asked) in [(None, false), (Some("true"), true), (Some("TRUE"), true), (Some("yes"), false)]
            {
                let world = World::new();
                let made = world.send(put(created_closed.then_some("true"), "abc")).await;
                assert_eq!((made.status, made.closed()), (201, created_closed));
                if closed_later {
                    world.ok(close("s")).await;
                }
                let is_closed = created_closed || closed_later;
                let reply = world.send(put(asked, "")).await;
                let expected = if is_closed == is_asked { 200 } else { 409 };
                assert_eq!(reply.status, expected, "{created_closed} {closed_later} {asked:?}: {reply:?}");
                assert!(reply.status == 409 || reply.closed() == is_closed);
                assert_eq!(&world.ok(call("GET", "/v1/stream/s")).await.body[..], b"abc");
            }
        }
    }
}

#[tokio::test]
async fn the_end_of_a_closed_stream_is_said_in_every_mode() {
    let world = World::new();
    world.create("s", ttl(100)).await;
    world.ok(append("s").header("stream-closed", "true")).await;
    let get = |query: &str| call("GET", format!("/v1/stream/s?{query}"));
    let all = world.ok(get("offset=-1")).await;
    assert!(all.closed() && all.header("stream-up-to-date") == "true" && &all.body[..] == b"x");
    let at_end = world.ok(get("offset=now")).await;
    assert!(at_end.status == 200 && at_end.closed() && at_end.body.is_empty());
    let poll = world.ok(get("offset=now&live=long-poll")).await;
    assert_eq!((poll.status, poll.closed(), poll.header("stream-up-to-date")), (204, true, "true"));
    let sse = world.ok(get("offset=-1&live=sse")).await;
    let said = std::str::from_utf8(&sse.body).unwrap();
    assert!(said.matches("\"streamClosed\":true").count() == 1 && said.ends_with("\n\n"), "{said:?}");
}

// ---- a name that is taken again -------------------------------------------------------------------------------------

/// What a client knows of the stream under a name.
#[derive(Clone, Debug, Default)]
struct Known {
    text: String,
    closed: bool,
    seq: Option<u32>,
    /// The last tuple of each producer.
    producers: BTreeMap<&'static str, (u64, u64)>,
    ttl: u64,
    used_at: Timestamp,
}

/// Streams as a client sees them; offsets per name are only ever compared.
#[derive(Default)]
struct Model {
    streams: BTreeMap<&'static str, Known>,
    /// The highest offset that a name ever gave out.
    highest: BTreeMap<&'static str, String>,
    /// Names that were taken since their last offset was noted.
    fresh: BTreeMap<&'static str, bool>,
}

const NAMES: [&str; 3] = ["a", "b", "a/b"];

impl Model {
    fn expire(&mut self, now: Timestamp) {
        self.streams.retain(|_, known| known.used_at.after(secs(known.ttl)) > now);
    }

    /// An offset that a stream's tail was told as: above all that its name gave out, if it is a new one.
    fn offset(&mut self, name: &'static str, offset: &str, what: &str) {
        let highest = self.highest.entry(name).or_default();
        match self.fresh.remove(name) {
            Some(_) if !highest.is_empty() => assert!(offset > highest.as_str(), "{what}: {offset} was given before"),
            _ => assert!(offset >= highest.as_str(), "{what}: {offset} after {highest}"),
        }
        *highest = highest.as_str().max(offset).to_owned();
    }
}

async fn live_through(seed: u64) {
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut world = World::with_idle(secs(20));
    let mut model = Model::default();
    for step in 0..60 {
        let name = NAMES[dice.usize(..NAMES.len())];
        let now = world.clock.now();
        model.expire(now);
        let known = model.streams.get(name).cloned();
        let what = format!("seed {seed}, step {step}, {name}, {known:?}");
        match dice.u8(..20) {
            0..4 => {
                let ttl = [30, 100][dice.usize(..2)];
                let closed = dice.u8(..5) == 0;
                let mut put = call("PUT", format!("/v1/stream/{name}")).header("content-type", "text/plain");
                put = put.header("stream-ttl", ttl);
                put = if closed { put.header("stream-closed", "true") } else { put };
                let reply = world.send(put).await;
                match known {
                    None => {
                        assert_eq!(reply.status, 201, "{what}: {reply:?}");
                        model.streams.insert(name, Known { closed, ttl, used_at: now, ..Known::default() });
                        model.fresh.insert(name, true);
                        model.offset(name, reply.header("stream-next-offset"), &what);
                    }
                    Some(known) => {
                        let agrees = known.ttl == ttl && known.closed == closed;
                        assert_eq!(reply.status, if agrees { 200 } else { 409 }, "{what}: {reply:?}");
                    }
                }
            }
            4..10 => {
                let (epoch, seq) = (dice.u64(..3), dice.u64(..3));
                let producer = [None, Some("p"), Some("q")][dice.usize(..3)];
                let stream_seq = (dice.u8(..3) == 0).then(|| dice.u32(10..99));
                let mut post = append(name);
                post = producer.map_or(post.clone(), |id| post.producer((id, epoch, seq)));
                post = stream_seq.map_or(post.clone(), |seq| post.header("stream-seq", seq));
                let reply = world.send(post).await;
                let Some(mut known) = known else {
                    assert_eq!(reply.status, 404, "{what}: {reply:?}");
                    continue;
                };
                let last = producer.and_then(|id| known.producers.get(id)).copied();
                let fence = producer.map(|_| match last {
                    Some((current, _)) if epoch < current => 403,
                    Some((current, last)) if epoch == current && seq <= last => 204,
                    Some((current, last)) if epoch == current && seq > last + 1 => 409,
                    Some((current, _)) if epoch > current && seq != 0 => 400,
                    None if seq != 0 => 409,
                    _ => 200,
                });
                let regresses = stream_seq.is_some() && stream_seq <= known.seq;
                let expected = match fence {
                    Some(403) => 403,
                    _ if known.closed => 409,
                    Some(refused) if refused != 200 => refused,
                    _ if regresses => 409,
                    fence => fence.unwrap_or(204),
                };
                assert_eq!(reply.status, expected, "{what}: {producer:?} {epoch} {seq} {stream_seq:?}: {reply:?}");
                if matches!(expected, 200 | 204) {
                    known.used_at = now;
                }
                if expected == 200 || fence.is_none() && expected == 204 {
                    known.text.push('x');
                    known.seq = stream_seq.or(known.seq);
                    producer.map(|id| known.producers.insert(id, (epoch, seq)));
                    model.offset(name, reply.header("stream-next-offset"), &what);
                }
                model.streams.insert(name, known);
            }
            10 => {
                let reply = world.send(close(name)).await;
                assert_eq!(reply.status, if known.is_some() { 204 } else { 404 }, "{what}: {reply:?}");
                if let Some(known) = model.streams.get_mut(name) {
                    (known.closed, known.used_at) = (true, now);
                }
            }
            11..13 => {
                let reply = world.send(call("DELETE", format!("/v1/stream/{name}"))).await;
                assert_eq!(reply.status, if known.is_some() { 204 } else { 404 }, "{what}: {reply:?}");
                model.streams.remove(name);
            }
            13..16 => world.clock.advance(secs(dice.u64(1..40))),
            16 => {
                let gone = |name: &&&str| !model.streams.contains_key(**name);
                let is_ended = |world: &World| NAMES.iter().filter(gone).all(|name| !world.is_stored(name));
                world.eventually("what is over has ended", is_ended).await;
                world.restart().await;
                // A start is a use, of what had not ended.
                model.streams.values_mut().for_each(|known| known.used_at = known.used_at.max(now));
            }
            _ => {
                let reply = world.send(call("GET", format!("/v1/stream/{name}"))).await;
                match &known {
                    None => assert_eq!(reply.status, 404, "{what}: {reply:?}"),
                    Some(known) => {
                        assert_eq!((reply.status, &reply.body[..]), (200, known.text.as_bytes()), "{what}");
                        assert_eq!(reply.closed(), known.closed, "{what}");
                        model.offset(name, reply.header("stream-next-offset"), &what);
                    }
                }
                if let Some(known) = model.streams.get_mut(name) {
                    known.used_at = now;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_name_that_is_taken_again_inherits_nothing() {
    let seeds = std::env::var("KEYFOLD_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(40);
    for seed in 0..seeds {
        live_through(seed).await;
    }
}

/// What the model does not say: schema and quarantine.
#[tokio::test]
async fn a_name_that_is_taken_again_has_neither_schema_nor_quarantine() {
    const DOCUMENT: &str = r#"{"collections":{"jobs":{"type":"job","primaryKey":"id",
        "schema":{"type":"object","properties":{"id":{"type":"string"}},"required":["id"]}}}}"#;
    let mut world = World::new();
    world.ok(call("POST", "/v1/schemas/things/versions").json(DOCUMENT)).await;
    let bind = r#"{"pattern":"t/**","subject":"things","validation":"quarantine"}"#;
    world.ok(call("PUT", "/v1/bindings/t").json(bind)).await;
    world.ok(call("PUT", "/v1/stream/t/s").header("stream-ttl", 100)).await;
    let bad = r#"[{"type":"job","key":"a","value":{"id":7},"headers":{"operation":"upsert"}}]"#;
    let made = world.clock.now();
    world.ok(call("POST", "/v1/stream/t/s").json(bad)).await;
    let quarantined =
        |reply: Reply| serde_json::from_slice::<serde_json::Value>(&reply.body).unwrap()["quarantined"].clone();
    assert_eq!(quarantined(world.ok(call("GET", "/v1/state/t/s")).await), json!(1));
    world.clock.set(made.after(secs(100)));
    world.eventually("the stream ends", |world| !world.is_stored("t/s")).await;
    world.ok(call("DELETE", "/v1/bindings/t")).await;
    for _ in 0..2 {
        assert!(!world.is_there("t/s").await);
        world.restart().await;
    }
    world.create("t/s", ttl(100)).await;
    assert_eq!(world.ok(call("HEAD", "/v1/stream/t/s")).await.header("stream-schema"), "");
    assert_eq!(quarantined(world.ok(call("GET", "/v1/state/t/s")).await), json!(0));
    assert_eq!(world.send(call("GET", "/v1/stream/t/s?offset=-1")).await.body.len(), 0);
}
