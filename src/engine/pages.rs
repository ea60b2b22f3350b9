//! Pages of logs that are read from their beginnings: read once for all readers that are near each other, and ahead.
//!
//! Readers of a whole log ask for the same pages one after another, and each asks for the next one as soon as it has
//! sent the last. So a full page is kept for a moment, and the one behind it is read while it is being sent. What lies
//! in a page may have been let go since it was read: who gets one from here asks afterwards whether it may still be told.
//! Its invariant: [`PAGES_MAX`] bounds what is kept, whoever reads what, and a page that nobody asks for is given back.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::model::{Position, StreamId};

use super::handle::PublishedStream;
use super::{Engine, Fault};

/// Pages that are kept, of [`crate::model::Limits::page_bytes_max`] each.
const PAGES_MAX: usize = 20;
/// So many of them that nobody has asked for yet. Behind that nobody reads ahead.
const AHEAD_MAX: usize = 6;
/// Pages that are read ahead of one reader, one after another.
const AHEAD_EACH: usize = 2;

/// Full pages of any streams.
#[derive(Debug, Default)]
pub(super) struct Pages {
    /// The one used last at the end.
    slots: Mutex<Vec<Slot>>,
    spare: Spare,
}

/// Buffers of pages that nobody has any more, for the next ones: given back to the allocator they would stay in memory
/// for a while, and be taken from it anew for each page.
#[derive(Clone, Debug, Default)]
pub(super) struct Spare(Arc<Mutex<Vec<Vec<u8>>>>);

/// Most buffers that wait for a page.
const SPARE_MAX: usize = 4;

impl Spare {
    /// An empty buffer with room for a full page.
    pub fn take(&self, room: usize) -> Vec<u8> {
        let mut buffer = self.0.lock().pop().unwrap_or_default();
        buffer.clear();
        buffer.reserve(room);
        buffer
    }

    /// The page in a buffer, which comes back here with the last who holds it, if it has not grown beyond `room`.
    pub fn lend(&self, page: Vec<u8>, room: usize) -> Bytes {
        match page.capacity() <= room * 2 {
            true => Bytes::from_owner(Lent { page, spare: self.clone() }),
            false => page.into(),
        }
    }
}

struct Lent {
    page: Vec<u8>,
    spare: Spare,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.page
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut kept = self.spare.0.lock();
        if kept.len() < SPARE_MAX {
            kept.push(std::mem::take(&mut self.page));
        }
    }
}

/// How long a page is kept for readers who were given the one before it.
const FOLLOWING: Duration = Duration::from_millis(20);
/// How long whoever is ahead of them waits at a time, and how often.
const WAIT: Duration = Duration::from_millis(1);
const WAITS_MAX: usize = 20;

/// What lies in a stream from a position on.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    /// As [`super::RawPage::payload`].
    pub payload: Bytes,
    pub next: Position,
    pub ranges: Vec<Range<Position>>,
}

/// A page, once it was read: others wait for who reads it.
type Cell = Arc<OnceCell<Stored>>;

#[derive(Debug)]
struct Slot {
    stream: StreamId,
    from: Position,
    page: Cell,
    /// How many have asked for it; none where it was only read ahead.
    asked: u32,
    /// How many were given the page before it, and so are to come.
    expected: u32,
    used: Instant,
    /// Nobody has used it since the last sweep.
    idle: bool,
}

impl Slot {
    fn new(stream: StreamId, from: Position) -> Self {
        let (page, used) = (Cell::default(), Instant::now());
        Self { stream, from, page, asked: 0, expected: 0, used, idle: false }
    }

    fn is(&self, stream: StreamId, from: Position) -> bool {
        (self.stream, self.from) == (stream, from)
    }

    /// Others are right behind who want it.
    fn is_wanted(&self) -> bool {
        self.asked < self.expected && self.used.elapsed() < FOLLOWING
    }
}

impl Pages {
    /// For a page that is wanted now. `None` where whoever asks is to wait for those behind, which nobody has to who is
    /// not `patient`.
    fn ask(&self, stream: StreamId, from: Position, patient: bool) -> Option<Cell> {
        let mut slots = self.slots.lock();
        let mut slot = match slots.iter().position(|slot| slot.is(stream, from)) {
            Some(at) => slots.remove(at),
            None if make_room(&mut slots) => Slot::new(stream, from),
            None => {
                let behind = slots.iter().filter(|slot| slot.stream == stream && slot.is_wanted()).count();
                let leads = behind * 2 >= PAGES_MAX;
                return (!leads || !patient).then(Cell::default);
            }
        };
        slot.asked += 1;
        (slot.used, slot.idle) = (Instant::now(), false);
        let page = slot.page.clone();
        slots.push(slot);
        Some(page)
    }

