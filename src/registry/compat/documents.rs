//! What two versions of a document mean to each other: their collections compared one by one.
//!
//! A value of a collection is an object that holds its key, so only such values are asked about: a schema that admits
//! numbers beside objects does not become incompatible for them.

use serde_json::{Value, json};

use super::{Bounds, Containment, ContentModel, Difference, Mode};
use crate::model::producer::INTEGER_MAX;
use crate::registry::{CompiledCollection, Document};

/// The answer to a check.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub compatible: bool,
    /// By version, latest first; within one backward first, then by collection. Empty where compatible.
    pub violations: Vec<Violation>,
}

/// One reason why a candidate is not compatible.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation {
    pub collection: String,
    /// The earlier version that the candidate was compared with.
    pub version: u32,
    /// Whether values of the earlier version are refused by the candidate (backward), or the other way around.
    pub backward: bool,
    /// Stable; `docs/compatibility.md` lists them. `undecided` where the bounds did not suffice.
    pub kind: &'static str,
    /// JSON pointer into the schema of the refusing version's collection.
    pub path: String,
    /// For a person.
    pub message: String,
    /// A value of the one version that the other refuses.
    pub counterexample: Option<Value>,
}

/// Compares a candidate with earlier versions, given in any order, under their version numbers.
pub fn check_documents(
    candidate: &Document,
    earlier: &[(u32, &Document)],
    mode: Mode,
    model: ContentModel,
    bounds: &Bounds,
) -> Report {
    let mut versions: Vec<_> = earlier.to_vec();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    versions.truncate(if mode.is_transitive() { usize::MAX } else { 1 });
    let mut violations = Vec::new();
    for (version, document) in versions {
        if candidate.fingerprint() == document.fingerprint() {
            continue;
        }
        if mode.is_backward() {
            let mut found = Comparison { version, backward: true, model, bounds, violations: &mut violations };
            found.documents(document, candidate);
        }
        if mode.is_forward() {
            let mut found = Comparison { version, backward: false, model, bounds, violations: &mut violations };
            found.documents(candidate, document);
        }
    }
    Report { compatible: violations.is_empty(), violations }
}

/// One direction against one version.
struct Comparison<'a> {
    version: u32,
    backward: bool,
    model: ContentModel,
    bounds: &'a Bounds,
    violations: &'a mut Vec<Violation>,
}

impl Comparison<'_> {
    fn documents(&mut self, inner: &Document, outer: &Document) {
        for collection in inner.compiled().collections() {
            match outer.compiled().collection_named(&collection.name) {
                Some(other) => self.collections(collection, other),
                None => self.missing(collection, outer),
            }
        }
    }

    /// A collection that only the inner document has.
    fn missing(&mut self, collection: &CompiledCollection, outer: &Document) {
        let entity_type = &collection.entity_type;
        // Collections are told apart by type on the wire; a name is free to change.
        if let Some(renamed) = outer.compiled().collection(entity_type.as_str()) {
            return self.collections(collection, renamed);
        }
        let (kind, message) = match self.backward {
            true => ("collection_removed", format!("changes of type `{entity_type}` would be refused")),
            // A reader of the earlier version passes over types that it does not know, unless it is closed.
            false if self.model != ContentModel::Closed => return,
            false => ("collection_added", format!("version {} knows no type `{entity_type}`", self.version)),
        };
        let counterexample = self.instance(collection);
        self.add(collection, Difference { kind, path: String::new(), message, counterexample });
    }

    fn collections(&mut self, inner: &CompiledCollection, outer: &CompiledCollection) {
        if inner.entity_type != outer.entity_type {
            let message = format!(
                "the type `{}` became `{}`; changes are told apart by it",
                inner.entity_type, outer.entity_type
            );
            let counterexample = self.instance(inner);
            let path = String::new();
            return self.add(inner, Difference { kind: "type_renamed", path, message, counterexample });
        }
        if inner.primary_key != outer.primary_key {
            let message = format!(
                "the key moved from `{}` to `{}`; every entity would become another one",
                inner.primary_key, outer.primary_key
            );
            let counterexample = self.instance(inner);
            let path = String::new();
            self.add(inner, Difference { kind: "primary_key_changed", path, message, counterexample });
        }
        match super::contained_where(&inner.schema, &outer.schema, Some(&key_of(inner)), self.model, self.bounds) {
            Containment::Contained => {}
            Containment::Refuted(refutation) => {
                refutation.differences.into_iter().for_each(|difference| self.add(inner, difference));
            }
            Containment::Undecided { reason, path } => {
                let message = format!("not decided: {reason}");
                self.add(inner, Difference { kind: "undecided", path, message, counterexample: None });
            }
        }
    }

    /// Some value of a collection.
    fn instance(&self, collection: &CompiledCollection) -> Option<Value> {
        super::instance(&collection.schema, &key_of(collection), self.model, self.bounds)
    }

    fn add(&mut self, collection: &CompiledCollection, difference: Difference) {
        let Difference { kind, path, message, counterexample } = difference;
        let (version, backward) = (self.version, self.backward);
        let collection = collection.name.clone();
        self.violations.push(Violation { collection, version, backward, kind, path, message, counterexample });
    }
}

/// What every value of a collection is, whatever its schema admits.
fn key_of(collection: &CompiledCollection) -> Value {
    let key = json!({"anyOf": [
        {"type": "string", "minLength": 1},
        {"type": "integer", "minimum": -(INTEGER_MAX as i64), "maximum": INTEGER_MAX},
    ]});
    let name = collection.primary_key.as_str();
    // A bare schema has no key, and its values are of any kind.
    if name.is_empty() {
        return Value::Bool(true);
    }
    json!({"type": "object", "required": [name], "properties": {name: key}})
}
