//! Clustering: random streams grow, fork, end and are clustered and merged, while power goes, the journal is opened again
//! and catalogues get lost. The model keeps every message that writers were told of, and knows nothing of files.
//!
//! Messages are `"key=value"` or `"key!"`, which deletes. Streams named `fold/…` may lose what the rules here allow, others
//! nothing. What must hold: a stream's state is that of all its records; where nothing may be lost nothing is; what is
//! there is what was written; and whoever folds what is left, from anywhere at or above where deletions are kept, gets
//! what the whole log gives.

use std::collections::{BTreeSet, HashMap};
use std::sync::Weak;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use keyfold::model::Position;
use keyfold::storage::journal::Choice;
use keyfold::storage::mutant::{self, Mutant};
use keyfold::storage::retention::{Horizons, LeftOut, Retention, Sieve, Task};

use super::crash::{copy_dir, segments};
use super::*;

const TINY: u64 = 4 << 10;

/// Keeps what the journal tells it of time, and forgets deletions where it may.
struct Rules {
    clock: Clock,
    history: AtomicU64,
    deletes: AtomicBool,
}

impl Retention for Rules {
    fn horizons(&self, stream: &StreamState) -> Option<Horizons> {
        let before = Timestamp::from_millis(self.clock.now().as_millis() - self.history.load(Ordering::Relaxed));
        let deletes = self.deletes.load(Ordering::Relaxed).then_some(before);
        stream.creation.name.as_str().starts_with("fold").then_some(Horizons { history: before, deletes })
    }

    fn sieve(&self, _: &StreamState, task: Task) -> Box<dyn Sieve> {
        Box::new(Naive { task, seen: Vec::new() })
    }
}

struct Naive {
    task: Task,
    seen: Vec<(Position, Timestamp, String)>,
}

fn split(message: &str) -> (&str, Option<&str>) {
    let text = message.trim_matches('"');
    text.split_once('=').map_or((text.trim_end_matches('!'), None), |(key, value)| (key, Some(value)))
}

impl Sieve for Naive {
    fn take(&mut self, position: Position, at: Timestamp, message: &[u8]) {
        assert!(position < self.task.history_from);
        assert!(self.seen.last().is_none_or(|(before, ..)| *before < position), "in order");
        self.seen.push((position, at, String::from_utf8(message.to_vec()).unwrap()));
    }

    fn finish(self: Box<Self>) -> LeftOut {
        let mut stays = BTreeSet::new();
        for mark in self.task.pins.iter().copied().chain([self.task.history_from]) {
            let mut newest = HashMap::new();
            for (position, _, message) in self.seen.iter().filter(|(position, ..)| *position < mark) {
                newest.insert(split(message).0, *position);
            }
            stays.extend(newest.into_values());
        }
        let mut left_out = LeftOut::default();
        let mut left: BTreeSet<&str> = BTreeSet::new();
        for (position, at, message) in &self.seen {
            let (key, value) = split(message);
            let forgets = self.task.complete && self.task.deletes.is_some_and(|horizon| *at < horizon);
            match stays.contains(position) {
                true if value.is_none() && forgets && !left.contains(key) => {
                    left_out.positions.push(*position);
                    left_out.deletes_from = position + 1;
                }
                true => drop(left.insert(key)),
                false => left_out.positions.push(*position),
            }
        }
        left_out
    }
}

/// What writers were told of a stream.
#[derive(Clone)]
struct Told {
    state: StreamState,
    /// From the fork's source up, where it is one.
    messages: BTreeMap<Position, String>,
}

fn fold<'m>(messages: impl Iterator<Item = &'m String>) -> BTreeMap<&'m str, &'m str> {
    let mut map = BTreeMap::new();
    for (key, value) in messages.map(|message| split(message)) {
        match value {
            Some(value) => drop(map.insert(key, value)),
            None => drop(map.remove(key)),
        }
    }
    map
}

