//! A batch of changes over all collections of a stream, all or none.

use axum::Json;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::engine::{Appended, Engine};
use crate::model::{ContentType, StreamName};

use super::super::extract::WholeBody;
use super::super::headers as names;
use super::super::problem::{Problem, ProblemType};

/// What became of a batch. Durable.
#[derive(Debug, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct ChangesReply {
    /// Per change the offset just after it; null where it was not applied.
    pub offsets: Vec<Option<String>>,
    /// Whether every change was applied. False where a newer version was there, or the binding kept one aside.
    pub applied: bool,
    /// Changes that the binding kept aside.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub quarantined: usize,
    /// The tuple was written before; nothing was written now.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub duplicate: bool,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl From<&Appended> for ChangesReply {
    fn from(appended: &Appended) -> Self {
        let text = |offset: &Option<crate::model::Offset>| offset.map(|offset| offset.to_string());
        Self {
            offsets: appended.offsets.iter().map(text).collect(),
            applied: appended.duplicate || appended.offsets.iter().all(Option::is_some),
            quarantined: appended.quarantined,
            duplicate: appended.duplicate,
        }
    }
}

/// Write changes to any collections of a stream, all or none.
#[utoipa::path(post, path = "/v1/state/{path}/-/changes", tag = "entities",
    params(("path" = String, Path, description = "Stream; its slashes stay slashes")),
    request_body(content(
        (Vec<crate::protocol::schema::ChangeMessage> = "application/json"),
        (String = "application/x-ndjson")
    ), description = "An array of changes, written whole or not at all. As NDJSON: a line a batch, answered line by line."),
    responses((status = 200, body = ChangesReply), (status = 422, body = super::super::problem::ProblemBody)))]
pub async fn post(
    engine: Engine,
    stream: StreamName,
    head: &HeaderMap,
    WholeBody(body, _held): WholeBody,
) -> Result<Response, Problem> {
    expect_json(head)?;
    let producer = names::producer(head)?;
    let given = producer.clone();
    let appended = engine.write_changes(&stream, &body, producer).await?;
    let mut response = Json(ChangesReply::from(&appended)).into_response();
    let headers = response.headers_mut();
    names::write_next_offset(headers, appended.tail);
    if let Some(given) = given {
        headers.insert(names::PRODUCER_EPOCH, names::value(given.epoch));
        headers.insert(names::PRODUCER_SEQ, names::value(appended.last_seq.unwrap_or(given.seq)));
    }
    Ok(response)
}

/// Refuses a body that says it is something else than JSON, or does not say.
pub fn expect_json(head: &HeaderMap) -> Result<(), Problem> {
    match names::content_type(head)? {
        Some(kind) if kind.is_json() => Ok(()),
        // RFC 7396's own name for a merge patch.
        Some(kind) if kind.matches(&merge_patch()) => Ok(()),
        Some(kind) => {
            let detail = format!("send application/json, not {kind}");
            Err(Problem::new(ProblemType::UnsupportedMediaType, detail))
        }
        None => Err(Problem::new(ProblemType::MissingContentType, "send `Content-Type: application/json`")
            .with(header::ACCEPT, names::value("application/json"))),
    }
}

fn merge_patch() -> ContentType {
    ContentType::parse("application/merge-patch+json").unwrap_or_else(ContentType::json)
}
