//! The step from staged to durable: one write, one barrier, and only then does anyone hear of it.
//!
//! [`Committer::step`] takes everything staged since the last barrier. It gives each record its place and time, writes
//! them with one call per segment, syncs once, moves the durable state, and runs the completions in order. A thread
//! drives it in production, tests drive it by hand. Invariants: positions are contiguous; a segment is synced before
//! the next one is written; after a barrier has failed nothing is written or synced again.

use std::collections::HashMap;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::model::{StreamId, Timestamp};
use crate::storage::codec::{Encoded, Placement};
use crate::storage::die::{self, Point};
use crate::storage::mutant::{self, Mutant};
use crate::storage::{AppendError, Completion, Place, Placed};
use crate::stream::Body;

use super::Shared;
use super::manifest::Live;
use super::queue::{Batch, Entry, Pending, What, ends};
use super::segment::{SLACK, Segment, Spare};

/// A buffer larger than this is not kept for the next group.
const BUFFER_KEPT: usize = 8 << 20;

pub(super) struct Committer {
    segment: Arc<Segment>,
    /// Journal position that the next record gets.
    position: u64,
    /// Journal position up to which the last barrier has proven everything durable.
    durable_to: u64,
    term: u32,
    last_time: Timestamp,
    /// Segments moved on to, as [`super::space::Space`] counts them.
    rolls: u64,
    /// Written since the last barrier.
    dirty: bool,
    /// The last barrier is proven by a record behind it.
    marked: bool,
    buffer: Vec<u8>,
    /// Where streams are created that are not durable yet.
    created: HashMap<StreamId, u64>,
}

/// Where a record was written.
struct Written {
    at: u64,
    len: u32,
    payload: u64,
}

/// What becomes of an entry.
struct Outcome {
    written: Vec<Written>,
    /// Where the segment begins that the entry moved on to.
    rolled: Option<u64>,
}

impl Committer {
    pub fn new(segment: Arc<Segment>, position: u64, term: u32, last_time: Timestamp) -> Self {
        Self {
            segment,
            position,
            durable_to: position,
            term,
            last_time,
            rolls: 0,
            dirty: false,
            marked: true,
            buffer: Vec::new(),
            created: HashMap::new(),
        }
    }

    pub fn needs_mark(&self) -> bool {
        !self.marked
    }

    pub fn last_time(&self) -> Timestamp {
        self.last_time
    }

    pub fn position(&self) -> u64 {
        self.position
    }

    /// Bytes that records may still take in the open segment.
    pub fn left(&self) -> u64 {
        (self.segment.base + self.segment.size - SLACK).saturating_sub(self.position)
    }

    /// Makes `entries` durable and tells their completions, in order. `false`: the barrier failed, for good.
    pub fn step(&mut self, shared: &Shared, mut entries: Vec<Entry>, now: Timestamp) -> bool {
        let at = now.max(self.last_time);
        self.last_time = at;
        let early = mutant::is_on(Mutant::AckBeforeBarrier);
        let result = self.write(shared, &mut entries, at).and_then(|outcomes| {
            if mutant::is_on(Mutant::PublishBeforeBarrier) {
                self.reveal(shared, &entries, &outcomes);
            }
            match early {
                true => Ok(outcomes),
                false => self.sync(shared).map(|()| outcomes),
            }
        });
        match result {
            Ok(outcomes) => {
                self.publish(shared, entries, outcomes, at);
                !early || self.sync(shared).is_ok()
            }
            Err(error) => {
                self.fail(shared, entries, &error);
                false
            }
        }
    }

