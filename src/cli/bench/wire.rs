//! Just enough of HTTP/1.1 to load a server: requests that are bytes already, responses that are read and let go.
//!
//! It decides how the bytes of a response are framed, and leaves what they mean to others. A general client would be
//! measured along with the server, as both share the machine: this one makes one write per request, keeps one buffer per
//! connection, and looks only at the headers that a load needs. Its invariant: a connection is only used again where the
//! response before was read to its end.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// A connection, kept for one request after another. Its directions are apart, for a request that is still being sent
/// while its response comes.
pub struct Wire {
    pub outgoing: OwnedWriteHalf,
    pub incoming: Incoming,
}

/// What a server sends.
pub struct Incoming {
    socket: OwnedReadHalf,
    buffer: Box<[u8]>,
    /// What was received and not yet taken: `buffer[start..end]`.
    start: usize,
    end: usize,
}

/// What a response says before its body.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Head {
    pub status: u16,
    pub up_to_date: bool,
    /// `Stream-Next-Offset`, as it was sent.
    pub next_offset: Option<Box<str>>,
    /// The server closes the connection after this response.
    pub closes: bool,
    pub framing: Framing,
}

impl Head {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// How much of the body is still to come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    #[default]
    Done,
    Length(u64),
    /// Bytes left of the present chunk; 0 where a chunk's size comes next.
    Chunked(u64),
    /// Behind a chunk stands a line break.
    ChunkEnd,
    UntilClose,
}

impl Wire {
    /// Bytes that a connection reads at once, unless it is for whole logs.
    pub const SMALL: usize = 8 << 10;
    pub const LARGE: usize = 256 << 10;

    pub async fn connect(address: SocketAddr, buffer_bytes: usize) -> io::Result<Self> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let (socket, outgoing) = socket.into_split();
        let incoming = Incoming { socket, buffer: vec![0; buffer_bytes].into_boxed_slice(), start: 0, end: 0 };
        Ok(Self { outgoing, incoming })
    }

    /// Sends a request and reads the head of its response.
    pub async fn ask(&mut self, request: &[u8]) -> io::Result<Head> {
        self.outgoing.write_all(request).await?;
        self.incoming.head().await
    }
}

impl Incoming {
    /// Reads a response's head.
    pub async fn head(&mut self) -> io::Result<Head> {
        loop {
            let received = &self.buffer[self.start..self.end];
            if let Some(length) = find(received, b"\r\n\r\n") {
                let head = parse(&received[..length]).ok_or_else(|| broken("a response is not HTTP/1.1"))?;
                self.start += length + 4;
                if head.status != 100 {
                    return Ok(head);
                }
                continue;
            }
            self.fill().await?;
        }
    }

