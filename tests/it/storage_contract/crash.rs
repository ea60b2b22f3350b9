//! What a journal keeps through power loss, damage and full disks, on a simulated disk and driven by hand: one thread,
//! one seed, every step in reach. A failure names its seed.

use super::*;

use keyfold::storage::codec::{Encoded, Header, Placement};
use keyfold::storage::disk::Disk;
use keyfold::storage::{Health, Place, ReadError};

pub(in super::super) const SMALL: u64 = 8 << 10;

pub(in super::super) fn clock() -> Clock {
    Clock::manual(Timestamp::from_millis(1_000_000))
}

pub(in super::super) fn by_hand() -> JournalOptions {
    JournalOptions { segment_bytes: SMALL, by_hand: true, ..JournalOptions::new(clock()) }
}

pub(in super::super) fn open(disk: &SimDisk) -> Result<Arc<Journal>, OpenError> {
    Journal::open(Arc::new(disk.clone()), by_hand())
}

/// Appends and commits.
pub(in super::super) fn commit(journal: &Journal, records: Vec<Staged>) -> Answer {
    let answer = journal.send(records);
    journal.step();
    answer.try_recv().expect("a step tells everyone")
}

pub(in super::super) fn make(journal: &Journal, name: &str) -> StreamId {
    let id = journal.next_id();
    commit(journal, vec![create(id, name, journal.start_position())]).unwrap();
    id
}

pub(in super::super) fn speak(journal: &Journal, id: StreamId, text: &str) -> Answer {
    commit(journal, vec![say(&journal.load(id).unwrap(), &[text])])
}

/// Name, contents and life of the segments that hold something, in order of their files.
pub(in super::super) fn segments(disk: &SimDisk) -> Vec<(String, Vec<u8>)> {
    let mut names = disk.list().unwrap();
    names.retain(|name| name.starts_with("segment-"));
    names.sort();
    names.into_iter().map(|name| (name.clone(), disk.contents(&name).unwrap())).collect()
}

/// The key that the records' checksums start from, out of the manifest.
fn key(manifest: &[u8]) -> u32 {
    let text = std::str::from_utf8(manifest).unwrap();
    let id = text.lines().find_map(|line| line.strip_prefix("id ")).unwrap();
    let id: u64 = id.parse().unwrap();
    (id >> 32) as u32 ^ id as u32
}

fn key_of(disk: &SimDisk) -> u32 {
    key(&disk.contents("MANIFEST").unwrap())
}

/// Where each record of a segment was written, and its bytes.
fn records(key: u32, bytes: &[u8]) -> Vec<(Placement, std::ops::Range<usize>)> {
    let mut at = 0;
    std::iter::from_fn(|| {
        let header = Header::parse(key, &bytes[at..]).ok()?;
        at += header.len;
        Some((header.placement, at - header.len..at))
    })
    .collect()
}

// ---- power loss -----------------------------------------------------------------------------------------------------

/// What the writers were told, and what they do not know.
#[derive(Default)]
struct Model {
    /// Calls of `append`, in order.
    calls: Vec<Vec<Staged>>,
    acknowledged: usize,
    /// Above all numbers of streams, and all positions of streams that are gone, that writers were told of.
    next_id: u64,
    start: u64,
}

impl Model {
    fn told(&mut self, call: Vec<Staged>) {
        for record in call.iter().map(|staged| &staged.record) {
            self.next_id = self.next_id.max(record.stream.0 + 1);
            self.start = self.start.max(if matches!(record.body, Body::Delete) { record.first + 1 } else { 0 });
        }
        self.acknowledged += 1;
        self.calls.push(call);
    }

    /// The streams after the first `count` calls: state and messages.
    fn after(&self, count: usize) -> BTreeMap<StreamId, (StreamState, Vec<u8>)> {
        let mut streams: BTreeMap<StreamId, (StreamState, Vec<u8>)> = BTreeMap::new();
        for staged in self.calls[..count].iter().flatten() {
            let mut record = staged.record.clone();
            record.at = clock().now();
            match &record.body {
                Body::Create(_) => {
                    streams.insert(record.stream, (StreamState::create(&record).unwrap(), Vec::new()));
                }
                Body::Delete => {
                    streams.remove(&record.stream);
                }
                body => {
                    let (state, payloads) = streams.get_mut(&record.stream).unwrap();
                    if let Body::Append { payload, .. } = body {
                        payloads.extend_from_slice(payload);
                    }
                    state.apply(&record);
                }
            }
        }
        streams
    }
}

impl Model {
    /// What was unknown is known now: it counts as told from here on.
    fn settle(&mut self, journal: &Journal, seed: u64) {
        let count = held(journal, self, seed);
        self.calls.truncate(count);
        self.acknowledged = count;
    }
}

/// State and payloads of every stream.
pub(in super::super) type Seen = BTreeMap<StreamId, (String, Vec<u8>)>;

pub(in super::super) fn seen(journal: &Journal) -> Seen {
    let names = journal.list("", None, usize::MAX);
    let ids = names.iter().map(|name| journal.find(name).unwrap());
    ids.map(|id| {
        let state = journal.load(id).unwrap();
        let runs = journal.read(id, 0, state.tail, usize::MAX).unwrap();
        assert!(runs.windows(2).all(|pair| pair[0].first + pair[0].count == pair[1].first), "no hole");
        (id, (facts(&state), runs.iter().flat_map(|run| run.payload.to_vec()).collect()))
    })
    .collect()
}

