//! What clients that were written for other servers find here, over real sockets: streams at the root, event streams,
//! compressed answers, many readers on one connection, and the fields that SSE v1 asks for.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use keyfold::config::{ServeArgs, StoreKind};
use keyfold::server::{self, Running};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

/// A server of this process, and someone who asks it.
struct Served {
    running: Running,
    url: String,
    client: reqwest::Client,
}

impl Served {
    async fn start(settings: ServeArgs) -> Self {
        let settings = ServeArgs {
            host: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            port: Some(0),
            store: Some(StoreKind::Memory),
            long_poll_ms: Some(200),
            ..settings
        };
        let running = server::start(settings.settings().unwrap()).await.unwrap();
        let url = running.url();
        Self { running, url, client: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    /// With the root mounted at `prefix`.
    async fn mounted(prefix: &str) -> Self {
        Self::start(ServeArgs { root_mount: Some(prefix.into()), ..ServeArgs::default() }).await
    }

    fn ask(&self, method: &str, path: &str) -> RequestBuilder {
        self.client.request(Method::from_bytes(method.as_bytes()).unwrap(), format!("{}{path}", self.url))
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.ask("GET", path)
    }

    async fn status(&self, method: &str, path: &str) -> u16 {
        self.ask(method, path).send().await.unwrap().status().as_u16()
    }

    /// Sends JSON that must be taken.
    async fn send(&self, method: &str, path: &str, body: Value) -> Response {
        let sent = self.ask(method, path).header("content-type", "application/json").body(body.to_string());
        let answer = sent.send().await.unwrap();
        assert!(answer.status().is_success(), "{method} {path}: {}", answer.text().await.unwrap());
        answer
    }

    /// Registers `sessions` and `users` as `auth`, and binds `pattern` to it.
    async fn bind(&self, pattern: &str, settings: Value) {
        let id = json!({ "type": "object", "required": ["id"], "properties": { "id": { "type": "string" } } });
        let document = json!({ "collections": {
            "authSession": { "type": "session", "primaryKey": "id", "schema": id },
            "authUser": { "type": "user", "primaryKey": "id", "schema": id },
        } });
        self.send("POST", "/v1/schemas/auth/versions", document).await;
        let mut binding = json!({ "pattern": pattern, "subject": "auth" });
        binding.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        self.send("PUT", "/v1/bindings/auth", binding).await;
    }
}

fn session(id: &str, state: &str) -> Value {
    json!({ "type": "session", "key": id, "value": { "id": id, "state": state },
        "headers": { "operation": "upsert" } })
}

fn gone(id: &str) -> Value {
    json!({ "type": "session", "key": id, "headers": { "operation": "delete" } })
}

fn header<'r>(answer: &'r Response, name: &str) -> &'r str {
    answer.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// An event of an event stream; a comment has neither name nor data.
#[derive(Debug, Clone, Default, PartialEq)]
struct Event {
    name: Option<String>,
    id: Option<String>,
    data: String,
}

/// The events of a response, as they come.
struct Events {
    answer: Response,
    text: String,
}

impl Events {
    async fn of(request: RequestBuilder) -> Self {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(header(&answer, "content-type"), "text/event-stream");
        assert_eq!(header(&answer, "x-accel-buffering"), "no");
        Self { answer, text: String::new() }
    }

    /// The next event; `None` once the response has ended as it should.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let mut parsed = Event::default();
                let mut data = Vec::new();
                for line in event.lines() {
                    match line.split_once(':').map(|(field, text)| (field, text.strip_prefix(' ').unwrap_or(text))) {
                        Some(("event", name)) => parsed.name = Some(name.to_owned()),
                        Some(("id", id)) => parsed.id = Some(id.to_owned()),
                        Some(("data", text)) => data.push(text.to_owned()),
                        _ => {}
                    }
                }
                parsed.data = data.join("\n");
                self.text = rest.to_owned();
                return Some(parsed);
            }
            let more = tokio::time::timeout(Duration::from_secs(20), self.answer.chunk()).await;
            match more.expect("nothing came for long").expect("the response broke off") {
                Some(bytes) => self.text.push_str(std::str::from_utf8(&bytes).unwrap()),
                None => return None,
            }
        }
    }

    /// The next message of a plain EventSource: its id and data.
    async fn message(&mut self) -> (String, Value) {
        loop {
            let event = self.next().await.unwrap();
            if event.name.is_none() && !event.data.is_empty() {
                return (event.id.unwrap(), serde_json::from_str(&event.data).unwrap());
            }
        }
    }

    /// Reads on to the event of this name.
    async fn until(&mut self, name: &str) -> Event {
        loop {
            let event = self.next().await.unwrap();
            if event.name.as_deref() == Some(name) {
                return event;
            }
        }
    }
}