struct World {
    rng: fastrand::Rng,
    clock: Clock,
    disk: SimDisk,
    dir: Option<tempfile::TempDir>,
    older: Option<tempfile::TempDir>,
    rules: Arc<Rules>,
    journal: Option<Arc<Journal>>,
    streams: BTreeMap<StreamId, Told>,
    names: u32,
    counts: Counts,
}

#[derive(Default, Debug)]
struct Counts {
    clusterings: u64,
    left_out: u64,
    forgotten: u64,
    forks: u64,
    ends: u64,
}

impl World {
    fn new(seed: u64, catalogue: bool) -> Self {
        let clock = Clock::manual(Timestamp::from_millis(1_000_000));
        let rules = Rules {
            clock: clock.clone(),
            history: AtomicU64::new(0),
            deletes: AtomicBool::new(seed.is_multiple_of(3)),
        };
        let mut world = Self {
            rng: fastrand::Rng::with_seed(seed),
            rules: Arc::new(rules),
            clock,
            disk: SimDisk::new(),
            dir: catalogue.then(|| tempfile::tempdir().unwrap()),
            older: None,
            journal: None,
            streams: BTreeMap::new(),
            names: 0,
            counts: Counts::default(),
        };
        world.open();
        world
    }

    fn catalogue(&self) -> Option<PathBuf> {
        self.dir.as_ref().map(|dir| dir.path().join("catalogue"))
    }

    fn open(&mut self) {
        let options = JournalOptions {
            segment_bytes: TINY,
            by_hand: true,
            catalogue: self.catalogue(),
            ..JournalOptions::new(self.clock.clone())
        };
        let journal = Journal::open(Arc::new(self.disk.clone()), options).unwrap();
        let rules: Weak<Rules> = Arc::downgrade(&self.rules);
        journal.retain_by(rules);
        self.journal = Some(journal);
    }

    fn journal(&self) -> &Arc<Journal> {
        self.journal.as_ref().unwrap()
    }

    fn some_stream(&mut self) -> Option<StreamId> {
        let ids: Vec<StreamId> = self.streams.keys().copied().collect();
        self.rng.choice(ids)
    }

    /// Appends, commits, and keeps what was told. `false` where nobody knows.
    fn tell(&mut self, calls: Vec<Staged>) -> bool {
        let answer = self.journal().send(calls.clone());
        self.journal().step();
        match answer.try_recv().unwrap() {
            Ok(placed) => {
                calls.into_iter().zip(placed).for_each(|(staged, placed)| self.apply(staged.record, placed.at));
                true
            }
            Err(AppendError::Conflict) => true,
            Err(_) => false,
        }
    }

    fn apply(&mut self, record: Record, at: Timestamp) {
        let record = Record { at, ..record };
        if let Some(state) = StreamState::create(&record) {
            let fork = state.creation.fork.clone();
            let inherited = fork.map_or(BTreeMap::new(), |fork| {
                let source = &self.streams[&fork.source].messages;
                source.range(..fork.at).map(|(at, text)| (at + fork.shift, text.clone())).collect()
            });
            self.streams.insert(record.stream, Told { state, messages: inherited });
            return;
        }
        let Some(told) = self.streams.get_mut(&record.stream) else { return };
        if let Body::Append { lengths, payload } = &record.body {
            let mut begin = 0;
            for (position, length) in (record.first..).zip(lengths.iter()) {
                let text = String::from_utf8(payload[begin..begin + length as usize].to_vec()).unwrap();
                told.messages.insert(position, text);
                begin += length as usize + 1;
            }
        }
        told.state.apply(&record);
        if told.state.gone {
            self.streams.remove(&record.stream);
        }
    }

