//! A tree in a file: `tree.json` beside the folder `fs` that holds the bytes.
//!
//! One entry per line, sorted, with everything left out that has its usual value, so that two of them compare well and
//! read fast. Where the bytes lie is written relative to `fs`, and only if it is not the entry's own path.

use std::borrow::Cow;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::atomic;
use crate::digest::Digest;
use crate::tree::{EPOCH, Entry, FileTree, Node, TreePath};

/// The folder of the bytes, beside `tree.json`.
pub const BYTES: &str = "fs";
/// The file with the entries.
pub const ENTRIES: &str = "tree.json";

/// The largest `tree.json` that is read, in bytes.
const LIMIT: u64 = 512 * 1024 * 1024;

/// A tree that cannot be saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The bytes of an entry lie elsewhere on the machine.
    #[error("cannot save the tree in `{}`: the bytes of `{path}` lie outside, at `{}`", folder.display(), at.display())]
    Outside {
        /// The folder of the tree.
        folder: PathBuf,
        /// The entry.
        path: TreePath,
        /// Where its bytes are.
        at: PathBuf,
    },
    /// A path on the machine is not UTF-8.
    #[error("cannot save the tree in `{}`: `{}` is not UTF-8", folder.display(), at.display())]
    NotUtf8 {
        /// The folder of the tree.
        folder: PathBuf,
        /// Where the bytes of an entry are.
        at: PathBuf,
    },
    /// The file cannot be written.
    #[error("cannot save the tree in `{}`: {source}", folder.display())]
    Io {
        /// The folder of the tree.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A saved tree that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot load the tree in `{}`: {source}", folder.display())]
    Io {
        /// The folder of the tree.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not a saved tree.
    #[error("cannot load the tree in `{}`: {source}", folder.display())]
    Malformed {
        /// The folder of the tree.
        folder: PathBuf,
        /// What is wrong where.
        source: serde_json::Error,
    },
    /// An entry says that its bytes lie outside the tree's folder.
    #[error("cannot load the tree in `{}`: the bytes of `{path}` would lie outside, at `{}`", folder.display(), at.display())]
    Outside {
        /// The folder of the tree.
        folder: PathBuf,
        /// The entry.
        path: TreePath,
        /// The path as it was found.
        at: PathBuf,
    },
}

/// One line of the file: a link if it has a target, a file if it has a digest, else a folder.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'tree> {
    #[serde(borrow)]
    path: Cow<'tree, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    target: Option<Cow<'tree, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
    #[serde(default, skip_serializing_if = "is_zero")]
    size: u64,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    at: Option<Cow<'tree, str>>,
    /// Octal, because that is how everybody reads it.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    mode: Option<Cow<'tree, str>>,
    #[serde(default, skip_serializing_if = "is_zero")]
    uid: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    gid: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mtime: Option<i64>,
}

fn is_zero<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}

/// The mode that is not written down.
fn usual_mode(node: &Node) -> u32 {
    match node {
        Node::Dir => 0o755,
        Node::File { .. } => 0o644,
        Node::Symlink { .. } => 0o777,
    }
}

impl FileTree {
    /// Writes `folder/tree.json`. The bytes of every file must lie below `folder/fs`.
    pub fn save(&self, folder: &Path) -> Result<(), SaveError> {
        let bytes = folder.join(BYTES);
        let mut text = Vec::with_capacity(160 * self.len() + 16);
        text.extend_from_slice(b"[\n");
        let mut first = true;
        for (path, entry) in self.iter() {
            if !std::mem::take(&mut first) {
                text.extend_from_slice(b",\n");
            }
            let line = Line::of(path, entry, folder, &bytes)?;
            // A vector takes everything, and a line holds nothing that JSON cannot.
            serde_json::to_writer(&mut text, &line)
                .map_err(|source| SaveError::Io { folder: folder.to_owned(), source: source.into() })?;
        }
        text.extend_from_slice(b"\n]\n");
        atomic::write_quickly(&folder.join(ENTRIES), &text)
            .map_err(|source| SaveError::Io { folder: folder.to_owned(), source })
    }

