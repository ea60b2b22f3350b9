//! From JSON Schema to nodes: what each keyword of each draft says.
//!
//! A reference becomes a [`Node::Ref`], resolved when it is first needed; so recursion is no special case. Two
//! references are the same definition where they lead to the same place with the same dynamic scope. What the validator
//! ignores under a draft is ignored here.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use jsonschema::{Draft, Registry, Uri};
use serde_json::{Map, Value};

use super::evaluated::Declared;
use super::node::*;
use super::number::Decimal;
use super::text::Automata;
use crate::registry::schema::child;

/// One of the schemas that are compared.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub schema: &'a Value,
    pub registry: &'a Registry<'a>,
    pub draft: Draft,
    /// Whether objects hold only what they declare.
    pub closed: bool,
}

/// Where a subschema stands.
#[derive(Clone)]
pub(super) struct Scope {
    pub source: usize,
    pub base: Arc<Uri<String>>,
    pub draft: Draft,
    /// Bases that references were followed through, outermost first, each once.
    pub dynamic: Rc<[Arc<Uri<String>>]>,
    /// Whether undeclared members are forbidden here; never under a negation or a condition.
    pub closing: bool,
}

/// A subschema that a reference leads to.
pub(super) struct Definition<'a> {
    pub schema: &'a Value,
    pub scope: Scope,
    pub pointer: Option<String>,
    /// Its node, once it was needed.
    pub node: Option<Id>,
}

type Key = (usize, usize, String, Vec<String>, bool);

/// Nodes of all sources, and the definitions that they refer to.
pub(super) struct Compiler<'a> {
    pub arena: Arena,
    sources: Vec<Source<'a>>,
    pub definitions: Vec<Definition<'a>>,
    keys: HashMap<Key, u32>,
    /// Where a node of the outer schema was first written.
    pub places: HashMap<Id, String>,
    /// The source whose places are noted.
    noted: usize,
    pub automata: Automata,
}

pub(super) const BASE: &str = "json-schema:///";

impl<'a> Compiler<'a> {
    pub fn new(sources: Vec<Source<'a>>) -> Self {
        Self {
            arena: Arena::new(),
            definitions: Vec::new(),
            keys: HashMap::new(),
            places: HashMap::new(),
            noted: sources.len() - 1,
            sources,
            automata: Automata::default(),
        }
    }

    /// The node of a source; the last one is the outer schema. `None` where its base is no URI, which does not happen.
    pub fn source(&mut self, source: usize) -> Option<Id> {
        let Source { schema, draft, closed, .. } = self.sources[source];
        let base = Arc::new(jsonschema::uri::from_str(BASE).ok()?);
        let draft = draft.detect(schema);
        let scope = Scope { source, base, draft, dynamic: Rc::from([]), closing: closed };
        Some(self.position(schema, &scope, Some(String::new())))
    }

    /// A subschema that values are held against: the root, a member's, an item's.
    pub fn position(&mut self, schema: &'a Value, scope: &Scope, pointer: Option<String>) -> Id {
        let said = self.subschema(schema, scope, pointer);
        if !scope.closing || said == FALSE {
            return said;
        }
        let closed = Declared::close(self, schema, scope);
        self.arena.and([said, closed])
    }

    pub fn subschema(&mut self, schema: &'a Value, scope: &Scope, pointer: Option<String>) -> Id {
        let members = match schema {
            Value::Bool(true) => return TRUE,
            Value::Bool(false) => return FALSE,
            Value::Object(members) => members,
            _ => return self.arena.add(Node::Unknown("a schema that is neither an object nor a boolean")),
        };
        let scope = self.inside(schema, scope);
        let node = self.keywords(members, schema, &scope, pointer.as_deref());
        self.note(node, pointer, &scope);
        node
    }

    fn note(&mut self, node: Id, pointer: Option<String>, scope: &Scope) {
        if let (true, Some(pointer)) = (scope.source == self.noted, pointer) {
            self.places.entry(node).or_insert(pointer);
        }
    }

    /// The scope inside a subschema, which may name a base or a draft of its own.
    pub fn inside(&self, schema: &Value, scope: &Scope) -> Scope {
        let draft = match scope.draft.detect(schema) {
            Draft::Unknown => scope.draft,
            draft => draft,
        };
        let resource = draft.create_resource_ref(schema);
        let registry = self.sources[scope.source].registry;
        // Whoever came by reference may stand at the base that the schema names already.
        let is_here = || {
            let found = registry.resolver((*scope.base).clone()).lookup("").ok();
            found.is_some_and(|found| std::ptr::eq(found.contents(), schema))
        };
        let id = resource.id().filter(|_| scope.base.as_str() == BASE || !is_here());
        let base = id.and_then(|id| registry.resolve_uri(&scope.base.borrow(), id).ok());
        Scope { base: base.unwrap_or_else(|| scope.base.clone()), draft, ..scope.clone() }
    }

