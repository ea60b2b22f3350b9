//! The search for a value that some nodes admit and others refuse: a tableau over nodes.
//!
//! A *goal* is a set of literals, nodes to be admitted or refused. [`Search::solve`] finds a value for it, or proves that
//! there is none. Combinations are taken apart until only atoms are left; those are solved for one kind of value at a
//! time, which asks for values of members and items: smaller goals. A goal that turns up below itself needs no answer: if
//! it has a value, it has one that does without itself. What was proven under such an assumption is kept only as long as
//! the assumption stands.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::compile::Compiler;
use super::node::*;

/// A node that a value must be admitted by, or refused by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Literal {
    pub node: Id,
    pub admitted: bool,
}

pub(super) fn yes(node: Id) -> Literal {
    Literal { node, admitted: true }
}

pub(super) fn no(node: Id) -> Literal {
    Literal { node, admitted: false }
}

impl Literal {
    fn opposite(self) -> Self {
        Self { admitted: !self.admitted, ..self }
    }
}

#[derive(Clone, Debug)]
pub(super) enum Answer {
    Found(Value),
    /// There is no such value.
    Nothing,
    Unknown(&'static str),
}

pub(super) type Goal = Rc<[Literal]>;

/// What is known of a goal, and the outermost open goal that it was proven under.
struct Known {
    answer: Answer,
    under: usize,
}

pub(super) struct Search<'a> {
    pub compiler: Compiler<'a>,
    /// Steps left.
    pub steps: u64,
    depth_max: usize,
    known: HashMap<Goal, Known>,
    open: HashMap<Goal, usize>,
    /// Goals whose answers in `known` stand under an assumption, in order of proof.
    assumed: Vec<Goal>,
    /// The outermost open goal that was met again since this was last set.
    under: usize,
    /// Calls on the stack that nest with the schema and not with the value.
    pub nesting: usize,
    pub(super) validators: HashMap<(Name, Dialect), Option<Rc<Validator>>>,
    pub(super) contained: HashMap<(Id, Id), bool>,
    pub(super) apart: HashMap<(Id, Id), bool>,
    pub(super) facts: HashMap<Id, Rc<super::subsume::Facts>>,
    pub(super) proof: super::subsume::Proof,
    looping: HashMap<u32, bool>,
}

pub(super) const NESTING_MAX: usize = 220;
pub(super) const TIRED: &str = "the bound on steps was reached";
const DEEP: &str = "the bound on depth was reached";

/// Alternatives of which one must hold; each is a list of literals that hold together.
#[derive(Clone)]
struct Choice {
    ways: Vec<Vec<Literal>>,
    /// What the choice was made from.
    from: Literal,
}

/// A goal taken apart so far.
#[derive(Clone)]
pub(super) struct State {
    pub literals: Vec<Literal>,
    held: HashSet<Literal>,
    pub atoms: Vec<Literal>,
    pub kinds: Kinds,
    choices: Vec<Choice>,
    /// Literals that are admitted only if one of these values is it.
    values: Option<Rc<[Value]>>,
    pub unknown: Option<&'static str>,
}

impl<'a> Search<'a> {
    pub fn new(compiler: Compiler<'a>, steps: u64, depth: u32) -> Self {
        Self {
            compiler,
            steps,
            depth_max: depth as usize,
            known: HashMap::new(),
            open: HashMap::new(),
            assumed: Vec::new(),
            under: usize::MAX,
            nesting: 0,
            validators: HashMap::new(),
            contained: HashMap::new(),
            apart: HashMap::new(),
            facts: HashMap::new(),
            proof: super::subsume::Proof::default(),
            looping: HashMap::new(),
        }
    }

    /// Takes a step; `false` where none is left.
    pub fn step(&mut self, cost: u64) -> bool {
        self.steps = self.steps.saturating_sub(cost);
        self.steps > 0
    }

    pub fn node(&self, id: Id) -> Node {
        self.compiler.arena.get(id).clone()
    }

    /// The node that stands behind references.
    pub fn behind(&mut self, mut id: Id) -> Id {
        for _ in 0..NESTING_MAX {
            match self.compiler.arena.get(id) {
                Node::Ref(index) => {
                    let index = *index;
                    if self.is_looping(index) {
                        return self.compiler.arena.add(Node::Unknown("a schema that refers to itself in place"));
                    }
                    id = self.compiler.definition(index);
                }
                _ => return id,
            }
        }
        self.compiler.arena.add(Node::Unknown("references in a row without end"))
    }

