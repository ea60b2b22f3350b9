//! Random clients. Each does one thing after another, tells the model what it sends and is told, and checks what it reads.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use keyfold::engine::entity::{Condition, EntityName};
use keyfold::engine::{
    AppendRequest, Appended, CreateRequest, Engine, Fault, ForkRequest, Handle, PublishedStream, Selection, Start,
};
use keyfold::model::{
    ContentType, EntityKey, EntityType, Offset, Producer, ProducerEpoch, ProducerId, ProducerSeq, StreamName,
};
use keyfold::registry::{Binding, BindingName, Pattern, SubjectName};
use keyfold::stream::{Lifetime, Refusal};
use serde_json::json;

use super::executor::pause;
use super::model::{Kind, Model, Sight, Since, unit_of};

/// Names, with what is created under each. Streams under `bound/` are created by their first write.
pub const NAMES: [(&str, Option<Kind>); 9] = [
    ("json/a", Some(Kind::Json)),
    ("json/b", Some(Kind::Json)),
    ("bytes/a", Some(Kind::Bytes)),
    ("typed/a", Some(Kind::Typed)),
    ("typed/b", Some(Kind::Typed)),
    ("bound/a", None),
    ("bound/b", None),
    ("fork/a", Some(Kind::Json)),
    ("fork/b", Some(Kind::Bytes)),
];

pub fn stream_name(name: usize) -> StreamName {
    StreamName::parse(NAMES[name].0).unwrap()
}

fn is_bound(name: usize) -> bool {
    NAMES[name].1.is_none()
}

pub fn subject() -> SubjectName {
    SubjectName::parse("jobs").unwrap()
}

/// The first has the collection that streams use; the others differ in what nobody sends.
pub fn document(nth: u64) -> serde_json::Value {
    let mut properties = json!({"id": {"type": "string"}, "n": {"type": "integer"}, "pad": {"type": "string"}});
    if nth > 0 {
        properties[format!("extra{nth}")] = json!({"type": "boolean"});
    }
    let schema = json!({"type": "object", "required": ["id", "n"], "properties": properties});
    json!({"collections": {"jobs": {"type": "job", "primaryKey": "id", "schema": schema}}})
}

pub fn binding(name: &str, subject: &str) -> Binding {
    let pattern = Pattern::parse(&format!("{name}/**")).unwrap();
    Binding::new(BindingName::parse(name).unwrap(), pattern, SubjectName::parse(subject).unwrap())
}

/// What clients share, over all lives of the server.
pub struct Shared {
    pub model: RefCell<Model>,
    pub trace: RefCell<Vec<String>>,
    /// A barrier of this life has failed, or will.
    pub trouble: Cell<bool>,
    /// The disk was full in this life.
    pub full: Cell<bool>,
    /// Whoever waits for something to come stops waiting.
    pub hurry: Cell<bool>,
    pub pace: Cell<Pace>,
}

/// What clients do most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    Mixed,
    /// Streams come and go so fast that whole segments are given back.
    Churn,
    /// Streams that stay are written; what went before becomes old.
    Calm,
}

impl Shared {
    pub fn note(&self, line: String) {
        self.trace.borrow_mut().push(line);
    }
}

/// What a client remembers when the server goes.
#[derive(Default)]
pub struct Memory {
    /// By name: start of the life, place.
    places: BTreeMap<usize, (u64, u64)>,
    folds: BTreeMap<usize, (u64, u64, BTreeMap<String, u64>)>,
}

pub struct Client {
    pub nth: usize,
    pub engine: Engine,
    pub shared: Rc<Shared>,
    pub memory: Rc<RefCell<Memory>>,
    pub rng: fastrand::Rng,
}

/// What a fault says of what was asked.
#[derive(PartialEq, Eq, Debug)]
enum Verdict {
    Refused,
    NobodyKnows,
}

