//! What values of a schema look like, said in few words: what types can say, and nothing that only a validator can.
//!
//! A shape admits every value that its schema admits, and often more: bounds, patterns, `not`, `if` and their like are
//! left out, and so is whatever the words below cannot say. References become definitions, each named once; those that
//! lead back to themselves without a member or an item between admit anything.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use jsonschema::{Draft, Registry};
use serde_json::{Map, Value};

use super::Note;
use crate::registry::schema::{Scope, child};

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    Any,
    Never,
    Null,
    Boolean,
    /// A number without fraction; `true` where it cannot be negative.
    Integer(bool),
    Number,
    Text,
    /// One of these values.
    Values(Vec<Value>),
    Array(Box<Shape>),
    Tuple(Tuple),
    Object(Object),
    /// One of at least two, none of which is a union.
    Union(Vec<Shape>),
    /// A definition, by its place in [`Outline::definitions`].
    Reference(usize),
}

/// An array whose items are told apart by their places.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tuple {
    pub items: Vec<Shape>,
    /// How many of `items` are there at least.
    pub least: usize,
    /// What follows them; [`Shape::Never`] where nothing may.
    pub rest: Box<Shape>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Object {
    /// By name.
    pub members: Vec<Member>,
    /// What undeclared members are; [`Shape::Never`] where there are none.
    pub others: Box<Shape>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Member {
    pub name: String,
    pub required: bool,
    pub shape: Shape,
    pub doc: String,
}

/// A schema that has a name: a collection's, or one that is referred to.
#[derive(Clone, Debug)]
pub(super) struct Definition {
    /// What the schema's author called it; any text.
    pub hint: String,
    pub doc: String,
    pub shape: Shape,
}

/// The shapes of one collection's schema.
#[derive(Debug, Default)]
pub(super) struct Outline {
    /// The first is the collection's own.
    pub definitions: Vec<Definition>,
    pub notes: Vec<Note>,
}

/// Most alternatives of one union; beyond it anything is admitted.
const ALTERNATIVES_MAX: usize = 100;
const BASE: &str = "json-schema:///";

impl Outline {
    /// The shapes of a sound schema. `name` is the collection's, `pointer` where the schema lies in its document.
    pub fn of(schema: &Value, name: &str, pointer: &str) -> Self {
        let draft = match Draft::default().detect(schema) {
            Draft::Unknown => Draft::default(),
            known => known,
        };
        let prepared = Registry::new().draft(draft).add(BASE, schema).and_then(|registry| registry.prepare());
        let (Ok(registry), Ok(base)) = (prepared, jsonschema::uri::from_str(BASE)) else {
            // A document that was parsed has been through the same; should it not hold, anything is admitted.
            let doc = String::new();
            let definitions = vec![Definition { hint: name.to_owned(), doc, shape: Shape::Any }];
            return Self { definitions, notes: Vec::new() };
        };
        let scope = Scope { registry: &registry, base: Arc::new(base), draft };
        let mut lowering = Lowering::default();
        let (root, scope) = scope.follow("#").unwrap_or((schema, scope));
        lowering.define(root, &scope, name, pointer);
        lowering.finish()
    }
}

/// A definition while its schema is being looked at.
struct Open<'r> {
    schema: &'r Value,
    scope: Scope<'r>,
    hint: String,
    pointer: String,
    shape: Option<Shape>,
}

#[derive(Default)]
struct Lowering<'r> {
    definitions: Vec<Open<'r>>,
    /// Definitions by where their schema lies in memory.
    known: HashMap<usize, usize>,
    /// Definitions whose shape is being merged into another one.
    expanding: HashSet<usize>,
    notes: Vec<Note>,
}

impl<'r> Lowering<'r> {
    fn define(&mut self, schema: &'r Value, scope: &Scope<'r>, hint: &str, pointer: &str) -> usize {
        let identity = std::ptr::from_ref(schema).addr();
        if let Some(known) = self.known.get(&identity) {
            return *known;
        }
        let index = self.definitions.len();
        self.known.insert(identity, index);
        let (hint, pointer) = (hint.to_owned(), pointer.to_owned());
        self.definitions.push(Open { schema, scope: scope.clone(), hint, pointer: pointer.clone(), shape: None });
        let shape = self.lower(schema, scope, &pointer, index == 0);
        self.definitions[index].shape = Some(shape);
        index
    }

