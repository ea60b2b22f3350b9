//! Bytes that survive a crash: one trait, its promises, and the backends that keep them.
//!
//! A backend orders records, makes them durable and finds them again. It knows nothing of schemas or HTTP, nor why a
//! record was allowed; duplicates, closing and retention are decided above. Every sentence of [`Store`] has a case in
//! `tests/it/storage_contract.rs`, run on each backend.

mod catalogue;
pub mod codec;
pub mod die;
pub mod disk;
#[doc(hidden)]
pub mod fuzzing;
pub mod journal;
pub mod memory;
pub mod mutant;
pub mod retention;
mod stitch;

pub use journal::{Journal, JournalOptions, OpenError};
pub use memory::MemoryStore;
pub use retention::{Kept, Retention};

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::model::{Position, StreamId, StreamName, Timestamp};
use crate::stream::{Lengths, Lifetime, Record, StreamState, StreamVersion};

/// A record to append, and the version of its stream that it was decided on.
#[derive(Clone, Debug)]
pub struct Staged {
    pub record: Record,
    /// The stream's version before the record; 0 for the record that creates it.
    pub decided_on: StreamVersion,
}

/// Where a record's payload lies, and when it was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    pub payload: Place,
    pub at: Timestamp,
}

/// A message that somebody knows of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// As a reader of the stream counts, also where the stream has inherited it.
    pub position: Position,
    /// Where it lay when that was learned.
    pub place: Place,
    /// Its length in bytes.
    pub length: u32,
}

/// A message, and where it lies now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    pub place: Place,
    pub message: Bytes,
}

/// Where bytes lie in the store; meaningful to the store that gave it, until they are moved or given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place(pub u64);

/// Called once, on the committer's thread, in the order of the log: after the barrier that made the records durable,
/// and before anything staged later is reported. Must be short and must not call the store.
pub type Completion = Box<dyn FnOnce(Result<&[Placed], AppendError>) + Send>;

/// Why records were not appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// A stream has moved since the decision. Nothing was written; load, decide again.
    #[error("a stream has moved since the append was decided")]
    Conflict,
    /// No room. Nothing was written; the same call succeeds once there is room.
    #[error("the disk is full")]
    Full,
    /// The barrier failed, so what is on disk is unknown; whole or absent either way. The store accepts nothing more.
    #[error("the store has failed; what was being written is whole or absent")]
    Unknown,
    /// The store is shut, or failed before. Nothing was written.
    #[error("the store is closed")]
    Closed,
}

/// Why stored bytes could not be given.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No such stream, or it is gone.
    #[error("no such stream")]
    NotFound,
    /// Stored bytes differ from what was written. Names file and position; logged by the backend.
    #[error("damaged: {0}")]
    Damaged(String),
    #[error("cannot read: {0}")]
    Io(#[from] std::io::Error),
}

/// A part of one record: the messages or bytes `first..first + count` of a stream.
#[derive(Clone, Debug)]
pub struct Run {
    pub first: Position,
    pub count: u64,
    /// Position at which the record begins and ends, of which this may be a part.
    pub record: Range<Position>,
    /// Lengths of the messages in this part; empty for byte streams.
    pub lengths: Lengths,
    pub payload: Bytes,
    /// Where `payload` begins.
    pub place: Place,
    pub schema_version: Option<u32>,
    pub at: Timestamp,
}

/// Whether the store can take more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Ready,
    /// Only what frees space is taken.
    Full,
    /// A barrier failed, or the store is shut; only reads are served.
    Failed,
}

/// Counters since start, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    pub barriers: u64,
    pub records: u64,
    pub bytes_written: u64,
    /// Segments that hold something now.
    pub segments: u64,
    /// Segments given back since start.
    pub segments_freed: u64,
    /// Files of older records, sorted by stream.
    pub clusters: u64,
    /// How often older records were written again.
    pub clusterings: u64,
    /// Bytes written by that since start.
    pub bytes_clustered: u64,
    /// Bytes that the log takes now, without what was given back.
    pub stored_bytes: u64,
    /// Bytes staged and not yet durable.
    pub in_flight_bytes: u64,
}

