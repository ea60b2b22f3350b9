//! How long a stream lives: a sliding window of idleness, or a fixed end. Source: PROTOCOL.md §5.1.

use std::time::Duration;

use crate::model::Timestamp;

/// The lifetime a stream was created with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Lifetime {
    #[default]
    Unlimited,
    /// Ends once neither read nor written for so long.
    Idle(Duration),
    /// Ends at a moment, used or not.
    Until(Timestamp),
}

/// When a stream ends, as far as one can say now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Expiry {
    At(Timestamp),
    Never,
}

impl Lifetime {
    /// When a stream ends that was last used at `used_at`.
    pub fn expiry(self, used_at: Timestamp) -> Expiry {
        match self {
            Self::Unlimited => Expiry::Never,
            Self::Idle(window) => Expiry::At(used_at.after(window)),
            Self::Until(moment) => Expiry::At(moment),
        }
    }

    pub fn is_over(self, used_at: Timestamp, now: Timestamp) -> bool {
        matches!(self.expiry(used_at), Expiry::At(moment) if moment <= now)
    }

    /// Whether a use at `now` must reach the log: at most every tenth of the window does.
    pub fn must_journal_use(self, journaled_at: Timestamp, now: Timestamp) -> bool {
        matches!(self, Self::Idle(window) if now.since(journaled_at) >= window / 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: fn(u64) -> Timestamp = Timestamp::from_millis;

    #[test]
    fn an_idle_window_slides_and_a_fixed_end_does_not() {
        let idle = Lifetime::Idle(Duration::from_secs(1));
        assert!(!idle.is_over(AT(5_000), AT(5_999)));
        assert!(idle.is_over(AT(5_000), AT(6_000)));
        let fixed = Lifetime::Until(AT(7_000));
        assert!(!fixed.is_over(AT(9_000), AT(6_999)));
        assert!(fixed.is_over(AT(9_000), AT(7_000)));
        assert!(!Lifetime::Unlimited.is_over(AT(0), AT(u64::MAX)));
    }

    #[test]
    fn uses_reach_the_log_every_tenth_of_the_window() {
        let idle = Lifetime::Idle(Duration::from_secs(10));
        assert!(!idle.must_journal_use(AT(0), AT(999)));
        assert!(idle.must_journal_use(AT(0), AT(1_000)));
        assert!(!Lifetime::Unlimited.must_journal_use(AT(0), AT(u64::MAX)));
    }
}
