//! A tree onto the disk, as a folder that containers can mount.
//!
//! On the disk everything belongs to whoever runs djship: folders have mode 0755, files their read and execute bits and
//! at least 0644. The owners and modes that ship stay in the tree.

use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::tree::{FileTree, Node, TreePath};

/// How the bytes of files get into a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// As another name of the same file, where the file system allows that and the modes agree; else as a copy. For what
    /// nobody writes to.
    Link,
    /// As a file of its own.
    Copy,
}

/// A tree that cannot be laid out.
#[derive(Debug, thiserror::Error)]
pub enum LayOutError {
    /// The folder is not empty.
    #[error("cannot lay out a tree in `{}`: the folder is not empty", dir.display())]
    NotEmpty {
        /// The folder.
        dir: PathBuf,
    },
    /// An entry lies below something that is not a folder.
    #[error("cannot lay out `{path}`: `{parent}` is not a folder in this tree")]
    NotAFolder {
        /// The entry.
        path: TreePath,
        /// What it lies below.
        parent: TreePath,
    },
    /// A system call failed.
    #[error("cannot lay out `{path}` in `{}`: {source}", dir.display())]
    Io {
        /// The entry.
        path: TreePath,
        /// The folder.
        dir: PathBuf,
        /// Why; names the file on the disk.
        source: io::Error,
    },
    /// The folder itself cannot be made or read.
    #[error("cannot lay out a tree in `{}`: {source}", dir.display())]
    Folder {
        /// The folder.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl FileTree {
    /// Makes `dir` (absent or empty) hold this tree.
    pub fn lay_out(&self, dir: &Path, how: How) -> Result<(), LayOutError> {
        let folder = |source| LayOutError::Folder { dir: dir.to_owned(), source };
        fs_err::create_dir_all(dir).map_err(folder)?;
        if fs_err::read_dir(dir).map_err(folder)?.next().is_some() {
            return Err(LayOutError::NotEmpty { dir: dir.to_owned() });
        }
        set_mode(dir, 0o755).map_err(folder)?;
        // Entries are sorted, so a folder comes before what it holds, and the last parent is mostly the next one's too.
        let mut last_parent: Option<TreePath> = None;
        for (path, entry) in self.iter() {
            let parent = path.parent();
            if parent != last_parent {
                if let Some(parent) = &parent {
                    self.check_folders(path, parent)?;
                    make_folders(dir, parent).map_err(|source| LayOutError::io(path, dir, source))?;
                }
                last_parent = parent;
            }
            let target = path.below(dir);
            let made = match &entry.node {
                Node::Dir => make_folder(&target),
                Node::Symlink { target: text } => fs_err::os::unix::fs::symlink(text, &target),
                Node::File { at, .. } => place_file(at, &target, on_disk_mode(entry.mode), how),
            };
            made.map_err(|source| LayOutError::io(path, dir, source))?;
        }
        Ok(())
    }

    /// This tree with its bytes in `dir`, where it has been laid out.
    #[must_use]
    pub fn laid_out_in(mut self, dir: &Path) -> Self {
        for (path, entry) in self.iter_mut() {
            if let Node::File { at, .. } = &mut entry.node {
                *at = path.below(dir);
            }
        }
        self
    }

    /// A link as a parent would lead out of `dir`.
    fn check_folders(&self, path: &TreePath, parent: &TreePath) -> Result<(), LayOutError> {
        let mut above = Some(parent.clone());
        while let Some(folder) = above {
            if self.get(folder.as_str()).is_some_and(|entry| !entry.is_dir()) {
                return Err(LayOutError::NotAFolder { path: path.clone(), parent: folder });
            }
            above = folder.parent();
        }
        Ok(())
    }
}

impl LayOutError {
    fn io(path: &TreePath, dir: &Path, source: io::Error) -> Self {
        Self::Io { path: path.clone(), dir: dir.to_owned(), source }
    }
}

/// The mode of a file on the disk: everybody can read it, the owner can write it, nobody becomes somebody else by it.
pub(crate) fn on_disk_mode(mode: u32) -> u32 {
    (mode & 0o777) | 0o644
}

fn make_folders(dir: &Path, path: &TreePath) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        make_folders(dir, &parent)?;
    }
    make_folder(&path.below(dir))
}

fn make_folder(path: &Path) -> io::Result<()> {
    match fs_err::create_dir(path) {
        // Made for an entry below it.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(()) => set_mode(path, 0o755),
    }
}

fn place_file(from: &Path, to: &Path, mode: u32, how: How) -> io::Result<()> {
    if how == How::Link {
        let metadata = fs_err::symlink_metadata(from)?;
        // Names of one file share its mode.
        // A file of somebody else's could be written to by them under its new name.
        let own = metadata.uid() == rustix::process::geteuid().as_raw();
        if own
            && metadata.is_file()
            && metadata.mode() & 0o7777 == mode
            && fs_err::hard_link(from, to).is_ok()
        {
            return Ok(());
        }
        // Another file system, too many names, a file of somebody else's: copied.
    }
    let mut source = fs_err::File::open(from)?;
    let target = std::fs::File::options().write(true).create_new(true).mode(mode).open(to)?;
    // On Linux this becomes one system call, and shares the blocks where the file system can.
    io::copy(&mut source, &mut &target)?;
    target.set_permissions(std::fs::Permissions::from_mode(mode))
}

fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode))
}
