//! Names as parts of a URL: every byte that a path or query could misread is encoded, once.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::ClientError;

/// What RFC 3986 lets stand in a path segment.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// One segment: a subject, a binding's name, an entity's type or key. A slash inside it is encoded.
///
/// `.` and `..` cannot be addressed: URL parsers resolve them, encoded or not, and would call another resource.
pub fn segment(text: &str) -> Result<String, ClientError> {
    if matches!(text, "" | "." | "..") {
        return Err(ClientError::Unsendable(format!("{text:?} cannot be part of a URL")));
    }
    Ok(utf8_percent_encode(text, SEGMENT).to_string())
}

/// A stream's path: its slashes stay.
pub fn path(text: &str) -> Result<String, ClientError> {
    let segments: Result<Vec<_>, _> = text.split('/').map(segment).collect();
    segments.map(|segments| segments.join("/"))
}

/// The path with those parameters that have a value.
pub fn with_query<'a>(path: &str, query: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> String {
    let mut url = path.to_owned();
    let mut mark = '?';
    for (name, value) in query.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        url.push(mark);
        url.push_str(name);
        url.push('=');
        url.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
        mark = '&';
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_url_could_misread_is_encoded() {
        assert_eq!(path("netscript/workers").unwrap(), "netscript/workers");
        assert_eq!(segment("checkout:order-42").unwrap(), "checkout:order-42");
        assert_eq!(segment("a/b?c#d%e f").unwrap(), "a%2Fb%3Fc%23d%25e%20f");
        assert_eq!(segment("ä+&").unwrap(), "%C3%A4%2B%26");
    }

    #[test]
    fn parameters_without_a_value_are_left_out() {
        assert_eq!(with_query("/a", [("x", None), ("y", Some("1 &")), ("z", Some(""))]), "/a?y=1%20%26&z=");
        assert_eq!(with_query("/a", [("x", None)]), "/a");
    }

    #[test]
    fn segments_that_a_parser_would_resolve_are_refused() {
        for text in ["", ".", ".."] {
            assert!(segment(text).is_err(), "{text:?}");
        }
        assert!(path("a//b").is_err() && path("a/../b").is_err() && path("/a").is_err());
    }
}
