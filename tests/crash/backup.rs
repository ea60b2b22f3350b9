//! Backups of a server under load, and servers on what is restored from them.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tempfile::TempDir;

use crate::http::Http;
use crate::kill::{again, settings};
use crate::process::Process;
use crate::seed::{Seed, rounds};
use crate::writers;

/// Runs the binary to its end; gives what it printed.
async fn run(args: &[&str], paths: &[&Path]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyfold"));
    command.args(args).args(paths).env_clear();
    let output = tokio::task::spawn_blocking(move || command.output().expect("the binary starts")).await;
    let output = output.expect("no panic");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it prints text")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_before_a_backup_is_served_from_what_is_restored() {
    let mut seed = Seed::of("what_was_acknowledged_before_a_backup_is_served_from_what_is_restored");
    for _ in 0..rounds(1) {
        let [dir, kept, to] = [(); 3].map(|()| TempDir::new().expect("a directory"));
        let settings = settings(&mut seed.rng, &[65_536, 131_072, 262_144]);
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        let server = Process::start(dir.path(), &settings);
        let http = Arc::new(Http::new(server.url()));
        writers::prepare(&http).await;
        let stop = Arc::new(AtomicBool::new(false));
        let tasks: Vec<_> = writers::all()
            .into_iter()
            .map(|mut writer| {
                let (http, stop, mut rng) = (http.clone(), stop.clone(), seed.rng.fork());
                tokio::spawn(async move {
                    while !stop.load(Ordering::Relaxed) {
                        writer.step(&http, &mut rng).await.expect("the server is up");
                    }
                    writer
                })
            })
            .collect();
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_millis(seed.rng.u64(10..300))).await;
            run(&["backup", "--data-dir"], &[dir.path(), kept.path()]).await;
        }
        stop.store(true, Ordering::Relaxed);
        let mut writers: Vec<_> =
            join_all(tasks).await.into_iter().map(|ended| ended.unwrap_or_else(|error| again(error))).collect();
        let said = run(&["backup", "--json", "--data-dir"], &[dir.path(), kept.path()]).await;
        let said: serde_json::Value = serde_json::from_str(&said).expect("it prints JSON");
        assert!(said["bytes_copied"].as_u64() < said["bytes"].as_u64(), "only what is new: {said}");
        server.kill();
        run(&["restore", "--data-dir"], &[to.path(), kept.path()]).await;
        run(&["verify", "--data-dir"], &[to.path()]).await;
        let server = Process::start(to.path(), &settings);
        let http = Arc::new(Http::new(server.url()));
        let mut chance: Vec<_> = writers.iter().map(|_| seed.rng.fork()).collect();
        join_all(writers.iter_mut().zip(&mut chance).map(|(writer, rng)| writer.check(&http, rng))).await;
        server.kill();
        run(&["verify", "--data-dir"], &[to.path()]).await;
    }
}
