//! What is written: messages of one shape, each with its key, its number and the moment at which it was made.
//!
//! It decides how a message is put together, as fast as bytes can be copied: the shape is cut once into parts that stay
//! and parts that change. Its invariant: every message carries `"at_us"` and a number as text, the microseconds from the run's
//! beginning to when it was due, so that a reader can tell how old it is.

use serde_json::Value;

use super::values::{KEY_MARK, Made};

/// What stands before the moment in every message.
pub const MOMENT: &[u8] = b"\"at_us\":\"";

/// Messages that are alike but for what changes.
#[derive(Clone, Debug)]
pub struct Shape {
    parts: Vec<Part>,
    keys: KeyStyle,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(Box<[u8]>),
    Key,
    Number,
    Moment,
}

/// How the n-th key is written; all have one length, unless numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyStyle {
    /// `k` and 15 digits.
    Text,
    /// A UUID that counts.
    Uuid,
    /// The number itself.
    Integer,
}

const NUMBER_MARK: &str = "@keyfold-bench-number@";
const MOMENT_MARK: &str = "@keyfold-bench-moment@";

impl Shape {
    /// A JSON object of `bytes` bytes, or as few as it takes.
    pub fn untyped(bytes: usize) -> Self {
        let shape = |padding: usize| {
            let object = format!(
                r#"{{"key":"{KEY_MARK}","n":"{NUMBER_MARK}","at_us":"{MOMENT_MARK}","pad":"{}"}}"#,
                "x".repeat(padding)
            );
            Self::cut(&object, KeyStyle::Text)
        };
        let least = shape(0).length();
        shape(bytes.saturating_sub(least))
    }

    /// A change of one entity, of about `bytes` bytes where its value has text that can be made longer.
    pub fn change(entity_type: &str, made: &Made, bytes: usize) -> Self {
        let shape = |padding: usize| {
            let value = made.padded(padding);
            let entity_type = Value::from(entity_type);
            // The key is text, also where the value holds it as a number.
            let object = format!(
                r#"{{"type":{entity_type},"key":"KEY{KEY_MARK}","value":{value},"headers":{{"operation":"upsert","at_us":"{MOMENT_MARK}"}}}}"#,
            );
            Self::cut(&object, made.keys)
        };
        let least = shape(0).length();
        shape(bytes.saturating_sub(least))
    }

    /// A change whose value is given, key and all.
    pub fn fixed(entity_type: &str, key: &str, value: &Value) -> Self {
        let (entity_type, key) = (Value::from(entity_type), Value::from(key));
        let object = format!(
            r#"{{"type":{entity_type},"key":{key},"value":{value},"headers":{{"operation":"upsert","at_us":"{MOMENT_MARK}"}}}}"#,
        );
        Self::cut(&object, KeyStyle::Text)
    }

    fn cut(object: &str, keys: KeyStyle) -> Self {
        let mut parts = Vec::new();
        let mut literal = Vec::new();
        let mut rest = object;
        let marks = [
            // Text that stays text, whatever the value holds.
            (format!("KEY{KEY_MARK}"), Part::Key),
            (format!("\"{KEY_MARK}\""), Part::Key),
            (format!("\"{NUMBER_MARK}\""), Part::Number),
            (format!("\"{MOMENT_MARK}\""), Part::Moment),
        ];
        loop {
            let next = marks
                .iter()
                .filter_map(|(mark, part)| Some((rest.find(mark.as_str())?, mark, part)))
                .min_by_key(|(at, ..)| *at);
            let Some((at, mark, part)) = next else { break };
            literal.extend_from_slice(&rest.as_bytes()[..at]);
            let quoted = mark.starts_with('"') && *part == Part::Key && keys != KeyStyle::Integer;
            if quoted {
                literal.push(b'"');
            }
            parts.push(Part::Literal(std::mem::take(&mut literal).into()));
            parts.push(part.clone());
            if quoted {
                literal.push(b'"');
            }
            rest = &rest[at + mark.len()..];
        }
        literal.extend_from_slice(rest.as_bytes());
        parts.push(Part::Literal(literal.into()));
        Self { parts, keys }
    }

    /// Bytes of the first message.
    fn length(&self) -> usize {
        let mut out = Vec::new();
        self.write(&mut out, 0, 0, 0);
        out.len()
    }

