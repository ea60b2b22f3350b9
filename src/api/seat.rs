//! A reader's own socket, once its response has left the connection's HTTP machinery: chunks of a response are written
//! here, by the task of the connection or, while the reader is level with others, by their [`Fan`](super::fan::Fan).
//!
//! Decides who may write when: exactly one of the two, which [`Place`] says under its lock. Invariant: what was begun of
//! a chunk is finished before anything else is written.

use std::io::{self, IoSlice};
use std::time::Duration;

use axum::body::Bytes;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::model::Position;

/// Most bytes that a client may send ahead of its next request; more is left to its socket.
const AHEAD_MAX: usize = 64 << 10;

/// A socket, and who writes to it.
pub(super) struct Seat {
    pub socket: TcpStream,
    pub place: Mutex<Place>,
    /// Rung when the fan gives the seat back.
    pub back: Notify,
}

/// Who writes to the socket.
pub(super) enum Place {
    /// The task of the connection.
    Own,
    /// A fan: the reader has everything up to where it is.
    Level(Level),
    /// The task of the connection again, with what is left of a chunk before anything else.
    Back(Level, Vec<Bytes>),
}

/// How far a level reader has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    pub at: Position,
    /// Cursors that it is sent never go below this one.
    pub cursor_floor: u64,
    /// When something was sent last.
    pub sent: Instant,
    /// Where the seat is in its fan's list.
    pub index: usize,
}

impl Seat {
    pub fn new(socket: TcpStream) -> Self {
        Self { socket, place: Mutex::new(Place::Own), back: Notify::new() }
    }

    /// Writes all of it. Fails once a write has been stuck for `timeout`: the only reason to close a slow reader.
    pub async fn write(&self, parts: &mut [Bytes], timeout: Duration) -> io::Result<()> {
        while parts.iter().any(|part| !part.is_empty()) {
            match write_parts(&self.socket, parts.iter().map(|part| &part[..])) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => advance(parts, written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let writable = tokio::time::timeout(timeout, self.socket.writable()).await;
                    writable.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Resolves when the client has gone; what it sends until then is kept for later.
    pub async fn gone(&self, ahead: &mut Vec<u8>) {
        let mut buffer = [0; 256];
        while ahead.len() < AHEAD_MAX {
            if self.socket.readable().await.is_err() {
                return;
            }
            match self.socket.try_read(&mut buffer) {
                Ok(0) => return,
                Ok(read) => ahead.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
        std::future::pending().await
    }
}

/// A chunk of a response on HTTP/1.1.
pub(super) fn chunk(bytes: Bytes) -> [Bytes; 3] {
    [format!("{:x}\r\n", bytes.len()).into(), bytes, Bytes::from_static(b"\r\n")]
}

/// The end of a response in chunks.
pub(super) fn last_chunk() -> [Bytes; 1] {
    [Bytes::from_static(b"0\r\n\r\n")]
}

/// Most parts that are written together.
const PARTS_MAX: usize = 4;

/// Writes as much as the socket takes now.
pub(super) fn write_parts<'a>(socket: &TcpStream, parts: impl Iterator<Item = &'a [u8]>) -> io::Result<usize> {
    let mut slices = [IoSlice::new(&[]); PARTS_MAX];
    let mut count = 0;
    for part in parts.filter(|part| !part.is_empty()).take(PARTS_MAX) {
        slices[count] = IoSlice::new(part);
        count += 1;
    }
    match &slices[..count] {
        [one] => socket.try_write(one),
        many => socket.try_write_vectored(many),
    }
}

/// Takes `written` bytes off the front.
fn advance(parts: &mut [Bytes], mut written: usize) {
    for part in parts {
        let taken = written.min(part.len());
        let _ = part.split_to(taken);
        written -= taken;
    }
}
