//! The latest value of every entity, as a client holds it.
//!
//! What a reader is told, told to a view in the same order, makes it equal to the log folded up to the reader's mark.
//! What a value is, and how it is read from a message, is the caller's.

use std::collections::BTreeMap;

/// Latest value by type and key, in byte order of both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View<V> {
    collections: BTreeMap<String, BTreeMap<String, V>>,
}

impl<V> Default for View<V> {
    fn default() -> Self {
        Self { collections: BTreeMap::new() }
    }
}

impl<V> View<V> {
    pub fn new() -> Self {
        Self::default()
    }

    /// An insert, update or upsert; returns the value that it replaced.
    pub fn insert(&mut self, entity_type: &str, key: &str, value: V) -> Option<V> {
        if let Some(collection) = self.collections.get_mut(entity_type) {
            return collection.insert(key.to_owned(), value);
        }
        self.collections.entry(entity_type.to_owned()).or_default().insert(key.to_owned(), value)
    }

    /// A delete; returns the value that is gone. Deleting what is not there is no error: it may have been filtered.
    pub fn remove(&mut self, entity_type: &str, key: &str) -> Option<V> {
        let collection = self.collections.get_mut(entity_type)?;
        let removed = collection.remove(key);
        if collection.is_empty() {
            self.collections.remove(entity_type);
        }
        removed
    }

    /// A reset: nothing is known until the snapshot that follows.
    pub fn clear(&mut self) {
        self.collections.clear();
    }

    pub fn get(&self, entity_type: &str, key: &str) -> Option<&V> {
        self.collections.get(entity_type)?.get(key)
    }

    /// All entities, sorted by type, then key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &V)> {
        self.collections.iter().flat_map(|(name, entities)| {
            entities.iter().map(move |(key, value)| (name.as_str(), key.as_str(), value))
        })
    }

    /// The entities of one type, sorted by key.
    pub fn of_type(&self, entity_type: &str) -> impl Iterator<Item = (&str, &V)> {
        self.collections.get(entity_type).into_iter().flatten().map(|(key, value)| (key.as_str(), value))
    }

    /// Types that have a live entity, sorted.
    pub fn types(&self) -> impl Iterator<Item = &str> {
        self.collections.keys().map(String::as_str)
    }

    pub fn len(&self) -> usize {
        self.collections.values().map(BTreeMap::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.collections.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_holds_the_latest_value_sorted_by_type_and_key() {
        let mut view = View::new();
        assert_eq!(view.insert("b", "2", 1), None);
        assert_eq!(view.insert("a", "9", 2), None);
        assert_eq!(view.insert("b", "10", 3), None);
        assert_eq!(view.insert("b", "2", 4), Some(1));
        assert_eq!(view.iter().collect::<Vec<_>>(), [("a", "9", &2), ("b", "10", &3), ("b", "2", &4)]);
        assert_eq!(view.of_type("b").collect::<Vec<_>>(), [("10", &3), ("2", &4)]);
        assert_eq!((view.get("b", "2"), view.get("c", "2"), view.len()), (Some(&4), None, 3));
    }

    #[test]
    fn removing_and_clearing_leave_nothing_behind() {
        let mut view = View::new();
        view.insert("a", "1", "x");
        assert_eq!(view.remove("a", "2"), None);
        assert_eq!(view.remove("a", "1"), Some("x"));
        assert_eq!(view, View::new());
        view.insert("a", "1", "x");
        view.clear();
        assert!(view.is_empty() && view.types().next().is_none());
    }
}
