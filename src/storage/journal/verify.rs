//! Checks a data directory that no server uses: everything in it, and what a start would make of it.
//!
//! A journal is opened on an `Overlay`, beside a catalogue of its own: that reads every record and does all that a
//! start does, by the code of a start, and changes nothing. Then the records are read once more by `ledger`, which
//! knows nothing of recovery or catalogues, and `compare` holds the two and the catalogue against one another. Decides
//! nothing about what lies in streams; whoever wants to look gets the opened journal ([`Verified::store`]).
//!
//! Invariant: the journal is never written to. What is written lies in a directory of its own, which goes when
//! [`Verified`] does, and a repair replaces the catalogue as a whole.
//!
//! Memory holds one segment at a time, and the states of all streams as a server does.

mod compare;
mod ledger;

use std::any::Any;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::{Position, StreamName};
use crate::runtime::Clock;
use crate::storage::catalogue::Catalogue;
use crate::storage::disk::{Disk, OsDisk, Overlay};
use crate::storage::{SharedStore, Store};

use super::manifest::{Manifest, ManifestFault, end_of, segment_name};
use super::recovery::{self, End};
use super::{Journal, JournalOptions, LOCK, OpenError, PAGE};
use ledger::Ledger;

/// Differences that are kept; of further ones only the number.
const DIFFERENCES_MAX: usize = 1_000;

/// Something that is not as it was written, or two accounts that do not agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Below the data directory.
    pub file: Option<String>,
    /// Journal position, in bytes.
    pub position: Option<u64>,
    pub stream: Option<StreamName>,
    /// Position in the stream.
    pub at: Option<Position>,
    pub what: String,
    pub remedy: Remedy,
}

/// What can be done about a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// The catalogue can be built again: [`Verified::repair`].
    Rebuild,
    /// What was lost is in a copy or nowhere.
    Restore,
    /// The bytes are as they were written; what wrote them, or this, is wrong.
    Report,
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rebuild => "`keyfold verify --repair` builds the catalogue again",
            Self::Restore => "this cannot be repaired: restore the directory from a copy",
            Self::Report => "this cannot be repaired: keep a copy of the directory and report it",
        })
    }
}

/// Why nothing can be said about a directory.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error("{} holds no journal", .0.display())]
    NoJournal(PathBuf),
    #[error("a server uses the data directory; stop it first")]
    Locked,
    /// Written by a later version.
    #[error("{0}")]
    Newer(OpenError),
    #[error("cannot {doing}: {source}")]
    Io {
        doing: String,
        #[source]
        source: io::Error,
    },
}

impl VerifyError {
    fn io(doing: &str, source: io::Error) -> Self {
        Self::Io { doing: doing.into(), source }
    }
}

/// How much was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub segments: u64,
    pub bytes: u64,
    pub records: u64,
    /// Live streams, those of the server itself included.
    pub streams: u64,
}

/// Bytes read, of those that have to be.
pub type OnProgress = Arc<dyn Fn(u64, u64) + Send + Sync>;

/// What was found. The directory stays locked until this is dropped.
pub struct Verified {
    pub differences: Vec<Difference>,
    /// Differences beyond those.
    pub more: u64,
    /// What is as it may be after a crash, and worth knowing.
    pub notes: Vec<String>,
    pub counts: Counts,
    // Dropped in this order.
    journal: Option<Arc<Journal>>,
    /// The catalogue that was built from the journal.
    rebuilt: Option<PathBuf>,
    _aside: Option<Aside>,
    _lock: Box<dyn Any + Send + Sync>,
}

/// A directory for what is built aside, removed with this.
struct Aside(PathBuf);

