//! One run: a disk, several lives of the server on it, and a dice that decides who moves and what breaks.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keyfold::engine::{Engine, Fault, PublishedStream, Selection, Settings, Start};
use keyfold::model::{Limits, Timestamp};
use keyfold::runtime::Clock;
use keyfold::storage::disk::{Disk, SimDisk};
use keyfold::storage::journal::Choice;
use keyfold::storage::{Journal, JournalOptions, OpenError, Store};

use super::clients::{self, Client, Memory, NAMES, Pace, Shared, sight_of, stream_name, units_of};
use super::executor::{Executor, Task};
use super::model::{Checked, Model, Sight};

const CLIENTS: usize = 5;

/// What a run leaves: byte for byte the same for the same seed.
#[derive(PartialEq, Eq, Debug)]
pub struct Outcome {
    pub trace: Vec<String>,
    pub image: Vec<(String, Vec<u8>)>,
    pub checked: Checked,
}

struct World {
    seed: u64,
    disk: SimDisk,
    clock: Clock,
    rng: fastrand::Rng,
    executor: Executor,
    shared: Rc<Shared>,
    memories: Vec<Rc<RefCell<Memory>>>,
    segment_bytes: u64,
    page_bytes: usize,
    /// The catalogue is kept on the machine's own disk; what happens to it happens between lives.
    catalogue: Option<tempfile::TempDir>,
    /// What somebody saw who looked while a barrier was under way.
    early: Arc<Mutex<Vec<(usize, Sight)>>>,
}

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Close,
    Kill,
    PowerLoss,
}

struct Life {
    journal: Arc<Journal>,
    engine: Engine,
    clients: Vec<Task>,
}

/// Lines of the trace that are printed where a claim is broken.
const LAST_LINES: usize = 40;

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let trace = self.shared.trace.take();
            let all = std::env::var_os("KEYFOLD_SIM_TRACE").is_some();
            let skipped = if all { 0 } else { trace.len().saturating_sub(LAST_LINES) };
            eprintln!("seed {}, after {skipped} lines:\n{}", self.seed, trace[skipped..].join("\n"));
            eprintln!("again: KEYFOLD_SEED={} cargo test --test simulation fixed_seeds_hold", self.seed);
        }
    }
}

