//! Readers, one file per way of reading. Each keeps what it received, resumes after every cut, and notes what it
//! holds whenever the server says that this is everything.

mod client;
mod entities;
mod events;
mod protocol;
mod snapshot;
mod sse;

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::sleep;

use super::case::control;
use super::http::{Answer, Temper};
use super::oracle::{self, Change, Filter, Ledger, Mark, State};
use super::server::Server;

/// A way in which changes reach a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    RawPages,
    RawLongPoll,
    RawSse,
    FoldedPages,
    FoldedLongPoll,
    FoldedSse,
    /// Plain reads of a stream whose binding folds them; any of the three transports.
    FoldedByBinding,
    Events,
    FilteredEvents,
    Snapshot,
    SnapshotLines,
    Entities,
    ClientWatch,
    ClientView,
}

/// What an unfolded reader received, by its name.
pub type Received = Option<(String, Vec<Change>)>;

/// What every reader has.
pub struct Reader {
    pub name: String,
    nth: usize,
    pub server: Arc<Server>,
    pub filter: Filter,
    pub rng: Rng,
    /// Position of the stream's first change.
    first: u64,
    state: State,
    ledger: Arc<Ledger>,
    /// The tail, once the writers are done.
    end: watch::Receiver<Option<String>>,
    /// The newest mark.
    marked: String,
    /// An older mark and what was held at it, as a backup would.
    backup: Option<(String, State)>,
}

pub async fn follow(path: Path, reader: Reader) -> Result<Received, String> {
    let name = reader.name.clone();
    let followed = match path {
        Path::RawPages | Path::RawLongPoll | Path::RawSse => protocol::follow(path, reader).await,
        Path::FoldedPages | Path::FoldedLongPoll | Path::FoldedSse => protocol::follow(path, reader).await,
        Path::FoldedByBinding => protocol::follow(path, reader).await,
        Path::Events | Path::FilteredEvents => events::follow(reader).await.map(|()| None),
        Path::Snapshot => snapshot::document(reader).await.map(|()| None),
        Path::SnapshotLines => snapshot::lines(reader).await.map(|()| None),
        Path::Entities => entities::follow(reader).await.map(|()| None),
        Path::ClientWatch => client::watch(reader).await.map(|()| None),
        Path::ClientView => client::view(reader).await.map(|()| None),
    };
    followed.map_err(|fault| if fault.starts_with(&name) { fault } else { format!("{name}: {fault}") })
}

impl Reader {
    pub fn new(
        nth: usize,
        path: Path,
        first: u64,
        server: Arc<Server>,
        ledger: Arc<Ledger>,
        end: watch::Receiver<Option<String>>,
        mut rng: Rng,
    ) -> Self {
        let filters = match path {
            Path::FilteredEvents => 1..8,
            Path::FoldedPages | Path::FoldedLongPoll | Path::FoldedSse if nth == 1 => 1..8,
            Path::RawPages | Path::RawLongPoll | Path::RawSse if nth == 3 => 1..8,
            Path::ClientWatch if nth == 1 => 1..8,
            _ => 0..1,
        };
        let which = rng.u8(filters);
        let filter = Filter {
            key: (which & 4 > 0).then(|| ["a-1", "b-10", "1"][rng.usize(..3)].to_owned()),
            entity_type: (which & 1 > 0).then(|| ["job", "count", "note"][rng.usize(..3)].to_owned()),
            key_prefix: (which & 2 > 0).then(|| ["a-", "b-1", "1"][rng.usize(..3)].to_owned()),
        };
        let name = format!("{path:?} reader {nth}");
        let (state, marked) = (State::new(), String::new());
        Self { name, nth, server, filter, rng, first, state, ledger, end, marked, backup: None }
    }

    /// The first reader of a case is steady, the second drops its connections, the third is slow, the others both.
    fn temper(&mut self) -> Temper {
        let done = self.end.borrow().is_some();
        let cuts = matches!(self.nth, 1 | 3) && !(done && self.rng.bool());
        let sips = matches!(self.nth, 2 | 3) && !done;
        Temper {
            cut_after: cuts.then(|| self.rng.usize(1..12_000)),
            sip: sips.then(|| (self.rng.usize(200..4_000), Duration::from_micros(self.rng.u64(0..2_500)))),
        }
    }

