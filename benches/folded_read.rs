//! What a new reader pays for a long history of few entities: folded, and beside it the whole history.
//!
//! `cargo bench --bench folded_read` starts a server on a temporary directory, writes the same changes to two typed
//! streams of which one is bound with `reads: folded`, and then reads both from nothing, in turns: with plain requests,
//! and, where `benches/streamdb/node_modules` is there (`npm ci` in `benches/streamdb`), with an unmodified StreamDB.
//! Prints medians as a table. Fails if a folded reader receives more than 1.05 times the bytes that the live entities'
//! newest changes take as stored. `KEYFOLD_BENCH_CHANGES`, `_KEYS` and `_ROUNDS` change the size.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

const BATCH: usize = 1_000;

struct Size {
    changes: usize,
    keys: usize,
    rounds: usize,
}

#[tokio::main]
async fn main() {
    let number = |name: &str, usual| {
        let given = std::env::var(format!("KEYFOLD_BENCH_{name}")).ok();
        given.map_or(usual, |text| text.parse().expect("a number"))
    };
    let size = Size {
        changes: number("CHANGES", 1_000_000),
        keys: number("KEYS", 1_000),
        rounds: number("ROUNDS", 5).max(3),
    };
    println!("{}\n", machine());
    let dir = tempfile::TempDir::new().expect("a directory");
    let server = Server::start(dir.path());
    let written = write(&server.url, &size).await;
    let history = read(&server.url, "raw", "").await;
    let live = live_bytes(&history.pages);
    println!("{} changes of {} keys, written in batches of {BATCH} to each of two streams:", size.changes, size.keys);
    println!(
        "{:.1} s for both, {:.0} changes/s, acknowledged when durable",
        written.as_secs_f64(),
        rate(&size, written)
    );
    println!("history {} bytes of bodies; newest changes of live entities {live} bytes\n", history.bytes());
    drop(history);

    let began = Instant::now();
    drop(server);
    let server = Server::start(dir.path());
    println!("killed and serving again after {} ms", began.elapsed().as_millis());
    let first = read(&server.url, "folded", "&fold=true").await;
    println!("first folded read after it, with the fold built anew from the log: {} ms\n", first.took.as_millis());
    rounds(&server.url, &size, live).await;
}

fn rate(size: &Size, took: Duration) -> f64 {
    (size.changes * 2) as f64 / took.as_secs_f64()
}

/// One reader's runs.
#[derive(Default)]
struct Runs {
    ms: Vec<f64>,
    bytes: Vec<f64>,
}

impl Runs {
    fn add(&mut self, ms: f64, bytes: u64) {
        self.ms.push(ms);
        self.bytes.push(bytes as f64);
    }

