//! What is refused changes nothing, not even the tail, whoever writes beside it; and a deletion keeps its version.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use keyfold::config::StoreKind;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::case::whole_log;
use crate::http::Call;
use crate::oracle::{Batch, Change, Ledger, Told};
use crate::server::{Server, Shape};
use crate::writers::{self, message, next_offset, wrote_nothing};

const SHAPE: Shape =
    Shape { store: StoreKind::Journal, segment_bytes: 64 << 10, page_bytes_max: 900, stream_idle_ms: 300_000 };

async fn founded() -> Result<(Arc<Server>, Arc<Ledger>, Arc<AtomicU64>, u64), String> {
    let server = Arc::new(Server::start(SHAPE).await);
    server.bind("raw").await;
    let (ledger, numbers) = (Arc::new(Ledger::default()), Arc::new(AtomicU64::new(1)));
    let first = writers::found(&server, &ledger, &numbers, false).await?;
    Ok((server, ledger, numbers, first))
}

fn lock(key: &str, number: u64, operation: &str) -> Value {
    let change =
        Change { entity_type: "lock".into(), key: key.into(), deletes: false, number: Some(number), version: None };
    message(&change, operation, 10)
}

/// What stands before anyone is refused: an existing lock, and a producer at epoch 2, seq 1.
async fn prepare(server: &Server, ledger: &Ledger, numbers: &AtomicU64) -> Result<(), String> {
    for (tuple, key) in [(None, "taken"), (Some((2, 0)), "first"), (Some((2, 1)), "second")] {
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        let mut call = server.stream("POST", "");
        if let Some((epoch, seq)) = tuple {
            call = with_tuple(call, "fenced", epoch, seq);
        }
        let answer = call.json(&json!([lock(key, number, "insert")])).answer().await.map_err(|e| e.to_string())?;
        let (entity_type, key, number) = ("lock".to_owned(), key.to_owned(), Some(number));
        let changes = vec![Change { entity_type, key, deletes: false, number, version: None }];
        ledger.wrote(Batch { writer: "prepare".into(), changes, told: Told::EndsAt(next_offset(&answer)?) });
    }
    Ok(())
}

fn with_tuple(call: Call, id: &str, epoch: u64, seq: u64) -> Call {
    call.header("Producer-Id", id).header("Producer-Epoch", epoch).header("Producer-Seq", seq)
}

/// One call that must be refused, and how. None of them would fail the schema alone where the kind is another.
fn refused(server: &Server, rng: &mut Rng) -> (Call, u16) {
    let good = || json!([lock(&format!("no-{}", fastrand::u32(..)), 0, "insert")]);
    let bad = json!([lock("no-bad", 0, "upsert"), {"type": "job", "key": "x", "value": {"id": "x"},
        "headers": {"operation": "upsert"}}]);
    let any_post = |rng: &mut Rng| match rng.bool() {
        true => server.stream("POST", ""),
        false => server.resource("POST", "changes"),
    };
    match rng.u8(0..15) {
        0 => (any_post(rng).json(&bad), 422),
        1 => (with_tuple(any_post(rng), "fenced", 2, 2).json(&bad), 422),
        2 => (any_post(rng).json(&json!([{"headers": {"control": "reset"}}])), 422),
        3 => (any_post(rng).body("application/json", "[{\"type\":\"job\""), 400),
        4 => (any_post(rng).json(&json!([lock("no-strict", 0, "insert"), lock("taken", 0, "insert")])), 409),
        5 => (with_tuple(any_post(rng), "fenced", 1, 0).json(&good()), 403),
        6 => (with_tuple(any_post(rng), "fenced", 2, 7).json(&good()), 409),
        7 => (with_tuple(any_post(rng), "fenced", 3, 4).json(&good()), 400),
        8 => (any_post(rng).header("Producer-Id", "half").json(&good()), 400),
        9 => {
            let put = server.resource("PUT", "entities/lock/taken").header("If-None-Match", "*");
            (put.json(&json!({"id": "taken", "n": 0})), 412)
        }
        10 => {
            let tag = format!("\"{:016x}_{:016x}\"", 1, 0);
            let put = server.resource("PUT", "entities/lock/taken").header("If-Match", tag);
            (put.json(&json!({"id": "taken", "n": 0})), 412)
        }
        11 => (server.resource("PUT", "entities/lock/other").json(&json!({"id": "another", "n": 0})), 422),
        12 => (server.resource("PATCH", "entities/lock/taken").json(&json!({"n": "many"})), 422),
        13 => (server.resource("DELETE", "entities/lock/nobody"), 404),
        _ => (server.resource("PATCH", "entities/lock/nobody").json(&json!({"n": 1})), 404),
    }
}

