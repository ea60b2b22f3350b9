//! A copy of a journal that a server is writing to: consistent at one position, and only what is new each time.
//!
//! The journal is one order of everything, so a prefix of it is a state that the server was in. A backup is such a
//! prefix: what of each segment file verifies, record by record, by position, life and checksums, cut at the highest
//! position that a record proves durable (`durable_to`). The server is neither asked nor kept from anything, and the
//! data directory is only read.
//!
//! What moves meanwhile is met like this:
//!
//! - *A segment is given back or used again.* Its file is gone, or its records are of another life. The manifest says
//!   whether that may be; then it is read again, and what was copied of other segments stays.
//! - *Segments are given back for what was written later.* The manifest comes first. Whatever it lets go of rests on
//!   records that were written before it was, so the copy goes on until everything written by then is proven.
//! - *The server restarts after a crash* and puts records elsewhere that were in flight. Nothing of them was proven.
//!
//! The target holds the copies and [`Backup`], which names them and is replaced last: write, sync, rename, sync the
//! directory. Until then the former one holds, since copies only ever grow. It is no data directory, on purpose: a
//! server on it would change it, and give out offsets again ([`super::restore`] sees to that).
//!
//! Clusters are copied whole. They stand for what the manifest that names them has freed, in the state at the position
//! of that backup and in later ones; earlier states need what they were made of.
//!
//! A segment that the server has given back since stays in the backup, so that earlier states can be restored, and is
//! left out of later ones: the end of a stream may have gone with what followed. What was given back before anyone copied
//! it is a [`Gap`].

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::model::{Position, Timestamp};
use crate::runtime::Clock;
use crate::storage::codec::{Fault, Kind};
use crate::storage::disk::{Disk, DiskFile, read_all};
use crate::storage::mutant::{self, Mutant};

use super::cluster::tail_of as cluster_tail;
use super::manifest::{
    ClusterFile, Clustered, Floor, Lift, Live, Manifest, ManifestFault, cluster_name, end_of, segment_name,
};
use super::segment::{check, first_position};
use super::{APPEND_BYTES_MAX, LOCK};

const NAME: &str = "backup.json";
const NEW: &str = "backup.json.new";
const VERSION: u32 = 1;
/// How often everything is looked at anew because the server has moved files meanwhile.
const ATTEMPTS_MAX: usize = 20;
/// Bytes read at once, unless a record is larger.
const WINDOW: u64 = 1 << 20;
/// Between two looks at whether the newest records are proven; an idle committer proves them within 50 ms.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    pub version: u32,
    /// The journal that it is of, in hexadecimal.
    pub journal: String,
    pub taken_at_ms: u64,
    /// Journal position up to which everything is in it, but for the gaps.
    pub position: u64,
    /// Commit time of the newest record; 0 where there is none.
    pub time_ms: u64,
    pub(super) term: u32,
    pub(super) next_life: u32,
    pub(super) floor: FloorEntry,
    pub(super) lifts: Vec<LiftEntry>,
    pub gaps: Vec<Gap>,
    /// In the order of the journal.
    pub segments: Vec<SegmentEntry>,
    /// What stands for parts that were clustered, as it changed; the last is of the newest state.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clusterings: Vec<ClusterSet>,
}

/// The clusters that there were in a state, and in those that followed until the next set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterSet {
    /// Journal position of that state.
    pub known_by: u64,
    /// How many clusterings there had been.
    pub count: u64,
    pub(super) through: u64,
    pub(super) next: u64,
    pub clusters: Vec<ClusterEntry>,
}

/// A copy of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterEntry {
    /// The server's number of the file, and which use of it.
    pub file: u64,
    pub life: u32,
    pub len: u64,
    pub(super) base: u64,
    pub(super) directory: u64,
    pub(super) clustering: u64,
    pub(super) at: u64,
    pub(super) folded: bool,
    /// Above all stream positions that its records name.
    pub positions_below: Position,
}

impl ClusterEntry {
    fn of(file: &ClusterFile, positions_below: Position) -> Self {
        let ClusterFile { number, life, base, len, directory, clustering, at, folded } = *file;
        Self { file: number, life, len, base, directory, clustering, at, folded, positions_below }
    }

    /// As a manifest names it.
    pub(super) fn named(&self) -> ClusterFile {
        let Self { file: number, life, len, base, directory, clustering, at, folded, .. } = *self;
        ClusterFile { number, life, base, len, directory, clustering, at, folded }
    }

    pub(super) fn copy_name(&self) -> String {
        format!("{}.{}", cluster_name(self.file), self.life)
    }
}

