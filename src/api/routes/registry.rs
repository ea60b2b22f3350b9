//! Subjects, their versions, and bindings.

use std::sync::Arc;

use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::engine::Engine;
use crate::engine::registry::{Fit, RegistryFault};
use crate::protocol::json::{Duplicates, strict_value};
use crate::protocol::registry::{BindingBody, StateBody, StateName};
use crate::registry::{Binding, BindingName, Registered, Registry, Search, SubjectName, VersionState};

use super::super::deprecation;
use super::super::extract::{Query, Segments, WholeBody, malformed_query};
use super::super::problem::{Problem, ProblemBody, ProblemType};
use super::changes::expect_json;

/// A version of a subject.
#[derive(Debug, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct VersionReply {
    pub subject: String,
    pub version: u32,
    /// The same for equal content under every subject.
    pub id: u32,
    /// SHA-256 of the document's canonical JSON, in hex: equal content has equal fingerprints.
    pub fingerprint: String,
    pub state: StateName,
    /// Whether it is hidden, and kept only for those who use it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
}

/// One version of a subject, with its document.
#[derive(Debug, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct DocumentReply {
    pub subject: String,
    pub version: u32,
    pub id: u32,
    pub fingerprint: String,
    pub registered_at: String,
    pub state: StateName,
    /// Since when it is deprecated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// When it is expected to be disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sunset: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    pub document: Value,
}

/// A subject and the versions it has.
#[derive(Debug, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct SubjectBody {
    pub subject: String,
    pub latest: u32,
    pub versions: Vec<u32>,
    /// The state of the latest.
    pub state: StateName,
}

/// A page of subjects.
#[derive(Debug, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct SubjectsReply {
    pub subjects: Vec<SubjectBody>,
    /// Send as `cursor` for what follows; null at the end.
    #[serde(default)]
    pub next: Option<String>,
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

/// List subjects, or search for them.
#[utoipa::path(get, path = "/v1/schemas", tag = "registry",
    params(
        ("search" = Option<String>, Query, description = "Text in the subject's name, a collection, a type, a title or a property; in any case"),
        ("prefix" = Option<String>, Query, description = "Only subjects that begin so"),
        ("type" = Option<String>, Query, description = "Only those with entities of this type"),
        ("collection" = Option<String>, Query, description = "Only those with a collection of this name"),
        ("state" = Option<String>, Query, description = "Only those with a version that is enabled, deprecated or disabled"),
        ("deleted" = Option<bool>, Query, description = "Also what is deleted and not yet forgotten"),
        ("limit" = Option<usize>, Query, description = "1 to 10,000; 1,000 unless given"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before")),
    responses((status = 200, body = SubjectsReply), (status = 400, body = ProblemBody)))]
pub async fn subjects(engine: Engine, query: Query) -> Result<Json<SubjectsReply>, Problem> {
    let text = |name| query.one(name).map(|text| text.map(str::to_owned));
    let search = Search {
        text: text("search")?,
        prefix: text("prefix")?,
        entity_type: text("type")?,
        collection: text("collection")?,
        state: text("state")?,
        deleted: query.flag("deleted")?,
        after: text("cursor")?,
    };
    if !matches!(search.state.as_deref(), None | Some("enabled" | "deprecated" | "disabled")) {
        return Err(malformed_query("state is enabled, deprecated or disabled"));
    }
    let limit = query.limit(1_000, 10_000)?;
    let registry = engine.registry();
    let mut found = search.over(&registry);
    let shown: Vec<&SubjectName> = found.by_ref().take(limit).collect();
    let next = found.next().and(shown.last()).map(ToString::to_string);
    let subjects = shown.into_iter().filter_map(|name| subject_body(&registry, name, search.deleted)).collect();
    Ok(Json(SubjectsReply { subjects, next }))
}

fn shown<'r>(
    registry: &'r Registry,
    subject: &SubjectName,
    deleted: bool,
) -> impl DoubleEndedIterator<Item = &'r Arc<Registered>> + use<'r> {
    registry.all_versions(subject).filter(move |registered| deleted || !registered.deleted)
}

fn subject_body(registry: &Registry, subject: &SubjectName, deleted: bool) -> Option<SubjectBody> {
    let versions = shown(registry, subject, deleted).map(|registered| registered.version).collect();
    let latest = shown(registry, subject, deleted).next_back()?;
    let state = StateBody::from(latest.state).state;
    Some(SubjectBody { subject: subject.to_string(), latest: latest.version, versions, state })
}

/// Get a subject.
#[utoipa::path(get, path = "/v1/schemas/{subject}", tag = "registry",
    params(("subject" = String, Path), ("deleted" = Option<bool>, Query)),
    responses((status = 200, body = SubjectBody), (status = 404, body = ProblemBody)))]
pub async fn subject(
    engine: Engine,
    Segments(subject): Segments<String>,
    query: Query,
) -> Result<Json<SubjectBody>, Problem> {
    let (registry, deleted) = (engine.registry(), query.flag("deleted")?);
    let body = SubjectName::parse(&subject).and_then(|name| subject_body(&registry, &name, deleted));
    body.map(Json).ok_or_else(|| RegistryFault::UnknownSubject(subject).into())
}

/// Register a document, which must fit the versions before it; content that the subject has already keeps its version.
#[utoipa::path(post, path = "/v1/schemas/{subject}/versions", tag = "registry",
    params(("subject" = String, Path),
        ("compatibility" = Option<String>, Query, description = "`none` registers it whether it fits or not")),
    request_body(content = crate::protocol::schema::DocumentBody, content_type = "application/json"),
    responses((status = 201, body = VersionReply), (status = 200, body = VersionReply, description = "It was there already"),
        (status = 409, body = ProblemBody, description = "It is not compatible; `violations` says why"),
        (status = 422, body = ProblemBody)))]
