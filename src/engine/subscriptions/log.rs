//! A subscription's log: one JSON entry per event, in an internal stream of its own.
//!
//! Every entry says where the last whole state before it lies, so a start reads the newest entry, that state and what
//! follows it, however long the log is. A whole state is written again once about as many entries follow the last one
//! as it has streams: a step costs what it changes, and a start costs what there is.

use std::sync::Arc;
use std::time::Duration;

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
        let begins = matches!(events.first(), Some(Event::State(_)));
        if log.stale || (core.state.is_none() && !begins) {
            // A step before this one was lost: what was decided on it must be decided again.
            return Err(Fault::Busy { retry_after: Duration::from_secs(1) });
        }
        let (mut records, tail) = self.log_birth(&log, hosted);
        let Some(id) = records.first().map(|record| record.stream).or(log.state.as_ref().map(|state| state.id))
        else {
            return Err(Fault::Busy { retry_after: Duration::from_secs(1) });
        };
        let mut entries = Entries { tail, base: core.base, since: core.entries, texts: Vec::new() };
        events.iter().for_each(|event| entries.write(event));
        self.reserve(&log, entries.texts.iter().map(String::len).sum())?;
        // From here on nothing is refused.
        events.iter().for_each(|event| self.apply(hosted, core, event));
        if let Some(state) = &core.state
            && entries.since > ENTRIES_MIN.max(state.links.len())
        {
            entries.write(&Event::State(Box::new(state.clone())));
        }
        (core.base, core.entries) = (entries.base, entries.since);
        let content = Content::of_messages(entries.texts.iter().map(String::as_bytes));
        let body = Body::Append { lengths: content.lengths, payload: content.payload };
        records.push(Record { count: content.count, body, ..Record::plain(id, tail, self.now()) });
        Ok(self.stage(vec![Step { handle: &hosted.log, core: &mut log, records }], None))
    }

    /// Moves the staged state, and which streams are watched for it.
    fn apply(&self, hosted: &Hosted, core: &mut Core, event: &Event) {
        match (&mut core.state, event) {
            (state, Event::State(whole)) => *state = Some(Subscription::clone(whole)),
            (Some(state), event) => state.apply(event),
            (None, _) => {}
        }
        let Some(state) = &core.state else { return };
        match event {
            Event::State(whole) => self.subscriptions.watch(whole),
            Event::Linked { streams, .. } => {
                let mut watched = self.subscriptions.watched.lock();
                for (stream, _) in streams {
                    watched.entry(stream.clone()).or_default().insert(hosted.id.clone());
                }
            }
            Event::Unlinked { stream, .. } if !state.links.contains_key(stream) => {
                self.subscriptions.unwatch(&hosted.id, std::iter::once(stream));
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

/// The entries of a step that begins at `tail`.
struct Entries {
    tail: Position,
    /// Where the last whole state lies, and how many entries there are from it on.
    base: Position,
    since: usize,
    texts: Vec<String>,
}

impl Entries {
    fn write(&mut self, event: &Event) {
        if matches!(event, Event::State(_)) {
            (self.base, self.since) = (self.tail + self.texts.len() as u64, 0);
        }
        self.since += 1;
        self.texts.push(write_entry(event, self.base));
    }
}
