//! When a failed delivery is tried again. Source: PROTOCOL.md §7.1.

use std::time::Duration;

pub const RETRY_FIRST: Duration = Duration::from_secs(1);
pub const RETRY_MAX: Duration = Duration::from_secs(60);
const JITTER: f64 = 0.2;

/// How long to wait after the `failures`th failure in a row: 1 s, doubled each time, at most 60 s, and up to 20 % more
/// or less. `dice` is from 0 to 1.
pub fn retry_delay(failures: u32, dice: f64) -> Duration {
    let doubled = 2u32.saturating_pow(failures.saturating_sub(1).min(16));
    let base = RETRY_FIRST.saturating_mul(doubled).min(RETRY_MAX);
    base.mul_f64(1.0 + JITTER * (2.0 * dice.clamp(0.0, 1.0) - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn delays_double_from_a_second_to_a_minute() {
        let seconds: Vec<f64> = (1..=9).map(|n| retry_delay(n, 0.5).as_secs_f64()).collect();
        assert_eq!(seconds, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]);
    }

    proptest! {
        #[test]
        fn a_delay_strays_by_a_fifth_at_most(failures: u32, dice in 0.0..=1.0f64) {
            let (delay, middle) = (retry_delay(failures, dice).as_secs_f64(), retry_delay(failures, 0.5).as_secs_f64());
            prop_assert!((delay - middle).abs() <= middle * 0.2 + 1e-9);
            prop_assert!((0.8 - 1e-9..=72.0 + 1e-9).contains(&delay));
        }
    }
}
