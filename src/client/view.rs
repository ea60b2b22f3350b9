//! The latest value of every entity of a type, kept current in the background.
//!
//! It decides what a change does to the rows; where changes come from and how a cut is survived is [`super::Watch`]'s. What it
//! shows equals the log's fold whenever it has caught up, and memory holds the live entities only.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::{Change, ClientError, Entity, StreamHandle, WatchEvent, WatchOptions};
use crate::fold::View;

/// Entities of type `T` by key. Ends its subscription when dropped.
pub struct EntityView<T> {
    rows: Arc<RwLock<Rows<T>>>,
    progress: watch::Receiver<Progress>,
    /// The revision at which [`EntityView::changed`] last returned.
    seen: u64,
    task: AbortHandle,
}

/// What waiters wait for.
#[derive(Clone, Debug, Default)]
struct Progress {
    /// Grows with every change of the rows.
    revision: u64,
    ready: bool,
    failure: Option<ClientError>,
}

impl<T: Entity + DeserializeOwned + Send + Sync + 'static> EntityView<T> {
    /// Spawns the following task; needs a running tokio runtime.
    pub(super) fn start(stream: StreamHandle) -> Self {
        let rows = Arc::new(RwLock::new(Rows::default()));
        let (sender, progress) = watch::channel(Progress::default());
        let task = tokio::spawn(follow(stream, Arc::clone(&rows), sender)).abort_handle();
        Self { rows, progress, seen: 0, task }
    }

    /// The entity as far as it is known here.
    pub fn get(&self, key: &str) -> Option<Arc<T>> {
        self.rows.read().live.get(T::TYPE, key).cloned()
    }

    /// All entities by key, as of one moment.
    pub fn iter(&self) -> impl Iterator<Item = (String, Arc<T>)> + use<T> {
        let rows = self.rows.read();
        let copied: Vec<_> =
            rows.live.of_type(T::TYPE).map(|(key, entity)| (key.to_owned(), Arc::clone(entity))).collect();
        copied.into_iter()
    }

    pub fn len(&self) -> usize {
        self.rows.read().live.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Live entities that do not fit `T`, by key, with why. They are missing everywhere else.
    pub fn faults(&self) -> BTreeMap<String, String> {
        self.rows.read().faults.of_type(T::TYPE).map(|(key, cause)| (key.to_owned(), cause.clone())).collect()
    }

    /// Waits until the view holds everything that was written when it began to follow.
    ///
    /// Fails where following cannot succeed: no such stream, no permission.
    pub async fn ready(&mut self) -> Result<(), ClientError> {
        let progress = self.progress.wait_for(|progress| progress.ready || progress.failure.is_some()).await;
        let progress = progress.map_err(|_| ClientError::Stopped)?;
        progress.failure.clone().map_or(Ok(()), Err)
    }

    /// Waits until the rows differ from what they were at the last call; several changes may be one wake-up.
    ///
    /// Who needs each change by itself uses [`super::Watch`].
    pub async fn changed(&mut self) -> Result<(), ClientError> {
        self.seen = self.changed_since(self.seen).await?;
        Ok(())
    }

    /// Waits until `accept` holds for the view, looking again after every change.
    pub async fn wait_until(&mut self, mut accept: impl FnMut(&Self) -> bool) -> Result<(), ClientError> {
        loop {
            let seen = self.progress.borrow().revision;
            if accept(self) {
                return Ok(());
            }
            self.changed_since(seen).await?;
        }
    }

    async fn changed_since(&mut self, seen: u64) -> Result<u64, ClientError> {
        let moved = |progress: &Progress| progress.revision != seen || progress.failure.is_some();
        let progress = self.progress.wait_for(moved).await.map_err(|_| ClientError::Stopped)?;
        progress.failure.clone().map_or(Ok(progress.revision), Err)
    }
}

