//! Which segment files make up the journal, in a small text file that is replaced whole.
//!
//! ```text
//! keyfold-journal 2
//! id 7203685477580712345
//! term 5
//! next_life 12
//! next_file 7
//! live 3 life=4 base=0 size=67108864
//! live 5 life=9 base=201000000 size=67108864
//! freed 67000000 end=201000000
//! floor 310 start=9000 time=1790000000000
//! clustered 2 through=67000000 next=4611686018430000000
//! cluster 9 life=14 base=4611686018427387904 len=40000 directory=39000 number=2 at=210000000 folded=1
//! ready 6 life=11 size=67108864
//! free 2
//! lift 1099511660000 at=201000000 time=1790000000000
//! crc32c 9f3a0c21
//! ```
//!
//! A live segment ends where the next one begins, or where a freed part of the journal does; the last is open. A ready
//! one holds zeros until the committer moves on to it, which it does without telling the manifest: on the way to a
//! barrier nothing else is written. Recovery finds out by the first record of the ready file, which says its position
//! and life.
//!
//! Clusters hold what is still needed of a freed beginning of the journal. `clustered` counts the clusterings so far, and
//! says up to where they reach in the journal and which address the next one may use; each cluster says which of them
//! wrote it, and how far the journal was durable then. Where there are none, the version is 2 at most.
//!
//! The floor is what else was told by the segments that are freed: the next stream's number, where new streams'
//! positions begin, and the last commit time. Until something is freed neither line is there, and the version is 1.
//!
//! A lift says that the journal was restored from a backup that ended at a journal position: what followed there is cut
//! off, and may have given out stream positions below the lift. Once there is one the version is 3.

use std::fmt::Write as _;
use std::io;
use std::ops::Range;

use parking_lot::Mutex;

use crate::model::{Position, Timestamp};

use crate::storage::die::{self, Point};
use crate::storage::disk::{Disk, read_all};
use crate::storage::mutant::{self, Mutant};

const NAME: &str = "MANIFEST";
const NEW: &str = "MANIFEST.new";
const HEAD: &str = "keyfold-journal";
/// The version written once there was a clustering, or the journal was restored.
const VERSION: u32 = 3;
/// The version written once something was freed; before that it is 1.
const VERSION_FREED: u32 = 2;

/// The journal's files at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Manifest {
    /// Tells this journal from others; the catalogue names it.
    pub id: u64,
    /// Starts of the server so far.
    pub term: u32,
    pub next_life: u32,
    pub next_file: u64,
    /// In the order of the journal.
    pub live: Vec<Live>,
    /// Parts of the journal that are not there any more: in order, and none touches the next.
    pub freed: Vec<Range<u64>>,
    pub floor: Floor,
    pub clustered: Clustered,
    pub clusters: Vec<ClusterFile>,
    /// Restores from backups, each above those before.
    pub lifts: Vec<Lift>,
    pub ready: Vec<Ready>,
    /// Files that hold nothing that is needed, to be zeroed and used again.
    pub free: Vec<u64>,
}

/// What must not be forgotten with the segments that told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Floor {
    pub next_id: u64,
    /// See [`crate::storage::Store::start_position`].
    pub start: Position,
    pub last_time: Timestamp,
}

/// What all clusterings so far have done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Clustered {
    /// How many there were.
    pub count: u64,
    /// Journal position below which clusters say everything.
    pub through: u64,
    /// The first address that was never used; 0 before the first clustering.
    pub next: u64,
}

/// A cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClusterFile {
    pub number: u64,
    pub life: u32,
    /// Address of its first byte.
    pub base: u64,
    pub len: u64,
    /// Where in the file its directory begins, which goes to the end.
    pub directory: u64,
    /// Which clustering wrote it.
    pub clustering: u64,
    /// How far the journal was durable then: what was gone or replaced by then may be missing.
    pub at: u64,
    /// It holds streams that may lose something.
    pub folded: bool,
}

