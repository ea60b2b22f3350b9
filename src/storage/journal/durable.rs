//! What is durable, in memory: the state of every live stream, their names, and where their newest records lie.
//!
//! Moved by [`Durable::apply`] only, in the order of the log, after the barrier or in recovery. For the catalogue a
//! [`Cut`] keeps what streams were like where a segment ended, although they move on while it is written.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use parking_lot::{Mutex, RwLock};

use crate::model::{Position, StreamId, StreamName, Timestamp};
use crate::storage::limited;
use crate::storage::mutant::{self, Mutant};
use crate::storage::retention::Kept;
use crate::stream::{Body, Creation, Lifetime, Record, StreamState, StreamVersion};

/// Where one record with data lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Posting {
    /// Stream position of its first message or byte.
    pub first: Position,
    pub count: u32,
    /// Bytes of the whole record.
    pub len: u32,
    /// Journal position of the record.
    pub at: u64,
}

impl Posting {
    #[inline]
    pub(crate) fn end(&self) -> Position {
        self.first + u64::from(self.count)
    }
}

struct Entry {
    state: StreamState,
    /// Journal position of the record that created it.
    created_at: u64,
    kept: Kept,
    /// No fork may begin below it: a clustering under way may leave out what it would need.
    forks_from: Position,
    /// Records below it are in the catalogue, and not in memory.
    catalogued_to: Position,
    /// The other records, in order.
    postings: Vec<Posting>,
}

/// The durable state of all live streams.
#[derive(Default)]
pub(super) struct Durable {
    streams: DashMap<StreamId, Entry>,
    names: RwLock<BTreeMap<StreamName, StreamId>>,
    /// The next stream's number.
    next_id: AtomicU64,
    /// Above every position of every stream that is gone; 0 while none is.
    start: AtomicU64,
    /// By name, above every position of the streams that had it and are gone; what a catalogue does not know.
    former: Mutex<HashMap<StreamName, Former>>,
    /// Below it, a name may have had positions that nothing tells of any more.
    former_floor: AtomicU64,
    /// What restores have lifted positions to, in order.
    lifts: Vec<Position>,
    tracker: Mutex<Tracker>,
}

/// Where a name's positions ended, and the journal position of the record that ended them.
#[derive(Clone, Copy)]
struct Former {
    end: Position,
    at: u64,
}

/// Which streams a catalogue has yet to hear of.
#[derive(Default)]
struct Tracker {
    /// Off where there is no catalogue.
    on: bool,
    /// Streams touched since the last cut.
    touched: HashSet<StreamId>,
    cuts: Vec<Cut>,
}

/// The streams that a sealed segment touched, as they were at its end.
struct Cut {
    through: u64,
    /// Not yet taken.
    touched: HashSet<StreamId>,
    /// What they were at the cut, of those that have moved on since; `None` where it was gone already.
    saved: HashMap<StreamId, Option<Living>>,
}

/// A live stream.
#[derive(Clone, Debug)]
pub(crate) struct Living {
    pub state: StreamState,
    /// Journal position of the record that created it.
    pub created_at: u64,
    pub kept: Kept,
}

/// What a catalogue learns of a sealed segment.
#[derive(Default)]
pub(crate) struct Changes {
    pub streams: Vec<Change>,
    /// Names that streams have given back, and above which positions.
    pub former: Vec<(StreamName, Position)>,
}

/// What a catalogue learns of one stream.
pub(crate) struct Change {
    pub stream: StreamId,
    /// `None`: gone.
    pub living: Option<Living>,
    /// Its records in the sealed segment.
    pub postings: Vec<Posting>,
}

impl Entry {
    /// A stream whose records, so far, are in the catalogue.
    fn of(living: Living) -> Self {
        let Living { state, created_at, kept } = living;
        Self { catalogued_to: state.tail, state, created_at, kept, forks_from: 0, postings: Vec::new() }
    }

    fn living(&self) -> Living {
        Living { state: self.state.clone(), created_at: self.created_at, kept: self.kept }
    }
}

