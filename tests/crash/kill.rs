//! SIGKILL at random moments under load, and what is found by the next server on the same directory.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use futures_util::future::join_all;
use tempfile::TempDir;

use crate::http::Http;
use crate::process::Process;
use crate::seed::{Seed, rounds};
use crate::writers::{self, Writer};

/// Settings that make segments roll, streams leave memory and pages end often.
pub fn settings(rng: &mut Rng, segment_bytes: &[u64]) -> Vec<String> {
    let mut pick = |name: &str, from: &[u64]| [name.to_owned(), from[rng.usize(..from.len())].to_string()];
    [
        pick("--segment-bytes", segment_bytes),
        pick("--cluster-after", &[1, 2, 0]),
        pick("--stream-idle-ms", &[1, 200, 300_000]),
        pick("--page-bytes-max", &[16_384, 131_072, 4 << 20]),
    ]
    .concat()
}

/// Writes, kills and compares, several times on one directory; `between` runs while no server does.
async fn survives(mut seed: Seed, times: usize, mut between: impl FnMut(&Path, &mut Rng)) {
    let dir = TempDir::new().expect("a directory");
    let mut writers = writers::all();
    for round in 0..=times {
        let settings = settings(&mut seed.rng, &[65_536, 131_072, 262_144, 1 << 20]);
        let server = Process::start(dir.path(), &settings.iter().map(String::as_str).collect::<Vec<_>>());
        let http = Arc::new(Http::new(server.url()));
        if round == 0 {
            writers::prepare(&http).await;
        } else {
            let mut chance: Vec<_> = writers.iter().map(|_| seed.rng.fork()).collect();
            join_all(writers.iter_mut().zip(&mut chance).map(|(writer, rng)| writer.check(&http, rng))).await;
        }
        if round == times {
            break;
        }
        let tasks: Vec<_> =
            writers.into_iter().map(|writer| until_cut(writer, http.clone(), seed.rng.fork())).collect();
        tokio::time::sleep(Duration::from_millis(seed.rng.u64(5..600))).await;
        server.kill();
        writers = join_all(tasks).await.into_iter().map(|ended| ended.unwrap_or_else(again)).collect();
        between(dir.path(), &mut seed.rng);
    }
}

pub fn until_cut(
    mut writer: Box<dyn Writer>,
    http: Arc<Http>,
    mut rng: Rng,
) -> tokio::task::JoinHandle<Box<dyn Writer>> {
    tokio::spawn(async move {
        while writer.step(&http, &mut rng).await.is_ok() {}
        writer
    })
}

/// A writer's panic is the test's.
pub fn again(ended: tokio::task::JoinError) -> Box<dyn Writer> {
    std::panic::resume_unwind(ended.into_panic())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_kills_under_load() {
    let seed = Seed::of("what_was_acknowledged_survives_kills_under_load");
    survives(seed, rounds(12), |_, _| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_that_was_killed_is_recovered_from() {
    let seed = Seed::of("a_recovery_that_was_killed_is_recovered_from");
    survives(seed, rounds(9), |dir, rng| {
        for _ in 0..rng.usize(1..5) {
            let server = Process::start(dir, &["--segment-bytes", "65536"]);
            std::thread::sleep(Duration::from_micros(rng.u64(..60_000)));
            server.kill();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_or_damaged_catalogue_is_built_again() {
    let seed = Seed::of("a_lost_or_damaged_catalogue_is_built_again");
    survives(seed, rounds(9), |dir, rng| damage(&dir.join("catalogue"), rng)).await;
}

/// Takes the catalogue away, or writes over parts of it, or cuts a file short.
pub fn damage(catalogue: &Path, rng: &mut Rng) {
    if rng.u8(..) < 60 {
        fs::remove_dir_all(catalogue).expect("there is a catalogue");
        return;
    }
    let entries = fs::read_dir(catalogue).expect("there is a catalogue").map(|entry| entry.expect("an entry").path());
    for file in entries.filter(|path| path.is_file()) {
        let mut bytes = fs::read(&file).expect("a readable file");
        match rng.u8(..4) {
            0 => bytes.truncate(rng.usize(..=bytes.len())),
            1 => bytes = std::iter::repeat_with(|| rng.u8(..)).take(bytes.len()).collect(),
            2 if !bytes.is_empty() => {
                for _ in 0..rng.usize(1..20) {
                    let (at, byte) = (rng.usize(..bytes.len()), rng.u8(..));
                    bytes[at] = byte;
                }
            }
            _ => {}
        }
        fs::write(&file, bytes).expect("a writable file");
    }
}
