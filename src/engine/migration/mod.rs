//! Running migrations: a stream is bound to a new version, and its entities are carried over while others write.
//!
//! A migration begins with one step of the log that binds the stream to the new version, notes that, and says in the
//! stream's migration log what is to be done. From there on every write is checked under the new version; what is left to
//! carry over are the live entities whose newest change lies before that place, and since whoever writes an entity moves
//! it behind that place, a walk over them ends. Entities are rewritten as ordinary changes, in small batches; a batch
//! leaves out what somebody else has changed since it was read, and stands in one step with the note of how far the walk
//! has come. So a crash, or a stop, loses nothing: the next start goes on from the note.
//!
//! Invariants: a rewritten entity replaces the very change it was made of; a migration that is done has left no live
//! entity that was checked under the former version only and does not fit the new one; at most one migration of a stream
//! is open.

mod carry;
mod log;
mod run;

use std::sync::Arc;

use dashmap::DashMap;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, watch};

use crate::model::{Offset, Position, StreamName};
use crate::registry::ledger::{Event, Migration, MigrationId, MigrationState};
use crate::registry::migration::{Plan, Steps};
use crate::storage::Store;
use crate::stream::{Refusal, SchemaRef};

use super::evolution::EvolutionFault;
use super::folded::{Selection, Start};
use super::handle::{Core, Handle, PublishedStream};
use super::{Engine, Fault};
use log::{Kept, Pending};

pub use carry::{Sample, Tried};

/// A migration to be made.
#[derive(Debug)]
pub struct MigrationAsk {
    /// The stream's own subject where none is given.
    pub subject: Option<String>,
    pub version: u32,
    pub steps: Steps,
}

/// A migration, and where the positions of its stream begin.
#[derive(Clone, Debug)]
pub struct Migrated {
    pub migration: Migration,
    pub start: Position,
}

/// A migration that was given up.
#[derive(Debug)]
pub struct Cancelled {
    pub migrated: Migrated,
    /// Live entities that were written under the version it led to.
    pub left: Vec<Left>,
    /// How many of them are not listed.
    pub more_left: u64,
}

/// A live entity that a cancelled migration leaves behind.
#[derive(Debug)]
pub struct Left {
    pub entity_type: String,
    pub key: String,
    pub offset: Offset,
    /// Whether the version that the stream is bound to again takes it.
    pub fits: bool,
}

/// The migrations that are not over.
#[derive(Default)]
pub struct Migrations {
    table: DashMap<StreamName, Arc<Hosted>>,
    bell: Notify,
}

/// The migrations of one stream, as they are run and waited for.
pub(super) struct Hosted {
    /// Held by whoever takes a step. Knows what the log says as long as nobody else has written it.
    kept: tokio::sync::Mutex<Option<Kept>>,
    /// Of the open one, once it is known; and where the stream was bound to its version.
    plan: Mutex<Option<(Position, Arc<Plan>)>>,
    /// Grows with every step.
    moved: watch::Sender<u64>,
}

impl Default for Hosted {
    fn default() -> Self {
        Self { kept: tokio::sync::Mutex::default(), plan: Mutex::default(), moved: watch::Sender::new(0) }
    }
}

impl Hosted {
    /// Tells whoever waits that it has come further.
    fn tell(&self) {
        self.moved.send_modify(|moved| *moved += 1);
    }
}

/// Most entities that a cancelled migration lists.
const LEFT_MAX: usize = 1_000;
/// How often a start is tried where the stream moves.
const ATTEMPTS: usize = 8;

impl Migrations {
    /// Finds those that are not over.
    pub(super) fn load(store: &dyn Store) -> Result<Self, Fault> {
        let found = Self::default();
        let (prefix, mut after) = (StreamName::migrations(), None::<StreamName>);
        loop {
            let names = store.list(&prefix, after.as_ref().map(StreamName::as_str), 1_000);
            let Some(last) = names.last() else { return Ok(found) };
            after = Some(last.clone());
            for log in &names {
                if let Some(stream) = log.as_str().strip_prefix(&prefix)
                    && log::is_open(store, log)?
                {
                    found.keep(&StreamName::from_log(stream), &Arc::default());
                }
            }
        }
    }