// The root mount.

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

// Event streams.

/// The three URLs of the EventSource view of a stream below a mount at `/`.
fn event_sources(served: &Served, stream: &str) -> [RequestBuilder; 3] {
    ["/v1/stream/{}", "/v1/state/{}/-/events", "/{}"]
        .map(|url| served.get(&url.replace("{}", stream)).header("accept", "text/event-stream"))
}

#[tokio::test]
async fn a_live_answer_begins_at_once() {
    let served = Served::mounted("/").await;
    served.bind("t/**", json!({})).await;
    served.send("PUT", "/plain", json!([])).await;
    for stream in ["t/unwritten", "plain"] {
        let mut live = vec![served.get(&format!("/{stream}?offset=-1&live=sse"))];
        live.extend(event_sources(&served, stream));
        for request in live {
            // Asking for compression must not hold an event back.
            let began = Instant::now();
            let mut events = Events::of(request.header("accept-encoding", "gzip, br, zstd")).await;
            let first = events.next().await.unwrap();
            assert!(matches!(first.name.as_deref(), Some("control" | "ready")), "{first:?}");
            assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
            assert_eq!(header(&events.answer, "content-encoding"), "");
            assert_eq!(header(&events.answer, "cache-control"), "no-cache");
        }
    }
}

#[tokio::test]
async fn a_silent_stream_is_told_to_be_alive() {
    let settings = ServeArgs { root_mount: Some("/".into()), heartbeat_ms: Some(200), ..ServeArgs::default() };
    let served = Served::start(settings).await;
    served.bind("t/**", json!({})).await;
    let mut protocol = Events::of(served.get("/t/a?offset=-1&live=sse")).await;
    for _ in 0..3 {
        let began = Instant::now();
        assert_eq!(protocol.next().await.unwrap().name.as_deref(), Some("control"));
        assert!(began.elapsed() < Duration::from_millis(600));
    }
    for request in event_sources(&served, "t/a") {
        let mut source = Events::of(request).await;
        source.until("ready").await;
        assert_eq!(
            [source.next().await.unwrap(), source.next().await.unwrap()],
            [Event::default(), Event::default()]
        );
    }
}

#[tokio::test]
async fn a_protocol_response_is_rotated_after_a_control_event_and_not_early() {
    let settings = ServeArgs { sse_rotation_ms: Some(2_000), ..ServeArgs::default() };
    let served = Served::start(settings).await;
    served.send("PUT", "/v1/stream/a", json!([1])).await;
    let began = Instant::now();
    let mut events = Events::of(served.get("/v1/stream/a?offset=-1&live=sse")).await;
    let mut last = None;
    while let Some(event) = events.next().await {
        last = Some(event);
    }
    assert_eq!(last.unwrap().name.as_deref(), Some("control"));
    let lasted = began.elapsed();
    assert!((Duration::from_millis(1_800)..Duration::from_millis(3_500)).contains(&lasted), "{lasted:?}");
}

