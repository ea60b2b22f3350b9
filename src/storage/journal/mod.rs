//! The journal: one sequential log of all streams, with one barrier per group of writers.
//!
//! What is appended is encoded by its writer, takes its place in the `queue`, and is made durable by the
//! `committer` together with everything staged beside it. `durable` is what readers see, `read` how bytes are
//! found again, `recovery` how a journal comes up, `space` when a disk counts as full, `reclaim` which segments are
//! given back, `cluster` how older ones are written again by stream, `manifest` which files there are. `backup` copies a
//! journal that is written to, `restore` makes one of a copy. Decides nothing about streams:
//! [`crate::stream::StreamState`] moves itself.
//!
//! Invariant: a byte is shown to anyone only after the barrier that made it durable; positions are contiguous from the
//! first segment to the last, but for what was freed; what the committer has synced never changes.
//!
//! Three threads: the committer; one that fills spare segments with zeros, since syncing a file that grows costs a
//! second journal; one that tells the catalogue of sealed segments and gives back those that nobody needs. A journal driven by hand has none and does the
//! same in the caller's.

pub mod backup;
mod cluster;
mod committer;
pub(crate) mod durable;
mod error;
mod manifest;
mod queue;
mod read;
mod reclaim;
mod recovery;
pub mod restore;
mod segment;
mod space;
mod threads;
pub mod verify;

pub use cluster::Choice;
pub use error::OpenError;

use std::any::Any;
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};

use crate::model::{Position, StreamId, StreamName, Timestamp};
use crate::runtime::Clock;
use crate::stream::{Lifetime, StreamState};

use super::catalogue::{Catalogue, Facts};
use super::codec::Encoded;
use super::die::{self, Point};
use super::disk::{Disk, OsDisk};
use super::retention::{Kept, Retention};
use super::{AppendError, Completion, Fetched, Health, ReadError, Run, Staged, Store, StoreStats, Wanted, stitch};

use cluster::{Clustering, Clusters};
use committer::Committer;
use durable::Durable;
use manifest::{Ready, Registry};
use queue::{Batch, Entry, Pending, Phase, Queue, What, frees_space};
use reclaim::Reclaim;
use segment::{SLACK, Segments, Spare, zeroed};
use space::{Room, Space};

/// Segments are multiples of it.
const PAGE: u64 = 4096;
/// No single call of `append` may take more: a record's length is a `u32`.
const APPEND_BYTES_MAX: u64 = 1 << 30;
const LOCK: &str = "LOCK";

/// How a journal is run.
#[derive(Clone, Debug)]
pub struct JournalOptions {
    /// Size of a segment file; rounded up to 4 KiB. A record that is larger gets a larger one.
    pub segment_bytes: u64,
    pub clock: Clock,
    /// Directory of the catalogue. Without one every start reads the whole journal, and memory holds where each
    /// record lies.
    pub catalogue: Option<PathBuf>,
    /// How long the committer is idle before it proves its last group.
    pub mark_after: Duration,
    /// No threads: [`Journal::step`] commits.
    pub by_hand: bool,
    /// How many sealed segments there are before they are clustered; 0 for never.
    pub cluster_after: usize,
    /// Of a new journal that goes on from another one: what restores have lifted positions to there, see
    /// [`Journal::lifts`]. One that is there has its own.
    pub lifts: Vec<Position>,
}

impl JournalOptions {
    pub const SEGMENT_BYTES: u64 = 64 << 20;
    pub const CLUSTER_AFTER: usize = 4;

    pub fn new(clock: Clock) -> Self {
        Self {
            segment_bytes: Self::SEGMENT_BYTES,
            clock,
            catalogue: None,
            mark_after: Duration::from_millis(50),
            by_hand: false,
            cluster_after: Self::CLUSTER_AFTER,
            lifts: Vec::new(),
        }
    }
}

