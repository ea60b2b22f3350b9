//! What a protocol read sees of a stream: every change, or the newest of each entity; and how far it has come.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::Bytes;

use crate::engine::{Engine, Fault, Filler, Handle, PageFile, PublishedStream, Reading, Selection, Standing, Start};
use crate::model::{Offset, Position, ReadFrom};
use crate::protocol::change::StoredChange;
use crate::protocol::control::Control;
use crate::registry::{Binding, Reads};

use super::extract::malformed_query;
use super::problem::Problem;
use super::room::{Room, Share};

/// How a protocol read sees the stream, and how far it has come.
pub enum View {
    /// Every message or byte.
    Raw { position: Position },
    /// The newest change per entity.
    Folded { start: Start, framed: Option<Frame>, done: bool },
}

/// Brackets of a framed folded read that are still to be sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// Nothing was sent; the reader may hold entities of what stood under this name before.
    Reset,
    Start,
    End,
}

/// A page, ready to be sent.
pub struct Page {
    /// A JSON array, or bytes.
    pub body: Bytes,
    pub is_empty: bool,
    pub is_text: bool,
    pub up_to_date: bool,
    pub closed: bool,
    /// The schema version whose defaults were filled in.
    pub filled: Option<u32>,
    /// The body as a file, where several readers are at the page.
    pub file: Option<Arc<PageFile>>,
    /// Of a page that readers share: its event, once one of them has made it.
    pub event: Option<Arc<OnceLock<Bytes>>>,
}

impl View {
    pub fn choose(
        engine: &Engine,
        handle: &Handle,
        stream: Option<&PublishedStream>,
        from: Option<ReadFrom>,
        fold: bool,
        selection: &Selection,
    ) -> Result<Self, Problem> {
        let binding = engine.binding(handle);
        let typed = stream.map_or(binding.is_some(), |stream| stream.schema.is_some());
        if !typed && (fold || *selection != Selection::default()) {
            return Err(Fault::NotTyped(handle.name.clone()).into());
        }
        check_types(engine, handle, selection)?;
        let mut cut_off = false;
        let offset = match from.unwrap_or(ReadFrom::Beginning) {
            ReadFrom::Beginning => Offset::BEGINNING,
            ReadFrom::Tail => Offset::at(stream.map_or(0, |stream| stream.tail)),
            ReadFrom::At(offset) => {
                cut_off = match fold {
                    true => engine.stands(stream, offset)? == Standing::CutOff,
                    // Who does not ask for folding is not told to reset; it would go on as if nothing were missing.
                    false => engine.check_offset(stream, offset).map(|()| false)?,
                };
                offset
            }
        };
        let begins = stream.map_or(0, |stream| stream.creation.start);
        let from_tail = from == Some(ReadFrom::Tail);
        // Where deletions go in time, only a folded walk from the beginning is whole however long it takes: change by change,
        // a reader would be told of what is deleted and, by the time it comes there, not of the deleting.
        let folds = |binding: &Arc<Binding>| binding.reads == Reads::Folded || binding.tombstone_horizon_s.is_some();
        let has_forgotten = || stream.is_some_and(|stream| engine.kept_of(stream).deletes_from > 0);
        let by_binding = typed && (binding.as_ref().is_some_and(folds) || has_forgotten());
        let fresh = !from_tail && (offset.walk_mark != 0 || offset.position <= begins);
        if !(fold || by_binding && fresh) {
            return Ok(Self::Raw { position: offset.position });
        }
        // What the reader holds may be of a former stream, or of a history that a restore cut off, or have been deleted by
        // changes that are not kept.
        let anew = cut_off || stream.is_some_and(|stream| engine.check_kept(stream, offset).is_err());
        let former = anew || offset.position > 0 && (stream.is_none() || offset.position < begins);
        let fresh = fresh || (former && !from_tail);
        let start = match fresh {
            true if stream.is_none() || anew => Start::beginning(),
            true => Start::from_offset(offset, begins),
            false => Start { position: offset.position, walk_mark: None },
        };
        let framed = match (fold, start.walk_mark) {
            (true, Some(0)) if former && !from_tail => Some(Frame::Reset),
            (true, Some(0)) => Some(Frame::Start),
            (true, Some(_)) => Some(Frame::End),
            _ => None,
        };
        Ok(Self::Folded { start, framed, done: false })
    }

    pub fn position(&self) -> Position {
        match self {
            Self::Raw { position } => *position,
            Self::Folded { start, .. } => start.position,
        }
    }

    /// Where the next read goes on.
    pub fn offset(&self) -> Offset {
        match self {
            Self::Raw { position } => Offset::at(*position),
            Self::Folded { start, done, .. } => start.offset(*done),
        }
    }

