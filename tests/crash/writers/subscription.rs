//! A subscription and its only worker: appends, claims, acks, and ends it now and then.

use fastrand::Rng;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::Writer;
use crate::http::{Cut, Http, JSON};

/// What the worker was told.
#[derive(Clone, Debug, Default)]
struct Known {
    exists: bool,
    /// The highest generation it was given.
    generation: u64,
    /// Where its stream is acked; empty while it was not told.
    acked: String,
}

/// Works on one subscription over one stream.
#[derive(Default)]
pub struct Worker {
    known: Known,
    /// What the unanswered call would make of it.
    perhaps: Option<Known>,
}

impl Worker {
    const STREAM: &str = "subscribed/in";
    const WAKES: &str = "subscribed/wakes";
    const SUBSCRIPTION: &str = "/v1/stream/__ds/subscriptions/crash";

    async fn turn(&mut self, http: &Http, rng: &mut Rng) -> Result<(), Cut> {
        if !self.known.exists {
            return self.make(http).await;
        }
        match rng.u8(..) {
            0..20 => {
                self.perhaps = Some(Known::default());
                http.send("DELETE", Self::SUBSCRIPTION, &[], "").await?.expect(&[204]);
                self.known = self.perhaps.take().expect("it was just set");
                Ok(())
            }
            20..130 => {
                http.json("POST", &format!("/v1/stream/{}", Self::STREAM), &json!([1])).await?.expect(&[204]);
                Ok(())
            }
            _ => self.work(http, rng).await,
        }
    }

    async fn make(&mut self, http: &Http) -> Result<(), Cut> {
        for stream in [Self::STREAM, Self::WAKES] {
            http.send("PUT", &format!("/v1/stream/{stream}"), &[JSON], "").await?.expect(&[200, 201]);
        }
        self.perhaps = Some(Known { exists: true, ..Known::default() });
        let asked = json!({"type": "pull-wake", "streams": [Self::STREAM], "wake_stream": Self::WAKES,
            "lease_ttl_ms": 1000});
        http.json("PUT", Self::SUBSCRIPTION, &asked).await?.expect(&[201]);
        self.known = self.perhaps.take().expect("it was just set");
        Ok(())
    }

    /// Claims what is pending and acks it.
    async fn work(&mut self, http: &Http, rng: &mut Rng) -> Result<(), Cut> {
        let claim = http.json("POST", &format!("{}/claim", Self::SUBSCRIPTION), &json!({"worker": "w"})).await?;
        let claim = claim.expect(&[200, 409]);
        if claim.status == 409 {
            // Nothing is pending, or a claim whose answer was lost still holds.
            return Ok(());
        }
        let wake = claim.json();
        let generation = wake["generation"].as_u64().expect("a number");
        assert!(generation > self.known.generation, "a generation is given twice: {wake} after {:?}", self.known);
        self.known.generation = generation;
        let link = &wake["streams"][0];
        let acked = link["acked_offset"].as_str().expect("an offset").to_owned();
        assert!(self.known.acked.is_empty() || acked == self.known.acked, "{wake} after {:?}", self.known);
        let tail = link["tail_offset"].as_str().expect("an offset").to_owned();
        self.known.acked = acked;
        self.perhaps = Some(Known { acked: tail.clone(), ..self.known.clone() });
        let ack = json!({"wake_id": wake["wake_id"], "generation": generation, "done": rng.bool(),
            "acks": [{"stream": Self::STREAM, "offset": tail}]});
        let token = format!("Bearer {}", wake["token"].as_str().expect("a token"));
        let headers = [JSON, ("authorization", token.as_str())];
        let reply = http.send("POST", &format!("{}/ack", Self::SUBSCRIPTION), &headers, ack.to_string()).await?;
        // On a slow machine the lease may be over by then.
        match reply.expect(&[200, 409]).status {
            200 => self.known = self.perhaps.take().expect("it was just set"),
            _ => self.perhaps = None,
        }
        Ok(())
    }

    async fn compare(&mut self, http: &Http) {
        let reply = http.get(Self::SUBSCRIPTION).await.expect(&[200, 404]);
        let perhaps = self.perhaps.take();
        let expected: Vec<&Known> = [&self.known].into_iter().chain(&perhaps).collect();
        let exists = reply.status == 200;
        let Some(known) = expected.iter().find(|known| agrees(known, exists, &reply.json())) else {
            panic!("{reply:?}\ninstead of one of {expected:?}");
        };
        self.known = Known { exists, ..Known::clone(known) };
    }
}

fn agrees(known: &Known, exists: bool, told: &Value) -> bool {
    if !known.exists || !exists {
        return known.exists == exists;
    }
    let generation = told["generation"].as_u64().expect("a number");
    let acked = told["streams"][0]["acked_offset"].as_str().expect("an offset");
    generation >= known.generation && (known.acked.is_empty() || acked == known.acked)
}

impl Writer for Worker {
    fn step<'a>(&'a mut self, http: &'a Http, rng: &'a mut Rng) -> BoxFuture<'a, Result<(), Cut>> {
        self.turn(http, rng).boxed()
    }

    fn check<'a>(&'a mut self, http: &'a Http, _: &'a mut Rng) -> BoxFuture<'a, ()> {
        self.compare(http).boxed()
    }
}
