//! Requests as any client sends them: the answer as it is, or none because the server went away.

use bytes::Bytes;
use keyfold::client::no_tls;
use reqwest::header::HeaderMap;
use reqwest::{Body, Method};
use serde_json::Value;

/// No whole answer came: the request was carried out, or was not.
#[derive(Debug)]
pub struct Cut;

/// A whole answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("header values are text"))
    }

    /// The tail that the answer tells.
    pub fn next_offset(&self) -> String {
        let offset = self.header("stream-next-offset");
        assert!(!offset.is_empty(), "no Stream-Next-Offset: {self:?}");
        offset.to_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn expect(self, statuses: &[u16]) -> Self {
        assert!(statuses.contains(&self.status), "expected one of {statuses:?}: {self:?}");
        self
    }
}

/// A client of one run of the server.
pub struct Http {
    client: reqwest::Client,
    url: String,
}

pub const JSON: (&str, &str) = ("content-type", "application/json");

impl Http {
    pub fn new(url: String) -> Self {
        Self {
            client: reqwest::Client::builder().tls_backend_preconfigured(no_tls()).build().expect("a client"),
            url,
        }
    }

    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        self.client.request(method, format!("{}{path}", self.url))
    }

    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Result<Reply, Cut> {
        let mut request = self.request(method, path).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.map_err(|_| Cut)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.map_err(|_| Cut)?;
        Ok(Reply { status, headers, body })
    }

    pub async fn json(&self, method: &str, path: &str, body: &Value) -> Result<Reply, Cut> {
        self.send(method, path, &[JSON], body.to_string()).await
    }

    /// From a server that is not being killed.
    pub async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], "").await.unwrap_or_else(|_| panic!("GET {path}: no answer"))
    }

    /// All bytes of a stream behind `offset`, page by page, and the tail.
    pub async fn bytes(&self, stream: &str, offset: &str) -> (Vec<Bytes>, String) {
        let (mut pages, mut offset) = (Vec::new(), offset.to_owned());
        loop {
            let page = self.get(&format!("/v1/stream/{stream}?offset={offset}")).await.expect(&[200]);
            let next = page.next_offset();
            assert!(offset == "-1" || offset <= next, "{stream}: reading went back from {offset} to {next}");
            offset = next;
            let last = page.header("stream-up-to-date") == "true";
            pages.push(page.body);
            if last {
                return (pages, offset);
            }
        }
    }

    /// All messages of a JSON stream behind `offset`, and the tail.
    pub async fn messages(&self, stream: &str, offset: &str) -> (Vec<Value>, String) {
        let (pages, tail) = self.bytes(stream, offset).await;
        let messages = |page: &Bytes| serde_json::from_slice::<Vec<Value>>(page).expect("a page is a JSON array");
        (pages.iter().flat_map(messages).collect(), tail)
    }
}