/// A durable log of records, by stream.
///
/// - [`Store::append`] stages its records all or none, in call order; order is the same for everyone.
/// - A record counts as durable once it survives power loss. Nothing else is ever returned by `find`, `load`, `list`,
///   `read` or `fetch`, and completions run only then.
/// - A failure also fails everything staged after it on the same streams.
/// - What streams took that are gone is given back in time, without anything being appended; their numbers and
///   positions stay taken.
/// - After a restart, exactly the durable records are there, whole; of the others, each is whole or absent, and
///   none is there without those staged before it.
pub trait Store: Send + Sync + 'static {
    /// Stages `records`, all or none; `done` hears of them once they are durable.
    ///
    /// May wait while the store makes room, if writers are faster than that; never for a barrier.
    ///
    /// - [`AppendError::Conflict`]: a stream is not at the version its record was decided on, or a fork would begin where
    ///   its source is not kept; nothing written.
    /// - [`AppendError::Full`]: no room (records that free space use the reserve); nothing written.
    /// - [`AppendError::Unknown`]: a barrier failed; load before deciding, after a restart.
    fn append(&self, records: Vec<Staged>, done: Completion);

    /// A number for a new stream, never given before and never again.
    fn next_id(&self) -> StreamId;

    /// Where a new stream's positions begin: above every position of every stream that is gone.
    fn start_position(&self) -> Position;

    /// Above every position that the name has handed out in former lives; 0 where it had none.
    fn former_end(&self, name: &StreamName) -> Position;

    /// The stream of that name, also one that is only kept for its forks.
    fn find(&self, name: &StreamName) -> Option<StreamId>;

    /// What is known of a stream. Waits for nothing: records in flight are not in it. Its `floor` says from which position on
    /// records may add to it: below, a history that a restore has cut off may have had others.
    fn load(&self, stream: StreamId) -> Option<StreamState>;

    /// Live streams that do not live for ever, but for soft-deleted ones; each with its last use that reached the log.
    fn limited(&self) -> Vec<(StreamId, Lifetime, Timestamp)>;

    /// Up to `limit` names with that prefix, above `after`, in byte order; none that are kept for forks, and internal
    /// ones only where the prefix itself is internal.
    fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<StreamName>;

    /// Whole records of `from..to`, cut to it at both ends, as long as their payloads take at most `bytes_max` together:
    /// at least one, and one that alone exceeds `bytes_max` is cut to it (at a message, at least one). Empty where
    /// nothing lies there: at the end, or where all was left out ([`Store::kept`]). What a fork inherits is read as if it had written it, records cut where it left its source.
    fn read(&self, stream: StreamId, from: Position, to: Position, bytes_max: usize) -> Result<Vec<Run>, ReadError>;

    /// As [`Store::read`], but only the payloads, appended to `into` one after another; the positions that they cover, as
    /// few ranges.
    fn read_joined(
        &self,
        stream: StreamId,
        from: Position,
        to: Position,
        bytes_max: usize,
        into: &mut Vec<u8>,
    ) -> Result<Vec<Range<Position>>, ReadError> {
        Ok(put_together(&self.read(stream, from, to, bytes_max)?, into))
    }

    /// Single messages of a stream, wherever they lie now. [`ReadError::NotFound`] where one is not kept any more: it was
    /// replaced, or the stream is gone.
    fn fetch(&self, stream: StreamId, messages: &[Wanted]) -> Result<Vec<Fetched>, ReadError>;

    /// What is left of the history of a stream's own records.
    fn kept(&self, stream: StreamId) -> Kept {
        let _ = stream;
        Kept::default()
    }

    /// From now on asks `rules` what older records may be left out; a store that keeps everything never does.
    fn retain_by(&self, rules: std::sync::Weak<dyn Retention>) {
        drop(rules);
    }

    fn health(&self) -> Health;

    fn stats(&self) -> StoreStats;

    /// Makes everything staged durable, proves it, and stops. Later appends are [`AppendError::Closed`].
    fn close(&self);
}

/// A store that anyone may hold.
pub type SharedStore = Arc<dyn Store>;

/// What [`Store::limited`] says of a stream.
fn limited(state: &StreamState) -> Option<(StreamId, Lifetime, Timestamp)> {
    let lifetime = state.creation.lifetime;
    (lifetime != Lifetime::Unlimited && !state.soft_deleted).then_some((state.id, lifetime, state.used_at))
}

/// Appends the payloads of runs; the positions that they cover.
fn put_together(runs: &[Run], into: &mut Vec<u8>) -> Vec<Range<Position>> {
    let mut ranges = Vec::new();
    into.reserve(runs.iter().map(|run| run.payload.len()).sum());
    for run in runs {
        into.extend_from_slice(&run.payload);
        extend(&mut ranges, run.first, run.count);
    }
    ranges
}

/// Adds positions that come behind all others.
fn extend(ranges: &mut Vec<Range<Position>>, first: Position, count: u64) {
    match ranges.last_mut().filter(|last| last.end == first) {
        Some(last) => last.end += count,
        None => ranges.push(first..first + count),
    }
}
