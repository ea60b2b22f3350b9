//! What must be true, from what clients sent, were told and have seen. Shares no rule with the server.
//!
//! Two facts carry it. A name never gives a position out twice, so what somebody saw or was told to be at a position of
//! a name is there for ever, or the stream is gone. And every message has a number that no other has, so what is read
//! back is traced to the request that sent it: whole, at most once in a stream's life, and never after it was refused.
//! A claim that is broken panics.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

/// What a stream holds. Decides what a position counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Json,
    Bytes,
    Typed,
}

/// A stream as somebody has just seen it.
#[derive(Clone, Debug)]
pub struct Sight {
    pub kind: Kind,
    /// Where its positions begin; tells the lives of a name apart.
    pub start: u64,
    pub own_start: u64,
    pub tail: u64,
    pub closed: bool,
    /// Source, its position that the fork does not inherit, and what is added to positions of the source.
    pub fork: Option<(usize, u64, u64)>,
}

/// What was known of a name when a request began.
#[derive(Clone, Copy, Debug)]
pub struct Since {
    gone_to: Option<u64>,
    deletes: u64,
    deleting: u64,
    newest: Option<u64>,
}

#[derive(Debug)]
pub struct Life {
    pub kind: Kind,
    own_start: u64,
    fork: Option<(usize, u64, u64)>,
    closed_at: Option<u64>,
}

#[derive(Debug, Default)]
pub struct Name {
    /// Of all its lives.
    known: BTreeMap<u64, String>,
    /// Above every position that anybody was told of.
    floor: u64,
    pub lives: BTreeMap<u64, Life>,
    /// Lives up to this start are gone.
    gone_to: Option<u64>,
    /// The newest life was told to exist, and nobody can have ended it.
    surely_there: bool,
    deletes: u64,
    deleting: u64,
}

#[derive(Debug)]
pub struct Batch {
    pub name: usize,
    pub body: String,
    /// As they are compared with what is read.
    units: Vec<String>,
    in_flight: u32,
    sent: u32,
    /// An attempt had no answer, or one that says that nobody knows.
    unknown: bool,
    /// A repeat was told that it lies below this.
    repeat_below: Option<u64>,
    /// Where it was found or told to be, in any life of its name.
    placed: BTreeSet<u64>,
}

/// What a conditional write was told to have met: just before it the entity was at that offset, or not there.
#[derive(Debug)]
struct Met {
    name: usize,
    position: u64,
    entity: String,
    at: Option<u64>,
}

#[derive(Default)]
pub struct Model {
    pub names: Vec<Name>,
    pub batches: Vec<Batch>,
    /// Which unit of which batch a number is.
    numbers: HashMap<u64, (usize, usize)>,
    /// Deletions that carry no number, by name and unit.
    anonymous: BTreeMap<(usize, String), Vec<usize>>,
    pub next_number: u64,
    pub tuples: BTreeMap<(usize, String), BTreeMap<(u64, u64), usize>>,
    /// The newest epoch and seq that somebody was told of, by stream and producer.
    pub newest: BTreeMap<(usize, String), (u64, u64)>,
    met: Vec<Met>,
    /// Subjects and documents, with the version that was told.
    pub versions: BTreeMap<(String, u64), u32>,
    /// Documents that a subject may have had sent.
    sent_versions: BTreeSet<(String, u64)>,
    /// What the binding may say, and whether it is sure that there is one.
    pub bindings: BTreeSet<u64>,
    pub bound: bool,
    pub checked: Checked,
}

/// How much was checked; a run that checks nothing proves nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    pub acked: u64,
    pub repeats: u64,
    pub refused: u64,
    pub unknown: u64,
    pub marks: u64,
    pub restarts: u64,
    pub units: u64,
}

/// What is compared of a message.
pub fn unit_of(kind: Kind, text: &str) -> String {
    if kind != Kind::Typed {
        return text.to_owned();
    }
    let value: Value = serde_json::from_str(text).unwrap();
    let entity = format!("{}/{}", value["type"].as_str().unwrap(), value["key"].as_str().unwrap());
    match value["headers"]["operation"].as_str().unwrap() {
        "delete" => format!("{entity} delete {}", value["headers"]["txid"].as_str().unwrap_or("-")),
        _ => format!("{entity} set {}", value["value"]["n"]),
    }
}

/// The entity of a typed unit, and its number unless it was deleted.
fn entity_of(unit: &str) -> (&str, Option<u64>) {
    let mut words = unit.split(' ');
    let entity = words.next().unwrap();
    let sets = words.next() == Some("set");
    (entity, sets.then(|| words.next().unwrap().parse().unwrap()))
}

