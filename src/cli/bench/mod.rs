//! `keyfold bench`: loads a server and says how it did.
//!
//! It drives any server of the Durable Streams protocol, so that servers can be held against each other; what only
//! Keyfold has (typed changes, NDJSON ingest) is asked for by options of its own. [`load`] sends, [`measure`] counts,
//! [`report`] tells. Its invariant: what is reported was measured between the end of the warm-up and the end of the run,
//! and everything that failed is in the report by name.

mod load;
mod measure;
mod pace;
mod payload;
mod process;
mod report;
mod scan;
mod values;
mod wire;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use self::load::{Plan, Run};
use self::measure::Tally;
use self::payload::{Keys, Shape};
use self::process::Usage;
use self::report::{Report, Server};
use super::failure::Failure;
use super::output::note;
use super::serve::stop_signal;
use super::{Connection, Remote};

#[derive(Args)]
pub struct BenchArgs {
    /// Where a stream is; `{url}` and `{stream}` are replaced, so that other servers can be loaded
    #[arg(long, value_name = "TEMPLATE", default_value = "{url}/v1/stream/{stream}", help_heading = "Target")]
    stream_url: String,
    /// Where a stream takes NDJSON
    #[arg(
        long,
        value_name = "TEMPLATE",
        default_value = "{url}/v1/state/{stream}/-/changes",
        help_heading = "Target"
    )]
    ingest_url: String,
    /// What the streams' names begin with; a new name unless given. Streams stay when the run is over
    #[arg(long, value_name = "PATH", help_heading = "Target")]
    prefix: Option<String>,
    /// Streams to write and read
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000_000), help_heading = "Target")]
    streams: u32,

    /// Connections that write, each one request at a time
    #[arg(short = 'c', long, value_name = "N", default_value_t = 16, help_heading = "Writers")]
    connections: u32,
    /// Requests per second of all writers together, due whether or not the ones before were answered; as fast as
    /// answers come unless given
    #[arg(long, value_name = "PER_S", value_parser = positive, help_heading = "Writers")]
    rate: Option<f64>,
    /// Messages in a request, or in a line of NDJSON
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000), help_heading = "Writers")]
    batch: u32,
    /// Write NDJSON, one request per connection for the whole run
    #[arg(long, conflicts_with_all = ["rate", "read_share"], help_heading = "Writers")]
    ndjson: bool,
    /// Lines of NDJSON that may wait for their acknowledgement
    #[arg(long, value_name = "N", default_value_t = 4_096, value_parser = clap::value_parser!(u32).range(1..), requires = "ndjson", help_heading = "Writers")]
    window: u32,
    /// Share of a writer's requests that read what came since its last write: 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share, help_heading = "Writers")]
    read_share: f64,

    /// Bytes of a message
    #[arg(long, value_name = "BYTES", default_value_t = 200, help_heading = "Messages")]
    size: usize,
    /// Keys that are written
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000), help_heading = "Messages")]
    keys: u64,
    /// Skew of the keys: the n-th takes a share of 1/n^S. Even unless given
    #[arg(long, value_name = "S", value_parser = positive, help_heading = "Messages")]
    zipf: Option<f64>,
    /// Write changes that fit the newest version of this subject, and type the streams by it
    #[arg(long, value_name = "SUBJECT", help_heading = "Messages")]
    schema: Option<String>,
    /// Write changes that fit this document, to streams without a type: what servers without a registry take
    #[arg(long, value_name = "FILE", conflicts_with = "schema", help_heading = "Messages")]
    document: Option<PathBuf>,
    /// Which of the document's collections; needed where there are several
    #[arg(long, value_name = "NAME", help_heading = "Messages")]
    collection: Option<String>,
    /// Values to write in turn instead of made-up ones: one JSON object per line, each with its key
    #[arg(long, value_name = "FILE", help_heading = "Messages")]
    values: Option<PathBuf>,

    /// Live readers (SSE), spread over the streams
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Readers")]
    readers: u32,
    /// Readers that read a stream from its beginning to its end, again and again
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Readers")]
    replays: u32,

    /// Seconds before it is measured
    #[arg(long, value_name = "S", default_value_t = 2.0, value_parser = not_negative, help_heading = "Run")]
    warm_up: f64,
    /// Seconds that are measured
    #[arg(long, value_name = "S", default_value_t = 10.0, value_parser = positive, help_heading = "Run")]
    duration: f64,
    /// Stop after so many requests or lines, if that comes first
    #[arg(long, value_name = "N", help_heading = "Run")]
    requests: Option<u64>,
    /// Threads of the load
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_024), help_heading = "Run")]
    threads: u32,
    /// The server's process on this machine: says what it cost
    #[arg(long, value_name = "PID", help_heading = "Run")]
    pid: Option<u32>,
    /// Draw the latencies into this SVG file
    #[arg(long, value_name = "FILE", help_heading = "Run")]
    plot: Option<PathBuf>,
    /// What the report calls this run
    #[arg(long, value_name = "TEXT", help_heading = "Run")]
    label: Option<String>,
}

