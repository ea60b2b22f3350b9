//! What the engine promises about when it answers, shown on a store whose barriers are opened by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use keyfold::engine::{AppendRequest, Appended, CreateRequest, Engine, Fault, Settings};
use keyfold::model::{
    ContentType, Position, Producer, ProducerEpoch, ProducerId, ProducerSeq, StreamId, StreamName, Timestamp,
};
use keyfold::runtime::Clock;
use keyfold::storage::{
    AppendError, Completion, Fetched, Health, MemoryStore, ReadError, Run, Staged, Store, StoreStats, Wanted,
};
use keyfold::stream::{Lifetime, Refusal, StreamState};
use parking_lot::Mutex;

type Held = (Vec<Staged>, Completion);

/// A store that holds what is appended until its gate is opened, or fails it.
pub struct Gated {
    inner: Arc<MemoryStore>,
    held: Mutex<Option<Vec<Held>>>,
    full: AtomicBool,
    /// Reads do not end while it is set.
    pub reads_stuck: AtomicBool,
}

impl Gated {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: MemoryStore::new(Clock::system()),
            held: Mutex::new(None),
            full: AtomicBool::new(false),
            reads_stuck: AtomicBool::new(false),
        })
    }

    /// Says from now on that there is no room.
    pub fn fill(&self) {
        self.full.store(true, Ordering::SeqCst);
    }

    pub fn shut(&self) {
        *self.held.lock() = Some(Vec::new());
    }

    pub fn open(&self) {
        for (records, done) in self.held.lock().take().unwrap_or_default() {
            self.inner.append(records, done);
        }
    }

    /// Lets through what is held, and holds what comes next.
    pub fn open_and_shut(&self) {
        let held = self.held.lock().replace(Vec::new());
        for (records, done) in held.unwrap_or_default() {
            self.inner.append(records, done);
        }
    }

    pub fn fail(&self) {
        for (_, done) in self.held.lock().take().unwrap_or_default() {
            done(Err(AppendError::Full));
        }
    }
}

impl Store for Gated {
    fn append(&self, records: Vec<Staged>, done: Completion) {
        let mut held = self.held.lock();
        match &mut *held {
            Some(held) => held.push((records, done)),
            None => self.inner.append(records, done),
        }
    }
    fn next_id(&self) -> StreamId {
        self.inner.next_id()
    }
    fn start_position(&self) -> Position {
        self.inner.start_position()
    }
    fn former_end(&self, name: &StreamName) -> Position {
        self.inner.former_end(name)
    }
    fn find(&self, name: &StreamName) -> Option<StreamId> {
        self.inner.find(name)
    }
    fn load(&self, stream: StreamId) -> Option<StreamState> {
        self.inner.load(stream)
    }
    fn limited(&self) -> Vec<(StreamId, Lifetime, Timestamp)> {
        self.inner.limited()
    }
    fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<StreamName> {
        self.inner.list(prefix, after, limit)
    }
    fn read(&self, stream: StreamId, from: Position, to: Position, max: usize) -> Result<Vec<Run>, ReadError> {
        while self.reads_stuck.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(2));
        }
        self.inner.read(stream, from, to, max)
    }
    fn fetch(&self, stream: StreamId, messages: &[Wanted]) -> Result<Vec<Fetched>, ReadError> {
        self.inner.fetch(stream, messages)
    }
    fn health(&self) -> Health {
        match self.full.load(Ordering::SeqCst) {
            true => Health::Full,
            false => self.inner.health(),
        }
    }
    fn stats(&self) -> StoreStats {
        self.inner.stats()
    }
    fn close(&self) {
        self.inner.close();
    }
}

fn name(text: &str) -> StreamName {
    StreamName::parse(text).unwrap()
}

fn start() -> (Arc<Gated>, Engine) {
    let store = Gated::new();
    let engine = Engine::start(store.clone(), Clock::system(), Settings::default()).unwrap();
    (store, engine)
}

async fn created(engine: &Engine, stream: &str) {
    let request = CreateRequest {
        name: name(stream),
        content_type: Some(ContentType::parse("text/plain").unwrap()),
        lifetime: Lifetime::Unlimited,
        closed: false,
        schema: None,
        fork: None,
        body: Bytes::new(),
    };
    engine.create(request).await.unwrap();
}