fn number_of(kind: Kind, unit: &str) -> Option<u64> {
    match kind {
        Kind::Json => serde_json::from_str::<Value>(unit).unwrap()["n"].as_u64(),
        Kind::Typed => unit.rsplit(' ').next().unwrap().parse().ok(),
        Kind::Bytes => None,
    }
}

impl Model {
    pub fn new(names: usize) -> Self {
        Self { names: (0..names).map(|_| Name::default()).collect(), ..Self::default() }
    }

    pub fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// A request about a name begins.
    pub fn begin(&self, name: usize) -> Since {
        let at = &self.names[name];
        Since {
            gone_to: at.gone_to,
            deletes: at.deletes,
            deleting: at.deleting,
            newest: at.lives.keys().next_back().copied(),
        }
    }

    /// Somebody sees a stream.
    pub fn see(&mut self, name: usize, since: Since, sight: &Sight) {
        let at = &mut self.names[name];
        if since.gone_to.is_some_and(|gone| sight.start <= gone) {
            panic!("name {name}: a deleted stream is back: {sight:?}, gone to {since:?}");
        }
        let newest = at.lives.keys().next_back().copied();
        if newest.is_some_and(|newest| sight.start < newest) {
            panic!("name {name}: a former stream is back: {sight:?} after {newest:?}");
        }
        if !at.lives.contains_key(&sight.start) {
            if newest.is_some() && sight.start <= at.floor {
                panic!("name {name}: positions are given out again: {sight:?}, but {} was told before", at.floor);
            }
            at.surely_there = false;
            let life = Life { kind: sight.kind, own_start: sight.own_start, fork: sight.fork, closed_at: None };
            at.lives.insert(sight.start, life);
        }
        let life = at.lives.get_mut(&sight.start).unwrap();
        if (life.kind, life.own_start, life.fork) != (sight.kind, sight.own_start, sight.fork) {
            panic!("name {name}: the stream is another one: {sight:?}, was {life:?}");
        }
        if sight.tail < at.floor {
            panic!("name {name}: what was told or seen is lost: {sight:?}, but {} was told before", at.floor);
        }
        match life.closed_at {
            Some(closed_at) if !sight.closed || sight.tail != closed_at => {
                panic!("name {name}: it was closed at {closed_at}: {sight:?}");
            }
            _ => life.closed_at = sight.closed.then_some(sight.tail),
        }
        at.floor = sight.tail;
    }

    /// A creation was told to be one; the stream was seen with the answer.
    pub fn created(&mut self, name: usize, since: Since) {
        let sure = self.is_undisturbed(name, since);
        self.names[name].surely_there |= sure;
    }

    /// Nobody can have ended a stream of that name since.
    pub fn is_undisturbed(&self, name: usize, since: Since) -> bool {
        since.deleting == 0 && since.deletes == self.names[name].deletes
    }

    /// Whether everything that is written to a name goes to the stream that starts there.
    pub fn is_surely_in(&self, name: usize, start: u64) -> bool {
        let at = &self.names[name];
        at.lives.keys().next_back() == Some(&start) && (at.surely_there || at.deletes == 0)
    }

    /// Whether somebody may have lost a stream of that name while using it.
    pub fn was_deleted(&self, name: usize) -> bool {
        self.names[name].deletes > 0
    }

    /// A delete is sent.
    pub fn delete(&mut self, name: usize) -> Since {
        let since = self.begin(name);
        let at = &mut self.names[name];
        at.deletes += 1;
        at.deleting += 1;
        at.surely_there = false;
        since
    }

    pub fn delete_answered(&mut self, name: usize, since: Since, gone: bool) {
        self.names[name].deleting -= 1;
        if gone {
            self.gone(name, since);
        }
    }

    /// It was told that no stream has the name: what was there when the request began is gone.
    pub fn gone(&mut self, name: usize, since: Since) {
        let at = &mut self.names[name];
        if at.surely_there && since.newest == at.lives.keys().next_back().copied() {
            panic!("name {name}: the stream is gone, and nobody deleted it: {since:?}");
        }
        at.gone_to = at.gone_to.max(since.newest);
    }

    /// What a position of the newest life holds, as it was told or seen.
    pub fn holds(&mut self, name: usize, position: u64, unit: &str) {
        let at = &mut self.names[name];
        at.floor = at.floor.max(position + 1);
        let known = at.known.entry(position).or_insert_with(|| unit.to_owned());
        assert_eq!(known, unit, "name {name}: position {position} held something else before");
        self.checked.units += 1;
    }

    pub fn told(&mut self, name: usize, tail: u64) {
        let at = &mut self.names[name];
        at.floor = at.floor.max(tail);
    }

    pub fn closed(&mut self, name: usize, tail: u64) {
        self.told(name, tail);
        if let Some(mut life) = self.names[name].lives.last_entry().filter(|life| *life.key() <= tail) {
            let before = life.get_mut().closed_at.replace(tail);
            assert!(before.is_none_or(|before| before == tail), "name {name}: closed at {tail} and at {before:?}");
        }
    }

