//! Subjects, their versions, and bindings.

use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::engine::Engine;
use crate::engine::registry::RegistryFault;
use crate::protocol::json::{Duplicates, strict_value};
use crate::protocol::registry::BindingBody;
use crate::registry::{Binding, BindingName, Registered, Registry, SubjectName};

use super::super::extract::{Segments, WholeBody};
use super::super::problem::{Problem, ProblemBody, ProblemType};
use super::changes::expect_json;

/// What became of a registration.
#[derive(Debug, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct VersionReply {
    pub subject: String,
    pub version: u32,
    /// SHA-256 of the document's canonical JSON, in hex: equal content has equal fingerprints.
    pub fingerprint: String,
}

/// One version of a subject, with its document.
#[derive(Debug, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct DocumentReply {
    pub subject: String,
    pub version: u32,
    pub fingerprint: String,
    pub registered_at: String,
    pub document: Value,
}

/// A subject and the versions it has.
#[derive(Debug, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct SubjectBody {
    pub subject: String,
    pub latest: u32,
    pub versions: Vec<u32>,
}

/// All subjects.
#[derive(Debug, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct SubjectsReply {
    pub subjects: Vec<SubjectBody>,
}

/// The versions of a subject, oldest first.
#[derive(Debug, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct VersionsReply {
    pub subject: String,
    pub versions: Vec<VersionReply>,
}

/// A binding under its name.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct NamedBinding {
    pub name: String,
    #[serde(flatten)]
    pub binding: BindingBody,
}

/// All bindings.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct BindingsReply {
    pub bindings: Vec<NamedBinding>,
}

/// List subjects.
#[utoipa::path(get, path = "/v1/schemas", tag = "registry", responses((status = 200, body = SubjectsReply)))]
pub async fn subjects(engine: Engine) -> Json<SubjectsReply> {
    let registry = engine.registry();
    let subjects = registry.subjects().filter_map(|subject| subject_body(&registry, subject)).collect();
    Json(SubjectsReply { subjects })
}

fn subject_body(registry: &Registry, subject: &SubjectName) -> Option<SubjectBody> {
    let versions: Vec<u32> = registry.versions(subject).map(|registered| registered.version).collect();
    Some(SubjectBody { subject: subject.to_string(), latest: *versions.last()?, versions })
}

/// Get a subject.
#[utoipa::path(get, path = "/v1/schemas/{subject}", tag = "registry", params(("subject" = String, Path)),
    responses((status = 200, body = SubjectBody), (status = 404, body = ProblemBody)))]
pub async fn subject(engine: Engine, Segments(subject): Segments<String>) -> Result<Json<SubjectBody>, Problem> {
    let registry = engine.registry();
    let body = SubjectName::parse(&subject).and_then(|name| subject_body(&registry, &name));
    body.map(Json).ok_or_else(|| RegistryFault::UnknownSubject(subject).into())
}

/// Register a document; content that the subject has already keeps its version.
#[utoipa::path(post, path = "/v1/schemas/{subject}/versions", tag = "registry", params(("subject" = String, Path)),
    request_body(content = crate::protocol::schema::DocumentBody, content_type = "application/json"),
    responses((status = 201, body = VersionReply), (status = 200, body = VersionReply, description = "It was there already"),
        (status = 422, body = ProblemBody)))]
pub async fn register(
    engine: Engine,
    Segments(subject): Segments<String>,
    head: HeaderMap,
    WholeBody(body, _held): WholeBody,
) -> Result<Response, Problem> {
    expect_json(&head)?;
    let name = SubjectName::parse(&subject).ok_or_else(|| {
        let detail = "a subject has 1 to 256 of the characters A-Z a-z 0-9 . _ - and / between segments";
        Problem::new(ProblemType::MalformedName, detail)
    })?;
    let malformed = |reason: String| Problem::new(ProblemType::MalformedBody, reason);
    let text = std::str::from_utf8(&body).map_err(|_| malformed("the body is not UTF-8".into()))?;
    let depth_max = engine.limits().json_depth_max;
    let document = strict_value(text, depth_max, Duplicates::Refuse).map_err(|e| malformed(e.to_string()))?;
    let outcome = engine.register(name, document).await?;
    let status = if outcome.fresh { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(version_reply(&subject, &outcome.registered))).into_response())
}

fn version_reply(subject: &str, registered: &Registered) -> VersionReply {
    VersionReply {
        subject: subject.to_owned(),
        version: registered.version,
        fingerprint: registered.fingerprint.to_string(),
    }
}

/// List the versions of a subject.
#[utoipa::path(get, path = "/v1/schemas/{subject}/versions", tag = "registry", params(("subject" = String, Path)),
    responses((status = 200, body = VersionsReply), (status = 404, body = ProblemBody)))]
