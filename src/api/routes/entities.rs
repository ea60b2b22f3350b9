//! Entities of a collection, one by one and as a list. The ETag of an entity is its offset.

use std::collections::BTreeMap;

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::engine::entity::{Condition, EntityName};
use crate::engine::{Appended, Engine, Filler, Reading};
use crate::model::{EntityType, Offset, StreamName};

use super::super::extract::{Query, WholeBody};
use super::super::headers as names;
use super::super::problem::{Problem, ProblemType};
use super::changes::expect_json;

/// A live entity in a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct EntityBody {
    pub key: String,
    #[schema(value_type = serde_json::Value)]
    pub value: Box<RawValue>,
    /// Its offset, which is also its ETag.
    pub offset: String,
}

/// A page of a collection, in the order of the entities' last changes.
#[derive(Debug, Serialize, ToSchema)]
pub struct EntitiesReply {
    pub entities: Vec<EntityBody>,
    /// Send as `cursor` for the next page; null after the last one.
    pub next: Option<String>,
}

/// What became of a write to one entity. Durable.
#[derive(Debug, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct EntityReply {
    /// The entity's offset, where the write was applied.
    pub offset: Option<String>,
    /// False where a newer version was there, or the binding kept the change aside.
    pub applied: bool,
    /// The binding kept the change aside.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub quarantined: bool,
}

/// List the live entities of a collection.
#[utoipa::path(get, path = "/v1/state/{path}/-/entities/{type}", tag = "entities",
    params(
        ("path" = String, Path, description = "Stream; its slashes stay slashes"),
        ("type" = String, Path, description = "Entity type"),
        ("prefix" = Option<String>, Query, description = "Only keys that begin so"),
        ("fields" = Option<String>, Query, description = "Members of the value to give, separated by commas"),
        ("limit" = Option<usize>, Query, description = "1 to 10,000; 100 unless given"),
        ("defaults" = Option<bool>, Query, description = "Whether missing members get the schema's defaults"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before")),
    responses((status = 200, body = EntitiesReply), (status = 404, body = super::super::problem::ProblemBody)))]
pub async fn list(
    engine: Engine,
    stream: StreamName,
    entity_type: EntityType,
    query: &Query,
) -> Result<Response, Problem> {
    let limit = query.limit(100, 10_000)?;
    let fields: Vec<&str> = query.all("fields").flat_map(|list| list.split(',')).filter(|f| !f.is_empty()).collect();
    let prefix = query.one("prefix")?.map(str::to_owned);
    let filler = match engine.peek(&stream).await {
        Ok((handle, _)) => engine.filler(&handle, Reading::Entities, query.selection()?.defaults)?,
        Err(fault) => return Err(fault.into()),
    };
    let limit = if filler.is_some() { limit.min(Filler::PAGE_ENTITIES) } else { limit };
    let page = engine.entities(&stream, &entity_type, prefix, limit, query.offset("cursor")?).await?;
    let unreadable = |_| Problem::new(ProblemType::StorageFailed, "a stored value is not JSON");
    let entities = page.entities.iter().map(|entity| {
        let filled = filler.as_ref().and_then(|filler| filler.value(entity_type.as_str(), &entity.value));
        let value = filled.as_ref().unwrap_or(&entity.value);
        let value = match fields.is_empty() {
            true => serde_json::from_slice(value).map_err(unreadable)?,
            false => only_fields(value, &fields).map_err(unreadable)?,
        };
        Ok(EntityBody { key: entity.key.clone(), value, offset: entity.offset.to_string() })
    });
    let entities = entities.collect::<Result<Vec<_>, Problem>>()?;
    let next = page.next.map(|next| next.to_string());
    let mut response = Json(EntitiesReply { entities, next }).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

fn only_fields(value: &[u8], fields: &[&str]) -> serde_json::Result<Box<RawValue>> {
    if !value.trim_ascii_start().starts_with(b"{") {
        return serde_json::from_slice(value);
    }
    let mut members: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(value)?;
    members.retain(|name, _| fields.contains(&name.as_str()));
    serde_json::value::to_raw_value(&members)
}

/// Get an entity.
#[utoipa::path(get, path = "/v1/state/{path}/-/entities/{type}/{key}", tag = "entities",
    params(("path" = String, Path), ("type" = String, Path), ("key" = String, Path),
        ("defaults" = Option<bool>, Query, description = "Whether missing members get the schema's defaults")),
    responses((status = 200, body = serde_json::Value), (status = 304), (status = 404, body = super::super::problem::ProblemBody)))]
