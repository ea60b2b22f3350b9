//! Which texts match some patterns and not others: a walk through the product of their automata, shortest text first.
//!
//! Patterns are translated as the validator translates them, and compiled to deterministic automata over UTF-8. The walk
//! goes character by character, so lengths are what `minLength` counts. It ends with a text, with the proof that there is
//! none, or with the end of the steps.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use regex_automata::Input;
use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::util::primitives::StateID;

use super::node::Name;

/// Largest automaton, and largest scratch space of its construction, in bytes.
const AUTOMATON_BYTES_MAX: usize = 1 << 20;
const BUILDING_BYTES_MAX: usize = 4 << 20;

/// The automata of all patterns seen.
#[derive(Default)]
pub(super) struct Automata {
    known: HashMap<Name, Option<Rc<Machine>>>,
    /// Bytes of automata built, to be paid for in steps.
    pub built: usize,
}

pub(super) struct Machine {
    dfa: dense::DFA<Vec<u32>>,
    start: StateID,
}

/// A state of one part of the product.
type State = u32;
/// A match was seen: whatever follows, it stays.
const MATCHED: State = u32::MAX;
/// No match can come any more; of a list of texts: it is none of them.
const DEAD: State = u32::MAX - 1;

impl Automata {
    pub fn machine(&mut self, pattern: &Name) -> Option<Rc<Machine>> {
        if let Some(known) = self.known.get(pattern) {
            return known.clone();
        }
        let machine = Machine::new(pattern).map(Rc::new);
        self.built += machine.as_ref().map_or(BUILDING_BYTES_MAX, |machine| machine.dfa.memory_usage());
        self.known.insert(pattern.clone(), machine.clone());
        machine
    }

    /// Whether a text matches. `None` where the pattern has no automaton of a bearable size.
    pub fn is_match(&mut self, pattern: &Name, text: &str) -> Option<bool> {
        let machine = self.machine(pattern)?;
        let state = text.bytes().fold(machine.first(), |state, byte| machine.step(state, byte));
        Some(machine.is_match(state))
    }
}

impl Machine {
    fn new(pattern: &str) -> Option<Self> {
        let translated = jsonschema_regex::to_rust_regex(pattern).ok()?;
        let config = dense::Config::new()
            .start_kind(StartKind::Unanchored)
            .dfa_size_limit(Some(AUTOMATON_BYTES_MAX))
            .determinize_size_limit(Some(BUILDING_BYTES_MAX));
        let dfa = dense::Builder::new().configure(config).build(&translated).ok()?;
        let start = dfa.start_state_forward(&Input::new("")).ok()?;
        Some(Self { dfa, start })
    }

    fn first(&self) -> State {
        self.settle(self.start)
    }

    fn settle(&self, state: StateID) -> State {
        if self.dfa.is_match_state(state) {
            MATCHED
        } else if self.dfa.is_dead_state(state) || self.dfa.is_quit_state(state) {
            DEAD
        } else {
            state.as_u32()
        }
    }

    fn step(&self, state: State, byte: u8) -> State {
        match state {
            MATCHED | DEAD => state,
            state => self.settle(self.dfa.next_state(StateID::new_unchecked(state as usize), byte)),
        }
    }

    fn is_match(&self, state: State) -> bool {
        match state {
            MATCHED => true,
            DEAD => false,
            state => self.dfa.is_match_state(self.dfa.next_eoi_state(StateID::new_unchecked(state as usize))),
        }
    }
}

/// Texts that are excluded, as a tree of bytes.
struct Tree {
    next: HashMap<(State, u8), State>,
    ends: HashSet<State>,
}

impl Tree {
    fn of<'t>(texts: impl IntoIterator<Item = &'t str>) -> Self {
        let mut tree = Self { next: HashMap::new(), ends: HashSet::new() };
        let mut count = 0;
        for text in texts {
            let state = text.bytes().fold(0, |state, byte| {
                *tree.next.entry((state, byte)).or_insert_with(|| {
                    count += 1;
                    count
                })
            });
            tree.ends.insert(state);
        }
        tree
    }

    fn step(&self, state: State, byte: u8) -> State {
        self.next.get(&(state, byte)).copied().unwrap_or(DEAD)
    }
}

/// What a text must be.
pub(super) struct Wanted {
    pub matching: Vec<Rc<Machine>>,
    pub missing: Vec<Rc<Machine>>,
    pub excluded: Vec<Rc<str>>,
    /// In characters.
    pub length_min: u64,
    pub length_max: Option<u64>,
}

pub(super) enum Found {
    Text(String),
    /// There is none.
    Nothing,
    /// The steps did not suffice.
    Tired,
}

type Product = Rc<[State]>;

/// The walk.
struct Walk<'w> {
    wanted: &'w Wanted,
    tree: Tree,
    successors: HashMap<Product, Rc<[(char, Product)]>>,
    steps: &'w mut u64,
}

