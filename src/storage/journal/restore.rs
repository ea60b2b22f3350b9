//! From a backup to a journal that can go on, as of its end or of an earlier moment.
//!
//! Everything is verified while it is copied: each record by position, life and checksums. What lies behind the cut is
//! left out, at a place where no call of `append` is split.
//!
//! What the server did behind the cut is lost, and nobody knows how far it went: the backup ends somewhere, and the
//! server may have gone on. It may have given out offsets there, which must not get another meaning. So the manifest
//! gets a lift: new records and new streams begin above whatever can have been given out, by what the backup tells
//! and by the time that has passed since the cut (`POSITIONS_PER_MS`). That grows with time, so that two restores of
//! one backup do not meet either. An offset up to the cut goes on; one between the cut and the lift is answered as what it
//! is (`Engine::stands`).
//!
//! Invariant: the manifest comes last, so a directory that was not finished is refused by a start.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use crate::model::{Position, Timestamp};
use crate::runtime::Clock;
use crate::storage::codec::{Encoded, Fault, Kind, Placement};
use crate::storage::disk::{Disk, DiskFile};
use crate::storage::mutant::{self, Mutant};

use super::backup::{
    Backup, BackupError, ClusterEntry, ClusterSet, Gap, SegmentEntry, cluster_records, copy_name, longer,
};
use super::manifest::{Clustered, Floor, Lift, Live, Manifest, cluster_name, segment_name};
use super::segment::check;

/// More than one stream can have taken since the cut: about a thousand million messages or bytes a second.
const POSITIONS_PER_MS: u64 = 1 << 20;
/// And this many besides, for clocks that do not agree.
const POSITIONS_MORE: u64 = 1 << 40;
/// Bytes read at once, unless a record is larger.
const WINDOW: u64 = 1 << 20;

/// Up to where a backup is restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// All of it.
    End,
    /// What lies wholly below a journal position.
    Position(u64),
    /// What was committed by then.
    Time(Timestamp),
}

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error("the target is not empty")]
    NotEmpty,
    /// Its checksum does not hold, or it is another one.
    #[error("{file} is damaged at journal position {position}; restore to below {position}, or from another backup")]
    Damaged { file: String, position: u64 },
    #[error("the backup ends at journal position {0}; nothing is known of what came later")]
    BeyondPosition(u64),
    #[error("the backup was taken at {0} ms since 1970; nothing is known of what came later")]
    BeyondTime(u64),
    #[error("nothing in the backup is that old; it begins at journal position {0}")]
    TooEarly(u64),
    /// What later states did not need was given back before it was copied.
    #[error(
        "the backup does not hold all of the state at journal position {at}: restore to {} or below, or to {} or above",
        gap.from, gap.known_by
    )]
    Incomplete { at: u64, gap: Gap },
    #[error("there are no stream positions left above those of the backup")]
    Exhausted,
    #[error("cannot {doing}: {source}")]
    Io {
        doing: String,
        #[source]
        source: io::Error,
    },
}

impl RestoreError {
    fn io(doing: &str, source: io::Error) -> Self {
        Self::Io { doing: doing.into(), source }
    }
}

/// What was restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Journal position of the cut.
    pub position: u64,
    /// Commit time of the last record, in milliseconds; 0 where there is none.
    pub time_ms: u64,
    /// Without the marks that prove others.
    pub records: u64,
    pub bytes: u64,
    /// Where the positions of new records and new streams begin.
    pub positions_from: Position,
}

