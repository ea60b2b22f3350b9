//! What is fuzzed: one function a target, which takes any bytes and panics where a promise is broken.
//!
//! Shared by `fuzz_targets/` (`cargo fuzz`, nightly) and `tests/fuzz_corpus.rs` (stable, in every test run).

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use keyfold::api::{Api, ApiSettings, router};
use keyfold::engine::{Engine, Settings};
use keyfold::model::{
    ContentType, Offset, Producer, ProducerEpoch, ProducerId, ProducerSeq, ReadFrom, StreamName, Timestamp,
};
use keyfold::protocol::change::{Change, Enrichment, StoredChange};
use keyfold::protocol::subscription::SubscriptionBody;
use keyfold::protocol::{cursor, json, registry as wire};
use keyfold::registry::{BindingName, Document, DocumentLimits, Pattern, SubjectName};
use keyfold::runtime::Clock;
use keyfold::storage::codec::{Encoded, Header, Placement};
use keyfold::storage::disk::{Disk, SimDisk};
use keyfold::storage::{Journal, JournalOptions, MemoryStore, Staged, Store, Wanted, fuzzing};
use keyfold::stream::{Body, Creation, Lengths, Lifetime, Record, StreamVersion};
use keyfold::subscription::{WebhookUrl, stream_path};

/// Takes any bytes, and panics where a promise is broken.
pub type Target = fn(&[u8]);

/// Every target by the name of its corpus.
pub const TARGETS: [(&str, Target); 9] = [
    ("record", record),
    ("recovery", recovery),
    ("catalogue", catalogue),
    ("change", change),
    ("json", messages),
    ("text", text),
    ("pattern", pattern),
    ("document", document),
    ("http", http),
];

const KEY: u32 = 7;

/// A record as a disk gives it: as it is, and with its checksums made right.
pub fn record(bytes: &[u8]) {
    read_record(bytes.to_vec());
    let mut sealed = bytes.to_vec();
    if fuzzing::reseal(KEY, &mut sealed).is_some() {
        read_record(sealed);
    }
}

fn read_record(bytes: Vec<u8>) {
    let bytes = Bytes::from(bytes);
    let Ok(header) = Header::parse(KEY, &bytes) else { return };
    assert!(header.len <= bytes.len());
    if header.verify_body(&bytes).is_err() {
        return;
    }
    let _ = header.created_at(&bytes);
    let Ok(Some(record)) = header.record(&bytes) else { return };
    // Written again it is the same record.
    let mut out = Vec::new();
    Encoded::of(&record, header.chained()).write(KEY, &Placement { life: 1, ..header.placement }, &mut out);
    let out = Bytes::from(out);
    let again = Header::parse(KEY, &out).expect("what was written is read");
    again.verify_body(&out).expect("what was written has its checksum");
    let again = again.record(&out).expect("what was written is understood").expect("it is a record");
    assert_eq!(format!("{record:?}"), format!("{again:?}"));
}

/// What opens a small journal of two streams, closed well.
fn journal() -> Vec<(String, Vec<u8>)> {
    let disk = SimDisk::new();
    let store = open(&disk).expect("an empty disk");
    for (id, name) in ["a", "b/c"].into_iter().enumerate() {
        let id = keyfold::model::StreamId(id as u64 + 1);
        let creation = Creation {
            name: StreamName::parse(name).expect("a name"),
            content_type: ContentType::json(),
            lifetime: Lifetime::Unlimited,
            start: 0,
            schema: None,
            fork: None,
        };
        let create = Record { body: Body::Create(creation), ..Record::plain(id, 0, Timestamp::from_millis(1)) };
        let lengths: Lengths = [1u32, 2].into_iter().collect();
        let body = Body::Append { lengths, payload: Bytes::from_static(b"1,22,") };
        let producer = Producer {
            id: ProducerId::parse("p").expect("an id"),
            epoch: ProducerEpoch::ZERO,
            seq: ProducerSeq::new(0).expect("a seq"),
        };
        let append =
            Record { body, count: 2, producer: Some(producer), ..Record::plain(id, 0, Timestamp::from_millis(2)) };
        let decided_on = StreamVersion::default();
        store.append(vec![Staged { record: create, decided_on }], Box::new(|done| assert!(done.is_ok())));
        store.step();
        let decided_on = decided_on.next();
        store.append(vec![Staged { record: append, decided_on }], Box::new(|done| assert!(done.is_ok())));
        store.step();
    }
    store.close();
    let names = disk.list().expect("its names");
    let mut files: Vec<_> =
        names.into_iter().filter_map(|name| Some((name.clone(), disk.contents(&name)?))).collect();
    files.sort();
    files
}

