//! Creating, appending to, closing and deleting a stream. Source: PROTOCOL.md §5.1 to §5.4.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::model::{ContentType, Limits, Offset, Producer, ProducerSeq, StreamName};
use crate::protocol::json;
use crate::registry::{Binding, ClosePolicy};
use crate::storage::Health;
use crate::storage::mutant::{self, Mutant};
use crate::stream::admit::AppendPolicy;
use crate::stream::{Admission, Append, Body, Creation, Lengths, Lifetime, Record, Refusal, SchemaRef, admit};

use super::fork::ForkRequest;
use super::handle::{Basis, Handle, PublishedStream};
use super::stage::{Landing, Step};
use super::typed::{Birth, Writer, same_binding};
use super::{Counters, Engine, Fault};

/// A `PUT` of a stream.
#[derive(Debug)]
pub struct CreateRequest {
    pub name: StreamName,
    pub content_type: Option<ContentType>,
    pub lifetime: Lifetime,
    pub closed: bool,
    /// Types the stream without a binding; `None` for the version takes the latest.
    pub schema: Option<(String, Option<u32>)>,
    /// Makes it a fork of another stream.
    pub fork: Option<ForkRequest>,
    pub body: Bytes,
}

/// What became of a `PUT`.
#[derive(Debug)]
pub struct Created {
    pub fresh: bool,
    pub stream: PublishedStream,
}

/// A `POST` to a stream.
#[derive(Debug)]
pub struct AppendRequest {
    pub content_type: Option<ContentType>,
    pub producer: Option<Producer>,
    pub stream_seq: Option<Arc<[u8]>>,
    pub closes: bool,
    pub body: Bytes,
}

/// What became of an append. Durable.
#[derive(Debug, Default)]
pub struct Appended {
    /// The tail after it.
    pub tail: Offset,
    pub closed: bool,
    /// A repeat: nothing was written now.
    pub duplicate: bool,
    /// Highest seq accepted in the tuple's epoch.
    pub last_seq: Option<ProducerSeq>,
    /// On a typed stream: the offset just after each change, `None` where it was not applied.
    pub offsets: Vec<Option<Offset>>,
    pub quarantined: usize,
    /// The stream as it was after this, where it began with it.
    pub created: Option<PublishedStream>,
}

/// Data as the log keeps it.
pub(super) struct Content {
    pub payload: Bytes,
    pub lengths: Lengths,
    pub count: u64,
}

impl Content {
    pub fn empty() -> Self {
        Self { payload: Bytes::new(), lengths: Lengths::default(), count: 0 }
    }

    /// Untyped data: JSON is split into messages and otherwise kept to the byte.
    pub fn untyped(json: bool, body: Bytes, limits: &Limits) -> Result<Self, Fault> {
        if !json {
            return Ok(Self { count: body.len() as u64, payload: body, lengths: Lengths::default() });
        }
        let messages = json::messages_within(&body, limits.batch_messages_max, limits.json_depth_max)?;
        Ok(Self::of_messages(messages.iter().map(|m| m.as_bytes())))
    }

    pub fn of_messages<'a>(messages: impl Iterator<Item = &'a [u8]> + Clone) -> Self {
        let mut payload = BytesMut::with_capacity(messages.clone().map(|m| m.len() + 1).sum());
        for message in messages.clone() {
            payload.extend_from_slice(message);
            payload.extend_from_slice(b",");
        }
        let lengths: Lengths = messages.clone().map(|m| m.len() as u32).collect();
        Self { count: messages.count() as u64, payload: payload.freeze(), lengths }
    }
}

impl Engine {
    /// Creates a stream, or confirms that it exists as asked.
    pub async fn create(&self, mut request: CreateRequest) -> Result<Created, Fault> {
        let handle = self.handle(&request.name);
        match self.expire_if_over(&handle).await {
            Err(Fault::Refused(Refusal::SoftDeleted)) => {
                let differs = "it is deleted, and kept only for its forks";
                return Err(Fault::Exists { name: request.name, differs });
            }
            done => drop(done?),
        }
        let binding = self.binding(&handle);
        // Closing is for ever; a binding that ignores it does so here as well.
        request.closed &= binding.as_ref().is_none_or(|binding| binding.close == ClosePolicy::Accept);
        if let Some(fork) = request.fork.take() {
            return self.create_fork(&handle, &request, &fork).await;
        }
        let schema = self.schema_for(&request, binding.as_deref())?;
        let content_type = match (&request.content_type, &schema) {
            (Some(given), Some(_)) if !given.is_json() => {
                return Err(Fault::TypedContentType { received: given.to_string() });
            }
            (Some(given), _) => given.clone(),
            (None, Some(_)) => ContentType::json(),
            (None, None) => ContentType::octet_stream(),
        };
        if schema.is_some() && request.name.has_dash_segment() {
            return Err(Fault::DashSegment);
        }
        if let Some(schema) = &schema
            && !request.body.is_empty()
        {
            let schema = schema.clone();
            return self.create_typed(&handle, request, schema).await;
        }
        let content = match request.body.is_empty() {
            true => Content::empty(),
            false => Content::untyped(content_type.is_json(), request.body.clone(), self.limits())?,
        };
        match self.create_with(&handle, &request, content_type, schema, content, &binding).await {
            // Bound meanwhile: what it is to be must be looked up again.
            Err(Fault::Contended) => Box::pin(self.create(request)).await,
            outcome => outcome,
        }
    }