/// Runs a seed to its end; panics where a claim is broken.
pub fn run(seed: u64) -> Outcome {
    // The journal draws its identity from here.
    fastrand::seed(seed);
    let mut world = World::new(seed);
    let lives = world.rng.usize(2..6);
    for life in 0..lives {
        world.note(format!("life {life} of {lives}"));
        let opened = world.open();
        world.check(&opened);
        world.live(opened);
    }
    let last = world.open();
    world.check(&last);
    world.end(last, End::Close);
    world.damage();
    let names = world.disk.list().unwrap();
    let image = names.into_iter().map(|name| (name.clone(), world.disk.contents(&name).unwrap())).collect();
    let checked = world.shared.model.borrow().checked;
    Outcome { trace: world.shared.trace.take(), image, checked }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let shared = Shared {
            model: RefCell::new(Model::new(NAMES.len())),
            trace: RefCell::default(),
            trouble: Cell::new(false),
            full: Cell::new(false),
            hurry: Cell::new(false),
            pace: Cell::new(Pace::Mixed),
        };
        let catalogue = (rng.u8(..4) == 0).then(|| tempfile::tempdir().unwrap());
        Self {
            seed,
            disk: SimDisk::new(),
            clock: Clock::manual(Timestamp::from_millis(1_000_000)),
            segment_bytes: [4 << 10, 8 << 10, 8 << 10, 32 << 10][rng.usize(..4)],
            page_bytes: [60, 400, 3_000][rng.usize(..3)],
            rng,
            executor: Executor::new(),
            shared: Rc::new(shared),
            memories: (0..CLIENTS).map(|_| Rc::default()).collect(),
            catalogue,
            early: Arc::default(),
        }
    }

    fn note(&self, line: String) {
        self.shared.note(line);
    }

    fn catalogue_dir(&self) -> Option<PathBuf> {
        self.catalogue.as_ref().map(|dir| dir.path().join("catalogue"))
    }

    // ---- starting ---------------------------------------------------------------------------------------------------

    /// Starts the server, perhaps only after the power went while it was starting.
    fn open(&mut self) -> Life {
        self.meddle_with_catalogue();
        self.shared.trouble.set(false);
        self.shared.full.set(false);
        self.shared.hurry.set(false);
        for _ in 0..self.rng.u8(..3) {
            if self.rng.bool() {
                let ops = self.rng.u64(..16);
                self.disk.cut_power_after(ops);
                let opened = self.try_open(&self.disk).map(drop);
                self.note(format!("power goes after {ops} operations of a start: {opened:?}"));
                let seed = self.rng.u64(..);
                self.disk.power_loss(seed);
            }
        }
        let (journal, engine) = match self.try_open(&self.disk) {
            Ok(opened) => opened,
            // A disk that is full to the last block may need help.
            Err(error @ OpenError::Io { .. }) => {
                self.note(format!("no room to start: {error}"));
                self.disk.set_capacity(None);
                self.try_open(&self.disk).unwrap_or_else(|error| panic!("it does not start: {error}"))
            }
            Err(error) => panic!("it does not start: {error}"),
        };
        self.disk.set_capacity(None);
        self.watch_barriers(&journal);
        self.note(format!("started, {} operations so far", self.disk.counts().ops));
        Life { journal, engine, clients: Vec::new() }
    }

    fn try_open(&self, disk: &SimDisk) -> Result<(Arc<Journal>, Engine), OpenError> {
        let options = JournalOptions {
            segment_bytes: self.segment_bytes,
            by_hand: true,
            catalogue: self.catalogue_dir(),
            ..JournalOptions::new(self.clock.clone())
        };
        let journal = Journal::open(Arc::new(disk.clone()), options)?;
        let limits = Limits { page_bytes_max: self.page_bytes, ..Limits::default() };
        let settings = Settings { limits, ..Settings::default() };
        let engine = Engine::start(journal.clone(), self.clock.clone(), settings);
        match engine {
            Ok(engine) => Ok((journal, engine)),
            // Older parts of its own logs are read only now.
            Err(Fault::Storage(why)) => Err(OpenError::Damaged { file: why, position: 0 }),
            Err(fault) => panic!("the engine does not start: {fault}"),
        }
    }

    /// Looks at what readers could see at each barrier, before it has any effect.
    fn watch_barriers(&self, journal: &Arc<Journal>) {
        let (early, journal) = (self.early.clone(), Arc::downgrade(journal));
        self.disk.on_sync(Some(Arc::new(move || {
            let Some(journal) = journal.upgrade() else { return };
            let mut early = early.lock().unwrap();
            for name in 0..NAMES.len() {
                let state = journal.find(&stream_name(name)).and_then(|id| journal.load(id));
                let seen = state.filter(|state| !state.soft_deleted);
                early.extend(seen.map(|state| (name, sight_of(&PublishedStream::from(&state)))));
            }
        })));
    }

    fn meddle_with_catalogue(&mut self) {
        let Some(dir) = self.catalogue_dir().filter(|dir| dir.exists()) else { return };
        match self.rng.u8(..6) {
            0 => {
                self.note("the catalogue is removed".into());
                std::fs::remove_dir_all(&dir).unwrap();
            }
            1 => {
                self.note("the catalogue is damaged".into());
                damage_files(&dir, &mut self.rng);
            }
            _ => {}
        }
    }

    /// Nobody writes: holds all that there is against the model.
    fn check(&mut self, life: &Life) {
        let (engine, shared) = (life.engine.clone(), self.shared.clone());
        self.to_the_end(life, async move {
            let mut found = Vec::new();
            for name in 0..NAMES.len() {
                let since = shared.model.borrow().begin(name);
                let (handle, stream) = match engine.open(&stream_name(name)).await {
                    Ok((handle, Some(stream))) => (handle, stream),
                    Ok((_, None)) => {
                        shared.model.borrow_mut().settle_absent(name);
                        continue;
                    }
                    Err(fault) if fault.is_gone() => {
                        shared.model.borrow_mut().settle_absent(name);
                        continue;
                    }
                    Err(fault) => panic!("name {name}: {fault}"),
                };
                let sight = sight_of(&stream);
                shared.model.borrow_mut().see(name, since, &sight);
                let mut units = Vec::new();
                let mut from = sight.start;
                while from < sight.tail {
                    let page = engine.raw_page(&stream, from).await;
                    let page = page.unwrap_or_else(|fault| panic!("name {name}: {sight:?} at {from}: {fault}"));
                    units.extend(units_of(sight.kind, &page.payload));
                    from = page.next;
                }
                found.push((name, handle, stream, sight, units));
            }
            {
                let mut model = shared.model.borrow_mut();
                for (name, _, _, sight, units) in &found {
                    model.settle(*name, sight, units);
                }
                model.settled();
            }
            for (name, handle, stream, sight, _) in &found {
                if stream.schema.is_none() {
                    continue;
                }
                let (mut at, mut state) = (Start::beginning(), std::collections::BTreeMap::new());
                loop {
                    let page = engine.folded_page(handle, stream, at, &Selection::default(), None).await.unwrap();
                    for item in page.items.iter().filter(|item| !item.deletes) {
                        let value: serde_json::Value = serde_json::from_slice(&item.change).unwrap();
                        let entity = format!("{}/{}", item.entity_type, item.key);
                        state.insert(entity, value["value"]["n"].as_u64().unwrap());
                    }
                    at = page.next;
                    if page.done {
                        break;
                    }
                }
                let mut model = shared.model.borrow_mut();
                assert_eq!(model.fold(*name, sight.start, sight.tail), state, "name {name}: {sight:?}");
                model.checked.marks += 1;
            }
            check_registry(&engine, &mut shared.model.borrow_mut());
            let tails: Vec<_> = found.iter().map(|(name, _, _, sight, _)| (name, sight.start, sight.tail)).collect();
            shared.note(format!("holds {tails:?}"));
        });
        // What every run needs, and no crash takes away once it was told.
        let engine = life.engine.clone();
        self.to_the_end(life, async move {
            while let Err(fault) = engine.register(clients::subject(), clients::document(0)).await {
                assert!(matches!(fault, Fault::Full | Fault::Busy { .. }), "{fault:?}");
            }
            while let Err(fault) = engine.bind(clients::binding("bound", "jobs")).await {
                assert!(matches!(fault, Fault::Full | Fault::Busy { .. }), "{fault:?}");
            }
        });
    }

    /// Polls and commits until the future has ended.
    fn to_the_end(&self, life: &Life, future: impl Future<Output = ()> + 'static) {
        let mut task = Task::new(future);
        while !self.executor.poll(&mut task) {
            if !task.is_ready() {
                let count = life.journal.step();
                assert!(count > 0 || task.is_ready(), "somebody waits for nothing");
            }
        }
    }

    // ---- living -----------------------------------------------------------------------------------------------------

    fn live(&mut self, mut life: Life) {
        for nth in 0..CLIENTS {
            let client = self.client(nth, &life.engine);
            life.clients.push(client);
        }
        let decisions = self.rng.usize(20..500);
        for _ in 0..decisions {
            self.change_pace();
            match self.rng.u8(..) {
                0..180 => self.poll_one(&mut life),
                180..225 => self.step(&life),
                225..229 => life.journal.mark(),
                229..232 => self.cluster(&life),
                232..240 => self.move_clock(),
                240..244 => self.disconnect(&mut life),
                244..247 => self.squeeze_disk(),
                247 => {
                    self.shared.hurry.set(true);
                    life.clients.iter().for_each(Task::wake);
                }
                248.. => self.shared.hurry.set(false),
            }
        }
        let end =
            [End::Close, End::Kill, End::Kill, End::PowerLoss, End::PowerLoss, End::PowerLoss][self.rng.usize(..6)];
        if end != End::Close && self.rng.u8(..4) > 0 {
            self.break_disk();
            for _ in 0..self.rng.usize(..60) {
                match self.rng.u8(..4) {
                    0 if self.rng.u8(..6) == 0 => self.cluster(&life),
                    0 => self.step(&life),
                    1 if self.rng.u8(..4) == 0 => life.journal.mark(),
                    _ => self.poll_one(&mut life),
                }
            }
        }
        self.end(life, end);
    }

    /// In every third run, streams come and go for a while, and stay for a while.
    fn change_pace(&mut self) {
        if self.seed % 3 == 2 && self.rng.u8(..100) == 0 {
            let pace = if self.rng.bool() { Pace::Churn } else { Pace::Calm };
            self.note(format!("{pace:?}"));
            self.shared.pace.set(pace);
        }
    }

    fn client(&mut self, nth: usize, engine: &Engine) -> Task {
        let client = Client {
            nth,
            engine: engine.clone(),
            shared: self.shared.clone(),
            memory: self.memories[nth].clone(),
            rng: self.rng.fork(),
        };
        Task::new(client.run())
    }

    fn poll_one(&mut self, life: &mut Life) {
        let ready: Vec<usize> = (0..CLIENTS).filter(|nth| life.clients[*nth].is_ready()).collect();
        match ready.is_empty() {
            true => {
                self.step(life);
                self.shared.hurry.set(true);
                life.clients.iter().for_each(Task::wake);
            }
            false => drop(self.executor.poll(&mut life.clients[ready[self.rng.usize(..ready.len())]])),
        }
    }

    /// Commits what is staged.
    fn step(&self, life: &Life) {
        let count = self.watched(|| life.journal.step());
        self.note(format!("committed {count}, {} operations so far", self.disk.counts().ops));
    }

    /// What is seen while a barrier is under way counts as seen.
    fn watched<T>(&self, work: impl FnOnce() -> T) -> T {
        let mut model = self.shared.model.borrow_mut();
        let since: Vec<_> = (0..NAMES.len()).map(|name| model.begin(name)).collect();
        let done = work();
        let seen = std::mem::take(&mut *self.early.lock().unwrap());
        seen.iter().for_each(|(name, sight)| model.see(*name, since[*name], sight));
        done
    }

    /// Writes older records again, by stream. Everything that is staged becomes durable on the way.
    fn cluster(&mut self, life: &Life) {
        let choice = [Choice::Worth, Choice::Segments, Choice::Segments, Choice::Merge][self.rng.usize(..4)];
        let done = self.watched(|| life.journal.cluster(choice));
        self.note(format!("clustered {choice:?}: {done}, {} operations so far", self.disk.counts().ops));
    }

    fn move_clock(&mut self) {
        match self.rng.u8(..8) {
            0 => self.clock.set(Timestamp::from_millis(self.clock.now().as_millis() - self.rng.u64(..500))),
            _ => self.clock.advance(Duration::from_millis(self.rng.u64(..3_000))),
        }
    }

    /// A client goes away with its request in flight, and another one comes.
    fn disconnect(&mut self, life: &mut Life) {
        let nth = self.rng.usize(..CLIENTS);
        self.note(format!("client {nth} goes away"));
        life.clients[nth] = self.client(nth, &life.engine);
    }

    fn squeeze_disk(&mut self) {
        self.shared.full.set(true);
        let room = (self.rng.u8(..3) > 0).then(|| self.disk.used() + self.rng.u64(..3 * self.segment_bytes));
        self.note(format!("the disk has room for {room:?}"));
        self.disk.set_capacity(room);
    }

    /// From here on a barrier may fail.
    fn break_disk(&mut self) {
        self.shared.trouble.set(true);
        match self.rng.u8(..6) {
            0 => {
                self.note("the next barrier fails".into());
                self.disk.fail_next_sync();
            }
            1 => {
                let bytes = self.rng.u64(..2_000);
                self.note(format!("the next write ends after {bytes} bytes"));
                self.disk.cut_next_write(bytes);
            }
            _ => {
                let ops = self.rng.u64(..12);
                self.note(format!("power goes after {ops} operations"));
                self.disk.cut_power_after(ops);
            }
        }
    }

    fn end(&mut self, life: Life, end: End) {
        self.note(format!("the life ends: {end:?}"));
        let Life { journal, engine, clients } = life;
        drop(clients);
        match end {
            End::Close => {
                engine.close();
                self.disk.kill();
            }
            End::Kill | End::PowerLoss => {
                self.shared.model.borrow_mut().crashed();
                // Whatever the process does from here on, it does not reach the disk.
                self.disk.cut_power_after(0);
                journal.step();
                let seed = self.rng.u64(..);
                match end {
                    End::Kill => self.disk.kill(),
                    _ => self.disk.power_loss(seed),
                }
            }
        }
        self.shared.model.borrow_mut().crashed();
        if self.rng.bool() {
            self.disk.set_capacity(None);
        }
        self.early.lock().unwrap().clear();
    }

    /// A bit flips in what was closed cleanly: it is found, or it changes nothing.
    fn damage(&mut self) {
        self.catalogue = None;
        for _ in 0..3 {
            let disk = self.disk.copy();
            let names = disk.list().unwrap();
            let name = names[self.rng.usize(..names.len())].clone();
            let mut bytes = disk.contents(&name).unwrap();
            if bytes.is_empty() {
                continue;
            }
            let (at, bit) = (self.rng.usize(..bytes.len()), self.rng.u8(..8));
            bytes[at] ^= 1 << bit;
            disk.overwrite(&name, bytes);
            let opened = self.try_open(&disk);
            self.note(format!("bit {bit} of byte {at} of {name} flips: {:?}", opened.as_ref().map(drop)));
            let Ok((_journal, engine)) = opened else { continue };
            for name in 0..NAMES.len() {
                self.check_damaged(name, &engine);
            }
        }
    }

    fn check_damaged(&self, name: usize, engine: &Engine) {
        let (engine, shared) = (engine.clone(), self.shared.clone());
        let look = async move {
            let since = shared.model.borrow().begin(name);
            let Ok((_, Some(stream))) = engine.open(&stream_name(name)).await else {
                return shared.model.borrow_mut().gone(name, since);
            };
            let sight = sight_of(&stream);
            shared.model.borrow_mut().see(name, since, &sight);
            let mut from = sight.start;
            while from < sight.tail {
                match engine.raw_page(&stream, from).await {
                    Ok(page) => {
                        let mut model = shared.model.borrow_mut();
                        for (position, unit) in (from..).zip(units_of(sight.kind, &page.payload)) {
                            model.holds(name, position, &unit);
                        }
                        from = page.next;
                    }
                    Err(Fault::Storage(_)) => return,
                    Err(fault) => panic!("name {name}: {fault}"),
                }
            }
        };
        let mut task = Task::new(look);
        while !self.executor.poll(&mut task) {
            assert!(task.is_ready(), "a read waits for nothing");
        }
    }
}

