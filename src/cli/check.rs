//! `keyfold schema check`: whether documents fit the versions before them, for a job that gates a change.
//!
//! Documents in files are compared here, those of a subject by the server, which knows what it refers to, how strictly
//! it is asked, and what is stored. Says 0 where everything fits, 1 where something does not or is no document, and 2
//! where nothing can be said.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::Value;

use super::codegen::{FoundDocument, find_document, subject_and_version};
use super::failure::Failure;
use super::output::{Out, note};
use super::put::read_json;
use super::{Connection, Remote, junit};
use crate::client::{ClientError, VerdictQuery};
use crate::protocol::compatibility::{Direction, ProgressBody, VerdictBody, ViolationBody};
use crate::registry::compat::{Bounds, check_documents};
use crate::registry::{ContentModel, Document, DocumentFault, DocumentLimits, Mode};

#[derive(Args)]
pub struct CheckArgs {
    /// The documents to check.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// What came before: a file, or a subject on the server with all its versions, or `SUBJECT@VERSION`; `{name}`
    /// stands for the document's file name without `.json`. Repeat it for several files, the oldest first. Without it
    /// the documents are only checked to be sound.
    #[arg(long, value_name = "FILE|SUBJECT[@VERSION]")]
    against: Vec<String>,
    /// Which versions must take whose values [default: the subject's; for files, BACKWARD]
    #[arg(long, value_name = "MODE", value_parser = mode)]
    mode: Option<Mode>,
    /// How objects are read that do not say what else they may hold [default: the subject's; for files,
    /// optional_friendly]
    #[arg(long, value_name = "MODEL", value_parser = content_model)]
    content_model: Option<ContentModel>,
    /// Also hold the entities that are stored under the subject to the document.
    #[arg(long, requires = "against")]
    live: bool,
    /// Write a report there that CI servers read.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// When to use colours.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: Color,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    Always,
    Never,
}

fn mode(text: &str) -> Result<Mode, String> {
    let known = || Mode::ALL.iter().map(|mode| mode.as_str()).collect::<Vec<_>>().join(", ");
    Mode::parse(&text.to_ascii_uppercase()).ok_or_else(|| format!("one of {}", known()))
}

fn content_model(text: &str) -> Result<ContentModel, String> {
    let known = || ContentModel::ALL.iter().map(|model| model.as_str()).collect::<Vec<_>>().join(", ");
    ContentModel::parse(text).ok_or_else(|| format!("one of {}", known()))
}

/// What was found about one document.
#[derive(Debug, Serialize)]
pub struct Checked {
    pub file: String,
    /// Whether it is sound, and fits all that it was compared with.
    pub compatible: bool,
    /// What is wrong with the document itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FaultLine>,
    pub comparisons: Vec<Compared>,
}

/// Something in a document that keeps it from being one.
#[derive(Debug, Serialize)]
pub struct FaultLine {
    pub pointer: String,
    pub code: String,
    pub message: String,
}

/// A document beside a subject, or beside files.
#[derive(Debug, Serialize)]
pub struct Compared {
    /// As it was given; files in order, from version 1 on.
    pub against: Vec<String>,
    #[serde(flatten)]
    pub verdict: VerdictBody,
}

impl From<DocumentFault> for FaultLine {
    fn from(fault: DocumentFault) -> Self {
        Self { pointer: fault.pointer, code: fault.code.as_str().to_owned(), message: fault.message }
    }
}

pub async fn run(Remote { args, connection }: Remote<CheckArgs>) -> Result<(), Failure> {
    let mut out = connection.out();
    let paint = Paint::choose(args.color, &out);
    let mut all = Vec::new();
    for file in &args.files {
        let checked = check(file, &args, &connection).await.map_err(unable)?;
        match out.is_json() {
            true => out.json(&checked)?,
            false => print(&mut out, &checked, paint)?,
        }
        out.flush()?;
        all.push(checked);
    }
    if let Some(path) = &args.junit {
        std::fs::write(path, junit::report(&all))
            .map_err(|cause| Failure::Unable(format!("cannot write {}: {cause}", path.display())))?;
    }
    match (all.iter().filter(|checked| !checked.compatible).count(), all.len()) {
        (0, _) => Ok(()),
        (1, 1) => Err(Failure::Failed("the document does not pass".to_owned())),
        (failed, count) => Err(Failure::Failed(format!("{failed} of {count} documents do not pass"))),
    }
}

