//! The one place that joins storage, engine, edge and sockets.
//!
//! The port opens first and answers 503 until the log is recovered. Stopping goes the other way round: no new
//! connections, live responses end on a frame, requests in hand are answered, the log is closed.

use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::Sleep;
use tokio_util::task::TaskTracker;

use crate::api::front::Front;
use crate::api::handover::{Door, Handover};
use crate::api::live::{self, Reader};
use crate::api::multiplex::unless_stuck;
use crate::api::room::ConnectionRooms;
use crate::api::{self, Api};
use crate::config::{ServerSettings, StoreKind};
use crate::engine::{Engine, Fault, Health, Shed};
use crate::runtime::Clock;
use crate::storage::{Journal, JournalOptions, MemoryStore, OpenError, SharedStore};
use crate::webhook::{KeyError, Postman, PostmanError, SigningKey};

/// Why a server did not start, or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("cannot start: {0}")]
    Start(#[from] Fault),
    #[error("a barrier failed: what was being written is stored whole or not at all; restart once the disk is well")]
    BarrierFailed,
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Postman(#[from] PostmanError),
    #[error("a task of the server failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// A running server.
pub struct Running {
    pub address: SocketAddr,
    engine: Engine,
    connections: TaskTracker,
    stop: watch::Sender<bool>,
    sweeper: tokio::task::JoinHandle<()>,
    dispatcher: tokio::task::JoinHandle<()>,
    migrator: tokio::task::JoinHandle<()>,
}

/// Requests in hand on one HTTP/2 connection: a page of live views, or a proxy, holds many.
const STREAMS_MAX: u32 = 1_000;
/// What may come of one request's body before it is read.
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
/// The same for all requests of a connection.
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
/// What a connection takes of one response beyond what its socket took.
const STREAM_SEND_BYTES: usize = 64 << 10;

/// How long a client may take to say which HTTP it speaks, and then for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Largest head of a request; also what a connection reads ahead of a body.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// How long requests in hand may take once the server stops.
const GRACE: Duration = Duration::from_secs(10);

/// Starts a server; resolves once it serves.
pub async fn start(settings: ServerSettings) -> Result<Running, ServerError> {
    let clock = Clock::system();
    let listen = |source| ServerError::Listen { address: settings.address, source };
    let listener = TcpListener::bind(settings.address).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let api = Api::new(settings.api.clone());
    let (stop, stopped) = watch::channel(false);
    let connections = TaskTracker::new();
    let accepting = Accepting {
        front: Front::new(api.clone(), api::router(api.clone())),
        api: api.clone(),
        connections: connections.clone(),
        stopped,
        write_timeout: settings.write_timeout,
        room: Arc::new(Semaphore::new(settings.engine.limits.connections_max)),
    };
    connections.spawn(accepting.run(listener));
    let mut engine_settings = settings.engine.clone();
    engine_settings.subscriptions.public_url = match &settings.public_url {
        Some(url) => url.as_str().into(),
        None => format!("http://{}", reachable(address)).into(),
    };
    let postman = Postman {
        timeout: settings.webhook_timeout,
        localhost_allowed: engine_settings.subscriptions.localhost_allowed,
        ..Postman::default()
    };
    let opened = tokio::task::spawn_blocking(move || -> Result<Engine, ServerError> {
        let (store, key): (SharedStore, SigningKey) = match settings.store {
            StoreKind::Memory => (MemoryStore::new(clock.clone()), SigningKey::generate()?),
            StoreKind::Journal => {
                let options = JournalOptions {
                    segment_bytes: settings.segment_bytes,
                    cluster_after: settings.cluster_after,
                    ..JournalOptions::new(clock.clone())
                };
                let journal = Journal::open_dir(&settings.data_dir, options)?;
                (journal, SigningKey::of_directory(&settings.data_dir)?)
            }
        };
        let engine = Engine::start(store, clock, engine_settings)?;
        engine.deliver_by(Arc::new(postman.employ(key)?));
        Ok(engine)
    });
    let engine = match opened.await? {
        Ok(engine) => engine,
        Err(error) => {
            stop.send_replace(true);
            return Err(error);
        }
    };
    api.serve_from(engine.clone());
    let sweeper = tokio::spawn(engine.clone().sweep(Duration::from_secs(1)));
    let dispatcher = tokio::spawn(engine.clone().dispatch());
    let migrator = tokio::spawn(engine.clone().migrate());
    Ok(Running { address, engine, connections, stop, sweeper, dispatcher, migrator })
}

/// An address that a client can connect to: one that listens everywhere is reached here.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::new(Ipv6Addr::LOCALHOST.into(), address.port()),
        _ => address,
    }
}

