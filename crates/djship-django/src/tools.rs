//! What every stage works with.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use djship_engine::{Engine, HostOwner};
use djship_oci::registry::Credentials;
use djship_store::Store;
use djship_store::fetch::Fetcher;

use crate::report::Reporter;
use crate::shared::SharedCache;

/// What every stage works with: where bytes are kept, what runs containers, what fetches, what the host says, and who
/// is told.
pub struct Tools<'a> {
    /// Bytes at rest.
    pub store: &'a Store,
    /// Runs containers.
    pub engine: &'a Engine,
    /// Downloads.
    pub fetcher: &'a Fetcher,
    /// What the host says.
    pub host: &'a Host,
    /// Who asks registries.
    pub credentials: &'a dyn Credentials,
    /// Who is told.
    pub reporter: &'a dyn Reporter,
    /// What machines share, if they do.
    pub shared: Option<&'a SharedCache<'a>>,
    /// Set when the work is to be given up; programs that are waited for are ended then.
    pub given_up: &'a AtomicBool,
}

impl std::fmt::Debug for Tools<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tools").field("host", &self.host).finish_non_exhaustive()
    }
}

/// What the host says that a build depends on. None of it ships.
#[derive(Debug, Clone, Default)]
pub struct Host {
    /// Who containers run as when djship itself is root.
    pub owner: Option<HostOwner>,
    /// The certificates that the host trusts.
    pub ca_bundle: Option<PathBuf>,
    /// Variables that tell pip, uv and proxies where packages are.
    pub installer: Vec<(String, String)>,
    /// Everything that is exported. A lock's package index may name its user and password by variables; nothing else is looked
    /// at for a build.
    pub exported: std::collections::BTreeMap<String, String>,
    /// pip's own configuration files, weakest first.
    pub pip_configuration: Vec<PathBuf>,
    /// Variables that tell npm where packages are.
    pub npm: Vec<(String, String)>,
    /// npm's own configuration files, weakest first.
    pub npm_configuration: Vec<PathBuf>,
    /// Use no network.
    pub offline: bool,
    /// Where the Debian archives are.
    pub debian: DebianSources,
    /// Where images are.
    pub registries: Registries,
}

/// Where images are.
#[derive(Debug, Clone, Default)]
pub struct Registries {
    /// Where those with short names are: `HOST[:PORT][/PATH]`.
    pub default: Option<String>,
    /// Registries that may be spoken with by plain HTTP.
    pub insecure: Vec<String>,
}

/// Where the Debian archives are.
#[derive(Debug, Clone, Default)]
pub struct DebianSources {
    /// The main archive, when a setting names it.
    pub main: Option<String>,
    /// The security archive, when a setting names it.
    pub security: Option<String>,
    /// Further keyrings.
    pub keyrings: Vec<PathBuf>,
    /// Ask again for indexes and base images even if the answers are recent.
    pub refresh: bool,
}
