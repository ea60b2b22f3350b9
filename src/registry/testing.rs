//! What the tests of this module share: values, documents, names.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Document, DocumentFault, DocumentLimits};

/// Small JSON of any shape; object members are often ones that documents and schemas have.
pub fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i32>().prop_map(|n| Value::from(f64::from(n) / 8.0)),
        any_word().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((any_word(), inner), 0..6).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

pub fn any_word() -> impl Strategy<Value = String> {
    const KNOWN: &[&str] = &[
        "collections",
        "type",
        "primaryKey",
        "schema",
        "versionField",
        "strict",
        "properties",
        "required",
        "items",
        "allOf",
        "anyOf",
        "not",
        "$ref",
        "$id",
        "$schema",
        "$defs",
        "$dynamicRef",
        "$anchor",
        "pattern",
        "format",
        "enum",
        "const",
        "minimum",
        "string",
        "integer",
        "object",
        "array",
        "id",
        "#",
        "#/$defs/id",
        "http://x/y",
        "(",
        "a*",
        "https://json-schema.org/draft/2020-12/schema",
        "http://json-schema.org/draft-07/schema#",
        "date-time",
        "dependentSchemas",
        "patternProperties",
        "unevaluatedProperties",
        "if",
        "then",
        "multipleOf",
        "definitions",
        "contains",
        "uniqueItems",
        "propertyNames",
        "contentMediaType",
        "application/json",
        "",
        "~",
        "/",
    ];
    prop_oneof![3 => prop::sample::select(KNOWN).prop_map(str::to_owned), 1 => "\\PC{0,6}"]
}

pub fn parse(value: &Value) -> Result<Document, Vec<DocumentFault>> {
    Document::parse(value, &DocumentLimits::default())
}

/// A document of one collection `c` of type `t` with a string key `id` and the given further properties.
pub fn document(properties: Value) -> Document {
    parse(&document_value(properties)).unwrap_or_else(|faults| panic!("{faults:#?}"))
}

pub fn document_value(properties: Value) -> Value {
    let mut schema = json!({"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}});
    for (name, property) in properties.as_object().expect("properties are an object") {
        schema["properties"][name] = property.clone();
    }
    json!({"collections": {"c": {"type": "t", "primaryKey": "id", "schema": schema}}})
}
