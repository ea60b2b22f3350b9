//! What schemas say, in one vocabulary for every draft.
//!
//! A [`Node`] is a set of instances. Atoms speak of one kind of value and hold for every other; the rest are
//! combinations. Equal nodes have equal ids, whichever schema they came from, so that what did not change costs nothing.

use std::collections::HashMap;
use std::rc::Rc;

use serde_json::{Number, Value};

use super::number::Decimal;

pub(super) type Id = u32;
pub(super) type Name = Rc<str>;

/// Kinds of values, as a set. Integers written without a fraction are apart from those written with one, because
/// draft-04 tells them apart.
pub(super) type Kinds = u8;
pub(super) const NULL: Kinds = 1;
pub(super) const BOOL: Kinds = 1 << 1;
pub(super) const PLAIN_INTEGER: Kinds = 1 << 2;
pub(super) const POINT_INTEGER: Kinds = 1 << 3;
pub(super) const FRACTION: Kinds = 1 << 4;
pub(super) const STRING: Kinds = 1 << 5;
pub(super) const ARRAY: Kinds = 1 << 6;
pub(super) const OBJECT: Kinds = 1 << 7;
pub(super) const INTEGER: Kinds = PLAIN_INTEGER | POINT_INTEGER;
pub(super) const NUMBER: Kinds = INTEGER | FRACTION;
pub(super) const ALL: Kinds = u8::MAX;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Node {
    True,
    False,
    And(Rc<[Id]>),
    Or(Rc<[Id]>),
    /// Exactly one.
    One(Rc<[Id]>),
    Not(Id),
    /// A definition that is looked up when needed.
    Ref(u32),
    Kinds(Kinds),
    /// Values in normal form.
    Enum(Rc<[Value]>),
    /// Numbers at least this, or above it.
    Min(Decimal, bool),
    Max(Decimal, bool),
    Multiple(Decimal),
    MinLength(u64),
    MaxLength(u64),
    /// Texts with a match; as written.
    Pattern(Name),
    /// What only the validator can judge: a fragment of a schema, under a draft, and the kinds that it speaks of.
    Opaque(Name, Dialect, Kinds),
    MinItems(u64),
    MaxItems(u64),
    Unique,
    /// An item at this place belongs.
    Item(u64, Id),
    /// Every item from this place on belongs.
    Rest(u64, Id),
    /// So many items belong.
    AtLeast(u64, Id),
    AtMost(u64, Id),
    Has(Name),
    MinMembers(u64),
    MaxMembers(u64),
    /// A member of this name belongs.
    Member(Name, Id),
    /// Every member with such a name belongs.
    Members(Rc<Names>, Id),
    /// Every name belongs.
    NamesAre(Id),
    /// Not understood: nothing follows from it, nor from its absence.
    Unknown(&'static str),
}

/// Names of members: with a match of all of `within`, without one of any of `without`, and not in `except`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Names {
    pub within: Vec<Name>,
    pub without: Vec<Name>,
    /// Sorted.
    pub except: Vec<Name>,
}

/// The draft under which a fragment is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Dialect {
    Draft4,
    Draft6,
    Draft7,
    Draft201909,
    Draft202012,
}

impl Node {
    /// The kinds that an atom speaks of; every value for what is no atom.
    pub fn domain(&self) -> Kinds {
        match self {
            Self::Min(..) | Self::Max(..) | Self::Multiple(_) => NUMBER,
            Self::MinLength(_) | Self::MaxLength(_) | Self::Pattern(_) => STRING,
            Self::Opaque(_, _, kinds) => *kinds,
            Self::MinItems(_) | Self::MaxItems(_) | Self::Unique => ARRAY,
            Self::Item(..) | Self::Rest(..) | Self::AtLeast(..) | Self::AtMost(..) => ARRAY,
            Self::Has(_) | Self::MinMembers(_) | Self::MaxMembers(_) => OBJECT,
            Self::Member(..) | Self::Members(..) | Self::NamesAre(_) => OBJECT,
            _ => ALL,
        }
    }
}

/// All nodes of one question.
pub(super) struct Arena {
    nodes: Vec<Node>,
    ids: HashMap<Node, Id>,
}

pub(super) const TRUE: Id = 0;
pub(super) const FALSE: Id = 1;

impl Arena {
    pub fn new() -> Self {
        let mut arena = Self { nodes: Vec::new(), ids: HashMap::new() };
        arena.add(Node::True);
        arena.add(Node::False);
        arena
    }

    pub fn get(&self, id: Id) -> &Node {
        &self.nodes[id as usize]
    }

    pub fn add(&mut self, node: Node) -> Id {
        if let Some(id) = self.ids.get(&node) {
            return *id;
        }
        let id = self.nodes.len() as Id;
        self.nodes.push(node.clone());
        self.ids.insert(node, id);
        id
    }