pub async fn get(engine: Engine, name: EntityName, query: &Query, head: &HeaderMap) -> Result<Response, Problem> {
    let entity = engine.entity(&name).await?;
    let filler = engine.filler(&engine.handle(&name.stream), Reading::Entities, query.selection()?.defaults)?;
    let filled =
        filler.and_then(|filler| Some((filler.value(name.entity_type.as_str(), &entity.value)?, filler.version)));
    // The state is the same, and `If-Match` takes both; who holds the bytes must not take one for the other.
    let (value, tag) = match filled {
        Some((filled, version)) => (filled, names::etag(format_args!("{};d{version}", entity.offset))),
        None => (entity.value, names::etag(entity.offset)),
    };
    let mut response = match names::none_match(head, &tag) {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => value.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // Not to be compressed on its way, which would weaken the tag that `If-Match` is made of.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert(header::ETAG, tag);
    Ok(response)
}

/// Create or replace an entity.
#[utoipa::path(put, path = "/v1/state/{path}/-/entities/{type}/{key}", tag = "entities",
    params(("path" = String, Path), ("type" = String, Path), ("key" = String, Path)),
    request_body(content = serde_json::Value, content_type = "application/json"),
    responses((status = 200, body = EntityReply), (status = 412, body = super::super::problem::ProblemBody),
        (status = 422, body = super::super::problem::ProblemBody)))]
pub async fn put(
    engine: Engine,
    name: EntityName,
    head: &HeaderMap,
    WholeBody(body, _held): WholeBody,
) -> Result<Response, Problem> {
    expect_json(head)?;
    let appended = engine.put_entity(&name, &body, condition(head)?, names::producer(head)?).await?;
    Ok(written(&appended))
}

/// Merge a patch into an entity (RFC 7396).
#[utoipa::path(patch, path = "/v1/state/{path}/-/entities/{type}/{key}", tag = "entities",
    params(("path" = String, Path), ("type" = String, Path), ("key" = String, Path)),
    request_body(content = serde_json::Value, content_type = "application/merge-patch+json"),
    responses((status = 200, body = EntityReply), (status = 404, body = super::super::problem::ProblemBody),
        (status = 412, body = super::super::problem::ProblemBody), (status = 422, body = super::super::problem::ProblemBody)))]
pub async fn patch(
    engine: Engine,
    name: EntityName,
    head: &HeaderMap,
    WholeBody(body, _held): WholeBody,
) -> Result<Response, Problem> {
    expect_json(head)?;
    let appended = engine.patch_entity(&name, &body, condition(head)?, names::producer(head)?).await?;
    Ok(written(&appended))
}

/// Delete an entity.
#[utoipa::path(delete, path = "/v1/state/{path}/-/entities/{type}/{key}", tag = "entities",
    params(("path" = String, Path), ("type" = String, Path), ("key" = String, Path)),
    responses((status = 200, body = EntityReply), (status = 404, body = super::super::problem::ProblemBody),
        (status = 412, body = super::super::problem::ProblemBody)))]
pub async fn delete(engine: Engine, name: EntityName, head: &HeaderMap) -> Result<Response, Problem> {
    let appended = engine.delete_entity(&name, condition(head)?, names::producer(head)?).await?;
    Ok(written(&appended))
}

fn written(appended: &Appended) -> Response {
    let offset = appended.offsets.first().copied().flatten();
    let applied = appended.duplicate || offset.is_some();
    let quarantined = appended.quarantined > 0;
    let reply = EntityReply { offset: offset.map(|offset| offset.to_string()), applied, quarantined };
    let mut response = Json(reply).into_response();
    if let Some(offset) = offset {
        response.headers_mut().insert(header::ETAG, names::etag(offset));
    }
    names::write_next_offset(response.headers_mut(), appended.tail);
    response
}

/// `If-Match` or `If-None-Match`: `*` or one entity tag. Source: RFC 9110 §13.1.
fn condition(head: &HeaderMap) -> Result<Option<Condition>, Problem> {
    let given = |name: &axum::http::HeaderName| -> Result<Option<Option<Offset>>, Problem> {
        let Some(text) = names::text(head, name)? else { return Ok(None) };
        if text.trim() == "*" {
            return Ok(Some(None));
        }
        // The tag names a state and not bytes, so one that a proxy weakened by compressing is as good.
        let tag = text.trim().trim_start_matches("W/").strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        // With defaults filled in it says which, behind the offset.
        let offset = tag.and_then(|tag| tag.split_once(";d").map_or(tag, |(offset, _)| offset).parse().ok());
        offset.map(|offset| Some(Some(offset))).ok_or_else(|| {
            names::malformed(name, "it is * or the entity's ETag, which is its offset in double quotes")
        })
    };
    match (given(&header::IF_MATCH)?, given(&header::IF_NONE_MATCH)?) {
        (Some(_), Some(_)) => Err(names::malformed(&header::IF_MATCH, "send it or If-None-Match, not both")),
        (Some(wanted), None) => Ok(Some(Condition::Matches(wanted))),
        (None, Some(unwanted)) => Ok(Some(Condition::MatchesNot(unwanted))),
        (None, None) => Ok(None),
    }
}
