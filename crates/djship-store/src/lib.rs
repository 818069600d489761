//! Bytes at rest: everything djship keeps on disk, and the one guarded way for foreign bytes to get there.
//!
//! | module | holds |
//! |---|---|
//! | [`digest`] | SHA-256 digests, and a writer that computes one on the way |
//! | [`tree`] | [`FileTree`]: a file system as data, sorted, with owner, mode, link and content digest |
//! | [`saved`], [`scan`], [`lay_out`] | a tree to `tree.json` and back, from a folder, and onto the disk |
//! | [`store`] | [`Store`]: versioned buckets filled through a temporary folder and a rename |
//! | [`lock`], [`temp`], [`durable`] | locks between processes, work in progress, what a power cut may have hurt |
//! | [`beneath`] | [`Beneath`]: a folder in somebody else's hands, worked in without being led out of it |
//! | [`marks`], [`users`], [`sweep`] | when an entry was last used, who has the store open, removing what nobody needs |
//! | [`usage`] | bytes on the disk, content with several names counted once |
//! | [`unpack`] | [`Door`](unpack::Door): entries of foreign archives, placed below one folder |
//! | [`fetch`] | [`Fetcher`](fetch::Fetcher): downloads with limits, retries and an expected digest |

pub mod atomic;
pub mod beneath;
pub mod bucket;
pub mod digest;
pub mod durable;
pub mod fetch;
pub mod lay_out;
pub mod lock;
pub mod marks;
pub mod saved;
pub mod scan;
pub mod store;
pub mod sweep;
pub mod temp;
pub mod tree;
pub mod unpack;
pub mod usage;
pub mod users;

pub use beneath::Beneath;
pub use bucket::Bucket;
pub use digest::{Digest, DigestWriter};
pub use lay_out::How;
pub use lock::Lock;
pub use store::{Store, StoreError};
pub use sweep::{Sweep, SweepError, Swept};
pub use temp::TempDir;
pub use tree::{Entry, FileTree, Node, TreePath};
pub use usage::Usage;
