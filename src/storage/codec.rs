//! How a record lies on disk.
//!
//! ```text
//! len u32 | header_crc u32 | payload_crc u32 | kind u8 | format u8 | header_len u16 | header | body | zeros
//! ```
//!
//! Little-endian; `len` counts everything, the zeros included, and is a multiple of 4. `header_crc` covers all of the
//! prefix but itself, and the header; `payload_crc` covers all after it. Header checksums start from the journal's own
//! key, which nobody outside knows: what a client has sent never passes for a record, nor does a record of another
//! journal. The header is varints: where and when the record was written ([`Placement`]), then what it says. The body
//! is `Stream-Seq`, txid, the packed table of message lengths and the payload. Strings without a bound lie in the body,
//! so a header always fits its length. The payload of a stream's end is where in the journal the stream was created,
//! as 8 bytes: while that record is there, the end must stay ([`Header::created_at`]).
//!
//! A record is encoded by its writer but for the placement, which only the committer knows. Number 10 of the kinds is
//! kept for later; a store that meets a kind it does not know refuses to start. Two kinds are found in cluster files
//! only, and never in the journal: see [`crate::storage::journal`]'s `cluster`.

mod state;
mod varint;

pub(crate) use state::{decode_state, encode_state};
pub(crate) use varint::{Reader, put_bytes, put_varint};

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::model::{ContentType, Producer, ProducerEpoch, ProducerId, ProducerSeq, StreamId, StreamName, Timestamp};
use crate::storage::mutant::{self, Mutant};
use crate::stream::{Body, Creation, Fork, Lengths, Lifetime, Record, SchemaRef};

/// Bytes before the header.
pub const PREFIX: usize = 16;
/// Records begin and end at multiples of it.
pub const ALIGN: usize = 4;
/// The format written; every lower one is read.
pub const FORMAT: u8 = 1;
/// Where a stream was created of which that is not known: as if written before ends said it.
const NOWHERE: [u8; 8] = [0xff; 8];
/// Most bytes a [`Placement`] takes.
const PLACEMENT_MAX: usize = 10 + 5 + 5 + 10 + 10;

/// What a record is. The numbers are on disk for ever; 10 (cursor) is kept for later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Append = 1,
    Create = 2,
    Delete = 3,
    Expire = 4,
    Renew = 5,
    Rebind = 6,
    /// Of no stream: proves that everything before it is durable.
    Mark = 7,
    /// Of a cluster: what the records of a stream amounted to, up to where the cluster ends.
    State = 8,
    /// A creation that goes on from another stream.
    Fork = 9,
    Pin = 11,
    Unpin = 12,
    SoftDelete = 13,
    /// Of a cluster: which streams it holds, and where.
    Directory = 14,
    Forget = 15,
}

impl Kind {
    fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Append,
            2 => Self::Create,
            3 => Self::Delete,
            4 => Self::Expire,
            5 => Self::Renew,
            6 => Self::Rebind,
            7 => Self::Mark,
            8 => Self::State,
            9 => Self::Fork,
            11 => Self::Pin,
            12 => Self::Unpin,
            13 => Self::SoftDelete,
            14 => Self::Directory,
            15 => Self::Forget,
            _ => return None,
        })
    }
}

/// Where and when a record was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Journal position of the record's first byte.
    pub position: u64,
    /// Which use of the segment file: records of former uses do not pass.
    pub life: u32,
    /// Which start of the server.
    pub term: u32,
    /// Up to where the journal was known to be durable when this was written; at most `position`.
    pub durable_to: u64,
    pub at: Timestamp,
}

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A length that cannot be, or more than there are bytes; zeros too.
    Length,
    HeaderChecksum,
    BodyChecksum,
    /// Verified, and yet not understood.
    Malformed,
    /// Written by a later version.
    UnknownKind(u8),
    /// Written by a later version.
    NewerFormat(u8),
}

mod flag {
    pub const CLOSES: u8 = 1;
    pub const CHAINED: u8 = 2;
    pub const PRODUCER: u8 = 4;
    pub const STREAM_SEQ: u8 = 8;
    pub const SCHEMA_VERSION: u8 = 16;
    pub const TXID: u8 = 32;
}

/// A record, ready to be written anywhere.
#[derive(Clone, Debug)]
pub struct Encoded {
    kind: Kind,
    /// The header after the placement.
    logical: Vec<u8>,
    /// `Stream-Seq` and txid.
    front: Vec<u8>,
    lengths: Bytes,
    payload: Bytes,
    body_crc: u32,
}

