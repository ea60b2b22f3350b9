//! HTTP/2, where many responses share one connection: what a response that is not read may hold, and for how long.
//!
//! On HTTP/1 a reader that takes nothing stops the socket, whose write then times out. Here it stops its own stream only,
//! and the connection goes on. So a page is handed over in slices, and stays with the response until the last one; and
//! a response whose next slice nobody came for is ended with a reset, which frees what it holds.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Version;
use axum::response::Response;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;

use super::body;

tokio::task_local! {
    /// Of the response that the task sends.
    static HANDED: Arc<Handed>;
}

/// What a response has handed to its connection, slice by slice.
#[derive(Default)]
struct Handed {
    slices: AtomicU64,
    /// The connection has not come back for more since the last one.
    waits: AtomicBool,
}

/// Sends a response to its end, unless its reader takes nothing for `timeout`; then what is left of it is dropped.
pub async fn unless_stuck<F: Future>(timeout: Duration, response: F) {
    let handed = Arc::new(Handed::default());
    let response = HANDED.scope(handed.clone(), response);
    let sleep = tokio::time::sleep(timeout);
    tokio::pin!(response, sleep);
    let mut since = None;
    poll_fn(|cx| {
        if response.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if !handed.waits.load(Ordering::Relaxed) {
            since = None;
            return Poll::Pending;
        }
        let slices = handed.slices.load(Ordering::Relaxed);
        if since.replace(slices) != Some(slices) {
            sleep.as_mut().reset(Instant::now() + timeout);
        }
        sleep.as_mut().poll(cx)
    })
    .await;
}

/// Slices the bodies of HTTP/2, and notes what is taken of them.
pub fn share(version: Version, response: Response) -> Response {
    match version {
        Version::HTTP_2 => response.map(|body| Body::new(Tracked(body::sliced(body)))),
        _ => response,
    }
}

struct Tracked(Body);

impl http_body::Body for Tracked {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let _ = HANDED.try_with(|handed| handed.waits.store(false, Ordering::Relaxed));
        let frame = Pin::new(&mut self.0).poll_frame(cx);
        if frame.is_ready() {
            let _ = HANDED.try_with(|handed| {
                handed.slices.fetch_add(1, Ordering::Relaxed);
                handed.waits.store(true, Ordering::Relaxed);
            });
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
