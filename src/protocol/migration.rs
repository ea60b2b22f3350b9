//! JSON of a stream's schema over time: its migrations as clients send and see them, where it was bound to which version,
//! and the entries of both logs.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::model::{Offset, Position, Timestamp};
use crate::registry::ValueFault;
use crate::registry::ledger::{EntityFailure, Event, Migration, MigrationState};
use crate::registry::migration::{Pointer, Step, Steps};
use crate::stream::SchemaRef;

use super::inspection::SchemaBody;

/// A migration to be made: where to, and what is done to every entity of which collection.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MigrationRequest {
    pub to: MigrationTarget,
    /// By collection name; in this order for each entity. A collection without steps must fit as it is.
    #[serde(default)]
    pub steps: BTreeMap<String, Vec<StepBody>>,
}

/// The version that a migration leads to.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MigrationTarget {
    /// The stream's own if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    pub version: u32,
}

/// One step. Members are named by JSON pointers; a plain name is a top-level member.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepBody {
    /// Moves a member. Nothing where it is not there.
    Rename { from: String, to: String },
    /// Sets a member that is missing.
    Default { path: String, value: Value },
    /// Takes a member away. Nothing where it is not there.
    Drop(String),
    /// A JSON Patch (RFC 6902): all of its operations, or the entity fails.
    Patch(Vec<Value>),
}

/// What a schema version says is wrong with an entity's value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct ValueFaultBody {
    pub pointer: String,
    pub keyword: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub schema_location: String,
    pub message: String,
}

/// An entity that the steps cannot carry over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct FailureBody {
    pub entity_type: String,
    pub key: String,
    /// Of its newest change.
    pub offset: String,
    pub errors: Vec<ValueFaultBody>,
}

/// A migration, as far as it has come.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct MigrationBody {
    pub id: u32,
    pub state: StateText,
    pub from: SchemaBody,
    pub to: SchemaBody,
    pub steps: BTreeMap<String, Vec<StepBody>>,
    /// Where the stream was bound to the new version; from here on changes are checked under it.
    pub offset: String,
    pub started_at: String,
    /// When it came to the state that it is in.
    pub since: String,
    /// From 0 to 1.
    pub progress: f64,
    pub entities: MigratedBody,
    /// What keeps it from going on, where it has failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<FailureBody>,
    /// `headers.txid` of its changes.
    pub txid: String,
}

/// How many entities a migration has dealt with.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct MigratedBody {
    /// Live ones when it began.
    pub total: u64,
    pub rewritten: u64,
    /// In the new shape already. What others changed or deleted meanwhile is in neither.
    pub unchanged: u64,
}

/// `running`; `failed` waits for a repair, or to be given up; `done`; `cancelled` bound the stream to the former version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StateText {
    Running,
    Failed,
    Done,
    Cancelled,
}

/// All migrations of a stream, oldest first.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct MigrationsReply {
    pub migrations: Vec<MigrationBody>,
}

/// What a migration would do. Nothing was written.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct DryRunReply {
    pub from: SchemaBody,
    pub to: SchemaBody,
    /// The tail that it was tried at.
    pub offset: String,
    pub total: u64,
    pub would_rewrite: u64,
    pub unchanged: u64,
    pub failing: u64,
    /// The first that fail.
    pub failures: Vec<FailureBody>,
    /// The first that would be rewritten.
    pub samples: Vec<SampleBody>,
}

/// An entity before and after.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct SampleBody {
    pub entity_type: String,
    pub key: String,
    pub before: Value,
    pub after: Value,
}

/// A migration that was given up, and what it leaves behind.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct CancelledReply {
    pub migration: MigrationBody,
    /// Live entities that were written under the new version; `fits` says whether the former one takes them.
    pub left: Vec<LeftBody>,
    /// Of these, how many are not listed.
    pub more_left: u64,
}

/// A live entity that was written under the version that a migration led to.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct LeftBody {
    pub entity_type: String,
    pub key: String,
    pub offset: String,
    pub fits: bool,
}

