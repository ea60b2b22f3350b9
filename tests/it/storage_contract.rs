//! What [`Store`] promises, sentence by sentence, on every backend.
//!
//! A case is listed once, in [`contract!`] at the end, and becomes a test of each backend: `journal_on_disk::…`,
//! `journal_simulated::…`, `memory::…`. What is said of restarts and power loss has no meaning for a store in memory,
//! which keeps nothing: those cases are listed apart, for the journals.

mod clusters;
pub(super) mod crash;
mod space;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use keyfold::model::{
    ContentType, Producer, ProducerEpoch, ProducerId, ProducerSeq, StreamId, StreamName, Timestamp,
};
use keyfold::runtime::Clock;
use keyfold::storage::disk::SimDisk;
use keyfold::storage::{
    AppendError, Journal, JournalOptions, MemoryStore, OpenError, Placed, ReadError, Run, SharedStore, Staged, Store,
    Wanted,
};
use keyfold::stream::{Body, Creation, Fork, Lengths, Lifetime, Record, SchemaRef, StreamState, StreamVersion};

pub(super) type Answer = Result<Vec<Placed>, AppendError>;

const SEGMENT: u64 = 64 << 10;

/// A store that can be closed and opened again.
struct Backend {
    kind: Kind,
    clock: Clock,
    store: Option<SharedStore>,
}

enum Kind {
    Memory,
    Simulated(SimDisk),
    Directory(tempfile::TempDir),
}

impl Backend {
    fn new(kind: Kind) -> Self {
        let mut backend = Self { kind, clock: Clock::manual(Timestamp::from_millis(1_000_000)), store: None };
        backend.open();
        backend
    }

    fn memory() -> Self {
        Self::new(Kind::Memory)
    }

    fn journal_simulated() -> Self {
        Self::new(Kind::Simulated(SimDisk::new()))
    }

    fn journal_on_disk() -> Self {
        Self::new(Kind::Directory(tempfile::tempdir().unwrap()))
    }

    fn options(&self) -> JournalOptions {
        JournalOptions { segment_bytes: SEGMENT, ..JournalOptions::new(self.clock.clone()) }
    }

    fn open(&mut self) {
        self.store = Some(match &self.kind {
            Kind::Memory => MemoryStore::new(self.clock.clone()),
            Kind::Simulated(disk) => Journal::open(Arc::new(disk.clone()), self.options()).unwrap(),
            Kind::Directory(dir) => Journal::open_dir(dir.path(), self.options()).unwrap(),
        });
    }

    fn try_open_second(&self) -> Result<Arc<Journal>, OpenError> {
        match &self.kind {
            Kind::Memory => unreachable!("memory has no directory"),
            Kind::Simulated(disk) => Journal::open(Arc::new(disk.clone()), self.options()),
            Kind::Directory(dir) => Journal::open_dir(dir.path(), self.options()),
        }
    }

    fn store(&self) -> &SharedStore {
        self.store.as_ref().unwrap()
    }

    fn close(&mut self) {
        self.store.take().unwrap().close();
    }

    fn reopen(&mut self) {
        self.close();
        self.open();
    }

    /// The process is gone without a word; what it wrote is there.
    fn kill(&mut self) {
        self.store = None;
        self.open();
    }
}

/// A way to append that waits for the answer.
pub(super) trait Ask {
    fn ask(&self, records: Vec<Staged>) -> Answer;
    fn send(&self, records: Vec<Staged>) -> Receiver<Answer>;
    fn make(&self, name: &str) -> StreamId;
    fn say(&self, id: StreamId, messages: &[&str]) -> Placed;
    fn everything(&self, id: StreamId) -> Vec<String>;
    fn read_both_ways(&self, id: StreamId, from: u64, to: u64, bytes_max: usize) -> Vec<Run>;
    fn remove(&self, id: StreamId);
}

impl<S: Store + ?Sized> Ask for S {
    fn send(&self, records: Vec<Staged>) -> Receiver<Answer> {
        let (sender, receiver) = channel();
        self.append(records, Box::new(move |result| drop(sender.send(result.map(<[Placed]>::to_vec)))));
        receiver
    }

