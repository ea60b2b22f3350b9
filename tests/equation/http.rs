//! The least HTTP/1.1 that can break off at any byte, and read as slowly as it likes.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// No single step of an exchange may take longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a reader treats its connections.
#[derive(Clone, Copy, Debug)]
pub struct Temper {
    /// Bytes after which it drops the connection.
    pub cut_after: Option<usize>,
    /// Most bytes it takes at once, and the rest in between.
    pub sip: Option<(usize, Duration)>,
}

impl Temper {
    pub const STEADY: Self = Self { cut_after: None, sip: None };
}

/// A request, and who answers it.
pub struct Call {
    address: SocketAddr,
    head: String,
    body: Vec<u8>,
}

impl Call {
    pub fn new(address: SocketAddr, method: &str, target: &str) -> Self {
        let head = format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
        Self { address, head, body: Vec::new() }
    }

    pub fn header(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.head.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    pub fn json(self, body: &serde_json::Value) -> Self {
        self.body("application/json", body.to_string())
    }

    pub fn body(self, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        let mut call = self.header("Content-Type", kind);
        call.body = body.into();
        call
    }

    /// Sends it and goes away without waiting for the answer, `after` some time.
    pub async fn abandon(&self, after: Duration) -> Result<()> {
        let socket = self.send().await?;
        sleep(after).await;
        drop(socket);
        Ok(())
    }

    /// Sends it and reads the whole answer.
    pub async fn answer(&self) -> Result<Answer> {
        self.answer_to(Temper::STEADY).await
    }

    pub async fn answer_to(&self, temper: Temper) -> Result<Answer> {
        let mut incoming = self.open(temper).await?;
        let mut body = Vec::new();
        while let Some(part) = incoming.part().await? {
            body.extend_from_slice(&part);
        }
        Ok(Answer { status: incoming.status, headers: incoming.headers, body })
    }

    /// Sends it and reads the head of the answer.
    pub async fn open(&self, temper: Temper) -> Result<Incoming> {
        let socket = self.send().await?;
        let mut raw = Raw { socket, buffer: Vec::new(), left: temper.cut_after, sip: temper.sip, sips: 0 };
        let head = loop {
            if let Some(end) = raw.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break String::from_utf8_lossy(&raw.take(end + 4)).into_owned();
            }
            raw.more().await?;
        };
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| Error::new(ErrorKind::InvalidData, head.clone()))?;
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let find = |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let rest = if find("transfer-encoding") == Some("chunked") {
            Rest::Chunked
        } else {
            Rest::Sized(find("content-length").and_then(|length| length.parse().ok()).unwrap_or(0))
        };
        Ok(Incoming { status, headers, raw, rest })
    }

    async fn send(&self) -> Result<TcpStream> {
        let mut socket = timed(TcpStream::connect(self.address)).await?;
        let head = format!("{}Content-Length: {}\r\n\r\n", self.head, self.body.len());
        timed(socket.write_all(&[head.as_bytes(), &self.body].concat())).await?;
        Ok(socket)
    }
}

async fn timed<T>(step: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(PATIENCE, step).await.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn headless(status: u16, headers: Vec<(String, String)>) -> Self {
        Self { status, headers, body: Vec::new() }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> std::result::Result<serde_json::Value, String> {
        serde_json::from_slice(&self.body).map_err(|e| format!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }
}

/// An answer whose body is still coming.
pub struct Incoming {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    raw: Raw,
    rest: Rest,
}

enum Rest {
    Sized(usize),
    Chunked,
    Over,
}

impl Incoming {
    /// The next part of the body; `None` at its proper end. A body that breaks off is an error.
    pub async fn part(&mut self) -> Result<Option<Vec<u8>>> {
        match self.rest {
            Rest::Over | Rest::Sized(0) => Ok(None),
            Rest::Sized(left) => {
                if self.raw.buffer.is_empty() {
                    self.raw.more().await?;
                }
                let part = self.raw.take(left.min(self.raw.buffer.len()));
                self.rest = Rest::Sized(left - part.len());
                Ok(Some(part))
            }
            Rest::Chunked => {
                let line = loop {
                    if let Some(end) = self.raw.buffer.windows(2).position(|bytes| bytes == b"\r\n") {
                        break self.raw.take(end + 2);
                    }
                    self.raw.more().await?;
                };
                let text = String::from_utf8_lossy(&line).trim().to_owned();
                let length =
                    usize::from_str_radix(&text, 16).map_err(|_| Error::new(ErrorKind::InvalidData, text))?;
                while self.raw.buffer.len() < length + 2 {
                    self.raw.more().await?;
                }
                let mut part = self.raw.take(length + 2);
                part.truncate(length);
                if length == 0 {
                    self.rest = Rest::Over;
                    return Ok(None);
                }
                Ok(Some(part))
            }
        }
    }
}

struct Raw {
    socket: TcpStream,
    buffer: Vec<u8>,
    left: Option<usize>,
    sip: Option<(usize, Duration)>,
    sips: u32,
}

impl Raw {
    async fn more(&mut self) -> Result<()> {
        let most = self.sip.map_or(16 << 10, |(bytes, _)| bytes).min(self.left.unwrap_or(usize::MAX));
        if most == 0 {
            return Err(ErrorKind::ConnectionAborted.into());
        }
        if let Some((_, rest)) = self.sip {
            self.sips += 1;
            // Now and then long enough for the other side to fill its buffers and wait.
            sleep(if self.sips.is_multiple_of(64) { Duration::from_millis(60) } else { rest }).await;
        }
        let mut part = vec![0; most];
        let read = timed(self.socket.read(&mut part)).await?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.left = self.left.map(|left| left - read);
        self.buffer.extend_from_slice(&part[..read]);
        Ok(())
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(count);
        std::mem::replace(&mut self.buffer, rest)
    }
}
