//! Reading: from positions to places, from places to bytes, with few and large reads.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::model::{Position, StreamId};
use crate::storage::codec::{Header, Layout, payload_len};
use crate::storage::stitch::{self, OwnRecords};
use crate::storage::{Fetched, Place, ReadError, Run, Wanted, extend, put_together};
use crate::stream::{Creation, Lengths};

use super::Shared;
use super::cluster::CLUSTERED;
use super::durable::{Known, Posting};
use super::segment::Segment;

/// Bytes of others that are read along rather than skipped.
const GAP: u64 = 64 << 10;
/// Most bytes of one read, unless one record is larger.
const READ_MAX: u64 = 4 << 20;
/// Bytes of records looked up at once, beyond what a page has room for or one read fetches.
const LOOK_AHEAD: u64 = 64 << 10;

/// Messages that moved are looked up together where no more positions than that lie between them.
const NEAR: u64 = 32;

/// Most bytes that are read at once where payloads are copied out of what was read: the second copy finds them in the
/// processor's own cache.
const WINDOW: u64 = 256 << 10;
/// Buffers of that size that are kept: as many as are in use at once, or about so.
const BUFFERS_MAX: usize = 4;

/// How far a page has come.
struct Page {
    from: Position,
    to: Position,
    bytes: usize,
    bytes_max: usize,
    is_empty: bool,
    full: bool,
}

/// What is made of the records of a page.
trait Collect {
    /// Adds records that lie in one segment, in order and near each other, until the page is full.
    fn take(
        &mut self,
        segment: &Segment,
        stream: StreamId,
        group: &[Posting],
        page: &mut Page,
    ) -> Result<(), ReadError>;

    /// Gives up what was added: it is read again.
    fn begin_anew(&mut self);
}

/// The records as parts of what was read.
#[derive(Default)]
struct Apart(Vec<Run>);

/// Their payloads only, put together.
struct Together<'a> {
    into: &'a mut Vec<u8>,
    /// Its length before anything was added.
    began: usize,
    ranges: Vec<Range<Position>>,
    buffers: &'a Buffers,
}

/// Buffers to read into, which are filled with zeros once and not for each read.
#[derive(Default)]
pub(super) struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    /// One of at least so many bytes, whose contents are of no account.
    fn take(&self, len: usize) -> Vec<u8> {
        let small = len as u64 <= WINDOW;
        let mut buffer = if small { self.0.lock().pop().unwrap_or_default() } else { Vec::new() };
        if buffer.len() < len {
            buffer = vec![0; len.max(WINDOW as usize)];
        }
        buffer
    }

    fn give_back(&self, buffer: Vec<u8>) {
        let mut kept = self.0.lock();
        if buffer.len() as u64 == WINDOW && kept.len() < BUFFERS_MAX {
            kept.push(buffer);
        }
    }
}

impl OwnRecords for Shared {
    fn creation(&self, stream: StreamId) -> Option<Arc<Creation>> {
        self.durable.creation(stream)
    }

    fn read_own(
        &self,
        stream: StreamId,
        from: Position,
        to: Position,
        bytes_max: usize,
    ) -> Result<Vec<Run>, ReadError> {
        let mut runs = Apart::default();
        self.collect(stream, from, to, bytes_max, &mut runs)?;
        Ok(runs.0)
    }
}

impl Shared {
    /// As [`crate::storage::Store::read_joined`].
    pub(super) fn read_joined(
        &self,
        stream: StreamId,
        from: Position,
        to: Position,
        bytes_max: usize,
        into: &mut Vec<u8>,
    ) -> Result<Vec<Range<Position>>, ReadError> {
        let creation = self.creation(stream).ok_or(ReadError::NotFound)?;
        if creation.fork.is_some() && from < creation.own_start() {
            return Ok(put_together(&stitch::read(self, stream, from, to, bytes_max)?, into));
        }
        let began = into.len();
        let mut payloads = Together { into, began, ranges: Vec::new(), buffers: &self.buffers };
        self.collect(stream, from, to, bytes_max, &mut payloads)?;
        Ok(payloads.ranges)
    }

    fn collect(
        &self,
        stream: StreamId,
        from: Position,
        to: Position,
        bytes_max: usize,
        into: &mut impl Collect,
    ) -> Result<(), ReadError> {
        loop {
            let clusterings = self.counters.clusterings.load(Ordering::Acquire);
            match self.read_page(stream, from, to, bytes_max.max(1), into) {
                Err(ReadError::NotFound) if self.durable.is_live(stream) => {
                    // Between the look at where records lie and the look there they may have moved, and nothing else.
                    if self.counters.clusterings.load(Ordering::Acquire) == clusterings {
                        return Err(self.catalogue_is_damaged(format!("stream {stream} has records where none are")));
                    }
                    into.begin_anew();
                }
                outcome => return outcome,
            }
        }
    }

