//! Giving back segments of streams that are gone: what may go, what must stay, and what a crash leaves at each step.

use super::crash::{SMALL, Seen, by_hand, clock, commit, copy_dir, make, open, seen, segments, speak};
use super::*;

use keyfold::storage::disk::Disk;

fn text() -> String {
    format!("\"{}\"", "g".repeat(SMALL as usize / 3))
}

fn end(journal: &Journal, id: StreamId) {
    commit(journal, vec![staged(&journal.load(id).unwrap(), Body::Expire)]).unwrap();
}

/// Segment files that are part of the journal, by the manifest.
fn live(manifest: &[u8]) -> usize {
    std::str::from_utf8(manifest).unwrap().lines().filter(|line| line.starts_with("live ")).count()
}

/// Some segments of a stream, `before` and after it one that stays.
fn grown(journal: &Journal) -> (StreamId, StreamId) {
    let kept = make(journal, "kept");
    speak(journal, kept, "1").unwrap();
    let gone = make(journal, "gone");
    (0..18).for_each(|_| drop(speak(journal, gone, &text()).unwrap()));
    speak(journal, kept, "2").unwrap();
    (kept, gone)
}

#[test]
fn what_live_streams_need_stays() {
    let disk = SimDisk::new();
    let journal = open(&disk).unwrap();
    let (kept, gone) = grown(&journal);
    let full = journal.stats().segments;
    assert!(full > 6);
    let mut state = journal.load(kept).unwrap();
    end(&journal, gone);
    // Its first record lies in the first segment, its last in one before the open one, or in that.
    assert!(journal.stats().segments <= 3, "{:?}", journal.stats());
    assert_eq!(journal.everything(kept), ["1", "2"]);
    // A record without data is needed as well: here it is all that tells of the version.
    let renew = staged(&state, Body::Renew);
    state.apply(&renew.record);
    commit(&journal, vec![renew]).unwrap();
    let gone = make(&journal, "gone");
    (0..6).for_each(|_| drop(speak(&journal, gone, &text()).unwrap()));
    end(&journal, gone);
    let expected = facts(&journal.load(kept).unwrap());
    drop(journal);
    disk.power_loss(1);
    let journal = open(&disk).unwrap();
    assert_eq!(
        (facts(&journal.load(kept).unwrap()), journal.everything(kept)),
        (expected, vec!["1".into(), "2".into()])
    );
}

#[test]
fn the_files_go_too_and_the_manifest_names_what_is_left() {
    let disk = SimDisk::new();
    let journal = open(&disk).unwrap();
    let gone = make(&journal, "gone");
    (0..30).for_each(|_| drop(speak(&journal, gone, &text()).unwrap()));
    let full = segments(&disk).len();
    end(&journal, gone);
    assert_eq!((journal.stats().segments, live(&disk.contents("MANIFEST").unwrap())), (1, 1));
    // The open one and two spares.
    assert!(full > 12 && segments(&disk).len() <= 3, "{full}: {:?}", disk.list());
    assert!(journal.stats().segments_freed as usize >= full - 3);
    let position = journal.start_position();
    drop(journal);
    disk.power_loss(1);
    let journal = open(&disk).unwrap();
    assert_eq!((journal.list("", None, 9).len(), journal.start_position()), (0, position));
    let again = make(&journal, "gone");
    speak(&journal, again, "1").unwrap();
    assert_eq!(journal.everything(again), ["1"]);
}

/// The creation lies in a segment that another stream needs, the end in one that nobody else does.
#[test]
fn an_end_outlives_its_beginning() {
    let disk = SimDisk::new();
    let journal = open(&disk).unwrap();
    let [kept, gone, filler] = ["kept", "gone", "filler"].map(|name| make(&journal, name));
    (0..6).for_each(|_| drop(speak(&journal, filler, &text()).unwrap()));
    end(&journal, gone);
    (0..6).for_each(|_| drop(speak(&journal, filler, &text()).unwrap()));
    end(&journal, filler);
    let reopened = |journal: Arc<Journal>, seed| {
        drop(journal);
        disk.power_loss(seed);
        open(&disk).unwrap()
    };
    let mut journal = journal;
    for seed in 0..3 {
        assert!(journal.stats().segments <= 4, "{:?}", journal.stats());
        journal = reopened(journal, seed);
        assert_eq!(journal.list("", None, 9), [StreamName::from_log("kept")]);
        journal.step();
    }
    // With the first segment goes the reason.
    end(&journal, kept);
    let filler = make(&journal, "filler");
    (0..6).for_each(|_| drop(speak(&journal, filler, &text()).unwrap()));
    end(&journal, filler);
    assert_eq!(journal.stats().segments, 1);
    assert!(reopened(journal, 9).list("", None, 9).is_empty());
}