/// A part of the journal that was given back before it was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    pub from: u64,
    pub to: u64,
    /// Nobody needed it in the state at this journal position; before, somebody may have.
    pub known_by: u64,
}

/// A copy of a segment, or of its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentEntry {
    /// The server's number of the file.
    pub file: u64,
    /// Which use of the file; no other has had that number.
    pub life: u32,
    /// Journal position of its first byte.
    pub base: u64,
    /// Bytes that count; the copy may be longer.
    pub len: u64,
    pub records: u64,
    /// Commit times of its first and last record.
    pub first_ms: u64,
    pub last_ms: u64,
    /// Above all stream positions that its records name.
    pub positions_below: Position,
    /// The server had given it back by the state at this journal position, in which nobody needed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freed_by: Option<u64>,
}

impl SegmentEntry {
    /// Journal position behind its last record.
    pub fn end(&self) -> u64 {
        self.base.saturating_add(self.len)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FloorEntry {
    pub next_id: u64,
    pub start: Position,
    pub last_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LiftEntry {
    pub to: Position,
    pub at: u64,
    pub time_ms: u64,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    crc32c: String,
    backup: Box<RawValue>,
}

/// Why there is no backup, or no new one; the former one is as it was.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("there is no journal")]
    NoJournal,
    #[error("another backup writes there now; wait for its end")]
    Busy,
    #[error("{NAME} is damaged ({0}); make a new backup in another directory")]
    Damaged(String),
    /// Written by a later version.
    #[error("{0} was written by a later keyfold; use that one")]
    Newer(String),
    #[error("the directory holds no backup")]
    NoBackup,
    #[error("that is the backup of another journal; give each server a directory of its own")]
    OtherJournal,
    /// One of the two was restored from a backup since.
    #[error(
        "the backup there is of another history: the server was restored since; keep it, and give another directory"
    )]
    OtherHistory,
    #[error("{file} is damaged at journal position {position}; stop the server and run `keyfold verify`")]
    Source { file: String, position: u64 },
    #[error("the manifest is damaged ({0}); stop the server and run `keyfold verify`")]
    Manifest(&'static str),
    #[error(
        "the newest records are not proven durable after {0:?}: if no server runs there, start one, which settles what \
         a crash has left; if one runs, look at its health"
    )]
    Unproven(Duration),
    #[error("files kept moving; try again when the server restarts less")]
    Unstable,
    #[error("cannot {doing}: {source}")]
    Io {
        doing: String,
        #[source]
        source: io::Error,
    },
}

impl BackupError {
    pub(super) fn io(doing: &str, source: io::Error) -> Self {
        Self::Io { doing: doing.into(), source }
    }
}

/// How a backup is made.
pub struct BackupOptions<'a> {
    pub clock: Clock,
    /// Most bytes copied in a second.
    pub bytes_per_second: Option<u64>,
    /// Lets go of segments that the server has given back.
    pub prune: bool,
    /// How long to wait for the newest records to be proven.
    pub patience: Duration,
    /// Sleeps.
    pub pause: &'a dyn Fn(Duration),
    /// Told of the bytes copied, of about so many.
    pub progress: &'a dyn Fn(u64, u64),
}

/// What a run has done.
#[derive(Clone, Debug)]
pub struct Report {
    pub backup: Backup,
    pub bytes_copied: u64,
    /// Segments of which something was copied.
    pub segments_copied: u64,
}

/// Copies what is new of the journal on `source` into `target`.
pub fn backup(source: &dyn Disk, target: &dyn Disk, options: &BackupOptions) -> Result<Report, BackupError> {
    let first = peek(source)?;
    let _lock = target.lock(LOCK).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => BackupError::Busy,
        _ => BackupError::io("lock the backup", error),
    })?;
    let previous = Backup::load(target)?;
    if let Some(previous) = &previous {
        previous.is_of(&first)?;
    }
    let held = previous.iter().flat_map(|backup| &backup.segments).map(|entry| (Key::of(entry), Held::from(entry)));
    let mut run = Run {
        source,
        target,
        options,
        held: held.collect(),
        touched: HashSet::new(),
        clusters: previous
            .iter()
            .flat_map(Backup::cluster_entries)
            .map(|entry| (entry.copy_name(), *entry))
            .collect(),
        touched_clusters: HashSet::new(),
        previous,
        next_life: first.next_life,
        term: 0,
        copied: 0,
        total: 0,
    };
    for _ in 0..ATTEMPTS_MAX {
        let manifest = peek(source)?;
        match run.pass(&manifest) {
            Ok((chain, position)) => return run.commit(&manifest, chain, position),
            Err(Stop::Changed) => {}
            Err(Stop::Failed(error)) => return Err(error),
        }
    }
    Err(BackupError::Unstable)
}

