//! One stream's entities: read, written, listed.

use std::collections::BTreeMap;

use reqwest::header::{CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::etag;
use super::{
    Change, ChangeProducer, Client, ClientError, Entity, EntityView, Fault, Producer, ProducerOptions, StreamBody,
    Watch, WatchOptions, url,
};

/// One stream of one server. Cheap to clone.
///
/// Offsets are opaque texts: compare them for equality and hand them back, nothing else.
#[derive(Clone, Debug)]
pub struct StreamHandle {
    client: Client,
    path: String,
    min_offset: Option<String>,
}

/// An entity's value and the offset of its newest change, which is its version.
#[derive(Clone, Debug)]
pub struct Versioned<T> {
    pub value: T,
    pub offset: String,
}

/// What must hold for a write to be made; otherwise it is refused with 412, which tells the current version.
#[derive(Clone, Debug, Default)]
pub enum Precondition {
    #[default]
    None,
    /// The entity is still at this offset.
    Unchanged(String),
    /// There is no such entity.
    Absent,
}

/// What became of an entity's write.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Receipt {
    /// The entity's offset, where the write was applied.
    #[serde(default)]
    pub offset: Option<String>,
    /// `false` where the collection's `versionField` showed that the value is older than what is stored, or where the
    /// binding kept it aside.
    #[serde(default = "yes")]
    pub applied: bool,
}

/// What became of a batch.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Applied {
    /// Per change the offset just after it; `None` where it was not applied.
    pub offsets: Vec<Option<String>>,
    /// Whether every change was applied.
    #[serde(default = "yes")]
    pub applied: bool,
    /// How many changes the binding kept aside.
    #[serde(default)]
    pub quarantined: u64,
}

/// Changes that were refused and kept aside, oldest first.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct QuarantinePage {
    pub entries: Vec<Quarantined>,
    /// Where the next page begins.
    pub next: String,
    /// Whether there is nothing beyond this page yet.
    pub up_to_date: bool,
}

/// A change that was refused and kept aside.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Quarantined {
    pub at: String,
    /// As it was sent; a text where it was no JSON.
    pub change: Value,
    pub errors: Vec<Fault>,
}

/// State as of an offset.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Snapshot {
    pub offset: String,
    /// Collection → key → value.
    pub collections: BTreeMap<String, BTreeMap<String, Value>>,
}

