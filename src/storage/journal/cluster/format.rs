//! What lies in a cluster besides the records of streams.

use std::ops::Range;

use crate::model::{Position, StreamId};
use crate::storage::codec::{Encoded, Header, Kind, Reader, decode_state, encode_state, put_bytes, put_varint};
use crate::storage::retention::Kept;
use crate::stream::StreamState;

use super::super::segment::{self, Segment};

/// Everything that guards a stream's next write, and what its group stands for.
pub(in crate::storage::journal) struct StateRecord {
    pub state: StreamState,
    /// Journal position up to which records have moved it.
    pub as_of: u64,
    /// Journal position of the record that created the stream.
    pub created_at: u64,
    pub kept: Kept,
    /// Positions of the stream whose records, as far as there are any, lie in the group. In order, none touches the next.
    pub covers: Vec<Range<Position>>,
}

/// Where a stream's records lie in a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::storage::journal) struct Group {
    pub stream: StreamId,
    pub at: u64,
    pub len: u64,
    /// Of its last record.
    pub state_len: u32,
    /// It only says that the stream has ended.
    pub ended: bool,
}

impl Group {
    pub fn end(&self) -> u64 {
        self.at + self.len
    }
}

pub(super) fn encode_state_record(record: &StateRecord) -> Encoded {
    let mut out = Vec::new();
    for value in [record.as_of, record.created_at, record.kept.history_from, record.kept.deletes_from] {
        put_varint(&mut out, value);
    }
    put_varint(&mut out, record.covers.len() as u64);
    for range in &record.covers {
        put_varint(&mut out, range.start);
        put_varint(&mut out, range.end - range.start);
    }
    put_bytes(&mut out, &encode_state(&record.state));
    Encoded::of_cluster(Kind::State, record.state.id, out)
}

/// The state record whose header that is; its body's checksum held.
pub(super) fn read_state(header: &Header, bytes: &[u8]) -> Option<StateRecord> {
    if header.kind != Kind::State {
        return None;
    }
    let mut from = Reader::new(bytes.get(header.parts().1)?);
    let (as_of, created_at) = (from.varint()?, from.varint()?);
    let kept = Kept { history_from: from.varint()?, deletes_from: from.varint()? };
    let covers = (0..from.varint()?)
        .map(|_| {
            let start = from.varint()?;
            Some(start..start.checked_add(from.varint()?)?)
        })
        .collect::<Option<_>>()?;
    let state = decode_state(from.bytes()?)?;
    (state.id == header.stream).then_some(StateRecord { state, as_of, created_at, kept, covers })
}

/// Where a stream's positions end, by its state record; 0 for any other record.
pub(in crate::storage::journal) fn tail_of(header: &Header, bytes: &[u8]) -> Position {
    read_state(header, bytes).map_or(0, |told| told.state.tail)
}

pub(super) fn encode_directory(groups: &[Group]) -> Encoded {
    let mut out = Vec::new();
    put_varint(&mut out, groups.len() as u64);
    let mut before = 0;
    for group in groups {
        put_varint(&mut out, group.stream.0 - before);
        put_varint(&mut out, group.len << 1 | u64::from(group.ended));
        put_varint(&mut out, group.state_len.into());
        before = group.stream.0;
    }
    Encoded::of_cluster(Kind::Directory, StreamId(0), out)
}

/// `None` where the bytes behind a cluster's records are no directory of it.
pub(super) fn read_directory(cluster: &Segment, bytes: &[u8]) -> Option<Vec<Group>> {
    let header = segment::check(cluster.key, bytes, cluster.end(), cluster.life).ok()?;
    if header.kind != Kind::Directory {
        return None;
    }
    let mut from = Reader::new(bytes.get(header.parts().1)?);
    let (mut at, mut stream) = (cluster.base, 0u64);
    let mut groups = Vec::new();
    for _ in 0..from.varint()? {
        stream = stream.checked_add(from.varint()?)?;
        let len = from.varint()?;
        let state_len = u32::try_from(from.varint()?).ok()?;
        let group = Group { stream: StreamId(stream), at, len: len >> 1, state_len, ended: len & 1 == 1 };
        at = at.checked_add(group.len).filter(|_| u64::from(state_len) <= group.len)?;
        groups.push(group);
    }
    (at == cluster.end()).then_some(groups)
}
