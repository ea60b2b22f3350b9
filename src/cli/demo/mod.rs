//! `keyfold demo`: a server with something going on in it.

mod entities;
mod fleet;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::failure::Failure;
use super::output::{Out, note};
use super::serve::stop_signal;
use crate::client::Client;
use crate::config::ServeArgs;
use crate::server::{self, ServerError};

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
    /// Keep the data in this directory; otherwise it is gone afterwards.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
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

/// Serves and writes until the time is over, or until it is told to stop.
pub async fn run(args: DemoArgs) -> Result<(), Failure> {
    let data = Data::of(&args)?;
    let serve = ServeArgs { port: Some(args.port), data_dir: Some(data.dir().to_owned()), ..ServeArgs::default() };
    let settings = serve.settings().map_err(|cause| Failure::Usage(cause.to_string()))?;
    let running = server::start(settings).await.map_err(not_started)?;
    let client = Client::new(&running.url())?;
    let outcome = tokio::select! {
        outcome = drive(&client, args.fleet()) => outcome,
        () = stop_signal() => Ok(()),
    };
    note("stopping");
    running.stop().await.map_err(|cause| Failure::Failed(cause.to_string()))?;
    outcome
}

async fn drive(client: &Client, options: FleetOptions) -> Result<(), Failure> {
    prepare(client).await?;
    let mut out = Out::stdout(false);
    out.line(&guide(client.base_url()))?;
    out.flush()?;
    drop(out);
    let done = run_fleet(client, options, |progress| note(&progress_line(progress))).await?;
    note(&progress_line(done));
    Ok(())
}

fn not_started(cause: ServerError) -> Failure {
    let hint = if matches!(cause, ServerError::Listen { .. }) { "\n  --port 0 takes a free port" } else { "" };
    Failure::Failed(format!("{cause}{hint}"))
}

/// Where the demo's data lies.
enum Data {
    Kept(PathBuf),
    /// Removed when this is dropped.
    Passing(PathBuf),
}

impl Data {
    fn of(args: &DemoArgs) -> Result<Self, Failure> {
        if let Some(dir) = &args.data_dir {
            return Ok(Self::Kept(dir.clone()));
        }
        let dir = std::env::temp_dir().join(format!("keyfold-demo-{}", std::process::id()));
        // Fails where it exists: what somebody else put there is neither served nor removed.
        std::fs::create_dir(&dir)
            .map_err(|cause| Failure::Failed(format!("cannot make {}: {cause}", dir.display())))?;
        Ok(Self::Passing(dir))
    }

    fn dir(&self) -> &Path {
        match self {
            Self::Kept(dir) | Self::Passing(dir) => dir,
        }
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        if let Self::Passing(dir) = self {
            // What cannot be removed is left to the system that owns the directory for passing files.
            let _ = std::fs::remove_dir_all(dir);
        }
    }
}

/// What to open and what to type, ready to paste.
fn guide(url: &str) -> String {
    let keyfold = program();
    format!(
        "Keyfold is running at {url}, and a simulated fleet writes to it.\n\
         \n\
         Open\n\
         \x20 {url}/docs\n\
         \n\
         Type, in another terminal\n\
         \x20 {keyfold} watch {WORKERS_STREAM} execution --url {url}\n\
         \x20 {keyfold} watch {SAGAS_STREAM} saga-instance --url {url}\n\
         \x20 {keyfold} list {WORKERS_STREAM} job --url {url}\n\
         \x20 {keyfold} inspect {WORKERS_STREAM} --url {url}\n\
         \x20 {keyfold} put {WORKERS_STREAM} job mine '{{\"id\":\"mine\",\"name\":\"My own job\"}}' --url {url}\n\
         \n\
         Or without Keyfold's own tool\n\
         \x20 curl {url}/v1/state/{SAGAS_STREAM}/-/snapshot\n\
         \x20 curl -N {url}/v1/state/{WORKERS_STREAM}/-/events\n\
         \x20 curl {url}/v1/state/{WORKERS_STREAM}/-/openapi.json\n\
         \x20 curl '{url}/v1/stream/{WORKERS_STREAM}?offset=-1'"
    )
}

/// How to call this program from another terminal: by its name where that is found, else by its path.
fn program() -> String {
    let name = "keyfold";
    let found =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|dir| dir.join(name).is_file());
    match std::env::current_exe() {
        Ok(path) if !found => path.display().to_string(),
        _ => name.to_owned(),
    }
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