/// Makes a journal on `target`, which must be empty, of a backup; without a target, only checks that it could.
pub fn restore(
    source: &dyn Disk,
    target: Option<&dyn Disk>,
    until: Until,
    clock: &Clock,
    progress: &dyn Fn(u64, u64),
) -> Result<Restored, RestoreError> {
    let backup = Backup::load(source)?.ok_or(BackupError::NoBackup)?;
    match until {
        Until::Position(position) if position > backup.position => {
            return Err(RestoreError::BeyondPosition(backup.position));
        }
        Until::Time(time) if time.as_millis() > backup.taken_at_ms => {
            return Err(RestoreError::BeyondTime(backup.taken_at_ms));
        }
        _ => {}
    }
    let listed = target.map_or(Ok(Vec::new()), |target| target.list());
    if !listed.map_err(|error| RestoreError::io("list the target", error))?.is_empty() {
        return Err(RestoreError::NotEmpty);
    }
    let key = Manifest { id: backup.id(), ..Manifest::default() }.key();
    let total = backup.bytes();
    let mut copy = Copy { source, target, cut: 0, key, progress, total, read: 0, done: Restored::default() };
    copy.cut = match until {
        Until::End => backup.position,
        Until::Position(position) => position,
        Until::Time(time) => copy.position_after(&backup, time)?,
    };
    let mut live: Vec<(Live, Option<Arc<dyn DiskFile>>)> = Vec::new();
    // What nobody needed any more at the cut is left out, as the server had it: the rest does not say when it ended.
    let is_freed = |entry: &SegmentEntry, cut: u64| {
        !mutant::is_on(Mutant::RestoreFreed) && entry.freed_by.is_some_and(|freed_by| freed_by <= cut)
    };
    for entry in backup.segments.iter().filter(|entry| !is_freed(entry, copy.cut)).collect::<Vec<_>>() {
        let number = live.len() as u64 + 1;
        let (len, file) = copy.segment(entry, number)?;
        if len > 0 {
            live.push((Live { file: number, life: entry.life, base: entry.base, size: len }, file));
            copy.done.position = entry.base + len;
        }
        if entry.base + len < entry.end() {
            break;
        }
    }
    let mut done = copy.done;
    if live.is_empty() && !backup.segments.is_empty() {
        return Err(RestoreError::TooEarly(backup.segments[0].base));
    }
    if live.is_empty() {
        done.position = backup.position;
    }
    if let Some(gap) = backup.gaps.iter().find(|gap| gap.from < done.position && done.position < gap.known_by) {
        return Err(RestoreError::Incomplete { at: done.position, gap: *gap });
    }
    let cut = copy.cut;
    let left_out = backup.segments.iter().filter(|entry| is_freed(entry, cut)).map(|entry| entry.base..entry.end());
    let missing = left_out.chain(backup.gaps.iter().map(|gap| gap.from..gap.to));
    let now = clock.now();
    done.positions_from = lift(&backup, done.time_ms, now).ok_or(RestoreError::Exhausted)?;
    // Clusters stand for what was freed in their state; before, that was still there.
    let clusters = backup.clusterings.iter().rfind(|set| set.known_by <= copy.cut);
    for entry in clusters.iter().flat_map(|set| &set.clusters) {
        copy.cluster(entry)?;
    }
    let Some(target) = target else { return Ok(done) };
    let mut manifest = Manifest {
        id: backup.id(),
        term: backup.term + 1,
        next_life: backup.next_life,
        next_file: live.len() as u64 + 1,
        live: Vec::new(),
        freed: freed(missing.collect(), done.position),
        floor: Floor::from(&backup.floor),
        lifts: backup.lifts.iter().map(Lift::from).collect(),
        ..Manifest::default()
    };
    if let Some(ClusterSet { count, through, next, clusters, .. }) = clusters {
        manifest.clustered = Clustered { count: *count, through: *through, next: *next };
        for entry in clusters {
            manifest.next_file = manifest.next_file.max(entry.file + 1);
            manifest.add_cluster(entry.named());
        }
    }
    manifest.lifts.push(Lift { to: done.positions_from, at: done.position, time: now });
    let writing = |error| RestoreError::io("write the restored journal", error);
    if let Some((last, Some(file))) = live.last_mut() {
        prove(&manifest, last, &**file, done.time_ms).map_err(writing)?;
    }
    for (live, file) in live {
        if let Some(file) = file {
            file.sync_data().map_err(writing)?;
        }
        manifest.live.push(live);
    }
    target.sync_dir().and_then(|()| manifest.store(target)).map_err(writing)?;
    Ok(done)
}

