//! What is staged: records that have their place in the order of the log and wait for the committer.

use std::collections::HashMap;

use crate::model::StreamId;
use crate::storage::codec::Encoded;
use crate::storage::{AppendError, Completion, Staged};
use crate::stream::{Body, Record, StreamVersion};

use super::durable::Durable;
use super::segment::Spare;
use super::space::Space;

/// A record and its bytes.
pub(super) struct Pending {
    pub record: Record,
    pub encoded: Encoded,
}

/// One call of `append`, in its place in the order.
pub(super) struct Entry {
    pub what: What,
    pub done: Completion,
}

pub(super) enum What {
    Write(Batch),
    /// Nothing to write; told in its turn all the same.
    Refuse(AppendError),
}

/// Records that are durable together.
pub(super) struct Batch {
    pub records: Vec<Pending>,
    /// The segment to move on to first.
    pub roll: Option<Spare>,
    /// Which segment it was planned into, and the most it takes there.
    pub rolls: u64,
    pub planned: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    Open,
    /// What is staged is still written; nothing more is taken.
    Closing,
    Closed,
    Failed,
}

/// A stream as it is once everything staged is durable.
#[derive(Clone, Copy)]
struct Ahead {
    version: StreamVersion,
    gone: bool,
    /// Staged records that are not yet durable.
    records: usize,
}

pub(super) struct Queue {
    pub entries: Vec<Entry>,
    pub phase: Phase,
    pub space: Space,
    /// Staged and not yet durable.
    pub in_flight_bytes: u64,
    /// The committer waits for something to do.
    pub committer_sleeps: bool,
    /// Nobody holds the journal any more.
    pub ended: bool,
    ahead: HashMap<StreamId, Ahead>,
}

impl Queue {
    pub fn new(space: Space) -> Self {
        Self {
            entries: Vec::new(),
            phase: Phase::Open,
            space,
            in_flight_bytes: 0,
            committer_sleeps: false,
            ended: false,
            ahead: HashMap::new(),
        }
    }

    /// Whether each record was decided on the version that its stream has once everything before it is durable.
    pub fn agrees(&self, records: &[Staged], durable: &Durable) -> bool {
        if let [only] = records {
            return follows(self.staged(only.record.stream, durable), only) && pins_what_is_kept(only, durable);
        }
        let mut moved: HashMap<StreamId, Ahead> = HashMap::new();
        records.iter().all(|staged| {
            let id = staged.record.stream;
            let ahead = moved.entry(id).or_insert_with(|| self.staged(id, durable));
            let follows = follows(*ahead, staged) && pins_what_is_kept(staged, durable);
            ahead.advance(&staged.record);
            follows
        })
    }

    fn staged(&self, id: StreamId, durable: &Durable) -> Ahead {
        let known = self.ahead.get(&id).copied();
        known.unwrap_or_else(|| Ahead { version: durable.version(id), gone: false, records: 0 })
    }

    /// Moves the staged versions on; the records agree with them.
    pub fn advance(&mut self, records: &[Pending], durable: &Durable) {
        for Pending { record, .. } in records {
            let mut ahead = self.staged(record.stream, durable);
            ahead.advance(record);
            ahead.records += 1;
            self.ahead.insert(record.stream, ahead);
        }
    }

    /// Records have become durable: their streams' own versions count again once nothing is ahead of them.
    pub fn settle(&mut self, records: impl Iterator<Item = StreamId>) {
        for id in records {
            if let Some(ahead) = self.ahead.get_mut(&id) {
                ahead.records -= 1;
                if ahead.records == 0 {
                    self.ahead.remove(&id);
                }
            }
        }
    }

    /// Everything staged, to be told that it failed.
    pub fn fail(&mut self) -> Vec<Entry> {
        self.phase = Phase::Failed;
        self.ahead.clear();
        self.in_flight_bytes = 0;
        std::mem::take(&mut self.entries)
    }
}

impl Ahead {
    fn advance(&mut self, record: &Record) {
        self.version = self.version.next();
        self.gone |= ends(record);
    }
}

/// A stream begins with a creation and with nothing else; nothing follows its end.
fn follows(ahead: Ahead, staged: &Staged) -> bool {
    let creates = matches!(staged.record.body, Body::Create(_));
    !ahead.gone && staged.decided_on == ahead.version && creates == (ahead.version == StreamVersion(0))
}

/// Whether a fork begins where nothing of its source was left out, or will be.
fn pins_what_is_kept(staged: &Staged, durable: &Durable) -> bool {
    match staged.record.body {
        Body::Pin { at, .. } => durable.may_fork(staged.record.stream, at),
        _ => true,
    }
}

/// Whether a record ends a stream, or is a part of that.
fn frees(body: &Body) -> bool {
    matches!(body, Body::Delete | Body::Expire | Body::SoftDelete | Body::Unpin { .. })
}

/// Whether appending them makes room in the end.
pub(super) fn frees_space(records: &[Staged]) -> bool {
    !records.is_empty() && records.iter().all(|staged| frees(&staged.record.body))
}

/// Whether a stream ends with a record.
pub(super) fn ends(record: &Record) -> bool {
    matches!(record.body, Body::Delete | Body::Expire)
}
