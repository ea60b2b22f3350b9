//! A document: the collections that a subject registers, checked in full before anything is compiled from it.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::model::{EntityType, Limits};

use super::schema::{self, Findings, child};
use super::{Compiled, CompiledCollection, Fingerprint, canonical_json};

/// A sound document: its canonical text, the fingerprint of that, and its compiled collections.
#[derive(Debug)]
pub struct Document {
    canonical: String,
    fingerprint: Fingerprint,
    compiled: Arc<Compiled>,
}

/// What a document may cost.
#[derive(Clone, Copy, Debug)]
pub struct DocumentLimits {
    /// Largest canonical text, in bytes.
    pub bytes_max: usize,
    /// Deepest nesting of the whole document; its schemas lie 3 levels in. At most 127 whatever is set, because the
    /// text must be read back by a parser that stops there.
    pub depth_max: usize,
    /// Regular expressions in all schemas together.
    pub patterns_max: usize,
}

/// Something in a document that must change before it can be registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}: {message}")]
pub struct DocumentFault {
    /// JSON pointer into the document; empty for the document itself.
    pub pointer: String,
    pub code: FaultCode,
    /// What is wrong and what to change, for a person.
    pub message: String,
}

macro_rules! fault_codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What kind of fault; the text is stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum FaultCode {
            $($(#[$doc])* $name,)*
        }

        impl FaultCode {
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

fault_codes! {
    /// The document, or a collection, is not an object.
    NotAnObject = "not-an-object",
    TooLarge = "document-too-large",
    TooDeep = "document-too-deep",
    /// `collections` is missing or empty.
    NoCollections = "no-collections",
    UnknownMember = "unknown-member",
    /// A collection's name is not 1 to 256 bytes without control characters.
    CollectionName = "collection-name",
    /// A collection's `type` is missing or not 1 to 256 bytes of text.
    EntityType = "entity-type",
    DuplicateType = "duplicate-type",
    /// `primaryKey` is missing or not a non-empty text.
    PrimaryKey = "primary-key",
    /// The schema does not declare the key under `properties`.
    PrimaryKeyUndeclared = "primary-key-undeclared",
    /// The schema does not list the key in `required`.
    PrimaryKeyOptional = "primary-key-optional",
    /// The key's property admits neither strings nor integers.
    PrimaryKeyType = "primary-key-type",
    /// `versionField` is not a non-empty text.
    VersionField = "version-field",
    VersionFieldUndeclared = "version-field-undeclared",
    VersionFieldType = "version-field-type",
    /// `strict` is not a boolean.
    Strict = "strict",
    SchemaMissing = "schema-missing",
    /// A schema that is neither object nor boolean.
    SchemaKind = "schema-kind",
    /// `$schema` names no known draft.
    SchemaDialect = "schema-dialect",
    /// A keyword's value is of the wrong kind.
    SchemaKeyword = "schema-keyword",
    RemoteReference = "remote-reference",
    UnresolvedReference = "unresolved-reference",
    Regex = "regex",
    TooManyPatterns = "too-many-patterns",
    /// Anything else for which the schema does not compile.
    SchemaInvalid = "schema-invalid",
}

impl Default for DocumentLimits {
    fn default() -> Self {
        Self::from(&Limits::default())
    }
}

impl From<&Limits> for DocumentLimits {
    fn from(limits: &Limits) -> Self {
        Self { bytes_max: limits.schema_bytes_max, depth_max: limits.json_depth_max, patterns_max: 500 }
    }
}

const DEPTH_MAX: usize = 127;
const MEMBERS: &[&str] = &["type", "primaryKey", "schema", "versionField", "strict"];

impl Document {
    /// Checks a document; every fault is named, in document order.
    pub fn parse(value: &Value, limits: &DocumentLimits) -> Result<Self, Vec<DocumentFault>> {
        let mut findings = Findings { faults: Vec::new(), patterns_left: limits.patterns_max.saturating_add(1) };
        // First, because everything after it recurses.
        let depth_max = limits.depth_max.min(DEPTH_MAX);
        if let Some(pointer) = deeper_than(value, depth_max) {
            let message = format!("the document nests deeper than {depth_max} levels here; flatten it or use `$ref`");
            findings.add(pointer, FaultCode::TooDeep, message);
            return Err(findings.faults);
        }
        let canonical = canonical_json(value);
        if canonical.len() > limits.bytes_max {
            let message = format!("the document has {} bytes; at most {} are kept", canonical.len(), limits.bytes_max);
            findings.add("", FaultCode::TooLarge, message);
            return Err(findings.faults);
        }
        let collections = check_document(value, &mut findings);
        match findings.faults.is_empty() {
            true => Ok(Self {
                fingerprint: Fingerprint::of(&canonical),
                canonical,
                compiled: Arc::new(Compiled::new(collections)),
            }),
            false => Err(findings.faults),
        }
    }

    /// Reads back a text that [`Document::canonical`] gave. Its size is not questioned again: limits may have shrunk.
    pub fn read_back(canonical: &str) -> Result<Self, Vec<DocumentFault>> {
        let unlimited = DocumentLimits { bytes_max: usize::MAX, depth_max: DEPTH_MAX, patterns_max: usize::MAX };
        let value: Value = serde_json::from_str(canonical).map_err(|error| {
            let message = format!("the stored document is not JSON: {error}");
            vec![DocumentFault { pointer: String::new(), code: FaultCode::NotAnObject, message }]
        })?;
        let read = Self::parse(&value, &unlimited)?;
        // The stored text stays the identity, also should number formatting ever change.
        Ok(Self { fingerprint: Fingerprint::of(canonical), canonical: canonical.to_owned(), ..read })
    }

    /// The document as canonical JSON: equal documents have equal text.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    pub fn compiled(&self) -> &Arc<Compiled> {
        &self.compiled
    }
}

/// Where the first value lies that nests deeper than `max` containers. Does not recurse.
fn deeper_than(value: &Value, max: usize) -> Option<String> {
    // Containers only, so that the pointer is built once and not for every value.
    let mut open: Vec<Box<dyn Iterator<Item = (Step<'_>, &Value)> + '_>> = Vec::new();
    let mut path: Vec<Step<'_>> = Vec::new();
    open.extend(children(value));
    loop {
        if open.len() > max {
            return Some(path.iter().fold(String::new(), |pointer, step| match step {
                Step::Member(name) => child(&pointer, name),
                Step::Item(index) => format!("{pointer}/{index}"),
            }));
        }
        match open.last_mut()?.next() {
            Some((step, value)) => {
                if let Some(level) = children(value) {
                    path.push(step);
                    open.push(level);
                }
            }
            None => {
                path.pop();
                open.pop();
            }
        }
    }
}

enum Step<'v> {
    Member(&'v str),
    Item(usize),
}

fn children(value: &Value) -> Option<Box<dyn Iterator<Item = (Step<'_>, &Value)> + '_>> {
    match value {
        Value::Array(items) => Some(Box::new(items.iter().enumerate().map(|(i, item)| (Step::Item(i), item)))),
        Value::Object(members) => Some(Box::new(members.iter().map(|(name, value)| (Step::Member(name), value)))),
        _ => None,
    }
}

fn check_document(value: &Value, findings: &mut Findings) -> Vec<CompiledCollection> {
    let Some(members) = value.as_object() else {
        findings.add("", FaultCode::NotAnObject, "a document is an object with the member `collections`");
        return Vec::new();
    };
    refuse_unknown(members, &["collections"], "", findings);
    let collections = match members.get("collections") {
        Some(Value::Object(collections)) if !collections.is_empty() => collections,
        Some(Value::Object(_)) => {
            findings.add("/collections", FaultCode::NoCollections, "name at least one collection");
            return Vec::new();
        }
        Some(_) => {
            findings.add("/collections", FaultCode::NotAnObject, "`collections` is an object, by collection name");
            return Vec::new();
        }
        None => {
            findings.add("", FaultCode::NoCollections, "add the member `collections`, an object by collection name");
            return Vec::new();
        }
    };
    let mut owners: HashMap<EntityType, &str> = HashMap::new();
    let mut sound = Vec::new();
    for (name, collection) in collections {
        let pointer = child("/collections", name);
        let checked = check_collection(name, collection, &pointer, findings);
        // Also of collections with other faults, or their duplicate types would show up one attempt later.
        let entity_type = collection.get("type").and_then(Value::as_str).and_then(EntityType::parse);
        if let Some(entity_type) = entity_type
            && let Some(owner) = owners.insert(entity_type, name)
        {
            let message = format!("collection `{owner}` has the same type; each collection needs its own");
            findings.add(format!("{pointer}/type"), FaultCode::DuplicateType, message);
        }
        sound.extend(checked);
    }
    sound
}

fn refuse_unknown(members: &Map<String, Value>, known: &[&str], pointer: &str, findings: &mut Findings) {
    for name in members.keys().filter(|name| !known.contains(&name.as_str())) {
        let message = format!("unknown member; remove it (known: {})", known.join(", "));
        findings.add(child(pointer, name), FaultCode::UnknownMember, message);
    }
}

/// `None` where it has faults.
fn check_collection(
    name: &str,
    value: &Value,
    pointer: &str,
    findings: &mut Findings,
) -> Option<CompiledCollection> {
    let found_before = findings.faults.len();
    if name.is_empty() || name.len() > 256 || name.chars().any(char::is_control) {
        let message = "a collection name is 1 to 256 bytes without control characters";
        findings.add(pointer, FaultCode::CollectionName, message);
    }
    let Some(members) = value.as_object() else {
        let message = "a collection is an object with `type`, `primaryKey` and `schema`";
        findings.add(pointer, FaultCode::NotAnObject, message);
        return None;
    };
    refuse_unknown(members, MEMBERS, pointer, findings);
    let entity_type = members.get("type").and_then(Value::as_str).and_then(EntityType::parse);
    if entity_type.is_none() {
        let message = format!("`type` is a text of 1 to {} bytes", EntityType::BYTES_MAX);
        findings.add(place(members, pointer, "type"), FaultCode::EntityType, message);
    }
    let strict = match members.get("strict") {
        None => false,
        Some(Value::Bool(strict)) => *strict,
        Some(_) => {
            findings.add(format!("{pointer}/strict"), FaultCode::Strict, "`strict` is true or false");
            false
        }
    };
    let schema = members.get("schema");
    if schema.is_none() {
        findings.add(pointer, FaultCode::SchemaMissing, "add `schema`, a JSON Schema of the entity's value");
    }
    let primary_key = check_primary_key(members, schema, pointer, findings);
    let version_field = check_version_field(members, schema, pointer, findings);
    let validator = schema.and_then(|schema| schema::compile(schema, &format!("{pointer}/schema"), findings));
    if findings.faults.len() > found_before {
        return None;
    }
    Some(CompiledCollection {
        name: name.to_owned(),
        entity_type: entity_type?,
        primary_key: primary_key?,
        version_field,
        strict,
        schema: schema?.clone(),
        validator: validator?,
    })
}

/// A member, or where it is missing, what lacks it.
fn place(members: &Map<String, Value>, pointer: &str, name: &str) -> String {
    if members.contains_key(name) { child(pointer, name) } else { pointer.to_owned() }
}

fn check_primary_key(
    members: &Map<String, Value>,
    schema: Option<&Value>,
    pointer: &str,
    findings: &mut Findings,
) -> Option<String> {
    let Some(key) = members.get("primaryKey").and_then(Value::as_str).filter(|key| !key.is_empty()) else {
        let message = "`primaryKey` names the property that holds the entity's key";
        findings.add(place(members, pointer, "primaryKey"), FaultCode::PrimaryKey, message);
        return None;
    };
    let schema = schema.filter(|schema| schema.is_object() || schema.is_boolean())?;
    let here = format!("{pointer}/primaryKey");
    match schema.get("properties").and_then(|properties| properties.get(key)) {
        None => {
            let message = format!("declare `{key}` under `properties` at the top of the schema");
            findings.add(here, FaultCode::PrimaryKeyUndeclared, message);
            return None;
        }
        Some(property) if !admits_key(property) => {
            let message = format!("`{key}` must be able to hold a string or an integer");
            let property = child(&format!("{pointer}/schema/properties"), key);
            findings.add(property, FaultCode::PrimaryKeyType, message);
        }
        Some(_) => {}
    }
    let required = schema.get("required").and_then(Value::as_array);
    if !required.is_some_and(|names| names.iter().any(|name| name == key)) {
        let message = format!("list `{key}` in `required` at the top of the schema");
        findings.add(here, FaultCode::PrimaryKeyOptional, message);
    }
    Some(key.to_owned())
}

/// Whether some string or integer could satisfy the property, as far as its own `type`, `enum` and `const` say.
fn admits_key(property: &Value) -> bool {
    let is_key = |value: &Value| value.is_string() || value.as_f64().is_some_and(|number| number.fract() == 0.0);
    let by_type = match property.get("type") {
        Some(kind) => kinds(kind).any(|kind| matches!(kind, "string" | "integer" | "number")),
        None => true,
    };
    let by_enum = property.get("enum").and_then(Value::as_array).is_none_or(|values| values.iter().any(is_key));
    let by_const = property.get("const").is_none_or(is_key);
    property != &Value::Bool(false) && by_type && by_enum && by_const
}

/// The names in a `type`, which is one or a list.
fn kinds(kind: &Value) -> impl Iterator<Item = &str> {
    kind.as_str().into_iter().chain(kind.as_array().into_iter().flatten().filter_map(Value::as_str))
}

fn check_version_field(
    members: &Map<String, Value>,
    schema: Option<&Value>,
    pointer: &str,
    findings: &mut Findings,
) -> Option<String> {
    let field = members.get("versionField")?;
    let here = format!("{pointer}/versionField");
    let Some(field) = field.as_str().filter(|field| !field.is_empty()) else {
        let message = "`versionField` names an integer property, or is left out";
        findings.add(here, FaultCode::VersionField, message);
        return None;
    };
    let schema = schema.filter(|schema| schema.is_object() || schema.is_boolean())?;
    let Some(property) = schema.get("properties").and_then(|properties| properties.get(field)) else {
        let message = format!("declare `{field}` under `properties` at the top of the schema");
        findings.add(here, FaultCode::VersionFieldUndeclared, message);
        return None;
    };
    let kinds: Vec<&str> = property.get("type").map(|kind| kinds(kind).collect()).unwrap_or_default();
    if !kinds.contains(&"integer") || kinds.iter().any(|kind| !matches!(*kind, "integer" | "null")) {
        let message = format!("`{field}` must have `\"type\": \"integer\"`");
        let property = child(&format!("{pointer}/schema/properties"), field);
        findings.add(property, FaultCode::VersionFieldType, message);
    }
    Some(field.to_owned())
}
