//! Schema rules: what a collection of entities looks like, which values belong to it, and which streams it governs.
//!
//! A *document* names collections, each with an entity type, a primary key and a JSON Schema. Documents are
//! registered under a *subject* as numbered versions; a *binding* gives the streams whose path matches a pattern the
//! subject they speak and how strictly. All of it is a fold of [`Entry`] values, the registry's own log.
//!
//! Decided here: whether a document is sound ([`Document::parse`] names every fault, not just the first), which
//! version equal content has ([`Fingerprint`]), whether a value is one of its collection
//! ([`CompiledCollection::check`]), what its key is, which binding governs a stream ([`Registry::resolve`]). Left to
//! others: the order in which entries are written (engine), their bytes and JSON forms (storage, protocol), and what
//! happens to a refused change.
//!
//! A schema is JSON Schema 2020-12 unless its `$schema` names draft-04, -06, -07 or 2019-09. **`format` is asserted**
//! (`date-time`, `uuid` and the others that the drafts define; unknown formats are annotations), because an entity
//! whose `updatedAt` is not a date is of no use to the reader that sorts by it. Regular expressions run on a
//! linear-time engine, so look-around and back-references are refused at registration. Nothing is ever fetched: a
//! reference stays inside its schema, or leads to a version of another subject that the document lists ([`mod@reference`]).
//!
//! Invariant: the content of a registered version never changes, and is compiled; what it refers to is there; applying
//! the same entries in the same order gives the same registry.

pub mod binding;
pub mod canonical;
pub mod compat;
pub mod config;
mod cost;
pub mod defaults;
pub mod document;
pub mod entry;
pub mod ledger;
pub mod lifecycle;
pub mod migration;
pub mod pattern;
pub mod plan;
pub mod reference;
pub(crate) mod schema;
pub mod search;
pub mod state;
pub mod subject;
pub mod validate;

pub use binding::{Binding, BindingName, ClosePolicy, Defaulting, Egress, Reads, Validation, VersionChoice};
pub use canonical::{Fingerprint, canonical_json};
pub use compat::{ContentModel, Mode};
pub use config::{Compatibility, CompatibilityChoice};
pub use defaults::Defaults;
pub use document::{Document, DocumentFault, DocumentLimits, FaultCode, Shape};
pub use entry::Entry;
pub use lifecycle::{DeleteFault, PinFault, VersionState};
pub use pattern::{Pattern, PatternFault};
pub use plan::Plan;
pub use reference::Reference;
pub use search::Search;
pub use state::{BindFault, ConfigFault, RegisterFault, Registered, Registration, Registry, UnbindFault};
pub use subject::SubjectName;
pub use validate::{Compiled, CompiledCollection, KeyFault, ValueFault};

#[cfg(test)]
mod testing;
