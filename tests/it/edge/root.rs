//! What clients find that know no `/v1/stream`.

use super::*;

#[tokio::test]
async fn nothing_is_at_the_root_unless_it_is_mounted() {
    let served = Served::start(ServeArgs::default()).await;
    served.send("PUT", "/v1/stream/a/b", json!([])).await;
    assert_eq!(served.status("GET", "/a/b").await, 404);
    assert_eq!(served.status("PUT", "/a/b").await, 404);
}

#[tokio::test]
async fn the_root_mount_serves_the_whole_protocol_below_its_prefix() {
    let served = Served::mounted("netscript").await;
    let put = served.ask("PUT", "/chat/one").header("content-type", "application/json").send().await.unwrap();
    assert_eq!(put.status(), 201);
    assert_eq!(header(&put, "location"), format!("{}/chat/one", served.url));
    served.send("POST", "/chat/one", json!([{ "chunk": 1 }, { "chunk": 2 }])).await;
    for path in ["/chat/one?offset=-1", "/v1/stream/netscript/chat/one?offset=-1", "/chat/one"] {
        let read = served.get(path).send().await.unwrap();
        assert_eq!(header(&read, "stream-up-to-date"), "true", "{path}");
        assert_eq!(read.text().await.unwrap(), r#"[{"chunk":1},{"chunk":2}]"#, "{path}");
    }
    let head = served.ask("HEAD", "/chat/one").send().await.unwrap();
    assert_eq!(head.status(), 200);
    let tail = header(&head, "stream-next-offset").to_owned();
    let polled = served.get(&format!("/chat/one?offset={tail}&live=long-poll")).send().await.unwrap();
    assert_eq!((polled.status().as_u16(), header(&polled, "stream-up-to-date")), (204, "true"));
    let mut live = Events::of(served.get("/chat/one?offset=-1&live=sse")).await;
    assert_eq!(live.next().await.unwrap().name.as_deref(), Some("data"));
    assert_eq!(live.next().await.unwrap().name.as_deref(), Some("control"));
    let closed = served.ask("POST", "/chat/one").header("stream-closed", "true").send().await.unwrap();
    assert_eq!(header(&closed, "stream-closed"), "true");
    let fork = served.ask("PUT", "/chat/two").header("stream-forked-from", "/chat/one").send().await.unwrap();
    assert_eq!((fork.status().as_u16(), header(&fork, "stream-next-offset")), (201, tail.as_str()));
    assert_eq!(served.status("DELETE", "/chat/two").await, 204);
    assert_eq!(served.status("DELETE", "/chat/one").await, 204);
    assert_eq!(served.status("GET", "/v1/stream/netscript/chat/one").await, 404);
    assert_eq!(served.status("PATCH", "/chat/one").await, 405);
    // Without its prefix the stream is another one.
    assert_eq!(served.status("GET", "/v1/stream/chat/one").await, 404);
}

#[tokio::test]
async fn the_root_mount_never_shadows_what_is_the_servers_own() {
    let served = Served::mounted("/").await;
    for path in
        ["/", "/health", "/health/live", "/metrics", "/docs/", "/openapi.json", "/api/openapi.json", "/v1/state"]
    {
        let answer = served.get(path).header("accept", "application/json").send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        assert!(answer.headers().get("stream-next-offset").is_none(), "{path}");
    }
    for path in [
        "/v1",
        "/v1/x",
        "/v1/stream",
        "/%761/x",
        "/api/x",
        "/docs/a/b",
        "/health/x",
        "/metrics/x",
        "/openapi.json/x",
        "/favicon.ico",
        "/.well-known/x",
        "/__ds/subscriptions",
        "/%5f%5fds/x",
        "/__ds",
    ] {
        assert_eq!(served.status("PUT", path).await, 404, "{path}");
        assert_eq!(served.status("GET", path).await, 404, "{path}");
    }
    for path in ["/", "/health", "/metrics"] {
        assert_eq!(served.status("PUT", path).await, 405, "{path}");
    }
    let listed: Value = served.get("/v1/state").send().await.unwrap().json().await.unwrap();
    assert_eq!(listed["streams"], json!([]));
}

#[tokio::test]
async fn a_mounted_path_is_read_like_one_below_v1_stream() {
    let served = Served::mounted("/").await;
    served.send("PUT", "/a%20b/%C3%BC", json!([1])).await;
    for path in ["/v1/stream/a%20b/%c3%bc", "/a b/ü"] {
        assert_eq!(served.get(path).send().await.unwrap().text().await.unwrap(), "[1]", "{path}");
    }
    for path in ["/a%2Fb", "/a//b", "/a/", "/%ff", "/a%0Ab", &format!("/{}", "x".repeat(1025))] {
        for path in [path.to_owned(), format!("/v1/stream{path}")] {
            assert_eq!(served.status("GET", &path).await, 400, "{path}");
        }
    }
}

#[tokio::test]
async fn the_token_guards_mounted_paths_as_well() {
    let settings = ServeArgs { root_mount: Some("/".into()), token: Some("secret".into()), ..ServeArgs::default() };
    let served = Served::start(settings).await;
    assert_eq!(served.status("PUT", "/a").await, 401);
    let put = served.ask("PUT", "/a").bearer_auth("secret").send().await.unwrap();
    assert_eq!(put.status(), 201);
}

#[tokio::test]
async fn a_client_that_accepts_json_is_given_the_materialised_view() {
    let served = Served::mounted("netscript/").await;
    served.bind("netscript/auth/**", json!({})).await;
    let view = async |path: &str| -> Value {
        let answer = served.get(path).header("accept", "application/json").send().await.unwrap();
        assert_eq!((answer.status().as_u16(), header(&answer, "content-type")), (200, "application/json"));
        answer.json().await.unwrap()
    };
    let empty = json!({ "collections": { "authSession": [], "authUser": [] } });
    assert_eq!(view("/auth/sessions").await, empty);
    let batch = json!([session("a", "new"), session("b", "new"), session("a", "active"), gone("b")]);
    served.send("POST", "/auth/sessions", batch).await;
    let expected = json!({ "collections": { "authSession": [{ "id": "a", "state": "active" }], "authUser": [] } });
    assert_eq!(view("/auth/sessions").await, expected);
    let many: Vec<Value> = (0..500).map(|n| session(&format!("s{n}"), &"x".repeat(40))).collect();
    served.send("POST", "/auth/sessions", json!(many)).await;
    assert_eq!(view("/auth/sessions").await["collections"]["authSession"].as_array().unwrap().len(), 501);
    // Whoever says where to read from, or accepts anything, reads by the protocol.
    for (path, accept) in [
        ("/auth/sessions?offset=-1", "application/json"),
        ("/auth/sessions", "*/*"),
        ("/auth/sessions", "application/json;q=0, */*"),
    ] {
        let answer = served.get(path).header("accept", accept).send().await.unwrap();
        assert_ne!(header(&answer, "stream-next-offset"), "", "{path} {accept}");
        assert!(answer.json::<Value>().await.unwrap().is_array(), "{path} {accept}");
    }
    assert_eq!(served.get("/nobody").header("accept", "application/json").send().await.unwrap().status(), 404);
    // Nothing says what an untyped stream's entities are.
    served.send("PUT", "/plain", json!([1, 2])).await;
    let plain = served.get("/plain").header("accept", "application/json").send().await.unwrap();
    assert_eq!(plain.text().await.unwrap(), "[1,2]");
}

#[tokio::test]
async fn a_materialised_view_of_many_pages_is_whole() {
    let settings = ServeArgs { root_mount: Some("/".into()), page_bytes_max: Some(2_000), ..ServeArgs::default() };
    let served = Served::start(settings).await;
    served.bind("auth/**", json!({})).await;
    for first in (0..400).step_by(20) {
        let batch: Vec<Value> = (first..first + 20).map(|n| session(&format!("s{n}"), "x")).collect();
        served.send("POST", "/auth/s", json!(batch)).await;
    }
    let view = served.get("/auth/s").header("accept", "application/json").send().await.unwrap();
    let view: Value = view.json().await.unwrap();
    let sessions = view["collections"]["authSession"].as_array().unwrap();
    assert_eq!(sessions.len(), 400);
    assert_eq!((&sessions[0]["id"], &sessions[399]["id"]), (&json!("s0"), &json!("s399")));
    assert_eq!(view["collections"]["authUser"], json!([]));
}

#[tokio::test]
async fn an_event_source_at_the_root_is_told_one_change_a_message() {
    let served = Served::mounted("netscript/").await;
    served.bind("netscript/**", json!({})).await;
    served.send("POST", "/workers/executions", json!([session("a", "1"), session("b", "1")])).await;
    let events = || served.get("/workers/executions").header("accept", "text/event-stream");
    let mut source = Events::of(events()).await;
    let (first, change) = source.message().await;
    assert_eq!((&change["key"], &change["value"]["state"]), (&json!("a"), &json!("1")));
    assert_eq!(source.message().await.1["key"], "b");
    source.until("ready").await;
    served.send("POST", "/workers/executions", json!([gone("a")])).await;
    let (_, change) = source.message().await;
    assert_eq!((&change["key"], change.get("value")), (&json!("a"), None));
    // What came back wins over what stands in the URL, which an EventSource keeps.
    let again = served.get("/workers/executions?offset=-1").header("accept", "text/event-stream");
    let mut again = Events::of(again.header("last-event-id", &first)).await;
    assert_eq!(again.message().await.1["key"], "b");
    for bad in ["12", "x", "ffffffffffffffff_0000000000000000"] {
        let refused = events().header("last-event-id", bad).send().await.unwrap();
        assert_eq!(refused.status(), 400, "{bad}");
        assert_eq!(header(&refused, "content-type"), "application/problem+json");
    }
}

#[tokio::test]
async fn the_client_forks_a_stream_and_reads_on_from_there() {
    let served = Served::start(ServeArgs::default()).await;
    let client = keyfold::client::Client::new(&served.url).unwrap();
    served.send("PUT", "/v1/stream/a/b", json!([1, 2, 3])).await;
    let fork = client.stream("a/c");
    let beginning = "0000000000000000_0000000000000000";
    let tail = fork.fork_of("a/b", Some(beginning), 2).await.unwrap();
    assert_eq!(fork.fork_of("a/b", None, 0).await.unwrap(), tail, "asked again, it is there");
    assert_eq!(fork.inspect().await.unwrap().fork_of.unwrap().source, "a/b");
    assert_eq!(served.get("/v1/stream/a/c").send().await.unwrap().text().await.unwrap(), "[1,2]");
    let refused = client.stream("a/d").fork_of("a/b", Some(beginning), 4).await.unwrap_err();
    assert!(refused.is_problem("malformed-fork-point"), "{refused}");
}
