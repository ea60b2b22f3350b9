//! What a job is given: the records of its files, by stream.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::model::{Position, StreamId};
use crate::storage::codec::{Header, Kind};
use crate::storage::retention::{Horizons, Retention};

use super::super::durable::Durable;
use super::super::segment::{self, Pace, Segment};
use super::Cluster;

/// Bytes of others that are read along rather than skipped.
const GAP: u64 = 4 << 10;
/// Most bytes of one read, unless one record is larger.
const READ_MAX: u64 = 256 << 10;

/// Files that are replaced.
pub(super) enum Input {
    /// Sealed segments: the oldest that there are, in order.
    Segments(Vec<Arc<Segment>>),
    Clusters(Vec<Arc<Cluster>>),
}

impl Input {
    pub fn files(&self) -> Vec<Arc<Segment>> {
        match self {
            Self::Segments(segments) => segments.clone(),
            Self::Clusters(clusters) => clusters.iter().map(|cluster| cluster.segment.clone()).collect(),
        }
    }

    pub fn bytes(&self) -> u64 {
        self.files().iter().map(|file| file.end() - file.base).sum()
    }

    pub fn holds(&self, other: &Cluster) -> bool {
        match self {
            Self::Segments(_) => false,
            Self::Clusters(clusters) => clusters.iter().any(|cluster| cluster.file.number == other.file.number),
        }
    }
}

/// A record of a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub stream: StreamId,
    /// Orders the stream's records.
    key: u64,
    pub at: u64,
    pub len: u32,
}

/// What the input says of a stream.
#[derive(Default)]
pub(super) struct Seen {
    pub lives: bool,
    /// The record that ends it.
    pub end: Option<Item>,
    /// Its state records.
    pub states: Vec<Item>,
    pub horizons: Option<Horizons>,
    /// Below it, everything was committed before the horizon.
    pub history_from: Position,
}

/// The input, sorted.
pub(super) struct Index {
    /// Of segments, without the records of streams that are gone. In clusters they lie in order.
    items: Vec<Item>,
    clusters: Vec<Arc<Cluster>>,
    pub streams: HashMap<StreamId, Seen>,
    files: Vec<Arc<Segment>>,
    pace: Pace,
}

impl Index {
    /// Reads the header of every record of the files. The bodies are verified when they are read; those of streams that
    /// are gone are not, and need not be.
    pub fn of(input: &Input, durable: &Durable, rules: &dyn Retention) -> io::Result<Self> {
        let files = input.files();
        let clusters = match input {
            Input::Segments(_) => Vec::new(),
            Input::Clusters(clusters) => clusters.clone(),
        };
        let in_order = !clusters.is_empty();
        let (items, streams, pace) = (Vec::new(), HashMap::new(), Pace::gentle());
        let mut index = Self { items, clusters, streams, files: Vec::new(), pace: Pace::gentle() };
        for file in &files {
            file.each_header(file.base, file.end(), &pace, |header| {
                let seen = index.streams.entry(header.stream).or_insert_with(|| seen(header.stream, durable, rules));
                let at = header.placement.position;
                let item = Item { stream: header.stream, key: at, at, len: header.len as u32 };
                match header.kind {
                    Kind::Mark | Kind::Directory => {}
                    Kind::Delete | Kind::Expire => seen.end = Some(item),
                    Kind::State => seen.states.push(item),
                    _ if !seen.lives => {}
                    _ => {
                        if header.count > 0
                            && seen.horizons.is_some_and(|horizons| header.placement.at < horizons.history)
                        {
                            seen.history_from = seen.history_from.max(header.first + header.count);
                        }
                        if !in_order {
                            index.items.push(item);
                        }
                    }
                }
            })?;
        }
        index.items.sort_unstable_by_key(|item| (item.stream, item.key));
        index.files = files;
        index.files.sort_unstable_by_key(|file| file.base);
        Ok(index)
    }

    /// The streams, in order.
    pub fn ids(&self) -> Vec<StreamId> {
        let mut ids: Vec<StreamId> = self.streams.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// The items of a stream, in the order in which it was written.
    pub fn of_stream(&self, stream: StreamId) -> io::Result<Vec<Item>> {
        if self.clusters.is_empty() {
            let begin = self.items.partition_point(|item| item.stream < stream);
            let end = self.items.partition_point(|item| item.stream <= stream);
            return Ok(self.items[begin..end].to_vec());
        }
        let mut items = Vec::new();
        for cluster in &self.clusters {
            let Some(group) = cluster.group(stream) else { continue };
            cluster.segment.each_header(group.at, group.end(), &self.pace, |header| {
                if header.kind == Kind::Append {
                    let (at, len) = (header.placement.position, header.len as u32);
                    items.push(Item { stream, key: header.first, at, len });
                }
            })?;
        }
        items.sort_unstable_by_key(|item| item.key);
        Ok(items)
    }

    /// Reads records, few calls for many where they lie close together.
    pub fn each(&self, items: &[Item], mut each: impl FnMut(&Header, &Bytes) -> io::Result<()>) -> io::Result<()> {
        let mut rest = items;
        while let Some(first) = rest.first() {
            let file = self.file(first.at)?;
            let mut end = first.at + u64::from(first.len);
            let mut count = 1;
            for item in &rest[1..] {
                let item_end = item.at + u64::from(item.len);
                let near = item.at >= end && item.at <= end + GAP && item_end <= file.end();
                if !near || item_end - first.at > READ_MAX {
                    break;
                }
                (end, count) = (item_end, count + 1);
            }
            let bytes = Bytes::from(file.read(first.at, end)?);
            for item in &rest[..count] {
                let begin = (item.at - first.at) as usize;
                let record = bytes.slice(begin..begin + item.len as usize);
                let header = segment::check(file.key, &record, item.at, file.life);
                each(&header.map_err(|_| io::Error::from(file.differs_at(item.at)))?, &record)?;
            }
            rest = &rest[count..];
            self.pace.has_read(end - first.at);
        }
        Ok(())
    }

    fn file(&self, at: u64) -> io::Result<&Segment> {
        let after = self.files.partition_point(|file| file.base <= at);
        let file = self.files[..after].last().filter(|file| at < file.end());
        file.map(|file| &**file).ok_or_else(|| io::Error::other("a record lies in none of the files"))
    }
}

fn seen(stream: StreamId, durable: &Durable, rules: &dyn Retention) -> Seen {
    let state = durable.load(stream);
    Seen { lives: state.is_some(), horizons: state.and_then(|state| rules.horizons(&state)), ..Seen::default() }
}