/// A place in the walk: the product's state, the place before it, and the character between them.
struct Place {
    state: Product,
    before: usize,
    character: char,
}

/// Texts longer than this are not built.
const LENGTH_MAX: u64 = 100_000;

impl Wanted {
    /// A shortest such text. `steps` are taken away from.
    pub fn find(&self, steps: &mut u64) -> Found {
        if self.length_max.is_some_and(|max| max < self.length_min) {
            return Found::Nothing;
        }
        if self.length_min > LENGTH_MAX {
            return Found::Tired;
        }
        let tree = Tree::of(self.excluded.iter().map(|text| &**text));
        Walk { wanted: self, tree, successors: HashMap::new(), steps }.find()
    }
}

impl Walk<'_> {
    fn find(&mut self) -> Found {
        let machines = self.wanted.matching.iter().chain(&self.wanted.missing);
        let first: Product = machines.map(|machine| machine.first()).chain([0]).collect();
        if !self.is_alive(&first) {
            return Found::Nothing;
        }
        let mut places = vec![Place { state: first, before: 0, character: ' ' }];
        let mut layer = 0..1;
        let mut seen: HashSet<Product> = HashSet::new();
        for length in 0.. {
            if length >= self.wanted.length_min
                && let Some(end) = layer.clone().find(|place| self.is_accepted(&places[*place].state))
            {
                return Found::Text(text_of(&places, end, length));
            }
            if layer.is_empty() || self.wanted.length_max == Some(length) {
                return Found::Nothing;
            }
            // Shorter than asked for, every state counts at every length; from then on, a state met again is no news.
            if length < self.wanted.length_min {
                seen.clear();
            } else if length == self.wanted.length_min {
                seen = layer.clone().map(|place| places[place].state.clone()).collect();
            }
            let next = places.len();
            for before in layer {
                let state = places[before].state.clone();
                let Some(successors) = self.successors(&state) else {
                    return Found::Tired;
                };
                for (character, state) in successors.iter() {
                    if seen.insert(state.clone()) {
                        places.push(Place { state: state.clone(), before, character: *character });
                    }
                }
            }
            layer = next..places.len();
        }
        Found::Nothing
    }

    /// What one more character leads to: one character for each state. `None` where the steps are used up.
    fn successors(&mut self, state: &Product) -> Option<Rc<[(char, Product)]>> {
        if let Some(known) = self.successors.get(state) {
            *self.steps = self.steps.checked_sub(1)?;
            return Some(known.clone());
        }
        // Some hundred bytes are tried on each automaton.
        *self.steps = self.steps.checked_sub(1 + 4 * state.len() as u64)?;
        let mut found: Vec<(char, Product)> = Vec::new();
        let mut known: HashSet<Product> = HashSet::new();
        for byte in ascii() {
            let next = self.step(state, byte);
            if !known.contains(&next) && self.is_alive(&next) {
                known.insert(next.clone());
                found.push((char::from(byte), next));
            }
        }
        self.longer(state, &mut known, &mut found);
        let found: Rc<[_]> = found.into();
        self.successors.insert(state.clone(), found.clone());
        Some(found)
    }

    /// Characters of more than one byte: all ways through them, each place in a character once per state.
    fn longer(&self, state: &Product, known: &mut HashSet<Product>, found: &mut Vec<(char, Product)>) {
        let mut open: Vec<(Inside, Product, Vec<u8>)> = Vec::new();
        let mut met: HashSet<(Inside, Product)> = HashSet::new();
        for lead in 0xC2..=0xF4 {
            let next = (Inside::after_lead(lead), self.step(state, lead));
            if self.is_alive(&next.1) && met.insert(next.clone()) {
                open.push((next.0, next.1, vec![lead]));
            }
        }
        while let Some((inside, state, bytes)) = open.pop() {
            let (from, to, rest) = inside.continuation();
            for byte in from..=to {
                let next = self.step(&state, byte);
                if !self.is_alive(&next) {
                    continue;
                }
                let spelled = || bytes.iter().copied().chain([byte]).collect::<Vec<u8>>();
                match rest {
                    None if known.contains(&next) => {}
                    None => {
                        known.insert(next.clone());
                        let spelled = spelled();
                        if let Some(character) = std::str::from_utf8(&spelled).ok().and_then(|c| c.chars().next()) {
                            found.push((character, next));
                        }
                    }
                    Some(rest) => {
                        if met.insert((rest, next.clone())) {
                            open.push((rest, next, spelled()));
                        }
                    }
                }
            }
        }
    }

    fn step(&self, state: &Product, byte: u8) -> Product {
        let machines = self.wanted.matching.iter().chain(&self.wanted.missing);
        let stepped = machines.zip(state.iter()).map(|(machine, state)| machine.step(*state, byte));
        let last = self.tree.step(state[state.len() - 1], byte);
        stepped.chain([last]).collect()
    }

    fn is_alive(&self, state: &Product) -> bool {
        let (matching, missing) = state.split_at(self.wanted.matching.len());
        !matching.contains(&DEAD) && !missing[..missing.len() - 1].contains(&MATCHED)
    }

    fn is_accepted(&self, state: &Product) -> bool {
        let (matching, rest) = state.split_at(self.wanted.matching.len());
        let (missing, excluded) = rest.split_at(self.wanted.missing.len());
        self.wanted.matching.iter().zip(matching).all(|(machine, state)| machine.is_match(*state))
            && !self.wanted.missing.iter().zip(missing).any(|(machine, state)| machine.is_match(*state))
            && !self.tree.ends.contains(&excluded[0])
    }
}

