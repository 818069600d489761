//! A small file that is either the old or the new one, whatever happens in between.

use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::temp::TempFile;

/// Writes `bytes` to `path` (mode 0644), replacing what is there: temporary file beside it, flushed to the disk, renamed,
/// folder flushed.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = folder_of(path);
    let file = TempFile::beside(path)?;
    file.file().write_all(bytes)?;
    file.file().sync_all()?;
    file.rename_to(path)?;
    sync_folder(folder)
}

/// The same without flushing: for what is inside an entry of the store, where [`crate::durable`] sees to it.
pub fn write_quickly(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = TempFile::beside(path)?;
    file.file().write_all(bytes)?;
    file.rename_to(path)
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes renames within `folder` outlast a power cut.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let open = rustix::fs::open(folder, flags, Mode::empty())?;
    Ok(rustix::fs::fsync(open.as_fd())?)
}