async fn be_refused(server: Arc<Server>, mut rng: Rng, times: usize) -> Result<(), String> {
    for _ in 0..times {
        let (call, status) = refused(&server, &mut rng);
        let answer = call.answer().await.map_err(|e| format!("a refusal without answer: {e}"))?;
        if answer.status != status || !wrote_nothing(&answer) {
            return Err(format!("not refused with {status}: {answer:?}"));
        }
    }
    Ok(())
}

/// Four writers who are all refused, a fifth who is not, and a reader of the tail.
pub async fn change_nothing(seed: u64) -> Result<(), String> {
    let mut rng = Rng::with_seed(seed);
    let (server, ledger, numbers, first) = founded().await?;
    prepare(&server, &ledger, &numbers).await?;
    let before = (server.tail().await?, whole_log(&server, first).await?);
    let all = |rng: &mut Rng| {
        let mut refused = JoinSet::new();
        (0..4).for_each(|_| drop(refused.spawn(be_refused(server.clone(), rng.fork(), 30))));
        refused
    };
    finish(all(&mut rng)).await?;
    if (server.tail().await?, whole_log(&server, first).await?) != before {
        return Err("refusals alone have changed the log or its tail".into());
    }
    let mut together = all(&mut rng);
    for nth in 0..2 {
        let (server, ledger, numbers) = (server.clone(), ledger.clone(), numbers.clone());
        let writer = writers::Writer::new(nth, server, ledger, numbers, rng.fork());
        together.spawn(writer.run(25));
    }
    finish(together).await?;
    server.restart(Duration::ZERO).await?;
    // The refused seq was not used up: the same tuple is taken now, once.
    let number = numbers.fetch_add(1, Ordering::Relaxed);
    let call = with_tuple(server.stream("POST", ""), "fenced", 2, 2).json(&json!([lock("third", number, "insert")]));
    let answers = [call.answer().await, call.answer().await].map(|a| a.map_err(|e| e.to_string()));
    let [Ok(taken), Ok(repeat)] = answers else { return Err("no answer".into()) };
    if (taken.status, repeat.status) != (200, 204) {
        return Err(format!("taken {taken:?}, repeated {repeat:?}"));
    }
    let (entity_type, key, number) = ("lock".to_owned(), "third".to_owned(), Some(number));
    let changes = vec![Change { entity_type, key, deletes: false, number, version: None }];
    ledger.wrote(Batch { writer: "third".into(), changes, told: Told::EndsAt(next_offset(&taken)?) });
    // Every position belongs to a write that was accepted: a refusal has none.
    ledger.settle(&whole_log(&server, first).await?, first).map(drop)?;
    server.stop().await;
    Ok(())
}

async fn finish(mut tasks: JoinSet<Result<(), String>>) -> Result<(), String> {
    while let Some(done) = tasks.join_next().await {
        done.map_err(|e| e.to_string())??;
    }
    Ok(())
}

/// What is older than a deletion stays refused, whether the fold lives on or is read again from the log.
pub async fn deletion_keeps_its_version(seed: u64) -> Result<(), String> {
    let (server, _, _, _) = founded().await?;
    let mut rng = Rng::with_seed(seed);
    let note = |version: u64| json!({"id": "a", "n": 1, "v": version});
    let put = async |version: u64| -> Result<Value, String> {
        let call = server.resource("PUT", "entities/note/a").json(&note(version));
        call.answer().await.map_err(|e| e.to_string())?.json()
    };
    let newest = rng.u64(2..100);
    put(newest).await?;
    server.resource("DELETE", "entities/note/a").answer().await.map_err(|e| e.to_string())?;
    for _ in 0..2 {
        let before = server.tail().await?;
        let older = put(rng.u64(0..newest)).await?;
        if older["applied"] != false || server.tail().await? != before {
            return Err(format!("an older version than the deleted one was taken: {older}"));
        }
        server.restart(Duration::ZERO).await?;
    }
    let equal = put(newest).await?;
    server.stop().await;
    (equal["applied"] == true).then_some(()).ok_or_else(|| format!("an equal version was dropped: {equal}"))
}

