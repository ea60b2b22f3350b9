//! Forks against a model that copies: whatever is created, forked, written, deleted and restarted, every stream reads as
//! a copy would, deleted sources are kept exactly as long as they have forks, and no name gives an offset out twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use keyfold::engine::{AppendRequest, CreateRequest, Engine, Fault, ForkFault, ForkRequest, Settings};
use keyfold::model::{ContentType, Limits, Offset, StreamName, Timestamp};
use keyfold::runtime::Clock;
use keyfold::storage::disk::SimDisk;
use keyfold::storage::{Journal, JournalOptions, MemoryStore, SharedStore};
use keyfold::stream::{Lifetime, Refusal};
use proptest::prelude::*;

const NAMES: usize = 5;
/// Small, so that pages end before, at and after the places where forks left their sources.
const PAGE_BYTES: usize = 60;

#[derive(Clone, Debug)]
enum Op {
    Make {
        name: usize,
    },
    /// One batch.
    Say {
        name: usize,
        messages: usize,
    },
    /// `place` is a share of the source's messages; its tail where none is given.
    Fork {
        source: usize,
        name: usize,
        place: Option<f64>,
        body: usize,
    },
    Delete {
        name: usize,
    },
    Restart,
    /// The power goes, where there is a disk to simulate it; nothing that was answered may go with it.
    PowerLoss {
        seed: u64,
    },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let name = 0..NAMES;
    let op = prop_oneof![
        2 => name.clone().prop_map(|name| Op::Make { name }),
        4 => (name.clone(), 1usize..5).prop_map(|(name, messages)| Op::Say { name, messages }),
        5 => (name.clone(), name.clone(), proptest::option::of(0.0..=1.0f64), 0usize..3)
            .prop_map(|(source, name, place, body)| Op::Fork { source, name, place, body }),
        3 => name.prop_map(|name| Op::Delete { name }),
        1 => Just(Op::Restart),
        1 => any::<u64>().prop_map(|seed| Op::PowerLoss { seed }),
    ];
    proptest::collection::vec(op, 1..40)
}

enum Kind {
    Memory,
    Simulated(SimDisk),
    Directory(tempfile::TempDir),
}

/// What a stream should be.
#[derive(Default)]
struct Copy {
    messages: Vec<String>,
    /// Where batches begin, among the messages.
    batches: Vec<usize>,
    source: Option<usize>,
    forks: usize,
    deleted: bool,
    name: usize,
}

struct World {
    kind: Kind,
    clock: Clock,
    engine: Engine,
    runtime: tokio::runtime::Runtime,
    /// Every stream there ever was.
    copies: Vec<Copy>,
    names: BTreeMap<usize, usize>,
    /// Above every offset that a name has given out in former lives.
    former: BTreeMap<usize, u64>,
    said: usize,
    message_bytes: usize,
}

fn stream_name(name: usize) -> StreamName {
    StreamName::parse(&format!("s/{name}")).unwrap()
}

fn open(kind: &Kind, clock: &Clock) -> Engine {
    let options = JournalOptions { segment_bytes: 64 << 10, ..JournalOptions::new(clock.clone()) };
    let store: SharedStore = match kind {
        Kind::Memory => MemoryStore::new(clock.clone()),
        Kind::Simulated(disk) => Journal::open(Arc::new(disk.clone()), options).unwrap(),
        Kind::Directory(dir) => Journal::open_dir(dir.path(), options).unwrap(),
    };
    let limits = Limits { page_bytes_max: PAGE_BYTES, ..Limits::default() };
    Engine::start(store, clock.clone(), Settings { limits, ..Settings::default() }).unwrap()
}

impl World {
    fn new(kind: Kind, message_bytes: usize) -> Self {
        let clock = Clock::manual(Timestamp::from_millis(1_000_000));
        let engine = open(&kind, &clock);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Self {
            kind,
            clock,
            engine,
            runtime,
            copies: Vec::new(),
            names: BTreeMap::new(),
            former: BTreeMap::new(),
            said: 0,
            message_bytes,
        }
    }

    fn copy(&mut self, name: usize) -> Option<&mut Copy> {
        self.names.get(&name).map(|copy| &mut self.copies[*copy])
    }

