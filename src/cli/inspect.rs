//! `keyfold inspect`: what the server knows of a stream, or which streams there are.

use clap::Args;

use super::failure::{Failure, fault_line};
use super::output::Out;
use super::{Remote, table};
use crate::client::{Client, StreamBody, StreamHandle, StreamRow};

#[derive(Args)]
pub struct InspectArgs {
    /// The stream's path; all streams if left out.
    stream: Option<String>,
    /// Only streams whose path begins so.
    #[arg(long, conflicts_with = "stream", default_value = "", hide_default_value = true)]
    prefix: String,
    /// Print the changes that were refused and kept aside.
    #[arg(long, requires = "stream")]
    quarantine: bool,
}

pub async fn run(Remote { args, connection }: Remote<InspectArgs>) -> Result<(), Failure> {
    let (client, mut out) = (connection.client()?, connection.out());
    let Some(path) = args.stream else {
        return print_streams(&client, &args.prefix, &mut out).await;
    };
    let stream = client.stream(&path);
    if args.quarantine {
        return print_quarantine(&stream, &mut out).await;
    }
    let known = stream.inspect().await?;
    if out.is_json() {
        out.json(&known)?;
    } else {
        print_inspection(&known, &mut out)?;
    }
    Ok(out.flush()?)
}

async fn print_streams(client: &Client, prefix: &str, out: &mut Out) -> Result<(), Failure> {
    let (mut streams, mut cursor) = (Vec::new(), None);
    loop {
        let page = client.streams(prefix, cursor.as_deref()).await?;
        streams.extend(page.streams);
        match page.next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    if !out.is_json() {
        return table::print(out, ["stream", "schema", "bytes", "tail"], streams.iter().map(stream_row));
    }
    for stream in &streams {
        out.json(stream)?;
    }
    Ok(out.flush()?)
}

fn stream_row(stream: &StreamRow) -> [String; 4] {
    let schema = stream.schema.as_ref().map(|schema| format!("{} {}", schema.subject, schema.version));
    let tail = if stream.closed { format!("{} closed", stream.tail) } else { stream.tail.clone() };
    let schema = schema.unwrap_or_else(|| stream.content_type.clone());
    [stream.name.clone(), schema, stream.bytes.to_string(), tail]
}

/// One JSON document per kept change, or its faults in lines.
async fn print_quarantine(stream: &StreamHandle, out: &mut Out) -> Result<(), Failure> {
    let mut cursor = None;
    loop {
        let page = stream.quarantine(cursor.as_deref()).await?;
        for kept in &page.entries {
            if out.is_json() {
                out.json(kept)?;
                continue;
            }
            out.line(&format!("{}\t{}", kept.at, kept.change))?;
            for fault in &kept.errors {
                out.line(&format!("  {}", fault_line(fault)))?;
            }
        }
        if page.up_to_date || page.entries.is_empty() {
            return Ok(out.flush()?);
        }
        cursor = Some(page.next);
    }
}

/// Facts first, one per line, then what there are several of.
fn print_inspection(known: &StreamBody, out: &mut Out) -> Result<(), Failure> {
    let schema = known.schema.as_ref().map(|schema| format!("{} version {}", schema.subject, schema.version));
    let state = match (known.written, known.closed) {
        (false, _) => "bound, not written yet",
        (_, true) => "closed",
        _ => "open",
    };
    let facts = [
        ("stream", Some(known.name.clone())),
        ("state", Some(state.to_owned())),
        ("schema", schema),
        ("binding", known.binding.clone()),
        ("content type", Some(known.content_type.clone())),
        ("length", Some(format!("{} ({} bytes)", known.length, known.bytes))),
        ("from", Some(known.offsets.start.clone())),
        ("to", Some(known.offsets.tail.clone())),
        ("fork of", known.fork_of.as_ref().map(|fork| format!("{} up to {}", fork.source, fork.offset))),
        ("forks", (known.forks > 0).then(|| known.forks.to_string())),
        ("last used", known.last_used_at.clone()),
        ("expires", known.expires_at.clone().or(known.ttl_s.map(|ttl| format!("{ttl} s after its last use")))),
        ("readers", Some(known.readers.to_string())),
        ("kept aside", (known.quarantined > 0).then(|| format!("{} (see --quarantine)", known.quarantined))),
    ];
    for (name, value) in facts.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        out.line(&format!("{name:<13} {value}"))?;
    }
    for collection in &known.collections {
        let (name, entity_type) = (&collection.name, &collection.r#type);
        out.line(&format!("{:<13} {name}: {} live, type {entity_type}", "collection", collection.live))?;
    }
    for producer in &known.producers {
        let former = match producer.former.len() {
            0 => String::new(),
            former => format!(", {former} former epochs"),
        };
        let (id, epoch, seq, seen) = (&producer.id, producer.epoch, producer.last_seq, &producer.last_seen_at);
        out.line(&format!("{:<13} {id}: epoch {epoch}, seq {seq}, last seen {seen}{former}", "producer"))?;
    }
    Ok(())
}
