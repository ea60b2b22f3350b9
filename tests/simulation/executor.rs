//! A scheduler that can be repeated: one task moves at a time, and who that is was decided by the caller.
//!
//! The engine hands long reads to tokio's blocking threads. Here there is one such thread, and it is kept busy while a
//! task is polled: what the task hands over is never done before the poll ends, and always done before the next one
//! begins. So each poll ends at the same place in every run of a seed.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll, Wake, Waker};

pub struct Executor {
    runtime: tokio::runtime::Runtime,
}

/// A future, and whether it was woken since its last poll.
pub struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    woken: Arc<Flag>,
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Task {
    pub fn new(future: impl Future<Output = ()> + 'static) -> Self {
        Self { future: Box::pin(future), woken: Arc::new(Flag(AtomicBool::new(true))) }
    }

    pub fn is_ready(&self) -> bool {
        self.woken.0.load(Ordering::SeqCst)
    }

    pub fn wake(&self) {
        self.woken.clone().wake();
    }
}

impl Executor {
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).enable_time().build();
        Self { runtime: runtime.unwrap() }
    }

    /// Moves a task as far as it goes, and does what it handed over. True once it has ended.
    pub fn poll(&self, task: &mut Task) -> bool {
        task.woken.0.store(false, Ordering::SeqCst);
        let waker = Waker::from(task.woken.clone());
        let (open, gate) = mpsc::channel::<()>();
        let _inside = self.runtime.enter();
        self.runtime.spawn_blocking(move || _ = gate.recv());
        let polled = task.future.as_mut().poll(&mut Context::from_waker(&waker));
        drop(open);
        let (done, all_done) = mpsc::channel();
        self.runtime.spawn_blocking(move || done.send(()));
        all_done.recv().unwrap();
        polled == Poll::Ready(())
    }
}

/// Lets the scheduler decide again.
pub async fn pause() {
    let mut paused = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut paused, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
