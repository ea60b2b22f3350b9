//! What is known of `format`: which ones are asserted, texts that have them, and what all such texts look like.
//!
//! Whether a text has a format is always asked of the validator. The samples are texts to try; the shapes are wider than
//! the formats, so that what has no such shape is proven to have no such format.

use super::node::Dialect;

/// Whether the validator refuses anything for this format under this draft.
pub(super) fn is_asserted(format: &str, dialect: Dialect) -> bool {
    use Dialect::{Draft4, Draft6, Draft7};
    match format {
        "date" | "date-time" | "email" | "hostname" | "ipv4" | "ipv6" | "regex" | "time" | "uri" => true,
        "json-pointer" | "uri-reference" | "uri-template" => dialect != Draft4,
        "iri" | "iri-reference" | "relative-json-pointer" => !matches!(dialect, Draft4 | Draft6),
        "duration" | "uuid" => !matches!(dialect, Draft4 | Draft6 | Draft7),
        _ => false,
    }
}

/// The draft that stands for all drafts with the same meaning of a format.
pub(super) fn judged_as(format: Option<&str>, dialect: Dialect) -> Dialect {
    match (format, dialect) {
        (Some("hostname"), Dialect::Draft4 | Dialect::Draft6) => Dialect::Draft4,
        _ => Dialect::Draft202012,
    }
}

/// Texts worth trying where a format is asked for.
pub(super) fn samples(format: &str) -> &'static [&'static str] {
    match format {
        "date" => &["2024-02-29", "1999-12-31"],
        "date-time" => &["2024-02-29T12:00:00Z", "1999-12-31T23:59:59.123+01:00", "2024-01-01T00:00:00.000000Z"],
        "time" => &["12:00:00Z", "23:59:59.5+01:00"],
        "duration" => &["P1D", "PT1H", "P1Y2M3DT4H5M6S"],
        "email" => &["a@b.co", "somebody@example.com", "first.last+tag@sub.example.org"],
        "hostname" => &["a", "example.com", "a-long-label.sub.example.org"],
        "ipv4" => &["1.2.3.4", "192.168.100.200", "127.0.0.1"],
        "ipv6" => &["::", "::1", "2001:db8:85a3:1:2:8a2e:370:7334"],
        "uri" | "iri" => {
            &["a:b", "http://example.com", "https://example.com/a/b?c=d#e", "urn:example:a", "ftp://a.b/c"]
        }
        "uri-reference" | "iri-reference" => &["", "a", "/a/b", "//example.com/a", "#a", "https://example.com/a"],
        "uri-template" => &["", "a", "/a/{b}", "http://example.com/{id}"],
        "json-pointer" => &["", "/a", "/a/0/b~1c"],
        "relative-json-pointer" => &["0", "1/a", "0#"],
        "regex" => &["", "a", "^[a-z]+$"],
        "uuid" => &["2eb8aa08-aa98-11ea-b4aa-73b441d16380", "00000000-0000-0000-0000-000000000000"],
        _ => &[],
    }
}

/// A pattern that every text of the format matches.
pub(super) fn shape(format: &str) -> Option<&'static str> {
    Some(match format {
        "date" => "^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
        "date-time" => "^[0-9]{4}-[0-9]{2}-[0-9]{2}[^0-9][0-9:.]+([Zz]|[+-][0-9:]+)$",
        "time" => "^[0-9:.]+([Zz]|[+-][0-9:]+)$",
        "ipv4" => "^[0-9]{1,3}[.][0-9]{1,3}[.][0-9]{1,3}[.][0-9]{1,3}$",
        "ipv6" => "^[0-9a-fA-F:.]{2,45}$",
        "uuid" => "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$",
        "duration" => "^P[0-9]*[YMDWT]",
        "email" => "@",
        "uri" | "iri" => "^[A-Za-z][A-Za-z0-9+.-]*:",
        _ => return None,
    })
}

/// Formats whose texts all have another format as well.
pub(super) fn implies(format: &str, other: &str) -> bool {
    matches!(
        (format, other),
        ("uri", "uri-reference" | "iri" | "iri-reference") | ("iri" | "uri-reference", "iri-reference")
    )
}
