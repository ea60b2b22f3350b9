//! Raw reads: every message of a stream, in order, a page at a time; and waiting for more.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tokio::sync::watch;

use crate::model::{Offset, Position, StreamName};
use crate::storage::{ReadError, Run};

use super::handle::{Handle, Published, PublishedStream};
use super::pages::Stored;
use super::recent::Joined;
use super::{Engine, Fault};

/// A page of a stream's own bytes.
#[derive(Debug)]
pub struct RawPage {
    /// JSON: the messages as an array. Bytes: as they came.
    pub payload: Bytes,
    pub from: Position,
    pub next: Position,
    /// The positions of its messages or bytes: one range, unless something was let go or passed over in between.
    pub ranges: Vec<Range<Position>>,
    /// Whether it reaches the tail as of now.
    pub up_to_date: bool,
    /// Whether nothing will ever follow.
    pub closed: bool,
    /// Where readers share the page, what the edge has made of it for the first of them.
    pub event: Option<Arc<OnceLock<Bytes>>>,
}

impl RawPage {
    /// Where each message stands.
    pub fn positions(&self) -> impl Iterator<Item = Position> {
        self.ranges.iter().cloned().flatten()
    }
}

impl Engine {
    /// Looks a stream up for reading, which counts as a use. `None` for a bound name that nobody has written yet.
    pub async fn open(&self, name: &StreamName) -> Result<(Arc<Handle>, Option<PublishedStream>), Fault> {
        let (handle, stream) = self.peek(name).await?;
        if let Some(stream) = &stream {
            self.used(&handle, stream.id);
        }
        Ok((handle, stream))
    }

    /// Looks a stream up without using it.
    pub async fn peek(&self, name: &StreamName) -> Result<(Arc<Handle>, Option<PublishedStream>), Fault> {
        let handle = self.handle(name);
        let stream = self.expire_if_over(&handle).await?;
        if stream.is_none() && self.binding(&handle).is_none() {
            return Err(self.no_stream(handle));
        }
        Ok((handle, stream))
    }

    /// Refuses an offset that no response can have given, or that no reader can go on from.
    pub fn check_offset(&self, stream: Option<&PublishedStream>, given: Offset) -> Result<(), Fault> {
        match (self.stands(stream, given)?, stream) {
            (Standing::CutOff, Some(stream)) => Err(cut_off(stream, given)),
            _ => Ok(()),
        }
    }

    /// As [`Engine::check_offset`], for a reader that can be told to begin anew: whether it has to.
    pub fn stands(&self, stream: Option<&PublishedStream>, given: Offset) -> Result<Standing, Fault> {
        if let Some(stream) = stream
            && (self.is_cut_off(stream, given.position)? || self.is_cut_off(stream, given.walk_mark)?)
        {
            return match stream.schema {
                Some(_) => Ok(Standing::CutOff),
                None => Err(cut_off(stream, given)),
            };
        }
        self.check_former(stream, given).map(|()| Standing::Here)
    }

    /// Whether a position was given out by a history that a restore has cut off: nothing is stored right before it.
    ///
    /// Where new records go after a restore lies above everything that the history can have given out.
    fn is_cut_off(&self, stream: &PublishedStream, position: Position) -> Result<bool, Fault> {
        if position <= stream.creation.start || position > stream.floor || position == stream.tail {
            return Ok(false);
        }
        if position > stream.tail {
            return Ok(true);
        }
        let before = self.store.read(stream.id, position - 1, position, 1)?;
        Ok(before.is_empty())
    }

    fn check_former(&self, stream: Option<&PublishedStream>, given: Offset) -> Result<(), Fault> {
        // Where nothing stands under the name now, something may have; its offsets lie below the next start.
        let tail = stream.map_or_else(|| self.start_position(), |stream| stream.tail);
        if given.position > tail || given.walk_mark > tail {
            return Err(Fault::BeyondTail { given, tail: Offset::at(tail) });
        }
        match stream {
            // On a typed stream, whoever folds is told to reset; on others nobody could tell the two streams apart.
            Some(stream) if stream.schema.is_none() && (1..stream.creation.start).contains(&given.position) => {
                Err(Fault::Former { given, start: Offset::at(stream.creation.start) })
            }
            _ => Ok(()),
        }
    }

    /// About how many bytes the next page from `from` has: what remains, by the stream's mean, and at most a page.
    pub fn page_estimate(&self, stream: &PublishedStream, from: Position) -> u64 {
        let all = stream.length().max(1);
        if stream.floor > 0 && stream.creation.fork.is_some() {
            // What it inherits may have been passed over by a restore, so its positions say little of its bytes.
            return self.limits().page_bytes_max as u64;
        }
        let remaining = stream.tail.saturating_sub(from.max(stream.creation.start));
        let inherited = stream.creation.fork.as_ref().map_or(0, |fork| fork.bytes);
        let mean = (stream.bytes + inherited) / all + 1;
        remaining.saturating_mul(mean).min(self.limits().page_bytes_max as u64)
    }

    /// One page from `from`, of whole batches where they fit. Never more than what is durable.
    pub async fn raw_page(&self, stream: &PublishedStream, from: Position) -> Result<RawPage, Fault> {
        let from = from.clamp(stream.creation.start, stream.tail);
        let reached = Offset::at(from);
        self.check_kept(stream, reached)?;
        if from == stream.tail {
            let payload = Bytes::from_static(if stream.creation.content_type.is_json() { b"[]" } else { b"" });
            let (ranges, closed) = (Vec::new(), stream.closed);
            return Ok(RawPage { payload, from, next: from, ranges, up_to_date: true, closed, event: None });
        }
        let Stored { payload, next, ranges } = self.stored_page(stream, from).await?;
        // Some of it may have been let go since it was asked for.
        self.check_kept(stream, reached)?;
        let up_to_date = next == stream.tail;
        let closed = up_to_date && stream.closed;
        Ok(RawPage { payload, from, next, ranges, up_to_date, closed, event: None })
    }

