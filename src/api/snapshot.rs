//! The state of a stream at one mark: a JSON document by key, one of mere values, or lines of changes.
//!
//! Streamed, whatever its size: a slow reader holds one page.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;

use crate::engine::entity::value_of;
use crate::engine::{
    Engine, Fault, Filler, FoldedItem, Handle, LiveReader, Pin, PublishedStream, Reading, Selection, Start,
};
use crate::model::Offset;

use super::body::{CutShort, Next, sliced, stepwise};
use super::headers as names;
use super::problem::Problem;
use super::room::{PATIENCE, Room};
use super::state::Api;
use super::view::check_types;

/// Which text a snapshot is written as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `{"offset", "collections": {name: {key: value}}}`
    Document,
    /// `{"collections": {name: [value]}}`
    Values,
    /// One stored change a line.
    Lines,
}

/// What changes while a snapshot is read is kept beside it: not for ever.
const LONGEST: Duration = Duration::from_secs(600);

struct Writer {
    engine: Engine,
    room: Room,
    handle: Arc<Handle>,
    stream: PublishedStream,
    pin: Pin,
    form: Form,
    selection: Selection,
    filler: Option<Filler>,
    /// Collections that are still to come: name and entity type.
    collections: VecDeque<(String, String)>,
    /// Where the walk of the first of them stands; `None` before it begins.
    at: Option<Start>,
    began: bool,
    began_at: Instant,
    wrote_one: bool,
    ended: bool,
    /// It may last as long as a live read does, and counts as one.
    _counted: LiveReader,
}

/// The state at one mark, as a document or, for `application/x-ndjson`, as lines of changes.
#[utoipa::path(get, path = "/v1/state/{path}/-/snapshot", tag = "entities",
    params(("path" = String, Path), ("type" = Option<String>, Query), ("key" = Option<String>, Query),
        ("key_prefix" = Option<String>, Query)),
    responses((status = 200, body = serde_json::Value), (status = 400, body = super::problem::ProblemBody),
        (status = 404, body = super::problem::ProblemBody)))]
pub async fn respond(
    engine: Engine,
    api: &Api,
    handle: Arc<Handle>,
    stream: Option<PublishedStream>,
    selection: Selection,
    head: &HeaderMap,
) -> Result<Response, Problem> {
    let form = if names::accepts(head, "application/x-ndjson") { Form::Lines } else { Form::Document };
    write(engine, api, handle, stream, selection, form).await
}

/// The values of every collection at one mark, for clients that keep no keys.
pub async fn values(
    engine: Engine,
    api: &Api,
    handle: Arc<Handle>,
    stream: Option<PublishedStream>,
    selection: Selection,
) -> Result<Response, Problem> {
    write(engine, api, handle, stream, selection, Form::Values).await
}