impl Aside {
    fn make(dir: &Path) -> io::Result<Self> {
        if dir.exists() {
            std::fs::remove_dir_all(dir)?;
        }
        std::fs::create_dir_all(dir)?;
        Ok(Self(dir.to_owned()))
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next one.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Checks the directory of a server, as [`Journal::open_dir`] lays it out.
pub fn verify_dir(dir: &Path, clock: Clock, progress: OnProgress) -> Result<Verified, VerifyError> {
    let journal = dir.join("journal");
    if !journal.is_dir() {
        return Err(VerifyError::NoJournal(dir.to_owned()));
    }
    let disk = OsDisk::new(journal).map_err(|error| VerifyError::io("open the data directory", error))?;
    let (catalogue, aside) = (dir.join("catalogue"), dir.join("verify"));
    verify(Arc::new(disk), Some(Beside { catalogue: &catalogue, aside: &aside }), clock, progress)
}

/// What lies beside the segments.
#[derive(Clone, Copy, Debug)]
pub struct Beside<'a> {
    /// Where the catalogue is; it need not be there.
    pub catalogue: &'a Path,
    /// Where another one is built meanwhile. Emptied first, and removed in the end.
    pub aside: &'a Path,
}

/// Checks the journal on `disk`. Without anything beside it, memory holds where each record lies.
pub fn verify(
    disk: Arc<dyn Disk>,
    beside: Option<Beside<'_>>,
    clock: Clock,
    progress: OnProgress,
) -> Result<Verified, VerifyError> {
    let lock = disk.lock(LOCK).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => VerifyError::Locked,
        _ => VerifyError::io("lock the data directory", error),
    })?;
    let aside = beside.map(|beside| Aside::make(beside.aside)).transpose();
    let aside = aside.map_err(|error| VerifyError::io("write in the data directory", error))?;
    let rebuilt = aside.as_ref().map(|aside| aside.0.join("rebuilt"));
    let mut found = Verified {
        differences: Vec::new(),
        more: 0,
        notes: Vec::new(),
        counts: Counts::default(),
        journal: None,
        rebuilt: rebuilt.clone(),
        _aside: aside,
        _lock: lock,
    };
    let read = Arc::new(AtomicU64::new(0));
    let overlay = |read: &Arc<AtomicU64>, total: u64| {
        let (read, progress) = (read.clone(), progress.clone());
        let on_read = move |bytes| {
            let done = read.fetch_add(bytes, Ordering::Relaxed) + bytes;
            progress(done.min(total), total);
        };
        Arc::new(Overlay::new(disk.clone(), Arc::new(on_read)))
    };
    let Some(manifest) = found.manifest(&*overlay(&read, 1))? else { return Ok(found) };
    let last = manifest.live.last().map_or(0, |live| live.size);
    // Once as a start does, once record by record; the catalogue does not cover the last segment.
    let clustered = manifest.clusters.iter().map(|cluster| cluster.len).sum::<u64>();
    let total = 2 * manifest.live.iter().map(|live| live.size).sum::<u64>() + last + 3 * clustered;
    read.store(0, Ordering::Relaxed);

    let opened = open_aside(overlay(&read, total), rebuilt, clock.clone());
    let (journal, end) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            found.refused(error)?;
            found.damaged_records(&*overlay(&read, total), &manifest);
            return Ok(found);
        }
    };
    found.note_end(&end);
    let ledger = found.read_again(&journal)?;
    compare::with_start(&mut found, &ledger, &journal);
    if let Some(beside) = beside.filter(|beside| beside.catalogue.exists()) {
        found.check_catalogue(beside, overlay(&read, total), clock, &ledger, &journal)?;
    }
    found.counts.streams = ledger.streams.len() as u64;
    found.journal = Some(journal);
    Ok(found)
}

/// A journal as a start would see it.
fn open_aside(
    disk: Arc<Overlay>,
    catalogue: Option<PathBuf>,
    clock: Clock,
) -> Result<(Arc<Journal>, End), OpenError> {
    // What is written stays in memory: no threads that fill spare segments, and small ones where one must be made.
    let options = JournalOptions { segment_bytes: PAGE, catalogue, by_hand: true, ..JournalOptions::new(clock) };
    let recovered = recovery::recover(&*disk, &options)?;
    let end = recovered.found.clone();
    Ok((Journal::run(disk, options, Box::new(()), recovered)?, end))
}

