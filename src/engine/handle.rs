//! What the running server holds of one stream: the staged state that writers decide on, and the published state that
//! readers see. Invariant: the published state is what the committer has reported durable, in order, and nothing else.

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use crate::fold::Fold;
use crate::model::{Offset, Position, StreamId, StreamName, Timestamp};
use crate::registry::Binding;
use crate::storage::Store;
use crate::stream::{Body, Creation, Record, SchemaRef, StreamState, StreamVersion};

use super::Fault;
use super::recent::{Joined, Recent};

/// One stream, or a name that may become one. Shared by its writers and readers; dropped when idle.
pub struct Handle {
    pub name: StreamName,
    core: Mutex<Core>,
    published: watch::Sender<Published>,
    /// The newest messages, while somebody reads them live. Locked on its own, for the time that a page takes.
    recent: Mutex<Option<Box<Recent>>>,
    /// Held while the fold is read from the log; writers of a typed stream wait for it.
    pub(super) loading: tokio::sync::Mutex<()>,
    /// Held by a merge that has lost to others once.
    pub(super) merging: tokio::sync::Mutex<()>,
}

/// What writers decide on. Locked for microseconds, never across an `.await`.
pub(super) struct Core {
    /// Staged state; `None` where no stream of that name is staged to exist.
    pub state: Option<StreamState>,
    /// Latest value per key, staged changes included; `None` until somebody needs it.
    fold: Option<Fold>,
    /// Grows whenever the fold is another one: what was pinned in it is not pinned any more.
    pub fold_generation: u64,
    /// Last use, which for reads only memory knows.
    pub used_at: Timestamp,
    /// Live readers, and of which stream; those of a former one count no more.
    live: Option<(StreamId, usize)>,
    /// Steps ever staged here; a decision rests on all of them.
    pub staged_steps: u64,
    pub in_flight: usize,
    pub in_flight_bytes: usize,
    /// A staged step has failed: what is staged must be loaded again.
    pub stale: bool,
    /// The binding that applies, and the registry generation it was looked up in.
    pub binding: Option<(u64, Option<Arc<Binding>>)>,
}

/// What readers see: durable, and in the order of the log.
#[derive(Clone, Debug)]
pub struct Published {
    pub stream: Option<PublishedStream>,
    /// Steps of this name that are durable, or have failed.
    pub landed_steps: u64,
    /// The newest of them that has failed; 0 while none has.
    pub last_failed_step: u64,
}

/// The staged steps that a decision rests on: those staged and not landed when it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Basis {
    staged: u64,
    landed: u64,
}

/// The durable state of a stream that exists.
#[derive(Clone, Debug)]
pub struct PublishedStream {
    pub id: StreamId,
    pub creation: Arc<Creation>,
    pub schema: Option<SchemaRef>,
    pub tail: Position,
    /// See [`StreamState::skipped`].
    pub skipped: u64,
    /// See [`StreamState::floor`].
    pub floor: Position,
    pub bytes: u64,
    pub closed: bool,
    pub version: StreamVersion,
    pub used_at: Timestamp,
}

impl PublishedStream {
    /// Messages (JSON) or bytes (all else) that it holds, those that a fork inherits included.
    pub fn length(&self) -> u64 {
        (self.tail - self.creation.start).saturating_sub(self.skipped)
    }

    pub fn tail_offset(&self) -> Offset {
        Offset::at(self.tail)
    }
}

impl From<&StreamState> for PublishedStream {
    fn from(state: &StreamState) -> Self {
        Self {
            id: state.id,
            creation: state.creation.clone(),
            schema: state.schema.clone(),
            tail: state.tail,
            skipped: state.skipped,
            floor: state.floor,
            bytes: state.bytes,
            closed: state.closed.is_some(),
            version: state.version,
            used_at: state.used_at,
        }
    }
}

impl Core {
    pub fn fold(&self) -> Option<&Fold> {
        self.fold.as_ref()
    }

    pub fn fold_mut(&mut self) -> Option<&mut Fold> {
        self.fold.as_mut()
    }

    pub fn take_fold(&mut self) -> Option<Fold> {
        self.fold_generation += 1;
        self.fold.take()
    }

    /// A live reader of a stream begins.
    pub fn enter(&mut self, stream: StreamId) {
        let (known, count) = self.live.get_or_insert((stream, 0));
        // Of a former stream under the name there is nothing more to read, and numbers only grow.
        if *known < stream {
            (*known, *count) = (stream, 0);
        }
        *count += usize::from(*known == stream);
    }

    /// A live reader of a stream ends, which it used until now.
    fn leave(&mut self, stream: StreamId, now: Timestamp) {
        if self.is_read_live(stream) {
            self.used_at = self.used_at.max(now);
        }
        if let Some((_, count)) = self.live.as_mut().filter(|(known, _)| *known == stream) {
            *count = count.saturating_sub(1);
        }
    }

