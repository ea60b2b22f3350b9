//! Pages of logs that are read from their beginnings: read once for all readers that are near each other, and ahead.
//!
//! Readers of a whole log ask for the same pages one after another, and each asks for the next one as soon as it has
//! sent the last. So a full page is kept for a moment, and the one behind it is read while it is being sent. What lies
//! in a page never changes, so nothing is to be kept in step; who may see it was decided before it is asked for here. Its
//! invariant: [`PAGES_MAX`] bounds what is kept, whoever reads what, and a page that nobody asks for is given back.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::model::{Position, StreamId};

use super::handle::PublishedStream;
use super::{Engine, Fault};

/// Pages that are kept, of [`crate::model::Limits::page_bytes_max`] each.
const PAGES_MAX: usize = 12;
/// So many of them that nobody has asked for yet. Behind that nobody reads ahead.
const AHEAD_MAX: usize = 6;

/// Full pages of any streams, the one used last at the end.
#[derive(Debug, Default)]
pub(super) struct Pages(Mutex<Vec<Slot>>);

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
    /// Somebody wanted it; until then it was only read ahead.
    asked: bool,
    /// Nobody has used it since the last sweep.
    idle: bool,
}

impl Pages {
    /// For a page that is wanted now.
    fn ask(&self, stream: StreamId, from: Position) -> Cell {
        let mut slots = self.0.lock();
        let mut slot = match slots.iter().position(|slot| (slot.stream, slot.from) == (stream, from)) {
            Some(at) => slots.remove(at),
            None => Slot { stream, from, page: Cell::default(), asked: true, idle: false },
        };
        (slot.asked, slot.idle) = (true, false);
        let page = slot.page.clone();
        if make_room(&mut slots) {
            slots.push(slot);
        }
        page
    }

    /// For a page that will be wanted soon; `None` where it is here, or enough was read ahead.
    fn ask_ahead(&self, stream: StreamId, from: Position) -> Option<Cell> {
        let mut slots = self.0.lock();
        let is_here = slots.iter().any(|slot| (slot.stream, slot.from) == (stream, from));
        let ahead = slots.iter().filter(|slot| !slot.asked).count();
        if is_here || ahead >= AHEAD_MAX || !make_room(&mut slots) {
            return None;
        }
        let page = Cell::default();
        slots.push(Slot { stream, from, page: page.clone(), asked: false, idle: false });
        Some(page)
    }

    fn forget(&self, stream: StreamId, from: Position) {
        self.0.lock().retain(|slot| (slot.stream, slot.from) != (stream, from));
    }

    /// Gives back what was not used since the last time.
    pub fn sweep(&self) {
        self.0.lock().retain_mut(|slot| !std::mem::replace(&mut slot.idle, true));
    }
}

/// Lets go of a page that was asked for, the longest ago, where there are as many as may be.
fn make_room(slots: &mut Vec<Slot>) -> bool {
    if slots.len() < PAGES_MAX {
        return true;
    }
    let oldest = slots.iter().position(|slot| slot.asked);
    oldest.map(|at| slots.remove(at)).is_some()
}

impl Engine {
    /// One page from `from`, which lies below the tail.
    pub(super) async fn stored_page(&self, stream: &PublishedStream, from: Position) -> Result<Stored, Fault> {
        if self.page_estimate(stream, from) < self.limits().page_bytes_max as u64 {
            return self.read_page(stream, from).await;
        }
        let page = self.fill(&self.pages.ask(stream.id, from), stream, from).await?;
        if page.next > stream.tail {
            // Somebody read it who has seen more of the stream.
            return self.read_page(stream, from).await;
        }
        if page.next < stream.tail
            && let Some(ahead) = self.pages.ask_ahead(stream.id, page.next)
        {
            let (engine, stream) = (self.clone(), stream.clone());
            // Whoever wants the page is told what fails.
            tokio::spawn(async move { engine.fill(&ahead, &stream, page.next).await.map(|_| ()) });
        }
        Ok(page)
    }

    async fn fill(&self, cell: &Cell, stream: &PublishedStream, from: Position) -> Result<Stored, Fault> {
        let page = cell.get_or_try_init(|| self.read_page(stream, from)).await?;
        if page.next == stream.tail {
            // More may fit once more is there.
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
        pages.0.lock().iter().map(|slot| slot.from).collect()
    }

    #[test]
    fn readers_of_one_page_share_it_and_those_of_others_do_not() {
        let pages = Pages::default();
        let page = pages.ask(STREAM, 7);
        assert!(Arc::ptr_eq(&page, &pages.ask(STREAM, 7)));
        assert!(!Arc::ptr_eq(&page, &pages.ask(STREAM, 8)) && !Arc::ptr_eq(&page, &pages.ask(StreamId(2), 7)));
        let ahead = pages.ask_ahead(STREAM, 9).unwrap();
        assert!(pages.ask_ahead(STREAM, 9).is_none() && pages.ask_ahead(STREAM, 7).is_none());
        assert!(Arc::ptr_eq(&ahead, &pages.ask(STREAM, 9)));
        pages.forget(STREAM, 7);
        assert!(!Arc::ptr_eq(&page, &pages.ask(STREAM, 7)));
    }

    #[test]
    fn no_more_is_kept_than_may_be_and_what_was_read_ahead_waits_for_its_reader() {
        let pages = Pages::default();
        let ahead = (100..).map_while(|from| pages.ask_ahead(STREAM, from)).count();
        assert_eq!(ahead, AHEAD_MAX);
        for from in 0..50 {
            pages.ask(STREAM, from);
        }
        assert_eq!(kept(&pages).len(), PAGES_MAX);
        assert!((100..100 + AHEAD_MAX as u64).all(|from| kept(&pages).contains(&from)));
        assert_eq!(kept(&pages).last(), Some(&49));
        // Where nobody comes for it, it goes with all else.
        pages.sweep();
        pages.ask(STREAM, 49);
        pages.sweep();
        assert_eq!(kept(&pages), [49]);
        pages.sweep();
        assert!(kept(&pages).is_empty() && pages.ask_ahead(STREAM, 100).is_some());
    }
}
