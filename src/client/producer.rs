//! A writer that outlives cuts: changes go out in batches, in order, each applied once whatever is retried.
//!
//! It decides what becomes a batch, which answers mean "again", "as a newer incarnation" or "never", and stops at the
//! first batch that can never be delivered: later changes may rest on it. What is handed in and not yet acknowledged is
//! bounded in changes and in bytes; a producer that is full makes its callers wait.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Method, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout_at};

use super::error::is_transient;
use super::{Backoff, Change, ClientError, Entity, Problem, StreamHandle};
use crate::model::{ProducerEpoch, ProducerId, ProducerSeq};
use crate::runtime::Clock;

/// How a producer names itself, batches and retries.
#[derive(Clone, Debug)]
pub struct ProducerOptions {
    /// Its name across restarts; two live producers of one stream must not share it.
    pub id: String,
    /// Its incarnation. By default the time of its start in milliseconds, so that a restart is a newer one. Where it
    /// turns out to be taken, the producer goes on above it.
    pub epoch: Option<u64>,
    /// Most changes handed in and not yet sent.
    pub buffer_changes_max: usize,
    /// Most bytes of changes handed in and not yet acknowledged; a single larger change waits until it is alone.
    pub buffer_bytes_max: usize,
    pub batch_changes_max: usize,
    /// Largest batch, in bytes; a single larger change is a batch of its own.
    pub batch_bytes_max: usize,
    /// How long a change may wait for others to share its batch.
    pub linger: Duration,
    /// How long an answer may take before the batch is sent again.
    pub timeout: Duration,
    pub backoff: Backoff,
    /// How long one batch is retried before the producer gives up.
    pub retry_for: Duration,
}

impl ProducerOptions {
    pub fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            epoch: None,
            buffer_changes_max: 4096,
            buffer_bytes_max: 8 << 20,
            batch_changes_max: 512,
            batch_bytes_max: 1 << 20,
            linger: Duration::from_millis(2),
            timeout: Duration::from_secs(10),
            backoff: Backoff::default(),
            retry_for: Duration::from_secs(120),
        }
    }
}

/// Counts since the producer's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProducerStats {
    /// Changes acknowledged.
    pub delivered: u64,
    /// Batches acknowledged.
    pub batches: u64,
    /// Requests sent again.
    pub retries: u64,
    /// How often another incarnation was found and overtaken.
    pub fenced: u64,
}

/// A producer of one type. Clones share the buffer, the order and the producer's identity.
pub struct Producer<T> {
    changes: ChangeProducer,
    entity: PhantomData<fn(&T)>,
}

impl<T> Clone for Producer<T> {
    fn clone(&self) -> Self {
        Self { changes: self.changes.clone(), entity: PhantomData }
    }
}

impl<T: Entity> Producer<T> {
    /// Hands in the entity's value; waits while the buffer is full. Fails once the producer has stopped.
    pub async fn upsert(&self, entity: &T) -> Result<(), ClientError> {
        self.changes.send(&Change::of(entity)?).await
    }

    /// Hands in the entity's deletion.
    pub async fn delete(&self, key: &str) -> Result<(), ClientError> {
        self.changes.send(&Change::delete(T::TYPE, key)).await
    }

    /// See [`ChangeProducer::flush`].
    pub async fn flush(&self) -> Result<(), ClientError> {
        self.changes.flush().await
    }

    /// See [`ChangeProducer::close`].
    pub async fn close(self) -> Result<(), ClientError> {
        self.changes.close().await
    }

    pub fn stats(&self) -> ProducerStats {
        self.changes.stats()
    }
}

/// A producer of any type of its stream. Clones share the buffer, the order and the producer's identity.
#[derive(Clone)]
pub struct ChangeProducer {
    commands: mpsc::Sender<Command>,
    shared: Arc<Shared>,
}

struct Shared {
    /// Bytes that may still be handed in.
    room: Arc<Semaphore>,
    buffer_bytes_max: usize,
    failure: OnceLock<ClientError>,
    delivered: AtomicU64,
    batches: AtomicU64,
    retries: AtomicU64,
    fenced: AtomicU64,
}

enum Command {
    Change(Encoded),
    Flush(oneshot::Sender<()>),
}

struct Encoded {
    json: Vec<u8>,
    /// Given back when the change is acknowledged or the producer stops.
    _room: OwnedSemaphorePermit,
}

