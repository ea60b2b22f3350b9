//! Whether an append is allowed, and what it becomes. Source: PROTOCOL.md §5.2, §5.2.1 and §5.3.

use std::sync::Arc;

use bytes::Bytes;

use crate::model::{ContentType, Position, Producer, ProducerEpoch, ProducerSeq, Timestamp};

use super::fencing::{Fencing, PRODUCER_IDLE, ProducerPolicy, fence};
use super::{Body, Lengths, Record, StreamState};

/// An append as it reaches the rules: parsed and, on a typed stream, validated.
#[derive(Clone, Debug)]
pub struct Append {
    /// `None` where the request had no body; then the type does not matter.
    pub content_type: Option<ContentType>,
    pub producer: Option<Producer>,
    pub stream_seq: Option<Arc<[u8]>>,
    pub closes: bool,
    pub schema_version: Option<u32>,
    pub txid: Option<Arc<str>>,
    /// Messages (JSON) or bytes (all else) in `payload`.
    pub count: u64,
    pub lengths: Lengths,
    pub payload: Bytes,
}

/// What the stream's binding says about its writers.
#[derive(Clone, Copy, Debug)]
pub struct AppendPolicy {
    pub producers: ProducerPolicy,
    /// A closing request is answered as done and leaves the stream open.
    pub ignores_close: bool,
    pub producers_max: usize,
}

/// What becomes of an append.
#[derive(Debug)]
pub enum Admission {
    /// The record to stage; [`StreamState::apply`] it.
    Accept(Box<Record>),
    /// Written before. Nothing to stage; answered once the original is durable.
    Duplicate {
        last_seq: ProducerSeq,
        closed: bool,
    },
    /// A repeated close. Nothing to stage.
    AlreadyClosed,
    Refuse(Refusal),
}

/// Why an append is refused. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Deleted or expired meanwhile; the same call succeeds once the name is created again. 404.
    #[error("the stream is gone")]
    Gone,
    /// Deleted or expired, and kept for its forks; succeeds once they are gone and the name is created again. 410.
    #[error("the stream is deleted, and kept only for its forks")]
    SoftDeleted,
    /// The stream ends at `tail`; the same call cannot succeed. 409 with `Stream-Closed`.
    #[error("the stream is closed")]
    Closed { tail: Position },
    /// Another media type than the stream's. 409.
    #[error("the stream holds {stream}, not {received}")]
    ContentType { stream: String, received: String },
    /// `Stream-Seq` does not grow. 409.
    #[error("Stream-Seq must be greater than the last one")]
    StreamSeq { last: Arc<[u8]> },
    /// 403 with `Producer-Epoch`. Source: PROTOCOL.md §5.2.1.
    #[error("producer {producer} is at epoch {current}; this append carries {received}")]
    StaleEpoch { producer: String, current: ProducerEpoch, received: ProducerEpoch },
    /// A batch before this one is missing; the same call succeeds after it. 409.
    #[error("producer seq {received} leaves a gap; {expected} comes next")]
    SeqGap { expected: ProducerSeq, received: ProducerSeq },
    /// 400.
    #[error("a new producer epoch starts at seq 0")]
    EpochStart,
    /// The stream remembers as many producers as it may; succeeds once an idle one has been dropped. 429.
    #[error("the stream already has {max} producers")]
    TooManyProducers { max: usize },
}

/// Decides on an append to a stream in the given (staged) state.
pub fn admit(state: &StreamState, append: &Append, policy: AppendPolicy, now: Timestamp) -> Admission {
    if state.gone {
        return Admission::Refuse(Refusal::Gone);
    }
    if state.soft_deleted {
        return Admission::Refuse(Refusal::SoftDeleted);
    }
    if let Some(verdict) = judge_producer(state, append, policy, now) {
        return verdict;
    }
    if state.closed.is_some() {
        return match append.closes && append.count == 0 && append.producer.is_none() {
            true => Admission::AlreadyClosed,
            false => Admission::Refuse(Refusal::Closed { tail: state.tail }),
        };
    }
    if let Some(refusal) = refuse_content(state, append) {
        return Admission::Refuse(refusal);
    }
    Admission::Accept(Box::new(Record {
        stream: state.id,
        first: state.next(),
        count: append.count,
        at: now,
        producer: append.producer.clone(),
        stream_seq: append.stream_seq.clone(),
        closes: append.closes && !policy.ignores_close,
        schema_version: append.schema_version,
        txid: append.txid.clone(),
        body: Body::Append { lengths: append.lengths.clone(), payload: append.payload.clone() },
    }))
}

/// `None` where the tuple is new, or there is none.
fn judge_producer(state: &StreamState, append: &Append, policy: AppendPolicy, now: Timestamp) -> Option<Admission> {
    let given = append.producer.as_ref()?;
    let known = state.producers.get(&given.id);
    // On a closed stream only the tuple that closed it is a repeat; a fenced incarnation still learns that it is.
    if let Some(closing) = &state.closed {
        if closing.by.as_ref() == Some(given) {
            return Some(Admission::Duplicate { last_seq: given.seq, closed: true });
        }
        let stale = matches!(fence(policy.producers, known, given), Fencing::StaleEpoch { .. });
        if !stale {
            return Some(Admission::Refuse(Refusal::Closed { tail: state.tail }));
        }
    }
    let refusal = match fence(policy.producers, known, given) {
        Fencing::Accept if known.is_some() => return None,
        Fencing::Accept if has_room(state, policy, now) => return None,
        Fencing::Accept => Refusal::TooManyProducers { max: policy.producers_max },
        Fencing::Duplicate { last_seq } => {
            return Some(Admission::Duplicate { last_seq, closed: state.closed.is_some() });
        }
        Fencing::StaleEpoch { current } => {
            Refusal::StaleEpoch { producer: given.id.to_string(), current, received: given.epoch }
        }
        Fencing::Gap { expected } => Refusal::SeqGap { expected, received: given.seq },
        Fencing::EpochStart => Refusal::EpochStart,
    };
    Some(Admission::Refuse(refusal))
}

fn has_room(state: &StreamState, policy: AppendPolicy, now: Timestamp) -> bool {
    let active = |p: &&super::ProducerState| now.since(p.seen_at) < PRODUCER_IDLE;
    state.producers.len() < policy.producers_max
        || state.producers.values().filter(active).count() < policy.producers_max
}

fn refuse_content(state: &StreamState, append: &Append) -> Option<Refusal> {
    if let Some(received) = &append.content_type
        && append.count > 0
        && !received.matches(&state.creation.content_type)
    {
        return Some(Refusal::ContentType {
            stream: state.creation.content_type.to_string(),
            received: received.to_string(),
        });
    }
    match (&append.stream_seq, &state.stream_seq) {
        (Some(given), Some(last)) if given <= last => Some(Refusal::StreamSeq { last: last.clone() }),
        _ => None,
    }
}
