//! Latest value per key: the folded read of one typed stream.
//!
//! A [`Fold`] decides which changes a reader at a mark is told of, and in what order; it holds where each change's
//! bytes lie, never the bytes. What a mark is (how far the log is durable), when to squeeze and what to send are the
//! caller's. Positions count messages: a change at position `p` is visible at mark `M` if `p < M`, and is what
//! readers at `M` see of its entity unless a change below `M` has replaced it. Staged changes are here too, above
//! every mark.
//!
//! Invariant: for every mark that is pinned or not squeezed, answers are those of the log folded up to that mark.

mod chunked;
mod entities;
pub mod filter;
mod slots;
#[cfg(test)]
mod tests;
pub mod view;
pub mod walk;

use std::collections::BTreeMap;

pub use entities::EntityId;
pub use filter::Filter;
pub use view::View;
pub use walk::{Walk, WalkItem, WalkLimit, WalkPage};

use entities::Entities;
use slots::{NONE, Slot, Slots};

/// The folded read of one typed stream: for every entity its newest change, and older ones that some mark still sees.
///
/// About 90 bytes per live entity with keys of 16 bytes, and 40 per change that is replaced and not squeezed yet.
#[derive(Debug, Default)]
pub struct Fold {
    slots: Slots,
    entities: Entities,
    /// How many readers hold which marks.
    pins: BTreeMap<u64, u32>,
    squeezed_below: u64,
    /// How many slots the last squeezing left.
    squeezed_to: usize,
}

/// One change, as its fold needs to know it.
#[derive(Clone, Copy, Debug)]
pub struct ChangeFacts<'a> {
    pub position: u64,
    /// First position of its batch, which has less than 2^32 messages.
    pub batch: u64,
    pub entity_type: &'a str,
    pub key: &'a str,
    pub deletes: bool,
    pub placing: Placing,
    /// Bytes of the change as stored.
    pub length: u32,
    /// The value's `versionField`. A change without one leaves the version that its entity has: were a deletion to
    /// forget it, older changes would be news again.
    pub version: Option<i128>,
}

/// What is known of where a change's bytes lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placing {
    /// Its place.
    At(u64),
    /// How far into its batch's bytes; [`Fold::place_batch`] will tell where those begin.
    InBatch(u64),
}

/// The change that somebody sees of an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub position: u64,
    /// First position of its batch.
    pub batch: u64,
    /// Where its bytes lie; `None` until its batch has been placed, so never at a durable mark.
    pub place: Option<u64>,
    pub length: u32,
    pub deletes: bool,
}

/// The newest change of an entity, staged ones included: what writers decide on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latest {
    pub seen: Seen,
    pub version: Option<i128>,
}

impl Fold {
    /// Most slots: a stream with more needs 160 GiB of them.
    pub const SLOTS_MAX: usize = (1 << 32) - 1;

    /// Fewest slots worth squeezing.
    const SQUEEZE_MIN: usize = 64;

    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in the next change. Positions grow, with gaps where messages are no changes; a change that is not above
    /// the newest is known already and ignored, so that a log may be replayed over a checkpoint.
    ///
    /// # Panics
    /// Where [`Self::room`] is 0.
    pub fn apply(&mut self, change: ChangeFacts<'_>) {
        if self.slots.newest_position().is_some_and(|newest| change.position <= newest) {
            return;
        }
        assert!(self.room() > 0, "a caller asks for room before it stages");
        let index = self.slots.len() as u32;
        let kind = self.entities.kind_or_new(change.entity_type);
        let known = self.entities.find(kind, change.key);
        let older = known.map_or(NONE, |entity| self.entities.newest(entity));
        let was_live = older != NONE && !self.slots.get(older).deletes();
        let entity = known.unwrap_or_else(|| self.entities.add(kind, change.key, index));

        let mut slot = Slot::new(change.position, change.batch, entity, kind);
        (slot.older, slot.length) = (older, change.length);
        match change.placing {
            Placing::At(place) => slot.place = place,
            Placing::InBatch(into_batch) => slot.set_unplaced(into_batch),
        }
        if change.deletes {
            slot.set_deletes();
        }
        self.slots.push(slot);
        self.entities.set_newest(entity, index);
        if let Some(version) = change.version {
            self.entities.set_version(entity, version);
        }
        self.entities.count(kind, was_live, !change.deletes);
    }

    /// How many further changes can be applied.
    pub fn room(&self) -> usize {
        Self::SLOTS_MAX - self.slots.len()
    }

    /// Says where the bytes of a staged batch begin: its changes lie at `base` and what their facts said.
    ///
    /// Comes before the mark passes the batch. Placing a batch again, or one that is not there, does nothing.
    pub fn place_batch(&mut self, batch: u64, base: u64) {
        self.slots.place_batch(batch, base);
    }

