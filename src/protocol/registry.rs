//! JSON of the registry: bindings as clients send and see them, and the entries of its log.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::model::Timestamp;
use crate::registry::{
    Binding, BindingName, ClosePolicy, Defaulting, Document, Egress, Entry, Pattern, Reads, SubjectName, Validation,
    VersionChoice,
};
use crate::stream::ProducerPolicy;

/// A binding: which subject the streams of a pattern speak, and how they behave.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BindingBody {
    /// Path glob: `*` matches one segment, `**` zero or more. The longest literal prefix wins.
    pub pattern: String,
    pub subject: String,
    /// `"latest"` (pinned when a stream is created) or a number.
    #[serde(default)]
    pub version: VersionBody,
    /// What becomes of a change whose value the schema refuses.
    #[serde(default)]
    pub validation: ValidationBody,
    #[serde(default)]
    pub producers: ProducersBody,
    #[serde(default)]
    pub close: CloseBody,
    /// What a plain read from the beginning gets.
    #[serde(default)]
    pub reads: ReadsBody,
    /// Whether readers of entities are given the schema's defaults for members that are missing.
    #[serde(default)]
    pub defaults: DefaultsBody,
    /// Which consumer's extra rules stored changes satisfy.
    #[serde(default)]
    pub egress: Option<EgressBody>,
    /// Seconds for which superseded changes are kept; null is for ever.
    #[serde(default)]
    pub history_s: Option<u64>,
    /// Seconds for which deletions are remembered; null is for ever.
    #[serde(default)]
    pub tombstone_horizon_s: Option<u64>,
}

