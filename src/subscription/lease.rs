//! Who may speak for a wake, for how long, and what acks may say. Source: PROTOCOL.md §7.3.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{Offset, Position, StreamName, Timestamp};

use super::{Event, Head, LEASE_MAX, RETRY_MAX, Retry, Subscription, Wake};

/// Whom a request claims to speak for. Its token has been found authentic for `token_generation` and `token_wake_id`.
#[derive(Clone, Copy, Debug)]
pub struct Fence<'a> {
    pub token_generation: u64,
    pub token_wake_id: &'a str,
    pub generation: u64,
    pub wake_id: &'a str,
}

/// The wake is over, or another one is current. Nothing was written; the same call cannot succeed. 409.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the wake is over, or another generation is current")]
pub struct Fenced;

/// A cursor that a worker wants to move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    pub stream: StreamName,
    pub offset: Offset,
}

/// Why acks are refused. None of them was applied. 409.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AckFault {
    #[error("{0} does not belong to the subscription")]
    Unlinked(StreamName),
    #[error("{stream}: {offset} lies before what has been acked, {acked}")]
    Regresses { stream: StreamName, offset: Offset, acked: Offset },
    #[error("{stream}: {offset} lies beyond the tail {tail}")]
    BeyondTail { stream: StreamName, offset: Offset, tail: Offset },
}

impl Subscription {
    /// The wake that a request speaks for: every part of its fence must be the current one, and its lease not over.
    pub fn fence(&self, fence: Fence<'_>, now: Timestamp) -> Result<&Wake, Fenced> {
        let wake = self.wake.as_ref().filter(|wake| !wake.is_over(now)).ok_or(Fenced)?;
        let same = fence.token_generation == self.generation
            && fence.token_wake_id == &*wake.id
            && fence.generation == self.generation
            && fence.wake_id == &*wake.id;
        same.then_some(wake).ok_or(Fenced)
    }

    /// Where acks move cursors to, all or none, each stream once. `head` says where a stream begins and ends now.
    pub fn check_acks(
        &self,
        acks: &[Ack],
        head: impl Fn(&StreamName) -> Option<Head>,
    ) -> Result<Vec<(StreamName, Position)>, AckFault> {
        let check = |ack: &Ack| {
            let link = self.links.get(&ack.stream).ok_or_else(|| AckFault::Unlinked(ack.stream.clone()))?;
            let head = head(&ack.stream);
            let (offset, cursor) = (ack.offset, link.cursor(head));
            let tail = head.map_or(cursor, |head| head.tail);
            if offset.position < cursor {
                let acked = Offset::at(cursor);
                return Err(AckFault::Regresses { stream: ack.stream.clone(), offset, acked });
            }
            if offset.position > tail {
                return Err(AckFault::BeyondTail { stream: ack.stream.clone(), offset, tail: Offset::at(tail) });
            }
            Ok((ack.stream.clone(), offset.position))
        };
        let mut moves = BTreeMap::new();
        for ack in acks {
            let (stream, offset) = check(ack)?;
            let furthest: &mut Position = moves.entry(stream).or_insert(offset);
            *furthest = offset.max(*furthest);
        }
        Ok(moves.into_iter().collect())
    }

    /// The events that time alone causes, in order: a lease that ran out, and a wake where work is pending and nobody
    /// is at it. A failed delivery is not retried earlier because its lease ran out meanwhile.
    pub fn due(&self, pending: Option<&StreamName>, wake_id: impl FnOnce() -> String, now: Timestamp) -> Vec<Event> {
        let mut events = Vec::with_capacity(2);
        if let Some(wake) = &self.wake {
            if !wake.is_over(now) {
                return events;
            }
            events.push(Event::Ended);
        }
        if let Some(stream) = pending
            && self.retry.as_ref().is_none_or(|retry| retry.is_due(now))
        {
            let lease_until = self.config.is_webhook().then(|| now.after(self.lease_ttl()));
            events.push(Event::Woken { wake_id: wake_id().into(), stream: stream.clone(), lease_until });
        }
        events
    }

    /// Whether the current wake is to be delivered now.
    pub fn wants_delivery(&self, now: Timestamp) -> bool {
        let waits = |wake: &Wake| !wake.delivered && wake.holder.is_none() && !wake.is_over(now);
        self.wake.as_ref().is_some_and(waits) && self.retry.as_ref().is_none_or(|retry| retry.is_due(now))
    }

    /// The next moment at which time alone causes something; `None` where only others can.
    pub fn next_moment(&self, has_pending: bool) -> Option<Timestamp> {
        let lease = self.wake.as_ref().and_then(|wake| wake.lease_until);
        let waits = match &self.wake {
            Some(wake) => !wake.delivered,
            None => has_pending,
        };
        let retry = self.retry.as_ref().filter(|_| waits).map(|retry| retry.next_attempt_at);
        lease.into_iter().chain(retry).min()
    }
}

