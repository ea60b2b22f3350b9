//! The catalogue: what is known of sealed segments, so that a start reads the newest records only. Kept in sled.
//!
//! Nothing in it is the truth: it says up to which journal position it knows ([`Facts::through`]), and a catalogue that
//! is missing, damaged, of another version or ahead of the journal is built again from the journal. sled promises no
//! durability that we need: an older catalogue is as good, only slower. Every value carries a CRC32C.
//!
//! Keys: `m` what holds for all; `s` stream: where it was created, what is kept of it, and its state; `p` stream, first position: where up
//! to [`CHUNK`] of its records lie; `n` name: above every position that former streams of that name have handed out.
//! `c` is kept for pointers to fold checkpoints.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::model::{Position, StreamId, StreamName, Timestamp};

use super::codec::{Reader, decode_state, encode_state, put_bytes, put_varint};
use super::die::{self, Point};
use super::journal::durable::{Changes, Living, Posting};
use super::retention::Kept;

const VERSION: u64 = 3;
/// Postings in one value.
const CHUNK: usize = 2048;
/// Chunks kept decoded: some 3 MiB.
const CACHED_CHUNKS: usize = 64;
const SLED_CACHE_BYTES: u64 = 16 << 20;

/// Why a catalogue cannot be used. It is built again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CatalogueFault {
    #[error("{0}")]
    Sled(#[from] sled::Error),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("a value is damaged")]
    Damaged,
    #[error("it is of another version")]
    Version,
    #[error("it could not be opened")]
    Panicked,
}

/// What holds for the whole journal, up to a position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The journal that it is of.
    pub journal: u64,
    /// Journal position up to which everything is in the catalogue.
    pub through: u64,
    pub next_id: u64,
    /// See [`crate::storage::Store::start_position`].
    pub start: Position,
    /// Names may have handed out positions below it that nothing tells of: the catalogue was lost once.
    pub former_floor: Position,
    pub last_time: Timestamp,
    /// How many clusterings it has heard of.
    pub clusterings: u64,
}

/// What a clustering changed for one stream.
pub(crate) struct Moved {
    pub stream: StreamId,
    /// Positions whose records lie elsewhere now, as far as there are any.
    pub covers: Vec<std::ops::Range<Position>>,
    pub postings: Vec<Posting>,
    pub kept: Kept,
    /// What the stream is, where the catalogue may be behind.
    pub living: Option<Living>,
    pub ended: bool,
}

impl Moved {
    /// A stream that has ended.
    pub fn ended(stream: StreamId) -> Self {
        let (covers, postings) = (Vec::new(), Vec::new());
        Self { stream, covers, postings, kept: Kept::default(), living: None, ended: true }
    }
}

/// An open catalogue.
pub(crate) struct Catalogue {
    db: sled::Db,
    cache: Mutex<Cache>,
    /// Counts what moves records: odd while it is under way. Who looks up meanwhile, from value to value, would see a
    /// part of either.
    moves: AtomicU64,
}

type Chunk = Arc<[Posting]>;

#[derive(Default)]
struct Cache {
    chunks: HashMap<(StreamId, Position), (Chunk, u64)>,
    clock: u64,
}

impl Catalogue {
    /// Opens the catalogue in `dir`, with all it knows of streams. A new one knows nothing.
    pub fn open(dir: &Path) -> Result<(Self, Facts, Vec<Living>), CatalogueFault> {
        // sled panics on some damage instead of reporting it.
        let opened = std::panic::catch_unwind(AssertUnwindSafe(|| Self::open_and_read(dir)));
        opened.unwrap_or(Err(CatalogueFault::Panicked))
    }

    fn open_and_read(dir: &Path) -> Result<(Self, Facts, Vec<Living>), CatalogueFault> {
        let config = sled::Config::new().path(dir).cache_capacity(SLED_CACHE_BYTES).flush_every_ms(None);
        let db = config.open()?;
        let facts = match db.get(b"m")? {
            Some(value) => decode_facts(unsealed(&value)?)?,
            None if db.is_empty() => Facts::default(),
            None => return Err(CatalogueFault::Damaged),
        };
        let mut streams = Vec::new();
        for pair in db.scan_prefix(b"s") {
            let (_, value) = pair?;
            streams.push(decode_living(unsealed(&value)?).ok_or(CatalogueFault::Damaged)?);
        }
        Ok((Self { db, cache: Mutex::default(), moves: AtomicU64::new(0) }, facts, streams))
    }

