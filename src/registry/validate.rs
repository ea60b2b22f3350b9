//! Whether a value belongs to its collection, and what its key is.
//!
//! Compiled once per registered version and shared. Answers speak in pointers: where in the value, by which keyword,
//! where in the schema.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Write};
use std::sync::OnceLock;

use jsonschema::{ValidationError, Validator};
use serde_json::{Number, Value};

use crate::model::producer::INTEGER_MAX;
use crate::model::{EntityKey, EntityType};

use super::{Defaults, Plan};

/// All collections of one registered version.
#[derive(Debug)]
pub struct Compiled {
    /// By name.
    collections: BTreeMap<String, CompiledCollection>,
    names_by_type: HashMap<String, String>,
}

/// One collection: its facts as registered, and its compiled schema.
#[derive(Debug)]
pub struct CompiledCollection {
    pub name: String,
    pub entity_type: EntityType,
    /// Top-level property that holds the key.
    pub primary_key: String,
    /// Top-level integer property by which older versions are dropped.
    pub version_field: Option<String>,
    /// Whether inserting a live key is refused instead of taken as an update.
    pub strict: bool,
    /// The schema, with all that it refers to.
    pub schema: Value,
    /// The schema as registered, where it is not the same.
    pub(super) registered: Option<Value>,
    pub(super) validator: Validator,
    /// Made when they are first asked for.
    pub(super) defaults: OnceLock<Defaults>,
    /// Made when it is first asked for; `None` where the schema has what plans do not know.
    pub(super) plan: OnceLock<Option<Plan>>,
}

/// Why a value is not one of its collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueFault {
    /// JSON pointer into the value; empty for the value itself.
    pub pointer: String,
    /// The schema keyword that refused.
    pub keyword: String,
    /// `#` and a JSON pointer into the collection's schema, references followed.
    pub schema_location: String,
    /// At most 300 bytes.
    pub message: String,
}

/// Why a value has no key. Nothing was written; the same call cannot succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    #[error("the value is not an object")]
    NotAnObject,
    #[error("the value has no primary key member")]
    Missing,
    #[error("the primary key is neither a string nor an integer")]
    Kind,
    #[error("an integer key lies within ±(2^53−1)")]
    Range,
    #[error("a key is 1 to {} bytes long", EntityKey::BYTES_MAX)]
    Length,
}

impl Compiled {
    pub(super) fn new(collections: Vec<CompiledCollection>) -> Self {
        let names_by_type = collections.iter().map(|c| (c.entity_type.to_string(), c.name.clone())).collect();
        let collections = collections.into_iter().map(|c| (c.name.clone(), c)).collect();
        Self { collections, names_by_type }
    }

    /// The collection of an entity type (wire `type`).
    pub fn collection(&self, entity_type: &str) -> Option<&CompiledCollection> {
        self.collections.get(self.names_by_type.get(entity_type)?)
    }

    pub fn collection_named(&self, name: &str) -> Option<&CompiledCollection> {
        self.collections.get(name)
    }

    /// All collections, by name.
    pub fn collections(&self) -> impl ExactSizeIterator<Item = &CompiledCollection> {
        self.collections.values()
    }
}

/// Values with more nodes than this are told their first fault only: listing all would hold a hundred bytes and more
/// for every node of a value that is wrong throughout.
const LISTED_NODES_MAX: usize = 5_000;

impl CompiledCollection {
    /// The schema without what it refers to.
    pub(super) fn registered(&self) -> &Value {
        self.registered.as_ref().unwrap_or(&self.schema)
    }

    /// How values are checked while they are read, if the schema is one for that.
    pub fn plan(&self) -> Option<&Plan> {
        let make = || Plan::of(&self.schema, &self.primary_key, self.version_field.as_deref());
        self.plan.get_or_init(make).as_ref()
    }

    pub fn is_valid(&self, value: &Value) -> bool {
        self.validator.is_valid(value)
    }

    /// The first `faults_max` faults, at least one; empty where the value belongs to the collection.
    pub fn check(&self, value: &Value, faults_max: usize) -> Vec<ValueFault> {
        if self.validator.is_valid(value) {
            return Vec::new();
        }
        let mut faults: Vec<ValueFault> = match exceeds_nodes(value, LISTED_NODES_MAX) {
            true => self.validator.validate(value).err().map(ValueFault::from).into_iter().collect(),
            false => self.validator.iter_errors(value).take(faults_max.max(1)).map(ValueFault::from).collect(),
        };
        // Both looks agree by the validator's contract; should they ever not, the value stays refused.
        if faults.is_empty() {
            faults.push(ValueFault {
                pointer: String::new(),
                keyword: String::new(),
                schema_location: "#".to_owned(),
                message: "the value does not satisfy the schema".to_owned(),
            });
        }
        faults
    }

