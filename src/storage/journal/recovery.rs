//! From what a disk holds to a journal that can go on.
//!
//! Power loss may keep any subset of an unsynced group's sectors, so [torn, whole, torn] is a normal end. What tells a
//! normal end from damage is `durable_to`: each record says how far the journal had been proven when it was written.
//!
//! 1. Segments that the catalogue does not cover are read from their base, up to the first record that does not verify
//!    by position, life and checksums: *the break*. In a sealed segment that is damage: refuse to start.
//! 2. The committer moves on to a ready segment without telling the manifest; such a one is recognised by its first
//!    record, whose position is the break. It synced the segment before, so that one is sealed.
//! 3. After the break any record header is looked for, at every multiple of 4 and in the ready segments. One that
//!    proves the journal beyond the break shows that acknowledged records are lost: refuse to start.
//! 4. What is proven stays where it is. What lies between there and the break was in flight: whole records in order,
//!    perhaps acknowledged, perhaps only in the kernel's memory. It is copied into a new segment and made durable, with
//!    a mark behind it, and only then does the manifest name it. Nothing is appended behind a tail: a kernel that has
//!    failed to write a page may show it and never write it.
//! 5. Clusters come before the segments: they say what the freed beginning of the journal amounted to.
//! 6. Where nothing lies there but a mark and zeros, as after a clean close, the mark is written again and the journal
//!    goes on in place.
//!
//! Every ready segment gets a new life: what a lost group has left in it never verifies.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::model::{StreamId, Timestamp};
use crate::storage::ReadError;
use crate::storage::catalogue::{Catalogue, CatalogueFault, Facts, Moved};
use crate::storage::codec::{Encoded, Fault, Header, Placement};
use crate::storage::die::{self, Point};
use crate::storage::disk::{Disk, DiskFile, read_all};
use crate::storage::mutant::{self, Mutant};

use super::cluster::{self, Cluster, Group, Told};
use super::committer::Committer;
use super::durable::Durable;
use super::manifest::{ClusterFile, Lift, Live, Manifest, ManifestFault, Ready, cluster_name, end_of, segment_name};
use super::queue::ends;
use super::segment::{self, Found, SLACK, Scan, Segment, Segments, Spare, first_position, proven_by_any, zeroed};
use super::{JournalOptions, OpenError, segment_size};

/// A ready segment whose first bytes are zeros was never written to: a group begins at its first byte.
const PROBE: u64 = 64 << 10;

/// A journal that is ready to go on.
pub(super) struct Recovered {
    pub manifest: Manifest,
    pub segments: Segments,
    pub clusters: Vec<Arc<Cluster>>,
    pub durable: Durable,
    pub committer: Committer,
    pub spares: Vec<Spare>,
    /// Journal position up to which the catalogue has everything.
    pub catalogued: u64,
    pub catalogue: Option<Catalogue>,
    pub found: End,
}

/// How the journal was found.
#[derive(Clone, Debug)]
pub(super) struct End {
    /// The file that it ended in.
    pub file: u64,
    /// Journal position up to which everything was proven, and that behind the last whole record.
    pub proven: u64,
    pub whole: u64,
    /// Whole records between the two, marks aside.
    pub in_flight: usize,
    /// Behind what is proven came marks and zeros only, as after a clean close.
    pub clean: bool,
    /// Journal position up to which the catalogue covered it.
    pub covered: u64,
    /// Why the catalogue was built again, if it was.
    pub rebuilt: Option<String>,
}

/// Brings a journal up, or says why that would lose something.
///
/// Where the catalogue can be neither used nor built, on a full disk say, it goes on without: that costs time and
/// memory, and nothing in it is the truth.
pub(super) fn recover(disk: &dyn Disk, options: &JournalOptions) -> Result<Recovered, OpenError> {
    let without = JournalOptions { catalogue: None, ..options.clone() };
    let recovered = match recover_with(disk, options) {
        Err(OpenError::Catalogue(why)) if options.catalogue.is_some() => {
            tracing::warn!(catalogue.fault = %why, "the catalogue cannot be built ({why}); going on without it");
            recover_with(disk, &without)
        }
        outcome => outcome,
    };
    match (recovered, &options.catalogue) {
        // The manifest needs a few blocks, and the catalogue has some that it can give.
        (Err(error), Some(catalogue)) if error.is_full() => {
            tracing::warn!("the disk is full; the catalogue is given up, so that the journal can be served");
            Catalogue::discard(catalogue).map_err(|e| OpenError::io("remove the catalogue", e))?;
            recover_with(disk, &without)
        }
        (outcome, _) => outcome,
    }
}