    fn print(&self, name: &str, live: u64) {
        if self.ms.is_empty() {
            return;
        }
        let (ms, bytes) = (median(&self.ms), median(&self.bytes));
        let (least, most) = self.ms.iter().fold((f64::MAX, 0f64), |(a, b), ms| (a.min(*ms), b.max(*ms)));
        let ratio = bytes / live as f64;
        println!("| {name} | {ms:.1} ({least:.1} to {most:.1}) | {bytes:.0} | {ratio:.3} |");
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

async fn rounds(url: &str, size: &Size, live: u64) {
    let streamdb = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/streamdb"));
    let has_streamdb = streamdb.join("node_modules").is_dir();
    let mut runs: [Runs; 4] = Default::default();
    for _ in 0..size.rounds {
        for (runs, (stream, query)) in runs.iter_mut().zip([("folded", "&fold=true"), ("raw", "")]) {
            let reading = read(url, stream, query).await;
            runs.add(reading.took.as_secs_f64() * 1e3, reading.bytes());
        }
        for (runs, stream) in runs[2..].iter_mut().zip(["folded", "raw"]).filter(|_| has_streamdb) {
            let preloaded = preload(streamdb, &format!("{url}/v1/stream/bench/{stream}"));
            assert_eq!(preloaded.rows, size.keys, "StreamDB holds every live entity");
            runs.add(preloaded.ms, preloaded.bytes);
        }
    }
    println!("Medians of {} rounds, readers taking turns:\n", size.rounds);
    println!("| reader | ms (least to most) | bytes of bodies | ÷ live entities |\n|---|---|---|---|");
    let [folded, raw, folded_db, raw_db] = &runs;
    folded.print("plain requests, `fold=true`", live);
    raw.print("plain requests, whole history", live);
    folded_db.print("StreamDB, `reads: folded`", live);
    raw_db.print("StreamDB, whole history", live);
    if !has_streamdb {
        println!("\nStreamDB is left out: run `npm ci` in benches/streamdb.");
    }
    assert!(median(&folded.bytes) <= 1.05 * live as f64, "a folded reader pays for more than the live entities");
}

/// A release server, killed when dropped.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(dir: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_keyfold"))
            .args(["serve", "--port", "0", "--log-format", "json", "--data-dir"])
            .arg(dir)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let url = loop {
            let line = lines.next().expect("it serves before it ends").expect("the log is text");
            let line: Value = serde_json::from_str(&line).unwrap_or_default();
            if line["message"] == "keyfold serves" {
                break line["url"].as_str().expect("it tells its address").to_owned();
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn write(url: &str, size: &Size) -> Duration {
    let client = reqwest::Client::builder().tls_backend_preconfigured(keyfold::client::no_tls()).build().unwrap();
    let send = async |request: reqwest::RequestBuilder, body: String| {
        let reply = request.header("content-type", "application/json").body(body).send().await.expect("an answer");
        assert!(reply.status().is_success(), "{}", reply.text().await.unwrap_or_default());
    };
    let schema = json!({
        "type": "object",
        "required": ["id", "n"],
        "properties": {"id": {"type": "string"}, "n": {"type": "integer"}, "note": {"type": "string"}},
    });
    let document = json!({"collections": {"items": {"type": "item", "primaryKey": "id", "schema": schema}}});
    send(client.post(format!("{url}/v1/schemas/bench/versions")), document.to_string()).await;
    for reads in ["folded", "raw"] {
        let binding = json!({"pattern": format!("bench/{reads}"), "subject": "bench", "reads": reads});
        send(client.put(format!("{url}/v1/bindings/{reads}")), binding.to_string()).await;
    }
    let began = Instant::now();
    for first in (0..size.changes).step_by(BATCH) {
        let batch: Vec<_> = (first..size.changes.min(first + BATCH)).map(|n| change(n, size.keys)).collect();
        let body = Value::from(batch).to_string();
        for reads in ["folded", "raw"] {
            send(client.post(format!("{url}/v1/stream/bench/{reads}")), body.clone()).await;
        }
    }
    began.elapsed()
}

/// About 200 bytes as stored. Every key is changed about as often, in no simple order.
fn change(n: usize, keys: usize) -> Value {
    let key = format!("item-{:06}", n.wrapping_mul(7_919) % keys);
    let value = json!({"id": key, "n": n, "note": "0123456789".repeat(4)});
    json!({"type": "item", "key": key, "value": value, "headers": {"operation": "upsert"}})
}

/// A stream as it was received.
struct Reading {
    pages: Vec<bytes::Bytes>,
    took: Duration,
}

impl Reading {
    fn bytes(&self) -> u64 {
        self.pages.iter().map(|page| page.len() as u64).sum()
    }
}

/// Reads `bench/{stream}` from nothing until up to date, on a new connection.
async fn read(url: &str, stream: &str, query: &str) -> Reading {
    let client = reqwest::Client::builder().tls_backend_preconfigured(keyfold::client::no_tls()).build().unwrap();
    let (mut pages, mut offset, began) = (Vec::new(), "-1".to_owned(), Instant::now());
    loop {
        let page = format!("{url}/v1/stream/bench/{stream}?offset={offset}{query}");
        let page = client.get(page).send().await.expect("an answer");
        assert_eq!(page.status(), 200);
        let last = page.headers().contains_key("stream-up-to-date");
        offset = page.headers()["stream-next-offset"].to_str().expect("an offset is text").to_owned();
        pages.push(page.bytes().await.expect("a whole page"));
        if last {
            return Reading { pages, took: began.elapsed() };
        }
    }
}

/// Bytes of the newest change of every key, as stored.
fn live_bytes(pages: &[bytes::Bytes]) -> u64 {
    #[derive(Deserialize)]
    struct Keyed {
        key: String,
    }
    let mut newest = HashMap::new();
    for page in pages {
        let messages: Vec<&RawValue> = serde_json::from_slice(page).expect("a page is a JSON array");
        for message in messages {
            let Keyed { key } = serde_json::from_str(message.get()).expect("a change has a key");
            newest.insert(key, message.get().len() as u64);
        }
    }
    newest.values().sum()
}

/// What `preload.mjs` measured.
#[derive(Deserialize)]
struct Preloaded {
    ms: f64,
    bytes: u64,
    rows: usize,
}

fn preload(dir: &Path, url: &str) -> Preloaded {
    let output = Command::new("node").arg("preload.mjs").arg(url).current_dir(dir).output().expect("node is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("it prints one JSON line")
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let memory = read("/proc/meminfo");
    let kib = memory.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0);
    let kernel = read("/proc/sys/kernel/osrelease");
    let version = |program: &str| {
        let output = Command::new(program).arg("--version").output();
        output.map_or("none".into(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let gib = kib as f64 / f64::from(1 << 20);
    format!("{cores} cores, {gib:.0} GiB, Linux {}, {}, node {}", kernel.trim(), version("rustc"), version("node"))
}