    fn hosted(&self, name: &StreamName) -> Arc<Hosted> {
        self.table.get(name).map(|hosted| hosted.value().clone()).unwrap_or_default()
    }

    fn keep(&self, name: &StreamName, hosted: &Arc<Hosted>) {
        self.table.insert(name.clone(), hosted.clone());
        self.bell.notify_one();
    }

    fn release(&self, name: &StreamName, hosted: &Arc<Hosted>) {
        *hosted.plan.lock() = None;
        self.table.remove_if(name, |_, known| Arc::ptr_eq(known, hosted));
    }

    /// What the open migration of a stream makes of entities from before a position.
    fn plan(&self, name: &StreamName) -> Option<(Position, Arc<Plan>)> {
        self.table.get(name).and_then(|hosted| hosted.plan.lock().clone())
    }
}

impl Engine {
    /// Whether a migration of the stream runs, or waits for a repair.
    pub(super) fn is_migrating(&self, name: &StreamName) -> bool {
        // Where the stream is gone, so is its log; who ran it may not have looked since.
        self.migrations.table.contains_key(name) && self.handle(&name.migrations_of()).stream().is_some()
    }

    /// All migrations of a stream, oldest first.
    pub async fn migrations(&self, name: &StreamName) -> Result<Vec<Migrated>, Fault> {
        let (_, stream) = self.peek(name).await?;
        let Some(stream) = stream else { return Ok(Vec::new()) };
        let hosted = self.migrations.hosted(name);
        let kept = self.kept_migrations(name, &hosted).await?;
        let start = stream.creation.start;
        Ok(kept.ledger().migrations().iter().map(|m| Migrated { migration: m.clone(), start }).collect())
    }

    pub async fn migration(&self, name: &StreamName, id: MigrationId) -> Result<Migrated, Fault> {
        let found = self.migrations(name).await?.into_iter().find(|found| found.migration.id == id);
        found.ok_or_else(|| EvolutionFault::Unknown(id).into())
    }

    /// Tells when a migration of the stream has come further.
    pub fn migration_moves(&self, name: &StreamName) -> watch::Receiver<u64> {
        self.migrations.hosted(name).moved.subscribe()
    }

    /// What a migration would do, at the durable tail of now.
    pub async fn try_migration(&self, name: &StreamName, ask: &MigrationAsk) -> Result<Tried, Fault> {
        let (handle, stream) = self.peek(name).await?;
        let stream = stream.ok_or_else(|| Fault::NoStream(name.clone()))?;
        let (from, to, plan) = self.planned(&stream, ask)?;
        self.look_through(&handle, &stream, from, to, plan).await
    }

    /// Binds the stream to the new version, and begins to carry its entities over. With `check`, only where all of them
    /// can be as they are now.
    pub async fn start_migration(
        &self,
        name: &StreamName,
        ask: &MigrationAsk,
        check: bool,
    ) -> Result<Migrated, Fault> {
        let (handle, stream) = self.peek(name).await?;
        let stream = stream.ok_or_else(|| Fault::NoStream(name.clone()))?;
        let hosted = self.migrations.hosted(name);
        let mut kept = self.kept_migrations(name, &hosted).await?;
        if let Some(open) = kept.ledger().open() {
            return Err(EvolutionFault::Open { id: open.id }.into());
        }
        let (from, to, plan) = self.planned(&stream, ask)?;
        if stream.closed {
            return Err(Refusal::Closed { tail: stream.tail }.into());
        }
        if check {
            let tried = self.look_through(&handle, &stream, from.clone(), to.clone(), plan.clone()).await?;
            if tried.failing > 0 {
                return Err(EvolutionFault::Fails(Box::new(tried)).into());
            }
        }
        let steps = Arc::new(ask.steps.clone());
        for _ in 0..ATTEMPTS {
            self.ensure_fold(&handle).await?;
            let Some((position, pending)) = self.stage_start(&handle, &stream, &kept, (&from, &to), &steps)? else {
                handle.quiet().await;
                continue;
            };
            // From here on it is made, also where nobody waits for it any more.
            *hosted.plan.lock() = Some((position, plan));
            self.migrations.keep(name, &hosted);
            kept.settled(pending).await?;
            let migration = kept.ledger().open().cloned().ok_or(Fault::Contended)?;
            return Ok(Migrated { migration, start: stream.creation.start });
        }
        Err(Fault::Contended)
    }