fn recover_with(disk: &dyn Disk, options: &JournalOptions) -> Result<Recovered, OpenError> {
    let manifest = load_manifest(disk, options)?;
    let mut recovery = Recovery {
        disk,
        segment_bytes: options.segment_bytes,
        live: Vec::new(),
        ready: Vec::new(),
        manifest,
        segments: Segments::default(),
        clusters: Vec::new(),
        durable: Durable::default(),
        catalogue: None,
        covered: Facts::default(),
        last_time: Timestamp::default(),
        rebuilt: None,
    };
    if let Some(dir) = &options.catalogue {
        recovery.open_catalogue(dir)?;
    }
    let tail = match recovery.walk()? {
        Walked::Tail(tail) => tail,
        Walked::CatalogueIsAhead => {
            let dir = options.catalogue.as_deref().unwrap_or(std::path::Path::new(""));
            recovery.rebuild_catalogue(dir, "it knows more than the journal")?;
            match recovery.walk()? {
                Walked::Tail(tail) => tail,
                Walked::CatalogueIsAhead => {
                    return Err(OpenError::Catalogue("a new one is not empty".into()));
                }
            }
        }
    };
    recovery.finish(tail)
}

struct Recovery<'a> {
    disk: &'a dyn Disk,
    segment_bytes: u64,
    manifest: Manifest,
    /// Segments that hold the journal, those found on the way included.
    live: Vec<Live>,
    /// The ready segments that are not among them.
    ready: Vec<(Ready, Arc<dyn DiskFile>, Contents)>,
    segments: Segments,
    clusters: Vec<Arc<Cluster>>,
    durable: Durable,
    catalogue: Option<Catalogue>,
    covered: Facts,
    last_time: Timestamp,
    /// Why the catalogue was built again, if it was.
    rebuilt: Option<String>,
}

/// What a ready segment holds; `None` for zeros.
type Contents = Option<Vec<u8>>;

/// The open segment, the next position in it, and the sealed file to shorten, if there is one, with its length.
type Opened = (Arc<Segment>, u64, Option<(Arc<dyn DiskFile>, u64)>);

enum Walked {
    Tail(Tail),
    CatalogueIsAhead,
}

/// The last segment.
struct Tail {
    live: Live,
    file: Arc<dyn DiskFile>,
    bytes: Bytes,
    /// Whole records in flight, none of them a mark.
    in_flight: Vec<Found>,
    /// Journal position up to which everything is proven.
    proven: u64,
    /// Where in the bytes the break is.
    end: usize,
    /// After what is proven come marks and zeros only.
    clean: bool,
}

fn load_manifest(disk: &dyn Disk, options: &JournalOptions) -> Result<Manifest, OpenError> {
    let loaded = Manifest::load(disk).map_err(|fault| match fault {
        ManifestFault::Damaged(why) => OpenError::Manifest(why.into()),
        ManifestFault::Newer(version) => OpenError::NewerManifest { version },
        ManifestFault::Io(error) => OpenError::io("read the manifest", error),
    })?;
    let mut manifest = match loaded {
        Some(manifest) => manifest,
        None => {
            let files = disk.list().map_err(|error| OpenError::io("list the data directory", error))?;
            if files.iter().any(|file| file.starts_with("segment-")) {
                return Err(OpenError::Manifest("it is missing, and there are segments".into()));
            }
            // First of all, so that segments without a manifest are never the normal case.
            let lifts = options.lifts.iter().map(|to| Lift { to: *to, at: 0, time: options.clock.now() }).collect();
            let manifest =
                Manifest { next_life: 1, next_file: 1, id: fastrand::u64(..), lifts, ..Manifest::default() };
            manifest.store(disk).map_err(|error| OpenError::io("write the manifest", error))?;
            manifest
        }
    };
    if manifest.live.is_empty() {
        die::at(Point::BeforeFirstSegment);
        let (file, life) = (manifest.take_file(), manifest.new_life());
        zeroed(disk, file, options.segment_bytes).map_err(|error| OpenError::io("make the first segment", error))?;
        manifest.live.push(Live { file, life, base: 0, size: options.segment_bytes });
        manifest.store(disk).map_err(|error| OpenError::io("write the manifest", error))?;
    }
    Ok(manifest)
}

