//! Checking a batch against the schema version its stream is pinned to, before any lock is taken.
//!
//! Reads each envelope, validates each value, and writes the stored form. What the schema refuses fails the batch, or is
//! set aside where the binding says so. Whether the batch may be applied is decided later, under the lock.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::model::{EntityType, Operation};
use crate::protocol::change::{CONTROL, Change, Enrichment, MALFORMED};
use crate::protocol::json::{self, Duplicates, Elements};
use crate::protocol::plain::{PlainReader, Stamp};
use crate::registry::{Binding, Compiled, CompiledCollection, Egress, Validation, VersionState};
use crate::stream::SchemaRef;

use super::handle::Handle;
use super::judge::Condition;
use super::registry::RegistryFault;
use super::{ChangeFault, Counters, Engine, Fault};

/// One checked change of a batch.
pub(super) struct Prepared {
    pub index: usize,
    /// Its entity in [`Batch::names`].
    pub name: Name,
    pub operation: Operation,
    pub version: Option<i128>,
    pub strict: bool,
    pub condition: Option<Condition>,
    /// Its stored form in [`Batch::stored`].
    pub span: Range<usize>,
}

/// The entities that a batch names, in one piece of memory.
#[derive(Default)]
pub(super) struct Names {
    types: Vec<EntityType>,
    keys: String,
}

/// One of [`Names`].
#[derive(Clone, Copy)]
pub(super) struct Name {
    entity_type: usize,
    key: usize,
    key_length: usize,
}

impl Names {
    fn with_room(names: usize) -> Self {
        Self { types: Vec::with_capacity(1), keys: String::with_capacity(names * 20) }
    }

    #[inline]
    pub fn add(&mut self, entity_type: &EntityType, key: &str) -> Name {
        // Few, and mostly the one before.
        let known = self.types.iter().rposition(|known| known == entity_type);
        let entity_type = known.unwrap_or_else(|| {
            self.types.push(entity_type.clone());
            self.types.len() - 1
        });
        let name = Name { entity_type, key: self.keys.len(), key_length: key.len() };
        self.keys.push_str(key);
        name
    }

    /// Type and key.
    #[inline]
    pub fn of(&self, name: Name) -> (&str, &str) {
        (self.types[name.entity_type].as_str(), &self.keys[name.key..name.key + name.key_length])
    }
}

/// Bytes of a small change: a body is taken to hold one for each.
const SMALL: usize = 160;
/// Faults kept with a change that is set aside.
const FAULTS_KEPT: usize = 8;

/// A change that the schema refuses and the binding keeps aside.
pub(super) struct SetAside {
    pub change: String,
    pub faults: Vec<ChangeFault>,
}

/// A batch, checked against one schema version.
pub(super) struct Batch {
    pub schema: SchemaRef,
    pub changes: Vec<Prepared>,
    pub names: Names,
    /// Stored forms, each followed by a comma: the payload, unless a change is dropped.
    pub stored: Bytes,
    pub set_aside: Vec<SetAside>,
    /// Messages in the request.
    pub received: usize,
    /// The binding that it was checked under.
    pub binding: Option<Arc<Binding>>,
    pub txid: Option<Arc<str>>,
}

impl Engine {
    /// Checks a body of which every change is plain and belongs to its collection: read once, from its bytes to its stored
    /// form. `None` where that cannot be said of all of it, whatever the reason; then [`Engine::prepare`] decides, and
    /// words what is wrong.
    pub(super) fn prepare_plain(
        &self,
        schema: &SchemaRef,
        binding: Option<Arc<Binding>>,
        body: &[u8],
    ) -> Option<Batch> {
        if binding.as_deref().is_some_and(|b| b.egress == Egress::SseV1) {
            return None;
        }
        let compiled = self.writable(schema).ok()?;
        let text = std::str::from_utf8(body).ok()?;
        let (mut reader, mut elements) = (PlainReader::new(&compiled, self.limits()), Elements::of(text));
        let stamp = Stamp::new(self.now());
        let messages_max = self.limits().batch_messages_max;
        // Room for a time in each of what are mostly messages of a few hundred bytes.
        let mut stored = Vec::with_capacity(body.len() + body.len() / 4 + 64);
        let about = (body.len() / SMALL).min(messages_max) + 1;
        let (mut changes, mut names, mut txid) = (Vec::with_capacity(about), Names::with_room(about), None);
        while let Some(change) = elements.next(|scan| reader.read(scan))? {
            if changes.len() == messages_max {
                return None;
            }
            let start = stored.len();
            reader.store(&change, &stamp, &mut stored);
            let span = start..stored.len();
            stored.push(b',');
            txid = txid.or_else(|| change.txid.map(Arc::from));
            changes.push(Prepared {
                index: changes.len(),
                name: names.add(&change.collection.entity_type, change.key),
                operation: change.operation,
                version: change.version,
                strict: change.collection.strict,
                condition: None,
                span,
            });
        }
        if changes.is_empty() {
            return None;
        }
        let (schema, received, stored) = (schema.clone(), changes.len(), stored.into());
        Some(Batch { schema, changes, names, stored, set_aside: Vec::new(), received, binding, txid })
    }