    /// The same for who follows the tail: what was appended just now is in memory, once for all readers.
    pub async fn live_page(
        &self,
        handle: &Handle,
        stream: &PublishedStream,
        from: Position,
    ) -> Result<RawPage, Fault> {
        let Some(Joined { payload, next, event, .. }) = handle.recent(stream, from, self.limits().page_bytes_max)
        else {
            return self.raw_page(stream, from).await;
        };
        let up_to_date = next == stream.tail;
        let (ranges, closed) = (std::iter::once(from..next).collect(), up_to_date && stream.closed);
        Ok(RawPage { payload, from, next, ranges, up_to_date, closed, event: Some(event) })
    }

    pub(super) async fn read_runs(
        &self,
        stream: &PublishedStream,
        from: Position,
        to: Position,
    ) -> Result<Vec<Run>, Fault> {
        let (store, id, bytes_max) = (self.store.clone(), stream.id, self.limits().page_bytes_max);
        self.read_from_disk(to - from, move || store.read(id, from, to, bytes_max)).await
    }

    /// One page as it is stored, as an array where it is JSON.
    pub(super) async fn read_page(&self, stream: &PublishedStream, from: Position) -> Result<Stored, Fault> {
        let (store, id, tail, bytes_max) = (self.store.clone(), stream.id, stream.tail, self.limits().page_bytes_max);
        let json = stream.creation.content_type.is_json();
        // With the brackets.
        let room = self.page_estimate(stream, from) as usize + 2;
        let spare = (room > bytes_max).then(|| self.pages.spare());
        self.read_from_disk(tail - from, move || {
            let mut payload = spare.as_ref().map_or_else(|| Vec::with_capacity(room), |spare| spare.take(room));
            if json {
                payload.push(b'[');
            }
            let ranges = store.read_joined(id, from, tail, bytes_max, &mut payload)?;
            if json {
                close(&mut payload);
            }
            // Where nothing was found, nothing is left up to the tail.
            let next = ranges.last().map_or(tail, |range| range.end);
            let payload = match spare {
                Some(spare) => spare.lend(payload, room),
                None => payload.into(),
            };
            Ok(Stored { payload, next, ranges })
        })
        .await
    }

    /// Reads a page of at most so many positions.
    async fn read_from_disk<T: Send + 'static>(
        &self,
        positions: u64,
        read: impl FnOnce() -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, Fault> {
        // Near the tail the bytes were just written: the page cache has them, and a thread would cost more.
        if positions <= 64 {
            return Ok(read()?);
        }
        let _turn = self.page_turn().await?;
        Ok(tokio::task::spawn_blocking(read).await.map_err(|e| Fault::Storage(e.to_string()))??)
    }

    /// A turn at reading from the disk. Waits for those before it, each of which takes as long as one page.
    pub(super) async fn page_turn(&self) -> Result<tokio::sync::SemaphorePermit<'_>, Fault> {
        self.page_reads.acquire().await.map_err(|e| Fault::Storage(e.to_string()))
    }

    /// Waits until the stream has something after `from`, has ended, or is another one. False once stopping.
    pub async fn changed_since(
        &self,
        published: &mut watch::Receiver<Published>,
        known: Option<crate::model::StreamId>,
        from: Position,
    ) -> bool {
        let mut stopping = self.stopping();
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => false,
            _ = published.wait_for(|p| match &p.stream {
                Some(stream) => Some(stream.id) != known || stream.tail > from || stream.closed,
                None => known.is_some(),
            }) => true,
        }
    }

    /// Waits until `offset` is durable here: read-your-writes.
    pub async fn reached(&self, handle: &Handle, offset: Offset) -> Result<(), Fault> {
        if let Some(stream) = handle.stream().filter(|stream| stream.floor > 0)
            && self.is_cut_off(&stream, offset.position)?
        {
            return Err(cut_off(&stream, offset));
        }
        let mut published = handle.subscribe();
        let reached = published.wait_for(|p| p.stream.as_ref().is_some_and(|s| s.tail >= offset.position));
        match tokio::time::timeout(std::time::Duration::from_secs(5), reached).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Fault::NotYet(offset)),
        }
    }
}

/// How a reader can go on from an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// From there, or, where it is a former stream's, as that is told apart by where the stream begins.
    Here,
    /// From the beginning: a restore has cut off the history that gave the offset out, and what the reader holds may
    /// come from there.
    CutOff,
}

fn cut_off(stream: &PublishedStream, given: Offset) -> Fault {
    Fault::CutOff { given, floor: Offset::at(stream.floor) }
}

/// Payloads as one: of JSON, where each message is followed by a comma, as an array.
pub(super) fn joined<'a>(payloads: impl Iterator<Item = &'a Bytes> + Clone, json: bool) -> Bytes {
    let mut rest = payloads.clone();
    if !json && let (Some(only), None) = (rest.next(), rest.next()) {
        return only.clone();
    }
    let mut joined = Vec::with_capacity(payloads.clone().map(Bytes::len).sum::<usize>() + 2);
    if json {
        joined.push(b'[');
    }
    payloads.for_each(|payload| joined.extend_from_slice(payload));
    if json {
        close(&mut joined);
    }
    joined.into()
}

/// Ends an array, in the place of its last comma if there is one.
fn close(array: &mut Vec<u8>) {
    array.truncate(array.len().max(2) - 1);
    array.push(b']');
}
