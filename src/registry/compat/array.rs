//! Arrays that satisfy atoms.
//!
//! Places that atoms name have goals of their own, those behind share one. Items that must exist somewhere (`contains`,
//! "not all of the rest") are placed by trying; how many places are worth trying is bounded by what is asked for, because
//! any other item at the end could be left out.

use serde_json::Value;

use super::node::*;
use super::search::{Answer, Goal, Literal, Search, State, TIRED, no, yes};

/// What is asked of an array.
#[derive(Default)]
struct Asked {
    items: Vec<(u64, Literal)>,
    rest: Vec<(u64, Id)>,
    /// For some item from a place on; those of one group at places of their own.
    some: Vec<Demand>,
    most: Vec<(u64, Id)>,
    min: u64,
    max: Option<u64>,
    unique: bool,
    repeats: bool,
    /// Places that are told apart.
    named: u64,
}

#[derive(Clone, Copy)]
struct Demand {
    from: u64,
    item: Literal,
    group: usize,
}

/// Lengths that are tried beyond the shortest.
const DEMANDS_MAX: u64 = 40;
const LENGTH_MAX: u64 = 3_000;
const LONG: &str = "very long arrays";

impl Search<'_> {
    pub(super) fn array(&mut self, state: &State, goal: &Goal) -> Answer {
        let Some(asked) = self.asked_of_array(state) else {
            return Answer::Unknown(LONG);
        };
        let demands = asked.some.len() as u64 + if asked.repeats { 2 } else { 0 };
        let mut longest = asked.min.max(asked.named.saturating_add(demands));
        if let Some(max) = asked.max {
            longest = longest.min(max);
        }
        if asked.min > longest {
            return Answer::Nothing;
        }
        if asked.min > LENGTH_MAX || demands > DEMANDS_MAX {
            return Answer::Unknown(LONG);
        }
        let mut unknown = (longest > LENGTH_MAX).then_some(LONG);
        // A longer array helps only where something must be placed.
        let longest = if demands == 0 { asked.min } else { longest.min(LENGTH_MAX) };
        for length in asked.min..=longest {
            let mut places: Vec<Vec<Literal>> = (0..length).map(|place| asked.base(place)).collect();
            let answer = self.place_items(&asked, &mut places, &mut Vec::new());
            match (answer, state.unknown) {
                (Answer::Found(_), Some(reason)) => unknown = Some(reason),
                (Answer::Found(value), None) => match self.satisfies(&value, goal) {
                    Some(false) => unknown = Some("an array that was put together wrongly"),
                    _ => return Answer::Found(value),
                },
                (Answer::Nothing, _) => {}
                (Answer::Unknown(reason), _) => unknown = Some(reason),
            }
            if self.steps == 0 {
                return Answer::Unknown(TIRED);
            }
        }
        unknown.map_or(Answer::Nothing, Answer::Unknown)
    }

    fn asked_of_array(&mut self, state: &State) -> Option<Asked> {
        let mut asked = Asked::default();
        for atom in &state.atoms {
            match (self.node(atom.node), atom.admitted) {
                (Node::MinItems(min), true) => asked.min = asked.min.max(min),
                (Node::MaxItems(max), false) => asked.min = asked.min.max(max.saturating_add(1)),
                (Node::MaxItems(max), true) => asked.at_most(max),
                (Node::MinItems(min), false) => asked.at_most(min - 1),
                (Node::Unique, true) => asked.unique = true,
                (Node::Unique, false) => asked.repeats = true,
                (Node::Item(index, part), admitted) => {
                    if !admitted {
                        asked.min = asked.min.max(index + 1);
                    }
                    asked.items.push((index, Literal { node: part, admitted }));
                    asked.named = asked.named.max(index + 1);
                }
                (Node::Rest(from, part), true) => {
                    asked.rest.push((from, part));
                    asked.named = asked.named.max(from);
                }
                (Node::Rest(from, part), false) => {
                    asked.demand(from, no(part), 1)?;
                    asked.named = asked.named.max(from);
                }
                (Node::AtLeast(least, part), true) => asked.demand(0, yes(part), least)?,
                (Node::AtMost(most, part), false) => asked.demand(0, yes(part), most.saturating_add(1))?,
                (Node::AtMost(most, part), true) => asked.most.push((most, part)),
                (Node::AtLeast(least, part), false) => asked.most.push((least - 1, part)),
                _ => {}
            }
        }
        Some(asked)
    }

    /// Places the demands one after the other; `used` are the places of those placed.
    fn place_items(&mut self, asked: &Asked, places: &mut Vec<Vec<Literal>>, used: &mut Vec<usize>) -> Answer {
        if !self.step(1) {
            return Answer::Unknown(TIRED);
        }
        let Some(demand) = asked.some.get(used.len()).copied() else {
            return self.restrict(asked, places, 0, &asked.most.clone());
        };
        let mut unknown = None;
        let mut tried_free = false;
        for place in 0..places.len() {
            let taken =
                used.iter().enumerate().any(|(index, at)| *at == place && asked.some[index].group == demand.group);
            if (place as u64) < demand.from || taken {
                continue;
            }
            // Behind the named places, one unused place is like another.
            if place as u64 >= asked.named && !used.contains(&place) && std::mem::replace(&mut tried_free, true) {
                continue;
            }
            places[place].push(demand.item);
            used.push(place);
            let answer = match self.solve(places[place].iter().copied()) {
                Answer::Found(_) => self.place_items(asked, places, used),
                other => other,
            };
            used.pop();
            places[place].pop();
            match answer {
                Answer::Found(value) => return Answer::Found(value),
                Answer::Nothing => {}
                Answer::Unknown(reason) => unknown = Some(reason),
            }
        }
        unknown.map_or(Answer::Nothing, Answer::Unknown)
    }

    /// Decides, place by place, which items count towards a `maxContains`.
    fn restrict(
        &mut self,
        asked: &Asked,
        places: &mut Vec<Vec<Literal>>,
        place: usize,
        left: &[(u64, Id)],
    ) -> Answer {
        if !self.step(1) {
            return Answer::Unknown(TIRED);
        }
        if left.is_empty() || place == places.len() {
            return self.fill_items(asked, places);
        }
        if self.nesting >= super::search::NESTING_MAX || left.len() > 8 {
            return Answer::Unknown(LONG);
        }
        let before = places[place].clone();
        let mut unknown = None;
        // Each subset of the limits is one that this item counts towards.
        for counted in 0..1u32 << left.len() {
            let counts = |index: usize| counted & (1 << index) != 0;
            if (0..left.len()).any(|index| counts(index) && left[index].0 == 0) {
                continue;
            }
            let mut rest = left.to_vec();
            for (index, (room, part)) in rest.iter_mut().enumerate() {
                match counts(index) {
                    true => *room -= 1,
                    false => places[place].push(no(*part)),
                }
            }
            let answer = match self.solve(places[place].iter().copied()) {
                Answer::Found(_) => {
                    self.nesting += 1;
                    let answer = self.restrict(asked, places, place + 1, &rest);
                    self.nesting -= 1;
                    answer
                }
                other => other,
            };
            places[place] = before.clone();
            match answer {
                Answer::Found(value) => return Answer::Found(value),
                Answer::Nothing => {}
                Answer::Unknown(reason) => unknown = Some(reason),
            }
        }
        unknown.map_or(Answer::Nothing, Answer::Unknown)
    }

    /// Values for places whose goals are settled.
    fn fill_items(&mut self, asked: &Asked, places: &[Vec<Literal>]) -> Answer {
        if asked.repeats {
            return self.fill_repeating(asked, places);
        }
        let mut items = Vec::with_capacity(places.len());
        for place in places {
            match self.solve(place.iter().copied()) {
                Answer::Found(value) => items.push(value),
                other => return other,
            }
        }
        if !asked.unique || all_differ(&items) {
            return Answer::Found(Value::Array(items));
        }
        self.fill_differing(places)
    }

    /// Two places with one value.
    fn fill_repeating(&mut self, asked: &Asked, places: &[Vec<Literal>]) -> Answer {
        if asked.unique {
            return Answer::Nothing;
        }
        let mut items = Vec::new();
        for place in places {
            match self.solve(place.iter().copied()) {
                Answer::Found(value) => items.push(value),
                other => return other,
            }
        }
        let mut unknown = None;
        for one in 0..places.len() {
            for other in 0..one {
                match self.solve(places[one].iter().chain(&places[other]).copied()) {
                    Answer::Found(value) => {
                        items[one] = value.clone();
                        items[other] = value;
                        return Answer::Found(Value::Array(items));
                    }
                    Answer::Nothing => {}
                    Answer::Unknown(reason) => unknown = Some(reason),
                }
            }
        }
        unknown.map_or(Answer::Nothing, Answer::Unknown)
    }

    /// A different value for each place. As many values as there are places are enough of each to choose from: a place
    /// with that many is left over for the end.
    fn fill_differing(&mut self, places: &[Vec<Literal>]) -> Answer {
        let mut choices: Vec<Vec<Value>> = Vec::new();
        for (index, place) in places.iter().enumerate() {
            if let Some(same) = places[..index].iter().position(|other| other == place) {
                choices.push(choices[same].clone());
                continue;
            }
            let mut values: Vec<Value> = Vec::new();
            while values.len() < places.len() {
                let known = self.compiler.arena.values(values.iter().cloned());
                let others = (!values.is_empty()).then_some(no(known));
                match self.solve(place.iter().copied().chain(others)) {
                    Answer::Found(value) => values.push(normal(value)),
                    Answer::Nothing => break,
                    Answer::Unknown(reason) => return Answer::Unknown(reason),
                }
            }
            choices.push(values);
        }
        let mut owners: Vec<(Value, usize)> = Vec::new();
        for place in 0..choices.len() {
            if !self.assign(place, &choices, &mut owners, &mut Vec::new()) {
                return if self.steps == 0 { Answer::Unknown(TIRED) } else { Answer::Nothing };
            }
        }
        let mut items = vec![Value::Null; choices.len()];
        owners.into_iter().for_each(|(value, place)| items[place] = value);
        Answer::Found(Value::Array(items))
    }

    /// Gives a place a value, moving others to another of theirs where needed.
    fn assign(
        &mut self,
        place: usize,
        choices: &[Vec<Value>],
        owners: &mut Vec<(Value, usize)>,
        asked: &mut Vec<Value>,
    ) -> bool {
        for value in &choices[place] {
            if !self.step(1) {
                return false;
            }
            if asked.contains(value) {
                continue;
            }
            asked.push(value.clone());
            let owner = owners.iter().position(|(owned, _)| owned == value);
            match owner.map(|owner| owners[owner].1) {
                None => owners.push((value.clone(), place)),
                Some(owned_by) if self.assign(owned_by, choices, owners, asked) => {
                    // Its owner found another value and left this one listed under its old place.
                    owners.retain(|(owned, by)| owned != value || *by != owned_by);
                    owners.push((value.clone(), place));
                }
                Some(_) => continue,
            }
            return true;
        }
        false
    }
}

impl Asked {
    fn at_most(&mut self, max: u64) {
        self.max = Some(self.max.map_or(max, |known| known.min(max)));
    }

    /// `None` where there are too many.
    fn demand(&mut self, from: u64, item: Literal, times: u64) -> Option<()> {
        let group = self.some.len();
        for _ in 0..times {
            self.some.push(Demand { from, item, group });
            (self.some.len() as u64 <= DEMANDS_MAX).then_some(())?;
        }
        Some(())
    }

    /// What is asked of the item at a place, whatever else is placed there.
    fn base(&self, place: u64) -> Vec<Literal> {
        let items = self.items.iter().filter(|(index, _)| *index == place).map(|(_, literal)| *literal);
        let rest = self.rest.iter().filter(|(from, _)| *from <= place).map(|(_, part)| yes(*part));
        items.chain(rest).collect()
    }
}

fn all_differ(items: &[Value]) -> bool {
    let mut items: Vec<Value> = items.iter().cloned().map(normal).collect();
    items.sort_by_cached_key(Value::to_string);
    !items.windows(2).any(|pair| pair[0] == pair[1])
}
