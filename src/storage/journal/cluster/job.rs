//! One clustering: reads its files, decides what stays, and writes it by stream.
//!
//! A stream is read once to learn what it amounts to and what may go, and again to write what stays. What a fork may
//! need is settled before that: first forks are kept from beginning where something will go, then everything staged
//! until then becomes durable, and only then the pins are read. Memory holds where each record lies, and of one stream
//! at a time which of its messages go.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::model::{Position, StreamId};
use crate::storage::codec::{ALIGN, Encoded, Header, Placement};
use crate::storage::die::{self, Point};
use crate::storage::disk::DiskFile;
use crate::storage::mutant::{self, Mutant};
use crate::storage::retention::{Kept, LeftOut, Retention, Task};
use crate::stream::{Body, Lengths, Record, StreamState};

use super::super::manifest::{ClusterFile, cluster_name, sync_dir};
use super::super::queue::Phase;
use super::super::segment::{Pace, SYNCED, Segment, Spare};
use super::super::{PAGE, Shared};
use super::format::{StateRecord, encode_directory, encode_state_record};
use super::sort::{Index, Input, Item, Seen};
use super::{CLUSTERED, Cluster, Group, Told};

/// Bytes written with one call.
const BUFFER: usize = 1 << 20;
/// A cluster that has so many gets no further stream: it is verified as a whole before it is read.
const CLUSTER_BYTES: u64 = 512 << 20;
/// Addresses set aside for a cluster, beyond twice what it is made of.
const ADDRESSES: u64 = 1 << 32;

/// What a job has written. No manifest names it yet.
pub(super) struct Written {
    pub clusters: Vec<Arc<Cluster>>,
}

/// Writes what is needed of `input` to new clusters, which are durable then.
pub(super) fn write(shared: &Shared, rules: &dyn Retention, input: &Input) -> io::Result<Written> {
    let index = Index::of(input, &shared.durable, rules)?;
    let held: Vec<StreamId> = hold_forks(shared, &index);
    let (outputs, full) = ([None, None], Vec::new());
    let mut job = Job { shared, rules, input, index, outputs, full, others: others(shared, input) };
    let written = shared.fence().and_then(|()| job.streams()).and_then(|()| job.finish());
    if written.is_err() {
        held.into_iter().for_each(|stream| shared.durable.hold_forks(stream, 0));
        job.discard();
    }
    written
}

/// Keeps forks from beginning where something may go.
fn hold_forks(shared: &Shared, index: &Index) -> Vec<StreamId> {
    let _no_fork_is_staged_meanwhile = shared.queue.lock();
    let held: Vec<_> = index.streams.iter().filter(|(_, seen)| seen.lives && seen.history_from > 0).collect();
    for (stream, seen) in &held {
        shared.durable.hold_forks(**stream, seen.history_from);
    }
    held.into_iter().map(|(stream, _)| *stream).collect()
}

fn others(shared: &Shared, input: &Input) -> Vec<Arc<Cluster>> {
    shared.clusters.all().into_iter().filter(|cluster| !input.holds(cluster)).collect()
}

struct Job<'a> {
    shared: &'a Shared,
    rules: &'a dyn Retention,
    input: &'a Input,
    index: Index,
    /// Of streams that keep everything, and of others.
    outputs: [Option<Output>; 2],
    /// Those that are large enough, and whether they hold the others.
    full: Vec<(Output, bool)>,
    /// Clusters that stay as they are.
    others: Vec<Arc<Cluster>>,
}

