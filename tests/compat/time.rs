//! What the checks cost. Times are printed and not asserted: they are the machine's. Steps are ours.

use std::time::Instant;

use keyfold::registry::compat::{Bounds, Containment, ContentModel, contained};
use serde_json::{Map, Value, json};

/// A schema of so many properties, of the kinds that people write; those of later `version`s have more.
fn wide(properties: usize, version: usize) -> Value {
    let kind = |index: usize| match index % 8 {
        0 => json!({"type": "string", "minLength": 1, "maxLength": 200}),
        1 => json!({"type": "integer", "minimum": 0, "maximum": 1000 + version}),
        2 => json!({"enum": ["a", "b", "c", "d"]}),
        3 => json!({"type": "array", "items": {"$ref": "#/$defs/item"}, "maxItems": 50, "uniqueItems": true}),
        4 => {
            json!({"type": "object", "properties": {"x": {"type": "number"}, "y": {"$ref": "#/$defs/item"}}, "required": ["x"]})
        }
        5 => json!({"type": "string", "pattern": "^[A-Z]{2}-[0-9]{4}$"}),
        6 => json!({"anyOf": [{"type": "null"}, {"type": "string", "format": "date-time"}]}),
        _ => json!({"oneOf": [
            {"properties": {"kind": {"const": "a"}, "n": {"type": "integer"}}, "required": ["kind"], "type": "object"},
            {"properties": {"kind": {"const": "b"}, "s": {"type": "string"}}, "required": ["kind"], "type": "object"},
        ]}),
    };
    let members: Map<String, Value> = (0..properties).map(|index| (format!("p{index}"), kind(index))).collect();
    let required: Vec<String> = (0..properties).step_by(5).map(|index| format!("p{index}")).collect();
    json!({
        "type": "object",
        "properties": members,
        "required": required,
        "$defs": {"item": {"type": "object", "properties": {
            "id": {"type": "string"}, "next": {"$ref": "#/$defs/item"}, "v": {"type": "integer", "maximum": 10 + version},
        }, "required": ["id"]}},
    })
}

/// Choices that multiply, members by patterns, counted arrays: whatever makes for much work.
fn nasty() -> Vec<(&'static str, Value, Value)> {
    let unions = |from: u64| {
        let branch = |index: u64| json!({"properties": {format!("p{}", index % 7): {"minimum": index + from}}, "required": [format!("p{}", index % 5)]});
        let list = |offset: u64| json!({"anyOf": (0..12).map(|index| branch(index + offset)).collect::<Vec<_>>()});
        json!({"allOf": (0..40).map(list).collect::<Vec<_>>()})
    };
    let patterns = |extra: &str| {
        let map: Map<String, Value> = (0..60)
            .map(|index| {
                (format!("^[a-z]*{index}[a-z]{{0,20}}{extra}$"), json!({"type": "string", "minLength": index}))
            })
            .collect();
        json!({"type": "object", "patternProperties": map, "additionalProperties": false, "minProperties": 3})
    };
    let counted = |least: u64| {
        json!({"type": "array", "minItems": 20, "uniqueItems": true, "contains": {"minimum": 3},
        "minContains": least, "maxContains": 15, "items": {"type": "integer", "minimum": 0, "maximum": 25}})
    };
    let large = |last: &str| json!({"enum": (0..20_000).map(|n| format!("value-{n}")).chain([last.to_owned()]).collect::<Vec<_>>()});
    let text = |pattern: &str| json!({"type": "string", "pattern": pattern, "minLength": 500});
    let one_of = |from: u64| {
        json!({"oneOf": (0..120).map(|index| json!({"type": "object",
        "properties": {format!("a{index}"): {"minimum": from}, "b": {"multipleOf": index + 1}}})).collect::<Vec<_>>()})
    };
    vec![
        ("4,000 properties", wide(4_000, 1), wide(4_000, 0)),
        ("40 unions of 12", unions(0), unions(1)),
        ("60 patterns of names", patterns(""), patterns("x?")),
        ("counted arrays", counted(4), counted(5)),
        ("lists of 20,000 values", large("x"), large("y")),
        ("long texts", text("^([a-z]{3,9}[0-9]{2,7})+$"), text("^([a-z]{2,10}[0-9]{1,8})+[a-f]?$")),
        ("oneOf of 120", one_of(0), one_of(1)),
    ]
}

fn shown(verdict: &Containment) -> String {
    match verdict {
        Containment::Contained => "contained".to_owned(),
        Containment::Refuted(refutation) => format!("refuted, {} differences", refutation.differences.len()),
        Containment::Undecided { reason, .. } => format!("undecided: {reason}"),
    }
}

#[test]
fn two_hundred_properties_take_few_steps() {
    for model in ContentModel::ALL {
        for (inner, outer, contains) in [(0, 1, true), (1, 0, false)] {
            let began = Instant::now();
            let bounds = Bounds { steps: 60_000, ..Bounds::default() };
            let verdict = contained(&wide(200, inner), &wide(200, outer), *model, &bounds);
            println!("200 properties, {}: {} in {:?}", model.as_str(), shown(&verdict), began.elapsed());
            match contains {
                true => assert_eq!(verdict, Containment::Contained),
                false => assert!(matches!(verdict, Containment::Refuted(_)), "{}", shown(&verdict)),
            }
        }
    }
}

#[test]
fn whatever_the_schemas_the_check_ends() {
    for (name, inner, outer) in nasty() {
        for model in [ContentModel::Open, ContentModel::OptionalFriendly] {
            let began = Instant::now();
            let verdict = contained(&inner, &outer, model, &Bounds::default());
            println!("{name}, {}: {} in {:?}", model.as_str(), shown(&verdict), began.elapsed());
        }
    }
}