    /// The key of a value: its primary key member, an integer as its decimal text.
    pub fn key_of<'v>(&self, value: &'v Value) -> Result<Cow<'v, str>, KeyFault> {
        let members = value.as_object().ok_or(KeyFault::NotAnObject)?;
        let key = match members.get(&self.primary_key).ok_or(KeyFault::Missing)? {
            Value::String(text) => Cow::Borrowed(text.as_str()),
            Value::Number(number) => {
                let integer = integer_of(number).ok_or(KeyFault::Kind)?;
                let safe = integer.unsigned_abs() <= u128::from(INTEGER_MAX);
                Cow::Owned(safe.then(|| integer.to_string()).ok_or(KeyFault::Range)?)
            }
            _ => return Err(KeyFault::Kind),
        };
        match key.len() {
            1..=EntityKey::BYTES_MAX => Ok(key),
            _ => Err(KeyFault::Length),
        }
    }

    /// The version of a value; `None` where the collection has no version field or the value no integer in it.
    pub fn version_of(&self, value: &Value) -> Option<i128> {
        match value.get(self.version_field.as_deref()?)? {
            Value::Number(number) => integer_of(number),
            _ => None,
        }
    }
}

/// A number without fraction, however it was written: `1.0` is 1. Doubles too large to be exact integers are kept as
/// far as they order: those beyond the range of `i128` count as its ends.
fn integer_of(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from)).or_else(|| {
        let double = number.as_f64()?;
        (double.fract() == 0.0).then_some(double as i128)
    })
}

fn exceeds_nodes(value: &Value, max: usize) -> bool {
    let (mut open, mut seen) = (vec![value], 0);
    while let Some(value) = open.pop() {
        seen += 1;
        match value {
            _ if seen + open.len() > max => return true,
            Value::Array(items) if items.len() > max => return true,
            Value::Object(members) if members.len() > max => return true,
            Value::Array(items) => open.extend(items),
            Value::Object(members) => open.extend(members.values()),
            _ => {}
        }
    }
    false
}

impl From<ValidationError<'_>> for ValueFault {
    fn from(error: ValidationError<'_>) -> Self {
        Self {
            pointer: error.instance_path().as_str().to_owned(),
            keyword: error.kind().keyword().to_owned(),
            schema_location: format!("#{}", error.schema_path().as_str()),
            message: message_of(&error),
        }
    }
}

const MESSAGE_BYTES_MAX: usize = 300;

/// What is wrong, with the offending value where there is room for it.
pub(super) fn message_of(error: &ValidationError<'_>) -> String {
    capped(format_args!("{error}"))
        .or_else(|_| capped(format_args!("{}", error.masked())))
        .unwrap_or_else(|cut| format!("{cut}…"))
}

