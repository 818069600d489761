//! Root file systems from Debian's signed packages, without running a maintainer script.
//!
//! ```text
//! sources -> archive -> index -> closure -> deb -> root
//! mirrors    signed     all      packages   in the  a tree
//!            lists      packages wanted     store
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`release`], [`package`], [`version`], [`depends`], [`control`] | names, versions, dependencies and paragraphs, read |
//! | [`sources`] | mirrors: given, the host's own, built in |
//! | [`keyring`], [`in_release`] | who may sign, and what is signed |
//! | [`archive`] | the three suites of a release, fetched and checked |
//! | [`index`], [`closure`], [`sets`] | all packages; those that are needed; what djship asks for |
//! | [`mod@installed`] | what a root of somebody else's has already |
//! | [`deb`], [`alternatives`], [`decompress`] | packages unpacked into the store |
//! | [`root`] | [`compose`]: a whole file system |
//! | [`loader`] | sonames, and the loader's cache |

pub mod alternatives;
pub mod archive;
pub mod closure;
pub mod control;
mod data;
pub mod deb;
pub mod decompress;
pub mod depends;
pub mod in_release;
pub mod index;
pub mod installed;
pub mod keyring;
pub mod loader;
pub mod package;
pub mod release;
pub mod root;
pub mod sources;
pub mod version;

pub use archive::{Archive, ArchiveError, ArchiveOptions, Freshness};
pub use closure::{ClosureError, ClosureRules};
pub use data::sets;
pub use data::sets::PackageSet;
pub use deb::{FetchPackagesError, PackageRecord, UnpackedPackage, fetch_packages, missing_bytes};
pub use index::PackageIndex;
pub use installed::Installed;
pub use keyring::Keyring;
pub use loader::{refresh_cache, soname_owner};
pub use package::Package;
pub use release::{Arch, Codename, Suite};
pub use root::{ComposeError, RootOptions, Trim, User, compose, compose_over};
pub use sources::{MirrorUrl, Mirrors, host_mirrors};
