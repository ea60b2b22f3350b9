//! Whether a node admits a value.
//!
//! `None` where that is not known: a schema that was not understood, or no steps left.

use std::rc::Rc;

use jsonschema::{Draft, Validator};
use serde_json::Value;

use super::node::*;
use super::number::Decimal;
use super::search::Search;
use crate::registry::schema;

impl Search<'_> {
    pub fn admits(&mut self, id: Id, value: &Value) -> Option<bool> {
        if !self.step(1) || self.nesting > 4 * super::search::NESTING_MAX {
            return None;
        }
        let node = self.node(id);
        if kind_of(value) & node.domain() == 0 {
            return Some(true);
        }
        self.nesting += 1;
        let admitted = self.admits_node(id, &node, value);
        self.nesting -= 1;
        admitted
    }

    fn admits_node(&mut self, id: Id, node: &Node, value: &Value) -> Option<bool> {
        let decimal = || value.as_number().and_then(Decimal::of);
        let length = || value.as_str().map(|text| text.chars().count() as u64);
        let items = || value.as_array().map(|items| items.len() as u64);
        let members = || value.as_object().map(|members| members.len() as u64);
        match node {
            Node::True => Some(true),
            Node::False => Some(false),
            Node::Unknown(_) => None,
            Node::And(parts) => self.count(parts, value, |_, no, _| no > 0, |_, no, _| no == 0),
            Node::Or(parts) => self.count(parts, value, |yes, _, _| yes > 0, |yes, _, _| yes > 0),
            Node::One(parts) => self.count(parts, value, |yes, _, _| yes > 1, |yes, _, _| yes == 1),
            Node::Not(part) => self.admits(*part, value).map(|admitted| !admitted),
            Node::Ref(_) => {
                let behind = self.behind(id);
                self.admits(behind, value)
            }
            Node::Kinds(kinds) => Some(kind_of(value) & kinds != 0),
            Node::Enum(values) => Some(values.contains(&normal(value.clone()))),
            Node::Min(limit, open) => {
                let order = decimal().and_then(|number| number.compare(*limit));
                let keyword = if *open { "exclusiveMinimum" } else { "minimum" };
                let admits = order.map(|order| order.is_gt() || (order.is_eq() && !open));
                admits.or_else(|| self.judge(keyword, *limit, value))
            }
            Node::Max(limit, open) => {
                let order = decimal().and_then(|number| number.compare(*limit));
                let keyword = if *open { "exclusiveMaximum" } else { "maximum" };
                let admits = order.map(|order| order.is_lt() || (order.is_eq() && !open));
                admits.or_else(|| self.judge(keyword, *limit, value))
            }
            Node::Multiple(divisor) => {
                let admits = decimal().and_then(|number| number.is_multiple_of(*divisor));
                admits.or_else(|| self.judge("multipleOf", *divisor, value))
            }
            Node::MinLength(min) => Some(length()? >= *min),
            Node::MaxLength(max) => Some(length()? <= *max),
            Node::Pattern(pattern) => {
                let pattern = pattern.clone();
                self.compiler.automata.is_match(&pattern, value.as_str()?)
            }
            Node::Opaque(fragment, dialect, _) => Some(self.validator(fragment, *dialect)?.is_valid(value)),
            Node::MinItems(min) => Some(items()? >= *min),
            Node::MaxItems(max) => Some(items()? <= *max),
            Node::Unique => {
                let mut seen: Vec<Value> = value.as_array()?.iter().cloned().map(normal).collect();
                seen.sort_by_cached_key(Value::to_string);
                Some(!seen.windows(2).any(|pair| pair[0] == pair[1]))
            }
            Node::Item(index, part) => match value.as_array()?.get(usize::try_from(*index).ok()?) {
                Some(item) => self.admits(*part, item),
                None => Some(true),
            },
            Node::Rest(from, part) => {
                let items = value.as_array()?.iter().skip(usize::try_from(*from).ok()?);
                self.all(items.map(|item| (*part, item)))
            }
            Node::AtLeast(least, part) => {
                let (yes, open) = self.counted(*part, value.as_array()?);
                if yes >= *least { Some(true) } else { (yes + open < *least).then_some(false) }
            }
            Node::AtMost(most, part) => {
                let (yes, open) = self.counted(*part, value.as_array()?);
                if yes > *most { Some(false) } else { (yes + open <= *most).then_some(true) }
            }
            Node::Has(name) => Some(value.as_object()?.contains_key(&**name)),
            Node::MinMembers(min) => Some(members()? >= *min),
            Node::MaxMembers(max) => Some(members()? <= *max),
            Node::Member(name, part) => match value.as_object()?.get(&**name) {
                Some(member) => self.admits(*part, member),
                None => Some(true),
            },
            Node::Members(names, part) => {
                let mut chosen = Vec::new();
                for (name, member) in value.as_object()? {
                    if self.is_among(names, name)? {
                        chosen.push((*part, member));
                    }
                }
                self.all(chosen.into_iter())
            }
            Node::NamesAre(part) => {
                let names: Vec<Value> = value.as_object()?.keys().map(|name| name.as_str().into()).collect();
                self.all(names.iter().map(|name| (*part, name)))
            }
        }
    }

    /// What the validator says of numbers beyond our digits.
    fn judge(&mut self, keyword: &str, limit: Decimal, value: &Value) -> Option<bool> {
        let fragment = Value::Object([(keyword.to_owned(), limit.to_value(false)?)].into_iter().collect());
        let fragment = Name::from(fragment.to_string());
        Some(self.validator(&fragment, Dialect::Draft202012)?.is_valid(value))
    }

    /// Whether a name is one that `names` speaks of.
    pub fn is_among(&mut self, names: &Names, name: &str) -> Option<bool> {
        if names.except.binary_search_by(|except| (**except).cmp(name)).is_ok() {
            return Some(false);
        }
        for (patterns, wanted) in [(&names.within, true), (&names.without, false)] {
            for pattern in patterns {
                if self.compiler.automata.is_match(pattern, name)? != wanted {
                    return Some(false);
                }
            }
        }
        Some(true)
    }

    /// How many parts admit a value, refuse it, and do not say; `early` ends the count.
    fn count(
        &mut self,
        parts: &[Id],
        value: &Value,
        early: impl Fn(usize, usize, usize) -> bool,
        verdict: impl Fn(usize, usize, usize) -> bool,
    ) -> Option<bool> {
        let (mut yes, mut no, mut open) = (0, 0, 0);
        for part in parts {
            match self.admits(*part, value) {
                Some(true) => yes += 1,
                Some(false) => no += 1,
                None => open += 1,
            }
            if early(yes, no, open) {
                return Some(verdict(yes, no, open));
            }
        }
        (open == 0).then(|| verdict(yes, no, open))
    }

    fn all<'v>(&mut self, parts: impl Iterator<Item = (Id, &'v Value)>) -> Option<bool> {
        let mut open = false;
        for (part, value) in parts {
            match self.admits(part, value) {
                Some(true) => {}
                Some(false) => return Some(false),
                None => open = true,
            }
        }
        (!open).then_some(true)
    }

    fn counted(&mut self, part: Id, items: &[Value]) -> (u64, u64) {
        let (mut yes, mut open) = (0, 0);
        for item in items {
            match self.admits(part, item) {
                Some(true) => yes += 1,
                Some(false) => {}
                None => open += 1,
            }
        }
        (yes, open)
    }

    fn validator(&mut self, fragment: &Name, dialect: Dialect) -> Option<Rc<Validator>> {
        let draft = match dialect {
            Dialect::Draft4 => Draft::Draft4,
            Dialect::Draft6 => Draft::Draft6,
            Dialect::Draft7 => Draft::Draft7,
            Dialect::Draft201909 => Draft::Draft201909,
            Dialect::Draft202012 => Draft::Draft202012,
        };
        let built = self.validators.entry((fragment.clone(), dialect)).or_insert_with(|| {
            let fragment: Value = serde_json::from_str(fragment).ok()?;
            schema::options(draft).build(&fragment).ok().map(Rc::new)
        });
        built.clone()
    }
}
