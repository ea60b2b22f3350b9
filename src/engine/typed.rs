//! Typed writes: one rule behind every door.
//!
//! A batch is checked against the pinned schema version outside the stream's lock ([`super::check`]); under it, the tuple,
//! the preconditions and the version guards are judged on staged state ([`super::judge`]), and the whole batch is staged or
//! refused.

use std::sync::Arc;

use bytes::Bytes;

use crate::model::{ContentType, Offset, Producer};
use crate::protocol::json;
use crate::registry::Binding;
use crate::stream::{Admission, Append, Body, Creation, Lengths, Lifetime, Record, SchemaRef, StreamState, admit};

use super::check::{Batch, SetAside};
use super::fork::{ForkPlan, pin};
use super::handle::{Basis, Core, Handle, PublishedStream, lock_all};
use super::judge::{Condition, Outcome, judge, live_count};
use super::stage::Step;
use super::write::{AppendRequest, Appended, Decided};
use super::{Counters, Engine, Fault};

/// Who writes, beside what is written.
#[derive(Clone, Debug, Default)]
pub(super) struct Writer {
    pub producer: Option<Producer>,
    pub stream_seq: Option<Arc<[u8]>>,
    pub closes: bool,
    /// Its batch names every live entity; refused as a failed precondition where it no longer does.
    pub everything: bool,
}

/// A batch that was read in one pass.
pub(super) struct PlainBatch {
    batch: Batch,
    /// Whether the newest change per key was in memory when its stream was looked at.
    has_fold: bool,
}

/// How a stream comes to be with its first typed write.
pub(super) struct Birth {
    pub lifetime: Lifetime,
    pub schema: SchemaRef,
    /// Whether the batch is written only with it.
    pub only: bool,
    /// What it goes on from, if it is to be a fork.
    pub fork: Option<ForkPlan>,
}

impl Engine {
    pub(super) async fn append_typed(&self, handle: &Arc<Handle>, request: AppendRequest) -> Result<Appended, Fault> {
        if let Some(given) = request.content_type.as_ref().filter(|given| !given.is_json())
            && !request.body.is_empty()
        {
            return Err(Fault::TypedContentType { received: given.to_string() });
        }
        let AppendRequest { producer, stream_seq, closes, body, .. } = request;
        let writer = Writer { producer, stream_seq, closes, ..Writer::default() };
        match body.is_empty() {
            true => self.write_typed(handle, &[], writer, None).await,
            false => self.write_body(handle, &body, writer).await,
        }
    }

    /// Checks and commits a body of one change or more.
    pub(super) async fn write_body(
        &self,
        handle: &Arc<Handle>,
        body: &[u8],
        writer: Writer,
    ) -> Result<Appended, Fault> {
        if let Some(plain) = self.plain_batch(handle, body)
            && let Some(decided) = self.decide_plain(handle, plain, writer.clone()).await?
        {
            return self.conclude_typed(handle, decided).await;
        }
        let messages = json::messages(body, self.limits().batch_messages_max)?;
        if messages.is_empty() {
            return Err(json::JsonFault::EmptyArray.into());
        }
        self.write_typed(handle, &messages, writer, None).await
    }

    /// A body of nothing but plain changes for a stream that is there, checked.
    pub(super) fn plain_batch(&self, handle: &Handle, body: &[u8]) -> Option<PlainBatch> {
        let (schema, binding, has_fold) = {
            let mut core = handle.lock_fresh(&*self.store).ok()?;
            let binding = self.binding_of(&handle.name, &mut core);
            let state = core.state.as_ref().filter(|state| !state.soft_deleted)?;
            (state.schema.clone()?, binding, core.fold().is_some())
        };
        let batch = self.prepare_plain(&schema, binding, body)?;
        Some(PlainBatch { batch, has_fold })
    }

    /// As [`Engine::decide_typed`].
    pub(super) async fn decide_plain(
        &self,
        handle: &Arc<Handle>,
        plain: PlainBatch,
        writer: Writer,
    ) -> Result<Option<DecidedTyped>, Fault> {
        if !plain.has_fold {
            self.ensure_fold(handle).await?;
        }
        let schema = plain.batch.schema.clone();
        let birth = Birth { lifetime: Lifetime::Unlimited, schema, only: false, fork: None };
        self.decide_folded(handle, plain.batch, writer, Some(birth)).await
    }