    /// Messages that nobody has said before.
    fn words(&mut self, count: usize) -> Vec<String> {
        let word = |n| format!("\"{n:x<width$}\"", width = 1 + self.message_bytes);
        let words = (self.said..self.said + count).map(word).collect();
        self.said += count;
        words
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Make { name } => self.make(name),
            Op::Say { name, messages } => self.say(name, messages),
            Op::Fork { source, name, place, body } => self.fork(source, name, place, body),
            Op::Delete { name } => self.delete(name),
            Op::Restart => self.restart(None),
            Op::PowerLoss { seed } => self.restart(Some(seed)),
        }
    }

    fn make(&mut self, name: usize) {
        let made = self.create(name, None, Vec::new());
        match self.copy(name) {
            Some(copy) if copy.deleted => assert!(matches!(made, Err(Fault::Exists { .. })), "{made:?}"),
            Some(_) => assert!(!made.unwrap()),
            None => {
                assert!(made.unwrap());
                self.begins(name, Copy { name, ..Copy::default() });
            }
        }
    }

    fn create(&self, name: usize, fork: Option<ForkRequest>, body: Vec<String>) -> Result<bool, Fault> {
        let request = CreateRequest {
            name: stream_name(name),
            content_type: fork.is_none().then(ContentType::json),
            lifetime: Lifetime::Unlimited,
            closed: false,
            schema: None,
            fork,
            body: match body.is_empty() {
                true => Bytes::new(),
                false => format!("[{}]", body.join(",")).into(),
            },
        };
        self.runtime.block_on(self.engine.create(request)).map(|created| created.fresh)
    }

    /// A stream has come to be: its offsets are above all that the name has given out.
    fn begins(&mut self, name: usize, copy: Copy) {
        self.names.insert(name, self.copies.len());
        self.copies.push(copy);
        let (start, _) = self.span(name);
        assert!(start >= self.former.get(&name).copied().unwrap_or(0), "{name} begins at {start}");
    }

    fn span(&self, name: usize) -> (u64, u64) {
        let (_, stream) = self.runtime.block_on(self.engine.peek(&stream_name(name))).unwrap();
        let stream = stream.unwrap();
        (stream.creation.start, stream.tail)
    }

    fn say(&mut self, name: usize, count: usize) {
        let words = self.words(count);
        let request = AppendRequest {
            content_type: Some(ContentType::json()),
            producer: None,
            stream_seq: None,
            closes: false,
            body: format!("[{}]", words.join(",")).into(),
        };
        let said = self.runtime.block_on(self.engine.append(&stream_name(name), request));
        match self.copy(name) {
            None => assert!(matches!(said, Err(Fault::NoStream(_))), "{said:?}"),
            Some(copy) if copy.deleted => {
                assert!(matches!(said, Err(Fault::Refused(Refusal::SoftDeleted))), "{said:?}");
            }
            Some(copy) => {
                copy.batches.push(copy.messages.len());
                copy.messages.extend(words);
                let (_, tail) = self.span(name);
                assert_eq!(said.unwrap().tail, Offset::at(tail));
            }
        }
    }

    fn fork(&mut self, source: usize, name: usize, place: Option<f64>, body: usize) {
        let found = self.names.get(&source).copied();
        let alive = found.filter(|copy| !self.copies[*copy].deleted);
        let start = alive.map_or(0, |_| self.span(source).0);
        let place = place.zip(alive).map(|(share, copy)| {
            let copy = &self.copies[copy];
            let at = (copy.messages.len() as f64 * share) as usize;
            let batch = copy.batches.iter().rev().find(|batch| **batch <= at).copied().unwrap_or(0);
            (batch, at)
        });
        let asked = ForkRequest {
            source: stream_name(source),
            offset: place.map(|(batch, _)| Offset::at(start + batch as u64)),
            sub_offset: place.map_or(0, |(batch, at)| (at - batch) as u64),
        };
        let body = self.words(body);
        let made = self.create(name, Some(asked.clone()), body.clone());
        if let Some(there) = self.names.get(&name).copied() {
            let is_fork = self.copies[there].source.is_some_and(|above| Some(above) == found);
            if self.copies[there].deleted || !is_fork {
                assert!(matches!(made, Err(Fault::Exists { .. })), "{made:?}");
            } else if place.is_none() {
                assert!(!made.unwrap());
            }
            return;
        }
        let (Some(found), Some(_)) = (found, alive) else {
            match made {
                Err(Fault::NoStream(_)) => assert!(found.is_none()),
                Err(Fault::Fork(ForkFault::SourceDeleted(_))) => assert!(found.is_some()),
                other => panic!("{other:?}"),
            }
            return;
        };
        assert!(made.unwrap());
        let above = &mut self.copies[found];
        above.forks += 1;
        let at = place.map_or(above.messages.len(), |(_, at)| at);
        let mut copy = Copy { name, source: Some(found), ..Copy::default() };
        copy.messages = above.messages[..at].to_vec();
        copy.batches = above.batches.iter().copied().filter(|batch| *batch < at).collect();
        if !body.is_empty() {
            copy.batches.push(copy.messages.len());
            copy.messages.extend(body);
        }
        self.begins(name, copy);
        if !self.former.contains_key(&name) {
            let begins = self.span(name).0;
            // Without a catalogue a restart may not know whose the positions were that were freed.
            let may_shift = matches!(self.kind, Kind::Simulated(_)) && begins > start;
            assert!(begins == start || may_shift, "a fork goes on with its source's offsets: {begins}, {start}");
        }
        // Asked again, it is there.
        assert!(!self.create(name, Some(asked), Vec::new()).unwrap());
    }

    fn delete(&mut self, name: usize) {
        let span = self.copy(name).is_some_and(|copy| !copy.deleted).then(|| self.span(name));
        let deleted = self.runtime.block_on(self.engine.delete(&stream_name(name)));
        let Some(mut gone) = self.names.get(&name).copied() else {
            assert!(matches!(deleted, Err(Fault::NoStream(_))), "{deleted:?}");
            return;
        };
        let Some((_, tail)) = span else {
            assert!(matches!(deleted, Err(Fault::Refused(Refusal::SoftDeleted))), "{deleted:?}");
            return;
        };
        deleted.unwrap();
        self.copies[gone].deleted = true;
        self.former.insert(name, tail + 1);
        // Whoever has no fork left goes, and with it its hold on the stream it came from.
        while self.copies[gone].deleted && self.copies[gone].forks == 0 {
            self.names.remove(&self.copies[gone].name);
            let Some(source) = self.copies[gone].source else { break };
            self.copies[source].forks -= 1;
            gone = source;
        }
    }

    fn restart(&mut self, power_loss: Option<u64>) {
        if matches!(self.kind, Kind::Memory) {
            return;
        }
        match (&self.kind, power_loss) {
            (Kind::Simulated(disk), Some(seed)) => {
                // First, lest the old journal's threads still write while the new one starts.
                disk.cut_power_after(0);
                self.engine.close();
                disk.power_loss(seed);
            }
            _ => self.engine.close(),
        }
        // Dropped first: the directory is locked.
        self.engine = open(&Kind::Memory, &self.clock);
        self.engine = open(&self.kind, &self.clock);
    }

    /// Everything reads as the model says.
    fn check(&self) {
        for name in 0..NAMES {
            let peeked = self.runtime.block_on(self.engine.peek(&stream_name(name)));
            match self.names.get(&name).map(|copy| &self.copies[*copy]) {
                None => assert!(matches!(peeked, Err(Fault::NoStream(_))), "{name}: {:?}", peeked.err()),
                Some(copy) if copy.deleted => {
                    let refused = matches!(peeked, Err(Fault::Refused(Refusal::SoftDeleted)));
                    assert!(refused, "{name}: {:?}", peeked.err());
                }
                Some(copy) => {
                    let (start, tail) = self.span(name);
                    assert_eq!(tail - start, copy.messages.len() as u64, "{name}");
                    assert_eq!(self.read(name, start), copy.messages, "{name}");
                    // From the middle as well.
                    let middle = copy.messages.len() / 2;
                    assert_eq!(self.read(name, start + middle as u64), copy.messages[middle..], "{name}");
                }
            }
        }
    }

    fn read(&self, name: usize, from: u64) -> Vec<String> {
        let (_, stream) = self.runtime.block_on(self.engine.peek(&stream_name(name))).unwrap();
        let stream = stream.unwrap();
        let mut at = from;
        let mut messages = Vec::new();
        loop {
            let page = self.runtime.block_on(self.engine.raw_page(&stream, at)).unwrap();
            let text = String::from_utf8(page.payload.to_vec()).unwrap();
            // An array, where the stream is of JSON.
            let text = text.trim_start_matches('[').trim_end_matches(']');
            messages.extend(text.split(',').filter(|message| !message.is_empty()).map(str::to_owned));
            at = page.next;
            if page.up_to_date {
                return messages;
            }
        }
    }
}

