//! The newest messages of a stream that somebody reads live, kept in memory: whoever follows the tail reads them here.
//!
//! Without it every reader of a stream would read the same bytes from the disk's cache, and take the same records apart.
//! Filled by the committer once a record is durable, so nothing is here that a crash undoes; emptied when the last live
//! reader goes. Its invariant: what is here is one unbroken part of the stream, up to what was published last.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::model::{Position, StreamId};
use crate::stream::{Body, Record};

use super::read::joined;

/// Most bytes kept of one stream.
const BYTES_MAX: usize = 64 << 10;
/// Payloads up to this many bytes are copied when they are kept.
const COPIED_BELOW: usize = 4 << 10;
/// Pages that were put together and are kept: readers that are not quite level ask for different ones.
const JOINED_MAX: usize = 4;
/// What keeping a record costs beside its bytes.
const RECORD_BYTES: usize = 64;

/// The newest records of one stream.
#[derive(Debug)]
pub(super) struct Recent {
    stream: StreamId,
    records: VecDeque<Kept>,
    bytes: usize,
    /// What was put together last: many readers ask for the same.
    joined: VecDeque<Joined>,
}

/// A page of the newest messages, which readers share.
#[derive(Clone, Debug)]
pub(super) struct Joined {
    from: Position,
    pub next: Position,
    /// As [`super::RawPage::payload`].
    pub payload: Bytes,
    /// What the edge makes of it, once for all of them.
    pub event: Arc<OnceLock<Bytes>>,
}

#[derive(Debug)]
struct Kept {
    first: Position,
    count: u64,
    payload: Bytes,
}

impl Kept {
    fn end(&self) -> Position {
        self.first + self.count
    }

    fn bytes(&self) -> usize {
        self.payload.len() + RECORD_BYTES
    }
}

impl Recent {
    pub fn of(stream: StreamId) -> Self {
        Self { stream, records: VecDeque::new(), bytes: 0, joined: VecDeque::new() }
    }

    /// Takes in a record that has just become durable. What does not follow what is here takes its place.
    pub fn push(&mut self, record: &Record) {
        let Body::Append { payload, .. } = &record.body else { return };
        if record.count == 0 {
            return;
        }
        if self.stream != record.stream || self.records.back().is_some_and(|last| last.end() != record.first) {
            *self = Self::of(record.stream);
        }
        // Few bytes may be part of a buffer that holds many.
        let payload = match payload.len() {
            ..COPIED_BELOW => Bytes::copy_from_slice(payload),
            _ => payload.clone(),
        };
        let kept = Kept { first: record.first, count: record.count, payload };
        self.bytes += kept.bytes();
        self.records.push_back(kept);
        while self.bytes > BYTES_MAX
            && let Some(oldest) = self.records.pop_front()
        {
            self.bytes -= oldest.bytes();
        }
    }

    /// The payloads from `from`, where a record begins, up to `to` and of at most `bytes_max` bytes, put together; and where
    /// they end. `None` where that is not here.
    pub fn page(
        &mut self,
        stream: StreamId,
        from: Position,
        to: Position,
        bytes_max: usize,
        json: bool,
    ) -> Option<Joined> {
        if self.stream != stream {
            return None;
        }
        let begin = self.records.binary_search_by_key(&from, |kept| kept.first).ok()?;
        let mut bytes = 0;
        let wanted = self.records.range(begin..).take_while(|kept| {
            bytes += kept.payload.len();
            kept.end() <= to && bytes <= bytes_max
        });
        let count = wanted.count();
        let next = self.records.range(begin..begin + count).last()?.end();
        if let Some(known) = self.joined.iter().find(|known| (known.from, known.next) == (from, next)) {
            return Some(known.clone());
        }
        let payload = joined(self.records.range(begin..begin + count).map(|kept| &kept.payload), json);
        let page = Joined { from, next, payload, event: Arc::default() };
        if self.joined.len() == JOINED_MAX {
            self.joined.pop_front();
        }
        self.joined.push_back(page.clone());
        Some(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;
    use crate::stream::Lengths;

    fn record(stream: u64, first: u64, texts: &[&str]) -> Record {
        let payload: String = texts.iter().map(|text| format!("{text},")).collect();
        let lengths: Lengths = texts.iter().map(|text| text.len() as u32).collect();
        let body = Body::Append { lengths, payload: payload.into() };
        let record = Record::plain(StreamId(stream), first, Timestamp::from_millis(0));
        Record { count: texts.len() as u64, body, ..record }
    }

    fn page(recent: &mut Recent, from: u64, to: u64, bytes_max: usize) -> Option<(String, u64)> {
        let Joined { payload, next, .. } = recent.page(StreamId(1), from, to, bytes_max, true)?;
        Some((String::from_utf8(payload.to_vec()).unwrap(), next))
    }

    #[test]
    fn a_page_is_whole_records_up_to_where_the_reader_knows_the_tail() {
        let mut recent = Recent::of(StreamId(1));
        recent.push(&record(1, 10, &["a", "b"]));
        recent.push(&record(1, 12, &["c"]));
        recent.push(&record(1, 13, &["d"]));
        assert_eq!(page(&mut recent, 10, 14, 100), Some(("[a,b,c,d]".into(), 14)));
        assert_eq!(page(&mut recent, 12, 14, 100), Some(("[c,d]".into(), 14)));
        // Published after the reader looked.
        assert_eq!(page(&mut recent, 10, 13, 100), Some(("[a,b,c]".into(), 13)));
        assert_eq!(page(&mut recent, 10, 14, 7), Some(("[a,b,c]".into(), 13)));
        assert_eq!(page(&mut recent, 10, 14, 6), Some(("[a,b,c]".into(), 13)));
        assert_eq!(page(&mut recent, 13, 14, 100), Some(("[d]".into(), 14)));
        // Within a record, before what is kept, at the tail, and where one record alone is too large.
        for (from, bytes_max) in [(11, 100), (9, 100), (14, 100), (10, 3)] {
            assert_eq!(page(&mut recent, from, 14, bytes_max), None, "{from}");
        }
        assert!(recent.page(StreamId(2), 10, 14, 100, true).is_none());
    }

    #[test]
    fn only_the_newest_are_kept_and_nothing_behind_a_gap() {
        let mut recent = Recent::of(StreamId(1));
        let text = "x".repeat(1_000);
        for first in 0..200 {
            recent.push(&record(1, first, &[text.as_str()]));
        }
        assert!(recent.bytes <= BYTES_MAX && recent.records.len() > 50, "{}", recent.bytes);
        assert_eq!(recent.bytes, recent.records.iter().map(Kept::bytes).sum::<usize>());
        assert!(page(&mut recent, 0, 200, 1 << 20).is_none() && page(&mut recent, 199, 200, 1 << 20).is_some());
        recent.push(&record(1, 300, &["z"]));
        assert!(page(&mut recent, 199, 301, 1 << 20).is_none());
        assert_eq!(page(&mut recent, 300, 301, 100), Some(("[z]".into(), 301)));
        recent.push(&record(2, 301, &["other"]));
        assert!(page(&mut recent, 300, 302, 100).is_none());
        // One that is larger than all that may be kept.
        recent.push(&record(2, 302, &["y".repeat(BYTES_MAX).as_str()]));
        assert_eq!((recent.records.len(), recent.bytes), (0, 0));
    }
}