impl Job<'_> {
    fn streams(&mut self) -> io::Result<()> {
        for id in self.index.ids() {
            if self.shared.queue.lock().phase != Phase::Open {
                return Err(io::Error::other("the store is closed"));
            }
            let seen = self.index.streams.remove(&id).unwrap_or_default();
            match seen.lives {
                true => self.stream(id, &seen)?,
                false => self.end(id, &seen)?,
            }
        }
        Ok(())
    }

    /// The end of a stream stays while another cluster holds the stream.
    fn end(&mut self, id: StreamId, seen: &Seen) -> io::Result<()> {
        let held = self.is_elsewhere(id);
        let Some(end) = seen.end.filter(|_| held && !mutant::is_on(Mutant::FreeEnds)) else { return Ok(()) };
        let mut record = None;
        self.index.each(&[end], |header, bytes| {
            record = header.record(bytes).map_err(|_| unreadable())?;
            Ok(())
        })?;
        let record = record.ok_or_else(unreadable)?;
        let output = self.output(false)?;
        let at = output.at;
        output.write(&Encoded::of(&record, false), &record)?;
        output.close_group(id, at, 0, true);
        Ok(())
    }

    /// Whether nothing that a stream's readers see is older than the input. What a fork deletes it may have inherited.
    fn is_complete(&self, state: &StreamState) -> bool {
        state.creation.fork.is_none() && !self.is_elsewhere(state.id)
    }

    fn is_elsewhere(&self, id: StreamId) -> bool {
        self.others.iter().any(|cluster| cluster.group(id).is_some_and(|group| !group.ended))
    }

    fn stream(&mut self, id: StreamId, seen: &Seen) -> io::Result<()> {
        let items = self.index.of_stream(id)?;
        // Gone meanwhile: its end is in the journal, and keeps it from coming back.
        let Some(now) = self.shared.durable.load(id) else { return Ok(()) };
        let Some(horizons) = seen.horizons.filter(|_| seen.history_from > 0) else {
            return self.copy(id, seen, &items);
        };
        let mut told = self.amounts_to(id, seen, &items)?;
        let pins = match mutant::is_on(Mutant::LoseForkPin) {
            true => Vec::new(),
            false => self.shared.durable.fork_points(id),
        };
        let task = Task {
            history_from: seen.history_from,
            deletes: horizons.deletes,
            pins,
            complete: mutant::is_on(Mutant::ForgetDeletesEarly) || self.is_complete(&now),
        };
        let left_out = self.sift(&now, task, &items)?;
        if !left_out.positions.is_empty() {
            let kept = Kept { history_from: seen.history_from, deletes_from: left_out.deletes_from };
            told.kept = told.kept.and(kept);
        }
        self.put(id, true, told, &items, &left_out.positions)
    }

    /// Writes a stream of which nothing goes: read once, and written as it is read.
    fn copy(&mut self, id: StreamId, seen: &Seen, items: &[Item]) -> io::Result<()> {
        let folded = seen.horizons.is_some();
        let told = self.newest_state(id, seen)?;
        if matches!(self.input, Input::Clusters(_)) {
            return self.put(id, folded, told.ok_or_else(unreadable)?, items, &[]);
        }
        let (mut sum, as_of) = (Sum { told, covers: None }, self.index_end());
        self.output(folded)?;
        let Self { index, outputs, .. } = self;
        let output = outputs[usize::from(folded)].as_mut().ok_or_else(unreadable)?;
        let begin = output.at;
        index.each(items, |header, bytes| {
            let record = header.record(bytes).map_err(|_| unreadable())?.ok_or_else(unreadable)?;
            sum.add(header, &record)?;
            if record.count > 0 { output.put_data(record, &[]) } else { Ok(()) }
        })?;
        output.put_state(id, begin, sum.finish(as_of)?)
    }

    /// What the records of a stream amount to.
    fn amounts_to(&self, id: StreamId, seen: &Seen, items: &[Item]) -> io::Result<StateRecord> {
        let told = self.newest_state(id, seen)?;
        if matches!(self.input, Input::Clusters(_)) {
            return told.ok_or_else(unreadable);
        }
        let mut sum = Sum { told, covers: None };
        self.index.each(items, |header, bytes| {
            let record = header.record(bytes).map_err(|_| unreadable())?.ok_or_else(unreadable)?;
            sum.add(header, &record)
        })?;
        sum.finish(self.index_end())
    }

    /// Journal position at which the segments of the input end.
    fn index_end(&self) -> u64 {
        self.input.files().iter().map(|file| file.end()).max().unwrap_or(0)
    }

    /// The newest state record: of clusters that are replaced, with all that they cover; or of any cluster.
    fn newest_state(&self, id: StreamId, seen: &Seen) -> io::Result<Option<StateRecord>> {
        let clusters = match self.input {
            Input::Clusters(clusters) => clusters,
            Input::Segments(_) => &self.others,
        };
        let mut newest: Option<StateRecord> = None;
        let mut covers = Vec::new();
        for cluster in clusters {
            let Some(group) = cluster.group(id) else { continue };
            let Told::Lives(told) = cluster.told(group)? else { continue };
            covers.extend(told.covers.iter().cloned());
            let kept = newest.as_ref().map_or(told.kept, |newest| newest.kept.and(told.kept));
            if newest.as_ref().is_none_or(|newest| newest.as_of < told.as_of) {
                newest = Some(*told);
            }
            if let Some(newest) = &mut newest {
                newest.kept = kept;
            }
        }
        debug_assert!(seen.states.len() <= clusters.len(), "a cluster has one group of each stream");
        Ok(newest.map(|newest| StateRecord { covers: joined(covers), ..newest }))
    }

    /// Decides which messages go.
    fn sift(&self, state: &StreamState, task: Task, items: &[Item]) -> io::Result<LeftOut> {
        let end = task.history_from;
        let mut sieve = self.rules.sieve(state, task);
        self.index.each(items, |header, bytes| {
            let Some(Record { first, at, body: Body::Append { lengths, payload }, .. }) =
                header.record(bytes).map_err(|_| unreadable())?
            else {
                return Ok(());
            };
            let mut begin = 0;
            for (position, length) in (first..end).zip(lengths.iter()) {
                let message = payload.get(begin..begin + length as usize).ok_or_else(unreadable)?;
                sieve.take(position, at, message);
                begin += length as usize + 1;
            }
            Ok(())
        })?;
        Ok(sieve.finish())
    }

    /// Writes a stream's group.
    fn put(
        &mut self,
        id: StreamId,
        folded: bool,
        told: StateRecord,
        items: &[Item],
        left_out: &[Position],
    ) -> io::Result<()> {
        self.output(folded)?;
        let Self { index, outputs, .. } = self;
        let output = outputs[usize::from(folded)].as_mut().ok_or_else(unreadable)?;
        let begin = output.at;
        index.each(items, |header, bytes| {
            let record = header.record(bytes).map_err(|_| unreadable())?.filter(|record| record.count > 0);
            record.map_or(Ok(()), |record| output.put_data(record, left_out))
        })?;
        output.put_state(id, begin, told)
    }

    fn output(&mut self, folded: bool) -> io::Result<&mut Output> {
        let slot = &mut self.outputs[usize::from(folded)];
        if let Some(full) = slot.take_if(|output| output.at - output.base >= CLUSTER_BYTES) {
            self.full.push((full, folded));
        }
        match slot {
            Some(output) => Ok(output),
            None => Ok(slot.insert(Output::begin(self.shared, self.input.bytes())?)),
        }
    }

    /// Makes what was written durable.
    fn finish(&mut self) -> io::Result<Written> {
        let mut clusters = Vec::new();
        for (output, folded) in &mut self.full {
            clusters.push(Arc::new(output.finish(self.shared, *folded)?));
        }
        for (at, output) in self.outputs.iter_mut().enumerate() {
            let Some(output) = output else { continue };
            clusters.push(Arc::new(output.finish(self.shared, at == 1)?));
        }
        if !clusters.is_empty() {
            die::at(Point::BeforeClusterIsNamed);
            sync_dir(&*self.shared.disk)?;
        }
        Ok(Written { clusters })
    }

    fn discard(&self) {
        for output in self.full.iter().map(|(output, _)| output).chain(self.outputs.iter().flatten()) {
            // What cannot be removed now is a stray, which the next start removes.
            let _ = self.shared.disk.unlink(&cluster_name(output.number));
        }
    }
}

