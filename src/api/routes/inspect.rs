//! What there is: the list of streams, everything known of one, and what was kept aside of it.

use axum::Json;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::engine::Engine;
use crate::engine::inspect::{Inspection, Listed};
use crate::model::{ReadFrom, StreamName};
use crate::protocol::inspection::{
    CollectionBody, EpochBody, ForkBody, OffsetsBody, ProducerBody, StreamBody, StreamRow, StreamsReply,
};
use crate::stream::Lifetime;

use super::super::extract::Query;
use super::super::problem::{Problem, ProblemType};

/// Refused changes that were kept.
#[derive(Debug, Serialize, ToSchema)]
pub struct QuarantineReply {
    /// Each with `at`, `change` and `errors`; oldest first.
    #[schema(value_type = Vec<serde_json::Value>)]
    pub entries: Vec<Box<serde_json::value::RawValue>>,
    /// Send as `cursor` for what follows.
    pub next: String,
    pub up_to_date: bool,
}

/// List streams by name.
#[utoipa::path(get, path = "/v1/state", tag = "inspection",
    params(
        ("prefix" = Option<String>, Query, description = "Only names that begin so"),
        ("limit" = Option<usize>, Query, description = "1 to 10,000; 1,000 unless given"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before")),
    responses((status = 200, body = StreamsReply)))]
pub async fn list(engine: Engine, query: Query) -> Result<Json<StreamsReply>, Problem> {
    let limit = query.limit(1_000, 10_000)?;
    let prefix = query.one("prefix")?.unwrap_or_default();
    let (streams, next) = engine.list(prefix, query.one("cursor")?, limit).await?;
    Ok(Json(StreamsReply { streams: streams.into_iter().map(row).collect(), next }))
}

fn row(listed: Listed) -> StreamRow {
    StreamRow {
        name: listed.name.to_string(),
        content_type: listed.content_type,
        schema: listed.schema.as_ref().map(Into::into),
        tail: listed.tail.to_string(),
        bytes: listed.bytes,
        closed: listed.closed,
    }
}

/// Inspect a stream: schema, live counts, offsets, producers, readers.
#[utoipa::path(get, path = "/v1/state/{path}", tag = "inspection",
    params(("path" = String, Path, description = "Stream; its slashes stay slashes")),
    responses((status = 200, body = StreamBody), (status = 404, body = super::super::problem::ProblemBody)))]
pub async fn stream(engine: Engine, name: StreamName) -> Result<Response, Problem> {
    let inspection = engine.inspect(&name).await?;
    let mut response = Json(StreamBody::from(inspection)).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

impl From<Inspection> for StreamBody {
    fn from(found: Inspection) -> Self {
        let (ttl_s, expires_at) = match found.lifetime {
            Lifetime::Unlimited => (None, None),
            Lifetime::Idle(window) => (Some(window.as_secs()), None),
            Lifetime::Until(moment) => (None, Some(moment.to_string())),
        };
        let collections = found.collections.into_iter().map(|c| CollectionBody {
            name: c.name,
            r#type: c.entity_type,
            primary_key: c.primary_key,
            live: c.live,
        });
        let producers = found.producers.into_iter().map(|p| ProducerBody {
            id: p.id,
            epoch: p.epoch.get(),
            last_seq: p.last_seq.get(),
            last_seen_at: p.seen_at.to_string(),
            former: p.former.iter().map(|(e, s)| EpochBody { epoch: e.get(), last_seq: s.get() }).collect(),
        });
        Self {
            name: found.name.to_string(),
            written: found.written,
            content_type: found.content_type,
            schema: found.schema.as_ref().map(Into::into),
            binding: found.binding,
            collections: collections.collect(),
            offsets: OffsetsBody { start: found.start.to_string(), tail: found.tail.to_string() },
            length: found.length,
            bytes: found.bytes,
            closed: found.closed,
            fork_of: found
                .fork_of
                .map(|(source, offset)| ForkBody { source: source.to_string(), offset: offset.to_string() }),
            forks: found.forks,
            ttl_s,
            expires_at,
            last_used_at: found.used_at.map(|at| at.to_string()),
            producers: producers.collect(),
            readers: found.live_readers,
            quarantined: found.quarantined,
        }
    }
}

/// List refused changes that the binding kept aside.
#[utoipa::path(get, path = "/v1/state/{path}/-/quarantine", tag = "inspection",
    params(("path" = String, Path), ("cursor" = Option<String>, Query, description = "`next` of the page before")),
    responses((status = 200, body = QuarantineReply)))]
pub async fn quarantine(engine: Engine, name: StreamName, query: &Query) -> Result<Response, Problem> {
    let from = query.read_from("cursor")?.unwrap_or(ReadFrom::Beginning);
    if from == ReadFrom::Tail {
        return Err(Problem::new(ProblemType::MalformedQuery, "cursor is `next` of the page before"));
    }
    let page = engine.quarantine_page(&name, from).await?;
    let reply = QuarantineReply { entries: page.entries, next: page.next.to_string(), up_to_date: page.up_to_date };
    Ok(Json(reply).into_response())
}