    fn keywords(
        &mut self,
        members: &'a Map<String, Value>,
        schema: &'a Value,
        scope: &Scope,
        at: Option<&str>,
    ) -> Id {
        let mut parts = Vec::new();
        if let Some(Value::String(target)) = members.get("$ref") {
            parts.push(self.reference(target, scope));
            if scope.draft <= Draft::Draft7 {
                return parts[0];
            }
        }
        let since = |draft: Draft| scope.draft >= draft;
        for (name, value) in members {
            let at = at.map(|pointer| child(pointer, name));
            let part = match (name.as_str(), value) {
                ("$dynamicRef", Value::String(target)) if since(Draft::Draft202012) => {
                    self.dynamic_reference(target, scope)
                }
                ("$recursiveRef", Value::String(_)) if scope.draft == Draft::Draft201909 => {
                    self.recursive_reference(scope)
                }
                ("type", value) => self.kinds(value, scope),
                ("enum", Value::Array(values)) => self.arena.values(values.iter().cloned()),
                ("const", value) if since(Draft::Draft6) => self.arena.values([value.clone()]),
                ("allOf" | "anyOf" | "oneOf", Value::Array(branches)) => {
                    self.branches(name, branches, scope, at.as_deref())
                }
                ("not", value) => {
                    let inner = self.subschema(value, &unclosed(scope), at.clone());
                    self.arena.not(inner)
                }
                ("if", condition) if since(Draft::Draft7) => self.conditional(condition, members, scope, &at),
                ("minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf", value) => {
                    self.number(name, value, members, scope)
                }
                ("minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties", value) => {
                    self.count(name, value)
                }
                ("pattern", Value::String(pattern)) => self.arena.add(Node::Pattern(pattern.as_str().into())),
                ("format", Value::String(_)) => self.opaque(name, value, members, scope, STRING),
                ("contentEncoding" | "contentMediaType", Value::String(_))
                    if matches!(scope.draft, Draft::Draft6 | Draft::Draft7) =>
                {
                    self.opaque(name, value, members, scope, STRING)
                }
                ("uniqueItems", Value::Bool(true)) => self.arena.add(Node::Unique),
                ("prefixItems", Value::Array(items)) if since(Draft::Draft202012) => {
                    self.items(items, scope, at.as_deref())
                }
                ("items", value) => self.items_keyword(value, members, scope, at.clone()),
                ("additionalItems", value) if scope.draft < Draft::Draft202012 => match members.get("items") {
                    Some(Value::Array(items)) => self.rest(items.len(), value, scope, at.clone()),
                    _ => continue,
                },
                ("contains", value) if since(Draft::Draft6) => self.contains(value, members, scope, at.clone()),
                ("required", Value::Array(names)) => {
                    let names: Vec<_> = names.iter().filter_map(Value::as_str).map(|name| self.has(name)).collect();
                    self.arena.and(names)
                }
                ("properties", Value::Object(properties)) => {
                    let mut parts = Vec::new();
                    for (name, value) in properties {
                        let place = at.as_deref().map(|at| child(at, name));
                        let part = self.position(value, scope, place.clone());
                        let node = self.arena.part(part, Node::Member(name.as_str().into(), part));
                        self.note(node, place, scope);
                        parts.push(node);
                    }
                    self.arena.and(parts)
                }
                ("patternProperties", Value::Object(patterns)) => {
                    let mut parts = Vec::new();
                    for (pattern, value) in patterns {
                        let place = at.as_deref().map(|at| child(at, pattern));
                        let part = self.position(value, scope, place);
                        let names = Names { within: vec![pattern.as_str().into()], ..Names::default() };
                        parts.push(self.arena.part(part, Node::Members(names.into(), part)));
                    }
                    self.arena.and(parts)
                }
                ("additionalProperties", value) => {
                    let part = self.position(value, scope, at.clone());
                    let names = undeclared(members);
                    self.arena.part(part, Node::Members(names.into(), part))
                }
                ("propertyNames", value) if since(Draft::Draft6) => {
                    let part = self.subschema(value, &unclosed(scope), at.clone());
                    self.arena.part(part, Node::NamesAre(part))
                }
                ("dependentRequired", Value::Object(map)) if since(Draft::Draft201909) => {
                    self.dependencies(map, scope, at.as_deref())
                }
                ("dependentSchemas", Value::Object(map)) if since(Draft::Draft201909) => {
                    self.dependencies(map, scope, at.as_deref())
                }
                ("dependencies", Value::Object(map)) => self.dependencies(map, scope, at.as_deref()),
                ("unevaluatedProperties", value) if since(Draft::Draft201909) => {
                    let part = self.position(value, scope, at.clone());
                    Declared::unevaluated_members(self, schema, scope, part)
                }
                ("unevaluatedItems", value) if since(Draft::Draft201909) => {
                    let part = self.position(value, scope, at.clone());
                    Declared::unevaluated_items(self, schema, scope, part)
                }
                _ => continue,
            };
            self.note(part, at, scope);
            parts.push(part);
        }
        self.arena.and(parts)
    }