    /// Whether a definition leads to itself without a step into a member or item.
    fn is_looping(&mut self, index: u32) -> bool {
        if let Some(known) = self.looping.get(&index) {
            return *known;
        }
        let (mut open, mut seen) = (vec![self.compiler.definition(index)], HashSet::new());
        let mut looping = false;
        while let Some(id) = open.pop() {
            if !seen.insert(id) {
                continue;
            }
            self.steps = self.steps.saturating_sub(1);
            match self.node(id) {
                Node::And(parts) | Node::Or(parts) | Node::One(parts) => open.extend(parts.iter()),
                Node::Not(part) => open.push(part),
                Node::Ref(next) if next == index => looping = true,
                Node::Ref(next) => open.push(self.compiler.definition(next)),
                _ => {}
            }
        }
        self.looping.insert(index, looping);
        looping
    }

    /// A value for a goal, or that there is none.
    pub fn solve(&mut self, literals: impl IntoIterator<Item = Literal>) -> Answer {
        let mut goal: Vec<Literal> = literals.into_iter().filter(|literal| *literal != yes(TRUE)).collect();
        goal.sort_unstable();
        goal.dedup();
        let opposed = |pair: &[Literal]| pair[0].node == pair[1].node;
        if goal.contains(&yes(FALSE)) || goal.contains(&no(TRUE)) || goal.windows(2).any(opposed) {
            return Answer::Nothing;
        }
        let goal: Goal = goal.into();
        if let Some(known) = self.known.get(&goal) {
            self.under = self.under.min(known.under);
            return known.answer.clone();
        }
        if let Some(place) = self.open.get(&goal) {
            self.under = self.under.min(*place);
            return Answer::Nothing;
        }
        if !self.step(1 + goal.len() as u64) {
            return Answer::Unknown(TIRED);
        }
        let place = self.open.len();
        if place >= self.depth_max || self.nesting >= NESTING_MAX {
            return Answer::Unknown(DEEP);
        }
        self.open.insert(goal.clone(), place);
        let outside = std::mem::replace(&mut self.under, usize::MAX);
        let assumed_before = self.assumed.len();
        self.nesting += 1;
        let answer = self.start(&goal);
        self.nesting -= 1;
        self.open.remove(&goal);
        let under = std::mem::replace(&mut self.under, outside);
        self.remember(goal, place, answer.clone(), under, assumed_before);
        answer
    }

    fn remember(&mut self, goal: Goal, place: usize, answer: Answer, under: usize, assumed_before: usize) {
        match answer {
            Answer::Nothing if under < place => {
                for assumed in &self.assumed[assumed_before..] {
                    if let Some(known) = self.known.get_mut(assumed) {
                        known.under = known.under.min(under);
                    }
                }
                self.under = self.under.min(under);
                self.assumed.push(goal.clone());
                self.known.insert(goal, Known { answer, under });
            }
            Answer::Nothing => {
                // All that was assumed below is proven now.
                for assumed in self.assumed.drain(assumed_before..) {
                    if let Some(known) = self.known.get_mut(&assumed) {
                        known.under = usize::MAX;
                    }
                }
                self.known.insert(goal, Known { answer, under: usize::MAX });
            }
            answer => {
                for assumed in self.assumed.drain(assumed_before..) {
                    self.known.remove(&assumed);
                }
                self.known.insert(goal, Known { answer, under: usize::MAX });
            }
        }
    }

    fn start(&mut self, goal: &Goal) -> Answer {
        for one in goal.iter().filter(|literal| !literal.admitted) {
            for other in goal.iter().filter(|literal| literal.admitted) {
                if self.is_contained(other.node, one.node) {
                    return Answer::Nothing;
                }
            }
        }
        let mut state = State::new();
        for literal in goal.iter() {
            if !self.assert(&mut state, *literal) {
                return Answer::Nothing;
            }
        }
        self.branch(state, goal)
    }

