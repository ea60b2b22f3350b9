//! Entities: one at a time by key, and lists of them. The ETag of an entity is its offset.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::model::{EntityKey, EntityType, Offset, Operation, StreamName};
use crate::protocol::change::{StoredChange, store_entity};
use crate::protocol::json::{self, Duplicates, JsonFault};
use crate::registry::CompiledCollection;
use crate::storage::{Place, Wanted};

use super::folded::{ROUNDS, Selection, Start, again_later};
use super::handle::Handle;
pub use super::judge::Condition;
use super::typed::Writer;
use super::{Appended, Engine, Fault};
use crate::model::Producer;
use crate::stream::{Refusal, SchemaRef};

/// A live entity.
#[derive(Clone, Debug)]
pub struct Entity {
    pub key: String,
    /// Just after the change that it is from.
    pub offset: Offset,
    /// JSON text, as it was written.
    pub value: Bytes,
}

/// A part of a collection, in the order of the entities' last changes.
#[derive(Debug)]
pub struct EntityPage {
    pub entities: Vec<Entity>,
    /// Where to go on; `None` once all were given.
    pub next: Option<Offset>,
}

/// Which entity of which stream.
#[derive(Clone, Debug)]
pub struct EntityName {
    pub stream: StreamName,
    pub entity_type: EntityType,
    pub key: EntityKey,
}

/// How often a merge is tried again when others change the entity in between.
const MERGE_ATTEMPTS: usize = 16;

impl Engine {
    pub async fn entity(&self, name: &EntityName) -> Result<Entity, Fault> {
        let (handle, stream) = self.open(&name.stream).await?;
        self.check_collection(&handle, &name.entity_type)?;
        let Some(_) = stream else { return Err(no_entity(name)) };
        self.live_entity(&handle, name).await?.ok_or_else(|| no_entity(name))
    }

    /// Replaces or creates an entity.
    pub async fn put_entity(
        &self,
        name: &EntityName,
        value: &[u8],
        condition: Option<Condition>,
        producer: Option<Producer>,
    ) -> Result<Appended, Fault> {
        let text = self.one_value(value)?;
        let message = store_entity(&name.entity_type, &name.key, Operation::Upsert, Some(text));
        self.write_entity(name, message, condition, producer).await
    }

    /// Merges a patch into an entity. Source: RFC 7396.
    pub async fn patch_entity(
        &self,
        name: &EntityName,
        patch: &[u8],
        condition: Option<Condition>,
        producer: Option<Producer>,
    ) -> Result<Appended, Fault> {
        let patch = self.one_value(patch)?;
        json::strict_value(patch, self.limits().json_depth_max, Duplicates::Refuse)
            .map_err(|e| JsonFault::Syntax(e.to_string()))?;
        let (handle, _) = self.peek(&name.stream).await?;
        // A repeat was merged by its original: what the entity is now says nothing about it.
        let writer = Writer { producer: producer.clone(), ..Writer::default() };
        if let Some(repeat) = self.repeat(&handle, &writer).await? {
            return Ok(repeat);
        }
        let mut turn = None;
        for _ in 0..MERGE_ATTEMPTS {
            let schema = self.schema_of(&handle).ok();
            let current = self.entity(name).await;
            let entity = match (current, condition) {
                (Ok(entity), Some(condition)) if !condition.holds(Some(entity.offset)) => {
                    return Err(Fault::Precondition { current: Some(entity.offset) });
                }
                (Ok(entity), _) => entity,
                (Err(Fault::NoEntity { .. }), Some(Condition::Matches(_))) => {
                    return Err(Fault::Precondition { current: None });
                }
                (Err(fault), _) => return Err(fault),
            };
            let stored = self.as_carried(name, &entity);
            let text = merge(&stored, patch).map_err(|e| Fault::Storage(e.to_string()))?;
            let message = store_entity(&name.entity_type, &name.key, Operation::Update, Some(&text));
            // Staged on what was merged into, so that a change in between is not undone.
            let basis = Some(Condition::Matches(Some(entity.offset)));
            match self.write_entity(name, message, basis, producer.clone()).await {
                // Somebody was faster. From now on patches of this stream take turns, so that each gets one.
                Err(Fault::Precondition { .. }) => {
                    if turn.is_none() {
                        turn = Some(handle.merging.lock().await);
                    }
                    handle.quiet().await;
                }
                // What was merged into, or what it is checked under, was another by the time it was checked: a migration
                // has come by. What does not fit otherwise is the patch's fault.
                Err(Fault::Invalid { .. }) if self.has_moved(&handle, name, schema.as_ref(), entity.offset).await => {
                    handle.quiet().await;
                }
                outcome => return outcome,
            }
        }
        Err(Fault::Contended)
    }

