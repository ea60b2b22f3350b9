//! What may still be done with a version, and what may be taken away.

use crate::model::Timestamp;

use super::{BindingName, SubjectName};

/// Whether a version is to be used. Streams that are pinned to it can always be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum VersionState {
    #[default]
    Enabled,
    /// To be left: still of full use, and everyone who uses it is told.
    Deprecated {
        since: Timestamp,
        /// When it is expected to be disabled; nothing happens by itself.
        sunset: Option<Timestamp>,
    },
    /// No stream is pinned to it any more, and those that are take no writes.
    Disabled,
}

impl VersionState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Deprecated { .. } => "deprecated",
            Self::Disabled => "disabled",
        }
    }
}

/// Why no stream can be pinned to a version. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PinFault {
    #[error("it is not registered")]
    Unknown,
    #[error("it is disabled")]
    Disabled,
    #[error("it is deleted")]
    Deleted,
    #[error("it is a bare schema, which names neither a type nor a primary key")]
    Bare,
}

/// Why a version is not deleted. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeleteFault {
    /// 404.
    #[error("subject {subject} is not registered")]
    UnknownSubject { subject: SubjectName },
    /// 404.
    #[error("subject {subject} has no version {version}")]
    UnknownVersion { subject: SubjectName, version: u32 },
    /// 409.
    #[error("it is deleted already; deleting it for good needs permanent=true")]
    AlreadyDeleted,
    /// 409.
    #[error("only what was deleted before can be deleted for good; delete it without permanent=true first")]
    NotDeletedYet { version: u32 },
    /// 409.
    #[error("version {by_version} of {by} refers to version {version}")]
    Referenced { version: u32, by: SubjectName, by_version: u32 },
    /// 409.
    #[error("binding {binding} gives version {version} to new streams; bind it to another first")]
    Bound { version: u32, binding: BindingName },
    /// Streams are pinned to it, or hold changes that were checked against it. 409.
    #[error("stream {stream} is pinned to version {version}, or holds changes that were checked against it")]
    InUse { version: u32, stream: String },
}