/// The number of calls that the journal holds: all that were acknowledged, and of the others the first few.
fn held(journal: &Journal, model: &Model, seed: u64) -> usize {
    let seen = seen(journal);
    let matches = |count: &usize| {
        let expected = model.after(*count).into_iter();
        expected.map(|(id, (state, bytes))| (id, (facts(&state), bytes))).collect::<BTreeMap<_, _>>() == seen
    };
    let held = (model.acknowledged..=model.calls.len()).rev().find(matches);
    assert!(journal.next_id().0 >= model.next_id, "seed {seed}: a number is given again");
    assert!(journal.start_position() >= model.start, "seed {seed}: a position is given again");
    let found: Vec<_> = seen.iter().map(|(id, (_, bytes))| (id, bytes.len())).collect();
    let (told, sent) = (model.acknowledged, model.calls.len());
    held.unwrap_or_else(|| panic!("seed {seed}: {told} of {sent} were acknowledged, found {found:?}"))
}

struct Writer<'a> {
    journal: &'a Journal,
    /// Of 256 calls, how many end a stream.
    ends: u8,
    dice: &'a mut fastrand::Rng,
    /// As they are once all that is staged is durable.
    states: BTreeMap<StreamId, StreamState>,
}

impl Writer<'_> {
    fn call(&mut self) -> Vec<Staged> {
        let ids: Vec<StreamId> = self.states.keys().copied().collect();
        if ids.is_empty() || (ids.len() < 4 && self.dice.u8(..) < 20) {
            let id = self.journal.next_id();
            let staged = create(id, &format!("s{id}"), 0);
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
        staged.record.producer = Some(tuple("p", 0, known));
        state.apply(&staged.record);
        staged
    }
}

/// Writes groups of calls until the power goes, or for a while.
fn write_until_cut(journal: &Journal, model: &mut Model, dice: &mut fastrand::Rng, ends: u8) {
    let states = model.after(model.calls.len()).into_iter().map(|(id, (state, _))| (id, state)).collect();
    let mut writer = Writer { journal, ends, dice, states };
    for _ in 0..40 {
        let mut sent = Vec::new();
        for _ in 0..writer.dice.usize(1..6) {
            let call = writer.call();
            sent.push((journal.send(call.clone()), call));
        }
        journal.step();
        let mut alive = true;
        for (answer, call) in sent {
            match answer.try_recv().unwrap() {
                Ok(_) => model.told(call),
                Err(AppendError::Unknown) => {
                    model.calls.push(call);
                    alive = false;
                }
                // The power went while a spare was made or a mark was written: nothing of these was written.
                Err(AppendError::Full | AppendError::Conflict | AppendError::Closed) => alive = false,
            }
        }
        if !alive {
            return;
        }
        if writer.dice.u8(..) < 60 {
            journal.mark();
        }
    }
}

/// Several lives of one disk, each ended by a power cut at some operation, also while starting. Returns how many
/// segments were freed.
fn live_and_die(seed: u64, catalogue: Option<&std::path::Path>, ends: u8) -> u64 {
    let mut freed = 0;
    let open = |disk: &SimDisk| {
        let options = JournalOptions { catalogue: catalogue.map(Into::into), ..by_hand() };
        Journal::open(Arc::new(disk.clone()), options)
    };
    let disk = SimDisk::new();
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut model = Model::default();
    for life in 0..5 {
        if dice.u8(..) < 80 {
            disk.cut_power_after(dice.u64(..14));
            if let Ok(journal) = open(&disk) {
                model.settle(&journal, seed);
                write_until_cut(&journal, &mut model, &mut dice, ends);
                freed += journal.stats().segments_freed;
            }
            disk.power_loss(seed * 100 + life);
        }
        let journal = open(&disk).unwrap_or_else(|error| panic!("seed {seed}, life {life}: {error}"));
        model.settle(&journal, seed);
        if dice.u8(..) < 200 {
            disk.cut_power_after(dice.u64(..60));
        }
        write_until_cut(&journal, &mut model, &mut dice, ends);
        freed += journal.stats().segments_freed;
        match dice.bool() {
            true => drop(journal),
            false => journal.close(),
        }
        disk.power_loss(seed * 100 + 50 + life);
    }
    let journal = open(&disk).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    held(&journal, &model, seed);
    freed
}

