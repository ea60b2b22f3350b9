//! A backup taken while the journal is written to, rolls, frees segments and restarts; and what becomes of one.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use axum::body::Body as HttpBody;
use keyfold::model::{StreamId, StreamName, Timestamp};
use keyfold::runtime::Clock;
use keyfold::storage::disk::{Disk, DiskFile, OsDisk, SimDisk};
use keyfold::storage::journal::Choice;
use keyfold::storage::journal::backup::{Backup, BackupError, BackupOptions, Report, backup};
use keyfold::storage::journal::restore::{RestoreError, Restored, Until, restore};
use keyfold::storage::journal::verify::{verify, verify_dir};
use keyfold::storage::retention::{Horizons, Retention, Sieve, Task};
use keyfold::storage::{Journal, JournalOptions, Staged, Store};
use keyfold::stream::{Body, StreamState};
use serde_json::{Value, json};

use super::storage_contract::crash::{SMALL, by_hand, copy_dir};
use super::storage_contract::{Ask, create, facts, say, staged, tuple};
use super::verify::World as Server;

/// How many runs to try: `KEYFOLD_SEEDS`, or enough for a quick run.
fn seeds() -> u64 {
    std::env::var("KEYFOLD_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(60)
}

// ---- a journal with writers ------------------------------------------------------------------------------------------

/// State and payloads of every stream.
type Seen = BTreeMap<StreamId, (String, Vec<u8>)>;

fn told_of(state: &StreamState, bytes: Vec<u8>) -> (String, Vec<u8>) {
    (facts(&StreamState { floor: 0, ..state.clone() }), bytes)
}

fn seen(journal: &Journal) -> Seen {
    let names = journal.list("", None, usize::MAX);
    let ids = names.iter().map(|name| journal.find(name).unwrap());
    ids.map(|id| {
        let state = journal.load(id).unwrap();
        let runs = journal.read(id, 0, state.tail, usize::MAX).unwrap();
        (id, told_of(&state, runs.iter().flat_map(|run| run.payload.to_vec()).collect()))
    })
    .collect()
}

/// Writers of a journal on a simulated disk, and what they were told.
struct World {
    disk: SimDisk,
    clock: Clock,
    journal: Option<Arc<Journal>>,
    dice: fastrand::Rng,
    /// As they are once all that is staged is durable.
    states: BTreeMap<StreamId, StreamState>,
    /// Acknowledged, in the order of the log.
    calls: Vec<Vec<Staged>>,
    names: BTreeMap<StreamId, String>,
    /// Of 256 calls, how many end a stream.
    ends: u8,
    freed: u64,
    restarts: u64,
    /// Older records are clustered now and then.
    clusters: bool,
    clustered: u64,
}

/// Everything is kept.
struct KeepAll;

impl Retention for KeepAll {
    fn horizons(&self, _: &StreamState) -> Option<Horizons> {
        None
    }

    fn sieve(&self, _: &StreamState, _: Task) -> Box<dyn Sieve> {
        unreachable!("nothing may be left out")
    }
}

static KEEP_ALL: LazyLock<Arc<KeepAll>> = LazyLock::new(|| Arc::new(KeepAll));

impl World {
    fn new(seed: u64, ends: u8) -> Self {
        let disk = SimDisk::new();
        let clock = Clock::manual(Timestamp::from_millis(1_800_000_000_000));
        let (journal, dice) = (None, fastrand::Rng::with_seed(seed));
        let (states, calls) = (BTreeMap::new(), Vec::new());
        let mut world = Self {
            disk,
            clock,
            journal,
            dice,
            states,
            calls,
            names: BTreeMap::new(),
            ends,
            freed: 0,
            restarts: 0,
            clusters: seed % 2 == 1,
            clustered: 0,
        };
        world.start();
        world
    }

    fn on(disk: SimDisk, clock: Clock, seed: u64) -> Self {
        let mut world = Self { disk, clock, ..Self::new(seed, 10) };
        world.start();
        let journal = world.journal();
        let ids = journal.list("", None, usize::MAX).into_iter().map(|name| journal.find(&name).unwrap());
        world.states = ids.map(|id| (id, journal.load(id).unwrap())).collect();
        world.names = world.states.iter().map(|(id, state)| (*id, state.creation.name.as_str().to_owned())).collect();
        world
    }

    fn journal(&self) -> Arc<Journal> {
        self.journal.clone().unwrap()
    }

    fn start(&mut self) {
        if let Some(journal) = self.journal.take() {
            self.restarts += 1;
            self.freed += journal.stats().segments_freed;
            if self.dice.bool() {
                journal.close();
            }
        }
        let options = JournalOptions { clock: self.clock.clone(), ..by_hand() };
        let journal = Journal::open(Arc::new(self.disk.clone()), options).unwrap();
        let rules: std::sync::Weak<KeepAll> = Arc::downgrade(&KEEP_ALL);
        journal.retain_by(rules);
        self.journal = Some(journal);
    }

    /// The server's machine goes down; a backup on another one stays.
    fn lose_power(&mut self, seed: u64) {
        let journal = self.journal.take().unwrap();
        self.freed += journal.stats().segments_freed;
        drop(journal);
        self.disk.power_loss(seed);
        self.restarts += 1;
        self.start();
    }

    fn call(&mut self) -> Vec<Staged> {
        let ids: Vec<StreamId> = self.states.keys().copied().collect();
        if ids.is_empty() || (ids.len() < 4 && self.dice.u8(..) < 20) {
            let id = self.journal().next_id();
            let name = format!("s{}", self.dice.u8(..6));
            let taken = self.states.values().any(|state| state.creation.name.as_str() == name);
            let name = if taken { format!("t{id}") } else { name };
            self.names.insert(id, name.clone());
            let staged = create(id, &name, self.journal().start_position());
            self.states.insert(id, StreamState::create(&staged.record).unwrap());
            return vec![staged];
        }
        if self.dice.u8(..) < self.ends {
            let id = ids[self.dice.usize(..ids.len())];
            return vec![staged(&self.states.remove(&id).unwrap(), Body::Delete)];
        }
        let count = [1, 1, 1, 2, 3][self.dice.usize(..5)];
        (0..count)
            .map(|_| {
                let id = ids[self.dice.usize(..ids.len())];
                self.record(id)
            })
            .collect()
    }

    fn record(&mut self, id: StreamId) -> Staged {
        let len = [3, 40, 200, 700, 1500][self.dice.usize(..5)];
        let text = format!("\"{}\"", char::from(self.dice.u8(b'a'..=b'z')).to_string().repeat(len));
        let state = self.states.get_mut(&id).unwrap();
        let known = state.producers.values().next().map_or(0, |producer| producer.last_seq.get() + 1);
        let mut staged = say(state, &[&text]);
        staged.record.first = state.next();
        staged.record.producer = Some(tuple("p", 0, known));
        state.apply(&staged.record);
        staged
    }

    /// One group of calls.
    fn write(&mut self) {
        let journal = self.journal();
        self.clock.advance(Duration::from_millis(self.dice.u64(..3)));
        let mut sent = Vec::new();
        for _ in 0..self.dice.usize(1..6) {
            let call = self.call();
            let ends = call.iter().any(|staged| matches!(staged.record.body, Body::Delete));
            sent.push((journal.send(call.clone()), call));
            // A stream that comes next begins above what is gone.
            if ends {
                break;
            }
        }
        journal.step();
        for (answer, call) in sent {
            answer.try_recv().unwrap().unwrap();
            self.calls.push(call);
        }
    }

    fn live(&mut self) {
        match self.dice.u8(..) {
            0..150 => self.write(),
            150..220 => self.journal().mark(),
            220..230 => self.start(),
            230.. if self.clusters => {
                let choice = if self.dice.bool() { Choice::Segments } else { Choice::Merge };
                self.clustered += u64::from(self.journal().cluster(choice));
            }
            _ => {}
        }
    }

    /// The streams after the first `count` calls.
    fn after(&self, count: usize) -> Seen {
        let mut streams: BTreeMap<StreamId, (StreamState, Vec<u8>)> = BTreeMap::new();
        for staged in self.calls[..count].iter().flatten() {
            let record = &staged.record;
            match &record.body {
                Body::Create(_) => {
                    streams.insert(record.stream, (StreamState::create(record).unwrap(), Vec::new()));
                }
                Body::Delete => drop(streams.remove(&record.stream)),
                body => {
                    let (state, payloads) = streams.get_mut(&record.stream).unwrap();
                    if let Body::Append { payload, .. } = body {
                        payloads.extend_from_slice(payload);
                    }
                    state.apply(record);
                }
            }
        }
        streams.into_iter().map(|(id, (state, bytes))| (id, told_of(&state, bytes))).collect()
    }

    /// The calls that a restored journal holds, of those from `least` on: it holds the first few of them, whole, and
    /// nothing else.
    fn held(&self, disk: &SimDisk, least: usize, what: &str) -> usize {
        *self.held_between(disk, least, what).start()
    }

    /// As [`World::held`], and the most calls that leave the same state: a stream may come and go.
    fn held_between(&self, disk: &SimDisk, least: usize, what: &str) -> RangeInclusive<usize> {
        let journal = open(disk, &self.clock);
        let times = |seen: Seen| -> Seen { seen.into_iter().map(|(id, (s, b))| (id, (timeless(&s), b))).collect() };
        let seen = times(seen(&journal));
        let is_held = |count: &usize| times(self.after(*count)) == seen;
        let first = (least..=self.calls.len()).find(is_held);
        let last = (least..=self.calls.len()).rev().find(is_held);
        let held = first.zip(last).map(|(first, last)| first..=last);
        held.unwrap_or_else(|| panic!("{what}: it is no state after {least} calls or more of {}", self.calls.len()))
    }
}

/// Commit times are the store's to say.
fn timeless(facts: &str) -> String {
    let mut out = String::new();
    for part in facts.split("Timestamp(") {
        let rest = if out.is_empty() { part } else { part.split_once(')').map_or(part, |(_, rest)| rest) };
        out.push_str(rest);
        out.push('|');
    }
    out
}

fn open(disk: &SimDisk, clock: &Clock) -> Arc<Journal> {
    let options = JournalOptions { clock: clock.clone(), ..by_hand() };
    Journal::open(Arc::new(disk.clone()), options).unwrap()
}

/// A disk on which a server does something before every look.
struct Meddling {
    below: SimDisk,
    world: Arc<Mutex<World>>,
}

struct MeddlingFile {
    below: Arc<dyn DiskFile>,
    world: Arc<Mutex<World>>,
}

fn meddle(world: &Mutex<World>) {
    if let Ok(mut world) = world.try_lock() {
        world.live();
    }
}

impl Disk for Meddling {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        meddle(&self.world);
        let below = self.below.open(name)?;
        match name.starts_with("segment-") || name.starts_with("cluster-") {
            true => Ok(Arc::new(MeddlingFile { below, world: self.world.clone() })),
            false => Ok(below),
        }
    }

    fn create(&self, _: &str) -> io::Result<Arc<dyn DiskFile>> {
        unreachable!("a backup only reads")
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        unreachable!("a backup only reads")
    }

    fn unlink(&self, _: &str) -> io::Result<()> {
        unreachable!("a backup only reads")
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.below.list()
    }

    fn sync_dir(&self) -> io::Result<()> {
        unreachable!("a backup only reads")
    }

    fn lock(&self, _: &str) -> io::Result<Box<dyn Any + Send + Sync>> {
        unreachable!("the server has it")
    }
}

