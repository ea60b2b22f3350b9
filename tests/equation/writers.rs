//! Writers: several tasks that write through every door, break off, try again, and note what they were told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::http::{Answer, Call};
use super::oracle::{Batch, Change, Ledger, Told};
use super::server::Server;

/// Entities that nobody touches after the beginning, so that a listing under load must show each once.
pub const UNTOUCHED: usize = 25;

/// Tries of one write before the case gives up.
const TRIES: usize = 400;

pub struct Writer {
    name: String,
    server: Arc<Server>,
    ledger: Arc<Ledger>,
    numbers: Arc<AtomicU64>,
    rng: Rng,
    /// `Producer-Id`, epoch and the next seq. A writer without one never tries again.
    producer: Option<(String, u64, u64)>,
    /// Whether it may delete everything, untouched entities included.
    wipes: bool,
}

/// What came of sending a write.
enum Delivered {
    Answered(Answer),
    /// Refused for the moment, with the promise that nothing was written.
    NotWritten,
    Silent,
}

/// A batch that is ready to be sent.
struct Draft {
    changes: Vec<Change>,
    messages: Vec<Value>,
    /// Whether an older version may be dropped, so that the tail alone does not say where the changes are.
    versioned: bool,
}

/// What the stream is a fork of, where it is one.
const SOURCE: &str = "eq/source";

/// Writes the entities that stay as they are, where `forked` as what the stream inherits; returns the position of its
/// first change.
pub async fn found(server: &Server, ledger: &Ledger, numbers: &AtomicU64, forked: bool) -> Result<u64, String> {
    let changes: Vec<Change> = (0..UNTOUCHED)
        .map(|nth| Change {
            entity_type: "job".into(),
            key: format!("keep-{nth}"),
            deletes: false,
            number: Some(numbers.fetch_add(1, Ordering::Relaxed)),
            version: None,
        })
        .collect();
    let messages: Vec<Value> = changes.iter().map(|change| message(change, "upsert", 40)).collect();
    let write = async |messages: &[Value]| match forked {
        true => server.call("POST", &format!("/v1/state/{SOURCE}/-/changes")).json(&messages.into()).answer().await,
        false => server.resource("POST", "changes").json(&messages.into()).answer().await,
    };
    let answer = write(&messages).await;
    let answer = answer.map_err(|e| format!("the first write: {e}"))?;
    let offsets = offsets_of(&answer)?;
    let first = offsets.first().cloned().flatten().ok_or("the first write was not applied")?;
    if forked {
        // What the source has beyond the fork's beginning is none of the fork's.
        let elsewhere = message(&changes[0], "upsert", 7);
        write(&[elsewhere.clone(), elsewhere.clone()]).await.map_err(|e| format!("the source: {e}"))?;
        let begins = offsets.last().cloned().flatten().ok_or("the first write was not applied")?;
        let fork = server.stream("PUT", "").header("stream-forked-from", format!("/v1/stream/{SOURCE}"));
        let made = fork.header("stream-fork-offset", begins).answer().await.map_err(|e| format!("the fork: {e}"))?;
        if made.status != 201 {
            return Err(format!("the fork: {made:?}"));
        }
        write(&[elsewhere]).await.map_err(|e| format!("the source: {e}"))?;
    }
    ledger.wrote(Batch { writer: "founder".into(), changes, told: Told::At(offsets) });
    Ok(super::oracle::position_of(&first)? - 1)
}

impl Writer {
    pub fn new(nth: usize, server: Arc<Server>, ledger: Arc<Ledger>, numbers: Arc<AtomicU64>, mut rng: Rng) -> Self {
        let named = nth == 0 || rng.u8(..) < 190;
        let producer = named.then(|| (format!("writer-{nth}"), 0, 0));
        Self { name: format!("writer {nth}"), server, ledger, numbers, rng, producer, wipes: false }
    }

    pub fn wiping(self, wipes: bool) -> Self {
        Self { wipes, ..self }
    }

