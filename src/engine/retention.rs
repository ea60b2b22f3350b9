//! What a binding lets its streams lose: changes that were replaced longer than `history_s` ago, and deletions older
//! than `tombstone_horizon_s`.
//!
//! The store asks when it writes older records again. What stays is what a folded read would give at the beginning of
//! the kept history, and at every place where a fork begins. Invariant: see [`crate::storage::retention`].

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::fold::{ChangeFacts, EntityId, Filter, Fold, Placing, Walk, WalkItem, WalkLimit};
use crate::model::{Offset, Position, Timestamp};
use crate::protocol::change::StoredChange;
use crate::registry::Compiled;
use crate::storage::retention::{Horizons, Kept, LeftOut, Retention, Sieve, Task};
use crate::stream::StreamState;

use super::handle::PublishedStream;
use super::{Engine, Fault, Inner};

impl Retention for Inner {
    fn horizons(&self, stream: &StreamState) -> Option<Horizons> {
        // Only what a schema describes can be told apart by entity.
        stream.schema.as_ref().filter(|_| stream.is_json())?;
        let registry = self.registry.current();
        let binding = registry.resolve(&stream.creation.name)?;
        let now = self.clock.now();
        let before =
            |seconds: u64| Timestamp::from_millis(now.as_millis().saturating_sub(seconds.saturating_mul(1000)));
        Some(Horizons { history: before(binding.history_s?), deletes: binding.tombstone_horizon_s.map(before) })
    }

    fn sieve(&self, stream: &StreamState, task: Task) -> Box<dyn Sieve> {
        let registry = self.registry.current();
        let pinned = stream.schema.as_ref().and_then(|schema| registry.pinned(schema));
        Box::new(Newest::new(task, pinned.map(|registered| registered.document.compiled().clone())))
    }
}

/// Keeps what is the newest of its entity where somebody may begin to read.
struct Newest {
    task: Task,
    compiled: Option<Arc<Compiled>>,
    fold: Fold,
    /// Every change, in order.
    seen: Vec<Position>,
    /// The first change that is not old enough for a deletion to go.
    deletes_stay_from: Option<Position>,
    /// Of deletions of entities whose type has versions: the change that each replaced, which says the version.
    versions: HashMap<Position, Position>,
}

impl Newest {
    fn new(task: Task, compiled: Option<Arc<Compiled>>) -> Self {
        let mut fold = Fold::new();
        task.pins.iter().filter(|pin| **pin < task.history_from).for_each(|pin| fold.pin(*pin));
        Self { task, compiled, fold, seen: Vec::new(), deletes_stay_from: None, versions: HashMap::new() }
    }

    fn has_versions(&self, entity_type: &str) -> bool {
        let collection = self.compiled.as_ref().and_then(|compiled| compiled.collection(entity_type));
        collection.is_some_and(|collection| collection.version_field.is_some())
    }

    /// What a folded reader at a mark is told of.
    fn newest_at(&self, mark: Position) -> Vec<WalkItem> {
        let filter = Filter::default();
        let (mut from, mut items) = (0, Vec::new());
        loop {
            let walk = Walk { from, mark, skip_tombstones_below: 0, filter: &filter };
            let page = self.fold.walk(&walk, WalkLimit::new(usize::MAX, u64::MAX));
            items.extend(page.items);
            if page.done {
                return items;
            }
            from = page.next;
        }
    }

    /// Deletions of which nothing is left that they deleted.
    fn forgotten(&self, newest: &[WalkItem], pinned: &HashSet<EntityId>) -> HashSet<Position> {
        let Some(below) = self
            .task
            .deletes
            .filter(|_| self.task.complete)
            .map(|_| self.deletes_stay_from.unwrap_or(self.task.history_from))
        else {
            return HashSet::new();
        };
        let forgotten = |item: &&WalkItem| item.deletes && item.position < below && !pinned.contains(&item.entity);
        newest.iter().filter(forgotten).map(|item| item.position).collect()
    }
}

impl Sieve for Newest {
    fn take(&mut self, position: Position, at: Timestamp, message: &[u8]) {
        let Some(change) = std::str::from_utf8(message).ok().and_then(StoredChange::parse) else { return };
        if self.task.deletes.is_some_and(|horizon| at >= horizon) {
            self.deletes_stay_from.get_or_insert(position);
        }
        if change.deletes
            && self.has_versions(&change.entity_type)
            && let Some(replaced) = self.fold.latest(&change.entity_type, &change.key)
        {
            // A deletion of what is deleted already goes on saying the version.
            let said = if replaced.seen.deletes { None } else { Some(replaced.seen.position) };
            let said = said.or_else(|| self.versions.get(&replaced.seen.position).copied());
            said.map(|said| self.versions.insert(position, said));
        }
        self.seen.push(position);
        self.fold.apply(ChangeFacts {
            position,
            batch: position,
            entity_type: &change.entity_type,
            key: &change.key,
            deletes: change.deletes,
            placing: Placing::At(0),
            length: 1,
            version: None,
        });
        if self.fold.wants_squeeze() {
            self.fold.squeeze(position + 1);
        }
    }

    fn finish(self: Box<Self>) -> LeftOut {
        let mut stays: BTreeSet<Position> = BTreeSet::new();
        let mut pinned: HashSet<EntityId> = HashSet::new();
        for pin in self.task.pins.iter().filter(|pin| **pin < self.task.history_from) {
            for item in self.newest_at(*pin) {
                stays.insert(item.position);
                pinned.insert(item.entity);
            }
        }
        let newest = self.newest_at(self.task.history_from);
        let forgotten = self.forgotten(&newest, &pinned);
        let deletes_from = forgotten.iter().max().map_or(0, |position| position + 1);
        stays.extend(newest.iter().map(|item| item.position).filter(|position| !forgotten.contains(position)));
        // Without what a deletion replaced an older version, come late, would be news again.
        let replaced: Vec<Position> =
            stays.iter().filter_map(|position| self.versions.get(position)).copied().collect();
        stays.extend(replaced);
        let positions = self.seen.iter().copied().filter(|position| !stays.contains(position)).collect();
        LeftOut { positions, deletes_from }
    }
}

impl Engine {
    /// What is left of a stream's history, what it has inherited included.
    pub fn kept_of(&self, stream: &PublishedStream) -> Kept {
        let own = self.store.kept(stream.id);
        let mut inherited = Kept::default();
        let (mut fork, mut shift, mut cut) = (stream.creation.fork.clone(), 0, Position::MAX);
        while let Some(link) = fork {
            (shift, cut) = (shift + link.shift, cut.min(link.point()).saturating_sub(link.shift));
            let kept = self.store.kept(link.source);
            let as_seen = |position: Position| if position == 0 { 0 } else { position.min(cut) + shift };
            inherited = inherited
                .and(Kept { history_from: as_seen(kept.history_from), deletes_from: as_seen(kept.deletes_from) });
            fork = self.store.load(link.source).and_then(|source| source.creation.fork.clone());
        }
        own.and(inherited)
    }

    /// Refuses to go on from where deletions may be missing. A reader from the beginning misses none.
    pub fn check_kept(&self, stream: &PublishedStream, given: Offset) -> Result<(), Fault> {
        let reached = if given.walk_mark == 0 { given.position } else { given.walk_mark };
        if reached <= stream.creation.start || stream.schema.is_none() {
            return Ok(());
        }
        let from = self.kept_of(stream).deletes_from;
        match reached < from {
            true => Err(Fault::Forgotten { given, kept_from: Offset::at(from) }),
            false => Ok(()),
        }
    }
}