    /// Checks messages against a schema version; refuses the batch, or sets aside what the binding says.
    pub(super) fn prepare(&self, handle: &Handle, schema: &SchemaRef, messages: &[&str]) -> Result<Batch, Fault> {
        let binding = self.binding(handle);
        let compiled = self.writable(schema)?;
        let validation = binding.as_deref().map_or(Validation::Reject, |b| b.validation);
        let checker = Checker { engine: self, compiled: &compiled, version: schema.version, validation };
        let trace = binding.as_deref().is_some_and(|b| b.egress == Egress::SseV1);
        let enrichment = Enrichment { now: self.now(), trace };
        let mut stored = Vec::with_capacity(messages.iter().map(|m| m.len() + 64).sum());
        let (mut changes, mut set_aside, mut faults) = (Vec::with_capacity(messages.len()), Vec::new(), Vec::new());
        let (mut txid, mut more, mut aside_bytes, mut names) = (None, 0, 0, Names::default());
        for (index, message) in messages.iter().enumerate() {
            match checker.check(index, message) {
                Ok((change, collection, version)) => {
                    let start = stored.len();
                    change.store(enrichment, &mut stored);
                    let span = start..stored.len();
                    stored.push(b',');
                    txid = txid.or(change.txid.as_deref().map(Arc::from));
                    changes.push(Prepared {
                        index,
                        name: names.add(&change.entity_type, change.key.as_str()),
                        operation: change.operation,
                        version,
                        strict: collection.strict,
                        condition: None,
                        span,
                    });
                }
                Err(found) if validation != Validation::Quarantine && found[0].keyword == MALFORMED => {
                    return Err(json::JsonFault::Message { index, reason: found[0].message.clone() }.into());
                }
                // A control message is no change that could be kept aside: told that it was taken, its writer would think
                // that readers were reset.
                Err(found) if validation == Validation::Quarantine && found[0].pointer != CONTROL => {
                    let mut faults = found;
                    faults.truncate(FAULTS_KEPT);
                    let kept = SetAside { change: (*message).to_owned(), faults };
                    aside_bytes += kept.bytes();
                    if aside_bytes > self.limits().stream_in_flight_bytes_max {
                        return Err(json::JsonFault::TooManyMessages { max: index }.into());
                    }
                    set_aside.push(kept);
                }
                Err(found) => {
                    let room = self.limits().faults_max.saturating_sub(faults.len());
                    more += found.len().saturating_sub(room);
                    faults.extend(found.into_iter().take(room));
                }
            }
        }
        if !faults.is_empty() {
            Counters::add(&self.counters.refused_changes, messages.len() as u64);
            return Err(Fault::Invalid { faults, more });
        }
        let received = messages.len();
        Ok(Batch {
            schema: schema.clone(),
            changes,
            names,
            stored: stored.into(),
            set_aside,
            received,
            binding,
            txid,
        })
    }

    /// What a write is checked against.
    fn writable(&self, schema: &SchemaRef) -> Result<Arc<Compiled>, Fault> {
        let registry = self.registry.current();
        let registered = super::registry::get(&registry, &schema.subject, schema.version)?;
        match registered.state {
            VersionState::Enabled | VersionState::Deprecated { .. } => Ok(registered.compiled.clone()),
            VersionState::Disabled => {
                let (subject, version) = (schema.subject.to_string(), schema.version);
                Err(RegistryFault::Disabled { subject, version }.into())
            }
        }
    }

