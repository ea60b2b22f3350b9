//! Subscriptions, below the protocol's reserved prefix. Source: PROTOCOL.md §6 and §7.
//!
//! Refusals that the protocol spells are `{"error":{"code":…}}`; all others are problems as everywhere.

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;

use crate::engine::Engine;
use crate::engine::subscriptions::{AckRequest, Channel, PublicKey, Speaker, SubscriptionFault, SubscriptionView};
use crate::protocol::json::{Duplicates, strict_value};
use crate::protocol::subscription::{
    AckBody, AckReply, ClaimBody, ClaimReply, JwkReply, JwksReply, RefusalError, RefusalReply, ReleaseBody,
    SigningBody, StreamsBody, SubscriptionBody, SubscriptionReply,
};
use crate::subscription::{ConfigFault, SubscriptionId, WORKER_BYTES_MAX, stream_path};

use super::super::extract::{WholeBody, decode, rest_of};
use super::super::problem::{Problem, ProblemBody, ProblemType};
use super::super::state::Api;

/// Everything below this belongs to the protocol.
pub const PREFIX: &str = "/v1/stream/__ds";

/// What a path below the prefix names.
#[derive(Debug, PartialEq, Eq)]
enum Resource {
    Jwks,
    Subscription(SubscriptionId),
    Streams(SubscriptionId),
    Stream(SubscriptionId, String),
    Callback(SubscriptionId),
    Claim(SubscriptionId),
    Ack(SubscriptionId),
    Release(SubscriptionId),
}

impl Resource {
    fn parse(raw: &str) -> Result<Self, Refused> {
        let nothing = || Problem::new(ProblemType::NotFound, "below __ds are jwks.json and subscriptions/{id}");
        let raw = raw.strip_prefix('/').ok_or_else(nothing)?;
        if raw == "jwks.json" {
            return Ok(Self::Jwks);
        }
        let rest = raw.strip_prefix("subscriptions/").ok_or_else(nothing)?;
        let (id, rest) = rest.split_once('/').map_or((rest, None), |(id, rest)| (id, Some(rest)));
        let id = SubscriptionId::parse(&decode(id)?).ok_or_else(|| {
            invalid("a subscription's id has 1 to 256 bytes, and neither a slash nor control characters")
        })?;
        Ok(match rest {
            None => Self::Subscription(id),
            Some("streams") => Self::Streams(id),
            Some("callback") => Self::Callback(id),
            Some("claim") => Self::Claim(id),
            Some("ack") => Self::Ack(id),
            Some("release") => Self::Release(id),
            Some(rest) => {
                // Here a slash may be written either way: the path goes on to the end. Source: PROTOCOL.md §6.4.
                let path = rest.strip_prefix("streams/").ok_or_else(nothing)?;
                Self::Stream(id, decode(path)?.into_owned())
            }
        })
    }
}

/// Whether a request is guarded by something better than the server's token: the token of a wake, or nothing because
/// what is asked for is public.
pub fn has_its_own_guard(method: &Method, path: &str) -> bool {
    let Some(rest) = path.strip_prefix(PREFIX) else { return false };
    match Resource::parse(rest) {
        Ok(Resource::Jwks) => *method == Method::GET,
        Ok(Resource::Callback(_) | Resource::Ack(_) | Resource::Release(_)) => *method == Method::POST,
        _ => false,
    }
}