/// A restore, which cut off what followed in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lift {
    /// No stream position below it may be given out any more: what was cut off may have given it out.
    pub to: Position,
    /// Journal position at which it was cut.
    pub at: u64,
    /// When.
    pub time: Timestamp,
}

/// A segment that holds a part of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Live {
    pub file: u64,
    pub life: u32,
    /// Journal position of the file's first byte.
    pub base: u64,
    pub size: u64,
}

/// A segment full of zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ready {
    pub file: u64,
    pub life: u32,
    pub size: u64,
}

/// Where a segment of `live` ends; `None` for the last, which is open.
pub(super) fn end_of(live: &[Live], freed: &[Range<u64>], index: usize) -> Option<u64> {
    let (base, next) = (live[index].base, live.get(index + 1)?.base);
    let part = freed.iter().find(|part| part.start >= base);
    Some(part.map_or(next, |part| part.start.min(next)))
}

impl ClusterFile {
    fn end(&self) -> u64 {
        self.base.saturating_add(self.len)
    }

    fn is_sound(&self) -> bool {
        self.base >= super::cluster::CLUSTERED && self.directory <= self.len && self.end() < u64::MAX
    }
}

/// Why a manifest cannot be used.
#[derive(Debug)]
pub(super) enum ManifestFault {
    Damaged(&'static str),
    /// Written by a later version.
    Newer(u32),
    Io(io::Error),
}

impl From<io::Error> for ManifestFault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

pub(super) fn segment_name(file: u64) -> String {
    format!("segment-{file:08}")
}

pub(super) fn cluster_name(number: u64) -> String {
    format!("cluster-{number:08}")
}

impl Manifest {
    /// `None` where there is none. Comes before the first [`Manifest::store`] of a process.
    pub fn load(disk: &dyn Disk) -> Result<Option<Self>, ManifestFault> {
        let found = Self::peek(disk)?;
        // After a crash while it was replaced both names may lead to one file: that must not be written to.
        if disk.open(NEW).and_then(|file| read_all(&*file)).is_ok_and(|new| new.iter().any(|byte| *byte != 0)) {
            disk.unlink(NEW)?;
        }
        Ok(found)
    }

    /// As [`Manifest::load`], of a journal that may be another process's: changes nothing.
    pub fn peek(disk: &dyn Disk) -> Result<Option<Self>, ManifestFault> {
        let file = match disk.open(NAME) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let bytes = read_all(&*file)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| ManifestFault::Damaged("it is not text"))?;
        Self::parse(text).map(Some)
    }

    fn encode(&self) -> String {
        let version = match (self.clustered.count > 0 || !self.lifts.is_empty(), self.freed.is_empty()) {
            (false, true) => 1,
            (false, false) => VERSION_FREED,
            (true, _) => VERSION,
        };
        let mut out = format!("{HEAD} {version}\n");
        let _ = writeln!(
            out,
            "id {}\nterm {}\nnext_life {}\nnext_file {}",
            self.id, self.term, self.next_life, self.next_file
        );
        for Live { file, life, base, size } in &self.live {
            let _ = writeln!(out, "live {file} life={life} base={base} size={size}");
        }
        for Range { start, end } in &self.freed {
            let _ = writeln!(out, "freed {start} end={end}");
        }
        if self.floor != Floor::default() {
            let Floor { next_id, start, last_time } = self.floor;
            let _ = writeln!(out, "floor {next_id} start={start} time={}", last_time.as_millis());
        }
        if self.clustered != Clustered::default() {
            let Clustered { count, through, next } = self.clustered;
            let _ = writeln!(out, "clustered {count} through={through} next={next}");
        }
        for cluster in &self.clusters {
            let ClusterFile { number, life, base, len, directory, clustering, at, folded } = cluster;
            let folded = u8::from(*folded);
            let _ = writeln!(
                out,
                "cluster {number} life={life} base={base} len={len} directory={directory} number={clustering} at={at} \
                 folded={folded}"
            );
        }
        for Lift { to, at, time } in &self.lifts {
            let _ = writeln!(out, "lift {to} at={at} time={}", time.as_millis());
        }
        for Ready { file, life, size } in &self.ready {
            let _ = writeln!(out, "ready {file} life={life} size={size}");
        }
        for file in &self.free {
            let _ = writeln!(out, "free {file}");
        }
        let crc = crc32c::crc32c(out.as_bytes());
        let _ = writeln!(out, "crc32c {crc:08x}");
        out
    }