    /// The first page from `from` on that will be wanted soon and is not being read, if any; where it begins. A reader is
    /// expected there next, or somebody reads ahead of it.
    fn ask_ahead(&self, stream: StreamId, mut from: Position, reader: bool) -> Option<(Position, Cell)> {
        let mut slots = self.slots.lock();
        let mut expected = u32::from(reader);
        for _ in 0..AHEAD_EACH {
            let Some(known) = slots.iter_mut().find(|slot| slot.is(stream, from)) else {
                let ahead = slots.iter().filter(|slot| slot.asked == 0).count();
                if ahead >= AHEAD_MAX || !make_room(&mut slots) {
                    return None;
                }
                let slot = Slot { expected, ..Slot::new(stream, from) };
                let page = slot.page.clone();
                slots.push(slot);
                return Some((from, page));
            };
            known.expected += std::mem::take(&mut expected);
            // Where it is being read, whoever does that goes on.
            from = known.page.get()?.next;
        }
        None
    }

    fn forget(&self, stream: StreamId, from: Position) {
        self.slots.lock().retain(|slot| !slot.is(stream, from));
    }

    pub fn spare(&self) -> Spare {
        self.spare.clone()
    }

    /// Gives back what was not used since the last time.
    pub fn sweep(&self) {
        // One at a time: where pages are read, others come.
        drop(self.spare.0.lock().pop());
        self.slots.lock().retain_mut(|slot| !std::mem::replace(&mut slot.idle, true));
    }
}

/// Lets go of a page that nobody is to come for, used the longest ago, where there are as many as may be.
fn make_room(slots: &mut Vec<Slot>) -> bool {
    if slots.len() < PAGES_MAX {
        return true;
    }
    let oldest = slots.iter().position(|slot| slot.asked > 0 && !slot.is_wanted());
    oldest.map(|at| slots.remove(at)).is_some()
}

impl Engine {
    /// One page from `from`, which lies below the tail.
    pub(super) async fn stored_page(&self, stream: &PublishedStream, from: Position) -> Result<Stored, Fault> {
        if self.page_estimate(stream, from) < self.limits().page_bytes_max as u64 {
            return self.read_page(stream, from).await;
        }
        let cell = self.page_cell(stream, from).await;
        let page = self.fill(&cell, stream, from).await?;
        if page.next > stream.tail {
            // Somebody read it who has seen more of the stream.
            return self.read_page(stream, from).await;
        }
        if page.next < stream.tail
            && let Some(ahead) = self.pages.ask_ahead(stream.id, page.next, true)
        {
            tokio::spawn(self.clone().read_ahead(stream.clone(), page.next, ahead));
        }
        Ok(page)
    }

    /// Who is ahead of many others waits for them a little: apart, they would read every page once each.
    async fn page_cell(&self, stream: &PublishedStream, from: Position) -> Cell {
        for _ in 0..WAITS_MAX {
            match self.pages.ask(stream.id, from, true) {
                Some(found) => return found,
                None => tokio::time::sleep(WAIT).await,
            }
        }
        self.pages.ask(stream.id, from, false).unwrap_or_default()
    }

    /// Reads pages that a reader will want who is at `from` next. Whoever wants one is told what fails.
    async fn read_ahead(self, stream: PublishedStream, from: Position, first: (Position, Cell)) {
        let mut ahead = Some(first);
        while let Some((at, cell)) = ahead.take() {
            if at < stream.tail && self.fill(&cell, &stream, at).await.is_ok_and(|page| page.next < stream.tail) {
                ahead = self.pages.ask_ahead(stream.id, from, false);
            }
        }
    }

