//! `keyfold fork`: goes on from a place in a stream, in a stream of its own.

use clap::Args;

use super::Remote;
use super::failure::Failure;

#[derive(Args)]
pub struct ForkArgs {
    /// The stream to go on from, for example `netscript/workers`.
    source: String,
    /// The path of the fork.
    fork: String,
    /// Where in the source it begins, as a response gave it; the source's end if left out.
    #[arg(long, value_name = "OFFSET")]
    at: Option<String>,
    /// Changes (JSON) or bytes (all else) past OFFSET, within the batch that begins there.
    #[arg(long, value_name = "N", requires = "at", default_value_t = 0, hide_default_value = true)]
    past: u64,
}

pub async fn run(Remote { args, connection }: Remote<ForkArgs>) -> Result<(), Failure> {
    let fork = connection.client()?.stream(&args.fork);
    let offset = fork.fork_of(&args.source, args.at.as_deref(), args.past).await?;
    let mut out = connection.out();
    match out.is_json() {
        true => out.json(&serde_json::json!({ "fork": args.fork, "source": args.source, "offset": offset }))?,
        false => out.line(&format!("{} goes on from {} at {offset}", args.fork, args.source))?,
    }
    Ok(out.flush()?)
}