    /// Checks and commits; again where the stream moved to another schema version in between.
    pub(super) async fn write_typed(
        &self,
        handle: &Arc<Handle>,
        messages: &[&str],
        writer: Writer,
        condition: Option<Condition>,
    ) -> Result<Appended, Fault> {
        loop {
            let schema = match self.schema_of(handle) {
                Ok(schema) => schema,
                // Perhaps only staged to go, or to come.
                Err(_) => {
                    handle.quiet().await;
                    self.schema_of(handle)?
                }
            };
            // A repeat is a repeat even if today's schema would refuse it.
            let mut batch = match self.prepare(handle, &schema, messages) {
                Ok(batch) => batch,
                Err(fault) => {
                    return match self.repeat(handle, &writer).await? {
                        Some(repeat) => Ok(repeat),
                        None => Err(self.repeat_or(handle, &writer, fault).await?),
                    };
                }
            };
            if let Some(condition) = condition {
                batch.changes.iter_mut().for_each(|change| change.condition = Some(condition));
            }
            let birth = Birth { lifetime: Lifetime::Unlimited, schema, only: false, fork: None };
            match self.commit_typed(handle, batch, writer.clone(), Some(birth)).await? {
                Some(appended) => return Ok(appended),
                None => continue,
            }
        }
    }

    /// The version that a stream's changes are checked under: its own, or the one its binding would pin.
    pub(super) fn schema_of(&self, handle: &Handle) -> Result<SchemaRef, Fault> {
        let mut core = handle.lock_fresh(&*self.store)?;
        match &core.state {
            Some(state) if state.soft_deleted => Err(crate::stream::Refusal::SoftDeleted.into()),
            Some(state) => state.schema.clone().ok_or_else(|| Fault::NotTyped(handle.name.clone())),
            None => {
                let binding = self.binding_of(&handle.name, &mut core);
                if binding.is_some() && handle.name.has_dash_segment() {
                    return Err(Fault::DashSegment);
                }
                let registry = self.registry.current();
                match binding {
                    Some(binding) => Ok(super::registry::pin_of(&registry, &binding)?),
                    None => Err(Fault::NoStream(handle.name.clone())),
                }
            }
        }
    }

    /// What a batch is refused for that is not valid: where its tuple is refused as well, that comes first.
    pub(super) async fn repeat_or(
        &self,
        handle: &Arc<Handle>,
        writer: &Writer,
        fault: Fault,
    ) -> Result<Fault, Fault> {
        match self.judge_tuple(handle, writer).await? {
            Some(Admission::Refuse(refusal)) => Ok(refusal.into()),
            _ => Ok(fault),
        }
    }

    /// A repeat of what was accepted before; its tuple alone decides that.
    pub(super) async fn repeat(&self, handle: &Arc<Handle>, writer: &Writer) -> Result<Option<Appended>, Fault> {
        match self.judge_tuple(handle, writer).await? {
            Some(Admission::Duplicate { last_seq, closed }) => {
                Counters::add(&self.counters.duplicates, 1);
                let tail = handle.stream().map_or(Offset::BEGINNING, |stream| stream.tail_offset());
                let last_seq = Some(last_seq);
                Ok(Some(Appended { tail, closed, duplicate: true, last_seq, ..Appended::default() }))
            }
            _ => Ok(None),
        }
    }

    /// What admission says of a writer, whatever it carries; `None` where there is no stream. Settled.
    async fn judge_tuple(&self, handle: &Arc<Handle>, writer: &Writer) -> Result<Option<Admission>, Fault> {
        let (admission, basis) = {
            let mut core = handle.lock_fresh(&*self.store)?;
            let binding = self.binding_of(&handle.name, &mut core);
            let Some(state) = &core.state else { return Ok(None) };
            let probe = Append {
                content_type: Some(ContentType::json()),
                producer: writer.producer.clone(),
                stream_seq: None,
                closes: writer.closes,
                schema_version: None,
                txid: None,
                count: 1,
                lengths: Lengths::default(),
                payload: Bytes::new(),
            };
            let admission = admit(state, &probe, self.append_policy(binding.as_deref()), self.now());
            let basis = handle.basis(&core);
            if matches!(admission, Admission::Duplicate { .. }) {
                self.note_use(handle, &mut core);
            }
            (admission, basis)
        };
        self.settle(handle, basis).await?;
        Ok(Some(admission))
    }

