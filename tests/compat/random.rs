//! Schemas and instances at random, small enough to meet each other.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

const NAMES: &[&str] = &["a", "b", "ab", "c1"];
const PATTERNS: &[&str] = &["^a", "b$", "^[a-c]+$", "1", "^.$", "^a?b*$"];

/// Values that schemas speak of and instances are made of.
pub fn scalar() -> impl Strategy<Value = Value> {
    let scalars = [
        json!(null),
        json!(true),
        json!(false),
        json!(-1),
        json!(0),
        json!(1),
        json!(1.0),
        json!(1.5),
        json!(2),
        json!(3),
        json!(6),
        json!(""),
        json!("a"),
        json!("b"),
        json!("ab"),
        json!("abc"),
        json!("c1"),
        json!("2024-02-29"),
    ];
    select(scalars.to_vec())
}

pub fn instance() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(3, 16, 4, |inner| {
        let members = prop::collection::vec((select(NAMES), inner.clone()), 0..4);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            members.prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

/// A schema with the definitions `d` and `e`, which may refer to each other and themselves.
pub fn schema() -> impl Strategy<Value = Value> {
    (subschema(), subschema(), subschema())
        .prop_map(|(root, d, e)| json!({"$defs": {"d": guarded(d), "e": guarded(e)}, "allOf": [root]}))
}

/// A definition that reaches itself only through members and items.
fn guarded(schema: Value) -> Value {
    json!({"properties": {"a": schema.clone()}, "items": schema})
}

fn subschema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => keyword_of_scalars().prop_map(|(name, value)| json!({name: value})),
        1 => any::<bool>().prop_map(Value::from),
        1 => select(vec![json!({"$ref": "#/$defs/d"}), json!({"$ref": "#/$defs/e"}), json!({"$ref": "#"})])
            .prop_map(|reference| json!({"properties": {"a": reference}})),
        1 => select(vec![json!({"$ref": "#/$defs/d"}), json!({"$ref": "#/$defs/e"})]),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop::collection::vec(prop_oneof![2 => keyword_of_scalars().boxed(), 3 => keyword_of(inner).boxed()], 1..4)
            .prop_map(|keywords| Value::Object(keywords.into_iter().collect::<Map<_, _>>()))
    })
}

fn keyword_of_scalars() -> impl Strategy<Value = (String, Value)> {
    let kinds = select(vec!["null", "boolean", "integer", "number", "string", "array", "object"]);
    let kind = prop::collection::btree_set(kinds, 1..4).prop_map(|kinds| json!(kinds));
    let names = prop::collection::btree_set(select(NAMES), 0..3);
    prop_oneof![
        4 => kind.prop_map(|kinds| ("type".to_owned(), kinds)),
        2 => prop::collection::vec(instance(), 1..4).prop_map(|values| ("enum".to_owned(), json!(values))),
        1 => instance().prop_map(|value| ("const".to_owned(), value)),
        2 => (select(vec!["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]), select(vec![json!(0), json!(1), json!(1.5), json!(3)]))
            .prop_map(|(name, value)| (name.to_owned(), value)),
        1 => select(vec![json!(2), json!(3), json!(0.5), json!(1.5)]).prop_map(|value| ("multipleOf".to_owned(), value)),
        3 => (select(vec!["minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"]), 0..4u64)
            .prop_map(|(name, count)| (name.to_owned(), json!(count))),
        2 => select(PATTERNS).prop_map(|pattern| ("pattern".to_owned(), json!(pattern))),
        1 => Just(("format".to_owned(), json!("date"))),
        1 => any::<bool>().prop_map(|unique| ("uniqueItems".to_owned(), json!(unique))),
        2 => names.clone().prop_map(|names| ("required".to_owned(), json!(names))),
        1 => (select(NAMES), names).prop_map(|(name, names)| ("dependentRequired".to_owned(), json!({name: names}))),
        1 => (select(vec!["minContains", "maxContains"]), 0..3u64).prop_map(|(name, count)| (name.to_owned(), json!(count))),
    ]
}

fn keyword_of(inner: impl Strategy<Value = Value> + Clone + 'static) -> impl Strategy<Value = (String, Value)> {
    let list = prop::collection::vec(inner.clone(), 1..4);
    let map = |keys: &'static [&'static str]| prop::collection::btree_map(select(keys), inner.clone(), 1..3);
    let single = select(vec![
        "items",
        "contains",
        "additionalProperties",
        "propertyNames",
        "not",
        "if",
        "then",
        "else",
        "unevaluatedProperties",
        "unevaluatedItems",
    ]);
    prop_oneof![
        2 => (select(vec!["allOf", "anyOf", "oneOf", "prefixItems"]), list).prop_map(|(name, list)| (name.to_owned(), json!(list))),
        3 => map(NAMES).prop_map(|map| ("properties".to_owned(), json!(map))),
        1 => map(PATTERNS).prop_map(|map| ("patternProperties".to_owned(), json!(map))),
        1 => map(NAMES).prop_map(|map| ("dependentSchemas".to_owned(), json!(map))),
        4 => (single, inner.clone()).prop_map(|(name, value)| (name.to_owned(), value)),
    ]
}