impl Wake {
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.lease_until.is_some_and(|until| has_come(until, LEASE_MAX, now))
    }
}

impl Retry {
    pub fn is_due(&self, now: Timestamp) -> bool {
        has_come(self.next_attempt_at, RETRY_MAX, now)
    }
}

/// Whether a moment that was set at most `span_max` ahead has come. One that lies further ahead was set by a clock that
/// has been set back since, and would not come for as long as that was wrong. A minute more or less is a correction.
fn has_come(moment: Timestamp, span_max: Duration, now: Timestamp) -> bool {
    moment <= now || moment > now.after(span_max + Duration::from_secs(60))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::{Config, Delivery, LinkKind, SubscriptionId, WebhookUrl, stream_path};
    use super::*;

    const AT: fn(u64) -> Timestamp = Timestamp::from_millis;

    fn subscription(delivery: Delivery) -> Subscription {
        let config = Config {
            delivery,
            pattern: None,
            streams: Default::default(),
            lease_ttl: Duration::from_secs(1),
            description: None,
        };
        let mut made = Subscription::new(SubscriptionId::parse("s").unwrap(), config, AT(0));
        made.apply(&Event::Linked { kind: LinkKind::Explicit, streams: vec![(name("a"), 5)] });
        made
    }

    fn webhook() -> Subscription {
        subscription(Delivery::Webhook(WebhookUrl::parse("https://worker.example/", false).unwrap()))
    }

    fn pull() -> Subscription {
        subscription(Delivery::PullWake(name("wake/pool")))
    }

    fn name(text: &str) -> StreamName {
        stream_path(text).unwrap()
    }

    fn woken(mut subscription: Subscription, wake_id: &str, now: u64) -> Subscription {
        let events = subscription.due(Some(&name("a")), || wake_id.to_owned(), AT(now));
        assert!(!events.is_empty(), "no wake is due");
        events.iter().for_each(|event| subscription.apply(event));
        subscription
    }

    fn fence(token: (u64, &'static str), given: (u64, &'static str)) -> Fence<'static> {
        Fence { token_generation: token.0, token_wake_id: token.1, generation: given.0, wake_id: given.1 }
    }

    #[test]
    fn every_part_of_the_fence_must_be_current() {
        let current = woken(woken(webhook(), "w1", 0), "w2", 1_000);
        assert_eq!(current.generation, 2);
        assert!(current.fence(fence((2, "w2"), (2, "w2")), AT(1_001)).is_ok());
        for (token, given) in [
            ((1, "w1"), (1, "w1")),
            ((1, "w2"), (2, "w2")),
            ((2, "w1"), (2, "w2")),
            ((2, "w2"), (1, "w2")),
            ((2, "w2"), (2, "w1")),
            ((2, "w2"), (3, "w2")),
        ] {
            assert_eq!(current.fence(fence(token, given), AT(1_001)), Err(Fenced), "{token:?} {given:?}");
        }
        assert_eq!(current.fence(fence((2, "w2"), (2, "w2")), AT(2_000)), Err(Fenced), "after its lease");
        let mut over = current.clone();
        over.apply(&Event::Done { acks: Vec::new() });
        assert_eq!(over.fence(fence((2, "w2"), (2, "w2")), AT(1_001)), Err(Fenced), "after it was done");
    }

    #[test]
    fn acks_are_checked_all_or_none() {
        let head = |stream: &StreamName| (stream.as_str() == "a").then_some(Head { start: 2, tail: 9 });
        let ack = |stream: &str, position| Ack { stream: name(stream), offset: Offset::at(position) };
        let check = |acks: &[Ack]| pull().check_acks(acks, head);
        assert_eq!(check(&[ack("a", 9)]), Ok(vec![(name("a"), 9)]));
        assert_eq!(check(&[ack("a", 5)]), Ok(vec![(name("a"), 5)]));
        assert_eq!(check(&[ack("a", 6), ack("a", 8), ack("a", 7)]), Ok(vec![(name("a"), 8)]));
        assert!(matches!(check(&[ack("a", 9), ack("b", 1)]), Err(AckFault::Unlinked(_))));
        assert!(matches!(check(&[ack("a", 4)]), Err(AckFault::Regresses { .. })));
        assert!(matches!(check(&[ack("a", 10)]), Err(AckFault::BeyondTail { .. })));
    }

    #[test]
    fn a_stream_made_anew_is_pending_from_its_own_start() {
        let link = pull().links[&name("a")];
        assert!(!link.has_pending(Some(Head { start: 20, tail: 20 })));
        assert!(link.has_pending(Some(Head { start: 20, tail: 21 })));
        assert_eq!(link.cursor(Some(Head { start: 20, tail: 21 })), 20);
        assert!(!link.has_pending(None));
    }

    #[test]
    fn a_lease_that_runs_out_ends_the_wake_and_wakes_again_only_for_pending_work() {
        let held = woken(webhook(), "w1", 0);
        assert_eq!(held.due(Some(&name("a")), || unreachable!(), AT(999)), []);
        assert_eq!(held.due(None, || unreachable!(), AT(1_000)), [Event::Ended]);
        let again = woken(held, "w2", 1_000);
        assert_eq!((again.generation, &*again.wake.unwrap().id), (2, "w2"));
    }

    #[test]
    fn a_retry_is_not_made_earlier_by_a_lease_that_runs_out() {
        let mut failed = woken(webhook(), "w1", 0);
        let retry = Retry { failures: 4, next_attempt_at: AT(8_000), reason: Arc::from("no") };
        failed.apply(&Event::Failed(retry.clone()));
        assert!(!failed.wants_delivery(AT(500)));
        assert_eq!(failed.due(Some(&name("a")), || unreachable!(), AT(1_000)), [Event::Ended]);
        failed.apply(&Event::Ended);
        assert_eq!(failed.next_moment(true), Some(AT(8_000)));
        let again = woken(failed, "w2", 8_000);
        assert!(again.wants_delivery(AT(8_000)));
        assert_eq!(again.retry, Some(retry), "failures go on counting until a delivery succeeds");
    }

    #[test]
    fn moments_of_a_clock_that_was_set_back_have_come() {
        let (hour, soon) = (3_600_000, 60_000);
        let held = woken(webhook(), "w1", hour);
        assert_eq!(held.due(None, || unreachable!(), AT(hour - soon)), [], "a correction fences nobody");
        assert_eq!(held.due(None, || unreachable!(), AT(0)), [Event::Ended]);
        let retry = Retry { failures: 9, next_attempt_at: AT(hour + soon), reason: Arc::from("no") };
        assert!(!retry.is_due(AT(hour)) && !retry.is_due(AT(hour - soon)));
        assert!(retry.is_due(AT(0)) && retry.is_due(AT(hour + soon)));
    }

    #[test]
    fn a_pull_wake_has_no_lease_until_it_is_claimed() {
        let mut wake = woken(pull(), "w1", 0);
        assert_eq!(wake.next_moment(true), None);
        wake.apply(&Event::Claimed { worker: Arc::from("x"), lease_until: AT(7_000) });
        assert!(!wake.wants_delivery(AT(1)), "who has claimed knows already");
        assert_eq!(wake.next_moment(true), Some(AT(7_000)));
        assert_eq!(wake.due(None, || unreachable!(), AT(7_000)), [Event::Ended]);
    }

    #[test]
    fn removing_the_explicit_link_leaves_the_glob() {
        let mut both = pull();
        both.apply(&Event::Linked { kind: LinkKind::Glob, streams: vec![(name("a"), 99)] });
        assert_eq!(both.links[&name("a")].kind(), LinkKind::Explicit);
        both.apply(&Event::Unlinked { kind: LinkKind::Explicit, stream: name("a") });
        assert_eq!((both.links[&name("a")].kind(), both.links[&name("a")].acked), (LinkKind::Glob, 5));
        both.apply(&Event::Unlinked { kind: LinkKind::Glob, stream: name("a") });
        assert!(both.links.is_empty());
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let acks = || (0u64..20).prop_map(|offset| vec![(name("a"), offset)]);
        let one = prop_oneof![
            (0u64..9).prop_map(|n| Event::Woken {
                wake_id: format!("w{n}").into(),
                stream: name("a"),
                lease_until: None
            }),
            acks().prop_map(|acks| Event::Acked { acks, lease_until: AT(1) }),
            acks().prop_map(|acks| Event::Done { acks }),
            Just(Event::Delivered),
            Just(Event::Ended),
            (0u64..20).prop_map(|at| Event::Linked { kind: LinkKind::Glob, streams: vec![(name("a"), at)] }),
        ];
        proptest::collection::vec(one, 0..40)
    }

    proptest! {
        #[test]
        fn cursors_and_generations_never_go_back(events in events()) {
            let mut state = pull();
            for event in events {
                let (acked, generation) = (state.links[&name("a")].acked, state.generation);
                state.apply(&event);
                prop_assert!(state.links[&name("a")].acked >= acked && state.generation >= generation);
            }
        }

        #[test]
        fn a_snapshot_stands_for_the_events_before_it(events in events(), cut in 0usize..40) {
            let (mut whole, mut from_snapshot) = (pull(), pull());
            let cut = cut.min(events.len());
            events[..cut].iter().for_each(|event| whole.apply(event));
            from_snapshot.apply(&Event::State(Box::new(whole.clone())));
            for event in &events[cut..] {
                whole.apply(event);
                from_snapshot.apply(event);
            }
            prop_assert_eq!(whole, from_snapshot);
        }
    }
}
