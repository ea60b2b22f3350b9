//! `keyfold snapshot`: prints a stream's live entities as of one offset.

use clap::Args;

use super::Remote;
use super::failure::Failure;

#[derive(Args)]
pub struct SnapshotArgs {
    /// The stream's path, for example `netscript/workers`.
    stream: String,
}

pub async fn run(Remote { args, connection }: Remote<SnapshotArgs>) -> Result<(), Failure> {
    let snapshot = connection.client()?.stream(&args.stream).snapshot().await?;
    let mut out = connection.out();
    out.document(&snapshot)?;
    Ok(out.flush()?)
}
