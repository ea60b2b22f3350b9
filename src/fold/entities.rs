//! Which entities a stream has, by type and key, and the newest slot of each.
//!
//! A tombstone keeps its entity, and nothing else lets go of one, so ids are stable for the life of a fold and keys
//! are never garbage. Keys are chosen by clients: the table hashes them with a random secret (SipHash), so that
//! nobody can choose keys that collide. Invariant: `(type, key)` names one entity, which has at least one slot.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use super::chunked::Chunked;

/// An entity of one [`super::Fold`]; valid as long as that fold is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntityId(pub(super) u32);

/// A collection of one fold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TypeId(pub u32);

#[derive(Debug)]
struct Collection {
    name: Box<str>,
    live: u64,
}

/// Where a key's text lies, and what it belongs to. 20 bytes each, so fields are no wider than they must be.
#[derive(Clone, Copy, Debug)]
struct Entity {
    chunk: u32,
    start: u32,
    length: u32,
    kind: TypeId,
    newest: u32,
}

#[derive(Debug, Default)]
pub(super) struct Entities {
    hasher: RandomState,
    collections: Vec<Collection>,
    by_name: HashTable<u32>,
    entities: Chunked<Entity>,
    by_key: HashTable<u32>,
    keys: Keys,
    /// One per entity from the first one that has a version on; [`UNVERSIONED`] for those without.
    versions: Chunked<i128>,
}

/// Most collections that are looked through for a name.
const COMPARED_MAX: usize = 8;
/// No version. JSON's integers are within 65 bits, so none is lost to it.
const UNVERSIONED: i128 = i128::MIN;

impl Entities {
    pub fn kind(&self, name: &str) -> Option<TypeId> {
        // Few names are told apart sooner than one is hashed.
        if self.collections.len() <= COMPARED_MAX {
            let at = self.collections.iter().position(|collection| *collection.name == *name);
            return at.map(|at| TypeId(at as u32));
        }
        let same = |&id: &u32| *self.collections[id as usize].name == *name;
        self.by_name.find(self.hasher.hash_one(name), same).map(|&id| TypeId(id))
    }

    pub fn kind_or_new(&mut self, name: &str) -> TypeId {
        if let Some(kind) = self.kind(name) {
            return kind;
        }
        let id = self.collections.len() as u32;
        self.collections.push(Collection { name: name.into(), live: 0 });
        let Self { by_name, collections, hasher, .. } = self;
        by_name.insert_unique(hasher.hash_one(name), id, |&id| hasher.hash_one(&*collections[id as usize].name));
        TypeId(id)
    }

    #[inline]
    pub fn find(&self, kind: TypeId, key: &str) -> Option<EntityId> {
        let same = |&id: &u32| {
            let entity = self.entities.get(id);
            entity.kind == kind && self.keys.get(entity) == key
        };
        self.by_key.find(self.hash(kind, key), same).map(|&id| EntityId(id))
    }

    /// Adds an entity that [`Self::find`] did not find; its first slot is `newest`.
    pub fn add(&mut self, kind: TypeId, key: &str, newest: u32) -> EntityId {
        let id = self.entities.len() as u32;
        let (chunk, start) = self.keys.push(key);
        self.entities.push(Entity { chunk, start, length: key.len() as u32, kind, newest });
        let hash = self.hash(kind, key);
        let Self { by_key, entities, keys, hasher, .. } = self;
        by_key.insert_unique(hash, id, |&id| {
            let entity = entities.get(id);
            hasher.hash_one((entity.kind.0, keys.get(entity)))
        });
        EntityId(id)
    }

    #[inline]
    fn hash(&self, kind: TypeId, key: &str) -> u64 {
        self.hasher.hash_one((kind.0, key))
    }

    pub fn key(&self, entity: EntityId) -> &str {
        self.keys.get(self.entities.get(entity.0))
    }

    pub fn type_name(&self, entity: EntityId) -> &str {
        &self.collections[self.entities.get(entity.0).kind.0 as usize].name
    }

    #[inline]
    pub fn newest(&self, entity: EntityId) -> u32 {
        self.entities.get(entity.0).newest
    }

    #[inline]
    pub fn set_newest(&mut self, entity: EntityId, slot: u32) {
        self.entities.get_mut(entity.0).newest = slot;
    }

    pub fn version(&self, entity: EntityId) -> Option<i128> {
        let known = (entity.0 as usize) < self.versions.len();
        known.then(|| *self.versions.get(entity.0)).filter(|&version| version != UNVERSIONED)
    }

    pub fn set_version(&mut self, entity: EntityId, version: i128) {
        while self.versions.len() <= entity.0 as usize {
            self.versions.push(UNVERSIONED);
        }
        *self.versions.get_mut(entity.0) = version.max(UNVERSIONED + 1);
    }

    /// Counts an entity of `kind` that came to life or was deleted.
    pub fn count(&mut self, kind: TypeId, was_live: bool, is_live: bool) {
        let live = &mut self.collections[kind.0 as usize].live;
        *live = *live + u64::from(is_live) - u64::from(was_live);
    }

    pub fn live(&self, kind: TypeId) -> u64 {
        self.collections[kind.0 as usize].live
    }

    pub fn collections(&self) -> impl ExactSizeIterator<Item = (&str, u64)> {
        self.collections.iter().map(|collection| (&*collection.name, collection.live))
    }

    pub fn ids(&self) -> impl Iterator<Item = EntityId> + use<> {
        (0..self.entities.len() as u32).map(EntityId)
    }

    pub fn memory_bytes(&self) -> usize {
        let names: usize = self.collections.iter().map(|collection| collection.name.len()).sum();
        let lists = self.entities.memory_bytes() + self.versions.memory_bytes() + self.keys.memory_bytes();
        let tables = self.by_key.allocation_size() + self.by_name.allocation_size();
        lists + tables + names + self.collections.capacity() * size_of::<Collection>()
    }
}

/// The text of all keys, one after another.
#[derive(Debug, Default)]
struct Keys {
    chunks: Vec<String>,
}

impl Keys {
    const CHUNK_BYTES: usize = 64 << 10;

    /// Chunk and first byte of a key just added. A key longer than a chunk gets one of its own.
    fn push(&mut self, key: &str) -> (u32, u32) {
        let fits = |chunk: &String| chunk.len() + key.len() <= Self::CHUNK_BYTES;
        if !self.chunks.last().is_some_and(fits) {
            let room = if self.chunks.is_empty() { 0 } else { Self::CHUNK_BYTES };
            self.chunks.push(String::with_capacity(room));
        }
        let index = self.chunks.len() - 1;
        let chunk = &mut self.chunks[index];
        let start = chunk.len();
        chunk.push_str(key);
        (index as u32, start as u32)
    }

    #[inline]
    fn get(&self, entity: &Entity) -> &str {
        let start = entity.start as usize;
        &self.chunks[entity.chunk as usize][start..start + entity.length as usize]
    }

    fn memory_bytes(&self) -> usize {
        let text: usize = self.chunks.iter().map(String::capacity).sum();
        text + self.chunks.capacity() * size_of::<String>()
    }
}
