//! `keyfold inspect`: what the server knows of a stream, or which streams there are.

use clap::Args;
use serde_json::Value;

use super::failure::Failure;
use super::{Remote, table};
use crate::client::{Client, StreamRow};

#[derive(Args)]
pub struct InspectArgs {
    /// The stream's path; all streams if left out.
    stream: Option<String>,
    /// Only streams whose path begins so.
    #[arg(long, conflicts_with = "stream", default_value = "", hide_default_value = true)]
    prefix: String,
}

pub async fn run(Remote { args, connection }: Remote<InspectArgs>) -> Result<(), Failure> {
    let (client, mut out) = (connection.client()?, connection.out());
    if let Some(path) = args.stream {
        let known = client.stream(&path).inspect().await?;
        out.document(&known)?;
        return Ok(out.flush()?);
    }
    let streams = all_streams(&client, &args.prefix).await?;
    if !out.is_json() {
        return table::print(&mut out, ["stream", "known"], streams.iter().map(row));
    }
    for stream in &streams {
        out.json(stream)?;
    }
    Ok(out.flush()?)
}

async fn all_streams(client: &Client, prefix: &str) -> Result<Vec<StreamRow>, Failure> {
    let (mut streams, mut cursor) = (Vec::new(), None);
    loop {
        let page = client.streams(prefix, cursor.as_deref()).await?;
        streams.extend(page.streams);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(streams),
        }
    }
}

fn row(stream: &StreamRow) -> [String; 2] {
    let told = stream.more.iter().filter(|(_, value)| !matches!(value, Value::Null | Value::Bool(false)));
    let told: Vec<_> = told.map(|(name, value)| format!("{name}={}", table::cell(value))).collect();
    [stream.name.clone(), told.join(" ")]
}
