//! Names of headers, and the one place that spells their values. Source: PROTOCOL.md §5 and §13.2.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::model::{ContentType, Offset, Producer, ProducerEpoch, ProducerId, ProducerSeq, Timestamp};
use crate::stream::Lifetime;

use super::problem::{Problem, ProblemType};

macro_rules! names {
    ($($name:ident = $text:literal;)*) => {
        $(pub const $name: HeaderName = HeaderName::from_static($text);)*
    };
}

names! {
    STREAM_NEXT_OFFSET = "stream-next-offset";
    STREAM_UP_TO_DATE = "stream-up-to-date";
    STREAM_CLOSED = "stream-closed";
    STREAM_CURSOR = "stream-cursor";
    STREAM_TTL = "stream-ttl";
    STREAM_EXPIRES_AT = "stream-expires-at";
    STREAM_SEQ = "stream-seq";
    STREAM_SCHEMA = "stream-schema";
    STREAM_FORKED_FROM = "stream-forked-from";
    STREAM_FORK_OFFSET = "stream-fork-offset";
    STREAM_FORK_SUB_OFFSET = "stream-fork-sub-offset";
    STREAM_SSE_DATA_ENCODING = "stream-sse-data-encoding";
    PRODUCER_ID = "producer-id";
    PRODUCER_EPOCH = "producer-epoch";
    PRODUCER_SEQ = "producer-seq";
    PRODUCER_EXPECTED_SEQ = "producer-expected-seq";
    PRODUCER_RECEIVED_SEQ = "producer-received-seq";
    DEPRECATION = "deprecation";
    SUNSET = "sunset";
    LAST_EVENT_ID = "last-event-id";
    X_ACCEL_BUFFERING = "x-accel-buffering";
    CROSS_ORIGIN_RESOURCE_POLICY = "cross-origin-resource-policy";
}

/// The media type of everything that an EventSource can read.
pub const EVENT_STREAM: &str = "text/event-stream";

pub const TRUE: HeaderValue = HeaderValue::from_static("true");

/// A header value of text that the server made, or that was checked to be visible ASCII.
pub fn value(text: impl ToString) -> HeaderValue {
    HeaderValue::try_from(text.to_string()).unwrap_or_else(|_| HeaderValue::from_static("?"))
}

pub fn etag(text: impl std::fmt::Display) -> HeaderValue {
    value(format!("\"{text}\""))
}

pub fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Problem> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    value.to_str().map(Some).map_err(|_| malformed(name, "it is not visible ASCII"))
}

pub fn malformed(name: &HeaderName, reason: &str) -> Problem {
    Problem::new(ProblemType::MalformedHeader, format!("header {name}: {reason}"))
}

/// Only exactly `true`, in any case, counts. Source: PROTOCOL.md §4.1.
pub fn closes(headers: &HeaderMap) -> bool {
    headers.get(STREAM_CLOSED).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
}

pub fn content_type(headers: &HeaderMap) -> Result<Option<ContentType>, Problem> {
    let Some(given) = text(headers, &header::CONTENT_TYPE)? else { return Ok(None) };
    if given.trim().is_empty() {
        return Ok(None);
    }
    ContentType::parse(given).map(Some).ok_or_else(|| malformed(&header::CONTENT_TYPE, "it is not a media type"))
}

/// All three headers or none. Source: PROTOCOL.md §5.2.1.
pub fn producer(headers: &HeaderMap) -> Result<Option<Producer>, Problem> {
    let given = [PRODUCER_ID, PRODUCER_EPOCH, PRODUCER_SEQ].map(|name| headers.contains_key(name));
    match given {
        [false, false, false] => Ok(None),
        [true, true, true] => Ok(Some(Producer {
            id: producer_id(headers)?,
            epoch: integer(headers, &PRODUCER_EPOCH, ProducerEpoch::parse)?,
            seq: integer(headers, &PRODUCER_SEQ, ProducerSeq::parse)?,
        })),
        _ => Err(Problem::new(
            ProblemType::MalformedHeader,
            "Producer-Id, Producer-Epoch and Producer-Seq come together or not at all",
        )),
    }
}

pub fn producer_id(headers: &HeaderMap) -> Result<ProducerId, Problem> {
    let given = text(headers, &PRODUCER_ID)?.unwrap_or_default();
    ProducerId::parse(given).ok_or_else(|| malformed(&PRODUCER_ID, "it has 1 to 1,024 characters"))
}

pub fn integer<T>(headers: &HeaderMap, name: &HeaderName, parse: impl Fn(&str) -> Option<T>) -> Result<T, Problem> {
    let given = text(headers, name)?.unwrap_or_default();
    parse(given).ok_or_else(|| malformed(name, "it is a whole number from 0 to 2^53 - 1"))
}

/// Source: PROTOCOL.md §5.1. Both headers at once are refused.
pub fn lifetime(headers: &HeaderMap) -> Result<Lifetime, Problem> {
    match (text(headers, &STREAM_TTL)?, text(headers, &STREAM_EXPIRES_AT)?) {
        (None, None) => Ok(Lifetime::Unlimited),
        (Some(_), Some(_)) => Err(Problem::new(
            ProblemType::MalformedHeader,
            "Stream-TTL and Stream-Expires-At exclude each other; send one of them",
        )),
        (Some(ttl), None) => {
            let plain = ttl == "0" || (!ttl.starts_with('0') && ttl.bytes().all(|b| b.is_ascii_digit()));
            let seconds: Option<u64> = plain.then(|| ttl.parse().ok()).flatten();
            // Kept well below where milliseconds would overflow.
            let seconds = seconds.filter(|seconds| *seconds <= u64::from(u32::MAX));
            seconds.map(|seconds| Lifetime::Idle(std::time::Duration::from_secs(seconds))).ok_or_else(|| {
                malformed(&STREAM_TTL, "it is a whole number of seconds without sign or leading zeros")
            })
        }
        (None, Some(moment)) => moment
            .parse::<Timestamp>()
            .map(Lifetime::Until)
            .map_err(|fault| malformed(&STREAM_EXPIRES_AT, &fault.to_string())),
    }
}

pub fn write_lifetime(headers: &mut HeaderMap, lifetime: Lifetime) {
    match lifetime {
        Lifetime::Unlimited => {}
        Lifetime::Idle(window) => drop(headers.insert(STREAM_TTL, value(window.as_secs()))),
        Lifetime::Until(moment) => drop(headers.insert(STREAM_EXPIRES_AT, value(moment))),
    }
}

pub fn write_next_offset(headers: &mut HeaderMap, offset: Offset) {
    headers.insert(STREAM_NEXT_OFFSET, value(offset));
}

/// Whether `Accept` names this media type itself. A range such as `*/*`, which everybody sends, does not.
pub fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    lists(headers, &header::ACCEPT, media_type)
}

/// Whether a header that lists what is acceptable names `wanted`, and not to refuse it. Source: RFC 9110 §12.4.2.
pub fn lists(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    let listed = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    listed.flat_map(|list| list.split(',')).any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let named = parts.next().is_some_and(|item| item.eq_ignore_ascii_case(wanted));
        let mut refused = parts.filter_map(|part| part.strip_prefix("q=")).map(|weight| weight.parse() == Ok(0.0));
        named && !refused.any(|refused| refused)
    })
}

/// Whether `If-None-Match` names this entity tag.
pub fn none_match(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let strong = |text: &str| text.trim().trim_start_matches("W/").as_bytes() == tag.as_bytes() || text.trim() == "*";
    headers.get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok()).is_some_and(|list| list.split(',').any(strong))
}
