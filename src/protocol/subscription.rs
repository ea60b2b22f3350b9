//! JSON of subscriptions: what clients send and see, what a worker is told, and the entries of a subscription's log.
//! Source: PROTOCOL.md §6 and §7.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::{Offset, StreamName, Timestamp};
use crate::registry::Pattern;
use crate::subscription::{
    Ack, Config, ConfigFault, Delivery, Event, Head, LEASE_DEFAULT, Link, LinkKind, Retry, Subscription,
    SubscriptionId, Wake, WebhookUrl, stream_path,
};

/// A subscription as a client asks for it. At least one of `pattern` and `streams` is needed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SubscriptionBody {
    pub r#type: KindBody,
    /// Path glob: `*` matches one segment, `**` zero or more.
    #[serde(default)]
    pub pattern: Option<String>,
    /// Stream paths, in addition to the pattern.
    #[serde(default)]
    pub streams: Option<Vec<String>>,
    /// Needed by `webhook`.
    #[serde(default)]
    pub webhook: Option<WebhookBody>,
    /// Needed by `pull-wake`: a stream that the application has made.
    #[serde(default)]
    pub wake_stream: Option<String>,
    /// 1000 to 600000; 30000 if it is not given.
    #[serde(default)]
    pub lease_ttl_ms: Option<u64>,
    #[serde(default)]
    pub description: Option<String>,
}

/// How workers hear of pending work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KindBody {
    Webhook,
    PullWake,
}

/// Where a webhook is delivered to.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct WebhookBody {
    /// `https`, and of the public internet.
    pub url: String,
    /// How deliveries are signed; in replies only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing: Option<SigningBody>,
}

/// Which key signs deliveries now, and where its public half is.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SigningBody {
    pub alg: String,
    pub kid: String,
    pub jwks_url: String,
}

impl SubscriptionBody {
    /// What it asks for, normalised and checked.
    pub fn into_config(self, localhost_allowed: bool) -> Result<Config, ConfigFault> {
        let delivery = match self.r#type {
            KindBody::Webhook => {
                let webhook = self.webhook.ok_or(ConfigFault::Missing("webhook.url"))?;
                Delivery::Webhook(WebhookUrl::parse(&webhook.url, localhost_allowed)?)
            }
            KindBody::PullWake => {
                let wake_stream = self.wake_stream.filter(|path| !path.is_empty());
                Delivery::PullWake(stream_path(&wake_stream.ok_or(ConfigFault::Missing("wake_stream"))?)?)
            }
        };
        let pattern = self.pattern.map(|text| Pattern::parse(text.trim_start_matches('/'))).transpose()?;
        let config = Config {
            delivery,
            pattern,
            streams: stream_paths(&self.streams.unwrap_or_default())?.into_iter().collect(),
            lease_ttl: self.lease_ttl_ms.map_or(LEASE_DEFAULT, Duration::from_millis),
            description: self.description,
        };
        config.checked()
    }
}

fn stream_paths(paths: &[String]) -> Result<Vec<StreamName>, ConfigFault> {
    paths.iter().map(|path| stream_path(path)).collect()
}

/// Streams to add to a subscription.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct StreamsBody {
    pub streams: Vec<String>,
}

impl StreamsBody {
    pub fn into_names(self) -> Result<Vec<StreamName>, ConfigFault> {
        match self.streams.is_empty() {
            true => Err(ConfigFault::NoStreams),
            false => stream_paths(&self.streams),
        }
    }
}

/// A subscription as it is now.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SubscriptionReply {
    pub id: String,
    pub subscription_id: String,
    pub r#type: KindBody,
    pub pattern: Option<String>,
    pub streams: Vec<LinkReply>,
    pub webhook: Option<WebhookBody>,
    pub wake_stream: Option<String>,
    pub lease_ttl_ms: u64,
    pub created_at: String,
    pub status: StatusBody,
    pub description: Option<String>,
    /// Wakes so far; the fencing counter.
    pub generation: u64,
    /// Who holds the lease of the current wake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_until: Option<String>,
    /// While `status` is `failed`: when delivery is tried again, and what went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// `failed` while a delivery is to be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StatusBody {
    Active,
    Failed,
}

/// A stream of a subscription, and how far it is done with.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LinkReply {
    pub path: String,
    pub link_type: LinkTypeBody,
    pub acked_offset: String,
}

/// `explicit` takes precedence over `glob`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LinkTypeBody {
    Explicit,
    Glob,
}

