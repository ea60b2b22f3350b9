//! The folded read, a page at a time.
//!
//! A page ends where its bounds say, at the latest after some thousand slots, because a stream's lock is held
//! meanwhile. It ends between batches, unless one batch alone exceeds it. Readers owe the caller only their
//! position: whatever happens between two pages, an entity that changes moves behind the position and is met again.
//! Invariant: pages that follow one another up to a mark, folded, equal the log folded up to that mark.

use super::Fold;
use super::entities::EntityId;
use super::filter::{Filter, Resolved};

/// What a reader asks for.
#[derive(Clone, Copy, Debug)]
pub struct Walk<'a> {
    /// Where to go on: [`WalkPage::next`] of the page before, or any position the reader has folded everything up to.
    pub from: u64,
    /// The durable tail. It may have grown since the page before; it is at least [`Fold::squeezed_below`] or pinned.
    pub mark: u64,
    /// The mark at which the reader began from the beginning, until its walk is done; 0 for every other reader.
    /// It was not told of what had been deleted by then, so it need not be told of the deleting.
    pub skip_tombstones_below: u64,
    pub filter: &'a Filter,
}

/// How much a page may hold.
#[derive(Clone, Copy, Debug)]
pub struct WalkLimit {
    /// Most items; a batch that alone has more is split. At least one is given.
    pub items: usize,
    /// Most bytes of items, likewise.
    pub bytes: u64,
    /// Slots looked at, after which the page ends before the next batch.
    pub visits: usize,
}

impl WalkLimit {
    /// How many slots may be looked at while the stream's lock is held.
    pub const VISITS: usize = 4096;

    pub const fn new(items: usize, bytes: u64) -> Self {
        Self { items, bytes, visits: Self::VISITS }
    }
}

/// One change of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkItem {
    pub position: u64,
    /// First position of its batch.
    pub batch: u64,
    /// Where its bytes lie.
    pub place: u64,
    /// How many bytes they are.
    pub length: u32,
    pub deletes: bool,
    /// Names its type and key: [`Fold::entity_type`], [`Fold::key`].
    pub entity: EntityId,
}

/// Part of a walk, in position order. It may be empty without being the last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WalkPage {
    pub items: Vec<WalkItem>,
    /// Where the walk goes on; the mark once it is done.
    pub next: u64,
    /// Whether the reader, after this page, has everything up to the mark. Only then may it be told of a mark.
    pub done: bool,
}

impl Fold {
    /// For every entity that passes the filter and changed at `from` or after it, its newest change visible at the
    /// mark, as far as the limit goes.
    pub fn walk(&self, walk: &Walk<'_>, limit: WalkLimit) -> WalkPage {
        let filter = Resolved::new(walk.filter, &self.entities);
        if walk.from >= walk.mark || filter.is_hopeless() {
            return WalkPage { items: Vec::new(), next: walk.from.max(walk.mark), done: true };
        }
        if let Some(slots) = self.slots_of_key(walk, limit) {
            return self.page(slots.into_iter(), walk, &filter, limit);
        }
        let slots = self.slots.first_at(walk.from)..self.slots.first_at(walk.mark);
        self.page(slots, walk, &filter, limit)
    }

    /// For a filter with an exact key: the few slots that it can mean. `None` where looking them up is no shortcut.
    fn slots_of_key(&self, walk: &Walk<'_>, limit: WalkLimit) -> Option<Vec<u32>> {
        let key = walk.filter.key.as_ref()?;
        let slot_of = |name: &str| {
            let entity = self.entities.find(self.entities.kind(name)?, key)?;
            let slot = self.slots.visible(self.entities.newest(entity), walk.mark)?;
            (self.slots.get(slot).position >= walk.from).then_some(slot)
        };
        let mut slots: Vec<u32> = match &walk.filter.types {
            Some(types) if types.len() <= limit.visits => types.iter().filter_map(|name| slot_of(name)).collect(),
            None if self.entities.collections().len() <= limit.visits => {
                self.entities.collections().filter_map(|(name, _)| slot_of(name)).collect()
            }
            _ => return None,
        };
        slots.sort_unstable();
        slots.dedup(); // a filter may name a type twice
        Some(slots)
    }

    /// Takes what the reader is to be told from `slots`, which are in order and cover the walk up to its mark.
    fn page(
        &self,
        slots: impl Iterator<Item = u32>,
        walk: &Walk<'_>,
        filter: &Resolved,
        limit: WalkLimit,
    ) -> WalkPage {
        let mut items: Vec<WalkItem> = Vec::new();
        let mut bytes = 0;
        for (visits, index) in slots.enumerate() {
            let slot = self.slots.get(index);
            let between_batches = items.last().is_none_or(|last| last.batch != slot.batch());
            if visits >= limit.visits.max(1) && between_batches {
                return WalkPage { items, next: slot.position, done: false };
            }
            let skipped = slot.deletes() && slot.position < walk.skip_tombstones_below;
            if skipped || !self.slots.is_visible(slot, walk.mark) || !filter.accepts(slot) {
                continue;
            }
            // A mark is at most what has been placed. Were it not, waiting is right and wrong bytes are not.
            let full = items.len() >= limit.items || bytes + u64::from(slot.length) > limit.bytes;
            if !slot.is_placed() || (full && !items.is_empty()) {
                let next = end_between_batches(&mut items, slot.batch()).unwrap_or(slot.position);
                return WalkPage { items, next, done: false };
            }
            bytes += u64::from(slot.length);
            items.push(WalkItem {
                position: slot.position,
                batch: slot.batch(),
                place: slot.place,
                length: slot.length,
                deletes: slot.deletes(),
                entity: slot.entity,
            });
        }
        WalkPage { items, next: walk.mark, done: true }
    }
}

/// Takes back the items of `batch`, which did not fit, and says where it begins; not if that would leave nothing.
fn end_between_batches(items: &mut Vec<WalkItem>, batch: u64) -> Option<u64> {
    let before = items.partition_point(|item| item.batch < batch);
    (before > 0).then(|| {
        items.truncate(before);
        batch
    })
}
