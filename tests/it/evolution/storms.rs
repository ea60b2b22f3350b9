//! Migrations while others write, read, and while the power goes.
//!
//! Random entities, steps and moments. Each writer owns some keys, so what it was told last is what must be there. A seed
//! repeats what is asked and when the power goes; who is faster is the scheduler's.

use fastrand::Rng;
use futures_util::future::join_all;

use super::*;

const WRITERS: usize = 4;
const KEYS: usize = 60;

/// Steps, and what they make of a value, said another way.
type Oracle = Box<dyn Fn(&Value) -> Value + Send + Sync>;

fn random_steps(rng: &mut Rng) -> (Value, Oracle) {
    let (drops, patches, state) = (rng.bool(), rng.bool(), if rng.bool() { "new" } else { "seen" });
    let mut steps = vec![json!({"rename": {"from": "/first", "to": "name"}})];
    if drops {
        steps.push(json!({"drop": "old"}));
    } else {
        steps.push(json!({"rename": {"from": "old", "to": "nick"}}));
    }
    steps.push(json!({"default": {"path": "/state", "value": state}}));
    if patches {
        steps.push(json!({"patch": [{"op": "copy", "from": "/name", "path": "/nick"}]}));
    }
    let oracle = move |old: &Value| {
        let mut new = json!({"id": old["id"], "n": old["n"], "name": old["first"], "state": state});
        if patches {
            new["nick"] = old["first"].clone();
        } else if let Some(nick) = old.get("old").filter(|_| !drops) {
            new["nick"] = nick.clone();
        }
        new
    };
    (json!({"people": steps}), Box::new(oracle))
}

fn old_value(rng: &mut Rng, key: &str, n: u64) -> Value {
    let mut value = json!({"id": key, "first": format!("f{}", rng.u32(..)), "n": n});
    if rng.bool() {
        value["old"] = json!(format!("o{}", rng.u32(..)));
    }
    value
}

fn fits(value: &Value) -> bool {
    let members = value.as_object().unwrap();
    let known = ["id", "name", "n", "rev", "state", "nick"];
    members.keys().all(|name| known.contains(&name.as_str()))
        && value["name"].as_str().is_some_and(|name| !name.is_empty())
        && matches!(value["state"].as_str(), Some("new" | "seen"))
}

/// Writes its keys until told to stop, in the shape that is taken; gives what each is by what it was told.
async fn writer(
    router: Router,
    mut rng: Rng,
    id: usize,
    mut known: BTreeMap<String, Option<Value>>,
    over: Arc<std::sync::atomic::AtomicBool>,
) -> BTreeMap<String, Option<Value>> {
    let mut n = 0;
    while !over.load(std::sync::atomic::Ordering::Relaxed) {
        n += 1;
        let key = format!("w{id}k{}", rng.usize(..KEYS));
        let path = format!("/v1/state/t/a/-/entities/person/{key}");
        match rng.u8(..10) {
            0..2 => {
                let reply = send(&router, "DELETE", &path, &[], Value::Null).await;
                match reply.status {
                    200 => drop(known.insert(key, None)),
                    404 => assert!(known.get(&key).is_none_or(Option::is_none), "{key} is gone"),
                    _ => panic!("{reply:?}"),
                }
            }
            2..5 => {
                let reply = send(&router, "PATCH", &path, &[], json!({"n": 1_000 + n})).await;
                match reply.status {
                    200 => known.get_mut(&key).unwrap().as_mut().unwrap()["n"] = json!(1_000 + n),
                    404 => assert!(known.get(&key).is_none_or(Option::is_none), "{key} is gone"),
                    _ => panic!("{reply:?}"),
                }
            }
            _ => {
                // Old writers go on in the old shape until they are told.
                let old = old_value(&mut rng, &key, n);
                let new = json!({"id": key, "name": "written", "n": n, "state": "seen"});
                for value in [old, new] {
                    let reply = send(&router, "PUT", &path, &[], value.clone()).await;
                    match reply.status {
                        200 => {
                            known.insert(key, Some(value));
                            break;
                        }
                        422 => assert_eq!(reply.json()["errors"][0]["schema_version"], 2, "{reply:?}"),
                        _ => panic!("{reply:?}"),
                    }
                }
            }
        }
    }
    known
}

/// What a client that reads the log once has seen when the stream is at rest.
async fn reader(router: Router, over: Arc<std::sync::atomic::AtomicBool>) -> Vec<Value> {
    let (mut from, mut seen) = ("-1".to_owned(), Vec::new());
    loop {
        let last = over.load(std::sync::atomic::Ordering::Relaxed);
        let reply = send(&router, "GET", &format!("/v1/stream/t/a?offset={from}"), &[], Value::Null).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        seen.extend(reply.json().as_array().unwrap().iter().cloned());
        from = reply.header("stream-next-offset").to_owned();
        if last && reply.header("stream-up-to-date") == "true" {
            return seen;
        }
        tokio::task::yield_now().await;
    }
}

/// The first few entities that differ.
fn differences(found: &BTreeMap<String, Value>, expected: &BTreeMap<String, Value>) -> String {
    let keys: std::collections::BTreeSet<&String> = found.keys().chain(expected.keys()).collect();
    let differs = keys.into_iter().filter(|key| found.get(*key) != expected.get(*key));
    differs.take(5).map(|key| format!("{key}: {:?}, not {:?}\n", found.get(key), expected.get(key))).collect()
}

