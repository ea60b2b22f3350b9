//! What a server tells about its streams.

use reqwest::Method;
use serde::{Deserialize, Serialize};

use super::{Client, ClientError, url};

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct StreamPage {
    pub streams: Vec<StreamRow>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<String>,
}

/// A stream in a list.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct StreamRow {
    pub name: String,
    pub content_type: String,
    /// `None` on an untyped stream.
    pub schema: Option<SchemaInspection>,
    pub tail: String,
    pub bytes: u64,
    pub closed: bool,
}

/// The schema version under which a stream's changes are checked.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct SchemaInspection {
    pub subject: String,
    pub version: u64,
}

/// Everything known of one stream.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Inspection {
    pub name: String,
    /// False for a bound name that nobody has written yet.
    pub written: bool,
    pub content_type: String,
    pub schema: Option<SchemaInspection>,
    /// The binding that applies.
    pub binding: Option<String>,
    pub collections: Vec<CollectionInspection>,
    pub offsets: OffsetsInspection,
    /// Messages (JSON) or bytes (all else) ever appended.
    pub length: u64,
    pub bytes: u64,
    pub closed: bool,
    pub ttl_s: Option<u64>,
    pub expires_at: Option<String>,
    pub last_used_at: Option<String>,
    pub producers: Vec<ProducerInspection>,
    /// Live readers now.
    pub readers: u64,
    /// Refused changes kept aside.
    pub quarantined: u64,
}

/// Where a stream begins and ends.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct OffsetsInspection {
    pub start: String,
    pub tail: String,
}

/// One collection of a typed stream.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct CollectionInspection {
    pub name: String,
    #[serde(rename = "type")]
    pub entity_type: String,
    pub primary_key: String,
    /// Live entities.
    pub live: u64,
}

/// One producer of a stream.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ProducerInspection {
    pub id: String,
    pub epoch: u64,
    pub last_seq: u64,
    pub last_seen_at: String,
    /// Former incarnations, oldest first.
    #[serde(default)]
    pub former: Vec<FormerEpoch>,
}

/// The last seq of a former producer epoch.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct FormerEpoch {
    pub epoch: u64,
    pub last_seq: u64,
}

impl Client {
    /// One page of the streams whose path begins with `prefix`.
    pub async fn streams(&self, prefix: &str, cursor: Option<&str>) -> Result<StreamPage, ClientError> {
        let path = url::with_query("/v1/state", [("prefix", Some(prefix)), ("cursor", cursor)]);
        self.call_json(self.request(Method::GET, &path)).await
    }
}
