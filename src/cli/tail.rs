//! `keyfold tail`: a stream's changes as lines.

use clap::Args;

use super::Remote;
use super::failure::Failure;
use super::output::{Out, note};
use crate::client::{Change, WatchEvent, WatchOptions};

#[derive(Args)]
pub struct TailArgs {
    /// The stream's path, for example `netscript/workers`.
    stream: String,
    /// Only entities of this type.
    #[arg(long = "type", value_name = "TYPE")]
    entity_type: Option<String>,
    /// Only this entity.
    #[arg(long)]
    key: Option<String>,
    /// Only entities whose key begins so.
    #[arg(long, conflicts_with = "key")]
    key_prefix: Option<String>,
    /// Begin after this offset instead of with what is live.
    #[arg(long, value_name = "OFFSET")]
    after: Option<String>,
    /// Leave out what is there already.
    #[arg(long, conflicts_with = "after")]
    new: bool,
    /// Stop when everything that is there has been printed.
    #[arg(long, conflicts_with = "new")]
    no_follow: bool,
}

pub async fn run(Remote { args, connection }: Remote<TailArgs>) -> Result<(), Failure> {
    let client = connection.client()?;
    let stream = client.stream(&args.stream);
    // A subscription outlasts a server's absence; a command that is called with a wrong address should not.
    stream.inspect().await?;
    let mut watch = stream.watch(WatchOptions {
        entity_type: args.entity_type,
        key: args.key,
        key_prefix: args.key_prefix,
        after: args.after,
        ..WatchOptions::default()
    });
    let mut out = connection.out();
    let mut silent = args.new;
    while let Some(event) = watch.next().await? {
        match event {
            WatchEvent::Change { .. } if silent => {}
            WatchEvent::Change { change, offset } => print_change(&mut out, change, &offset)?,
            WatchEvent::Ready { offset } => {
                out.flush()?;
                if args.no_follow {
                    return Ok(());
                }
                if std::mem::take(&mut silent) || !out.is_json() {
                    note(&format!("# caught up at {}", offset.unwrap_or_default()));
                }
            }
            WatchEvent::Reset => note("# history is gone: everything live follows again"),
            WatchEvent::Disconnected { reason, retry_in } => {
                note(&format!("# {reason}; trying again in {:.1} s", retry_in.as_secs_f64()));
            }
        }
    }
    note("# the stream is closed");
    Ok(out.flush()?)
}

/// One line per change: offset, operation, type, key, value, separated by tabs; or the change with its offset as JSON.
pub fn print_change(out: &mut Out, change: Change, offset: &str) -> Result<(), Failure> {
    if out.is_json() {
        out.json(&change.header("offset", offset))?;
    } else {
        let operation = change.headers.operation.as_str();
        let value = change.value.map_or_else(String::new, |value| format!("\t{value}"));
        out.line(&format!("{offset}\t{operation}\t{}\t{}{value}", change.entity_type, change.key))?;
    }
    // Live changes are waited for; a snapshot's are many. The system call per line is small beside the network's.
    Ok(out.flush()?)
}
