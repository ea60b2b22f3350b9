//! Making, showing and ending subscriptions, and which streams belong to them. Source: PROTOCOL.md §6.2 to §6.4.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;

use crate::model::StreamName;
use crate::stream::{Body, Record};
use crate::subscription::{Config, Event, Head, Link, LinkKind, Subscription, SubscriptionId};

use super::super::handle::{Basis, Handle};
use super::super::stage::Step;
use super::super::{Engine, Fault};
use super::{Core, Hosted, SubscriptionFault};

/// A subscription as it is durably, and where its streams begin and end, in the order of its links.
#[derive(Debug)]
pub struct SubscriptionView {
    pub subscription: Subscription,
    pub heads: Vec<Option<Head>>,
}

impl Engine {
    /// Makes a subscription, or confirms that it exists as asked. True where it is new.
    pub async fn subscribe(
        &self,
        id: &SubscriptionId,
        config: Config,
    ) -> Result<(SubscriptionView, bool), SubscriptionFault> {
        self.courier()?;
        loop {
            let hosted = self.hosted(id)?;
            let _again = self.subscriptions.looks_again(id);
            hosted.log.quiet_if_going(&*self.store).await?;
            match self.confirm(&hosted, &config) {
                Ok(Some((view, basis))) => {
                    self.settle(&hosted.log, basis).await?;
                    return view.map(|view| (view, false));
                }
                Ok(None) => {}
                // Let go of meanwhile.
                Err(SubscriptionFault::NotFound(_)) => continue,
                Err(fault) => return Err(fault),
            }
            match self.make(&hosted, &config).await {
                Ok(Some(view)) => return Ok((view, true)),
                Ok(None) => {}
                Err(fault) => {
                    self.retire_if_gone(&hosted);
                    return Err(fault);
                }
            }
        }
    }

    fn hosted(&self, id: &SubscriptionId) -> Result<Arc<Hosted>, SubscriptionFault> {
        let mut table = self.subscriptions.table.write();
        if let Some(hosted) = table.get(id) {
            return Ok(hosted.clone());
        }
        let max = self.settings.subscriptions.subscriptions_max;
        if table.len() >= max {
            return Err(SubscriptionFault::TooMany { max });
        }
        // From here on appends are noted; those before are seen when its streams are looked at.
        self.subscriptions.active.store(true, Ordering::SeqCst);
        let name = StreamName::subscription(id.as_str());
        let log = Arc::new(Handle::load(name, &*self.store, |_| self.started_at));
        let hosted = Arc::new(Hosted { id: id.clone(), log, core: Mutex::new(Core::of(None, 0, 0)) });
        table.insert(id.clone(), hosted.clone());
        Ok(hosted)
    }

    /// Forgets an id under which nothing stands.
    pub(super) fn retire_if_gone(&self, hosted: &Arc<Hosted>) {
        let mut table = self.subscriptions.table.write();
        let mut core = hosted.core.lock();
        let settled = self.reload_if_stale(hosted, &mut core).is_ok() && hosted.log.lock().in_flight == 0;
        if settled && core.state.is_none() && !core.retired {
            self.subscriptions.schedule(hosted, &mut core, None);
            core.retired = true;
            table.remove(&hosted.id);
            self.subscriptions.active.store(!table.is_empty(), Ordering::SeqCst);
        }
    }

    #[expect(clippy::type_complexity, reason = "what is told, and what it rests on")]
    fn confirm(
        &self,
        hosted: &Arc<Hosted>,
        config: &Config,
    ) -> Result<Option<(Result<SubscriptionView, SubscriptionFault>, Basis)>, SubscriptionFault> {
        let core = self.fresh(hosted)?;
        let Some(state) = &core.state else { return Ok(None) };
        let basis = hosted.log.basis(&hosted.log.lock());
        let view = match state.config.fingerprint() == config.fingerprint() {
            true => Ok(self.view_of(state)),
            false => Err(SubscriptionFault::Exists(hosted.id.clone())),
        };
        Ok(Some((view, basis)))
    }

    /// `None` where somebody else was faster.
    async fn make(
        &self,
        hosted: &Arc<Hosted>,
        config: &Config,
    ) -> Result<Option<SubscriptionView>, SubscriptionFault> {
        let mut state = Subscription::new(hosted.id.clone(), config.clone(), self.now());
        state.links = self.backfill(config)?;
        let view = self.view_of(&state);
        let landing = {
            let mut core = match self.fresh(hosted) {
                Err(SubscriptionFault::NotFound(_)) => return Ok(None),
                core => core?,
            };
            if core.state.is_some() || hosted.log.lock().in_flight > 0 {
                return Ok(None);
            }
            let landing = self.commit(hosted, &mut core, &[Event::State(Box::new(state))])?;
            // Streams may have moved since they were looked at above.
            core.behind = true;
            landing
        };
        landing.durable().await?;
        Ok(Some(view))
    }