    fn finish(mut self) -> Outline {
        let endless: Vec<usize> = (0..self.definitions.len()).filter(|index| self.is_endless(*index)).collect();
        for index in endless {
            self.definitions[index].shape = Some(Shape::Any);
        }
        let definitions = self.definitions.into_iter().map(|open| Definition {
            hint: open.hint,
            doc: doc_of(open.schema),
            shape: open.shape.unwrap_or(Shape::Any),
        });
        Outline { definitions: definitions.collect(), notes: self.notes }
    }

    /// Whether a definition leads back to itself without a member or an item between.
    fn is_endless(&self, start: usize) -> bool {
        let (mut open, mut seen) = (vec![start], HashSet::new());
        while let Some(index) = open.pop() {
            let shape = self.definitions[index].shape.as_ref().unwrap_or(&Shape::Any);
            let in_place: &[Shape] = match shape {
                Shape::Union(shapes) => shapes,
                other => std::slice::from_ref(other),
            };
            for shape in in_place {
                match shape {
                    Shape::Reference(next) if *next == start => return true,
                    Shape::Reference(next) if seen.insert(*next) => open.push(*next),
                    _ => {}
                }
            }
        }
        false
    }

    fn note(&mut self, pointer: &str, message: impl Into<String>) {
        let note = Note { pointer: pointer.to_owned(), message: message.into() };
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// `is_object` where the value is known to be an object. Recurses as deep as the document nests and refers on, both
    /// of which have been bounded before.
    fn lower(&mut self, schema: &'r Value, outside: &Scope<'r>, pointer: &str, is_object: bool) -> Shape {
        let Some(members) = schema.as_object() else {
            return if schema == &Value::Bool(false) { Shape::Never } else { Shape::Any };
        };
        let scope = &outside.inside(schema);
        let reference = members.get("$ref").and_then(Value::as_str);
        if let (true, Some(target)) = (ignores_siblings(scope.draft), reference) {
            return self.refer(target, scope, pointer);
        }
        let mut shape = self.lower_own(members, scope, pointer, is_object);
        if let Some(target) = reference {
            let other = self.refer(target, scope, &child(pointer, "$ref"));
            shape = self.meet(shape, other);
        }
        if let Some(target) = members.get("$dynamicRef").and_then(Value::as_str) {
            let other = self.refer_dynamic(target, scope, pointer);
            shape = self.meet(shape, other);
        }
        if members.contains_key("$recursiveRef") {
            let other = match is_extended(self.definitions[0].schema) {
                true => Shape::Any,
                false => self.refer("#", scope, pointer),
            };
            shape = self.meet(shape, other);
        }
        let all = list(members, "allOf");
        for (index, item) in all.iter().enumerate() {
            let is_object = self.is_part_of(&shape, item);
            let other = self.lower(item, scope, &format!("{pointer}/allOf/{index}"), is_object);
            shape = self.meet(shape, other);
        }
        for keyword in ["anyOf", "oneOf"] {
            let alternatives = list(members, keyword);
            if alternatives.is_empty() {
                continue;
            }
            let mut lowered = Vec::new();
            for (index, item) in alternatives.iter().enumerate() {
                let is_object = self.is_part_of(&shape, item);
                lowered.push(self.lower(item, scope, &format!("{pointer}/{keyword}/{index}"), is_object));
            }
            shape = self.meet(shape, union(lowered));
        }
        shape
    }

    fn refer(&mut self, target: &str, scope: &Scope<'r>, pointer: &str) -> Shape {
        let Ok((found, there)) = scope.follow(target) else { return Shape::Any };
        if there.base.as_str().contains("json-schema.org/draft") && !scope.base.as_str().contains("json-schema.org") {
            return Shape::Any;
        }
        match found {
            Value::Bool(_) => self.lower(found, &there, pointer, false),
            found => Shape::Reference(self.define(found, &there, &hint_of(target, found), pointer)),
        }
    }

    /// What a dynamic reference leads to depends on the way there, unless only one schema bears the name.
    fn refer_dynamic(&mut self, target: &str, scope: &Scope<'r>, pointer: &str) -> Shape {
        let name = target.rsplit('#').next().unwrap_or_default();
        match count_anchors(self.definitions[0].schema, name) {
            0 | 1 => self.refer(target, scope, pointer),
            _ => Shape::Any,
        }
    }

    /// What `type`, `enum` and `const` say.
    fn lower_own(
        &mut self,
        members: &'r Map<String, Value>,
        scope: &Scope<'r>,
        pointer: &str,
        is_object: bool,
    ) -> Shape {
        let types: Vec<&str> = match members.get("type") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(types)) => types.iter().filter_map(Value::as_str).collect(),
            _ if is_object => vec!["object"],
            _ => Vec::new(),
        };
        let values = match (members.get("const"), members.get("enum")) {
            (Some(value), _) if scope.draft != Draft::Draft4 => Some(vec![value.clone()]),
            (_, Some(Value::Array(values))) => Some(values.clone()),
            _ => None,
        };
        let typed = types.iter().map(|name| self.lower_type(name, members, scope, pointer)).collect();
        let declared = if types.is_empty() { Shape::Any } else { union(typed) };
        if types.is_empty() && values.is_none() && members.contains_key("properties") {
            self.note(
                pointer,
                "has `properties` but no `type`: a value that is no object is allowed as well, so the type is open",
            );
        }
        match values {
            Some(values) => self.meet(union(vec![Shape::Values(values)]), declared),
            None => declared,
        }
    }

    fn lower_type(&mut self, name: &str, members: &'r Map<String, Value>, scope: &Scope<'r>, pointer: &str) -> Shape {
        match name {
            "null" => Shape::Null,
            "boolean" => Shape::Boolean,
            "integer" => Shape::Integer(
                ["minimum", "exclusiveMinimum"]
                    .iter()
                    .any(|name| members.get(*name).and_then(Value::as_f64).is_some_and(|least| least >= 0.0)),
            ),
            "number" => Shape::Number,
            "string" => Shape::Text,
            "array" => self.lower_array(members, scope, pointer),
            "object" => self.lower_object(members, scope, pointer),
            _ => Shape::Any,
        }
    }

    fn lower_array(&mut self, members: &'r Map<String, Value>, scope: &Scope<'r>, pointer: &str) -> Shape {
        let newest = !matches!(scope.draft, Draft::Draft4 | Draft::Draft6 | Draft::Draft7 | Draft::Draft201909);
        let items = members.get("items");
        let (prefix, rest) = match (newest, items) {
            (true, items) => ("prefixItems", items.map(|items| ("items", items))),
            (false, Some(Value::Array(_))) => {
                ("items", members.get("additionalItems").map(|items| ("additionalItems", items)))
            }
            (false, items) => ("", items.map(|items| ("items", items))),
        };
        let place = child(pointer, prefix);
        let prefix: Vec<Shape> = list(members, prefix)
            .iter()
            .enumerate()
            .map(|(index, item)| self.lower(item, scope, &format!("{place}/{index}"), false))
            .collect();
        let rest = rest.map_or(Shape::Any, |(name, item)| self.lower(item, scope, &child(pointer, name), false));
        if prefix.is_empty() {
            return Shape::Array(Box::new(rest));
        }
        let number = |name: &str| members.get(name).and_then(Value::as_f64).map(|number| number as usize);
        let closed = number("maxItems").is_some_and(|most| most <= prefix.len());
        let least = number("minItems").unwrap_or(0).min(prefix.len());
        Shape::Tuple(Tuple { least, items: prefix, rest: Box::new(if closed { Shape::Never } else { rest }) })
    }

    fn lower_object(&mut self, members: &'r Map<String, Value>, scope: &Scope<'r>, pointer: &str) -> Shape {
        let map = |name: &str| members.get(name).and_then(Value::as_object);
        let additional = members.get("additionalProperties");
        let others = match (map("patternProperties").filter(|patterns| !patterns.is_empty()), additional) {
            (None, None) => Shape::Any,
            (None, Some(schema)) => self.lower(schema, scope, &child(pointer, "additionalProperties"), false),
            (Some(patterns), Some(Value::Bool(false))) => {
                let place = child(pointer, "patternProperties");
                let shapes =
                    patterns.iter().map(|(name, schema)| self.lower(schema, scope, &child(&place, name), false));
                union(shapes.collect())
            }
            (Some(_), _) => Shape::Any,
        };
        let required: BTreeSet<&str> = list(members, "required").iter().filter_map(Value::as_str).collect();
        let mut found = Vec::new();
        let properties = child(pointer, "properties");
        if let Some(declared) = map("properties") {
            for (name, schema) in declared {
                let shape = self.lower(schema, scope, &child(&properties, name), false);
                let required = required.contains(name.as_str());
                found.push(Member { name: name.clone(), required, shape, doc: doc_of(schema) });
            }
        }
        for name in required {
            if found.iter().all(|member| member.name != name) {
                let doc = String::new();
                found.push(Member { name: name.to_owned(), required: true, shape: others.clone(), doc });
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        object(Object { members: found, others: Box::new(others) })
    }

    /// What is of both shapes. Either alone would be sound; the result is as telling as it can be.
    fn meet(&mut self, a: Shape, b: Shape) -> Shape {
        match (a, b) {
            (a, b) if a == b => a,
            (Shape::Never, _) | (_, Shape::Never) => Shape::Never,
            (Shape::Any, other) | (other, Shape::Any) => other,
            (Shape::Reference(index), other) | (other, Shape::Reference(index)) => match self.expand(index) {
                Some(shape) => self.meet(shape, other),
                None => other,
            },
            (Shape::Union(shapes), other) | (other, Shape::Union(shapes)) => {
                union(shapes.into_iter().map(|shape| self.meet(shape, other.clone())).collect())
            }
            (Shape::Values(values), other) | (other, Shape::Values(values)) => {
                let values: Vec<Value> = values.into_iter().filter(|value| may_be(value, &other)).collect();
                if values.is_empty() { Shape::Never } else { Shape::Values(values) }
            }
            (Shape::Integer(a), Shape::Integer(b)) => Shape::Integer(a || b),
            (Shape::Integer(a), Shape::Number) | (Shape::Number, Shape::Integer(a)) => Shape::Integer(a),
            (Shape::Array(a), Shape::Array(b)) => Shape::Array(Box::new(self.meet(*a, *b))),
            (Shape::Tuple(tuple), Shape::Array(_) | Shape::Tuple(_)) | (Shape::Array(_), Shape::Tuple(tuple)) => {
                Shape::Tuple(tuple)
            }
            (Shape::Object(a), Shape::Object(b)) => self.meet_objects(a, b),
            _ => Shape::Never,
        }
    }

    fn meet_objects(&mut self, a: Object, b: Object) -> Shape {
        let mut members = Vec::new();
        for member in &a.members {
            let (shape, required, doc) = match b.members.iter().find(|other| other.name == member.name) {
                Some(other) => (&other.shape, other.required, &other.doc),
                None => (&*b.others, false, &member.doc),
            };
            members.push(Member {
                name: member.name.clone(),
                required: member.required || required,
                shape: self.meet(member.shape.clone(), shape.clone()),
                doc: if member.doc.is_empty() { doc.clone() } else { member.doc.clone() },
            });
        }
        for member in &b.members {
            if a.members.iter().all(|other| other.name != member.name) {
                let shape = self.meet(member.shape.clone(), (*a.others).clone());
                members.push(Member { shape, ..member.clone() });
            }
        }
        members.sort_by(|a, b| a.name.cmp(&b.name));
        object(Object { members, others: Box::new(self.meet(*a.others, *b.others)) })
    }

    /// Whether a schema that applies to a value of this shape as well declares members of the same object.
    fn is_part_of(&mut self, shape: &Shape, schema: &Value) -> bool {
        schema.get("properties").is_some()
            && match shape {
                Shape::Reference(index) => matches!(self.expand(*index), Some(Shape::Object(_))),
                shape => matches!(shape, Shape::Object(_)),
            }
    }

    /// The shape behind a reference, to be merged into another; `None` where it is being merged already.
    fn expand(&mut self, index: usize) -> Option<Shape> {
        if !self.expanding.insert(index) {
            return None;
        }
        let open = &self.definitions[index];
        let shape = match &open.shape {
            Some(shape) => shape.clone(),
            None => {
                let (schema, scope, pointer) = (open.schema, open.scope.clone(), open.pointer.clone());
                self.lower(schema, &scope, &pointer, index == 0)
            }
        };
        // An alias is looked through here, while what it must not lead back to is still marked.
        let shape = match shape {
            Shape::Reference(next) => self.expand(next),
            shape => Some(shape),
        };
        self.expanding.remove(&index);
        shape
    }
}

fn ignores_siblings(draft: Draft) -> bool {
    matches!(draft, Draft::Draft4 | Draft::Draft6 | Draft::Draft7)
}

fn list<'v>(members: &'v Map<String, Value>, name: &str) -> &'v [Value] {
    members.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// An object that lacks a member it needs is none; a member that can never be there need not be named.
