//! Made by `keyfold codegen rust` from schemas/documents/workers.json: change the document, not this file.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ExecutionConcept {
    #[serde(rename = "job")]
    Job,
    #[serde(rename = "task")]
    Task,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ExecutionStatus {
    #[serde(rename = "pending")]
    Pending,
    #[serde(rename = "queued")]
    Queued,
    #[serde(rename = "running")]
    Running,
    #[serde(rename = "completed")]
    Completed,
    #[serde(rename = "failed")]
    Failed,
    #[serde(rename = "cancelled")]
    Cancelled,
    #[serde(rename = "timeout")]
    Timeout,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Execution {
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u64>,
    #[serde(rename = "completedAt", default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Option<String>>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub concept: Option<ExecutionConcept>,
    #[serde(rename = "correlationId", default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub duration: Option<Option<f64>>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub error: Option<Option<String>>,
    #[serde(rename = "exitCode", default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<Option<i64>>,
    pub id: String,
    #[serde(rename = "jobId")]
    pub job_id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub result: Option<Option<serde_json::Map<String, serde_json::Value>>>,
    #[serde(rename = "startedAt", default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Option<String>>,
    pub status: ExecutionStatus,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    #[serde(rename = "triggeredAt", default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub triggered_at: Option<String>,
    #[serde(rename = "workerId", default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<Option<String>>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl Execution {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "execution";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// cron
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl Job {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "job";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

/// Tells a member that is there and null from one that is not there.
fn present<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