#[test]
fn freeing_forgets_no_number_position_or_time() {
    let disk = SimDisk::new();
    let options = by_hand();
    options.clock.advance(Duration::from_secs(60));
    let late = options.clock.now();
    let journal = Journal::open(Arc::new(disk.clone()), options).unwrap();
    let [kept, filler] = ["kept", "filler"].map(|name| make(&journal, name));
    let fill = |count| (0..count).for_each(|_| drop(speak(&journal, filler, &text()).unwrap()));
    fill(3);
    let long = make(&journal, "long");
    (0..40).for_each(|_| drop(speak(&journal, long, &text()).unwrap()));
    end(&journal, long);
    fill(6);
    end(&journal, filler);
    assert!(journal.stats().segments <= 3, "no record tells of the longest stream any more");
    drop(journal);
    disk.power_loss(1);
    let journal = open(&disk).unwrap();
    assert!(journal.next_id() > long && journal.start_position() > 40);
    end(&journal, kept);
    drop(journal);
    disk.power_loss(2);
    // The last commit time is in a segment that goes now, and the clock is behind.
    let journal = open(&disk).unwrap();
    journal.step();
    drop(journal);
    let journal = open(&disk).unwrap();
    assert!(clock().now() < late && journal.stats().stored_bytes < 200);
    let id = make(&journal, "again");
    assert_eq!(speak(&journal, id, "1").unwrap()[0].at, late);
    assert!(id > long && journal.load(id).unwrap().creation.start > 40);
}

#[test]
fn a_file_goes_after_its_last_reader() {
    let disk = SimDisk::new();
    let options = JournalOptions { by_hand: false, ..by_hand() };
    let journal = Journal::open(Arc::new(disk.clone()), options).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut heard = 0;
                    while !done.load(std::sync::atomic::Ordering::Relaxed) {
                        let Some(id) = journal.find(&StreamName::from_log("gone")) else { continue };
                        let Some(state) = journal.load(id) else { continue };
                        match journal.read(id, state.creation.start, state.tail, usize::MAX) {
                            Ok(runs) => {
                                let all = messages(&runs);
                                assert!(all.iter().all(|message| *message == text()) && all.len() <= 12);
                                heard += all.len();
                            }
                            Err(error) => assert!(matches!(error, ReadError::NotFound), "{error}"),
                        }
                    }
                    heard
                })
            })
            .collect();
        for _ in 0..40 {
            let id = Ask::make(&*journal, "gone");
            (0..12).for_each(|_| _ = journal.say(id, &[&text()]));
            journal.remove(id);
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(readers.into_iter().all(|reader| reader.join().unwrap() > 0));
    });
    eventually(|| journal.stats().segments == 1);
}

#[test]
fn a_full_disk_has_room_again_once_a_stream_is_deleted() {
    let disk = SimDisk::new();
    let journal = Journal::open(Arc::new(disk.clone()), JournalOptions { by_hand: false, ..by_hand() }).unwrap();
    let [kept, gone] = ["kept", "gone"].map(|name| Ask::make(&*journal, name));
    disk.set_capacity(Some(8 * SMALL));
    let append = |id| journal.ask(vec![say(&journal.load(id).unwrap(), &[&text()])]);
    while append(gone).is_ok() {}
    assert_eq!((append(kept), journal.health()), (Err(AppendError::Full), keyfold::storage::Health::Full));
    journal.remove(gone);
    eventually(|| journal.health() == keyfold::storage::Health::Ready);
    assert!((0..4).all(|_| append(kept).is_ok()));
}

// ---- crashes --------------------------------------------------------------------------------------------------------

/// A journal, with or without a catalogue beside it.
struct Place {
    disk: SimDisk,
    dir: Option<tempfile::TempDir>,
}

impl Place {
    fn new(catalogue: bool) -> Self {
        Self { disk: SimDisk::new(), dir: catalogue.then(|| tempfile::tempdir().unwrap()) }
    }

    fn catalogue(&self) -> Option<PathBuf> {
        self.dir.as_ref().map(|dir| dir.path().join("catalogue"))
    }

