//! What clients that were written for other servers find here, over real sockets: streams at the root, event streams,
//! compressed answers, many readers on one connection, and the fields that SSE v1 asks for.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

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
