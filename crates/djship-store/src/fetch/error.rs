//! Why something was not downloaded. Addresses are masked: no user, password or query value is in any of these.

use std::io;
use std::path::PathBuf;

use crate::digest::Digest;
use crate::store::StoreError;

/// A download that failed.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Downloads are switched off.
    #[error("cannot fetch `{url}`: offline")]
    Offline {
        /// The address, masked.
        url: String,
    },
    /// The address is not one that can be fetched.
    #[error("cannot fetch `{url}`: {reason}")]
    Address {
        /// The address, masked.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// No connection, or none that could be trusted.
    #[error("cannot fetch `{url}`: {source}")]
    Network {
        /// The address, masked.
        url: String,
        /// What happened last.
        source: Box<ureq::Error>,
    },
    /// The server answered with something other than the content.
    #[error("cannot fetch `{url}`: the server answered with status {status}")]
    Status {
        /// The address, masked.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// The connection broke while the content came.
    #[error("cannot fetch `{url}`: the connection broke: {source}")]
    Body {
        /// The address, masked.
        url: String,
        /// How it broke.
        source: io::Error,
    },
    /// More came than was allowed.
    #[error("cannot fetch `{url}`: the content is larger than {limit} bytes")]
    TooLarge {
        /// The address, masked.
        url: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// Less came than was promised.
    #[error("cannot fetch `{url}`: {found} bytes came instead of {expected}")]
    WrongSize {
        /// The address, masked.
        url: String,
        /// The promised length in bytes.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// Something else came.
    #[error("cannot fetch `{url}`: the content has the digest {found} instead of {expected}")]
    WrongDigest {
        /// The address, masked.
        url: String,
        /// The promised digest.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// The content cannot be written here.
    #[error("cannot fetch `{url}`: cannot write the content: {source}")]
    Write {
        /// The address, masked.
        url: String,
        /// Why.
        source: io::Error,
    },
    /// The store cannot take the content.
    #[error("cannot fetch `{url}`: {source}")]
    Store {
        /// The address, masked.
        url: String,
        /// Why.
        source: StoreError,
    },
    /// A proxy's address is not one.
    #[error("cannot use the proxy `{proxy}`: it is no URL of a proxy")]
    Proxy {
        /// The proxy's address, masked.
        proxy: String,
    },
    /// The file of certificates cannot be read.
    #[error("cannot read the certificates in `{}`: {source}", path.display())]
    CertificateFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file of certificates holds none.
    #[error("cannot read the certificates in `{}`: there are none in PEM form", path.display())]
    NoCertificates {
        /// The file.
        path: PathBuf,
    },
}
