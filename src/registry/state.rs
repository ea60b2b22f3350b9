//! The registry: every subject's versions and every binding, as its log says so far.
//!
//! Questions ([`Registry::register`], [`Registry::bind`], [`Registry::unbind`]) decide and change nothing;
//! [`Registry::apply`] is the one way the registry moves. A clone costs two counts: readers keep the one they began
//! with.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::model::{Limits, StreamName, Timestamp};
use crate::stream::SchemaRef;

use super::{
    Binding, BindingName, Compatibility, CompatibilityChoice, Compiled, DeleteFault, Document, Entry, Fingerprint,
    Pattern, PinFault, Shape, SubjectName, VersionChoice, VersionState,
};

/// Every subject's versions and every binding.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    subjects: Arc<BTreeMap<SubjectName, Subject>>,
    bindings: Arc<Bindings>,
    configs: Arc<Configs>,
    ids: Arc<Ids>,
    versions_count: usize,
    /// Versions that are deprecated or disabled: where there are none, nobody need look.
    restricted_count: usize,
}

#[derive(Clone, Debug, Default)]
struct Subject {
    versions: BTreeMap<u32, Arc<Registered>>,
    /// Numbers up to this have been given out.
    last: u32,
}

#[derive(Clone, Debug, Default)]
struct Bindings {
    by_name: BTreeMap<BindingName, Arc<Binding>>,
    /// The most specific first, so that the first match governs.
    by_specificity: Vec<Arc<Binding>>,
}

#[derive(Clone, Debug, Default)]
struct Configs {
    global: CompatibilityChoice,
    by_subject: BTreeMap<SubjectName, CompatibilityChoice>,
}

/// A number for every content there is, whichever subjects have it.
#[derive(Clone, Debug, Default)]
struct Ids {
    last: u32,
    by_content: HashMap<Fingerprint, u32>,
    versions: BTreeMap<u32, BTreeSet<(SubjectName, u32)>>,
}

