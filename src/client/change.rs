//! One change as it travels: the State Protocol's JSON.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::{ClientError, Entity};
use crate::model::Operation;

/// A write of one entity, sent or received. Source: STATE-PROTOCOL.md §5.1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    #[serde(rename = "type")]
    pub entity_type: String,
    pub key: String,
    /// The whole entity; absent on a delete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    pub headers: Headers,
}

/// What a change says about itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Headers {
    #[serde(serialize_with = "operation_text", deserialize_with = "operation_from_text")]
    pub operation: Operation,
    /// `timestamp`, `txid`, `correlationId`, `traceparent` and whatever else the writer sent.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl Change {
    /// The entity now has this value, whether it existed or not.
    pub fn upsert(entity_type: &str, key: &str, value: Value) -> Self {
        Self::new(entity_type, key, Operation::Upsert, Some(value))
    }

    /// The entity is gone.
    pub fn delete(entity_type: &str, key: &str) -> Self {
        Self::new(entity_type, key, Operation::Delete, None)
    }

    /// An upsert of a typed entity. Fails where the entity cannot be written as JSON.
    pub fn of<T: Entity>(entity: &T) -> Result<Self, ClientError> {
        let key = entity.key();
        match serde_json::to_value(entity) {
            Ok(value) => Ok(Self::upsert(T::TYPE, &key, value)),
            Err(cause) => Err(ClientError::Entity { entity_type: T::TYPE.into(), key, detail: cause.to_string() }),
        }
    }

    /// Adds a header, for example `txid` or `traceparent`.
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.headers.more.insert(name.to_owned(), value.into());
        self
    }

    pub fn is_delete(&self) -> bool {
        self.headers.operation == Operation::Delete
    }

    fn new(entity_type: &str, key: &str, operation: Operation, value: Option<Value>) -> Self {
        let headers = Headers { operation, more: Map::new() };
        Self { entity_type: entity_type.to_owned(), key: key.to_owned(), value, headers }
    }
}

fn operation_text<S: Serializer>(operation: &Operation, target: S) -> Result<S::Ok, S::Error> {
    target.serialize_str(operation.as_str())
}

fn operation_from_text<'de, D: Deserializer<'de>>(source: D) -> Result<Operation, D::Error> {
    let text = String::deserialize(source)?;
    Operation::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("{text:?} is not an operation")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn changes_have_the_state_protocols_form() {
        let upsert = Change::upsert("job", "a", json!({"id": "a"})).header("txid", "t1");
        let wire = json!({"type":"job","key":"a","value":{"id":"a"},"headers":{"operation":"upsert","txid":"t1"}});
        assert_eq!(serde_json::to_value(&upsert).unwrap(), wire);
        assert_eq!(serde_json::from_value::<Change>(wire).unwrap(), upsert);
    }

    #[test]
    fn a_delete_owns_no_value() {
        let wire = serde_json::to_value(Change::delete("job", "a")).unwrap();
        assert_eq!(wire, json!({"type":"job","key":"a","headers":{"operation":"delete"}}));
    }

    #[test]
    fn an_unknown_operation_is_not_a_change() {
        let wire = json!({"type":"job","key":"a","headers":{"operation":"merge"}});
        assert!(serde_json::from_value::<Change>(wire).is_err());
    }
}
