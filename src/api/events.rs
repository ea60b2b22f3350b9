//! The view for any EventSource: a snapshot, then changes, one message each, with ids that `Last-Event-ID` resumes.
//!
//! Messages have the default event name and the stored change as data. `event: ready` marks the places where everything
//! durable was delivered, `event: reset` asks the reader to forget what it has. A slow reader is told the newest change
//! per entity. Untyped JSON streams send every message, since nothing says what supersedes what.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::sync::watch;

use crate::engine::{
    Engine, Fault, Filler, Handle, LiveReader, Published, PublishedStream, Reading, Selection, Standing, Start,
};
use crate::model::{Offset, ReadFrom, StreamId};
use crate::protocol::{json, sse};

use super::body::{BETWEEN_TRIES, CutShort, Next, stepwise};
use super::extract::Query;
use super::headers as names;
use super::live::event_stream;
use super::problem::{Problem, ProblemType};
use super::room::{LIVE_PATIENCE, Room};
use super::state::Api;
use super::view::check_types;

struct Reader {
    engine: Engine,
    room: Room,
    handle: Arc<Handle>,
    published: watch::Receiver<Published>,
    id: Option<StreamId>,
    typed: bool,
    at: Start,
    selection: Selection,
    heartbeat: Duration,
    resets: bool,
    state: State,
    /// Holds the stream while it is read.
    counted: LiveReader,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Fresh,
    Behind,
    CaughtUp,
    Ended,
}

/// A snapshot, then changes, for any EventSource; also a plain `GET` of the stream that accepts `text/event-stream`.
#[utoipa::path(get, path = "/v1/state/{path}/-/events", tag = "entities",
    params(("path" = String, Path), ("type" = Option<String>, Query), ("key" = Option<String>, Query),
        ("key_prefix" = Option<String>, Query), ("offset" = Option<String>, Query),
        ("Last-Event-ID" = Option<String>, Header, description = "Wins over `offset`")),
    responses((status = 200, body = String, content_type = "text/event-stream"),
        (status = 204, description = "The stream is closed and was read to its end"),
        (status = 400, body = super::problem::ProblemBody), (status = 404, body = super::problem::ProblemBody)))]
pub async fn respond(
    engine: Engine,
    api: &Api,
    handle: Arc<Handle>,
    stream: Option<PublishedStream>,
    query: &Query,
    head: &HeaderMap,
) -> Result<Response, Problem> {
    let typed = stream.as_ref().is_none_or(|stream| stream.schema.is_some());
    if stream.as_ref().is_some_and(|stream| !stream.creation.content_type.is_json()) {
        return Err(Problem::new(ProblemType::NotAcceptable, "only JSON streams can be read as events"));
    }
    let from = resume_at(query, head)?;
    let selection = query.selection()?;
    check_types(&engine, &handle, &selection)?;
    if !typed && selection != Selection::default() {
        return Err(Fault::NotTyped(handle.name.clone()).into());
    }
    let begins = stream.as_ref().map_or(0, |stream| stream.creation.start);
    let tail = stream.as_ref().map_or(0, |stream| stream.tail);
    let mut cut_off = false;
    let offset = match from {
        ReadFrom::Beginning => Offset::BEGINNING,
        ReadFrom::Tail => Offset::at(tail),
        ReadFrom::At(offset) => {
            cut_off = engine.stands(stream.as_ref(), offset)? == Standing::CutOff;
            offset
        }
    };
    let unwritten = stream.is_none();
    // Deletions may be missing behind what the reader holds, or a restore has cut off what it read.
    let anew = cut_off || stream.as_ref().is_some_and(|stream| engine.check_kept(stream, offset).is_err());
    let ended = stream.as_ref().is_some_and(|stream| stream.closed && offset.position >= tail && !anew);
    if ended && from != ReadFrom::Beginning {
        // Ends an EventSource, which would otherwise reconnect for ever.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let at = match from {
        ReadFrom::Tail => Start { position: tail, walk_mark: None },
        _ if unwritten || anew => Start::beginning(),
        _ => Start::from_offset(offset, begins),
    };
    let id = stream.map(|stream| stream.id);
    let reader = Reader {
        published: handle.subscribe(),
        counted: engine.live_reader(&handle, id)?,
        id,
        // What stood under this name before may still be held by the reader.
        resets: from != ReadFrom::Tail && offset.position > 0 && (unwritten || anew || offset.position < begins),
        handle,
        typed,
        at,
        selection,
        heartbeat: api.settings().heartbeat.mul_f64(0.8),
        state: State::Fresh,
        room: api.page_room(),
        engine,
    };
    Ok(event_stream(stepwise(reader, Reader::step)))
}

