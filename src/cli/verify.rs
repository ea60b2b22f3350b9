//! `keyfold verify`: checks a data directory that no server uses.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::engine::Settings;
use crate::engine::verify::{StreamDifference, StreamsVerified, verify as verify_streams};
use crate::runtime::Clock;
use crate::storage::journal::verify::{Difference, Remedy, Verified, verify_dir};

use super::failure::Failure;
use super::output::{Out, note};

#[derive(Args)]
pub struct VerifyArgs {
    /// The server's data directory; the server must be stopped
    #[arg(long, value_name = "DIR", env = "STREAMS_DATA_DIR", default_value = "keyfold-data")]
    data_dir: PathBuf,
    /// Build the catalogue again where it differs from the journal; the present one is moved aside
    #[arg(long)]
    repair: bool,
    /// Print one JSON document per line
    #[arg(long)]
    json: bool,
}

/// One line of the answer.
struct Line {
    file: Option<String>,
    position: Option<u64>,
    stream: Option<String>,
    at: Option<u64>,
    entity: Option<(String, String)>,
    what: String,
    remedy: Remedy,
}

/// All that one look at a directory has found.
struct Look {
    verified: Verified,
    streams: Option<StreamsVerified>,
}

pub async fn run(args: VerifyArgs) -> Result<(), Failure> {
    tokio::task::spawn_blocking(move || check(&args)).await.map_err(|cause| Failure::Unable(cause.to_string()))?
}

fn check(args: &VerifyArgs) -> Result<(), Failure> {
    let mut out = Out::stdout(args.json);
    let mut look = Look::at(&args.data_dir)?;
    look.tell(&mut out)?;
    let repairable = look.verified.differences.iter().any(|difference| difference.remedy == Remedy::Rebuild);
    let hopeless = look.verified.differences.iter().any(|difference| difference.remedy != Remedy::Rebuild);
    if args.repair && repairable && !hopeless {
        let cannot = |cause: std::io::Error| Failure::Unable(format!("the catalogue cannot be replaced: {cause}"));
        if let Some(aside) = look.verified.repair(&args.data_dir.join("catalogue")).map_err(cannot)? {
            note(&format!("the catalogue was built again; the one before is in {}", aside.display()));
        }
        look = Look::at(&args.data_dir)?;
        look.tell(&mut out)?;
    }
    look.summary(&mut out)?;
    out.flush()?;
    match look.differences() {
        0 => Ok(()),
        count => Err(Failure::Failed(format!("{}: {count} differences", args.data_dir.display()))),
    }
}

impl Look {
    fn at(dir: &Path) -> Result<Self, Failure> {
        let bar = ProgressBar::no_length();
        // What does not parse is not shown; the bar itself is hidden where standard error is no terminal.
        if let Ok(style) = ProgressStyle::with_template("{bar:32} {bytes} of {total_bytes}, {eta} left {msg}") {
            bar.set_style(style);
        }
        let shown = bar.clone();
        let progress = Arc::new(move |done, total| {
            shown.set_length(total);
            shown.set_position(done);
        });
        let verified = verify_dir(dir, Clock::system(), progress);
        let verified = verified.map_err(|error| Failure::Unable(error.to_string()))?;
        let streams = verified.store().map(|store| {
            let on_stream = |name: &crate::model::StreamName| bar.set_message(plain(name.as_str()));
            verify_streams(&store, Clock::system(), Settings::default(), &on_stream)
        });
        bar.finish_and_clear();
        Ok(Self { verified, streams })
    }

    fn differences(&self) -> u64 {
        let streams = self.streams.as_ref().map_or(0, |streams| streams.differences.len());
        (self.verified.differences.len() + streams) as u64 + self.verified.more
    }

    fn tell(&self, out: &mut Out) -> Result<(), Failure> {
        for text in &self.verified.notes {
            match out.is_json() {
                true => out.json(&json!({ "note": text }))?,
                false => out.line(&format!("note: {text}"))?,
            }
        }
        let streams = self.streams.iter().flat_map(|streams| &streams.differences);
        let streams = streams.map(|difference| Line::of_stream(difference, &self.verified));
        for line in self.verified.differences.iter().map(Line::from).chain(streams) {
            line.tell(out)?;
        }
        if self.verified.more > 0 && !out.is_json() {
            out.line(&format!("and {} more", self.verified.more))?;
        }
        Ok(())
    }

    fn summary(&self, out: &mut Out) -> Result<(), Failure> {
        let counts = self.verified.counts;
        let (typed, entities) = self.streams.as_ref().map_or((0, 0), |found| (found.typed_streams, found.entities));
        let differences = self.differences();
        if out.is_json() {
            let summary = json!({
                "sound": differences == 0,
                "differences": differences,
                "segments": counts.segments,
                "bytes": counts.bytes,
                "records": counts.records,
                "streams": counts.streams,
                "typed_streams": typed,
                "entities": entities,
            });
            return Ok(out.json(&summary)?);
        }
        if differences == 0 {
            out.line(&format!(
                "sound: {} records in {} segments ({} bytes), {} streams, {typed} of them typed with {entities} entities",
                counts.records, counts.segments, counts.bytes, counts.streams
            ))?;
        }
        Ok(())
    }
}

/// A name as it may stand on a terminal: those of the server itself begin with a control character.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '~' } else { c }).collect()
}

impl From<&Difference> for Line {
    fn from(difference: &Difference) -> Self {
        let Difference { file, position, stream, at, what, remedy } = difference.clone();
        let stream = stream.map(|name| name.as_str().to_owned());
        Self { file, position, stream, at, entity: None, what, remedy }
    }
}

impl Line {
    fn of_stream(difference: &StreamDifference, verified: &Verified) -> Self {
        let position = difference.place.map(|place| place.0);
        Self {
            file: position.and_then(|position| verified.file_at(position)),
            position,
            stream: Some(difference.stream.as_str().to_owned()),
            at: difference.at,
            entity: difference.entity.clone(),
            what: difference.what.clone(),
            remedy: Remedy::Report,
        }
    }

    fn tell(&self, out: &mut Out) -> Result<(), Failure> {
        let remedy = self.remedy.to_string();
        if out.is_json() {
            let (entity_type, key) = self.entity.clone().unzip();
            let difference = json!({
                "file": self.file,
                "journal_position": self.position,
                "stream": self.stream,
                "stream_position": self.at,
                "type": entity_type,
                "key": key,
                "what": self.what,
                "remedy": remedy,
            });
            return Ok(out.json(&difference)?);
        }
        let entity = self.entity.as_ref().map(|(entity_type, key)| format!("{} {}", plain(entity_type), plain(key)));
        let parts = [
            self.file.clone(),
            self.position.map(|position| format!("journal position {position}")),
            self.stream.as_ref().map(|stream| format!("stream {}", plain(stream))),
            self.at.map(|at| format!("position {at}")),
            entity,
        ];
        let place: Vec<String> = parts.into_iter().flatten().collect();
        let colon = if place.is_empty() { "" } else { ": " };
        out.line(&format!("{}{colon}{}\n  {remedy}", place.join(", "), self.what))?;
        Ok(())
    }
}