fn peek(source: &dyn Disk) -> Result<Manifest, BackupError> {
    match Manifest::peek(source) {
        Ok(Some(manifest)) => Ok(manifest),
        Ok(None) => Err(BackupError::NoJournal),
        Err(ManifestFault::Damaged(why)) => Err(BackupError::Manifest(why)),
        Err(ManifestFault::Newer(_)) => Err(BackupError::Newer("the journal".into())),
        Err(ManifestFault::Io(error)) => Err(BackupError::io("read the manifest", error)),
    }
}

/// Name of a copy. A life is one use of one file, so what has a name never becomes something else.
pub(super) fn copy_name(file: u64, life: u32) -> String {
    format!("{}.{life}", segment_name(file))
}

// ---- what a backup says of itself -----------------------------------------------------------------------------------

impl Backup {
    /// `None` where there is none.
    pub fn load(disk: &dyn Disk) -> Result<Option<Self>, BackupError> {
        let file = match disk.open(NAME) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(|error| BackupError::io("open the backup", error))?,
        };
        let bytes = read_all(&*file).map_err(|error| BackupError::io("read the backup", error))?;
        let damaged = |error: serde_json::Error| BackupError::Damaged(error.to_string());
        let sealed: Sealed = serde_json::from_slice(&bytes).map_err(damaged)?;
        let text = sealed.backup.get();
        if sealed.crc32c != format!("{:08x}", crc32c::crc32c(text.as_bytes())) {
            return Err(BackupError::Damaged("its checksum does not hold".into()));
        }
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        if serde_json::from_str::<Version>(text).map_err(damaged)?.version > VERSION {
            return Err(BackupError::Newer(NAME.into()));
        }
        let backup: Self = serde_json::from_str(text).map_err(damaged)?;
        match backup.is_in_order() {
            true => Ok(Some(backup)),
            false => Err(BackupError::Damaged("its segments are not in order".into())),
        }
    }

    fn is_in_order(&self) -> bool {
        let parts = self.segments.iter().map(|entry| entry.base..entry.end());
        let mut parts: Vec<Range<u64>> = parts.chain(self.gaps.iter().map(|gap| gap.from..gap.to)).collect();
        parts.sort_by_key(|part| (part.start, part.end));
        parts.windows(2).all(|pair| pair[0].end == pair[1].start)
            && parts.iter().all(|part| part.start <= part.end)
            && self.segments.is_sorted_by_key(|entry| entry.base)
            && parts.last().is_none_or(|part| part.end == self.position)
            && u64::from_str_radix(&self.journal, 16).is_ok()
    }

    fn store(&self, disk: &dyn Disk) -> io::Result<()> {
        let backup = RawValue::from_string(serde_json::to_string(self)?)?;
        let crc32c = format!("{:08x}", crc32c::crc32c(backup.get().as_bytes()));
        let text = serde_json::to_string(&Sealed { crc32c, backup })? + "\n";
        let file = disk.create(NEW)?;
        file.write_at(text.as_bytes(), 0)?;
        file.sync_data()?;
        disk.rename(NEW, NAME)?;
        disk.sync_dir()
    }

    pub(super) fn id(&self) -> u64 {
        // `load` has checked it.
        u64::from_str_radix(&self.journal, 16).unwrap_or(0)
    }

    /// Whether what is new of that journal can be added.
    fn is_of(&self, manifest: &Manifest) -> Result<(), BackupError> {
        if self.id() != manifest.id {
            return Err(BackupError::OtherJournal);
        }
        match self.lifts.iter().copied().eq(manifest.lifts.iter().map(LiftEntry::from)) {
            true => Ok(()),
            false => Err(BackupError::OtherHistory),
        }
    }

    /// Commit time of the oldest record that is kept.
    pub fn begins_ms(&self) -> u64 {
        self.segments.iter().find(|entry| entry.records > 0).map_or(0, |entry| entry.first_ms)
    }

    /// Bytes that all copies take together.
    pub fn bytes(&self) -> u64 {
        let clusters = self.cluster_entries().map(|entry| (entry.copy_name(), entry.len)).collect::<BTreeMap<_, _>>();
        self.segments.iter().map(|entry| entry.len).sum::<u64>() + clusters.values().sum::<u64>()
    }

    fn cluster_entries(&self) -> impl Iterator<Item = &ClusterEntry> {
        self.clusterings.iter().flat_map(|set| &set.clusters)
    }
}