#[tokio::test]
async fn an_event_source_goes_on_from_any_id_and_ends_where_a_closed_stream_does() {
    let served = Served::mounted("/").await;
    served.bind("t/**", json!({})).await;
    served.send("PUT", "/plain", json!([1, 2, 3])).await;
    served.send("POST", "/t/a", json!([session("a", "1"), session("b", "1"), session("c", "1")])).await;
    for (stream, wanted) in [("plain", json!(3)), ("t/a", session("c", "1")["value"].clone())] {
        for door in 0..3 {
            let at = |id: &str| {
                let request = event_sources(&served, stream).into_iter().nth(door).unwrap();
                request.header("last-event-id", id)
            };
            let request = event_sources(&served, stream).into_iter().nth(door).unwrap();
            let mut source = Events::of(request).await;
            let mut ids = Vec::new();
            for _ in 0..3 {
                ids.push(source.message().await.0);
            }
            ids.push(source.until("ready").await.id.unwrap());
            let (_, again) = Events::of(at(&ids[1])).await.message().await;
            assert_eq!(*again.get("value").unwrap_or(&again), wanted, "{stream} {door}");
            for id in &ids[2..] {
                assert_eq!(Events::of(at(id)).await.next().await.unwrap().name.as_deref(), Some("ready"));
            }
            for bad in ["12", "", "-3"] {
                let status = at(bad).send().await.unwrap().status().as_u16();
                // An empty id is how an EventSource says that it has none.
                assert_eq!(status, if bad.is_empty() { 200 } else { 400 }, "{bad}");
            }
        }
    }
    for stream in ["plain", "t/a"] {
        let closed = served.ask("POST", &format!("/{stream}")).header("stream-closed", "true").send().await.unwrap();
        assert_eq!(header(&closed, "stream-closed"), "true");
        for door in 0..3 {
            let mut source = Events::of(event_sources(&served, stream).into_iter().nth(door).unwrap()).await;
            let end = source.until("ready").await.id.unwrap();
            assert_eq!(source.next().await, None);
            let request = event_sources(&served, stream).into_iter().nth(door).unwrap();
            let again = request.header("last-event-id", end).send().await.unwrap();
            assert_eq!(again.status(), 204, "{stream} {door}");
        }
    }
}

#[tokio::test]
async fn a_type_that_the_schema_does_not_have_is_refused_wherever_types_are_asked_for() {
    let served = Served::mounted("/").await;
    served.bind("t/**", json!({})).await;
    served.send("POST", "/t/a", json!([session("a", "1")])).await;
    for (path, accept) in [
        ("/t/a", "text/event-stream"),
        ("/t/a", "application/json"),
        ("/v1/stream/t/a", "text/event-stream"),
        ("/v1/stream/t/a", "*/*"),
        ("/v1/stream/t/a?fold=true", "*/*"),
        ("/v1/stream/t/a?offset=-1&live=sse", "*/*"),
        ("/v1/stream/t/a?offset=-1&live=long-poll", "*/*"),
        ("/v1/state/t/a/-/events", "*/*"),
        ("/v1/state/t/a/-/snapshot", "*/*"),
    ] {
        let url = format!("{path}{}type=session,typo", if path.contains('?') { '&' } else { '?' });
        let refused = served.get(&url).header("accept", accept).send().await.unwrap();
        assert_eq!(refused.status(), 400, "{path} {accept}");
        assert!(refused.text().await.unwrap().contains("typo"));
    }
    let view = served.get("/t/a?type=session").header("accept", "application/json").send().await.unwrap();
    let expected = json!({ "collections": { "authSession": [{ "id": "a", "state": "1" }] } });
    assert_eq!(view.json::<Value>().await.unwrap(), expected);
}

#[tokio::test]
async fn a_server_that_stops_ends_event_streams_properly_and_listens_no_more() {
    let served = Served::mounted("/").await;
    served.bind("t/**", json!({})).await;
    served.send("POST", "/t/a", json!([session("a", "1")])).await;
    let mut live = vec![Events::of(served.get("/t/a?offset=-1&live=sse")).await];
    for request in event_sources(&served, "t/a") {
        live.push(Events::of(request).await);
    }
    for events in &mut live {
        events.next().await.unwrap();
    }
    served.running.stop().await.unwrap();
    for mut events in live {
        // A response that breaks off, instead of ending with its last chunk, panics here.
        while events.next().await.is_some() {}
    }
    assert!(served.client.get(&served.url).send().await.unwrap_err().is_connect());
}

