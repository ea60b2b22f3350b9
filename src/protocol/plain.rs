//! A plain change, read in one pass: where it ends, what it says, and whether its value belongs to its collection.
//!
//! It takes a change only where all of that is certain from the text as it is written. Whatever it does not take, be it
//! wrong or only unusual, [`Change::parse`](super::change::Change::parse) and the validator read again, and word what is
//! wrong. Its invariant: what it takes they accept too, as the same change, and store as the same bytes.

use crate::model::producer::INTEGER_MAX;
use crate::model::scan::{DEPTH_MAX, Digits, Scan, Strictness, distinct};
use crate::model::{EntityKey, EntityType, Limits, Operation, Timestamp, is_rfc_3339};
use crate::registry::plan::{Facts, Room};
use crate::registry::{Compiled, CompiledCollection};

/// Reads changes under one schema version, one after another.
#[derive(Debug)]
pub struct PlainReader<'a, 'c> {
    compiled: &'c Compiled,
    value_bytes_max: usize,
    depth_max: usize,
    /// Of the change before: the next one is mostly of the same.
    last: Option<(&'a str, &'c CompiledCollection)>,
    room: Room<'a>,
    names: Vec<&'a str>,
    /// Of the change that was read last: what it is stored from.
    members: Vec<Member<'a>>,
    headers: Vec<Member<'a>>,
}

/// A change, borrowed from the body it came in.
#[derive(Debug)]
pub struct PlainChange<'a, 'c> {
    pub collection: &'c CompiledCollection,
    pub key: &'a str,
    pub operation: Operation,
    /// Of the value, where its collection has versions.
    pub version: Option<i128>,
    pub txid: Option<&'a str>,
    source: &'a str,
    /// Whether it says when it was made.
    stamped: bool,
    /// Whether a time can be added to it as it is written: nothing but members in it, the headers last.
    open_ended: bool,
    strip_value: bool,
}

/// A member: the name with its quotes, and the value, as they are written.
type Member<'a> = (&'a str, &'a str);

/// Most members of a change, and of its headers; those with more are left to the parser.
const MEMBERS_MAX: usize = 8;

