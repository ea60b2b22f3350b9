//! Whether a document fits what a subject has, what stored entities say of it, and how strictly that is asked.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
use tokio::sync::watch;

use crate::engine::live_report::{LiveProgress, LiveReport, RefusedEntity};
use crate::engine::verdict::{Comparison, Verdict};
use crate::engine::{Engine, Fault};
use crate::protocol::compatibility::{
    LiveBody, ProgressBody, ProgressLine, RefusalBody, RefusedEntityBody, VerdictBody,
};
use crate::protocol::registry::ConfigBody;
use crate::registry::{Compatibility, ContentModel, Mode, SubjectName};

use super::super::extract::{Query, Segments, WholeBody, malformed_query};
use super::super::headers as names;
use super::super::problem::{Problem, ProblemBody, ProblemType};
use super::changes::expect_json;
use super::registry::{document_of, subject_name};

/// Media type of the answer that tells how far it has come.
const NDJSON: &str = "application/x-ndjson";
/// How often it does.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// What is asked of stored entities.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Live {
    Off,
    /// Told beside the verdict.
    Report,
    /// Part of the verdict.
    Strict,
}

/// Say whether a document would fit, and which stored entities it would refuse; registers nothing.
///
/// With `Accept: application/x-ndjson`, lines `{"progress": …}` come first while stored entities are looked at, then the
/// verdict, or a problem, as the last line.
#[utoipa::path(post, path = "/v1/schemas/{subject}/compatibility", tag = "registry",
    params(("subject" = String, Path),
        ("live" = Option<String>, Query, description = "`report` (default) looks at stored entities too; `strict` makes them part of the verdict; `off` leaves them out"),
        ("version" = Option<String>, Query, description = "Compare with this version only, or `latest`"),
        ("compatibility" = Option<String>, Query, description = "A mode other than the subject's"),
        ("content_model" = Option<String>, Query, description = "A content model other than the subject's")),
    request_body(content = crate::protocol::schema::DocumentBody, content_type = "application/json"),
    responses((status = 200, content((VerdictBody = "application/json"), (ProgressLine = "application/x-ndjson"))),
        (status = 404, body = ProblemBody), (status = 422, body = ProblemBody), (status = 503, body = ProblemBody)))]
pub async fn judge(
    engine: Engine,
    Segments(subject): Segments<String>,
    query: Query,
    head: HeaderMap,
    WholeBody(body, _held): WholeBody,
) -> Result<Response, Problem> {
    expect_json(&head)?;
    let name = subject_name(&subject)?;
    let comparison = comparison(&engine, &name, &query)?;
    let live = match query.one("live")? {
        None | Some("report") => Live::Report,
        Some("strict") => Live::Strict,
        Some("off") => Live::Off,
        Some(_) => return Err(malformed_query("live is report, strict or off")),
    };
    let candidate = document_of(&engine, &body)?;
    let (document, verdict) = engine.would_fit(&name, candidate, comparison).await?;
    let (told, progress) = watch::channel(LiveProgress::default());
    let concluded = async move {
        let report = match live {
            Live::Off => None,
            Live::Report | Live::Strict => Some(engine.live_report(&name, &document, &told).await?),
        };
        Ok(verdict_body(&verdict, report, live == Live::Strict))
    };
    match names::accepts(&head, NDJSON) {
        true => Ok(lines(concluded, progress)),
        false => Ok(Json(concluded.await.map_err(|fault: Fault| Problem::from(fault))?).into_response()),
    }
}

fn comparison(engine: &Engine, subject: &SubjectName, query: &Query) -> Result<Comparison, Problem> {
    let mode = query.one("compatibility")?.map(|text| {
        Mode::parse(&text.to_ascii_uppercase())
            .ok_or_else(|| malformed_query("compatibility is a mode, such as FULL"))
    });
    let content_model = query.one("content_model")?.map(|text| {
        let known = "content_model is closed, open or optional_friendly";
        ContentModel::parse(text).ok_or_else(|| malformed_query(known))
    });
    let version = match query.one("version")? {
        None => None,
        Some("latest") => engine.registry().latest(subject).map(|latest| latest.version),
        Some(text) => Some(text.parse().map_err(|_| malformed_query("version is a number, or latest"))?),
    };
    Ok(Comparison { mode: mode.transpose()?, content_model: content_model.transpose()?, version })
}

