//! The log of a stream's migrations: one JSON entry per event, in an internal stream beside it.
//!
//! What is known of it is kept while a migration runs. Every step is decided on that, and staged only where the log still
//! ends where it ended then; so two who do not know of each other cannot both write.

use tokio::sync::MutexGuard;

use crate::model::{Position, StreamId, StreamName};
use crate::protocol::migration::{read_event, write_event};
use crate::registry::ledger::{Event, Ledger};
use crate::storage::Store;

use super::super::evolution::messages;
use super::super::handle::Core;
use super::super::stage::{Landing, Step};
use super::super::write::Content;
use super::super::{Engine, Fault};
use super::Hosted;

/// What the log says, up to where it ends.
pub struct Kept {
    ledger: Ledger,
    /// The log and its tail; `None` where there is none yet.
    end: Option<(StreamId, Position)>,
    /// A step may have been written, or not: what is known is of no use.
    lost: bool,
}

/// The ledger, held.
pub struct Holding<'h>(MutexGuard<'h, Option<Kept>>);

impl std::ops::Deref for Holding<'_> {
    type Target = Kept;

    fn deref(&self) -> &Kept {
        self.0.as_ref().expect("it is only held once it is loaded")
    }
}

impl std::ops::DerefMut for Holding<'_> {
    fn deref_mut(&mut self) -> &mut Kept {
        self.0.as_mut().expect("it is only held once it is loaded")
    }
}

impl Kept {
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Waits until what was staged is durable, and takes it in. Cut short, the log is read again before the next step.
    pub async fn settled(&mut self, pending: Pending) -> Result<(), Fault> {
        self.lost = true;
        pending.landing.durable().await?;
        pending.events.iter().for_each(|event| self.ledger.apply(event));
        (self.end, self.lost) = (pending.end, false);
        Ok(())
    }
}

/// Events that are staged and perhaps not durable yet.
pub struct Pending {
    landing: Landing,
    events: Vec<Event>,
    /// Where the log ends with them.
    end: Option<(StreamId, Position)>,
}

impl Engine {
    /// Stages events of a migration behind steps that they are to be one with. The stream is locked by the caller, as by
    /// whoever deletes it.
    pub(super) fn stage_events(
        &self,
        kept: &Kept,
        name: &StreamName,
        steps: Vec<Step<'_>>,
        events: Vec<Event>,
    ) -> Result<Pending, Fault> {
        let log = self.handle(&name.migrations_of());
        let mut core = log.lock_fresh(&*self.store)?;
        if kept.lost || kept.end != end_of(&core) {
            return Err(Fault::Contended);
        }
        // What is locked here lives shorter than what was handed in.
        let mut steps: Vec<Step<'_>> = steps;
        let texts: Vec<String> = events.iter().map(write_event).collect();
        let records = self.companion_records(&log, &core, Content::of_messages(texts.iter().map(String::as_bytes)));
        steps.push(Step { handle: &log, core: &mut core, records });
        let landing = self.stage(steps, None);
        Ok(Pending { landing, events, end: end_of(&core) })
    }

    /// Takes the ledger of a stream, read from its log where it is not known or no longer true.
    pub(super) async fn kept_migrations<'h>(
        &self,
        name: &StreamName,
        hosted: &'h Hosted,
    ) -> Result<Holding<'h>, Fault> {
        let mut kept = hosted.kept.lock().await;
        let log = self.handle(&name.migrations_of());
        log.quiet().await;
        let stream = log.stream();
        let end = stream.as_ref().map(|stream| (stream.id, stream.tail));
        match &mut *kept {
            Some(known) if known.end == end && !known.lost => {}
            // Written by whoever held this before, and taken in.
            known => {
                let mut ledger = Ledger::default();
                if let Some(stream) = &stream {
                    for text in messages(&*self.store, stream)? {
                        let event = read_event(&text).map_err(|e| Fault::Storage(format!("a migration: {e}")))?;
                        ledger.apply(&event);
                    }
                }
                *known = Some(Kept { ledger, end, lost: false });
            }
        }
        Ok(Holding(kept))
    }
}

fn end_of(log: &Core) -> Option<(StreamId, Position)> {
    log.state.as_ref().map(|state| (state.id, state.tail))
}

/// Whether the last migration in a log is not over. Its last entry says that.
pub(super) fn is_open(store: &dyn Store, log: &StreamName) -> Result<bool, Fault> {
    let Some(state) = store.find(log).and_then(|id| store.load(id)) else { return Ok(false) };
    if state.tail == state.creation.start {
        return Ok(false);
    }
    let runs = store.read(state.id, state.tail - 1, state.tail, 1 << 20)?;
    let text = runs.last().map(|run| run.payload.strip_suffix(b",").unwrap_or(&run.payload).to_vec());
    let text = String::from_utf8(text.unwrap_or_default()).map_err(|e| Fault::Storage(e.to_string()))?;
    let event = read_event(&text).map_err(|e| Fault::Storage(format!("a migration: {e}")))?;
    Ok(!matches!(event, Event::Done { .. } | Event::Cancelled { .. }))
}