/// Above all stream positions that can have been given out.
fn lift(backup: &Backup, cut_ms: u64, now: Timestamp) -> Option<Position> {
    let cut_ms = if cut_ms == 0 { backup.taken_at_ms } else { cut_ms };
    let passed = now.as_millis().max(backup.taken_at_ms).saturating_sub(cut_ms);
    let known = backup.segments.iter().map(|entry| entry.positions_below);
    let clustered = backup.clusterings.iter().flat_map(|set| &set.clusters).map(|entry| entry.positions_below);
    let known =
        known.chain(clustered).chain([backup.floor.start]).chain(backup.lifts.iter().map(|lift| lift.to)).max()?;
    known.checked_add(POSITIONS_MORE)?.checked_add(passed.checked_mul(POSITIONS_PER_MS)?)
}

/// The parts that are not there below the cut, as a manifest names them.
fn freed(mut missing: Vec<Range<u64>>, cut: u64) -> Vec<Range<u64>> {
    missing.retain(|part| part.start < cut && !part.is_empty());
    missing.sort_by_key(|part| part.start);
    let mut freed: Vec<Range<u64>> = Vec::new();
    for part in missing {
        match freed.last_mut().filter(|last| last.end == part.start) {
            Some(last) => last.end = part.end,
            None => freed.push(part),
        }
    }
    freed
}

/// Writes a mark behind the last record: the journal ends there, and nothing is in flight.
fn prove(manifest: &Manifest, last: &mut Live, file: &dyn DiskFile, time_ms: u64) -> io::Result<()> {
    let position = last.base + last.size;
    let at = Timestamp::from_millis(time_ms);
    let placement = Placement { position, life: last.life, term: manifest.term, durable_to: position, at };
    let mut bytes = Vec::new();
    Encoded::mark().write(manifest.key(), &placement, &mut bytes);
    file.write_at(&bytes, last.size)?;
    last.size += bytes.len() as u64;
    Ok(())
}

struct Copy<'a> {
    source: &'a dyn Disk,
    target: Option<&'a dyn Disk>,
    /// Journal position behind which nothing is taken.
    cut: u64,
    key: u32,
    progress: &'a dyn Fn(u64, u64),
    total: u64,
    read: u64,
    done: Restored,
}

