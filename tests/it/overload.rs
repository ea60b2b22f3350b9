//! Too much of something: what is beyond a bound is told so, at once or after a stated time; nothing of it is written;
//! and once there is room the server goes on as before.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request};
use http_body_util::BodyExt;
use keyfold::api::{Api, ApiSettings, router};
use keyfold::client::no_tls;
use keyfold::config::{ServeArgs, StoreKind};
use keyfold::engine::{AppendRequest, CreateRequest, Engine, Fault, Settings, Shed};
use keyfold::model::{ContentType, Limits, StreamName};
use keyfold::runtime::Clock;
use keyfold::server::{self, Running};
use keyfold::storage::{MemoryStore, SharedStore};
use keyfold::stream::Lifetime;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower::ServiceExt;

use crate::engine::Gated;

/// A service in this process, and its engine.
struct World {
    engine: Engine,
    router: Router,
}

impl World {
    fn on(store: SharedStore, limits: Limits) -> Self {
        let settings = Settings { limits, fold_patience: Duration::from_millis(500), ..Settings::default() };
        let engine = Engine::start(store, Clock::system(), settings).unwrap();
        let patience = Duration::from_millis(300);
        let settings =
            ApiSettings { long_poll: Duration::from_millis(50), body_patience: patience, ..ApiSettings::default() };
        let api = Api::new(settings);
        api.serve_from(engine.clone());
        Self { engine, router: router(api) }
    }

    async fn ask(&self, method: &str, path: &str, body: impl Into<Body>) -> (u16, HeaderMap, Value) {
        let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        let answer = self.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let (head, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status.as_u16(), head.headers, serde_json::from_slice(&body).unwrap_or_default())
    }

    fn shed(&self, shed: Shed) -> u64 {
        self.engine.counters.sheds.read(shed)
    }
}

/// That an answer says: too much, nothing written, come back.
fn is_busy((status, head, problem): &(u16, HeaderMap, Value)) {
    assert_eq!((*status, &problem["written"]), (503, &json!("no")), "{problem}");
    assert_eq!(problem["type"], "https://keyfold.dev/problems/busy");
    assert_eq!(head["retry-after"], "1");
}

fn name(text: &str) -> StreamName {
    StreamName::parse(text).unwrap()
}

#[tokio::test]
async fn asking_for_names_that_do_not_exist_costs_no_memory() {
    let world = World::on(MemoryStore::new(Clock::system()), Limits::default());
    for n in 0..2_000 {
        for (method, path) in [
            ("GET", format!("/v1/stream/no/{n}")),
            ("GET", format!("/v1/stream/no/{n}?offset=-1&live=long-poll")),
            ("HEAD", format!("/v1/stream/no/{n}")),
            ("DELETE", format!("/v1/stream/no/{n}")),
            ("POST", format!("/v1/stream/no/{n}")),
            ("GET", format!("/v1/state/no/{n}")),
            ("GET", format!("/v1/state/no/{n}/-/snapshot")),
            ("GET", format!("/v1/state/no/{n}/-/entities/a/b")),
            ("PUT", format!("/v1/state/no/{n}/-/entities/a/b")),
            ("GET", format!("/v1/state/no/{n}/-/quarantine")),
        ] {
            let (status, ..) = world.ask(method, &path, "[1]").await;
            assert!((400..500).contains(&status), "{method} {path}: {status}");
        }
    }
    assert_eq!(world.engine.handles_held(), 0);
}

async fn created(engine: &Engine, stream: &str) {
    let request = CreateRequest {
        name: name(stream),
        content_type: Some(ContentType::parse("text/plain").unwrap()),
        lifetime: Lifetime::Unlimited,
        closed: false,
        schema: None,
        fork: None,
        body: Bytes::new(),
    };
    engine.create(request).await.unwrap();
}

/// Appends one byte; what it was told, once it was told something.
async fn append(engine: &Engine, stream: &str) -> tokio::task::JoinHandle<Result<(), Fault>> {
    let content_type = Some(ContentType::parse("text/plain").unwrap());
    let body = Bytes::from_static(b"x");
    let request = AppendRequest { content_type, producer: None, stream_seq: None, closes: false, body };
    let (engine, stream) = (engine.clone(), name(stream));
    let answer = tokio::spawn(async move { engine.append(&stream, request).await.map(drop) });
    tokio::time::sleep(Duration::from_millis(10)).await;
    answer
}

