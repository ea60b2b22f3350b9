//! The vocabulary: what every other module means by a name, an offset, a producer, a change.
//!
//! Each word is a type that is only ever built valid, so that nothing checks twice. This module decides what is
//! well-formed; what is *allowed* is decided in [`crate::stream`], [`crate::registry`] and [`crate::fold`].

pub mod change;
pub mod content_type;
pub mod limits;
pub mod name;
pub mod offset;
pub mod producer;
pub mod scan;
pub mod timestamp;

pub use change::{EntityKey, EntityType, Operation};
pub use content_type::ContentType;
pub use limits::Limits;
pub use name::{StreamId, StreamName};
pub use offset::{Offset, Position, ReadFrom};
pub use producer::{Producer, ProducerEpoch, ProducerId, ProducerSeq};
pub use timestamp::{Timestamp, is_rfc_3339};
