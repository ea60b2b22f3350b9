//! When streams end that do not live for ever.
//!
//! One timer per such stream, whether or not memory holds anything else of it. A use does not move it: a timer that is
//! due is looked at, and set again where the stream was used meanwhile. Invariant: no stream ends later than its timer
//! says, but for what it was used.

use std::collections::{BTreeSet, HashMap};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::model::{StreamId, Timestamp};
use crate::runtime::Clock;

#[derive(Default)]
pub(super) struct Timers {
    all: Mutex<All>,
    /// One is due before the others were.
    sooner: Notify,
}

#[derive(Default)]
struct All {
    timers: HashMap<StreamId, Timer>,
    in_order: BTreeSet<(Timestamp, StreamId)>,
}

#[derive(Clone, Copy, Default)]
struct Timer {
    due: Timestamp,
    /// Last use, as it was when the stream's handle was let go.
    used_at: Option<Timestamp>,
}

impl Timers {
    /// Sets a stream's timer, or moves it.
    pub fn set(&self, stream: StreamId, due: Timestamp) {
        let mut guard = self.all.lock();
        let all = &mut *guard;
        let timer = all.timers.entry(stream).or_default();
        all.in_order.remove(&(timer.due, stream));
        all.in_order.insert((due, stream));
        timer.due = due;
        if all.in_order.first() == Some(&(due, stream)) {
            self.sooner.notify_one();
        }
    }

    pub fn remove(&self, stream: StreamId) {
        let mut all = self.all.lock();
        if let Some(timer) = all.timers.remove(&stream) {
            all.in_order.remove(&(timer.due, stream));
        }
    }

    /// Streams whose timer is due. It stays so until it is set or removed.
    pub fn due(&self, now: Timestamp) -> Vec<StreamId> {
        self.all.lock().in_order.iter().take_while(|(due, _)| *due <= now).map(|(_, stream)| *stream).collect()
    }

    /// Waits until a timer is due.
    pub async fn wait(&self, clock: &Clock) {
        loop {
            let next = self.all.lock().in_order.first().map(|(due, _)| *due);
            let Some(next) = next else {
                self.sooner.notified().await;
                continue;
            };
            tokio::select! {
                () = clock.reached(next) => return,
                () = self.sooner.notified() => {}
            }
        }
    }

    /// Keeps when a stream was last used, of which memory lets go.
    pub fn remember(&self, stream: StreamId, used_at: Timestamp) {
        if let Some(timer) = self.all.lock().timers.get_mut(&stream) {
            timer.used_at = Some(used_at);
        }
    }

    /// What was remembered.
    pub fn used_at(&self, stream: StreamId) -> Option<Timestamp> {
        self.all.lock().timers.get(&stream)?.used_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: fn(u64) -> Timestamp = Timestamp::from_millis;

    #[test]
    fn a_timer_is_due_at_its_moment_until_it_is_set_or_removed() {
        let timers = Timers::default();
        for (stream, due) in [(1, 30), (2, 10), (3, 20)] {
            timers.set(StreamId(stream), AT(due));
        }
        assert!(timers.due(AT(9)).is_empty());
        assert_eq!(timers.due(AT(20)), [StreamId(2), StreamId(3)]);
        timers.set(StreamId(2), AT(40));
        timers.remove(StreamId(3));
        assert!(timers.due(AT(29)).is_empty());
        assert_eq!(timers.due(AT(40)), [StreamId(1), StreamId(2)]);
    }

    #[test]
    fn what_is_remembered_goes_with_the_timer() {
        let timers = Timers::default();
        timers.remember(StreamId(1), AT(5));
        assert_eq!(timers.used_at(StreamId(1)), None, "it has no timer");
        timers.set(StreamId(1), AT(10));
        timers.remember(StreamId(1), AT(5));
        timers.set(StreamId(1), AT(15));
        assert_eq!(timers.used_at(StreamId(1)), Some(AT(5)));
        timers.remove(StreamId(1));
        assert_eq!(timers.used_at(StreamId(1)), None);
    }
}
