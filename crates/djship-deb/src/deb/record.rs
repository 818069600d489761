//! What is remembered about an unpacked package beside its files.

use std::path::{Path, PathBuf};

use djship_store::{Digest, FileTree};

use crate::alternatives::Alternative;
use crate::package::Package;

/// The file of the record, beside `tree.json`.
pub(super) const RECORD: &str = "package.json";
/// The file that goes to `/var/lib/dpkg/status.d`, beside `tree.json`.
pub(super) const STATUS: &str = "status";

/// What the control part of a package said.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PackageRecord {
    /// Digest and size of the file with the control paragraph.
    pub status_digest: Digest,
    /// Its size in bytes.
    pub status_size: u64,
    /// Calls of `update-alternatives` in its `postinst`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<Alternative>,
    /// Calls that could not be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread_alternatives: Vec<String>,
    /// Files that are configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conffiles: Vec<String>,
}

/// A package whose files are in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnpackedPackage {
    /// As the index describes it.
    pub package: Package,
    /// Its files, under merged `/usr`; [`crate::deb`] leaves documentation out.
    pub tree: FileTree,
    /// Its folder in the store.
    pub folder: PathBuf,
    /// What its control part said.
    pub record: PackageRecord,
}

impl UnpackedPackage {
    /// The file with its control paragraph, and a line that says that it is installed.
    pub fn status_file(&self) -> PathBuf {
        status_file(&self.folder)
    }
}

pub(super) fn status_file(folder: &Path) -> PathBuf {
    folder.join(STATUS)
}