pub async fn versions(engine: Engine, Segments(subject): Segments<String>) -> Result<Json<VersionsReply>, Problem> {
    let registry = engine.registry();
    let name = SubjectName::parse(&subject).filter(|name| registry.latest(name).is_some());
    let name = name.ok_or_else(|| RegistryFault::UnknownSubject(subject.clone()))?;
    let versions = registry.versions(&name).map(|registered| version_reply(&subject, registered)).collect();
    Ok(Json(VersionsReply { subject, versions }))
}

/// Get a version with its document; `latest` is the newest.
#[utoipa::path(get, path = "/v1/schemas/{subject}/versions/{version}", tag = "registry",
    params(("subject" = String, Path), ("version" = String, Path, description = "A number, or `latest`")),
    responses((status = 200, body = DocumentReply), (status = 404, body = ProblemBody)))]
pub async fn version(
    engine: Engine,
    Segments((subject, version)): Segments<(String, String)>,
) -> Result<Json<DocumentReply>, Problem> {
    let registry = engine.registry();
    let unknown = || RegistryFault::UnknownSubject(subject.clone());
    let name = SubjectName::parse(&subject).ok_or_else(unknown)?;
    let registered = match version.as_str() {
        "latest" => registry.latest(&name).ok_or_else(unknown)?,
        text => {
            let malformed = || Problem::new(ProblemType::MalformedName, "a version is a number, or `latest`");
            let version: u32 = text.parse().map_err(|_| malformed())?;
            let missing = || RegistryFault::UnknownVersion { subject: subject.clone(), version };
            registry.get(&name, version).ok_or_else(missing)?
        }
    };
    let document = serde_json::from_str(registered.document.canonical())
        .map_err(|e| Problem::new(ProblemType::StorageFailed, e.to_string()))?;
    Ok(Json(DocumentReply {
        subject: subject.clone(),
        version: registered.version,
        fingerprint: registered.fingerprint.to_string(),
        registered_at: registered.registered_at.to_string(),
        document,
    }))
}

/// List bindings.
#[utoipa::path(get, path = "/v1/bindings", tag = "registry", responses((status = 200, body = BindingsReply)))]
pub async fn bindings(engine: Engine) -> Json<BindingsReply> {
    let registry = engine.registry();
    Json(BindingsReply { bindings: registry.bindings().map(|binding| named(binding)).collect() })
}

fn named(binding: &Binding) -> NamedBinding {
    NamedBinding { name: binding.name.to_string(), binding: binding.into() }
}

/// Get a binding.
#[utoipa::path(get, path = "/v1/bindings/{name}", tag = "registry", params(("name" = String, Path)),
    responses((status = 200, body = NamedBinding), (status = 404, body = ProblemBody)))]
pub async fn binding(engine: Engine, Segments(name): Segments<String>) -> Result<Json<NamedBinding>, Problem> {
    let registry = engine.registry();
    let found = BindingName::parse(&name).and_then(|name| registry.binding(&name).cloned());
    let missing = || Problem::new(ProblemType::BindingNotFound, format!("there is no binding {name}"));
    found.map(|binding| Json(named(&binding))).ok_or_else(missing)
}

/// Make or replace a binding. Streams that it governs are checked first, then pinned.
#[utoipa::path(put, path = "/v1/bindings/{name}", tag = "registry", params(("name" = String, Path)),
    request_body = BindingBody,
    responses((status = 201, body = NamedBinding), (status = 200, body = NamedBinding, description = "It was replaced"),
        (status = 409, body = ProblemBody, description = "It ties with another, or stored entities do not fit"),
        (status = 422, body = ProblemBody)))]
pub async fn bind(
    engine: Engine,
    Segments(name): Segments<String>,
    head: HeaderMap,
    WholeBody(body, _held): WholeBody,
) -> Result<Response, Problem> {
    expect_json(&head)?;
    let body: BindingBody = serde_json::from_slice(&body).map_err(|e| {
        let kind = if e.is_data() { ProblemType::InvalidBinding } else { ProblemType::MalformedBody };
        Problem::new(kind, e.to_string())
    })?;
    let binding =
        body.into_binding(&name).map_err(|fault| Problem::new(ProblemType::InvalidBinding, fault.to_string()))?;
    let reply = named(&binding);
    let fresh = engine.bind(binding).await?;
    let status = if fresh { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(reply)).into_response())
}

/// Take a binding away. Streams keep the schema they are pinned to.
#[utoipa::path(delete, path = "/v1/bindings/{name}", tag = "registry", params(("name" = String, Path)),
    responses((status = 204), (status = 404, body = ProblemBody)))]
pub async fn unbind(engine: Engine, Segments(name): Segments<String>) -> Result<StatusCode, Problem> {
    let missing = || Problem::new(ProblemType::BindingNotFound, format!("there is no binding {name}"));
    engine.unbind(&BindingName::parse(&name).ok_or_else(missing)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
