//! `keyfold backup` and `keyfold restore`: a copy of a running server's directory, and a directory of such a copy.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::model::Timestamp;
use crate::runtime::Clock;
use crate::storage::disk::OsDisk;
use crate::storage::journal::backup::{Backup, BackupOptions, Report, backup};
use crate::storage::journal::restore::{Restored, Until, restore};

use super::failure::Failure;
use super::output::Out;
use super::transfer::{about, beside, sync_parent};

/// How long the server may take to prove its newest records; an idle one does within 50 ms.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Args)]
pub struct BackupArgs {
    /// The directory of the backup: a new one, or one of this server's; only what is new is copied then
    backup: PathBuf,
    /// The server's data directory; the server may run
    #[arg(long, value_name = "DIR", env = "STREAMS_DATA_DIR", default_value = "keyfold-data")]
    data_dir: PathBuf,
    /// Copy at most so many MiB in a second
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    mib_per_second: Option<u64>,
    /// Let go of what the server has given back: moments before now can then not be restored from it
    #[arg(long)]
    prune: bool,
    /// Print one JSON document per line
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct RestoreArgs {
    /// What `keyfold backup` wrote
    backup: PathBuf,
    /// The directory to make: it is missing, or empty
    #[arg(long, value_name = "DIR", env = "STREAMS_DATA_DIR", default_value = "keyfold-data")]
    data_dir: PathBuf,
    /// Restore what lies below a journal position
    #[arg(long, value_name = "POSITION", conflicts_with = "to_time")]
    to_position: Option<u64>,
    /// Restore what was committed by a moment, such as 2026-11-20T18:45:00Z
    #[arg(long, value_name = "TIME")]
    to_time: Option<jiff::Timestamp>,
    /// Read and check everything, and make nothing
    #[arg(long)]
    check: bool,
    /// Print one JSON document per line
    #[arg(long)]
    json: bool,
}

pub async fn run_backup(args: BackupArgs) -> Result<(), Failure> {
    let work = move || make_backup(&args);
    tokio::task::spawn_blocking(work).await.map_err(|cause| Failure::Failed(cause.to_string()))?
}

pub async fn run_restore(args: RestoreArgs) -> Result<(), Failure> {
    let work = move || make_directory(&args);
    tokio::task::spawn_blocking(work).await.map_err(|cause| Failure::Failed(cause.to_string()))?
}

fn make_backup(args: &BackupArgs) -> Result<(), Failure> {
    let journal = journal_of(&args.data_dir)?;
    if args.backup.join("journal").exists() {
        return Err(Failure::Usage(format!("{} is a data directory; give another one", args.backup.display())));
    }
    let target = OsDisk::new(&args.backup).map_err(|cause| about(&args.backup, &cause))?;
    let bar = bar();
    let options = BackupOptions {
        clock: Clock::system(),
        bytes_per_second: args.mib_per_second.map(|mib| mib << 20),
        prune: args.prune,
        patience: PATIENCE,
        pause: &std::thread::sleep,
        progress: &|done, total| show(&bar, done, total),
    };
    let made = backup(&OsDisk::to_read(journal), &target, &options);
    bar.finish_and_clear();
    let Report { backup, bytes_copied, segments_copied } = made.map_err(|cause| failed(&args.backup, &cause))?;
    let mut out = Out::stdout(args.json);
    if out.is_json() {
        out.json(&json!({
            "position": backup.position,
            "time": time(backup.time_ms),
            "begins": time(backup.begins_ms()),
            "taken_at": time(backup.taken_at_ms),
            "segments": backup.segments.len(),
            "bytes": backup.bytes(),
            "segments_copied": segments_copied,
            "bytes_copied": bytes_copied,
            "gaps": backup.gaps,
        }))?;
    } else {
        out.line(&format!(
            "backup: up to journal position {}, {}; {bytes_copied} bytes of {} copied",
            backup.position,
            written_at(&backup),
            backup.bytes()
        ))?;
    }
    Ok(out.flush()?)
}

fn written_at(backup: &Backup) -> String {
    match backup.segments.is_empty() {
        true => "nothing is written there".into(),
        false => format!("the last record of {}", time(backup.time_ms)),
    }
}

fn make_directory(args: &RestoreArgs) -> Result<(), Failure> {
    let until = match (args.to_position, args.to_time) {
        (Some(position), _) => Until::Position(position),
        (None, Some(time)) => Until::Time(Timestamp::from_millis(u64::try_from(time.as_millisecond()).unwrap_or(0))),
        (None, None) => Until::End,
    };
    if !args.backup.is_dir() {
        return Err(Failure::Failed(format!("{} is no directory", args.backup.display())));
    }
    let source = OsDisk::to_read(&args.backup);
    let bar = bar();
    let progress = |done, total| show(&bar, done, total);
    let clock = Clock::system();
    if args.check {
        let checked = restore(&source, None, until, &clock, &progress);
        bar.finish_and_clear();
        return tell("can be restored", args.json, checked.map_err(|cause| failed(&args.backup, &cause))?);
    }
    let dir = &args.data_dir;
    if dir.exists() && std::fs::read_dir(dir).map_err(|cause| about(dir, &cause))?.next().is_some() {
        let text = "it is not empty; move it away, or restore elsewhere with --data-dir";
        return Err(Failure::Failed(format!("{}: {text}", dir.display())));
    }
    // Made beside it and named last: the directory is there as a whole or not at all.
    let beside = beside(dir, "restoring");
    if beside.exists() {
        std::fs::remove_dir_all(&beside).map_err(|cause| about(&beside, &cause))?;
    }
    let target = OsDisk::new(beside.join("journal")).map_err(|cause| about(&beside, &cause))?;
    let made = restore(&source, Some(&target), until, &clock, &progress);
    bar.finish_and_clear();
    let named = made.map_err(|cause| failed(&args.backup, &cause)).and_then(|done| {
        std::fs::rename(&beside, dir).and_then(|()| sync_parent(dir)).map_err(|cause| about(dir, &cause))?;
        Ok(done)
    });
    let done = named.inspect_err(|_| drop(std::fs::remove_dir_all(&beside)))?;
    tell("restored", args.json, done)
}

fn tell(what: &str, json: bool, done: Restored) -> Result<(), Failure> {
    let mut out = Out::stdout(json);
    let Restored { position, time_ms, records, bytes, positions_from } = done;
    if out.is_json() {
        out.json(&json!({
            "position": position,
            "time": time(time_ms),
            "records": records,
            "bytes": bytes,
            "new_positions_from": format!("{positions_from:016x}"),
        }))?;
    } else {
        let last = if records == 0 { "nothing".to_owned() } else { format!("up to {}", time(time_ms)) };
        out.line(&format!("{what}: {records} records, {last}, journal position {position}"))?;
    }
    Ok(out.flush()?)
}

fn journal_of(data_dir: &Path) -> Result<PathBuf, Failure> {
    let journal = data_dir.join("journal");
    match journal.is_dir() {
        true => Ok(journal),
        false => Err(Failure::Failed(format!("{} holds no journal", data_dir.display()))),
    }
}

fn failed(backup: &Path, cause: &dyn std::error::Error) -> Failure {
    Failure::Failed(format!("{}: {cause}", backup.display()))
}

/// In RFC 3339; empty for a moment that is none.
fn time(ms: u64) -> String {
    let moment = i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    moment.filter(|_| ms > 0).map_or(String::new(), |moment| moment.to_string())
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::no_length();
    // What does not parse is not shown; the bar itself is hidden where standard error is no terminal.
    if let Ok(style) = ProgressStyle::with_template("{bar:32} {bytes} of {total_bytes}, {eta} left") {
        bar.set_style(style);
    }
    bar
}

fn show(bar: &ProgressBar, done: u64, total: u64) {
    bar.set_length(total);
    bar.set_position(done);
}