impl From<LinkKind> for LinkTypeBody {
    fn from(kind: LinkKind) -> Self {
        match kind {
            LinkKind::Explicit => Self::Explicit,
            LinkKind::Glob => Self::Glob,
        }
    }
}

impl SubscriptionReply {
    /// `heads` says where each stream begins and ends, in the order of the subscription's links.
    pub fn new(subscription: &Subscription, heads: &[Option<Head>], signing: Option<SigningBody>) -> Self {
        let config = &subscription.config;
        let (kind, webhook, wake_stream) = match &config.delivery {
            Delivery::Webhook(url) => {
                (KindBody::Webhook, Some(WebhookBody { url: url.as_str().to_owned(), signing }), None)
            }
            Delivery::PullWake(stream) => (KindBody::PullWake, None, Some(stream.to_string())),
        };
        let link = |((path, link), head): ((&StreamName, &Link), &Option<Head>)| LinkReply {
            path: path.to_string(),
            link_type: link.kind().into(),
            acked_offset: Offset::at(link.cursor(*head)).to_string(),
        };
        let wake = subscription.wake.as_ref();
        let pending = subscription.links.values().zip(heads).any(|(link, head)| link.has_pending(*head));
        // Failures are remembered; but where nothing is to be delivered, nothing will be tried.
        let retry = subscription.retry.as_ref().filter(|_| wake.is_some() || pending);
        Self {
            id: subscription.id.to_string(),
            subscription_id: subscription.id.to_string(),
            r#type: kind,
            pattern: config.pattern.as_ref().map(|pattern| pattern.as_str().to_owned()),
            streams: subscription.links.iter().zip(heads).map(link).collect(),
            webhook,
            wake_stream,
            lease_ttl_ms: millis(config.lease_ttl),
            created_at: subscription.created_at.to_string(),
            status: if retry.is_some() { StatusBody::Failed } else { StatusBody::Active },
            description: config.description.clone(),
            generation: subscription.generation,
            holder: wake.and_then(|wake| wake.holder.as_ref()).map(|holder| holder.to_string()),
            lease_until: wake.and_then(|wake| wake.lease_until).map(|until| until.to_string()),
            next_attempt_at: retry.map(|retry| retry.next_attempt_at.to_string()),
            last_error: retry.map(|retry| retry.reason.to_string()),
        }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// A stream in a wake: where to go on, and how far it reaches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StreamReply {
    pub path: String,
    pub link_type: LinkTypeBody,
    pub acked_offset: String,
    pub tail_offset: String,
    pub has_pending: bool,
}

impl StreamReply {
    pub fn new(path: &StreamName, link: &Link, head: Option<Head>) -> Self {
        let cursor = link.cursor(head);
        Self {
            path: path.to_string(),
            link_type: link.kind().into(),
            acked_offset: Offset::at(cursor).to_string(),
            tail_offset: Offset::at(head.map_or(cursor, |head| head.tail)).to_string(),
            has_pending: link.has_pending(head),
        }
    }
}

/// What a webhook receives.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct WakeNotice {
    pub subscription_id: String,
    pub wake_id: String,
    pub generation: u64,
    pub streams: Vec<StreamReply>,
    pub callback_url: String,
    pub callback_token: String,
}

/// What a webhook may answer.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct WakeAnswer {
    /// True acks every tail of the notice and ends the wake.
    #[serde(default)]
    pub done: bool,
}

/// A wake in a wake stream.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct WakeEvent {
    pub r#type: WakeWord,
    pub subscription_id: String,
    pub stream: String,
    pub generation: u64,
    /// Milliseconds since the Unix epoch.
    pub ts: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum WakeWord {
    Wake,
}

/// A worker that wants the wake.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ClaimBody {
    /// 1 to 256 bytes; others are told who holds the lease.
    pub worker: String,
}

/// The wake that a worker holds now.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ClaimReply {
    pub wake_id: String,
    pub generation: u64,
    /// Bearer token for ack and release.
    pub token: String,
    pub streams: Vec<StreamReply>,
    pub lease_ttl_ms: u64,
}

/// How far a worker has come; without `done` it also extends the lease.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AckBody {
    pub wake_id: String,
    pub generation: u64,
    #[serde(default)]
    pub acks: Vec<AckEntry>,
    #[serde(default)]
    pub done: bool,
}

/// Everything in the stream up to the offset is done with.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AckEntry {
    pub stream: String,
    pub offset: String,
}

