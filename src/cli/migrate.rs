//! `keyfold migrate`: carries a stream's entities over to another version of its schema, and shows how far that is.

use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::failure::Failure;
use super::output::{Out, note};
use super::put::read_json;
use super::{Remote, table};
use crate::client::{
    CancelledReply, DryRunReply, FailureBody, MigrationBody, MigrationRequest, MigrationTarget, StateText,
    StreamHandle,
};

#[derive(Args)]
#[command(group(clap::ArgGroup::new("what").args(["to", "resume", "cancel"])))]
pub struct MigrateArgs {
    /// The stream, for example `netscript/workers`. Alone, its migrations are printed.
    stream: String,
    /// The version to lead to, as SUBJECT@VERSION; of the stream's own subject as @VERSION.
    #[arg(long, value_name = "SUBJECT@VERSION")]
    to: Option<String>,
    /// What is done to the entities of which collection: a JSON file; `-` reads standard input.
    #[arg(long, value_name = "FILE", requires = "to")]
    steps: Option<String>,
    /// Only say what would happen.
    #[arg(long, requires = "to")]
    dry_run: bool,
    /// Begin without trying all entities first.
    #[arg(long, requires = "to", conflicts_with = "dry_run")]
    no_check: bool,
    /// Let the migration ID go on, which has failed.
    #[arg(long, value_name = "ID")]
    resume: Option<u32>,
    /// Give the migration ID up: the stream is bound to the former version again.
    #[arg(long, value_name = "ID")]
    cancel: Option<u32>,
}

/// How often the server is asked how far it is.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);
/// How long it may be away.
const PATIENCE: Duration = Duration::from_secs(60);

pub async fn run(Remote { args, connection }: Remote<MigrateArgs>) -> Result<(), Failure> {
    let (stream, mut out) = (connection.client()?.stream(&args.stream), connection.out());
    match (&args.to, args.resume, args.cancel) {
        (Some(to), ..) => {
            let request = request(to, args.steps.as_deref())?;
            if args.dry_run {
                return tell_tried(&mut out, &stream.try_migration(&request).await?);
            }
            let begun = stream.migrate(&request, !args.no_check).await?;
            follow(&stream, &mut out, begun).await
        }
        (_, Some(id), _) => {
            let resumed = stream.continue_migration(id).await?;
            follow(&stream, &mut out, resumed).await
        }
        (.., Some(id)) => tell_cancelled(&mut out, &stream.cancel_migration(id).await?),
        _ => list(&mut out, &stream.migrations().await?),
    }
}

fn request(to: &str, steps: Option<&str>) -> Result<MigrationRequest, Failure> {
    let target = to.rsplit_once('@').and_then(|(subject, version)| {
        let subject = (!subject.is_empty()).then(|| subject.to_owned());
        Some(MigrationTarget { subject, version: version.parse().ok()? })
    });
    let to = target.ok_or_else(|| Failure::Usage(format!("{to:?} is not SUBJECT@VERSION")))?;
    let steps = match steps {
        None => Default::default(),
        Some(file) => {
            let source = if file == "-" { file.to_owned() } else { format!("@{file}") };
            let steps: Value = read_json(&source)?;
            serde_json::from_value(steps)
                .map_err(|cause| Failure::Usage(format!("{file} holds no steps: {cause}")))?
        }
    };
    Ok(MigrationRequest { to, steps })
}

