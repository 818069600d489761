//! A tree from a folder on the disk.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::tree::{Entry, FileTree, Node, TreePath, TreePathError};

/// A folder that cannot be read as a tree.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// A file or folder cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Io {
        /// On this machine.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A device node, socket or pipe.
    #[error("cannot read `{}` as part of a tree: it is a {kind}", path.display())]
    Special {
        /// On this machine.
        path: PathBuf,
        /// What it is, in words.
        kind: &'static str,
    },
    /// A name or a link target is not UTF-8.
    #[error("cannot read `{}` as part of a tree: its {what} is not UTF-8", path.display())]
    NotUtf8 {
        /// On this machine.
        path: PathBuf,
        /// `name` or `link target`.
        what: &'static str,
    },
    /// A path is too long.
    #[error("cannot read `{}` as part of a tree: {source}", path.display())]
    Path {
        /// On this machine.
        path: PathBuf,
        /// Why.
        source: TreePathError,
    },
}

impl ScanError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}

impl FileTree {
    /// Everything below `dir`: modes as they are on the disk, everything root's, the usual time. Contents are read and
    /// hashed; `at` is `dir` with the path behind it. Links are not followed.
    pub fn scan(dir: &Path) -> Result<Self, ScanError> {
        Self::scan_where(dir, |_, _| true)
    }

    /// The same, without the entries that `keep` refuses; what is below a refused folder is not read at all.
    /// `keep` is told whether an entry is a folder.
    pub fn scan_where(dir: &Path, keep: impl FnMut(&TreePath, bool) -> bool) -> Result<Self, ScanError> {
        let mut scan = Scan { tree: FileTree::new(), hashed: HashMap::new(), keep };
        scan.folder(dir, "")?;
        Ok(scan.tree)
    }
}

/// Digest, size and mode of a file: everything that two names of one file share.
type Content = (Digest, u64);

struct Scan<Keep> {
    tree: FileTree,
    /// Files with several names, by device and inode: read once.
    hashed: HashMap<(u64, u64), Content>,
    keep: Keep,
}

impl<Keep: FnMut(&TreePath, bool) -> bool> Scan<Keep> {
    fn folder(&mut self, dir: &Path, prefix: &str) -> Result<(), ScanError> {
        for entry in fs_err::read_dir(dir).map_err(ScanError::io(dir))? {
            let entry = entry.map_err(ScanError::io(dir))?;
            let disk = entry.path();
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                return Err(ScanError::NotUtf8 { path: disk, what: "name" });
            };
            let path = TreePath::parse(&format!("{prefix}{name}"))
                .map_err(|source| ScanError::Path { path: disk.clone(), source })?;
            let kind = entry.file_type().map_err(ScanError::io(&disk))?;
            if !(self.keep)(&path, kind.is_dir()) {
                continue;
            }
            if kind.is_dir() {
                let mode = fs_err::symlink_metadata(&disk).map_err(ScanError::io(&disk))?.mode() & 0o7777;
                let below = format!("{}/", path.as_str());
                self.tree.insert(path, Entry::dir().with_mode(mode));
                self.folder(&disk, &below)?;
            } else if kind.is_symlink() {
                let target = fs_err::read_link(&disk).map_err(ScanError::io(&disk))?;
                let Some(target) = target.to_str() else {
                    return Err(ScanError::NotUtf8 { path: disk, what: "link target" });
                };
                self.tree.insert(path, Entry::symlink(target));
            } else if kind.is_file() {
                let entry = self.file(&disk)?;
                self.tree.insert(path, entry);
            } else {
                return Err(ScanError::Special { path: disk, kind: kind_in_words(kind) });
            }
        }
        Ok(())
    }

    fn file(&mut self, disk: &Path) -> Result<Entry, ScanError> {
        let io = || ScanError::io(disk);
        // It was a regular file a moment ago; if that changed, neither a link is followed nor a pipe waited for.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let file = std::fs::File::options()
            .read(true)
            .custom_flags(flags.bits().cast_signed())
            .open(disk)
            .map_err(io())?;
        let metadata = file.metadata().map_err(io())?;
        if !metadata.is_file() {
            return Err(ScanError::Special {
                path: disk.to_owned(),
                kind: kind_in_words(metadata.file_type()),
            });
        }
        let inode = (metadata.dev(), metadata.ino());
        let (digest, size) = match self.hashed.get(&inode) {
            Some(known) if metadata.nlink() > 1 => *known,
            _ => Digest::of_reader(&file).map_err(io())?,
        };
        if metadata.nlink() > 1 {
            self.hashed.insert(inode, (digest, size));
        }
        let node = Node::File { digest, size, at: disk.to_owned() };
        Ok(Entry { node, ..Entry::dir().with_mode(metadata.mode() & 0o7777) })
    }
}

fn kind_in_words(kind: std::fs::FileType) -> &'static str {
    if kind.is_fifo() {
        "pipe"
    } else if kind.is_socket() {
        "socket"
    } else if kind.is_block_device() || kind.is_char_device() {
        "device node"
    } else {
        "special file"
    }
}