impl AckBody {
    /// The reason names what is wrong with it.
    pub fn acks(&self) -> Result<Vec<Ack>, String> {
        let ack = |entry: &AckEntry| {
            let stream = stream_path(&entry.stream).map_err(|fault| fault.to_string())?;
            let offset: Offset = entry.offset.parse().map_err(|fault| format!("{}: {fault}", entry.stream))?;
            // An unfinished walk over the newest entities has seen no offset of the log yet.
            match offset.walk_mark {
                0 => Ok(Ack { stream, offset }),
                _ => Err(format!("{}: the offset is of a folded read that is not finished", entry.stream)),
            }
        };
        self.acks.iter().map(ack).collect()
    }
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AckReply {
    pub ok: bool,
    /// Whether work is pending, for which another wake follows.
    pub next_wake: bool,
}

/// Which wake a worker gives back.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReleaseBody {
    pub wake_id: String,
    pub generation: u64,
}

/// The public keys of deliveries. Source: RFC 7517 and RFC 8037.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct JwksReply {
    pub keys: Vec<JwkReply>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct JwkReply {
    pub kty: String,
    pub crv: String,
    pub kid: String,
    pub r#use: String,
    pub alg: String,
    /// The key's 32 bytes in unpadded base64url.
    pub x: String,
}

/// A refusal as the protocol spells it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RefusalReply {
    pub error: RefusalError,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct RefusalError {
    /// Stable; `FENCED`, for example.
    pub code: String,
    /// For people.
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_holder: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
}

