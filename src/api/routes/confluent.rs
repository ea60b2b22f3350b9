//! The Confluent Schema Registry's REST API over the same registry, for its clients and for what is built on them.
//!
//! Below [`PREFIX`], and at the root where no streams are mounted there. A subject of that API is one of ours; a schema
//! that names no collections is kept as a bare one. Only JSON schemas are kept. Refusals are `{"error_code", "message"}`
//! with that API's codes. Source: Confluent's API reference, and what its published clients send.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::engine::registry::{Fit, RegistryFault};
use crate::engine::verdict::{Comparison, Verdict};
use crate::engine::{Engine, Fault};
use crate::protocol::confluent::{
    ConfluentConfig, ConfluentConfigUpdate, ConfluentError, ConfluentMode, ConfluentPlace, ConfluentReference,
    ConfluentSchema, ConfluentVerdict, ConfluentVersion, JSON, document_of, schema_of,
};
use crate::protocol::json::{Duplicates, strict_value};
use crate::registry::{
    CompatibilityChoice, DeleteFault, Fingerprint, Mode, Reference, Registered, Registry, SubjectName, canonical_json,
};

use super::super::extract::{Query, WholeBody, decode};
use super::super::problem::{Problem, ProblemType};
use super::super::state::{Api, ApiSettings};

/// Where the API always is.
pub const PREFIX: &str = "/v1/confluent";
/// Its paths at the root, where they are free.
const AT_ROOT: [&str; 5] = ["subjects", "schemas", "config", "compatibility", "mode"];
const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/vnd.schemaregistry.v1+json");

/// Whether a path without a route is one of this API's.
pub(super) fn at_root(settings: &ApiSettings, path: &str) -> bool {
    let first = path.strip_prefix('/').and_then(|path| path.split('/').next()).unwrap_or_default();
    settings.root_mount.is_none() && (AT_ROOT.contains(&first) || path == "/contexts")
}

/// All methods below the prefix.
pub async fn dispatch(State(api): State<Api>, request: Request) -> Response {
    answer(&api, request).await
}

