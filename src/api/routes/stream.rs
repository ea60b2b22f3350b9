//! The Durable Streams protocol on one stream. Source: PROTOCOL.md §5.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::engine::{AppendRequest, CreateRequest, Engine, Fault, ForkRequest, Handle, PublishedStream, Selection};
use crate::model::{Offset, ReadFrom};
use crate::protocol::cursor::cursor;

use super::super::extract::{Query, StreamPath, WholeBody, malformed_query, stream_name};
use super::super::problem::{Problem, ProblemType};
use super::super::room::PATIENCE;
use super::super::splice::AsFile;
use super::super::state::Api;
use super::super::view::{Page, View};
use super::super::{deprecation, events, headers as names, live};
use super::root;

/// All methods of `/v1/stream/{path}`.
pub async fn dispatch(State(api): State<Api>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let answer = async {
        let engine = Engine::from_request_parts(&mut parts, &api).await?;
        let path = StreamPath::from_request_parts(&mut parts, &api).await?;
        serve(engine, &api, path, Request::from_parts(parts, body)).await
    };
    answer.await.unwrap_or_else(|problem: Problem| problem.into_response())
}

/// The protocol on one stream, whatever URL led to it.
pub(super) async fn serve(
    engine: Engine,
    api: &Api,
    path: StreamPath,
    request: Request,
) -> Result<Response, Problem> {
    let name = path.0.clone();
    let mut response = serve_stream(engine.clone(), api, path, request).await?;
    deprecation::of_stream(&engine, &name, &mut response);
    Ok(response)
}

async fn serve_stream(engine: Engine, api: &Api, path: StreamPath, request: Request) -> Result<Response, Problem> {
    let method = request.method().clone();
    let mut head = request.headers().clone();
    // HTTP/2 names the host in the URI.
    if let Some(authority) = request.uri().authority() {
        head.insert(header::HOST, names::value(authority));
    }
    match method {
        Method::GET => read(engine, api, path, Query::parse(request.uri().query()), head).await,
        Method::HEAD => metadata(engine, path).await,
        Method::DELETE => delete(engine, path).await,
        Method::PUT | Method::POST => {
            let uri = request.uri().clone();
            let body = WholeBody::from_request(request, api).await?;
            match method {
                Method::PUT => create(engine, api, path, head, body, uri.path()).await,
                _ => append(engine, path, head, body).await,
            }
        }
        _ => Err(Problem::new(ProblemType::MethodNotAllowed, "a stream knows PUT, POST, GET, HEAD and DELETE")),
    }
}

/// Create a stream, or confirm that it exists as asked.
#[utoipa::path(put, path = "/v1/stream/{path}", tag = "streams",
    params(("path" = String, Path, description = "Stream; its slashes stay slashes"),
        ("Stream-TTL" = Option<u64>, Header, description = "Seconds of idleness after which it ends"),
        ("Stream-Expires-At" = Option<String>, Header, description = "RFC 3339 moment at which it ends"),
        ("Stream-Closed" = Option<String>, Header, description = "`true` creates it closed"),
        ("Stream-Schema" = Option<String>, Header, description = "`subject` or `subject@version` types it"),
        ("Stream-Forked-From" = Option<String>, Header, description = "Path of a stream's URL: makes this one a fork of it"),
        ("Stream-Fork-Offset" = Option<String>, Header, description = "Where in the source it begins; its tail if absent"),
        ("Stream-Fork-Sub-Offset" = Option<u64>, Header, description = "Messages (JSON) or bytes past that, within one batch")),
    responses((status = 201), (status = 200, description = "It exists as asked"), (status = 409, body = super::super::problem::ProblemBody)))]
