//! A moment, as the rules see it: given to them, never asked for.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Milliseconds since the Unix epoch. Text: RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Saturates at the largest moment instead of wrapping.
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long `earlier` lies back; zero where it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = i64::try_from(self.0).unwrap_or(i64::MAX);
        match jiff::Timestamp::from_millisecond(millis) {
            Ok(moment) => write!(f, "{moment:.3}"),
            Err(_) => write!(f, "{}", jiff::Timestamp::MAX),
        }
    }
}

/// A text that is not an RFC 3339 moment after 1970. Nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a moment is written as in RFC 3339, for example 2026-01-31T12:00:00Z")]
pub struct TimestampFault;

impl FromStr for Timestamp {
    type Err = TimestampFault;

    fn from_str(text: &str) -> Result<Self, TimestampFault> {
        // jiff also reads the extended forms of RFC 9557; those are not RFC 3339.
        let plain = text.len() >= 20 && !text.contains('[') && text.as_bytes()[10].eq_ignore_ascii_case(&b't');
        let moment: jiff::Timestamp = plain.then(|| text.parse().ok()).flatten().ok_or(TimestampFault)?;
        u64::try_from(moment.as_millisecond()).map(Self).map_err(|_| TimestampFault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_3339_round_trips_and_other_forms_are_refused() {
        let moment: Timestamp = "2026-01-31T13:00:00.250+01:00".parse().unwrap();
        assert_eq!(moment.to_string(), "2026-01-31T12:00:00.250Z");
        for text in ["", "tomorrow", "2026-01-31", "1969-12-31T23:59:59Z", "2026-13-01T00:00:00Z"] {
            assert_eq!(text.parse::<Timestamp>(), Err(TimestampFault), "{text:?}");
        }
    }
}
