//! The running subscriptions: each decides on its staged state, logs every step, and acts on it once it is durable.
//!
//! A subscription's log is an internal stream of its own, so cursors, generations, leases and retries survive whatever
//! the data survives. Streams that move are only noted by the committer (`Subscriptions::note`); everything else
//! happens in [`Engine::dispatch`] and the tasks it starts, and in requests.
//!
//! Invariants: a wake is delivered, and a request answered, only after everything it rests on is durable; what is
//! noted is bounded by the number of streams; where there are no subscriptions, an append pays for one load.

mod courier;
mod dispatch;
mod log;
mod membership;
mod wakes;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, MutexGuard, RwLock};
use tokio::sync::{Notify, Semaphore};

use crate::model::{Position, StreamName, Timestamp};
use crate::storage::Store;
use crate::stream::{Body, Record};
use crate::subscription::{AckFault, Fenced, Head, Subscription, SubscriptionId};

use super::handle::Handle;
use super::{Engine, Fault};

pub use courier::{Courier, DeliveryFault, PublicKey, SharedCourier};
pub use membership::SubscriptionView;
pub use wakes::{AckRequest, Channel, Claimed, Speaker};

/// Bounds on subscriptions, and what they must know of the outside.
#[derive(Clone, Debug)]
pub struct SubscriptionSettings {
    /// Subscriptions of the server; beyond it 429.
    pub subscriptions_max: usize,
    /// Streams of one subscription; beyond it 429, or a matching stream is left out and logged.
    pub links_max: usize,
    /// Deliveries at the same time.
    pub deliveries_max: usize,
    /// Streams listed in one wake, those with pending work first. The others follow in the next wake.
    pub wake_streams_max: usize,
    /// Whether webhooks may name this host, for development.
    pub localhost_allowed: bool,
    /// Where workers reach the server: scheme, authority and perhaps a path, without a slash at the end.
    pub public_url: Arc<str>,
}

impl Default for SubscriptionSettings {
    fn default() -> Self {
        Self {
            subscriptions_max: 10_000,
            links_max: 10_000,
            deliveries_max: 64,
            wake_streams_max: 1_000,
            localhost_allowed: false,
            public_url: Arc::from("http://127.0.0.1:4437"),
        }
    }
}

