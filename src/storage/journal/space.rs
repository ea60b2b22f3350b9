//! Room to write: which segment a record goes to, and when there is none left.
//!
//! Room is granted when a record is staged, under the queue's lock, by the most that the record can take; so nothing is
//! ever half staged, and the committer never finds a disk full. One spare segment is the reserve: only records that
//! free space move on to it, and what they leave of it is theirs too, until there is a reserve again.

use super::segment::Spare;

/// Spares to have ready: one to move on to, and the reserve.
const SPARES: usize = 2;

/// Where a record goes.
pub(super) enum Room {
    /// Behind what was staged before.
    Here,
    /// To the beginning of a new segment.
    Roll(Spare),
    /// No segment is ready that would do; one is asked for.
    Wanting,
}

/// Room that is left, as if all that is staged were written.
pub(super) struct Space {
    /// Bytes left in the segment that the last staged record goes to.
    left: u64,
    /// Which segment that is, counted from the start of the process.
    rolls: u64,
    /// Most that the staged, not yet written records in that segment take.
    planned: u64,
    spares: Vec<Spare>,
    /// Size of a spare that is asked for beyond the usual ones; 0 for none.
    wish: u64,
    /// The last try to make a spare failed.
    failing: bool,
    /// A record was refused since a spare was last made.
    refused: bool,
    segment_bytes: u64,
}

impl Space {
    pub fn new(segment_bytes: u64, left: u64, spares: Vec<Spare>) -> Self {
        Self { left, rolls: 0, planned: 0, spares, wish: 0, failing: false, refused: false, segment_bytes }
    }

    /// Finds room for records that take at most `size` together and must lie in one segment.
    pub fn find(&mut self, size: u64, frees: bool) -> Room {
        // Without the reserve what is left is kept for deleting, unless a reserve is on its way.
        let open = frees || !self.spares.is_empty() || !self.failing;
        if size <= self.left && open {
            self.left -= size;
            self.planned += size;
            return Room::Here;
        }
        let smallest = (0..self.spares.len())
            .filter(|at| self.spares[*at].capacity() >= size)
            .min_by_key(|at| self.spares[*at].size);
        match smallest {
            Some(at) if frees || self.spares.len() >= SPARES => {
                let spare = self.spares.remove(at);
                self.left = spare.capacity() - size;
                self.planned = size;
                self.rolls += 1;
                Room::Roll(spare)
            }
            Some(_) => Room::Wanting,
            None => {
                self.wish = self.wish.max(size);
                Room::Wanting
            }
        }
    }

    pub fn rolls(&self) -> u64 {
        self.rolls
    }

    /// Records have been written that were planned to take `planned` of segment `rolls`, of which `left` is left.
    pub fn written(&mut self, rolls: u64, planned: u64, left: u64) {
        if rolls == self.rolls {
            self.planned = self.planned.saturating_sub(planned);
            self.left = left.saturating_sub(self.planned);
        }
    }

    /// The size of the spare to make next.
    pub fn wanted(&self) -> Option<u64> {
        let size = super::segment_size(self.wish, self.segment_bytes);
        let served = self.wish == 0 || self.spares.iter().any(|spare| spare.capacity() >= self.wish);
        match (served, self.spares.len() < SPARES) {
            (false, _) => Some(size),
            (true, true) => Some(self.segment_bytes),
            (true, false) => None,
        }
    }

    pub fn add(&mut self, spare: Spare) {
        if spare.capacity() >= self.wish {
            self.wish = 0;
        }
        self.spares.push(spare);
        (self.failing, self.refused) = (false, false);
    }

    pub fn could_not_add(&mut self) {
        (self.failing, self.wish) = (true, 0);
    }

    pub fn is_failing(&self) -> bool {
        self.failing
    }

    pub fn refuse(&mut self) {
        self.refused = true;
    }

    /// Whether a record was refused for want of room, and nothing has changed since.
    pub fn is_full(&self) -> bool {
        self.refused && self.wanted().is_some()
    }
}
