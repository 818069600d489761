//! Why a package cannot be fetched or unpacked.

use std::io;
use std::path::PathBuf;

use djship_store::fetch::FetchError;
use djship_store::saved::{LoadError, SaveError};
use djship_store::unpack::UnpackError;
use djship_store::{Digest, StoreError, tree::TreePathError};

/// A `.deb` that cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum DebError {
    /// A member of the archive is missing, cut off, or compressed in an unknown way.
    #[error("it has no proper `{member}`")]
    Member {
        /// The member's name, or the beginning of it.
        member: &'static str,
    },
    /// A part of it cannot be read.
    #[error("cannot read its `{member}`: {source}")]
    Read {
        /// The member's name, or the beginning of it.
        member: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A file of the control part is missing, too large or not UTF-8.
    #[error("it has no proper `{file}`")]
    Control {
        /// The file.
        file: &'static str,
    },
    /// The control file speaks about another package.
    #[error("its `{field}` is `{found}`, and the index says `{expected}`")]
    OtherPackage {
        /// The field.
        field: &'static str,
        /// What the control file says.
        found: String,
        /// What the signed index says.
        expected: String,
    },
    /// An entry has a path that a tree cannot hold.
    #[error(transparent)]
    Path(#[from] TreePathError),
    /// An entry's name or link target is not UTF-8.
    #[error("the {what} of `{path}` is not UTF-8")]
    NotUtf8 {
        /// `name` or `link target`.
        what: &'static str,
        /// As much of it as can be shown.
        path: String,
    },
    /// An entry was refused.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// The tree cannot be written.
    #[error(transparent)]
    Save(#[from] SaveError),
    /// The record cannot be written.
    #[error("cannot write `{}`: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Packages that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchPackagesError {
    /// A package was not downloaded.
    #[error("cannot fetch the package `{package}`: {source}")]
    Fetch {
        /// Name and version.
        package: String,
        /// Why; names the address.
        source: FetchError,
    },
    /// There is no mirror to ask.
    #[error("cannot fetch the package `{package}`: no mirror is known")]
    NoMirror {
        /// Name and version.
        package: String,
    },
    /// What was downloaded is not what the signed index promises.
    #[error(
        "cannot use the package `{package}`: {found} in {found_size} bytes came, and {expected} in {size} bytes is signed"
    )]
    WrongHash {
        /// Name and version.
        package: String,
        /// The signed digest.
        expected: Digest,
        /// The signed size in bytes.
        size: u64,
        /// What came.
        found: Digest,
        /// Its size in bytes.
        found_size: u64,
    },
    /// A package is larger than is sensible.
    #[error("cannot use the package `{package}`: {size} bytes are more than the limit of {limit}")]
    TooLarge {
        /// Name and version.
        package: String,
        /// The signed size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A package cannot be unpacked.
    #[error("cannot unpack the package `{package}`: {source}")]
    Unpack {
        /// Name and version.
        package: String,
        /// Why.
        source: DebError,
    },
    /// An unpacked package in the store cannot be read.
    #[error("cannot read the unpacked package `{package}`: {source}")]
    Load {
        /// Name and version.
        package: String,
        /// Why.
        source: LoadError,
    },
    /// The record of an unpacked package in the store cannot be read.
    #[error("cannot read the unpacked package `{package}`: `{}`: {source}", path.display())]
    Record {
        /// Name and version.
        package: String,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
