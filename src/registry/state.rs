//! The registry: every subject's versions and every binding, as its log says so far.
//!
//! Questions ([`Registry::register`], [`Registry::bind`], [`Registry::unbind`]) decide and change nothing;
//! [`Registry::apply`] is the one way the registry moves. A clone costs two counts: readers keep the one they began
//! with.

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
    /// A deletion cannot go while what it deleted is kept. 422.
    #[error("tombstone_horizon_s needs a history_s that is at most as long")]
    HorizonWithinHistory,
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
        if let Some(horizon) = binding.tombstone_horizon_s
            && binding.history_s.is_none_or(|history| history > horizon)
        {
            return Err(BindFault::HorizonWithinHistory);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::testing::document;
    use crate::registry::{Egress, Reads};
    use serde_json::{Value, json};

    fn subject(text: &str) -> SubjectName {
        SubjectName::parse(text).unwrap()
    }

    fn schema(of: &str, version: u32, properties: Value) -> Entry {
        Entry::Schema {
            subject: subject(of),
            version,
            document: Arc::new(document(properties)),
            registered_at: Timestamp::from_millis(u64::from(version)),
        }
    }

    fn binding(name: &str, pattern: &str) -> Binding {
        Binding::new(BindingName::parse(name).unwrap(), Pattern::parse(pattern).unwrap(), subject("s"))
    }

    fn registry(entries: &[Entry]) -> Registry {
        let mut registry = Registry::default();
        entries.iter().for_each(|entry| registry.apply(entry));
        registry
    }

    fn resolved<'r>(registry: &'r Registry, path: &str) -> Option<&'r str> {
        registry.resolve(&StreamName::parse(path).unwrap()).map(|binding| binding.name.as_str())
    }

    #[test]
    fn equal_content_is_the_version_it_was_first_registered_as() {
        let registry = registry(&[schema("s", 1, json!({})), schema("s", 2, json!({"x": {"minimum": 1}}))]);
        let limits = Limits::default();
        let register = |to: &str, properties| registry.register(&subject(to), &document(properties), &limits);
        assert_eq!(register("s", json!({})), Ok(Registration::Existing { version: 1 }));
        assert_eq!(register("s", json!({"x": {"minimum": 1.0}})), Ok(Registration::Existing { version: 2 }));
        assert_eq!(register("s", json!({"x": {"minimum": 2}})), Ok(Registration::New { version: 3 }));
        assert_eq!(register("other", json!({})), Ok(Registration::New { version: 1 }));
        let full = Limits { schema_versions_max: 2, ..Limits::default() };
        assert_eq!(
            registry.register(&subject("s"), &document(json!({})), &full),
            Ok(Registration::Existing { version: 1 })
        );
        let refused = registry.register(&subject("other"), &document(json!({})), &full);
        assert_eq!(refused, Err(RegisterFault::TooManyVersions { max: 2 }));
    }

    #[test]
    fn replaying_an_entry_changes_nothing() {
        let entries = [schema("s", 1, json!({})), Entry::Bind(binding("b", "a/*"))];
        let mut replayed = registry(&entries);
        let before = replayed.clone();
        entries.iter().for_each(|entry| replayed.apply(entry));
        replayed.apply(&Entry::Unbind(BindingName::parse("unknown").unwrap()));
        assert_eq!(replayed.versions_count, before.versions_count);
        assert!(replayed.bindings().eq(before.bindings()));
        let [first, again] = [&before, &replayed].map(|r| r.latest(&subject("s")).unwrap());
        assert!(Arc::ptr_eq(first, again), "a registered version never changes");
    }

    #[test]
    fn a_clone_does_not_see_what_follows() {
        let mut live = registry(&[schema("s", 1, json!({}))]);
        let reader = live.clone();
        live.apply(&schema("s", 2, json!({"x": {}})));
        live.apply(&Entry::Bind(binding("b", "**")));
        assert_eq!((reader.latest(&subject("s")).unwrap().version, reader.bindings().len()), (1, 0));
        assert_eq!((live.latest(&subject("s")).unwrap().version, live.bindings().len()), (2, 1));
    }

    #[test]
    fn the_most_specific_binding_governs() {
        let mut registry = registry(&[
            Entry::Bind(binding("all", "**")),
            Entry::Bind(binding("workers", "netscript/workers/**")),
            Entry::Bind(binding("netscript", "netscript/*/*")),
            Entry::Bind(binding("one", "netscript/workers")),
        ]);
        assert_eq!(resolved(&registry, "x/y"), Some("all"));
        assert_eq!(resolved(&registry, "netscript/workers/a"), Some("workers"));
        assert_eq!(resolved(&registry, "netscript/workers"), Some("one"));
        assert_eq!(resolved(&registry, "netscript/sagas/a"), Some("netscript"));
        registry.apply(&Entry::Unbind(BindingName::parse("all").unwrap()));
        assert_eq!(resolved(&registry, "x/y"), None);
        assert!(registry.resolve(&StreamName::registry()).is_none());
    }

    #[test]
    fn the_servers_own_streams_are_never_governed() {
        let registry = registry(&[Entry::Bind(binding("all", "**"))]);
        let own = StreamName::parse("a").unwrap().quarantine_of();
        assert!(registry.resolve(&own).is_none() && registry.resolve(&StreamName::registry()).is_none());
    }

    #[test]
    fn bindings_that_would_tie_are_refused_by_name() {
        let registry = registry(&[schema("s", 1, json!({})), Entry::Bind(binding("b", "a/*/x"))]);
        let bind = |given: &Binding| registry.bind(given, &Limits::default());
        let tie =
            BindFault::Tie { with: BindingName::parse("b").unwrap(), pattern: Pattern::parse("a/*/x").unwrap() };
        assert_eq!(bind(&binding("c", "a/**")), Err(tie.clone()));
        assert_eq!(bind(&binding("c", "a/*/x")), Err(tie));
        for pattern in ["a/*/y", "a/b*/x", "**", "a/b/x"] {
            assert_eq!(bind(&binding("c", pattern)), Ok(()), "{pattern}");
        }
        assert_eq!(bind(&binding("b", "a/**")), Ok(()), "a binding does not tie with what it replaces");
    }

    #[test]
    fn a_binding_needs_its_subject_version_and_room() {
        let registry = registry(&[schema("s", 1, json!({})), Entry::Bind(binding("b", "b"))]);
        let bind = |given: &Binding| registry.bind(given, &Limits { bindings_max: 1, ..Limits::default() });
        let unknown = Binding { subject: subject("t"), ..binding("b", "b") };
        assert_eq!(bind(&unknown), Err(BindFault::UnknownSubject { subject: subject("t") }));
        let ahead = Binding { version: VersionChoice::Number(2), ..binding("b", "b") };
        assert_eq!(bind(&ahead), Err(BindFault::UnknownVersion { subject: subject("s"), version: 2, latest: 1 }));
        assert_eq!(bind(&binding("c", "c")), Err(BindFault::TooManyBindings { max: 1 }));
        assert_eq!(bind(&Binding { version: VersionChoice::Number(1), ..binding("b", "b2") }), Ok(()));
        let horizon = Binding { tombstone_horizon_s: Some(60), ..binding("b", "b") };
        assert_eq!(bind(&horizon), Ok(()));
        assert_eq!(bind(&Binding { reads: Reads::Folded, ..horizon.clone() }), Err(BindFault::Horizon));
        assert_eq!(bind(&Binding { egress: Egress::SseV1, ..horizon }), Err(BindFault::Horizon));
    }

    #[test]
    fn pinning_takes_the_version_of_that_moment() {
        let mut registry = registry(&[schema("s", 1, json!({})), schema("s", 2, json!({"x": {}}))]);
        let latest = binding("b", "b");
        let fixed = Binding { version: VersionChoice::Number(1), ..latest.clone() };
        let version = |registry: &Registry, binding| registry.pin(binding).map(|pin: SchemaRef| pin.version);
        assert_eq!((version(&registry, &latest), version(&registry, &fixed)), (Some(2), Some(1)));
        registry.apply(&schema("s", 3, json!({"y": {}})));
        assert_eq!((version(&registry, &latest), version(&registry, &fixed)), (Some(3), Some(1)));
        assert_eq!(registry.pinned(&registry.pin(&latest).unwrap()).unwrap().version, 3);
        assert_eq!(registry.pin(&Binding { subject: subject("t"), ..latest }), None);
    }
}
