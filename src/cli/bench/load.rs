//! A thread of load: its connections, and what each of them does until the run is over.
//!
//! It decides when a connection sends and how an answer is counted. Its invariant: whatever is acknowledged to a writer
//! is expected by every live reader of that stream, so that a reader's loss shows.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use tokio::io::AsyncWriteExt;
use tokio::sync::{Mutex, Notify, mpsc, oneshot};
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;

use super::measure::Tally;
use super::pace::pace;
use super::payload::{Keys, MOMENT, Shape, digits};
use super::scan::{Number, Text};
use super::wire::{Head, Wire};

/// How long what was sent before the end is waited for after it.
const GRACE: Duration = Duration::from_secs(10);
/// What is still unsent so long after the end is given up.
const LATE_MAX: Duration = Duration::from_secs(1);
/// A breath after something failed.
const BREATH: Duration = Duration::from_millis(50);
/// Live readers that connect at the same time.
const CONNECTING_MAX: usize = 64;
/// Lines of an ingest that are sent with one write, in bytes.
const CHUNK_BYTES: usize = 64 << 10;

/// What is asked of a run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub address: SocketAddr,
    /// Headers of every request, each with its line break.
    pub headers: String,
    /// Path and query of each stream.
    pub streams: Vec<String>,
    /// Where each stream takes NDJSON, if that is what is written.
    pub ingests: Option<Vec<String>>,
    pub shapes: Vec<Shape>,
    pub keys: Keys,
    /// Messages of a request or line.
    pub batch: usize,
    pub connections: usize,
    /// Requests per second of all connections together; each as fast as it is answered if left out.
    pub rate: Option<f64>,
    /// Lines of an ingest that may wait for their acknowledgement.
    pub window: usize,
    /// Share of a writer's requests that read.
    pub read_share: f64,
    pub readers: usize,
    pub replays: usize,
    /// Writing stops after so many requests.
    pub requests: Option<u64>,
    pub threads: usize,
}

/// A run that all threads share.
pub struct Run {
    pub plan: Plan,
    /// What messages count their moments from.
    began: Instant,
    /// From when to when it is measured.
    window: OnceLock<(Instant, Instant)>,
    pub stop: CancellationToken,
    /// Messages per stream that were acknowledged since the run began.
    acknowledged: Vec<AtomicU64>,
    pub delivered: AtomicU64,
    pub requests: AtomicU64,
    /// Bytes that replaying readers have received.
    pub replayed: AtomicU64,
    /// Requests taken from the bound on them.
    taken: AtomicU64,
}

impl Run {
    pub fn new(plan: Plan) -> Self {
        Self {
            acknowledged: plan.streams.iter().map(|_| AtomicU64::new(0)).collect(),
            plan,
            began: Instant::now(),
            window: OnceLock::new(),
            stop: CancellationToken::new(),
            delivered: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            replayed: AtomicU64::new(0),
            taken: AtomicU64::new(0),
        }
    }

    /// Sets when it is measured; writers begin at once.
    pub fn open(&self, from: Instant, to: Instant) {
        let _ = self.window.set((from, to));
    }

    pub fn is_over(&self) -> bool {
        let ends = self.window.get().is_some_and(|(_, to)| Instant::now() >= *to);
        ends || self.stop.is_cancelled()
            || self.plan.requests.is_some_and(|most| self.taken.load(Ordering::Relaxed) >= most)
    }

    fn measures(&self, moment: Instant) -> bool {
        self.window.get().is_some_and(|(from, to)| (*from..*to).contains(&moment))
    }

    /// What live readers should have received by now.
    pub fn expected(&self) -> u64 {
        let streams = self.acknowledged.len();
        let readers = |stream: usize| (self.plan.readers + streams - 1 - stream) / streams;
        let counts = self.acknowledged.iter().enumerate();
        counts.map(|(stream, count)| count.load(Ordering::Relaxed) * readers(stream) as u64).sum()
    }

    fn moment_us(&self, moment: Instant) -> u64 {
        moment.saturating_duration_since(self.began).as_micros() as u64
    }