    /// Reads `folder/tree.json`; the bytes of the files are where they are now.
    pub fn load(folder: &Path) -> Result<Self, LoadError> {
        let text = read_limited(&folder.join(ENTRIES))
            .map_err(|source| LoadError::Io { folder: folder.to_owned(), source })?;
        let malformed = |source| LoadError::Malformed { folder: folder.to_owned(), source };
        let lines: Vec<Line<'_>> = serde_json::from_slice(&text).map_err(malformed)?;
        let bytes = folder.join(BYTES);
        let mut tree = FileTree::new();
        for line in lines {
            let (path, entry) = line.read(folder, &bytes)?;
            tree.insert(path, entry);
        }
        Ok(tree)
    }
}

impl<'tree> Line<'tree> {
    fn of(
        path: &'tree TreePath,
        entry: &'tree Entry,
        folder: &Path,
        bytes: &Path,
    ) -> Result<Self, SaveError> {
        let mut line = Self {
            path: path.as_str().into(),
            target: None,
            digest: None,
            size: 0,
            at: None,
            mode: (entry.mode != usual_mode(&entry.node)).then(|| format!("{:o}", entry.mode).into()),
            uid: entry.uid,
            gid: entry.gid,
            mtime: (entry.mtime != EPOCH).then_some(entry.mtime),
        };
        match &entry.node {
            Node::Dir => {}
            Node::Symlink { target } => line.target = Some(target.into()),
            Node::File { digest, size, at } => {
                line.digest = Some(*digest);
                line.size = *size;
                let Some(relative) = at.strip_prefix(bytes).ok().filter(|relative| stays_inside(relative))
                else {
                    return Err(SaveError::Outside {
                        folder: folder.to_owned(),
                        path: path.clone(),
                        at: at.clone(),
                    });
                };
                if relative != Path::new(path.as_str()) {
                    let text = relative
                        .to_str()
                        .ok_or_else(|| SaveError::NotUtf8 { folder: folder.to_owned(), at: at.clone() })?;
                    line.at = Some(text.to_owned().into());
                }
            }
        }
        Ok(line)
    }

    fn read(self, folder: &Path, bytes: &Path) -> Result<(TreePath, Entry), LoadError> {
        let malformed = |text: String| LoadError::Malformed {
            folder: folder.to_owned(),
            source: <serde_json::Error as serde::de::Error>::custom(text),
        };
        let path = TreePath::parse(&self.path).map_err(|error| malformed(error.to_string()))?;
        let node = match (self.target, self.digest) {
            (Some(target), None) => Node::Symlink { target: target.into_owned() },
            (None, None) => Node::Dir,
            (None, Some(digest)) => {
                let relative = Path::new(self.at.as_deref().unwrap_or(path.as_str()));
                if !stays_inside(relative) {
                    let at = relative.to_owned();
                    return Err(LoadError::Outside { folder: folder.to_owned(), path, at });
                }
                Node::File { digest, size: self.size, at: bytes.join(relative) }
            }
            (Some(_), Some(_)) => return Err(malformed(format!("`{path}` is both a link and a file"))),
        };
        let mode = match self.mode {
            None => usual_mode(&node),
            Some(text) => u32::from_str_radix(&text, 8)
                .ok()
                .filter(|mode| *mode <= 0o7777)
                .ok_or_else(|| malformed(format!("`{path}` has the mode `{text}`")))?,
        };
        let entry = Entry { node, mode, uid: self.uid, gid: self.gid, mtime: self.mtime.unwrap_or(EPOCH) };
        Ok((path, entry))
    }
}

fn stays_inside(relative: &Path) -> bool {
    relative.components().all(|component| matches!(component, Component::Normal(_)))
        && relative.components().next().is_some()
}

fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut text = Vec::new();
    fs_err::File::open(path)?.take(LIMIT + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LIMIT { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(text) }
}