    /// Whether the stream stands here, and somebody reads it live.
    pub fn is_read_live(&self, stream: StreamId) -> bool {
        self.state.as_ref().is_some_and(|state| state.id == stream)
            && self.live.is_some_and(|(known, count)| known == stream && count > 0)
    }

    pub fn set_fold(&mut self, fold: Option<Fold>) {
        self.fold = fold;
        self.fold_generation += 1;
    }
}

impl Handle {
    /// Loads what the store knows. `used_at` says of a stream when it was used at last.
    pub(super) fn load(name: StreamName, store: &dyn Store, used_at: impl Fn(&StreamState) -> Timestamp) -> Self {
        let state = store.find(&name).and_then(|id| store.load(id));
        let seen = state.as_ref().filter(|state| !state.soft_deleted);
        let published = Published { stream: seen.map(Into::into), landed_steps: 0, last_failed_step: 0 };
        let used_at = state.as_ref().map_or(Timestamp::default(), used_at);
        let core = Core {
            state,
            fold: None,
            fold_generation: 0,
            used_at,
            live: None,
            staged_steps: 0,
            in_flight: 0,
            in_flight_bytes: 0,
            stale: false,
            binding: None,
        };
        Self {
            name,
            core: Mutex::new(core),
            published: watch::Sender::new(published),
            recent: Mutex::new(None),
            loading: Default::default(),
            merging: Default::default(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock()
    }

    pub(super) fn try_lock(&self) -> Option<MutexGuard<'_, Core>> {
        self.core.try_lock()
    }

    /// The staged state, loaded again if a failure has made it stale.
    pub(super) fn lock_fresh(&self, store: &dyn Store) -> Result<MutexGuard<'_, Core>, Fault> {
        let mut core = self.core.lock();
        self.freshen(&mut core, store)?;
        Ok(core)
    }

    /// As [`Handle::lock_fresh`], of a handle that is locked.
    pub(super) fn freshen(&self, core: &mut Core, store: &dyn Store) -> Result<(), Fault> {
        if core.stale {
            if core.in_flight > 0 {
                return Err(Fault::Busy { retry_after: std::time::Duration::from_secs(1) });
            }
            core.state = store.find(&self.name).and_then(|id| store.load(id));
            core.set_fold(None);
            core.stale = false;
        }
        Ok(())
    }

    pub fn published(&self) -> Published {
        self.published.borrow().clone()
    }

    /// The durable stream, if there is one.
    pub fn stream(&self) -> Option<PublishedStream> {
        self.published.borrow().stream.clone()
    }

    /// What is known of a stream now, or what was: by the time it is told of, its lifetime may be over.
    pub(super) fn newest(&self, known: PublishedStream) -> PublishedStream {
        self.stream().filter(|now| now.id == known.id).unwrap_or(known)
    }

    pub fn subscribe(&self) -> watch::Receiver<Published> {
        self.published.subscribe()
    }

    /// Readers that wait for more.
    pub fn readers(&self) -> usize {
        match self.core.lock().live {
            Some((_, count)) if count > 0 => count,
            // Of a name that nobody has written yet.
            _ => self.published.receiver_count(),
        }
    }

    /// What a decision that is made now, under the lock, rests on.
    pub(super) fn basis(&self, core: &Core) -> Basis {
        Basis { staged: core.staged_steps, landed: self.published.borrow().landed_steps }
    }

    /// Waits until everything that a decision rests on is durable. Where some of it has failed, nothing was decided.
    pub(super) async fn settled(&self, basis: Basis) -> Result<(), Fault> {
        let mut published = self.published.subscribe();
        // The sender lives as long as `self`, so this ends when the steps have landed.
        match published.wait_for(|p| p.landed_steps >= basis.staged).await {
            Ok(published) if published.last_failed_step <= basis.landed => Ok(()),
            _ => Err(Fault::Busy { retry_after: std::time::Duration::from_secs(1) }),
        }
    }

    /// Waits where what stood under the name is staged to go.
    pub(super) async fn quiet_if_going(&self, store: &dyn Store) -> Result<(), Fault> {
        let going = {
            let core = self.lock_fresh(store)?;
            core.state.is_none() && core.in_flight > 0
        };
        if going {
            self.quiet().await;
        }
        Ok(())
    }

    /// As [`Handle::settled`], for everything staged so far, whether or not it failed.
    pub(super) async fn quiet(&self) {
        let basis = self.basis(&self.lock());
        // What failed was not written, and is staged no longer.
        let _ = self.settled(basis).await;
    }

