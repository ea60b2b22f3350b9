//! Checks what lies in streams: the server's own logs entry by entry, and each typed stream's newest change per entity,
//! folded as the engine does and by a plain map over its messages.
//!
//! Works on a store that nobody writes to. Storage has checked the bytes; what is looked for here is a place that leads
//! to another change, an entity that a fold misses, and an entry that no start could read.

use std::collections::HashMap;

use crate::fold::{Filter, Fold, Walk, WalkItem, WalkLimit};
use crate::model::{Position, StreamName};
use crate::protocol::change::StoredChange;
use crate::protocol::{migration, registry, subscription};
use crate::runtime::Clock;
use crate::storage::{Fetched, Place, SharedStore};

use super::handle::PublishedStream;
use super::{Engine, Settings};

/// Bytes of messages that the map is made from at once: other pages than the engine reads.
const READ_BYTES: usize = 300 << 10;
/// Changes of which the bytes are compared at once.
const FETCH: usize = 512;
/// Differences of one stream that are told.
const DIFFERENCES_MAX: usize = 100;

/// Something in a stream that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamDifference {
    pub stream: StreamName,
    /// Position in the stream.
    pub at: Option<Position>,
    /// Where the change lies in the store.
    pub place: Option<Place>,
    /// Type and key.
    pub entity: Option<(String, String)>,
    pub what: String,
}

/// What was looked at, and what was found.
#[derive(Debug, Default)]
pub struct StreamsVerified {
    pub differences: Vec<StreamDifference>,
    pub typed_streams: u64,
    /// Entities of typed streams, deleted ones included.
    pub entities: u64,
}

/// Checks all streams of a store; `on_stream` hears of each before it is read.
pub fn verify(
    store: &SharedStore,
    clock: Clock,
    settings: Settings,
    on_stream: &dyn Fn(&StreamName),
) -> StreamsVerified {
    let mut found = StreamsVerified::default();
    for name in store.list(StreamName::INTERNAL, None, usize::MAX) {
        on_stream(&name);
        let state = store.find(&name).and_then(|id| store.load(id));
        let Some(state) = state else { continue };
        let mut check = entry_check(&name);
        let each = |at, _, text: &str| check(text).err().map(|what| difference(&name, Some(at), what));
        found.add(&name, each_message(store, &PublishedStream::from(&state), each));
    }
    if !found.differences.is_empty() {
        return found;
    }
    let engine = match Engine::start(store.clone(), clock, settings) {
        Ok(engine) => engine,
        Err(fault) => {
            let what = format!("a start would stop here: {fault}");
            found.differences.push(difference(&StreamName::registry(), None, what));
            return found;
        }
    };
    for name in store.list("", None, usize::MAX) {
        let state = store.find(&name).and_then(|id| store.load(id));
        if let Some(state) = state.filter(|state| state.schema.is_some()) {
            on_stream(&name);
            found.typed_streams += 1;
            let compared = compare(&engine, &PublishedStream::from(&state), &mut found.entities);
            found.add(&name, compared);
        }
    }
    found
}

impl StreamsVerified {
    fn add(&mut self, stream: &StreamName, outcome: Result<Vec<StreamDifference>, String>) {
        match outcome {
            Ok(mut differences) => {
                let more = differences.len().saturating_sub(DIFFERENCES_MAX);
                differences.truncate(DIFFERENCES_MAX);
                self.differences.extend(differences);
                if more > 0 {
                    self.differences.push(difference(stream, None, format!("and {more} more")));
                }
            }
            Err(what) => self.differences.push(difference(stream, None, what)),
        }
    }
}

fn difference(stream: &StreamName, at: Option<Position>, what: String) -> StreamDifference {
    StreamDifference { stream: stream.clone(), at, place: None, entity: None, what }
}

/// Whether a message of one of the server's own streams can be read.
fn entry_check(name: &StreamName) -> Box<dyn FnMut(&str) -> Result<(), String>> {
    if *name == StreamName::registry() {
        let mut before = crate::registry::Registry::default();
        return Box::new(move |text| {
            let entry = registry::read_entry(text, &before);
            before.apply(&entry.map_err(|why| format!("no entry of the registry: {why}"))?);
            Ok(())
        });
    }
    if name.as_str().starts_with(&StreamName::subscriptions()) {
        return Box::new(|text| {
            subscription::read_entry(text).map(drop).map_err(|why| format!("no entry of a subscription: {why}"))
        });
    }
    if name.as_str().starts_with(&StreamName::migrations()) {
        return Box::new(|text| {
            migration::read_event(text).map(drop).map_err(|why| format!("no entry of a migration: {why}"))
        });
    }
    if name.as_str().starts_with(&StreamName::schemas()) {
        return Box::new(|text| {
            migration::read_rebound(text).map(drop).map_err(|why| format!("no entry of a rebinding: {why}"))
        });
    }
    Box::new(|text| {
        let value: serde_json::Value = serde_json::from_str(text).map_err(|why| why.to_string())?;
        let complete = ["at", "change", "errors"].iter().all(|member| value.get(member).is_some());
        complete.then_some(()).ok_or_else(|| "no refused change".to_owned())
    })
}