    fn ask(&self, records: Vec<Staged>) -> Answer {
        self.send(records).recv_timeout(Duration::from_secs(20)).expect("an answer")
    }

    fn make(&self, name: &str) -> StreamId {
        let id = self.next_id();
        self.ask(vec![create(id, name, self.start_position())]).unwrap();
        id
    }

    fn say(&self, id: StreamId, messages: &[&str]) -> Placed {
        self.ask(vec![say(&self.load(id).unwrap(), messages)]).unwrap()[0]
    }

    fn everything(&self, id: StreamId) -> Vec<String> {
        let state = self.load(id).unwrap();
        messages(&self.read_both_ways(id, state.creation.start, state.tail, usize::MAX))
    }

    /// What a read gives, after a look that payloads which are put together are the same.
    fn read_both_ways(&self, id: StreamId, from: u64, to: u64, bytes_max: usize) -> Vec<Run> {
        let runs = self.read(id, from, to, bytes_max).unwrap();
        let mut together = b"before".to_vec();
        let ranges = self.read_joined(id, from, to, bytes_max, &mut together).unwrap();
        let apart: Vec<u8> = runs.iter().flat_map(|run| run.payload.to_vec()).collect();
        assert_eq!(together, [&b"before"[..], &apart].concat());
        let positions: Vec<u64> = runs.iter().flat_map(|run| run.first..run.first + run.count).collect();
        assert!(ranges.windows(2).all(|pair| pair[0].end < pair[1].start), "{ranges:?}");
        assert_eq!(ranges.into_iter().flatten().collect::<Vec<_>>(), positions);
        runs
    }

    fn remove(&self, id: StreamId) {
        let state = self.load(id).unwrap();
        self.ask(vec![staged(&state, Body::Delete)]).unwrap();
    }
}

fn record(id: StreamId, first: u64, body: Body) -> Record {
    Record {
        stream: id,
        first,
        count: 0,
        at: Timestamp::default(),
        producer: None,
        stream_seq: None,
        closes: false,
        schema_version: None,
        txid: None,
        body,
    }
}

fn create_as(id: StreamId, name: &str, start: u64, content_type: ContentType) -> Staged {
    let creation = Creation {
        name: StreamName::from_log(name),
        content_type,
        lifetime: Lifetime::Unlimited,
        start,
        schema: None,
        fork: None,
    };
    Staged { record: record(id, start, Body::Create(creation)), decided_on: StreamVersion(0) }
}

pub(super) fn create(id: StreamId, name: &str, start: u64) -> Staged {
    create_as(id, name, start, ContentType::json())
}

pub(super) fn staged(state: &StreamState, body: Body) -> Staged {
    Staged { record: record(state.id, state.tail, body), decided_on: state.version }
}

fn json(messages: &[&str]) -> Body {
    let payload: String = messages.iter().map(|message| format!("{message},")).collect();
    let lengths: Lengths = messages.iter().map(|message| message.len() as u32).collect();
    Body::Append { lengths, payload: payload.into() }
}

pub(super) fn say(state: &StreamState, messages: &[&str]) -> Staged {
    let mut staged = staged(state, json(messages));
    staged.record.count = messages.len() as u64;
    staged
}

/// What comes after `before` on the same stream, decided on the staged state.
fn after(state: &mut StreamState, messages: &[&str]) -> Staged {
    let staged = say(state, messages);
    state.apply(&staged.record);
    staged
}

fn messages(runs: &[Run]) -> Vec<String> {
    let mut all = Vec::new();
    for run in runs {
        let mut at = 0;
        for length in run.lengths.iter() {
            let end = at + length as usize;
            all.push(String::from_utf8(run.payload[at..end].to_vec()).unwrap());
            assert_eq!(run.payload[end], b',');
            at = end + 1;
        }
        assert_eq!(at, run.payload.len(), "lengths and payload agree");
        assert_eq!(all.len() as u64 % u64::MAX, all.len() as u64);
    }
    all
}

pub(super) fn tuple(id: &str, epoch: u64, seq: u64) -> Producer {
    Producer {
        id: ProducerId::parse(id).unwrap(),
        epoch: ProducerEpoch::new(epoch).unwrap(),
        seq: ProducerSeq::new(seq).unwrap(),
    }
}

