//! Why an entry of an archive was not placed.

use std::io;
use std::path::PathBuf;

use crate::tree::TreePath;

/// An entry that was not placed.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The folder to unpack into cannot be opened.
    #[error("cannot unpack into `{}`: {source}", dir.display())]
    Folder {
        /// The folder.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The entry lies below a link or a file.
    #[error("cannot unpack `{path}`: it lies below something that is not a folder")]
    BelowNonFolder {
        /// The entry.
        path: TreePath,
    },
    /// A folder with content has the name.
    #[error("cannot unpack `{path}`: a folder that is not empty is there already")]
    Occupied {
        /// The entry.
        path: TreePath,
    },
    /// A hard link to something that is not a file placed earlier.
    #[error("cannot unpack `{path}`: it is a hard link to `{target}`, which is no file of this archive")]
    HardLink {
        /// The entry.
        path: TreePath,
        /// What it links to.
        target: TreePath,
    },
    /// A device node, pipe or socket.
    #[error("cannot unpack `{path}`: it is a {kind}")]
    Special {
        /// The entry.
        path: TreePath,
        /// What it is.
        kind: &'static str,
    },
    /// A link target that no file system holds.
    #[error("cannot unpack `{path}`: its link target is empty, too long or holds a zero byte")]
    LinkTarget {
        /// The entry.
        path: TreePath,
    },
    /// One file is too large.
    #[error("cannot unpack `{path}`: it has {size} bytes, and the limit for one file is {limit}")]
    FileTooLarge {
        /// The entry.
        path: TreePath,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// All files together are too large.
    #[error("cannot unpack `{path}`: the archive holds more than {limit} bytes")]
    ArchiveTooLarge {
        /// The entry that went over.
        path: TreePath,
        /// The limit in bytes.
        limit: u64,
    },
    /// Too many entries.
    #[error("cannot unpack `{path}`: the archive holds more than {limit} entries")]
    TooManyEntries {
        /// The entry that went over.
        path: TreePath,
        /// The limit.
        limit: usize,
    },
    /// The content has another length than the archive said.
    #[error("cannot unpack `{path}`: the archive says {expected} bytes, but {} come", found.map_or("more".to_owned(), |found| found.to_string()))]
    WrongSize {
        /// The entry.
        path: TreePath,
        /// What the archive said.
        expected: u64,
        /// What came; `None` for more.
        found: Option<u64>,
    },
    /// Reading the archive or writing the entry failed.
    #[error("cannot unpack `{path}`: {source}")]
    Io {
        /// The entry.
        path: TreePath,
        /// Why.
        source: io::Error,
    },
}
