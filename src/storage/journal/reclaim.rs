//! Giving back segments that nobody needs any more.
//!
//! A sealed segment is needed while a live stream has a record in it, of whatever kind: a stream's state is the fold of
//! them all. And while it holds the end of a stream whose creation lies in an older segment that is still there: read
//! again without its end, the stream would be back; or while a cluster holds that stream. What else a freed segment told is kept in the manifest's [`Floor`].
//!
//! Which records there are is asked of the segment itself and not of the catalogue, which may be wrong. A stream that
//! is gone never returns and a freed part of the journal stays freed, so what was passed over once stays unneeded: each
//! segment is read once, up to the first record that is needed, and on from there when that one is no more.
//!
//! Invariant: before a file goes, the manifest that does not name it is durable, and its last reader has let go of it.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::model::StreamId;
use crate::storage::codec::{Fault, Header, Kind};
use crate::storage::die::{self, Point};
use crate::storage::mutant::{self, Mutant};

use super::Shared;
use super::manifest::Floor;
use super::queue::Phase;
use super::segment::Segment;

/// Bytes read at once, unless a record is larger: few at first, since most segments are needed for their first records.
const CHUNKS: std::ops::RangeInclusive<u64> = 8 << 10..=512 << 10;

#[derive(Default)]
pub(super) struct Reclaim {
    /// How far each sealed segment was looked through, by its base.
    looked: HashMap<u64, Looked>,
    /// No longer part of the journal; some may still be read.
    retired: Vec<Arc<Segment>>,
    /// The manifest on disk may still name them.
    unsaved: bool,
    /// The manifest names clusters that nobody reads yet: what is needed cannot be told.
    paused: bool,
}

/// How far a segment was looked through.
struct Looked {
    /// Journal position of the record that is needed, or the base.
    at: u64,
    need: Option<Need>,
}

/// Why a record must stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// It is a live stream's.
    Live(StreamId),
    /// It ends a stream that was created at that journal position; `None` where an older version did not say.
    Ends(StreamId, Option<u64>),
    /// It cannot be read, so nobody knows.
    Unreadable,
}

impl Reclaim {
    /// Takes files that are no longer part of the journal.
    pub fn retire(&mut self, files: Vec<Arc<Segment>>) {
        for file in &files {
            self.looked.remove(&file.base);
        }
        self.retired.extend(files);
        self.paused = false;
    }

    /// Until [`Reclaim::retire`], nothing is given up.
    pub fn pause(&mut self) {
        self.paused = true;
    }
}

impl Shared {
    /// Gives back the segments that nobody needs any more.
    pub(super) fn reclaim(&self) {
        if self.queue.lock().phase != Phase::Open {
            return;
        }
        let mut reclaim = self.reclaim.lock();
        let sealed = match reclaim.paused {
            true => Vec::new(),
            false => self.segments.sealed(self.counters.published.load(Ordering::Acquire)),
        };
        // Oldest first: with a creation goes the need for the end.
        for segment in sealed {
            let begin = Looked { at: segment.base, need: None };
            let looked = reclaim.looked.entry(segment.base).or_insert(begin);
            if !self.is_needed(&segment, looked) {
                reclaim.looked.remove(&segment.base);
                self.give_up(&segment);
                reclaim.retired.push(segment);
                reclaim.unsaved = true;
            }
        }
        if reclaim.unsaved {
            die::at(Point::BeforeFreeing);
            if let Err(error) = self.registry.store(&*self.disk) {
                tracing::warn!(%error, "segments cannot be given back: {error}");
                return;
            }
            die::at(Point::BeforeUnlink);
            reclaim.unsaved = false;
        }
        self.remove_retired(&mut reclaim.retired);
    }

    fn is_needed(&self, segment: &Segment, looked: &mut Looked) -> bool {
        if looked.need.is_some_and(|need| self.holds(segment, need)) {
            return true;
        }
        looked.need = self.next_need(segment, &mut looked.at).unwrap_or_else(|fault| {
            tracing::error!(segment.file = %segment.name(), journal.position = looked.at,
                "{} cannot be looked through and is kept: {fault}", segment.name());
            Some(Need::Unreadable)
        });
        looked.need.is_some()
    }

    /// The first record from `at` on that is needed; moves `at` there.
    fn next_need(&self, segment: &Segment, at: &mut u64) -> io::Result<Option<Need>> {
        let mut chunk = *CHUNKS.start();
        while *at < segment.end() {
            let bytes = segment.read(*at, segment.end().min(*at + chunk))?;
            let mut begin = 0;
            let fault = loop {
                match Header::parse(segment.key, &bytes[begin..]) {
                    Ok(header) if header.placement.position != *at || header.placement.life != segment.life => {
                        return Err(io::Error::other("a record is from elsewhere"));
                    }
                    Ok(header) => {
                        let need = need_of(&header, &bytes[begin..]).filter(|need| self.holds(segment, *need));
                        if need.is_some() {
                            return Ok(need);
                        }
                        begin += header.len;
                        *at += header.len as u64;
                    }
                    Err(fault) => break fault,
                }
            };
            if begin == 0 && (fault != Fault::Length || *at + chunk >= segment.end()) {
                return Err(io::Error::other("a record does not verify"));
            }
            chunk = match begin {
                0 => chunk * 4,
                _ => (chunk * 4).min(*CHUNKS.end()),
            };
        }
        Ok(None)
    }

    /// Whether what needed a record of `segment` still does.
    fn holds(&self, segment: &Segment, need: Need) -> bool {
        match need {
            Need::Live(id) => !mutant::is_on(Mutant::FreeNeeded) && self.durable.is_live(id),
            Need::Ends(..) if mutant::is_on(Mutant::FreeEnds) => false,
            Need::Ends(id, _) if self.clusters.hold(id) => true,
            Need::Ends(_, Some(created_at)) => {
                self.segments.at(created_at).is_some_and(|other| other.number != segment.number)
            }
            Need::Ends(_, None) => self.segments.span().start < segment.base,
            Need::Unreadable => true,
        }
    }

    fn give_up(&self, segment: &Segment) {
        let floor = match mutant::is_on(Mutant::ForgetFloor) {
            true => Floor::default(),
            false => Floor {
                next_id: self.durable.ids_given(),
                start: self.durable.start_position(),
                last_time: self.last_time(),
            },
        };
        self.segments.remove(segment);
        self.registry.change(|manifest| manifest.give_up(segment.number, segment.base..segment.end(), floor));
        self.counters.segments_freed.fetch_add(1, Ordering::Relaxed);
    }

    /// Removes the files that nobody reads. What is left of them after a crash is a stray, which recovery removes.
    fn remove_retired(&self, retired: &mut Vec<Arc<Segment>>) {
        let before = retired.len();
        retired.retain(|segment| {
            let read = Arc::strong_count(segment) > 1;
            read || self.disk.unlink(&segment.name()).is_err_and(|error| error.kind() != io::ErrorKind::NotFound)
        });
        if retired.len() < before {
            die::at(Point::AfterUnlink);
            // A disk that was full has room now.
            self.wanted.notify_one();
        }
    }
}

/// What may need a record.
fn need_of(header: &Header, record: &[u8]) -> Option<Need> {
    match header.kind {
        Kind::Mark => None,
        Kind::Delete | Kind::Expire => {
            let said = header.verify_body(record).ok().and_then(|()| header.created_at(record));
            Some(Need::Ends(header.stream, said))
        }
        _ => Some(Need::Live(header.stream)),
    }
}
