//! The end of streams' lifetimes, and giving back the memory of idle ones.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use crate::model::{StreamId, StreamName, Timestamp};
use crate::stream::{Body, Expiry, Lifetime, Record, Refusal, StreamState};

use super::handle::{Core, Handle, PublishedStream};
use super::stage::{Landing, Step};
use super::{Engine, Fault};

/// Streams that end at the same time share a barrier, so many at a time.
const TOGETHER: usize = 1024;
/// How long after a failure a stream's end is tried again.
const RETRY: Duration = Duration::from_secs(1);

impl Engine {
    /// Looks at the durable stream, and ends it first if its lifetime is over; then it is gone, durably, for whoever
    /// asked. Refuses one that is kept only for its forks.
    pub(super) async fn expire_if_over(&self, handle: &Arc<Handle>) -> Result<Option<PublishedStream>, Fault> {
        let stream = handle.stream();
        // Boxed, since it is seldom: whoever asks would carry its room along.
        match stream.as_ref().is_some_and(|stream| stream.creation.lifetime == Lifetime::Unlimited) {
            true => Ok(stream),
            false => Box::pin(self.expire_or_refuse(handle)).await,
        }
    }

    async fn expire_or_refuse(&self, handle: &Arc<Handle>) -> Result<Option<PublishedStream>, Fault> {
        self.end_if_over(handle).await?;
        let stream = handle.stream();
        if stream.is_none() {
            self.refuse_soft_deleted(handle).await?;
        }
        Ok(stream)
    }

    pub(super) async fn end_if_over(&self, handle: &Arc<Handle>) -> Result<(), Fault> {
        let limited = |stream: &PublishedStream| stream.creation.lifetime != Lifetime::Unlimited;
        if !handle.stream().as_ref().is_some_and(limited) {
            return Ok(());
        }
        let landing = {
            let mut core = handle.lock_fresh(&*self.store)?;
            let now = self.now();
            if core.state.as_ref().is_some_and(|state| core.is_read_live(state.id)) {
                // A live reader is a use for as long as it lasts. Source: PROTOCOL.md §5.1, `Stream-TTL`.
                core.used_at = core.used_at.max(now);
            }
            match &core.state {
                Some(state) if state.soft_deleted => Err(handle.basis(&core)),
                Some(state) if state.creation.lifetime.is_over(core.used_at, now) => {
                    Ok(self.stage_end(handle, &mut core, Body::Expire)?)
                }
                Some(_) => return Ok(()),
                None => Err(handle.basis(&core)),
            }
        };
        match landing {
            Ok(landing) => landing.durable().await,
            Err(basis) => handle.settled(basis).await,
        }
    }

    /// Refuses a stream that is kept only for its forks. Source: PROTOCOL.md §4.2.
    async fn refuse_soft_deleted(&self, handle: &Arc<Handle>) -> Result<(), Fault> {
        let basis = {
            let core = handle.lock_fresh(&*self.store)?;
            core.state.as_ref().is_some_and(|state| state.soft_deleted).then(|| handle.basis(&core))
        };
        match basis {
            Some(basis) => {
                self.settle(handle, basis).await?;
                Err(Refusal::SoftDeleted.into())
            }
            None => Ok(()),
        }
    }

    /// Stages the end of a stream that is staged to exist, by `end`, and of what was kept beside it. One that has forks
    /// is kept for them; one that was the last fork of such a stream takes it along.
    pub(super) fn stage_end(&self, handle: &Arc<Handle>, core: &mut Core, end: Body) -> Result<Landing, Fault> {
        self.stage_ends(Vec::new(), handle, core, Loss::Itself(end))
    }