/// What the records of a stream amount to, as far as they were read.
struct Sum {
    told: Option<StateRecord>,
    covers: Option<Range<Position>>,
}

impl Sum {
    fn add(&mut self, header: &Header, record: &Record) -> io::Result<()> {
        match &mut self.told {
            None => {
                let state = StreamState::create(record).ok_or_else(unreadable)?;
                let (created_at, kept) = (header.placement.position, Kept::default());
                self.told = Some(StateRecord { state, as_of: 0, created_at, kept, covers: Vec::new() });
            }
            Some(told) => {
                told.state.apply(record);
                told.kept = told.kept.and(Kept::said_by(&record.body));
            }
        }
        if record.count > 0 {
            let range = self.covers.get_or_insert(record.first..record.first);
            range.end = record.first + record.count;
        }
        Ok(())
    }

    fn finish(self, as_of: u64) -> io::Result<StateRecord> {
        let told = self.told.ok_or_else(unreadable)?;
        Ok(StateRecord { covers: self.covers.into_iter().collect(), as_of, ..told })
    }
}

fn unreadable() -> io::Error {
    io::Error::other("a record is as it was written, and cannot be read")
}

/// Ranges in order, those that touch as one.
fn joined(mut ranges: Vec<Range<Position>>) -> Vec<Range<Position>> {
    ranges.sort_unstable_by_key(|range| range.start);
    ranges.dedup_by(|next, before| {
        let touch = next.start <= before.end;
        if touch {
            before.end = before.end.max(next.end);
        }
        touch
    });
    ranges
}