    fn read_page(
        &self,
        stream: StreamId,
        from: Position,
        to: Position,
        bytes_max: usize,
        into: &mut impl Collect,
    ) -> Result<(), ReadError> {
        let mut page = Page { from, to, bytes: 0, bytes_max, is_empty: true, full: false };
        let mut cursor = from;
        while !page.full {
            let room = ((page.bytes_max - page.bytes) as u64).min(READ_MAX) + LOOK_AHEAD;
            let postings = self.postings(stream, cursor, to, room)?;
            let Some(last) = postings.last() else { break };
            cursor = last.end();
            for group in groups(&postings, |posting| posting.at..posting.at + u64::from(posting.len)) {
                if page.full {
                    break;
                }
                self.read_group(stream, group, &mut page, into)?;
            }
        }
        Ok(())
    }

    /// Where the records of `from..to` lie: the oldest from the catalogue, the others from memory.
    pub(super) fn postings(
        &self,
        stream: StreamId,
        from: u64,
        to: u64,
        room: u64,
    ) -> Result<Vec<Posting>, ReadError> {
        // Memory is asked first: what it has let go of by then is in the catalogue already.
        let known = self.durable.postings(stream, from, to, room).ok_or(ReadError::NotFound)?;
        let (from, to) = (from.max(known.start), to.min(known.tail));
        if from >= to || from >= known.catalogued_to {
            return Ok(known.postings);
        }
        let until = to.min(known.catalogued_to);
        let catalogue = self.catalogue.read().clone();
        let catalogue = catalogue.ok_or_else(|| std::io::Error::other("the store is closed"))?;
        let found = catalogue.postings(stream, from, until, room);
        // A clustering says what may be missing before it is missing.
        let known = Known { kept: self.durable.kept(stream), ..known };
        match found {
            Ok(found) if !found.is_empty() => match self.hole(&known, &found, from) {
                None => Ok(found),
                Some(at) => Err(self.catalogue_is_damaged(format!("it misses position {at} of stream {stream}"))),
            },
            // Clustering may have left out all that lay there, or a restore nothing; what follows is in memory, if anything.
            Ok(_) if until <= known.kept.history_from => Ok(known.postings),
            Ok(_) if self.durable.is_passed_over(&known, from, until) => Ok(known.postings),
            Ok(_) => Err(self.catalogue_is_damaged(format!("it misses position {from} of stream {stream}"))),
            Err(fault) => Err(self.catalogue_is_damaged(fault.to_string())),
        }
    }

    /// The first position from `from` on that records jump over although they must not.
    fn hole(&self, known: &Known, postings: &[Posting], from: Position) -> Option<Position> {
        let mut end = from.max(known.kept.history_from);
        postings.iter().find_map(|posting| {
            let jumps = posting.first > end && !self.durable.is_passed_over(known, end, posting.first);
            let hole = jumps.then_some(end);
            end = end.max(posting.end());
            hole
        })
    }

    fn read_group(
        &self,
        stream: StreamId,
        group: &[Posting],
        page: &mut Page,
        into: &mut impl Collect,
    ) -> Result<(), ReadError> {
        // Records lie within a segment, groups of them may not.
        let mut rest = group;
        while let Some(first) = rest.first().filter(|_| !page.full) {
            let segment = self.segment(first.at, first.at + u64::from(first.len))?;
            let here = rest.partition_point(|posting| posting.at < segment.end()).max(1);
            into.take(&segment, stream, &rest[..here], page)?;
            rest = &rest[here..];
        }
        Ok(())
    }

    /// The segment or cluster that holds `begin..end`, checked. Not found where what lay there was freed or moved.
    fn segment(&self, begin: u64, end: u64) -> Result<Arc<Segment>, ReadError> {
        let found = match begin < CLUSTERED {
            true => self.segments.at(begin),
            false => self.clusters.at(begin),
        };
        match found {
            Some(segment) if end <= segment.end() => {
                segment.verify()?;
                Ok(segment)
            }
            None if begin >= CLUSTERED || begin < self.segments.span().end => Err(ReadError::NotFound),
            _ => Err(ReadError::Damaged(format!("nothing lies at journal position {begin}"))),
        }
    }

