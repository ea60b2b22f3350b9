//! A document: the collections that a subject registers, checked in full before anything is compiled from it.
//!
//! A subject that is only referred to, or used by clients that know no collections, holds a *bare* schema instead:
//! `{"schema": …}`. Values are checked against it as against any other, but it says neither a type nor a key, so no
//! stream can be pinned to it. One that names both itself, in `title` and `x-primary-key`, is a document of one collection.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};

use crate::model::{EntityType, Limits};

use super::reference::{self, Reference, Resolve, Resolved, collection_of};
use super::schema::{self, Findings, child};
use super::{Compiled, CompiledCollection, Fingerprint, canonical_json};

/// A sound document: its canonical text, the fingerprint of that, and its compiled collections.
#[derive(Debug)]
pub struct Document {
    canonical: String,
    fingerprint: Fingerprint,
    compiled: Arc<Compiled>,
    shape: Shape,
    references: Vec<Resolved>,
    /// How many documents refer to each other in a row below this one.
    reference_depth: usize,
}

/// What a document holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Collections, by name.
    Collections,
    /// A schema that names its type and key itself.
    Keyed,
    /// A schema without type and key: no stream can be pinned to it.
    Bare,
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
    /// One value would be checked against too many subschemas.
    TooCostly = "schema-too-costly",
    /// `references`, or an item of it, is not what it should be.
    References = "references",
    /// A reference names a version that is not there, or that is deleted or disabled.
    UnknownReference = "unknown-reference",
    /// What is referenced has no schema there, or one that cannot be used from here.
    ReferenceTarget = "reference-target",
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
    /// Checks a document that refers to no other; every fault is named, in document order.
    pub fn parse(value: &Value, limits: &DocumentLimits) -> Result<Self, Vec<DocumentFault>> {
        Self::parse_with(value, limits, &|_, _| None)
    }

    /// Checks a document; every fault is named, in document order. `resolve` knows what it may refer to.
    pub fn parse_with(
        value: &Value,
        limits: &DocumentLimits,
        resolve: Resolve<'_>,
    ) -> Result<Self, Vec<DocumentFault>> {
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
            let message =
                format!("the document has {} bytes; at most {} are kept", canonical.len(), limits.bytes_max);
            findings.add("", FaultCode::TooLarge, message);
            return Err(findings.faults);
        }
        let listed = value.get("references");
        let references = listed.map_or(Vec::new(), |listed| reference::resolve(listed, resolve, &mut findings));
        let sources = Sources { references: &references, bytes_max: limits.bytes_max };
        let (shape, collections) = check_document(value, sources, &mut findings);
        let reference_depth = references.iter().map(|resolved| resolved.document.reference_depth + 1).max();
        match findings.faults.is_empty() {
            true => Ok(Self {
                fingerprint: Fingerprint::of(&canonical),
                canonical,
                compiled: Arc::new(Compiled::new(collections)),
                shape,
                reference_depth: reference_depth.unwrap_or(0),
                references,
            }),
            false => Err(findings.faults),
        }
    }

    /// Reads back a text that [`Document::canonical`] gave. Its size is not questioned again: limits may have shrunk.
    pub fn read_back(canonical: &str) -> Result<Self, Vec<DocumentFault>> {
        Self::read_back_with(canonical, &|_, _| None)
    }

    /// As [`Document::read_back`], of a document that refers to others.
    pub fn read_back_with(canonical: &str, resolve: Resolve<'_>) -> Result<Self, Vec<DocumentFault>> {
        let unlimited = DocumentLimits { bytes_max: usize::MAX, depth_max: DEPTH_MAX, patterns_max: usize::MAX };
        let value: Value = serde_json::from_str(canonical).map_err(|error| {
            let message = format!("the stored document is not JSON: {error}");
            vec![DocumentFault { pointer: String::new(), code: FaultCode::NotAnObject, message }]
        })?;
        let read = Self::parse_with(&value, &unlimited, resolve)?;
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

    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// What it refers to, in the order in which it lists them.
    pub fn references(&self) -> impl ExactSizeIterator<Item = &Reference> {
        self.references.iter().map(|resolved| &resolved.reference)
    }

    pub(super) fn resolved(&self) -> &[Resolved] {
        &self.references
    }

    pub(super) fn reference_depth(&self) -> usize {
        self.reference_depth
    }

    /// The schema that a fragment of a reference to this document leads into: of which collection (none where the
    /// document is a schema), and the rest of the fragment. As it was registered: what it refers to is not in it.
    pub(super) fn schema_at<'f>(&self, fragment: &'f str) -> Option<(Option<&str>, &Value, &'f str)> {
        let rest_is_pointer = |rest: &str| rest.is_empty() || rest.starts_with('/');
        match (self.shape, collection_of(fragment)) {
            (Shape::Collections, Some((name, rest))) => {
                let found = self.compiled.collection_named(&name)?;
                Some((Some(&found.name), found.registered(), rest))
            }
            // A document of one collection means that one.
            (Shape::Collections, None) if fragment.is_empty() => {
                let mut collections = self.compiled.collections();
                let found = collections.next().filter(|_| collections.len() == 0)?;
                Some((Some(&found.name), found.registered(), fragment))
            }
            (Shape::Collections, None) => None,
            (Shape::Keyed | Shape::Bare, _) if rest_is_pointer(fragment) => {
                Some((None, self.compiled.collections().next()?.registered(), fragment))
            }
            (Shape::Keyed | Shape::Bare, _) => None,
        }
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

/// What schemas may refer to beside themselves, and how large they may get with it.
#[derive(Clone, Copy)]
struct Sources<'r> {
    references: &'r [Resolved],
    bytes_max: usize,
}

