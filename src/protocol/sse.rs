//! Frames of Server-Sent Events. Sources: HTML Living Standard §9.2, PROTOCOL.md §5.8.
//!
//! Invariant: whatever the payload, a frame ends where it should: every CR, LF and CRLF in it starts a new `data:` line.

use base64::Engine as _;

/// Appends one event. `name` and `id` are the server's own and hold no line breaks.
pub fn event(out: &mut Vec<u8>, name: Option<&str>, id: Option<&str>, data: &[u8]) {
    for (field, value) in [("event: ", name), ("id: ", id)] {
        if let Some(value) = value {
            out.extend_from_slice(field.as_bytes());
            out.extend_from_slice(value.as_bytes());
            out.push(b'\n');
        }
    }
    data_lines(out, data);
    out.push(b'\n');
}

/// Appends a comment, which readers skip: keeps idle connections open.
pub fn heartbeat(out: &mut Vec<u8>) {
    out.extend_from_slice(b":\n\n");
}

/// Appends bytes as an event whose data is their standard base64.
pub fn binary_event(out: &mut Vec<u8>, name: &str, data: &[u8]) {
    event(out, Some(name), None, base64::engine::general_purpose::STANDARD.encode(data).as_bytes());
}

fn data_lines(out: &mut Vec<u8>, data: &[u8]) {
    let mut rest = data;
    loop {
        let end = rest.iter().position(|b| matches!(b, b'\n' | b'\r')).unwrap_or(rest.len());
        out.extend_from_slice(b"data:");
        // A reader drops one space after the colon: it must not be one of the payload's.
        if rest.first() == Some(&b' ') {
            out.push(b' ');
        }
        out.extend_from_slice(&rest[..end]);
        out.push(b'\n');
        rest = match &rest[end..] {
            [] => return,
            [b'\r', b'\n', tail @ ..] => tail,
            [_, tail @ ..] => tail,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_payload_can_end_its_frame(data in "[a-c:\r\n ]{0,40}") {
            let mut out = Vec::new();
            event(&mut out, Some("data"), None, data.as_bytes());
            let text = String::from_utf8(out).unwrap();
            let body = text.strip_prefix("event: data\n").unwrap().strip_suffix("\n\n").unwrap();
            let lines: Vec<&str> = body
                .split('\n')
                .map(|line| line.strip_prefix("data:").unwrap())
                .map(|line| line.strip_prefix(' ').unwrap_or(line))
                .collect();
            prop_assert_eq!(lines.join("\n"), data.replace("\r\n", "\n").replace('\r', "\n"));
        }
    }
}