    /// A typed stream with a body: created by the same step that writes it, through the door of every typed write.
    async fn create_typed(
        &self,
        handle: &Arc<Handle>,
        request: CreateRequest,
        schema: SchemaRef,
    ) -> Result<Created, Fault> {
        let messages = json::messages(&request.body, self.limits().batch_messages_max)?;
        loop {
            let exists = handle.lock_fresh(&*self.store)?.state.is_some();
            if exists {
                let binding = self.binding(handle);
                let json = ContentType::json();
                match self.create_with(handle, &request, json, Some(schema.clone()), Content::empty(), &binding).await
                {
                    // Gone meanwhile.
                    Err(Fault::Contended) => continue,
                    outcome => return outcome,
                }
            }
            let batch = self.prepare(handle, &schema, &messages)?;
            let writer = Writer { closes: request.closed, ..Writer::default() };
            let birth = Birth { lifetime: request.lifetime, schema: schema.clone(), only: true, fork: None };
            match self.commit_typed(handle, batch, writer, Some(birth)).await {
                Ok(Some(Appended { created: Some(stream), .. })) => {
                    return Ok(Created { fresh: true, stream: handle.newest(stream) });
                }
                // Checked again, or found to exist, in the next round.
                Ok(_) | Err(Fault::Exists { .. }) => {}
                Err(fault) => return Err(fault),
            }
        }
    }

    async fn create_with(
        &self,
        handle: &Arc<Handle>,
        request: &CreateRequest,
        content_type: ContentType,
        schema: Option<SchemaRef>,
        content: Content,
        binding: &Option<Arc<Binding>>,
    ) -> Result<Created, Fault> {
        let (decided, stream) = loop {
            handle.quiet_if_going(&*self.store).await?;
            let mut core = handle.lock_fresh(&*self.store)?;
            let rebound = !same_binding(&self.binding_of(&handle.name, &mut core), binding);
            break match &core.state {
                // Gone again in between: what stood under the name must have gone before another takes it.
                None if core.in_flight > 0 => continue,
                None if rebound => return Err(Fault::Contended),
                // A typed body is written by the step that creates, or not at all.
                None if schema.is_some() && !request.body.is_empty() => return Err(Fault::Contended),
                Some(state) => {
                    let differs = if state.soft_deleted {
                        Some("it is deleted, and kept only for its forks")
                    } else if !state.creation.content_type.matches(&content_type) {
                        Some("its content type differs")
                    } else if state.creation.lifetime != request.lifetime {
                        Some("its TTL or expiry differs")
                    } else if state.closed.is_some() != request.closed {
                        Some("one is closed and the other is not")
                    } else if request.schema.is_some() && state.schema != schema {
                        Some("its schema differs")
                    } else {
                        None
                    };
                    (Err((handle.basis(&core), differs)), Some(state.into()))
                }
                None => {
                    if let Some(schema) = &schema {
                        super::registry::check_pin(&self.registry.current(), schema)?;
                    }
                    self.reserve(&core, content.payload.len())?;
                    let creation = Creation {
                        name: request.name.clone(),
                        content_type,
                        lifetime: request.lifetime,
                        start: self.start_position(),
                        schema,
                        fork: None,
                    };
                    let records = self.creation_records(creation, request.closed, content);
                    let landing = self.stage(vec![Step { handle, core: &mut core, records }], None);
                    (Ok(landing), core.state.as_ref().map(Into::into))
                }
            };
        };
        let fresh = decided.is_ok();
        match decided {
            Ok(landing) => landing.durable().await?,
            Err((basis, differs)) => {
                self.settle(handle, basis).await?;
                if let Some(differs) = differs {
                    return Err(Fault::Exists { name: request.name.clone(), differs });
                }
            }
        }
        let stream = stream.ok_or_else(|| Fault::NoStream(request.name.clone()))?;
        Ok(Created { fresh, stream: handle.newest(stream) })
    }

