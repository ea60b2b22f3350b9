//! Generated Rust: what is compiled here is what the generator writes, and it gives back every value that it was given.
//!
//! The modules below are written by `just generate`; one that the generator would write differently fails the test that
//! compares it. Those of the JSON Schema Test Suite are read with every instance that their schema admits.

use keyfold::codegen;
use keyfold::registry::{CompiledCollection, Document, DocumentLimits};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::drift::{holds, path_of};
use super::schema_suite::{self, DRAFTS, Group};

#[rustfmt::skip]
#[expect(dead_code, reason = "values go through it whole")]
mod auth;
#[rustfmt::skip]
#[expect(dead_code, reason = "values go through it whole")]
mod sagas;
#[rustfmt::skip]
#[expect(dead_code, reason = "values go through it whole")]
mod sessions;
#[rustfmt::skip]
#[expect(dead_code, reason = "values go through it whole")]
mod shapes;
#[rustfmt::skip]
#[expect(dead_code, reason = "values go through it whole")]
mod suite;
#[rustfmt::skip]
#[expect(dead_code, reason = "values go through it whole")]
mod triggers;
#[rustfmt::skip]
#[expect(dead_code, reason = "values go through it whole")]
mod workers;

const DOCUMENTS: [(&str, &str); 6] = [
    ("auth", "schemas/documents/auth.json"),
    ("sagas", "schemas/documents/sagas.json"),
    ("sessions", "schemas/documents/sessions.json"),
    ("shapes", "tests/it/codegen/shapes.json"),
    ("triggers", "schemas/documents/triggers.json"),
    ("workers", "schemas/documents/workers.json"),
];

/// Files of the suite whose schemas are compiled here: those that shape types.
const SUITE: [&str; 19] = [
    "additionalProperties",
    "allOf",
    "anchor",
    "anyOf",
    "const",
    "dynamicRef",
    "enum",
    "infinite-loop-detection",
    "items",
    "oneOf",
    "optional/id",
    "patternProperties",
    "prefixItems",
    "properties",
    "ref",
    "required",
    "type",
    "unevaluatedItems",
    "unevaluatedProperties",
];