/// One version of a subject.
#[derive(Clone, Debug)]
pub struct Registered {
    pub version: u32,
    /// The same for equal content under every subject; from 1, and not given to other content later.
    pub id: u32,
    pub fingerprint: Fingerprint,
    pub document: Arc<Document>,
    pub compiled: Arc<Compiled>,
    pub registered_at: Timestamp,
    pub state: VersionState,
    /// Hidden, and kept for those who use it.
    pub deleted: bool,
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

/// Why a choice is not made. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigFault {
    /// 429.
    #[error("there are already {max} subjects with a choice of their own")]
    TooMany { max: usize },
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
    /// 422.
    #[error("no stream can be pinned to version {version} of {subject}: {why}")]
    NotPinnable { subject: SubjectName, version: u32, why: PinFault },
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
                let known = Arc::make_mut(&mut self.subjects).entry(subject.clone()).or_default();
                if !known.versions.contains_key(version) {
                    let id = Arc::make_mut(&mut self.ids).add(document.fingerprint(), subject, *version);
                    let registered = Registered::new(*version, id, document, *registered_at);
                    known.versions.insert(*version, Arc::new(registered));
                    known.last = known.last.max(*version);
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
            Entry::Config { subject: None, choice } => {
                Arc::make_mut(&mut self.configs).global = choice.unwrap_or_default();
            }
            Entry::Config { subject: Some(subject), choice } => {
                let configs = &mut Arc::make_mut(&mut self.configs).by_subject;
                match choice {
                    Some(choice) => drop(configs.insert(subject.clone(), *choice)),
                    None => drop(configs.remove(subject)),
                }
            }
            Entry::State { subject, version, state } => {
                self.change(subject, *version, |registered| registered.state = *state);
            }
            Entry::Delete { subject, versions, for_good: false } => {
                for version in versions {
                    self.change(subject, *version, |registered| registered.deleted = true);
                }
            }
            Entry::Delete { subject, versions, for_good: true } => self.forget(subject, versions),
        }
    }

    fn change(&mut self, subject: &SubjectName, version: u32, change: impl FnOnce(&mut Registered)) {
        let known = Arc::make_mut(&mut self.subjects).get_mut(subject);
        let Some(registered) = known.and_then(|known| known.versions.get_mut(&version)) else { return };
        let registered = Arc::make_mut(registered);
        self.restricted_count -= usize::from(registered.is_restricted());
        change(registered);
        self.restricted_count += usize::from(registered.is_restricted());
    }

    fn forget(&mut self, subject: &SubjectName, versions: &[u32]) {
        let subjects = Arc::make_mut(&mut self.subjects);
        let Some(known) = subjects.get_mut(subject) else { return };
        for version in versions {
            if let Some(registered) = known.versions.remove(version) {
                Arc::make_mut(&mut self.ids).remove(&registered, subject);
                self.versions_count -= 1;
                self.restricted_count -= usize::from(registered.is_restricted());
            }
        }
        if known.versions.is_empty() {
            subjects.remove(subject);
        }
    }

    /// Which version `document` is, or becomes, under `subject`. Content that was deleted becomes a new version.
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
        let next = self.subjects.get(subject).map_or(Some(1), |known| known.last.checked_add(1));
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
        let version = match binding.version {
            VersionChoice::Number(version) if self.get(subject, version).is_none() => {
                return Err(BindFault::UnknownVersion { subject: subject.clone(), version, latest: latest.version });
            }
            VersionChoice::Number(version) => version,
            VersionChoice::Latest => self.newest_pinnable(subject).unwrap_or(latest).version,
        };
        if let Err(why) = self.pinnable(subject, version) {
            return Err(BindFault::NotPinnable { subject: subject.clone(), version, why });
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

    /// Whether a choice may be made for a subject, which need not exist yet.
    pub fn configure(&self, subject: &SubjectName, limits: &Limits) -> Result<(), ConfigFault> {
        let known = &self.configs.by_subject;
        let max = limits.schema_versions_max;
        (known.contains_key(subject) || known.len() < max).then_some(()).ok_or(ConfigFault::TooMany { max })
    }

    /// Which versions a deletion hides, or forgets: the one that is named, or all that can be.
    ///
    /// `used_by` names a stream that needs a version to be read; it is asked of what is to be forgotten only.
    pub fn delete(
        &self,
        subject: &SubjectName,
        version: Option<u32>,
        for_good: bool,
        used_by: impl Fn(u32) -> Option<String>,
    ) -> Result<Vec<u32>, DeleteFault> {
        let unknown = || DeleteFault::UnknownSubject { subject: subject.clone() };
        let known = self.subjects.get(subject).ok_or_else(unknown)?;
        let chosen: Vec<&Arc<Registered>> = match version {
            Some(version) => {
                let missing = || DeleteFault::UnknownVersion { subject: subject.clone(), version };
                vec![known.versions.get(&version).ok_or_else(missing)?]
            }
            None if for_good => known.versions.values().collect(),
            None => known.versions.values().filter(|registered| !registered.deleted).collect(),
        };
        match for_good {
            false if chosen.is_empty() || chosen.iter().any(|registered| registered.deleted) => {
                return Err(DeleteFault::AlreadyDeleted);
            }
            true => {
                if let Some(live) = chosen.iter().find(|registered| !registered.deleted) {
                    return Err(DeleteFault::NotDeletedYet { version: live.version });
                }
            }
            false => {}
        }
        let versions: Vec<u32> = chosen.iter().map(|registered| registered.version).collect();
        for version in &versions {
            let goes_too = |by: &SubjectName, number: u32| by == subject && versions.contains(&number);
            // What is hidden already needs what it refers to only to be read.
            let mut referring = self.referenced_by(subject, *version).filter(|(_, by)| for_good || !by.deleted);
            if let Some((by, by_version)) = referring.find(|(by, registered)| !goes_too(by, registered.version)) {
                let (by, by_version) = (by.clone(), by_version.version);
                return Err(DeleteFault::Referenced { version: *version, by, by_version });
            }
            if for_good && let Some(stream) = used_by(*version) {
                return Err(DeleteFault::InUse { version: *version, stream });
            }
        }
        self.leaves_bound(subject, &versions)?;
        Ok(versions)
    }

    /// Whether every binding of the subject still has a version to give without these.
    fn leaves_bound(&self, subject: &SubjectName, gone: &[u32]) -> Result<(), DeleteFault> {
        for binding in self.bindings().filter(|binding| binding.subject == *subject) {
            let lost = match binding.version {
                VersionChoice::Number(version) => gone.contains(&version).then_some(version),
                VersionChoice::Latest => {
                    let given = self.newest_pinnable(subject).map(|given| given.version);
                    let left = |other: &Arc<Registered>| !gone.contains(&other.version) && other.pinnable().is_ok();
                    given.filter(|given| gone.contains(given) && !self.versions(subject).any(left))
                }
            };
            if let Some(version) = lost {
                return Err(DeleteFault::Bound { version, binding: binding.name.clone() });
            }
        }
        Ok(())
    }

    /// All subjects that are not deleted, by name.
    pub fn subjects(&self) -> impl Iterator<Item = &SubjectName> {
        let live = |subject: &&Subject| subject.versions.values().any(|registered| !registered.deleted);
        self.subjects.iter().filter(move |(_, subject)| live(subject)).map(|(name, _)| name)
    }

    /// All subjects, also those of which every version is deleted.
    pub fn all_subjects(&self) -> impl ExactSizeIterator<Item = &SubjectName> {
        self.subjects.keys()
    }

    /// A subject's versions that are not deleted, oldest first; none where the subject is unknown.
    pub fn versions<'r>(
        &'r self,
        subject: &SubjectName,
    ) -> impl DoubleEndedIterator<Item = &'r Arc<Registered>> + use<'r> {
        self.all_versions(subject).filter(|registered| !registered.deleted)
    }

    /// A subject's versions, also those that are deleted, oldest first.
    pub fn all_versions<'r>(
        &'r self,
        subject: &SubjectName,
    ) -> impl DoubleEndedIterator<Item = &'r Arc<Registered>> + use<'r> {
        self.subjects.get(subject).into_iter().flat_map(|known| known.versions.values())
    }

    /// A version, also one that is deleted or disabled.
    pub fn get(&self, subject: &SubjectName, version: u32) -> Option<&Arc<Registered>> {
        self.subjects.get(subject)?.versions.get(&version)
    }

    /// What a pinned stream is checked against.
    pub fn pinned(&self, schema: &SchemaRef) -> Option<&Arc<Registered>> {
        self.get(&SubjectName::parse(&schema.subject)?, schema.version)
    }

    /// The newest version that is not deleted.
    pub fn latest(&self, subject: &SubjectName) -> Option<&Arc<Registered>> {
        self.versions(subject).next_back()
    }

    /// The newest version that a stream can be pinned to.
    pub fn newest_pinnable(&self, subject: &SubjectName) -> Option<&Arc<Registered>> {
        self.versions(subject).rfind(|registered| registered.pinnable().is_ok())
    }

    /// Whether a stream can be pinned to a version.
    pub fn pinnable(&self, subject: &SubjectName, version: u32) -> Result<(), PinFault> {
        self.get(subject, version).ok_or(PinFault::Unknown)?.pinnable()
    }

    /// What another document may refer to.
    pub fn referable(&self, subject: &SubjectName, version: u32) -> Option<Arc<Document>> {
        let found = self.get(subject, version)?;
        let open = !found.deleted && found.state != VersionState::Disabled;
        open.then(|| found.document.clone())
    }

    /// The versions, also deleted ones, that refer to a version.
    pub fn referenced_by(
        &self,
        subject: &SubjectName,
        version: u32,
    ) -> impl Iterator<Item = (&SubjectName, &Arc<Registered>)> {
        let refers = move |registered: &Registered| {
            registered.document.references().any(|to| to.subject == *subject && to.version == version)
        };
        let all = self.subjects.iter();
        let all = all.flat_map(|(name, known)| known.versions.values().map(move |registered| (name, registered)));
        all.filter(move |(_, registered)| refers(registered))
    }

    /// The versions that have the content of this number, by subject.
    pub fn with_id(&self, id: u32) -> impl Iterator<Item = (&SubjectName, &Arc<Registered>)> {
        let places = self.ids.versions.get(&id).into_iter().flatten();
        places.filter_map(|(subject, version)| Some((subject, self.get(subject, *version)?)))
    }

    /// The largest number that content has been given.
    pub fn last_id(&self) -> u32 {
        self.ids.last
    }

    /// How strictly the versions of a subject must fit each other.
    pub fn compatibility(&self, subject: &SubjectName) -> Compatibility {
        self.choice(subject).unwrap_or_default().over(self.global_compatibility())
    }

    pub fn global_compatibility(&self) -> Compatibility {
        self.configs.global.over(Compatibility::default())
    }

    /// What was chosen for all subjects.
    pub fn global_choice(&self) -> CompatibilityChoice {
        self.configs.global
    }

    /// What was chosen for a subject itself.
    pub fn choice(&self, subject: &SubjectName) -> Option<CompatibilityChoice> {
        self.configs.by_subject.get(subject).copied()
    }

    /// Whether some version is deprecated or disabled.
    pub fn has_restricted(&self) -> bool {
        self.restricted_count > 0
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

    /// What a stream that is created now under the binding is pinned to; [`Registry::why_not`] says why it is not.
    pub fn pin(&self, binding: &Binding) -> Option<SchemaRef> {
        let registered = match binding.version {
            VersionChoice::Latest => self.newest_pinnable(&binding.subject)?,
            VersionChoice::Number(version) => self.get(&binding.subject, version)?,
        };
        registered.pinnable().ok()?;
        Some(SchemaRef { subject: binding.subject.shared(), version: registered.version })
    }

    /// Which version a binding would pin streams to, and why it cannot.
    pub fn why_not(&self, binding: &Binding) -> (u32, PinFault) {
        let version = match binding.version {
            VersionChoice::Latest => self.latest(&binding.subject).map_or(0, |latest| latest.version),
            VersionChoice::Number(version) => version,
        };
        (version, self.pinnable(&binding.subject, version).err().unwrap_or(PinFault::Unknown))
    }
}

