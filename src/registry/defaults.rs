//! Members that a value lacks and its schema has a `default` for.
//!
//! JSON Schema calls `default` an annotation: it changes nothing of what is valid. Here it is what a reader is given for
//! a member that is not there, at any depth that `properties`, `items`, `prefixItems`, `$ref` and `allOf` lead to. A
//! default stands as it is written: nothing is filled in inside of it, so a recursive schema ends. What depends on the
//! value (`anyOf`, `if`) fills in nothing, since it says of the whole what may be missing.
//!
//! Invariant: a value that was filled in is valid. Where all defaults together are not, those are taken that are, one
//! after another; a value that was not valid before and is not afterwards is left alone.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jsonschema::{Draft, Registry};
use serde_json::{Map, Value};

use super::CompiledCollection;
use super::cost::Scope;
use super::schema::BASE;

/// Most members that are filled into one value.
const FILLED_MAX: usize = 1_000;
/// Most of them that are tried one by one.
const TRIED_MAX: usize = 64;
/// Deepest member that is filled in.
const DEPTH_MAX: usize = 128;

/// What a schema has defaults for.
#[derive(Debug, Default)]
pub struct Defaults {
    /// The first is the schema itself.
    nodes: Vec<Node>,
}

/// A subschema, as far as it matters here.
#[derive(Debug, Default)]
struct Node {
    default: Option<Value>,
    properties: BTreeMap<String, usize>,
    prefix_items: Vec<usize>,
    items: Option<usize>,
    /// What applies to the same place.
    also: Vec<usize>,
    /// Whether a default can be reached from here.
    useful: bool,
}

/// One step into a value.
#[derive(Clone, Debug, PartialEq)]
enum Segment {
    Member(String),
    Index(usize),
}

/// A member that is missing: the object it is to stand in, its name, and its default.
struct Missing<'d> {
    around: Vec<Segment>,
    name: &'d str,
    default: &'d Value,
}

impl CompiledCollection {
    /// The value with the defaults of what it lacks; `None` where that changes nothing.
    pub fn filled(&self, value: &Value) -> Option<Value> {
        let defaults = self.defaults.get_or_init(|| Defaults::of(&self.schema));
        let missing = defaults.missing(value);
        if missing.is_empty() {
            return None;
        }
        let mut whole = value.clone();
        missing.iter().for_each(|missing| missing.fill(&mut whole));
        if self.is_valid(&whole) {
            return Some(whole);
        }
        if !self.is_valid(value) {
            return None;
        }
        let mut valid = None;
        for missing in missing.iter().take(TRIED_MAX) {
            let mut tried = valid.clone().unwrap_or_else(|| value.clone());
            missing.fill(&mut tried);
            if self.is_valid(&tried) {
                valid = Some(tried);
            }
        }
        valid
    }
}

impl Missing<'_> {
    fn fill(&self, value: &mut Value) {
        let mut at = Some(value);
        for segment in &self.around {
            at = match (at, segment) {
                (Some(Value::Object(members)), Segment::Member(name)) => members.get_mut(name),
                (Some(Value::Array(items)), Segment::Index(index)) => items.get_mut(*index),
                _ => None,
            };
        }
        if let Some(Value::Object(members)) = at {
            members.entry(self.name.to_owned()).or_insert_with(|| self.default.clone());
        }
    }
}

impl Defaults {
    /// Of a schema that compiles.
    fn of(schema: &Value) -> Self {
        let draft = Draft::default().detect(schema);
        let draft = if draft == Draft::Unknown { Draft::default() } else { draft };
        let registry = Registry::new().draft(draft).add(BASE, schema).and_then(|registry| registry.prepare());
        let (Ok(registry), Ok(base)) = (registry, jsonschema::uri::from_str(BASE)) else { return Self::default() };
        let mut build = Build { nodes: Vec::new(), known: HashMap::new(), open: Vec::new() };
        build.node(schema, &Scope { registry: &registry, base: Arc::new(base), draft });
        Self { nodes: build.all() }
    }