    /// Some position that the newest life has handed out, for readers and forks.
    pub fn some_position(&self, name: usize, rng: &mut fastrand::Rng) -> Option<u64> {
        let at = &self.names[name];
        let start = *at.lives.keys().next_back()?;
        (start <= at.floor).then(|| rng.u64(start..=at.floor))
    }

    // ---- batches ----------------------------------------------------------------------------------------------------

    /// A new batch; `messages` are the texts of its messages, each with its number.
    pub fn batch(&mut self, name: usize, kind: Kind, messages: &[(u64, String)], body: String) -> usize {
        let nth = self.batches.len();
        let mut units = Vec::new();
        for (number, text) in messages {
            match kind {
                Kind::Bytes => {
                    self.numbers.insert(*number, (nth, 0));
                    units.extend(text.chars().map(String::from));
                }
                _ => {
                    self.numbers.insert(*number, (nth, units.len()));
                    units.push(unit_of(kind, text));
                }
            }
        }
        let batch = Batch {
            name,
            body,
            units,
            in_flight: 0,
            sent: 0,
            unknown: false,
            repeat_below: None,
            placed: BTreeSet::new(),
        };
        self.batches.push(batch);
        nth
    }

    /// A deletion that can carry no number.
    pub fn anonymous_delete(&mut self, name: usize, entity: &str) -> usize {
        let unit = format!("{entity} delete -");
        let nth = self.batch(name, Kind::Json, &[], String::new());
        self.batches[nth].units.push(unit.clone());
        self.anonymous.entry((name, unit)).or_default().push(nth);
        nth
    }

    pub fn send(&mut self, batch: usize) {
        self.batches[batch].in_flight += 1;
        self.batches[batch].sent += 1;
    }

    pub fn acked(&mut self, batch: usize, first: u64) {
        let (name, units) = (self.batches[batch].name, self.batches[batch].units.clone());
        for (nth, unit) in units.iter().enumerate() {
            self.holds(name, first + nth as u64, unit);
        }
        self.answered(batch);
        self.batches[batch].placed.insert(first);
        self.checked.acked += 1;
    }

    pub fn repeated(&mut self, batch: usize, tail: u64) {
        assert!(self.batches[batch].sent > 1, "batch {batch} was sent once, and told to be a repeat");
        self.told(self.batches[batch].name, tail);
        self.answered(batch);
        self.batches[batch].repeat_below = Some(tail);
        self.checked.repeats += 1;
    }

    pub fn refused(&mut self, batch: usize) {
        self.answered(batch);
        self.checked.refused += 1;
    }

    pub fn unknown(&mut self, batch: usize) {
        self.answered(batch);
        self.batches[batch].unknown = true;
        self.checked.unknown += 1;
    }

    fn answered(&mut self, batch: usize) {
        self.batches[batch].in_flight -= 1;
    }

    /// A conditional write landed at a position.
    pub fn met(&mut self, name: usize, position: u64, entity: &str, at: Option<u64>) {
        self.met.push(Met { name, position, entity: entity.into(), at });
    }

    /// An entity was told to be at an offset.
    pub fn entity_at(&mut self, name: usize, offset: u64) {
        self.told(name, offset);
    }

    /// The naive fold of the newest life up to a mark. Everything below the mark must be known.
    pub fn fold(&self, name: usize, start: u64, mark: u64) -> BTreeMap<String, u64> {
        let mut state = BTreeMap::new();
        for position in start..mark {
            let unit = self.names[name].known.get(&position).unwrap_or_else(|| panic!("{position} was not read"));
            let (entity, number) = entity_of(unit);
            match number {
                Some(number) => drop(state.insert(entity.to_owned(), number)),
                None => drop(state.remove(entity)),
            }
        }
        state
    }

    // ---- the registry -----------------------------------------------------------------------------------------------

    pub fn registering(&mut self, subject: &str, document: u64) {
        self.sent_versions.insert((subject.into(), document));
    }

    pub fn registered(&mut self, subject: &str, document: u64, version: u32) {
        let taken = self.versions.iter().find(|((s, d), v)| s == subject && **v == version && *d != document);
        assert!(taken.is_none(), "version {version} of {subject} was {taken:?} before it was {document}");
        assert!(self.sent_versions.contains(&(subject.into(), document)), "nobody registered {document}");
        let before = self.versions.insert((subject.into(), document), version);
        assert!(before.is_none_or(|before| before == version), "{subject} {document}: {before:?}, then {version}");
    }

    // ---- crashes ----------------------------------------------------------------------------------------------------