impl Copy<'_> {
    /// Journal position of the first record that was committed later than `time`.
    fn position_after(&self, backup: &Backup, time: Timestamp) -> Result<u64, RestoreError> {
        let Some(entry) = backup.segments.iter().find(|entry| entry.last_ms > time.as_millis()) else {
            return Ok(backup.position);
        };
        let name = copy_name(entry.file, entry.life);
        let damaged = |at: u64| RestoreError::Damaged { file: name.clone(), position: entry.base + at };
        let file = self.source.open(&name).map_err(|_| damaged(0))?;
        let (mut at, mut window) = (0, WINDOW);
        while at < entry.len {
            let mut bytes = vec![0; window.min(entry.len - at) as usize];
            file.read_at(&mut bytes, at).map_err(|_| damaged(at))?;
            let mut taken = 0;
            while let Ok(header) = check(self.key, &bytes[taken..], entry.base + at + taken as u64, entry.life) {
                if header.placement.at > time {
                    return Ok(entry.base + at + taken as u64);
                }
                taken += header.len;
            }
            window = match taken {
                0 => longer(&bytes, entry.len - at).ok_or_else(|| damaged(at))?,
                _ => WINDOW,
            };
            at += taken as u64;
        }
        Err(damaged(at))
    }

    /// Copies a cluster.
    fn cluster(&mut self, entry: &ClusterEntry) -> Result<(), RestoreError> {
        let (name, named) = (entry.copy_name(), entry.named());
        let damaged = |at: u64| RestoreError::Damaged { file: name.clone(), position: named.base + at };
        let writing = |error| RestoreError::io("write the restored journal", error);
        let file = self.source.open(&name).map_err(|_| damaged(0))?;
        let to = self.target.map(|target| target.create(&cluster_name(entry.file))).transpose().map_err(writing)?;
        let (mut at, mut window) = (0, WINDOW);
        while at < entry.len {
            let mut bytes = vec![0; window.min(entry.len - at) as usize];
            file.read_at(&mut bytes, at).map_err(|_| damaged(at))?;
            let whole = cluster_records(self.key, &named, at, &bytes, &mut 0);
            window = match whole {
                0 => longer(&bytes, entry.len - at).ok_or_else(|| damaged(at))?,
                _ => WINDOW,
            };
            to.iter().try_for_each(|to| to.write_at(&bytes[..whole], at)).map_err(writing)?;
            at += whole as u64;
            self.read += whole as u64;
            (self.progress)(self.read, self.total);
        }
        to.map_or(Ok(()), |to| to.sync_data()).map_err(writing)
    }

    /// Copies a segment up to the cut; gives the length that counts, and the file.
    fn segment(
        &mut self,
        entry: &SegmentEntry,
        number: u64,
    ) -> Result<(u64, Option<Arc<dyn DiskFile>>), RestoreError> {
        let name = copy_name(entry.file, entry.life);
        let damaged = |at: u64| RestoreError::Damaged { file: name.clone(), position: entry.base + at };
        let reading = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof => damaged(0),
            _ => RestoreError::io(&format!("read {name}"), error),
        };
        let writing = |error| RestoreError::io("write the restored journal", error);
        let file = self.source.open(&name).map_err(reading)?;
        let len = entry.len.min(file.len().map_err(reading)?);
        let mut to = None;
        let (mut at, mut window) = (0, WINDOW);
        let mut progress = Progress { kept: 0, whole: self.done, seen: self.done };
        while at < len {
            let mut bytes = vec![0; window.min(len - at) as usize];
            file.read_at(&mut bytes, at).map_err(reading)?;
            let taken = self.records(entry, at, &bytes, &mut progress)?;
            if let (Some(target), true) = (self.target, taken.bytes > 0) {
                if to.is_none() {
                    to = Some(target.create(&segment_name(number)).map_err(writing)?);
                }
                let to = to.as_ref().map_or(Ok(()), |to| to.write_at(&bytes[..taken.bytes], at));
                to.map_err(writing)?;
            }
            at += taken.bytes as u64;
            self.read += taken.bytes as u64;
            (self.progress)(self.read, self.total);
            if taken.cut {
                break;
            }
            window = match taken.bytes {
                // One record may be larger than the window.
                0 => longer(&bytes, len - at).ok_or_else(|| damaged(at))?,
                _ => WINDOW,
            };
        }
        let is_cut = at < len || progress.kept < at;
        if !is_cut && at < entry.len {
            return Err(damaged(at));
        }
        let Progress { kept, whole, .. } = progress;
        self.done = whole;
        if let Some(file) = &to {
            file.truncate(kept).map_err(writing)?;
        }
        Ok((kept, to))
    }

    /// The records of `bytes`, which lie at `at` of a segment, that verify and do not lie behind the cut.
    fn records(
        &self,
        entry: &SegmentEntry,
        at: u64,
        bytes: &[u8],
        progress: &mut Progress,
    ) -> Result<Taken, RestoreError> {
        let mut taken = Taken { bytes: 0, cut: false };
        while taken.bytes < bytes.len() {
            let position = entry.base + at + taken.bytes as u64;
            let header = match check(self.key, &bytes[taken.bytes..], position, entry.life) {
                Ok(header) => header,
                Err(Fault::UnknownKind(_) | Fault::NewerFormat(_)) => {
                    return Err(BackupError::Newer(copy_name(entry.file, entry.life)).into());
                }
                Err(_) => break,
            };
            let end = position + header.len as u64;
            taken.cut = end > self.cut;
            if taken.cut {
                break;
            }
            taken.bytes += header.len;
            progress.seen.records += u64::from(header.kind != Kind::Mark);
            progress.seen.bytes += header.len as u64;
            progress.seen.time_ms = header.placement.at.as_millis();
            if !header.chained() {
                (progress.kept, progress.whole) = (end - entry.base, progress.seen);
            }
        }
        Ok(taken)
    }
}

/// How far a segment has been copied.
struct Progress {
    /// Bytes of it that are whole calls of `append`, and what there is with them.
    kept: u64,
    whole: Restored,
    /// With the records of a call that is not whole yet.
    seen: Restored,
}

struct Taken {
    bytes: usize,
    /// What follows lies behind the cut.
    cut: bool,
}
