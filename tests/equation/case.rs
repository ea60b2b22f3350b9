//! One case: a server, writers, restarts, readers of one delivery path, and the equation at the end.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use fastrand::Rng;
use keyfold::config::StoreKind;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::oracle::{self, Change, Ledger, Summary};
use super::readers::{self, Path, Reader};
use super::server::{Server, Shape};
use super::writers::{self, Writer};

/// Readers of one case; each has its own temper and filter.
const READERS: usize = 4;

/// Runs a property for `KEYFOLD_CASES` seeds, or for the one of `KEYFOLD_SEED`.
pub fn for_seeds<F: Future<Output = Result<(), String>>>(test: &str, cases: u64, property: impl Fn(u64) -> F) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
    let seeds: Vec<u64> = match number("KEYFOLD_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("KEYFOLD_CASES").unwrap_or(cases)).map(|_| fastrand::u64(..1 << 32)).collect(),
    };
    for seed in seeds {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let outcome = runtime.block_on(async { timeout(Duration::from_secs(90), property(seed)).await });
        let fault = match outcome {
            Ok(Ok(())) => continue,
            Ok(Err(fault)) => fault,
            Err(_) => "the case took more than 90 s".to_owned(),
        };
        panic!("seed {seed}: {fault}\nagain: KEYFOLD_SEED={seed} cargo test --test equation {test}");
    }
}

pub async fn equation_holds(path: Path, seed: u64) -> Result<(), String> {
    let mut rng = Rng::with_seed(seed);
    let durable = rng.u8(0..100) < 85;
    let server = Arc::new(
        Server::start(Shape {
            store: if durable { StoreKind::Journal } else { StoreKind::Memory },
            segment_bytes: [64 << 10, 128 << 10, 1 << 20][rng.usize(..3)],
            page_bytes_max: rng.usize(200..3_000),
            stream_idle_ms: [20, 300_000][rng.usize(..2)],
        })
        .await,
    );
    let forked = rng.u8(0..3) == 0;
    server.bind(if path == Path::FoldedByBinding { "folded" } else { "raw" }).await;
    let (ledger, numbers) = (Arc::new(Ledger::default()), Arc::new(AtomicU64::new(1)));
    let first = writers::found(&server, &ledger, &numbers, forked).await?;
    let (tell_end, end) = watch::channel(None);

    let mut following = JoinSet::new();
    for nth in 0..READERS {
        let reader = Reader::new(nth, path, first, server.clone(), ledger.clone(), end.clone(), rng.fork());
        following.spawn(readers::follow(path, reader));
    }
    let mut writing = JoinSet::new();
    for nth in 0..rng.usize(2..=4) {
        let writer = Writer::new(nth, server.clone(), ledger.clone(), numbers.clone(), rng.fork());
        writing.spawn(writer.wiping(path != Path::Entities).run(rng.usize(30..60)));
    }
    for _ in 0..if durable { rng.usize(0..=2) } else { 0 } {
        sleep(Duration::from_millis(rng.u64(30..350))).await;
        server.restart(Duration::from_millis(rng.u64(0..40))).await?;
    }
    while let Some(writer) = writing.join_next().await {
        writer.map_err(|e| e.to_string())??;
    }
    if durable && rng.bool() {
        server.restart(Duration::ZERO).await?;
    }
    let tail = server.tail().await?;
    tell_end.send_replace(Some(tail.clone()));
    let mut received = Vec::new();
    let all_followed = async {
        while let Some(reader) = following.join_next().await {
            received.extend(reader.map_err(|e| e.to_string())??);
        }
        Ok::<_, String>(())
    };
    let patience = timeout(Duration::from_secs(30), all_followed).await;
    patience.map_err(|_| format!("{path:?}: a reader did not reach {tail} in 30 s"))??;

    let log = whole_log(&server, first).await?;
    for (reader, changes) in &received {
        received_once(reader, changes, &log)?;
    }
    let summary = ledger.settle(&log, first)?;
    server.stop().await;
    check_worth(path, summary)
}

/// A case that checks next to nothing proves nothing.
fn check_worth(path: Path, summary: Summary) -> Result<(), String> {
    if std::env::var_os("KEYFOLD_SHOW").is_some() {
        eprintln!("{path:?}: {summary:?}");
    }
    match summary {
        Summary { changes: 100.., marks } if marks >= READERS => Ok(()),
        summary => Err(format!("{path:?}: the case checked too little: {summary:?}")),
    }
}

/// Every change from the first on, by plain pages from just after the first: also where reads from the beginning are
/// folded. The first is known from its writer.
pub async fn whole_log(server: &Server, first: u64) -> Result<Vec<Change>, String> {
    let keep =
        Change { entity_type: "job".into(), key: "keep-0".into(), deletes: false, number: Some(1), version: None };
    rest_of_log(server, first, vec![keep]).await
}

/// Every change, by plain pages from where the stream begins.
pub async fn whole_log_from(server: &Server, first: u64) -> Result<Vec<Change>, String> {
    rest_of_log(server, first, Vec::new()).await
}

async fn rest_of_log(server: &Server, first: u64, mut log: Vec<Change>) -> Result<Vec<Change>, String> {
    let mut offset = format!("{:016x}_{:016x}", first + log.len() as u64, 0);
    loop {
        let answer = server.stream("GET", &format!("?offset={offset}")).answer().await.map_err(|e| e.to_string())?;
        let body = answer.json()?;
        for message in body.as_array().ok_or_else(|| format!("no array: {body}"))? {
            log.push(oracle::parse(message)?);
        }
        offset = writers::next_offset(&answer)?;
        if oracle::position_of(&offset)? != first + log.len() as u64 {
            return Err(format!("positions do not count messages: {offset} after {} from {first}", log.len()));
        }
        if answer.header("stream-up-to-date") == Some("true") {
            return Ok(log);
        }
    }
}

/// An unfolded reader gets every change once, in order.
fn received_once(reader: &str, received: &[Change], log: &[Change]) -> Result<(), String> {
    if received == log {
        return Ok(());
    }
    let at = received.iter().zip(log).position(|(a, b)| a != b).unwrap_or(received.len().min(log.len()));
    let (got, wanted) = (received.get(at), log.get(at));
    Err(format!("{reader}: change {at} is {got:?}, not {wanted:?}; {} of {}", received.len(), log.len()))
}

/// A message's control, if it is one.
pub fn control(message: &Value) -> Option<&str> {
    message["headers"]["control"].as_str()
}
