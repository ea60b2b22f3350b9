//! What the journal needs of a disk, so that a simulator can stand in for one.
//!
//! Decides nothing: names are flat files of one directory. Assumed of a real disk: a write is in place after
//! [`DiskFile::sync_data`] returned; until then power loss keeps any subset of its 512-byte sectors, and may tear any of
//! them; a created, renamed or removed name is certain only after [`Disk::sync_dir`].

mod os;
mod overlay;
mod sim;

pub use os::OsDisk;
pub(crate) use overlay::Overlay;
pub use sim::SimDisk;

use std::any::Any;
use std::io;
use std::sync::Arc;

/// One directory of files.
pub trait Disk: Send + Sync + 'static {
    /// An existing file, for reading and writing.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// A new, empty file; one of that name is emptied.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Replaces `to`, if there is one. Atomic; durable after [`Disk::sync_dir`].
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    fn unlink(&self, name: &str) -> io::Result<()>;

    /// Names of the files, in no order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Makes names durable.
    fn sync_dir(&self) -> io::Result<()>;

    /// Keeps a second process out until the value is dropped; [`io::ErrorKind::WouldBlock`] where one is in.
    fn lock(&self, name: &str) -> io::Result<Box<dyn Any + Send + Sync>>;
}

/// An open file. Calls may come from several threads at once.
pub trait DiskFile: Send + Sync {
    /// Fills `buffer`, or fails with [`io::ErrorKind::UnexpectedEof`].
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of `bytes`, growing the file where needed.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes what was written durable, and the file's length. After an error nothing about it is known, ever.
    fn sync_data(&self) -> io::Result<()>;

    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;

    fn is_empty(&self) -> io::Result<bool> {
        self.len().map(|len| len == 0)
    }

    /// Gives up what lies above `len`.
    fn truncate(&self, len: u64) -> io::Result<()>;
}

/// All of a file.
pub(crate) fn read_all(file: &dyn DiskFile) -> io::Result<Vec<u8>> {
    let len = usize::try_from(file.len()?).map_err(io::Error::other)?;
    let mut bytes = vec![0; len];
    file.read_at(&mut bytes, 0)?;
    Ok(bytes)
}