    fn parse(text: &str) -> Result<Self, ManifestFault> {
        let body_len = text.trim_end().rfind('\n').map_or(0, |at| at + 1);
        let (body, last) = text.split_at(body_len);
        let crc = last.trim_end().strip_prefix("crc32c ").and_then(|hex| u32::from_str_radix(hex, 16).ok());
        if crc != Some(crc32c::crc32c(body.as_bytes())) {
            return Err(ManifestFault::Damaged("its checksum does not hold"));
        }
        let mut lines = body.lines();
        let version = lines.next().and_then(|line| line.strip_prefix(HEAD)?.trim().parse().ok());
        match version {
            Some(1..=VERSION) => {}
            Some(version) if version > VERSION => return Err(ManifestFault::Newer(version)),
            _ => {
                return Err(ManifestFault::Damaged("it does not begin as a manifest does"));
            }
        }
        let mut manifest = Self::default();
        for line in lines {
            manifest.take_line(line).ok_or(ManifestFault::Damaged("it has a line that is not understood"))?;
        }
        let in_order = manifest.live.windows(2).all(|pair| pair[0].base <= pair[1].base)
            && manifest.freed.windows(2).all(|pair| pair[0].end < pair[1].start)
            && manifest.lifts.windows(2).all(|pair| pair[0].to < pair[1].to)
            && manifest.freed.iter().all(|part| part.start < part.end)
            && !manifest.live.iter().any(|live| manifest.freed.iter().any(|part| part.contains(&live.base)))
            && manifest.clusters.iter().all(ClusterFile::is_sound)
            && manifest.clusters.windows(2).all(|pair| pair[0].end() <= pair[1].base);
        match in_order {
            true => Ok(manifest),
            false => Err(ManifestFault::Damaged("its segments are not in order")),
        }
    }

    fn take_line(&mut self, line: &str) -> Option<()> {
        let mut words = line.split(' ');
        let (word, number) = (words.next()?, words.next()?);
        let mut field = |name: &str| words.next()?.strip_prefix(name)?.strip_prefix('=')?.parse::<u64>().ok();
        match word {
            "id" => self.id = number.parse().ok()?,
            "term" => self.term = number.parse().ok()?,
            "next_life" => self.next_life = number.parse().ok()?,
            "next_file" => self.next_file = number.parse().ok()?,
            "live" => self.live.push(Live {
                file: number.parse().ok()?,
                life: field("life")?.try_into().ok()?,
                base: field("base")?,
                size: field("size")?,
            }),
            "freed" => self.freed.push(number.parse().ok()?..field("end")?),
            "floor" => {
                self.floor = Floor {
                    next_id: number.parse().ok()?,
                    start: field("start")?,
                    last_time: Timestamp::from_millis(field("time")?),
                }
            }
            "clustered" => {
                self.clustered =
                    Clustered { count: number.parse().ok()?, through: field("through")?, next: field("next")? }
            }
            "cluster" => self.clusters.push(ClusterFile {
                number: number.parse().ok()?,
                life: field("life")?.try_into().ok()?,
                base: field("base")?,
                len: field("len")?,
                directory: field("directory")?,
                clustering: field("number")?,
                at: field("at")?,
                folded: field("folded")? != 0,
            }),
            "lift" => self.lifts.push(Lift {
                to: number.parse().ok()?,
                at: field("at")?,
                time: Timestamp::from_millis(field("time")?),
            }),
            "ready" => self.ready.push(Ready {
                file: number.parse().ok()?,
                life: field("life")?.try_into().ok()?,
                size: field("size")?,
            }),
            "free" => self.free.push(number.parse().ok()?),
            _ => return None,
        }
        Some(())
    }

