//! The one place that joins storage, engine, edge and sockets.
//!
//! The port opens first and answers 503 until the log is recovered. Stopping goes the other way round: no new
//! connections, live responses end on a frame, requests in hand are answered, the log is closed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::Sleep;
use tokio_util::task::TaskTracker;

use crate::api::front::Front;
use crate::api::multiplex::unless_stuck;
use crate::api::room::ConnectionRooms;
use crate::api::splice::Outgoing;
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

    fn connection(&self, socket: TcpStream) -> impl Future<Output = ()> + Send + 'static {
        let (service, outgoing) = self.front.connect();
        let mut stopped = self.stopped.clone();
        let write_timeout = self.write_timeout;
        let rooms = self.api.connection_rooms();
        async move {
            // Small frames must leave at once; where the socket cannot, they leave a little later.
            let _ = socket.set_nodelay(true);
            let mut builder = auto::Builder::new(Streams { timeout: write_timeout, rooms });
            builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_BYTES_MAX);
            let mut http2 = builder.http2();
            http2
                .timer(TokioTimer::new())
                .keep_alive_interval(Some(Duration::from_secs(20)))
                .max_concurrent_streams(STREAMS_MAX)
                .initial_stream_window_size(STREAM_WINDOW_BYTES)
                .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
                .max_send_buf_size(STREAM_SEND_BYTES)
                .max_header_list_size(HEAD_BYTES_MAX as u32);
            let greeting = Greeting::within(HEAD_TIMEOUT);
            let io = TokioIo::new(Timed {
                socket,
                outgoing,
                timeout: write_timeout,
                stuck: None,
                greeting: Some(greeting),
            });
            let connection = builder.serve_connection(io, service);
            tokio::pin!(connection);
            tokio::select! {
                _ = connection.as_mut() => return,
                _ = stopped.wait_for(|stopped| *stopped) => connection.as_mut().graceful_shutdown(),
            }
            // An error here is the client's: it went away, or did not read for too long.
            let _ = connection.await;
        }
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

/// Until a client has said which HTTP it speaks, nobody else watches how long it takes: it would keep its place for ever.
struct Greeting {
    said: usize,
    over: Pin<Box<Sleep>>,
}

impl Greeting {
    fn within(timeout: Duration) -> Self {
        Self { said: 0, over: Box::pin(tokio::time::sleep(timeout)) }
    }

    /// Whether it is still not known, after these bytes.
    fn goes_on(&mut self, bytes: &[u8]) -> bool {
        let from = self.said;
        self.said += bytes.len();
        !bytes.is_empty() && self.said < PREFACE.len() && bytes == &PREFACE[from..self.said]
    }
}

/// A socket whose writes fail once one has been stuck for too long: the only reason to close a slow reader.
struct Timed {
    socket: TcpStream,
    outgoing: Outgoing,
    timeout: Duration,
    stuck: Option<Pin<Box<Sleep>>>,
    /// `None` once the client has said what it speaks.
    greeting: Option<Greeting>,
}

impl Timed {
    fn watch<T>(&mut self, cx: &mut Context<'_>, write: Poll<std::io::Result<T>>) -> Poll<std::io::Result<T>> {
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
        let known = buf.filled().len();
        let read = Pin::new(&mut this.socket).poll_read(cx, buf);
        let Some(greeting) = &mut this.greeting else { return read };
        match &read {
            Poll::Ready(Ok(())) => {
                if !greeting.goes_on(&buf.filled()[known..]) {
                    this.greeting = None;
                }
                read
            }
            Poll::Ready(Err(_)) => read,
            Poll::Pending => greeting.over.as_mut().poll(cx).map(|()| Err(std::io::ErrorKind::TimedOut.into())),
        }
    }
}

impl AsyncWrite for Timed {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        self.poll_write_vectored(cx, &[std::io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let this = &mut *self;
        let write = this.outgoing.poll_write(&mut this.socket, cx, bufs);
        this.watch(cx, write)
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// What is read of a client that says `said` and then nothing, where 50 ms are allowed for a greeting.
    async fn read_of(said: &[u8]) -> std::io::Result<usize> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        let (timeout, greeting) = (Duration::from_secs(60), Some(Greeting::within(Duration::from_millis(50))));
        let mut server = Timed { socket, outgoing: Outgoing::default(), timeout, stuck: None, greeting };
        client.write_all(said).await.unwrap();
        let mut buffer = [0; 64];
        if !said.is_empty() {
            assert_eq!(server.read(&mut buffer).await?, said.len());
        }
        tokio::time::timeout(Duration::from_millis(500), server.read(&mut buffer)).await.unwrap_or(Ok(0))
    }

    #[tokio::test]
    async fn a_client_that_never_says_what_it_speaks_is_not_waited_for() {
        for silent in [&b""[..], b"P", &PREFACE[..23]] {
            let error = read_of(silent).await.expect_err("it is cut off");
            assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
        }
        for known in [&b"G"[..], b"PUT", PREFACE] {
            assert_eq!(read_of(known).await.unwrap(), 0, "others watch the time from here on");
        }
    }
}