pub(super) async fn answer(api: &Api, request: Request) -> Response {
    let mut response = match route(api, request).await {
        Ok(response) => response,
        Err(Refused { status, code, message }) => {
            (status, Json(ConfluentError { error_code: code, message })).into_response()
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, CONTENT_TYPE);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn route(api: &Api, request: Request) -> Answer {
    let (mut parts, body) = request.into_parts();
    let engine = Engine::from_request_parts(&mut parts, api).await?;
    let path = parts.uri.path();
    let path = path.strip_prefix(PREFIX).unwrap_or(path).trim_matches('/').to_owned();
    let segments: Vec<String> =
        path.split('/').map(|part| decode(part).map(Cow::into_owned)).collect::<Result<_, _>>()?;
    let query = Query::parse(parts.uri.query());
    let method = if parts.method == Method::HEAD { Method::GET } else { parts.method.clone() };
    let body = match method {
        Method::POST | Method::PUT => WholeBody::from_request(Request::from_parts(parts, body), api).await?,
        _ => WholeBody::default(),
    };
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match (method.as_str(), &segments[..]) {
        ("GET", [""]) => json(&serde_json::json!({})),
        ("GET", ["contexts"]) => json(&["."]),
        ("GET", ["subjects"]) => subjects(engine, &query),
        ("POST", ["subjects", subject]) => look_up(engine, subject, &query, &body),
        ("DELETE", ["subjects", subject]) => delete_subject(engine, subject, &query).await,
        ("GET", ["subjects", subject, "versions"]) => versions(engine, subject, &query),
        ("POST", ["subjects", subject, "versions"]) => register(engine, subject, &body).await,
        ("GET", ["subjects", subject, "versions", version]) => version_of(engine, subject, version, &query),
        ("DELETE", ["subjects", subject, "versions", version]) => {
            delete_version(engine, subject, version, &query).await
        }
        ("GET", ["subjects", subject, "versions", version, "schema"]) => text_of(engine, subject, version, &query),
        ("GET", ["subjects", subject, "versions", version, "referencedby"]) => {
            referenced_by(engine, subject, version)
        }
        ("GET", ["schemas"]) => schemas(engine, &query),
        ("GET", ["schemas", "types"]) => json(&[JSON]),
        ("GET", ["schemas", "ids", id]) => by_id(engine, id, &query),
        ("GET", ["schemas", "ids", id, "schema"]) => text_by_id(engine, id),
        ("GET", ["schemas", "ids", id, "subjects"]) => subjects_by_id(engine, id, &query),
        ("GET", ["schemas", "ids", id, "versions"]) => versions_by_id(engine, id, &query),
        ("GET", ["config"]) => config(engine),
        ("PUT", ["config"]) => set_config(engine, &body).await,
        ("DELETE", ["config"]) => reset_config(engine).await,
        ("GET", ["config", subject]) => subject_config(engine, subject, &query),
        ("PUT", ["config", subject]) => set_subject_config(engine, subject, &body).await,
        ("DELETE", ["config", subject]) => reset_subject_config(engine, subject).await,
        ("POST", ["compatibility", "subjects", subject, "versions"]) => {
            compatible(engine, subject, None, &query, &body).await
        }
        ("POST", ["compatibility", "subjects", subject, "versions", version]) => {
            compatible(engine, subject, Some(version), &query, &body).await
        }
        ("GET", ["mode"] | ["mode", _]) => mode(&segments, &query),
        ("PUT", ["mode"] | ["mode", _]) => set_mode(&body),
        (
            _,
            [""]
            | ["contexts"]
            | ["subjects"]
            | ["subjects", _]
            | ["subjects", _, "versions"]
            | ["subjects", _, "versions", _]
            | ["subjects", _, "versions", _, "schema" | "referencedby"]
            | ["schemas"]
            | ["schemas", "types"]
            | ["schemas", "ids", _]
            | ["schemas", "ids", _, "schema" | "subjects" | "versions"]
            | ["config" | "mode"]
            | ["config" | "mode", _]
            | ["compatibility", "subjects", _, "versions"]
            | ["compatibility", "subjects", _, "versions", _],
        ) => Err(refused(StatusCode::METHOD_NOT_ALLOWED, 405, "HTTP 405 Method Not Allowed")),
        _ => Err(refused(StatusCode::NOT_FOUND, 404, "HTTP 404 Not Found")),
    }
}

type Answer = Result<Response, Refused>;

/// A refusal in that API's form.
#[derive(Debug)]
pub(in crate::api) struct Refused {
    status: StatusCode,
    code: u32,
    message: String,
}

fn refused(status: StatusCode, code: u32, message: impl Into<String>) -> Refused {
    Refused { status, code, message: message.into() }
}

/// Its codes begin with the status that they go with.
fn coded(code: u32, message: impl Into<String>) -> Refused {
    let status = u16::try_from(code / 100).ok().and_then(|status| StatusCode::from_u16(status).ok());
    refused(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), code, message)
}

fn json(value: &impl Serialize) -> Answer {
    Ok(Json(value).into_response())
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        let status = problem.kind.status();
        let code = match problem.kind {
            ProblemType::StorageFailed | ProblemType::WriteOutcomeUnknown | ProblemType::Internal => 50001,
            ProblemType::MalformedName => return coded(42208, problem.detail),
            _ => u32::from(status.as_u16()),
        };
        let message = match problem.body().errors.first() {
            Some(first) => format!("{}: {} at `{}`", problem.detail, first.message, first.pointer),
            None => problem.detail,
        };
        refused(status, code, message)
    }
}

/// A fault of a request about one subject.
fn fault(fault: Fault, subject: &str) -> Refused {
    match fault {
        Fault::Registry(RegistryFault::UnknownSubject(_)) => no_subject(subject),
        Fault::Registry(RegistryFault::UnknownVersion { version, .. }) => no_version(version),
        Fault::Registry(RegistryFault::Document(faults)) => {
            let told: Vec<String> = faults.iter().take(5).map(|fault| format!("{fault}")).collect();
            coded(42201, format!("Invalid schema: {}", told.join("; ")))
        }
        Fault::Registry(RegistryFault::Incompatible { verdict, .. }) => {
            let message = "Schema being registered is incompatible with an earlier schema for subject";
            refused(StatusCode::CONFLICT, 409, format!("{message} \"{subject}\", details: {:?}", messages(&verdict)))
        }
        Fault::Registry(RegistryFault::Delete(deletion)) => match deletion {
            DeleteFault::UnknownSubject { .. } => no_subject(subject),
            DeleteFault::UnknownVersion { version, .. } => no_version(version),
            DeleteFault::Referenced { version, by, by_version } => coded(
                42206,
                format!(
                    "One or more references exist to the schema {{subject={subject},version={version}}}: \
                     {{subject={by},version={by_version}}}."
                ),
            ),
            // Known to ours only; a client takes it for a reference, which it is.
            DeleteFault::Bound { .. } | DeleteFault::InUse { .. } => coded(42206, deletion.to_string()),
            DeleteFault::AlreadyDeleted | DeleteFault::NotDeletedYet { .. } => coded(40404, deletion.to_string()),
        },
        other => Problem::from(other).into(),
    }
}

