//! The application: a snapshot of the project's files, and the layer that is made of it.

pub mod commands;
pub mod layer;
pub mod serving;
mod snapshot;
pub mod statics;

pub(crate) use snapshot::copy_tree;
pub use snapshot::{Snapshot, SnapshotError};
