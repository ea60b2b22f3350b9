//! The threads of an open journal, and how they end.

use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use super::Shared;
use super::cluster::Choice;
use super::queue::{Phase, Queue};

/// How often a spare is tried again that could not be made.
const RETRY: Duration = Duration::from_secs(1);
/// How often the catalogue is tried again that could not be written, and segments are that could not be given back.
const PATIENCE: Duration = Duration::from_secs(5);

/// Times that a group waits for others that are about to join it.
const YIELDS_MAX: usize = 4;

const COMMITTER: &str = "committer";

pub(super) fn start(shared: &Arc<Shared>) -> io::Result<Vec<JoinHandle<()>>> {
    let spawn = |name: &str, run: fn(&Shared)| {
        let shared = shared.clone();
        Builder::new().name(name.into()).spawn(move || run(&shared))
    };
    Ok(vec![spawn(COMMITTER, commit)?, spawn("segments", prepare)?, spawn("upkeep", upkeep)?])
}

/// Lives as long as the journal, even when that is shut: someone has to tell later callers.
fn commit(shared: &Shared) {
    let mut committer = shared.committer.lock();
    loop {
        let mut queue = shared.queue.lock();
        while queue.entries.is_empty() && queue.phase != Phase::Closing && !queue.ended {
            queue.committer_sleeps = true;
            let idle = match committer.needs_mark() && queue.phase == Phase::Open {
                true => shared.work.wait_for(&mut queue, shared.options.mark_after).timed_out(),
                false => {
                    shared.work.wait(&mut queue);
                    false
                }
            };
            queue.committer_sleeps = false;
            if idle && queue.entries.is_empty() {
                drop(queue);
                committer.mark(shared);
                queue = shared.queue.lock();
            }
        }
        let mut queue = gathered(queue, shared);
        let entries = std::mem::take(&mut queue.entries);
        let (phase, ended) = (queue.phase, queue.ended);
        drop(queue);
        if !entries.is_empty() {
            committer.step(shared, entries, shared.options.clock.now());
        } else if phase == Phase::Closing {
            if !committer.needs_mark() || committer.mark(shared) {
                shared.shut();
            }
        } else if ended {
            return;
        }
    }
}

/// Lets whoever is about to stage something do so first, where they wait for this processor: one barrier is theirs too.
/// There is no timer in it: where processors are idle, this is over at once.
fn gathered<'q>(queue: MutexGuard<'q, Queue>, shared: &'q Shared) -> MutexGuard<'q, Queue> {
    let mut queue = queue;
    for _ in 0..YIELDS_MAX {
        let staged = queue.entries.len();
        drop(queue);
        std::thread::yield_now();
        queue = shared.queue.lock();
        if queue.entries.len() == staged {
            break;
        }
    }
    queue
}

fn prepare(shared: &Shared) {
    let mut again = true;
    loop {
        let mut queue = shared.queue.lock();
        if queue.phase != Phase::Open || queue.ended {
            return;
        }
        match queue.space.wanted() {
            Some(size) if again || !queue.space.is_failing() => {
                drop(queue);
                again = shared.make_spare(size);
            }
            Some(_) => {
                shared.wanted.wait_for(&mut queue, RETRY);
                again = true;
            }
            None => {
                shared.wanted.wait(&mut queue);
                again = true;
            }
        }
    }
}

fn upkeep(shared: &Shared) {
    loop {
        let queue = shared.queue.lock();
        if queue.phase != Phase::Open || queue.ended {
            return;
        }
        drop(queue);
        shared.write_catalogue();
        shared.reclaim();
        if shared.cluster(Choice::Worth) {
            // There may be more, and what was replaced can go.
            shared.jobs.notify();
        }
        shared.jobs.wait(PATIENCE);
    }
}

/// Writes what is staged, proves it, and ends the threads but for the committer's.
pub(super) fn close(shared: &Shared, threads: &Mutex<Vec<JoinHandle<()>>>) {
    let mut queue = shared.queue.lock();
    if queue.phase == Phase::Open {
        queue.phase = Phase::Closing;
    }
    // Also who waits for room: its lock may be what a completion waits for.
    shared.wake_all();
    while queue.phase == Phase::Closing {
        shared.room.wait(&mut queue);
    }
    drop(queue);
    shared.wake_all();
    let mut threads = threads.lock();
    let (committer, others): (Vec<_>, Vec<_>) =
        threads.drain(..).partition(|thread| thread.thread().name() == Some(COMMITTER));
    *threads = committer;
    join(others);
}

/// Ends all threads.
pub(super) fn end(shared: &Shared, threads: &Mutex<Vec<JoinHandle<()>>>) {
    shared.queue.lock().ended = true;
    shared.wake_all();
    join(std::mem::take(&mut *threads.lock()));
}

fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        // A completion may hold the last handle: then this is the committer's own thread.
        if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
            tracing::error!("a thread of the journal has panicked");
        }
    }
}
