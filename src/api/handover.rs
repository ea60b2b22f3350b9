//! Live responses on HTTP/1.1 leave the connection's HTTP machinery once their head is sent: from there on a socket and
//! a cursor are all that they need, and a connection that only waits costs a small task.
//!
//! The machinery is kept busy with a body that never gives anything. Once it has asked that body, and the socket has
//! taken all that was to be sent, nothing of the response is left in it, and it can be put away. What is left over of a
//! connection whose response has ended is a connection like any other.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use axum::http::{Method, Request, Version, header};
use axum::response::Response;
use http_body::Frame;
use hyper::body::{Body as _, Incoming};
use hyper::service::Service;
use parking_lot::Mutex;

use super::front::Front;
use super::headers as names;
use super::live::{Offer, Reader};

/// Where a connection and what it serves meet.
#[derive(Clone, Default)]
pub struct Handover(Arc<State>);

#[derive(Default)]
struct State {
    reader: Mutex<Option<Box<Reader>>>,
    /// The head was written, and more was asked for.
    is_asked: AtomicBool,
    /// The socket has not taken everything.
    is_stuck: AtomicBool,
}

impl Handover {
    /// Said by the socket after each write.
    pub fn set_stuck(&self, stuck: bool) {
        self.0.is_stuck.store(stuck, Ordering::Relaxed);
    }

    /// A reader whose response has left the machinery, once it waits.
    pub fn take(&self) -> Option<Box<Reader>> {
        let is_out = self.0.is_asked.load(Ordering::Relaxed) && !self.0.is_stuck.load(Ordering::Relaxed);
        match is_out {
            true => self.0.reader.lock().take(),
            false => None,
        }
    }
}

/// The service of one HTTP/1 connection, whose live responses can be handed over.
pub struct Door {
    front: Front,
    handover: Handover,
}

impl Door {
    pub fn new(front: Front, handover: Handover) -> Self {
        Self { front, handover }
    }
}

impl Service<Request<Incoming>> for Door {
    type Response = Response;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        // Elsewhere the machinery still has to read a body, to end the connection, or to send it without chunks.
        let may_leave = request.method() == Method::GET
            && request.version() == Version::HTTP_11
            && request.body().is_end_stream()
            && !names::lists(request.headers(), &header::CONNECTION, "close")
            && !request.headers().contains_key(header::UPGRADE);
        Answer { answer: self.front.call(request), handover: may_leave.then(|| self.handover.clone()) }
    }
}

/// An answer, and where its reader goes if it is a live one.
pub struct Answer {
    answer: <Front as Service<Request<Incoming>>>::Future,
    handover: Option<Handover>,
}

impl Future for Answer {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut response = match ready!(Pin::new(&mut self.answer).poll(cx)) {
            Ok(response) => response,
            Err(never) => match never {},
        };
        if let Some(Handover(state)) = self.handover.take()
            && let Some(reader) = response.extensions_mut().remove::<Offer>().and_then(|offer| offer.take())
        {
            *state.reader.lock() = Some(reader);
            *response.body_mut() = Body::new(Silent(state));
        }
        Poll::Ready(Ok(response))
    }
}

/// The body that the machinery is left with.
struct Silent(Arc<State>);

impl http_body::Body for Silent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.is_asked.store(true, Ordering::Relaxed);
        Poll::Pending
    }
}
