//! NDJSON ingest: one connection, one line a batch, one acknowledgement line a batch once it is durable.
//!
//! The first refused line ends it and nothing after it is written. Acknowledgements are sent while lines still come;
//! a client that reads only at the end gets them then. Unread ones are bounded: beyond the bound the newest stands for
//! those before it, and a connection that does not read for too long is closed.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::engine::ingest::{Acknowledgement, Ingest};
use crate::engine::{Appended, Engine, Fault};
use crate::model::{Offset, Producer, ProducerEpoch, ProducerId, ProducerSeq, StreamName};

use super::headers as names;
use super::problem::{Problem, ProblemBody, ProblemType};
use super::room::{Room, Share};
use super::state::Api;

/// Lines decided on and not yet durable.
const IN_FLIGHT_MAX: usize = 4_096;
/// Lines up to this long are not counted against what bodies may hold.
const SHORT_LINE: usize = 64 << 10;
/// Room for lines that is kept from one to the next.
const BUFFER_KEPT: usize = 256 << 10;
/// Acknowledgements waiting to be read, in bytes.
const UNREAD_BYTES_MAX: usize = 4 << 20;

/// An acknowledgement line.
#[derive(Debug, Serialize)]
struct Ack {
    seq: u64,
    /// The tail after the line's changes.
    offset: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    duplicate: bool,
    /// Changes of the line that the binding kept aside.
    #[serde(skip_serializing_if = "is_zero")]
    quarantined: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// The last line where something was refused.
#[derive(Serialize)]
struct Refused {
    seq: u64,
    error: ProblemBody,
}

/// Who writes: each line has the next seq.
struct Numbering {
    producer: Option<(ProducerId, ProducerEpoch)>,
    next: u64,
}

impl Numbering {
    fn from_headers(head: &HeaderMap) -> Result<Self, Problem> {
        let next = match head.contains_key(names::PRODUCER_SEQ) {
            true => names::integer(head, &names::PRODUCER_SEQ, ProducerSeq::parse)?.get(),
            false => 0,
        };
        let given = [names::PRODUCER_ID, names::PRODUCER_EPOCH].map(|name| head.contains_key(name));
        let producer = match given {
            [false, false] => None,
            [true, true] => {
                let epoch = names::integer(head, &names::PRODUCER_EPOCH, ProducerEpoch::parse)?;
                Some((names::producer_id(head)?, epoch))
            }
            _ => {
                let detail = "Producer-Id and Producer-Epoch come together or not at all";
                return Err(Problem::new(ProblemType::MalformedHeader, detail));
            }
        };
        Ok(Self { producer, next })
    }

