//! One step of the registry, as its log keeps it.

use std::sync::Arc;

use crate::model::Timestamp;

use super::{Binding, BindingName, CompatibilityChoice, Document, SubjectName, VersionState};

/// One step of the registry. Decided by [`super::Registry`]'s questions, applied by [`super::Registry::apply`].
#[derive(Clone, Debug)]
pub enum Entry {
    /// A document became a version of a subject.
    Schema { subject: SubjectName, version: u32, document: Arc<Document>, registered_at: Timestamp },
    /// A binding was made, or replaced the one of the same name.
    Bind(Binding),
    /// A binding was taken away. Streams keep the schema they are pinned to.
    Unbind(BindingName),
    /// How strictly versions must fit was chosen for a subject, or for all; no choice takes the last one back.
    Config { subject: Option<SubjectName>, choice: Option<CompatibilityChoice> },
    /// A version is to be used, to be left, or not to be used any more.
    State { subject: SubjectName, version: u32, state: VersionState },
    /// Versions were hidden, or, `for_good`, forgotten.
    Delete { subject: SubjectName, versions: Vec<u32>, for_good: bool },
}
