//! A store that forgets: everything in memory, durable at once, for tests and for `--store memory`.
//!
//! Independent of the journal, so that the contract suite has two answers to compare. Completions run on a thread of
//! its own, in order: callers hold locks when they append.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use bytes::{Bytes, BytesMut};
use parking_lot::{Mutex, RwLock};

use crate::model::{Position, StreamId, StreamName, Timestamp};
use crate::runtime::Clock;
use crate::stream::{Body, Creation, Lengths, Lifetime, Record, StreamState, StreamVersion};

use super::stitch::{self, OwnRecords};
use super::{
    AppendError, Completion, Fetched, Health, Place, Placed, ReadError, Run, Staged, Store, StoreStats, Wanted,
    limited,
};

/// Streams in memory. Dropping it stops its thread.
pub struct MemoryStore {
    shared: Arc<Shared>,
    /// Taken when the store is closed, which ends the thread once all before is told.
    sender: Mutex<Option<Sender<Task>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    clock: Clock,
    world: RwLock<World>,
    staged: Mutex<HashMap<StreamId, Ahead>>,
    next_id: AtomicU64,
    in_flight: AtomicU64,
}

#[derive(Default)]
struct World {
    streams: HashMap<StreamId, Stored>,
    names: BTreeMap<StreamName, StreamId>,
    /// The payloads of live streams, by where they begin.
    payloads: BTreeMap<u64, Bytes>,
    stored_bytes: u64,
    end: u64,
    start: Position,
    /// Above every position of the streams that had a name and are gone.
    former: HashMap<StreamName, Position>,
    records: u64,
    last_time: Timestamp,
}

struct Stored {
    state: StreamState,
    data: Vec<Data>,
}

#[derive(Clone)]
struct Data {
    record: Record,
    place: u64,
}

/// A stream once all that is staged has happened; `None` once it is gone.
type Ahead = Option<StreamVersion>;

enum Task {
    Append(Vec<Record>, Completion),
    Refuse(AppendError, Completion),
}

impl MemoryStore {
    pub fn new(clock: Clock) -> Arc<Self> {
        let (sender, tasks) = channel::<Task>();
        let shared = Arc::new(Shared {
            clock,
            world: RwLock::default(),
            staged: Mutex::default(),
            next_id: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
        });
        let worker = shared.clone();
        let thread = std::thread::spawn(move || {
            for task in tasks {
                let tell = || match task {
                    Task::Append(records, done) => done(Ok(&worker.commit(records))),
                    Task::Refuse(error, done) => done(Err(error)),
                };
                // A completion that panics must not silence those behind it.
                if std::panic::catch_unwind(std::panic::AssertUnwindSafe(tell)).is_err() {
                    tracing::error!("a completion has panicked; the store goes on");
                }
            }
        });
        Arc::new(Self { shared, sender: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)) })
    }
}

impl Shared {
    fn commit(&self, records: Vec<Record>) -> Vec<Placed> {
        let mut world = self.world.write();
        let at = self.clock.now().max(world.last_time);
        world.last_time = at;
        records
            .into_iter()
            .map(|mut record| {
                record.at = at;
                self.in_flight.fetch_sub(payload(&record).len() as u64, Ordering::Relaxed);
                Placed { payload: Place(world.apply(record)), at }
            })
            .collect()
    }
}

fn payload(record: &Record) -> Bytes {
    match &record.body {
        Body::Append { payload, .. } => payload.clone(),
        _ => Bytes::new(),
    }
}

impl World {
    fn apply(&mut self, record: Record) -> u64 {
        let bytes = payload(&record);
        let place = self.end;
        self.records += 1;
        // Each record takes at least one, so that no two have the same place.
        self.end += bytes.len() as u64 + 1;
        if !bytes.is_empty() {
            self.stored_bytes += bytes.len() as u64;
            self.payloads.insert(place, bytes);
        }
        match &record.body {
            Body::Create(creation) => {
                self.names.insert(creation.name.clone(), record.stream);
                if let Some(state) = StreamState::create(&record) {
                    self.streams.insert(record.stream, Stored { state, data: Vec::new() });
                }
            }
            Body::Delete | Body::Expire => self.remove(record.stream),
            _ => {
                if let Some(stored) = self.streams.get_mut(&record.stream) {
                    stored.state.apply(&record);
                    if record.count > 0 {
                        stored.data.push(Data { record, place });
                    }
                }
            }
        }
        place
    }

