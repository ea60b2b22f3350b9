//! A stream and its fork, both written to, deleted and made again.

use fastrand::Rng;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::{Writer, padding};
use crate::http::{Cut, Http, JSON};

/// What a name stands for.
#[derive(Clone, Debug, Default, PartialEq)]
enum Known {
    #[default]
    Absent,
    Live(Vec<Value>),
    /// Deleted, and kept for its fork.
    Kept,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Pair {
    source: Known,
    fork: Known,
}

/// One source with at most one fork.
pub struct Fork {
    id: &'static str,
    now: Pair,
    /// What the unanswered write would make of it.
    perhaps: Option<Pair>,
    next: u64,
}

impl Fork {
    pub fn new(id: &'static str) -> Self {
        Self { id, now: Pair::default(), perhaps: None, next: 0 }
    }

    fn path(&self, name: &str) -> String {
        format!("/v1/stream/forks/{}/{name}", self.id)
    }

    fn message(&mut self, rng: &mut Rng) -> Value {
        self.next += 1;
        json!({"n": self.next, "padding": padding(rng)})
    }

    async fn write(&mut self, http: &Http, rng: &mut Rng) -> Result<(), Cut> {
        let (source, fork) = (self.path("source"), self.path("fork"));
        let message = self.message(rng);
        let body = json!([message]).to_string();
        let forked = [JSON, ("stream-forked-from", source.as_str())];
        let then = self.now.clone();
        let (method, path, headers, body, then, statuses) = match (then.source, then.fork) {
            (Known::Absent, fork) => {
                ("PUT", &source, &[JSON][..], body, Pair { source: Known::Live(vec![message]), fork }, [201, 201])
            }
            (Known::Live(messages), Known::Absent) if rng.u8(..) < 120 => {
                let then = Pair { source: Known::Live(messages.clone()), fork: Known::Live(messages) };
                ("PUT", &fork, &forked[..], String::new(), then, [201, 201])
            }
            (source_is, Known::Live(_)) if rng.u8(..) < 60 => {
                let source = if source_is == Known::Kept { Known::Absent } else { source_is };
                ("DELETE", &fork, &[][..], String::new(), Pair { source, fork: Known::Absent }, [204, 204])
            }
            (Known::Live(_), fork) if rng.u8(..) < 60 => {
                let kept = if fork == Known::Absent { Known::Absent } else { Known::Kept };
                ("DELETE", &source, &[][..], String::new(), Pair { source: kept, fork }, [204, 204])
            }
            (source_is, Known::Live(mut messages)) => {
                messages.push(message);
                let then = Pair { source: source_is, fork: Known::Live(messages) };
                ("POST", &fork, &[JSON][..], body, then, [200, 204])
            }
            (Known::Live(mut messages), fork) => {
                messages.push(message);
                ("POST", &source, &[JSON][..], body, Pair { source: Known::Live(messages), fork }, [200, 204])
            }
            (Known::Kept, _) => unreachable!("nothing is kept but for a fork"),
        };
        self.perhaps = Some(then);
        http.send(method, path, headers, body).await?.expect(&statuses);
        self.now = self.perhaps.take().expect("it was just set");
        Ok(())
    }

    async fn found(&self, http: &Http, name: &str) -> Known {
        let head = http.send("HEAD", &self.path(name), &[], "").await.expect("the server is up");
        match head.status {
            404 => Known::Absent,
            410 => Known::Kept,
            200 => Known::Live(http.messages(&format!("forks/{}/{name}", self.id), "-1").await.0),
            _ => panic!("{head:?}"),
        }
    }

    async fn compare(&mut self, http: &Http) {
        let found = Pair { source: self.found(http, "source").await, fork: self.found(http, "fork").await };
        let allowed = found == self.now || self.perhaps.as_ref() == Some(&found);
        assert!(allowed, "{}: {found:?}\ninstead of {:?}\nor perhaps {:?}", self.id, self.now, self.perhaps);
        (self.now, self.perhaps) = (found, None);
    }
}

impl Writer for Fork {
    fn step<'a>(&'a mut self, http: &'a Http, rng: &'a mut Rng) -> BoxFuture<'a, Result<(), Cut>> {
        self.write(http, rng).boxed()
    }

    fn check<'a>(&'a mut self, http: &'a Http, _: &'a mut Rng) -> BoxFuture<'a, ()> {
        self.compare(http).boxed()
    }
}
