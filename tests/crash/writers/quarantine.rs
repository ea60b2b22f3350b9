//! A producer on a binding that keeps aside what the schema refuses.

use fastrand::Rng;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::{Change, Writer, change, changes, upsert};
use crate::http::{Cut, Http, JSON, Reply};
use crate::told::Told;

/// Writes good and bad changes side by side.
#[derive(Default)]
pub struct Quarantine {
    next: u64,
    seq: u64,
    stored: Told<Change>,
    kept_aside: Told<Change>,
    unanswered: Option<Value>,
}

impl Quarantine {
    const STREAM: &str = "aside/one";

    async fn write(&mut self, http: &Http, rng: &mut Rng) -> Result<(), Cut> {
        let mut body = Vec::new();
        for _ in 0..rng.usize(1..6) {
            let key = format!("k{}", self.next);
            self.next += 1;
            let (value, told) = match rng.bool() {
                true => (json!({"id": key, "n": self.next}), &mut self.stored),
                false => (json!({"id": key, "n": "bad"}), &mut self.kept_aside),
            };
            body.push(upsert(&key, &value));
            told.unanswered.push((key, Some(value)));
        }
        let body = Value::from(body);
        self.unanswered = Some(body.clone());
        let reply = self.send(http, &body).await?.expect(&[200]).json();
        assert_eq!(reply["quarantined"].as_u64().unwrap_or(0), self.kept_aside.unanswered.len() as u64, "{reply}");
        self.took();
        Ok(())
    }

    fn took(&mut self) {
        self.unanswered = None;
        self.seq += 1;
        self.stored.ack();
        self.kept_aside.ack();
    }

    async fn send(&self, http: &Http, body: &Value) -> Result<Reply, Cut> {
        let seq = self.seq.to_string();
        let headers = [JSON, ("producer-id", "aside"), ("producer-epoch", "0"), ("producer-seq", &seq)];
        http.send("POST", &format!("/v1/state/{}/-/changes", Self::STREAM), &headers, body.to_string()).await
    }

    async fn compare(&mut self, http: &Http) {
        let sent = (self.stored.unanswered.clone(), self.kept_aside.unanswered.clone());
        let written = self.found(http).await;
        if let Some(body) = self.unanswered.take() {
            let reply = self.send(http, &body).await.expect("the server is up").expect(&[200]).json();
            assert_eq!(reply["duplicate"] == true, written, "{reply}");
            if !written {
                (self.stored.unanswered, self.kept_aside.unanswered) = sent;
            }
            self.took();
        }
        self.found(http).await;
    }

    /// Checks the stream and what was kept aside; says whether the unanswered batch is there.
    async fn found(&mut self, http: &Http) -> bool {
        let (good, bad) = (!self.stored.unanswered.is_empty(), !self.kept_aside.unanswered.is_empty());
        let stored = changes(http, Self::STREAM, "k").await;
        let stored = self.stored.settle("stored", &stored);
        let kept_aside = kept_aside(http, Self::STREAM).await;
        let kept_aside = self.kept_aside.settle("kept aside", &kept_aside);
        assert!(!good || !bad || stored == kept_aside, "a batch is half there");
        stored || kept_aside
    }
}

async fn kept_aside(http: &Http, stream: &str) -> Vec<Change> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = http.get(&format!("/v1/state/{stream}/-/quarantine{cursor}")).await.expect(&[200]).json();
        let entries = page["entries"].as_array().expect("a list");
        found.extend(entries.iter().map(|entry| change(&entry["change"])));
        if page["up_to_date"] == true {
            return found;
        }
        cursor = format!("?cursor={}", page["next"].as_str().expect("a cursor"));
    }
}

impl Writer for Quarantine {
    fn step<'a>(&'a mut self, http: &'a Http, rng: &'a mut Rng) -> BoxFuture<'a, Result<(), Cut>> {
        self.write(http, rng).boxed()
    }

    fn check<'a>(&'a mut self, http: &'a Http, _: &'a mut Rng) -> BoxFuture<'a, ()> {
        self.compare(http).boxed()
    }
}
