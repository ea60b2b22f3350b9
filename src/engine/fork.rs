//! Forks: a stream that goes on from a place in another one, without a copy. Source: PROTOCOL.md §4.2.
//!
//! One step creates the fork, writes its first content and pins the source, so that neither is ever there without the
//! other. Who ends a fork goes on to its source with the fork's lock held; who creates one takes both locks at once.
//! What is read of a fork is joined by the store.

use std::sync::Arc;

use crate::fold::Fold;
use crate::model::{ContentType, Offset, Position, StreamId, StreamName};
use crate::protocol::json;
use crate::registry::{Binding, Validation};
use crate::storage::Run;
use crate::storage::mutant::{self, Mutant};
use crate::stream::{Body, Creation, Fork, Lifetime, Record, Refusal, SchemaRef, StreamState};

use super::evolution::EvolutionFault;
use super::handle::{Core, Handle, PublishedStream, lock_all};
use super::registry::RegistryFault;
use super::stage::Step;
use super::typed::{Birth, Writer, same_binding};
use super::write::{Content, CreateRequest, Created};
use super::{Engine, Fault};

/// Where a `PUT` asks a stream to go on from.
#[derive(Clone, Debug)]
pub struct ForkRequest {
    pub source: StreamName,
    /// A place in the source; its tail where none is given.
    pub offset: Option<Offset>,
    /// Messages (JSON) or bytes (all else) past `offset`, within the batch that begins there.
    pub sub_offset: u64,
}

/// Why a fork cannot be made as asked. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForkFault {
    /// Only its other forks keep it. 409.
    #[error("the source {0} is deleted, and kept only for the forks it has")]
    SourceDeleted(StreamName),
    /// 409.
    #[error("a fork holds what its source does: {source_type}, not {received}")]
    ContentType { source_type: String, received: String },
    /// 409.
    #[error("a fork is checked as its source is, by {source_schema}, not by {asked}")]
    Schema { source_schema: String, asked: String },
    /// 409.
    #[error("the source has {} sources above it already", Fork::DEPTH_MAX)]
    TooDeep,
    /// Succeeds once a fork of the source is gone. 429.
    #[error("the source has {max} forks already")]
    TooMany { max: usize },
    /// The version that the source is pinned to takes no new streams. 409.
    #[error("{0}")]
    Unpinnable(String),
    /// 400.
    #[error("an unfinished folded read is no place to fork at; read on to its end, and take that offset")]
    Unfinished,
    /// 400.
    #[error("Stream-Fork-Sub-Offset {given} leaves the batch that begins there; {max} is the most")]
    SubOffset { given: u64, max: u64 },
}

/// A fork that was found possible, and is decided on under the locks.
pub(super) struct ForkPlan {
    source: Arc<Handle>,
    source_id: StreamId,
    /// The source's staged tail, where the request names no place.
    at: Option<Position>,
    lifetime: Lifetime,
    schema: Option<SchemaRef>,
    content_type: ContentType,
    /// What applied to the fork's name when that was compared with the source's schema.
    binding: Option<Arc<Binding>>,
    /// Newest change per key up to `at`, and what was added to its positions; where the fork begins with a typed batch.
    pub fold: Option<(Fold, u64)>,
}

impl Engine {
    /// Creates a fork, or confirms that it exists as asked.
    pub(super) async fn create_fork(
        &self,
        handle: &Arc<Handle>,
        request: &CreateRequest,
        asked: &ForkRequest,
    ) -> Result<Created, Fault> {
        loop {
            handle.quiet_if_going(&*self.store).await?;
            if let Some(stream) = self.confirm_fork(handle, request, asked).await? {
                return Ok(Created { fresh: false, stream: handle.newest(stream) });
            }
            let plan = self.plan_fork(handle, request, asked).await?;
            let created = match (&plan.schema, request.body.is_empty()) {
                (Some(schema), false) => {
                    let schema = schema.clone();
                    self.create_typed_fork(handle, request, schema, plan).await?
                }
                _ => self.create_plain_fork(handle, request, plan).await?,
            };
            if let Some(stream) = created {
                return Ok(Created { fresh: true, stream: handle.newest(stream) });
            }
        }
    }

