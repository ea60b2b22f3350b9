//! A stream that goes on from a place in another one. Source: PROTOCOL.md §4.2.
//!
//! A fork copies nothing: it refers to its source, which is kept, deleted or not, for as long as the fork lives. It
//! inherits data and, on a typed stream, the schema; no producer, no `Stream-Seq`, no closing.

use crate::model::{Position, StreamId, StreamName};

/// Where a fork left its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fork {
    pub source: StreamId,
    /// What the source is called, for as long as the fork lives.
    pub source_name: StreamName,
    /// Position in the source of the first message or byte that the fork does not inherit.
    pub at: Position,
    /// What is added to a position of the source to get the fork's: 0, unless the fork's name was used before and
    /// its old offsets must not mean anything here.
    pub shift: u64,
    /// How many sources lie above it: 1 for a fork of a stream that is no fork itself.
    pub depth: u16,
    /// About how many payload bytes it inherits.
    pub bytes: u64,
}

impl Fork {
    /// Most sources above a fork: a read may have to visit each.
    pub const DEPTH_MAX: u16 = 64;

    /// The fork's own position at which its own data begins.
    pub fn point(&self) -> Position {
        self.at + self.shift
    }
}