/// Whatever keeps a document from being judged is no verdict.
fn unable(failure: Failure) -> Failure {
    match failure {
        Failure::Client(error) => Failure::Unable(super::failure::explain(&error)),
        Failure::Io(cause) => Failure::Unable(cause.to_string()),
        Failure::Failed(text) => Failure::Unable(text),
        other => other,
    }
}

async fn check(file: &str, args: &CheckArgs, connection: &Connection) -> Result<Checked, Failure> {
    let value = read_json(&if file == "-" { file.to_owned() } else { format!("@{file}") })?;
    let mut checked =
        Checked { file: file.to_owned(), compatible: true, errors: Vec::new(), comparisons: Vec::new() };
    let (mut subjects, mut files) = (Vec::new(), Vec::new());
    for against in &args.against {
        let named = against.replace("{name}", &name_of(file));
        match Path::new(&named).is_file() {
            true => files.push(named),
            false => subjects.push(named),
        }
    }
    if args.live && subjects.is_empty() {
        return Err(Failure::Usage("--live needs a subject on a server: --against SUBJECT".to_owned()));
    }
    if !files.is_empty() || subjects.is_empty() {
        against_files(&value, &files, args, connection, &mut checked).await?;
    }
    for subject in &subjects {
        against_subject(&value, subject, args, connection, &mut checked).await?;
    }
    checked.compatible =
        checked.errors.is_empty() && checked.comparisons.iter().all(|compared| compared.verdict.compatible);
    Ok(checked)
}

/// A document's file name without its ending.
fn name_of(file: &str) -> String {
    Path::new(file).file_stem().map_or_else(|| "-".to_owned(), |name| name.to_string_lossy().into_owned())
}

async fn against_files(
    value: &Value,
    files: &[String],
    args: &CheckArgs,
    connection: &Connection,
    checked: &mut Checked,
) -> Result<(), Failure> {
    let candidate = match find_document(value, &DocumentLimits::default(), connection).await? {
        FoundDocument::Sound(candidate) => candidate,
        FoundDocument::Unsound(faults) => {
            checked.errors.extend(faults.into_iter().map(FaultLine::from));
            return Ok(());
        }
    };
    if files.is_empty() {
        return Ok(());
    }
    let mut earlier = Vec::new();
    for file in files {
        let value = read_json(&format!("@{file}"))?;
        match find_document(&value, &DocumentLimits::default(), connection).await? {
            FoundDocument::Sound(document) => earlier.push(document),
            FoundDocument::Unsound(faults) => {
                let first = faults.first().map_or_else(String::new, ToString::to_string);
                return Err(Failure::Unable(format!("{file}, to compare with, is not a document: {first}")));
            }
        }
    }
    let verdict =
        compare(&candidate, &earlier, args.mode.unwrap_or_default(), args.content_model.unwrap_or_default());
    checked.comparisons.push(Compared { against: files.to_vec(), verdict });
    Ok(())
}

fn compare(candidate: &Document, earlier: &[Document], mode: Mode, content_model: ContentModel) -> VerdictBody {
    let earlier: Vec<(u32, &Document)> = (1..).zip(earlier).collect();
    let report = check_documents(candidate, &earlier, mode, content_model, &Bounds::default());
    let versions = earlier.iter().rev().map(|(version, _)| *version);
    let count = if mode == Mode::None {
        0
    } else if mode.is_transitive() {
        earlier.len()
    } else {
        1
    };
    VerdictBody {
        compatible: report.compatible,
        compatibility: mode.into(),
        content_model: content_model.into(),
        compared: versions.take(count).collect(),
        violations: report.violations.iter().map(ViolationBody::from).collect(),
        live: None,
    }
}