    /// The stream, if it is there as asked; refuses another one.
    async fn confirm_fork(
        &self,
        handle: &Arc<Handle>,
        request: &CreateRequest,
        asked: &ForkRequest,
    ) -> Result<Option<PublishedStream>, Fault> {
        let schema = self.asked_schema(request)?;
        let (differs, basis, stream) = {
            let core = handle.lock_fresh(&*self.store)?;
            let Some(state) = &core.state else { return Ok(None) };
            let typed_differently = (schema.is_some() && state.schema != schema).then_some("its schema differs");
            (differs(state, request, asked).or(typed_differently), handle.basis(&core), state.into())
        };
        self.settle(handle, basis).await?;
        match differs {
            None => Ok(Some(stream)),
            Some(differs) => Err(Fault::Exists { name: handle.name.clone(), differs }),
        }
    }

    /// Looks the source up, and where in it the fork begins.
    async fn plan_fork(
        &self,
        handle: &Arc<Handle>,
        request: &CreateRequest,
        asked: &ForkRequest,
    ) -> Result<ForkPlan, Fault> {
        if asked.source == handle.name {
            return Err(Fault::NoStream(asked.source.clone()));
        }
        let source = self.handle(&asked.source);
        let look = async || match self.expire_if_over(&source).await {
            Err(Fault::Refused(Refusal::SoftDeleted)) => {
                Err(Fault::from(ForkFault::SourceDeleted(asked.source.clone())))
            }
            found => found,
        };
        let mut found = look().await?;
        if found.is_none() {
            source.quiet().await;
            found = look().await?;
        }
        let stream = match found {
            Some(stream) => stream,
            // Bound, so it is there, and nobody has written it.
            None if self.binding(&source).is_some() => self.create_empty(&asked.source).await?,
            None => return Err(self.no_stream(source)),
        };
        let at = self.fork_position(&stream, asked).await?;
        if let Some(received) = request.content_type.as_ref().filter(|c| !c.matches(&stream.creation.content_type)) {
            let source_type = stream.creation.content_type.to_string();
            return Err(ForkFault::ContentType { source_type, received: received.to_string() }.into());
        }
        let binding = self.binding(handle);
        self.check_fork_schema(handle, request, &stream, binding.as_deref())?;
        self.check_fork_data(&source, &stream, at, binding.as_deref()).await?;
        if self.is_migrating(&source.name) {
            // What is not rewritten yet would stay in the fork for ever.
            return Err(EvolutionFault::Underway { stream: source.name.clone() }.into());
        }
        Ok(ForkPlan {
            source,
            source_id: stream.id,
            at,
            // Inherited where none is asked for. Source: the table of PROTOCOL.md §4.2.
            lifetime: match request.lifetime {
                Lifetime::Unlimited => stream.creation.lifetime,
                own => own,
            },
            schema: stream.schema.clone(),
            content_type: stream.creation.content_type.clone(),
            binding,
            fold: None,
        })
    }

    async fn create_empty(&self, name: &StreamName) -> Result<PublishedStream, Fault> {
        let request = CreateRequest {
            name: name.clone(),
            content_type: None,
            lifetime: Lifetime::Unlimited,
            closed: false,
            schema: None,
            fork: None,
            body: bytes::Bytes::new(),
        };
        Ok(Box::pin(self.create(request)).await?.stream)
    }

    /// The position in the source that the request names, if it names one.
    async fn fork_position(&self, source: &PublishedStream, asked: &ForkRequest) -> Result<Option<Position>, Fault> {
        let start = source.creation.start;
        let Some(offset) = asked.offset else {
            return match asked.sub_offset {
                0 => Ok(None),
                given => Err(ForkFault::SubOffset { given, max: 0 }.into()),
            };
        };
        if offset.walk_mark != 0 {
            return Err(ForkFault::Unfinished.into());
        }
        self.check_offset(Some(source), offset)?;
        if (1..start).contains(&offset.position) {
            return Err(Fault::Former { given: offset, start: Offset::at(start) });
        }
        let anchor = offset.position.max(start);
        let kept_from = self.kept_of(source).history_from;
        if anchor > start && anchor < kept_from {
            return Err(Fault::NotKept { given: offset, kept_from: Offset::at(kept_from) });
        }
        if asked.sub_offset == 0 {
            return Ok(Some(anchor));
        }
        let batch_end = match anchor < source.tail {
            true => {
                let (store, id, tail) = (self.store.clone(), source.id, source.tail);
                let read = tokio::task::spawn_blocking(move || store.read(id, anchor, tail, 1)).await;
                let runs: Vec<Run> = read.map_err(|e| Fault::Storage(e.to_string()))??;
                runs.first().map_or(anchor, |run| run.record.end)
            }
            false => anchor,
        };
        match anchor.checked_add(asked.sub_offset).filter(|at| *at <= batch_end) {
            Some(at) => Ok(Some(at)),
            None => Err(ForkFault::SubOffset { given: asked.sub_offset, max: batch_end - anchor }.into()),
        }
    }