    pub fn and(&mut self, parts: impl IntoIterator<Item = Id>) -> Id {
        let mut flat = Vec::new();
        for part in parts {
            match self.get(part) {
                Node::False => return FALSE,
                Node::True => {}
                Node::And(inner) => flat.extend(inner.iter().copied()),
                _ => flat.push(part),
            }
        }
        let kinds = self.take_kinds(&mut flat).into_iter().reduce(|all, one| all & one);
        match kinds.map(|kinds| self.kinds(kinds)) {
            Some(FALSE) => return FALSE,
            Some(kinds) if kinds != TRUE => flat.push(kinds),
            _ => {}
        }
        flat.sort_unstable();
        flat.dedup();
        match flat.len() {
            0 => TRUE,
            1 => flat[0],
            _ => self.add(Node::And(flat.into())),
        }
    }

    pub fn or(&mut self, parts: impl IntoIterator<Item = Id>) -> Id {
        let mut flat = Vec::new();
        for part in parts {
            match self.get(part) {
                Node::True => return TRUE,
                Node::False => {}
                Node::Or(inner) => flat.extend(inner.iter().copied()),
                _ => flat.push(part),
            }
        }
        let kinds = self.take_kinds(&mut flat).into_iter().reduce(|all, one| all | one);
        match kinds.map(|kinds| self.kinds(kinds)) {
            Some(TRUE) => return TRUE,
            Some(kinds) if kinds != FALSE => flat.push(kinds),
            _ => {}
        }
        flat.sort_unstable();
        flat.dedup();
        match flat.len() {
            0 => FALSE,
            1 => flat[0],
            _ => self.add(Node::Or(flat.into())),
        }
    }

    fn take_kinds(&self, parts: &mut Vec<Id>) -> Vec<Kinds> {
        let mut taken = Vec::new();
        parts.retain(|part| match self.get(*part) {
            Node::Kinds(kinds) => {
                taken.push(*kinds);
                false
            }
            _ => true,
        });
        taken
    }

    pub fn one(&mut self, mut parts: Vec<Id>) -> Id {
        parts.retain(|part| *part != FALSE);
        parts.sort_unstable();
        match parts.len() {
            0 => FALSE,
            1 => parts[0],
            _ => self.add(Node::One(parts.into())),
        }
    }

    pub fn not(&mut self, part: Id) -> Id {
        match self.get(part) {
            Node::True => FALSE,
            Node::False => TRUE,
            Node::Not(inner) => *inner,
            Node::Kinds(kinds) => {
                let rest = !*kinds;
                self.kinds(rest)
            }
            _ => self.add(Node::Not(part)),
        }
    }

    pub fn kinds(&mut self, kinds: Kinds) -> Id {
        match kinds {
            0 => FALSE,
            ALL => TRUE,
            kinds => self.add(Node::Kinds(kinds)),
        }
    }

    pub fn values(&mut self, values: impl IntoIterator<Item = Value>) -> Id {
        let mut values: Vec<_> = values.into_iter().map(normal).collect();
        values.sort_by_cached_key(Value::to_string);
        values.dedup();
        match values.len() {
            0 => FALSE,
            _ => self.add(Node::Enum(values.into())),
        }
    }

    /// An atom about a part of a value; nothing is asked where anything belongs.
    pub fn part(&mut self, part: Id, node: Node) -> Id {
        if part == TRUE { TRUE } else { self.add(node) }
    }
}

/// The same value with every number written in one way: `1.0` as `1`.
pub(super) fn normal(value: Value) -> Value {
    match value {
        Value::Number(number) => Value::Number(normal_number(number)),
        Value::Array(items) => items.into_iter().map(normal).collect(),
        Value::Object(members) => {
            let mut members: Vec<_> = members.into_iter().map(|(name, value)| (name, normal(value))).collect();
            members.sort_by(|(one, _), (other, _)| one.cmp(other));
            members.into_iter().collect()
        }
        other => other,
    }
}

fn normal_number(number: Number) -> Number {
    match number.as_f64() {
        Some(double) if number.is_f64() && double.fract() == 0.0 && double.abs() < 9.0e18 => {
            Number::from(double as i64)
        }
        _ => number,
    }
}

/// The kinds as which a value in normal form can be written.
pub(super) fn kinds_of_normal(value: &Value) -> Kinds {
    match value {
        Value::Number(number) if !number.is_f64() => INTEGER,
        other => kind_of(other),
    }
}

/// The kind of a value as it is written.
pub(super) fn kind_of(value: &Value) -> Kinds {
    match value {
        Value::Null => NULL,
        Value::Bool(_) => BOOL,
        Value::Number(number) if !number.is_f64() => PLAIN_INTEGER,
        Value::Number(number) if number.as_f64().is_some_and(|double| double.fract() == 0.0) => POINT_INTEGER,
        Value::Number(_) => FRACTION,
        Value::String(_) => STRING,
        Value::Array(_) => ARRAY,
        Value::Object(_) => OBJECT,
    }
}
