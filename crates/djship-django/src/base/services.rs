//! Roots of servers.

use std::path::PathBuf;

use djship_deb::package::Package;
use djship_deb::{Installed, PackageSet, Trim, sets};

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

    /// The packages that it is made of.
    pub fn packages(&self) -> &[Package] {
        &self.packages
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

    /// The root that front ends are built in: Node and npm, and what Git's and scripts' dependencies take for granted.
    pub fn front_end(&self) -> Result<ServiceRoot, BaseError> {
        let set = sets::own_service();
        let asked: Vec<&str> = set.roots.iter().copied().chain(["git", "nodejs", "npm"]).collect();
        self.made_of(Root::FrontEnd, &asked, &set)
    }

    fn service_of(&self, asked: &[&str], set: &PackageSet) -> Result<ServiceRoot, BaseError> {
        self.made_of(Root::Service, asked, set)
    }

    /// Never on an image: servers and Node are Debian's.
    fn made_of(&self, what: Root, asked: &[&str], set: &PackageSet) -> Result<ServiceRoot, BaseError> {
        let packages = self.packages_beside(&Installed::default(), "service", asked, &set.rules)?;
        let laid = self.root_on(None, what, &packages, Trim::Service)?;
        Ok(ServiceRoot { laid, packages })
    }
}
