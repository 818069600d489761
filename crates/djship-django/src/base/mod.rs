//! The Debian roots of a release, or those on an image of the project's choice: what ships, what installs, what compiles, what
//! serves data.

mod asked;
mod error;
mod image;
mod interpreter;
mod over;
mod packages;
mod services;

pub use asked::AskedError;
pub use error::BaseError;
pub(crate) use image::system::installed;
pub use image::{BaseImageError, ImageFacts, ImagePython, ImageRoot};
pub use interpreter::Interpreter;
pub use services::ServiceRoot;

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use djship_deb::Trim;
use djship_deb::archive::{Archive, ArchiveOptions, Freshness};
use djship_deb::deb::UnpackedPackage;
use djship_deb::index::PackageIndex;
use djship_deb::keyring::Keyring;
use djship_deb::package::Package;
use djship_deb::sets;
use djship_deb::sources::{MirrorUrl, Mirrors, host_mirrors};
use djship_deb::{Arch, Codename, PackageSet, Suite};
use djship_oci::Layer;
use djship_store::{Bucket, Digest, FileTree};
use pep440_rs::Version;

use crate::bytecode;
use crate::context::clean::same;
use crate::context::native;
use crate::kept;
use crate::laid::{Key, Laid};
use crate::plan::Plan;
use crate::plan::foundation::Foundation;
use crate::plan::python::Release;
use crate::project::requirements::normalise;
use crate::python;
use crate::report::{Note, Root};
use crate::shared::{Part, Share};
use crate::tools::{Host, Tools};

/// The processor that images are made for, in OCI's words.
pub const ARCHITECTURE: &str = "amd64";

/// Indexes younger than this are used without asking the mirror.
pub(crate) const FRESH: Duration = Duration::from_hours(24);
/// Where the host's own mirrors are named.
const APT: &str = "/etc/apt";

/// The roots of one release, each made when it is first asked for.
pub struct Roots<'a> {
    tools: &'a Tools<'a>,
    release: Release,
    /// What everything but servers stands on, in place of Debian's packages.
    image: Option<ImageRoot>,
    archive: Archive,
    index: OnceCell<PackageIndex>,
    production: Vec<Package>,
    installer: OnceCell<Laid>,
    toolchain: OnceCell<Laid>,
    toolchain_packages: OnceCell<Vec<UnpackedPackage>>,
    /// The roots that the developer was told of.
    told: RefCell<BTreeSet<String>>,
    key: Digest,
}

impl std::fmt::Debug for Roots<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Roots")
            .field("release", &self.release)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl From<Release> for Codename {
    fn from(release: Release) -> Self {
        match release {
            Release::Trixie => Self::Trixie,
            Release::Bookworm => Self::Bookworm,
        }
    }
}

impl<'a> Roots<'a> {
    /// The roots on what a plan says.
    pub fn on(tools: &'a Tools<'a>, foundation: &Foundation) -> Result<Self, BaseError> {
        match foundation {
            Foundation::Debian { release, .. } => Self::open(tools, release.value),
            Foundation::Image(base) => {
                let image = ImageRoot::bring(tools, base)?;
                Self::make(tools, image.release(), Some(image))
            }
        }
    }

    /// The roots of a release.
    pub fn open(tools: &'a Tools<'a>, release: Release) -> Result<Self, BaseError> {
        Self::make(tools, release, None)
    }

    /// Makes sure that the archive's indexes are at hand, signed and fresh.
    fn make(tools: &'a Tools<'a>, release: Release, image: Option<ImageRoot>) -> Result<Self, BaseError> {
        let codename = Codename::from(release);
        let keyring = keyring(tools.host)?;
        let mirrors = mirrors(tools.host, codename)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let max_age = if tools.host.debian.refresh { Duration::ZERO } else { FRESH };
        let freshness = Freshness { now, max_age, accept_expired: false };
        let options =
            ArchiveOptions { codename, arch: Arch::Amd64, mirrors: &mirrors, keyring: &keyring, freshness };
        let archive = Archive::open(&options, tools.store, tools.fetcher)?;
        let newest = Suite::ALL.iter().filter_map(|suite| archive.date(*suite)).max().unwrap_or_default();
        let unreached = archive.unreached().map(ToString::to_string);
        tools.reporter.note(Note::Index { codename: release.codename(), date: newest, unreached });
        let mut roots = Self {
            tools,
            release,
            image,
            archive,
            index: OnceCell::new(),
            production: Vec::new(),
            installer: OnceCell::new(),
            toolchain: OnceCell::new(),
            toolchain_packages: OnceCell::new(),
            told: RefCell::default(),
            key: Digest::of(b""),
        };
        let set = roots.production_set();
        roots.production = roots.packages("production", &set.roots, &set.rules)?;
        // What is compiled depends on the compiler, whether or not it is fetched this time.
        let set = roots.compiling();
        let toolchain = roots.packages("toolchain", &set.roots, &set.rules)?;
        let mut key = Key::new("roots, form 1");
        if let Some(image) = &roots.image {
            key = key.part("on").part(image.digest.as_bytes());
        }
        roots.key = roots
            .production
            .iter()
            .chain(&toolchain)
            .fold(key, |key, one| key.part(one.sha256.as_bytes()))
            .digest();
        Ok(roots)
    }