pub(in crate::api) async fn create(
    engine: Engine,
    api: &Api,
    StreamPath(name): StreamPath,
    head: HeaderMap,
    WholeBody(body, _held): WholeBody,
    url: &str,
) -> Result<Response, Problem> {
    let request = CreateRequest {
        name,
        content_type: names::content_type(&head)?,
        lifetime: names::lifetime(&head)?,
        closed: names::closes(&head),
        schema: schema_header(&head)?,
        fork: fork_headers(&head, api)?,
        body,
    };
    let created = engine.create(request).await?;
    let status = if created.fresh { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = status.into_response();
    describe(response.headers_mut(), &created.stream);
    if created.fresh {
        let location = match head.get(header::HOST).and_then(|host| host.to_str().ok()) {
            Some(host) => format!("http://{host}{url}"),
            None => url.to_owned(),
        };
        response.headers_mut().insert(header::LOCATION, names::value(location));
    }
    Ok(response)
}

/// Where the stream is to go on from. Source: PROTOCOL.md §4.2.
fn fork_headers(head: &HeaderMap, api: &Api) -> Result<Option<ForkRequest>, Problem> {
    let offset = names::text(head, &names::STREAM_FORK_OFFSET)?;
    let sub_offset = names::text(head, &names::STREAM_FORK_SUB_OFFSET)?;
    let Some(source) = names::text(head, &names::STREAM_FORKED_FROM)? else {
        return match (offset, sub_offset) {
            (None, None) => Ok(None),
            _ => Err(names::malformed(&names::STREAM_FORKED_FROM, "it names the source that the offsets are of")),
        };
    };
    let source = match source.strip_prefix("/v1/stream/") {
        Some(path) => stream_name(path)?,
        None => root::mounted_at(api, source)?.ok_or_else(|| {
            names::malformed(&names::STREAM_FORKED_FROM, "it is the path of a stream's URL, such as /v1/stream/a")
        })?,
    };
    let offset = offset.map(str::parse::<Offset>).transpose();
    let offset = offset.map_err(|fault| Problem::new(ProblemType::MalformedOffset, fault.to_string()))?;
    let sub_offset = match sub_offset {
        None => 0,
        Some(_) => names::integer(head, &names::STREAM_FORK_SUB_OFFSET, whole_number)?,
    };
    Ok(Some(ForkRequest { source, offset, sub_offset }))
}

/// Decimal, without sign or leading zeros.
fn whole_number(text: &str) -> Option<u64> {
    let plain = text == "0" || (!text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()));
    text.parse().ok().filter(|_| plain)
}

/// `<subject>` or `<subject>@<version>`
fn schema_header(head: &HeaderMap) -> Result<Option<(String, Option<u32>)>, Problem> {
    let Some(text) = names::text(head, &names::STREAM_SCHEMA)? else { return Ok(None) };
    let malformed = || names::malformed(&names::STREAM_SCHEMA, "it is a subject, or subject@version");
    match text.rsplit_once('@') {
        None => Ok(Some((text.to_owned(), None))),
        Some((subject, version)) => {
            let version = version.parse().map_err(|_| malformed())?;
            Ok(Some((subject.to_owned(), Some(version))))
        }
    }
}

/// Append to a stream, close it, or both. A bound stream is created by its first write.
#[utoipa::path(post, path = "/v1/stream/{path}", tag = "streams",
    params(("path" = String, Path),
        ("Producer-Id" = Option<String>, Header, description = "With epoch and seq: makes the append idempotent"),
        ("Producer-Epoch" = Option<u64>, Header), ("Producer-Seq" = Option<u64>, Header),
        ("Stream-Seq" = Option<String>, Header), ("Stream-Closed" = Option<String>, Header)),
    request_body(content = String, content_type = "application/octet-stream", description = "As the stream's content type says"),
    responses((status = 204, description = "Durable, or a repeat"), (status = 200, description = "Durable; new data of a producer"),
        (status = 400, body = super::super::problem::ProblemBody), (status = 403, body = super::super::problem::ProblemBody),
        (status = 404, body = super::super::problem::ProblemBody), (status = 409, body = super::super::problem::ProblemBody),
        (status = 422, body = super::super::problem::ProblemBody)))]
pub(in crate::api) async fn append(
    engine: Engine,
    StreamPath(name): StreamPath,
    head: HeaderMap,
    WholeBody(body, _held): WholeBody,
) -> Result<Response, Problem> {
    let content_type = names::content_type(&head)?;
    let closes = names::closes(&head);
    if content_type.is_none() && !body.is_empty() {
        return Err(Problem::new(ProblemType::MissingContentType, "say what the body is, as the stream does"));
    }
    let producer = names::producer(&head)?;
    let stream_seq = head.get(names::STREAM_SEQ).map(|value| Arc::from(value.as_bytes()));
    let (given, has_data) = (producer.clone(), !body.is_empty());
    let request = AppendRequest { content_type, producer, stream_seq, closes, body };
    let appended = engine.append(&name, request).await?;
    // New data of a producer is 200; a repeat, a mere close and anything without a tuple are 204. Source: PROTOCOL.md §5.2.1.
    let fresh = given.is_some() && !appended.duplicate && has_data;
    let mut response = if fresh { StatusCode::OK } else { StatusCode::NO_CONTENT }.into_response();
    let headers = response.headers_mut();
    names::write_next_offset(headers, appended.tail);
    if let Some(given) = given {
        headers.insert(names::PRODUCER_EPOCH, names::value(given.epoch));
        headers.insert(names::PRODUCER_SEQ, names::value(appended.last_seq.unwrap_or(given.seq)));
    }
    if appended.closed {
        headers.insert(names::STREAM_CLOSED, names::TRUE);
    }
    Ok(response)
}

