//! `keyfold codegen`: types and validators for other programs, from a document.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::failure::Failure;
use super::output::note;
use super::put::read_json;
use super::{Connection, Remote};
use crate::codegen::{self, Generated};
use crate::registry::reference::REFERENCE_DEPTH_MAX;
use crate::registry::{Document, DocumentFault, DocumentLimits, Shape, SubjectName};

#[derive(Subcommand)]
pub enum CodegenCommand {
    /// A TypeScript module: a StreamDB state definition with types and Standard Schema validators.
    Ts(Remote<CodegenArgs>),
    /// A Rust module of serde types.
    Rust(Remote<CodegenArgs>),
}

#[derive(Args)]
pub struct CodegenArgs {
    /// A document's file, `-` for standard input, or a subject on the server: `workers`, `workers@3`.
    #[arg(value_name = "FILE|SUBJECT[@VERSION]")]
    source: String,
    /// Write there instead of to standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub async fn run(command: CodegenCommand) -> Result<(), Failure> {
    let is_state = matches!(command, CodegenCommand::Ts(_));
    let (generate, Remote { args, connection }): (fn(&Document, &str) -> Generated, _) = match command {
        CodegenCommand::Ts(remote) => (codegen::typescript, remote),
        CodegenCommand::Rust(remote) => (codegen::rust, remote),
    };
    let (document, origin) = read_document(&args.source, &connection).await?;
    if is_state && document.shape() == Shape::Bare {
        let text = format!("{origin} is a schema without type and key: a state definition is made of collections");
        return Err(Failure::Usage(text));
    }
    let Generated { code, notes } = generate(&document, &origin);
    for found in &notes {
        note(&format!("note: {}: {}", found.pointer, found.message));
    }
    match &args.output {
        Some(path) => std::fs::write(path, code)
            .map_err(|cause| Failure::Failed(format!("cannot write {}: {cause}", path.display()))),
        None => {
            let mut out = connection.out();
            out.text(&code)?;
            Ok(out.flush()?)
        }
    }
}

/// A document, and what to call it: a file's where there is one of that name, else a subject's version.
pub async fn read_document(source: &str, connection: &Connection) -> Result<(Document, String), Failure> {
    let is_file = source == "-" || std::path::Path::new(source).is_file();
    let (value, origin) = if is_file {
        let value = read_json(&if source == "-" { source.to_owned() } else { format!("@{source}") })?;
        let name = std::path::Path::new(source).file_name().map_or("-".into(), |name| name.to_string_lossy());
        (value, name.into_owned())
    } else {
        if source.ends_with(".json") || source.contains(std::path::MAIN_SEPARATOR) {
            return Err(Failure::Usage(format!("there is no file {source}")));
        }
        let (subject, version) = subject_and_version(source)?;
        let found = connection.client()?.schema(subject, version).await?;
        (found.document, format!("{} version {}", found.subject, found.version))
    };
    match find_document(&value, &DocumentLimits::default(), connection).await? {
        FoundDocument::Sound(document) => Ok((document, origin)),
        FoundDocument::Unsound(faults) => {
            let lines: Vec<_> = faults.iter().map(|fault| format!("\n  {fault}")).collect();
            Err(Failure::Usage(format!("{source} is not a document:{}", lines.concat())))
        }
    }
}

/// A value that was to be a document.
pub enum FoundDocument {
    Sound(Document),
    Unsound(Vec<DocumentFault>),
}

/// Checks a document. What it refers to is asked of the server, and nothing is where it refers to nothing.
pub async fn find_document(
    value: &Value,
    limits: &DocumentLimits,
    connection: &Connection,
) -> Result<FoundDocument, Failure> {
    let mut known: HashMap<(SubjectName, u32), Arc<Document>> = HashMap::new();
    // Those that wait for what they refer to; the last one is looked at.
    let mut open: Vec<(Option<(SubjectName, u32)>, Value)> = vec![(None, value.clone())];
    while let Some((version, value)) = open.last() {
        let missing = RefCell::new(None);
        let resolve = |subject: &SubjectName, version: u32| {
            let found = known.get(&(subject.clone(), version)).cloned();
            if found.is_none() {
                missing.borrow_mut().get_or_insert((subject.clone(), version));
            }
            found
        };
        let parsed = Document::parse_with(value, limits, &resolve);
        match (parsed, missing.into_inner(), version.clone()) {
            (_, Some((subject, version)), _) if open.len() <= REFERENCE_DEPTH_MAX + 1 => {
                let found = connection.client()?.schema(subject.as_str(), Some(version.into())).await?;
                open.push((Some((subject, version)), found.document));
            }
            (Ok(document), _, None) => return Ok(FoundDocument::Sound(document)),
            (Ok(document), _, Some(version)) => {
                known.insert(version, Arc::new(document));
                open.pop();
            }
            (Err(faults), _, _) => return Ok(FoundDocument::Unsound(faults)),
        }
    }
    Ok(FoundDocument::Unsound(Vec::new()))
}

/// `subject` or `subject@version`; `latest` is the newest one.
pub fn subject_and_version(source: &str) -> Result<(&str, Option<u64>), Failure> {
    match source.rsplit_once('@') {
        None | Some((_, "latest")) => Ok((source.trim_end_matches("@latest"), None)),
        Some((subject, version)) => match version.parse() {
            Ok(version) => Ok((subject, Some(version))),
            Err(_) => Err(Failure::Usage(format!("{version} is no version: a number, or `latest`"))),
        },
    }
}
