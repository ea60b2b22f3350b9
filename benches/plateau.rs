//! What a disk holds under endless updates of the same entities: with a history that may go, and with one that is kept.
//!
//! `cargo bench --bench plateau` starts a server on a temporary directory, binds a stream with `history_s` 0, and updates
//! 10,000 entities of some 200 bytes in turn, in batches of 1,000, until 3 GB were accepted. Every tenth of that it prints
//! what the files take and what was written to them by the server's own count. Then it reads the stream from the
//! beginning, and fails where that is not every entity at its newest. `KEYFOLD_BENCH_MB`, `_KEYS` and `_HISTORY_S` change it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const BATCH: u64 = 1_000;

#[tokio::main]
async fn main() {
    let number = |name: &str, usual: u64| {
        let given = std::env::var(format!("KEYFOLD_BENCH_{name}")).ok();
        given.map_or(usual, |text| text.parse().expect("a number"))
    };
    let (bytes, keys, history) = (number("MB", 3_000) * 1_000_000, number("KEYS", 10_000), number("HISTORY_S", 0));
    let dir = tempfile::TempDir::new().expect("a directory");
    let server = Server::start(dir.path());
    let client =
        reqwest::Client::builder().tls_backend_preconfigured(keyfold::client::no_tls()).build().expect("a client");
    prepare(&client, &server.url, history).await;
    let (mut accepted, mut round, mut next, began) = (0, 0, 0, Instant::now());
    println!("accepted MB | files MB | journal written MB | clusters written MB | seconds");
    while accepted < bytes {
        let first = round * BATCH;
        let body: Vec<String> = (first..first + BATCH).map(|n| change(n % keys, n)).collect();
        let body = format!("[{}]", body.join(","));
        accepted += body.len() as u64;
        round += 1;
        let url = format!("{}/v1/stream/plateau/a", server.url);
        let sent = client.post(url).header("content-type", "application/json").body(body).send().await;
        assert!(sent.expect("an answer").status().is_success());
        if accepted >= next {
            next += bytes / 10;
            report(&client, &server.url, dir.path(), accepted, began).await;
        }
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    report(&client, &server.url, dir.path(), accepted, began).await;
    check(&client, &server.url, keys, round * BATCH).await;
}

fn change(key: u64, n: u64) -> String {
    let pad = "p".repeat(120);
    json!({"type": "unit", "key": key.to_string(), "value": {"id": key.to_string(), "n": n, "pad": pad},
        "headers": {"operation": "upsert"}})
    .to_string()
}

async fn prepare(client: &reqwest::Client, url: &str, history: u64) {
    let schema = json!({"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}});
    let document = json!({"collections": {"units": {"type": "unit", "primaryKey": "id", "schema": schema}}});
    let binding = json!({"pattern": "plateau/**", "subject": "plateau", "history_s": history});
    for (method, path, body) in
        [("POST", "/v1/schemas/plateau/versions", document), ("PUT", "/v1/bindings/plateau", binding)]
    {
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
        let sent = client.request(method, format!("{url}{path}")).header("content-type", "application/json");
        let answer = sent.body(body.to_string()).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap_or_default());
    }
}

async fn report(client: &reqwest::Client, url: &str, dir: &Path, accepted: u64, began: Instant) {
    let metrics = client.get(format!("{url}/metrics")).send().await.expect("an answer").text().await.expect("a text");
    let metric = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("keyfold_{name} ")));
        line.expect("a metric").parse::<f64>().expect("a number") / 1e6
    };
    println!(
        "{:11.0} | {:8.1} | {:18.1} | {:19.1} | {:7.1}",
        accepted as f64 / 1e6,
        size(dir) as f64 / 1e6,
        metric("journal_written_bytes_total"),
        metric("journal_clustered_bytes_total"),
        began.elapsed().as_secs_f64()
    );
}

fn size(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => size(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.map(size).sum()
}

/// Every entity is there, at its newest.
async fn check(client: &reqwest::Client, url: &str, keys: u64, written: u64) {
    let mut newest = vec![None; keys as usize];
    let (mut offset, mut messages) = ("-1".to_owned(), 0);
    loop {
        let answer =
            client.get(format!("{url}/v1/stream/plateau/a?offset={offset}")).send().await.expect("an answer");
        let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().expect("a text").to_owned());
        let (next, done) = (header("stream-next-offset").expect("an offset"), header("stream-up-to-date").is_some());
        let page: Vec<Value> = serde_json::from_str(&answer.text().await.expect("a body")).expect("an array");
        for change in page {
            messages += 1;
            let key: usize = change["key"].as_str().expect("a key").parse().expect("a number");
            newest[key] = change["value"]["n"].as_u64();
        }
        if done {
            break;
        }
        offset = next;
    }
    let wrong =
        (0..keys).filter(|key| newest[*key as usize] != Some((written - 1 - key) / keys * keys + key)).count();
    println!("a plain read from the beginning: {messages} of {written} messages, {wrong} of {keys} entities wrong");
    assert_eq!(wrong, 0);
}

/// A server of its own process.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(dir: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyfold"));
        command.args(["serve", "--port", "0", "--log-format", "json", "--data-dir"]).arg(dir);
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("the server");
        let mut lines = BufReader::new(child.stderr.take().expect("its log")).lines();
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
