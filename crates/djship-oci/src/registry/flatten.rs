//! Layers into one tree, lowest first, as a container sees them.
//!
//! A folder that a layer has an entry for is a folder afterwards, whatever was there. A folder that is only on the way to
//! an entry is whatever it is below: through a link, the entry goes to where the link leads.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use djship_store::{Entry, FileTree, Node, TreePath};

use super::unpack::LayerTree;

/// How many links are followed on one way.
const LINKS: usize = 40;

/// Layers that do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlattenError {
    /// A second name of something that no layer has.
    #[error("cannot put the layers together: `{path}` is another name of `{target}`, which is not there")]
    LinkTarget {
        /// The name.
        path: TreePath,
        /// What it names.
        target: TreePath,
    },
}

/// All layers as one tree, with the bytes where the layers have them.
pub fn flatten<'layer>(
    layers: impl IntoIterator<Item = &'layer LayerTree>,
) -> Result<FileTree, FlattenError> {
    let mut tree = FileTree::new();
    for layer in layers {
        remove_marked(&mut tree, layer);
        lay_over(&mut tree, layer)?;
    }
    tree.fill_parents();
    Ok(tree)
}

/// Takes away what the layer says is gone.
fn remove_marked(tree: &mut FileTree, layer: &LayerTree) {
    let marks = &layer.marks;
    let implied: BTreeSet<&str> = marks.implied.iter().map(TreePath::as_str).collect();
    let is_own = |path: &str| layer.tree.get(path).is_some() && !implied.contains(path);
    let real = |path: &str| follow(tree, path, &is_own);
    let opaque: BTreeSet<String> = marks.opaque.iter().map(|folder| real(folder)).collect();
    let removed = marks.removed.iter().map(|path| {
        let parent = path.parent().map_or_else(String::new, |parent| real(parent.as_str()));
        below(&parent, path.file_name())
    });
    let removed: BTreeSet<String> = removed.collect();
    if opaque.is_empty() && removed.is_empty() {
        return;
    }
    tree.retain(|path, _| {
        let path = path.as_str();
        !removed.contains(path) && !opaque.contains("") && {
            let mut above = ancestors(path);
            !above.any(|folder| removed.contains(folder) || opaque.contains(folder))
        }
    });
}

fn lay_over(tree: &mut FileTree, layer: &LayerTree) -> Result<(), FlattenError> {
    let implied: BTreeSet<&TreePath> = layer.marks.implied.iter().collect();
    // Where the layer's folders are, and what takes the place of a folder.
    let mut places: BTreeMap<&str, String> = BTreeMap::new();
    let mut entries: Vec<(String, Option<&Entry>)> = Vec::new();
    let mut replaced = BTreeSet::new();
    for (path, entry) in layer.tree.iter() {
        let here = place(tree, &places, path);
        let there = tree.get(&here);
        if implied.contains(path) {
            let real = match there.map(|entry| &entry.node) {
                Some(Node::Dir) => Some(here.clone()),
                Some(Node::Symlink { .. }) => {
                    let real = follow(tree, &here, &|_| false);
                    tree.get(&real).is_some_and(Entry::is_dir).then_some(real)
                }
                _ => None,
            };
            if real.is_none() {
                entries.push((here.clone(), None));
            }
            places.insert(path.as_str(), real.unwrap_or(here));
            continue;
        }
        if entry.is_dir() {
            places.insert(path.as_str(), here.clone());
        } else if there.is_some_and(Entry::is_dir) {
            replaced.insert(here.clone());
        }
        entries.push((here, Some(entry)));
    }
    if !replaced.is_empty() {
        tree.retain(|path, _| !ancestors(path.as_str()).any(|folder| replaced.contains(folder)));
    }
    for (here, entry) in entries {
        // Made of the components of paths.
        if let Ok(path) = TreePath::parse(&here) {
            tree.insert(path, entry.cloned().unwrap_or_else(Entry::dir));
        }
    }
    for (path, target) in &layer.marks.links {
        let wanted = place(tree, &places, target);
        let found = tree.get(&wanted).filter(|entry| !entry.is_dir()).cloned();
        let missing = || FlattenError::LinkTarget { path: path.clone(), target: target.clone() };
        let here = TreePath::parse(&place(tree, &places, path)).map_err(|_| missing())?;
        let entry = found.ok_or_else(missing)?;
        if tree.get(here.as_str()).is_some_and(Entry::is_dir) {
            tree.remove(here.as_str());
        }
        tree.insert(here, entry);
    }
    Ok(())
}

/// Where an entry of a layer belongs.
fn place(tree: &FileTree, places: &BTreeMap<&str, String>, path: &TreePath) -> String {
    let Some(parent) = path.parent() else { return path.as_str().to_owned() };
    let folder = places.get(parent.as_str()).cloned();
    below(&folder.unwrap_or_else(|| follow(tree, parent.as_str(), &|_| false)), path.file_name())
}

/// The path without links on it; what is not there stays as it is. `is_own` is not followed. A way with too many links
/// ends where it is.
fn follow(tree: &FileTree, path: &str, is_own: &dyn Fn(&str) -> bool) -> String {
    let mut left: VecDeque<String> = path.split('/').map(str::to_owned).collect();
    let mut done = String::new();
    let mut links = 0;
    while let Some(part) = left.pop_front() {
        match part.as_str() {
            "" | "." => continue,
            // Above the root is the root.
            ".." => {
                done.truncate(done.rfind('/').unwrap_or(0));
                continue;
            }
            _ => {}
        }
        let next = below(&done, &part);
        if let Some(Node::Symlink { target }) = tree.get(&next).map(|entry| &entry.node)
            && links < LINKS
            && !is_own(&next)
        {
            links += 1;
            if target.starts_with('/') {
                done.clear();
            }
            for part in target.rsplit('/') {
                left.push_front(part.to_owned());
            }
            continue;
        }
        done = next;
    }
    done
}

fn below(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// Every folder above, the nearest last.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(slash, _)| &path[..slash])
}