    pub(super) fn compiled(&self, schema: &SchemaRef) -> Result<Arc<Compiled>, Fault> {
        let registry = self.registry.current();
        let registered = super::registry::get(&registry, &schema.subject, schema.version)?;
        Ok(registered.compiled.clone())
    }
}

impl SetAside {
    /// About what it takes when it is kept.
    pub fn bytes(&self) -> usize {
        self.change.len() + self.faults.iter().map(|fault| fault.message.len() + 128).sum::<usize>()
    }
}
/// Checks one message at a time against one schema version.
struct Checker<'e> {
    engine: &'e Engine,
    compiled: &'e Compiled,
    version: u32,
    validation: Validation,
}

type Checked<'a, 'c> = (Change<'a>, &'c CompiledCollection, Option<i128>);

impl<'e> Checker<'e> {
    fn check<'a>(&self, index: usize, message: &'a str) -> Result<Checked<'a, 'e>, Vec<ChangeFault>> {
        let change = Change::parse(message)
            .map_err(|fault| vec![self.fault(index, fault.pointer, fault.keyword, fault.message)])?;
        let Some(collection) = self.compiled.collection(change.entity_type.as_str()) else {
            let known: Vec<&str> = self.compiled.collections().map(|c| c.entity_type.as_str()).collect();
            let message =
                format!("unknown type {:?}; the schema has {}", change.entity_type.as_str(), known.join(", "));
            return Err(vec![self.fault(index, "/type", "enum", message)]);
        };
        let Some(text) = change.value else { return Ok((change, collection, None)) };
        let limits = self.engine.limits();
        if text.len() > limits.value_bytes_max {
            let message = format!("the value has {} bytes; {} are allowed", text.len(), limits.value_bytes_max);
            return Err(vec![self.fault(index, "/value", "maxBytes", message)]);
        }
        let value = json::strict_value(text, limits.json_depth_max, Duplicates::Refuse)
            .map_err(|e| vec![self.fault(index, "", MALFORMED, e.to_string())])?;
        if self.validation != Validation::Off {
            let faults = self.check_value(index, &change, collection, &value);
            if !faults.is_empty() && self.validation != Validation::Warn {
                return Err(faults);
            }
            if !faults.is_empty() {
                Counters::add(&self.engine.counters.warned_changes, 1);
                tracing::warn!(
                    entity.r#type = change.entity_type.as_str(),
                    fault.pointer = faults[0].pointer,
                    fault.keyword = faults[0].keyword,
                    "a change was accepted that its schema refuses"
                );
            }
        }
        let version = collection.version_of(&value);
        Ok((change, collection, version))
    }

    fn check_value(
        &self,
        index: usize,
        change: &Change<'_>,
        collection: &CompiledCollection,
        value: &serde_json::Value,
    ) -> Vec<ChangeFault> {
        let found = collection.check(value, self.engine.limits().faults_max);
        let mut faults: Vec<ChangeFault> = found
            .into_iter()
            .map(|fault| ChangeFault {
                index,
                pointer: fault.pointer,
                keyword: fault.keyword,
                schema_location: fault.schema_location,
                schema_version: Some(self.version),
                message: fault.message,
            })
            .collect();
        let pointer = format!("/{}", collection.primary_key.replace('~', "~0").replace('/', "~1"));
        match collection.key_of(value) {
            Ok(key) if key == change.key.as_str() => {}
            Ok(key) => {
                let message = format!("key is {:?}, but {} is {key:?}", change.key.as_str(), collection.primary_key);
                faults.push(self.fault(index, &pointer, "primaryKey", message));
            }
            // A value that the schema refuses already says why its key is not there.
            Err(fault) if faults.is_empty() => {
                faults.push(self.fault(index, &pointer, "primaryKey", fault.to_string()));
            }
            Err(_) => {}
        }
        faults
    }

    fn fault(&self, index: usize, pointer: &str, keyword: &str, message: String) -> ChangeFault {
        ChangeFault {
            index,
            pointer: pointer.to_owned(),
            keyword: keyword.to_owned(),
            schema_location: String::new(),
            schema_version: Some(self.version),
            message,
        }
    }
}
