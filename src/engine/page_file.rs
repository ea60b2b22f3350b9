//! A page as a file in memory, which the kernel hands to sockets without copying it for each of them.
//!
//! Where there is no such file - another kernel, or too many of them - readers are sent the page's bytes. Its invariant:
//! a page is written before anybody has the file, and never again: a socket may still be reading it.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// An open file, gone with the last who holds it.
#[derive(Debug)]
pub struct PageFile {
    file: File,
    len: u64,
    _place: OwnedSemaphorePermit,
}

impl PageFile {
    /// `None` where there cannot be one.
    pub(super) fn of(page: &[u8], places: Arc<Semaphore>) -> Option<Self> {
        let place = places.try_acquire_owned().ok()?;
        let file = in_memory(page).ok()?;
        Some(Self { file, len: page.len() as u64, _place: place })
    }

    /// Its length in bytes.
    pub fn size(&self) -> u64 {
        self.len
    }
}

#[cfg(target_os = "linux")]
fn in_memory(page: &[u8]) -> io::Result<File> {
    use std::io::Write;
    let mut file = File::from(rustix::fs::memfd_create("page", rustix::fs::MemfdFlags::CLOEXEC)?);
    file.write_all(page)?;
    Ok(file)
}

#[cfg(not(target_os = "linux"))]
fn in_memory(_: &[u8]) -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

impl PageFile {
    /// Sends up to `most` bytes of it from `at` on, as many as the socket takes now.
    #[cfg(target_os = "linux")]
    pub fn send(&self, mut at: u64, most: usize, socket: impl AsFd) -> io::Result<usize> {
        match rustix::fs::sendfile(socket, &self.file, Some(&mut at), most)? {
            0 if most > 0 => Err(io::ErrorKind::UnexpectedEof.into()),
            sent => Ok(sent),
        }
    }

    /// Writes what comes before a file. The kernel keeps it back for a moment, so that the two leave together.
    #[cfg(target_os = "linux")]
    pub fn announce(head: &[u8], socket: impl AsFd) -> io::Result<usize> {
        use rustix::net::{SendFlags, send};
        Ok(send(socket, head, SendFlags::MORE | SendFlags::NOSIGNAL)?)
    }

    #[cfg(not(target_os = "linux"))]
    pub fn announce(_: &[u8], _: impl AsFd) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    #[cfg(not(target_os = "linux"))]
    pub fn send(&self, _: u64, _: usize, _: impl AsFd) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