    /// Moves a catalogue that cannot be used aside, to where the next one that cannot be used replaces it.
    pub fn set_aside(dir: &Path) -> std::io::Result<PathBuf> {
        let aside = dir.with_extension("damaged");
        for stale in [&aside] {
            if stale.is_dir() {
                std::fs::remove_dir_all(stale)?;
            } else if stale.exists() {
                std::fs::remove_file(stale)?;
            }
        }
        if dir.exists() {
            std::fs::rename(dir, &aside)?;
        }
        Ok(aside)
    }

    /// Removes a catalogue, and what was set aside of a former one.
    pub fn discard(dir: &Path) -> std::io::Result<()> {
        for dir in [dir.to_owned(), dir.with_extension("damaged")] {
            if dir.is_dir() {
                std::fs::remove_dir_all(dir)?;
            }
        }
        Ok(())
    }

    /// Adds what a sealed segment changed, all or none.
    pub fn commit(&self, facts: Facts, changes: &Changes) -> Result<(), CatalogueFault> {
        let mut batch = sled::Batch::default();
        batch.insert(b"m", sealed(encode_facts(facts)));
        for (name, end) in &changes.former {
            let end = self.former_end(name)?.max(*end);
            batch.insert(name_key(name), sealed(end.to_le_bytes().to_vec()));
        }
        for change in &changes.streams {
            let Some(living) = &change.living else {
                self.remove(change.stream, &mut batch)?;
                continue;
            };
            batch.insert(&state_key(change.stream)[..], sealed(encode_living(living)));
            for chunk in change.postings.chunks(CHUNK) {
                batch.insert(&posting_key(change.stream, chunk[0].first)[..], sealed(encode_postings(chunk)));
            }
        }
        die::at(Point::BeforeCatalogue);
        self.db.apply_batch(batch)?;
        die::at(Point::InCatalogue);
        self.db.flush()?;
        die::at(Point::AfterCatalogue);
        Ok(())
    }

    /// Takes in where a clustering has put records, some streams at a time; the last time with the facts. Doing so again
    /// changes nothing.
    pub fn take_moved(&self, moved: &[Moved], facts: Option<Facts>) -> Result<(), CatalogueFault> {
        let mut batch = sled::Batch::default();
        for moved in moved {
            let key = state_key(moved.stream);
            let known =
                self.db.get(key)?.map(|value| decode_living(unsealed(&value)?).ok_or(CatalogueFault::Damaged));
            let living = moved.living.clone().map(Ok).or(known).transpose()?;
            let Some(mut living) = living.filter(|_| !moved.ended) else {
                self.remove(moved.stream, &mut batch)?;
                continue;
            };
            living.kept = living.kept.and(moved.kept);
            batch.insert(&key[..], sealed(encode_living(&living)));
            for range in &moved.covers {
                let keys = posting_key(moved.stream, range.start)..posting_key(moved.stream, range.end);
                for key in self.db.range(keys).keys() {
                    batch.remove(key?);
                }
                let inside = |posting: &&Posting| range.contains(&posting.first);
                let inside: Vec<Posting> = moved.postings.iter().filter(inside).copied().collect();
                for chunk in inside.chunks(CHUNK) {
                    batch.insert(&posting_key(moved.stream, chunk[0].first)[..], sealed(encode_postings(chunk)));
                }
            }
        }
        if let Some(facts) = facts {
            batch.insert(b"m", sealed(encode_facts(facts)));
        }
        self.moves.fetch_add(1, Ordering::SeqCst);
        let applied = self.db.apply_batch(batch);
        self.cache.lock().chunks.clear();
        self.moves.fetch_add(1, Ordering::SeqCst);
        applied?;
        if facts.is_some() {
            self.db.flush()?;
        }
        Ok(())
    }

