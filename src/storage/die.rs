//! Named points at which a debug build can be made to die, so that a test can kill the program exactly there.
//!
//! The environment variable `KEYFOLD_DIE_AT` says `name` or `name:n`: the program aborts when it comes to that point for
//! the first or n-th time, and runs no destructor and flushes nothing. Without debug assertions all of it is constant,
//! and the compiler removes the calls. Decides nothing.

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

/// Dies here, if it is the chosen passage of the chosen point.
#[cfg(debug_assertions)]
pub fn at(point: Point) {
    after(point, || ());
}

/// As [`at`], but does one last thing first.
#[cfg(debug_assertions)]
pub fn after<T>(point: Point, last: impl FnOnce() -> T) {
    use std::io::Write as _;
    if chosen::is_due(point) {
        last();
        // Whether anybody reads it makes no difference.
        let _ = writeln!(std::io::stderr(), "died at {}", point.name());
        std::process::abort();
    }
}

/// As [`at`], at a point that takes some work to tell.
#[cfg(debug_assertions)]
pub fn at_some(point: impl FnOnce() -> Option<Point>) {
    if chosen::is_any()
        && let Some(point) = point()
    {
        at(point);
    }
}

#[cfg(not(debug_assertions))]
#[inline(always)]
pub const fn at(_: Point) {}

#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn at_some(_: impl FnOnce() -> Option<Point>) {}

#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn after<T>(_: Point, _: impl FnOnce() -> T) {}

#[cfg(debug_assertions)]
mod chosen {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::{Point, VARIABLE};

    struct Chosen {
        point: Point,
        /// Passages until then.
        left: AtomicU64,
    }

    static CHOSEN: OnceLock<Option<Chosen>> = OnceLock::new();

    fn chosen() -> Option<&'static Chosen> {
        let read = || {
            let text = std::env::var(VARIABLE).ok()?;
            Some(parse(&text).unwrap_or_else(|| panic!("{VARIABLE}={text} names no point")))
        };
        CHOSEN.get_or_init(read).as_ref()
    }

    pub fn is_any() -> bool {
        chosen().is_some()
    }

    pub fn is_due(point: Point) -> bool {
        chosen().is_some_and(|chosen| chosen.point == point && chosen.left.fetch_sub(1, Ordering::SeqCst) == 1)
    }

    fn parse(text: &str) -> Option<Chosen> {
        let (name, passage) = text.split_once(':').unwrap_or((text, "1"));
        let point = Point::ALL.iter().copied().find(|point| point.name() == name)?;
        let passage = passage.parse().ok().filter(|passage| *passage > 0)?;
        Some(Chosen { point, left: AtomicU64::new(passage) })
    }
}
