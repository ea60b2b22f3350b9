//! `keyfold delete`: deletes one entity.

use clap::Args;

use super::Remote;
use super::failure::Failure;
use super::put::print_receipt;
use crate::client::Precondition;

#[derive(Args)]
pub struct DeleteArgs {
    /// The stream's path, for example `netscript/workers`.
    stream: String,
    /// The entity's type, for example `execution`.
    #[arg(value_name = "TYPE")]
    entity_type: String,
    /// The entity's key.
    key: String,
    /// Delete only if the entity is still at this offset.
    #[arg(long, value_name = "OFFSET")]
    if_match: Option<String>,
}

pub async fn run(Remote { args, connection }: Remote<DeleteArgs>) -> Result<(), Failure> {
    let unquoted = |offset: &String| Precondition::Unchanged(offset.trim_matches('"').to_owned());
    let condition = args.if_match.as_ref().map_or(Precondition::None, unquoted);
    let stream = connection.client()?.stream(&args.stream);
    let receipt = stream.delete(&args.entity_type, &args.key, &condition).await?;
    print_receipt(&mut connection.out(), &receipt, "deleted", &args.stream, &args.key)
}