    fn remove(&self, stream: StreamId, batch: &mut sled::Batch) -> Result<(), CatalogueFault> {
        batch.remove(&state_key(stream)[..]);
        for key in self.db.scan_prefix(&posting_key(stream, 0)[..9]).keys() {
            batch.remove(key?);
        }
        Ok(())
    }

    /// Above every position that former streams of that name have handed out.
    pub fn former_end(&self, name: &StreamName) -> Result<Position, CatalogueFault> {
        let Some(value) = self.db.get(name_key(name))? else { return Ok(0) };
        let end = unsealed(&value)?.try_into().map_err(|_| CatalogueFault::Damaged)?;
        Ok(Position::from_le_bytes(end))
    }

    /// Every name that former streams had, with what [`Catalogue::former_end`] says of it.
    pub fn former_ends(&self) -> impl Iterator<Item = Result<(StreamName, Position), CatalogueFault>> {
        self.db.scan_prefix(b"n").map(|pair| {
            let (key, value) = pair?;
            let name = std::str::from_utf8(&key[1..]).map_err(|_| CatalogueFault::Damaged)?;
            let end = unsealed(&value)?.try_into().map_err(|_| CatalogueFault::Damaged)?;
            Ok((StreamName::from_log(name), Position::from_le_bytes(end)))
        })
    }

    /// Records of `from..to` of a stream, in order, until they take `bytes_max`.
    pub fn postings(
        &self,
        stream: StreamId,
        from: Position,
        to: Position,
        bytes_max: u64,
    ) -> Result<Vec<Posting>, CatalogueFault> {
        loop {
            let moves = self.moves.load(Ordering::SeqCst);
            let found = self.try_postings(stream, from, to, bytes_max, moves);
            if moves.is_multiple_of(2) && self.moves.load(Ordering::SeqCst) == moves {
                return found;
            }
            std::thread::yield_now();
        }
    }

    fn try_postings(
        &self,
        stream: StreamId,
        from: Position,
        to: Position,
        bytes_max: u64,
        moves: u64,
    ) -> Result<Vec<Posting>, CatalogueFault> {
        let prefix = posting_key(stream, 0);
        let below = self.db.range(&prefix[..]..=&posting_key(stream, from)[..]).next_back();
        let begin = below.transpose()?.map_or_else(|| sled::IVec::from(&prefix[..]), |(key, _)| key);
        let end = sled::IVec::from(&posting_key(stream, to)[..]);
        let mut found = Vec::new();
        let mut bytes = 0;
        for key in self.db.range(begin..end).keys() {
            for posting in self.chunk(stream, &key?, moves)?.iter().filter(|posting| posting.end() > from) {
                if posting.first >= to || bytes >= bytes_max {
                    return Ok(found);
                }
                bytes += u64::from(posting.len);
                found.push(*posting);
            }
        }
        Ok(found)
    }

    fn chunk(&self, stream: StreamId, key: &sled::IVec, moves: u64) -> Result<Chunk, CatalogueFault> {
        let first = key.get(9..17).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
        let name = (stream, first.ok_or(CatalogueFault::Damaged)?);
        if let Some(chunk) = self.cache.lock().get(name) {
            return Ok(chunk);
        }
        let value = self.db.get(key)?.ok_or(CatalogueFault::Damaged)?;
        let chunk: Chunk = decode_postings(unsealed(&value)?).ok_or(CatalogueFault::Damaged)?.into();
        let mut cache = self.cache.lock();
        if moves.is_multiple_of(2) && self.moves.load(Ordering::SeqCst) == moves {
            cache.put(name, chunk.clone());
        }
        Ok(chunk)
    }

    /// Makes the next start build it again.
    pub fn condemn(&self) {
        if self.db.remove(b"m").is_err() {
            tracing::warn!("the catalogue cannot be marked as damaged; remove its directory before the next start");
        }
    }

    pub fn flush(&self) -> Result<(), CatalogueFault> {
        self.db.flush()?;
        Ok(())
    }
}

impl Cache {
    fn get(&mut self, name: (StreamId, Position)) -> Option<Chunk> {
        self.clock += 1;
        let (chunk, used) = self.chunks.get_mut(&name)?;
        *used = self.clock;
        Some(chunk.clone())
    }