impl Durable {
    pub fn track(&self) {
        self.tracker.lock().on = true;
    }

    /// Takes over what a catalogue knows.
    pub fn restore(&self, streams: Vec<Living>) {
        let mut names = self.names.write();
        for living in streams {
            names.insert(living.state.creation.name.clone(), living.state.id);
            self.streams.insert(living.state.id, Entry::of(living));
        }
    }

    /// Takes over what a cluster says of a stream. Its records until then are told to the catalogue, or told here next.
    pub fn restore_state(&self, living: Living, told_here: bool) {
        let id = living.state.id;
        self.remove(id);
        self.next_id.fetch_max(id.0 + 1, Ordering::SeqCst);
        self.restore(vec![living]);
        if told_here && let Some(mut entry) = self.streams.get_mut(&id) {
            entry.catalogued_to = entry.state.creation.own_start();
        }
    }

    /// The stream has ended, as a cluster says.
    pub fn restore_end(&self, id: StreamId) {
        self.remove(id);
    }

    /// The journal was restored: below the last of these nothing is given out any more.
    pub fn lift(&mut self, lifts: Vec<Position>) {
        let floor = lifts.last().copied().unwrap_or(0);
        self.raise(0, floor);
        self.raise_former_floor(floor);
        self.lifts = lifts;
    }

    pub fn lifts(&self) -> &[Position] {
        &self.lifts
    }

    /// Whether a restore may have passed over what lies between two positions of a stream.
    pub fn is_passed_over(&self, known: &Known, from: Position, to: Position) -> bool {
        known.skipped > 0 && self.lifts.iter().any(|lift| from < *lift && to <= *lift)
    }

    /// Numbers and positions below these were given to streams that nothing else may tell of any more.
    pub fn raise(&self, next_id: u64, start: Position) {
        self.next_id.fetch_max(next_id, Ordering::SeqCst);
        self.start.fetch_max(start, Ordering::SeqCst);
    }

    /// Lets go of streams created where the journal has been freed, unless a cluster holds them: a catalogue that knows
    /// them is older than that.
    pub fn forget_created_in(&self, freed: &[Range<u64>], is_held: impl Fn(StreamId) -> bool) {
        let is_freed = |at: u64| freed.iter().any(|gap| gap.contains(&at));
        let gone = |entry: &Entry| is_freed(entry.created_at) && !is_held(entry.state.id);
        let gone: Vec<_> = self.streams.iter().filter(|entry| gone(entry)).map(|entry| *entry.key()).collect();
        for id in gone {
            self.tracker.lock().touched.insert(id);
            self.remove(id);
        }
    }

    pub fn clear(&self) {
        self.streams.clear();
        self.names.write().clear();
        self.next_id.store(0, Ordering::SeqCst);
        self.start.store(0, Ordering::SeqCst);
        self.former.lock().clear();
        self.former_floor.store(0, Ordering::SeqCst);
        let mut tracker = self.tracker.lock();
        tracker.touched.clear();
        tracker.cuts.clear();
    }

    /// Moves to the state after `record`, which lies at journal position `at` and takes `len` bytes there.
    pub fn apply(&self, record: &Record, at: u64, len: u32) {
        let id = record.stream;
        let mut tracker = self.tracker.lock();
        if tracker.on {
            tracker.note(id, || self.streams.get(&id).map(|entry| entry.living()));
        }
        self.next_id.fetch_max(id.0 + 1, Ordering::SeqCst);
        match &record.body {
            Body::Create(creation) => {
                if let Some(state) = StreamState::create(record) {
                    let mut entry = Entry::of(Living { state, created_at: at, kept: Kept::default() });
                    entry.catalogued_to = creation.own_start();
                    self.streams.insert(id, entry);
                    self.names.write().insert(creation.name.clone(), id);
                }
            }
            Body::Delete | Body::Expire => self.forget(id, record.first, at),
            _ => {
                // A record of a stream that is not there: a catalogue knew of the stream's end, or its creation was freed.
                let Some(mut entry) = self.streams.get_mut(&id) else {
                    return;
                };
                entry.state.apply(record);
                entry.kept = entry.kept.and(Kept::said_by(&record.body));
                if record.count > 0 {
                    let count = u32::try_from(record.count).unwrap_or(u32::MAX);
                    entry.postings.push(Posting { first: record.first, count, len, at });
                }
            }
        }
    }