    /// Stages the beginning of a migration. `None` where the stream must be looked at again first.
    fn stage_start(
        &self,
        handle: &Arc<Handle>,
        stream: &PublishedStream,
        kept: &Kept,
        (from, to): (&SchemaRef, &SchemaRef),
        steps: &Arc<Steps>,
    ) -> Result<Option<(Position, Pending)>, Fault> {
        let mut core = self.locked(handle, stream)?;
        let Some(state) = &core.state else { return Ok(None) };
        if state.closed.is_some() {
            return Err(Refusal::Closed { tail: state.tail }.into());
        }
        if state.schema.as_ref() != Some(from) {
            return Err(Fault::Contended);
        }
        if core.fold().is_none() {
            return Ok(None);
        }
        super::registry::check_pin(&self.registry.current(), to)?;
        let position = state.tail;
        let started = Event::Started {
            id: kept.ledger().next_id(),
            from: from.clone(),
            to: to.clone(),
            steps: steps.clone(),
            position,
            start: state.creation.start,
            total: super::judge::live_count(&core),
            at: self.now(),
        };
        let pending = self.stage_rebind(handle, &mut core, kept, to, started)?;
        Ok(Some((position, pending)))
    }

    /// Stages that a stream is bound to another version, with an event of its migration.
    fn stage_rebind(
        &self,
        handle: &Arc<Handle>,
        core: &mut Core,
        kept: &Kept,
        to: &SchemaRef,
        event: Event,
    ) -> Result<Pending, Fault> {
        self.reserve(core, 0)?;
        let schemas = self.handle(&handle.name.schemas_of());
        let mut schemas_core = schemas.lock_fresh(&*self.store)?;
        let steps = self.rebind_steps((handle, core), (&schemas, &mut schemas_core), to)?;
        self.stage_events(kept, &handle.name, steps.into(), vec![event])
    }

