//! What the writers were told, folded by code that shares nothing with the server's.
//!
//! Offsets are opaque texts here: byte order is stream order, and the first sixteen hex digits count messages. The log
//! read back is used for one thing only: to place changes whose writer got no answer that says where they are. Those
//! must fill the gaps that the told ones leave, whole batch by whole batch, each at most once.

use std::collections::{BTreeMap, HashMap, VecDeque};

use parking_lot::Mutex;
use serde_json::Value;

/// Live entities: type and key, to the number that the writer gave to the value.
pub type State = BTreeMap<(String, String), u64>;

/// One change, as its writer knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Change {
    pub entity_type: String,
    pub key: String,
    pub deletes: bool,
    /// Unique among all changes of a case. `None` for a delete that could not carry it.
    pub number: Option<u64>,
    /// Of a versioned entity's value: it may be dropped as older than what is there.
    pub version: Option<u64>,
}

/// What a writer knows of a batch once it has stopped trying.
#[derive(Clone, Debug)]
pub enum Told {
    /// Per change the offset just after it; `None` where it was not applied.
    At(Vec<Option<String>>),
    /// The offset just after the last change of a batch that was applied whole.
    EndsAt(String),
    /// A repeat: it is in the log once, the answer does not say where.
    Repeat,
    /// No answer: it is in the log once or not at all.
    Unknown,
    /// All entities were deleted at once, perhaps; nobody says which they were.
    Wiped,
}

#[derive(Clone, Debug)]
pub struct Batch {
    pub writer: String,
    pub changes: Vec<Change>,
    pub told: Told,
}

/// Which entities a reader asked for.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub entity_type: Option<String>,
    pub key: Option<String>,
    pub key_prefix: Option<String>,
}

impl Filter {
    pub fn wants(&self, entity_type: &str, key: &str) -> bool {
        self.entity_type.as_deref().is_none_or(|wanted| wanted == entity_type)
            && self.key.as_deref().is_none_or(|wanted| wanted == key)
            && self.key_prefix.as_deref().is_none_or(|prefix| key.starts_with(prefix))
    }

    pub fn is_all(&self) -> bool {
        self.entity_type.is_none() && self.key.is_none() && self.key_prefix.is_none()
    }

    /// As query parameters, each with its `&` in front.
    pub fn query(&self) -> String {
        let part = |name: &str, value: &Option<String>| match value {
            Some(value) => format!("&{name}={value}"),
            None => String::new(),
        };
        part("type", &self.entity_type) + &part("key", &self.key) + &part("key_prefix", &self.key_prefix)
    }
}

/// What a reader held when it was told that it holds everything.
#[derive(Clone, Debug)]
pub struct Mark {
    pub reader: String,
    pub filter: Filter,
    pub offset: String,
    pub state: State,
}

/// Batches and marks of a case, as they come.
#[derive(Default)]
pub struct Ledger {
    batches: Mutex<Vec<Batch>>,
    marks: Mutex<Vec<Mark>>,
    newest_told: Mutex<String>,
}

impl Ledger {
    pub fn wrote(&self, batch: Batch) {
        let last = match &batch.told {
            Told::At(offsets) => offsets.iter().flatten().max().cloned(),
            Told::EndsAt(offset) => Some(offset.clone()),
            Told::Repeat | Told::Unknown | Told::Wiped => None,
        };
        if let Some(last) = last {
            let mut newest = self.newest_told.lock();
            *newest = last.max(std::mem::take(&mut *newest));
        }
        self.batches.lock().push(batch);
    }

    pub fn marked(&self, mark: Mark) {
        self.marks.lock().push(mark);
    }

    pub fn take_marks(&self) -> Vec<Mark> {
        std::mem::take(&mut self.marks.lock())
    }

    /// The highest offset that some writer has been told by now; whoever asks from here on must see what is below it.
    pub fn newest_told(&self) -> String {
        self.newest_told.lock().clone()
    }

