//! Bodies that are made as they are sent: a state, and a step that gives the next bytes.
//!
//! A step runs only when the connection takes more, so a slow reader holds one step's bytes and no queue.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::room::SMALL_BYTES;
use axum::body::{Body, Bytes};
use futures_util::stream;
use http_body::{Frame, SizeHint};

/// What a step gives: bytes to send and the state to go on from, or the end.
pub type Next<S> = Option<(Bytes, S)>;

/// The body cannot go on. The connection is broken off, so that what was sent is not taken for the whole.
#[derive(Debug, thiserror::Error)]
#[error("the response was cut short")]
pub struct CutShort;

/// A body that ends when `step` gives `None`.
pub fn stepwise<S, F, R>(state: S, step: F) -> Body
where
    S: Send + 'static,
    F: Fn(S) -> R + Clone + Send + 'static,
    R: Future<Output = Result<Next<S>, CutShort>> + Send + 'static,
{
    Body::from_stream(stream::try_unfold(state, move |state| {
        let step = step.clone();
        async move { step(state).await }
    }))
}

/// A body that is handed over in slices, where the whole of it would stay with whoever takes it.
///
/// The page and its share of the room go with the last slice. Each is a copy: a part of the page itself would keep all
/// of it.
pub fn sliced(body: Body) -> Body {
    Body::new(Sliced { body, rest: Bytes::new() })
}

/// Size of a slice: as large as a page may be without a share.
const SLICE_BYTES: usize = SMALL_BYTES;

struct Sliced {
    body: Body,
    /// What is left of the last piece of the body.
    rest: Bytes,
}

impl http_body::Body for Sliced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)).transpose()?.map(Frame::into_data) {
                Some(Ok(piece)) => self.rest = piece,
                Some(Err(trailers)) => return Poll::Ready(Some(Ok(trailers))),
                None => return Poll::Ready(None),
            }
        }
        let end = self.rest.len().min(SLICE_BYTES);
        let slice = Bytes::copy_from_slice(&self.rest[..end]);
        self.rest = if end == self.rest.len() { Bytes::new() } else { self.rest.slice(end..) };
        Poll::Ready(Some(Ok(Frame::data(slice))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

/// A breath between two tries of a live reader.
pub const BETWEEN_TRIES: Duration = Duration::from_millis(200);