impl ChangeProducer {
    /// Spawns the sending task; needs a running tokio runtime.
    pub(super) fn start(stream: StreamHandle, options: ProducerOptions) -> Self {
        let (commands, queue) = mpsc::channel(options.buffer_changes_max.max(1));
        // A permit is counted in 32 bits.
        let buffer_bytes_max = options.buffer_bytes_max.clamp(1, u32::MAX as usize);
        let shared = Arc::new(Shared {
            room: Arc::new(Semaphore::new(buffer_bytes_max)),
            buffer_bytes_max,
            failure: OnceLock::new(),
            delivered: AtomicU64::new(0),
            batches: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            fenced: AtomicU64::new(0),
        });
        tokio::spawn(run(stream, options, queue, Arc::clone(&shared)));
        Self { commands, shared }
    }

    /// The same producer, for entities of one type.
    pub fn typed<T: Entity>(&self) -> Producer<T> {
        Producer { changes: self.clone(), entity: PhantomData }
    }

    /// Hands in a change; waits while the buffer is full. Fails once the producer has stopped.
    pub async fn send(&self, change: &Change) -> Result<(), ClientError> {
        let json = serde_json::to_vec(change).map_err(|cause| ClientError::Unsendable(cause.to_string()))?;
        let bytes = json.len().min(self.shared.buffer_bytes_max) as u32;
        let room = Arc::clone(&self.shared.room).acquire_many_owned(bytes).await.map_err(|_| self.failure())?;
        self.commands.send(Command::Change(Encoded { json, _room: room })).await.map_err(|_| self.failure())
    }

    /// Waits until everything handed in before is acknowledged, which means durable.
    ///
    /// Fails with the first refusal that cannot pass, or the last error after [`ProducerOptions::retry_for`]. The
    /// producer has stopped then: the refused batch and all that followed it are not written, unless the error says
    /// that this is unknown.
    pub async fn flush(&self) -> Result<(), ClientError> {
        let (done, wait) = oneshot::channel();
        self.commands.send(Command::Flush(done)).await.map_err(|_| self.failure())?;
        wait.await.map_err(|_| self.failure())
    }

    /// Flushes and lets go of this handle. The stream stays open; other clones keep working.
    ///
    /// A handle that is dropped instead still has its changes sent while the runtime lives, but nobody learns of a
    /// failure.
    pub async fn close(self) -> Result<(), ClientError> {
        self.flush().await
    }

    pub fn stats(&self) -> ProducerStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ProducerStats {
            delivered: read(&self.shared.delivered),
            batches: read(&self.shared.batches),
            retries: read(&self.shared.retries),
            fenced: read(&self.shared.fenced),
        }
    }

    fn failure(&self) -> ClientError {
        self.shared.failure.get().cloned().unwrap_or(ClientError::Stopped)
    }
}

/// The sending task: ends with the last handle, or at the first batch that can never be delivered.
async fn run(stream: StreamHandle, options: ProducerOptions, queue: mpsc::Receiver<Command>, shared: Arc<Shared>) {
    let sender = Sender::new(stream, options.clone(), Arc::clone(&shared));
    let mut gather = Gather { queue, options, kept: None };
    let outcome = match sender {
        Ok(mut sender) => loop {
            let Some(batch) = gather.next().await else {
                break Ok(());
            };
            if let Err(error) = sender.deliver(&batch.changes).await {
                break Err(error);
            }
            for waiter in batch.waiting {
                // Who no longer waits needs no answer.
                let _ = waiter.send(());
            }
        },
        Err(error) => Err(error),
    };
    if let Err(error) = outcome {
        // Set before the queue and the room are closed: whoever is woken by that looks here for the reason.
        shared.failure.get_or_init(|| error);
        shared.room.close();
    }
}

/// Turns the queue into batches.
struct Gather {
    queue: mpsc::Receiver<Command>,
    options: ProducerOptions,
    /// A change that did not fit into the batch before.
    kept: Option<Encoded>,
}

#[derive(Default)]
struct Batch {
    changes: Vec<Encoded>,
    bytes: usize,
    /// Who waits for the changes up to here.
    waiting: Vec<oneshot::Sender<()>>,
}

impl Batch {
    fn push(&mut self, change: Encoded) {
        self.bytes += change.json.len() + 1;
        self.changes.push(change);
    }
}

impl Gather {
    /// The next batch, perhaps only a flush without changes; `None` once all handles are gone.
    async fn next(&mut self) -> Option<Batch> {
        let mut batch = Batch::default();
        match self.kept.take() {
            Some(change) => batch.push(change),
            None => {
                let command = self.queue.recv().await?;
                self.put(&mut batch, command);
            }
        }
        let deadline = Instant::now() + self.options.linger;
        while self.kept.is_none() && batch.waiting.is_empty() && self.has_room(&batch) {
            match timeout_at(deadline, self.queue.recv()).await {
                Ok(Some(command)) => self.put(&mut batch, command),
                Ok(None) | Err(_) => break,
            }
        }
        Some(batch)
    }

