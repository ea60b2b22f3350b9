//! What a change is about: an operation on one entity of one type.

use std::fmt;
use std::sync::Arc;

/// What a change does to its entity. Source: STATE-PROTOCOL.md §4.1; `upsert` is what producers in the field send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    Insert,
    Update,
    Upsert,
    Delete,
}

impl Operation {
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "insert" => Self::Insert,
            "update" => Self::Update,
            "upsert" => Self::Upsert,
            "delete" => Self::Delete,
            _ => return None,
        })
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Upsert => "upsert",
            Self::Delete => "delete",
        }
    }
}

macro_rules! bounded_text {
    ($(#[$doc:meta])* $name:ident, $max:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            pub const BYTES_MAX: usize = $max;

            pub fn parse(text: &str) -> Option<Self> {
                (!text.is_empty() && text.len() <= Self::BYTES_MAX).then(|| Self(text.into()))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

bounded_text! {
    /// Wire `type`: which collection a change belongs to. 1 to 256 bytes.
    EntityType, 256
}
bounded_text! {
    /// Wire `key`: which entity of its collection. 1 to 1,024 bytes, compared as bytes.
    EntityKey, 1024
}