/// The schema that holds from an offset on.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct SchemaAtReply {
    pub subject: String,
    pub version: u32,
    pub fingerprint: String,
    /// Where it began to hold.
    pub since: String,
    pub document: Value,
}

/// A page of the log, each change with what is known of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct LogReply {
    pub changes: Vec<LoggedChange>,
    /// Send as `offset` for what follows.
    pub next: String,
    pub up_to_date: bool,
}

/// A change as it is stored, and what it was checked under.
#[derive(Debug, Serialize, ToSchema)]
pub struct LoggedChange {
    /// Just after it.
    pub offset: String,
    /// When it was committed.
    pub at: String,
    /// The version that it was checked under; null where the stream was not typed yet.
    pub schema: Option<SchemaBody>,
    #[schema(value_type = serde_json::Value)]
    pub change: Box<RawValue>,
}

/// A step that cannot be read. Nothing was written; the same call cannot succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{collection}, step {step}: {message}")]
pub struct StepSyntax {
    pub collection: String,
    pub step: usize,
    pub message: String,
}

impl MigrationRequest {
    pub fn steps(&self) -> Result<Steps, StepSyntax> {
        read_steps(&self.steps)
    }
}

fn read_steps(steps: &BTreeMap<String, Vec<StepBody>>) -> Result<Steps, StepSyntax> {
    let read = |(collection, steps): (&String, &Vec<StepBody>)| {
        let step = |(step, body): (usize, &StepBody)| {
            body.read().map_err(|message| StepSyntax { collection: collection.clone(), step, message })
        };
        Ok((collection.clone(), steps.iter().enumerate().map(step).collect::<Result<_, _>>()?))
    };
    steps.iter().map(read).collect()
}

fn write_steps(steps: &Steps) -> BTreeMap<String, Vec<StepBody>> {
    steps.iter().map(|(collection, steps)| (collection.clone(), steps.iter().map(StepBody::from).collect())).collect()
}

impl StepBody {
    fn read(&self) -> Result<Step, String> {
        let pointer = |text: &String| {
            Pointer::parse(text).ok_or_else(|| format!("{text:?} is no JSON pointer to a member, and no plain name"))
        };
        Ok(match self {
            Self::Rename { from, to } => Step::Rename { from: pointer(from)?, to: pointer(to)? },
            Self::Default { path, value } => Step::Default { path: pointer(path)?, value: value.clone() },
            Self::Drop(path) => Step::Drop(pointer(path)?),
            Self::Patch(operations) => {
                let patch = serde_json::from_value(Value::from(operations.clone()));
                Step::Patch(patch.map_err(|error| format!("no JSON Patch: {error}"))?)
            }
        })
    }
}

impl From<&Step> for StepBody {
    fn from(step: &Step) -> Self {
        match step {
            Step::Rename { from, to } => Self::Rename { from: from.as_str().to_owned(), to: to.as_str().to_owned() },
            Step::Default { path, value } => Self::Default { path: path.as_str().to_owned(), value: value.clone() },
            Step::Drop(path) => Self::Drop(path.as_str().to_owned()),
            Step::Patch(patch) => {
                let operations = patch.iter().filter_map(|operation| serde_json::to_value(operation).ok());
                Self::Patch(operations.collect())
            }
        }
    }
}

impl From<&ValueFault> for ValueFaultBody {
    fn from(fault: &ValueFault) -> Self {
        let ValueFault { pointer, keyword, schema_location, message } = fault.clone();
        Self { pointer, keyword, schema_location, message }
    }
}

impl From<ValueFaultBody> for ValueFault {
    fn from(body: ValueFaultBody) -> Self {
        let ValueFaultBody { pointer, keyword, schema_location, message } = body;
        Self { pointer, keyword, schema_location, message }
    }
}

impl From<&EntityFailure> for FailureBody {
    fn from(failure: &EntityFailure) -> Self {
        Self {
            entity_type: failure.entity_type.clone(),
            key: failure.key.clone(),
            offset: Offset::at(failure.position + 1).to_string(),
            errors: failure.faults.iter().map(Into::into).collect(),
        }
    }
}

