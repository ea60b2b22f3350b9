//! What `keyfold verify` finds: nothing where nothing is wrong, whatever a directory holds; and every damage by its place.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use keyfold::api::{Api, ApiSettings, router};
use keyfold::engine::{Engine, Settings};
use keyfold::model::{StreamId, StreamName, Timestamp};
use keyfold::runtime::Clock;
use keyfold::storage::disk::{Disk, SimDisk};
use keyfold::storage::journal::verify::{Remedy, Verified, verify, verify_dir};
use keyfold::storage::{Journal, JournalOptions, Store};
use keyfold::webhook::{Postman, SigningKey};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::storage_contract::crash::{commit, copy_dir, make, open, seen, segments, speak};
use super::storage_contract::{staged, tuple};

const SEGMENT: u64 = 64 << 10;

fn clock() -> Clock {
    Clock::manual(Timestamp::from_millis(1_800_000_000_000))
}

// ---- directories that hold everything -------------------------------------------------------------------------------

/// A server in this process, on a directory.
pub(super) struct World {
    clock: Clock,
    store: Arc<Journal>,
    engine: Engine,
    router: Router,
    tasks: [tokio::task::JoinHandle<()>; 2],
}

impl World {
    pub(super) fn on(dir: &Path, clock: Clock) -> Self {
        let options = JournalOptions { segment_bytes: SEGMENT, ..JournalOptions::new(clock.clone()) };
        let store = Journal::open_dir(dir, options).unwrap();
        let engine = Engine::start(store.clone(), clock.clone(), Settings::default()).unwrap();
        engine.deliver_by(Arc::new(Postman::default().employ(SigningKey::generate().unwrap()).unwrap()));
        let api = Api::new(ApiSettings::default());
        api.serve_from(engine.clone());
        let sweeper = tokio::spawn(engine.clone().sweep(Duration::from_millis(2)));
        let dispatcher = tokio::spawn(engine.clone().dispatch());
        Self { clock, store, engine, router: router(api), tasks: [sweeper, dispatcher] }
    }

