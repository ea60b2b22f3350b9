//! What a schema version would say of the entities that a stream holds: asked before a binding applies to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::model::StreamName;
use crate::protocol::change::StoredChange;
use crate::protocol::json::{Duplicates, strict_value};
use crate::registry::{Compiled, CompiledCollection};

use super::handle::{Handle, PublishedStream};
use super::{ChangeFault, Engine, Fault};

/// An entity, or a whole stream, that keeps a binding from being made.
#[derive(Debug)]
pub struct DataFault {
    pub stream: StreamName,
    pub entity_type: Option<String>,
    pub key: Option<String>,
    pub faults: Vec<ChangeFault>,
}

impl DataFault {
    /// A stream that as a whole cannot be checked under that version.
    pub(super) fn of_stream(stream: &StreamName, version: u32, message: String) -> Self {
        let fault = ChangeFault {
            index: 0,
            pointer: String::new(),
            keyword: "type".into(),
            schema_location: String::new(),
            schema_version: Some(version),
            message,
        };
        Self { stream: stream.clone(), entity_type: None, key: None, faults: vec![fault] }
    }
}

impl Engine {
    /// Which live entities of a stream a schema version would refuse.
    pub(super) async fn check_stream(
        &self,
        handle: &Arc<Handle>,
        stream: &PublishedStream,
        compiled: &Arc<Compiled>,
        version: u32,
    ) -> Result<Vec<DataFault>, Fault> {
        let whole = |message: &str| DataFault::of_stream(&handle.name, version, message.to_owned());
        if !stream.creation.content_type.is_json() {
            return Ok(vec![whole("the stream does not hold application/json")]);
        }
        if handle.name.has_dash_segment() {
            return Ok(vec![whole("a typed stream's path has no segment that is just `-`")]);
        }
        let (engine, stream, compiled) = (self.clone(), stream.clone(), compiled.clone());
        let name = handle.name.clone();
        let checked = tokio::task::spawn_blocking(move || engine.check_messages(&name, &stream, &compiled, version));
        checked.await.map_err(|e| Fault::Storage(e.to_string()))?
    }

    fn check_messages(
        &self,
        name: &StreamName,
        stream: &PublishedStream,
        compiled: &Compiled,
        version: u32,
    ) -> Result<Vec<DataFault>, Fault> {
        let mut newest: BTreeMap<(String, String), Vec<ChangeFault>> = BTreeMap::new();
        let mut from = stream.creation.start;
        let mut foreign = None;
        while from < stream.tail {
            let runs = self.store.read(stream.id, from, stream.tail, self.limits().page_bytes_max)?;
            let Some(last) = runs.last() else { break };
            from = last.first + last.count;
            for run in &runs {
                let mut at = 0;
                for length in run.lengths.iter() {
                    let bytes = run.payload.get(at..at + length as usize).unwrap_or_default();
                    at += length as usize + 1;
                    let Some(change) = std::str::from_utf8(bytes).ok().and_then(StoredChange::parse) else {
                        foreign = foreign.or(Some(run.first));
                        continue;
                    };
                    let entity = (change.entity_type.to_string(), change.key.to_string());
                    match entity_faults(compiled, &change, version, self.limits().faults_max) {
                        faults if faults.is_empty() => newest.remove(&entity),
                        faults => newest.insert(entity, faults),
                    };
                }
            }
        }
        let mut faults: Vec<DataFault> = newest
            .into_iter()
            .map(|((entity_type, key), faults)| DataFault {
                stream: name.clone(),
                entity_type: Some(entity_type),
                key: Some(key),
                faults,
            })
            .collect();
        if let Some(position) = foreign {
            let message = format!("the message at position {position} is no State Protocol change");
            faults.push(DataFault::of_stream(name, version, message));
        }
        Ok(faults)
    }
}

/// Deeper than any request may be, and shallow enough to walk.
const DEPTH_MAX: usize = 1_000;

fn entity_faults(
    compiled: &Compiled,
    change: &StoredChange<'_>,
    version: u32,
    faults_max: usize,
) -> Vec<ChangeFault> {
    let fault = |pointer: String, keyword: String, schema_location: String, message: String| ChangeFault {
        index: 0,
        pointer,
        keyword,
        schema_location,
        schema_version: Some(version),
        message,
    };
    if change.deletes {
        return Vec::new();
    }
    let Some(collection) = compiled.collection(&change.entity_type) else {
        let message = format!("the schema has no type {:?}", change.entity_type);
        return vec![fault("/type".into(), "enum".into(), String::new(), message)];
    };
    let value = entity_value(change);
    let mut faults: Vec<ChangeFault> = collection
        .check(&value, faults_max)
        .into_iter()
        .map(|f| fault(f.pointer, f.keyword, f.schema_location, f.message))
        .collect();
    if faults.is_empty() {
        let message = key_fault(collection, &value, &change.key);
        faults.extend(message.map(|message| fault(String::new(), "primaryKey".into(), String::new(), message)));
    }
    faults
}

/// The value that a stored change gives its entity.
pub(super) fn entity_value(change: &StoredChange<'_>) -> Value {
    let parse = |text| strict_value(text, DEPTH_MAX, Duplicates::Keep).ok();
    change.value.and_then(parse).unwrap_or(Value::Null)
}

/// Why an entity would be another one in a collection.
pub(super) fn key_fault(collection: &CompiledCollection, value: &Value, key: &str) -> Option<String> {
    let same = collection.key_of(value).is_ok_and(|found| found == key);
    (!same).then(|| format!("key {key:?} is not the value's {}", collection.primary_key))
}