fn check_document(value: &Value, sources: Sources<'_>, findings: &mut Findings) -> (Shape, Vec<CompiledCollection>) {
    let Some(members) = value.as_object() else {
        findings.add("", FaultCode::NotAnObject, "a document is an object with the member `collections`");
        return (Shape::Collections, Vec::new());
    };
    if let (Some(schema), None) = (members.get("schema"), members.get("collections")) {
        refuse_unknown(members, &["schema", "references"], "", findings);
        return check_bare(schema, sources, findings);
    }
    refuse_unknown(members, &["collections", "references"], "", findings);
    (Shape::Collections, check_collections(members, sources, findings))
}

/// The name and the type of the one collection of a bare schema, which no stream holds.
const BARE: &str = "schema";

fn check_bare(schema: &Value, sources: Sources<'_>, findings: &mut Findings) -> (Shape, Vec<CompiledCollection>) {
    let Some(key) = schema.get("x-primary-key") else {
        let found_before = findings.faults.len();
        let whole = reference::bundle(schema, sources.references, "/schema", sources.bytes_max, findings);
        let validator = whole.as_ref().and_then(|whole| schema::compile(whole, "/schema", findings));
        let (Some(whole), Some(validator)) = (whole, validator) else { return (Shape::Bare, Vec::new()) };
        let (Some(entity_type), true) = (EntityType::parse(BARE), findings.faults.len() == found_before) else {
            return (Shape::Bare, Vec::new());
        };
        let collection = CompiledCollection {
            name: BARE.to_owned(),
            entity_type,
            primary_key: String::new(),
            version_field: None,
            strict: false,
            registered: (whole != *schema).then(|| schema.clone()),
            schema: whole,
            validator,
            defaults: OnceLock::new(),
            plan: OnceLock::new(),
        };
        return (Shape::Bare, vec![collection]);
    };
    let Some(title) = schema.get("title").and_then(Value::as_str).filter(|title| EntityType::parse(title).is_some())
    else {
        let message = "a schema with `x-primary-key` has a `title` of 1 to 256 bytes: the type of its entities";
        findings.add("/schema", FaultCode::EntityType, message);
        return (Shape::Keyed, Vec::new());
    };
    let mut collection = Map::new();
    collection.insert("type".to_owned(), Value::from(title));
    collection.insert("primaryKey".to_owned(), key.clone());
    collection.insert("schema".to_owned(), schema.clone());
    let checked = check_collection(title, &Value::Object(collection), "", sources, findings);
    (Shape::Keyed, checked.into_iter().collect())
}

