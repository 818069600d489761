//! Following links inside a tree, as a process would that has the tree as its root.

use djship_store::{FileTree, Node, TreePath};

/// As many links as Linux follows.
const MOST_LINKS: usize = 40;

/// The entry that a path leads to when every link is followed, absolute ones from the tree's root and `..` never above it; `None` if
/// nothing is there.
pub fn resolve(tree: &FileTree, path: &str) -> Option<TreePath> {
    // Components that are still to be walked, the next one last.
    let mut todo: Vec<String> = components(path);
    let mut done: Vec<String> = Vec::new();
    let mut links = 0;
    while let Some(name) = todo.pop() {
        if name == ".." {
            done.pop();
            continue;
        }
        done.push(name);
        let entry = tree.get(&done.join("/"))?;
        match &entry.node {
            Node::Symlink { target } => {
                links += 1;
                if links > MOST_LINKS {
                    return None;
                }
                if target.starts_with('/') {
                    done.clear();
                } else {
                    done.pop();
                }
                todo.extend(components(target));
            }
            Node::File { .. } if !todo.is_empty() => return None,
            Node::File { .. } | Node::Dir => {}
        }
    }
    TreePath::parse(&done.join("/")).ok()
}

/// In reverse, so that the first comes off the end.
fn components(path: &str) -> Vec<String> {
    path.split('/').rev().filter(|part| !matches!(*part, "" | ".")).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use djship_store::{Digest, Entry};

    #[test]
    fn links_are_followed_inside_the_tree() {
        let file = || Entry::file(Digest::of(b""), 0, "/nowhere");
        let tree: FileTree = [
            ("bin", Entry::symlink("usr/bin")),
            ("usr", Entry::dir()),
            ("usr/bin", Entry::dir()),
            ("usr/bin/tool", file()),
            ("usr/bin/abs", Entry::symlink("/bin/./tool")),
            ("usr/bin/up", Entry::symlink("../../../../usr/bin/tool")),
            ("usr/bin/loop", Entry::symlink("loop")),
            ("usr/bin/gone", Entry::symlink("missing")),
        ]
        .into_iter()
        .map(|(path, entry)| (TreePath::parse(path).unwrap(), entry))
        .collect();
        let to = |path: &str| resolve(&tree, path).map(|found| found.as_str().to_owned());
        for path in ["/bin/tool", "bin/abs", "/usr/bin/up", "usr/../bin/tool"] {
            assert_eq!(to(path).as_deref(), Some("usr/bin/tool"), "{path}");
        }
        for path in ["/bin/loop", "bin/gone", "bin/tool/x", "nothing", ""] {
            assert_eq!(to(path), None, "{path}");
        }
    }
}