fn open(disk: &SimDisk) -> Option<Arc<Journal>> {
    let clock = Clock::manual(Timestamp::from_millis(1_000));
    let options = JournalOptions { segment_bytes: 4096, by_hand: true, ..JournalOptions::new(clock) };
    Journal::open(Arc::new(disk.clone()), options).ok()
}

/// A journal of which some bytes are others: opened, or refused; what opens can be read and written.
///
/// Input: whether checksums are made right, then patches of file, place, length and bytes.
pub fn recovery(bytes: &[u8]) {
    thread_local! {
        static GOOD: Vec<(String, Vec<u8>)> = journal();
    }
    let mut files = GOOD.with(Clone::clone);
    let Some((&seals, mut rest)) = bytes.split_first() else { return };
    while let [file, high, low, length, after @ ..] = rest {
        let count = files.len();
        let (_, content) = &mut files[usize::from(*file) % count];
        let patch = &after[..after.len().min(usize::from(*length % 32))];
        // The first 4 KiB are where the records are.
        let at = usize::from(u16::from_be_bytes([*high, *low])) % 4096;
        if content.len() < at + patch.len() {
            content.resize(at + patch.len(), 0);
        }
        content[at..at + patch.len()].copy_from_slice(patch);
        if *length >= 224 {
            content.truncate(at);
        }
        rest = &after[patch.len()..];
    }
    let key = seals.is_multiple_of(2).then(|| reseal_manifest(&mut files)).flatten();
    let disk = SimDisk::new();
    for (name, mut content) in files {
        if let Some(key) = key.filter(|_| name.starts_with("segment-") || name.starts_with("cluster-")) {
            let mut at = 0;
            while let Some(len) = content.get_mut(at..).and_then(|rest| fuzzing::reseal(key, rest)) {
                at += len.max(4);
            }
        }
        let file = disk.create(&name).expect("a file");
        file.write_at(&content, 0).expect("room");
        file.sync_data().expect("a disk that is well");
    }
    disk.sync_dir().expect("a disk that is well");
    let Some(store) = open(&disk) else { return };
    for name in store.list("", None, 100) {
        let Some(id) = store.find(&name) else { continue };
        let Some(state) = store.load(id) else { continue };
        let start = state.creation.start;
        if let Ok(runs) = store.read(id, start, state.tail, 1 << 20) {
            for run in runs {
                assert!(run.first >= start && run.first + run.count <= state.tail);
                let wanted = Wanted { position: run.first, place: run.place, length: run.payload.len() as u32 };
                let _ = store.fetch(id, &[wanted]);
            }
        }
    }
    let (id, start) = (store.next_id(), store.start_position());
    let creation = Creation {
        name: StreamName::parse("new").expect("a name"),
        content_type: ContentType::json(),
        lifetime: Lifetime::Unlimited,
        start,
        schema: None,
        fork: None,
    };
    let create = Record { body: Body::Create(creation), ..Record::plain(id, start, Timestamp::from_millis(1)) };
    store.append(vec![Staged { record: create, decided_on: StreamVersion::default() }], Box::new(|_| ()));
    store.step();
    store.close();
}

/// Makes the manifest's checksum right; the key of the journal's records.
fn reseal_manifest(files: &mut [(String, Vec<u8>)]) -> Option<u32> {
    let (_, content) = files.iter_mut().find(|(name, _)| name == "MANIFEST")?;
    let text = std::str::from_utf8(content).ok()?;
    let body = &text[..text.trim_end().rfind('\n')? + 1];
    let id: u64 = body.lines().find_map(|line| line.strip_prefix("id ")?.trim().parse().ok())?;
    *content = format!("{body}crc32c {:08x}\n", crc32c::crc32c(body.as_bytes())).into_bytes();
    Some((id >> 32) as u32 ^ id as u32)
}