/// All of what a state says, comparable.
pub(super) fn facts(state: &StreamState) -> String {
    let producers: BTreeMap<_, _> = state.producers.iter().collect();
    let mut bare = state.clone();
    bare.producers.clear();
    format!("{bare:?} {producers:?}")
}

// ---- every backend ---------------------------------------------------------------------------------------------------

fn what_was_appended_is_read_back(backend: Backend) {
    let store = backend.store();
    let id = store.make("a");
    store.say(id, &["1", "{\"b\":2}"]);
    store.say(id, &["3"]);
    assert_eq!(store.everything(id), ["1", "{\"b\":2}", "3"]);
    let state = store.load(id).unwrap();
    assert_eq!((state.tail, state.version, state.bytes), (3, StreamVersion(3), 12));
    let runs = store.read(id, 1, 3, usize::MAX).unwrap();
    assert_eq!((runs[0].first, runs[0].count, runs[0].record.clone()), (1, 1, 0..2));
    assert!(store.read(id, 3, 9, 100).unwrap().is_empty());
    assert!(store.read(StreamId(999), 0, 9, 100).is_err());
}

fn completions_come_in_call_order_and_tell_rising_places(backend: Backend) {
    let store = backend.store();
    let ids = [store.make("a"), store.make("b")];
    let mut states = ids.map(|id| store.load(id).unwrap());
    let heard: Arc<Mutex<Vec<(usize, Placed)>>> = Arc::default();
    for n in 0..200 {
        let heard = heard.clone();
        let record = after(&mut states[n % 2], &["1"]);
        store.append(vec![record], Box::new(move |placed| heard.lock().unwrap().push((n, placed.unwrap()[0]))));
    }
    store.close();
    let heard = heard.lock().unwrap();
    assert_eq!(heard.iter().map(|(n, _)| *n).collect::<Vec<_>>(), (0..200).collect::<Vec<_>>());
    assert!(heard.is_sorted_by(|a, b| a.1.payload < b.1.payload && a.1.at <= b.1.at));
}

fn completions_do_not_run_on_the_callers_stack(backend: Backend) {
    let store = backend.store();
    let id = store.make("a");
    let state = store.load(id).unwrap();
    let lock = Arc::new(Mutex::new(()));
    let guard = lock.lock().unwrap();
    let (sender, heard) = channel();
    // One that is written and one that conflicts: both must wait for the lock that the caller holds.
    for _ in 0..2 {
        let (lock, sender) = (lock.clone(), sender.clone());
        store.append(
            vec![say(&state, &["1"])],
            Box::new(move |_| {
                drop(lock.lock().unwrap());
                sender.send(()).unwrap();
            }),
        );
    }
    drop(guard);
    for _ in 0..2 {
        heard.recv_timeout(Duration::from_secs(20)).unwrap();
    }
}

fn a_completion_that_panics_harms_nobody_else(backend: Backend) {
    let store = backend.store();
    let id = store.make("a");
    let mut state = store.load(id).unwrap();
    store.append(vec![after(&mut state, &["1"])], Box::new(|_| panic!("on purpose")));
    store.ask(vec![after(&mut state, &["2"])]).unwrap();
    assert_eq!(store.everything(id), ["1", "2"]);
}

fn conflict_writes_nothing(backend: Backend) {
    let store = backend.store();
    let id = store.make("a");
    let old = store.load(id).unwrap();
    store.say(id, &["1"]);
    let before = facts(&store.load(id).unwrap());
    assert_eq!(store.ask(vec![say(&old, &["2"])]), Err(AppendError::Conflict));
    assert_eq!(store.ask(vec![create(id, "a", 0)]), Err(AppendError::Conflict), "it exists");
    let unknown = StreamState { id: store.next_id(), version: StreamVersion(0), ..old.clone() };
    assert_eq!(store.ask(vec![say(&unknown, &["2"])]), Err(AppendError::Conflict), "it was never created");
    assert_eq!(facts(&store.load(id).unwrap()), before);
    assert_eq!(store.everything(id), ["1"]);
}