async fn against_subject(
    value: &Value,
    source: &str,
    args: &CheckArgs,
    connection: &Connection,
    checked: &mut Checked,
) -> Result<(), Failure> {
    let (subject, version) = subject_and_version(source)?;
    let query = VerdictQuery { live: args.live, version, mode: args.mode, content_model: args.content_model };
    let shown = std::io::stderr().is_terminal();
    let told = |progress: &ProgressBody| {
        if shown {
            let ProgressBody { streams, streams_done, checked, .. } = progress;
            note(&format!("{subject}: {checked} stored entities, {streams_done} of {streams} streams"));
        }
    };
    match connection.client()?.verdict(subject, value, &query, told).await {
        Ok(verdict) => checked.comparisons.push(Compared { against: vec![source.to_owned()], verdict }),
        // Not compared: it is no document.
        Err(ClientError::Problem(problem)) if problem.is("invalid-document") => {
            let faults = problem.errors.iter().map(|fault| FaultLine {
                pointer: fault.pointer.clone(),
                code: fault.keyword.clone(),
                message: fault.message.clone(),
            });
            checked.errors.extend(faults);
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Colours, or none.
#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn choose(color: Color, out: &Out) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self(match color {
            Color::Auto => wanted && out.terminal().is_some(),
            Color::Always => !out.is_json(),
            Color::Never => false,
        })
    }

    fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    fn bad(self, text: &str) -> String {
        self.with("31", text)
    }

    fn faint(self, text: &str) -> String {
        self.with("2", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn print(out: &mut Out, checked: &Checked, paint: Paint) -> Result<(), Failure> {
    if !checked.errors.is_empty() {
        out.line(&format!("{}: {}", checked.file, paint.bad("not a document")))?;
        for fault in &checked.errors {
            let pointer = if fault.pointer.is_empty() { "as a whole" } else { &fault.pointer };
            out.line(&format!("  {pointer}: {} {}", fault.message, paint.faint(&format!("({})", fault.code))))?;
        }
        return Ok(());
    }
    if checked.comparisons.is_empty() {
        out.line(&format!("{}: {}", checked.file, paint.good("sound")))?;
    }
    for compared in &checked.comparisons {
        print_comparison(out, &checked.file, compared, paint)?;
    }
    Ok(())
}

fn print_comparison(out: &mut Out, file: &str, compared: &Compared, paint: Paint) -> Result<(), Failure> {
    let verdict = &compared.verdict;
    let asked = format!("({})", strictness(verdict));
    let word = if verdict.compatible { paint.good("compatible") } else { paint.bad("incompatible") };
    out.line(&format!("{file} {}: {word} {}", versions(compared), paint.faint(&asked)))?;
    for violation in &verdict.violations {
        for (index, line) in violation_lines(violation).into_iter().enumerate() {
            let indent = if index == 0 { "  " } else { "    " };
            out.line(&format!("{indent}{line}"))?;
        }
    }
    if let Some(live) = &verdict.live {
        let line = format!(
            "  {} of {} stored entities would be refused, in {} streams",
            live.refused, live.checked, live.streams
        );
        out.line(&if live.refused > 0 { paint.bad(&line) } else { line })?;
        for entity in &live.first {
            out.line(&format!("  {} {} {}", entity.stream, entity.r#type, entity.key))?;
            for refusal in &entity.errors {
                let pointer = if refusal.pointer.is_empty() { "as a whole" } else { &refusal.pointer };
                out.line(&format!("    {pointer}: {} ({})", refusal.message, refusal.keyword))?;
            }
        }
    }
    Ok(())
}

/// The mode and the content model of a verdict, as they are written elsewhere.
pub fn strictness(verdict: &VerdictBody) -> String {
    let text = |value: Result<Value, serde_json::Error>| match value {
        Ok(Value::String(text)) => text,
        _ => String::new(),
    };
    let mode = text(serde_json::to_value(verdict.compatibility));
    format!("{mode}, {}", text(serde_json::to_value(verdict.content_model)))
}

/// What a document was compared with.
pub fn versions(compared: &Compared) -> String {
    let numbers: Vec<String> = compared.verdict.compared.iter().map(u32::to_string).collect();
    let against = compared.against.join(", ");
    match numbers.as_slice() {
        [] => format!("against {against}, nothing to compare with"),
        [_, ..] if compared.against.len() > 1 || Path::new(&against).is_file() => format!("against {against}"),
        [one] => format!("against {against} version {one}"),
        many => format!("against {against} versions {}", many.join(", ")),
    }
}

/// What is wrong, and the value that shows it.
pub fn violation_lines(violation: &ViolationBody) -> Vec<String> {
    let path = if violation.path.is_empty() { "as a whole" } else { &violation.path };
    let mut lines = vec![format!("{} {path}: {} ({})", violation.collection, violation.message, violation.kind)];
    let (takes, refuses) = match violation.direction {
        Direction::Backward => (format!("version {}", violation.version), "this document".to_owned()),
        Direction::Forward => ("this document".to_owned(), format!("version {}", violation.version)),
    };
    if let Some(example) = &violation.counterexample {
        lines.push(format!("{takes} accepts, {refuses} refuses: {example}"));
    }
    lines
}