/// What is known of a stream, in headers.
#[utoipa::path(head, path = "/v1/stream/{path}", tag = "streams", params(("path" = String, Path)),
    responses((status = 200), (status = 404)))]
pub(in crate::api) async fn metadata(engine: Engine, StreamPath(name): StreamPath) -> Result<Response, Problem> {
    let (_, stream) = engine.peek(&name).await?;
    let mut response = StatusCode::OK.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    match &stream {
        Some(stream) => describe(headers, stream),
        None => {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            names::write_next_offset(headers, Offset::BEGINNING);
        }
    }
    Ok(response)
}

fn describe(headers: &mut HeaderMap, stream: &PublishedStream) {
    headers.insert(header::CONTENT_TYPE, names::value(&stream.creation.content_type));
    names::write_next_offset(headers, stream.tail_offset());
    names::write_lifetime(headers, stream.creation.lifetime);
    if stream.closed {
        headers.insert(names::STREAM_CLOSED, names::TRUE);
    }
    if let Some(schema) = &stream.schema {
        headers.insert(names::STREAM_SCHEMA, names::value(format!("{}@{}", schema.subject, schema.version)));
    }
}

/// Delete a stream; a bound one loses its live entities instead, and goes on.
#[utoipa::path(delete, path = "/v1/stream/{path}", tag = "streams", params(("path" = String, Path)),
    responses((status = 204), (status = 404, body = super::super::problem::ProblemBody)))]
pub(in crate::api) async fn delete(engine: Engine, StreamPath(name): StreamPath) -> Result<Response, Problem> {
    engine.delete(&name).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Read a stream: a page, by long-poll, or by SSE; every change, or folded.
#[utoipa::path(get, path = "/v1/stream/{path}", tag = "streams",
    params(("path" = String, Path),
        ("offset" = Option<String>, Query, description = "-1, now, or one that a response gave"),
        ("live" = Option<String>, Query, description = "`long-poll` or `sse`"),
        ("cursor" = Option<String>, Query), ("fold" = Option<bool>, Query, description = "Typed streams: the newest change per entity"),
        ("type" = Option<String>, Query), ("key_prefix" = Option<String>, Query), ("min_offset" = Option<String>, Query)),
    responses((status = 200, body = String), (status = 204, description = "Nothing came in time, or the stream is closed"),
        (status = 304), (status = 400, body = super::super::problem::ProblemBody),
        (status = 404, body = super::super::problem::ProblemBody)))]
pub(in crate::api) async fn read(
    engine: Engine,
    api: &Api,
    StreamPath(name): StreamPath,
    query: Query,
    head: HeaderMap,
) -> Result<Response, Problem> {
    let from = query.read_from("offset")?;
    let live = query.one("live")?;
    if !matches!(live, None | Some("long-poll" | "sse")) {
        return Err(malformed_query("live is long-poll or sse"));
    }
    if live.is_some() && from.is_none() {
        return Err(malformed_query("a live read needs an offset: -1, now, or one that a response gave"));
    }
    let (handle, stream) = engine.open(&name).await?;
    if let Some(offset) = query.offset("min_offset")? {
        engine.reached(&handle, offset).await?;
    }
    let stream = handle.stream().or(stream);
    if live.is_none() && names::accepts(&head, names::EVENT_STREAM) {
        return events::respond(engine, api, handle, stream, &query, &head).await;
    }
    let selection = query.selection()?;
    let view = View::choose(&engine, &handle, stream.as_ref(), from, query.flag("fold")?, &selection)?;
    match live {
        Some("sse") => {
            let cursor = query.one("cursor")?.map(str::to_owned);
            live::respond(engine, api, handle, stream, view, selection, cursor)
        }
        Some(_) => long_poll(engine, api, handle, stream, view, selection, &query).await,
        None => catch_up(engine, api, &handle, stream, view, selection, from, &head).await,
    }
}

