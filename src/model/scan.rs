//! JSON text, read in place: tokens as slices of the text that they stand in, nothing copied and nothing built.
//!
//! It takes what is plainly sound and says nothing about the rest: wherever it answers `None`, the text may be broken, or
//! only unusual (nested deeply, a member name that is escaped), and whoever must word a fault or accept the unusual reads it
//! again with the parser. Its invariant: what it takes, the parser takes as well, and finds the same in it; what is
//! read [`Strictness::Strict`] has in addition no member that stands twice in one object.

/// Deepest nesting that is followed; what is deeper is left to the parser.
pub const DEPTH_MAX: usize = 128;

/// So many names are compared with each other; more are sorted first.
const COMPARED_MAX: usize = 16;

/// A place in a text.
#[derive(Clone, Copy, Debug)]
pub struct Scan<'a> {
    text: &'a str,
    at: usize,
}

/// A text's content as it was written, between the quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text<'a> {
    pub raw: &'a str,
    /// Whether something in it is escaped; where not, it is as it was written.
    pub escaped: bool,
}

impl<'a> Text<'a> {
    /// The content, where that is what was written.
    pub fn plain(self) -> Option<&'a str> {
        (!self.escaped).then_some(self.raw)
    }
}

/// A number as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digits<'a> {
    pub raw: &'a str,
    /// Digits only, perhaps with a sign.
    pub whole: bool,
}

impl Digits<'_> {
    /// An integer that every reader keeps exactly; `None` for `-0`, which is no integer to all of them.
    pub fn integer(self) -> Option<i64> {
        // 18 digits always fit.
        (self.whole && self.raw.len() <= 18 && self.raw != "-0").then(|| self.raw.parse().ok()).flatten()
    }
}

/// What is asked of the objects in a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// A name may stand twice.
    Loose,
    /// No name stands twice in one object.
    Strict,
}

impl<'a> Scan<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// From byte `at` of a text, which must begin a character.
    pub fn starting(text: &'a str, at: usize) -> Self {
        Self { text, at }
    }

    pub fn text(&self) -> &'a str {
        self.text
    }

    /// How far it has read, in bytes.
    pub fn at(&self) -> usize {
        self.at
    }

    /// What was read since a place before.
    pub fn since(&self, from: usize) -> &'a str {
        &self.text[from..self.at]
    }

    /// The next byte that is no white space, which is not taken; `None` at the end.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            match byte {
                b' ' | b'\n' | b'\t' | b'\r' => self.at += 1,
                _ => return Some(*byte),
            }
        }
        None
    }

    /// Takes a byte that stands next, white space before it aside.
    #[inline]
    pub fn eat(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// Takes a text.
    #[inline]
    pub fn string(&mut self) -> Option<Text<'a>> {
        self.eat(b'"')?;
        let bytes = self.text.as_bytes();
        let (start, mut at, mut escaped) = (self.at, self.at, false);
        loop {
            at += ordinary(bytes.get(at..)?);
            match bytes.get(at)? {
                b'"' => {
                    self.at = at + 1;
                    return Some(Text { raw: &self.text[start..at], escaped });
                }
                b'\\' => {
                    escaped = true;
                    at += escape(&bytes[at..])?;
                }
                _ => return None,
            }
        }
    }

    /// Takes a name and the colon after it.
    #[inline]
    pub fn name(&mut self) -> Option<&'a str> {
        let name = self.string()?.plain()?;
        self.eat(b':')?;
        Some(name)
    }

    /// Takes a number that is within the range of doubles.
    #[inline]
    pub fn number(&mut self) -> Option<Digits<'a>> {
        self.peek()?;
        let bytes = self.text.as_bytes();
        let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let start = self.at;
        let mut at = start + usize::from(bytes[start] == b'-');
        at += match (digits(at), bytes.get(at)?) {
            (0, _) => return None,
            (1, _) => 1,
            (_, b'0') => return None,
            (many, _) => many,
        };
        let mut whole = true;
        if bytes.get(at) == Some(&b'.') {
            let many = digits(at + 1);
            (at, whole) = (at + 1 + many, false);
            if many == 0 {
                return None;
            }
        }
        let mut exponent = false;
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            at += 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
            let many = digits(at);
            (at, whole, exponent) = (at + many, false, true);
            if many == 0 {
                return None;
            }
        }
        let raw = &self.text[start..at];
        // Short of the largest double, so that no way of reading it can find it too large.
        let fits = |number: f64| number.abs() < 1e308;
        if raw.len() > 300 || (exponent && !raw.parse().is_ok_and(fits)) {
            return None;
        }
        self.at = at;
        Some(Digits { raw, whole })
    }

    /// Takes `true`, `false` or `null`.
    #[inline]
    pub fn word(&mut self, word: &str) -> Option<()> {
        self.peek()?;
        self.text.as_bytes()[self.at..].starts_with(word.as_bytes()).then(|| self.at += word.len())
    }

    /// Takes a value, whatever it is, nested at most `depth` deep. `names` is room to work in; it is left as it was.
    pub fn skip(&mut self, depth: usize, strictness: Strictness, names: &mut Vec<&'a str>) -> Option<()> {
        self.skip_in(depth.min(DEPTH_MAX), strictness, names)
    }

    fn skip_in(&mut self, depth: usize, strictness: Strictness, names: &mut Vec<&'a str>) -> Option<()> {
        match self.peek()? {
            b'"' => self.string().map(drop),
            b'{' => {
                let inner = depth.checked_sub(1)?;
                self.at += 1;
                if self.peek()? == b'}' {
                    self.at += 1;
                    return Some(());
                }
                let before = names.len();
                loop {
                    match strictness {
                        Strictness::Strict => names.push(self.name()?),
                        Strictness::Loose => {
                            self.string()?;
                            self.eat(b':')?;
                        }
                    }
                    self.skip_in(inner, strictness, names)?;
                    if !self.goes_on(b'}')? {
                        break;
                    }
                }
                distinct(&mut names[before..])?;
                names.truncate(before);
                Some(())
            }
            b'[' => {
                let inner = depth.checked_sub(1)?;
                self.at += 1;
                if self.peek()? == b']' {
                    self.at += 1;
                    return Some(());
                }
                loop {
                    self.skip_in(inner, strictness, names)?;
                    if !self.goes_on(b']')? {
                        return Some(());
                    }
                }
            }
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => self.number().map(drop),
        }
    }

    /// Behind an element or member: whether another follows (the comma is taken), or this was the last (`end` is).
    #[inline]
    pub fn goes_on(&mut self, end: u8) -> Option<bool> {
        let next = self.peek()?;
        self.at += 1;
        match next {
            b',' => Some(true),
            next if next == end => Some(false),
            _ => None,
        }
    }
}