impl Encoded {
    /// `chained`: valid only together with the record after it.
    pub fn of(record: &Record, chained: bool) -> Self {
        let (kind, lengths, payload) = match &record.body {
            Body::Append { lengths, payload } => (Kind::Append, lengths.packed().clone(), payload.clone()),
            Body::Create(creation) => match &creation.fork {
                None => (Kind::Create, Bytes::new(), encode_creation(creation).into()),
                Some(fork) => {
                    (Kind::Fork, Bytes::new(), [encode_creation(creation), encode_fork(fork)].concat().into())
                }
            },
            Body::Delete => (Kind::Delete, Bytes::new(), Bytes::from_static(&NOWHERE)),
            Body::Expire => (Kind::Expire, Bytes::new(), Bytes::from_static(&NOWHERE)),
            Body::Renew => (Kind::Renew, Bytes::new(), Bytes::new()),
            Body::Rebind(schema) => (Kind::Rebind, Bytes::new(), encode_schema(schema).into()),
            Body::Pin { fork, at } => (Kind::Pin, Bytes::new(), varints(&[fork.0, *at]).into()),
            Body::Unpin { fork } => (Kind::Unpin, Bytes::new(), varints(&[fork.0]).into()),
            Body::SoftDelete => (Kind::SoftDelete, Bytes::new(), Bytes::new()),
            Body::Forget { history_from, deletes_from } => {
                (Kind::Forget, Bytes::new(), varints(&[*history_from, *deletes_from]).into())
            }
        };
        let mut front = Vec::new();
        front.extend_from_slice(record.stream_seq.as_deref().unwrap_or_default());
        front.extend_from_slice(record.txid.as_deref().unwrap_or_default().as_bytes());
        Self::with(kind, encode_logical(record, chained, lengths.len()), front, lengths, payload)
    }

    pub fn mark() -> Self {
        Self::with(Kind::Mark, vec![0; 5], Vec::new(), Bytes::new(), Bytes::new())
    }

    /// What only a cluster holds, about a stream or all of them.
    pub fn of_cluster(kind: Kind, stream: StreamId, payload: Vec<u8>) -> Self {
        let record = Record::plain(stream, 0, Timestamp::default());
        Self::with(kind, encode_logical(&record, false, 0), Vec::new(), Bytes::new(), payload.into())
    }

    fn with(kind: Kind, logical: Vec<u8>, front: Vec<u8>, lengths: Bytes, payload: Bytes) -> Self {
        let body_crc = checksum([&front, &lengths, &payload]);
        Self { kind, logical, front, lengths, payload, body_crc }
    }

    /// Says of a stream's end where in the journal the stream was created.
    pub fn set_created_at(&mut self, position: u64) {
        self.payload = Bytes::copy_from_slice(&position.to_le_bytes());
        self.body_crc = checksum([&self.front, &self.lengths, &self.payload]);
    }

    fn body_len(&self) -> usize {
        self.front.len() + self.lengths.len() + self.payload.len()
    }

    /// Most bytes the record takes, wherever it is written.
    pub fn size_max(&self) -> u64 {
        (PREFIX + PLACEMENT_MAX + self.logical.len() + self.body_len()).next_multiple_of(ALIGN) as u64
    }

    /// Appends the record to `out`; returns its length and where in it the payload begins.
    pub fn write(&self, key: u32, placement: &Placement, out: &mut Vec<u8>) -> (usize, usize) {
        let start = out.len();
        out.extend_from_slice(&[0; PREFIX]);
        put_varint(out, placement.position);
        put_varint(out, placement.life.into());
        put_varint(out, placement.term.into());
        put_varint(out, placement.position - placement.durable_to);
        put_varint(out, placement.at.as_millis());
        out.extend_from_slice(&self.logical);
        let header_end = out.len();
        out.extend_from_slice(&self.front);
        out.extend_from_slice(&self.lengths);
        let payload_at = out.len() - start;
        out.extend_from_slice(&self.payload);
        let padding = (out.len() - start).next_multiple_of(ALIGN) - (out.len() - start);
        out.extend_from_slice(&[0; ALIGN][..padding]);
        let len = out.len() - start;

        let payload_crc = crc32c::crc32c_append(self.body_crc, &[0; ALIGN][..padding]);
        let header_len = (header_end - start - PREFIX) as u16;
        let record = &mut out[start..];
        record[0..4].copy_from_slice(&(len as u32).to_le_bytes());
        record[8..12].copy_from_slice(&payload_crc.to_le_bytes());
        record[12] = self.kind as u8;
        record[13] = FORMAT;
        record[14..16].copy_from_slice(&header_len.to_le_bytes());
        let header_crc = header_checksum(key, &record[..header_end - start]);
        record[4..8].copy_from_slice(&header_crc.to_le_bytes());
        (len, payload_at)
    }
}

