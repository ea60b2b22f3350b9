//! Metrics in the OpenMetrics text format; names by the Prometheus conventions, listed in `docs/metrics.md`.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::engine::Engine;

use super::problem::{Problem, ProblemType};

/// Metrics for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "operations", responses((status = 200, body = String)))]
pub async fn scrape(engine: Engine) -> Result<Response, Problem> {
    let mut text = String::new();
    encode(&mut text, &collect(&engine))
        .map_err(|_| Problem::new(ProblemType::Internal, "the metrics could not be written"))?;
    let mut response = text.into_response();
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

fn collect(engine: &Engine) -> Registry {
    let mut registry = Registry::with_prefix("keyfold");
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
        ("journal_barriers", "Times that the journal was made durable", stats.barriers),
        ("journal_records", "Records written to the journal", stats.records),
        ("journal_written_bytes", "Bytes written to the journal", stats.bytes_written),
    ] {
        registry.register(name, help, ConstCounter::new(value));
    }
    let ready = u64::from(engine.is_ready());
    for (name, help, value) in [
        ("ready", "Whether writes are accepted", ready),
        ("journal_segments", "Live segment files", stats.segments),
        ("in_flight_bytes", "Bytes staged and not yet durable", stats.in_flight_bytes),
        ("streams_held", "Streams that memory holds something of", engine.handles_held() as u64),
        ("live_readers", "Open live reads", read(&counters.live_readers)),
    ] {
        registry.register(name, help, ConstGauge::new(value as i64));
    }
    registry
}