fn document(value: &Value) -> Document {
    Document::parse(value, &DocumentLimits::default()).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn read(path: &str) -> Document {
    document(&serde_json::from_slice(&std::fs::read(path_of(path)).unwrap()).unwrap())
}

/// The suite's groups of 2020-12 whose schema is sound, by their collection, and the document of them all.
fn suite() -> (Vec<(String, Group)>, Document) {
    let (draft, dialect, id) = DRAFTS[4];
    let (mut groups, mut collections) = (Vec::new(), Map::new());
    for group in schema_suite::groups(draft).into_iter().filter(|group| SUITE.contains(&group.file.as_str())) {
        let name = format!("c{}", groups.len());
        let collection = schema_suite::collection(&name, &group, dialect, id);
        let alone = json!({"collections": {"c": collection}});
        if Document::parse(&alone, &DocumentLimits::default()).is_ok() {
            collections.insert(name.clone(), collection);
            groups.push((name, group));
        }
    }
    let all = json!({ "collections": collections });
    let limits = DocumentLimits { bytes_max: usize::MAX, ..DocumentLimits::default() };
    (groups, Document::parse(&all, &limits).unwrap_or_else(|faults| panic!("{faults:?}")))
}

#[test]
fn what_is_compiled_is_what_is_generated() {
    for (name, path) in DOCUMENTS {
        let generated = codegen::rust(&read(path), path);
        holds(&format!("tests/it/codegen/{name}.rs"), &generated.code);
    }
    let (groups, document) = suite();
    let mut code = codegen::rust(&document, "the JSON Schema Test Suite").code;
    code.push_str("\n/// Reads a value of a collection and writes it again.\n");
    code.push_str("pub fn again(collection: &str, text: &str) -> Result<serde_json::Value, serde_json::Error> {\n");
    code.push_str("    match collection {\n");
    for (name, _) in &groups {
        let entity = name.replace('c', "C");
        code.push_str(&format!(
            "        {name:?} => serde_json::to_value(serde_json::from_str::<{entity}>(text)?),\n"
        ));
    }
    code.push_str("        _ => panic!(\"no collection {collection}\"),\n    }\n}\n");
    holds("tests/it/codegen/suite.rs", &code);
}

/// Equality of JSON: numbers by value.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

/// Reads a value that its schema admits, and writes it again.
fn keeps<T: Serialize + DeserializeOwned>(collection: &CompiledCollection, value: &Value) {
    assert_eq!(collection.check(value, 5), [], "{value}");
    let read: T = serde_json::from_value(value.clone()).unwrap_or_else(|fault| panic!("{fault}: {value}"));
    let written = serde_json::to_value(&read).unwrap();
    assert!(same(value, &written), "{value} became {written}");
}

fn refuses<T: DeserializeOwned>(value: &Value) {
    assert!(serde_json::from_value::<T>(value.clone()).is_err(), "{value}");
}

fn with(base: &Value, members: Value) -> Value {
    let mut value = base.clone();
    value.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    value
}

#[test]
fn entities_come_back_as_they_were() {
    let document = read("schemas/documents/workers.json");
    let execution = document.compiled().collection(workers::Execution::TYPE).unwrap();
    assert_eq!(execution.primary_key, workers::Execution::PRIMARY_KEY);
    let least = json!({"id": "00000000-0000-4000-8000-000000000001", "jobId": "j", "status": "running"});
    for members in [
        json!({}),
        json!({"exitCode": null, "error": "no space", "duration": 1.5, "attempt": 3, "result": {"deep": [1, {}]}}),
        json!({"result": null, "concept": "task", "undeclared": {"kept": [true, null]}}),
    ] {
        keeps::<workers::Execution>(execution, &with(&least, members));
    }
    refuses::<workers::Execution>(&with(&least, json!({"status": "exploded"})));
    refuses::<workers::Execution>(&json!({"id": "x", "status": "running"}));

    let document = read("schemas/documents/auth.json");
    let session = document.compiled().collection(auth::AuthSession::TYPE).unwrap();
    let least = json!({"id": "a", "userId": "u", "state": "active", "subject": "s", "scopes": ["read"], "roles": [],
                       "issuedAt": "2026-01-02T03:04:05Z", "expiresAt": "2026-01-02T03:04:05Z"});
    keeps::<auth::AuthSession>(session, &with(&least, json!({"claims": {"sub": {"deep": null}}})));

    let document = read("schemas/documents/sagas.json");
    let saga = document.compiled().collection(sagas::SagaInstance::TYPE).unwrap();
    let least = json!({"instanceId": "i", "sagaId": "s", "correlationKey": "k", "status": "running", "state": {"a": [1]},
                       "version": 3, "messageCount": 0, "startedAt": "2026-01-02T03:04:05Z",
                       "updatedAt": "2026-01-02T03:04:05Z"});
    keeps::<sagas::SagaInstance>(saga, &least);
    refuses::<sagas::SagaInstance>(&with(&least, json!({"version": -1})));

    let document = read("schemas/documents/triggers.json");
    let trigger = document.compiled().collection(triggers::TriggerEvent::TYPE).unwrap();
    let least = json!({"eventId": "e", "triggerId": "t", "kind": "k", "status": "in-flight", "detectedAt": "",
                       "updatedAt": ""});
    for payload in [json!(null), json!("text"), json!([1, {"a": null}]), json!(0.5)] {
        keeps::<triggers::TriggerEvent>(trigger, &with(&least, json!({ "payload": payload })));
    }

    let document = read("schemas/documents/sessions.json");
    let session = document.compiled().collection(sessions::Sessions::TYPE).unwrap();
    let least = json!({
        "sessionId": "s", "cwd": "/", "gitBranch": null, "gitRepoUrl": null, "gitRepoId": "r", "originalPrompt": "",
        "status": "idle", "lastActivityAt": "", "messageCount": 3, "hasPendingToolUse": false, "pendingTool": null,
        "goal": "", "summary": "", "recentOutput": [{"role": "user", "content": "Grüße 🦀"}, {}], "pr": null,
    });
    let pr = json!({"number": 7, "ciChecks": [{"name": "build", "status": "success", "url": null}], "extra": 1});
    keeps::<sessions::Sessions>(session, &least);
    keeps::<sessions::Sessions>(session, &with(&least, json!({ "pr": pr, "source": "droid" })));
}

#[test]
fn a_member_that_is_null_is_told_from_one_that_is_not_there() {
    let drawing = json!({"id": 1, "kind": "drawing", "note": null, "origin": [0.5, 1], "owner": {"name": "A"},
                         "root": {"name": "r"}});
    let document = read("tests/it/codegen/shapes.json");
    let shape = document.compiled().collection(shapes::ShapeFile::TYPE).unwrap();
    for members in [
        json!({}),
        json!({"2d": null, "mixed": null, "anything": null, "note": "n"}),
        json!({"a-b": 1.5, "a_b": 2, "": "e", "日本": "n", "self": true, "type": "t", "level": 2, "mixed": "one"}),
        json!({"owner": {"name": "A", "role": "in flight", "since": 1}}),
        json!({"limits": {"most": 3}, "path": ["a", 1, 2], "tree": [[], [[]]]}),
        json!({"root": {"name": "r", "next": {"name": "n", "twin": null}, "children": [{"name": "c"}], "other": "o"}}),
        json!({"scale": 3}),
        json!({"scale": "big"}),
        json!({"scale": [{"name": "n"}]}),
        json!({"event": {"event": "opened", "by": {"name": "A"}}}),
        json!({"event": {"event": "closed", "why": null, "more": 1}}),
        json!({"event": {"event": "moved", "to": {"name": "n"}}}),
    ] {
        keeps::<shapes::ShapeFile>(shape, &with(&drawing, members));
    }
    for members in [
        json!({"undeclared": 1}),
        json!({"event": {"event": "exploded"}}),
        json!({"event": {"event": "opened", "by": {"name": "A"}, "more": 1}}),
        json!({"type": null}),
        json!({"owner": {"name": "A", "role": "boss"}}),
    ] {
        refuses::<shapes::ShapeFile>(&with(&drawing, members));
    }
    let mut without_note = drawing.clone();
    without_note.as_object_mut().unwrap().remove("note");
    refuses::<shapes::ShapeFile>(&without_note);
    keeps::<shapes::Vec2>(document.compiled().collection("either").unwrap(), &json!({"id": 3, "left": null}));
}

#[test]
fn instances_of_the_json_schema_test_suite_come_back_as_they_were() {
    let (groups, _) = suite();
    let (mut kept, mut refused) = (0, Vec::new());
    for (name, group) in &groups {
        for case in group.tests.iter().filter(|case| case.valid) {
            let text = format!(r#"{{"id":"k","v":{}}}"#, case.data.get());
            match suite::again(name, &text) {
                Ok(written) => {
                    let given: Value = serde_json::from_str(&text).unwrap();
                    assert!(same(&given, &written), "{} {text} became {written}", group.file);
                    kept += 1;
                }
                Err(_) => refused.push(case.data.get()),
            }
        }
    }
    // An integer that is written with a fraction is the one thing that these types do not read.
    assert!(refused.iter().all(|text| text.ends_with(".0")), "{refused:?}");
    assert_eq!(refused.len(), 6, "{refused:?}");
    assert!(kept > 300, "{kept}");
}
