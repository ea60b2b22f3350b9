//! `keyfold get`: prints one entity.

use clap::Args;

use super::Remote;
use super::failure::Failure;
use crate::client::EntityRow;

#[derive(Args)]
pub struct GetArgs {
    /// The stream's path, for example `netscript/workers`.
    stream: String,
    /// The entity's type, for example `execution`.
    #[arg(value_name = "TYPE")]
    entity_type: String,
    /// The entity's key.
    key: String,
}

pub async fn run(Remote { args, connection }: Remote<GetArgs>) -> Result<(), Failure> {
    let stream = connection.client()?.stream(&args.stream);
    let Some(entity) = stream.get(&args.entity_type, &args.key).await? else {
        let GetArgs { stream, entity_type, key } = args;
        let next = format!("`keyfold list {stream} {entity_type}` prints what there is");
        return Err(Failure::Failed(format!("{stream} has no {entity_type} {key:?}\n  {next}")));
    };
    let mut out = connection.out();
    if out.is_json() {
        out.json(&EntityRow { key: args.key, value: entity.value, offset: entity.offset })?;
    } else {
        out.document(&entity.value)?;
    }
    Ok(out.flush()?)
}
