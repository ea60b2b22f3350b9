//! Readers of one stream that are level with its tail, served together: what becomes durable is read once, put into one
//! chunk, and written to one socket after the other.
//!
//! A reader joins when it has seen everything, and is given back to its own task whenever anything about it is special:
//! a socket that takes no more, a stream that ends, a place that is not where the others are. So a fan holds no queue and
//! waits for nobody. Invariant: a reader in the list has been sent all that is before its place, and nothing behind it.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::engine::{Engine, Fault, Handle, Published, Selection};
use crate::model::{Position, StreamId};
use crate::protocol::cursor;

use super::body::BETWEEN_TRIES;
use super::frame::Frame;
use super::live::data_event;
use super::room::{LIVE_PATIENCE, Room};
use super::seat::{Level, Place, Seat};
use super::view::View;

/// Sockets that are written to before others may use the list.
const AT_ONCE: usize = 32;
/// How long sockets are written to before other tasks may run.
const TURN: Duration = Duration::from_micros(500);
/// After a round, so many times as long as it took passes before the next begins: what came meanwhile goes together.
const REST: u32 = 3;
/// A rest is as good as none below this, and never longer than that.
const REST_BOUNDS: (Duration, Duration) = (Duration::from_micros(500), Duration::from_millis(2));

/// All fans of a server, by what their readers see.
#[derive(Clone, Default)]
pub struct Fans(Arc<Mutex<HashMap<Kind, Arc<Fan>>>>);

/// What the readers of a fan have in common.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Kind {
    stream: StreamId,
    folded: bool,
    selection: Selection,
}

/// Level readers that see the same.
pub(super) struct Fan {
    kind: Kind,
    members: Mutex<Members>,
    /// Rung when the last one has left.
    empty: Notify,
}

struct Members {
    seats: Vec<Arc<Seat>>,
    /// Everything before this was sent, or is being sent.
    at: Position,
    /// Nobody is served any more.
    over: bool,
}

/// Where a fan's pages come from.
pub(super) struct Source {
    pub engine: Engine,
    pub room: Room,
    pub handle: Arc<Handle>,
    pub published: watch::Receiver<Published>,
    pub id: StreamId,
    pub view: View,
    pub selection: Selection,
}

impl Fans {
    /// Lets a reader join those that see the same. `None` where they are ahead of it: it has to catch up.
    ///
    /// `source` makes pages from the reader's place on; it is asked for only where the reader is the first.
    pub(super) fn join(
        &self,
        (stream, folded, selection): (StreamId, bool, &Selection),
        seat: &Arc<Seat>,
        level: Level,
        source: impl FnOnce() -> Source,
    ) -> Option<Arc<Fan>> {
        let kind = Kind { stream, folded, selection: selection.clone() };
        // A fan that is at work is waited for outside the lock of all: others have their own fans to join.
        let known = self.0.lock().get(&kind).cloned();
        if let Some(fan) = known {
            match fan.join(seat, level) {
                Joined::Yes => return Some(fan),
                Joined::Behind => return None,
                Joined::Over => {}
            }
        }
        let mut fans = self.0.lock();
        if fans.get(&kind).is_some_and(|fan| !fan.is_over()) {
            // Somebody else was quicker: the next look finds it.
            return None;
        }
        let members = Members { seats: Vec::new(), at: level.at, over: false };
        let fan = Arc::new(Fan { kind: kind.clone(), members: Mutex::new(members), empty: Notify::new() });
        fan.join(seat, level);
        fans.insert(kind, fan.clone());
        tokio::spawn(fan.clone().run(source(), self.clone()));
        Some(fan)
    }

    fn remove(&self, fan: &Arc<Fan>) {
        let mut fans = self.0.lock();
        if fans.get(&fan.kind).is_some_and(|known| Arc::ptr_eq(known, fan)) {
            fans.remove(&fan.kind);
        }
    }
}

enum Joined {
    Yes,
    Behind,
    Over,
}

impl Fan {
    fn join(&self, seat: &Arc<Seat>, level: Level) -> Joined {
        let mut members = self.members.lock();
        if members.over {
            return Joined::Over;
        }
        if level.at < members.at {
            return Joined::Behind;
        }
        *seat.place.lock() = Place::Level(Level { index: members.seats.len(), ..level });
        members.seats.push(seat.clone());
        Joined::Yes
    }

    /// Takes a reader out, who goes on by itself.
    pub fn leave(&self, seat: &Seat) {
        let mut members = self.members.lock();
        let mut place = seat.place.lock();
        if let Place::Level(level) = *place {
            *place = Place::Back(level, Vec::new());
            drop(place);
            members.remove(level.index);
        }
        if members.seats.is_empty() {
            self.empty.notify_one();
        }
    }

