//! States, deletion, references and search.

use serde_json::{Value, json};

use super::{World, document, widened};

#[tokio::test]
async fn who_uses_a_deprecated_version_is_told() {
    let world = World::new();
    world.force("s", widened(0)).await;
    world.bind("b", "b/**", "s").await;
    World::expect(&world.put("b/1", json!({ "id": "1" })).await, 200);
    let state = "/v1/schemas/s/versions/1/state";
    assert_eq!(world.ask("GET", state, Value::Null, 200).await.json(), json!({ "state": "enabled" }));
    let asked = json!({ "state": "deprecated", "since": "2027-01-15T08:00:00Z", "sunset": "2027-06-30T23:59:59Z" });
    world.ask("PUT", state, asked, 200).await;
    let change = json!([{ "type": "t", "key": "2", "value": { "id": "2" }, "headers": { "operation": "upsert" } }]);
    for (method, path, body) in [
        ("GET", "/v1/schemas/s/versions/1", Value::Null),
        ("GET", "/v1/schemas/s/versions/latest", Value::Null),
        ("GET", state, Value::Null),
        ("GET", "/v1/stream/b/1", Value::Null),
        ("HEAD", "/v1/stream/b/1", Value::Null),
        ("POST", "/v1/stream/b/1", change.clone()),
        ("GET", "/v1/state/b/1", Value::Null),
        ("GET", "/v1/state/b/1/-/snapshot", Value::Null),
        ("PUT", "/v1/state/b/1/-/entities/t/3", json!({ "id": "3" })),
        ("POST", "/v1/state/b/1/-/changes", change),
    ] {
        let reply = world.send(method, path, body).await;
        assert!((200..300).contains(&reply.status), "{method} {path}: {reply:?}");
        assert_eq!(reply.header("deprecation"), "@1800000000", "{method} {path}");
        assert_eq!(reply.header("sunset"), "Wed, 30 Jun 2027 23:59:59 GMT", "{method} {path}");
    }
    world.ask("PUT", state, json!({ "state": "enabled" }), 200).await;
    for path in ["/v1/schemas/s/versions/1", "/v1/stream/b/1"] {
        assert_eq!(world.get(path).await.header("deprecation"), "", "{path}");
    }
    for body in [
        json!({}),
        json!({ "state": "gone" }),
        json!({ "state": "enabled", "sunset": "2027-06-30T23:59:59Z" }),
        json!({ "state": "deprecated", "sunset": "tomorrow" }),
        json!({ "state": "deprecated", "since": "2027-06-30T23:59:59Z", "sunset": "2027-01-01T00:00:00Z" }),
    ] {
        assert_eq!(world.ask("PUT", state, body, 422).await.problem(), "invalid-config");
    }
    world.ask("PUT", "/v1/schemas/s/versions/2/state", json!({ "state": "disabled" }), 404).await;
}

#[tokio::test]
async fn a_disabled_version_takes_no_writes_and_no_new_streams() {
    let world = World::new();
    world.force("s", widened(0)).await;
    world.bind("b", "b/**", "s").await;
    World::expect(&world.put("b/1", json!({ "id": "1" })).await, 200);
    world.ask("PUT", "/v1/schemas/s/versions/1/state", json!({ "state": "disabled" }), 200).await;

    let refused = world.put("b/1", json!({ "id": "2" })).await;
    assert_eq!((refused.status, refused.problem().as_str()), (409, "schema-disabled"));
    assert_eq!(refused.json()["written"], "no");
    assert_eq!(world.get("/v1/state/b/1/-/snapshot").await.json()["collections"]["c"], json!({ "1": { "id": "1" } }));

    let typed = [("stream-schema", "s@1")];
    for (method, path, headers) in [
        ("PUT", "/v1/stream/b/2", &[][..]),
        ("PUT", "/v1/stream/free", &typed[..]),
        ("PUT", "/v1/stream/b/1", &[][..]),
    ] {
        let reply = world.send_as(method, path, headers, Value::Null).await;
        // What is there is confirmed as ever.
        let expected = if path == "/v1/stream/b/1" { 415 } else { 409 };
        if expected == 409 {
            assert_eq!((reply.status, reply.problem().as_str()), (409, "schema-not-pinnable"), "{path}");
        }
    }
    let confirmed =
        world.send_as("PUT", "/v1/stream/b/1", &[("content-type", "application/json")], Value::Null).await;
    World::expect(&confirmed, 200);
    let reply = world.put("b/2", json!({ "id": "2" })).await;
    assert_eq!((reply.status, reply.problem().as_str()), (409, "schema-not-pinnable"));
    let bind = json!({ "pattern": "c/**", "subject": "s" });
    assert_eq!(world.ask("PUT", "/v1/bindings/c", bind, 422).await.problem(), "invalid-binding");

    // The next version takes over: the binding gives it, and what is bound again goes on.
    world.force("s", widened(1)).await;
    World::expect(&world.put("b/2", json!({ "id": "2", "p0": "x" })).await, 200);
    world.bind("b", "b/**", "s").await;
    World::expect(&world.put("b/1", json!({ "id": "2", "p0": "x" })).await, 200);
}

