//! The one way to a file of the project: no pipe is waited for, no device is read, and links lead no further than they may.
//!
//! People link `requirements.txt` to `requirements/base.txt`, and `.env` to somewhere in their home folder. The first always
//! works, the second as long as the project is the reader's own: a link that somebody else made must not make root
//! read what only root may.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use djship_store::beneath::{Unread, open_handle, read_handle};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::ProjectError;

/// How often a way is tried that changes meanwhile.
const TRIES: usize = 32;

/// The folder of a project, open.
#[derive(Debug)]
pub(crate) struct Folder {
    top: OwnedFd,
    path: PathBuf,
    owner: u32,
    /// It is not the reader's own.
    lent: bool,
}

impl Folder {
    /// Opens a project's folder, absolute and without links; `None` when there is none.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>, ProjectError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let top = match rustix::fs::openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
            Ok(top) => top,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(errno) => return Err(named(path, errno).into()),
        };
        let stat = rustix::fs::fstat(&top).map_err(|errno| named(path, errno))?;
        let reader = rustix::process::geteuid();
        // What everybody can write to is nobody's own; some file systems say so of everything, but not to root.
        let shared = reader.is_root() && stat.st_mode & 0o002 != 0;
        let (path, owner) = (path.to_owned(), stat.st_uid);
        Ok(Some(Self { top, path, owner, lent: owner != reader.as_raw() || shared }))
    }

    /// The user id of its owner.
    pub(crate) fn owner(&self) -> u32 {
        self.owner
    }

    /// Where it is, for words.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The content of a file; `None` when there is none. A folder of that name, such as a virtual environment `.env`, is none.
    pub(crate) fn read(&self, relative: &str, limit: u64) -> Result<Option<Vec<u8>>, ProjectError> {
        let file = self.path.join(relative);
        match self.handle(relative)? {
            Some(handle) => read(&file, &handle, limit),
            None => Ok(None),
        }
    }

    /// A regular file, for reading; `None` when there is none.
    pub(crate) fn file(&self, relative: &str) -> Result<Option<std::fs::File>, ProjectError> {
        let Some(handle) = self.handle(relative)? else { return Ok(None) };
        open_handle(&handle).map(Some).or_else(|error| unread(&self.path.join(relative), error))
    }

    /// What `relative` leads to.
    fn handle(&self, relative: &str) -> Result<Option<OwnedFd>, ProjectError> {
        let file = self.path.join(relative);
        match self.below(Path::new(relative), ResolveFlags::NO_MAGICLINKS) {
            Ok(handle) => return Ok(Some(handle)),
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            // An absolute link, or one that goes up first. It may come back.
            Err(Errno::XDEV) => {}
            Err(errno) => return Err(named(&file, errno).into()),
        }
        let target = match fs_err::canonicalize(&file) {
            Ok(target) => target,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        match target.strip_prefix(&self.path) {
            // If it is not what it was, it leads nowhere any more.
            Ok(inside) => match self.below(inside, ResolveFlags::NO_SYMLINKS) {
                Ok(handle) => Ok(Some(handle)),
                Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
                Err(Errno::XDEV | Errno::LOOP) => Err(ProjectError::LeadsOut { file }),
                Err(errno) => Err(named(&file, errno).into()),
            },
            Err(_) if is_nothing(&target) => Ok(None),
            Err(_) if self.lent => Err(ProjectError::LeadsOut { file }),
            Err(_) => handle(&file).map_err(Into::into),
        }
    }

    fn below(&self, relative: &Path, how: ResolveFlags) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let how = how | ResolveFlags::BENEATH;
        let mut last = Errno::AGAIN;
        for _ in 0..TRIES {
            match rustix::fs::openat2(&self.top, relative, flags, Mode::empty(), how) {
                // Somebody renames something at this moment.
                Err(errno @ (Errno::AGAIN | Errno::INTR)) => last = errno,
                result => return result,
            }
        }
        Err(last)
    }
}

/// The content of a file of the reader's own, which is in no project; `None` when there is none.
pub(super) fn read_own(file: &Path, limit: u64) -> Result<Option<Vec<u8>>, ProjectError> {
    match handle(file)? {
        Some(handle) => read(file, &handle, limit),
        None => Ok(None),
    }
}

fn handle(file: &Path) -> io::Result<Option<OwnedFd>> {
    match rustix::fs::open(file, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
        Ok(handle) => Ok(Some(handle)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(named(file, errno)),
    }
}

fn read(file: &Path, handle: &OwnedFd, limit: u64) -> Result<Option<Vec<u8>>, ProjectError> {
    let stat = rustix::fs::fstat(handle).map_err(|errno| named(file, errno))?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && is_null(stat.st_rdev) {
        return Ok(None);
    }
    read_handle(handle, limit).map(Some).or_else(|error| unread(file, error))
}

fn unread<T>(file: &Path, error: Unread) -> Result<Option<T>, ProjectError> {
    let file = file.to_owned();
    Err(match error {
        Unread::Folder => return Ok(None),
        Unread::Special(kind) => ProjectError::Special { file, kind },
        Unread::TooLarge { size, limit } => ProjectError::TooLarge { file, size, limit },
        Unread::Io(error) => named(&file, error).into(),
    })
}

/// Where people lead a file, or mount over it, that is to be as if it were not there.
fn is_nothing(target: &Path) -> bool {
    target == Path::new("/dev/null")
}

/// The same by its number (`null(4)`).
fn is_null(device: u64) -> bool {
    (rustix::fs::major(device), rustix::fs::minor(device)) == (1, 3)
}

fn named(file: &Path, error: impl Into<io::Error>) -> io::Error {
    let error = error.into();
    io::Error::new(error.kind(), format!("failed to open `{}`: {error}", file.display()))
}

#[cfg(test)]
mod tests;
