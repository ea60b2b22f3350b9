//! The Confluent API: what its clients rely on, said in its own words. The real client is run by `tests/confluent`.

use serde_json::{Value, json};

use super::{World, document, widened};

fn schema(value: &Value) -> Value {
    json!({ "schemaType": "JSON", "schema": value.to_string() })
}

fn typed(kind: &str) -> Value {
    json!({ "type": "object", "properties": { "n": { "type": kind } } })
}

#[tokio::test]
async fn a_plain_schema_is_registered_found_and_read_back() {
    let world = World::new();
    let registered = world.ask("POST", "/subjects/a-value/versions", schema(&typed("integer")), 200).await;
    assert_eq!(registered.header("content-type"), "application/vnd.schemaregistry.v1+json");
    assert_eq!((&registered.json()["id"], &registered.json()["version"]), (&json!(1), &json!(1)));
    // Written in another way it is the same.
    let spaced = json!({ "schemaType": "JSON", "schema":
        "{ \"properties\": {\"n\": {\"type\":\"integer\"}}, \"type\": \"object\"}" });
    let found = world.ask("POST", "/subjects/a-value", spaced, 200).await.json();
    assert_eq!((&found["subject"], &found["id"], &found["version"]), (&json!("a-value"), &json!(1), &json!(1)));
    world.ask("POST", "/subjects/b-value/versions", schema(&typed("integer")), 200).await;
    for (path, expected) in [
        ("/subjects", json!(["a-value", "b-value"])),
        ("/subjects?subjectPrefix=b", json!(["b-value"])),
        ("/subjects?offset=1&limit=1", json!(["b-value"])),
        ("/subjects/a-value/versions", json!([1])),
        ("/schemas/types", json!(["JSON"])),
        ("/schemas/ids/1/subjects", json!(["a-value", "b-value"])),
        ("/schemas/ids/1/schema", typed("integer")),
        ("/subjects/a-value/versions/latest/schema", typed("integer")),
        (
            "/schemas/ids/1/versions",
            json!([{ "subject": "a-value", "version": 1 }, { "subject": "b-value", "version": 1 }]),
        ),
        ("/mode", json!({ "mode": "READWRITE" })),
        ("/contexts", json!(["."])),
        ("/v1/confluent/subjects/a-value/versions", json!([1])),
    ] {
        assert_eq!(world.ask("GET", path, Value::Null, 200).await.json(), expected, "{path}");
    }
    let by_id = world.ask("GET", "/schemas/ids/1?fetchMaxId=true", Value::Null, 200).await.json();
    assert_eq!((&by_id["schemaType"], &by_id["maxId"]), (&json!("JSON"), &json!(1)));
    assert_eq!(serde_json::from_str::<Value>(by_id["schema"].as_str().unwrap()).unwrap(), typed("integer"));
    assert_eq!(world.ask("GET", "/schemas", Value::Null, 200).await.json().as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn both_doors_lead_to_the_same_subjects() {
    let world = World::new();
    world.force("ours", widened(1)).await;
    let seen = world.ask("GET", "/subjects/ours/versions/1", Value::Null, 200).await.json();
    let text = seen["schema"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), widened(1));
    // What is read there can be registered there: it is there already.
    let again =
        world.ask("POST", "/subjects/ours/versions", json!({ "schemaType": "JSON", "schema": text }), 200).await;
    assert_eq!(again.json()["version"], 1);

    world.ask("POST", "/subjects/theirs/versions", schema(&typed("integer")), 200).await;
    let seen = world.ask("GET", "/v1/schemas/theirs/versions/1", Value::Null, 200).await.json();
    assert_eq!(seen["document"], json!({ "schema": typed("integer") }));

    // A schema that says its type and key is bound as any document of ours.
    let keyed = json!({ "title": "t", "x-primary-key": "id", "type": "object", "required": ["id"],
        "properties": { "id": { "type": "string" } } });
    world.ask("POST", "/subjects/keyed/versions", schema(&keyed), 200).await;
    world.bind("k", "k/**", "keyed").await;
    World::expect(&world.put("k/1", json!({ "id": "1" })).await, 200);
}

#[tokio::test]
async fn refusals_have_its_codes() {
    let world = World::new();
    world.ask("POST", "/subjects/s/versions", schema(&typed("integer")), 200).await;
    let missing = schema(&typed("string"));
    for (method, path, body, code) in [
        ("GET", "/subjects/none/versions", Value::Null, 40401),
        ("GET", "/subjects/none/versions/1", Value::Null, 40401),
        ("GET", "/subjects/s/versions/9", Value::Null, 40402),
        ("GET", "/subjects/s/versions/x", Value::Null, 42202),
        ("GET", "/subjects/s/versions/0", Value::Null, 42202),
        ("GET", "/schemas/ids/9", Value::Null, 40403),
        ("GET", "/config/s", Value::Null, 40408),
        ("GET", "/mode/s", Value::Null, 40409),
        ("POST", "/subjects/none", missing.clone(), 40401),
        ("POST", "/subjects/s", missing.clone(), 40403),
        ("POST", "/subjects/s/versions", json!({ "schemaType": "JSON", "schema": "{" }), 42201),
        ("POST", "/subjects/s/versions", json!({ "schemaType": "JSON", "schema": "{\"type\":1}" }), 42201),
        ("POST", "/subjects/s/versions", json!({ "schema": "\"string\"" }), 42201),
        ("POST", "/subjects/s/versions", json!({ "schemaType": "PROTOBUF", "schema": "{}" }), 42201),
        ("POST", "/subjects/s/versions", json!({ "schemaType": "JSON", "schema": "{}", "ruleSet": {} }), 42201),
        ("POST", "/subjects/s/versions", json!({ "schemaType": "JSON", "schema": "{}", "id": 7 }), 42205),
        ("POST", "/subjects/a%20b/versions", missing.clone(), 42208),
        ("POST", "/subjects/s/versions", json!({}), 422),
        ("PUT", "/config", json!({ "compatibility": "SIDEWAYS" }), 42203),
        ("PUT", "/mode", json!({ "mode": "READONLY" }), 42205),
        ("PUT", "/mode", json!({ "mode": "x" }), 42204),
        ("POST", "/subjects/s/versions", missing, 409),
        ("DELETE", "/subjects/s?permanent=true", Value::Null, 40405),
        ("DELETE", "/subjects/s/versions/1?permanent=true", Value::Null, 40407),
        ("DELETE", "/subjects/none", Value::Null, 40401),
        ("PATCH", "/subjects/s", Value::Null, 405),
        ("GET", "/subjects/s/nothing", Value::Null, 404),
        ("PUT", "/config", json!({ "compatibility": "FULL", "alias": "x" }), 422),
    ] {
        let reply = world.send(method, path, body).await;
        let told = reply.json();
        assert_eq!(told["error_code"], code, "{method} {path}: {told}");
        let status = if code > 1_000 { code / 100 } else { code };
        assert_eq!(i64::from(reply.status), i64::from(status), "{method} {path}: {told}");
        assert!(!told["message"].as_str().unwrap().is_empty());
        assert_eq!(reply.header("content-type"), "application/vnd.schemaregistry.v1+json");
    }
    world.ask("DELETE", "/subjects/s/versions/1", Value::Null, 200).await;
    for (path, code) in [("/subjects/s/versions/1", 40406), ("/subjects/s", 40404)] {
        let reply = world.send("DELETE", path, Value::Null).await;
        assert_eq!((reply.status, reply.json()["error_code"].clone()), (404, json!(code)), "{path}");
    }
}

#[tokio::test]
async fn compatibility_is_asked_and_configured_in_its_words() {
    let world = World::new();
    let is = async |path: &str| world.ask("GET", path, Value::Null, 200).await.json()["compatibilityLevel"].clone();
    assert_eq!(is("/config").await, "BACKWARD");
    assert_eq!(is("/config/s?defaultToGlobal=true").await, "BACKWARD");
    world.ask("POST", "/subjects/s/versions", schema(&typed("integer")), 200).await;
    let ask = async |path: &str, kind: &str| {
        let path = format!("/compatibility/subjects/s/versions{path}");
        world.ask("POST", &path, schema(&typed(kind)), 200).await.json()
    };
    assert_eq!(ask("/latest", "number").await, json!({ "is_compatible": true }));
    assert_eq!(ask("", "integer").await["is_compatible"], true);
    let refused = ask("/1?verbose=true", "string").await;
    assert_eq!(refused["is_compatible"], false);
    assert!(!refused["messages"].as_array().unwrap().is_empty());
    let missing = world.ask("POST", "/compatibility/subjects/s/versions/9", schema(&typed("string")), 404).await;
    assert_eq!(missing.json()["error_code"], 40402);

    let set = world.ask("PUT", "/config/s", json!({ "compatibility": "NONE" }), 200).await.json();
    assert_eq!(set, json!({ "compatibility": "NONE" }));
    assert_eq!(world.get("/v1/schemas/s/config").await.json()["compatibility"], "NONE");
    world.ask("POST", "/subjects/s/versions", schema(&typed("string")), 200).await;
    let was = world.ask("DELETE", "/config/s", Value::Null, 200).await.json();
    assert_eq!(was, json!({ "compatibilityLevel": "NONE" }));
    world.ask("PUT", "/config", json!({ "compatibility": "FULL_TRANSITIVE" }), 200).await;
    assert_eq!(is("/config").await, "FULL_TRANSITIVE");
}

#[tokio::test]
async fn references_and_deletion_are_as_there() {
    let world = World::new();
    world.ask("POST", "/subjects/name/versions", schema(&json!({ "type": "string" })), 200).await;
    let person = json!({ "schemaType": "JSON", "schema": json!({ "properties": { "n": { "$ref": "name.json" } } }).to_string(),
        "references": [{ "name": "name.json", "subject": "name", "version": -1 }] });
    let registered = world.ask("POST", "/subjects/person/versions", person.clone(), 200).await.json();
    let shown = world.ask("GET", "/subjects/person/versions/1", Value::Null, 200).await.json();
    assert_eq!(shown["references"], json!([{ "name": "name.json", "subject": "name", "version": 1 }]));
    assert_eq!(world.ask("POST", "/subjects/person", person, 200).await.json()["id"], registered["id"]);
    let by = world.ask("GET", "/subjects/name/versions/1/referencedby", Value::Null, 200).await.json();
    assert_eq!(by, json!([registered["id"]]));
    let refused = world.ask("DELETE", "/subjects/name", Value::Null, 422).await.json();
    assert_eq!(refused["error_code"], 42206);

    assert_eq!(world.ask("DELETE", "/subjects/person", Value::Null, 200).await.json(), json!([1]));
    assert_eq!(world.ask("GET", "/subjects?deletedOnly=true", Value::Null, 200).await.json(), json!(["person"]));
    assert_eq!(world.ask("GET", "/subjects/person/versions?deleted=true", Value::Null, 200).await.json(), json!([1]));
    // What was written with it can still be read.
    world.ask("GET", &format!("/schemas/ids/{}", registered["id"]), Value::Null, 200).await;
    assert_eq!(world.ask("DELETE", "/subjects/person?permanent=true", Value::Null, 200).await.json(), json!([1]));
    world.ask("GET", &format!("/schemas/ids/{}", registered["id"]), Value::Null, 404).await;
    assert_eq!(world.ask("DELETE", "/subjects/name/versions/latest", Value::Null, 200).await.json(), json!(1));
}

#[tokio::test]
async fn a_document_with_collections_is_judged_collection_by_collection() {
    let world = World::new();
    let text = |value: Value| json!({ "schemaType": "JSON", "schema": value.to_string() });
    world.ask("POST", "/subjects/s/versions", text(document(json!({ "n": { "type": "integer" } }), &[])), 200).await;
    let ask = text(document(json!({ "n": { "type": "string" } }), &[]));
    let told = world.ask("POST", "/compatibility/subjects/s/versions/latest?verbose=true", ask, 200).await.json();
    assert_eq!(told["is_compatible"], false);
}
