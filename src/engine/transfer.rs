//! A whole store as lines, and back: positions, bytes, records, producers, closings, lifetimes, schemas, forks.
//!
//! The registry, the subscriptions and what was kept aside are streams like others here. Not kept are the times of former
//! writes: an idle window begins anew, and producers count as just seen. An import writes into an empty store only,
//! since it gives every stream the positions that it had.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufRead, Write};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::value::RawValue;

use crate::model::{
    ContentType, Position, Producer, ProducerEpoch, ProducerId, ProducerSeq, StreamId, StreamName, Timestamp,
};
use crate::protocol::transfer::{ForkLine, Line, ProducerLine, SchemaLine, StateLine, StreamLine, VERSION};
use crate::storage::{AppendError, Kept, Placed, Run, Staged, Store};
use crate::stream::{Body, Creation, Fork, Lengths, Lifetime, Record, SchemaRef, StreamState, StreamVersion};

/// Bytes read, or staged, at once.
const PAGE: usize = 1 << 20;
/// Carries the positions that no stream may be given again; gone as soon as it is there.
const CARRIER: &str = "import";

/// Why nothing was exported or imported, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// Nothing was written.
    #[error("line {number}: {why}")]
    Line { number: u64, why: String },
    /// Nothing was written.
    #[error("there are streams already; an import needs an empty store")]
    NotEmpty,
    #[error("stored data cannot be read: {0}")]
    Stored(String),
    /// Some of it may have been written.
    #[error("it cannot be written: {0}")]
    Write(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What was exported or imported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transferred {
    /// Those of the server itself included.
    pub streams: u64,
    pub records: u64,
    pub lines: u64,
}

// ---- out ------------------------------------------------------------------------------------------------------------

struct Writer<W> {
    out: W,
    lifts: Vec<Position>,
    done: Transferred,
}

impl<W: Write> Writer<W> {
    fn line(&mut self, line: &Line) -> io::Result<()> {
        self.done.lines += 1;
        writeln!(self.out, "{}", line.write())
    }
}

/// Writes all that a store holds; `former` says above which positions the former streams of a name ended, `lifts` to
/// which ones restores have lifted what came after them. Nobody may write to the store meanwhile.
pub fn export(
    store: &dyn Store,
    former: Vec<(StreamName, Position)>,
    lifts: Vec<Position>,
    out: impl Write,
) -> Result<Transferred, TransferError> {
    let mut writer = Writer { out, lifts: lifts.clone(), done: Transferred::default() };
    writer.line(&Line::Export { version: VERSION, start: store.start_position(), lifts })?;
    for (name, end) in former.into_iter().collect::<BTreeMap<_, _>>() {
        writer.line(&Line::Former { name: name.as_str().to_owned(), end })?;
    }
    for state in streams(store).into_values() {
        writer.stream(store, &state)?;
    }
    let lines = writer.done.lines + 1;
    writer.line(&Line::End { lines })?;
    writer.out.flush()?;
    Ok(writer.done)
}

/// All streams, those that are only kept for forks too; sources come before their forks.
fn streams(store: &dyn Store) -> BTreeMap<StreamId, StreamState> {
    let names =
        store.list("", None, usize::MAX).into_iter().chain(store.list(StreamName::INTERNAL, None, usize::MAX));
    let mut left: Vec<StreamId> = names.filter_map(|name| store.find(&name)).collect();
    let mut found = BTreeMap::new();
    while let Some(id) = left.pop() {
        if let Some(state) = store.load(id).filter(|_| !found.contains_key(&id)) {
            left.extend(state.creation.fork.as_ref().map(|fork| fork.source));
            found.insert(id, state);
        }
    }
    found
}

impl<W: Write> Writer<W> {
    fn stream(&mut self, store: &dyn Store, state: &StreamState) -> Result<(), TransferError> {
        self.done.streams += 1;
        let kept = store.kept(state.id);
        let kept_from = (kept != Kept::default()).then_some((kept.history_from, kept.deletes_from));
        self.line(&Line::Stream(Box::new(StreamLine { kept_from, ..stream_line(&state.creation) })))?;
        let mut from = state.creation.own_start();
        while from < state.tail {
            let stored = |error: crate::storage::ReadError| TransferError::Stored(error.to_string());
            let mut runs = store.read(state.id, from, state.tail, PAGE).map_err(stored)?;
            if let Some(cut) = runs.first().filter(|run| run.first + run.count < run.record.end) {
                // A record that alone exceeds the page: it stays one.
                runs = store.read(state.id, from, cut.record.end, usize::MAX).map_err(stored)?;
            }
            runs.retain(|run| (run.first, run.first + run.count) == (run.record.start, run.record.end));
            let follows = |first: Position| {
                first == from || first > from && (self.lifts.contains(&first) || first <= kept.history_from)
            };
            if runs.is_empty() && state.tail <= kept.history_from {
                break;
            }
            let Some(last) = runs.last().filter(|_| follows(runs[0].first)) else {
                let name = &state.creation.name;
                return Err(TransferError::Stored(format!("stream {name} misses position {from}")));
            };
            from = last.first + last.count;
            for run in &runs {
                self.done.records += 1;
                let line = record_line(run, state.is_json()).map_err(TransferError::Stored)?;
                self.line(&line)?;
            }
        }
        Ok(self.line(&Line::State(Box::new(state_line(state))))?)
    }
}

fn schema_line(schema: &SchemaRef) -> SchemaLine {
    SchemaLine { subject: schema.subject.to_string(), version: schema.version }
}

fn stream_line(creation: &Creation) -> StreamLine {
    let (ttl_ms, expires_at_ms) = match creation.lifetime {
        Lifetime::Unlimited => (None, None),
        Lifetime::Idle(window) => (Some(u64::try_from(window.as_millis()).unwrap_or(u64::MAX)), None),
        Lifetime::Until(moment) => (None, Some(moment.as_millis())),
    };
    StreamLine {
        name: creation.name.as_str().to_owned(),
        content_type: creation.content_type.as_str().to_owned(),
        ttl_ms,
        expires_at_ms,
        start: creation.start,
        kept_from: None,
        schema: creation.schema.as_ref().map(schema_line),
        fork: creation.fork.as_ref().map(|fork| ForkLine {
            source: fork.source_name.as_str().to_owned(),
            at: fork.at,
            shift: fork.shift,
            depth: fork.depth,
            bytes: fork.bytes,
        }),
    }
}

fn record_line(run: &Run, is_json: bool) -> Result<Line, String> {
    let (first, schema_version) = (run.first, run.schema_version);
    if !is_json {
        return Ok(Line::Bytes { first, bytes: STANDARD.encode(&run.payload) });
    }
    let mut at = 0;
    let mut texts = Vec::new();
    for length in run.lengths.iter() {
        let bytes = run.payload.get(at..at + length as usize).ok_or("a message lies outside its record")?;
        texts.push(std::str::from_utf8(bytes).map_err(|error| error.to_string())?.to_owned());
        at += length as usize + 1;
    }
    // What stands alone without a break or space around it can stand in a line as it is.
    let plain = |text: &String| !text.contains(['\n', '\r']) && text.trim_ascii() == text;
    if !texts.iter().all(plain) {
        return Ok(Line::Texts { first, schema_version, texts });
    }
    let messages: Result<Vec<_>, _> = texts.into_iter().map(RawValue::from_string).collect();
    Ok(Line::Messages { first, schema_version, messages: messages.map_err(|error| error.to_string())? })
}

fn state_line(state: &StreamState) -> StateLine {
    let producers: BTreeMap<&str, _> = state.producers.iter().map(|(id, known)| (id.as_str(), known)).collect();
    let producers = producers.into_iter().map(|(id, known)| {
        let epochs = known.former.iter().copied().chain([(known.epoch, known.last_seq)]);
        ProducerLine { id: id.to_owned(), epochs: epochs.map(|(epoch, seq)| (epoch.get(), seq.get())).collect() }
    });
    let closed_by = state.closed.as_ref().and_then(|closing| closing.by.as_ref());
    StateLine {
        tail: state.tail,
        producers: producers.collect(),
        stream_seq: state.stream_seq.as_ref().map(|seq| STANDARD.encode(seq)),
        closed: state.closed.is_some(),
        deleted: state.soft_deleted,
        closed_by: closed_by.map(|by| (by.id.as_str().to_owned(), by.epoch.get(), by.seq.get())),
        schema: state
            .schema
            .as_ref()
            .filter(|schema| state.creation.schema.as_ref() != Some(schema))
            .map(schema_line),
    }
}

// ---- in -------------------------------------------------------------------------------------------------------------

/// What restores had lifted positions to where an export was made. A store that imports it has to know.
pub fn lifts(lines: impl BufRead) -> Result<Vec<Position>, TransferError> {
    let first = lines.lines().next().unwrap_or(Ok(String::new()))?;
    match Line::read(&first) {
        Ok(Line::Export { lifts, .. }) => Ok(lifts),
        Ok(_) => Err(TransferError::Line { number: 1, why: "no export begins like this".into() }),
        Err(why) => Err(TransferError::Line { number: 1, why }),
    }
}

/// Looks through all lines: whether an import would take each.
pub fn check(lines: impl BufRead) -> Result<Transferred, TransferError> {
    let mut next = 0;
    let give = move || {
        next += 1;
        StreamId(next)
    };
    each_record(lines, give, |_| Ok(()))
}

/// Writes what [`check`] has found good into a store that holds nothing, and was made with those [`lifts`].
pub fn import(store: &dyn Store, lifts: &[Position], lines: impl BufRead) -> Result<Transferred, TransferError> {
    if !streams(store).is_empty() || store.start_position() > lifts.last().copied().unwrap_or(0) {
        return Err(TransferError::NotEmpty);
    }
    let mut batch: Vec<Staged> = Vec::new();
    let mut bytes = 0;
    let done = each_record(
        lines,
        || store.next_id(),
        |records| {
            bytes += records.iter().map(|staged| size(&staged.record)).sum::<usize>();
            batch.extend(records);
            if bytes >= PAGE {
                bytes = 0;
                return append(store, std::mem::take(&mut batch));
            }
            Ok(())
        },
    )?;
    append(store, batch)?;
    Ok(done)
}

fn size(record: &Record) -> usize {
    64 + match &record.body {
        Body::Append { payload, .. } => payload.len(),
        _ => 0,
    }
}

/// Waits until the records are durable.
fn append(store: &dyn Store, records: Vec<Staged>) -> Result<(), TransferError> {
    if records.is_empty() {
        return Ok(());
    }
    let (told, answer) = channel();
    let done = move |result: Result<&[Placed], AppendError>| {
        // Whoever asked waits below.
        let _ = told.send(result.map(drop));
    };
    store.append(records, Box::new(done));
    let answer = answer.recv().map_err(|error| TransferError::Write(error.to_string()))?;
    answer.map_err(|error| TransferError::Write(error.to_string()))
}

/// Turns lines into records, those of one line at a time.
fn each_record(
    lines: impl BufRead,
    give: impl FnMut() -> StreamId,
    mut take: impl FnMut(Vec<Staged>) -> Result<(), TransferError>,
) -> Result<Transferred, TransferError> {
    let (streams, lifts, done) = (HashMap::new(), Vec::new(), Transferred::default());
    let mut reader =
        Reader { give, streams, lifts, kept: Kept::default(), lacking: Vec::new(), open: None, done, ended: false };
    for text in lines.lines() {
        reader.done.lines += 1;
        let number = reader.done.lines;
        let bad = |why: String| TransferError::Line { number, why };
        let text = text.map_err(|error| bad(error.to_string()))?;
        let line = Line::read(&text).map_err(bad)?;
        take(reader.line(line).map_err(bad)?)?;
    }
    match reader.ended {
        true => Ok(reader.done),
        false => Err(TransferError::Line { number: reader.done.lines + 1, why: "the export is cut off here".into() }),
    }
}

struct Reader<G> {
    give: G,
    streams: HashMap<StreamName, StreamState>,
    /// Positions that streams may skip to.
    lifts: Vec<Position>,
    /// What the open stream lacks, and what others do.
    kept: Kept,
    lacking: Vec<(StreamName, Kept)>,
    /// The stream that the lines are of.
    open: Option<StreamName>,
    done: Transferred,
    ended: bool,
}

impl<G: FnMut() -> StreamId> Reader<G> {
    fn line(&mut self, line: Line) -> Result<Vec<Staged>, String> {
        if self.ended {
            return Err("it stands behind the last line".into());
        }
        match (line, self.done.lines) {
            (Line::Export { version, start, lifts }, 1) if version == VERSION => {
                self.lifts = lifts;
                self.passing(CARRIER, true, start)
            }
            (Line::Export { version, .. }, 1) => Err(format!("version {version} is a newer keyfold's")),
            (_, 1) => Err("no export begins like this".into()),
            (Line::Export { .. }, _) => Err("another export begins here".into()),
            (Line::Former { name, end }, _) => self.passing(&name, false, end),
            (Line::Stream(line), _) => self.stream(*line),
            (Line::Messages { first, schema_version, messages }, _) => {
                let messages: Vec<&str> = messages.iter().map(|message| message.get()).collect();
                self.messages(first, schema_version, &messages)
            }
            (Line::Texts { first, schema_version, texts }, _) => {
                let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                let is_json = |text: &&str| serde_json::from_str::<&RawValue>(text).is_ok();
                match texts.iter().all(is_json) {
                    true => self.messages(first, schema_version, &texts),
                    false => Err("a text is no JSON".into()),
                }
            }
            (Line::Bytes { first, bytes }, _) => {
                let bytes = STANDARD.decode(bytes).map_err(|error| error.to_string())?;
                self.record(first, false, |record| {
                    record.count = bytes.len() as u64;
                    record.body = Body::Append { lengths: Lengths::default(), payload: bytes.into() };
                })
            }
            (Line::State(line), _) => self.state(*line),
            (Line::End { lines }, number) if lines == number && self.open.is_none() => {
                self.ended = true;
                // Last of all: a fork that was there may begin where no other could any more.
                let lacking = std::mem::take(&mut self.lacking).into_iter();
                let forget = |(name, kept)| {
                    let state = self.streams.get_mut(&name)?;
                    Some(moved(state, forgets(kept, state.id, state.tail)))
                };
                Ok(lacking.filter_map(forget).collect())
            }
            (Line::End { lines }, _) => Err(format!("{lines} lines were written, or a stream has no end")),
        }
    }

    /// A stream that is gone at once, and leaves behind that it had positions below `end`.
    fn passing(&mut self, name: &str, internal: bool, end: Position) -> Result<Vec<Staged>, String> {
        if end == 0 {
            return Ok(Vec::new());
        }
        if self.open.is_some() || !self.streams.is_empty() {
            return Err("it stands behind streams".into());
        }
        let name = match internal {
            true => StreamName::from_log(&format!("{}{name}", StreamName::INTERNAL)),
            false => StreamName::parse(name).map_err(|fault| fault.to_string())?,
        };
        let creation = Creation {
            name,
            content_type: ContentType::octet_stream(),
            lifetime: Lifetime::Unlimited,
            start: end - 1,
            schema: None,
            fork: None,
        };
        let id = (self.give)();
        let born = Record { body: Body::Create(creation), ..Record::plain(id, end - 1, Timestamp::default()) };
        let gone = Record { body: Body::Delete, ..Record::plain(id, end - 1, Timestamp::default()) };
        Ok(vec![
            Staged { record: born, decided_on: StreamVersion(0) },
            Staged { record: gone, decided_on: StreamVersion(1) },
        ])
    }

    fn stream(&mut self, line: StreamLine) -> Result<Vec<Staged>, String> {
        let name = match StreamName::is_internal_text(&line.name) {
            true => StreamName::from_log(&line.name),
            false => StreamName::parse(&line.name).map_err(|fault| fault.to_string())?,
        };
        if self.open.is_some() || self.streams.contains_key(&name) {
            return Err("a stream stands within another, or twice".into());
        }
        let lifetime = match (line.ttl_ms, line.expires_at_ms) {
            (None, None) => Lifetime::Unlimited,
            (Some(window), None) => Lifetime::Idle(Duration::from_millis(window)),
            (None, Some(moment)) => Lifetime::Until(Timestamp::from_millis(moment)),
            (Some(_), Some(_)) => return Err("a stream has a TTL or an expiry, not both".into()),
        };
        let mut staged = Vec::new();
        let id = (self.give)();
        let fork = line.fork.map(|fork| self.fork(id, fork, &mut staged)).transpose()?;
        let creation = Creation {
            name: name.clone(),
            content_type: ContentType::parse(&line.content_type).ok_or("the content type is none")?,
            lifetime,
            start: line.start,
            schema: line.schema.map(schema_ref),
            fork,
        };
        let own_start = creation.own_start();
        let record = Record { body: Body::Create(creation), ..Record::plain(id, own_start, Timestamp::default()) };
        let state = StreamState::create(&record).ok_or("it creates no stream")?;
        staged.push(Staged { record, decided_on: StreamVersion(0) });
        self.kept = line
            .kept_from
            .map_or(Kept::default(), |(history_from, deletes_from)| Kept { history_from, deletes_from });
        self.streams.insert(name.clone(), state);
        self.open = Some(name);
        self.done.streams += 1;
        Ok(staged)
    }

    /// Where a fork left its source, which is kept for it from here on.
    fn fork(&mut self, id: StreamId, line: ForkLine, staged: &mut Vec<Staged>) -> Result<Fork, String> {
        let source_name = StreamName::from_log(&line.source);
        let source = self.streams.get_mut(&source_name).ok_or("a fork stands before its source")?;
        let fits =
            line.at <= source.tail && line.at.checked_add(line.shift).is_some() && line.depth <= Fork::DEPTH_MAX;
        if !fits {
            return Err("a fork leaves its source where there is nothing".into());
        }
        let body = Body::Pin { fork: id, at: line.at };
        staged.push(moved(source, Record { body, ..Record::plain(source.id, source.tail, Timestamp::default()) }));
        let ForkLine { at, shift, depth, bytes, .. } = line;
        Ok(Fork { source: source.id, source_name, at, shift, depth, bytes })
    }

    fn messages(&mut self, first: Position, version: Option<u32>, messages: &[&str]) -> Result<Vec<Staged>, String> {
        let mut payload = Vec::new();
        for message in messages {
            payload.extend_from_slice(message.as_bytes());
            payload.push(b',');
        }
        let lengths = messages.iter().map(|message| u32::try_from(message.len()).unwrap_or(u32::MAX)).collect();
        self.record(first, true, |record| {
            record.count = messages.len() as u64;
            record.schema_version = version;
            record.body = Body::Append { lengths, payload: Bytes::from(payload) };
        })
    }

    fn record(
        &mut self,
        first: Position,
        is_json: bool,
        fill: impl FnOnce(&mut Record),
    ) -> Result<Vec<Staged>, String> {
        let state = self.open.as_ref().and_then(|name| self.streams.get_mut(name)).ok_or("it is of no stream")?;
        if state.is_json() != is_json {
            return Err("it does not fit the stream's content type".into());
        }
        let may_skip = self.lifts.contains(&first) || first <= self.kept.history_from;
        if state.tail != first && !(first > state.tail && may_skip) {
            return Err(format!("it begins at position {first}, and the stream is at {}", state.tail));
        }
        let mut record = Record::plain(state.id, first, Timestamp::default());
        fill(&mut record);
        if record.count == 0 || first.checked_add(record.count).is_none() {
            return Err("it adds nothing, or more than there are positions".into());
        }
        self.done.records += 1;
        Ok(vec![moved(state, record)])
    }

    fn state(&mut self, line: StateLine) -> Result<Vec<Staged>, String> {
        let name = self.open.take().ok_or("it is of no stream")?;
        let state = self.streams.get_mut(&name).ok_or("it is of no stream")?;
        let mut staged = Vec::new();
        if line.tail > state.tail && line.tail <= self.kept.history_from {
            // What was newest was let go as well.
            staged.push(moved(state, forgets(Kept::default(), state.id, line.tail)));
        }
        if self.kept != Kept::default() {
            self.lacking.push((name, self.kept));
        }
        if line.tail != state.tail {
            return Err(format!("the stream ends at {}, not at {}", line.tail, state.tail));
        }
        let mut records = Vec::new();
        let plain = || Record::plain(state.id, line.tail, Timestamp::default());
        for ProducerLine { id, epochs } in line.producers {
            for (epoch, seq) in epochs {
                records.push(Record { producer: Some(producer(&id, epoch, seq)?), ..plain() });
            }
        }
        if let Some(seq) = line.stream_seq {
            let seq = STANDARD.decode(seq).map_err(|error| error.to_string())?;
            records.push(Record { stream_seq: Some(Arc::from(seq)), ..plain() });
        }
        if let Some(schema) = line.schema {
            records.push(Record { body: Body::Rebind(schema_ref(schema)), ..plain() });
        }
        if line.deleted {
            records.push(Record { body: Body::SoftDelete, ..plain() });
        }
        if line.closed {
            let by = line.closed_by.map(|(id, epoch, seq)| producer(&id, epoch, seq)).transpose()?;
            records.push(Record { closes: true, producer: by, ..plain() });
        }
        staged.extend(records.into_iter().map(|record| moved(state, record)));
        Ok(staged)
    }
}

/// Says what is missing of a stream, which is at `tail` then.
fn forgets(kept: Kept, stream: StreamId, tail: Position) -> Record {
    let Kept { history_from, deletes_from } = kept;
    Record { body: Body::Forget { history_from, deletes_from }, ..Record::plain(stream, tail, Timestamp::default()) }
}

/// A record as it is decided on the state, which moves on.
fn moved(state: &mut StreamState, record: Record) -> Staged {
    let decided_on = state.version;
    state.apply(&record);
    Staged { record, decided_on }
}

fn schema_ref(line: SchemaLine) -> SchemaRef {
    SchemaRef { subject: Arc::from(line.subject), version: line.version }
}

fn producer(id: &str, epoch: u64, seq: u64) -> Result<Producer, String> {
    let parts = (ProducerId::parse(id), ProducerEpoch::new(epoch), ProducerSeq::new(seq));
    let (Some(id), Some(epoch), Some(seq)) = parts else { return Err(format!("{id:?} is no producer")) };
    Ok(Producer { id, epoch, seq })
}
