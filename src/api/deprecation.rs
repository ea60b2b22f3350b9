//! Tells those who use a stream, or look at a version, that its schema is to be left. Sources: RFC 9745, RFC 8594.

use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;

use crate::engine::Engine;
use crate::model::{StreamName, Timestamp};

use super::headers as names;

/// Marks the answer to a request about a stream, where its schema version is deprecated.
pub fn of_stream(engine: &Engine, name: &StreamName, response: &mut Response) {
    if let Some((since, sunset)) = engine.deprecation(name) {
        mark(response.headers_mut(), since, sunset);
    }
}

pub fn mark(headers: &mut HeaderMap, since: Timestamp, sunset: Option<Timestamp>) {
    headers.insert(names::DEPRECATION, names::value(format_args!("@{}", since.as_millis() / 1_000)));
    if let Some(date) = sunset.and_then(http_date) {
        headers.insert(names::SUNSET, date);
    }
}

/// Source: RFC 9110 §5.6.7. `None` of a moment that cannot be written so.
fn http_date(moment: Timestamp) -> Option<HeaderValue> {
    let moment = jiff::Timestamp::from_millisecond(i64::try_from(moment.as_millis()).ok()?).ok()?;
    let text = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&moment).ok()?;
    HeaderValue::try_from(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_the_headers_want_them() {
        let mut headers = HeaderMap::new();
        mark(&mut headers, Timestamp::from_millis(1_688_169_599_900), Some(Timestamp::from_millis(784_111_777_000)));
        assert_eq!(headers["deprecation"], "@1688169599");
        assert_eq!(headers["sunset"], "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