    pub(super) fn fetch_messages(&self, stream: StreamId, messages: &[Wanted]) -> Result<Vec<Fetched>, ReadError> {
        let mut order: Vec<(usize, Range<u64>)> = messages
            .iter()
            .enumerate()
            .map(|(index, wanted)| (index, wanted.place.0..wanted.place.0.saturating_add(u64::from(wanted.length))))
            .collect();
        order.sort_unstable_by_key(|(_, range)| range.start);
        let nothing = |wanted: &Wanted| Fetched { place: wanted.place, message: Bytes::new() };
        let mut fetched: Vec<Fetched> = messages.iter().map(nothing).collect();
        let mut moved = Vec::new();
        // A group must not leave its segment.
        for group in groups(&order, |(_, range)| range.clone()) {
            let mut rest = group;
            while let Some((index, first)) = rest.first() {
                let here = match self.segment(first.start, first.end) {
                    Ok(segment) => {
                        let here = rest.partition_point(|(_, range)| range.end <= segment.end()).max(1);
                        fetch_group(&segment, &rest[..here], &mut fetched)?;
                        here
                    }
                    Err(ReadError::NotFound) => {
                        moved.push((messages[*index].position, *index));
                        1
                    }
                    Err(error) => return Err(error),
                };
                rest = &rest[here..];
            }
        }
        self.fetch_moved(stream, moved, &mut fetched)?;
        Ok(fetched)
    }

    /// Messages that do not lie any more where they did, by their positions.
    fn fetch_moved(
        &self,
        stream: StreamId,
        mut moved: Vec<(Position, usize)>,
        into: &mut [Fetched],
    ) -> Result<(), ReadError> {
        moved.sort_unstable();
        for near in moved.chunk_by(|(one, _), (next, _)| next - one <= NEAR) {
            let mut wanted = near.iter().peekable();
            while let Some((from, _)) = wanted.peek() {
                let to = near.last().map_or(*from, |(last, _)| *last) + 1;
                let runs = stitch::read(self, stream, *from, to, READ_MAX as usize)?;
                if runs.first().is_none_or(|run| run.first > *from) {
                    return Err(ReadError::NotFound);
                }
                for run in runs {
                    let mut at = 0;
                    for (position, length) in (run.first..).zip(run.lengths.iter()) {
                        while let Some((_, index)) = wanted.next_if(|(wanted, _)| *wanted == position) {
                            let message = run.payload.slice(at..at + length as usize);
                            into[*index] = Fetched { place: Place(run.place.0 + at as u64), message };
                        }
                        at += length as usize + 1;
                    }
                    if wanted.peek().is_some_and(|(wanted, _)| *wanted < run.first + run.count) {
                        return Err(ReadError::NotFound);
                    }
                }
            }
        }
        Ok(())
    }
}

impl Collect for Apart {
    fn take(
        &mut self,
        segment: &Segment,
        stream: StreamId,
        group: &[Posting],
        page: &mut Page,
    ) -> Result<(), ReadError> {
        let (begin, end) = span(group);
        let bytes = Bytes::from(segment.read(begin, end)?);
        let used: u64 = group.iter().map(|posting| u64::from(posting.len)).sum();
        let sparse = used * 2 < end - begin;
        for posting in group {
            let at = (posting.at - begin) as usize;
            let record = part(&bytes, at..at + posting.len as usize, sparse);
            let taken = header_of(segment, stream, posting, &record)
                .and_then(|header| Some((page.take(&header.layout(), &record)?, header)))
                .ok_or_else(|| damaged(segment, posting.at))?;
            if let (Some(part), header) = taken {
                self.0.push(Run {
                    first: part.first,
                    count: part.count,
                    record: header.first..header.first + header.count,
                    lengths: Lengths::from_packed(record.slice(part.lengths)),
                    place: Place(header.placement.position + part.payload.start as u64),
                    payload: record.slice(part.payload),
                    schema_version: header.schema_version,
                    at: header.placement.at,
                });
            }
            if page.full {
                break;
            }
        }
        Ok(())
    }

    fn begin_anew(&mut self) {
        self.0.clear();
    }
}

impl Collect for Together<'_> {
    fn take(
        &mut self,
        segment: &Segment,
        stream: StreamId,
        group: &[Posting],
        page: &mut Page,
    ) -> Result<(), ReadError> {
        let mut rest = group;
        while let Some(first) = rest.first().filter(|_| !page.full) {
            let near = |posting: &Posting| posting.at + u64::from(posting.len) <= first.at + WINDOW;
            let (window, others) = rest.split_at(rest.partition_point(near).max(1));
            rest = others;
            let (begin, end) = span(window);
            let mut buffer = self.buffers.take((end - begin) as usize);
            let read = segment.read_into(begin, &mut buffer[..(end - begin) as usize]);
            let added = read.map_err(ReadError::from).and_then(|()| self.add(segment, stream, window, &buffer, page));
            self.buffers.give_back(buffer);
            added?;
        }
        Ok(())
    }

    fn begin_anew(&mut self) {
        self.into.truncate(self.began);
        self.ranges.clear();
    }
}

