//! One text for equal JSON, and its fingerprint.
//!
//! Follows RFC 8785: members sorted by UTF-16 code units, no white space, shortest number text. One difference:
//! integers keep all their digits where a double would lose some, because `serde_json` holds them exactly and two
//! different documents must not share a fingerprint.

use std::fmt::{self, Write};

use serde_json::{Number, Value};
use sha2::{Digest, Sha256};

/// SHA-256 of a canonical text. Text: 64 lowercase hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub fn of(canonical: &str) -> Self {
        Self(Sha256::digest(canonical.as_bytes()).into())
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The canonical text of a value. Recurses as deep as the value nests; the caller bounds that.
pub fn canonical_json(value: &Value) -> String {
    let mut text = String::new();
    write_value(&mut text, value);
    text
}

fn write_value(text: &mut String, value: &Value) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(true) => text.push_str("true"),
        Value::Bool(false) => text.push_str("false"),
        Value::Number(number) => write_number(text, number),
        Value::String(string) => write_string(text, string),
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_value(text, item);
            }
            text.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            text.push('{');
            for (index, (name, member)) in members.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_string(text, name);
                text.push(':');
                write_value(text, member);
            }
            text.push('}');
        }
    }
}

fn write_string(text: &mut String, string: &str) {
    text.push('"');
    for c in string.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\u{8}' => text.push_str("\\b"),
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\u{c}' => text.push_str("\\f"),
            '\r' => text.push_str("\\r"),
            c if c < ' ' => push(text, format_args!("\\u{:04x}", u32::from(c))),
            c => text.push(c),
        }
    }
    text.push('"');
}

/// Below this an integral double is written out; from here on with an exponent, as ECMAScript does.
const PLAIN_BELOW: f64 = 1e21;

fn write_number(text: &mut String, number: &Number) {
    let double = match (number.as_i64(), number.as_u64(), number.as_f64()) {
        (Some(integer), _, _) => return push(text, format_args!("{integer}")),
        (_, Some(integer), _) => return push(text, format_args!("{integer}")),
        (_, _, Some(double)) => double,
        // Only with arbitrary precision, which is not compiled in; its text is then as good as any.
        _ => return push(text, format_args!("{number}")),
    };
    let size = double.abs();
    if double.fract() == 0.0 && size < PLAIN_BELOW {
        // Below 10^21 the conversion is exact; it also turns -0.0 into 0.
        push(text, format_args!("{}", double as i128));
    } else if (1e-6..PLAIN_BELOW).contains(&size) {
        push(text, format_args!("{double}"));
    } else {
        let scientific = format!("{double:e}");
        match scientific.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => {
                push(text, format_args!("{digits}e+{exponent}"))
            }
            _ => text.push_str(&scientific),
        }
    }
}

fn push(text: &mut String, arguments: fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("writing to a String does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::testing::any_json;
    use proptest::prelude::*;

    fn check(given: &str, expected: &str) {
        let value: Value = serde_json::from_str(given).unwrap();
        assert_eq!(canonical_json(&value), expected, "{given}");
    }

    #[test]
    fn members_sort_by_utf_16_and_numbers_are_shortest() {
        check(r#"{ "b": [1, 2 ], "a": {"z":null,"y":true} }"#, r#"{"a":{"y":true,"z":null},"b":[1,2]}"#);
        // U+1F600 is the surrogate pair D83D DE00 and so sorts before U+FB33.
        check("{\"\u{fb33}\":1,\"\u{1f600}\":2}", "{\"\u{1f600}\":2,\"\u{fb33}\":1}");
        check(r#""\u20ac$\u000f\nA'B\"\\\"\/""#, "\"€$\\u000f\\nA'B\\\"\\\\\\\"/\"");
        for (given, expected) in [
            ("1.0", "1"),
            ("-0.0", "0"),
            ("1e2", "100"),
            ("333333333.33333329", "333333333.3333333"),
            ("1e30", "1e+30"),
            ("4.50", "4.5"),
            ("2e-3", "0.002"),
            ("0.000001", "0.000001"),
            ("0.0000001", "1e-7"),
            ("-1.5e-9", "-1.5e-9"),
            ("1e20", "100000000000000000000"),
            ("1e21", "1e+21"),
            ("9007199254740993", "9007199254740993"),
            ("18446744073709551615", "18446744073709551615"),
        ] {
            check(given, expected);
        }
    }

    #[test]
    fn a_fingerprint_is_sha_256_in_lowercase_hex() {
        let expected = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        assert_eq!(Fingerprint::of("{}").to_string(), expected);
    }

    proptest! {
        #[test]
        fn white_space_and_member_order_do_not_matter(value in any_json()) {
            let mut text = String::new();
            write_backwards(&mut text, &value);
            let again: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(canonical_json(&again), canonical_json(&value));
        }

        #[test]
        fn canonical_text_means_the_same_and_is_its_own_canonical_text(value in any_json()) {
            let text = canonical_json(&value);
            let again: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(canonical_json(&again), text);
        }
    }

    /// The same value, spaced out, members last first, integers with a fraction where a double holds them.
    fn write_backwards(text: &mut String, value: &Value) {
        match value {
            Value::Array(items) => {
                text.push_str("[ ");
                for (index, item) in items.iter().enumerate() {
                    text.push_str(if index > 0 { "\n, " } else { "" });
                    write_backwards(text, item);
                }
                text.push(']');
            }
            Value::Object(members) => {
                text.push_str("{ ");
                for (index, (name, member)) in members.iter().rev().enumerate() {
                    text.push_str(if index > 0 { " ,\t" } else { "" });
                    text.push_str(&format!("{} : ", Value::from(name.as_str())));
                    write_backwards(text, member);
                }
                text.push('}');
            }
            Value::Number(n) if n.as_i64().is_some_and(|n| n.unsigned_abs() < 1 << 53) => {
                text.push_str(&format!("{n}.0"))
            }
            other => text.push_str(&other.to_string()),
        }
    }
}
