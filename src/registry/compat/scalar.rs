//! Texts and numbers that satisfy atoms.

use std::rc::Rc;

use serde_json::Value;

use super::format;
use super::node::*;
use super::number::Decimal;
use super::search::{Answer, Goal, Search, State, TIRED};
use super::subsume::format_of;
use super::text::{Found, Wanted};

/// Texts that are tried where only the validator knows.
const TRIES_MAX: usize = 60;
/// Texts that few formats have.
const ODD: &[&str] = &["", " ", "\\", "%", "{", "(", "a b", "/~", "not it", "-", "\u{e9}", "//[", "0"];
const JUDGED: &str = "a format that only the validator can judge";
const LARGE: &str = "numbers beyond 38 digits";
/// Numbers of a grid that are tried.
const GRID_MAX: i128 = 5_000;

impl Search<'_> {
    pub(super) fn text(&mut self, state: &State, goal: &Goal) -> Answer {
        let mut wanted = Wanted {
            matching: Vec::new(),
            missing: Vec::new(),
            excluded: Vec::new(),
            length_min: 0,
            length_max: None,
        };
        let mut formats = Vec::new();
        let mut unknown = state.unknown;
        let mut judged = false;
        for atom in &state.atoms {
            match (self.node(atom.node), atom.admitted) {
                (Node::MinLength(min), true) => wanted.longer(min),
                (Node::MaxLength(max), true) => wanted.shorter(max),
                (Node::MinLength(min), false) => wanted.shorter(min - 1),
                (Node::MaxLength(max), false) => wanted.longer(max.saturating_add(1)),
                (Node::Pattern(pattern), admitted) => match self.machine(&pattern) {
                    Some(machine) if admitted => wanted.matching.push(machine),
                    Some(machine) => wanted.missing.push(machine),
                    None => unknown = Some("a pattern whose automaton is too large"),
                },
                (Node::Enum(values), false) => {
                    wanted.excluded.extend(values.iter().filter_map(Value::as_str).map(Rc::from));
                }
                (Node::Opaque(fragment, _, kinds), admitted) if kinds & STRING != 0 => {
                    judged = true;
                    formats.extend(format_of(&fragment).filter(|_| admitted));
                }
                _ => {}
            }
        }
        for shape in formats.iter().filter_map(|name| format::shape(name)) {
            wanted.matching.extend(self.machine(&shape.into()));
        }
        if judged && let Some(found) = self.tried(&formats, &wanted, goal) {
            return found;
        }
        for _ in 0..TRIES_MAX {
            let text = match wanted.find(&mut self.steps) {
                Found::Nothing => return unknown.map_or(Answer::Nothing, Answer::Unknown),
                Found::Tired => return Answer::Unknown(TIRED),
                Found::Text(text) => text,
            };
            let value = Value::from(text.as_str());
            match self.satisfies(&value, goal) {
                Some(true) => return Answer::Found(value),
                Some(false) => wanted.excluded.push(text.into()),
                None => {
                    unknown = unknown.or(Some(JUDGED));
                    wanted.excluded.push(text.into());
                }
            }
        }
        Answer::Unknown(unknown.unwrap_or(JUDGED))
    }

    pub(super) fn machine(&mut self, pattern: &Name) -> Option<Rc<super::text::Machine>> {
        let before = self.compiler.automata.built;
        let machine = self.compiler.automata.machine(pattern);
        // Building costs about as much as walking: some bytes of automaton per step.
        let built = self.compiler.automata.built - before;
        self.step(built as u64 / 1_000);
        machine
    }

    /// Known texts of the formats, and known oddities.
    fn tried(&mut self, formats: &[String], wanted: &Wanted, goal: &Goal) -> Option<Answer> {
        let mut texts: Vec<String> = Vec::new();
        for sample in formats.iter().flat_map(|format| format::samples(format)) {
            texts.push((*sample).to_owned());
            let missing = usize::try_from(wanted.length_min).unwrap_or(usize::MAX).saturating_sub(sample.len());
            if missing > 0 && missing < 10_000 {
                texts.push(format!("{sample}{}", "a".repeat(missing)));
                texts.push(format!("{}{sample}", "a".repeat(missing)));
            }
        }
        texts.extend(ODD.iter().map(|odd| (*odd).to_owned()));
        let mut found = texts.into_iter().map(Value::from).filter(|text| self.satisfies(text, goal) == Some(true));
        found.next().map(Answer::Found)
    }

    pub(super) fn number(&mut self, state: &State, goal: &Goal) -> Answer {
        let mut range = Range::default();
        let mut exact = state.unknown.is_none();
        for atom in &state.atoms {
            let fits = match (self.node(atom.node), atom.admitted) {
                (Node::Min(limit, open), true) => range.above(limit, open),
                (Node::Min(limit, open), false) => range.below(limit, !open),
                (Node::Max(limit, open), true) => range.below(limit, open),
                (Node::Max(limit, open), false) => range.above(limit, !open),
                (Node::Multiple(divisor), true) => range.every(divisor),
                (Node::Multiple(divisor), false) => {
                    range.avoided.push(divisor);
                    Some(())
                }
                (Node::Enum(values), false) => {
                    range.excluded += values.iter().filter(|value| value.is_number()).count();
                    Some(())
                }
                (Node::Opaque(..), _) => {
                    exact = false;
                    Some(())
                }
                _ => Some(()),
            };
            if fits.is_none() {
                return Answer::Unknown(LARGE);
            }
        }
        match range.is_empty() {
            Some(true) => return Answer::Nothing,
            Some(false) => {}
            None => return Answer::Unknown(LARGE),
        }
        let mut sure = exact;
        if state.kinds & INTEGER != 0 {
            let mut integers = range.clone();
            if integers.every(Decimal::ONE).is_none() {
                return Answer::Unknown(LARGE);
            }
            match self.on_grid(&integers, goal) {
                Ok(value) => return Answer::Found(value),
                Err(proven) => sure &= proven,
            }
        }
        if state.kinds & FRACTION != 0 {
            range.avoided.push(Decimal::ONE);
            let tried = match range.step {
                Some(_) => self.on_grid(&range, goal),
                None => self.between(&range, goal),
            };
            match tried {
                Ok(value) => return Answer::Found(value),
                Err(proven) => sure &= proven,
            }
        }
        if sure { Answer::Nothing } else { Answer::Unknown("numbers that are hard to find") }
    }

    /// A multiple of the step; otherwise whether it is proven that there is none.
    fn on_grid(&mut self, range: &Range, goal: &Goal) -> Result<Value, bool> {
        let Some(step) = range.step else {
            return Err(false);
        };
        if range.avoided.iter().any(|avoided| step.is_multiple_of(*avoided) == Some(true)) {
            return Err(true);
        }
        let Some((first, last, direction)) = range.places(step) else {
            return Err(false);
        };
        let count = last.map(|last| (last - first) * direction + 1);
        if count.is_some_and(|count| count <= 0) {
            return Err(true);
        }
        // What is avoided comes around; a round without an excluded value shows everything.
        let round = range.avoided.iter().try_fold(step, |round, avoided| round.common_multiple(*avoided));
        let round = round.and_then(|round| round.quotient(step));
        let enough = round.and_then(|round| round.checked_mul(range.excluded as i128 + 1));
        let tries = count.unwrap_or(GRID_MAX).min(enough.unwrap_or(GRID_MAX)).min(GRID_MAX);
        let proven = count.is_some_and(|count| count <= tries) || enough.is_some_and(|enough| enough <= tries);
        let mut skipped = false;
        for offset in 0..tries {
            if !self.step(1) {
                return Err(false);
            }
            let number = first.checked_add(offset * direction).and_then(|place| step.times(place));
            match number.map(|number| self.try_number(number, goal)) {
                Some(Ok(value)) => return Ok(value),
                Some(Err(refused)) => skipped |= !refused,
                None => return Err(false),
            }
        }
        Err(proven && !skipped)
    }

    /// The number in either way of writing it; otherwise whether it is refused for sure.
    fn try_number(&mut self, number: Decimal, goal: &Goal) -> Result<Value, bool> {
        let mut refused = true;
        for pointed in [false, true] {
            let Some(value) = number.to_value(pointed) else {
                refused = false;
                continue;
            };
            match self.satisfies(&value, goal) {
                Some(true) => return Ok(value),
                Some(false) => {}
                None => refused = false,
            }
        }
        Err(refused)
    }

    /// A fraction where fractions lie densely.
    fn between(&mut self, range: &Range, goal: &Goal) -> Result<Value, bool> {
        if let (Some((low, _)), Some((high, _))) = (range.low, range.high)
            && low == high
        {
            return self.try_number(low, goal);
        }
        let start = range.low.map(|(low, _)| low).or(range.high.map(|(high, _)| high)).unwrap_or(Decimal::ZERO);
        let width = match (range.low, range.high) {
            (Some((low, _)), Some((high, _))) => high.minus(low),
            (None, Some(_)) => Decimal::ONE.times(-1),
            _ => Some(Decimal::ONE),
        };
        for places in 1..8 {
            for part in [5, 3, 1, 7, 9, 37, 71] {
                let offset = width
                    .and_then(|width| width.times(part))
                    .and_then(|width| width.shrunk(places + u32::from(part > 9)));
                if let Some(number) = offset.and_then(|offset| start.add(offset))
                    && let Ok(value) = self.try_number(number, goal)
                {
                    return Ok(value);
                }
            }
        }
        Err(false)
    }
}

