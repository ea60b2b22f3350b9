//! Delivering wakes: signed requests to addresses of the public internet, and nothing else. Source: PROTOCOL.md §6.2
//! and §7.1.
//!
//! Decided here: how a request is signed ([`SigningKey`]), which of a name's addresses are connected to ([`PublicOnly`]),
//! how long and how much of an answer is read ([`Postman`]). Left to others: which URL is acceptable as written
//! (`subscription::target`), what is delivered and when (engine).
//!
//! Invariant: what is connected to was checked, not what was looked up before; a redirect is never followed.

mod key;
mod postman;
mod resolver;

pub use key::{KeyError, SigningKey};
pub use postman::{Hired, Postman, PostmanError};
pub use resolver::{Lookup, PublicOnly, lookup_of_the_system};