    /// Writes all records, without the last barrier.
    fn write(&mut self, shared: &Shared, entries: &mut [Entry], at: Timestamp) -> io::Result<Vec<Outcome>> {
        let mut outcomes = Vec::with_capacity(entries.len());
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        for entry in entries {
            let mut outcome = Outcome { written: Vec::new(), rolled: None };
            if let What::Write(batch) = &mut entry.what {
                if let Some(spare) = batch.roll.take() {
                    self.flush(shared, &mut buffer)?;
                    self.sync(shared)?;
                    self.roll(shared, spare);
                    outcome.rolled = Some(self.position);
                }
                for pending in &mut batch.records {
                    pending.record.at = at;
                    self.note_creation(shared, pending);
                    outcome.written.push(self.place(&pending.encoded, at, &mut buffer));
                }
            }
            outcomes.push(outcome);
        }
        self.flush(shared, &mut buffer)?;
        if buffer.capacity() <= BUFFER_KEPT {
            self.buffer = buffer;
        }
        Ok(outcomes)
    }

    /// The end of a stream says where it was created, so that nobody frees it while that could bring the stream back.
    fn note_creation(&mut self, shared: &Shared, pending: &mut Pending) {
        let id = pending.record.stream;
        if matches!(pending.record.body, Body::Create(_)) {
            self.created.insert(id, self.position);
        } else if ends(&pending.record)
            && let Some(position) = self.created.get(&id).copied().or_else(|| shared.durable.created_at(id))
        {
            pending.encoded.set_created_at(position);
        }
    }

    fn place(&mut self, encoded: &Encoded, at: Timestamp, buffer: &mut Vec<u8>) -> Written {
        let placement = Placement {
            position: self.position,
            life: self.segment.life,
            term: self.term,
            durable_to: self.durable_to,
            at,
        };
        let (len, payload_at) = encoded.write(self.segment.key, &placement, buffer);
        let written = Written { at: self.position, len: len as u32, payload: self.position + payload_at as u64 };
        self.position += len as u64;
        written
    }

    /// Writes the buffer, which ends at the current position.
    fn flush(&mut self, shared: &Shared, buffer: &mut Vec<u8>) -> io::Result<()> {
        if buffer.is_empty() {
            return Ok(());
        }
        let begin = self.position - buffer.len() as u64;
        let at = begin - self.segment.base;
        die::at(Point::BeforeWrite);
        die::after(Point::InWrite, || self.segment.file.write_at(&buffer[..buffer.len() / 2], at));
        self.segment.file.write_at(buffer, at)?;
        shared.counters.bytes_written.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        self.dirty = true;
        buffer.clear();
        Ok(())
    }

