//! A simulated disk that loses what a real one may lose, and fails when told to.
//!
//! Everything lives in memory and follows from a seed. It keeps two versions of each file and of the directory: what
//! processes see, and what power loss is sure to leave. Between the two, every unsynced 512-byte sector is kept, lost, or
//! torn at any of its bytes, and every unsynced name is kept or lost, each on its own.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Disk, DiskFile};

/// What a disk writes as one.
const SECTOR: usize = 512;

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Default)]
pub struct SimDisk {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    /// Names that processes see, and names that power loss leaves.
    seen: BTreeMap<String, u64>,
    durable: BTreeMap<String, u64>,
    files: BTreeMap<u64, Content>,
    next_file: u64,
    /// Grows with every power loss: handles of an earlier life are dead.
    boot: u64,
    locked: bool,
    capacity: Option<u64>,
    failing_syncs: bool,
    failing_sync: bool,
    short_write: Option<u64>,
    ops_left: Option<u64>,
    counts: Counts,
    on_sync: Option<Arc<dyn Fn() + Send + Sync>>,
}

#[derive(Default, Clone)]
struct Content {
    seen: Vec<u8>,
    durable: Vec<u8>,
    dirty: BTreeSet<usize>,
}

/// Operations since the disk was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub writes: u64,
    pub syncs: u64,
    pub dir_syncs: u64,
    /// Everything that changes the disk or makes a change durable; what [`SimDisk::cut_power_after`] counts.
    pub ops: u64,
}

impl SimDisk {
    pub fn new() -> Self {
        Self::default()
    }

    /// The machine goes down: each unsynced sector is kept, lost or torn, each unsynced name kept or lost, as `seed`
    /// says. Open handles and locks die.
    pub fn power_loss(&self, seed: u64) {
        let mut dice = fastrand::Rng::with_seed(seed);
        let mut inner = self.inner.lock();
        let names: BTreeSet<String> = inner.seen.keys().chain(inner.durable.keys()).cloned().collect();
        for name in names {
            let kept = if dice.bool() { inner.seen.get(&name) } else { inner.durable.get(&name) }.copied();
            match kept {
                Some(file) => inner.durable.insert(name, file),
                None => inner.durable.remove(&name),
            };
        }
        inner.seen = inner.durable.clone();
        // Sometimes nothing unsynced survives, sometimes all of it: the ends are where mistakes hide.
        let odds = [0.0, 0.5, 0.5, 0.9, 1.0][dice.usize(..5)];
        for content in inner.files.values_mut() {
            content.lose(|| match dice.f64() < odds {
                true if dice.u8(..) < 32 => dice.usize(..SECTOR),
                true => SECTOR,
                false => 0,
            });
        }
        let live: BTreeSet<u64> = inner.seen.values().copied().collect();
        inner.files.retain(|file, _| live.contains(file));
        inner.go_down();
    }

    /// The process is killed and the machine goes on: nothing that was written is lost. Open handles and locks die.
    pub fn kill(&self) {
        self.inner.lock().go_down();
    }

    /// After `ops` more operations every one fails, until [`SimDisk::power_loss`].
    pub fn cut_power_after(&self, ops: u64) {
        self.inner.lock().ops_left = Some(ops);
    }

    /// Files may take `bytes` together; beyond it [`io::ErrorKind::StorageFull`]. `None` lifts the bound.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.inner.lock().capacity = bytes;
    }

    /// Bytes taken by all files.
    pub fn used(&self) -> u64 {
        self.inner.lock().used()
    }

    /// Makes each sync fail and forget what it should have written, as a kernel does: later ones then succeed.
    pub fn fail_syncs(&self, failing: bool) {
        self.inner.lock().failing_syncs = failing;
    }

    /// As [`SimDisk::fail_syncs`], for the next sync only.
    pub fn fail_next_sync(&self) {
        self.inner.lock().failing_sync = true;
    }

    /// The next write stores the first `bytes` of what it is given, and fails.
    pub fn cut_next_write(&self, bytes: u64) {
        self.inner.lock().short_write = Some(bytes);
    }

    /// Another disk that holds what processes see of this one, all of it durable.
    pub fn copy(&self) -> Self {
        let inner = self.inner.lock();
        let content = |content: &Content| Content {
            seen: content.seen.clone(),
            durable: content.seen.clone(),
            dirty: BTreeSet::new(),
        };
        let copy = Inner {
            seen: inner.seen.clone(),
            durable: inner.seen.clone(),
            files: inner.files.iter().map(|(file, of)| (*file, content(of))).collect(),
            next_file: inner.next_file,
            ..Inner::default()
        };
        Self { inner: Arc::new(Mutex::new(copy)) }
    }

    /// Calls `hook` at the start of every [`DiskFile::sync_data`], before it has any effect.
    pub fn on_sync(&self, hook: Option<Arc<dyn Fn() + Send + Sync>>) {
        self.inner.lock().on_sync = hook;
    }

    pub fn counts(&self) -> Counts {
        self.inner.lock().counts
    }

    /// What the process sees of a file, for tests that damage it.
    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        let inner = self.inner.lock();
        Some(inner.files[inner.seen.get(name)?].seen.clone())
    }

    /// Replaces a file's bytes for good: damage, or an older version of it.
    pub fn overwrite(&self, name: &str, bytes: Vec<u8>) {
        let mut inner = self.inner.lock();
        let Some(file) = inner.seen.get(name).copied() else {
            return;
        };
        inner.files.insert(file, Content { seen: bytes.clone(), durable: bytes, dirty: BTreeSet::new() });
    }
}

