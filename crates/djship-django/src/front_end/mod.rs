//! Front ends: what `npm run build` makes of a project, before Django collects it.
//!
//! | module | holds |
//! |---|---|
//! | [`find`] | which `package.json` builds something, and with what |
//! | `modules` | `node_modules`, from the lock |
//! | `run` | the script, without a network, on a copy of the files |
//!
//! Node comes from Debian and is in none of what ships; neither is `node_modules`. What the script writes becomes part of the
//! project's files, as if it had been there.

mod error;
pub mod find;
mod modules;
mod run;

use djship_store::{Bucket, FileTree, TreePath};

use crate::application::Snapshot;
use crate::base::{Roots, ServiceRoot};
use crate::laid::{Key, Laid};
use crate::plan::Plan;
use crate::report::{Because, Note};
use crate::tools::Tools;

pub use error::FrontEndError;
pub use find::{FrontEnd, Installer};

/// Beside the tree of what was made: which files went.
const RECORD: &str = "removed.json";

/// Builds the project's front end, if it has one; the snapshot is then as the script leaves the files.
pub fn build(
    tools: &Tools<'_>,
    plan: &Plan,
    snapshot: Snapshot,
    roots: &Roots<'_>,
) -> Result<Snapshot, FrontEndError> {
    let Some(front_end) = find::find(plan, &snapshot.tree)? else { return Ok(snapshot) };
    let root = roots.front_end()?;
    let modules = modules::install(tools, plan, &front_end, &snapshot.tree, &root)?;
    let shown = shown(&front_end, &snapshot.tree)?;
    let key = Key::new("front end, form 1")
        .part(root.identity().as_bytes())
        .part(modules.as_ref().map_or(&[][..], |(_, key)| key.as_bytes()))
        .part(&front_end.folder)
        .part(&front_end.script)
        .part(shown.digest().as_bytes());
    let given = plan.config.ship.build_env.as_ref().map(|given| &given.value);
    let key = given.into_iter().flatten().fold(key, |key, (name, value)| key.part(name).part(value)).digest();
    let (laid, removed, because) = if let Some(laid) = Laid::find(tools.store, Bucket::Outputs, &key)? {
        let removed = removed(&laid)?;
        (laid, removed, None)
    } else {
        let modules = modules.as_ref().map(|(laid, _)| laid.fs());
        let made = run::run(tools, plan, &front_end, &shown, modules.as_deref(), &root)?;
        let text = serde_json::to_vec(&made.removed).map_err(std::io::Error::other)?;
        let laid = Laid::keep(tools.store, Bucket::Outputs, &key, &made.tree, |folder| {
            Ok(fs_err::write(folder.join(RECORD), text)?)
        })?;
        (laid, made.removed, Some(Because::InputsChanged))
    };
    let files = laid.tree.iter().filter(|(_, entry)| !entry.is_dir()).count();
    tools.reporter.note(Note::FrontEnd {
        folder: front_end.folder.clone(),
        script: front_end.script.clone(),
        files,
        because,
    });
    Ok(with(snapshot, &laid.tree, &removed))
}

/// The files as the script leaves them.
fn with(mut snapshot: Snapshot, made: &FileTree, removed: &[String]) -> Snapshot {
    for path in removed {
        snapshot.tree.remove(path);
    }
    for (path, entry) in made.iter() {
        // A folder that was there stays as it was.
        if !(entry.is_dir() && snapshot.tree.get(path.as_str()).is_some()) {
            snapshot.tree.insert(path.clone(), entry.clone());
        }
    }
    snapshot.tree.fill_parents();
    snapshot
}

fn removed(laid: &Laid) -> Result<Vec<String>, FrontEndError> {
    let text = fs_err::read(laid.folder.join(RECORD))?;
    Ok(serde_json::from_slice(&text).map_err(std::io::Error::other)?)
}

/// The files that the script sees, and that it therefore runs again for: all of them, except Python's, which it has no use for,
/// unless its own configuration names them (as Tailwind's may, which looks for class names).
fn shown(front_end: &FrontEnd, tree: &FileTree) -> Result<FileTree, FrontEndError> {
    let mut shown = tree.clone();
    if !names_python(front_end, tree)? {
        shown.retain(|path, entry| entry.is_dir() || !is_python(path));
    }
    Ok(shown)
}

fn is_python(path: &TreePath) -> bool {
    std::path::Path::new(path.as_str())
        .extension()
        .is_some_and(|extension| extension == "py" || extension == "po" || extension == "mo")
}

/// Larger files configure nothing.
const LARGEST_CONFIGURATION: u64 = 256 << 10;

fn names_python(front_end: &FrontEnd, tree: &FileTree) -> Result<bool, FrontEndError> {
    for (path, entry) in tree.iter() {
        let Some(name) = front_end.inside(path) else { continue };
        let extension = std::path::Path::new(name).extension().and_then(|extension| extension.to_str());
        let is_one_of = |known: &[&str]| extension.is_some_and(|extension| known.contains(&extension));
        let configures =
            is_one_of(&["css"]) || !name.contains('/') && is_one_of(&["js", "cjs", "mjs", "ts", "json"]);
        let djship_store::Node::File { at, size, .. } = &entry.node else { continue };
        if !configures || *size > LARGEST_CONFIGURATION || name.contains("lock") {
            continue;
        }
        let text = fs_err::read(at)?;
        // `**/*.py`, `*.{html,py}`
        let names = [&b".py"[..], b",py", b"{py", b", py"].iter().any(|part| {
            memchr::memmem::find_iter(&text, part).any(|at| {
                !text.get(at + part.len()).is_some_and(|next| next.is_ascii_alphanumeric() || *next == b'_')
            })
        });
        if names {
            return Ok(true);
        }
    }
    Ok(false)
}

impl ServiceRoot {
    /// Stands for its packages.
    fn identity(&self) -> djship_store::Digest {
        let key = Key::new("packages");
        self.packages().iter().fold(key, |key, package| key.part(package.sha256.as_bytes())).digest()
    }
}