    /// A creation and its first content: for one step, so that a crash cannot leave the stream without it.
    pub(super) fn creation_records(&self, creation: Creation, closes: bool, content: Content) -> Vec<Record> {
        let mut records = vec![self.creation_record(creation, closes && content.count == 0)];
        if content.count > 0 {
            let Record { stream, first, at, .. } = records[0];
            let body = Body::Append { lengths: content.lengths, payload: content.payload };
            records.push(Record { count: content.count, closes, body, ..Record::plain(stream, first, at) });
        }
        records
    }

    pub(super) fn creation_record(&self, creation: Creation, closes: bool) -> Record {
        let record = Record::plain(self.store.next_id(), creation.own_start(), self.now());
        Record { closes, body: Body::Create(creation), ..record }
    }

    /// Appends to a stream; a bound one is created by its first write.
    pub async fn append(&self, name: &StreamName, request: AppendRequest) -> Result<Appended, Fault> {
        let handle = self.handle(name);
        let stream = match self.expire_if_over(&handle).await? {
            Some(stream) => Some(stream),
            None => {
                // Staged and not yet durable counts as there, once it is.
                handle.quiet().await;
                handle.stream()
            }
        };
        let typed = match &stream {
            Some(stream) => stream.schema.is_some(),
            None if self.binding(&handle).is_some() => true,
            None => return Err(self.no_stream(handle)),
        };
        if request.body.is_empty() && !request.closes {
            return Err(Fault::EmptyBody);
        }
        if typed {
            return Box::pin(self.append_typed(&handle, request)).await;
        }
        let Some(stream) = stream else { return Err(Fault::NoStream(name.clone())) };
        let json = stream.creation.content_type.is_json();
        // A closed stream or another type must be said before the body is judged.
        let content = match request.body.is_empty() {
            true => Ok(Content::empty()),
            false => Content::untyped(json, request.body.clone(), self.limits()).and_then(|content| {
                (content.count > 0).then_some(content).ok_or(Fault::Json(json::JsonFault::EmptyArray))
            }),
        };
        match self.append_content(&handle, &stream, &request, content).await? {
            Some(appended) => Ok(appended),
            // Another stream stands under the name, or it became typed: what was read of the body may not fit it.
            None => {
                handle.quiet().await;
                Box::pin(self.append(name, request)).await
            }
        }
    }

    async fn append_content(
        &self,
        handle: &Arc<Handle>,
        stream: &PublishedStream,
        request: &AppendRequest,
        content: Result<Content, Fault>,
    ) -> Result<Option<Appended>, Fault> {
        let has_body = !request.body.is_empty();
        let (decided, basis, tail) = {
            let mut core = handle.lock_fresh(&*self.store)?;
            let binding = self.binding_of(&handle.name, &mut core);
            let Some(state) = core.state.as_ref().filter(|state| state.id == stream.id && state.schema.is_none())
            else {
                return Ok(None);
            };
            let (content, fault) = match content {
                Ok(content) => (content, None),
                Err(fault) => (Content { count: u64::from(has_body), ..Content::empty() }, Some(fault)),
            };
            self.reserve(&core, content.payload.len())?;
            let append = Append {
                content_type: request.content_type.clone(),
                producer: request.producer.clone(),
                stream_seq: request.stream_seq.clone(),
                closes: request.closes,
                schema_version: None,
                txid: None,
                count: content.count,
                lengths: content.lengths,
                payload: content.payload,
            };
            let admission = admit(state, &append, self.append_policy(binding.as_deref()), self.now());
            let basis = handle.basis(&core);
            let decided = match (admission, fault) {
                (Admission::Accept(_), Some(fault)) => return Err(fault),
                (Admission::Accept(record), None) => {
                    let step = Step::one(handle, &mut core, *record);
                    Decided::Staged(self.stage(vec![step], None))
                }
                (other, _) => {
                    // A repeat is a write that was made; what is refused is none.
                    if matches!(other, Admission::Duplicate { .. } | Admission::AlreadyClosed) {
                        self.note_use(handle, &mut core);
                    }
                    Decided::Other(other)
                }
            };
            let tail = core.state.as_ref().map_or(Offset::BEGINNING, |state| Offset::at(state.tail));
            (decided, basis, (tail, core.state.as_ref().is_some_and(|state| state.closed.is_some())))
        };
        self.conclude(handle, decided, basis, tail, request.producer.clone()).await.map(Some)
    }