fn object(object: Object) -> Shape {
    match object.members.iter().any(|member| member.required && member.shape == Shape::Never) {
        true => Shape::Never,
        false => Shape::Object(object),
    }
}

/// One of the shapes, said once.
pub(super) fn union(shapes: Vec<Shape>) -> Shape {
    let (mut found, mut values): (Vec<Shape>, Vec<Value>) = (Vec::new(), Vec::new());
    let flat = shapes.into_iter().flat_map(|shape| match shape {
        Shape::Union(shapes) => shapes,
        other => vec![other],
    });
    for shape in flat {
        match shape {
            Shape::Any => return Shape::Any,
            Shape::Never => {}
            Shape::Values(more) => {
                for value in more {
                    if !values.contains(&value) {
                        values.push(value);
                    }
                }
            }
            Shape::Integer(_) if found.contains(&Shape::Number) => {}
            Shape::Integer(positive) => match found.iter_mut().find(|shape| matches!(shape, Shape::Integer(_))) {
                Some(Shape::Integer(both)) => *both &= positive,
                _ => found.push(Shape::Integer(positive)),
            },
            other if found.contains(&other) => {}
            other => {
                if other == Shape::Number {
                    found.retain(|shape| !matches!(shape, Shape::Integer(_)));
                }
                found.push(other);
            }
        }
    }
    values.retain(|value| !found.iter().any(|shape| is_kind_of(value, shape)));
    if !values.is_empty() {
        found.push(Shape::Values(values));
    }
    match found.len() {
        0 => Shape::Never,
        1 => found.remove(0),
        2..=ALTERNATIVES_MAX => Shape::Union(found),
        _ => Shape::Any,
    }
}