fn no_subject(subject: &str) -> Refused {
    coded(40401, format!("Subject '{subject}' not found."))
}

fn no_version(version: u32) -> Refused {
    coded(40402, format!("Version {version} not found."))
}

fn no_schema(id: &str) -> Refused {
    coded(40403, format!("Schema {id} not found"))
}

fn messages(verdict: &Verdict) -> Vec<String> {
    let mut told: Vec<String> = verdict
        .violations
        .iter()
        .map(|violation| {
            let example = violation.counterexample.as_ref();
            let example = example.map_or(String::new(), |value| format!(", counterexample: {value}"));
            format!(
                "{{errorType:'{}', description:'{}', path:'{}', version:{}{example}}}",
                violation.kind.to_ascii_uppercase(),
                violation.message,
                violation.path,
                violation.version
            )
        })
        .collect();
    if !told.is_empty() {
        told.push(format!("{{compatibility: '{}'}}", verdict.compatibility.mode.as_str()));
    }
    told
}

fn name_of(subject: &str) -> Result<SubjectName, Refused> {
    SubjectName::parse(subject).ok_or_else(|| {
        coded(
            42208,
            format!("The specified subject '{subject}' is not a valid: it has 1 to 256 of A-Z a-z 0-9 . _ - /"),
        )
    })
}

fn parsed<T: DeserializeOwned>(WholeBody(body, _): &WholeBody) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(|error| {
        let (status, code) = match error.is_data() {
            true => (StatusCode::UNPROCESSABLE_ENTITY, 422),
            false => (StatusCode::BAD_REQUEST, 400),
        };
        refused(status, code, format!("the body is not what it should be: {error}"))
    })
}

/// The document that a body asks for.
fn document(engine: &Engine, body: &WholeBody) -> Result<Value, Refused> {
    let asked: ConfluentSchema = parsed(body)?;
    let kind = asked.schema_type.as_deref().unwrap_or("AVRO");
    if !kind.eq_ignore_ascii_case(JSON) {
        return Err(coded(42201, format!("Invalid schema: this registry keeps schemaType JSON, not {kind}")));
    }
    if asked.metadata.is_some() || asked.rule_set.is_some() {
        return Err(coded(42201, "Invalid schema: this registry keeps neither metadata nor rule sets"));
    }
    if asked.id.is_some_and(|id| id > 0) || asked.version.is_some_and(|version| version > 0) {
        return Err(coded(42205, "Ids and versions are given by the server: it is not in import mode"));
    }
    let schema = strict_value(&asked.schema, engine.limits().json_depth_max, Duplicates::Refuse)
        .map_err(|error| coded(42201, format!("Invalid schema: it is not JSON: {error}")))?;
    let registry = engine.registry();
    let references = asked.references.unwrap_or_default();
    let references: Vec<Reference> =
        references.into_iter().map(|reference| resolved(&registry, reference)).collect::<Result<_, _>>()?;
    Ok(document_of(schema, &references))
}

fn resolved(registry: &Registry, reference: ConfluentReference) -> Result<Reference, Refused> {
    let invalid = |why: &str| coded(42201, format!("Invalid schema: reference '{}': {why}", reference.name));
    let subject = SubjectName::parse(&reference.subject).ok_or_else(|| invalid("not a subject"))?;
    let version = match u32::try_from(reference.version) {
        Ok(version) => version,
        Err(_) if reference.version == -1 => {
            registry.latest(&subject).ok_or_else(|| invalid("the subject is not registered"))?.version
        }
        Err(_) => return Err(invalid("not a version")),
    };
    Ok(Reference { name: reference.name, subject, version })
}

/// A switch of the query, which some clients write with a capital letter.
fn flag(query: &Query, name: &str) -> Result<bool, Refused> {
    let wrong = || refused(StatusCode::BAD_REQUEST, 400, format!("{name} is true or false"));
    query.one(name)?.map_or(Ok(false), |text| text.to_ascii_lowercase().parse().map_err(|_| wrong()))
}

/// What a request shows of versions.
#[derive(Clone, Copy)]
struct Shown {
    deleted: bool,
    live: bool,
}

impl Shown {
    fn of(query: &Query) -> Result<Self, Refused> {
        let only = flag(query, "deletedOnly")?;
        Ok(Self { deleted: flag(query, "deleted")? || only, live: !only })
    }

    fn shows(self, registered: &Registered) -> bool {
        if registered.deleted { self.deleted } else { self.live }
    }
}

