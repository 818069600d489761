//! From names to a root: closure, download, unpacking, composition; each remembered.

use std::sync::Mutex;

use djship_deb::Arch;
use djship_deb::closure::ClosureRules;
use djship_deb::deb::{UnpackedPackage, fetch_packages, missing_bytes};
use djship_deb::package::Package;
use djship_deb::{Installed, RootOptions, Trim, User, compose, compose_over};
use djship_store::fetch::Progress as FetchProgress;
use djship_store::{Bucket, FileTree};

use super::image::system;
use super::{BUCKET, BaseError, ImageRoot, Roots};
use crate::application::layer::USER;
use crate::laid::{Key, Laid};
use crate::report::{Note, Progress, Reporter, Root};

/// Passes downloaded bytes on to the reporter.
struct Bytes<'a>(&'a dyn Reporter, Mutex<()>);

impl FetchProgress for Bytes<'_> {
    fn add(&self, bytes: u64) {
        // One at a time: the reporter may draw.
        let _guard = self.1.lock();
        self.0.progress(Progress::Bytes(bytes));
    }
}

impl Roots<'_> {
    /// The packages that `asked` and the rules come to, beside what a base image has. Remembered per state of the archive, because reading the whole index
    /// takes longer than everything else in a build that has nothing to do.
    pub(super) fn packages(
        &self,
        what: &str,
        asked: &[&str],
        rules: &ClosureRules<'_>,
    ) -> Result<Vec<Package>, BaseError> {
        self.packages_beside(&self.installed(), what, asked, rules)
    }

    /// What a base image has; nothing without one.
    pub(super) fn installed(&self) -> Installed {
        self.image.as_ref().map_or_else(Installed::default, |image| system::installed(&image.laid.tree))
    }

    /// The same beside these packages.
    pub(super) fn packages_beside(
        &self,
        installed: &Installed,
        what: &str,
        asked: &[&str],
        rules: &ClosureRules<'_>,
    ) -> Result<Vec<Package>, BaseError> {
        let mut key = Key::new("package set, form 1").part(self.archive.identity().as_bytes()).part(what);
        key = key.part(format!("{rules:?}"));
        if !installed.is_empty() {
            key = key.part(format!("{installed:?}"));
        }
        for name in asked {
            key = key.part(name);
        }
        let key = key.digest();
        if let Some(file) = self.tools.store.find(Bucket::Facts, &key)
            && let Ok(packages) = serde_json::from_slice(&fs_err::read(file)?)
        {
            return Ok(packages);
        }
        let packages = self.index()?.closure_beside(installed, asked, rules)?;
        let text = serde_json::to_vec(&packages).map_err(std::io::Error::other)?;
        self.tools.store.insert_file(Bucket::Facts, &key, |writer| -> Result<(), BaseError> {
            Ok(writer.write_all(&text)?)
        })?;
        Ok(packages)
    }

    fn index(&self) -> Result<&djship_deb::index::PackageIndex, BaseError> {
        if let Some(index) = self.index.get() {
            return Ok(index);
        }
        let index = self.archive.index(self.tools.store)?;
        Ok(self.index.get_or_init(|| index))
    }

    /// The packages, unpacked in the store.
    pub(super) fn fetch(&self, packages: &[Package]) -> Result<Vec<UnpackedPackage>, BaseError> {
        let (store, reporter) = (self.tools.store, self.tools.reporter);
        let bytes = missing_bytes(packages, store);
        if bytes > 0 {
            reporter.progress(Progress::Expect { packages: packages.len(), bytes });
        }
        let progress = Bytes(reporter, Mutex::new(()));
        let fetched = fetch_packages(packages, self.archive.mirrors(), store, self.tools.fetcher, &progress);
        reporter.progress(Progress::Done);
        Ok(fetched?)
    }

    /// The packages, put over `image` or, without one, beside nothing.
    pub(super) fn compose(
        &self,
        image: Option<&ImageRoot>,
        packages: &[UnpackedPackage],
        trim: Trim,
    ) -> Result<FileTree, BaseError> {
        // Every root knows the run user by name: programs ask who they are.
        let users = vec![User::new("django", USER, "/app")];
        let options = RootOptions { codename: self.codename(), arch: Arch::Amd64, trim, users };
        Ok(match image {
            Some(image) => compose_over(&image.laid.tree, packages, &options, self.tools.store)?,
            None => compose(packages, &options, self.tools.store)?,
        })
    }

    /// A root of these packages and what everything stands on, laid out.
    pub(super) fn root(&self, what: Root, packages: &[Package], trim: Trim) -> Result<Laid, BaseError> {
        self.root_on(self.image.as_ref(), what, packages, trim)
    }

    /// The same on this image, or of nothing but the packages.
    pub(super) fn root_on(
        &self,
        image: Option<&ImageRoot>,
        what: Root,
        packages: &[Package],
        trim: Trim,
    ) -> Result<Laid, BaseError> {
        let mut key = Key::new("root, form 1").part(format!("{trim:?}"));
        if let Some(image) = image {
            key = key.part("on").part(image.digest.as_bytes());
        }
        let key = packages.iter().fold(key, |key, package| key.part(package.sha256.as_bytes())).digest();
        let (laid, reused) = if let Some(laid) = Laid::find(self.tools.store, BUCKET, &key)? {
            (laid, true)
        } else {
            let tree = self.compose(image, &self.fetch(packages)?, trim)?;
            (Laid::keep(self.tools.store, BUCKET, &key, &tree, |_| Ok(()))?, false)
        };
        let (packages, size) = (packages.len(), laid.tree.size());
        // Who asks again for the same one is not told again.
        if self.told.borrow_mut().insert(key.to_string()) {
            self.tools.reporter.note(Note::Root { what, packages, size, reused });
        }
        Ok(laid)
    }
}