impl Running {
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Resolves when the log has failed and takes nothing more.
    pub async fn failed(&self) {
        while self.engine.health() != Health::Failed {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Stops: ends live responses on a frame, answers what is in hand, closes the log.
    pub async fn stop(self) -> Result<(), ServerError> {
        self.stop.send_replace(true);
        self.engine.begin_stop();
        self.connections.close();
        if tokio::time::timeout(GRACE, self.connections.wait()).await.is_err() {
            tracing::warn!(connections = self.connections.len(), "connections were cut: they took too long to end");
        }
        self.sweeper.await?;
        self.dispatcher.await?;
        self.migrator.await?;
        let engine = self.engine;
        Ok(tokio::task::spawn_blocking(move || engine.close()).await?)
    }
}

/// Takes connections until told to stop.
struct Accepting {
    front: Front,
    api: Api,
    connections: TaskTracker,
    stopped: watch::Receiver<bool>,
    write_timeout: Duration,
    room: Arc<Semaphore>,
}

impl Accepting {
    async fn run(mut self, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = self.stopped.wait_for(|stopped| *stopped) => return,
            };
            match accepted {
                // Beyond the bound a connection is closed at once rather than left waiting.
                Ok((socket, _)) => {
                    let Ok(place) = self.room.clone().try_acquire_owned() else {
                        self.api.sheds().count(Shed::Connections);
                        continue;
                    };
                    let connection = self.connection(socket);
                    self.connections.spawn(async move {
                        connection.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    // Out of file handles, mostly: give others time to close theirs.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    fn connection(&self, mut socket: TcpStream) -> impl Future<Output = ()> + Send + 'static {
        let serving =
            Serving { front: self.front.clone(), stopped: self.stopped.clone(), write_timeout: self.write_timeout };
        let rooms = self.api.connection_rooms();
        async move {
            // Small frames must leave at once; where the socket cannot, they leave a little later.
            let _ = socket.set_nodelay(true);
            let mut stopped = serving.stopped.clone();
            let greeted = tokio::select! {
                greeted = tokio::time::timeout(HEAD_TIMEOUT, greeting(&mut socket)) => greeted,
                _ = stopped.wait_for(|stopped| *stopped) => return,
            };
            match greeted {
                // An error here is the client's: it went away, or said nothing for too long.
                Err(_) | Ok(Err(_)) => {}
                Ok(Ok((Http::One, said))) => serving.http1(socket, said).await,
                Ok(Ok((Http::Two, said))) => Box::pin(serving.http2(socket, said, rooms)).await,
            }
        }
    }
}

/// What the connections of a server have in common.
struct Serving {
    front: Front,
    stopped: watch::Receiver<bool>,
    write_timeout: Duration,
}

impl Serving {
    /// Requests one after another; a live response is sent without the machinery that it came from.
    async fn http1(mut self, mut socket: TcpStream, mut said: Vec<u8>) {
        loop {
            let served = Box::pin(self.until_live(socket, said)).await;
            let Some((reader, live_socket, ahead)) = served else { return };
            let followed = live::follow(reader, live_socket, ahead, self.write_timeout).await;
            let Some(left) = followed else { return };
            (socket, said) = left;
        }
    }

    /// Serves requests until one is answered by a live response whose head is out. `None` once the connection has ended.
    async fn until_live(&mut self, socket: TcpStream, said: Vec<u8>) -> Option<(Box<Reader>, TcpStream, Vec<u8>)> {
        let handover = Handover::default();
        let door = Door::new(self.front.clone(), handover.clone());
        let io = TokioIo::new(Timed::new(socket, said, self.write_timeout, Some(handover.clone())));
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_BYTES_MAX);
        let mut connection = builder.serve_connection(io, door);
        let mut is_stopping = false;
        let reader = loop {
            let served = poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
                // An error here is the client's: it went away, or did not read for too long.
                Poll::Ready(_) => Poll::Ready(None),
                Poll::Pending => handover.take().map_or(Poll::Pending, |reader| Poll::Ready(Some(reader))),
            });
            tokio::select! {
                reader = served => break reader?,
                _ = self.stopped.wait_for(|stopped| *stopped), if !is_stopping => {
                    is_stopping = true;
                    Pin::new(&mut connection).graceful_shutdown();
                }
            }
        };
        let left = connection.into_parts();
        let Timed { socket, said, .. } = left.io.into_inner();
        // In the order in which it came: what the machinery has read, and what it had not yet taken of what was read before.
        Some((reader, socket, [&left.read_buf[..], &said].concat()))
    }

    async fn http2(mut self, socket: TcpStream, said: Vec<u8>, rooms: ConnectionRooms) {
        let mut builder = http2::Builder::new(Streams { timeout: self.write_timeout, rooms });
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(Some(Duration::from_secs(20)))
            .max_concurrent_streams(STREAMS_MAX)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(STREAM_SEND_BYTES)
            .max_header_list_size(HEAD_BYTES_MAX as u32);
        let io = TokioIo::new(Timed::new(socket, said, self.write_timeout, None));
        let connection = builder.serve_connection(io, self.front);
        tokio::pin!(connection);
        tokio::select! {
            _ = connection.as_mut() => return,
            _ = self.stopped.wait_for(|stopped| *stopped) => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    }
}

/// Runs the streams of an HTTP/2 connection. One whose reader has taken nothing for too long is dropped, and so reset.
#[derive(Clone)]
struct Streams {
    timeout: Duration,
    rooms: ConnectionRooms,
}

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, stream: F) {
        tokio::spawn(self.rooms.clone().serve(unless_stuck(self.timeout, stream)));
    }
}

/// What an HTTP/2 client says first. Source: RFC 9113 §3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The versions of HTTP that are spoken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Http {
    One,
    Two,
}