    /// The next bytes of the body; `None` where it is over.
    pub async fn piece(&mut self, framing: &mut Framing) -> io::Result<Option<&[u8]>> {
        loop {
            match framing {
                Framing::Done | Framing::Length(0) => return Ok(None),
                Framing::ChunkEnd => {
                    self.line().await?;
                    *framing = Framing::Chunked(0);
                }
                Framing::Chunked(0) => {
                    let size = self.line().await?.ok_or_else(|| broken("a chunk has no size"))?;
                    *framing = match size {
                        // No server here sends trailers; the line behind the last chunk is empty.
                        0 => {
                            self.line().await?;
                            Framing::Done
                        }
                        size => Framing::Chunked(size),
                    };
                }
                Framing::Length(left) | Framing::Chunked(left) => {
                    let left = *left;
                    let (from, taken) = self.take(left).await?;
                    *framing = match *framing {
                        Framing::Chunked(_) if taken as u64 == left => Framing::ChunkEnd,
                        Framing::Chunked(_) => Framing::Chunked(left - taken as u64),
                        _ => Framing::Length(left - taken as u64),
                    };
                    return Ok(Some(&self.buffer[from..from + taken]));
                }
                Framing::UntilClose => {
                    return match self.take(u64::MAX).await {
                        Ok((from, taken)) => Ok(Some(&self.buffer[from..from + taken])),
                        Err(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
                        Err(cause) => Err(cause),
                    };
                }
            }
        }
    }

    /// Reads the rest of a body, and says how long it was.
    pub async fn skip(&mut self, framing: &mut Framing) -> io::Result<u64> {
        let mut bytes = 0;
        while let Some(piece) = self.piece(framing).await? {
            bytes += piece.len() as u64;
        }
        Ok(bytes)
    }

    /// What is there of at most `most` bytes, waiting for the first; where it lies in the buffer.
    async fn take(&mut self, most: u64) -> io::Result<(usize, usize)> {
        if self.start == self.end {
            self.fill().await?;
        }
        let taken = usize::try_from(most).unwrap_or(usize::MAX).min(self.end - self.start);
        self.start += taken;
        Ok((self.start - taken, taken))
    }

    /// Takes one line; its hexadecimal number, where it has one.
    async fn line(&mut self) -> io::Result<Option<u64>> {
        loop {
            if let Some(length) = find(&self.buffer[self.start..self.end], b"\r\n") {
                let line = &self.buffer[self.start..self.start + length];
                let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
                let number =
                    std::str::from_utf8(digits).ok().and_then(|text| u64::from_str_radix(text.trim(), 16).ok());
                self.start += length + 2;
                return Ok(number);
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> io::Result<()> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.buffer.len() {
            if self.start == 0 {
                return Err(broken("a response's head is too long"));
            }
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        match self.socket.read(&mut self.buffer[self.end..]).await? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection")),
            read => {
                self.end += read;
                Ok(())
            }
        }
    }
}

fn broken(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = needle.first()?;
    let mut from = 0;
    while let Some(at) = haystack[from..].iter().position(|byte| byte == first) {
        let at = from + at;
        if haystack[at..].starts_with(needle) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

/// A head without its empty line; `None` where it is not one of HTTP/1.1.
fn parse(head: &[u8]) -> Option<Head> {
    let mut lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let status = lines.next()?.strip_prefix(b"HTTP/1.")?.get(2..5)?;
    let status = std::str::from_utf8(status).ok()?.parse().ok()?;
    let mut head = Head { status, framing: Framing::UntilClose, ..Head::default() };
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let text = || std::str::from_utf8(value).ok();
        // Only by length first: most headers are none of these.
        match name.len() {
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                head.framing = Framing::Length(text()?.parse().ok()?)
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => head.framing = Framing::Chunked(0),
            18 if name.eq_ignore_ascii_case(b"stream-next-offset") => head.next_offset = text().map(Box::from),
            17 if name.eq_ignore_ascii_case(b"stream-up-to-date") => head.up_to_date = true,
            10 if name.eq_ignore_ascii_case(b"connection") => head.closes = value.eq_ignore_ascii_case(b"close"),
            _ => {}
        }
    }
    if matches!(status, 100..200 | 204 | 304) {
        head.framing = Framing::Done;
    }
    Some(head)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn a_head_is_read_whatever_the_case_of_its_names() {
        let head = parse(
            b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nstream-next-offset:  7_1\r\nSTREAM-UP-TO-DATE: true\r\nConnection: close",
        );
        let expected = Head {
            status: 200,
            up_to_date: true,
            next_offset: Some("7_1".into()),
            closes: true,
            framing: Framing::Length(12),
        };
        assert_eq!(head, Some(expected));
        assert_eq!(parse(b"HTTP/1.1 204 No Content").unwrap().framing, Framing::Done);
        assert_eq!(parse(b"SSH-2.0-OpenSSH"), None);
    }

    /// What is received of answers that arrive in pieces of `step` bytes.
    async fn received(answers: &'static [u8], step: usize, count: usize) -> Vec<Vec<u8>> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            for piece in answers.chunks(step) {
                socket.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let mut wire = Wire::connect(address, 64).await.unwrap();
        let mut bodies = Vec::new();
        for _ in 0..count {
            let mut framing = wire.incoming.head().await.unwrap().framing;
            let mut body = Vec::new();
            while let Some(piece) = wire.incoming.piece(&mut framing).await.unwrap() {
                body.extend_from_slice(piece);
            }
            bodies.push(body);
        }
        bodies
    }

    #[tokio::test]
    async fn bodies_are_framed_alike_however_they_arrive() {
        let answers: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello\
            HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n\
            HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n\r\nthe rest";
        for step in [1, 3, 7, 1_000] {
            let bodies = received(answers, step, 4).await;
            assert_eq!(bodies, [&b"hello"[..], b"abcdefg", b"", b"the rest"], "in pieces of {step}");
        }
    }
}
