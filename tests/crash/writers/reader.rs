//! Those who read while the server is killed: what they saw once is there for ever.

use std::collections::BTreeMap;

use eventsource_stream::Eventsource;
use fastrand::Rng;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use serde_json::Value;

use super::Writer;
use crate::http::{Cut, Http};

/// Reads events of a live read until it is cut; `take` gets each.
async fn listen(http: &Http, path: &str, mut take: impl FnMut(&str, Value)) -> Result<(), Cut> {
    let response = http.request("GET", path).send().await.map_err(|_| Cut)?;
    assert_eq!(response.status(), 200, "{path}");
    let mut events = response.bytes_stream().eventsource();
    while let Some(Ok(event)) = events.next().await {
        take(&event.event, serde_json::from_str(&event.data).expect("data is JSON"));
    }
    // Ended in order, or cut: the next call tells.
    Ok(())
}

fn messages(data: Value) -> Vec<Value> {
    match data {
        Value::Array(messages) => messages,
        other => panic!("{other} is no page"),
    }
}

fn next_offset(control: &Value) -> String {
    control["streamNextOffset"].as_str().expect("an offset").to_owned()
}

/// Follows a stream that only grows.
pub struct Follower {
    stream: &'static str,
    live: &'static str,
    offset: String,
    /// All messages up to the offset.
    seen: Vec<Value>,
    /// Messages behind it.
    ahead: Vec<Value>,
}

impl Follower {
    pub fn new(stream: &'static str, live: &'static str) -> Self {
        Self { stream, live, offset: "-1".to_owned(), seen: Vec::new(), ahead: Vec::new() }
    }

    fn path(&self) -> String {
        format!("/v1/stream/{}?offset={}&live={}", self.stream, self.offset, self.live)
    }

    async fn read(&mut self, http: &Http) -> Result<(), Cut> {
        let path = self.path();
        // What was seen behind the offset comes again.
        self.ahead.clear();
        if self.live == "sse" {
            return listen(http, &path, |kind, data| match kind {
                "data" => self.ahead.extend(messages(data)),
                _ => {
                    self.seen.append(&mut self.ahead);
                    self.offset = next_offset(&data);
                }
            })
            .await;
        }
        let reply = http.send("GET", &path, &[], "").await?.expect(&[200, 204]);
        if reply.status == 200 {
            self.seen.extend(messages(reply.json()));
        }
        self.offset = reply.next_offset();
        Ok(())
    }

    async fn compare(&mut self, http: &Http) {
        let (all, _) = http.messages(self.stream, "-1").await;
        let seen = self.seen.iter().chain(&self.ahead);
        let count = self.seen.len() + self.ahead.len();
        assert!(all.len() >= count, "{}: {count} messages were seen, and {} are there", self.stream, all.len());
        assert!(all.iter().take(count).eq(seen), "{}: what was seen is not what is there", self.stream);
    }
}

impl Writer for Follower {
    fn step<'a>(&'a mut self, http: &'a Http, _: &'a mut Rng) -> BoxFuture<'a, Result<(), Cut>> {
        self.read(http).boxed()
    }

    fn check<'a>(&'a mut self, http: &'a Http, _: &'a mut Rng) -> BoxFuture<'a, ()> {
        self.compare(http).boxed()
    }
}

/// Keeps a fold of a typed stream by resuming where it was cut.
pub struct Mirror {
    stream: &'static str,
    offset: String,
    entities: BTreeMap<String, Value>,
}

impl Mirror {
    pub fn new(stream: &'static str) -> Self {
        Self { stream, offset: "-1".to_owned(), entities: BTreeMap::new() }
    }

    fn take(&mut self, change: &Value) {
        let Some(key) = change["key"].as_str() else { return };
        match change.get("value").filter(|_| change["headers"]["operation"] != "delete") {
            Some(value) => self.entities.insert(key.to_owned(), value.clone()),
            None => self.entities.remove(key),
        };
    }

    async fn read(&mut self, http: &Http) -> Result<(), Cut> {
        let path = format!("/v1/stream/{}?offset={}&live=sse&fold=true", self.stream, self.offset);
        // Without the control event behind them they come again, or not at all where they were deleted meanwhile.
        let mut ahead = Vec::new();
        listen(http, &path, |kind, data| match kind {
            "data" => ahead.extend(messages(data)),
            _ => {
                std::mem::take(&mut ahead).iter().for_each(|change| self.take(change));
                self.offset = next_offset(&data);
            }
        })
        .await
    }

    async fn catch_up(&mut self, http: &Http) {
        loop {
            let path = format!("/v1/stream/{}?offset={}&fold=true", self.stream, self.offset);
            let page = http.get(&path).await.expect(&[200]);
            messages(page.json()).iter().for_each(|change| self.take(change));
            self.offset = page.next_offset();
            if page.header("stream-up-to-date") == "true" {
                return;
            }
        }
    }

    /// At a mark the fold equals the snapshot; others write meanwhile.
    async fn compare(&mut self, http: &Http) {
        if http.send("HEAD", &format!("/v1/stream/{}", self.stream), &[], "").await.is_ok_and(|r| r.status == 404) {
            return;
        }
        for _ in 0..100 {
            self.catch_up(http).await;
            let snapshot = http.get(&format!("/v1/state/{}/-/snapshot", self.stream)).await.expect(&[200]).json();
            if snapshot["offset"] != self.offset.as_str() {
                continue;
            }
            let found = snapshot["collections"]["items"].as_object().cloned().unwrap_or_default();
            let found: BTreeMap<_, _> = found.into_iter().collect();
            assert!(found == self.entities, "{}: the fold of what was read is not the snapshot", self.stream);
            return;
        }
        panic!("{}: never at rest", self.stream);
    }
}

impl Writer for Mirror {
    fn step<'a>(&'a mut self, http: &'a Http, _: &'a mut Rng) -> BoxFuture<'a, Result<(), Cut>> {
        async move {
            let made = http.send("HEAD", &format!("/v1/stream/{}", self.stream), &[], "").await?;
            if made.status == 404 {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                return Ok(());
            }
            self.read(http).await
        }
        .boxed()
    }

    fn check<'a>(&'a mut self, http: &'a Http, _: &'a mut Rng) -> BoxFuture<'a, ()> {
        self.compare(http).boxed()
    }
}
