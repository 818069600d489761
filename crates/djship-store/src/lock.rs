//! Locks between processes: `flock` on a small file below `locks/`.
//!
//! The kernel frees a lock when its process ends, however it ends, so there are no stale ones. The file is removed by
//! whoever unlocks it, which is why a lock counts only when the locked file is still the one that the path names.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

/// An exclusive lock, held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    file: OwnedFd,
    path: PathBuf,
}

impl Lock {
    /// Waits for the lock at `path`.
    pub(crate) fn wait(path: &Path) -> Result<Self, Errno> {
        loop {
            let file = open(path)?;
            rustix::io::retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::LockExclusive))?;
            if names_same_file(path, &file)? {
                return Ok(Self { file, path: path.to_owned() });
            }
        }
    }

    /// Takes the lock at `path` if nobody holds it.
    pub(crate) fn take(path: &Path) -> Result<Option<Self>, Errno> {
        loop {
            let file = open(path)?;
            if !try_flock(&file)? {
                return Ok(None);
            }
            if names_same_file(path, &file)? {
                return Ok(Some(Self { file, path: path.to_owned() }));
            }
        }
    }

    /// The file that is locked.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A file that stays is no harm: the next holder removes it. Unlocked by name because a forked child that
        // has not executed anything shares this descriptor.
        let _ = rustix::fs::unlink(&self.path);
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }
}

fn open(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)
}

/// Whether the lock on `file` could be taken at once.
pub(crate) fn try_flock(file: impl AsFd) -> Result<bool, Errno> {
    let file = file.as_fd();
    match rustix::io::retry_on_intr(|| rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive)) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Whether `path` still names the open `file`.
pub(crate) fn names_same_file(path: &Path, file: impl AsFd) -> Result<bool, Errno> {
    let open = rustix::fs::fstat(file)?;
    match rustix::fs::lstat(path) {
        Ok(named) => Ok(named.st_dev == open.st_dev && named.st_ino == open.st_ino),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno),
    }
}
