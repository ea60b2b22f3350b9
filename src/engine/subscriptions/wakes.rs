//! What workers ask for: the wake, more time, the end of it. Source: PROTOCOL.md §7.1 to §7.3.

use std::sync::Arc;

use subtle::ConstantTimeEq;

use crate::model::{Position, StreamName};
use crate::protocol::subscription::StreamReply;
use crate::subscription::{Ack, Event, Fence, Subscription, SubscriptionId, Wake};

use super::super::Engine;
use super::super::handle::Basis;
use super::super::stage::Landing;
use super::{Core, Hosted, SubscriptionFault, new_wake_id};

/// Which type of subscription a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    Webhook,
    PullWake,
}

/// Whom a request speaks for.
#[derive(Clone, Debug)]
pub struct Speaker {
    /// The bearer token that a wake was given.
    pub token: String,
    pub generation: u64,
    pub wake_id: String,
}

/// How far a worker has come.
#[derive(Clone, Debug)]
pub struct AckRequest {
    pub speaker: Speaker,
    pub acks: Vec<Ack>,
    /// Whether the wake is over.
    pub done: bool,
}

/// The wake that a worker holds now. Durable.
#[derive(Debug)]
pub struct Claimed {
    pub wake_id: Arc<str>,
    pub generation: u64,
    pub token: String,
    pub streams: Vec<StreamReply>,
    pub lease_ttl_ms: u64,
}

/// What was decided under the lock: staged, or told once what it rests on is durable.
type Decided = Result<Landing, (SubscriptionFault, Basis)>;

impl Engine {
    /// Gives a worker the wake, if no other holds it and work is pending.
    pub async fn claim(&self, id: &SubscriptionId, worker: &str) -> Result<Claimed, SubscriptionFault> {
        self.courier()?;
        let hosted = self.known(id)?;
        let _again = self.subscriptions.looks_again(id);
        self.catch_up().await;
        let (decided, claimed) = {
            let mut core = self.fresh(&hosted)?;
            let decision = self.decide_claim(&core, id, worker);
            let decided = self.stage_decision(&hosted, &mut core, decision)?;
            // Looked at later, it might be another worker's.
            let claimed = core.state.as_ref().and_then(|state| Some((state, state.wake.as_ref()?)));
            let claimed = claimed.map(|(state, wake)| self.claimed(&core, state, wake)).transpose()?;
            (decided, claimed)
        };
        self.told(&hosted, decided).await?;
        claimed.ok_or(SubscriptionFault::NothingPending)
    }

    fn claimed(&self, core: &Core, state: &Subscription, wake: &Wake) -> Result<Claimed, SubscriptionFault> {
        Ok(Claimed {
            wake_id: wake.id.clone(),
            generation: state.generation,
            token: self.token(&state.id, state.generation, &wake.id)?,
            streams: self.wake_streams(core, state).into_iter().map(|(_, _, reply)| reply).collect(),
            lease_ttl_ms: u64::try_from(state.lease_ttl().as_millis()).unwrap_or(u64::MAX),
        })
    }

    fn decide_claim(&self, core: &Core, id: &SubscriptionId, worker: &str) -> Result<Vec<Event>, SubscriptionFault> {
        let state = of_type(core, id, Channel::PullWake)?;
        let now = self.now();
        let claimed = Event::Claimed { worker: worker.into(), lease_until: now.after(state.lease_ttl()) };
        match state.wake.as_ref().filter(|wake| !wake.is_over(now)) {
            Some(wake) => match &wake.holder {
                Some(holder) => {
                    Err(SubscriptionFault::Claimed { holder: holder.to_string(), generation: state.generation })
                }
                None => Ok(vec![claimed]),
            },
            None => {
                let stream = core.pending.first().ok_or(SubscriptionFault::NothingPending)?;
                let wake_id = new_wake_id().into();
                let mut events = Vec::with_capacity(3);
                events.extend(state.wake.as_ref().map(|_| Event::Ended));
                events.push(Event::Woken { wake_id, stream: stream.clone(), lease_until: None });
                events.push(claimed);
                Ok(events)
            }
        }
    }

    /// Moves cursors, and extends the lease or ends the wake. True where work is pending after the end.
    pub async fn ack(
        &self,
        id: &SubscriptionId,
        channel: Channel,
        request: &AckRequest,
    ) -> Result<bool, SubscriptionFault> {
        let hosted = self.known(id)?;
        let _again = self.subscriptions.looks_again(id);
        self.catch_up().await;
        let (decided, next_wake) = {
            let mut core = self.fresh(&hosted)?;
            let decision = self.decide_ack(&core, id, channel, request);
            let decided = self.stage_decision(&hosted, &mut core, decision)?;
            request.acks.iter().for_each(|ack| self.update_pending(&mut core, &ack.stream));
            (decided, request.done && !core.pending.is_empty())
        };
        self.told(&hosted, decided).await?;
        Ok(next_wake)
    }

