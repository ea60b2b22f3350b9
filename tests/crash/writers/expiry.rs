//! Streams with a moment at which they end, whether or not a server runs then.

use std::time::Duration;

use fastrand::Rng;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use keyfold::model::Timestamp;
use keyfold::runtime::Clock;
use serde_json::{Value, json};

use super::{Writer, padding};
use crate::http::{Cut, Http, JSON};

struct Short {
    name: String,
    ends: Timestamp,
    message: Value,
    acked: bool,
    seen_gone: bool,
}

/// Makes streams that live for some tenths of a second.
#[derive(Default)]
pub struct Expiry {
    next: u64,
    streams: Vec<Short>,
}

impl Expiry {
    /// More of them are not looked at again.
    const KEPT: usize = 20;

    async fn make(&mut self, http: &Http, rng: &mut Rng) -> Result<(), Cut> {
        if !self.streams.is_empty() && rng.bool() {
            let at = rng.usize(..self.streams.len());
            look(&mut self.streams[at], http).await?;
            // A pause, or there would be more streams than anything else.
            tokio::time::sleep(Duration::from_millis(rng.u64(..10))).await;
            return Ok(());
        }
        self.next += 1;
        let name = format!("/v1/stream/short/{}", self.next);
        let ends = now().after(Duration::from_millis(rng.u64(30..900)));
        let message = json!({"n": self.next, "padding": padding(rng)});
        let body = json!([message]).to_string();
        if self.streams.len() == Self::KEPT {
            self.streams.remove(0);
        }
        let ends_at = ends.to_string();
        self.streams.push(Short { name: name.clone(), ends, message, acked: false, seen_gone: false });
        let reply = http.send("PUT", &name, &[JSON, ("stream-expires-at", &ends_at)], body).await?;
        // One that ends before it could be told of is answered as any that is gone.
        let acked = reply.expect(&[201, 404]).status == 201;
        assert!(acked || now() >= ends, "{name} was refused");
        self.streams.last_mut().expect("it was just pushed").acked = acked;
        Ok(())
    }
}

/// The server's clock is ours.
fn now() -> Timestamp {
    Clock::system().now()
}

/// Reads the stream, which must be there before its moment and never after it.
async fn look(short: &mut Short, http: &Http) -> Result<(), Cut> {
    let before = now();
    let reply = http.send("GET", &format!("{}?offset=-1", short.name), &[], "").await?.expect(&[200, 404, 410]);
    let there = reply.status == 200;
    assert!(!there || before < short.ends, "{} is there after its end", short.name);
    assert!(!there || !short.seen_gone, "{} is back", short.name);
    assert!(there || !short.acked || now() >= short.ends, "{} is gone before its end", short.name);
    assert!(!there || reply.json() == json!([short.message]), "{}: {reply:?}", short.name);
    short.seen_gone |= !there;
    Ok(())
}

impl Writer for Expiry {
    fn step<'a>(&'a mut self, http: &'a Http, rng: &'a mut Rng) -> BoxFuture<'a, Result<(), Cut>> {
        self.make(http, rng).boxed()
    }

    fn check<'a>(&'a mut self, http: &'a Http, _: &'a mut Rng) -> BoxFuture<'a, ()> {
        async move {
            for short in &mut self.streams {
                look(short, http).await.expect("the server is up");
            }
        }
        .boxed()
    }
}
