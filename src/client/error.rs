//! What can go wrong with a call, told so that a program can decide and a person can act.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ETAG, HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde::{Deserialize, Deserializer, Serialize};

use crate::protocol::compatibility::ViolationBody;

/// Why a call has no result. Cheap to clone, so that every waiter of a failed producer is told.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClientError {
    /// Not an `http://` address. Nothing was sent.
    #[error("{0:?} is not an http:// address; TLS is left to a proxy in front of the server")]
    Url(String),
    /// No connection could be made. Nothing was sent; the same call can succeed later.
    #[error("cannot reach {url}")]
    Unreachable { url: Arc<str>, source: Arc<reqwest::Error> },
    /// The connection was lost or too slow. A write may have been made or not.
    #[error("the connection to {url} broke before the answer was complete")]
    Transport { url: Arc<str>, source: Arc<reqwest::Error> },
    /// The server said no, and why.
    #[error(transparent)]
    Problem(Arc<Problem>),
    /// The server's answer is not what this client understands. A write may have been made.
    #[error("the server's answer is not understood: {0}")]
    Answer(String),
    /// An argument that no request can carry. Nothing was sent.
    #[error("{0}")]
    Unsendable(String),
    /// An entity that is not JSON, or JSON that is not the entity's type.
    #[error("{entity_type} {key:?} does not fit its type: {detail}")]
    Entity { entity_type: String, key: String, detail: String },
    /// The runtime that carried a producer or a view has stopped.
    #[error("the task behind this handle has ended")]
    Stopped,
}

impl ClientError {
    pub(super) fn transport(url: &str, source: reqwest::Error) -> Self {
        let (url, unreachable) = (url.into(), source.is_connect());
        let source = Arc::new(source);
        if unreachable { Self::Unreachable { url, source } } else { Self::Transport { url, source } }
    }

    /// The server's refusal, where it gave one.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            _ => None,
        }
    }

    /// Whether the server refused with the problem type that ends in `/slug`.
    pub fn is_problem(&self, slug: &str) -> bool {
        self.problem().is_some_and(|problem| problem.is(slug))
    }

    /// How long the server asks to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        self.problem().and_then(|problem| problem.retry_after)
    }

    pub fn status(&self) -> Option<StatusCode> {
        self.problem().map(|problem| problem.status)
    }

    /// Whether a write that ended so may be stored all the same.
    pub fn may_be_written(&self) -> bool {
        match self {
            Self::Transport { .. } | Self::Answer(_) => true,
            Self::Problem(problem) => problem.written != Written::No,
            Self::Url(_) | Self::Unreachable { .. } | Self::Unsendable(_) | Self::Entity { .. } | Self::Stopped => {
                false
            }
        }
    }

    /// Whether the same call, sent again later, can succeed.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Transport { .. } => true,
            Self::Problem(problem) => is_transient(problem.status),
            Self::Url(_) | Self::Answer(_) | Self::Unsendable(_) | Self::Entity { .. } | Self::Stopped => false,
        }
    }
}

impl From<Problem> for ClientError {
    fn from(problem: Problem) -> Self {
        Self::Problem(Arc::new(problem))
    }
}

/// Timeouts, too many requests and every 5xx pass; any other refusal stays.
pub(super) fn is_transient(status: StatusCode) -> bool {
    matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS) || status.is_server_error()
}

/// A refusal as `application/problem+json` tells it. Source: RFC 9457.
#[derive(Clone, Debug)]
pub struct Problem {
    pub status: StatusCode,
    /// The problem's type: a stable URI or slug. Empty where the answer came from something else than the server.
    pub kind: String,
    pub title: String,
    pub detail: String,
    pub written: Written,
    /// What is wrong with which change; empty unless values were refused.
    pub errors: Vec<Fault>,
    /// How many more faults there are than `errors` lists.
    pub more_errors: u64,
    /// Why a document is not compatible; empty unless that is the refusal.
    pub violations: Vec<ViolationBody>,
    /// How long the server asks to be left alone.
    pub retry_after: Option<Duration>,
    /// The current version of an entity whose precondition failed.
    pub current: Option<String>,
}

/// Whether a refused call left anything behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    No,
    Yes,
    Unknown,
}