/// Shows how far a migration is until it rests.
async fn follow(stream: &StreamHandle, out: &mut Out, mut found: MigrationBody) -> Result<(), Failure> {
    // Hidden where standard error is no terminal.
    let bar = ProgressBar::new(1_000);
    if let Ok(style) = ProgressStyle::with_template("{bar:32} {percent} %, {msg}") {
        bar.set_style(style);
    }
    let mut silent_since = None::<Instant>;
    while found.state == StateText::Running {
        bar.set_position((found.progress * 1_000.0) as u64);
        bar.set_message(format!("{} of {} rewritten", found.entities.rewritten, found.entities.total));
        tokio::time::sleep(BETWEEN_LOOKS).await;
        match stream.migration(found.id).await {
            Ok(now) => (found, silent_since) = (now, None),
            // It goes on where it was once the server is back.
            Err(error) if error.is_transient() => {
                let since = *silent_since.get_or_insert_with(Instant::now);
                if since.elapsed() > PATIENCE {
                    return Err(error.into());
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    bar.finish_and_clear();
    if out.is_json() {
        out.json(&found)?;
    } else {
        out.line(&summary(&found))?;
    }
    out.flush()?;
    match found.state {
        StateText::Done => Ok(()),
        _ => {
            tell_failures(&found.failures);
            let id = found.id;
            Err(Failure::Failed(format!("migration {id} waits: repair and --resume {id}, or --cancel {id}")))
        }
    }
}

fn summary(found: &MigrationBody) -> String {
    let (state, entities) = (state(found.state), found.entities);
    format!(
        "{state}: {} of {} entities rewritten, {} as they were",
        entities.rewritten, entities.total, entities.unchanged
    )
}

fn state(state: StateText) -> &'static str {
    match state {
        StateText::Running => "running",
        StateText::Failed => "failed",
        StateText::Done => "done",
        StateText::Cancelled => "cancelled",
    }
}

fn tell_tried(out: &mut Out, tried: &DryRunReply) -> Result<(), Failure> {
    if out.is_json() {
        out.json(tried)?;
    } else {
        let (rewritten, unchanged, failing) = (tried.would_rewrite, tried.unchanged, tried.failing);
        out.line(&format!(
            "of {} entities: {rewritten} to rewrite, {unchanged} as they are, {failing} fail",
            tried.total
        ))?;
        for sample in &tried.samples {
            out.line(&format!("{}/{}\n  - {}\n  + {}", sample.entity_type, sample.key, sample.before, sample.after))?;
        }
    }
    out.flush()?;
    tell_failures(&tried.failures);
    match tried.failing {
        0 => Ok(()),
        failing => Err(Failure::Failed(format!("{failing} entities cannot be carried over"))),
    }
}

fn tell_failures(failures: &[FailureBody]) {
    for failure in failures {
        for error in &failure.errors {
            note(&format!("{}/{} {}: {}", failure.entity_type, failure.key, error.pointer, error.message));
        }
    }
}

fn tell_cancelled(out: &mut Out, cancelled: &CancelledReply) -> Result<(), Failure> {
    if out.is_json() {
        out.json(cancelled)?;
    } else {
        let (to, from) = (&cancelled.migration.to, &cancelled.migration.from);
        out.line(&format!("bound to {}@{} again", from.subject, from.version))?;
        for left in &cancelled.left {
            let fits = if left.fits { "fits" } else { "does not fit" };
            out.line(&format!(
                "{}/{} written under {}@{}: {fits}",
                left.entity_type, left.key, to.subject, to.version
            ))?;
        }
        if cancelled.more_left > 0 {
            out.line(&format!("and {} more", cancelled.more_left))?;
        }
    }
    Ok(out.flush()?)
}

fn list(out: &mut Out, migrations: &[MigrationBody]) -> Result<(), Failure> {
    if !out.is_json() {
        let row = |found: &MigrationBody| {
            let version = |schema: &crate::client::SchemaBody| format!("{}@{}", schema.subject, schema.version);
            let progress = format!("{:.0} %", found.progress * 100.0);
            let rewritten = format!("{} of {}", found.entities.rewritten, found.entities.total);
            [
                found.id.to_string(),
                state(found.state).to_owned(),
                version(&found.from),
                version(&found.to),
                progress,
                rewritten,
            ]
        };
        return table::print(out, ["id", "state", "from", "to", "progress", "rewritten"], migrations.iter().map(row));
    }
    for found in migrations {
        out.json(found)?;
    }
    Ok(out.flush()?)
}