impl MigrationBody {
    /// `start` is where the stream's positions begin.
    pub fn of(migration: &Migration, start: Position) -> Self {
        let all = migration.position.saturating_sub(start).max(1);
        let progress = match migration.state {
            MigrationState::Done => 1.0,
            _ => (migration.cursor.saturating_sub(start) as f64 / all as f64).min(1.0),
        };
        Self {
            id: migration.id,
            state: match migration.state {
                MigrationState::Running => StateText::Running,
                MigrationState::Failed => StateText::Failed,
                MigrationState::Done => StateText::Done,
                MigrationState::Cancelled { .. } => StateText::Cancelled,
            },
            from: (&migration.from).into(),
            to: (&migration.to).into(),
            steps: write_steps(&migration.steps),
            offset: Offset::at(migration.position).to_string(),
            started_at: migration.started_at.to_string(),
            since: migration.since.to_string(),
            progress,
            entities: MigratedBody {
                total: migration.total,
                rewritten: migration.rewritten,
                unchanged: migration.unchanged,
            },
            failures: migration.failures.iter().map(Into::into).collect(),
            txid: migration.txid(),
        }
    }
}

/// An entry of a stream's migration log.
#[derive(Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
enum EventBody {
    Started {
        id: u32,
        from: SchemaBody,
        to: SchemaBody,
        steps: BTreeMap<String, Vec<StepBody>>,
        position: Position,
        start: Position,
        total: u64,
        at_ms: u64,
    },
    Advanced {
        cursor: Position,
        rewritten: u64,
        unchanged: u64,
    },
    Failed {
        failures: Vec<FailureEntry>,
        at_ms: u64,
    },
    Continued {
        at_ms: u64,
    },
    Done {
        at_ms: u64,
    },
    Cancelled {
        position: Position,
        at_ms: u64,
    },
}

#[derive(Serialize, Deserialize)]
struct FailureEntry {
    entity_type: String,
    key: String,
    position: Position,
    faults: Vec<ValueFaultBody>,
}

/// The log's form of an event.
pub fn write_event(event: &Event) -> String {
    let body = match event {
        Event::Started { id, from, to, steps, position, start, total, at } => EventBody::Started {
            id: *id,
            from: from.into(),
            to: to.into(),
            steps: write_steps(steps),
            position: *position,
            start: *start,
            total: *total,
            at_ms: at.as_millis(),
        },
        Event::Advanced { cursor, rewritten, unchanged } => {
            EventBody::Advanced { cursor: *cursor, rewritten: *rewritten, unchanged: *unchanged }
        }
        Event::Failed { failures, at } => {
            let entry = |failure: &EntityFailure| FailureEntry {
                entity_type: failure.entity_type.clone(),
                key: failure.key.clone(),
                position: failure.position,
                faults: failure.faults.iter().map(Into::into).collect(),
            };
            EventBody::Failed { failures: failures.iter().map(entry).collect(), at_ms: at.as_millis() }
        }
        Event::Continued { at } => EventBody::Continued { at_ms: at.as_millis() },
        Event::Done { at } => EventBody::Done { at_ms: at.as_millis() },
        Event::Cancelled { position, at } => EventBody::Cancelled { position: *position, at_ms: at.as_millis() },
    };
    serde_json::to_string(&body).expect("maps with text keys are JSON")
}