    fn put(&mut self, name: (StreamId, Position), chunk: Chunk) {
        if self.chunks.len() >= CACHED_CHUNKS
            && let Some(oldest) = self.chunks.iter().min_by_key(|(_, (_, used))| *used).map(|(name, _)| *name)
        {
            self.chunks.remove(&oldest);
        }
        self.chunks.insert(name, (chunk, self.clock));
    }
}

fn state_key(stream: StreamId) -> [u8; 9] {
    let mut key = [b's'; 9];
    key[1..].copy_from_slice(&stream.0.to_be_bytes());
    key
}

fn name_key(name: &StreamName) -> Vec<u8> {
    [b"n", name.as_str().as_bytes()].concat()
}

/// Big-endian, so that keys sort as positions do.
fn posting_key(stream: StreamId, first: Position) -> [u8; 17] {
    let mut key = [b'p'; 17];
    key[1..9].copy_from_slice(&stream.0.to_be_bytes());
    key[9..].copy_from_slice(&first.to_be_bytes());
    key
}

fn sealed(mut value: Vec<u8>) -> Vec<u8> {
    let crc = crc32c::crc32c(&value);
    value.extend_from_slice(&crc.to_le_bytes());
    value
}

/// Reads bytes as every kind of value; for the fuzz targets.
pub(super) fn decode_any(bytes: &[u8]) {
    let _ = decode_facts(bytes);
    let living = decode_living(bytes);
    let again = living.as_ref().map(|living| decode_living(&encode_living(living)));
    assert_eq!(again.is_some(), living.is_some(), "what was read is not read again once written");
    if let Some(postings) = decode_postings(bytes) {
        assert_eq!(decode_postings(&encode_postings(&postings)), Some(postings));
    }
}

fn unsealed(value: &[u8]) -> Result<&[u8], CatalogueFault> {
    let (body, crc) = value.split_last_chunk::<4>().ok_or(CatalogueFault::Damaged)?;
    match crc32c::crc32c(body) == u32::from_le_bytes(*crc) {
        true => Ok(body),
        false => Err(CatalogueFault::Damaged),
    }
}

fn encode_facts(facts: Facts) -> Vec<u8> {
    let mut out = Vec::new();
    let Facts { journal, through, next_id, start, former_floor, last_time, clusterings } = facts;
    for value in [VERSION, journal, through, next_id, start, former_floor, last_time.as_millis(), clusterings] {
        put_varint(&mut out, value);
    }
    out
}

fn decode_facts(bytes: &[u8]) -> Result<Facts, CatalogueFault> {
    let mut from = Reader::new(bytes);
    let mut next = || from.varint().ok_or(CatalogueFault::Damaged);
    if next()? != VERSION {
        return Err(CatalogueFault::Version);
    }
    Ok(Facts {
        journal: next()?,
        through: next()?,
        next_id: next()?,
        start: next()?,
        former_floor: next()?,
        last_time: Timestamp::from_millis(next()?),
        // Before there were clusterings nothing was said of them.
        clusterings: next().unwrap_or(0),
    })
}

/// Of where a stream was created: it is followed by what is kept, without which everything is.
const HAS_KEPT: u64 = 1 << 63;

fn encode_living(Living { state, created_at, kept }: &Living) -> Vec<u8> {
    if *kept == Kept::default() {
        return [&created_at.to_le_bytes()[..], &encode_state(state)].concat();
    }
    let mut out = (created_at | HAS_KEPT).to_le_bytes().to_vec();
    put_varint(&mut out, kept.history_from);
    put_varint(&mut out, kept.deletes_from);
    put_bytes(&mut out, &encode_state(state));
    out
}

fn decode_living(bytes: &[u8]) -> Option<Living> {
    let (created_at, rest) = bytes.split_first_chunk()?;
    let created_at = u64::from_le_bytes(*created_at);
    if created_at & HAS_KEPT == 0 {
        return Some(Living { state: decode_state(rest)?, created_at, kept: Kept::default() });
    }
    let mut from = Reader::new(rest);
    let kept = Kept { history_from: from.varint()?, deletes_from: from.varint()? };
    Some(Living { state: decode_state(from.bytes()?)?, created_at: created_at & !HAS_KEPT, kept })
}

