//! Idempotent producers: which tuples are new, which are repeats, and which come from a fenced incarnation.
//!
//! Source: PROTOCOL.md §5.2.1. The `epoch_floor` policy serves producers that start at epoch 0, seq 0 in every
//! process and never read their state back: epoch 0 is refused with the highest known epoch, so that such a client
//! claims the next one and loses nothing.

use crate::model::{Producer, ProducerEpoch, ProducerSeq, Timestamp};

/// How a stream treats the tuples of its producers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ProducerPolicy {
    /// As the protocol asks.
    #[default]
    Protocol,
    /// Restarted producers are made to claim a new epoch; former epochs' accepted tuples stay repeats.
    EpochFloor,
}

/// What is remembered of one producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerState {
    pub epoch: ProducerEpoch,
    pub last_seq: ProducerSeq,
    pub seen_at: Timestamp,
    /// Last seqs of the most recent former epochs, oldest first.
    pub former: Vec<(ProducerEpoch, ProducerSeq)>,
}

/// Former epochs whose last seq is remembered.
pub const FORMER_EPOCHS: usize = 16;

/// What becomes of a tuple.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fencing {
    /// New: it is written, and the producer moves to it.
    Accept,
    /// Written before, in this epoch or a former one; `last_seq` is the highest accepted in the tuple's epoch.
    Duplicate { last_seq: ProducerSeq },
    /// From a fenced incarnation. Nothing written. 403 with `Producer-Epoch`.
    StaleEpoch { current: ProducerEpoch },
    /// A batch before it is missing. Nothing written; succeeds once that has arrived. 409.
    Gap { expected: ProducerSeq },
    /// A new epoch that does not begin at seq 0. Nothing written. 400.
    EpochStart,
}

/// Decides on a tuple, given what is known of its producer.
pub fn fence(policy: ProducerPolicy, known: Option<&ProducerState>, given: &Producer) -> Fencing {
    match (policy, known) {
        (ProducerPolicy::Protocol, None) => match given.seq {
            ProducerSeq::ZERO => Fencing::Accept,
            _ => Fencing::Gap { expected: ProducerSeq::ZERO },
        },
        // The producer's past is gone: let it claim the next epoch rather than wait for batches that never come.
        (ProducerPolicy::EpochFloor, None) => match given.seq {
            ProducerSeq::ZERO => Fencing::Accept,
            _ => Fencing::StaleEpoch { current: given.epoch },
        },
        (ProducerPolicy::Protocol, Some(state)) if given.epoch < state.epoch => {
            Fencing::StaleEpoch { current: state.epoch }
        }
        (ProducerPolicy::EpochFloor, Some(state)) if given.epoch < state.epoch => {
            let former = state.former.iter().rfind(|(epoch, _)| *epoch == given.epoch);
            match former {
                // Epoch 0, seq 0 is what every new process sends first; only later tuples are surely repeats.
                Some((_, last)) if given.seq <= *last && !starts_over(given) => {
                    Fencing::Duplicate { last_seq: *last }
                }
                _ => Fencing::StaleEpoch { current: state.epoch },
            }
        }
        (ProducerPolicy::EpochFloor, Some(state)) if given.epoch > state.epoch => match given.seq {
            ProducerSeq::ZERO => Fencing::Accept,
            _ => Fencing::StaleEpoch { current: given.epoch },
        },
        (ProducerPolicy::Protocol, Some(state)) if given.epoch > state.epoch => match given.seq {
            ProducerSeq::ZERO => Fencing::Accept,
            _ => Fencing::EpochStart,
        },
        (ProducerPolicy::EpochFloor, Some(state)) if starts_over(given) => {
            Fencing::StaleEpoch { current: state.epoch }
        }
        (_, Some(state)) => same_epoch(state, given),
    }
}

fn starts_over(given: &Producer) -> bool {
    given.epoch == ProducerEpoch::ZERO && given.seq == ProducerSeq::ZERO
}

fn same_epoch(state: &ProducerState, given: &Producer) -> Fencing {
    let expected = ProducerSeq::new(state.last_seq.get() + 1);
    match expected {
        _ if given.seq <= state.last_seq => Fencing::Duplicate { last_seq: state.last_seq },
        Some(expected) if given.seq > expected => Fencing::Gap { expected },
        _ => Fencing::Accept,
    }
}

