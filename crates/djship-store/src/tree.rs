//! A file system as data.
//!
//! Owner and mode live here and not on the disk, so that a user without root describes (and ships) the same
//! tree as root. The bytes of a file lie at [`Node::File::at`]; where that is does not belong to the tree's
//! identity.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::digest::{Digest, DigestWriter};

/// The modification time that every entry has unless something needs another:
/// 2000-01-01T00:00:00Z, in seconds since 1970 (a zip file cannot hold anything before 1980).
pub const EPOCH: i64 = 946_684_800;

/// The longest path that a tree holds, in bytes (`PATH_MAX` without the closing zero).
pub const MAX_PATH: usize = 4095;

/// A path inside a tree: relative, UTF-8, `/` between components, no `.`, `..`, empty component or zero byte.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TreePath(String);

/// A path that a tree cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreePathError {
    /// The path has a `..` component, or a zero byte.
    #[error("the path `{0}` leads out of its tree")]
    Escapes(String),
    /// The path is empty or only `/` and `.`.
    #[error("the path `{0}` names no entry")]
    Empty(String),
    /// The path is longer than [`MAX_PATH`].
    #[error("the path `{0}...` is longer than 4095 bytes")]
    TooLong(String),
}

impl TreePath {
    /// Reads a path as archives write it: a leading `/` or `./`, doubled and trailing slashes are dropped.
    pub fn parse(text: &str) -> Result<Self, TreePathError> {
        if text.len() > MAX_PATH {
            return Err(TreePathError::TooLong(text.chars().take(100).collect()));
        }
        let mut clean = String::with_capacity(text.len());
        for part in text.split('/').filter(|part| !matches!(*part, "" | ".")) {
            if part == ".." || part.contains('\0') {
                return Err(TreePathError::Escapes(text.to_owned()));
            }
            if !clean.is_empty() {
                clean.push('/');
            }
            clean.push_str(part);
        }
        if clean.is_empty() { Err(TreePathError::Empty(text.to_owned())) } else { Ok(Self(clean)) }
    }

    /// The path without a leading slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The folder that holds this entry; `None` for an entry of the root.
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('/').map(|(parent, _)| Self(parent.to_owned()))
    }

    /// The last component.
    pub fn file_name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, name)| name)
    }

    /// This path with more components after it.
    pub fn join(&self, rest: &str) -> Result<Self, TreePathError> {
        Self::parse(&format!("{}/{rest}", self.0))
    }

    /// Whether this is `folder` or lies below it.
    pub fn is_within(&self, folder: &str) -> bool {
        self.0.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Where the entry lies when the tree is laid out below `root`. Links are not followed: guard against them
    /// before writing there.
    pub fn below(&self, root: &Path) -> PathBuf {
        root.join(&self.0)
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.0)
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.0)
    }
}

impl TryFrom<String> for TreePath {
    type Error = TreePathError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<TreePath> for String {
    fn from(path: TreePath) -> Self {
        path.0
    }
}

/// One entry of a tree. Hard links are entries of their own with the same content.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Entry {
    /// What it is.
    pub node: Node,
    /// Permission bits, at most `0o7777`. Links have `0o777`.
    pub mode: u32,
    /// Numeric owner in the image.
    pub uid: u32,
    /// Numeric group in the image.
    pub gid: u32,
    /// Seconds since 1970.
    pub mtime: i64,
}

/// What an entry is. There are no device nodes, sockets or pipes in a tree.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Node {
    /// A folder.
    Dir,
    /// A regular file.
    File {
        /// Digest of the content.
        digest: Digest,
        /// Size of the content in bytes.
        size: u64,
        /// Where the bytes are on this machine. Not part of the tree's identity; a saved tree holds a path
        /// relative to the folder that it was saved with.
        at: PathBuf,
    },
    /// A symbolic link.
    Symlink {
        /// The target as it is stored, absolute targets meaning the tree's own root.
        target: String,
    },
}

impl Entry {
    /// A folder of root's with mode 0755.
    pub fn dir() -> Self {
        Self { node: Node::Dir, mode: 0o755, uid: 0, gid: 0, mtime: EPOCH }
    }

    /// A symbolic link of root's.
    pub fn symlink(target: impl Into<String>) -> Self {
        Self { node: Node::Symlink { target: target.into() }, mode: 0o777, uid: 0, gid: 0, mtime: EPOCH }
    }

    /// A file of root's with mode 0644.
    pub fn file(digest: Digest, size: u64, at: impl Into<PathBuf>) -> Self {
        Self { node: Node::File { digest, size, at: at.into() }, mode: 0o644, uid: 0, gid: 0, mtime: EPOCH }
    }

    /// The same entry with another mode.
    #[must_use]
    pub fn with_mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }

    /// The same entry with another owner.
    #[must_use]
    pub fn owned_by(self, uid: u32, gid: u32) -> Self {
        Self { uid, gid, ..self }
    }

    /// Whether this is a folder.
    pub fn is_dir(&self) -> bool {
        matches!(self.node, Node::Dir)
    }
}

/// A file system as data: entries sorted by path (byte order), parents before children.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileTree {
    entries: BTreeMap<TreePath, Entry>,
}

impl FileTree {
    /// A tree without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry, and returns the one that it replaces. Missing parents are not made; see
    /// [`FileTree::fill_parents`].
    pub fn insert(&mut self, path: TreePath, entry: Entry) -> Option<Entry> {
        self.entries.insert(path, entry)
    }

