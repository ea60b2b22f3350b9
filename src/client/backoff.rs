//! How long to wait before trying again: longer each time, never in step with others, as long as the server asks.

use std::time::Duration;

/// Delays that double from `base` to `max`, each drawn from its upper half at random.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    pub base: Duration,
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base: Duration::from_millis(100), max: Duration::from_secs(5) }
    }
}

impl Backoff {
    /// Longest `Retry-After` that is honoured; a larger one would hang its caller.
    const ASKED_MAX: Duration = Duration::from_secs(60);

    /// The delay before retry number `attempt`, from 0. `asked` is the server's `Retry-After`, which is only ever
    /// exceeded: clients that all come back at the second they were told arrive as one crowd.
    pub fn delay(&self, attempt: u32, asked: Option<Duration>) -> Duration {
        let ceiling = self.base.saturating_mul(2u32.saturating_pow(attempt.min(20))).min(self.max);
        let drawn = ceiling.mul_f64(0.5 + fastrand::f64() / 2.0);
        asked.map_or(drawn, |asked| asked.min(Self::ASKED_MAX) + ceiling.mul_f64(fastrand::f64() / 4.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_their_bound() {
        let backoff = Backoff { base: Duration::from_millis(100), max: Duration::from_secs(1) };
        for (attempt, ceiling_ms) in [(0, 100), (1, 200), (2, 400), (3, 800), (4, 1000), (1000, 1000)] {
            let delay = backoff.delay(attempt, None);
            let ceiling = Duration::from_millis(ceiling_ms);
            assert!(delay >= ceiling / 2 && delay <= ceiling, "attempt {attempt}: {delay:?}");
        }
    }

    #[test]
    fn the_servers_wish_is_honoured_within_reason() {
        let backoff = Backoff::default();
        assert!(backoff.delay(0, Some(Duration::from_secs(2))) >= Duration::from_secs(2));
        assert!(backoff.delay(0, Some(Duration::from_secs(1_000_000))) <= Duration::from_secs(61));
    }
}
