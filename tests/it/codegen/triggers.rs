//! Made by `keyfold codegen rust` from schemas/documents/triggers.json: change the document, not this file.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TriggerEventStatus {
    #[serde(rename = "pending")]
    Pending,
    #[serde(rename = "in-flight")]
    InFlight,
    #[serde(rename = "deferred")]
    Deferred,
    #[serde(rename = "completed")]
    Completed,
    #[serde(rename = "failed")]
    Failed,
    #[serde(rename = "dlq")]
    Dlq,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TriggerEvent {
    #[serde(rename = "detectedAt")]
    pub detected_at: String,
    #[serde(rename = "eventId")]
    pub event_id: String,
    pub kind: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub metadata: Option<serde_json::Map<String, serde_json::Value>>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub payload: Option<serde_json::Value>,
    pub status: TriggerEventStatus,
    #[serde(rename = "triggerId")]
    pub trigger_id: String,
    #[serde(rename = "updatedAt")]
    pub updated_at: String,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl TriggerEvent {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "triggerEvent";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "eventId";
}

/// Tells a member that is there and null from one that is not there.
fn present<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
