//! Compressed answers, where `Accept-Encoding: gzip` asks for them.
//!
//! Only what ends and is text: a live stream would be held back by the encoder, and a small answer is not worth it. A
//! compressed answer is another representation, so its entity tag is a weak one; `If-None-Match` takes both.

use axum::Router;
use axum::extract::Request;
use axum::http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use axum::response::Response;
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
    pub fn by(request: &Request) -> Self {
        let asks = || names::lists(request.headers(), &header::ACCEPT_ENCODING, "gzip");
        Self {
            head: request.method() == Method::HEAD && asks(),
            known: request.headers().get(header::IF_NONE_MATCH).cloned(),
        }
    }

    /// Keeps headers true where the bytes that are sent are not those that the handler made.
    pub fn tell_apart(self, response: &mut Response) {
        let unchanged = response.status() == StatusCode::NOT_MODIFIED;
        let headers = response.headers_mut();
        // The length of what a GET would compress is only known once it was.
        if self.head && compresses(headers) {
            headers.remove(header::CONTENT_LENGTH);
        }
        let Some(weak) = headers.get(header::ETAG).and_then(weakened) else { return };
        let knows_weak = || self.known.is_some_and(|known| contains(known.as_bytes(), weak.as_bytes()));
        if headers.contains_key(header::CONTENT_ENCODING) || (unchanged && knows_weak()) {
            headers.insert(header::ETAG, weak);
        }
    }
}

fn weakened(tag: &HeaderValue) -> Option<HeaderValue> {
    let tag = tag.to_str().ok().filter(|tag| tag.starts_with('"'))?;
    HeaderValue::try_from(format!("W/{tag}")).ok()
}

fn contains(list: &[u8], tag: &[u8]) -> bool {
    list.windows(tag.len()).any(|part| part == tag)
}