fn all_or_none_of_a_call_is_staged(backend: Backend) {
    let store = backend.store();
    let [a, b] = ["a", "b"].map(|name| store.make(name));
    let [old_a, old_b] = [a, b].map(|id| store.load(id).unwrap());
    store.say(b, &["0"]);
    assert_eq!(store.ask(vec![say(&old_a, &["1"]), say(&old_b, &["1"])]), Err(AppendError::Conflict));
    assert_eq!(store.everything(a), [""; 0]);
    let mut state = store.load(a).unwrap();
    let placed =
        store.ask(vec![after(&mut state, &["1"]), after(&mut state, &["2"]), say(&store.load(b).unwrap(), &["3"])]);
    assert_eq!(placed.unwrap().len(), 3);
    assert_eq!(
        (store.everything(a), store.everything(b)),
        (vec!["1".into(), "2".into()], vec!["0".into(), "3".into()])
    );
    assert_eq!(store.ask(Vec::new()), Ok(Vec::new()));
}

fn a_failure_fails_what_was_staged_after_it_on_the_stream(backend: Backend) {
    let store = backend.store();
    let [a, b] = ["a", "b"].map(|name| store.make(name));
    let mut wrong = store.load(a).unwrap();
    wrong.version = StreamVersion(7);
    let mut other = store.load(b).unwrap();
    let answers = [
        store.send(vec![after(&mut wrong, &["1"])]),
        store.send(vec![after(&mut wrong, &["2"])]),
        store.send(vec![after(&mut other, &["3"])]),
    ]
    .map(|answer| answer.recv_timeout(Duration::from_secs(20)).unwrap().map(|placed| placed.len()));
    assert_eq!(answers, [Err(AppendError::Conflict), Err(AppendError::Conflict), Ok(1)]);
    assert!(store.everything(a).is_empty());
}

fn records_without_data_move_the_state(backend: Backend) {
    let store = backend.store();
    let id = store.make("a");
    let mut closing = staged(&store.load(id).unwrap(), Body::none());
    closing.record.closes = true;
    closing.record.producer = Some(tuple("p", 3, 0));
    closing.record.stream_seq = Some(Arc::from(&b"seq"[..]));
    store.ask(vec![closing]).unwrap();
    let schema = SchemaRef { subject: "workers".into(), version: 4 };
    store.ask(vec![staged(&store.load(id).unwrap(), Body::Rebind(schema.clone()))]).unwrap();
    store.ask(vec![staged(&store.load(id).unwrap(), Body::Renew)]).unwrap();
    let state = store.load(id).unwrap();
    assert_eq!(state.closed.unwrap().by, Some(tuple("p", 3, 0)));
    assert_eq!(
        (state.version, state.schema, state.stream_seq.as_deref()),
        (StreamVersion(4), Some(schema), Some(&b"seq"[..]))
    );
}

fn a_read_stops_at_its_bound_and_splits_only_what_alone_exceeds_it(backend: Backend) {
    let store = backend.store();
    let id = store.make("a");
    store.say(id, &["11", "22", "33"]);
    store.say(id, &["44"]);
    store.say(id, &["5555"]);
    let read = |from, to, max| messages(&store.read_both_ways(id, from, to, max));
    assert_eq!(read(0, 5, usize::MAX), ["11", "22", "33", "44", "5555"]);
    assert_eq!(read(0, 5, 12), ["11", "22", "33", "44"]);
    assert_eq!(read(0, 5, 9), ["11", "22", "33"]);
    assert_eq!(read(0, 5, 8), ["11", "22"], "cut at a message");
    assert_eq!(read(0, 5, 0), ["11"], "at least one");
    assert_eq!(read(2, 5, 1), ["33"]);
    assert_eq!(read(1, 4, usize::MAX), ["22", "33", "44"]);
    assert_eq!(read(4, 5, 2), ["5555"]);
    assert_eq!(read(1, 1, 100), [""; 0]);
}

