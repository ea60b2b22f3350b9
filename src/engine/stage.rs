//! Staging: the one way a decision reaches the log.
//!
//! A decision is made and staged under its streams' locks; the committer reports it durable, in order, and only then
//! do readers see it and writers hear of it. Publishing any earlier would show changes that a crash undoes.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;

use crate::model::StreamName;
use crate::stream::{Body, Record, StreamState, StreamVersion};

use super::handle::{Core, Handle, staged_bytes};
use super::{Engine, Fault};
use crate::storage::die::{self, Point};
use crate::storage::mutant::{self, Mutant};
use crate::storage::{AppendError, Staged};

/// One stream's part of what is staged together.
pub(super) struct Step<'a> {
    pub handle: &'a Arc<Handle>,
    pub core: &'a mut Core,
    /// In order; at least one.
    pub records: Vec<Record>,
}

impl<'a> Step<'a> {
    pub fn one(handle: &'a Arc<Handle>, core: &'a mut Core, record: Record) -> Self {
        Self { handle, core, records: vec![record] }
    }
}

/// Resolves once what was staged is durable, or has failed.
#[must_use = "nobody may be answered before what was staged is durable"]
pub(super) struct Landing(oneshot::Receiver<Result<(), AppendError>>);

impl Landing {
    pub async fn durable(self) -> Result<(), Fault> {
        match self.0.await {
            Ok(result) => Ok(result?),
            // The store went away with it: nobody knows.
            Err(_) => Err(Fault::Unknown),
        }
    }
}

/// Run by the committer right after the streams were published.
pub(super) type Then = Box<dyn FnOnce() + Send>;

impl Engine {
    /// Where a new stream's positions begin: above every position of every stream that is gone, or staged to go.
    pub(super) fn start_position(&self) -> u64 {
        match mutant::is_on(Mutant::ReuseOffset) {
            true => self.store.start_position(),
            false => self.store.start_position().max(self.start_floor.load(Ordering::SeqCst)),
        }
    }

    /// Stages records, all or none, with their streams locked by the caller; moves the staged states.
    pub(super) fn stage(&self, steps: Vec<Step<'_>>, then: Option<Then>) -> Landing {
        let mut staged = Vec::with_capacity(steps.len());
        let mut landing = Vec::with_capacity(steps.len());
        let mut bytes = 0;
        for Step { handle, core, records } in steps {
            for record in records {
                let decided_on = match &record.body {
                    Body::Create(_) => StreamVersion::default(),
                    _ => core.state.as_ref().map_or(StreamVersion::default(), |state| state.version),
                };
                die::at_some(|| Some(points(&handle.name, &record)?.0));
                move_staged(core, &record);
                if core.state.is_none() {
                    // A name is free again as soon as its end is staged: whoever takes it starts above.
                    self.start_floor.fetch_max(record.first + 1, Ordering::SeqCst);
                }
                core.staged_steps += 1;
                core.in_flight += 1;
                core.in_flight_bytes += staged_bytes(&record);
                bytes += staged_bytes(&record);
                landing.push((handle.clone(), record.clone()));
                staged.push(Staged { record, decided_on });
            }
        }
        self.in_flight_bytes.fetch_add(bytes, Ordering::Relaxed);
        let (tell, told) = oneshot::channel();
        let engine = self.clone();
        let done = move |result: Result<&[crate::storage::Placed], AppendError>| {
            engine.in_flight_bytes.fetch_sub(bytes, Ordering::Relaxed);
            match result {
                Ok(placed) => {
                    for ((handle, record), placed) in landing.iter().zip(placed) {
                        die::at_some(|| Some(points(&handle.name, record)?.1));
                        handle.land(record, placed.payload.0);
                        engine.note_lifetime(record);
                        engine.subscriptions.note(&handle.name, record);
                    }
                    if let Some(then) = then {
                        then();
                    }
                }
                Err(_) => landing.iter().for_each(|(handle, record)| handle.fail(record)),
            }
            // The writer may have gone away; what it asked for is durable all the same.
            let _ = tell.send(result.map(drop));
        };
        self.store.append(staged, Box::new(done));
        Landing(told)
    }
}

fn move_staged(core: &mut Core, record: &Record) {
    match (&record.body, &mut core.state) {
        (Body::Create(_), state) => {
            *state = StreamState::create(record);
            core.used_at = record.at;
            core.set_fold(None);
        }
        (_, Some(state)) => {
            state.apply(record);
            if state.gone {
                core.state = None;
                core.set_fold(None);
            } else if matches!(record.body, Body::Rebind(_) | Body::SoftDelete) {
                // Another version may keep its version numbers elsewhere; what nobody sees needs no fold.
                core.set_fold(None);
            }
        }
        (_, None) => {}
    }
    if let Some(state) = &core.state {
        core.used_at = core.used_at.max(state.used_at);
    }
}

/// Where the program can be made to die before a record is staged, and where once it is durable.
fn points(name: &StreamName, record: &Record) -> Option<(Point, Point)> {
    if *name == StreamName::registry() {
        return Some((Point::BeforeRegistry, Point::AfterRegistry));
    }
    if name.as_str().starts_with(&StreamName::subscriptions()) {
        return Some((Point::BeforeSubscription, Point::AfterSubscription));
    }
    match &record.body {
        Body::Create(creation) if creation.fork.is_some() => Some((Point::BeforeFork, Point::AfterFork)),
        Body::Create(_) => Some((Point::BeforeCreate, Point::AfterCreate)),
        Body::Delete => Some((Point::BeforeDelete, Point::AfterDelete)),
        Body::Expire => Some((Point::BeforeExpire, Point::AfterExpire)),
        Body::SoftDelete => Some((Point::BeforeSoftDelete, Point::AfterSoftDelete)),
        Body::Unpin { .. } => Some((Point::BeforeUnpin, Point::AfterUnpin)),
        _ if record.closes => Some((Point::BeforeClose, Point::AfterClose)),
        _ => None,
    }
}
