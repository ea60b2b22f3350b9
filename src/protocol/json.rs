//! Reading JSON that came from a client: split into messages without copying, checked once, strictly where it is typed.
//!
//! Nesting is bounded here because the parser's own bound is switched off (it counts differently and stops at 127).

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

use crate::model::scan::{Scan, Strictness};

/// Why a body is not acceptable JSON. Nothing was written; the same call cannot succeed. Wire: 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonFault {
    #[error("the body is not UTF-8")]
    NotUtf8,
    #[error("not valid JSON: {0}")]
    Syntax(String),
    #[error("the array is empty; send at least one message")]
    EmptyArray,
    /// Wire: 413. Succeeds as several requests.
    #[error("the body has more than {max} messages; send fewer at once")]
    TooManyMessages { max: usize },
    /// Which message, by its index in the body.
    #[error("message {index}: {reason}")]
    Message { index: usize, reason: String },
}

/// The messages of a body: an array's elements (one level, PROTOCOL.md §9.1.2), or the one value it is.
pub fn messages(body: &[u8], messages_max: usize) -> Result<Vec<&str>, JsonFault> {
    let text = std::str::from_utf8(body).map_err(|_| JsonFault::NotUtf8)?;
    if let Some(messages) = plain_messages(text, messages_max, usize::MAX) {
        return Ok(messages);
    }
    let syntax = |fault: serde_json::Error| JsonFault::Syntax(fault.to_string());
    if !text.trim_ascii_start().starts_with('[') {
        let message: &RawValue = serde_json::from_str(text).map_err(syntax)?;
        return Ok(vec![message.get()]);
    }
    let mut parser = serde_json::Deserializer::from_str(text);
    let messages = parser.deserialize_seq(Split { messages_max }).map_err(syntax)?;
    parser.end().map_err(syntax)?;
    messages.ok_or(JsonFault::TooManyMessages { max: messages_max })
}

/// The messages of a body that is plainly sound and within its bounds; what is not is left to [`messages`].
fn plain_messages(text: &str, messages_max: usize, depth_max: usize) -> Option<Vec<&str>> {
    // Most bodies hold one message, or many of about the same size.
    let (mut elements, mut names, mut found) = (Elements::of(text), Vec::new(), Vec::new());
    while let Some(message) = elements.next(|scan| {
        scan.peek()?;
        let from = scan.at();
        scan.skip(depth_max, Strictness::Loose, &mut names)?;
        Some(scan.since(from))
    })? {
        if found.len() == messages_max {
            return None;
        }
        found.push(message);
    }
    Some(found)
}

/// Goes over the messages of a body once, each read by whoever knows what it is.
#[derive(Debug)]
pub struct Elements<'a> {
    scan: Scan<'a>,
    place: Place,
}

/// Where in a body the next message is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Begin,
    /// In the array, with a message to come.
    Before,
    End,
}

impl<'a> Elements<'a> {
    pub fn of(text: &'a str) -> Self {
        Self { scan: Scan::new(text), place: Place::Begin }
    }

    /// The next message as `read` takes it, `Some(None)` behind the last; `None` where the body is not plainly sound, or
    /// `read` says so of the message.
    pub fn next<T>(&mut self, read: impl FnOnce(&mut Scan<'a>) -> Option<T>) -> Option<Option<T>> {
        if self.place == Place::Begin {
            if self.scan.peek()? != b'[' {
                let message = read(&mut self.scan)?;
                self.place = Place::End;
                return Some(Some(message));
            }
            self.scan.eat(b'[')?;
            self.place = Place::Before;
            if self.scan.peek()? == b']' {
                self.scan.eat(b']')?;
                self.place = Place::End;
            }
        }
        if self.place == Place::End {
            return self.scan.peek().is_none().then_some(None);
        }
        let message = read(&mut self.scan)?;
        self.place = if self.scan.goes_on(b']')? { Place::Before } else { Place::End };
        Some(Some(message))
    }
}

/// The elements of an array; `None` where there are more than may be.
struct Split {
    messages_max: usize,
}

impl<'de> Visitor<'de> for Split {
    type Value = Option<Vec<&'de str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut messages = Vec::new();
        while let Some(message) = elements.next_element::<&RawValue>()? {
            if messages.len() == self.messages_max {
                while elements.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(None);
            }
            messages.push(message.get());
        }
        Ok(Some(messages))
    }
}

/// As [`messages`], of which none is nested deeper than `depth_max`.
pub fn messages_within(body: &[u8], messages_max: usize, depth_max: usize) -> Result<Vec<&str>, JsonFault> {
    if let Ok(text) = std::str::from_utf8(body)
        && let Some(messages) = plain_messages(text, messages_max, depth_max)
    {
        return Ok(messages);
    }
    let messages = messages(body, messages_max)?;
    for (index, message) in messages.iter().enumerate() {
        check_depth(message, depth_max).map_err(|e| JsonFault::Message { index, reason: e.to_string() })?;
    }
    Ok(messages)
}

/// Checks that a message that [`messages`] gave, well-formed therefore, is not nested deeper than `depth_max`.
pub fn check_depth(message: &str, depth_max: usize) -> Result<(), serde_json::Error> {
    match is_shallow(message, depth_max) {
        true => Ok(()),
        false => strict_value(message, depth_max, Duplicates::Keep).map(drop),
    }
}

/// Most messages are shallow: the exact depth is only taken where the brackets could exceed the bound.
fn is_shallow(message: &str, depth_max: usize) -> bool {
    // Counted to the end, without a bound: the loop then takes many bytes at a time.
    message.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count() <= depth_max
}