impl Content {
    /// `keep` says how many bytes of a sector the disk had written.
    fn lose(&mut self, mut keep: impl FnMut() -> usize) {
        for sector in std::mem::take(&mut self.dirty) {
            let start = sector * SECTOR;
            let end = (start + keep()).min(self.seen.len());
            if start < end {
                if self.durable.len() < end {
                    self.durable.resize(end, 0);
                }
                self.durable[start..end].copy_from_slice(&self.seen[start..end]);
            }
        }
        self.seen = self.durable.clone();
    }

    fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        if self.seen.len() < end {
            self.seen.resize(end, 0);
        }
        self.seen[offset..end].copy_from_slice(bytes);
        if !bytes.is_empty() {
            self.dirty.extend(offset / SECTOR..=(end - 1) / SECTOR);
        }
    }

    fn sync(&mut self) {
        self.durable.resize(self.seen.len(), 0);
        for sector in std::mem::take(&mut self.dirty) {
            let start = sector * SECTOR;
            let end = (start + SECTOR).min(self.seen.len());
            if start < end {
                self.durable[start..end].copy_from_slice(&self.seen[start..end]);
            }
        }
    }
}

impl Inner {
    /// Whoever used the disk is gone, and with them what was to fail.
    fn go_down(&mut self) {
        self.boot += 1;
        (self.locked, self.ops_left) = (false, None);
        (self.failing_syncs, self.failing_sync) = (false, false);
        (self.short_write, self.on_sync) = (None, None);
    }

    fn used(&self) -> u64 {
        self.files.values().map(|content| content.seen.len() as u64).sum()
    }