impl DiskFile for MeddlingFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        meddle(&self.world);
        self.below.read_at(buffer, offset)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        unreachable!("a backup only reads")
    }

    fn sync_data(&self) -> io::Result<()> {
        unreachable!("a backup only reads")
    }

    fn len(&self) -> io::Result<u64> {
        self.below.len()
    }

    fn truncate(&self, _: u64) -> io::Result<()> {
        unreachable!("a backup only reads")
    }
}

/// A backup while the world goes on.
fn take(world: &Arc<Mutex<World>>, target: &dyn Disk, prune: bool) -> Result<Report, BackupError> {
    let (disk, clock) = {
        let world = world.lock().unwrap();
        (world.disk.clone(), world.clock.clone())
    };
    let source = Meddling { below: disk, world: world.clone() };
    let pause = |_: Duration| {
        let world = world.lock().unwrap();
        world.journal().mark();
    };
    backup(&source, target, &options(clock, prune, &pause))
}

fn options<'a>(clock: Clock, prune: bool, pause: &'a dyn Fn(Duration)) -> BackupOptions<'a> {
    let (bytes_per_second, patience, progress) = (None, Duration::from_secs(5), &|_, _| {});
    BackupOptions { clock, bytes_per_second, prune, patience, pause, progress }
}

fn restored(target: &dyn Disk, until: Until, clock: &Clock) -> Result<(SimDisk, Restored), RestoreError> {
    let disk = SimDisk::new();
    let done = restore(target, Some(&disk), until, clock, &|_, _| {})?;
    Ok((disk, done))
}

