//! The registry: every subject's versions and every binding, as its log says so far.
//!
//! Questions ([`Registry::register`], [`Registry::bind`], [`Registry::unbind`]) decide and change nothing;
//! [`Registry::apply`] is the one way the registry moves. A clone costs two counts: readers keep the one they began with.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{Limits, StreamName, Timestamp};
use crate::stream::SchemaRef;

use super::{Binding, BindingName, Compiled, Document, Entry, Fingerprint, Pattern, SubjectName, VersionChoice};

/// Every subject's versions and every binding.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    subjects: Arc<BTreeMap<SubjectName, Versions>>,
    bindings: Arc<Bindings>,
    versions_count: usize,
}

type Versions = BTreeMap<u32, Arc<Registered>>;

#[derive(Clone, Debug, Default)]
struct Bindings {
    by_name: BTreeMap<BindingName, Arc<Binding>>,
    /// The most specific first, so that the first match governs.
    by_specificity: Vec<Arc<Binding>>,
}

/// One version of a subject.
#[derive(Debug)]
pub struct Registered {
    pub version: u32,
    pub fingerprint: Fingerprint,
    pub document: Arc<Document>,
    pub compiled: Arc<Compiled>,
    pub registered_at: Timestamp,
}

/// Which version a document is, or becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    /// To be written as [`Entry::Schema`] with this version.
    New { version: u32 },
    /// The subject has this content already; nothing to write.
    Existing { version: u32 },
}

/// Why a document is not registered. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterFault {
    /// 429.
    #[error("the registry already holds {max} versions")]
    TooManyVersions { max: usize },
}

/// Why a binding is not made. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindFault {
    /// Succeeds once something is registered under that name. 422.
    #[error("subject {subject} is not registered")]
    UnknownSubject { subject: SubjectName },
    /// Succeeds once that version is registered. 422.
    #[error("subject {subject} has no version {version}; its latest is {latest}")]
    UnknownVersion { subject: SubjectName, version: u32, latest: u32 },
    /// Neither pattern is more specific and some path could match both. Succeeds once one of them changes. 409.
    #[error("binding {with} has the pattern {pattern}, which is as specific and meets this one")]
    Tie { with: BindingName, pattern: Pattern },
    /// Readers of folded reads and of SSE v1 cannot be sent the `reset` that a horizon leads to. 422.
    #[error("a binding with folded reads or an SSE v1 egress cannot set tombstone_horizon_s")]
    Horizon,
    /// 429.
    #[error("there are already {max} bindings")]
    TooManyBindings { max: usize },
}

/// Why a binding is not taken away. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnbindFault {
    /// 404.
    #[error("there is no binding {name}")]
    Unknown { name: BindingName },
}

impl Registry {
    /// Applies an entry of the log. Total: an entry that says nothing new (a version that is there, a binding that is
    /// not) changes nothing, so that replaying is harmless.
    pub fn apply(&mut self, entry: &Entry) {
        match entry {
            Entry::Schema { subject, version, document, registered_at } => {
                let versions = Arc::make_mut(&mut self.subjects).entry(subject.clone()).or_default();
                if !versions.contains_key(version) {
                    versions.insert(*version, Arc::new(Registered::new(*version, document, *registered_at)));
                    self.versions_count += 1;
                }
            }
            Entry::Bind(binding) => {
                let bindings = Arc::make_mut(&mut self.bindings);
                bindings.by_name.insert(binding.name.clone(), Arc::new(binding.clone()));
                bindings.sort();
            }
            Entry::Unbind(name) => {
                let bindings = Arc::make_mut(&mut self.bindings);
                bindings.by_name.remove(name);
                bindings.sort();
            }
        }
    }

    /// Which version `document` is, or becomes, under `subject`.
    pub fn register(
        &self,
        subject: &SubjectName,
        document: &Document,
        limits: &Limits,
    ) -> Result<Registration, RegisterFault> {
        let known = self.versions(subject).find(|known| known.fingerprint == document.fingerprint());
        if let Some(known) = known {
            return Ok(Registration::Existing { version: known.version });
        }
        let next = self.latest(subject).map_or(Some(1), |latest| latest.version.checked_add(1));
        match next {
            Some(version) if self.versions_count < limits.schema_versions_max => Ok(Registration::New { version }),
            _ => Err(RegisterFault::TooManyVersions { max: limits.schema_versions_max }),
        }
    }

