//! Holds what a start would make of a journal, and what its catalogue says, against what the records say.

use crate::model::{Position, StreamId};
use crate::storage::Store;
use crate::storage::journal::durable::Posting;
use crate::storage::journal::{Journal, Shared};
use crate::stream::StreamState;

use super::ledger::{Digest, Ledger, Told};
use super::{Difference, Remedy, Verified};

/// Bytes of records whose postings are looked up at once.
const PAGE: u64 = 64 << 20;

/// What a start would see, without the catalogue that is there.
pub(super) fn with_start(found: &mut Verified, ledger: &Ledger, journal: &Journal) {
    let start = Account { journal, who: "what a start would see", remedy: Remedy::Report };
    start.hold(found, ledger, |_| None);
}

/// What a start would see with the catalogue that is there, or a copy of it.
pub(super) fn with_catalogue(found: &mut Verified, ledger: &Ledger, journal: &Journal, beside: &Journal) {
    let account = Account { journal: beside, who: "the catalogue", remedy: Remedy::Rebuild };
    account.hold(found, ledger, |stream| first_difference(&journal.shared, &beside.shared, stream));
    account.former_names(found, ledger);
}

/// One account of all streams.
struct Account<'a> {
    journal: &'a Journal,
    who: &'static str,
    remedy: Remedy,
}

impl Account<'_> {
    fn differs(&self, what: String) -> Difference {
        let file = (self.remedy == Remedy::Rebuild).then(|| "catalogue".to_owned());
        Difference { file, ..Difference::plain(what, self.remedy) }
    }

    /// `locate` finds the first record that two accounts place differently.
    fn hold(&self, found: &mut Verified, ledger: &Ledger, locate: impl Fn(StreamId) -> Option<Posting>) {
        let durable = &self.journal.shared.durable;
        let mut streams: Vec<(&StreamId, &Told)> = ledger.streams.iter().collect();
        streams.sort_unstable_by_key(|(id, _)| **id);
        for (id, told) in streams {
            for (what, posting) in self.stream(*id, told, &locate) {
                let difference = Difference {
                    stream: Some(told.state.creation.name.clone()),
                    position: Some(posting.map_or(told.created_at, |posting| posting.at)),
                    at: posting.map(|posting| posting.first),
                    ..self.differs(what)
                };
                found.add(difference);
            }
        }
        for id in durable.ids().into_iter().filter(|id| !ledger.streams.contains_key(id)) {
            let stream = durable.creation(id).map(|creation| creation.name.clone());
            let what = format!("{} has a stream that the journal does not", self.who);
            found.add(Difference { stream, ..self.differs(what) });
        }
        self.bounds(found, ledger);
    }

    fn stream(
        &self,
        id: StreamId,
        told: &Told,
        locate: impl Fn(StreamId) -> Option<Posting>,
    ) -> Vec<(String, Option<Posting>)> {
        let (who, durable) = (self.who, &self.journal.shared.durable);
        let Some(state) = durable.load(id) else { return vec![(format!("{who} misses the stream"), None)] };
        let mut wrong: Vec<(String, Option<Posting>)> = Vec::new();
        let differing = differing(&state, &told.state);
        if !differing.is_empty() {
            wrong.push((format!("{who} and the records differ in: {}", differing.join(", ")), None));
        }
        if durable.created_at(id) != Some(told.created_at) {
            wrong.push((format!("{who} says that the stream was created elsewhere"), None));
        }
        if durable.kept(id) != told.kept {
            wrong.push((format!("{who} is wrong on how much of the stream's history is kept"), None));
        }
        let name = &told.state.creation.name;
        if durable.find(name) != Some(id) {
            wrong.push((format!("{who} does not find the stream by its name"), None));
        }
        match digest(&self.journal.shared, id) {
            Ok(digest) if digest == told.postings => {}
            Ok(digest) => {
                let (has, are) = (digest.count, told.postings.count);
                let what =
                    format!("{who} places {has} records of the stream, or places them elsewhere; there are {are}");
                wrong.push((what, locate(id)));
            }
            Err(why) => wrong.push((format!("{who} cannot say where the stream's records lie: {why}"), locate(id))),
        }
        wrong
    }

    /// What must not be given out again.
    fn bounds(&self, found: &mut Verified, ledger: &Ledger) {
        let (who, shared) = (self.who, &self.journal.shared);
        if shared.durable.ids_given() < ledger.next_id {
            found.add(self.differs(format!("{who} would give stream numbers again")));
        }
        if shared.durable.start_position() < ledger.start {
            found.add(self.differs(format!("{who} would give positions of deleted streams again")));
        }
        for (name, end) in &ledger.former {
            let known = self.journal.former_end(name);
            if known < *end || (known > ledger.floor().max(*end) && !ledger.has_gaps()) {
                let what = format!("{who} says that former streams of the name ended at {known}, the records {end}");
                found.add(Difference { stream: Some(name.clone()), ..self.differs(what) });
            }
        }
    }

    /// Names that had streams by the catalogue alone.
    fn former_names(&self, found: &mut Verified, ledger: &Ledger) {
        let Some(catalogue) = self.journal.shared.catalogue.read().clone() else { return };
        for pair in catalogue.former_ends() {
            match pair {
                Ok((name, _)) if !ledger.has_gaps() && !ledger.former.contains_key(&name) => {
                    let what = "the catalogue knows former streams of the name, of which the journal does not".into();
                    found.add(Difference { stream: Some(name), ..self.differs(what) });
                }
                Ok(_) => {}
                Err(fault) => return found.add(self.differs(fault.to_string())),
            }
        }
    }
}