fn check_collections(
    members: &Map<String, Value>,
    sources: Sources<'_>,
    findings: &mut Findings,
) -> Vec<CompiledCollection> {
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
        let checked = check_collection(name, collection, &pointer, sources, findings);
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
    sources: Sources<'_>,
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
    let here = format!("{pointer}/schema");
    let whole =
        schema.and_then(|schema| reference::bundle(schema, sources.references, &here, sources.bytes_max, findings));
    let validator = whole.as_ref().and_then(|whole| schema::compile(whole, &here, findings));
    if findings.faults.len() > found_before {
        return None;
    }
    Some(CompiledCollection {
        name: name.to_owned(),
        entity_type: entity_type?,
        primary_key: primary_key?,
        version_field,
        strict,
        registered: schema.filter(|schema| whole.as_ref() != Some(schema)).cloned(),
        schema: whole?,
        validator: validator?,
        defaults: OnceLock::new(),
        plan: OnceLock::new(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::testing::{any_json, document_value, parse};
    use proptest::prelude::*;
    use serde_json::json;

    /// Parses, and expects exactly these (pointer, code), in any order.
    #[track_caller]
    fn check(document: &Value, expected: &[(&str, &str)]) {
        let faults = parse(document).err().unwrap_or_default();
        let mut found: Vec<_> = faults.iter().map(|f| (f.pointer.as_str(), f.code.as_str())).collect();
        let mut expected = expected.to_vec();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{faults:#?}");
        assert!(faults.iter().all(|fault| !fault.message.is_empty() && fault.message.len() < 600));
    }

    fn check_schema(schema: &Value, expected: &[(&str, &str)]) {
        let mut whole = json!({
            "type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}
        });
        whole.as_object_mut().unwrap().extend(schema.as_object().unwrap().clone());
        let expected: Vec<_> =
            expected.iter().map(|(place, code)| (format!("/collections/c/schema{place}"), *code)).collect();
        let expected: Vec<_> = expected.iter().map(|(place, code)| (place.as_str(), *code)).collect();
        check(&json!({"collections": {"c": {"type": "t", "primaryKey": "id", "schema": whole}}}), &expected);
    }

    #[test]
    fn documents_in_use_are_sound() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/documents");
        let mut seen = 0;
        for file in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            let document = parse(&serde_json::from_str(&text).unwrap()).unwrap_or_else(|f| panic!("{f:#?}"));
            let again = Document::read_back(document.canonical()).unwrap();
            assert_eq!(again.fingerprint(), document.fingerprint());
            assert!(document.compiled().collections().len() > 0);
            seen += 1;
        }
        assert!(seen >= 5);
    }

    #[test]
    fn the_shape_of_a_document_is_named() {
        check(&json!([]), &[("", "not-an-object")]);
        check(&json!({}), &[("", "no-collections")]);
        check(
            &json!({"collections": {}, "a/b": 1}),
            &[("/collections", "no-collections"), ("/a~1b", "unknown-member")],
        );
        check(&json!({"collections": []}), &[("/collections", "not-an-object")]);
        check(
            &json!({"collections": {"": 1}}),
            &[("/collections/", "collection-name"), ("/collections/", "not-an-object")],
        );
        check(
            &json!({"collections": {"c": {}}}),
            &[
                ("/collections/c", "entity-type"),
                ("/collections/c", "primary-key"),
                ("/collections/c", "schema-missing"),
            ],
        );
    }

    #[test]
    fn every_fault_of_a_document_is_named_at_once() {
        let document = json!({"collections": {
            "a": {"type": "t", "primaryKey": "", "schema": 7, "versionField": 1, "strict": "yes", "ttl": 1},
            "b": {"type": "t", "primaryKey": "key", "versionField": "v", "schema": {
                "properties": {"v": {"type": "number"}, "w": {"pattern": "(", "minLength": "1"}},
                "allOf": [{"$ref": "#/$defs/none"}, {"$ref": "https://example.com/s.json"}]
            }},
        }});
        check(
            &document,
            &[
                ("/collections/a/primaryKey", "primary-key"),
                ("/collections/a/schema", "schema-kind"),
                ("/collections/a/versionField", "version-field"),
                ("/collections/a/strict", "strict"),
                ("/collections/a/ttl", "unknown-member"),
                ("/collections/b/type", "duplicate-type"),
                ("/collections/b/primaryKey", "primary-key-undeclared"),
                ("/collections/b/schema/properties/v", "version-field-type"),
                ("/collections/b/schema/properties/w/pattern", "regex"),
                ("/collections/b/schema/properties/w/minLength", "schema-keyword"),
                ("/collections/b/schema/allOf/0/$ref", "unresolved-reference"),
                ("/collections/b/schema/allOf/1/$ref", "remote-reference"),
            ],
        );
    }

    #[test]
    fn the_key_must_be_declared_required_and_text_or_integer() {
        let with = |key: Value, required: Value| {
            json!({"collections": {"c": {"type": "t", "primaryKey": "id", "schema":
                {"properties": {"id": key}, "required": required}}}})
        };
        for key in [json!({"type": "string"}), json!({"type": ["integer", "null"]}), json!({}), json!(true)] {
            check(&with(key, json!(["id"])), &[]);
        }
        for key in [json!({"type": "boolean"}), json!({"enum": [null, 1.5]}), json!({"const": []}), json!(false)] {
            check(&with(key, json!(["id"])), &[("/collections/c/schema/properties/id", "primary-key-type")]);
        }
        check(
            &with(json!({"type": "string"}), json!(["other"])),
            &[("/collections/c/primaryKey", "primary-key-optional")],
        );
        let boolean = json!({"collections": {"c": {"type": "t", "primaryKey": "id", "schema": true}}});
        check(&boolean, &[("/collections/c/primaryKey", "primary-key-undeclared")]);
    }

    #[test]
    fn the_version_field_must_be_an_integer() {
        let with = |property: Value| {
            let mut document = document_value(json!({"v": property}));
            document["collections"]["c"]["versionField"] = json!("v");
            document
        };
        check(&with(json!({"type": "integer"})), &[]);
        check(&with(json!({"type": ["integer", "null"]})), &[]);
        for property in [json!({}), json!({"type": "number"}), json!({"type": ["integer", "string"]})] {
            check(&with(property), &[("/collections/c/schema/properties/v", "version-field-type")]);
        }
        let mut undeclared = document_value(json!({}));
        undeclared["collections"]["c"]["versionField"] = json!("v");
        check(&undeclared, &[("/collections/c/versionField", "version-field-undeclared")]);
    }

    #[test]
    fn references_stay_inside_their_schema() {
        check_schema(
            &json!({"$defs": {"a": {"$anchor": "n"}}, "allOf": [
                {"$ref": "#/$defs/a"}, {"$ref": "#n"}, {"$ref": "#"}
            ]}),
            &[],
        );
        check_schema(
            &json!({"$defs": {"a": {"$id": "https://example.com/a", "type": "object"}}, "allOf": [
                {"$ref": "https://example.com/a"}
            ]}),
            &[],
        );
        for target in ["http://example.com/s", "file:///etc/passwd", "other.json", "../x#/a", "urn:x:y"] {
            check_schema(&json!({"not": {"$ref": target}}), &[("/not/$ref", "remote-reference")]);
        }
        for target in ["#/$defs/none", "#none", "#/properties/id/9"] {
            check_schema(&json!({"not": {"$ref": target}}), &[("/not/$ref", "unresolved-reference")]);
        }
        check_schema(
            &json!({"items": {"$dynamicRef": "http://x/#m"}}),
            &[("/items/$dynamicRef", "remote-reference")],
        );
        // Data is not schema.
        check_schema(
            &json!({"properties": {"id": {"type": "string", "const": {"$ref": "http://x"}}}}),
            &[("/properties/id", "primary-key-type")],
        );
        check_schema(&json!({"examples": [{"$ref": "http://x", "pattern": "("}]}), &[]);
    }

    #[test]
    fn drafts_are_told_by_their_name() {
        for draft in ["draft-04", "draft-06", "draft-07"] {
            check_schema(&json!({"$schema": format!("http://json-schema.org/{draft}/schema#")}), &[]);
        }
        for draft in ["2019-09", "2020-12"] {
            check_schema(&json!({"$schema": format!("https://json-schema.org/draft/{draft}/schema")}), &[]);
        }
        check_schema(&json!({"$schema": "https://example.com/mine"}), &[("/$schema", "schema-dialect")]);
        check_schema(&json!({"$schema": 7}), &[("/$schema", "schema-keyword")]);
        let draft_04 = json!({
            "$schema": "http://json-schema.org/draft-04/schema#", "exclusiveMinimum": 3, "minimum": 1
        });
        check_schema(&draft_04, &[("/exclusiveMinimum", "schema-keyword")]);
    }

    #[test]
    fn expressions_that_could_backtrack_are_refused() {
        check_schema(
            &json!({"patternProperties": {"a(?=b)": {}, "^x-": {"pattern": "^\\d{3}$"}}}),
            &[("/patternProperties/a(?=b)", "regex")],
        );
        check_schema(&json!({"not": {"pattern": "(a)\\1"}}), &[("/not/pattern", "regex")]);
        check_schema(&json!({"not": {"pattern": "((a{99}){99}){99}"}}), &[("/not/pattern", "regex")]);
    }

    #[test]
    fn large_and_deep_documents_are_refused_without_recursion() {
        let limits = DocumentLimits { bytes_max: 100, ..DocumentLimits::default() };
        let faults = Document::parse(&document_value(json!({})), &limits).unwrap_err();
        assert_eq!(faults[0].code, FaultCode::TooLarge);

        let nested = |depth| (0..depth).fold(json!({}), |inner, _| json!({"not": inner}));
        check(&document_value(json!({"x": nested(121)})), &[]);
        let text = parse(&document_value(json!({"x": nested(121)}))).unwrap().canonical().to_owned();
        Document::read_back(&text).unwrap();
        let place = format!("/collections/c/schema/properties/x{}", "/not".repeat(122));
        check(&document_value(json!({"x": nested(130)})), &[(&place, "document-too-deep")]);

        let limits = DocumentLimits { patterns_max: 1, ..DocumentLimits::default() };
        let two = document_value(json!({"x": {"pattern": "a"}, "y": {"pattern": "b"}, "z": {"pattern": "c"}}));
        let faults = Document::parse(&two, &limits).unwrap_err();
        assert_eq!(faults.iter().map(|fault| fault.code).collect::<Vec<_>>(), [FaultCode::TooManyPatterns]);
    }

    #[test]
    fn schemas_that_multiply_their_references_are_refused() {
        let defined = |count: u32, link: fn(String) -> Value| {
            let links = (0..count).map(|n| (format!("d{n}"), link(format!("#/$defs/d{}", n + 1))));
            let mut defs: Map<String, Value> = links.collect();
            defs.insert(format!("d{count}"), json!({"type": "string"}));
            json!({"$defs": defs})
        };
        let twice = |target| json!({"allOf": [{"$ref": target}, {"$ref": target}]});
        let once = |target| json!({"$ref": target});
        check_schema(&defined(8, twice), &[]);
        check_schema(&defined(40, twice), &[("/$defs/d0", "schema-too-costly")]);
        check_schema(&defined(150, once), &[]);
        check_schema(&defined(20_000, once), &[("/$defs/d0", "schema-too-costly")]);
        check_schema(&json!({"allOf": [{"$ref": "#"}, {"anyOf": [{"$ref": "#"}, {"not": {"$ref": "#"}}]}]}), &[]);
    }

    #[test]
    fn fault_codes_are_distinct_slugs() {
        let mut codes: Vec<_> = FaultCode::ALL.iter().map(|code| code.as_str()).collect();
        assert!(codes.iter().all(|code| code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), FaultCode::ALL.len());
    }

    proptest! {
        #[test]
        fn no_value_makes_parsing_panic(value in any_json()) {
            let _ = parse(&value);
            let _ = parse(&json!({"collections": value}));
            let _ = parse(&json!({"collections": {"c": value}}));
        }

        #[test]
        fn no_schema_makes_parsing_or_checking_panic(a in any_json(), b in any_json(), value in any_json()) {
            let mut document = document_value(json!({"a": a, "b": {"allOf": [b]}}));
            if let Ok(sound) = parse(&document) {
                let collection = sound.compiled().collection("t").unwrap();
                let value = json!({"id": "x", "a": value, "b": value});
                prop_assert_eq!(collection.is_valid(&value), collection.check(&value, 10).is_empty());
                prop_assert_eq!(Document::read_back(sound.canonical()).unwrap().fingerprint(), sound.fingerprint());
            }
            document["collections"]["c"]["schema"] = a;
            let _ = parse(&document);
        }
    }
}