    fn step(&mut self) -> bool {
        self.clock.advance(Duration::from_millis(self.rng.u64(0..50)));
        match self.rng.u32(0..100) {
            0..8 => {
                self.names += 1;
                let kind = if self.rng.u32(0..3) == 0 { "whole" } else { "fold" };
                let id = self.journal().next_id();
                let call = create(id, &format!("{kind}/{}", self.names), self.journal().start_position());
                self.tell(vec![call])
            }
            8..70 => self.write(),
            70..75 => self.fork(),
            75..79 => self.end(),
            79..84 => {
                self.rules.history.store(self.rng.u64(0..1000), Ordering::Relaxed);
                self.clustering(Choice::Segments);
                true
            }
            84..87 => {
                self.clustering(Choice::Merge);
                true
            }
            87..90 => {
                self.clustering(Choice::Worth);
                true
            }
            90 => {
                self.reopen();
                true
            }
            _ => true,
        }
    }

    fn write(&mut self) -> bool {
        let Some(id) = self.some_stream() else { return true };
        let count = self.rng.usize(1..6);
        let message = |rng: &mut fastrand::Rng| match rng.u32(0..5) {
            0 => format!("\"k{}!\"", rng.u32(0..9)),
            _ => format!("\"k{}={}\"", rng.u32(0..9), "v".repeat(rng.usize(0..90)) + &rng.u32(..).to_string()),
        };
        let messages: Vec<String> = (0..count).map(|_| message(&mut self.rng)).collect();
        let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
        let state = &self.streams[&id].state;
        let mut call = say(state, &messages);
        if self.rng.u32(0..3) == 0 {
            let seq = state.producers.get(&tuple("p", 0, 0).id).map_or(0, |known| known.last_seq.get() + 1);
            call.record.producer = Some(tuple("p", 0, seq));
            call.record.stream_seq = Some(format!("{:09}", state.tail).into_bytes().into());
        }
        self.tell(vec![call])
    }

    fn fork(&mut self) -> bool {
        let Some(source) = self.some_stream() else { return true };
        let told = self.streams[&source].clone();
        let start = told.state.creation.start;
        let at = self.rng.u64(start..=told.state.tail);
        self.names += 1;
        let id = self.journal().next_id();
        let name = format!("{}/{}", told.state.creation.name.as_str().split('/').next().unwrap(), self.names);
        let shift = self.rng.u64(0..3) * 5;
        let mut call = create(id, &name, start + shift);
        let Body::Create(creation) = &mut call.record.body else { unreachable!() };
        let source_name = told.state.creation.name.clone();
        creation.fork = Some(Fork { source, source_name, at, shift, depth: 1, bytes: 0 });
        call.record.first = at + shift;
        let pin = staged(&told.state, Body::Pin { fork: id, at });
        let allowed = self.journal().kept(source).history_from <= at || at == start;
        let before = self.streams.len();
        let known = self.tell(vec![call, pin]);
        if known && told.state.creation.fork.is_none() {
            assert_eq!(self.streams.len() > before, allowed, "a fork at {at} of {:?}", self.journal().kept(source));
        }
        self.counts.forks += (self.streams.len() - before) as u64;
        known
    }

    fn end(&mut self) -> bool {
        let Some(id) = self.some_stream().filter(|id| self.streams[id].state.pins.is_empty()) else { return true };
        let state = self.streams[&id].state.clone();
        let mut calls = vec![staged(&state, Body::Delete)];
        if let Some(fork) = &state.creation.fork {
            calls.push(staged(&self.streams[&fork.source].state, Body::Unpin { fork: id }));
        }
        self.counts.ends += 1;
        self.tell(calls)
    }

    fn clustering(&mut self, choice: Choice) {
        let kept = |world: &Self| -> (u64, u64) {
            let kept = world.streams.keys().map(|id| world.journal().kept(*id));
            kept.fold((0, 0), |sum, kept| (sum.0 + kept.history_from, sum.1 + kept.deletes_from))
        };
        let before = kept(self);
        self.counts.clusterings += u64::from(self.journal().cluster(choice));
        let after = kept(self);
        self.counts.left_out += u64::from(after.0 > before.0);
        self.counts.forgotten += u64::from(after.1 > before.1);
    }

