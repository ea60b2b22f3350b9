//! Under which schema version a stream's changes were checked, from where on.
//!
//! Binding a stream to another version is a record of its log. That record has no position, so it is noted in a companion
//! stream as well, in the same step: an entry says from which position on which version holds. Before the first entry
//! that is the version that the stream was created with. A fork knows of what it inherits through its source.
//!
//! Invariant: the entries of a companion stand in the order of their positions, and the last is the stream's own version.

use std::sync::Arc;

use serde_json::value::RawValue;

use crate::model::{Offset, Position, StreamName, Timestamp};
use crate::protocol::migration::{Rebound, StepSyntax, read_rebound, write_rebound};
use crate::registry::Registered;
use crate::registry::ledger::MigrationId;
use crate::registry::migration::StepFault;
use crate::storage::Store;
use crate::stream::{Body, Creation, Record, SchemaRef};

use super::handle::{Core, Handle, PublishedStream};
use super::migration::Tried;
use super::stage::Step;
use super::write::Content;
use super::{Engine, Fault};

/// Why a stream's schema does not change like that, or cannot be told. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum EvolutionFault {
    /// Nothing was checked there. 404.
    #[error("the stream was not typed at {offset}")]
    NotTypedThere { offset: Offset },
    /// 422.
    #[error(transparent)]
    Syntax(#[from] StepSyntax),
    /// 422.
    #[error(transparent)]
    Step(#[from] StepFault),
    /// 422.
    #[error("the stream is bound to {subject}@{version} already")]
    SameVersion { subject: String, version: u32 },
    /// Succeeds once that migration is done or cancelled. 409.
    #[error("migration {id} of the stream is not over")]
    Open { id: MigrationId },
    /// Succeeds once the migration is done or cancelled. 409.
    #[error("a migration of {stream} is not over")]
    Underway { stream: StreamName },
    /// Only one that has failed goes on, and only one that is not over is cancelled. 409.
    #[error("migration {id} is {state}")]
    NotOpen { id: MigrationId, state: &'static str },
    /// 404.
    #[error("the stream has no migration {0}")]
    Unknown(MigrationId),
    /// Entities that the steps cannot carry over; succeeds once they are repaired, or with other steps. 409.
    #[error(
        "{} entities cannot be carried over: add steps for them, change or delete them, or begin with check=false",
        .0.failing
    )]
    Fails(Box<Tried>),
}

/// The schema that holds at a place.
#[derive(Debug)]
pub struct SchemaAt {
    pub schema: SchemaRef,
    /// Where it began to hold.
    pub since: Offset,
    pub registered: Arc<Registered>,
}

/// A change of the log, and what is known of it.
#[derive(Debug)]
pub struct Logged {
    /// Just after it.
    pub offset: Offset,
    pub at: Timestamp,
    /// What it was checked under; `None` where the stream was not typed yet.
    pub schema: Option<SchemaRef>,
    pub change: Box<RawValue>,
}

/// A page of the log.
#[derive(Debug)]
pub struct LogPage {
    pub changes: Vec<Logged>,
    pub next: Offset,
    pub up_to_date: bool,
}

/// How the versions of a stream follow each other: each with the position from which on it holds, in order.
pub(super) struct History(Vec<(Position, Option<SchemaRef>)>);

impl History {
    /// Every version that has held.
    pub(super) fn versions(&self) -> impl Iterator<Item = &SchemaRef> {
        self.0.iter().filter_map(|(_, held)| held.as_ref())
    }

    fn at(&self, position: Position) -> Option<(Position, &SchemaRef)> {
        let held = self.0.iter().rfind(|(since, _)| *since <= position)?;
        held.1.as_ref().map(|schema| (held.0, schema))
    }
}

const READ_BYTES: usize = 1 << 20;