// Compressed answers.

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(bytes), &mut out).unwrap();
    out
}

/// With `/v1/stream/t/a`, of several pages, and a stream of bytes at `/v1/stream/bytes`.
async fn with_much_to_read(pages_bytes_max: usize) -> Served {
    let settings = ServeArgs {
        root_mount: Some("/".into()),
        page_bytes_max: Some(60_000),
        pages_bytes_max: Some(pages_bytes_max),
        ..ServeArgs::default()
    };
    let served = Served::start(settings).await;
    served.bind("t/**", json!({})).await;
    for first in (0..2_000).step_by(100) {
        let batch: Vec<Value> = (first..first + 100).map(|n| session(&format!("s{n}"), "x")).collect();
        served.send("POST", "/v1/stream/t/a", json!(batch)).await;
    }
    let put = served.ask("PUT", "/v1/stream/bytes").header("content-type", "application/octet-stream");
    assert_eq!(put.body(vec![7_u8; 5_000]).send().await.unwrap().status(), 201);
    served
}

#[tokio::test]
async fn what_ends_is_compressed_for_those_who_ask_and_reads_back_as_it_was() {
    let served = with_much_to_read(16 << 20).await;
    for (path, accept) in [
        ("/v1/stream/t/a?offset=-1", "*/*"),
        ("/v1/stream/t/a?offset=-1&fold=true", "*/*"),
        ("/v1/stream/t/a?offset=-1&live=long-poll", "*/*"),
        ("/t/a", "application/json"),
        ("/v1/state/t/a/-/snapshot", "application/json"),
        ("/v1/state/t/a/-/snapshot", "application/x-ndjson"),
        ("/v1/state/t/a/-/entities/session", "*/*"),
        ("/v1/state/t/a/-/openapi.json", "*/*"),
        ("/openapi.json", "*/*"),
    ] {
        let plain = served.get(path).header("accept", accept).send().await.unwrap();
        assert_eq!((plain.status().as_u16(), header(&plain, "content-encoding")), (200, ""), "{path}");
        let (tag, cache) = (header(&plain, "etag").to_owned(), header(&plain, "cache-control").to_owned());
        let plain = plain.bytes().await.unwrap();
        let asked = served.get(path).header("accept", accept).header("accept-encoding", "br, gzip;q=0.8");
        let packed = asked.send().await.unwrap();
        assert_eq!(header(&packed, "content-encoding"), "gzip", "{path}");
        assert_eq!(header(&packed, "vary"), "Accept, Accept-Encoding, Origin", "{path}");
        assert_eq!(header(&packed, "cache-control"), cache, "{path}");
        assert_eq!(header(&packed, "content-length"), "", "{path}");
        let packed_tag = header(&packed, "etag").to_owned();
        assert_eq!(packed_tag, if tag.is_empty() { String::new() } else { format!("W/{tag}") }, "{path}");
        let packed = packed.bytes().await.unwrap();
        assert!(packed.len() * 2 < plain.len(), "{path}: {} of {}", packed.len(), plain.len());
        assert_eq!(gunzip(&packed), plain, "{path}");
        if tag.is_empty() || path.contains("live") {
            continue;
        }
        for (known, encoding, told) in
            [(&packed_tag, "gzip", &packed_tag), (&tag, "identity", &tag), (&packed_tag, "identity", &packed_tag)]
        {
            let again = served.get(path).header("if-none-match", known).header("accept-encoding", encoding);
            let again = again.send().await.unwrap();
            assert_eq!((again.status().as_u16(), header(&again, "etag")), (304, told.as_str()), "{path}");
        }
    }
}

