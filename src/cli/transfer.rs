//! `keyfold export` and `keyfold import`: a data directory as lines of text, and back.
//!
//! Both work on the directory of a server that is stopped: what a retry is recognised by, and which positions a name has
//! had, is nothing that the API tells or takes.

use std::fs::File;
use std::io::{self, BufReader, BufWriter};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::engine::transfer::{Transferred, check, export, import, lifts};
use crate::model::Position;
use crate::runtime::Clock;
use crate::storage::{Journal, JournalOptions, Store};

use super::failure::Failure;
use super::output::note;

#[derive(Args)]
pub struct ExportArgs {
    /// The server's data directory; the server must be stopped
    #[arg(long, value_name = "DIR", env = "STREAMS_DATA_DIR", default_value = "keyfold-data")]
    data_dir: PathBuf,
    /// Where to write to; standard output if not given. A file that is there is not replaced
    file: Option<PathBuf>,
}

#[derive(Args)]
pub struct ImportArgs {
    /// What `keyfold export` wrote
    file: PathBuf,
    /// The directory to make: it is missing, or empty
    #[arg(long, value_name = "DIR", env = "STREAMS_DATA_DIR", default_value = "keyfold-data")]
    data_dir: PathBuf,
}

pub async fn run_export(args: ExportArgs) -> Result<(), Failure> {
    let work = move || write_lines(&args);
    tokio::task::spawn_blocking(work).await.map_err(|cause| Failure::Failed(cause.to_string()))?
}

pub async fn run_import(args: ImportArgs) -> Result<(), Failure> {
    let work = move || read_lines(&args);
    tokio::task::spawn_blocking(work).await.map_err(|cause| Failure::Failed(cause.to_string()))?
}

fn write_lines(args: &ExportArgs) -> Result<(), Failure> {
    if !args.data_dir.join("journal").is_dir() {
        return Err(Failure::Failed(format!("{} holds no journal", args.data_dir.display())));
    }
    let journal = open(&args.data_dir, Vec::new())?;
    let former = journal.former_ends().map_err(Failure::Failed)?;
    let failed = |cause: crate::engine::transfer::TransferError| Failure::Failed(cause.to_string());
    let done = match &args.file {
        None => export(&*journal, former, journal.lifts(), BufWriter::new(io::stdout().lock())).map_err(failed)?,
        Some(path) => {
            let file = File::create_new(path).map_err(|cause| about(path, &cause))?;
            let done = export(&*journal, former, journal.lifts(), BufWriter::new(&file)).map_err(failed)?;
            file.sync_all().map_err(|cause| about(path, &cause))?;
            done
        }
    };
    journal.close();
    tell("exported", done);
    Ok(())
}

fn read_lines(args: &ImportArgs) -> Result<(), Failure> {
    let dir = &args.data_dir;
    if dir.exists() && std::fs::read_dir(dir).map_err(|cause| about(dir, &cause))?.next().is_some() {
        let text = "it is not empty; an import gives every stream the positions it had, so it makes a new directory";
        return Err(Failure::Failed(format!("{}: {text}", dir.display())));
    }
    let lines = || File::open(&args.file).map(BufReader::new).map_err(|cause| about(&args.file, &cause));
    let failed = |cause: crate::engine::transfer::TransferError| {
        Failure::Failed(format!("{}: {cause}\n  nothing was imported", args.file.display()))
    };
    check(lines()?).map_err(failed)?;
    // Made beside it and named last: the directory is there as a whole or not at all.
    let beside = beside(dir, "importing");
    if beside.exists() {
        std::fs::remove_dir_all(&beside).map_err(|cause| about(&beside, &cause))?;
    }
    let lifted = lifts(lines()?).map_err(failed)?;
    let written = open(&beside, lifted.clone()).and_then(|journal| {
        let done = import(&*journal, &lifted, lines()?).map_err(failed);
        journal.close();
        done
    });
    let named = written.and_then(|done| {
        std::fs::rename(&beside, dir).and_then(|()| sync_parent(dir)).map_err(|cause| about(dir, &cause))?;
        Ok(done)
    });
    let done = named.inspect_err(|_| drop(std::fs::remove_dir_all(&beside)))?;
    tell("imported", done);
    Ok(())
}

fn open(dir: &Path, lifts: Vec<Position>) -> Result<std::sync::Arc<Journal>, Failure> {
    let options = JournalOptions { lifts, ..JournalOptions::new(Clock::system()) };
    Journal::open_dir(dir, options).map_err(|cause| Failure::Failed(cause.to_string()))
}

/// The same path with another ending, on the same file system.
pub(super) fn beside(dir: &Path, ending: &str) -> PathBuf {
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{ending}"));
    dir.with_file_name(name)
}

pub(super) fn sync_parent(dir: &Path) -> io::Result<()> {
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

pub(super) fn about(path: &Path, cause: &io::Error) -> Failure {
    Failure::Failed(format!("{}: {cause}", path.display()))
}

fn tell(what: &str, done: Transferred) {
    note(&format!("{what}: {} streams with {} records, in {} lines", done.streams, done.records, done.lines));
}
