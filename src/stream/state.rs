//! All that is known of one stream besides its data, and the one way it moves.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::model::{Position, Producer, ProducerId, StreamId, Timestamp};

use super::fencing::{PRODUCER_IDLE, PRODUCERS_KEPT};
use super::{Body, Creation, ProducerState, Record, SchemaRef};

/// How many records a stream has; what a decision names as the state it was made on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct StreamVersion(pub u64);

impl StreamVersion {
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// How a stream was closed; the tuple that closed it may repeat itself. Source: PROTOCOL.md §5.2.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    pub by: Option<Producer>,
}

/// What is known of a stream: the fold of its records' headers.
#[derive(Clone, Debug)]
pub struct StreamState {
    pub id: StreamId,
    pub creation: Arc<Creation>,
    pub version: StreamVersion,
    /// Position behind the last one that is taken.
    pub tail: Position,
    /// Positions below it that no record of the stream has, although they lie between two: a restore has passed them
    /// over, because the history that it cut off may have given them out.
    pub skipped: u64,
    /// Where the next append goes at least; see [`crate::storage::Store::load`]. Not a part of what is logged.
    pub floor: Position,
    /// Payload bytes ever accepted.
    pub bytes: u64,
    pub closed: Option<Closing>,
    /// Deleted or expired: nothing may follow.
    pub gone: bool,
    /// Deleted or expired, and kept for its forks. Source: PROTOCOL.md §4.2.
    pub soft_deleted: bool,
    /// The forks that refer to it, and up to where each does.
    pub pins: BTreeMap<StreamId, Position>,
    pub stream_seq: Option<Arc<[u8]>>,
    pub producers: HashMap<ProducerId, ProducerState>,
    pub schema: Option<SchemaRef>,
    /// Last use that reached the log.
    pub used_at: Timestamp,
}

impl StreamState {
    /// State after a stream's first record. `None` where that is no creation.
    pub fn create(record: &Record) -> Option<Self> {
        let Body::Create(creation) = &record.body else { return None };
        Some(Self {
            id: record.stream,
            version: StreamVersion(1),
            tail: creation.own_start(),
            skipped: 0,
            floor: 0,
            bytes: 0,
            closed: record.closes.then(|| Closing { by: record.producer.clone() }),
            gone: false,
            soft_deleted: false,
            pins: BTreeMap::new(),
            stream_seq: None,
            producers: HashMap::new(),
            schema: creation.schema.clone(),
            used_at: record.at,
            creation: Arc::new(creation.clone()),
        })
    }

    /// Moves to the state after `record`, which was decided on this state.
    pub fn apply(&mut self, record: &Record) {
        self.version = self.version.next();
        if record.count > 0 {
            let first = record.first.max(self.tail);
            self.skipped += first - self.tail;
            self.tail = first + record.count;
        }
        if let Some(tuple) = &record.producer {
            if self.producers.len() >= PRODUCERS_KEPT && !self.producers.contains_key(&tuple.id) {
                self.producers.retain(|_, known| record.at.since(known.seen_at) < PRODUCER_IDLE);
            }
            self.producers
                .entry(tuple.id.clone())
                .and_modify(|state| state.advance(tuple, record.at))
                .or_insert_with(|| ProducerState::first(tuple, record.at));
        }
        if let Some(seq) = &record.stream_seq {
            self.stream_seq = Some(seq.clone());
        }
        if record.closes {
            self.closed = Some(Closing { by: record.producer.clone() });
        }
        match &record.body {
            Body::Append { payload, .. } => {
                self.bytes += payload.len() as u64;
                self.used_at = self.used_at.max(record.at);
            }
            Body::Renew => self.used_at = self.used_at.max(record.at),
            Body::Rebind(schema) => self.schema = Some(schema.clone()),
            Body::Delete | Body::Expire => self.gone = true,
            Body::SoftDelete => self.soft_deleted = true,
            Body::Pin { fork, at } => {
                self.pins.insert(*fork, *at);
            }
            Body::Unpin { fork } => {
                self.pins.remove(fork);
            }
            Body::Create(_) => {}
        }
    }

    /// Position that the next append gets.
    pub fn next(&self) -> Position {
        self.tail.max(self.floor)
    }

    pub fn is_json(&self) -> bool {
        self.creation.content_type.is_json()
    }
}
