//! The script, without a network, on a copy of the files.

use std::path::Path;

use djship_store::{Entry, FileTree, Node, TreePath};

use super::FrontEndError;
use super::find::FrontEnd;
use super::modules::{self, MODULES, PROGRAMS};
use crate::application::copy_tree;
use crate::base::ServiceRoot;
use crate::builder::make_owned;
use crate::child;
use crate::laid::KeepError;
use crate::plan::Plan;
use crate::tools::Tools;

/// Folders and files that tools keep for themselves.
const KEPT: [&str; 7] = [MODULES, ".cache", ".parcel-cache", ".vite", ".angular", ".turbo", ".yarn"];

/// What a script made.
pub(super) struct Made {
    /// The files that are new or changed, at their places in the project.
    pub(super) tree: FileTree,
    /// The files that went.
    pub(super) removed: Vec<String>,
}

/// Runs the script on a copy of `shown`; `modules` is what was installed, laid out.
pub(super) fn run(
    tools: &Tools<'_>,
    plan: &Plan,
    front_end: &FrontEnd,
    shown: &FileTree,
    modules: Option<&Path>,
    root: &ServiceRoot,
) -> Result<Made, FrontEndError> {
    let work = tools.store.temp_dir("front-end")?;
    let app = work.path().join("app");
    copy_tree(shown, &app, tools.host.owner.map(|owner| (owner.uid, owner.gid)))?;
    let mut container = child::step([root.fs()], ["npm", "run", &front_end.script]);
    container.bind(&app, "/app");
    container.cwd = Path::new("/app").join(&front_end.folder);
    if let Some(modules) = modules {
        let programs = modules.join(PROGRAMS);
        if programs.is_dir() {
            container.bind_read_only(programs, format!("/{PROGRAMS}"));
        }
        for folder in module_folders(&modules.join("app"))? {
            // Where it is mounted; a workspace that does not ship is made for it.
            make_folders(&app, &folder, tools)?;
            // Tools write their caches there.
            container.throw_away_as_owner(modules.join("app").join(&folder), Path::new("/app").join(&folder));
        }
    }
    // It has a network of its own, so there is nobody else to talk to.
    container.unix_sockets = true;
    modules::environment(&mut container);
    container.tmpfs("/cache", 0o1777, None);
    container.env("NODE_ENV", "production");
    for (name, value) in plan.config.ship.build_env.iter().flat_map(|given| &given.value) {
        container.env(name, value);
    }
    let finished = child::run(tools, &container)?;
    if !finished.success() {
        return Err(FrontEndError::Script {
            file: front_end.file(),
            script: front_end.script.clone(),
            code: finished.status.code(),
            output: finished.tail(40).to_vec(),
        });
    }
    let is_kept =
        |path: &TreePath| KEPT.contains(&path.file_name()) || path.file_name().ends_with(".tsbuildinfo");
    let scanned = FileTree::scan_where(&app, |path, _| !is_kept(path)).map_err(KeepError::from)?;
    // The copies go with the folder.
    let mut made = changes(scanned, shown);
    for (_, entry) in made.tree.iter_mut() {
        let Node::File { digest, size, at } = &mut entry.node else { continue };
        let kept = tools.store.insert_blob(digest, *size, |writer| -> Result<(), FrontEndError> {
            std::io::copy(&mut fs_err::File::open(&*at)?, writer)?;
            Ok(())
        })?;
        *at = kept;
    }
    Ok(made)
}

fn make_folders(app: &Path, folder: &str, tools: &Tools<'_>) -> Result<(), FrontEndError> {
    let mut at = app.to_owned();
    for part in folder.split('/') {
        at.push(part);
        match fs_err::symlink_metadata(&at) {
            Ok(metadata) if metadata.is_dir() => {}
            // A link of the project's would lead out of the copy.
            Ok(_) => return Err(FrontEndError::InTheWay { path: folder.to_owned() }),
            Err(_) => make_owned(&at, tools)?,
        }
    }
    Ok(())
}

/// Every topmost `node_modules` below `folder`, relative to it.
fn module_folders(folder: &Path) -> Result<Vec<String>, FrontEndError> {
    let mut found = Vec::new();
    let mut next = vec![String::new()];
    while let Some(at) = next.pop() {
        for entry in fs_err::read_dir(folder.join(&at))? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let path = super::find::below(&at, &name);
            if !entry.file_type()?.is_dir() {
                continue;
            }
            if name == MODULES { found.push(path) } else { next.push(path) }
        }
    }
    found.sort();
    Ok(found)
}

fn changes(after: FileTree, before: &FileTree) -> Made {
    let removed = before
        .iter()
        .filter(|(path, entry)| !entry.is_dir() && after.get(path.as_str()).is_none_or(Entry::is_dir))
        .filter(|(path, _)| !path.as_str().split('/').any(|part| KEPT.contains(&part)))
        .map(|(path, _)| path.as_str().to_owned())
        .collect();
    let mut tree = FileTree::new();
    for (path, mut entry) in after {
        if entry.is_dir() {
            continue;
        }
        let is_same = before.get(path.as_str()).is_some_and(|then| match (&then.node, &entry.node) {
            (Node::File { digest: then, .. }, Node::File { digest: now, .. }) => then == now,
            (Node::Symlink { target: then }, Node::Symlink { target: now }) => then == now,
            _ => false,
        });
        if !is_same {
            modules::plain(&mut entry);
            tree.insert(path, entry);
        }
    }
    tree.fill_parents();
    Made { tree, removed }
}

#[cfg(test)]
mod tests {
    use djship_store::Digest;

    use super::*;

    fn file(text: &str) -> Entry {
        Entry::file(Digest::of(text.as_bytes()), text.len() as u64, "/nowhere")
    }

    fn tree(files: &[(&str, &str)]) -> FileTree {
        let mut tree = FileTree::new();
        for (path, text) in files {
            tree.insert(TreePath::parse(path).unwrap(), file(text));
        }
        tree.fill_parents();
        tree
    }

    #[test]
    fn what_a_script_did_is_told_apart_from_what_was_there() {
        let before = tree(&[("a.js", "a"), ("dist/old.js", "o"), ("static/.cache/x", "x"), ("b.css", "b")]);
        let after = tree(&[("a.js", "a"), ("dist/new.js", "n"), ("b.css", "c")]);
        let made = changes(after, &before);
        let paths: Vec<_> =
            made.tree.iter().filter(|(_, entry)| !entry.is_dir()).map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["b.css", "dist/new.js"]);
        assert_eq!(made.removed, ["dist/old.js"]);
    }
}