    /// Checks every mark against the fold of what the writers were told. `log` is every change from the offset of the
    /// stream's beginning on, `first` the position of its first.
    pub fn settle(&self, log: &[Change], first: u64) -> Result<Summary, String> {
        let batches = self.batches.lock();
        let owner = placed(&batches, log, first)?;
        versions_never_fall(log)?;
        let mut marks = self.marks.lock().clone();
        marks.sort_by(|a, b| a.offset.cmp(&b.offset));
        let (mut state, mut folded) = (State::new(), 0_usize);
        for mark in &marks {
            let position = position_of(&mark.offset)?;
            let below = usize::try_from(position.saturating_sub(first)).map_err(|e| e.to_string())?;
            if below > log.len() {
                return Err(format!("{}: mark {} lies beyond everything written", mark.reader, mark.offset));
            }
            if below > 0 && below < log.len() && owner[below - 1] == owner[below] {
                return Err(format!("{}: mark {} falls inside a batch", mark.reader, mark.offset));
            }
            for change in &log[folded..below.max(folded)] {
                apply(&mut state, change);
            }
            folded = folded.max(below);
            let wanted: State = state.iter().filter(|((t, k), _)| mark.filter.wants(t, k)).map(owned).collect();
            if wanted != mark.state {
                return Err(differs(mark, &wanted));
            }
        }
        Ok(Summary { changes: log.len(), marks: marks.len() })
    }
}

/// How much a case has checked; a case that checks nothing proves nothing.
#[derive(Clone, Copy, Debug)]
pub struct Summary {
    pub changes: usize,
    pub marks: usize,
}

/// The naive fold: the newest change of an entity says what it is.
pub fn apply(state: &mut State, change: &Change) {
    let name = (change.entity_type.clone(), change.key.clone());
    match (change.deletes, change.number) {
        (true, _) => drop(state.remove(&name)),
        (false, number) => drop(state.insert(name, number.unwrap_or(u64::MAX))),
    }
}

/// Reads a change as it travels: number from the value, or from the `txid` that the writers put on deletes.
pub fn parse(message: &Value) -> Result<Change, String> {
    let text = |member: &str| message[member].as_str().map(str::to_owned);
    let (Some(entity_type), Some(key)) = (text("type"), text("key")) else {
        return Err(format!("not a change: {message}"));
    };
    let operation = message["headers"]["operation"].as_str().unwrap_or_default();
    let deletes = operation == "delete";
    if !deletes && !["insert", "update", "upsert"].contains(&operation) {
        return Err(format!("unknown operation in {message}"));
    }
    let number = match deletes {
        false => {
            Some(message["value"]["n"].as_u64().ok_or_else(|| format!("a value without its number: {message}"))?)
        }
        true => message["headers"]["txid"].as_str().and_then(|txid| txid.parse().ok()),
    };
    let version = message["value"]["v"].as_u64();
    Ok(Change { entity_type, key, deletes, number, version })
}

/// The count of messages before an offset.
pub fn position_of(offset: &str) -> Result<u64, String> {
    let malformed = || format!("{offset:?} is not an offset");
    let (position, walk) = offset.split_once('_').ok_or_else(malformed)?;
    if position.len() != 16 || walk.len() != 16 {
        return Err(malformed());
    }
    u64::from_str_radix(position, 16).map_err(|_| malformed())
}

/// Every told change stands where its writer was told; the others fill the gaps; nothing else is there. Gives each change's batch.
fn placed(batches: &[Batch], log: &[Change], first: u64) -> Result<Vec<Option<usize>>, String> {
    let mut owner: Vec<Option<usize>> = vec![None; log.len()];
    let mut claim = |nth: usize, batch: &Batch, offset: &str, change: &Change| {
        let position = position_of(offset)?;
        let index = (position.wrapping_sub(first).wrapping_sub(1)) as usize;
        let found = log.get(index).ok_or_else(|| format!("{}: told {offset}, beyond the log", batch.writer))?;
        if found != change {
            return Err(format!("{}: told {change:?} is at {offset}; the log has {found:?} there", batch.writer));
        }
        match owner[index].replace(nth) {
            None => Ok(()),
            Some(other) => Err(format!("{offset} was told to {} and to {}", batches[other].writer, batch.writer)),
        }
    };
    for (nth, batch) in batches.iter().enumerate() {
        match &batch.told {
            Told::At(offsets) => {
                if offsets.len() != batch.changes.len() {
                    return Err(format!("{}: {} offsets for {:?}", batch.writer, offsets.len(), batch.changes));
                }
                for (offset, change) in offsets.iter().zip(&batch.changes) {
                    offset.iter().try_for_each(|offset| claim(nth, batch, offset, change))?;
                }
            }
            Told::EndsAt(offset) => {
                let end = position_of(offset)?;
                for (nth_change, change) in batch.changes.iter().enumerate() {
                    let at = end - (batch.changes.len() - 1 - nth_change) as u64;
                    claim(nth, batch, &format!("{at:016x}_{:016x}", 0), change)?;
                }
            }
            Told::Repeat | Told::Unknown | Told::Wiped => {}
        }
    }
    place_wipes(batches, log, &mut owner);
    fill_gaps(batches, log, &mut owner)?;
    match owner.iter().position(Option::is_none) {
        None => Ok(owner),
        Some(index) => {
            let near = index.saturating_sub(3)..(index + 60).min(log.len());
            let near: Vec<String> =
                near.map(|at| format!("  {:?} {:?}", owner[at].map(|nth| &batches[nth].writer), log[at])).collect();
            Err(format!("nobody wrote change {index}, position {}:\n{}", first + index as u64, near.join("\n")))
        }
    }
}