impl From<&Lift> for LiftEntry {
    fn from(lift: &Lift) -> Self {
        Self { to: lift.to, at: lift.at, time_ms: lift.time.as_millis() }
    }
}

impl From<&LiftEntry> for Lift {
    fn from(entry: &LiftEntry) -> Self {
        Self { to: entry.to, at: entry.at, time: Timestamp::from_millis(entry.time_ms) }
    }
}

impl From<&FloorEntry> for Floor {
    fn from(entry: &FloorEntry) -> Self {
        Self { next_id: entry.next_id, start: entry.start, last_time: Timestamp::from_millis(entry.last_ms) }
    }
}

// ---- one run --------------------------------------------------------------------------------------------------------

/// One use of a segment file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key {
    base: u64,
    file: u64,
    life: u32,
}

impl Key {
    fn of(entry: &SegmentEntry) -> Self {
        Self { base: entry.base, file: entry.file, life: entry.life }
    }
}

/// How far a segment is copied.
#[derive(Clone, Copy, Debug)]
struct Held {
    entry: SegmentEntry,
    /// Highest journal position that its records prove.
    told: u64,
    /// Journal position behind its last record that is no mark.
    settled: u64,
}

impl Held {
    fn end(&self) -> u64 {
        self.entry.end()
    }

    fn take(&mut self, header: &crate::storage::codec::Header) {
        let entry = &mut self.entry;
        let at = header.placement.at.as_millis();
        if entry.records == 0 {
            entry.first_ms = at;
        }
        entry.records += 1;
        entry.last_ms = at;
        entry.len += header.len as u64;
        entry.positions_below = entry.positions_below.max(header.first.saturating_add(header.count));
        self.told = self.told.max(header.placement.durable_to);
        if header.kind != Kind::Mark {
            self.settled = self.end();
        }
    }
}

impl From<&SegmentEntry> for Held {
    fn from(entry: &SegmentEntry) -> Self {
        let end = entry.end();
        // A backup ends at what is proven.
        Self { entry: *entry, told: end, settled: end }
    }
}

impl From<Key> for Held {
    fn from(Key { base, file, life }: Key) -> Self {
        let (len, records, first_ms, last_ms, positions_below) = (0, 0, 0, 0, 0);
        let freed_by = None;
        Self::from(&SegmentEntry { file, life, base, len, records, first_ms, last_ms, positions_below, freed_by })
    }
}

enum Stop {
    /// The server has moved files; look again.
    Changed,
    Failed(BackupError),
}

impl From<BackupError> for Stop {
    fn from(error: BackupError) -> Self {
        Self::Failed(error)
    }
}

struct Run<'a> {
    source: &'a dyn Disk,
    target: &'a dyn Disk,
    options: &'a BackupOptions<'a>,
    previous: Option<Backup>,
    /// What lies in the target, of former runs and of this one.
    held: BTreeMap<Key, Held>,
    touched: HashSet<Key>,
    /// Clusters that lie in the target, by the names of their copies.
    clusters: BTreeMap<String, ClusterEntry>,
    touched_clusters: HashSet<String>,
    next_life: u32,
    term: u32,
    copied: u64,
    total: u64,
}

/// A segment that is being copied.
struct Open<'a> {
    live: Live,
    file: &'a dyn DiskFile,
    /// Where it ends, if it is sealed.
    end: Option<u64>,
}