fn checksum(parts: [&[u8]; 3]) -> u32 {
    parts.into_iter().fold(0, crc32c::crc32c_append)
}

/// Over the prefix but for the checksum itself, and the header.
fn header_checksum(key: u32, through_header: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(key, &through_header[0..4]), &through_header[8..])
}

/// Makes the checksums of a record right whatever it says; its length, where it has one.
pub(super) fn reseal(key: u32, bytes: &mut [u8]) -> Option<usize> {
    let prefix = bytes.first_chunk::<PREFIX>()?;
    let len = u32::from_le_bytes([prefix[0], prefix[1], prefix[2], prefix[3]]) as usize;
    let body_at = PREFIX + usize::from(u16::from_le_bytes([prefix[14], prefix[15]]));
    let record = bytes.get_mut(..len).filter(|record| body_at <= record.len())?;
    let body = crc32c::crc32c(&record[body_at..]).to_le_bytes();
    record[8..12].copy_from_slice(&body);
    let header = header_checksum(key, &record[..body_at]).to_le_bytes();
    record[4..8].copy_from_slice(&header);
    Some(len)
}

fn encode_logical(record: &Record, chained: bool, lengths_len: usize) -> Vec<u8> {
    let given = |present: bool, bit: u8| if present { bit } else { 0 };
    let flags = given(record.closes, flag::CLOSES)
        | given(chained, flag::CHAINED)
        | given(record.producer.is_some(), flag::PRODUCER)
        | given(record.stream_seq.is_some(), flag::STREAM_SEQ)
        | given(record.schema_version.is_some(), flag::SCHEMA_VERSION)
        | given(record.txid.is_some(), flag::TXID);
    let mut out = Vec::with_capacity(24);
    put_varint(&mut out, record.stream.0);
    put_varint(&mut out, record.first);
    put_varint(&mut out, record.count);
    out.push(flags);
    if let Some(producer) = &record.producer {
        put_producer(&mut out, producer);
    }
    if let Some(seq) = &record.stream_seq {
        put_varint(&mut out, seq.len() as u64);
    }
    if let Some(version) = record.schema_version {
        put_varint(&mut out, version.into());
    }
    if let Some(txid) = &record.txid {
        put_varint(&mut out, txid.len() as u64);
    }
    put_varint(&mut out, lengths_len as u64);
    out
}

pub(crate) fn put_producer(out: &mut Vec<u8>, producer: &Producer) {
    put_bytes(out, producer.id.as_str().as_bytes());
    put_varint(out, producer.epoch.get());
    put_varint(out, producer.seq.get());
}

pub(crate) fn read_producer(from: &mut Reader) -> Option<Producer> {
    Some(Producer {
        id: ProducerId::parse(from.text()?)?,
        epoch: ProducerEpoch::new(from.varint()?)?,
        seq: ProducerSeq::new(from.varint()?)?,
    })
}

/// A record's header, read in place. Its checksum held; the body's has not been looked at.
#[derive(Clone, Debug)]
pub struct Header<'a> {
    pub kind: Kind,
    pub placement: Placement,
    /// All of the record, in bytes.
    pub len: usize,
    pub stream: StreamId,
    pub first: u64,
    pub count: u64,
    pub schema_version: Option<u32>,
    flags: u8,
    producer: Option<(&'a str, u64, u64)>,
    stream_seq_len: usize,
    txid_len: usize,
    lengths_len: usize,
    body_at: usize,
    payload_crc: u32,
}

impl<'a> Header<'a> {
    /// Reads the header of the record that `bytes` begin with. Any bytes will do; none make it panic.
    pub fn parse(key: u32, bytes: &'a [u8]) -> Result<Self, Fault> {
        // First of all, since it costs nothing: most bytes of a torn tail are no length that there is room for.
        let len = bytes.first_chunk().map_or(usize::MAX, |len| u32::from_le_bytes(*len) as usize);
        match len <= bytes.len() {
            true => Self::parse_alone(key, bytes),
            false => Err(Fault::Length),
        }
    }

