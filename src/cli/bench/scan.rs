//! Finding what is looked for in text that arrives in pieces, without keeping the text.
//!
//! What is looked for must not begin again within itself, but for its first byte: `"at_us":"` does not.

/// Looks for a byte string; nothing is kept but how much of it was seen.
struct Needle {
    bytes: &'static [u8],
    seen: usize,
}

impl Needle {
    /// Whether this byte is the last of it.
    fn feed(&mut self, byte: u8) -> bool {
        self.seen = match byte {
            byte if byte == self.bytes[self.seen] => self.seen + 1,
            byte if byte == self.bytes[0] => 1,
            _ => 0,
        };
        let whole = self.seen == self.bytes.len();
        if whole {
            self.seen = 0;
        }
        whole
    }

    /// How much of `text` cannot be part of it.
    fn skips(&self, text: &[u8]) -> usize {
        match self.seen {
            0 => text.iter().position(|byte| *byte == self.bytes[0]).unwrap_or(text.len()),
            _ => 0,
        }
    }
}

/// Decimal numbers behind a needle.
pub struct Number {
    needle: Needle,
    value: Option<u64>,
}

impl Number {
    pub fn after(bytes: &'static [u8]) -> Self {
        Self { needle: Needle { bytes, seen: 0 }, value: None }
    }

    /// Tells every number that ends in this piece.
    pub fn scan(&mut self, piece: &[u8], mut found: impl FnMut(u64)) {
        let mut at = 0;
        while at < piece.len() {
            match self.value {
                None => {
                    at += self.needle.skips(&piece[at..]);
                    let Some(byte) = piece.get(at) else { return };
                    if self.needle.feed(*byte) {
                        self.value = Some(0);
                    }
                    at += 1;
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
    value: Option<String>,
}

impl Text {
    /// Longer text is cut.
    const MAX: usize = 512;

    pub fn after(bytes: &'static [u8]) -> Self {
        Self { needle: Needle { bytes, seen: 0 }, value: None }
    }

    /// Tells every text that ends in this piece.
    pub fn scan(&mut self, piece: &[u8], mut found: impl FnMut(&str)) {
        let mut at = 0;
        while at < piece.len() {
            match &mut self.value {
                None => {
                    at += self.needle.skips(&piece[at..]);
                    let Some(byte) = piece.get(at) else { return };
                    if self.needle.feed(*byte) {
                        self.value = Some(String::new());
                    }
                }
                Some(value) if piece[at] == b'"' => {
                    found(value);
                    self.value = None;
                }
                Some(value) if value.len() < Self::MAX => value.push(char::from(piece[at])),
                Some(_) => {}
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