#[expect(clippy::too_many_arguments, reason = "they are the parts of one request")]
async fn catch_up(
    engine: Engine,
    api: &Api,
    handle: &Arc<Handle>,
    stream: Option<PublishedStream>,
    mut view: View,
    selection: Selection,
    from: Option<ReadFrom>,
    head: &HeaderMap,
) -> Result<Response, Problem> {
    let (room, guarded) = (api.page_room(), api.settings().token.is_some());
    let begins_at = view.offset();
    let folded = matches!(view, View::Folded { .. });
    let (page, share) = view.page(&engine, &room, handle, stream.as_ref(), &selection, PATIENCE).await?;
    let next = view.offset();
    let id = stream.as_ref().map_or(0, |stream| stream.id.0);
    let tag = names::etag(format_args!(
        "{id}:{begins_at}:{next}{}{}{}{}",
        page.filled.map_or(String::new(), |version| format!(":d{version}")),
        if folded { ":f" } else { "" },
        if page.up_to_date { ":u" } else { "" },
        if page.closed { ":c" } else { "" }
    ));
    let cacheable = from != Some(ReadFrom::Tail);
    let mut response = match cacheable && names::none_match(head, &tag) {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => share.hold(page.body).into_response(),
    };
    if let Some(file) = page.file {
        response.extensions_mut().insert(AsFile(file));
    }
    let headers = response.headers_mut();
    let content_type = stream
        .as_ref()
        .map_or(HeaderValue::from_static("application/json"), |s| names::value(&s.creation.content_type));
    headers.insert(header::CONTENT_TYPE, content_type);
    names::write_next_offset(headers, next);
    if page.up_to_date {
        headers.insert(names::STREAM_UP_TO_DATE, names::TRUE);
    }
    if page.closed {
        headers.insert(names::STREAM_CLOSED, names::TRUE);
    }
    let fixed = !folded && !page.up_to_date && selection == Selection::default();
    // What a token guards is nobody else's: a shared cache would hand it on.
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static(match (cacheable, fixed, guarded) {
            (false, _, _) => "no-store",
            (true, true, false) => "public, max-age=60, stale-while-revalidate=300",
            (true, true, true) => "private, max-age=60, stale-while-revalidate=300",
            (true, false, _) => "no-cache",
        }),
    );
    if cacheable {
        headers.insert(header::ETAG, tag);
    }
    Ok(response)
}

async fn long_poll(
    engine: Engine,
    api: &Api,
    handle: Arc<Handle>,
    stream: Option<PublishedStream>,
    mut view: View,
    selection: Selection,
    query: &Query,
) -> Result<Response, Problem> {
    let cursor = cursor(engine.now(), query.one("cursor")?, fastrand::u64(1..=3600));
    let deadline = tokio::time::Instant::now() + api.settings().long_poll;
    let mut published = handle.subscribe();
    let mut id = stream.map(|stream| stream.id);
    let mut counted = engine.live_reader(&handle, id)?;
    loop {
        let stream = handle.stream();
        match (&stream, id) {
            (None, Some(_)) => {
                // Gone, or kept for its forks, which is told apart.
                engine.peek(&handle.name).await?;
                return Err(Fault::NoStream(handle.name.clone()).into());
            }
            (Some(stream), Some(id)) if stream.id != id => return Err(Fault::NoStream(handle.name.clone()).into()),
            (Some(stream), None) => {
                id = Some(stream.id);
                counted.begin(stream.id);
            }
            _ => {}
        }
        let (page, share) =
            view.page(&engine, &api.page_room(), &handle, stream.as_ref(), &selection, PATIENCE).await?;
        let answer = |status: StatusCode, page: Option<Page>, closed: bool, up_to_date: bool| {
            let mut response = match page {
                Some(page) => (status, page.body).into_response(),
                None => status.into_response(),
            };
            let headers = response.headers_mut();
            let content_type = stream
                .as_ref()
                .map_or(HeaderValue::from_static("application/json"), |s| names::value(&s.creation.content_type));
            if status == StatusCode::OK {
                headers.insert(header::CONTENT_TYPE, content_type);
            }
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            names::write_next_offset(headers, view.offset());
            headers.insert(names::STREAM_CURSOR, names::value(&cursor));
            if up_to_date {
                headers.insert(names::STREAM_UP_TO_DATE, names::TRUE);
            }
            if closed {
                headers.insert(names::STREAM_CLOSED, names::TRUE);
            }
            response
        };
        if !page.is_empty {
            let (closed, up_to_date) = (page.closed, page.up_to_date);
            let tag = names::etag(format_args!(
                "{}:{}:l{}",
                id.map_or(0, |id| id.0),
                view.offset(),
                page.filled.map_or(String::new(), |version| format!(":d{version}"))
            ));
            let page = Page { body: share.hold(page.body), ..page };
            let mut response = answer(StatusCode::OK, Some(page), closed, up_to_date);
            response.headers_mut().insert(header::ETAG, tag);
            return Ok(response);
        }
        if page.closed {
            return Ok(answer(StatusCode::NO_CONTENT, None, true, true));
        }
        if !page.up_to_date && tokio::time::Instant::now() < deadline {
            continue;
        }
        if !page.up_to_date {
            return Ok(answer(StatusCode::NO_CONTENT, None, false, false));
        }
        let changed = engine.changed_since(&mut published, id, view.position());
        match tokio::time::timeout_at(deadline, changed).await {
            Ok(true) => {}
            Ok(false) | Err(_) => return Ok(answer(StatusCode::NO_CONTENT, None, false, true)),
        }
    }
}