    /// Decides on a checked batch and waits until that is durable. `None` where it must be checked again first.
    pub(super) async fn commit_typed(
        &self,
        handle: &Arc<Handle>,
        batch: Batch,
        writer: Writer,
        birth: Option<Birth>,
    ) -> Result<Option<Appended>, Fault> {
        match self.decide_typed(handle, batch, writer, birth).await? {
            Some(decided) => self.conclude_typed(handle, decided).await.map(Some),
            None => Ok(None),
        }
    }

    /// Decides on a checked batch. `None` where it must be checked again first.
    pub(super) async fn decide_typed(
        &self,
        handle: &Arc<Handle>,
        batch: Batch,
        writer: Writer,
        birth: Option<Birth>,
    ) -> Result<Option<DecidedTyped>, Fault> {
        self.ensure_fold(handle).await?;
        self.decide_folded(handle, batch, writer, birth).await
    }

    async fn decide_folded(
        &self,
        handle: &Arc<Handle>,
        batch: Batch,
        writer: Writer,
        birth: Option<Birth>,
    ) -> Result<Option<DecidedTyped>, Fault> {
        match self.decide_locked(handle, batch, writer, birth)? {
            Locked::Again => {
                handle.quiet().await;
                Ok(None)
            }
            Locked::Taken => {
                Err(Fault::Exists { name: handle.name.clone(), differs: "it was created at the same time" })
            }
            Locked::Decided(decided) => Ok(Some(*decided)),
            // Told here and not with the acknowledgement, so that a pipelining writer decides nothing after it.
            Locked::Refused { fault, basis } => {
                self.settle(handle, basis).await?;
                Err(fault)
            }
        }
    }

