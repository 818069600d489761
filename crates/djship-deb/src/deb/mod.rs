//! Binary packages: the archive format, and one package unpacked into the store.

mod ar;
mod error;
mod fetch;
mod record;
mod skip;
mod unpack;

pub use error::{DebError, FetchPackagesError};
pub use fetch::{fetch_packages, missing_bytes};
pub use record::{PackageRecord, UnpackedPackage};