/// All methods below the prefix.
pub async fn dispatch(State(api): State<Api>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let answer = async {
        let engine = Engine::from_request_parts(&mut parts, &api).await?;
        let resource = Resource::parse(rest_of(&parts.uri, PREFIX))?;
        let (method, head) = (parts.method.clone(), parts.headers.clone());
        if let (&Method::POST, Resource::Callback(id) | Resource::Ack(id) | Resource::Release(id)) =
            (&method, &resource)
        {
            // These are open to all: without a token nobody makes the server hold a body, or learns what there is.
            engine.token_content(id, &bearer(&head)?)?;
        }
        let body = match method {
            Method::PUT | Method::POST => WholeBody::from_request(Request::from_parts(parts, body), &api).await?,
            _ => WholeBody::default(),
        };
        match (method, resource) {
            (Method::GET, Resource::Jwks) => jwks(engine).await,
            (Method::PUT, Resource::Subscription(id)) => create(engine, id, body).await,
            (Method::GET, Resource::Subscription(id)) => read(engine, id).await,
            (Method::DELETE, Resource::Subscription(id)) => delete(engine, id).await,
            (Method::POST, Resource::Streams(id)) => add_streams(engine, id, body).await,
            (Method::DELETE, Resource::Stream(id, path)) => remove_stream(engine, id, path).await,
            (Method::POST, Resource::Callback(id)) => callback(engine, id, head, body).await,
            (Method::POST, Resource::Claim(id)) => claim(engine, id, body).await,
            (Method::POST, Resource::Ack(id)) => ack(engine, id, head, body).await,
            (Method::POST, Resource::Release(id)) => release(engine, id, head, body).await,
            _ => {
                Err(Problem::new(ProblemType::MethodNotAllowed, "see /openapi.json for the methods of this path")
                    .into())
            }
        }
    };
    answer.await.unwrap_or_else(IntoResponse::into_response)
}

/// Make a subscription, or confirm that it exists as asked. Existing streams are linked at their tails.
#[utoipa::path(put, path = "/v1/stream/__ds/subscriptions/{id}", tag = "subscriptions", params(("id" = String, Path)),
    request_body = SubscriptionBody,
    responses((status = 201, body = SubscriptionReply), (status = 200, body = SubscriptionReply, description = "It exists as asked"),
        (status = 400, body = RefusalReply), (status = 409, body = RefusalReply, description = "It exists with another configuration"),
        (status = 429, body = ProblemBody)))]
pub(in crate::api) async fn create(engine: Engine, id: SubscriptionId, WholeBody(body, _held): WholeBody) -> Answer {
    let body: SubscriptionBody = parsed(&engine, &body)?;
    let config = body.into_config(engine.subscription_settings().localhost_allowed)?;
    let (view, fresh) = engine.subscribe(&id, config).await?;
    let status = if fresh { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(reply(&engine, &view))).into_response())
}

/// What is known of a subscription.
#[utoipa::path(get, path = "/v1/stream/__ds/subscriptions/{id}", tag = "subscriptions", params(("id" = String, Path)),
    responses((status = 200, body = SubscriptionReply), (status = 404, body = RefusalReply)))]
