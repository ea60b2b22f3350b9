//! Rust types as collections: their name, their key, and the document that registers their shape.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// A type whose values are entities of one collection.
pub trait Entity: Serialize + JsonSchema {
    /// The wire `type`, for example `execution`.
    const TYPE: &str;
    /// The field that holds the key, as it is serialised.
    const PRIMARY_KEY: &str;
    /// A field that only grows; older versions than the stored one are dropped by the server.
    const VERSION_FIELD: Option<&str> = None;

    /// The value of the primary key. An integer key is its decimal digits.
    fn key(&self) -> String;
}

/// The document of a subject with one collection.
pub fn document_of<T: Entity>(collection: &str) -> Value {
    Document::new().collection::<T>(collection).into_json()
}

/// A registry document under construction: one or more collections.
#[derive(Clone, Debug, Default)]
pub struct Document {
    collections: Map<String, Value>,
}

impl Document {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the collection of a type; a collection of the same name is replaced.
    ///
    /// The schema is JSON Schema 2020-12 of what the type *accepts*: a field that may be absent when read is not
    /// required, so a version that adds one stays compatible.
    pub fn collection<T: Entity>(mut self, name: &str) -> Self {
        let schema = SchemaGenerator::new(SchemaSettings::draft2020_12()).into_root_schema_for::<T>();
        let mut collection = json!({"type": T::TYPE, "primaryKey": T::PRIMARY_KEY, "schema": schema});
        if let Some(field) = T::VERSION_FIELD {
            collection["versionField"] = field.into();
        }
        self.collections.insert(name.to_owned(), collection);
        self
    }

    pub fn into_json(self) -> Value {
        json!({"collections": self.collections})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, JsonSchema)]
    #[serde(rename_all = "camelCase")]
    struct Saga {
        instance_id: String,
        version: u64,
        step: Option<Step>,
    }

    #[derive(Serialize, JsonSchema)]
    struct Step {
        name: String,
    }

    impl Entity for Saga {
        const TYPE: &str = "saga-instance";
        const PRIMARY_KEY: &str = "instanceId";
        const VERSION_FIELD: Option<&str> = Some("version");

        fn key(&self) -> String {
            self.instance_id.clone()
        }
    }

    #[test]
    fn a_type_becomes_a_registry_document() {
        let document = document_of::<Saga>("sagas");
        let saga = &document["collections"]["sagas"];
        assert_eq!((&saga["type"], &saga["primaryKey"]), (&json!("saga-instance"), &json!("instanceId")));
        assert_eq!(saga["versionField"], "version");
        assert_eq!(saga["schema"]["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(saga["schema"]["required"], json!(["instanceId", "version"]));
    }

    #[test]
    fn the_schema_accepts_what_the_type_serialises() {
        let document = document_of::<Saga>("sagas");
        let validator = jsonschema::validator_for(&document["collections"]["sagas"]["schema"]).unwrap();
        let saga = Saga { instance_id: "s".into(), version: 1, step: Some(Step { name: "pay".into() }) };
        assert!(validator.is_valid(&serde_json::to_value(&saga).unwrap()));
        assert!(!validator.is_valid(&json!({"instanceId": "s"})));
    }
}