fn page<T>(query: &Query, items: impl Iterator<Item = T>) -> Result<Vec<T>, Refused> {
    let number = |name| -> Result<Option<i64>, Refused> {
        let text = query.one(name)?;
        let wrong = || refused(StatusCode::BAD_REQUEST, 400, format!("{name} is a whole number"));
        text.map(|text| text.parse().map_err(|_| wrong())).transpose()
    };
    let offset = usize::try_from(number("offset")?.unwrap_or(0)).unwrap_or(0);
    // -1 is no bound.
    let limit = usize::try_from(number("limit")?.unwrap_or(-1)).unwrap_or(usize::MAX);
    Ok(items.skip(offset).take(limit).collect())
}

fn full(subject: &SubjectName, registered: &Registered) -> ConfluentVersion {
    ConfluentVersion {
        subject: Some(subject.to_string()),
        id: Some(registered.id),
        version: Some(registered.version),
        ..content(registered)
    }
}

fn content(registered: &Registered) -> ConfluentVersion {
    ConfluentVersion {
        subject: None,
        id: None,
        version: None,
        schema_type: JSON.to_owned(),
        schema: schema_of(&registered.document),
        references: registered.document.references().map(Into::into).collect(),
        max_id: None,
    }
}

/// List subjects.
#[utoipa::path(get, path = "/v1/confluent/subjects", tag = "confluent",
    params(("subjectPrefix" = Option<String>, Query), ("deleted" = Option<bool>, Query),
        ("deletedOnly" = Option<bool>, Query), ("offset" = Option<i64>, Query), ("limit" = Option<i64>, Query)),
    responses((status = 200, body = Vec<String>)))]
pub(in crate::api) fn subjects(engine: Engine, query: &Query) -> Answer {
    let (registry, shown) = (engine.registry(), Shown::of(query)?);
    let prefix = query.one("subjectPrefix")?.unwrap_or_default();
    let all = registry.all_subjects().filter(|subject| subject.as_str().starts_with(prefix));
    // Deleted as a whole, or not.
    let wanted = all.filter(|subject| match registry.latest(subject) {
        Some(_) => shown.live,
        None => shown.deleted,
    });
    json(&page(query, wanted.map(SubjectName::as_str))?)
}

/// Look a schema up under a subject.
#[utoipa::path(post, path = "/v1/confluent/subjects/{subject}", tag = "confluent",
    params(("subject" = String, Path), ("deleted" = Option<bool>, Query)), request_body = ConfluentSchema,
    responses((status = 200, body = ConfluentVersion), (status = 404, body = ConfluentError, description = "40401, 40403"),
        (status = 422, body = ConfluentError, description = "42201")))]
pub(in crate::api) fn look_up(engine: Engine, subject: &str, query: &Query, body: &WholeBody) -> Answer {
    let (registry, name) = (engine.registry(), name_of(subject)?);
    let deleted = flag(query, "deleted")?;
    let shown = |registered: &&Arc<Registered>| deleted || !registered.deleted;
    if registry.all_versions(&name).find(shown).is_none() {
        return Err(no_subject(subject));
    }
    let asked = Fingerprint::of(&canonical_json(&document(&engine, body)?));
    let found = registry.all_versions(&name).filter(shown).rfind(|registered| registered.fingerprint == asked);
    json(&full(&name, found.ok_or_else(|| coded(40403, "Schema not found"))?))
}

/// Delete a subject; with `permanent=true` for good.
#[utoipa::path(delete, path = "/v1/confluent/subjects/{subject}", tag = "confluent",
    params(("subject" = String, Path), ("permanent" = Option<bool>, Query)),
    responses((status = 200, body = Vec<u32>),
        (status = 404, body = ConfluentError, description = "40401, 40404 (deleted before), 40405 (not deleted before)"),
        (status = 422, body = ConfluentError, description = "42206: something needs it")))]
pub(in crate::api) async fn delete_subject(engine: Engine, subject: &str, query: &Query) -> Answer {
    let (name, permanent) = (name_of(subject)?, flag(query, "permanent")?);
    match engine.delete_versions(&name, None, permanent).await {
        Ok(versions) => json(&versions),
        Err(Fault::Registry(RegistryFault::Delete(DeleteFault::AlreadyDeleted))) => {
            let message = format!("Subject '{subject}' was soft deleted. Set permanent=true to delete permanently");
            Err(coded(40404, message))
        }
        Err(Fault::Registry(RegistryFault::Delete(DeleteFault::NotDeletedYet { .. }))) => {
            let message = format!("Subject '{subject}' was not deleted first before being permanently deleted");
            Err(coded(40405, message))
        }
        Err(other) => Err(fault(other, subject)),
    }
}