    fn acknowledge(&self, stream: usize, messages: u64) {
        self.acknowledged[stream].fetch_add(messages, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
    }
}

/// One thread's part.
struct Worker {
    run: Arc<Run>,
    tally: RefCell<Tally>,
    random: RefCell<fastrand::Rng>,
    number: std::cell::Cell<u64>,
}

/// Moments at which requests are due, taken by whoever is free.
type Due = Rc<Mutex<mpsc::UnboundedReceiver<Instant>>>;

/// Runs one thread's part to its end. `ready` is told once its readers are connected; writers begin at `go`.
pub fn work(run: Arc<Run>, thread: usize, ready: oneshot::Sender<()>, go: CancellationToken) -> io::Result<Tally> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let worker = Rc::new(Worker {
        run: run.clone(),
        tally: RefCell::default(),
        random: RefCell::new(fastrand::Rng::with_seed(thread as u64 + 1)),
        number: std::cell::Cell::new(0),
    });
    let all = worker.clone();
    LocalSet::new().block_on(&runtime, async move { all.everything(thread, ready, go).await });
    Ok(worker.tally.borrow().clone())
}

/// Those of `count` that a thread has.
fn share(count: usize, thread: usize, threads: usize) -> impl Iterator<Item = usize> {
    (thread..count).step_by(threads)
}

