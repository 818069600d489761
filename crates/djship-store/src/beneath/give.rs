//! Giving a folder to somebody else while its old owner still has hands in it.

use std::ffi::CStr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Uid};
use rustix::io::Errno;

use super::MOST_ENTRIES;
use super::remove::DEEPEST;

/// Gives `folder` and what is below it to `to`: only what is `from`'s, since another name of a file of somebody else's may lie there.
/// The folder itself goes last.
pub(super) fn tree(folder: BorrowedFd<'_>, from: u32, to: (u32, u32), depth: usize) -> Result<(), Errno> {
    if depth >= DEEPEST {
        return Err(Errno::NAMETOOLONG);
    }
    for name in super::names(folder, MOST_ENTRIES)? {
        let handle = match open(folder, &name, OFlags::PATH | OFlags::NOFOLLOW, ResolveFlags::empty()) {
            Ok(handle) => handle,
            // Gone meanwhile, or on another mount.
            Err(Errno::NOENT | Errno::XDEV) => continue,
            Err(errno) => return Err(errno),
        };
        let stat = rustix::fs::fstat(&handle)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            let folder = open(handle.as_fd(), c".", flags, ResolveFlags::NO_SYMLINKS)?;
            tree(folder.as_fd(), from, to, depth + 1)?;
        } else {
            give(handle.as_fd(), from, to)?;
        }
    }
    give(folder, from, to)
}

fn open(above: BorrowedFd<'_>, name: &CStr, flags: OFlags, how: ResolveFlags) -> Result<OwnedFd, Errno> {
    let how = how | ResolveFlags::BENEATH | ResolveFlags::NO_XDEV;
    rustix::fs::openat2(above, name, flags | OFlags::CLOEXEC, Mode::empty(), how)
}

fn give(what: BorrowedFd<'_>, from: u32, (uid, gid): (u32, u32)) -> Result<(), Errno> {
    if rustix::fs::fstat(what)?.st_uid != from {
        return Ok(());
    }
    let flags = AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::chownat(what, c"", Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), flags)
}