    fn has_room(&self, batch: &Batch) -> bool {
        batch.changes.len() < self.options.batch_changes_max && batch.bytes < self.options.batch_bytes_max
    }

    fn put(&mut self, batch: &mut Batch, command: Command) {
        match command {
            Command::Flush(waiter) => batch.waiting.push(waiter),
            Command::Change(change)
                if !batch.changes.is_empty() && batch.bytes + change.json.len() > self.options.batch_bytes_max =>
            {
                self.kept = Some(change);
            }
            Command::Change(change) => batch.push(change),
        }
    }
}

/// Delivers batches, one at a time, under a producer tuple.
struct Sender {
    stream: StreamHandle,
    options: ProducerOptions,
    shared: Arc<Shared>,
    path: String,
    id: ProducerId,
    epoch: ProducerEpoch,
    seq: ProducerSeq,
}

/// What stands between a batch and its delivery.
#[derive(Debug, PartialEq, Eq)]
enum Obstacle {
    /// Another incarnation has written, or writes under this very epoch; go on above it.
    Fenced {
        current: ProducerEpoch,
    },
    Passing,
    Lasting,
}

impl Sender {
    /// Overtaking another incarnation more often than this for one batch means that somebody overtakes us each time.
    const FENCED_MAX: u32 = 8;

    fn new(stream: StreamHandle, options: ProducerOptions, shared: Arc<Shared>) -> Result<Self, ClientError> {
        let unsendable = |what: &str| ClientError::Unsendable(what.to_owned());
        let visible = options.id.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        let id = ProducerId::parse(&options.id).filter(|_| visible);
        let epoch = options.epoch.unwrap_or_else(|| Clock::system().now().as_millis());
        Ok(Self {
            path: stream.protocol_path()?,
            id: id.ok_or_else(|| unsendable("a producer id is 1 to 1,024 visible ASCII characters"))?,
            epoch: ProducerEpoch::new(epoch).ok_or_else(|| unsendable("a producer epoch is at most 2^53 - 1"))?,
            seq: ProducerSeq::ZERO,
            stream,
            options,
            shared,
        })
    }

    /// Returns once the batch is acknowledged; the same bytes are sent under the same seq until then.
    async fn deliver(&mut self, changes: &[Encoded]) -> Result<(), ClientError> {
        if changes.is_empty() {
            return Ok(());
        }
        let body = array(changes);
        let give_up = Instant::now() + self.options.retry_for;
        let (mut attempt, mut fenced) = (0, 0);
        let mut may_be_written = false;
        loop {
            let Err((obstacle, error)) = self.post(body.clone(), may_be_written).await else {
                return self.count(changes.len());
            };
            may_be_written |= error.may_be_written();
            match obstacle {
                Obstacle::Lasting => return Err(error),
                Obstacle::Fenced { current } => {
                    fenced += 1;
                    self.overtake(current, fenced, &error)?;
                    may_be_written = false;
                    if fenced == 1 {
                        continue;
                    }
                }
                Obstacle::Passing => {}
            }
            let delay = self.options.backoff.delay(attempt, error.retry_after());
            if Instant::now() + delay > give_up {
                return Err(error);
            }
            attempt += 1;
            self.shared.retries.fetch_add(1, Ordering::Relaxed);
            sleep(delay).await;
        }
    }

    /// Sends once. `may_be_written` says whether an earlier attempt under the same tuple may have arrived.
    async fn post(&self, body: Bytes, may_be_written: bool) -> Result<(), (Obstacle, ClientError)> {
        let client = self.stream.client();
        let request = client
            .request(Method::POST, &self.path)
            .header(CONTENT_TYPE, "application/json")
            .header("Producer-Id", self.id.as_str())
            .header("Producer-Epoch", self.epoch.get())
            .header("Producer-Seq", self.seq.get())
            .timeout(self.options.timeout)
            .body(body);
        let transport = |cause| (Obstacle::Passing, ClientError::transport(client.base_url(), cause));
        let response = request.send().await.map_err(transport)?;
        match judge(response.status(), response.headers()) {
            // Known to the server and not from us: it is somebody else's batch that was stored under this tuple.
            None if response.status() == StatusCode::NO_CONTENT && !may_be_written => {
                let taken =
                    ClientError::Answer(format!("producer {} writes elsewhere under epoch {}", self.id, self.epoch));
                Err((Obstacle::Fenced { current: self.epoch }, taken))
            }
            None => Ok(()),
            Some(obstacle) => Err((obstacle, Problem::read(response).await.into())),
        }
    }

