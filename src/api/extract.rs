//! Paths, queries and bodies, read once and strictly.

use std::borrow::Cow;
use std::fmt::Display;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::Uri;
use axum::http::request::Parts;
use http_body_util::BodyExt;
use tokio::time::Instant;

use crate::engine::{Engine, Selection};
use crate::model::{EntityKey, EntityType, Offset, ReadFrom, StreamName};

use super::problem::{Problem, ProblemType};
use super::room::Share;
use super::state::Api;

/// The path of the request as it was sent, below a prefix.
pub fn rest_of<'u>(uri: &'u Uri, prefix: &str) -> &'u str {
    uri.path().strip_prefix(prefix).unwrap_or_default()
}

/// A stream's name from its percent-encoded path. A `%2F` is refused: it would name another stream than it looks.
pub fn stream_name(raw: &str) -> Result<StreamName, Problem> {
    let malformed = |reason: &str| Problem::new(ProblemType::MalformedName, reason.to_owned());
    if raw.contains("%2F") || raw.contains("%2f") {
        return Err(malformed("a stream path holds no %2F; write / where a segment ends"));
    }
    let decoded = decode(raw)?;
    // Written in another way it reaches here. Source: PROTOCOL.md §6.
    if decoded == "__ds" || decoded.starts_with("__ds/") {
        return Err(malformed("paths that begin with __ds are the protocol's own"));
    }
    StreamName::parse(&decoded).map_err(|fault| malformed(&fault.to_string()))
}

pub fn decode(raw: &str) -> Result<Cow<'_, str>, Problem> {
    let decoded = percent_encoding::percent_decode_str(raw).decode_utf8();
    decoded.map_err(|_| Problem::new(ProblemType::MalformedName, "the path is not UTF-8 once percent-decoded"))
}

/// `/v1/stream/{path}`
pub struct StreamPath(pub StreamName);

impl StreamPath {
    pub fn of(uri: &Uri) -> Result<Self, Problem> {
        stream_name(rest_of(uri, "/v1/stream/")).map(Self)
    }
}

impl FromRequestParts<Api> for StreamPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Problem> {
        Self::of(&parts.uri)
    }
}

/// Segments of a path that the router took apart, percent-decoded.
pub struct Segments<T>(pub T);

impl<T: serde::de::DeserializeOwned + Send> FromRequestParts<Api> for Segments<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let taken = axum::extract::Path::<T>::from_request_parts(parts, api).await;
        let malformed =
            |e: axum::extract::rejection::PathRejection| Problem::new(ProblemType::MalformedName, e.body_text());
        taken.map(|axum::extract::Path(segments)| Self(segments)).map_err(malformed)
    }
}

/// What a path below `/v1/state/` names.
#[derive(Debug, PartialEq, Eq)]
pub enum Resource {
    Inspection,
    Entities {
        entity_type: EntityType,
    },
    Entity {
        entity_type: EntityType,
        key: EntityKey,
    },
    Changes,
    Snapshot,
    Events,
    Quarantine,
    OpenApi,
    Schema,
    Migrations,
    Migration {
        id: u32,
    },
    /// `…/migrations/{id}/continue`
    MigrationGoesOn {
        id: u32,
    },
}

/// `/v1/state/{path}[/-/…]`
pub struct StatePath {
    pub stream: StreamName,
    pub resource: Resource,
}

impl StatePath {
    pub fn parse(raw: &str) -> Result<Self, Problem> {
        let (stream, rest) = match raw.split_once("/-/") {
            Some((stream, rest)) => (stream, Some(rest)),
            None => (raw, None),
        };
        let stream = stream_name(stream)?;
        let Some(rest) = rest else { return Ok(Self { stream, resource: Resource::Inspection }) };
        let mut segments = rest.splitn(3, '/');
        let resource = match (segments.next(), segments.next(), segments.next()) {
            (Some("entities"), Some(entity_type), None) => {
                Resource::Entities { entity_type: self::entity_type(entity_type)? }
            }
            (Some("entities"), Some(entity_type), Some(key)) => {
                let key = EntityKey::parse(&decode(key)?)
                    .ok_or_else(|| Problem::new(ProblemType::MalformedName, "a key has 1 to 1,024 bytes"))?;
                Resource::Entity { entity_type: self::entity_type(entity_type)?, key }
            }
            (Some("changes"), None, None) => Resource::Changes,
            (Some("snapshot"), None, None) => Resource::Snapshot,
            (Some("events"), None, None) => Resource::Events,
            (Some("quarantine"), None, None) => Resource::Quarantine,
            (Some("openapi.json"), None, None) => Resource::OpenApi,
            (Some("schema"), None, None) => Resource::Schema,
            (Some("migrations"), None, None) => Resource::Migrations,
            (Some("migrations"), Some(id), None) => Resource::Migration { id: migration_id(id)? },
            (Some("migrations"), Some(id), Some("continue")) => Resource::MigrationGoesOn { id: migration_id(id)? },
            _ => {
                let detail = "after /-/ come entities/{type}[/{key}], changes, snapshot, events, quarantine, schema, \
                              migrations[/{id}[/continue]] or openapi.json";
                return Err(Problem::new(ProblemType::NotFound, detail));
            }
        };
        Ok(Self { stream, resource })
    }
}