    /// Takes out a sealed segment, which holds `part` of the journal; what it told is in `floor`.
    pub fn give_up(&mut self, file: u64, part: Range<u64>, floor: Floor) {
        self.live.retain(|live| live.file != file);
        self.raise_floor(floor);
        if part.is_empty() {
            return;
        }
        self.freed.push(part);
        self.freed.sort_unstable_by_key(|part| part.start);
        self.freed.dedup_by(|next, before| {
            let touch = before.end == next.start;
            if touch {
                before.end = next.end;
            }
            touch
        });
    }

    /// What was told by files that go is not forgotten.
    pub fn raise_floor(&mut self, floor: Floor) {
        self.floor = Floor {
            next_id: self.floor.next_id.max(floor.next_id),
            start: self.floor.start.max(floor.start),
            last_time: self.floor.last_time.max(floor.last_time),
        };
    }

    /// Takes in a cluster.
    pub fn add_cluster(&mut self, cluster: ClusterFile) {
        self.clusters.push(cluster);
        self.clusters.sort_unstable_by_key(|cluster| cluster.base);
    }

    /// A number that no file has had.
    pub fn new_file(&mut self) -> u64 {
        let file = self.next_file;
        self.next_file += 1;
        file
    }

    /// Where the checksums of this journal's records start from.
    pub fn key(&self) -> u32 {
        (self.id >> 32) as u32 ^ self.id as u32
    }

    /// A life that no use of a file has had.
    pub fn new_life(&mut self) -> u32 {
        let life = self.next_life;
        self.next_life += 1;
        life
    }

    /// A file to fill anew: one that is free, or a new one.
    pub fn take_file(&mut self) -> u64 {
        self.free.pop().unwrap_or_else(|| self.new_file())
    }

    /// Replaces the manifest on disk. After an error either version may be there.
    pub fn store(&self, disk: &dyn Disk) -> io::Result<()> {
        let text = self.encode();
        // Its room was taken by the store before: a full disk has none for a new file.
        let file = disk.open(NEW).or_else(|_| disk.create(NEW))?;
        die::after(Point::InManifest, || file.write_at(&text.as_bytes()[..text.len() / 2], 0));
        file.write_at(text.as_bytes(), 0)?;
        file.truncate(text.len() as u64)?;
        file.sync_data()?;
        die::at(Point::BeforeRename);
        disk.rename(NEW, NAME)?;
        die::at(Point::BetweenRenameAndSync);
        sync_dir(disk)?;
        die::at(Point::AfterManifest);
        take_room(disk, text.len());
        Ok(())
    }
}

/// Takes the room of the next manifest, which is where the one just replaced has been. Without it only a store on a
/// full disk fails.
fn take_room(disk: &dyn Disk, len: usize) {
    let zeros = vec![0; (2 * len).next_multiple_of(4096)];
    let _ = disk.create(NEW).and_then(|file| file.write_at(&zeros, 0));
}

/// Makes created and renamed files durable.
pub(super) fn sync_dir(disk: &dyn Disk) -> io::Result<()> {
    match mutant::is_on(Mutant::SkipDirSync) {
        true => Ok(()),
        false => disk.sync_dir(),
    }
}

/// The manifest of an open journal. What changes is written by one thread at a time, and never a version that is
/// older than one already there.
pub(super) struct Registry {
    state: Mutex<Manifest>,
    writing: Mutex<()>,
}

impl Registry {
    pub fn new(manifest: Manifest) -> Self {
        Self { state: Mutex::new(manifest), writing: Mutex::new(()) }
    }

    /// Changes it in memory; the next [`Registry::store`] writes it.
    pub fn change<T>(&self, change: impl FnOnce(&mut Manifest) -> T) -> T {
        change(&mut self.state.lock())
    }