#[tokio::test]
async fn a_flood_of_small_appends_is_bounded_by_stream_and_by_server() {
    let store = Gated::new();
    let limits = Limits { stream_in_flight_bytes_max: 2_000, in_flight_bytes_max: 4_000, ..Limits::default() };
    let world = World::on(store.clone(), limits);
    for stream in ["a", "b", "c"] {
        created(&world.engine, stream).await;
    }
    store.shut();
    let (mut waiting, mut stream_busy, mut busy) = (Vec::new(), 0, 0);
    for stream in ["a", "b", "c"] {
        for _ in 0..10 {
            let answer = append(&world.engine, stream).await;
            match answer.is_finished() {
                false => waiting.push(answer),
                true => match answer.await.unwrap() {
                    Err(Fault::StreamBusy { .. }) => stream_busy += 1,
                    Err(Fault::Busy { .. }) => busy += 1,
                    other => panic!("{other:?}"),
                },
            }
        }
    }
    assert!(waiting.len() <= 10 && stream_busy > 0 && busy > 0, "{} {stream_busy} {busy}", waiting.len());
    assert_eq!((world.shed(Shed::StreamInFlight), world.shed(Shed::InFlight)), (stream_busy, busy));
    store.open();
    let accepted = waiting.len() as u64;
    for answer in waiting {
        answer.await.unwrap().unwrap();
    }
    for stream in ["a", "b", "c"] {
        append(&world.engine, stream).await.await.unwrap().unwrap();
    }
    let mut stored = 0;
    for stream in ["a", "b", "c"] {
        stored += world.engine.open(&name(stream)).await.unwrap().1.unwrap().bytes;
    }
    assert_eq!(stored, accepted + 3, "what was refused was written, or what was accepted was not");
}

/// A store with typed streams `t/0` and `t/1` of one entity each.
async fn with_typed_streams() -> Arc<Gated> {
    let store = Gated::new();
    let world = World::on(store.clone(), Limits::default());
    let schema = json!({ "type": "object", "required": ["id"], "properties": { "id": { "type": "string" } } });
    let document = json!({ "collections": { "things": { "type": "thing", "primaryKey": "id", "schema": schema } } });
    let sent = world.ask("POST", "/v1/schemas/things/versions", document.to_string()).await;
    assert!(sent.0 < 300, "{sent:?}");
    let binding = json!({ "pattern": "t/*", "subject": "things" });
    let sent = world.ask("PUT", "/v1/bindings/things", binding.to_string()).await;
    assert!(sent.0 < 300, "{sent:?}");
    for n in 0..2 {
        let sent = world.ask("PUT", &format!("/v1/state/t/{n}/-/entities/thing/a"), r#"{"id":"a"}"#).await;
        assert!(sent.0 < 300, "{sent:?}");
    }
    store
}

#[tokio::test]
async fn streams_that_must_be_read_again_wait_for_a_place_and_are_then_refused() {
    let store = with_typed_streams().await;
    // Started anew, it knows the newest changes of neither.
    let world = World::on(store.clone(), Limits { fold_loads_max: 1, ..Limits::default() });
    store.reads_stuck.store(true, Ordering::Relaxed);
    let ask = |path: &'static str| {
        let (router, engine) = (world.router.clone(), world.engine.clone());
        tokio::spawn(async move { World { router, engine }.ask("GET", path, Body::empty()).await })
    };
    let turn = async || tokio::time::sleep(Duration::from_millis(50)).await;
    let first = ask("/v1/state/t/0/-/entities/thing/a");
    turn().await;
    let others = [ask("/v1/state/t/1/-/entities/thing/a"), ask("/v1/state/t/1/-/entities/thing/a")];
    turn().await;
    let write = tokio::spawn({
        let (router, engine) = (world.router.clone(), world.engine.clone());
        async move { World { router, engine }.ask("PUT", "/v1/state/t/1/-/entities/thing/b", r#"{"id":"b"}"#).await }
    });
    for refused in others.into_iter().chain([write]) {
        is_busy(&refused.await.unwrap());
    }
    assert_eq!(world.shed(Shed::FoldLoads), 3);
    assert!(!first.is_finished());
    store.reads_stuck.store(false, Ordering::Relaxed);
    assert_eq!(first.await.unwrap().0, 200);
    assert_eq!(world.ask("GET", "/v1/state/t/1/-/entities/thing/a", Body::empty()).await.0, 200);
    assert_eq!(world.ask("GET", "/v1/state/t/1/-/entities/thing/b", Body::empty()).await.0, 404);
}

#[tokio::test]
async fn newest_changes_beyond_the_bound_are_dropped_where_nobody_uses_them() {
    let store = with_typed_streams().await;
    let world = World::on(store, Limits { folds_bytes_max: 1, ..Limits::default() });
    let sweeper = tokio::spawn(world.engine.clone().sweep(Duration::from_millis(10)));
    for _ in 0..3 {
        for n in 0..2 {
            let entity = world.ask("GET", &format!("/v1/state/t/{n}/-/entities/thing/a"), Body::empty()).await;
            assert_eq!(entity.0, 200);
            tokio::time::sleep(Duration::from_millis(30)).await;
            assert_eq!(world.engine.folds_bytes(), 0);
        }
    }
    world.engine.begin_stop();
    sweeper.await.unwrap();
}

#[tokio::test]
async fn a_body_that_trickles_gives_its_place_back() {
    let world = World::on(MemoryStore::new(Clock::system()), Limits::default());
    let trickle = futures_util::stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Some((Ok::<_, std::io::Error>(Bytes::from_static(b"1")), ()))
    });
    let (status, ..) = world.ask("PUT", "/v1/stream/a", Body::from_stream(trickle)).await;
    assert_eq!(status, 408);
    assert_eq!(world.ask("HEAD", "/v1/stream/a", Body::empty()).await.0, 404);
}