pub(in crate::api) async fn read(engine: Engine, id: SubscriptionId) -> Answer {
    let view = engine.subscription(&id).await?;
    let mut response = Json(reply(&engine, &view)).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn reply(engine: &Engine, view: &SubscriptionView) -> SubscriptionReply {
    let base = &engine.subscription_settings().public_url;
    let signing = engine.courier().ok().map(|courier| SigningBody {
        alg: "ed25519".to_owned(),
        kid: courier.key().kid.clone(),
        jwks_url: format!("{base}{PREFIX}/jwks.json"),
    });
    SubscriptionReply::new(&view.subscription, &view.heads, signing)
}

/// End a subscription. Nothing moves its cursors any more.
#[utoipa::path(delete, path = "/v1/stream/__ds/subscriptions/{id}", tag = "subscriptions", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = RefusalReply)))]
pub(in crate::api) async fn delete(engine: Engine, id: SubscriptionId) -> Answer {
    engine.unsubscribe(&id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Add streams to a subscription, each at its tail.
#[utoipa::path(post, path = "/v1/stream/__ds/subscriptions/{id}/streams", tag = "subscriptions", params(("id" = String, Path)),
    request_body = StreamsBody,
    responses((status = 204), (status = 400, body = RefusalReply), (status = 404, body = RefusalReply),
        (status = 429, body = ProblemBody)))]
pub(in crate::api) async fn add_streams(
    engine: Engine,
    id: SubscriptionId,
    WholeBody(body, _held): WholeBody,
) -> Answer {
    let body: StreamsBody = parsed(&engine, &body)?;
    engine.link(&id, body.into_names()?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Take away a stream that was added; one that the pattern matches stays.
#[utoipa::path(delete, path = "/v1/stream/__ds/subscriptions/{id}/streams/{path}", tag = "subscriptions",
    params(("id" = String, Path), ("path" = String, Path, description = "Stream; its slashes may stay slashes")),
    responses((status = 204), (status = 404, body = RefusalReply)))]
pub(in crate::api) async fn remove_stream(engine: Engine, id: SubscriptionId, path: String) -> Answer {
    engine.unlink(&id, &stream_path(&path)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A webhook's worker says how far it has come, with the token of its wake.
#[utoipa::path(post, path = "/v1/stream/__ds/subscriptions/{id}/callback", tag = "subscriptions", params(("id" = String, Path)),
    request_body = AckBody,
    responses((status = 200, body = AckReply), (status = 400, body = RefusalReply), (status = 401, body = RefusalReply),
        (status = 404, body = RefusalReply), (status = 409, body = RefusalReply, description = "`FENCED` or `INVALID_OFFSET`")))]
pub(in crate::api) async fn callback(engine: Engine, id: SubscriptionId, head: HeaderMap, body: WholeBody) -> Answer {
    moved(engine, id, Channel::Webhook, head, body).await
}

/// A worker that claimed says how far it has come; without `done` it keeps the lease for longer.
#[utoipa::path(post, path = "/v1/stream/__ds/subscriptions/{id}/ack", tag = "subscriptions", params(("id" = String, Path)),
    request_body = AckBody,
    responses((status = 200, body = AckReply), (status = 400, body = RefusalReply), (status = 401, body = RefusalReply),
        (status = 404, body = RefusalReply), (status = 409, body = RefusalReply, description = "`FENCED` or `INVALID_OFFSET`")))]
pub(in crate::api) async fn ack(engine: Engine, id: SubscriptionId, head: HeaderMap, body: WholeBody) -> Answer {
    moved(engine, id, Channel::PullWake, head, body).await
}

async fn moved(
    engine: Engine,
    id: SubscriptionId,
    channel: Channel,
    head: HeaderMap,
    WholeBody(body, _held): WholeBody,
) -> Answer {
    let token = bearer(&head)?;
    let body: AckBody = parsed(&engine, &body)?;
    let acks = body.acks().map_err(invalid)?;
    let speaker = Speaker { token, generation: body.generation, wake_id: body.wake_id };
    let next_wake = engine.ack(&id, channel, &AckRequest { speaker, acks, done: body.done }).await?;
    Ok(Json(AckReply { ok: true, next_wake }).into_response())
}

/// Take the wake of a pull-wake subscription.
#[utoipa::path(post, path = "/v1/stream/__ds/subscriptions/{id}/claim", tag = "subscriptions", params(("id" = String, Path)),
    request_body = ClaimBody,
    responses((status = 200, body = ClaimReply), (status = 400, body = RefusalReply), (status = 404, body = RefusalReply),
        (status = 409, body = RefusalReply, description = "`ALREADY_CLAIMED` or `NO_PENDING_WORK`")))]
pub(in crate::api) async fn claim(engine: Engine, id: SubscriptionId, WholeBody(body, _held): WholeBody) -> Answer {
    let ClaimBody { worker } = parsed(&engine, &body)?;
    if !(1..=WORKER_BYTES_MAX).contains(&worker.len()) {
        return Err(invalid("worker has 1 to 256 bytes"));
    }
    let claimed = engine.claim(&id, &worker).await?;
    let reply = ClaimReply {
        wake_id: claimed.wake_id.to_string(),
        generation: claimed.generation,
        token: claimed.token,
        streams: claimed.streams,
        lease_ttl_ms: claimed.lease_ttl_ms,
    };
    Ok(Json(reply).into_response())
}

