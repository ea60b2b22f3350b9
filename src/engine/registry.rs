//! The running registry: decides on staged state, logs each step, and shows it once it is durable.
//!
//! Steps are messages of an internal stream, so they survive everything the data survives and are ordered with it. A
//! binding that reaches streams with data checks them first, and re-pins them in the same step.

use std::sync::Arc;

use parking_lot::RwLock;
use serde_json::Value;

use crate::model::{ContentType, StreamName, Timestamp};
use crate::protocol::registry::{read_entry, write_entry};
use crate::registry::{
    BindFault, Binding, BindingName, ConfigFault, DeleteFault, Document, DocumentFault, DocumentLimits, Entry,
    PinFault, RegisterFault, Registered, Registration, Registry, SubjectName, UnbindFault, Validation,
};
use crate::storage::Store;
use crate::stream::{Body, Creation, Lifetime, Record, SchemaRef};

use super::handle::{Basis, Core, Handle, PublishedStream, lock_all};
use super::live_check::DataFault;
use super::stage::{Landing, Step};
use super::verdict::{Judged, Verdict};
use super::write::Content;
use super::{Engine, Fault};

/// The registry as it is staged and as it is shown.
pub struct RegistryHost {
    handle: Arc<Handle>,
    /// Held while a step is decided, so that steps are decided one after another.
    pub(super) staged: tokio::sync::Mutex<Registry>,
    current: RwLock<(u64, Arc<Registry>)>,
}