pub fn sight_of(stream: &PublishedStream) -> Sight {
    let creation = &stream.creation;
    let kind = match (stream.schema.is_some(), creation.content_type.is_json()) {
        (true, _) => Kind::Typed,
        (false, true) => Kind::Json,
        (false, false) => Kind::Bytes,
    };
    let name_of = |source: &StreamName| NAMES.iter().position(|(name, _)| *name == source.as_str()).unwrap();
    Sight {
        kind,
        start: creation.start,
        own_start: creation.own_start(),
        tail: stream.tail,
        closed: stream.closed,
        fork: creation.fork.as_ref().map(|fork| (name_of(&fork.source_name), fork.at, fork.shift)),
    }
}

/// A page as units.
pub fn units_of(kind: Kind, payload: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(payload).unwrap();
    if kind == Kind::Bytes {
        return text.chars().map(String::from).collect();
    }
    let messages: Vec<Box<serde_json::value::RawValue>> = serde_json::from_str(&format!("[{text}]")).unwrap();
    messages.iter().map(|message| unit_of(kind, message.get())).collect()
}

impl Client {
    pub async fn run(mut self) {
        loop {
            let name = self.rng.usize(..NAMES.len());
            let pace = self.shared.pace.get();
            match self.rng.u8(..100) {
                _ if pace == Pace::Churn && is_bound(name) => {}
                34..60 if pace == Pace::Churn => self.close_or_delete(name).await,
                60..85 if pace == Pace::Churn => self.create(name).await,
                85.. if pace == Pace::Churn => self.read(name).await,
                _ if pace == Pace::Calm && !is_bound(name) => {}
                _ if pace == Pace::Calm => self.append(name).await,
                0..34 => self.append(name).await,
                34..40 => self.close_or_delete(name).await,
                40..47 => self.create(name).await,
                47..53 => self.fork(name).await,
                53..64 => self.read(name).await,
                64..72 => self.read_folded(name).await,
                72..76 => self.wait_for_more(name).await,
                76..94 => self.entity(name).await,
                94..97 => self.register().await,
                _ => self.bind().await,
            }
            pause().await;
        }
    }

    fn note(&self, line: String) {
        self.shared.note(format!("client {}: {line}", self.nth));
    }