    fn missing<'d>(&'d self, value: &Value) -> Vec<Missing<'d>> {
        let mut search = Search { defaults: self, around: Vec::new(), found: Vec::new() };
        search.look(0, value, 0);
        search.found
    }

    /// The default of a subschema, its own or one that applies to the same place.
    fn default_of(&self, node: usize, depth: usize) -> Option<&Value> {
        let node = self.nodes.get(node).filter(|_| depth < DEPTH_MAX)?;
        node.default.as_ref().or_else(|| node.also.iter().find_map(|also| self.default_of(*also, depth + 1)))
    }
}

/// Subschemas by where they lie in memory: one is the same however it was reached.
struct Build<'r> {
    nodes: Vec<Node>,
    known: HashMap<usize, usize>,
    /// Those that were not looked into yet: a list, since references make longer chains than a stack is deep.
    open: Vec<(usize, &'r Value, Scope<'r>)>,
}

impl<'r> Build<'r> {
    /// Number of a subschema; it is looked into later.
    fn node(&mut self, schema: &'r Value, scope: &Scope<'r>) -> usize {
        *self.known.entry(std::ptr::from_ref(schema) as usize).or_insert_with(|| {
            self.nodes.push(Node::default());
            self.open.push((self.nodes.len() - 1, schema, scope.clone()));
            self.nodes.len() - 1
        })
    }

    fn all(mut self) -> Vec<Node> {
        while let Some((index, schema, scope)) = self.open.pop() {
            if let Some(members) = schema.as_object() {
                self.nodes[index] = self.look_into(members, &scope.inside(schema));
            }
        }
        self.mark_useful();
        self.nodes
    }

    fn look_into(&mut self, members: &'r Map<String, Value>, scope: &Scope<'r>) -> Node {
        let mut node = Node { default: members.get("default").cloned(), ..Node::default() };
        if let Some(properties) = members.get("properties").and_then(Value::as_object) {
            node.properties = properties.iter().map(|(name, s)| (name.clone(), self.node(s, scope))).collect();
        }
        let tuple = members.get("prefixItems").or(members.get("items")).and_then(Value::as_array);
        node.prefix_items = tuple.into_iter().flatten().map(|schema| self.node(schema, scope)).collect();
        let rest = match members.get("items") {
            Some(Value::Array(_)) => members.get("additionalItems"),
            items => items,
        };
        node.items = rest.map(|schema| self.node(schema, scope));
        for schema in members.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            node.also.push(self.node(schema, scope));
        }
        if let Some((found, scope)) = members.get("$ref").and_then(Value::as_str).and_then(|to| scope.follow(to).ok())
        {
            node.also.push(self.node(found, &scope));
        }
        node
    }

    /// From every default back to what leads to it.
    fn mark_useful(&mut self) {
        let mut leads_here: Vec<Vec<usize>> = vec![Vec::new(); self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            let further = node.properties.values().chain(&node.prefix_items).chain(&node.items).chain(&node.also);
            further.for_each(|to| leads_here[*to].push(index));
        }
        let has_default = |index: &usize| self.nodes[*index].default.is_some();
        let mut reached: Vec<usize> = (0..self.nodes.len()).filter(has_default).collect();
        while let Some(index) = reached.pop() {
            if !std::mem::replace(&mut self.nodes[index].useful, true) {
                reached.append(&mut leads_here[index]);
            }
        }
    }
}

struct Search<'d> {
    defaults: &'d Defaults,
    around: Vec<Segment>,
    found: Vec<Missing<'d>>,
}

impl<'d> Search<'d> {
    fn look(&mut self, index: usize, value: &Value, depth: usize) {
        let defaults = self.defaults;
        let Some(node) = defaults.nodes.get(index).filter(|node| node.useful && depth < DEPTH_MAX) else { return };
        match value {
            Value::Object(members) => {
                for (name, property) in &node.properties {
                    match (members.get(name), defaults.default_of(*property, 0)) {
                        (Some(member), _) => self.inside(Segment::Member(name.clone()), *property, member, depth),
                        (None, Some(default)) if self.found.len() < FILLED_MAX => {
                            self.found.push(Missing { around: self.around.clone(), name, default });
                        }
                        (None, _) => {}
                    }
                }
            }
            Value::Array(items) => {
                for (nth, item) in items.iter().enumerate() {
                    if let Some(schema) = node.prefix_items.get(nth).or(node.items.as_ref()) {
                        self.inside(Segment::Index(nth), *schema, item, depth);
                    }
                }
            }
            _ => return,
        }
        for also in &node.also {
            self.look(*also, value, depth + 1);
        }
    }

