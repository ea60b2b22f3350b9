//! Code from documents: types of a document's entities in other languages, and validators that agree with the server's.
//!
//! Pure: a sound [`Document`] goes in, text and notes come out. [`typescript`] gives a StreamDB state definition with
//! types and Standard Schema validators, which carry the whole schema and check all of it; [`rust`] gives serde types.
//! `shape` decides what of a schema a type can say; `names` makes identifiers of whatever a document calls its
//! parts. Left to others: where documents come from and where the text goes (command line).
//!
//! Invariant: a value that the schema admits is of the generated type; what a type or a validator cannot say is in the
//! notes. Equal documents give equal text.

mod names;
mod rust;
mod shape;
mod ts;

use crate::registry::Document;

/// Generated code, and what its reader must know that it cannot say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    pub code: String,
    pub notes: Vec<Note>,
}

/// Something in a document that the code does not hold its values to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// JSON pointer into the document.
    pub pointer: String,
    pub message: String,
}

/// A TypeScript module: a type per collection and definition, and `state`, made by `createStateSchema` of
/// `@durable-streams/state`. `origin` says in its first line what it was made from.
pub fn typescript(document: &Document, origin: &str) -> Generated {
    ts::module(document, origin)
}

/// A Rust module of serde types, which needs `serde` with `derive` and `serde_json`.
pub fn rust(document: &Document, origin: &str) -> Generated {
    rust::module(document, origin)
}

/// The text on one line, for comments.
fn one_line(text: &str) -> String {
    text.split(char::is_control).map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}