    fn remove(&mut self, id: StreamId) {
        let Some(stored) = self.streams.remove(&id) else {
            return;
        };
        self.start = self.start.max(stored.state.tail + 1);
        for payload in stored.data.iter().filter_map(|data| self.payloads.remove(&data.place)) {
            self.stored_bytes -= payload.len() as u64;
        }
        let former = self.former.entry(stored.state.creation.name.clone()).or_default();
        *former = (*former).max(stored.state.tail + 1);
        if self.names.get(&stored.state.creation.name) == Some(&id) {
            self.names.remove(&stored.state.creation.name);
        }
    }
}

impl OwnRecords for World {
    fn creation(&self, stream: StreamId) -> Option<Arc<Creation>> {
        self.streams.get(&stream).map(|stored| stored.state.creation.clone())
    }

    fn read_own(
        &self,
        stream: StreamId,
        from: Position,
        to: Position,
        bytes_max: usize,
    ) -> Result<Vec<Run>, ReadError> {
        let stored = self.streams.get(&stream).ok_or(ReadError::NotFound)?;
        let begin = stored.data.partition_point(|data| data.record.first + data.record.count <= from);
        let mut runs = Vec::new();
        let mut room = bytes_max.max(1);
        for data in &stored.data[begin..] {
            let whole = data.record.first..data.record.first + data.record.count;
            if whole.start >= to || room == 0 {
                break;
            }
            let Some(run) = cut(data, whole.start.max(from), whole.end.min(to), room, runs.is_empty()) else {
                break;
            };
            room = room.saturating_sub(run.payload.len());
            let ended = run.first + run.count < whole.end.min(to);
            runs.push(run);
            if ended {
                break;
            }
        }
        Ok(runs)
    }
}

impl Store for MemoryStore {
    fn append(&self, records: Vec<Staged>, done: Completion) {
        let mut staged = self.shared.staged.lock();
        let mut moved: HashMap<StreamId, Ahead> = HashMap::new();
        let agree = records.iter().all(|given| {
            let id = given.record.stream;
            let known = moved.get(&id).or_else(|| staged.get(&id)).copied();
            let ahead = known.unwrap_or(Some(StreamVersion(0)));
            let creates = matches!(given.record.body, Body::Create(_));
            let agrees = ahead == Some(given.decided_on) && creates == (given.decided_on == StreamVersion(0));
            let goes = matches!(given.record.body, Body::Delete | Body::Expire);
            moved.insert(id, (!goes).then(|| given.decided_on.next()));
            agrees
        });
        let sender = self.sender.lock();
        let task = match (&*sender, agree) {
            (None, _) => Task::Refuse(AppendError::Closed, done),
            (_, false) => Task::Refuse(AppendError::Conflict, done),
            (_, true) => {
                staged.extend(moved);
                let records: Vec<_> = records.into_iter().map(|given| given.record).collect();
                let bytes = records.iter().map(|record| payload(record).len() as u64).sum();
                self.shared.in_flight.fetch_add(bytes, Ordering::Relaxed);
                Task::Append(records, done)
            }
        };
        match &*sender {
            Some(sender) => {
                // The thread ends only after the sender is gone.
                let _ = sender.send(task);
            }
            // Not on the caller's stack: it may hold a lock that the completion takes.
            None => drop(std::thread::spawn(move || {
                if let Task::Refuse(error, done) = task {
                    done(Err(error));
                }
            })),
        }
    }

    fn next_id(&self) -> StreamId {
        StreamId(self.shared.next_id.fetch_add(1, Ordering::SeqCst))
    }

    fn start_position(&self) -> Position {
        self.shared.world.read().start
    }

    fn former_end(&self, name: &StreamName) -> Position {
        self.shared.world.read().former.get(name).copied().unwrap_or(0)
    }

    fn find(&self, name: &StreamName) -> Option<StreamId> {
        self.shared.world.read().names.get(name).copied()
    }

