//! The store's buckets. A bucket is a folder whose name carries the version of what is in it: when the form of its
//! content changes, the number does, and the old folder is never read again.
//!
//! ```text
//! <store>/
//!   blobs-v1/ab/ab12..          files named by the SHA-256 of their content: downloads, generated files
//!   packages-v1/<hex>/          an unpacked package (`fs/`, `tree.json`), by the digest of its archive
//!   roots-v1/<hex>/             a whole root file system (`fs/`, `tree.json`)
//!   layers-v1/<hex>/            one image layer laid out (`fs/`, `tree.json`)
//!   outputs-v1/<hex>/           what one step of a build made
//!   images-v1/                  image records, and the names that point at them
//!   indexes-v1/ab/ab12..        parsed package indexes
//!   bytecode-v1/ab/ab12..       compiled Python files, by source and interpreter
//!   facts-v1/ab/ab12..          answers that took a process to find, by everything they depend on
//!   tmp/  locks/  unsettled/    work in progress, locks between processes, see `durable`
//!   users/  sweep.lock          who has the store open, and who may sweep it: see `marks`
//! ```

/// One kind of thing that the store keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bucket {
    /// Files by the digest of their content.
    Blobs,
    /// Unpacked packages.
    Packages,
    /// Whole root file systems.
    Roots,
    /// Image layers, laid out.
    Layers,
    /// What steps of a build made.
    Outputs,
    /// Image records and names.
    Images,
    /// Parsed package indexes.
    Indexes,
    /// Compiled Python files.
    Bytecode,
    /// Answers that took a process to find.
    Facts,
}

impl Bucket {
    /// Every bucket.
    pub const ALL: [Self; 9] = [
        Self::Blobs,
        Self::Packages,
        Self::Roots,
        Self::Layers,
        Self::Outputs,
        Self::Images,
        Self::Indexes,
        Self::Bytecode,
        Self::Facts,
    ];

    /// The name of the folder directly below the store's root.
    pub fn dir_name(self) -> &'static str {
        match self {
            Self::Blobs => "blobs-v1",
            Self::Packages => "packages-v1",
            Self::Roots => "roots-v1",
            Self::Layers => "layers-v1",
            Self::Outputs => "outputs-v1",
            Self::Images => "images-v1",
            Self::Indexes => "indexes-v1",
            Self::Bytecode => "bytecode-v1",
            Self::Facts => "facts-v1",
        }
    }

    /// The bucket with this folder.
    pub(crate) fn named(dir_name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|bucket| bucket.dir_name() == dir_name)
    }

    /// Whether entries are spread over 256 folders by the first two digits of their key: so it is for files, of
    /// which there are many.
    pub(crate) fn is_sharded(self) -> bool {
        matches!(self, Self::Blobs | Self::Indexes | Self::Bytecode | Self::Facts)
    }
}