impl Worker {
    async fn everything(self: Rc<Self>, thread: usize, ready: oneshot::Sender<()>, go: CancellationToken) {
        let plan = &self.run.plan;
        let connecting = share(plan.readers, thread, plan.threads).map(|index| {
            let (connected, connects) = oneshot::channel();
            tokio::task::spawn_local(self.clone().follow(index, connected));
            connects
        });
        // A reader that cannot connect says so by an error that is counted; the run does not wait for it.
        let connected = stream::iter(connecting).buffer_unordered(CONNECTING_MAX).for_each(|_| async {});
        tokio::select! {
            () = connected => {}
            () = self.run.stop.cancelled() => {}
        }
        let _ = ready.send(());
        go.cancelled().await;
        let due = plan.rate.map(|rate| {
            let (due, dues) = mpsc::unbounded_channel();
            let run = self.run.clone();
            let rate = rate / plan.threads as f64;
            thread::spawn(move || pace(run, rate, due));
            Rc::new(Mutex::new(dues))
        });
        let mut busy = tokio::task::JoinSet::new();
        for index in share(plan.connections, thread, plan.threads) {
            match &plan.ingests {
                Some(_) => busy.spawn_local(self.clone().ingest(index)),
                None => busy.spawn_local(self.clone().write(index, due.clone())),
            };
        }
        for index in share(plan.replays, thread, plan.threads) {
            tokio::task::spawn_local(self.clone().replay(index));
        }
        while !self.run.is_over() && (!busy.is_empty() || plan.connections == 0) {
            tokio::select! {
                Some(_) = busy.join_next() => {}
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
        }
        // What is in hand is answered, and what was acknowledged is delivered, or it took too long.
        let _ = tokio::time::timeout(GRACE, async {
            while busy.join_next().await.is_some() {}
            while plan.readers > 0 && self.run.delivered.load(Ordering::Relaxed) < self.run.expected() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        self.tally.borrow_mut().unsent += busy.len() as u64;
    }

    fn fail(&self, name: &str) {
        self.tally.borrow_mut().fail(name, 1);
    }

    async fn connect(&self, buffer_bytes: usize) -> Option<Wire> {
        match Wire::connect(self.run.plan.address, buffer_bytes).await {
            Ok(wire) => Some(wire),
            Err(cause) => {
                self.fail(&format!("connect: {}", cause.kind()));
                tokio::time::sleep(BREATH).await;
                None
            }
        }
    }

    /// Writes, and reads now and then, one request after another.
    async fn write(self: Rc<Self>, index: usize, due: Option<Due>) {
        let plan = &self.run.plan;
        let (mut request, mut body) = (Vec::new(), Vec::new());
        let (mut wire, mut place) = (None, None::<Box<str>>);
        let mut stream = index % plan.streams.len();
        while let Some(due) = self.next_due(due.as_ref()).await {
            if wire.is_none() {
                wire = self.connect(Wire::SMALL).await;
            }
            let Some(connected) = wire.as_mut() else { continue };
            let place_known = place.as_ref().filter(|_| plan.read_share > 0.0);
            let reads = place_known.filter(|_| self.random.borrow_mut().f64() < plan.read_share);
            request.clear();
            let is_read = match reads {
                Some(place) => {
                    let path = with_query(&plan.streams[stream], &format!("offset={place}"));
                    get(&mut request, &path, &plan.headers);
                    true
                }
                None => {
                    stream = (stream + plan.connections) % plan.streams.len();
                    body.clear();
                    self.messages(&mut body, due);
                    post(&mut request, &plan.streams[stream], &plan.headers, &body);
                    false
                }
            };
            let sent = Instant::now();
            match exchange(connected, &request).await {
                Ok((head, bytes, problem)) => {
                    if head.is_success() {
                        self.count(is_read, stream, due, sent, if is_read { bytes } else { body.len() as u64 });
                        place = head.next_offset.or(place);
                    } else {
                        self.fail(&format!("{}{problem}", head.status));
                        tokio::time::sleep(BREATH).await;
                    }
                    if head.closes {
                        wire = None;
                    }
                }
                Err(cause) => {
                    self.fail(&format!("request: {}", cause.kind()));
                    wire = None;
                }
            }
        }
    }

    /// When the next request is due, waiting for that; `None` where there is none any more.
    async fn next_due(&self, due: Option<&Due>) -> Option<Instant> {
        let run = &self.run;
        let Some(due) = due else {
            return (!run.is_over()).then(|| {
                run.taken.fetch_add(1, Ordering::Relaxed);
                Instant::now()
            });
        };
        loop {
            let next = due.lock().await.recv().await?;
            run.taken.fetch_add(1, Ordering::Relaxed);
            let waited = next.elapsed();
            if !(run.is_over() && waited > LATE_MAX) {
                return Some(next);
            }
            let mut tally = self.tally.borrow_mut();
            tally.unsent += 1;
            tally.writes.latency.record(waited);
        }
    }

    fn count(&self, is_read: bool, stream: usize, due: Instant, sent: Instant, bytes: u64) {
        let (run, done) = (&self.run, Instant::now());
        let batch = run.plan.batch as u64;
        if !is_read {
            run.acknowledge(stream, batch);
        }
        let open = run.plan.rate.is_some();
        // In an open loop what was due in the window counts, however late it came; in a closed one what was done in it.
        if !run.measures(if open { due } else { done }) {
            return;
        }
        let mut tally = self.tally.borrow_mut();
        let kind = if is_read { &mut tally.reads } else { &mut tally.writes };
        kind.latency.record(done - due);
        if open {
            kind.service.record(done - sent);
        }
        kind.requests += 1;
        kind.messages += if is_read { 0 } else { batch };
        kind.bytes += bytes;
    }

    /// A body of one request or line: a message, or an array of them.
    fn messages(&self, out: &mut Vec<u8>, due: Instant) {
        let plan = &self.run.plan;
        let moment = self.run.moment_us(due);
        let mut random = self.random.borrow_mut();
        let many = plan.batch > 1;
        for position in 0..plan.batch {
            if many {
                out.push(if position == 0 { b'[' } else { b',' });
            }
            let key = plan.keys.next(&mut random);
            let number = self.number.get();
            self.number.set(number + 1);
            // Values that are given have their keys in them: the key chooses the value.
            plan.shapes[key as usize % plan.shapes.len()].write(out, key, number, moment);
        }
        if many {
            out.push(b']');
        }
    }

    /// One ingest that lasts the whole run.
    async fn ingest(self: Rc<Self>, index: usize) {
        let plan = &self.run.plan;
        let stream = index % plan.streams.len();
        let Some(path) = plan.ingests.as_ref().map(|paths| &paths[stream]) else { return };
        let Some(Wire { mut outgoing, mut incoming }) = self.connect(Wire::SMALL).await else { return };
        let begin = format!(
            "POST {path} HTTP/1.1\r\n{}content-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\
             producer-id: bench-{index}\r\nproducer-epoch: 0\r\nproducer-seq: 0\r\n\r\n",
            plan.headers
        );
        let waiting = RefCell::new(VecDeque::new());
        let room = Notify::new();
        let ended = CancellationToken::new();
        let send = async {
            outgoing.write_all(begin.as_bytes()).await?;
            let (mut lines, mut chunk) = (Vec::new(), Vec::new());
            while !self.run.is_over() {
                if waiting.borrow().len() >= plan.window {
                    tokio::select! {
                        () = room.notified() => continue,
                        () = ended.cancelled() => return Ok(()),
                    }
                }
                lines.clear();
                while lines.len() < CHUNK_BYTES && waiting.borrow().len() < plan.window {
                    let (now, before) = (Instant::now(), lines.len());
                    self.messages(&mut lines, now);
                    lines.push(b'\n');
                    waiting.borrow_mut().push_back((now, lines.len() - before));
                    self.run.taken.fetch_add(1, Ordering::Relaxed);
                }
                chunk.clear();
                chunk.extend_from_slice(format!("{:x}\r\n", lines.len()).as_bytes());
                chunk.extend_from_slice(&lines);
                chunk.extend_from_slice(b"\r\n");
                outgoing.write_all(&chunk).await?;
                // The socket may take everything at once, and then nobody else would have a turn.
                tokio::task::yield_now().await;
            }
            outgoing.write_all(b"0\r\n\r\n").await
        };
        let receive = async {
            let head = incoming.head().await?;
            let mut framing = head.framing;
            let (mut seqs, mut refusals) = (Number::after(b"\"seq\":"), Text::after(b"\"error\":{\"type\":\""));
            let mut first = 0;
            while let Some(piece) = incoming.piece(&mut framing).await? {
                let (mut acknowledged, mut refused) = (None, false);
                refusals.scan(piece, |problem| {
                    refused = true;
                    self.fail(&format!("ingest: {}", last_segment(problem)));
                });
                seqs.scan(piece, |seq| acknowledged = if refused { seq.checked_sub(1) } else { Some(seq) });
                if let Some(seq) = acknowledged {
                    let mut waiting = waiting.borrow_mut();
                    while first <= seq {
                        let Some((sent, bytes)) = waiting.pop_front() else { break };
                        self.count(false, stream, sent, sent, bytes as u64);
                        first += 1;
                    }
                }
                room.notify_one();
            }
            ended.cancel();
            match head.is_success() {
                true => Ok(()),
                false => Err(io::Error::other(format!("{}", head.status))),
            }
        };
        if let Err(cause) = tokio::try_join!(send, receive) {
            self.fail(&format!("ingest: {cause}"));
        }
    }

    /// A live reader; `connected` is told once it waits at the tail.
    async fn follow(self: Rc<Self>, index: usize, connected: oneshot::Sender<()>) {
        let plan = &self.run.plan;
        let stream = index % plan.streams.len();
        let (mut place, mut connected) = ("now".to_owned(), Some(connected));
        loop {
            let Some(mut wire) = self.connect(Wire::SMALL).await else { continue };
            let ended = self.follow_on(&mut wire, &plan.streams[stream], &mut place, &mut connected).await;
            match ended {
                // Servers end live responses now and then, and are asked again.
                Ok(true) => {}
                Ok(false) => tokio::time::sleep(BREATH).await,
                Err(cause) => {
                    self.fail(&format!("live read: {}", cause.kind()));
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }

    async fn follow_on(
        &self,
        wire: &mut Wire,
        path: &str,
        place: &mut String,
        connected: &mut Option<oneshot::Sender<()>>,
    ) -> io::Result<bool> {
        let mut request = Vec::new();
        let path = with_query(path, &format!("offset={place}&live=sse"));
        get(&mut request, &path, &self.run.plan.headers);
        let Head { status, mut framing, .. } = wire.ask(&request).await?;
        if status != 200 {
            self.fail(&format!("live read: {status}"));
            return Ok(false);
        }
        let (mut moments, mut places) = (Number::after(MOMENT), Text::after(b"\"streamNextOffset\":\""));
        while let Some(piece) = wire.incoming.piece(&mut framing).await? {
            let now = Instant::now();
            let mut count = 0;
            moments.scan(piece, |moment| {
                count += 1;
                self.deliver(moment, now);
            });
            self.run.delivered.fetch_add(count, Ordering::Relaxed);
            places.scan(piece, |text| {
                place.clear();
                place.push_str(text);
                if let Some(connected) = connected.take() {
                    let _ = connected.send(());
                }
            });
        }
        Ok(true)
    }

    fn deliver(&self, moment_us: u64, now: Instant) {
        let made = self.run.began + Duration::from_micros(moment_us);
        if self.run.measures(made) {
            let mut tally = self.tally.borrow_mut();
            tally.deliveries.messages += 1;
            tally.deliveries.latency.record(now.saturating_duration_since(made));
        }
    }

    /// Reads a log from its beginning to its end, again and again.
    async fn replay(self: Rc<Self>, index: usize) {
        let plan = &self.run.plan;
        let path = &plan.streams[index % plan.streams.len()];
        let mut wire = None;
        while !self.run.is_over() {
            if wire.is_none() {
                wire = self.connect(Wire::LARGE).await;
            }
            let Some(connected) = wire.as_mut() else { continue };
            if let Err(cause) = self.replay_once(connected, path).await {
                self.fail(&format!("catch-up: {cause}"));
                wire = None;
                tokio::time::sleep(BREATH).await;
            }
        }
    }

    async fn replay_once(&self, wire: &mut Wire, path: &str) -> io::Result<()> {
        let (began, mut place, mut whole, mut request) = (Instant::now(), "-1".to_owned(), 0, Vec::new());
        loop {
            request.clear();
            get(&mut request, &with_query(path, &format!("offset={place}")), &self.run.plan.headers);
            let head = wire.ask(&request).await?;
            if !head.is_success() {
                return Err(io::Error::other(format!("{}", head.status)));
            }
            let mut framing = head.framing;
            while let Some(piece) = wire.incoming.piece(&mut framing).await? {
                whole += piece.len() as u64;
                if self.run.measures(Instant::now()) {
                    self.tally.borrow_mut().replays.bytes += piece.len() as u64;
                }
            }
            match head.next_offset {
                Some(next) if !head.up_to_date && *next != *place => place = next.into(),
                _ => break,
            }
        }
        self.run.replayed.fetch_add(whole, Ordering::Relaxed);
        if self.run.measures(Instant::now()) {
            let mut tally = self.tally.borrow_mut();
            tally.replays.requests += 1;
            tally.replays.latency.record(began.elapsed());
        }
        Ok(())
    }
}

/// Sends a request and reads the whole answer; what the body of a refusal says that it is.
async fn exchange(wire: &mut Wire, request: &[u8]) -> io::Result<(Head, u64, String)> {
    let head = wire.ask(request).await?;
    let mut framing = head.framing;
    if head.is_success() || head.status == 304 {
        let bytes = wire.incoming.skip(&mut framing).await?;
        return Ok((head, bytes, String::new()));
    }
    let (mut bytes, mut name) = (0, String::new());
    let mut kinds = Text::after(b"\"type\":\"");
    while let Some(piece) = wire.incoming.piece(&mut framing).await? {
        bytes += piece.len() as u64;
        kinds.scan(piece, |kind| {
            if name.is_empty() {
                name = format!(" {}", last_segment(kind));
            }
        });
    }
    Ok((head, bytes, name))
}

fn last_segment(url: &str) -> &str {
    url.rsplit(['/', '#', ':']).next().unwrap_or(url)
}

fn with_query(path: &str, query: &str) -> String {
    let mark = if path.contains('?') { '&' } else { '?' };
    format!("{path}{mark}{query}")
}

fn get(out: &mut Vec<u8>, path: &str, headers: &str) {
    out.extend_from_slice(b"GET ");
    out.extend_from_slice(path.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    out.extend_from_slice(headers.as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn post(out: &mut Vec<u8>, path: &str, headers: &str, body: &[u8]) {
    out.extend_from_slice(b"POST ");
    out.extend_from_slice(path.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    out.extend_from_slice(headers.as_bytes());
    out.extend_from_slice(b"content-type: application/json\r\ncontent-length: ");
    digits(out, body.len() as u64, 1);
    out.extend_from_slice(b"\r\n\r\n");
    out.extend_from_slice(body);
}

/// Makes sure that the streams are there, many at a time.
pub async fn create(plan: &Plan, extra_headers: &str) -> io::Result<()> {
    let next = std::cell::Cell::new(0);
    let creators = (0..CONNECTING_MAX.min(plan.streams.len())).map(|_| async {
        let mut wire = Wire::connect(plan.address, Wire::SMALL).await?;
        loop {
            let index = next.replace(next.get() + 1);
            let Some(path) = plan.streams.get(index) else { return Ok(()) };
            let request = format!(
                "PUT {path} HTTP/1.1\r\n{}{extra_headers}content-type: application/json\r\ncontent-length: 0\r\n\r\n",
                plan.headers
            );
            let (head, _, problem) = exchange(&mut wire, request.as_bytes()).await?;
            if !head.is_success() {
                return Err(io::Error::other(format!("{path} cannot be created: {}{problem}", head.status)));
            }
            if head.closes {
                wire = Wire::connect(plan.address, Wire::SMALL).await?;
            }
        }
    });
    futures_util::future::try_join_all(creators).await.map(drop)
}