    fn load(&self, stream: StreamId) -> Option<StreamState> {
        self.shared.world.read().streams.get(&stream).map(|stored| stored.state.clone())
    }

    fn limited(&self) -> Vec<(StreamId, Lifetime, Timestamp)> {
        let world = self.shared.world.read();
        world.streams.values().filter_map(|stored| limited(&stored.state)).collect()
    }

    fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<StreamName> {
        let world = self.shared.world.read();
        let seen = |id: &StreamId| world.streams.get(id).is_some_and(|stored| !stored.state.soft_deleted);
        let wanted = |(name, id): &(&StreamName, &StreamId)| {
            name.as_str().starts_with(prefix)
                && after.is_none_or(|after| name.as_str() > after)
                && name.is_internal() == StreamName::is_internal_text(prefix)
                && seen(id)
        };
        world.names.iter().filter(wanted).take(limit).map(|(name, _)| name.clone()).collect()
    }

    fn read(&self, stream: StreamId, from: Position, to: Position, bytes_max: usize) -> Result<Vec<Run>, ReadError> {
        stitch::read(&*self.shared.world.read(), stream, from, to, bytes_max)
    }

    fn fetch(&self, _: StreamId, messages: &[Wanted]) -> Result<Vec<Fetched>, ReadError> {
        let world = self.shared.world.read();
        let fetch = |Wanted { place, length, .. }: &Wanted| {
            let (at, payload) = world.payloads.range(..=place.0).next_back()?;
            let begin = usize::try_from(place.0 - at).ok()?;
            let end = begin.checked_add(*length as usize).filter(|end| *end <= payload.len())?;
            Some(Fetched { place: *place, message: payload.slice(begin..end) })
        };
        messages
            .iter()
            .map(|message| match fetch(message) {
                Some(fetched) => Ok(fetched),
                // It was a stream's that is gone.
                None if message.place.0 < world.end => Err(ReadError::NotFound),
                None => Err(ReadError::Damaged(format!("nothing lies at {message:?}"))),
            })
            .collect()
    }

    fn health(&self) -> Health {
        match *self.sender.lock() {
            Some(_) => Health::Ready,
            None => Health::Failed,
        }
    }

    fn stats(&self) -> StoreStats {
        let world = self.shared.world.read();
        StoreStats {
            barriers: 0,
            records: world.records,
            bytes_written: world.end,
            segments: 0,
            segments_freed: 0,
            clusters: 0,
            clusterings: 0,
            bytes_clustered: 0,
            stored_bytes: world.stored_bytes,
            in_flight_bytes: self.shared.in_flight.load(Ordering::Relaxed),
        }
    }

    fn close(&self) {
        drop(self.sender.lock().take());
        if let Some(thread) = self.thread.lock().take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

impl Drop for MemoryStore {
    fn drop(&mut self) {
        self.close();
    }
}

/// The part `from..to` of a record, whole messages, within `room`; `None` where not even that fits and others did.
fn cut(data: &Data, from: Position, to: Position, room: usize, is_first: bool) -> Option<Run> {
    let Body::Append { lengths, payload } = &data.record.body else {
        return None;
    };
    let first = data.record.first;
    let mut end = to;
    let span = |end: Position| match lengths.packed().is_empty() {
        true => (from - first) as usize..(end - first) as usize,
        false => lengths.span(from - first, end - first),
    };
    while span(end).len() > room && end > from + 1 && is_first {
        end -= match lengths.packed().is_empty() {
            true => (span(end).len() - room) as u64,
            false => 1,
        };
    }
    if span(end).len() > room && !is_first {
        return None;
    }
    let count = (end - from) as usize;
    let mut copy = BytesMut::new();
    copy.extend_from_slice(&payload[span(end)]);
    Some(Run {
        first: from,
        count: count as u64,
        record: first..first + data.record.count,
        lengths: match lengths.packed().is_empty() {
            true => Lengths::default(),
            false => lengths.iter().skip((from - first) as usize).take(count).collect(),
        },
        payload: copy.freeze(),
        place: Place(data.place + span(end).start as u64),
        schema_version: data.record.schema_version,
        at: data.record.at,
    })
}
