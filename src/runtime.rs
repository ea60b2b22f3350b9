//! Time from outside: the one place that asks the machine, and the clock that tests set.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::model::Timestamp;

/// The machine's clock may be set: how long nobody looks at it at most.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What the time is. Cheap to clone; all clones agree.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<watch::Sender<Timestamp>>),
}

impl Clock {
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still until [`Clock::advance`] or [`Clock::set`].
    pub fn manual(start: Timestamp) -> Self {
        Self(Source::Manual(Arc::new(watch::Sender::new(start))))
    }

    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => system_now(),
            Source::Manual(now) => *now.borrow(),
        }
    }

    /// Moves a manual clock; the system's cannot be moved.
    pub fn advance(&self, span: Duration) {
        if let Source::Manual(now) = &self.0 {
            now.send_modify(|now| *now = now.after(span));
        }
    }

    /// Sets a manual clock, perhaps back; the system's cannot be set.
    pub fn set(&self, moment: Timestamp) {
        if let Source::Manual(now) = &self.0 {
            now.send_replace(moment);
        }
    }

    /// Waits until it is `moment`, also where the clock is set meanwhile.
    pub async fn reached(&self, moment: Timestamp) {
        match &self.0 {
            Source::System => {
                while self.now() < moment {
                    tokio::time::sleep(moment.since(self.now()).min(LOOK_AGAIN)).await;
                }
            }
            // The sender lives as long as `self`.
            Source::Manual(now) => drop(now.subscribe().wait_for(|now| *now >= moment).await),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is where the time comes from")]
fn system_now() -> Timestamp {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::from_millis(since_epoch.map_or(0, |span| span.as_millis() as u64))
}