/// A value of the catalogue.
pub fn catalogue(bytes: &[u8]) {
    fuzzing::catalogue_value(bytes);
}

/// A change message: what is accepted is stored as a change of the same entity, and is accepted again.
pub fn change(bytes: &[u8]) {
    let Ok(message) = std::str::from_utf8(bytes) else { return };
    let _ = StoredChange::parse(message);
    let Ok(change) = Change::parse(message) else { return };
    for trace in [false, true] {
        let mut out = Vec::new();
        change.store(Enrichment { now: Timestamp::from_millis(1), trace }, &mut out);
        let out = String::from_utf8(out).expect("what is stored is text");
        let stored = StoredChange::parse(&out).expect("what is stored is a change");
        assert_eq!((&*stored.entity_type, &*stored.key), (change.entity_type.as_str(), change.key.as_str()), "{out}");
        let again = Change::parse(&out).unwrap_or_else(|fault| panic!("{out}: {fault:?}"));
        assert_eq!((again.operation, again.value), (change.operation, change.value));
    }
}

/// A JSON body: split as a parser would, and strict values no looser than a parser.
pub fn messages(bytes: &[u8]) {
    let split = json::messages(bytes, 1_000);
    if let Ok(split) = &split {
        for message in split {
            let _ = json::check_depth(message, 128);
            if let Ok(strict) = json::strict_value(message, 128, json::Duplicates::Keep) {
                let plain: serde_json::Value = serde_json::from_str(message).expect("strict values are values");
                assert_eq!(strict, plain);
            }
        }
        let whole: Vec<&serde_json::value::RawValue> = match serde_json::from_slice(bytes) {
            Ok(whole) => whole,
            Err(_) => return,
        };
        assert_eq!(split.len(), whole.len());
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = json::strict_value(text, 128, json::Duplicates::Refuse);
        let _ = wire::read_entry(text, &keyfold::registry::Registry::default());
        let _ = keyfold::protocol::subscription::read_entry(text);
    }
}

/// The small texts of paths, queries and headers: what is read is written as it was.
pub fn text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(offset) = text.parse::<Offset>() {
        assert_eq!(offset.to_string().parse::<Offset>().ok(), Some(offset));
    }
    let _ = text.parse::<ReadFrom>();
    if let Ok(moment) = text.parse::<Timestamp>() {
        assert_eq!(moment.to_string().parse::<Timestamp>().ok(), Some(moment), "{text}");
    }
    if let Ok(name) = StreamName::parse(text) {
        assert_eq!(name.as_str(), text);
        assert!(!name.is_internal());
    }
    if let Some(id) = ProducerId::parse(text) {
        assert_eq!(id.as_str(), text);
    }
    if let Some(epoch) = ProducerEpoch::parse(text) {
        assert_eq!(ProducerEpoch::parse(&epoch.to_string()), Some(epoch));
    }
    let _ = (ProducerSeq::parse(text), SubjectName::parse(text), BindingName::parse(text));
    if let Some(kind) = ContentType::parse(text) {
        assert!(kind.matches(&kind));
    }
    let now = Timestamp::from_millis(1_800_000_000_000);
    assert!(cursor::cursor(now, Some(text), 60) >= cursor::current(now), "{text}");
    for localhost_allowed in [false, true] {
        let _ = WebhookUrl::parse(text, localhost_allowed);
    }
    let _ = stream_path(text);
    if let Ok(body) = serde_json::from_str::<SubscriptionBody>(text) {
        let _ = body.into_config(false);
    }
}

/// Two patterns and a path, a line each: matching agrees with meeting.
pub fn pattern(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.splitn(3, '\n');
    let (one, other, path) = (lines.next(), lines.next(), lines.next().unwrap_or_default());
    let parse = |text: Option<&str>| Pattern::parse(text.unwrap_or_default()).ok();
    let Some(one) = parse(one) else { return };
    let matches = one.matches(path);
    assert!(!one.is_exact() || matches == (one.as_str() == path));
    let Some(other) = parse(other) else { return };
    assert_eq!(one.intersects(&other), other.intersects(&one));
    if StreamName::parse(path).is_ok() && matches && other.matches(path) {
        assert!(one.intersects(&other), "both match {path}");
    }
}

