//! Places in a stream, and where a reader may ask to start.

use std::fmt;
use std::str::FromStr;

/// How many messages (JSON) or bytes (all else) lie before a place in a stream.
pub type Position = u64;

/// Place in a stream, just after some change; where a reader resumes.
///
/// Text: position and walk mark, 16 lowercase hex digits each, so byte order is stream order. Opaque to
/// clients. Never reused, not even after compaction or when a name is created again. Source: PROTOCOL.md §8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Offset {
    pub position: Position,
    /// The mark at which an unfinished folded walk from the beginning began; zero everywhere else.
    pub walk_mark: Position,
}

impl Offset {
    /// The beginning of any stream.
    pub const BEGINNING: Self = Self { position: 0, walk_mark: 0 };

    pub const fn at(position: Position) -> Self {
        Self { position, walk_mark: 0 }
    }

    /// The text as bytes, all of them ASCII: every answer has one, and formatting costs more than the rest of a header.
    pub fn text(self) -> [u8; 33] {
        let mut text = [b'_'; 33];
        for (first, number) in [(0, self.position), (17, self.walk_mark)] {
            for (index, byte) in text[first..first + 16].iter_mut().enumerate() {
                *byte = b"0123456789abcdef"[(number >> (60 - 4 * index) & 0xf) as usize];
            }
        }
        text
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.text()).map_err(|_| fmt::Error)?)
    }
}

/// A text that is not an offset. Nothing was written; the same call cannot succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an offset is 16 lowercase hex digits, `_`, and 16 more, as a response gave it")]
pub struct OffsetFault;

impl FromStr for Offset {
    type Err = OffsetFault;

    fn from_str(text: &str) -> Result<Self, OffsetFault> {
        let hex = |digits: &str| {
            let lower = digits.len() == 16 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            lower.then(|| u64::from_str_radix(digits, 16).ok()).flatten().ok_or(OffsetFault)
        };
        let (position, walk_mark) = text.split_once('_').ok_or(OffsetFault)?;
        Ok(Self { position: hex(position)?, walk_mark: hex(walk_mark)? })
    }
}

/// Where a read starts. `-1` and `now` are places to read from, not offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    Beginning,
    At(Offset),
    Tail,
}

impl FromStr for ReadFrom {
    type Err = OffsetFault;

    fn from_str(text: &str) -> Result<Self, OffsetFault> {
        Ok(match text {
            "-1" => Self::Beginning,
            "now" => Self::Tail,
            _ => match text.parse()? {
                Offset::BEGINNING => Self::Beginning,
                offset => Self::At(offset),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn offset_text_round_trips_and_sorts_like_offsets(a: (u64, u64), b: (u64, u64)) {
            let [a, b] = [a, b].map(|(position, walk_mark)| Offset { position, walk_mark });
            prop_assert_eq!(a.to_string().parse::<Offset>(), Ok(a));
            prop_assert_eq!(a.to_string().cmp(&b.to_string()), a.cmp(&b));
        }

        #[test]
        fn any_other_text_is_refused(text in "\\PC{0,40}") {
            if let Ok(offset) = text.parse::<Offset>() {
                prop_assert_eq!(offset.to_string(), text);
            }
        }
    }

    #[test]
    fn sentinels_are_places_to_read_from() {
        assert_eq!("-1".parse(), Ok(ReadFrom::Beginning));
        assert_eq!("now".parse(), Ok(ReadFrom::Tail));
        assert_eq!(Offset::BEGINNING.to_string().parse(), Ok(ReadFrom::Beginning));
        assert_eq!("0".parse::<ReadFrom>(), Err(OffsetFault));
        assert_eq!("+".parse::<ReadFrom>(), Err(OffsetFault));
    }
}