async fn write(
    engine: Engine,
    api: &Api,
    handle: Arc<Handle>,
    stream: Option<PublishedStream>,
    selection: Selection,
    form: Form,
) -> Result<Response, Problem> {
    check_types(&engine, &handle, &selection)?;
    let mut collections: VecDeque<_> = engine.collection_names(&handle)?.into();
    collections.retain(|(_, entity_type)| selection.types.is_empty() || selection.types.contains(entity_type));
    let filler = engine.filler(&handle, Reading::Entities, selection.defaults)?;
    let pin = match &stream {
        Some(_) => engine.pin(&handle).await?,
        None => None,
    };
    let (mark, body) = match (stream, pin) {
        (Some(stream), Some(pin)) => {
            let mark = Offset::at(pin.mark);
            let counted = engine.live_reader(&handle, Some(stream.id))?;
            let writer = Writer {
                engine,
                room: api.page_room(),
                handle,
                stream,
                pin,
                form,
                selection,
                filler,
                collections,
                at: None,
                began: false,
                began_at: Instant::now(),
                wrote_one: false,
                ended: false,
                _counted: counted,
            };
            // In slices: an encoder keeps the piece it last read while it asks for the next, whose room that may be.
            (mark, sliced(stepwise(writer, Writer::step)))
        }
        // It went since it was looked up.
        (Some(_), None) if engine.binding(&handle).is_none() => {
            return Err(Fault::NoStream(handle.name.clone()).into());
        }
        _ => (Offset::BEGINNING, Body::from(empty(form, &collections))),
    };
    let mut response = body.into_response();
    let headers = response.headers_mut();
    let kind = match form {
        Form::Document | Form::Values => "application/json",
        Form::Lines => "application/x-ndjson",
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    names::write_next_offset(headers, mark);
    Ok(response)
}

fn empty(form: Form, collections: &VecDeque<(String, String)>) -> String {
    let empties = |empty: serde_json::Value| -> serde_json::Map<String, serde_json::Value> {
        collections.iter().map(|(name, _)| (name.clone(), empty.clone())).collect()
    };
    match form {
        Form::Lines => String::new(),
        Form::Values => serde_json::json!({ "collections": empties(serde_json::json!([])) }).to_string(),
        Form::Document => {
            let empties = empties(serde_json::json!({}));
            serde_json::json!({ "offset": Offset::BEGINNING.to_string(), "collections": empties }).to_string()
        }
    }
}

impl Form {
    /// What stands before and after the entities of a collection.
    fn brackets(self) -> Option<(u8, u8)> {
        match self {
            Self::Document => Some((b'{', b'}')),
            Self::Values => Some((b'[', b']')),
            Self::Lines => None,
        }
    }
}

impl Writer {
    async fn step(mut self) -> Result<Next<Self>, CutShort> {
        if self.ended {
            return Ok(None);
        }
        if self.began_at.elapsed() > LONGEST {
            tracing::warn!(stream.name = %self.handle.name, "a snapshot was cut short: its reader took too long");
            return Err(CutShort);
        }
        let share = self.room.share(self.estimate(), PATIENCE).await.map_err(|_| CutShort)?;
        let mut out = Vec::new();
        if !std::mem::replace(&mut self.began, true) {
            let mark = Offset::at(self.pin.mark);
            match self.form {
                Form::Document => {
                    out.extend_from_slice(format!("{{\"offset\":\"{mark}\",\"collections\":{{").as_bytes());
                }
                Form::Values => out.extend_from_slice(b"{\"collections\":{"),
                Form::Lines => {}
            }
        }
        if let Err(fault) = self.write(&mut out).await {
            tracing::warn!(stream.name = %self.handle.name, error = %fault, "a snapshot was cut short");
            return Err(CutShort);
        }
        Ok(Some((share.hold(out), self)))
    }

    fn estimate(&self) -> u64 {
        let from = self.at.map_or(0, |at| at.position);
        self.engine.page_estimate(&self.stream, from)
    }

    async fn write(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        let brackets = self.form.brackets();
        let Some((name, entity_type)) = self.collections.front().cloned() else {
            self.ended = true;
            if brackets.is_some() {
                out.extend_from_slice(b"}}");
            }
            return Ok(());
        };
        if let Some((open, _)) = brackets.filter(|_| self.at.is_none()) {
            out.extend_from_slice(serde_json::Value::from(name).to_string().as_bytes());
            out.extend_from_slice(&[b':', open]);
        }
        let selection = Filler::paged(self.filler.as_ref(), &self.selection);
        let selection = Selection { types: vec![entity_type], ..selection.into_owned() };
        let at = self.at.unwrap_or(Start::beginning());
        let page = self.engine.folded_page(&self.handle, &self.stream, at, &selection, Some(&self.pin)).await?;
        for item in page.items.iter().filter(|item| !item.deletes) {
            self.write_item(item, out);
        }
        self.at = Some(page.next);
        if page.done {
            self.collections.pop_front();
            (self.at, self.wrote_one) = (None, false);
            if let Some((_, close)) = brackets {
                out.push(close);
                if !self.collections.is_empty() {
                    out.push(b',');
                }
            }
        }
        Ok(())
    }

    fn write_item(&mut self, item: &FoldedItem, out: &mut Vec<u8>) {
        match self.form {
            Form::Lines => {
                let filled = self.filler.as_ref().and_then(|filler| filler.change(&item.change));
                let change = filled.as_ref().unwrap_or(&item.change);
                // Line breaks in stored JSON can only stand between its parts.
                out.extend(change.iter().map(|b| if matches!(b, b'\n' | b'\r') { b' ' } else { *b }));
                out.push(b'\n');
            }
            Form::Document | Form::Values => {
                let Some(value) = value_of(&item.change) else { return };
                let filled = self.filler.as_ref().and_then(|filler| filler.value(&item.entity_type, &value));
                let value = filled.unwrap_or(value);
                if std::mem::replace(&mut self.wrote_one, true) {
                    out.push(b',');
                }
                if self.form == Form::Document {
                    out.extend_from_slice(serde_json::Value::from(item.key.as_str()).to_string().as_bytes());
                    out.push(b':');
                }
                out.extend_from_slice(&value);
            }
        }
    }
}