pub async fn register(
    engine: Engine,
    Segments(subject): Segments<String>,
    query: Query,
    head: HeaderMap,
    WholeBody(body, _held): WholeBody,
) -> Result<Response, Problem> {
    expect_json(&head)?;
    let fit = match query.one("compatibility")? {
        None => Fit::AsConfigured,
        Some("none") => Fit::Waived,
        Some(_) => return Err(malformed_query("compatibility is none, or left out")),
    };
    let name = subject_name(&subject)?;
    let document = document_of(&engine, &body)?;
    let outcome = engine.register_as(name, document, fit).await?;
    let status = if outcome.fresh { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(version_reply(&subject, &outcome.registered))).into_response())
}

pub(super) fn subject_name(text: &str) -> Result<SubjectName, Problem> {
    SubjectName::parse(text).ok_or_else(|| {
        let detail = "a subject has 1 to 256 of the characters A-Z a-z 0-9 . _ - and / between segments";
        Problem::new(ProblemType::MalformedName, detail)
    })
}

/// A body that is to be a document: JSON at least.
pub(super) fn document_of(engine: &Engine, body: &[u8]) -> Result<Value, Problem> {
    let malformed = |reason: String| Problem::new(ProblemType::MalformedBody, reason);
    let text = std::str::from_utf8(body).map_err(|_| malformed("the body is not UTF-8".into()))?;
    let depth_max = engine.limits().json_depth_max;
    strict_value(text, depth_max, Duplicates::Refuse).map_err(|e| malformed(e.to_string()))
}

pub(super) fn version_reply(subject: &str, registered: &Registered) -> VersionReply {
    VersionReply {
        subject: subject.to_owned(),
        version: registered.version,
        id: registered.id,
        fingerprint: registered.fingerprint.to_string(),
        state: StateBody::from(registered.state).state,
        deleted: registered.deleted,
    }
}

/// List the versions of a subject.
#[utoipa::path(get, path = "/v1/schemas/{subject}/versions", tag = "registry",
    params(("subject" = String, Path), ("deleted" = Option<bool>, Query, description = "Also those that are deleted")),
    responses((status = 200, body = VersionsReply), (status = 404, body = ProblemBody)))]
pub async fn versions(
    engine: Engine,
    Segments(subject): Segments<String>,
    query: Query,
) -> Result<Json<VersionsReply>, Problem> {
    let (registry, deleted) = (engine.registry(), query.flag("deleted")?);
    let name = SubjectName::parse(&subject);
    let versions: Vec<VersionReply> =
        name.iter().flat_map(|name| shown(&registry, name, deleted)).map(|r| version_reply(&subject, r)).collect();
    match versions.is_empty() {
        true => Err(RegistryFault::UnknownSubject(subject).into()),
        false => Ok(Json(VersionsReply { subject, versions })),
    }
}

/// The version that a path names, which may be one that is deleted.
pub(super) fn version_of(
    registry: &Registry,
    subject: &str,
    version: &str,
    deleted: bool,
) -> Result<(SubjectName, Arc<Registered>), Problem> {
    let unknown = || RegistryFault::UnknownSubject(subject.to_owned());
    let name = SubjectName::parse(subject).ok_or_else(unknown)?;
    let registered = match version {
        "latest" => shown(registry, &name, deleted).next_back().ok_or_else(unknown)?,
        text => {
            let malformed = || Problem::new(ProblemType::MalformedName, "a version is a number, or `latest`");
            let version: u32 = text.parse().map_err(|_| malformed())?;
            let missing = || RegistryFault::UnknownVersion { subject: subject.to_owned(), version };
            registry.get(&name, version).filter(|found| deleted || !found.deleted).ok_or_else(missing)?
        }
    };
    Ok((name, registered.clone()))
}

/// Get a version with its document; `latest` is the newest.
#[utoipa::path(get, path = "/v1/schemas/{subject}/versions/{version}", tag = "registry",
    params(("subject" = String, Path), ("version" = String, Path, description = "A number, or `latest`"),
        ("deleted" = Option<bool>, Query, description = "Also where it is deleted")),
    responses((status = 200, body = DocumentReply, description = "With `Deprecation` and `Sunset` where it is deprecated"),
        (status = 404, body = ProblemBody)))]
pub async fn version(
    engine: Engine,
    Segments((subject, version)): Segments<(String, String)>,
    query: Query,
) -> Result<Response, Problem> {
    let registry = engine.registry();
    let (_, registered) = version_of(&registry, &subject, &version, query.flag("deleted")?)?;
    let document = serde_json::from_str(registered.document.canonical())
        .map_err(|e| Problem::new(ProblemType::StorageFailed, e.to_string()))?;
    let StateBody { state, since, sunset } = registered.state.into();
    let reply = Json(DocumentReply {
        subject,
        version: registered.version,
        id: registered.id,
        fingerprint: registered.fingerprint.to_string(),
        registered_at: registered.registered_at.to_string(),
        state,
        since,
        sunset,
        deleted: registered.deleted,
        document,
    });
    Ok(marked(reply.into_response(), &registered))
}

/// Tells whoever looks at a deprecated version.
pub(super) fn marked(mut response: Response, registered: &Registered) -> Response {
    if let VersionState::Deprecated { since, sunset } = registered.state {
        deprecation::mark(response.headers_mut(), since, sunset);
    }
    response
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