    /// The bytes of a durable change lie elsewhere now. Does nothing where no such change is known.
    pub fn move_place(&mut self, position: u64, place: u64) {
        self.slots.move_place(position, place);
    }

    /// The newest change of an entity, be it durable or staged.
    pub fn latest(&self, entity_type: &str, key: &str) -> Option<Latest> {
        let entity = self.find(entity_type, key)?;
        let seen = self.seen(self.entities.newest(entity));
        Some(Latest { seen, version: self.entities.version(entity) })
    }

    /// The change of an entity that readers at `mark` see; tombstones too.
    pub fn at(&self, mark: u64, entity_type: &str, key: &str) -> Option<Seen> {
        let newest = self.entities.newest(self.find(entity_type, key)?);
        self.slots.visible(newest, mark).map(|slot| self.seen(slot))
    }

    fn find(&self, entity_type: &str, key: &str) -> Option<EntityId> {
        self.entities.find(self.entities.kind(entity_type)?, key)
    }

    fn seen(&self, index: u32) -> Seen {
        let slot = self.slots.get(index);
        Seen {
            position: slot.position,
            batch: slot.batch(),
            place: slot.is_placed().then_some(slot.place),
            length: slot.length,
            deletes: slot.deletes(),
        }
    }

    /// Type of an entity that this fold named.
    pub fn entity_type(&self, entity: EntityId) -> &str {
        self.entities.type_name(entity)
    }

    /// Key of an entity that this fold named.
    pub fn key(&self, entity: EntityId) -> &str {
        self.entities.key(entity)
    }

    /// Types ever seen, in the order of their first change, with how many entities of each live, staged changes
    /// included.
    pub fn types(&self) -> impl ExactSizeIterator<Item = (&str, u64)> {
        self.entities.collections()
    }

    /// How many entities of a type live, staged changes included.
    pub fn live(&self, entity_type: &str) -> u64 {
        self.entities.kind(entity_type).map_or(0, |kind| self.entities.live(kind))
    }

    /// Type and key of every entity that lives, staged changes included, in the order of their first change.
    pub fn live_entities(&self) -> impl Iterator<Item = (&str, &str)> {
        let lives = |entity: &EntityId| !self.slots.get(self.entities.newest(*entity)).deletes();
        self.entities.ids().filter(lives).map(|entity| (self.entity_type(entity), self.key(entity)))
    }

    /// Changes held: newest ones, tombstones among them, and replaced ones that are not squeezed yet.
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Bytes allocated for this fold, used or not.
    pub fn memory_bytes(&self) -> usize {
        let pins = self.pins.len() * 2 * size_of::<(u64, u32)>();
        size_of::<Self>() + self.slots.memory_bytes() + self.entities.memory_bytes() + pins
    }

    /// Keeps what readers at `mark` see, until as many [`Self::unpin`]s. Too late for a mark below
    /// [`Self::squeezed_below`] that nobody else has pinned.
    pub fn pin(&mut self, mark: u64) {
        *self.pins.entry(mark).or_default() += 1;
    }

    pub fn unpin(&mut self, mark: u64) {
        if let Some(holders) = self.pins.get_mut(&mark) {
            *holders -= 1;
            if *holders == 0 {
                self.pins.remove(&mark);
            }
        }
    }

    /// Whether squeezing would pay: more than half of the slots are replaced, and half as many as the last squeezing
    /// left have come since, so that it costs each change the same whatever is pinned.
    pub fn wants_squeeze(&self) -> bool {
        let slots = self.slots.len();
        let grown = slots - self.squeezed_to;
        self.slots.superseded() * 2 > slots && grown >= Self::SQUEEZE_MIN.max(self.squeezed_to / 2)
    }

    /// Drops replaced changes that no pinned mark and no mark from `below_mark` on sees. Newest changes stay,
    /// tombstones among them: readers that come back need those.
    ///
    /// `below_mark` is at most the durable tail. Takes time in proportion to [`Self::slots`].
    pub fn squeeze(&mut self, below_mark: u64) {
        let horizon = self.pins.first_key_value().map_or(below_mark, |(&pinned, _)| pinned.min(below_mark));
        if self.slots.superseded() > 0 {
            let entities = &mut self.entities;
            self.slots.squeeze(horizon, |entity, slot| entities.set_newest(entity, slot));
        }
        self.squeezed_to = self.slots.len();
        self.squeezed_below = self.squeezed_below.max(horizon);
    }

    /// Lowest mark at which this fold answers, apart from pinned ones.
    pub fn squeezed_below(&self) -> u64 {
        self.squeezed_below
    }
}