    /// The entry at `path` itself; links are not followed.
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.get(&TreePath::parse(path).ok()?)
    }

    /// Removes `path` and everything below it; returns how many entries went.
    pub fn remove(&mut self, path: &str) -> usize {
        let before = self.entries.len();
        self.entries.retain(|entry, _| !entry.is_within(path));
        before - self.entries.len()
    }

    /// Keeps the entries for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&TreePath, &Entry) -> bool) {
        self.entries.retain(|path, entry| keep(path, entry));
    }

    /// All entries in order.
    pub fn iter(&self) -> impl Iterator<Item = (&TreePath, &Entry)> {
        self.entries.iter()
    }

    /// All entries in order, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&TreePath, &mut Entry)> {
        self.entries.iter_mut()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes in regular files.
    pub fn size(&self) -> u64 {
        self.entries
            .values()
            .map(|entry| if let Node::File { size, .. } = entry.node { size } else { 0 })
            .sum()
    }

    /// What lies below the folder `prefix`, with paths relative to it. Empty if there is no such folder; links are not
    /// followed.
    #[must_use]
    pub fn subtree(&self, prefix: &str) -> Self {
        let Ok(prefix) = TreePath::parse(prefix) else { return self.clone() };
        let start = TreePath(format!("{}/", prefix.0));
        self.entries
            .range(start.clone()..)
            .map_while(|(path, entry)| {
                Some((TreePath(path.0.strip_prefix(&start.0)?.to_owned()), entry.clone()))
            })
            .collect()
    }

    /// This tree below the folder `prefix`, without the folders above it; see [`FileTree::fill_parents`].
    pub fn moved_below(self, prefix: &TreePath) -> Result<Self, TreePathError> {
        self.entries.into_iter().map(|(path, entry)| Ok((prefix.join(&path.0)?, entry))).collect()
    }

    /// Lays `other` over this tree: its entries replace those of the same path. A folder over a folder keeps what
    /// is below; anything else over a folder removes what was below.
    pub fn overlay(&mut self, other: FileTree) {
        for (path, entry) in other.entries {
            if !entry.is_dir() && self.entries.get(&path).is_some_and(Entry::is_dir) {
                self.remove(path.as_str());
            }
            self.entries.insert(path, entry);
        }
    }

    /// Makes every missing parent folder (root's, 0755).
    pub fn fill_parents(&mut self) {
        let mut missing = Vec::new();
        for path in self.entries.keys() {
            let mut parent = path.parent();
            while let Some(path) = parent {
                if self.entries.contains_key(&path) {
                    break;
                }
                parent = path.parent();
                missing.push(path);
            }
        }
        for path in missing {
            self.entries.entry(path).or_insert_with(Entry::dir);
        }
    }

    /// The digest of everything that ships: paths, kinds, modes, owners, times, link targets and content digests.
    pub fn digest(&self) -> Digest {
        use std::io::Write as _;
        let mut writer = DigestWriter::new(std::io::sink());
        for (path, entry) in &self.entries {
            let (kind, content) = match &entry.node {
                Node::Dir => ('d', String::new()),
                Node::File { digest, .. } => ('f', digest.hex()),
                Node::Symlink { target } => ('l', target.clone()),
            };
            // Zero bytes cannot occur in paths or targets, so the fields cannot run into each other.
            let Entry { mode, uid, gid, mtime, .. } = entry;
            let line = format!("{}\0{kind}\0{content}\0{mode:o}\0{uid}\0{gid}\0{mtime}\0\n", path.as_str());
            // The sink takes everything.
            let _ = writer.write_all(line.as_bytes());
        }
        writer.finish().0
    }
}

impl FromIterator<(TreePath, Entry)> for FileTree {
    fn from_iter<I: IntoIterator<Item = (TreePath, Entry)>>(entries: I) -> Self {
        Self { entries: entries.into_iter().collect() }
    }
}

impl IntoIterator for FileTree {
    type Item = (TreePath, Entry);
    type IntoIter = std::collections::btree_map::IntoIter<TreePath, Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).unwrap()
    }

    #[test]
    fn paths_are_cleaned_and_guarded() {
        assert_eq!(path("./usr//bin/").as_str(), "usr/bin");
        assert_eq!(path("/etc/hosts").file_name(), "hosts");
        assert!(matches!(TreePath::parse("a/../b"), Err(TreePathError::Escapes(_))));
        assert!(matches!(TreePath::parse("a\0b"), Err(TreePathError::Escapes(_))));
        assert!(matches!(TreePath::parse("./"), Err(TreePathError::Empty(_))));
        assert!(path("usr/lib").is_within("usr"));
        assert!(!path("usrlocal").is_within("usr"));
    }

    #[test]
    fn digest_ignores_where_the_bytes_lie_and_nothing_else() {
        let tree = |mode, at: &str| -> FileTree {
            [(path("a"), Entry::file(Digest::of(b"x"), 1, at).with_mode(mode))].into_iter().collect()
        };
        assert_eq!(tree(0o644, "/one").digest(), tree(0o644, "/two").digest());
        assert_ne!(tree(0o644, "/one").digest(), tree(0o755, "/one").digest());
    }

    #[test]
    fn a_file_over_a_folder_removes_what_was_below() {
        let mut lower: FileTree =
            [(path("a"), Entry::dir()), (path("a/b"), Entry::dir()), (path("c"), Entry::dir())]
                .into_iter()
                .collect();
        lower.overlay([(path("a"), Entry::symlink("c"))].into_iter().collect());
        assert_eq!(lower.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["a", "c"]);
        lower.insert(path("x/y/z"), Entry::symlink("w"));
        lower.fill_parents();
        assert!(lower.get("x/y").is_some_and(Entry::is_dir));
    }
}
