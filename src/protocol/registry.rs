//! JSON of the registry: bindings, choices and states as clients send and see them, and the entries of its log.
//!
//! Entries are read back for as long as there are directories that hold them: members may be added, with what their
//! absence means, and kinds may be added; neither is ever taken away.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::model::Timestamp;
use crate::registry::{
    Binding, BindingName, ClosePolicy, CompatibilityChoice, ContentModel, Defaulting, Document, Egress, Entry, Mode,
    Pattern, Reads, Registry, SubjectName, Validation, VersionChoice, VersionState,
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

macro_rules! named {
    ($(#[$doc:meta])* $name:ident = $rule:ident as $case:literal { $($variant:ident),* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
        #[serde(rename_all = $case)]
        pub enum $name {
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

named! {
    /// Which versions must accept what which others accept. `BACKWARD`: the newer accepts all that the older did;
    /// `FORWARD`: the other way around; `FULL`: both; `_TRANSITIVE`: not only neighbours.
    ModeBody = Mode as "SCREAMING_SNAKE_CASE" {
        None, Backward, BackwardTransitive, Forward, ForwardTransitive, Full, FullTransitive
    }
}
named! {
    /// What an object may hold that its schema does not declare. `optional_friendly`: nothing, as far as producers go,
    /// so that an optional property can be added; `closed`: nothing at all; `open`: anything.
    ContentModelBody = ContentModel as "snake_case" { OptionalFriendly, Closed, Open }
}

/// How strictly the versions of a subject must fit each other. What is left out is inherited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigBody {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compatibility: Option<ModeBody>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_model: Option<ContentModelBody>,
}

impl From<ConfigBody> for CompatibilityChoice {
    fn from(body: ConfigBody) -> Self {
        Self { mode: body.compatibility.map(Into::into), content_model: body.content_model.map(Into::into) }
    }
}

impl From<CompatibilityChoice> for ConfigBody {
    fn from(choice: CompatibilityChoice) -> Self {
        Self { compatibility: choice.mode.map(Into::into), content_model: choice.content_model.map(Into::into) }
    }
}

/// Whether a version is to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StateName {
    Enabled,
    /// Of full use, and whoever uses it is told to leave it.
    Deprecated,
    /// No stream is pinned to it any more, and those that are take no writes.
    Disabled,
}

/// The state of a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StateBody {
    pub state: StateName,
    /// Since when it is deprecated, RFC 3339; now unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// When it is expected to be disabled, RFC 3339. Nothing happens by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sunset: Option<String>,
}

impl StateBody {
    /// The state as it is from `now` on; the reason names the member that cannot be used.
    pub fn into_state(self, now: Timestamp) -> Result<VersionState, String> {
        let read = |member: &str, text: Option<String>| {
            text.map(|text| text.parse::<Timestamp>().map_err(|fault| format!("{member}: {fault}"))).transpose()
        };
        let (since, sunset) = (read("since", self.since)?, read("sunset", self.sunset)?);
        match self.state {
            StateName::Deprecated => {
                let since = since.unwrap_or(now);
                match sunset {
                    Some(sunset) if sunset < since => Err("sunset: it does not come before since".to_owned()),
                    sunset => Ok(VersionState::Deprecated { since, sunset }),
                }
            }
            _ if since.is_some() || sunset.is_some() => {
                Err("since and sunset are said of deprecated versions".into())
            }
            StateName::Enabled => Ok(VersionState::Enabled),
            StateName::Disabled => Ok(VersionState::Disabled),
        }
    }
}

impl From<VersionState> for StateBody {
    fn from(state: VersionState) -> Self {
        let plain = |state| Self { state, since: None, sunset: None };
        match state {
            VersionState::Enabled => plain(StateName::Enabled),
            VersionState::Disabled => plain(StateName::Disabled),
            VersionState::Deprecated { since, sunset } => Self {
                state: StateName::Deprecated,
                since: Some(since.to_string()),
                sunset: sunset.map(|sunset| sunset.to_string()),
            },
        }
    }
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
    Schema {
        subject: String,
        version: u32,
        document: Value,
        registered_at_ms: u64,
    },
    Bind {
        name: String,
        binding: Box<BindingBody>,
    },
    Unbind {
        name: String,
    },
    /// Without a subject for all of them; without a choice to take the last one back.
    Config {
        subject: Option<String>,
        choice: Option<ConfigBody>,
    },
    State {
        subject: String,
        version: u32,
        state: StateName,
        since_ms: Option<u64>,
        sunset_ms: Option<u64>,
    },
    Delete {
        subject: String,
        versions: Vec<u32>,
        for_good: bool,
    },
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
        Entry::Config { subject, choice } => {
            EntryBody::Config { subject: subject.as_ref().map(ToString::to_string), choice: choice.map(Into::into) }
        }
        Entry::State { subject, version, state } => {
            let (name, since, sunset) = match *state {
                VersionState::Enabled => (StateName::Enabled, None, None),
                VersionState::Deprecated { since, sunset } => (StateName::Deprecated, Some(since), sunset),
                VersionState::Disabled => (StateName::Disabled, None, None),
            };
            EntryBody::State {
                subject: subject.to_string(),
                version: *version,
                state: name,
                since_ms: since.map(Timestamp::as_millis),
                sunset_ms: sunset.map(Timestamp::as_millis),
            }
        }
        Entry::Delete { subject, versions, for_good } => {
            EntryBody::Delete { subject: subject.to_string(), versions: versions.clone(), for_good: *for_good }
        }
    };
    serde_json::to_string(&body).expect("maps with text keys are JSON")
}

/// Reads back what [`write_entry`] wrote. The reason names what is wrong with it. `before` is what the entries before
/// it made: what a document refers to is found there.
pub fn read_entry(text: &str, before: &Registry) -> Result<Entry, String> {
    let body: EntryBody = serde_json::from_str(text).map_err(|e| match e.to_string() {
        unknown if unknown.starts_with("unknown variant") => {
            format!("a kind of entry that this program does not know; a newer one wrote it ({unknown})")
        }
        other => other,
    })?;
    let name = |text: &str| BindingName::parse(text).ok_or_else(|| format!("binding name {text:?}"));
    let subject_of = |text: &str| SubjectName::parse(text).ok_or_else(|| format!("subject {text:?}"));
    Ok(match body {
        EntryBody::Schema { subject, version, document, registered_at_ms } => {
            let known = |subject: &SubjectName, version| before.get(subject, version).map(|r| r.document.clone());
            let document = Document::read_back_with(&document.to_string(), &known).map_err(|f| format!("{f:?}"))?;
            Entry::Schema {
                subject: subject_of(&subject)?,
                version,
                document: Arc::new(document),
                registered_at: Timestamp::from_millis(registered_at_ms),
            }
        }
        EntryBody::Bind { name, binding } => {
            Entry::Bind(binding.into_binding(&name).map_err(|fault| fault.to_string())?)
        }
        EntryBody::Unbind { name: text } => Entry::Unbind(name(&text)?),
        EntryBody::Config { subject, choice } => {
            Entry::Config { subject: subject.as_deref().map(subject_of).transpose()?, choice: choice.map(Into::into) }
        }
        EntryBody::State { subject, version, state, since_ms, sunset_ms } => {
            let state = match state {
                StateName::Enabled => VersionState::Enabled,
                StateName::Disabled => VersionState::Disabled,
                StateName::Deprecated => VersionState::Deprecated {
                    since: Timestamp::from_millis(since_ms.unwrap_or_default()),
                    sunset: sunset_ms.map(Timestamp::from_millis),
                },
            };
            Entry::State { subject: subject_of(&subject)?, version, state }
        }
        EntryBody::Delete { subject, versions, for_good } => {
            Entry::Delete { subject: subject_of(&subject)?, versions, for_good }
        }
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
        assert!(
            matches!(read_entry(&text, &Registry::default()), Ok(Entry::Bind(read)) if read == binding),
            "{text}"
        );
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
        let Ok(Entry::Schema { document: read, .. }) = read_entry(&text, &Registry::default()) else {
            panic!("{text}")
        };
        let Entry::Schema { document, .. } = entry else { unreachable!() };
        assert_eq!(read.fingerprint(), document.fingerprint());
    }

    #[test]
    fn steps_of_the_life_cycle_read_back_as_written() {
        let subject = || SubjectName::parse("a/b").unwrap();
        let since = Timestamp::from_millis(7);
        let choice = |mode| CompatibilityChoice { mode, content_model: Some(ContentModel::Open) };
        let state = |state| Entry::State { subject: subject(), version: 2, state };
        for entry in [
            Entry::Config { subject: None, choice: Some(choice(None)) },
            Entry::Config { subject: Some(subject()), choice: Some(choice(Some(Mode::FullTransitive))) },
            Entry::Config { subject: Some(subject()), choice: None },
            state(VersionState::Enabled),
            state(VersionState::Deprecated { since, sunset: None }),
            state(VersionState::Deprecated { since, sunset: Some(Timestamp::from_millis(8)) }),
            state(VersionState::Disabled),
            Entry::Delete { subject: subject(), versions: vec![1, 3], for_good: false },
            Entry::Delete { subject: subject(), versions: vec![2], for_good: true },
        ] {
            let text = write_entry(&entry);
            let read = read_entry(&text, &Registry::default()).unwrap_or_else(|fault| panic!("{text}: {fault}"));
            assert_eq!(format!("{read:?}"), format!("{entry:?}"), "{text}");
        }
    }

    #[test]
    fn an_entry_of_a_newer_program_is_named_as_such() {
        let fault = read_entry(r#"{"entry":"rename","subject":"s"}"#, &Registry::default()).unwrap_err();
        assert!(fault.contains("a newer one wrote it") && fault.contains("rename"), "{fault}");
    }

    #[test]
    fn an_unknown_member_is_refused() {
        assert!(serde_json::from_str::<BindingBody>(r#"{"pattern":"a","subject":"s","valdation":"off"}"#).is_err());
    }
}
