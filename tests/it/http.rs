//! Every refusal that a client can run into, through the real router on a store in memory.
//!
//! A refusal is one shape: `application/problem+json` with a known type, its status, and whether anything was written.
//! [`World::refuses`] also looks at the stream before and after: a refusal that moves the tail is none.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request};
use http_body_util::BodyExt;
use keyfold::api::{Api, ApiSettings, ProblemType, router};
use keyfold::engine::{Engine, Settings};
use keyfold::model::{Limits, Timestamp};
use keyfold::runtime::Clock;
use keyfold::storage::MemoryStore;
use serde_json::{Value, json};
use tower::ServiceExt;

const ZERO: &str = "0000000000000000_0000000000000000";

/// A service in this process.
struct World {
    router: Router,
}

/// A request in the making.
#[derive(Clone)]
struct Call {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

/// A whole answer.
#[derive(Debug)]
struct Reply {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

fn call(method: &'static str, path: impl Into<String>) -> Call {
    Call { method, path: path.into(), headers: Vec::new(), body: Vec::new() }
}

fn get(path: impl Into<String>) -> Call {
    call("GET", path)
}

impl Call {
    fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn json(self, body: impl ToString) -> Self {
        self.body("application/json", body.to_string())
    }

    fn body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header("content-type", content_type)
    }