/// Why a subscription's request was refused. Nothing was written, but for what [`Fault::Unknown`] says.
#[derive(Debug, thiserror::Error)]
pub enum SubscriptionFault {
    /// 404.
    #[error("there is no subscription {0}")]
    NotFound(SubscriptionId),
    /// 409.
    #[error("subscription {0} exists with another configuration")]
    Exists(SubscriptionId),
    /// 429. Succeeds once others are gone.
    #[error("the server has {max} subscriptions already")]
    TooMany { max: usize },
    /// 429.
    #[error("a subscription has at most {max} streams")]
    TooManyLinks { max: usize },
    /// The call belongs to the other type of subscription. 400.
    #[error("that is not for {0} subscriptions")]
    WrongType(&'static str),
    /// Not made by this server, or for another subscription. 401.
    #[error("the token is not one of this subscription")]
    Token,
    /// 409.
    #[error(transparent)]
    Fenced(#[from] Fenced),
    /// Another worker holds the lease. 409; succeeds once it is over.
    #[error("{holder} holds the lease")]
    Claimed { holder: String, generation: u64 },
    /// 409; succeeds once there is.
    #[error("there is no pending work")]
    NothingPending,
    /// 409.
    #[error(transparent)]
    Ack(#[from] AckFault),
    /// The server was started without what delivers wakes. 501.
    #[error("this server delivers no wakes")]
    Off,
    #[error(transparent)]
    Engine(#[from] Fault),
}

/// All subscriptions, and what has happened that they must look at.
pub struct Subscriptions {
    /// Whether there may be any: what an append looks at.
    active: AtomicBool,
    table: RwLock<HashMap<SubscriptionId, Arc<Hosted>>>,
    /// Which subscriptions a stream belongs to. May name one that it no longer belongs to, never miss one.
    watched: Mutex<HashMap<StreamName, HashSet<SubscriptionId>>>,
    /// Streams that moved since they were last looked at, and whether they were created meanwhile.
    moved: Mutex<HashMap<StreamName, bool>>,
    /// Held while what moved is looked at, so that a request can wait until that is done.
    turn: tokio::sync::Mutex<()>,
    /// Subscriptions to look at now, and later.
    kicked: Mutex<HashSet<SubscriptionId>>,
    due: Mutex<BTreeSet<(Timestamp, SubscriptionId)>>,
    bell: Notify,
    /// Room for deliveries.
    room: Semaphore,
    courier: OnceLock<SharedCourier>,
}

/// One subscription, or an id that may become one.
pub(super) struct Hosted {
    id: SubscriptionId,
    /// Its log.
    log: Arc<Handle>,
    core: Mutex<Core>,
}

/// What is decided on. Locked briefly, never across an `.await`; locked before the log's own core.
struct Core {
    /// Staged state; `None` where it is not staged to exist.
    state: Option<Subscription>,
    /// Streams with work that nobody has acked, as far as what moved has been looked at.
    pending: BTreeSet<StreamName>,
    /// Where the last whole state in the log lies, and how many entries follow it.
    base: Position,
    entries: usize,
    /// A task is delivering its wake.
    delivering: bool,
    /// The worker has spoken since that delivery left, so it was reached.
    heard: bool,
    /// Its entry in [`Subscriptions::due`].
    due: Option<Timestamp>,
    /// Streams may have moved without a note: after a start, a failure, a creation. Looked at before anything else.
    behind: bool,
    /// Not in the table any more.
    retired: bool,
}

impl Core {
    fn of(state: Option<Subscription>, base: Position, entries: usize) -> Self {
        let behind = state.is_some();
        let (delivering, heard, due, retired) = (false, false, None, false);
        Self { state, pending: BTreeSet::new(), base, entries, delivering, heard, due, behind, retired }
    }
}

/// Has a subscription looked at when this goes: however a request ends, also where its client has gone away while it
/// waited for the disk. What it staged goes on without it, and nobody else would see what follows from that.
struct LooksAgain<'e> {
    subscriptions: &'e Subscriptions,
    id: &'e SubscriptionId,
}

impl Drop for LooksAgain<'_> {
    fn drop(&mut self) {
        self.subscriptions.kick(self.id);
    }
}

impl Subscriptions {
    /// Reads the logs of all subscriptions.
    pub(super) fn load(
        store: &dyn Store,
        started_at: Timestamp,
        settings: &SubscriptionSettings,
    ) -> Result<Self, Fault> {
        let host = Self {
            active: AtomicBool::new(false),
            table: RwLock::default(),
            watched: Mutex::default(),
            moved: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            kicked: Mutex::default(),
            due: Mutex::default(),
            bell: Notify::new(),
            room: Semaphore::new(settings.deliveries_max),
            courier: OnceLock::new(),
        };
        let prefix = StreamName::subscriptions();
        let mut after = None::<StreamName>;
        loop {
            let names = store.list(&prefix, after.as_ref().map(StreamName::as_str), 1_000);
            let Some(last) = names.last() else { break };
            after = Some(last.clone());
            for name in names {
                let id = name.as_str().strip_prefix(&prefix).and_then(SubscriptionId::parse);
                let id = id.ok_or_else(|| Fault::Storage(format!("subscription log {name:?}")))?;
                let log = Arc::new(Handle::load(name, store, |_| started_at));
                let (state, base, entries) = log::read(store, log.stream().as_ref())?;
                if let Some(state) = &state {
                    host.watch(state);
                }
                let core = Mutex::new(Core::of(state, base, entries));
                host.kicked.lock().insert(id.clone());
                host.table.write().insert(id.clone(), Arc::new(Hosted { id, log, core }));
            }
        }
        host.active.store(!host.table.read().is_empty(), Ordering::SeqCst);
        Ok(host)
    }

    /// Called by the committer, right after a record was published. Must be short.
    pub(super) fn note(&self, name: &StreamName, record: &Record) {
        if !self.active.load(Ordering::SeqCst) || name.is_internal() {
            return;
        }
        let created = match record.body {
            Body::Create(_) => true,
            Body::Delete | Body::Expire | Body::SoftDelete => false,
            _ if record.count > 0 => false,
            _ => return,
        };
        *self.moved.lock().entry(name.clone()).or_default() |= created;
        self.bell.notify_one();
    }

    fn watch(&self, state: &Subscription) {
        let mut watched = self.watched.lock();
        for stream in state.links.keys() {
            watched.entry(stream.clone()).or_default().insert(state.id.clone());
        }
    }

    fn unwatch<'a>(&self, id: &SubscriptionId, streams: impl Iterator<Item = &'a StreamName>) {
        let mut watched = self.watched.lock();
        for stream in streams {
            if let Some(ids) = watched.get_mut(stream) {
                ids.remove(id);
                if ids.is_empty() {
                    watched.remove(stream);
                }
            }
        }
    }

    fn find(&self, id: &SubscriptionId) -> Option<Arc<Hosted>> {
        self.table.read().get(id).cloned()
    }

    /// Has a subscription looked at now.
    fn kick(&self, id: &SubscriptionId) {
        self.kicked.lock().insert(id.clone());
        self.bell.notify_one();
    }

    fn looks_again<'e>(&'e self, id: &'e SubscriptionId) -> LooksAgain<'e> {
        LooksAgain { subscriptions: self, id }
    }

    /// Has a subscription looked at later, and not at the moment set before.
    fn schedule(&self, hosted: &Hosted, core: &mut Core, at: Option<Timestamp>) {
        // Nobody would find it, nor take its moment away again.
        let at = at.filter(|_| !core.retired);
        if core.due == at {
            return;
        }
        let mut due = self.due.lock();
        if let Some(former) = core.due.take() {
            due.remove(&(former, hosted.id.clone()));
        }
        if let Some(at) = at {
            due.insert((at, hosted.id.clone()));
        }
        core.due = at;
    }
}

impl Engine {
    /// Gives the subscriptions what delivers their wakes. Only the first one counts; until then they are refused.
    pub fn deliver_by(&self, courier: SharedCourier) {
        let _ = self.subscriptions.courier.set(courier);
    }