    /// Appends one message.
    pub fn write(&self, out: &mut Vec<u8>, key: u64, number: u64, moment_us: u64) {
        for part in &self.parts {
            match part {
                Part::Literal(bytes) => out.extend_from_slice(bytes),
                Part::Key => self.keys.write(out, key),
                // A width that does not change, so that every message has the same size.
                Part::Number => digits(out, 1_000_000_000 + number % 1_000_000_000, 10),
                // As text: headers of changes are text.
                Part::Moment => {
                    out.push(b'"');
                    digits(out, moment_us, 1);
                    out.push(b'"');
                }
            }
        }
    }
}

impl KeyStyle {
    fn write(self, out: &mut Vec<u8>, key: u64) {
        match self {
            Self::Text => {
                out.push(b'k');
                digits(out, key, 15);
            }
            Self::Uuid => {
                out.extend_from_slice(b"00000000-0000-4000-8000-");
                digits(out, key, 12);
            }
            Self::Integer => digits(out, key, 1),
        }
    }
}

/// In decimal, with zeros before it up to `width`.
pub fn digits(out: &mut Vec<u8>, number: u64, width: usize) {
    let mut buffer = [b'0'; 20];
    let (mut at, mut rest) = (buffer.len(), number);
    while rest > 0 || buffer.len() - at < width {
        at -= 1;
        buffer[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&buffer[at..]);
}

/// Which key is written next.
#[derive(Clone, Debug)]
pub enum Keys {
    Uniform(u64),
    /// What share of all writes goes to the keys up to and with each one.
    Zipf(std::sync::Arc<[f64]>),
}

impl Keys {
    /// The n-th most frequent key is written in proportion to `1 / n^exponent`; uniform without an exponent.
    pub fn new(count: u64, exponent: Option<f64>) -> Self {
        let Some(exponent) = exponent else { return Self::Uniform(count) };
        let mut sum = 0.0;
        let shares: Vec<f64> = (1..=count)
            .map(|rank| {
                sum += (rank as f64).powf(-exponent);
                sum
            })
            .collect();
        Self::Zipf(shares.into_iter().map(|share| share / sum).collect())
    }

    pub fn next(&self, random: &mut fastrand::Rng) -> u64 {
        match self {
            Self::Uniform(count) => random.u64(..*count),
            Self::Zipf(shares) => {
                let point = random.f64();
                shares.partition_point(|share| *share < point).min(shares.len() - 1) as u64
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(shape: &Shape, key: u64, number: u64, moment: u64) -> String {
        let mut out = Vec::new();
        shape.write(&mut out, key, number, moment);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_message_is_json_of_the_size_that_was_asked_for() {
        for bytes in [100, 200, 1_000] {
            let text = message(&Shape::untyped(bytes), 41, 7, 3);
            assert_eq!(text.len(), bytes, "{text}");
            let value: Value = serde_json::from_str(&text).unwrap();
            assert_eq!((&value["key"], &value["at_us"]), (&"k000000000000041".into(), &"3".into()));
        }
    }

    #[test]
    fn a_key_is_the_same_in_change_and_value_whatever_it_is_made_of() {
        for (keys, text, held) in [
            (KeyStyle::Text, "k000000000000041", Value::from("k000000000000041")),
            (KeyStyle::Integer, "41", 41.into()),
            (KeyStyle::Uuid, "00000000-0000-4000-8000-000000000041", "00000000-0000-4000-8000-000000000041".into()),
        ] {
            let made = Made { value: serde_json::json!({"id": KEY_MARK, "on": true}), keys, pad: None };
            let change: Value = serde_json::from_str(&message(&Shape::change("item", &made, 0), 41, 0, 5)).unwrap();
            assert_eq!((&change["key"], &change["value"]["id"]), (&text.into(), &held));
            assert_eq!(change["headers"]["at_us"], "5");
        }
    }

    #[test]
    fn few_keys_take_most_writes_where_they_are_skewed() {
        let mut random = fastrand::Rng::with_seed(3);
        let keys = Keys::new(1_000, Some(1.0));
        let drawn: Vec<u64> = (0..20_000).map(|_| keys.next(&mut random)).collect();
        let share = |below| drawn.iter().filter(|key| **key < below).count() as f64 / drawn.len() as f64;
        assert!(drawn.iter().all(|key| *key < 1_000));
        // H(10) / H(1000) = 0.391, H(100) / H(1000) = 0.693
        assert!((share(10) - 0.391).abs() < 0.02 && (share(100) - 0.693).abs() < 0.02, "{}", share(10));
        let even = Keys::new(1_000, None);
        let low = (0..20_000).filter(|_| even.next(&mut random) < 100).count();
        assert!((1_800..2_200).contains(&low), "{low}");
    }
}