/// A deletion of everything deletes exactly what lives there, in one batch.
fn place_wipes(batches: &[Batch], log: &[Change], owner: &mut [Option<usize>]) {
    let wipes = batches.iter().enumerate().filter(|(_, batch)| matches!(batch.told, Told::Wiped));
    let mut wipes = wipes.map(|(nth, _)| nth);
    let (mut live, mut index) = (State::new(), 0);
    while index < log.len() {
        let run = log.get(index..index + live.len()).unwrap_or_default();
        let unclaimed = owner.get(index..index + live.len()).unwrap_or_default();
        let wiped = |change: &Change| {
            let name = (change.entity_type.clone(), change.key.clone());
            change.deletes && change.number.is_none() && live.contains_key(&name)
        };
        if !run.is_empty() && unclaimed.iter().all(Option::is_none) && run.iter().all(wiped) {
            let names: std::collections::BTreeSet<_> = run.iter().map(|c| (&c.entity_type, &c.key)).collect();
            let Some(nth) = wipes.next().filter(|_| names.len() == live.len()) else { break };
            owner[index..index + run.len()].fill(Some(nth));
            index += run.len();
            live.clear();
        } else {
            apply(&mut live, &log[index]);
            index += 1;
        }
    }
}

/// A versioned entity never goes back, not even over its own deletion.
fn versions_never_fall(log: &[Change]) -> Result<(), String> {
    let mut newest: HashMap<(&str, &str), u64> = HashMap::new();
    for (index, change) in log.iter().enumerate() {
        let Some(version) = change.version else { continue };
        match newest.insert((&change.entity_type, &change.key), version) {
            Some(before) if before > version => {
                return Err(format!(
                    "version {version} was taken after {before}: {change:?}, change {index} of the log"
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

fn fill_gaps(batches: &[Batch], log: &[Change], owner: &mut [Option<usize>]) -> Result<(), String> {
    let mut unclaimed: HashMap<&Change, VecDeque<usize>> = HashMap::new();
    for index in (0..log.len()).filter(|index| owner[*index].is_none()) {
        unclaimed.entry(&log[index]).or_default().push_back(index);
    }
    for (nth, batch) in batches.iter().enumerate() {
        let must = match batch.told {
            Told::Repeat => true,
            Told::Unknown => false,
            Told::At(_) | Told::EndsAt(_) | Told::Wiped => continue,
        };
        let places: Vec<Option<usize>> =
            batch.changes.iter().map(|change| unclaimed.get_mut(change).and_then(VecDeque::pop_front)).collect();
        let found = places.iter().flatten().count();
        let missing =
            places.iter().zip(&batch.changes).any(|(place, change)| place.is_none() && change.version.is_none());
        if missing && (must || found > 0) {
            return Err(format!(
                "{}: a batch is stored in part or not at all: {batch:?} at {places:?}",
                batch.writer
            ));
        }
        let found: Vec<usize> = places.into_iter().flatten().collect();
        if found.windows(2).any(|pair| pair[1] != pair[0] + 1) {
            return Err(format!("{}: a batch is torn apart: {batch:?} at {found:?}", batch.writer));
        }
        found.into_iter().for_each(|index| owner[index] = Some(nth));
    }
    Ok(())
}

fn owned((name, number): (&(String, String), &u64)) -> ((String, String), u64) {
    (name.clone(), *number)
}

fn differs(mark: &Mark, wanted: &State) -> String {
    let names: std::collections::BTreeSet<_> = wanted.keys().chain(mark.state.keys()).collect();
    let differing = names.into_iter().filter(|name| wanted.get(*name) != mark.state.get(*name));
    let lines: Vec<String> = differing
        .take(8)
        .map(|name| format!("  {name:?}: told {:?}, held {:?}", wanted.get(name), mark.state.get(name)))
        .collect();
    format!(
        "{} at mark {} ({:?}) does not hold the fold:\n{}",
        mark.reader,
        mark.offset,
        mark.filter,
        lines.join("\n")
    )
}
