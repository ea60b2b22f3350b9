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
        if let Some(text) = plain_text(self.0) {
            return f.write_str(&text);
        }
        let millis = i64::try_from(self.0).unwrap_or(i64::MAX);
        match jiff::Timestamp::from_millisecond(millis) {
            Ok(moment) => write!(f, "{moment:.3}"),
            Err(_) => write!(f, "{}", jiff::Timestamp::MAX),
        }
    }
}

/// The text of a moment up to the year 9999: every change is given one, and the general way costs ten times as much.
fn plain_text(millis: u64) -> Option<String> {
    const DAY: u64 = 86_400_000;
    // Days since 0000-03-01, so that leap days come last; 400 years have 146,097. Source: Howard Hinnant, "chrono-Compatible
    // Low-Level Date Algorithms", civil_from_days.
    let days = millis / DAY + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    if year > 9998 {
        return None;
    }
    let time = millis % DAY;
    let mut text = *b"0000-00-00T00:00:00.000Z";
    let mut put = |at: usize, digits: usize, mut number: u64| {
        for at in (at..at + digits).rev() {
            text[at] = b'0' + (number % 10) as u8;
            number /= 10;
        }
    };
    put(0, 4, year);
    put(5, 2, month);
    put(8, 2, day);
    put(11, 2, time / 3_600_000);
    put(14, 2, time / 60_000 % 60);
    put(17, 2, time / 1_000 % 60);
    put(20, 3, time % 1_000);
    std::str::from_utf8(&text).ok().map(str::to_owned)
}

/// A text that is not an RFC 3339 moment after 1970. Nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a moment is written as in RFC 3339, for example 2026-01-31T12:00:00Z")]
pub struct TimestampFault;

impl FromStr for Timestamp {
    type Err = TimestampFault;

    fn from_str(text: &str) -> Result<Self, TimestampFault> {
        // jiff alone would also read RFC 9557, hours without minutes and commas; those are not RFC 3339.
        if !is_rfc_3339(text) {
            return Err(TimestampFault);
        }
        // RFC 3339 can write a day more than jiff can hold, and "never" is often written so.
        let moment = text.parse().unwrap_or(jiff::Timestamp::MAX);
        u64::try_from(moment.as_millisecond()).map(Self).map_err(|_| TimestampFault)
    }
}

/// Whether a text is a moment of RFC 3339: of any year it can write, also those that a [`Timestamp`] cannot hold.
pub fn is_rfc_3339(text: &str) -> bool {
    let Some((clock, zone)) = text.as_bytes().split_at_checked(19) else { return false };
    let number = |from: usize, to: usize| {
        clock[from..to]
            .iter()
            .try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i16::from(byte - b'0')))
    };
    let separated = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    let fields = [number(0, 4), number(5, 7), number(8, 10), number(11, 13), number(14, 16), number(17, 19)];
    let [Some(year), Some(month), Some(day), Some(hour), Some(minute), Some(second)] = fields else { return false };
    separated.iter().all(|&(at, byte)| clock[at].eq_ignore_ascii_case(&byte))
        && jiff::civil::Date::new(year, month as i8, day as i8).is_ok()
        && hour <= 23
        && minute <= 59
        // A leap second.
        && second <= 60
        && is_zone(without_fraction(zone))
}

/// What follows the seconds, less a fraction of them; nothing where the fraction has no digits.
fn without_fraction(zone: &[u8]) -> &[u8] {
    let Some(fraction) = zone.strip_prefix(b".") else { return zone };
    let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 { &[] } else { &fraction[digits..] }
}

fn is_zone(zone: &[u8]) -> bool {
    matches!(
        zone,
        [b'Z' | b'z']
            | [b'+' | b'-', b'0' | b'1', b'0'..=b'9', b':', b'0'..=b'5', b'0'..=b'9']
            | [b'+' | b'-', b'2', b'0'..=b'3', b':', b'0'..=b'5', b'0'..=b'9']
    )
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

    #[test]
    fn a_moment_reads_the_same_as_in_the_general_way() {
        let last = 253_370_764_800_000u64;
        let steps = (0..200_000u64).map(|n| n * 1_266_853_823 + n % 1_000);
        for millis in steps.chain([0, 951_782_399_999, 951_782_400_000, 951_868_800_000, last - 1, last]) {
            let general = jiff::Timestamp::from_millisecond(millis as i64).unwrap();
            assert_eq!(Timestamp(millis).to_string(), format!("{general:.3}"), "{millis}");
        }
    }

    #[test]
    fn the_end_of_the_last_year_is_as_late_as_can_be() {
        let last: Timestamp = "9999-12-31T23:59:59Z".parse().unwrap();
        assert!(last.to_string().starts_with("9999-12-30T22:00:00.999"));
        assert!(last > "9999-12-30T00:00:00Z".parse().unwrap());
    }

    #[test]
    fn any_year_that_rfc_3339_can_write_is_one() {
        let good = [
            "2026-01-31T13:00:00Z",
            "2026-01-31t13:00:00.123456789z",
            "2026-01-31T13:00:00.5-08:00",
            "0000-01-01T00:00:00Z",
            "0001-01-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "9999-12-31T23:59:59Z",
            "2024-02-29T00:00:00+23:59",
            "2016-12-31T23:59:60Z",
        ];
        for text in good {
            assert!(is_rfc_3339(text), "{text}");
        }
        let bad = [
            "2026-01-31T13:00:00",
            "2026-01-31 13:00:00Z",
            "2026-01-31T13:00Z",
            "2026-01-31T13:00:00+01",
            "2026-01-31T13:00:00+0100",
            "2026-01-31T13:00:00+24:00",
            "2026-01-31T13:00:00.Z",
            "2026-01-31T13:00:00,5Z",
            "2026-01-31T13:00:00Z[UTC]",
            "2025-02-29T00:00:00Z",
            "2026-01-31T24:00:00Z",
            "+02026-01-31T13:00:00Z",
            "2026-01-31T13:00:61Z",
            "2026-01-3éT13:00:00Z",
        ];
        for text in bad {
            assert!(!is_rfc_3339(text), "{text}");
        }
    }
}
