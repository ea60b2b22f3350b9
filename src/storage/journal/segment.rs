//! One file of the journal: where its bytes lie in the journal, and which records in it verify.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use crate::storage::ReadError;
use crate::storage::codec::{ALIGN, Fault, Header, PREFIX};
use crate::storage::die::{self, Point};
use crate::storage::disk::{Disk, DiskFile};

use super::cluster::CLUSTERED;
use super::manifest::{cluster_name, segment_name};

/// Kept free at the end of each segment, for the two marks that may come after its last record.
pub(super) const SLACK: u64 = 128;
/// Zeros are written so many bytes at a time.
const CHUNK: usize = 1 << 20;
/// In the background so much is written between two barriers. Left to one barrier at the end, all of it would reach the disk
/// at once, and the committer's next barrier wait behind it.
pub(super) const SYNCED: u64 = 4 << 20;

/// A file that holds a part of the journal, or a cluster.
pub(super) struct Segment {
    pub number: u64,
    pub file: Arc<dyn DiskFile>,
    pub life: u32,
    /// The journal's; see [`crate::storage::codec`].
    pub key: u32,
    /// Journal position of the first byte, or the address of a cluster's.
    pub base: u64,
    pub size: u64,
    /// Journal position at which it ends: fixed once sealed, the durable end while open.
    end: AtomicU64,
    /// Every record up to the end has been checked, or was written, by this process.
    verified: AtomicBool,
    verifying: Mutex<()>,
}

impl Segment {
    pub fn new(spare: Spare, base: u64, end: u64, verified: bool) -> Self {
        Self {
            number: spare.number,
            file: spare.file,
            life: spare.life,
            key: spare.key,
            base,
            size: spare.size,
            end: AtomicU64::new(end),
            verified: AtomicBool::new(verified),
            verifying: Mutex::new(()),
        }
    }

    pub fn name(&self) -> String {
        match self.base < CLUSTERED {
            true => segment_name(self.number),
            false => cluster_name(self.number),
        }
    }

    pub fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    pub fn set_end(&self, end: u64) {
        self.end.store(end, Ordering::Release);
    }

    /// Bytes of the journal positions `from..to`, which lie in this segment.
    pub fn read(&self, from: u64, to: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(to - from).map_err(io::Error::other)?];
        self.read_into(from, &mut bytes)?;
        Ok(bytes)
    }

    /// Fills `buffer` with what lies from a journal position on, in this segment.
    pub fn read_into(&self, from: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_at(buffer, from - self.base)
    }

    /// Checks a sealed segment as a whole before its first byte is served.
    pub fn verify(&self) -> Result<(), ReadError> {
        self.verify_at(&Pace::default())
    }

    /// As [`Segment::verify`], at a pace.
    pub fn verify_at(&self, pace: &Pace) -> Result<(), ReadError> {
        if self.verified.load(Ordering::Acquire) {
            return Ok(());
        }
        let _one_at_a_time = self.verifying.lock();
        if self.verified.load(Ordering::Acquire) {
            return Ok(());
        }
        let (mut at, end) = (self.base, self.end());
        let mut window = VERIFY_BYTES;
        while at < end {
            let bytes = self.read(at, end.min(at + window))?;
            let whole = scan(self.key, &bytes, at, self.life).end as u64;
            // One record may be larger than the window.
            let said = bytes.first_chunk().map_or(0, |len| u64::from(u32::from_le_bytes(*len)));
            window = match whole {
                0 if said > bytes.len() as u64 && said <= end - at => said,
                0 => return Err(self.differs_at(at)),
                _ => VERIFY_BYTES,
            };
            at += whole;
            pace.has_read(bytes.len() as u64);
        }
        self.verified.store(true, Ordering::Release);
        Ok(())
    }

    /// Calls `each` with the header of every record of `from..to`, verified; the bodies are not looked at.
    pub fn each_header(
        &self,
        from: u64,
        to: u64,
        pace: &Pace,
        mut each: impl FnMut(&Header),
    ) -> Result<(), ReadError> {
        let (mut at, mut window) = (from, WINDOW_MIN);
        while at < to {
            let bytes = self.read(at, to.min(at + window))?;
            let mut begin = 0;
            while let Some(rest) = bytes.get(begin..)
                && let Ok(header) = placed(Header::parse_alone(self.key, rest), at + begin as u64, self.life)
            {
                each(&header);
                begin += header.len;
            }
            if at + begin as u64 > to || (begin == 0 && (window >= HEADER_MAX || at + window >= to)) {
                return Err(self.differs_at(at));
            }
            // Much at once where records are small; little more than the headers where they are large.
            window = match begin {
                0 => HEADER_MAX,
                begin if begin > bytes.len() => WINDOW_MIN,
                _ => (window * 4).min(WINDOW_MAX),
            };
            at += begin as u64;
            pace.has_read(bytes.len() as u64);
        }
        Ok(())
    }

    pub fn differs_at(&self, position: u64) -> ReadError {
        let damage = format!("{} at journal position {position}", self.name());
        tracing::error!(segment.file = %self.name(), journal.position = position,
            "stored bytes differ from what was written: {damage}");
        ReadError::Damaged(damage)
    }
}