/// An open journal.
pub struct Journal {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What the journal's threads and callers share.
struct Shared {
    disk: Arc<dyn Disk>,
    options: JournalOptions,
    journal_id: u64,
    /// Where the checksums of its records start from.
    key: u32,
    queue: Mutex<Queue>,
    /// With the queue: something is staged, or the phase has changed.
    work: Condvar,
    /// With the queue: a spare was made or could not be, or the phase has changed.
    room: Condvar,
    /// With the queue: a spare is wanted, or the phase has changed.
    wanted: Condvar,
    jobs: Signal,
    committer: Mutex<Committer>,
    durable: Durable,
    segments: Segments,
    clusters: Clusters,
    clustering: Mutex<Clustering>,
    retention: RwLock<Option<Weak<dyn Retention>>>,
    registry: Registry,
    catalogue: RwLock<Option<Arc<Catalogue>>>,
    reclaim: Mutex<Reclaim>,
    buffers: read::Buffers,
    counters: Counters,
    lock: Mutex<Option<Box<dyn Any + Send + Sync>>>,
}

#[derive(Default)]
struct Counters {
    barriers: AtomicU64,
    records: AtomicU64,
    bytes_written: AtomicU64,
    segments_freed: AtomicU64,
    bytes_clustered: AtomicU64,
    /// Clusterings that the memory and the catalogue have heard of.
    clusterings: AtomicU64,
    /// Journal position up to which the catalogue has everything.
    catalogued: AtomicU64,
    /// Commit time of the last group, in milliseconds.
    last_time: AtomicU64,
    /// Journal position up to which the durable state has moved.
    published: AtomicU64,
}

/// Something to do for a thread that has no queue of its own.
#[derive(Default)]
struct Signal {
    raised: Mutex<bool>,
    condvar: Condvar,
}

impl Signal {
    fn notify(&self) {
        *self.raised.lock() = true;
        self.condvar.notify_all();
    }

    /// Until it is raised, or `patience` is over.
    fn wait(&self, patience: Duration) {
        let mut raised = self.raised.lock();
        if !*raised {
            self.condvar.wait_for(&mut raised, patience);
        }
        *raised = false;
    }
}

/// The size of a segment that holds `bytes` of records.
fn segment_size(bytes: u64, segment_bytes: u64) -> u64 {
    segment_bytes.max((bytes + SLACK).next_multiple_of(PAGE))
}

impl Journal {
    /// Opens the journal on `disk`, creating one where there is none; refuses where that would lose something.
    pub fn open(disk: Arc<dyn Disk>, mut options: JournalOptions) -> Result<Arc<Self>, OpenError> {
        options.segment_bytes = options.segment_bytes.max(PAGE).next_multiple_of(PAGE);
        let lock = disk.lock(LOCK).map_err(|error| match error.kind() {
            std::io::ErrorKind::WouldBlock => OpenError::Locked,
            _ => OpenError::io("lock the data directory", error),
        })?;
        let recovered = recovery::recover(&*disk, &options)?;
        Self::run(disk, options, lock, recovered)
    }

    /// Goes on from what was recovered.
    fn run(
        disk: Arc<dyn Disk>,
        options: JournalOptions,
        lock: Box<dyn Any + Send + Sync>,
        recovered: recovery::Recovered,
    ) -> Result<Arc<Self>, OpenError> {
        let space = Space::new(options.segment_bytes, recovered.committer.left(), recovered.spares);
        let counters = Counters {
            last_time: AtomicU64::new(recovered.committer.last_time().as_millis()),
            published: AtomicU64::new(recovered.committer.position()),
            clusterings: AtomicU64::new(recovered.manifest.clustered.count),
            catalogued: AtomicU64::new(recovered.catalogued),
            ..Counters::default()
        };
        let shared = Arc::new(Shared {
            disk,
            journal_id: recovered.manifest.id,
            key: recovered.manifest.key(),
            queue: Mutex::new(Queue::new(space)),
            work: Condvar::new(),
            room: Condvar::new(),
            wanted: Condvar::new(),
            jobs: Signal::default(),
            committer: Mutex::new(recovered.committer),
            durable: recovered.durable,
            segments: recovered.segments,
            clusters: Clusters::new(recovered.clusters),
            clustering: Mutex::default(),
            retention: RwLock::default(),
            registry: Registry::new(recovered.manifest),
            catalogue: RwLock::new(recovered.catalogue.map(Arc::new)),
            reclaim: Mutex::default(),
            buffers: read::Buffers::default(),
            counters,
            lock: Mutex::new(Some(lock)),
            options,
        });
        let threads = match shared.options.by_hand {
            true => Vec::new(),
            false => threads::start(&shared).map_err(|error| OpenError::io("start the journal's threads", error))?,
        };
        Ok(Arc::new(Self { shared, threads: Mutex::new(threads) }))
    }

    /// Opens the journal in a directory: `journal/` holds the segments, `catalogue/` the catalogue.
    pub fn open_dir(dir: &Path, mut options: JournalOptions) -> Result<Arc<Self>, OpenError> {
        let disk = OsDisk::new(dir.join("journal"));
        let disk =
            disk.map_err(|error| OpenError::io(&format!("write in the data directory {}", dir.display()), error))?;
        options.catalogue.get_or_insert_with(|| dir.join("catalogue"));
        Self::open(Arc::new(disk), options)
    }