/// List the versions of a subject.
#[utoipa::path(get, path = "/v1/confluent/subjects/{subject}/versions", tag = "confluent",
    params(("subject" = String, Path), ("deleted" = Option<bool>, Query), ("deletedOnly" = Option<bool>, Query)),
    responses((status = 200, body = Vec<u32>), (status = 404, body = ConfluentError, description = "40401")))]
pub(in crate::api) fn versions(engine: Engine, subject: &str, query: &Query) -> Answer {
    let (registry, shown) = (engine.registry(), Shown::of(query)?);
    let name = name_of(subject)?;
    let wanted: Vec<u32> =
        registry.all_versions(&name).filter(|known| shown.shows(known)).map(|known| known.version).collect();
    if wanted.is_empty() {
        return Err(no_subject(subject));
    }
    json(&page(query, wanted.into_iter())?)
}

/// Register a schema.
#[utoipa::path(post, path = "/v1/confluent/subjects/{subject}/versions", tag = "confluent",
    params(("subject" = String, Path)), request_body = ConfluentSchema,
    responses((status = 200, body = ConfluentVersion), (status = 409, body = ConfluentError, description = "It is not compatible"),
        (status = 422, body = ConfluentError, description = "42201, 42208")))]
pub(in crate::api) async fn register(engine: Engine, subject: &str, body: &WholeBody) -> Answer {
    let name = name_of(subject)?;
    let document = document(&engine, body)?;
    let outcome = engine.register_as(name.clone(), document, Fit::AsConfigured).await;
    json(&full(&name, &outcome.map_err(|other| fault(other, subject))?.registered))
}

/// The version that a path names: a number, `latest` or -1.
fn version(
    registry: &Registry,
    subject: &str,
    version: &str,
    deleted: bool,
) -> Result<(SubjectName, Arc<Registered>), Refused> {
    let name = name_of(subject)?;
    let shown = |registered: &&Arc<Registered>| deleted || !registered.deleted;
    let newest = registry.all_versions(&name).rfind(shown);
    let Some(newest) = newest else { return Err(no_subject(subject)) };
    let found = match version {
        "latest" | "-1" => newest,
        text => {
            let number = text.parse().ok().filter(|number: &u32| (1..=u32::MAX >> 1).contains(number));
            let number = number.ok_or_else(|| {
                let allowed = "Allowed values are between [1, 2^31-1] and the string \"latest\"";
                coded(42202, format!("The specified version '{text}' is not a valid version id. {allowed}"))
            })?;
            registry.get(&name, number).filter(shown).ok_or_else(|| no_version(number))?
        }
    };
    let found = found.clone();
    Ok((name, found))
}

/// Get a version; `latest` is the newest.
#[utoipa::path(get, path = "/v1/confluent/subjects/{subject}/versions/{version}", tag = "confluent",
    params(("subject" = String, Path), ("version" = String, Path), ("deleted" = Option<bool>, Query)),
    responses((status = 200, body = ConfluentVersion), (status = 404, body = ConfluentError, description = "40401, 40402"),
        (status = 422, body = ConfluentError, description = "42202")))]
pub(in crate::api) fn version_of(engine: Engine, subject: &str, number: &str, query: &Query) -> Answer {
    let (name, found) = version(&engine.registry(), subject, number, flag(query, "deleted")?)?;
    json(&full(&name, &found))
}

/// Get the schema of a version and nothing else.
#[utoipa::path(get, path = "/v1/confluent/subjects/{subject}/versions/{version}/schema", tag = "confluent",
    params(("subject" = String, Path), ("version" = String, Path), ("deleted" = Option<bool>, Query)),
    responses((status = 200, body = serde_json::Value), (status = 404, body = ConfluentError, description = "40401, 40402")))]
pub(in crate::api) fn text_of(engine: Engine, subject: &str, number: &str, query: &Query) -> Answer {
    let (_, found) = version(&engine.registry(), subject, number, flag(query, "deleted")?)?;
    Ok(schema_of(&found.document).into_response())
}

/// List the ids of the schemas that refer to a version.
#[utoipa::path(get, path = "/v1/confluent/subjects/{subject}/versions/{version}/referencedby", tag = "confluent",
    params(("subject" = String, Path), ("version" = String, Path)),
    responses((status = 200, body = Vec<u32>), (status = 404, body = ConfluentError, description = "40401, 40402")))]
pub(in crate::api) fn referenced_by(engine: Engine, subject: &str, number: &str) -> Answer {
    let registry = engine.registry();
    let (name, found) = version(&registry, subject, number, true)?;
    let ids: BTreeSet<u32> = registry
        .referenced_by(&name, found.version)
        .filter(|(_, referring)| !referring.deleted)
        .map(|(_, referring)| referring.id)
        .collect();
    json(&ids)
}

