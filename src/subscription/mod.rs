//! Subscription rules: which streams a worker is woken for, who holds the wake, how far it has come. Source: PROTOCOL.md
//! §6 and §7.
//!
//! A [`Subscription`] is the fold of its [`Event`]s. Decided here: what a configuration may be ([`Config`]), which
//! addresses a webhook may have ([`target`]), who may ack ([`Subscription::fence`]), what an ack may say
//! ([`Subscription::check_acks`]), when a wake ends or is tried again ([`Subscription::due`], [`retry_delay`]). Left to
//! others: making events durable before anyone hears of them (engine), their JSON (protocol), sending (webhook).
//!
//! Invariant: a cursor never moves back, a generation is used once, and what ends a wake makes its token worthless.

mod config;
mod lease;
mod retry;
mod state;
pub mod target;

pub use config::{
    Config, ConfigFault, DESCRIPTION_BYTES_MAX, Delivery, LEASE_DEFAULT, LEASE_MAX, LEASE_MIN, SubscriptionId,
    WORKER_BYTES_MAX, stream_path,
};
pub use lease::{Ack, AckFault, Fence, Fenced};
pub use retry::{RETRY_FIRST, RETRY_MAX, retry_delay};
pub use state::{Event, Head, Link, LinkKind, Retry, Subscription, Wake};
pub use target::{UrlFault, WebhookUrl};