    /// Every name that former streams are known to have had, and above which positions they ended.
    pub fn former_ends(&self) -> Result<Vec<(StreamName, Position)>, String> {
        let mut ends: HashMap<StreamName, Position> = self.shared.durable.former_ends().into_iter().collect();
        if let Some(catalogue) = self.shared.catalogue.read().as_ref() {
            for pair in catalogue.former_ends() {
                let (name, end) = pair.map_err(|fault| fault.to_string())?;
                let known = ends.entry(name).or_default();
                *known = end.max(*known);
            }
        }
        Ok(ends.into_iter().collect())
    }

    /// What restores from backups have lifted positions to, in order: a stream may skip what lies below one of these, and
    /// nothing below the last is given out any more.
    pub fn lifts(&self) -> Vec<Position> {
        self.shared.durable.lifts().to_vec()
    }

    /// Commits what is staged now; returns how many calls of `append` that were. For a journal driven by hand.
    pub fn step(&self) -> usize {
        let mut committer = self.shared.committer.lock();
        let entries = std::mem::take(&mut self.shared.queue.lock().entries);
        let count = entries.len();
        committer.step(&self.shared, entries, self.shared.options.clock.now());
        drop(committer);
        self.shared.write_catalogue();
        self.shared.reclaim();
        count
    }

    /// Clusters what is to be clustered, if anything is; whether it was. For a journal driven by hand.
    pub fn cluster(&self, choice: Choice) -> bool {
        let done = self.shared.cluster(choice);
        self.shared.reclaim();
        done
    }

    /// Proves the last group, as an idle committer does. For a journal driven by hand.
    pub fn mark(&self) {
        let mut committer = self.shared.committer.lock();
        if committer.needs_mark() {
            committer.mark(&self.shared);
        }
    }
}

impl Shared {
    /// The place in the order of the log for `records`, or why there is none.
    fn admit(&self, records: Vec<Staged>) -> (MutexGuard<'_, Queue>, What) {
        let last = records.len().saturating_sub(1);
        let encoded: Vec<Encoded> =
            records.iter().enumerate().map(|(at, staged)| Encoded::of(&staged.record, at < last)).collect();
        let size = encoded.iter().map(Encoded::size_max).sum::<u64>();
        let frees = frees_space(&records);
        let mut tried = false;
        if size > APPEND_BYTES_MAX {
            return (self.queue.lock(), What::Refuse(AppendError::Full));
        }
        let mut queue = self.queue.lock();
        loop {
            if queue.phase != Phase::Open {
                return (queue, What::Refuse(AppendError::Closed));
            }
            if !queue.agrees(&records, &self.durable) {
                return (queue, What::Refuse(AppendError::Conflict));
            }
            let roll = match queue.space.find(size, frees) {
                Room::Here => None,
                Room::Roll(spare) => {
                    self.wanted.notify_one();
                    Some(spare)
                }
                Room::Wanting if tried => {
                    queue.space.refuse();
                    return (queue, What::Refuse(AppendError::Full));
                }
                Room::Wanting => {
                    (queue, tried) = self.wait_for_room(queue);
                    continue;
                }
            };
            let zip = records.into_iter().zip(encoded);
            let records: Vec<_> = zip.map(|(staged, encoded)| Pending { record: staged.record, encoded }).collect();
            queue.advance(&records, &self.durable);
            queue.in_flight_bytes += size;
            let rolls = queue.space.rolls();
            return (queue, What::Write(Batch { records, roll, rolls, planned: size }));
        }
    }

    /// Lets a spare be made; says whether that was the last try.
    ///
    /// A caller waits only while zeros are being written, and only if it writes faster than that. Once a try has
    /// failed nobody waits: the call is refused, and one more try begins.
    fn wait_for_room<'a>(&'a self, mut queue: MutexGuard<'a, Queue>) -> (MutexGuard<'a, Queue>, bool) {
        if self.options.by_hand {
            drop(queue);
            self.make_wanted();
            return (self.queue.lock(), true);
        }
        self.wanted.notify_one();
        if queue.space.is_failing() {
            return (queue, true);
        }
        self.room.wait(&mut queue);
        let failed = queue.space.is_failing();
        (queue, failed)
    }

