//! Why a journal does not open, and what to do about it.

use std::io;

/// The journal stays as it is; nothing was lost by trying.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the data directory is in use by another server; stop that one, or choose another directory")]
    Locked,
    /// Bytes that were durable differ from what was written.
    #[error(
        "{file} is damaged at journal position {position}, where acknowledged records were; restore the directory \
         from a copy: going on would lose them silently"
    )]
    Damaged { file: String, position: u64 },
    #[error("the manifest cannot be used: {0}; restore the directory from a copy")]
    Manifest(String),
    #[error("the manifest has version {version}, which a newer keyfold wrote; start that one")]
    NewerManifest { version: u32 },
    #[error(
        "{file} has a record of format {format} at journal position {position}, which a newer keyfold wrote; start that one"
    )]
    NewerFormat { file: String, position: u64, format: u8 },
    #[error(
        "{file} has a record of kind {kind} at journal position {position}, which a newer keyfold wrote; start that one"
    )]
    UnknownKind { file: String, position: u64, kind: u8 },
    #[error("the catalogue cannot be built: {0}")]
    Catalogue(String),
    #[error("cannot {doing}: {source}")]
    Io {
        doing: String,
        #[source]
        source: io::Error,
    },
}

impl OpenError {
    pub(super) fn is_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull)
    }

    pub(super) fn io(doing: &str, source: io::Error) -> Self {
        Self::Io { doing: doing.into(), source }
    }
}
