//! A name that is deleted and made again: who holds entities of the former stream is told to forget them.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use fastrand::Rng;
use keyfold::config::StoreKind;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::case::whole_log_from;
use crate::oracle::{Ledger, position_of};
use crate::readers::{self, Path, Reader};
use crate::server::{Server, Shape};
use crate::writers::{self, Writer};

/// Ways of reading that know how to say it.
const PATHS: [Path; 5] = [Path::FoldedPages, Path::FoldedLongPoll, Path::FoldedSse, Path::Events, Path::Snapshot];

pub async fn name_is_told(seed: u64) -> Result<(), String> {
    let mut rng = Rng::with_seed(seed);
    let (store, segment_bytes, stream_idle_ms) = (StoreKind::Journal, 64 << 10, 300_000);
    let page_bytes_max = rng.usize(200..2_000);
    let server = Arc::new(Server::start(Shape { store, segment_bytes, page_bytes_max, stream_idle_ms }).await);
    server.register().await;
    let (held, numbers) = (Arc::new(Ledger::default()), Arc::new(AtomicU64::new(1)));
    let (tell_end, end) = watch::channel(None);
    let mut following = JoinSet::new();
    for (nth, path) in PATHS.into_iter().cycle().take(2 * PATHS.len()).enumerate() {
        // The first five drop their connections, the others are slow.
        let temper = 1 + nth / PATHS.len();
        let reader = Reader::new(temper, path, 0, server.clone(), held.clone(), end.clone(), rng.fork());
        following.spawn(readers::follow(path, reader));
    }
    let mut former = Vec::new();
    for nth in 0..3 {
        if nth > 0 {
            let deleted = server.stream("DELETE", "").answer().await.map_err(|e| e.to_string())?;
            if deleted.status != 204 {
                return Err(format!("deleting: {deleted:?}"));
            }
            sleep(Duration::from_millis(rng.u64(0..30))).await;
        }
        former.push(one_stream(&server, &numbers, &mut rng).await?);
    }
    tell_end.send_replace(Some(server.tail().await?));
    let all_followed = async {
        while let Some(reader) = following.join_next().await {
            reader.map_err(|e| e.to_string())??;
        }
        Ok::<_, String>(())
    };
    timeout(Duration::from_secs(30), all_followed).await.map_err(|_| "a reader did not reach the end in 30 s")??;
    // Each mark belongs to the stream that stood under the name at its offset.
    for mark in held.take_marks() {
        let position = position_of(&mark.offset)?;
        let of = former.iter().rev().find(|stream| stream.first <= position);
        match of {
            Some(stream) => stream.ledger.marked(mark),
            None => return Err(format!("{} has a mark before the first stream: {}", mark.reader, mark.offset)),
        }
    }
    server.stop().await;
    former.iter().try_for_each(|stream| stream.ledger.settle(&stream.log, stream.first).map(drop))
}

/// One stream of the name, written to its end.
struct Former {
    first: u64,
    ledger: Arc<Ledger>,
    log: Vec<crate::oracle::Change>,
}

async fn one_stream(server: &Arc<Server>, numbers: &Arc<AtomicU64>, rng: &mut Rng) -> Result<Former, String> {
    let made = server.stream("PUT", "").header("Stream-Schema", "eq").answer().await.map_err(|e| e.to_string())?;
    if made.status != 201 {
        return Err(format!("making the stream: {made:?}"));
    }
    let ledger = Arc::new(Ledger::default());
    let first = writers::found(server, &ledger, numbers, false).await?;
    let mut writing = JoinSet::new();
    for nth in 0..2 {
        let writer = Writer::new(nth, server.clone(), ledger.clone(), numbers.clone(), rng.fork());
        writing.spawn(writer.run(rng.usize(5..30)));
    }
    while let Some(writer) = writing.join_next().await {
        writer.map_err(|e| e.to_string())??;
    }
    let log = whole_log_from(server, first).await?;
    Ok(Former { first, ledger, log })
}
