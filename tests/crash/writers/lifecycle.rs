//! Streams that come and go: created, appended to, closed, deleted, created again under the same name.

use fastrand::Rng;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::{Writer, padding};
use crate::http::{Cut, Http, JSON, Reply};
use crate::told::Highest;

/// What a name stands for.
#[derive(Clone, Debug, PartialEq)]
enum Known {
    Absent,
    Live { messages: Vec<Value>, closed: bool },
}

const FRESH: Known = Known::Live { messages: Vec::new(), closed: false };

/// One name, again and again.
pub struct Lifecycle {
    stream: String,
    now: Known,
    /// What the unanswered write would make of it.
    perhaps: Option<Known>,
    /// The highest offset that the name ever told.
    highest: Highest,
    next: u64,
    /// Messages take a whole segment, so that segments hold little else.
    large: bool,
}

impl Lifecycle {
    pub fn new(id: &str) -> Self {
        let stream = format!("comes-and-goes/{id}");
        Self { stream, now: Known::Absent, perhaps: None, highest: Highest::default(), next: 0, large: false }
    }

    pub fn large(id: &str) -> Self {
        Self { large: true, ..Self::new(id) }
    }

    fn url(&self) -> String {
        format!("/v1/stream/{}", self.stream)
    }

    /// Makes a write that turns the name into `then`.
    async fn turn(
        &mut self,
        http: &Http,
        method: &str,
        headers: &[(&str, &str)],
        body: String,
        then: Known,
    ) -> Result<Reply, Cut> {
        self.perhaps = Some(then);
        let reply = http.send(method, &self.url(), headers, body).await?;
        self.now = self.perhaps.take().expect("it was just set");
        Ok(reply)
    }

    async fn write(&mut self, http: &Http, rng: &mut Rng) -> Result<(), Cut> {
        let closes = ("stream-closed", "true");
        match self.now.clone() {
            Known::Absent => {
                http.send("POST", &self.url(), &[JSON], "[1]").await?.expect(&[404, 410]);
                let reply = self.turn(http, "PUT", &[JSON], String::new(), FRESH).await?.expect(&[201]);
                self.highest.told(&self.stream, &reply.next_offset(), true);
            }
            Known::Live { .. } if rng.u8(..) < 50 => {
                self.turn(http, "DELETE", &[], String::new(), Known::Absent).await?.expect(&[204]);
            }
            Known::Live { closed: true, .. } => {
                http.send("POST", &self.url(), &[JSON], "[1]").await?.expect(&[409]);
            }
            Known::Live { messages, .. } if rng.u8(..) < 30 => {
                let then = Known::Live { messages, closed: true };
                let reply = self.turn(http, "POST", &[closes], String::new(), then).await?.expect(&[204]);
                self.highest.told(&self.stream, &reply.next_offset(), true);
            }
            Known::Live { mut messages, .. } => {
                let padding = if self.large { "x".repeat(rng.usize(30_000..90_000)) } else { padding(rng) };
                let message = json!({"n": self.next, "padding": padding});
                self.next += 1;
                let body = json!([message]).to_string();
                messages.push(message);
                let closed = rng.u8(..) < 30;
                let headers = [JSON, closes];
                let headers = if closed { &headers[..] } else { &headers[..1] };
                let then = Known::Live { messages, closed };
                let reply = self.turn(http, "POST", headers, body, then).await?.expect(&[204]);
                self.highest.told(&self.stream, &reply.next_offset(), false);
            }
        }
        Ok(())
    }

    async fn compare(&mut self, http: &Http) {
        let head = http.send("HEAD", &self.url(), &[], "").await.expect("the server is up");
        let found = match head.status {
            404 | 410 => Known::Absent,
            200 => {
                let (messages, tail) = http.messages(&self.stream, "-1").await;
                assert!(
                    tail >= self.highest.0,
                    "{}: an offset is used again: {tail} after {}",
                    self.stream,
                    self.highest.0
                );
                Known::Live { messages, closed: head.header("stream-closed") == "true" }
            }
            _ => panic!("{head:?}"),
        };
        let allowed = found == self.now || self.perhaps.as_ref() == Some(&found);
        assert!(allowed, "{}: {found:?}\ninstead of {:?}\nor perhaps {:?}", self.stream, self.now, self.perhaps);
        (self.now, self.perhaps) = (found, None);
    }
}

impl Writer for Lifecycle {
    fn step<'a>(&'a mut self, http: &'a Http, rng: &'a mut Rng) -> BoxFuture<'a, Result<(), Cut>> {
        self.write(http, rng).boxed()
    }

    fn check<'a>(&'a mut self, http: &'a Http, _: &'a mut Rng) -> BoxFuture<'a, ()> {
        self.compare(http).boxed()
    }
}