/// Each as its distance from the one before.
fn encode_postings(postings: &[Posting]) -> Vec<u8> {
    let mut out = Vec::with_capacity(postings.len() * 6);
    let (mut end, mut after) = (0, 0);
    for posting in postings {
        put_varint(&mut out, posting.first - end);
        put_varint(&mut out, posting.count.into());
        put_varint(&mut out, posting.at - after);
        put_varint(&mut out, posting.len.into());
        (end, after) = (posting.end(), posting.at + u64::from(posting.len));
    }
    out
}

fn decode_postings(bytes: &[u8]) -> Option<Vec<Posting>> {
    let mut from = Reader::new(bytes);
    let mut postings = Vec::new();
    let (mut end, mut after) = (0u64, 0u64);
    while !from.is_empty() {
        let first = end.checked_add(from.varint()?)?;
        let count = u32::try_from(from.varint()?).ok()?;
        let at = after.checked_add(from.varint()?)?;
        let len = u32::try_from(from.varint()?).ok()?;
        (end, after) = (first.checked_add(count.into())?, at.checked_add(len.into())?);
        postings.push(Posting { first, count, len, at });
    }
    Some(postings)
}

#[cfg(test)]
mod tests {
    use super::super::journal::durable::Change;
    use super::*;

    fn postings(first: u64, count: u64) -> Vec<Posting> {
        (first..first + count).map(|first| Posting { first, count: 1, len: 100, at: first * 300 }).collect()
    }

    fn living(id: u64) -> Living {
        use crate::model::ContentType;
        use crate::stream::StreamState;
        use crate::stream::{Body, Creation, Lifetime, Record};
        let creation = Creation {
            name: StreamName::from_log("a"),
            content_type: ContentType::json(),
            lifetime: Lifetime::Unlimited,
            start: 0,
            schema: None,
            fork: None,
        };
        let record = Record {
            stream: StreamId(id),
            first: 0,
            count: 0,
            at: Timestamp::default(),
            producer: None,
            stream_seq: None,
            closes: false,
            schema_version: None,
            txid: None,
            body: Body::Create(creation),
        };
        Living { state: StreamState::create(&record).unwrap(), created_at: 5, kept: Kept::default() }
    }

    #[test]
    fn postings_are_found_from_any_position_across_chunks() {
        let dir = tempfile::tempdir().unwrap();
        let (catalogue, facts, states) = Catalogue::open(&dir.path().join("c")).unwrap();
        assert!(facts == Facts::default() && states.is_empty());
        let stream = StreamId(7);
        let all = postings(10, 3 * CHUNK as u64);
        for part in [&all[..5000], &all[5000..]] {
            let change = Change { stream, living: Some(living(7)), postings: part.to_vec() };
            let changes = Changes { streams: vec![change], former: Vec::new() };
            catalogue.commit(Facts { through: 1, ..Facts::default() }, &changes).unwrap();
        }
        for from in [0, 10, 2057, 2058, 5009, 5010, 6000, 6153] {
            let expected: Vec<_> = all.iter().filter(|p| p.first >= from && p.first < 6100).copied().collect();
            assert_eq!(catalogue.postings(stream, from, 6100, u64::MAX).unwrap(), expected, "{from}");
        }
        assert_eq!(catalogue.postings(stream, 10, 6100, 250).unwrap().len(), 3);
        assert!(catalogue.postings(StreamId(6), 0, 9, 100).unwrap().is_empty());
        let gone = Change { stream, living: None, postings: Vec::new() };
        let former = |end| vec![(StreamName::from_log("a"), end)];
        catalogue.commit(Facts::default(), &Changes { streams: vec![gone], former: former(9) }).unwrap();
        catalogue.commit(Facts::default(), &Changes { streams: Vec::new(), former: former(7) }).unwrap();
        assert_eq!(catalogue.former_end(&StreamName::from_log("a")).unwrap(), 9);
        assert!(catalogue.postings(stream, 0, 6100, 250).is_ok_and(|found| found.is_empty()));
    }
}
