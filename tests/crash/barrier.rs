//! A barrier that fails: the server says so, takes nothing more, and ends.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use keyfold::storage::die::Point;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http::{Http, JSON};
use crate::process::{Process, SERVING_WITHIN};
use crate::told::Told;

/// What one writer heard until the server was gone.
#[derive(Default)]
struct Heard {
    told: Told<Value>,
    unknown: usize,
    refused: usize,
}

async fn write_until_cut(http: Arc<Http>, id: usize) -> Heard {
    let mut heard = Heard::default();
    for n in 0.. {
        // What had no known outcome stays the last that may be there.
        let message = json!({"by": id, "n": n});
        if heard.unknown == 0 {
            heard.told.unanswered.push(message.clone());
        }
        let Ok(reply) = http.json("POST", "/v1/stream/s", &json!([message])).await else { break };
        match reply.status {
            204 => {
                assert_eq!(heard.unknown + heard.refused, 0, "a success after a failure");
                heard.told.ack();
            }
            500 => {
                let problem = reply.json();
                assert_eq!(problem["written"], "unknown", "{problem}");
                assert!(problem["type"].as_str().is_some_and(|kind| kind.ends_with("write-outcome-unknown")));
                heard.unknown += 1;
            }
            _ => {
                assert_eq!(reply.expect(&[503]).json()["written"], "no");
                if heard.unknown == 0 {
                    heard.told.refused();
                }
                heard.refused += 1;
                if let Ok(ready) = http.send("GET", "/health/ready", &[], "").await {
                    ready.expect(&[503]);
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_barrier_ends_the_server_and_loses_nothing() {
    let dir = TempDir::new().expect("a directory");
    // Its passages at the start prove the new segment; the stream's creation is one.
    let mut server = Process::start_to_fail(dir.path(), &[], Point::BetweenWriteAndBarrier, 40);
    let http = Arc::new(Http::new(server.url()));
    http.send("PUT", "/v1/stream/s", &[JSON], "").await.expect("it is up").expect(&[201]);
    let mut heard = join_all((0..4).map(|id| write_until_cut(http.clone(), id))).await;
    // Another barrier would have aborted it.
    assert_eq!(server.ended(SERVING_WITHIN).code(), Some(1), "{}", server.log());
    std::thread::sleep(Duration::from_millis(100));
    assert!(server.log().contains("a barrier failed"), "{}", server.log());
    assert!(heard.iter().map(|heard| heard.unknown).sum::<usize>() > 0, "nobody heard of it");
    assert!(heard.iter().all(|heard| heard.unknown <= 1), "an outcome is unknown only once");
    assert!(heard.iter().any(|heard| heard.refused > 0), "nobody was refused afterwards");

    let server = Process::start(dir.path(), &[]);
    let (found, _) = Http::new(server.url()).messages("s", "-1").await;
    for (id, heard) in heard.iter_mut().enumerate() {
        let mine: Vec<_> = found.iter().filter(|message| message["by"] == id).cloned().collect();
        heard.told.settle(&format!("writer {id}"), &mine);
    }
}
