//! The State Protocol's change message: read from a client, and the form it is stored in. Source: STATE-PROTOCOL.md §5.1.
//!
//! A change is stored as it was sent, but for what every reader would otherwise have to add: `headers.timestamp` where
//! it is absent, the fields that a binding's egress asks for, and a deletion's `"value": null`, which is dropped.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::model::{EntityKey, EntityType, Operation, Timestamp, is_rfc_3339};

/// Where a message says that it is no change but speaks to readers.
pub const CONTROL: &str = "/headers/control";

/// What is wrong with an envelope: where, which rule, and what to do. Wire: 422.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvelopeFault {
    /// JSON pointer into the message.
    pub pointer: &'static str,
    /// The rule, in the manner of a schema keyword.
    pub keyword: &'static str,
    pub message: String,
}

/// Keyword of what is not acceptable JSON at all: members that stand twice, lone surrogates. Wire: 400.
pub const MALFORMED: &str = "json";

/// A change message, borrowed from the body it came in.
#[derive(Debug)]
pub struct Change<'a> {
    pub entity_type: EntityType,
    pub key: EntityKey,
    pub operation: Operation,
    /// Absent exactly on a deletion.
    pub value: Option<&'a str>,
    pub txid: Option<Cow<'a, str>>,
    source: &'a str,
    raw: RawChange<'a>,
    headers: RawHeaders<'a>,
}

/// What is added to a change when it is stored.
#[derive(Clone, Copy, Debug)]
pub struct Enrichment {
    pub now: Timestamp,
    /// Fill in `correlationId` and `traceparent`, which some consumers refuse to do without.
    pub trace: bool,
}

impl<'a> Change<'a> {
    /// Reads an envelope; the value is left for the schema.
    pub fn parse(message: &'a str) -> Result<Self, EnvelopeFault> {
        let fault = |pointer, keyword, message: &str| EnvelopeFault { pointer, keyword, message: message.into() };
        let order = members(message, "", "a change is an object with type, key, value and headers")?;
        let raw = RawChange::of(order);
        let Some(raw_headers) = raw.headers else {
            return Err(fault("", "required", "headers is missing; it names the operation"));
        };
        let headers = RawHeaders::of(members(raw_headers.get(), "/headers", "headers is an object of texts")?)?;
        if headers.control.is_some() {
            return Err(fault(CONTROL, "not", "control messages are the server's to send on a typed stream"));
        }
        let operation = match headers.operation.as_deref() {
            None => return Err(fault("/headers", "required", "headers.operation is missing")),
            Some(text) => Operation::parse(text).ok_or_else(|| {
                fault("/headers/operation", "enum", "headers.operation is insert, update, upsert or delete")
            })?,
        };
        let entity_type = text_member(raw.entity_type, "/type", EntityType::parse)?;
        let key = text_member(raw.key, "/key", EntityKey::parse)?;
        let value = raw.value.map(RawValue::get);
        match (operation, value) {
            (Operation::Delete, None | Some("null")) => {}
            (Operation::Delete, Some(_)) => return Err(fault("/value", "not", "a delete has no value")),
            (_, None) => return Err(fault("", "required", "value is missing; only a delete has none")),
            _ => {}
        }
        if headers.txid.as_deref() == Some("") {
            return Err(fault("/headers/txid", "minLength", "headers.txid is not empty where it is given"));
        }
        if let Some(timestamp) = &headers.timestamp
            && !is_rfc_3339(timestamp)
        {
            return Err(fault("/headers/timestamp", "format", "headers.timestamp is an RFC 3339 moment"));
        }
        let value = value.filter(|_| operation != Operation::Delete);
        let txid = headers.txid.clone();
        Ok(Self { entity_type, key, operation, value, txid, source: message, raw, headers })
    }

    /// Appends the stored form to `out`.
    pub fn store(&self, enrichment: Enrichment, out: &mut Vec<u8>) {
        let stamp = self.headers.timestamp.is_none();
        let correlate = enrichment.trace && self.headers.correlation_id.is_none();
        let trace = enrichment.trace && !self.headers.traceparent.as_deref().is_some_and(is_traceparent);
        let strip = self.operation == Operation::Delete && self.raw.value.is_some();
        if !stamp && !correlate && !trace && !strip {
            out.extend_from_slice(self.source.as_bytes());
            return;
        }
        let mut separator = b'{';
        for (name, value) in &self.raw.order {
            if name == "headers" || (strip && name == "value") {
                continue;
            }
            out.push(separator);
            separator = b',';
            write_member(out, name, value.get());
        }
        out.push(separator);
        out.extend_from_slice(b"\"headers\":");
        separator = b'{';
        for (name, value) in &self.headers.order {
            if (trace && name == "traceparent") || (correlate && name == "correlationId") {
                continue;
            }
            out.push(separator);
            separator = b',';
            write_member(out, name, value.get());
        }
        let mut add = |name: &str, value: &str| {
            out.push(b',');
            write_member(out, name, &format!("\"{value}\""));
        };
        if stamp {
            add("timestamp", &enrichment.now.to_string());
        }
        if correlate || trace {
            let id = trace_id(&self.entity_type, &self.key, enrichment.now);
            if correlate {
                add("correlationId", &id);
            }
            if trace {
                add("traceparent", &format!("00-{id}-{}-00", &id[16..]));
            }
        }
        out.extend_from_slice(b"}}");
    }
}

