//! What carries wakes to webhooks, as the engine sees it. The sender itself is of the edge.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::model::Timestamp;
use crate::subscription::WebhookUrl;

/// The public half of the key that signs deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// Derived from the key itself: `ds_` and its RFC 7638 thumbprint.
    pub kid: String,
    pub bytes: [u8; 32],
}

/// Why a delivery failed; for people, without secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DeliveryFault(pub String);

/// Delivers wakes and seals tokens; holds the server's secrets.
pub trait Courier: Send + Sync + 'static {
    fn key(&self) -> &PublicKey;

    /// A key that signed until it was rotated away, which receivers may still meet. Source: PROTOCOL.md §6.5.
    fn former_key(&self) -> Option<&PublicKey> {
        None
    }

    /// A code over a text that nobody else can make; unpadded base64url.
    fn seal(&self, text: &str) -> String;

    /// Posts a signed body, once. True where the answer says that everything is done.
    ///
    /// Never follows a redirect, never connects to an address that is not public (but for the development exception,
    /// where it is allowed), and reads a bounded answer for a bounded time.
    fn deliver(
        &self,
        url: &WebhookUrl,
        body: Bytes,
        at: Timestamp,
    ) -> BoxFuture<'static, Result<bool, DeliveryFault>>;
}

/// A courier that anyone may hold.
pub type SharedCourier = Arc<dyn Courier>;
