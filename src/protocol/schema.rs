//! Shapes of messages and documents, for the schemas that are published and for OpenAPI. Reading them is done elsewhere,
//! without copying; these types only describe.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A State Protocol change: one insert, update, upsert or delete of one entity.
#[derive(Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct ChangeMessage {
    /// Entity type: which collection the change belongs to. 1 to 256 bytes.
    pub r#type: String,
    /// Which entity; equals the value's primary key. 1 to 1,024 bytes.
    pub key: String,
    /// The entity; absent on a delete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_value: Option<Value>,
    pub headers: ChangeHeaders,
}

/// What a change does, and what travels with it. Other members are kept.
#[derive(Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangeHeaders {
    pub operation: OperationText,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub txid: Option<String>,
    /// RFC 3339; added when it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OperationText {
    Insert,
    Update,
    Upsert,
    Delete,
}

/// A State Protocol control message, which only the server sends.
#[derive(Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct ControlMessage {
    pub headers: ControlHeaders,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct ControlHeaders {
    pub control: ControlText,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ControlText {
    SnapshotStart,
    SnapshotEnd,
    Reset,
}

/// What is registered under a subject: its collections by name.
#[derive(Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct DocumentBody {
    #[schemars(with = "std::collections::BTreeMap<String, CollectionDocument>")]
    #[schema(value_type = std::collections::HashMap<String, CollectionDocument>)]
    pub collections: Map<String, Value>,
    /// Versions of other subjects that the schemas refer to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<DocumentReference>,
}

/// A version of another subject, and what schemas call it: `$ref: "<name>#/collections/<collection>/schema"`.
#[derive(Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct DocumentReference {
    /// What `$ref` says in front of `#`.
    pub name: String,
    pub subject: String,
    pub version: u32,
}

/// One collection of a document.
#[derive(Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CollectionDocument {
    /// Entity type of its changes; unique in the document.
    pub r#type: String,
    /// Required member of the schema that names an entity: a string or an integer.
    pub primary_key: String,
    /// Integer member; a change whose number is smaller than the entity's is dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_field: Option<String>,
    /// Whether inserting an entity that exists is refused.
    #[serde(default)]
    pub strict: bool,
    /// JSON Schema 2020-12 unless `$schema` says otherwise.
    pub schema: Value,
}