    fn take(&mut self) -> Result<(u64, Option<Producer>), Problem> {
        let number = self.next;
        let seq = ProducerSeq::new(number)
            .ok_or_else(|| Problem::new(ProblemType::MalformedHeader, "the seqs of this epoch are used up"))?;
        self.next += 1;
        let tuple = |(id, epoch): &(ProducerId, ProducerEpoch)| Producer { id: id.clone(), epoch: *epoch, seq };
        Ok((number, self.producer.as_ref().map(tuple)))
    }
}

/// The response of an `application/x-ndjson` post: begins at once, ends with the last acknowledgement.
pub async fn respond(
    engine: Engine,
    api: &Api,
    name: &StreamName,
    head: &HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let numbering = Numbering::from_headers(head)?;
    let place = api.place()?;
    let line_max = engine.limits().request_bytes_max;
    let ingest = engine.ingest(name).await?;
    let (acks, mut sent) = mpsc::channel(1);
    let session = Session {
        ingest,
        numbering,
        lines: Lines {
            body: body.into_data_stream(),
            buffer: Vec::new(),
            taken: 0,
            scanned: 0,
            line_max,
            ended: false,
            room: api.body_room(),
            held: Share::default(),
        },
        pending: FuturesOrdered::new(),
        unread: VecDeque::new(),
        unread_bytes: 0,
        acks,
        ack_timeout: api.settings().ack_timeout,
        _place: place,
    };
    tokio::spawn(session.run());
    let stream =
        futures_util::stream::poll_fn(move |cx| sent.poll_recv(cx)).map(Ok::<Bytes, std::convert::Infallible>);
    let mut response = Body::from_stream(stream).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(names::X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

struct Session {
    ingest: Ingest,
    numbering: Numbering,
    lines: Lines,
    pending: FuturesOrdered<futures_util::future::BoxFuture<'static, (u64, Result<Appended, Fault>)>>,
    /// Acknowledgement lines that the connection has not taken yet.
    unread: VecDeque<Bytes>,
    unread_bytes: usize,
    acks: mpsc::Sender<Bytes>,
    ack_timeout: Duration,
    /// It is a request in hand until it ends, although its answer has begun.
    _place: OwnedSemaphorePermit,
}

/// What an ingest waits for.
enum Event {
    Durable(u64, Result<Appended, Fault>),
    /// The connection takes more acknowledgements.
    Readable(mpsc::OwnedPermit<Bytes>),
    /// The connection is gone, or has not read for too long.
    Unread,
    /// Where it lies in what was received.
    Line(Result<Option<Range<usize>>, Problem>),
}

impl Session {
    async fn run(mut self) {
        let refused = self.write_lines().await;
        // Nothing more is decided; what was is acknowledged, then the refusal told.
        while let Some((seq, outcome)) = self.pending.next().await {
            match outcome {
                Ok(appended) => self.acknowledge(seq, &appended),
                Err(fault) => {
                    self.refuse(seq, fault.into());
                    let _ = self.flush().await;
                    return;
                }
            }
        }
        if let Some((seq, problem)) = refused {
            self.refuse(seq, problem);
        }
        let _ = self.flush().await;
    }

    /// Until the body ends (`None`), or a line is refused.
    async fn write_lines(&mut self) -> Option<(u64, Problem)> {
        let mut slow_since: Option<tokio::time::Instant> = None;
        loop {
            let room = self.pending.len() < IN_FLIGHT_MAX;
            let deadline = slow_since.map(|since| since + self.ack_timeout);
            let waits = deadline.unwrap_or_else(tokio::time::Instant::now);
            let event = tokio::select! {
                biased;
                Some((seq, outcome)) = self.pending.next(), if !self.pending.is_empty() => Event::Durable(seq, outcome),
                permit = self.acks.clone().reserve_owned(), if !self.unread.is_empty() => match permit {
                    Ok(permit) => Event::Readable(permit),
                    Err(_) => Event::Unread,
                },
                line = self.lines.next(), if room => Event::Line(line),
                () = tokio::time::sleep_until(waits), if deadline.is_some() => Event::Unread,
            };
            match event {
                Event::Durable(seq, Ok(appended)) => self.acknowledge(seq, &appended),
                Event::Durable(seq, Err(fault)) => {
                    self.pending.clear();
                    return Some((seq, fault.into()));
                }
                Event::Readable(permit) => {
                    slow_since = None;
                    permit.send(self.take_unread());
                }
                // Nobody listens: what was decided becomes durable all the same, and the next try is a repeat.
                Event::Unread | Event::Line(Ok(None)) => return None,
                Event::Line(Err(problem)) => return Some((self.numbering.next, problem)),
                Event::Line(Ok(Some(line))) => {
                    let received = std::mem::take(&mut self.lines.buffer);
                    let written = self.write_line(&received[line]).await;
                    self.lines.buffer = received;
                    if let Err(refused) = written {
                        return Some(refused);
                    }
                }
            }
            if self.unread_bytes >= UNREAD_BYTES_MAX {
                slow_since.get_or_insert_with(tokio::time::Instant::now);
            }
        }
    }

    async fn write_line(&mut self, line: &[u8]) -> Result<(), (u64, Problem)> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        let (seq, producer) = self.numbering.take().map_err(|problem| (self.numbering.next, problem))?;
        loop {
            match self.ingest.line(line, producer.clone()).await {
                Ok(durable) => {
                    self.pending.push_back(numbered(seq, durable));
                    return Ok(());
                }
                // Faster than the disk is no fault: wait for what is under way, then go on.
                Err(Fault::StreamBusy { .. } | Fault::Busy { .. }) if !self.pending.is_empty() => {
                    if let Some((done, outcome)) = self.pending.next().await {
                        match outcome {
                            Ok(appended) => self.acknowledge(done, &appended),
                            Err(fault) => {
                                self.pending.clear();
                                return Err((done, fault.into()));
                            }
                        }
                    }
                }
                Err(fault) => return Err((seq, fault.into())),
            }
        }
    }

    fn take_unread(&mut self) -> Bytes {
        self.unread_bytes = 0;
        self.unread.drain(..).flatten().collect::<Vec<u8>>().into()
    }

    fn acknowledge(&mut self, seq: u64, appended: &Appended) {
        let offset = appended.offsets.iter().rev().flatten().next().copied().unwrap_or(appended.tail);
        self.push(&Ack {
            seq,
            offset: Offset::to_string(&offset),
            duplicate: appended.duplicate,
            quarantined: appended.quarantined,
        });
    }

    fn refuse(&mut self, seq: u64, problem: Problem) {
        self.push(&Refused { seq, error: problem.body() });
    }

    fn push(&mut self, line: &impl Serialize) {
        let mut text = serde_json::to_vec(line).unwrap_or_default();
        text.push(b'\n');
        if self.unread_bytes >= UNREAD_BYTES_MAX
            && let Some(newest) = self.unread.pop_back()
        {
            self.unread_bytes -= newest.len();
        }
        self.unread_bytes += text.len();
        self.unread.push_back(text.into());
    }

    async fn flush(&mut self) -> Result<(), ()> {
        let lines = self.take_unread();
        if lines.is_empty() {
            return Ok(());
        }
        self.acks.send_timeout(lines, self.ack_timeout).await.map_err(drop)
    }
}

fn numbered(
    seq: u64,
    durable: Acknowledgement,
) -> futures_util::future::BoxFuture<'static, (u64, Result<Appended, Fault>)> {
    Box::pin(async move { (seq, durable.await) })
}

/// A body's lines, none longer than a request may be.
struct Lines {
    body: BodyDataStream,
    /// What was received and not given up yet.
    buffer: Vec<u8>,
    /// How much of it was given out as lines.
    taken: usize,
    /// Up to where behind that there is no line break.
    scanned: usize,
    line_max: usize,
    ended: bool,
    /// What all bodies together may hold, and the share of a long line in it.
    room: Room,
    held: Share,
}

impl Lines {
    /// Where in the buffer the next line lies, for as long as no other is asked for. Cancel-safe: what was received stays
    /// in the buffer.
    async fn next(&mut self) -> Result<Option<Range<usize>>, Problem> {
        loop {
            if let Some(length) = line_break(&self.buffer[self.scanned..]) {
                let line = self.taken..self.scanned + length;
                (self.taken, self.scanned) = (line.end + 1, line.end + 1);
                if self.buffer.len() - self.taken <= SHORT_LINE {
                    self.held = Share::default();
                }
                return Ok(Some(line));
            }
            self.scanned = self.buffer.len();
            if self.scanned - self.taken > self.line_max {
                let detail = format!("a line has more than {} bytes", self.line_max);
                return Err(Problem::new(ProblemType::TooLarge, detail));
            }
            if self.ended {
                let last = self.taken..self.buffer.len();
                self.taken = self.buffer.len();
                return Ok((!last.is_empty()).then_some(last));
            }
            match self.body.next().await {
                Some(Ok(bytes)) => {
                    // What is left is less than a line.
                    self.buffer.drain(..self.taken);
                    (self.scanned, self.taken) = (self.scanned - self.taken, 0);
                    if self.buffer.capacity() > BUFFER_KEPT && self.buffer.len() <= SHORT_LINE {
                        self.buffer.shrink_to(BUFFER_KEPT);
                    }
                    self.buffer.extend_from_slice(&bytes);
                    if self.buffer.len() > SHORT_LINE {
                        self.room.grow(&mut self.held, self.buffer.len())?;
                    }
                }
                // Cut off: the unfinished line was not meant to be written.
                Some(Err(_)) => {
                    self.buffer.clear();
                    (self.taken, self.scanned, self.ended) = (0, 0, true);
                }
                None => self.ended = true,
            }
        }
    }
}

/// Where the first line ends.
fn line_break(bytes: &[u8]) -> Option<usize> {
    /// Looked through without a branch for each, so that the processor takes many at a time.
    const BLOCK: usize = 64;
    let holds = |block: &[u8]| block.iter().fold(false, |found, byte| found | (*byte == b'\n'));
    let before = bytes.chunks_exact(BLOCK).take_while(|block| !holds(block)).count() * BLOCK;
    bytes[before..].iter().position(|byte| *byte == b'\n').map(|at| before + at)
}

#[cfg(test)]
mod tests {
    use super::line_break;

    #[test]
    fn a_line_ends_at_the_first_break() {
        for length in [0, 1, 63, 64, 65, 200] {
            let mut bytes = vec![b'x'; length];
            assert_eq!(line_break(&bytes), None);
            bytes.extend_from_slice(b"\nxxx\n");
            assert_eq!(line_break(&bytes), Some(length));
        }
    }
}