/// Progress until it is concluded, then the conclusion. Whoever stops reading ends it.
fn lines(
    concluded: impl Future<Output = Result<VerdictBody, Fault>> + Send + 'static,
    progress: watch::Receiver<LiveProgress>,
) -> Response {
    enum At<F> {
        Working(std::pin::Pin<Box<F>>, tokio::time::Interval, watch::Receiver<LiveProgress>),
        Done,
    }
    let mut ticks = tokio::time::interval(PROGRESS_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let at = At::Working(Box::pin(concluded), ticks, progress);
    let body = stream::unfold(at, async |at| {
        let At::Working(mut concluded, mut ticks, progress) = at else { return None };
        tokio::select! {
            biased;
            outcome = &mut concluded => {
                let text = match outcome {
                    Ok(verdict) => line(&verdict),
                    Err(fault) => line(&Problem::from(fault).body()),
                };
                Some((Ok::<Bytes, Infallible>(text), At::Done))
            }
            _ = ticks.tick() => {
                let LiveProgress { streams, streams_done, checked, refused } = *progress.borrow();
                let told = ProgressBody { streams, streams_done, checked, refused };
                Some((Ok(line(&ProgressLine { progress: told })), At::Working(concluded, ticks, progress)))
            }
        }
    });
    let mut response = Body::from_stream(body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(NDJSON));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(names::X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

fn line(value: &impl Serialize) -> Bytes {
    let mut text = serde_json::to_vec(value).unwrap_or_default();
    text.push(b'\n');
    text.into()
}

fn verdict_body(verdict: &Verdict, report: Option<LiveReport>, strict: bool) -> VerdictBody {
    let refused = report.as_ref().is_some_and(|report| report.refused > 0);
    let Compatibility { mode, content_model } = verdict.compatibility;
    VerdictBody {
        compatible: verdict.compatible && !(strict && refused),
        compatibility: mode.into(),
        content_model: content_model.into(),
        compared: verdict.compared.clone(),
        violations: verdict.violations.iter().map(Into::into).collect(),
        live: report.map(|report| LiveBody {
            streams: report.streams,
            checked: report.checked,
            refused: report.refused,
            first: report.first.into_iter().map(refused_body).collect(),
        }),
    }
}

fn refused_body(entity: RefusedEntity) -> RefusedEntityBody {
    let refusals = entity.faults.into_iter().map(|fault| RefusalBody {
        pointer: fault.pointer,
        keyword: fault.keyword,
        schema_location: fault.schema_location,
        message: fault.message,
    });
    RefusedEntityBody {
        stream: entity.stream.to_string(),
        collection: entity.collection,
        r#type: entity.entity_type,
        key: entity.key,
        offset: entity.offset.to_string(),
        errors: refusals.collect(),
    }
}

fn shown(compatibility: Compatibility) -> Json<ConfigBody> {
    let Compatibility { mode, content_model } = compatibility;
    Json(ConfigBody { compatibility: Some(mode.into()), content_model: Some(content_model.into()) })
}

fn config_of(head: &HeaderMap, body: &[u8]) -> Result<ConfigBody, Problem> {
    expect_json(head)?;
    // A list would be taken for the members in their order.
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err(Problem::new(ProblemType::InvalidConfig, "a configuration is an object"));
    }
    serde_json::from_slice(body).map_err(|e| {
        let kind = if e.is_data() { ProblemType::InvalidConfig } else { ProblemType::MalformedBody };
        Problem::new(kind, e.to_string())
    })
}

/// Get what applies to a subject, which need not have a choice of its own, nor exist.
#[utoipa::path(get, path = "/v1/schemas/{subject}/config", tag = "registry", params(("subject" = String, Path)),
    responses((status = 200, body = ConfigBody)))]
pub async fn config(engine: Engine, Segments(subject): Segments<String>) -> Result<Json<ConfigBody>, Problem> {
    Ok(shown(engine.registry().compatibility(&subject_name(&subject)?)))
}

/// Choose how strictly the versions of a subject must fit; what is left out is inherited. Replaces the choice before.
#[utoipa::path(put, path = "/v1/schemas/{subject}/config", tag = "registry", params(("subject" = String, Path)),
    request_body = ConfigBody,
    responses((status = 200, body = ConfigBody, description = "What applies now"), (status = 422, body = ProblemBody)))]
pub async fn configure(
    engine: Engine,
    Segments(subject): Segments<String>,
    head: HeaderMap,
    WholeBody(body, _held): WholeBody,
) -> Result<Json<ConfigBody>, Problem> {
    let (name, choice) = (subject_name(&subject)?, config_of(&head, &body)?);
    engine.configure(Some(name.clone()), Some(choice.into())).await?;
    Ok(shown(engine.registry().compatibility(&name)))
}

/// Take a subject's choice back: what is chosen for all applies again.
#[utoipa::path(delete, path = "/v1/schemas/{subject}/config", tag = "registry", params(("subject" = String, Path)),
    responses((status = 200, body = ConfigBody, description = "What applies now")))]
pub async fn unconfigure(engine: Engine, Segments(subject): Segments<String>) -> Result<Json<ConfigBody>, Problem> {
    let name = subject_name(&subject)?;
    engine.configure(Some(name.clone()), None).await?;
    Ok(shown(engine.registry().compatibility(&name)))
}

/// Get what applies to all subjects without a choice of their own.
#[utoipa::path(get, path = "/v1/schema-config", tag = "registry", responses((status = 200, body = ConfigBody)))]
pub async fn global(engine: Engine) -> Json<ConfigBody> {
    shown(engine.registry().global_compatibility())
}

/// Choose for all subjects without a choice of their own.
#[utoipa::path(put, path = "/v1/schema-config", tag = "registry", request_body = ConfigBody,
    responses((status = 200, body = ConfigBody, description = "What applies now"), (status = 422, body = ProblemBody)))]
pub async fn configure_all(
    engine: Engine,
    head: HeaderMap,
    WholeBody(body, _held): WholeBody,
) -> Result<Json<ConfigBody>, Problem> {
    engine.configure(None, Some(config_of(&head, &body)?.into())).await?;
    Ok(shown(engine.registry().global_compatibility()))
}

/// Back to `BACKWARD` and `optional_friendly`.
#[utoipa::path(delete, path = "/v1/schema-config", tag = "registry",
    responses((status = 200, body = ConfigBody, description = "What applies now")))]
pub async fn unconfigure_all(engine: Engine) -> Result<Json<ConfigBody>, Problem> {
    engine.configure(None, None).await?;
    Ok(shown(engine.registry().global_compatibility()))
}