/// Give the wake back without acks.
#[utoipa::path(post, path = "/v1/stream/__ds/subscriptions/{id}/release", tag = "subscriptions", params(("id" = String, Path)),
    request_body = ReleaseBody,
    responses((status = 204), (status = 401, body = RefusalReply), (status = 404, body = RefusalReply),
        (status = 409, body = RefusalReply, description = "`FENCED`")))]
pub(in crate::api) async fn release(
    engine: Engine,
    id: SubscriptionId,
    head: HeaderMap,
    WholeBody(body, _held): WholeBody,
) -> Answer {
    let token = bearer(&head)?;
    let ReleaseBody { wake_id, generation } = parsed(&engine, &body)?;
    engine.release(&id, &Speaker { token, generation, wake_id }).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The public keys that deliveries are verified with.
#[utoipa::path(get, path = "/v1/stream/__ds/jwks.json", tag = "subscriptions",
    responses((status = 200, body = JwksReply, content_type = "application/jwk-set+json")))]
pub(in crate::api) async fn jwks(engine: Engine) -> Answer {
    let jwk = |PublicKey { kid, bytes }: &PublicKey| JwkReply {
        kty: "OKP".to_owned(),
        crv: "Ed25519".to_owned(),
        kid: kid.clone(),
        r#use: "sig".to_owned(),
        alg: "EdDSA".to_owned(),
        x: URL_SAFE_NO_PAD.encode(bytes),
    };
    let courier = engine.courier()?;
    let keys = [courier.key()].into_iter().chain(courier.former_key()).map(jwk).collect();
    let mut response = Json(JwksReply { keys }).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    Ok(response)
}