    fn decide_ack(
        &self,
        core: &Core,
        id: &SubscriptionId,
        channel: Channel,
        request: &AckRequest,
    ) -> Result<Vec<Event>, SubscriptionFault> {
        let state = of_type(core, id, channel)?;
        self.check_speaker(state, &request.speaker)?;
        let acks = state.check_acks(&request.acks, |stream| self.head(stream))?;
        Ok(vec![match request.done {
            true => Event::Done { acks },
            false => Event::Acked { acks, lease_until: self.now().after(state.lease_ttl()) },
        }])
    }

    /// Gives the wake back without acks.
    pub async fn release(&self, id: &SubscriptionId, speaker: &Speaker) -> Result<(), SubscriptionFault> {
        let hosted = self.known(id)?;
        let _again = self.subscriptions.looks_again(id);
        self.catch_up().await;
        let decided = {
            let mut core = self.fresh(&hosted)?;
            let decision = of_type(&core, id, Channel::PullWake)
                .and_then(|state| self.check_speaker(state, speaker))
                .map(|()| vec![Event::Ended]);
            self.stage_decision(&hosted, &mut core, decision)?
        };
        self.told(&hosted, decided).await?;
        Ok(())
    }

    fn stage_decision(
        &self,
        hosted: &Arc<Hosted>,
        core: &mut Core,
        decision: Result<Vec<Event>, SubscriptionFault>,
    ) -> Result<Decided, SubscriptionFault> {
        Ok(match decision {
            Ok(events) => {
                let landing = self.commit(hosted, core, &events)?;
                core.heard = true;
                Ok(landing)
            }
            Err(fault) => Err((fault, hosted.log.basis(&hosted.log.lock()))),
        })
    }

    /// Waits for what a decision rests on; a refusal told earlier would speak of what a crash can still undo.
    async fn told(&self, hosted: &Hosted, decided: Decided) -> Result<(), SubscriptionFault> {
        match decided {
            Ok(landing) => Ok(landing.durable().await?),
            Err((fault, basis)) => {
                self.settle(&hosted.log, basis).await?;
                Err(fault)
            }
        }
    }

    /// The token of a wake: what it is for, and a seal over that. Nothing of it is stored.
    pub(super) fn token(
        &self,
        id: &SubscriptionId,
        generation: u64,
        wake_id: &str,
    ) -> Result<String, SubscriptionFault> {
        let seal = self.courier()?.seal(&format!("{id}\n{generation}\n{wake_id}"));
        Ok(format!("{generation}.{wake_id}.{seal}"))
    }

    /// Generation and wake id of a token that this server made for a subscription of that name; whether that is
    /// there, and the wake not over, is another question.
    pub fn token_content<'t>(
        &self,
        id: &SubscriptionId,
        token: &'t str,
    ) -> Result<(u64, &'t str), SubscriptionFault> {
        let mut parts = token.splitn(3, '.');
        let (Some(generation), Some(wake_id), Some(_)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(SubscriptionFault::Token);
        };
        let generation: u64 = generation.parse().map_err(|_| SubscriptionFault::Token)?;
        let expected = self.token(id, generation, wake_id)?;
        match bool::from(expected.as_bytes().ct_eq(token.as_bytes())) {
            true => Ok((generation, wake_id)),
            false => Err(SubscriptionFault::Token),
        }
    }

    fn check_speaker(&self, state: &Subscription, speaker: &Speaker) -> Result<(), SubscriptionFault> {
        let (token_generation, wake_id) = self.token_content(&state.id, &speaker.token)?;
        let fence = Fence {
            token_generation,
            token_wake_id: wake_id,
            generation: speaker.generation,
            wake_id: &speaker.wake_id,
        };
        state.fence(fence, self.now())?;
        Ok(())
    }

    /// The streams that a wake lists, with their tails: those with pending work first, then others, up to the bound.
    pub(super) fn wake_streams(&self, core: &Core, state: &Subscription) -> Vec<(StreamName, Position, StreamReply)> {
        let max = self.settings.subscriptions.wake_streams_max;
        let pending = core.pending.iter();
        let others = state.links.keys().filter(|stream| !core.pending.contains(*stream));
        let listed = pending.chain(others).take(max).filter_map(|stream| {
            let link = state.links.get(stream)?;
            let head = self.head(stream);
            let tail = head.map_or(link.cursor(head), |head| head.tail);
            Some((stream.clone(), tail, StreamReply::new(stream, link, head)))
        });
        listed.collect()
    }
}

fn of_type<'c>(core: &'c Core, id: &SubscriptionId, channel: Channel) -> Result<&'c Subscription, SubscriptionFault> {
    let state = core.state.as_ref().ok_or_else(|| SubscriptionFault::NotFound(id.clone()))?;
    match (channel, state.config.is_webhook()) {
        (Channel::Webhook, true) | (Channel::PullWake, false) => Ok(state),
        (Channel::Webhook, false) => Err(SubscriptionFault::WrongType("pull-wake")),
        (Channel::PullWake, true) => Err(SubscriptionFault::WrongType("webhook")),
    }
}
