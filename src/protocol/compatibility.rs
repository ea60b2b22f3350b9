//! JSON of a verdict: whether a document fits, what speaks against it, and what stored entities say.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::registry::compat::Violation;

use super::registry::{ContentModelBody, ModeBody};

/// Which way values go that are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// The candidate refuses what the earlier version accepts.
    Backward,
    /// The earlier version refuses what the candidate accepts.
    Forward,
}

/// One reason why a document does not fit.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct ViolationBody {
    pub collection: String,
    /// The earlier version.
    pub version: u32,
    pub direction: Direction,
    /// Stable; `undecided` where the answer was not found within bounds, which counts as incompatible.
    pub kind: String,
    /// JSON pointer into the schema that refuses.
    pub path: String,
    /// What is wrong, for a person.
    pub message: String,
    /// A value that one version accepts and the other refuses, as the validator has confirmed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub counterexample: Option<Value>,
}

impl From<&Violation> for ViolationBody {
    fn from(violation: &Violation) -> Self {
        Self {
            collection: violation.collection.clone(),
            version: violation.version,
            direction: if violation.backward { Direction::Backward } else { Direction::Forward },
            kind: violation.kind.to_owned(),
            path: violation.path.clone(),
            message: violation.message.clone(),
            counterexample: violation.counterexample.clone(),
        }
    }
}

/// Whether a document fits.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct VerdictBody {
    /// With `live=strict` also whether no stored entity would be refused.
    pub compatible: bool,
    pub compatibility: ModeBody,
    pub content_model: ContentModelBody,
    /// The versions it was compared with, newest first.
    pub compared: Vec<u32>,
    pub violations: Vec<ViolationBody>,
    /// What stored entities say; absent with `live=off`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub live: Option<LiveBody>,
}

/// How many stored entities the document would refuse.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct LiveBody {
    /// Streams that are pinned to the subject; each was looked at as it was at one moment.
    pub streams: u64,
    /// Entities that were checked.
    pub checked: u64,
    pub refused: u64,
    /// The first 20 of the refused, by stream.
    pub first: Vec<RefusedEntityBody>,
}

/// A stored entity that the document would refuse.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct RefusedEntityBody {
    pub stream: String,
    /// The document's collection of that type; null where it has none.
    pub collection: Option<String>,
    pub r#type: String,
    pub key: String,
    pub offset: String,
    pub errors: Vec<RefusalBody>,
}

/// Why an entity would be refused.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct RefusalBody {
    /// JSON pointer into the value.
    pub pointer: String,
    pub keyword: String,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub schema_location: String,
    pub message: String,
}

/// A line that tells how far the look at stored entities has come.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct ProgressLine {
    pub progress: ProgressBody,
}

/// How far the look at stored entities has come.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct ProgressBody {
    pub streams: u64,
    pub streams_done: u64,
    pub checked: u64,
    pub refused: u64,
}
