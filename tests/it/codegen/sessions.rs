//! Made by `keyfold codegen rust` from schemas/documents/sessions.json: change the document, not this file.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionsPendingTool {
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SessionsPrCiChecksItemStatus {
    #[serde(rename = "pending")]
    Pending,
    #[serde(rename = "running")]
    Running,
    #[serde(rename = "success")]
    Success,
    #[serde(rename = "failure")]
    Failure,
    #[serde(rename = "cancelled")]
    Cancelled,
    #[serde(rename = "unknown")]
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionsPrCiChecksItem {
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub status: Option<SessionsPrCiChecksItemStatus>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub url: Option<Option<String>>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SessionsPrCiStatus {
    #[serde(rename = "pending")]
    Pending,
    #[serde(rename = "running")]
    Running,
    #[serde(rename = "success")]
    Success,
    #[serde(rename = "failure")]
    Failure,
    #[serde(rename = "cancelled")]
    Cancelled,
    #[serde(rename = "unknown")]
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionsPr {
    #[serde(rename = "ciChecks", default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub ci_checks: Option<Vec<SessionsPrCiChecksItem>>,
    #[serde(rename = "ciStatus", default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub ci_status: Option<SessionsPrCiStatus>,
    #[serde(rename = "lastChecked", default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub last_checked: Option<String>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub number: Option<f64>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SessionsRecentOutputItemRole {
    #[serde(rename = "user")]
    User,
    #[serde(rename = "assistant")]
    Assistant,
    #[serde(rename = "tool")]
    Tool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionsRecentOutputItem {
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub role: Option<SessionsRecentOutputItemRole>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SessionsSource {
    #[serde(rename = "claude")]
    Claude,
    #[serde(rename = "droid")]
    Droid,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SessionsStatus {
    #[serde(rename = "working")]
    Working,
    #[serde(rename = "waiting")]
    Waiting,
    #[serde(rename = "idle")]
    Idle,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sessions {
    pub cwd: String,
    #[serde(rename = "gitBranch", deserialize_with = "Option::deserialize")]
    pub git_branch: Option<String>,
    #[serde(rename = "gitRepoId", deserialize_with = "Option::deserialize")]
    pub git_repo_id: Option<String>,
    #[serde(rename = "gitRepoUrl", deserialize_with = "Option::deserialize")]
    pub git_repo_url: Option<String>,
    pub goal: String,
    #[serde(rename = "hasPendingToolUse")]
    pub has_pending_tool_use: bool,
    #[serde(rename = "lastActivityAt")]
    pub last_activity_at: String,
    #[serde(rename = "messageCount")]
    pub message_count: f64,
    #[serde(rename = "originalPrompt")]
    pub original_prompt: String,
    #[serde(rename = "pendingTool", deserialize_with = "Option::deserialize")]
    pub pending_tool: Option<SessionsPendingTool>,
    #[serde(deserialize_with = "Option::deserialize")]
    pub pr: Option<SessionsPr>,
    #[serde(rename = "recentOutput")]
    pub recent_output: Vec<SessionsRecentOutputItem>,
    #[serde(rename = "sessionId")]
    pub session_id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub source: Option<SessionsSource>,
    pub status: SessionsStatus,
    pub summary: String,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl Sessions {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "session";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "sessionId";
}

/// Tells a member that is there and null from one that is not there.
fn present<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
