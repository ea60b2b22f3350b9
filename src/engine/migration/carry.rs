//! What steps make of stored entities: one by one, and of all that live, without writing anything.

use std::sync::Arc;

use serde_json::Value;

use crate::model::{Limits, Offset};
use crate::protocol::json::{self, Duplicates, inexact_number};
use crate::registry::Compiled;
use crate::registry::ValueFault;
use crate::registry::ledger::EntityFailure;
use crate::registry::migration::Plan;
use crate::stream::SchemaRef;

use super::super::entity::{Entity, EntityName, value_of};
use super::super::folded::{FoldedItem, Selection, Start};
use super::super::handle::{Handle, PublishedStream};
use super::super::{Engine, Fault};

/// What becomes of an entity.
pub enum Carried {
    Unchanged,
    /// Its new value, as JSON text, and the version in it.
    Rewritten {
        text: String,
        version: Option<i128>,
    },
    Fails(Vec<ValueFault>),
}

/// What a migration would do to the entities that live at an offset.
#[derive(Debug)]
pub struct Tried {
    pub from: SchemaRef,
    pub to: SchemaRef,
    pub offset: Offset,
    pub total: u64,
    pub would_rewrite: u64,
    pub unchanged: u64,
    pub failing: u64,
    /// The first that fail.
    pub failures: Vec<EntityFailure>,
    /// The first that would be rewritten.
    pub samples: Vec<Sample>,
}

/// An entity before and after.
#[derive(Debug)]
pub struct Sample {
    pub entity_type: String,
    pub key: String,
    pub before: Value,
    pub after: Value,
}

/// Entities that are named where they fail, and that are shown.
pub const FAILURES_MAX: usize = 10;
const SAMPLES_MAX: usize = 5;
/// Faults named of each.
const FAULTS_MAX: usize = 5;
/// Deeper than any request may be, and shallow enough to walk.
const DEPTH_MAX: usize = 1_000;

/// What the steps make of an entity.
pub fn carried(plan: &Plan, item: &FoldedItem, limits: &Limits) -> Carried {
    let fails = |keyword: &str, message: String| {
        let (pointer, schema_location) = (String::new(), String::new());
        Carried::Fails(vec![ValueFault { pointer, keyword: keyword.to_owned(), schema_location, message }])
    };
    let Some((text, value)) = stored(item) else { return fails("json", "the stored change has no value".into()) };
    // A value is at least a byte, and as a value some more.
    let rewritten = plan.rewrite(&item.entity_type, &item.key, &value, limits.value_bytes_max, FAULTS_MAX);
    let rewritten = match rewritten {
        Ok(Some(rewritten)) => rewritten,
        Ok(None) => return Carried::Unchanged,
        Err(faults) => return Carried::Fails(faults),
    };
    if let Some(number) = inexact_number(&text) {
        return fails("exact", format!("the number {number} would be rounded; write the entity anew by hand"));
    }
    let version = plan.version_of(&item.entity_type, &rewritten);
    let text = rewritten.to_string();
    if text.len() > limits.value_bytes_max {
        return fails(
            "maxBytes",
            format!("it would have {} bytes; {} are allowed", text.len(), limits.value_bytes_max),
        );
    }
    match json::check_depth(&text, limits.json_depth_max) {
        Ok(()) => Carried::Rewritten { text, version },
        Err(_) => fails("maxDepth", format!("it would be nested deeper than {}", limits.json_depth_max)),
    }
}

/// Whether a version takes an entity as it is.
pub fn fits(compiled: &Compiled, item: &FoldedItem) -> bool {
    let Some((_, value)) = stored(item) else { return false };
    compiled.collection(&item.entity_type).is_some_and(|collection| {
        collection.is_valid(&value) && collection.key_of(&value).is_ok_and(|key| key == item.key)
    })
}

fn stored(item: &FoldedItem) -> Option<(String, Value)> {
    let text = String::from_utf8(value_of(&item.change)?.into()).ok()?;
    let value = json::strict_value(&text, DEPTH_MAX, Duplicates::Keep).ok()?;
    Some((text, value))
}

impl Engine {
    /// An entity's value as a patch is merged into it: as the open migration would write it, where it has not come so far.
    pub(in crate::engine) fn as_carried(&self, name: &EntityName, entity: &Entity) -> String {
        let stored = String::from_utf8_lossy(&entity.value).into_owned();
        let Some((position, plan)) = self.migrations.plan(&name.stream) else { return stored };
        if entity.offset.position > position || inexact_number(&stored).is_some() {
            return stored;
        }
        let (entity_type, key) = (name.entity_type.as_str(), name.key.as_str());
        let Ok(value) = json::strict_value(&stored, DEPTH_MAX, Duplicates::Keep) else { return stored };
        match plan.rewrite(entity_type, key, &value, self.limits().value_bytes_max, 1) {
            Ok(Some(carried)) => carried.to_string(),
            // Refused, as the patched value will be unless the patch repairs it.
            Ok(None) | Err(_) => stored,
        }
    }

    /// Holds all live entities against a plan, at one mark.
    pub(super) async fn look_through(
        &self,
        handle: &Arc<Handle>,
        stream: &PublishedStream,
        from: SchemaRef,
        to: SchemaRef,
        plan: Arc<Plan>,
    ) -> Result<Tried, Fault> {
        let pin = self.pin(handle).await?.ok_or_else(|| Fault::NoStream(handle.name.clone()))?;
        let mut tried = Tried {
            from,
            to,
            offset: Offset::at(pin.mark),
            total: 0,
            would_rewrite: 0,
            unchanged: 0,
            failing: 0,
            failures: Vec::new(),
            samples: Vec::new(),
        };
        let mut at = Start::beginning();
        loop {
            let page = self.folded_page(handle, stream, at, &Selection::default(), Some(&pin)).await?;
            let (items, plan, limits) = (page.items, plan.clone(), self.limits().clone());
            // Takes as long as a page has entities: not among what must stay quick.
            let work = tokio::task::spawn_blocking(move || {
                items.iter().filter(|item| !item.deletes).for_each(|item| tried.look_at(item, &plan, &limits));
                tried
            });
            tried = work.await.map_err(|e| Fault::Storage(e.to_string()))?;
            at = page.next;
            if page.done {
                return Ok(tried);
            }
        }
    }
}

impl Tried {
    fn look_at(&mut self, item: &FoldedItem, plan: &Plan, limits: &Limits) {
        self.total += 1;
        match carried(plan, item, limits) {
            Carried::Unchanged => self.unchanged += 1,
            Carried::Rewritten { text, .. } => {
                self.would_rewrite += 1;
                if self.samples.len() < SAMPLES_MAX
                    && let (Some((_, before)), Ok(after)) = (stored(item), serde_json::from_str(&text))
                {
                    let (entity_type, key) = (item.entity_type.clone(), item.key.clone());
                    self.samples.push(Sample { entity_type, key, before, after });
                }
            }
            Carried::Fails(faults) => {
                self.failing += 1;
                if self.failures.len() < FAILURES_MAX {
                    self.failures.push(failure(item, faults));
                }
            }
        }
    }
}

pub fn failure(item: &FoldedItem, faults: Vec<ValueFault>) -> EntityFailure {
    let (entity_type, key) = (item.entity_type.clone(), item.key.clone());
    EntityFailure { entity_type, key, position: item.position, faults }
}
