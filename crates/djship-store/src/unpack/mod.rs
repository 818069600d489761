//! The one guarded door for entries of foreign archives.
//!
//! A [`Door`] writes below one folder and nowhere else. Folders on the way to an entry are opened one by one without
//! following links, so a link that an archive planted earlier leads nowhere. On the disk everything belongs to whoever
//! runs djship, with plain modes; the owners and modes of the archive are in the [`Entry`] that comes back. Device
//! nodes, pipes and sockets are refused.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

mod error;

pub use error::UnpackError;

use crate::digest::DigestWriter;
use crate::lay_out::on_disk_mode;
use crate::store::BUFFER;
use crate::tree::{EPOCH, Entry, FileTree, MAX_PATH, Node, TreePath};

/// What an archive says that an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A folder.
    Dir,
    /// A regular file of this many bytes.
    File {
        /// Size in bytes.
        size: u64,
    },
    /// A symbolic link.
    Symlink {
        /// The target as stored; never followed.
        target: String,
    },
    /// Another name of a file placed earlier.
    HardLink {
        /// That file.
        target: TreePath,
    },
    /// A device node, pipe, socket or anything else that no package needs.
    Special {
        /// What it is, in words.
        kind: &'static str,
    },
}

/// Owner, mode and time as an archive gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// Permission bits; anything above `0o7777` is dropped.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Seconds since 1970.
    pub mtime: i64,
}

impl Attributes {
    /// Root's, at the usual time.
    pub fn of_root(mode: u32) -> Self {
        Self { mode, uid: 0, gid: 0, mtime: EPOCH }
    }
}

/// How much one archive may bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Number of entries.
    pub entries: usize,
    /// Bytes of one file.
    pub file_size: u64,
    /// Bytes of all files.
    pub total_size: u64,
}

impl Default for Limits {
    /// Far above any Debian package or image layer that a web project needs: 500 000 entries, 4 GiB, 16 GiB.
    fn default() -> Self {
        Self { entries: 500_000, file_size: 4 << 30, total_size: 16 << 30 }
    }
}

/// The door into one folder.
#[derive(Debug)]
pub struct Door {
    dir: PathBuf,
    root: OwnedFd,
    limits: Limits,
    tree: FileTree,
    placed: usize,
    total: u64,
    /// The last folder written to: archives are mostly in order.
    open_folder: Option<(TreePath, OwnedFd)>,
    buffer: Vec<u8>,
}

impl Door {
    /// A door into `dir`, made if need be, with the default limits.
    pub fn new(dir: &Path) -> Result<Self, UnpackError> {
        Self::with_limits(dir, Limits::default())
    }

