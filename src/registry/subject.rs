//! What a document is registered under.

use std::fmt;
use std::sync::Arc;

/// Name of a subject: 1 to 256 bytes of `A-Z a-z 0-9 . _ -` in segments joined by `/`.
///
/// No leading or trailing slash and no empty, `.` or `..` segment, so that it can stand in a URL path as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubjectName(Arc<str>);

impl SubjectName {
    pub const BYTES_MAX: usize = 256;

    pub fn parse(text: &str) -> Option<Self> {
        let segment = |s: &str| !matches!(s, "" | "." | "..") && s.bytes().all(is_name_byte);
        let sound = text.len() <= Self::BYTES_MAX && text.split('/').all(segment);
        sound.then(|| Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The shared text, as a [`crate::stream::SchemaRef`] holds it.
    pub fn shared(&self) -> Arc<str> {
        self.0.clone()
    }
}

/// The bytes that names in the registry are made of.
pub(crate) fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-".contains(&byte)
}

impl fmt::Display for SubjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_plain_path_segments() {
        for text in ["workers", "netscript/workers", "a.b_c-9/..d"] {
            assert_eq!(SubjectName::parse(text).map(|s| s.to_string()).as_deref(), Some(text));
        }
        for text in ["", "/a", "a/", "a//b", "a/../b", ".", "a b", "a@1", "ä", "a%2Fb", "a\n"] {
            assert_eq!(SubjectName::parse(text), None, "{text:?}");
        }
        assert!(SubjectName::parse(&"x".repeat(256)).is_some());
        assert!(SubjectName::parse(&"x".repeat(257)).is_none());
    }
}
