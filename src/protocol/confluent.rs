//! JSON of the Confluent Schema Registry's REST API, as its published clients send and read it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::registry::{Document, Reference, Shape};

/// The one schema type that is kept here.
pub const JSON: &str = "JSON";

/// A refusal.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct ConfluentError {
    pub error_code: u32,
    pub message: String,
}

/// A version of another subject that a schema refers to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct ConfluentReference {
    /// What `$ref` says in front of `#`.
    pub name: String,
    pub subject: String,
    /// -1 is the latest.
    pub version: i64,
}

impl From<&Reference> for ConfluentReference {
    fn from(reference: &Reference) -> Self {
        Self {
            name: reference.name.clone(),
            subject: reference.subject.to_string(),
            version: i64::from(reference.version),
        }
    }
}

/// A schema to register, look up or compare.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfluentSchema {
    /// A JSON Schema, or a document of collections, as text.
    pub schema: String,
    /// `JSON`; what is left out is taken for Avro, which is not kept here.
    #[serde(default)]
    pub schema_type: Option<String>,
    #[serde(default)]
    pub references: Option<Vec<ConfluentReference>>,
    /// Not kept here: refused unless null.
    #[serde(default)]
    pub metadata: Option<Value>,
    /// Not kept here: refused unless null.
    #[serde(default)]
    pub rule_set: Option<Value>,
    /// Given by the server: refused unless null.
    #[serde(default)]
    pub id: Option<i64>,
    /// Given by the server: refused unless null or the next.
    #[serde(default)]
    pub version: Option<i64>,
}

/// A registered schema.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfluentVersion {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub id: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<u32>,
    pub schema_type: String,
    pub schema: String,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub references: Vec<ConfluentReference>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub max_id: Option<u32>,
}

/// Where a schema is registered.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct ConfluentPlace {
    pub subject: String,
    pub version: u32,
}

/// A mode to be set, or that was.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct ConfluentConfigUpdate {
    pub compatibility: String,
    /// Schemas are told apart by what they say, however they are written, whether or not this is true.
    #[serde(default, skip_serializing)]
    pub normalize: Option<bool>,
    /// Not kept here: refused unless null.
    #[serde(flatten, skip_serializing)]
    pub others: Map<String, Value>,
}

/// A mode.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfluentConfig {
    pub compatibility_level: String,
}

/// Whether a schema is compatible.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct ConfluentVerdict {
    pub is_compatible: bool,
    /// Why not, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub messages: Option<Vec<String>>,
}

/// What may be done with subjects: everything.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct ConfluentMode {
    pub mode: String,
}

/// The document that a schema of that API is registered as: one that names collections as it is, any other as a bare one.
pub fn document_of(schema: Value, references: &[Reference]) -> Value {
    let mut document = match schema {
        Value::Object(members) if members.contains_key("collections") => members,
        schema => Map::from_iter([("schema".to_owned(), schema)]),
    };
    if !references.is_empty() {
        let listed = references.iter().map(|reference| {
            serde_json::json!({
                "name": reference.name, "subject": reference.subject.as_str(), "version": reference.version
            })
        });
        document.insert("references".to_owned(), Value::Array(listed.collect()));
    }
    Value::Object(document)
}

/// The text of a document in that API: a bare schema itself, and collections as they are, less the references.
pub fn schema_of(document: &Document) -> String {
    let value: Value = serde_json::from_str(document.canonical()).unwrap_or(Value::Null);
    let Value::Object(mut members) = value else { return document.canonical().to_owned() };
    members.remove("references");
    let shown = match document.shape() {
        Shape::Collections => Value::Object(members),
        Shape::Keyed | Shape::Bare => members.remove("schema").unwrap_or(Value::Null),
    };
    crate::registry::canonical_json(&shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{DocumentLimits, SubjectName};
    use serde_json::json;

    #[test]
    fn what_is_shown_registers_as_what_it_is() {
        let keyed = json!({"title": "Job", "x-primary-key": "id", "type": "object", "required": ["id"],
            "properties": {"id": {"type": "string"}}});
        let collections = json!({"collections": {"c": {"type": "t", "primaryKey": "id", "schema": keyed}}});
        for (schema, shape) in [
            (json!({"type": "string"}), Shape::Bare),
            (json!(true), Shape::Bare),
            (keyed.clone(), Shape::Keyed),
            (collections, Shape::Collections),
        ] {
            let document = Document::parse(&document_of(schema, &[]), &DocumentLimits::default()).unwrap();
            assert_eq!(document.shape(), shape);
            let shown: Value = serde_json::from_str(&schema_of(&document)).unwrap();
            let again = Document::parse(&document_of(shown, &[]), &DocumentLimits::default()).unwrap();
            assert_eq!(again.fingerprint(), document.fingerprint());
        }
    }

    #[test]
    fn references_travel_beside_the_schema() {
        let limits = DocumentLimits::default();
        let target = std::sync::Arc::new(Document::parse(&json!({"schema": {"type": "string"}}), &limits).unwrap());
        let subject = SubjectName::parse("names").unwrap();
        let references = [Reference { name: "name.json".into(), subject, version: 1 }];
        let value = document_of(json!({"properties": {"name": {"$ref": "name.json"}}}), &references);
        let document = Document::parse_with(&value, &limits, &|_, _| Some(target.clone())).unwrap();
        assert_eq!(schema_of(&document), r#"{"properties":{"name":{"$ref":"name.json"}}}"#);
        assert_eq!(document.references().cloned().collect::<Vec<_>>(), references);
        let schema = document.compiled().collections().next().unwrap();
        assert!(schema.is_valid(&json!({"name": "x"})) && !schema.is_valid(&json!({"name": 1})));
    }
}
