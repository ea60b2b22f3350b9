//! What a restart costs: after a kill, until the server is ready, until the first read, and how much memory it holds.
//!
//! `cargo bench --bench restart` writes a log of updates to one typed stream, 1 M over 500 k entities and 10 M over 1 k,
//! kills the server, and starts another one on the same directory: the time until `/health/ready` says yes and the
//! resident memory then, the time of the first entity that is read, and of the first whole snapshot. Five starts each;
//! medians. Linux only, since it reads `/proc`. `KEYFOLD_BENCH_CHANGES` and `_KEYS` replace both shapes by one.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const BATCH: u64 = 1_000;
const STARTS: usize = 5;

#[tokio::main]
async fn main() {
    let number =
        |name: &str| std::env::var(format!("KEYFOLD_BENCH_{name}")).ok().map(|text| text.parse().expect(name));
    let shapes: Vec<(u64, u64)> = match (number("CHANGES"), number("KEYS")) {
        (None, None) => vec![(1_000_000, 500_000), (10_000_000, 1_000)],
        (changes, keys) => vec![(changes.unwrap_or(1_000_000), keys.unwrap_or(1_000))],
    };
    println!(
        "changes | entities | ready ms | resident MiB | first entity ms | first snapshot ms | resident then MiB"
    );
    for (changes, keys) in shapes {
        let dir = tempfile::TempDir::new().expect("a directory");
        fill(dir.path(), changes, keys).await;
        let mut runs = Vec::new();
        for _ in 0..STARTS {
            runs.push(start(dir.path(), keys).await);
        }
        let median = |of: fn(&Figures) -> f64| {
            let mut all: Vec<f64> = runs.iter().map(of).collect();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        println!(
            "{changes:>9} | {keys:>7} | {:>8.0} | {:>12.1} | {:>15.0} | {:>17.0} | {:>8.1}",
            median(|run| run.ready),
            median(|run| run.resident),
            median(|run| run.entity),
            median(|run| run.snapshot),
            median(|run| run.resident_then),
        );
    }
}

/// Milliseconds and MiB.
struct Figures {
    ready: f64,
    resident: f64,
    entity: f64,
    snapshot: f64,
    resident_then: f64,
}

async fn fill(dir: &Path, changes: u64, keys: u64) {
    let server = Server::start(dir);
    let client = client();
    let schema = json!({"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}});
    let document = json!({"collections": {"units": {"type": "unit", "primaryKey": "id", "schema": schema}}});
    let binding = json!({"pattern": "restart/**", "subject": "restart"});
    for (method, path, body) in [
        (reqwest::Method::POST, "/v1/schemas/restart/versions", document),
        (reqwest::Method::PUT, "/v1/bindings/restart", binding),
    ] {
        let sent = client.request(method, format!("{}{path}", server.url)).header("content-type", "application/json");
        assert!(sent.body(body.to_string()).send().await.expect("an answer").status().is_success());
    }
    let mut sent = 0;
    while sent < changes {
        let until = (sent + BATCH).min(changes);
        let body: Vec<String> = (sent..until).map(|n| change(n % keys, n)).collect();
        let url = format!("{}/v1/stream/restart/a", server.url);
        let answer =
            client.post(url).header("content-type", "application/json").body(format!("[{}]", body.join(",")));
        assert!(answer.send().await.expect("an answer").status().is_success());
        sent = until;
    }
    // Sealed segments are clustered behind what is written.
    tokio::time::sleep(Duration::from_secs(8)).await;
}

fn change(key: u64, n: u64) -> String {
    let key = format!("{key:016}");
    let pad = "p".repeat(60);
    json!({"type": "unit", "key": key, "value": {"id": key, "n": n, "pad": pad}, "headers": {"operation": "upsert"}})
        .to_string()
}

async fn start(dir: &Path, keys: u64) -> Figures {
    let begun = Instant::now();
    let server = Server::start(dir);
    let client = client();
    loop {
        let ready = client.get(format!("{}/health/ready", server.url)).send().await;
        if ready.is_ok_and(|answer| answer.status().is_success()) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let ready = begun.elapsed();
    let resident = server.resident();
    let get = async |resource: String| {
        let begun = Instant::now();
        let answer = client.get(format!("{}/v1/state/restart/a/-/{resource}", server.url)).send().await;
        let answer = answer.expect("an answer");
        assert!(answer.status().is_success(), "{}", answer.status());
        let bytes = answer.bytes().await.expect("a body").len();
        (begun.elapsed(), bytes)
    };
    let (entity, _) = get(format!("entities/unit/{:016}", keys / 2)).await;
    let (snapshot, bytes) = get("snapshot".to_owned()).await;
    assert!(bytes as u64 > keys * 60, "every entity");
    let millis = |time: Duration| time.as_secs_f64() * 1_000.0;
    Figures {
        ready: millis(ready),
        resident,
        entity: millis(entity),
        snapshot: millis(snapshot),
        resident_then: server.resident(),
    }
}

fn client() -> reqwest::Client {
    let tls = keyfold::client::no_tls();
    reqwest::Client::builder().no_proxy().tls_backend_preconfigured(tls).build().expect("a client")
}

/// A server of its own process, which is killed in the end.
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

    /// In MiB.
    fn resident(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let field = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        field.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<f64>().ok()).map_or(0.0, |kib| kib / 1024.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