fn again(seed: u64, test: &str) -> impl Drop {
    struct Again(u64, String);
    impl Drop for Again {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("seed {} of {}", self.0, self.1);
            }
        }
    }
    Again(seed, test.to_owned())
}

// ---- while it is written to ------------------------------------------------------------------------------------------

#[test]
fn a_backup_of_a_busy_journal_is_a_state_that_it_was_in_at_every_position() {
    let (mut restarts, mut freed, mut gaps, mut refused, mut copied, mut unstable, mut clustered) =
        (0, 0, 0, 0, 0, 0, 0);
    for seed in 0..seeds() {
        let _again = again(seed, "a_backup_of_a_busy_journal");
        let world = Arc::new(Mutex::new(World::new(seed, [4, 60][seed as usize % 2])));
        let target = SimDisk::new();
        let mut dice = fastrand::Rng::with_seed(!seed);
        for round in 0..4 {
            let before = {
                let mut world = world.lock().unwrap();
                (0..dice.usize(..20)).for_each(|_| world.write());
                if dice.u8(..) < 80 {
                    world.lose_power(dice.u64(..));
                }
                world.calls.len()
            };
            let report = match take(&world, &target, seed % 5 == 4) {
                Ok(report) => report,
                Err(BackupError::Unstable) => {
                    unstable += 1;
                    continue;
                }
                Err(error) => panic!("seed {seed}, round {round}: {error}"),
            };
            copied += report.segments_copied;
            gaps += report.backup.gaps.len();
            target.power_loss(seed);
            let world = world.lock().unwrap();
            let (disk, whole) = restored(&target, Until::End, &world.clock).unwrap();
            assert_eq!(whole.position, report.backup.position, "seed {seed}");
            let all = *world.held_between(&disk, before, &format!("seed {seed}, round {round}")).end();
            let sound = verify(Arc::new(disk.clone()), None, world.clock.clone(), Arc::new(|_, _| {})).unwrap();
            assert!(sound.is_sound(), "seed {seed}: {:?}", sound.differences);
            let mut positions: Vec<u64> = (0..4).map(|_| dice.u64(..=report.backup.position)).collect();
            positions.sort_unstable();
            let mut last = 0;
            for position in positions {
                match restored(&target, Until::Position(position), &world.clock) {
                    Ok((disk, done)) => {
                        assert!(done.position <= position, "seed {seed}");
                        last = world.held(&disk, last, &format!("seed {seed} at {position}"));
                        assert!(last <= all, "seed {seed}");
                    }
                    Err(RestoreError::Incomplete { gap, .. }) => {
                        assert!(gap.from < position && position < gap.known_by + SMALL, "seed {seed}");
                        refused += 1;
                    }
                    Err(RestoreError::TooEarly(_)) => refused += 1,
                    Err(error) => panic!("seed {seed}: {error}"),
                }
            }
        }
        let world = world.lock().unwrap();
        restarts += world.restarts;
        freed += world.freed + world.journal().stats().segments_freed;
        clustered += world.clustered;
    }
    eprintln!(
        "{restarts} restarts, {freed} freed, {clustered} clusterings, {gaps} gaps, {refused} refused, {copied} copied, \
         {unstable} unstable"
    );
    assert!(restarts > seeds() && freed > seeds() && gaps > 0 && refused > 0, "everything was met");
    assert!(clustered > seeds() / 2, "{clustered} clusterings");
    assert!(unstable < seeds() / 10);
}

