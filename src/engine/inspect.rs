//! What there is: the list of streams, and everything known of one.

use crate::model::{Offset, ProducerEpoch, ProducerSeq, StreamName, Timestamp};
use crate::stream::{Lifetime, SchemaRef};

use super::{Engine, Fault};

/// Everything known of one stream. Durable.
#[derive(Debug)]
pub struct Inspection {
    pub name: StreamName,
    /// False for a bound name that nobody has written yet.
    pub written: bool,
    pub content_type: String,
    pub schema: Option<SchemaRef>,
    pub binding: Option<String>,
    pub collections: Vec<CollectionInspection>,
    pub start: Offset,
    pub tail: Offset,
    /// Messages (JSON) or bytes (all else) ever appended.
    pub length: u64,
    pub bytes: u64,
    pub closed: bool,
    /// Where it goes on from, and up to where it inherits, if it is a fork.
    pub fork_of: Option<(StreamName, Offset)>,
    /// Forks that refer to it.
    pub forks: usize,
    pub lifetime: Lifetime,
    pub used_at: Option<Timestamp>,
    pub producers: Vec<ProducerInspection>,
    pub live_readers: usize,
    pub quarantined: u64,
}

/// One collection of a typed stream.
#[derive(Debug)]
pub struct CollectionInspection {
    pub name: String,
    pub entity_type: String,
    pub primary_key: String,
    pub live: u64,
}

/// One producer of a stream, with its former epochs.
#[derive(Debug)]
pub struct ProducerInspection {
    pub id: String,
    pub epoch: ProducerEpoch,
    pub last_seq: ProducerSeq,
    pub seen_at: Timestamp,
    pub former: Vec<(ProducerEpoch, ProducerSeq)>,
}

/// A row of the list of streams.
#[derive(Debug)]
pub struct Listed {
    pub name: StreamName,
    pub content_type: String,
    pub schema: Option<SchemaRef>,
    pub tail: Offset,
    pub bytes: u64,
    pub closed: bool,
}

impl Engine {
    /// Up to `limit` streams by name, from after `cursor`; and the cursor of the next page.
    pub async fn list(
        &self,
        prefix: &str,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Listed>, Option<String>), Fault> {
        let names = match StreamName::is_internal_text(prefix) {
            true => Vec::new(),
            false => self.store.list(prefix, cursor, limit + 1),
        };
        let next = (names.len() > limit).then(|| names[limit - 1].to_string());
        let mut listed = Vec::with_capacity(names.len().min(limit));
        for name in names.into_iter().take(limit) {
            let handle = self.handle(&name);
            self.end_if_over(&handle).await?;
            let Some(stream) = handle.stream() else { continue };
            listed.push(Listed {
                name,
                content_type: stream.creation.content_type.to_string(),
                schema: stream.schema.clone(),
                tail: stream.tail_offset(),
                bytes: stream.bytes,
                closed: stream.closed,
            });
        }
        Ok((listed, next))
    }

    /// Everything known of a stream.
    pub async fn inspect(&self, name: &StreamName) -> Result<Inspection, Fault> {
        let (handle, stream) = self.peek(name).await?;
        let binding = self.binding(&handle);
        let schema = match &stream {
            Some(stream) => stream.schema.clone(),
            None => Some(self.schema_of(&handle)?),
        };
        let mut collections = Vec::new();
        if let Some(schema) = &schema {
            let compiled = self.compiled(schema)?;
            let live = self.live_counts(&handle).await?;
            collections.extend(compiled.collections().map(|c| CollectionInspection {
                name: c.name.clone(),
                entity_type: c.entity_type.to_string(),
                primary_key: c.primary_key.clone(),
                live: live.iter().find(|(name, _)| name == c.entity_type.as_str()).map_or(0, |(_, live)| *live),
            }));
        }
        let state = stream.as_ref().and_then(|stream| self.store.load(stream.id));
        let mut producers: Vec<ProducerInspection> = state
            .iter()
            .flat_map(|state| &state.producers)
            .map(|(id, producer)| ProducerInspection {
                id: id.to_string(),
                epoch: producer.epoch,
                last_seq: producer.last_seq,
                seen_at: producer.seen_at,
                former: producer.former.clone(),
            })
            .collect();
        producers.sort_by(|a, b| a.id.cmp(&b.id));
        let fork = stream.as_ref().and_then(|stream| stream.creation.fork.as_ref());
        let start = stream.as_ref().map_or(0, |stream| stream.creation.start);
        let tail = stream.as_ref().map_or(0, |stream| stream.tail);
        Ok(Inspection {
            name: name.clone(),
            written: stream.is_some(),
            content_type: stream.as_ref().map_or("application/json".into(), |s| s.creation.content_type.to_string()),
            schema,
            binding: binding.map(|binding| binding.name.to_string()),
            collections,
            start: Offset::at(start),
            tail: Offset::at(tail),
            length: stream.as_ref().map_or(0, |stream| stream.length()),
            bytes: stream.as_ref().map_or(0, |stream| stream.bytes),
            closed: stream.as_ref().is_some_and(|stream| stream.closed),
            fork_of: fork.map(|fork| (fork.source_name.clone(), Offset::at(fork.at))),
            forks: state.as_ref().map_or(0, |state| state.pins.len()),
            lifetime: stream.as_ref().map_or(Lifetime::Unlimited, |stream| stream.creation.lifetime),
            used_at: stream.as_ref().map(|stream| stream.used_at),
            producers,
            live_readers: handle.readers(),
            quarantined: self.quarantined(name),
        })
    }
}
