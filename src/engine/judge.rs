//! Preconditions, strict inserts and version guards: which changes of a checked batch are applied, and where.

use std::collections::HashMap;

use crate::fold::{ChangeFacts, Fold, Placing};
use crate::model::{Offset, Operation, Position};

use super::Fault;
use super::check::Batch;
use super::handle::Core;
use super::write::Content;

/// What must hold of an entity for a change to it to be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It is at this offset, or at any.
    Matches(Option<Offset>),
    /// It does not exist, or is not at this offset.
    MatchesNot(Option<Offset>),
}
/// What the version guards left of a batch, and where it goes.
#[derive(Default)]
pub(super) struct Outcome {
    /// Position of the first change.
    first: Position,
    /// Which of the batch's changes are applied, in order.
    pub kept: Vec<usize>,
}

impl Outcome {
    pub fn content(&self, batch: &Batch) -> Content {
        if self.kept.len() == batch.changes.len() {
            let lengths = batch.changes.iter().map(|change| change.span.len() as u32).collect();
            return Content { payload: batch.stored.clone(), lengths, count: self.kept.len() as u64 };
        }
        Content::of_messages(self.kept.iter().map(|kept| &batch.stored[batch.changes[*kept].span.clone()]))
    }

    /// Per message of the request, the offset just after its change.
    pub fn offsets(&self, batch: &Batch) -> Vec<Option<Offset>> {
        let mut offsets = vec![None; batch.received];
        for (nth, kept) in self.kept.iter().enumerate() {
            offsets[batch.changes[*kept].index] = Some(Offset::at(self.first + nth as u64 + 1));
        }
        offsets
    }

    pub fn apply_to(&self, fold: &mut Fold, batch: &Batch) {
        let mut at = 0;
        for (nth, kept) in self.kept.iter().enumerate() {
            let change = &batch.changes[*kept];
            let (entity_type, key) = batch.names.of(change.name);
            fold.apply(ChangeFacts {
                position: self.first + nth as u64,
                batch: self.first,
                entity_type,
                key,
                deletes: change.operation == Operation::Delete,
                placing: Placing::InBatch(at),
                length: change.span.len() as u32,
                version: change.version,
            });
            at += change.span.len() as u64 + 1;
        }
    }
}

pub(super) fn live_count(core: &Core) -> u64 {
    core.fold().map_or(0, |fold| fold.types().map(|(_, live)| live).sum())
}

/// Preconditions, strict inserts and version guards, on staged state and in the order of the batch.
pub(super) fn judge(core: &Core, batch: &Batch, tail: Position) -> Result<Outcome, Fault> {
    /// What is known of an entity: where it is (none where it is deleted or was never there), and its version.
    #[derive(Clone, Copy, Default)]
    struct Known {
        at: Option<Position>,
        version: Option<i128>,
    }
    let mut seen: HashMap<(&str, &str), Known> = HashMap::new();
    let mut outcome = Outcome { first: tail, kept: Vec::with_capacity(batch.changes.len()) };
    for (nth, change) in batch.changes.iter().enumerate() {
        let guarded = change.strict || change.version.is_some() || change.condition.is_some();
        let name = batch.names.of(change.name);
        if guarded {
            let known = seen.get(&name).copied().unwrap_or_else(|| {
                let latest = core.fold().and_then(|fold| fold.latest(name.0, name.1));
                latest.map_or(Known::default(), |latest| Known {
                    at: (!latest.seen.deletes).then_some(latest.seen.position),
                    version: latest.version,
                })
            });
            let current = known.at.map(|position| Offset::at(position + 1));
            if change.condition.is_some_and(|condition| !condition.holds(current)) {
                return Err(Fault::Precondition { current });
            }
            if let (true, Operation::Insert, Some(current)) = (change.strict, change.operation, current) {
                let [entity_type, key] = [name.0, name.1].map(str::to_owned);
                return Err(Fault::EntityExists { index: change.index, entity_type, key, current });
            }
            if matches!((change.version, known.version), (Some(new), Some(old)) if new < old) {
                continue;
            }
            let at = (change.operation != Operation::Delete).then_some(tail + outcome.kept.len() as u64);
            // A deletion keeps the version it deletes, here as in the fold.
            seen.insert(name, Known { at, version: change.version.or(known.version) });
        }
        outcome.kept.push(nth);
    }
    Ok(outcome)
}
/// Of a batch whose changes each name the change they replace: those that still do. What else would drop a change, a
/// version that is older, does not matter: nothing came in between.
pub(super) fn judge_replacing(core: &Core, batch: &Batch, tail: Position) -> Outcome {
    let replaces = |change: &super::check::Prepared| {
        let (entity_type, key) = batch.names.of(change.name);
        let latest = core.fold().and_then(|fold| fold.latest(entity_type, key));
        let current = latest.filter(|latest| !latest.seen.deletes).map(|latest| Offset::at(latest.seen.position + 1));
        change.condition.is_some_and(|condition| condition.holds(current))
    };
    let kept = (0..batch.changes.len()).filter(|nth| replaces(&batch.changes[*nth])).collect();
    Outcome { first: tail, kept }
}

impl Condition {
    pub(super) fn holds(self, current: Option<Offset>) -> bool {
        match self {
            Self::Matches(None) => current.is_some(),
            Self::Matches(wanted) => current == wanted,
            Self::MatchesNot(None) => current.is_none(),
            Self::MatchesNot(unwanted) => current != unwanted,
        }
    }
}
