//! What a binding says about the streams that match its pattern.

use std::fmt;
use std::sync::Arc;

use crate::stream::ProducerPolicy;

use super::subject::is_name_byte;
use super::{Pattern, SubjectName};

/// Name of a binding: 1 to 256 bytes of `A-Z a-z 0-9 . _ -`, and not `.` or `..`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BindingName(Arc<str>);

impl BindingName {
    pub const BYTES_MAX: usize = 256;

    pub fn parse(text: &str) -> Option<Self> {
        let sound = (1..=Self::BYTES_MAX).contains(&text.len()) && text.bytes().all(is_name_byte);
        (sound && !matches!(text, "." | "..")).then(|| Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BindingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which version of its subject a stream is pinned to when it is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum VersionChoice {
    /// The newest at that time. Moving an existing stream is a logged rebind.
    #[default]
    Latest,
    Number(u32),
}

/// What becomes of a change whose *value* the schema refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Validation {
    /// The whole batch is refused.
    #[default]
    Reject,
    /// The batch is accepted; the change takes no position and is listed apart.
    Quarantine,
    /// Written all the same, and counted.
    Warn,
    /// Values are not looked at.
    Off,
}

/// What becomes of a request to close the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ClosePolicy {
    #[default]
    Accept,
    /// Answered as done; the stream stays open.
    Ignore,
}

/// What a plain read from the beginning gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Reads {
    /// Every change.
    #[default]
    Raw,
    /// The newest change of every live entity, unframed.
    Folded,
}

/// Whether readers of entities are given the defaults of the schema for members that are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Defaulting {
    /// Only where a read asks for it.
    #[default]
    None,
    /// Unless a read asks not to; reads of the log itself still give what is stored.
    OnRead,
}

/// Which consumer's extra rules the stored changes satisfy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Egress {
    #[default]
    None,
    /// NetScript's SSE v1: trace and correlation fields on every change.
    SseV1,
}

/// Gives the streams whose path matches `pattern` a subject, and says how they behave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    pub name: BindingName,
    pub pattern: Pattern,
    pub subject: SubjectName,
    pub version: VersionChoice,
    pub validation: Validation,
    pub producers: ProducerPolicy,
    pub close: ClosePolicy,
    pub reads: Reads,
    pub defaults: Defaulting,
    pub egress: Egress,
    /// Seconds for which superseded changes are kept; `None` is for ever.
    pub history_s: Option<u64>,
    /// Seconds for which deletes are remembered; `None` is for ever.
    pub tombstone_horizon_s: Option<u64>,
}

impl Binding {
    /// A binding with the default of every choice.
    pub fn new(name: BindingName, pattern: Pattern, subject: SubjectName) -> Self {
        Self {
            name,
            pattern,
            subject,
            version: VersionChoice::default(),
            validation: Validation::default(),
            producers: ProducerPolicy::default(),
            close: ClosePolicy::default(),
            reads: Reads::default(),
            defaults: Defaulting::default(),
            egress: Egress::default(),
            history_s: None,
            tombstone_horizon_s: None,
        }
    }

    /// Whether deletes may be forgotten. A reader behind the horizon must be sent `reset`, and readers of folded
    /// plain reads and of SSE v1 break on one.
    pub fn may_forget_deletes(&self) -> bool {
        self.reads == Reads::Raw && self.egress == Egress::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binding_names_are_one_plain_segment() {
        assert!(BindingName::parse("net-script.workers_1").is_some());
        for text in ["", ".", "..", "a/b", "a b", "ä", "a*"] {
            assert!(BindingName::parse(text).is_none(), "{text:?}");
        }
        assert!(BindingName::parse(&"x".repeat(257)).is_none());
    }
}
