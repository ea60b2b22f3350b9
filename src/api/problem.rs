//! Refusals as clients get them: `application/problem+json`. Source: RFC 9457.
//!
//! Each cause is mapped here once, in matches without a `_` arm. [`ProblemType::ALL`] also feeds OpenAPI and is held
//! against `docs/problems.md`. A type that promises that nothing was written is never used where something may have been.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::engine::evolution::EvolutionFault;
use crate::engine::live_check::DataFault;
use crate::engine::registry::RegistryFault;
use crate::engine::verdict::Verdict;
use crate::engine::{ChangeFault, Fault, ForkFault};
use crate::model::Offset;
use crate::protocol::compatibility::ViolationBody;
use crate::protocol::json::JsonFault;
use crate::registry::ledger::EntityFailure;
use crate::registry::{
    BindFault, ConfigFault, DeleteFault, DocumentFault, RegisterFault, SubjectName, UnbindFault, ValueFault,
};
use crate::stream::Refusal;

use super::headers;

macro_rules! problem_types {
    ($($(#[$doc:meta])* $name:ident = ($slug:literal, $status:literal, $title:literal);)*) => {
        /// Every kind of refusal. The slug is stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ProblemType {
            $($(#[$doc])* $name,)*
        }

        impl ProblemType {
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            pub fn slug(self) -> &'static str {
                match self { $(Self::$name => $slug,)* }
            }

            pub fn status(self) -> StatusCode {
                let code: u16 = match self { $(Self::$name => $status,)* };
                StatusCode::from_u16(code).expect("the table above holds valid statuses")
            }

            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

problem_types! {
    StreamNotFound = ("stream-not-found", 404, "The stream does not exist");
    StreamExists = ("stream-exists", 409, "The stream exists with another configuration");
    StreamClosed = ("stream-closed", 409, "The stream is closed");
    ContentTypeMismatch = ("content-type-mismatch", 409, "The stream holds another content type");
    StreamSeqRegression = ("stream-seq-regression", 409, "Stream-Seq does not grow");
    StaleEpoch = ("stale-epoch", 403, "A newer incarnation of the producer has written");
    SeqGap = ("seq-gap", 409, "A batch of the producer is missing");
    EpochStart = ("epoch-start", 400, "A new producer epoch starts at seq 0");
    TooManyProducers = ("too-many-producers", 429, "The stream has too many producers");
    OffsetGone = ("offset-gone", 410, "The offset is of a former stream of that name");
    HistoryGone = ("history-gone", 410, "The history from there on is not kept");
    RequestTimeout = ("request-timeout", 408, "The body did not come in time");
    SoftDeleted = ("soft-deleted", 410, "The stream is deleted, and kept only for its forks");
    ForkConflict = ("fork-conflict", 409, "The source cannot be forked like that");
    MalformedForkPoint = ("malformed-fork-point", 400, "A fork cannot begin there");
    OffsetBeyondTail = ("offset-beyond-tail", 400, "The offset lies beyond the tail");
    MalformedOffset = ("malformed-offset", 400, "The offset is malformed");
    MalformedName = ("malformed-name", 400, "The name is malformed");
    MalformedQuery = ("malformed-query", 400, "The query is malformed");
    MalformedHeader = ("malformed-header", 400, "A header is malformed");
    MalformedBody = ("malformed-body", 400, "The body is malformed");
    EmptyBody = ("empty-body", 400, "The body is empty");
    MissingContentType = ("missing-content-type", 400, "Content-Type is missing");
    UnsupportedMediaType = ("unsupported-media-type", 415, "The content type is not supported here");
    NotAcceptable = ("not-acceptable", 406, "The stream has no such representation");
    TooLarge = ("too-large", 413, "The body is too large");
    NotTyped = ("not-typed", 409, "The stream is not typed");
    InvalidChanges = ("invalid-changes", 422, "Some changes are not valid");
    EntityNotFound = ("entity-not-found", 404, "The entity does not exist");
    CollectionNotFound = ("collection-not-found", 404, "The schema has no such collection");
    EntityExists = ("entity-exists", 409, "The entity exists already");
    PreconditionFailed = ("precondition-failed", 412, "The entity is not as you thought");
    Contended = ("contended", 409, "Others kept changing the same thing");
    SubjectNotFound = ("subject-not-found", 404, "The subject or version is not registered");
    InvalidDocument = ("invalid-document", 422, "The document is not valid");
    InvalidBinding = ("invalid-binding", 422, "The binding is not valid");
    BindingConflict = ("binding-conflict", 409, "The binding conflicts with another");
    BindingNotFound = ("binding-not-found", 404, "The binding does not exist");
    IncompatibleSchema = ("incompatible-schema", 409, "The document is not compatible with earlier versions");
    SchemaDisabled = ("schema-disabled", 409, "The schema version is disabled");
    SchemaNotPinnable = ("schema-not-pinnable", 409, "No stream can begin with that schema version");
    VersionInUse = ("version-in-use", 409, "The version is still needed");
    InvalidConfig = ("invalid-config", 422, "The configuration is not valid");
    InvalidMigration = ("invalid-migration", 422, "The migration is not valid");
    MigrationNotFound = ("migration-not-found", 404, "The migration does not exist");
    MigrationConflict = ("migration-conflict", 409, "A migration is in the way");
    MigrationFails = ("migration-fails", 409, "Some entities cannot be carried over");
    DataFails = ("data-fails", 409, "Stored entities do not fit the schema");
    LimitReached = ("limit-reached", 429, "A limit of the server is reached");
    Unauthorized = ("unauthorized", 401, "A bearer token is needed");
    NotFound = ("not-found", 404, "There is nothing here");
    MethodNotAllowed = ("method-not-allowed", 405, "The method is not allowed here");
    NotImplemented = ("not-implemented", 501, "The server does not do this");
    StreamBusy = ("stream-busy", 429, "Too much of this stream is in flight");
    Busy = ("busy", 503, "Too much is in flight");
    NotYetDurable = ("not-yet-durable", 503, "The offset is not durable here yet");
    Recovering = ("recovering", 503, "The server is recovering");
    Stopping = ("stopping", 503, "The server takes no more writes");
    DiskFull = ("disk-full", 507, "The disk is full");
    WriteOutcomeUnknown = ("write-outcome-unknown", 500, "The write is stored whole or not at all");
    StorageFailed = ("storage-failed", 500, "Stored data cannot be read");
    Internal = ("internal", 500, "The server failed");
}

/// Whether anything of the request was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Written {
    No,
    Unknown,
}

/// A refusal as it is sent.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema, schemars::JsonSchema)]
pub struct ProblemBody {
    /// Stable address of the kind of problem.
    pub r#type: String,
    pub title: String,
    pub status: u16,
    /// What happened here, and what to change.
    pub detail: String,
    /// Whether anything of the request was stored.
    pub written: Written,
    /// Faults of single changes, or of single places of a document.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub errors: Vec<ErrorBody>,
    /// Faults that are not listed.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub more_errors: usize,
    /// Why a document is not compatible with earlier versions.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub violations: Vec<ViolationBody>,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// One fault of a change or a document.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema, schemars::JsonSchema)]
pub struct ErrorBody {
    /// Which change of the request, from 0.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub index: Option<usize>,
    /// JSON pointer to the place.
    pub pointer: String,
    /// The rule that refuses it.
    pub keyword: String,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub schema_location: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub schema_version: Option<u32>,
    /// What is wrong, for a person.
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stream: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub entity_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<String>,
}

/// A refusal on its way out.
#[derive(Debug)]
pub struct Problem {
    pub kind: ProblemType,
    pub detail: String,
    errors: Vec<ErrorBody>,
    more_errors: usize,
    violations: Vec<ViolationBody>,
    headers: Box<HeaderMap>,
}

impl Problem {
    pub fn new(kind: ProblemType, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            more_errors: 0,
            violations: Vec::new(),
            headers: Box::default(),
        }
    }

    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    pub fn retry_after(self, span: Duration) -> Self {
        self.with(header::RETRY_AFTER, headers::value(span.as_secs().max(1)))
    }

    fn errors(mut self, errors: impl IntoIterator<Item = ErrorBody>, more: usize) -> Self {
        self.errors = errors.into_iter().collect();
        self.more_errors = more;
        self
    }

    pub fn body(&self) -> ProblemBody {
        ProblemBody {
            r#type: format!("https://keyfold.dev/problems/{}", self.kind.slug()),
            title: self.kind.title().to_owned(),
            status: self.kind.status().as_u16(),
            detail: self.detail.clone(),
            written: match self.kind {
                ProblemType::WriteOutcomeUnknown | ProblemType::Internal => Written::Unknown,
                _ => Written::No,
            },
            errors: self.errors.clone(),
            more_errors: self.more_errors,
            violations: self.violations.clone(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self.body()).unwrap_or_default();
        let mut response = (self.kind.status(), body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(*self.headers);
        response
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        use ProblemType as P;
        let detail = fault.to_string();
        let plain = |kind| Self::new(kind, detail.clone());
        match fault {
            Fault::NoStream(_) => plain(P::StreamNotFound),
            Fault::Exists { .. } => plain(P::StreamExists),
            Fault::Refused(refusal) => refusal.into(),
            Fault::Fork(fault) => plain(match fault {
                ForkFault::SourceDeleted(_)
                | ForkFault::ContentType { .. }
                | ForkFault::Schema { .. }
                | ForkFault::Unpinnable(_)
                | ForkFault::TooDeep => P::ForkConflict,
                ForkFault::TooMany { .. } => P::LimitReached,
                ForkFault::Unfinished | ForkFault::SubOffset { .. } => P::MalformedForkPoint,
            }),
            Fault::BeyondTail { .. } => plain(P::OffsetBeyondTail),
            Fault::Former { .. } | Fault::CutOff { .. } => plain(P::OffsetGone),
            Fault::Forgotten { .. } | Fault::NotKept { .. } => plain(P::HistoryGone),
            Fault::Json(JsonFault::TooManyMessages { .. }) => plain(P::TooLarge),
            Fault::Json(_) => plain(P::MalformedBody),
            Fault::EmptyBody => plain(P::EmptyBody),
            Fault::NotTyped(_) => plain(P::NotTyped),
            Fault::TypedContentType { .. } => plain(P::ContentTypeMismatch),
            Fault::DashSegment => plain(P::MalformedName),
            Fault::Invalid { faults, more } => plain(P::InvalidChanges).errors(faults.iter().map(change_error), more),
            Fault::NoEntity { .. } => plain(P::EntityNotFound),
            Fault::NoCollection(_) => plain(P::CollectionNotFound),
            Fault::Precondition { current } => {
                let problem = plain(P::PreconditionFailed);
                match current {
                    Some(current) => {
                        let detail = format!("the entity is at \"{current}\" now");
                        Self { detail, ..problem }.with(header::ETAG, headers::etag(current))
                    }
                    None => Self { detail: "the entity does not exist".into(), ..problem },
                }
            }
            Fault::EntityExists { index, entity_type, key, current } => {
                let error = ErrorBody {
                    index: Some(index),
                    pointer: "/key".into(),
                    keyword: "strict".into(),
                    message: "the collection is strict: an insert needs a new key".into(),
                    entity_type: Some(entity_type),
                    key: Some(key),
                    ..ErrorBody::default()
                };
                plain(P::EntityExists).errors([error], 0).with(header::ETAG, headers::etag(current))
            }
            Fault::Contended => plain(P::Contended),
            Fault::StreamBusy { retry_after } => plain(P::StreamBusy).retry_after(retry_after),
            Fault::Busy { retry_after } => plain(P::Busy).retry_after(retry_after),
            Fault::Full => plain(P::DiskFull).retry_after(Duration::from_secs(5)),
            Fault::Unknown => plain(P::WriteOutcomeUnknown),
            Fault::Closed => plain(P::Stopping).retry_after(Duration::from_secs(1)),
            Fault::Storage(ref reason) => {
                tracing::error!(reason, "stored data could not be read");
                plain(P::StorageFailed)
            }
            Fault::Registry(fault) => fault.into(),
            Fault::Evolution(fault) => fault.into(),
            Fault::NotYet(_) => plain(P::NotYetDurable).retry_after(Duration::from_secs(1)),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        use ProblemType as P;
        let detail = refusal.to_string();
        let plain = |kind| Self::new(kind, detail);
        match refusal {
            Refusal::Gone => plain(P::StreamNotFound),
            Refusal::SoftDeleted => plain(P::SoftDeleted),
            Refusal::Closed { tail } => plain(P::StreamClosed)
                .with(headers::STREAM_CLOSED, headers::TRUE)
                .with(headers::STREAM_NEXT_OFFSET, headers::value(Offset::at(tail))),
            Refusal::ContentType { .. } => plain(P::ContentTypeMismatch),
            Refusal::StreamSeq { .. } => plain(P::StreamSeqRegression),
            Refusal::StaleEpoch { current, .. } => {
                plain(P::StaleEpoch).with(headers::PRODUCER_EPOCH, headers::value(current))
            }
            Refusal::SeqGap { expected, received } => plain(P::SeqGap)
                .with(headers::PRODUCER_EXPECTED_SEQ, headers::value(expected))
                .with(headers::PRODUCER_RECEIVED_SEQ, headers::value(received)),
            Refusal::EpochStart => plain(P::EpochStart),
            Refusal::TooManyProducers { .. } => plain(P::TooManyProducers).retry_after(Duration::from_secs(60)),
        }
    }
}

impl From<RegistryFault> for Problem {
    fn from(fault: RegistryFault) -> Self {
        use ProblemType as P;
        let detail = fault.to_string();
        let plain = |kind| Self::new(kind, detail);
        match fault {
            RegistryFault::UnknownSubject(_) | RegistryFault::UnknownVersion { .. } => plain(P::SubjectNotFound),
            RegistryFault::Document(faults) => plain(P::InvalidDocument).errors(faults.iter().map(document_error), 0),
            RegistryFault::Register(RegisterFault::TooManyVersions { .. }) => plain(P::LimitReached),
            RegistryFault::Bind(fault) => plain(match fault {
                BindFault::UnknownSubject { .. }
                | BindFault::UnknownVersion { .. }
                | BindFault::NotPinnable { .. }
                | BindFault::Horizon
                | BindFault::HorizonWithinHistory => P::InvalidBinding,
                BindFault::Tie { .. } => P::BindingConflict,
                BindFault::TooManyBindings { .. } => P::LimitReached,
            }),
            RegistryFault::Unbind(UnbindFault::Unknown { .. }) => plain(P::BindingNotFound),
            RegistryFault::Config(ConfigFault::TooMany { .. }) => plain(P::LimitReached),
            RegistryFault::Delete(fault) => plain(match fault {
                DeleteFault::UnknownSubject { .. } | DeleteFault::UnknownVersion { .. } => P::SubjectNotFound,
                DeleteFault::AlreadyDeleted
                | DeleteFault::NotDeletedYet { .. }
                | DeleteFault::Referenced { .. }
                | DeleteFault::Bound { .. }
                | DeleteFault::InUse { .. } => P::VersionInUse,
            }),
            RegistryFault::NotPinnable { .. } => plain(P::SchemaNotPinnable),
            RegistryFault::Disabled { .. } => plain(P::SchemaDisabled),
            RegistryFault::Incompatible { subject, verdict } => incompatible(&subject, &verdict),
            RegistryFault::DataFails(faults) => plain(P::DataFails).errors(faults.iter().flat_map(data_errors), 0),
        }
    }
}

fn incompatible(subject: &SubjectName, verdict: &Verdict) -> Problem {
    let undecided = verdict.violations.iter().filter(|violation| violation.kind == "undecided").count();
    let told = match undecided {
        0 => String::new(),
        _ => format!(" ({undecided} of them undecided, which counts as incompatible)"),
    };
    let detail = format!(
        "{} violations of {}{told}: change the document, set another mode with PUT /v1/schemas/{subject}/config, or \
         register it all the same with ?compatibility=none",
        verdict.violations.len(),
        verdict.compatibility.mode.as_str()
    );
    let violations = verdict.violations.iter().map(Into::into).collect();
    Problem { violations, ..Problem::new(ProblemType::IncompatibleSchema, detail) }
}

impl From<EvolutionFault> for Problem {
    fn from(fault: EvolutionFault) -> Self {
        use ProblemType as P;
        let detail = fault.to_string();
        let plain = |kind| Self::new(kind, detail);
        match fault {
            EvolutionFault::NotTypedThere { .. } => plain(P::SubjectNotFound),
            EvolutionFault::Syntax(_) | EvolutionFault::Step(_) | EvolutionFault::SameVersion { .. } => {
                plain(P::InvalidMigration)
            }
            EvolutionFault::Open { .. } | EvolutionFault::Underway { .. } | EvolutionFault::NotOpen { .. } => {
                plain(P::MigrationConflict)
            }
            EvolutionFault::Unknown(_) => plain(P::MigrationNotFound),
            EvolutionFault::Fails(tried) => {
                let more = tried.failing as usize - tried.failures.len();
                plain(P::MigrationFails).errors(tried.failures.iter().flat_map(carry_errors(tried.to.version)), more)
            }
        }
    }
}

fn carry_errors(version: u32) -> impl Fn(&EntityFailure) -> Vec<ErrorBody> {
    move |failure| {
        let error = |fault: &ValueFault| ErrorBody {
            pointer: fault.pointer.clone(),
            keyword: fault.keyword.clone(),
            schema_location: fault.schema_location.clone(),
            schema_version: Some(version),
            message: fault.message.clone(),
            entity_type: Some(failure.entity_type.clone()),
            key: Some(failure.key.clone()),
            ..ErrorBody::default()
        };
        failure.faults.iter().map(error).collect()
    }
}

fn change_error(fault: &ChangeFault) -> ErrorBody {
    ErrorBody {
        index: Some(fault.index),
        pointer: fault.pointer.clone(),
        keyword: fault.keyword.clone(),
        schema_location: fault.schema_location.clone(),
        schema_version: fault.schema_version,
        message: fault.message.clone(),
        ..ErrorBody::default()
    }
}

fn document_error(fault: &DocumentFault) -> ErrorBody {
    ErrorBody {
        pointer: fault.pointer.clone(),
        keyword: fault.code.as_str().to_owned(),
        message: fault.message.clone(),
        ..ErrorBody::default()
    }
}

fn data_errors(data: &DataFault) -> impl Iterator<Item = ErrorBody> + '_ {
    data.faults.iter().map(|fault| ErrorBody {
        index: None,
        stream: Some(data.stream.to_string()),
        entity_type: data.entity_type.clone(),
        key: data.key.clone(),
        ..change_error(fault)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_unique() {
        let slugs: std::collections::HashSet<_> = ProblemType::ALL.iter().map(|kind| kind.slug()).collect();
        assert_eq!(slugs.len(), ProblemType::ALL.len());
    }

    #[test]
    fn only_an_unknown_outcome_does_not_promise_that_nothing_was_written() {
        for kind in ProblemType::ALL {
            let unknown = Problem::new(*kind, "").body().written == Written::Unknown;
            let may_be = matches!(kind, ProblemType::WriteOutcomeUnknown | ProblemType::Internal);
            assert_eq!(unknown, may_be, "{kind:?}");
        }
    }
}