/// A document to register: accepted, it is read back as the same, and its schemas judge any value.
pub fn document(bytes: &[u8]) {
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(bytes) else { return };
    let Ok(document) = Document::parse(&value, &DocumentLimits::default()) else { return };
    let again = Document::read_back(document.canonical()).expect("what was accepted is read back");
    assert_eq!(again.canonical(), document.canonical());
    for collection in document.compiled().collections() {
        assert_eq!(collection.is_valid(&value), collection.check(&value, 10).is_empty());
        let _ = (collection.key_of(&value), collection.version_of(&value));
    }
}

struct World {
    runtime: tokio::runtime::Runtime,
    router: axum::Router,
    served: usize,
}

impl World {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let clock = Clock::manual(Timestamp::from_millis(1_800_000_000_000));
        let router = runtime.block_on(async {
            let settings = Settings::default();
            let engine = Engine::start(MemoryStore::new(clock.clone()), clock, settings).expect("an empty store");
            let api = Api::new(ApiSettings { long_poll: Duration::from_millis(1), ..ApiSettings::default() });
            api.serve_from(engine);
            router(api)
        });
        let world = Self { runtime, router, served: 0 };
        let thing = r#"{"collections":{"things":{"type":"thing","primaryKey":"id","versionField":"v",
            "schema":{"type":"object","required":["id"],"properties":{"id":{"type":"string"},"v":{"type":"integer"}}}}}}"#;
        for (method, path, body) in [
            ("PUT", "/v1/stream/a", "[1,2]"),
            ("POST", "/v1/schemas/things/versions", thing),
            ("PUT", "/v1/bindings/things", r#"{"pattern":"t/*","subject":"things"}"#),
            ("PUT", "/v1/state/t/a/-/entities/thing/k", r#"{"id":"k","v":1}"#),
        ] {
            let request = axum::http::Request::builder().method(method).uri(path);
            let request = request.header("content-type", "application/json").body(body.into()).expect("a request");
            assert!(world.send(request) < 300, "{method} {path}");
        }
        world
    }

    /// The status of an answer whose body was read, or began to be where it does not end.
    fn send(&self, request: axum::http::Request<axum::body::Body>) -> u16 {
        use http_body_util::BodyExt;
        use tower::ServiceExt;
        self.runtime.block_on(async {
            let answer = self.router.clone().oneshot(request).await.expect("an answer");
            let (head, mut body) = answer.into_parts();
            let read = async { while let Some(Ok(_)) = body.frame().await {} };
            let _ = tokio::time::timeout(Duration::from_millis(2), read).await;
            head.status.as_u16()
        })
    }
}

/// A request: its first line is how many bytes a piece of the body has, method and target; then headers, an empty line,
/// the body. Whatever it is, it is no fault of the server.
pub fn http(bytes: &[u8]) {
    thread_local! {
        static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
    }
    let Some(request) = request(bytes) else { return };
    let shown = format!("{request:?}");
    WORLD.with_borrow_mut(|world| {
        // What others have written would fill memory in the end.
        if world.as_ref().is_some_and(|world| world.served >= 500) {
            *world = None;
        }
        let world = world.get_or_insert_with(World::new);
        world.served += 1;
        let status = world.send(request);
        assert!(status < 500 || status == 501 || status == 503, "{status}: {shown}");
    });
}

fn request(bytes: &[u8]) -> Option<axum::http::Request<axum::body::Body>> {
    let end = bytes.windows(2).position(|pair| pair == b"\n\n")?;
    let (head, body) = (&bytes[..end], &bytes[end + 2..]);
    let mut lines = head.split(|byte| *byte == b'\n');
    let first = std::str::from_utf8(lines.next()?).ok()?;
    let mut words = first.splitn(3, ' ');
    let (piece, method, target) = (words.next()?, words.next()?, words.next()?);
    let piece: usize = piece.parse().ok().filter(|piece| *piece > 0)?;
    let mut request = axum::http::Request::builder().method(method).uri(target);
    for line in lines {
        let at = line.iter().position(|byte| *byte == b':')?;
        request = request.header(&line[..at], line[at + 1..].trim_ascii());
    }
    let pieces: Vec<_> =
        body.chunks(piece).map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece))).collect();
    request.body(axum::body::Body::from_stream(futures_util::stream::iter(pieces))).ok()
}