    fn reopen(&mut self) {
        if self.rng.bool() {
            self.journal().close();
        }
        self.journal = None;
        if self.rng.bool() {
            self.disk.power_loss(self.rng.u64(..));
        }
        self.lose_catalogue();
        self.open();
    }

    /// The catalogue is nothing that a journal rests on.
    fn lose_catalogue(&mut self) {
        let Some(dir) = self.catalogue() else { return };
        match (self.rng.u32(0..6), self.older.take()) {
            (0, _) => drop(std::fs::remove_dir_all(&dir)),
            (1 | 2, Some(older)) => {
                let _ = std::fs::remove_dir_all(&dir);
                copy_dir(&older.path().join("c"), &dir);
            }
            (3, _) => {
                let older = tempfile::tempdir().unwrap();
                copy_dir(&dir, &older.path().join("c"));
                self.older = Some(older);
            }
            (_, older) => self.older = older,
        }
    }

    fn check(&self, what: &str) {
        let journal = self.journal();
        let found: BTreeSet<StreamId> =
            journal.list("", None, usize::MAX).iter().map(|name| journal.find(name).unwrap()).collect();
        assert_eq!(found, self.streams.keys().copied().collect(), "{what}: which streams there are");
        for (id, told) in &self.streams {
            let state = journal.load(*id).unwrap();
            assert_eq!(facts(&state), facts(&told.state), "{what}: the state of {id}");
            self.check_messages(*id, told, what);
        }
    }

    fn check_messages(&self, id: StreamId, told: &Told, what: &str) {
        let journal = self.journal();
        let (start, tail) = (told.state.creation.start, told.state.tail);
        let mut found: BTreeMap<Position, String> = BTreeMap::new();
        let mut from = start;
        while from < tail {
            let runs = journal.read(id, from, tail, 300).unwrap();
            let Some(last) = runs.last() else { break };
            for run in &runs {
                assert!(run.first >= from, "{what}: {id} runs back");
                from = run.first + run.count;
                found.extend((run.first..).zip(messages(std::slice::from_ref(run))));
            }
            assert_eq!(from, last.first + last.count);
        }
        let wrong = found.iter().find(|(position, text)| told.messages.get(*position) != Some(*text));
        assert_eq!(wrong, None, "{what}: {id} has what was never written");
        let kept = self.kept(id);
        let missing =
            told.messages.keys().find(|position| **position >= kept.history_from && !found.contains_key(position));
        assert_eq!(missing, None, "{what}: {id} misses something of its kept history {kept:?}");
        assert!(told.state.creation.name.as_str().starts_with("fold") || kept == Default::default());
        for from in (start..=tail).filter(|from| *from == start || *from >= kept.deletes_from) {
            let before = told.messages.range(..from).map(|(_, text)| text);
            let read: Vec<&String> = before.chain(found.range(from..).map(|(_, text)| text)).collect();
            assert_eq!(fold(read.into_iter()), fold(told.messages.values()), "{what}: {id} read from {from} on");
        }
        for mark in kept.history_from..=tail {
            let read = found.range(..mark).map(|(_, text)| text);
            let all = told.messages.range(..mark).map(|(_, text)| text);
            assert_eq!(fold(read), fold(all), "{what}: {id} read up to {mark}");
        }
    }

    /// What is left, inherited parts included.
    fn kept(&self, id: StreamId) -> keyfold::storage::Kept {
        let own = self.journal().kept(id);
        let Some(state) = self.journal().load(id) else { return own };
        let Some(fork) = &state.creation.fork else { return own };
        let above = self.kept(fork.source);
        let seen = |position: u64| if position == 0 { 0 } else { position.min(fork.at) + fork.shift };
        own.and(keyfold::storage::Kept {
            history_from: seen(above.history_from),
            deletes_from: seen(above.deletes_from),
        })
    }
}

