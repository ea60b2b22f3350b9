//! Migrations of a stream: tried, begun, watched, let go on, given up.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::watch;

use crate::engine::Engine;
use crate::engine::evolution::EvolutionFault;
use crate::engine::migration::{Cancelled, Left, Migrated, MigrationAsk, Sample, Tried};
use crate::model::{Offset, StreamName};
use crate::protocol::migration::{
    CancelledReply, DryRunReply, LeftBody, MigrationBody, MigrationRequest, MigrationsReply, SampleBody, StateText,
};
use crate::protocol::sse;

use super::super::body::{CutShort, Next, stepwise};
use super::super::extract::{Query, WholeBody};
use super::super::headers as names;
use super::super::live::event_stream;
use super::super::problem::{Problem, ProblemType};
use super::changes::expect_json;

/// Carry a stream's entities over to another version of its schema, or try that.
#[utoipa::path(post, path = "/v1/state/{path}/-/migrations", tag = "registry",
    params(("path" = String, Path, description = "Stream; its slashes stay slashes"),
        ("dry_run" = Option<bool>, Query, description = "Only says what would happen"),
        ("check" = Option<bool>, Query, description = "`false` begins without trying all entities first; what fails stops it then")),
    request_body = MigrationRequest,
    responses((status = 200, body = DryRunReply, description = "What would happen; nothing was written"),
        (status = 202, body = MigrationBody, description = "The stream is bound to the new version; its entities follow"),
        (status = 409, body = super::super::problem::ProblemBody), (status = 422, body = super::super::problem::ProblemBody)))]
pub async fn start(
    engine: Engine,
    stream: StreamName,
    query: &Query,
    head: &HeaderMap,
    WholeBody(body, _held): WholeBody,
) -> Result<Response, Problem> {
    expect_json(head)?;
    let request: MigrationRequest = serde_json::from_slice(&body)
        .map_err(|error| Problem::new(ProblemType::InvalidMigration, error.to_string()))?;
    let steps = request.steps().map_err(|fault| Problem::from(EvolutionFault::from(fault)))?;
    let ask = MigrationAsk { subject: request.to.subject, version: request.to.version, steps };
    if query.flag("dry_run")? {
        let tried = engine.try_migration(&stream, &ask).await?;
        return Ok(Json(DryRunReply::from(tried)).into_response());
    }
    let check = query.one("check")?.is_none() || query.flag("check")?;
    let started = engine.start_migration(&stream, &ask, check).await?;
    let path: Vec<String> = stream.as_str().split('/').map(encode).collect();
    let location = format!("/v1/state/{}/-/migrations/{}", path.join("/"), started.migration.id);
    let mut response = (StatusCode::ACCEPTED, Json(body_of(&started))).into_response();
    response.headers_mut().insert(header::LOCATION, names::value(location));
    Ok(response)
}

/// List a stream's migrations, oldest first.
#[utoipa::path(get, path = "/v1/state/{path}/-/migrations", tag = "registry", params(("path" = String, Path)),
    responses((status = 200, body = MigrationsReply), (status = 404, body = super::super::problem::ProblemBody)))]
pub async fn list(engine: Engine, stream: StreamName) -> Result<Response, Problem> {
    let migrations = engine.migrations(&stream).await?.iter().map(body_of).collect();
    Ok(fresh(Json(MigrationsReply { migrations }).into_response()))
}

/// Look at a migration; as `text/event-stream` or `application/x-ndjson` for as long as it runs.
#[utoipa::path(get, path = "/v1/state/{path}/-/migrations/{id}", tag = "registry",
    params(("path" = String, Path), ("id" = u32, Path)),
    responses((status = 200, body = MigrationBody), (status = 404, body = super::super::problem::ProblemBody)))]
pub async fn get(engine: Engine, stream: StreamName, id: u32, head: &HeaderMap) -> Result<Response, Problem> {
    let moves = engine.migration_moves(&stream);
    let found = engine.migration(&stream, id).await?;
    let form = match (names::accepts(head, names::EVENT_STREAM), names::accepts(head, "application/x-ndjson")) {
        (true, _) => Form::Events,
        (_, true) => Form::Lines,
        _ => return Ok(fresh(Json(body_of(&found)).into_response())),
    };
    let follower = Follower { engine, stream, id, moves, form, began: false, ended: false };
    let body = stepwise(follower, Follower::step);
    Ok(match form {
        Form::Events => event_stream(body),
        Form::Lines => {
            let mut response = fresh(body.into_response());
            let kind = HeaderValue::from_static("application/x-ndjson");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        }
    })
}