    /// Adds a literal and what follows from it at once. `false` where it cannot hold.
    fn assert(&mut self, state: &mut State, literal: Literal) -> bool {
        let mut open = vec![literal];
        while let Some(literal) = open.pop() {
            if state.held.contains(&literal.opposite()) {
                return false;
            }
            if !state.held.insert(literal) {
                continue;
            }
            state.literals.push(literal);
            self.steps = self.steps.saturating_sub(1);
            let Literal { node: id, admitted } = literal;
            let node = self.node(id);
            match (&node, admitted) {
                (Node::True, true) | (Node::False, false) => {}
                (Node::True, false) | (Node::False, true) => return false,
                (Node::Not(inner), _) => open.push(Literal { node: *inner, admitted: !admitted }),
                (Node::Ref(_), _) => open.push(Literal { node: self.behind(id), admitted }),
                (Node::Unknown(reason), _) => state.unknown = Some(reason),
                (Node::And(parts), true) => open.extend(parts.iter().map(|part| yes(*part))),
                (Node::Or(parts), false) => open.extend(parts.iter().map(|part| no(*part))),
                (Node::And(parts), false) => {
                    let ways: Vec<_> = parts.iter().map(|part| vec![self.plain(no(*part))]).collect();
                    state.choose(literal, ways.into_iter());
                }
                (Node::Or(parts), true) => {
                    let ways: Vec<_> = parts.iter().map(|part| vec![self.plain(yes(*part))]).collect();
                    state.choose(literal, ways.into_iter());
                }
                (Node::One(parts), true) => {
                    let way = |chosen: usize| {
                        let literals = parts.iter().enumerate();
                        literals.map(|(index, part)| Literal { node: *part, admitted: index == chosen }).collect()
                    };
                    state.choose(literal, (0..parts.len()).map(way));
                }
                (Node::One(parts), false) => {
                    let none = parts.iter().map(|part| no(*part)).collect();
                    let pairs = (0..parts.len()).flat_map(|one| (0..one).map(move |other| (one, other)));
                    let pairs = pairs.map(|(one, other)| vec![yes(parts[one]), yes(parts[other])]);
                    state.choose(literal, std::iter::once(none).chain(pairs));
                }
                (Node::Kinds(kinds), _) => {
                    state.kinds &= if admitted { *kinds } else { !*kinds };
                }
                (Node::Enum(values), true) => {
                    state.kinds &= values.iter().map(kinds_of_normal).fold(0, |all, one| all | one);
                    if state.values.as_ref().is_none_or(|known| known.len() > values.len()) {
                        state.values = Some(values.clone());
                    }
                    state.atoms.push(literal);
                }
                (node, true) => {
                    if let Node::Member(name, part) = node
                        && state.kinds == OBJECT
                        && self.is_shut(state, name, *part)
                    {
                        return false;
                    }
                    state.atoms.push(literal);
                }
                (node, false) => {
                    state.kinds &= node.domain();
                    state.atoms.push(literal);
                }
            }
            if state.kinds == 0 {
                return false;
            }
        }
        true
    }

    /// The same literal without references and negations around it, so that it is known again.
    fn plain(&mut self, mut literal: Literal) -> Literal {
        for _ in 0..NESTING_MAX {
            match self.compiler.arena.get(literal.node) {
                Node::Not(inner) => literal = Literal { node: *inner, admitted: !literal.admitted },
                Node::Ref(_) => literal.node = self.behind(literal.node),
                _ => break,
            }
        }
        literal
    }

    /// Whether a member that must be there would have to be of two kinds at once.
    fn is_shut(&mut self, state: &State, name: &Name, part: Id) -> bool {
        let has = self.compiler.arena.add(Node::Has(name.clone()));
        if !state.held.contains(&yes(has)) {
            return false;
        }
        let others: Vec<Id> = state
            .atoms
            .iter()
            .filter_map(|atom| match self.compiler.arena.get(atom.node) {
                Node::Member(other, part) if atom.admitted && other == name => Some(*part),
                _ => None,
            })
            .collect();
        others.into_iter().any(|other| self.are_apart(other, part))
    }

    /// Whether a literal cannot hold beside what is held; `false` says nothing.
    fn is_closed(&mut self, state: &State, literal: Literal) -> bool {
        if state.held.contains(&literal.opposite()) {
            return true;
        }
        if state.held.contains(&literal) {
            return false;
        }
        if literal.admitted && self.facts(literal.node).kinds & state.kinds == 0 {
            return true;
        }
        self.step(state.literals.len() as u64 / 16);
        state.literals.iter().any(|held| match (held.admitted, literal.admitted) {
            (true, false) => self.is_contained(held.node, literal.node),
            (false, true) => self.is_contained(literal.node, held.node),
            (true, true) => self.are_apart(held.node, literal.node),
            (false, false) => false,
        })
    }

