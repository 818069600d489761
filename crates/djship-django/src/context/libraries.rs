//! Run-time libraries: found by reading what was installed, taken from the Debian packages that ship them.

use std::time::Instant;

use djship_deb::sets;
use djship_oci::Layer;
use djship_oci::layer::LayerError;
use djship_store::{Digest, FileTree, StoreError, TreePath};

use super::elf::{self, ElfError};
use super::native;
use crate::base::{BaseError, Roots};
use crate::builder::Installed;
use crate::kept;
use crate::laid::Key;
use crate::plan::Plan;
use crate::project::requirements::normalise;
use crate::report::Note;
use crate::shared::{self, Part, Share};
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
    let key = plan.packages.run_names().iter().fold(key, Key::part).digest();
    let layer = match kept::find::<LibrariesError>(tools, &key)? {
        Some(layer) => layer,
        None => make(tools, plan, roots, base, installed, &key)?,
    };
    Ok(Some(layer).filter(|layer| !layer.tree.is_empty()))
}

/// Makes the layer. Where it is shared, it goes by the packages that are in it and not by all that the archive offers, which
/// changes several times a day.
fn make(
    tools: &Tools<'_>,
    plan: &Plan,
    roots: &Roots<'_>,
    base: &Layer,
    installed: &Installed,
    key: &Digest,
) -> Result<Layer, LibrariesError> {
    let names = names(tools, plan, roots, base, installed)?;
    let compiled = compiled_names(installed);
    let upgrades = if compiled.is_empty() { Vec::new() } else { roots.upgraded(plan, &compiled)? };
    if names.is_empty() && upgrades.is_empty() {
        return kept::make(tools, key, None, || Ok(FileTree::new()));
    }
    let packages = roots.with_additions(&names, &upgrades)?;
    let share = Key::new("libraries, form 1").part(base.tree.digest().as_bytes());
    let share = packages.iter().fold(share, |key, package| key.part(package.sha256.as_bytes()));
    let share = Share::new(Part::Libraries, &share);
    kept::make(tools, key, Some(&share), || Ok(roots.additions(&packages, &base.tree)?))
}

/// The names of the packages. For what was compiled it takes the whole toolchain to find them, so the answer is shared.
fn names(
    tools: &Tools<'_>,
    plan: &Plan,
    roots: &Roots<'_>,
    base: &Layer,
    installed: &Installed,
) -> Result<Vec<String>, LibrariesError> {
    let compiled = compiled_names(installed);
    if tools.shared.is_none() || compiled.is_empty() {
        return packages(tools, plan, roots, base, installed);
    }
    let key = Key::new("library names, form 1").part(installed.laid.tree.digest().as_bytes());
    let key = key.part(base.tree.digest().as_bytes());
    let key = key.part(roots.toolchain_identity(plan, &compiled)?.as_bytes());
    let key = plan.packages.run_names().iter().fold(key, Key::part);
    let share = Share::new(Part::LibraryNames, &key);
    if let Some(names) = shared::answer(tools, &share) {
        return Ok(names);
    }
    let since = Instant::now();
    let names = packages(tools, plan, roots, base, installed)?;
    shared::put(tools, &share, since.elapsed(), &names, None);
    Ok(names)
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
    packages.extend(plan.packages.run_names());
    packages.sort();
    packages.dedup();
    Ok(packages)
}
