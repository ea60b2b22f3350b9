//! Objects that satisfy atoms.
//!
//! Members that must be there are given their goals; members that must exist somewhere ("some member that no pattern
//! names is no string") are given a name: one that the schemas speak of, or a fresh one, found as a text. Fresh names are
//! told apart by the patterns they match, so every combination of patterns is looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde_json::{Map, Value};

use super::node::*;
use super::search::{Answer, Goal, Literal, Search, State, TIRED, no, yes};

/// What is asked of an object.
#[derive(Default)]
struct Asked {
    required: BTreeSet<Name>,
    forbidden: BTreeSet<Name>,
    members: BTreeMap<Name, Vec<Literal>>,
    /// For every member with such a name.
    every: Vec<(Rc<Names>, Id)>,
    /// For some member: with such a name, under these literals for name and value.
    some: Vec<Demand>,
    names: Vec<Id>,
    min: u64,
    max: Option<u64>,
    /// All names that anything speaks of.
    known: BTreeSet<Name>,
    /// All patterns that fresh names are told apart by.
    patterns: BTreeSet<Name>,
}

#[derive(Clone)]
struct Demand {
    names: Rc<Names>,
    name: Vec<Literal>,
    value: Vec<Literal>,
}

/// A member that the object will have.
#[derive(Clone)]
struct Entry {
    /// `None` for a fresh name, which must satisfy `key`.
    name: Option<Name>,
    key: Vec<Literal>,
    value: Vec<Literal>,
    /// The patterns that a fresh name matches.
    matches: Rc<BTreeSet<Name>>,
}

const PATTERNS_MAX: usize = 12;
const UNREAD: &str = "a pattern of member names that no automaton reads";
const MEMBERS_MAX: u64 = 2_000;

