//! Modes, verdicts, overrides, and what stored entities say.

use serde_json::{Value, json};

use super::{World, document, widened};

fn counted(kind: &str) -> Value {
    document(json!({ "n": { "type": kind } }), &[])
}

#[tokio::test]
async fn an_optional_property_can_be_added_and_a_broken_reader_is_refused_with_proof() {
    let world = World::new();
    assert_eq!(world.register("s", counted("integer")).await.status, 201);
    let mut wider = counted("integer");
    wider["collections"]["c"]["schema"]["properties"]["more"] = json!({ "type": "string" });
    assert_eq!(world.register("s", wider).await.status, 201);

    let narrower = counted("boolean");
    let refused = world.register("s", narrower.clone()).await;
    assert_eq!((refused.status, refused.problem().as_str()), (409, "incompatible-schema"));
    let problem = refused.json();
    assert_eq!(problem["written"], "no");
    assert!(problem["detail"].as_str().unwrap().contains("?compatibility=none"), "{problem}");
    let violation = &problem["violations"][0];
    assert_eq!((&violation["collection"], &violation["version"]), (&json!("c"), &json!(2)), "{violation}");
    assert_eq!(violation["direction"], "backward");

    // The way past it: said for once, or chosen for the subject.
    let once = world.send("POST", "/v1/schemas/s/versions?compatibility=none", narrower).await;
    assert_eq!((once.status, once.json()["version"].clone()), (201, json!(3)));
    world.ask("PUT", "/v1/schemas/s/config", json!({ "compatibility": "NONE" }), 200).await;
    assert_eq!(world.register("s", counted("string")).await.status, 201);
    world.ask("POST", "/v1/schemas/s/versions?compatibility=some", counted("null"), 400).await;
}

#[tokio::test]
async fn what_is_chosen_is_inherited_and_taken_back() {
    let world = World::new();
    let is = async |path: &str| world.ask("GET", path, Value::Null, 200).await.json();
    let default = json!({ "compatibility": "BACKWARD", "content_model": "optional_friendly" });
    assert_eq!(
        (is("/v1/schema-config").await, is("/v1/schemas/new/config").await),
        (default.clone(), default.clone())
    );
    world.ask("PUT", "/v1/schema-config", json!({ "compatibility": "FULL_TRANSITIVE" }), 200).await;
    let own = world.ask("PUT", "/v1/schemas/s/config", json!({ "content_model": "closed" }), 200).await.json();
    assert_eq!(own, json!({ "compatibility": "FULL_TRANSITIVE", "content_model": "closed" }));
    world.ask("DELETE", "/v1/schema-config", Value::Null, 200).await;
    assert_eq!(is("/v1/schemas/s/config").await, json!({ "compatibility": "BACKWARD", "content_model": "closed" }));
    world.ask("DELETE", "/v1/schemas/s/config", Value::Null, 200).await;
    assert_eq!(is("/v1/schemas/s/config").await, default);
    for body in [
        json!({ "compatibility": "backwards" }),
        json!({ "content_model": "ajar" }),
        json!({ "mode": "FULL" }),
        json!([]),
    ] {
        assert_eq!(world.ask("PUT", "/v1/schemas/s/config", body, 422).await.problem(), "invalid-config");
    }
}

