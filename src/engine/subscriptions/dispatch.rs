//! What happens by itself: streams that moved are looked at, wakes are made, delivered, tried again and ended.
//!
//! One task decides ([`Engine::dispatch`]); each delivery is a task of its own, at most one per subscription.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::task::JoinSet;

use crate::model::{ContentType, Position, StreamName, Timestamp};
use crate::protocol::subscription::{WakeEvent, WakeNotice, WakeWord};
use crate::subscription::{Delivery, Event, LinkKind, Retry, SubscriptionId, WebhookUrl, retry_delay};

use super::super::handle::Basis;
use super::super::write::AppendRequest;
use super::super::{Counters, Engine, Fault};
use super::{Core, Hosted, SubscriptionFault, new_wake_id};

/// Moments are looked at this often at least, because the clock may be set.
const TICK: Duration = Duration::from_millis(250);
const MOMENT: Duration = Duration::from_millis(1);
/// After a fault of the store.
const AGAIN: Duration = Duration::from_secs(1);
/// Longest reason that is kept of a failed delivery, in bytes.
const REASON_BYTES_MAX: usize = 256;

/// A wake on its way.
struct Parcel {
    wake_id: Arc<str>,
    /// The tails that a delivery tells of.
    tails: HashMap<StreamName, Position>,
    target: Target,
}

enum Target {
    Webhook { url: WebhookUrl, body: Bytes },
    Stream { name: StreamName, event: Bytes },
}

/// A delivery under way; however it ends, the subscription is looked at again.
struct OnTheWay<'d> {
    engine: &'d Engine,
    hosted: &'d Hosted,
}

impl Drop for OnTheWay<'_> {
    fn drop(&mut self) {
        self.hosted.core.lock().delivering = false;
        self.engine.subscriptions.kick(&self.hosted.id);
    }
}

impl Engine {
    /// Runs the subscriptions until the engine stops. Deliveries under way then are cut, and made again after a start.
    pub async fn dispatch(self) {
        let mut stopping = self.stopping();
        let mut deliveries = JoinSet::new();
        let mut looked_at = self.now();
        loop {
            self.catch_up().await;
            for id in self.to_look_at(&mut looked_at) {
                if let Some(hosted) = self.look_at(&id) {
                    deliveries.spawn(self.clone().deliver(hosted));
                }
            }
            while let Some(ended) = deliveries.try_join_next() {
                if let Err(error) = ended {
                    tracing::error!(%error, "a delivery failed in a way that it should not have");
                }
            }
            let next = self.subscriptions.due.lock().first().map(|(at, _)| *at);
            let nap = async {
                match next {
                    Some(at) => tokio::time::sleep(at.since(self.now()).clamp(Duration::from_millis(1), TICK)).await,
                    None => std::future::pending().await,
                }
            };
            let rung = tokio::select! {
                _ = stopping.wait_for(|stopping| *stopping) => return,
                () = self.subscriptions.bell.notified() => true,
                () = nap => false,
            };
            if rung {
                // Writers ring for every append: what moves within a moment is looked at together.
                tokio::time::sleep(MOMENT).await;
            }
        }
    }

    /// `last` is when this was asked before, and becomes the present.
    fn to_look_at(&self, last: &mut Timestamp) -> Vec<SubscriptionId> {
        let mut ids = std::mem::take(&mut *self.subscriptions.kicked.lock());
        let now = self.now();
        // Where the clock was set back, no moment means what it did.
        let set_back = now < std::mem::replace(last, now);
        let due = self.subscriptions.due.lock();
        ids.extend(due.iter().take_while(|(at, _)| set_back || *at <= now).map(|(_, id)| id.clone()));
        ids.into_iter().collect()
    }

