//! A file that is written whole or not at all.

use std::io::{self, Write};
use std::path::Path;

use djship_store::atomic;
use djship_store::temp::TempFile;

/// Why a file is not there.
pub(crate) enum Unwritten<E> {
    /// The target is a folder or something else that is no file.
    NotAFile,
    /// A system call failed.
    Io(io::Error),
    /// What was to be written could not be made.
    Content(E),
}

impl<E> From<io::Error> for Unwritten<E> {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Writes `file` by `write`, replacing one that is there only when the new one is complete and on the disk.
pub(crate) fn replace_file<E>(
    file: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<(), Unwritten<E>> {
    if file.symlink_metadata().is_ok_and(|metadata| !metadata.is_file() && !metadata.is_symlink()) {
        return Err(Unwritten::NotAFile);
    }
    let target = if file.exists() { fs_err::canonicalize(file)? } else { std::path::absolute(file)? };
    let folder = target.parent().unwrap_or(&target);
    fs_err::create_dir_all(folder)?;
    let work = TempFile::beside(&target)?;
    let mut writer = io::BufWriter::with_capacity(128 * 1024, work.file());
    write(&mut writer).map_err(Unwritten::Content)?;
    writer.flush()?;
    drop(writer);
    work.file().sync_all()?;
    work.rename_to(&target)?;
    Ok(atomic::sync_folder(folder)?)
}
