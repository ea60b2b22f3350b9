//! What the records say by themselves, one after another: the account that others are held against.
//!
//! Knows the codec and [`StreamState`], and nothing of recovery, indexes or catalogues. It goes on behind a record that
//! does not verify, so that every one of them is named.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;

use crate::model::{Position, StreamId, StreamName, Timestamp};
use crate::storage::ReadError;
use crate::storage::codec::{ALIGN, Fault, Header, Kind, PREFIX};
use crate::storage::journal::cluster::{self, Cluster, Group, StateRecord};
use crate::storage::journal::durable::Posting;
use crate::storage::journal::manifest::{Manifest, segment_name};
use crate::storage::journal::segment;
use crate::storage::retention::Kept;
use crate::stream::{Body, Lengths, Record, StreamState};

use super::{Difference, Remedy};

pub(super) struct Ledger {
    key: u32,
    /// Parts of the journal are not there any more: not every stream has its beginning.
    freed: bool,
    /// What restores have lifted positions to, in order.
    lifts: Vec<Position>,
    pub streams: HashMap<StreamId, Told>,
    /// By name, above every position of streams that are gone.
    pub former: HashMap<StreamName, Position>,
    pub records: u64,
    pub next_id: u64,
    /// Above every position of every stream that is gone.
    pub start: Position,
    differences: Vec<Difference>,
    /// A record did not verify: what follows may lack it.
    broken: bool,
    before: Before,
}

/// What the records of one stream say.
pub(super) struct Told {
    pub state: StreamState,
    /// Journal position of the record that created it.
    pub created_at: u64,
    pub postings: Digest,
    pub kept: Kept,
    holes: Holes,
    /// Counts if the stream lives: of one that is gone, parts may have been freed.
    fault: Option<Difference>,
}

/// Positions that records jump over.
#[derive(Clone, Copy, Default)]
struct Holes {
    skipped: u64,
    end: Position,
}

/// Stands for a sequence of postings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Digest {
    pub count: u64,
    crc: u32,
}

impl Digest {
    pub fn add(&mut self, posting: Posting) {
        let Posting { first, count, len, at } = posting;
        self.count += 1;
        for value in [first, count.into(), len.into(), at] {
            self.crc = crc32c::crc32c_append(self.crc, &value.to_le_bytes());
        }
    }
}

/// What must not run backwards from record to record.
#[derive(Clone, Copy, Default)]
struct Before {
    term: u32,
    durable_to: u64,
    at: Timestamp,
}

/// Where a record lies.
#[derive(Clone, Copy)]
struct Spot {
    file: u64,
    position: u64,
    len: u32,
}

impl Spot {
    fn says(self, what: impl Into<String>, remedy: Remedy) -> Difference {
        let file = segment_name(self.file);
        Difference { position: Some(self.position), ..Difference::of_file(&file, what.into(), remedy) }
    }
}

impl Ledger {
    pub fn of(manifest: &Manifest) -> Self {
        Self {
            key: manifest.key(),
            freed: !manifest.freed.is_empty(),
            lifts: manifest.lifts.iter().map(|lift| lift.to).collect(),
            streams: HashMap::new(),
            former: HashMap::new(),
            records: 0,
            next_id: 0,
            start: 0,
            differences: Vec::new(),
            broken: false,
            before: Before::default(),
        }
    }

    /// Takes in a segment, which is `bytes` from its beginning to its end.
    pub fn take(&mut self, file: u64, life: u32, base: u64, bytes: Bytes) {
        let mut at = 0;
        let mut chained = None;
        while at < bytes.len() {
            let spot = |len| Spot { file, position: base + at as u64, len };
            match segment::check(self.key, &bytes[at..], base + at as u64, life) {
                Ok(header) => {
                    let spot = spot(header.len as u32);
                    chained = header.chained().then_some(spot);
                    self.record(spot, &header, bytes.slice(at..at + header.len));
                    at += header.len;
                }
                Err(fault) => {
                    self.broken = true;
                    self.damaged(spot(0), fault, &bytes[at..]);
                    at = self.next_record(&bytes, at + ALIGN, base, life);
                    chained = None;
                }
            }
        }
        if let Some(spot) = chained {
            self.differences.push(spot.says("the write that begins here has lost its end", Remedy::Report));
        }
    }

