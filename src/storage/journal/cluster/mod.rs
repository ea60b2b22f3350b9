//! Clusters: older parts of the journal, written again by stream.
//!
//! A cluster is one immutable file. It takes the place of sealed segments, or of other clusters, and holds what is
//! still needed of them, sorted by stream: the stream's records with data, then one *state record* with everything that
//! guards its next write, as of the journal position where those segments end. What the records without data did is in
//! the state record and nowhere else. In the end lies the directory.
//!
//! ```text
//! stream 4: append, append, …, state | stream 9: append, …, state | stream 12: delete | … | directory
//! ```
//!
//! The end of a stream is kept, alone, while another cluster still holds the stream. Records are encoded as in the
//! journal, and their positions lie in an address space of their own, from [`CLUSTERED`] on, of which no part is ever
//! used twice: so one number says where a record lies, whichever kind of file that is in.
//!
//! Which files take part in it and when is decided in `plan`; `job` writes; `sort` finds what is to be written. Which
//! messages may be left out is decided by [`crate::storage::Retention`].
//!
//! Invariant: a reader finds every record that was not left out in the old files or in the new one, at any time; the
//! manifest on disk names either the old files or the new one.

mod format;
mod job;
mod plan;
mod sort;

pub(super) use format::{Group, StateRecord, tail_of};
pub use plan::Choice;
pub(super) use plan::{Clustering, ended, moved};

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::model::StreamId;
use crate::storage::ReadError;
use crate::storage::disk::Disk;

use super::manifest::ClusterFile;
use super::segment::{Segment, Spare};

/// Where the addresses of clusters begin; positions of the journal are below.
pub(super) const CLUSTERED: u64 = 1 << 62;

/// An open cluster.
pub(super) struct Cluster {
    /// Its bytes, but for the directory.
    pub segment: Arc<Segment>,
    pub file: ClusterFile,
    groups: Vec<Group>,
    /// Where each stream's group is among them.
    by_stream: HashMap<StreamId, u32>,
}

/// What a cluster says of a stream.
pub(super) enum Told {
    Lives(Box<StateRecord>),
    Ended,
}

impl Cluster {
    /// Opens the file that a manifest names.
    pub fn open(disk: &dyn Disk, file: ClusterFile, key: u32) -> Result<Self, ReadError> {
        let handle = disk.open(&super::manifest::cluster_name(file.number))?;
        let spare = Spare { number: file.number, file: handle, life: file.life, key, size: file.len };
        let end = file.base + file.directory;
        let segment = Segment::new(spare, file.base, end, false);
        let bytes = segment.read(end, file.base + file.len)?;
        let groups = format::read_directory(&segment, &bytes).ok_or_else(|| segment.differs_at(end))?;
        Ok(Self::new(Arc::new(segment), file, groups))
    }

    fn new(segment: Arc<Segment>, file: ClusterFile, groups: Vec<Group>) -> Self {
        let by_stream = groups.iter().enumerate().map(|(at, group)| (group.stream, at as u32)).collect();
        Self { segment, file, groups, by_stream }
    }

    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    pub fn group(&self, stream: StreamId) -> Option<&Group> {
        self.by_stream.get(&stream).map(|at| &self.groups[*at as usize])
    }

    /// What it says of the stream whose group that is.
    pub fn told(&self, group: &Group) -> Result<Told, ReadError> {
        if group.ended {
            return Ok(Told::Ended);
        }
        let at = group.end() - u64::from(group.state_len);
        let bytes = self.segment.read(at, group.end())?;
        let header = super::segment::check(self.segment.key, &bytes, at, self.segment.life);
        let state = header.ok().and_then(|header| format::read_state(&header, &bytes));
        state.map(|state| Told::Lives(Box::new(state))).ok_or_else(|| self.segment.differs_at(at))
    }
}

/// The clusters of an open journal, by address.
#[derive(Default)]
pub(super) struct Clusters(RwLock<Vec<Arc<Cluster>>>);

impl Clusters {
    pub fn new(clusters: Vec<Arc<Cluster>>) -> Self {
        Self(RwLock::new(clusters))
    }

    pub fn all(&self) -> Vec<Arc<Cluster>> {
        self.0.read().clone()
    }

    pub fn len(&self) -> usize {
        self.0.read().len()
    }

    pub fn bytes(&self) -> u64 {
        self.0.read().iter().map(|cluster| cluster.file.len).sum()
    }

    /// The cluster that holds an address, as a segment.
    pub fn at(&self, address: u64) -> Option<Arc<Segment>> {
        let clusters = self.0.read();
        let after = clusters.partition_point(|cluster| cluster.file.base <= address);
        let last = clusters[..after].last()?;
        (address < last.segment.end()).then(|| last.segment.clone())
    }

    /// Whether any holds something of a stream, its end aside.
    pub fn hold(&self, stream: StreamId) -> bool {
        self.0.read().iter().any(|cluster| cluster.group(stream).is_some_and(|group| !group.ended))
    }

    fn push(&self, cluster: Arc<Cluster>) {
        let mut clusters = self.0.write();
        clusters.push(cluster);
        clusters.sort_unstable_by_key(|cluster| cluster.file.base);
    }

    fn remove(&self, number: u64) {
        self.0.write().retain(|cluster| cluster.file.number != number);
    }
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(error) => error,
            other => io::Error::other(other.to_string()),
        }
    }
}