    /// As [`Header::parse`], where the record may be longer than `bytes`.
    pub fn parse_alone(key: u32, bytes: &'a [u8]) -> Result<Self, Fault> {
        let prefix = bytes.get(..PREFIX).ok_or(Fault::Length)?;
        let word = |at: usize| u32::from_le_bytes([prefix[at], prefix[at + 1], prefix[at + 2], prefix[at + 3]]);
        let len = word(0) as usize;
        let header_len = usize::from(u16::from_le_bytes([prefix[14], prefix[15]]));
        let body_at = PREFIX + header_len;
        if body_at > len.min(bytes.len()) || !len.is_multiple_of(ALIGN) {
            return Err(Fault::Length);
        }
        if header_checksum(key, &bytes[..body_at]) != word(4) {
            return Err(Fault::HeaderChecksum);
        }
        if prefix[13] > FORMAT {
            return Err(Fault::NewerFormat(prefix[13]));
        }
        let kind = Kind::from_number(prefix[12]).ok_or(Fault::UnknownKind(prefix[12]))?;
        let mut header = Self {
            kind,
            placement: Placement { position: 0, life: 0, term: 0, durable_to: 0, at: Timestamp::default() },
            len,
            stream: StreamId(0),
            first: 0,
            count: 0,
            schema_version: None,
            flags: 0,
            producer: None,
            stream_seq_len: 0,
            txid_len: 0,
            lengths_len: 0,
            body_at,
            payload_crc: word(8),
        };
        header.fill(&mut Reader::new(&bytes[PREFIX..body_at])).ok_or(Fault::Malformed)?;
        match header.payload_at().is_some_and(|at| at <= len) {
            true => Ok(header),
            false => Err(Fault::Malformed),
        }
    }

    fn fill(&mut self, from: &mut Reader<'a>) -> Option<()> {
        let position = from.varint()?;
        self.placement = Placement {
            position,
            life: from.varint()?.try_into().ok()?,
            term: from.varint()?.try_into().ok()?,
            durable_to: position.checked_sub(from.varint()?)?,
            at: Timestamp::from_millis(from.varint()?),
        };
        self.stream = StreamId(from.varint()?);
        self.first = from.varint()?;
        self.count = from.varint()?;
        self.flags = from.byte()?;
        if self.flags & flag::PRODUCER != 0 {
            self.producer = Some((from.text()?, from.varint()?, from.varint()?));
        }
        if self.flags & flag::STREAM_SEQ != 0 {
            self.stream_seq_len = from.length()?;
        }
        if self.flags & flag::SCHEMA_VERSION != 0 {
            self.schema_version = Some(from.varint()?.try_into().ok()?);
        }
        if self.flags & flag::TXID != 0 {
            self.txid_len = from.length()?;
        }
        self.lengths_len = from.length()?;
        from.is_empty().then_some(())
    }

    /// Valid only together with the record after it.
    pub fn chained(&self) -> bool {
        self.flags & flag::CHAINED != 0
    }

    fn lengths_at(&self) -> Option<usize> {
        self.body_at.checked_add(self.stream_seq_len)?.checked_add(self.txid_len)
    }

    fn payload_at(&self) -> Option<usize> {
        self.lengths_at()?.checked_add(self.lengths_len)
    }

    /// Whether the body is as it was written.
    pub fn verify_body(&self, record: &[u8]) -> Result<(), Fault> {
        match record.get(self.body_at..self.len).map(crc32c::crc32c) {
            Some(crc) if crc == self.payload_crc || mutant::is_on(Mutant::TrustBody) => Ok(()),
            _ => Err(Fault::BodyChecksum),
        }
    }

    /// Where the lengths and the payload lie in the record. The payload may have up to 3 zeros after it, which the
    /// lengths (JSON) or the count (bytes) tell apart.
    pub fn parts(&self) -> (std::ops::Range<usize>, std::ops::Range<usize>) {
        // `parse` has checked both sums.
        let lengths_at = self.lengths_at().unwrap_or(self.len);
        let payload_at = self.payload_at().unwrap_or(self.len);
        (lengths_at..payload_at, payload_at..self.len)
    }