fn migration_id(raw: &str) -> Result<u32, Problem> {
    raw.parse().map_err(|_| Problem::new(ProblemType::MigrationNotFound, "a migration is named by its number"))
}

fn entity_type(raw: &str) -> Result<EntityType, Problem> {
    EntityType::parse(&decode(raw)?)
        .ok_or_else(|| Problem::new(ProblemType::MalformedName, "a type has 1 to 256 bytes"))
}

impl FromRequestParts<Api> for StatePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Problem> {
        Self::parse(rest_of(&parts.uri, "/v1/state/"))
    }
}

/// The query, with repeated parameters told apart from single ones. Unknown ones are ignored.
#[derive(Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    pub fn parse(query: Option<&str>) -> Self {
        let pair = |part: &str| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let decode = |text: &str| {
                percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
            };
            (decode(name), decode(value))
        };
        Self(query.unwrap_or_default().split('&').filter(|part| !part.is_empty()).map(pair).collect())
    }

    pub fn all<'q>(&'q self, name: &'q str) -> impl Iterator<Item = &'q str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The one value of a parameter; twice is refused.
    pub fn one<'q>(&'q self, name: &'q str) -> Result<Option<&'q str>, Problem> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (first, None) => Ok(first),
            _ => Err(malformed_query(format!("{name} stands twice"))),
        }
    }

    pub fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.one(name)? {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(malformed_query(format!("{name} is true or false"))),
        }
    }

    pub fn read_from(&self, name: &str) -> Result<Option<ReadFrom>, Problem> {
        let parse = |text: &str| {
            text.parse().map_err(|fault: crate::model::offset::OffsetFault| {
                Problem::new(ProblemType::MalformedOffset, format!("{name}: {fault}, or -1, or now"))
            })
        };
        self.one(name)?.map(parse).transpose()
    }

    pub fn offset(&self, name: &str) -> Result<Option<Offset>, Problem> {
        let parse = |text: &str| {
            text.parse().map_err(|fault: crate::model::offset::OffsetFault| {
                Problem::new(ProblemType::MalformedOffset, format!("{name}: {fault}"))
            })
        };
        self.one(name)?.map(parse).transpose()
    }

    /// A page size from 1 to `max`.
    pub fn limit(&self, default: usize, max: usize) -> Result<usize, Problem> {
        let Some(text) = self.one("limit")? else { return Ok(default) };
        let limit = text.parse().ok().filter(|limit| (1..=max).contains(limit));
        limit.ok_or_else(|| malformed_query(format!("limit is a whole number from 1 to {max}")))
    }

    /// `type=` (repeated, or separated by commas), `key=` and `key_prefix=`.
    pub fn selection(&self) -> Result<Selection, Problem> {
        let types = self.all("type").flat_map(|list| list.split(',')).filter(|t| !t.is_empty());
        let bounded = |text: Option<&str>| match text {
            Some(text) if text.len() > EntityKey::BYTES_MAX => Err(malformed_query("a key has at most 1,024 bytes")),
            text => Ok(text.map(str::to_owned)),
        };
        let types: Vec<String> = types.map(str::to_owned).collect();
        if types.len() > 100 {
            return Err(malformed_query("at most 100 types can be asked for at once"));
        }
        Ok(Selection {
            types,
            key: bounded(self.one("key")?)?,
            key_prefix: bounded(self.one("key_prefix")?)?,
            defaults: self.one("defaults")?.map(|_| self.flag("defaults")).transpose()?,
            limit: None,
        })
    }
}