    fn overtake(&mut self, current: ProducerEpoch, times: u32, error: &ClientError) -> Result<(), ClientError> {
        let above = ProducerEpoch::new(current.get() + 1).filter(|_| times <= Self::FENCED_MAX);
        self.epoch = above.ok_or_else(|| error.clone())?;
        self.seq = ProducerSeq::ZERO;
        self.shared.fenced.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn count(&mut self, changes: usize) -> Result<(), ClientError> {
        self.shared.delivered.fetch_add(changes as u64, Ordering::Relaxed);
        self.shared.batches.fetch_add(1, Ordering::Relaxed);
        let spent = || ClientError::Unsendable("the producer's sequence numbers are used up".into());
        self.seq = ProducerSeq::new(self.seq.get() + 1).ok_or_else(spent)?;
        Ok(())
    }
}

/// What a status puts in the batch's way. Source: PROTOCOL.md §5.2.1.
fn judge(status: StatusCode, headers: &HeaderMap) -> Option<Obstacle> {
    if status.is_success() {
        return None;
    }
    if is_transient(status) {
        return Some(Obstacle::Passing);
    }
    let epoch = headers.get("Producer-Epoch").and_then(|value| value.to_str().ok()).and_then(ProducerEpoch::parse);
    Some(match epoch {
        Some(current) if status == StatusCode::FORBIDDEN => Obstacle::Fenced { current },
        _ => Obstacle::Lasting,
    })
}

fn array(changes: &[Encoded]) -> Bytes {
    let mut body = Vec::with_capacity(changes.iter().map(|change| change.json.len() + 1).sum::<usize>() + 1);
    for (index, change) in changes.iter().enumerate() {
        body.push(if index == 0 { b'[' } else { b',' });
        body.extend_from_slice(&change.json);
    }
    body.push(b']');
    body.into()
}

#[cfg(test)]
mod tests {
    use super::super::scripted::{Reply, Script};
    use super::*;
    use serde_json::json;

    fn quick(id: &str) -> ProducerOptions {
        let backoff = Backoff { base: Duration::from_millis(1), max: Duration::from_millis(5) };
        ProducerOptions { epoch: Some(3), backoff, ..ProducerOptions::new(id) }
    }

    fn change(key: &str) -> Change {
        Change::upsert("job", key, json!({"id": key}))
    }

    fn ok() -> Reply {
        Reply(200, vec![], "")
    }

    #[tokio::test]
    async fn changes_handed_in_together_are_one_batch_in_order() {
        let (script, client) = Script::start([ok(), ok()]).await;
        let producer = client.stream("jobs").producer_with(quick("p"));
        for key in ["a", "b", "c"] {
            producer.send(&change(key)).await.unwrap();
        }
        producer.flush().await.unwrap();
        producer.send(&change("d")).await.unwrap();
        let counts = producer.stats();
        producer.close().await.unwrap();
        assert_eq!((counts.delivered, counts.batches), (3, 1));
        assert_eq!(script.appends(), ["3.0 a+b+c", "3.1 d"]);
    }

    #[tokio::test]
    async fn a_passing_fault_repeats_the_same_batch_under_the_same_seq() {
        let (script, client) = Script::start([
            Reply(503, vec![("retry-after", "0")], ""),
            Reply(429, vec![], ""),
            Reply(500, vec![], ""),
            Reply(204, vec![], ""),
        ])
        .await;
        let producer = client.stream("jobs").producer_with(quick("p"));
        producer.send(&change("a")).await.unwrap();
        producer.flush().await.unwrap();
        assert_eq!(script.appends(), ["3.0 a"; 4]);
        assert_eq!(producer.stats(), ProducerStats { delivered: 1, batches: 1, retries: 3, fenced: 0 });
    }

    #[tokio::test]
    async fn a_fenced_producer_goes_on_above_with_the_same_batch() {
        let (script, client) = Script::start([ok(), Reply(403, vec![("producer-epoch", "7")], ""), ok(), ok()]).await;
        let producer = client.stream("jobs").producer_with(quick("p"));
        for key in ["a", "b", "c"] {
            producer.send(&change(key)).await.unwrap();
            producer.flush().await.unwrap();
        }
        assert_eq!(script.appends(), ["3.0 a", "3.1 b", "8.0 b", "8.1 c"]);
    }