    /// Of a stream's end: where in the journal the stream was created; `None` where it does not say. The body's
    /// checksum must have held.
    pub fn created_at(&self, record: &[u8]) -> Option<u64> {
        let said: &[u8; 8] = record.get(self.parts().1)?.first_chunk()?;
        (*said != NOWHERE).then(|| u64::from_le_bytes(*said))
    }

    /// The record itself; `None` for a mark. `bytes` begin with the record whose header this is.
    pub fn record(&self, bytes: &Bytes) -> Result<Option<Record>, Fault> {
        let (lengths, payload) = self.parts();
        let body = match self.kind {
            Kind::Mark => return Ok(None),
            Kind::State | Kind::Directory => return Err(Fault::Malformed),
            Kind::Append => {
                let lengths = Lengths::from_packed(bytes.slice(lengths));
                let used = payload_len(lengths.packed(), self.count);
                let end =
                    payload.start.checked_add(used).filter(|end| *end <= payload.end).ok_or(Fault::Malformed)?;
                Body::Append { lengths, payload: bytes.slice(payload.start..end) }
            }
            Kind::Create => Body::Create(read_creation(&mut Reader::new(&bytes[payload])).ok_or(Fault::Malformed)?),
            Kind::Fork => {
                let from = &mut Reader::new(&bytes[payload]);
                let creation = read_creation(from).ok_or(Fault::Malformed)?;
                let fork = Some(read_fork(from).ok_or(Fault::Malformed)?);
                Body::Create(Creation { fork, ..creation })
            }
            Kind::Pin => {
                let from = &mut Reader::new(&bytes[payload]);
                let fork = StreamId(from.varint().ok_or(Fault::Malformed)?);
                Body::Pin { fork, at: from.varint().ok_or(Fault::Malformed)? }
            }
            Kind::Unpin => {
                let fork = Reader::new(&bytes[payload]).varint().map(StreamId);
                Body::Unpin { fork: fork.ok_or(Fault::Malformed)? }
            }
            Kind::SoftDelete => Body::SoftDelete,
            Kind::Forget => {
                let from = &mut Reader::new(&bytes[payload]);
                let history_from = from.varint().ok_or(Fault::Malformed)?;
                Body::Forget { history_from, deletes_from: from.varint().ok_or(Fault::Malformed)? }
            }
            Kind::Delete => Body::Delete,
            Kind::Expire => Body::Expire,
            Kind::Renew => Body::Renew,
            Kind::Rebind => {
                let schema = read_schema(&mut Reader::new(&bytes[payload]));
                Body::Rebind(schema.ok_or(Fault::Malformed)?)
            }
        };
        let seq_end = self.body_at + self.stream_seq_len;
        let has = |bit: u8| self.flags & bit != 0;
        let txid = std::str::from_utf8(&bytes[seq_end..seq_end + self.txid_len]).map_err(|_| Fault::Malformed)?;
        Ok(Some(Record {
            stream: self.stream,
            first: self.first,
            count: self.count,
            at: self.placement.at,
            producer: self.producer()?,
            stream_seq: has(flag::STREAM_SEQ).then(|| Arc::from(&bytes[self.body_at..seq_end])),
            closes: has(flag::CLOSES),
            schema_version: self.schema_version,
            txid: has(flag::TXID).then(|| Arc::from(txid)),
            body,
        }))
    }

    fn producer(&self) -> Result<Option<Producer>, Fault> {
        let Some((id, epoch, seq)) = self.producer else {
            return Ok(None);
        };
        let built = (ProducerId::parse(id), ProducerEpoch::new(epoch), ProducerSeq::new(seq));
        let (Some(id), Some(epoch), Some(seq)) = built else {
            return Err(Fault::Malformed);
        };
        Ok(Some(Producer { id, epoch, seq }))
    }
}

/// Where the parts of a record with data lie in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Journal position of the record's first byte.
    pub position: u64,
    pub stream: StreamId,
    pub first: u64,
    pub count: u64,
    /// As [`Header::parts`].
    pub lengths: std::ops::Range<usize>,
    pub payload: std::ops::Range<usize>,
}