    /// The streams of a new subscription, each at its current tail: it replays nothing.
    fn backfill(&self, config: &Config) -> Result<BTreeMap<StreamName, Link>, SubscriptionFault> {
        let mut links = BTreeMap::new();
        let at_tail = |kind, head: Option<Head>| Link::new(kind, head.map_or(0, |head| head.tail));
        for stream in &config.streams {
            links.insert(stream.clone(), at_tail(LinkKind::Explicit, self.head(stream)));
        }
        let max = self.settings.subscriptions.links_max;
        self.each_match(config, |stream| {
            if let Some(head) = self.head(&stream) {
                links.entry(stream).or_insert_with(|| at_tail(LinkKind::Glob, Some(head))).glob = true;
            }
            links.len() <= max
        });
        match links.len() > max {
            true => Err(SubscriptionFault::TooManyLinks { max }),
            false => Ok(links),
        }
    }

    /// Shows every stream that the pattern matches, as long as `take` wants more.
    fn each_match(&self, config: &Config, mut take: impl FnMut(StreamName) -> bool) {
        let Some(pattern) = &config.pattern else { return };
        // The slash before a `**` belongs to it: `a/**` also matches `a`.
        let prefix = pattern.as_str()[..pattern.literal_prefix_len()].trim_end_matches('/');
        let mut after = None::<StreamName>;
        loop {
            let names = self.store.list(prefix, after.as_ref().map(StreamName::as_str), 1_000);
            let Some(last) = names.last() else { return };
            after = Some(last.clone());
            for name in names.into_iter().filter(|name| config.wants(name)) {
                if !take(name) {
                    return;
                }
            }
        }
    }

    /// Looks at every stream of a subscription anew: after a start, a creation or a failure, nobody noted what moved.
    pub(super) fn resync(&self, hosted: &Arc<Hosted>, core: &mut Core) -> Result<(), SubscriptionFault> {
        let Some(state) = core.state.clone() else {
            core.behind = false;
            return Ok(());
        };
        let mut events = Vec::new();
        for (stream, link) in &state.links {
            if link.glob && self.head(stream).is_none() {
                events.push(Event::Unlinked { kind: LinkKind::Glob, stream: stream.clone() });
            }
        }
        let room = self.settings.subscriptions.links_max.saturating_sub(state.links.len() - events.len());
        let mut found = Vec::new();
        self.each_match(&state.config, |stream| {
            if !state.links.get(&stream).is_some_and(|link| link.glob)
                && let Some(head) = self.head(&stream)
            {
                // It was made while nobody looked, so all of it is news.
                found.push((stream, head.start));
            }
            if found.len() > room {
                tracing::warn!(subscription.id = %hosted.id, "streams are left out: the subscription has as many as it may");
                found.truncate(room);
                return false;
            }
            true
        });
        if !found.is_empty() {
            events.push(Event::Linked { kind: LinkKind::Glob, streams: found });
        }
        if !events.is_empty() {
            // Nobody is told of it here; whoever speaks of what follows waits for this as well.
            drop(self.commit(hosted, core, &events)?);
        }
        core.behind = false;
        let links = core.state.iter().flat_map(|state| &state.links);
        let pending = links.filter(|(stream, link)| link.has_pending(self.head(stream)));
        core.pending = pending.map(|(stream, _)| stream.clone()).collect();
        Ok(())
    }

    /// A subscription as it is durably.
    pub async fn subscription(&self, id: &SubscriptionId) -> Result<SubscriptionView, SubscriptionFault> {
        let hosted = self.known(id)?;
        self.catch_up().await;
        let (view, basis) = {
            let core = self.fresh(&hosted)?;
            let basis = hosted.log.basis(&hosted.log.lock());
            (core.state.as_ref().map(|state| self.view_of(state)), basis)
        };
        self.settle(&hosted.log, basis).await?;
        view.ok_or_else(|| SubscriptionFault::NotFound(id.clone()))
    }

    pub(super) fn known(&self, id: &SubscriptionId) -> Result<Arc<Hosted>, SubscriptionFault> {
        self.subscriptions.find(id).ok_or_else(|| SubscriptionFault::NotFound(id.clone()))
    }

    fn view_of(&self, state: &Subscription) -> SubscriptionView {
        let heads = state.links.keys().map(|stream| self.head(stream)).collect();
        SubscriptionView { subscription: state.clone(), heads }
    }