    fn sync(&mut self, shared: &Shared) -> io::Result<()> {
        if !self.dirty {
            return Ok(());
        }
        die::or_fail(Point::BetweenWriteAndBarrier)?;
        let again = |error| match mutant::is_on(Mutant::RetryBarrier) {
            true => self.segment.file.sync_data(),
            false => Err(error),
        };
        self.segment.file.sync_data().or_else(again)?;
        die::at(Point::AfterBarrier);
        self.dirty = false;
        self.durable_to = self.position;
        self.segment.set_end(self.position);
        shared.counters.barriers.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Moves on to a spare segment; the one before is durable as a whole.
    fn roll(&mut self, shared: &Shared, spare: Spare) {
        let (file, life, size) = (spare.number, spare.life, spare.size);
        let base = self.position;
        die::at(Point::BeforeRoll);
        shared.registry.change(|manifest| {
            manifest.ready.retain(|ready| ready.file != file);
            manifest.live.push(Live { file, life, base, size });
        });
        self.segment = Arc::new(Segment::new(spare, base, base, true));
        self.rolls += 1;
        shared.segments.push(self.segment.clone());
        die::at(Point::AfterRoll);
    }

    /// Moves the durable state, then tells everyone.
    fn publish(&mut self, shared: &Shared, entries: Vec<Entry>, outcomes: Vec<Outcome>, at: Timestamp) {
        if !mutant::is_on(Mutant::PublishBeforeBarrier) {
            self.reveal(shared, &entries, &outcomes);
        }
        let batches = || entries.iter().filter_map(written_batch);
        let records = batches().map(|batch| batch.records.len() as u64).sum();
        let ended = batches().flat_map(|batch| &batch.records).any(|pending| ends(&pending.record));
        self.created.clear();
        self.marked &= records == 0;
        shared.counters.last_time.store(at.as_millis(), Ordering::Relaxed);
        shared.counters.records.fetch_add(records, Ordering::Relaxed);
        self.settle(shared, &entries);
        if ended || outcomes.iter().any(|outcome| outcome.rolled.is_some()) {
            shared.jobs.notify();
        }
        for (entry, outcome) in entries.into_iter().zip(outcomes) {
            let placed = |w: &Written| Placed { payload: Place(w.payload), at };
            let placed: Vec<Placed> = outcome.written.iter().map(placed).collect();
            die::at(Point::BeforeAcknowledgement);
            tell(
                entry.done,
                match &entry.what {
                    What::Write(_) => Ok(&placed),
                    What::Refuse(error) => Err(*error),
                },
            );
        }
    }

    /// Moves the durable state, which is what readers see.
    fn reveal(&self, shared: &Shared, entries: &[Entry], outcomes: &[Outcome]) {
        for (entry, outcome) in entries.iter().zip(outcomes) {
            let Some(batch) = written_batch(entry) else {
                continue;
            };
            if let Some(base) = outcome.rolled {
                shared.durable.cut(base);
            }
            for (pending, written) in batch.records.iter().zip(&outcome.written) {
                shared.durable.apply(&pending.record, written.at, written.len);
            }
        }
        shared.counters.published.store(self.position, Ordering::Release);
    }

    /// Gives back what the entries held while they were staged.
    fn settle(&self, shared: &Shared, entries: &[Entry]) {
        let batches = || entries.iter().filter_map(written_batch);
        let here = |batch: &&Batch| batch.rolls == self.rolls;
        let mut queue = shared.queue.lock();
        queue.settle(batches().flat_map(|batch| &batch.records).map(|pending| pending.record.stream));
        queue.in_flight_bytes -= batches().map(|batch| batch.planned).sum::<u64>();
        let planned = batches().filter(here).map(|batch| batch.planned).sum();
        queue.space.written(self.rolls, planned, self.left());
    }

    /// Proves the last barrier by an empty record behind it. `false`: its own barrier failed, for good.
    pub fn mark(&mut self, shared: &Shared) -> bool {
        die::at(Point::BeforeMark);
        let at = self.last_time;
        let mut buffer = Vec::new();
        self.place(&Encoded::mark(), at, &mut buffer);
        let result = self.flush(shared, &mut buffer).and_then(|()| self.sync(shared));
        match result {
            Ok(()) => {
                self.marked = true;
                shared.queue.lock().space.written(self.rolls, 0, self.left());
                true
            }
            Err(error) => {
                self.fail(shared, Vec::new(), &error);
                false
            }
        }
    }

    /// Nobody knows what is on disk of `entries` and of what is staged behind them.
    fn fail(&mut self, shared: &Shared, entries: Vec<Entry>, error: &io::Error) {
        tracing::error!(%error, segment.file = %self.segment.name(), "a barrier failed ({error}); nothing more is taken");
        // Never again: a second sync would succeed and have written nothing.
        (self.dirty, self.marked) = (false, true);
        let behind = shared.queue.lock().fail();
        shared.wake_all();
        for entry in entries.into_iter().chain(behind) {
            tell(
                entry.done,
                Err(match entry.what {
                    What::Write(_) => AppendError::Unknown,
                    What::Refuse(error) => error,
                }),
            );
        }
    }
}

fn written_batch(entry: &Entry) -> Option<&Batch> {
    match &entry.what {
        What::Write(batch) => Some(batch),
        What::Refuse(_) => None,
    }
}

/// A completion that panics must not take the committer with it, and everyone who waits behind.
fn tell(done: Completion, result: Result<&[Placed], AppendError>) {
    if std::panic::catch_unwind(AssertUnwindSafe(|| done(result))).is_err() {
        tracing::error!("a completion has panicked; the store goes on");
    }
}
