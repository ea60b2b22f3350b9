//! The life of a version: its state, what refers to it, and its end.

use axum::Json;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::engine::Engine;
use crate::protocol::registry::StateBody;

use super::super::extract::{Query, Segments, WholeBody};
use super::super::problem::{Problem, ProblemBody, ProblemType};
use super::changes::expect_json;
use super::registry::{VersionReply, marked, subject_name, version_of, version_reply};

/// What a deletion has taken away.
#[derive(Debug, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct DeletedReply {
    pub subject: String,
    pub versions: Vec<u32>,
    /// Whether they are forgotten, or only hidden.
    pub permanent: bool,
}

/// The versions that refer to a version.
#[derive(Debug, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct ReferencedByReply {
    pub referenced_by: Vec<VersionReply>,
}

/// Get the state of a version.
#[utoipa::path(get, path = "/v1/schemas/{subject}/versions/{version}/state", tag = "registry",
    params(("subject" = String, Path), ("version" = String, Path, description = "A number, or `latest`")),
    responses((status = 200, body = StateBody), (status = 404, body = ProblemBody)))]
pub async fn state(
    engine: Engine,
    Segments((subject, version)): Segments<(String, String)>,
) -> Result<Response, Problem> {
    let (_, registered) = version_of(&engine.registry(), &subject, &version, true)?;
    Ok(marked(Json(StateBody::from(registered.state)).into_response(), &registered))
}

/// Deprecate a version, disable it, or enable it again.
#[utoipa::path(put, path = "/v1/schemas/{subject}/versions/{version}/state", tag = "registry",
    params(("subject" = String, Path), ("version" = String, Path, description = "A number, or `latest`")),
    request_body = StateBody,
    responses((status = 200, body = StateBody), (status = 404, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub async fn set_state(
    engine: Engine,
    Segments((subject, version)): Segments<(String, String)>,
    head: HeaderMap,
    WholeBody(body, _held): WholeBody,
) -> Result<Response, Problem> {
    expect_json(&head)?;
    let body: StateBody = serde_json::from_slice(&body).map_err(|e| {
        let kind = if e.is_data() { ProblemType::InvalidConfig } else { ProblemType::MalformedBody };
        Problem::new(kind, e.to_string())
    })?;
    let wanted = body.into_state(engine.now()).map_err(|reason| Problem::new(ProblemType::InvalidConfig, reason))?;
    let (name, registered) = version_of(&engine.registry(), &subject, &version, true)?;
    engine.set_state(&name, registered.version, wanted).await?;
    let (_, registered) = version_of(&engine.registry(), &subject, &registered.version.to_string(), true)?;
    Ok(marked(Json(StateBody::from(registered.state)).into_response(), &registered))
}

/// List the versions that refer to a version, also those that are deleted and not yet forgotten.
#[utoipa::path(get, path = "/v1/schemas/{subject}/versions/{version}/referenced-by", tag = "registry",
    params(("subject" = String, Path), ("version" = String, Path, description = "A number, or `latest`")),
    responses((status = 200, body = ReferencedByReply), (status = 404, body = ProblemBody)))]
pub async fn referenced_by(
    engine: Engine,
    Segments((subject, version)): Segments<(String, String)>,
) -> Result<Json<ReferencedByReply>, Problem> {
    let registry = engine.registry();
    let (name, registered) = version_of(&registry, &subject, &version, true)?;
    let referring = registry.referenced_by(&name, registered.version);
    let referenced_by = referring.map(|(by, registered)| version_reply(by.as_str(), registered)).collect();
    Ok(Json(ReferencedByReply { referenced_by }))
}

/// Delete a subject: its versions are hidden, and go on to serve those who use them. With `permanent=true`, forget what
/// was hidden before and nobody needs.
#[utoipa::path(delete, path = "/v1/schemas/{subject}", tag = "registry",
    params(("subject" = String, Path), ("permanent" = Option<bool>, Query)),
    responses((status = 200, body = DeletedReply), (status = 404, body = ProblemBody),
        (status = 409, body = ProblemBody, description = "Something needs one of them; nothing was deleted")))]
pub async fn delete_subject(
    engine: Engine,
    Segments(subject): Segments<String>,
    query: Query,
) -> Result<Json<DeletedReply>, Problem> {
    let (name, permanent) = (subject_name(&subject)?, query.flag("permanent")?);
    let versions = engine.delete_versions(&name, None, permanent).await?;
    Ok(Json(DeletedReply { subject, versions, permanent }))
}

/// Delete a version: it is hidden, and goes on to serve those who use it. With `permanent=true`, forget one that was
/// hidden before and that nobody needs.
#[utoipa::path(delete, path = "/v1/schemas/{subject}/versions/{version}", tag = "registry",
    params(("subject" = String, Path), ("version" = String, Path, description = "A number, or `latest`"),
        ("permanent" = Option<bool>, Query)),
    responses((status = 200, body = DeletedReply), (status = 404, body = ProblemBody),
        (status = 409, body = ProblemBody, description = "Something needs it")))]
pub async fn delete_version(
    engine: Engine,
    Segments((subject, version)): Segments<(String, String)>,
    query: Query,
) -> Result<Json<DeletedReply>, Problem> {
    let permanent = query.flag("permanent")?;
    let (name, registered) = version_of(&engine.registry(), &subject, &version, version != "latest")?;
    let versions = engine.delete_versions(&name, Some(registered.version), permanent).await?;
    Ok(Json(DeletedReply { subject, versions, permanent }))
}