    /// Whether a binding may be made, or replace the one of its name.
    pub fn bind(&self, binding: &Binding, limits: &Limits) -> Result<(), BindFault> {
        if binding.tombstone_horizon_s.is_some() && !binding.may_forget_deletes() {
            return Err(BindFault::Horizon);
        }
        let subject = &binding.subject;
        let Some(latest) = self.latest(subject) else {
            return Err(BindFault::UnknownSubject { subject: subject.clone() });
        };
        if let VersionChoice::Number(version) = binding.version
            && self.get(subject, version).is_none()
        {
            return Err(BindFault::UnknownVersion { subject: subject.clone(), version, latest: latest.version });
        }
        let others = || self.bindings().filter(|other| other.name != binding.name);
        let meets = |other: &&Arc<Binding>| {
            other.pattern.specificity() == binding.pattern.specificity() && other.pattern.intersects(&binding.pattern)
        };
        if let Some(other) = others().find(meets) {
            return Err(BindFault::Tie { with: other.name.clone(), pattern: other.pattern.clone() });
        }
        match others().count() < limits.bindings_max {
            true => Ok(()),
            false => Err(BindFault::TooManyBindings { max: limits.bindings_max }),
        }
    }

    /// Whether a binding may be taken away.
    pub fn unbind(&self, name: &BindingName) -> Result<(), UnbindFault> {
        self.binding(name).map(|_| ()).ok_or_else(|| UnbindFault::Unknown { name: name.clone() })
    }

    /// All subjects, by name.
    pub fn subjects(&self) -> impl ExactSizeIterator<Item = &SubjectName> {
        self.subjects.keys()
    }

    /// A subject's versions, oldest first; none where the subject is unknown.
    pub fn versions(&self, subject: &SubjectName) -> impl DoubleEndedIterator<Item = &Arc<Registered>> {
        self.subjects.get(subject).into_iter().flat_map(BTreeMap::values)
    }

    pub fn get(&self, subject: &SubjectName, version: u32) -> Option<&Arc<Registered>> {
        self.subjects.get(subject)?.get(&version)
    }

    /// What a pinned stream is checked against.
    pub fn pinned(&self, schema: &SchemaRef) -> Option<&Arc<Registered>> {
        self.get(&SubjectName::parse(&schema.subject)?, schema.version)
    }

    pub fn latest(&self, subject: &SubjectName) -> Option<&Arc<Registered>> {
        self.subjects.get(subject)?.values().next_back()
    }

    /// All bindings, by name.
    pub fn bindings(&self) -> impl ExactSizeIterator<Item = &Arc<Binding>> {
        self.bindings.by_name.values()
    }

    pub fn binding(&self, name: &BindingName) -> Option<&Arc<Binding>> {
        self.bindings.by_name.get(name)
    }

    /// The binding that governs a stream. None governs the server's own streams.
    pub fn resolve(&self, stream: &StreamName) -> Option<&Arc<Binding>> {
        if stream.is_internal() {
            return None;
        }
        self.bindings.by_specificity.iter().find(|binding| binding.pattern.matches(stream.as_str()))
    }

    /// What a stream that is created now under the binding is pinned to.
    pub fn pin(&self, binding: &Binding) -> Option<SchemaRef> {
        let registered = match binding.version {
            VersionChoice::Latest => self.latest(&binding.subject)?,
            VersionChoice::Number(version) => self.get(&binding.subject, version)?,
        };
        Some(SchemaRef { subject: binding.subject.shared(), version: registered.version })
    }
}

impl Registered {
    fn new(version: u32, document: &Arc<Document>, registered_at: Timestamp) -> Self {
        Self {
            version,
            fingerprint: document.fingerprint(),
            document: document.clone(),
            compiled: document.compiled().clone(),
            registered_at,
        }
    }
}

impl Bindings {
    fn sort(&mut self) {
        self.by_specificity = self.by_name.values().cloned().collect();
        // Stable: by name among equals, which `bind` keeps from meeting.
        self.by_specificity.sort_by_key(|binding| std::cmp::Reverse(binding.pattern.specificity()));
    }
}
