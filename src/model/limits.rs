//! Bounds on what a client may send or make the server hold.

/// Every bound that a client can run into. Each is a setting; these are the defaults.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest request body, in bytes; beyond it 413.
    pub request_bytes_max: usize,
    /// Largest entity value of a typed change, in bytes; beyond it 422 or 413.
    pub value_bytes_max: usize,
    /// Most messages of one request; beyond it 413.
    pub batch_messages_max: usize,
    /// Largest page of a read, in bytes. A batch is split only where it alone exceeds a page.
    pub page_bytes_max: usize,
    /// Deepest nesting of JSON accepted.
    pub json_depth_max: usize,
    /// Producers remembered per stream; a further one is refused with 429.
    pub producers_max: usize,
    /// Forks of one stream; a further one is refused with 429.
    pub forks_max: usize,
    /// Staged and not yet durable bytes of one stream; beyond it 429.
    pub stream_in_flight_bytes_max: usize,
    /// Staged and not yet durable bytes of all streams; beyond it 503.
    pub in_flight_bytes_max: usize,
    /// Registered versions of all subjects; beyond it 429.
    pub schema_versions_max: usize,
    /// Largest registered document, in bytes.
    pub schema_bytes_max: usize,
    /// Bindings; beyond it 429.
    pub bindings_max: usize,
    /// Faults listed in one refusal; the rest are counted.
    pub faults_max: usize,
    /// Open connections; beyond it new ones are closed at once.
    pub connections_max: usize,
    /// Requests in hand: received, and not answered yet. Beyond it 503. Live reads are counted apart.
    pub requests_max: usize,
    /// Open live reads, and snapshots on their way; beyond it 503.
    pub live_readers_max: usize,
    /// Streams whose newest changes are read from the log at the same time; a further one waits, then 503.
    pub fold_loads_max: usize,
    /// Bytes that the newest changes of all streams may take; beyond it those of streams nobody uses now are dropped.
    pub folds_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_bytes_max: 16 << 20,
            value_bytes_max: 1 << 20,
            batch_messages_max: 100_000,
            page_bytes_max: 512 << 10,
            json_depth_max: 128,
            producers_max: 10_000,
            forks_max: 10_000,
            stream_in_flight_bytes_max: 64 << 20,
            in_flight_bytes_max: 256 << 20,
            schema_versions_max: 10_000,
            schema_bytes_max: 1 << 20,
            bindings_max: 1_000,
            faults_max: 100,
            connections_max: 20_000,
            requests_max: 10_000,
            live_readers_max: 50_000,
            fold_loads_max: 4,
            folds_bytes_max: 2 << 30,
        }
    }
}