    pub fn courier(&self) -> Result<&SharedCourier, SubscriptionFault> {
        self.subscriptions.courier.get().ok_or(SubscriptionFault::Off)
    }

    pub fn subscriptions_held(&self) -> usize {
        self.subscriptions.table.read().len()
    }

    pub fn subscription_settings(&self) -> &SubscriptionSettings {
        &self.settings.subscriptions
    }

    /// Where a stream begins and ends, durably; `None` where there is no such stream. Loads no handle for it.
    /// A fork begins where its own data does: what it inherits is no news.
    fn head(&self, name: &StreamName) -> Option<Head> {
        let held = self.streams.get(name).map(|entry| entry.value().clone());
        match held {
            Some(handle) => {
                handle.stream().map(|stream| Head { start: stream.creation.own_start(), tail: stream.tail })
            }
            None => {
                let state = self.store.find(name).and_then(|id| self.store.load(id))?;
                let seen = !state.soft_deleted;
                seen.then(|| Head { start: state.creation.own_start(), tail: state.tail })
            }
        }
    }

    /// The staged state, read again where a failure has made it stale, and with nothing left unlooked at.
    fn fresh<'h>(&self, hosted: &'h Arc<Hosted>) -> Result<MutexGuard<'h, Core>, SubscriptionFault> {
        let mut core = self.staged(hosted)?;
        if core.behind {
            self.resync(hosted, &mut core)?;
        }
        Ok(core)
    }

    /// As [`Engine::fresh`], for who does not ask which streams have moved: it writes nothing.
    fn staged<'h>(&self, hosted: &'h Arc<Hosted>) -> Result<MutexGuard<'h, Core>, SubscriptionFault> {
        let mut core = hosted.core.lock();
        if core.retired {
            return Err(SubscriptionFault::NotFound(hosted.id.clone()));
        }
        self.reload_if_stale(hosted, &mut core)?;
        Ok(core)
    }

    fn reload_if_stale(&self, hosted: &Hosted, core: &mut Core) -> Result<(), Fault> {
        let stale = hosted.log.lock().stale;
        if stale {
            drop(hosted.log.lock_fresh(&*self.store)?);
            let (state, base, entries) = log::read(&*self.store, hosted.log.stream().as_ref())?;
            if let Some(state) = &state {
                self.subscriptions.watch(state);
            }
            let (delivering, heard, due) = (core.delivering, core.heard, core.due);
            *core = Core { delivering, heard, due, ..Core::of(state, base, entries) };
        }
        Ok(())
    }

    /// Looks at everything that has moved, so that what follows knows of every append that was answered before it.
    async fn catch_up(&self) {
        let _turn = self.subscriptions.turn.lock().await;
        let moved = std::mem::take(&mut *self.subscriptions.moved.lock());
        for (name, created) in moved {
            self.stream_moved(&name, created);
        }
    }
}

/// An id for a wake that no other wake of any subscription has.
fn new_wake_id() -> String {
    format!("w_{:032x}", fastrand::u128(..))
}