/// The stored form of a change that came as an entity, not as a message.
pub fn store_entity(entity_type: &EntityType, key: &EntityKey, operation: Operation, value: Option<&str>) -> Vec<u8> {
    entity_message(entity_type, key, operation, value, None)
}

/// As [`store_entity`], of an update that belongs to a transaction.
pub fn store_update(entity_type: &EntityType, key: &EntityKey, value: &str, txid: &str) -> Vec<u8> {
    entity_message(entity_type, key, Operation::Update, Some(value), Some(txid))
}

fn entity_message(
    entity_type: &EntityType,
    key: &EntityKey,
    operation: Operation,
    value: Option<&str>,
    txid: Option<&str>,
) -> Vec<u8> {
    let mut out = vec![b'{'];
    write_member(&mut out, "type", &quoted(entity_type.as_str()));
    out.push(b',');
    write_member(&mut out, "key", &quoted(key.as_str()));
    if let Some(value) = value {
        out.push(b',');
        write_member(&mut out, "value", value);
    }
    out.push(b',');
    let txid = txid.map_or(String::new(), |txid| format!(",\"txid\":{}", quoted(txid)));
    write_member(&mut out, "headers", &format!("{{\"operation\":\"{}\"{txid}}}", operation.as_str()));
    out.push(b'}');
    out
}

fn write_member(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(quoted(name).as_bytes());
    out.push(b':');
    out.extend_from_slice(value.as_bytes());
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// `/^[\da-f]{2}-[\da-f]{32}-[\da-f]{16}-[\da-f]{2}$/i`
fn is_traceparent(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let hex = |part: &str| part.bytes().all(|b| b.is_ascii_hexdigit());
    parts.iter().map(|p| p.len()).eq([2, 32, 16, 2]) && parts.into_iter().all(hex)
}

/// 32 hex digits that tell changes apart without a source of chance: made from what the change is and when it came.
fn trace_id(entity_type: &EntityType, key: &EntityKey, now: Timestamp) -> String {
    use sha2::Digest;
    let mut digest = sha2::Sha256::new();
    for part in [entity_type.as_str().as_bytes(), key.as_str().as_bytes(), &now.as_millis().to_le_bytes()] {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    digest.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn text_member<T>(
    member: Option<&RawValue>,
    pointer: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<T, EnvelopeFault> {
    let name = &pointer[1..];
    let fault = |keyword, message: String| EnvelopeFault { pointer, keyword, message };
    let Some(raw) = member else {
        return Err(EnvelopeFault { pointer: "", keyword: "required", message: format!("{name} is missing") });
    };
    let text = text(raw, pointer)?;
    parse(&text).ok_or_else(|| fault("maxLength", format!("{name} is empty or too long")))
}

/// A text that borrows where it can; `Cow` alone always copies.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Cow<'de, str>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(text))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(text.into()))
            }
        }
        deserializer.deserialize_str(TextVisitor).map(Text)
    }
}

type Members<'a> = Vec<(Cow<'a, str>, &'a RawValue)>;

/// Most members of a change, and of its headers.
const MEMBERS_MAX: usize = 64;

/// Members in the order they came; a name that stands twice is refused.
struct Ordered<'a>(Members<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Ordered<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Self::Value = Vec::with_capacity(5);
                while let Some(Text(name)) = map.next_key()? {
                    // Few, so that looking for a repeated name stays cheap.
                    if members.len() == MEMBERS_MAX {
                        return Err(A::Error::custom(format_args!("more than {MEMBERS_MAX} members")));
                    }
                    if members.iter().any(|(known, _)| *known == name) {
                        return Err(A::Error::custom(format_args!("member {name:?} stands twice")));
                    }
                    members.push((name, map.next_value()?));
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(MembersVisitor).map(Ordered)
    }
}

