//! A writer of entities by all three doors: the protocol, batches of changes, single entities.

use std::collections::HashMap;

use fastrand::Rng;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::{Change, Writer, changes, delete, padding, upsert};
use crate::http::{Cut, Http, JSON, Reply};
use crate::told::{Highest, Told};

/// Keeps some keys of a stream, which begin with its name.
pub struct Typed {
    id: &'static str,
    stream: &'static str,
    next: u64,
    told: Told<Change>,
    highest: Highest,
    live: HashMap<String, Value>,
    /// Offsets of live entities, as far as they were told.
    offsets: HashMap<String, String>,
}

impl Typed {
    const KEYS: usize = 40;

    pub fn new(id: &'static str, stream: &'static str) -> Self {
        let (told, highest) = (Told::default(), Highest::default());
        Self { id, stream, next: 0, told, highest, live: HashMap::new(), offsets: HashMap::new() }
    }

    async fn write(&mut self, http: &Http, rng: &mut Rng) -> Result<(), Cut> {
        match rng.u8(..) {
            0..60 => self.post(http, rng).await,
            60..120 => self.batch(http, rng).await,
            120..160 => self.put(http, rng).await,
            160..190 => self.patch(http, rng).await,
            190..220 => self.delete(http, rng).await,
            220..240 => self.be_refused(http, rng).await,
            _ => self.fail_a_precondition(http, rng).await,
        }
    }

    fn key(&self, rng: &mut Rng) -> String {
        format!("{}-{}", self.id, rng.usize(..Self::KEYS))
    }

    fn value(&mut self, key: &str, rng: &mut Rng) -> Value {
        self.next += 1;
        json!({"id": key, "n": self.next, "padding": padding(rng)})
    }

    fn some_changes(&mut self, rng: &mut Rng) -> Value {
        let mut body = Vec::new();
        for _ in 0..rng.usize(1..10) {
            let key = self.key(rng);
            let value = (rng.u8(..) > 40).then(|| self.value(&key, rng));
            body.push(value.as_ref().map_or_else(|| delete(&key), |value| upsert(&key, value)));
            self.told.unanswered.push((key, value));
        }
        Value::from(body)
    }

    fn took(&mut self, reply: &Reply) {
        self.highest.told(self.id, &reply.next_offset(), false);
        for (key, value) in &self.told.unanswered {
            self.offsets.remove(key);
            match value {
                Some(value) => self.live.insert(key.clone(), value.clone()),
                None => self.live.remove(key),
            };
        }
        self.told.ack();
    }

    async fn post(&mut self, http: &Http, rng: &mut Rng) -> Result<(), Cut> {
        let body = self.some_changes(rng);
        let reply = http.json("POST", &format!("/v1/stream/{}", self.stream), &body).await?.expect(&[204]);
        self.took(&reply);
        Ok(())
    }

    async fn batch(&mut self, http: &Http, rng: &mut Rng) -> Result<(), Cut> {
        let body = self.some_changes(rng);
        let keys: Vec<_> = self.told.unanswered.iter().map(|(key, _)| key.clone()).collect();
        let reply = http.json("POST", &format!("/v1/state/{}/-/changes", self.stream), &body).await?.expect(&[200]);
        self.took(&reply);
        let told = reply.json();
        for (key, offset) in keys.iter().zip(told["offsets"].as_array().expect("a list")) {
            self.offsets.insert(key.clone(), offset.as_str().expect("everything was applied").to_owned());
        }
        self.offsets.retain(|key, _| self.live.contains_key(key));
        Ok(())
    }

    fn door(&self, key: &str) -> String {
        format!("/v1/state/{}/-/entities/item/{key}", self.stream)
    }

    /// Writes one entity by its own door.
    async fn entity(&mut self, http: &Http, method: &str, key: String, body: &Value) -> Result<(), Cut> {
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let headers = [("content-type", kind)];
        let reply = http.send(method, &self.door(&key), &headers, body.to_string()).await?.expect(&[200]);
        self.took(&reply);
        if self.live.contains_key(&key) {
            self.offsets.insert(key, reply.json()["offset"].as_str().expect("it was applied").to_owned());
        }
        Ok(())
    }