fn positive(text: &str) -> Result<f64, String> {
    not_negative(text).and_then(|number| if number > 0.0 { Ok(number) } else { Err("it is more than 0".into()) })
}

fn not_negative(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "it is a number".to_owned())?;
    (number.is_finite() && number >= 0.0)
        .then_some(number)
        .ok_or_else(|| "it is a finite number, not negative".into())
}

fn share(text: &str) -> Result<f64, String> {
    not_negative(text).and_then(|number| if number <= 1.0 { Ok(number) } else { Err("it is at most 1".into()) })
}

pub async fn run(Remote { args, connection }: Remote<BenchArgs>) -> Result<(), Failure> {
    let document = match (&args.schema, &args.document) {
        (Some(subject), _) => Some(connection.client()?.schema(subject, None).await?.document),
        (None, Some(file)) => {
            let fault = |cause: serde_json::Error| Failure::Usage(format!("{}: {cause}", file.display()));
            Some(serde_json::from_str(&std::fs::read_to_string(file)?).map_err(fault)?)
        }
        (None, None) if args.collection.is_some() || args.values.is_some() => {
            return Err(Failure::Usage("--collection and --values are of a --schema or a --document".into()));
        }
        (None, None) => None,
    };
    let shapes = match &document {
        Some(document) => typed_shapes(&args, document)?,
        None => vec![Shape::untyped(args.size)],
    };
    let plan = args.plan(&connection, shapes).await?;
    let typed = args.schema.as_ref().map_or_else(String::new, |subject| format!("stream-schema: {subject}\r\n"));
    load::create(&plan, &typed).await.map_err(|cause| Failure::Failed(cause.to_string()))?;
    let report = drive(&args, plan).await?;
    let mut out = connection.out();
    match out.is_json() {
        true => out.json(&report.json())?,
        false => report.lines().iter().try_for_each(|line| out.line(line))?,
    }
    if let Some(file) = &args.plot {
        std::fs::write(file, report.svg())?;
        note(&format!("the latencies are drawn in {}", file.display()));
    }
    Ok(out.flush()?)
}

impl BenchArgs {
    async fn plan(&self, connection: &Connection, shapes: Vec<Shape>) -> Result<Plan, Failure> {
        let base = connection.base();
        let prefix = self.prefix.clone().unwrap_or_else(|| format!("bench/{:08x}", fastrand::u32(..)));
        let all = |template: &str| -> Result<Vec<reqwest::Url>, Failure> {
            let url = |index| {
                let text = template.replace("{url}", base).replace("{stream}", &format!("{prefix}/{index}"));
                let url = reqwest::Url::parse(&text).map_err(|cause| Failure::Usage(format!("{text}: {cause}")))?;
                match url.scheme() == "http" && url.has_host() {
                    true => Ok(url),
                    false => Err(Failure::Usage(format!("{text}: only http is spoken here, without TLS"))),
                }
            };
            (0..self.streams).map(url).collect()
        };
        let streams = all(&self.stream_url)?;
        let ingests = if self.ndjson { Some(all(&self.ingest_url)?) } else { None };
        let target = &streams[0];
        let (host, port) = (target.host_str().unwrap_or_default(), target.port_or_known_default().unwrap_or(80));
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let unknown = |cause: &dyn std::fmt::Display| Failure::Failed(format!("{host}:{port}: {cause}"));
        let mut addresses = tokio::net::lookup_host((bare, port)).await.map_err(|cause| unknown(&cause))?;
        let address = addresses.next().ok_or_else(|| unknown(&"it has no address"))?;
        let token =
            connection.bearer().map_or_else(String::new, |token| format!("authorization: Bearer {token}\r\n"));
        let path = |url: &reqwest::Url| match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let replays_only = self.connections == 0;
        if replays_only && self.rate.is_some() {
            return Err(Failure::Usage("--rate is of writers, and there are no --connections".into()));
        }
        Ok(Plan {
            address,
            headers: format!("host: {host}:{port}\r\n{token}"),
            streams: streams.iter().map(path).collect(),
            ingests: ingests.map(|urls| urls.iter().map(path).collect()),
            keys: Keys::new(self.keys.max(shapes.len() as u64), self.zipf),
            shapes,
            batch: self.batch as usize,
            connections: self.connections as usize,
            rate: self.rate,
            window: self.window as usize,
            read_share: self.read_share,
            readers: self.readers as usize,
            replays: self.replays as usize,
            requests: self.requests,
            threads: self.threads as usize,
        })
    }
}

