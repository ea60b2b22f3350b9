//! Names of streams: what a client calls one, and the number the log knows it by.

use std::fmt;
use std::sync::Arc;

/// Number of one incarnation of a stream. Never reused: a name that is created again gets a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u64);

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Path of a stream below the stream root, percent-decoded once: segments joined by `/`, without a leading slash.
///
/// 1 to 1,024 bytes of UTF-8; no empty, `.` or `..` segment and no control character. Names that start with
/// U+0001 are the server's own (the registry, quarantines, subscriptions, migrations); [`StreamName::parse`] never yields one.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamName(Arc<str>);

/// Why a text is not a stream name. Nothing was written; the same call cannot succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    #[error("the stream path is empty")]
    Empty,
    #[error("the stream path is longer than {} bytes", StreamName::BYTES_MAX)]
    TooLong,
    #[error("the stream path has an empty, `.` or `..` segment")]
    Segment,
    #[error("the stream path has a control character")]
    Control,
}

impl StreamName {
    /// Longest name, in bytes of its decoded form.
    pub const BYTES_MAX: usize = 1024;
    /// What the names of the server's own streams begin with.
    pub const INTERNAL: &str = "\u{1}";

    /// Checks a decoded path.
    pub fn parse(path: &str) -> Result<Self, NameFault> {
        if path.is_empty() {
            return Err(NameFault::Empty);
        }
        if path.len() > Self::BYTES_MAX {
            return Err(NameFault::TooLong);
        }
        if path.chars().any(char::is_control) {
            return Err(NameFault::Control);
        }
        if path.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return Err(NameFault::Segment);
        }
        Ok(Self(path.into()))
    }

    /// The stream that holds the registry's own log.
    pub fn registry() -> Self {
        Self(format!("{}registry", Self::INTERNAL).into())
    }

    /// The stream that holds a subscription's own log.
    pub fn subscription(id: &str) -> Self {
        Self(format!("{}{id}", Self::subscriptions()).into())
    }

    /// What the names of all subscriptions' logs begin with.
    pub fn subscriptions() -> String {
        format!("{}subscription/", Self::INTERNAL)
    }

    /// The companion stream that keeps what `self` refused under `quarantine`.
    pub fn quarantine_of(&self) -> Self {
        Self(format!("{}quarantine/{}", Self::INTERNAL, self.0).into())
    }

    /// The companion stream that says under which schema version `self` was checked from where on.
    pub fn schemas_of(&self) -> Self {
        Self(format!("{}{}", Self::schemas(), self.0).into())
    }

    /// What the names of all logs of schema versions begin with.
    pub fn schemas() -> String {
        format!("{}schemas/", Self::INTERNAL)
    }

    /// The companion stream that holds the log of the migrations of `self`.
    pub fn migrations_of(&self) -> Self {
        Self(format!("{}{}", Self::migrations(), self.0).into())
    }

    /// What the names of all logs of migrations begin with.
    pub fn migrations() -> String {
        format!("{}migrations/", Self::INTERNAL)
    }

    /// Reads back a name that this type wrote, internal ones included. For the log only.
    pub fn from_log(text: &str) -> Self {
        Self(text.into())
    }

    pub fn is_internal(&self) -> bool {
        Self::is_internal_text(&self.0)
    }

    /// Whether names that begin with this text are the server's own.
    pub fn is_internal_text(text: &str) -> bool {
        text.starts_with(Self::INTERNAL)
    }

    /// Whether it lies where the protocol's own paths are. Source: PROTOCOL.md §6.
    pub fn is_reserved(&self) -> bool {
        self.0.split('/').next() == Some("__ds")
    }

    /// Whether a segment is just `-`, which a typed stream may not have: what follows it names a resource.
    pub fn has_dash_segment(&self) -> bool {
        self.0.split('/').any(|segment| segment == "-")
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_unsafe_segments_are_refused() {
        for (given, expected) in [
            ("", NameFault::Empty),
            ("a//b", NameFault::Segment),
            ("/a", NameFault::Segment),
            ("a/", NameFault::Segment),
            ("a/../b", NameFault::Segment),
            (".", NameFault::Segment),
            ("a\u{7f}", NameFault::Control),
            ("\u{1}registry", NameFault::Control),
        ] {
            assert_eq!(StreamName::parse(given), Err(expected), "{given:?}");
        }
        assert_eq!(StreamName::parse(&"x".repeat(1025)), Err(NameFault::TooLong));
        assert!(StreamName::parse(&"x".repeat(1024)).is_ok());
        assert!(StreamName::parse("netscript/workers/ä").is_ok());
    }

    #[test]
    fn internal_names_cannot_be_asked_for() {
        let name = StreamName::parse("a/b").unwrap();
        for internal in [StreamName::registry(), name.quarantine_of(), StreamName::subscription("s")] {
            assert!(internal.is_internal());
            assert!(StreamName::parse(internal.as_str()).is_err());
        }
    }
}