    /// The sets, as they are on what everything stands on.
    fn production_set(&self) -> PackageSet {
        if self.image.is_some() {
            return sets::production_over();
        }
        let mut set = sets::production(self.codename());
        set.roots.push("tini");
        set
    }

    fn installing(&self) -> PackageSet {
        if self.image.is_some() { sets::installer_over() } else { sets::installer(self.codename()) }
    }

    fn compiling(&self) -> PackageSet {
        match &self.image {
            Some(image) => sets::toolchain_over(image.has_debians_python()),
            None => sets::toolchain(self.codename(), &[]),
        }
    }

    /// The release.
    pub fn release(&self) -> Release {
        self.release
    }

    /// The image that everything but servers stands on.
    pub fn image(&self) -> Option<&ImageRoot> {
        self.image.as_ref()
    }

    /// The Debian release.
    pub fn codename(&self) -> Codename {
        self.release.into()
    }

    /// Stands for the packages of these roots: same key, same roots.
    pub fn key(&self) -> Digest {
        self.key
    }

    /// Stands for all that the archive offers.
    pub fn archive_identity(&self) -> Digest {
        self.archive.identity()
    }

    /// The Python of all roots but those of servers.
    pub fn interpreter(&self) -> Interpreter {
        if let Some(image) = &self.image {
            return image.interpreter();
        }
        let version = self.release.python();
        let name = format!("python{}.{}-minimal", version.0, version.1);
        let package = self.production.iter().find(|package| package.name == name);
        let digest = package.map_or(self.key, |package| package.sha256);
        Interpreter { program: Interpreter::DEBIAN.to_owned(), version, digest }
    }

    /// The version of that Python. Of Debian's it is the one that the release came out with.
    pub fn python_version(&self) -> Version {
        self.image.as_ref().and_then(ImageRoot::python_version).unwrap_or_else(|| self.release.into())
    }

    /// The base layer: what ships, with the standard library compiled.
    pub fn production(&self) -> Result<Layer, BaseError> {
        if let Some(image) = &self.image {
            return self.production_over(image);
        }
        let key = self
            .production
            .iter()
            .fold(Key::new("base layer, form 1").part(python::COMPILE), |key, package| {
                key.part(package.sha256.as_bytes())
            });
        let digest = key.digest();
        if let Some(layer) = kept::find::<BaseError>(self.tools, &digest)? {
            let reused = true;
            let (packages, size) = (self.production.len(), layer.tree.size());
            self.tools.reporter.note(Note::Root { what: Root::Production, packages, size, reused });
            return Ok(layer);
        }
        // Packages by their digests, and what we do with them: nothing of this machine.
        let share = Share::new(Part::Base, &key.part(self.release.codename()));
        kept::make(self.tools, &digest, Some(&share), || {
            let root = self.root(Root::Production, &self.production, Trim::Production)?;
            let mut tree = root.tree.clone();
            bytecode::add(self.tools, &self.interpreter(), &[root.fs()], &mut tree)?;
            Ok(tree)
        })
    }

    /// A root that installs wheels.
    pub fn installer(&self) -> Result<&Laid, BaseError> {
        if let Some(laid) = self.installer.get() {
            return Ok(laid);
        }
        let set = self.installing();
        let packages = self.packages("installer", &set.roots, &set.rules)?;
        let laid = self.root(Root::Installer, &packages, Trim::Builder)?;
        Ok(self.installer.get_or_init(|| laid))
    }

    /// A root that compiles what the plan names; `more` are distributions that were found to need compiling.
    pub fn toolchain(&self, plan: &Plan, more: &[String]) -> Result<&Laid, BaseError> {
        if let Some(laid) = self.toolchain.get() {
            return Ok(laid);
        }
        if let Some(image) = &self.image {
            image.check_headers()?;
        }
        let packages = self.toolchain_set(plan, more)?;
        let laid = self.root(Root::Toolchain, &packages, Trim::Builder)?;
        Ok(self.toolchain.get_or_init(|| laid))
    }

    /// The package of the toolchain that ships a library.
    pub fn toolchain_owner(
        &self,
        plan: &Plan,
        more: &[String],
        soname: &str,
    ) -> Result<Option<String>, BaseError> {
        if self.toolchain_packages.get().is_none() {
            let packages = self.fetch(&self.toolchain_set(plan, more)?)?;
            // Somebody else's answer would be the same.
            let _ = self.toolchain_packages.set(packages);
        }
        let packages = self.toolchain_packages.get().map_or(&[][..], Vec::as_slice);
        Ok(djship_deb::soname_owner(packages, Arch::Amd64).get(soname).cloned())
    }