/// A server of this process on a real socket.
struct Served {
    running: Running,
    client: reqwest::Client,
}

impl Served {
    async fn start(settings: ServeArgs) -> Self {
        let settings = ServeArgs {
            host: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            port: Some(0),
            store: Some(StoreKind::Memory),
            ..settings
        };
        let running = server::start(settings.settings().unwrap()).await.unwrap();
        let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0);
        let client = client.tls_backend_preconfigured(no_tls()).build().unwrap();
        Self { running, client }
    }

    async fn ask(&self, method: reqwest::Method, path: &str) -> (u16, HeaderMap, Value) {
        let answer = self.client.request(method, format!("{}{path}", self.running.url())).send().await.unwrap();
        let (status, head) = (answer.status().as_u16(), answer.headers().clone());
        (status, head, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
    }

    /// A connection on which a request has been begun.
    async fn began(&self, head: &str) -> TcpStream {
        let mut socket = TcpStream::connect(self.running.address).await.unwrap();
        socket.write_all(format!("{head}\r\nHost: a\r\n").as_bytes()).await.unwrap();
        socket
    }

    async fn metric(&self, name: &str) -> u64 {
        let text = self.client.get(format!("{}/metrics", self.running.url())).send().await.unwrap();
        let text = text.text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }

    /// Until a metric is as wanted.
    async fn until(&self, name: &str, wanted: impl Fn(u64) -> bool) -> u64 {
        let began = Instant::now();
        loop {
            let value = self.metric(name).await;
            if wanted(value) {
                return value;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "{name} is {value}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn requests_beyond_those_in_hand_are_refused_and_nothing_of_them_is_written() {
    let served = Served::start(ServeArgs { requests_max: Some(2), ..ServeArgs::default() }).await;
    let mut held = Vec::new();
    for n in 0..2 {
        // The body is still to come.
        let mut socket = served.began(&format!("PUT /v1/stream/{n} HTTP/1.1")).await;
        socket.write_all(b"Content-Type: text/plain\r\nContent-Length: 4\r\n\r\nab").await.unwrap();
        held.push(socket);
    }
    served.until("keyfold_bodies_held_bytes", |bytes| bytes >= 2).await;
    is_busy(&served.ask(reqwest::Method::PUT, "/v1/stream/refused").await);
    // Those who look after the server are let in.
    assert_eq!(served.ask(reqwest::Method::GET, "/health").await.0, 200);
    assert_eq!(served.metric("keyfold_shed_total{reason=\"requests\"}").await, 1);
    for socket in &mut held {
        socket.write_all(b"cd").await.unwrap();
        let mut answer = [0; 12];
        socket.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 201");
    }
    assert_eq!(served.ask(reqwest::Method::HEAD, "/v1/stream/refused").await.0, 404);
    assert_eq!(served.ask(reqwest::Method::PUT, "/v1/stream/refused").await.0, 201);
}

#[tokio::test]
async fn live_readers_beyond_the_bound_are_refused_until_one_leaves() {
    let settings = ServeArgs { live_readers_max: Some(2), heartbeat_ms: Some(20), ..ServeArgs::default() };
    let served = Served::start(settings).await;
    assert_eq!(served.ask(reqwest::Method::PUT, "/v1/stream/a").await.0, 201);
    let mut live = Vec::new();
    for _ in 0..2 {
        let url = format!("{}/v1/stream/a?offset=-1&live=sse", served.running.url());
        live.push(served.client.get(url).send().await.unwrap());
    }
    for kind in ["sse", "long-poll"] {
        is_busy(&served.ask(reqwest::Method::GET, &format!("/v1/stream/a?offset=-1&live={kind}")).await);
    }
    assert_eq!(served.metric("keyfold_live_readers").await, 2);
    assert_eq!(served.metric("keyfold_shed_total{reason=\"live_readers\"}").await, 2);
    live.pop();
    served.until("keyfold_live_readers", |readers| readers == 1).await;
    let url = format!("{}/v1/stream/a?offset=-1&live=sse", served.running.url());
    assert_eq!(served.client.get(url).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn connections_beyond_the_bound_are_closed_and_counted() {
    let served = Served::start(ServeArgs { connections_max: Some(2), ..ServeArgs::default() }).await;
    let held = [served.began("GET /health HTTP/1.1").await, served.began("GET /health HTTP/1.1").await];
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut further = TcpStream::connect(served.running.address).await.unwrap();
    let closed = tokio::time::timeout(Duration::from_secs(5), further.read(&mut [0; 1])).await.unwrap();
    assert!(!matches!(closed, Ok(1..)), "{closed:?}");
    drop(held);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(served.metric("keyfold_shed_total{reason=\"connections\"}").await, 1);
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off() {
    let served = Served::start(ServeArgs::default()).await;
    let mut socket = served.began("GET /health HTTP/1.1").await;
    let line = format!("X-A: {}\r\n", "a".repeat(8_000));
    let mut sent = 0;
    while sent < 4 << 20 && socket.write_all(line.as_bytes()).await.is_ok() {
        sent += line.len();
    }
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), socket.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_is_stuck_costs_a_page_and_a_socket_until_it_is_cut_off() {
    const PAGE: usize = 256 << 10;
    const READERS: usize = 6;
    let settings = ServeArgs {
        page_bytes_max: Some(PAGE),
        // As far as pages go, the stuck ones could have it all.
        pages_bytes_max: Some(READERS * 2 * PAGE),
        write_timeout_ms: Some(2_000),
        ..ServeArgs::default()
    };
    let served = Served::start(settings).await;
    let url = format!("{}/v1/stream/a", served.running.url());
    let put = served.client.put(&url).header("content-type", "text/plain");
    assert_eq!(put.send().await.unwrap().status(), 201);
    // More than sockets take of their own.
    let bytes: usize = 32 << 20;
    for _ in 0..bytes / (8 << 20) {
        let post = served.client.post(&url).header("content-type", "text/plain");
        assert_eq!(post.body("x".repeat(8 << 20)).send().await.unwrap().status(), 204);
    }
    let mut stuck = Vec::new();
    for _ in 0..READERS {
        let mut socket = served.began("GET /v1/stream/a?offset=-1&live=sse HTTP/1.1").await;
        socket.write_all(b"\r\n").await.unwrap();
        stuck.push(socket);
    }
    let (mut most, mut least) = (0, u64::MAX);
    tokio::time::sleep(Duration::from_millis(700)).await;
    for _ in 0..10 {
        let held = served.metric("keyfold_pages_held_bytes").await;
        (most, least) = (most.max(held), least.min(held));
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    assert!(least > 0 && most <= (READERS * PAGE) as u64, "{least} to {most}");
    // Others read all of it meanwhile.
    let (mut offset, mut read) = ("-1".to_owned(), 0);
    while read < bytes {
        let page = served.client.get(format!("{url}?offset={offset}")).send().await.unwrap();
        assert_eq!(page.status(), 200);
        offset = page.headers()["stream-next-offset"].to_str().unwrap().to_owned();
        read += page.bytes().await.unwrap().len();
    }
    served.until("keyfold_live_readers", |readers| readers == 0).await;
    served.until("keyfold_pages_held_bytes", |bytes| bytes == 0).await;
}