/// One violation: by one change of a batch, at one place of a document, or by one stored entity.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Fault {
    /// Which change of the batch, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
    /// JSON pointer to the place.
    pub pointer: String,
    /// The schema keyword that refused it, for example `enum`.
    pub keyword: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub schema_location: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_version: Option<u64>,
    pub message: String,
    /// Where the stored entity lies that does not fit a schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ProblemBody {
    r#type: String,
    title: String,
    detail: String,
    #[serde(deserialize_with = "written")]
    written: Option<Written>,
    errors: Vec<Fault>,
    more_errors: u64,
    violations: Vec<ViolationBody>,
}

/// A boolean, or a text: `"no"`, `"yes"`, `"unknown"`.
fn written<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Written>, D::Error> {
    Ok(match serde_json::Value::deserialize(source)? {
        serde_json::Value::Bool(true) => Some(Written::Yes),
        serde_json::Value::Bool(false) => Some(Written::No),
        serde_json::Value::String(text) => Some(match text.as_str() {
            "no" => Written::No,
            "yes" => Written::Yes,
            _ => Written::Unknown,
        }),
        _ => None,
    })
}

impl Problem {
    /// Longest body of a refusal that is not problem+json, in characters of the detail kept.
    const FOREIGN_DETAIL_MAX: usize = 500;

    /// Whether the problem's type is the one that ends in `/slug`, for example `stream-not-found`.
    pub fn is(&self, slug: &str) -> bool {
        self.kind.rsplit('/').next() == Some(slug)
    }

    /// Never fails: an answer that is not a problem document still has its status.
    pub(super) async fn read(response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.unwrap_or_default();
        Self::parse(status, &headers, &body)
    }

    pub(super) fn parse(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let parsed = serde_json::from_slice::<ProblemBody>(body).unwrap_or_else(|_| ProblemBody {
            detail: String::from_utf8_lossy(body).trim().chars().take(Self::FOREIGN_DETAIL_MAX).collect(),
            ..ProblemBody::default()
        });
        let title = if parsed.title.is_empty() {
            status.canonical_reason().unwrap_or("refused").to_owned()
        } else {
            parsed.title
        };
        // What does not say otherwise: a server that failed may have written, one that refused has not.
        let otherwise = if status.is_server_error() { Written::Unknown } else { Written::No };
        Self {
            status,
            kind: parsed.r#type,
            title,
            detail: parsed.detail,
            written: parsed.written.unwrap_or(otherwise),
            errors: parsed.errors,
            more_errors: parsed.more_errors,
            violations: parsed.violations,
            retry_after: retry_after(headers),
            current: etag(headers),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status.as_u16(), self.title)?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}

impl std::error::Error for Problem {}

/// `Retry-After` in seconds; a date is not used by this server and is taken as absent.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// An entity's version, without the quotes of the header.
pub(super) fn etag(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(ETAG)?.to_str().ok()?;
    Some(text.trim_start_matches("W/").trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(status: u16, body: &str) -> Problem {
        Problem::parse(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn a_refusal_names_each_fault() {
        let problem = parsed(
            422,
            r#"{"type":"/problems/invalid","title":"Invalid","status":422,"detail":"d","written":false,
                "errors":[{"index":2,"pointer":"/status","keyword":"enum","message":"not one of"}]}"#,
        );
        assert_eq!((problem.errors[0].index, problem.errors[0].pointer.as_str()), (Some(2), "/status"));
        assert!(problem.is("invalid") && !problem.is("problems"));
        assert_eq!((problem.written, problem.to_string().as_str()), (Written::No, "422 Invalid: d"));
    }

    #[test]
    fn an_answer_that_is_no_problem_document_keeps_its_status() {
        let problem = parsed(502, "<html>bad gateway</html>");
        assert_eq!(problem.to_string(), "502 Bad Gateway: <html>bad gateway</html>");
        assert_eq!(problem.written, Written::Unknown);
        assert_eq!(parsed(404, "").to_string(), "404 Not Found");
    }

    #[test]
    fn what_may_have_been_written_is_told_apart() {
        for (text, expected) in [
            ("false", Written::No),
            (r#""no""#, Written::No),
            ("true", Written::Yes),
            (r#""unknown""#, Written::Unknown),
        ] {
            assert_eq!(parsed(503, &format!(r#"{{"written":{text}}}"#)).written, expected);
        }
    }

    #[test]
    fn only_timeouts_overload_and_server_faults_pass() {
        for status in [408, 429, 500, 502, 503, 507] {
            assert!(is_transient(StatusCode::from_u16(status).unwrap()), "{status}");
        }
        for status in [400, 401, 403, 404, 409, 410, 412, 413, 422] {
            assert!(!is_transient(StatusCode::from_u16(status).unwrap()), "{status}");
        }
    }
}