    async fn run(self: Arc<Self>, mut source: Source, fans: Fans) {
        while !self.end_if_empty() {
            let from = source.view.position();
            let moved = tokio::select! {
                moved = source.engine.changed_since(&mut source.published, Some(source.id), from) => moved,
                () = self.empty.notified() => continue,
            };
            if !moved {
                break;
            }
            match source.frame().await {
                Ok(Some(frame)) => {
                    let began = Instant::now();
                    self.round(from, source.view.position(), frame, &source.engine).await;
                    let rest = (began.elapsed() * REST).min(REST_BOUNDS.1);
                    if rest >= REST_BOUNDS.0 {
                        tokio::time::sleep(rest).await;
                    }
                }
                Err(Fault::Busy { .. }) => tokio::time::sleep(BETWEEN_TRIES).await,
                // What ends, or fails, is told to each of them by its own task.
                Ok(None) | Err(_) => break,
            }
        }
        self.end();
        fans.remove(&self);
    }

    /// Sends a chunk to everybody who is where it begins.
    async fn round(&self, from: Position, to: Position, mut frame: Frame, engine: &Engine) {
        let cursor = cursor::current(engine.now());
        let (mut left, mut sent) = {
            let mut members = self.members.lock();
            members.at = to;
            (members.seats.len(), Instant::now())
        };
        let mut began = sent;
        // From the back: who joins or leaves meanwhile moves only what has had its turn.
        while left > 0 {
            {
                let mut members = self.members.lock();
                left = left.min(members.seats.len());
                for index in (left.saturating_sub(AT_ONCE)..left).rev() {
                    if !members.seats[index].serve(from, to, &mut frame, cursor, sent) {
                        members.remove(index);
                    }
                    left = index;
                    if began.elapsed() > TURN {
                        break;
                    }
                }
            }
            sent = Instant::now();
            if sent.duration_since(began) > TURN {
                tokio::task::yield_now().await;
                began = Instant::now();
            }
        }
    }

    /// Unless it is at work, which it then is not.
    fn is_over(&self) -> bool {
        self.members.try_lock().is_some_and(|members| members.over)
    }

    fn end_if_empty(&self) -> bool {
        let mut members = self.members.lock();
        members.over = members.seats.is_empty();
        members.over
    }

    fn end(&self) {
        let mut members = self.members.lock();
        members.over = true;
        for seat in members.seats.drain(..) {
            seat.give_back();
        }
    }
}

impl Members {
    fn remove(&mut self, index: usize) {
        self.seats.swap_remove(index);
        if let Some(moved) = self.seats.get(index)
            && let Place::Level(level) = &mut *moved.place.lock()
        {
            level.index = index;
        }
    }
}

impl Source {
    /// The next page's chunk; `None` where the stream has ended.
    async fn frame(&mut self) -> Result<Option<Frame>, Fault> {
        let stream = self.handle.stream().filter(|stream| stream.id == self.id && !stream.closed);
        let Some(stream) = stream else { return Ok(None) };
        let (view, room) = (&mut self.view, &self.room);
        let read = view.page(&self.engine, room, &self.handle, Some(&stream), &self.selection, LIVE_PATIENCE);
        let (page, share) = read.await?;
        if page.closed {
            return Ok(None);
        }
        let data = match (page.is_empty, &page.event) {
            (true, _) => Bytes::new(),
            (false, Some(event)) => event.get_or_init(|| data_event(&page)).clone(),
            (false, None) => data_event(&page),
        };
        Ok(Some(Frame::new(share.hold(data), self.view.offset(), page.up_to_date)))
    }
}

impl Seat {
    /// Sends a chunk to a level reader, if it is there where the chunk begins. Whether it stays in the fan.
    fn serve(&self, from: Position, to: Position, frame: &mut Frame, cursor: u64, now: Instant) -> bool {
        let mut place = self.place.lock();
        let Place::Level(level) = &mut *place else { return false };
        if level.at >= to {
            return true;
        }
        let mut rest = Vec::new();
        if level.at == from {
            let cursor = cursor.max(level.cursor_floor);
            frame.set_cursor(cursor);
            match frame.write(&self.socket) {
                Ok(written) => {
                    (level.at, level.cursor_floor, level.sent) = (to, cursor, now);
                    if written == frame.len() {
                        return true;
                    }
                    rest = frame.rest(written);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Its own task will see it as well.
                Err(_) => {}
            }
        }
        *place = Place::Back(*level, rest);
        self.back.notify_one();
        false
    }

    fn give_back(&self) {
        let mut place = self.place.lock();
        if let Place::Level(level) = *place {
            *place = Place::Back(level, Vec::new());
            self.back.notify_one();
        }
    }
}
