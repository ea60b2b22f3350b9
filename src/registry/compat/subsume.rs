//! What can be said of two nodes by looking at them: containment by structure, and being apart.
//!
//! Both are sound and incomplete: `true` is a proof, `false` says nothing. They decide nearly everything about two
//! versions of one schema, where most parts are the same, and keep the search from trying what cannot be. Recursion is
//! proven by assuming what is being proven, once a step into a member or item was made.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use serde_json::{Value, json};

use super::node::*;
use super::search::{NESTING_MAX, Search};

/// What every value of a node has in common; wider than the node where that is not known.
#[derive(Default)]
pub(super) struct Facts {
    pub kinds: Kinds,
    /// All values that there can be.
    pub values: Option<Rc<[Value]>>,
    /// What must hold together, references followed.
    pub parts: Vec<Id>,
    pub members: HashMap<Name, Vec<Id>>,
    pub has: HashSet<Name>,
}

/// Values that are tried one by one.
const VALUES_MAX: usize = 300;

/// Pairs whose containment is being proven, with the level at which that began.
#[derive(Default)]
pub(super) struct Proof {
    assumed: HashMap<(Id, Id), usize>,
    /// Steps into members and items so far.
    level: usize,
    /// Proven under assumptions.
    trail: Vec<(Id, Id)>,
}

