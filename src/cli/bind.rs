//! `keyfold bind`: which streams a subject rules, and how.

use clap::Args;
use serde_json::Value;

use super::failure::Failure;
use super::{Remote, table};
use crate::client::Binding;

#[derive(Args)]
#[command(group(clap::ArgGroup::new("other").args(["list", "remove"])))]
pub struct BindArgs {
    /// The binding's name.
    #[arg(required_unless_present = "other", conflicts_with = "list")]
    name: Option<String>,
    /// A path glob: `*` is one segment, `**` is any number, for example `netscript/workers/**`.
    #[arg(required_unless_present = "other", conflicts_with = "other")]
    pattern: Option<String>,
    /// The registered subject that rules these streams.
    #[arg(required_unless_present = "other", conflicts_with = "other")]
    subject: Option<String>,
    /// Print the bindings.
    #[arg(long)]
    list: bool,
    /// Remove the binding NAME; its streams keep their data.
    #[arg(long, requires = "name")]
    remove: bool,
    /// Pin this version instead of the latest.
    #[arg(long)]
    version: Option<u64>,
    /// What happens to a value that its schema refuses.
    #[arg(long, value_parser = ["reject", "quarantine", "warn", "off"])]
    validation: Option<String>,
    /// How producers are told apart; `epoch_floor` serves those that start at epoch 0 in every process.
    #[arg(long, value_parser = ["protocol", "epoch_floor"])]
    producers: Option<String>,
    /// Whether a client may close the stream.
    #[arg(long, value_parser = ["accept", "ignore"])]
    close: Option<String>,
    /// Whether plain reads from the beginning are folded.
    #[arg(long, value_parser = ["raw", "folded"])]
    reads: Option<String>,
    /// Whether readers of entities are given the schema's defaults for members that are missing.
    #[arg(long, value_parser = ["none", "on_read"])]
    defaults: Option<String>,
    /// Fields that a client's wire format needs on every change.
    #[arg(long, value_parser = ["sse_v1"])]
    egress: Option<String>,
    /// Keep superseded changes for this many seconds instead of for ever.
    #[arg(long, value_name = "SECONDS")]
    history_s: Option<u64>,
    /// Keep tombstones for this many seconds instead of for ever.
    #[arg(long, value_name = "SECONDS")]
    tombstone_horizon_s: Option<u64>,
}

impl BindArgs {
    fn binding(&self, pattern: &str, subject: &str) -> Binding {
        let settings = [
            ("validation", &self.validation),
            ("producers", &self.producers),
            ("close", &self.close),
            ("reads", &self.reads),
            ("defaults", &self.defaults),
            ("egress", &self.egress),
        ];
        let spans = [("history_s", self.history_s), ("tombstone_horizon_s", self.tombstone_horizon_s)];
        let settings = settings.into_iter().filter_map(|(name, value)| Some((name, Value::from(value.clone()?))));
        let spans = spans.into_iter().filter_map(|(name, value)| Some((name, Value::from(value?))));
        let binding = Binding { version: self.version.map(Value::from), ..Binding::new(pattern, subject) };
        settings.chain(spans).fold(binding, |binding, (name, value)| binding.with(name, value))
    }
}

pub async fn run(Remote { args, connection }: Remote<BindArgs>) -> Result<(), Failure> {
    let (client, mut out) = (connection.client()?, connection.out());
    match (&args.name, &args.pattern, &args.subject) {
        (Some(name), ..) if args.remove => {
            client.unbind(name).await?;
            if !out.is_json() {
                out.line(&format!("removed: {name}"))?;
            }
        }
        (Some(name), Some(pattern), Some(subject)) => {
            let bound = client.bind(name, &args.binding(pattern, subject)).await?;
            if out.is_json() { out.json(&bound)? } else { out.line(&format!("bound: {pattern} to {subject}"))? }
        }
        _ => {
            let bindings = client.bindings().await?;
            if !out.is_json() {
                let rows = bindings.iter().map(row);
                return table::print(&mut out, ["name", "pattern", "subject", "version", "settings"], rows);
            }
            for binding in &bindings {
                out.json(binding)?;
            }
        }
    }
    Ok(out.flush()?)
}

fn row(binding: &Binding) -> [String; 5] {
    let set = binding.settings.iter().filter(|(_, value)| !value.is_null());
    let settings: Vec<_> = set.map(|(name, value)| format!("{name}={}", table::cell(value))).collect();
    [
        binding.name.clone().unwrap_or_default(),
        binding.pattern.clone(),
        binding.subject.clone(),
        binding.version.as_ref().map_or_else(|| "latest".to_owned(), table::cell),
        settings.join(" "),
    ]
}