    pub async fn run(mut self, batches: usize) -> Result<(), String> {
        for _ in 0..batches {
            match self.rng.u8(0..100) {
                _ if self.wipes && self.rng.u8(0..150) == 0 => self.wipe().await?,
                0..8 => self.be_refused().await?,
                8..40 => self.post("changes").await?,
                40..65 => self.post("stream").await?,
                65..80 if self.producer.is_some() => self.ingest().await?,
                _ => self.one_entity().await?,
            }
            if let Some((_, epoch, seq)) = self.producer.as_mut().filter(|_| self.rng.u8(0..100) < 4) {
                (*epoch, *seq) = (*epoch + 1, 0);
            }
            sleep(Duration::from_micros(self.rng.u64(0..6_000))).await;
        }
        Ok(())
    }

    /// A batch over all collections, to the changes resource or to the protocol's URL.
    async fn post(&mut self, door: &str) -> Result<(), String> {
        let draft = self.draft(door == "changes", 8);
        let call = match door {
            "changes" => self.server.resource("POST", "changes"),
            _ => self.server.stream("POST", ""),
        };
        let call = self.tuple(call).json(&Value::from(draft.messages.clone()));
        let answer = self.deliver(&call).await?;
        let told = match &answer {
            Delivered::NotWritten => return Ok(()),
            Delivered::Silent => Told::Unknown,
            Delivered::Answered(answer) if door == "changes" => {
                let body = answer.json()?;
                if body["duplicate"] == true { Told::Repeat } else { Told::At(offsets_of(answer)?) }
            }
            Delivered::Answered(answer) if answer.status == 204 && self.producer.is_some() => Told::Repeat,
            Delivered::Answered(answer) => Told::EndsAt(next_offset(answer)?),
        };
        assert!(!draft.versioned || !matches!(told, Told::EndsAt(_)));
        self.ledger.wrote(Batch { writer: self.name.clone(), changes: draft.changes, told });
        if self.producer.is_some() && self.rng.u8(0..100) < 10 {
            self.repeat(&call, door).await?;
        }
        self.advance(1);
        Ok(())
    }

    /// What was answered and is sent once more is a repeat, and says so.
    async fn repeat(&mut self, call: &Call, door: &str) -> Result<(), String> {
        let Delivered::Answered(answer) = self.deliver(call).await? else { return Ok(()) };
        let is_repeat = match door {
            "changes" => answer.json()?["duplicate"] == true,
            _ => answer.status == 204,
        };
        is_repeat.then_some(()).ok_or_else(|| format!("{}: a repeat was taken as new: {answer:?}", self.name))
    }

    /// Lines on one connection; unacknowledged ones are sent again with the same seqs.
    async fn ingest(&mut self) -> Result<(), String> {
        let drafts: Vec<Draft> = (0..self.rng.usize(1..6)).map(|_| self.draft(false, 4)).collect();
        let Some((id, epoch, begin)) = self.producer.clone() else { return Ok(()) };
        let mut told: Vec<Option<Told>> = vec![None; drafts.len()];
        for _ in 0..TRIES {
            let Some(from) = told.iter().position(Option::is_none) else { break };
            let lines: Vec<String> =
                drafts[from..].iter().map(|d| Value::from(d.messages.clone()).to_string()).collect();
            let call = self
                .server
                .resource("POST", "changes")
                .header("Producer-Id", &id)
                .header("Producer-Epoch", epoch)
                .header("Producer-Seq", begin + from as u64)
                .body("application/x-ndjson", lines.join("\n") + "\n");
            if self.rng.u8(0..100) < 20 {
                let _ = call.abandon(Duration::from_micros(self.rng.u64(0..4_000))).await;
            }
            let Ok(answer) = call.answer().await else {
                sleep(Duration::from_millis(15)).await;
                continue;
            };
            if answer.status != 200 {
                self.transient(&answer)?;
                sleep(Duration::from_millis(15)).await;
                continue;
            }
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            for line in text.lines() {
                let ack: Value = serde_json::from_str(line).map_err(|e| format!("{e}: {line}"))?;
                if ack["error"].is_object() {
                    let lasting = ack["error"]["status"].as_u64().is_none_or(|status| status < 500);
                    if lasting {
                        return Err(format!("{}: a good line was refused: {line}", self.name));
                    }
                    continue;
                }
                let seq = ack["seq"].as_u64().ok_or_else(|| format!("no seq: {line}"))?;
                let offset = ack["offset"].as_str().ok_or_else(|| format!("no offset: {line}"))?;
                let said = if ack["duplicate"] == true { Told::Repeat } else { Told::EndsAt(offset.to_owned()) };
                told[(seq - begin) as usize].get_or_insert(said);
            }
        }
        let count = drafts.len() as u64;
        for (draft, told) in drafts.into_iter().zip(told) {
            let told = told.ok_or_else(|| format!("{}: a line was never acknowledged", self.name))?;
            self.ledger.wrote(Batch { writer: format!("{} (lines)", self.name), changes: draft.changes, told });
        }
        self.advance(count);
        Ok(())
    }