impl Engine {
    /// Binds a stream to another version, and notes from where on that holds. Both are locked by the caller.
    pub(super) fn rebind_steps<'a>(
        &self,
        (handle, core): (&'a Arc<Handle>, &'a mut Core),
        (log, log_core): (&'a Arc<Handle>, &'a mut Core),
        to: &SchemaRef,
    ) -> Result<[Step<'a>; 2], Fault> {
        let state = core.state.as_ref().ok_or_else(|| Fault::NoStream(handle.name.clone()))?;
        let rebind = Record { body: Body::Rebind(to.clone()), ..Record::plain(state.id, state.tail, self.now()) };
        let text = write_rebound(&Rebound { position: state.tail, schema: to.clone() });
        let content = Content::of_messages(std::iter::once(text.as_bytes()));
        let records = self.companion_records(log, log_core, content);
        Ok([Step::one(handle, core, rebind), Step { handle: log, core: log_core, records }])
    }

    /// The schema from `offset` on; from the tail on where none is given.
    pub async fn schema_at(&self, name: &StreamName, offset: Option<Offset>) -> Result<SchemaAt, Fault> {
        let (handle, stream) = self.peek(name).await?;
        self.check_offset(stream.as_ref(), offset.unwrap_or(Offset::BEGINNING))?;
        let Some(stream) = stream else {
            // Bound, and not written yet.
            let schema = self.schema_of(&handle)?;
            return self.known_schema(schema, 0);
        };
        let position = offset.map_or(stream.tail, |offset| offset.position.max(stream.creation.start));
        let history = self.history(&stream)?;
        match history.at(position) {
            Some((since, schema)) => self.known_schema(schema.clone(), since),
            None => Err(EvolutionFault::NotTypedThere { offset: Offset::at(position) }.into()),
        }
    }

    fn known_schema(&self, schema: SchemaRef, since: Position) -> Result<SchemaAt, Fault> {
        let registered = super::registry::get(&self.registry.current(), &schema.subject, schema.version)?.clone();
        Ok(SchemaAt { schema, since: Offset::at(since), registered })
    }

    /// Up to `limit` changes of a JSON stream from a place on, each with the version it was checked under.
    pub async fn log_page(&self, name: &StreamName, from: Offset, limit: usize) -> Result<LogPage, Fault> {
        let (_, stream) = self.open(name).await?;
        self.check_offset(stream.as_ref(), from)?;
        let Some(stream) = stream else {
            return Ok(LogPage { changes: Vec::new(), next: Offset::BEGINNING, up_to_date: true });
        };
        if !stream.creation.content_type.is_json() {
            return Err(Fault::NotTyped(name.clone()));
        }
        let mut next = from.position.clamp(stream.creation.start, stream.tail);
        let mut changes = Vec::new();
        if next < stream.tail {
            let history = self.history(&stream)?;
            let runs = self.read_runs(&stream, next, stream.tail).await?;
            // Where nothing was found, nothing is left up to the tail.
            next = runs.last().map_or(stream.tail, |run| run.first + run.count);
            'page: for run in runs {
                let mut at = 0;
                for (position, length) in (run.first..).zip(run.lengths.iter()) {
                    if changes.len() >= limit {
                        next = position;
                        break 'page;
                    }
                    let bytes = run.payload.get(at..at + length as usize).unwrap_or_default();
                    at += length as usize + 1;
                    // Which version is the record's to say; of which subject, only the history knows.
                    let held = history.at(position).map(|(_, held)| held.subject.clone());
                    let schema =
                        held.zip(run.schema_version).map(|(subject, version)| SchemaRef { subject, version });
                    let change = serde_json::from_slice(bytes).map_err(|e| Fault::Storage(e.to_string()))?;
                    changes.push(Logged { offset: Offset::at(position + 1), at: run.at, schema, change });
                }
            }
        }
        Ok(LogPage { changes, next: Offset::at(next), up_to_date: next == stream.tail })
    }

    /// All versions that a stream has had.
    pub(super) fn history(&self, stream: &PublishedStream) -> Result<History, Fault> {
        let mut held = Vec::new();
        self.add_history(&stream.creation, 0, &mut held)?;
        if held.last().is_none_or(|(_, last)| *last != stream.schema) {
            // Bound elsewhere before that was noted: where, nobody knows any more.
            held.push((stream.tail, stream.schema.clone()));
        }
        Ok(History(held))
    }

    /// Adds the versions of a stream whose positions are shifted, behind those of what it inherits.
    fn add_history(
        &self,
        creation: &Creation,
        shift: u64,
        held: &mut Vec<(Position, Option<SchemaRef>)>,
    ) -> Result<(), Fault> {
        if let Some(fork) = &creation.fork {
            let source = self.handle(&fork.source_name);
            // Also one that is only kept for its forks. A pinned name is no other stream's.
            let source = source.lock_fresh(&*self.store)?.state.as_ref().map(|state| state.creation.clone());
            if let Some(source) = source {
                self.add_history(&source, shift + fork.shift, held)?;
            }
            held.retain(|(since, _)| *since < fork.point() + shift);
        }
        held.push((creation.own_start() + shift, creation.schema.clone()));
        let log = self.handle(&creation.name.schemas_of());
        let Some(log) = log.stream() else { return Ok(()) };
        for text in messages(&*self.store, &log)? {
            let rebound = read_rebound(&text).map_err(|e| Fault::Storage(format!("a stream's schemas: {e}")))?;
            held.push((rebound.position + shift, Some(rebound.schema)));
        }
        Ok(())
    }
}

/// The messages of one of the server's own streams.
pub(super) fn messages(store: &dyn Store, stream: &PublishedStream) -> Result<Vec<String>, Fault> {
    let name = &stream.creation.name;
    let fault = |what: String| Fault::Storage(format!("{name:?}: {what}"));
    let (mut from, mut texts) = (stream.creation.start, Vec::new());
    while from < stream.tail {
        let runs = store.read(stream.id, from, stream.tail, READ_BYTES)?;
        let Some(last) = runs.last() else { return Err(fault(format!("it ends at {from}"))) };
        from = last.first + last.count;
        for run in &runs {
            let mut at = 0;
            for length in run.lengths.iter() {
                let text = run.payload.get(at..at + length as usize).unwrap_or_default();
                texts.push(std::str::from_utf8(text).map_err(|e| fault(e.to_string()))?.to_owned());
                at += length as usize + 1;
            }
        }
    }
    Ok(texts)
}
