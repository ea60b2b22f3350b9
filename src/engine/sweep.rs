//! The end of streams' lifetimes, and giving back the memory of idle ones.

use std::sync::Arc;
use std::time::Duration;

use crate::stream::{Body, Lifetime, Record};

use super::handle::{Core, Handle};
use super::stage::{Landing, Step};
use super::{Engine, Fault};

impl Engine {
    /// Ends the stream if its lifetime is over; then it is gone, durably, for whoever asked.
    pub(super) async fn expire_if_over(&self, handle: &Arc<Handle>) -> Result<(), Fault> {
        let limited = |stream: super::PublishedStream| stream.creation.lifetime != Lifetime::Unlimited;
        if !handle.stream().is_some_and(limited) {
            return Ok(());
        }
        let landing = {
            let mut core = handle.lock_fresh(&*self.store)?;
            let now = self.now();
            if handle.readers() > 0 {
                // A live reader is a use for as long as it lasts. Source: PROTOCOL.md §5.1, `Stream-TTL`.
                core.used_at = core.used_at.max(now);
            }
            match &core.state {
                Some(state) if state.creation.lifetime.is_over(core.used_at, now) => {
                    let record = Record { body: Body::Expire, ..Record::plain(state.id, state.tail, now) };
                    Ok(self.stage_gone(handle, &mut core, record)?)
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

    /// Stages the end of a stream, and of what was kept beside it.
    pub(super) fn stage_gone(&self, handle: &Arc<Handle>, core: &mut Core, record: Record) -> Result<Landing, Fault> {
        let beside = self.handle(&handle.name.quarantine_of());
        let mut beside_core = beside.lock_fresh(&*self.store)?;
        let mut steps = vec![Step::one(handle, core, record)];
        if let Some(state) = &beside_core.state {
            let end = Record { body: Body::Delete, ..Record::plain(state.id, state.tail, self.now()) };
            steps.push(Step::one(&beside, &mut beside_core, end));
        }
        Ok(self.stage(steps, None))
    }

    /// Notes a read. Only every tenth of the idle window does it reach the log, and nobody waits for that.
    pub(super) fn used(&self, handle: &Arc<Handle>) {
        let mut core = handle.lock();
        let now = self.now();
        core.used_at = core.used_at.max(now);
        if let Some(state) = core.state.as_ref().filter(|_| !core.stale && self.is_ready())
            && state.creation.lifetime.must_journal_use(state.used_at, now)
        {
            let record = Record { body: Body::Renew, ..Record::plain(state.id, state.tail, now) };
            drop(self.stage(vec![Step::one(handle, &mut core, record)], None));
        }
    }

    /// Looks after streams until the engine stops: ends those whose lifetime is over, forgets idle ones.
    pub async fn sweep(self, every: Duration) {
        let mut stopping = self.stopping();
        loop {
            tokio::select! {
                _ = stopping.wait_for(|stopping| *stopping) => return,
                () = tokio::time::sleep(every) => {}
            }
            let limited =
                |h: &Arc<Handle>| h.stream().is_some_and(|stream| stream.creation.lifetime != Lifetime::Unlimited);
            let held: Vec<Arc<Handle>> = self.streams.iter().map(|entry| entry.value().clone()).collect();
            for handle in held.iter().filter(|h| limited(h)) {
                if let Err(fault) = self.expire_if_over(handle).await {
                    tracing::warn!(stream.name = %handle.name, error = %fault, "an expired stream could not be ended");
                }
            }
            drop(held);
            self.forget_idle();
        }
    }

    /// Drops handles that nobody holds and nobody used lately; the store still knows their streams.
    fn forget_idle(&self) {
        let now = self.now();
        self.streams.retain(|_, handle| {
            // Somebody who holds it may be about to look up another handle, which this walk has locked.
            let Some(core) = handle.try_lock() else { return true };
            // Timers live in memory: a stream with a window is kept, so that its uses are not forgotten.
            let timed = core.state.as_ref().is_some_and(|state| state.creation.lifetime != Lifetime::Unlimited);
            let idle = now.since(core.used_at) >= self.settings.stream_idle || core.state.is_none();
            let held = Arc::strong_count(handle) > 1 || core.in_flight > 0;
            held || timed || !idle
        });
    }
}