    /// `PUT`, `PATCH` or `DELETE` of one entity. Without a tuple, no answer means not knowing.
    async fn one_entity(&mut self) -> Result<(), String> {
        let (entity_type, key) = self.name_of("job");
        let method = *self.rng.choice(["PUT", "PUT", "PATCH", "DELETE"].iter()).unwrap();
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let target = format!("entities/{entity_type}/{key}");
        let call = self.server.resource(method, &target);
        let call = match method {
            "PUT" => call.json(&json!({"id": key, "n": number, "pad": "put"})),
            "PATCH" => call.json(&json!({"n": number})),
            _ => call,
        };
        let (deletes, number) = if method == "DELETE" { (true, None) } else { (false, Some(number)) };
        let change = Change { entity_type, key, deletes, number, version: None };
        let told = match call.answer().await {
            Err(_) => Told::Unknown,
            Ok(answer) if answer.status == 404 => return Ok(()),
            Ok(answer) if answer.status == 503 && wrote_nothing(&answer) => return Ok(()),
            Ok(answer) if answer.status == 503 => Told::Unknown,
            Ok(answer) if answer.status == 200 || answer.status == 201 => {
                let offset = answer.json()?["offset"].as_str().map(str::to_owned);
                Told::At(vec![offset])
            }
            Ok(answer) => return Err(format!("{}: {method} {target}: {answer:?}", self.name)),
        };
        self.ledger.wrote(Batch { writer: format!("{} ({method})", self.name), changes: vec![change], told });
        Ok(())
    }

    /// `DELETE` of the stream: its binding makes that one batch of deletes, and the stream goes on.
    async fn wipe(&mut self) -> Result<(), String> {
        match self.server.stream("DELETE", "").answer().await {
            Ok(answer) if answer.status == 503 && wrote_nothing(&answer) => return Ok(()),
            Ok(answer) if !matches!(answer.status, 204 | 503) => return Err(format!("wiping: {answer:?}")),
            Ok(_) | Err(_) => {}
        }
        let writer = format!("{} (everything)", self.name);
        self.ledger.wrote(Batch { writer, changes: Vec::new(), told: Told::Wiped });
        Ok(())
    }

    /// A batch of which one change is not acceptable: nothing of it may ever be seen, and no seq is used up.
    async fn be_refused(&mut self) -> Result<(), String> {
        let mut draft = self.draft(true, 5);
        let bad = match self.rng.u8(0..4) {
            0 => json!({"type": "job", "key": "a-1", "value": {"id": "a-1", "n": "many"},
                "headers": {"operation": "upsert"}}),
            1 => {
                json!({"type": "job", "key": "a-2", "value": {"id": "a-3", "n": 1}, "headers": {"operation": "upsert"}})
            }
            2 => json!({"type": "nobody", "key": "a-1", "value": {"id": "a-1", "n": 1},
                "headers": {"operation": "upsert"}}),
            _ => json!({"headers": {"control": "reset"}}),
        };
        let at = self.rng.usize(..=draft.messages.len());
        draft.messages.insert(at, bad);
        let call = match self.rng.bool() {
            true => self.server.resource("POST", "changes"),
            false => self.server.stream("POST", ""),
        };
        let call = self.tuple(call).json(&Value::from(draft.messages));
        match call.answer().await {
            Ok(answer) if matches!(answer.status, 422 | 503) && wrote_nothing(&answer) => Ok(()),
            Ok(answer) => Err(format!("{}: a bad batch was answered {answer:?}", self.name)),
            Err(_) => Ok(()),
        }
    }

