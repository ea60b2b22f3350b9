//! What may be left out when older records are written again, and what readers can still rely on then.
//!
//! A store decides when and which records it writes again; whose messages may go, and which, is decided by whoever
//! knows what messages mean. Invariant asked of a [`Sieve`]: whoever folds what is left, from any position at or above
//! [`Kept::deletes_from`], gets what the whole log gives; from [`Kept::history_from`] on, nothing is missing.

use crate::model::{Position, Timestamp};
use crate::stream::StreamState;

/// What is left of a stream's history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// From here on, every message is there. Below, only what is the newest of its entity here or where a fork begins.
    pub history_from: Position,
    /// Below it, deletions may be missing. At most `history_from`.
    pub deletes_from: Position,
}

impl Kept {
    /// What is left where two accounts are both true.
    pub fn and(self, other: Self) -> Self {
        Self {
            history_from: self.history_from.max(other.history_from),
            deletes_from: self.deletes_from.max(other.deletes_from),
        }
    }
}

/// Before which commit times a stream may lose something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Horizons {
    /// Changes that were replaced before it.
    pub history: Timestamp,
    /// Deletions made before it, once nothing is left of what they deleted. `None`: never.
    pub deletes: Option<Timestamp>,
}

/// What a [`Sieve`] is made for.
#[derive(Clone, Debug)]
pub struct Task {
    /// It is shown what lies below.
    pub history_from: Position,
    pub deletes: Option<Timestamp>,
    /// Positions at which forks begin, whose readers must find what was the newest there. In order.
    pub pins: Vec<Position>,
    /// Nothing of the stream lies elsewhere that is older than what it is shown.
    pub complete: bool,
}

/// Decides what of a stream's messages is left out.
pub trait Sieve {
    /// The next message, committed at `at`. Positions grow.
    fn take(&mut self, position: Position, at: Timestamp, message: &[u8]);

    fn finish(self: Box<Self>) -> LeftOut;
}

/// What a [`Sieve`] has decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Positions of the messages, in order.
    pub positions: Vec<Position>,
    /// As [`Kept::deletes_from`]; 0 where no deletion is left out.
    pub deletes_from: Position,
}

/// Knows which streams may lose something.
pub trait Retention: Send + Sync {
    /// `None`: the stream keeps everything.
    fn horizons(&self, stream: &StreamState) -> Option<Horizons>;

    fn sieve(&self, stream: &StreamState, task: Task) -> Box<dyn Sieve>;
}