#[test]
fn what_is_not_durable_is_in_no_backup() {
    let world = Arc::new(Mutex::new(World::new(7, 4)));
    (0..10).for_each(|_| world.lock().unwrap().write());
    let disk = world.lock().unwrap().disk.clone();
    let (told, before) = (Arc::new(Mutex::new(None)), world.lock().unwrap().calls.len());
    let (hook_disk, hook_told) = (disk.clone(), told.clone());
    // Written and not synced: whoever looks at the files now sees it.
    disk.on_sync(Some(Arc::new(move || {
        let target = SimDisk::new();
        let made = backup(&hook_disk, &target, &options(Clock::system(), false, &|_| {}));
        hook_told.lock().unwrap().get_or_insert((made.map(|report| report.backup.position), target));
    })));
    world.lock().unwrap().write();
    disk.on_sync(None);
    let (made, target) = told.lock().unwrap().take().unwrap();
    assert!(matches!(made, Err(BackupError::Unproven(_))), "{made:?}");
    assert!(Backup::load(&target).unwrap().is_none(), "nothing is said to be there");
    let clock = world.lock().unwrap().clock.clone();
    take(&world, &target, false).unwrap();
    let (disk, _) = restored(&target, Until::End, &clock).unwrap();
    world.lock().unwrap().held(&disk, before + 1, "once it is durable");
}

#[test]
fn what_is_added_step_by_step_is_what_is_copied_at_once() {
    for seed in 0..seeds() {
        let _again = again(seed, "what_is_added_step_by_step");
        let world = Arc::new(Mutex::new(World::new(seed, [0, 30][seed as usize % 2])));
        let (steps, once) = (SimDisk::new(), SimDisk::new());
        let mut bytes = 0;
        for _ in 0..5 {
            (0..15).for_each(|_| world.lock().unwrap().write());
            bytes += take(&world, &steps, false).unwrap().bytes_copied;
        }
        world.lock().unwrap().journal().mark();
        let clock = world.lock().unwrap().clock.clone();
        let disk = world.lock().unwrap().disk.clone();
        let quiet = |target: &SimDisk| backup(&disk, target, &options(clock.clone(), false, &|_| {})).unwrap();
        let (last, full) = (quiet(&steps), quiet(&once));
        bytes += last.bytes_copied;
        assert_eq!(last.backup.position, full.backup.position);
        let all = last.backup.bytes();
        assert!(bytes < all + all / 2 + 40 * SMALL, "seed {seed}: {bytes} bytes were copied for {all}");
        let of = |target: &SimDisk| seen(&open(&restored(target, Until::End, &clock).unwrap().0, &clock));
        assert!(of(&steps) == of(&once), "seed {seed}");
        let idle = quiet(&steps);
        assert!(idle.bytes_copied < 64, "only a mark: {}", idle.bytes_copied);
    }
}

#[test]
fn a_moment_is_restored_by_its_time() {
    let mut world = World::new(3, 0);
    let mut moments = Vec::new();
    for _ in 0..30 {
        world.write();
        moments.push((world.clock.now(), world.calls.len()));
        world.clock.advance(Duration::from_secs(60));
    }
    world.journal().mark();
    let target = SimDisk::new();
    let report = backup(&world.disk, &target, &options(world.clock.clone(), false, &|_| {})).unwrap();
    for (moment, calls) in moments {
        for time in [moment, moment.after(Duration::from_secs(30))] {
            let (disk, done) = restored(&target, Until::Time(time), &world.clock).unwrap();
            assert_eq!((world.held(&disk, 0, "by time"), done.time_ms), (calls, moment.as_millis()));
        }
    }
    let later = Timestamp::from_millis(report.backup.taken_at_ms + 1);
    let refused = |until| restored(&target, until, &world.clock).map(|(_, done)| done).unwrap_err();
    assert!(matches!(refused(Until::Time(later)), RestoreError::BeyondTime(_)));
    let beyond = Until::Position(report.backup.position + 1);
    assert!(matches!(restored(&target, beyond, &world.clock), Err(RestoreError::BeyondPosition(_))));
}

// ---- what may befall a backup ----------------------------------------------------------------------------------------