/// The first number of a sound text that is not kept exactly when it is read into a [`Value`]: an integer beyond 64 bits,
/// or a fraction that the parser rounds to another double than the nearest.
pub fn inexact_number(text: &str) -> Option<&str> {
    let (bytes, mut at) = (text.as_bytes(), 0);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                at += 1;
                while at < bytes.len() && bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
            }
            b'-' | b'0'..=b'9' => {
                let rest = &text[at..];
                let end = rest.find(|c: char| !matches!(c, '-' | '+' | '.' | 'e' | 'E' | '0'..='9'));
                let number = &rest[..end.unwrap_or(rest.len())];
                if !is_exact(number) {
                    return Some(number);
                }
                at += number.len();
            }
            _ => at += 1,
        }
    }
    None
}

fn is_exact(number: &str) -> bool {
    if !number.contains(['.', 'e', 'E']) {
        return number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok();
    }
    let read = serde_json::from_str::<f64>(number).ok();
    read.zip(number.parse::<f64>().ok()).is_some_and(|(read, nearest)| read.to_bits() == nearest.to_bits())
}

/// What happens when an object names a member twice.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Duplicates {
    /// Refused: readers would disagree about which one counts.
    Refuse,
    /// The last one counts.
    Keep,
}

/// Parses one value; lone surrogates are refused, nesting beyond `depth_max` too.
pub fn strict_value(text: &str, depth_max: usize, duplicates: Duplicates) -> Result<Value, serde_json::Error> {
    let mut parser = serde_json::Deserializer::from_str(text);
    parser.disable_recursion_limit();
    let value = Strict { depth: depth_max, duplicates }.deserialize(&mut parser)?;
    parser.end()?;
    Ok(value)
}

#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
    duplicates: Duplicates,
}

impl Strict {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Self { depth, ..self }),
            None => Err(E::custom("nested too deeply")),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<Cow<'_, str>>()? {
            let value = members.next_value_seed(inner)?;
            let name = name.into_owned();
            if self.duplicates == Duplicates::Refuse && object.contains_key(&name) {
                return Err(A::Error::custom(format_args!("member {name:?} stands twice in one object")));
            }
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nested(depth: usize) -> String {
        "[".repeat(depth) + &"]".repeat(depth)
    }

    #[test]
    fn numbers_that_would_be_rounded_are_found() {
        for exact in [
            "1",
            "-9223372036854775808",
            "18446744073709551615",
            "1.5e3",
            r#"{"12345678901234567890123":["\"12345678901234567890123"]}"#,
        ] {
            assert_eq!(inexact_number(exact), None, "{exact}");
        }
        for (text, number) in [
            ("[1,18446744073709551616]", "18446744073709551616"),
            (r#"{"a":"\\","b":-9223372036854775809}"#, "-9223372036854775809"),
        ] {
            assert_eq!(inexact_number(text), Some(number), "{text}");
        }
    }

    #[test]
    fn bodies_split_one_level_deep() {
        assert_eq!(messages(b" {\"a\": 1} ", 9).unwrap(), ["{\"a\": 1}"]);
        assert_eq!(messages(b"[[1,2], 3 ,{}]", 3).unwrap(), ["[1,2]", "3", "{}"]);
        assert_eq!(messages(b"[]", 9).unwrap(), [""; 0]);
        assert_eq!(messages(b"[1,2,3]", 2), Err(JsonFault::TooManyMessages { max: 2 }));
        for broken in [&b"{"[..], b"[1,]", b"1 2", b"", b"\xff", b"[1] x"] {
            assert!(messages(broken, 9).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn nesting_is_accepted_to_the_bound_and_not_beyond() {
        for duplicates in [Duplicates::Keep, Duplicates::Refuse] {
            assert!(strict_value(&nested(128), 128, duplicates).is_ok());
            assert!(strict_value(&nested(129), 128, duplicates).is_err());
        }
        assert!(check_depth(&nested(128), 128).is_ok());
        assert!(check_depth(&nested(129), 128).is_err());
        assert!(check_depth(&nested(200_000), 128).is_err());
        assert!(check_depth(&format!("[{}]", vec!["[]"; 500].join(",")), 128).is_ok());
    }

    #[test]
    fn ambiguous_values_are_refused() {
        for text in ["{\"a\":1,\"a\":2}", "{\"a\":1,\"\\u0061\":2}", "\"\\ud800\"", "1e999", "01", "nul"] {
            assert!(strict_value(text, 128, Duplicates::Refuse).is_err(), "{text}");
        }
        assert_eq!(strict_value("{\"a\":1,\"a\":2}", 8, Duplicates::Keep).unwrap()["a"], 2);
    }

    #[test]
    fn plain_bodies_are_split_as_the_parser_splits_them() {
        let parsed = |text: &'static str| -> Vec<&str> {
            let raw: Vec<&RawValue> = serde_json::from_str(text).unwrap();
            raw.into_iter().map(RawValue::get).collect()
        };
        for text in ["[]", " [ ] ", "[1]", "[ {\"a\" : [1, 2]} , \"],[\" ,null]\n", "[[],[[]],{}]"] {
            assert_eq!(plain_messages(text, 9, 9).unwrap(), parsed(text), "{text}");
        }
        assert_eq!(plain_messages(" {\"a\": 1} ", 9, 9).unwrap(), ["{\"a\": 1}"]);
        for text in ["", "[", "[1,]", "[1] 2", "[1,2,3]", "[[[[]]]]", "1 2", "[\"\\ud800\"]", "]"] {
            assert_eq!(plain_messages(text, 2, 2), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bodies_never_panic(body: Vec<u8>) {
            if let Ok(messages) = messages(&body, 100) {
                for message in messages {
                    let _ = strict_value(message, 128, Duplicates::Refuse);
                }
            }
        }
    }
}
