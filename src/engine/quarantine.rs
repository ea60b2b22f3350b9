//! What a binding keeps aside instead of refusing: a companion stream, one JSON message per refused change.
//!
//! The companion is written in the same step as the stream's own record, so a producer never moves past a change that
//! is neither stored nor kept aside. It takes no position of the stream itself.

use std::sync::Arc;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::model::{ContentType, Offset, ReadFrom, StreamName};
use crate::stream::{Body, Creation, Lifetime, Record};

use super::check::SetAside;
use super::handle::{Core, Handle};
use super::write::Content;
use super::{ChangeFault, Engine, Fault};

/// A page of refused changes, oldest first.
#[derive(Debug)]
pub struct QuarantinePage {
    pub entries: Vec<Box<RawValue>>,
    pub next: Offset,
    pub up_to_date: bool,
}

impl Engine {
    pub(super) fn quarantine_content(&self, set_aside: &[SetAside]) -> Content {
        let at = self.now().to_string();
        let messages: Vec<String> = set_aside
            .iter()
            .map(|entry| {
                // What is not even JSON is kept as a text.
                let change =
                    serde_json::from_str(&entry.change).unwrap_or_else(|_| Value::from(entry.change.clone()));
                let errors: Vec<Value> = entry.faults.iter().map(fault_json).collect();
                json!({ "at": at, "change": change, "errors": errors }).to_string()
            })
            .collect();
        Content::of_messages(messages.iter().map(String::as_bytes))
    }

    /// What appends to a stream that is kept beside another one, and creates it first where it is not there.
    pub(super) fn companion_records(&self, beside: &Arc<Handle>, core: &Core, content: Content) -> Vec<Record> {
        let mut records = Vec::with_capacity(2);
        let (id, tail) = match &core.state {
            Some(state) => (state.id, state.next()),
            None => {
                let creation = Creation {
                    name: beside.name.clone(),
                    content_type: ContentType::json(),
                    lifetime: Lifetime::Unlimited,
                    start: self.start_position(),
                    schema: None,
                    fork: None,
                };
                let record = self.creation_record(creation, false);
                let born = (record.stream, record.first);
                records.push(record);
                born
            }
        };
        let body = Body::Append { lengths: content.lengths, payload: content.payload };
        records.push(Record { count: content.count, body, ..Record::plain(id, tail, self.now()) });
        records
    }

    /// The changes of a stream that were refused and kept.
    pub async fn quarantine_page(&self, name: &StreamName, from: ReadFrom) -> Result<QuarantinePage, Fault> {
        self.peek(name).await?;
        let beside = self.handle(&name.quarantine_of());
        let Some(stream) = beside.stream() else {
            return Ok(QuarantinePage { entries: Vec::new(), next: Offset::BEGINNING, up_to_date: true });
        };
        let from = match from {
            ReadFrom::Beginning => stream.creation.start,
            ReadFrom::At(offset) => {
                self.check_offset(Some(&stream), offset)?;
                offset.position
            }
            ReadFrom::Tail => stream.tail,
        };
        let page = self.raw_page(&stream, from).await?;
        let body = [b"[".as_slice(), &page.payload, b"]"].concat();
        let entries = serde_json::from_slice(&body).map_err(|e| Fault::Storage(e.to_string()))?;
        Ok(QuarantinePage { entries, next: Offset::at(page.next), up_to_date: page.up_to_date })
    }

    /// How many refused changes of a stream are kept.
    pub fn quarantined(&self, name: &StreamName) -> u64 {
        let beside = self.handle(&name.quarantine_of());
        beside.stream().map_or(0, |stream| stream.length())
    }
}

fn fault_json(fault: &ChangeFault) -> Value {
    json!({
        "pointer": fault.pointer,
        "keyword": fault.keyword,
        "schema_location": fault.schema_location,
        "schema_version": fault.schema_version,
        "message": fault.message,
    })
}