#[tokio::test]
async fn a_verdict_names_what_it_compared_and_registers_nothing() {
    let world = World::new();
    world.force("s", counted("integer")).await;
    world.force("s", counted("string")).await;
    let judge = async |query: &str, body: Value| {
        world.ask("POST", &format!("/v1/schemas/s/compatibility?{query}"), body, 200).await.json()
    };
    let fits = judge("", counted("string")).await;
    assert_eq!(
        (&fits["compatible"], &fits["compared"], &fits["violations"]),
        (&json!(true), &json!([2]), &json!([]))
    );
    assert_eq!(fits["live"], json!({ "streams": 0, "checked": 0, "refused": 0, "first": [] }));
    let all = judge("compatibility=backward_transitive&live=off", counted("string")).await;
    assert_eq!((&all["compatible"], &all["compared"]), (&json!(false), &json!([2, 1])));
    assert_eq!((&all["violations"][0]["version"], all.get("live")), (&json!(1), None));
    let first = judge("version=1", counted("integer")).await;
    assert_eq!((&first["compatible"], &first["compared"]), (&json!(true), &json!([1])));
    assert_eq!(judge("compatibility=none", counted("boolean")).await["compatible"], true);
    for query in ["version=x", "compatibility=x", "content_model=x", "live=x"] {
        world.ask("POST", &format!("/v1/schemas/s/compatibility?{query}"), counted("string"), 400).await;
    }
    world.ask("POST", "/v1/schemas/s/compatibility?version=9", counted("string"), 404).await;
    world.ask("POST", "/v1/schemas/s/compatibility", json!({}), 422).await;
    let new = world.ask("POST", "/v1/schemas/new/compatibility", counted("string"), 200).await.json();
    assert_eq!((&new["compatible"], &new["compared"]), (&json!(true), &json!([])));
    assert_eq!(world.get("/v1/schemas/s").await.json()["latest"], 2);
}

#[tokio::test]
async fn stored_entities_that_would_be_refused_are_counted_and_the_first_named() {
    let world = World::new();
    world.force("s", document(json!({ "n": {} }), &[])).await;
    world.bind("b", "b/**", "s").await;
    world.send_as("PUT", "/v1/stream/pinned", &[("stream-schema", "s@1")], Value::Null).await;
    world.send_as("PUT", "/v1/stream/plain", &[("content-type", "application/json")], Value::Null).await;
    for nth in 0..30 {
        World::expect(&world.put("b/1", json!({ "id": format!("{nth:02}"), "n": "x" })).await, 200);
    }
    for nth in 0..3 {
        World::expect(&world.put("pinned", json!({ "id": nth.to_string(), "n": nth })).await, 200);
    }
    // What was refused once and is not any more is no matter.
    World::expect(&world.put("b/1", json!({ "id": "00", "n": 1 })).await, 200);
    world.ask("DELETE", "/v1/state/b/1/-/entities/t/01", Value::Null, 200).await;

    let judge = async |query: &str| {
        let path = format!("/v1/schemas/s/compatibility?compatibility=none{query}");
        world.ask("POST", &path, counted("integer"), 200).await.json()
    };
    let told = judge("").await;
    assert_eq!(told["compatible"], true);
    let live = &told["live"];
    assert_eq!((&live["streams"], &live["checked"], &live["refused"]), (&json!(2), &json!(32), &json!(28)), "{live}");
    let first = live["first"].as_array().unwrap();
    assert_eq!(first.len(), 20);
    assert_eq!(
        (&first[0]["stream"], &first[0]["collection"], &first[0]["key"]),
        (&json!("b/1"), &json!("c"), &json!("02"))
    );
    assert_eq!(
        (&first[0]["errors"][0]["pointer"], &first[0]["errors"][0]["keyword"]),
        (&json!("/n"), &json!("type"))
    );
    assert_eq!(first[0]["offset"], world.get("/v1/state/b/1/-/entities/t/02").await.header("etag").trim_matches('"'));
    assert_eq!(judge("&live=strict").await["compatible"], false);
    assert_eq!(judge("&live=off").await.get("live"), None);
}

#[tokio::test]
async fn progress_comes_as_lines_and_the_verdict_last() {
    let world = World::new();
    world.force("s", widened(0)).await;
    world.bind("b", "b/**", "s").await;
    World::expect(&world.put("b/1", json!({ "id": "1" })).await, 200);
    let lines = async |body: Value| {
        let accept = [("accept", "application/x-ndjson")];
        let reply = world.send_as("POST", "/v1/schemas/s/compatibility?live=strict", &accept, body).await;
        World::expect(&reply, 200);
        assert_eq!(reply.header("content-type"), "application/x-ndjson");
        let text = String::from_utf8(reply.body.to_vec()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    let told = lines(document(json!({}), &["more"])).await;
    let (last, before) = told.split_last().unwrap();
    assert!(before.iter().all(|line| line["progress"].is_object()), "{told:?}");
    assert_eq!((&last["compatible"], &last["live"]["refused"]), (&json!(false), &json!(1)));
}
