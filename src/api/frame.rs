//! What a page is on the wire for all who are level with it: one chunk, of which only the cursor is a reader's own.

use axum::body::Bytes;
use tokio::net::TcpStream;

use crate::model::Offset;
use crate::protocol::control::ControlEvent;
use crate::protocol::sse;

use super::seat::write_parts;

/// Data events up to this size are copied to where the event behind them is: one piece is written faster than three.
const COPIED_MAX: usize = 8 << 10;

/// A data event and the control event behind it, as a chunk of a response on HTTP/1.1.
pub(super) struct Frame {
    data: Bytes,
    next: Offset,
    up_to_date: bool,
    /// Of which cursor `before` and `after` are.
    cursor: Option<u64>,
    /// The chunk's length; where data is copied, all of it.
    before: Vec<u8>,
    /// What follows the data, where that is not copied.
    after: Vec<u8>,
}

impl Frame {
    /// `data` is an event, or nothing.
    pub fn new(data: Bytes, next: Offset, up_to_date: bool) -> Self {
        Self { data, next, up_to_date, cursor: None, before: Vec::new(), after: Vec::new() }
    }

    /// Makes it the chunk of readers that are sent this cursor.
    pub fn set_cursor(&mut self, cursor: u64) {
        if self.cursor == Some(cursor) {
            return;
        }
        self.cursor = Some(cursor);
        self.after.clear();
        control_event(&mut self.after, self.next, Some(cursor), self.up_to_date, false);
        self.before.clear();
        self.before.extend_from_slice(format!("{:x}\r\n", self.data.len() + self.after.len()).as_bytes());
        self.after.extend_from_slice(b"\r\n");
        if self.is_copied() {
            self.before.extend_from_slice(&self.data);
            self.before.append(&mut self.after);
        }
    }

    fn is_copied(&self) -> bool {
        self.data.len() <= COPIED_MAX
    }

    fn parts(&self) -> [&[u8]; 3] {
        match self.is_copied() {
            true => [&self.before, &[], &[]],
            false => [&self.before, &self.data, &self.after],
        }
    }

    pub fn len(&self) -> usize {
        self.parts().iter().map(|part| part.len()).sum()
    }

    /// Writes as much of it as the socket takes now.
    pub fn write(&self, socket: &TcpStream) -> std::io::Result<usize> {
        write_parts(socket, self.parts().into_iter())
    }

    /// What is left of it behind `written` bytes: large data is shared, not copied.
    pub fn rest(&self, mut written: usize) -> Vec<Bytes> {
        let mut rest = Vec::with_capacity(3);
        for part in self.parts() {
            let skipped = written.min(part.len());
            written -= skipped;
            if skipped < part.len() {
                let shared = std::ptr::eq(part, &*self.data);
                rest.push(if shared { self.data.slice(skipped..) } else { Bytes::copy_from_slice(&part[skipped..]) });
            }
        }
        rest
    }
}

/// Appends the event that tells a reader where it is. The end of a stream has no cursor.
pub(super) fn control_event(out: &mut Vec<u8>, next: Offset, cursor: Option<u64>, up_to_date: bool, closed: bool) {
    let event = ControlEvent {
        stream_next_offset: next,
        stream_cursor: cursor.map(|cursor| cursor.to_string()),
        up_to_date,
        stream_closed: closed,
    };
    let data = serde_json::to_vec(&event).unwrap_or_default();
    sse::event(out, Some("control"), None, &data);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(frame: &Frame) -> Vec<u8> {
        frame.parts().concat()
    }

    proptest! {
        #[test]
        fn a_chunk_is_whole_for_every_cursor_however_it_is_cut(
            length in prop_oneof![0..40_usize, COPIED_MAX - 2..COPIED_MAX + 40],
            cursors in prop::collection::vec(prop_oneof![0..20_u64, any::<u64>()], 1..6),
            cut in any::<prop::sample::Index>(),
        ) {
            let data: Bytes = vec![b'x'; length].into();
            let mut frame = Frame::new(data.clone(), Offset::at(7), true);
            for cursor in cursors {
                frame.set_cursor(cursor);
                let mut events = data.to_vec();
                control_event(&mut events, Offset::at(7), Some(cursor), true, false);
                let mut whole = format!("{:x}\r\n", events.len()).into_bytes();
                whole.extend_from_slice(&events);
                whole.extend_from_slice(b"\r\n");
                prop_assert_eq!(&bytes(&frame), &whole);
                prop_assert_eq!(frame.len(), whole.len());
                let cut = cut.index(whole.len() + 1);
                prop_assert_eq!(frame.rest(cut).concat(), &whole[cut..]);
            }
        }
    }
}