pub fn malformed_query(detail: impl Into<String>) -> Problem {
    Problem::new(ProblemType::MalformedQuery, detail)
}

impl FromRequestParts<Api> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Problem> {
        Ok(Self::parse(parts.uri.query()))
    }
}

/// A whole body, no larger than the server takes, and its share of what all bodies together may hold in memory.
#[derive(Default)]
pub struct WholeBody(pub Bytes, pub Share);

impl FromRequest<Api> for WholeBody {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        Self::collect(request.into_body(), api).await
    }
}

impl WholeBody {
    pub async fn collect<B>(mut body: B, api: &Api) -> Result<Self, Problem>
    where
        B: http_body::Body<Data = Bytes, Error: Display> + Unpin,
    {
        let max = api.engine().map_or(0, |engine: &Engine| engine.limits().request_bytes_max);
        let too_large = || Problem::new(ProblemType::TooLarge, format!("the body has more than {max} bytes"));
        if http_body::Body::size_hint(&body).lower() > max as u64 {
            return Err(too_large());
        }
        let (room, mut held) = (api.body_room(), Share::default());
        let (mut first, mut joined) = (None::<Bytes>, Vec::new());
        let (patience, began, mut came) = (api.settings().body_patience, Instant::now(), 0);
        while let Some(frame) = next_frame(&mut body, patience, began, came).await? {
            let frame = frame
                .map_err(|error| Problem::new(ProblemType::MalformedBody, format!("the body broke off: {error}")))?;
            let Ok(data) = frame.into_data() else { continue };
            let received = first.as_ref().map_or(0, Bytes::len).max(joined.len()) + data.len();
            came = received;
            if received > max {
                return Err(too_large());
            }
            room.grow(&mut held, received)?;
            match first.take() {
                None if joined.is_empty() => first = Some(data),
                Some(start) => {
                    joined.reserve(received);
                    joined.extend_from_slice(&start);
                    joined.extend_from_slice(&data);
                }
                None => joined.extend_from_slice(&data),
            }
        }
        Ok(Self(first.unwrap_or_else(|| joined.into()), held))
    }
}

/// The next part of a body of which `received` bytes have come since `began`. One that stalls gives its share and its
/// place back: others wait for them.
async fn next_frame<B>(
    body: &mut B,
    patience: Duration,
    began: Instant,
    received: usize,
) -> Result<Option<Result<http_body::Frame<Bytes>, B::Error>>, Problem>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let whole = began + patience + Duration::from_secs((received / SLOWEST) as u64);
    tokio::time::timeout_at(whole.min(Instant::now() + patience), body.frame())
        .await
        .map_err(|_| Problem::new(ProblemType::RequestTimeout, "the body stalled, or came at less than 16 KiB/s"))
}

/// Bytes a second below which a body is stuck, once the patience with it is over.
const SLOWEST: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_paths_name_their_resource() {
        let parsed = StatePath::parse("a/b/-/entities/job/x%2Fy").map_err(|p| p.detail).unwrap();
        assert_eq!(parsed.stream.as_str(), "a/b");
        let (entity_type, key) = (EntityType::parse("job").unwrap(), EntityKey::parse("x/y").unwrap());
        assert_eq!(parsed.resource, Resource::Entity { entity_type, key });
        for (raw, kind) in [
            ("a/-/nothing", ProblemType::NotFound),
            ("a%2Fb", ProblemType::MalformedName),
            ("a//b", ProblemType::MalformedName),
            ("a/%2e%2e/b", ProblemType::MalformedName),
            ("%ff", ProblemType::MalformedName),
            ("%5F_ds/a", ProblemType::MalformedName),
            ("__ds/a/-/entities/job/x", ProblemType::MalformedName),
        ] {
            assert_eq!(StatePath::parse(raw).err().map(|p| p.kind), Some(kind), "{raw}");
        }
    }

    #[test]
    fn repeated_and_empty_parameters_are_told_apart() {
        let query = Query::parse(Some("offset=&offset=1&live=sse"));
        assert!(query.one("offset").is_err());
        assert_eq!(query.one("live").ok().flatten(), Some("sse"));
        assert!(Query::parse(Some("offset=")).read_from("offset").is_err());
    }
}