    /// Counts an operation; fails once the power is off.
    fn operate(&mut self) -> io::Result<()> {
        self.counts.ops += 1;
        match &mut self.ops_left {
            Some(0) => Err(io::Error::other("the power is off")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Files that neither side names any more are gone.
    fn collect(&mut self) {
        let named: BTreeSet<u64> = self.seen.values().chain(self.durable.values()).copied().collect();
        self.files.retain(|file, _| named.contains(file));
    }
}

impl Disk for SimDisk {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let inner = self.inner.lock();
        let file = *inner.seen.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimFile { disk: self.clone(), file, boot: inner.boot }))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut inner = self.inner.lock();
        inner.operate()?;
        let file = match inner.seen.get(name) {
            Some(file) => *file,
            None => {
                inner.next_file += 1;
                let file = inner.next_file;
                inner.seen.insert(name.into(), file);
                file
            }
        };
        inner.files.entry(file).or_default().seen.clear();
        Ok(Arc::new(SimFile { disk: self.clone(), file, boot: inner.boot }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut inner = self.inner.lock();
        inner.operate()?;
        let file = inner.seen.remove(from).ok_or(io::ErrorKind::NotFound)?;
        inner.seen.insert(to.into(), file);
        Ok(())
    }

    fn unlink(&self, name: &str) -> io::Result<()> {
        let mut inner = self.inner.lock();
        inner.operate()?;
        let file = inner.seen.remove(name).ok_or(io::ErrorKind::NotFound)?;
        // What a budget counts is free at once; the durable version stays in case the name comes back.
        if let Some(content) = inner.files.get_mut(&file) {
            content.seen = Vec::new();
            content.dirty.clear();
        }
        inner.collect();
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.inner.lock().seen.keys().cloned().collect())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut inner = self.inner.lock();
        inner.operate()?;
        inner.counts.dir_syncs += 1;
        inner.durable = inner.seen.clone();
        inner.collect();
        Ok(())
    }

    fn lock(&self, _name: &str) -> io::Result<Box<dyn Any + Send + Sync>> {
        let mut inner = self.inner.lock();
        if inner.locked {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        inner.locked = true;
        Ok(Box::new(SimLock { disk: self.clone(), boot: inner.boot }))
    }
}

struct SimLock {
    disk: SimDisk,
    boot: u64,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut inner = self.disk.inner.lock();
        if inner.boot == self.boot {
            inner.locked = false;
        }
    }
}

struct SimFile {
    disk: SimDisk,
    file: u64,
    boot: u64,
}

impl SimFile {
    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> io::Result<T>) -> io::Result<T> {
        let mut inner = self.disk.inner.lock();
        match inner.boot == self.boot && inner.files.contains_key(&self.file) {
            true => act(&mut inner),
            false => Err(io::Error::other("the file was opened before the power went off")),
        }
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.with(|inner| {
            let seen = &inner.files[&self.file].seen;
            let start = offset as usize;
            let bytes = seen.get(start..start + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
            buffer.copy_from_slice(bytes);
            Ok(())
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.with(|inner| {
            inner.operate()?;
            inner.counts.writes += 1;
            let len = inner.files[&self.file].seen.len() as u64;
            let grows = (offset + bytes.len() as u64).saturating_sub(len);
            if inner.capacity.is_some_and(|capacity| grows > 0 && inner.used() + grows > capacity) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let content = inner.files.entry(self.file).or_default();
            match inner.short_write.take() {
                Some(most) => {
                    content.write(&bytes[..bytes.len().min(most as usize)], offset as usize);
                    Err(io::Error::other("the write was cut short"))
                }
                None => {
                    content.write(bytes, offset as usize);
                    Ok(())
                }
            }
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        let hook = self.disk.inner.lock().on_sync.clone();
        if let Some(hook) = hook {
            hook();
        }
        self.with(|inner| {
            inner.operate()?;
            inner.counts.syncs += 1;
            let failing = inner.failing_syncs | std::mem::take(&mut inner.failing_sync);
            let content = inner.files.entry(self.file).or_default();
            if failing {
                content.dirty.clear();
                return Err(io::Error::other("the sync failed"));
            }
            content.sync();
            Ok(())
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.with(|inner| Ok(inner.files[&self.file].seen.len() as u64))
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.with(|inner| {
            inner.operate()?;
            let content = inner.files.entry(self.file).or_default();
            content.seen.truncate(len as usize);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn synced_bytes_survive_and_unsynced_ones_may_not() {
        let (mut lost, mut torn) = (0, 0);
        for seed in 0..40 {
            let disk = SimDisk::new();
            let file = disk.create("a").unwrap();
            file.write_at(&[1; 2048], 0).unwrap();
            file.sync_data().unwrap();
            disk.sync_dir().unwrap();
            file.write_at(&[2; 2048], 0).unwrap();
            disk.power_loss(seed);
            assert!(file.len().is_err(), "handles die with the power");
            let bytes = disk.contents("a").unwrap();
            let is_torn = |sector: &[u8]| sector[0] == 2 && sector[SECTOR - 1] == 1;
            assert!(bytes.chunks(SECTOR).all(|s| s.is_sorted_by(|a, b| a >= b) && [1, 2].contains(&s[0])));
            lost += usize::from(bytes != [2; 2048]);
            torn += bytes.chunks(SECTOR).filter(|sector| is_torn(sector)).count();
        }
        assert!((5..40).contains(&lost), "{lost}");
        assert!((1..40).contains(&torn), "{torn}");
    }

    #[test]
    fn a_kill_loses_nothing_but_handles() {
        let disk = SimDisk::new();
        let file = disk.create("a").unwrap();
        file.write_at(&[1; 700], 0).unwrap();
        disk.cut_power_after(0);
        disk.kill();
        assert!(file.len().is_err());
        assert_eq!(disk.contents("a"), Some(vec![1; 700]));
        disk.open("a").unwrap().sync_data().unwrap();
    }

    #[test]
    fn a_short_write_leaves_its_beginning() {
        let disk = SimDisk::new();
        let file = disk.create("a").unwrap();
        disk.cut_next_write(300);
        assert!(file.write_at(&[1; 700], 0).is_err());
        assert_eq!(disk.contents("a"), Some(vec![1; 300]));
        file.write_at(&[2; 700], 0).unwrap();
        assert_eq!(disk.contents("a"), Some(vec![2; 700]));
    }

    #[test]
    fn a_name_is_certain_after_the_directory_is_synced() {
        let survived = (0..40).filter(|seed| {
            let disk = SimDisk::new();
            disk.create("a").unwrap().sync_data().unwrap();
            disk.power_loss(*seed);
            disk.open("a").is_ok()
        });
        assert!((1..39).contains(&survived.count()));
    }
}
