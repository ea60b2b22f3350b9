//! A subscription's log: one JSON entry per event, in an internal stream of its own.
//!
//! Every entry says where the last whole state before it lies, so a start reads the newest entry, that state and what
//! follows it, however long the log is. A whole state is written again once about as many entries follow the last one
//! as it has streams: a step costs what it changes, and a start costs what there is.

use std::sync::Arc;

use crate::model::{ContentType, Position};
use crate::protocol::subscription::{read_entry, write_entry};
use crate::storage::Store;
use crate::stream::{Body, Creation, Lifetime, Record};
use crate::subscription::{Event, Subscription};

use super::super::handle::{self, PublishedStream};
use super::super::stage::{Landing, Step};
use super::super::write::Content;
use super::super::{Engine, Fault};
use super::{Core, Hosted};

/// Entries after which a small subscription's state is written again.
const ENTRIES_MIN: usize = 256;

const READ_BYTES: usize = 1 << 20;

/// The state that a log stands for, where its last whole state lies, and how many entries follow that.
pub(super) fn read(
    store: &dyn Store,
    stream: Option<&PublishedStream>,
) -> Result<(Option<Subscription>, Position, usize), Fault> {
    let Some(stream) = stream.filter(|stream| stream.tail > stream.creation.start) else { return Ok((None, 0, 0)) };
    let mut base = stream.tail - 1;
    each_entry(store, stream, base, |event, given| {
        if !matches!(event, Event::State(_)) {
            base = given;
        }
        Ok(())
    })?;
    let (mut state, mut entries) = (None::<Subscription>, 0);
    each_entry(store, stream, base, |event, _| {
        entries += 1;
        match (event, &mut state) {
            (Event::State(whole), state) => *state = Some(*whole),
            (event, Some(state)) => state.apply(&event),
            (_, None) => return Err(format!("position {base} holds no whole state")),
        }
        Ok(())
    })?;
    Ok((state, base, entries))
}

fn each_entry(
    store: &dyn Store,
    stream: &PublishedStream,
    mut from: Position,
    mut take: impl FnMut(Event, Position) -> Result<(), String>,
) -> Result<(), Fault> {
    let fault = |reason: String| Fault::Storage(format!("subscription log {:?}: {reason}", stream.creation.name));
    while from < stream.tail {
        let runs = store.read(stream.id, from, stream.tail, READ_BYTES)?;
        let Some(last) = runs.last() else { return Err(fault(format!("it ends at {from}"))) };
        from = last.first + last.count;
        for run in &runs {
            let mut at = 0;
            for length in run.lengths.iter() {
                let text = run.payload.get(at..at + length as usize).unwrap_or_default();
                let text = std::str::from_utf8(text).map_err(|e| fault(e.to_string()))?;
                let (event, base) = read_entry(text).map_err(fault)?;
                take(event, base).map_err(fault)?;
                at += length as usize + 1;
            }
        }
    }
    Ok(())
}

impl Engine {
    /// Stages events as one atomic step and moves the staged state. Whoever speaks of it waits for the landing.
    pub(super) fn commit(&self, hosted: &Arc<Hosted>, core: &mut Core, events: &[Event]) -> Result<Landing, Fault> {
        let mut log = hosted.log.lock();
        if log.stale {
            // A step before this one was lost: what was decided on it must be decided again.
            return Err(Fault::Contended);
        }
        let mut next = core.state.clone();
        for event in events {
            match (event, &mut next) {
                (Event::State(whole), next) => *next = Some(Subscription::clone(whole)),
                (event, Some(next)) => next.apply(event),
                (_, None) => return Err(Fault::Contended),
            }
        }
        let (mut records, tail) = self.log_birth(&log, hosted);
        let (texts, base, entries) = written(core, next.as_ref(), events, tail);
        let content = Content::of_messages(texts.iter().map(String::as_bytes));
        self.reserve(&log, content.payload.len())?;
        let id = records.first().map(|record| record.stream).or(log.state.as_ref().map(|state| state.id));
        let Some(id) = id else { return Err(Fault::Contended) };
        let body = Body::Append { lengths: content.lengths, payload: content.payload };
        records.push(Record { count: content.count, body, ..Record::plain(id, tail, self.now()) });
        if let Some(next) = &next {
            let gone = core.state.iter().flat_map(|state| state.links.keys());
            let gone: Vec<_> = gone.filter(|stream| !next.links.contains_key(*stream)).cloned().collect();
            self.subscriptions.unwatch(&hosted.id, gone.iter());
            for event in events {
                self.watch_event(next, event);
            }
        }
        (core.state, core.base, core.entries) = (next, base, entries);
        Ok(self.stage(vec![Step { handle: &hosted.log, core: &mut log, records }], None))
    }

    fn watch_event(&self, state: &Subscription, event: &Event) {
        match event {
            Event::State(whole) => self.subscriptions.watch(whole),
            Event::Linked { streams, .. } => {
                let mut watched = self.subscriptions.watched.lock();
                for (stream, _) in streams {
                    watched.entry(stream.clone()).or_default().insert(state.id.clone());
                }
            }
            _ => {}
        }
    }

    /// The record that creates the log, where there is none yet, and the position of the next entry.
    fn log_birth(&self, log: &handle::Core, hosted: &Hosted) -> (Vec<Record>, Position) {
        if let Some(state) = &log.state {
            return (Vec::new(), state.tail);
        }
        let creation = Creation {
            name: hosted.log.name.clone(),
            content_type: ContentType::json(),
            lifetime: Lifetime::Unlimited,
            start: self.start_position(),
            schema: None,
            fork: None,
        };
        let record = self.creation_record(creation, false);
        let start = record.first;
        (vec![record], start)
    }
}

/// The entries of a step that begins at `tail`, and base and number of entries after it.
fn written(
    core: &Core,
    next: Option<&Subscription>,
    events: &[Event],
    tail: Position,
) -> (Vec<String>, Position, usize) {
    let (mut base, mut entries) = (core.base, core.entries);
    let mut texts = Vec::with_capacity(events.len() + 1);
    let mut write = |event: &Event| {
        if matches!(event, Event::State(_)) {
            (base, entries) = (tail + texts.len() as u64, 0);
        }
        entries += 1;
        texts.push(write_entry(event, base));
        entries
    };
    let mut since = 0;
    for event in events {
        since = write(event);
    }
    if let Some(next) = next.filter(|next| since > ENTRIES_MIN.max(next.links.len())) {
        write(&Event::State(Box::new(next.clone())));
    }
    (texts, base, entries)
}
