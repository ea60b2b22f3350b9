//! What clients are told when the disk is full, and when a barrier fails, through the real router on a simulated disk.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use futures_util::future::join_all;
use http_body_util::BodyExt;
use keyfold::api::{Api, ApiSettings, router};
use keyfold::engine::{Engine, Settings};
use keyfold::runtime::Clock;
use keyfold::storage::disk::SimDisk;
use keyfold::storage::{Journal, JournalOptions};
use serde_json::{Value, json};
use tower::ServiceExt;

const SEGMENT_BYTES: u64 = 16 << 10;

struct World {
    disk: SimDisk,
    engine: Engine,
    router: Router,
}

impl World {
    async fn start(disk: SimDisk) -> Self {
        let clock = Clock::system();
        let options = JournalOptions { segment_bytes: SEGMENT_BYTES, ..JournalOptions::new(clock.clone()) };
        let store = Journal::open(Arc::new(disk.clone()), options).unwrap();
        let engine = Engine::start(store, clock, Settings::default()).unwrap();
        let api = Api::new(ApiSettings::default());
        api.serve_from(engine.clone());
        let world = Self { disk, engine, router: router(api) };
        world.ask("PUT", "/v1/stream/s", Value::Null).await;
        world
    }

    /// The status, and the answer.
    async fn ask(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn append(&self, n: usize) -> (u16, Value) {
        self.ask("POST", "/v1/stream/s", json!([{"n": n, "padding": "x".repeat(2_000)}])).await
    }

    async fn numbers(&self) -> Vec<usize> {
        let (status, all) = self.ask("GET", "/v1/stream/s?offset=-1", Value::Null).await;
        assert_eq!(status, 200, "{all}");
        all.as_array().unwrap().iter().map(|message| message["n"].as_u64().unwrap() as usize).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_and_is_over_once_there_is_room() {
    let world = World::start(SimDisk::new()).await;
    world.ask("PUT", "/v1/stream/other", Value::Null).await;
    world.disk.set_capacity(Some(8 * SEGMENT_BYTES));
    let mut acked = 0;
    let problem = loop {
        match world.append(acked).await {
            (204, _) => acked += 1,
            (507, problem) => break problem,
            other => panic!("{other:?}"),
        }
        assert!(acked < 1_000, "the disk never gets full");
    };
    assert_eq!(problem["written"], "no", "{problem}");
    assert!(problem["type"].as_str().is_some_and(|kind| kind.ends_with("/disk-full")), "{problem}");
    assert_eq!(world.ask("GET", "/health/ready", Value::Null).await.0, 507);
    assert_eq!(world.ask("GET", "/health/live", Value::Null).await.0, 200);
    assert_eq!(world.numbers().await, (0..acked).collect::<Vec<_>>(), "reads are served");
    assert_eq!(world.ask("DELETE", "/v1/stream/other", Value::Null).await.0, 204, "what frees space is taken");

    world.disk.set_capacity(None);
    let since = Instant::now();
    while world.ask("GET", "/health/ready", Value::Null).await.0 != 200 {
        assert!(since.elapsed() < Duration::from_secs(10), "it does not recover");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(world.append(acked).await.0, 204);
    assert_eq!(world.numbers().await, (0..=acked).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_barrier_is_told_as_unknown_once_and_never_repeated() {
    let world = World::start(SimDisk::new()).await;
    assert_eq!(world.append(0).await.0, 204);
    // Spares are made by then, and the last group is proven: nothing else is synced from here on.
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.disk.fail_syncs(true);
    let answers = join_all((1..5).map(|n| world.append(n))).await;
    let unknown = answers.iter().filter(|(status, _)| *status == 500).count();
    assert!(unknown > 0, "{answers:?}");
    for (status, problem) in &answers {
        let written = if *status == 500 { "unknown" } else { "no" };
        assert!(matches!(status, 500 | 503) && problem["written"] == written, "{status}: {problem}");
    }
    // The disk would succeed now, and would have forgotten what it should have written.
    world.disk.fail_syncs(false);
    let before = world.disk.counts();
    let (status, problem) = world.append(5).await;
    assert_eq!((status, &problem["written"]), (503, &json!("no")), "{problem}");
    assert_eq!(world.ask("GET", "/health/ready", Value::Null).await.0, 503);
    assert_eq!(world.numbers().await, [0], "what is durable is served");
    world.engine.begin_stop();
    world.engine.close();
    assert_eq!(world.disk.counts(), before, "something was written or synced again");

    let disk = world.disk.clone();
    drop(world);
    disk.power_loss(1);
    let found = World::start(disk).await.numbers().await;
    assert!(found[0] == 0 && found[1..].iter().all(|n| (1..5).contains(n)), "{found:?}");
}
