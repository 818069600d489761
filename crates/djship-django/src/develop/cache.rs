//! `.cache` in the project: the environment, what pip and uv keep, bytecode. It ignores itself, and a folder of that name
//! that somebody else made is left alone.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// What marks the folder as ours. The first line is what backup programs look for
/// (<https://bford.info/cachedir/>).
const TAG: &str =
    "Signature: 8a477f597d28d172789f06886806bc55\n# Made by djship: everything in here is made anew.\n";
/// The longest file that is read from there: a record of ours.
const LONGEST: u64 = 1 << 20;

/// The folder for everything that development makes.
///
/// It is in the hands of whoever owns the project, so a djship that root started goes through the folder's descriptor and
/// never through its path.
#[derive(Debug)]
pub struct Cache {
    folder: OwnedFd,
    owner: Option<(u32, u32)>,
    /// On the host.
    pub path: PathBuf,
    /// In containers.
    pub inside: &'static str,
    /// The project has a `.cache` of somebody else's, so this one is elsewhere.
    pub elsewhere: bool,
}

impl Cache {
    /// Opens the project's `.cache`, or makes it; when there is one that is not ours, `elsewhere` is used instead.
    /// `owner` is who owns what is made.
    pub fn open(project: &Path, elsewhere: &Path, owner: Option<(u32, u32)>) -> io::Result<Self> {
        let top = open_folder(rustix::fs::CWD, project)?;
        let ours = match make_folder(&top, ".cache", owner) {
            Ok(folder) => is_ours(&folder)?.then_some(folder),
            // A file or a link.
            Err(Errno::NOTDIR | Errno::LOOP | Errno::EXIST) => None,
            Err(error) => return Err(error.into()),
        };
        let cache = if let Some(folder) = ours {
            Self { folder, owner, path: project.join(".cache"), inside: "/app/.cache", elsewhere: false }
        } else {
            fs_err::create_dir_all(elsewhere)?;
            if let Some((uid, gid)) = owner {
                fs_err::os::unix::fs::lchown(elsewhere, Some(uid), Some(gid))?;
            }
            let folder = open_folder(rustix::fs::CWD, elsewhere)?;
            Self { folder, owner, path: elsewhere.to_owned(), inside: "/cache", elsewhere: true }
        };
        for (name, text) in [("CACHEDIR.TAG", TAG), (".gitignore", "*\n")] {
            if !fs_err::exists(cache.at(name))? {
                cache.write(name, text.as_bytes())?;
            }
        }
        Ok(cache)
    }

    /// A path below the folder that no link above it can redirect; good while this is open.
    pub(super) fn at(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.folder.as_raw_fd()))
    }

    /// Makes a folder in it.
    pub(super) fn folder(&self, name: &str) -> io::Result<()> {
        make_folder(&self.folder, name, self.owner)?;
        Ok(())
    }

    /// What a file of ours in it says.
    pub(super) fn read(&self, name: &str) -> Option<Vec<u8>> {
        use io::Read as _;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.folder, name, flags, Mode::empty()).ok()?;
        let mut bytes = Vec::new();
        std::fs::File::from(file).take(LONGEST).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// Writes a file of ours: the old one or the new one is there, whatever happens.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        use io::Write as _;
        let partial = format!("{name}.{}", std::process::id());
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let _ = rustix::fs::unlinkat(&self.folder, &partial, rustix::fs::AtFlags::empty());
        let file = rustix::fs::openat(&self.folder, &partial, flags, Mode::from_raw_mode(0o644))?;
        if let Some((uid, gid)) = self.owner {
            own(&file, uid, gid)?;
        }
        std::fs::File::from(file).write_all(bytes)?;
        Ok(rustix::fs::renameat(&self.folder, &partial, &self.folder, name)?)
    }

    /// Makes the link `name` lead to `target`, at once.
    pub(super) fn link(&self, name: &str, target: &str) -> io::Result<()> {
        let partial = format!("{name}.{}", std::process::id());
        let _ = rustix::fs::unlinkat(&self.folder, &partial, rustix::fs::AtFlags::empty());
        rustix::fs::symlinkat(target, &self.folder, &partial)?;
        if let Some((uid, gid)) = self.owner {
            fs_err::os::unix::fs::lchown(self.at(&partial), Some(uid), Some(gid))?;
        }
        Ok(rustix::fs::renameat(&self.folder, &partial, &self.folder, name)?)
    }

    /// Where the link `name` leads, as it is written.
    pub(super) fn linked(&self, name: &str) -> Option<String> {
        rustix::fs::readlinkat(&self.folder, name, Vec::new()).ok()?.into_string().ok()
    }
}