fn what_a_fork_inherits_and_its_own_are_read_as_one(backend: Backend) {
    let store = backend.store();
    let source = store.make("a");
    store.say(source, &["11", "22"]);
    let id = store.next_id();
    let mut made = create(id, "b", 0);
    let Body::Create(creation) = &mut made.record.body else { unreachable!() };
    let fork = Fork { source, source_name: StreamName::from_log("a"), at: 2, shift: 0, depth: 1, bytes: 6 };
    (creation.fork, made.record.first) = (Some(fork), 2);
    let pin = staged(&store.load(source).unwrap(), Body::Pin { fork: id, at: 2 });
    store.ask(vec![made, pin]).unwrap();
    store.say(id, &["33", "44", "55"]);
    let read = |from, to, max| messages(&store.read_both_ways(id, from, to, max));
    assert_eq!(read(0, 5, usize::MAX), ["11", "22", "33", "44", "55"]);
    assert_eq!(read(0, 5, 15), ["11", "22", "33", "44", "55"]);
    assert_eq!(read(0, 5, 12), ["11", "22"], "what follows fits a page of its own");
    assert_eq!(read(0, 4, 12), ["11", "22", "33", "44"], "all that was asked for of it");
    assert_eq!(read(2, 5, 8), ["33", "44"], "cut at a message");
    assert_eq!(read(0, 5, 5), ["11"]);
}

fn byte_streams_are_cut_at_any_byte(backend: Backend) {
    let store = backend.store();
    let id = store.next_id();
    store.ask(vec![create_as(id, "b", 0, ContentType::octet_stream())]).unwrap();
    for bytes in ["hello", "", "world!!"] {
        let state = store.load(id).unwrap();
        let body = Body::Append { lengths: Lengths::default(), payload: Bytes::from_static(bytes.as_bytes()) };
        let mut staged = staged(&state, body);
        staged.record.count = bytes.len() as u64;
        store.ask(vec![staged]).unwrap();
    }
    let read = |from, to, max| {
        let runs = store.read_both_ways(id, from, to, max);
        runs.iter().flat_map(|run| run.payload.to_vec()).map(char::from).collect::<String>()
    };
    assert_eq!(read(0, 12, 100), "helloworld!!");
    assert_eq!(read(3, 8, 100), "lowor");
    assert_eq!(read(0, 12, 3), "hel");
    assert_eq!(read(3, 12, 8), "lo");
    assert_eq!(read(5, 12, 6), "world!");
}

/// A message that lies where it was.
fn wanted(place: keyfold::storage::Place, length: u32) -> Wanted {
    Wanted { position: u64::MAX - 8, place, length }
}

fn places_lead_to_messages(backend: Backend) {
    let store = backend.store();
    let id = store.make("a");
    let mut places = Vec::new();
    for n in 0..300 {
        let text = format!("\"{n}{}\"", "x".repeat(n % 90));
        let placed = store.say(id, &[&text, "7"]);
        let second = keyfold::storage::Place(placed.payload.0 + text.len() as u64 + 1);
        places.push((placed.payload, text.len() as u32, text));
        places.push((second, 1, "7".into()));
    }
    fastrand::Rng::with_seed(5).shuffle(&mut places);
    let asked: Vec<_> = places.iter().map(|(place, length, _)| wanted(*place, *length)).collect();
    let fetched = store.fetch(id, &asked).unwrap();
    assert!(places.iter().zip(&fetched).all(|((_, _, text), fetched)| text.as_bytes() == fetched.message));
    for run in store.read(id, 100, 103, usize::MAX).unwrap() {
        let length = run.lengths.iter().next().unwrap();
        let message = run.payload.slice(..length as usize);
        let fetched = keyfold::storage::Fetched { place: run.place, message };
        assert_eq!(store.fetch(id, &[wanted(run.place, length)]).unwrap()[0], fetched);
    }
    assert!(store.fetch(id, &[wanted(keyfold::storage::Place(u64::MAX - 8), 4)]).is_err());
}