impl Search<'_> {
    pub(super) fn object(&mut self, state: &State, goal: &Goal) -> Answer {
        let asked = self.asked_of_object(state);
        if asked.max.is_some_and(|max| max < asked.min)
            || asked.required.iter().any(|name| asked.forbidden.contains(name))
        {
            return Answer::Nothing;
        }
        let mut unknown = None;
        let mut entries = Vec::new();
        for name in &asked.required {
            match self.named(&asked, name) {
                Some(entry) => {
                    match self.solve(entry.value.iter().copied()) {
                        Answer::Found(_) => {}
                        Answer::Nothing => return Answer::Nothing,
                        Answer::Unknown(reason) => unknown = Some(reason),
                    }
                    entries.push(entry);
                }
                None => return Answer::Nothing,
            }
        }
        if let Some(reason) = unknown {
            return Answer::Unknown(reason);
        }
        let answer = self.place(&asked, &mut entries, 0);
        match (answer, state.unknown) {
            (Answer::Found(_), Some(reason)) => Answer::Unknown(reason),
            (Answer::Found(value), None) => {
                // Names found one by one can still meet; whoever sees the value last decides.
                match self.satisfies(&value, goal) {
                    Some(false) => Answer::Unknown("an object that was put together wrongly"),
                    _ => Answer::Found(value),
                }
            }
            (answer, _) => answer,
        }
    }

    fn asked_of_object(&mut self, state: &State) -> Asked {
        let mut asked = Asked::default();
        for atom in &state.atoms {
            match (self.node(atom.node), atom.admitted) {
                (Node::Has(name), true) => {
                    asked.required.insert(name);
                }
                (Node::Has(name), false) => {
                    asked.forbidden.insert(name);
                }
                (Node::Member(name, part), admitted) => {
                    if !admitted {
                        asked.required.insert(name.clone());
                    }
                    asked.members.entry(name).or_default().push(Literal { node: part, admitted });
                }
                (Node::Members(names, part), true) => asked.every.push((names, part)),
                (Node::Members(names, part), false) => {
                    asked.some.push(Demand { names, name: Vec::new(), value: vec![no(part)] });
                }
                (Node::NamesAre(part), true) => asked.names.push(part),
                (Node::NamesAre(part), false) => {
                    asked.some.push(Demand { names: Rc::default(), name: vec![no(part)], value: Vec::new() });
                }
                (Node::MinMembers(min), true) => asked.min = asked.min.max(min),
                (Node::MaxMembers(max), false) => asked.min = asked.min.max(max.saturating_add(1)),
                (Node::MaxMembers(max), true) => asked.most(max),
                (Node::MinMembers(min), false) => asked.most(min - 1),
                _ => {}
            }
        }
        asked.known.extend(asked.required.iter().chain(&asked.forbidden).chain(asked.members.keys()).cloned());
        let names = asked.every.iter().map(|(names, _)| names).chain(asked.some.iter().map(|demand| &demand.names));
        for names in names {
            asked.known.extend(names.except.iter().cloned());
            asked.patterns.extend(names.within.iter().chain(&names.without).cloned());
        }
        // Names that a finite list allows: nothing else can be a name.
        let listed: Vec<Name> = asked
            .names
            .iter()
            .filter_map(|part| self.facts(*part).values.clone())
            .flat_map(|values| values.iter().filter_map(Value::as_str).map(Name::from).collect::<Vec<_>>())
            .collect();
        asked.known.extend(listed);
        asked
    }

    /// The member of a known name. `None` where that cannot be there; its value can still be impossible.
    fn named(&mut self, asked: &Asked, name: &Name) -> Option<Entry> {
        if asked.forbidden.contains(name) {
            return None;
        }
        let text = Value::from(&**name);
        if asked.names.iter().any(|part| self.admits(*part, &text) == Some(false)) {
            return None;
        }
        let mut value = asked.members.get(name).cloned().unwrap_or_default();
        for (names, part) in &asked.every {
            // Where a pattern is too large to be asked, what follows from it is left out; the end is verified.
            if self.is_among(names, name) == Some(true) {
                value.push(yes(*part));
            }
        }
        Some(Entry { name: Some(name.clone()), key: Vec::new(), value, matches: Rc::default() })
    }

    /// Finds a member for each demand from `next` on, then values for all.
    fn place(&mut self, asked: &Asked, entries: &mut Vec<Entry>, next: usize) -> Answer {
        if !self.step(1) {
            return Answer::Unknown(TIRED);
        }
        if asked.max.is_some_and(|max| entries.len() as u64 > max) {
            return Answer::Nothing;
        }
        let Some(demand) = asked.some.get(next) else {
            return self.fill(asked, entries);
        };
        let mut unknown = None;
        // A member that is there already.
        for index in 0..entries.len() {
            match self.suits(&entries[index], demand) {
                Some(true) => {}
                Some(false) => continue,
                None => {
                    unknown = Some(UNREAD);
                    continue;
                }
            }
            let before = entries[index].clone();
            entries[index].key.extend(&demand.name);
            entries[index].value.extend(&demand.value);
            let answer = self.place_checked(asked, entries, index, next);
            entries[index] = before;
            match answer {
                Answer::Found(value) => return Answer::Found(value),
                Answer::Nothing => {}
                Answer::Unknown(reason) => unknown = Some(reason),
            }
        }
        // Another member with a name that is spoken of.
        for name in &asked.known {
            if entries.iter().any(|entry| entry.name.as_ref() == Some(name)) {
                continue;
            }
            match self.is_demanded(demand, name) {
                Some(true) => {}
                Some(false) => continue,
                None => {
                    unknown = Some(UNREAD);
                    continue;
                }
            }
            let Some(mut entry) = self.named(asked, name) else {
                continue;
            };
            entry.value.extend(&demand.value);
            entries.push(entry);
            let answer = self.place_checked(asked, entries, entries.len() - 1, next);
            entries.pop();
            match answer {
                Answer::Found(value) => return Answer::Found(value),
                Answer::Nothing => {}
                Answer::Unknown(reason) => unknown = Some(reason),
            }
        }
        // A member with a fresh name.
        let fresh = match self.fresh(asked, Some(&demand.names)) {
            Ok(fresh) => fresh,
            Err(reason) => return Answer::Unknown(reason),
        };
        for mut entry in fresh {
            entry.key.extend(&demand.name);
            entry.value.extend(&demand.value);
            entries.push(entry);
            let answer = self.place_checked(asked, entries, entries.len() - 1, next);
            entries.pop();
            match answer {
                Answer::Found(value) => return Answer::Found(value),
                Answer::Nothing => {}
                Answer::Unknown(reason) => unknown = Some(reason),
            }
        }
        unknown.map_or(Answer::Nothing, Answer::Unknown)
    }

    /// Goes on only if the member that just changed can be.
    fn place_checked(&mut self, asked: &Asked, entries: &mut Vec<Entry>, changed: usize, next: usize) -> Answer {
        let Entry { name, key, value, .. } = entries[changed].clone();
        match self.solve(value) {
            Answer::Found(_) => {}
            other => return other,
        }
        if name.is_none() {
            match self.solve(key) {
                Answer::Found(_) => {}
                other => return other,
            }
        }
        self.place(asked, entries, next + 1)
    }

    fn suits(&mut self, entry: &Entry, demand: &Demand) -> Option<bool> {
        match &entry.name {
            Some(name) => self.is_demanded(demand, name),
            None => {
                let suits = demand.names.within.iter().all(|pattern| entry.matches.contains(pattern))
                    && !demand.names.without.iter().any(|pattern| entry.matches.contains(pattern));
                Some(suits)
            }
        }
    }

    fn is_demanded(&mut self, demand: &Demand, name: &Name) -> Option<bool> {
        match self.is_among(&demand.names, name)? {
            true => self.satisfies(&Value::from(&**name), &demand.name),
            false => Some(false),
        }
    }

    /// Fresh members, one for each combination of patterns that such a name can match.
    fn fresh(&mut self, asked: &Asked, among: Option<&Names>) -> Result<Vec<Entry>, &'static str> {
        if asked.patterns.len() > PATTERNS_MAX {
            return Err("too many patterns of member names");
        }
        let arena = &mut self.compiler.arena;
        let mut key = vec![yes(arena.kinds(STRING))];
        key.extend(asked.names.iter().map(|part| yes(*part)));
        let known = arena.values(asked.known.iter().map(|name| Value::from(&**name)));
        key.push(no(known));
        let mut cells = vec![(key, BTreeSet::new())];
        for pattern in &asked.patterns {
            let node = self.compiler.arena.add(Node::Pattern(pattern.clone()));
            let must = among.is_some_and(|names| names.within.contains(pattern));
            let must_not = among.is_some_and(|names| names.without.contains(pattern));
            let mut split = Vec::new();
            for (key, matches) in cells {
                for admitted in [false, true] {
                    if (must && !admitted) || (must_not && admitted) {
                        continue;
                    }
                    let mut key: Vec<Literal> = key.clone();
                    key.push(Literal { node, admitted });
                    match self.solve(key.iter().copied()) {
                        Answer::Nothing => continue,
                        Answer::Unknown(reason) => return Err(reason),
                        Answer::Found(_) => {}
                    }
                    let mut matches: BTreeSet<Name> = matches.clone();
                    if admitted {
                        matches.insert(pattern.clone());
                    }
                    split.push((key, matches));
                }
            }
            cells = split;
        }
        let mut entries = Vec::new();
        for (key, matches) in cells {
            let applies = |names: &Names| {
                names.within.iter().all(|pattern| matches.contains(pattern))
                    && !names.without.iter().any(|pattern| matches.contains(pattern))
            };
            let value = asked.every.iter().filter(|(names, _)| applies(names)).map(|(_, part)| yes(*part)).collect();
            entries.push(Entry { name: None, key, value, matches: matches.into() });
        }
        Ok(entries)
    }

    /// Adds members until there are enough, then finds names and values.
    fn fill(&mut self, asked: &Asked, entries: &[Entry]) -> Answer {
        if asked.min > MEMBERS_MAX {
            return Answer::Unknown("objects with very many members");
        }
        let mut unknown = None;
        let mut entries = entries.to_vec();
        for name in &asked.known {
            if entries.len() as u64 >= asked.min {
                break;
            }
            if entries.iter().any(|entry| entry.name.as_ref() == Some(name)) {
                continue;
            }
            if let Some(entry) = self.named(asked, name) {
                match self.solve(entry.value.iter().copied()) {
                    Answer::Found(_) => entries.push(entry),
                    Answer::Nothing => {}
                    Answer::Unknown(reason) => unknown = Some(reason),
                }
            }
        }
        let mut object = Map::new();
        let mut taken = Vec::new();
        for entry in &entries {
            if let Err(answer) = self.settle(entry, &mut object, &mut taken) {
                return match (answer, taken.is_empty()) {
                    (Answer::Nothing, false) => Answer::Unknown("names that meet"),
                    (answer, _) => answer,
                };
            }
        }
        if (object.len() as u64) < asked.min {
            let fresh = match self.fresh(asked, None) {
                Ok(fresh) => fresh,
                Err(reason) => return Answer::Unknown(reason),
            };
            for entry in fresh {
                while (object.len() as u64) < asked.min {
                    match self.settle(&entry, &mut object, &mut taken) {
                        Ok(()) => {}
                        Err(Answer::Unknown(reason)) => {
                            unknown = Some(reason);
                            break;
                        }
                        Err(_) => break,
                    }
                }
            }
        }
        match (object.len() as u64) < asked.min {
            true => unknown.map_or(Answer::Nothing, Answer::Unknown),
            false => Answer::Found(Value::Object(object)),
        }
    }

    /// Gives one member its name and value.
    fn settle(
        &mut self,
        entry: &Entry,
        object: &mut Map<String, Value>,
        taken: &mut Vec<Value>,
    ) -> Result<(), Answer> {
        let value = match self.solve(entry.value.iter().copied()) {
            Answer::Found(value) => value,
            other => return Err(other),
        };
        let name = match &entry.name {
            Some(name) => name.to_string(),
            None => {
                let others = self.compiler.arena.values(taken.iter().cloned());
                let key = entry.key.iter().copied().chain((!taken.is_empty()).then_some(no(others)));
                match self.solve(key) {
                    Answer::Found(Value::String(name)) => {
                        taken.push(name.as_str().into());
                        name
                    }
                    Answer::Found(_) => return Err(Answer::Unknown("a name that is no text")),
                    other => return Err(other),
                }
            }
        };
        object.insert(name, value);
        Ok(())
    }
}

impl Asked {
    fn most(&mut self, max: u64) {
        self.max = Some(self.max.map_or(max, |known| known.min(max)));
    }
}