    pub fn store(&self, disk: &dyn Disk) -> io::Result<()> {
        let _one_at_a_time = self.writing.lock();
        // Encoded from a copy: the committer, which changes the state on its way to a barrier, must not wait for a disk.
        let manifest = self.state.lock().clone();
        manifest.store(disk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::disk::SimDisk;

    fn manifest() -> Manifest {
        Manifest {
            id: 99,
            term: 5,
            next_life: 12,
            next_file: 7,
            live: vec![
                Live { file: 3, life: 4, base: 0, size: 4096 },
                Live { file: 5, life: 9, base: 4000, size: 4096 },
            ],
            ready: vec![Ready { file: 6, life: 11, size: 4096 }],
            free: vec![2],
            ..Manifest::default()
        }
    }

    /// The same after a segment in the middle was given up.
    fn with_a_gap() -> Manifest {
        let mut manifest = manifest();
        manifest.live.push(Live { file: 8, life: 13, base: 8000, size: 4096 });
        let floor = Floor { next_id: 17, start: 90, last_time: Timestamp::from_millis(1234) };
        manifest.give_up(5, 4000..8000, floor);
        manifest
    }

    fn with_clusters() -> Manifest {
        let mut manifest = with_a_gap();
        let base = super::super::cluster::CLUSTERED;
        manifest.clustered = Clustered { count: 2, through: 700, next: base + 9000 };
        let cluster = |number, base, folded| ClusterFile {
            number,
            life: 14,
            base,
            len: 400,
            directory: 300,
            clustering: 2,
            at: 900,
            folded,
        };
        manifest.add_cluster(cluster(10, base + 800, true));
        manifest.add_cluster(cluster(9, base, false));
        manifest
    }

    #[test]
    fn what_was_freed_is_one_part_where_it_is_contiguous() {
        let mut manifest = Manifest::default();
        for part in [10..20, 30..40, 20..30, 50..60, 60..60] {
            manifest.give_up(0, part, Floor::default());
        }
        assert_eq!(manifest.freed, [10..40, 50..60]);
    }

    #[test]
    fn a_segment_ends_where_the_next_or_a_gap_begins() {
        let Manifest { live, freed, .. } = with_a_gap();
        assert_eq!([0, 1].map(|index| end_of(&live, &freed, index)), [Some(4000), None]);
        let Manifest { live, freed, .. } = manifest();
        assert_eq!([0, 1].map(|index| end_of(&live, &freed, index)), [Some(4000), None]);
    }

    #[test]
    fn a_manifest_round_trips_and_replaces_the_one_before() {
        let disk = SimDisk::new();
        assert!(Manifest::load(&disk).unwrap().is_none());
        Manifest::default().store(&disk).unwrap();
        manifest().store(&disk).unwrap();
        disk.power_loss(1);
        assert_eq!(Manifest::load(&disk).unwrap(), Some(manifest()));
        let mut restored = manifest();
        restored.lifts = vec![Lift { to: 70, at: 5, time: Timestamp::from_millis(9) }];
        assert_eq!(Manifest::parse(&restored.encode()).unwrap(), restored);
        with_a_gap().store(&disk).unwrap();
        assert_eq!(Manifest::load(&disk).unwrap(), Some(with_a_gap()));
        with_clusters().store(&disk).unwrap();
        assert_eq!(Manifest::load(&disk).unwrap(), Some(with_clusters()));
    }

    #[test]
    fn any_change_to_it_is_noticed() {
        assert!(manifest().encode().starts_with("keyfold-journal 1\n"), "older versions read it");
        assert!(with_a_gap().encode().starts_with("keyfold-journal 2\n"), "older versions read it");
        let text = with_clusters().encode();
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let parsed = String::from_utf8(bytes).ok().and_then(|text| Manifest::parse(&text).ok());
            // The last byte is the end of the line, which says nothing.
            assert!(parsed.is_none() || at + 1 == text.len(), "byte {at}");
        }
    }

    #[test]
    fn a_later_version_is_named() {
        let body = format!("{HEAD} 4\n");
        let text = format!("{body}crc32c {:08x}\n", crc32c::crc32c(body.as_bytes()));
        assert!(matches!(Manifest::parse(&text), Err(ManifestFault::Newer(4))));
    }
}
