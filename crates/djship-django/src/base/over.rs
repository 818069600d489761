//! What is different about roots that stand on an image.

use std::collections::BTreeMap;

use djship_deb::package::Package;
use djship_deb::{Arch, Installed, Trim, sets};
use djship_oci::Layer;
use djship_store::FileTree;

use super::{BaseError, ImageRoot, Roots};
use crate::bytecode;
use crate::kept;
use crate::laid::{Key, Laid};
use crate::plan::Plan;
use crate::python;
use crate::report::{Note, Root};

impl Roots<'_> {
    /// The base layer on an image: its files, what djship starts everything with, and its standard library compiled.
    pub(super) fn production_over(&self, image: &ImageRoot) -> Result<Layer, BaseError> {
        let key =
            Key::new("base layer on an image, form 1").part(python::COMPILE).part(image.digest.as_bytes());
        let key = self.production.iter().fold(key, |key, package| key.part(package.sha256.as_bytes()));
        let mut reused = true;
        let layer = kept::layer(self.tools, &key.digest(), || -> Result<FileTree, BaseError> {
            reused = false;
            let mut tree = self.compose(Some(image), &self.fetch(&self.production)?, Trim::Production)?;
            let mut library = standard_library(&tree, &image.facts.python.library);
            bytecode::add(self.tools, &self.interpreter(), &[image.laid.fs()], &mut library)?;
            tree.overlay(library);
            Ok(tree)
        })?;
        let (packages, size) = (self.production.len(), layer.tree.size());
        self.tools.reporter.note(Note::Root { what: Root::OnImage, packages, size, reused });
        Ok(layer)
    }

    /// A root with Debian's own Python and pip, whatever everything else stands on.
    pub fn debian_installer(&self) -> Result<Laid, BaseError> {
        if self.image.is_none() {
            return self.installer().cloned();
        }
        let set = sets::installer(self.codename());
        let packages = self.packages_beside(&Installed::default(), "installer", &set.roots, &set.rules)?;
        self.root_on(None, Root::Installer, &packages, Trim::Builder)
    }

    /// Packages of the image that compiling `distributions` replaced by later ones: production must have the same.
    pub fn upgraded(&self, plan: &Plan, distributions: &[String]) -> Result<Vec<String>, BaseError> {
        if self.image.is_none() {
            return Ok(Vec::new());
        }
        let installed = self.installed();
        let mut replaced = self.toolchain_set(plan, distributions)?;
        replaced.retain(|package| installed.version(&package.name).is_some());
        // A later tool makes no difference to what it made; a later library does to what is linked with it.
        let owners = djship_deb::soname_owner(&self.fetch(&replaced)?, Arch::Amd64);
        let names = replaced.into_iter().map(|package| package.name);
        Ok(names.filter(|name| owners.values().any(|owner| owner == name)).collect())
    }

    /// What these packages add to an image: what is missing, and `upgrades` whether they are there or not. What replaces something
    /// is told of.
    pub(super) fn additions_over(
        &self,
        names: &[String],
        upgrades: &[String],
    ) -> Result<Vec<Package>, BaseError> {
        let mut installed = self.installed();
        for name in upgrades {
            installed.remove(name);
        }
        let asked: Vec<&str> = names.iter().chain(upgrades).map(String::as_str).collect();
        let packages =
            self.packages_beside(&installed, "additions", &asked, &sets::production_additions())?;
        let before = self.installed();
        let replaced = packages.iter().filter_map(|Package { name, version, .. }| {
            Some((name.clone(), before.version(name)?.to_owned(), version.clone()))
        });
        let replaced: Vec<_> = replaced.collect();
        if !replaced.is_empty() {
            self.tools.reporter.note(Note::Upgraded { packages: replaced });
        }
        Ok(packages)
    }
}

/// Adds the folders that `tree` has something in, as they are in `base`.
pub(super) fn parents_of(tree: &mut FileTree, base: &FileTree) {
    let mut folders = BTreeMap::new();
    for (path, _) in tree.iter() {
        let mut next = path.parent();
        while let Some(folder) = next {
            next = folder.parent();
            if tree.get(folder.as_str()).is_none()
                && let Some(entry) = base.get(folder.as_str())
            {
                folders.insert(folder, entry.clone());
            }
        }
    }
    for (path, entry) in folders {
        tree.insert(path, entry);
    }
}

/// The modules of the standard library, without what is installed beside them.
fn standard_library(tree: &FileTree, folder: &str) -> FileTree {
    let folder = folder.trim_start_matches('/');
    let installed = [format!("{folder}/site-packages"), format!("{folder}/dist-packages")];
    tree.iter()
        .filter(|(path, _)| path.is_within(folder) && !installed.iter().any(|other| path.is_within(other)))
        .map(|(path, entry)| (path.clone(), entry.clone()))
        .collect()
}
