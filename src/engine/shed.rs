//! What was turned away because something was used up: counted by what it was, so that an operator knows which bound to
//! look at. Whoever refuses counts; the refusal itself says when to come back and that nothing was written.

use std::sync::atomic::{AtomicU64, Ordering};

/// What there was too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shed {
    /// Open connections; a further one is closed.
    Connections,
    /// Requests in hand.
    Requests,
    /// Live readers.
    LiveReaders,
    /// Bytes of request bodies in memory.
    Bodies,
    /// Bytes of pages on their way; a live reader is not refused, but counted each time that it waits in vain.
    Pages,
    /// Streams whose newest changes are being read from the log.
    FoldLoads,
    /// Documents that are being compared, or held against stored entities.
    SchemaChecks,
    /// Bytes of one stream that wait for the disk.
    StreamInFlight,
    /// Bytes of all streams that wait for the disk.
    InFlight,
}

impl Shed {
    pub const ALL: [Self; 9] = [
        Self::Connections,
        Self::Requests,
        Self::LiveReaders,
        Self::Bodies,
        Self::Pages,
        Self::FoldLoads,
        Self::SchemaChecks,
        Self::StreamInFlight,
        Self::InFlight,
    ];

    /// As metrics call it.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Requests => "requests",
            Self::LiveReaders => "live_readers",
            Self::Bodies => "bodies",
            Self::Pages => "pages",
            Self::FoldLoads => "fold_loads",
            Self::SchemaChecks => "schema_checks",
            Self::StreamInFlight => "stream_in_flight",
            Self::InFlight => "in_flight",
        }
    }
}

/// How often, since start, and by what.
#[derive(Debug, Default)]
pub struct Sheds([AtomicU64; Shed::ALL.len()]);

impl Sheds {
    pub fn count(&self, shed: Shed) {
        self.0[shed as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub fn read(&self, shed: Shed) -> u64 {
        self.0[shed as usize].load(Ordering::Relaxed)
    }
}