fn copy_dir(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_dir(&entry.path(), &to)?,
            false => std::fs::copy(entry.path(), to).map(drop)?,
        }
    }
    Ok(())
}

impl Verified {
    pub fn is_sound(&self) -> bool {
        self.differences.is_empty()
    }

    /// The journal as a start would see it; `None` where it would refuse. What is written to it is forgotten.
    pub fn store(&self) -> Option<SharedStore> {
        self.journal.clone().map(|journal| journal as SharedStore)
    }

    /// The file that holds a journal position.
    pub fn file_at(&self, position: u64) -> Option<String> {
        let shared = &self.journal.as_ref()?.shared;
        shared.segments.at(position).or_else(|| shared.clusters.at(position)).map(|segment| segment.name())
    }

    /// Puts the catalogue that was built here into `dir`, in the place of the one there, which is moved aside to where
    /// this says. Nothing else is changed. `None` where there is none to put there.
    ///
    /// Needs every [`Verified::store`] to be dropped.
    pub fn repair(mut self, dir: &Path) -> io::Result<Option<PathBuf>> {
        let (Some(journal), Some(rebuilt)) = (self.journal.take(), self.rebuilt.take()) else { return Ok(None) };
        Store::close(&*journal);
        drop(journal);
        let aside = Catalogue::set_aside(dir)?;
        std::fs::rename(rebuilt, dir)?;
        Ok(Some(aside))
    }

    fn add(&mut self, difference: Difference) {
        match self.differences.len() < DIFFERENCES_MAX {
            true => self.differences.push(difference),
            false => self.more += 1,
        }
    }

    /// Holds what a start would see with a copy of the catalogue against the rest: opening one may change it.
    fn check_catalogue(
        &mut self,
        beside: Beside<'_>,
        disk: Arc<Overlay>,
        clock: Clock,
        ledger: &Ledger,
        journal: &Journal,
    ) -> Result<(), VerifyError> {
        if !beside.catalogue.is_dir() {
            self.catalogue_differs("it is no directory".into());
            return Ok(());
        }
        let copy = beside.aside.join("copy");
        let copied = copy_dir(beside.catalogue, &copy);
        copied.map_err(|error| VerifyError::io("copy the catalogue", error))?;
        match open_aside(disk, Some(copy), clock) {
            Ok((with, End { rebuilt: None, covered, .. })) if with.shared.catalogue.read().is_some() => {
                compare::with_catalogue(self, ledger, journal, &with);
                let last = journal.shared.segments.all().last().map_or(0, |segment| segment.base);
                if covered < last {
                    self.notes.push(format!(
                        "the catalogue covers the journal up to {covered}: the next start reads what follows, to {last} \
                         and on"
                    ));
                }
            }
            Ok((_, End { rebuilt, .. })) => self.catalogue_differs(rebuilt.unwrap_or("it cannot be opened".into())),
            Err(error) => self.catalogue_differs(error.to_string()),
        }
        Ok(())
    }

    fn catalogue_differs(&mut self, why: String) {
        self.add(Difference::of_file("catalogue", why, Remedy::Rebuild));
    }

    /// The manifest, unless it is damaged: that is a difference.
    fn manifest(&mut self, disk: &dyn Disk) -> Result<Option<Manifest>, VerifyError> {
        let files = disk.list().map_err(|error| VerifyError::io("list the data directory", error))?;
        let has_segments = files.iter().any(|file| file.starts_with("segment-"));
        let why = match Manifest::load(disk) {
            Ok(Some(manifest)) => return Ok(Some(manifest)),
            Ok(None) if has_segments => "it is missing, and there are segments".into(),
            Ok(None) => return Err(VerifyError::NoJournal(PathBuf::from("the data directory"))),
            Err(ManifestFault::Damaged(why)) => why.to_owned(),
            Err(ManifestFault::Newer(version)) => {
                return Err(VerifyError::Newer(OpenError::NewerManifest { version }));
            }
            Err(ManifestFault::Io(error)) => return Err(VerifyError::io("read the manifest", error)),
        };
        self.add(Difference::of_file("MANIFEST", why, Remedy::Restore));
        Ok(None)
    }