/// Delete a version; with `permanent=true` for good.
#[utoipa::path(delete, path = "/v1/confluent/subjects/{subject}/versions/{version}", tag = "confluent",
    params(("subject" = String, Path), ("version" = String, Path), ("permanent" = Option<bool>, Query)),
    responses((status = 200, body = u32),
        (status = 404, body = ConfluentError, description = "40401, 40402, 40406 (deleted before), 40407 (not deleted before)"),
        (status = 422, body = ConfluentError, description = "42202, 42206")))]
pub(in crate::api) async fn delete_version(engine: Engine, subject: &str, number: &str, query: &Query) -> Answer {
    let permanent = flag(query, "permanent")?;
    let newest = matches!(number, "latest" | "-1");
    let (name, found) = version(&engine.registry(), subject, number, !newest)?;
    let told = format!("Subject '{subject}' Version {}", found.version);
    match engine.delete_versions(&name, Some(found.version), permanent).await {
        Ok(_) => json(&found.version),
        Err(Fault::Registry(RegistryFault::Delete(DeleteFault::AlreadyDeleted))) => {
            Err(coded(40406, format!("{told} was soft deleted. Set permanent=true to delete permanently")))
        }
        Err(Fault::Registry(RegistryFault::Delete(DeleteFault::NotDeletedYet { .. }))) => {
            Err(coded(40407, format!("{told} was not deleted first before being permanently deleted")))
        }
        Err(other) => Err(fault(other, subject)),
    }
}

/// List versions of all subjects.
#[utoipa::path(get, path = "/v1/confluent/schemas", tag = "confluent",
    params(("subjectPrefix" = Option<String>, Query), ("latestOnly" = Option<bool>, Query), ("deleted" = Option<bool>, Query),
        ("offset" = Option<i64>, Query), ("limit" = Option<i64>, Query)),
    responses((status = 200, body = Vec<ConfluentVersion>)))]
pub(in crate::api) fn schemas(engine: Engine, query: &Query) -> Answer {
    let (registry, shown) = (engine.registry(), Shown::of(query)?);
    let newest_only = flag(query, "latestOnly")?;
    let prefix = query.one("subjectPrefix")?.unwrap_or_default();
    let all = registry.all_subjects().filter(|subject| subject.as_str().starts_with(prefix)).flat_map(|subject| {
        let versions: Vec<_> = registry.all_versions(subject).filter(|known| shown.shows(known)).collect();
        let from = if newest_only { versions.len().saturating_sub(1) } else { 0 };
        versions.into_iter().skip(from).map(move |known| (subject, known))
    });
    let shown: Vec<_> = page(query, all.take(SCHEMAS_MAX))?;
    json(&shown.into_iter().map(|(subject, known)| full(subject, known)).collect::<Vec<_>>())
}

/// Versions of one answer: more are asked for with `offset`.
const SCHEMAS_MAX: usize = 10_000;

/// The versions that have an id, also deleted ones: what was written with them must be read.
fn with_id<'r>(registry: &'r Registry, id: &str) -> Result<Vec<(&'r SubjectName, &'r Arc<Registered>)>, Refused> {
    let number = id.parse().map_err(|_| no_schema(id))?;
    let found: Vec<_> = registry.with_id(number).collect();
    if found.is_empty() { Err(no_schema(id)) } else { Ok(found) }
}

/// Get a schema by its id.
#[utoipa::path(get, path = "/v1/confluent/schemas/ids/{id}", tag = "confluent",
    params(("id" = u32, Path), ("subject" = Option<String>, Query), ("fetchMaxId" = Option<bool>, Query)),
    responses((status = 200, body = ConfluentVersion), (status = 404, body = ConfluentError, description = "40403")))]
pub(in crate::api) fn by_id(engine: Engine, id: &str, query: &Query) -> Answer {
    let registry = engine.registry();
    let max_id = flag(query, "fetchMaxId")?.then(|| registry.last_id());
    let found = with_id(&registry, id)?;
    json(&ConfluentVersion { max_id, ..content(found[0].1) })
}

/// Get a schema by its id and nothing else.
#[utoipa::path(get, path = "/v1/confluent/schemas/ids/{id}/schema", tag = "confluent", params(("id" = u32, Path)),
    responses((status = 200, body = serde_json::Value), (status = 404, body = ConfluentError, description = "40403")))]
pub(in crate::api) fn text_by_id(engine: Engine, id: &str) -> Answer {
    Ok(schema_of(&with_id(&engine.registry(), id)?[0].1.document).into_response())
}