    /// Slow readers rest between requests as well.
    async fn rest(&mut self) {
        let most = if matches!(self.nth, 2 | 3) { 8_000 } else { 400 };
        sleep(Duration::from_micros(self.rng.u64(0..most))).await;
    }

    /// Before a request: what an answer that is up to date must hold.
    fn owed(&self) -> String {
        self.ledger.newest_told()
    }

    /// One message of the State Protocol. Brackets and resets steer, the rest is folded.
    fn take(&mut self, message: &Value) -> Result<Option<Change>, String> {
        match control(message) {
            Some("reset") => self.state.clear(),
            Some("snapshot-start") => {}
            Some("snapshot-end") => {
                let offset = message["headers"]["offset"].as_str().ok_or("a snapshot-end without offset")?;
                self.mark(offset)?;
            }
            Some(other) => return Err(format!("unknown control {other:?}")),
            None => {
                let change = oracle::parse(message)?;
                if !self.filter.wants(&change.entity_type, &change.key) {
                    return Err(format!("was not asked for: {change:?}"));
                }
                oracle::apply(&mut self.state, &change);
                return Ok(Some(change));
            }
        }
        Ok(None)
    }

    /// Begins again from nothing.
    fn forget(&mut self) {
        self.state.clear();
    }

    fn mark(&mut self, offset: &str) -> Result<(), String> {
        if !offset.ends_with("_0000000000000000") {
            return Err(format!("a mark inside a walk: {offset}"));
        }
        if *offset < *self.marked {
            return Err(format!("marks go back from {} to {offset}", self.marked));
        }
        self.marked = offset.to_owned();
        if self.rng.u8(0..100) < 5 {
            self.backup = Some((offset.to_owned(), self.state.clone()));
        }
        let (reader, filter) = (self.name.clone(), self.filter.clone());
        self.ledger.marked(Mark { reader, filter, offset: offset.to_owned(), state: self.state.clone() });
        Ok(())
    }

    /// Now and then a reader stays away for a while, goes back to an older mark, or loses everything.
    async fn mishap(&mut self) -> Mishap {
        if matches!(self.nth, 1 | 3) && self.end.borrow().is_none() {
            match self.rng.u8(0..100) {
                0..3 => sleep(Duration::from_millis(150)).await,
                3..7 => {
                    let Some((offset, state)) = self.backup.clone() else { return Mishap::None };
                    self.marked.clone_from(&offset);
                    self.state = state;
                    return Mishap::BackTo(offset);
                }
                7..11 => {
                    self.marked.clear();
                    self.backup = None;
                    return Mishap::LostAll;
                }
                _ => {}
            }
        }
        Mishap::None
    }

    /// A mark of an answer to a question that was asked when `owed` had been acknowledged.
    fn mark_owing(&mut self, offset: &str, owed: &str) -> Result<(), String> {
        if *offset < *owed {
            return Err(format!("up to date at {offset}, but {owed} had been acknowledged before it was asked"));
        }
        self.mark(offset)
    }

    /// Whether the newest mark of a live reader is as new as it gets. One that waits for entities which nobody changes
    /// any more is not told that others do: it has to ask anew.
    fn has_heard_all(&self) -> bool {
        self.is_done() || (!self.filter.is_all() && self.end.borrow().is_some())
    }

    /// Whether the newest mark covers all that was ever written.
    fn is_done(&self) -> bool {
        self.end.borrow().as_deref().is_some_and(|tail| *self.marked >= *tail)
    }
}

/// What happened to a reader between two connections.
enum Mishap {
    None,
    /// It holds what it held at this older mark.
    BackTo(String),
    LostAll,
}

/// `None` where the server is away for the moment, or the stream is, between two of its name. Who waits for ever does
/// not reach the end.
fn settled(answer: std::io::Result<Answer>) -> Result<Option<Answer>, String> {
    match answer {
        Ok(answer) if matches!(answer.status, 404 | 503) => Ok(None),
        Ok(answer) if answer.status == 200 || answer.status == 204 => Ok(Some(answer)),
        Ok(answer) => Err(format!("{answer:?}")),
        Err(error) if error.kind() == std::io::ErrorKind::TimedOut => Err("no answer in 20 s".to_owned()),
        Err(_) => Ok(None),
    }
}