    /// Whether a choice needs not be made, because what is held implies one of its ways.
    fn is_made(&mut self, state: &State, choice: &Choice) -> bool {
        if choice.ways.iter().any(|way| way.iter().all(|literal| state.held.contains(literal))) {
            return true;
        }
        // Only of atoms: what is held as a combination holds because of its choices, this one among them.
        let Literal { node, admitted } = choice.from;
        match admitted {
            true => state.atoms.iter().any(|atom| atom.admitted && self.is_contained(atom.node, node)),
            false => self.is_apart_from_atoms(state, node),
        }
    }

    fn is_apart_from_atoms(&mut self, state: &State, node: Id) -> bool {
        let facts = self.facts(node);
        if facts.kinds & state.kinds == 0 {
            return true;
        }
        if facts.kinds & state.kinds != OBJECT {
            return state.atoms.iter().any(|atom| atom.admitted && self.are_apart(atom.node, node));
        }
        for atom in state.atoms.iter().filter(|atom| atom.admitted) {
            let Node::Member(name, part) = self.node(atom.node) else {
                continue;
            };
            let has = self.compiler.arena.add(Node::Has(name.clone()));
            let present = state.held.contains(&yes(has)) || facts.has.contains(&name);
            let others = facts.members.get(&name).cloned().unwrap_or_default();
            if present && others.into_iter().any(|other| self.are_apart(part, other)) {
                return true;
            }
        }
        false
    }

    fn branch(&mut self, mut state: State, goal: &Goal) -> Answer {
        loop {
            if !self.step(1 + state.size() / 8) {
                return Answer::Unknown(TIRED);
            }
            if let Some(values) = state.values.clone() {
                return self.listed(&values, goal);
            }
            let mut progress = false;
            for mut choice in std::mem::take(&mut state.choices) {
                if self.is_made(&state, &choice) {
                    continue;
                }
                choice.ways.retain(|way| !way.iter().any(|literal| self.is_closed(&state, *literal)));
                match choice.ways.len() {
                    0 => return Answer::Nothing,
                    1 => {
                        for literal in choice.ways.swap_remove(0) {
                            if !self.assert(&mut state, literal) {
                                return Answer::Nothing;
                            }
                        }
                        progress = true;
                    }
                    _ => state.choices.push(choice),
                }
            }
            if !progress {
                break;
            }
        }
        let fewest = (0..state.choices.len()).min_by_key(|index| state.choices[*index].ways.len());
        let Some(fewest) = fewest else {
            return self.leaf(state, goal);
        };
        if self.nesting >= NESTING_MAX {
            return Answer::Unknown("the schema combines too many choices");
        }
        let choice = state.choices.swap_remove(fewest);
        let mut unknown = None;
        self.nesting += 1;
        for way in &choice.ways {
            self.step(state.size() / 8);
            let mut inside = state.clone();
            if !way.iter().all(|literal| self.assert(&mut inside, *literal)) {
                continue;
            }
            match self.branch(inside, goal) {
                Answer::Nothing => {}
                Answer::Found(value) => {
                    self.nesting -= 1;
                    return Answer::Found(value);
                }
                Answer::Unknown(reason) => unknown = Some(reason),
            }
            if self.steps == 0 {
                unknown = Some(TIRED);
                break;
            }
        }
        self.nesting -= 1;
        unknown.map_or(Answer::Nothing, Answer::Unknown)
    }

    /// Tries values that are all there can be.
    fn listed(&mut self, values: &[Value], goal: &Goal) -> Answer {
        let mut open = None;
        for value in values {
            let pointed = value.as_i64().filter(|_| value.is_number()).map(|number| json!(number as f64));
            for value in [Some(value.clone()), pointed].into_iter().flatten() {
                match self.satisfies(&value, goal) {
                    Some(true) => return Answer::Found(value),
                    Some(false) => {}
                    None => open = Some("a constraint that only the validator knows"),
                }
            }
        }
        open.map_or(Answer::Nothing, Answer::Unknown)
    }

