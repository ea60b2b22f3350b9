//! Defaults of the schema, given to readers and never stored.

use super::*;

async fn world(settings: Value) -> World {
    let world = World::bound(settings).await;
    world.put("a", json!({"id": "a", "first": "x"})).await;
    world.ok("POST", MIGRATIONS, ask(steps())).await;
    world.rested(1).await;
    world
}

const NICK: &str = "-";

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_is_given_defaults_and_what_is_stored_stays() {
    let world = world(json!({"version": 1})).await;
    let stored = world.log().await;
    let entity = "/v1/state/t/a/-/entities/person/a";
    let plain = world.ask("GET", entity, Value::Null).await;
    assert_eq!(plain.json().get("nick"), None);
    let filled = world.ask("GET", &format!("{entity}?defaults=true"), Value::Null).await;
    assert_eq!(filled.json()["nick"], NICK, "{filled:?}");
    assert_ne!(plain.header("etag"), filled.header("etag"), "the bytes differ");
    let held = [("if-none-match", filled.header("etag"))];
    assert_eq!(send(&world.router, "GET", &format!("{entity}?defaults=true"), &held, Value::Null).await.status, 304);
    assert_eq!(send(&world.router, "GET", entity, &held, Value::Null).await.status, 200);

    let list = world.get("/v1/state/t/a/-/entities/person?defaults=true&fields=nick").await;
    assert_eq!(list["entities"][0]["value"], json!({"nick": NICK}));
    let snapshot = world.get("/v1/state/t/a/-/snapshot?defaults=true").await;
    assert_eq!(snapshot["collections"]["people"]["a"]["nick"], NICK);
    for (path, filled) in [
        ("offset=-1", false),
        ("offset=-1&defaults=true", true),
        ("offset=-1&fold=true", false),
        ("offset=-1&fold=true&defaults=true", true),
    ] {
        let reply = world.ask("GET", &format!("/v1/stream/t/a?{path}"), Value::Null).await;
        let changes = reply.json();
        let last = changes.as_array().unwrap().iter().rfind(|change| change.get("value").is_some()).unwrap();
        assert_eq!(last["value"].get("nick").is_some(), filled, "{path}: {changes}");
        assert_eq!(reply.header("etag").contains(":d2"), filled, "{path}");
    }
    assert_eq!(world.log().await, stored);
    // The tag of a filled entity names the same state.
    let matched = [("if-match", filled.header("etag"))];
    let put = json!({"id": "a", "name": "y", "state": "seen"});
    assert_eq!(send(&world.router, "PUT", entity, &matched, put).await.status, 200);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binding_gives_them_to_readers_of_entities_and_not_of_the_log() {
    let world = world(json!({"version": 1, "defaults": "on_read"})).await;
    assert_eq!(world.get("/v1/bindings/t").await["defaults"], "on_read");
    assert_eq!(world.entity("a").await["nick"], NICK);
    assert_eq!(world.get("/v1/state/t/a/-/entities/person/a?defaults=false").await.get("nick"), None);
    let page = world.get("/v1/state/t/a/-/entities/person").await;
    assert_eq!(page["entities"][0]["value"]["nick"], NICK);
    assert_eq!(world.people().await["a"]["nick"], NICK);
    let lines =
        send(&world.router, "GET", "/v1/state/t/a/-/snapshot", &[("accept", "application/x-ndjson")], Value::Null);
    assert!(lines.await.text.contains("\"nick\":\"-\""));
    assert!(
        world.log().await.iter().all(|change| change["value"].get("nick").is_none()),
        "the log is what was stored"
    );
    let folded = world.get("/v1/stream/t/a?offset=-1&fold=true").await;
    assert_eq!(folded[1]["value"]["nick"], NICK, "{folded}");
    // What is written is what was sent.
    world.ok("PATCH", "/v1/state/t/a/-/entities/person/a", json!({"n": 1})).await;
    assert_eq!(world.log().await.last().unwrap()["value"].get("nick"), None);
    world.stop().await;
}
