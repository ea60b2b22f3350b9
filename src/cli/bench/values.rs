//! A value that fits a registered schema, made up once; every message is a copy of it with another key.
//!
//! It decides how a value is made from what a schema asks for: types, required properties, `enum`, `const`, formats,
//! lengths and ranges. Its invariant: a value that the schema does not accept is never handed out. What cannot be made up
//! (a `pattern`, mostly) is asked of the user, as values of their own.

use serde_json::{Map, Value, json};

use super::payload::KeyStyle;

/// Stands for the key in a value that was made up.
pub const KEY_MARK: &str = "@keyfold-bench-key@";

/// How deep a schema is followed.
const DEPTH_MAX: usize = 16;

/// A value without its key.
#[derive(Clone, Debug)]
pub struct Made {
    /// Holds [`KEY_MARK`] as its key.
    pub value: Value,
    pub keys: KeyStyle,
    /// A property of text that may be made longer.
    pub pad: Option<String>,
}

impl Made {
    /// The value as JSON, with so much more text in it.
    pub fn padded(&self, bytes: usize) -> String {
        let mut value = self.value.clone();
        if let Some(Value::String(text)) = self.pad.as_ref().and_then(|pad| value.get_mut(pad)) {
            text.push_str(&"x".repeat(bytes));
        }
        value.to_string()
    }
}

/// Makes up a value of a collection; an error says what could not be made.
pub fn make(schema: &Value, primary_key: &str) -> Result<Made, String> {
    let Some(Value::Object(mut object)) = value_of(schema, schema, 0) else {
        return Err("no object could be made from the schema".into());
    };
    let declared = resolved(schema, &schema["properties"][primary_key]);
    let admits = |wanted: &str| match &declared["type"] {
        Value::String(kind) => kind == wanted,
        Value::Array(kinds) => kinds.iter().any(|kind| kind == wanted),
        _ => wanted == "string",
    };
    let keys = match admits("string") {
        true if declared["format"] == "uuid" => KeyStyle::Uuid,
        true => KeyStyle::Text,
        false => KeyStyle::Integer,
    };
    // An example that is checked: what a message will hold in the key's place.
    let example = match keys {
        KeyStyle::Integer => json!(1),
        KeyStyle::Text => json!("k000000000000001"),
        KeyStyle::Uuid => json!("00000000-0000-4000-8000-000000000001"),
    };
    object.insert(primary_key.to_owned(), example);
    let validator = jsonschema::options().should_validate_formats(true).build(schema).map_err(|e| e.to_string())?;
    if let Some(fault) = validator.iter_errors(&Value::Object(object.clone())).next() {
        return Err(format!("{} {fault}", fault.instance_path()));
    }
    let pad = free_text(schema, &object, primary_key);
    object.insert(primary_key.to_owned(), KEY_MARK.into());
    Ok(Made { value: Value::Object(object), keys, pad })
}

/// A property whose text may be of any length.
fn free_text(schema: &Value, object: &Map<String, Value>, primary_key: &str) -> Option<String> {
    let bounds = ["enum", "const", "format", "pattern", "maxLength"];
    let free = |name: &str| {
        let declared = resolved(schema, &schema["properties"][name]);
        declared["type"] == "string" && bounds.iter().all(|bound| declared.get(bound).is_none())
    };
    object.keys().find(|name| *name != primary_key && free(name)).cloned()
}

/// A schema, or what it refers to within the same document.
fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) {
        Some(pointer) => root.pointer(pointer).unwrap_or(schema),
        None => schema,
    }
}