/// An entry of a subscription's log: an event, and where the last whole state before it lies.
#[derive(Serialize, Deserialize)]
struct EntryBody {
    base: u64,
    event: EventBody,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum EventBody {
    State(Box<StateBody>),
    Linked { link_type: LinkTypeBody, streams: Vec<(String, u64)> },
    Unlinked { link_type: LinkTypeBody, stream: String },
    Woken { wake_id: String, stream: String, lease_until_ms: Option<u64> },
    Delivered,
    Failed(RetryBody),
    Claimed { worker: String, lease_until_ms: u64 },
    Acked { acks: Vec<(String, u64)>, lease_until_ms: u64 },
    Done { acks: Vec<(String, u64)> },
    Ended,
}

#[derive(Serialize, Deserialize)]
struct StateBody {
    id: String,
    config: SubscriptionBody,
    created_at_ms: u64,
    links: Vec<LinkBody>,
    generation: u64,
    wake: Option<WakeBody>,
    retry: Option<RetryBody>,
}

#[derive(Serialize, Deserialize)]
struct LinkBody {
    path: String,
    explicit: bool,
    glob: bool,
    acked: u64,
}

#[derive(Serialize, Deserialize)]
struct WakeBody {
    id: String,
    stream: String,
    lease_until_ms: Option<u64>,
    holder: Option<String>,
    delivered: bool,
}

#[derive(Serialize, Deserialize)]
struct RetryBody {
    failures: u32,
    next_attempt_at_ms: u64,
    reason: String,
}

impl From<&Config> for SubscriptionBody {
    fn from(config: &Config) -> Self {
        let (kind, webhook, wake_stream) = match &config.delivery {
            Delivery::Webhook(url) => {
                (KindBody::Webhook, Some(WebhookBody { url: url.as_str().to_owned(), signing: None }), None)
            }
            Delivery::PullWake(stream) => (KindBody::PullWake, None, Some(stream.to_string())),
        };
        Self {
            r#type: kind,
            pattern: config.pattern.as_ref().map(|pattern| pattern.as_str().to_owned()),
            streams: Some(config.streams.iter().map(ToString::to_string).collect()),
            webhook,
            wake_stream,
            lease_ttl_ms: Some(millis(config.lease_ttl)),
            description: config.description.clone(),
        }
    }
}

impl From<&Retry> for RetryBody {
    fn from(retry: &Retry) -> Self {
        Self {
            failures: retry.failures,
            next_attempt_at_ms: retry.next_attempt_at.as_millis(),
            reason: retry.reason.to_string(),
        }
    }
}

impl From<RetryBody> for Retry {
    fn from(body: RetryBody) -> Self {
        let next_attempt_at = Timestamp::from_millis(body.next_attempt_at_ms);
        Self { failures: body.failures, next_attempt_at, reason: body.reason.into() }
    }
}

fn pairs(given: &[(StreamName, u64)]) -> Vec<(String, u64)> {
    given.iter().map(|(stream, position)| (stream.to_string(), *position)).collect()
}

fn from_pairs(given: Vec<(String, u64)>) -> Vec<(StreamName, u64)> {
    given.into_iter().map(|(stream, position)| (StreamName::from_log(&stream), position)).collect()
}

impl From<&Event> for EventBody {
    fn from(event: &Event) -> Self {
        match event {
            Event::State(state) => Self::State(Box::new(StateBody::from(&**state))),
            Event::Linked { kind, streams } => Self::Linked { link_type: (*kind).into(), streams: pairs(streams) },
            Event::Unlinked { kind, stream } => {
                Self::Unlinked { link_type: (*kind).into(), stream: stream.to_string() }
            }
            Event::Woken { wake_id, stream, lease_until } => Self::Woken {
                wake_id: wake_id.to_string(),
                stream: stream.to_string(),
                lease_until_ms: lease_until.map(Timestamp::as_millis),
            },
            Event::Delivered => Self::Delivered,
            Event::Failed(retry) => Self::Failed(retry.into()),
            Event::Claimed { worker, lease_until } => {
                Self::Claimed { worker: worker.to_string(), lease_until_ms: lease_until.as_millis() }
            }
            Event::Acked { acks, lease_until } => {
                Self::Acked { acks: pairs(acks), lease_until_ms: lease_until.as_millis() }
            }
            Event::Done { acks } => Self::Done { acks: pairs(acks) },
            Event::Ended => Self::Ended,
        }
    }
}

impl From<&Subscription> for StateBody {
    fn from(state: &Subscription) -> Self {
        let link = |(path, link): (&StreamName, &Link)| LinkBody {
            path: path.to_string(),
            explicit: link.explicit,
            glob: link.glob,
            acked: link.acked,
        };
        let wake = |wake: &Wake| WakeBody {
            id: wake.id.to_string(),
            stream: wake.stream.to_string(),
            lease_until_ms: wake.lease_until.map(Timestamp::as_millis),
            holder: wake.holder.as_ref().map(|holder| holder.to_string()),
            delivered: wake.delivered,
        };
        Self {
            id: state.id.to_string(),
            config: (&*state.config).into(),
            created_at_ms: state.created_at.as_millis(),
            links: state.links.iter().map(link).collect(),
            generation: state.generation,
            wake: state.wake.as_ref().map(wake),
            retry: state.retry.as_ref().map(Into::into),
        }
    }
}

impl StateBody {
    fn into_state(self) -> Result<Subscription, String> {
        let id = SubscriptionId::parse(&self.id).ok_or_else(|| format!("subscription {:?}", self.id))?;
        // What was allowed when it was made stays readable; whether it is delivered to is asked again then.
        let config = self.config.into_config(true).map_err(|fault| fault.to_string())?;
        let mut state = Subscription::new(id, config, Timestamp::from_millis(self.created_at_ms));
        state.links = self
            .links
            .into_iter()
            .map(|link| {
                let name = StreamName::from_log(&link.path);
                (name, Link { explicit: link.explicit, glob: link.glob, acked: link.acked })
            })
            .collect();
        state.generation = self.generation;
        state.wake = self.wake.map(|wake| Wake {
            id: wake.id.into(),
            stream: StreamName::from_log(&wake.stream),
            lease_until: wake.lease_until_ms.map(Timestamp::from_millis),
            holder: wake.holder.map(Arc::from),
            delivered: wake.delivered,
        });
        state.retry = self.retry.map(Into::into);
        Ok(state)
    }
}

impl EventBody {
    fn into_event(self) -> Result<Event, String> {
        let kind = |link_type| match link_type {
            LinkTypeBody::Explicit => LinkKind::Explicit,
            LinkTypeBody::Glob => LinkKind::Glob,
        };
        Ok(match self {
            Self::State(state) => Event::State(Box::new(state.into_state()?)),
            Self::Linked { link_type, streams } => {
                Event::Linked { kind: kind(link_type), streams: from_pairs(streams) }
            }
            Self::Unlinked { link_type, stream } => {
                Event::Unlinked { kind: kind(link_type), stream: StreamName::from_log(&stream) }
            }
            Self::Woken { wake_id, stream, lease_until_ms } => Event::Woken {
                wake_id: wake_id.into(),
                stream: StreamName::from_log(&stream),
                lease_until: lease_until_ms.map(Timestamp::from_millis),
            },
            Self::Delivered => Event::Delivered,
            Self::Failed(retry) => Event::Failed(retry.into()),
            Self::Claimed { worker, lease_until_ms } => {
                Event::Claimed { worker: worker.into(), lease_until: Timestamp::from_millis(lease_until_ms) }
            }
            Self::Acked { acks, lease_until_ms } => {
                Event::Acked { acks: from_pairs(acks), lease_until: Timestamp::from_millis(lease_until_ms) }
            }
            Self::Done { acks } => Event::Done { acks: from_pairs(acks) },
            Self::Ended => Event::Ended,
        })
    }
}

/// The log's form of an event. `base` is where the last whole state before it lies.
pub fn write_entry(event: &Event, base: u64) -> String {
    serde_json::to_string(&EntryBody { base, event: event.into() }).expect("maps with text keys are JSON")
}

/// Reads back what [`write_entry`] wrote, with its base. The reason names what is wrong with it.
pub fn read_entry(text: &str) -> Result<(Event, u64), String> {
    let body: EntryBody = serde_json::from_str(text).map_err(|e| e.to_string())?;
    Ok((body.event.into_event()?, body.base))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: &str) -> Result<Config, ConfigFault> {
        serde_json::from_str::<SubscriptionBody>(text).unwrap().into_config(false)
    }

