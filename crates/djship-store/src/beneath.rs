//! A folder in somebody else's hands, worked in without ever being led out of it.
//!
//! Whoever owns a folder can put a link, a pipe or a device's name into it, and can swap one for the other between two of
//! our steps. So every step starts from a descriptor that is open already, follows no link on its way
//! (`openat2(2)`: `RESOLVE_BENEATH`, `RESOLVE_NO_SYMLINKS`), and looks at what it opened before it uses it.

mod file;
mod give;
mod remove;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Uid};
use rustix::io::Errno;

pub use file::{Unread, open_handle, read_handle};

/// More entries of one folder are not listed.
const MOST_ENTRIES: usize = 100_000;

/// A folder that is open, and what is below it. A name is one relative path below it, with `/` and without `..`.
#[derive(Debug)]
pub struct Beneath {
    folder: OwnedFd,
    owner: Option<(u32, u32)>,
    /// For error messages only: what it names may be something else by now.
    path: PathBuf,
}

/// What went wrong below a folder.
#[derive(Debug, thiserror::Error)]
pub enum BeneathError {
    /// A system call failed. A link where none may be is `ELOOP`.
    #[error("cannot {verb} `{}`: {}", path.display(), in_words(*errno))]
    Io {
        /// What was tried.
        verb: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        errno: Errno,
    },
    /// A file cannot be read as one.
    #[error("cannot read `{}`: {source}", path.display())]
    Unread {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Unread,
    },
}

fn in_words(errno: Errno) -> String {
    match errno {
        Errno::LOOP => "a link is in the way".to_owned(),
        Errno::XDEV => "it leads out of its folder".to_owned(),
        _ => io::Error::from(errno).to_string(),
    }
}

impl BeneathError {
    /// Whether nothing of that name is there.
    pub fn is_absent(&self) -> bool {
        self.errno() == Some(Errno::NOENT)
    }

    /// The error of the system call.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Io { errno, .. } => Some(*errno),
            Self::Unread { .. } => None,
        }
    }
}

impl From<BeneathError> for io::Error {
    fn from(error: BeneathError) -> Self {
        let kind = match &error {
            BeneathError::Io { errno, .. } => io::Error::from(*errno).kind(),
            BeneathError::Unread { source: Unread::Io(source), .. } => source.kind(),
            BeneathError::Unread { .. } => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

/// An entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub name: OsString,
    /// Whether it is a folder; a link to one is none.
    pub is_folder: bool,
    /// When it was modified, in seconds and nanoseconds since 1970.
    pub modified: (i64, u64),
}

impl Beneath {
    /// Opens a folder of our own: links above it are followed, but it may not be one itself.
    pub fn open(path: &Path) -> Result<Self, BeneathError> {
        Self::open_top(path, OFlags::NOFOLLOW, ResolveFlags::empty())
    }

    /// Opens a folder that others can swap, as can be those above it: no link is followed. `path` is absolute and
    /// without links, as `canonicalize` gives it.
    pub fn open_without_links(path: &Path) -> Result<Self, BeneathError> {
        Self::open_top(path, OFlags::NOFOLLOW, ResolveFlags::NO_SYMLINKS)
    }

    fn open_top(path: &Path, further: OFlags, resolve: ResolveFlags) -> Result<Self, BeneathError> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC | further;
        let open = || rustix::fs::openat2(CWD, path, flags, Mode::empty(), resolve);
        let folder = rustix::io::retry_on_intr(open).map_err(|errno| BeneathError::Io {
            verb: "open",
            path: path.to_owned(),
            errno,
        })?;
        Ok(Self { folder, owner: None, path: path.to_owned() })
    }

    /// Everything that is made from now on belongs to this user and group.
    #[must_use]
    pub fn making_for(self, owner: Option<(u32, u32)>) -> Self {
        Self { owner, ..self }
    }

    /// What the file system says of the folder itself.
    pub fn stat(&self) -> Result<Stat, BeneathError> {
        rustix::fs::fstat(&self.folder).map_err(self.failed("read", ""))
    }

    /// Opens the folder `name`.
    pub fn folder(&self, name: &str) -> Result<Self, BeneathError> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY;
        let folder = resolve(&self.folder, name, flags).map_err(self.failed("open", name))?;
        Ok(Self { folder, owner: self.owner, path: self.path.join(name) })
    }

