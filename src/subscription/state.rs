//! All that is durable of a subscription, and the one way it moves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Position, StreamName, Timestamp};

use super::{Config, SubscriptionId};

/// Where a stream begins and ends now; durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub start: Position,
    pub tail: Position,
}

/// How a stream came to belong to a subscription. It can be both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    Explicit,
    Glob,
}

/// One stream of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    pub explicit: bool,
    pub glob: bool,
    /// Everything before it is done with.
    pub acked: Position,
}

impl Link {
    pub fn new(kind: LinkKind, acked: Position) -> Self {
        Self { explicit: kind == LinkKind::Explicit, glob: kind == LinkKind::Glob, acked }
    }

    /// What replies say: explicit takes precedence. Source: PROTOCOL.md §6.1.
    pub fn kind(&self) -> LinkKind {
        if self.explicit { LinkKind::Explicit } else { LinkKind::Glob }
    }

    /// Where a worker goes on. A stream made anew under the name begins above everything the former one had.
    pub fn cursor(&self, head: Option<Head>) -> Position {
        self.acked.max(head.map_or(0, |head| head.start))
    }

    pub fn has_pending(&self, head: Option<Head>) -> bool {
        head.is_some_and(|head| head.tail > self.cursor(Some(head)))
    }
}

/// A wake that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wake {
    /// Unique over all wakes of all incarnations of the subscription.
    pub id: Arc<str>,
    /// The stream that caused it.
    pub stream: StreamName,
    /// When it ends unless it is extended; `None` until a worker has claimed it.
    pub lease_until: Option<Timestamp>,
    pub holder: Option<Arc<str>>,
    /// Whether a worker has been told: the webhook answered, the event is in the wake stream, or it was claimed.
    pub delivered: bool,
}

/// Failed deliveries in a row, and when the next one may be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    pub failures: u32,
    pub next_attempt_at: Timestamp,
    /// For people; no secrets, bounded by who writes it.
    pub reason: Arc<str>,
}

/// A subscription: the fold of its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    pub id: SubscriptionId,
    pub config: Arc<Config>,
    pub created_at: Timestamp,
    pub links: BTreeMap<StreamName, Link>,
    /// Counts wakes; the fencing counter. Source: PROTOCOL.md §7.3.
    pub generation: u64,
    pub wake: Option<Wake>,
    pub retry: Option<Retry>,
}

/// One step of a subscription, as its log keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The whole state: the first event, and again whenever what followed has become long.
    State(Box<Subscription>),
    /// Streams that now belong to it. One that already does keeps its cursor.
    Linked { kind: LinkKind, streams: Vec<(StreamName, Position)> },
    /// A stream that does no longer, in this way.
    Unlinked { kind: LinkKind, stream: StreamName },
    /// The next generation begins.
    Woken { wake_id: Arc<str>, stream: StreamName, lease_until: Option<Timestamp> },
    /// A worker was told; it has not finished.
    Delivered,
    /// A delivery failed.
    Failed(Retry),
    /// A worker took the wake.
    Claimed { worker: Arc<str>, lease_until: Timestamp },
    /// Cursors moved and the lease is extended.
    Acked { acks: Vec<(StreamName, Position)>, lease_until: Timestamp },
    /// Cursors moved and the wake has ended.
    Done { acks: Vec<(StreamName, Position)> },
    /// The wake has ended without acks: given back, or its lease ran out.
    Ended,
}

impl Subscription {
    pub fn new(id: SubscriptionId, config: Config, created_at: Timestamp) -> Self {
        let config = Arc::new(config);
        Self { id, config, created_at, links: BTreeMap::new(), generation: 0, wake: None, retry: None }
    }

    pub fn lease_ttl(&self) -> Duration {
        self.config.lease_ttl
    }

    /// Moves to the state after `event`, which was decided on this state.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::State(state) => *self = Subscription::clone(state),
            Event::Linked { kind, streams } => {
                streams.iter().for_each(|(stream, acked)| self.link(stream, *kind, *acked));
            }
            Event::Unlinked { kind, stream } => self.unlink(stream, *kind),
            Event::Woken { wake_id, stream, lease_until } => {
                self.generation += 1;
                self.wake = Some(Wake {
                    id: wake_id.clone(),
                    stream: stream.clone(),
                    lease_until: *lease_until,
                    holder: None,
                    delivered: false,
                });
            }
            Event::Delivered => {
                self.retry = None;
                if let Some(wake) = &mut self.wake {
                    wake.delivered = true;
                }
            }
            Event::Failed(retry) => self.retry = Some(retry.clone()),
            Event::Claimed { worker, lease_until } => {
                self.retry = None;
                if let Some(wake) = &mut self.wake {
                    wake.delivered = true;
                    wake.holder = Some(worker.clone());
                    wake.lease_until = Some(*lease_until);
                }
            }
            Event::Acked { acks, lease_until } => {
                self.advance(acks);
                // Who acks has been told, whatever became of the answer to the delivery.
                self.retry = None;
                if let Some(wake) = &mut self.wake {
                    wake.delivered = true;
                    wake.lease_until = Some(*lease_until);
                }
            }
            Event::Done { acks } => {
                self.advance(acks);
                self.retry = None;
                self.wake = None;
            }
            Event::Ended => self.wake = None,
        }
    }

    fn link(&mut self, stream: &StreamName, kind: LinkKind, acked: Position) {
        let link = self.links.entry(stream.clone()).or_insert_with(|| Link::new(kind, acked));
        match kind {
            LinkKind::Explicit => link.explicit = true,
            LinkKind::Glob => link.glob = true,
        }
    }

    fn unlink(&mut self, stream: &StreamName, kind: LinkKind) {
        let Some(link) = self.links.get_mut(stream) else { return };
        match kind {
            LinkKind::Explicit => link.explicit = false,
            LinkKind::Glob => link.glob = false,
        }
        if !link.explicit && !link.glob {
            self.links.remove(stream);
        }
    }

    fn advance(&mut self, acks: &[(StreamName, Position)]) {
        for (stream, offset) in acks {
            if let Some(link) = self.links.get_mut(stream) {
                link.acked = link.acked.max(*offset);
            }
        }
    }
}
