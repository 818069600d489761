//! Work in progress: folders and files below the store's `tmp/`, each locked (`flock` on itself) by the process that
//! works in it. What a killed process left behind has a free lock, and is swept when a store is opened.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::lock::{names_same_file, try_flock};

/// Distinguishes the names that one process takes.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A folder of this process, removed when it is dropped.
#[derive(Debug)]
pub struct TempDir {
    path: PathBuf,
    lock: Option<OwnedFd>,
}

impl TempDir {
    /// Makes a folder beside `target`, to be renamed to it; sweeps those that killed processes left for the same target.
    pub fn beside(target: &Path) -> io::Result<Self> {
        let (folder, prefix) = beside(target)?;
        sweep(&folder, &prefix)?;
        Self::new(&folder, prefix.trim_end_matches('-'))
    }

    /// Makes a folder below `tmp`, mode 0755.
    pub(crate) fn new(tmp: &Path, prefix: &str) -> io::Result<Self> {
        let (path, lock) = new_locked(tmp, prefix, |path| {
            rustix::fs::mkdir(path, Mode::RWXU)?;
            let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            rustix::fs::open(path, flags, Mode::empty())
        })?;
        // Not left to the umask.
        rustix::fs::fchmod(&lock, Mode::from_raw_mode(0o755))?;
        Ok(Self { path, lock: Some(lock) })
    }

    /// Where the folder is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the folder its final name. The parent of `target` must exist, `target` must not.
    pub fn rename_to(mut self, target: &Path) -> io::Result<()> {
        fs_err::rename(&self.path, target)?;
        // Nothing is left to remove.
        self.lock = None;
        Ok(())
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        if self.lock.is_some() {
            // What cannot be removed now is swept later.
            let _ = remove_tree(&self.path);
        }
    }
}

/// A file of this process, removed when it is dropped.
#[derive(Debug)]
pub struct TempFile {
    path: PathBuf,
    file: std::fs::File,
    kept: bool,
}

impl TempFile {
    /// Makes a file beside `target`, to be renamed to it; sweeps those that killed processes left for the same target.
    pub fn beside(target: &Path) -> io::Result<Self> {
        let (folder, prefix) = beside(target)?;
        sweep(&folder, &prefix)?;
        Self::new(&folder, prefix.trim_end_matches('-'))
    }

    /// Makes an empty file below `tmp`, mode 0644.
    pub(crate) fn new(tmp: &Path, prefix: &str) -> io::Result<Self> {
        let (path, file) = new_locked(tmp, prefix, |path| {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)
        })?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(0o644))?;
        Ok(Self { path, file: file.into(), kept: false })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open file.
    pub fn file(&self) -> &std::fs::File {
        &self.file
    }

    /// Gives the file its final name, replacing what is there. Nothing is flushed to the disk.
    pub fn rename_to(mut self, target: &Path) -> io::Result<()> {
        fs_err::rename(&self.path, target)?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if !self.kept {
            let _ = rustix::fs::unlink(&self.path);
        }
    }
}

/// The folder of `target`, and how the temporary names in it start.
fn beside(target: &Path) -> io::Result<(PathBuf, String)> {
    let target = std::path::absolute(target)?;
    // Shortened, because a name that just fits would not with more around it.
    let name: String = target.file_name().unwrap_or_default().to_string_lossy().chars().take(50).collect();
    let folder = target.parent().unwrap_or(&target).to_owned();
    Ok((folder, format!(".{name}.djship-")))
}

/// Makes something new with `make` and locks it before any sweeper can.
fn new_locked(
    tmp: &Path,
    prefix: &str,
    make: impl Fn(&Path) -> Result<OwnedFd, Errno>,
) -> io::Result<(PathBuf, OwnedFd)> {
    loop {
        let name = format!("{prefix}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = tmp.join(name);
        let new = match make(&path) {
            Ok(new) => new,
            // Taken by a process of the same number in another namespace, or swept between the two calls.
            Err(Errno::EXIST | Errno::NOENT) if tmp.is_dir() => continue,
            Err(errno) => return Err(errno.into()),
        };
        if try_flock(&new)? && names_same_file(&path, &new)? {
            return Ok((path, new));
        }
    }
}

/// Removes everything below `tmp` whose name starts with `prefix` and whose lock is free; returns how many entries
/// went.
pub(crate) fn sweep(tmp: &Path, prefix: &str) -> io::Result<usize> {
    let mut swept = 0;
    for entry in fs_err::read_dir(tmp)? {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().starts_with(prefix.as_bytes()) {
            continue;
        }
        let path = entry.path();
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        // Gone meanwhile, or another user's.
        let Ok(open) = rustix::fs::open(&path, flags, Mode::empty()) else { continue };
        if !try_flock(&open)? || !names_same_file(&path, &open)? {
            continue;
        }
        let removed =
            if entry.file_type()?.is_dir() { remove_tree(&path) } else { fs_err::remove_file(&path) };
        swept += usize::from(removed.is_ok());
    }
    Ok(swept)
}

/// Removes a folder and what is below, read-only folders included. Links are not followed.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    match fs_err::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            make_folders_writable(path)?;
            fs_err::remove_dir_all(path)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Lets the owner change every folder below `path`. A package may bring folders that forbid even that.
fn make_folders_writable(path: &Path) -> io::Result<()> {
    if !fs_err::symlink_metadata(path)?.is_dir() {
        return Ok(());
    }
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
    for entry in fs_err::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            make_folders_writable(&entry.path())?;
        }
    }
    Ok(())
}