    pub(super) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> (u16, Value) {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    pub(super) async fn ok(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) {
        let (status, reply) = self.send(method, path, headers, body).await;
        assert!((200..300).contains(&status), "{method} {path}: {status} {reply}");
    }

    pub(super) async fn json(&self, method: &str, path: &str, body: Value) {
        self.ok(method, path, &[("content-type", "application/json")], body.to_string()).await;
    }

    pub(super) async fn stop(self) {
        self.engine.begin_stop();
        for task in self.tasks {
            task.await.unwrap();
        }
        self.engine.close();
    }

    /// One of everything, some segments of it.
    pub(super) async fn fill(&self) {
        let document = include_str!("../../schemas/documents/workers.json");
        self.json("POST", "/v1/schemas/workers/versions", serde_json::from_str(document).unwrap()).await;
        let binding = json!({ "pattern": "w/**", "subject": "workers", "validation": "quarantine" });
        self.json("PUT", "/v1/bindings/w", binding).await;
        self.json("PUT", "/v1/stream/w/a", Value::Null).await;
        for n in 0..60 {
            let job = json!({ "id": format!("j{n}"), "name": "x".repeat(2_000) });
            self.json("PUT", &format!("/v1/state/w/a/-/entities/job/j{}", n % 40), job).await;
        }
        self.ok("DELETE", "/v1/state/w/a/-/entities/job/j7", &[], Body::empty()).await;
        let refused = json!([{ "type": "job", "key": "bad", "value": 7, "headers": { "operation": "upsert" } }]);
        self.json("POST", "/v1/stream/w/a", refused).await;
        self.ok("PUT", "/v1/stream/w/fork", &[("stream-forked-from", "/v1/stream/w/a")], Body::empty()).await;

        let bytes = ("content-type", "application/octet-stream");
        self.ok("PUT", "/v1/stream/bytes", &[bytes, ("stream-ttl", "3600")], "abc").await;
        let producer = [bytes, ("producer-id", "p"), ("producer-epoch", "0"), ("producer-seq", "0")];
        self.ok("POST", "/v1/stream/bytes", &producer, "def").await;
        self.ok("PUT", "/v1/stream/kept", &[("stream-forked-from", "/v1/stream/bytes")], Body::empty()).await;
        self.ok("DELETE", "/v1/stream/bytes", &[], Body::empty()).await;
        self.ok("POST", "/v1/stream/kept", &[("stream-closed", "true")], Body::empty()).await;
        self.json("PUT", "/v1/stream/wakes", Value::Null).await;
        let subscription = json!({ "type": "pull-wake", "pattern": "w/*", "wake_stream": "wakes" });
        self.json("PUT", "/v1/stream/__ds/subscriptions/s", subscription).await;

        for round in 0..3 {
            self.ok("PUT", "/v1/stream/gone", &[bytes], vec![b'g'; 40_000]).await;
            for _ in 0..4 {
                self.ok("POST", "/v1/stream/gone", &[bytes], vec![b'g'; 40_000]).await;
            }
            match round {
                0 => self.ok("DELETE", "/v1/stream/gone", &[], Body::empty()).await,
                1 => self.ok("DELETE", "/v1/stream/gone", &[], Body::empty()).await,
                _ => {}
            }
        }
        self.ok("PUT", "/v1/stream/passing", &[bytes, ("stream-ttl", "10")], "x").await;
        self.clock.advance(Duration::from_secs(20));
        for _ in 0..500 {
            if self.store.find(&StreamName::parse("passing").unwrap()).is_none()
                && self.store.stats().segments_freed > 1
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("nothing was freed: {:?}", self.store.stats());
    }
}

fn binary(dir: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyfold"));
    command.args(["verify", "--data-dir"]).arg(dir).args(more).env_clear();
    command.output().unwrap()
}

/// Exit status, and the JSON lines.
fn answer(dir: &Path, more: &[&str]) -> (i32, Vec<Value>) {
    let output = binary(dir, &[&["--json"], more].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let status = output.status.code().unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (status, lines)
}

fn look(dir: &Path) -> Verified {
    verify_dir(dir, clock(), Arc::new(|_, _| {})).unwrap()
}

fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(dir.join("journal"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_file())
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

#[tokio::test]
async fn a_directory_of_everything_is_sound_also_after_a_kill_and_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::on(dir.path(), clock());
    world.fill().await;
    let locked = binary(dir.path(), &[]);
    assert_eq!(locked.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&locked.stderr).contains("stop it first"));

    // As a kill leaves it: nobody has said goodbye.
    let killed = tempfile::tempdir().unwrap();
    copy_dir(dir.path(), killed.path());
    world.stop().await;
    for dir in [dir.path(), killed.path()] {
        let before = files(dir);
        let (status, lines) = answer(dir, &[]);
        assert_eq!(status, 0, "{lines:?}");
        let summary = lines.last().unwrap();
        assert_eq!((&summary["sound"], &summary["typed_streams"]), (&json!(true), &json!(2)), "{summary}");
        assert_eq!(summary["entities"], 80, "{summary}");
        assert!(files(dir) == before, "the journal was written to");
        assert!(!dir.join("verify").exists());
        // What a terminal is told.
        let output = binary(dir, &[]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("sound: ") && output.stderr.is_empty(), "{text}");
    }
}

#[test]
fn a_directory_without_a_journal_cannot_be_checked() {
    let dir = tempfile::tempdir().unwrap();
    for dir in [dir.path().to_owned(), dir.path().join("missing")] {
        assert_eq!(binary(&dir, &[]).status.code(), Some(2));
        assert!(!dir.join("journal").exists() && !dir.join("verify").exists());
    }
}

// ---- damage ---------------------------------------------------------------------------------------------------------

fn copy_of(disk: &SimDisk) -> SimDisk {
    let copy = SimDisk::new();
    for file in disk.list().unwrap() {
        copy.create(&file).unwrap();
        copy.overwrite(&file, disk.contents(&file).unwrap());
    }
    copy
}

fn look_at(disk: &SimDisk) -> Verified {
    verify(Arc::new(disk.clone()), None, clock(), Arc::new(|_, _| {})).unwrap()
}

/// Two sealed segments and an open one, of a few records each.
fn small_journal() -> SimDisk {
    let disk = SimDisk::new();
    let journal = open(&disk).unwrap();
    let ids = [make(&journal, "a"), make(&journal, "b")];
    for n in 0..8 {
        speak(&journal, ids[n % 2], &format!("\"{}\"", "f".repeat(3_000))).unwrap();
    }
    commit(&journal, vec![staged(&journal.load(ids[1]).unwrap(), keyfold::stream::Body::Delete)]).unwrap();
    journal.close();
    disk
}

/// A file's part of the journal, by the manifest.
fn base_of(disk: &SimDisk, file: &str) -> Option<u64> {
    let manifest = String::from_utf8(disk.contents("MANIFEST").unwrap()).unwrap();
    let number: u64 = file.strip_prefix("segment-")?.parse().ok()?;
    let line = manifest.lines().find(|line| line.starts_with(&format!("live {number} ")))?.to_owned();
    line.split("base=").nth(1)?.split(' ').next()?.parse().ok()
}

#[test]
fn every_flipped_bit_is_named_or_lies_where_nothing_is() {
    let disk = small_journal();
    // The committer has moved on without telling the manifest; a start tells it.
    open(&disk).unwrap().close();
    let sound = look_at(&disk);
    assert!(sound.is_sound() && sound.notes.is_empty(), "{:?} {:?}", sound.differences, sound.notes);
    drop(sound);
    let before = seen(&open(&copy_of(&disk)).unwrap());
    let (mut named, mut dead) = (0, 0);
    for (name, bytes) in segments(&disk) {
        let base = base_of(&disk, &name);
        let mut dice = fastrand::Rng::with_seed(base.unwrap_or(1));
        for at in 0..bytes.len() {
            // Payloads and zeros are long: of those some bits, of everything else every one.
            let dull = (at > 8 && bytes[at - 8..at].iter().all(|byte| *byte == bytes[at])) && dice.u8(..) > 4;
            let bits = if dull { 0..0 } else { 0..8 };
            for bit in bits {
                let copy = copy_of(&disk);
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                copy.overwrite(&name, damaged);
                let found = look_at(&copy);
                if let [difference, rest @ ..] = &found.differences[..] {
                    let position = difference.position.unwrap();
                    let here = base.unwrap() + at as u64;
                    assert_eq!(difference.file.as_ref(), Some(&name), "{name} {at} {bit}");
                    assert!(position <= here && here < position + 3_200, "{name} {at}: {position}");
                    assert!(rest.is_empty() && difference.remedy == Remedy::Restore, "{:?}", found.differences);
                    named += 1;
                } else {
                    // A start sees the same: nothing is lost.
                    drop(found);
                    assert!(seen(&open(&copy).unwrap()) == before, "{name} {at} {bit}");
                    dead += 1;
                }
            }
        }
    }
    assert!(named > 2_000 && dead > 500, "{named} {dead}");
}

#[test]
fn every_damaged_record_is_named_with_its_stream() {
    let disk = small_journal();
    open(&disk).unwrap().close();
    let (name, mut bytes) = segments(&disk).remove(0);
    let payloads: Vec<usize> = (1..bytes.len()).filter(|at| bytes[at - 1] == b'"' && bytes[*at] == b'f').collect();
    assert!(payloads.len() >= 2);
    payloads.iter().for_each(|at| bytes[*at] = b'g');
    disk.overwrite(&name, bytes);
    let found = look_at(&disk);
    let streams: Vec<_> = found.differences.iter().map(|d| d.stream.as_ref().map(|name| name.as_str())).collect();
    assert_eq!(streams, [Some("a"), Some("b")], "{:?}", found.differences);
    assert!(found.store().is_none() && found.differences.iter().all(|d| d.remedy == Remedy::Restore));
}

#[test]
fn any_change_to_the_manifest_is_named() {
    let disk = small_journal();
    let bytes = disk.contents("MANIFEST").unwrap();
    for at in 0..bytes.len() - 1 {
        let copy = copy_of(&disk);
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        copy.overwrite("MANIFEST", damaged);
        let found = look_at(&copy);
        assert_eq!(found.differences[0].file.as_deref(), Some("MANIFEST"), "{at}");
    }
    let copy = copy_of(&disk);
    copy.unlink("MANIFEST").unwrap();
    assert!(!look_at(&copy).is_sound());
}

#[test]
fn arbitrary_bytes_make_it_say_no_and_never_panic() {
    let disk = small_journal();
    let mut dice = fastrand::Rng::with_seed(5);
    for _ in 0..200 {
        let copy = copy_of(&disk);
        for (name, mut bytes) in segments(&disk) {
            let (from, len) = (dice.usize(..bytes.len()), dice.usize(..2_000));
            bytes.iter_mut().skip(from).take(len).for_each(|byte| *byte = dice.u8(..));
            if dice.bool() {
                bytes.truncate(dice.usize(..bytes.len()));
            }
            copy.overwrite(&name, bytes);
        }
        drop(look_at(&copy));
    }
}

#[test]
fn an_unfinished_write_is_a_note_and_no_difference() {
    let disk = SimDisk::new();
    let journal = open(&disk).unwrap();
    let id = make(&journal, "a");
    speak(&journal, id, "1").unwrap();
    drop(journal);
    let found = look_at(&disk);
    assert!(found.is_sound() && found.notes.len() == 1, "{:?} {:?}", found.differences, found.notes);
    assert!(found.notes[0].starts_with("segment-"), "{:?}", found.notes);
}

// ---- the catalogue --------------------------------------------------------------------------------------------------

/// A directory with sealed segments; streams that live, are gone and were made again.
fn grown(dir: &Path, rounds: usize) {
    let options = JournalOptions { segment_bytes: 8 << 10, by_hand: true, ..JournalOptions::new(clock()) };
    let journal = Journal::open_dir(dir, options).unwrap();
    for round in 0..rounds {
        for name in ["a", "b", "c"] {
            let id = journal.find(&StreamName::from_log(name)).unwrap_or_else(|| make(&journal, name));
            for n in 0..6 {
                let state = journal.load(id).unwrap();
                let seq = state.producers.values().next().map_or(0, |producer| producer.last_seq.get() + 1);
                let mut given = super::storage_contract::say(&state, &[&format!("\"{}\"", "k".repeat(100 * n))]);
                given.record.producer = Some(tuple("p", 0, seq));
                commit(&journal, vec![given]).unwrap();
            }
        }
        if round % 3 == 2 {
            let id = journal.find(&StreamName::from_log("b")).unwrap();
            commit(&journal, vec![staged(&journal.load(id).unwrap(), keyfold::stream::Body::Delete)]).unwrap();
        }
    }
    journal.close();
}

fn replace_catalogue(dir: &Path, with: &Path) {
    let catalogue = dir.join("catalogue");
    std::fs::remove_dir_all(&catalogue).unwrap();
    copy_dir(with, &catalogue);
}

/// Exit status 1, the catalogue by its name; then it is repaired, and nothing else was changed.
fn named_and_repaired(dir: &Path, what: &str) {
    let before = files(dir);
    let (status, lines) = answer(dir, &[]);
    assert_eq!(status, 1, "{what}: {lines:?}");
    assert_eq!(lines[0]["file"], "catalogue", "{what}: {lines:?}");
    assert!(lines[0]["remedy"].as_str().unwrap().contains("--repair"), "{what}");
    let (status, lines) = answer(dir, &["--repair"]);
    assert_eq!(status, 0, "{what}: {lines:?}");
    assert!(dir.join("catalogue.damaged").exists() && files(dir) == before, "{what}");
    let (status, lines) = answer(dir, &[]);
    assert_eq!((status, lines.len()), (0, 1), "{what}: {lines:?}");
}

#[test]
fn a_catalogue_that_differs_is_named_and_repaired() {
    let dir = tempfile::tempdir().unwrap();
    grown(dir.path(), 7);
    assert!(look(dir.path()).is_sound(), "{:?}", look(dir.path()).differences);
    let good = tempfile::tempdir().unwrap();
    copy_dir(&dir.path().join("catalogue"), good.path());

    let other = tempfile::tempdir().unwrap();
    grown(other.path(), 4);
    replace_catalogue(dir.path(), &other.path().join("catalogue"));
    named_and_repaired(dir.path(), "another journal's");

    std::fs::remove_dir_all(dir.path().join("catalogue")).unwrap();
    std::fs::write(dir.path().join("catalogue"), "garbage").unwrap();
    named_and_repaired(dir.path(), "a file");

    // Ahead: the journal of some rounds ago under the catalogue of now.
    let earlier = tempfile::tempdir().unwrap();
    copy_dir(dir.path(), earlier.path());
    grown(dir.path(), 6);
    replace_catalogue(earlier.path(), &dir.path().join("catalogue"));
    named_and_repaired(earlier.path(), "ahead");
}

/// Every value of it carries a checksum: this one changes values and mends those.
#[test]
fn a_catalogue_that_lies_is_named_by_stream_and_position() {
    let dir = tempfile::tempdir().unwrap();
    grown(dir.path(), 7);
    let good = tempfile::tempdir().unwrap();
    copy_dir(&dir.path().join("catalogue"), good.path());
    let keys: Vec<Vec<u8>> = {
        let db = sled::open(good.path()).unwrap();
        db.iter().keys().map(|key| key.unwrap().to_vec()).collect()
    };
    let mut named = 0;
    for key in keys.iter().filter(|key| key[0] != b'm') {
        replace_catalogue(dir.path(), good.path());
        let db = sled::open(dir.path().join("catalogue")).unwrap();
        let mut value = db.get(key).unwrap().unwrap().to_vec();
        let body = value.len() - 4;
        let at = body - 1;
        value[at] ^= 1;
        let crc = crc32c::crc32c(&value[..body]);
        value[body..].copy_from_slice(&crc.to_le_bytes());
        db.insert(key, value).unwrap();
        db.flush().unwrap();
        drop(db);
        let found = look(dir.path());
        let stream = key[1..].first_chunk().map(|id| StreamId(u64::from_be_bytes(*id)));
        let ended = key[0] != b'n' && found.store().unwrap().load(stream.unwrap()).is_none();
        if ended && found.is_sound() {
            // It ended behind what the catalogue covers: nobody will ask.
            continue;
        }
        assert!(!found.is_sound(), "{key:?}");
        let difference = &found.differences[0];
        assert_eq!((difference.file.as_deref(), difference.remedy), (Some("catalogue"), Remedy::Rebuild), "{key:?}");
        named += usize::from(difference.stream.is_some());
    }
    assert!(named > 3, "{named}");
    let stream = keys.iter().find(|key| key[0] == b's').unwrap();
    replace_catalogue(dir.path(), good.path());
    let db = sled::open(dir.path().join("catalogue")).unwrap();
    db.remove(stream).unwrap();
    db.flush().unwrap();
    drop(db);
    named_and_repaired(dir.path(), "forgets");
}

#[test]
fn an_older_catalogue_is_as_good() {
    let dir = tempfile::tempdir().unwrap();
    grown(dir.path(), 4);
    let older = tempfile::tempdir().unwrap();
    copy_dir(&dir.path().join("catalogue"), older.path());
    grown(dir.path(), 8);
    replace_catalogue(dir.path(), older.path());
    let found = look(dir.path());
    assert!(found.is_sound(), "{:?}", found.differences);
    assert!(found.notes.iter().any(|note| note.contains("catalogue covers")), "{:?}", found.notes);
}