#[test]
fn every_flipped_bit_is_found_and_named() {
    let world = Arc::new(Mutex::new(World::new(11, 10)));
    (0..60).for_each(|_| world.lock().unwrap().write());
    let target = SimDisk::new();
    let report = take(&world, &target, false).unwrap();
    let clock = world.lock().unwrap().clock.clone();
    let mut dice = fastrand::Rng::with_seed(5);
    for entry in &report.backup.segments {
        let name = format!("segment-{:08}.{}", entry.file, entry.life);
        for _ in 0..40 {
            let disk = target.copy();
            let mut bytes = disk.contents(&name).unwrap();
            let at = dice.usize(..entry.len as usize);
            bytes[at] ^= 1 << dice.u8(..8);
            disk.overwrite(&name, bytes);
            match restored(&disk, Until::End, &clock) {
                Err(RestoreError::Damaged { file, position }) => {
                    assert_eq!(file, name);
                    assert!(position <= entry.base + at as u64 && entry.base <= position);
                    // What lies before it can be had.
                    match restored(&disk, Until::Position(position), &clock) {
                        Ok((disk, done)) => {
                            assert_eq!(done.position, position);
                            world.lock().unwrap().held(&disk, 0, "before the damage");
                        }
                        Err(error) => assert!(matches!(
                            error,
                            RestoreError::TooEarly(_)
                                | RestoreError::Incomplete { .. }
                                | RestoreError::Damaged { .. }
                        )),
                    }
                }
                other => panic!("{name} at {at}: {:?}", other.map(|(_, done)| done)),
            }
        }
        let disk = target.copy();
        disk.unlink(&name).unwrap();
        assert!(matches!(restored(&disk, Until::End, &clock), Err(RestoreError::Damaged { .. })));
    }
    for _ in 0..200 {
        let disk = target.copy();
        let mut bytes = disk.contents("backup.json").unwrap();
        let at = dice.usize(..bytes.len() - 1);
        bytes[at] ^= 1 << dice.u8(..8);
        disk.overwrite("backup.json", bytes);
        assert!(restored(&disk, Until::End, &clock).is_err(), "byte {at}");
    }
}

#[test]
fn a_backup_that_is_cut_off_leaves_the_former_one() {
    let mut cut = 0;
    for seed in 0..seeds() / 6 {
        let _again = again(seed, "a_backup_that_is_cut_off");
        let world = Arc::new(Mutex::new(World::new(seed, [4, 60][seed as usize % 2])));
        (0..15).for_each(|_| world.lock().unwrap().write());
        let target = SimDisk::new();
        let mut least = world.lock().unwrap().calls.len();
        take(&world, &target, false).unwrap();
        for ops in 0..24 {
            (0..3).for_each(|_| world.lock().unwrap().write());
            target.cut_power_after(ops);
            let calls = world.lock().unwrap().calls.len();
            match take(&world, &target, false) {
                Ok(_) => least = calls,
                Err(_) => cut += 1,
            }
            target.power_loss(seed * 100 + ops);
            let world = world.lock().unwrap();
            let (disk, _) = restored(&target, Until::End, &world.clock).unwrap();
            world.held(&disk, least, &format!("seed {seed}, cut after {ops}"));
        }
        take(&world, &target, false).unwrap();
    }
    assert!(cut > seeds() / 6 * 5, "{cut}");
}

#[test]
fn a_backup_is_of_one_journal_and_one_history() {
    let (one, other) = (World::new(1, 0), World::new(2, 0));
    let target = SimDisk::new();
    let mut one = one;
    let mut other = other;
    for world in [&mut one, &mut other] {
        world.write();
        world.journal().mark();
    }
    let take = |disk: &SimDisk, clock: &Clock| backup(disk, &target, &options(clock.clone(), false, &|_| {}));
    take(&one.disk, &one.clock).unwrap();
    assert!(matches!(take(&other.disk, &other.clock), Err(BackupError::OtherJournal)));
    let (disk, _) = restored(&target, Until::End, &one.clock).unwrap();
    let journal = open(&disk, &one.clock);
    assert!(matches!(take(&disk, &one.clock), Err(BackupError::OtherHistory)));
    journal.close();
    take(&one.disk, &one.clock).unwrap();
    assert!(matches!(restore(&target, Some(&disk), Until::End, &one.clock, &|_, _| {}), Err(RestoreError::NotEmpty)));
    assert!(matches!(
        restored(&SimDisk::new(), Until::End, &one.clock),
        Err(RestoreError::Backup(BackupError::NoBackup))
    ));
}

// ---- what goes on from one -------------------------------------------------------------------------------------------

/// What was told to be at which position of which name.
type Handed = BTreeSet<(String, u64)>;

fn handed(world: &World, from: usize) -> Handed {
    let records = world.calls[from..].iter().flatten().map(|staged| &staged.record);
    // The place behind each message.
    let offsets = records.flat_map(|record| {
        let name = &world.names[&record.stream];
        (record.first..record.first + record.count).map(|at| (name.clone(), at + 1))
    });
    offsets.collect()
}

