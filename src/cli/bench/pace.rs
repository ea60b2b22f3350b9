//! When requests are due in an open loop: evenly, whatever becomes of the ones before.
//!
//! A thread of its own, since the runtime's timer has a resolution of a millisecond: many requests would be due at once.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::load::Run;

/// How long it sleeps at most before it looks whether the run is over.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Sends the moments at which requests are due, until the run is over.
pub fn pace(run: Arc<Run>, per_second: f64, due: mpsc::UnboundedSender<Instant>) {
    let began = Instant::now();
    let mut number = 0_u64;
    while !run.is_over() {
        let next = began + Duration::from_secs_f64(number as f64 / per_second);
        match next.checked_duration_since(Instant::now()).filter(|wait| !wait.is_zero()) {
            Some(wait) => thread::sleep(wait.min(LOOK_AGAIN)),
            None if due.send(next).is_err() => return,
            None => number += 1,
        }
    }
}
