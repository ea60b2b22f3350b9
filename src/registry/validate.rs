//! Whether a value belongs to its collection, and what its key is.
//!
//! Compiled once per registered version and shared. Answers speak in pointers: where in the value, by which keyword,
//! where in the schema.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Write};

use jsonschema::{ValidationError, Validator};
use serde_json::{Number, Value};

use crate::model::producer::INTEGER_MAX;
use crate::model::{EntityKey, EntityType};

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
    /// The schema as registered.
    pub schema: Value,
    pub(super) validator: Validator,
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
const LISTED_NODES_MAX: usize = 10_000;

impl CompiledCollection {
    pub fn is_valid(&self, value: &Value) -> bool {
        self.validator.is_valid(value)
    }

    /// The first `faults_max` faults, at least one; empty where the value belongs to the collection.
    pub fn check(&self, value: &Value, faults_max: usize) -> Vec<ValueFault> {
        if self.validator.is_valid(value) {
            return Vec::new();
        }
        match exceeds_nodes(value, LISTED_NODES_MAX) {
            true => self.validator.validate(value).err().map(ValueFault::from).into_iter().collect(),
            false => self.validator.iter_errors(value).take(faults_max.max(1)).map(ValueFault::from).collect(),
        }
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