    /// Sends until there is an answer, breaking off now and then. Without a tuple there must be no second try.
    async fn deliver(&mut self, call: &Call) -> Result<Delivered, String> {
        for _ in 0..TRIES {
            if self.producer.is_some() && self.rng.u8(0..100) < 15 {
                let _ = call.abandon(Duration::from_micros(self.rng.u64(0..4_000))).await;
            }
            let refused = match call.answer().await {
                Ok(answer) if answer.status == 200 || answer.status == 204 => return Ok(Delivered::Answered(answer)),
                Ok(answer) => {
                    self.transient(&answer)?;
                    wrote_nothing(&answer)
                }
                Err(_) => false,
            };
            if self.producer.is_none() {
                return Ok(if refused { Delivered::NotWritten } else { Delivered::Silent });
            }
            sleep(Duration::from_millis(15)).await;
        }
        Err(format!("{}: no answer after {TRIES} tries", self.name))
    }

    fn transient(&self, answer: &Answer) -> Result<(), String> {
        match answer.status {
            429 | 503 => Ok(()),
            _ => Err(format!("{}: a good write was refused: {answer:?}", self.name)),
        }
    }

    fn tuple(&self, call: Call) -> Call {
        match &self.producer {
            Some((id, epoch, seq)) => {
                call.header("Producer-Id", id).header("Producer-Epoch", epoch).header("Producer-Seq", seq)
            }
            None => call,
        }
    }

    fn advance(&mut self, by: u64) {
        if let Some((_, _, seq)) = &mut self.producer {
            *seq += by;
        }
    }

    /// Changes over several collections. A versioned one may be dropped as older than what is there.
    fn draft(&mut self, with_versions: bool, most: usize) -> Draft {
        let (mut changes, mut messages, mut versioned) = (Vec::new(), Vec::new(), false);
        // Some are larger than any page of the case.
        let most = if self.rng.u8(0..100) < 4 { most * 8 } else { most };
        for _ in 0..self.rng.usize(1..=most) {
            let types: &[&str] = if with_versions { &["job", "count", "note"] } else { &["job", "count"] };
            let entity_type = types[self.rng.usize(..types.len())];
            let (entity_type, key) = self.name_of(entity_type);
            versioned |= entity_type == "note";
            let deletes = self.rng.u8(0..100) < 25;
            let number = Some(self.numbers.fetch_add(1, Ordering::Relaxed));
            let operation = ["insert", "update", "upsert"][self.rng.usize(..3)];
            let version = (entity_type == "note" && !deletes).then(|| self.rng.u64(0..50));
            let change = Change { entity_type, key, deletes, number, version };
            let pad = self.rng.usize(..120);
            messages.push(message(&change, if deletes { "delete" } else { operation }, pad));
            changes.push(change);
        }
        Draft { changes, messages, versioned }
    }

    fn name_of(&mut self, entity_type: &str) -> (String, String) {
        let key = match entity_type {
            "count" => self.rng.u8(0..20).to_string(),
            _ => format!("{}-{}", ["a", "b", "c"][self.rng.usize(..3)], self.rng.u8(0..12)),
        };
        (entity_type.to_owned(), key)
    }
}

/// Whether a refusal promises that nothing of the request was stored.
pub fn wrote_nothing(answer: &Answer) -> bool {
    answer.json().is_ok_and(|body| body["written"] == "no")
}

/// A change as it travels.
pub fn message(change: &Change, operation: &str, pad: usize) -> Value {
    let number = change.number.unwrap_or_default();
    let mut message = json!({"type": change.entity_type, "key": change.key,
        "headers": {"operation": operation, "txid": number.to_string()}});
    if !change.deletes {
        let id = match change.entity_type.as_str() {
            "count" => json!(change.key.parse::<u64>().unwrap()),
            _ => json!(change.key),
        };
        // Line breaks and brackets in values try the framing of every path.
        let pad = "x\n]}, \u{e9}\r".chars().cycle().take(pad).collect::<String>();
        message["value"] = json!({"id": id, "n": number, "pad": pad});
        if let Some(version) = change.version {
            message["value"]["v"] = version.into();
        }
    }
    message
}

/// The `offsets` of a changes reply.
pub fn offsets_of(answer: &Answer) -> Result<Vec<Option<String>>, String> {
    let body = answer.json()?;
    let offsets = body["offsets"].as_array().ok_or_else(|| format!("no offsets: {answer:?}"))?;
    Ok(offsets.iter().map(|offset| offset.as_str().map(str::to_owned)).collect())
}

pub fn next_offset(answer: &Answer) -> Result<String, String> {
    answer.header("stream-next-offset").map(str::to_owned).ok_or_else(|| format!("no Stream-Next-Offset: {answer:?}"))
}