    fn open(&self) -> Arc<Journal> {
        let options = JournalOptions { catalogue: self.catalogue(), ..by_hand() };
        Journal::open(Arc::new(self.disk.clone()), options).unwrap()
    }

    fn answers(&self) -> (Seen, u64) {
        let journal = self.open();
        (seen(&journal), journal.start_position())
    }
}

/// Power lost at every operation of an end and the freeing that follows.
fn crash_while_freeing(catalogue: bool) {
    let mut completed = false;
    for ops in 0.. {
        let place = Place::new(catalogue);
        let journal = place.open();
        let (kept, gone) = grown(&journal);
        let [short, long] = ["short", "long"].map(|name| make(&journal, name));
        (0..9).for_each(|_| drop(speak(&journal, long, &text()).unwrap()));
        end(&journal, short);
        (0..3).for_each(|_| drop(speak(&journal, long, &text()).unwrap()));
        speak(&journal, kept, "3").unwrap();
        let before = seen(&journal);
        let older = place.catalogue().map(|from| {
            let aside = tempfile::tempdir().unwrap();
            copy_dir(&from, &aside.path().join("c"));
            aside
        });
        place.disk.cut_power_after(ops);
        let calls = [gone, long].map(|id| staged(&journal.load(id).unwrap(), Body::Delete));
        let answer = commit(&journal, calls.to_vec());
        journal.step();
        let freed = journal.stats().segments_freed;
        let next_id = journal.next_id();
        drop(journal);
        place.disk.power_loss(ops);
        let (all, start) = place.answers();
        let is_kept = |(id, _): &(&StreamId, &(String, Vec<u8>))| **id == kept;
        assert!(all.iter().find(is_kept) == before.iter().find(is_kept), "after {ops} operations");
        assert!(all.len() == 1 || (all == before && answer.is_err()), "after {ops}: {answer:?}, {} live", all.len());
        assert!(start >= 19 || answer.is_err());
        assert!(place.open().next_id() >= next_id || answer.is_err());
        let again = |what: &str| {
            assert!(place.answers() == (all.clone(), start), "{what}, after {ops} operations");
            let journal = place.open();
            journal.step();
            assert!(all.len() > 1 || journal.stats().segments <= 6, "{what} {ops}: {:?}", journal.stats());
            journal.close();
            assert!(place.answers() == (all.clone(), start), "{what}, after {ops} operations, again");
        };
        again("as it is");
        if let (Some(at), Some(older)) = (place.catalogue(), older) {
            std::fs::remove_dir_all(&at).unwrap();
            again("without its catalogue");
            std::fs::remove_dir_all(&at).unwrap();
            copy_dir(&older.path().join("c"), &at);
            again("with an older catalogue");
            std::fs::remove_dir_all(&at).unwrap();
            std::fs::write(&at, "garbage").unwrap();
            again("with a damaged catalogue");
        }
        if completed {
            assert!(freed > 8, "{freed}");
            return;
        }
        // Once more after the last operation, and then it is enough.
        completed = ops > 40;
    }
}

/// A fork starts above all that its name has handed out; who had a name is told by its end, which may be freed.
#[test]
fn a_names_former_positions_outlive_their_segments() {
    let place = Place::new(true);
    let journal = place.open();
    let (kept, gone) = grown(&journal);
    end(&journal, gone);
    let filler = make(&journal, "filler");
    (0..6).for_each(|_| drop(speak(&journal, filler, &text()).unwrap()));
    journal.close();
    drop(journal);
    let name = |text| StreamName::from_log(text);
    for lost in [false, false, true, false] {
        let journal = place.open();
        journal.step();
        let (former, other) = (journal.former_end(&name("gone")), journal.former_end(&name("other")));
        assert!(former >= 19, "{former}");
        assert_eq!(journal.everything(kept), ["1", "2"]);
        // Once nobody knows whose they were, positions that were freed count for every name.
        assert!(other == 0 || other >= 19);
        journal.close();
        drop(journal);
        if lost {
            std::fs::remove_dir_all(place.catalogue().unwrap()).unwrap();
        }
        place.disk.power_loss(1);
    }
}

#[test]
fn power_loss_at_any_step_of_freeing_loses_nothing() {
    crash_while_freeing(false);
}

#[test]
fn power_loss_at_any_step_of_freeing_loses_nothing_whatever_the_catalogue() {
    crash_while_freeing(true);
}
