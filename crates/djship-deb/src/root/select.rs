//! Which of several alternatives is taken: what `update-alternatives` would have linked.

use std::collections::BTreeMap;

use djship_store::{Entry, FileTree, TreePath};

use super::resolve;
use crate::alternatives::Alternative;

/// Makes the links of the alternative with the highest priority for each name, of those whose target is there. A link never takes
/// the place of something that a package ships.
pub(super) fn link_alternatives<'packages>(
    tree: &mut FileTree,
    alternatives: impl Iterator<Item = &'packages Alternative>,
) {
    let mut best: BTreeMap<&str, &Alternative> = BTreeMap::new();
    for alternative in alternatives {
        if resolve(tree, &alternative.target).is_none() {
            continue;
        }
        let current = best.entry(&alternative.name).or_insert(alternative);
        // Of equals the one that comes first by name, whatever the order of packages.
        if (alternative.priority, &current.target) > (current.priority, &alternative.target) {
            *current = alternative;
        }
    }
    for chosen in best.values() {
        link(tree, &chosen.link, &chosen.name, &chosen.target);
        for slave in &chosen.slaves {
            if resolve(tree, &slave.target).is_some() {
                link(tree, &slave.link, &slave.name, &slave.target);
            }
        }
    }
}

fn link(tree: &mut FileTree, link: &str, name: &str, target: &str) {
    let (Some(path), Ok(choice)) =
        (real_place(tree, link), TreePath::parse(&format!("etc/alternatives/{name}")))
    else {
        return;
    };
    if tree.get(path.as_str()).is_none() {
        tree.insert(path, Entry::symlink(format!("/etc/alternatives/{name}")));
        tree.insert(choice, Entry::symlink(target));
        // The next alternative may lead through this one.
        tree.fill_parents();
    }
}

/// The path with the links among its folders followed: `/lib/cpp` is `/usr/lib/cpp`.
fn real_place(tree: &FileTree, link: &str) -> Option<TreePath> {
    let path = TreePath::parse(link).ok()?;
    match path.parent().and_then(|parent| resolve(tree, parent.as_str())) {
        Some(folder) => folder.join(path.file_name()).ok(),
        None => Some(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alternatives::Slave;
    use djship_store::{Digest, Node};

    fn alternative(target: &str, priority: i32) -> Alternative {
        let slave = |name: &str, target: &str| Slave {
            link: format!("/usr/bin/{name}"),
            name: name.to_owned(),
            target: target.to_owned(),
        };
        Alternative {
            link: "/bin/awk".to_owned(),
            name: "awk".to_owned(),
            target: target.to_owned(),
            priority,
            slaves: vec![slave("nawk", target), slave("awk.1.gz", "/usr/share/man/man1/mawk.1.gz")],
        }
    }

    #[test]
    fn the_highest_that_is_there_is_linked() {
        let file = || Entry::file(Digest::of(b""), 0, "/nowhere");
        let mut tree: FileTree = [
            ("bin", Entry::symlink("usr/bin")),
            ("usr", Entry::dir()),
            ("usr/bin", Entry::dir()),
            ("usr/bin/mawk", file()),
            ("usr/bin/gawk", file()),
        ]
        .into_iter()
        .map(|(path, entry)| (TreePath::parse(path).unwrap(), entry))
        .collect();
        let all = [
            alternative("/usr/bin/mawk", 5),
            alternative("/usr/bin/gawk", 10),
            alternative("/usr/bin/missing", 99),
        ];
        link_alternatives(&mut tree, all.iter());
        let target = |path: &str| match &tree.get(path).unwrap().node {
            Node::Symlink { target } => target.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(target("usr/bin/awk"), "/etc/alternatives/awk");
        assert_eq!(target("etc/alternatives/awk"), "/usr/bin/gawk");
        assert_eq!(target("etc/alternatives/nawk"), "/usr/bin/gawk");
        assert!(tree.get("etc/alternatives/awk.1.gz").is_none());
        assert_eq!(resolve(&tree, "/bin/awk").unwrap().as_str(), "usr/bin/gawk");
    }
}