impl Together<'_> {
    /// Adds records that `bytes` begin with.
    fn add(
        &mut self,
        segment: &Segment,
        stream: StreamId,
        window: &[Posting],
        bytes: &[u8],
        page: &mut Page,
    ) -> Result<(), ReadError> {
        let begin = window.first().map_or(0, |posting| posting.at);
        for posting in window {
            let at = (posting.at - begin) as usize;
            let record = &bytes[at..at + posting.len as usize];
            let taken = Layout::of(segment.key, record)
                .filter(|layout| is_of(layout, stream, posting))
                .and_then(|layout| page.take(&layout, record))
                .ok_or_else(|| damaged(segment, posting.at))?;
            if let Some(part) = taken {
                self.into.extend_from_slice(&record[part.payload]);
                extend(&mut self.ranges, part.first, part.count);
            }
            if page.full {
                break;
            }
        }
        Ok(())
    }
}

/// Where records that lie in order begin and end.
fn span(group: &[Posting]) -> (u64, u64) {
    let begin = group.first().map_or(0, |posting| posting.at);
    (begin, group.last().map_or(begin, |posting| posting.at + u64::from(posting.len)))
}

/// The header of the record that a posting is of; `None` where that is another one, or none.
fn header_of<'a>(segment: &Segment, stream: StreamId, posting: &Posting, record: &'a [u8]) -> Option<Header<'a>> {
    Header::parse(segment.key, record).ok().filter(|header| is_of(&header.layout(), stream, posting))
}

fn is_of(layout: &Layout, stream: StreamId, posting: &Posting) -> bool {
    (layout.stream, layout.position, layout.first) == (stream, posting.at, posting.first)
        && layout.count == u64::from(posting.count)
        && layout.payload.end == posting.len as usize
}

fn fetch_group(segment: &Segment, group: &[(usize, Range<u64>)], into: &mut [Fetched]) -> Result<(), ReadError> {
    let begin = group[0].1.start;
    let end = group.iter().map(|(_, range)| range.end).max().unwrap_or(begin);
    let bytes = Bytes::from(segment.read(begin, end)?);
    let used: u64 = group.iter().map(|(_, range)| range.end - range.start).sum();
    for (index, range) in group {
        let range = (range.start - begin) as usize..(range.end - begin) as usize;
        into[*index].message = part(&bytes, range, used * 2 < end - begin);
    }
    Ok(())
}

/// Few useful bytes are copied, lest they keep many useless ones in memory.
fn part(bytes: &Bytes, range: Range<usize>, sparse: bool) -> Bytes {
    match sparse {
        true => Bytes::copy_from_slice(&bytes[range]),
        false => bytes.slice(range),
    }
}

fn damaged(segment: &Segment, position: u64) -> ReadError {
    let damage = format!("{} at journal position {position}", segment.name());
    tracing::error!(segment.file = %segment.name(), journal.position = position,
        "a record is not where the index says: {damage}");
    ReadError::Damaged(damage)
}

/// Splits items into parts in the order of the journal, or of a cluster, that one read fetches each.
fn groups<'a, T>(items: &'a [T], range: impl Fn(&T) -> Range<u64> + 'a) -> impl Iterator<Item = &'a [T]> {
    let mut rest = items;
    std::iter::from_fn(move || {
        let first = range(rest.first()?);
        let mut end = first.end;
        let mut count = 1;
        for item in &rest[1..] {
            let next = range(item);
            // Records go on elsewhere where a cluster ends.
            let goes_back = next.start < first.start;
            if goes_back || next.start > end.saturating_add(GAP) || next.end.saturating_sub(first.start) > READ_MAX {
                break;
            }
            end = end.max(next.end);
            count += 1;
        }
        let (group, others) = rest.split_at(count);
        rest = others;
        Some(group)
    })
}

/// What a page takes of a record: positions, and where in the record their lengths and their payload lie.
struct Part {
    first: Position,
    count: u64,
    lengths: Range<usize>,
    payload: Range<usize>,
}

