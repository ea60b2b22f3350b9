//! Streams at the root of the server, where a mount is configured: for clients that do not know `/v1/stream`.
//!
//! `/{path}` is the stream `{prefix}{path}`, with the whole protocol and the EventSource view; what such clients expect
//! beside that is a materialised view for `Accept: application/json`. Reached only where no other route matches, and
//! never below a name that is the server's own. Where no mount is configured, the paths of the Confluent API are here.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};

use crate::engine::Engine;
use crate::model::StreamName;

use super::super::extract::{self, Query, StreamPath};
use super::super::problem::{Problem, ProblemType};
use super::super::state::Api;
use super::super::{headers as names, snapshot};
use super::{confluent, stream};

/// First segments below which no stream is mounted: the server's own, what browsers and crawlers ask every server
/// for, and the control paths of the protocol.
const RESERVED: [&str; 11] = [
    "v1",
    "api",
    "console",
    "docs",
    "health",
    "metrics",
    "openapi.json",
    "favicon.ico",
    "robots.txt",
    ".well-known",
    "__ds",
];

/// All methods of all paths that no other route knows.
pub async fn dispatch(State(api): State<Api>, request: Request) -> Response {
    answer(api, request).await.unwrap_or_else(Problem::into_response)
}

async fn answer(api: Api, request: Request) -> Result<Response, Problem> {
    if confluent::at_root(api.settings(), request.uri().path()) {
        return Ok(confluent::answer(&api, request).await);
    }
    let name = mounted_at(&api, request.uri().path())?.ok_or_else(nothing_here)?;
    let (mut parts, body) = request.into_parts();
    let engine = Engine::from_request_parts(&mut parts, &api).await?;
    let path = StreamPath(name);
    let query = Query::parse(parts.uri.query());
    if parts.method == Method::GET && wants_view(&query, &parts.headers) {
        let (handle, _) = engine.open(&path.0).await?;
        if let Some(offset) = query.offset("min_offset")? {
            engine.reached(&handle, offset).await?;
        }
        let published = handle.stream();
        // Nothing says what the entities of an untyped stream are: it is read as it is.
        if published.as_ref().is_none_or(|stream| stream.schema.is_some()) {
            return snapshot::values(engine, &api, handle, published, query.selection()?).await;
        }
    }
    stream::serve(engine, &api, path, Request::from_parts(parts, body)).await
}

fn nothing_here() -> Problem {
    Problem::new(ProblemType::NotFound, "see / for what is here, or /docs")
}

/// The stream of the path of a URL, which is held to the same rules as one below `/v1/stream/`; `None` where no stream
/// is mounted there.
pub(super) fn mounted_at(api: &Api, url_path: &str) -> Result<Option<StreamName>, Problem> {
    let mount = api.settings().root_mount.as_deref().zip(url_path.strip_prefix('/'));
    let Some((prefix, raw)) = mount else { return Ok(None) };
    let first = raw.split('/').next().unwrap_or_default();
    // As the name will be read, so that no spelling of a reserved name gets past.
    if RESERVED.contains(&&*extract::decode(first)?) {
        return Ok(None);
    }
    let path = extract::stream_name(raw)?;
    let name = format!("{prefix}{}", path.as_str());
    let parsed = StreamName::parse(&name);
    parsed.map(Some).map_err(|fault| Problem::new(ProblemType::MalformedName, fault.to_string()))
}

/// A reader of the protocol says where to read from, and sends `*/*`.
fn wants_view(query: &Query, head: &HeaderMap) -> bool {
    let says = |name| query.all(name).next().is_some();
    let json = names::accepts(head, "application/json") && !names::accepts(head, names::EVENT_STREAM);
    json && !says("offset") && !says("live")
}
