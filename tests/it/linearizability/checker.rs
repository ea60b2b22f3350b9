//! Whether there is one order of a history's operations that agrees with every answer and with real time.
//!
//! A search in the manner of Wing and Gong: an operation may be next if it was called before any other that is left had
//! returned. What was tried once is not tried again: it is told by the set of operations that are through and the state
//! they led to. The entity is a register with a tag; a tag is new to it, and higher than all it had.

use std::collections::HashSet;
use std::fmt;

use super::history::{Asked, Condition, Content, Heard, Operation, Tag};

/// An entity, as an order of operations has left it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct State {
    entity: Option<(Version, Content)>,
    /// The highest tag so far.
    floor: Tag,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Version {
    Told(Tag),
    /// Written by an operation that heard nothing; the first who hears its tag settles it.
    Untold,
}

impl State {
    /// The states that `operation` may lead to, if its answer can be true here.
    fn after(&self, operation: &Operation) -> Vec<Self> {
        match &operation.heard {
            Heard::Unknown => self.written(operation, None).into_iter().chain([self.clone()]).collect(),
            Heard::Written(tag) => self.written(operation, Some(tag)).into_iter().collect(),
            Heard::Found(tag, content) => {
                let same = self.entity.as_ref().is_some_and(|(_, is)| is == content);
                self.told(Some(tag)).filter(|_| same).into_iter().collect()
            }
            Heard::NoEntity => self.told(None).into_iter().collect(),
            Heard::Refused(current) => {
                self.told(current.as_ref()).filter(|told| !told.holds(&operation.condition)).into_iter().collect()
            }
        }
    }

    /// The same state, once somebody has heard that this is its tag.
    fn told(&self, tag: Option<&Tag>) -> Option<Self> {
        match (&self.entity, tag) {
            (None, None) => Some(self.clone()),
            (Some((Version::Told(is), _)), Some(tag)) if is == tag => Some(self.clone()),
            (Some((Version::Untold, content)), Some(tag)) if *tag > self.floor => {
                Some(Self { entity: Some((Version::Told(tag.clone()), *content)), floor: tag.clone() })
            }
            _ => None,
        }
    }

    fn holds(&self, condition: &Condition) -> bool {
        match condition {
            Condition::None => true,
            Condition::Exists => self.entity.is_some(),
            Condition::Absent => self.entity.is_none(),
            // Whoever names a tag has heard it, and then it is told.
            Condition::Match(tag) => matches!(&self.entity, Some((Version::Told(is), _)) if is == tag),
        }
    }

    fn written(&self, operation: &Operation, tag: Option<&Tag>) -> Option<Self> {
        let content = self.entity.as_ref().map(|(_, content)| *content);
        let content = match operation.asked {
            Asked::Get => return None,
            Asked::Put(put) => Some((put, None)),
            Asked::Patch(patch) => Some((content?.0, Some(patch))),
            Asked::Delete if operation.condition == Condition::None && content.is_none() => return None,
            Asked::Delete => None,
        };
        if !self.holds(&operation.condition) || tag.is_some_and(|tag| *tag <= self.floor) {
            return None;
        }
        let version = tag.map_or(Version::Untold, |tag| Version::Told(tag.clone()));
        let floor = tag.unwrap_or(&self.floor).clone();
        Some(Self { entity: content.map(|content| (version, content)), floor })
    }
}

/// No order agrees.
pub struct Stuck {
    /// As far as the longest order came.
    through: usize,
    state: State,
    /// What could have been next.
    left: Vec<Operation>,
}

impl fmt::Debug for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "no order agrees with every answer; after {} operations, at {:?}", self.through, self.state)?;
        self.left.iter().try_for_each(|operation| writeln!(f, "  none of: {operation:?}"))
    }
}

/// Operations that are through, by their place in the history.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Through(Vec<u64>);

impl Through {
    fn has(&self, at: usize) -> bool {
        self.0[at / 64] >> (at % 64) & 1 == 1
    }

    fn with(&self, at: usize) -> Self {
        let mut more = self.clone();
        more.0[at / 64] |= 1 << (at % 64);
        more
    }

    fn count(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }
}

/// Checks the history of one entity that begins absent; gives how many states were looked at.
pub fn check(history: &[Operation]) -> Result<usize, Stuck> {
    let mut longest = Stuck { through: 0, state: State::default(), left: Vec::new() };
    let begin = (Through(vec![0; history.len() / 64 + 1]), State::default());
    let mut seen = HashSet::from([begin.clone()]);
    let mut open = vec![begin];
    while let Some((through, state)) = open.pop() {
        let left = || history.iter().enumerate().filter(|(at, _)| !through.has(*at));
        let Some(first_return) = left().map(|(_, operation)| operation.returned).min() else { return Ok(seen.len()) };
        let may_be_next: Vec<_> = left().filter(|(_, operation)| operation.invoked < first_return).collect();
        if through.count() > longest.through || longest.left.is_empty() {
            let left = may_be_next.iter().map(|(_, operation)| Operation::clone(operation)).collect();
            longest = Stuck { through: through.count(), state: state.clone(), left };
        }
        for (at, operation) in may_be_next {
            for then in state.after(operation) {
                let next = (through.with(at), then);
                if seen.insert(next.clone()) {
                    open.push(next);
                }
            }
        }
    }
    Err(longest)
}
