//! Metrics in the OpenMetrics text format; names by the Prometheus conventions, listed in `docs/metrics.md`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::engine::{Engine, Shed};

use super::problem::{Problem, ProblemType};
use super::state::Api;

/// Requests since start, by method and status.
#[derive(Debug)]
pub struct Requests {
    answered: Family<RequestLabels, Counter>,
    seconds: Family<MethodLabel, Histogram, fn() -> Histogram>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabel {
    method: &'static str,
}

impl Default for Requests {
    fn default() -> Self {
        Self { answered: Family::default(), seconds: Family::new_with_constructor(histogram) }
    }
}

impl Requests {
    /// Notes an answer: `took` until its head was ready; live responses go on after that.
    pub fn answered(&self, method: &Method, status: StatusCode, took: Duration) {
        let method = known(method);
        self.answered.get_or_create(&RequestLabels { method, status: status.as_u16() }).inc();
        self.seconds.get_or_create(&MethodLabel { method }).observe(took.as_secs_f64());
    }
}

fn histogram() -> Histogram {
    Histogram::new([0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0])
}

/// Clients may send any word as a method; only these become labels.
fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// Metrics for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "operations", responses((status = 200, body = String)))]
pub async fn scrape(State(api): State<Api>, engine: Engine) -> Result<Response, Problem> {
    let mut text = String::new();
    encode(&mut text, &collect(&engine, &api))
        .map_err(|_| Problem::new(ProblemType::Internal, "the metrics could not be written"))?;
    let mut response = text.into_response();
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

fn collect(engine: &Engine, api: &Api) -> Registry {
    let mut registry = Registry::with_prefix("keyfold");
    let requests = api.requests();
    registry.register("http_requests", "Requests answered", requests.answered.clone());
    let help = "Time until the head of an answer was ready";
    registry.register_with_unit("http_request_duration", help, Unit::Seconds, requests.seconds.clone());
    let stats = engine.store_stats();
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let counters = &engine.counters;
    for (name, help, value) in [
        ("appends", "Appends accepted and durable", read(&counters.appends)),
        ("changes", "Changes of typed streams accepted and durable", read(&counters.changes)),
        ("duplicates", "Appends answered as repeats", read(&counters.duplicates)),
        ("refused_changes", "Changes in batches that a schema refused", read(&counters.refused_changes)),
        ("quarantined_changes", "Changes kept aside by their binding", read(&counters.quarantined_changes)),
        ("warned_changes", "Changes accepted that a schema refuses", read(&counters.warned_changes)),
        ("wakes", "Wakes of subscriptions", read(&counters.wakes)),
        ("wake_deliveries", "Attempts to tell a worker of a wake", read(&counters.wake_deliveries)),
        ("failed_wake_deliveries", "Attempts that failed", read(&counters.failed_wake_deliveries)),
        ("journal_barriers", "Times that the journal was made durable", stats.barriers),
        ("journal_records", "Records written to the journal", stats.records),
        ("journal_written_bytes", "Bytes written to the journal", stats.bytes_written),
        ("journal_segments_freed", "Segments given back, since nothing in them was needed", stats.segments_freed),
        ("journal_clusterings", "Times that older records were written again, by stream", stats.clusterings),
        ("journal_clustered_bytes", "Bytes written by that since start", stats.bytes_clustered),
    ] {
        registry.register(name, help, ConstCounter::new(value));
    }
    let sheds = Family::<ReasonLabel, Counter>::default();
    for shed in Shed::ALL {
        let count = counters.sheds.read(shed) + api.sheds().read(shed);
        sheds.get_or_create(&ReasonLabel { reason: shed.reason() }).inc_by(count);
    }
    registry.register("shed", "Turned away because something was used up, by what it was", sheds);
    let ready = u64::from(engine.is_ready());
    for (name, help, value) in [
        ("ready", "Whether writes are accepted", ready),
        ("journal_segments", "Live segment files", stats.segments),
        ("journal_clusters", "Files of older records, sorted by stream", stats.clusters),
        ("journal_stored_bytes", "Bytes that the journal holds, without what was given back", stats.stored_bytes),
        ("in_flight_bytes", "Bytes staged and not yet durable", stats.in_flight_bytes),
        ("bodies_held_bytes", "Room that request bodies hold", api.body_room().held_bytes() as u64),
        ("pages_held_bytes", "Room that pages on their way hold", api.page_room().held_bytes() as u64),
        ("folds_bytes", "Memory that the newest changes of all streams take", engine.folds_bytes() as u64),
        ("streams_held", "Streams that memory holds something of", engine.handles_held() as u64),
        ("live_readers", "Open live reads, and snapshots on their way", read(&counters.live_readers)),
        ("subscriptions", "Subscriptions", engine.subscriptions_held() as u64),
    ] {
        registry.register(name, help, ConstGauge::new(value as i64));
    }
    registry
}