/// List the subjects that have a schema.
#[utoipa::path(get, path = "/v1/confluent/schemas/ids/{id}/subjects", tag = "confluent",
    params(("id" = u32, Path), ("deleted" = Option<bool>, Query)),
    responses((status = 200, body = Vec<String>), (status = 404, body = ConfluentError, description = "40403")))]
pub(in crate::api) fn subjects_by_id(engine: Engine, id: &str, query: &Query) -> Answer {
    let (registry, shown) = (engine.registry(), Shown::of(query)?);
    let found = with_id(&registry, id)?;
    let subjects: BTreeSet<&str> =
        found.iter().filter(|(_, known)| shown.shows(known)).map(|(subject, _)| subject.as_str()).collect();
    json(&subjects)
}

/// List the subjects and versions that have a schema.
#[utoipa::path(get, path = "/v1/confluent/schemas/ids/{id}/versions", tag = "confluent",
    params(("id" = u32, Path), ("deleted" = Option<bool>, Query)),
    responses((status = 200, body = Vec<ConfluentPlace>), (status = 404, body = ConfluentError, description = "40403")))]
pub(in crate::api) fn versions_by_id(engine: Engine, id: &str, query: &Query) -> Answer {
    let (registry, shown) = (engine.registry(), Shown::of(query)?);
    let found = with_id(&registry, id)?;
    let places = found
        .iter()
        .filter(|(_, known)| shown.shows(known))
        .map(|(subject, known)| ConfluentPlace { subject: subject.to_string(), version: known.version });
    json(&places.collect::<Vec<_>>())
}

fn level(mode: Mode) -> ConfluentConfig {
    ConfluentConfig { compatibility_level: mode.as_str().to_owned() }
}

fn asked_mode(body: &WholeBody) -> Result<(Mode, ConfluentConfigUpdate), Refused> {
    let asked: ConfluentConfigUpdate = parsed(body)?;
    let mode = Mode::parse(&asked.compatibility.to_ascii_uppercase()).ok_or_else(|| {
        let known: Vec<&str> = Mode::ALL.iter().map(|mode| mode.as_str()).collect();
        coded(42203, format!("Invalid compatibility level. Valid values are {}", known.join(", ")))
    })?;
    if let Some((name, _)) = asked.others.iter().find(|(_, value)| !value.is_null()) {
        let detail = format!("this registry keeps no `{name}` of a subject, only its compatibility");
        return Err(refused(StatusCode::UNPROCESSABLE_ENTITY, 422, detail));
    }
    Ok((mode, ConfluentConfigUpdate { compatibility: mode.as_str().to_owned(), ..asked }))
}

/// Get the mode of all subjects without one of their own.
#[utoipa::path(get, path = "/v1/confluent/config", tag = "confluent", responses((status = 200, body = ConfluentConfig)))]
pub(in crate::api) fn config(engine: Engine) -> Answer {
    json(&level(engine.registry().global_compatibility().mode))
}

/// Set the mode of all subjects without one of their own.
#[utoipa::path(put, path = "/v1/confluent/config", tag = "confluent", request_body = ConfluentConfigUpdate,
    responses((status = 200, body = ConfluentConfigUpdate), (status = 422, body = ConfluentError, description = "42203")))]
pub(in crate::api) async fn set_config(engine: Engine, body: &WholeBody) -> Answer {
    let (mode, told) = asked_mode(body)?;
    let choice = CompatibilityChoice { mode: Some(mode), ..engine.registry().global_choice() };
    engine.configure(None, Some(choice)).await.map_err(|other| fault(other, ""))?;
    json(&told)
}

/// Back to BACKWARD.
#[utoipa::path(delete, path = "/v1/confluent/config", tag = "confluent", responses((status = 200, body = ConfluentConfig)))]
pub(in crate::api) async fn reset_config(engine: Engine) -> Answer {
    let choice = CompatibilityChoice { mode: None, ..engine.registry().global_choice() };
    engine.configure(None, Some(choice)).await.map_err(|other| fault(other, ""))?;
    json(&level(engine.registry().global_compatibility().mode))
}

fn own_mode(registry: &Registry, subject: &str) -> Result<(SubjectName, Mode), Refused> {
    let name = name_of(subject)?;
    let message = format!("Subject '{subject}' does not have subject-level compatibility configured");
    let mode = registry.choice(&name).and_then(|choice| choice.mode).ok_or_else(|| coded(40408, message))?;
    Ok((name, mode))
}

/// Get the mode of a subject.
#[utoipa::path(get, path = "/v1/confluent/config/{subject}", tag = "confluent",
    params(("subject" = String, Path), ("defaultToGlobal" = Option<bool>, Query)),
    responses((status = 200, body = ConfluentConfig), (status = 404, body = ConfluentError, description = "40408")))]
