//! One stream's rules: what an append, a close, a creation or a deletion does to it, given its state and the time.
//!
//! Everything here is a pure function of its arguments: [`admit()`] says what would happen, [`StreamState::apply`] is
//! the one way a state moves, used alike on staged state, on recovery and by every backend. Invariant: applying the
//! records of a stream in order gives the state that its writers were answered from.

pub mod admit;
pub mod fencing;
pub mod fork;
pub mod lifecycle;
pub mod record;
pub mod state;

pub use admit::{Admission, Append, Refusal, admit};
pub use fencing::{Fencing, ProducerPolicy, ProducerState};
pub use fork::Fork;
pub use lifecycle::{Expiry, Lifetime};
pub use record::{Body, Creation, Lengths, Record, SchemaRef};
pub use state::{Closing, StreamState, StreamVersion};
