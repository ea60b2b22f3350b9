//! Protocol SSE: data and control events from one cursor. Source: PROTOCOL.md §5.8.
//!
//! Every data event is followed by a control event, and a response ends only after one: on rotation, at the end of a
//! closed stream, and on shutdown. A folded reader that falls behind is told the newest change per entity.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::engine::{Engine, Fault, Handle, LiveReader, Published, PublishedStream, Selection};
use crate::model::{Offset, StreamId};
use crate::protocol::{cursor::cursor, sse};

use super::body::{BETWEEN_TRIES, CutShort, Next, stepwise};
use super::fan::{Fan, Fans, Source};
use super::frame::control_event;
use super::headers as names;
use super::problem::Problem;
use super::room::{LIVE_PATIENCE, Room, Share};
use super::seat::{Level, Place, Seat, chunk, last_chunk};
use super::state::Api;
use super::view::{Page, View};

/// A reader of protocol SSE.
pub struct Reader {
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
    /// When something was sent last.
    silent_since: Instant,
    fans: Fans,
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

/// The event that carries a page.
pub(super) fn data_event(page: &Page) -> Bytes {
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
        silent_since: Instant::now(),
        fans: api.fans().clone(),
        state: State::Fresh,
        control: None,
        room: api.page_room(),
        engine,
    };
    let offer = Offer(Arc::new(Mutex::new(Some(Box::new(reader)))));
    let mut response = event_stream(stepwise(Stage::Offered(offer.clone()), Stage::step));
    response.extensions_mut().insert(offer);
    if !text {
        response.headers_mut().insert(names::STREAM_SSE_DATA_ENCODING, HeaderValue::from_static("base64"));
    }
    Ok(response)
}

/// The reader behind a response, for whoever can serve it better than by the response's body.
#[derive(Clone)]
pub struct Offer(Arc<Mutex<Option<Box<Reader>>>>);

impl Offer {
    /// The reader, unless somebody has it already. The body is at its end then.
    pub fn take(&self) -> Option<Box<Reader>> {
        self.0.lock().take()
    }
}

/// The body of a response: its reader is taken when it is first asked for anything.
enum Stage {
    Offered(Offer),
    Reading(Box<Reader>),
}

impl Stage {
    async fn step(self) -> Result<Next<Self>, CutShort> {
        let reader = match self {
            Self::Offered(offer) => offer.take(),
            Self::Reading(reader) => Some(reader),
        };
        let Some(reader) = reader else { return Ok(None) };
        Ok(reader.step().await?.map(|(bytes, reader)| (bytes, Self::Reading(reader))))
    }
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
    async fn step(mut self: Box<Self>) -> Result<Next<Box<Self>>, CutShort> {
        if let Some(control) = self.control.take() {
            return Ok(Some((control, self)));
        }
        if self.state == State::Ended {
            return Ok(None);
        }
        if self.state == State::CaughtUp {
            let wait_until = self.ends_at.min(self.silent_since + self.heartbeat);
            let from = self.view.position();
            let changed = self.engine.changed_since(&mut self.published, self.id, from);
            match tokio::time::timeout_at(wait_until, changed).await {
                Ok(true) => {}
                // Stopping, or time to reconnect: what was sent last is a control event.
                Ok(false) => return Ok(None),
                Err(_) if Instant::now() >= self.ends_at => return Ok(None),
                Err(_) => {
                    let mut out = Vec::new();
                    self.silent_since = Instant::now();
                    self.write_control(&mut out, true, false);
                    return Ok(Some((out.into(), self)));
                }
            }
        }
        self.silent_since = Instant::now();
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
        self.cursor_floor = self.cursor_floor.max(next_cursor);
        control_event(out, next, (!closed).then_some(self.cursor_floor), up_to_date, closed);
    }
}

/// Sends a response on a socket of its own, to its end; its head is out already.
///
/// Gives the socket back, and what the client has sent meanwhile, if it can be used again.
pub async fn follow(
    mut reader: Box<Reader>,
    socket: TcpStream,
    mut ahead: Vec<u8>,
    timeout: Duration,
) -> Option<(TcpStream, Vec<u8>)> {
    let seat = Arc::new(Seat::new(socket));
    loop {
        if let Some(fan) = reader.join(&seat) {
            let mut rest = reader.level(&fan, &seat, &mut ahead).await?;
            seat.write(&mut rest, timeout).await.ok()?;
        }
        let stepped = tokio::select! {
            stepped = Box::pin(reader.step()) => stepped.ok()?,
            () = seat.gone(&mut ahead) => return None,
        };
        let Some((bytes, next)) = stepped else { break };
        seat.write(&mut chunk(bytes), timeout).await.ok()?;
        reader = next;
    }
    seat.write(&mut last_chunk(), timeout).await.ok()?;
    Some((Arc::into_inner(seat)?.socket, ahead))
}

impl Reader {
    /// Joins those that see the same, where it has seen everything that they have.
    fn join(&self, seat: &Arc<Seat>) -> Option<Arc<Fan>> {
        let id = self.id.filter(|_| self.state == State::CaughtUp && self.control.is_none())?;
        let folded = matches!(self.view, View::Folded { .. });
        let (at, sent) = (self.view.position(), Instant::now());
        let level = Level { at, cursor_floor: self.cursor_floor, sent, index: 0 };
        self.fans.join((id, folded, &self.selection), seat, level, || Source {
            engine: self.engine.clone(),
            room: self.room.clone(),
            handle: self.handle.clone(),
            published: self.handle.subscribe(),
            id,
            view: View::level(folded, at),
            selection: self.selection.clone(),
        })
    }

    /// Waits while a fan serves it, until it has to go on by itself: what is left of a chunk then. `None` once the client
    /// has gone.
    async fn level(&mut self, fan: &Fan, seat: &Seat, ahead: &mut Vec<u8>) -> Option<Vec<Bytes>> {
        loop {
            let Place::Level(level) = *seat.place.lock() else { break };
            let due = self.ends_at.min(level.sent + self.heartbeat);
            if due <= Instant::now() {
                fan.leave(seat);
                break;
            }
            tokio::select! {
                () = seat.back.notified() => {}
                () = tokio::time::sleep_until(due) => {}
                () = seat.gone(ahead) => {
                    fan.leave(seat);
                    return None;
                }
            }
        }
        let Place::Back(level, rest) = std::mem::replace(&mut *seat.place.lock(), Place::Own) else { return None };
        self.view = View::level(matches!(self.view, View::Folded { .. }), level.at);
        self.cursor_floor = level.cursor_floor;
        self.silent_since = level.sent;
        Some(rest)
    }
}