fn tuple(seq: u64) -> Option<Producer> {
    Some(Producer {
        id: ProducerId::parse("p").unwrap(),
        epoch: ProducerEpoch::ZERO,
        seq: ProducerSeq::new(seq).unwrap(),
    })
}

type Answer = tokio::task::JoinHandle<Result<Appended, Fault>>;

/// Sends an append and waits until it has been decided.
async fn sent(engine: &Engine, stream: &str, producer: Option<Producer>, stream_seq: Option<&str>) -> Answer {
    let request = AppendRequest {
        content_type: Some(ContentType::parse("text/plain").unwrap()),
        producer,
        stream_seq: stream_seq.map(|seq| Arc::from(seq.as_bytes())),
        closes: false,
        body: Bytes::from_static(b"x"),
    };
    let (engine, stream) = (engine.clone(), name(stream));
    let answer = tokio::spawn(async move { engine.append(&stream, request).await });
    tokio::time::sleep(Duration::from_millis(30)).await;
    answer
}

#[tokio::test]
async fn a_refusal_waits_for_what_it_rests_on() {
    let (store, engine) = start();
    created(&engine, "s").await;
    store.shut();
    let first = sent(&engine, "s", None, Some("b")).await;
    let refused = sent(&engine, "s", None, Some("a")).await;
    assert!(!first.is_finished(), "an append was acknowledged before it was durable");
    assert!(!refused.is_finished(), "a refusal spoke of what was not durable");
    store.open();
    assert!(first.await.unwrap().is_ok());
    assert!(matches!(refused.await.unwrap(), Err(Fault::Refused(Refusal::StreamSeq { .. }))));
}

#[tokio::test]
async fn a_repeat_waits_for_its_original() {
    let (store, engine) = start();
    created(&engine, "s").await;
    store.shut();
    let original = sent(&engine, "s", tuple(0), None).await;
    let repeat = sent(&engine, "s", tuple(0), None).await;
    assert!(!original.is_finished() && !repeat.is_finished());
    store.open();
    assert!(!original.await.unwrap().unwrap().duplicate);
    assert!(repeat.await.unwrap().unwrap().duplicate);
}

#[tokio::test]
async fn a_repeat_of_what_failed_is_no_success() {
    let (store, engine) = start();
    created(&engine, "s").await;
    store.shut();
    let original = sent(&engine, "s", tuple(0), None).await;
    let repeat = sent(&engine, "s", tuple(0), None).await;
    store.fail();
    assert!(matches!(original.await.unwrap(), Err(Fault::Full)));
    assert!(matches!(repeat.await.unwrap(), Err(Fault::Busy { .. })));
    let again = sent(&engine, "s", tuple(0), None).await;
    let again = again.await.unwrap().unwrap();
    assert!(!again.duplicate);
    assert_eq!(again.tail.position, 1, "what failed left something behind");
}

#[tokio::test]
async fn readers_see_nothing_before_it_is_durable() {
    let (store, engine) = start();
    created(&engine, "s").await;
    store.shut();
    let write = sent(&engine, "s", None, None).await;
    let (handle, stream) = engine.open(&name("s")).await.unwrap();
    assert_eq!(stream.unwrap().tail, 0);
    store.open();
    write.await.unwrap().unwrap();
    let page = engine.raw_page(&handle.stream().unwrap(), 0).await.unwrap();
    assert_eq!(&page.payload[..], b"x");
}

#[tokio::test]
async fn a_name_taken_again_starts_above_all_it_ever_gave_out() {
    let (store, engine) = start();
    created(&engine, "s").await;
    for _ in 0..3 {
        sent(&engine, "s", None, None).await.await.unwrap().unwrap();
    }
    // Deleted and created again while neither is durable.
    store.shut();
    let delete = tokio::spawn({
        let engine = engine.clone();
        async move { engine.delete(&name("s")).await }
    });
    tokio::time::sleep(Duration::from_millis(30)).await;
    let create = tokio::spawn({
        let engine = engine.clone();
        async move { created(&engine, "s").await }
    });
    tokio::time::sleep(Duration::from_millis(30)).await;
    store.open();
    delete.await.unwrap().unwrap();
    create.await.unwrap();
    let (_, stream) = engine.open(&name("s")).await.unwrap();
    assert!(stream.unwrap().tail > 3);
}