    /// Adds what becomes of a stream, and of the stream it is a fork of where it goes; then stages it all.
    ///
    /// Locks go from fork to source, and from a stream to what is kept beside it.
    fn stage_ends<'s>(
        &self,
        steps: Vec<Step<'s>>,
        handle: &'s Arc<Handle>,
        core: &'s mut Core,
        loss: Loss,
    ) -> Result<Landing, Fault> {
        // Some of what is locked here lives shorter than what was handed in.
        let mut steps: Vec<Step<'_>> = steps;
        let Some(state) = &core.state else { return Err(Fault::NoStream(handle.name.clone())) };
        let now = self.now();
        let bodies = loss.of(state);
        let (id, tail, creation) = (state.id, state.tail, state.creation.clone());
        let goes = bodies.iter().any(|body| matches!(body, Body::Delete | Body::Expire));
        let hidden = goes || bodies.iter().any(|body| matches!(body, Body::SoftDelete));
        let records = bodies.into_iter().map(|body| Record { body, ..Record::plain(id, tail, now) }).collect();
        steps.push(Step { handle, core, records });

        let beside = self.companions(&handle.name, hidden, goes);
        let beside_cores: Result<Vec<_>, Fault> = beside.iter().map(|one| one.lock_fresh(&*self.store)).collect();
        let mut beside_cores = beside_cores?;
        for (beside, core) in beside.iter().zip(&mut beside_cores) {
            if let Some(state) = &core.state {
                let end = Record { body: Body::Delete, ..Record::plain(state.id, state.tail, now) };
                steps.push(Step::one(beside, core, end));
            }
        }
        let Some(fork) = creation.fork.as_ref().filter(|_| goes) else {
            return Ok(self.stage(steps, None));
        };
        let source = self.handle(&fork.source_name);
        let mut source_core = source.lock_fresh(&*self.store)?;
        self.stage_ends(steps, &source, &mut source_core, Loss::Fork(id))
    }

    /// What is kept beside a stream and goes with it: where nobody sees it any more, and where it is gone.
    fn companions(&self, name: &StreamName, hidden: bool, goes: bool) -> Vec<Arc<Handle>> {
        let names = [
            hidden.then(|| name.quarantine_of()),
            hidden.then(|| name.migrations_of()),
            // Its forks read with it what they inherit.
            goes.then(|| name.schemas_of()),
        ];
        // One that is staged is held; most are not there at all.
        let is_there = |name: &StreamName| self.streams.contains_key(name) || self.store.find(name).is_some();
        names.into_iter().flatten().filter(is_there).map(|name| self.handle(&name)).collect()
    }

    /// Notes a read of a stream.
    pub(super) fn used(&self, handle: &Arc<Handle>, stream: StreamId) {
        let mut core = handle.lock();
        if core.state.as_ref().is_some_and(|state| state.id == stream) {
            self.note_use(handle, &mut core);
        }
    }

    /// Notes a use. Only every tenth of the idle window does it reach the log, and nobody waits for that.
    pub(super) fn note_use(&self, handle: &Arc<Handle>, core: &mut Core) {
        let now = self.now();
        core.used_at = core.used_at.max(now);
        if let Some(state) = core.state.as_ref().filter(|state| !state.soft_deleted && !core.stale && self.is_ready())
            && state.creation.lifetime.must_journal_use(state.used_at, now)
        {
            let record = Record { body: Body::Renew, ..Record::plain(state.id, state.tail, now) };
            drop(self.stage(vec![Step::one(handle, core, record)], None));
        }
    }

    /// A record is durable: the stream has a timer from its creation to its end.
    pub(super) fn note_lifetime(&self, record: &Record) {
        match &record.body {
            Body::Create(creation) => self.set_timer(record.stream, creation.lifetime, record.at),
            Body::Delete | Body::Expire | Body::SoftDelete => self.timers.remove(record.stream),
            _ => {}
        }
    }

    pub(super) fn set_timer(&self, stream: StreamId, lifetime: Lifetime, used_at: Timestamp) {
        if let Expiry::At(moment) = lifetime.expiry(used_at) {
            self.timers.set(stream, moment);
        }
    }

    /// Looks after streams until the engine stops: ends each when its lifetime is over, and lets go of idle ones.
    pub async fn sweep(self, every: Duration) {
        let mut stopping = self.stopping();
        let mut tidy = tokio::time::interval(every);
        tidy.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let is_due = tokio::select! {
                _ = stopping.wait_for(|stopping| *stopping) => return,
                () = self.timers.wait(&self.clock) => true,
                _ = tidy.tick() => false,
            };
            match is_due {
                true => self.end_due().await,
                false => {
                    self.forget_idle();
                    self.shrink_folds();
                    self.pages.sweep();
                }
            }
        }
    }

    /// Ends the streams whose timer is due, unless they were used meanwhile.
    async fn end_due(&self) {
        for due in self.timers.due(self.now()).chunks(TOGETHER) {
            join_all(due.iter().map(|stream| self.end_if_due(*stream))).await;
        }
    }

    async fn end_if_due(&self, stream: StreamId) {
        let Some(state) = self.store.load(stream).filter(|state| !state.soft_deleted) else {
            return self.timers.remove(stream);
        };
        let handle = self.handle(&state.creation.name);
        let outcome = self.end_if_over(&handle).await;
        let now = self.now();
        if let Err(fault) = outcome {
            tracing::warn!(stream.name = %handle.name, error = %fault, "an expired stream could not be ended: {fault}");
            return self.timers.set(stream, now.after(RETRY));
        }
        let expiry = {
            let core = handle.lock();
            let state = core.state.as_ref().filter(|state| state.id == stream && !state.soft_deleted);
            state.map(|state| state.creation.lifetime.expiry(core.used_at))
        };
        match expiry {
            Some(Expiry::At(moment)) => self.timers.set(stream, moment.max(now.after(Duration::from_millis(1)))),
            // Staged to go by somebody else, which may fail.
            None if self.store.load(stream).is_some() => self.timers.set(stream, now.after(RETRY)),
            Some(Expiry::Never) | None => self.timers.remove(stream),
        }
    }

    /// Drops handles that nobody holds and nobody used lately; the store still knows their streams.
    fn forget_idle(&self) {
        let now = self.now();
        self.streams.retain(|_, handle| {
            // Somebody who holds it may be about to look up another handle, which this walk has locked.
            let Some(core) = handle.try_lock() else { return true };
            let idle = now.since(core.used_at) >= self.settings.stream_idle || core.state.is_none();
            let held = Arc::strong_count(handle) > 1 || core.in_flight > 0;
            if idle
                && !held
                && let Some(state) = &core.state
            {
                self.timers.remember(state.id, core.used_at);
            }
            held || !idle
        });
    }

    /// Where newest changes take more than they may, drops those that nobody uses now, the longest unused first: the
    /// log still has them.
    fn shrink_folds(&self) {
        let mut folds = Vec::new();
        for entry in self.streams.iter() {
            let handle = entry.value();
            let Some(core) = handle.try_lock() else { continue };
            if let Some(fold) = core.fold() {
                folds.push((core.used_at, fold.memory_bytes(), handle.name.clone()));
            }
        }
        let mut bytes: usize = folds.iter().map(|(_, bytes, _)| bytes).sum();
        folds.sort_unstable_by_key(|(used_at, ..)| *used_at);
        for (_, size, name) in folds {
            if bytes <= self.limits().folds_bytes_max {
                break;
            }
            let dropped = self.streams.get_mut(&name).and_then(|handle| {
                // Nobody comes to hold it while the entry is locked.
                let free = Arc::strong_count(handle.value()) == 1;
                let mut core = handle.try_lock().filter(|core| free && core.in_flight == 0)?;
                core.take_fold()
            });
            bytes -= dropped.map_or(0, |_| size);
        }
        self.folds_bytes.store(bytes, std::sync::atomic::Ordering::Relaxed);
    }
}

/// What a stream loses.
enum Loss {
    /// All of it, by such a record.
    Itself(Body),
    /// A fork that refers to it.
    Fork(StreamId),
}

impl Loss {
    /// What happens to the stream, in order.
    fn of(self, state: &StreamState) -> Vec<Body> {
        match self {
            Self::Itself(end) if state.pins.is_empty() => vec![end],
            Self::Itself(_) => vec![Body::SoftDelete],
            Self::Fork(fork) => {
                let last = state.soft_deleted && state.pins.len() == 1;
                [Body::Unpin { fork }].into_iter().chain(last.then_some(Body::Delete)).collect()
            }
        }
    }
}
