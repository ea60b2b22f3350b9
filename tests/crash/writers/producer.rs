//! An idempotent producer that sends the batch without an answer again after a restart.

use fastrand::Rng;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::{Change, Writer, changes, padding, upsert};
use crate::http::{Cut, Http, JSON, Reply};
use crate::told::{Highest, Told};

/// A batch and its tuple.
#[derive(Clone)]
struct Batch {
    epoch: u64,
    seq: u64,
    body: Value,
}

/// Appends changes under a producer tuple; an untyped stream takes them as any other JSON.
pub struct Producer {
    id: &'static str,
    stream: &'static str,
    next: u64,
    epoch: u64,
    seq: u64,
    told: Told<Change>,
    highest: Highest,
    unanswered: Option<Batch>,
    acked: Vec<Batch>,
}

impl Producer {
    pub fn new(id: &'static str, stream: &'static str) -> Self {
        let (told, highest) = (Told::default(), Highest::default());
        Self { id, stream, next: 0, epoch: 0, seq: 0, told, highest, unanswered: None, acked: Vec::new() }
    }

    async fn write(&mut self, http: &Http, rng: &mut Rng) -> Result<(), Cut> {
        match rng.u8(..) {
            0..20 if !self.acked.is_empty() => self.repeat_an_old_batch(http, rng).await,
            20..24 => {
                (self.epoch, self.seq) = (self.epoch + 1, 0);
                Ok(())
            }
            24..34 => self.leave_a_gap(http).await,
            _ => self.append(http, rng).await,
        }
    }

    async fn append(&mut self, http: &Http, rng: &mut Rng) -> Result<(), Cut> {
        let mut body = Vec::new();
        for _ in 0..rng.usize(1..8) {
            let key = format!("{}-{}", self.id, self.next);
            let value = json!({"id": key, "n": self.next, "padding": padding(rng)});
            body.push(upsert(&key, &value));
            self.told.unanswered.push((key, Some(value)));
            self.next += 1;
        }
        let batch = Batch { epoch: self.epoch, seq: self.seq, body: Value::from(body) };
        self.unanswered = Some(batch.clone());
        let reply = self.send(http, &batch).await?.expect(&[200]);
        self.took(&reply);
        self.told.ack();
        Ok(())
    }

    /// The unanswered batch was acknowledged.
    fn took(&mut self, reply: &Reply) {
        self.highest.told(self.id, &reply.next_offset(), false);
        self.seq += 1;
        self.acked.extend(self.unanswered.take());
    }

    async fn send(&self, http: &Http, batch: &Batch) -> Result<Reply, Cut> {
        let (epoch, seq) = (batch.epoch.to_string(), batch.seq.to_string());
        let headers = [JSON, ("producer-id", self.id), ("producer-epoch", &epoch), ("producer-seq", &seq)];
        http.send("POST", &format!("/v1/stream/{}", self.stream), &headers, batch.body.to_string()).await
    }

    /// A batch of this incarnation is a duplicate; one of a former incarnation is fenced.
    async fn repeat_an_old_batch(&self, http: &Http, rng: &mut Rng) -> Result<(), Cut> {
        let batch = &self.acked[rng.usize(..self.acked.len())];
        // An epoch counts from its first batch on.
        let newest = self.acked.last().map_or(0, |batch| batch.epoch);
        let expected = if batch.epoch == newest { 204 } else { 403 };
        self.send(http, batch).await?.expect(&[expected]);
        Ok(())
    }

    async fn leave_a_gap(&self, http: &Http) -> Result<(), Cut> {
        if self.seq == 0 {
            return Ok(());
        }
        let lost = upsert("lost", &json!({"id": "lost", "n": 0}));
        let batch = Batch { epoch: self.epoch, seq: self.seq + 1, body: json!([lost]) };
        let reply = self.send(http, &batch).await?.expect(&[409]);
        assert_eq!(reply.header("producer-expected-seq"), self.seq.to_string());
        Ok(())
    }

    async fn compare(&mut self, http: &Http, rng: &mut Rng) {
        let found = changes(http, self.stream, &format!("{}-", self.id)).await;
        assert!(changes(http, self.stream, "lost").await.is_empty(), "a refused batch is there");
        let (unanswered, sent) = (self.unanswered.clone(), std::mem::take(&mut self.told.unanswered));
        self.told.unanswered.clone_from(&sent);
        let written = self.told.settle(self.id, &found);
        if let Some(batch) = unanswered {
            let reply = self.send(http, &batch).await.expect("the server is up");
            let reply = reply.expect(if written { &[204] } else { &[200] });
            self.took(&reply);
            if !written {
                self.told.acked.extend(sent);
            }
        }
        for _ in 0..3.min(self.acked.len()) {
            self.repeat_an_old_batch(http, rng).await.expect("the server is up");
        }
        let found = changes(http, self.stream, &format!("{}-", self.id)).await;
        self.told.settle(self.id, &found);
    }
}

impl Writer for Producer {
    fn step<'a>(&'a mut self, http: &'a Http, rng: &'a mut Rng) -> BoxFuture<'a, Result<(), Cut>> {
        self.write(http, rng).boxed()
    }

    fn check<'a>(&'a mut self, http: &'a Http, rng: &'a mut Rng) -> BoxFuture<'a, ()> {
        self.compare(http, rng).boxed()
    }
}
