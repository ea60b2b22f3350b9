//! What a writer was told, and what that allows to be found after a crash.

use std::fmt::Debug;

/// Items in the order in which they were acknowledged, and those of the one write that got no answer.
pub struct Told<T> {
    pub acked: Vec<T>,
    pub unanswered: Vec<T>,
}

impl<T> Default for Told<T> {
    fn default() -> Self {
        Self { acked: Vec::new(), unanswered: Vec::new() }
    }
}

impl<T: PartialEq + Debug> Told<T> {
    pub fn ack(&mut self) {
        self.acked.append(&mut self.unanswered);
    }

    pub fn refused(&mut self) {
        self.unanswered.clear();
    }

    /// Checks that `found` is what was acknowledged, once and in order, and that the unanswered write is whole or
    /// absent; takes it as written if it is there and says whether it is.
    pub fn settle(&mut self, of: &str, found: &[T]) -> bool {
        let expected = self.acked.iter().chain(&self.unanswered);
        if let Some(at) = expected.zip(found).position(|(expected, found)| expected != found) {
            let expected = self.acked.iter().chain(&self.unanswered).nth(at);
            panic!("{of}: item {at} of {} is {:?} instead of {expected:?}", found.len(), found[at]);
        }
        let (acked, all) = (self.acked.len(), self.acked.len() + self.unanswered.len());
        assert!(found.len() >= acked, "{of}: {} of {acked} acknowledged items are there", found.len());
        assert!(found.len() <= all, "{of}: {} items more than were written", found.len() - all);
        assert!(found.len() == acked || found.len() == all, "{of}: half of an unanswered write is there");
        let written = found.len() > acked;
        match written {
            true => self.ack(),
            false => self.refused(),
        }
        written
    }
}

/// Offsets in the order in which they were told: they only grow.
#[derive(Default)]
pub struct Highest(pub String);

impl Highest {
    pub fn told(&mut self, of: &str, offset: &str, at_least: bool) {
        let grows = if at_least { offset >= self.0.as_str() } else { offset > self.0.as_str() };
        assert!(grows, "{of}: offset {offset} after {}", self.0);
        offset.clone_into(&mut self.0);
    }
}