impl Wanted {
    fn longer(&mut self, min: u64) {
        self.length_min = self.length_min.max(min);
    }

    fn shorter(&mut self, max: u64) {
        self.length_max = Some(self.length_max.map_or(max, |known| known.min(max)));
    }
}

/// Numbers between bounds, on a grid, off others.
#[derive(Clone, Default)]
struct Range {
    /// The bound, and whether it is left out.
    low: Option<(Decimal, bool)>,
    high: Option<(Decimal, bool)>,
    step: Option<Decimal>,
    avoided: Vec<Decimal>,
    /// How many single numbers are excluded.
    excluded: usize,
}

impl Range {
    fn above(&mut self, limit: Decimal, open: bool) -> Option<()> {
        if let Some((known, shut)) = self.low {
            let order = limit.compare(known)?;
            if order.is_lt() || (order.is_eq() && (shut || !open)) {
                return Some(());
            }
        }
        self.low = Some((limit, open));
        Some(())
    }

    fn below(&mut self, limit: Decimal, open: bool) -> Option<()> {
        if let Some((known, shut)) = self.high {
            let order = limit.compare(known)?;
            if order.is_gt() || (order.is_eq() && (shut || !open)) {
                return Some(());
            }
        }
        self.high = Some((limit, open));
        Some(())
    }

