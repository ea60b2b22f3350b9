//! A simulated fleet: workers that run executions and an orchestrator that runs sagas, all through the public API.
//!
//! It decides the pace and how much is alive at once; what a step changes is in [`super::entities`]. Its invariant: the
//! number of live entities is bounded, so that a demo can run for days.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::entities::{Execution, Job, Saga};
use crate::client::{Binding, Client, ClientError, Producer, ProducerOptions, ProducerStats};
use crate::model::Timestamp;
use crate::runtime::Clock;

pub const WORKERS_STREAM: &str = "netscript/workers";
pub const SAGAS_STREAM: &str = "netscript/sagas";

/// How large and how busy the fleet is.
#[derive(Clone, Debug)]
pub struct FleetOptions {
    /// Executions that run at the same time.
    pub workers: usize,
    /// Sagas in flight at the same time.
    pub sagas: usize,
    /// Finished entities that are kept; older ones are deleted.
    pub kept: usize,
    /// Time between two steps of everything that is alive.
    pub pace: Duration,
    /// When to stop; never if left out.
    pub stop_after: Option<Duration>,
}

impl Default for FleetOptions {
    fn default() -> Self {
        Self { workers: 12, sagas: 6, kept: 20, pace: Duration::from_millis(400), stop_after: None }
    }
}

/// What the fleet has done so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct FleetProgress {
    pub elapsed: Duration,
    pub executions: ProducerStats,
    pub sagas: ProducerStats,
}

/// Writes until it is told to stop or a write is refused. Its streams are bound already: see [`prepare`].
///
/// `progress` is called about every five seconds.
pub async fn run_fleet(
    client: &Client,
    options: FleetOptions,
    mut progress: impl FnMut(FleetProgress),
) -> Result<FleetProgress, ClientError> {
    let workers = client.stream(WORKERS_STREAM).producer_with(ProducerOptions::new("demo-workers"));
    let sagas = client.stream(SAGAS_STREAM).producer::<Saga>("demo-sagas");
    let jobs = workers.typed::<Job>();
    for job in Job::all() {
        jobs.upsert(&job).await?;
    }
    let mut fleet = Fleet::new(options.clone(), workers.typed(), sagas.clone());
    let begun = Instant::now();
    let (mut steps, mut reports) = (interval(options.pace), interval(Duration::from_secs(5)));
    steps.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is immediate, and there is nothing to tell yet.
    reports.tick().await;
    let so_far = || FleetProgress { elapsed: begun.elapsed(), executions: workers.stats(), sagas: sagas.stats() };
    while options.stop_after.is_none_or(|limit| begun.elapsed() < limit) {
        tokio::select! {
            _ = steps.tick() => fleet.step().await?,
            _ = reports.tick() => progress(so_far()),
        }
    }
    workers.flush().await?;
    sagas.flush().await?;
    Ok(so_far())
}

/// Registers the published documents and binds the streams that they rule.
pub async fn prepare(client: &Client) -> Result<(), ClientError> {
    for (subject, document) in super::DOCUMENTS {
        let document = serde_json::from_str(document).expect("a published document is JSON: a test reads each");
        client.register(subject, &document).await?;
    }
    for (subject, pattern) in super::PATTERNS {
        let binding = Binding::new(pattern, subject).with("validation", "quarantine");
        // These producers start at epoch 0 in every process, and one of their tools closes streams.
        let binding = if pattern.starts_with("netscript/") {
            binding.with("producers", "epoch_floor").with("close", "ignore")
        } else {
            binding
        };
        client.bind(subject, &binding).await?;
    }
    Ok(())
}

struct Fleet {
    options: FleetOptions,
    clock: Clock,
    random: fastrand::Rng,
    executions: Producer<Execution>,
    sagas: Producer<Saga>,
    running: Vec<(Execution, Timestamp)>,
    over: VecDeque<Execution>,
    open: Vec<Saga>,
    closed: VecDeque<Saga>,
    orders: u64,
}

impl Fleet {
    fn new(options: FleetOptions, executions: Producer<Execution>, sagas: Producer<Saga>) -> Self {
        Self {
            options,
            clock: Clock::system(),
            random: fastrand::Rng::new(),
            executions,
            sagas,
            running: Vec::new(),
            over: VecDeque::new(),
            open: Vec::new(),
            closed: VecDeque::new(),
            orders: 0,
        }
    }

    /// About half of what is alive moves on; what is over makes room for something new.
    async fn step(&mut self) -> Result<(), ClientError> {
        let now = self.clock.now();
        self.step_executions(now).await?;
        self.step_sagas(now).await
    }

    async fn step_executions(&mut self, now: Timestamp) -> Result<(), ClientError> {
        let jobs = Job::all();
        if self.running.len() < self.options.workers {
            let job = &jobs[self.random.usize(..jobs.len())];
            let execution = Execution::triggered(uuid(&mut self.random), job, now);
            self.executions.upsert(&execution).await?;
            self.running.push((execution, now));
        }
        let mut index = 0;
        while index < self.running.len() {
            if self.random.bool() {
                let worker = format!("worker-{}", index + 1);
                let (execution, since) = &mut self.running[index];
                execution.advance(&worker, self.random.f64(), now, now.since(*since).as_millis() as u64);
                if execution.status == "running" {
                    *since = now;
                }
                self.executions.upsert(execution).await?;
            }
            if self.running[index].0.is_over() {
                let (execution, _) = self.running.swap_remove(index);
                self.retire_execution(execution, now).await?;
            } else {
                index += 1;
            }
        }
        Ok(())
    }

    /// Tries a failed execution again, keeps a finished one for a while, deletes the oldest.
    async fn retire_execution(&mut self, execution: Execution, now: Timestamp) -> Result<(), ClientError> {
        if execution.status == "failed" && execution.attempt < 3 {
            self.running.push((execution, now));
            return Ok(());
        }
        self.over.push_back(execution);
        if self.over.len() > self.options.kept {
            let oldest = self.over.pop_front().expect("just found to be longer than a bound");
            self.executions.delete(&oldest.id).await?;
        }
        Ok(())
    }

    async fn step_sagas(&mut self, now: Timestamp) -> Result<(), ClientError> {
        if self.open.len() < self.options.sagas && self.random.f64() < 0.6 {
            // Unique over restarts of the demo on the same data: a saga's version only grows.
            self.orders += 1;
            let saga = Saga::started(now.as_millis() / 1000 % 1_000_000 * 100 + self.orders % 100, now);
            self.sagas.upsert(&saga).await?;
            self.open.push(saga);
        }
        for saga in &mut self.open {
            if self.random.bool() {
                saga.advance(self.random.f64(), now);
                self.sagas.upsert(saga).await?;
            }
        }
        let (over, open) = std::mem::take(&mut self.open).into_iter().partition(Saga::is_over);
        self.open = open;
        let over: Vec<Saga> = over;
        self.closed.extend(over);
        while self.closed.len() > self.options.kept {
            let oldest = self.closed.pop_front().expect("just found to be longer than a bound");
            self.sagas.delete(&oldest.instance_id).await?;
        }
        Ok(())
    }
}

/// A version 4 UUID, as the workers' schema asks for. Source: RFC 9562 §5.4.
fn uuid(random: &mut fastrand::Rng) -> String {
    let bits = (random.u128(..) & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_of_version_4() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..100 {
            let text = uuid(&mut random);
            assert_eq!((text.len(), text.as_bytes()[14]), (36, b'4'), "{text}");
            assert!(b"89ab".contains(&text.as_bytes()[19]), "{text}");
        }
    }
}
