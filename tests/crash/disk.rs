//! A full disk: writes are refused and nothing else; with room they go on.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http::{Http, JSON, Reply};
use crate::process::{Process, SERVING_WITHIN};

/// A file system of a few MiB in memory.
struct SmallDisk {
    dir: TempDir,
}

impl SmallDisk {
    /// `None` where this user may not mount.
    fn mount(size: &str) -> Option<Self> {
        let dir = TempDir::new().expect("a directory");
        let options = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(dir.path()).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self { dir }),
            Ok(output) => skip(&String::from_utf8_lossy(&output.stderr)),
            Err(error) => skip(&error.to_string()),
        }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A file that takes room, to be removed later.
    fn ballast(&self, bytes: usize) -> PathBuf {
        let path = self.path().join("ballast");
        std::fs::write(&path, vec![1; bytes]).expect("there is room yet");
        path
    }

    /// Takes all the room that is left.
    fn fill_up(&self, name: &str) {
        let mut file = std::fs::File::create(self.path().join(name)).expect("a file takes no room");
        for size in [4096, 1] {
            while file.write_all(&vec![1; size]).is_ok() {}
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

fn skip(reason: &str) -> Option<SmallDisk> {
    eprintln!("skipped: no small disk can be mounted here: {}", reason.trim());
    None
}

const SETTINGS: &[&str] = &["--segment-bytes", "262144"];

async fn append(http: &Http, message: &Value) -> Reply {
    http.json("POST", "/v1/stream/s", &json!([message, message])).await.expect("the server goes on")
}

/// Appends until the disk is full; gives every message, each appended twice.
async fn fill(http: &Http) -> Vec<Value> {
    let mut acked = Vec::new();
    loop {
        let message = json!({"n": acked.len(), "padding": "x".repeat(10_000)});
        let reply = append(http, &message).await;
        if reply.status == 507 {
            assert_eq!(reply.header("content-type"), "application/problem+json");
            assert_eq!(reply.json()["written"], "no", "{reply:?}");
            return acked;
        }
        reply.expect(&[204]);
        acked.push(message);
        assert!(acked.len() < 10_000, "the disk never gets full");
    }
}

async fn holds(http: &Http, acked: &[Value]) {
    let (found, _) = http.messages("s", "-1").await;
    let expected: Vec<_> = acked.iter().flat_map(|message| [message, message]).collect();
    assert!(found.iter().eq(expected), "{} messages instead of twice {}", found.len(), acked.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_writes_and_nothing_else() {
    let Some(disk) = SmallDisk::mount("12m") else { return };
    let ballast = disk.ballast(4 << 20);
    let data = disk.path().join("data");
    let server = Process::start(&data, SETTINGS);
    let http = Http::new(server.url());
    for name in ["s", "other"] {
        http.send("PUT", &format!("/v1/stream/{name}"), &[JSON], "").await.expect("it is up").expect(&[201]);
    }
    let mut acked = fill(&http).await;
    holds(&http, &acked).await;
    append(&http, &json!({"padding": "y".repeat(100_000)})).await.expect(&[507]);
    http.get("/health").await.expect(&[507]);
    http.send("DELETE", "/v1/stream/other", &[], "").await.expect("it is up").expect(&[204]);
    http.send("HEAD", "/v1/stream/other", &[], "").await.expect("it is up").expect(&[404, 410]);

    // A full disk must not keep a server from starting, and neither must one without a byte to spare.
    server.kill();
    let mut server = Process::start(&data, SETTINGS);
    let mut http = Http::new(server.url());
    for last in ["last", "very-last"] {
        holds(&http, &acked).await;
        http.send("HEAD", "/v1/stream/other", &[], "").await.expect("it is up").expect(&[404, 410]);
        disk.fill_up(last);
        server.kill();
        server = Process::start(&data, SETTINGS);
        http = Http::new(server.url());
    }
    holds(&http, &acked).await;

    std::fs::remove_file(ballast).expect("it is there");
    let started = Instant::now();
    let message = json!({"after": "room was made"});
    while append(&http, &message).await.status != 204 {
        assert!(started.elapsed() < SERVING_WITHIN, "writes are still refused");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    acked.push(message);
    http.get("/health").await.expect(&[200]);
    holds(&http, &acked).await;
    server.kill();
    let server = Process::start(&data, SETTINGS);
    holds(&Http::new(server.url()), &acked).await;
}