impl Registered {
    fn new(version: u32, id: u32, document: &Arc<Document>, registered_at: Timestamp) -> Self {
        Self {
            version,
            id,
            fingerprint: document.fingerprint(),
            document: document.clone(),
            compiled: document.compiled().clone(),
            registered_at,
            state: VersionState::Enabled,
            deleted: false,
        }
    }

    fn is_restricted(&self) -> bool {
        self.state != VersionState::Enabled
    }

    /// Whether a stream can be pinned to it.
    pub fn pinnable(&self) -> Result<(), PinFault> {
        match self {
            Self { deleted: true, .. } => Err(PinFault::Deleted),
            Self { state: VersionState::Disabled, .. } => Err(PinFault::Disabled),
            _ if self.document.shape() == Shape::Bare => Err(PinFault::Bare),
            _ => Ok(()),
        }
    }
}

impl Ids {
    fn add(&mut self, content: Fingerprint, subject: &SubjectName, version: u32) -> u32 {
        let last = &mut self.last;
        let id = *self.by_content.entry(content).or_insert_with(|| {
            *last += 1;
            *last
        });
        self.versions.entry(id).or_default().insert((subject.clone(), version));
        id
    }

    fn remove(&mut self, registered: &Registered, subject: &SubjectName) {
        let Some(versions) = self.versions.get_mut(&registered.id) else { return };
        versions.remove(&(subject.clone(), registered.version));
        if versions.is_empty() {
            self.versions.remove(&registered.id);
            self.by_content.remove(&registered.fingerprint);
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

    fn referring(to: &str, version: u32) -> Entry {
        let value = serde_json::json!({
            "schema": {"properties": {"x": {"$ref": "x.json#/collections/c/schema"}}},
            "references": [{"name": "x.json", "subject": to, "version": version}]
        });
        let target = Arc::new(document(json!({})));
        let limits = crate::registry::DocumentLimits::default();
        let document = Document::parse_with(&value, &limits, &|_, _| Some(target.clone())).unwrap();
        Entry::Schema {
            subject: subject("referring"),
            version: 1,
            document: Arc::new(document),
            registered_at: Timestamp::default(),
        }
    }

    fn delete(of: &str, versions: &[u32], for_good: bool) -> Entry {
        Entry::Delete { subject: subject(of), versions: versions.to_vec(), for_good }
    }

    #[test]
    fn equal_content_has_one_id_wherever_it_is_and_no_id_is_given_twice() {
        let mut registry =
            registry(&[schema("s", 1, json!({})), schema("t", 1, json!({})), schema("t", 2, json!({"x": {}}))]);
        let id = |registry: &Registry, of: &str, version| registry.get(&subject(of), version).unwrap().id;
        assert_eq!((id(&registry, "s", 1), id(&registry, "t", 1), id(&registry, "t", 2)), (1, 1, 2));
        assert_eq!(registry.with_id(1).count(), 2);
        registry.apply(&delete("t", &[2], true));
        assert_eq!((registry.with_id(2).count(), registry.last_id()), (0, 2));
        registry.apply(&schema("t", 3, json!({"x": {}})));
        assert_eq!((id(&registry, "t", 3), registry.last_id()), (3, 3));
    }

    #[test]
    fn what_is_deleted_is_hidden_and_its_number_not_given_again() {
        let mut registry = registry(&[schema("s", 1, json!({})), schema("s", 2, json!({"x": {}}))]);
        let limits = Limits::default();
        registry.apply(&delete("s", &[2], false));
        assert_eq!(registry.latest(&subject("s")).unwrap().version, 1);
        assert_eq!(registry.pinnable(&subject("s"), 2), Err(PinFault::Deleted));
        assert!(registry.get(&subject("s"), 2).is_some_and(|hidden| hidden.deleted));
        let again = registry.register(&subject("s"), &document(json!({"x": {}})), &limits);
        assert_eq!(again, Ok(Registration::New { version: 3 }));
        registry.apply(&delete("s", &[2], true));
        let again = registry.register(&subject("s"), &document(json!({"x": {}})), &limits);
        assert_eq!(again, Ok(Registration::New { version: 3 }));
        assert_eq!(registry.versions_count, 1);
        registry.apply(&delete("s", &[1], false));
        assert_eq!((registry.subjects().count(), registry.all_subjects().len()), (0, 1));
        registry.apply(&delete("s", &[1], true));
        assert_eq!(registry.all_subjects().len(), 0);
    }

    #[test]
    fn what_is_needed_is_not_deleted() {
        let nobody = |_| None;
        let mut registry =
            registry(&[schema("s", 1, json!({})), schema("s", 2, json!({"x": {}})), referring("s", 1)]);
        let ask = |registry: &Registry, of: &str, version, for_good| {
            registry.delete(&subject(of), version, for_good, nobody)
        };
        let by = subject("referring");
        let referenced = DeleteFault::Referenced { version: 1, by, by_version: 1 };
        assert_eq!(ask(&registry, "s", Some(1), false), Err(referenced.clone()));
        assert_eq!(ask(&registry, "s", Some(2), true), Err(DeleteFault::NotDeletedYet { version: 2 }));
        assert_eq!(ask(&registry, "s", Some(2), false), Ok(vec![2]));
        assert!(matches!(ask(&registry, "t", None, false), Err(DeleteFault::UnknownSubject { .. })));
        assert!(matches!(ask(&registry, "s", Some(9), false), Err(DeleteFault::UnknownVersion { version: 9, .. })));
        // What is hidden may refer to what is hidden, and needs it for as long as it is there.
        registry.apply(&delete("referring", &[1], false));
        assert_eq!(ask(&registry, "s", None, false), Ok(vec![1, 2]));
        registry.apply(&delete("s", &[1, 2], false));
        assert_eq!(ask(&registry, "s", Some(1), false), Err(DeleteFault::AlreadyDeleted));
        assert_eq!(ask(&registry, "s", None, true), Err(referenced));
        registry.apply(&delete("referring", &[1], true));
        let used = registry.delete(&subject("s"), None, true, |version| (version == 2).then(|| "a/b".to_owned()));
        assert_eq!(used, Err(DeleteFault::InUse { version: 2, stream: "a/b".into() }));
        assert_eq!(ask(&registry, "s", None, true), Ok(vec![1, 2]));
    }

    #[test]
    fn a_binding_keeps_a_version_to_give() {
        let mut registry = registry(&[
            schema("s", 1, json!({})),
            schema("s", 2, json!({"x": {}})),
            Entry::Bind(binding("b", "a/*")),
        ]);
        let bound = |version| Err(DeleteFault::Bound { version, binding: BindingName::parse("b").unwrap() });
        let ask = |registry: &Registry, version| registry.delete(&subject("s"), version, false, |_| None);
        assert_eq!(ask(&registry, Some(2)), Ok(vec![2]));
        assert_eq!(ask(&registry, None), bound(2));
        registry.apply(&Entry::State { subject: subject("s"), version: 1, state: VersionState::Disabled });
        assert_eq!(ask(&registry, Some(2)), bound(2));
        registry.apply(&Entry::Bind(Binding { version: VersionChoice::Number(1), ..binding("b", "a/*") }));
        assert_eq!(ask(&registry, Some(1)), bound(1));
        assert_eq!(ask(&registry, Some(2)), Ok(vec![2]));
    }

    #[test]
    fn no_stream_begins_with_what_is_disabled() {
        let mut registry = registry(&[schema("s", 1, json!({})), schema("s", 2, json!({"x": {}}))]);
        let state = |version, state| Entry::State { subject: subject("s"), version, state };
        let pinned = |registry: &Registry| registry.pin(&binding("b", "a/*")).map(|pin| pin.version);
        registry.apply(&state(2, VersionState::Deprecated { since: Timestamp::default(), sunset: None }));
        assert_eq!((pinned(&registry), registry.has_restricted()), (Some(2), true));
        registry.apply(&state(2, VersionState::Disabled));
        assert_eq!(pinned(&registry), Some(1));
        let numbered = Binding { version: VersionChoice::Number(2), ..binding("b", "a/*") };
        assert_eq!((registry.pin(&numbered), registry.why_not(&numbered)), (None, (2, PinFault::Disabled)));
        let refused = registry.bind(&numbered, &Limits::default());
        assert!(matches!(refused, Err(BindFault::NotPinnable { version: 2, why: PinFault::Disabled, .. })));
        registry.apply(&state(1, VersionState::Disabled));
        assert_eq!(pinned(&registry), None);
        registry.apply(&state(1, VersionState::Enabled));
        registry.apply(&state(2, VersionState::Enabled));
        assert!(!registry.has_restricted());
    }

    #[test]
    fn a_subjects_choice_goes_over_that_for_all() {
        use crate::registry::{ContentModel, Mode};
        let mut registry = Registry::default();
        let choose = |subject, mode, content_model| Entry::Config {
            subject,
            choice: Some(CompatibilityChoice { mode, content_model }),
        };
        assert_eq!(registry.compatibility(&subject("s")), Compatibility::default());
        registry.apply(&choose(None, Some(Mode::Full), Some(ContentModel::Open)));
        registry.apply(&choose(Some(subject("s")), Some(Mode::None), None));
        let applies = registry.compatibility(&subject("s"));
        assert_eq!(applies, Compatibility { mode: Mode::None, content_model: ContentModel::Open });
        assert_eq!(registry.compatibility(&subject("t")).mode, Mode::Full);
        registry.apply(&Entry::Config { subject: Some(subject("s")), choice: None });
        registry.apply(&Entry::Config { subject: None, choice: None });
        assert_eq!(registry.compatibility(&subject("s")), Compatibility::default());
        assert_eq!(registry.choice(&subject("s")), None);
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
        let horizon = Binding { history_s: Some(60), tombstone_horizon_s: Some(60), ..binding("b", "b") };
        assert_eq!(bind(&horizon), Ok(()));
        assert_eq!(bind(&Binding { reads: Reads::Folded, ..horizon.clone() }), Err(BindFault::Horizon));
        assert_eq!(bind(&Binding { egress: Egress::SseV1, ..horizon.clone() }), Err(BindFault::Horizon));
        for history_s in [None, Some(61)] {
            let within = Binding { history_s, ..horizon.clone() };
            assert_eq!(bind(&within), Err(BindFault::HorizonWithinHistory), "what it deleted would be kept longer");
        }
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