/// The members of an object, or what is wrong with it.
fn members<'a>(text: &'a str, pointer: &'static str, expected: &str) -> Result<Members<'a>, EnvelopeFault> {
    let object = text.starts_with('{');
    serde_json::from_str::<Ordered<'a>>(text).map(|ordered| ordered.0).map_err(|e| EnvelopeFault {
        pointer,
        keyword: if object { MALFORMED } else { "type" },
        message: if object { e.to_string() } else { expected.to_owned() },
    })
}

/// A member that is a text, or what is wrong with it.
fn text<'a>(raw: &'a RawValue, pointer: &'static str) -> Result<Cow<'a, str>, EnvelopeFault> {
    let quoted = raw.get().starts_with('"');
    serde_json::from_str::<Text<'a>>(raw.get()).map(|text| text.0).map_err(|e| EnvelopeFault {
        pointer,
        keyword: if quoted { MALFORMED } else { "type" },
        message: if quoted { e.to_string() } else { "it is a text".to_owned() },
    })
}

#[derive(Debug)]
struct RawChange<'a> {
    entity_type: Option<&'a RawValue>,
    key: Option<&'a RawValue>,
    value: Option<&'a RawValue>,
    headers: Option<&'a RawValue>,
    order: Members<'a>,
}

impl<'a> RawChange<'a> {
    fn of(order: Members<'a>) -> Self {
        let member = |wanted: &str| order.iter().find(|(name, _)| name == wanted).map(|(_, value)| *value);
        Self {
            entity_type: member("type"),
            key: member("key"),
            value: member("value"),
            headers: member("headers"),
            order,
        }
    }
}

#[derive(Debug)]
struct RawHeaders<'a> {
    operation: Option<Cow<'a, str>>,
    control: Option<&'a RawValue>,
    txid: Option<Cow<'a, str>>,
    timestamp: Option<Cow<'a, str>>,
    /// `None` where it is no text, or an empty one, which says as much as none.
    correlation_id: Option<Cow<'a, str>>,
    /// `None` where it is no text.
    traceparent: Option<Cow<'a, str>>,
    order: Members<'a>,
}

impl<'a> RawHeaders<'a> {
    fn of(order: Members<'a>) -> Result<Self, EnvelopeFault> {
        let member = |wanted: &str| order.iter().find(|(name, _)| name == wanted).map(|(_, value)| *value);
        let text = |wanted: &str, pointer| member(wanted).map(|raw| text(raw, pointer)).transpose();
        // These say nothing of the change: what is no text is not used, and not refused either.
        let usable = |wanted: &str, pointer| match member(wanted) {
            Some(raw) if raw.get().starts_with('"') => text(wanted, pointer),
            _ => Ok(None),
        };
        Ok(Self {
            operation: text("operation", "/headers/operation")?,
            control: member("control"),
            txid: text("txid", "/headers/txid")?,
            timestamp: text("timestamp", "/headers/timestamp")?,
            correlation_id: usable("correlationId", "/headers/correlationId")?.filter(|id| !id.is_empty()),
            traceparent: usable("traceparent", "/headers/traceparent")?,
            order,
        })
    }
}

/// The little of a stored message that the fold needs. `None` for what is no change (control messages, foreign JSON).
#[derive(Debug, PartialEq, Eq)]
pub struct StoredChange<'a> {
    pub entity_type: Cow<'a, str>,
    pub key: Cow<'a, str>,
    pub deletes: bool,
    pub value: Option<&'a str>,
}