impl Search<'_> {
    /// Whether every value of `inner` is one of `outer`, as far as their structure shows.
    pub fn is_contained(&mut self, inner: Id, outer: Id) -> bool {
        if inner == outer || inner == FALSE || outer == TRUE {
            return true;
        }
        if let Some(known) = self.contained.get(&(inner, outer)) {
            return *known;
        }
        if let Some(level) = self.proof.assumed.get(&(inner, outer)) {
            return *level < self.proof.level;
        }
        if self.nesting >= NESTING_MAX || !self.step(1) {
            return false;
        }
        self.nesting += 1;
        self.proof.assumed.insert((inner, outer), self.proof.level);
        let before = self.proof.trail.len();
        let proven = self.contained_by_rule(inner, outer);
        self.proof.assumed.remove(&(inner, outer));
        self.nesting -= 1;
        if proven {
            self.proof.trail.push((inner, outer));
        } else {
            for pair in self.proof.trail.drain(before..) {
                self.contained.remove(&pair);
            }
        }
        self.contained.insert((inner, outer), proven);
        if self.proof.assumed.is_empty() {
            self.proof.trail.clear();
        }
        proven
    }

    /// The same of parts of values.
    fn is_part_contained(&mut self, inner: Id, outer: Id) -> bool {
        self.proof.level += 1;
        let proven = self.is_contained(inner, outer);
        self.proof.level -= 1;
        proven
    }

    fn contained_by_rule(&mut self, inner: Id, outer: Id) -> bool {
        let (from, to) = (self.node(inner), self.node(outer));
        match (&from, &to) {
            (_, Node::Unknown(_)) => return false,
            (_, Node::And(parts)) => return parts.iter().all(|part| self.is_contained(inner, *part)),
            (_, Node::Ref(_)) => {
                let behind = self.behind(outer);
                return self.is_contained(inner, behind);
            }
            (Node::Ref(_), _) => {
                let behind = self.behind(inner);
                return self.is_contained(behind, outer);
            }
            (Node::One(some), Node::One(others)) if some.len() == others.len() => {
                let same = |search: &mut Self, one, other| {
                    search.is_contained(one, other) && search.is_contained(other, one)
                };
                if some.iter().zip(others.iter()).all(|(one, other)| same(self, *one, *other)) {
                    return true;
                }
            }
            (Node::Not(inner), Node::Not(outer)) if self.is_contained(*outer, *inner) => return true,
            _ => {}
        }
        if let Node::Or(parts) | Node::One(parts) = &from
            && parts.iter().all(|part| self.is_contained(*part, outer))
        {
            return true;
        }
        let facts = self.facts(inner);
        if facts.kinds & to.domain() == 0 {
            return true;
        }
        if let Some(values) = facts.values.as_ref().filter(|values| values.len() <= VALUES_MAX)
            && values.iter().all(|value| self.is_admitted_anyhow(outer, value))
        {
            return true;
        }
        match &to {
            Node::Kinds(kinds) => facts.kinds & !kinds == 0,
            Node::Or(parts) if parts.iter().any(|part| self.is_contained(inner, *part)) => true,
            Node::Not(part) if self.are_apart(inner, *part) => true,
            Node::Member(name, part) => self.is_member_contained(&facts, name, *part),
            Node::Members(names, part) => self.are_members_contained(&facts, names, *part),
            Node::Item(index, part) => self.is_item_contained(&facts, *index, *part),
            Node::Rest(from, part) => self.is_rest_contained(&facts, *from, *part),
            Node::Has(name) => facts.has.contains(name),
            Node::MinMembers(min) if facts.has.len() as u64 >= *min => true,
            _ => facts.parts.iter().any(|part| {
                *part == outer
                    || if *part == inner {
                        self.is_atom_contained(&from, &to)
                    } else {
                        self.is_contained(*part, outer)
                    }
            }),
        }
    }

    /// Whether a value is admitted however its numbers are written.
    fn is_admitted_anyhow(&mut self, node: Id, value: &Value) -> bool {
        let pointed = value.as_i64().map(|number| json!(number as f64));
        self.admits(node, value) == Some(true)
            && pointed.is_none_or(|pointed| self.admits(node, &pointed) == Some(true))
    }

    fn is_atom_contained(&mut self, from: &Node, to: &Node) -> bool {
        match (from, to) {
            (Node::Min(one, shut), Node::Min(other, open)) => match one.compare(*other) {
                Some(order) => order.is_gt() || (order.is_eq() && (*shut || !open)),
                None => false,
            },
            (Node::Max(one, shut), Node::Max(other, open)) => match one.compare(*other) {
                Some(order) => order.is_lt() || (order.is_eq() && (*shut || !open)),
                None => false,
            },
            (Node::Multiple(one), Node::Multiple(other)) => one.is_multiple_of(*other) == Some(true),
            (Node::MinLength(one), Node::MinLength(other))
            | (Node::MinItems(one), Node::MinItems(other))
            | (Node::MinMembers(one), Node::MinMembers(other)) => one >= other,
            (Node::MaxLength(one), Node::MaxLength(other))
            | (Node::MaxItems(one), Node::MaxItems(other))
            | (Node::MaxMembers(one), Node::MaxMembers(other)) => one <= other,
            (Node::AtLeast(one, part), Node::AtLeast(other, wider)) => {
                one >= other && self.is_part_contained(*part, *wider)
            }
            (Node::AtLeast(one, _), Node::MinItems(other)) => one >= other,
            (Node::AtMost(one, part), Node::AtMost(other, narrower)) => {
                one <= other && self.is_part_contained(*narrower, *part)
            }
            (Node::NamesAre(part), Node::NamesAre(wider)) => self.is_part_contained(*part, *wider),
            (Node::Opaque(one, ..), Node::Opaque(other, ..)) => match (format_of(one), format_of(other)) {
                (Some(one), Some(other)) => super::format::implies(&one, &other),
                _ => false,
            },
            _ => false,
        }
    }

    fn is_member_contained(&mut self, facts: &Facts, name: &Name, part: Id) -> bool {
        if facts.members.get(name).is_some_and(|parts| parts.iter().any(|own| self.is_part_contained(*own, part))) {
            return true;
        }
        facts.parts.iter().any(|own| match self.node(*own) {
            Node::Members(names, own) => {
                self.is_among(&names, name) == Some(true) && self.is_part_contained(own, part)
            }
            Node::NamesAre(names) => self.admits(names, &Value::from(&**name)) == Some(false),
            _ => false,
        })
    }

    fn are_members_contained(&mut self, facts: &Facts, names: &Names, part: Id) -> bool {
        facts.parts.iter().any(|own| {
            let Node::Members(own_names, own) = self.node(*own) else {
                return false;
            };
            // Wider or equal but for names, which are looked at one by one.
            let covers = own_names.within.iter().all(|pattern| names.within.contains(pattern))
                && own_names.without.iter().all(|pattern| names.without.contains(pattern));
            covers
                && self.is_part_contained(own, part)
                && own_names.except.iter().filter(|name| !names.except.contains(name)).all(|name| {
                    self.is_among(names, name) == Some(false) || self.is_member_contained(facts, name, part)
                })
        })
    }

    fn is_item_contained(&mut self, facts: &Facts, index: u64, part: Id) -> bool {
        facts.parts.iter().any(|own| match self.node(*own) {
            Node::Item(at, own) => at == index && self.is_part_contained(own, part),
            Node::Rest(from, own) => from <= index && self.is_part_contained(own, part),
            Node::MaxItems(max) => max <= index,
            _ => false,
        })
    }

    fn is_rest_contained(&mut self, facts: &Facts, from: u64, part: Id) -> bool {
        facts.parts.iter().any(|own| match self.node(*own) {
            Node::Rest(own_from, own) => {
                self.is_part_contained(own, part)
                    && (from..own_from).all(|index| self.is_item_contained(facts, index, part))
            }
            Node::MaxItems(max) => {
                max <= from
                    || (max - from < 64 && (from..max).all(|index| self.is_item_contained(facts, index, part)))
            }
            _ => false,
        })
    }

    /// Whether no value is one of both, as far as their structure shows.
    pub fn are_apart(&mut self, one: Id, other: Id) -> bool {
        if one == FALSE || other == FALSE {
            return true;
        }
        let pair = (one.min(other), one.max(other));
        if one == other || one == TRUE || other == TRUE || self.nesting >= NESTING_MAX || !self.step(1) {
            return false;
        }
        if let Some(known) = self.apart.get(&pair) {
            return *known;
        }
        // Recursion proves nothing here.
        self.apart.insert(pair, false);
        self.nesting += 1;
        let apart = self.apart_by_rule(one, other);
        self.nesting -= 1;
        self.apart.insert(pair, apart);
        apart
    }

    fn apart_by_rule(&mut self, one: Id, other: Id) -> bool {
        let (facts, others) = (self.facts(one), self.facts(other));
        let kinds = facts.kinds & others.kinds;
        if kinds == 0 {
            return true;
        }
        for (facts, node) in [(&facts, other), (&others, one)] {
            if let Some(values) = facts.values.as_ref().filter(|values| values.len() <= VALUES_MAX) {
                return values.iter().all(|value| self.is_refused_anyhow(node, value));
            }
        }
        for (node, other) in [(one, other), (other, one)] {
            let node = self.behind(node);
            match self.node(node) {
                Node::Or(parts) | Node::One(parts) if parts.iter().all(|part| self.are_apart(*part, other)) => {
                    return true;
                }
                Node::Not(part) if self.is_contained(other, part) => return true,
                _ => {}
            }
        }
        if kinds != OBJECT {
            return false;
        }
        facts.members.iter().any(|(name, parts)| {
            let present = facts.has.contains(name) || others.has.contains(name);
            let against = others.members.get(name).filter(|_| present);
            against.is_some_and(|against| {
                parts.iter().any(|part| against.iter().any(|other| self.are_apart(*part, *other)))
            })
        })
    }

    fn is_refused_anyhow(&mut self, node: Id, value: &Value) -> bool {
        let pointed = value.as_i64().map(|number| json!(number as f64));
        self.admits(node, value) == Some(false)
            && pointed.is_none_or(|pointed| self.admits(node, &pointed) == Some(false))
    }

    pub fn facts(&mut self, id: Id) -> Rc<Facts> {
        if let Some(known) = self.facts.get(&id) {
            return known.clone();
        }
        // What stands while this is being found out, should it be asked for below itself.
        self.facts.insert(id, Rc::new(Facts { kinds: ALL, ..Facts::default() }));
        self.nesting += 1;
        let facts = match self.nesting < NESTING_MAX {
            true => self.find_facts(id),
            false => Facts { kinds: ALL, ..Facts::default() },
        };
        self.nesting -= 1;
        let facts = Rc::new(facts);
        self.facts.insert(id, facts.clone());
        facts
    }

    fn find_facts(&mut self, id: Id) -> Facts {
        self.steps = self.steps.saturating_sub(1);
        let behind = self.behind(id);
        if behind != id {
            let facts = self.facts(behind);
            return Facts {
                kinds: facts.kinds,
                values: facts.values.clone(),
                parts: facts.parts.clone(),
                members: facts.members.clone(),
                has: facts.has.clone(),
            };
        }
        let mut facts = Facts { kinds: ALL, parts: vec![id], ..Facts::default() };
        match self.node(id) {
            Node::False => facts.kinds = 0,
            Node::Kinds(kinds) => facts.kinds = kinds,
            Node::Enum(values) => {
                facts.kinds = values.iter().map(kinds_of_normal).fold(0, |all, one| all | one);
                facts.values = Some(values);
            }
            Node::Has(name) => {
                facts.has.insert(name);
            }
            Node::Member(name, part) => {
                facts.members.insert(name, vec![part]);
            }
            Node::And(parts) => {
                facts.parts.clear();
                for part in parts.iter() {
                    let inner = self.facts(*part);
                    facts.kinds &= inner.kinds;
                    facts.parts.extend(&inner.parts);
                    facts.has.extend(inner.has.iter().cloned());
                    for (name, parts) in &inner.members {
                        facts.members.entry(name.clone()).or_default().extend(parts);
                    }
                    if let Some(values) = &inner.values
                        && facts.values.as_ref().is_none_or(|known| known.len() > values.len())
                    {
                        facts.values = Some(values.clone());
                    }
                }
            }
            Node::Or(parts) | Node::One(parts) => {
                facts.kinds = 0;
                let mut values = Some(Vec::new());
                for part in parts.iter() {
                    let inner = self.facts(*part);
                    facts.kinds |= inner.kinds;
                    match (&mut values, &inner.values) {
                        (Some(values), Some(more)) => values.extend(more.iter().cloned()),
                        _ => values = None,
                    }
                }
                facts.values = values.map(Into::into);
            }
            _ => {}
        }
        facts
    }
}

/// The format that a fragment asks for.
pub(super) fn format_of(fragment: &str) -> Option<String> {
    let fragment: Value = serde_json::from_str(fragment).ok()?;
    fragment.get("format")?.as_str().map(str::to_owned)
}
