//! The Rust client: its watch, and its view, which says at rest what it holds.

use std::time::Duration;

use keyfold::client::{Backoff, Client, Entity, WatchEvent, WatchOptions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::{Reader, entities};

const QUICK: Backoff = Backoff { base: Duration::from_millis(5), max: Duration::from_millis(40) };

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Job {
    id: String,
    n: u64,
}

impl Entity for Job {
    const TYPE: &str = "job";
    const PRIMARY_KEY: &str = "id";

    fn key(&self) -> String {
        self.id.clone()
    }
}

pub async fn watch(mut reader: Reader) -> Result<(), String> {
    let client = Client::new(&reader.server.url()).map_err(|e| e.to_string())?;
    let stream = client.stream(crate::server::STREAM);
    let mut after = None;
    while !reader.is_done() {
        if after.is_none() {
            reader.forget();
        }
        let owed = reader.owed();
        let mut watch = stream.watch(WatchOptions {
            entity_type: reader.filter.entity_type.clone(),
            key: reader.filter.key.clone(),
            key_prefix: reader.filter.key_prefix.clone(),
            after: after.clone(),
            backoff: QUICK,
        });
        // A watch is given up after some events, and another one goes on where it was.
        let patience = reader.rng.usize(1..400);
        let asked_at_rest = reader.end.borrow().is_some();
        for _ in 0..patience {
            if reader.is_done() || (reader.has_heard_all() && !asked_at_rest) {
                break;
            }
            // At rest there is nothing to be told; whether the writers are done is looked at again.
            let Ok(event) = timeout(Duration::from_millis(300), watch.next()).await else { continue };
            match event.map_err(|e| e.to_string())?.ok_or("the watch ended")? {
                WatchEvent::Change { change, .. } => {
                    let message = serde_json::to_value(&change).map_err(|e| e.to_string())?;
                    reader.take(&message)?;
                }
                WatchEvent::Ready { offset } => reader.mark_owing(&offset.ok_or("ready without offset")?, &owed)?,
                WatchEvent::Reset => reader.forget(),
                WatchEvent::Disconnected { .. } => {}
            }
            if matches!(reader.temper().sip, Some((bytes, _)) if bytes < 20) {
                reader.rest().await;
            }
        }
        after = watch.resume_from().map(str::to_owned);
    }
    Ok(())
}

/// A view tells no offsets; at rest it must come to hold what the writers were told of its type.
pub async fn view(mut reader: Reader) -> Result<(), String> {
    reader.filter.entity_type = Some(Job::TYPE.to_owned());
    let client = Client::new(&reader.server.url()).map_err(|e| e.to_string())?;
    let mut view = client.stream(crate::server::STREAM).view::<Job>();
    timeout(Duration::from_secs(20), view.ready())
        .await
        .map_err(|_| "not ready in 20 s")?
        .map_err(|e| e.to_string())?;
    let tail = loop {
        if let Some(tail) = reader.end.borrow().clone() {
            break tail;
        }
        reader.rest().await;
    };
    // The list is another door to the same fold, and is itself held against the writers' word elsewhere.
    let (_, listed) = entities::listing(&mut reader, Job::TYPE, "").await?;
    let wanted: Vec<(String, u64)> = listed.into_iter().collect();
    let holds_it = view.wait_until(|view| view.iter().map(|(key, job)| (key, job.n)).eq(wanted.iter().cloned()));
    // Where it never does, the oracle says what differs.
    timeout(Duration::from_secs(20), holds_it).await.unwrap_or(Ok(())).map_err(|e| e.to_string())?;
    if !view.faults().is_empty() {
        return Err(format!("entities that do not fit: {:?}", view.faults()));
    }
    reader.state = view.iter().map(|(key, job)| ((Job::TYPE.to_owned(), key), job.n)).collect();
    reader.mark(&tail)
}