/// The parts of a state in which two differ.
fn differing(one: &StreamState, other: &StreamState) -> Vec<&'static str> {
    let (a, b) = (&one.creation, &other.creation);
    let parts = [
        ("name", a.name == b.name),
        ("content type", a.content_type.as_str() == b.content_type.as_str()),
        ("lifetime", a.lifetime == b.lifetime),
        ("first position", a.start == b.start),
        ("schema at creation", a.schema == b.schema),
        ("source", a.fork == b.fork),
        ("version", one.version == other.version),
        ("tail", one.tail == other.tail),
        ("skipped positions", one.skipped == other.skipped),
        ("bytes", one.bytes == other.bytes),
        ("closing", one.closed == other.closed),
        ("deletion", (one.gone, one.soft_deleted) == (other.gone, other.soft_deleted)),
        ("forks", one.pins == other.pins),
        ("Stream-Seq", one.stream_seq == other.stream_seq),
        ("producers", one.producers == other.producers),
        ("schema", one.schema == other.schema),
        ("last use", one.used_at == other.used_at),
    ];
    parts.into_iter().filter(|(_, same)| !same).map(|(part, _)| part).collect()
}

/// Where all of a stream's own records lie, by the memory and the catalogue of a journal.
fn postings(shared: &Shared, id: StreamId) -> impl Iterator<Item = Result<Posting, String>> {
    let state = shared.durable.load(id);
    let (mut from, to): (Position, Position) = state.map_or((0, 0), |state| (state.creation.own_start(), state.tail));
    let mut page = Vec::new().into_iter();
    std::iter::from_fn(move || {
        loop {
            if let Some(posting) = page.next() {
                return Some(Ok(posting));
            }
            if from >= to {
                return None;
            }
            match shared.postings(id, from, to, PAGE) {
                Ok(found) => {
                    // An account that does not go on is done.
                    from = found.last().map(Posting::end).filter(|end| *end > from).unwrap_or(to);
                    page = found.into_iter();
                }
                Err(error) => {
                    from = to;
                    return Some(Err(error.to_string()));
                }
            }
        }
    })
}

fn digest(shared: &Shared, id: StreamId) -> Result<Digest, String> {
    let mut digest = Digest::default();
    for posting in postings(shared, id) {
        digest.add(posting?);
    }
    Ok(digest)
}

/// The first record of a stream that `right` has and `other` has not, or has elsewhere.
fn first_difference(right: &Shared, other: &Shared, id: StreamId) -> Option<Posting> {
    let mut others = postings(other, id);
    postings(right, id).map_while(Result::ok).find(|posting| others.next() != Some(Ok(*posting)))
}
