//! How strictly the versions of a subject must fit each other: for the whole registry, and for single subjects.

use super::compat::{ContentModel, Mode};

/// What was chosen for a subject, or for all; what is left open is inherited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct CompatibilityChoice {
    pub mode: Option<Mode>,
    pub content_model: Option<ContentModel>,
}

/// What applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compatibility {
    pub mode: Mode,
    pub content_model: ContentModel,
}

impl Default for Compatibility {
    /// What users of other registries know: the newest version accepts what the one before it did.
    fn default() -> Self {
        Self { mode: Mode::Backward, content_model: ContentModel::OptionalFriendly }
    }
}

impl CompatibilityChoice {
    /// This choice where it says something, and `inherited` elsewhere.
    pub fn over(self, inherited: Compatibility) -> Compatibility {
        Compatibility {
            mode: self.mode.unwrap_or(inherited.mode),
            content_model: self.content_model.unwrap_or(inherited.content_model),
        }
    }
}