    pub async fn delete_entity(
        &self,
        name: &EntityName,
        condition: Option<Condition>,
        producer: Option<Producer>,
    ) -> Result<Appended, Fault> {
        let message = store_entity(&name.entity_type, &name.key, Operation::Delete, None);
        // With a tuple a repeat must be recognised before the entity is found missing.
        let implied = producer.is_none().then_some(Condition::Matches(None));
        match self.write_entity(name, message, condition.or(implied), producer).await {
            Err(Fault::Precondition { current: None }) if condition.is_none() => Err(no_entity(name)),
            outcome => outcome,
        }
    }

    async fn write_entity(
        &self,
        name: &EntityName,
        message: Vec<u8>,
        condition: Option<Condition>,
        producer: Option<Producer>,
    ) -> Result<Appended, Fault> {
        let (handle, _) = self.peek(&name.stream).await?;
        self.check_collection(&handle, &name.entity_type)?;
        let message = String::from_utf8(message).map_err(|_| JsonFault::NotUtf8)?;
        let writer = Writer { producer, ..Writer::default() };
        self.write_typed(&handle, &[&message], writer, condition).await
    }

    /// A batch of changes, over all collections of the stream, all or none.
    pub async fn write_changes(
        &self,
        name: &StreamName,
        body: &[u8],
        producer: Option<Producer>,
    ) -> Result<Appended, Fault> {
        let (handle, _) = self.peek(name).await?;
        self.write_body(&handle, body, Writer { producer, ..Writer::default() }).await
    }

    /// Up to `limit` live entities of a collection, from `cursor` on.
    pub async fn entities(
        &self,
        name: &StreamName,
        entity_type: &EntityType,
        key_prefix: Option<String>,
        limit: usize,
        cursor: Option<Offset>,
    ) -> Result<EntityPage, Fault> {
        let (handle, stream) = self.open(name).await?;
        self.check_collection(&handle, entity_type)?;
        let Some(stream) = stream else { return Ok(EntityPage { entities: Vec::new(), next: None }) };
        if let Some(cursor) = cursor {
            self.check_offset(Some(&stream), cursor)?;
        }
        let selection = Selection {
            types: vec![entity_type.as_str().to_owned()],
            key_prefix,
            limit: Some(limit),
            ..Selection::default()
        };
        let start = cursor.map_or(Start::beginning(), |cursor| Start::from_offset(cursor, stream.creation.start));
        let page = self.folded_page(&handle, &stream, start, &selection, None).await?;
        let entities = page.items.iter().filter(|item| !item.deletes).filter_map(|item| {
            let value = value_of(&item.change)?;
            Some(Entity { key: item.key.clone(), offset: Offset::at(item.position + 1), value })
        });
        let next = (!page.done).then(|| page.next.offset(false));
        Ok(EntityPage { entities: entities.collect(), next })
    }

    /// Deletes every live entity, as one batch; the stream goes on.
    pub(super) async fn delete_entities(&self, handle: &Arc<Handle>) -> Result<(), Fault> {
        loop {
            self.ensure_fold(handle).await?;
            let messages: Vec<String> = {
                let core = handle.lock_fresh(&*self.store)?;
                let Some(fold) = core.fold() else {
                    match &core.state {
                        // It is never read again: nobody sees it any more.
                        Some(state) if state.soft_deleted => return Err(Refusal::SoftDeleted.into()),
                        Some(_) => continue,
                        None => return Err(Fault::NoStream(handle.name.clone())),
                    }
                };
                let names = fold
                    .live_entities()
                    .filter_map(|(entity_type, key)| Some((EntityType::parse(entity_type)?, EntityKey::parse(key)?)));
                let message = |(entity_type, key)| store_entity(&entity_type, &key, Operation::Delete, None);
                names.map(message).filter_map(|message| String::from_utf8(message).ok()).collect()
            };
            if messages.is_empty() {
                let basis = handle.basis(&handle.lock());
                return self.settle(handle, basis).await;
            }
            let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
            // Each must still be there, and nothing else: otherwise the next round names what is there then.
            let every = Some(Condition::Matches(None));
            let writer = Writer { everything: true, ..Writer::default() };
            match self.write_typed(handle, &messages, writer, every).await {
                Err(Fault::Precondition { .. }) => continue,
                outcome => return outcome.map(drop),
            }
        }
    }