/// Which entities of a collection to list.
#[derive(Clone, Debug, Default)]
pub struct ListQuery {
    pub prefix: Option<String>,
    /// Top-level fields to keep, all if empty.
    pub fields: Vec<String>,
    /// Entities per page; the server bounds it.
    pub limit: Option<u32>,
    /// `next` of the page before.
    pub cursor: Option<String>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct EntityPage {
    pub entities: Vec<EntityRow>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<String>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct EntityRow {
    pub key: String,
    pub value: Value,
    pub offset: String,
}

fn yes() -> bool {
    true
}

impl StreamHandle {
    pub(super) fn new(client: Client, path: &str) -> Self {
        Self { client, path: path.trim_matches('/').to_owned(), min_offset: None }
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The same stream, whose reads wait until this offset is durable where they are answered: read your writes.
    pub fn at_least(mut self, offset: impl Into<String>) -> Self {
        self.min_offset = Some(offset.into());
        self
    }

    /// Creates the stream as untyped JSON. A stream that a binding rules needs no such call: it exists.
    pub async fn create(&self) -> Result<(), ClientError> {
        let request = self.client.request(Method::PUT, &self.protocol_path()?);
        self.client.call(request.header(CONTENT_TYPE, "application/json")).await.map(drop)
    }

    /// Makes the stream a fork of another one, from `offset` and `past` messages or bytes beyond it; from its tail where no
    /// offset is given. Asking again for what is there is no error. Returns the fork's tail.
    pub async fn fork_of(&self, source: &str, offset: Option<&str>, past: u64) -> Result<String, ClientError> {
        let source = format!("/v1/stream/{}", url::path(source)?);
        let mut request =
            self.client.request(Method::PUT, &self.protocol_path()?).header("stream-forked-from", source);
        if let Some(offset) = offset {
            request = request.header("stream-fork-offset", offset).header("stream-fork-sub-offset", past);
        }
        let response = self.client.call(request).await?;
        let tail = response.headers().get("stream-next-offset").and_then(|value| value.to_str().ok());
        tail.map(str::to_owned).ok_or_else(|| ClientError::Answer("no Stream-Next-Offset on a fork".into()))
    }

    /// What the server knows of the stream.
    pub async fn inspect(&self) -> Result<StreamBody, ClientError> {
        let path = format!("/v1/state/{}", url::path(&self.path)?);
        self.client.call_json(self.client.request(Method::GET, &path)).await
    }

    /// Changes that were refused and kept aside, under a binding with `validation: quarantine`. `cursor` is `next` of
    /// the page before.
    pub async fn quarantine(&self, cursor: Option<&str>) -> Result<QuarantinePage, ClientError> {
        let path = url::with_query(&self.resource("quarantine")?, [("cursor", cursor)]);
        self.client.call_json(self.client.request(Method::GET, &path)).await
    }

    pub async fn snapshot(&self) -> Result<Snapshot, ClientError> {
        self.client.call_json(self.read("snapshot")?).await
    }

    /// One entity; `None` where there is none. A stream or a type that does not exist is an error.
    pub async fn get(&self, entity_type: &str, key: &str) -> Result<Option<Versioned<Value>>, ClientError> {
        self.fetch(entity_type, key).await
    }

    /// One typed entity. An entity that does not fit `T` is an error.
    pub async fn get_as<T: Entity + DeserializeOwned>(&self, key: &str) -> Result<Option<Versioned<T>>, ClientError> {
        self.fetch(T::TYPE, key).await
    }

    /// One page of a collection, in the order of the entities' last changes.
    pub async fn list(&self, entity_type: &str, query: &ListQuery) -> Result<EntityPage, ClientError> {
        let fields = (!query.fields.is_empty()).then(|| query.fields.join(","));
        let limit = query.limit.map(|limit| limit.to_string());
        let parameters = [
            ("prefix", query.prefix.as_deref()),
            ("fields", fields.as_deref()),
            ("limit", limit.as_deref()),
            ("cursor", query.cursor.as_deref()),
            ("min_offset", self.min_offset.as_deref()),
        ];
        let collection = self.resource(&format!("entities/{}", url::segment(entity_type)?))?;
        self.client.call_json(self.client.request(Method::GET, &url::with_query(&collection, parameters))).await
    }

    /// Makes the entity's value this one. The value's primary key must equal `key`.
    pub async fn put(
        &self,
        entity_type: &str,
        key: &str,
        value: &Value,
        precondition: &Precondition,
    ) -> Result<Receipt, ClientError> {
        let request = self.entity(Method::PUT, entity_type, key)?.json(value);
        self.write(request, precondition).await
    }

    /// Makes a typed entity's value this one.
    pub async fn put_entity<T: Entity>(&self, entity: &T) -> Result<Receipt, ClientError> {
        let Change { key, value, .. } = Change::of(entity)?;
        self.put(T::TYPE, &key, &value.unwrap_or_default(), &Precondition::None).await
    }

    /// Merges into an existing entity. Source: RFC 7396.
    pub async fn patch(
        &self,
        entity_type: &str,
        key: &str,
        merge: &Value,
        precondition: &Precondition,
    ) -> Result<Receipt, ClientError> {
        let request = self.entity(Method::PATCH, entity_type, key)?.json(merge);
        self.write(request.header(CONTENT_TYPE, "application/merge-patch+json"), precondition).await
    }

    pub async fn delete(
        &self,
        entity_type: &str,
        key: &str,
        precondition: &Precondition,
    ) -> Result<Receipt, ClientError> {
        self.write(self.entity(Method::DELETE, entity_type, key)?, precondition).await
    }

    /// Makes all of these changes or none, over all collections of the stream.
    pub async fn apply(&self, changes: &[Change]) -> Result<Applied, ClientError> {
        let request = self.client.request(Method::POST, &self.resource("changes")?);
        self.client.call_json(request.json(changes)).await
    }

    /// Follows the stream's changes, after a snapshot of what is live or from where the options say.
    pub fn watch(&self, options: WatchOptions) -> Watch {
        Watch::new(self.clone(), options)
    }

    /// Keeps the latest value of every entity of a type, in the background.
    pub fn view<T: Entity + DeserializeOwned + Send + Sync + 'static>(&self) -> EntityView<T> {
        EntityView::start(self.clone())
    }

    /// A writer of one type with the usual settings. `id` names it across restarts.
    pub fn producer<T: Entity>(&self, id: &str) -> Producer<T> {
        self.producer_with(ProducerOptions::new(id)).typed()
    }

    /// A writer of any of the stream's types.
    pub fn producer_with(&self, options: ProducerOptions) -> ChangeProducer {
        ChangeProducer::start(self.clone(), options)
    }

    /// The stream under the Durable Streams protocol.
    pub(super) fn protocol_path(&self) -> Result<String, ClientError> {
        Ok(format!("/v1/stream/{}", url::path(&self.path)?))
    }

    /// A resource of the stream, below `/-/`; `name` is already encoded.
    pub(super) fn resource(&self, name: &str) -> Result<String, ClientError> {
        Ok(format!("/v1/state/{}/-/{name}", url::path(&self.path)?))
    }

    fn read(&self, name: &str) -> Result<RequestBuilder, ClientError> {
        let path = url::with_query(&self.resource(name)?, [("min_offset", self.min_offset.as_deref())]);
        Ok(self.client.request(Method::GET, &path))
    }

    fn entity(&self, method: Method, entity_type: &str, key: &str) -> Result<RequestBuilder, ClientError> {
        let name = format!("entities/{}/{}", url::segment(entity_type)?, url::segment(key)?);
        Ok(self.client.request(method, &self.resource(&name)?))
    }

    async fn fetch<T: DeserializeOwned>(
        &self,
        entity_type: &str,
        key: &str,
    ) -> Result<Option<Versioned<T>>, ClientError> {
        let name = format!("entities/{}/{}", url::segment(entity_type)?, url::segment(key)?);
        let response = match self.client.call(self.read(&name)?).await {
            Err(error) if error.is_problem("entity-not-found") => return Ok(None),
            answer => answer?,
        };
        let tag = etag(response.headers()).ok_or_else(|| ClientError::Answer("no ETag on an entity".into()))?;
        // With defaults filled in it says which, behind the offset.
        let offset = tag.split_once(";d").map_or(tag.as_str(), |(offset, _)| offset).to_owned();
        let value: Value = self.client.json(response).await?;
        let value = serde_json::from_value(value).map_err(|cause| ClientError::Entity {
            entity_type: entity_type.to_owned(),
            key: key.to_owned(),
            detail: cause.to_string(),
        })?;
        Ok(Some(Versioned { value, offset }))
    }

    async fn write(&self, request: RequestBuilder, precondition: &Precondition) -> Result<Receipt, ClientError> {
        let request = match precondition {
            Precondition::None => request,
            Precondition::Unchanged(offset) => request.header(IF_MATCH, format!("\"{offset}\"")),
            Precondition::Absent => request.header(IF_NONE_MATCH, "*"),
        };
        self.receipt(self.client.call(request).await?).await
    }

    async fn receipt(&self, response: Response) -> Result<Receipt, ClientError> {
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(Receipt { offset: etag(response.headers()), applied: true });
        }
        self.client.json(response).await
    }
}