    fn forget(&self, id: StreamId, tail: Position, at: u64) {
        self.start.fetch_max(tail + 1, Ordering::SeqCst);
        if let Some(name) = self.remove(id).filter(|name| !name.is_internal()) {
            let mut former = self.former.lock();
            let end = former.get(&name).map_or(0, |former| former.end).max(tail + 1);
            former.insert(name, Former { end, at });
        }
    }

    /// Takes a stream out, whose name it gives.
    fn remove(&self, id: StreamId) -> Option<StreamName> {
        let (_, entry) = self.streams.remove(&id)?;
        let name = entry.state.creation.name.clone();
        let mut names = self.names.write();
        // The name may have been given again before its former stream went.
        if names.get(&name) == Some(&id) {
            names.remove(&name);
        }
        Some(name)
    }

    pub fn next_id(&self) -> StreamId {
        StreamId(self.next_id.fetch_add(1, Ordering::SeqCst))
    }

    pub fn ids_given(&self) -> u64 {
        self.next_id.load(Ordering::SeqCst)
    }

    pub fn start_position(&self) -> Position {
        match mutant::is_on(Mutant::ReuseOffset) {
            true => 0,
            false => self.start.load(Ordering::SeqCst),
        }
    }

    /// As [`crate::storage::Store::former_end`], of what a catalogue does not know.
    pub fn former_end(&self, name: &StreamName) -> Position {
        let known = self.former.lock().get(name).map_or(0, |former| former.end);
        known.max(self.former_floor())
    }

    /// Of the names that a catalogue does not know, above which positions their former streams ended.
    pub fn former_ends(&self) -> Vec<(StreamName, Position)> {
        self.former.lock().iter().map(|(name, former)| (name.clone(), former.end)).collect()
    }

    pub fn former_floor(&self) -> Position {
        self.former_floor.load(Ordering::SeqCst)
    }

    pub fn raise_former_floor(&self, floor: Position) {
        self.former_floor.fetch_max(floor, Ordering::SeqCst);
    }

    pub fn find(&self, name: &StreamName) -> Option<StreamId> {
        self.names.read().get(name).copied()
    }

    pub fn load(&self, id: StreamId) -> Option<StreamState> {
        let floor = match mutant::is_on(Mutant::RestoreInPlace) {
            true => 0,
            false => self.lifts.last().copied().unwrap_or(0),
        };
        self.streams.get(&id).map(|entry| StreamState { floor, ..entry.state.clone() })
    }

    /// The live streams, in no order.
    pub fn ids(&self) -> Vec<StreamId> {
        self.streams.iter().map(|entry| *entry.key()).collect()
    }

    pub fn is_live(&self, id: StreamId) -> bool {
        self.streams.contains_key(&id)
    }

    /// Journal position of the record that created a live stream.
    pub fn created_at(&self, id: StreamId) -> Option<u64> {
        self.streams.get(&id).map(|entry| entry.created_at)
    }

    /// Whatever a stream that is gone had is gone too.
    pub fn kept(&self, id: StreamId) -> Kept {
        self.streams.get(&id).map_or(Kept::default(), |entry| entry.kept)
    }