pub(in crate::api) fn subject_config(engine: Engine, subject: &str, query: &Query) -> Answer {
    let registry = engine.registry();
    match flag(query, "defaultToGlobal")? {
        true => json(&level(registry.compatibility(&name_of(subject)?).mode)),
        false => json(&level(own_mode(&registry, subject)?.1)),
    }
}

/// Set the mode of a subject.
#[utoipa::path(put, path = "/v1/confluent/config/{subject}", tag = "confluent", params(("subject" = String, Path)),
    request_body = ConfluentConfigUpdate,
    responses((status = 200, body = ConfluentConfigUpdate), (status = 422, body = ConfluentError, description = "42203")))]
pub(in crate::api) async fn set_subject_config(engine: Engine, subject: &str, body: &WholeBody) -> Answer {
    let (name, (mode, told)) = (name_of(subject)?, asked_mode(body)?);
    let choice = CompatibilityChoice { mode: Some(mode), ..engine.registry().choice(&name).unwrap_or_default() };
    engine.configure(Some(name), Some(choice)).await.map_err(|other| fault(other, subject))?;
    json(&told)
}

/// Take the mode of a subject back.
#[utoipa::path(delete, path = "/v1/confluent/config/{subject}", tag = "confluent", params(("subject" = String, Path)),
    responses((status = 200, body = ConfluentConfig, description = "What it was"),
        (status = 404, body = ConfluentError, description = "40408")))]
pub(in crate::api) async fn reset_subject_config(engine: Engine, subject: &str) -> Answer {
    let registry = engine.registry();
    let (name, mode) = own_mode(&registry, subject)?;
    let left = CompatibilityChoice { mode: None, ..registry.choice(&name).unwrap_or_default() };
    let left = left.content_model.is_some().then_some(left);
    engine.configure(Some(name), left).await.map_err(|other| fault(other, subject))?;
    json(&level(mode))
}

/// Say whether a schema is compatible: with one version, or with those that the subject's mode asks for.
#[utoipa::path(post, path = "/v1/confluent/compatibility/subjects/{subject}/versions/{version}", tag = "confluent",
    params(("subject" = String, Path), ("version" = String, Path, description = "Left out with its slash: as the mode asks"),
        ("verbose" = Option<bool>, Query)),
    request_body = ConfluentSchema,
    responses((status = 200, body = ConfluentVerdict), (status = 404, body = ConfluentError, description = "40401, 40402"),
        (status = 422, body = ConfluentError, description = "42201, 42202")))]
pub(in crate::api) async fn compatible(
    engine: Engine,
    subject: &str,
    number: Option<&str>,
    query: &Query,
    body: &WholeBody,
) -> Answer {
    let name = name_of(subject)?;
    let asked = number.map(|number| version(&engine.registry(), subject, number, false)).transpose()?;
    let comparison = Comparison { version: asked.map(|(_, found)| found.version), ..Comparison::default() };
    let candidate = document(&engine, body)?;
    let judged = engine.would_fit(&name, candidate, comparison).await;
    let (_, verdict) = judged.map_err(|other| fault(other, subject))?;
    let told = flag(query, "verbose")?.then(|| messages(&verdict));
    json(&ConfluentVerdict { is_compatible: verdict.compatible, messages: told })
}

const READWRITE: &str = "READWRITE";

/// Get what may be done: everything, always.
#[utoipa::path(get, path = "/v1/confluent/mode", tag = "confluent", responses((status = 200, body = ConfluentMode)))]
pub(in crate::api) fn mode(segments: &[&str], query: &Query) -> Answer {
    match segments {
        [_, subject] if !flag(query, "defaultToGlobal")? => {
            Err(coded(40409, format!("Subject '{subject}' does not have subject-level mode configured")))
        }
        _ => json(&ConfluentMode { mode: READWRITE.to_owned() }),
    }
}

/// Confirm that everything may be done; no other mode can be set.
#[utoipa::path(put, path = "/v1/confluent/mode", tag = "confluent", request_body = ConfluentMode,
    responses((status = 200, body = ConfluentMode), (status = 422, body = ConfluentError, description = "42204, 42205")))]
pub(in crate::api) fn set_mode(body: &WholeBody) -> Answer {
    let asked: ConfluentMode = parsed(body)?;
    match asked.mode.as_str() {
        READWRITE => json(&asked),
        "READONLY" | "READONLY_OVERRIDE" | "IMPORT" | "FORWARD" => {
            Err(coded(42205, format!("Operation not permitted: this registry is always {READWRITE}")))
        }
        _ => Err(coded(42204, "Invalid mode. Valid values are READWRITE")),
    }
}
