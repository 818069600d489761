//! Bytes at rest: everything djship keeps on disk, and the one guarded way for foreign bytes to get there.
//!
//! | module | holds |
//! |---|---|
//! | [`digest`] | SHA-256 digests, and a writer that computes one on the way |
//! | [`tree`] | [`FileTree`]: a file system as data, sorted, with owner, mode, link and content digest |

pub mod digest;
pub mod tree;

pub use digest::{Digest, DigestWriter};
pub use tree::{Entry, FileTree, Node, TreePath};
