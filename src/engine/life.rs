//! The life of versions: what is chosen for a subject, what state a version is in, and when it may be taken away.
//!
//! Whatever begins with a version asks under its stream's lock whether it may ([`super::registry`]). A version is hidden
//! before it is forgotten, so once every handle that is held has come to rest, whoever began with it is found.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::{StreamName, Timestamp};
use crate::registry::{CompatibilityChoice, Entry, Registered, Registry, SubjectName, VersionState};
use crate::stream::{SchemaRef, StreamState};

use super::handle::{Handle, PublishedStream};
use super::registry::{RegistryFault, RestsOn};
use super::{Engine, Fault};

/// Streams looked at before the thread is given to others.
const STREAMS_AT_ONCE: usize = 1_000;

impl Engine {
    /// Chooses how strictly versions must fit, for a subject or for all; without a choice the last one is taken back.
    pub async fn configure(
        &self,
        subject: Option<SubjectName>,
        choice: Option<CompatibilityChoice>,
    ) -> Result<(), Fault> {
        self.step(|staged| {
            if let (Some(subject), Some(_)) = (&subject, choice) {
                staged.configure(subject, self.limits()).map_err(RegistryFault::Config)?;
            }
            let known = match &subject {
                Some(subject) => staged.choice(subject),
                None => Some(staged.global_choice()),
            };
            let wanted = if subject.is_none() { Some(choice.unwrap_or_default()) } else { choice };
            Ok((known != wanted).then(|| Entry::Config { subject: subject.clone(), choice }))
        })
        .await
    }

    /// Puts a version, also a deleted one, into a state.
    pub async fn set_state(&self, subject: &SubjectName, version: u32, state: VersionState) -> Result<(), Fault> {
        self.step(|staged| {
            let known = super::registry::get(staged, subject.as_str(), version)?;
            Ok((known.state != state).then(|| Entry::State { subject: subject.clone(), version, state }))
        })
        .await
    }

    /// Deletes a version, or all of a subject's: hides them, or forgets what was hidden before. The numbers of them.
    pub async fn delete_versions(
        &self,
        subject: &SubjectName,
        version: Option<u32>,
        for_good: bool,
    ) -> Result<Vec<u32>, Fault> {
        // Nobody begins with what is durably hidden, so whoever needs it can only become fewer.
        let durable = self.registry();
        let hidden = |registered: &&Arc<Registered>| {
            registered.deleted && version.is_none_or(|version| version == registered.version)
        };
        let hidden: Vec<u32> = durable.all_versions(subject).filter(hidden).map(|known| known.version).collect();
        let users = match for_good && !hidden.is_empty() {
            true => self.users_of(subject).await?,
            false => HashMap::new(),
        };
        let mut deleted = Vec::new();
        self.step(|staged| {
            let used_by = |version: u32| users.get(&version).map(ToString::to_string);
            let versions = staged.delete(subject, version, for_good, used_by).map_err(RegistryFault::Delete)?;
            // Hidden only since they were looked for.
            if for_good && versions.iter().any(|version| !hidden.contains(version)) {
                return Err(Fault::Contended);
            }
            deleted.clone_from(&versions);
            Ok(Some(Entry::Delete { subject: subject.clone(), versions, for_good }))
        })
        .await?;
        Ok(deleted)
    }

    /// Decides a step on the staged registry, stages it, and waits until what was decided on is durable.
    async fn step(&self, decide: impl FnOnce(&Registry) -> Result<Option<Entry>, Fault>) -> Result<(), Fault> {
        let (rests_on, refused) = {
            let mut staged = self.registry.staged.lock().await;
            match decide(&staged) {
                Ok(Some(entry)) => (RestsOn::Landing(self.stage_entry(&mut staged, entry, Vec::new())?), None),
                Ok(None) => (self.registry_basis(&mut staged)?, None),
                Err(fault) => (self.registry_basis(&mut staged)?, Some(fault)),
            }
        };
        self.registry_settled(rests_on).await?;
        refused.map_or(Ok(()), Err)
    }

    /// The versions of a subject that streams need, each with one of them. Reads what the subject's streams hold.
    async fn users_of(&self, subject: &SubjectName) -> Result<HashMap<u32, StreamName>, Fault> {
        let held: Vec<Arc<Handle>> = self.streams.iter().map(|entry| entry.value().clone()).collect();
        for handle in held {
            handle.quiet().await;
        }
        let (engine, subject) = (self.clone(), subject.clone());
        let look = move || {
            let (mut users, mut after) = (HashMap::new(), None::<StreamName>);
            loop {
                let names = engine.store.list("", after.as_ref().map(StreamName::as_str), STREAMS_AT_ONCE);
                let Some(last) = names.last() else { break Ok(users) };
                after = Some(last.clone());
                for name in names {
                    if let Some(state) = engine.store.find(&name).and_then(|id| engine.store.load(id)) {
                        engine.add_versions_of(&state, &subject, &mut users)?;
                    }
                }
            }
        };
        tokio::task::spawn_blocking(look).await.map_err(|e| Fault::Storage(e.to_string()))?
    }

    /// Adds the versions of a subject without which a stream's changes cannot be read or written.
    fn add_versions_of(
        &self,
        state: &StreamState,
        subject: &SubjectName,
        users: &mut HashMap<u32, StreamName>,
    ) -> Result<(), Fault> {
        let stream = PublishedStream::from(state);
        let history = self.history(&stream)?;
        let is_of = |schema: &&SchemaRef| *schema.subject == *subject.as_str();
        let mut add = |version| {
            users.entry(version).or_insert_with(|| state.creation.name.clone());
        };
        history.versions().chain(&state.schema).filter(is_of).for_each(|schema| add(schema.version));
        // A history was not always kept: a stream that went from one subject to another may have spoken any in between.
        let first = state.creation.schema.as_ref().map(|schema| &schema.subject);
        let now = state.schema.as_ref().map(|schema| &schema.subject);
        if first == now && first.is_none_or(|first| **first != *subject.as_str()) {
            return Ok(());
        }
        let mut from = state.creation.start;
        while from < state.tail {
            let runs = self.store.read(state.id, from, state.tail, self.limits().page_bytes_max)?;
            // What was left out of the log needs no version any more.
            let Some(last) = runs.last() else { break };
            from = last.first + last.count;
            runs.iter().filter_map(|run| run.schema_version).for_each(&mut add);
        }
        Ok(())
    }

    /// Since when the version that a stream is pinned to is deprecated, and when it is to be disabled.
    pub fn deprecation(&self, name: &StreamName) -> Option<(Timestamp, Option<Timestamp>)> {
        let registry = self.registry.current();
        if !registry.has_restricted() {
            return None;
        }
        let handle = self.streams.get(name).map(|entry| entry.value().clone())?;
        let schema = match handle.stream() {
            Some(stream) => stream.schema,
            None => registry.resolve(name).and_then(|binding| registry.pin(binding)),
        };
        match registry.pinned(&schema?)?.state {
            VersionState::Deprecated { since, sunset } => Some((since, sunset)),
            VersionState::Enabled | VersionState::Disabled => None,
        }
    }
}