#[test]
fn no_offset_is_given_out_twice_after_a_restore_to_the_past() {
    for seed in 0..seeds() {
        let _again = again(seed, "no_offset_is_given_out_twice");
        let mut world = World::new(seed, [2, 30][seed as usize % 2]);
        (0..20).for_each(|_| world.write());
        world.journal().mark();
        let target = SimDisk::new();
        let report = backup(&world.disk, &target, &options(world.clock.clone(), false, &|_| {})).unwrap();
        let cut = fastrand::Rng::with_seed(seed).u64(report.backup.position / 2..=report.backup.position);
        // The future that is going to be lost, of which the backup does not know.
        (0..20).for_each(|_| world.write());
        let mut futures: Vec<Handed> = Vec::new();
        let mut clock = world.clock.clone();
        for attempt in 0..3 {
            clock = Clock::manual(clock.now().after(Duration::from_millis(5)));
            let Ok((disk, done)) = restored(&target, Until::Position(cut), &clock) else { break };
            if futures.is_empty() {
                let kept = world.held(&disk.copy(), 0, "the cut");
                futures.push(handed(&world, kept));
            }
            let mut next = World::on(disk.clone(), clock.clone(), seed + 1000 + attempt);
            for _ in 0..25 {
                next.write();
                if next.dice.u8(..) < 30 {
                    next.start();
                }
            }
            let now = handed(&next, 0);
            for former in &futures {
                let twice: Vec<_> = former.intersection(&now).take(3).collect();
                assert!(twice.is_empty(), "seed {seed}, attempt {attempt}: {twice:?}");
            }
            assert!(now.iter().all(|(_, at)| *at > done.positions_from));
            futures.push(now);
            let expected: BTreeMap<StreamId, u64> = next.states.iter().map(|(id, state)| (*id, state.tail)).collect();
            drop(next.journal.take());
            let sound = verify(Arc::new(disk.clone()), None, clock.clone(), Arc::new(|_, _| {})).unwrap();
            assert!(sound.is_sound(), "seed {seed}: {:?}", sound.differences);
            drop(sound);
            let journal = open(&disk, &clock);
            for (id, tail) in expected {
                let state = journal.load(id).unwrap();
                assert_eq!(state.tail, tail);
                let messages = journal.everything(id).len() as u64;
                assert_eq!(messages, state.tail - state.creation.start - state.skipped, "seed {seed}");
            }
            clock = next.clock.clone();
        }
    }
}

