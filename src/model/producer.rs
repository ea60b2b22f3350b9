//! Who writes: a producer, its incarnation, and the number of its batch.

use std::fmt;
use std::sync::Arc;

/// Largest integer that JavaScript holds exactly; the bound on epochs and seqs. Source: PROTOCOL.md §5.2.1.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

/// A stable name a client gives itself: 1 to 1,024 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProducerId(Arc<str>);

impl ProducerId {
    pub const BYTES_MAX: usize = 1024;

    pub fn parse(text: &str) -> Option<Self> {
        (!text.is_empty() && text.len() <= Self::BYTES_MAX).then(|| Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProducerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! protocol_integer {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(u64);

        impl $name {
            pub const ZERO: Self = Self(0);

            /// `None` above 2^53 − 1.
            pub const fn new(value: u64) -> Option<Self> {
                if value <= INTEGER_MAX { Some(Self(value)) } else { None }
            }

            /// Decimal digits only: no sign, point or exponent.
            pub fn parse(text: &str) -> Option<Self> {
                let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
                digits.then(|| text.parse().ok().and_then(Self::new)).flatten()
            }

            pub const fn get(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

protocol_integer! {
    /// Incarnation of a producer: it starts at 0 and grows with every restart. Not an owner epoch.
    ProducerEpoch
}
protocol_integer! {
    /// Number of a batch within a producer epoch, from 0.
    ProducerSeq
}

/// The tuple that makes an append idempotent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Producer {
    pub id: ProducerId,
    pub epoch: ProducerEpoch,
    pub seq: ProducerSeq,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_plain_decimal_within_the_safe_range() {
        for text in ["", "-1", "+1", "1.0", "1e3", " 1", "9007199254740992", "99999999999999999999"] {
            assert_eq!(ProducerSeq::parse(text), None, "{text:?}");
        }
        assert_eq!(ProducerEpoch::parse("9007199254740991").map(ProducerEpoch::get), Some(INTEGER_MAX));
    }
}