/// Messages that fit a collection of a document.
fn typed_shapes(args: &BenchArgs, document: &Value) -> Result<Vec<Shape>, Failure> {
    let none = || Failure::Usage("the document has no collections".into());
    let collections = document["collections"].as_object().ok_or_else(none)?;
    let names = || collections.keys().cloned().collect::<Vec<_>>().join(", ");
    let collection = match &args.collection {
        Some(name) => {
            collections.get(name).ok_or_else(|| Failure::Usage(format!("the collections are {}", names())))?
        }
        None if collections.len() > 1 => return Err(Failure::Usage(format!("say which --collection: {}", names()))),
        None => collections.values().next().ok_or_else(none)?,
    };
    let text = |member: &str| collection[member].as_str().unwrap_or_default();
    let (entity_type, primary_key) = (text("type"), text("primaryKey"));
    let Some(file) = &args.values else {
        let made = values::make(&collection["schema"], primary_key).map_err(|fault| {
            let advice = "give values that fit with --values";
            Failure::Failed(format!("no value could be made up that the schema accepts: {fault}\n  {advice}"))
        })?;
        return Ok(vec![Shape::change(entity_type, &made, args.size)]);
    };
    let lines = std::fs::read_to_string(file)?;
    let mut shapes = Vec::new();
    for (index, line) in lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let fault = |what: &str| Failure::Usage(format!("{}:{}: {what}", file.display(), index + 1));
        let value: Value = serde_json::from_str(line).map_err(|cause| fault(&cause.to_string()))?;
        let key = match &value[primary_key] {
            Value::String(key) => key.clone(),
            Value::Number(key) => key.to_string(),
            _ => return Err(fault(&format!("it has no {primary_key}"))),
        };
        shapes.push(Shape::fixed(entity_type, &key, &value));
    }
    match shapes.is_empty() {
        true => Err(Failure::Usage(format!("{} holds no values", file.display()))),
        false => Ok(shapes),
    }
}

/// Runs the threads, watches the server's process, and shows how it goes.
async fn drive(args: &BenchArgs, plan: Plan) -> Result<Report, Failure> {
    let usage = || args.pid.and_then(Usage::of);
    if args.pid.is_some() && usage().is_none() {
        return Err(Failure::Usage("there is no process of that --pid to look at".into()));
    }
    let threads = plan.threads;
    let mut server = Server { before: usage(), ..Server::default() };
    let (run, go) = (Arc::new(Run::new(plan)), CancellationToken::new());
    let mut working = Vec::new();
    let mut ready = Vec::new();
    for thread in 0..threads {
        let (tell, told) = oneshot::channel();
        let (run, go) = (run.clone(), go.clone());
        working.push(std::thread::spawn(move || load::work(run, thread, tell, go)));
        ready.push(told);
    }
    let bar = progress();
    bar.set_message("readers connect");
    let stop = run.stop.clone();
    let signalled = tokio::spawn(async move {
        stop_signal().await;
        stop.cancel();
    });
    // A thread that failed tells why when it is joined.
    futures_util::future::join_all(ready).await;
    server.connected = usage();
    let from = Instant::now() + Duration::from_secs_f64(args.warm_up);
    let to = from + Duration::from_secs_f64(args.duration);
    run.open(from, to);
    go.cancel();
    wait(&run, from, &bar, "warms up", &mut |_| {}).await;
    server.from = usage();
    let mut peak = 0;
    wait(&run, to, &bar, "measures", &mut |_| peak = peak.max(usage().map_or(0, |usage| usage.resident_bytes))).await;
    let ended = Instant::now().min(to);
    server.to = usage();
    server.peak_resident_bytes = peak;
    bar.set_message("ends");
    let mut tally = Tally::default();
    for thread in working {
        let joined = tokio::task::spawn_blocking(move || thread.join()).await;
        let part = joined.map_err(|cause| Failure::Failed(cause.to_string()))?;
        let part = part.map_err(|_| Failure::Failed("a thread of the load failed".into()))??;
        tally.add(&part);
    }
    signalled.abort();
    bar.finish_and_clear();
    Ok(Report {
        label: args.label.clone(),
        plan: run.plan.clone(),
        size: args.size,
        keys: args.keys,
        zipf: args.zipf,
        schema: args.schema.clone(),
        warm_up_s: args.warm_up,
        measured: ended.saturating_duration_since(from),
        interrupted: run.stop.is_cancelled(),
        expected: run.expected(),
        delivered: run.delivered.load(Ordering::Relaxed),
        server: args.pid.map(|_| server),
        tally,
    })
}

/// Shows how it goes until a moment, or until the run is over before it.
async fn wait(run: &Run, until: Instant, bar: &ProgressBar, doing: &str, each: &mut dyn FnMut(Instant)) {
    const STEP: Duration = Duration::from_millis(100);
    let (mut before, mut since) = (run.requests.load(Ordering::Relaxed), Instant::now());
    while Instant::now() < until && !run.is_over() {
        tokio::time::sleep_until((Instant::now() + STEP).min(until).into()).await;
        each(Instant::now());
        if since.elapsed() >= Duration::from_millis(500) {
            let requests = run.requests.load(Ordering::Relaxed);
            let rate = (requests - before) as f64 / since.elapsed().as_secs_f64();
            let left = until.saturating_duration_since(Instant::now()).as_secs();
            let delivered = run.delivered.load(Ordering::Relaxed);
            let replayed = run.replayed.load(Ordering::Relaxed) / 1_000_000;
            bar.set_message(format!(
                "{doing}, {left} s left: {rate:.0} writes/s, {delivered} delivered, {replayed} MB of logs read"
            ));
            bar.tick();
            (before, since) = (requests, Instant::now());
        }
    }
}

/// A line that is hidden where standard error is no terminal.
fn progress() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
        bar.set_style(style);
    }
    bar
}
