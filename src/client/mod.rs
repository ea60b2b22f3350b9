//! The typed client: what a service, a tool or a test uses to write entities and to follow them.
//!
//! It decides how calls become requests, when a failed write is sent again, and how a reader finds its place after a
//! cut. What an entity means is decided by its schema, and whether a write is allowed by the server: the client repeats
//! none of these rules. Its invariant: every change handed to a [`Producer`] is either acknowledged or reported, in the
//! order it was handed in, and nothing here grows with how slow the other side is.
//!
//! ```no_run
//! # use keyfold::client::{Client, Entity, document_of};
//! # use serde::{Deserialize, Serialize};
//! #[derive(Serialize, Deserialize, schemars::JsonSchema)]
//! struct Job { id: String, name: String }
//!
//! impl Entity for Job {
//!     const TYPE: &str = "job";
//!     const PRIMARY_KEY: &str = "id";
//!     fn key(&self) -> String { self.id.clone() }
//! }
//!
//! # async fn example() -> Result<(), keyfold::client::ClientError> {
//! let client = Client::new("http://127.0.0.1:4437")?;
//! client.register("jobs", &document_of::<Job>("jobs")).await?;
//! let jobs = client.stream("acme/jobs").producer::<Job>("scheduler");
//! jobs.upsert(&Job { id: "nightly".into(), name: "Nightly report".into() }).await?;
//! jobs.close().await
//! # }
//! ```

mod backoff;
mod change;
mod entity;
mod error;
mod inspect;
mod migration;
mod producer;
mod registry;
#[cfg(test)]
mod scripted;
mod state;
mod url;
mod view;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Method, RequestBuilder, Response};
use serde::de::DeserializeOwned;

pub use crate::protocol::inspection::{
    CollectionBody, EpochBody, ForkBody, OffsetsBody, ProducerBody, SchemaBody, StreamBody, StreamRow, StreamsReply,
};
pub use crate::protocol::migration::{
    CancelledReply, DryRunReply, FailureBody, LeftBody, MigratedBody, MigrationBody, MigrationRequest,
    MigrationTarget, SampleBody, SchemaAtReply, StateText, StepBody,
};
pub use backoff::Backoff;
pub use change::Change;
pub use entity::{Document, Entity, document_of};
pub use error::{ClientError, Fault, Problem, Written};
pub use producer::{ChangeProducer, Producer, ProducerOptions, ProducerStats};
pub use registry::{Binding, Registered, SchemaVersion, Subject, VerdictQuery};
pub use state::{
    Applied, EntityPage, EntityRow, ListQuery, Precondition, QuarantinePage, Quarantined, Receipt, Snapshot,
    StreamHandle, Versioned,
};
pub use view::EntityView;
pub use watch::{Watch, WatchEvent, WatchOptions};

/// A connection to one server. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Arc<str>,
    authorization: Option<HeaderValue>,
}

/// What stands for TLS in a client of plain `http`: it trusts nobody. `reqwest` wants something, or looks for the
/// system's certificates, which a small container does not have.
pub fn no_tls() -> rustls::ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let versions = versions.expect("the provider knows the default versions");
    versions.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth()
}

impl Client {
    /// How long an answer may take as a whole, where the call is not a subscription.
    const CALL_TIMEOUT: Duration = Duration::from_secs(30);
    const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
    /// Three heartbeats of a subscription; silence for longer means that the connection is dead.
    const SILENCE_MAX: Duration = Duration::from_secs(45);

    /// A client of the server at `base_url`, for example `http://127.0.0.1:4437`.
    ///
    /// A trailing slash is ignored, and so is a trailing `/v1/stream`, with which other clients' settings end.
    /// Nothing is sent yet.
    pub fn new(base_url: &str) -> Result<Self, ClientError> {
        let base = base_url.trim().trim_end_matches('/');
        let base = base.strip_suffix("/v1/stream").unwrap_or(base);
        let is_http = reqwest::Url::parse(base).is_ok_and(|url| url.scheme() == "http" && url.has_host());
        if !is_http {
            return Err(ClientError::Url(base_url.to_owned()));
        }
        let http = reqwest::Client::builder()
            .connect_timeout(Self::CONNECT_TIMEOUT)
            .read_timeout(Self::SILENCE_MAX)
            .user_agent(concat!("keyfold/", env!("CARGO_PKG_VERSION")))
            .tls_backend_preconfigured(no_tls())
            .build()
            .map_err(|cause| ClientError::transport(base, cause))?;
        Ok(Self { http, base: base.into(), authorization: None })
    }

    /// Sends `token` as bearer with every request. Fails where it cannot be a header's value.
    pub fn token(mut self, token: &str) -> Result<Self, ClientError> {
        let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| ClientError::Unsendable("the token has characters that no header can carry".into()))?;
        value.set_sensitive(true);
        self.authorization = Some(value);
        Ok(self)
    }

    /// The address given to [`Client::new`], without a trailing slash.
    pub fn base_url(&self) -> &str {
        &self.base
    }

    /// The stream at `path`, for example `netscript/workers`. Nothing is sent yet.
    pub fn stream(&self, path: &str) -> StreamHandle {
        StreamHandle::new(self.clone(), path)
    }

    /// A request below the server's address; `path` is already encoded. It has no time limit yet.
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.authorization {
            Some(value) => request.header(AUTHORIZATION, value.clone()),
            None => request,
        }
    }

    /// Sends a call and turns every answer that is not 2xx into its problem.
    async fn call(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        self.send(request.timeout(Self::CALL_TIMEOUT)).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let response = request.send().await.map_err(|cause| ClientError::transport(&self.base, cause))?;
        if response.status().is_success() { Ok(response) } else { Err(Problem::read(response).await.into()) }
    }

    /// As [`Client::call_json`], of what may look through all of a stream's entities first.
    async fn long_json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        self.json(self.send(request.timeout(Self::SILENCE_MAX)).await?).await
    }

    async fn call_json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        self.json(self.call(request).await?).await
    }

    async fn json<T: DeserializeOwned>(&self, response: Response) -> Result<T, ClientError> {
        let body = response.bytes().await.map_err(|cause| ClientError::transport(&self.base, cause))?;
        serde_json::from_slice(&body).map_err(|cause| ClientError::Answer(cause.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_http_and_end_where_the_server_begins() {
        for (given, expected) in [
            ("http://127.0.0.1:4437", "http://127.0.0.1:4437"),
            ("http://127.0.0.1:4437/", "http://127.0.0.1:4437"),
            ("http://host/v1/stream/", "http://host"),
            ("http://host/behind/a/proxy", "http://host/behind/a/proxy"),
        ] {
            assert_eq!(Client::new(given).unwrap().base_url(), expected, "{given}");
        }
        for given in ["", "127.0.0.1:4437", "https://host", "ftp://host", "http://"] {
            assert!(matches!(Client::new(given), Err(ClientError::Url(_))), "{given:?}");
        }
        assert!(Client::new("http://host").unwrap().token("line\nbreak").is_err());
    }
}