    /// Takes in what clusters say, before the segments. Their records lie in the order of their positions by then.
    pub fn take_clusters(&mut self, clusters: &[Arc<Cluster>]) -> Result<(), ReadError> {
        let ended = cluster::ended(clusters);
        let mut places: BTreeMap<StreamId, Vec<(&Cluster, &Group)>> = BTreeMap::new();
        for cluster in clusters {
            for group in cluster.groups().iter().filter(|group| !ended.contains(&group.stream)) {
                places.entry(group.stream).or_default().push((cluster, group));
            }
        }
        for (id, groups) in places {
            self.next_id = self.next_id.max(id.0.saturating_add(1));
            let (mut postings, mut newest, mut kept) = (Vec::new(), None, Kept::default());
            for (cluster, group) in groups {
                postings.extend(cluster::moved(cluster, group)?.postings);
                if let cluster::Told::Lives(told) = cluster.told(group)? {
                    kept = kept.and(told.kept);
                    let is_newer = newest.as_ref().is_none_or(|newest: &StateRecord| newest.as_of <= told.as_of);
                    newest = if is_newer { Some(*told) } else { newest };
                }
            }
            postings.sort_unstable_by_key(|posting| posting.first);
            let mut digest = Digest::default();
            postings.into_iter().for_each(|posting| digest.add(posting));
            if let Some(newest) = newest {
                let StateRecord { state, created_at, .. } = newest;
                self.streams.insert(
                    id,
                    Told { state, created_at, postings: digest, kept, holes: Holes::default(), fault: None },
                );
            }
        }
        self.records += clusters.iter().flat_map(|cluster| cluster.groups()).count() as u64;
        Ok(())
    }

    fn damaged(&mut self, spot: Spot, fault: Fault, bytes: &[u8]) {
        // Where only the body is damaged the header still says whose record it is.
        let header = Header::parse(self.key, bytes).ok().filter(|header| header.placement.position == spot.position);
        let what = match (fault, &header) {
            (_, Some(_)) => "a record's body does not have its checksum",
            (Fault::Length, None) => "no record begins here: the length is impossible",
            (Fault::Malformed, None) => "a record's header cannot be read",
            _ => "a record's header does not have its checksum",
        };
        let stream = header.as_ref().and_then(|header| self.name(header.stream));
        let at = header.filter(|header| header.kind != Kind::Mark).map(|header| header.first);
        self.differences.push(Difference { stream, at, ..spot.says(what, Remedy::Restore) });
    }

    fn name(&self, stream: StreamId) -> Option<StreamName> {
        self.streams.get(&stream).map(|told| told.state.creation.name.clone())
    }

    fn next_record(&self, bytes: &[u8], from: usize, base: u64, life: u32) -> usize {
        let begins = |at: &usize| {
            bytes[*at..*at + ALIGN] != [0; ALIGN]
                && Header::parse(self.key, &bytes[*at..]).is_ok_and(|header| {
                    header.placement.position == base + *at as u64 && header.placement.life == life
                })
        };
        (from..bytes.len().saturating_sub(PREFIX)).step_by(ALIGN).find(begins).unwrap_or(bytes.len())
    }

    fn record(&mut self, spot: Spot, header: &Header, bytes: Bytes) {
        self.records += 1;
        let placement = header.placement;
        let Before { term, durable_to, at } = self.before;
        let backwards = [
            (placement.term < term, "the term of the server"),
            (placement.durable_to < durable_to, "what was proven durable"),
            (placement.at < at, "the time"),
        ];
        for (_, what) in backwards.into_iter().filter(|(runs_back, _)| *runs_back) {
            self.differences.push(spot.says(format!("{what} runs backwards here"), Remedy::Report));
        }
        self.before = Before {
            term: term.max(placement.term),
            durable_to: durable_to.max(placement.durable_to),
            at: at.max(placement.at),
        };
        match header.record(&bytes) {
            Ok(None) => {}
            Ok(Some(record)) => self.apply(spot, &record, header.created_at(&bytes)),
            Err(_) => {
                let stream = self.name(header.stream);
                let what = "a record is as it was written, and cannot be read";
                self.differences.push(Difference { stream, ..spot.says(what, Remedy::Report) });
            }
        }
    }