    /// Waits for what the decision rests on, then says what became of it.
    pub(super) async fn conclude(
        &self,
        handle: &Arc<Handle>,
        decided: Decided,
        basis: Basis,
        (tail, closed): (Offset, bool),
        producer: Option<Producer>,
    ) -> Result<Appended, Fault> {
        let appended = Appended { tail, closed, ..Default::default() };
        match decided {
            Decided::Staged(landing) => {
                landing.durable().await?;
                Counters::add(&self.counters.appends, 1);
                Ok(Appended { last_seq: producer.map(|tuple| tuple.seq), ..appended })
            }
            Decided::Nothing => {
                self.settle(handle, basis).await?;
                Ok(Appended { last_seq: producer.map(|tuple| tuple.seq), ..appended })
            }
            Decided::Other(Admission::Duplicate { last_seq, closed }) => {
                self.settle(handle, basis).await?;
                Counters::add(&self.counters.duplicates, 1);
                Ok(Appended { duplicate: true, closed, last_seq: Some(last_seq), ..appended })
            }
            Decided::Other(Admission::AlreadyClosed) => {
                self.settle(handle, basis).await?;
                Ok(Appended { closed: true, ..appended })
            }
            Decided::Other(Admission::Refuse(refusal)) => {
                self.settle(handle, basis).await?;
                match refusal {
                    Refusal::Gone => Err(Fault::NoStream(handle.name.clone())),
                    refusal => Err(refusal.into()),
                }
            }
            Decided::Other(Admission::Accept(_)) => unreachable!("an accepted record is staged where it was decided"),
        }
    }

    /// Waits for everything that a decision rests on: told earlier, an answer would speak of what a crash can still undo.
    pub(super) async fn settle(&self, handle: &Handle, basis: Basis) -> Result<(), Fault> {
        match mutant::is_on(Mutant::RefuseBeforeBarrier) {
            true => Ok(()),
            false => handle.settled(basis).await.map_err(|fault| match self.health() {
                // What it rests on may be there after a restart, or not.
                Health::Failed => Fault::Unknown,
                Health::Ready | Health::Full => fault,
            }),
        }
    }

    pub(super) fn append_policy(&self, binding: Option<&Binding>) -> AppendPolicy {
        AppendPolicy {
            producers: binding.map(|b| b.producers).unwrap_or_default(),
            ignores_close: binding.is_some_and(|b| b.close == ClosePolicy::Ignore),
            producers_max: self.limits().producers_max,
        }
    }

    /// Deletes a stream; a bound one loses its live entities instead, and goes on. Answers once that is durable.
    pub async fn delete(&self, name: &StreamName) -> Result<(), Fault> {
        let handle = self.handle(name);
        self.expire_if_over(&handle).await?;
        if self.binding(&handle).is_some() {
            handle.quiet().await;
            match handle.stream() {
                // Nobody has written it, so there is nothing to delete.
                None => return Ok(()),
                Some(stream) if stream.schema.is_some() => return self.delete_entities(&handle).await,
                Some(_) => {}
            }
        }
        let landing = {
            let mut core = handle.lock_fresh(&*self.store)?;
            match &core.state {
                None => Err((handle.basis(&core), Fault::NoStream(name.clone()))),
                Some(state) if state.soft_deleted => Err((handle.basis(&core), Refusal::SoftDeleted.into())),
                Some(_) => Ok(self.stage_end(&handle, &mut core, Body::Delete)?),
            }
        };
        match landing {
            Ok(landing) => landing.durable().await,
            Err((basis, fault)) => {
                self.settle(&handle, basis).await?;
                Err(match fault {
                    Fault::NoStream(_) => self.no_stream(handle),
                    fault => fault,
                })
            }
        }
    }

    fn schema_for(&self, request: &CreateRequest, binding: Option<&Binding>) -> Result<Option<SchemaRef>, Fault> {
        match self.asked_schema(request)? {
            Some(asked) => Ok(Some(asked)),
            None => match binding.map(|binding| super::registry::pin_of(&self.registry.current(), binding)) {
                None => Ok(None),
                Some(Ok(pin)) => Ok(Some(pin)),
                // Only to be confirmed: what its binding can give no more, it has.
                Some(Err(fault)) => match self.handle(&request.name).stream().and_then(|stream| stream.schema) {
                    Some(schema) => Ok(Some(schema)),
                    None => Err(fault.into()),
                },
            },
        }
    }

    /// The version that the request itself names.
    pub(super) fn asked_schema(&self, request: &CreateRequest) -> Result<Option<SchemaRef>, Fault> {
        let Some((subject, version)) = &request.schema else { return Ok(None) };
        Ok(Some(super::registry::find_version(&self.registry.current(), subject, *version)?))
    }
}

/// What was decided about an append under the stream's lock.
pub(super) enum Decided {
    Staged(Landing),
    /// Accepted, and there was nothing to write.
    Nothing,
    Other(Admission),
}