impl Recovery<'_> {
    fn open_catalogue(&mut self, dir: &std::path::Path) -> Result<(), OpenError> {
        match Catalogue::open(dir) {
            Ok((catalogue, facts, streams)) if facts.through == 0 || facts.journal == self.manifest.id => {
                self.durable.restore(streams);
                self.durable.raise(facts.next_id, facts.start);
                self.durable.raise_former_floor(facts.former_floor);
                self.durable.track();
                (self.catalogue, self.covered, self.last_time) = (Some(catalogue), facts, facts.last_time);
                Ok(())
            }
            Ok((catalogue, ..)) => {
                drop(catalogue);
                self.rebuild_catalogue(dir, "it is another journal's")
            }
            Err(fault) => self.rebuild_catalogue(dir, &fault.to_string()),
        }
    }

    fn rebuild_catalogue(&mut self, dir: &std::path::Path, why: &str) -> Result<(), OpenError> {
        self.catalogue = None;
        self.rebuilt = Some(why.to_owned());
        self.durable.clear();
        self.durable.track();
        self.segments = Segments::default();
        self.clusters.clear();
        self.last_time = Timestamp::default();
        let aside = Catalogue::set_aside(dir)
            .map_err(|error| OpenError::Catalogue(format!("it cannot be moved aside: {error}")))?;
        tracing::warn!(catalogue.fault = why, catalogue.aside = %aside.display(),
            "the catalogue cannot be used ({why}); it is moved aside and built again from the journal");
        die::at(Point::CatalogueAside);
        let (catalogue, facts, _) = Catalogue::open(dir).map_err(|fault| OpenError::Catalogue(fault.to_string()))?;
        (self.catalogue, self.covered) = (Some(catalogue), facts);
        Ok(())
    }

    /// Reads what the catalogue does not cover, and finds the end.
    fn walk(&mut self) -> Result<Walked, OpenError> {
        self.live = self.manifest.live.clone();
        self.load_ready()?;
        if self.covered.clusterings > self.manifest.clustered.count {
            // It has heard of one whose manifest went with the power.
            return Ok(Walked::CatalogueIsAhead);
        }
        let floor = self.manifest.floor;
        self.durable.raise(floor.next_id, floor.start);
        self.durable.lift(self.manifest.lifts.iter().map(|lift| lift.to).collect());
        self.last_time = self.last_time.max(floor.last_time);
        if self.manifest.freed.last().is_some_and(|freed| freed.end > self.covered.through) {
            // Which names ended there was told by what is freed, and by a catalogue that is not here any more.
            self.durable.raise_former_floor(floor.start);
        }
        self.take_clusters()?;
        let through = self.covered.through;
        let begin = self.live.partition_point(|live| live.base <= through).saturating_sub(1);
        for (index, live) in self.live[..begin].iter().enumerate() {
            let file = self.open_segment(live.file)?;
            let end = self.end_of(index).unwrap_or(live.base);
            self.segments.push(Arc::new(Segment::new(self.spare(live, file), live.base, end, false)));
        }
        let mut at = begin;
        loop {
            let live = self.live[at];
            let file = self.open_segment(live.file)?;
            let known_end = self.end_of(at);
            let len = known_end.map_or(live.size, |end| end - live.base);
            let bytes = read_up_to(&*file, len).map_err(|error| self.reading(live.file, error))?;
            let scan = segment::scan(self.manifest.key(), &bytes, live.base, live.life);
            let end = live.base + scan.end as u64;
            refuse_newer(live.file, end, scan.fault)?;
            if let Some(known_end) = known_end
                && end != known_end
            {
                return Err(self.damaged(live.file, end));
            }
            if known_end.is_none() && !self.goes_on(end)? {
                return self.end(live, file, bytes, scan);
            }
            self.segments.push(Arc::new(Segment::new(self.spare(&live, file), live.base, end, true)));
            self.apply(&live, &bytes.into(), &scan.found)?;
            self.seal(end)?;
            at += 1;
        }
    }

    /// Opens the clusters, and takes in what those say that the catalogue has not heard of; all of them, where there is
    /// no catalogue.
    fn take_clusters(&mut self) -> Result<(), OpenError> {
        if self.clusters.is_empty() {
            let key = self.manifest.key();
            let open = |file: &ClusterFile| {
                let cluster = Cluster::open(self.disk, *file, key);
                cluster.map(Arc::new).map_err(|error| self.opening(*file, error))
            };
            self.clusters = self.manifest.clusters.iter().map(open).collect::<Result<_, _>>()?;
        }
        let clustered = self.manifest.clustered;
        if self.covered.clusterings >= clustered.count {
            return Ok(());
        }
        let through = self.covered.through;
        let gone = cluster::ended(&self.clusters);
        gone.iter().for_each(|id| self.durable.restore_end(*id));
        let unheard = self.clusters.iter().filter(|cluster| cluster.file.clustering > self.covered.clusterings);
        let unheard: Vec<Arc<Cluster>> = unheard.cloned().collect();
        let newest = self.newest_states(&unheard, through)?;
        // What a stream is comes before where its records lie, which several clusters may say.
        for of_the_newest in [true, false] {
            for cluster in &unheard {
                let is_newest = |group: &Group| newest.get(&group.stream) == Some(&cluster.file.number);
                let lives = |group: &Group| !gone.contains(&group.stream);
                for group in cluster.groups().iter().filter(|group| lives(group) && is_newest(group) == of_the_newest)
                {
                    self.take_group(cluster, group, of_the_newest)?;
                }
            }
        }
        self.covered.clusterings = clustered.count;
        self.covered.through = through.max(clustered.through);
        self.last_time = self.last_time.max(self.manifest.floor.last_time);
        if let Some(catalogue) = &self.catalogue {
            let ended: Vec<Moved> = gone.into_iter().map(Moved::ended).collect();
            let facts = Facts {
                journal: self.manifest.id,
                next_id: self.durable.ids_given(),
                start: self.durable.start_position(),
                former_floor: self.durable.former_floor(),
                last_time: self.last_time,
                ..self.covered
            };
            catalogue.take_moved(&ended, Some(facts)).map_err(telling)?;
        }
        Ok(())
    }

    /// Takes in what a cluster says of a stream: what it is, where nobody knows better, and where its records lie.
    fn take_group(&mut self, cluster: &Cluster, group: &Group, is_newest: bool) -> Result<(), OpenError> {
        let moved = cluster::moved(cluster, group).map_err(|error| self.opening(cluster.file, error))?;
        let moved = Moved { living: moved.living.filter(|_| is_newest), ..moved };
        let told_here = self.catalogue.is_none();
        match &moved.living {
            Some(living) => self.durable.restore_state(living.clone(), told_here),
            // The catalogue, which is newer than the cluster, knows that it is gone.
            None if !self.durable.is_live(group.stream) => return Ok(()),
            None => {}
        }
        if let Some(catalogue) = &self.catalogue {
            catalogue.take_moved(std::slice::from_ref(&moved), None).map_err(telling)?;
        }
        let postings = told_here.then_some(moved.postings);
        self.durable.move_records(moved.stream, &moved.covers, postings, moved.kept);
        Ok(())
    }

    /// Which cluster has the newest state of a stream, where that is newer than what is covered.
    fn newest_states(&self, clusters: &[Arc<Cluster>], through: u64) -> Result<HashMap<StreamId, u64>, OpenError> {
        let mut newest: HashMap<StreamId, (u64, u64)> = HashMap::new();
        for cluster in clusters {
            for group in cluster.groups() {
                let told = cluster.told(group).map_err(|error| self.opening(cluster.file, error))?;
                let Told::Lives(told) = told else { continue };
                if told.as_of > through {
                    let known = newest.entry(group.stream).or_default();
                    *known = (*known).max((told.as_of, cluster.file.number));
                }
            }
        }
        Ok(newest.into_iter().map(|(stream, (_, number))| (stream, number)).collect())
    }

    fn opening(&self, file: ClusterFile, error: ReadError) -> OpenError {
        match error {
            ReadError::Io(error) => OpenError::io(&format!("read {}", cluster_name(file.number)), error),
            _ => OpenError::Damaged { file: cluster_name(file.number), position: file.base },
        }
    }

    fn end_of(&self, index: usize) -> Option<u64> {
        end_of(&self.live, &self.manifest.freed, index)
    }

    /// Whether a ready segment begins at the break; it is one of the live ones then.
    fn goes_on(&mut self, end: u64) -> Result<bool, OpenError> {
        for at in 0..self.ready.len() {
            let (ready, _, bytes) = &self.ready[at];
            let Some(bytes) = bytes else { continue };
            let begins_at = first_position(self.manifest.key(), bytes, ready.life);
            refuse_newer(ready.file, end, begins_at.err())?;
            if begins_at == Ok(Some(end)) {
                let (ready, ..) = self.ready.remove(at);
                self.live.push(Live { file: ready.file, life: ready.life, base: end, size: ready.size });
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn load_ready(&mut self) -> Result<(), OpenError> {
        self.ready.clear();
        for ready in self.manifest.ready.clone() {
            let file = self.open_segment(ready.file)?;
            let bytes = contents_unless_zeros(&*file).map_err(|error| self.reading(ready.file, error))?;
            self.ready.push((ready, file, bytes));
        }
        Ok(())
    }

    /// Tells a normal end from damage.
    fn end(&mut self, live: Live, file: Arc<dyn DiskFile>, bytes: Vec<u8>, scan: Scan) -> Result<Walked, OpenError> {
        let mut found = scan.found;
        // The last call of `append` is not whole: none of it counts.
        while found.last().is_some_and(|last| last.chained) {
            found.pop();
        }
        let whole_end = found.last().map_or(0, |last| last.at + last.len);
        let break_at = live.base + whole_end as u64;
        let key = self.manifest.key();
        let here = proven_by_any(key, &bytes, whole_end, Some(live.base), live.life);
        let here = here.map(|proven| (proven, live.file));
        // Where this segment ends in zeros, a ready one that proves more has lost its own first record.
        let rest_is_zeros = bytes[whole_end..].iter().all(|byte| *byte == 0);
        let elsewhere = self.ready.iter().filter_map(|(ready, _, bytes)| {
            let proven = proven_by_any(key, bytes.as_ref()?, 0, None, ready.life)?;
            Some((proven, if rest_is_zeros { ready.file } else { live.file }))
        });
        let beyond = here.into_iter().chain(elsewhere).max_by_key(|(proven, _)| *proven);
        if let Some((proven, file)) = beyond
            && proven > break_at
        {
            return Err(self.damaged(file, break_at));
        }
        if self.covered.through > break_at {
            return Ok(Walked::CatalogueIsAhead);
        }
        let told = found.iter().map(|found| found.durable_to);
        let told = told.chain(beyond.map(|(proven, _)| proven)).max().unwrap_or(0);
        let mut proven = told.max(live.base).max(self.covered.through);
        let in_flight: Vec<Found> =
            found.iter().filter(|found| live.base + found.at as u64 >= proven && !found.is_mark).copied().collect();
        let clean = in_flight.is_empty() && rest_is_zeros;
        let only_marks = found.iter().filter(|found| !found.is_mark).count() == in_flight.len();
        if !clean && only_marks && self.covered.through <= live.base {
            // Nothing but marks to keep: the segment is replaced as a whole.
            proven = live.base;
        }
        let kept = (proven - live.base) as usize;
        found.retain(|found| found.at < kept);
        let bytes = Bytes::from(bytes);
        self.apply(&live, &bytes, &found)?;
        Ok(Walked::Tail(Tail { live, file, bytes, in_flight, proven, end: whole_end, clean }))
    }

    /// Moves the durable state by records that lie where they stay.
    fn apply(&mut self, live: &Live, bytes: &Bytes, found: &[Found]) -> Result<(), OpenError> {
        for found in found {
            let at = live.base + found.at as u64;
            if at < self.covered.through || found.is_mark {
                continue;
            }
            let record = segment::slice(bytes, found);
            let header = Header::parse(self.manifest.key(), &record).map_err(|_| self.damaged(live.file, at))?;
            self.last_time = self.last_time.max(header.placement.at);
            if let Some(record) = header.record(&record).map_err(|_| self.damaged(live.file, at))? {
                self.durable.apply(&record, at, found.len as u32);
            }
        }
        Ok(())
    }

    /// A segment ends here: the catalogue learns of it.
    fn seal(&mut self, end: u64) -> Result<(), OpenError> {
        let Some(catalogue) = self.catalogue.as_ref().filter(|_| end > self.covered.through) else {
            return Ok(());
        };
        self.durable.cut(end);
        let changes = self.durable.changes();
        let facts = Facts {
            journal: self.manifest.id,
            through: end,
            next_id: self.durable.ids_given(),
            start: self.durable.start_position(),
            former_floor: self.durable.former_floor(),
            last_time: self.last_time,
            clusterings: self.covered.clusterings,
        };
        catalogue.commit(facts, &changes).map_err(|fault| OpenError::Catalogue(fault.to_string()))?;
        self.durable.settle(&changes);
        Ok(())
    }

    /// Makes the end one that the journal can go on from.
    fn finish(mut self, tail: Tail) -> Result<Recovered, OpenError> {
        self.manifest.term += 1;
        let found = End {
            file: tail.live.file,
            proven: tail.proven,
            whole: tail.live.base + tail.end as u64,
            in_flight: tail.in_flight.len(),
            clean: tail.clean,
            covered: self.covered.through,
            rebuilt: self.rebuilt.take(),
        };
        let has_room = tail.proven + SLACK <= tail.live.base + tail.live.size;
        let mut spares = self.renew_ready();
        let in_place = tail.clean && has_room;
        let (segment, position, old) = match in_place {
            true => self.go_on_in_place(tail)?,
            false => self.move_on(tail, &mut spares)?,
        };
        // By now, those whose end is still there have ended by it, in flight or not: only an end knows what its stream
        // was called, and so which positions the name has given out.
        self.durable.forget_created_in(&self.manifest.freed, |id| {
            self.clusters.iter().any(|cluster| cluster.group(id).is_some_and(|group| !group.ended))
        });
        self.manifest.live = self.live.clone();
        self.manifest.ready = spares.iter().map(|s| Ready { file: s.number, life: s.life, size: s.size }).collect();
        die::at(Point::RecoveredBeforeManifest);
        self.manifest.store(self.disk).map_err(|error| OpenError::io("write the manifest", error))?;
        die::at(Point::RecoveredAfterManifest);
        if let Some((file, len)) = old {
            // What lies above is not part of the journal any more; giving up its space is only a favour.
            let _ = file.truncate(len);
        }
        die::at(Point::BeforeStrays);
        self.remove_strays();
        if mutant::is_on(Mutant::ForgetProducer) {
            self.durable.forget_producers();
        }
        self.segments.push(segment.clone());
        let catalogued = match &self.catalogue {
            Some(_) => self.segments.all().iter().rev().nth(1).map_or(0, |sealed| sealed.end()),
            None => 0,
        };
        let catalogued = catalogued.max(self.covered.through);
        let committer = Committer::new(segment, position, self.manifest.term, self.last_time);
        Ok(Recovered {
            manifest: self.manifest,
            segments: self.segments,
            clusters: self.clusters,
            durable: self.durable,
            committer,
            spares,
            catalogued,
            catalogue: self.catalogue,
            found,
        })
    }

    /// Clean ready segments are spares again, in a new life; the others are free.
    fn renew_ready(&mut self) -> Vec<Spare> {
        let mut spares = Vec::new();
        for (ready, file, bytes) in std::mem::take(&mut self.ready) {
            // One that a crash left half zeroed is shorter than it says.
            let whole = file.len().is_ok_and(|len| len == ready.size);
            match bytes {
                None if whole => spares.push(Spare {
                    number: ready.file,
                    file,
                    life: self.manifest.new_life(),
                    key: self.manifest.key(),
                    size: ready.size,
                }),
                _ => self.manifest.free.push(ready.file),
            }
        }
        spares
    }

    /// After a clean close: proves the end again, in the page that the next group is written to.
    fn go_on_in_place(&mut self, tail: Tail) -> Result<Opened, OpenError> {
        let mut bytes = Vec::new();
        self.write_mark(tail.live.life, tail.proven, &mut bytes);
        let position = tail.proven + bytes.len() as u64;
        // Nothing of a longer mark before it may stay.
        bytes.resize(bytes.len().max(tail.end - (tail.proven - tail.live.base) as usize), 0);
        die::at(Point::BeforeEndIsProven);
        let written = tail.file.write_at(&bytes, tail.proven - tail.live.base).and_then(|()| tail.file.sync_data());
        written.map_err(|error| OpenError::io("prove the journal's end", error))?;
        let segment = Segment::new(self.spare(&tail.live, tail.file), tail.live.base, position, true);
        Ok((Arc::new(segment), position, None))
    }

    /// After anything else: copies what was in flight into a new segment.
    fn move_on(&mut self, tail: Tail, spares: &mut Vec<Spare>) -> Result<Opened, OpenError> {
        self.live.retain(|live| live.file != tail.live.file);
        let kept = tail.proven - tail.live.base;
        if kept > 0 {
            self.live.push(tail.live);
            let sealed = self.spare(&tail.live, tail.file.clone());
            let sealed = Segment::new(sealed, tail.live.base, tail.proven, true);
            self.segments.push(Arc::new(sealed));
            self.seal(tail.proven)?;
        }
        let (mut records, most) = self.in_flight(&tail)?;
        let copying = |error| OpenError::io("copy what was in flight", error);
        let new = self.take_spare(spares, most).map_err(copying)?;
        let live = Live { file: new.number, life: new.life, base: tail.proven, size: new.size };
        let bytes = self.copy(&live, &mut records);
        die::at(Point::BeforeCopy);
        die::after(Point::InCopy, || new.file.write_at(&bytes[..bytes.len() / 2], 0));
        new.file.write_at(&bytes, 0).and_then(|()| new.file.sync_data()).map_err(copying)?;
        die::at(Point::AfterCopy);
        self.live.push(live);
        if kept == 0 {
            self.manifest.free.push(tail.live.file);
        }
        tracing::info!(
            journal.position = tail.proven,
            journal.records = records.len(),
            "the journal did not end cleanly; {} whole records in flight were kept",
            records.len()
        );
        let position = live.base + bytes.len() as u64;
        let segment = Arc::new(Segment::new(new, live.base, position, true));
        Ok((segment, position, (kept > 0).then_some((tail.file, kept))))
    }

    /// A spare with room for `bytes`: one that is ready, so that a full disk can be started from, or a new one.
    fn take_spare(&mut self, spares: &mut Vec<Spare>, bytes: u64) -> io::Result<Spare> {
        if let Some(at) = spares.iter().position(|spare| spare.capacity() >= bytes) {
            return Ok(spares.swap_remove(at));
        }
        let (number, life) = (self.manifest.take_file(), self.manifest.new_life());
        let size = segment_size(bytes, self.segment_bytes);
        Ok(Spare { number, file: zeroed(self.disk, number, size)?, life, key: self.manifest.key(), size })
    }

    /// The records in flight, and the most that they take with the mark behind them.
    fn in_flight(&self, tail: &Tail) -> Result<(Vec<(Encoded, InFlight)>, u64), OpenError> {
        let mut records = Vec::new();
        for found in &tail.in_flight {
            let at = tail.live.base + found.at as u64;
            let bytes = segment::slice(&tail.bytes, found);
            let damaged = |_: Fault| self.damaged(tail.live.file, at);
            let header = Header::parse(self.manifest.key(), &bytes).map_err(damaged)?;
            if let Some(record) = header.record(&bytes).map_err(damaged)? {
                records.push((Encoded::of(&record, found.chained), InFlight { record }));
            }
        }
        let most = records.iter().map(|(encoded, _)| encoded.size_max()).sum::<u64>();
        Ok((records, most + Encoded::mark().size_max()))
    }

    /// The bytes of a segment with those records and a mark that proves them; moves the durable state.
    fn copy(&mut self, live: &Live, records: &mut [(Encoded, InFlight)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (encoded, InFlight { record }) in records {
            if ends(record)
                && let Some(position) = self.durable.created_at(record.stream)
            {
                encoded.set_created_at(position);
            }
            let at = live.base + bytes.len() as u64;
            let placement = self.placement(live.life, at, live.base, record.at);
            let (len, _) = encoded.write(self.manifest.key(), &placement, &mut bytes);
            self.last_time = self.last_time.max(record.at);
            self.durable.apply(record, at, len as u32);
        }
        let end = live.base + bytes.len() as u64;
        self.write_mark(live.life, end, &mut bytes);
        bytes
    }

    fn spare(&self, live: &Live, file: Arc<dyn DiskFile>) -> Spare {
        Spare { number: live.file, file, life: live.life, key: self.manifest.key(), size: live.size }
    }

    fn write_mark(&self, life: u32, position: u64, bytes: &mut Vec<u8>) {
        Encoded::mark().write(self.manifest.key(), &self.placement(life, position, position, self.last_time), bytes);
    }

    fn placement(&self, life: u32, position: u64, durable_to: u64, at: Timestamp) -> Placement {
        Placement { position, life, term: self.manifest.term, durable_to, at }
    }

    /// Files of a segment that was being made when the server went down.
    fn remove_strays(&self) {
        let manifest = &self.manifest;
        let used = manifest.live.iter().map(|live| live.file).chain(manifest.ready.iter().map(|ready| ready.file));
        let used = used.chain(manifest.free.iter().copied()).map(segment_name);
        let used: Vec<String> =
            used.chain(manifest.clusters.iter().map(|cluster| cluster_name(cluster.number))).collect();
        for name in self.disk.list().unwrap_or_default() {
            if (name.starts_with("segment-") || name.starts_with("cluster-")) && !used.contains(&name) {
                let _ = self.disk.unlink(&name);
            }
        }
    }

    fn open_segment(&self, number: u64) -> Result<Arc<dyn DiskFile>, OpenError> {
        self.disk.open(&segment_name(number)).map_err(|error| self.reading(number, error))
    }

    fn damaged(&self, file: u64, position: u64) -> OpenError {
        OpenError::Damaged { file: segment_name(file), position }
    }

    fn reading(&self, file: u64, error: io::Error) -> OpenError {
        OpenError::io(&format!("read {}", segment_name(file)), error)
    }
}

fn telling(fault: CatalogueFault) -> OpenError {
    OpenError::Catalogue(fault.to_string())
}

/// A record that verifies but for what this version does not know must not be taken for the end.
fn refuse_newer(file: u64, position: u64, fault: Option<Fault>) -> Result<(), OpenError> {
    let file = segment_name(file);
    match fault {
        Some(Fault::UnknownKind(kind)) => Err(OpenError::UnknownKind { file, position, kind }),
        Some(Fault::NewerFormat(format)) => Err(OpenError::NewerFormat { file, position, format }),
        _ => Ok(()),
    }
}

struct InFlight {
    record: crate::stream::Record,
}

/// The first `len` bytes of a file, or all where it is shorter: what is missing does not verify.
fn read_up_to(file: &dyn DiskFile, len: u64) -> io::Result<Vec<u8>> {
    let len = len.min(file.len()?);
    let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
    file.read_at(&mut bytes, 0)?;
    Ok(bytes)
}

fn contents_unless_zeros(file: &dyn DiskFile) -> io::Result<Contents> {
    let zeros = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    if zeros(&read_up_to(file, PROBE)?) {
        return Ok(None);
    }
    read_all(file).map(Some)
}
