//! What was measured: how long each thing took, how much there was, and what went wrong by name.
//!
//! Its invariant: only what falls into the measuring window is counted, and a latency counts from when a thing was due,
//! not from when a busy connection got round to it.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

/// Latencies in microseconds, up to ten minutes, to three digits.
#[derive(Clone, Debug)]
pub struct Latencies(pub Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, 600_000_000, 3).expect("the bounds are constants that it accepts"))
    }
}

impl Latencies {
    pub fn record(&mut self, took: Duration) {
        // What is longer than the bound counts as the bound.
        self.0.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1));
    }
}

/// One kind of work.
#[derive(Clone, Debug, Default)]
pub struct Kind {
    /// From when it was due to when it was over.
    pub latency: Latencies,
    /// From when it was sent, which is later where its connection was busy. Empty for kinds that are not requests.
    pub service: Latencies,
    pub requests: u64,
    pub messages: u64,
    /// Of bodies.
    pub bytes: u64,
}

impl Kind {
    fn add(&mut self, other: &Self) {
        self.latency.0 += &other.latency.0;
        self.service.0 += &other.service.0;
        self.requests += other.requests;
        self.messages += other.messages;
        self.bytes += other.bytes;
    }
}

/// All that one thread measured.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub writes: Kind,
    /// Reads that are mixed into the writes.
    pub reads: Kind,
    /// Messages that came to live readers.
    pub deliveries: Kind,
    /// Logs that were read from their beginning to their end.
    pub replays: Kind,
    /// Requests that were due and never sent; their latencies are what they had waited by then.
    pub unsent: u64,
    pub errors: BTreeMap<String, u64>,
}

impl Tally {
    pub fn add(&mut self, other: &Self) {
        self.writes.add(&other.writes);
        self.reads.add(&other.reads);
        self.deliveries.add(&other.deliveries);
        self.replays.add(&other.replays);
        self.unsent += other.unsent;
        for (name, count) in &other.errors {
            self.fail(name, *count);
        }
    }

    pub fn fail(&mut self, name: &str, count: u64) {
        *self.errors.entry(name.to_owned()).or_default() += count;
    }
}