    /// The process is gone: requests in flight have no answer.
    pub fn crashed(&mut self) {
        for batch in &mut self.batches {
            batch.unknown |= std::mem::take(&mut batch.in_flight) > 0;
        }
        for name in &mut self.names {
            name.deleting = 0;
        }
        self.checked.restarts += 1;
    }

    /// Nobody writes, and no stream has the name.
    pub fn settle_absent(&mut self, name: usize) {
        let since = self.begin(name);
        self.gone(name, since);
    }

    /// Nobody writes, and this is all there is: what is in it counts from here on, and what is not never comes.
    pub fn settle(&mut self, name: usize, sight: &Sight, units: &[String]) {
        let since = self.begin(name);
        self.see(name, since, sight);
        assert_eq!(units.len() as u64, sight.tail - sight.start, "name {name}: {sight:?}");
        for (position, unit) in (sight.start..).zip(units) {
            self.holds(name, position, unit);
        }
        self.names[name].surely_there = true;
        if let Some((source, at, shift)) = sight.fork {
            assert_eq!(sight.own_start, at + shift);
            for (position, unit) in (sight.start..sight.own_start).zip(units) {
                let of_source = self.names[source].known.get(&(position - shift));
                assert!(of_source.is_none_or(|known| known == unit), "name {name}: {position} is not its source's");
            }
        }
        let own = &units[(sight.own_start - sight.start) as usize..];
        self.attribute(name, sight, own);
        for batch in self.batches.iter().filter(|batch| batch.name == name) {
            if let Some(below) = batch.repeat_below.filter(|below| *below > sight.start) {
                assert!(
                    batch.placed.range(sight.start..).next().is_some(),
                    "a repeat below {below} has no original: {batch:?}"
                );
            }
        }
        self.check_met(name, sight);
    }

    /// After every name was settled.
    pub fn settled(&mut self) {
        self.batches.iter_mut().for_each(|batch| batch.unknown = false);
    }

    /// Traces what a stream wrote itself to requests.
    fn attribute(&mut self, name: usize, sight: &Sight, own: &[String]) {
        let mut at = 0;
        while at < own.len() {
            let position = sight.own_start + at as u64;
            let nth = match sight.kind {
                Kind::Bytes => {
                    let rest: String = own[at..].iter().take(40).map(String::as_str).collect();
                    let number = rest.strip_prefix('[').and_then(|rest| rest.split_once(':')).map(|(n, _)| n);
                    number.and_then(|n| self.numbers.get(&n.parse().ok()?)).map(|(nth, _)| *nth)
                }
                _ => match number_of(sight.kind, &own[at]) {
                    Some(number) => self.numbers.get(&number).filter(|(_, index)| *index == 0).map(|(nth, _)| *nth),
                    None => self.anonymous_at(name, position, &own[at]),
                },
            };
            let Some(nth) = nth else { panic!("name {name}: nobody wrote {:?} at {position}", own[at]) };
            let batch = &mut self.batches[nth];
            let whole = own.get(at..at + batch.units.len()) == Some(&batch.units[..]);
            assert!(batch.name == name && whole, "name {name}: {batch:?} is stored in part at {position}");
            let mut here = batch.placed.range(sight.start..);
            assert!(here.all(|known| *known == position), "stored twice: {batch:?}, and at {position}");
            if batch.placed.insert(position) {
                assert!(
                    batch.unknown || batch.repeat_below.is_some(),
                    "name {name}: it was refused or lost, and is at {position}: {batch:?}"
                );
            }
            at += batch.units.len();
        }
    }

    fn anonymous_at(&self, name: usize, position: u64, unit: &str) -> Option<usize> {
        let known = self.anonymous.get(&(name, unit.to_owned()))?;
        let here = known.iter().find(|nth| self.batches[**nth].placed.contains(&position));
        let free = |nth: &&usize| self.batches[**nth].unknown && self.batches[**nth].placed.is_empty();
        here.or_else(|| known.iter().find(free)).copied()
    }

    fn check_met(&mut self, name: usize, sight: &Sight) {
        let known = &self.names[name].known;
        for met in self.met.extract_if(.., |met| met.name == name) {
            if met.position < sight.start {
                continue;
            }
            let before = known.range(sight.start..met.position).rev();
            let mut before = before.filter(|(_, unit)| entity_of(unit).0 == met.entity);
            let found = before.next().and_then(|(at, unit)| entity_of(unit).1.map(|_| at + 1));
            assert_eq!(found, met.at, "name {name}: {met:?} was written on another entity");
        }
    }
}

impl Batch {
    pub fn len(&self) -> u64 {
        self.units.len() as u64
    }

    /// Just after it, where it was written last.
    pub fn end(&self) -> u64 {
        self.placed.last().unwrap() + self.len()
    }
}