/// Let a migration go on that has failed.
#[utoipa::path(post, path = "/v1/state/{path}/-/migrations/{id}/continue", tag = "registry",
    params(("path" = String, Path), ("id" = u32, Path)),
    responses((status = 202, body = MigrationBody), (status = 404, body = super::super::problem::ProblemBody),
        (status = 409, body = super::super::problem::ProblemBody)))]
pub async fn go_on(engine: Engine, stream: StreamName, id: u32) -> Result<Response, Problem> {
    let found = engine.continue_migration(&stream, id).await?;
    Ok((StatusCode::ACCEPTED, Json(body_of(&found))).into_response())
}

/// Give a migration up that is not over: binds the stream to the former version again.
#[utoipa::path(delete, path = "/v1/state/{path}/-/migrations/{id}", tag = "registry",
    params(("path" = String, Path), ("id" = u32, Path)),
    responses((status = 200, body = CancelledReply), (status = 404, body = super::super::problem::ProblemBody),
        (status = 409, body = super::super::problem::ProblemBody)))]
pub async fn cancel(engine: Engine, stream: StreamName, id: u32) -> Result<Response, Problem> {
    let Cancelled { migrated, left, more_left } = engine.cancel_migration(&stream, id).await?;
    let left = left.into_iter().map(|Left { entity_type, key, offset, fits }| LeftBody {
        entity_type,
        key,
        offset: offset.to_string(),
        fits,
    });
    let reply = CancelledReply { migration: body_of(&migrated), left: left.collect(), more_left };
    Ok(Json(reply).into_response())
}

fn body_of(found: &Migrated) -> MigrationBody {
    MigrationBody::of(&found.migration, found.start)
}

fn fresh(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn encode(segment: &str) -> String {
    percent_encoding::utf8_percent_encode(segment, percent_encoding::NON_ALPHANUMERIC).to_string()
}

impl From<Tried> for DryRunReply {
    fn from(tried: Tried) -> Self {
        let sample = |Sample { entity_type, key, before, after }| SampleBody { entity_type, key, before, after };
        Self {
            from: (&tried.from).into(),
            to: (&tried.to).into(),
            offset: Offset::to_string(&tried.offset),
            total: tried.total,
            would_rewrite: tried.would_rewrite,
            unchanged: tried.unchanged,
            failing: tried.failing,
            failures: tried.failures.iter().map(Into::into).collect(),
            samples: tried.samples.into_iter().map(sample).collect(),
        }
    }
}

#[derive(Clone, Copy)]
enum Form {
    Events,
    Lines,
}

/// Told of a migration's steps until it rests; where it moves faster than it is told, of the newest.
struct Follower {
    engine: Engine,
    stream: StreamName,
    id: u32,
    moves: watch::Receiver<u64>,
    form: Form,
    began: bool,
    ended: bool,
}

/// At least how often something is said, and at most.
const LONGEST_SILENCE: Duration = Duration::from_secs(15);
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

impl Follower {
    async fn step(mut self) -> Result<Next<Self>, CutShort> {
        if self.ended {
            return Ok(None);
        }
        if std::mem::replace(&mut self.began, true) {
            tokio::time::sleep(SHORTEST_PAUSE).await;
            let mut stopping = self.engine.stopping();
            tokio::select! {
                moved = tokio::time::timeout(LONGEST_SILENCE, self.moves.changed()) => {
                    if matches!(moved, Ok(Err(_))) {
                        // Another one holds it by now, or nobody: asked again.
                        self.moves = self.engine.migration_moves(&self.stream);
                    }
                }
                _ = stopping.wait_for(|stopping| *stopping) => return Ok(None),
            }
        }
        let found = match self.engine.migration(&self.stream, self.id).await {
            Ok(found) => found,
            Err(fault) if fault.is_gone() => return Ok(None),
            Err(_) => return Err(CutShort),
        };
        let body = body_of(&found);
        self.ended = body.state != StateText::Running;
        let text = serde_json::to_vec(&body).map_err(|_| CutShort)?;
        let mut out = Vec::with_capacity(text.len() + 16);
        match self.form {
            Form::Events => sse::event(&mut out, None, None, &text),
            Form::Lines => {
                out.extend_from_slice(&text);
                out.push(b'\n');
            }
        }
        Ok(Some((Bytes::from(out), self)))
    }
}
