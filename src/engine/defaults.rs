//! Defaults of a stream's schema, filled in where entities are read. What is stored stays as it was written.
//!
//! Decides who is given them: whoever asks, and where the binding says so whoever reads entities and does not ask not
//! to. Reads of the log itself give what is stored unless they ask.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use crate::protocol::change::StoredChange;
use crate::protocol::json::{self, Duplicates, inexact_number, strict_value};
use crate::registry::{Compiled, Defaulting};

use super::folded::Selection;
use super::handle::Handle;
use super::read::RawPage;
use super::{Engine, Fault};

/// Fills defaults into values of one stream.
#[derive(Clone, Debug)]
pub struct Filler {
    compiled: Arc<Compiled>,
    depth_max: usize,
    /// The schema version whose defaults they are.
    pub version: u32,
}

/// What is read: entities, or the log they are folded from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    Entities,
    Log,
}

impl Engine {
    /// What fills defaults into a read; `None` where it gives what is stored. `asked` is what the reader said.
    pub fn filler(&self, handle: &Handle, reading: Reading, asked: Option<bool>) -> Result<Option<Filler>, Fault> {
        let by_binding = || {
            let binding = self.binding(handle);
            reading == Reading::Entities && binding.is_some_and(|binding| binding.defaults == Defaulting::OnRead)
        };
        if !asked.unwrap_or_else(by_binding) {
            return Ok(None);
        }
        let schema = match self.schema_of(handle) {
            // Bound later than it was written, and read as it is.
            Err(Fault::NotTyped(_)) if asked.is_none() => return Ok(None),
            schema => schema?,
        };
        let (compiled, depth_max) = (self.compiled(&schema)?, self.limits().json_depth_max);
        Ok(Some(Filler { compiled, depth_max, version: schema.version }))
    }
}

/// What defaults may add to a value that is small.
const FILLED_BYTES_MAX: usize = 16 << 10;
/// A page that is smaller may still become so large.
const PAGE_BYTES_MIN: usize = 1 << 20;

impl Filler {
    /// Most entities of a page that is filled in.
    pub const PAGE_ENTITIES: usize = 1_000;

    /// A stored change with the defaults of its value; `None` where that is as it is stored.
    pub fn change(&self, change: &[u8]) -> Option<Bytes> {
        let text = std::str::from_utf8(change).ok()?;
        let StoredChange { entity_type, value, .. } = StoredChange::parse(text)?;
        let value = value?;
        let filled = self.text(&entity_type, value)?;
        // The value is a part of the message.
        let start = value.as_ptr() as usize - text.as_ptr() as usize;
        Some([&text[..start], &filled, &text[start + value.len()..]].concat().into())
    }

    /// A value with its defaults; `None` where that is as it is stored.
    pub fn value(&self, entity_type: &str, value: &[u8]) -> Option<Bytes> {
        self.text(entity_type, std::str::from_utf8(value).ok()?).map(Bytes::from)
    }

    /// Fills defaults into the messages of a page; it ends earlier where they make it too large.
    pub fn fill_page(&self, page: &mut RawPage) {
        let Ok(messages) = json::messages(&page.payload, usize::MAX) else { return };
        let room = page.payload.len().max(PAGE_BYTES_MIN) * 2;
        let (mut filled, mut taken) = (Vec::with_capacity(page.payload.len()), 0);
        filled.push(b'[');
        for message in &messages {
            if filled.len() > room {
                break;
            }
            match self.change(message.as_bytes()) {
                Some(change) => filled.extend_from_slice(&change),
                None => filled.extend_from_slice(message.as_bytes()),
            }
            filled.push(b',');
            taken += 1;
        }
        // In the place of the last comma, if there is one.
        filled.truncate(filled.len().max(2) - 1);
        filled.push(b']');
        let cut = (taken < messages.len()).then(|| page.positions().nth(taken)).flatten();
        page.payload = filled.into();
        if let Some(next) = cut {
            page.next = next;
            (page.up_to_date, page.closed) = (false, false);
        }
    }

    /// A selection whose pages hold so few entities that their defaults find room.
    pub fn paged<'s>(filler: Option<&Self>, selection: &'s Selection) -> Cow<'s, Selection> {
        match filler {
            None => Cow::Borrowed(selection),
            Some(_) => {
                let limit = selection.limit.unwrap_or(usize::MAX).min(Self::PAGE_ENTITIES);
                Cow::Owned(Selection { limit: Some(limit), ..selection.clone() })
            }
        }
    }

    fn text(&self, entity_type: &str, text: &str) -> Option<String> {
        let collection = self.compiled.collection(entity_type)?;
        let value = strict_value(text, self.depth_max, Duplicates::Keep).ok()?;
        let filled = collection.filled(&value)?;
        // Written anew, a number that was rounded would be another one.
        if inexact_number(text).is_some() {
            return None;
        }
        Some(filled.to_string()).filter(|filled| filled.len() <= text.len() * 2 + FILLED_BYTES_MAX)
    }
}
