//! What a migration does, step by step, and what it is refused for.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_carries_every_live_entity_over_by_ordinary_changes() {
    let world = World::bound(json!({})).await;
    for n in 0..600 {
        world
            .put(&format!("k{n}"), json!({"id": format!("k{n}"), "first": format!("f{n}"), "n": n, "old": [n]}))
            .await;
    }
    world.ok("DELETE", "/v1/state/t/a/-/entities/person/k7", Value::Null).await;
    let before = world.log().await;
    let reply = world.ask("POST", MIGRATIONS, ask(steps())).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    assert_eq!(reply.header("location"), format!("{MIGRATIONS}/1"));
    let done = world.rested(1).await;
    assert_eq!((&done["state"], &done["progress"]), (&json!("done"), &json!(1.0)), "{done}");
    assert_eq!(done["entities"], json!({"total": 599, "rewritten": 599, "unchanged": 0}));

    let log = world.log().await;
    assert_eq!(log[..before.len()], before[..], "nothing that was stored has changed");
    for change in &log[before.len()..] {
        assert_eq!(
            (&change["headers"]["operation"], &change["headers"]["txid"]),
            (&json!("update"), &json!("migration-1"))
        );
    }
    let people = world.people().await;
    assert_eq!((people.len(), &people), (599, &fold(&log)));
    assert_eq!(people["k9"], json!({"id": "k9", "name": "f9", "n": 9, "state": "new"}));
    assert_eq!(world.get("/v1/state/t/a").await["schema"], json!({"subject": "people", "version": 2}));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_would_happen_and_writes_nothing() {
    let world = World::bound(json!({})).await;
    world.put("a", json!({"id": "a", "first": "x"})).await;
    world.put("b", json!({"id": "b", "first": ""})).await;
    let before = (world.get("/v1/state/t/a").await, world.disk.counts());
    let tried = world.ok("POST", &format!("{MIGRATIONS}?dry_run=true"), ask(steps())).await;
    assert_eq!((&tried["total"], &tried["would_rewrite"], &tried["failing"]), (&json!(2), &json!(1), &json!(1)));
    assert_eq!(tried["samples"][0]["after"], json!({"id": "a", "name": "x", "state": "new"}));
    assert_eq!(tried["samples"][0]["before"], json!({"id": "a", "first": "x"}));
    assert_eq!(tried["failures"][0]["key"], "b");
    assert_eq!(tried["failures"][0]["errors"][0]["pointer"], "/name");
    assert_eq!(world.get("/v1/state/t/a").await, before.0);
    assert_eq!(world.get(MIGRATIONS).await, json!({"migrations": []}));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_would_fail_does_not_begin() {
    let world = World::bound(json!({})).await;
    world.put("b", json!({"id": "b", "first": ""})).await;
    let refused = world.ask("POST", MIGRATIONS, ask(steps())).await;
    assert_eq!((refused.status, refused.problem().as_str()), (409, "migration-fails"));
    assert_eq!(refused.json()["errors"][0]["key"], "b", "{refused:?}");
    assert_eq!(refused.json()["errors"][0]["schema_version"], 2);
    assert_eq!(world.get("/v1/state/t/a").await["schema"]["version"], 1);
    world.stop().await;
}

/// One entity fails (`b`), so the migration waits for a repair; `c` behind it is not carried over yet.
async fn failed() -> World {
    let world = World::bound(json!({})).await;
    for (key, first) in [("a", "x"), ("b", ""), ("c", "z")] {
        world.put(key, json!({"id": key, "first": first, "n": 1})).await;
    }
    world.ok("POST", &format!("{MIGRATIONS}?check=false"), ask(steps())).await;
    let failed = world.rested(1).await;
    assert_eq!((&failed["state"], &failed["failures"][0]["key"]), (&json!("failed"), &json!("b")), "{failed}");
    assert_eq!(failed["entities"]["rewritten"], 1);
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_fails_names_the_entity_and_goes_on_once_it_is_repaired() {
    let world = failed().await;
    let old = world.ask("PUT", "/v1/state/t/a/-/entities/person/d", json!({"id": "d", "first": "x"})).await;
    assert_eq!((old.status, old.problem().as_str()), (422, "invalid-changes"));
    assert_eq!(old.json()["errors"][0]["schema_version"], 2, "writers are told of the new version");

    let again = world.ask("POST", &format!("{MIGRATIONS}/1/continue"), Value::Null).await;
    assert_eq!(again.status, 202, "{again:?}");
    assert_eq!(world.rested(1).await["state"], "failed", "nothing was repaired");
    world.put("b", json!({"id": "b", "name": "y", "state": "seen"})).await;
    world.ok("POST", &format!("{MIGRATIONS}/1/continue"), Value::Null).await;
    let done = world.rested(1).await;
    assert_eq!((&done["state"], done.get("failures")), (&json!("done"), None), "{done}");
    assert_eq!(world.entity("b").await["name"], "y");
    assert_eq!(world.entity("c").await, json!({"id": "c", "name": "z", "n": 1, "state": "new"}));
    let over = world.ask("POST", &format!("{MIGRATIONS}/1/continue"), Value::Null).await;
    assert_eq!((over.status, over.problem().as_str()), (409, "migration-conflict"));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_one_binds_back_and_lists_what_it_leaves() {
    let world = failed().await;
    let cancelled = world.ok("DELETE", &format!("{MIGRATIONS}/1"), Value::Null).await;
    assert_eq!(cancelled["migration"]["state"], "cancelled");
    let left = &cancelled["left"];
    assert_eq!((left.as_array().unwrap().len(), &left[0]["key"], &left[0]["fits"]), (1, &json!("a"), &json!(false)));
    assert_eq!(world.get("/v1/state/t/a").await["schema"]["version"], 1);
    world.put("d", json!({"id": "d", "first": "x"})).await;
    let again = world.ask("DELETE", &format!("{MIGRATIONS}/1"), Value::Null).await;
    assert_eq!(again.problem(), "migration-conflict");
    // Another one takes what was carried over as it is.
    world.put("b", json!({"id": "b", "first": "y"})).await;
    let second = world.ok("POST", MIGRATIONS, ask(steps())).await;
    assert_eq!((&second["id"], &second["txid"]), (&json!(2), &json!("migration-2")));
    let done = world.rested(2).await;
    assert_eq!(done["entities"], json!({"total": 4, "rewritten": 3, "unchanged": 1}), "{done}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_is_merged_into_what_the_entity_will_be() {
    let world = failed().await;
    world.ok("PATCH", "/v1/state/t/a/-/entities/person/c", json!({"n": 5})).await;
    assert_eq!(world.entity("c").await, json!({"id": "c", "name": "z", "n": 5, "state": "new"}));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_cross_an_open_migration_waits_for_it() {
    let world = failed().await;
    for (method, path, headers, body, kind) in [
        ("POST", MIGRATIONS, vec![], ask(steps()), "migration-conflict"),
        (
            "PUT",
            "/v1/bindings/t",
            vec![],
            json!({"pattern": "t/**", "subject": "people", "version": 1}),
            "data-fails",
        ),
        (
            "PUT",
            "/v1/stream/t/fork",
            vec![("stream-forked-from", "/v1/stream/t/a")],
            Value::Null,
            "migration-conflict",
        ),
    ] {
        let reply = send(&world.router, method, path, &headers, body).await;
        assert_eq!((reply.status, reply.problem().as_str()), (409, kind), "{method} {path}: {reply:?}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_declared_is_refused() {
    let world = World::bound(json!({})).await;
    world.put("a", json!({"id": "a", "first": "x"})).await;
    for (body, status, kind) in [
        (json!({"to": {"version": 2}, "steps": {"people": [{"drop": "/id"}]}}), 422, "invalid-migration"),
        (json!({"to": {"version": 2}, "steps": {"pets": []}}), 422, "invalid-migration"),
        (
            json!({"to": {"version": 2}, "steps": {"people": [{"rename": {"from": "", "to": "x"}}]}}),
            422,
            "invalid-migration",
        ),
        (json!({"to": {"version": 2}, "steps": {"people": [{"patch": [{"op": "none"}]}]}}), 422, "invalid-migration"),
        (json!({"to": {"version": 1}}), 422, "invalid-migration"),
        (json!({"too": {"version": 2}}), 422, "invalid-migration"),
        (json!({"to": {"version": 9}}), 404, "subject-not-found"),
    ] {
        let reply = world.ask("POST", MIGRATIONS, body.clone()).await;
        assert_eq!((reply.status, reply.problem().as_str()), (status, kind), "{body}: {reply:?}");
    }
    let unknown = world.ask("GET", &format!("{MIGRATIONS}/1"), Value::Null).await;
    assert_eq!((unknown.status, unknown.problem().as_str()), (404, "migration-not-found"));
    let closed = send(&world.router, "POST", "/v1/stream/t/a", &[("stream-closed", "true")], Value::Null).await;
    assert_eq!(closed.status, 204);
    let late = world.ask("POST", MIGRATIONS, ask(steps())).await;
    assert_eq!((late.status, late.problem().as_str()), (409, "stream-closed"));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_version_in_a_rewritten_entity_does_not_drop_it() {
    let world = World::bound(json!({})).await;
    world.put("a", json!({"id": "a", "first": "x", "rev": 7})).await;
    let lower = json!({"people": [{"rename": {"from": "first", "to": "name"}}, {"default": {"path": "state", "value": "new"}},
        {"patch": [{"op": "test", "path": "/rev", "value": 7}, {"op": "replace", "path": "/rev", "value": 1}]}]});
    world.ok("POST", MIGRATIONS, ask(lower)).await;
    assert_eq!(world.rested(1).await["state"], "done");
    assert_eq!(world.entity("a").await, json!({"id": "a", "name": "x", "rev": 1, "state": "new"}));
    let older = world.put("a", json!({"id": "a", "name": "y", "rev": 0, "state": "new"})).await;
    assert_eq!(older["applied"], false, "the version that counts is the new one");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_would_be_rounded_stops_it() {
    let world = World::bound(json!({})).await;
    let body = r#"[{"type":"person","key":"a","value":{"id":"a","first":"x","n":123456789012345678901234567890},"headers":{"operation":"insert"}}]"#;
    let request = Request::builder().method("POST").uri("/v1/stream/t/a").header("content-type", "application/json");
    let reply = world.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
    assert!(reply.status().is_success());
    let refused = world.ask("POST", MIGRATIONS, ask(steps())).await;
    assert_eq!(refused.json()["errors"][0]["keyword"], "exact", "{refused:?}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_says_what_it_was_checked_under_and_the_schema_at_an_offset_is_told() {
    let world = World::bound(json!({})).await;
    world.put("a", json!({"id": "a", "first": "x"})).await;
    let between = world.ok("GET", "/v1/state/t/a", Value::Null).await["offsets"]["tail"].as_str().unwrap().to_owned();
    world.ok("POST", MIGRATIONS, ask(steps())).await;
    world.rested(1).await;
    let page = world.get("/v1/state/t/a/-/changes").await;
    let versions: Vec<u64> =
        page["changes"].as_array().unwrap().iter().map(|c| c["schema"]["version"].as_u64().unwrap()).collect();
    assert_eq!((versions, &page["up_to_date"]), (vec![1, 2], &json!(true)), "{page}");
    let page = world.get(&format!("/v1/state/t/a/-/changes?offset={between}&limit=1")).await;
    assert_eq!((page["changes"].as_array().unwrap().len(), &page["changes"][0]["schema"]["version"]), (1, &json!(2)));

    let schema = |offset: &str| format!("/v1/state/t/a/-/schema{offset}");
    let first = world.get(&schema("?offset=-1")).await;
    assert_eq!((&first["version"], &first["document"]), (&json!(1), &first_version()), "{first}");
    let now = world.get(&schema("")).await;
    assert_eq!((&now["version"], &now["since"]), (&json!(2), &json!(between)));
    assert_eq!(world.get(&schema(&format!("?offset={between}"))).await, now);
    let registered = world.get("/v1/schemas/people/versions/2").await;
    assert_eq!(now["fingerprint"], registered["fingerprint"]);
    let api = world.get("/v1/state/t/a/-/openapi.json?offset=-1").await;
    assert!(api["components"]["schemas"]["people"]["properties"]["first"].is_object(), "{api}");

    // A fork knows what it inherits.
    let made =
        send(&world.router, "PUT", "/v1/stream/t/fork", &[("stream-forked-from", "/v1/stream/t/a")], Value::Null);
    assert_eq!(made.await.status, 201);
    assert_eq!(world.get("/v1/state/t/fork/-/schema?offset=-1").await["version"], 1);
    assert_eq!(world.get("/v1/state/t/fork/-/schema").await["version"], 2);
    assert_eq!(world.get("/v1/state/t/fork/-/changes").await["changes"][0]["schema"]["version"], 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binding_that_moves_a_stream_is_noted_and_data_from_before_was_checked_under_nothing() {
    let world = World::start(SimDisk::new());
    world.ok("POST", "/v1/schemas/people/versions", first_version()).await;
    let plain = json!([{"type": "person", "key": "a", "value": {"id": "a", "first": "x"}, "headers": {"operation": "insert"}}]);
    world.ok("PUT", "/v1/stream/t/a", Value::Null).await;
    world.ok("POST", "/v1/stream/t/a", plain).await;
    let none = world.ask("GET", "/v1/state/t/a/-/schema", Value::Null).await;
    assert_eq!((none.status, none.problem().as_str()), (404, "subject-not-found"));
    world.ok("PUT", "/v1/bindings/t", json!({"pattern": "t/**", "subject": "people", "version": 1})).await;
    world.put("b", json!({"id": "b", "first": "x"})).await;
    let page = world.get("/v1/state/t/a/-/changes").await;
    assert_eq!(
        (&page["changes"][0]["schema"], &page["changes"][1]["schema"]["version"]),
        (&Value::Null, &json!(1)),
        "{page}"
    );
    let offset = page["changes"][0]["offset"].as_str().unwrap().to_owned();
    assert_eq!(world.get("/v1/state/t/a/-/schema").await["since"], offset.as_str());
    assert_eq!(world.ask("GET", "/v1/state/t/a/-/schema?offset=-1", Value::Null).await.status, 404);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_stream_takes_its_migrations_along() {
    let world = failed().await;
    world.ok("DELETE", "/v1/bindings/t", Value::Null).await;
    world.ok("DELETE", "/v1/stream/t/a", Value::Null).await;
    world.ok("PUT", "/v1/bindings/t", json!({"pattern": "t/**", "subject": "people", "version": 1})).await;
    world.put("a", json!({"id": "a", "first": "x"})).await;
    assert_eq!(world.get(MIGRATIONS).await, json!({"migrations": []}));
    let forked = [("stream-forked-from", "/v1/stream/t/a")];
    assert_eq!(send(&world.router, "PUT", "/v1/stream/t/fork", &forked, Value::Null).await.status, 201);
    assert_eq!(world.get("/v1/state/t/a/-/schema?offset=-1").await["version"], 1);
    world.ok("POST", MIGRATIONS, ask(steps())).await;
    assert_eq!(world.rested(1).await["entities"]["rewritten"], 1);
    let world = world.crashed(1).await;
    assert_eq!(world.get(MIGRATIONS).await["migrations"][0]["state"], "done");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_told_until_it_rests() {
    let world = failed().await;
    world.put("b", json!({"id": "b", "name": "y", "state": "seen"})).await;
    world.ok("POST", &format!("{MIGRATIONS}/1/continue"), Value::Null).await;
    let path = format!("{MIGRATIONS}/1");
    let lines = send(&world.router, "GET", &path, &[("accept", "application/x-ndjson")], Value::Null).await;
    let last: Value = serde_json::from_str(lines.text.lines().last().unwrap()).unwrap();
    assert_eq!(last["state"], "done", "{lines:?}");
    let events = send(&world.router, "GET", &path, &[("accept", "text/event-stream")], Value::Null).await;
    assert_eq!(events.header("content-type"), "text/event-stream");
    assert!(events.text.starts_with("data:{\"id\":1,\"state\":\"done\""), "{events:?}");
    world.stop().await;
}