/// How much of a segment is in memory while it is checked.
const VERIFY_BYTES: u64 = 1 << 20;

/// How much is read at once for headers.
const WINDOW_MIN: u64 = 4 << 10;
const WINDOW_MAX: u64 = 256 << 10;
/// No header is longer.
const HEADER_MAX: u64 = 128 << 10;

/// How a thread lets others have the processor. One of the background that ran on for as long as it is let would keep
/// the committer, and so every writer, waiting for milliseconds at a time.
#[derive(Default)]
pub(super) struct Pace {
    /// Bytes between two pauses; none where nobody is kept waiting.
    every: Option<u64>,
    since: std::cell::Cell<u64>,
}

impl Pace {
    /// Of a thread beside others: it still reads some GB/s.
    pub fn gentle() -> Self {
        Self { every: Some(PACE_BYTES), ..Self::default() }
    }

    pub fn has_read(&self, bytes: u64) {
        let Some(every) = self.every else { return };
        let since = self.since.get() + bytes;
        self.since.set(if since < every { since } else { 0 });
        if since >= every {
            std::thread::sleep(PAUSE);
        }
    }
}

/// As much as is read and checked in some 100 µs.
const PACE_BYTES: u64 = 256 << 10;
const PAUSE: std::time::Duration = std::time::Duration::from_micros(20);

/// A segment that holds nothing yet.
pub(super) struct Spare {
    pub number: u64,
    pub file: Arc<dyn DiskFile>,
    pub life: u32,
    /// The journal's; see [`crate::storage::codec`].
    pub key: u32,
    pub size: u64,
}

impl Spare {
    /// Bytes that records may take.
    pub fn capacity(&self) -> u64 {
        self.size - SLACK
    }
}

/// Makes a file of `size` durable zeros. Where that fails its room is given back, as far as possible, and its name stays:
/// a manifest may call the file ready, and one that is missing cannot be told from one that was lost.
pub(super) fn zeroed(disk: &dyn Disk, number: u64, size: u64) -> io::Result<Arc<dyn DiskFile>> {
    let name = segment_name(number);
    fill(disk, &name, size).inspect_err(|_| {
        let _ = disk.open(&name).and_then(|file| file.truncate(0));
    })
}

fn fill(disk: &dyn Disk, name: &str, size: u64) -> io::Result<Arc<dyn DiskFile>> {
    let file = disk.create(name)?;
    let zeros = vec![0; CHUNK.min(size as usize)];
    let mut at = 0;
    while at < size {
        let len = (size - at).min(zeros.len() as u64);
        file.write_at(&zeros[..len as usize], at)?;
        at += len;
        // The disk is not kept from the committer's barriers for longer than it takes to write this much.
        if at.is_multiple_of(SYNCED) {
            file.sync_data()?;
        }
    }
    die::after(Point::InSpare, || file.truncate(size / 2));
    file.sync_data()?;
    super::manifest::sync_dir(disk)?;
    Ok(file)
}

/// The segments of an open journal, in order.
#[derive(Default)]
pub(super) struct Segments(RwLock<Vec<Arc<Segment>>>);

impl Segments {
    pub fn push(&self, segment: Arc<Segment>) {
        self.0.write().push(segment);
    }

    pub fn all(&self) -> Vec<Arc<Segment>> {
        self.0.read().clone()
    }

    pub fn len(&self) -> usize {
        self.0.read().len()
    }