/// The text, or as much of it as fits. Stops the formatting there, however much would follow.
fn capped(arguments: fmt::Arguments<'_>) -> Result<String, String> {
    struct Capped(String);
    impl Write for Capped {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            // Room for the ellipsis of a text that was cut.
            let room = (MESSAGE_BYTES_MAX - '…'.len_utf8()).saturating_sub(self.0.len());
            let end = (0..=room.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
            self.0.push_str(&text[..end]);
            if end == text.len() { Ok(()) } else { Err(fmt::Error) }
        }
    }
    let mut text = Capped(String::new());
    match text.write_fmt(arguments) {
        Ok(()) => Ok(text.0),
        Err(fmt::Error) => Err(text.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::testing::{any_json, document, document_value, parse};
    use proptest::prelude::*;
    use serde_json::json;

    fn faults(properties: Value, value: &Value) -> Vec<ValueFault> {
        document(properties).compiled().collection("t").unwrap().check(value, 100)
    }

    #[test]
    fn a_fault_points_into_value_and_schema() {
        let found = faults(
            json!({
                "tags": {"items": {"$ref": "#/properties/a~1b"}},
                "a/b": {"type": "string"},
                "at": {"format": "date-time"}
            }),
            &json!({"tags": ["x", 7], "at": "yesterday"}),
        );
        let mut found: Vec<_> = found
            .iter()
            .map(|f| (f.pointer.as_str(), f.keyword.as_str(), f.schema_location.as_str(), f.message.as_str()))
            .collect();
        found.sort_unstable();
        assert_eq!(
            found,
            [
                ("", "required", "#/required", "\"id\" is a required property"),
                ("/at", "format", "#/properties/at/format", "\"yesterday\" is not a \"date-time\""),
                ("/tags/1", "type", "#/properties/a~1b/type", "7 is not of type \"string\""),
            ]
        );
    }

    #[test]
    fn formats_are_asserted_in_every_draft() {
        for draft in ["http://json-schema.org/draft-07/schema#", "https://json-schema.org/draft/2020-12/schema"] {
            let mut value =
                document_value(json!({"u": {"format": "uuid"}, "x": {"format": "our-own"}, "d": {"format": "date"}}));
            value["collections"]["c"]["schema"]["$schema"] = json!(draft);
            let document = parse(&value).unwrap();
            let collection = document.compiled().collection("t").unwrap();
            assert!(collection.is_valid(&json!({"id": "1", "x": "any", "d": "2026-01-31"})));
            assert!(!collection.is_valid(&json!({"id": "1", "d": "2026-02-31"})));
        }
    }

    #[test]
    fn messages_are_short_and_cut_between_characters() {
        let found = faults(json!({"x": {"type": "integer"}}), &json!({"id": "1", "x": "ä".repeat(100_000)}));
        assert_eq!(found[0].message, "value is not of type \"integer\"");
        let options: Vec<String> = (0..100).map(|n| format!("ä{n}")).collect();
        let found = faults(
            json!({"x": {"pattern": "ö".repeat(500)}, "y": {"enum": options}}),
            &json!({"id": "1", "x": "", "y": 1}),
        );
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|fault| fault.message.len() <= MESSAGE_BYTES_MAX));
        assert!(found[0].message.ends_with('…'), "{}", found[0].message);
    }

    #[test]
    fn faults_are_counted_out_and_of_large_values_only_the_first_is_told() {
        let document = document(json!({"x": {"items": {"type": "string"}}}));
        let collection = document.compiled().collection("t").unwrap();
        assert_eq!(collection.check(&json!({"id": "1", "x": vec![1; 50]}), 10).len(), 10);
        assert_eq!(collection.check(&json!({"id": "1", "x": vec![1; 50]}), 0).len(), 1);
        assert_eq!(collection.check(&json!({"id": "1", "x": vec![1; 50_000]}), 10).len(), 1);
    }

    #[test]
    fn a_key_is_text_or_a_safe_integer() {
        let document = document(json!({}));
        let collection = document.compiled().collection_named("c").unwrap();
        let check = |given: Value, expected: Result<&str, KeyFault>| {
            let value = json!({"id": given});
            assert_eq!(collection.key_of(&value).as_deref(), expected.as_ref().map(|key| *key), "{value}");
        };
        check(json!("a"), Ok("a"));
        check(json!(7), Ok("7"));
        check(json!(1.0), Ok("1"));
        check(json!(-0.0), Ok("0"));
        check(json!(-9007199254740991_i64), Ok("-9007199254740991"));
        check(json!(9007199254740992_i64), Err(KeyFault::Range));
        check(json!(u64::MAX), Err(KeyFault::Range));
        check(json!(-1e300), Err(KeyFault::Range));
        check(json!(1.5), Err(KeyFault::Kind));
        check(json!(null), Err(KeyFault::Kind));
        check(json!(""), Err(KeyFault::Length));
        check(json!("x".repeat(1025)), Err(KeyFault::Length));
        assert_eq!(collection.key_of(&json!([])), Err(KeyFault::NotAnObject));
        assert_eq!(collection.key_of(&json!({})), Err(KeyFault::Missing));
    }

    #[test]
    fn versions_are_integers_however_written() {
        let mut value = document_value(json!({"v": {"type": "integer"}}));
        value["collections"]["c"]["versionField"] = json!("v");
        let versioned = parse(&value).unwrap();
        let collection = versioned.compiled().collection("t").unwrap();
        for (given, expected) in [
            (json!({"v": 3}), Some(3)),
            (json!({"v": 3.0}), Some(3)),
            (json!({"v": u64::MAX}), Some(i128::from(u64::MAX))),
            (json!({"v": 3.5}), None),
            (json!({"v": "3"}), None),
            (json!({}), None),
        ] {
            assert_eq!(collection.version_of(&given), expected, "{given}");
        }
        assert_eq!(document(json!({"v": {}})).compiled().collection("t").unwrap().version_of(&json!({"v": 3})), None);
    }

    #[test]
    fn a_compiled_version_is_shared_between_threads() {
        fn shared<T: Send + Sync + 'static>() {}
        shared::<Compiled>();
    }

    #[test]
    fn recursion_ends() {
        let loops = json!({"x": {"allOf": [{"$ref": "#/properties/x"}, {"anyOf": [{"$ref": "#/properties/x"}]}]}});
        assert!(faults(loops, &json!({"id": "1", "x": 1})).is_empty());
        let tree = json!({"x": {"type": "object", "additionalProperties": {"$ref": "#/properties/x"}}});
        let deep = (0..120).fold(json!(1), |inner, _| json!({"x": inner}));
        assert_eq!(faults(tree, &json!({"id": "1", "x": deep})).len(), 1);
    }

    proptest! {
        #[test]
        fn no_value_makes_key_or_version_panic(value in any_json(), id in any_json()) {
            let mut source = document_value(json!({"v": {"type": "integer"}}));
            source["collections"]["c"]["versionField"] = json!("v");
            let document = parse(&source).unwrap();
            let collection = document.compiled().collection("t").unwrap();
            for value in [value.clone(), json!({"id": id, "v": value})] {
                let _ = (collection.key_of(&value), collection.version_of(&value));
                prop_assert_eq!(collection.is_valid(&value), collection.check(&value, 5).is_empty());
            }
        }
    }
}
