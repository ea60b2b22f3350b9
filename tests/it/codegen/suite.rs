//! Made by `keyfold codegen rust` from the JSON Schema Test Suite: change the document, not this file.
//!
//! Note: `/collections/c0/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c10/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c10/schema/properties/v/allOf/0`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c10/schema/properties/v/allOf/1`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c101/schema/properties/v/oneOf/0`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c101/schema/properties/v/oneOf/1`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c114/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c115/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c116/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c117/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c118/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c119/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c120/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c121/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c123/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c125/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c127/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c128/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c132/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c133/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c135/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c135/schema/properties/v/$ref/$ref`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c136/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c136/schema/properties/v/$ref/$ref`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c141/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c142/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c143/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c144/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c145/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c146/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c147/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c156/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c157/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c158/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c192/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c192/schema/properties/v/anyOf/0`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c2/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c204/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c208/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c208/schema/properties/v/allOf/0`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c209/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c210/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c211/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c212/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c212/schema/properties/v/anyOf/0`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c212/schema/properties/v/anyOf/1`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c212/schema/properties/v/anyOf/2`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c213/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c213/schema/properties/v/oneOf/0`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c213/schema/properties/v/oneOf/1`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c214/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c218/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c219/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c220/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c220/schema/properties/v/$ref`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c221/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c221/schema/properties/v/$ref`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c222/schema/properties/v/$ref`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c223/schema/properties/v/allOf/0`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c224/schema/properties/v/allOf/1`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c225/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c226/schema/properties/v/allOf/0`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c227/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c228/schema/properties/v/allOf/0`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c229/schema/properties/v/allOf/0`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c230/schema/properties/v/allOf/1`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c231/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c231/schema/properties/v/anyOf/0`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c232/schema/properties/v/allOf/0`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c232/schema/properties/v/anyOf/0`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c233/schema/properties/v/allOf/0`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c233/schema/properties/v/anyOf/0`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c234/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c235/schema/properties/v/allOf/0/$ref`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c235/schema/properties/v/allOf/1`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c235/schema/properties/v/allOf/2/oneOf/0/$ref`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c235/schema/properties/v/allOf/2/oneOf/1`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c236/schema/properties/v/oneOf/0/$ref/oneOf/0/$ref/oneOf/0`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c236/schema/properties/v/oneOf/0/$ref/oneOf/0/$ref/oneOf/1`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c236/schema/properties/v/oneOf/0/$ref/oneOf/1`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c236/schema/properties/v/oneOf/1`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c241/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c242/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c243/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c244/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c30/schema/properties/v/anyOf/0`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c30/schema/properties/v/anyOf/1`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c4/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c5/schema/properties/v/allOf/0`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c63/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c8/schema/properties/v`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c81/schema/properties/v/allOf/0`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c9/schema/properties/v/allOf/0`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c9/schema/properties/v/allOf/1`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c98/schema/properties/v/oneOf/0`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open
//!
//! Note: `/collections/c98/schema/properties/v/oneOf/1`: has `properties` but no `type`: a value that is no object is allowed as well, so the type is open

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C0 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C0 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c0";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C1 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C1 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c1";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C10 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C10 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c10";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C100 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Map<String, serde_json::Value>>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C100 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c100";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C101 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C101 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c101";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C102 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<()>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C102 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c102";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum C103V {
    IdInEnum(IdInEnum),
    MyIdentifier(MyIdentifier),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C103 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<C103V>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

pub type IdInEnum = serde_json::Value;

pub type MyIdentifier = String;

impl C103 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c103";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C104 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C104 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c104";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C105 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C105 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c105";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C106 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C106 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c106";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C107 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C107 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c107";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C108 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C108 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c108";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C109 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Map<String, serde_json::Value>>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C109 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c109";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C11 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C11 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c11";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C110 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C110 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c110";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C111 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C111 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c111";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C112 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C112 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c112";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C113 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C113 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c113";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C114 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C114 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c114";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C115 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C115 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c115";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C116 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C116 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c116";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C117 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C117 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c117";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C118 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C118 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c118";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C119 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C119 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c119";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C12 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C12 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c12";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C120 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C120 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c120";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C121 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C121 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c121";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C122 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C122 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c122";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C123 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C123 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c123";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C124 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<C>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

pub type C = B;

pub type B = A;

pub type A = i64;

impl C124 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c124";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C125 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C125 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c125";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C126 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C126 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c126";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C127 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C127 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c127";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C128 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C128 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c128";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C129 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C129 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c129";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C13 {
    pub id: String,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C13 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c13";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C130 {
    pub id: String,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C130 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c130";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C131V {
    pub meta: String,
    pub nodes: Vec<Node>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C131 {
    pub id: String,
    /// tree of nodes
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<C131V>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

/// node
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub subtree: Option<Tree>,
    pub value: f64,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

/// tree of nodes
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tree {
    pub meta: String,
    pub nodes: Vec<Node>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C131 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c131";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C132 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C132 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c132";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C133 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<A2>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

pub type A2 = serde_json::Value;

impl C133 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c133";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C134 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C134 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c134";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C135 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<SchemaRelativeUriDefs2>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

pub type SchemaRelativeUriDefs2 = Inner;

pub type Inner = serde_json::Value;

impl C135 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c135";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C136 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<SchemaRefsAbsoluteUrisDefs2>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

pub type SchemaRefsAbsoluteUrisDefs2 = Inner2;

pub type Inner2 = serde_json::Value;

impl C136 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c136";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C137 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<D>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

pub type D = f64;

impl C137 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c137";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C138 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<Int>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

pub type Int = serde_json::Value;

impl C138 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c138";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C139 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<Bigint>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

pub type Bigint = serde_json::Value;

impl C139 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c139";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C14 {
    pub id: String,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C14 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c14";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C140 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<Foo>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

pub type Foo = serde_json::Value;

impl C140 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c140";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C141 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C141 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c141";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C142 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C142 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c142";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C143 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C143 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c143";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C144 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C144 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c144";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C145 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C145 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c145";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C146 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C146 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c146";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C147 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C147 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c147";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C148 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<Deadbeef4321FfffFfff1234feebdaed>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

pub type Deadbeef4321FfffFfff1234feebdaed = Bar;

pub type Bar = String;

impl C148 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c148";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C149 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<If>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

pub type If = i64;

impl C149 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c149";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C15 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C15 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c15";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C150 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<Then>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

pub type Then = i64;

impl C150 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c150";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C151 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<Else>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

pub type Else = i64;

impl C151 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c151";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C152 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<Foobar>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

pub type Foobar = String;

impl C152 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c152";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C153 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<Foo2>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

pub type Foo2 = f64;

impl C153 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c153";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C154 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<Foo3>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

pub type Foo3 = f64;

impl C154 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c154";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C155 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<Defs>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

pub type Defs = f64;

impl C155 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c155";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C156 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C156 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c156";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C157 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C157 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c157";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C158 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C158 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c158";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C159 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C159 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c159";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C16 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C16 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c16";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C160 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C160 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c160";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C161 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<i64>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C161 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c161";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C162 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<f64>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C162 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c162";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C163 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<String>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C163 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c163";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C164 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Map<String, serde_json::Value>>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C164 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c164";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C165 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<Vec<serde_json::Value>>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C165 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c165";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C166 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<bool>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C166 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c166";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C167 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<()>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C167 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c167";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum C168V {
    Integer(i64),
    Text(String),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C168 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<C168V>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C168 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c168";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C169 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<String>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C169 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c169";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C17 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<f64>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C17 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c17";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum C170V {
    List(Vec<serde_json::Value>),
    Object(serde_json::Map<String, serde_json::Value>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C170 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<C170V>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C170 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c170";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum C171V {
    List(Vec<serde_json::Value>),
    Object(serde_json::Map<String, serde_json::Value>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C171 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<Option<C171V>>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C171 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c171";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C172 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C172 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c172";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C173 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C173 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c173";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C174 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C174 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c174";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C175 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C175 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c175";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C176 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C176 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c176";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C177 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C177 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c177";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C178 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C178 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c178";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C179 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C179 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c179";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C18 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<f64>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C18 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c18";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C180 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C180 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c180";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C181 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C181 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c181";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C182 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C182 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c182";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C183 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C183 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c183";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C184 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C184 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c184";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C185 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C185 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c185";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C186 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C186 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c186";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C187 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C187 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c187";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C188 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<Bar2>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

pub type Bar2 = serde_json::Value;

impl C188 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c188";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C189 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<Bar3>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

pub type Bar3 = serde_json::Value;

impl C189 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c189";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C19 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<()>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C19 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c19";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C190 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<BaseSchema>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

pub type BaseSchema = Vec<serde_json::Value>;

impl C190 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c190";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C191 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C191 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c191";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C192 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C192 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c192";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C193 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C193 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c193";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C194 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C194 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c194";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C195 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C195 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c195";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C196 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C196 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c196";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C197 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C197 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c197";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C198 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C198 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c198";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C199 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C199 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c199";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C2 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C2 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c2";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C20 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C20 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c20";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C200 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C200 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c200";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C201 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C201 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c201";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C202 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C202 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c202";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C203 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C203 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c203";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C204 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C204 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c204";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C205 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C205 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c205";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C206V {
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub foo: Option<String>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C206 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<C206V>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C206 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c206";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C207V {
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub foo: Option<String>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: std::collections::BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C207 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<C207V>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C207 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c207";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C208 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C208 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c208";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C209 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C209 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c209";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C21 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<Foo4>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

pub type Foo4 = i64;

impl C21 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c21";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C210 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C210 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c210";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C211 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C211 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c211";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C212 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C212 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c212";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C213 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C213 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c213";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C214 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C214 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c214";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C215 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C215 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c215";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C216 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C216 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c216";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C217 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C217 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c217";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C218 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C218 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c218";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C219 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C219 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c219";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C22 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<Foo5>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

pub type Foo5 = i64;

impl C22 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c22";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C220 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<Bar4>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

pub type Bar4 = serde_json::Value;

impl C220 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c220";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C221 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<Bar5>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

pub type Bar5 = serde_json::Value;

impl C221 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c221";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C222 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<BaseSchema2>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

pub type BaseSchema2 = serde_json::Value;

impl C222 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c222";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C223 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C223 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c223";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C224 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C224 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c224";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C225 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C225 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c225";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C226 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C226 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c226";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C227 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C227 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c227";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C228 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C228 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c228";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C229 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C229 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c229";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C23 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<Foo6>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

pub type Foo6 = i64;

impl C23 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c23";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C230 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C230 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c230";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C231 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C231 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c231";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C232 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C232 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c232";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C233 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C233 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c233";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C234 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C234 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c234";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C235 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<One>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

pub type One = serde_json::Value;

pub type Two = serde_json::Value;

impl C235 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c235";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C236 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

pub type One2 = serde_json::Value;

pub type Two2 = serde_json::Value;

impl C236 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c236";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C237 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C237 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c237";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C238 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C238 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c238";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C239 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C239 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c239";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C24 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<MyAnchor>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

pub type MyAnchor = String;

impl C24 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c24";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C240 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C240 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c240";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C241 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C241 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c241";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C242 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C242 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c242";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C243 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C243 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c243";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C244 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C244 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c244";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C25 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C25 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c25";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C26 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<String>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C26 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c26";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C27 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C27 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c27";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C28 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C28 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c28";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C29 {
    pub id: String,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C29 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c29";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C3 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C3 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c3";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C30 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C30 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c30";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C31 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C31 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c31";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C32 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<()>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C32 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c32";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C33 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<i64>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C33 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c33";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C34 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C34 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c34";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C35 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C35 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c35";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C36 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<()>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C36 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c36";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C37 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<bool>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C37 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c37";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C38 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<bool>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C38 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c38";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C39 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C39 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c39";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C4 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C4 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c4";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C40 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C40 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c40";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C41 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C41 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c41";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C42 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C42 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c42";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C43 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<i64>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C43 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c43";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C44 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<i64>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C44 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c44";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C45 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<f64>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C45 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c45";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C46 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<i64>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C46 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c46";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum C47V {
    #[serde(rename = "hello\0there")]
    HelloThere,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C47 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<C47V>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C47 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c47";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum C48V {
    #[serde(rename = "μ")]
    Value,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C48 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<C48V>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C48 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c48";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum C49V {
    #[serde(rename = "ä")]
    Value,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C49 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<C49V>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C49 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c49";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C5 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C5 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c5";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C50 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<Vec<Items>>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

pub type Items = String;

impl C50 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c50";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C51 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<Vec<Items2>>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

pub type Items2 = String;

impl C51 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c51";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C52 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<Vec<Items3>>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

pub type Items3 = String;

impl C52 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c52";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C53 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<List>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

pub type List = Vec<serde_json::Value>;

impl C53 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c53";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C54 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<List2>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

pub type List2 = Vec<Items4>;

pub type Items4 = f64;

impl C54 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c54";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C55 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<IntermediateScope>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

pub type IntermediateScope = List3;

pub type List3 = Vec<serde_json::Value>;

impl C55 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c55";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C56 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<List4>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

pub type List4 = Vec<Items5>;

pub type Items5 = serde_json::Value;

impl C56 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c56";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C57 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<List5>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

pub type List5 = Vec<Items6>;

pub type Items6 = serde_json::Value;

impl C57 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c57";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C58 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<List6>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

pub type List6 = Vec<Items7>;

pub type Items7 = serde_json::Value;

impl C58 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c58";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum C59VFoo {
    #[serde(rename = "pass")]
    Pass,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C59V {
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub bar: Option<Bar6>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub foo: Option<C59VFoo>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C59 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<C59V>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Extended {
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub bar: Option<Bar6>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bar6 {
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub baz: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C59 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c59";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C6 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C6 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c6";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum C60VFoo {
    #[serde(rename = "pass")]
    Pass,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C60V {
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub bar: Option<Box<Bar7>>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub foo: Option<C60VFoo>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C60 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<C60V>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Extended2 {
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub bar: Option<Box<Bar7>>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bar7 {
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub baz: Option<Box<Extended2>>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C60 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c60";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C61 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C61 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c61";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C62 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C62 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c62";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C63 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C63 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c63";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C64V {
    #[serde(rename = "bar-item", default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub bar_item: Option<Item>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C64 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<C64V>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Item {
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub content: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C64 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c64";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C65 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<Stuff>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

pub type Stuff = Stuff2;

pub type Stuff2 = Stuff3;

pub type Stuff3 = serde_json::Value;

impl C65 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c65";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C66 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<i64>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C66 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c66";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C67 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C67 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c67";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C68 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<Option<i64>>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C68 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c68";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum C69VBar {
    #[serde(rename = "bar")]
    Bar,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum C69VFoo {
    #[serde(rename = "foo")]
    Foo,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C69V {
    pub bar: C69VBar,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub foo: Option<C69VFoo>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C69 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<C69V>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C69 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c69";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C7 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C7 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c7";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum C70V {
    #[serde(rename = "foo\nbar")]
    FooBar,
    #[serde(rename = "foo\rbar")]
    FooBar2,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C70 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<C70V>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C70 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c70";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C71 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<bool>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C71 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c71";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C72 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C72 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c72";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C73 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<bool>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C73 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c73";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C74 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C74 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c74";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C75 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<i64>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C75 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c75";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C76 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C76 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c76";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C77 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<i64>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C77 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c77";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C78 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C78 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c78";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum C79V {
    #[serde(rename = "hello\0there")]
    HelloThere,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C79 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<C79V>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C79 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c79";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C8 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C8 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c8";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C80 {
    pub id: String,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C80 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c80";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C81 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C81 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c81";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C82 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C82 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c82";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C83 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C83 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c83";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C84 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C84 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c84";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C85 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<Vec<Item2>>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

pub type Item2 = Vec<SubItem>;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubItem {
    pub foo: serde_json::Value,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C85 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c85";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C86 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<Vec<Vec<Vec<Vec<f64>>>>>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C86 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c86";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C87 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C87 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c87";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C88 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C88 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c88";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C89 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C89 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c89";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C9 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C9 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c9";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C90 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C90 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c90";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C91 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C91 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c91";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C92 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C92 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c92";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C93 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<String>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C93 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c93";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C94 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C94 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c94";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C95 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C95 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c95";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C96 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C96 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c96";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C97 {
    pub id: String,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C97 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c97";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C98 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C98 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c98";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct C99 {
    pub id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub v: Option<serde_json::Value>,
    /// Members that the schema does not name.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl C99 {
    /// The entity type, `type` of a change.
    pub const TYPE: &'static str = "c99";
    /// The member that holds the key.
    pub const PRIMARY_KEY: &'static str = "id";
}

/// Tells a member that is there and null from one that is not there.
fn present<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Reads a value of a collection and writes it again.
pub fn again(collection: &str, text: &str) -> Result<serde_json::Value, serde_json::Error> {
    match collection {
        "c0" => serde_json::to_value(serde_json::from_str::<C0>(text)?),
        "c1" => serde_json::to_value(serde_json::from_str::<C1>(text)?),
        "c2" => serde_json::to_value(serde_json::from_str::<C2>(text)?),
        "c3" => serde_json::to_value(serde_json::from_str::<C3>(text)?),
        "c4" => serde_json::to_value(serde_json::from_str::<C4>(text)?),
        "c5" => serde_json::to_value(serde_json::from_str::<C5>(text)?),
        "c6" => serde_json::to_value(serde_json::from_str::<C6>(text)?),
        "c7" => serde_json::to_value(serde_json::from_str::<C7>(text)?),
        "c8" => serde_json::to_value(serde_json::from_str::<C8>(text)?),
        "c9" => serde_json::to_value(serde_json::from_str::<C9>(text)?),
        "c10" => serde_json::to_value(serde_json::from_str::<C10>(text)?),
        "c11" => serde_json::to_value(serde_json::from_str::<C11>(text)?),
        "c12" => serde_json::to_value(serde_json::from_str::<C12>(text)?),
        "c13" => serde_json::to_value(serde_json::from_str::<C13>(text)?),
        "c14" => serde_json::to_value(serde_json::from_str::<C14>(text)?),
        "c15" => serde_json::to_value(serde_json::from_str::<C15>(text)?),
        "c16" => serde_json::to_value(serde_json::from_str::<C16>(text)?),
        "c17" => serde_json::to_value(serde_json::from_str::<C17>(text)?),
        "c18" => serde_json::to_value(serde_json::from_str::<C18>(text)?),
        "c19" => serde_json::to_value(serde_json::from_str::<C19>(text)?),
        "c20" => serde_json::to_value(serde_json::from_str::<C20>(text)?),
        "c21" => serde_json::to_value(serde_json::from_str::<C21>(text)?),
        "c22" => serde_json::to_value(serde_json::from_str::<C22>(text)?),
        "c23" => serde_json::to_value(serde_json::from_str::<C23>(text)?),
        "c24" => serde_json::to_value(serde_json::from_str::<C24>(text)?),
        "c25" => serde_json::to_value(serde_json::from_str::<C25>(text)?),
        "c26" => serde_json::to_value(serde_json::from_str::<C26>(text)?),
        "c27" => serde_json::to_value(serde_json::from_str::<C27>(text)?),
        "c28" => serde_json::to_value(serde_json::from_str::<C28>(text)?),
        "c29" => serde_json::to_value(serde_json::from_str::<C29>(text)?),
        "c30" => serde_json::to_value(serde_json::from_str::<C30>(text)?),
        "c31" => serde_json::to_value(serde_json::from_str::<C31>(text)?),
        "c32" => serde_json::to_value(serde_json::from_str::<C32>(text)?),
        "c33" => serde_json::to_value(serde_json::from_str::<C33>(text)?),
        "c34" => serde_json::to_value(serde_json::from_str::<C34>(text)?),
        "c35" => serde_json::to_value(serde_json::from_str::<C35>(text)?),
        "c36" => serde_json::to_value(serde_json::from_str::<C36>(text)?),
        "c37" => serde_json::to_value(serde_json::from_str::<C37>(text)?),
        "c38" => serde_json::to_value(serde_json::from_str::<C38>(text)?),
        "c39" => serde_json::to_value(serde_json::from_str::<C39>(text)?),
        "c40" => serde_json::to_value(serde_json::from_str::<C40>(text)?),
        "c41" => serde_json::to_value(serde_json::from_str::<C41>(text)?),
        "c42" => serde_json::to_value(serde_json::from_str::<C42>(text)?),
        "c43" => serde_json::to_value(serde_json::from_str::<C43>(text)?),
        "c44" => serde_json::to_value(serde_json::from_str::<C44>(text)?),
        "c45" => serde_json::to_value(serde_json::from_str::<C45>(text)?),
        "c46" => serde_json::to_value(serde_json::from_str::<C46>(text)?),
        "c47" => serde_json::to_value(serde_json::from_str::<C47>(text)?),
        "c48" => serde_json::to_value(serde_json::from_str::<C48>(text)?),
        "c49" => serde_json::to_value(serde_json::from_str::<C49>(text)?),
        "c50" => serde_json::to_value(serde_json::from_str::<C50>(text)?),
        "c51" => serde_json::to_value(serde_json::from_str::<C51>(text)?),
        "c52" => serde_json::to_value(serde_json::from_str::<C52>(text)?),
        "c53" => serde_json::to_value(serde_json::from_str::<C53>(text)?),
        "c54" => serde_json::to_value(serde_json::from_str::<C54>(text)?),
        "c55" => serde_json::to_value(serde_json::from_str::<C55>(text)?),
        "c56" => serde_json::to_value(serde_json::from_str::<C56>(text)?),
        "c57" => serde_json::to_value(serde_json::from_str::<C57>(text)?),
        "c58" => serde_json::to_value(serde_json::from_str::<C58>(text)?),
        "c59" => serde_json::to_value(serde_json::from_str::<C59>(text)?),
        "c60" => serde_json::to_value(serde_json::from_str::<C60>(text)?),
        "c61" => serde_json::to_value(serde_json::from_str::<C61>(text)?),
        "c62" => serde_json::to_value(serde_json::from_str::<C62>(text)?),
        "c63" => serde_json::to_value(serde_json::from_str::<C63>(text)?),
        "c64" => serde_json::to_value(serde_json::from_str::<C64>(text)?),
        "c65" => serde_json::to_value(serde_json::from_str::<C65>(text)?),
        "c66" => serde_json::to_value(serde_json::from_str::<C66>(text)?),
        "c67" => serde_json::to_value(serde_json::from_str::<C67>(text)?),
        "c68" => serde_json::to_value(serde_json::from_str::<C68>(text)?),
        "c69" => serde_json::to_value(serde_json::from_str::<C69>(text)?),
        "c70" => serde_json::to_value(serde_json::from_str::<C70>(text)?),
        "c71" => serde_json::to_value(serde_json::from_str::<C71>(text)?),
        "c72" => serde_json::to_value(serde_json::from_str::<C72>(text)?),
        "c73" => serde_json::to_value(serde_json::from_str::<C73>(text)?),
        "c74" => serde_json::to_value(serde_json::from_str::<C74>(text)?),
        "c75" => serde_json::to_value(serde_json::from_str::<C75>(text)?),
        "c76" => serde_json::to_value(serde_json::from_str::<C76>(text)?),
        "c77" => serde_json::to_value(serde_json::from_str::<C77>(text)?),
        "c78" => serde_json::to_value(serde_json::from_str::<C78>(text)?),
        "c79" => serde_json::to_value(serde_json::from_str::<C79>(text)?),
        "c80" => serde_json::to_value(serde_json::from_str::<C80>(text)?),
        "c81" => serde_json::to_value(serde_json::from_str::<C81>(text)?),
        "c82" => serde_json::to_value(serde_json::from_str::<C82>(text)?),
        "c83" => serde_json::to_value(serde_json::from_str::<C83>(text)?),
        "c84" => serde_json::to_value(serde_json::from_str::<C84>(text)?),
        "c85" => serde_json::to_value(serde_json::from_str::<C85>(text)?),
        "c86" => serde_json::to_value(serde_json::from_str::<C86>(text)?),
        "c87" => serde_json::to_value(serde_json::from_str::<C87>(text)?),
        "c88" => serde_json::to_value(serde_json::from_str::<C88>(text)?),
        "c89" => serde_json::to_value(serde_json::from_str::<C89>(text)?),
        "c90" => serde_json::to_value(serde_json::from_str::<C90>(text)?),
        "c91" => serde_json::to_value(serde_json::from_str::<C91>(text)?),
        "c92" => serde_json::to_value(serde_json::from_str::<C92>(text)?),
        "c93" => serde_json::to_value(serde_json::from_str::<C93>(text)?),
        "c94" => serde_json::to_value(serde_json::from_str::<C94>(text)?),
        "c95" => serde_json::to_value(serde_json::from_str::<C95>(text)?),
        "c96" => serde_json::to_value(serde_json::from_str::<C96>(text)?),
        "c97" => serde_json::to_value(serde_json::from_str::<C97>(text)?),
        "c98" => serde_json::to_value(serde_json::from_str::<C98>(text)?),
        "c99" => serde_json::to_value(serde_json::from_str::<C99>(text)?),
        "c100" => serde_json::to_value(serde_json::from_str::<C100>(text)?),
        "c101" => serde_json::to_value(serde_json::from_str::<C101>(text)?),
        "c102" => serde_json::to_value(serde_json::from_str::<C102>(text)?),
        "c103" => serde_json::to_value(serde_json::from_str::<C103>(text)?),
        "c104" => serde_json::to_value(serde_json::from_str::<C104>(text)?),
        "c105" => serde_json::to_value(serde_json::from_str::<C105>(text)?),
        "c106" => serde_json::to_value(serde_json::from_str::<C106>(text)?),
        "c107" => serde_json::to_value(serde_json::from_str::<C107>(text)?),
        "c108" => serde_json::to_value(serde_json::from_str::<C108>(text)?),
        "c109" => serde_json::to_value(serde_json::from_str::<C109>(text)?),
        "c110" => serde_json::to_value(serde_json::from_str::<C110>(text)?),
        "c111" => serde_json::to_value(serde_json::from_str::<C111>(text)?),
        "c112" => serde_json::to_value(serde_json::from_str::<C112>(text)?),
        "c113" => serde_json::to_value(serde_json::from_str::<C113>(text)?),
        "c114" => serde_json::to_value(serde_json::from_str::<C114>(text)?),
        "c115" => serde_json::to_value(serde_json::from_str::<C115>(text)?),
        "c116" => serde_json::to_value(serde_json::from_str::<C116>(text)?),
        "c117" => serde_json::to_value(serde_json::from_str::<C117>(text)?),
        "c118" => serde_json::to_value(serde_json::from_str::<C118>(text)?),
        "c119" => serde_json::to_value(serde_json::from_str::<C119>(text)?),
        "c120" => serde_json::to_value(serde_json::from_str::<C120>(text)?),
        "c121" => serde_json::to_value(serde_json::from_str::<C121>(text)?),
        "c122" => serde_json::to_value(serde_json::from_str::<C122>(text)?),
        "c123" => serde_json::to_value(serde_json::from_str::<C123>(text)?),
        "c124" => serde_json::to_value(serde_json::from_str::<C124>(text)?),
        "c125" => serde_json::to_value(serde_json::from_str::<C125>(text)?),
        "c126" => serde_json::to_value(serde_json::from_str::<C126>(text)?),
        "c127" => serde_json::to_value(serde_json::from_str::<C127>(text)?),
        "c128" => serde_json::to_value(serde_json::from_str::<C128>(text)?),
        "c129" => serde_json::to_value(serde_json::from_str::<C129>(text)?),
        "c130" => serde_json::to_value(serde_json::from_str::<C130>(text)?),
        "c131" => serde_json::to_value(serde_json::from_str::<C131>(text)?),
        "c132" => serde_json::to_value(serde_json::from_str::<C132>(text)?),
        "c133" => serde_json::to_value(serde_json::from_str::<C133>(text)?),
        "c134" => serde_json::to_value(serde_json::from_str::<C134>(text)?),
        "c135" => serde_json::to_value(serde_json::from_str::<C135>(text)?),
        "c136" => serde_json::to_value(serde_json::from_str::<C136>(text)?),
        "c137" => serde_json::to_value(serde_json::from_str::<C137>(text)?),
        "c138" => serde_json::to_value(serde_json::from_str::<C138>(text)?),
        "c139" => serde_json::to_value(serde_json::from_str::<C139>(text)?),
        "c140" => serde_json::to_value(serde_json::from_str::<C140>(text)?),
        "c141" => serde_json::to_value(serde_json::from_str::<C141>(text)?),
        "c142" => serde_json::to_value(serde_json::from_str::<C142>(text)?),
        "c143" => serde_json::to_value(serde_json::from_str::<C143>(text)?),
        "c144" => serde_json::to_value(serde_json::from_str::<C144>(text)?),
        "c145" => serde_json::to_value(serde_json::from_str::<C145>(text)?),
        "c146" => serde_json::to_value(serde_json::from_str::<C146>(text)?),
        "c147" => serde_json::to_value(serde_json::from_str::<C147>(text)?),
        "c148" => serde_json::to_value(serde_json::from_str::<C148>(text)?),
        "c149" => serde_json::to_value(serde_json::from_str::<C149>(text)?),
        "c150" => serde_json::to_value(serde_json::from_str::<C150>(text)?),
        "c151" => serde_json::to_value(serde_json::from_str::<C151>(text)?),
        "c152" => serde_json::to_value(serde_json::from_str::<C152>(text)?),
        "c153" => serde_json::to_value(serde_json::from_str::<C153>(text)?),
        "c154" => serde_json::to_value(serde_json::from_str::<C154>(text)?),
        "c155" => serde_json::to_value(serde_json::from_str::<C155>(text)?),
        "c156" => serde_json::to_value(serde_json::from_str::<C156>(text)?),
        "c157" => serde_json::to_value(serde_json::from_str::<C157>(text)?),
        "c158" => serde_json::to_value(serde_json::from_str::<C158>(text)?),
        "c159" => serde_json::to_value(serde_json::from_str::<C159>(text)?),
        "c160" => serde_json::to_value(serde_json::from_str::<C160>(text)?),
        "c161" => serde_json::to_value(serde_json::from_str::<C161>(text)?),
        "c162" => serde_json::to_value(serde_json::from_str::<C162>(text)?),
        "c163" => serde_json::to_value(serde_json::from_str::<C163>(text)?),
        "c164" => serde_json::to_value(serde_json::from_str::<C164>(text)?),
        "c165" => serde_json::to_value(serde_json::from_str::<C165>(text)?),
        "c166" => serde_json::to_value(serde_json::from_str::<C166>(text)?),
        "c167" => serde_json::to_value(serde_json::from_str::<C167>(text)?),
        "c168" => serde_json::to_value(serde_json::from_str::<C168>(text)?),
        "c169" => serde_json::to_value(serde_json::from_str::<C169>(text)?),
        "c170" => serde_json::to_value(serde_json::from_str::<C170>(text)?),
        "c171" => serde_json::to_value(serde_json::from_str::<C171>(text)?),
        "c172" => serde_json::to_value(serde_json::from_str::<C172>(text)?),
        "c173" => serde_json::to_value(serde_json::from_str::<C173>(text)?),
        "c174" => serde_json::to_value(serde_json::from_str::<C174>(text)?),
        "c175" => serde_json::to_value(serde_json::from_str::<C175>(text)?),
        "c176" => serde_json::to_value(serde_json::from_str::<C176>(text)?),
        "c177" => serde_json::to_value(serde_json::from_str::<C177>(text)?),
        "c178" => serde_json::to_value(serde_json::from_str::<C178>(text)?),
        "c179" => serde_json::to_value(serde_json::from_str::<C179>(text)?),
        "c180" => serde_json::to_value(serde_json::from_str::<C180>(text)?),
        "c181" => serde_json::to_value(serde_json::from_str::<C181>(text)?),
        "c182" => serde_json::to_value(serde_json::from_str::<C182>(text)?),
        "c183" => serde_json::to_value(serde_json::from_str::<C183>(text)?),
        "c184" => serde_json::to_value(serde_json::from_str::<C184>(text)?),
        "c185" => serde_json::to_value(serde_json::from_str::<C185>(text)?),
        "c186" => serde_json::to_value(serde_json::from_str::<C186>(text)?),
        "c187" => serde_json::to_value(serde_json::from_str::<C187>(text)?),
        "c188" => serde_json::to_value(serde_json::from_str::<C188>(text)?),
        "c189" => serde_json::to_value(serde_json::from_str::<C189>(text)?),
        "c190" => serde_json::to_value(serde_json::from_str::<C190>(text)?),
        "c191" => serde_json::to_value(serde_json::from_str::<C191>(text)?),
        "c192" => serde_json::to_value(serde_json::from_str::<C192>(text)?),
        "c193" => serde_json::to_value(serde_json::from_str::<C193>(text)?),
        "c194" => serde_json::to_value(serde_json::from_str::<C194>(text)?),
        "c195" => serde_json::to_value(serde_json::from_str::<C195>(text)?),
        "c196" => serde_json::to_value(serde_json::from_str::<C196>(text)?),
        "c197" => serde_json::to_value(serde_json::from_str::<C197>(text)?),
        "c198" => serde_json::to_value(serde_json::from_str::<C198>(text)?),
        "c199" => serde_json::to_value(serde_json::from_str::<C199>(text)?),
        "c200" => serde_json::to_value(serde_json::from_str::<C200>(text)?),
        "c201" => serde_json::to_value(serde_json::from_str::<C201>(text)?),
        "c202" => serde_json::to_value(serde_json::from_str::<C202>(text)?),
        "c203" => serde_json::to_value(serde_json::from_str::<C203>(text)?),
        "c204" => serde_json::to_value(serde_json::from_str::<C204>(text)?),
        "c205" => serde_json::to_value(serde_json::from_str::<C205>(text)?),
        "c206" => serde_json::to_value(serde_json::from_str::<C206>(text)?),
        "c207" => serde_json::to_value(serde_json::from_str::<C207>(text)?),
        "c208" => serde_json::to_value(serde_json::from_str::<C208>(text)?),
        "c209" => serde_json::to_value(serde_json::from_str::<C209>(text)?),
        "c210" => serde_json::to_value(serde_json::from_str::<C210>(text)?),
        "c211" => serde_json::to_value(serde_json::from_str::<C211>(text)?),
        "c212" => serde_json::to_value(serde_json::from_str::<C212>(text)?),
        "c213" => serde_json::to_value(serde_json::from_str::<C213>(text)?),
        "c214" => serde_json::to_value(serde_json::from_str::<C214>(text)?),
        "c215" => serde_json::to_value(serde_json::from_str::<C215>(text)?),
        "c216" => serde_json::to_value(serde_json::from_str::<C216>(text)?),
        "c217" => serde_json::to_value(serde_json::from_str::<C217>(text)?),
        "c218" => serde_json::to_value(serde_json::from_str::<C218>(text)?),
        "c219" => serde_json::to_value(serde_json::from_str::<C219>(text)?),
        "c220" => serde_json::to_value(serde_json::from_str::<C220>(text)?),
        "c221" => serde_json::to_value(serde_json::from_str::<C221>(text)?),
        "c222" => serde_json::to_value(serde_json::from_str::<C222>(text)?),
        "c223" => serde_json::to_value(serde_json::from_str::<C223>(text)?),
        "c224" => serde_json::to_value(serde_json::from_str::<C224>(text)?),
        "c225" => serde_json::to_value(serde_json::from_str::<C225>(text)?),
        "c226" => serde_json::to_value(serde_json::from_str::<C226>(text)?),
        "c227" => serde_json::to_value(serde_json::from_str::<C227>(text)?),
        "c228" => serde_json::to_value(serde_json::from_str::<C228>(text)?),
        "c229" => serde_json::to_value(serde_json::from_str::<C229>(text)?),
        "c230" => serde_json::to_value(serde_json::from_str::<C230>(text)?),
        "c231" => serde_json::to_value(serde_json::from_str::<C231>(text)?),
        "c232" => serde_json::to_value(serde_json::from_str::<C232>(text)?),
        "c233" => serde_json::to_value(serde_json::from_str::<C233>(text)?),
        "c234" => serde_json::to_value(serde_json::from_str::<C234>(text)?),
        "c235" => serde_json::to_value(serde_json::from_str::<C235>(text)?),
        "c236" => serde_json::to_value(serde_json::from_str::<C236>(text)?),
        "c237" => serde_json::to_value(serde_json::from_str::<C237>(text)?),
        "c238" => serde_json::to_value(serde_json::from_str::<C238>(text)?),
        "c239" => serde_json::to_value(serde_json::from_str::<C239>(text)?),
        "c240" => serde_json::to_value(serde_json::from_str::<C240>(text)?),
        "c241" => serde_json::to_value(serde_json::from_str::<C241>(text)?),
        "c242" => serde_json::to_value(serde_json::from_str::<C242>(text)?),
        "c243" => serde_json::to_value(serde_json::from_str::<C243>(text)?),
        "c244" => serde_json::to_value(serde_json::from_str::<C244>(text)?),
        _ => panic!("no collection {collection}"),
    }
}
