//! Removing a folder that changes meanwhile.

use std::ffi::CStr;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// Folders in folders: one descriptor each is open. What is deeper is nobody's environment.
pub(super) const DEEPEST: usize = 128;
/// How often one entry is tried that turns into something else each time.
const TRIES: usize = 16;
/// Names that are held at once.
const BATCH: usize = 1024;

/// Removes `name` in the folder `above`, and what is below it.
pub(super) fn tree(above: BorrowedFd<'_>, name: &CStr, depth: usize) -> Result<(), Errno> {
    let mut last = Errno::BUSY;
    for _ in 0..TRIES {
        match rustix::fs::unlinkat(above, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            // A folder; POSIX allows both.
            Err(errno @ (Errno::ISDIR | Errno::PERM)) => last = errno,
            Err(errno) => return Err(errno),
        }
        if depth >= DEEPEST {
            return Err(Errno::NAMETOOLONG);
        }
        let folder = match open(above, name) {
            Ok(folder) => folder,
            Err(Errno::NOENT) => return Ok(()),
            // It was swapped.
            Err(Errno::NOTDIR | Errno::LOOP) => continue,
            Err(errno) => return Err(errno),
        };
        empty(&folder, depth)?;
        match rustix::fs::unlinkat(above, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(errno @ (Errno::NOTDIR | Errno::NOTEMPTY | Errno::EXIST)) => last = errno,
            Err(errno) => return Err(errno),
        }
    }
    Err(last)
}

/// Removes what is in a folder: as much as can be, whatever cannot.
fn empty(folder: &OwnedFd, depth: usize) -> Result<(), Errno> {
    loop {
        let names = super::names(folder.as_fd(), BATCH)?;
        let mut first = None;
        let mut removed = 0;
        for name in &names {
            match tree(folder.as_fd(), name, depth + 1) {
                Ok(()) => removed += 1,
                Err(errno) => first = first.or(Some(errno)),
            }
        }
        match first {
            None if names.len() < BATCH => return Ok(()),
            Some(errno) if names.len() < BATCH || removed == 0 => return Err(errno),
            _ => {}
        }
    }
}

/// Opens a folder to be emptied. One of our own that forbids even that is opened to us.
fn open(above: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let handle = rustix::fs::openat2(above, name, flags, Mode::empty(), how)?;
    let stat = rustix::fs::fstat(&handle)?;
    if stat.st_mode & 0o700 != 0o700 && stat.st_uid == rustix::process::geteuid().as_raw() {
        // A handle cannot be changed itself; this leads to the very folder.
        rustix::fs::chmod(format!("/proc/self/fd/{}", handle.as_raw_fd()), Mode::RWXU)?;
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat2(&handle, ".", flags, Mode::empty(), how)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_swapped_for_a_link_after_the_first_look_is_not_entered() {
        let dir = tempfile::tempdir().unwrap();
        fs_err::create_dir(dir.path().join("victim")).unwrap();
        fs_err::os::unix::fs::symlink("victim", dir.path().join("link")).unwrap();
        let above = rustix::fs::open(dir.path(), OFlags::DIRECTORY, Mode::empty()).unwrap();
        assert!(open(above.as_fd(), c"victim").is_ok());
        assert_eq!(open(above.as_fd(), c"link").unwrap_err(), Errno::LOOP);
    }
}
