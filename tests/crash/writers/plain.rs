//! Writers of untyped streams: JSON messages, and bytes.

use bytes::Bytes;
use fastrand::Rng;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::{Writer, padding};
use crate::http::{Cut, Http};
use crate::told::{Highest, Told};

/// Appends arrays of messages to a stream that others append to as well.
pub struct Json {
    id: &'static str,
    next: u64,
    told: Told<Value>,
    highest: Highest,
    /// Offsets told, each with the message just before it.
    marks: Vec<(String, Value)>,
}

impl Json {
    const STREAM: &str = "plain/json";

    pub fn new(id: &'static str) -> Self {
        Self { id, next: 0, told: Told::default(), highest: Highest::default(), marks: Vec::new() }
    }

    async fn append(&mut self, http: &Http, rng: &mut Rng) -> Result<(), Cut> {
        for _ in 0..rng.usize(1..12) {
            let message = json!({"by": self.id, "n": self.next, "padding": padding(rng)});
            self.next += 1;
            self.told.unanswered.push(message);
        }
        let body = Value::from(self.told.unanswered.clone());
        let reply = http.json("POST", &format!("/v1/stream/{}", Self::STREAM), &body).await?.expect(&[204]);
        let offset = reply.next_offset();
        self.highest.told(Self::STREAM, &offset, false);
        let last = self.told.unanswered.last().expect("at least one was sent").clone();
        self.marks.push((offset, last));
        self.told.ack();
        Ok(())
    }

    async fn compare(&mut self, http: &Http, rng: &mut Rng) {
        let (all, tail) = http.messages(Self::STREAM, "-1").await;
        assert!(tail >= self.highest.0, "the tail went back from {} to {tail}", self.highest.0);
        let mine: Vec<_> = all.iter().filter(|message| message["by"] == self.id).cloned().collect();
        let unanswered = self.told.unanswered.clone();
        if self.told.settle(self.id, &mine) {
            assert!(all.windows(unanswered.len()).any(|window| window == unanswered), "a batch was torn apart");
        }
        for _ in 0..2.min(self.marks.len()) {
            let (offset, last) = &self.marks[rng.usize(..self.marks.len())];
            let (behind, _) = http.messages(Self::STREAM, offset).await;
            let at = all.len() - behind.len();
            assert!(all[at..] == behind[..], "reading from {offset} is not the end of the stream");
            assert!(all[at - 1] == *last, "{offset} is not where it was told");
        }
    }
}

impl Writer for Json {
    fn step<'a>(&'a mut self, http: &'a Http, rng: &'a mut Rng) -> BoxFuture<'a, Result<(), Cut>> {
        self.append(http, rng).boxed()
    }

    fn check<'a>(&'a mut self, http: &'a Http, rng: &'a mut Rng) -> BoxFuture<'a, ()> {
        self.compare(http, rng).boxed()
    }
}

/// Appends runs of bytes.
#[derive(Default)]
pub struct Raw {
    told: Told<u8>,
    highest: Highest,
}

impl Raw {
    const STREAM: &str = "plain/bytes";

    async fn append(&mut self, http: &Http, rng: &mut Rng) -> Result<(), Cut> {
        let size = if rng.u8(..) < 8 { rng.usize(20_000..200_000) } else { rng.usize(1..2_000) };
        let bytes: Bytes = std::iter::repeat_with(|| rng.u8(..)).take(size).collect();
        self.told.unanswered.extend_from_slice(&bytes);
        let kind = [("content-type", "application/octet-stream")];
        let reply = http.send("POST", &format!("/v1/stream/{}", Self::STREAM), &kind, bytes).await?.expect(&[204]);
        self.highest.told(Self::STREAM, &reply.next_offset(), false);
        self.told.ack();
        Ok(())
    }

    async fn compare(&mut self, http: &Http) {
        let (pages, tail) = http.bytes(Self::STREAM, "-1").await;
        assert!(tail >= self.highest.0, "the tail went back from {} to {tail}", self.highest.0);
        self.told.settle(Self::STREAM, &pages.concat());
    }
}

impl Writer for Raw {
    fn step<'a>(&'a mut self, http: &'a Http, rng: &'a mut Rng) -> BoxFuture<'a, Result<(), Cut>> {
        self.append(http, rng).boxed()
    }

    fn check<'a>(&'a mut self, http: &'a Http, _: &'a mut Rng) -> BoxFuture<'a, ()> {
        self.compare(http).boxed()
    }
}