    /// Makes the spares that are wanted, until one cannot be made.
    fn make_wanted(&self) {
        loop {
            let wanted = self.queue.lock().space.wanted();
            if !wanted.is_some_and(|size| self.make_spare(size)) {
                return;
            }
        }
    }

    /// Fills a file with zeros and tells the manifest; whether that worked.
    fn make_spare(&self, size: u64) -> bool {
        let (number, life) = self.registry.change(|manifest| (manifest.take_file(), manifest.new_life()));
        let made = zeroed(&*self.disk, number, size).and_then(|file| {
            die::at(Point::AfterSpare);
            self.registry.change(|manifest| manifest.ready.push(Ready { file: number, life, size }));
            self.registry.store(&*self.disk).map(|()| Spare { number, file, life, key: self.key, size })
        });
        let mut queue = self.queue.lock();
        let worked = made.is_ok();
        match made {
            Ok(spare) => queue.space.add(spare),
            Err(error) => {
                self.registry.change(|manifest| {
                    manifest.ready.retain(|ready| ready.file != number);
                    manifest.free.push(number);
                });
                if !queue.space.is_failing() {
                    tracing::warn!(%error, segment.bytes = size, "a spare segment cannot be made: {error}");
                }
                queue.space.could_not_add();
            }
        }
        self.room.notify_all();
        worked
    }

    /// Tells the catalogue of the segments that have been sealed.
    fn write_catalogue(&self) {
        let catalogue = self.catalogue.read().clone();
        let Some(catalogue) = catalogue else { return };
        while let Some(through) = self.durable.oldest_cut() {
            let changes = self.durable.changes();
            let facts = Facts { through, ..self.facts() };
            // The journal has it all: a catalogue that cannot be written only makes the next start slower.
            if let Err(fault) = catalogue.commit(facts, &changes) {
                tracing::warn!(%fault, journal.position = through, "the catalogue cannot be written: {fault}");
                return;
            }
            self.durable.settle(&changes);
            self.counters.catalogued.store(through, Ordering::Release);
        }
    }

    /// What the catalogue is told of everything.
    fn facts(&self) -> Facts {
        Facts {
            journal: self.journal_id,
            through: self.counters.catalogued.load(Ordering::Acquire),
            next_id: self.durable.ids_given(),
            start: self.durable.start_position(),
            former_floor: self.durable.former_floor(),
            last_time: self.last_time(),
            clusterings: self.counters.clusterings.load(Ordering::Acquire),
        }
    }

    /// Waits until everything that is staged now is durable.
    fn fence(&self) -> std::io::Result<()> {
        if self.options.by_hand {
            let mut committer = self.committer.lock();
            let entries = std::mem::take(&mut self.queue.lock().entries);
            let durable = committer.step(self, entries, self.options.clock.now());
            return if durable { Ok(()) } else { Err(std::io::Error::other("a barrier failed")) };
        }
        let (tell, told) = std::sync::mpsc::channel();
        let done: Completion = Box::new(move |_| {
            let _ = tell.send(());
        });
        let mut queue = self.queue.lock();
        if queue.phase != Phase::Open || queue.ended {
            return Err(std::io::Error::other("the store is closed"));
        }
        queue.entries.push(Entry { what: What::Refuse(AppendError::Closed), done });
        let wake = std::mem::take(&mut queue.committer_sleeps);
        drop(queue);
        if wake {
            self.work.notify_all();
        }
        told.recv().map_err(|_| std::io::Error::other("the store is closed"))?;
        // A barrier that failed has told everyone, too.
        match self.queue.lock().phase {
            Phase::Open => Ok(()),
            _ => Err(std::io::Error::other("the store is closed")),
        }
    }

    fn last_time(&self) -> Timestamp {
        Timestamp::from_millis(self.counters.last_time.load(Ordering::Relaxed))
    }

    fn former_end(&self, name: &StreamName) -> Position {
        // Memory is asked first: what it has let go of by then is in the catalogue already.
        let known = self.durable.former_end(name);
        let catalogue = self.catalogue.read().clone();
        let found = catalogue.map_or(Ok(0), |catalogue| catalogue.former_end(name));
        let found = found.unwrap_or_else(|fault| {
            let _ = self.catalogue_is_damaged(fault.to_string());
            // Whatever the name was, it was below this.
            self.durable.start_position()
        });
        known.max(found)
    }

