//! What becomes of documents as they change: each way of changing one, under each content model.

use keyfold::registry::compat::{Bounds, Containment, ContentModel, Mode, Report, check_documents, contained};
use keyfold::registry::{Document, DocumentLimits};
use serde_json::{Value, json};

fn document(collections: Value) -> Document {
    Document::parse(&json!({"collections": collections}), &DocumentLimits::default()).unwrap()
}

/// A document of one collection with these members beside its key.
fn members(properties: Value, required: &[&str]) -> Document {
    document(json!({"orders": collection("order", "id", properties, required)}))
}

fn collection(entity_type: &str, key: &str, mut properties: Value, required: &[&str]) -> Value {
    properties[key] = json!({"type": "string"});
    let required: Vec<&str> = required.iter().copied().chain([key]).collect();
    let schema = json!({"type": "object", "properties": properties, "required": required});
    json!({"type": entity_type, "primaryKey": key, "schema": schema})
}

fn check(old: &Document, new: &Document, mode: Mode, model: ContentModel) -> Report {
    check_documents(new, &[(1, old)], mode, model, &Bounds::default())
}

fn kinds(report: &Report) -> Vec<&'static str> {
    report.violations.iter().map(|violation| violation.kind).collect()
}

#[test]
fn an_optional_member_just_works() {
    let old = members(json!({"a": {"type": "integer"}}), &[]);
    let new = members(json!({"a": {"type": "integer"}, "b": {"type": "string"}}), &[]);
    let told = |mode, model| kinds(&check(&old, &new, mode, model));
    assert!(told(Mode::Full, ContentModel::OptionalFriendly).is_empty());
    assert!(told(Mode::Backward, ContentModel::Closed).is_empty());
    assert_eq!(told(Mode::Forward, ContentModel::Closed), ["property_removed"]);
    assert_eq!(told(Mode::Backward, ContentModel::Open), ["type_narrowed"]);
    assert!(told(Mode::Forward, ContentModel::Open).is_empty());
    // And the other way around: taking it away again.
    let told = |mode, model| kinds(&check(&new, &old, mode, model));
    assert!(told(Mode::Full, ContentModel::OptionalFriendly).is_empty());
    assert_eq!(told(Mode::Backward, ContentModel::Closed), ["property_removed"]);
}

#[test]
fn each_difference_is_told_with_an_instance_of_its_own() {
    let old = members(json!({"a": {"type": "integer"}, "b": {"enum": ["x", "y"]}, "c": {"maxLength": 9}}), &[]);
    let new = members(json!({"a": {"type": "string"}, "b": {"enum": ["x"]}, "c": {"maxLength": 5}}), &["a"]);
    let report = check(&old, &new, Mode::Backward, ContentModel::OptionalFriendly);
    let mut kinds = kinds(&report);
    kinds.sort_unstable();
    assert_eq!(kinds, ["enum_narrowed", "max_length_lowered", "required_added", "type_narrowed"]);
    for violation in &report.violations {
        let value = violation.counterexample.as_ref().unwrap();
        assert!(old.compiled().collection("order").unwrap().is_valid(value), "{value}");
        assert!(!new.compiled().collection("order").unwrap().is_valid(value), "{value}");
        assert!((violation.version, violation.backward, &*violation.collection) == (1, true, "orders"));
    }
    let paths: Vec<_> = report.violations.iter().map(|violation| violation.path.as_str()).collect();
    assert!(paths.contains(&"/properties/b/enum") && paths.contains(&"/required"), "{paths:?}");
}

