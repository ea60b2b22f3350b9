//! Made by `keyfold codegen rust` from tests/it/codegen/shapes.json: change the document, not this file.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Vec2ObjectId {
    Text(String),
    Integer(i64),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vec2Object {
    pub id: Vec2ObjectId,
    pub left: serde_json::Value,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Vec2Object2Id {
    Text(String),
    Integer(i64),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vec2Object2 {
    pub id: Vec2Object2Id,
    pub right: serde_json::Value,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Vec2 {
    Object(Vec2Object),
    Object2(Vec2Object2),
}

impl Vec2 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "either";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShapeFileEventOpened {
    pub by: Person,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShapeFileEventClosed {
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub why: Option<Option<String>>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShapeFileEventMoved {
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub to: Option<Box<Node>>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event")]
pub enum ShapeFileEvent {
    #[serde(rename = "opened")]
    Opened(ShapeFileEventOpened),
    #[serde(rename = "closed")]
    Closed(ShapeFileEventClosed),
    #[serde(rename = "moved")]
    Moved(ShapeFileEventMoved),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ShapeFileKind {
    #[serde(rename = "drawing")]
    Drawing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ShapeFileOwnerRole {
    #[serde(rename = "admin")]
    Admin,
    #[serde(rename = "in-flight")]
    InFlight,
    #[serde(rename = "in flight")]
    InFlight2,
    #[serde(rename = "")]
    Value,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShapeFileOwner {
    pub name: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub role: Option<ShapeFileOwnerRole>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ShapeFilePathItem {
    Text(String),
    Integer(i64),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ShapeFileScale {
    Integer(i64),
    Text(String),
    List(Vec<Node>),
}

/// A drawing
///
/// What somebody drew.
/// Layers lie upon each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShapeFile {
    #[serde(rename = "", default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    #[serde(rename = "2d", default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub field_2d: Option<Option<bool>>,
    #[serde(rename = "a-b", default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub a_b: Option<f64>,
    #[serde(rename = "a_b", default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub a_b2: Option<i64>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub anything: Option<serde_json::Value>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub event: Option<ShapeFileEvent>,
    pub id: u64,
    pub kind: ShapeFileKind,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub level: Option<i64>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub limits: Option<std::collections::BTreeMap<String, i64>>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub mixed: Option<Option<serde_json::Value>>,
    #[serde(deserialize_with = "Option::deserialize")]
    pub note: Option<String>,
    pub origin: (f64, f64),
    pub owner: ShapeFileOwner,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub path: Option<Vec<ShapeFilePathItem>>,
    pub root: Box<Node>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub scale: Option<ShapeFileScale>,
    #[serde(rename = "self", default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub self_: Option<bool>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub tree: Option<Tree>,
    /// A keyword of Rust.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
    #[serde(rename = "日本", default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub field2: Option<String>,
}

/// Somebody
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Person {
    pub name: String,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ClosedEvent {
    #[serde(rename = "closed")]
    Closed,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Closed {
    pub event: ClosedEvent,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub why: Option<Option<String>>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub children: Option<Vec<Node>>,
    pub name: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub next: Option<Box<Node>>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub twin: Option<Option<Box<Node>>>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: std::collections::BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tree(pub Vec<Tree>);

impl ShapeFile {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "shape";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

/// Tells a member that is there and null from one that is not there.
fn present<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
