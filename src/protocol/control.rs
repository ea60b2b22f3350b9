//! Messages and events that steer a reader. Sources: STATE-PROTOCOL.md §5.2 (inside data), PROTOCOL.md §5.8 (SSE).

use serde::Serialize;

use crate::model::Offset;

/// State Protocol control message: brackets a snapshot, or asks the reader to forget what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    SnapshotStart,
    SnapshotEnd,
    Reset,
}

impl Control {
    pub fn message(self, offset: Offset) -> String {
        let control = match self {
            Self::SnapshotStart => "snapshot-start",
            Self::SnapshotEnd => "snapshot-end",
            Self::Reset => "reset",
        };
        format!("{{\"headers\":{{\"control\":\"{control}\",\"offset\":\"{offset}\"}}}}")
    }
}

/// Data of the protocol's SSE `control` event. Source: PROTOCOL.md §5.8.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ControlEvent {
    #[serde(serialize_with = "as_text")]
    pub stream_next_offset: Offset,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_cursor: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub up_to_date: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stream_closed: bool,
}

fn as_text<S: serde::Serializer>(offset: &Offset, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(offset)
}