    fn subscription() -> Subscription {
        let text = r#"{"type":"webhook","pattern":"/events/*","streams":["b","/a","a"],
            "webhook":{"url":"https://Worker.example:443/x"},"wake_stream":null,"lease_ttl_ms":1000,"description":"d"}"#;
        let mut made =
            Subscription::new(SubscriptionId::parse("s").unwrap(), body(text).unwrap(), Timestamp::from_millis(7));
        made.apply(&Event::Linked { kind: LinkKind::Glob, streams: vec![(StreamName::from_log("events/ä"), 3)] });
        made
    }

    #[test]
    fn a_configuration_is_normalised() {
        let config = subscription().config;
        assert_eq!(config.streams.iter().map(StreamName::as_str).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(config.pattern.as_ref().map(Pattern::as_str), Some("events/*"));
        let Delivery::Webhook(url) = &config.delivery else { panic!("{config:?}") };
        assert_eq!(url.as_str(), "https://worker.example/x");
    }

    #[test]
    fn what_a_type_needs_must_be_there() {
        let missing = |text| matches!(body(text), Err(ConfigFault::Missing(_)));
        assert!(missing(r#"{"type":"webhook","pattern":"a"}"#));
        assert!(missing(r#"{"type":"pull-wake","pattern":"a"}"#));
        assert!(missing(r#"{"type":"pull-wake","pattern":"a","wake_stream":""}"#));
        assert_eq!(body(r#"{"type":"pull-wake","wake_stream":"w","streams":[]}"#), Err(ConfigFault::NoStreams));
        assert!(serde_json::from_str::<SubscriptionBody>(r#"{"type":"push","pattern":"a"}"#).is_err());
    }

    #[test]
    fn entries_read_back_as_written() {
        let name = || StreamName::from_log("a");
        let (at, id) = (Timestamp::from_millis(9), || Arc::<str>::from("w_1"));
        let mut held = subscription();
        let mut events = vec![
            Event::State(Box::new(held.clone())),
            Event::Unlinked { kind: LinkKind::Explicit, stream: name() },
            Event::Woken { wake_id: id(), stream: name(), lease_until: Some(at) },
            Event::Claimed { worker: Arc::from("x"), lease_until: at },
            Event::Acked { acks: vec![(name(), 5)], lease_until: at },
            Event::Failed(Retry { failures: 2, next_attempt_at: at, reason: Arc::from("refused") }),
        ];
        events.iter().for_each(|event| held.apply(event));
        events.extend([
            Event::State(Box::new(held)),
            Event::Linked { kind: LinkKind::Explicit, streams: vec![(name(), u64::MAX)] },
            Event::Done { acks: vec![(name(), 5)] },
            Event::Delivered,
            Event::Ended,
        ]);
        for event in events {
            let text = write_entry(&event, 41);
            assert_eq!(read_entry(&text), Ok((event, 41)), "{text}");
        }
        assert!(read_entry(r#"{"base":0,"event":{"kind":"unheard-of"}}"#).is_err());
    }

    #[test]
    fn an_ack_of_an_unfinished_folded_read_is_refused() {
        let body = |offset: &str| AckBody {
            wake_id: String::new(),
            generation: 1,
            acks: vec![AckEntry { stream: "a".into(), offset: offset.into() }],
            done: false,
        };
        assert!(body("0000000000000002_0000000000000000").acks().is_ok());
        assert!(body("0000000000000002_0000000000000009").acks().is_err());
        assert!(body("-1").acks().is_err() && body("now").acks().is_err());
    }
}