impl Run<'_> {
    /// Copies the journal that a manifest names, and what has followed since. Gives the segments in order, and up to
    /// which journal position they are proven.
    fn pass(&mut self, manifest: &Manifest) -> Result<(Vec<Key>, u64), Stop> {
        self.previous.as_ref().map_or(Ok(()), |previous| previous.is_of(manifest))?;
        self.expect(manifest);
        manifest.clusters.iter().try_for_each(|cluster| self.copy_cluster(manifest.key(), cluster))?;
        let mut chain = Vec::new();
        for (index, live) in manifest.live.iter().enumerate() {
            let end = end_of(&manifest.live, &manifest.freed, index);
            chain.push(self.copy(manifest, *live, end)?);
        }
        self.follow(manifest, &mut chain)?;
        // All that the manifest's freed parts rest on was written before this was looked at.
        let wanted = chain.iter().map(|key| self.held[key].settled).max().unwrap_or(0);
        let mut waited = Duration::ZERO;
        loop {
            let told = self.told(manifest, &chain);
            if told >= wanted {
                return Ok((chain, told));
            }
            if waited >= self.options.patience {
                return Err(BackupError::Unproven(self.options.patience).into());
            }
            (self.options.pause)(LOOK_AGAIN);
            waited += LOOK_AGAIN;
            let now = peek(self.source)?;
            self.go_on(&now, &mut chain)?;
        }
    }

    fn expect(&mut self, manifest: &Manifest) {
        self.next_life = self.next_life.max(manifest.next_life);
        self.term = self.term.max(manifest.term);
        let whole = |(index, live): (usize, &Live)| {
            let end = end_of(&manifest.live, &manifest.freed, index).unwrap_or(live.base + live.size);
            let held = self.held.get(&Key { base: live.base, file: live.file, life: live.life });
            end.saturating_sub(held.map_or(live.base, Held::end))
        };
        let is_new = |cluster: &&ClusterFile| !self.clusters.contains_key(&ClusterEntry::of(cluster, 0).copy_name());
        let clusters = manifest.clusters.iter().filter(is_new).map(|cluster| cluster.len).sum::<u64>();
        self.total = self.copied + manifest.live.iter().enumerate().map(whole).sum::<u64>() + clusters;
    }

    /// Copies a cluster, unless its copy is there.
    fn copy_cluster(&mut self, key: u32, cluster: &ClusterFile) -> Result<(), Stop> {
        let mut entry = ClusterEntry::of(cluster, 0);
        let name = entry.copy_name();
        if self.clusters.contains_key(&name) && self.is_there(&name, cluster.len) {
            return Ok(());
        }
        let gone = |run: &Self, error: BackupError| match peek(run.source) {
            Ok(now) if now.clusters.contains(cluster) => Stop::Failed(error),
            Ok(_) => Stop::Changed,
            Err(error) => Stop::Failed(error),
        };
        let original = cluster_name(cluster.number);
        let reading = |run: &Self, error| gone(run, BackupError::io(&format!("read {original}"), error));
        let file = self.source.open(&original).map_err(|error| reading(self, error))?;
        let writing = |error| Stop::from(BackupError::io(&format!("write {name}"), error));
        let copy = self.target.create(&name).map_err(writing)?;
        self.touched_clusters.insert(name.clone());
        let (mut at, mut window) = (0, WINDOW);
        while at < cluster.len {
            let mut bytes = vec![0; window.min(cluster.len - at) as usize];
            file.read_at(&mut bytes, at).map_err(|error| reading(self, error))?;
            let whole = cluster_records(key, cluster, at, &bytes, &mut entry.positions_below);
            window = match whole {
                0 => longer(&bytes, cluster.len - at).ok_or_else(|| {
                    gone(self, BackupError::Source { file: original.clone(), position: cluster.base + at })
                })?,
                _ => WINDOW,
            };
            copy.write_at(&bytes[..whole], at).map_err(writing)?;
            at += whole as u64;
            self.moved(whole as u64);
        }
        self.clusters.insert(name, entry);
        Ok(())
    }

    /// The clusters as they are now, and as they were in earlier states that can be restored.
    fn clusterings(&self, manifest: &Manifest, position: u64) -> Vec<ClusterSet> {
        let previous = self.previous.iter().filter(|_| !self.options.prune);
        let mut sets: Vec<ClusterSet> = previous.flat_map(|backup| &backup.clusterings).cloned().collect();
        let Clustered { count, through, next } = manifest.clustered;
        if sets.last().map_or(0, |set| set.count) != count {
            let entry = |cluster: &ClusterFile| self.clusters.get(&ClusterEntry::of(cluster, 0).copy_name()).copied();
            let clusters = manifest.clusters.iter().filter_map(entry).collect();
            sets.push(ClusterSet { known_by: position, count, through, next, clusters });
        }
        sets
    }

    /// Up to where the journal is proven: where a segment begins, all before it was synced.
    fn told(&self, manifest: &Manifest, chain: &[Key]) -> u64 {
        let begun = manifest.live.last().map_or(0, |live| live.base);
        let ahead = mutant::is_on(Mutant::BackupAhead);
        chain.iter().map(|key| if ahead { self.held[key].settled } else { self.held[key].told }).fold(begun, u64::max)
    }

    /// What was written since the last look.
    fn go_on(&mut self, now: &Manifest, chain: &mut Vec<Key>) -> Result<(), Stop> {
        if let Some(last) = chain.last().copied() {
            let at = now.live.iter().position(|live| (live.file, live.life) == (last.file, last.life));
            let ready = now.ready.iter().find(|ready| (ready.file, ready.life) == (last.file, last.life));
            let (live, end) = match (at, ready) {
                (Some(at), _) => (now.live[at], end_of(&now.live, &now.freed, at)),
                (None, Some(r)) => (Live { file: r.file, life: r.life, base: last.base, size: r.size }, None),
                (None, None) => return Err(Stop::Changed),
            };
            if live.base != last.base || end.is_some_and(|end| end < self.held[&last].end()) {
                return Err(Stop::Changed);
            }
            self.copy(now, live, end)?;
        }
        self.follow(now, chain)
    }

    /// Adds the segments that begin where the last one breaks off.
    fn follow(&mut self, manifest: &Manifest, chain: &mut Vec<Key>) -> Result<(), Stop> {
        while let Some(end) = chain.last().map(|last| self.held[last].end()) {
            let is_new = |file: u64, life: u32| !chain.iter().any(|key| (key.file, key.life) == (file, life));
            let live = manifest.live.iter().position(|live| live.base == end && is_new(live.file, live.life));
            let (next, until) = match live {
                Some(at) => (manifest.live[at], end_of(&manifest.live, &manifest.freed, at)),
                None => {
                    let ready = manifest.ready.iter().filter(|ready| is_new(ready.file, ready.life));
                    let begins = |life: u32, file: u64| self.begins_at(manifest.key(), life, file) == Some(end);
                    let Some(ready) = ready.into_iter().find(|ready| begins(ready.life, ready.file)) else {
                        return Ok(());
                    };
                    (Live { file: ready.file, life: ready.life, base: end, size: ready.size }, None)
                }
            };
            chain.push(self.copy(manifest, next, until)?);
        }
        Ok(())
    }

    /// Journal position of the first record of a segment that the committer may have moved on to. Where that cannot be
    /// told, it has not.
    fn begins_at(&self, key: u32, life: u32, number: u64) -> Option<u64> {
        let file = self.source.open(&segment_name(number)).ok()?;
        let mut said = [0; 4];
        file.read_at(&mut said, 0).ok()?;
        let len = u64::from(u32::from_le_bytes(said)).min(file.len().ok()?);
        let mut bytes = vec![0; usize::try_from(len).ok()?];
        file.read_at(&mut bytes, 0).ok()?;
        first_position(key, &bytes, life).ok().flatten()
    }

    /// Copies what is not held yet of a segment: all of it up to `end`, or what verifies where it is open.
    fn copy(&mut self, manifest: &Manifest, live: Live, end: Option<u64>) -> Result<Key, Stop> {
        let key = Key { base: live.base, file: live.file, life: live.life };
        let mut held = self.held.get(&key).copied().unwrap_or_else(|| Held::from(key));
        if end.is_some_and(|end| end < held.end()) {
            // The server has put the rest elsewhere: power was lost before it was proven on its disk.
            held = self.look_through(manifest.key(), key, end.unwrap_or_default())?;
        }
        let name = copy_name(key.file, key.life);
        let writing = |error| Stop::from(BackupError::io(&format!("write {name}"), error));
        let stale = held.entry.len > 0 && !self.is_there(&name, held.entry.len);
        if stale {
            // Someone has shortened the copy, or removed it.
            held = Held::from(key);
        }
        if end.is_none_or(|end| held.end() < end) {
            let file = self.source.open(&segment_name(live.file)).map_err(|error| self.gone(&live, error))?;
            let copy = match held.entry.len {
                0 => self.target.create(&name),
                _ => self.target.open(&name),
            };
            let copy = copy.map_err(writing)?;
            self.touched.insert(key);
            let open = Open { live, file: &*file, end };
            self.copy_records(manifest.key(), &open, &*copy, &mut held)?;
        }
        if let Some(end) = end
            && held.end() != end
        {
            let damaged = BackupError::Source { file: segment_name(live.file), position: held.end() };
            return Err(self.unless_moved(&live, damaged));
        }
        self.held.insert(key, held);
        Ok(key)
    }

    fn copy_records(&mut self, key: u32, from: &Open, to: &dyn DiskFile, held: &mut Held) -> Result<(), Stop> {
        let Open { live, file, end } = from;
        let mut window = WINDOW;
        loop {
            let len = file.len().map_err(|error| self.gone(live, error))?;
            let limit = end.unwrap_or(live.base + live.size).min(live.base + len);
            let at = held.end();
            if at >= limit {
                return Ok(());
            }
            let mut bytes = vec![0; window.min(limit - at) as usize];
            file.read_at(&mut bytes, at - live.base).map_err(|error| self.gone(live, error))?;
            let mut whole = 0;
            while whole < bytes.len() {
                match check(key, &bytes[whole..], at + whole as u64, live.life) {
                    Ok(header) => {
                        whole += header.len;
                        held.take(&header);
                        self.term = self.term.max(header.placement.term);
                    }
                    Err(Fault::UnknownKind(_) | Fault::NewerFormat(_)) => {
                        return Err(BackupError::Newer(segment_name(live.file)).into());
                    }
                    Err(_) => break,
                }
            }
            if whole == 0 {
                // One record may be larger than the window.
                let said = bytes.first_chunk().map_or(0, |len| u64::from(u32::from_le_bytes(*len)));
                if said <= bytes.len() as u64 || said > limit - at || said > APPEND_BYTES_MAX {
                    return Ok(());
                }
                window = said;
                continue;
            }
            window = WINDOW;
            let written = to.write_at(&bytes[..whole], at - live.base);
            written.map_err(|error| BackupError::io("write a copy", error))?;
            self.moved(whole as u64);
        }
    }

    /// Tells of bytes that were copied, and waits where that went too fast.
    fn moved(&mut self, bytes: u64) {
        self.copied += bytes;
        (self.options.progress)(self.copied, self.total.max(self.copied));
        if let Some(rate) = self.options.bytes_per_second {
            (self.options.pause)(Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64));
        }
    }

    fn is_there(&self, name: &str, len: u64) -> bool {
        self.target.open(name).and_then(|file| file.len()).is_ok_and(|found| found >= len)
    }

    /// What the first records of a copy say, up to a journal position.
    fn look_through(&self, key: u32, of: Key, end: u64) -> Result<Held, Stop> {
        let name = copy_name(of.file, of.life);
        let reading = |error| BackupError::io(&format!("read {name}"), error);
        let mut held = Held::from(of);
        let file = self.target.open(&name).map_err(reading)?;
        let mut bytes = vec![0; usize::try_from(end - of.base).unwrap_or(0)];
        file.read_at(&mut bytes, 0).map_err(reading)?;
        while held.end() < end {
            let at = (held.end() - of.base) as usize;
            let header = check(key, &bytes[at..], held.end(), of.life);
            let damaged = |_| BackupError::Damaged(format!("{name} at journal position {}", held.end()));
            let header = header.map_err(damaged)?;
            held.take(&header);
        }
        Ok(held)
    }

    /// A file that cannot be read may have been given back, and one that is shorter by now was cut by a recovery.
    fn gone(&self, live: &Live, error: io::Error) -> Stop {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Stop::Changed;
        }
        self.unless_moved(live, BackupError::io(&format!("read {}", segment_name(live.file)), error))
    }

    fn unless_moved(&self, live: &Live, error: BackupError) -> Stop {
        let is_same = |other: &Live| (other.file, other.life, other.base) == (live.file, live.life, live.base);
        match peek(self.source) {
            // It may have been sealed, or cut, meanwhile; then it ends elsewhere.
            Ok(now) if now.live.iter().any(is_same) => Stop::Failed(error),
            Ok(_) => Stop::Changed,
            Err(error) => Stop::Failed(error),
        }
    }

    // ---- the end of a run -------------------------------------------------------------------------------------------

    /// Makes what was copied durable, and says so.
    fn commit(mut self, manifest: &Manifest, chain: Vec<Key>, position: u64) -> Result<Report, BackupError> {
        let mut segments = Vec::new();
        for key in chain {
            let mut held = self.held[&key];
            if held.end() > position {
                let end = position.max(key.base);
                held = self.look_through(manifest.key(), key, end).map_err(|stop| match stop {
                    Stop::Failed(error) => error,
                    Stop::Changed => BackupError::Unstable,
                })?;
            }
            if held.entry.len > 0 {
                segments.push(held.entry);
            }
        }
        let kept = self.kept(manifest, &segments, position);
        segments.extend(kept);
        segments.sort_by_key(|entry| entry.base);
        let gaps = self.gaps(manifest, &segments, position);
        let clusterings = self.clusterings(manifest, position);
        let backup = Backup {
            version: VERSION,
            journal: format!("{:016x}", manifest.id),
            taken_at_ms: self.options.clock.now().as_millis(),
            position,
            time_ms: segments.iter().map(|entry| entry.last_ms).max().unwrap_or(0),
            term: self.previous.as_ref().map_or(0, |previous| previous.term).max(self.term),
            next_life: segments.iter().map(|entry| entry.life + 1).fold(self.next_life, u32::max),
            floor: FloorEntry {
                next_id: manifest.floor.next_id,
                start: manifest.floor.start,
                last_ms: manifest.floor.last_time.as_millis(),
            },
            lifts: manifest.lifts.iter().map(LiftEntry::from).collect(),
            gaps,
            segments,
            clusterings,
        };
        self.store(&backup).map_err(|error| BackupError::io("write the backup", error))?;
        self.remove_strays(&backup);
        let segments_copied = self.touched.len() as u64;
        Ok(Report { backup, bytes_copied: self.copied, segments_copied })
    }

    fn store(&mut self, backup: &Backup) -> io::Result<()> {
        for key in &self.touched {
            self.target.open(&copy_name(key.file, key.life))?.sync_data()?;
        }
        for name in &self.touched_clusters {
            self.target.open(name)?.sync_data()?;
        }
        self.target.sync_dir()?;
        backup.store(self.target)
    }

    /// Copies of what the server has given back since.
    fn kept(&self, manifest: &Manifest, segments: &[SegmentEntry], position: u64) -> Vec<SegmentEntry> {
        let Some(previous) = self.previous.as_ref().filter(|_| !self.options.prune) else { return Vec::new() };
        let is_freed = |entry: &SegmentEntry| {
            manifest.freed.iter().any(|part| part.start <= entry.base && entry.end() <= part.end)
        };
        let entries = previous.segments.iter().filter(|entry| is_freed(entry));
        let entries = entries.filter(|entry| !segments.iter().any(|other| Key::of(other) == Key::of(entry)));
        entries.map(|entry| SegmentEntry { freed_by: entry.freed_by.or(Some(position)), ..*entry }).collect()
    }

    /// The parts of the journal that nobody has copied in time.
    fn gaps(&self, manifest: &Manifest, segments: &[SegmentEntry], position: u64) -> Vec<Gap> {
        let known = self.previous.iter().filter(|_| !self.options.prune).flat_map(|backup| &backup.gaps);
        let known: Vec<Gap> = known.copied().collect();
        let there = segments.iter().map(|entry| entry.base..entry.end());
        let there: Vec<Range<u64>> = there.chain(known.iter().map(|gap| gap.from..gap.to)).collect();
        let mut gaps = known;
        for part in &manifest.freed {
            let missing = without(part.clone(), &there).into_iter();
            gaps.extend(missing.map(|part| Gap { from: part.start, to: part.end, known_by: position }));
        }
        gaps.sort_by_key(|gap| gap.from);
        gaps
    }

    /// Removes copies that nobody needs. What stays for a crash is removed by the next run.
    fn remove_strays(&self, backup: &Backup) {
        let segments = backup.segments.iter().map(|entry| copy_name(entry.file, entry.life));
        let used: HashSet<String> = segments.chain(backup.cluster_entries().map(ClusterEntry::copy_name)).collect();
        for name in self.target.list().unwrap_or_default() {
            if (name.starts_with("segment-") || name.starts_with("cluster-")) && !used.contains(&name) {
                let _ = self.target.unlink(&name);
            }
        }
    }
}