/// Whether no name stands twice.
pub fn distinct(names: &mut [&str]) -> Option<()> {
    let repeated = match names.len() {
        0 | 1 => false,
        2..=COMPARED_MAX => (1..names.len()).any(|at| names[..at].contains(&names[at])),
        _ => {
            names.sort_unstable();
            names.windows(2).any(|pair| pair[0] == pair[1])
        }
    };
    (!repeated).then_some(())
}

/// How many bytes of a text come before its end, an escape, or a byte that may not be there.
#[inline]
fn ordinary(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(eight) = bytes[at..].first_chunk::<8>() {
        let found = special(u64::from_le_bytes(*eight));
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let rest = &bytes[at..];
    at + rest.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < 0x20).unwrap_or(rest.len())
}

/// The high bit of each byte that is a quote, a backslash or a control character. Bytes above one that is may be marked
/// as well, so only the lowest says something.
#[inline]
fn special(eight: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    let zeros = |bytes: u64| bytes.wrapping_sub(ONES) & !bytes;
    let quotes = zeros(eight ^ (ONES * b'"' as u64));
    let escapes = zeros(eight ^ (ONES * b'\\' as u64));
    let controls = eight.wrapping_sub(ONES * 0x20) & !eight;
    (quotes | escapes | controls) & (ONES * 0x80)
}