    fn producer(self, id: &str, epoch: u64, seq: u64) -> Self {
        self.header("producer-id", id)
            .header("producer-epoch", epoch.to_string())
            .header("producer-seq", seq.to_string())
    }
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl World {
    fn new() -> Self {
        Self::with(Limits::default(), ApiSettings::default())
    }

    fn with(limits: Limits, settings: ApiSettings) -> Self {
        let clock = Clock::manual(Timestamp::from_millis(1_800_000_000_000));
        let engine =
            Engine::start(MemoryStore::new(clock.clone()), clock, Settings { limits, ..Settings::default() });
        let api = Api::new(settings);
        api.serve_from(engine.unwrap());
        Self { router: router(api) }
    }

    /// With [`document`] registered as `things`, and `t/**` bound to it with these settings.
    async fn bound(settings: Value) -> Self {
        Self::new().bind(settings).await
    }

    async fn bind(self, settings: Value) -> Self {
        self.ok(call("POST", "/v1/schemas/things/versions").json(document())).await;
        let mut binding = json!({ "pattern": "t/**", "subject": "things" });
        binding.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        self.ok(call("PUT", "/v1/bindings/t").json(binding)).await;
        self
    }

    async fn send(&self, call: Call) -> Reply {
        let mut request = Request::builder().method(call.method).uri(&call.path);
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        let response = self.router.clone().oneshot(request.body(Body::from(call.body)).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Reply { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    async fn ok(&self, call: Call) -> Reply {
        let what = format!("{} {}", call.method, call.path);
        let reply = self.send(call).await;
        assert!((200..300).contains(&reply.status), "{what}: {reply:?}");
        reply
    }

    /// The stream's tail; empty where there is no such stream.
    async fn tail(&self, stream: &str) -> String {
        self.send(call("HEAD", format!("/v1/stream/{stream}"))).await.header("stream-next-offset").to_owned()
    }

    /// Sends a call that must be refused, and looks that `stream` did not move.
    async fn refuses(&self, stream: &str, refused: Call, kind: ProblemType) -> (Value, Reply) {
        let what = format!("{} {} {}", refused.method, refused.path, String::from_utf8_lossy(&refused.body));
        let before = self.tail(stream).await;
        let reply = self.send(refused).await;
        assert_eq!(self.tail(stream).await, before, "{what} moved the tail: {reply:?}");
        assert_eq!(reply.header("content-type"), "application/problem+json", "{what}: {reply:?}");
        assert_eq!(reply.header("cache-control"), "no-store", "{what}: {reply:?}");
        let problem = reply.json();
        let told = problem["type"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        assert_eq!(told, kind.slug(), "{what}: {problem}");
        assert_eq!(reply.status, kind.status().as_u16(), "{what}: {problem}");
        assert_eq!(problem["status"], reply.status, "{what}");
        assert_eq!(problem["title"], kind.title(), "{what}");
        assert_eq!(problem["written"], "no", "{what}");
        assert!(!problem["detail"].as_str().unwrap().is_empty(), "{what}");
        (problem, reply)
    }
}

fn document() -> Value {
    let text = json!({ "type": "string" });
    json!({ "collections": {
        "jobs": { "type": "job", "primaryKey": "id", "schema": {
            "type": "object", "required": ["id", "status"],
            "properties": { "id": text, "status": { "enum": ["queued", "running", "done"] } } } },
        "sagas": { "type": "saga", "primaryKey": "id", "versionField": "version", "schema": {
            "type": "object", "required": ["id", "version"],
            "properties": { "id": text, "version": { "type": "integer" } } } },
        "locks": { "type": "lock", "primaryKey": "id", "strict": true, "schema": {
            "type": "object", "required": ["id"], "properties": { "id": text } } },
    } })
}

fn change(operation: &str, entity_type: &str, value: Value) -> Value {
    json!({ "type": entity_type, "key": value["id"], "value": value, "headers": { "operation": operation } })
}

fn job(id: &str, status: &str) -> Value {
    change("upsert", "job", json!({ "id": id, "status": status }))
}

fn append(stream: &str) -> Call {
    call("POST", format!("/v1/stream/{stream}"))
}

fn entity(method: &'static str, key: &str) -> Call {
    call(method, format!("/v1/state/t/a/-/entities/job/{key}"))
}

// What a body may be.

#[tokio::test]
async fn malformed_json_is_refused() {
    let world = World::bound(json!({})).await;
    world.ok(append("t/a").json(job("a", "queued"))).await;
    world.ok(call("PUT", "/v1/stream/plain").header("content-type", "application/json")).await;
    for body in ["", " ", "[", "{\"type\":", "[1,]", "nul", "1 2", "\u{1}", "[] []"] {
        for stream in ["t/a", "plain"] {
            let kind = if body.is_empty() { ProblemType::EmptyBody } else { ProblemType::MalformedBody };
            world.refuses(stream, append(stream).json(body), kind).await;
        }
        if !body.is_empty() {
            let changes = call("POST", "/v1/state/t/a/-/changes").json(body);
            world.refuses("t/a", changes, ProblemType::MalformedBody).await;
        }
    }
    for stream in ["t/a", "plain"] {
        world.refuses(stream, append(stream).json("[]"), ProblemType::MalformedBody).await;
        let latin = append(stream).body("application/json", b"\"\xe4\"".to_vec());
        world.refuses(stream, latin, ProblemType::MalformedBody).await;
    }
}

#[tokio::test]
async fn another_content_type_is_refused() {
    let world = World::bound(json!({})).await;
    world.ok(append("t/a").json(job("a", "queued"))).await;
    world.ok(call("PUT", "/v1/stream/bytes").header("content-type", "text/plain")).await;
    let text = || append("t/a").body("text/plain", "x");
    world.refuses("t/a", text(), ProblemType::ContentTypeMismatch).await;
    world.refuses("bytes", append("bytes").json("1"), ProblemType::ContentTypeMismatch).await;
    world
        .refuses("t/b", call("PUT", "/v1/stream/t/b").body("text/plain", "x"), ProblemType::ContentTypeMismatch)
        .await;
    let put = entity("PUT", "a").body("text/plain", "{}");
    world.refuses("t/a", put, ProblemType::UnsupportedMediaType).await;
    let changes = call("POST", "/v1/state/t/a/-/changes").body("text/plain", "[]");
    world.refuses("t/a", changes, ProblemType::UnsupportedMediaType).await;
    let mut untold = append("t/a").json(job("a", "done"));
    untold.headers.clear();
    world.refuses("t/a", untold, ProblemType::MissingContentType).await;
    let mut untold = append("bytes").json("1");
    untold.headers.clear();
    world.refuses("bytes", untold, ProblemType::MissingContentType).await;
}

#[tokio::test]
async fn an_unknown_type_is_refused_with_the_known_ones() {
    let world = World::bound(json!({})).await;
    let sent = append("t/a").json(change("upsert", "jobb", json!({ "id": "a" })));
    let (problem, _) = world.refuses("t/a", sent, ProblemType::InvalidChanges).await;
    let error = &problem["errors"][0];
    assert_eq!((&error["index"], &error["pointer"], &error["keyword"]), (&json!(0), &json!("/type"), &json!("enum")));
    assert!(error["message"].as_str().unwrap().contains("job"), "{error}");
    let unknown = || call("GET", "/v1/state/t/a/-/entities/jobb");
    world.refuses("t/a", unknown(), ProblemType::CollectionNotFound).await;
}

#[tokio::test]
async fn a_key_that_is_not_the_primary_key_is_refused() {
    let world = World::bound(json!({})).await;
    let mut sent = job("a", "queued");
    sent["key"] = json!("b");
    let (problem, _) = world.refuses("t/a", append("t/a").json(sent), ProblemType::InvalidChanges).await;
    let error = &problem["errors"][0];
    assert_eq!((&error["pointer"], &error["keyword"]), (&json!("/id"), &json!("primaryKey")), "{error}");
    let put = entity("PUT", "b").json(json!({ "id": "a", "status": "done" }));
    world.refuses("t/a", put, ProblemType::InvalidChanges).await;
}

#[tokio::test]
async fn a_failing_value_refuses_the_whole_batch_and_says_where() {
    let world = World::bound(json!({})).await;
    world.ok(append("t/a").json(job("z", "queued"))).await;
    let batch = json!([job("a", "queued"), job("b", "lost"), change("upsert", "job", json!({ "id": "c" }))]);
    for sent in [append("t/a").json(&batch), call("POST", "/v1/state/t/a/-/changes").json(&batch)] {
        let (problem, _) = world.refuses("t/a", sent, ProblemType::InvalidChanges).await;
        let errors = problem["errors"].as_array().unwrap();
        assert_eq!(errors.len(), 2, "{problem}");
        assert_eq!(errors[0]["index"], 1);
        assert_eq!(errors[0]["pointer"], "/status");
        assert_eq!(errors[0]["keyword"], "enum");
        assert_eq!(errors[0]["schema_version"], 1);
        assert_eq!(errors[0]["schema_location"], "#/properties/status/enum");
        assert_eq!(errors[1]["index"], 2);
        assert_eq!(errors[1]["keyword"], "required");
    }
    world.refuses("t/a", entity("GET", "a"), ProblemType::EntityNotFound).await;
}

#[tokio::test]
async fn a_created_stream_with_a_failing_body_is_not_created() {
    let world = World::bound(json!({})).await;
    world.ok(call("POST", "/v1/schemas/other/versions").json(document())).await;
    let put = call("PUT", "/v1/stream/free").header("stream-schema", "other").json(job("a", "lost"));
    world.refuses("free", put, ProblemType::InvalidChanges).await;
    world.refuses("t/a", call("PUT", "/v1/stream/t/a").json(job("a", "lost")), ProblemType::InvalidChanges).await;
    assert_eq!(world.ok(get("/v1/state")).await.json()["streams"], json!([]));
}

#[tokio::test]
async fn too_large_is_refused() {
    let limits = Limits { request_bytes_max: 2_000, value_bytes_max: 300, ..Limits::default() };
    let world = World::with(limits, ApiSettings::default()).bind(json!({})).await;
    world.ok(call("PUT", "/v1/stream/bytes").header("content-type", "text/plain")).await;
    world.ok(append("bytes").body("text/plain", vec![b'x'; 2_000])).await;
    let body = append("bytes").body("text/plain", vec![b'x'; 2_001]);
    world.refuses("bytes", body, ProblemType::TooLarge).await;
    let long = json!({ "id": "a", "status": "done", "text": "x".repeat(300) });
    let sent = append("t/a").json(change("upsert", "job", long));
    let (problem, _) = world.refuses("t/a", sent, ProblemType::InvalidChanges).await;
    assert_eq!(problem["errors"][0]["keyword"], "maxBytes");
}

#[tokio::test]
async fn ambiguous_json_is_refused_where_it_is_typed() {
    let world = World::bound(json!({})).await;
    for body in [
        r#"{"type":"job","key":"a","value":{"id":"a","status":"done","status":"queued"},"headers":{"operation":"upsert"}}"#,
        r#"{"type":"job","key":"a","value":{"id":"a","status":"done","x":{"y":1,"y":1}},"headers":{"operation":"upsert"}}"#,
        r#"{"type":"job","key":"a","value":{"id":"a","status":"done","x":"\ud800"},"headers":{"operation":"upsert"}}"#,
        r#"{"type":"job","type":"saga","key":"a","value":{"id":"a","status":"done"},"headers":{"operation":"upsert"}}"#,
        r#"{"type":"job","key":"a","value":{"id":"a","status":"done"},"headers":{"operation":"upsert","operation":"delete"}}"#,
        r#"{"type":"job","key":"\udc00","value":{"id":"a","status":"done"},"headers":{"operation":"upsert"}}"#,
    ] {
        world.refuses("t/a", append("t/a").json(body), ProblemType::MalformedBody).await;
    }
    for value in [r#"{"id":"a","id":"b","status":"done"}"#, r#"{"id":"a","status":"done","x":"\udbff"}"#] {
        world.refuses("t/a", entity("PUT", "a").json(value), ProblemType::MalformedBody).await;
    }
}

#[tokio::test]
async fn nesting_is_bounded() {
    let world = World::bound(json!({})).await;
    world.ok(call("PUT", "/v1/stream/plain").header("content-type", "application/json")).await;
    let nested = |depth: usize| format!("{{\"x\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
    world.ok(append("plain").json(nested(128))).await;
    world.refuses("plain", append("plain").json(nested(129)), ProblemType::MalformedBody).await;
    world.refuses("plain", append("plain").json(nested(100_000)), ProblemType::MalformedBody).await;
    for depth in [129, 100_000] {
        let value = format!("{{\"id\":\"a\",\"status\":\"done\",\"x\":{}}}", nested(depth));
        let sent =
            format!("{{\"type\":\"job\",\"key\":\"a\",\"value\":{value},\"headers\":{{\"operation\":\"upsert\"}}}}");
        world.refuses("t/a", append("t/a").json(sent), ProblemType::MalformedBody).await;
        world.refuses("t/a", entity("PUT", "a").json(value), ProblemType::MalformedBody).await;
        let headers = format!("{{\"type\":\"job\",\"key\":\"a\",\"headers\":{}}}", nested(depth));
        let reply = world.send(append("t/a").json(headers)).await;
        assert!(matches!(reply.status, 400 | 422), "{reply:?}");
    }
    world
        .refuses("plain", call("POST", "/v1/schemas/deep/versions").json(nested(129)), ProblemType::MalformedBody)
        .await;
}

#[tokio::test]
async fn control_messages_are_the_servers() {
    for validation in ["reject", "quarantine", "warn", "off"] {
        let world = World::bound(json!({ "validation": validation })).await;
        for control in ["reset", "snapshot-start", "snapshot-end"] {
            let sent = append("t/a").json(json!([job("a", "done"), { "headers": { "control": control } }]));
            let (problem, _) = world.refuses("t/a", sent, ProblemType::InvalidChanges).await;
            assert_eq!(problem["errors"][0]["index"], 1);
            assert_eq!(problem["errors"][0]["pointer"], "/headers/control");
        }
    }
}

// What a name, a query and a header may be.

#[tokio::test]
async fn unsafe_names_are_refused() {
    let world = World::bound(json!({})).await;
    let long = "x".repeat(1025);
    for path in
        ["a%2Fb", "a%2fb", "a//b", "a/", "a/../b", "a/%2e%2e/b", ".", "%00", "a%0Ab", "%01registry", "%ff", &long]
    {
        for method in ["GET", "PUT", "POST", "DELETE"] {
            let sent = call(method, format!("/v1/stream/{path}")).json("1");
            world.refuses("t/a", sent, ProblemType::MalformedName).await;
        }
        let sent = get(format!("/v1/state/{path}"));
        if path != "a/" {
            world.refuses("t/a", sent, ProblemType::MalformedName).await;
        }
    }
}

#[tokio::test]
async fn a_typed_path_has_no_dash_segment() {
    let world = World::bound(json!({})).await;
    for path in ["t/-/x", "t/-", "t/x/-"] {
        let put = call("PUT", format!("/v1/stream/{path}"));
        world.refuses(path, put, ProblemType::MalformedName).await;
        world.refuses(path, append(path).json(job("a", "done")), ProblemType::MalformedName).await;
    }
    let free = call("PUT", "/v1/stream/free/-/x").header("stream-schema", "things");
    world.refuses("free/-/x", free, ProblemType::MalformedName).await;
    world.ok(call("PUT", "/v1/stream/free/-/x")).await;
}

#[tokio::test]
async fn malformed_offsets_are_refused() {
    let world = World::bound(json!({})).await;
    world.ok(append("t/a").json(job("a", "done"))).await;
    for offset in ["", "0", "abc", "-2", "NOW", "0000000000000000_000000000000000G", "0000000000000000", "%00"] {
        for query in ["offset", "min_offset"] {
            let read = get(format!("/v1/stream/t/a?{query}={offset}"));
            world.refuses("t/a", read, ProblemType::MalformedOffset).await;
        }
    }
    let beyond = "ffffffffffffffff_0000000000000000";
    for path in ["/v1/stream/t/a", "/v1/state/t/a/-/events"] {
        world.refuses("t/a", get(format!("{path}?offset={beyond}")), ProblemType::OffsetBeyondTail).await;
    }
    let marked = "0000000000000001_ffffffffffffffff";
    world.refuses("t/a", get(format!("/v1/stream/t/a?offset={marked}")), ProblemType::OffsetBeyondTail).await;
    let resumed = get("/v1/state/t/a/-/events").header("last-event-id", "12");
    world.refuses("t/a", resumed, ProblemType::MalformedOffset).await;
}

#[tokio::test]
async fn malformed_queries_are_refused() {
    let world = World::bound(json!({})).await;
    for path in [
        "/v1/stream/t/a?offset=-1&offset=now".to_owned(),
        "/v1/stream/t/a?offset=-1&live=maybe".to_owned(),
        "/v1/stream/t/a?live=long-poll".to_owned(),
        "/v1/stream/t/a?live=sse".to_owned(),
        "/v1/stream/t/a?offset=-1&fold=yes".to_owned(),
        format!("/v1/stream/t/a?offset=-1&fold=true&key_prefix={}", "x".repeat(1025)),
        "/v1/state?limit=0".to_owned(),
        "/v1/state?limit=x".to_owned(),
        "/v1/state/t/a/-/entities/job?limit=10001".to_owned(),
        "/v1/state/t/a/-/events?type=jobb".to_owned(),
    ] {
        world.refuses("t/a", get(path), ProblemType::MalformedQuery).await;
    }
}

#[tokio::test]
async fn malformed_headers_are_refused() {
    let world = World::bound(json!({})).await;
    world.ok(append("t/a").json(job("a", "done"))).await;
    let write = || append("t/a").json(job("a", "queued"));
    for sent in [
        write().header("producer-id", "p"),
        write().header("producer-id", "p").header("producer-epoch", "0"),
        write().header("producer-epoch", "0").header("producer-seq", "0"),
        write().header("producer-id", "").header("producer-epoch", "0").header("producer-seq", "0"),
        write().header("producer-id", "p").header("producer-epoch", "-1").header("producer-seq", "0"),
        write().header("producer-id", "p").header("producer-epoch", "0").header("producer-seq", "1.5"),
        write().header("producer-id", "p").header("producer-epoch", "9007199254740992").header("producer-seq", "0"),
        append("t/a").body("json", "1"),
        call("PUT", "/v1/stream/t/b").header("stream-ttl", "01"),
        call("PUT", "/v1/stream/t/b").header("stream-ttl", "+1"),
        call("PUT", "/v1/stream/t/b").header("stream-ttl", "1e3"),
        call("PUT", "/v1/stream/t/b").header("stream-ttl", "99999999999999999999"),
        call("PUT", "/v1/stream/t/b").header("stream-expires-at", "tomorrow"),
        call("PUT", "/v1/stream/t/b").header("stream-ttl", "1").header("stream-expires-at", "2030-01-01T00:00:00Z"),
        call("PUT", "/v1/stream/t/b").header("stream-schema", "things@x"),
        entity("PUT", "a").json(json!({})).header("if-match", "abc"),
        entity("PUT", "a").json(json!({})).header("if-match", "*").header("if-none-match", "*"),
    ] {
        world.refuses("t/a", sent, ProblemType::MalformedHeader).await;
        assert_eq!(world.ok(get("/v1/state")).await.json()["streams"].as_array().unwrap().len(), 1);
    }
}

// What there is.

#[tokio::test]
async fn an_unknown_stream_is_told_everywhere() {
    let world = World::bound(json!({})).await;
    for sent in [
        get("/v1/stream/no"),
        get("/v1/stream/no?offset=-1&live=long-poll"),
        get("/v1/stream/no?offset=-1&live=sse"),
        append("no").json("1"),
        call("DELETE", "/v1/stream/no"),
        get("/v1/state/no"),
        get("/v1/state/no/-/snapshot"),
        get("/v1/state/no/-/events"),
        get("/v1/state/no/-/quarantine"),
        get("/v1/state/no/-/openapi.json"),
        get("/v1/state/no/-/entities/job"),
        call("POST", "/v1/state/no/-/changes").json(json!([job("a", "done")])),
        call("PUT", "/v1/state/no/-/entities/job/a").json(json!({ "id": "a", "status": "done" })),
    ] {
        world.refuses("no", sent, ProblemType::StreamNotFound).await;
    }
    assert_eq!(world.send(call("HEAD", "/v1/stream/no")).await.status, 404);
}

#[tokio::test]
async fn untyped_streams_have_no_typed_views() {
    let world = World::bound(json!({})).await;
    world.ok(call("PUT", "/v1/stream/plain").json("1")).await;
    world.ok(call("PUT", "/v1/stream/bytes").body("text/plain", "x")).await;
    for sent in [
        get("/v1/stream/plain?offset=-1&fold=true"),
        get("/v1/stream/plain?offset=-1&type=job"),
        get("/v1/state/plain/-/entities/job"),
        get("/v1/state/plain/-/snapshot"),
        call("POST", "/v1/state/plain/-/changes").json(json!([job("a", "done")])),
        call("POST", "/v1/state/plain/-/changes").body("application/x-ndjson", job("a", "done").to_string()),
    ] {
        world.refuses("plain", sent, ProblemType::NotTyped).await;
    }
    world.refuses("bytes", get("/v1/state/bytes/-/events"), ProblemType::NotAcceptable).await;
}

#[tokio::test]
async fn nothing_is_written_to_a_closed_stream() {
    let world = World::bound(json!({})).await;
    world.ok(append("t/a").json(job("a", "done")).header("stream-closed", "true")).await;
    let tail = world.tail("t/a").await;
    for sent in [
        append("t/a").json(job("b", "done")),
        append("t/a").json(job("b", "done")).producer("p", 0, 0),
        call("POST", "/v1/state/t/a/-/changes").json(json!([job("b", "done")])),
        entity("PUT", "a").json(json!({ "id": "a", "status": "queued" })),
        entity("DELETE", "a"),
    ] {
        let (_, reply) = world.refuses("t/a", sent, ProblemType::StreamClosed).await;
        assert_eq!((reply.header("stream-closed"), reply.header("stream-next-offset")), ("true", tail.as_str()));
    }
    assert_eq!(world.send(append("t/a").header("stream-closed", "true")).await.status, 204);
}

#[tokio::test]
async fn what_is_elsewhere_or_not_done_is_told() {
    let world = World::bound(json!({})).await;
    for (sent, kind) in [
        (get("/v2"), ProblemType::NotFound),
        (get("/v1/state/t/a/-/nothing"), ProblemType::NotFound),
        (call("PATCH", "/v1/stream/t/a"), ProblemType::MethodNotAllowed),
        (call("DELETE", "/v1/schemas"), ProblemType::MethodNotAllowed),
        (call("PUT", "/v1/state/t/a/-/changes").json("[]"), ProblemType::MethodNotAllowed),
        (call("POST", "/v1/state/t/a/-/snapshot").json("[]"), ProblemType::MethodNotAllowed),
        (get("/v1/stream/__ds/nothing"), ProblemType::NotFound),
        (call("PATCH", "/v1/stream/__ds/subscriptions/x"), ProblemType::MethodNotAllowed),
        (call("PUT", "/v1/stream/__%64s/x").json("[]"), ProblemType::MalformedName),
    ] {
        world.refuses("t/a", sent, kind).await;
    }
}

#[tokio::test]
async fn another_configuration_of_a_stream_is_refused() {
    let world = World::bound(json!({})).await;
    world.ok(call("PUT", "/v1/stream/s").header("content-type", "text/plain")).await;
    world.ok(call("PUT", "/v1/stream/s").header("content-type", "text/plain")).await;
    for sent in [
        call("PUT", "/v1/stream/s").header("content-type", "application/json"),
        call("PUT", "/v1/stream/s").header("content-type", "text/plain").header("stream-ttl", "60"),
        call("PUT", "/v1/stream/s").header("content-type", "text/plain").header("stream-closed", "true"),
    ] {
        world.refuses("s", sent, ProblemType::StreamExists).await;
    }
}

// Who writes.

#[tokio::test]
async fn producers_are_fenced_as_the_protocol_asks() {
    let world = World::bound(json!({})).await;
    let write = |epoch, seq| append("t/a").json(job("a", "done")).producer("p", epoch, seq);
    assert_eq!(world.ok(write(1, 0)).await.status, 200);
    let tail = world.tail("t/a").await;
    assert_eq!(world.ok(write(1, 0)).await.status, 204);
    assert_eq!(world.tail("t/a").await, tail, "a repeat was written again");
    let (_, stale) = world.refuses("t/a", write(0, 5), ProblemType::StaleEpoch).await;
    assert_eq!(stale.header("producer-epoch"), "1");
    let (_, gap) = world.refuses("t/a", write(1, 3), ProblemType::SeqGap).await;
    assert_eq!((gap.header("producer-expected-seq"), gap.header("producer-received-seq")), ("1", "3"));
    world.refuses("t/a", write(2, 1), ProblemType::EpochStart).await;
    let other = append("t/a").json(job("a", "done")).producer("q", 0, 4);
    world.refuses("t/a", other, ProblemType::SeqGap).await;
    let repeated = append("t/a").json(job("a", "lost")).producer("p", 1, 0);
    assert_eq!(world.ok(repeated).await.status, 204, "a repeat is a repeat, whatever the schema says of it today");
}

#[tokio::test]
async fn a_restarted_producer_is_told_its_epoch_under_epoch_floor() {
    let world = World::bound(json!({ "producers": "epoch_floor" })).await;
    let write = |id: &str, epoch, seq| append("t/a").json(job("a", "done")).producer(id, epoch, seq);
    world.ok(write("p", 0, 0)).await;
    world.ok(write("p", 0, 1)).await;
    let (_, stale) = world.refuses("t/a", write("p", 0, 0), ProblemType::StaleEpoch).await;
    assert_eq!(stale.header("producer-epoch"), "0");
    assert_eq!(world.ok(write("p", 1, 0)).await.status, 200);
    assert_eq!(world.ok(write("p", 0, 1)).await.status, 204, "a former epoch's accepted tuple");
    let (_, unknown) = world.refuses("t/a", write("new", 3, 5), ProblemType::StaleEpoch).await;
    assert_eq!(unknown.header("producer-epoch"), "3");
    assert_eq!(world.ok(write("new", 4, 0)).await.status, 200);
}

#[tokio::test]
async fn a_stream_remembers_a_bounded_number_of_producers() {
    let limits = Limits { producers_max: 2, ..Limits::default() };
    let world = World::with(limits, ApiSettings::default()).bind(json!({})).await;
    for id in ["a", "b"] {
        world.ok(append("t/a").json(job("a", "done")).producer(id, 0, 0)).await;
    }
    let third = append("t/a").json(job("a", "done")).producer("c", 0, 0);
    let (_, reply) = world.refuses("t/a", third, ProblemType::TooManyProducers).await;
    assert!(reply.header("retry-after").parse::<u64>().unwrap() > 0);
    world.ok(append("t/a").json(job("a", "done")).producer("a", 0, 1)).await;
}

#[tokio::test]
async fn a_stream_seq_that_does_not_grow_is_refused() {
    let world = World::bound(json!({})).await;
    for stream in ["t/a", "plain"] {
        world.ok(call("PUT", format!("/v1/stream/{stream}")).header("content-type", "application/json")).await;
        let write = |seq: &str| append(stream).json(job("a", "done")).header("stream-seq", seq);
        world.ok(write("b")).await;
        for seq in ["a", "b"] {
            world.refuses(stream, write(seq), ProblemType::StreamSeqRegression).await;
        }
        world.ok(write("ba")).await;
    }
}

// Who may ask, and when.

#[tokio::test]
async fn a_missing_or_wrong_token_is_401_and_health_is_open() {
    let settings = ApiSettings { token: Some("secret".into()), ..ApiSettings::default() };
    let world = World::with(Limits::default(), settings);
    for path in ["/", "/v1/stream/a", "/v1/state", "/v1/schemas", "/metrics", "/openapi.json", "/docs/", "/nothing"] {
        for header in [None, Some("Bearer wrong"), Some("Bearer "), Some("Basic secret"), Some("secret")] {
            let mut sent = get(path);
            sent.headers.extend(header.map(|value| ("authorization", value.to_owned())));
            let (_, reply) = world.refuses("a", sent, ProblemType::Unauthorized).await;
            assert_eq!(reply.header("www-authenticate"), "Bearer");
        }
    }
    for path in ["/health", "/health/live", "/health/ready"] {
        assert_eq!(world.send(get(path)).await.status, 200, "{path}");
    }
    for scheme in ["Bearer secret", "bearer secret"] {
        assert_eq!(world.send(get("/v1/state").header("authorization", scheme)).await.status, 200);
    }
}

#[tokio::test]
async fn everything_but_liveness_waits_for_recovery() {
    let world = World { router: router(Api::new(ApiSettings::default())) };
    for path in [
        "/v1/stream/a",
        "/v1/state",
        "/v1/state/a",
        "/v1/schemas",
        "/v1/bindings",
        "/metrics",
        "/health",
        "/health/ready",
    ] {
        let (_, reply) = world.refuses("a", get(path), ProblemType::Recovering).await;
        assert!(reply.header("retry-after").parse::<u64>().unwrap() > 0, "{path}");
    }
    world.refuses("a", append("a").json("1"), ProblemType::Recovering).await;
    world.refuses("a", call("PUT", "/v1/bindings/b").json("{}"), ProblemType::Recovering).await;
    assert_eq!(world.send(get("/health/live")).await.status, 200);
}

#[tokio::test]
async fn browsers_may_ask_from_anywhere() {
    let settings = ApiSettings { token: Some("secret".into()), ..ApiSettings::default() };
    let world = World::with(Limits::default(), settings);
    let preflight = call("OPTIONS", "/v1/stream/a")
        .header("origin", "https://app.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,producer-id,if-match,last-event-id");
    let reply = world.ok(preflight).await;
    assert_eq!(reply.header("access-control-allow-origin"), "*");
    let allowed = reply.header("access-control-allow-headers").to_ascii_lowercase();
    for name in [
        "content-type",
        "authorization",
        "if-match",
        "if-none-match",
        "last-event-id",
        "producer-id",
        "producer-epoch",
        "producer-seq",
        "stream-seq",
        "stream-closed",
        "stream-ttl",
        "stream-expires-at",
    ] {
        assert!(allowed.split(',').any(|known| known.trim() == name), "{name}: {allowed}");
    }
    let methods = reply.header("access-control-allow-methods");
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] {
        assert!(methods.contains(method), "{method}: {methods}");
    }
    let refused = world.send(get("/v1/stream/a").header("origin", "https://app.example")).await;
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (401, "*"));
    let exposed = refused.header("access-control-expose-headers").to_ascii_lowercase();
    for name in [
        "stream-next-offset",
        "stream-cursor",
        "stream-up-to-date",
        "stream-closed",
        "producer-epoch",
        "producer-seq",
        "producer-expected-seq",
        "producer-received-seq",
        "etag",
        "location",
        "retry-after",
    ] {
        assert!(exposed.split(',').any(|known| known.trim() == name), "{name}: {exposed}");
    }
}

#[tokio::test]
async fn every_answer_tells_browsers_what_it_is() {
    let world = World::bound(json!({})).await;
    world.ok(append("t/a").json(job("a", "done"))).await;
    for path in ["/", "/health", "/v1/stream/t/a?offset=-1", "/v1/stream/no", "/nothing", "/openapi.json"] {
        let reply = world.send(get(path)).await;
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(reply.header("cross-origin-resource-policy"), "cross-origin", "{path}");
        assert_eq!(reply.header("vary"), "Accept, Accept-Encoding, Origin", "{path}");
    }
}

// What a binding says of values.

/// Where a stream's record of refused changes stands.
async fn quarantine(world: &World) -> Value {
    world.ok(get("/v1/state/t/a/-/quarantine")).await.json()
}

#[tokio::test]
async fn reject_refuses_the_batch() {
    let world = World::bound(json!({ "validation": "reject" })).await;
    world.ok(append("t/a").json(job("z", "done"))).await;
    let sent = append("t/a").json(json!([job("a", "done"), job("b", "lost")])).producer("p", 0, 0);
    world.refuses("t/a", sent, ProblemType::InvalidChanges).await;
    assert_eq!(quarantine(&world).await["entries"], json!([]));
    let sent = append("t/a").json(job("a", "done")).producer("p", 0, 0);
    assert_eq!(world.ok(sent).await.status, 200, "a refused batch does not advance its producer");
}

#[tokio::test]
async fn quarantine_keeps_the_change_aside_and_advances_the_producer() {
    let world = World::bound(json!({ "validation": "quarantine" })).await;
    world.ok(append("t/a").json(job("z", "done"))).await;
    let tail = world.tail("t/a").await;
    let bad = || append("t/a").json(job("b", "lost")).producer("p", 0, 0);
    assert_eq!(world.ok(bad()).await.status, 200);
    assert_eq!(world.ok(bad()).await.status, 204, "the tuple was accepted, so its repeat is one");
    assert_eq!(world.tail("t/a").await, tail, "what is kept aside takes no position");
    let kept = quarantine(&world).await;
    assert_eq!(kept["entries"].as_array().unwrap().len(), 1, "{kept}");
    assert_eq!(kept["entries"][0]["change"]["key"], "b");
    assert_eq!(kept["entries"][0]["errors"][0]["pointer"], "/status");
    assert_eq!(world.ok(get("/v1/state/t/a")).await.json()["quarantined"], 1);
    let mixed = json!([job("c", "done"), { "type": "nobody", "key": "x" }, { "headers": {} }]);
    let reply = world.ok(call("POST", "/v1/state/t/a/-/changes").json(mixed).producer("p", 0, 1)).await.json();
    assert_eq!((&reply["quarantined"], &reply["applied"]), (&json!(2), &json!(false)), "{reply}");
    assert!(reply["offsets"][0].is_string() && reply["offsets"][1].is_null(), "{reply}");
    world.refuses("t/a", entity("GET", "b"), ProblemType::EntityNotFound).await;
    assert_eq!(world.ok(entity("GET", "c")).await.json()["status"], "done");
    world.refuses("t/a", append("t/a").json("[{"), ProblemType::MalformedBody).await;
}

#[tokio::test]
async fn warn_and_off_write_what_the_schema_refuses_but_no_bad_envelope() {
    for validation in ["warn", "off"] {
        let world = World::bound(json!({ "validation": validation })).await;
        world.ok(append("t/a").json(job("b", "lost"))).await;
        assert_eq!(world.ok(entity("GET", "b")).await.json()["status"], "lost");
        assert_eq!(quarantine(&world).await["entries"], json!([]));
        for bad in [json!({ "type": "job" }), change("upsert", "nobody", json!({ "id": "a" })), json!(7)] {
            world.refuses("t/a", append("t/a").json(bad), ProblemType::InvalidChanges).await;
        }
    }
}

#[tokio::test]
async fn close_ignore_answers_and_keeps_the_stream_open() {
    let world = World::bound(json!({ "close": "ignore" })).await;
    world.ok(append("t/a").json(job("a", "queued"))).await;
    world.ok(append("t/a").header("stream-closed", "true")).await;
    world.ok(append("t/a").json(job("a", "running")).header("stream-closed", "true")).await;
    assert_eq!(world.ok(append("t/a").json(job("a", "done"))).await.status, 204);
    assert_eq!(world.ok(get("/v1/state/t/a")).await.json()["closed"], false);
    assert_eq!(world.ok(get("/v1/stream/t/a?offset=-1")).await.json().as_array().unwrap().len(), 3);
}

// What an entity must be like.

#[tokio::test]
async fn a_failed_precondition_tells_the_current_one() {
    let world = World::bound(json!({})).await;
    let value = |status: &str| json!({ "id": "a", "status": status });
    let first = world.ok(entity("PUT", "a").json(value("queued")).header("if-none-match", "*")).await;
    let old = first.header("etag").to_owned();
    let second = world.ok(entity("PUT", "a").json(value("running")).header("if-match", &old)).await;
    let current = second.header("etag").to_owned();
    assert_ne!(old, current);
    for sent in [
        entity("PUT", "a").json(value("done")).header("if-match", &old),
        entity("PUT", "a").json(value("done")).header("if-none-match", "*"),
        entity("PUT", "a").json(value("done")).header("if-none-match", &current),
        entity("PATCH", "a").body("application/merge-patch+json", "{\"status\":\"done\"}").header("if-match", &old),
        entity("DELETE", "a").header("if-match", &old),
    ] {
        let (problem, reply) = world.refuses("t/a", sent, ProblemType::PreconditionFailed).await;
        assert_eq!(reply.header("etag"), current, "{problem}");
    }
    let absent = call("PUT", "/v1/state/t/a/-/entities/job/no").json(json!({ "id": "no", "status": "done" }));
    let (_, reply) = world.refuses("t/a", absent.header("if-match", "*"), ProblemType::PreconditionFailed).await;
    assert_eq!(reply.header("etag"), "");
    world.refuses("t/a", entity("DELETE", "no"), ProblemType::EntityNotFound).await;
    world.refuses("t/a", entity("PATCH", "no").json("{}"), ProblemType::EntityNotFound).await;
    assert_eq!(world.send(entity("GET", "a").header("if-none-match", &current)).await.status, 304);
    let patched = entity("PATCH", "a").body("application/merge-patch+json", "{\"status\":\"done\"}");
    world.ok(patched.header("if-match", &current)).await;
    assert_eq!(world.ok(entity("GET", "a")).await.json()["status"], "done");
}

#[tokio::test]
async fn a_repeated_patch_is_a_repeat_and_not_a_failed_precondition() {
    let world = World::bound(json!({})).await;
    let put = world.ok(entity("PUT", "a").json(json!({ "id": "a", "status": "queued" }))).await;
    let etag = put.header("etag").to_owned();
    let patch = || {
        let patch = entity("PATCH", "a").body("application/merge-patch+json", "{\"status\":\"done\"}");
        patch.header("if-match", &etag).producer("p", 0, 0)
    };
    world.ok(patch()).await;
    let tail = world.tail("t/a").await;
    world.ok(patch()).await;
    assert_eq!(world.tail("t/a").await, tail);
}

#[tokio::test]
async fn an_older_version_is_dropped_and_an_equal_one_overwrites() {
    let world = World::bound(json!({})).await;
    let saga =
        |version: u64, note: &str| change("upsert", "saga", json!({ "id": "s", "version": version, "note": note }));
    let write = |batch: Value| call("POST", "/v1/state/t/a/-/changes").json(batch);
    world.ok(write(json!([saga(1, "running"), saga(2, "compensating"), saga(3, "completed")]))).await;
    let tail = world.tail("t/a").await;
    let reply = world.ok(write(json!([saga(1, "late")]))).await.json();
    assert_eq!((&reply["applied"], &reply["offsets"]), (&json!(false), &json!([null])), "{reply}");
    assert_eq!(world.tail("t/a").await, tail);
    let read = || get("/v1/state/t/a/-/entities/saga/s");
    assert_eq!(world.ok(read()).await.json()["note"], "completed");
    let reply = world.ok(write(json!([saga(3, "again"), saga(2, "late")]))).await.json();
    assert!(reply["offsets"][0].is_string() && reply["offsets"][1].is_null(), "{reply}");
    assert_eq!(world.ok(read()).await.json()["note"], "again");
    let gone = json!({ "type": "saga", "key": "s", "headers": { "operation": "delete" } });
    world.ok(write(json!([gone]))).await;
    let reply = world.ok(write(json!([saga(2, "late")]))).await.json();
    assert_eq!(reply["applied"], false, "a deletion keeps the version that it deletes: {reply}");
}

#[tokio::test]
async fn a_strict_collection_refuses_a_second_insert() {
    let world = World::bound(json!({})).await;
    let lock = || change("insert", "lock", json!({ "id": "l" }));
    world.ok(append("t/a").json(lock())).await;
    let etag = format!("\"{}\"", world.tail("t/a").await);
    let (problem, reply) =
        world.refuses("t/a", append("t/a").json(json!([job("a", "done"), lock()])), ProblemType::EntityExists).await;
    assert_eq!(problem["errors"][0]["index"], 1);
    assert_eq!(reply.header("etag"), etag);
    let twice =
        json!([change("insert", "lock", json!({ "id": "m" })), change("insert", "lock", json!({ "id": "m" }))]);
    world.refuses("t/a", append("t/a").json(twice), ProblemType::EntityExists).await;
    world.ok(append("t/a").json(change("insert", "job", json!({ "id": "a", "status": "done" })))).await;
    world.ok(append("t/a").json(change("insert", "job", json!({ "id": "a", "status": "done" })))).await;
}

// What a bound stream is.

#[tokio::test]
async fn a_bound_stream_exists_before_its_first_write() {
    let world = World::bound(json!({})).await;
    let read = world.ok(get("/v1/stream/t/a?offset=-1")).await;
    assert_eq!((read.json(), read.header("stream-up-to-date")), (json!([]), "true"));
    assert_eq!(world.tail("t/a").await, ZERO);
    assert_eq!(world.ok(get("/v1/state/t/a")).await.json()["written"], false);
    assert_eq!(world.ok(get("/v1/state/t/a/-/entities/job")).await.json()["entities"], json!([]));
    world.ok(append("t/a").json(job("a", "done"))).await;
    assert_eq!(world.ok(get("/v1/state/t/a")).await.json()["written"], true);
}

#[tokio::test]
async fn deleting_a_bound_stream_deletes_its_entities_and_positions_go_on() {
    let world = World::bound(json!({})).await;
    world.ok(append("t/a").json(json!([job("a", "done"), job("b", "done"), job("a", "queued")]))).await;
    let before = world.tail("t/a").await;
    assert_eq!(world.send(call("DELETE", "/v1/stream/t/a")).await.status, 204);
    let after = world.tail("t/a").await;
    assert!(after > before, "{before} {after}");
    let tombstones = world.ok(get(format!("/v1/stream/t/a?offset={before}"))).await.json();
    let keys: Vec<_> =
        tombstones.as_array().unwrap().iter().map(|c| (&c["key"], &c["headers"]["operation"])).collect();
    assert_eq!(keys.len(), 2, "{tombstones}");
    assert!(keys.iter().all(|(_, operation)| *operation == "delete"), "{tombstones}");
    assert_eq!(world.ok(get("/v1/state/t/a/-/entities/job")).await.json()["entities"], json!([]));
    assert_eq!(world.send(call("DELETE", "/v1/stream/t/a")).await.status, 204);
    assert_eq!(world.tail("t/a").await, after);
    world.ok(append("t/a").json(job("a", "done"))).await;
}

#[tokio::test]
async fn a_name_created_again_starts_above_what_it_handed_out() {
    let world = World::new();
    world.ok(call("PUT", "/v1/stream/s").json("[1,2,3]")).await;
    let old = world.tail("s").await;
    world.ok(call("DELETE", "/v1/stream/s")).await;
    world.refuses("s", get("/v1/stream/s"), ProblemType::StreamNotFound).await;
    let created = world.ok(call("PUT", "/v1/stream/s").json("[4]")).await;
    assert!(created.header("stream-next-offset") > old.as_str());
    world.refuses("s", get(format!("/v1/stream/s?offset={old}")), ProblemType::OffsetGone).await;
    assert_eq!(world.ok(get("/v1/stream/s?offset=-1")).await.json(), json!([4]));
}

#[tokio::test]
async fn a_read_waits_for_min_offset() {
    let world = World::bound(json!({})).await;
    world.ok(append("t/a").json(job("a", "done"))).await;
    let tail = world.tail("t/a").await;
    for path in ["/v1/stream/t/a?offset=-1&", "/v1/state/t/a/-/entities/job/a?", "/v1/state/t/a/-/snapshot?"] {
        world.ok(get(format!("{path}min_offset={tail}"))).await;
    }
    let next = format!("{:016x}_{}", u64::from_str_radix(&tail[..16], 16).unwrap() + 1, &tail[17..]);
    let path = format!("/v1/state/t/a/-/entities/job/a?min_offset={next}");
    let (_, reply) = world.refuses("t/a", get(path.clone()), ProblemType::NotYetDurable).await;
    assert!(!reply.header("retry-after").is_empty());
    let late = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        world.ok(append("t/a").json(job("a", "queued"))).await
    };
    let (read, _) = tokio::join!(world.send(get(path)), late);
    assert_eq!(read.json()["status"], "queued", "{read:?}");
}

// What the registry refuses.

#[tokio::test]
async fn a_document_that_cannot_be_used_is_refused_with_the_places() {
    let world = World::new();
    let register = |body: Value| call("POST", "/v1/schemas/s/versions").json(body);
    let mut no_key = document();
    no_key["collections"]["jobs"]["primaryKey"] = json!("nothing");
    let mut twice = document();
    twice["collections"]["sagas"]["type"] = json!("job");
    let mut broken = document();
    broken["collections"]["jobs"]["schema"]["type"] = json!(7);
    for body in [json!([]), json!({}), json!({ "collections": { "x": {} } }), no_key, twice, broken] {
        let (problem, _) = world.refuses("s", register(body), ProblemType::InvalidDocument).await;
        assert!(problem["errors"][0]["pointer"].is_string(), "{problem}");
    }
    let text = call("POST", "/v1/schemas/s/versions").body("text/plain", "{}");
    world.refuses("s", text, ProblemType::UnsupportedMediaType).await;
    let sent = call("POST", "/v1/schemas/s/versions").json("{\"collections\":{},\"collections\":{}}");
    world.refuses("s", sent, ProblemType::MalformedBody).await;
    let named = call("POST", "/v1/schemas/s%20t/versions").json(document());
    world.refuses("s", named, ProblemType::MalformedName).await;
    assert_eq!(world.ok(get("/v1/schemas")).await.json()["subjects"], json!([]));
    for path in
        ["/v1/schemas/s", "/v1/schemas/s/versions", "/v1/schemas/s/versions/1", "/v1/schemas/s/versions/latest"]
    {
        world.refuses("s", get(path), ProblemType::SubjectNotFound).await;
    }
}

#[tokio::test]
async fn registering_the_same_content_again_keeps_its_version() {
    let world = World::new();
    let register = || call("POST", "/v1/schemas/s/versions").json(document());
    let first = world.send(register()).await;
    let again = world.send(register()).await;
    assert_eq!((first.status, again.status), (201, 200));
    assert_eq!(first.json(), again.json());
}

#[tokio::test]
async fn a_binding_that_cannot_be_used_is_refused() {
    let world = World::bound(json!({})).await;
    let bind = |body: Value| call("PUT", "/v1/bindings/b").json(body);
    for body in [
        json!({ "pattern": "x/**" }),
        json!({ "pattern": "x/**", "subject": "nobody" }),
        json!({ "pattern": "x/**", "subject": "things", "version": 9 }),
        json!({ "pattern": "x//y", "subject": "things" }),
        json!({ "pattern": "x/**", "subject": "things", "validation": "maybe" }),
        json!({ "pattern": "x/**", "subject": "things", "valdation": "off" }),
        json!({ "pattern": "x/**", "subject": "things", "reads": "folded", "tombstone_horizon_s": 60 }),
        json!({ "pattern": "x/**", "subject": "things", "egress": "sse_v1", "tombstone_horizon_s": 60 }),
    ] {
        world.refuses("x/a", bind(body), ProblemType::InvalidBinding).await;
    }
    world.refuses("x/a", call("PUT", "/v1/bindings/b").json("{"), ProblemType::MalformedBody).await;
    let tie = bind(json!({ "pattern": "t/**", "subject": "things" }));
    world.refuses("t/a", tie, ProblemType::BindingConflict).await;
    world.refuses("t/a", get("/v1/bindings/b"), ProblemType::BindingNotFound).await;
    world.refuses("t/a", call("DELETE", "/v1/bindings/b"), ProblemType::BindingNotFound).await;
    assert_eq!(world.ok(get("/v1/bindings")).await.json()["bindings"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn binding_a_stream_whose_entities_do_not_fit_lists_them() {
    let world = World::new();
    world.ok(call("PUT", "/v1/stream/x/a").json(json!([job("good", "done"), job("bad", "lost")]))).await;
    world.ok(call("POST", "/v1/schemas/things/versions").json(document())).await;
    let bind = || call("PUT", "/v1/bindings/x").json(json!({ "pattern": "x/**", "subject": "things" }));
    let (problem, _) = world.refuses("x/a", bind(), ProblemType::DataFails).await;
    let errors = problem["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 1, "{problem}");
    assert_eq!((&errors[0]["stream"], &errors[0]["key"]), (&json!("x/a"), &json!("bad")), "{problem}");
    assert_eq!(errors[0]["pointer"], "/status");
    world.ok(append("x/a").json(job("bad", "done"))).await;
    world.ok(bind()).await;
    assert_eq!(world.ok(get("/v1/state/x/a/-/entities/job")).await.json()["entities"].as_array().unwrap().len(), 2);
}

// What an ingest refuses.

#[tokio::test]
async fn the_first_refused_line_ends_an_ingest() {
    let world = World::bound(json!({})).await;
    let lines = [job("a", "done"), job("b", "done"), job("c", "lost"), job("d", "done")];
    let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let ingest = |body: String| {
        let sent = call("POST", "/v1/state/t/a/-/changes").body("application/x-ndjson", body);
        sent.header("producer-id", "p").header("producer-epoch", "0")
    };
    let reply = world.ok(ingest(body)).await;
    let told: Vec<Value> = reply
        .body
        .split(|b| *b == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!((&told[0]["seq"], &told[1]["seq"], &told[2]["seq"]), (&json!(0), &json!(1), &json!(2)));
    assert_eq!(told[2]["error"]["status"], 422, "{told:?}");
    assert_eq!(told[2]["error"]["written"], "no");
    let tail = world.tail("t/a").await;
    assert_eq!(told[1]["offset"], tail);
    world.refuses("t/a", entity("GET", "d"), ProblemType::EntityNotFound).await;
    let again = world.ok(ingest(format!("{}\n{}\n", lines[0], lines[1]))).await;
    assert!(String::from_utf8_lossy(&again.body).contains("\"duplicate\":true"), "{again:?}");
    assert_eq!(world.tail("t/a").await, tail);
    let half = call("POST", "/v1/state/t/a/-/changes").body("application/x-ndjson", "1").header("producer-id", "p");
    world.refuses("t/a", half, ProblemType::MalformedHeader).await;
}

#[tokio::test]
async fn a_path_that_is_not_utf_8_is_refused_like_everything_else() {
    let world = World::new();
    for (path, status) in [
        ("/v1/schemas/%ff", 400),
        ("/v1/bindings/%ff", 400),
        ("/v1/stream/%ff", 400),
        ("/v1/state/%ff", 400),
        ("/docs/%ff", 404),
        ("/nowhere/%ff", 404),
    ] {
        let reply = world.send(get(path)).await;
        assert_eq!((reply.status, reply.header("content-type")), (status, "application/problem+json"), "{path}");
    }
}

// Forks.

fn fork(name: &str, source: &str) -> Call {
    call("PUT", format!("/v1/stream/{name}")).header("stream-forked-from", format!("/v1/stream/{source}"))
}

async fn snapshot(world: &World, stream: &str) -> Value {
    world.ok(get(format!("/v1/state/{stream}/-/snapshot"))).await.json()["collections"].clone()
}

#[tokio::test]
async fn a_fork_that_cannot_be_is_refused() {
    let world = World::bound(json!({})).await;
    let made = world.ok(call("PUT", "/v1/stream/a").json(json!([1, 2, 3]))).await;
    let tail = made.header("stream-next-offset").to_owned();
    let offset = |text: &str| fork("b", "a").header("stream-fork-offset", text);
    let sub = |at: &str, by: &str| offset(at).header("stream-fork-sub-offset", by);
    let beyond = format!("{}4_{}", &ZERO[..15], &ZERO[17..]);
    let walking = format!("{}1_{}1", &ZERO[..15], &ZERO[17..32]);
    for (refused, kind) in [
        (fork("b", "nowhere"), ProblemType::StreamNotFound),
        (fork("b", "b"), ProblemType::StreamNotFound),
        (call("PUT", "/v1/stream/b").header("stream-forked-from", "a"), ProblemType::MalformedHeader),
        (call("PUT", "/v1/stream/b").header("stream-forked-from", "/v1/stream/a%2Fb"), ProblemType::MalformedName),
        (call("PUT", "/v1/stream/b").header("stream-fork-offset", ZERO), ProblemType::MalformedHeader),
        (offset("x"), ProblemType::MalformedOffset),
        (offset(&beyond), ProblemType::OffsetBeyondTail),
        (offset(&walking), ProblemType::MalformedForkPoint),
        (sub(ZERO, "4"), ProblemType::MalformedForkPoint),
        (sub(ZERO, "01"), ProblemType::MalformedHeader),
        (sub(&tail, "1"), ProblemType::MalformedForkPoint),
        (fork("b", "a").header("stream-fork-sub-offset", "1"), ProblemType::MalformedForkPoint),
        (fork("b", "a").header("content-type", "text/plain"), ProblemType::ForkConflict),
        (fork("b", "a").header("stream-schema", "things"), ProblemType::ForkConflict),
        (fork("t/b", "a"), ProblemType::ForkConflict),
        (fork("a", "a"), ProblemType::StreamExists),
    ] {
        world.refuses("a", refused, kind).await;
    }
    // None of them holds on to the source.
    world.ok(call("DELETE", "/v1/stream/a")).await;
    world.refuses("a", get("/v1/stream/a"), ProblemType::StreamNotFound).await;
}

#[tokio::test]
async fn a_fork_brings_nothing_back_that_its_schema_refuses() {
    let world = World::bound(json!({})).await;
    world.ok(call("PUT", "/v1/stream/x/a").json(json!([job("a", "lost"), job("b", "queued")]))).await;
    let bad = world.ok(call("HEAD", "/v1/stream/x/a")).await.header("stream-next-offset").to_owned();
    let good = world.ok(append("x/a").json(job("a", "done"))).await.header("stream-next-offset").to_owned();
    world.ok(append("x/a").json(job("b", "done"))).await;
    world.ok(call("PUT", "/v1/bindings/x").json(json!({ "pattern": "x/**", "subject": "things" }))).await;
    for name in ["x/b", "b"] {
        let at = |offset: &str| fork(name, "x/a").header("stream-fork-offset", offset);
        world.refuses("x/a", at(&bad), ProblemType::DataFails).await;
        world.refuses("x/a", at(&bad).json(job("a", "done")), ProblemType::DataFails).await;
        world.ok(at(&good)).await;
        assert_eq!(snapshot(&world, name).await["jobs"]["b"]["status"], "queued", "{name}");
    }
}

#[tokio::test]
async fn a_long_poll_is_told_that_its_stream_is_kept_for_its_forks() {
    let world = World::new();
    let tail = world.ok(call("PUT", "/v1/stream/a").json("1")).await.header("stream-next-offset").to_owned();
    world.ok(fork("b", "a")).await;
    let waiting = world.send(get(format!("/v1/stream/a?offset={tail}&live=long-poll")));
    let delete = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        world.ok(call("DELETE", "/v1/stream/a")).await
    };
    let (told, _) = tokio::join!(waiting, delete);
    assert_eq!(told.status, 410);
}

#[tokio::test]
async fn a_fork_is_confirmed_only_with_the_schema_that_it_has() {
    let world = World::bound(json!({})).await;
    world.ok(call("PUT", "/v1/stream/a").json("1")).await;
    world.ok(append("t/a").json(job("a", "queued"))).await;
    world.ok(fork("b", "a")).await;
    world.refuses("b", fork("b", "a").header("stream-schema", "things"), ProblemType::StreamExists).await;
    for _ in 0..2 {
        world.ok(fork("c", "t/a").header("stream-schema", "things@1")).await;
    }
}

#[tokio::test]
async fn a_deleted_source_is_kept_for_its_forks_and_for_nobody_else() {
    let world = World::new();
    world.ok(call("PUT", "/v1/stream/a").json(json!([1, 2, 3]))).await;
    world.ok(fork("b", "a")).await;
    world.ok(call("DELETE", "/v1/stream/a")).await;
    for gone in [get("/v1/stream/a"), append("a").json("4"), call("DELETE", "/v1/stream/a"), get("/v1/state/a")] {
        world.refuses("b", gone, ProblemType::SoftDeleted).await;
    }
    world.refuses("b", get("/v1/stream/a?offset=-1&live=long-poll"), ProblemType::SoftDeleted).await;
    world.refuses("b", call("PUT", "/v1/stream/a").json("1"), ProblemType::StreamExists).await;
    world.refuses("b", fork("c", "a"), ProblemType::ForkConflict).await;
    let listed = world.ok(get("/v1/state")).await.json();
    assert_eq!(listed["streams"].as_array().unwrap().len(), 1, "{listed}");
    let told = world.ok(get("/v1/state/b")).await.json();
    assert_eq!(told["fork_of"]["source"], "a", "{told}");
    world.ok(fork("d", "b")).await;
    assert_eq!(world.ok(get("/v1/state/b")).await.json()["forks"], 1);
    world.ok(call("DELETE", "/v1/stream/d")).await;
    world.ok(append("b").json("4")).await;
    assert_eq!(world.ok(get("/v1/stream/b")).await.json(), json!([1, 2, 3, 4]));
    world.ok(call("DELETE", "/v1/stream/b")).await;
    world.refuses("a", get("/v1/stream/a"), ProblemType::StreamNotFound).await;
    world.ok(call("PUT", "/v1/stream/a").json("1")).await;
}

#[tokio::test]
async fn a_stream_has_a_bounded_number_of_forks() {
    let limits = Limits { forks_max: 1, ..Limits::default() };
    let world = World::with(limits, ApiSettings::default());
    world.ok(call("PUT", "/v1/stream/a").json("1")).await;
    world.ok(fork("b", "a")).await;
    world.ok(fork("b", "a")).await;
    world.refuses("a", fork("c", "a"), ProblemType::LimitReached).await;
    world.ok(call("DELETE", "/v1/stream/b")).await;
    world.ok(fork("c", "a")).await;
}

#[tokio::test]
async fn a_typed_stream_forks_with_its_schema_and_the_entities_up_to_there() {
    let world = World::bound(json!({})).await;
    world.ok(append("t/a").json(json!([job("a", "queued"), job("b", "queued")]))).await;
    let second =
        world.ok(append("t/a").json(json!([job("a", "running"), job("c", "queued"), job("a", "done")]))).await;
    let offset = format!("{}2_{}", &ZERO[..15], &ZERO[17..]);
    assert!(second.header("stream-next-offset") > offset.as_str());
    // Within the second batch: `a` is running, `c` is queued, and `a` is not done yet.
    let cut = |name| fork(name, "t/a").header("stream-fork-offset", &offset).header("stream-fork-sub-offset", "2");
    for name in ["t/b", "elsewhere"] {
        let made = world.ok(cut(name)).await;
        assert_eq!(made.header("stream-schema"), "things@1");
        let a = json!({ "id": "a", "status": "running" });
        let (b, c) = (json!({ "id": "b", "status": "queued" }), json!({ "id": "c", "status": "queued" }));
        assert_eq!(snapshot(&world, name).await["jobs"], json!({ "a": a, "b": b, "c": c }), "{name}");
        world.refuses(name, append(name).json(job("d", "lost")), ProblemType::InvalidChanges).await;
        world.ok(append(name).json(json!({ "type": "job", "key": "b", "headers": { "operation": "delete" } }))).await;
        assert_eq!(snapshot(&world, name).await["jobs"], json!({ "a": a, "c": c }), "{name}");
        let folded = world.ok(get(format!("/v1/stream/{name}?fold=true"))).await.json();
        assert_eq!(folded.as_array().unwrap().len(), 2 + 2, "{folded}");
    }
    assert_eq!(snapshot(&world, "t/a").await["jobs"]["a"]["status"], "done");
}

#[tokio::test]
async fn a_typed_forks_first_batch_is_judged_by_what_it_inherits() {
    let world = World::bound(json!({})).await;
    let saga = |version: u64| change("upsert", "saga", json!({ "id": "s", "version": version }));
    let lock = change("insert", "lock", json!({ "id": "l" }));
    world.ok(append("t/a").json(json!([saga(2), lock]))).await;
    world.refuses("t/b", fork("t/b", "t/a").json(json!([lock])), ProblemType::EntityExists).await;
    world.refuses("t/b", fork("t/b", "t/a").json(json!([job("a", "lost")])), ProblemType::InvalidChanges).await;
    world.ok(fork("t/b", "t/a").json(json!([saga(1), job("a", "done")]))).await;
    let told = snapshot(&world, "t/b").await;
    assert_eq!((&told["sagas"]["s"]["version"], &told["jobs"]["a"]["status"]), (&json!(2), &json!("done")), "{told}");
    assert!(told["locks"]["l"].is_object(), "{told}");
    // The refused ones hold on to nothing: two forks were asked for and one is there.
    assert_eq!(world.ok(get("/v1/stream/t/b")).await.json().as_array().unwrap().len(), 3);
}