    fn kinds(&mut self, value: &Value, scope: &Scope) -> Id {
        let kind = |name: &Value| match name.as_str() {
            Some("null") => NULL,
            Some("boolean") => BOOL,
            Some("integer") if scope.draft == Draft::Draft4 => PLAIN_INTEGER,
            Some("integer") => INTEGER,
            Some("number") => NUMBER,
            Some("string") => STRING,
            Some("array") => ARRAY,
            Some("object") => OBJECT,
            _ => 0,
        };
        let kinds = match value {
            Value::Array(names) => names.iter().map(kind).fold(0, |all, one| all | one),
            name => kind(name),
        };
        self.arena.kinds(kinds)
    }

    fn branches(&mut self, name: &str, branches: &'a [Value], scope: &Scope, at: Option<&str>) -> Id {
        let mut parts = Vec::with_capacity(branches.len());
        for (index, branch) in branches.iter().enumerate() {
            parts.push(self.subschema(branch, scope, at.map(|at| format!("{at}/{index}"))));
        }
        match name {
            "allOf" => self.arena.and(parts),
            "anyOf" => self.arena.or(parts),
            _ => self.arena.one(parts),
        }
    }

    fn conditional(
        &mut self,
        condition: &'a Value,
        members: &'a Map<String, Value>,
        scope: &Scope,
        at: &Option<String>,
    ) -> Id {
        let beside = |name: &str| {
            let pointer = at.as_deref()?.rsplit_once('/')?.0;
            Some(child(pointer, name))
        };
        let condition = self.subschema(condition, &unclosed(scope), at.clone());
        let mut parts = Vec::new();
        if let Some(then) = members.get("then") {
            let then = self.subschema(then, scope, beside("then"));
            let otherwise = self.arena.not(condition);
            parts.push(self.arena.or([otherwise, then]));
        }
        if let Some(otherwise) = members.get("else") {
            let otherwise = self.subschema(otherwise, scope, beside("else"));
            parts.push(self.arena.or([condition, otherwise]));
        }
        self.arena.and(parts)
    }

    fn number(&mut self, name: &str, value: &Value, members: &Map<String, Value>, scope: &Scope) -> Id {
        let old = scope.draft == Draft::Draft4;
        let exclusive = |name: &str| old && members.get(name) == Some(&Value::Bool(true));
        let Value::Number(number) = value else {
            return TRUE;
        };
        let Some(limit) = Decimal::of(number) else {
            return self.opaque(name, value, members, scope, NUMBER);
        };
        let node = match name {
            "minimum" => Node::Min(limit, exclusive("exclusiveMinimum")),
            "maximum" => Node::Max(limit, exclusive("exclusiveMaximum")),
            "exclusiveMinimum" if !old => Node::Min(limit, true),
            "exclusiveMaximum" if !old => Node::Max(limit, true),
            "multipleOf" if !limit.is_zero() => Node::Multiple(limit),
            _ => return TRUE,
        };
        self.arena.add(node)
    }

    fn count(&mut self, name: &str, value: &Value) -> Id {
        let Some(count) = counted(value) else {
            return self.arena.add(Node::Unknown("a count beyond all bounds"));
        };
        let node = match name {
            "minLength" => Node::MinLength(count),
            "maxLength" => Node::MaxLength(count),
            "minItems" => Node::MinItems(count),
            "maxItems" => Node::MaxItems(count),
            "minProperties" => Node::MinMembers(count),
            _ => Node::MaxMembers(count),
        };
        if count == 0 && name.starts_with("min") { TRUE } else { self.arena.add(node) }
    }