    async fn fill(&self, cell: &Cell, stream: &PublishedStream, from: Position) -> Result<Stored, Fault> {
        let page = cell.get_or_try_init(|| self.read_page(stream, from)).await?;
        // More may fit once more is there; and one message may be as large as many pages.
        if page.next == stream.tail || page.payload.len() > 2 * self.limits().page_bytes_max {
            self.pages.forget(stream.id, from);
        }
        Ok(page.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: StreamId = StreamId(1);

    fn kept(pages: &Pages) -> Vec<Position> {
        pages.slots.lock().iter().map(|slot| slot.from).collect()
    }

    fn ask(pages: &Pages, stream: StreamId, from: Position) -> Cell {
        pages.ask(stream, from, true).unwrap()
    }

    fn ahead(pages: &Pages, from: Position) -> Option<Position> {
        pages.ask_ahead(STREAM, from, false).map(|(at, _)| at)
    }

    fn stored(next: Position) -> Stored {
        Stored { payload: Bytes::new(), next, ranges: Vec::new() }
    }

    #[test]
    fn readers_of_one_page_share_it_and_those_of_others_do_not() {
        let pages = Pages::default();
        let page = ask(&pages, STREAM, 7);
        let same = ask(&pages, STREAM, 7);
        assert!(Arc::ptr_eq(&page, &same));
        assert!(!Arc::ptr_eq(&page, &ask(&pages, STREAM, 8)) && !Arc::ptr_eq(&page, &ask(&pages, StreamId(2), 7)));
        let (_, ahead) = pages.ask_ahead(STREAM, 9, true).unwrap();
        let asked = ask(&pages, STREAM, 9);
        assert!(Arc::ptr_eq(&ahead, &asked));
        pages.forget(STREAM, 7);
        assert!(!Arc::ptr_eq(&page, &ask(&pages, STREAM, 7)));
    }

    #[test]
    fn so_many_pages_are_read_ahead_and_each_once() {
        let pages = Pages::default();
        let (_, first) = pages.ask_ahead(STREAM, 10, false).unwrap();
        assert_eq!(ahead(&pages, 10), None, "it is being read");
        first.set(stored(20)).unwrap();
        let (at, second) = pages.ask_ahead(STREAM, 10, false).unwrap();
        assert_eq!(at, 20);
        second.set(stored(30)).unwrap();
        assert_eq!(ahead(&pages, 10), None, "two are enough");
        assert_eq!(ahead(&pages, 20), Some(30));
    }

    #[test]
    fn no_more_is_kept_than_may_be_and_what_was_read_ahead_waits_for_its_reader() {
        let pages = Pages::default();
        let read_ahead = (100..).map_while(|from| ahead(&pages, from)).count();
        assert_eq!(read_ahead, AHEAD_MAX);
        for from in 0..50 {
            ask(&pages, STREAM, from);
        }
        assert_eq!(kept(&pages).len(), PAGES_MAX);
        assert!((100..100 + AHEAD_MAX as u64).all(|from| kept(&pages).contains(&from)));
        assert_eq!(kept(&pages).last(), Some(&49));
        // Where nobody comes for it, it goes with all else.
        pages.sweep();
        ask(&pages, STREAM, 49);
        pages.sweep();
        assert_eq!(kept(&pages), [49]);
        pages.sweep();
        assert!(kept(&pages).is_empty() && ahead(&pages, 100).is_some());
    }

    #[test]
    fn buffers_are_used_again_and_go_where_nobody_reads() {
        let spare = Spare::default();
        let mut page = spare.take(100);
        page.extend_from_slice(b"page");
        let at = page.as_ptr();
        let page = spare.lend(page, 100);
        let part = page.slice(1..3);
        drop(page);
        assert!(spare.0.lock().is_empty() && part == "ag"[..]);
        drop(part);
        let again = spare.take(100);
        assert!(again.as_ptr() == at && again.is_empty());
        drop(spare.lend(vec![0; 500], 100));
        assert!(spare.0.lock().is_empty(), "it is larger than a page");
        let pages = Pages::default();
        drop([(); 9].map(|()| pages.spare().lend(Vec::with_capacity(100), 100)));
        assert_eq!(pages.spare.0.lock().len(), SPARE_MAX);
        (0..SPARE_MAX).for_each(|_| pages.sweep());
        assert!(pages.spare.0.lock().is_empty());
    }

    #[test]
    fn who_is_far_ahead_of_others_waits_and_others_do_not() {
        let pages = Pages::default();
        // Two were given each page but the last, and one has come for the next.
        for from in 0..PAGES_MAX as u64 {
            for _ in 0..2 {
                if let Some((_, cell)) = pages.ask_ahead(STREAM, from, true) {
                    cell.set(stored(from + 1)).unwrap();
                }
            }
            ask(&pages, STREAM, from);
        }
        assert!(pages.ask(STREAM, 99, true).is_none() && ahead(&pages, 99).is_none());
        assert!(pages.ask(STREAM, 99, false).is_some() && pages.ask(StreamId(2), 0, true).is_some());
        // The second one comes, and what it leaves behind makes room.
        ask(&pages, STREAM, 0);
        ask(&pages, STREAM, 99);
        assert!(!kept(&pages).contains(&0) && kept(&pages).contains(&99));
    }
}
