//! A server that answers from a script and remembers what it was asked, for the client's own tests.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use parking_lot::Mutex;

use super::Client;

/// One answer: status, headers, body. The connection stays; a body that ends is a cut for an event stream.
pub struct Reply(pub u16, pub Vec<(&'static str, &'static str)>, pub &'static str);

pub struct Asked {
    pub target: String,
    pub headers: HeaderMap,
    pub body: String,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// `epoch.seq body`, as a producer sent it.
    pub fn append(&self) -> String {
        let [epoch, seq] = ["producer-epoch", "producer-seq"].map(|name| self.header(name).unwrap());
        let keys: Vec<HashMap<String, serde_json::Value>> = serde_json::from_str(&self.body).unwrap();
        let keys: Vec<_> = keys.iter().map(|change| change["key"].as_str().unwrap()).collect();
        format!("{epoch}.{seq} {}", keys.join("+"))
    }
}

#[derive(Clone, Default)]
pub struct Script {
    replies: Arc<Mutex<VecDeque<Reply>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Script {
    /// Starts the server. Once the script is used up it answers 410, which nobody repeats.
    pub async fn start(replies: impl IntoIterator<Item = Reply>) -> (Self, Client) {
        let script = Self { replies: Arc::new(Mutex::new(replies.into_iter().collect())), asked: Arc::default() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let router = Router::new().fallback(answer).with_state(script.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (script, client)
    }

    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock())
    }

    pub fn appends(&self) -> Vec<String> {
        self.asked().iter().map(Asked::append).collect()
    }
}

async fn answer(State(script): State<Script>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let (target, body) = (head.uri.to_string(), String::from_utf8(body.to_vec()).unwrap());
    script.asked.lock().push(Asked { target, headers: head.headers, body });
    let Reply(status, headers, body) = script.replies.lock().pop_front().unwrap_or(Reply(410, vec![], ""));
    let response =
        headers.into_iter().fold(Response::builder().status(status), |r, (name, value)| r.header(name, value));
    response.body(Body::from(body)).unwrap()
}