    /// The same with limits of the caller's.
    pub fn with_limits(dir: &Path, limits: Limits) -> Result<Self, UnpackError> {
        let failed = |source| UnpackError::Folder { dir: dir.to_owned(), source };
        fs_err::create_dir_all(dir).map_err(failed)?;
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let root = rustix::fs::open(dir, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?;
        rustix::fs::fchmod(&root, ON_DISK_FOLDER).map_err(|errno| failed(errno.into()))?;
        Ok(Self {
            dir: dir.to_owned(),
            root,
            limits,
            tree: FileTree::new(),
            placed: 0,
            total: 0,
            open_folder: None,
            buffer: vec![0; BUFFER],
        })
    }

    /// Places one entry; `content` is read for files only. An entry of the same path is replaced, a folder only by a
    /// folder or when it is empty.
    pub fn place(
        &mut self,
        path: &TreePath,
        kind: EntryKind,
        attributes: Attributes,
        content: &mut dyn Read,
    ) -> Result<Entry, UnpackError> {
        self.placed += 1;
        if self.placed > self.limits.entries {
            return Err(UnpackError::TooManyEntries { path: path.clone(), limit: self.limits.entries });
        }
        if let EntryKind::Special { kind } = kind {
            return Err(UnpackError::Special { path: path.clone(), kind });
        }
        let Attributes { mode, uid, gid, mtime } = attributes;
        let entry = |node, mode| Entry { node, mode: mode & 0o7777, uid, gid, mtime };
        let parent = path.parent();
        let entry = match kind {
            EntryKind::Dir => {
                self.place_folder(path, parent.as_ref())?;
                entry(Node::Dir, mode)
            }
            EntryKind::Symlink { target } => {
                if target.is_empty() || target.len() > MAX_PATH || target.contains('\0') {
                    return Err(UnpackError::LinkTarget { path: path.clone() });
                }
                let folder = self.folder_for(path, parent.as_ref())?;
                clear(folder, path)?;
                rustix::fs::symlinkat(&*target, folder, path.file_name()).map_err(at(path))?;
                entry(Node::Symlink { target }, 0o777)
            }
            EntryKind::HardLink { target } => self.place_hard_link(path, parent.as_ref(), target)?,
            EntryKind::File { size } => {
                let node = self.place_file(path, size, mode, content)?;
                entry(node, mode)
            }
            EntryKind::Special { kind } => return Err(UnpackError::Special { path: path.clone(), kind }),
        };
        self.tree.insert(path.clone(), entry.clone());
        Ok(entry)
    }

    /// Everything that was placed, with the folders that the archive left out.
    pub fn finish(mut self) -> FileTree {
        self.tree.fill_parents();
        self.tree
    }

    fn place_folder(&mut self, path: &TreePath, parent: Option<&TreePath>) -> Result<(), UnpackError> {
        let folder = self.folder_for(path, parent)?;
        match make_folder(folder, path.file_name()) {
            Ok(()) => Ok(()),
            // A file or a link had the name: the later entry wins.
            Err(Errno::NOTDIR | Errno::LOOP) => {
                clear(folder, path)?;
                make_folder(folder, path.file_name()).map_err(at(path))
            }
            Err(errno) => Err(at(path)(errno)),
        }
    }

    fn place_hard_link(
        &mut self,
        path: &TreePath,
        parent: Option<&TreePath>,
        target: TreePath,
    ) -> Result<Entry, UnpackError> {
        let Some(entry) =
            self.tree.get(target.as_str()).filter(|entry| matches!(entry.node, Node::File { .. }))
        else {
            return Err(UnpackError::HardLink { path: path.clone(), target });
        };
        let mut entry = entry.clone();
        if *path == target {
            return Ok(entry);
        }
        // The folder of the new name is the one to keep open, so that of the target is opened first.
        let source = open_folders(&self.root, target.parent().as_ref(), path)?;
        let folder = self.folder_for(path, parent)?;
        clear(folder, path)?;
        rustix::fs::linkat(&source, target.file_name(), folder, path.file_name(), AtFlags::empty())
            .map_err(at(path))?;
        if let Node::File { at, .. } = &mut entry.node {
            *at = path.below(&self.dir);
        }
        Ok(entry)
    }

    fn place_file(
        &mut self,
        path: &TreePath,
        size: u64,
        mode: u32,
        content: &mut dyn Read,
    ) -> Result<Node, UnpackError> {
        if size > self.limits.file_size {
            return Err(UnpackError::FileTooLarge { path: path.clone(), size, limit: self.limits.file_size });
        }
        self.total = self.total.saturating_add(size);
        if self.total > self.limits.total_size {
            return Err(UnpackError::ArchiveTooLarge { path: path.clone(), limit: self.limits.total_size });
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let folder = self.folder_for(path, path.parent().as_ref())?;
        clear(folder, path)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let on_disk = Mode::from_raw_mode(on_disk_mode(mode));
        let file = rustix::fs::openat(folder, path.file_name(), flags, on_disk).map_err(at(path))?;
        let mut writer = DigestWriter::new(std::fs::File::from(file));
        let copied = copy_exactly(content, &mut writer, size, &mut buffer);
        self.buffer = buffer;
        let found = copied.map_err(|source| UnpackError::Io { path: path.clone(), source })?;
        if found != Some(size) {
            return Err(UnpackError::WrongSize { path: path.clone(), expected: size, found });
        }
        let (digest, size, file) = writer.finish();
        // Not left to the umask.
        rustix::fs::fchmod(&file, on_disk).map_err(at(path))?;
        Ok(Node::File { digest, size, at: path.below(&self.dir) })
    }

    /// The open folder that holds `path`.
    fn folder_for(&mut self, path: &TreePath, parent: Option<&TreePath>) -> Result<&OwnedFd, UnpackError> {
        let Some(parent) = parent else { return Ok(&self.root) };
        if !matches!(&self.open_folder, Some((open, _)) if open == parent) {
            let folder = open_folders(&self.root, Some(parent), path)?;
            self.open_folder = Some((parent.clone(), folder));
        }
        Ok(self.open_folder.as_ref().map_or(&self.root, |(_, folder)| folder))
    }
}

const ON_DISK_FOLDER: Mode = Mode::from_raw_mode(0o755);

fn at(path: &TreePath) -> impl FnOnce(Errno) -> UnpackError {
    let path = path.clone();
    move |errno| UnpackError::Io { path, source: errno.into() }
}

/// Opens `folders` below `root` one by one, making what is missing; `path` is for the error.
fn open_folders(root: &OwnedFd, folders: Option<&TreePath>, path: &TreePath) -> Result<OwnedFd, UnpackError> {
    let mut open = root.try_clone().map_err(|source| UnpackError::Io { path: path.clone(), source })?;
    for name in folders.map_or("", TreePath::as_str).split('/').filter(|name| !name.is_empty()) {
        open = match open_folder(&open, name) {
            Err(Errno::NOENT) => make_folder(&open, name).and_then(|()| open_folder(&open, name)),
            result => result,
        }
        .map_err(|errno| match errno {
            Errno::NOTDIR | Errno::LOOP => UnpackError::BelowNonFolder { path: path.clone() },
            errno => at(path)(errno),
        })?;
    }
    Ok(open)
}

/// Opens one folder; a link fails with `NOTDIR` or `LOOP`.
fn open_folder(parent: impl AsFd, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

/// Makes one folder of mode 0755, whatever the umask; one that is there is fine, anything else that is there fails with
/// `NOTDIR` or `LOOP`.
fn make_folder(parent: impl AsFd, name: &str) -> Result<(), Errno> {
    match rustix::fs::mkdirat(parent.as_fd(), name, ON_DISK_FOLDER) {
        Ok(()) => rustix::fs::fchmod(open_folder(parent, name)?, ON_DISK_FOLDER),
        Err(Errno::EXIST) => open_folder(parent, name).map(drop),
        Err(errno) => Err(errno),
    }
}

/// Removes what has the name of `path`, so that nothing is ever written through it.
fn clear(folder: &OwnedFd, path: &TreePath) -> Result<(), UnpackError> {
    match rustix::fs::unlinkat(folder, path.file_name(), AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {
            match rustix::fs::unlinkat(folder, path.file_name(), AtFlags::REMOVEDIR) {
                Ok(()) => Ok(()),
                Err(Errno::NOTEMPTY | Errno::EXIST) => Err(UnpackError::Occupied { path: path.clone() }),
                Err(errno) => Err(at(path)(errno)),
            }
        }
        Err(errno) => Err(at(path)(errno)),
    }
}

/// Copies `size` bytes; `None` if there are more, less than `size` if there are fewer.
fn copy_exactly(
    from: &mut dyn Read,
    to: &mut impl Write,
    size: u64,
    buffer: &mut [u8],
) -> io::Result<Option<u64>> {
    let mut copied = 0;
    loop {
        let read = match from.read(buffer) {
            Ok(0) => return Ok(Some(copied)),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        copied += read as u64;
        if copied > size {
            return Ok(None);
        }
        to.write_all(&buffer[..read])?;
    }
}