/// How many of the bytes, which lie at `at` of a cluster, are whole records of it.
pub(super) fn cluster_records(
    key: u32,
    cluster: &ClusterFile,
    at: u64,
    bytes: &[u8],
    positions_below: &mut Position,
) -> usize {
    let mut whole = 0;
    while let Ok(header) = check(key, &bytes[whole..], cluster.base + at + whole as u64, cluster.life) {
        let tail = cluster_tail(&header, &bytes[whole..whole + header.len]);
        *positions_below = (*positions_below).max(header.first.saturating_add(header.count)).max(tail);
        whole += header.len;
    }
    whole
}

/// The length of the record that `bytes` begin with, where it is larger than they are and fits what is left.
pub(super) fn longer(bytes: &[u8], left: u64) -> Option<u64> {
    let said = bytes.first_chunk().map_or(0, |len| u64::from(u32::from_le_bytes(*len)));
    (said > bytes.len() as u64 && said <= left && said <= APPEND_BYTES_MAX).then_some(said)
}

/// What is left of a range without others.
fn without(range: Range<u64>, others: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut left = vec![range];
    for other in others {
        let cut = |part: Range<u64>| {
            let before = part.start..part.end.min(other.start);
            let after = part.start.max(other.end)..part.end;
            [before, after].into_iter().filter(|part| part.start < part.end).collect::<Vec<_>>()
        };
        left = left.into_iter().flat_map(cut).collect();
    }
    left
}