/// A cluster that is being written.
struct Output {
    number: u64,
    life: u32,
    term: u32,
    base: u64,
    /// Addresses end here.
    limit: u64,
    file: Arc<dyn DiskFile>,
    key: u32,
    /// Address of the next record.
    at: u64,
    buffer: Vec<u8>,
    /// Bytes written since the last barrier.
    unsynced: u64,
    groups: Vec<Group>,
}

impl Output {
    fn begin(shared: &Shared, input_bytes: u64) -> io::Result<Self> {
        let (number, life, term, base, limit) = shared.registry.change(|manifest| {
            let base = manifest.clustered.next.max(CLUSTERED);
            let limit = base + (2 * input_bytes + ADDRESSES).next_multiple_of(PAGE);
            manifest.clustered.next = limit;
            (manifest.new_file(), manifest.new_life(), manifest.term, base, limit)
        });
        let file = shared.disk.create(&cluster_name(number))?;
        let (key, buffer, groups) = (shared.key, Vec::with_capacity(BUFFER), Vec::new());
        Ok(Self { number, life, term, base, limit, file, key, at: base, buffer, unsynced: 0, groups })
    }

    /// A record with data; without the messages that are left out, as several where those lay between.
    fn put_data(&mut self, record: Record, left_out: &[Position]) -> io::Result<()> {
        let begin = left_out.partition_point(|position| *position < record.first);
        let end = left_out.partition_point(|position| *position < record.first + record.count);
        // What guards the next write is in the state record.
        let record = Record { producer: None, stream_seq: None, closes: false, ..record };
        if begin == end {
            return self.write(&Encoded::of(&record, false), &record);
        }
        for part in parts(&record, &left_out[begin..end]) {
            self.write(&Encoded::of(&part, false), &part)?;
        }
        Ok(())
    }

    /// What a stream amounts to, and with it the end of its group, which began at `begin`.
    fn put_state(&mut self, id: StreamId, begin: u64, mut told: StateRecord) -> io::Result<()> {
        if mutant::is_on(Mutant::ClusterWithoutProducers) {
            told.state.producers.clear();
        }
        let state_at = self.at;
        self.write(&encode_state_record(&told), &Record::plain(id, 0, told.state.used_at))?;
        self.close_group(id, begin, self.at - state_at, false);
        Ok(())
    }