fn check_registry(engine: &Engine, model: &mut Model) {
    let registry = engine.registry();
    for ((subject, document), version) in &model.versions {
        let subject = keyfold::registry::SubjectName::parse(subject).unwrap();
        assert!(registry.get(&subject, *version).is_some(), "{document} of {subject} is lost, version {version}");
    }
    let side = keyfold::registry::BindingName::parse("side").unwrap();
    match registry.binding(&side) {
        Some(binding) => {
            let found: u64 = binding.subject.as_str().strip_prefix("side").unwrap().parse().unwrap();
            assert!(model.bindings.contains(&found), "nobody bound {found}");
            // Earlier ones are over; from here on only this one, and what is sent from now on.
            model.bindings = [found].into();
            model.bound = true;
        }
        None => assert!(!model.bound, "a binding is lost"),
    }
}

/// Flips some bits of some file.
fn damage_files(dir: &Path, rng: &mut fastrand::Rng) {
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.is_file());
    files.sort();
    if files.is_empty() {
        return;
    }
    let file = &files[rng.usize(..files.len())];
    let mut bytes = std::fs::read(file).unwrap();
    let at = rng.f64();
    for nth in 0..16 {
        if let Some(byte) = bytes.get_mut((at * 4096.0) as usize + nth * 64) {
            *byte ^= 0x55;
        }
    }
    std::fs::write(file, bytes).unwrap();
}
