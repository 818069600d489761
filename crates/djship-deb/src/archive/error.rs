//! Why an archive cannot be used.

use std::io;
use std::path::PathBuf;

use djship_store::fetch::FetchError;
use djship_store::{Digest, StoreError};

use crate::in_release::InReleaseError;
use crate::index::{MalformedPart, ParseIndexError};
use crate::keyring::SignatureError;
use crate::release::{Arch, Codename};

/// An archive that cannot be used. Addresses are shown without credentials.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// There is no mirror to ask.
    #[error("cannot read the suite `{suite}`: no mirror is known")]
    NoMirror {
        /// The suite's folder.
        suite: String,
    },
    /// A file was not fetched.
    #[error("cannot read the suite `{suite}`: {source}")]
    Fetch {
        /// The suite's folder.
        suite: String,
        /// Why; names the address.
        source: FetchError,
    },
    /// The list is not UTF-8.
    #[error("cannot trust `{url}`: it is not UTF-8")]
    NotUtf8 {
        /// The list.
        url: String,
    },
    /// The list is not signed as it should be.
    #[error("cannot trust `{url}`: {source}")]
    Signature {
        /// The list.
        url: String,
        /// Why.
        source: SignatureError,
    },
    /// The list is signed, and is not the one that was asked for.
    #[error("cannot use `{url}`: {source}")]
    InRelease {
        /// The list.
        url: String,
        /// Why.
        source: InReleaseError,
    },
    /// The list is older than one that was seen before.
    #[error("cannot use `{url}`: it was made {} seconds before one seen earlier", seen - date)]
    OlderThanSeen {
        /// The list.
        url: String,
        /// Its date, in seconds since 1970.
        date: u64,
        /// The date seen earlier.
        seen: u64,
    },
    /// The list's time is over.
    #[error("cannot use the list of `{suite}`: it was valid until {} seconds ago", now - valid_until)]
    Expired {
        /// The suite's folder.
        suite: String,
        /// When it ended, in seconds since 1970.
        valid_until: u64,
        /// The time now.
        now: u64,
    },
    /// An index is not the one that the list promises.
    #[error(
        "cannot use `{url}`: {found} in {found_size} bytes came, and {expected} in {size} bytes is signed"
    )]
    WrongHash {
        /// The index.
        url: String,
        /// The signed digest.
        expected: Digest,
        /// The signed size in bytes.
        size: u64,
        /// What came.
        found: Digest,
        /// Its size in bytes.
        found_size: u64,
    },
    /// An index decompresses to another size than the list promises.
    #[error("cannot use `{url}`: it does not decompress to the {size} bytes that are signed")]
    WrongUnpackedSize {
        /// The index.
        url: String,
        /// The signed size in bytes.
        size: u64,
    },
    /// An index cannot be decompressed.
    #[error("cannot decompress `{url}`: {source}")]
    Decompress {
        /// The index.
        url: String,
        /// Why.
        source: io::Error,
    },
    /// An index makes no sense.
    #[error("cannot use `{url}`: {source}")]
    Index {
        /// The index.
        url: String,
        /// Why.
        source: ParseIndexError,
    },
    /// Offline, and the archive was never asked (or what it said is gone).
    #[error("cannot read the packages of {codename} for {arch}: offline, and they are not in the store")]
    NotKnown {
        /// The release.
        codename: Codename,
        /// The architecture.
        arch: Arch,
    },
    /// A file of the store cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of the store cannot be written.
    #[error("cannot write `{}`: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A cached index is damaged.
    #[error("cannot read `{}`: {source}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        source: MalformedPart,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ArchiveError {
    /// Whether this only says that nobody answered.
    pub fn is_unreached(&self) -> bool {
        match self {
            Self::Fetch { source, .. } => match source {
                FetchError::Offline { .. } | FetchError::Network { .. } | FetchError::Body { .. } => true,
                FetchError::Status { status, .. } => {
                    *status >= 500 || matches!(status, 407 | 408 | 429 | 511)
                }
                _ => false,
            },
            _ => false,
        }
    }
}