/// Reads back what [`write_event`] wrote. The reason names what is wrong with it.
pub fn read_event(text: &str) -> Result<Event, String> {
    let body: EventBody = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let at = Timestamp::from_millis;
    Ok(match body {
        EventBody::Started { id, from, to, steps, position, start, total, at_ms } => Event::Started {
            id,
            from: schema_ref(from),
            to: schema_ref(to),
            steps: Arc::new(read_steps(&steps).map_err(|fault| fault.to_string())?),
            position,
            start,
            total,
            at: at(at_ms),
        },
        EventBody::Advanced { cursor, rewritten, unchanged } => Event::Advanced { cursor, rewritten, unchanged },
        EventBody::Failed { failures, at_ms } => {
            let failure = |entry: FailureEntry| EntityFailure {
                entity_type: entry.entity_type,
                key: entry.key,
                position: entry.position,
                faults: entry.faults.into_iter().map(Into::into).collect(),
            };
            Event::Failed { failures: failures.into_iter().map(failure).collect(), at: at(at_ms) }
        }
        EventBody::Continued { at_ms } => Event::Continued { at: at(at_ms) },
        EventBody::Done { at_ms } => Event::Done { at: at(at_ms) },
        EventBody::Cancelled { position, at_ms } => Event::Cancelled { position, at: at(at_ms) },
    })
}

/// An entry of a stream's schema log: from `position` on, changes are checked under this version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebound {
    pub position: Position,
    pub schema: SchemaRef,
}

#[derive(Serialize, Deserialize)]
struct ReboundBody {
    position: Position,
    #[serde(flatten)]
    schema: SchemaBody,
}

/// The log's form of a rebinding.
pub fn write_rebound(rebound: &Rebound) -> String {
    let body = ReboundBody { position: rebound.position, schema: (&rebound.schema).into() };
    serde_json::to_string(&body).expect("maps with text keys are JSON")
}

/// Reads back what [`write_rebound`] wrote. The reason names what is wrong with it.
pub fn read_rebound(text: &str) -> Result<Rebound, String> {
    let body: ReboundBody = serde_json::from_str(text).map_err(|error| error.to_string())?;
    Ok(Rebound { position: body.position, schema: schema_ref(body.schema) })
}

fn schema_ref(body: SchemaBody) -> SchemaRef {
    SchemaRef { subject: Arc::from(body.subject), version: body.version }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> MigrationRequest {
        let text = r#"{"to":{"version":2},"steps":{"jobs":[{"rename":{"from":"a","to":"/b/c"}},{"drop":"d"},
            {"default":{"path":"/e","value":[1]}},{"patch":[{"op":"add","path":"/f","value":null}]}]}}"#;
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn events_read_back_as_written() {
        let schema = |version| SchemaRef { subject: Arc::from("s"), version };
        let at = Timestamp::from_millis(7);
        let faults = vec![ValueFault {
            pointer: "/a".into(),
            keyword: "type".into(),
            schema_location: "#".into(),
            message: "m".into(),
        }];
        let failures = vec![EntityFailure { entity_type: "t".into(), key: "k".into(), position: 3, faults }];
        let steps = Arc::new(request().steps().unwrap());
        for event in [
            Event::Started { id: 1, from: schema(1), to: schema(2), steps, position: 9, start: 2, total: 4, at },
            Event::Advanced { cursor: 5, rewritten: 1, unchanged: 2 },
            Event::Failed { failures, at },
            Event::Continued { at },
            Event::Done { at },
            Event::Cancelled { position: 11, at },
        ] {
            let text = write_event(&event);
            assert_eq!(format!("{:?}", read_event(&text).unwrap()), format!("{event:?}"), "{text}");
        }
        let rebound = Rebound { position: 4, schema: schema(2) };
        assert_eq!(read_rebound(&write_rebound(&rebound)), Ok(rebound));
    }

    #[test]
    fn steps_that_say_nothing_known_are_refused() {
        for step in [
            r#"{"rename":{"from":"","to":"x"}}"#,
            r#"{"drop":"a/b"}"#,
            r#"{"patch":[{"op":"frobnicate","path":"/a"}]}"#,
        ] {
            let request: MigrationRequest =
                serde_json::from_str(&format!(r#"{{"to":{{"version":2}},"steps":{{"c":[{step}]}}}}"#)).unwrap();
            assert_eq!(request.steps().unwrap_err().step, 0, "{step}");
        }
        assert!(serde_json::from_str::<StepBody>(r#"{"remove":"a"}"#).is_err());
    }
}
