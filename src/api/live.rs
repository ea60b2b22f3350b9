//! Protocol SSE: data and control events from one cursor. Source: PROTOCOL.md §5.8.
//!
//! Every data event is followed by a control event, and a response ends only after one: on rotation, at the end of a
//! closed stream, and on shutdown. A folded reader that falls behind is told the newest change per entity.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::engine::{Engine, Fault, Handle, LiveReader, Published, PublishedStream, Selection};
use crate::model::{Offset, StreamId};
use crate::protocol::control::ControlEvent;
use crate::protocol::{cursor::cursor, sse};

use super::body::{BETWEEN_TRIES, CutShort, Next, stepwise};
use super::headers as names;
use super::problem::Problem;
use super::room::{LIVE_PATIENCE, Room, Share};
use super::state::Api;
use super::view::{Page, View};

/// A reader of protocol SSE.
struct Reader {
    engine: Engine,
    room: Room,
    handle: Arc<Handle>,
    published: watch::Receiver<Published>,
    /// The incarnation it reads; another one under the same name ends it. `None` until the name is first written.
    id: Option<StreamId>,
    view: View,
    selection: Selection,
    /// The cursor that the client came with, until it was answered.
    cursor: Option<String>,
    cursor_floor: u64,
    heartbeat: Duration,
    ends_at: Instant,
    state: State,
    /// The event behind a data event that was just sent: nothing comes between them, and no response ends there.
    control: Option<Bytes>,
    /// Holds the stream while it is read.
    counted: LiveReader,
}

#[derive(PartialEq, Eq)]
enum State {
    /// Nothing was sent yet: the first answer comes at once, data or not.
    Fresh,
    /// The last thing sent was a control event at the tail.
    CaughtUp,
    /// The last page did not reach the tail.
    Behind,
    Ended,
}

/// Data events below so many bytes are copied to where the event behind them is.
const SMALL_EVENT: usize = 2 << 10;

fn data_event(page: &Page) -> Bytes {
    let mut out = Vec::with_capacity(page.body.len() + 64);
    match page.is_text {
        true => sse::event(&mut out, Some("data"), None, &page.body),
        false => sse::binary_event(&mut out, "data", &page.body),
    }
    out.into()
}

/// The response of `live=sse`.
pub fn respond(
    engine: Engine,
    api: &Api,
    handle: Arc<Handle>,
    stream: Option<PublishedStream>,
    view: View,
    selection: Selection,
    cursor: Option<String>,
) -> Result<Response, Problem> {
    let text = stream.as_ref().is_none_or(|stream| stream.creation.content_type.is_text());
    // Spread out, so that readers who came together do not leave together.
    let rotation = api.settings().sse_rotation.mul_f64(0.9 + 0.2 * fastrand::f64());
    let id = stream.map(|stream| stream.id);
    let reader = Reader {
        published: handle.subscribe(),
        counted: engine.live_reader(&handle, id)?,
        handle,
        id,
        view,
        selection,
        cursor,
        cursor_floor: 0,
        heartbeat: api.settings().heartbeat.mul_f64(0.8),
        ends_at: Instant::now() + rotation,
        state: State::Fresh,
        control: None,
        room: api.page_room(),
        engine,
    };
    let mut response = event_stream(stepwise(reader, Reader::step));
    if !text {
        response.headers_mut().insert(names::STREAM_SSE_DATA_ENCODING, HeaderValue::from_static("base64"));
    }
    Ok(response)
}

