//! Run-time libraries: found by reading what was installed, taken from the Debian packages that ship them.

use djship_deb::sets;
use djship_oci::Layer;
use djship_oci::layer::LayerError;
use djship_store::{FileTree, StoreError, TreePath};

use super::elf::{self, ElfError};
use super::native;
use crate::base::{BaseError, Roots};
use crate::builder::Installed;
use crate::kept;
use crate::laid::Key;
use crate::plan::Plan;
use crate::project::requirements::normalise;
use crate::report::Note;
use crate::tools::Tools;

/// Why a run-time library cannot be found.
#[derive(Debug, thiserror::Error)]
pub enum LibrariesError {
    /// No package at hand ships it.
    #[error("cannot find `{soname}`, which `{path}` needs at run time")]
    Unknown {
        /// The library.
        soname: String,
        /// Who needs it.
        path: TreePath,
    },
    /// A file cannot be read.
    #[error(transparent)]
    Elf(#[from] ElfError),
    /// The packages cannot be fetched.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// The layer cannot be made.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file operation failed.
    #[error("cannot look for run-time libraries")]
    Io(#[from] std::io::Error),
}

/// The layer of libraries that the environment needs beyond the base; `None` when it needs none.
pub fn find(
    tools: &Tools<'_>,
    plan: &Plan,
    roots: &Roots<'_>,
    base: &Layer,
    installed: &Installed,
) -> Result<Option<Layer>, LibrariesError> {
    let key = Key::new("libraries, form 2").part(installed.key.as_bytes()).part(roots.key().as_bytes());
    // Security updates of found libraries come with a newer index.
    let key = key.part(roots.archive_identity().as_bytes());
    let layer = kept::layer(tools, &key.digest(), || -> Result<FileTree, LibrariesError> {
        let packages = packages(tools, plan, roots, base, installed)?;
        if packages.is_empty() {
            return Ok(FileTree::new());
        }
        Ok(roots.additions(&packages, &base.tree)?)
    })?;
    Ok(Some(layer).filter(|layer| !layer.tree.is_empty()))
}

fn compiled_names(installed: &Installed) -> Vec<String> {
    installed.distributions.iter().filter(|found| found.compiled).map(|found| found.name.clone()).collect()
}

pub(crate) fn packages(
    tools: &Tools<'_>,
    plan: &Plan,
    roots: &Roots<'_>,
    base: &Layer,
    installed: &Installed,
) -> Result<Vec<String>, LibrariesError> {
    let mut packages: Vec<String> = Vec::new();
    let present = elf::system_libraries(&base.tree);
    let unmet = elf::unmet(&installed.laid.tree, "venv", &present)?;
    let compiled = installed.distributions.iter().any(|found| found.compiled);
    for need in unmet {
        let assumed = native::ASSUMED.iter().find(|(soname, _)| *soname == need.soname);
        let package = match assumed.map(|(_, package)| (*package).to_owned()) {
            Some(package) => Some(package),
            // What was compiled here was linked against what is in the toolchain.
            None if compiled => roots.toolchain_owner(plan, &compiled_names(installed), &need.soname)?,
            None => None,
        };
        let Some(package) = package else {
            return Err(LibrariesError::Unknown { soname: need.soname, path: need.path });
        };
        tools.reporter.note(Note::Library {
            soname: need.soname,
            needed_by: need.path,
            package: package.clone(),
        });
        packages.push(package);
    }
    let table = native::table();
    for found in &installed.distributions {
        let opened = table.get(&normalise(&found.name)).map_or(&[][..], |native| &native.opened);
        for library in opened {
            for package in sets::opened_by_name(library, roots.codename()).unwrap_or_default() {
                packages.push((*package).to_owned());
            }
        }
    }
    packages.sort();
    packages.dedup();
    Ok(packages)
}
