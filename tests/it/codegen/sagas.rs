//! Made by `keyfold codegen rust` from schemas/documents/sagas.json: change the document, not this file.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SagaInstanceStatus {
    #[serde(rename = "pending")]
    Pending,
    #[serde(rename = "running")]
    Running,
    #[serde(rename = "completed")]
    Completed,
    #[serde(rename = "failed")]
    Failed,
    #[serde(rename = "compensating")]
    Compensating,
    #[serde(rename = "cancelled")]
    Cancelled,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SagaInstance {
    #[serde(rename = "completedAt", default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<String>,
    #[serde(rename = "correlationKey")]
    pub correlation_key: String,
    #[serde(rename = "currentStep", default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub current_step: Option<String>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(rename = "instanceId")]
    pub instance_id: String,
    #[serde(rename = "lastMessageType", default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub last_message_type: Option<String>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub message: Option<serde_json::Map<String, serde_json::Value>>,
    #[serde(rename = "messageCount")]
    pub message_count: u64,
    #[serde(rename = "sagaId")]
    pub saga_id: String,
    #[serde(rename = "startedAt")]
    pub started_at: String,
    pub state: serde_json::Map<String, serde_json::Value>,
    pub status: SagaInstanceStatus,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
    #[serde(rename = "updatedAt")]
    pub updated_at: String,
    pub version: u64,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl SagaInstance {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "saga-instance";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "instanceId";
}

/// Tells a member that is there and null from one that is not there.
fn present<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