impl<T> Drop for EntityView<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow<T: Entity + DeserializeOwned>(
    stream: StreamHandle,
    rows: Arc<RwLock<Rows<T>>>,
    progress: watch::Sender<Progress>,
) {
    let mut watch = stream.watch(WatchOptions { entity_type: Some(T::TYPE.to_owned()), ..WatchOptions::default() });
    loop {
        match watch.next().await {
            Ok(Some(WatchEvent::Change { change, .. })) => {
                rows.write().apply(change);
                progress.send_modify(|progress| progress.revision += 1);
            }
            Ok(Some(WatchEvent::Reset)) => {
                rows.write().clear();
                progress.send_modify(|progress| progress.revision += 1);
            }
            Ok(Some(WatchEvent::Ready { .. })) => progress.send_modify(|progress| progress.ready = true),
            Ok(Some(WatchEvent::Disconnected { .. })) => {}
            // A closed stream changes no more: what is known stays true, and waiters learn that nothing will come.
            Ok(None) => return,
            Err(error) => return progress.send_modify(|progress| progress.failure = Some(error)),
        }
    }
}

/// What is live, apart by whether it fits `T`.
struct Rows<T> {
    live: View<Arc<T>>,
    faults: View<String>,
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self { live: View::new(), faults: View::new() }
    }
}

impl<T: Entity + DeserializeOwned> Rows<T> {
    fn apply(&mut self, change: Change) {
        let (entity_type, key, deletes) = (&change.entity_type, &change.key, change.is_delete());
        if entity_type != T::TYPE {
            return;
        }
        self.live.remove(entity_type, key);
        self.faults.remove(entity_type, key);
        if deletes {
            return;
        }
        match serde_json::from_value(change.value.unwrap_or_default()) {
            Ok(entity) => drop(self.live.insert(entity_type, key, Arc::new(entity))),
            Err(cause) => drop(self.faults.insert(entity_type, key, cause.to_string())),
        }
    }

    fn clear(&mut self) {
        self.live.clear();
        self.faults.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Deserialize, Serialize};
    use serde_json::json;

    use super::super::scripted::{Reply, Script};

    #[derive(Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
    struct Job {
        id: String,
        runs: u32,
    }

    impl Entity for Job {
        const TYPE: &str = "job";
        const PRIMARY_KEY: &str = "id";

        fn key(&self) -> String {
            self.id.clone()
        }
    }

    fn job(id: &str, runs: u32) -> Change {
        Change::of(&Job { id: id.into(), runs }).unwrap()
    }

    #[test]
    fn rows_are_the_fold_of_the_changes() {
        let mut rows = Rows::<Job>::default();
        for change in [job("a", 1), job("b", 1), job("a", 2), Change::delete("job", "b"), Change::delete("job", "c")]
        {
            rows.apply(change);
        }
        rows.apply(Change::upsert("other", "a", json!({"id": "a", "runs": 9})));
        assert_eq!(rows.live.of_type("job").map(|(_, job)| job.runs).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn an_entity_that_does_not_fit_is_listed_apart_until_it_does() {
        let mut rows = Rows::<Job>::default();
        rows.apply(job("a", 1));
        rows.apply(Change::upsert("job", "a", json!({"id": "a", "runs": "many"})));
        assert!(rows.live.is_empty() && rows.faults.get("job", "a").is_some());
        rows.apply(job("a", 2));
        assert!(rows.faults.is_empty() && rows.live.get("job", "a").unwrap().runs == 2);
    }

    #[tokio::test]
    async fn a_reset_forgets_and_a_change_between_two_calls_is_not_missed() {
        let events = "id: 1\ndata: {\"type\":\"job\",\"key\":\"a\",\"value\":{\"id\":\"a\",\"runs\":1},\
                      \"headers\":{\"operation\":\"upsert\"}}\n\nevent: reset\ndata: {}\n\n\
                      id: 2\ndata: {\"type\":\"job\",\"key\":\"b\",\"value\":{\"id\":\"b\",\"runs\":2},\
                      \"headers\":{\"operation\":\"upsert\"}}\n\nevent: ready\ndata: {\"offset\":\"2\"}\n\n";
        let (_, client) = Script::start([Reply(200, vec![("content-type", "text/event-stream")], events)]).await;
        let mut view = client.stream("jobs").view::<Job>();
        view.ready().await.unwrap();
        view.changed().await.unwrap();
        assert_eq!(view.iter().map(|(key, job)| (key, job.runs)).collect::<Vec<_>>(), [("b".into(), 2)]);
        assert_eq!((view.len(), view.get("a")), (1, None));
        // The script is used up: the next connection is refused for good.
        assert!(view.changed().await.is_err());
    }
}
