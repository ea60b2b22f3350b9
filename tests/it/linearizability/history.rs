//! What clients asked of one entity and heard, with the order of calls and answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// An entity's ETag; as text it sorts as its place in the stream.
pub type Tag = String;

/// What the entity says: the number of the `PUT` that made it, and of the last `PATCH` since.
pub type Content = (u64, Option<u64>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    None,
    /// `If-Match: "…"`
    Match(Tag),
    /// `If-Match: *`
    Exists,
    /// `If-None-Match: *`
    Absent,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    Get,
    Put(u64),
    Patch(u64),
    Delete,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    Found(Tag, Content),
    /// 404.
    NoEntity,
    /// 200 to a write.
    Written(Tag),
    /// 412, with the current tag.
    Refused(Option<Tag>),
    /// Applied by the time the crash was over, or never.
    Unknown,
}

/// One call and its answer.
#[derive(Clone, Debug)]
pub struct Operation {
    pub key: usize,
    pub asked: Asked,
    pub condition: Condition,
    pub heard: Heard,
    pub invoked: u64,
    /// Where the outcome is unknown: when the crash was over.
    pub returned: u64,
}

/// Counts calls and answers. The count is one order for all clients, so what returned before something was called has
/// the lower number, however fast the clock.
#[derive(Clone, Default)]
pub struct Moments(Arc<AtomicU64>);

impl Moments {
    pub fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}