    #[tokio::test]
    async fn what_counts_as_repeated_without_having_been_sent_is_another_incarnations() {
        let (script, client) =
            Script::start([ok(), Reply(204, vec![], ""), ok(), Reply(429, vec![], ""), Reply(204, vec![], ""), ok()])
                .await;
        let producer = client.stream("jobs").producer_with(quick("p"));
        for key in ["a", "b", "c"] {
            producer.send(&change(key)).await.unwrap();
            producer.flush().await.unwrap();
        }
        assert_eq!(script.appends(), ["3.0 a", "3.1 b", "4.0 b", "4.1 c", "4.1 c", "5.0 c"]);
    }

    #[tokio::test]
    async fn two_producers_that_fence_each_other_do_not_fight_for_ever() {
        let fenced = || Reply(403, vec![("producer-epoch", "7")], "");
        let (script, client) = Script::start((0..20).map(|_| fenced())).await;
        let producer = client.stream("jobs").producer_with(quick("p"));
        producer.send(&change("a")).await.unwrap();
        assert_eq!(producer.flush().await.unwrap_err().status(), Some(StatusCode::FORBIDDEN));
        assert_eq!(script.asked().len(), Sender::FENCED_MAX as usize + 1);
    }

    #[tokio::test]
    async fn a_lasting_refusal_is_told_to_everyone_and_nothing_follows_it() {
        let body = r#"{"title":"Invalid","detail":"no","errors":[{"index":0,"pointer":"/id","message":"m"}]}"#;
        let (script, client) = Script::start([Reply(422, vec![], body), ok()]).await;
        let producer = client.stream("jobs").producer_with(quick("p"));
        producer.send(&change("a")).await.unwrap();
        let refusal = producer.flush().await.unwrap_err();
        assert_eq!(refusal.problem().unwrap().errors[0].pointer, "/id");
        for error in [producer.send(&change("b")).await, producer.flush().await, producer.clone().close().await] {
            assert_eq!(error.unwrap_err().status(), Some(StatusCode::UNPROCESSABLE_ENTITY));
        }
        assert_eq!(script.appends(), ["3.0 a"]);
    }

    #[tokio::test]
    async fn an_unreachable_server_is_given_up_after_the_time_allowed() {
        let client = super::super::Client::new("http://127.0.0.1:1").unwrap();
        let options = ProducerOptions { retry_for: Duration::from_millis(30), ..quick("p") };
        let producer = client.stream("jobs").producer_with(options);
        producer.send(&change("a")).await.unwrap();
        assert!(matches!(producer.flush().await, Err(ClientError::Unreachable { .. })));
        assert!(producer.stats().retries > 0);
    }

    #[tokio::test]
    async fn a_full_buffer_makes_its_callers_wait() {
        let client = super::super::Client::new("http://127.0.0.1:1").unwrap();
        let options = ProducerOptions { buffer_bytes_max: 160, ..quick("p") };
        let producer = client.stream("jobs").producer_with(options);
        producer.send(&change("a")).await.unwrap();
        producer.send(&change("b")).await.unwrap();
        let third = change("c");
        let waiting = tokio::time::timeout(Duration::from_millis(50), producer.send(&third)).await;
        assert!(
            waiting.is_err(),
            "a third change found room for {} bytes",
            serde_json::to_vec(&third).unwrap().len()
        );
    }

    #[tokio::test]
    async fn batches_keep_within_their_bounds() {
        let (script, client) = Script::start((0..4).map(|_| ok())).await;
        let options = ProducerOptions { batch_changes_max: 2, ..quick("p") };
        let producer = client.stream("jobs").producer_with(options);
        for key in ["a", "b", "c", "d", "e"] {
            producer.send(&change(key)).await.unwrap();
        }
        producer.close().await.unwrap();
        assert_eq!(script.appends(), ["3.0 a+b", "3.1 c+d", "3.2 e"]);

        let (script, client) = Script::start((0..4).map(|_| ok())).await;
        let producer = client.stream("jobs").producer_with(ProducerOptions { batch_bytes_max: 160, ..quick("p") });
        for key in ["a", "b", "c", "d", "e"] {
            producer.send(&change(key)).await.unwrap();
        }
        producer.close().await.unwrap();
        assert_eq!(script.appends(), ["3.0 a+b", "3.1 c+d", "3.2 e"]);
    }

    #[tokio::test]
    async fn a_producer_without_a_usable_name_says_so() {
        let client = super::super::Client::new("http://127.0.0.1:1").unwrap();
        let producer = client.stream("jobs").producer_with(quick("naïve"));
        assert!(matches!(producer.flush().await, Err(ClientError::Unsendable(_))));
    }
}
