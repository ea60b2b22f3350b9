//! When something is clustered, and how what was written takes the place of what it was made of.
//!
//! Sealed segments are clustered some at a time, the oldest first. Clusters are written again where more than half of
//! one is of streams that are gone; and those of streams that may lose something are merged as soon as the younger ones
//! together are as large as the next older one: so each byte is written again a logarithmic number of times, and what is
//! kept in vain stays in proportion to what is needed.
//!
//! 1. The new clusters are durable, and no manifest names them: after a crash they are strays.
//! 2. The manifest names them instead of the old files, which are still read.
//! 3. The catalogue and the memory say that records lie in the new clusters. A catalogue that missed that learns it at
//!    the next start, from the clusters of the clusterings that it has not heard of.
//! 4. The old files are not part of the journal any more, and go once nobody reads them.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::model::StreamId;
use crate::storage::ReadError;
use crate::storage::catalogue::{Catalogue, CatalogueFault, Facts, Moved};
use crate::storage::codec::Kind;
use crate::storage::die::{self, Point};
use crate::storage::retention::Retention;

use super::super::Shared;
use super::super::durable::{Living, Posting};
use super::super::manifest::Floor;
use super::super::queue::Phase;
use super::super::segment::Pace;
use super::job::{self, Written};
use super::sort::Input;
use super::{Cluster, Group, Told};

/// How long after a failure the next clustering is tried; twice as long after each further one.
const RETRY: Duration = Duration::from_secs(30);
/// After so many, it is as long as it gets: a quarter of an hour.
const FAILURES_MAX: u32 = 6;
/// Streams that the catalogue hears of at once.
const TOGETHER: usize = 512;
/// Or so many of their records, unless one stream has more.
const POSTINGS_TOGETHER: usize = 64 << 10;

/// What is going on.
#[derive(Default)]
pub(in crate::storage::journal) struct Clustering {
    /// Written, and not yet in its place.
    pending: Option<Pending>,
    failed_at: Option<Instant>,
    /// Times that it failed since it last did not.
    failures: u32,
    /// What the clusters were like when it was last found that none is worth writing again.
    looked_at: Option<Looked>,
}

struct Pending {
    input: Input,
    written: Written,
    /// The manifest in memory names it, and the one on disk may.
    named: bool,
    /// Readers find what lies in it.
    open: bool,
}

/// What must change before another look is worth it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Looked {
    clusterings: u64,
    gone_below: u64,
}

/// What is clustered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// What is worth it.
    Worth,
    /// All sealed segments, if there are any.
    Segments,
    /// All clusters, if there are any.
    Merge,
}

impl Shared {
    /// One clustering, if there is anything to do; whether there was.
    pub(in crate::storage::journal) fn cluster(&self, choice: Choice) -> bool {
        let rules = self.retention.read().as_ref().and_then(std::sync::Weak::upgrade);
        let Some(rules) = rules.filter(|_| self.queue.lock().phase == Phase::Open) else { return false };
        let mut clustering = self.clustering.lock();
        // Damage stays: each attempt may write all that lies before it.
        let patience = RETRY * 2u32.pow(clustering.failures.clamp(1, FAILURES_MAX) - 1);
        if clustering.failed_at.is_some_and(|at| choice == Choice::Worth && at.elapsed() < patience) {
            return false;
        }
        let outcome = self.next_step(&mut clustering, choice, &*rules);
        clustering.failed_at = outcome.is_err().then(Instant::now);
        clustering.failures = if outcome.is_err() { clustering.failures.saturating_add(1) } else { 0 };
        outcome.unwrap_or_else(|error| {
            tracing::warn!(%error, "older records cannot be clustered: {error}");
            false
        })
    }

    fn next_step(&self, clustering: &mut Clustering, choice: Choice, rules: &dyn Retention) -> io::Result<bool> {
        if clustering.pending.is_none() {
            let Some(input) = self.choose(clustering, choice, rules) else { return Ok(false) };
            // Nothing of the input may be given back meanwhile.
            let _no_reclaiming = self.reclaim.lock();
            let written = job::write(self, rules, &input)?;
            clustering.pending = Some(Pending { input, written, named: false, open: false });
        }
        if let Some(pending) = &mut clustering.pending {
            self.put_in_place(pending)?;
        }
        clustering.pending = None;
        Ok(true)
    }