fn text_of(places: &[Place], end: usize, length: u64) -> String {
    let mut characters = Vec::new();
    let mut place = end;
    for _ in 0..length {
        characters.push(places[place].character);
        place = places[place].before;
    }
    characters.iter().rev().collect()
}

/// ASCII, the characters that people like to read first.
fn ascii() -> impl Iterator<Item = u8> {
    let nice = (b'a'..=b'z').chain(b'A'..=b'Z').chain(b'0'..=b'9').chain(*b" -_.");
    let others = (0..128u8).filter(|byte| !byte.is_ascii_alphanumeric() && !b" -_.".contains(byte));
    nice.chain(others.clone().filter(|byte| !byte.is_ascii_control())).chain(others.filter(u8::is_ascii_control))
}

/// Where in a character of more than one byte.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Inside {
    OneLeft,
    TwoLeft,
    ThreeLeft,
    /// After bytes that restrict the next one: no overlong forms, no surrogates, nothing beyond U+10FFFF.
    AfterE0,
    AfterEd,
    AfterF0,
    AfterF4,
}

impl Inside {
    fn after_lead(lead: u8) -> Self {
        match lead {
            0xE0 => Self::AfterE0,
            0xED => Self::AfterEd,
            0xF0 => Self::AfterF0,
            0xF4 => Self::AfterF4,
            0xE1..=0xEF => Self::TwoLeft,
            0xF1..=0xF3 => Self::ThreeLeft,
            _ => Self::OneLeft,
        }
    }

    /// The bytes that may follow, and what is left after one.
    fn continuation(self) -> (u8, u8, Option<Self>) {
        match self {
            Self::OneLeft => (0x80, 0xBF, None),
            Self::TwoLeft => (0x80, 0xBF, Some(Self::OneLeft)),
            Self::ThreeLeft => (0x80, 0xBF, Some(Self::TwoLeft)),
            Self::AfterE0 => (0xA0, 0xBF, Some(Self::OneLeft)),
            Self::AfterEd => (0x80, 0x9F, Some(Self::OneLeft)),
            Self::AfterF0 => (0x90, 0xBF, Some(Self::TwoLeft)),
            Self::AfterF4 => (0x80, 0x8F, Some(Self::TwoLeft)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(matching: &[&str], missing: &[&str], excluded: &[&str], min: u64, max: Option<u64>) -> Option<String> {
        let mut automata = Automata::default();
        let mut machines = |patterns: &[&str]| {
            patterns.iter().map(|pattern| automata.machine(&(*pattern).into()).unwrap()).collect::<Vec<_>>()
        };
        let wanted = Wanted {
            matching: machines(matching),
            missing: machines(missing),
            excluded: excluded.iter().map(|text| (*text).into()).collect(),
            length_min: min,
            length_max: max,
        };
        match wanted.find(&mut 1_000_000) {
            Found::Text(text) => Some(text),
            Found::Nothing => None,
            Found::Tired => panic!("tired"),
        }
    }

    #[test]
    fn a_shortest_text_is_found_or_proven_away() {
        assert_eq!(find(&[], &[], &[], 0, None).as_deref(), Some(""));
        assert_eq!(find(&["^[a-c]+$"], &["^a"], &["b"], 0, None).as_deref(), Some("c"));
        assert_eq!(find(&["^[a-c]$"], &[], &["a", "b", "c"], 0, None), None);
        assert_eq!(find(&["^a+$"], &["^a{3,}$"], &[], 3, None), None);
        assert_eq!(find(&["^a+$"], &[], &[], 5, Some(5)).as_deref(), Some("aaaaa"));
        assert_eq!(find(&["b"], &["b$"], &[], 0, None).as_deref(), Some("ba"));
        assert_eq!(find(&["a", "b"], &[], &[], 0, Some(1)), None);
        assert_eq!(find(&["^$"], &[], &[""], 0, None), None);
    }

    #[test]
    fn characters_are_counted_and_not_bytes() {
        assert_eq!(find(&["^[äöü]$"], &["ä", "ö"], &[], 0, Some(1)).as_deref(), Some("ü"));
        assert_eq!(find(&["^[^\\x00-\\x7F]$"], &[], &[], 1, Some(1)).map(|text| text.chars().count()), Some(1));
        assert_eq!(find(&["^.$"], &["^[^😀]$"], &[], 0, None).as_deref(), Some("😀"));
    }
}