/// `"latest"` or a version number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(untagged)]
pub enum VersionBody {
    Latest(Latest),
    Number(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Latest {
    Latest,
}

impl Default for VersionBody {
    fn default() -> Self {
        Self::Latest(Latest::Latest)
    }
}

macro_rules! mirrored {
    ($(#[$doc:meta])* $name:ident = $rule:ident { $($variant:ident),* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            #[default]
            $($variant),*
        }

        impl From<$name> for $rule {
            fn from(wire: $name) -> Self {
                match wire { $($name::$variant => Self::$variant),* }
            }
        }

        impl From<$rule> for $name {
            fn from(rule: $rule) -> Self {
                match rule { $($rule::$variant => Self::$variant),* }
            }
        }
    };
}

mirrored! {
    /// `reject` refuses the batch; `quarantine` keeps the change aside; `warn` writes it; `off` does not look.
    ValidationBody = Validation { Reject, Quarantine, Warn, Off }
}
mirrored! {
    /// `epoch_floor` makes restarted producers that always begin at epoch 0 claim a new epoch.
    ProducersBody = ProducerPolicy { Protocol, EpochFloor }
}
mirrored! {
    /// `ignore` answers a closing request as done and keeps the stream open.
    CloseBody = ClosePolicy { Accept, Ignore }
}
mirrored! {
    /// `folded` gives the newest change per entity, unframed.
    ReadsBody = Reads { Raw, Folded }
}
mirrored! {
    /// `on_read` fills them in where entities are read, unless a read says `defaults=false`; `none` where it says `defaults=true`.
    DefaultsBody = Defaulting { None, OnRead }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EgressBody {
    SseV1,
}

/// A member of a binding that cannot be used. Nothing was written. 422.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{member}: {message}")]
pub struct BindingFault {
    pub member: &'static str,
    pub message: String,
}

impl BindingBody {
    pub fn into_binding(self, name: &str) -> Result<Binding, BindingFault> {
        let fault = |member, message: &str| BindingFault { member, message: message.into() };
        Ok(Binding {
            name: BindingName::parse(name)
                .ok_or_else(|| fault("name", "1 to 256 of the characters A-Z a-z 0-9 . _ -"))?,
            pattern: Pattern::parse(&self.pattern).map_err(|e| fault("pattern", &e.to_string()))?,
            subject: SubjectName::parse(&self.subject).ok_or_else(|| fault("subject", "not a subject name"))?,
            version: match self.version {
                VersionBody::Latest(_) => VersionChoice::Latest,
                VersionBody::Number(version) => VersionChoice::Number(version),
            },
            validation: self.validation.into(),
            producers: self.producers.into(),
            close: self.close.into(),
            reads: self.reads.into(),
            defaults: self.defaults.into(),
            egress: self.egress.map_or(Egress::None, |EgressBody::SseV1| Egress::SseV1),
            history_s: self.history_s,
            tombstone_horizon_s: self.tombstone_horizon_s,
        })
    }
}

impl From<&Binding> for BindingBody {
    fn from(binding: &Binding) -> Self {
        Self {
            pattern: binding.pattern.as_str().to_owned(),
            subject: binding.subject.as_str().to_owned(),
            version: match binding.version {
                VersionChoice::Latest => VersionBody::default(),
                VersionChoice::Number(version) => VersionBody::Number(version),
            },
            validation: binding.validation.into(),
            producers: binding.producers.into(),
            close: binding.close.into(),
            reads: binding.reads.into(),
            defaults: binding.defaults.into(),
            egress: match binding.egress {
                Egress::None => None,
                Egress::SseV1 => Some(EgressBody::SseV1),
            },
            history_s: binding.history_s,
            tombstone_horizon_s: binding.tombstone_horizon_s,
        }
    }
}

/// An entry of the registry's log.
#[derive(Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
enum EntryBody {
    Schema { subject: String, version: u32, document: Value, registered_at_ms: u64 },
    Bind { name: String, binding: Box<BindingBody> },
    Unbind { name: String },
}

/// The log's form of an entry.
pub fn write_entry(entry: &Entry) -> String {
    let body = match entry {
        Entry::Schema { subject, version, document, registered_at } => EntryBody::Schema {
            subject: subject.as_str().to_owned(),
            version: *version,
            document: serde_json::from_str(document.canonical()).unwrap_or(Value::Null),
            registered_at_ms: registered_at.as_millis(),
        },
        Entry::Bind(binding) => EntryBody::Bind { name: binding.name.to_string(), binding: Box::new(binding.into()) },
        Entry::Unbind(name) => EntryBody::Unbind { name: name.to_string() },
    };
    serde_json::to_string(&body).expect("maps with text keys are JSON")
}

/// Reads back what [`write_entry`] wrote. The reason names what is wrong with it.
pub fn read_entry(text: &str) -> Result<Entry, String> {
    let body: EntryBody = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let name = |text: &str| BindingName::parse(text).ok_or_else(|| format!("binding name {text:?}"));
    Ok(match body {
        EntryBody::Schema { subject, version, document, registered_at_ms } => Entry::Schema {
            subject: SubjectName::parse(&subject).ok_or_else(|| format!("subject {subject:?}"))?,
            version,
            document: Arc::new(Document::read_back(&document.to_string()).map_err(|f| format!("{f:?}"))?),
            registered_at: Timestamp::from_millis(registered_at_ms),
        },
        EntryBody::Bind { name, binding } => {
            Entry::Bind(binding.into_binding(&name).map_err(|fault| fault.to_string())?)
        }
        EntryBody::Unbind { name: text } => Entry::Unbind(name(&text)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_read_back_as_written() {
        let body = r#"{"pattern":"a/**","subject":"s","version":3,"validation":"quarantine","egress":"sse_v1"}"#;
        let body: BindingBody = serde_json::from_str(body).unwrap();
        let binding = body.into_binding("b").unwrap();
        let text = write_entry(&Entry::Bind(binding.clone()));
        assert!(matches!(read_entry(&text), Ok(Entry::Bind(read)) if read == binding), "{text}");
        let document = include_str!("../../schemas/documents/sagas.json");
        let value: Value = serde_json::from_str(document).unwrap();
        let document = Document::read_back(&crate::registry::canonical_json(&value)).unwrap();
        let entry = Entry::Schema {
            subject: SubjectName::parse("sagas").unwrap(),
            version: 1,
            registered_at: Timestamp::from_millis(7),
            document: Arc::new(document),
        };
        let text = write_entry(&entry);
        let Ok(Entry::Schema { document: read, .. }) = read_entry(&text) else { panic!("{text}") };
        let Entry::Schema { document, .. } = entry else { unreachable!() };
        assert_eq!(read.fingerprint(), document.fingerprint());
    }

    #[test]
    fn an_unknown_member_is_refused() {
        assert!(serde_json::from_str::<BindingBody>(r#"{"pattern":"a","subject":"s","valdation":"off"}"#).is_err());
    }
}
