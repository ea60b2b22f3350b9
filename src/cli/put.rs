//! `keyfold put`: writes one entity.

use std::io::Read;

use clap::Args;
use serde_json::Value;

use super::Remote;
use super::failure::Failure;
use super::output::Out;
use crate::client::{Precondition, Receipt};

#[derive(Args)]
pub struct PutArgs {
    /// The stream's path, for example `netscript/workers`.
    stream: String,
    /// The entity's type, for example `execution`.
    #[arg(value_name = "TYPE")]
    entity_type: String,
    /// The entity's key.
    key: String,
    /// The entity as JSON; `@FILE` reads a file, `-` standard input.
    value: String,
    /// Merge into what is there (RFC 7396) instead of replacing it.
    #[arg(long)]
    merge: bool,
    #[command(flatten)]
    condition: Condition,
}

/// What must hold for the write to be made.
#[derive(Args)]
pub struct Condition {
    /// Write only if the entity is still at this offset.
    #[arg(long, value_name = "OFFSET")]
    if_match: Option<String>,
    /// Write only if there is no such entity.
    #[arg(long, conflicts_with = "if_match")]
    if_absent: bool,
}

impl Condition {
    fn precondition(&self) -> Precondition {
        match &self.if_match {
            Some(offset) => Precondition::Unchanged(offset.trim_matches('"').to_owned()),
            None if self.if_absent => Precondition::Absent,
            None => Precondition::None,
        }
    }
}

pub async fn run(Remote { args, connection }: Remote<PutArgs>) -> Result<(), Failure> {
    let value = read_json(&args.value)?;
    let stream = connection.client()?.stream(&args.stream);
    let condition = args.condition.precondition();
    let written = if args.merge {
        stream.patch(&args.entity_type, &args.key, &value, &condition).await
    } else {
        stream.put(&args.entity_type, &args.key, &value, &condition).await
    };
    let receipt =
        written.map_err(|error| match args.condition.if_absent && error.is_problem("precondition-failed") {
            // How to overwrite is the opposite of what was asked for.
            true => Failure::Failed(format!("{} exists already\n  leave out --if-absent to replace it", args.key)),
            false => error.into(),
        })?;
    let verb = if args.merge { "merged" } else { "written" };
    print_receipt(&mut connection.out(), &receipt, verb, &args.stream, &args.key)
}

/// Says what became of a write; one that was not applied is a failure.
pub fn print_receipt(out: &mut Out, receipt: &Receipt, verb: &str, stream: &str, key: &str) -> Result<(), Failure> {
    if out.is_json() {
        out.json(receipt)?;
    } else if receipt.applied {
        let at = receipt.offset.as_ref().map_or_else(String::new, |offset| format!(" at {offset}"));
        out.line(&format!("{verb}: {key}{at}"))?;
    }
    out.flush()?;
    if receipt.applied {
        return Ok(());
    }
    let next = format!("`keyfold inspect {stream} --quarantine` prints what was refused and kept aside");
    Err(Failure::Failed(format!("not applied: {key} was refused, or is stored in a newer version\n  {next}")))
}

/// A JSON argument: itself, a file's (`@FILE`) or standard input's (`-`).
pub fn read_json(source: &str) -> Result<Value, Failure> {
    let (name, text) = match source.strip_prefix('@') {
        Some(file) => {
            let text = std::fs::read_to_string(file);
            (file, text.map_err(|cause| Failure::Usage(format!("cannot read {file}: {cause}")))?)
        }
        None if source == "-" => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            ("standard input", text)
        }
        None => ("the value", source.to_owned()),
    };
    serde_json::from_str(&text).map_err(|cause| {
        let hint = if name == "the value" { "; text needs its quotes, a file is given as @FILE" } else { "" };
        Failure::Usage(format!("{name} is not JSON: {cause}{hint}"))
    })
}