    fn write(&mut self, encoded: &Encoded, record: &Record) -> io::Result<()> {
        let placement =
            Placement { position: self.at, life: self.life, term: self.term, durable_to: self.at, at: record.at };
        let (len, _) = encoded.write(self.key, &placement, &mut self.buffer);
        self.at += len as u64;
        if self.at > self.limit {
            return Err(io::Error::other("a cluster is larger than what it is made of"));
        }
        match self.buffer.len() >= BUFFER {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let at = self.at - self.base - self.buffer.len() as u64;
        die::after(Point::InCluster, || self.file.write_at(&self.buffer[..self.buffer.len() / 2], at));
        self.file.write_at(&self.buffer, at)?;
        self.unsynced += self.buffer.len() as u64;
        if self.unsynced >= SYNCED {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        self.buffer.clear();
        Ok(())
    }

    fn close_group(&mut self, stream: StreamId, begin: u64, state_len: u64, ended: bool) {
        debug_assert!(self.at.is_multiple_of(ALIGN as u64));
        self.groups.push(Group {
            stream,
            at: begin,
            len: self.at - begin,
            state_len: u32::try_from(state_len).unwrap_or(u32::MAX),
            ended,
        });
    }

    fn finish(&mut self, shared: &Shared, folded: bool) -> io::Result<Cluster> {
        let directory = self.at - self.base;
        let nobody = Record::plain(StreamId(0), 0, shared.last_time());
        self.write(&encode_directory(&self.groups), &nobody)?;
        self.flush()?;
        die::at(Point::BeforeClusterSync);
        self.file.sync_data()?;
        let len = self.at - self.base;
        shared.counters.bytes_clustered.fetch_add(len, std::sync::atomic::Ordering::Relaxed);
        let clustering = shared.registry.change(|manifest| manifest.clustered.count + 1);
        let at = shared.counters.published.load(std::sync::atomic::Ordering::Acquire);
        let file = ClusterFile {
            number: self.number,
            life: self.life,
            base: self.base,
            len,
            directory,
            clustering,
            at,
            folded,
        };
        let spare = Spare { number: self.number, file: self.file.clone(), life: self.life, key: self.key, size: len };
        // What it is made of goes once it is named, so it is read back first, bodies and all.
        let segment = Segment::new(spare, self.base, self.base + directory, false);
        segment.verify_at(&Pace::gentle()).map_err(io::Error::from)?;
        Ok(Cluster::new(Arc::new(segment), file, std::mem::take(&mut self.groups)))
    }
}

/// What stays of a record, as records.
fn parts<'r>(record: &'r Record, left_out: &'r [Position]) -> impl Iterator<Item = Record> + 'r {
    let (lengths, payload) = match &record.body {
        Body::Append { lengths, payload } => (lengths.clone(), payload.clone()),
        _ => (Lengths::default(), Bytes::new()),
    };
    let mut rest = left_out.iter().copied().peekable();
    let mut at = 0usize;
    let mut messages = (record.first..record.first + record.count).zip(lengths.iter().collect::<Vec<_>>());
    std::iter::from_fn(move || {
        let (mut first, mut begin, mut kept) = (0, at, Vec::new());
        for (position, length) in messages.by_ref() {
            let message = at;
            at += length as usize + 1;
            if rest.next_if_eq(&position).is_some() {
                match kept.is_empty() {
                    true => continue,
                    false => return Some(part(record, first, &kept, payload.slice(begin..message))),
                }
            }
            if kept.is_empty() {
                (first, begin) = (position, message);
            }
            kept.push(length);
        }
        (!kept.is_empty()).then(|| part(record, first, &kept, payload.slice(begin..at)))
    })
}

fn part(record: &Record, first: Position, lengths: &[u32], payload: Bytes) -> Record {
    let lengths: Lengths = lengths.iter().copied().collect();
    let count = lengths.iter().count() as u64;
    Record { first, count, body: Body::Append { lengths, payload }, ..record.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_stays_of_a_record_is_the_rest_in_order(messages in proptest::collection::vec(("[a-z]{1,9}", any::<bool>()), 1..12)) {
            let payload: String = messages.iter().map(|(message, _)| format!("{message},")).collect();
            let lengths = messages.iter().map(|(message, _)| message.len() as u32).collect();
            let body = Body::Append { lengths, payload: payload.into() };
            let whole = Record { count: messages.len() as u64, body, ..Record::plain(StreamId(1), 100, Timestamp::default()) };
            let places = || (100u64..).zip(&messages);
            let left_out: Vec<u64> = places().filter(|(_, (_, stays))| !stays).map(|(position, _)| position).collect();
            let expected: Vec<(u64, String)> =
                places().filter(|(_, (_, stays))| *stays).map(|(position, (text, _))| (position, text.clone())).collect();
            let mut found = Vec::new();
            for part in parts(&whole, &left_out) {
                let Body::Append { lengths, payload } = &part.body else { unreachable!() };
                prop_assert_eq!(lengths.iter().count() as u64, part.count);
                let mut at = 0;
                for (nth, length) in lengths.iter().enumerate() {
                    let text = std::str::from_utf8(&payload[at..at + length as usize]).unwrap();
                    found.push((part.first + nth as u64, text.to_owned()));
                    at += length as usize + 1;
                }
                prop_assert_eq!(at, payload.len());
            }
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn joined_ranges_hold_the_same_positions(ranges in proptest::collection::vec((0u64..60, 1u64..9), 0..9)) {
            let ranges: Vec<Range<u64>> = ranges.into_iter().map(|(start, len)| start..start + len).collect();
            let whole = joined(ranges.clone());
            for position in 0..80 {
                let holds = |ranges: &[Range<u64>]| ranges.iter().any(|range| range.contains(&position));
                prop_assert_eq!(holds(&ranges), holds(&whole));
            }
            prop_assert!(whole.windows(2).all(|pair| pair[0].end < pair[1].start));
        }
    }
}