    /// Notes what a stream's move means for the subscriptions that it belongs to, or now does.
    pub(super) fn stream_moved(&self, name: &StreamName, created: bool) {
        let mut ids = self.subscriptions.watched.lock().get(name).cloned().unwrap_or_default();
        if created {
            let table = self.subscriptions.table.read();
            let hosted: Vec<Arc<Hosted>> = table.values().cloned().collect();
            drop(table);
            for hosted in hosted {
                let core = hosted.core.lock();
                let concerned = core.state.as_ref().is_some_and(|state| {
                    // A wake stream made anew: the event that told of the wake went with the former one.
                    let waited_for = matches!(&state.config.delivery, Delivery::PullWake(stream) if stream == name);
                    state.config.wants(name) || (waited_for && state.wake.is_some())
                });
                if concerned {
                    ids.insert(hosted.id.clone());
                }
            }
        }
        if ids.is_empty() {
            return;
        }
        let head = self.head(name);
        for id in ids {
            let Some(hosted) = self.subscriptions.find(&id) else { continue };
            // Where this fails, everything is looked at again before anything else is decided.
            if let Ok(mut core) = self.fresh(&hosted) {
                self.note_head(&hosted, &mut core, name, head.map(|head| head.start), created);
            }
            self.subscriptions.kick(&id);
        }
    }

    fn note_head(
        &self,
        hosted: &Arc<Hosted>,
        core: &mut Core,
        name: &StreamName,
        start: Option<Position>,
        created: bool,
    ) {
        let Some(state) = &core.state else { return };
        let link = state.links.get(name);
        let event = match (start, link) {
            (None, Some(link)) if link.glob => Some(Event::Unlinked { kind: LinkKind::Glob, stream: name.clone() }),
            (Some(start), link) if state.config.wants(name) && !link.is_some_and(|link| link.glob) => {
                let max = self.settings.subscriptions.links_max;
                if link.is_none() && state.links.len() >= max {
                    tracing::warn!(subscription.id = %hosted.id, stream.name = %name, streams.max = max,
                        "the stream is left out: the subscription has as many as it may");
                    None
                } else {
                    // Linked before its first append, so that all of it is pending. Source: PROTOCOL.md §6.2.
                    Some(Event::Linked { kind: LinkKind::Glob, streams: vec![(name.clone(), start)] })
                }
            }
            _ => None,
        };
        let mut events = Vec::from_iter(event);
        if created
            && let Delivery::PullWake(wake_stream) = &state.config.delivery
            && wake_stream == name
            && let Some(wake) = state.wake.as_ref().filter(|wake| wake.holder.is_none())
            && wake.delivered
        {
            // Its event went with the former stream of that name: the next generation tells of it again.
            events.push(Event::Ended);
        }
        if !events.is_empty() && self.commit(hosted, core, &events).is_err() {
            core.behind = true;
            return;
        }
        self.update_pending(core, name);
    }

    /// Decides what time and pending work cause. Gives the subscription where its wake is to be delivered now.
    fn look_at(&self, id: &SubscriptionId) -> Option<Arc<Hosted>> {
        let hosted = self.subscriptions.find(id)?;
        let mut core = match self.fresh(&hosted) {
            Ok(core) => core,
            Err(SubscriptionFault::NotFound(_)) => return None,
            Err(fault) => {
                tracing::warn!(subscription.id = %id, error = %fault, "a subscription could not be looked at");
                let mut core = hosted.core.lock();
                self.subscriptions.schedule(&hosted, &mut core, Some(self.now().after(AGAIN)));
                return None;
            }
        };
        let now = self.now();
        if core.state.is_none() {
            // Who made it or ended it may have gone away meanwhile; what is still on its way to the disk decides.
            self.subscriptions.schedule(&hosted, &mut core, Some(now.after(AGAIN)));
            drop(core);
            self.retire_if_gone(&hosted);
            return None;
        }
        // A new wake would be delivered beside the one that is still on its way.
        let may_wake = !core.delivering;
        if let Err(fault) = self.move_with_time(&hosted, &mut core, may_wake, now) {
            tracing::warn!(subscription.id = %id, error = %fault, "a wake could not be written");
            self.subscriptions.schedule(&hosted, &mut core, Some(now.after(AGAIN)));
            return None;
        }
        let state = core.state.as_ref()?;
        let delivers = !core.delivering && state.wants_delivery(now) && self.courier().is_ok();
        let next = state.next_moment(!core.pending.is_empty());
        core.delivering |= delivers;
        // While a delivery is under way its end is what comes next; a moment that has passed would come at once.
        let next =
            next.filter(|at| *at > now || !core.delivering).map(|at| if at > now { at } else { now.after(TICK) });
        // What is staged may fail yet, with nobody left who waits for it.
        let unsettled = (hosted.log.lock().in_flight > 0).then(|| now.after(TICK));
        self.subscriptions.schedule(&hosted, &mut core, next.into_iter().chain(unsettled).min());
        drop(core);
        delivers.then_some(hosted)
    }

