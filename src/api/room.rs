//! Room in memory for what clients send and for what they are sent: so much for all of them, and a quarter of it at most
//! for the requests of one shared connection, so that nobody can take it all.
//!
//! On HTTP/1 a connection has one request at a time, and so one body or page. Over HTTP/2 the share of the connection is
//! taken first: its requests wait for each other before they wait for others.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::engine::{Fault, Shed, Sheds};

use super::problem::{Problem, ProblemType};

tokio::task_local! {
    /// Of the HTTP/2 connection whose stream the task serves.
    static CONNECTION: ConnectionRooms;
}

/// How long a page waits for its share.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// The same where a reader is to be told in between that it is not forgotten.
pub const LIVE_PATIENCE: Duration = Duration::from_secs(2);
/// Unit in which shares are taken.
const SHARE_BYTES: usize = 1024;
/// Pages up to this size are not counted: a connection costs about as much.
pub const SMALL_BYTES: usize = 16 * SHARE_BYTES;
/// How many connections can have all they may at once.
const CONNECTIONS: usize = 4;

/// What of one kind all clients together may hold. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Room {
    all: Part,
    /// Of the connection that this is asked through, where requests share it.
    connection: Option<Part>,
    kind: Shed,
    sheds: Arc<Sheds>,
}

#[derive(Clone)]
struct Part {
    shares: Arc<Semaphore>,
    max: usize,
}

/// What the requests of one HTTP/2 connection may hold.
#[derive(Clone)]
pub struct ConnectionRooms {
    bodies: Part,
    pages: Part,
}

/// There is none, since others hold it all.
#[derive(Debug)]
pub struct NoRoom;

/// A share of a room, given back when this is dropped.
#[derive(Default)]
pub struct Share {
    all: Option<OwnedSemaphorePermit>,
    connection: Option<OwnedSemaphorePermit>,
}

impl Part {
    fn new(shares: usize) -> Self {
        let max = shares.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        Self { shares: Arc::new(Semaphore::new(max)), max }
    }

    /// More than there is at all is all there is.
    async fn take(&self, shares: usize) -> Result<OwnedSemaphorePermit, NoRoom> {
        self.shares.clone().acquire_many_owned(shares.min(self.max) as u32).await.map_err(|_| NoRoom)
    }

    fn grow(&self, held: &mut Option<OwnedSemaphorePermit>, shares: usize) -> Result<(), NoRoom> {
        let has = held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let wants = shares.min(self.max).saturating_sub(has);
        if wants == 0 {
            return Ok(());
        }
        let more = self.shares.clone().try_acquire_many_owned(wants as u32).map_err(|_| NoRoom)?;
        match held {
            Some(held) => held.merge(more),
            None => *held = Some(more),
        }
        Ok(())
    }
}

impl ConnectionRooms {
    /// For a new connection.
    pub fn new(bodies: &Room, pages: &Room) -> Self {
        let part = |room: &Room| Part::new(room.all.max / CONNECTIONS);
        Self { bodies: part(bodies), pages: part(pages) }
    }

    /// Serves a stream of the connection.
    pub async fn serve<F: Future>(self, stream: F) -> F::Output {
        CONNECTION.scope(self, stream).await
    }
}

impl Room {
    pub fn new(kind: Shed, bytes_max: usize, sheds: Arc<Sheds>) -> Self {
        Self { all: Part::new(bytes_max / SHARE_BYTES), connection: None, kind, sheds }
    }

    /// The room as whoever is served now may use it.
    pub fn here(&self) -> Self {
        let of = |connection: &ConnectionRooms| match self.kind {
            Shed::Bodies => connection.bodies.clone(),
            _ => connection.pages.clone(),
        };
        Self { connection: CONNECTION.try_with(of).ok(), ..self.clone() }
    }

    /// Waits for the share of about so many bytes; not for ever. Small ones have none.
    pub async fn share(&self, bytes: u64, patience: Duration) -> Result<Share, NoRoom> {
        if bytes <= SMALL_BYTES as u64 {
            return Ok(Share::default());
        }
        let shares = usize::try_from(bytes).unwrap_or(usize::MAX) / SHARE_BYTES;
        let take = async {
            let connection = match &self.connection {
                Some(part) => Some(part.take(shares).await?),
                None => None,
            };
            Ok(Share { all: Some(self.all.take(shares).await?), connection })
        };
        tokio::time::timeout(patience, take).await.unwrap_or(Err(NoRoom)).inspect_err(|_| self.sheds.count(self.kind))
    }

    /// Makes a share cover `bytes`, without waiting: who waits for room holds what it has.
    pub fn grow(&self, share: &mut Share, bytes: usize) -> Result<(), NoRoom> {
        let shares = bytes.div_ceil(SHARE_BYTES);
        let connection = self.connection.as_ref().map_or(Ok(()), |part| part.grow(&mut share.connection, shares));
        connection.and_then(|()| self.all.grow(&mut share.all, shares)).inspect_err(|_| self.sheds.count(self.kind))
    }

    /// Bytes that are held, in whole shares.
    pub fn held_bytes(&self) -> usize {
        (self.all.max - self.all.shares.available_permits()) * SHARE_BYTES
    }
}

impl Share {
    /// Bytes that keep the share until the connection has taken them.
    pub fn hold(self, page: impl Into<Bytes>) -> Bytes {
        match self.all {
            None => page.into(),
            Some(_) => Bytes::from_owner(Held { page: page.into(), _share: self }),
        }
    }
}

struct Held {
    page: Bytes,
    _share: Share,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.page
    }
}

impl From<NoRoom> for Fault {
    fn from(NoRoom: NoRoom) -> Self {
        Self::Busy { retry_after: Duration::from_secs(1) }
    }
}

impl From<NoRoom> for Problem {
    fn from(NoRoom: NoRoom) -> Self {
        Self::new(ProblemType::Busy, "too many request bodies are in memory").retry_after(Duration::from_secs(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_connection_leaves_most_of_the_room_to_others() {
        let sheds = Arc::new(Sheds::default());
        let bodies = Room::new(Shed::Bodies, 400 << 10, sheds.clone());
        let pages = Room::new(Shed::Pages, 400 << 10, sheds.clone());
        let rooms = ConnectionRooms::new(&bodies, &pages);
        let (bodies_here, pages_here) = rooms.serve(async { (bodies.here(), pages.here()) }).await;
        let page = pages_here.share(100 << 10, PATIENCE).await.unwrap();
        assert!(pages_here.share(17 << 10, Duration::from_millis(1)).await.is_err());
        let others = pages.here().share(300 << 10, PATIENCE).await.unwrap();
        assert_eq!(pages.held_bytes(), 400 << 10);
        drop((page, others));
        // One that is larger than a connection's part takes that part, and goes.
        drop(pages_here.share(300 << 10, PATIENCE).await.unwrap());
        let (mut one, mut other) = (Share::default(), Share::default());
        bodies_here.grow(&mut one, 60 << 10).unwrap();
        bodies_here.grow(&mut one, 100 << 10).unwrap();
        assert!(bodies_here.grow(&mut other, 1).is_err());
        bodies.here().grow(&mut other, 300 << 10).unwrap();
        assert_eq!((sheds.read(Shed::Pages), sheds.read(Shed::Bodies)), (1, 1));
        drop((one, other));
        assert_eq!((pages.held_bytes(), bodies.held_bytes()), (0, 0));
    }
}
