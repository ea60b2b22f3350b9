//! What clients that were written for other servers find here, over real sockets: streams at the root, event streams,
//! compressed answers, many readers on one connection, and the fields that SSE v1 asks for.

mod browsers;
mod egress;
mod encoding;
mod events;
mod fan;
mod front;
mod multiplex;
mod pages;
mod root;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use keyfold::client::no_tls;
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
        let client = reqwest::Client::builder().no_proxy().tls_backend_preconfigured(no_tls());
        Self { running, url, client: client.build().unwrap() }
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