#[test]
fn a_directory_is_restored_with_a_catalogue_and_reads_across_the_cut() {
    let (from, to, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let options_of = || JournalOptions { segment_bytes: SMALL, ..JournalOptions::new(Clock::system()) };
    let journal = Journal::open_dir(from.path(), options_of()).unwrap();
    let ids = ["a", "b"].map(|name| journal.make(name));
    let text = format!("\"{}\"", "x".repeat(900));
    (0..30).for_each(|_| ids.iter().for_each(|id| _ = journal.say(*id, &[&text])));
    take_dir(from.path(), kept.path());
    journal.close();
    let restore_to = |dir: &Path, until| {
        let target = OsDisk::new(dir.join("journal")).unwrap();
        restore(&OsDisk::to_read(kept.path()), Some(&target), until, &Clock::system(), &|_, _| {}).unwrap()
    };
    let done = restore_to(to.path(), Until::End);
    let next = |journal: &Journal, id: StreamId| {
        let state = journal.load(id).unwrap();
        let mut staged = say(&state, &[&text]);
        staged.record.first = state.next();
        journal.ask(vec![staged]).unwrap();
    };
    for round in 0..3 {
        let journal = Journal::open_dir(to.path(), options_of()).unwrap();
        // Of one stream much, so that the catalogue knows both sides of the cut; of the other little.
        (0..30).for_each(|_| next(&journal, ids[0]));
        if round == 1 {
            next(&journal, ids[1]);
        }
        for (id, count) in [(ids[0], 30 + 30 * (round + 1)), (ids[1], if round == 0 { 30 } else { 31 })] {
            let state = journal.load(id).unwrap();
            assert_eq!(journal.everything(id).len(), count, "round {round}");
            let mut read = 0;
            let mut at = 0;
            while at < state.tail {
                let runs = journal.read(id, at, state.tail, 2_000).unwrap();
                assert!(!runs.is_empty(), "round {round}: nothing at {at}");
                read += runs.iter().map(|run| run.count).sum::<u64>();
                at = runs.last().map_or(state.tail, |run| run.first + run.count);
            }
            assert_eq!(read, count as u64, "round {round}");
            for lost in [31, 1 << 30, done.positions_from] {
                assert!(journal.read(id, lost - 1, lost, 1).unwrap().is_empty(), "nothing is said to be at {lost}");
            }
        }
        journal.close();
        let found = verify_dir(to.path(), Clock::system(), Arc::new(|_, _| {})).unwrap();
        assert!(found.is_sound(), "round {round}: {:?}", found.differences);
    }
    std::fs::remove_dir_all(to.path().join("catalogue")).unwrap();
    let journal = Journal::open_dir(to.path(), options_of()).unwrap();
    assert_eq!(journal.everything(ids[0]).len(), 120, "also where the catalogue is built again");
    assert!(journal.start_position() >= done.positions_from);
    journal.close();
}

fn take_dir(data_dir: &Path, target: &Path) -> Report {
    let (source, target) = (OsDisk::to_read(data_dir.join("journal")), OsDisk::new(target).unwrap());
    backup(&source, &target, &options(Clock::system(), false, &std::thread::sleep)).unwrap()
}

// ---- what readers are told -------------------------------------------------------------------------------------------

async fn tail_of(server: &Server, stream: &str) -> String {
    let (status, found) = server.send("GET", &format!("/v1/state/{stream}"), &[], HttpBody::empty()).await;
    assert_eq!(status, 200, "{found}");
    found["offsets"]["tail"].as_str().unwrap().to_owned()
}

fn job(n: u64, name: &str) -> Value {
    json!({ "id": format!("j{n}"), "name": name })
}

#[tokio::test]
async fn readers_of_a_history_that_was_cut_off_are_told_so_and_others_go_on() {
    let (from, to, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let clock = Clock::manual(Timestamp::from_millis(1_800_000_000_000));
    let server = Server::on(from.path(), clock.clone());
    server.fill().await;
    let lines = ("content-type", "text/plain");
    server.ok("PUT", "/v1/stream/lines", &[lines], "abc").await;
    let put = async |server: &Server, n: u64, name: &str| {
        server.json("PUT", &format!("/v1/state/w/a/-/entities/job/j{n}"), job(n, name)).await;
    };
    take_dir(from.path(), kept.path());
    let length =
        server.send("GET", "/v1/state/w/a", &[], HttpBody::empty()).await.1["length"].as_u64().unwrap() as usize;
    let cut = [tail_of(&server, "lines").await, tail_of(&server, "w/a").await];
    for n in 0..5 {
        server.ok("POST", "/v1/stream/lines", &[lines], "lost").await;
        put(&server, n, "lost").await;
    }
    put(&server, 900, "lost").await;
    let lost = [tail_of(&server, "lines").await, tail_of(&server, "w/a").await];
    server.stop().await;

    let target = OsDisk::new(to.path().join("journal")).unwrap();
    restore(&OsDisk::to_read(kept.path()), Some(&target), Until::End, &clock.clone(), &|_, _| {}).unwrap();
    let server = Server::on(to.path(), clock.clone());
    let get = async |path: String| server.send("GET", &path, &[], HttpBody::empty()).await;
    // Before anything is written, and after.
    for round in 0..2 {
        let (status, problem) = get(format!("/v1/stream/lines?offset={}", lost[0])).await;
        assert_eq!((status, problem["type"].as_str().unwrap().contains("offset-gone")), (410, true), "{problem}");
        let (status, _) = get(format!("/v1/stream/w/a?offset={}", lost[1])).await;
        assert_eq!(status, 410, "who is not told to reset would keep what is lost");
        let (status, _) = get(format!("/v1/state/w/a?min_offset={}", lost[1])).await;
        assert_eq!(status, 410, "what was written there is not here");
        let mark = lost[1].split('_').next().unwrap();
        let (_, unfinished) = get(format!("/v1/stream/w/a?fold=true&offset={:016x}_{mark}", 3)).await;
        for page in [unfinished, get(format!("/v1/stream/w/a?fold=true&offset={}", lost[1])).await.1] {
            assert_eq!(page[0]["headers"]["control"], "reset", "{page}");
            assert_eq!(page[1]["headers"]["control"], "snapshot-start");
            assert!(!page.to_string().contains("lost"), "{page}");
        }
        let (status, page) = get(format!("/v1/stream/w/a?fold=true&offset={}", cut[1])).await;
        assert_eq!(status, 200);
        assert_eq!(page.as_array().unwrap().len(), round, "{page}");
        let (status, _) = get(format!("/v1/stream/lines?offset={}", cut[0])).await;
        assert_eq!(status, 200);
        if round == 0 {
            server.ok("POST", "/v1/stream/lines", &[lines], "new").await;
            put(&server, 1, "new").await;
            let made = tail_of(&server, "w/a").await;
            assert!(made > lost[1]);
            let (status, _) = get(format!("/v1/state/w/a?min_offset={made}")).await;
            assert_eq!(status, 200);
        }
    }
    let (_, found) = get("/v1/state/lines".into()).await;
    assert_eq!(found["length"], 6, "{found}");
    let (_, found) = get("/v1/state/w/a".into()).await;
    assert_eq!(found["length"], length + 1, "{found}");
    // A fork reads across the cut, and one under a name that the lost future may have had lies above it.
    let source = [("stream-forked-from", "/v1/stream/w/a")];
    server.ok("PUT", "/v1/stream/w/across", &source, HttpBody::empty()).await;
    let (_, snapshot) = get("/v1/state/w/across/-/snapshot".into()).await;
    assert_eq!(snapshot["collections"]["job"]["j1"]["name"], "new");
    assert!(snapshot["collections"]["job"]["j9"]["name"].as_str().unwrap().starts_with('x'));
    let (status, all) = get("/v1/stream/w/across".into()).await;
    assert_eq!((status, all.as_array().unwrap().len()), (200, length + 1));
    server.stop().await;
    let found = verify_dir(to.path(), clock.clone(), Arc::new(|_, _| {})).unwrap();
    assert!(found.is_sound(), "{:?}", found.differences);
    let streams = keyfold::engine::verify::verify(
        &found.store().unwrap(),
        clock.clone(),
        keyfold::engine::Settings::default(),
        &|_: &StreamName| {},
    );
    assert!(streams.differences.is_empty(), "{:?}", streams.differences);
    drop((streams, found));

    // And once more, from a backup of what was restored.
    let (again, then) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let copy = tempfile::tempdir().unwrap();
    copy_dir(to.path(), copy.path());
    take_dir(copy.path(), again.path());
    let target = OsDisk::new(then.path().join("journal")).unwrap();
    restore(&OsDisk::to_read(again.path()), Some(&target), Until::End, &clock.clone(), &|_, _| {}).unwrap();
    let server = Server::on(then.path(), clock.clone());
    put(&server, 2, "newer").await;
    let (_, all) = server.send("GET", "/v1/stream/w/a", &[], HttpBody::empty()).await;
    assert_eq!(all.as_array().unwrap().len(), length + 2);
    let (_, page) =
        server.send("GET", &format!("/v1/stream/w/a?fold=true&offset={}", cut[1]), &[], HttpBody::empty()).await;
    assert_eq!(page.as_array().unwrap().len(), 2, "{page}");
    server.stop().await;
}

// ---- on the command line ---------------------------------------------------------------------------------------------

fn keyfold(args: &[&str], paths: &[&Path]) -> (Option<i32>, String, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_keyfold"));
    let output = command.args(args).args(paths).env_clear().output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_commands_say_what_they_did_and_what_to_do_next() {
    let [from, kept, to, other] = [(); 4].map(|()| tempfile::tempdir().unwrap());
    let journal = Journal::open_dir(from.path(), JournalOptions::new(Clock::system())).unwrap();
    let id = journal.make("a");
    (0..9).for_each(|_| _ = journal.say(id, &["1"]));
    // It runs, and has the lock.
    let (status, out, _) = keyfold(&["backup", "--json", "--data-dir"], &[from.path(), kept.path()]);
    let said: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((status, &said["segments"]), (Some(0), &json!(1)), "{said}");
    assert!(said["time"].as_str().unwrap().starts_with("20") && said["gaps"] == json!([]), "{said}");
    let position = said["position"].as_u64().unwrap();
    let (status, out, _) = keyfold(&["backup", "--mib-per-second", "1", "--data-dir"], &[from.path(), kept.path()]);
    assert_eq!(status, Some(0));
    assert!(out.starts_with(&format!("backup: up to journal position {position}, the last record of 20")), "{out}");
    journal.close();

    let (status, out, _) = keyfold(&["restore", "--check", "--data-dir"], &[to.path(), kept.path()]);
    assert!(status == Some(0) && out.starts_with("can be restored: 10 records"), "{out}");
    assert!(!to.path().join("journal").exists());
    let restore = |more: &[&str], into: &Path| {
        keyfold(&[&["restore", "--json"], more, &["--data-dir"]].concat(), &[into, kept.path()])
    };
    let (status, out, _) = restore(&["--to-position", &(position - 1).to_string()], to.path());
    let said: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((status, &said["records"]), (Some(0), &json!(9)), "{said}");
    let (status, _, error) = restore(&[], to.path());
    assert!(status == Some(1) && error.contains("--data-dir"), "{error}");
    let (status, _, error) = restore(&["--to-time", "2999-01-01T00:00:00Z"], other.path());
    assert!(status == Some(1) && error.contains("nothing is known of what came later"), "{error}");
    assert_eq!(restore(&["--to-time", "yesterday"], other.path()).0, Some(2));
    assert_eq!(restore(&["--to-time", "2026-01-01T00:00:00Z", "--to-position", "1"], other.path()).0, Some(2));
    let (status, _, error) = keyfold(&["backup", "--data-dir"], &[to.path(), kept.path()]);
    assert!(status == Some(1) && error.contains("another history"), "{error}");
    let (status, _, error) = keyfold(&["backup", "--data-dir"], &[other.path(), kept.path()]);
    assert!(status == Some(1) && error.contains("holds no journal"), "{error}");
    assert_eq!(keyfold(&["backup", "--data-dir"], &[from.path(), to.path()]).0, Some(2), "a data directory");
    let (status, _, error) = keyfold(&["restore", "--data-dir"], &[other.path(), other.path()]);
    assert!(status == Some(1) && error.contains("holds no backup"), "{error}");
    assert!(std::fs::read_dir(other.path()).unwrap().next().is_none(), "nothing is left behind");
}

#[test]
fn what_was_restored_can_be_exported_and_goes_on_above_the_cut_where_it_is_imported() {
    let mut world = World::new(21, 10);
    (0..20).for_each(|_| world.write());
    world.journal().mark();
    let target = SimDisk::new();
    backup(&world.disk, &target, &options(world.clock.clone(), false, &|_| {})).unwrap();
    let (disk, done) = restored(&target, Until::End, &world.clock).unwrap();
    let mut next = World::on(disk, world.clock.clone(), 22);
    // One stream goes on, others have yet to.
    (0..3).for_each(|_| next.write());
    let text = |journal: &Journal| {
        let mut out = Vec::new();
        let (former, lifts) = (journal.former_ends().unwrap(), journal.lifts());
        keyfold::engine::transfer::export(journal, former, lifts, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    let lines = text(&next.journal());
    keyfold::engine::transfer::check(lines.as_bytes()).unwrap();
    let lifts = keyfold::engine::transfer::lifts(lines.as_bytes()).unwrap();
    assert_eq!(lifts, [done.positions_from]);
    let dir = tempfile::tempdir().unwrap();
    let options_of = || JournalOptions { lifts: lifts.clone(), ..JournalOptions::new(Clock::system()) };
    let made = Journal::open_dir(dir.path(), options_of()).unwrap();
    keyfold::engine::transfer::import(&*made, &lifts, lines.as_bytes()).unwrap();
    assert!(text(&made) == lines, "another export");
    made.close();
    let made = Journal::open_dir(dir.path(), JournalOptions::new(Clock::system())).unwrap();
    for name in made.list("", None, usize::MAX) {
        let state = made.load(made.find(&name).unwrap()).unwrap();
        assert!(state.next() >= done.positions_from, "{name}");
    }
    made.close();
    let found = verify_dir(dir.path(), Clock::system(), Arc::new(|_, _| {})).unwrap();
    assert!(found.is_sound(), "{:?}", found.differences);
}