fn run(seed: u64, catalogue: bool, steps: u32) -> Counts {
    let mut world = World::new(seed, catalogue);
    for step in 0..steps {
        assert!(world.step(), "nothing fails here");
        if step % 20 == 0 {
            world.check(&format!("seed {seed}, step {step}"));
        }
    }
    world.check(&format!("seed {seed}, at the end"));
    world.reopen();
    world.check(&format!("seed {seed}, opened again"));
    world.counts
}

#[test]
fn streams_are_what_they_were_however_they_are_clustered() {
    let mut sum = Counts::default();
    for seed in 0..40 {
        let counts = run(seed, seed % 2 == 0, 250);
        sum.clusterings += counts.clusterings;
        sum.left_out += counts.left_out;
        sum.forgotten += counts.forgotten;
        sum.forks += counts.forks;
        sum.ends += counts.ends;
    }
    // Each of them happens often enough to be tried.
    let Counts { clusterings, left_out, forgotten, forks, ends, .. } = sum;
    assert!([clusterings, left_out, forks, ends].iter().all(|count| *count > 100) && forgotten > 20, "{sum:?}");
}

/// Power lost at every operation of a clustering.
fn crash_while_clustering(catalogue: bool, choice: Choice, seeds: u64) {
    for seed in 0..seeds {
        let mut whole = 0;
        for ops in 0.. {
            let mut world = World::new(seed, catalogue);
            for _ in 0..120 {
                assert!(world.step());
            }
            if choice == Choice::Merge {
                world.clustering(Choice::Segments);
            }
            world.check("before");
            world.disk.cut_power_after(ops);
            let done = world.journal().cluster(choice);
            world.journal = None;
            world.disk.power_loss(ops + seed);
            for what in ["opened", "opened again"] {
                world.open();
                world.check(&format!("seed {seed}: power lost after {ops} operations, {what}"));
                world.clustering(choice);
                world.check(&format!("seed {seed}: power lost after {ops} operations, {what}, clustered again"));
                world.journal().close();
                world.journal = None;
            }
            whole += u32::from(done);
            // Once more after the last operation, and then it is enough.
            if whole > 1 || ops > 200 {
                break;
            }
        }
    }
}

#[test]
fn power_loss_at_any_step_of_clustering_loses_nothing() {
    crash_while_clustering(false, Choice::Segments, 4);
    crash_while_clustering(false, Choice::Merge, 4);
}

#[test]
fn power_loss_at_any_step_of_clustering_loses_nothing_whatever_the_catalogue() {
    crash_while_clustering(true, Choice::Segments, 1);
    crash_while_clustering(true, Choice::Merge, 1);
}

#[test]
fn what_was_clustered_gives_its_segments_back() {
    let mut world = World::new(3, true);
    let id = world.journal().next_id();
    world.tell(vec![create(id, "fold/a", 0)]);
    let mut most = 0;
    for round in 0..60 {
        for key in 0..40 {
            let text = format!("\"k{}={round}-{}\"", key % 9, "v".repeat(60));
            let call = say(&world.streams[&id].state, &[&text]);
            world.tell(vec![call]);
        }
        world.clock.advance(Duration::from_millis(5));
        while world.journal().cluster(Choice::Worth) {}
        most = most.max(world.disk.used());
    }
    world.check("updated again and again");
    // Nine entities of 70 bytes: what is there is segments that wait to be clustered, and spare ones.
    assert!(most < 16 * TINY, "{most} bytes");
    assert!(segments(&world.disk).len() <= 12);
    assert!(mutant::is_on(Mutant::FreeNeeded) || world.journal().stats().clusterings > 10);
}