    /// Stands for what [`Roots::toolchain_owner`] finds: same digest, same answers. Nothing is fetched for it.
    pub(crate) fn toolchain_identity(&self, plan: &Plan, more: &[String]) -> Result<Digest, BaseError> {
        let packages = self.toolchain_set(plan, more)?;
        let key = Key::new("toolchain, form 1");
        Ok(packages.iter().fold(key, |key, package| key.part(package.sha256.as_bytes())).digest())
    }

    fn toolchain_set(&self, plan: &Plan, more: &[String]) -> Result<Vec<Package>, BaseError> {
        let names =
            plan.dependencies.value.names().into_iter().chain(more.iter().map(|name| normalise(name)));
        let mut wanted = build_packages(names);
        wanted.extend(plan.packages.build_names());
        let set = self.compiling();
        let asked: Vec<&str> = set.roots.iter().copied().chain(wanted.iter().map(String::as_str)).collect();
        self.packages("toolchain", &asked, &set.rules)
    }

    /// The root that development runs on, and that installs for it: with the compiler and what `distributions` (normalised)
    /// need for it when something must be compiled, always with the libraries that they open by name, and with `more`
    /// Debian packages.
    pub fn development(
        &self,
        distributions: &[String],
        compile: bool,
        more: &[String],
    ) -> Result<Laid, BaseError> {
        let mut wanted = if compile { build_packages(distributions.iter().cloned()) } else { Vec::new() };
        let table = native::table();
        for library in distributions.iter().filter_map(|name| table.get(name)).flat_map(|row| &row.opened) {
            let packages = sets::opened_by_name(library, self.codename()).unwrap_or_default();
            wanted.extend(packages.iter().map(|&name| name.to_owned()));
        }
        wanted.extend(more.iter().cloned());
        wanted.sort();
        wanted.dedup();
        if !compile && wanted.is_empty() {
            return self.installer().cloned();
        }
        let (what, set, root) = if compile {
            ("toolchain", self.compiling(), Root::Toolchain)
        } else {
            ("installer", self.installing(), Root::Installer)
        };
        if let Some(image) = self.image.as_ref().filter(|_| compile) {
            image.check_headers()?;
        }
        let asked: Vec<&str> = set.roots.iter().copied().chain(wanted.iter().map(String::as_str)).collect();
        self.root(root, &self.packages(what, &asked, &set.rules)?, Trim::Builder)
    }

    /// The packages of the base layer together with these and what they depend on. `upgrades` take the place of packages of an
    /// image.
    pub(crate) fn with_additions(
        &self,
        names: &[String],
        upgrades: &[String],
    ) -> Result<Vec<Package>, BaseError> {
        let asked: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut packages = self.production.clone();
        let more = match &self.image {
            Some(_) => self.additions_over(names, upgrades)?,
            None => self.packages("additions", &asked, &sets::production_additions())?,
        };
        for package in more {
            if !packages.iter().any(|known| known.name == package.name) {
                packages.push(package);
            }
        }
        packages.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(packages)
    }

    /// What these packages have beyond the base layer.
    pub(crate) fn additions(&self, packages: &[Package], base: &FileTree) -> Result<FileTree, BaseError> {
        let mut tree = self.compose(self.image.as_ref(), &self.fetch(packages)?, Trim::Production)?;
        tree.retain(|path, entry| !base.get(path.as_str()).is_some_and(|known| same(known, entry)));
        if self.image.is_some() {
            over::parents_of(&mut tree, base);
        }
        tree.fill_parents();
        Ok(tree)
    }
}

/// The Debian packages that building these (normalised) distributions needs, sorted.
fn build_packages(distributions: impl IntoIterator<Item = String>) -> Vec<String> {
    let table = native::table();
    let rows = distributions.into_iter().filter_map(|name| table.get(&name).cloned());
    let mut wanted: Vec<String> = rows.flat_map(|native| native.build).collect();
    wanted.sort();
    wanted.dedup();
    wanted
}

fn keyring(host: &Host) -> Result<Keyring, BaseError> {
    let mut keyring = Keyring::debian()?;
    for file in &host.debian.keyrings {
        keyring.add(&file.display().to_string(), &fs_err::read(file)?)?;
    }
    Ok(keyring)
}

fn mirrors(host: &Host, codename: Codename) -> Result<Mirrors, BaseError> {
    let parse = |url: &Option<String>| url.as_deref().map(MirrorUrl::parse).transpose();
    let found = host_mirrors(std::path::Path::new(APT), codename)?;
    Ok(Mirrors::choose(parse(&host.debian.main)?, parse(&host.debian.security)?, found))
}

/// The bucket of roots; named here because only this module makes them.
const BUCKET: Bucket = Bucket::Roots;
