//! Reading what a fork inherits: from a range of its positions to ranges of the streams above it.
//!
//! Every backend keeps only a stream's own records; this finds whose records a range consists of, and joins them as if
//! the fork had written them all. Source: PROTOCOL.md §4.2.

use std::sync::Arc;

use crate::model::{Position, StreamId};
use crate::stream::Creation;

use super::{ReadError, Run};

/// What a backend knows of streams by themselves.
pub(super) trait OwnRecords {
    fn creation(&self, stream: StreamId) -> Option<Arc<Creation>>;

    /// As [`super::Store::read`], of the stream's own records.
    fn read_own(
        &self,
        stream: StreamId,
        from: Position,
        to: Position,
        bytes_max: usize,
    ) -> Result<Vec<Run>, ReadError>;
}

/// A range of one stream's own records.
struct Part {
    stream: StreamId,
    from: Position,
    to: Position,
    /// What is added to its positions to get the reader's.
    shift: u64,
    /// Where the forks below cut it: of a record that goes on above it, the reader sees only the part below.
    cut: Position,
}

/// As [`super::Store::read`].
pub(super) fn read(
    streams: &impl OwnRecords,
    stream: StreamId,
    from: Position,
    to: Position,
    bytes_max: usize,
) -> Result<Vec<Run>, ReadError> {
    let creation = streams.creation(stream).ok_or(ReadError::NotFound)?;
    if from >= creation.own_start() || creation.fork.is_none() {
        return streams.read_own(stream, from, to, bytes_max);
    }
    let mut runs: Vec<Run> = Vec::new();
    let mut bytes = 0;
    for part in parts(streams, stream, creation, from, to)?.into_iter().rev() {
        let room = bytes_max.saturating_sub(bytes).max(1);
        let found = streams.read_own(part.stream, part.from, part.to, room)?;
        // Where nothing was found, nothing lies there.
        let reached = found.last().map_or(part.to, |run| run.first + run.count);
        for run in found {
            // What comes first is given even where it alone exceeds the page; what follows must fit, and whole: alone in
            // the room that is left it may have been cut, although a page of its own would hold it.
            let ends = run.record.end.min(part.to);
            if !runs.is_empty() && (run.first + run.count < ends || bytes + run.payload.len() > bytes_max) {
                return Ok(runs);
            }
            bytes += run.payload.len();
            runs.push(part.adopt(run));
        }
        if reached < part.to || bytes >= bytes_max {
            break;
        }
    }
    Ok(runs)
}

/// The parts of a range, the last one first.
fn parts(
    streams: &impl OwnRecords,
    mut stream: StreamId,
    mut creation: Arc<Creation>,
    mut from: Position,
    mut to: Position,
) -> Result<Vec<Part>, ReadError> {
    let mut parts = Vec::new();
    let (mut shift, mut cut) = (0, Position::MAX);
    loop {
        let Some(fork) = creation.fork.as_ref().filter(|fork| from < fork.point()) else {
            parts.push(Part { stream, from, to, shift, cut });
            return Ok(parts);
        };
        if to > fork.point() {
            parts.push(Part { stream, from: fork.point(), to, shift, cut });
        }
        // In the source's own positions from here on.
        from = from.max(creation.start).saturating_sub(fork.shift);
        to = to.min(fork.point()).saturating_sub(fork.shift);
        cut = cut.min(fork.point()).saturating_sub(fork.shift);
        shift += fork.shift;
        stream = fork.source;
        creation = streams.creation(stream).ok_or(ReadError::NotFound)?;
    }
}

impl Part {
    /// A run as the reader sees it.
    fn adopt(&self, run: Run) -> Run {
        let record = run.record.start + self.shift..run.record.end.min(self.cut) + self.shift;
        Run { first: run.first + self.shift, record, ..run }
    }
}