    async fn put(&mut self, http: &Http, rng: &mut Rng) -> Result<(), Cut> {
        let key = self.key(rng);
        let value = self.value(&key, rng);
        self.told.unanswered.push((key.clone(), Some(value.clone())));
        self.entity(http, "PUT", key, &value).await
    }

    async fn patch(&mut self, http: &Http, rng: &mut Rng) -> Result<(), Cut> {
        let key = self.key(rng);
        let Some(mut value) = self.live.get(&key).cloned() else { return Ok(()) };
        self.next += 1;
        value["n"] = self.next.into();
        self.told.unanswered.push((key.clone(), Some(value)));
        self.entity(http, "PATCH", key, &json!({"n": self.next})).await
    }

    async fn delete(&mut self, http: &Http, rng: &mut Rng) -> Result<(), Cut> {
        let key = self.key(rng);
        if !self.live.contains_key(&key) {
            return Ok(());
        }
        self.told.unanswered.push((key.clone(), None));
        self.entity(http, "DELETE", key, &Value::Null).await
    }

    /// A batch whose last change its schema refuses.
    async fn be_refused(&mut self, http: &Http, rng: &mut Rng) -> Result<(), Cut> {
        let key = self.key(rng);
        let body =
            json!([upsert(&key, &json!({"id": key, "n": -1})), upsert(&key, &json!({"id": key, "n": "none"}))]);
        let path = match rng.bool() {
            true => format!("/v1/stream/{}", self.stream),
            false => format!("/v1/state/{}/-/changes", self.stream),
        };
        http.json("POST", &path, &body).await?.expect(&[422]);
        Ok(())
    }

    async fn fail_a_precondition(&mut self, http: &Http, rng: &mut Rng) -> Result<(), Cut> {
        let key = self.key(rng);
        let condition = match self.live.contains_key(&key) {
            true => ("if-none-match", "*"),
            false => ("if-match", "*"),
        };
        let body = json!({"id": key, "n": -2}).to_string();
        http.send("PUT", &self.door(&key), &[JSON, condition], body).await?.expect(&[412]);
        Ok(())
    }

    async fn compare(&mut self, http: &Http) {
        let prefix = format!("{}-", self.id);
        let unanswered = std::mem::take(&mut self.told.unanswered);
        self.told.unanswered.clone_from(&unanswered);
        let found = changes(http, self.stream, &prefix).await;
        if self.told.settle(self.id, &found) {
            unanswered.iter().for_each(|(key, _)| drop(self.offsets.remove(key)));
        }
        self.live.clear();
        for (key, value) in &self.told.acked {
            match value {
                Some(value) => self.live.insert(key.clone(), value.clone()),
                None => self.live.remove(key),
            };
        }
        let snapshot = http.get(&format!("/v1/state/{}/-/snapshot", self.stream)).await.expect(&[200]).json();
        let entities = snapshot["collections"]["items"].as_object().cloned().unwrap_or_default();
        let mine: HashMap<_, _> = entities.into_iter().filter(|(key, _)| key.starts_with(&prefix)).collect();
        assert!(mine == self.live, "{}: the snapshot is not the fold of what was told", self.id);
        for (key, offset) in self.offsets.iter().take(10) {
            let entity = http.get(&self.door(key)).await.expect(&[200]);
            assert_eq!(entity.header("etag"), format!("\"{offset}\""), "{key}");
            assert_eq!(entity.json(), self.live[key], "{key}");
        }
    }
}

impl Writer for Typed {
    fn step<'a>(&'a mut self, http: &'a Http, rng: &'a mut Rng) -> BoxFuture<'a, Result<(), Cut>> {
        self.write(http, rng).boxed()
    }

    fn check<'a>(&'a mut self, http: &'a Http, _: &'a mut Rng) -> BoxFuture<'a, ()> {
        self.compare(http).boxed()
    }
}
