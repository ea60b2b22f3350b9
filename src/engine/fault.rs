//! Everything that an operation can be refused for, as facts. What a client is told is the edge's to say.

use std::time::Duration;

use crate::model::{Offset, StreamName};
use crate::protocol::json::JsonFault;
use crate::storage::{AppendError, ReadError};
use crate::stream::Refusal;

/// Why an operation was refused. Nothing was written, but for [`Fault::Unknown`].
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// No stream of that name; succeeds once it is created. 404.
    #[error("stream {0} does not exist")]
    NoStream(StreamName),
    /// The name is taken by a stream of another configuration. 409.
    #[error("stream {name} exists with another configuration: {differs}")]
    Exists { name: StreamName, differs: &'static str },
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Fork(#[from] super::fork::ForkFault),
    /// Beyond the tail, so no response ever gave it. 400.
    #[error("offset {given} lies beyond the tail {tail}")]
    BeyondTail { given: Offset, tail: Offset },
    /// Of a stream that stood under this name before; read from -1. 410.
    #[error("offset {given} is of a former stream of that name; this one starts at {start}")]
    Former { given: Offset, start: Offset },
    /// Deletions made since then may be missing; read from -1. 410.
    #[error("deletions below {kept_from} are not kept, so a reader cannot go on from {given}")]
    Forgotten { given: Offset, kept_from: Offset },
    /// A fork cannot begin where its source lacks changes. 410.
    #[error("changes below {kept_from} that were replaced are not kept, so no fork begins at {given}")]
    NotKept { given: Offset, kept_from: Offset },
    /// A restore from a backup has cut off the history that gave it; read from -1. 410.
    #[error("offset {given} is of a history that a restore from a backup has cut off; new changes lie above {floor}")]
    CutOff { given: Offset, floor: Offset },
    /// 400.
    #[error(transparent)]
    Json(#[from] JsonFault),
    /// An append without content that does not close either. 400.
    #[error("the body is empty; send data, or `Stream-Closed: true` to close")]
    EmptyBody,
    /// The stream's kind does not have this view. 409.
    #[error("stream {0} is not typed; bind it to a schema first")]
    NotTyped(StreamName),
    /// A typed stream is of JSON. 409.
    #[error("a typed stream holds application/json, not {received}")]
    TypedContentType { received: String },
    /// A typed stream's path cannot have a segment that is just `-`. 400.
    #[error("a typed stream's path has no segment that is just `-`")]
    DashSegment,
    /// Changes that the schema, or the State Protocol, refuses. The whole batch. 422.
    #[error("faults in changes: {}", faults.len() + more)]
    Invalid { faults: Vec<ChangeFault>, more: usize },
    /// Only JSON streams can be read as changes. 404.
    #[error("no entity {key} of type {entity_type}")]
    NoEntity { entity_type: String, key: String },
    /// The stream's schema has no such collection. 404.
    #[error("no collection of type {0}")]
    NoCollection(String),
    /// The entity is not as the caller thought; `current` is its offset, if it exists. 412.
    #[error("the precondition does not hold")]
    Precondition { current: Option<Offset> },
    /// A `strict` collection was asked to insert what is there. 409.
    #[error("entity {key} of type {entity_type} already exists")]
    EntityExists { index: usize, entity_type: String, key: String, current: Offset },
    /// Others kept changing the entity; try again. 409.
    #[error("the entity kept changing; nothing was written")]
    Contended,
    /// Too much of the stream is being written. 429.
    #[error("too many bytes of this stream are in flight")]
    StreamBusy { retry_after: Duration },
    /// Too much is being written. 503.
    #[error("too many bytes are in flight")]
    Busy { retry_after: Duration },
    /// 507. Succeeds once there is room.
    #[error("the disk is full")]
    Full,
    /// The barrier failed: whole or absent. The only fault after which something may have been written. 500.
    #[error("the disk failed while this was being written: it is stored whole or not at all")]
    Unknown,
    /// Shutting down, or failed before. 503.
    #[error("the server takes no more writes")]
    Closed,
    /// A stored byte cannot be read. 500.
    #[error("stored data cannot be read: {0}")]
    Storage(String),
    /// Refused by the registry's rules.
    #[error(transparent)]
    Registry(#[from] super::registry::RegistryFault),
    /// Refused by the rules of schemas that change.
    #[error(transparent)]
    Evolution(#[from] super::evolution::EvolutionFault),
    /// A read-your-writes bound that was not reached in time. 503.
    #[error("offset {0} is not durable here yet")]
    NotYet(Offset),
}

/// One fault of one change of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeFault {
    /// Which change, counted from 0 in the request.
    pub index: usize,
    /// JSON pointer into the change's value, or into the change itself where the envelope is at fault.
    pub pointer: String,
    pub keyword: String,
    /// Where in the schema the rule stands; empty where it is the State Protocol's.
    pub schema_location: String,
    pub schema_version: Option<u32>,
    pub message: String,
}

impl Fault {
    /// Whether it says that the stream is not there, or not any more.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::NoStream(_) | Self::Refused(Refusal::Gone | Refusal::SoftDeleted))
    }
}

impl From<AppendError> for Fault {
    fn from(error: AppendError) -> Self {
        match error {
            // One process owns its store, so nobody else can move a stream: the cause is a failure before this.
            AppendError::Conflict => Self::Busy { retry_after: Duration::from_secs(1) },
            AppendError::Full => Self::Full,
            AppendError::Unknown => Self::Unknown,
            AppendError::Closed => Self::Closed,
        }
    }
}

impl From<ReadError> for Fault {
    fn from(error: ReadError) -> Self {
        match error {
            // It went while it was being read.
            ReadError::NotFound => Self::Refused(Refusal::Gone),
            ReadError::Damaged(_) | ReadError::Io(_) => Self::Storage(error.to_string()),
        }
    }
}