fn value_of(root: &Value, schema: &Value, depth: usize) -> Option<Value> {
    if depth > DEPTH_MAX {
        return None;
    }
    let schema = resolved(root, schema);
    if let Some(fixed) = schema.get("const").or_else(|| schema["enum"].get(0)).or_else(|| schema["examples"].get(0)) {
        return Some(fixed.clone());
    }
    for choice in ["anyOf", "oneOf", "allOf"] {
        if let Some(first) = schema[choice].get(0).filter(|_| schema.get("type").is_none()) {
            return value_of(root, first, depth + 1);
        }
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().find_map(|kind| kind.as_str().filter(|kind| *kind != "null"))?,
        Value::String(kind) => kind.as_str(),
        _ if schema.get("properties").is_some() => "object",
        _ => "string",
    };
    match kind {
        "object" => object_of(root, schema, depth),
        "array" => {
            let least = schema["minItems"].as_u64().unwrap_or(0).min(1_000);
            let item = || value_of(root, schema.get("items").unwrap_or(&Value::Null), depth + 1);
            (0..least).map(|_| item()).collect::<Option<Vec<_>>>().map(Value::from)
        }
        "integer" => Some(integer_of(schema)),
        "number" => Some(integer_of(schema)),
        "boolean" => Some(true.into()),
        "null" => Some(Value::Null),
        _ => Some(text_of(schema).into()),
    }
}

fn object_of(root: &Value, schema: &Value, depth: usize) -> Option<Value> {
    let none = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&none);
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut object = Map::new();
    for (name, declared) in properties {
        match value_of(root, declared, depth + 1) {
            Some(value) => object.insert(name.clone(), value),
            None if required.contains(&name.as_str()) => return None,
            None => continue,
        };
    }
    for name in required {
        object.entry(name).or_insert_with(|| json!("text"));
    }
    Some(Value::Object(object))
}

fn integer_of(schema: &Value) -> Value {
    let bound = |name: &str| schema[name].as_f64();
    let least = bound("minimum").map(f64::ceil).or(bound("exclusiveMinimum").map(|bound| bound.floor() + 1.0));
    let most = bound("maximum").map(f64::floor).or(bound("exclusiveMaximum").map(|bound| bound.ceil() - 1.0));
    let number = least.unwrap_or_else(|| most.unwrap_or(1.0).min(1.0));
    Value::from(number as i64)
}

fn text_of(schema: &Value) -> String {
    let sample = match schema["format"].as_str() {
        Some("date-time") => "2026-01-01T00:00:00Z",
        Some("date") => "2026-01-01",
        Some("time") => "00:00:00Z",
        Some("duration") => "PT1S",
        Some("uuid") => "00000000-0000-4000-8000-000000000000",
        Some("email" | "idn-email") => "a@example.org",
        Some("uri" | "uri-reference" | "iri" | "iri-reference") => "https://example.org/",
        Some("hostname" | "idn-hostname") => "example.org",
        Some("ipv4") => "192.0.2.1",
        Some("ipv6") => "2001:db8::1",
        _ => "",
    };
    let least = schema["minLength"].as_u64().unwrap_or(1).min(100_000) as usize;
    format!("{sample}{}", "x".repeat(if sample.is_empty() { least } else { 0 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_published_document_can_be_written() {
        for (subject, document) in super::super::super::demo::DOCUMENTS {
            let document: Value = serde_json::from_str(document).unwrap();
            for (name, collection) in document["collections"].as_object().unwrap() {
                let key = collection["primaryKey"].as_str().unwrap();
                let made = make(&collection["schema"], key);
                assert!(made.is_ok(), "{subject} {name}: {made:?}");
            }
        }
    }

    #[test]
    fn what_cannot_be_made_up_is_said() {
        let schema = json!({"type": "object", "required": ["id", "code"], "properties": {
            "id": {"type": "string"}, "code": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4}$"}}});
        let fault = make(&schema, "id").unwrap_err();
        assert!(fault.contains("code"), "{fault}");
    }

    #[test]
    fn text_grows_only_where_the_schema_lets_it() {
        let schema = json!({"type": "object", "required": ["id", "state", "note"], "properties": {
            "id": {"type": "integer"}, "state": {"enum": ["on"]}, "note": {"type": "string"}, "n": {"type": "integer", "minimum": 7}}});
        let made = make(&schema, "id").unwrap();
        assert_eq!((made.keys, made.pad.as_deref()), (KeyStyle::Integer, Some("note")));
        assert_eq!(made.padded(10).len(), made.padded(0).len() + 10);
        assert_eq!(made.value["n"], 7);
    }
}
