//! A stream's state as the catalogue keeps it: everything that guards its next write.

use std::sync::Arc;

use crate::model::{ProducerEpoch, ProducerId, ProducerSeq, StreamId, Timestamp};
use crate::stream::{Closing, ProducerState, StreamState, StreamVersion};

use super::{
    Reader, encode_creation, encode_fork, encode_schema, put_bytes, put_producer, put_varint, read_creation,
    read_fork, read_producer, read_schema,
};

/// The state of a live stream.
pub(crate) fn encode_state(state: &StreamState) -> Vec<u8> {
    let mut out = encode_creation(&state.creation);
    match &state.creation.fork {
        None => out.push(0),
        Some(fork) => {
            out.push(1);
            out.extend(encode_fork(fork));
        }
    }
    put_varint(&mut out, state.id.0);
    put_varint(&mut out, state.version.0);
    put_varint(&mut out, state.tail);
    put_varint(&mut out, state.bytes);
    put_varint(&mut out, state.used_at.as_millis());
    match &state.closed {
        None => out.push(0),
        Some(Closing { by: None }) => out.push(1),
        Some(Closing { by: Some(tuple) }) => {
            out.push(2);
            put_producer(&mut out, tuple);
        }
    }
    match &state.stream_seq {
        None => out.push(0),
        Some(seq) => {
            out.push(1);
            put_bytes(&mut out, seq);
        }
    }
    match &state.schema {
        None => out.push(0),
        Some(schema) => {
            out.push(1);
            out.extend(encode_schema(schema));
        }
    }
    put_varint(&mut out, state.producers.len() as u64);
    // In order, so that the same state is the same bytes.
    let mut producers: Vec<_> = state.producers.iter().collect();
    producers.sort_unstable_by_key(|(id, _)| id.as_str());
    for (id, producer) in producers {
        put_bytes(&mut out, id.as_str().as_bytes());
        encode_producer(&mut out, producer);
    }
    out.push(state.soft_deleted.into());
    put_varint(&mut out, state.pins.len() as u64);
    for (fork, at) in &state.pins {
        put_varint(&mut out, fork.0);
        put_varint(&mut out, *at);
    }
    // Only where a stream went on after a restore: what earlier versions wrote ends here.
    if state.skipped > 0 {
        put_varint(&mut out, state.skipped);
    }
    out
}

/// `None` where the bytes are no state.
pub(crate) fn decode_state(bytes: &[u8]) -> Option<StreamState> {
    let from = &mut Reader::new(bytes);
    let mut creation = read_creation(from)?;
    creation.fork = match from.byte()? {
        0 => None,
        1 => Some(read_fork(from)?),
        _ => return None,
    };
    let creation = Arc::new(creation);
    let id = StreamId(from.varint()?);
    let version = StreamVersion(from.varint()?);
    let (tail, bytes) = (from.varint()?, from.varint()?);
    let used_at = Timestamp::from_millis(from.varint()?);
    let closed = match from.byte()? {
        0 => None,
        1 => Some(Closing { by: None }),
        2 => Some(Closing { by: Some(read_producer(from)?) }),
        _ => return None,
    };
    let stream_seq = match from.byte()? {
        0 => None,
        1 => Some(Arc::from(from.bytes()?)),
        _ => return None,
    };
    let schema = match from.byte()? {
        0 => None,
        1 => Some(read_schema(from)?),
        _ => return None,
    };
    let producers = (0..from.varint()?)
        .map(|_| Some((ProducerId::parse(from.text()?)?, read_producer_state(from)?)))
        .collect::<Option<_>>()?;
    let soft_deleted = match from.byte()? {
        0 => false,
        1 => true,
        _ => return None,
    };
    let pins =
        (0..from.varint()?).map(|_| Some((StreamId(from.varint()?), from.varint()?))).collect::<Option<_>>()?;
    let skipped = if from.is_empty() { 0 } else { from.varint()? };
    let gone = false;
    from.is_empty().then_some(StreamState {
        id,
        creation,
        version,
        tail,
        skipped,
        floor: 0,
        bytes,
        closed,
        gone,
        soft_deleted,
        pins,
        stream_seq,
        producers,
        schema,
        used_at,
    })
}