#[test]
fn branches_are_closed_each_for_itself() {
    let branch = |kind: &str, more: Value| {
        let mut branch = json!({"properties": {"kind": {"const": kind}}, "required": ["kind"]});
        branch["properties"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        branch
    };
    let union = |of_a: Value| json!({"type": "object", "oneOf": [branch("a", of_a), branch("b", json!({"y": {"type": "string"}}))]});
    let old = union(json!({"x": {"type": "integer"}}));
    let new = union(json!({"x": {"type": "integer"}, "y": {"type": "integer"}}));
    let verdict = |model| contained(&old, &new, model, &Bounds::default());
    assert_eq!(verdict(ContentModel::OptionalFriendly), Containment::Contained);
    assert_eq!(verdict(ContentModel::Closed), Containment::Contained);
    assert!(matches!(verdict(ContentModel::Open), Containment::Refuted(_)));
}

#[test]
fn a_map_stays_open() {
    let (old, new) = (json!({"type": "object"}), json!({"type": "object", "properties": {"a": {"type": "string"}}}));
    for model in ContentModel::ALL {
        assert!(matches!(contained(&old, &new, *model, &Bounds::default()), Containment::Refuted(_)), "{model:?}");
    }
}

#[test]
fn collections_come_and_go() {
    let one =
        |name: &str, entity_type: &str, key: &str| (name.to_owned(), collection(entity_type, key, json!({}), &[]));
    let document = |list: &[(String, Value)]| document(Value::Object(list.iter().cloned().collect()));
    let old = document(&[one("orders", "order", "id"), one("users", "user", "id")]);
    let fewer = document(&[one("orders", "order", "id")]);
    let friendly = ContentModel::OptionalFriendly;
    let report = check(&old, &fewer, Mode::Full, friendly);
    assert_eq!(kinds(&report), ["collection_removed"]);
    assert!(report.violations[0].counterexample.as_ref().is_some_and(Value::is_object));
    assert!(check(&fewer, &old, Mode::Full, friendly).compatible);
    assert_eq!(kinds(&check(&fewer, &old, Mode::Forward, ContentModel::Closed)), ["collection_added"]);
    let renamed = document(&[one("orders", "purchase", "id"), one("users", "user", "id")]);
    assert_eq!(kinds(&check(&old, &renamed, Mode::Backward, friendly)), ["type_renamed"]);
    let rekeyed = document(&[one("orders", "order", "id"), one("users", "user", "name")]);
    assert!(kinds(&check(&old, &rekeyed, Mode::Backward, friendly)).contains(&"primary_key_changed"));
    let moved = document(&[one("all_orders", "order", "id"), one("users", "user", "id")]);
    assert!(check(&old, &moved, Mode::Full, friendly).compatible);
}

#[test]
fn modes_say_which_versions_count() {
    let number = |kind: &str| members(json!({"a": {"type": kind}}), &[]);
    let (first, second, third) = (number("number"), number("integer"), number("integer"));
    let third_and_more = members(json!({"a": {"type": "integer"}, "b": {}}), &[]);
    assert_eq!(second.fingerprint(), third.fingerprint());
    let earlier = [(1, &first), (2, &second)];
    let told = |mode| check_documents(&third_and_more, &earlier, mode, ContentModel::default(), &Bounds::default());
    for mode in [Mode::None, Mode::Backward, Mode::Forward, Mode::Full, Mode::ForwardTransitive] {
        assert!(told(mode).compatible, "{mode:?}");
    }
    for mode in [Mode::BackwardTransitive, Mode::FullTransitive] {
        let report = told(mode);
        assert!(!report.compatible && report.violations[0].version == 1, "{mode:?}");
    }
    Mode::ALL.iter().for_each(|mode| assert_eq!(Mode::parse(mode.as_str()), Some(*mode)));
    ContentModel::ALL.iter().for_each(|model| assert_eq!(ContentModel::parse(model.as_str()), Some(*model)));
}

#[test]
fn only_what_has_a_key_is_a_value() {
    let loose = |extra: Value| {
        let mut schema = json!({"properties": {"id": {"type": "string"}}, "required": ["id"]});
        schema.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        document(json!({"orders": {"type": "order", "primaryKey": "id", "schema": schema}}))
    };
    // The second refuses texts, which no entity is.
    let (old, new) = (loose(json!({})), loose(json!({"type": "object"})));
    assert!(check(&old, &new, Mode::Full, ContentModel::Open).compatible);
}

#[test]
fn recursion_is_decided() {
    let tree = |leaf: Value, more: Value| {
        let mut node = json!({"type": "object", "required": ["v"], "properties": {
            "v": leaf, "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}}});
        node["properties"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"$ref": "#/$defs/node", "$defs": {"node": node}})
    };
    let decide =
        |inner: &Value, outer: &Value| contained(inner, outer, ContentModel::OptionalFriendly, &Bounds::default());
    let (narrow, wide) =
        (tree(json!({"type": "integer"}), json!({})), tree(json!({"type": "number"}), json!({"w": {}})));
    assert_eq!(decide(&narrow, &wide), Containment::Contained);
    assert!(matches!(decide(&wide, &narrow), Containment::Refuted(_)));
    // Two ways of writing the same list, and a list that never ends and so has no instance at all.
    let list = json!({"anyOf": [{"type": "null"}, {"type": "object", "required": ["next"], "properties": {"next": {"$ref": "#"}}}]});
    let unrolled = json!({"$defs": {"list": list_of("#/$defs/list")}, "anyOf": list_of("#/$defs/list")["anyOf"]});
    assert_eq!(decide(&list, &unrolled), Containment::Contained);
    assert_eq!(decide(&unrolled, &list), Containment::Contained);
    let endless = json!({"type": "object", "required": ["next"], "properties": {"next": {"$ref": "#"}}});
    assert_eq!(decide(&endless, &json!(false)), Containment::Contained);
}

fn list_of(reference: &str) -> Value {
    json!({"anyOf": [{"type": "null"}, {"type": "object", "required": ["next"], "properties": {"next": {"$ref": reference}}}]})
}