    fn opaque(&mut self, name: &str, value: &Value, members: &Map<String, Value>, scope: &Scope, kinds: Kinds) -> Id {
        let dialect = match scope.draft {
            Draft::Draft4 => Dialect::Draft4,
            Draft::Draft6 => Dialect::Draft6,
            Draft::Draft7 => Dialect::Draft7,
            Draft::Draft201909 => Dialect::Draft201909,
            _ => Dialect::Draft202012,
        };
        let mut fragment = Map::from_iter([(name.to_owned(), value.clone())]);
        if name.starts_with("content") {
            // The validator reads the two together.
            let both = ["contentEncoding", "contentMediaType"];
            fragment = both.iter().filter_map(|name| Some((name.to_string(), members.get(*name)?.clone()))).collect();
        }
        let fragment = Value::Object(fragment);
        if name == "format" && !super::format::is_asserted(value.as_str().unwrap_or_default(), dialect) {
            return TRUE;
        }
        let dialect = if name == "format" { super::format::judged_as(value.as_str(), dialect) } else { dialect };
        self.arena.add(Node::Opaque(fragment.to_string().into(), dialect, kinds))
    }

    fn items(&mut self, items: &'a [Value], scope: &Scope, at: Option<&str>) -> Id {
        let mut parts = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let part = self.position(item, scope, at.map(|at| format!("{at}/{index}")));
            parts.push(self.arena.part(part, Node::Item(index as u64, part)));
        }
        self.arena.and(parts)
    }

    fn items_keyword(
        &mut self,
        value: &'a Value,
        members: &'a Map<String, Value>,
        scope: &Scope,
        at: Option<String>,
    ) -> Id {
        match value {
            Value::Array(items) if scope.draft < Draft::Draft202012 => self.items(items, scope, at.as_deref()),
            Value::Array(_) => TRUE,
            value => {
                let from = match members.get("prefixItems") {
                    Some(Value::Array(items)) if scope.draft >= Draft::Draft202012 => items.len(),
                    _ => 0,
                };
                self.rest(from, value, scope, at)
            }
        }
    }

    fn rest(&mut self, from: usize, value: &'a Value, scope: &Scope, at: Option<String>) -> Id {
        let part = self.position(value, scope, at);
        self.arena.part(part, Node::Rest(from as u64, part))
    }

    fn contains(&mut self, value: &'a Value, members: &Map<String, Value>, scope: &Scope, at: Option<String>) -> Id {
        let part = self.subschema(value, &unclosed(scope), at);
        let bound = |name: &str| {
            let bound = members.get(name).filter(|_| scope.draft >= Draft::Draft201909);
            bound.map(|bound| counted(bound).unwrap_or(u64::MAX))
        };
        let least = bound("minContains").unwrap_or(1);
        let least = if least == 0 { TRUE } else { self.arena.add(Node::AtLeast(least, part)) };
        let most = match bound("maxContains") {
            Some(most) => self.arena.add(Node::AtMost(most, part)),
            None => TRUE,
        };
        self.arena.and([least, most])
    }

    pub fn has(&mut self, name: &str) -> Id {
        self.arena.add(Node::Has(name.into()))
    }

    /// Whether it is no object or lacks the member.
    fn lacks(&mut self, name: &str) -> Id {
        let (has, object) = (self.has(name), self.arena.kinds(OBJECT));
        let present = self.arena.and([has, object]);
        self.arena.not(present)
    }

    fn dependencies(&mut self, map: &'a Map<String, Value>, scope: &Scope, at: Option<&str>) -> Id {
        let mut parts = Vec::new();
        for (name, value) in map {
            let lacks = self.lacks(name);
            let then = match value {
                Value::Array(names) => {
                    let names: Vec<_> = names.iter().filter_map(Value::as_str).map(|name| self.has(name)).collect();
                    self.arena.and(names)
                }
                value => self.subschema(value, scope, at.map(|at| child(at, name))),
            };
            parts.push(self.arena.or([lacks, then]));
        }
        self.arena.and(parts)
    }

    fn reference(&mut self, target: &str, scope: &Scope) -> Id {
        match self.lookup(target, scope) {
            Some((found, there)) => self.refer(found, there, target),
            None => self.arena.add(Node::Unknown("a reference that leads to nothing")),
        }
    }

    /// What a reference leads to, in the scope there.
    pub fn lookup(&self, target: &str, scope: &Scope) -> Option<(&'a Value, Scope)> {
        let registry = self.sources[scope.source].registry;
        let (found, resolver, draft) = registry.resolver((*scope.base).clone()).lookup(target).ok()?.into_inner();
        let mut dynamic = scope.dynamic.to_vec();
        for base in [&scope.base, &resolver.base_uri()] {
            if !dynamic.contains(base) {
                dynamic.push(base.clone());
            }
        }
        let draft = if draft == Draft::Unknown { scope.draft } else { draft };
        Some((found, Scope { base: resolver.base_uri(), draft, dynamic: dynamic.into(), ..scope.clone() }))
    }

    pub fn dynamic_lookup(&self, target: &str, scope: &Scope) -> Option<(&'a Value, Scope)> {
        let (found, there) = self.lookup(target, scope)?;
        let Some((_, anchor)) = target.split_once('#') else {
            return Some((found, there));
        };
        let anchors = |value: &Value| value.get("$dynamicAnchor").and_then(Value::as_str) == Some(anchor);
        if !anchors(found) {
            return Some((found, there));
        }
        // Each is asked from its own base, or the anchors of the bases passed on the way would count first.
        let outermost = there.dynamic.iter().find_map(|base| {
            let from = Scope { base: base.clone(), ..there.clone() };
            let (found, at) = self.lookup(&format!("#{anchor}"), &from)?;
            anchors(found).then_some((found, at))
        });
        Some(outermost.unwrap_or((found, there)))
    }

    pub fn recursive_lookup(&self, scope: &Scope) -> Option<(&'a Value, Scope)> {
        let (mut found, mut there) = self.lookup("#", scope)?;
        let recurses = |value: &Value| value.get("$recursiveAnchor") == Some(&Value::Bool(true));
        if recurses(found) {
            let inner = there.clone();
            for base in inner.dynamic.iter().rev() {
                match self.lookup("#", &Scope { base: base.clone(), ..inner.clone() }) {
                    Some((next, at)) if recurses(next) => (found, there) = (next, at),
                    _ => break,
                }
            }
        }
        Some((found, there))
    }

    fn dynamic_reference(&mut self, target: &str, scope: &Scope) -> Id {
        match self.dynamic_lookup(target, scope) {
            Some((found, there)) => self.refer(found, there, ""),
            None => self.arena.add(Node::Unknown("a reference that leads to nothing")),
        }
    }

    fn recursive_reference(&mut self, scope: &Scope) -> Id {
        match self.recursive_lookup(scope) {
            Some((found, there)) => self.refer(found, there, ""),
            None => self.arena.add(Node::Unknown("a reference that leads to nothing")),
        }
    }

    /// A node for a subschema, read when it is needed.
    pub fn refer(&mut self, found: &'a Value, scope: Scope, target: &str) -> Id {
        match found {
            Value::Bool(true) => return TRUE,
            Value::Bool(false) => return FALSE,
            _ => {}
        }
        let dynamic = scope.dynamic.iter().map(|base| base.as_str().to_owned()).collect();
        let address = std::ptr::from_ref(found).addr();
        let key = (scope.source, address, scope.base.as_str().to_owned(), dynamic, scope.closing);
        let next = self.definitions.len() as u32;
        let index = *self.keys.entry(key).or_insert(next);
        if index == next {
            let pointer = match target.strip_prefix('#') {
                Some(fragment) if fragment.is_empty() || fragment.starts_with('/') => {
                    Some(percent_encoding::percent_decode_str(fragment).decode_utf8_lossy().into_owned())
                }
                _ => None,
            };
            self.definitions.push(Definition { schema: found, scope, pointer, node: None });
        }
        self.arena.add(Node::Ref(index))
    }

    /// The node of a definition.
    pub fn definition(&mut self, index: u32) -> Id {
        let definition = &self.definitions[index as usize];
        if let Some(node) = definition.node {
            return node;
        }
        let (schema, scope, pointer) = (definition.schema, definition.scope.clone(), definition.pointer.clone());
        let pointer = pointer.filter(|_| scope.base.as_str() == BASE);
        let node = self.subschema(schema, &scope, pointer);
        self.definitions[index as usize].node = Some(node);
        node
    }
}

/// The same scope where undeclared members are let be.
pub(super) fn unclosed(scope: &Scope) -> Scope {
    Scope { closing: false, ..scope.clone() }
}

/// The names that `additionalProperties` speaks of.
fn undeclared(members: &Map<String, Value>) -> Names {
    let keys = |name: &str| members.get(name).and_then(Value::as_object).into_iter().flat_map(Map::keys);
    let mut except: Vec<Name> = keys("properties").map(|name| name.as_str().into()).collect();
    except.sort_unstable();
    let without = keys("patternProperties").map(|pattern| pattern.as_str().into()).collect();
    Names { within: Vec::new(), without, except }
}

/// A count, which may be written `2.0`.
fn counted(value: &Value) -> Option<u64> {
    let number = value.as_number()?;
    number
        .as_u64()
        .or_else(|| number.as_f64().filter(|n| n.fract() == 0.0 && (0.0..9.0e15).contains(n)).map(|n| n as u64))
}
