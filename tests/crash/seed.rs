//! Chance with a name: which seed a case runs with, and how to run it again.

use std::thread::panicking;

/// A case's chance. Dropped by a failing case it says how to repeat it.
pub struct Seed {
    case: &'static str,
    seed: u64,
    pub rng: fastrand::Rng,
}

impl Seed {
    pub fn of(case: &'static str) -> Self {
        let given = std::env::var("KEYFOLD_CRASH_SEED").ok();
        let seed =
            given.map_or_else(|| fastrand::u64(..), |text| text.parse().expect("KEYFOLD_CRASH_SEED is a number"));
        Self { case, seed, rng: fastrand::Rng::with_seed(seed) }
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        if panicking() {
            let rounds =
                std::env::var("KEYFOLD_CRASH_ROUNDS").map_or(String::new(), |n| format!("KEYFOLD_CRASH_ROUNDS={n} "));
            eprintln!("repeat with: KEYFOLD_CRASH_SEED={} {rounds}cargo test --test crash {}", self.seed, self.case);
        }
    }
}

/// How many times a case is killed and started again, unless the environment says more.
pub fn rounds(usual: usize) -> usize {
    std::env::var("KEYFOLD_CRASH_ROUNDS")
        .map_or(usual, |text| text.parse().expect("KEYFOLD_CRASH_ROUNDS is a number"))
}