/// Whether every value of this one's kind is of the shape.
fn is_kind_of(value: &Value, shape: &Shape) -> bool {
    match shape {
        Shape::Null => value.is_null(),
        Shape::Boolean => value.is_boolean(),
        Shape::Number => value.is_number(),
        Shape::Text => value.is_string(),
        _ => false,
    }
}

fn may_be(value: &Value, shape: &Shape) -> bool {
    match shape {
        Shape::Any | Shape::Reference(_) => true,
        Shape::Never => false,
        Shape::Integer(_) => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        Shape::Values(values) => values.iter().any(|other| same(value, other)),
        Shape::Array(_) | Shape::Tuple(_) => value.is_array(),
        Shape::Object(_) => value.is_object(),
        Shape::Union(shapes) => shapes.iter().any(|shape| may_be(value, shape)),
        Shape::Null | Shape::Boolean | Shape::Number | Shape::Text => is_kind_of(value, shape),
    }
}

/// Equality, numbers by value at the top; deeper ones are taken to be equal where their texts are.
fn same(a: &Value, b: &Value) -> bool {
    a == b || (a.is_number() && a.as_f64() == b.as_f64())
}

fn doc_of(schema: &Value) -> String {
    let text = |name: &str| schema.get(name).and_then(Value::as_str).unwrap_or_default().trim();
    let (title, description) = (text("title"), text("description"));
    match (title.is_empty(), description.is_empty()) {
        (false, false) => format!("{title}\n\n{description}"),
        _ => format!("{title}{description}"),
    }
}

