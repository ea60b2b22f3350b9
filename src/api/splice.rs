//! Pages that the kernel hands to a socket from a file, past the HTTP library, which only knows bytes.
//!
//! A handler answers with a page's bytes and says that they are a file as well ([`AsFile`]). On a connection that knows
//! how, [`Outgoing::splice`] puts bytes in their place that stand for the file: as many, of one buffer of zeros that nobody
//! writes to. The connection's socket recognises them by where they lie ([`Outgoing::next`]) and has the kernel send the file
//! instead. Its invariant: what stands for a file is never sent itself. So nothing may come between the body and the
//! socket that looks at bytes or copies them: it is done last, to responses that are not encoded, on HTTP/1.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::{StatusCode, Version, header};
use axum::response::Response;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::engine::PageFile;

/// Bytes that stand for those of files. Never written to, and so never in memory.
static STAND_IN: LazyLock<Box<[u8]>> = LazyLock::new(|| vec![0; 1 << 20].into_boxed_slice());

/// An extension of a response: its body is all of this file.
#[derive(Clone)]
pub struct AsFile(pub Arc<PageFile>);

/// What a connection's socket is to send from files, in the order of the bytes that stand for it.
#[derive(Clone, Default)]
pub struct Outgoing(Arc<Mutex<VecDeque<Part>>>);

struct Part {
    source: Arc<Source>,
    at: u64,
    left: usize,
}

struct Source {
    page: Arc<PageFile>,
    /// What it stands for, with its share of the room for pages.
    _body: Mutex<Body>,
}

/// What a socket is to do next.
enum Next<'a> {
    /// The slices are what they are.
    Plain,
    /// So is the first one, and another one stands for a file.
    Before(&'a [u8]),
    /// The first one stands for a part of a file.
    Part(Arc<Source>, u64, usize),
}

impl Outgoing {
    /// Lets the socket send the body from its file, where it has one and goes out as it is.
    pub fn splice(&self, version: Version, mut response: Response) -> Response {
        let Some(AsFile(page)) = response.extensions_mut().remove() else { return response };
        let as_it_is =
            response.status() == StatusCode::OK && !response.headers().contains_key(header::CONTENT_ENCODING);
        if !as_it_is || !matches!(version, Version::HTTP_10 | Version::HTTP_11) {
            return response;
        }
        response.map(|body| {
            let left = page.size();
            let source = Arc::new(Source { page, _body: Mutex::new(body) });
            Body::new(Spliced { outgoing: self.clone(), source, left })
        })
    }

    /// Writes the slices, as a socket does, and files where they stand for them.
    pub fn poll_write(
        &self,
        socket: &mut TcpStream,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        use tokio::io::AsyncWrite;
        let next = self.next(slices)?;
        if let Next::Plain = next {
            return Pin::new(socket).poll_write_vectored(cx, slices);
        }
        loop {
            std::task::ready!(socket.poll_write_ready(cx))?;
            let written = socket.try_io(Interest::WRITABLE, || match &next {
                Next::Plain => Ok(0),
                Next::Before(slice) => PageFile::announce(slice, &*socket),
                Next::Part(source, at, most) => source.page.send(*at, *most, &*socket),
            });
            match written {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(written) => {
                    if let Next::Part(..) = next {
                        self.sent(written);
                    }
                    return Poll::Ready(Ok(written));
                }
            }
        }
    }

    fn next<'a>(&self, slices: &'a [IoSlice<'_>]) -> io::Result<Next<'a>> {
        let parts = self.0.lock();
        let first = slices.iter().find(|slice| !slice.is_empty());
        match (parts.front(), first) {
            (None, _) if !slices.iter().any(|slice| stands_for_file(slice)) => Ok(Next::Plain),
            (Some(part), Some(slice)) if stands_for_file(slice) => {
                Ok(Next::Part(part.source.clone(), part.at, part.left.min(slice.len())))
            }
            (Some(_), Some(slice)) if slices.iter().any(|slice| stands_for_file(slice)) => Ok(Next::Before(slice)),
            // The two are not in step: better no answer than a wrong one.
            _ => Err(io::Error::other("a file and what stands for it were parted")),
        }
    }

    fn sent(&self, sent: usize) {
        let mut parts = self.0.lock();
        if let Some(part) = parts.front_mut() {
            part.at += sent as u64;
            part.left -= sent.min(part.left);
            if part.left == 0 {
                parts.pop_front();
            }
        }
    }
}

fn stands_for_file(slice: &[u8]) -> bool {
    // Who has never sent a file need not make room for what stands for one.
    let all = LazyLock::get(&STAND_IN).map(|all| all.as_ptr_range());
    all.is_some_and(|all| all.contains(&slice.as_ptr()))
}

struct Spliced {
    outgoing: Outgoing,
    source: Arc<Source>,
    left: u64,
}

impl http_body::Body for Spliced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let stand_in: &'static [u8] = &STAND_IN;
        let len = stand_in.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let at = self.source.page.size() - self.left;
        self.left -= len as u64;
        self.outgoing.0.lock().push_back(Part { source: self.source.clone(), at, left: len });
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&stand_in[..len])))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