/// Records move from file to file, and from value to value of the catalogue, under those who read them.
#[test]
fn readers_find_everything_while_records_move() {
    const WRITTEN: u64 = 6_000;
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let options = JournalOptions { segment_bytes: 16 << 10, cluster_after: 1, ..JournalOptions::new(clock.clone()) };
    let journal = Journal::open_dir(dir.path(), options).unwrap();
    let rules = Arc::new(Rules { clock, history: AtomicU64::new(0), deletes: AtomicBool::new(false) });
    let weak: Weak<Rules> = Arc::downgrade(&rules);
    journal.retain_by(weak);
    let ids = ["whole/a", "whole/b"].map(|name| journal.make(name));
    let done = AtomicBool::new(false);
    let read_all = || {
        for id in ids {
            let tail = journal.load(id).unwrap().tail;
            let mut from = 0;
            while from < tail {
                let runs = journal.read(id, from, tail, 2_000).unwrap();
                for run in &runs {
                    assert_eq!(run.first, from, "of {tail}");
                    from += run.count;
                }
                assert!(!runs.is_empty(), "nothing lies at {from}, below {tail}");
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    read_all();
                }
            });
        }
        for n in 0..WRITTEN {
            let message = format!("\"k{n}={}\"", "v".repeat(90));
            let call = say(&journal.load(ids[n as usize % 2]).unwrap(), &[&message]);
            // Few wait for each other's barrier here: what matters is how often records move.
            let answer = journal.send(vec![call]);
            answer.recv_timeout(Duration::from_secs(20)).unwrap().unwrap();
            if n % 500 == 499 {
                journal.cluster(Choice::Merge);
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    read_all();
    assert!(journal.stats().clusterings > 20, "{:?}", journal.stats());
}

/// An end is kept while another cluster holds the stream, and is no reason to write a file again.
#[test]
fn what_must_be_kept_is_not_written_again_for_ever() {
    let mut world = World::new(5, true);
    let make = |world: &mut World, name: &str| {
        let id = world.journal().next_id();
        let call = create(id, name, world.journal().start_position());
        world.tell(vec![call]);
        id
    };
    let text = format!("\"k=\\u0041{}\"", "v".repeat(400));
    let say_often = |world: &mut World, id: StreamId, times: usize| {
        for _ in 0..times {
            let call = say(&world.streams[&id].state, &[&text]);
            world.tell(vec![call]);
        }
    };
    let stays = make(&mut world, "whole/stays");
    let short: Vec<StreamId> = (0..20).map(|nth| make(&mut world, &format!("whole/{nth}"))).collect();
    say_often(&mut world, stays, 40);
    short.iter().for_each(|id| say_often(&mut world, *id, 1));
    world.clustering(Choice::Segments);
    for id in short {
        let call = staged(&world.streams[&id].state, Body::Delete);
        world.tell(vec![call]);
    }
    let passing = make(&mut world, "whole/passing");
    say_often(&mut world, passing, 20);
    let call = staged(&world.streams[&passing].state, Body::Delete);
    world.tell(vec![call]);
    let filler = make(&mut world, "whole/filler");
    say_often(&mut world, filler, 10);
    world.clustering(Choice::Segments);
    let written = (0..50).take_while(|_| world.journal().cluster(Choice::Worth)).count();
    assert!(written < 10, "{written} clusterings of the same");
    world.check("clustered as often as it is worth it");
    world.reopen();
    world.check("opened again");
}

/// A clustering that cannot be put in its place keeps what it was made of, whatever goes meanwhile.
#[test]
fn a_full_disk_in_the_middle_of_a_clustering_loses_nothing() {
    for room in (0..40).map(|nth| nth * 1_500) {
        let mut world = World::new(9, false);
        (0..200).for_each(|_| assert!(world.step()));
        world.disk.set_capacity(Some(world.disk.used() + room));
        world.journal().cluster(Choice::Segments);
        while let Some(id) = world.some_stream().filter(|_| world.streams.len() > 2) {
            if !world.streams[&id].state.pins.is_empty() || !world.end() {
                break;
            }
        }
        world.journal().step();
        world.journal().cluster(Choice::Segments);
        world.disk.set_capacity(None);
        world.check(&format!("room for {room}"));
        world.journal().step();
        world.journal().cluster(Choice::Segments);
        world.check(&format!("room for {room}, and then for all"));
        world.reopen();
        world.check(&format!("room for {room}, opened again"));
    }
}
