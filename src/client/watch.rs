//! Following a stream's changes over Server-Sent Events, across cuts.
//!
//! It decides where to resume and when to try again; what the changes mean is left to the reader, and how they are
//! folded to [`super::EntityView`]. Its invariant: between two `Ready` events no change is lost but those that a newer
//! change of the same entity superseded. Nothing is read ahead: a reader that does not ask makes the server wait.

use std::time::Duration;

use eventsource_stream::{Event, EventStreamError, Eventsource};
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, stream};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use tokio::time::{Instant, sleep_until};

use super::{Backoff, Change, ClientError, StreamHandle, url};

/// Which changes to follow, and from where.
#[derive(Clone, Debug, Default)]
pub struct WatchOptions {
    /// Only entities of this type.
    pub entity_type: Option<String>,
    /// Only this entity.
    pub key: Option<String>,
    /// Only entities whose key begins so.
    pub key_prefix: Option<String>,
    /// Only what changed after this offset; otherwise a snapshot of what is live comes first.
    pub after: Option<String>,
    pub backoff: Backoff,
}

/// What a follower is told.
#[derive(Clone, Debug)]
pub enum WatchEvent {
    /// One entity changed. `offset` is where to resume after it.
    Change { change: Change, offset: String },
    /// Everything up to this offset has been told: state is now what the log folds to.
    Ready { offset: Option<String> },
    /// History from the last offset is gone: forget everything; a snapshot follows.
    Reset,
    /// The connection was lost. The next call tries again, after `retry_in`.
    Disconnected { reason: String, retry_in: Duration },
}

/// A subscription that is driven by asking for its next event.
pub struct Watch {
    stream: StreamHandle,
    options: WatchOptions,
    /// Where to resume.
    last_id: Option<String>,
    connection: Option<Connection>,
    /// Failed connections since the last event.
    failures: u32,
    /// When to try again.
    wait: Option<Instant>,
}

type Connection = BoxStream<'static, Result<Event, EventStreamError<reqwest::Error>>>;

#[derive(Deserialize)]
struct ReadyData {
    offset: String,
}

impl Watch {
    pub(super) fn new(stream: StreamHandle, options: WatchOptions) -> Self {
        let last_id = options.after.clone();
        Self { stream, options, last_id, connection: None, failures: 0, wait: None }
    }

    /// The next event; `None` once the stream is closed and everything has been told.
    ///
    /// Fails where trying again cannot help: no such stream, no permission, an event that is not understood. Dropping
    /// the future loses no event, but begins an unfinished connection again: beside a timer, use
    /// [`Watch::into_stream`].
    pub async fn next(&mut self) -> Result<Option<WatchEvent>, ClientError> {
        loop {
            if let Some(moment) = self.wait {
                sleep_until(moment).await;
                self.wait = None;
            }
            let connection = match &mut self.connection {
                Some(connection) => connection,
                None => match self.connect().await {
                    Ok(Some(connection)) => self.connection.insert(connection),
                    Ok(None) => return Ok(None),
                    Err(error) if error.is_transient() => {
                        return Ok(Some(self.disconnected(&error, None)));
                    }
                    Err(error) => return Err(error),
                },
            };
            match connection.next().await {
                Some(Ok(event)) => {
                    self.failures = 0;
                    if let Some(told) = self.understand(event)? {
                        return Ok(Some(told));
                    }
                }
                Some(Err(EventStreamError::Transport(cause))) => {
                    let error = ClientError::transport(self.stream.client().base_url(), cause);
                    return Ok(Some(self.disconnected(&error, None)));
                }
                Some(Err(cause)) => return Err(ClientError::Answer(cause.to_string())),
                None => return Ok(Some(self.disconnected(&"the server ended the response", None))),
            }
        }
    }

