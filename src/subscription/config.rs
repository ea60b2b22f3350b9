//! What a subscription is asked to be, and when two of them are the same. Source: PROTOCOL.md §6.2.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::model::StreamName;
use crate::model::name::NameFault;
use crate::registry::{Fingerprint, Pattern, PatternFault, canonical_json};

use super::target::{UrlFault, WebhookUrl};

pub const LEASE_MIN: Duration = Duration::from_secs(1);
pub const LEASE_MAX: Duration = Duration::from_secs(600);
pub const LEASE_DEFAULT: Duration = Duration::from_secs(30);
pub const DESCRIPTION_BYTES_MAX: usize = 4096;
/// Longest name that a worker may give itself.
pub const WORKER_BYTES_MAX: usize = 256;

/// Name of a subscription, chosen by the client: 1 to 256 bytes of UTF-8 without `/` and control characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionId(Arc<str>);

impl SubscriptionId {
    pub const BYTES_MAX: usize = 256;

    pub fn parse(text: &str) -> Option<Self> {
        let sound = (1..=Self::BYTES_MAX).contains(&text.len())
            && !text.chars().any(|c| c == '/' || c.is_control())
            && !matches!(text, "." | "..");
        sound.then(|| Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SubscriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a worker hears of a wake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    Webhook(WebhookUrl),
    /// An event in this stream, which workers read and race for.
    PullWake(StreamName),
}

/// What a client asked for. Normalised: paths without a leading slash, each stream once, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub delivery: Delivery,
    pub pattern: Option<Pattern>,
    pub streams: BTreeSet<StreamName>,
    pub lease_ttl: Duration,
    pub description: Option<String>,
}

/// Why a configuration cannot be used. Nothing was written; the same call cannot succeed. 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigFault {
    #[error("give a pattern, or streams, or both")]
    NoStreams,
    /// What the type of the subscription needs.
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("lease_ttl_ms is a whole number from 1000 to 600000")]
    Lease,
    #[error("pattern: {0}")]
    Pattern(#[from] PatternFault),
    #[error("{path:?}: {fault}")]
    Path { path: String, fault: NameFault },
    #[error("{0:?} is reserved for the protocol")]
    Reserved(String),
    #[error("a description has at most {DESCRIPTION_BYTES_MAX} bytes")]
    Description,
    #[error(transparent)]
    Url(#[from] UrlFault),
}

impl Config {
    /// Refuses what no subscription may be.
    pub fn checked(self) -> Result<Self, ConfigFault> {
        if self.pattern.is_none() && self.streams.is_empty() {
            return Err(ConfigFault::NoStreams);
        }
        if !(LEASE_MIN..=LEASE_MAX).contains(&self.lease_ttl) {
            return Err(ConfigFault::Lease);
        }
        if self.description.as_ref().is_some_and(|text| text.len() > DESCRIPTION_BYTES_MAX) {
            return Err(ConfigFault::Description);
        }
        Ok(self)
    }

    pub fn is_webhook(&self) -> bool {
        matches!(self.delivery, Delivery::Webhook(_))
    }

    /// SHA-256 over everything that makes two configurations the same.
    pub fn fingerprint(&self) -> Fingerprint {
        let (kind, target) = match &self.delivery {
            Delivery::Webhook(url) => ("webhook", url.as_str()),
            Delivery::PullWake(stream) => ("pull-wake", stream.as_str()),
        };
        let streams: Vec<&str> = self.streams.iter().map(StreamName::as_str).collect();
        Fingerprint::of(&canonical_json(&json!({
            "type": kind,
            "target": target,
            "pattern": self.pattern.as_ref().map(Pattern::as_str),
            "streams": streams,
            "lease_ttl_ms": u64::try_from(self.lease_ttl.as_millis()).unwrap_or(u64::MAX),
            "description": self.description,
        })))
    }

    /// Whether the pattern asks for a stream. Never for its own wake stream, where each wake would cause the next.
    pub fn wants(&self, name: &StreamName) -> bool {
        let wakes = matches!(&self.delivery, Delivery::PullWake(stream) if stream == name);
        !wakes && !name.is_internal() && self.pattern.as_ref().is_some_and(|pattern| pattern.matches(name.as_str()))
    }
}

/// A stream's path as bodies of subscriptions give it: relative to the stream root; a leading slash is not part of it.
pub fn stream_path(text: &str) -> Result<StreamName, ConfigFault> {
    let path = text.trim_start_matches('/');
    if path == "__ds" || path.starts_with("__ds/") {
        return Err(ConfigFault::Reserved(path.to_owned()));
    }
    StreamName::parse(path).map_err(|fault| ConfigFault::Path { path: text.to_owned(), fault })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(streams: &[&str]) -> Config {
        Config {
            delivery: Delivery::PullWake(stream_path("wake/pool").unwrap()),
            pattern: None,
            streams: streams.iter().map(|path| stream_path(path).unwrap()).collect(),
            lease_ttl: LEASE_DEFAULT,
            description: None,
        }
    }

    #[test]
    fn equal_content_has_equal_fingerprints_and_any_difference_another() {
        let given = config(&["b", "/a", "a"]);
        assert_eq!(given.fingerprint().as_bytes(), config(&["a", "b"]).fingerprint().as_bytes());
        let others = [
            config(&["a"]),
            Config { lease_ttl: LEASE_MIN, ..given.clone() },
            Config { description: Some(String::new()), ..given.clone() },
            Config { pattern: Some(Pattern::parse("a/*").unwrap()), ..given.clone() },
            Config { delivery: Delivery::PullWake(stream_path("wake/other").unwrap()), ..given.clone() },
        ];
        for other in others {
            assert_ne!(given.fingerprint().as_bytes(), other.fingerprint().as_bytes(), "{other:?}");
        }
    }

    #[test]
    fn a_pattern_does_not_ask_for_its_own_wake_stream() {
        let all = Config { pattern: Some(Pattern::parse("**").unwrap()), ..config(&[]) };
        assert!(all.wants(&stream_path("wake/other").unwrap()));
        assert!(!all.wants(&stream_path("wake/pool").unwrap()));
        assert!(!all.wants(&StreamName::registry()));
    }

    #[test]
    fn configurations_that_mean_nothing_are_refused() {
        assert_eq!(config(&[]).checked(), Err(ConfigFault::NoStreams));
        for lease_ttl in [Duration::from_millis(999), Duration::from_millis(600_001)] {
            assert_eq!(Config { lease_ttl, ..config(&["a"]) }.checked(), Err(ConfigFault::Lease));
        }
        let description = Some("x".repeat(DESCRIPTION_BYTES_MAX + 1));
        assert_eq!(Config { description, ..config(&["a"]) }.checked(), Err(ConfigFault::Description));
        assert!(matches!(stream_path("__ds/subscriptions/x"), Err(ConfigFault::Reserved(_))));
        assert!(matches!(stream_path("a/../b"), Err(ConfigFault::Path { .. })));
    }

    #[test]
    fn ids_are_single_segments() {
        for text in ["sub-1", "ä b", "a%2Fb"] {
            assert_eq!(SubscriptionId::parse(text).unwrap().as_str(), text);
        }
        for text in ["", ".", "..", "a/b", "a\n", &"x".repeat(257)] {
            assert_eq!(SubscriptionId::parse(text), None, "{text:?}");
        }
    }
}
