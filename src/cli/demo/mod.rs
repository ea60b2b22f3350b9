//! `keyfold demo`: a server with something going on in it.

mod entities;
mod fleet;

use std::time::Duration;

use clap::Args;

pub use entities::{Execution, Job, Saga};
pub use fleet::{FleetOptions, FleetProgress, SAGAS_STREAM, WORKERS_STREAM, prepare, run_fleet};

pub(crate) const WORKERS: &str = include_str!("../../../schemas/documents/workers.json");
pub(crate) const SAGAS: &str = include_str!("../../../schemas/documents/sagas.json");

/// The published documents by subject.
pub(crate) const DOCUMENTS: [(&str, &str); 5] = [
    ("workers", WORKERS),
    ("sagas", SAGAS),
    ("triggers", include_str!("../../../schemas/documents/triggers.json")),
    ("auth", include_str!("../../../schemas/documents/auth.json")),
    ("sessions", include_str!("../../../schemas/documents/sessions.json")),
];

/// Which streams each subject rules.
pub(crate) const PATTERNS: [(&str, &str); 5] = [
    ("workers", "netscript/workers/**"),
    ("sagas", "netscript/sagas/**"),
    ("triggers", "netscript/triggers/**"),
    ("auth", "netscript/auth/**"),
    ("sessions", "sessions/**"),
];

#[derive(Args)]
pub struct DemoArgs {
    /// The server's port; 0 takes a free one.
    #[arg(long, default_value_t = 4437)]
    port: u16,
    /// Stop by itself after so many seconds.
    #[arg(long = "for", value_name = "SECONDS")]
    stop_after_s: Option<u64>,
    /// Executions that run at the same time.
    #[arg(long, default_value_t = 12)]
    workers: usize,
    /// Sagas in flight at the same time.
    #[arg(long, default_value_t = 6)]
    sagas: usize,
}

impl DemoArgs {
    fn fleet(&self) -> FleetOptions {
        FleetOptions {
            workers: self.workers,
            sagas: self.sagas,
            stop_after: self.stop_after_s.map(Duration::from_secs),
            ..FleetOptions::default()
        }
    }
}

/// What to open and what to type, ready to paste.
fn guide(url: &str) -> String {
    format!(
        "Keyfold is running at {url}, and a simulated fleet writes to it.\n\
         \n\
         Open\n\
         \x20 {url}/docs\n\
         \n\
         Type, in another terminal\n\
         \x20 keyfold watch {WORKERS_STREAM} execution --url {url}\n\
         \x20 keyfold watch {SAGAS_STREAM} saga-instance --url {url}\n\
         \x20 keyfold list {WORKERS_STREAM} job --url {url}\n\
         \x20 keyfold inspect {WORKERS_STREAM} --url {url}\n\
         \x20 keyfold put {WORKERS_STREAM} job mine '{{\"id\":\"mine\",\"name\":\"My own job\"}}' --url {url}\n\
         \n\
         Or without Keyfold's own tool\n\
         \x20 curl {url}/v1/state/{SAGAS_STREAM}/-/snapshot\n\
         \x20 curl -N {url}/v1/state/{WORKERS_STREAM}/-/events\n\
         \x20 curl {url}/v1/state/{WORKERS_STREAM}/-/openapi.json\n\
         \x20 curl '{url}/v1/stream/{WORKERS_STREAM}?offset=-1'\n"
    )
}

/// One line of progress.
fn progress_line(progress: FleetProgress) -> String {
    let FleetProgress { elapsed, executions, sagas } = progress;
    format!(
        "{:>5} s: {} changes of executions and {} of sagas acknowledged, {} requests repeated",
        elapsed.as_secs(),
        executions.delivered,
        sagas.delivered,
        executions.retries + sagas.retries,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_published_document_is_json_and_bound() {
        for ((subject, document), (bound, _)) in DOCUMENTS.iter().zip(PATTERNS) {
            let document: serde_json::Value = serde_json::from_str(document).unwrap();
            assert!(document["collections"].is_object(), "{subject}");
            assert_eq!(*subject, bound);
        }
    }
}