/// Why the registry refused. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum RegistryFault {
    /// 404.
    #[error("subject {0} is not registered")]
    UnknownSubject(String),
    /// 404.
    #[error("subject {subject} has no version {version}")]
    UnknownVersion { subject: String, version: u32 },
    /// 422, with every fault of the document.
    #[error("faults in the document: {}", .0.len())]
    Document(Vec<DocumentFault>),
    #[error(transparent)]
    Register(#[from] RegisterFault),
    #[error(transparent)]
    Bind(#[from] BindFault),
    #[error(transparent)]
    Unbind(#[from] UnbindFault),
    #[error(transparent)]
    Config(#[from] ConfigFault),
    #[error(transparent)]
    Delete(#[from] DeleteFault),
    /// 409, with the violations and how to get past them.
    #[error("the document is not compatible with what subject {subject} accepts: {violations} violations", violations = .verdict.violations.len())]
    Incompatible { subject: SubjectName, verdict: Box<Verdict> },
    /// Streams cannot begin with it. 409.
    #[error("no stream can be pinned to version {version} of {subject}: {why}")]
    NotPinnable { subject: String, version: u32, why: PinFault },
    /// Streams that are pinned to it take no writes; reads go on. 409.
    #[error("version {version} of {subject} is disabled: its streams take no writes until they are bound to another")]
    Disabled { subject: String, version: u32 },
    /// Streams that the binding would govern, or what a fork would inherit, hold what the schema refuses. 409.
    #[error("{} stored entities do not fit the schema", .0.len())]
    DataFails(Vec<DataFault>),
}

/// What became of a registration.
pub struct RegisteredVersion {
    pub fresh: bool,
    pub registered: Arc<Registered>,
}

/// The version that a stream would be pinned to.
pub(super) fn find_version(
    registry: &Registry,
    subject: &str,
    version: Option<u32>,
) -> Result<SchemaRef, RegistryFault> {
    let unknown = || RegistryFault::UnknownSubject(subject.to_owned());
    let name = SubjectName::parse(subject).ok_or_else(unknown)?;
    let latest = registry.newest_pinnable(&name).or(registry.latest(&name)).map(|latest| latest.version);
    let version = version.or(latest).ok_or_else(unknown)?;
    match registry.get(&name, version) {
        Some(_) => Ok(SchemaRef { subject: name.shared(), version }),
        None => Err(RegistryFault::UnknownVersion { subject: subject.to_owned(), version }),
    }
}

pub(super) fn get<'r>(
    registry: &'r Registry,
    subject: &str,
    version: u32,
) -> Result<&'r Arc<Registered>, RegistryFault> {
    let unknown = || RegistryFault::UnknownVersion { subject: subject.to_owned(), version };
    SubjectName::parse(subject).and_then(|name| registry.get(&name, version)).ok_or_else(unknown)
}

/// Whether a stream can begin with a version now. Asked under the stream's lock, so that whoever has hidden the version
/// finds every stream that began with it before.
pub(super) fn check_pin(registry: &Registry, schema: &SchemaRef) -> Result<(), RegistryFault> {
    let why = match registry.pinned(schema) {
        Some(registered) => registered.pinnable(),
        None => Err(PinFault::Unknown),
    };
    why.map_err(|why| RegistryFault::NotPinnable {
        subject: schema.subject.to_string(),
        version: schema.version,
        why,
    })
}

/// What a stream that is created now under a binding is pinned to.
pub(super) fn pin_of(registry: &Registry, binding: &Binding) -> Result<SchemaRef, RegistryFault> {
    registry.pin(binding).ok_or_else(|| {
        let (version, why) = registry.why_not(binding);
        RegistryFault::NotPinnable { subject: binding.subject.to_string(), version, why }
    })
}

impl RegistryHost {
    /// Folds the registry's log.
    pub(super) fn load(store: &dyn Store, started_at: Timestamp) -> Result<Self, Fault> {
        let handle = Arc::new(Handle::load(StreamName::registry(), store, |_| started_at));
        let mut registry = Registry::default();
        if let Some(stream) = handle.stream() {
            let mut from = stream.creation.start;
            while from < stream.tail {
                let runs = store.read(stream.id, from, stream.tail, 1 << 20)?;
                let Some(last) = runs.last() else {
                    return Err(Fault::Storage(format!("the registry's log ends at {from}")));
                };
                from = last.first + last.count;
                for run in &runs {
                    let mut at = 0;
                    for length in run.lengths.iter() {
                        let text = run.payload.get(at..at + length as usize).unwrap_or_default();
                        let entry = std::str::from_utf8(text).map_err(|e| e.to_string());
                        let entry = entry.and_then(|text| read_entry(text, &registry));
                        let entry = entry.map_err(|e| Fault::Storage(format!("registry entry: {e}")))?;
                        registry.apply(&entry);
                        at += length as usize + 1;
                    }
                }
            }
        }
        let current = RwLock::new((1, Arc::new(registry.clone())));
        Ok(Self { handle, staged: tokio::sync::Mutex::new(registry), current })
    }

    /// The durable registry.
    pub fn current(&self) -> Arc<Registry> {
        self.current.read().1.clone()
    }

    pub(super) fn current_with_generation(&self) -> (u64, Arc<Registry>) {
        self.current.read().clone()
    }

    fn publish(&self, entry: &Entry) {
        let mut current = self.current.write();
        let mut next = Registry::clone(&current.1);
        next.apply(entry);
        *current = (current.0 + 1, Arc::new(next));
    }
}

/// Whether a new version must fit those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fit {
    /// As the subject's configuration says.
    #[default]
    AsConfigured,
    /// It need not: whoever registers it says so.
    Waived,
}

/// How often a document is judged again because what it is compared with has changed meanwhile.
const JUDGE_ROUNDS: usize = 8;

/// What must be durable before a decision is told.
pub(super) enum RestsOn {
    Landing(Landing),
    Basis(Basis),
}

impl Engine {
    /// The durable registry.
    pub fn registry(&self) -> Arc<Registry> {
        self.registry.current()
    }

    /// Registers a document under a subject, which it must fit; content that the subject has already keeps its version.
    pub async fn register(&self, subject: SubjectName, document: Value) -> Result<RegisteredVersion, Fault> {
        self.register_as(subject, document, Fit::AsConfigured).await
    }

    /// As [`Engine::register`], where the caller says whether the document must fit.
    pub async fn register_as(
        &self,
        subject: SubjectName,
        document: Value,
        fit: Fit,
    ) -> Result<RegisteredVersion, Fault> {
        let value = Arc::new(document);
        for _ in 0..JUDGE_ROUNDS {
            let document = self.parse_document(value.clone()).await?;
            let judged = match fit {
                Fit::AsConfigured => Some(self.judge_version(&subject, &document).await?),
                Fit::Waived => None,
            };
            let (rests_on, decided) = {
                let mut staged = self.registry.staged.lock().await;
                match staged.register(&subject, &document, self.limits()) {
                    Err(fault) => (self.registry_basis(&mut staged)?, Some(Err(RegistryFault::Register(fault)))),
                    Ok(Registration::Existing { version }) => {
                        (self.registry_basis(&mut staged)?, Some(Ok((version, false))))
                    }
                    // Judged by what is not there any more, or without what is there by now.
                    Ok(Registration::New { .. })
                        if judged.as_ref().is_some_and(|judged| !judged.holds_in(&staged, &subject))
                            || document
                                .references()
                                .any(|to| staged.referable(&to.subject, to.version).is_none()) =>
                    {
                        (self.registry_basis(&mut staged)?, None)
                    }
                    Ok(Registration::New { version }) => match judged.filter(|judged| !judged.verdict.compatible) {
                        Some(Judged { verdict, .. }) => {
                            let (subject, verdict) = (subject.clone(), Box::new(verdict));
                            let fault = RegistryFault::Incompatible { subject, verdict };
                            (self.registry_basis(&mut staged)?, Some(Err(fault)))
                        }
                        None => {
                            let registered_at = self.now();
                            let entry = Entry::Schema { subject: subject.clone(), version, document, registered_at };
                            let landing = self.stage_entry(&mut staged, entry, Vec::new())?;
                            (RestsOn::Landing(landing), Some(Ok((version, true))))
                        }
                    },
                }
            };
            self.registry_settled(rests_on).await?;
            let Some(decided) = decided else { continue };
            let (version, fresh) = decided?;
            let registry = self.registry();
            return Ok(RegisteredVersion { fresh, registered: get(&registry, subject.as_str(), version)?.clone() });
        }
        Err(Fault::Contended)
    }

    /// A document that could be registered now, whatever it is compared with.
    pub(super) async fn parse_document(&self, value: Arc<Value>) -> Result<Arc<Document>, Fault> {
        let limits = DocumentLimits { bytes_max: self.limits().schema_bytes_max, ..DocumentLimits::default() };
        let registry = self.registry();
        let parse =
            move || Document::parse_with(&value, &limits, &|subject, version| registry.referable(subject, version));
        let parsed = tokio::task::spawn_blocking(parse).await;
        let document = parsed.map_err(|e| Fault::Storage(e.to_string()))?.map_err(RegistryFault::Document)?;
        Ok(Arc::new(document))
    }

    /// Makes or replaces a binding. True where the name is new.
    pub async fn bind(&self, binding: Binding) -> Result<bool, Fault> {
        let (rests_on, fresh) = {
            let mut staged = self.registry.staged.lock().await;
            if let Err(fault) = staged.bind(&binding, self.limits()) {
                let rests_on = self.registry_basis(&mut staged)?;
                drop(staged);
                self.registry_settled(rests_on).await?;
                return Err(RegistryFault::Bind(fault).into());
            }
            let fresh = staged.binding(&binding.name).is_none();
            let mut candidate = staged.clone();
            candidate.apply(&Entry::Bind(binding.clone()));
            let governed = self.governed(&candidate, &binding).await?;
            let rests_on = match staged.binding(&binding.name).is_some_and(|known| **known == binding) {
                true if governed.iter().all(|governed| !governed.moves) => self.registry_basis(&mut staged)?,
                _ => RestsOn::Landing(self.stage_entry(&mut staged, Entry::Bind(binding.clone()), governed)?),
            };
            (rests_on, fresh)
        };
        self.registry_settled(rests_on).await?;
        self.bind_latecomers(&binding).await?;
        Ok(fresh)
    }

    /// Streams that were created while the binding became durable did not know of it yet.
    async fn bind_latecomers(&self, binding: &Binding) -> Result<(), Fault> {
        for _ in 0..LATECOMER_ROUNDS {
            match self.bind_latecomers_once(binding).await {
                // Written to meanwhile: look again.
                Err(Fault::Contended) => {}
                outcome => return outcome,
            }
        }
        tracing::warn!(binding = %binding.name, "a stream that was created at the same time may stay untyped; bind again");
        Ok(())
    }

    async fn bind_latecomers_once(&self, binding: &Binding) -> Result<(), Fault> {
        // What is staged now is durable, and so listed, once its handle is quiet.
        let held: Vec<Arc<Handle>> = self.streams.iter().map(|entry| entry.value().clone()).collect();
        let registry = self.registry.current();
        for handle in held.iter().filter(|h| registry.resolve(&h.name).is_some_and(|b| b.name == binding.name)) {
            handle.quiet().await;
        }
        let landing = {
            let mut staged = self.registry.staged.lock().await;
            if staged.binding(&binding.name).is_none_or(|known| **known != *binding) {
                return Ok(());
            }
            let late = match self.governed(&staged, binding).await {
                Ok(late) if late.iter().any(|governed| governed.moves) => late,
                Ok(_) => return Ok(()),
                Err(fault) => {
                    tracing::warn!(binding = %binding.name, error = %fault, "a stream that was just created stays untyped");
                    return Ok(());
                }
            };
            self.stage_entry(&mut staged, Entry::Bind(binding.clone()), late)?
        };
        self.registry_settled(RestsOn::Landing(landing)).await
    }

    /// Takes a binding away; its streams keep the schema they are pinned to.
    pub async fn unbind(&self, name: &BindingName) -> Result<(), Fault> {
        let landing = {
            let mut staged = self.registry.staged.lock().await;
            match staged.unbind(name) {
                Ok(()) => Ok(self.stage_entry(&mut staged, Entry::Unbind(name.clone()), Vec::new())?),
                Err(fault) => Err((self.registry_basis(&mut staged)?, fault)),
            }
        };
        match landing {
            Ok(landing) => self.registry_settled(RestsOn::Landing(landing)).await,
            Err((rests_on, fault)) => {
                self.registry_settled(rests_on).await?;
                Err(RegistryFault::Unbind(fault).into())
            }
        }
    }

    /// What a decision rests on that stages nothing. Taken with the decision, before anything else may fail.
    pub(super) fn registry_basis(&self, staged: &mut Registry) -> Result<RestsOn, Fault> {
        let host = self.registry.handle.lock();
        if host.stale {
            // Decided on a step that was lost.
            *staged = Registry::clone(&self.registry.current());
            return Err(Fault::Contended);
        }
        Ok(RestsOn::Basis(self.registry.handle.basis(&host)))
    }

    pub(super) async fn registry_settled(&self, rests_on: RestsOn) -> Result<(), Fault> {
        let outcome = match rests_on {
            RestsOn::Landing(landing) => landing.durable().await,
            RestsOn::Basis(basis) => self.settle(&self.registry.handle, basis).await,
        };
        if outcome.is_err() {
            // What was staged behind it fails with it, so the durable registry is all there is.
            let mut staged = self.registry.staged.lock().await;
            if self.registry.handle.lock().stale {
                *staged = Registry::clone(&self.registry.current());
            }
        }
        outcome
    }

    /// Stages an entry, and in the same step the re-pinning of the streams it governs.
    pub(super) fn stage_entry(
        &self,
        staged: &mut Registry,
        entry: Entry,
        governed: Vec<Governed>,
    ) -> Result<Landing, Fault> {
        let host = &self.registry.handle;
        if host.lock().stale {
            // A step before this one was lost: what was decided on it must be decided again.
            *staged = Registry::clone(&self.registry.current());
            drop(host.lock_fresh(&*self.store)?);
            return Err(Fault::Contended);
        }
        let mut core = host.lock_fresh(&*self.store)?;
        let text = write_entry(&entry);
        let records = self.entry_records(&core, Content::of_messages(std::iter::once(text.as_bytes())));
        // After the registry's own, which nobody takes while holding a stream's.
        let handles: Vec<&Handle> = governed.iter().map(|g| &*g.handle).collect();
        let mut locked: Vec<_> = governed.iter().zip(lock_all(&handles)).collect();
        let moved = |(g, core): &(&Governed, _)| {
            let core: &parking_lot::MutexGuard<'_, Core> = core;
            let same = |state: &crate::stream::StreamState| {
                state.id == g.stream.id && state.tail == g.stream.tail && state.schema == g.stream.schema
            };
            !core.state.as_ref().is_some_and(same)
        };
        if locked.iter().any(moved) {
            return Err(Fault::Contended);
        }
        let moving = |g: &&Governed| g.moves;
        let log = |g: &Governed| self.handle(&g.handle.name.schemas_of());
        let logs: Vec<Arc<Handle>> = governed.iter().filter(moving).map(log).collect();
        let log_cores: Result<Vec<_>, Fault> = logs.iter().map(|log| log.lock_fresh(&*self.store)).collect();
        let mut log_cores = log_cores?;
        staged.apply(&entry);
        let mut steps = vec![Step { handle: host, core: &mut core, records }];
        let logs = logs.iter().zip(&mut log_cores);
        for ((governed, core), (log, log_core)) in locked.iter_mut().filter(|(g, _)| g.moves).zip(logs) {
            let [rebind, noted] = self.rebind_steps((&governed.handle, core), (log, log_core), &governed.pin)?;
            steps.extend([rebind, noted]);
        }
        let engine = self.clone();
        Ok(self.stage(steps, Some(Box::new(move || engine.registry.publish(&entry)))))
    }

    fn entry_records(&self, core: &Core, content: Content) -> Vec<Record> {
        let mut records = Vec::with_capacity(2);
        let (id, tail) = match &core.state {
            Some(state) => (state.id, state.tail),
            None => {
                let record = self.creation_record(
                    Creation {
                        name: StreamName::registry(),
                        content_type: ContentType::json(),
                        lifetime: Lifetime::Unlimited,
                        start: self.start_position(),
                        schema: None,
                        fork: None,
                    },
                    false,
                );
                let born = (record.stream, record.first);
                records.push(record);
                born
            }
        };
        let body = Body::Append { lengths: content.lengths, payload: content.payload };
        records.push(Record { count: content.count, body, ..Record::plain(id, tail, self.now()) });
        records
    }

    /// The streams that a binding would pin to another version than theirs, with their data checked against it.
    async fn governed(&self, candidate: &Registry, binding: &Binding) -> Result<Vec<Governed>, Fault> {
        let Some(pin) = candidate.pin(binding) else { return Ok(Vec::new()) };
        let compiled = get(candidate, &pin.subject, pin.version)?.compiled.clone();
        // Under these no reader may see what the schema refuses; under the former binding that was possible.
        let strict = |validation| matches!(validation, Validation::Reject | Validation::Quarantine);
        let former = self.registry.current();
        let former = former.binding(&binding.name).map(|former| former.validation);
        let stricter = strict(binding.validation) && former.is_none_or(|former| !strict(former));
        let (mut governed, mut faults, mut after) = (Vec::new(), Vec::new(), None::<StreamName>);
        loop {
            let names = self.store.list("", after.as_ref().map(StreamName::as_str), 1_000);
            let Some(last) = names.last() else { break };
            after = Some(last.clone());
            for name in names {
                if candidate.resolve(&name).is_none_or(|resolved| resolved.name != binding.name) {
                    continue;
                }
                let handle = self.handle(&name);
                handle.quiet().await;
                drop(handle.lock_fresh(&*self.store)?);
                let Some(stream) = handle.stream() else { continue };
                let moves = stream.schema.as_ref() != Some(&pin);
                if !moves && !stricter {
                    continue;
                }
                if moves && self.is_migrating(&name) {
                    let message = "a migration of it is not over: let it end, or cancel it".to_owned();
                    faults.push(DataFault::of_stream(&name, pin.version, message));
                    continue;
                }
                faults.extend(self.check_stream(&handle, &stream, &compiled, pin.version).await?);
                governed.push(Governed { handle, stream, pin: pin.clone(), moves });
            }
        }
        match faults.is_empty() {
            true => Ok(governed),
            false => {
                faults.truncate(self.limits().faults_max);
                Err(RegistryFault::DataFails(faults).into())
            }
        }
    }
}

/// A stream that a binding re-pins, as it was when its data was checked.
pub(super) struct Governed {
    handle: Arc<Handle>,
    stream: PublishedStream,
    pin: SchemaRef,
    /// Whether it is pinned to another version now; otherwise its data was only looked at.
    moves: bool,
}

/// How often a binding looks for streams that were created while it became durable.
const LATECOMER_ROUNDS: usize = 4;