fn encode_producer(out: &mut Vec<u8>, producer: &ProducerState) {
    put_varint(out, producer.epoch.get());
    put_varint(out, producer.last_seq.get());
    put_varint(out, producer.seen_at.as_millis());
    put_varint(out, producer.former.len() as u64);
    for (epoch, seq) in &producer.former {
        put_varint(out, epoch.get());
        put_varint(out, seq.get());
    }
}

fn read_producer_state(from: &mut Reader) -> Option<ProducerState> {
    Some(ProducerState {
        epoch: ProducerEpoch::new(from.varint()?)?,
        last_seq: ProducerSeq::new(from.varint()?)?,
        seen_at: Timestamp::from_millis(from.varint()?),
        former: (0..from.varint()?)
            .map(|_| Some((ProducerEpoch::new(from.varint()?)?, ProducerSeq::new(from.varint()?)?)))
            .collect::<Option<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ContentType, Producer, StreamName};
    use crate::stream::{Creation, Fork, Lifetime, SchemaRef};
    use proptest::prelude::*;

    fn state(producers: &[(u64, u64)], closing: u8, seq: Option<Vec<u8>>) -> StreamState {
        let tuple = |epoch, seq| Producer {
            id: ProducerId::parse(&format!("p{epoch}")).unwrap(),
            epoch: ProducerEpoch::new(epoch).unwrap(),
            seq: ProducerSeq::new(seq).unwrap(),
        };
        let known = |(epoch, seq): &(u64, u64)| {
            let mut known = ProducerState::first(&tuple(*epoch, *seq), Timestamp::from_millis(5));
            known.advance(&tuple(epoch + 1, 0), Timestamp::from_millis(6));
            (tuple(*epoch, 0).id, known)
        };
        let schema = Some(SchemaRef { subject: "workers".into(), version: 3 });
        StreamState {
            id: StreamId(7),
            creation: Arc::new(Creation {
                name: StreamName::from_log("a/b"),
                content_type: ContentType::json(),
                lifetime: Lifetime::Until(Timestamp::from_millis(9)),
                start: 40,
                schema: schema.clone(),
                fork: (closing > 0).then(|| Fork {
                    source: StreamId(3),
                    source_name: StreamName::from_log("a"),
                    at: 30,
                    shift: 20,
                    depth: 2,
                    bytes: 99,
                }),
            }),
            version: StreamVersion(9),
            tail: 77,
            skipped: u64::from(closing) * 12,
            floor: 0,
            bytes: 1234,
            closed: (closing > 0).then(|| Closing { by: (closing > 1).then(|| tuple(1, 2)) }),
            gone: false,
            soft_deleted: closing > 1,
            pins: producers.iter().map(|(fork, at)| (StreamId(*fork), *at)).collect(),
            stream_seq: seq.map(Arc::from),
            producers: producers.iter().map(known).collect(),
            schema,
            used_at: Timestamp::from_millis(11),
        }
    }

    proptest! {
        #[test]
        fn states_round_trip(
            producers in proptest::collection::vec((0..1u64 << 50, 0..1u64 << 50), 0..5),
            closing in 0u8..3,
            seq: Option<Vec<u8>>,
        ) {
            let given = state(&producers, closing, seq);
            let read = decode_state(&encode_state(&given)).unwrap();
            prop_assert_eq!(&read.producers, &given.producers);
            let bare = |mut state: StreamState| {
                state.producers.clear();
                format!("{state:?}")
            };
            prop_assert_eq!(bare(read), bare(given));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = decode_state(&bytes);
        }
    }
}
