//! What readers of a whole log cost: 13 of them replay it at once, at full speed and one of them hardly reading.
//!
//! `cargo bench --bench replay` starts a server on a temporary directory, writes a log, starts the server again, so that
//! nothing is left of the writing, and lets the readers read: every change by SSE, and page by page. Prints by how much
//! they moved the server's resident memory, sampled every 20 ms, and fails above 32 MiB. Linux only, since it reads
//! `/proc`. `KEYFOLD_BENCH_MB` and `_READERS` change the size.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const MESSAGE: usize = 1_000;
const BATCH: usize = 100;
const BOUND: u64 = 32 << 20;

#[tokio::main]
async fn main() {
    let number = |name: &str, usual| {
        let given = std::env::var(format!("KEYFOLD_BENCH_{name}")).ok();
        given.map_or(usual, |text| text.parse().expect("a number"))
    };
    let (bytes, readers) = (number("MB", 300) * 1_000_000, number("READERS", 13));
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    let dir = tempfile::TempDir::new().expect("a directory");
    let server = Server::start(dir.path());
    write(&server.url, bytes).await;
    drop(server);
    let mut worst = 0;
    for (name, live) in [("SSE", true), ("pages", false)] {
        let server = Server::start(dir.path());
        // One reader first: what a server needs once is no reader's.
        read(server.url.clone(), live, bytes.min(20_000_000), Duration::ZERO).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let before = server.resident();
        let done = Arc::new(AtomicBool::new(false));
        let sampler = {
            let (done, pid) = (done.clone(), server.child.id());
            std::thread::spawn(move || {
                let mut most = 0;
                while !done.load(Ordering::Relaxed) {
                    most = most.max(resident(pid));
                    std::thread::sleep(Duration::from_millis(20));
                }
                most
            })
        };
        let began = Instant::now();
        let reading: Vec<_> = (0..readers)
            .map(|n| {
                // The last one reads a little, and then nearly nothing.
                let pause = if n + 1 == readers { Duration::from_millis(100) } else { Duration::ZERO };
                let bytes = if pause.is_zero() { bytes } else { bytes.min(20_000_000) };
                tokio::spawn(read(server.url.clone(), live, bytes, pause))
            })
            .collect();
        for reader in reading {
            reader.await.expect("a reader");
        }
        done.store(true, Ordering::Relaxed);
        let moved = sampler.join().expect("the sampler").saturating_sub(before);
        worst = worst.max(moved);
        println!(
            "{build} build, {readers} readers of {} MB by {name}: {:.1} s, resident memory from {:.1} MiB up by {:.1} MiB",
            bytes / 1_000_000,
            began.elapsed().as_secs_f64(),
            before as f64 / f64::from(1 << 20),
            moved as f64 / f64::from(1 << 20),
        );
    }
    assert!(worst < BOUND, "the readers cost {worst} bytes, more than {BOUND}");
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
            let line: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            if line["message"] == "keyfold serves" {
                break line["url"].as_str().expect("it tells its address").to_owned();
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url }
    }

    fn resident(&self) -> u64 {
        resident(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Resident memory of a process, in bytes.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    field.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok()).map_or(0, |kib| kib << 10)
}

fn client() -> reqwest::Client {
    let tls = keyfold::client::no_tls();
    reqwest::Client::builder().no_proxy().tls_backend_preconfigured(tls).build().expect("a client")
}

async fn write(url: &str, bytes: usize) {
    let client = client();
    let url = format!("{url}/v1/stream/log");
    let json = "application/json";
    client.put(&url).header("content-type", json).send().await.expect("a stream");
    let message = format!("{{\"x\":\"{}\"}}", "x".repeat(MESSAGE - 8));
    let batch = format!("[{}]", vec![message; BATCH].join(","));
    for _ in 0..bytes.div_ceil(MESSAGE * BATCH) {
        let sent =
            client.post(&url).header("content-type", json).body(batch.clone()).send().await.expect("an answer");
        assert!(sent.status().is_success(), "{}", sent.status());
    }
}

/// Reads from the beginning until so many bytes have come, with a pause after each piece.
async fn read(url: String, live: bool, bytes: usize, pause: Duration) {
    let client = client();
    let (mut offset, mut read) = ("-1".to_owned(), 0);
    while read < bytes {
        let live = if live { "&live=sse" } else { "" };
        let answer = client.get(format!("{url}/v1/stream/log?offset={offset}{live}")).send().await;
        let mut answer = answer.expect("an answer");
        assert_eq!(answer.status(), 200);
        if let Some(next) = answer.headers().get("stream-next-offset") {
            offset = next.to_str().expect("an offset").to_owned();
        }
        while let Some(piece) = answer.chunk().await.expect("more") {
            read += piece.len();
            if read >= bytes {
                return;
            }
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
    }
}
