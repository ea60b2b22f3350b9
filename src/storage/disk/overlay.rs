//! A disk that looks like another one and takes writes without passing them on.
//!
//! A journal opened on it does all that a start does, and the directory below keeps every byte. What is written stays
//! in memory, so whoever opens a journal here sees to it that this is little.

use std::any::Any;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::{Disk, DiskFile};

/// Told of the bytes of every read from the disk below.
pub type OnRead = Arc<dyn Fn(u64) + Send + Sync>;

/// What another disk holds, and what was written since.
pub struct Overlay {
    below: Arc<dyn Disk>,
    on_read: OnRead,
    /// Files that were opened, made or (`None`) removed here.
    files: Mutex<HashMap<String, Option<Arc<OverlayFile>>>>,
}

struct OverlayFile {
    below: Option<Arc<dyn DiskFile>>,
    on_read: OnRead,
    content: RwLock<Content>,
}

struct Content {
    len: u64,
    /// Up to where the file below is seen.
    seen_below: u64,
    /// What was written where, the newest last.
    writes: Vec<(u64, Vec<u8>)>,
}

impl Overlay {
    pub fn new(below: Arc<dyn Disk>, on_read: OnRead) -> Self {
        Self { below, on_read, files: Mutex::default() }
    }

    fn file(&self, below: Option<Arc<dyn DiskFile>>) -> io::Result<Arc<OverlayFile>> {
        let len = below.as_ref().map_or(Ok(0), |file| file.len())?;
        let content = RwLock::new(Content { len, seen_below: len, writes: Vec::new() });
        Ok(Arc::new(OverlayFile { below, on_read: self.on_read.clone(), content }))
    }

    fn look_up(&self, name: &str) -> io::Result<Arc<OverlayFile>> {
        let mut files = self.files.lock();
        match files.get(name) {
            Some(Some(file)) => Ok(file.clone()),
            Some(None) => Err(io::ErrorKind::NotFound.into()),
            None => {
                let file = self.file(Some(self.below.open(name)?))?;
                files.insert(name.to_owned(), Some(file.clone()));
                Ok(file)
            }
        }
    }
}

impl Disk for Overlay {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.look_up(name)?)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.file(None)?;
        self.files.lock().insert(name.to_owned(), Some(file.clone()));
        Ok(file)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let file = self.look_up(from)?;
        let mut files = self.files.lock();
        files.insert(from.to_owned(), None);
        files.insert(to.to_owned(), Some(file));
        Ok(())
    }

    fn unlink(&self, name: &str) -> io::Result<()> {
        self.look_up(name)?;
        self.files.lock().insert(name.to_owned(), None);
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let files = self.files.lock();
        let mut names = self.below.list()?;
        names.retain(|name| !files.contains_key(name));
        names.extend(files.iter().filter(|(_, file)| file.is_some()).map(|(name, _)| name.clone()));
        Ok(names)
    }

    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }

    /// Keeps nobody out: whoever looks at a disk through this holds the lock of the disk below.
    fn lock(&self, _name: &str) -> io::Result<Box<dyn Any + Send + Sync>> {
        Ok(Box::new(()))
    }
}

impl DiskFile for OverlayFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let content = self.content.read();
        let end = offset.checked_add(buffer.len() as u64).filter(|end| *end <= content.len);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        let below = end.min(content.seen_below).saturating_sub(offset) as usize;
        buffer[below..].fill(0);
        if let Some(file) = self.below.as_ref().filter(|_| below > 0) {
            file.read_at(&mut buffer[..below], offset)?;
            (self.on_read)(below as u64);
        }
        for (at, bytes) in &content.writes {
            let (begin, stop) = ((*at).max(offset), (at + bytes.len() as u64).min(end));
            if begin < stop {
                let from = (begin - at) as usize..(stop - at) as usize;
                buffer[(begin - offset) as usize..(stop - offset) as usize].copy_from_slice(&bytes[from]);
            }
        }
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut content = self.content.write();
        content.len = content.len.max(offset + bytes.len() as u64);
        content.writes.push((offset, bytes.to_vec()));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.content.read().len)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let mut content = self.content.write();
        content.len = len;
        content.seen_below = content.seen_below.min(len);
        content.writes.retain_mut(|(at, bytes)| {
            bytes.truncate(len.saturating_sub(*at) as usize);
            !bytes.is_empty()
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{SimDisk, read_all};
    use super::*;

    proptest! {
        #[test]
        fn it_reads_as_if_it_had_been_written_to(
            first in proptest::collection::vec(any::<u8>(), 0..64),
            steps in proptest::collection::vec((0u64..80, proptest::collection::vec(any::<u8>(), 0..40), any::<bool>()), 0..12),
        ) {
            let (below, plain) = (SimDisk::new(), SimDisk::new());
            for disk in [&below, &plain] {
                disk.create("f").unwrap().write_at(&first, 0).unwrap();
            }
            let overlay = Overlay::new(Arc::new(below.clone()), Arc::new(|_| {}));
            for (at, bytes, cuts) in steps {
                for file in [overlay.open("f").unwrap(), plain.open("f").unwrap()] {
                    match cuts {
                        true if at <= file.len().unwrap() => file.truncate(at).unwrap(),
                        true => {}
                        false if bytes.is_empty() => {}
                        false => file.write_at(&bytes, at).unwrap(),
                    }
                }
                let read = |disk: &dyn Disk| read_all(&*disk.open("f").unwrap()).unwrap();
                prop_assert_eq!(read(&overlay), read(&plain));
            }
            prop_assert_eq!(below.contents("f").unwrap(), first);
        }
    }

    #[test]
    fn names_that_are_made_and_removed_are_so_here_only() {
        let below = SimDisk::new();
        for name in ["a", "b"] {
            below.create(name).unwrap().write_at(name.as_bytes(), 0).unwrap();
        }
        let overlay = Overlay::new(Arc::new(below.clone()), Arc::new(|_| {}));
        overlay.rename("a", "c").unwrap();
        overlay.unlink("b").unwrap();
        overlay.create("d").unwrap();
        let mut names = overlay.list().unwrap();
        names.sort();
        assert_eq!(names, ["c", "d"]);
        assert!(overlay.open("b").is_err() && overlay.unlink("b").is_err());
        assert_eq!(read_all(&*overlay.open("c").unwrap()).unwrap(), b"a");
        let mut names = below.list().unwrap();
        names.sort();
        assert_eq!(names, ["a", "b"]);
    }
}