#[tokio::test]
async fn what_is_deleted_is_hidden_and_goes_on_to_serve_its_streams() {
    let world = World::new();
    world.force("s", widened(0)).await;
    world.force("s", widened(1)).await;
    world.send_as("PUT", "/v1/stream/one", &[("stream-schema", "s@1")], Value::Null).await;
    World::expect(&world.put("one", json!({ "id": "1" })).await, 200);

    let gone = world.ask("DELETE", "/v1/schemas/s/versions/1", Value::Null, 200).await.json();
    assert_eq!(gone, json!({ "subject": "s", "versions": [1], "permanent": false }));
    world.ask("GET", "/v1/schemas/s/versions/1", Value::Null, 404).await;
    assert_eq!(world.get("/v1/schemas/s").await.json()["versions"], json!([2]));
    assert_eq!(world.get("/v1/schemas/s?deleted=true").await.json()["versions"], json!([1, 2]));
    let hidden = world.ask("GET", "/v1/schemas/s/versions/1?deleted=true", Value::Null, 200).await.json();
    assert_eq!((hidden["deleted"].clone(), &hidden["document"]), (json!(true), &widened(0)));
    World::expect(&world.put("one", json!({ "id": "2" })).await, 200);
    let again = world.send_as("PUT", "/v1/stream/two", &[("stream-schema", "s@1")], Value::Null).await;
    assert_eq!((again.status, again.problem().as_str()), (409, "schema-not-pinnable"));

    let in_use = world.ask("DELETE", "/v1/schemas/s/versions/1?permanent=true", Value::Null, 409).await;
    assert_eq!(in_use.problem(), "version-in-use");
    assert!(in_use.json()["detail"].as_str().unwrap().contains("stream one"));
    world.ask("DELETE", "/v1/stream/one", Value::Null, 204).await;
    world.ask("DELETE", "/v1/schemas/s/versions/1?permanent=true", Value::Null, 200).await;
    world.ask("GET", "/v1/schemas/s/versions/1?deleted=true", Value::Null, 404).await;

    // Only what was hidden before is forgotten, and a subject's name is free once all of it is.
    world.ask("DELETE", "/v1/schemas/s?permanent=true", Value::Null, 409).await;
    world.ask("DELETE", "/v1/schemas/s", Value::Null, 200).await;
    assert_eq!(world.get("/v1/schemas").await.json()["subjects"], json!([]));
    world.ask("DELETE", "/v1/schemas/s?permanent=true", Value::Null, 200).await;
    world.ask("DELETE", "/v1/schemas/s", Value::Null, 404).await;
    assert_eq!(world.force("s", widened(2)).await, 1);
}

#[tokio::test]
async fn a_version_that_stored_changes_were_checked_against_is_kept() {
    let mut world = World::new();
    for nth in 0..3 {
        world.force("s", widened(nth)).await;
        world.bind("b", "b/**", "s").await;
        World::expect(&world.put("b/1", json!({ "id": nth.to_string() })).await, 200);
    }
    world.ask("DELETE", "/v1/schemas/s/versions/2", Value::Null, 200).await;
    world.restart();
    // The stream began with the first and is at the third: only its changes still tell of the second.
    let kept = world.ask("DELETE", "/v1/schemas/s/versions/2?permanent=true", Value::Null, 409).await;
    assert_eq!(kept.problem(), "version-in-use");
}