impl Page {
    /// What the page wants of a record, if anything; `None` where the record contradicts itself.
    fn take(&mut self, layout: &Layout, record: &[u8]) -> Option<Option<Part>> {
        let Layout { lengths: lengths_at, payload, .. } = layout.clone();
        let lengths = record.get(lengths_at.clone())?;
        let whole = layout.first..layout.first.checked_add(layout.count)?;
        let wanted = self.from.max(whole.start)..self.to.min(whole.end);
        if wanted.is_empty() {
            return Some(None);
        }
        let room = self.bytes_max - self.bytes;
        let cut = match (lengths.is_empty(), wanted == whole) {
            (true, _) => Cut::of_bytes(&whole, &wanted),
            (false, true) => Cut::whole(lengths, &whole),
            (false, false) => Cut::of_messages(lengths, &whole, &wanted, usize::MAX)?,
        };
        let cut = match cut.payload.len() <= room {
            true => cut,
            false if !self.is_empty => {
                self.full = true;
                return Some(None);
            }
            // One record that alone exceeds the page.
            false if lengths.is_empty() => Cut::of_bytes(&whole, &(wanted.start..wanted.start + room as u64)),
            false => Cut::of_messages(lengths, &whole, &wanted, room)?,
        };
        let begin = payload.start.checked_add(cut.payload.start)?;
        let end = payload.start.checked_add(cut.payload.end).filter(|end| *end <= payload.end)?;
        self.bytes = self.bytes.saturating_add(cut.payload.len()).min(self.bytes_max);
        self.full = self.bytes == self.bytes_max || (cut.end < wanted.end);
        self.is_empty = false;
        Some(Some(Part {
            first: wanted.start,
            count: cut.end - wanted.start,
            lengths: lengths_at.start + cut.lengths.start..lengths_at.start + cut.lengths.end,
            payload: begin..end,
        }))
    }
}

/// A part of a record: where its lengths and its payload lie in the record's, and the position at which it ends.
struct Cut {
    lengths: Range<usize>,
    payload: Range<usize>,
    end: Position,
}

impl Cut {
    fn whole(lengths: &[u8], whole: &Range<Position>) -> Self {
        let payload = 0..payload_len(lengths, whole.end - whole.start);
        Self { lengths: 0..lengths.len(), payload, end: whole.end }
    }

    fn of_bytes(whole: &Range<Position>, wanted: &Range<Position>) -> Self {
        let payload = (wanted.start - whole.start) as usize..(wanted.end - whole.start) as usize;
        Self { lengths: 0..0, payload, end: wanted.end }
    }

    /// The wanted messages until they would exceed `bytes_max`, at least one.
    fn of_messages(
        lengths: &[u8],
        whole: &Range<Position>,
        wanted: &Range<Position>,
        bytes_max: usize,
    ) -> Option<Self> {
        let (mut table, mut payload, mut end) = (0..0, 0..0, wanted.start);
        for (position, length) in (whole.start..wanted.end).zip(Lengths::unpack(lengths)) {
            let size = length as usize + 1;
            if position >= wanted.start {
                if position > wanted.start && payload.len() + size > bytes_max {
                    break;
                }
                end = position + 1;
            }
            table.end += packed_size(length);
            payload.end += size;
            if position < wanted.start {
                (table.start, payload.start) = (table.end, payload.end);
            }
        }
        (end > wanted.start).then_some(Self { lengths: table, payload, end })
    }
}

/// Bytes that a length takes in the table.
fn packed_size(length: u32) -> usize {
    (32 - (length | 1).leading_zeros() as usize).div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_cut_of_messages_is_those_messages(
            sizes in proptest::collection::vec(0u32..40_000, 1..20), a in 0usize..20, b in 0usize..20, room in 1usize..90_000,
        ) {
            let (from, to) = (a.min(b) % sizes.len(), (a.max(b) % sizes.len()) + 1);
            prop_assume!(from < to);
            let lengths: Lengths = sizes.iter().copied().collect();
            let whole = 100..100 + sizes.len() as u64;
            let cut = Cut::of_messages(lengths.packed(), &whole, &(100 + from as u64..100 + to as u64), room).unwrap();
            let count = (cut.end - 100) as usize - from;
            let taken = Lengths::from_packed(lengths.packed().slice(cut.lengths.clone()));
            prop_assert_eq!(taken.iter().collect::<Vec<_>>(), &sizes[from..from + count]);
            prop_assert_eq!(cut.payload.clone(), lengths.span(from as u64, (from + count) as u64));
            prop_assert!(count == 1 || cut.payload.len() <= room);
            let next_fits = sizes[..to].get(from + count).is_some_and(|size| cut.payload.len() + (*size as usize) < room);
            prop_assert!(!next_fits);
        }
    }
}
