//! `keyfold list`: prints a collection.

use std::collections::BTreeMap;

use clap::Args;

use super::Remote;
use super::failure::Failure;
use super::table::{self, Columns};
use crate::client::{EntityRow, ListQuery};

#[derive(Args)]
pub struct ListArgs {
    /// The stream's path, for example `netscript/workers`.
    stream: String,
    /// The entity's type, for example `execution`.
    #[arg(value_name = "TYPE")]
    entity_type: String,
    /// Only keys that begin so.
    #[arg(long)]
    prefix: Option<String>,
    /// Only these top-level fields of each entity; also the table's columns.
    #[arg(long, value_delimiter = ',')]
    fields: Vec<String>,
    /// At most so many entities.
    #[arg(long)]
    limit: Option<usize>,
}

/// Entities asked for at a time.
const PAGE_ENTITIES: usize = 1000;

pub async fn run(Remote { args, connection }: Remote<ListArgs>) -> Result<(), Failure> {
    let stream = connection.client()?.stream(&args.stream);
    let mut out = connection.out();
    let terminal = out.terminal();
    let mut left = args.limit.unwrap_or(usize::MAX);
    let mut query = ListQuery { prefix: args.prefix, fields: args.fields, ..ListQuery::default() };
    // A terminal's table needs all rows to be laid out; everything else prints each page as it comes.
    let mut shown = BTreeMap::new();
    while left > 0 {
        query.limit = Some(left.min(PAGE_ENTITIES) as u32);
        let page = stream.list(&args.entity_type, &query).await?;
        for EntityRow { key, value, offset } in page.entities.into_iter().take(left) {
            left -= 1;
            if terminal.is_some() {
                shown.insert(key, value);
            } else if out.is_json() {
                out.json(&EntityRow { key, value, offset })?;
            } else {
                out.line(&format!("{key}\t{value}"))?;
            }
        }
        query.cursor = page.next;
        if query.cursor.is_none() {
            break;
        }
    }
    if let Some((width, _)) = terminal {
        let rows: Vec<_> = shown.iter().map(|(key, value)| (key.as_str(), value)).collect();
        let columns = Columns::choose(&query.fields, &rows, width);
        out.line(&table::entities(&columns, &rows, width, None))?;
    }
    Ok(out.flush()?)
}
