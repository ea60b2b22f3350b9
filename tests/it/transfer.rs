//! What `keyfold export` writes, `keyfold import` makes again: the same bytes at the same offsets under the same guards.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use keyfold::engine::transfer::{TransferError, check, export, import};
use keyfold::engine::{AppendRequest, CreateRequest, Engine, ForkRequest, Settings};
use keyfold::model::{Offset, StreamName, Timestamp};
use keyfold::runtime::Clock;
use keyfold::storage::disk::SimDisk;
use keyfold::storage::journal::verify::verify;
use keyfold::storage::{Journal, JournalOptions, MemoryStore, Store};
use proptest::prelude::*;

use super::storage_contract::tuple;
use super::verify::World;

fn clock() -> Clock {
    Clock::manual(Timestamp::from_millis(1_800_000_000_000))
}

fn journal(disk: &SimDisk) -> Arc<Journal> {
    let options = JournalOptions { segment_bytes: 64 << 10, ..JournalOptions::new(clock()) };
    Journal::open(Arc::new(disk.clone()), options).unwrap()
}

fn exported(journal: &Journal) -> String {
    let mut out = Vec::new();
    export(journal, journal.former_ends().unwrap(), journal.lifts(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// Everything that a reader or a writer of any stream can see, but for times and numbers of streams.
fn seen(store: &dyn Store) -> Vec<String> {
    let names = [store.list("", None, 999), store.list(StreamName::INTERNAL, None, 999)].concat();
    let each = names.iter().map(|name| {
        let state = store.load(store.find(name).unwrap()).unwrap();
        let runs = store.read(state.id, state.creation.start, state.tail, usize::MAX).unwrap();
        let runs: Vec<_> =
            runs.iter().map(|run| (&run.record, &run.lengths, &run.payload, run.schema_version)).collect();
        let mut producers: Vec<_> =
            state.producers.iter().map(|(id, p)| (id, p.epoch, p.last_seq, &p.former)).collect();
        producers.sort();
        let creation = &state.creation;
        let fork =
            creation.fork.as_ref().map(|fork| (&fork.source_name, fork.at, fork.shift, fork.depth, fork.bytes));
        format!(
            "{name} {:?} {:?} {:?} {} {} {:?} {:?} {:?} {} {} {fork:?} {runs:?} {producers:?} {}",
            creation.content_type,
            creation.lifetime,
            creation.schema,
            creation.start,
            state.tail,
            state.closed,
            state.schema,
            state.stream_seq,
            state.bytes,
            state.pins.len(),
            store.former_end(name),
        )
    });
    each.collect()
}

#[derive(Clone, Debug)]
enum Op {
    Make { name: usize, json: bool },
    Say { name: usize, producer: Option<(u8, u64)>, messages: usize, seq: bool },
    Fork { source: usize, name: usize },
    Close { name: usize },
    Delete { name: usize },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let name = 0..5usize;
    let op = prop_oneof![
        3 => (name.clone(), any::<bool>()).prop_map(|(name, json)| Op::Make { name, json }),
        8 => (name.clone(), proptest::option::of((0u8..2, 0u64..3)), 1usize..4, any::<bool>())
            .prop_map(|(name, producer, messages, seq)| Op::Say { name, producer, messages, seq }),
        3 => (name.clone(), name.clone()).prop_map(|(source, name)| Op::Fork { source, name }),
        1 => name.clone().prop_map(|name| Op::Close { name }),
        2 => name.prop_map(|name| Op::Delete { name }),
    ];
    proptest::collection::vec(op, 1..50)
}

fn name_of(name: usize) -> StreamName {
    StreamName::parse(&format!("s/{name}")).unwrap()
}

/// A batch that was accepted with a producer, by stream.
type Accepted = std::collections::HashMap<usize, (u8, u64, u64, String)>;

struct Writer {
    engine: Engine,
    accepted: Accepted,
    next_seqs: std::collections::HashMap<(usize, u8, u64), u64>,
}

impl Writer {
    async fn perform(&mut self, at: usize, op: &Op) {
        match *op {
            Op::Make { name, json } => {
                let content_type = if json { "application/json" } else { "text/plain" };
                self.create(name, content_type, None).await;
            }
            Op::Fork { source, name } => {
                let fork = ForkRequest { source: name_of(source), offset: None, sub_offset: 0 };
                self.create(name, "", Some(fork)).await;
            }
            Op::Say { name, producer, messages, seq } => self.say(at, name, producer, messages, seq).await,
            Op::Close { name } => {
                let request = AppendRequest { closes: true, ..empty() };
                let _ = self.engine.append(&name_of(name), request).await;
            }
            Op::Delete { name } => {
                let _ = self.engine.delete(&name_of(name)).await;
                self.forget(name);
            }
        }
    }

    fn forget(&mut self, name: usize) {
        self.accepted.remove(&name);
        self.next_seqs.retain(|(stream, ..), _| *stream != name);
    }

    async fn create(&mut self, name: usize, content_type: &str, fork: Option<ForkRequest>) {
        let request = CreateRequest {
            name: name_of(name),
            content_type: keyfold::model::ContentType::parse(content_type),
            lifetime: keyfold::stream::Lifetime::Unlimited,
            closed: false,
            schema: None,
            fork,
            body: Default::default(),
        };
        if self.engine.create(request).await.is_ok_and(|created| created.fresh) {
            self.forget(name);
        }
    }

    async fn say(&mut self, at: usize, name: usize, producer: Option<(u8, u64)>, messages: usize, seq: bool) {
        let Ok((_, Some(stream))) = self.engine.peek(&name_of(name)).await else { return };
        let body = match stream.creation.content_type.is_json() {
            true => format!("[{}]", vec![format!("{{\"op\":\n {at}}}, \" {at}\""); messages].join(", ")),
            false => format!("{at};").repeat(messages),
        };
        let next = producer.map(|(id, epoch)| self.next_seqs.get(&(name, id, epoch)).copied().unwrap_or(0));
        let tuple = producer.zip(next).map(|((id, epoch), seq)| tuple(&format!("p{id}"), epoch, seq));
        let request = AppendRequest {
            content_type: Some(stream.creation.content_type.clone()),
            producer: tuple,
            stream_seq: seq.then(|| Arc::from(format!("{at:06}").as_bytes())),
            body: body.clone().into(),
            ..empty()
        };
        let said = self.engine.append(&name_of(name), request).await;
        if let (Ok(said), Some((id, epoch)), Some(seq)) = (said, producer, next)
            && !said.duplicate
        {
            self.next_seqs.insert((name, id, epoch), seq + 1);
            self.accepted.insert(name, (id, epoch, seq, body));
        }
    }
}

fn empty() -> AppendRequest {
    AppendRequest { content_type: None, producer: None, stream_seq: None, closes: false, body: Default::default() }
}

async fn round_trip(ops: Vec<Op>) {
    let (first, second) = (SimDisk::new(), SimDisk::new());
    let engine = Engine::start(journal(&first), clock(), Settings::default()).unwrap();
    let mut writer = Writer { engine, accepted: Accepted::new(), next_seqs: Default::default() };
    for (at, op) in ops.iter().enumerate() {
        writer.perform(at, op).await;
    }
    let Writer { engine, accepted, .. } = writer;
    engine.close();
    drop(engine);

    let given = journal(&first);
    let text = exported(&given);
    let expected = seen(&*given);
    check(text.as_bytes()).unwrap();
    let made = journal(&second);
    import(&*made, &[], text.as_bytes()).unwrap();
    assert_eq!(seen(&*made), expected);
    made.close();
    drop(made);
    assert!(verify(Arc::new(second.clone()), None, clock(), Arc::new(|_, _| {})).unwrap().is_sound());
    let made = journal(&second);
    assert_eq!((seen(&*made), exported(&made)), (expected, text.clone()));
    let again = import(&*made, &[], text.as_bytes());
    let holds_nothing = seen(&*made).is_empty() && made.start_position() == 0;
    assert_eq!(matches!(again, Err(TransferError::NotEmpty)), !holds_nothing);

    let engine = Engine::start(made, clock(), Settings::default()).unwrap();
    for (name, (id, epoch, seq, body)) in accepted {
        let Ok((_, Some(stream))) = engine.peek(&name_of(name)).await else { continue };
        if stream.closed {
            continue;
        }
        let producer = Some(tuple(&format!("p{id}"), epoch, seq));
        let content_type = Some(stream.creation.content_type.clone());
        let request = AppendRequest { content_type, producer, body: body.into(), ..empty() };
        let said = engine.append(&name_of(name), request).await.unwrap();
        assert!(said.duplicate && said.tail == Offset::at(stream.tail), "{said:?}");
    }
    engine.close();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn what_is_exported_and_imported_is_the_same(ops in ops()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(round_trip(ops));
    }
}

fn binary(args: &[&str], paths: &[&Path]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_keyfold")).args(args).args(paths).env_clear().output().unwrap()
}

#[tokio::test]
async fn a_directory_of_everything_makes_the_round_trip_and_bad_lines_are_named() {
    let root = tempfile::tempdir().unwrap();
    let [from, to, file, again] = ["from", "to", "lines", "again"].map(|name| root.path().join(name));
    let world = World::on(&from, clock());
    world.fill().await;
    world.stop().await;
    let ok = |args: &[&str], paths: &[&Path]| {
        let output = binary(args, paths);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    ok(&["export"], &[&file, Path::new("--data-dir"), &from]);
    ok(&["import"], &[&file, Path::new("--data-dir"), &to]);
    ok(&["verify", "--data-dir"], &[&to]);
    ok(&["export"], &[&again, Path::new("--data-dir"), &to]);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text == std::fs::read_to_string(&again).unwrap(), "another export");
    assert!(text.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));

    let full = binary(&["import"], &[&file, Path::new("--data-dir"), &to]);
    assert_eq!(full.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&full.stderr).contains("not empty"));

    // Damage in any line, a line too few or twice, an end too early: the line is named, and nothing is there.
    let lines: Vec<&str> = text.lines().collect();
    let named = |lines: &[&str]| match check(lines.join("\n").as_bytes()) {
        Err(TransferError::Line { number, .. }) => number as usize,
        other => panic!("{other:?}"),
    };
    for at in 0..lines.len() {
        let damaged = lines[at].replacen(':', ";", 2);
        let mut copy = lines.clone();
        copy[at] = &damaged;
        assert_eq!(named(&copy), at + 1);
        assert_eq!(named(&lines[..at]), at + 1);
        let mut copy = lines.clone();
        copy.remove(at);
        assert!(named(&copy) > at, "{at}");
        let mut copy = lines.clone();
        copy.insert(at, lines[at]);
        assert!(named(&copy) > at, "{at}");
    }
    let damaged = lines.iter().enumerate().map(|(at, line)| if at == 3 { "{}" } else { line });
    let bad = root.path().join("bad");
    std::fs::write(&bad, damaged.collect::<Vec<_>>().join("\n")).unwrap();
    let target = root.path().join("target");
    let refused = binary(&["import"], &[&bad, Path::new("--data-dir"), &target]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("line 4: "), "{refused:?}");
    assert!(!target.exists());
}

#[test]
fn an_import_needs_an_empty_store() {
    let store = MemoryStore::new(clock());
    let empty = exported(&journal(&SimDisk::new()));
    import(&*store, &[], empty.as_bytes()).unwrap();
    super::storage_contract::Ask::make(&*store, "a");
    assert!(matches!(import(&*store, &[], empty.as_bytes()), Err(TransferError::NotEmpty)));
}
