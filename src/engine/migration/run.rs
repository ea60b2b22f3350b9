//! Taking the steps of running migrations: a batch of one, then a batch of the next, until none runs.

use std::sync::Arc;
use std::time::Duration;

use crate::model::{EntityKey, EntityType, Offset, Operation, Position, StreamName};
use crate::protocol::change::{Change, Enrichment, store_update};
use crate::registry::ledger::{EntityFailure, Event, Migration};
use crate::registry::migration::Plan;
use crate::registry::{Egress, ValueFault};
use crate::stream::{Body, Record, Refusal, SchemaRef};

use super::super::check::{Batch, Names, Prepared};
use super::super::folded::{FoldedItem, FoldedPage, Selection, Start};
use super::super::handle::{Core, Handle, PublishedStream};
use super::super::judge::{Condition, judge_replacing};
use super::super::stage::Step;
use super::super::{Counters, Engine, Fault};
use super::Hosted;
use super::carry::{Carried, FAILURES_MAX, carried, failure};
use super::log::{Kept, Pending};

/// Most entities of one batch: other writers wait for it, and readers get it as a whole.
const BATCH_ENTITIES: usize = 256;
/// Bytes of rewritten entities after which a batch ends.
const BATCH_BYTES: usize = 256 << 10;
/// How long after a refusal the next try comes.
const RETRY: Duration = Duration::from_millis(500);

/// What a page of entities came to.
#[derive(Default)]
struct Looked {
    rewritten: Vec<Rewritten>,
    unchanged: u64,
    failures: Vec<EntityFailure>,
    /// Everything below is carried over, once this is written.
    cursor: Position,
    /// Whether nothing is left.
    done: bool,
}

struct Rewritten {
    entity_type: EntityType,
    key: EntityKey,
    /// Of the change that it replaces.
    position: Position,
    text: String,
    version: Option<i128>,
}

impl Engine {
    /// Carries entities over for as long as the server runs. Returns once it stops.
    pub async fn migrate(self) {
        let mut stopping = self.stopping();
        loop {
            let names: Vec<StreamName> = self.migrations.table.iter().map(|entry| entry.key().clone()).collect();
            let (mut runs, mut refused) = (false, false);
            for name in names {
                if *stopping.borrow() {
                    return;
                }
                match self.migration_step(&name).await {
                    Ok(more) => runs |= more,
                    Err(fault) => {
                        tracing::warn!(stream.name = %name, error = %fault, "a migration waits and is tried again");
                        refused = true;
                    }
                }
            }
            if runs && !refused {
                // One batch of each, and others are heard in between.
                tokio::task::yield_now().await;
                continue;
            }
            let pause = async {
                match refused {
                    true => tokio::time::sleep(RETRY).await,
                    false => self.migrations.bell.notified().await,
                }
            };
            tokio::select! {
                () = pause => {}
                _ = stopping.wait_for(|stopping| *stopping) => return,
            }
        }
    }

    /// Takes the next step of a stream's migration. False where there is none to take.
    pub async fn migration_step(&self, name: &StreamName) -> Result<bool, Fault> {
        let Some(hosted) = self.migrations.table.get(name).map(|hosted| hosted.value().clone()) else {
            return Ok(false);
        };
        let mut kept = self.kept_migrations(name, &hosted).await?;
        let Some(migration) = kept.ledger().open().cloned() else {
            self.migrations.release(name, &hosted);
            return Ok(false);
        };
        let plan = self.plan_of(&hosted, &migration)?;
        let handle = self.handle(name);
        let Some(stream) = handle.stream().filter(|_| kept.ledger().running().is_some()) else { return Ok(false) };
        let looked = self.look(&handle, &stream, &migration, plan).await?;
        let Some(pending) = self.stage_carried(&handle, &stream, &migration, &kept, looked)? else {
            handle.quiet().await;
            return Ok(true);
        };
        kept.settled(pending).await?;
        let runs = kept.ledger().running().is_some();
        if kept.ledger().open().is_none() {
            self.migrations.release(name, &hosted);
        }
        hosted.tell();
        Ok(runs)
    }

