//! What a server tells about its streams: the bodies of the list and of the inspection, as both sides know them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::stream::SchemaRef;

/// The schema version that a stream's changes are checked under.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct SchemaBody {
    pub subject: String,
    pub version: u32,
}

impl From<&SchemaRef> for SchemaBody {
    fn from(schema: &SchemaRef) -> Self {
        Self { subject: schema.subject.to_string(), version: schema.version }
    }
}

/// A row of the list of streams.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct StreamRow {
    pub name: String,
    pub content_type: String,
    /// Null on an untyped stream.
    pub schema: Option<SchemaBody>,
    pub tail: String,
    pub bytes: u64,
    pub closed: bool,
}

/// A page of the list of streams.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct StreamsReply {
    pub streams: Vec<StreamRow>,
    /// Send as `cursor` for the next page; null after the last one.
    pub next: Option<String>,
}

/// Everything known of one stream.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct StreamBody {
    pub name: String,
    /// False for a bound name that nobody has written yet.
    pub written: bool,
    pub content_type: String,
    pub schema: Option<SchemaBody>,
    /// The binding that applies.
    pub binding: Option<String>,
    pub collections: Vec<CollectionBody>,
    pub offsets: OffsetsBody,
    /// Messages (JSON) or bytes (all else) ever appended.
    pub length: u64,
    pub bytes: u64,
    pub closed: bool,
    /// Where it goes on from, if it is a fork.
    pub fork_of: Option<ForkBody>,
    /// Forks that refer to it.
    pub forks: usize,
    pub ttl_s: Option<u64>,
    pub expires_at: Option<String>,
    pub last_used_at: Option<String>,
    pub producers: Vec<ProducerBody>,
    /// Live readers now.
    pub readers: usize,
    /// Refused changes kept aside.
    pub quarantined: u64,
}

/// Where a fork left its source.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct ForkBody {
    pub source: String,
    /// In the source: what lies before it is inherited.
    pub offset: String,
}

/// Where a stream begins and ends.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct OffsetsBody {
    pub start: String,
    pub tail: String,
}

/// One collection of a typed stream.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct CollectionBody {
    pub name: String,
    pub r#type: String,
    pub primary_key: String,
    /// Live entities.
    pub live: u64,
}

/// One producer of a stream.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct ProducerBody {
    pub id: String,
    pub epoch: u64,
    pub last_seq: u64,
    pub last_seen_at: String,
    /// Former incarnations, oldest first.
    pub former: Vec<EpochBody>,
}

/// The last seq of a former producer epoch.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct EpochBody {
    pub epoch: u64,
    pub last_seq: u64,
}