    fn apply(&mut self, spot: Spot, record: &Record, says_created_at: Option<u64>) {
        let id = record.stream;
        self.next_id = self.next_id.max(id.0.saturating_add(1));
        if let Some(state) = StreamState::create(record) {
            let postings = Digest::default();
            let (created_at, kept) = (spot.position, Kept::default());
            self.streams.insert(id, Told { state, created_at, postings, kept, holes: Holes::default(), fault: None });
            return;
        }
        let ends = matches!(record.body, Body::Delete | Body::Expire);
        let Some(told) = self.streams.get_mut(&id) else {
            if ends {
                self.start = self.start.max(record.first.saturating_add(1));
            }
            if !self.freed && !self.broken {
                let what = format!("a record of stream number {id}, which is not there");
                self.differences.push(spot.says(what, Remedy::Report));
            }
            return;
        };
        // A restore passes over what it cut off may have given out.
        told.kept = told.kept.and(Kept::said_by(&record.body));
        if told.holes.end <= told.kept.history_from {
            // Of an import, which says last of all what is missing.
            told.state.skipped += std::mem::take(&mut told.holes).skipped;
            told.fault = told.fault.take().filter(|fault| fault.at.is_none_or(|at| at > told.kept.history_from));
        }
        let forgets = matches!(record.body, Body::Forget { .. }) || record.first <= told.kept.history_from;
        let skips = record.count > 0 && self.lifts.contains(&record.first) || forgets;
        let lifted = record.first > told.state.tail && skips;
        let fault = match (lifted || told.state.tail == record.first, record.first.checked_add(record.count)) {
            (false, _) => Some(format!("a record at position {} follows position {}", record.first, told.state.tail)),
            (_, None) => Some("positions exceed what there is".to_owned()),
            _ => malformed(&told.state, record).map(str::to_owned),
        };
        if let Some(what) = fault.filter(|_| told.fault.is_none()) {
            let stream = Some(told.state.creation.name.clone());
            told.fault = Some(Difference { stream, at: Some(record.first), ..spot.says(what, Remedy::Report) });
        }
        match ends {
            true => self.end(spot, record, says_created_at),
            false if record.first.checked_add(record.count).is_some() => {
                if !lifted {
                    // Where a part is missing, the rest is where it says.
                    if record.count > 0 && record.first > told.state.tail {
                        told.holes.skipped += record.first - told.state.tail;
                        told.holes.end = record.first;
                    }
                    told.state.tail = record.first;
                }
                told.state.apply(record);
                if record.count > 0 {
                    let count = u32::try_from(record.count).unwrap_or(u32::MAX);
                    told.postings.add(Posting { first: record.first, count, len: spot.len, at: spot.position });
                }
            }
            false => {}
        }
    }

    fn end(&mut self, spot: Spot, record: &Record, says_created_at: Option<u64>) {
        let Some(told) = self.streams.remove(&record.stream) else { return };
        let name = told.state.creation.name.clone();
        if says_created_at.is_some_and(|said| said != told.created_at) {
            let what = "the end of a stream names another place as its beginning";
            self.differences.push(Difference { stream: Some(name.clone()), ..spot.says(what, Remedy::Report) });
        }
        if !self.freed && !self.broken {
            self.differences.extend(told.fault);
        }
        let end = record.first.saturating_add(1);
        self.start = self.start.max(end);
        if !name.is_internal() {
            let former = self.former.entry(name).or_default();
            *former = end.max(*former);
        }
    }

    /// What was found; once everything was taken in.
    pub fn finish(&mut self) -> Vec<Difference> {
        let mut differences = std::mem::take(&mut self.differences);
        if !self.broken {
            differences.extend(self.streams.values_mut().filter_map(|told| told.fault.take()));
        }
        differences.sort_by_key(|difference| difference.position);
        differences
    }

    /// Whether parts of the journal are not there any more.
    pub fn has_gaps(&self) -> bool {
        self.freed
    }

    /// Above all positions that restores have cut off.
    pub fn floor(&self) -> Position {
        self.lifts.last().copied().unwrap_or(0)
    }
}

/// Whether a record's messages lie where its table says.
fn malformed(state: &StreamState, record: &Record) -> Option<&'static str> {
    let Body::Append { lengths, payload } = &record.body else { return None };
    if !state.is_json() {
        let counts = payload.len() as u64 == record.count && *lengths == Lengths::default();
        return (!counts).then_some("a record does not have as many bytes as it counts");
    }
    let (mut count, mut at) = (0, 0usize);
    for length in lengths.iter() {
        at += length as usize;
        if payload.get(at) != Some(&b',') {
            return Some("a record's messages do not lie where its table says");
        }
        (count, at) = (count + 1, at + 1);
    }
    let agrees = count == record.count && at == payload.len();
    (!agrees).then_some("a record does not have as many messages as it counts")
}