    /// Whether a fork of the stream may begin at a position: nothing that it inherits was left out, or will be.
    pub fn may_fork(&self, mut id: StreamId, mut at: Position) -> bool {
        loop {
            let Some(entry) = self.streams.get(&id) else { return true };
            if at > entry.state.creation.start && at < entry.forks_from.max(entry.kept.history_from) {
                return false;
            }
            // What it inherits of what this one has inherited.
            let fork = entry.state.creation.fork.as_ref().filter(|fork| at < fork.point());
            let Some((source, shift)) = fork.map(|fork| (fork.source, fork.shift)) else { return true };
            drop(entry);
            (id, at) = (source, at.saturating_sub(shift));
        }
    }

    /// Positions of a stream at which forks begin, of the stream or of what those have inherited of it. In order.
    pub fn fork_points(&self, id: StreamId) -> Vec<Position> {
        let Some(pins) = self.streams.get(&id).map(|entry| entry.state.pins.clone()) else { return Vec::new() };
        let mut points: Vec<Position> = pins.values().copied().collect();
        for fork in pins.keys() {
            let Some(link) = self.creation(*fork).and_then(|creation| creation.fork.clone()) else { continue };
            let inherited = self.fork_points(*fork).into_iter().filter(|point| *point < link.point());
            points.extend(inherited.map(|point| point.saturating_sub(link.shift)));
        }
        points.sort_unstable();
        points.dedup();
        points
    }

    /// From here on no fork of the stream begins below that, or none that this is told of. 0 takes it back.
    pub fn hold_forks(&self, id: StreamId, from: Position) {
        if let Some(mut entry) = self.streams.get_mut(&id) {
            entry.forks_from = from;
        }
    }

    /// From now on less of a stream may be there.
    pub fn raise_kept(&self, id: StreamId, kept: Kept) {
        if let Some(mut entry) = self.streams.get_mut(&id) {
            entry.kept = entry.kept.and(kept);
        }
    }

    /// A stream's records of `covers` lie elsewhere now: where `postings` say, unless the catalogue knows.
    pub fn move_records(&self, id: StreamId, covers: &[Range<Position>], postings: Option<Vec<Posting>>, kept: Kept) {
        let Some(mut entry) = self.streams.get_mut(&id) else { return };
        entry.kept = entry.kept.and(kept);
        entry.forks_from = 0;
        let Some(postings) = postings else { return };
        let covered = |posting: &Posting| covers.iter().any(|range| range.contains(&posting.first));
        entry.postings.retain(|posting| !covered(posting));
        entry.postings.extend(postings);
        entry.postings.sort_unstable_by_key(|posting| posting.first);
    }

    pub fn creation(&self, id: StreamId) -> Option<Arc<Creation>> {
        self.streams.get(&id).map(|entry| entry.state.creation.clone())
    }

    pub fn version(&self, id: StreamId) -> StreamVersion {
        self.streams.get(&id).map_or(StreamVersion(0), |entry| entry.state.version)
    }

    pub fn limited(&self) -> Vec<(StreamId, Lifetime, Timestamp)> {
        self.streams.iter().filter_map(|entry| limited(&entry.state)).collect()
    }