fn run(kind: Kind, message_bytes: usize, ops: Vec<Op>) {
    let mut world = World::new(kind, message_bytes);
    for op in ops {
        let restarts = matches!(op, Op::Restart | Op::PowerLoss { .. });
        world.step(op);
        if restarts || message_bytes == 0 {
            world.check();
        }
    }
    world.check();
    // Without forks nothing is kept: what is deleted twice over is all gone.
    for _ in 0..NAMES {
        (0..NAMES).for_each(|name| {
            if world.copy(name).is_some_and(|copy| !copy.deleted) {
                world.delete(name);
            }
        });
    }
    assert!(world.names.is_empty());
    world.check();
    world.restart(None);
    world.check();
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2_000, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn a_fork_reads_as_a_copy_would_in_memory(ops in ops()) {
        run(Kind::Memory, 0, ops);
    }

    #[test]
    fn a_fork_reads_as_a_copy_would_across_power_loss(ops in ops()) {
        run(Kind::Simulated(SimDisk::new()), 0, ops);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 200, ..ProptestConfig::with_cases(12) })]

    /// Messages so long that segments are sealed, and the catalogue has to know of forks.
    #[test]
    fn a_fork_reads_as_a_copy_would_from_the_catalogue(ops in ops()) {
        run(Kind::Directory(tempfile::tempdir().unwrap()), 5_000, ops);
    }
}