/// How many lives to try: `KEYFOLD_SEEDS`, or enough for a quick run.
fn seeds() -> u64 {
    std::env::var("KEYFOLD_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(300)
}

#[test]
fn power_loss_at_any_step_keeps_what_was_acknowledged() {
    (0..seeds()).for_each(|seed| _ = live_and_die(seed, None, 6));
}

/// The catalogue's own disk loses nothing here: it may know more than the journal, or what recovery moved.
#[test]
fn power_loss_beside_a_catalogue_keeps_what_was_acknowledged() {
    for seed in 0..seeds() / 8 {
        let dir = tempfile::tempdir().unwrap();
        live_and_die(seed, Some(&dir.path().join("catalogue")), 6);
    }
}

#[test]
fn power_loss_while_segments_are_freed_keeps_what_was_acknowledged() {
    let freed: u64 = (0..seeds()).map(|seed| live_and_die(seed, None, 60)).sum();
    assert!(freed > seeds(), "{freed}");
    let beside: u64 = (0..seeds() / 8)
        .map(|seed| {
            let dir = tempfile::tempdir().unwrap();
            live_and_die(seed, Some(&dir.path().join("catalogue")), 60)
        })
        .sum();
    assert!(beside > seeds() / 8, "{beside}");
}

#[test]
fn power_loss_at_every_operation_of_one_group_keeps_it_whole_or_absent() {
    for ops in 0..4 {
        for seed in 0..60 {
            let disk = SimDisk::new();
            let journal = open(&disk).unwrap();
            let id = make(&journal, "a");
            journal.mark();
            disk.cut_power_after(ops);
            let mut state = journal.load(id).unwrap();
            let texts = ["\"x\"", &format!("\"{}\"", "y".repeat(1500)), &format!("\"{}\"", "z".repeat(700))];
            let call = texts.map(|text| after(&mut state, &[text])).to_vec();
            let answer = commit(&journal, call);
            drop(journal);
            disk.power_loss(seed);
            let all = open(&disk).unwrap().everything(id);
            assert!(all == texts || (all.is_empty() && answer.is_err()), "{ops} {seed}: {answer:?} {all:?}");
        }
    }
}

#[test]
fn nothing_is_visible_before_the_barrier() {
    let disk = SimDisk::new();
    let journal = open(&disk).unwrap();
    let id = make(&journal, "a");
    let heard = Arc::new(Mutex::new(false));
    let told = heard.clone();
    let record = say(&journal.load(id).unwrap(), &["1"]);
    journal.append(vec![record, create(journal.next_id(), "b", 0)], Box::new(move |_| *told.lock().unwrap() = true));
    let checked = Arc::new(Mutex::new(0));
    let (early, checks, reader) = (heard.clone(), checked.clone(), journal.clone());
    disk.on_sync(Some(Arc::new(move || {
        assert!(!*early.lock().unwrap(), "acknowledged before the barrier");
        assert_eq!(reader.load(id).unwrap().tail, 0);
        assert!(reader.read(id, 0, 9, 99).unwrap().is_empty());
        assert_eq!(reader.find(&StreamName::from_log("b")), None);
        assert!(reader.fetch(id, &[wanted(Place(200), 1)]).is_err());
        *checks.lock().unwrap() += 1;
    })));
    journal.step();
    disk.on_sync(None);
    assert_eq!(*checked.lock().unwrap(), 1, "one barrier");
    assert!(*heard.lock().unwrap());
    assert_eq!(journal.everything(id), ["1"]);
    assert!(journal.find(&StreamName::from_log("b")).is_some());
}

#[test]
fn one_barrier_serves_everyone_who_waits() {
    let disk = SimDisk::new();
    let journal = open(&disk).unwrap();
    let id = make(&journal, "a");
    let before = disk.counts();
    let mut state = journal.load(id).unwrap();
    let answers: Vec<_> = (0..20).map(|_| journal.send(vec![after(&mut state, &["1"])])).collect();
    assert_eq!(journal.step(), 20);
    let now = disk.counts();
    assert_eq!((now.writes - before.writes, now.syncs - before.syncs, now.dir_syncs - before.dir_syncs), (1, 1, 0));
    assert!(answers.iter().all(|answer| answer.try_recv().unwrap().is_ok()));
}

// ---- ends and damage ------------------------------------------------------------------------------------------------

/// A stream with ten proven messages and, in flight, three calls of which the disk has whatever `keep` says.
fn with_torn_group(keep: impl Fn(usize) -> bool) -> (SimDisk, StreamId) {
    let disk = SimDisk::new();
    let journal = open(&disk).unwrap();
    let id = make(&journal, "a");
    for n in 0..10 {
        speak(&journal, id, &n.to_string()).unwrap();
    }
    let before = segments(&disk)[0].1.clone();
    let mut state = journal.load(id).unwrap();
    let long = format!("\"{}\"", "t".repeat(600));
    for _ in 0..3 {
        journal.append(vec![after(&mut state, &[&long])], Box::new(|_| ()));
    }
    disk.cut_power_after(1);
    journal.step();
    drop(journal);
    let (name, mut bytes) = segments(&disk).remove(0);
    let written: Vec<_> = records(key_of(&disk), &bytes).into_iter().map(|(_, range)| range).collect();
    for (index, range) in written[written.len() - 3..].iter().enumerate() {
        if !keep(index) {
            let torn = range.start + 64..range.end;
            bytes[torn.clone()].copy_from_slice(&before[torn]);
        }
    }
    disk.power_loss(1);
    disk.overwrite(&name, bytes);
    (disk, id)
}

#[test]
fn torn_whole_torn_is_a_normal_end() {
    for mask in 0..8 {
        let (disk, id) = with_torn_group(|index| mask >> index & 1 == 1);
        let kept = (0..3).take_while(|index| mask >> index & 1 == 1).count();
        for _ in 0..3 {
            let journal = open(&disk).unwrap();
            assert_eq!(journal.everything(id).len(), 10 + kept, "mask {mask:b}");
            disk.power_loss(u64::from(mask as u8));
        }
        let journal = open(&disk).unwrap();
        for n in 0..5 {
            speak(&journal, id, &n.to_string()).unwrap();
        }
        disk.power_loss(2);
        assert_eq!(open(&disk).unwrap().everything(id).len(), 15 + kept, "what was torn stays away");
    }
}

#[test]
fn damage_below_what_was_proven_refuses_and_says_where() {
    let disk = SimDisk::new();
    let journal = open(&disk).unwrap();
    let id = make(&journal, "a");
    for n in 0..30 {
        speak(&journal, id, &format!("\"{n}{}\"", "d".repeat(500))).unwrap();
    }
    journal.close();
    let all = segments(&disk);
    let held: Vec<_> = all
        .iter()
        .map(|(name, bytes)| (name, bytes, records(key_of(&disk), bytes)))
        .filter(|s| !s.2.is_empty())
        .collect();
    assert!(held.len() >= 2, "sealed and open segments are tried");
    let last_mark = held.iter().flat_map(|s| &s.2).map(|(placement, _)| placement.position).max().unwrap();
    for (name, bytes, records) in &held {
        for (placement, range) in records.iter().filter(|(placement, _)| placement.position < last_mark) {
            let mut damaged = bytes.to_vec();
            damaged[range.start + range.len() / 2] ^= 4;
            disk.overwrite(name, damaged);
            match open(&disk) {
                Err(OpenError::Damaged { file, position }) => {
                    assert_eq!((&file, position), (*name, placement.position));
                }
                other => panic!("{:?}", other.map(|journal| journal.everything(id))),
            }
        }
        disk.overwrite(name, bytes.to_vec());
    }
    assert_eq!(open(&disk).unwrap().everything(id).len(), 30);
}

#[test]
fn any_flipped_bit_is_refused_or_changes_nothing() {
    let disk = SimDisk::new();
    let journal = open(&disk).unwrap();
    let ids = [make(&journal, "a"), make(&journal, "b")];
    for n in 0..40 {
        speak(&journal, ids[n % 2], &format!("\"{}\"", "f".repeat(n * 17))).unwrap();
    }
    journal.close();
    drop(journal);
    let before = seen(&open(&disk).unwrap());
    let mut dice = fastrand::Rng::with_seed(7);
    let mut refused = 0;
    for (name, bytes) in segments(&disk) {
        for _ in 0..150 {
            let mut damaged = bytes.clone();
            let at = dice.usize(..damaged.len());
            damaged[at] ^= 1 << dice.u8(..8);
            let copy = SimDisk::new();
            for file in disk.list().unwrap() {
                copy.create(&file).unwrap();
                copy.overwrite(&file, disk.contents(&file).unwrap());
            }
            copy.sync_dir().unwrap();
            copy.overwrite(&name, damaged);
            match open(&copy) {
                Ok(journal) => assert!(seen(&journal) == before, "{name} {at}"),
                Err(error) => {
                    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 100, "{refused}");
}

/// A journal of one message, and a record that would come next, in a file that is ready to be used.
fn with_record_in_spare(change: impl Fn(&mut Placement), patch: impl Fn(u32, &mut Vec<u8>)) -> (SimDisk, StreamId) {
    let disk = SimDisk::new();
    let journal = open(&disk).unwrap();
    let id = make(&journal, "a");
    for n in 0..16 {
        speak(&journal, id, &format!("\"{n}{}\"", "s".repeat(500))).unwrap();
    }
    let next = say(&journal.load(id).unwrap(), &["\"next\""]);
    journal.close();
    let all = segments(&disk);
    // The spare of the highest number is zeros, its life is one above that of the file before it.
    let (spare, zeros) = all.iter().rfind(|(_, bytes)| bytes.iter().all(|byte| *byte == 0)).unwrap();
    let manifest = String::from_utf8(disk.contents("MANIFEST").unwrap()).unwrap();
    let number: u64 = spare["segment-".len()..].parse().unwrap();
    let life = manifest.lines().find_map(|line| line.strip_prefix(&format!("ready {number} life="))).unwrap();
    let life = life.split(' ').next().unwrap().parse().unwrap();
    let (last, _) = all
        .iter()
        .flat_map(|(_, bytes)| records(key_of(&disk), bytes))
        .max_by_key(|(placement, _)| placement.position)
        .unwrap();
    let end = all
        .iter()
        .flat_map(|(_, bytes)| records(key_of(&disk), bytes))
        .map(|(p, range)| p.position + range.len() as u64)
        .max();
    let mut placement = Placement { position: end.unwrap(), life, durable_to: end.unwrap(), ..last };
    change(&mut placement);
    let mut bytes = Vec::new();
    Encoded::of(&next.record, false).write(key_of(&disk), &placement, &mut bytes);
    patch(key_of(&disk), &mut bytes);
    bytes.resize(zeros.len(), 0);
    disk.overwrite(spare, bytes);
    (disk, id)
}

#[test]
fn a_record_of_a_former_life_does_not_pass() {
    let (disk, id) = with_record_in_spare(|_| (), |_, _| ());
    assert_eq!(open(&disk).unwrap().everything(id).len(), 17, "in this life it does");
    let (disk, id) = with_record_in_spare(|placement| placement.life -= 1, |_, _| ());
    assert_eq!(open(&disk).unwrap().everything(id).len(), 16);
    let (disk, id) = with_record_in_spare(|placement| placement.position += 4, |_, _| ());
    assert_eq!(open(&disk).unwrap().everything(id).len(), 16, "nor does one from elsewhere");
    let ahead = |placement: &mut Placement| (placement.position, placement.durable_to) = (1 << 20, 1 << 20);
    let (disk, id) = with_record_in_spare(ahead, |_, _| ());
    assert!(matches!(open(&disk), Err(OpenError::Damaged { .. })), "it proves more than there is: {id}");
}

#[test]
fn what_a_client_sends_never_passes_for_a_record() {
    let foreign = |key: u32, bytes: &mut Vec<u8>| {
        // As good as a forger can make it without the key.
        let end = 16 + usize::from(bytes[14]);
        let crc = crc32c::crc32c_append(crc32c::crc32c_append(key ^ 1, &bytes[..4]), &bytes[8..end]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
    };
    let ahead = |placement: &mut Placement| placement.durable_to = placement.position;
    let (disk, id) = with_record_in_spare(ahead, foreign);
    assert_eq!(open(&disk).unwrap().everything(id).len(), 16);
}

#[test]
fn what_a_newer_version_wrote_refuses_to_start() {
    let forge = |at: usize, value: u8| {
        move |key: u32, bytes: &mut Vec<u8>| {
            bytes[at] = value;
            let end = 16 + usize::from(bytes[14]);
            let crc = crc32c::crc32c_append(crc32c::crc32c_append(key, &bytes[..4]), &bytes[8..end]);
            bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        }
    };
    let (disk, _) = with_record_in_spare(|_| (), forge(12, 88));
    let error = open(&disk).err().unwrap();
    assert!(matches!(error, OpenError::UnknownKind { kind: 88, .. }), "{error}");
    let (disk, _) = with_record_in_spare(|_| (), forge(13, 77));
    let error = open(&disk).err().unwrap();
    assert!(matches!(error, OpenError::NewerFormat { format: 77, .. }), "{error}");
    assert!(error.to_string().contains("segment-") && error.to_string().contains("newer keyfold"));
}

#[test]
fn a_damaged_or_missing_manifest_refuses_to_start() {
    let (disk, _) = with_torn_group(|_| true);
    let manifest = disk.contents("MANIFEST").unwrap();
    disk.overwrite("MANIFEST", manifest[..manifest.len() / 2].to_vec());
    assert!(matches!(open(&disk), Err(OpenError::Manifest(_))));
    disk.overwrite("MANIFEST", manifest);
    drop(open(&disk).unwrap());
    disk.unlink("MANIFEST").unwrap();
    assert!(matches!(open(&disk), Err(OpenError::Manifest(_))));
}

#[test]
fn a_clean_close_leaves_nothing_to_copy() {
    let disk = SimDisk::new();
    let journal = open(&disk).unwrap();
    let id = make(&journal, "a");
    speak(&journal, id, "1").unwrap();
    journal.close();
    drop(journal);
    let files = disk.list().unwrap();
    let before = disk.counts();
    drop(open(&disk).unwrap());
    // The mark again, the manifest with the new term, and room for the one after it.
    assert_eq!((disk.counts().writes - before.writes, disk.counts().syncs - before.syncs), (3, 2));
    assert_eq!(disk.list().unwrap(), files);
}

#[test]
fn segments_that_recovery_replaces_are_used_again() {
    let disk = SimDisk::new();
    for round in 0..12 {
        let journal = open(&disk).unwrap();
        let long = format!("\"{}\"", "r".repeat(3000));
        let id = journal.next_id();
        let mut state = StreamState::create(&create(id, "a", 0).record).unwrap();
        journal.append(vec![create(id, "a", 0), after(&mut state, &[&long])], Box::new(|_| ()));
        disk.cut_power_after(1);
        journal.step();
        drop(journal);
        // Of the group only the end is on disk.
        let written = segments(&disk);
        disk.power_loss(round);
        for (name, mut bytes) in written {
            let group = records(key_of(&disk), &bytes).into_iter().find(|(_, range)| range.len() > 60);
            if let Some((_, range)) = group {
                bytes[range.start..range.start + 60].fill(0);
                disk.overwrite(&name, bytes);
            }
        }
    }
    let journal = open(&disk).unwrap();
    assert!(journal.list("", None, 9).is_empty());
    assert!(segments(&disk).len() <= 4, "{:?}", disk.list());
}

// ---- full disks and failed barriers ---------------------------------------------------------------------------------

#[test]
fn a_full_disk_refuses_whole_calls_and_recovers() {
    let disk = SimDisk::new();
    let journal = open(&disk).unwrap();
    let ids = [make(&journal, "a"), make(&journal, "b"), make(&journal, "c")];
    disk.set_capacity(Some(6 * SMALL));
    let text = format!("\"{}\"", "u".repeat(900));
    let mut written = 0;
    while speak(&journal, ids[0], &text).is_ok() {
        written += 1;
        assert!(written < 100, "the disk has a bound");
    }
    assert!(written > 10);
    let before = facts(&journal.load(ids[0]).unwrap());
    let mut state = journal.load(ids[0]).unwrap();
    let answers = [journal.send(vec![after(&mut state, &[&text])]), journal.send(vec![after(&mut state, &["1"])])];
    journal.step();
    let answers = answers.map(|answer| answer.try_recv().unwrap().map(|placed| placed.len()));
    assert_eq!(answers, [Err(AppendError::Full), Err(AppendError::Conflict)]);
    assert_eq!(journal.health(), Health::Full);
    assert_eq!(facts(&journal.load(ids[0]).unwrap()), before, "nothing moves");

    let end = staged(&journal.load(ids[1]).unwrap(), Body::Delete);
    assert!(commit(&journal, vec![end]).is_ok(), "what frees space is taken");
    assert_eq!(speak(&journal, ids[0], &text), Err(AppendError::Full), "the reserve is not for this");
    let end = staged(&journal.load(ids[2]).unwrap(), Body::Expire);
    assert!(commit(&journal, vec![end]).is_ok());

    disk.set_capacity(None);
    assert!(speak(&journal, ids[0], &text).is_ok());
    assert_eq!(journal.health(), Health::Ready);
    let expected = seen(&journal);
    drop(journal);
    disk.power_loss(3);
    let journal = open(&disk).unwrap();
    assert!(seen(&journal) == expected);
    assert_eq!(journal.everything(ids[0]).len(), written + 1);
}

#[test]
fn a_full_disk_can_be_started_from() {
    let disk = SimDisk::new();
    let journal = open(&disk).unwrap();
    let id = make(&journal, "a");
    let room_for_a_manifest = 2 << 10;
    disk.set_capacity(Some(6 * SMALL + room_for_a_manifest));
    while speak(&journal, id, &format!("\"{}\"", "u".repeat(900))).is_ok() {}
    let count = journal.everything(id).len();
    for round in 0..3 {
        let journal = open_again(&disk, round);
        assert!(journal.everything(id).len() == count);
        assert!(!disk.list().unwrap().is_empty());
    }
    let journal = open_again(&disk, 9);
    let end = staged(&journal.load(id).unwrap(), Body::Delete);
    assert!(commit(&journal, vec![end]).is_ok());
}

/// Opens after power was lost without a mark.
fn open_again(disk: &SimDisk, seed: u64) -> Arc<Journal> {
    disk.power_loss(seed);
    open(disk).unwrap()
}

#[test]
fn a_full_disk_is_left_without_help() {
    let disk = SimDisk::new();
    let options = JournalOptions { by_hand: false, ..by_hand() };
    let journal = Journal::open(Arc::new(disk.clone()), options).unwrap();
    let id = Ask::make(&*journal, "a");
    disk.set_capacity(Some(5 * SMALL));
    let text = format!("\"{}\"", "v".repeat(900));
    let append = || journal.ask(vec![say(&journal.load(id).unwrap(), &[&text])]);
    while append().is_ok() {}
    assert_eq!((append(), journal.health()), (Err(AppendError::Full), Health::Full));
    disk.set_capacity(None);
    let patience = std::time::Instant::now();
    while journal.health() == Health::Full {
        assert!(patience.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(append().is_ok());
}

#[test]
fn a_failed_barrier_is_fatal_and_never_repeated() {
    let disk = SimDisk::new();
    let journal = open(&disk).unwrap();
    let id = make(&journal, "a");
    speak(&journal, id, "1").unwrap();
    disk.fail_syncs(true);
    let mut state = journal.load(id).unwrap();
    let answers = [journal.send(vec![after(&mut state, &["2"])]), journal.send(vec![after(&mut state, &["3"])])];
    journal.step();
    assert!(answers.iter().all(|answer| answer.try_recv().unwrap() == Err(AppendError::Unknown)));
    disk.fail_syncs(false);
    let before = disk.counts();
    assert_eq!(speak(&journal, id, "4"), Err(AppendError::Closed));
    assert_eq!(journal.health(), Health::Failed);
    journal.mark();
    journal.close();
    assert_eq!(disk.counts(), before, "nothing is written or synced again");
    assert_eq!(journal.everything(id), ["1"], "what is durable is still served");
    drop(journal);
    disk.power_loss(9);
    assert_eq!(open(&disk).unwrap().everything(id)[0], "1");
}

#[test]
fn a_failed_barrier_is_told_to_those_who_wait_behind_it() {
    let disk = SimDisk::new();
    let options = JournalOptions { by_hand: false, ..by_hand() };
    let journal = Journal::open(Arc::new(disk.clone()), options).unwrap();
    let id = Ask::make(&*journal, "a");
    let behind = Arc::new(Mutex::new(None));
    let (slot, sender) = (behind.clone(), Arc::downgrade(&journal));
    let mut state = journal.load(id).unwrap();
    let first = after(&mut state, &["1"]);
    let second = after(&mut state, &["2"]);
    let once = Mutex::new(Some(second));
    // Nothing else is synced from here on.
    eventually(|| String::from_utf8(disk.contents("MANIFEST").unwrap()).unwrap().matches("\nready ").count() == 2);
    disk.fail_syncs(true);
    disk.on_sync(Some(Arc::new(move || {
        if let (Some(second), Some(journal)) = (once.lock().unwrap().take(), sender.upgrade()) {
            *slot.lock().unwrap() = Some(journal.send(vec![second]));
        }
    })));
    assert_eq!(journal.ask(vec![first]), Err(AppendError::Unknown));
    let answer = behind.lock().unwrap().take().unwrap();
    assert_eq!(answer.recv_timeout(Duration::from_secs(9)).unwrap(), Err(AppendError::Unknown));
    disk.on_sync(None);
}

// ---- the catalogue, on a real disk ----------------------------------------------------------------------------------

struct OnDisk {
    dir: tempfile::TempDir,
}

impl OnDisk {
    fn open(&self) -> Arc<Journal> {
        let options = JournalOptions { by_hand: true, ..by_hand() };
        Journal::open_dir(self.dir.path(), options).unwrap()
    }

    fn catalogue(&self) -> PathBuf {
        self.dir.path().join("catalogue")
    }

    /// Segments full of streams that live, have ended, and were created again.
    fn grow(&self, rounds: u64) {
        let journal = self.open();
        for round in 0..rounds {
            let names = ["a", "b", "c"];
            for name in names {
                let known = journal.find(&StreamName::from_log(name));
                let id = known.unwrap_or_else(|| make(&journal, name));
                for n in 0..6 {
                    let mut given = say(&journal.load(id).unwrap(), &[&format!("\"{}\"", "k".repeat(100 * n)), "0"]);
                    let seq = journal.load(id).unwrap().producers.values().next().map_or(0, |p| p.last_seq.get() + 1);
                    given.record.producer = Some(tuple("p", 0, seq));
                    commit(&journal, vec![given]).unwrap();
                }
            }
            if round % 3 == 2 {
                let id = journal.find(&StreamName::from_log("b")).unwrap();
                commit(&journal, vec![staged(&journal.load(id).unwrap(), Body::Delete)]).unwrap();
            }
        }
        journal.close();
    }

    fn answers(&self) -> (Seen, u64, StreamId) {
        let journal = self.open();
        let answers = (seen(&journal), journal.start_position(), journal.next_id());
        journal.close();
        answers
    }
}

pub(in super::super) fn copy_dir(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_dir(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

#[test]
fn answers_do_not_depend_on_the_catalogue() {
    let store = OnDisk { dir: tempfile::tempdir().unwrap() };
    store.grow(4);
    let older = tempfile::tempdir().unwrap();
    copy_dir(&store.catalogue(), older.path());
    store.grow(8);
    let expected = store.answers();
    assert!(expected.1 > 0 && expected.0.len() >= 2);
    let newest = tempfile::tempdir().unwrap();
    copy_dir(&store.catalogue(), newest.path());
    let put = |what: &str, replace: &dyn Fn()| {
        let _ = std::fs::remove_dir_all(store.catalogue());
        replace();
        let (seen, start, next) = store.answers();
        assert!((seen, start) == (expected.0.clone(), expected.1), "{what}");
        assert!(next >= StreamId(expected.2.0), "{what}");
        assert!(store.answers().0 == expected.0, "{what}, opened again");
    };
    put("as it was", &|| copy_dir(newest.path(), &store.catalogue()));
    put("missing", &|| ());
    put("stale", &|| copy_dir(older.path(), &store.catalogue()));
    put("a file", &|| std::fs::write(store.catalogue(), "garbage").unwrap());
    let other = OnDisk { dir: tempfile::tempdir().unwrap() };
    other.grow(3);
    put("another journal's", &|| copy_dir(&other.catalogue(), &store.catalogue()));
    let mut dice = fastrand::Rng::with_seed(11);
    for round in 0..12 {
        put(&format!("garbage {round}"), &|| {
            copy_dir(newest.path(), &store.catalogue());
            damage_files(&store.catalogue(), round, &mut dice.clone());
        });
        dice.u64(..);
    }
}

/// Overwrites a part of every file of sled's.
fn damage_files(dir: &std::path::Path, round: usize, dice: &mut fastrand::Rng) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_file() {
            continue;
        }
        let mut bytes = std::fs::read(&path).unwrap();
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
        match round % 3 {
            _ if used == 0 => {}
            0 => (0..32).for_each(|_| bytes[dice.usize(..used)] ^= 1 << dice.u8(..8)),
            1 => bytes.truncate(dice.usize(..used)),
            _ => bytes.iter_mut().for_each(|byte| *byte = dice.u8(..)),
        }
        std::fs::write(path, bytes).unwrap();
    }
}

#[test]
fn readers_see_all_that_is_durable_while_segments_are_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let options = JournalOptions { by_hand: false, ..by_hand() };
    let journal = Journal::open_dir(dir.path(), options).unwrap();
    let ids = ["a", "b", "c"].map(|name| Ask::make(&*journal, name));
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = ids
            .iter()
            .map(|id| {
                scope.spawn(|| {
                    let (journal, id, mut rounds) = (&journal, *id, 0);
                    while !done.load(std::sync::atomic::Ordering::Relaxed) {
                        let tail = journal.load(id).unwrap().tail;
                        let from = tail.saturating_sub(fastrand::u64(1..400));
                        let heard = messages(&journal.read(id, from, tail, usize::MAX).unwrap());
                        let numbers = heard.iter().map(|message| message[1..7].parse::<u64>().unwrap());
                        assert!(numbers.eq(from..tail), "{from}..{tail} of {id}: {}", heard.len());
                        rounds += 1;
                    }
                    rounds
                })
            })
            .collect();
        for id in ids {
            let mut state = journal.load(id).unwrap();
            let text = |n: u64| format!("\"{n:06}{}\"", "q".repeat(n as usize % 300));
            let answers: Vec<_> = (0..600).map(|n| journal.send(vec![after(&mut state, &[&text(n)])])).collect();
            answers.into_iter().for_each(|answer| drop(answer.recv().unwrap().unwrap()));
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(readers.into_iter().all(|reader| reader.join().unwrap() > 0));
    });
    assert!(journal.stats().segments > 20);
}

#[test]
fn a_covered_segment_is_checked_before_its_first_byte_is_served() {
    let store = OnDisk { dir: tempfile::tempdir().unwrap() };
    store.grow(6);
    let first = store.dir.path().join("journal/segment-00000001");
    let mut bytes = std::fs::read(&first).unwrap();
    let manifest = std::fs::read(store.dir.path().join("journal/MANIFEST")).unwrap();
    let last = records(key(&manifest), &bytes).pop().unwrap().1;
    bytes[last.end - 20] ^= 1;
    std::fs::write(&first, bytes).unwrap();
    let journal = store.open();
    let id = journal.find(&StreamName::from_log("a")).unwrap();
    let refused = journal.read(id, 0, 1, 10);
    assert!(matches!(&refused, Err(ReadError::Damaged(what)) if what.contains("segment-00000001")), "{refused:?}");
    let tail = journal.load(id).unwrap().tail;
    assert!(journal.read(id, tail - 1, tail, 10).is_ok(), "others are served");
}

// ---- mutants --------------------------------------------------------------------------------------------------------

/// Each deliberate bug turns the test red that is there for it. Needs the feature `mutants`.
#[cfg(feature = "mutants")]
#[test]
fn every_mutant_is_caught() {
    use keyfold::storage::mutant::{Mutant, VARIABLE};
    let run = |test: &str, mutant: Option<Mutant>| {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test]).env_remove(VARIABLE);
        if let Some(mutant) = mutant {
            command.env(VARIABLE, mutant.name());
        }
        let output = command.output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains("running 1 test"), "there is no test {test}");
        output.status.success()
    };
    const CLUSTERS: &str = "storage_contract::clusters::streams_are_what_they_were_however_they_are_clustered";
    for (mutant, test) in [
        (Mutant::AckBeforeBarrier, "storage_contract::crash::nothing_is_visible_before_the_barrier"),
        (Mutant::AckBeforeBarrier, "storage_contract::crash::power_loss_at_any_step_keeps_what_was_acknowledged"),
        (Mutant::SkipDirSync, "storage_contract::crash::power_loss_at_any_step_keeps_what_was_acknowledged"),
        (Mutant::ReuseOffset, "storage_contract::journal_simulated::new_streams_begin_above_all_that_is_gone"),
        (Mutant::ReuseOffset, "storage_contract::journal_simulated::offsets_are_never_used_again"),
        (Mutant::ForgetProducer, "storage_contract::journal_simulated::producers_survive_a_restart"),
        (Mutant::FreeNeeded, "storage_contract::space::what_live_streams_need_stays"),
        (Mutant::FreeEnds, "storage_contract::space::an_end_outlives_its_beginning"),
        (Mutant::ForgetFloor, "storage_contract::space::freeing_forgets_no_number_position_or_time"),
        (Mutant::RefuseBeforeBarrier, "engine::a_refusal_waits_for_what_it_rests_on"),
        (Mutant::RefuseBeforeBarrier, "engine::a_repeat_waits_for_its_original"),
        (Mutant::AckBeforeBarrier, "linearizability::they_do_across_crashes"),
        (Mutant::RefuseBeforeBarrier, "linearizability::they_do_across_crashes"),
        (Mutant::BackupAhead, "backup::what_is_not_durable_is_in_no_backup"),
        (Mutant::RestoreFreed, "backup::what_is_added_step_by_step_is_what_is_copied_at_once"),
        (Mutant::RestoreInPlace, "backup::no_offset_is_given_out_twice_after_a_restore_to_the_past"),
        (Mutant::ClusterWithoutProducers, CLUSTERS),
        (Mutant::ForgetDeletesEarly, CLUSTERS),
        (Mutant::LoseForkPin, CLUSTERS),
        (Mutant::LoseForkPin, "http::a_deleted_source_is_kept_for_its_forks_and_for_nobody_else"),
    ] {
        assert!(run(test, None), "{test} fails without a mutant");
        assert!(!run(test, Some(mutant)), "{test} does not notice {}", mutant.name());
    }
}
