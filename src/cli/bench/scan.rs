//! Finding what is looked for in text that arrives in pieces, without keeping the text.
//!
//! What is looked for must not begin again within itself, but for its first byte: `"at_us":"` does not.

use memchr::memmem::Finder;

/// Looks for a byte string; nothing is kept but how much of it was seen.
struct Needle {
    finder: Finder<'static>,
    seen: usize,
}

impl Needle {
    fn new(bytes: &'static [u8]) -> Self {
        Self { finder: Finder::new(bytes), seen: 0 }
    }

    /// Whether this byte is the last of it.
    fn feed(&mut self, byte: u8) -> bool {
        let bytes = self.finder.needle();
        self.seen = match byte {
            byte if byte == bytes[self.seen] => self.seen + 1,
            byte if byte == bytes[0] => 1,
            _ => 0,
        };
        let whole = self.seen == bytes.len();
        if whole {
            self.seen = 0;
        }
        whole
    }

    /// Where it ends first in `text`, which follows what was looked through before.
    fn end_in(&mut self, text: &[u8]) -> Option<usize> {
        let mut at = 0;
        while self.seen > 0 && at < text.len() {
            at += 1;
            if self.feed(text[at - 1]) {
                return Some(at);
            }
        }
        let length = self.finder.needle().len();
        if let Some(begin) = self.finder.find(&text[at..]) {
            return Some(at + begin + length);
        }
        // It may begin at the end.
        let end = at.max(text.len().saturating_sub(length - 1));
        for byte in &text[end..] {
            self.feed(*byte);
        }
        None
    }
}

/// Decimal numbers behind a needle.
pub struct Number {
    needle: Needle,
    value: Option<u64>,
}

impl Number {
    pub fn after(bytes: &'static [u8]) -> Self {
        Self { needle: Needle::new(bytes), value: None }
    }

    /// Tells every number that ends in this piece.
    pub fn scan(&mut self, piece: &[u8], mut found: impl FnMut(u64)) {
        let mut at = 0;
        while at < piece.len() {
            match self.value {
                None => {
                    let Some(end) = self.needle.end_in(&piece[at..]) else { return };
                    self.value = Some(0);
                    at += end;
                }
                Some(value) if piece[at].is_ascii_digit() => {
                    self.value = Some(value.wrapping_mul(10).wrapping_add(u64::from(piece[at] - b'0')));
                    at += 1;
                }
                Some(value) => {
                    found(value);
                    self.value = None;
                }
            }
        }
    }
}

/// Text behind a needle, up to a quotation mark.
pub struct Text {
    needle: Needle,
    value: String,
    inside: bool,
}

impl Text {
    /// Longer text is cut.
    const MAX: usize = 512;

    pub fn after(bytes: &'static [u8]) -> Self {
        Self { needle: Needle::new(bytes), value: String::new(), inside: false }
    }

    /// Tells every text that ends in this piece.
    pub fn scan(&mut self, piece: &[u8], mut found: impl FnMut(&str)) {
        let mut at = 0;
        while at < piece.len() {
            if !self.inside {
                let Some(end) = self.needle.end_in(&piece[at..]) else { return };
                (self.inside, at) = (true, at + end);
                self.value.clear();
                continue;
            }
            match piece[at] {
                b'"' => {
                    found(&self.value);
                    self.inside = false;
                }
                byte if self.value.len() < Self::MAX => self.value.push(char::from(byte)),
                _ => {}
            }
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_for_is_found_however_the_text_is_cut() {
        let text = br#"[{"n":1,"at_us":12},{"""at_us":345,"at_":6}]{"streamNextOffset":"7_8","at_us":0}"#;
        for step in 1..text.len() {
            let (mut numbers, mut texts) = (Number::after(b"\"at_us\":"), Text::after(b"\"streamNextOffset\":\""));
            let (mut moments, mut places) = (Vec::new(), Vec::new());
            for piece in text.chunks(step) {
                numbers.scan(piece, |number| moments.push(number));
                texts.scan(piece, |text| places.push(text.to_owned()));
            }
            assert_eq!((moments, places), (vec![12, 345, 0], vec!["7_8".to_owned()]), "in pieces of {step}");
        }
    }
}