    /// Opens the folder `name`, or makes it (mode 0755). The folder above it must be there.
    pub fn make_folder(&self, name: &str) -> Result<Self, BeneathError> {
        let failed = |errno| self.failed("make", name)(errno);
        let (above, last) = self.above(name, "make")?;
        match rustix::fs::mkdirat(&above, last, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(failed(errno)),
        }
        let folder = self.folder(name)?;
        folder.hand_over().map_err(failed)?;
        Ok(folder)
    }

    /// Gives a folder to the owner when it is surely the one that was just made, or that somebody who was killed made: ours, and
    /// empty.
    fn hand_over(&self) -> Result<(), Errno> {
        let Some((uid, gid)) = self.owner else { return Ok(()) };
        let ours = rustix::fs::fstat(&self.folder)?.st_uid == rustix::process::geteuid().as_raw();
        if ours && names(self.folder.as_fd(), 1)?.is_empty() {
            rustix::fs::fchown(&self.folder, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        }
        Ok(())
    }

    /// Opens a regular file for reading.
    pub fn file(&self, name: &str) -> Result<std::fs::File, BeneathError> {
        let handle = self.handle(name)?;
        open_handle(&handle).map_err(|source| BeneathError::Unread { path: self.path.join(name), source })
    }

    /// The content of a regular file of at most `limit` bytes.
    pub fn read(&self, name: &str, limit: u64) -> Result<Vec<u8>, BeneathError> {
        let handle = self.handle(name)?;
        read_handle(&handle, limit)
            .map_err(|source| BeneathError::Unread { path: self.path.join(name), source })
    }

    fn handle(&self, name: &str) -> Result<OwnedFd, BeneathError> {
        resolve(&self.folder, name, OFlags::PATH).map_err(self.failed("read", name))
    }

    /// Whether something of that name is there, also a link that leads nowhere.
    pub fn has(&self, name: &str) -> Result<bool, BeneathError> {
        let stat = self.above(name, "read").and_then(|(above, last)| {
            rustix::fs::statat(&above, last, AtFlags::SYMLINK_NOFOLLOW).map_err(self.failed("read", name))
        });
        match stat {
            Ok(_) => Ok(true),
            Err(error) if error.is_absent() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes a file (mode 0644): the old one or the new one is there, whatever happens. Nothing is flushed to the disk.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), BeneathError> {
        self.replace(name, "write", |above, partial| {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = rustix::fs::openat(above, partial, flags, Mode::from_raw_mode(0o644))?;
            if let Some((uid, gid)) = self.owner {
                rustix::fs::fchown(&file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
            }
            std::fs::File::from(file).write_all(bytes)
        })
    }

    /// Makes the link `name` lead to `target`, at once.
    pub fn link(&self, name: &str, target: &str) -> Result<(), BeneathError> {
        self.replace(name, "write", |above, partial| {
            rustix::fs::symlinkat(target, above, partial)?;
            let Some((uid, gid)) = self.owner else { return Ok(()) };
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let link = rustix::fs::openat(above, partial, flags, Mode::empty())?;
            let stat = rustix::fs::fstat(&link)?;
            let ours = stat.st_uid == rustix::process::geteuid().as_raw() && stat.st_nlink == 1;
            // Another name of a file of ours may have taken its place.
            if ours && FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
                let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
                rustix::fs::chownat(&link, "", uid, gid, AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW)?;
            }
            Ok(())
        })
    }

    /// Where the link `name` leads, as it is written.
    pub fn linked(&self, name: &str) -> Result<OsString, BeneathError> {
        let (above, last) = self.above(name, "read")?;
        let target = rustix::fs::readlinkat(&above, last, Vec::new()).map_err(self.failed("read", name))?;
        Ok(OsString::from_vec(target.into_bytes()))
    }

    /// Gives `from` the name `to`, replacing a file or an empty folder of that name.
    pub fn rename(&self, from: &str, to: &str) -> Result<(), BeneathError> {
        let (above, last) = self.above(from, "rename")?;
        let (new_above, new_last) = self.above(to, "rename")?;
        rustix::fs::renameat(&above, last, &new_above, new_last).map_err(self.failed("rename", from))
    }

    /// Removes `name` and everything below it: links themselves, never what they lead to. What is not there is no error. Folders on
    /// other mounts stay.
    pub fn remove(&self, name: &str) -> Result<(), BeneathError> {
        let (above, last) = match self.above(name, "remove") {
            Err(error) if error.is_absent() => return Ok(()),
            above => above?,
        };
        let last = std::ffi::CString::new(last).map_err(|_| self.failed("remove", name)(Errno::INVAL))?;
        remove::tree(above.as_fd(), &last, 0).map_err(self.failed("remove", name))
    }

    /// Gives the folder and everything below it that is the user `from`'s to another user and group. Links themselves, never what
    /// they lead to; nothing on other mounts.
    pub fn give(&self, from: u32, to: (u32, u32)) -> Result<(), BeneathError> {
        give::tree(self.folder.as_fd(), from, to, 0).map_err(self.failed("hand over", ""))
    }

    /// What is in the folder, in no order. Of a monstrous one only a part.
    pub fn entries(&self) -> Result<Vec<Found>, BeneathError> {
        let names = names(self.folder.as_fd(), MOST_ENTRIES).map_err(self.failed("read", ""))?;
        let look = |name: std::ffi::CString| {
            // What is gone meanwhile is not there.
            let stat = rustix::fs::statat(&self.folder, &name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
            Some(Found {
                name: OsString::from_vec(name.into_bytes()),
                is_folder: FileType::from_raw_mode(stat.st_mode) == FileType::Directory,
                modified: (stat.st_mtime, stat.st_mtime_nsec),
            })
        };
        Ok(names.into_iter().filter_map(look).collect())
    }

    /// Has `make` make something of a name of its own, and gives it its name.
    fn replace(
        &self,
        name: &str,
        verb: &'static str,
        make: impl FnOnce(BorrowedFd<'_>, &str) -> io::Result<()>,
    ) -> Result<(), BeneathError> {
        let (above, last) = self.above(name, verb)?;
        let partial = format!("{last}.{}", std::process::id());
        let _ = rustix::fs::unlinkat(&above, &partial, AtFlags::empty());
        let made = make(above.as_fd(), &partial)
            .and_then(|()| Ok(rustix::fs::renameat(&above, &partial, &above, last)?));
        made.map_err(|error| {
            let _ = rustix::fs::unlinkat(&above, &partial, AtFlags::empty());
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            self.failed(verb, name)(errno)
        })
    }

    /// The folder that `name` is in, open, and the last part of the name.
    fn above<'a>(&self, name: &'a str, verb: &'static str) -> Result<(OwnedFd, &'a str), BeneathError> {
        let (above, last) = name.rsplit_once('/').unwrap_or((".", name));
        if matches!(last, "" | "." | "..") {
            return Err(self.failed(verb, name)(Errno::INVAL));
        }
        let above = resolve(&self.folder, above, OFlags::DIRECTORY | OFlags::RDONLY)
            .map_err(self.failed(verb, name))?;
        Ok((above, last))
    }

    fn failed(&self, verb: &'static str, name: &str) -> impl FnOnce(Errno) -> BeneathError {
        // Without a slash at the end.
        let path = if name.is_empty() { self.path.clone() } else { self.path.join(name) };
        move |errno| BeneathError::Io { verb, path, errno }
    }
}

impl AsFd for Beneath {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }
}

/// Opens what is below a folder, through no link.
fn resolve(folder: &OwnedFd, name: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    if name.split('/').any(|part| part == "..") {
        return Err(Errno::XDEV);
    }
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let open = || rustix::fs::openat2(folder, name, flags | OFlags::CLOEXEC, Mode::empty(), how);
    rustix::io::retry_on_intr(open)
}

/// The first names in a folder, without `.` and `..`.
fn names(folder: BorrowedFd<'_>, most: usize) -> Result<Vec<std::ffi::CString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        if matches!(entry.file_name().to_bytes(), b"." | b"..") {
            continue;
        }
        names.push(entry.file_name().to_owned());
        if names.len() >= most {
            break;
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests;