    /// A start would refuse.
    fn refused(&mut self, error: OpenError) -> Result<(), VerifyError> {
        match error {
            OpenError::Damaged { file, position } => {
                let what = "the journal is damaged where acknowledged records were".into();
                self.add(Difference {
                    position: Some(position),
                    ..Difference::of_file(&file, what, Remedy::Restore)
                });
            }
            OpenError::Io { doing, source } if source.kind() == io::ErrorKind::NotFound => {
                self.add(Difference::plain(format!("cannot {doing}: {source}"), Remedy::Restore));
            }
            OpenError::Manifest(why) => self.add(Difference::of_file("MANIFEST", why, Remedy::Restore)),
            OpenError::NewerManifest { .. } | OpenError::NewerFormat { .. } | OpenError::UnknownKind { .. } => {
                return Err(VerifyError::Newer(error));
            }
            OpenError::Io { doing, source } => return Err(VerifyError::Io { doing, source }),
            OpenError::Locked => return Err(VerifyError::Locked),
            OpenError::Catalogue(_) => self.add(Difference::plain(error.to_string(), Remedy::Report)),
        }
        Ok(())
    }

    /// Names every record of the sealed segments that does not verify, beyond the first one.
    fn damaged_records(&mut self, disk: &dyn Disk, manifest: &Manifest) {
        let mut ledger = Ledger::of(manifest);
        for (index, live) in manifest.live.iter().enumerate() {
            let Some(end) = end_of(&manifest.live, &manifest.freed, index) else { break };
            let len = usize::try_from(end - live.base).unwrap_or(0);
            let bytes = disk.open(&segment_name(live.file)).and_then(|file| {
                let mut bytes = vec![0; len.min(file.len()? as usize)];
                file.read_at(&mut bytes, 0).map(|()| bytes)
            });
            // What cannot be read was told of already.
            let Ok(bytes) = bytes else { continue };
            ledger.take(live.file, live.life, live.base, bytes.into());
        }
        let first = self.differences.pop();
        for difference in ledger.finish() {
            self.add(difference);
        }
        if let Some(first) = first
            && !self.differences.iter().any(|known| (&known.file, known.position) == (&first.file, first.position))
        {
            self.add(first);
        }
    }

    fn note_end(&mut self, end: &End) {
        if end.clean {
            return;
        }
        let file = segment_name(end.file);
        self.notes.push(format!(
            "{file} did not end cleanly: the next start keeps {} whole records behind journal position {}, and gives \
             up what lies behind {}, which was never acknowledged or is no record",
            end.in_flight, end.proven, end.whole
        ));
    }

    /// Reads the segments of a journal again, record by record.
    fn read_again(&mut self, journal: &Journal) -> Result<Ledger, VerifyError> {
        let shared = &journal.shared;
        let mut ledger = shared.registry.change(|manifest| Ledger::of(manifest));
        let clusters = shared.clusters.all();
        ledger
            .take_clusters(&clusters)
            .map_err(|error| VerifyError::io("read the clusters", io::Error::from(error)))?;
        for cluster in clusters {
            self.counts.segments += 1;
            self.counts.bytes += cluster.file.len;
        }
        for segment in shared.segments.all() {
            let bytes = segment.read(segment.base, segment.end());
            let bytes = bytes.map_err(|error| VerifyError::io(&format!("read {}", segment.name()), error))?;
            self.counts.segments += 1;
            self.counts.bytes += bytes.len() as u64;
            ledger.take(segment.number, segment.life, segment.base, bytes.into());
        }
        self.counts.records = ledger.records;
        for difference in ledger.finish() {
            self.add(difference);
        }
        Ok(ledger)
    }
}

impl Difference {
    fn plain(what: String, remedy: Remedy) -> Self {
        Self { file: None, position: None, stream: None, at: None, what, remedy }
    }

    fn of_file(file: &str, what: String, remedy: Remedy) -> Self {
        Self { file: Some(file.to_owned()), ..Self::plain(what, remedy) }
    }
}
