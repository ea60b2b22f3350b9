//! One step of the registry, as its log keeps it.

use std::sync::Arc;

use crate::model::Timestamp;

use super::{Binding, BindingName, Document, SubjectName};

/// One step of the registry. Decided by [`super::Registry`]'s questions, applied by [`super::Registry::apply`].
#[derive(Clone, Debug)]
pub enum Entry {
    /// A document became a version of a subject.
    Schema { subject: SubjectName, version: u32, document: Arc<Document>, registered_at: Timestamp },
    /// A binding was made, or replaced the one of the same name.
    Bind(Binding),
    /// A binding was taken away. Streams keep the schema they are pinned to.
    Unbind(BindingName),
}