fn bearer(head: &HeaderMap) -> Result<String, Refused> {
    let given = head.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given =
        given.and_then(|text| text.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    given.map(|(_, token)| token.trim().to_owned()).ok_or_else(|| SubscriptionFault::Token.into())
}

fn parsed<T: DeserializeOwned>(engine: &Engine, body: &[u8]) -> Result<T, Refused> {
    let text = std::str::from_utf8(body).map_err(|_| invalid("the body is not UTF-8"))?;
    let value = strict_value(text, engine.limits().json_depth_max, Duplicates::Refuse);
    value.and_then(serde_json::from_value).map_err(|error| invalid(error.to_string()))
}

fn invalid(message: impl Into<String>) -> Refused {
    Refused::Protocol(StatusCode::BAD_REQUEST, error("INVALID_REQUEST", message))
}

fn error(code: &str, message: impl Into<String>) -> RefusalError {
    RefusalError { code: code.to_owned(), message: message.into(), ..RefusalError::default() }
}

type Answer = Result<Response, Refused>;

/// A refusal in the protocol's own form, or a problem.
pub(in crate::api) enum Refused {
    Protocol(StatusCode, RefusalError),
    Problem(Problem),
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Protocol(status, error) => {
                let mut response = (status, Json(RefusalReply { error })).into_response();
                let headers = response.headers_mut();
                headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
                if status == StatusCode::UNAUTHORIZED {
                    headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                }
                response
            }
            Self::Problem(problem) => problem.into_response(),
        }
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<ConfigFault> for Refused {
    fn from(fault: ConfigFault) -> Self {
        let code = match fault {
            ConfigFault::Url(_) => "WEBHOOK_URL_REJECTED",
            ConfigFault::NoStreams
            | ConfigFault::Missing(_)
            | ConfigFault::Lease
            | ConfigFault::Pattern(_)
            | ConfigFault::Path { .. }
            | ConfigFault::Reserved(_)
            | ConfigFault::Description => "INVALID_REQUEST",
        };
        Self::Protocol(StatusCode::BAD_REQUEST, error(code, fault.to_string()))
    }
}

impl From<SubscriptionFault> for Refused {
    fn from(fault: SubscriptionFault) -> Self {
        let message = fault.to_string();
        let protocol = |status, code| Self::Protocol(status, error(code, message.clone()));
        match fault {
            SubscriptionFault::NotFound(_) => protocol(StatusCode::NOT_FOUND, "SUBSCRIPTION_NOT_FOUND"),
            SubscriptionFault::Exists(_) => protocol(StatusCode::CONFLICT, "SUBSCRIPTION_ALREADY_EXISTS"),
            SubscriptionFault::WrongType(_) => protocol(StatusCode::BAD_REQUEST, "INVALID_REQUEST"),
            SubscriptionFault::Token => protocol(StatusCode::UNAUTHORIZED, "TOKEN_INVALID"),
            SubscriptionFault::Fenced(_) => protocol(StatusCode::CONFLICT, "FENCED"),
            SubscriptionFault::NothingPending => protocol(StatusCode::CONFLICT, "NO_PENDING_WORK"),
            SubscriptionFault::Ack(_) => protocol(StatusCode::CONFLICT, "INVALID_OFFSET"),
            SubscriptionFault::Claimed { holder, generation } => Self::Protocol(
                StatusCode::CONFLICT,
                RefusalError {
                    current_holder: Some(holder),
                    generation: Some(generation),
                    ..error("ALREADY_CLAIMED", message)
                },
            ),
            SubscriptionFault::TooMany { .. } | SubscriptionFault::TooManyLinks { .. } => {
                Problem::new(ProblemType::LimitReached, message).into()
            }
            SubscriptionFault::Off => Problem::new(ProblemType::NotImplemented, message).into(),
            SubscriptionFault::Engine(fault) => Problem::from(fault).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_their_resource() {
        let id = || SubscriptionId::parse("a b").unwrap();
        for (raw, expected) in [
            ("/jwks.json", Resource::Jwks),
            ("/subscriptions/a%20b", Resource::Subscription(id())),
            ("/subscriptions/a%20b/streams", Resource::Streams(id())),
            ("/subscriptions/a%20b/streams/x%2Fy", Resource::Stream(id(), "x/y".into())),
            ("/subscriptions/a%20b/streams/x/y", Resource::Stream(id(), "x/y".into())),
            ("/subscriptions/a%20b/callback", Resource::Callback(id())),
        ] {
            assert_eq!(Resource::parse(raw).ok(), Some(expected), "{raw}");
        }
        for raw in
            ["", "/", "/jwks", "/subscriptions", "/subscriptions/", "/subscriptions/a%2Fb", "/subscriptions/a/x"]
        {
            assert!(Resource::parse(raw).is_err(), "{raw}");
        }
    }

    #[test]
    fn only_what_a_wake_guards_is_open() {
        let open = |method: Method, path: &str| has_its_own_guard(&method, &format!("{PREFIX}{path}"));
        assert!(open(Method::GET, "/jwks.json") && open(Method::POST, "/subscriptions/x/ack"));
        assert!(open(Method::POST, "/subscriptions/x/callback") && open(Method::POST, "/subscriptions/x/release"));
        for (method, path) in [
            (Method::POST, "/subscriptions/x/claim"),
            (Method::PUT, "/subscriptions/x"),
            (Method::GET, "/subscriptions/x"),
            (Method::DELETE, "/subscriptions/x/callback"),
            (Method::POST, "/subscriptions/x/streams"),
            (Method::POST, "/subscriptions/x/y/ack"),
        ] {
            assert!(!open(method.clone(), path), "{method} {path}");
        }
        assert!(!has_its_own_guard(&Method::POST, "/v1/stream/x/ack"));
    }
}
