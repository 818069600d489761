//! The files that ship, copied before anything looks at them: an editor that saves during a build changes nothing
//! half-way.
//!
//! The copies are blobs in the store. A file whose size, times and inode are those of the last build is not read again.

mod known;

use std::io::{self, Seek as _, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use djship_store::{Bucket, Digest, Entry, FileTree, Node, Store, StoreError, TreePath};

use crate::project::config;
use crate::project::selection::{Include, LeftOut, Selected, Selection, SelectionError};
use known::Known;
use rustix::fs::{Mode, OFlags, ResolveFlags};

use crate::stamp::{self, Stamp};

/// The project's files at one moment, as blobs of the store.
#[derive(Debug)]
pub struct Snapshot {
    /// The files, relative to the project: root's, 0644 or 0755.
    pub tree: FileTree,
    /// What stayed behind, and why.
    pub left_out: Vec<(TreePath, LeftOut)>,
    /// Everything that a later build must find as it is, to find the same: files and folders, absolute.
    pub looked_at: Vec<PathBuf>,
    /// When the files were looked at, in nanoseconds since 1970.
    pub time: i128,
}

/// A project that cannot be copied.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The files cannot be selected.
    #[error(transparent)]
    Selection(#[from] SelectionError),
    /// There is no room for the copy.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file cannot be copied.
    #[error("cannot copy `{path}`")]
    Copy {
        /// The path in the project.
        path: TreePath,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Snapshot {
    /// Copies what ships of the project in `folder`, `include` whatever other rules say.
    pub fn take(folder: &Path, store: &Store, include: &Include) -> Result<Self, SnapshotError> {
        let time = stamp::now();
        let selection = Selection::of(folder, include)?;
        let mut known = Known::load(folder, store);
        let top = rustix::fs::open(folder, OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
            .map_err(|error| StoreError::Io {
                verb: "open",
                path: folder.to_owned(),
                source: error.into(),
            })?;
        let mut tree = FileTree::new();
        let mut looked_at = selection.folders;
        for file in selection.files {
            looked_at.push(file.source.clone());
            let mut entry = entry(&top, &file, store, &mut known)?;
            if file.path.as_str() == "pyproject.toml" {
                entry = without_build_values(entry, store)?;
            }
            tree.insert(file.path, entry);
        }
        tree.fill_parents();
        known.save().map_err(|source| StoreError::Io {
            verb: "remember",
            path: folder.to_owned(),
            source,
        })?;
        Ok(Self { tree, left_out: selection.left_out, looked_at, time })
    }

    /// The folders at the top that hold more than `limit` bytes, with the bytes.
    pub fn large_folders(&self, limit: u64) -> Vec<(String, u64)> {
        let mut sizes = std::collections::BTreeMap::new();
        for (path, entry) in self.tree.iter() {
            if let (Node::File { size, .. }, Some((top, _))) = (&entry.node, path.as_str().split_once('/')) {
                *sizes.entry(top.to_owned()).or_insert(0) += size;
            }
        }
        sizes.into_iter().filter(|(_, size)| *size > limit).collect()
    }

    /// A copy of the files, for programs that may write to it, in `target` (which must not exist), owned by `owner`.
    pub fn copy_to(&self, target: &Path, owner: Option<(u32, u32)>) -> Result<(), SnapshotError> {
        copy_tree(&self.tree, target, owner)
    }
}

/// A copy of files, for programs that may write to it, in `target` (which must not exist), owned by `owner`.
pub(crate) fn copy_tree(
    tree: &FileTree,
    target: &Path,
    owner: Option<(u32, u32)>,
) -> Result<(), SnapshotError> {
    let own = |path: &Path| -> io::Result<()> {
        match owner {
            Some((uid, gid)) => fs_err::os::unix::fs::lchown(path, Some(uid), Some(gid)),
            None => Ok(()),
        }
    };
    let top = |source| StoreError::Io { verb: "make", path: target.to_owned(), source };
    fs_err::create_dir_all(target).and_then(|()| own(target)).map_err(top)?;
    for (path, entry) in tree.iter() {
        let to = path.below(target);
        let made = match &entry.node {
            Node::Dir => fs_err::create_dir(&to),
            Node::Symlink { target } => fs_err::os::unix::fs::symlink(target, &to),
            Node::File { at, .. } => fs_err::copy(at, &to)
                .and_then(|_| fs_err::set_permissions(&to, std::fs::Permissions::from_mode(entry.mode))),
        };
        made.and_then(|()| own(&to)).map_err(|source| SnapshotError::Copy { path: path.clone(), source })?;
    }
    Ok(())
}

/// `pyproject.toml` as it ships.
fn without_build_values(entry: Entry, store: &Store) -> Result<Entry, StoreError> {
    let Node::File { at, .. } = &entry.node else { return Ok(entry) };
    let shipped = fs_err::read_to_string(at).ok().and_then(|text| config::without_build_values(&text));
    let Some(text) = shipped else { return Ok(entry) };
    let (digest, at) = store.put_blob(text.as_bytes())?;
    Ok(Entry::file(digest, text.len() as u64, at).with_mode(entry.mode))
}

/// The entry of a file, with its bytes in the store.
///
/// The file is opened once, below the project's folder and through no link: when root builds a user's project, that user
/// may swap a file or a folder for a link to something of root's at any moment.
fn entry(top: &OwnedFd, file: &Selected, store: &Store, known: &mut Known) -> Result<Entry, SnapshotError> {
    let failed = |source| SnapshotError::Copy { path: file.path.clone(), source };
    let metadata = fs_err::symlink_metadata(&file.source).map_err(failed)?;
    if metadata.is_symlink() {
        let target = fs_err::read_link(&file.source).map_err(failed)?;
        let text =
            target.to_str().ok_or_else(|| failed(io::Error::other("the link's target is not UTF-8")))?;
        return Ok(Entry::symlink(text));
    }
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let open = rustix::fs::openat2(top, file.path.as_str(), flags, Mode::empty(), resolve);
    let mut open = std::fs::File::from(open.map_err(|error| failed(error.into()))?);
    let metadata = open.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(failed(io::Error::other("it is no regular file any more")));
    }
    let mode = if metadata.mode() & 0o111 == 0 { 0o644 } else { 0o755 };
    let stamp = Stamp::of(&metadata);
    if let Some(digest) = known.digest(&file.path, &stamp)
        && let Some(at) = store.find(Bucket::Blobs, &digest)
    {
        return Ok(Entry::file(digest, metadata.size(), at).with_mode(mode));
    }
    let (digest, size) = Digest::of_reader(&mut open).map_err(failed)?;
    // Read once more for the copy: if it changed in between, the digest says so.
    let at = store.insert_blob(&digest, size, |writer| -> Result<(), SnapshotError> {
        open.seek(SeekFrom::Start(0)).and_then(|_| io::copy(&mut open, writer)).map_err(failed)?;
        Ok(())
    })?;
    known.remember(&file.path, stamp, digest);
    Ok(Entry::file(digest, size, at).with_mode(mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_two_and_links_stay_links() {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("project");
        fs_err::create_dir_all(project.join("site")).unwrap();
        fs_err::write(project.join("manage.py"), "x").unwrap();
        fs_err::set_permissions(project.join("manage.py"), std::fs::Permissions::from_mode(0o700)).unwrap();
        fs_err::write(project.join("site/a.py"), "y").unwrap();
        fs_err::set_permissions(project.join("site/a.py"), std::fs::Permissions::from_mode(0o600)).unwrap();
        fs_err::os::unix::fs::symlink("site/a.py", project.join("link")).unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let snapshot = Snapshot::take(&project, &store, &Include::default()).unwrap();
        assert_eq!(snapshot.tree.get("manage.py").unwrap().mode, 0o755);
        assert_eq!(snapshot.tree.get("site/a.py").unwrap().mode, 0o644);
        assert_eq!(snapshot.tree.get("link"), Some(&Entry::symlink("site/a.py")));
        let copy = folder.path().join("copy");
        snapshot.copy_to(&copy, None).unwrap();
        assert_eq!(fs_err::read_to_string(copy.join("link")).unwrap(), "y");
    }

    #[test]
    fn a_change_is_seen_whatever_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("project");
        fs_err::create_dir_all(&project).unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let mut digests = Vec::new();
        for text in ["one", "two", "six", "ten"] {
            fs_err::write(project.join("a"), text).unwrap();
            digests.push(Snapshot::take(&project, &store, &Include::default()).unwrap().tree.digest());
            assert_eq!(
                digests.last(),
                Some(&Snapshot::take(&project, &store, &Include::default()).unwrap().tree.digest())
            );
        }
        digests.dedup();
        assert_eq!(digests.len(), 4);
    }
}