    /// Stages what time and pending work cause.
    fn move_with_time(
        &self,
        hosted: &Arc<Hosted>,
        core: &mut Core,
        may_wake: bool,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let Some(state) = &core.state else { return Ok(()) };
        let events = state.due(core.pending.first().filter(|_| may_wake), new_wake_id, now);
        if events.is_empty() {
            return Ok(());
        }
        // Whoever speaks of it waits for it.
        drop(self.commit(hosted, core, &events)?);
        if events.iter().any(|event| matches!(event, Event::Woken { .. })) {
            Counters::add(&self.counters.wakes, 1);
        }
        Ok(())
    }

    /// Delivers the current wake, once everything that it speaks of is durable, and notes what became of it.
    async fn deliver(self, hosted: Arc<Hosted>) {
        let _way = OnTheWay { engine: &self, hosted: &hosted };
        if let Ok(Some((parcel, outcome))) = self.send(&hosted).await {
            self.conclude_delivery(&hosted, &parcel, outcome).await;
        }
    }

    async fn send(&self, hosted: &Arc<Hosted>) -> Result<Option<(Parcel, Result<bool, String>)>, SubscriptionFault> {
        // An append is bounded by itself, and does not wait behind slow webhooks.
        let webhook = hosted.core.lock().state.as_ref().is_some_and(|state| state.config.is_webhook());
        let _place = match webhook {
            true => self.subscriptions.room.acquire().await.ok(),
            false => None,
        };
        let Some((parcel, basis)) = self.parcel(hosted)? else { return Ok(None) };
        self.settle(&hosted.log, basis).await?;
        Counters::add(&self.counters.wake_deliveries, 1);
        let outcome = match &parcel.target {
            Target::Webhook { url, body } => {
                let sent = self.courier()?.deliver(url, body.clone(), self.now());
                sent.await.map_err(|fault| fault.to_string())
            }
            Target::Stream { name, event } => {
                let request = AppendRequest {
                    content_type: Some(ContentType::json()),
                    producer: None,
                    stream_seq: None,
                    closes: false,
                    body: event.clone(),
                };
                match self.append(name, request).await {
                    // Accepted, but no reader of the stream sees it.
                    Ok(appended) if appended.quarantined > 0 => {
                        Err("wake stream: it quarantines the event".to_owned())
                    }
                    Ok(_) => Ok(false),
                    Err(fault) => Err(format!("wake stream: {fault}")),
                }
            }
        };
        Ok(Some((parcel, outcome)))
    }

    /// What to deliver now, and what that rests on; `None` where there is nothing any more.
    fn parcel(&self, hosted: &Arc<Hosted>) -> Result<Option<(Parcel, Basis)>, SubscriptionFault> {
        let mut core = self.fresh(hosted)?;
        let now = self.now();
        // It may have waited for longer than the lease of its wake. The next wake takes its place now: behind the
        // others once more, it might wait for ever.
        self.move_with_time(hosted, &mut core, true, now)?;
        let Some(state) = core.state.as_ref().filter(|state| state.wants_delivery(now)) else { return Ok(None) };
        let Some(wake) = &state.wake else { return Ok(None) };
        let (wake_id, id) = (wake.id.clone(), &hosted.id);
        let mut tails = HashMap::new();
        let target = match &state.config.delivery {
            Delivery::Webhook(url) => {
                let mut streams = Vec::new();
                for (stream, tail, reply) in self.wake_streams(&core, state) {
                    tails.insert(stream, tail);
                    streams.push(reply);
                }
                let notice = WakeNotice {
                    subscription_id: id.to_string(),
                    wake_id: wake_id.to_string(),
                    generation: state.generation,
                    streams,
                    callback_url: self.callback_url(id),
                    callback_token: self.token(id, state.generation, &wake_id)?,
                };
                Target::Webhook { url: url.clone(), body: json(&notice) }
            }
            Delivery::PullWake(name) => {
                let event = WakeEvent {
                    r#type: WakeWord::Wake,
                    subscription_id: id.to_string(),
                    stream: wake.stream.to_string(),
                    generation: state.generation,
                    ts: now.as_millis(),
                };
                Target::Stream { name: name.clone(), event: json(&event) }
            }
        };
        let basis = hosted.log.basis(&hosted.log.lock());
        core.heard = false;
        Ok(Some((Parcel { wake_id, tails, target }, basis)))
    }