    fn plan_of(&self, hosted: &Hosted, migration: &Migration) -> Result<Arc<Plan>, Fault> {
        if let Some((_, plan)) = &*hosted.plan.lock() {
            return Ok(plan.clone());
        }
        // Begun before the last start.
        let plan = Plan::new(&migration.steps, &*self.compiled(&migration.from)?, &self.compiled(&migration.to)?);
        let plan = Arc::new(plan.map_err(super::super::evolution::EvolutionFault::Step)?);
        *hosted.plan.lock() = Some((migration.position, plan.clone()));
        Ok(plan)
    }

    /// Looks at the next entities that were not written since the migration began.
    async fn look(
        &self,
        handle: &Arc<Handle>,
        stream: &PublishedStream,
        migration: &Migration,
        plan: Arc<Plan>,
    ) -> Result<Looked, Fault> {
        let selection = Selection { limit: Some(BATCH_ENTITIES), ..Selection::default() };
        let at = Start { position: migration.cursor, walk_mark: None };
        let page = self.folded_page(handle, stream, at, &selection, None).await?;
        let (end, limits) = (migration.position, self.limits().clone());
        let work =
            tokio::task::spawn_blocking(move || look_at(&plan, page, end, |plan, item| carried(plan, item, &limits)));
        work.await.map_err(|e| Fault::Storage(e.to_string()))
    }

    /// Stages what a look came to. `None` where the stream must be looked at again first.
    fn stage_carried(
        &self,
        handle: &Arc<Handle>,
        stream: &PublishedStream,
        migration: &Migration,
        kept: &Kept,
        looked: Looked,
    ) -> Result<Option<Pending>, Fault> {
        let mut core = self.locked(handle, stream)?;
        let Some(state) = &core.state else { return Ok(None) };
        if state.schema.as_ref() != Some(&migration.to) {
            return Err(Fault::Contended);
        }
        let (id, tail, closed) = (state.id, state.tail, state.closed.is_some());
        if core.fold().is_none() {
            return Ok(None);
        }
        if let Some(first) = looked.rewritten.first().filter(|_| closed) {
            // Nobody writes the stream any more.
            let failures = vec![first.refused("closed", Refusal::Closed { tail }.to_string())];
            return self.stage_events(kept, &handle.name, Vec::new(), vec![self.failed(failures)]).map(Some);
        }
        let batch = self.batch(&mut core, handle, migration, looked.rewritten)?;
        self.reserve(&core, batch.stored.len())?;
        let outcome = judge_replacing(&core, &batch, tail);
        let content = outcome.content(&batch);
        let rewritten = content.count;
        let mut events = vec![Event::Advanced { cursor: looked.cursor, rewritten, unchanged: looked.unchanged }];
        let named = looked.failures.len();
        let failures: Vec<_> = looked.failures.into_iter().filter(|failure| stands(&core, failure)).collect();
        if core.in_flight > 0 && (outcome.kept.len() < batch.changes.len() || failures.len() < named) {
            // What others changed must be durable before this passes it by.
            return Ok(None);
        }
        if !failures.is_empty() {
            events.push(self.failed(failures));
        } else if looked.done {
            events.push(Event::Done { at: self.now() });
        }
        let mut steps = Vec::new();
        if rewritten > 0 {
            let record = Record {
                count: rewritten,
                schema_version: Some(migration.to.version),
                txid: Some(migration.txid().into()),
                body: Body::Append { lengths: content.lengths, payload: content.payload },
                ..Record::plain(id, tail, self.now())
            };
            steps.push(Step::one(handle, &mut core, record));
        }
        let pending = self.stage_events(kept, &handle.name, steps, events)?;
        if let Some(fold) = core.fold_mut() {
            outcome.apply_to(fold, &batch);
        }
        Counters::add(&self.counters.changes, rewritten);
        Ok(Some(pending))
    }

    fn failed(&self, failures: Vec<EntityFailure>) -> Event {
        Event::Failed { failures, at: self.now() }
    }