    fn model(&self) -> std::cell::RefMut<'_, Model> {
        self.shared.model.borrow_mut()
    }

    /// Judges a fault: which ones there may be depends on what was done to the disk.
    fn judge(&self, name: usize, fault: &Fault) -> Verdict {
        let full = self.shared.full.get();
        let trouble = self.shared.trouble.get();
        match fault {
            Fault::Unknown if trouble => Verdict::NobodyKnows,
            Fault::Closed if trouble => Verdict::Refused,
            Fault::Full if full || trouble => Verdict::Refused,
            Fault::Busy { .. } if full || trouble => Verdict::Refused,
            Fault::Refused(Refusal::Gone) if self.model().was_deleted(name) => Verdict::Refused,
            Fault::Refused(Refusal::Gone) | Fault::Unknown | Fault::Closed | Fault::Full | Fault::Busy { .. } => {
                panic!("client {}: {fault} without a cause", self.nth)
            }
            Fault::Storage(_) | Fault::BeyondTail { .. } | Fault::NotYet(_) | Fault::StreamBusy { .. } => {
                panic!("client {}: name {name}: {fault:?}", self.nth)
            }
            _ => Verdict::Refused,
        }
    }

    /// Looks a stream up. `None` where there is none, and the fault says so.
    async fn open(&self, name: usize) -> Option<(std::sync::Arc<Handle>, Option<PublishedStream>, Since)> {
        let since = self.model().begin(name);
        match self.engine.open(&stream_name(name)).await {
            Ok((handle, stream)) => {
                match &stream {
                    Some(stream) => self.model().see(name, since, &sight_of(stream)),
                    None => self.model().gone(name, since),
                }
                Some((handle, stream, since))
            }
            Err(fault) => {
                if fault.is_gone() {
                    self.model().gone(name, since);
                }
                self.judge(name, &fault);
                None
            }
        }
    }

    /// An answer may be the first that tells of a stream: sees what stands there, before it is taken down.
    fn look(&self, name: usize) {
        let stream = self.engine.handle(&stream_name(name)).stream();
        let mut model = self.model();
        let since = model.begin(name);
        stream.iter().for_each(|stream| model.see(name, since, &sight_of(stream)));
    }

    // ---- writing ----------------------------------------------------------------------------------------------------

    fn pad(&mut self) -> String {
        "x".repeat([0, 0, 10, 90, 300, 900][self.rng.usize(..6)])
    }

    fn key(&mut self) -> String {
        format!("k{}", self.rng.u8(..6))
    }

    /// Something new to say.
    fn batch(&mut self, name: usize, kind: Kind) -> usize {
        let count = if kind == Kind::Bytes { 1 } else { self.rng.usize(1..4) };
        let mut messages = Vec::new();
        for _ in 0..count {
            let (pad, key) = (self.pad(), self.key());
            let number = self.model().number();
            let text = match kind {
                Kind::Json => json!({"n": number, "pad": pad}).to_string(),
                Kind::Bytes => format!("[{number}:{pad}]"),
                Kind::Typed if self.rng.u8(..4) == 0 => {
                    let headers = json!({"operation": "delete", "txid": number.to_string()});
                    json!({"type": "job", "key": key, "headers": headers}).to_string()
                }
                Kind::Typed => {
                    let value = json!({"id": key, "n": number, "pad": pad});
                    let headers = json!({"operation": "upsert"});
                    json!({"type": "job", "key": key, "value": value, "headers": headers}).to_string()
                }
            };
            messages.push((number, text));
        }
        let texts: Vec<&str> = messages.iter().map(|(_, text)| text.as_str()).collect();
        let body = if kind == Kind::Bytes { texts.concat() } else { format!("[{}]", texts.join(",")) };
        self.model().batch(name, kind, &messages, body)
    }

    /// A tuple, and the batch that it stands for.
    fn tuple(&mut self, name: usize, kind: Kind, life: u64) -> (String, u64, u64, usize) {
        let id = format!("p{}-{life}", self.rng.u8(..2));
        let at = (name, id.clone());
        let newest = self.model().newest.get(&at).copied();
        let sent: Vec<(u64, u64)> = self.model().tuples.entry(at.clone()).or_default().keys().copied().collect();
        let (epoch, seq) = match (newest, self.rng.u8(..100)) {
            (_, 0..30) if !sent.is_empty() => sent[self.rng.usize(sent.len().saturating_sub(4)..sent.len())],
            (Some((epoch, _)), 30..42) => (epoch + 1, 0),
            (Some((epoch, seq)), 42..50) if epoch > 0 => (epoch - 1, seq),
            (Some((epoch, seq)), _) => (epoch, seq + 1),
            (None, _) => (0, 0),
        };
        let known = self.model().tuples[&at].get(&(epoch, seq)).copied();
        let batch = known.unwrap_or_else(|| self.batch(name, kind));
        self.model().tuples.get_mut(&at).unwrap().insert((epoch, seq), batch);
        (id, epoch, seq, batch)
    }

    async fn append(&mut self, name: usize) {
        let Some((_, stream, _)) = self.open(name).await else { return };
        let (kind, life) =
            stream.as_ref().map_or((Kind::Typed, 0), |stream| (sight_of(stream).kind, stream.creation.start));
        let tuple = self.rng.bool().then(|| self.tuple(name, kind, life));
        let batch = match &tuple {
            Some((.., batch)) => *batch,
            None => self.batch(name, kind),
        };
        let body = Bytes::from(self.model().batches[batch].body.clone());
        let closes = kind != Kind::Typed && self.rng.u8(..60) == 0;
        let content_type = if kind == Kind::Bytes { "text/plain" } else { "application/json" };
        let request = AppendRequest {
            content_type: ContentType::parse(content_type),
            producer: tuple.as_ref().map(|(id, epoch, seq, _)| producer(id, *epoch, *seq)),
            stream_seq: None,
            closes,
            body,
        };
        self.note(format!("appends batch {batch} to {name} as {tuple:?}, closing {closes}"));
        self.model().send(batch);
        let newest_before = tuple.as_ref().and_then(|(id, ..)| self.newest(name, id));
        let outcome = self.engine.append(&stream_name(name), request).await;
        if let Some((id, epoch, seq, _)) = &tuple {
            self.fenced(name, id, (*epoch, *seq), newest_before, &outcome);
        }
        if self.wrote(name, batch, outcome) && closes {
            let tail = self.model().batches[batch].end();
            self.model().closed(name, tail);
        }
    }

    fn newest(&self, name: usize, id: &str) -> Option<(u64, u64)> {
        self.model().newest.get(&(name, id.to_owned())).copied()
    }

    /// Whoever was told of an epoch must never see an older one accepted.
    fn fenced(
        &self,
        name: usize,
        id: &str,
        (epoch, seq): (u64, u64),
        before: Option<(u64, u64)>,
        outcome: &Result<Appended, Fault>,
    ) {
        let mut model = self.model();
        let same_life = model.is_surely_in(name, id.split_once('-').unwrap().1.parse().unwrap());
        let before = before.filter(|_| same_life);
        let newest = model.newest.entry((name, id.to_owned()));
        match outcome {
            Ok(appended) if !appended.duplicate => {
                let stale = before.is_some_and(|(newest, _)| epoch < newest);
                assert!(!stale, "{id} of {name}: epoch {epoch} was accepted after {before:?} was told");
                let newest = newest.or_insert((epoch, seq));
                *newest = (*newest).max((epoch, seq));
            }
            Err(Fault::Refused(Refusal::StaleEpoch { current, .. })) => {
                let newest = newest.or_insert((current.get(), 0));
                *newest = (*newest).max((current.get(), 0));
            }
            Err(Fault::Refused(Refusal::SeqGap { expected, .. })) => {
                let sure = before.filter(|(newest, _)| *newest == epoch);
                let lost = sure.is_some_and(|(_, last)| expected.get() <= last);
                assert!(!lost, "{id} of {name}: {expected} comes next, but {before:?} was told");
            }
            _ => {}
        }
    }

    /// Takes down what became of a batch. True where it was written now.
    fn wrote(&self, name: usize, batch: usize, outcome: Result<Appended, Fault>) -> bool {
        match outcome {
            Ok(appended) if appended.duplicate => {
                self.look(name);
                self.note(format!("batch {batch} is a repeat"));
                self.model().repeated(batch, appended.tail.position);
                false
            }
            Ok(appended) => {
                self.look(name);
                let units = self.model().batches[batch].len();
                let first = match appended.offsets.first() {
                    Some(offset) => offset.unwrap().position - 1,
                    None => appended.tail.position - units,
                };
                self.note(format!("batch {batch} is at {first}"));
                self.model().acked(batch, first);
                true
            }
            Err(fault) => {
                self.note(format!("batch {batch}: {fault:?}"));
                match self.judge(name, &fault) {
                    Verdict::Refused => self.model().refused(batch),
                    Verdict::NobodyKnows => self.model().unknown(batch),
                }
                false
            }
        }
    }

    async fn close_or_delete(&mut self, name: usize) {
        if is_bound(name) {
            return;
        }
        if self.rng.u8(..4) == 0 {
            self.note(format!("closes {name}"));
            let body = Bytes::new();
            let request = AppendRequest { content_type: None, producer: None, stream_seq: None, closes: true, body };
            match self.engine.append(&stream_name(name), request).await {
                Ok(appended) if appended.closed => {
                    self.look(name);
                    self.model().closed(name, appended.tail.position);
                }
                Ok(appended) => self.model().told(name, appended.tail.position),
                Err(fault) => drop(self.judge(name, &fault)),
            }
            return;
        }
        self.note(format!("deletes {name}"));
        let since = self.model().delete(name);
        let outcome = self.engine.delete(&stream_name(name)).await;
        self.note(format!("deleted {name}: {outcome:?}"));
        let gone = match &outcome {
            Ok(()) => true,
            Err(fault) => {
                self.judge(name, fault);
                fault.is_gone()
            }
        };
        self.model().delete_answered(name, since, gone);
    }

    async fn create(&mut self, name: usize) {
        let kind = NAMES[name].1.unwrap_or(Kind::Typed);
        let batch = self.rng.bool().then(|| self.batch(name, kind));
        let body = batch.map_or(Bytes::new(), |batch| self.model().batches[batch].body.clone().into());
        let request = CreateRequest {
            name: stream_name(name),
            content_type: ContentType::parse(if kind == Kind::Bytes { "text/plain" } else { "application/json" }),
            lifetime: Lifetime::Unlimited,
            closed: false,
            schema: (kind == Kind::Typed && !is_bound(name)).then(|| ("jobs".to_owned(), None)),
            fork: None,
            body,
        };
        self.note(format!("creates {name} with {batch:?}"));
        self.create_as(name, request, batch).await;
    }

    async fn fork(&mut self, name: usize) {
        let source = self.rng.usize(..NAMES.len());
        if is_bound(name) || source == name {
            return;
        }
        let place =
            self.rng.bool().then(|| self.shared.model.borrow().some_position(source, &mut self.rng)).flatten();
        let sub_offset = if place.is_some() { self.rng.u64(..3).saturating_sub(1) } else { 0 };
        let request = CreateRequest {
            name: stream_name(name),
            content_type: None,
            lifetime: Lifetime::Unlimited,
            closed: false,
            schema: None,
            fork: Some(ForkRequest { source: stream_name(source), offset: place.map(Offset::at), sub_offset }),
            body: Bytes::new(),
        };
        self.note(format!("forks {name} from {source} at {place:?} and {sub_offset}"));
        let made = self.create_as(name, request, None).await;
        // The first offset is the beginning of whatever stands there.
        if let (Some(made), Some(place)) = (made, place.filter(|place| *place > 0)) {
            let of = made.creation.fork.as_ref().map(|fork| (fork.source_name.clone(), fork.at));
            let wanted = (stream_name(source), place + sub_offset);
            assert!(of == Some(wanted.clone()), "name {name}: {of:?} is not {wanted:?}");
        }
    }

    /// Gives the stream where it is new.
    async fn create_as(
        &mut self,
        name: usize,
        request: CreateRequest,
        batch: Option<usize>,
    ) -> Option<PublishedStream> {
        let since = self.model().begin(name);
        batch.inspect(|batch| self.model().send(*batch));
        let outcome = self.engine.create(request).await;
        self.note(format!("created {name}: {outcome:?}"));
        match outcome {
            Ok(created) => {
                // What was deleted again before it was told is told as it was decided.
                if self.model().is_undisturbed(name, since) {
                    self.model().see(name, since, &sight_of(&created.stream));
                }
                if created.fresh {
                    self.model().created(name, since);
                }
                // Where somebody deletes at the same time, the stream that is seen may be the next one.
                let sure = self.model().is_undisturbed(name, since);
                match batch {
                    Some(batch) if !created.fresh => self.model().refused(batch),
                    Some(batch) if sure => self.model().acked(batch, created.stream.creation.own_start()),
                    Some(batch) => self.model().unknown(batch),
                    None => {}
                }
                created.fresh.then_some(created.stream)
            }
            // Made, and gone again before anybody looked.
            Err(Fault::NoStream(_)) => {
                batch.inspect(|batch| self.model().unknown(*batch));
                None
            }
            Err(fault) => {
                let verdict = self.judge(name, &fault);
                match (batch, verdict) {
                    (Some(batch), Verdict::Refused) => self.model().refused(batch),
                    (Some(batch), Verdict::NobodyKnows) => self.model().unknown(batch),
                    (None, _) => {}
                }
                None
            }
        }
    }

    /// One entity: put, patched, deleted, looked at, with and without a condition.
    async fn entity(&mut self, name: usize) {
        let key = self.key();
        let at = EntityName {
            stream: stream_name(name),
            entity_type: EntityType::parse("job").unwrap(),
            key: EntityKey::parse(&key).unwrap(),
        };
        let Some((_, stream, _)) = self.open(name).await else { return };
        if stream.as_ref().is_some_and(|stream| sight_of(stream).kind != Kind::Typed) {
            return;
        }
        let entity = format!("job/{key}");
        let current = match self.rng.u8(..3) {
            0 => None,
            _ => match self.engine.entity(&at).await {
                Ok(found) => {
                    self.model().entity_at(name, found.offset.position);
                    Some(Some(found.offset))
                }
                Err(fault) => {
                    self.judge(name, &fault);
                    matches!(fault, Fault::NoEntity { .. }).then_some(None)
                }
            },
        };
        let (condition, met) = match current.filter(|_| self.rng.u8(..4) > 0) {
            Some(Some(offset)) => (Some(Condition::Matches(Some(offset))), Some(Some(offset.position))),
            Some(None) => (Some(Condition::MatchesNot(None)), Some(None)),
            None => (None, None),
        };
        let what = self.rng.u8(..10);
        let number = self.model().number();
        let pad = self.pad();
        let (batch, outcome) = match what {
            0..5 => {
                let value = json!({"id": key, "n": number, "pad": pad}).to_string();
                let batch = self.entity_batch(name, &key, number);
                self.model().send(batch);
                self.note(format!("puts {entity} of {name} as batch {batch} if {condition:?}"));
                (batch, self.engine.put_entity(&at, value.as_bytes(), condition, None).await)
            }
            5..8 => {
                let batch = self.entity_batch(name, &key, number);
                self.model().send(batch);
                self.note(format!("patches {entity} of {name} as batch {batch} if {condition:?}"));
                let patch = json!({"n": number}).to_string();
                // Merging waits its turn, and a condition that an entity is absent makes no sense with it.
                let condition = condition.filter(|condition| matches!(condition, Condition::Matches(_)));
                (batch, self.engine.patch_entity(&at, patch.as_bytes(), condition, None).await)
            }
            _ => {
                let condition = condition.filter(|condition| matches!(condition, Condition::Matches(_)));
                let batch = self.model().anonymous_delete(name, &entity);
                self.model().send(batch);
                self.note(format!("removes {entity} of {name} as batch {batch} if {condition:?}"));
                (batch, self.engine.delete_entity(&at, condition, None).await)
            }
        };
        if let Err(Fault::Precondition { current: Some(current) }) = &outcome {
            self.model().entity_at(name, current.position);
        }
        if self.wrote(name, batch, outcome)
            && let Some(met) = met
            && (what < 5 || met.is_some())
        {
            let position = self.model().batches[batch].end() - 1;
            self.model().met(name, position, &entity, met);
        }
    }

    fn entity_batch(&self, name: usize, key: &str, number: u64) -> usize {
        let stored = json!({"type": "job", "key": key, "value": {"n": number}, "headers": {"operation": "upsert"}});
        self.model().batch(name, Kind::Typed, &[(number, stored.to_string())], String::new())
    }

    // ---- reading ----------------------------------------------------------------------------------------------------

    /// Every change from a saved place or the beginning on, to the tail.
    async fn read(&mut self, name: usize) {
        let Some((_, Some(stream), _)) = self.open(name).await else { return };
        let start = stream.creation.start;
        let saved = self.memory.borrow().places.get(&name).copied().filter(|_| self.rng.u8(..3) > 0);
        let from = match saved {
            Some((life, place)) => match self.engine.check_offset(Some(&stream), Offset::at(place)) {
                Ok(()) if life == start => place,
                Ok(()) => start,
                Err(fault) => {
                    assert!(life != start, "name {name}: {place} was told, and is refused: {fault:?}");
                    self.judge(name, &fault);
                    start
                }
            },
            None => start,
        };
        self.read_on(name, &stream, from).await;
    }

    /// True where it reached the tail that was seen.
    async fn read_on(&mut self, name: usize, stream: &PublishedStream, mut from: u64) -> bool {
        let sight = sight_of(stream);
        let begun = from;
        loop {
            let page = match self.engine.raw_page(stream, from).await {
                Ok(page) => page,
                Err(fault) => {
                    self.judge(name, &fault);
                    return false;
                }
            };
            let units = units_of(sight.kind, &page.payload);
            assert_eq!(page.next - page.from, units.len() as u64, "name {name}: {page:?}");
            for (position, unit) in (page.from..).zip(&units) {
                self.model().holds(name, position, unit);
            }
            from = page.next;
            self.memory.borrow_mut().places.insert(name, (sight.start, from));
            if page.up_to_date {
                self.note(format!("read {name} from {begun} to {from}"));
                return true;
            }
        }
    }

    async fn wait_for_more(&mut self, name: usize) {
        let Some((handle, Some(stream), _)) = self.open(name).await else { return };
        self.note(format!("waits at {} of {name}", stream.tail));
        let mut published = handle.subscribe();
        let shared = self.shared.clone();
        let more = self.engine.changed_since(&mut published, Some(stream.id), stream.tail);
        let mut more = Box::pin(more);
        let patience = std::future::poll_fn(|context| match shared.hurry.get() {
            true => Poll::Ready(()),
            false => more.as_mut().poll(context).map(drop),
        });
        patience.await;
        drop(more);
        let Some((_, Some(now), _)) = self.open(name).await else { return };
        if now.id == stream.id {
            self.read_on(name, &now, stream.tail).await;
        }
    }

    /// The newest change of every entity, from the beginning or from a mark on, against the fold of every change.
    async fn read_folded(&mut self, name: usize) {
        let Some((handle, Some(stream), _)) = self.open(name).await else { return };
        let start = stream.creation.start;
        if sight_of(&stream).kind != Kind::Typed {
            return;
        }
        let saved = self.memory.borrow().folds.get(&name).cloned();
        let saved = saved.filter(|(life, ..)| *life == start && self.rng.u8(..3) > 0);
        let (mut at, mut state) = match saved {
            Some((_, mark, state)) => (Start::from_offset(Offset::at(mark), start), state),
            None => (Start::beginning(), BTreeMap::new()),
        };
        let mark = loop {
            match self.engine.folded_page(&handle, &stream, at, &Selection::default(), None).await {
                Ok(page) => {
                    for item in &page.items {
                        let entity = format!("{}/{}", item.entity_type, item.key);
                        let unit = unit_of(Kind::Typed, std::str::from_utf8(&item.change).unwrap());
                        self.model().holds(name, item.position, &unit);
                        match item.deletes {
                            true => drop(state.remove(&entity)),
                            false => drop(state.insert(entity, unit.rsplit(' ').next().unwrap().parse().unwrap())),
                        }
                    }
                    at = page.next;
                    if page.done {
                        break at.position;
                    }
                }
                Err(fault) => {
                    self.judge(name, &fault);
                    return;
                }
            }
        };
        self.model().told(name, mark);
        self.memory.borrow_mut().folds.insert(name, (start, mark, state.clone()));
        let Some((_, Some(now), _)) = self.open(name).await else { return };
        if now.id == stream.id && self.read_on(name, &now, start).await {
            let mut model = self.model();
            assert_eq!(model.fold(name, start, mark), state, "name {name}: the fold at {mark} is not the log's");
            model.checked.marks += 1;
            drop(model);
            self.note(format!("folded {name} to {mark}: {state:?}"));
        }
    }

    // ---- the registry -----------------------------------------------------------------------------------------------

    async fn register(&mut self) {
        let (of, nth) = (format!("side{}", self.rng.u8(..2)), self.rng.u64(..4));
        self.model().registering(&of, nth);
        let outcome = self.engine.register(SubjectName::parse(&of).unwrap(), document(nth)).await;
        match outcome {
            Ok(registered) => {
                self.note(format!("registered {nth} of {of} as {}", registered.registered.version));
                self.model().registered(&of, nth, registered.registered.version);
            }
            Err(fault) => drop(self.judge(0, &fault)),
        }
    }

    async fn bind(&mut self) {
        let which = self.rng.u64(..2);
        // Only where it is sure to be there: otherwise binding is refused, and that says nothing.
        let subject = format!("side{which}");
        if !self.model().versions.keys().any(|(known, _)| *known == subject) {
            return;
        }
        self.model().bindings.insert(which);
        let outcome = self.engine.bind(binding("side", &subject)).await;
        self.note(format!("bound side to {subject}: {outcome:?}"));
        match outcome {
            Ok(_) => self.model().bound = true,
            Err(fault) => drop(self.judge(0, &fault)),
        }
    }
}

fn producer(id: &str, epoch: u64, seq: u64) -> Producer {
    Producer {
        id: ProducerId::parse(id).unwrap(),
        epoch: ProducerEpoch::new(epoch).unwrap(),
        seq: ProducerSeq::new(seq).unwrap(),
    }
}