fn open_folder(above: impl std::os::fd::AsFd, path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::openat(above, path, flags, Mode::empty())
}

/// Opens the folder `name`, or makes it.
fn make_folder(above: &OwnedFd, name: &str, owner: Option<(u32, u32)>) -> Result<OwnedFd, Errno> {
    match rustix::fs::mkdirat(above, name, Mode::from_raw_mode(0o755)) {
        Ok(()) => {
            let folder = open_folder(above, Path::new(name))?;
            if let Some((uid, gid)) = owner {
                own(&folder, uid, gid)?;
            }
            Ok(folder)
        }
        Err(Errno::EXIST) => open_folder(above, Path::new(name)),
        Err(errno) => Err(errno),
    }
}

fn own(file: &OwnedFd, uid: u32, gid: u32) -> Result<(), Errno> {
    rustix::fs::fchown(file, Some(rustix::fs::Uid::from_raw(uid)), Some(rustix::fs::Gid::from_raw(gid)))
}

/// Whether a folder is empty or has our tag.
fn is_ours(folder: &OwnedFd) -> io::Result<bool> {
    use io::Read as _;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match rustix::fs::openat(folder, "CACHEDIR.TAG", flags, Mode::empty()) {
        Ok(file) => {
            let mut text = String::new();
            let read = std::fs::File::from(file).take(LONGEST).read_to_string(&mut text);
            Ok(read.is_ok() && text == TAG)
        }
        Err(Errno::NOENT) => {
            let names = rustix::fs::Dir::read_from(folder)?;
            let mut others =
                names.flatten().filter(|entry| !matches!(entry.file_name().to_bytes(), b"." | b".."));
            Ok(others.next().is_none())
        }
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(project: &Path) -> Cache {
        Cache::open(project, &project.join("elsewhere"), None).unwrap()
    }

    #[test]
    fn it_ignores_itself_and_is_found_again() {
        let project = tempfile::tempdir().unwrap();
        let cache = open(project.path());
        assert!(!cache.elsewhere);
        assert_eq!(fs_err::read_to_string(project.path().join(".cache/.gitignore")).unwrap(), "*\n");
        cache.write("record", b"one").unwrap();
        cache.write("record", b"two").unwrap();
        cache.link("venv", "venvs/a").unwrap();
        cache.link("venv", "venvs/b").unwrap();
        let again = open(project.path());
        assert_eq!(again.read("record").as_deref(), Some(&b"two"[..]));
        assert_eq!(again.linked("venv").as_deref(), Some("venvs/b"));
        let names = fs_err::read_dir(project.path().join(".cache")).unwrap().count();
        assert_eq!(names, 4, "tag, gitignore, record, link: nothing half-written");
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        for make in [
            (|path| fs_err::create_dir_all(path.join("pre-commit")).unwrap()) as fn(&Path),
            |path| fs_err::write(path, "a file").unwrap(),
            |path| fs_err::os::unix::fs::symlink("/tmp", path).unwrap(),
        ] {
            let project = tempfile::tempdir().unwrap();
            let place = project.path().join(".cache");
            make(&place);
            let before = fs_err::symlink_metadata(&place).unwrap().modified().unwrap();
            let cache = open(project.path());
            assert!(cache.elsewhere && cache.path.ends_with("elsewhere"));
            assert_eq!(cache.inside, "/cache");
            assert_eq!(fs_err::symlink_metadata(&place).unwrap().modified().unwrap(), before);
        }
    }
}
