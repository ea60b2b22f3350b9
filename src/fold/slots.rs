//! One slot per change that some reader may still have to be told of, in position order.
//!
//! The slots of an entity are chained from oldest to newest, so that both "what was it at this mark" and "what
//! replaced it" are one step. Invariant: positions grow along the list and along every chain.

use super::chunked::Chunked;
use super::entities::{EntityId, TypeId};

/// No slot: the end of a chain. Slot indexes are below it.
pub(super) const NONE: u32 = u32::MAX;

/// One change. 40 bytes: there is one per live entity of every stream in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub position: u64,
    /// Where its bytes lie; how far into its batch's bytes, as long as that is not known.
    pub place: u64,
    pub length: u32,
    /// How far before `position` its batch began.
    batch_back: u32,
    pub entity: EntityId,
    /// The entity's change before this one, if it is still kept.
    pub older: u32,
    /// The change that replaced this one.
    pub newer: u32,
    kind: u32,
}

const DELETES: u32 = 1 << 31;
const UNPLACED: u32 = 1 << 30;

impl Slot {
    #[inline]
    pub fn new(position: u64, batch: u64, entity: EntityId, kind: TypeId) -> Self {
        let batch_back = u32::try_from(position.saturating_sub(batch)).unwrap_or(u32::MAX);
        Self { position, place: 0, length: 0, batch_back, entity, older: NONE, newer: NONE, kind: kind.0 }
    }

    #[inline]
    pub fn batch(&self) -> u64 {
        self.position - u64::from(self.batch_back)
    }

    #[inline]
    pub fn kind(&self) -> TypeId {
        TypeId(self.kind & !(DELETES | UNPLACED))
    }

    #[inline]
    pub fn deletes(&self) -> bool {
        self.kind & DELETES != 0
    }

    pub fn set_deletes(&mut self) {
        self.kind |= DELETES;
    }

    #[inline]
    pub fn is_placed(&self) -> bool {
        self.kind & UNPLACED == 0
    }

    #[inline]
    pub fn set_unplaced(&mut self, into_batch: u64) {
        self.kind |= UNPLACED;
        self.place = into_batch;
    }

    #[inline]
    fn set_placed(&mut self, base: u64) {
        self.kind &= !UNPLACED;
        self.place += base;
    }
}

#[derive(Debug, Default)]
pub(super) struct Slots {
    list: Chunked<Slot>,
    /// Slots that have been replaced.
    superseded: usize,
}

impl Slots {
    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn superseded(&self) -> usize {
        self.superseded
    }

    #[inline]
    pub fn get(&self, index: u32) -> &Slot {
        self.list.get(index)
    }

    /// Position of the newest change, which is always kept.
    #[inline]
    pub fn newest_position(&self) -> Option<u64> {
        self.len().checked_sub(1).map(|last| self.list.get(last as u32).position)
    }

    /// Adds the newest change, which replaces `slot.older` if that is a slot.
    #[inline]
    pub fn push(&mut self, slot: Slot) {
        if slot.older != NONE {
            self.list.get_mut(slot.older).newer = self.list.len() as u32;
            self.superseded += 1;
        }
        self.list.push(slot);
    }

    /// Index of the first slot at `position` or after it.
    pub fn first_at(&self, position: u64) -> u32 {
        self.list.partition_point(|slot| slot.position < position)
    }

    /// Whether a reader at `mark` sees that slot.
    pub fn is_visible(&self, slot: &Slot, mark: u64) -> bool {
        slot.position < mark && (slot.newer == NONE || self.list.get(slot.newer).position >= mark)
    }

    /// The change of an entity that a reader at `mark` sees, given the entity's newest one.
    pub fn visible(&self, newest: u32, mark: u64) -> Option<u32> {
        let mut index = newest;
        while index != NONE {
            let slot = self.list.get(index);
            if slot.position < mark {
                return Some(index);
            }
            index = slot.older;
        }
        None
    }

    /// Says where the bytes of a batch begin, for those of its slots that are still there and do not know yet.
    pub fn place_batch(&mut self, batch: u64, base: u64) {
        for index in self.first_at(batch)..self.len() as u32 {
            let slot = self.list.get_mut(index);
            if slot.batch() != batch {
                break;
            }
            if !slot.is_placed() {
                slot.set_placed(base);
            }
        }
    }

    /// Says where the bytes of a placed change lie now.
    pub fn move_place(&mut self, position: u64, place: u64) {
        let index = self.first_at(position);
        if (index as usize) < self.len() {
            let slot = self.list.get_mut(index);
            if slot.position == position && slot.is_placed() {
                slot.place = place;
            }
        }
    }

    /// Drops what was replaced below `horizon`, and tells where the newest slot of each entity went.
    ///
    /// What is dropped is the old end of a chain: each slot is replaced later than the one before it.
    pub fn squeeze(&mut self, horizon: u64, mut newest_moved: impl FnMut(EntityId, u32)) {
        let mut kept = 0;
        for index in 0..self.len() as u32 {
            let slot = *self.list.get(index);
            if slot.newer != NONE && self.list.get(slot.newer).position < horizon {
                self.list.get_mut(slot.newer).older = NONE;
                self.superseded -= 1;
                continue;
            }
            // The older one has already moved, the newer one has not yet.
            if slot.older != NONE {
                self.list.get_mut(slot.older).newer = kept;
            }
            match slot.newer {
                NONE => newest_moved(slot.entity, kept),
                newer => self.list.get_mut(newer).older = kept,
            }
            *self.list.get_mut(kept) = slot;
            kept += 1;
        }
        self.list.truncate(kept as usize);
    }

    pub fn memory_bytes(&self) -> usize {
        self.list.memory_bytes()
    }
}
