//! Reading what may be anything: looked at first, opened then.

use std::io::{self, Read as _};
use std::os::fd::{AsFd, AsRawFd as _};

use rustix::fs::{FileType, Mode, OFlags, Stat};

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// It is a folder.
    #[error("it is a folder")]
    Folder,
    /// Reading it could wait for ever, or do something else than read.
    #[error("it is a {0}")]
    Special(&'static str),
    /// It is longer than what it is for.
    #[error("it has {size} bytes, more than {limit}")]
    TooLarge {
        /// Its size in bytes, as far as it was read.
        size: u64,
        /// How long it may be.
        limit: u64,
    },
    /// Reading failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Opens the regular file that `handle` (`O_PATH`) stands for. Pipes, devices and sockets are never opened: that alone can
/// wait, or do something.
pub fn open_handle(handle: impl AsFd) -> Result<std::fs::File, Unread> {
    Ok(open(handle)?.0)
}

/// The content of the regular file of at most `limit` bytes that `handle` (`O_PATH`) stands for.
pub fn read_handle(handle: impl AsFd, limit: u64) -> Result<Vec<u8>, Unread> {
    let (file, stat) = open(handle)?;
    let size = u64::try_from(stat.st_size).unwrap_or_default();
    if size > limit {
        return Err(Unread::TooLarge { size, limit });
    }
    let mut bytes = Vec::new();
    // It may grow while it is read, and what `/proc` shows has no size.
    file.take(limit + 1).read_to_end(&mut bytes)?;
    let size = bytes.len() as u64;
    if size > limit { Err(Unread::TooLarge { size, limit }) } else { Ok(bytes) }
}

fn open(handle: impl AsFd) -> Result<(std::fs::File, Stat), Unread> {
    let stat = rustix::fs::fstat(&handle).map_err(io::Error::from)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {}
        FileType::Directory => return Err(Unread::Folder),
        FileType::Fifo => return Err(Unread::Special("named pipe")),
        FileType::Socket => return Err(Unread::Special("socket")),
        FileType::CharacterDevice | FileType::BlockDevice => return Err(Unread::Special("device")),
        FileType::Symlink => return Err(Unread::Special("link")),
        FileType::Unknown => return Err(Unread::Special("special file")),
    }
    // This leads to the very file that was looked at.
    let path = format!("/proc/self/fd/{}", handle.as_fd().as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::io::retry_on_intr(|| rustix::fs::open(&path, flags, Mode::empty()));
    Ok((file.map_err(io::Error::from)?.into(), stat))
}
