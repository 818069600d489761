//! The files that ship, copied before anything looks at them: an editor that saves during a build changes nothing
//! half-way.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use djship_store::{Digest, Entry, FileTree, Store, StoreError, TempDir, TreePath};

use crate::project::selection::{LeftOut, Selection, SelectionError};

/// The project's files at one moment, in a folder of ours.
#[derive(Debug)]
pub struct Snapshot {
    /// The files, relative to the project: root's, 0644 or 0755.
    pub tree: FileTree,
    /// What stayed behind, and why.
    pub left_out: Vec<(TreePath, LeftOut)>,
    folder: TempDir,
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
    /// Copies what ships of the project in `folder`.
    pub fn take(folder: &Path, store: &Store) -> Result<Self, SnapshotError> {
        let selection = Selection::of(folder)?;
        let copy = store.temp_dir("snapshot")?;
        let mut tree = FileTree::new();
        for file in &selection.files {
            let entry = copy_file(&file.source, &file.path.below(copy.path()))
                .map_err(|source| SnapshotError::Copy { path: file.path.clone(), source })?;
            tree.insert(file.path.clone(), entry);
        }
        tree.fill_parents();
        Ok(Self { tree, left_out: selection.left_out, folder: copy })
    }

    /// Where the copy is.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Another copy, for programs that may write to it, in `target` (which must not exist), owned by `owner`.
    pub fn copy_to(&self, target: &Path, owner: Option<(u32, u32)>) -> Result<(), SnapshotError> {
        let failed = |path: &TreePath| {
            let path = path.clone();
            move |source| SnapshotError::Copy { path, source }
        };
        let own = |path: &Path| -> io::Result<()> {
            match owner {
                Some((uid, gid)) => fs_err::os::unix::fs::lchown(path, Some(uid), Some(gid)),
                None => Ok(()),
            }
        };
        let top =
            |source| SnapshotError::Store(StoreError::Io { verb: "make", path: target.to_owned(), source });
        fs_err::create_dir_all(target).and_then(|()| own(target)).map_err(top)?;
        for (path, entry) in self.tree.iter() {
            let (from, to) = (path.below(self.folder.path()), path.below(target));
            let made = if entry.is_dir() { fs_err::create_dir(&to) } else { copy_file(&from, &to).map(drop) };
            made.and_then(|()| own(&to)).map_err(failed(path))?;
        }
        Ok(())
    }
}

fn copy_file(from: &PathBuf, to: &Path) -> io::Result<Entry> {
    if let Some(parent) = to.parent() {
        fs_err::create_dir_all(parent)?;
    }
    let metadata = fs_err::symlink_metadata(from)?;
    if metadata.is_symlink() {
        let target = fs_err::read_link(from)?;
        let text = target.to_str().ok_or_else(|| io::Error::other("the link's target is not UTF-8"))?;
        fs_err::os::unix::fs::symlink(&target, to)?;
        return Ok(Entry::symlink(text));
    }
    let mode = if metadata.permissions().mode() & 0o111 == 0 { 0o644 } else { 0o755 };
    fs_err::copy(from, to)?;
    fs_err::set_permissions(to, std::fs::Permissions::from_mode(mode))?;
    let (digest, size) = Digest::of_reader(fs_err::File::open(to)?)?;
    Ok(Entry::file(digest, size, to).with_mode(mode))
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
        let snapshot = Snapshot::take(&project, &store).unwrap();
        assert_eq!(snapshot.tree.get("manage.py").unwrap().mode, 0o755);
        assert_eq!(snapshot.tree.get("site/a.py").unwrap().mode, 0o644);
        assert_eq!(snapshot.tree.get("link"), Some(&Entry::symlink("site/a.py")));
        let copy = folder.path().join("copy");
        snapshot.copy_to(&copy, None).unwrap();
        assert_eq!(fs_err::read_to_string(copy.join("link")).unwrap(), "y");
    }
}