impl Layout {
    /// Of the record that `bytes` begin with. The header's checksum must hold; the body's did when its segment was checked.
    /// What the header says is to be compared with what is known of the record.
    pub fn of(key: u32, bytes: &[u8]) -> Option<Self> {
        let prefix = bytes.first_chunk::<PREFIX>()?;
        let len = u32::from_le_bytes([prefix[0], prefix[1], prefix[2], prefix[3]]) as usize;
        let body_at = PREFIX + usize::from(u16::from_le_bytes([prefix[14], prefix[15]]));
        let mut from = Reader::new(bytes.get(PREFIX..body_at)?);
        let sum = u32::from_le_bytes([prefix[4], prefix[5], prefix[6], prefix[7]]);
        if header_checksum(key, &bytes[..body_at]) != sum {
            return None;
        }
        let position = from.varint()?;
        // Life, term, what was durable, and when.
        for _ in 0..4 {
            from.skip_varint()?;
        }
        let (stream, first, count, flags) = (StreamId(from.varint()?), from.varint()?, from.varint()?, from.byte()?);
        if flags & flag::PRODUCER != 0 {
            from.bytes()?;
            from.skip_varint()?;
            from.skip_varint()?;
        }
        let mut front = 0usize;
        if flags & flag::STREAM_SEQ != 0 {
            front = from.length()?;
        }
        if flags & flag::SCHEMA_VERSION != 0 {
            from.skip_varint()?;
        }
        if flags & flag::TXID != 0 {
            front = front.checked_add(from.length()?)?;
        }
        let lengths_at = body_at.checked_add(front)?;
        let payload_at = lengths_at.checked_add(from.length()?)?;
        (payload_at <= len && len <= bytes.len()).then_some(Self {
            position,
            stream,
            first,
            count,
            lengths: lengths_at..payload_at,
            payload: payload_at..len,
        })
    }
}

impl Header<'_> {
    pub(crate) fn layout(&self) -> Layout {
        let (lengths, payload) = self.parts();
        let Header { stream, first, count, .. } = *self;
        Layout { position: self.placement.position, stream, first, count, lengths, payload }
    }
}

/// Bytes of a payload: of its messages with their commas, or as many as the record counts.
pub(crate) fn payload_len(lengths: &[u8], count: u64) -> usize {
    match lengths.is_empty() {
        true => usize::try_from(count).unwrap_or(usize::MAX),
        false => Lengths::unpack(lengths).map(|len| len as usize + 1).sum(),
    }
}

pub(crate) fn encode_creation(creation: &Creation) -> Vec<u8> {
    let mut out = Vec::new();
    put_bytes(&mut out, creation.name.as_str().as_bytes());
    put_bytes(&mut out, creation.content_type.as_str().as_bytes());
    match creation.lifetime {
        Lifetime::Unlimited => out.push(0),
        Lifetime::Idle(window) => {
            out.push(1);
            put_varint(&mut out, u64::try_from(window.as_millis()).unwrap_or(u64::MAX));
        }
        Lifetime::Until(moment) => {
            out.push(2);
            put_varint(&mut out, moment.as_millis());
        }
    }
    put_varint(&mut out, creation.start);
    match &creation.schema {
        None => out.push(0),
        Some(schema) => {
            out.push(1);
            out.extend(encode_schema(schema));
        }
    }
    out
}

pub(crate) fn encode_fork(fork: &Fork) -> Vec<u8> {
    let mut out = varints(&[fork.source.0]);
    put_bytes(&mut out, fork.source_name.as_str().as_bytes());
    out.extend(varints(&[fork.at, fork.shift, fork.depth.into(), fork.bytes]));
    out
}

pub(crate) fn read_fork(from: &mut Reader) -> Option<Fork> {
    Some(Fork {
        source: StreamId(from.varint()?),
        source_name: StreamName::from_log(from.text()?),
        at: from.varint()?,
        shift: from.varint()?,
        depth: from.varint()?.try_into().ok()?,
        bytes: from.varint()?,
    })
    .filter(|fork| fork.at.checked_add(fork.shift).is_some())
}

fn varints(values: &[u64]) -> Vec<u8> {
    let mut out = Vec::new();
    values.iter().for_each(|value| put_varint(&mut out, *value));
    out
}

pub(crate) fn read_creation(from: &mut Reader) -> Option<Creation> {
    Some(Creation {
        name: StreamName::from_log(from.text()?),
        content_type: ContentType::parse(from.text()?)?,
        lifetime: match from.byte()? {
            0 => Lifetime::Unlimited,
            1 => Lifetime::Idle(Duration::from_millis(from.varint()?)),
            2 => Lifetime::Until(Timestamp::from_millis(from.varint()?)),
            _ => return None,
        },
        start: from.varint()?,
        schema: match from.byte()? {
            0 => None,
            1 => Some(read_schema(from)?),
            _ => return None,
        },
        fork: None,
    })
}