#[tokio::test]
async fn references_between_subjects_hold() {
    let world = World::new();
    world
        .force(
            "address",
            json!({ "schema": { "type": "object", "required": ["street"],
        "properties": { "street": { "type": "string" } } } }),
        )
        .await;
    let person = json!({
        "collections": { "c": { "type": "t", "primaryKey": "id", "schema": { "type": "object", "required": ["id"],
            "properties": { "id": { "type": "string" }, "home": { "$ref": "address.json" } } } } },
        "references": [{ "name": "address.json", "subject": "address", "version": 1 }] });
    world.force("person", person.clone()).await;
    world.bind("p", "p/**", "person").await;
    World::expect(&world.put("p/1", json!({ "id": "1", "home": { "street": "x" } })).await, 200);
    let refused = world.put("p/1", json!({ "id": "1", "home": {} })).await;
    assert_eq!((refused.status, refused.json()["errors"][0]["pointer"].clone()), (422, json!("/home")));

    let by = world.ask("GET", "/v1/schemas/address/versions/1/referenced-by", Value::Null, 200).await.json();
    assert_eq!(
        (by["referenced_by"][0]["subject"].clone(), by["referenced_by"][0]["version"].clone()),
        (json!("person"), json!(1))
    );
    assert_eq!(world.ask("DELETE", "/v1/schemas/address", Value::Null, 409).await.problem(), "version-in-use");
    // Nobody binds a stream to a schema that says neither type nor key.
    let bind = json!({ "pattern": "a/**", "subject": "address" });
    assert_eq!(world.ask("PUT", "/v1/bindings/a", bind, 422).await.problem(), "invalid-binding");

    // The described stream holds what it refers to.
    let described = world.ask("GET", "/v1/state/p/1/-/openapi.json", Value::Null, 200).await.json();
    let home = &described["components"]["schemas"]["c"]["properties"]["home"]["$ref"];
    let pointer = home.as_str().unwrap().trim_start_matches('#').to_owned();
    assert_eq!(described.pointer(&pointer).unwrap()["required"], json!(["street"]), "{home}");

    for (version, code) in [(2, "unknown-reference"), (0, "references")] {
        let mut missing = person.clone();
        missing["references"][0]["version"] = json!(version);
        let reply = world.register("other", missing).await;
        assert_eq!((reply.status, reply.json()["errors"][0]["keyword"].clone()), (422, json!(code)));
    }
    // Itself, or what is not there yet, cannot be named: so nothing goes in a circle.
    let mut itself = person.clone();
    itself["references"][0]["subject"] = json!("person");
    itself["references"][0]["version"] = json!(2);
    assert_eq!(world.register("person", itself).await.status, 422);
}

#[tokio::test]
async fn subjects_are_found_by_what_they_are_and_hold() {
    let world = World::new();
    world.force("shop%2Forders", document(json!({ "Total": { "type": "number" } }), &[])).await;
    world
        .force(
            "shop%2Fcarts",
            json!({ "collections": { "carts": { "type": "cart", "primaryKey": "id", "schema": {
        "title": "A cart", "required": ["id"], "properties": { "id": { "type": "string" } } } } } }),
        )
        .await;
    world.force("other", widened(1)).await;
    world.ask("PUT", "/v1/schemas/other/versions/1/state", json!({ "state": "disabled" }), 200).await;
    world.force("gone", widened(0)).await;
    world.ask("DELETE", "/v1/schemas/gone", Value::Null, 200).await;
    let found = async |query: &str| {
        let body = world.ask("GET", &format!("/v1/schemas?{query}"), Value::Null, 200).await.json();
        let names = body["subjects"].as_array().unwrap().iter().map(|s| s["subject"].as_str().unwrap().to_owned());
        (names.collect::<Vec<_>>().join(" "), body["next"].clone())
    };
    for (query, expected) in [
        ("", "other shop/carts shop/orders"),
        ("search=total", "shop/orders"),
        ("search=CART", "shop/carts"),
        ("search=shop", "shop/carts shop/orders"),
        ("prefix=shop%2F", "shop/carts shop/orders"),
        ("type=cart", "shop/carts"),
        ("collection=c", "other shop/orders"),
        ("collection=c&prefix=s", "shop/orders"),
        ("state=disabled", "other"),
        ("state=deprecated", ""),
        ("deleted=true", "gone other shop/carts shop/orders"),
    ] {
        assert_eq!(found(query).await, (expected.to_owned(), Value::Null), "{query}");
    }
    assert_eq!(found("limit=2").await, ("other shop/carts".into(), json!("shop/carts")));
    assert_eq!(found("limit=2&cursor=shop%2Fcarts").await, ("shop/orders".into(), Value::Null));
    world.ask("GET", "/v1/schemas?state=old", Value::Null, 400).await;
}