    /// Ends a subscription: its wake is over, and nothing moves its cursors any more.
    pub async fn unsubscribe(&self, id: &SubscriptionId) -> Result<(), SubscriptionFault> {
        let hosted = self.known(id)?;
        // Where it fails, the subscription goes on.
        let _again = self.subscriptions.looks_again(id);
        let decided = {
            // On a full disk, what its streams did could not be written, and it could not go either.
            let mut core = self.staged(&hosted)?;
            let mut log = hosted.log.lock();
            if log.stale {
                return Err(Fault::Busy { retry_after: Duration::from_secs(1) }.into());
            }
            match (core.state.take(), &log.state) {
                (Some(state), Some(stored)) => {
                    self.subscriptions.unwatch(id, state.links.keys());
                    self.subscriptions.schedule(&hosted, &mut core, None);
                    core.pending.clear();
                    // What is on its way says nothing about the next one of the name.
                    core.heard = true;
                    let record = Record { body: Body::Delete, ..Record::plain(stored.id, stored.tail, self.now()) };
                    Ok(self.stage(vec![Step::one(&hosted.log, &mut log, record)], None))
                }
                _ => Err(hosted.log.basis(&log)),
            }
        };
        match decided {
            Ok(landing) => {
                let outcome = landing.durable().await;
                self.retire_if_gone(&hosted);
                Ok(outcome?)
            }
            Err(basis) => {
                self.settle(&hosted.log, basis).await?;
                Err(SubscriptionFault::NotFound(id.clone()))
            }
        }
    }

    /// Adds streams explicitly, each at its current tail. One that belongs to it already keeps its cursor.
    pub async fn link(&self, id: &SubscriptionId, streams: Vec<StreamName>) -> Result<(), SubscriptionFault> {
        self.membership(id, |state| {
            let new = streams.into_iter().filter(|stream| !state.links.get(stream).is_some_and(|link| link.explicit));
            let new: BTreeMap<StreamName, u64> = new
                .map(|stream| {
                    let tail = self.head(&stream).map_or(0, |head| head.tail);
                    (stream, tail)
                })
                .collect();
            let max = self.settings.subscriptions.links_max;
            let added = new.keys().filter(|stream| !state.links.contains_key(*stream)).count();
            if state.links.len() + added > max {
                return Err(SubscriptionFault::TooManyLinks { max });
            }
            let streams: Vec<_> = new.into_iter().collect();
            Ok((!streams.is_empty()).then_some(Event::Linked { kind: LinkKind::Explicit, streams }))
        })
        .await
    }

    /// Takes an explicit link away; a matching pattern keeps the stream.
    pub async fn unlink(&self, id: &SubscriptionId, stream: &StreamName) -> Result<(), SubscriptionFault> {
        self.membership(id, |state| {
            let explicit = state.links.get(stream).is_some_and(|link| link.explicit);
            Ok(explicit.then(|| Event::Unlinked { kind: LinkKind::Explicit, stream: stream.clone() }))
        })
        .await
    }

    async fn membership(
        &self,
        id: &SubscriptionId,
        decide: impl FnOnce(&Subscription) -> Result<Option<Event>, SubscriptionFault>,
    ) -> Result<(), SubscriptionFault> {
        let hosted = self.known(id)?;
        let _again = self.subscriptions.looks_again(id);
        self.catch_up().await;
        let decided = {
            let mut core = self.fresh(&hosted)?;
            let state = core.state.as_ref().ok_or_else(|| SubscriptionFault::NotFound(id.clone()))?;
            match decide(state)? {
                Some(event) => {
                    let landing = self.commit(&hosted, &mut core, std::slice::from_ref(&event))?;
                    match &event {
                        Event::Unlinked { stream, .. } => self.update_pending(&mut core, stream),
                        Event::Linked { streams, .. } => {
                            // What was appended between reading the tails and here was not noted.
                            streams.iter().for_each(|(stream, _)| self.update_pending(&mut core, stream));
                        }
                        _ => {}
                    }
                    Ok(landing)
                }
                None => Err(hosted.log.basis(&hosted.log.lock())),
            }
        };
        match decided {
            Ok(landing) => landing.durable().await?,
            Err(basis) => self.settle(&hosted.log, basis).await?,
        }
        Ok(())
    }

    /// Looks anew whether a stream has work for a subscription.
    pub(super) fn update_pending(&self, core: &mut Core, stream: &StreamName) {
        let link = core.state.as_ref().and_then(|state| state.links.get(stream));
        match link.is_some_and(|link| link.has_pending(self.head(stream))) {
            true => core.pending.insert(stream.clone()),
            false => core.pending.remove(stream),
        };
    }
}