    /// Where the worker of a subscription calls back.
    fn callback_url(&self, id: &SubscriptionId) -> String {
        const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
        let (base, id) = (&self.settings.subscriptions.public_url, utf8_percent_encode(id.as_str(), KEPT));
        format!("{base}/v1/stream/__ds/subscriptions/{id}/callback")
    }

    async fn conclude_delivery(&self, hosted: &Arc<Hosted>, parcel: &Parcel, outcome: Result<bool, String>) {
        if let Err(reason) = &outcome {
            Counters::add(&self.counters.failed_wake_deliveries, 1);
            tracing::warn!(subscription.id = %hosted.id, wake.id = %parcel.wake_id, reason, "a wake could not be delivered");
        }
        let staged = match self.fresh(hosted) {
            Err(fault) => Err(fault),
            Ok(mut core) => match self.outcome_event(&core, parcel, &outcome) {
                None => return,
                Some(event) => {
                    let staged = self.commit(hosted, &mut core, std::slice::from_ref(&event));
                    if let Event::Done { acks } = &event {
                        acks.iter().for_each(|(stream, _)| self.update_pending(&mut core, stream));
                    }
                    staged.map_err(Into::into)
                }
            },
        };
        let durable: Result<(), SubscriptionFault> = match staged {
            Ok(landing) => landing.durable().await.map_err(Into::into),
            Err(fault) => Err(fault),
        };
        if let Err(fault) = durable {
            // The wake is as it was before, so it is delivered again: workers are told at least once.
            tracing::warn!(subscription.id = %hosted.id, error = %fault, "what became of a delivery could not be written");
            tokio::time::sleep(AGAIN).await;
        }
    }

    fn outcome_event(&self, core: &Core, parcel: &Parcel, outcome: &Result<bool, String>) -> Option<Event> {
        let state = core.state.as_ref()?;
        let now = self.now();
        let current = state.wake.as_ref().filter(|wake| wake.id == parcel.wake_id);
        let in_time = current.is_some_and(|wake| !wake.is_over(now));
        match outcome {
            Ok(true) if in_time => {
                let moved = |(stream, link): (&StreamName, &crate::subscription::Link)| {
                    let tail = *parcel.tails.get(stream)?;
                    (tail > link.acked).then(|| (stream.clone(), tail))
                };
                Some(Event::Done { acks: state.links.iter().filter_map(moved).collect() })
            }
            // Told after its lease, it advances nothing; but the worker can be reached.
            Ok(_) => {
                let news = state.retry.is_some() || current.is_some_and(|wake| !wake.delivered);
                news.then_some(Event::Delivered)
            }
            // A worker that has spoken was reached, whatever its answer was; also where it has ended the wake.
            Err(_) if core.heard || current.is_some_and(|wake| wake.delivered) => None,
            Err(reason) => Some(Event::Failed(self.retry_of(state.retry.as_ref(), reason, now))),
        }
    }

    fn retry_of(&self, former: Option<&Retry>, reason: &str, now: Timestamp) -> Retry {
        let failures = former.map_or(0, |retry| retry.failures).saturating_add(1);
        let mut end = reason.len().min(REASON_BYTES_MAX);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        Retry {
            failures,
            next_attempt_at: now.after(retry_delay(failures, fastrand::f64())),
            reason: Arc::from(&reason[..end]),
        }
    }
}

fn json(value: &impl serde::Serialize) -> Bytes {
    serde_json::to_vec(value).expect("structs with text keys are JSON").into()
}