    /// Bytes of the journal that are there.
    pub fn bytes(&self) -> u64 {
        self.0.read().iter().map(|segment| segment.end() - segment.base).sum()
    }

    /// Journal position of the oldest byte, and of the first that is not durable.
    pub fn span(&self) -> Range<u64> {
        let segments = self.0.read();
        let (first, last) = (segments.first(), segments.last());
        first.map_or(0, |segment| segment.base)..last.map_or(0, |segment| segment.end())
    }

    /// The sealed segments that end at or before a journal position, oldest first.
    pub fn sealed(&self, through: u64) -> Vec<Arc<Segment>> {
        let segments = self.0.read();
        let sealed = segments.len().saturating_sub(1);
        segments[..sealed].iter().filter(|segment| segment.end() <= through).cloned().collect()
    }

    pub fn remove(&self, segment: &Segment) {
        self.0.write().retain(|other| other.number != segment.number);
    }

    /// The segment that holds a journal position.
    pub fn at(&self, position: u64) -> Option<Arc<Segment>> {
        let segments = self.0.read();
        let after = segments.partition_point(|segment| segment.base <= position);
        segments[..after].last().filter(|segment| position < segment.end()).cloned()
    }
}

/// A record that verifies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    /// In the scanned bytes.
    pub at: usize,
    pub len: usize,
    pub durable_to: u64,
    pub chained: bool,
    pub is_mark: bool,
}

/// Records from the beginning of a segment on.
pub(super) struct Scan {
    pub found: Vec<Found>,
    /// Where in the bytes the first record begins that does not verify.
    pub end: usize,
    pub fault: Option<Fault>,
}

/// Reads records one after another until one does not verify; `base` is the position of the first byte.
pub(super) fn scan(key: u32, bytes: &[u8], base: u64, life: u32) -> Scan {
    let mut scan = Scan { found: Vec::new(), end: 0, fault: None };
    while scan.end < bytes.len() {
        match check(key, &bytes[scan.end..], base + scan.end as u64, life) {
            Ok(header) => {
                scan.found.push(Found {
                    at: scan.end,
                    len: header.len,
                    durable_to: header.placement.durable_to,
                    chained: header.chained(),
                    is_mark: header.kind == crate::storage::codec::Kind::Mark,
                });
                scan.end += header.len;
            }
            Err(fault) => {
                scan.fault = Some(fault);
                break;
            }
        }
    }
    scan
}

pub(super) fn check(key: u32, bytes: &[u8], position: u64, life: u32) -> Result<Header<'_>, Fault> {
    let header = placed(Header::parse(key, bytes), position, life)?;
    header.verify_body(bytes)?;
    Ok(header)
}

/// A header, if it is of the record that was written here.
fn placed(header: Result<Header<'_>, Fault>, position: u64, life: u32) -> Result<Header<'_>, Fault> {
    header.and_then(|header| match header.placement.position == position && header.placement.life == life {
        true => Ok(header),
        false => Err(Fault::HeaderChecksum),
    })
}

/// The position of the first record of a segment whose base is not known; `None` where it is of another life.
pub(super) fn first_position(key: u32, bytes: &[u8], life: u32) -> Result<Option<u64>, Fault> {
    let header = Header::parse(key, bytes)?;
    header.verify_body(bytes)?;
    Ok((header.placement.life == life).then_some(header.placement.position))
}

/// The highest `durable_to` that any header at or after `from` tells of; the bodies may be torn. `base` is `None`
/// where the segment's is not known.
pub(super) fn proven_by_any(key: u32, bytes: &[u8], from: usize, base: Option<u64>, life: u32) -> Option<u64> {
    let mut highest = None;
    for at in (from..bytes.len().saturating_sub(PREFIX)).step_by(ALIGN) {
        // Most of a segment's rest is zeros.
        if bytes[at..at + ALIGN] == [0; ALIGN] {
            continue;
        }
        if let Ok(Header { placement, .. }) = Header::parse(key, &bytes[at..])
            && placement.life == life
            && base.is_none_or(|base| placement.position == base + at as u64)
        {
            highest = highest.max(Some(placement.durable_to));
        }
    }
    highest
}

/// The record at `at`, sharing `bytes`.
pub(super) fn slice(bytes: &Bytes, found: &Found) -> Bytes {
    bytes.slice(found.at..found.at + found.len)
}
