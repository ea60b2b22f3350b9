//! A record: one atomic step of one stream, as the log keeps it.

use std::sync::Arc;

use bytes::Bytes;

use crate::model::{ContentType, Position, Producer, StreamId, StreamName, Timestamp};

use super::{Fork, Lifetime};

/// One step of one stream. Whole or absent after a crash, never in part.
#[derive(Clone, Debug)]
pub struct Record {
    pub stream: StreamId,
    /// Position of the first message or byte that the record adds; the tail where it adds none.
    pub first: Position,
    /// Messages (JSON) or bytes (all else) added.
    pub count: u64,
    /// Commit time, in the order of the log: it never runs backwards.
    pub at: Timestamp,
    /// The tuple that wrote it, if any; it advances that producer even where nothing is added.
    pub producer: Option<Producer>,
    /// Source: PROTOCOL.md §5.2, `Stream-Seq`; scope is the stream.
    pub stream_seq: Option<Arc<[u8]>>,
    /// Whether the stream ends with this record.
    pub closes: bool,
    /// Version of the stream's subject that the changes were checked under.
    pub schema_version: Option<u32>,
    /// Transaction that the record belongs to, for `awaitTxId`.
    pub txid: Option<Arc<str>>,
    pub body: Body,
}

impl Record {
    /// A record that adds nothing; what it does is filled in by struct update.
    pub fn plain(stream: StreamId, tail: Position, at: Timestamp) -> Self {
        Self {
            stream,
            first: tail,
            count: 0,
            at,
            producer: None,
            stream_seq: None,
            closes: false,
            schema_version: None,
            txid: None,
            body: Body::none(),
        }
    }
}

/// What a record carries.
#[derive(Clone, Debug)]
pub enum Body {
    /// Data, or nothing where `count` is 0 (closing, or a write that took no position).
    /// JSON: `m1,m2,…,` and the length of each message without its comma. Bytes: as they came, no lengths.
    Append { lengths: Lengths, payload: Bytes },
    /// The first record of every stream.
    Create(Creation),
    /// The stream is gone; `first` is its last tail.
    Delete,
    /// Its lifetime ran out; otherwise as `Delete`.
    Expire,
    /// A use that moves the idle timer; nothing else.
    Renew,
    /// From here on changes are checked under another schema version.
    Rebind(SchemaRef),
    /// A fork refers to the stream, up to a position of it, and needs it kept.
    Pin { fork: StreamId, at: Position },
    /// That fork is gone.
    Unpin { fork: StreamId },
    /// Deleted or expired, and kept for its forks: nobody else sees it any more.
    SoftDelete,
    /// Of a stream that was imported: below `history_from` changes are missing that were replaced, and below
    /// `deletes_from` deletions. Nothing lies between the tail and the record's own position.
    Forget { history_from: Position, deletes_from: Position },
}

impl Body {
    pub fn none() -> Self {
        Self::Append { lengths: Lengths::default(), payload: Bytes::new() }
    }
}

/// What a stream is, from its creation on.
#[derive(Clone, Debug)]
pub struct Creation {
    pub name: StreamName,
    pub content_type: ContentType,
    pub lifetime: Lifetime,
    /// Where its positions begin: above everything that its name ever handed out.
    pub start: Position,
    pub schema: Option<SchemaRef>,
    /// Where it goes on from, if it is a fork; then `start` is where what it inherits begins.
    pub fork: Option<Fork>,
}

impl Creation {
    /// Where the stream's own records begin.
    pub fn own_start(&self) -> Position {
        self.fork.as_ref().map_or(self.start, Fork::point)
    }
}

/// A subject and the version of it that a stream is pinned to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaRef {
    pub subject: Arc<str>,
    pub version: u32,
}

/// Lengths of a record's messages in bytes, packed as LEB128 so that a page of them is one slice of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lengths(Bytes);

impl Lengths {
    pub fn from_packed(packed: Bytes) -> Self {
        Self(packed)
    }

    pub fn packed(&self) -> &Bytes {
        &self.0
    }

    /// Stops early at bytes that are no LEB128 of a `u32`; a caller that must know compares the count.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        Self::unpack(&self.0)
    }

    /// The same of lengths that lie in a record which is not taken apart.
    pub fn unpack(packed: &[u8]) -> impl Iterator<Item = u32> + '_ {
        let mut rest = packed.iter();
        std::iter::from_fn(move || {
            let mut value = 0u64;
            for shift in (0..35).step_by(7) {
                let byte = *rest.next()?;
                value |= u64::from(byte & 0x7f) << shift;
                if byte & 0x80 == 0 {
                    return u32::try_from(value).ok();
                }
            }
            None
        })
    }

    /// Where the messages `from..to` of the record lie in its payload `m1,m2,…,`.
    pub fn span(&self, from: u64, to: u64) -> std::ops::Range<usize> {
        let mut start = 0;
        let mut end = 0;
        for (index, length) in (0..to).zip(self.iter()) {
            end += length as usize + 1;
            if index < from {
                start = end;
            }
        }
        start..end
    }
}

impl FromIterator<u32> for Lengths {
    fn from_iter<I: IntoIterator<Item = u32>>(lengths: I) -> Self {
        let mut packed = Vec::new();
        for mut rest in lengths {
            while rest >= 0x80 {
                packed.push(rest as u8 | 0x80);
                rest >>= 7;
            }
            packed.push(rest as u8);
        }
        Self(packed.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lengths_round_trip(lengths: Vec<u32>) {
            let packed: Lengths = lengths.iter().copied().collect();
            prop_assert_eq!(packed.iter().collect::<Vec<_>>(), lengths);
        }

        #[test]
        fn a_span_covers_its_messages_with_their_commas(
            messages in proptest::collection::vec("[a-z]{1,300}", 1..8), cut in 0usize..64,
        ) {
            let payload: String = messages.iter().map(|m| format!("{m},")).collect();
            let lengths: Lengths = messages.iter().map(|m| m.len() as u32).collect();
            let (from, to) = (cut % messages.len(), messages.len());
            let expected: String = messages[from..to].iter().map(|m| format!("{m},")).collect();
            prop_assert_eq!(&payload[lengths.span(from as u64, to as u64)], expected);
        }

        #[test]
        fn damaged_lengths_never_panic(packed: Vec<u8>) {
            let count = Lengths::from_packed(packed.clone().into()).iter().count();
            prop_assert!(count <= packed.len());
        }
    }
}