/// What is read of a client at first: mostly the head of a request.
const GREETING_BYTES: usize = 1 << 10;

/// Reads until it is known which HTTP a client speaks; also what it has said by then.
async fn greeting(socket: &mut TcpStream) -> std::io::Result<(Http, Vec<u8>)> {
    let mut said = Vec::with_capacity(GREETING_BYTES);
    loop {
        let known = said.len().min(PREFACE.len());
        if said[..known] != PREFACE[..known] {
            return Ok((Http::One, said));
        }
        if known == PREFACE.len() {
            return Ok((Http::Two, said));
        }
        if socket.read_buf(&mut said).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// A socket whose writes fail once one has been stuck for too long: the only reason to close a slow reader.
struct Timed {
    socket: TcpStream,
    /// What was read of it before: comes first.
    said: Vec<u8>,
    timeout: Duration,
    stuck: Option<Pin<Box<Sleep>>>,
    /// Who wants to know whether the socket has taken everything.
    handover: Option<Handover>,
}

impl Timed {
    fn new(socket: TcpStream, said: Vec<u8>, timeout: Duration, handover: Option<Handover>) -> Self {
        Self { socket, said, timeout, stuck: None, handover }
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, write: Poll<std::io::Result<T>>) -> Poll<std::io::Result<T>> {
        if let Some(handover) = &self.handover {
            handover.set_stuck(write.is_pending());
        }
        if write.is_ready() {
            self.stuck = None;
            return write;
        }
        let timeout = self.timeout;
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        match stuck.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(std::io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Timed {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        if this.said.is_empty() {
            return Pin::new(&mut this.socket).poll_read(cx, buf);
        }
        let taken = this.said.len().min(buf.remaining());
        buf.put_slice(&this.said[..taken]);
        match taken == this.said.len() {
            true => this.said = Vec::new(),
            false => drop(this.said.drain(..taken)),
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Timed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        let write = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.watch(cx, write)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let write = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        self.watch(cx, write)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    /// What a client is taken for that says `said`, piece by piece, and then nothing.
    async fn greeted(said: &[&[u8]]) -> Option<(Http, Vec<u8>)> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut socket, _) = listener.accept().await.unwrap();
        let saying = async {
            for piece in said {
                client.write_all(piece).await.unwrap();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            std::future::pending::<()>().await
        };
        tokio::select! {
            greeted = tokio::time::timeout(Duration::from_millis(100), greeting(&mut socket)) => greeted.ok()?.ok(),
            () = saying => None,
        }
    }

    #[tokio::test]
    async fn a_client_that_never_says_what_it_speaks_is_not_waited_for() {
        let silent: [&[&[u8]]; 3] = [&[], &[b"P"], &[b"PRI", &PREFACE[3..23]]];
        for said in silent {
            assert_eq!(greeted(said).await, None, "{said:?}");
        }
        let known: [&[&[u8]]; 3] = [&[b"G"], &[b"P", b"UT /"], &[b"PRI * HTTP/1.1"]];
        for said in known {
            assert_eq!(greeted(said).await, Some((Http::One, said.concat())));
        }
        let preface: [&[&[u8]]; 2] = [&[PREFACE], &[b"PRI", &PREFACE[3..]]];
        for said in preface {
            assert_eq!(greeted(said).await, Some((Http::Two, PREFACE.to_vec())));
        }
    }

    #[tokio::test]
    async fn what_was_read_of_a_socket_comes_before_what_is_in_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        client.write_all(b"defg").await.unwrap();
        client.shutdown().await.unwrap();
        let mut timed = Timed::new(socket, b"abc".to_vec(), Duration::from_secs(1), None);
        let mut first = [0; 2];
        timed.read_exact(&mut first).await.unwrap();
        let mut rest = Vec::new();
        timed.read_to_end(&mut rest).await.unwrap();
        assert_eq!([&first[..], &rest].concat(), b"abcdefg");
    }
}
