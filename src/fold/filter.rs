//! Which entities a reader asks for.
//!
//! An entity never changes its type or its key, so one that passes a filter passes it for ever: no filter here makes
//! an entity leave a reader's view. Types are looked up once per page, not once per slot.

use super::entities::Entities;
use super::slots::Slot;

/// What must hold of an entity; `None` asks nothing. The default lets everything through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Any of these types. An empty list lets nothing through.
    pub types: Option<Vec<String>>,
    /// Exactly this key.
    pub key: Option<String>,
    /// A key that begins with these bytes.
    pub key_prefix: Option<String>,
}

impl Filter {
    pub fn accepts(&self, entity_type: &str, key: &str) -> bool {
        self.types.as_ref().is_none_or(|types| types.iter().any(|t| t == entity_type)) && self.accepts_key(key)
    }

    /// Whether everything passes.
    pub fn is_empty(&self) -> bool {
        self.types.is_none() && self.key.is_none() && self.key_prefix.is_none()
    }

    fn accepts_key(&self, key: &str) -> bool {
        self.key.as_ref().is_none_or(|wanted| wanted == key)
            && self.key_prefix.as_ref().is_none_or(|prefix| key.as_bytes().starts_with(prefix.as_bytes()))
    }
}

/// A filter whose types have been looked up in one fold.
pub(super) struct Resolved<'a> {
    filter: &'a Filter,
    entities: &'a Entities,
    /// Whether a type passes, by its id.
    types: Option<Vec<bool>>,
    by_key: bool,
}

impl<'a> Resolved<'a> {
    pub fn new(filter: &'a Filter, entities: &'a Entities) -> Self {
        let types = filter.types.as_ref().map(|names| {
            let mut passes = vec![false; entities.collections().len()];
            for kind in names.iter().filter_map(|name| entities.kind(name)) {
                passes[kind.0 as usize] = true;
            }
            passes
        });
        let by_key = filter.key.is_some() || filter.key_prefix.is_some();
        Self { filter, entities, types, by_key }
    }

    pub fn accepts(&self, slot: &Slot) -> bool {
        self.types.as_ref().is_none_or(|passes| passes[slot.kind().0 as usize])
            && (!self.by_key || self.filter.accepts_key(self.entities.key(slot.entity)))
    }

    /// Whether nothing in this fold can pass, so that no slot need be looked at.
    pub fn is_hopeless(&self) -> bool {
        self.types.as_ref().is_some_and(|passes| !passes.contains(&true))
    }
}