    /// A fork is checked as its source: neither a header nor the binding of its own name can say otherwise.
    fn check_fork_schema(
        &self,
        handle: &Handle,
        request: &CreateRequest,
        source: &PublishedStream,
        binding: Option<&Binding>,
    ) -> Result<(), Fault> {
        let told = |schema: Option<&SchemaRef>| {
            schema.map_or("no schema".to_owned(), |schema| format!("{}@{}", schema.subject, schema.version))
        };
        let differs = |asked: String| {
            Err(Fault::from(ForkFault::Schema { source_schema: told(source.schema.as_ref()), asked }))
        };
        let found = self.asked_schema(request)?;
        if found.is_some() && source.schema != found {
            return differs(told(found.as_ref()));
        }
        if let Some(binding) = binding
            && source.schema.as_ref().is_none_or(|schema| *schema.subject != *binding.subject.as_str())
        {
            return differs(format!("{}, which binds its name", binding.subject));
        }
        match source.schema.is_some() && handle.name.has_dash_segment() {
            true => Err(Fault::DashSegment),
            false => Ok(()),
        }
    }

    /// A source that was bound or re-pinned later was checked as it was then. What it was before, which a fork brings
    /// back, is checked now.
    async fn check_fork_data(
        &self,
        source: &Arc<Handle>,
        stream: &PublishedStream,
        at: Option<Position>,
        binding: Option<&Binding>,
    ) -> Result<(), Fault> {
        let strict = binding.is_none_or(|b| matches!(b.validation, Validation::Reject | Validation::Quarantine));
        let moved = strict && stream.creation.schema != stream.schema;
        let Some((schema, at)) = stream.schema.as_ref().zip(at.filter(|at| moved && *at < stream.tail)) else {
            return Ok(());
        };
        let inherited = PublishedStream { tail: at, ..stream.clone() };
        let compiled = self.compiled(schema)?;
        let mut faults = self.check_stream(source, &inherited, &compiled, schema.version).await?;
        faults.truncate(self.limits().faults_max);
        match faults.is_empty() {
            true => Ok(()),
            false => Err(RegistryFault::DataFails(faults).into()),
        }
    }

    /// A fork of an untyped stream, or one without a body. `None` where it must be looked into again.
    async fn create_plain_fork(
        &self,
        handle: &Arc<Handle>,
        request: &CreateRequest,
        plan: ForkPlan,
    ) -> Result<Option<PublishedStream>, Fault> {
        let content = match request.body.is_empty() {
            true => Content::empty(),
            false => Content::untyped(plan.content_type.is_json(), request.body.clone(), self.limits())?,
        };
        let decided = {
            let mut locked = lock_all(&[handle, &plan.source]);
            let [core, source] = &mut locked[..] else { unreachable!("as many as were asked for") };
            handle.freshen(core, &*self.store)?;
            plan.source.freshen(source, &*self.store)?;
            if core.state.is_some() || core.in_flight > 0 {
                None
            } else {
                self.reserve(core, content.payload.len())?;
                match self.forked(handle, core, &plan, source) {
                    Ok(Some(creation)) => {
                        let records = self.creation_records(creation, request.closed, content);
                        let pin = pin(&records[0], source);
                        let own = Step { handle, core, records };
                        let pin = pin.map(|pin| Step::one(&plan.source, source, pin));
                        let landing = self.stage([own].into_iter().chain(pin).collect(), None);
                        Some(Ok((landing, core.state.as_ref().map(Into::into))))
                    }
                    Ok(None) => None,
                    Err(fault) => Some(Err((plan.source.basis(source), fault))),
                }
            }
        };
        match decided {
            Some(Ok((landing, stream))) => landing.durable().await.map(|()| stream),
            Some(Err((basis, fault))) => {
                self.settle(&plan.source, basis).await?;
                Err(fault.into())
            }
            None => {
                handle.quiet().await;
                plan.source.quiet().await;
                Ok(None)
            }
        }
    }