    /// The changes that rewrite entities, each on the condition that it replaces what was read.
    fn batch(
        &self,
        core: &mut Core,
        handle: &Handle,
        migration: &Migration,
        rewritten: Vec<Rewritten>,
    ) -> Result<Batch, Fault> {
        let binding = self.binding_of(&handle.name, core);
        let trace = binding.as_deref().is_some_and(|binding| binding.egress == Egress::SseV1);
        let enrichment = Enrichment { now: self.now(), trace };
        let txid = migration.txid();
        let (mut stored, mut changes) = (Vec::new(), Vec::with_capacity(rewritten.len()));
        let mut names = Names::default();
        for (index, Rewritten { entity_type, key, position, text, version }) in rewritten.into_iter().enumerate() {
            let message = store_update(&entity_type, &key, &text, &txid);
            let message = String::from_utf8(message).map_err(|e| Fault::Storage(e.to_string()))?;
            let start = stored.len();
            let change = Change::parse(&message).map_err(|fault| Fault::Storage(fault.message))?;
            change.store(enrichment, &mut stored);
            let span = start..stored.len();
            stored.push(b',');
            changes.push(Prepared {
                index,
                name: names.add(&entity_type, key.as_str()),
                operation: Operation::Update,
                version,
                strict: false,
                condition: Some(Condition::Matches(Some(Offset::at(position + 1)))),
                span,
            });
        }
        let received = changes.len();
        let schema: SchemaRef = migration.to.clone();
        let txid = Some(txid.into());
        let (stored, set_aside) = (stored.into(), Vec::new());
        Ok(Batch { schema, changes, names, stored, set_aside, received, binding, txid })
    }
}

impl Rewritten {
    /// It cannot be written, whatever it is.
    fn refused(&self, keyword: &str, message: String) -> EntityFailure {
        let (entity_type, key) = (self.entity_type.to_string(), self.key.to_string());
        EntityFailure { entity_type, key, position: self.position, faults: vec![fault(keyword, message)] }
    }
}

fn fault(keyword: &str, message: String) -> ValueFault {
    let (pointer, schema_location) = (String::new(), String::new());
    ValueFault { pointer, keyword: keyword.to_owned(), schema_location, message }
}

/// Whether an entity that cannot be carried over is still the one that was looked at.
fn stands(core: &Core, failure: &EntityFailure) -> bool {
    let latest = core.fold().and_then(|fold| fold.latest(&failure.entity_type, &failure.key));
    latest.is_some_and(|latest| !latest.seen.deletes && latest.seen.position == failure.position)
}

/// Takes entities of a page, in their order, up to `end`, the bounds of a batch, or the first that fails; of those behind
/// it only what fails as well.
fn look_at(plan: &Plan, page: FoldedPage, end: Position, carried: impl Fn(&Plan, &FoldedItem) -> Carried) -> Looked {
    let mut looked = Looked { cursor: page.next.position.min(end), ..Looked::default() };
    let mut bytes = 0;
    for item in page.items.iter().filter(|item| item.position < end) {
        if item.deletes {
            continue;
        }
        let named = (EntityType::parse(&item.entity_type), EntityKey::parse(&item.key));
        let failed = !looked.failures.is_empty();
        match (carried(plan, item), named) {
            (Carried::Fails(faults), _) => {
                if !failed {
                    looked.cursor = item.position;
                }
                looked.failures.push(failure(item, faults));
                if looked.failures.len() == FAILURES_MAX {
                    return looked;
                }
            }
            _ if failed => {}
            (Carried::Unchanged, _) => looked.unchanged += 1,
            (Carried::Rewritten { text, version }, (Some(entity_type), Some(key))) => {
                if bytes > 0 && bytes + text.len() > BATCH_BYTES {
                    looked.cursor = item.position;
                    return looked;
                }
                bytes += text.len();
                looked.rewritten.push(Rewritten { entity_type, key, position: item.position, text, version });
            }
            // Written before the stream was typed, with a name that no change may have.
            (Carried::Rewritten { .. }, _) => {
                looked.cursor = item.position;
                looked.failures.push(failure(item, vec![fault("name", "no change may name it".to_owned())]));
            }
        }
    }
    looked.done = looked.failures.is_empty() && (page.done || page.next.position >= end);
    looked
}