/// Bytes that an escape takes. A surrogate is one of a pair.
fn escape(bytes: &[u8]) -> Option<usize> {
    let unit = |at: usize| -> Option<u16> {
        let hex = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
        hex.iter().try_fold(0, |sum: u16, digit| Some(sum << 4 | char::from(*digit).to_digit(16)? as u16))
    };
    match bytes.get(1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' => match unit(0)? {
            0xd800..=0xdbff => matches!(unit(6)?, 0xdc00..=0xdfff).then_some(12),
            0xdc00..=0xdfff => None,
            _ => Some(6),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn takes(text: &str, strictness: Strictness) -> bool {
        let (mut scan, mut names) = (Scan::new(text), Vec::new());
        let taken = scan.skip(DEPTH_MAX, strictness, &mut names).is_some() && scan.peek().is_none();
        taken && names.is_empty()
    }

    #[test]
    fn sound_texts_are_taken() {
        for text in [
            r#" { "a" : [ 1 , -2.5e+3 , true , false , null , "x\n\u00e4\ud83d\ude00ü" ] , "b" : { } , "c" : [ ] } "#,
            "0",
            "-0",
            "1e307",
            "18446744073709551616",
            "\"\"",
            r#"{"a":1,"b":{"a":1}}"#,
            "\"ten bytes \\\\ and more than ten\"",
        ] {
            assert!(takes(text, Strictness::Strict), "{text}");
        }
        assert!(takes(r#"{"a":1,"a":2}"#, Strictness::Loose));
    }

    #[test]
    fn what_is_broken_or_unusual_is_left_to_the_parser() {
        for text in [
            "",
            "{",
            "[1,]",
            "{\"a\":}",
            "{\"a\" 1}",
            "{a:1}",
            "01",
            "-",
            "1.",
            ".5",
            "1e",
            "1e999",
            "+1",
            "nul",
            "truex",
            "\"\\x\"",
            "\"\\ud800\"",
            "\"\\udc00\"",
            "\"\\ud800\\u0041\"",
            "\"\t\"",
            "\"\\u12g4\"",
            "1 2",
            "[1 2]",
            r#"{"a":1,"a":2}"#,
            r#"{"\u0061":1}"#,
            "\u{a0}1",
            "[1,,2]",
            "{,}",
            "\"\\u+123\"",
        ] {
            assert!(!takes(text, Strictness::Strict), "{text}");
        }
        assert!(takes(&("[".repeat(DEPTH_MAX) + &"]".repeat(DEPTH_MAX)), Strictness::Strict));
        assert!(!takes(&("[".repeat(DEPTH_MAX + 1) + &"]".repeat(DEPTH_MAX + 1)), Strictness::Strict));
        let members = |last: &str| {
            let names = (0..40).map(|n| format!("\"n{n}\":1")).collect::<Vec<_>>().join(",");
            format!("{{{names},\"{last}\":1}}")
        };
        assert!(takes(&members("n40"), Strictness::Strict));
        assert!(!takes(&members("n7"), Strictness::Strict));
    }

    #[test]
    fn integers_are_those_that_everybody_keeps() {
        let integer = |text| Scan::new(text).number().unwrap().integer();
        assert_eq!(integer("-12"), Some(-12));
        assert_eq!(integer("999999999999999999"), Some(999_999_999_999_999_999));
        for text in ["-0", "1.0", "1e3", "1000000000000000000"] {
            assert_eq!(integer(text), None, "{text}");
        }
    }

    /// Texts that are nearly JSON.
    fn near_json() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            prop::sample::select(vec![
                "{",
                "}",
                "[",
                "]",
                ",",
                ":",
                "\"",
                "\"a\"",
                "\"b\":",
                "\\",
                "\\u0061",
                "\\ud800",
                "\\ud83d\\ude00",
                "null",
                "true",
                "false",
                "0",
                "1",
                "-",
                ".5",
                "e3",
                "1e400",
                " ",
                "\n",
                "\u{1}",
                "ä",
                "😀",
                "18446744073709551616",
            ])
            .prop_map(str::to_owned),
            "[ -~]{0,3}",
        ];
        prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e30f64..1e30).prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 60, 20, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map("[a-zä]{0,3}", inner, 0..24)
                    .prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn what_is_taken_the_parser_takes(text in near_json()) {
            if takes(&text, Strictness::Loose) {
                prop_assert!(serde_json::from_str::<Value>(&text).is_ok(), "{}", text);
            }
        }

        #[test]
        fn what_the_parser_writes_is_taken(value in any_json()) {
            prop_assert!(takes(&value.to_string(), Strictness::Strict), "{}", value);
        }

        #[test]
        fn a_text_ends_where_its_bytes_say(before in "[a-zä\"\\\\\u{1}]{0,20}", after in "[a-z\"]{0,9}") {
            let text = format!("{before}{after}");
            let expected = text.bytes().position(|b| b == b'"' || b == b'\\' || b < 0x20).unwrap_or(text.len());
            prop_assert_eq!(ordinary(text.as_bytes()), expected);
        }
    }
}
