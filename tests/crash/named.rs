//! The binary killed at each point that it has a name for, and what the next server finds.
//!
//! Every point must have been reached: a server that was to die and did not fails the case. Only debug builds have
//! points, which is what tests are built as.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use futures_util::future::join_all;
use keyfold::storage::die::Point;
use tempfile::TempDir;

use crate::http::Http;
use crate::kill::{again, settings, until_cut};
use crate::process::{Process, SERVING_WITHIN};
use crate::seed::{Seed, rounds};
use crate::writers::{self, Writer};

/// A point that is not reached by then under load never is.
const REACHED_WITHIN: Duration = Duration::from_secs(30);

/// What comes before the start that is to die.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// The load reaches the point; nothing has to come before.
    Nothing,
    /// A crash under load, which leaves something in flight for recovery.
    Crash,
    /// A clean end.
    Close,
    /// A crash, and a catalogue that cannot be used.
    Damage,
    /// No directory at all.
    Fresh,
}

/// What has to have happened for recovery to come by a point; no `_`, so that a new point is thought about.
fn before(point: Point) -> Before {
    match point {
        Point::BeforeFirstSegment => Before::Fresh,
        Point::CatalogueAside => Before::Damage,
        Point::BeforeEndIsProven => Before::Close,
        Point::BeforeCopy
        | Point::InCopy
        | Point::AfterCopy
        | Point::RecoveredBeforeManifest
        | Point::RecoveredAfterManifest
        | Point::BeforeStrays => Before::Crash,
        Point::BeforeWrite
        | Point::InWrite
        | Point::BetweenWriteAndBarrier
        | Point::AfterBarrier
        | Point::BeforeAcknowledgement
        | Point::BeforeMark
        | Point::BeforeRoll
        | Point::AfterRoll
        | Point::InSpare
        | Point::AfterSpare
        | Point::InManifest
        | Point::BeforeRename
        | Point::BetweenRenameAndSync
        | Point::AfterManifest
        | Point::BeforeCatalogue
        | Point::InCatalogue
        | Point::AfterCatalogue
        | Point::BeforeFreeing
        | Point::BeforeUnlink
        | Point::AfterUnlink
        | Point::InCluster
        | Point::BeforeClusterSync
        | Point::BeforeClusterIsNamed
        | Point::AfterClusterIsNamed
        | Point::AfterClusterIsCatalogued
        | Point::BeforeCreate
        | Point::AfterCreate
        | Point::BeforeFork
        | Point::AfterFork
        | Point::BeforeClose
        | Point::AfterClose
        | Point::BeforeDelete
        | Point::AfterDelete
        | Point::BeforeExpire
        | Point::AfterExpire
        | Point::BeforeSoftDelete
        | Point::AfterSoftDelete
        | Point::BeforeUnpin
        | Point::AfterUnpin
        | Point::BeforeRegistry
        | Point::AfterRegistry
        | Point::BeforeSubscription
        | Point::AfterSubscription => Before::Nothing,
    }
}

/// Points that only those loads reach whose streams all go again.
const FREEING: [Point; 3] = [Point::BeforeFreeing, Point::BeforeUnlink, Point::AfterUnlink];

/// One directory and its writers.
struct Story {
    seed: Seed,
    dir: TempDir,
    writers: Vec<Box<dyn Writer>>,
}

impl Story {
    /// Prepares a fresh directory.
    async fn begin(case: &'static str, writers: Vec<Box<dyn Writer>>) -> Self {
        let story = Self { seed: Seed::of(case), dir: TempDir::new().expect("a directory"), writers };
        let server = Process::start(story.dir.path(), &["--segment-bytes", "65536"]);
        writers::prepare(&Http::new(server.url())).await;
        server.kill();
        story
    }

    fn settings(&mut self) -> Vec<String> {
        settings(&mut self.seed.rng, &[65_536, 131_072])
    }

    /// Starts a server, compares everything, and ends it as asked.
    async fn compare(&mut self, before: Before) {
        let settings = self.settings();
        let server = Process::start(self.dir.path(), &texts(&settings));
        let http = Arc::new(Http::new(server.url()));
        let mut chance: Vec<_> = self.writers.iter().map(|_| self.seed.rng.fork()).collect();
        join_all(self.writers.iter_mut().zip(&mut chance).map(|(writer, rng)| writer.check(&http, rng))).await;
        match before {
            Before::Nothing | Before::Fresh => server.kill(),
            Before::Close => {
                let mut server = server;
                server.terminate();
                assert_eq!(server.ended(SERVING_WITHIN).code(), Some(0), "{}", server.log());
            }
            Before::Crash | Before::Damage => {
                let tasks = self.load(&http);
                tokio::time::sleep(Duration::from_millis(self.seed.rng.u64(20..120))).await;
                server.kill();
                self.gather(tasks).await;
            }
        }
        if before == Before::Damage {
            spoil(&self.dir.path().join("catalogue"), &mut self.seed.rng);
        }
    }

    fn load(&mut self, http: &Arc<Http>) -> Vec<tokio::task::JoinHandle<Box<dyn Writer>>> {
        let writers = std::mem::take(&mut self.writers);
        writers.into_iter().map(|writer| until_cut(writer, http.clone(), self.seed.rng.fork())).collect()
    }

