//! Everything below `/v1/state/{path}`: which resource a path names, and who answers for it.

use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::response::{IntoResponse, Response};

use crate::engine::Engine;
use crate::engine::entity::EntityName;
use crate::model::StreamName;

use super::super::extract::{Query, Resource, StatePath, WholeBody};
use super::super::problem::{Problem, ProblemType};
use super::super::state::Api;
use super::super::{deprecation, events, ingest, openapi, snapshot};
use super::{changes, entities, history, inspect, migrations};

/// All methods of `/v1/state/{path}[/-/…]`.
pub async fn dispatch(State(api): State<Api>, request: Request) -> Response {
    answer(api, request).await.unwrap_or_else(Problem::into_response)
}

async fn answer(api: Api, request: Request) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let engine = Engine::from_request_parts(&mut parts, &api).await?;
    let StatePath { stream, resource } = StatePath::from_request_parts(&mut parts, &api).await?;
    let name = stream.clone();
    let mut response = serve(engine.clone(), &api, stream, resource, Request::from_parts(parts, body)).await?;
    deprecation::of_stream(&engine, &name, &mut response);
    Ok(response)
}

async fn serve(
    engine: Engine,
    api: &Api,
    stream: StreamName,
    resource: Resource,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let query = Query::parse(parts.uri.query());
    let head = parts.headers.clone();
    let method = match parts.method.clone() {
        Method::HEAD => Method::GET,
        method => method,
    };
    if let Some(offset) = query.offset("min_offset")? {
        let (handle, _) = engine.peek(&stream).await?;
        engine.reached(&handle, offset).await?;
    }
    if resource == Resource::Changes && method == Method::POST && is_ndjson(&head) {
        return ingest::respond(engine, api, &stream, &head, body).await;
    }
    let body = match method {
        Method::PUT | Method::PATCH | Method::POST => {
            WholeBody::from_request(Request::from_parts(parts, body), api).await?
        }
        _ => WholeBody::default(),
    };
    match (resource, method) {
        (Resource::Inspection, Method::GET) => inspect::stream(engine, stream).await,
        (Resource::Entities { entity_type }, Method::GET) => {
            entities::list(engine, stream, entity_type, &query).await
        }
        (Resource::Entity { entity_type, key }, method) => {
            let name = EntityName { stream, entity_type, key };
            match method {
                Method::GET => entities::get(engine, name, &query, &head).await,
                Method::DELETE => entities::delete(engine, name, &head).await,
                Method::PUT => entities::put(engine, name, &head, body).await,
                Method::PATCH => entities::patch(engine, name, &head, body).await,
                _ => Err(wrong_method("GET, PUT, PATCH and DELETE")),
            }
        }
        (Resource::Changes, Method::POST) => changes::post(engine, stream, &head, body).await,
        (Resource::Snapshot, Method::GET) => {
            let (handle, published) = engine.open(&stream).await?;
            snapshot::respond(engine, api, handle, published, query.selection()?, &head).await
        }
        (Resource::Events, Method::GET) => {
            let (handle, published) = engine.open(&stream).await?;
            events::respond(engine, api, handle, published, &query, &head).await
        }
        (Resource::Quarantine, Method::GET) => inspect::quarantine(engine, stream, &query).await,
        (Resource::OpenApi, Method::GET) => openapi::of_stream(engine, stream, &query).await,
        (Resource::Changes, Method::GET) => history::changes(engine, stream, &query).await,
        (Resource::Schema, Method::GET) => history::schema(engine, stream, &query).await,
        (Resource::Migrations, Method::GET) => migrations::list(engine, stream).await,
        (Resource::Migrations, Method::POST) => migrations::start(engine, stream, &query, &head, body).await,
        (Resource::Migration { id }, Method::GET) => migrations::get(engine, stream, id, &head).await,
        (Resource::Migration { id }, Method::DELETE) => migrations::cancel(engine, stream, id).await,
        (Resource::MigrationGoesOn { id }, Method::POST) => migrations::go_on(engine, stream, id).await,
        (Resource::Changes | Resource::Migrations, _) => Err(wrong_method("GET and POST")),
        (Resource::Migration { .. }, _) => Err(wrong_method("GET and DELETE")),
        (Resource::MigrationGoesOn { .. }, _) => Err(wrong_method("POST")),
        _ => Err(wrong_method("GET")),
    }
}

fn is_ndjson(head: &HeaderMap) -> bool {
    let kind = head.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.trim().to_ascii_lowercase().starts_with("application/x-ndjson")
}

fn wrong_method(known: &str) -> Problem {
    Problem::new(ProblemType::MethodNotAllowed, format!("this resource knows {known}"))
}
