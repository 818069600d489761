//! The work space of one container in the caller's scratch folder; removed when the container is over.

use std::{
    os::unix::fs::{DirBuilderExt as _, PermissionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use crate::error::StartError;

/// A folder of our own below the caller's scratch folder:
///
/// ```text
/// container-<pid>-<number>/stubs     layer of mount points
///                          files     content of inline files
///                          owned     root's own folders are shown as the owner's here, in the container's mounts alone
///                          landing   the new root is mounted here for a moment
/// ```
#[derive(Debug)]
pub(crate) struct ScratchFolder {
    path: PathBuf,
}

impl ScratchFolder {
    pub(crate) fn new(parent: &Path) -> Result<Self, StartError> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let path = parent.join(format!("container-{}-{number}", std::process::id()));
            match std::fs::DirBuilder::new().mode(0o755).create(&path) {
                Ok(()) => {}
                // Left over from a process that was killed and whose number is in use again.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => continue,
                Err(source) => return Err(StartError::Scratch { path, source }),
            }
            let scratch = Self { path };
            for name in ["stubs", "files", "owned", "landing"] {
                let path = scratch.path.join(name);
                let made = fs_err::create_dir(&path);
                // The umask of the caller must not decide what the container's user may enter.
                made.and_then(|()| fs_err::set_permissions(&path, PermissionsExt::from_mode(0o755)))
                    .map_err(|source| StartError::Scratch { path, source })?;
            }
            return Ok(scratch);
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn stubs(&self) -> PathBuf {
        self.path.join("stubs")
    }

    /// An empty folder or file, on which something of root's own is mounted inside.
    pub(crate) fn stand_in(&self, number: usize, folder: bool) -> Result<PathBuf, StartError> {
        let path = self.path.join("owned").join(number.to_string());
        let made = if folder { fs_err::create_dir(&path) } else { fs_err::write(&path, b"") };
        made.map_err(|source| StartError::Scratch { path: path.clone(), source })?;
        Ok(path)
    }

    pub(crate) fn landing(&self) -> PathBuf {
        self.path.join("landing")
    }

    pub(crate) fn write_file(&self, number: usize, content: &[u8]) -> Result<PathBuf, StartError> {
        let path = self.path.join("files").join(number.to_string());
        fs_err::write(&path, content)
            .and_then(|()| fs_err::set_permissions(&path, PermissionsExt::from_mode(0o444)))
            .map_err(|source| StartError::Scratch { path: path.clone(), source })?;
        Ok(path)
    }
}

impl Drop for ScratchFolder {
    fn drop(&mut self) {
        // Nothing hangs on it: what stays is empty folders and a few small files in a folder that the caller sweeps.
        let _ = fs_err::remove_dir_all(&self.path);
    }
}

/// What the kernel leaves in an overlay's work folder: a folder that its own owner cannot look into, and that ordinary
/// clean-up therefore stumbles over. Removed when the container is over, so the caller can delete its folders or use them again.
#[derive(Debug)]
pub(crate) struct WorkFolder {
    path: PathBuf,
    /// What is in it is the kernel's.
    kernels: bool,
}

impl WorkFolder {
    /// Before the start: what appears in an empty folder will be the kernel's, what is in another one may be anything.
    pub(crate) fn new(work: &Path) -> Self {
        let kernels = fs_err::read_dir(work).is_ok_and(|mut entries| entries.next().is_none());
        Self { path: work.to_owned(), kernels }
    }

    /// After the start: the kernel has taken the folder over, whatever was in it.
    pub(crate) fn mounted(self) -> Self {
        let mut work = self;
        work.kernels = true;
        work
    }
}

impl Drop for WorkFolder {
    fn drop(&mut self) {
        if self.kernels {
            for name in ["work", "index"] {
                remove_closed(&self.path.join(name));
            }
        }
    }
}

/// Removes a folder in which folders may be closed to their owner; the mark of a volatile overlay is in such a one.
fn remove_closed(path: &Path) {
    if !path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return;
    }
    let _ = fs_err::set_permissions(path, PermissionsExt::from_mode(0o700));
    for entry in fs_err::read_dir(path).into_iter().flatten().flatten() {
        remove_closed(&entry.path());
    }
    let _ = fs_err::remove_dir_all(path);
}
