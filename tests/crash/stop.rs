//! Starting and stopping as an operator does it.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http::{Http, JSON};
use crate::process::{Process, SERVING_WITHIN};

#[test]
fn a_second_server_on_one_directory_is_refused() {
    let dir = TempDir::new().expect("a directory");
    let first = Process::start(dir.path(), &[]);
    first.url();
    let mut second = Process::start(dir.path(), &[]);
    let status = second.ended(SERVING_WITHIN);
    assert_eq!(status.code(), Some(1));
    // The end of its log may come after its end.
    std::thread::sleep(Duration::from_millis(100));
    assert!(second.log().contains("in use by another server"), "{}", second.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_live_reads_on_a_frame_and_loses_nothing() {
    let dir = TempDir::new().expect("a directory");
    let mut server = Process::start(dir.path(), &[]);
    let http = Arc::new(Http::new(server.url()));
    http.send("PUT", "/v1/stream/s", &[JSON], "").await.expect("the server is up").expect(&[201]);
    typed_with_one_entity(&http).await;
    let mut readers = Vec::new();
    let events = "/v1/state/typed/-/events";
    for path in ["/v1/stream/s?offset=-1&live=sse", "/v1/stream/s?offset=now&live=sse", events] {
        let response = http.request("GET", path).send().await.expect("the server is up");
        assert_eq!(response.status(), 200, "{path}");
        readers.push(tokio::spawn(async move {
            let mut frames = response.bytes_stream();
            let mut text = Vec::new();
            while let Some(bytes) = frames.next().await {
                text.extend_from_slice(&bytes.expect("a response ends with its last chunk"));
            }
            String::from_utf8(text).expect("SSE is text")
        }));
    }
    let polling = http.clone();
    let poll = "/v1/stream/typed?offset=now&live=long-poll";
    let waiting = tokio::spawn(async move { polling.send("GET", poll, &[], "").await });
    let writing = tokio::spawn(write_until_refused(http));
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.terminate();
    for reader in readers {
        let text = tokio::time::timeout(SERVING_WITHIN, reader).await.expect("live reads end").expect("no panic");
        assert!(text.ends_with("\n\n"), "cut inside a frame: {:?}", &text[text.len().saturating_sub(100)..]);
        assert!(text.contains("\ndata:"), "{text}");
    }
    let waited = tokio::time::timeout(SERVING_WITHIN, waiting).await.expect("a long-poll ends").expect("no panic");
    waited.expect("it is answered").expect(&[204]);
    assert_eq!(server.ended(SERVING_WITHIN).code(), Some(0), "{}", server.log());
    let acked = writing.await.expect("no panic");

    let server = Process::start(dir.path(), &[]);
    let (found, _) = Http::new(server.url()).messages("s", "-1").await;
    assert!(found.len() == acked || found.len() == acked + 1, "{} of {acked}", found.len());
    assert!(found.iter().enumerate().all(|(at, message)| *message == at), "not once and in order");
}

async fn typed_with_one_entity(http: &Http) {
    let schema = json!({"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}});
    let document = json!({"collections": {"items": {"type": "item", "primaryKey": "id", "schema": schema}}});
    http.json("POST", "/v1/schemas/s/versions", &document).await.expect("the server is up").expect(&[201]);
    let binding = json!({"pattern": "typed", "subject": "s"});
    http.json("PUT", "/v1/bindings/typed", &binding).await.expect("the server is up").expect(&[201]);
    let entity = "/v1/state/typed/-/entities/item/a";
    http.json("PUT", entity, &json!({"id": "a"})).await.expect("the server is up").expect(&[200]);
}

/// Appends 0, 1, 2 … and gives how many were acknowledged.
async fn write_until_refused(http: Arc<Http>) -> usize {
    for next in 0.. {
        match http.json("POST", "/v1/stream/s", &json!([next])).await {
            Ok(reply) if reply.status == 204 => {}
            Ok(reply) => {
                reply.expect(&[503]);
                return next;
            }
            Err(_) => return next,
        }
    }
    unreachable!("the server stops at some time")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_during_recovery_is_told_to_come_again() {
    let dir = TempDir::new().expect("a directory");
    let server = Process::start(dir.path(), &["--segment-bytes", "1048576"]);
    let http = Http::new(server.url());
    http.send("PUT", "/v1/stream/s", &[JSON], "").await.expect("the server is up").expect(&[201]);
    let messages = Value::from((0..20_000).map(|n| json!({"n": n})).collect::<Vec<_>>());
    for _ in 0..40 {
        http.json("POST", "/v1/stream/s", &messages).await.expect("the server is up").expect(&[204]);
    }
    server.kill();
    std::fs::remove_dir_all(dir.path().join("catalogue")).expect("there is a catalogue");

    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let _server = Process::start(dir.path(), &["--segment-bytes", "1048576", "--port", &free.port().to_string()]);
    let http = Http::new(format!("http://{free}"));
    let (started, mut told) = (Instant::now(), 0);
    loop {
        assert!(started.elapsed() < SERVING_WITHIN, "not serving after {SERVING_WITHIN:?}");
        let Ok(reply) = http.send("GET", "/v1/stream/s?offset=-1", &[], "").await else {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        };
        if reply.status == 200 {
            break;
        }
        let reply = reply.expect(&[503]);
        assert!(reply.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds >= 1), "{reply:?}");
        assert_eq!(reply.header("content-type"), "application/problem+json");
        http.get("/health/live").await.expect(&[200]);
        told += 1;
    }
    assert!(told > 0, "recovered before anybody could ask");
}
