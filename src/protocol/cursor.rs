//! Cursors that keep shared caches from serving one empty answer for ever. Source: PROTOCOL.md §10.1.

use crate::model::Timestamp;

const INTERVAL_MS: u64 = 20_000;
/// October 9, 2024 00:00:00 UTC.
const EPOCH_MS: u64 = 1_728_432_000_000;

/// The cursor to send now. Where the client's own is not behind, it moves past it by `jitter_s` seconds' worth of
/// intervals, at least one.
pub fn cursor(now: Timestamp, given: Option<&str>, jitter_s: u64) -> u64 {
    let current = current(now);
    let given: Option<u64> = given.and_then(|text| text.parse().ok());
    match given {
        Some(given) if given >= current => given.saturating_add((jitter_s * 1000 / INTERVAL_MS).max(1)),
        _ => current,
    }
}

/// The cursor of readers that came with none.
pub fn current(now: Timestamp) -> u64 {
    now.as_millis().saturating_sub(EPOCH_MS) / INTERVAL_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_never_stand_still_or_go_back() {
        let now = Timestamp::from_millis(EPOCH_MS + 1_000 * INTERVAL_MS);
        assert_eq!(cursor(now, None, 1), 1000);
        assert_eq!(cursor(now, Some("999"), 1), 1000);
        assert_eq!(cursor(now, Some("1000"), 1), 1001);
        assert_eq!(cursor(now, Some("5000"), 3600), 5180);
        assert_eq!(cursor(now, Some("junk"), 1), 1000);
        assert_eq!(cursor(now, Some(&u64::MAX.to_string()), 9), u64::MAX);
    }
}