impl<'a> StoredChange<'a> {
    pub fn parse(message: &'a str) -> Option<Self> {
        let raw = RawChange::of(members(message, "", "").ok()?);
        let headers = RawHeaders::of(members(raw.headers?.get(), "/headers", "").ok()?).ok()?;
        Some(Self {
            entity_type: text(raw.entity_type?, "/type").ok()?,
            key: text(raw.key?, "/key").ok()?,
            deletes: Operation::parse(headers.operation.as_deref()?)? == Operation::Delete,
            value: raw.value.map(RawValue::get),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Enrichment {
        Enrichment { now: text.parse().unwrap(), trace: false }
    }

    fn stored(message: &str, enrichment: Enrichment) -> String {
        let mut out = Vec::new();
        Change::parse(message).unwrap().store(enrichment, &mut out);
        String::from_utf8(out).unwrap()
    }

    const STAMP: &str = "2026-01-31T12:00:00Z";

    #[test]
    fn a_stamped_change_is_stored_as_sent() {
        let sent = r#"{"key":"a", "type":"t","value":{"x" : 1},"headers":{"operation":"upsert","timestamp":"2026-01-01T00:00:00Z"}}"#;
        assert_eq!(stored(sent, at(STAMP)), sent);
    }

    #[test]
    fn a_missing_timestamp_is_added_and_the_rest_kept() {
        let sent = r#"{"type":"t","key":"a","value":1,"extra":[1],"headers":{"operation":"insert","txid":"7"}}"#;
        let expected = r#"{"type":"t","key":"a","value":1,"extra":[1],"headers":{"operation":"insert","txid":"7","timestamp":"2026-01-31T12:00:00.000Z"}}"#;
        assert_eq!(stored(sent, at(STAMP)), expected);
    }

    #[test]
    fn a_deletion_loses_its_null_value() {
        let sent = r#"{"type":"t","key":"a","value":null,"headers":{"operation":"delete"}}"#;
        let text = stored(sent, at(STAMP));
        assert!(!text.contains("value"), "{text}");
        assert!(StoredChange::parse(&text).unwrap().deletes);
    }

    #[test]
    fn trace_fields_are_filled_in_where_asked() {
        for unusable in ["null", "7", "{}", "\"\"", "\"nonsense\""] {
            let sent = format!(
                r#"{{"type":"t","key":"a","value":1,"headers":{{"correlationId":{},"operation":"upsert","traceparent":{unusable}}}}}"#,
                if unusable.contains("nonsense") { "null" } else { unusable }
            );
            let text = stored(&sent, Enrichment { trace: true, ..at(STAMP) });
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert!(is_traceparent(value["headers"]["traceparent"].as_str().unwrap()), "{text}");
            assert_eq!(value["headers"]["correlationId"].as_str().unwrap().len(), 32);
            assert_eq!(
                (text.matches("correlationId").count(), text.matches("traceparent").count()),
                (1, 1),
                "{text}"
            );
            // Where nobody asked for them, they are what they are.
            assert!(stored(&sent, at(STAMP)).contains(&format!("\"traceparent\":{unusable}")));
        }
    }

    #[test]
    fn usable_trace_fields_are_kept() {
        let headers = r#"{"operation":"upsert","correlationId":"c","traceparent":"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01","timestamp":"2026-01-01T00:00:00Z"}"#;
        let sent = format!(r#"{{"type":"t","key":"a","value":1,"headers":{headers}}}"#);
        assert_eq!(stored(&sent, Enrichment { trace: true, ..at(STAMP) }), sent);
    }

    #[test]
    fn envelope_faults_name_the_place() {
        for (message, pointer, keyword) in [
            ("1", "", "type"),
            (r#"{"type":"t","key":"a","value":1}"#, "", "required"),
            (r#"{"type":"t","key":"a","value":1,"headers":{}}"#, "/headers", "required"),
            (r#"{"type":"t","key":"a","value":1,"headers":{"operation":"patch"}}"#, "/headers/operation", "enum"),
            (r#"{"type":7,"key":"a","value":1,"headers":{"operation":"insert"}}"#, "/type", "type"),
            (r#"{"type":"t","key":"","value":1,"headers":{"operation":"insert"}}"#, "/key", "maxLength"),
            (r#"{"type":"t","key":"a","headers":{"operation":"insert"}}"#, "", "required"),
            (r#"{"type":"t","key":"a","value":1,"headers":{"operation":"delete"}}"#, "/value", "not"),
            (r#"{"headers":{"control":"reset"}}"#, "/headers/control", "not"),
            (r#"{"type":"t","type":"u","key":"a","value":1,"headers":{"operation":"insert"}}"#, "", MALFORMED),
            (r#"{"type":"t","key":"\ud800","value":1,"headers":{"operation":"insert"}}"#, "/key", MALFORMED),
            (
                r#"{"type":"t","key":"a","value":1,"headers":{"operation":"insert","operation":"update"}}"#,
                "/headers",
                MALFORMED,
            ),
        ] {
            let fault = Change::parse(message).unwrap_err();
            assert_eq!((fault.pointer, fault.keyword), (pointer, keyword), "{message}: {fault:?}");
        }
    }

    #[test]
    fn an_entitys_change_reads_back() {
        let [t, k] = ["t\"", "k\n"];
        let text = store_entity(
            &EntityType::parse(t).unwrap(),
            &EntityKey::parse(k).unwrap(),
            Operation::Upsert,
            Some("{}"),
        );
        let text = String::from_utf8(text).unwrap();
        let change = Change::parse(&text).unwrap();
        assert_eq!((change.entity_type.as_str(), change.key.as_str(), change.value), (t, k, Some("{}")));
    }
}
