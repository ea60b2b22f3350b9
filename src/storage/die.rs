//! Named points at which a debug build can be made to die, so that a test can kill the program exactly there.
//!
//! The environment variable `KEYFOLD_DIE_AT` says `name` or `name:n`: the program aborts when it comes to that point for
//! the first or n-th time, and runs no destructor and flushes nothing. `KEYFOLD_FAIL_AT` says the same of points at which
//! a call to the disk may fail: the n-th does, and the program aborts if it ever comes there again, since what failed
//! must not be repeated. Without debug assertions all of it is constant, and the compiler removes the calls. Decides
//! nothing.

use std::io;

macro_rules! points {
    ($($(#[$doc:meta])* $point:ident = $name:literal,)*) => {
        /// A step of which a crash may take either side.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Point {
            $($(#[$doc])* $point,)*
        }

        impl Point {
            pub const ALL: &[Self] = &[$(Self::$point),*];

            /// What `KEYFOLD_DIE_AT` calls it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$point => $name,)*
                }
            }
        }
    };
}

points! {
    /// A group has its places; none of it is written.
    BeforeWrite = "before-write",
    /// Half of a group's bytes are written.
    InWrite = "in-write",
    BetweenWriteAndBarrier = "between-write-and-barrier",
    /// A group is durable and not published.
    AfterBarrier = "after-barrier",
    /// A group is published; of those who wait, the ones before this are told.
    BeforeAcknowledgement = "before-acknowledgement",
    /// The committer is idle and about to prove its last group.
    BeforeMark = "before-mark",
    /// A segment is full and synced; the next is not begun.
    BeforeRoll = "before-roll",
    /// The next segment is begun, in memory only.
    AfterRoll = "after-roll",
    /// Half of a new segment's zeros are written.
    InSpare = "in-spare",
    /// A new segment is durable, and no manifest names it.
    AfterSpare = "after-spare",
    /// Half of the next manifest is written.
    InManifest = "in-manifest",
    BeforeRename = "before-rename",
    BetweenRenameAndSync = "between-rename-and-sync",
    /// The manifest is replaced, and the next one has no room yet.
    AfterManifest = "after-manifest",
    BeforeCatalogue = "before-catalogue",
    /// The catalogue has taken a segment and not flushed it.
    InCatalogue = "in-catalogue",
    AfterCatalogue = "after-catalogue",
    /// Segments are given up in memory; the manifest on disk names them.
    BeforeFreeing = "before-freeing",
    /// No manifest names the segments; their files are there.
    BeforeUnlink = "before-unlink",
    AfterUnlink = "after-unlink",
    /// Half of a part of a cluster is written.
    InCluster = "in-cluster",
    /// A cluster is written and not durable.
    BeforeClusterSync = "before-cluster-sync",
    /// Clusters are durable but for their names.
    BeforeClusterIsNamed = "before-cluster-is-named",
    /// The manifest names clusters of which the catalogue has not heard.
    AfterClusterIsNamed = "after-cluster-is-named",
    /// The catalogue has heard of clusters; what they were made of is still there.
    AfterClusterIsCatalogued = "after-cluster-is-catalogued",
    /// The first manifest is there, and no segment.
    BeforeFirstSegment = "before-first-segment",
    /// A catalogue that cannot be used is moved aside; there is no other.
    CatalogueAside = "catalogue-aside",
    /// Recovery is about to copy what was in flight.
    BeforeCopy = "before-copy",
    /// Half of what was in flight is copied.
    InCopy = "in-copy",
    /// What was in flight is copied and durable, and no manifest names it.
    AfterCopy = "after-copy",
    /// Recovery is about to prove the end of a journal that was closed.
    BeforeEndIsProven = "before-end-is-proven",
    RecoveredBeforeManifest = "recovered-before-manifest",
    /// The manifest names the copy; what was copied still lies behind the sealed segment.
    RecoveredAfterManifest = "recovered-after-manifest",
    /// Recovery is done but for files that nothing names.
    BeforeStrays = "before-strays",
    /// The step is decided; the store has not heard of it. Those named `after` are durable, and nobody has heard of it.
    BeforeCreate = "before-create",
    AfterCreate = "after-create",
    BeforeFork = "before-fork",
    AfterFork = "after-fork",
    BeforeClose = "before-close",
    AfterClose = "after-close",
    BeforeDelete = "before-delete",
    AfterDelete = "after-delete",
    BeforeExpire = "before-expire",
    AfterExpire = "after-expire",
    /// A stream that is deleted and kept for its forks.
    BeforeSoftDelete = "before-soft-delete",
    AfterSoftDelete = "after-soft-delete",
    /// A source loses a fork.
    BeforeUnpin = "before-unpin",
    AfterUnpin = "after-unpin",
    /// Documents and bindings.
    BeforeRegistry = "before-registry",
    AfterRegistry = "after-registry",
    BeforeSubscription = "before-subscription",
    AfterSubscription = "after-subscription",
}

/// Environment variable that names the point, and which passage of it.
pub const VARIABLE: &str = "KEYFOLD_DIE_AT";

/// The same for the point at which a call to the disk fails.
pub const FAIL_VARIABLE: &str = "KEYFOLD_FAIL_AT";

/// Dies here, if it is the chosen passage of the chosen point.
#[cfg(debug_assertions)]
pub fn at(point: Point) {
    after(point, || ());
}

/// As [`at`], but does one last thing first.
#[cfg(debug_assertions)]
pub fn after<T>(point: Point, last: impl FnOnce() -> T) {
    if chosen::TO_DIE.passes(point) == Some(0) {
        last();
        die(point);
    }
}

/// As [`at`], at a point that takes some work to tell.
#[cfg(debug_assertions)]
pub fn at_some(point: impl FnOnce() -> Option<Point>) {
    if chosen::TO_DIE.is_set()
        && let Some(point) = point()
    {
        at(point);
    }
}

/// As [`at`]; or fails here, if it is the chosen passage of the point to fail at.
///
/// # Errors
/// That one passage.
#[cfg(debug_assertions)]
pub fn or_fail(point: Point) -> io::Result<()> {
    at(point);
    match chosen::TO_FAIL.passes(point) {
        Some(0) => Err(io::Error::other(format!("made to fail at {}", point.name()))),
        Some(left) if left < 0 => die(point),
        _ => Ok(()),
    }
}

#[cfg(debug_assertions)]
fn die(point: Point) -> ! {
    use std::io::Write as _;
    // Whether anybody reads it makes no difference.
    let _ = writeln!(io::stderr(), "died at {}", point.name());
    std::process::abort()
}

#[cfg(not(debug_assertions))]
#[inline(always)]
pub const fn at(_: Point) {}

#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn after<T>(_: Point, _: impl FnOnce() -> T) {}

#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn at_some(_: impl FnOnce() -> Option<Point>) {}

#[cfg(not(debug_assertions))]
#[inline(always)]
pub const fn or_fail(_: Point) -> io::Result<()> {
    Ok(())
}

#[cfg(debug_assertions)]
mod chosen {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::{FAIL_VARIABLE, Point, VARIABLE};

    /// What an environment variable says, read when it is first asked for.
    pub struct Chosen {
        variable: &'static str,
        /// The point, and how many passages are left.
        read: OnceLock<Option<(Point, AtomicI64)>>,
    }

    pub static TO_DIE: Chosen = Chosen { variable: VARIABLE, read: OnceLock::new() };
    pub static TO_FAIL: Chosen = Chosen { variable: FAIL_VARIABLE, read: OnceLock::new() };

    impl Chosen {
        fn get(&self) -> Option<&(Point, AtomicI64)> {
            let read = || {
                let text = std::env::var(self.variable).ok()?;
                Some(parse(&text).unwrap_or_else(|| panic!("{}={text} names no point", self.variable)))
            };
            self.read.get_or_init(read).as_ref()
        }

        pub fn is_set(&self) -> bool {
            self.get().is_some()
        }

        /// Passages left after this one; below 0 behind the chosen one. `None` where another point is chosen, or none.
        pub fn passes(&self, point: Point) -> Option<i64> {
            let (chosen, left) = self.get()?;
            (*chosen == point).then(|| left.fetch_sub(1, Ordering::SeqCst) - 1)
        }
    }

    fn parse(text: &str) -> Option<(Point, AtomicI64)> {
        let (name, passage) = text.split_once(':').unwrap_or((text, "1"));
        let point = Point::ALL.iter().copied().find(|point| point.name() == name)?;
        let passage = passage.parse().ok().filter(|passage| *passage > 0)?;
        Some((point, AtomicI64::new(passage)))
    }
}