    /// A typed fork with a body, which is judged by what the fork inherits. `None` where it must be looked into again.
    async fn create_typed_fork(
        &self,
        handle: &Arc<Handle>,
        request: &CreateRequest,
        schema: SchemaRef,
        mut plan: ForkPlan,
    ) -> Result<Option<PublishedStream>, Fault> {
        let Some(source) = plan.source.stream().filter(|source| source.id == plan.source_id) else {
            return Ok(None);
        };
        let at = *plan.at.get_or_insert(source.tail);
        let shift = self.fork_shift(handle, &source.creation);
        plan.fold = Some((self.fold_of_range(&source, at, shift).await?, shift));
        let messages = json::messages(&request.body, self.limits().batch_messages_max)?;
        let batch = self.prepare(handle, &schema, &messages)?;
        let writer = Writer { closes: request.closed, ..Writer::default() };
        let source = plan.source.clone();
        let birth = Birth { lifetime: plan.lifetime, schema, only: true, fork: Some(plan) };
        match self.commit_typed(handle, batch, writer, Some(birth)).await {
            Ok(Some(appended)) => Ok(appended.created),
            Ok(None) | Err(Fault::Exists { .. }) => {
                // What moved it is shown then; until it is, a new plan would be the same one.
                source.quiet().await;
                Ok(None)
            }
            // Decided on the source, of which some may not be durable yet.
            Err(fault @ Fault::Fork(_)) => {
                let basis = source.basis(&source.lock());
                self.settle(&source, basis).await?;
                Err(fault)
            }
            Err(fault) => Err(fault),
        }
    }

    /// What a fork is created as, by the source's staged state. `None` where the source is another stream by now, or
    /// something else applies to the fork's name.
    pub(super) fn forked(
        &self,
        handle: &Handle,
        core: &mut Core,
        plan: &ForkPlan,
        source: &Core,
    ) -> Result<Option<Creation>, ForkFault> {
        if !same_binding(&self.binding_of(&handle.name, core), &plan.binding) {
            return Ok(None);
        }
        let Some(state) = source.state.as_ref().filter(|state| state.id == plan.source_id) else { return Ok(None) };
        if state.soft_deleted {
            return Err(ForkFault::SourceDeleted(plan.source.name.clone()));
        }
        // Another version meanwhile; what was checked of the fork was checked under the former.
        if state.schema != plan.schema {
            return Ok(None);
        }
        if let Some(schema) = &plan.schema
            && let Err(fault) = super::registry::check_pin(&self.registry.current(), schema)
        {
            return Err(ForkFault::Unpinnable(fault.to_string()));
        }
        let max = self.limits().forks_max;
        if state.pins.len() >= max {
            return Err(ForkFault::TooMany { max });
        }
        let above = state.creation.fork.as_ref();
        let depth = above.map_or(0, |fork| fork.depth) + 1;
        if depth > Fork::DEPTH_MAX {
            return Err(ForkFault::TooDeep);
        }
        let at = plan.at.unwrap_or(state.tail);
        let shift = self.fork_shift(handle, &state.creation);
        // The name came and went meanwhile: what was read lies elsewhere now.
        if plan.fold.as_ref().is_some_and(|(_, read_at)| *read_at != shift) {
            return Ok(None);
        }
        let length = (state.tail - state.creation.start).saturating_sub(state.skipped).max(1);
        let inherited = (at - state.creation.start).min(length);
        let bytes = match state.is_json() {
            false => inherited,
            // By the source's mean: for estimates only.
            true => (state.bytes + above.map_or(0, |fork| fork.bytes)) / length * inherited,
        };
        Ok(Some(Creation {
            name: handle.name.clone(),
            content_type: state.creation.content_type.clone(),
            lifetime: plan.lifetime,
            start: state.creation.start + shift,
            schema: plan.schema.clone(),
            fork: Some(Fork { source: state.id, source_name: plan.source.name.clone(), at, shift, depth, bytes }),
        }))
    }

    /// What is added to the source's positions: a fork goes on where its source does, unless its name has handed out
    /// such offsets before.
    fn fork_shift(&self, handle: &Handle, source: &Creation) -> u64 {
        self.store.former_end(&handle.name).saturating_sub(source.start)
    }
}

impl ForkPlan {
    pub fn source(&self) -> &Arc<Handle> {
        &self.source
    }
}

/// The record that keeps the source of a fork, whose creation is given.
pub(super) fn pin(creation: &Record, source: &Core) -> Option<Record> {
    let Body::Create(Creation { fork: Some(fork), .. }) = &creation.body else { return None };
    let state = source.state.as_ref().filter(|_| !mutant::is_on(Mutant::LoseForkPin))?;
    let body = Body::Pin { fork: creation.stream, at: fork.at };
    Some(Record { body, ..Record::plain(state.id, state.tail, creation.at) })
}