/// Gives each message with its position and place.
fn each_message(
    store: &SharedStore,
    stream: &PublishedStream,
    mut take: impl FnMut(Position, Place, &str) -> Option<StreamDifference>,
) -> Result<Vec<StreamDifference>, String> {
    let mut differences = Vec::new();
    let mut from = stream.creation.start;
    // Below it, what was replaced may have been left out.
    let kept_from = store.kept(stream.id).history_from.max(stream.creation.own_start());
    while from < stream.tail {
        let runs = store.read(stream.id, from, stream.tail, READ_BYTES).map_err(|error| error.to_string())?;
        for run in &runs {
            // Of a stream that went on after a restore some positions are nobody's; the journal's account knows which.
            if run.first > from.max(kept_from) && stream.floor == 0 {
                return Err(format!("position {} is missing", from.max(kept_from)));
            }
            let mut at = 0;
            for (nth, length) in (0..).zip(run.lengths.iter()) {
                let bytes = run.payload.get(at..at + length as usize).unwrap_or_default();
                let (position, place) = (run.first + nth, Place(run.place.0 + at as u64));
                match std::str::from_utf8(bytes) {
                    Ok(text) => differences.extend(take(position, place, text)),
                    Err(_) => {
                        let what = "a message is not UTF-8".to_owned();
                        let place = Some(place);
                        let told = difference(&stream.creation.name, Some(position), what);
                        differences.push(StreamDifference { place, ..told });
                    }
                }
                at += length as usize + 1;
            }
            from = run.first + run.count;
        }
        if runs.is_empty() && stream.tail <= kept_from {
            break;
        }
        if runs.is_empty() {
            return Err(format!("nothing is stored at position {from}, below the tail {}", stream.tail));
        }
    }
    Ok(differences)
}

/// The newest change of an entity, by the map.
struct Newest {
    position: Position,
    place: Place,
    deletes: bool,
    /// Stands for the change's bytes.
    crc: u32,
}

type Map = HashMap<String, HashMap<String, Newest>>;

fn compare(engine: &Engine, stream: &PublishedStream, entities: &mut u64) -> Result<Vec<StreamDifference>, String> {
    let mut map = Map::new();
    let mut differences = each_message(&engine.store, stream, |position, place, text| {
        let change = StoredChange::parse(text)?;
        let newest = Newest { position, place, deletes: change.deletes, crc: crc32c::crc32c(text.as_bytes()) };
        map.entry(change.entity_type.into()).or_default().insert(change.key.into(), newest);
        None
    })?;
    *entities += map.values().map(|keys| keys.len() as u64).sum::<u64>();
    let versions = engine.version_fields(stream).map_err(|fault| fault.to_string())?;
    let fold = engine.read_fold(stream, stream.tail, 0, &versions).map_err(|fault| fault.to_string())?;
    for (entity_type, keys) in &map {
        let live = keys.values().filter(|newest| !newest.deletes).count() as u64;
        if fold.live(entity_type) != live {
            let what = format!("{} entities of type {entity_type} live, and {live} do", fold.live(entity_type));
            differences.push(difference(&stream.creation.name, None, what));
        }
    }
    let (mut from, mut done) = (0, false);
    while !done {
        let walk = Walk { from, mark: stream.tail, skip_tombstones_below: 0, filter: &Filter::default() };
        let page = fold.walk(&walk, WalkLimit::new(FETCH, u64::MAX));
        (from, done) = (page.next, page.done);
        compare_page(engine, stream, &fold, &page.items, &mut map, &mut differences)?;
    }
    for (entity_type, keys) in map {
        for (key, newest) in keys {
            let what = "the fold misses the entity".to_owned();
            differences.push(of_entity(stream, (&entity_type, &key), newest.position, newest.place, what));
        }
    }
    differences.sort_by_key(|difference| difference.at);
    Ok(differences)
}

fn of_entity(
    stream: &PublishedStream,
    (entity_type, key): (&str, &str),
    at: Position,
    place: Place,
    what: String,
) -> StreamDifference {
    let entity = Some((entity_type.to_owned(), key.to_owned()));
    StreamDifference { place: Some(place), entity, ..difference(&stream.creation.name, Some(at), what) }
}

/// Takes the entities of a page out of the map, and tells where the two differ.
fn compare_page(
    engine: &Engine,
    stream: &PublishedStream,
    fold: &Fold,
    items: &[WalkItem],
    map: &mut Map,
    differences: &mut Vec<StreamDifference>,
) -> Result<(), String> {
    let wanted: Vec<_> = items.iter().map(super::folded::wanted).collect();
    let changes = engine.store.fetch(stream.id, &wanted).map_err(|error| error.to_string())?;
    for (item, Fetched { message: change, .. }) in items.iter().zip(changes) {
        let (entity_type, key) = (fold.entity_type(item.entity), fold.key(item.entity));
        let newest = map.get_mut(entity_type).and_then(|keys| keys.remove(key));
        let what = match newest {
            None => Some("the fold has an entity of which no message tells".to_owned()),
            Some(newest) if newest.position != item.position => {
                Some(format!("the fold knows a change at {}, the newest is at {}", item.position, newest.position))
            }
            Some(newest) if newest.deletes != item.deletes => {
                Some("the fold is wrong on whether it lives".to_owned())
            }
            Some(newest) if newest.crc != crc32c::crc32c(&change) => {
                Some("the fold leads to other bytes than the change's".to_owned())
            }
            Some(_) => None,
        };
        let place = Place(item.place);
        differences.extend(what.map(|what| of_entity(stream, (entity_type, key), item.position, place, what)));
    }
    Ok(())
}