#[tokio::test]
async fn what_is_small_live_refused_or_no_text_is_sent_as_it_is() {
    let served = with_much_to_read(16 << 20).await;
    served.send("PUT", "/v1/stream/small", json!([1])).await;
    let long = json!({ "id": "long", "state": "y".repeat(3_000) });
    served.send("PUT", "/v1/state/t/a/-/entities/session/long", long).await;
    for (path, encoding) in [
        ("/v1/stream/small?offset=-1", "gzip"),
        ("/v1/stream/bytes?offset=-1", "gzip"),
        ("/v1/stream/t/a?offset=-1", "gzip;q=0"),
        ("/v1/stream/t/a?offset=-1", "identity"),
        ("/v1/stream/t/a?offset=-1&live=sse", "gzip"),
        ("/v1/state/t/a/-/events", "gzip"),
        ("/v1/state/t/a/-/entities/session/long", "gzip"),
        ("/v1/stream/missing", "gzip"),
        ("/health", "gzip"),
    ] {
        let answer = served.get(path).header("accept-encoding", encoding).send().await.unwrap();
        assert_eq!(header(&answer, "content-encoding"), "", "{path} {encoding}");
    }
    let ingest = served.ask("POST", "/v1/state/t/a/-/changes").header("content-type", "application/x-ndjson");
    let lines: String = (0..100).map(|n| format!("{}\n", session(&format!("i{n}"), "x"))).collect();
    let acks = ingest.header("accept-encoding", "gzip").body(lines).send().await.unwrap();
    assert_eq!(header(&acks, "content-encoding"), "");
    assert_eq!(acks.text().await.unwrap().lines().count(), 100);
}

#[tokio::test]
async fn a_head_does_not_tell_a_length_that_a_get_would_not_have() {
    let served = Served::start(ServeArgs::default()).await;
    let head =
        |encoding: &'static str| served.ask("HEAD", "/openapi.json").header("accept-encoding", encoding).send();
    assert_ne!(header(&head("identity").await.unwrap(), "content-length"), "");
    assert_eq!(header(&head("gzip").await.unwrap(), "content-length"), "");
}

#[tokio::test]
async fn an_entitys_tag_is_a_precondition_whoever_weakened_it() {
    let served = Served::start(ServeArgs::default()).await;
    served.bind("t/**", json!({})).await;
    let path = "/v1/state/t/a/-/entities/session/a";
    served.send("PUT", path, json!({ "id": "a", "state": "z".repeat(3_000) })).await;
    let read = served.get(path).header("accept-encoding", "gzip").send().await.unwrap();
    let tag = header(&read, "etag").to_owned();
    assert!(tag.starts_with('"'), "{tag}");
    let put = |tag: String, status: u16| {
        let put = served.ask("PUT", path).header("if-match", tag).header("content-type", "application/json");
        let put = put.body(json!({ "id": "a" }).to_string()).send();
        async move { assert_eq!(put.await.unwrap().status(), status) }
    };
    put(format!("W/{tag}"), 200).await;
    put(format!("W/{tag}"), 412).await;
    put("W/x".to_owned(), 400).await;
}

#[tokio::test]
async fn compressed_pages_give_their_room_back() {
    let served = with_much_to_read(60_000).await;
    for _ in 0..5 {
        let asked = served.get("/v1/stream/t/a?offset=-1").header("accept-encoding", "gzip").send().await.unwrap();
        assert_eq!(header(&asked, "content-encoding"), "gzip");
        assert!(gunzip(&asked.bytes().await.unwrap()).len() > 10_000);
    }
    let whole = served.get("/v1/state/t/a/-/snapshot").header("accept-encoding", "gzip").send().await.unwrap();
    let whole: Value = serde_json::from_slice(&gunzip(&whole.bytes().await.unwrap())).unwrap();
    assert_eq!(whole["collections"]["authSession"].as_object().unwrap().len(), 2_000);
}

// HTTP/2 by prior knowledge.

type Requests = h2::client::SendRequest<Bytes>;

/// One connection; whatever is asked of it shares its socket.
async fn connect(served: &Served) -> Requests {
    let socket = tokio::net::TcpStream::connect(served.running.address).await.unwrap();
    // As browsers do, it takes any number of small frames.
    let builder = h2::client::Builder::new().data_frame_budget(64 << 20).to_owned();
    let (requests, connection) = builder.handshake(socket).await.unwrap();
    tokio::spawn(connection);
    requests.ready().await.unwrap()
}

