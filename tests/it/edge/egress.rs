//! What readers of SSE v1 ask for, behind every door.

use super::*;

/// The changes that a protocol SSE reader from the beginning is sent up to the tail, held to the rules of SSE v1.
async fn sse_v1(served: &Served, stream: &str) -> Vec<Value> {
    let mut events = Events::of(served.get(&format!("/v1/stream/{stream}?offset=-1&live=sse"))).await;
    let mut changes = Vec::new();
    loop {
        let event = events.next().await.unwrap();
        let data: Value = serde_json::from_str(&event.data).unwrap();
        if event.name.as_deref() == Some("control") {
            match data["upToDate"] == true {
                true => break,
                false => continue,
            }
        }
        assert_eq!(event.name.as_deref(), Some("data"));
        assert!(!data.as_array().unwrap().is_empty());
        changes.extend(data.as_array().unwrap().clone());
    }
    for change in &changes {
        let headers = &change["headers"];
        assert!(headers.get("control").is_none(), "{change}");
        assert!(headers["correlationId"].as_str().is_some_and(|id| !id.is_empty()), "{change}");
        let parts: Vec<&str> = headers["traceparent"].as_str().unwrap().split('-').collect();
        assert!(parts.iter().map(|part| part.len()).eq([2, 32, 16, 2]), "{change}");
        assert!(parts.concat().bytes().all(|b| b.is_ascii_hexdigit()), "{change}");
        assert_eq!(change.get("value").is_none(), headers["operation"] == "delete", "{change}");
    }
    changes
}

#[tokio::test]
async fn sse_v1_holds_behind_every_door() {
    for settings in [
        json!({ "egress": "sse_v1" }),
        json!({ "egress": "sse_v1", "validation": "quarantine" }),
        json!({ "egress": "sse_v1", "validation": "off" }),
        json!({ "egress": "sse_v1", "reads": "folded" }),
    ] {
        let served = Served::start(ServeArgs::default()).await;
        served.bind("t/**", settings.clone()).await;
        assert_eq!(sse_v1(&served, "t/a").await, [] as [Value; 0]);
        served.send("PUT", "/v1/stream/t/a", json!([session("put", "1")])).await;
        let kept = json!({ "operation": "upsert", "correlationId": "mine", "tracestate": "a=b",
            "traceparent": "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01" });
        let mut sent = session("kept", "1");
        sent["headers"] = kept.clone();
        let mut bad = session("bad", "1");
        bad["headers"] = json!({ "operation": "insert", "correlationId": null, "traceparent": "00-0-0-0" });
        let mut nulled = gone("put");
        nulled["value"] = Value::Null;
        served.send("POST", "/v1/stream/t/a", json!([sent, bad, nulled])).await;
        served.send("POST", "/v1/stream/t/a", session("one", "1")).await;
        let entity = "/v1/state/t/a/-/entities/session/entity";
        served.send("PUT", entity, json!({ "id": "entity" })).await;
        served.send("PATCH", entity, json!({ "state": "2" })).await;
        served.send("POST", "/v1/state/t/a/-/changes", json!([session("batch", "1"), gone("one")])).await;
        let ingest = served.ask("POST", "/v1/state/t/a/-/changes").header("content-type", "application/x-ndjson");
        let lines = format!("{}\n{}\n", session("line", "1"), json!([session("line2", "1"), gone("line")]));
        let acks = ingest.body(lines).send().await.unwrap().text().await.unwrap();
        assert_eq!((acks.lines().count(), acks.contains("error")), (2, false), "{acks}");
        if settings["validation"] == "quarantine" {
            let mixed = json!([session("good", "1"), { "type": "session", "key": "x", "value": { "id": 7 },
                "headers": { "operation": "upsert" } }]);
            served.send("POST", "/v1/stream/t/a", mixed).await;
        }
        assert_eq!(served.status("DELETE", entity).await, 200);
        let fork = served.ask("PUT", "/v1/stream/t/fork").header("stream-forked-from", "/v1/stream/t/a");
        let fork = fork.header("content-type", "application/json").body(json!([session("forked", "1")]).to_string());
        assert_eq!(fork.send().await.unwrap().status(), 201);
        assert_eq!(sse_v1(&served, "t/fork").await.last().unwrap()["key"], "forked");
        let before = sse_v1(&served, "t/a").await;
        let found = before.iter().find(|change| change["key"] == "kept").unwrap();
        for (name, value) in kept.as_object().unwrap() {
            assert_eq!(&found["headers"][name], value);
        }
        assert_eq!(served.status("DELETE", "/v1/stream/t/a").await, 204);
        let after = sse_v1(&served, "t/a").await;
        if settings["reads"] == "folded" {
            assert_eq!(after, [] as [Value; 0]);
            let keys: Vec<&str> = before.iter().map(|change| change["key"].as_str().unwrap()).collect();
            assert_eq!(keys, ["kept", "bad", "batch", "line2"]);
        } else {
            assert!(after.len() > before.len());
        }
    }
}

#[tokio::test]
async fn brackets_come_to_an_sse_reader_that_asks_for_them_and_to_no_other() {
    let served = Served::start(ServeArgs::default()).await;
    served.bind("t/**", json!({ "egress": "sse_v1", "reads": "folded" })).await;
    served.send("POST", "/v1/stream/t/a", json!([session("a", "1"), session("a", "2"), session("b", "1")])).await;
    assert_eq!(sse_v1(&served, "t/a").await.len(), 2);
    let mut framed = Events::of(served.get("/v1/stream/t/a?offset=-1&live=sse&fold=true")).await;
    let data: Value = serde_json::from_str(&framed.next().await.unwrap().data).unwrap();
    let controls: Vec<&Value> =
        data.as_array().unwrap().iter().map(|message| &message["headers"]["control"]).collect();
    assert_eq!(controls, [&json!("snapshot-start"), &Value::Null, &Value::Null, &json!("snapshot-end")]);
}
