//! Schemas and bindings: what shapes there are, and which streams they rule.

use reqwest::header::ACCEPT;
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Client, ClientError, Problem, url};
use crate::protocol::compatibility::{ProgressBody, ProgressLine, VerdictBody};
use crate::registry::{ContentModel, Mode};

/// A version as the registry knows it after registering a document.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Registered {
    pub subject: String,
    pub version: u64,
    /// Digest of the document's canonical form: equal documents have equal ones.
    pub fingerprint: String,
    /// Whether this call made the version; `false` where an equal document was already there.
    #[serde(default)]
    pub created: bool,
}

/// A subject and its versions.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Subject {
    pub subject: String,
    pub latest: u64,
    pub versions: Vec<u64>,
}

/// One version with its document.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct SchemaVersion {
    pub subject: String,
    pub version: u64,
    pub fingerprint: String,
    pub document: Value,
}

/// Which streams a subject rules, and how. A setting left out has the server's default.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Binding {
    /// Set by the server from the URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A path glob, for example `netscript/workers/**`.
    pub pattern: String,
    pub subject: String,
    /// `"latest"` or a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Value>,
    /// `validation`, `producers`, `close`, `reads`, `defaults`, `egress`, `history_s`, `tombstone_horizon_s`.
    #[serde(flatten)]
    pub settings: Map<String, Value>,
}

impl Binding {
    pub fn new(pattern: &str, subject: &str) -> Self {
        Self { pattern: pattern.to_owned(), subject: subject.to_owned(), ..Self::default() }
    }

    /// Adds a setting, for example `("validation", "quarantine")`.
    pub fn with(mut self, setting: &str, value: impl Into<Value>) -> Self {
        self.settings.insert(setting.to_owned(), value.into());
        self
    }
}

#[derive(Deserialize)]
struct Subjects {
    subjects: Vec<Subject>,
    #[serde(default)]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Bindings {
    bindings: Vec<Binding>,
}

/// What a verdict is asked about; what is left out is as the subject has it.
#[derive(Clone, Copy, Debug, Default)]
pub struct VerdictQuery {
    /// Whether stored entities are part of the verdict.
    pub live: bool,
    /// Compare with this version only.
    pub version: Option<u64>,
    pub mode: Option<Mode>,
    pub content_model: Option<ContentModel>,
}

impl VerdictQuery {
    fn text(&self) -> String {
        let live = if self.live { "strict" } else { "off" };
        let mut text = format!("live={live}");
        let version = self.version.map(|version| ("version", version.to_string()));
        let mode = self.mode.map(|mode| ("compatibility", mode.as_str().to_owned()));
        let model = self.content_model.map(|model| ("content_model", model.as_str().to_owned()));
        for (name, value) in [version, mode, model].into_iter().flatten() {
            text.push_str(&format!("&{name}={value}"));
        }
        text
    }
}

impl Client {
    /// Asks whether a document would fit a subject; registers nothing. While stored entities are looked at, `told` hears
    /// how far that has come, a few times a second.
    pub async fn verdict(
        &self,
        subject: &str,
        document: &Value,
        query: &VerdictQuery,
        mut told: impl FnMut(&ProgressBody),
    ) -> Result<VerdictBody, ClientError> {
        let path = format!("/v1/schemas/{}/compatibility?{}", url::segment(subject)?, query.text());
        let request = self.request(Method::POST, &path).json(document);
        if !query.live {
            return self.call_json(request).await;
        }
        // No limit as a whole: a line comes every half second, however long it takes.
        let mut response = self.send(request.header(ACCEPT, "application/x-ndjson")).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut text = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|cause| ClientError::transport(&self.base, cause))? {
            text.extend_from_slice(&chunk);
            while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = text.drain(..=end).collect();
                if let Ok(ProgressLine { progress }) = serde_json::from_slice(&line) {
                    told(&progress);
                    continue;
                }
                return serde_json::from_slice(&line).map_err(|_| {
                    let told = serde_json::from_slice::<Value>(&line).ok().and_then(|body| body["status"].as_u64());
                    let told = told.and_then(|status| StatusCode::from_u16(u16::try_from(status).ok()?).ok());
                    Problem::parse(told.unwrap_or(status), &headers, &line).into()
                });
            }
        }
        Err(ClientError::Answer("it ended before the verdict".to_owned()))
    }

    /// Registers a document as the subject's next version, or finds the version that is equal to it.
    ///
    /// Refused with 409 where it breaks the subject's compatibility, and 422 where it is not a document.
    pub async fn register(&self, subject: &str, document: &Value) -> Result<Registered, ClientError> {
        let path = format!("/v1/schemas/{}/versions", url::segment(subject)?);
        let response = self.call(self.request(Method::POST, &path).json(document)).await?;
        let created = response.status() == StatusCode::CREATED;
        Ok(Registered { created, ..self.json(response).await? })
    }

    pub async fn subjects(&self) -> Result<Vec<Subject>, ClientError> {
        let (mut subjects, mut after) = (Vec::new(), None::<String>);
        loop {
            let path = url::with_query("/v1/schemas", [("cursor", after.as_deref())]);
            let page: Subjects = self.call_json(self.request(Method::GET, &path)).await?;
            subjects.extend(page.subjects);
            after = page.next;
            if after.is_none() {
                return Ok(subjects);
            }
        }
    }

    /// A version of a subject; `None` asks for the latest.
    pub async fn schema(&self, subject: &str, version: Option<u64>) -> Result<SchemaVersion, ClientError> {
        let version = version.map_or_else(|| "latest".to_owned(), |number| number.to_string());
        let path = format!("/v1/schemas/{}/versions/{version}", url::segment(subject)?);
        self.call_json(self.request(Method::GET, &path)).await
    }

    /// Creates or replaces a binding. Refused with 409 where streams it would rule hold entities that do not fit.
    pub async fn bind(&self, name: &str, binding: &Binding) -> Result<Binding, ClientError> {
        let path = format!("/v1/bindings/{}", url::segment(name)?);
        self.call_json(self.request(Method::PUT, &path).json(binding)).await
    }

    pub async fn bindings(&self) -> Result<Vec<Binding>, ClientError> {
        let list: Bindings = self.call_json(self.request(Method::GET, "/v1/bindings")).await?;
        Ok(list.bindings)
    }

    pub async fn unbind(&self, name: &str) -> Result<(), ClientError> {
        let path = format!("/v1/bindings/{}", url::segment(name)?);
        self.call(self.request(Method::DELETE, &path)).await.map(drop)
    }
}