    fn every(&mut self, divisor: Decimal) -> Option<()> {
        self.step = Some(match self.step {
            Some(step) => step.common_multiple(divisor)?,
            None => divisor,
        });
        Some(())
    }

    fn is_empty(&self) -> Option<bool> {
        let (Some((low, shut)), Some((high, closed))) = (self.low, self.high) else {
            return Some(false);
        };
        let order = low.compare(high)?;
        Some(order.is_gt() || (order.is_eq() && (shut || closed)))
    }

    /// The first multiple of `step`, the last one, and which way to go.
    fn places(&self, step: Decimal) -> Option<(i128, Option<i128>, i128)> {
        let lowest = match self.low {
            Some((low, open)) => {
                let place = low.quotient(step)?;
                let met = low.is_multiple_of(step)?;
                Some(if met && !open { place } else { place.checked_add(1)? })
            }
            None => None,
        };
        let highest = match self.high {
            Some((high, open)) => {
                let place = high.quotient(step)?;
                let met = high.is_multiple_of(step)?;
                Some(if met && open { place.checked_sub(1)? } else { place })
            }
            None => None,
        };
        Some(match (lowest, highest) {
            (Some(lowest), highest) => (lowest, highest, 1),
            (None, Some(highest)) => (highest, None, -1),
            (None, None) => (0, None, 1),
        })
    }
}
