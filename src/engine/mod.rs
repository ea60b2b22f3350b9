//! Motion: loads a stream, lets the rules decide, stages what they decided, and tells everyone once it is durable.
//!
//! Owns order, fan-out and shutdown; knows neither status codes nor header names, nor which backend keeps the bytes.
//! Invariants: an answer is given only once everything it rests on is durable; a reader costs a cursor, never a queue.

mod check;
pub mod defaults;
pub mod entity;
pub mod evolution;
mod fault;
mod folded;
pub mod fork;
mod handle;
pub mod ingest;
pub mod inspect;
mod judge;
pub mod life;
pub mod live_check;
pub mod live_report;
pub mod migration;
mod pages;
mod quarantine;
mod read;
mod recent;
pub mod registry;
mod retention;
mod shed;
mod stage;
pub mod subscriptions;
mod sweep;
mod timers;
pub mod transfer;
mod typed;
pub mod verdict;
pub mod verify;
mod write;

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::{Semaphore, watch};

use crate::model::{Limits, StreamId, StreamName, Timestamp};
use crate::registry::Binding;
use crate::runtime::Clock;
use crate::storage::SharedStore;
pub use crate::storage::{Health, StoreStats};
use crate::stream::StreamState;

pub use defaults::{Filler, Reading};
pub use fault::{ChangeFault, Fault};
pub use folded::{CollectionSchema, FoldedItem, FoldedPage, Pin, Selection, Start};
pub use fork::{ForkFault, ForkRequest};
pub use handle::{Handle, Published, PublishedStream};
pub use read::{RawPage, Standing};
pub use shed::{Shed, Sheds};
pub use write::{AppendRequest, Appended, CreateRequest, Created};

/// What the engine needs to know besides its store.
#[derive(Clone, Debug)]
pub struct Settings {
    pub limits: Limits,
    /// Streams neither read nor written for so long give their memory back.
    pub stream_idle: Duration,
    /// How long one waits for a place among [`Limits::fold_loads_max`]; whoever waited behind them goes with them.
    pub fold_patience: Duration,
    pub subscriptions: subscriptions::SubscriptionSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            stream_idle: Duration::from_secs(300),
            fold_patience: Duration::from_secs(10),
            subscriptions: subscriptions::SubscriptionSettings::default(),
        }
    }
}

/// Pages read from the disk at the same time.
const PAGE_READS: usize = 4;

/// The running service. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

pub struct Inner {
    store: SharedStore,
    clock: Clock,
    settings: Settings,
    streams: DashMap<StreamName, Arc<Handle>>,
    registry: registry::RegistryHost,
    timers: timers::Timers,
    subscriptions: subscriptions::Subscriptions,
    migrations: migration::Migrations,
    in_flight_bytes: AtomicUsize,
    fold_loads: Semaphore,
    /// Turns at comparing documents, and at holding one against stored entities: both keep a core busy.
    schema_checks: Semaphore,
    live_reports: Semaphore,
    /// Turns at reading pages from the disk: each takes buffers, so readers take turns instead of memory.
    page_reads: Semaphore,
    pages: pages::Pages,
    /// As of the last look.
    folds_bytes: AtomicUsize,
    /// Above every position of every stream that is staged to go.
    start_floor: AtomicU64,
    started_at: Timestamp,
    stopping: watch::Sender<bool>,
    pub counters: Counters,
}

/// What has happened since start, for metrics.
#[derive(Debug, Default)]
pub struct Counters {
    pub appends: AtomicU64,
    pub changes: AtomicU64,
    pub duplicates: AtomicU64,
    pub refused_changes: AtomicU64,
    pub quarantined_changes: AtomicU64,
    pub warned_changes: AtomicU64,
    pub live_readers: AtomicU64,
    pub wakes: AtomicU64,
    pub wake_deliveries: AtomicU64,
    pub failed_wake_deliveries: AtomicU64,
    pub sheds: Sheds,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }
}

/// A live reader, which is a use of the stream for as long as this is held.
pub struct LiveReader {
    engine: Engine,
    handle: Arc<Handle>,
    stream: Option<StreamId>,
}

impl LiveReader {
    /// From now on it reads this stream, which was not there when it came.
    pub fn begin(&mut self, stream: StreamId) {
        self.handle.lock().enter(stream);
        self.stream = Some(stream);
    }
}

impl Drop for LiveReader {
    fn drop(&mut self) {
        self.engine.counters.live_readers.fetch_sub(1, Ordering::Relaxed);
        if let Some(stream) = self.stream {
            self.handle.leave(stream, self.engine.now());
        }
    }
}