/// Sends the same tuples again and again, some at the same time, none waiting for its answer, while the server restarts.
pub async fn tuples_are_stored_once(seed: u64) -> Result<(), String> {
    let mut rng = Rng::with_seed(seed);
    let (server, ledger, numbers, first) = founded().await?;
    let (tell_done, done) = watch::channel(false);
    let mut producers = JoinSet::new();
    for nth in 0..3 {
        let (server, ledger, numbers) = (server.clone(), ledger.clone(), numbers.clone());
        producers.spawn(insist(nth, server, ledger, numbers, rng.fork()));
    }
    let restarting = tokio::spawn({
        let (server, mut rng) = (server.clone(), rng.fork());
        async move {
            while !*done.borrow() {
                sleep(Duration::from_millis(rng.u64(60..200))).await;
                server.restart(Duration::from_millis(rng.u64(0..20))).await?;
            }
            Ok::<_, String>(())
        }
    });
    finish(producers).await?;
    tell_done.send_replace(true);
    restarting.await.map_err(|e| e.to_string())??;
    ledger.settle(&whole_log(&server, first).await?, first).map(drop)?;
    server.stop().await;
    Ok(())
}

async fn insist(
    nth: usize,
    server: Arc<Server>,
    ledger: Arc<Ledger>,
    numbers: Arc<AtomicU64>,
    mut rng: Rng,
) -> Result<(), String> {
    let id = format!("insists-{nth}");
    let mut sent: Vec<Call> = Vec::new();
    for seq in 0..40 {
        let count = rng.usize(1..6);
        let changes: Vec<Change> = (0..count)
            .map(|at| Change {
                entity_type: "job".into(),
                key: format!("p{nth}-{at}"),
                deletes: false,
                number: Some(numbers.fetch_add(1, Ordering::Relaxed)),
                version: None,
            })
            .collect();
        let messages: Vec<Value> = changes.iter().map(|change| message(change, "upsert", 30)).collect();
        let call = with_tuple(server.stream("POST", ""), &id, 0, seq).json(&Value::from(messages));
        for _ in 0..rng.usize(0..3) {
            let _ = call.abandon(Duration::from_micros(rng.u64(0..3_000))).await;
        }
        // Two at once: at most one of them is new.
        let fresh = loop {
            let answers = tokio::join!(call.answer(), call.answer());
            let answers = [answers.0, answers.1].map(|answer| answer.ok().filter(|answer| answer.status != 503));
            if let Some(odd) = answers.iter().flatten().find(|answer| !matches!(answer.status, 200 | 204)) {
                return Err(format!("{id} seq {seq}: {odd:?}"));
            }
            let fresh: Vec<_> = answers.iter().flatten().filter(|answer| answer.status == 200).collect();
            match (fresh.as_slice(), answers.iter().flatten().count()) {
                ([one], _) => break Some(next_offset(one)?),
                ([], 1..) => break None,
                ([], _) => sleep(Duration::from_millis(10)).await,
                _ => return Err(format!("{id} seq {seq} was new twice")),
            }
        };
        let told = fresh.map_or(Told::Repeat, Told::EndsAt);
        ledger.wrote(Batch { writer: id.clone(), changes, told });
        sent.push(call);
        // An old tuple stays a repeat, also after a restart.
        let old = &sent[rng.usize(..sent.len())];
        if let Ok(answer) = old.answer().await
            && !matches!(answer.status, 204 | 503)
        {
            return Err(format!("{id}: an old tuple after seq {seq} was answered {answer:?}"));
        }
    }
    Ok(())
}