/// What a stream that is there differs in from the fork that is asked for.
fn differs(state: &StreamState, request: &CreateRequest, asked: &ForkRequest) -> Option<&'static str> {
    if state.soft_deleted {
        return Some("it is deleted, and kept only for its forks");
    }
    let Some(fork) = &state.creation.fork else { return Some("it is no fork") };
    let start = state.creation.start - fork.shift;
    let begins = asked.offset.map(|offset| offset.position.max(start).saturating_add(asked.sub_offset));
    if fork.source_name != asked.source {
        Some("it is a fork of another stream")
    } else if begins.is_some_and(|at| at != fork.at) {
        Some("it is a fork from another offset")
    } else if request.content_type.as_ref().is_some_and(|given| !given.matches(&state.creation.content_type)) {
        Some("its content type differs")
    } else if request.lifetime != Lifetime::Unlimited && request.lifetime != state.creation.lifetime {
        Some("its TTL or expiry differs")
    } else if state.closed.is_some() != request.closed {
        Some("one is closed and the other is not")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use serde_json::json;

    use super::*;
    use crate::engine::{AppendRequest, Settings};
    use crate::registry::SubjectName;
    use crate::runtime::Clock;
    use crate::storage::MemoryStore;

    fn name(text: &str) -> StreamName {
        StreamName::parse(text).unwrap()
    }

    fn fork(source: &str) -> ForkRequest {
        ForkRequest { source: name(source), offset: None, sub_offset: 0 }
    }

    fn put(text: &str, source: Option<&str>) -> CreateRequest {
        CreateRequest {
            name: name(text),
            content_type: None,
            lifetime: Lifetime::Unlimited,
            closed: false,
            schema: source.is_none().then(|| ("things".to_owned(), None)),
            fork: source.map(fork),
            body: Bytes::new(),
        }
    }

    /// An engine with a typed stream `a` that holds one entity.
    async fn engine() -> Engine {
        let clock = Clock::system();
        let engine = Engine::start(MemoryStore::new(clock.clone()), clock, Settings::default()).unwrap();
        let schema = json!({ "type": "object", "required": ["id"], "properties": { "id": { "type": "string" } } });
        let document = json!({ "collections": { "jobs": { "type": "job", "primaryKey": "id", "schema": schema } } });
        engine.register(SubjectName::parse("things").unwrap(), document).await.unwrap();
        engine.create(put("a", None)).await.unwrap();
        let change = r#"{"type":"job","key":"x","value":{"id":"x"},"headers":{"operation":"upsert"}}"#;
        let write = AppendRequest {
            content_type: Some(ContentType::json()),
            producer: None,
            stream_seq: None,
            closes: false,
            body: Bytes::from_static(change.as_bytes()),
        };
        engine.append(&name("a"), write).await.unwrap();
        engine
    }

    #[tokio::test]
    async fn a_fold_that_was_read_for_a_former_life_of_the_name_is_read_again() {
        let engine = engine().await;
        let (source, fork_of) = (engine.handle(&name("a")), fork("a"));
        let handle = engine.handle(&name("b"));
        let mut plan = engine.plan_fork(&handle, &put("b", Some("a")), &fork_of).await.unwrap();
        let stream = source.stream().unwrap();
        let shift = engine.fork_shift(&handle, &stream.creation);
        plan.fold = Some((engine.fold_of_range(&stream, stream.tail, shift).await.unwrap(), shift));
        let decide = |plan: &ForkPlan| engine.forked(&handle, &mut handle.lock(), plan, &source.lock()).unwrap();
        assert_eq!(decide(&plan).unwrap().fork.unwrap().shift, shift);
        engine.create(put("b", Some("a"))).await.unwrap();
        engine.delete(&name("b")).await.unwrap();
        assert!(decide(&plan).is_none(), "its entities would lie where the former fork had them");
    }

    #[tokio::test]
    async fn deleting_the_entities_of_a_stream_that_was_just_deleted_ends() {
        let engine = engine().await;
        engine.create(put("b", Some("a"))).await.unwrap();
        engine.delete(&name("a")).await.unwrap();
        let (told, waits) = std::sync::mpsc::channel();
        let handle = engine.handle(&name("a"));
        // On a thread of its own: without an end it would not even let a timer run.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            told.send(runtime.block_on(engine.delete_entities(&handle)))
        });
        let outcome = waits.recv_timeout(Duration::from_secs(20)).expect("it ends");
        assert!(matches!(outcome, Err(Fault::Refused(Refusal::SoftDeleted))), "{outcome:?}");
    }
}