    /// Whether an entity is another than it was at an offset, or its stream is checked under another version.
    async fn has_moved(
        &self,
        handle: &Arc<Handle>,
        name: &EntityName,
        schema: Option<&SchemaRef>,
        offset: Offset,
    ) -> bool {
        let same_schema = self.schema_of(handle).ok().as_ref() == schema;
        let same_entity = self.entity(name).await.is_ok_and(|now| now.offset == offset);
        !(same_schema && same_entity)
    }

    pub(super) fn check_collection(&self, handle: &Handle, entity_type: &EntityType) -> Result<(), Fault> {
        let schema = self.schema_of(handle)?;
        let compiled = self.compiled(&schema)?;
        let known = compiled.collection(entity_type.as_str()).map(|_: &CompiledCollection| ());
        known.ok_or_else(|| Fault::NoCollection(entity_type.to_string()))
    }

    async fn live_entity(&self, handle: &Arc<Handle>, name: &EntityName) -> Result<Option<Entity>, Fault> {
        for _ in 0..ROUNDS {
            let seen = self.entity_at(handle, name.entity_type.as_str(), name.key.as_str()).await?;
            let Some((seen, place)) = seen.and_then(|seen| Some((seen, seen.place?))) else { return Ok(None) };
            let wanted = Wanted { position: seen.position, place: Place(place), length: seen.length };
            if let Some(stored) = self.fetch(handle, vec![wanted]).await? {
                let value = stored.first().and_then(value_of).ok_or_else(|| Fault::Storage("not a change".into()))?;
                return Ok(Some(Entity { key: name.key.to_string(), offset: Offset::at(seen.position + 1), value }));
            }
        }
        Err(again_later())
    }

    fn one_value<'b>(&self, body: &'b [u8]) -> Result<&'b str, Fault> {
        let text = std::str::from_utf8(body).map_err(|_| JsonFault::NotUtf8)?;
        if text.trim_ascii().is_empty() {
            return Err(Fault::EmptyBody);
        }
        // Spliced into an envelope as it is, so it must be exactly one value.
        serde_json::from_str::<&RawValue>(text)
            .map(|raw| raw.get())
            .map_err(|e| JsonFault::Syntax(e.to_string()).into())
    }
}

/// The value of a stored change.
pub fn value_of(change: &Bytes) -> Option<Bytes> {
    let text = std::str::from_utf8(change).ok()?;
    let value = StoredChange::parse(text)?.value?;
    Some(change.slice_ref(value.as_bytes()))
}

fn no_entity(name: &EntityName) -> Fault {
    Fault::NoEntity { entity_type: name.entity_type.to_string(), key: name.key.to_string() }
}

/// A patch merged into a value, as texts: what it does not touch stays as it was written. Source: RFC 7396 §2.
///
/// Both are JSON of bounded depth.
fn merge(target: &str, patch: &str) -> serde_json::Result<String> {
    if !patch.trim_ascii_start().starts_with('{') {
        return Ok(patch.to_owned());
    }
    let patch: Members<'_> = serde_json::from_str(patch)?;
    let mut members: Members<'_> = match target.trim_ascii_start().starts_with('{') {
        true => serde_json::from_str(target)?,
        false => Members::new(),
    };
    let mut merged: Vec<(String, Box<RawValue>)> = Vec::with_capacity(patch.len());
    for (name, value) in patch {
        let former = members.remove(&name);
        if value.get() != "null" {
            let text = merge(former.map_or("null", RawValue::get), value.get())?;
            merged.push((name, RawValue::from_string(text)?));
        }
    }
    let kept = members.into_iter().map(|(name, value)| (name, value.to_owned()));
    let all: BTreeMap<String, Box<RawValue>> = kept.chain(merged).collect();
    serde_json::to_string(&all)
}

type Members<'a> = BTreeMap<String, &'a RawValue>;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn merge_patches_as_rfc_7396_says() {
        for (target, patch, expected) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!({"a":"foo"}), json!("bar"), json!("bar")),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!([1, 2]), json!({"a":"b","c":null}), json!({"a":"b"})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ] {
            let merged = merge(&target.to_string(), &patch.to_string()).unwrap();
            assert_eq!(merged, expected.to_string(), "{target} + {patch}");
        }
    }

    #[test]
    fn what_a_patch_does_not_touch_stays_as_it_was_written() {
        let merged = merge(r#"{"n":12345678901234567890123,"o":{"f":1.0}}"#, r#"{"o":{"g":1}}"#).unwrap();
        assert_eq!(merged, r#"{"n":12345678901234567890123,"o":{"f":1.0,"g":1}}"#);
    }
}
