//! Made by `keyfold codegen rust` from schemas/documents/auth.json: change the document, not this file.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AuthSessionState {
    #[serde(rename = "active")]
    Active,
    #[serde(rename = "expired")]
    Expired,
    #[serde(rename = "revoked")]
    Revoked,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuthSession {
    #[serde(rename = "accountId", default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub claims: Option<serde_json::Map<String, serde_json::Value>>,
    #[serde(rename = "expiresAt")]
    pub expires_at: String,
    pub id: String,
    #[serde(rename = "issuedAt")]
    pub issued_at: String,
    #[serde(rename = "providerId", default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub provider_id: Option<String>,
    #[serde(rename = "refreshedAt", default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub refreshed_at: Option<String>,
    #[serde(rename = "revokedAt", default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<String>,
    pub roles: Vec<String>,
    pub scopes: Vec<String>,
    pub state: AuthSessionState,
    pub subject: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
    #[serde(rename = "userId")]
    pub user_id: String,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl AuthSession {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "auth-session";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

/// Tells a member that is there and null from one that is not there.
fn present<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