/// Forks taken while the source is written, and at last deleted, each see a beginning of it and keep it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forks_taken_while_the_source_is_written_begin_as_it_does() {
    // Named, because the directory goes with it.
    let kind = Kind::Directory(tempfile::tempdir().unwrap());
    let engine = open(&kind, &Clock::manual(Timestamp::from_millis(1_000_000)));
    let created = |name: &str, fork: Option<&str>| CreateRequest {
        name: StreamName::parse(name).unwrap(),
        content_type: Some(ContentType::json()),
        lifetime: Lifetime::Unlimited,
        closed: false,
        schema: None,
        fork: fork.map(|source| ForkRequest {
            source: StreamName::parse(source).unwrap(),
            offset: None,
            sub_offset: 0,
        }),
        body: Bytes::new(),
    };
    engine.create(created("source", None)).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..2 {
        let engine = engine.clone();
        tasks.spawn(async move {
            for n in 0..150 {
                let request = AppendRequest {
                    content_type: Some(ContentType::json()),
                    producer: None,
                    stream_seq: None,
                    closes: false,
                    body: format!("[{0}{n:04},{0}{n:04}]", writer + 1).into(),
                };
                match engine.append(&StreamName::parse("source").unwrap(), request).await {
                    Ok(_) => {}
                    Err(Fault::Refused(Refusal::SoftDeleted)) => break,
                    Err(other) => panic!("{other:?}"),
                }
            }
            Vec::new()
        });
    }
    for forker in 0..3 {
        let (engine, requests) = (engine.clone(), (0..30).map(|n| format!("fork/{forker}/{n}")));
        let requests: Vec<_> = requests.map(|name| created(&name, Some("source"))).collect();
        tasks.spawn(async move {
            let mut taken = Vec::new();
            for (n, request) in requests.into_iter().enumerate() {
                let name = request.name.clone();
                match engine.create(request).await {
                    Ok(_) => taken.push(name.clone()),
                    Err(Fault::Fork(ForkFault::SourceDeleted(_)) | Fault::NoStream(_)) => break,
                    Err(other) => panic!("{other:?}"),
                }
                if n % 3 == 0 {
                    engine.delete(&name).await.unwrap();
                    taken.pop();
                }
                if forker == 0 && n == 20 {
                    engine.delete(&StreamName::parse("source").unwrap()).await.unwrap();
                }
            }
            taken
        });
    }
    let forks: Vec<StreamName> = tasks.join_all().await.into_iter().flatten().collect();
    assert!(forks.len() > 10, "{forks:?}");
    let mut contents: Vec<Vec<u8>> = Vec::new();
    for fork in &forks {
        let (_, stream) = engine.peek(fork).await.unwrap();
        let (stream, mut all) = (stream.unwrap(), Vec::new());
        let mut at = stream.creation.start;
        while at < stream.tail {
            let page = engine.raw_page(&stream, at).await.unwrap();
            // Without the array's brackets.
            all.extend_from_slice(&page.payload[1..page.payload.len() - 1]);
            all.push(b',');
            at = page.next;
        }
        contents.push(all);
    }
    contents.sort_by_key(Vec::len);
    assert!(contents.windows(2).all(|pair| pair[1].starts_with(&pair[0])));
    let source = StreamName::parse("source").unwrap();
    for (n, fork) in forks.iter().enumerate() {
        assert!(matches!(engine.peek(&source).await, Err(Fault::Refused(Refusal::SoftDeleted))), "{n}");
        engine.delete(fork).await.unwrap();
    }
    assert!(matches!(engine.peek(&source).await, Err(Fault::NoStream(_))));
    engine.close();
}
