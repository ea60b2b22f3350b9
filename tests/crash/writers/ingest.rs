//! NDJSON ingest: lines of one connection, acknowledged while more are sent.

use bytes::Bytes;
use fastrand::Rng;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use reqwest::Body;
use serde_json::{Value, json};

use super::{Change, Writer, changes, padding, upsert};
use crate::http::{Cut, Http};
use crate::told::Highest;

/// A producer whose every line is a batch.
pub struct Ingest {
    id: &'static str,
    stream: &'static str,
    /// Every line sent, in order: its changes and its text.
    lines: Vec<(Vec<Change>, String)>,
    /// How many of them were acknowledged.
    acked: usize,
    highest: Highest,
}

impl Ingest {
    pub fn new(id: &'static str, stream: &'static str) -> Self {
        Self { id, stream, lines: Vec::new(), acked: 0, highest: Highest::default() }
    }

    async fn write(&mut self, http: &Http, rng: &mut Rng) -> Result<(), Cut> {
        for _ in 0..rng.usize(1..200) {
            let line = self.line(rng);
            self.lines.push(line);
        }
        self.send(http, &[]).await
    }

    fn line(&self, rng: &mut Rng) -> (Vec<Change>, String) {
        let changes: Vec<Change> = (0..rng.usize(1..4))
            .map(|at| {
                let key = format!("{}-{}-{at}", self.id, self.lines.len());
                let value = json!({"id": key, "n": at, "padding": padding(rng)});
                (key, Some(value))
            })
            .collect();
        let messages = changes.iter().map(|(key, value)| upsert(key, value.as_ref().expect("it was just set")));
        let text = Value::from(messages.collect::<Vec<_>>()).to_string() + "\n";
        (changes, text)
    }

    /// Sends every line without an acknowledgement; those in `stored` must be told as duplicates, no others.
    async fn send(&mut self, http: &Http, stored: &[usize]) -> Result<(), Cut> {
        let texts =
            self.lines[self.acked..].iter().map(|(_, text)| Ok::<_, std::io::Error>(Bytes::from(text.clone())));
        let body = futures_util::stream::iter(texts.collect::<Vec<_>>());
        let request = http
            .request("POST", &format!("/v1/state/{}/-/changes", self.stream))
            .header("content-type", "application/x-ndjson")
            .header("producer-id", self.id)
            .header("producer-epoch", 0)
            .header("producer-seq", self.acked);
        let response = request.body(Body::wrap_stream(body)).send().await.map_err(|_| Cut)?;
        assert_eq!(response.status(), 200);
        let (mut answers, mut unread) = (response.bytes_stream(), Vec::new());
        while self.acked < self.lines.len() {
            let Some(Ok(bytes)) = answers.next().await else { return Err(Cut) };
            unread.extend_from_slice(&bytes);
            while let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = unread.drain(..=end).collect();
                self.took(&serde_json::from_slice(&line).expect("an acknowledgement is JSON"), stored);
            }
        }
        Ok(())
    }

    fn took(&mut self, ack: &Value, stored: &[usize]) {
        assert_eq!(ack["seq"], self.acked, "{ack}");
        let duplicate = ack["duplicate"] == true;
        assert_eq!(duplicate, stored.contains(&self.acked), "{}: {ack}", self.id);
        if !duplicate {
            self.highest.told(self.id, ack["offset"].as_str().expect("an offset"), false);
        }
        self.acked += 1;
    }

    async fn compare(&mut self, http: &Http) {
        let found = self.found(http).await;
        let mut rest = &found[..];
        let mut stored = 0;
        for (changes, _) in &self.lines {
            if rest.is_empty() {
                break;
            }
            assert!(rest.starts_with(changes), "{}: line {stored} is not there whole and in order", self.id);
            rest = &rest[changes.len()..];
            stored += 1;
        }
        assert!(rest.is_empty(), "{}: more is there than was sent", self.id);
        assert!(stored >= self.acked, "{}: {stored} of {} acknowledged lines are there", self.id, self.acked);
        let stored: Vec<_> = (self.acked..stored).collect();
        if self.acked < self.lines.len() {
            self.send(http, &stored).await.expect("the server is up");
        }
        let expected: Vec<_> = self.lines.iter().flat_map(|(changes, _)| changes).collect();
        let found = self.found(http).await;
        assert!(found.iter().eq(expected), "{}: the lines are not there once and in order", self.id);
    }

    async fn found(&self, http: &Http) -> Vec<Change> {
        changes(http, self.stream, &format!("{}-", self.id)).await
    }
}

impl Writer for Ingest {
    fn step<'a>(&'a mut self, http: &'a Http, rng: &'a mut Rng) -> BoxFuture<'a, Result<(), Cut>> {
        self.write(http, rng).boxed()
    }

    fn check<'a>(&'a mut self, http: &'a Http, _: &'a mut Rng) -> BoxFuture<'a, ()> {
        self.compare(http).boxed()
    }
}
