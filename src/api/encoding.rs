//! Compressed answers, where `Accept-Encoding: gzip` asks for them.
//!
//! Only what ends and is text: a live stream would be held back by the encoder, and a small answer is not worth it. A
//! compressed answer is another representation, so its entity tag is a weak one; `If-None-Match` takes both.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::Request;
use axum::http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use axum::response::Response;
use http_body::{Frame, SizeHint};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{Predicate, SizeAbove};

use super::headers as names;

/// Answers below this size are sent as they are.
const SMALL_BYTES: u16 = 1024;

/// Wraps routes so that what they answer is compressed for those who ask.
pub fn compress(routes: Router) -> Router {
    let worth_it = |_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions| compresses(headers);
    // Changes repeat their member names: the fastest level finds most of it, and readers share two cores with writers.
    let layer = CompressionLayer::new().quality(CompressionLevel::Fastest);
    routes.layer(layer.compress_when(SizeAbove::new(SMALL_BYTES).and(worth_it)))
}

/// Whether an answer with these headers is finite text that may be changed on its way.
fn compresses(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
    // What proxies must pass on at once is not held back here either: event streams, and acknowledgements of an ingest.
    let at_once = headers.contains_key(names::X_ACCEL_BUFFERING);
    let fixed = text(header::CACHE_CONTROL).contains("no-transform");
    let kind = text(header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_text = kind.starts_with("text/")
        || kind.ends_with("+json")
        || kind.ends_with("+xml")
        || matches!(kind.as_str(), "application/json" | "application/x-ndjson" | "application/javascript");
    is_text && kind != names::EVENT_STREAM && !at_once && !fixed
}

/// What a request says of representations.
pub struct Asked {
    /// It is a `HEAD` whose `GET` may be compressed.
    head: bool,
    known: Option<HeaderValue>,
}

impl Asked {
    pub fn by<B>(request: &Request<B>) -> Self {
        let asks = || names::lists(request.headers(), &header::ACCEPT_ENCODING, "gzip");
        Self {
            head: request.method() == Method::HEAD && asks(),
            known: request.headers().get(header::IF_NONE_MATCH).cloned(),
        }
    }

    /// Keeps headers true where the bytes that are sent are not those that the handler made, and the encoder polite.
    pub fn finish(self, mut response: Response) -> Response {
        let compressed = response.headers().contains_key(header::CONTENT_ENCODING);
        self.tell_apart(&mut response, compressed);
        match compressed {
            true => response.map(|body| Body::new(Polite { body, frames: 0 })),
            false => response,
        }
    }

    fn tell_apart(self, response: &mut Response, compressed: bool) {
        let unchanged = response.status() == StatusCode::NOT_MODIFIED;
        let headers = response.headers_mut();
        // The length of what a GET would compress is only known once it was.
        if self.head && compresses(headers) {
            headers.remove(header::CONTENT_LENGTH);
        }
        let Some(weak) = headers.get(header::ETAG).and_then(weakened) else { return };
        let knows_weak = || self.known.is_some_and(|known| contains(known.as_bytes(), weak.as_bytes()));
        if compressed || (unchanged && knows_weak()) {
            headers.insert(header::ETAG, weak);
        }
    }
}

/// Frames of an encoder, 4 KiB each, that are made before others may run: about a millisecond of work.
const FRAMES_AT_ONCE: u8 = 4;

/// A body that is work to make, and lets others run in between: a socket that takes everything would never make it wait.
struct Polite {
    body: Body,
    frames: u8,
}

impl http_body::Body for Polite {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.frames == FRAMES_AT_ONCE {
            self.frames = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.frames += 1;
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn weakened(tag: &HeaderValue) -> Option<HeaderValue> {
    let tag = tag.to_str().ok().filter(|tag| tag.starts_with('"'))?;
    HeaderValue::try_from(format!("W/{tag}")).ok()
}

fn contains(list: &[u8], tag: &[u8]) -> bool {
    list.windows(tag.len()).any(|part| part == tag)
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use http_body::Body as _;

    use super::*;

    #[test]
    fn an_encoder_lets_others_run_and_loses_nothing() {
        let pieces = (0..40_u8).map(|n| Ok::<_, std::convert::Infallible>(Bytes::from(vec![n])));
        let body = Body::from_stream(futures_util::stream::iter(pieces));
        let mut body = Box::pin(Polite { body, frames: 0 });
        let (mut came, mut breaks) = (Vec::new(), 0);
        loop {
            match body.as_mut().poll_frame(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Some(frame)) => came.extend_from_slice(frame.unwrap().data_ref().unwrap()),
                Poll::Ready(None) => break,
                Poll::Pending => breaks += 1,
            }
        }
        assert_eq!((came, breaks), ((0..40).collect(), 10));
    }
}