async fn fill(world: &World, rng: &mut Rng, keys: usize) -> Vec<BTreeMap<String, Option<Value>>> {
    let mut known = vec![BTreeMap::new(); WRITERS];
    for (id, known) in known.iter_mut().enumerate() {
        let mut changes = Vec::new();
        for nth in 0..keys {
            let key = format!("w{id}k{nth}");
            let value = old_value(rng, &key, nth as u64);
            changes.push(json!({"type": "person", "key": key, "value": value, "headers": {"operation": "insert"}}));
            known.insert(key, Some(value));
        }
        world.ok("POST", "/v1/stream/t/a", Value::from(changes)).await;
    }
    known
}

fn seeds(usual: u64) -> Vec<u64> {
    match std::env::var("KEYFOLD_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..usual.div_ceil(2)).chain((0..usual / 2).map(|_| fastrand::u64(..))).collect(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_concurrent_write_is_lost_and_every_reader_converges() {
    for seed in seeds(6) {
        println!("KEYFOLD_SEED={seed}");
        let mut rng = Rng::with_seed(seed);
        let world = World::bound(json!({})).await;
        let known = fill(&world, &mut rng, KEYS).await;
        let (steps, oracle) = random_steps(&mut rng);
        let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let writers = known
            .into_iter()
            .enumerate()
            .map(|(id, known)| tokio::spawn(writer(world.router.clone(), rng.fork(), id, known, over.clone())));
        let writers: Vec<_> = writers.collect();
        let rests = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let reading = tokio::spawn(reader(world.router.clone(), rests.clone()));
        tokio::time::sleep(Duration::from_millis(rng.u64(..30))).await;
        world.ok("POST", MIGRATIONS, ask(steps)).await;
        let done = world.rested(1).await;
        assert_eq!(done["state"], "done", "{done}");
        tokio::time::sleep(Duration::from_millis(rng.u64(..20))).await;
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        let written: Vec<_> = join_all(writers).await.into_iter().map(Result::unwrap).collect();
        rests.store(true, std::sync::atomic::Ordering::Relaxed);
        let seen = reading.await.unwrap();

        let (log, people) = (world.log().await, world.people().await);
        assert_eq!(differences(&fold(&seen), &fold(&log)), "", "a reader across the migration");
        assert_eq!(differences(&people, &fold(&log)), "");
        for (key, last) in written.into_iter().flatten() {
            let Some(last) = last else {
                assert!(!people.contains_key(&key), "{key} was deleted");
                continue;
            };
            let expected = if last.get("first").is_some() { oracle(&last) } else { last };
            assert!(fits(&people[&key]), "{}", people[&key]);
            // A patch may have met either shape: what it merged into had been carried over first.
            assert_eq!(people[&key]["n"], expected["n"], "{key}: {} for {expected}", people[&key]);
            assert_eq!(people[&key], expected, "{key}");
        }
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_migration_goes_on_after_any_crash_to_the_same_end() {
    let mut interrupted = 0;
    for seed in seeds(8) {
        println!("KEYFOLD_SEED={seed}");
        let mut rng = Rng::with_seed(seed);
        let mut world = World::bound(json!({})).await;
        // Some batches, on a disk that is as slow as disks are.
        fill(&world, &mut rng, 500).await;
        let pauses = std::sync::Mutex::new(rng.fork());
        world.disk.on_sync(Some(Arc::new(move || {
            let pause = pauses.lock().unwrap().u64(..2_000);
            std::thread::sleep(Duration::from_micros(pause));
        })));
        let before = world.people().await;
        let (steps, oracle) = random_steps(&mut rng);
        let expected: BTreeMap<_, _> = before.iter().map(|(key, value)| (key.clone(), oracle(value))).collect();
        let mut began = false;
        for _ in 0..6 {
            world.disk.cut_power_after(rng.u64(1..60));
            if !began {
                let reply = world.ask("POST", MIGRATIONS, ask(steps.clone())).await;
                assert!(matches!(reply.status, 202 | 409 | 500 | 503), "{reply:?}");
            }
            tokio::time::sleep(Duration::from_millis(rng.u64(..30))).await;
            world = world.crashed(rng.u64(..)).await;
            let found = world.get(MIGRATIONS).await;
            began = found["migrations"].as_array().is_some_and(|all| !all.is_empty());
            let version = world.get("/v1/state/t/a").await["schema"]["version"].as_u64();
            assert_eq!(version, Some(if began { 2 } else { 1 }), "bound and begun in one step");
            interrupted += usize::from(began && found["migrations"][0]["state"] == "running");
        }
        if !began {
            world.ok("POST", MIGRATIONS, ask(steps)).await;
        }
        let done = world.rested(1).await;
        assert_eq!(done["state"], "done", "{done}");
        assert_eq!(differences(&world.people().await, &expected), "");
        let rewritten = world.log().await.iter().filter(|change| change["headers"].get("txid").is_some()).count();
        assert_eq!(done["entities"]["rewritten"], rewritten, "each was counted with its change");
        assert_eq!(rewritten, expected.len(), "none was rewritten twice");
        world.stop().await;
    }
    assert!(interrupted > 0, "no crash met a migration");
}