    pub fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<StreamName> {
        use std::ops::Bound;
        let names = self.names.read();
        let seen = |id: &StreamId| self.streams.get(id).is_some_and(|entry| !entry.state.soft_deleted);
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(StreamName::from_log(after)),
            _ => Bound::Included(StreamName::from_log(prefix)),
        };
        names
            .range((from, Bound::Unbounded))
            .take_while(|(name, _)| name.as_str().starts_with(prefix))
            .filter(|(name, id)| name.is_internal() == StreamName::is_internal_text(prefix) && seen(id))
            .map(|(name, _)| name)
            .take(limit)
            .cloned()
            .collect()
    }

    /// The stream's durable tail, and the records of `from..to` that memory knows of, until they take `bytes_max`.
    pub fn postings(&self, id: StreamId, from: Position, to: Position, bytes_max: u64) -> Option<Known> {
        let entry = self.streams.get(&id)?;
        let StreamState { tail, skipped, .. } = entry.state;
        let start = entry.state.creation.own_start();
        let begin = entry.postings.partition_point(|posting| posting.end() <= from);
        let mut bytes = 0;
        let postings = entry.postings[begin..]
            .iter()
            .take_while(|posting| {
                let more = posting.first < to.min(tail) && bytes < bytes_max;
                bytes += u64::from(posting.len);
                more
            })
            .copied()
            .collect();
        Some(Known { start, tail, skipped, catalogued_to: entry.catalogued_to, kept: entry.kept, postings })
    }

    /// A segment ends at `through`: remembers what the streams it touched are like now.
    pub fn cut(&self, through: u64) {
        let mut tracker = self.tracker.lock();
        if tracker.on {
            let touched = std::mem::take(&mut tracker.touched);
            tracker.cuts.push(Cut { through, touched, saved: HashMap::new() });
        }
    }

    /// Where the oldest cut is that nobody has taken.
    pub fn oldest_cut(&self) -> Option<u64> {
        self.tracker.lock().cuts.first().map(|cut| cut.through)
    }

    /// What the oldest cut has to say. It stays until [`Durable::settle`].
    pub fn changes(&self) -> Changes {
        let Some((through, touched)) = self.tracker.lock().cuts.first().map(|cut| (cut.through, cut.touched.clone()))
        else {
            return Changes::default();
        };
        let covered = |(_, former): &(&StreamName, &Former)| former.at < through;
        let former =
            self.former.lock().iter().filter(covered).map(|(name, former)| (name.clone(), former.end)).collect();
        Changes { streams: touched.into_iter().map(|id| self.change(id, through)).collect(), former }
    }

    fn change(&self, id: StreamId, through: u64) -> Change {
        // Held, so that the stream does not move between the look at what was saved and the look at the stream.
        let tracker = self.tracker.lock();
        let saved = tracker.cuts.first().and_then(|cut| cut.saved.get(&id)).cloned();
        let entry = self.streams.get(&id);
        let mut living = saved.unwrap_or_else(|| entry.as_ref().map(|entry| entry.living()));
        if let (Some(living), Some(entry)) = (&mut living, &entry) {
            // What was saved at the cut may be from before a clustering.
            living.kept = entry.kept;
        }
        let postings = entry.map_or(Vec::new(), |entry| {
            entry.postings.iter().take_while(|posting| posting.at < through).copied().collect()
        });
        Change { stream: id, living, postings }
    }

    /// The oldest cut is in the catalogue: memory lets go of the postings that it covers.
    pub fn settle(&self, changes: &Changes) {
        let mut tracker = self.tracker.lock();
        if tracker.cuts.is_empty() {
            return;
        }
        let through = tracker.cuts.remove(0).through;
        drop(tracker);
        self.former.lock().retain(|_, former| former.at >= through);
        for change in &changes.streams {
            if let Some(mut entry) = self.streams.get_mut(&change.stream) {
                let covered = entry.postings.partition_point(|posting| posting.at < through);
                if let Some(last) = entry.postings[..covered].last() {
                    entry.catalogued_to = last.end();
                }
                entry.postings.drain(..covered);
                entry.postings.shrink_to_fit();
            }
        }
    }

    /// A deliberate bug, for the contract suite.
    pub fn forget_producers(&self) {
        self.streams.iter_mut().for_each(|mut entry| entry.state.producers.clear());
    }
}

/// What memory knows of a range of a stream.
pub(super) struct Known {
    pub start: Position,
    pub tail: Position,
    /// See [`StreamState::skipped`].
    pub skipped: u64,
    /// Below it, only the catalogue knows.
    pub catalogued_to: Position,
    pub kept: Kept,
    pub postings: Vec<Posting>,
}

impl Tracker {
    /// A stream is about to move: cuts that have not taken it keep what it was.
    fn note(&mut self, id: StreamId, living: impl Fn() -> Option<Living>) {
        for cut in &mut self.cuts {
            if cut.touched.contains(&id) && !cut.saved.contains_key(&id) {
                cut.saved.insert(id, living());
            }
        }
        self.touched.insert(id);
    }
}