    /// The critical section of a typed write: tuple, preconditions, guards, and staging.
    fn decide_locked(
        &self,
        handle: &Arc<Handle>,
        batch: Batch,
        writer: Writer,
        birth: Option<Birth>,
    ) -> Result<Locked, Fault> {
        let source = birth.as_ref().and_then(|birth| birth.fork.as_ref()).map(|plan| plan.source().clone());
        let mut locked = match source.as_deref() {
            None => vec![handle.lock()],
            Some(source) => lock_all(&[handle, source]),
        };
        for (handle, core) in std::iter::once(&**handle).chain(source.as_deref()).zip(&mut locked) {
            handle.freshen(core, &*self.store)?;
        }
        let mut source_core = source.as_ref().and_then(|_| locked.pop());
        let core: &mut Core = locked.first_mut().expect("a handle was given");
        let binding = self.binding_of(&handle.name, core);
        let aside: usize = batch.set_aside.iter().map(SetAside::bytes).sum();
        self.reserve(core, batch.stored.len() + aside)?;
        if !same_binding(&binding, &batch.binding) {
            return Ok(Locked::Again);
        }
        let born = match (&core.state, birth) {
            (Some(_), Some(Birth { only: true, .. })) => return Ok(Locked::Taken),
            (Some(state), _) if state.soft_deleted => {
                let basis = handle.basis(core);
                return Ok(Locked::Refused { fault: crate::stream::Refusal::SoftDeleted.into(), basis });
            }
            (Some(state), _) if state.schema.as_ref() != Some(&batch.schema) => return Ok(Locked::Again),
            // The fold was dropped in between (the stream was made again): read it first.
            (Some(_), _) if core.fold().is_none() => return Ok(Locked::Again),
            (Some(_), _) => None,
            (None, None) => return Err(Fault::NoStream(handle.name.clone())),
            // What stood under the name is staged to go: until it has gone, its readers' fold is the one here.
            (None, Some(_)) if core.in_flight > 0 => return Ok(Locked::Again),
            // Gone since it was looked up. Only a bound one is created by its first write.
            (None, Some(birth)) if !birth.only && binding.is_none() => {
                let basis = handle.basis(core);
                return Ok(Locked::Refused { fault: Fault::NoStream(handle.name.clone()), basis });
            }
            (None, Some(birth)) => match self.born(handle, core, birth, source_core.as_deref())? {
                Some(born) => Some(born),
                None => return Ok(Locked::Again),
            },
        };
        let Some(state) = core.state.as_ref().or(born.as_ref().map(|(_, state)| state)) else {
            return Err(Fault::NoStream(handle.name.clone()));
        };
        let (first, begins) = (state.next(), born.is_some());
        let append = Append {
            content_type: Some(ContentType::json()),
            producer: writer.producer.clone(),
            stream_seq: writer.stream_seq,
            closes: writer.closes,
            schema_version: Some(batch.schema.version),
            txid: batch.txid.clone(),
            count: batch.received as u64,
            lengths: Lengths::default(),
            payload: Bytes::new(),
        };
        let admission = admit(state, &append, self.append_policy(binding.as_deref()), self.now());
        let basis = handle.basis(core);
        let mut outcome = Outcome::default();
        let decided = match admission {
            // Names are distinct and each is there (its own precondition), so equal counts are equal sets.
            Admission::Accept(_) if writer.everything && live_count(core) != batch.changes.len() as u64 => {
                return Ok(Locked::Refused { fault: Fault::Precondition { current: None }, basis });
            }
            Admission::Accept(mut record) => {
                outcome = match judge(core, &batch, first) {
                    Ok(judged) => judged,
                    Err(fault) => {
                        if core.state.is_none() {
                            core.set_fold(None);
                        }
                        return Ok(Locked::Refused { fault, basis });
                    }
                };
                let content = outcome.content(&batch);
                record.count = content.count;
                record.body = Body::Append { lengths: content.lengths, payload: content.payload };
                let creation = born.map(|(creation, _)| creation);
                let pinned = creation.as_ref().zip(source_core.as_deref());
                let pin = pinned.and_then(|(creation, source)| pin(creation, source));
                let pin = source.as_ref().zip(source_core.as_deref_mut()).zip(pin);
                let pin = pin.map(|((source, core), pin)| Step::one(source, core, pin));
                let begins = Beginning { creation, pin };
                let staged = self.stage_typed(handle, core, begins, *record, &batch, &outcome);
                if staged.is_err() && core.state.is_none() {
                    // Of a fork that did not come to be: whoever takes the name next inherits nothing of it.
                    core.set_fold(None);
                }
                staged?
            }
            Admission::Refuse(crate::stream::Refusal::Gone) => {
                return Ok(Locked::Refused { fault: Fault::NoStream(handle.name.clone()), basis });
            }
            Admission::Refuse(refusal) => return Ok(Locked::Refused { fault: refusal.into(), basis }),
            other => Decided::Other(other),
        };
        // Also where it is a repeat, or took no position: it was a write.
        self.note_use(handle, core);
        let state = core.state.as_ref();
        let tail = state.map_or(Offset::BEGINNING, |state| Offset::at(state.tail));
        let tail = (tail, state.is_some_and(|state| state.closed.is_some()));
        let producer = writer.producer;
        let created = state.filter(|_| begins).map(Into::into);
        Ok(Locked::Decided(Box::new(DecidedTyped { decided, basis, tail, outcome, batch, producer, created })))
    }

    /// Waits for what was decided, and says what became of it.
    pub(super) async fn conclude_typed(
        &self,
        handle: &Arc<Handle>,
        decided: DecidedTyped,
    ) -> Result<Appended, Fault> {
        let DecidedTyped { decided, basis, tail, outcome, batch, producer, created } = decided;
        let mut appended = self.conclude(handle, decided, basis, tail, producer).await?;
        appended.created = created;
        if !appended.duplicate {
            Counters::add(&self.counters.changes, outcome.kept.len() as u64);
            Counters::add(&self.counters.quarantined_changes, batch.set_aside.len() as u64);
            appended.offsets = outcome.offsets(&batch);
            appended.quarantined = batch.set_aside.len();
        }
        Ok(appended)
    }

