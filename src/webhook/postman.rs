//! The sender: one signed request per delivery, bounded in time and in what is read of the answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};

use crate::engine::subscriptions::{Courier, DeliveryFault, PublicKey};
use crate::model::Timestamp;
use crate::protocol::subscription::WakeAnswer;
use crate::subscription::WebhookUrl;

use super::SigningKey;
use super::resolver::{Lookup, PublicOnly, lookup_of_the_system};

/// How deliveries are made.
#[derive(Clone)]
pub struct Postman {
    /// From connecting until the answer is read.
    pub timeout: Duration,
    /// Of an answer, in bytes. One that is longer says nothing about being done.
    pub answer_bytes_max: usize,
    /// Whether this host may be delivered to, for development.
    pub localhost_allowed: bool,
    pub lookup: Lookup,
}

impl Default for Postman {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            answer_bytes_max: 64 << 10,
            localhost_allowed: false,
            lookup: lookup_of_the_system(),
        }
    }
}

/// The HTTP client could not be made.
#[derive(Debug, thiserror::Error)]
#[error("webhooks cannot be delivered: {0}")]
pub struct PostmanError(String);

const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

impl Postman {
    /// Makes a sender that signs with `key`.
    pub fn employ(self, key: SigningKey) -> Result<Hired, PostmanError> {
        let resolver = PublicOnly { lookup: self.lookup, localhost_allowed: self.localhost_allowed };
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls()?)
            .dns_resolver(Arc::new(resolver))
            .redirect(reqwest::redirect::Policy::none())
            // A proxy would connect for us, to addresses that nobody has checked.
            .no_proxy()
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT.min(self.timeout))
            .timeout(self.timeout)
            .pool_max_idle_per_host(4)
            .user_agent(concat!("keyfold/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| PostmanError(error.to_string()))?;
        let (answer_bytes_max, localhost_allowed) = (self.answer_bytes_max, self.localhost_allowed);
        Ok(Hired { key, client, answer_bytes_max, localhost_allowed })
    }
}

/// TLS that trusts whom the system trusts. Where it trusts nobody, deliveries fail and say so; the server serves.
fn tls() -> Result<rustls::ClientConfig, PostmanError> {
    let mut roots = rustls::RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        tracing::warn!("the system has no certificates of authorities: webhooks that need TLS will fail");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let versions = versions.map_err(|error| PostmanError(error.to_string()))?;
    Ok(versions.with_root_certificates(roots).with_no_client_auth())
}

/// A sender at work.
pub struct Hired {
    key: SigningKey,
    client: reqwest::Client,
    answer_bytes_max: usize,
    localhost_allowed: bool,
}

impl Courier for Hired {
    fn key(&self) -> &PublicKey {
        self.key.public()
    }

    fn former_key(&self) -> Option<&PublicKey> {
        self.key.former()
    }

    fn seal(&self, text: &str) -> String {
        self.key.seal(text)
    }

    fn deliver(
        &self,
        url: &WebhookUrl,
        body: Bytes,
        at: Timestamp,
    ) -> BoxFuture<'static, Result<bool, DeliveryFault>> {
        // An address is not resolved, so it is checked here; and what was allowed once may not be any more.
        let url = match WebhookUrl::parse(url.as_str(), self.localhost_allowed) {
            Ok(url) => url,
            Err(fault) => return Box::pin(async move { Err(DeliveryFault(fault.to_string())) }),
        };
        let mut request =
            self.client.post(url.as_str()).header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request = request.header(SIGNATURE, self.key.signature(&body, at));
        let answer_bytes_max = self.answer_bytes_max;
        Box::pin(async move {
            let answer = request.body(body).send().await.map_err(told)?;
            let status = answer.status();
            match status.is_success() {
                true => Ok(is_done(answer, answer_bytes_max).await),
                false if status.is_redirection() => Err(DeliveryFault(format!(
                    "the webhook answered {}; redirects are not followed",
                    status.as_u16()
                ))),
                false => Err(DeliveryFault(format!("the webhook answered {}", status.as_u16()))),
            }
        })
    }
}

/// Whether an answer says `{"done": true}`. One that breaks off, is too long or is something else does not.
async fn is_done(mut answer: reqwest::Response, bytes_max: usize) -> bool {
    let mut body = Vec::new();
    while let Ok(chunk) = answer.chunk().await {
        let Some(chunk) = chunk else {
            return serde_json::from_slice::<WakeAnswer>(&body).is_ok_and(|answer| answer.done);
        };
        if body.len() + chunk.len() > bytes_max {
            return false;
        }
        body.extend_from_slice(&chunk);
    }
    false
}

/// An error with its causes, and without the URL, which may hold a secret.
fn told(error: reqwest::Error) -> DeliveryFault {
    let timeout = error.is_timeout();
    let error = error.without_url();
    let mut text = if timeout { "no answer in time".to_owned() } else { error.to_string() };
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        let reason = error.to_string();
        if !text.contains(&reason) {
            text = format!("{text}: {reason}");
        }
        cause = error.source();
    }
    DeliveryFault(text)
}