    fn inside(&mut self, segment: Segment, node: usize, value: &Value, depth: usize) {
        self.around.push(segment);
        self.look(node, value, depth + 1);
        self.around.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::testing::{any_json, document};
    use proptest::prelude::*;
    use serde_json::json;

    fn check(properties: Value, value: Value, expected: Option<Value>) {
        let document = document(properties);
        let collection = document.compiled().collection("t").unwrap();
        assert_eq!(collection.filled(&value), expected, "{value}");
    }

    #[test]
    fn missing_members_get_their_defaults_at_any_depth() {
        let line = json!({"type": "object", "properties": {"n": {"default": 1}, "text": {"type": "string"}}});
        let properties = json!({
            "state": {"type": "string", "default": "new"},
            "lines": {"type": "array", "items": {"allOf": [line]}},
            "pair": {"prefixItems": [{"properties": {"a": {"default": 1}}}], "items": {"properties": {"b": {"default": 2}}}},
            "none": {"type": "string"},
        });
        check(
            properties.clone(),
            json!({"id": "k", "lines": [{}, {"n": 5}], "pair": [{}, {}]}),
            Some(json!({"id": "k", "state": "new", "lines": [{"n": 1}, {"n": 5}], "pair": [{"a": 1}, {"b": 2}]})),
        );
        check(properties, json!({"id": "k", "state": "x"}), None);
    }

    #[test]
    fn references_are_followed_and_end() {
        let node = json!({"$ref": "#/$defs/node"});
        let defs = json!({"node": {"type": "object", "default": {"leaf": true},
            "properties": {"next": node, "label": {"default": "?"}}}});
        let schema = json!({"type": "object", "required": ["id"], "$defs": defs,
            "properties": {"id": {"type": "string"}, "first": node}});
        let document = crate::registry::testing::parse(
            &json!({"collections": {"c": {"type": "t", "primaryKey": "id", "schema": schema}}}),
        );
        let document = document.unwrap();
        let filled = |value| document.compiled().collection("t").unwrap().filled(&value);
        assert_eq!(filled(json!({"id": "k"})), Some(json!({"id": "k", "first": {"leaf": true}})));
        assert_eq!(
            filled(json!({"id": "k", "first": {"next": {}}})),
            Some(json!({"id": "k", "first": {"label": "?", "next": {"label": "?", "next": {"leaf": true}}}}))
        );
    }

    #[test]
    fn a_default_that_the_schema_refuses_is_left_out_alone() {
        let properties = json!({"a": {"type": "string", "default": 7}, "b": {"type": "integer", "default": 7}});
        check(properties.clone(), json!({"id": "k"}), Some(json!({"id": "k", "b": 7})));
        // Not valid as it is, and not by its defaults either.
        check(properties, json!({"id": "k", "b": "x"}), None);
    }

    proptest! {
        #[test]
        fn what_was_filled_in_is_valid_and_takes_nothing_away(
            mut value in any_json(), schemas in proptest::collection::vec(any_json(), 3),
        ) {
            if let Some(members) = value.as_object_mut() {
                members.insert("id".to_owned(), json!("k"));
            }
            let mut properties = json!({});
            for (name, schema) in ["type", "items", "properties"].into_iter().zip(schemas) {
                properties[name] = json!({"type": ["object", "array", "string"], "default": schema,
                    "properties": {"type": {"default": 1}}, "items": {"properties": {"const": {"default": 2}}}});
            }
            let document = document(properties);
            let collection = document.compiled().collection("t").unwrap();
            if let Some(filled) = collection.filled(&value) {
                prop_assert!(collection.is_valid(&filled));
                for (name, member) in value.as_object().into_iter().flatten() {
                    prop_assert!(!member.is_string() || filled[name] == *member);
                }
                prop_assert!(collection.filled(&filled).is_none_or(|again| collection.is_valid(&again)));
            }
        }
    }
}