    /// Whether a value is what a goal asks for.
    pub fn satisfies(&mut self, value: &Value, goal: &[Literal]) -> Option<bool> {
        let mut open = false;
        for literal in goal {
            match self.admits(literal.node, value) {
                Some(admitted) if admitted == literal.admitted => {}
                Some(_) => return Some(false),
                None => open = true,
            }
        }
        (!open).then_some(true)
    }

    /// Only atoms are left: one kind after the other.
    fn leaf(&mut self, state: State, goal: &Goal) -> Answer {
        let mut unknown = None;
        for kinds in [NULL | BOOL, STRING, NUMBER, OBJECT, ARRAY] {
            let kinds = kinds & state.kinds;
            if kinds == 0 {
                continue;
            }
            let state = State { kinds, ..state.clone() };
            let answer = match kinds {
                STRING => self.text(&state, goal),
                OBJECT | ARRAY => self.container(state, goal),
                kinds if kinds & NUMBER != 0 => self.number(&state, goal),
                kinds => {
                    let values = [(NULL, Value::Null), (BOOL, json!(true)), (BOOL, json!(false))];
                    let values: Vec<_> = values.into_iter().filter(|(kind, _)| kind & kinds != 0).collect();
                    let values: Vec<_> = values.into_iter().map(|(_, value)| value).collect();
                    self.listed(&values, goal)
                }
            };
            match answer {
                Answer::Nothing => {}
                Answer::Found(value) => return Answer::Found(value),
                Answer::Unknown(reason) => unknown = Some(reason),
            }
            if self.steps == 0 {
                return Answer::Unknown(TIRED);
            }
        }
        unknown.map_or(Answer::Nothing, Answer::Unknown)
    }

    /// An object or array. Values that it must not be are taken apart first: some part differs.
    fn container(&mut self, mut state: State, goal: &Goal) -> Answer {
        let mut excluded = Vec::new();
        state.atoms.retain(|atom| match (self.compiler.arena.get(atom.node), atom.admitted) {
            (Node::Enum(values), false) => {
                excluded.extend(values.iter().filter(|value| kind_of(value) & state.kinds != 0).cloned());
                false
            }
            _ => true,
        });
        if excluded.is_empty() {
            return match state.kinds {
                OBJECT => self.object(&state, goal),
                _ => self.array(&state, goal),
            };
        }
        for value in excluded {
            let structure = self.structure(&value);
            if !self.assert(&mut state, no(structure)) {
                return Answer::Nothing;
            }
        }
        self.branch(state, goal)
    }

    /// The node of exactly this object or array.
    pub fn structure(&mut self, value: &Value) -> Id {
        let arena = &mut self.compiler.arena;
        let mut parts = Vec::new();
        match value {
            Value::Array(items) => {
                let length = items.len() as u64;
                parts.push(arena.kinds(ARRAY));
                parts.push(if length == 0 { TRUE } else { arena.add(Node::MinItems(length)) });
                parts.push(arena.add(Node::MaxItems(length)));
                for (index, item) in items.iter().enumerate() {
                    let item = arena.values([item.clone()]);
                    parts.push(arena.add(Node::Item(index as u64, item)));
                }
            }
            Value::Object(members) => {
                parts.push(arena.kinds(OBJECT));
                let except = members.keys().map(|name| Name::from(name.as_str())).collect();
                let names = Names { except, ..Names::default() };
                parts.push(arena.add(Node::Members(names.into(), FALSE)));
                for (name, member) in members {
                    let member = arena.values([member.clone()]);
                    parts.push(arena.add(Node::Has(name.as_str().into())));
                    parts.push(arena.add(Node::Member(name.as_str().into(), member)));
                }
            }
            other => parts.push(arena.values([other.clone()])),
        }
        arena.and(parts)
    }
}

impl State {
    fn new() -> Self {
        Self {
            literals: Vec::new(),
            held: HashSet::new(),
            atoms: Vec::new(),
            kinds: ALL,
            choices: Vec::new(),
            values: None,
            unknown: None,
        }
    }

    /// About how much there is to look through.
    fn size(&self) -> u64 {
        let ways: usize = self.choices.iter().map(|choice| choice.ways.len()).sum();
        (self.literals.len() + ways) as u64
    }

    fn choose(&mut self, from: Literal, ways: impl Iterator<Item = Vec<Literal>>) {
        self.choices.push(Choice { ways: ways.collect(), from });
    }
}