    /// The next page, which moves the view on, and its share of what pages may hold. Busy after `patience`: nothing moved.
    pub async fn page(
        &mut self,
        engine: &Engine,
        room: &Room,
        handle: &Arc<Handle>,
        stream: Option<&PublishedStream>,
        selection: &Selection,
        patience: Duration,
    ) -> Result<(Page, Share), Fault> {
        let estimate = stream.map_or(0, |stream| engine.page_estimate(stream, self.position()));
        let share = room.share(estimate, patience).await?;
        let page = self.read_page(engine, handle, stream, selection).await?;
        Ok((page, share))
    }

    async fn read_page(
        &mut self,
        engine: &Engine,
        handle: &Arc<Handle>,
        stream: Option<&PublishedStream>,
        selection: &Selection,
    ) -> Result<Page, Fault> {
        let Some(stream) = stream else {
            // Bound and not written yet: an empty stream, told of like any other.
            let mut messages: Vec<Bytes> = Vec::new();
            if let Self::Folded { framed, .. } = self
                && let Some(frame) = framed.take()
            {
                let reset = (frame == Frame::Reset).then_some(Control::Reset);
                let frames = reset.into_iter().chain([Control::SnapshotStart, Control::SnapshotEnd]);
                messages.extend(frames.map(|control| control.message(Offset::BEGINNING).into()));
            }
            return Ok(Page {
                is_empty: messages.is_empty(),
                body: bracketed(&messages.join(&b","[..]).into()),
                is_text: true,
                up_to_date: true,
                closed: false,
                filled: None,
                file: None,
                event: None,
            });
        };
        let reading = match self {
            Self::Raw { .. } => Reading::Log,
            Self::Folded { .. } => Reading::Entities,
        };
        let filler = engine.filler(handle, reading, selection.defaults)?;
        let filled = filler.as_ref().map(|filler| filler.version);
        match self {
            Self::Raw { position } => {
                let mut page = match &filler {
                    None => engine.live_page(handle, stream, *position).await?,
                    Some(_) => engine.raw_page(stream, *position).await?,
                };
                if let Some(filler) = &filler {
                    filler.fill_page(&mut page);
                }
                *position = page.next;
                let json = stream.creation.content_type.is_json();
                let all = selection.is_everything();
                let body = match json && !all {
                    true => select(&page.payload, selection),
                    false => page.payload,
                };
                Ok(Page {
                    is_empty: body.is_empty() || (json && body.len() == 2),
                    is_text: stream.creation.content_type.is_text(),
                    body,
                    up_to_date: page.up_to_date,
                    closed: page.closed,
                    filled,
                    file: page.file.filter(|_| filler.is_none() && (all || !json)),
                    event: page.event.filter(|_| all),
                })
            }
            Self::Folded { start, framed, done } => {
                let selection = Filler::paged(filler.as_ref(), selection);
                let page = engine.folded_page(handle, stream, *start, &selection, None).await?;
                (*start, *done) = (page.next, page.done);
                let mut messages = Vec::new();
                let mark = page.next.offset(page.done);
                if *framed == Some(Frame::Reset) {
                    messages.push(Control::Reset.message(Offset::BEGINNING).into());
                }
                if matches!(framed, Some(Frame::Reset | Frame::Start)) {
                    messages.push(Control::SnapshotStart.message(Offset::BEGINNING).into());
                    *framed = Some(Frame::End);
                }
                let fill =
                    |change: Bytes| filler.as_ref().and_then(|filler| filler.change(&change)).unwrap_or(change);
                messages.extend(page.items.into_iter().map(|item| fill(item.change)));
                if page.done && framed.take().is_some() {
                    messages.push(Control::SnapshotEnd.message(mark).into());
                }
                Ok(Page {
                    is_empty: messages.is_empty(),
                    is_text: true,
                    body: bracketed(&messages.join(&b","[..]).into()),
                    up_to_date: page.done,
                    closed: page.done && stream.closed,
                    filled,
                    file: None,
                    event: None,
                })
            }
        }
    }
}

/// Refuses a type that the schema does not have: a mistake in an allow-list that an empty answer would hide.
pub fn check_types(engine: &Engine, handle: &Handle, selection: &Selection) -> Result<(), Problem> {
    if selection.types.is_empty() {
        return Ok(());
    }
    let known = engine.collections(handle)?;
    match selection.types.iter().find(|name| !known.contains(name)) {
        None => Ok(()),
        Some(unknown) => {
            Err(malformed_query(format!("type {unknown:?} is not in the schema; it has {}", known.join(", "))))
        }
    }
}

fn bracketed(messages: &Bytes) -> Bytes {
    let mut body = Vec::with_capacity(messages.len() + 2);
    body.push(b'[');
    body.extend_from_slice(messages);
    body.push(b']');
    body.into()
}

/// Those of an array's messages that a selection wants.
fn select(messages: &Bytes, selection: &Selection) -> Bytes {
    let wanted = |message: &&str| {
        StoredChange::parse(message).is_some_and(|change| selection.wants(&change.entity_type, &change.key))
    };
    let split = crate::protocol::json::messages(messages, usize::MAX).unwrap_or_default();
    bracketed(&split.into_iter().filter(wanted).collect::<Vec<_>>().join(",").into())
}