    /// Writes now and then only: the committer proves its last group when it is idle.
    fn load_and_rest(&mut self, http: &Arc<Http>) -> Vec<tokio::task::JoinHandle<Box<dyn Writer>>> {
        let began = Instant::now();
        let writes = move |mut writer: Box<dyn Writer>, http: Arc<Http>, mut rng: Rng| async move {
            loop {
                let cut = match began.elapsed().as_millis() % 300 < 50 {
                    true => writer.step(&http, &mut rng).await.is_err(),
                    false => {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                        http.send("GET", "/health/live", &[], "").await.is_err()
                    }
                };
                if cut {
                    return writer;
                }
            }
        };
        let writers = std::mem::take(&mut self.writers);
        writers.into_iter().map(|writer| tokio::spawn(writes(writer, http.clone(), self.seed.rng.fork()))).collect()
    }

    async fn gather(&mut self, tasks: Vec<tokio::task::JoinHandle<Box<dyn Writer>>>) {
        self.writers = join_all(tasks).await.into_iter().map(|ended| ended.unwrap_or_else(again)).collect();
    }

    /// Lets a server die at `point`, under load if it gets that far.
    async fn die(&mut self, point: Point, passage: usize) {
        let mut settings = self.settings();
        let flag = settings.iter().position(|text| text == "--cluster-after").expect("one of the settings");
        // What is clustered is not freed as it is.
        settings[flag + 1] = if FREEING.contains(&point) { "0" } else { "1" }.to_owned();
        let mut server = Process::start_to_die(self.dir.path(), &texts(&settings), point, passage);
        let started = Instant::now();
        if let Some(url) = server.serves() {
            let tasks = match point {
                Point::BeforeMark => self.load_and_rest(&Arc::new(Http::new(url))),
                _ => self.load(&Arc::new(Http::new(url))),
            };
            while server.died_at(point).is_none() {
                assert!(started.elapsed() < REACHED_WITHIN, "{}:{passage} is never reached", point.name());
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            self.gather(tasks).await;
        }
        let status = server.ended(SERVING_WITHIN);
        assert!(server.died_at(point) == Some(true), "{status} instead of {}:{passage}", point.name());
    }

    /// Dies at each of the points, at passages that differ from round to round, and compares after each.
    async fn visit(&mut self, points: &[Point], round: usize) {
        for point in points {
            let before = before(*point);
            self.compare(before).await;
            let passage = match before {
                Before::Nothing if round > 0 => self.seed.rng.usize(1..6),
                _ => 1,
            };
            self.die(*point, passage).await;
        }
        self.compare(Before::Nothing).await;
    }
}

/// Visits all points so many times, each time on a fresh directory.
async fn dies_at_each(case: &'static str, points: &[Point], rounds: usize, writers: fn() -> Vec<Box<dyn Writer>>) {
    for round in 0..rounds {
        Story::begin(case, writers()).await.visit(points, round).await;
        println!("{case}: {} deaths so far, each at its point", (round + 1) * points.len());
    }
}

fn texts(settings: &[String]) -> Vec<&str> {
    settings.iter().map(String::as_str).collect()
}

/// Leaves a catalogue that no server can use.
fn spoil(catalogue: &Path, rng: &mut Rng) {
    for entry in fs::read_dir(catalogue).expect("there is a catalogue") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            let noise: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(256).collect();
            fs::write(path, noise).expect("a writable file");
        }
    }
}

/// The points that pass `chosen`, in their order.
fn points(chosen: impl Fn(Point, usize) -> bool) -> Vec<Point> {
    let engine = Point::ALL.iter().position(|point| *point == Point::BeforeCreate).expect("it is one of them");
    Point::ALL.iter().enumerate().filter(|(at, point)| chosen(**point, *at / engine)).map(|(_, p)| *p).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn death_at_any_step_of_the_journal_loses_nothing() {
    let all = points(|point, part| part == 0 && before(point) == Before::Nothing && !FREEING.contains(&point));
    dies_at_each("death_at_any_step_of_the_journal_loses_nothing", &all, rounds(1), writers::all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn death_at_any_step_of_recovery_loses_nothing() {
    let all = points(|point, _| !matches!(before(point), Before::Nothing | Before::Fresh));
    dies_at_each("death_at_any_step_of_recovery_loses_nothing", &all, rounds(1), writers::all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn death_at_either_side_of_any_decision_loses_nothing() {
    let all = points(|_, part| part > 0);
    dies_at_each("death_at_either_side_of_any_decision_loses_nothing", &all, rounds(1), writers::all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn death_while_segments_are_given_back_loses_nothing() {
    let case = "death_while_segments_are_given_back_loses_nothing";
    dies_at_each(case, &FREEING, rounds(2), writers::fleeting).await;
}

/// A first start that dies leaves a directory that the next one makes whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_that_dies_is_finished_by_the_next() {
    let manifest = [Point::InManifest, Point::BeforeRename, Point::BetweenRenameAndSync, Point::AfterManifest];
    let spare = [Point::BeforeFirstSegment, Point::InSpare, Point::RecoveredBeforeManifest];
    for point in manifest.into_iter().chain(spare) {
        for passage in 1..=2 {
            let once = matches!(point, Point::BeforeFirstSegment | Point::RecoveredBeforeManifest);
            if once && passage > 1 {
                continue;
            }
            let dir = TempDir::new().expect("a directory");
            let mut server = Process::start_to_die(dir.path(), &["--segment-bytes", "65536"], point, passage);
            server.ended(SERVING_WITHIN);
            assert_eq!(server.died_at(point), Some(true), "{}: {}", point.name(), server.log());
            let server = Process::start(dir.path(), &["--segment-bytes", "65536"]);
            writers::prepare(&Http::new(server.url())).await;
        }
    }
}