/// A name for what a reference leads to: the last part of it, or the schema's title.
fn hint_of(target: &str, schema: &Value) -> String {
    let last = target.rsplit(['/', '#', ':']).find(|part| !part.is_empty()).unwrap_or_default();
    let last = last.strip_suffix(".json").unwrap_or(last);
    match (last, schema.get("title").and_then(Value::as_str)) {
        ("", Some(title)) => title.to_owned(),
        (last, _) => {
            percent_encoding::percent_decode_str(last).decode_utf8_lossy().replace("~1", "/").replace("~0", "~")
        }
    }
}

/// Whether recursive references may lead elsewhere than to their own resource.
fn is_extended(schema: &Value) -> bool {
    match schema {
        Value::Object(members) => {
            members.get("$recursiveAnchor") == Some(&Value::Bool(true)) || members.values().any(is_extended)
        }
        Value::Array(items) => items.iter().any(is_extended),
        _ => false,
    }
}

fn count_anchors(schema: &Value, name: &str) -> usize {
    match schema {
        Value::Object(members) => {
            let own = usize::from(members.get("$dynamicAnchor").and_then(Value::as_str) == Some(name));
            own + members.values().map(|inner| count_anchors(inner, name)).sum::<usize>()
        }
        Value::Array(items) => items.iter().map(|item| count_anchors(item, name)).sum(),
        _ => 0,
    }
}