impl ProducerState {
    pub fn first(tuple: &Producer, at: Timestamp) -> Self {
        Self { epoch: tuple.epoch, last_seq: tuple.seq, seen_at: at, former: Vec::new() }
    }

    /// Moves to an accepted tuple.
    pub fn advance(&mut self, tuple: &Producer, at: Timestamp) {
        if tuple.epoch != self.epoch {
            if self.former.len() == FORMER_EPOCHS {
                self.former.remove(0);
            }
            self.former.push((self.epoch, self.last_seq));
        }
        (self.epoch, self.last_seq, self.seen_at) = (tuple.epoch, tuple.seq, at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ProducerId;
    use ProducerPolicy::{EpochFloor, Protocol};

    fn tuple(epoch: u64, seq: u64) -> Producer {
        Producer {
            id: ProducerId::parse("p").unwrap(),
            epoch: ProducerEpoch::new(epoch).unwrap(),
            seq: ProducerSeq::new(seq).unwrap(),
        }
    }

    fn known(history: &[(u64, u64)]) -> Option<ProducerState> {
        let mut tuples = history.iter().map(|(epoch, seq)| tuple(*epoch, *seq));
        let mut state = ProducerState::first(&tuples.next()?, Timestamp::default());
        tuples.for_each(|t| state.advance(&t, Timestamp::default()));
        Some(state)
    }

    fn check(policy: ProducerPolicy, history: &[(u64, u64)], given: (u64, u64), expected: Fencing) {
        let verdict = fence(policy, known(history).as_ref(), &tuple(given.0, given.1));
        assert_eq!(verdict, expected, "{policy:?} {history:?} {given:?}");
    }

    fn seq(value: u64) -> ProducerSeq {
        ProducerSeq::new(value).unwrap()
    }

    fn epoch(value: u64) -> ProducerEpoch {
        ProducerEpoch::new(value).unwrap()
    }

    #[test]
    fn protocol_tuples_are_judged_as_specified() {
        check(Protocol, &[], (0, 0), Fencing::Accept);
        check(Protocol, &[], (7, 0), Fencing::Accept);
        check(Protocol, &[], (0, 3), Fencing::Gap { expected: seq(0) });
        check(Protocol, &[(1, 4)], (1, 5), Fencing::Accept);
        check(Protocol, &[(1, 4)], (1, 2), Fencing::Duplicate { last_seq: seq(4) });
        check(Protocol, &[(1, 4)], (1, 6), Fencing::Gap { expected: seq(5) });
        check(Protocol, &[(1, 4)], (2, 0), Fencing::Accept);
        check(Protocol, &[(1, 4)], (2, 1), Fencing::EpochStart);
        check(Protocol, &[(1, 4)], (0, 9), Fencing::StaleEpoch { current: epoch(1) });
    }

    #[test]
    fn a_restarted_producer_is_made_to_claim_the_next_epoch() {
        check(EpochFloor, &[(0, 9)], (0, 0), Fencing::StaleEpoch { current: epoch(0) });
        check(EpochFloor, &[(0, 9)], (1, 0), Fencing::Accept);
        check(EpochFloor, &[(0, 9), (1, 0)], (0, 0), Fencing::StaleEpoch { current: epoch(1) });
        check(EpochFloor, &[], (3, 5), Fencing::StaleEpoch { current: epoch(3) });
        check(EpochFloor, &[(1, 4)], (2, 7), Fencing::StaleEpoch { current: epoch(2) });
    }

    #[test]
    fn a_former_epochs_accepted_tuples_stay_repeats() {
        check(EpochFloor, &[(0, 9), (1, 3), (2, 0)], (1, 3), Fencing::Duplicate { last_seq: seq(3) });
        check(EpochFloor, &[(0, 9), (1, 3), (2, 0)], (1, 4), Fencing::StaleEpoch { current: epoch(2) });
        check(EpochFloor, &[(0, 9), (1, 3)], (0, 5), Fencing::Duplicate { last_seq: seq(9) });
    }

    #[test]
    fn the_largest_seq_is_not_followed_by_a_gap() {
        check(
            Protocol,
            &[(0, crate::model::producer::INTEGER_MAX)],
            (0, 3),
            Fencing::Duplicate { last_seq: seq(crate::model::producer::INTEGER_MAX) },
        );
    }
}
