//! `keyfold schema`: the registry.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::failure::Failure;
use super::put::read_json;
use super::{Remote, check, table};

#[derive(Subcommand)]
pub enum SchemaCommand {
    /// Say whether documents fit what came before them; registers nothing. Exits with 1 where one does not.
    Check(Remote<check::CheckArgs>),
    /// Register a document as a subject's next version.
    Register(Remote<RegisterArgs>),
    /// Print the subjects and their versions.
    List(Remote<ListArgs>),
    /// Print a version's document.
    Show(Remote<ShowArgs>),
}

#[derive(Args)]
pub struct RegisterArgs {
    /// The subject, for example `workers`.
    subject: String,
    /// The document's file; `-` reads standard input.
    file: String,
}

#[derive(Args)]
pub struct ListArgs {}

#[derive(Args)]
pub struct ShowArgs {
    subject: String,
    /// The version's number; the latest if left out.
    version: Option<u64>,
}

pub async fn run(command: SchemaCommand) -> Result<(), Failure> {
    match command {
        SchemaCommand::Check(remote) => check::run(remote).await,
        SchemaCommand::Register(remote) => register(remote).await,
        SchemaCommand::List(remote) => list(remote).await,
        SchemaCommand::Show(remote) => show(remote).await,
    }
}

async fn register(Remote { args, connection }: Remote<RegisterArgs>) -> Result<(), Failure> {
    let source = if args.file == "-" { args.file } else { format!("@{}", args.file) };
    let document: Value = read_json(&source)?;
    let registered = connection.client()?.register(&args.subject, &document).await?;
    let mut out = connection.out();
    if out.is_json() {
        out.json(&registered)?;
    } else {
        let verb = if registered.created { "registered" } else { "already registered" };
        let (subject, version, fingerprint) = (&registered.subject, registered.version, &registered.fingerprint);
        out.line(&format!("{verb}: {subject} version {version}, fingerprint {fingerprint}"))?;
    }
    Ok(out.flush()?)
}

async fn list(Remote { connection, .. }: Remote<ListArgs>) -> Result<(), Failure> {
    let subjects = connection.client()?.subjects().await?;
    let mut out = connection.out();
    if out.is_json() {
        for subject in &subjects {
            out.json(subject)?;
        }
        return Ok(out.flush()?);
    }
    let rows = subjects.iter().map(|subject| {
        let versions: Vec<_> = subject.versions.iter().map(u64::to_string).collect();
        [subject.subject.clone(), subject.latest.to_string(), versions.join(" ")]
    });
    table::print(&mut out, ["subject", "latest", "versions"], rows)
}

async fn show(Remote { args, connection }: Remote<ShowArgs>) -> Result<(), Failure> {
    let version = connection.client()?.schema(&args.subject, args.version).await?;
    let mut out = connection.out();
    if out.is_json() {
        out.json(&version)?
    } else {
        out.document(&version.document)?
    }
    Ok(out.flush()?)
}