impl Deref for Engine {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Engine {
    /// Starts on a recovered store; reads the logs of the registry and of the subscriptions before it returns.
    pub fn start(store: SharedStore, clock: Clock, settings: Settings) -> Result<Self, Fault> {
        let started_at = clock.now();
        let registry = registry::RegistryHost::load(&*store, started_at)?;
        let subscriptions = subscriptions::Subscriptions::load(&*store, started_at, &settings.subscriptions)?;
        let migrations = migration::Migrations::load(&*store)?;
        let engine = Self(Arc::new(Inner {
            store,
            clock,
            subscriptions,
            migrations,
            streams: DashMap::new(),
            registry,
            timers: timers::Timers::default(),
            in_flight_bytes: AtomicUsize::new(0),
            fold_loads: Semaphore::new(settings.limits.fold_loads_max),
            schema_checks: Semaphore::new(verdict::CHECKS_AT_ONCE),
            live_reports: Semaphore::new(live_report::REPORTS_AT_ONCE),
            page_reads: Semaphore::new(PAGE_READS),
            pages: pages::Pages::default(),
            folds_bytes: AtomicUsize::new(0),
            start_floor: AtomicU64::new(0),
            started_at,
            stopping: watch::Sender::new(false),
            counters: Counters::default(),
            settings,
        }));
        let rules: std::sync::Weak<Inner> = Arc::downgrade(&engine.0);
        engine.store.retain_by(rules);
        // Nothing may ever ask for them again, and they end all the same.
        for (stream, lifetime, used_at) in engine.store.limited() {
            engine.set_timer(stream, lifetime, used_at.max(started_at));
        }
        Ok(engine)
    }

    /// The handle of a name, whether or not such a stream exists.
    pub fn handle(&self, name: &StreamName) -> Arc<Handle> {
        if let Some(handle) = self.streams.get(name).map(|entry| entry.value().clone()) {
            return handle;
        }
        // The log knows uses by when they reached it, which may be a little later.
        let used_at =
            |state: &StreamState| self.timers.used_at(state.id).unwrap_or_else(|| state.used_at.max(self.started_at));
        let load = || Arc::new(Handle::load(name.clone(), &*self.store, used_at));
        self.streams.entry(name.clone()).or_insert_with(load).value().clone()
    }

    /// Gives the handle of a name back that turned out to name nothing: asking for it costs no memory.
    fn no_stream(&self, handle: Arc<Handle>) -> Fault {
        let name = handle.name.clone();
        drop(handle);
        self.streams.remove_if(&name, |_, handle| {
            let nothing = |core: &handle::Core| core.state.is_none() && core.in_flight == 0;
            Arc::strong_count(handle) == 1 && handle.try_lock().is_some_and(|core| nothing(&core))
        });
        Fault::NoStream(name)
    }

    /// Counts a live reader until what this gives is dropped. `stream` is `None` where nobody has written it yet. Busy
    /// where there are too many.
    pub fn live_reader(&self, handle: &Arc<Handle>, stream: Option<StreamId>) -> Result<LiveReader, Fault> {
        let readers_max = self.limits().live_readers_max as u64;
        // Counted first: what is dropped takes it back.
        let readers = self.counters.live_readers.fetch_add(1, Ordering::Relaxed);
        let mut reader = LiveReader { engine: self.clone(), handle: handle.clone(), stream: None };
        if readers >= readers_max {
            self.counters.sheds.count(Shed::LiveReaders);
            return Err(Fault::Busy { retry_after: Duration::from_secs(1) });
        }
        if let Some(stream) = stream {
            reader.begin(stream);
        }
        Ok(reader)
    }

    /// Ends live readers and lets no new ones begin. Writes go on until the server stops sending them.
    pub fn begin_stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Resolves when [`Engine::begin_stop`] was called.
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    /// Makes everything staged durable and closes the store.
    pub fn close(&self) {
        self.begin_stop();
        self.store.close();
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn limits(&self) -> &Limits {
        &self.settings.limits
    }

    pub fn health(&self) -> Health {
        self.store.health()
    }

    /// Whether writes are accepted.
    pub fn is_ready(&self) -> bool {
        self.health() == Health::Ready && !*self.stopping.borrow()
    }

    pub fn store_stats(&self) -> StoreStats {
        self.store.stats()
    }

    pub fn handles_held(&self) -> usize {
        self.streams.len()
    }

    /// What the newest changes of all streams took when it was last looked at, in bytes.
    pub fn folds_bytes(&self) -> usize {
        self.folds_bytes.load(Ordering::Relaxed)
    }

    /// The binding that applies to a name now.
    pub fn binding(&self, handle: &Handle) -> Option<Arc<Binding>> {
        self.binding_of(&handle.name, &mut handle.lock())
    }

    fn binding_of(&self, name: &StreamName, core: &mut handle::Core) -> Option<Arc<Binding>> {
        let (generation, registry) = self.registry.current_with_generation();
        match &core.binding {
            Some((known, binding)) if *known == generation => binding.clone(),
            _ => {
                let binding = registry.resolve(name).cloned();
                core.binding = Some((generation, binding.clone()));
                binding
            }
        }
    }

    /// Room for `bytes` more in flight, or why not.
    fn reserve(&self, core: &handle::Core, bytes: usize) -> Result<(), Fault> {
        let limits = self.limits();
        let retry_after = Duration::from_secs(1);
        // Staged and refused, it would cost the stream what memory holds of it.
        if self.health() == Health::Full {
            return Err(Fault::Full);
        }
        if core.in_flight_bytes > 0 && core.in_flight_bytes + bytes > limits.stream_in_flight_bytes_max {
            self.counters.sheds.count(Shed::StreamInFlight);
            return Err(Fault::StreamBusy { retry_after });
        }
        let held = self.in_flight_bytes.load(Ordering::Relaxed);
        if held > 0 && held + bytes > limits.in_flight_bytes_max {
            self.counters.sheds.count(Shed::InFlight);
            return Err(Fault::Busy { retry_after });
        }
        Ok(())
    }
}