    /// The stream, locked, if it is still that one.
    fn locked<'h>(&self, handle: &'h Handle, stream: &PublishedStream) -> Result<MutexGuard<'h, Core>, Fault> {
        let core = handle.lock_fresh(&*self.store)?;
        match &core.state {
            Some(state) if state.id == stream.id && !state.soft_deleted => Ok(core),
            _ => Err(Fault::NoStream(handle.name.clone())),
        }
    }

    /// Lets a migration go on that has failed.
    pub async fn continue_migration(&self, name: &StreamName, id: MigrationId) -> Result<Migrated, Fault> {
        let (handle, stream) = self.peek(name).await?;
        let stream = stream.ok_or_else(|| Fault::NoStream(name.clone()))?;
        let hosted = self.migrations.hosted(name);
        let mut kept = self.kept_migrations(name, &hosted).await?;
        let known = kept.ledger().get(id).ok_or(EvolutionFault::Unknown(id))?;
        if known.state != MigrationState::Failed {
            return Err(EvolutionFault::NotOpen { id, state: state_text(known.state) }.into());
        }
        let pending = {
            let _core = self.locked(&handle, &stream)?;
            self.stage_events(&kept, name, Vec::new(), vec![Event::Continued { at: self.now() }])?
        };
        self.migrations.keep(name, &hosted);
        kept.settled(pending).await?;
        hosted.tell();
        let migration = kept.ledger().get(id).cloned().ok_or(EvolutionFault::Unknown(id))?;
        Ok(Migrated { migration, start: stream.creation.start })
    }

    /// Gives a migration up that is not over: binds the stream to the former version again.
    pub async fn cancel_migration(&self, name: &StreamName, id: MigrationId) -> Result<Cancelled, Fault> {
        let (handle, stream) = self.peek(name).await?;
        let stream = stream.ok_or_else(|| Fault::NoStream(name.clone()))?;
        let hosted = self.migrations.hosted(name);
        let migration = {
            let mut kept = self.kept_migrations(name, &hosted).await?;
            let known = kept.ledger().get(id).ok_or(EvolutionFault::Unknown(id))?;
            if !known.state.is_open() {
                return Err(EvolutionFault::NotOpen { id, state: state_text(known.state) }.into());
            }
            let pending = {
                let mut core = self.locked(&handle, &stream)?;
                let Some(state) = core.state.as_ref().filter(|state| state.schema.as_ref() == Some(&known.to)) else {
                    return Err(Fault::Contended);
                };
                let event = Event::Cancelled { position: state.tail, at: self.now() };
                self.stage_rebind(&handle, &mut core, &kept, &known.from, event)?
            };
            // Looked at again, also where nobody waits for it any more.
            self.migrations.bell.notify_one();
            kept.settled(pending).await?;
            self.migrations.release(name, &hosted);
            hosted.tell();
            kept.ledger().get(id).cloned().ok_or(EvolutionFault::Unknown(id))?
        };
        let (left, more_left) = self.left_behind(&handle, &stream, &migration).await?;
        let migrated = Migrated { migration, start: stream.creation.start };
        Ok(Cancelled { migrated, left, more_left })
    }

    /// Live entities that were written since a migration began.
    async fn left_behind(
        &self,
        handle: &Arc<Handle>,
        stream: &PublishedStream,
        migration: &Migration,
    ) -> Result<(Vec<Left>, u64), Fault> {
        let compiled = self.compiled(&migration.from)?;
        let (mut left, mut more) = (Vec::new(), 0);
        let mut at = Start { position: migration.position, walk_mark: None };
        loop {
            let page = self.folded_page(handle, stream, at, &Selection::default(), None).await?;
            for item in page.items.iter().filter(|item| !item.deletes) {
                if left.len() == LEFT_MAX {
                    more += 1;
                    continue;
                }
                left.push(Left {
                    fits: carry::fits(&compiled, item),
                    entity_type: item.entity_type.clone(),
                    key: item.key.clone(),
                    offset: Offset::at(item.position + 1),
                });
            }
            at = page.next;
            if page.done {
                return Ok((left, more));
            }
        }
    }

    /// The versions that a migration leads from and to, and its steps held against them.
    fn planned(
        &self,
        stream: &PublishedStream,
        ask: &MigrationAsk,
    ) -> Result<(SchemaRef, SchemaRef, Arc<Plan>), Fault> {
        let from = stream.schema.clone().ok_or_else(|| Fault::NotTyped(stream.creation.name.clone()))?;
        let subject = ask.subject.as_deref().unwrap_or(&from.subject);
        let to = super::registry::find_version(&self.registry.current(), subject, Some(ask.version))?;
        if to == from {
            return Err(EvolutionFault::SameVersion { subject: to.subject.to_string(), version: to.version }.into());
        }
        let plan = Plan::new(&ask.steps, &*self.compiled(&from)?, &self.compiled(&to)?);
        Ok((from, to, Arc::new(plan.map_err(EvolutionFault::Step)?)))
    }
}

fn state_text(state: MigrationState) -> &'static str {
    match state {
        MigrationState::Running => "running",
        MigrationState::Failed => "failed",
        MigrationState::Done => "done",
        MigrationState::Cancelled { .. } => "cancelled",
    }
}
