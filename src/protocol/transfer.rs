//! The lines of an export: NDJSON, each line with its own checksum, the last one with how many there are.
//!
//! `{"crc32c":"9f3a0c21","stream":{…}}`: the checksum is of the line behind the comma. Messages stand as they are stored,
//! byte for byte; one with a line break, which a line cannot hold, stands as a text.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The version written, and the only one read.
pub const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Line {
    /// The first line. `start` is above every position of every stream that is gone; `lifts` are the positions that
    /// streams may skip to, because the directory was restored from a backup.
    Export {
        version: u32,
        start: u64,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        lifts: Vec<u64>,
    },
    /// Above which positions the former streams of a name ended.
    Former { name: String, end: u64 },
    /// A stream begins; the lines up to the next one are of it.
    Stream(Box<StreamLine>),
    /// One record.
    Messages {
        first: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        schema_version: Option<u32>,
        messages: Vec<Box<RawValue>>,
    },
    /// One record, with messages that hold line breaks.
    Texts {
        first: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        schema_version: Option<u32>,
        texts: Vec<String>,
    },
    /// One record of a stream that is not JSON, in base64.
    Bytes { first: u64, bytes: String },
    /// A stream ends: what guards its next write.
    State(Box<StateLine>),
    /// The last line.
    End { lines: u64 },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamLine {
    pub name: String,
    pub content_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<u64>,
    pub start: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<SchemaLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fork: Option<ForkLine>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchemaLine {
    pub subject: String,
    pub version: u32,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForkLine {
    /// A stream of an earlier line.
    pub source: String,
    pub at: u64,
    pub shift: u64,
    pub depth: u16,
    pub bytes: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateLine {
    pub tail: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub producers: Vec<ProducerLine>,
    /// In base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_seq: Option<String>,
    #[serde(default)]
    pub closed: bool,
    /// It is only kept for its forks.
    #[serde(default)]
    pub deleted: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_by: Option<(String, u64, u64)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<SchemaLine>,
}

/// Epochs and their last seqs, oldest first; the last one is the current.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProducerLine {
    pub id: String,
    pub epochs: Vec<(u64, u64)>,
}

const HEAD: &str = "{\"crc32c\":\"";
const DIGITS: usize = 8;

impl Line {
    /// One line, without its break.
    pub fn write(&self) -> String {
        let body = serde_json::to_string(self).expect("maps with text keys are JSON");
        let rest = &body[1..];
        format!("{HEAD}{:08x}\",{rest}", crc32c::crc32c(rest.as_bytes()))
    }

    /// Reads back what [`Line::write`] wrote, or says what is wrong with it.
    pub fn read(text: &str) -> Result<Self, String> {
        let sealed = text.strip_prefix(HEAD).ok_or("it does not begin with a checksum")?;
        let (digits, rest) = sealed.split_at_checked(DIGITS).ok_or("it ends in its checksum")?;
        let rest = rest.strip_prefix("\",").ok_or("it does not begin with a checksum")?;
        if u32::from_str_radix(digits, 16).ok() != Some(crc32c::crc32c(rest.as_bytes())) {
            return Err("its checksum does not hold".into());
        }
        serde_json::from_str(&format!("{{{rest}")).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_read_back_with_the_very_bytes_of_their_messages() {
        let message = RawValue::from_string("{ \"b\" : 1e2,\"a\":[ ] }".into()).unwrap();
        let line = Line::Messages { first: 7, schema_version: Some(2), messages: vec![message] };
        let text = line.write();
        assert!(
            text.contains("{ \"b\" : 1e2,\"a\":[ ] }") && serde_json::from_str::<serde_json::Value>(&text).is_ok()
        );
        assert_eq!(Line::read(&text).unwrap().write(), text);
    }

    #[test]
    fn any_changed_byte_is_noticed() {
        let text = Line::Former { name: "a/b".into(), end: 71 }.write();
        for at in 0..text.len() {
            for bit in 0..7 {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                let Ok(changed) = String::from_utf8(bytes) else { continue };
                // The digits' case says nothing.
                let same = Line::read(&changed).is_ok_and(|line| line.write() == text);
                assert!(Line::read(&changed).is_err() || same, "{changed}");
            }
        }
    }
}