/// Bytes of an object of these members with nothing else in it.
fn tight_length(members: &[Member<'_>]) -> usize {
    members.iter().map(|(name, value)| name.len() + value.len() + 2).sum::<usize>() + 1
}

/// What is added to stored changes, written once for a batch.
#[derive(Debug)]
pub struct Stamp(String);

impl Stamp {
    pub fn new(now: Timestamp) -> Self {
        Self(format!(",\"timestamp\":\"{now}\"}}}}"))
    }
}

impl<'a, 'c> PlainReader<'a, 'c> {
    pub fn new(compiled: &'c Compiled, limits: &Limits) -> Self {
        Self {
            compiled,
            value_bytes_max: limits.value_bytes_max,
            depth_max: limits.json_depth_max,
            last: None,
            room: Default::default(),
            names: Vec::new(),
            members: Vec::with_capacity(MEMBERS_MAX),
            headers: Vec::with_capacity(MEMBERS_MAX),
        }
    }

    /// Reads the change that stands next, up to its end. `None` where it is not plain; the scan may then be anywhere.
    pub fn read(&mut self, scan: &mut Scan<'a>) -> Option<PlainChange<'a, 'c>> {
        scan.peek()?;
        let start = scan.at();
        self.names.clear();
        self.members.clear();
        let mut headers = None;
        let (mut collection, mut key, mut value, mut facts) = (None, None, None, None);
        scan.eat(b'{')?;
        loop {
            let (name, quoted) = name(scan)?;
            scan.peek()?;
            let from = scan.at();
            match name {
                "type" if collection.is_none() => {
                    let text = scan.string()?.plain().filter(|text| text.len() <= EntityType::BYTES_MAX)?;
                    collection = Some(self.collection(text)?);
                }
                "key" if key.is_none() => {
                    let plain = scan.string()?.plain();
                    key = Some(plain.filter(|text| (1..=EntityKey::BYTES_MAX).contains(&text.len()))?);
                }
                "value" if value.is_none() => {
                    match collection {
                        _ if scan.word("null").is_some() => {}
                        Some(collection) => facts = Some(self.value(collection, scan)?),
                        // Its type comes later.
                        None => scan.skip(DEPTH_MAX, Strictness::Loose, &mut self.names)?,
                    }
                    value = Some(scan.since(from));
                }
                "headers" if headers.is_none() => headers = Some(self.headers(scan)?),
                "type" | "key" | "value" | "headers" => return None,
                other => {
                    self.names.push(other);
                    scan.skip(DEPTH_MAX, Strictness::Loose, &mut self.names)?;
                }
            }
            self.members.push((quoted, scan.since(from)));
            if self.members.len() > MEMBERS_MAX {
                return None;
            }
            if !scan.goes_on(b'}')? {
                break;
            }
        }
        distinct(&mut self.names)?;
        let (collection, key, headers) = (collection?, key?, headers?);
        let operation = headers.operation?;
        let mut version = None;
        match (operation, value) {
            (Operation::Delete, None | Some("null")) => {}
            (Operation::Delete, Some(_)) | (_, None) => return None,
            (_, Some(text)) => {
                let facts = match facts {
                    Some(facts) => facts,
                    None => self.value(collection, &mut Scan::new(text))?,
                };
                if text.len() > self.value_bytes_max || !is_key(facts.key, key) {
                    return None;
                }
                version = match facts.version {
                    Some(written) => version_of(written)?,
                    None => None,
                };
            }
        }
        let source = scan.since(start);
        let headers_last = self.members.last().is_some_and(|(name, _)| *name == HEADERS);
        Some(PlainChange {
            collection,
            key,
            operation,
            version,
            txid: headers.txid,
            source,
            stamped: headers.stamped,
            open_ended: headers_last && headers.is_tight && tight_length(&self.members) == source.len(),
            strip_value: operation == Operation::Delete && value.is_some(),
        })
    }

    fn collection(&mut self, entity_type: &'a str) -> Option<&'c CompiledCollection> {
        match self.last {
            Some((last, collection)) if last == entity_type => Some(collection),
            _ => {
                let collection = self.compiled.collection(entity_type)?;
                self.last = Some((entity_type, collection));
                Some(collection)
            }
        }
    }

    fn value(&mut self, collection: &CompiledCollection, scan: &mut Scan<'a>) -> Option<Facts<'a>> {
        collection.plan()?.read(scan, self.depth_max, &mut self.room)
    }

    fn headers(&mut self, scan: &mut Scan<'a>) -> Option<Headers<'a>> {
        scan.peek()?;
        let (start, before) = (scan.at(), self.names.len());
        let mut headers = Headers::default();
        self.headers.clear();
        scan.eat(b'{')?;
        loop {
            let (name, quoted) = name(scan)?;
            scan.peek()?;
            let from = scan.at();
            match name {
                "operation" => headers.operation = Some(Operation::parse(scan.string()?.plain()?)?),
                "txid" => headers.txid = Some(scan.string()?.plain().filter(|txid| !txid.is_empty())?),
                "timestamp" => headers.stamped = is_rfc_3339(scan.string()?.plain()?).then_some(true)?,
                "control" => return None,
                _ => scan.skip(DEPTH_MAX, Strictness::Loose, &mut self.names)?,
            }
            self.names.push(name);
            self.headers.push((quoted, scan.since(from)));
            if self.headers.len() > MEMBERS_MAX {
                return None;
            }
            if !scan.goes_on(b'}')? {
                break;
            }
        }
        distinct(&mut self.names[before..])?;
        self.names.truncate(before);
        headers.is_tight = tight_length(&self.headers) == scan.at() - start;
        Some(headers)
    }

    /// Appends the stored form of the change that was read last to `out`.
    pub fn store(&self, change: &PlainChange<'_, '_>, stamp: &Stamp, out: &mut Vec<u8>) {
        let source = change.source.as_bytes();
        if change.stamped && !change.strip_value {
            out.extend_from_slice(source);
            return;
        }
        let end = if change.stamped { "}}" } else { &stamp.0 };
        if change.open_ended && !change.strip_value {
            out.extend_from_slice(&source[..source.len() - 2]);
            out.extend_from_slice(end.as_bytes());
            return;
        }
        out.push(b'{');
        for (name, value) in &self.members {
            if *name != HEADERS && !(change.strip_value && *name == "\"value\"") {
                write_member(out, name, value);
                out.push(b',');
            }
        }
        out.extend_from_slice(HEADERS.as_bytes());
        out.extend_from_slice(b":{");
        for (nth, (name, value)) in self.headers.iter().enumerate() {
            if nth > 0 {
                out.push(b',');
            }
            write_member(out, name, value);
        }
        out.extend_from_slice(end.as_bytes());
    }
}

const HEADERS: &str = "\"headers\"";

fn write_member(out: &mut Vec<u8>, quoted: &str, value: &str) {
    out.extend_from_slice(quoted.as_bytes());
    out.push(b':');
    out.extend_from_slice(value.as_bytes());
}

/// What the headers say.
#[derive(Debug, Default)]
struct Headers<'a> {
    operation: Option<Operation>,
    txid: Option<&'a str>,
    stamped: bool,
    /// Whether nothing but its members, colons and commas stands in it.
    is_tight: bool,
}

/// A name, and how it is written; the colon behind it is taken as well.
fn name<'a>(scan: &mut Scan<'a>) -> Option<(&'a str, &'a str)> {
    scan.peek()?;
    let from = scan.at();
    let name = scan.string()?.plain()?;
    let quoted = scan.since(from);
    scan.eat(b':')?;
    Some((name, quoted))
}

/// Whether the member that is to hold the key holds this one.
fn is_key(written: &str, key: &str) -> bool {
    match written.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        // The key was written without escapes, so what is equal to it was too.
        Some(text) => text == key,
        None => {
            let integer = Scan::new(written).number().and_then(Digits::integer);
            integer.is_some_and(|integer| integer.unsigned_abs() <= INTEGER_MAX) && written == key
        }
    }
}

/// The version that a member says; `None` where it might be one in another form.
fn version_of(written: &str) -> Option<Option<i128>> {
    match written.as_bytes().first()? {
        b'-' | b'0'..=b'9' => Some(Some(Scan::new(written).number()?.integer()?.into())),
        _ => Some(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::change::{Change, Enrichment};
    use crate::protocol::json::{Duplicates, strict_value};
    use crate::registry::{Document, DocumentLimits};
    use proptest::prelude::*;
    use serde_json::json;

    fn document() -> Document {
        let keyed = |kind: &str| {
            json!({"type": "object", "required": ["id"], "additionalProperties": {"type": "integer"},
                "properties": {"id": {"type": kind}, "v": {"type": ["integer", "null"]}}})
        };
        let document = json!({"collections": {
            "texts": {"type": "t", "primaryKey": "id", "versionField": "v", "strict": true, "schema": keyed("string")},
            "numbers": {"type": "n", "primaryKey": "id", "schema": keyed("integer")},
        }});
        Document::parse(&document, &DocumentLimits::default()).unwrap()
    }

    /// Whether a message is read as plain; it is then the change that the parser reads, in all that is asked of it.
    fn is_plain(document: &Document, message: &str) -> bool {
        let limits = Limits { value_bytes_max: 60, ..Limits::default() };
        let mut reader = PlainReader::new(document.compiled(), &limits);
        let mut scan = Scan::new(message);
        let Some(plain) = reader.read(&mut scan) else { return false };
        if scan.peek().is_some() {
            return false;
        }
        let now = Timestamp::from_millis(1_800_000_000_000);
        let change = Change::parse(message).unwrap_or_else(|fault| panic!("{fault:?}: {message}"));
        assert_eq!(change.entity_type, plain.collection.entity_type, "{message}");
        assert_eq!((change.key.as_str(), change.operation), (plain.key, plain.operation), "{message}");
        assert_eq!(change.txid.as_deref(), plain.txid, "{message}");
        let (mut expected, mut stored) = (Vec::new(), Vec::new());
        change.store(Enrichment { now, trace: false }, &mut expected);
        reader.store(&plain, &Stamp::new(now), &mut stored);
        assert_eq!(String::from_utf8(stored).unwrap(), String::from_utf8(expected).unwrap(), "{message}");
        let Some(text) = change.value else { return plain.version.is_none() };
        assert!(text.len() <= limits.value_bytes_max, "{message}");
        let value = strict_value(text, limits.json_depth_max, Duplicates::Refuse).unwrap();
        assert!(plain.collection.is_valid(&value), "{message}");
        assert_eq!(plain.collection.key_of(&value).unwrap(), plain.key, "{message}");
        assert_eq!(plain.collection.version_of(&value), plain.version, "{message}");
        true
    }

    #[test]
    fn usual_changes_are_plain() {
        let document = document();
        for message in [
            r#"{"type":"t","key":"a","value":{"id":"a","v":3},"headers":{"operation":"upsert"}}"#,
            r#" { "type" : "t" , "key" : "a" , "value" : { "id" : "a" } , "headers" : { "operation" : "insert" } } "#,
            r#"{"value":{"id":7,"x":1},"old_value":{"a":1,"a":2},"headers":{"txid":"7","operation":"update"},"key":"7","type":"n"}"#,
            r#"{"type":"t","key":"ä","headers":{"operation":"delete","timestamp":"2026-01-31T12:00:00Z"}}"#,
            r#"{"type":"t","key":"a","value":null,"headers":{"operation":"delete","timestamp":"2026-01-31T12:00:00Z"}}"#,
            r#"{"type":"t","key":"a","value":null,"headers":{"operation":"delete"}}"#,
            r#"{"type":"t","key":"a","value":{"id":"a"},"headers":{"operation":"upsert","timestamp":"2026-01-31T12:00:00Z"}}"#,
        ] {
            assert!(is_plain(&document, message), "{message}");
        }
    }

    #[test]
    fn what_is_wrong_or_unusual_is_left_to_the_parser() {
        let document = document();
        let long = format!(
            r#"{{"type":"t","key":"a","value":{{"id":"a","{}":1}},"headers":{{"operation":"upsert"}}}}"#,
            "x".repeat(60)
        );
        for message in [
            r#"{"type":"u","key":"a","value":{"id":"a"},"headers":{"operation":"upsert"}}"#,
            r#"{"type":"t","key":"b","value":{"id":"a"},"headers":{"operation":"upsert"}}"#,
            r#"{"type":"t","key":"","value":{"id":""},"headers":{"operation":"upsert"}}"#,
            r#"{"type":"n","key":"-0","value":{"id":-0},"headers":{"operation":"upsert"}}"#,
            r#"{"type":"n","key":"9007199254740992","value":{"id":9007199254740992},"headers":{"operation":"upsert"}}"#,
            r#"{"type":"n","key":"1","value":{"id":1.0},"headers":{"operation":"upsert"}}"#,
            r#"{"type":"t","key":"a","value":{"id":"a","v":1.0},"headers":{"operation":"upsert"}}"#,
            r#"{"type":"t","key":"\u0061","value":{"id":"a"},"headers":{"operation":"upsert"}}"#,
            r#"{"type":"t","type":"t","key":"a","value":{"id":"a"},"headers":{"operation":"upsert"}}"#,
            r#"{"type":"t","key":"a","x":1,"x":1,"value":{"id":"a"},"headers":{"operation":"upsert"}}"#,
            r#"{"type":"t","key":"a","value":{"id":"a"},"headers":{"operation":"upsert","operation":"upsert"}}"#,
            r#"{"type":"t","key":"a","value":{"id":"a"},"headers":{"operation":"upsert","x":1,"x":1}}"#,
            r#"{"type":"t","key":"a","value":{"id":"a"},"headers":{"operation":"upsert","control":"reset"}}"#,
            r#"{"type":"t","key":"a","value":{"id":"a"},"headers":{"operation":"upsert","txid":""}}"#,
            r#"{"type":"t","key":"a","value":{"id":"a"},"headers":{"operation":"upsert","timestamp":"now"}}"#,
            r#"{"type":"t","key":"a","value":{"id":"a"},"headers":{"operation":"put"}}"#,
            r#"{"type":"t","key":"a","value":{"id":"a"},"headers":{}}"#,
            r#"{"type":"t","key":"a","value":{"id":"a"}}"#,
            r#"{"type":"t","key":"a","value":{"id":"a"},"headers":{"operation":"delete"}}"#,
            r#"{"type":"t","key":"a","headers":{"operation":"upsert"}}"#,
            r#"{"type":"t","key":"a","value":null,"headers":{"operation":"upsert"}}"#,
            r#"{"type":"t","key":"a","value":[],"headers":{"operation":"upsert"}}"#,
            r#"{"type":"t","key":"a","value":{"id":"a","w":"x"},"headers":{"operation":"upsert"}}"#,
            "[]",
            "",
            "{}",
            &long,
        ] {
            assert!(!is_plain(&document, message), "{message}");
        }
    }

    fn any_message() -> impl Strategy<Value = String> {
        let member = |name: &'static str, values: &'static [&'static str]| {
            (prop::option::weighted(0.95, prop::sample::select(values)), 0..60u8).prop_map(move |(value, odd)| {
                let value = value?;
                Some(match odd {
                    0..5 => format!("\"{name}\" : {value} "),
                    5..10 => format!("\n\"{name}\":{value}"),
                    10 => format!("\"{name}\":{value},\"{name}\":{value}"),
                    _ => format!("\"{name}\":{value}"),
                })
            })
        };
        let joined = |members: Vec<Option<String>>| members.into_iter().flatten().collect::<Vec<_>>().join(",");
        let headers = (
            member("operation", &["\"insert\"", "\"update\"", "\"upsert\"", "\"upsert\"", "\"delete\"", "\"put\""]),
            prop::option::of(member("txid", &["\"7\"", "\"\"", "\"\\u0037\"", "null"])),
            prop::option::of(member("timestamp", &["\"2026-01-31T12:00:00Z\"", "\"now\""])),
            prop::option::of(member("from", &["\"x\"", "{\"a\":1,\"a\":1}", "1e999"])),
        )
            .prop_map(|(a, b, c, d)| vec![a, b.flatten(), c.flatten(), d.flatten()])
            .prop_shuffle()
            .prop_map(move |members| Some(format!("\"headers\":{{{}}}", joined(members))));
        let value = member(
            "value",
            &[
                r#"{"id":"a"}"#,
                r#"{"id":"a","v":3}"#,
                r#"{"v":null,"id":"a"}"#,
                r#"{ "id" : "a" , "x" : 1 }"#,
                r#"{"id":"a"}"#,
                r#"{"id":"a","v":-3}"#,
                r#"{"id":"a","x":1,"y":2}"#,
                r#"{"v":0,"id":"a"}"#,
                r#"{"id":7}"#,
                r#"{"id":7,"x":-3}"#,
                r#"{"id":"b"}"#,
                r#"{"id":"\u0061"}"#,
                r#"{"id":"a","x":1.0}"#,
                r#"{"id":"a","id":"a"}"#,
                r#"{"id":"a","x":1,"x":1}"#,
                "null",
                "7",
                r#"{"id":"a","aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa":1}"#,
            ],
        );
        (
            member("type", &["\"t\"", "\"t\"", "\"t\"", "\"n\"", "\"n\"", "\"u\"", "7"]),
            member("key", &["\"a\"", "\"a\"", "\"a\"", "\"a\"", "\"7\"", "\"\"", "\"\\u0061\""]),
            value,
            prop::option::of(member("old_value", &["1", "{\"b\":[1e999]}", "\"\\ud800\""])),
            headers,
        )
            .prop_map(|(a, b, c, d, e)| vec![a, b, c, d.flatten(), e])
            .prop_shuffle()
            .prop_map(move |members| format!("{{{}}}", joined(members)))
    }

    #[test]
    fn a_plain_change_is_the_change_that_the_parser_reads() {
        use proptest::strategy::ValueTree;
        let (document, mut runner) = (document(), proptest::test_runner::TestRunner::deterministic());
        let messages = (0..20_000).map(|_| any_message().new_tree(&mut runner).unwrap().current());
        let plain = messages.filter(|message| is_plain(&document, message)).count();
        assert!(plain > 250, "{plain}");
    }
}
