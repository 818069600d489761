//! What ships, as trees: base, libraries, dependencies, application.

pub mod clean;
pub mod elf;
pub mod libraries;
pub mod native;

use std::path::PathBuf;
use std::time::Instant;

use djship_oci::Layer;
use djship_oci::layer::LayerError;
use djship_store::{Bucket, FileTree, StoreError, TreePath};

use crate::application::layer::{self, Serving, StaticRoot};
use crate::base::{BaseError, Roots};
use crate::builder::{BuilderError, Installed, supplied};
use crate::bytecode::{self, BytecodeError};
use crate::facts::Facts;
use crate::ground::Ground;
use crate::kept;
use crate::laid::{KeepError, Key};
use crate::python;
use crate::report::Note;
use crate::shared::{self, Part, Share};
use crate::tools::Tools;

/// Why what ships cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// A root cannot be made.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// What is supplied cannot be fetched.
    #[error(transparent)]
    Builder(#[from] BuilderError),
    /// Files cannot be compiled.
    #[error(transparent)]
    Bytecode(#[from] BytecodeError),
    /// A layer cannot be made.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// A tree cannot be kept.
    #[error(transparent)]
    Keep(#[from] KeepError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file operation failed.
    #[error("cannot put together what ships")]
    Io(#[from] std::io::Error),
}

/// The layer of everything that is installed: `/venv`, what djship supplies, and the entry point.
pub fn dependencies(
    tools: &Tools<'_>,
    roots: &Roots<'_>,
    installed: &Installed,
    serving: &Serving,
    runtime: &[PathBuf],
) -> Result<Layer, ContextError> {
    for (name, version) in &serving.supplied {
        tools.reporter.note(Note::Supplied { name, version: version.clone() });
    }
    let mut key = Key::new("dependency layer, form 1").part(installed.key.as_bytes());
    key = key.part(&serving.requirements).part(python::COMPILE).part(roots.interpreter().digest.as_bytes());
    for (name, text) in python::RUNTIME {
        key = key.part(name).part(text);
    }
    kept::layer(tools, &key.digest(), || {
        let mut tree = installed.laid.tree.clone();
        tree.overlay(added(tools, roots, serving, runtime)?);
        Ok(tree)
    })
}

/// What djship adds to the dependencies: the entry point and, where the project brings no server, one; compiled.
fn added(
    tools: &Tools<'_>,
    roots: &Roots<'_>,
    serving: &Serving,
    runtime: &[PathBuf],
) -> Result<FileTree, ContextError> {
    let mut key = Key::new("added, form 1").part(&serving.requirements).part(roots.codename().to_string());
    key = key.part(python::UV).part(python::COMPILE).part(roots.interpreter().digest.as_bytes());
    for (name, text) in python::RUNTIME {
        key = key.part(name).part(text);
    }
    // A few files of ours are compiled sooner than they are fetched.
    let share = (!serving.requirements.is_empty()).then(|| Share::new(Part::Supplied, &key));
    if let Some(share) = &share
        && let Some((laid, ())) = shared::tree(tools, share, Bucket::Outputs, &key.digest(), |_, ()| Ok(()))
    {
        return Ok(laid.tree);
    }
    let since = Instant::now();
    let mut added = supplied::runtime(tools)?;
    if !serving.requirements.is_empty() {
        added.overlay(supplied::fetch(tools, roots, &serving.requirements)?);
    }
    bytecode::add(tools, &roots.interpreter(), runtime, &mut added)?;
    if let Some(share) = &share {
        shared::put(tools, share, since.elapsed(), (), Some(&added));
    }
    Ok(added)
}

/// The layer of the application: its files, static files, writable folders, and what the entry point reads.
pub fn application(
    tools: &Tools<'_>,
    ground: &Ground<'_>,
    facts: &Facts,
    serving: &Serving,
    collected: Option<(StaticRoot, FileTree)>,
) -> Result<Layer, ContextError> {
    let Ground { plan, snapshot, lowers, layers, interpreter } = *ground;
    let (static_root, static_files) = collected.unzip();
    let generated = layer::generated(tools.store, plan, facts, serving, static_root.as_ref())?;
    let mut key = Key::new("application layer, form 1")
        .part(layers.as_bytes())
        .part(interpreter.digest.as_bytes())
        .part(python::COMPILE);
    key = key.part(layer::open_folders(plan, facts).join(":"));
    key = key.part(snapshot.tree.digest().as_bytes()).part(generated.digest().as_bytes());
    key = key.part(static_files.as_ref().map_or_else(Vec::new, |tree| tree.digest().as_bytes().to_vec()));
    kept::layer(tools, &key.digest(), || {
        let mut tree = FileTree::new();
        for (path, entry) in snapshot.tree.iter() {
            if let Ok(path) = TreePath::parse(&format!("app/{}", path.as_str())) {
                tree.insert(path, entry.clone());
            }
        }
        tree.fill_parents();
        bytecode::add(tools, interpreter, lowers, &mut tree)?;
        tree.overlay(static_files.unwrap_or_default());
        tree.overlay(generated);
        tree.fill_parents();
        layer::open_up(&mut tree, plan, facts);
        Ok(tree)
    })
}

/// The number of Debian packages whose metadata a tree holds.
pub fn debian_packages(tree: &FileTree) -> usize {
    crate::base::installed(tree).len()
}
