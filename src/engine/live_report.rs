//! What a candidate would say of the entities that are stored: asked before it is registered.
//!
//! The entities of every stream that is pinned to the subject, as they are at a mark of that stream: held while it is
//! walked page by page, so that writers go on and what is reported was true at one moment. Checked on other threads,
//! one page at a time, with a turn for everyone else between two pages.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use crate::model::{Offset, StreamName};
use crate::protocol::change::StoredChange;
use crate::registry::{Document, SubjectName, ValueFault};

use super::live_check::{entity_value, key_fault};
use super::{Engine, Fault, FoldedItem, Handle, PublishedStream, Selection, Shed, Start};

/// Reports made at the same time.
pub(super) const REPORTS_AT_ONCE: usize = 2;
/// How long one waits for a turn.
const PATIENCE: Duration = Duration::from_secs(10);
/// Refused entities that are named.
pub const NAMED_MAX: usize = 20;
/// Faults that are told of each.
const FAULTS_MAX: usize = 8;
/// Entities of one page.
const PAGE_ENTITIES: usize = 1_000;
/// Names looked at before the thread is given to others.
const STREAMS_AT_ONCE: usize = 1_000;
/// How often a stream is begun again whose newest changes were dropped from memory meanwhile.
const ROUNDS: usize = 4;

/// How many stored entities a candidate would refuse.
#[derive(Clone, Debug, Default)]
pub struct LiveReport {
    /// Streams that were walked.
    pub streams: u64,
    /// Entities that were checked.
    pub checked: u64,
    pub refused: u64,
    /// The first of the refused, by stream.
    pub first: Vec<RefusedEntity>,
}

/// An entity that a candidate would refuse.
#[derive(Clone, Debug)]
pub struct RefusedEntity {
    pub stream: StreamName,
    /// The candidate's collection; none where it has none of that type.
    pub collection: Option<String>,
    pub entity_type: String,
    pub key: String,
    /// The entity's.
    pub offset: Offset,
    pub faults: Vec<ValueFault>,
}

/// How far a report has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LiveProgress {
    pub streams: u64,
    pub streams_done: u64,
    pub checked: u64,
    pub refused: u64,
}

impl Engine {
    /// Which stored entities of a subject's streams a candidate would refuse. Dropping this ends it.
    pub async fn live_report(
        &self,
        subject: &SubjectName,
        candidate: &Arc<Document>,
        told: &watch::Sender<LiveProgress>,
    ) -> Result<LiveReport, Fault> {
        let turn = tokio::time::timeout(PATIENCE, self.live_reports.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            self.counters.sheds.count(Shed::SchemaChecks);
            return Err(Fault::Busy { retry_after: Duration::from_secs(1) });
        };
        let names = self.pinned_to(subject).await?;
        told.send_modify(|progress| progress.streams = names.len() as u64);
        let mut report = LiveReport::default();
        for name in names {
            let handle = self.handle(&name);
            self.report_stream(&handle, candidate, &mut report, told).await?;
            told.send_modify(|progress| progress.streams_done += 1);
        }
        Ok(report)
    }

    /// The streams that are pinned to a version of a subject, by name.
    async fn pinned_to(&self, subject: &SubjectName) -> Result<Vec<StreamName>, Fault> {
        let (engine, subject) = (self.clone(), subject.clone());
        let look = move || {
            let (mut found, mut after) = (Vec::new(), None::<StreamName>);
            loop {
                let names = engine.store.list("", after.as_ref().map(StreamName::as_str), STREAMS_AT_ONCE);
                let Some(last) = names.last() else { break found };
                after = Some(last.clone());
                found.extend(names.into_iter().filter(|name| {
                    let state = engine.store.find(name).and_then(|id| engine.store.load(id));
                    let schema = state.and_then(|state| state.schema);
                    schema.is_some_and(|schema| *schema.subject == *subject.as_str())
                }));
            }
        };
        tokio::task::spawn_blocking(look).await.map_err(|e| Fault::Storage(e.to_string()))
    }

    async fn report_stream(
        &self,
        handle: &Arc<Handle>,
        candidate: &Arc<Document>,
        report: &mut LiveReport,
        told: &watch::Sender<LiveProgress>,
    ) -> Result<(), Fault> {
        let before = report.clone();
        for round in 1.. {
            // It may be gone by now.
            let Some(stream) = handle.stream().filter(|stream| stream.schema.is_some()) else { return Ok(()) };
            match self.walk_stream(handle, &stream, candidate, report, told).await {
                Ok(()) => {
                    report.streams += 1;
                    return Ok(());
                }
                Err(Fault::NoStream(_)) => {
                    *report = before;
                    return Ok(());
                }
                Err(Fault::Contended) if round < ROUNDS => *report = before.clone(),
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }

    async fn walk_stream(
        &self,
        handle: &Arc<Handle>,
        stream: &PublishedStream,
        candidate: &Arc<Document>,
        report: &mut LiveReport,
        told: &watch::Sender<LiveProgress>,
    ) -> Result<(), Fault> {
        let Some(pin) = self.pin(handle).await? else { return Ok(()) };
        let selection = Selection { limit: Some(PAGE_ENTITIES), ..Selection::default() };
        let mut at = Start::beginning();
        loop {
            let page = self.folded_page(handle, stream, at, &selection, Some(&pin)).await?;
            let (candidate, name) = (candidate.clone(), handle.name.clone());
            let named_max = NAMED_MAX - report.first.len();
            let check = move || check_page(&name, &candidate, page.items, named_max);
            let checked = tokio::task::spawn_blocking(check).await.map_err(|e| Fault::Storage(e.to_string()))?;
            report.checked += checked.checked;
            report.refused += checked.refused;
            report.first.extend(checked.first);
            let (checked, refused) = (report.checked, report.refused);
            told.send_modify(|progress| (progress.checked, progress.refused) = (checked, refused));
            if page.done {
                return Ok(());
            }
            at = page.next;
            tokio::task::yield_now().await;
        }
    }
}

fn check_page(name: &StreamName, candidate: &Document, items: Vec<FoldedItem>, named_max: usize) -> LiveReport {
    let mut report = LiveReport::default();
    for item in items.into_iter().filter(|item| !item.deletes) {
        report.checked += 1;
        let (collection, faults) = faults_of(candidate, &item);
        if faults.is_empty() {
            continue;
        }
        report.refused += 1;
        if report.first.len() < named_max {
            report.first.push(RefusedEntity {
                stream: name.clone(),
                collection,
                entity_type: item.entity_type,
                key: item.key,
                offset: Offset::at(item.position + 1),
                faults,
            });
        }
    }
    report
}

fn faults_of(candidate: &Document, item: &FoldedItem) -> (Option<String>, Vec<ValueFault>) {
    let fault = |pointer: &str, keyword: &str, message: String| ValueFault {
        pointer: pointer.to_owned(),
        keyword: keyword.to_owned(),
        schema_location: String::new(),
        message,
    };
    let Some(collection) = candidate.compiled().collection(&item.entity_type) else {
        let message = format!("the candidate has no type {:?}", item.entity_type);
        return (None, vec![fault("/type", "enum", message)]);
    };
    let change = std::str::from_utf8(&item.change).ok().and_then(StoredChange::parse);
    let value = change.as_ref().map_or(Value::Null, entity_value);
    let mut faults = collection.check(&value, FAULTS_MAX);
    if faults.is_empty() {
        faults.extend(key_fault(collection, &value, &item.key).map(|message| fault("", "primaryKey", message)));
    }
    (Some(collection.name.clone()), faults)
}