    /// Called by the committer, in order: the record is durable, its payload lies at `place`.
    pub(super) fn land(&self, record: &Record, place: u64) {
        let mut core = self.core.lock();
        core.in_flight -= 1;
        core.in_flight_bytes -= staged_bytes(record);
        if core.is_read_live(record.stream) {
            // Before it is published: who is woken by that finds it here.
            self.recent.lock().get_or_insert_with(|| Box::new(Recent::of(record.stream))).push(record);
        }
        if record.count > 0
            && let Some(fold) = &mut core.fold
        {
            fold.place_batch(record.first, place);
            if fold.wants_squeeze() {
                fold.squeeze(record.first + record.count);
            }
        }
        self.published.send_modify(|published| {
            published.landed_steps += 1;
            match (&record.body, &mut published.stream) {
                (Body::Create(_), stream) => *stream = StreamState::create(record).as_ref().map(Into::into),
                (Body::Delete | Body::Expire | Body::SoftDelete, stream) => *stream = None,
                (body, Some(stream)) => {
                    if record.count > 0 {
                        stream.skipped += record.first - stream.tail;
                        stream.tail = record.first + record.count;
                    }
                    stream.closed |= record.closes;
                    stream.version = stream.version.next();
                    stream.used_at = stream.used_at.max(record.at);
                    match body {
                        Body::Append { payload, .. } => stream.bytes += payload.len() as u64,
                        Body::Rebind(schema) => stream.schema = Some(schema.clone()),
                        _ => {}
                    }
                }
                (_, None) => {}
            }
        });
    }

    /// A page of the newest messages from `from`, where it is kept in memory.
    pub(super) fn recent(&self, stream: &PublishedStream, from: Position, bytes_max: usize) -> Option<Joined> {
        let json = stream.creation.content_type.is_json();
        self.recent.lock().as_mut()?.page(stream.id, from, stream.tail, bytes_max, json)
    }

    /// A live reader of a stream has gone; with the last one goes what was kept for them.
    pub(super) fn leave(&self, stream: StreamId, now: Timestamp) {
        let mut core = self.core.lock();
        core.leave(stream, now);
        if core.live.is_none_or(|(_, count)| count == 0) {
            *self.recent.lock() = None;
        }
    }

    /// Called by the committer: the record was not written, and nothing staged after it here will be.
    pub(super) fn fail(&self, record: &Record) {
        let mut core = self.core.lock();
        core.in_flight -= 1;
        core.in_flight_bytes -= staged_bytes(record);
        core.stale = true;
        self.published.send_modify(|published| {
            published.landed_steps += 1;
            published.last_failed_step = published.landed_steps;
        });
    }
}

/// Locks several handles, each of another name, whatever order others lock them in.
///
/// Who goes from a fork to its source holds the one and waits for the other. Names say nothing of that order, and what
/// stands under them may be another stream by now: so nobody who has not yet looked may wait while holding any.
pub(super) fn lock_all<'h>(handles: &[&'h Handle]) -> Vec<MutexGuard<'h, Core>> {
    let mut first = 0;
    loop {
        let mut waited = handles.get(first).map(|handle| handle.lock());
        let tried = handles.iter().enumerate().map(|(index, handle)| match index == first {
            true => waited.take().ok_or(index),
            false => handle.try_lock().ok_or(index),
        });
        match tried.collect() {
            Ok(locked) => return locked,
            Err(busy) => first = busy,
        }
    }
}

/// What a record costs beside its payload while it waits: a flood of small ones must not count as little.
const RECORD_BYTES: usize = 512;

/// What a record that waits for the disk holds, in bytes.
pub(super) fn staged_bytes(record: &Record) -> usize {
    match &record.body {
        Body::Append { payload, .. } => payload.len() + RECORD_BYTES,
        _ => RECORD_BYTES,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;
    use crate::runtime::Clock;
    use crate::storage::MemoryStore;

    #[test]
    fn locking_several_never_waits_for_who_waits_for_one_of_them() {
        let store = MemoryStore::new(Clock::system());
        let handle =
            |name: &str| Arc::new(Handle::load(StreamName::parse(name).unwrap(), &*store, |state| state.used_at));
        let (source, fork) = (handle("a"), handle("b"));
        let (tell, told) = channel();
        let ended = tell.clone();
        let (held_source, held_fork) = (source.clone(), fork.clone());
        std::thread::spawn(move || {
            for _ in 0..100_000 {
                let _fork = held_fork.lock();
                let _source = held_source.lock();
            }
            ended.send(()).unwrap();
        });
        std::thread::spawn(move || {
            for _ in 0..100_000 {
                assert_eq!(lock_all(&[&source, &fork]).len(), 2);
            }
            tell.send(()).unwrap();
        });
        for _ in 0..2 {
            told.recv_timeout(Duration::from_secs(60)).expect("neither waits for ever");
        }
    }
}