    fn choose(&self, clustering: &mut Clustering, choice: Choice, rules: &dyn Retention) -> Option<Input> {
        let catalogued = match self.catalogue.read().is_some() {
            true => self.counters.catalogued.load(Ordering::Acquire),
            false => u64::MAX,
        };
        let sealed = self.segments.sealed(catalogued.min(self.counters.published.load(Ordering::Acquire)));
        let (after, most) = (self.options.cluster_after.max(1), self.options.cluster_after.max(1) * 2);
        let clusters = self.clusters.all();
        match choice {
            Choice::Segments => (!sealed.is_empty()).then_some(Input::Segments(sealed)),
            Choice::Merge => (!clusters.is_empty()).then_some(Input::Clusters(clusters)),
            Choice::Worth if self.options.cluster_after == 0 => None,
            Choice::Worth if sealed.len() >= after => Some(Input::Segments(sealed.into_iter().take(most).collect())),
            Choice::Worth => {
                let looked = Looked {
                    clusterings: self.counters.clusterings.load(Ordering::Relaxed),
                    gone_below: self.durable.start_position(),
                };
                if clustering.looked_at == Some(looked) {
                    return None;
                }
                clustering.looked_at = Some(looked);
                self.worth_merging(clusters, rules).map(Input::Clusters)
            }
        }
    }

    fn worth_merging(&self, clusters: Vec<Arc<Cluster>>, rules: &dyn Retention) -> Option<Vec<Arc<Cluster>>> {
        if let Some(wasteful) = clusters.iter().find(|cluster| self.waste(cluster, rules) * 2 > cluster.file.len) {
            return Some(vec![wasteful.clone()]);
        }
        // What one clustering wrote, in however many files, counts as one.
        let mut units: BTreeMap<u64, Vec<Arc<Cluster>>> = BTreeMap::new();
        for cluster in clusters.into_iter().filter(|cluster| cluster.file.folded) {
            units.entry(cluster.file.clustering).or_default().push(cluster);
        }
        let units: Vec<Vec<Arc<Cluster>>> = units.into_values().collect();
        let (mut younger, mut best) = (0, 0);
        for (nth, unit) in units.iter().rev().enumerate() {
            let len: u64 = unit.iter().map(|cluster| cluster.file.len).sum();
            if nth > 0 && len <= younger {
                best = nth + 1;
            }
            younger += len;
        }
        (best > 1).then(|| units.into_iter().rev().take(best).flatten().collect())
    }

    /// Bytes of a cluster that nobody needs, or that belong with the streams that may lose something.
    fn waste(&self, cluster: &Cluster, rules: &dyn Retention) -> u64 {
        let is_wasted = |group: &&Group| {
            // An end is needed while another cluster holds the stream.
            let lives = match group.ended {
                true => self.clusters.hold(group.stream),
                false => self.durable.is_live(group.stream),
            };
            let misplaced = || {
                !cluster.file.folded
                    && self.durable.load(group.stream).is_some_and(|state| rules.horizons(&state).is_some())
            };
            !lives || misplaced()
        };
        cluster.groups().iter().filter(is_wasted).map(|group| group.len).sum()
    }

    /// Puts what was written in the place of what it was made of. Goes on where it failed.
    fn put_in_place(&self, pending: &mut Pending) -> io::Result<()> {
        if !pending.named {
            self.reclaim.lock().pause();
            self.name(pending);
            pending.named = true;
        }
        self.registry.store(&*self.disk)?;
        die::at(Point::AfterClusterIsNamed);
        if !pending.open {
            pending.written.clusters.iter().for_each(|cluster| self.clusters.push(cluster.clone()));
            pending.open = true;
        }
        self.tell_catalogue(pending).map_err(|fault| io::Error::other(fault.to_string()))?;
        die::at(Point::AfterClusterIsCatalogued);
        self.counters.clusterings.fetch_add(1, Ordering::Release);
        self.retire(&pending.input);
        Ok(())
    }