/// `Last-Event-ID` wins over `?offset=`: a reconnecting EventSource keeps the URL that it began with.
fn resume_at(query: &Query, head: &HeaderMap) -> Result<ReadFrom, Problem> {
    if let Some(id) = names::text(head, &names::LAST_EVENT_ID)?.filter(|id| !id.is_empty()) {
        return id.parse().map_err(|fault: crate::model::offset::OffsetFault| {
            Problem::new(ProblemType::MalformedOffset, format!("Last-Event-ID: {fault}"))
        });
    }
    Ok(query.read_from("offset")?.unwrap_or(ReadFrom::Beginning))
}

impl Reader {
    async fn step(mut self) -> Result<Next<Self>, CutShort> {
        match self.state {
            State::Ended => return Ok(None),
            State::CaughtUp => {
                let changed = self.engine.changed_since(&mut self.published, self.id, self.at.position);
                match tokio::time::timeout(self.heartbeat, changed).await {
                    Ok(true) => {}
                    Ok(false) => return Ok(None),
                    Err(_) => {
                        let mut out = Vec::new();
                        sse::heartbeat(&mut out);
                        return Ok(Some((out.into(), self)));
                    }
                }
            }
            State::Fresh | State::Behind => {}
        }
        match self.frames().await {
            Ok(Some(out)) => {
                if *self.engine.stopping().borrow() {
                    self.state = State::Ended;
                }
                Ok(Some((out, self)))
            }
            Ok(None) => Ok(None),
            // It ended while it was being read.
            Err(fault) if fault.is_gone() => Ok(None),
            // Others hold the room: tried again, and the reader knows that it is not forgotten.
            Err(Fault::Busy { .. }) => {
                tokio::time::sleep(BETWEEN_TRIES).await;
                if self.state == State::CaughtUp {
                    self.state = State::Behind;
                }
                let mut out = Vec::new();
                sse::heartbeat(&mut out);
                Ok(Some((out.into(), self)))
            }
            Err(fault) => {
                tracing::warn!(stream.name = %self.handle.name, error = %fault, "a live read was cut short");
                Err(CutShort)
            }
        }
    }

    async fn frames(&mut self) -> Result<Option<Bytes>, Fault> {
        let stream = self.handle.stream();
        match (&stream, self.id) {
            (None, Some(_)) => return Ok(None),
            (Some(stream), Some(id)) if stream.id != id => return Ok(None),
            (Some(stream), None) => {
                (self.id, self.typed) = (Some(stream.id), stream.schema.is_some());
                self.counted.begin(stream.id);
            }
            _ => {}
        }
        let estimate = stream.as_ref().map_or(0, |stream| self.engine.page_estimate(stream, self.at.position));
        let share = self.room.share(estimate, LIVE_PATIENCE).await?;
        let mut out = Vec::new();
        if self.resets {
            let data = format!("{{\"offset\":\"{}\"}}", Offset::BEGINNING);
            sse::event(&mut out, Some("reset"), None, data.as_bytes());
        }
        let (fresh, closed) = (self.state == State::Fresh, stream.as_ref().is_some_and(|stream| stream.closed));
        let before = self.at;
        let done = match &stream {
            None => true,
            Some(stream) if self.typed => self.folded(stream, &mut out).await?,
            Some(stream) => self.raw(stream, &mut out).await?,
        };
        self.resets = false;
        // Also where a selection saw nothing of it: the reader resumes from the mark, not from long before.
        if done && (fresh || self.at != before) {
            let mark = self.at.offset(true);
            let data = format!("{{\"offset\":\"{mark}\"}}");
            sse::event(&mut out, Some("ready"), Some(&mark.to_string()), data.as_bytes());
        }
        self.state = match (done, closed) {
            (true, true) => State::Ended,
            (true, false) => State::CaughtUp,
            (false, _) => State::Behind,
        };
        if out.is_empty() {
            sse::heartbeat(&mut out);
        }
        Ok(Some(share.hold(out)))
    }

    async fn folded(&mut self, stream: &PublishedStream, out: &mut Vec<u8>) -> Result<bool, Fault> {
        let filler = self.engine.filler(&self.handle, Reading::Entities, self.selection.defaults)?;
        let selection = Filler::paged(filler.as_ref(), &self.selection);
        let page = self.engine.folded_page(&self.handle, stream, self.at, &selection, None).await?;
        for item in &page.items {
            let filled = filler.as_ref().and_then(|filler| filler.change(&item.change));
            let data = filled.as_ref().unwrap_or(&item.change);
            sse::event(out, None, Some(&item.resume.to_string()), data);
        }
        self.at = page.next;
        Ok(page.done)
    }

    async fn raw(&mut self, stream: &PublishedStream, out: &mut Vec<u8>) -> Result<bool, Fault> {
        let page = self.engine.raw_page(stream, self.at.position).await?;
        let body = [b"[".as_slice(), &page.payload, b"]"].concat();
        let messages = json::messages(&body, usize::MAX)?;
        for (position, message) in (page.from..).zip(&messages) {
            sse::event(out, None, Some(&Offset::at(position + 1).to_string()), message.as_bytes());
        }
        self.at = Start { position: page.next, walk_mark: None };
        Ok(page.up_to_date)
    }
}