    /// The record that a stream begins with, and the state after it. `None` where the source of a fork has moved on.
    fn born(
        &self,
        handle: &Handle,
        core: &mut Core,
        birth: Birth,
        source: Option<&Core>,
    ) -> Result<Option<(Record, StreamState)>, Fault> {
        super::registry::check_pin(&self.registry.current(), &birth.schema)?;
        let creation = match (birth.fork, source) {
            (Some(mut plan), Some(source)) => {
                let Some(creation) = self.forked(handle, core, &plan, source)? else { return Ok(None) };
                // Its first batch is judged by what it inherits.
                core.set_fold(plan.fold.take().map(|(fold, _)| fold));
                creation
            }
            _ => Creation {
                name: handle.name.clone(),
                content_type: ContentType::json(),
                lifetime: birth.lifetime,
                start: self.start_position(),
                schema: Some(birth.schema),
                fork: None,
            },
        };
        let record = self.creation_record(creation, false);
        let state = StreamState::create(&record).expect("a creation record creates");
        Ok(Some((record, state)))
    }

    /// Stages a judged batch: the stream's own record, and what is set aside, together.
    fn stage_typed(
        &self,
        handle: &Arc<Handle>,
        core: &mut Core,
        begins: Beginning<'_>,
        record: Record,
        batch: &Batch,
        outcome: &Outcome,
    ) -> Result<Decided, Fault> {
        let creates = begins.creation.is_some();
        let mut records: Vec<Record> = begins.creation.into_iter().collect();
        let moves = record.count > 0 || record.producer.is_some() || record.closes || record.stream_seq.is_some();
        if moves {
            records.push(record);
        }
        if records.is_empty() && batch.set_aside.is_empty() {
            return Ok(Decided::Nothing);
        }
        let aside = (!batch.set_aside.is_empty()).then(|| self.quarantine_content(&batch.set_aside));
        let beside = aside.as_ref().map(|_| self.handle(&handle.name.quarantine_of()));
        let mut beside_core = beside.as_ref().map(|beside| beside.lock_fresh(&*self.store)).transpose()?;
        let inherited = creates.then(|| core.take_fold().unwrap_or_default());
        let mut steps = Vec::with_capacity(3);
        steps.extend(begins.pin);
        if !records.is_empty() {
            steps.push(Step { handle, core: &mut *core, records });
        }
        if let (Some(content), Some(beside), Some(beside_core)) = (aside, &beside, &mut beside_core) {
            let records = self.companion_records(beside, beside_core, content);
            steps.push(Step { handle: beside, core: &mut *beside_core, records });
        }
        let landing = self.stage(steps, None);
        if creates {
            core.set_fold(inherited);
        }
        if let Some(fold) = core.fold_mut() {
            outcome.apply_to(fold, batch);
        }
        Ok(Decided::Staged(landing))
    }
}

/// What comes before a stream's first batch.
struct Beginning<'a> {
    creation: Option<Record>,
    /// Keeps the source of a fork.
    pin: Option<Step<'a>>,
}

/// A batch that is decided on and perhaps not durable yet.
pub(super) struct DecidedTyped {
    decided: Decided,
    basis: Basis,
    /// The staged tail after it, and whether the stream is closed there.
    tail: (Offset, bool),
    outcome: Outcome,
    batch: Batch,
    producer: Option<Producer>,
    /// The stream as it was staged, where it begins with this.
    created: Option<PublishedStream>,
}

/// What came of the critical section.
enum Locked {
    Decided(Box<DecidedTyped>),
    /// Decided on what may not be durable yet.
    Refused {
        fault: Fault,
        basis: Basis,
    },
    /// The stream is not as the batch was checked for.
    Again,
    /// There is a stream, and the batch was to create one.
    Taken,
}

pub(super) fn same_binding(one: &Option<Arc<Binding>>, other: &Option<Arc<Binding>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    }
}