    fn name(&self, pending: &Pending) {
        let floor = Floor {
            next_id: self.durable.ids_given(),
            start: self.durable.start_position(),
            last_time: self.last_time(),
        };
        self.registry.change(|manifest| {
            manifest.raise_floor(floor);
            match &pending.input {
                Input::Segments(segments) => {
                    for segment in segments {
                        manifest.give_up(segment.number, segment.base..segment.end(), floor);
                        manifest.clustered.through = manifest.clustered.through.max(segment.end());
                    }
                }
                Input::Clusters(clusters) => {
                    let replaced: Vec<u64> = clusters.iter().map(|cluster| cluster.file.number).collect();
                    manifest.clusters.retain(|cluster| !replaced.contains(&cluster.number));
                }
            }
            manifest.clustered.count += 1;
            pending.written.clusters.iter().for_each(|cluster| manifest.add_cluster(cluster.file));
        });
    }

    /// Says to the catalogue, or to the memory where there is none, where records lie now.
    fn tell_catalogue(&self, pending: &Pending) -> Result<(), CatalogueFault> {
        let catalogue = self.catalogue.read().clone();
        for cluster in &pending.written.clusters {
            let mut together: Vec<Moved> = Vec::new();
            for group in cluster.groups().iter().filter(|group| !group.ended) {
                together.push(Moved { living: None, ..moved(cluster, group).map_err(io::Error::from)? });
                let postings: usize = together.iter().map(|moved| moved.postings.len()).sum();
                if together.len() >= TOGETHER || postings >= POSTINGS_TOGETHER {
                    self.tell_moved(catalogue.as_deref(), std::mem::take(&mut together))?;
                }
            }
            self.tell_moved(catalogue.as_deref(), together)?;
        }
        if let Some(catalogue) = &catalogue {
            let facts = Facts { clusterings: self.counters.clusterings.load(Ordering::Relaxed) + 1, ..self.facts() };
            catalogue.take_moved(&[], Some(facts))?;
        }
        Ok(())
    }

    fn tell_moved(&self, catalogue: Option<&Catalogue>, together: Vec<Moved>) -> Result<(), CatalogueFault> {
        // Before anyone can miss something, it is said that it may be missing.
        together.iter().for_each(|moved| self.durable.raise_kept(moved.stream, moved.kept));
        if let Some(catalogue) = catalogue {
            catalogue.take_moved(&together, None)?;
        }
        for moved in together {
            let postings = catalogue.is_none().then_some(moved.postings);
            self.durable.move_records(moved.stream, &moved.covers, postings, moved.kept);
        }
        Ok(())
    }

    fn retire(&self, input: &Input) {
        let mut reclaim = self.reclaim.lock();
        match input {
            Input::Segments(segments) => segments.iter().for_each(|segment| self.segments.remove(segment)),
            Input::Clusters(clusters) => {
                clusters.iter().for_each(|cluster| self.clusters.remove(cluster.file.number));
            }
        }
        reclaim.retire(input.files());
    }
}

/// What a group says of its stream, and where its records lie.
pub(in crate::storage::journal) fn moved(cluster: &Cluster, group: &Group) -> Result<Moved, ReadError> {
    let stream = group.stream;
    let Told::Lives(told) = cluster.told(group)? else {
        return Ok(Moved::ended(stream));
    };
    let mut postings = Vec::new();
    cluster.segment.each_header(group.at, group.end(), &Pace::default(), |header| {
        if header.kind == Kind::Append {
            let count = u32::try_from(header.count).unwrap_or(u32::MAX);
            let (len, at) = (header.len as u32, header.placement.position);
            postings.push(Posting { first: header.first, count, len, at });
        }
    })?;
    let living = Some(Living { state: told.state, created_at: told.created_at, kept: told.kept });
    Ok(Moved { stream, covers: told.covers, postings, kept: told.kept, living, ended: false })
}

/// Streams that clusters say have ended.
pub(in crate::storage::journal) fn ended(clusters: &[Arc<Cluster>]) -> HashSet<StreamId> {
    let groups = clusters.iter().flat_map(|cluster| cluster.groups());
    groups.filter(|group| group.ended).map(|group| group.stream).collect()
}