/// Asks over a shared connection; the answer's body is still to be read.
async fn over(requests: &Requests, served: &Served, method: &str, path: &str, body: &str) -> h2::RecvStream {
    let mut requests = requests.clone().ready().await.unwrap();
    let request = axum::http::Request::builder().method(method).uri(format!("{}{path}", served.url));
    let request = request.header("content-type", "application/json").body(()).unwrap();
    let (answer, mut sends) = requests.send_request(request, body.is_empty()).unwrap();
    if !body.is_empty() {
        sends.send_data(Bytes::copy_from_slice(body.as_bytes()), true).unwrap();
    }
    let answer = answer.await.unwrap();
    assert!(answer.status().is_success(), "{method} {path}: {}", answer.status());
    answer.into_body()
}

async fn next(body: &mut h2::RecvStream) -> Option<Result<Bytes, h2::Error>> {
    let bytes = tokio::time::timeout(Duration::from_secs(20), body.data()).await.expect("nothing came for long")?;
    if let Ok(bytes) = &bytes {
        body.flow_control().release_capacity(bytes.len()).unwrap();
    }
    Some(bytes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_live_readers_and_their_writer_share_one_connection() {
    const READERS: usize = 300;
    let served = Served::start(ServeArgs::default()).await;
    served.send("PUT", "/v1/stream/a", json!([0])).await;
    let requests = connect(&served).await;
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let mut body = over(&requests, &served, "GET", "/v1/stream/a?offset=-1&live=sse", "").await;
        let first = next(&mut body).await.unwrap().unwrap();
        assert!(first.starts_with(b"event: data"), "{first:?}");
        readers.push(tokio::spawn(async move {
            let mut text = String::new();
            while !text.contains("\"last\"") {
                text.push_str(std::str::from_utf8(&next(&mut body).await.unwrap().unwrap()).unwrap());
            }
            for n in 1..20 {
                assert!(text.contains(&format!("\"m{n}\"")), "{text}");
            }
        }));
    }
    for n in 1..20 {
        let _ = over(&requests, &served, "POST", "/v1/stream/a", &format!("[\"m{n}\"]")).await;
    }
    let _ = over(&requests, &served, "POST", "/v1/stream/a", "[\"last\"]").await;
    for reader in readers {
        reader.await.unwrap();
    }
}

#[tokio::test]
async fn a_stream_created_over_http_2_is_told_its_whole_location() {
    let served = Served::start(ServeArgs::default()).await;
    let mut requests = connect(&served).await;
    let request = axum::http::Request::put(format!("{}/v1/stream/a", served.url)).body(()).unwrap();
    let (answer, _) = requests.send_request(request, true).unwrap();
    let answer = answer.await.unwrap();
    assert_eq!(answer.status(), 201);
    assert_eq!(answer.headers()["location"], format!("{}/v1/stream/a", served.url));
}

#[tokio::test]
async fn a_stream_that_is_not_read_gives_its_page_back_and_leaves_the_connection() {
    const PAGE: usize = 1 << 20;
    let settings = ServeArgs {
        page_bytes_max: Some(PAGE),
        pages_bytes_max: Some(PAGE),
        write_timeout_ms: Some(700),
        ..ServeArgs::default()
    };
    let served = Served::start(settings).await;
    let put = served.ask("PUT", "/v1/stream/a").header("content-type", "text/plain");
    assert_eq!(put.body("x".repeat(PAGE - 2_000)).send().await.unwrap().status(), 201);
    let requests = connect(&served).await;
    let mut unread = over(&requests, &served, "GET", "/v1/stream/a?offset=-1", "").await;
    let began = Instant::now();
    // There is room for one page, which the stuck stream has.
    let page = served.get("/v1/stream/a?offset=-1").send().await.unwrap();
    assert_eq!((page.status().as_u16(), page.bytes().await.unwrap().len()), (200, PAGE - 2_000));
    let waited = began.elapsed();
    assert!((Duration::from_millis(400)..Duration::from_secs(5)).contains(&waited), "{waited:?}");
    let mut came = 0;
    let reset = loop {
        match next(&mut unread).await.expect("it must not look whole") {
            Ok(bytes) => came += bytes.len(),
            Err(reset) => break reset,
        }
    };
    assert_eq!(reset.reason(), Some(h2::Reason::CANCEL));
    assert!(came < PAGE / 2, "{came}");
    // Its neighbours go on; also one that is slow, but reads.
    let mut slow = over(&requests, &served, "GET", "/v1/stream/a?offset=-1", "").await;
    let (mut came, began) = (0, Instant::now());
    while let Some(bytes) = next(&mut slow).await {
        let before = came;
        came += bytes.unwrap().len();
        if before >> 15 < came >> 15 {
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
    }
    assert_eq!(came, PAGE - 2_000);
    assert!(began.elapsed() > Duration::from_millis(1_400), "it was to take longer than a stuck write may");
}

#[tokio::test]
async fn a_live_reader_that_stops_reading_a_shared_connection_is_ended() {
    let settings = ServeArgs { write_timeout_ms: Some(500), heartbeat_ms: Some(10), ..ServeArgs::default() };
    let served = Served::start(settings).await;
    served.send("PUT", "/v1/stream/a", json!(["x".repeat(100_000)])).await;
    let requests = connect(&served).await;
    let unread = over(&requests, &served, "GET", "/v1/stream/a?offset=-1&live=sse", "").await;
    let readers = async || {
        let metrics = served.get("/metrics").send().await.unwrap().text().await.unwrap();
        let line = metrics.lines().find(|line| line.starts_with("keyfold_live_readers ")).map(str::to_owned);
        line.unwrap_or_else(|| panic!("{metrics}"))
    };
    assert!(readers().await.ends_with(" 1"));
    let began = Instant::now();
    while !readers().await.ends_with(" 0") {
        assert!(began.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(unread);
}

// What SSE v1 asks for.

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

// Browsers.

#[tokio::test]
async fn a_browser_is_let_in_before_it_shows_its_token_and_is_told_every_header() {
    let settings = ServeArgs { root_mount: Some("/".into()), token: Some("secret".into()), ..ServeArgs::default() };
    let served = Served::start(settings).await;
    let listed = |answer: &Response, name: &str| -> Vec<String> {
        header(answer, name).split(',').map(|item| item.trim().to_ascii_lowercase()).collect()
    };
    for path in ["/v1/stream/a", "/v1/state/a/-/entities/b/c", "/v1/schemas/a/versions", "/a/b", "/openapi.json"] {
        let preflight = served.ask("OPTIONS", path).header("origin", "https://app.example");
        let preflight = preflight.header("access-control-request-method", "PATCH");
        let preflight = preflight.header("access-control-request-headers", "authorization,if-match");
        let answer = preflight.send().await.unwrap();
        assert_eq!((answer.status().as_u16(), header(&answer, "access-control-allow-origin")), (200, "*"), "{path}");
        let methods = listed(&answer, "access-control-allow-methods");
        for method in ["get", "head", "post", "put", "patch", "delete", "options"] {
            assert!(methods.iter().any(|known| known == method), "{path} {method}");
        }
        let headers = listed(&answer, "access-control-allow-headers");
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
            "stream-schema",
            "stream-forked-from",
            "stream-fork-offset",
            "stream-fork-sub-offset",
        ] {
            assert!(headers.iter().any(|known| known == name), "{path} {name}");
        }
        let answer = served.get(path).header("origin", "https://app.example").send().await.unwrap();
        assert_eq!(answer.status(), 401, "{path}");
        let exposed = listed(&answer, "access-control-expose-headers");
        for name in [
            "stream-next-offset",
            "stream-cursor",
            "stream-up-to-date",
            "stream-closed",
            "stream-ttl",
            "stream-expires-at",
            "stream-sse-data-encoding",
            "producer-epoch",
            "producer-seq",
            "producer-expected-seq",
            "producer-received-seq",
            "etag",
            "location",
            "retry-after",
            "content-encoding",
        ] {
            assert!(exposed.iter().any(|known| known == name), "{path} {name}");
        }
    }
}
