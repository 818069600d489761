//! Roots of servers.

use std::path::PathBuf;

use djship_deb::package::Package;
use djship_deb::{PackageSet, Trim, sets};

use super::{BaseError, Roots};
use crate::laid::Laid;
use crate::report::Root;

/// The root of a server.
#[derive(Debug, Clone)]
pub struct ServiceRoot {
    laid: Laid,
    packages: Vec<Package>,
}

impl ServiceRoot {
    /// Where the files are on this machine.
    pub fn fs(&self) -> PathBuf {
        self.laid.fs()
    }

    /// A package that is in it.
    pub fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }
}

impl Roots<'_> {
    /// A root of the packages of a set and all that they need.
    pub fn service(&self, set: &PackageSet) -> Result<ServiceRoot, BaseError> {
        self.service_of(&set.roots, set)
    }

    /// A root for a service that the user names packages for.
    pub fn own_service(&self, names: &[String]) -> Result<ServiceRoot, BaseError> {
        let set = sets::own_service();
        let asked: Vec<&str> = set.roots.iter().copied().chain(names.iter().map(String::as_str)).collect();
        self.service_of(&asked, &set)
    }

    fn service_of(&self, asked: &[&str], set: &PackageSet) -> Result<ServiceRoot, BaseError> {
        let packages = self.packages("service", asked, &set.rules)?;
        let laid = self.root(Root::Service, &packages, Trim::Service)?;
        Ok(ServiceRoot { laid, packages })
    }
}
