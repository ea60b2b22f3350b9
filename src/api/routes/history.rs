//! What a stream's schema was, and what its changes were checked under.

use axum::Json;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use crate::engine::Engine;
use crate::model::{Offset, ReadFrom, StreamName};
use crate::protocol::migration::{LogReply, LoggedChange, SchemaAtReply};

use super::super::extract::{Query, malformed_query};
use super::super::problem::Problem;

/// The schema that holds from an offset on.
#[utoipa::path(get, path = "/v1/state/{path}/-/schema", tag = "inspection",
    params(("path" = String, Path, description = "Stream; its slashes stay slashes"),
        ("offset" = Option<String>, Query, description = "The tail if left out")),
    responses((status = 200, body = SchemaAtReply), (status = 404, body = super::super::problem::ProblemBody)))]
pub async fn schema(engine: Engine, stream: StreamName, query: &Query) -> Result<Response, Problem> {
    let found = engine.schema_at(&stream, place(query)?).await?;
    let reply = SchemaAtReply {
        subject: found.schema.subject.to_string(),
        version: found.schema.version,
        fingerprint: found.registered.fingerprint.to_string(),
        since: found.since.to_string(),
        document: serde_json::from_str(found.registered.document.canonical()).unwrap_or_default(),
    };
    Ok(fresh(Json(reply).into_response()))
}

/// `offset=`: a place whose schema is asked for; the tail if left out.
pub fn place(query: &Query) -> Result<Option<Offset>, Problem> {
    Ok(match query.read_from("offset")? {
        None | Some(ReadFrom::Tail) => None,
        Some(ReadFrom::Beginning) => Some(Offset::BEGINNING),
        Some(ReadFrom::At(offset)) => Some(offset),
    })
}

/// Read the log: every change with its commit time and the schema version that it was checked under.
#[utoipa::path(get, path = "/v1/state/{path}/-/changes", tag = "inspection",
    params(("path" = String, Path, description = "Stream; its slashes stay slashes"),
        ("offset" = Option<String>, Query, description = "`next` of the page before; the beginning if left out"),
        ("limit" = Option<usize>, Query, description = "1 to 10,000; 100 unless given")),
    responses((status = 200, body = LogReply), (status = 400, body = super::super::problem::ProblemBody),
        (status = 404, body = super::super::problem::ProblemBody)))]
pub async fn changes(engine: Engine, stream: StreamName, query: &Query) -> Result<Response, Problem> {
    let from = match query.read_from("offset")? {
        None | Some(ReadFrom::Beginning) => Offset::BEGINNING,
        Some(ReadFrom::At(offset)) => offset,
        Some(ReadFrom::Tail) => return Err(malformed_query("offset is `next` of the page before, or -1")),
    };
    let page = engine.log_page(&stream, from, query.limit(100, 10_000)?).await?;
    let changes = page.changes.into_iter().map(|logged| LoggedChange {
        offset: logged.offset.to_string(),
        at: logged.at.to_string(),
        schema: logged.schema.as_ref().map(Into::into),
        change: logged.change,
    });
    let reply = LogReply { changes: changes.collect(), next: page.next.to_string(), up_to_date: page.up_to_date };
    Ok(fresh(Json(reply).into_response()))
}

fn fresh(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