    /// A catalogue that is found damaged while serving; the next start builds it again.
    fn catalogue_is_damaged(&self, why: String) -> ReadError {
        tracing::error!(catalogue.fault = %why, "the catalogue is damaged ({why}); a restart builds it again");
        if let Some(catalogue) = self.catalogue.read().as_ref() {
            catalogue.condemn();
        }
        ReadError::Damaged(format!("catalogue: {why}"))
    }

    fn shut(&self) {
        self.queue.lock().phase = Phase::Closed;
        self.wake_all();
    }

    fn wake_all(&self) {
        self.work.notify_all();
        self.room.notify_all();
        self.wanted.notify_all();
        self.jobs.notify();
    }
}

impl Store for Journal {
    fn append(&self, records: Vec<Staged>, done: Completion) {
        let (mut queue, what) = self.shared.admit(records);
        queue.entries.push(Entry { what, done });
        let wake = std::mem::take(&mut queue.committer_sleeps);
        drop(queue);
        if wake {
            self.shared.work.notify_all();
        }
    }

    fn next_id(&self) -> StreamId {
        self.shared.durable.next_id()
    }

    fn start_position(&self) -> Position {
        self.shared.durable.start_position()
    }

    fn former_end(&self, name: &StreamName) -> Position {
        self.shared.former_end(name)
    }

    fn find(&self, name: &StreamName) -> Option<StreamId> {
        self.shared.durable.find(name)
    }

    fn load(&self, stream: StreamId) -> Option<StreamState> {
        self.shared.durable.load(stream)
    }

    fn limited(&self) -> Vec<(StreamId, Lifetime, Timestamp)> {
        self.shared.durable.limited()
    }

    fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<StreamName> {
        self.shared.durable.list(prefix, after, limit)
    }

    fn read(&self, stream: StreamId, from: Position, to: Position, bytes_max: usize) -> Result<Vec<Run>, ReadError> {
        stitch::read(&*self.shared, stream, from, to, bytes_max)
    }

    fn read_joined(
        &self,
        stream: StreamId,
        from: Position,
        to: Position,
        bytes_max: usize,
        into: &mut Vec<u8>,
    ) -> Result<Vec<Range<Position>>, ReadError> {
        self.shared.read_joined(stream, from, to, bytes_max, into)
    }

    fn fetch(&self, stream: StreamId, messages: &[Wanted]) -> Result<Vec<Fetched>, ReadError> {
        self.shared.fetch_messages(stream, messages)
    }

    fn kept(&self, stream: StreamId) -> Kept {
        self.shared.durable.kept(stream)
    }

    fn retain_by(&self, rules: Weak<dyn Retention>) {
        *self.shared.retention.write() = Some(rules);
    }

    fn health(&self) -> Health {
        let queue = self.shared.queue.lock();
        match queue.phase {
            Phase::Open if queue.space.is_full() => Health::Full,
            Phase::Open => Health::Ready,
            Phase::Closing | Phase::Closed | Phase::Failed => Health::Failed,
        }
    }

    fn stats(&self) -> StoreStats {
        let counters = &self.shared.counters;
        StoreStats {
            barriers: counters.barriers.load(Ordering::Relaxed),
            records: counters.records.load(Ordering::Relaxed),
            bytes_written: counters.bytes_written.load(Ordering::Relaxed),
            segments: self.shared.segments.len() as u64,
            segments_freed: counters.segments_freed.load(Ordering::Relaxed),
            clusters: self.shared.clusters.len() as u64,
            clusterings: counters.clusterings.load(Ordering::Relaxed),
            bytes_clustered: counters.bytes_clustered.load(Ordering::Relaxed),
            stored_bytes: self.shared.segments.bytes() + self.shared.clusters.bytes(),
            in_flight_bytes: self.shared.queue.lock().in_flight_bytes,
        }
    }

    fn close(&self) {
        let shared = &self.shared;
        if shared.options.by_hand {
            let mut committer = shared.committer.lock();
            let entries = std::mem::take(&mut shared.queue.lock().entries);
            if committer.step(shared, entries, shared.options.clock.now()) && committer.needs_mark() {
                committer.mark(shared);
            }
            drop(committer);
            shared.shut();
        } else {
            threads::close(shared, &self.threads);
        }
        if let Some(catalogue) = shared.catalogue.write().take()
            && let Err(fault) = catalogue.flush()
        {
            tracing::warn!(%fault, "the catalogue cannot be written: {fault}");
        }
        *shared.lock.lock() = None;
    }
}

impl Drop for Journal {
    /// As a crash, but for what is staged: that is still written.
    fn drop(&mut self) {
        threads::end(&self.shared, &self.threads);
    }
}