    /// The events as a stream, which ends after an error. Dropping the future of its next event loses nothing.
    pub fn into_stream(self) -> impl Stream<Item = Result<WatchEvent, ClientError>> + Send {
        stream::unfold(Some(self), |watch| async {
            let mut watch = watch?;
            match watch.next().await {
                Ok(event) => Some((Ok(event?), Some(watch))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    /// Where a later watch can go on from, as [`WatchOptions::after`].
    pub fn resume_from(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// `None` where the server says that there is nothing left to follow.
    async fn connect(&mut self) -> Result<Option<Connection>, ClientError> {
        let query = [
            ("type", self.options.entity_type.as_deref()),
            ("key", self.options.key.as_deref()),
            ("key_prefix", self.options.key_prefix.as_deref()),
        ];
        let path = url::with_query(&self.stream.resource("events")?, query);
        let client = self.stream.client();
        let mut request = client.request(Method::GET, &path).header(ACCEPT, "text/event-stream");
        if let Some(id) = &self.last_id {
            request = request.header("Last-Event-ID", id);
        }
        let response = client.send(request).await?;
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if !content_type.is_some_and(|text| text.starts_with("text/event-stream")) {
            return Err(ClientError::Answer(format!("expected an event stream, got {content_type:?}")));
        }
        Ok(Some(response.bytes_stream().eventsource().boxed()))
    }

    /// Events with other names are for other readers.
    fn understand(&mut self, event: Event) -> Result<Option<WatchEvent>, ClientError> {
        if !event.id.is_empty() {
            self.last_id = Some(event.id.clone());
        }
        Ok(match event.event.as_str() {
            "message" => {
                let change = serde_json::from_str(&event.data).map_err(|cause| {
                    ClientError::Answer(format!("an event at {:?} is not a change: {cause}", event.id))
                })?;
                Some(WatchEvent::Change { change, offset: event.id })
            }
            "ready" => {
                let offset = serde_json::from_str(&event.data).ok().map(|data: ReadyData| data.offset);
                self.last_id = offset.clone().or(self.last_id.take());
                Some(WatchEvent::Ready { offset })
            }
            "reset" => Some(WatchEvent::Reset),
            _ => None,
        })
    }

    fn disconnected(&mut self, reason: &dyn std::fmt::Display, asked: Option<Duration>) -> WatchEvent {
        self.connection = None;
        let retry_in = self.options.backoff.delay(self.failures, asked);
        self.failures += 1;
        self.wait = Some(Instant::now() + retry_in);
        WatchEvent::Disconnected { reason: reason.to_string(), retry_in }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scripted::{Reply, Script};
    use super::*;

    const EVENT_STREAM: (&str, &str) = ("content-type", "text/event-stream");

    fn quick() -> WatchOptions {
        let backoff = Backoff { base: Duration::from_millis(1), max: Duration::from_millis(5) };
        WatchOptions { entity_type: Some("job".into()), backoff, ..WatchOptions::default() }
    }

    async fn tell(watch: &mut Watch) -> String {
        match watch.next().await {
            Ok(Some(WatchEvent::Change { change, offset })) => {
                format!("{} at {offset}", change.key)
            }
            Ok(Some(WatchEvent::Ready { offset })) => format!("ready at {}", offset.unwrap()),
            Ok(Some(WatchEvent::Reset)) => "reset".into(),
            Ok(Some(WatchEvent::Disconnected { .. })) => "cut".into(),
            Ok(None) => "end".into(),
            Err(error) => error.to_string(),
        }
    }

    #[tokio::test]
    async fn a_cut_subscription_resumes_after_the_last_event() {
        let first = ": hello\n\nid: 1\ndata: {\"type\":\"job\",\"key\":\"a\",\"headers\":{\"operation\":\"delete\"}}\n\n\
                     event: ready\ndata: {\"offset\":\"2\"}\n\nid: 3\ndata: {\"type\":\"jo";
        let second = "id: 3\ndata: {\"type\":\"job\",\"key\":\"b\",\"headers\":{\"operation\":\"delete\"}}\n\n";
        let (script, client) = Script::start([
            Reply(200, vec![EVENT_STREAM], first),
            Reply(503, vec![], ""),
            Reply(200, vec![EVENT_STREAM], second),
            Reply(204, vec![], ""),
        ])
        .await;
        let mut watch = client.stream("acme/jobs").watch(quick());
        let mut told = Vec::new();
        while told.last().is_none_or(|last| last != "end") {
            told.push(tell(&mut watch).await);
        }
        assert_eq!(told, ["a at 1", "ready at 2", "cut", "cut", "b at 3", "cut", "end"]);
        let asked = script.asked();
        let ids: Vec<_> = asked.iter().map(|request| request.header("last-event-id")).collect();
        assert_eq!(ids, [None, Some("2"), Some("2"), Some("3")]);
        assert_eq!(asked[0].target, "/v1/state/acme/jobs/-/events?type=job");
    }

    #[tokio::test]
    async fn a_lasting_refusal_ends_the_subscription() {
        let (_, client) = Script::start([Reply(404, vec![], "")]).await;
        assert_eq!(tell(&mut client.stream("jobs").watch(quick())).await, "404 Not Found");
    }

    #[tokio::test]
    async fn what_is_no_event_stream_is_not_read_as_one() {
        let (_, client) = Script::start([Reply(200, vec![("content-type", "text/html")], "<html>")]).await;
        assert!(tell(&mut client.stream("jobs").watch(quick())).await.contains("expected an event stream"));
    }
}