fn names_are_listed_in_pages(backend: Backend) {
    let store = backend.store();
    for name in ["b/2", "a", "b/1", "c", "b/10", "\u{1}registry"] {
        store.make(name);
    }
    let list = |prefix, after, limit| {
        store.list(prefix, after, limit).iter().map(|name| name.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(list("", None, 9), ["a", "b/1", "b/10", "b/2", "c"]);
    assert_eq!(list("b/", None, 2), ["b/1", "b/10"]);
    assert_eq!(list("b/", Some("b/10"), 2), ["b/2"]);
    assert_eq!(list("b/", Some("a"), 1), ["b/1"]);
    assert_eq!(list("b/", Some("z"), 9), [""; 0]);
    assert_eq!(list("", None, 0), [""; 0]);
    // The server's own are listed to the server, and mixed with nobody's.
    assert_eq!(list("\u{1}", None, 9), ["\u{1}registry"]);
    assert_eq!(list("\u{1}s", None, 9), [""; 0]);
}

fn a_stream_that_is_gone_is_not_found_and_nothing_follows_it(backend: Backend) {
    let store = backend.store();
    let id = store.make("a");
    store.say(id, &["1"]);
    let state = store.load(id).unwrap();
    let mut behind = state.clone();
    let end = staged(&state, Body::Expire);
    behind.apply(&end.record);
    let answers = [store.send(vec![end]), store.send(vec![say(&behind, &["2"])])]
        .map(|answer| answer.recv_timeout(Duration::from_secs(20)).unwrap().map(|placed| placed.len()));
    assert_eq!(answers, [Ok(1), Err(AppendError::Conflict)]);
    assert_eq!(store.find(&StreamName::from_log("a")), None);
    assert!(store.load(id).is_none() && store.list("", None, 9).is_empty());
    assert!(store.read(id, 0, 9, 9).is_err());
}

fn new_streams_begin_above_all_that_is_gone(backend: Backend) {
    let store = backend.store();
    assert_eq!(store.start_position(), 0);
    let id = store.make("a");
    store.say(id, &["1", "2", "3"]);
    assert_eq!(store.start_position(), 0);
    store.remove(id);
    assert_eq!(store.start_position(), 4);
    let again = store.make("a");
    assert!(again != id);
    assert_eq!(store.load(again).unwrap().tail, 4);
    store.say(again, &["4"]);
    assert_eq!(store.everything(again), ["4"]);
    assert_eq!(store.read(again, 0, 9, 100).unwrap()[0].first, 4);
}

fn what_a_gone_stream_took_is_given_back(backend: Backend) {
    let store = backend.store();
    let kept = store.make("kept");
    let before = store.say(kept, &["1"]);
    let gone = store.make("gone");
    let text = format!("\"{}\"", "g".repeat(SEGMENT as usize / 4));
    let placed: Vec<Placed> = (0..24).map(|_| store.say(gone, &[&text])).collect();
    let after = store.say(kept, &["2"]);
    let most = store.stats().stored_bytes;
    assert!(most > 24 * text.len() as u64);
    store.remove(gone);
    // The first segment has something of the other, and the open one has the end.
    eventually(|| store.stats().stored_bytes < 3 * SEGMENT);
    eventually(|| matches!(store.fetch(gone, &[wanted(placed[12].payload, 1)]), Err(ReadError::NotFound)));
    assert!(matches!(store.read(gone, 0, 24, usize::MAX), Err(ReadError::NotFound)));
    assert_eq!(store.everything(kept), ["1", "2"]);
    let fetched = store.fetch(kept, &[wanted(before.payload, 1), wanted(after.payload, 1)]).unwrap();
    assert_eq!(fetched.into_iter().map(|fetched| fetched.message).collect::<Vec<_>>(), ["1", "2"]);
}

fn eventually(holds: impl Fn() -> bool) {
    let patience = std::time::Instant::now();
    while !holds() {
        assert!(patience.elapsed() < Duration::from_secs(10), "it takes too long");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn time_never_runs_backwards(mut backend: Backend) {
    let id = backend.store().make("a");
    backend.clock.advance(Duration::from_secs(60));
    let late = backend.store().say(id, &["1"]).at;
    assert_eq!(late, backend.clock.now());
    if !matches!(backend.kind, Kind::Memory) {
        backend.clock = Clock::manual(Timestamp::from_millis(5));
        backend.reopen();
        assert_eq!(backend.store().say(id, &["2"]).at, late);
    }
    assert_eq!(backend.store().load(id).unwrap().used_at, late);
}

fn a_closed_store_says_so(backend: Backend) {
    let store = backend.store();
    let id = store.make("a");
    let state = store.load(id).unwrap();
    let last = store.send(vec![say(&state, &["1"])]);
    store.close();
    assert!(last.recv_timeout(Duration::from_secs(1)).unwrap().is_ok(), "what was staged is written");
    assert_eq!(store.ask(vec![say(&store.load(id).unwrap(), &["2"])]), Err(AppendError::Closed));
    store.close();
}

fn many_writers_are_all_heard(backend: Backend) {
    let store = backend.store();
    std::thread::scope(|scope| {
        for writer in 0..8 {
            scope.spawn(move || {
                let id = store.make(&format!("s{writer}"));
                let mut state = store.load(id).unwrap();
                let text = format!("\"{}\"", "y".repeat(50 * writer + 10));
                let answers: Vec<_> = (0..200).map(|_| store.send(vec![after(&mut state, &[&text])])).collect();
                for answer in answers {
                    answer.recv_timeout(Duration::from_secs(20)).unwrap().unwrap();
                }
                let all = store.everything(id);
                assert!(all.len() == 200 && all.iter().all(|message| *message == text));
            });
        }
    });
    assert_eq!(store.stats().in_flight_bytes, 0);
    assert_eq!(store.stats().records, 8 * 201);
}

// ---- stores that survive --------------------------------------------------------------------------------------------

fn what_was_acknowledged_is_there_after_a_restart(mut backend: Backend) {
    let id = backend.store().make("a");
    let mut expected = Vec::new();
    for round in 0..12 {
        for n in 0..30 {
            let text = format!("\"{round} {n} {}\"", "z".repeat(n * 7));
            backend.store().say(id, &[&text]);
            expected.push(text);
        }
        let before = facts(&backend.store().load(id).unwrap());
        match round % 2 {
            0 => backend.reopen(),
            _ => backend.kill(),
        }
        assert_eq!(facts(&backend.store().load(id).unwrap()), before);
        assert_eq!(backend.store().everything(id), expected);
    }
}

fn producers_survive_a_restart(mut backend: Backend) {
    let id = backend.store().make("a");
    for seq in 0..3 {
        let mut given = say(&backend.store().load(id).unwrap(), &["1"]);
        given.record.producer = Some(tuple("p", 1, seq));
        backend.store().ask(vec![given]).unwrap();
    }
    let before = backend.store().load(id).unwrap().producers;
    for _ in 0..2 {
        backend.kill();
        assert_eq!(backend.store().load(id).unwrap().producers, before);
        backend.reopen();
        assert_eq!(backend.store().load(id).unwrap().producers, before);
    }
    assert_eq!(before[&tuple("p", 0, 0).id].last_seq.get(), 2);
}

fn closing_survives_a_restart(mut backend: Backend) {
    let id = backend.store().make("a");
    let mut given = say(&backend.store().load(id).unwrap(), &["1"]);
    given.record.closes = true;
    given.record.producer = Some(tuple("p", 1, 0));
    backend.store().ask(vec![given]).unwrap();
    backend.kill();
    assert_eq!(backend.store().load(id).unwrap().closed.unwrap().by, Some(tuple("p", 1, 0)));
}

fn offsets_are_never_used_again(mut backend: Backend) {
    let mut highest = 0;
    for round in 0..4 {
        let id = backend.store().make("a");
        let state = backend.store().load(id).unwrap();
        assert!(round == 0 || state.tail > highest, "starts at {}, {highest} was handed out", state.tail);
        backend.store().say(id, &["1", "2"]);
        highest = backend.store().load(id).unwrap().tail;
        backend.store().remove(id);
        match round % 2 {
            0 => backend.reopen(),
            _ => backend.kill(),
        }
        assert!(backend.store().start_position() > highest);
    }
}

fn ids_are_never_used_again(mut backend: Backend) {
    let mut seen = Vec::new();
    for _ in 0..4 {
        let id = backend.store().make("a");
        assert!(!seen.contains(&id));
        seen.push(id);
        backend.store().remove(id);
        backend.reopen();
    }
}

fn opening_many_times_costs_no_space(mut backend: Backend) {
    let id = backend.store().make("a");
    for _ in 0..20 {
        backend.reopen();
    }
    assert_eq!(backend.store().stats().segments, 1);
    for n in 0..20 {
        backend.store().say(id, &[&n.to_string()]);
        backend.reopen();
    }
    assert_eq!(backend.store().stats().segments, 1);
    assert_eq!(backend.store().everything(id).len(), 20);
}

fn a_record_may_be_larger_than_a_segment(mut backend: Backend) {
    let id = backend.store().make("a");
    let texts: Vec<String> =
        (0..6u64).map(|n| format!("\"{}\"", "w".repeat((n % 3 * SEGMENT * 2 / 3 + n) as usize))).collect();
    for text in &texts {
        backend.store().say(id, &[text]);
    }
    assert_eq!(backend.store().everything(id), texts);
    backend.kill();
    assert_eq!(backend.store().everything(id), texts);
    backend.reopen();
    assert_eq!(backend.store().everything(id), texts);
}

fn freed_segments_stay_freed_and_the_rest_is_there(mut backend: Backend) {
    let text = format!("\"{}\"", "g".repeat(SEGMENT as usize / 4));
    let kept = backend.store().make("kept");
    let mut expected = Vec::new();
    for round in 0..6 {
        let store = backend.store();
        let gone = store.make("gone");
        (0..12).for_each(|_| _ = store.say(gone, &[&text]));
        let end = store.load(gone).unwrap().tail;
        store.remove(gone);
        store.say(kept, &[&round.to_string()]);
        expected.push(round.to_string());
        // The last segment, those with something of the other stream, and ends of streams that began in these.
        eventually(|| backend.store().stats().segments <= 2 + 2 * round);
        let before = backend.store().stats();
        match round % 2 {
            0 => backend.reopen(),
            _ => backend.kill(),
        }
        let store = backend.store();
        assert!(
            store.stats().segments <= before.segments + 1 && store.stats().stored_bytes <= before.stored_bytes + 200
        );
        assert_eq!((store.everything(kept), store.find(&StreamName::from_log("gone"))), (expected.clone(), None));
        assert!(store.start_position() > end && store.next_id() > gone);
    }
}

fn a_second_server_is_kept_out(mut backend: Backend) {
    assert!(matches!(backend.try_open_second(), Err(OpenError::Locked)));
    backend.close();
    backend.open();
}

macro_rules! contract {
    (every: $($every:ident)*; surviving: $($surviving:ident)*;) => {
        mod memory {
            use super::*;
            $(#[test] fn $every() { super::$every(Backend::memory()) })*
        }
        mod journal_simulated {
            use super::*;
            $(#[test] fn $every() { super::$every(Backend::journal_simulated()) })*
            $(#[test] fn $surviving() { super::$surviving(Backend::journal_simulated()) })*
        }
        mod journal_on_disk {
            use super::*;
            $(#[test] fn $every() { super::$every(Backend::journal_on_disk()) })*
            $(#[test] fn $surviving() { super::$surviving(Backend::journal_on_disk()) })*
        }
    };
}

contract! {
    every:
        what_was_appended_is_read_back
        completions_come_in_call_order_and_tell_rising_places
        completions_do_not_run_on_the_callers_stack
        a_completion_that_panics_harms_nobody_else
        conflict_writes_nothing
        all_or_none_of_a_call_is_staged
        a_failure_fails_what_was_staged_after_it_on_the_stream
        records_without_data_move_the_state
        a_read_stops_at_its_bound_and_splits_only_what_alone_exceeds_it
        what_a_fork_inherits_and_its_own_are_read_as_one
        byte_streams_are_cut_at_any_byte
        places_lead_to_messages
        names_are_listed_in_pages
        a_stream_that_is_gone_is_not_found_and_nothing_follows_it
        new_streams_begin_above_all_that_is_gone
        what_a_gone_stream_took_is_given_back
        time_never_runs_backwards
        a_closed_store_says_so
        many_writers_are_all_heard;
    // A store in memory has nothing to open again.
    surviving:
        what_was_acknowledged_is_there_after_a_restart
        producers_survive_a_restart
        closing_survives_a_restart
        offsets_are_never_used_again
        ids_are_never_used_again
        opening_many_times_costs_no_space
        a_record_may_be_larger_than_a_segment
        freed_segments_stay_freed_and_the_rest_is_there
        a_second_server_is_kept_out;
}