pub(crate) fn encode_schema(schema: &SchemaRef) -> Vec<u8> {
    let mut out = Vec::new();
    put_bytes(&mut out, schema.subject.as_bytes());
    put_varint(&mut out, schema.version.into());
    out
}

pub(crate) fn read_schema(from: &mut Reader) -> Option<SchemaRef> {
    Some(SchemaRef { subject: from.text()?.into(), version: from.varint()?.try_into().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLACEMENT: Placement =
        Placement { position: 5 << 30, life: 90, term: 7, durable_to: (5 << 30) - 4_000, at: AT };
    const KEY: u32 = 0x5eed;
    const AT: Timestamp = Timestamp::from_millis(1_770_000_000_000);

    fn written(record: &Record, chained: bool) -> Bytes {
        let mut out = Vec::new();
        let encoded = Encoded::of(record, chained);
        let (len, payload_at) = encoded.write(KEY, &PLACEMENT, &mut out);
        assert_eq!(len, out.len());
        assert!(len as u64 <= encoded.size_max() && payload_at <= len);
        out.into()
    }

    fn read(bytes: &Bytes) -> Result<Option<Record>, Fault> {
        let header = Header::parse(KEY, bytes)?;
        header.verify_body(bytes)?;
        header.record(bytes)
    }

    fn message(len: usize) -> Record {
        let mut payload = vec![b'x'; len];
        payload.push(b',');
        Record {
            stream: StreamId(1_000),
            first: 200_000,
            count: 1,
            at: AT,
            producer: None,
            stream_seq: None,
            closes: false,
            schema_version: Some(3),
            txid: None,
            body: Body::Append { lengths: [len as u32].into_iter().collect(), payload: payload.into() },
        }
    }

    fn producers() -> impl Strategy<Value = Option<Producer>> {
        let tuple = ("[a-z]{1,40}", 0..1u64 << 50, 0..1u64 << 50);
        proptest::option::of(tuple.prop_map(|(id, epoch, seq)| Producer {
            id: ProducerId::parse(&id).unwrap(),
            epoch: ProducerEpoch::new(epoch).unwrap(),
            seq: ProducerSeq::new(seq).unwrap(),
        }))
    }

    fn schemas() -> impl Strategy<Value = Option<SchemaRef>> {
        proptest::option::of(("[a-z.]{1,20}", any::<u32>()))
            .prop_map(|given| given.map(|(subject, version)| SchemaRef { subject: subject.into(), version }))
    }

    fn bodies() -> impl Strategy<Value = (u64, Body)> {
        let json = proptest::collection::vec("[a-z]{1,300}", 0..8).prop_map(|messages| {
            let payload: String = messages.iter().map(|m| format!("{m},")).collect();
            let lengths = messages.iter().map(|m| m.len() as u32).collect();
            (messages.len() as u64, Body::Append { lengths, payload: payload.into() })
        });
        let bytes = proptest::collection::vec(any::<u8>(), 0..300).prop_map(|payload| {
            (payload.len() as u64, Body::Append { lengths: Lengths::default(), payload: payload.into() })
        });
        let lifetime = prop_oneof![
            Just(Lifetime::Unlimited),
            any::<u32>().prop_map(|ms| Lifetime::Idle(Duration::from_millis(ms.into()))),
            any::<u64>().prop_map(|ms| Lifetime::Until(Timestamp::from_millis(ms))),
        ];
        let forks = (any::<u64>(), "[a-z/]{1,50}", 0..1u64 << 62, 0..1u64 << 62, any::<u16>(), any::<u64>());
        let fork = forks.prop_map(|(source, name, at, shift, depth, bytes)| {
            let source_name = StreamName::from_log(&name);
            Fork { source: StreamId(source), source_name, at, shift, depth, bytes }
        });
        let creation = ("[a-z/]{1,50}", lifetime, any::<u64>(), schemas(), proptest::option::of(fork));
        let create = creation.prop_map(|(name, lifetime, start, schema, fork)| {
            let name = StreamName::from_log(&name);
            (0, Body::Create(Creation { name, content_type: ContentType::json(), lifetime, start, schema, fork }))
        });
        let pins = (any::<u64>(), any::<u64>(), any::<bool>()).prop_map(|(fork, at, pins)| match pins {
            true => (0, Body::Pin { fork: StreamId(fork), at }),
            false => (0, Body::Unpin { fork: StreamId(fork) }),
        });
        let ends = prop_oneof![Just((0, Body::Delete)), Just((0, Body::Expire)), Just((0, Body::SoftDelete))];
        let forget = (any::<u64>(), any::<u64>())
            .prop_map(|(history_from, deletes_from)| (0, Body::Forget { history_from, deletes_from }));
        let rebind = schemas().prop_map(|s| (0, s.map_or(Body::Renew, Body::Rebind)));
        prop_oneof![json, bytes, create, rebind, pins, ends, forget]
    }

    fn records() -> impl Strategy<Value = Record> {
        let optional = (
            producers(),
            proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40)),
            any::<bool>(),
            proptest::option::of(any::<u32>()),
            proptest::option::of("\\PC{0,40}"),
        );
        (any::<u64>(), any::<u64>(), bodies(), optional).prop_map(
            |(stream, first, (count, body), (producer, stream_seq, closes, schema_version, txid))| Record {
                stream: StreamId(stream),
                first,
                count,
                at: AT,
                producer,
                stream_seq: stream_seq.map(Arc::from),
                closes,
                schema_version,
                txid: txid.map(Arc::from),
                body,
            },
        )
    }

    proptest! {
        #[test]
        fn records_round_trip(record in records(), chained: bool) {
            let bytes = written(&record, chained);
            let header = Header::parse(KEY, &bytes).unwrap();
            prop_assert_eq!((header.placement, header.chained(), header.len), (PLACEMENT, chained, bytes.len()));
            prop_assert_eq!(format!("{:?}", read(&bytes).unwrap().unwrap()), format!("{record:?}"));
        }

        #[test]
        fn any_flipped_bit_is_detected(record in records(), at: prop::sample::Index, bit in 0u8..8) {
            let mut bytes = written(&record, false).to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(read(&bytes.into()).is_err());
        }

        #[test]
        fn any_shortened_record_is_detected(record in records(), at: prop::sample::Index) {
            let bytes = written(&record, false);
            prop_assert!(read(&bytes.slice(..at.index(bytes.len()))).is_err());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = read(&bytes.into());
        }

        /// A checksum that holds does not make the header's fields true: a forger can compute one.
        #[test]
        fn a_forged_header_never_panics(header: Vec<u8>, body: Vec<u8>, kind in 0u8..16) {
            let mut bytes = vec![0; PREFIX];
            bytes.extend(&header);
            bytes.extend(&body);
            bytes.resize(bytes.len().next_multiple_of(ALIGN), 0);
            let len = bytes.len() as u32;
            bytes[0..4].copy_from_slice(&len.to_le_bytes());
            bytes[12..16].copy_from_slice(&[kind, FORMAT, header.len() as u8, (header.len() >> 8) as u8]);
            let body_crc = crc32c::crc32c(&bytes[PREFIX + header.len()..]);
            bytes[8..12].copy_from_slice(&body_crc.to_le_bytes());
            let crc = header_checksum(KEY, &bytes[..PREFIX + header.len()]);
            bytes[4..8].copy_from_slice(&crc.to_le_bytes());
            let _ = read(&bytes.into());
        }
    }

    #[test]
    fn a_small_message_costs_at_most_55_bytes_more() {
        let overhead = written(&message(200), false).len() - 200;
        assert!(overhead <= 55, "{overhead}");
    }

    #[test]
    fn zeros_are_no_record() {
        assert_eq!(Header::parse(0, &[0; 64]).unwrap_err(), Fault::Length);
        let bytes = written(&message(10), false);
        assert_eq!(Header::parse(KEY + 1, &bytes).unwrap_err(), Fault::HeaderChecksum, "nor are another journal's");
    }

    #[test]
    fn what_a_later_version_wrote_is_named() {
        let forged = |at: usize, value: u8| {
            let mut bytes = written(&message(10), false).to_vec();
            bytes[at] = value;
            let end = PREFIX + usize::from(bytes[14]);
            let crc = header_checksum(KEY, &bytes[..end]);
            bytes[4..8].copy_from_slice(&crc.to_le_bytes());
            Header::parse(KEY, &bytes).unwrap_err()
        };
        assert_eq!(forged(12, 10), Fault::UnknownKind(10));
        assert_eq!(forged(13, FORMAT + 1), Fault::NewerFormat(FORMAT + 1));
    }
}