/// Headers that every kind of event stream has, so that proxies pass it on at once.
pub fn event_stream(body: Body) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(names::EVENT_STREAM));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(names::X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

impl Reader {
    async fn step(mut self) -> Result<Next<Self>, CutShort> {
        if let Some(control) = self.control.take() {
            return Ok(Some((control, self)));
        }
        if self.state == State::Ended {
            return Ok(None);
        }
        if self.state == State::CaughtUp {
            let wait_until = self.ends_at.min(Instant::now() + self.heartbeat);
            let from = self.view.position();
            let changed = self.engine.changed_since(&mut self.published, self.id, from);
            match tokio::time::timeout_at(wait_until, changed).await {
                Ok(true) => {}
                // Stopping, or time to reconnect: what was sent last is a control event.
                Ok(false) => return Ok(None),
                Err(_) if Instant::now() >= self.ends_at => return Ok(None),
                Err(_) => {
                    let mut out = Vec::new();
                    self.write_control(&mut out, true, false);
                    return Ok(Some((out.into(), self)));
                }
            }
        }
        let out = match self.page().await {
            Ok(Some((page, share))) => {
                let (data, control) = self.frames(page);
                match data.len() {
                    0 => control,
                    // Together, where copying costs less than sending two pieces does.
                    1..SMALL_EVENT => [data, control].concat().into(),
                    _ => {
                        self.control = Some(control);
                        share.hold(data)
                    }
                }
            }
            // The stream is gone; a new request will be told so.
            Ok(None) => return Ok(None),
            Err(fault) if fault.is_gone() => return Ok(None),
            // Others hold the room: the reader is told that it goes on, since one that is cut off may not come back.
            Err(Fault::Busy { .. }) => {
                tokio::time::sleep(BETWEEN_TRIES).await;
                let mut out = Vec::new();
                self.write_control(&mut out, false, false);
                self.state = State::Behind;
                out.into()
            }
            Err(fault) => {
                tracing::warn!(stream.name = %self.handle.name, error = %fault, "a live read was cut short");
                return Err(CutShort);
            }
        };
        let stopping = *self.engine.stopping().borrow();
        if stopping || Instant::now() >= self.ends_at {
            self.state = State::Ended;
        }
        Ok(Some((out, self)))
    }

    async fn page(&mut self) -> Result<Option<(Page, Share)>, Fault> {
        let stream = self.handle.stream();
        match (&stream, self.id) {
            (Some(stream), Some(id)) if stream.id != id => return Ok(None),
            (None, Some(_)) => return Ok(None),
            (Some(stream), None) => {
                self.id = Some(stream.id);
                self.counted.begin(stream.id);
            }
            _ => {}
        }
        let (view, room) = (&mut self.view, &self.room);
        let page = view.page(&self.engine, room, &self.handle, stream.as_ref(), &self.selection, LIVE_PATIENCE);
        page.await.map(Some)
    }

    /// The events of a page: its data, which readers share, and behind it what is this reader's own.
    fn frames(&mut self, page: Page) -> (Bytes, Bytes) {
        let data = match (page.is_empty, &page.event) {
            (true, _) => Bytes::new(),
            (false, Some(event)) => event.get_or_init(|| data_event(&page)).clone(),
            (false, None) => data_event(&page),
        };
        self.state = match (page.closed, page.up_to_date) {
            (true, _) => State::Ended,
            (false, true) => State::CaughtUp,
            (false, false) => State::Behind,
        };
        // Also where the selection saw nothing of it: the reader resumes from here.
        let mut control = Vec::with_capacity(256);
        self.write_control(&mut control, page.up_to_date, page.closed);
        (data, control.into())
    }

    fn write_control(&mut self, out: &mut Vec<u8>, up_to_date: bool, closed: bool) {
        let next: Offset = self.view.offset();
        let now = self.engine.now();
        // Past the client's own once, then with the clock, so that it never goes back within a response.
        let next_cursor = cursor(now, self.cursor.take().as_deref(), fastrand::u64(1..=3600));
        self.cursor_floor = self.cursor_floor.max(next_cursor.parse().unwrap_or(0));
        let event = ControlEvent {
            stream_next_offset: next,
            stream_cursor: (!closed).then(|| self.cursor_floor.to_string()),
            up_to_date,
            stream_closed: closed,
        };
        let data = serde_json::to_vec(&event).unwrap_or_default();
        sse::event(out, Some("control"), None, &data);
    }
}
