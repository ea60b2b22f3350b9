//! How much one value can be made to cost: subschemas that apply to it in place, and how deeply they refer on.
//!
//! The validator follows `allOf`, `$ref` and their like once for every path that leads to a subschema, on the call
//! stack. Twenty definitions that each name the next one twice are a million checks; a long enough chain of
//! references overflows the stack. So both are bounded when a document is registered. Descending into members and
//! items is not counted: how deep that goes, the value decides.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jsonschema::{Draft, Registry, Uri};
use serde_json::Value;

/// Subschemas applied to one place of a value.
pub(super) const APPLIED_MAX: u64 = 2_000;
/// Subschemas applied to one place, each by the one before it.
pub(super) const NESTED_MAX: usize = 200;

const LISTS: &[&str] = &["allOf", "anyOf", "oneOf"];
const SINGLE: &[&str] = &["else", "if", "not", "then"];
const MAPS: &[&str] = &["dependencies", "dependentSchemas"];
const REFERENCES: &[&str] = &["$ref", "$dynamicRef", "$recursiveRef"];

/// Where references are resolved: the schema with its identifiers, and the base at this place of it.
#[derive(Clone)]
pub(crate) struct Scope<'r> {
    pub registry: &'r Registry<'r>,
    pub base: Arc<Uri<String>>,
    pub draft: Draft,
}

impl<'r> Scope<'r> {
    /// The scope inside a subschema, which may name a base of its own. An identifier that is no URI changes nothing.
    pub fn inside(&self, schema: &Value) -> Self {
        let id = self.draft.create_resource_ref(schema).id().map(str::to_owned);
        let own = id.and_then(|id| self.registry.resolve_uri(&self.base.borrow(), &id).ok());
        Self { base: own.unwrap_or_else(|| self.base.clone()), ..*self }
    }

    /// What a reference leads to, and the scope there.
    pub fn follow(&self, target: &str) -> Result<(&'r Value, Self), jsonschema::ReferencingError> {
        let (found, resolver, _) = self.registry.resolver((*self.base).clone()).lookup(target)?.into_inner();
        Ok((found, Self { base: resolver.base_uri(), ..*self }))
    }
}

#[derive(Clone, Copy)]
struct Cost {
    applied: u64,
    nested: usize,
}

/// Costs found so far, by where a subschema lies in memory: it is the same one however it was reached.
#[derive(Default)]
pub(super) struct Costs {
    known: HashMap<usize, Cost>,
    /// Being added up further up the stack: a cycle, which the validator cuts at the same place.
    open: HashSet<usize>,
}

impl Costs {
    /// Whether one place of a value costs too much under `schema`; `scope` is the one around it.
    pub fn exceeds(&mut self, schema: &Value, scope: &Scope<'_>) -> bool {
        self.open.clear();
        self.of(schema, scope).is_none()
    }

    /// `None` beyond the bounds. Recurses [`NESTED_MAX`] deep at most.
    fn of(&mut self, schema: &Value, scope: &Scope<'_>) -> Option<Cost> {
        let Some(members) = schema.as_object() else {
            return Some(Cost { applied: 1, nested: 1 });
        };
        let identity = std::ptr::from_ref(schema).addr();
        if let Some(known) = self.known.get(&identity) {
            return Some(*known);
        }
        if self.open.len() >= NESTED_MAX {
            return None;
        }
        if !self.open.insert(identity) {
            return Some(Cost { applied: 1, nested: 1 });
        }
        let scope = scope.inside(schema);
        let mut total = Cost { applied: 1, nested: 1 };
        for (name, value) in members {
            match (name.as_str(), value) {
                (name, Value::Array(items)) if LISTS.contains(&name) => {
                    items.iter().try_for_each(|item| self.add(&mut total, item, &scope))?;
                }
                (name, Value::Object(_)) if SINGLE.contains(&name) => self.add(&mut total, value, &scope)?,
                (name, Value::Object(schemas)) if MAPS.contains(&name) => {
                    schemas.values().try_for_each(|item| self.add(&mut total, item, &scope))?;
                }
                (name, Value::String(target)) if REFERENCES.contains(&name) => {
                    if let Ok((found, there)) = scope.follow(target) {
                        self.add(&mut total, found, &there)?;
                    }
                }
                _ => {}
            }
        }
        self.open.remove(&identity);
        self.known.insert(identity, total);
        Some(total)
    }

    fn add(&mut self, total: &mut Cost, schema: &Value, scope: &Scope<'_>) -> Option<()> {
        let part = self.of(schema, scope)?;
        total.applied = total.applied.saturating_add(part.applied);
        total.nested = total.nested.max(part.nested + 1);
        (total.applied <= APPLIED_MAX && total.nested <= NESTED_MAX).then_some(())
    }
}
