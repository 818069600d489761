//! What the ELF files of an environment need at run time.
//!
//! `NEEDED` entries are resolved as the dynamic linker would: the file's own search path, the system's library
//! folders, and what the environment brings itself (`ld.so(8)`).

use std::collections::{BTreeMap, BTreeSet};

use djship_deb::loader::read_library;
use djship_store::{FileTree, Node, TreePath};

/// ELF files larger than this are not read; the largest in use (machine learning) are below 2 GiB.
const MAX_ELF: u64 = 4 << 30;

/// A shared library that something needs and nothing at hand provides.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// The library's name, such as `libpq.so.5`.
    pub soname: String,
    /// The file that needs it.
    pub path: TreePath,
}

/// An ELF file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read `{path}` as an ELF file: {reason}")]
pub struct ElfError {
    /// The path in the tree.
    pub path: TreePath,
    /// Why.
    pub reason: String,
}

/// The libraries that ELF files below `within` need and that are neither in `present` (file names in the system's
/// library folders) nor in the tree itself.
pub fn unmet(tree: &FileTree, within: &str, present: &BTreeSet<String>) -> Result<Vec<Need>, ElfError> {
    let own: BTreeSet<&str> = tree
        .iter()
        .filter(|(path, _)| path.is_within(within))
        .map(|(path, _)| path.file_name())
        .filter(|name| name.contains(".so"))
        .collect();
    let mut unmet = BTreeMap::new();
    for (path, entry) in tree.iter().filter(|(path, _)| path.is_within(within)) {
        let Node::File { at, size, .. } = &entry.node else { continue };
        if !(path.file_name().contains(".so") || entry.mode & 0o111 != 0) || *size < 64 || *size > MAX_ELF {
            continue;
        }
        let library =
            read_library(at).map_err(|error| ElfError { path: path.clone(), reason: error.to_string() })?;
        for soname in library.map_or_else(Vec::new, |library| library.needed) {
            // A wheel that brings a library keeps it under its own name, wherever its search path points.
            if !present.contains(&soname) && !own.contains(soname.as_str()) {
                unmet.entry(soname).or_insert_with(|| path.clone());
            }
        }
    }
    Ok(unmet.into_iter().map(|(soname, path)| Need { soname, path }).collect())
}

/// The names of all libraries in the system's library folders of a root.
pub fn system_libraries(tree: &FileTree) -> BTreeSet<String> {
    tree.iter()
        .filter(|(path, entry)| !entry.is_dir() && path.file_name().contains(".so"))
        .filter(|(path, _)| {
            let folder = path.parent().map_or_else(String::new, |parent| parent.as_str().to_owned());
            matches!(folder.as_str(), "usr/lib" | "usr/lib64" | "usr/local/lib")
                || folder.strip_prefix("usr/lib/").is_some_and(|rest| rest.ends_with("-linux-gnu"))
        })
        .map(|(path, _)| path.file_name().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use djship_store::{Digest, Entry};

    #[test]
    fn this_very_test_needs_the_c_library() {
        let program = std::env::current_exe().unwrap();
        let size = fs_err::metadata(&program).unwrap().len();
        let entry = Entry::file(Digest::of(b""), size, &program).with_mode(0o755);
        let tree: FileTree = [(TreePath::parse("venv/bin/tool").unwrap(), entry)].into_iter().collect();
        let unmet = unmet(&tree, "venv", &BTreeSet::from(["libgcc_s.so.1".to_owned()])).unwrap();
        let names: Vec<_> = unmet.iter().map(|need| need.soname.as_str()).collect();
        assert!(names.contains(&"libc.so.6"), "{names:?}");
        assert!(!names.contains(&"libgcc_s.so.1"), "{names:?}");
    }

    #[test]
    fn a_library_that_the_environment_brings_is_met() {
        let program = std::env::current_exe().unwrap();
        let size = fs_err::metadata(&program).unwrap().len();
        let tool = Entry::file(Digest::of(b""), size, &program).with_mode(0o755);
        let tree: FileTree = [
            (TreePath::parse("venv/x.libs/libc.so.6").unwrap(), Entry::symlink("elsewhere")),
            (TreePath::parse("venv/bin/tool").unwrap(), tool),
        ]
        .into_iter()
        .collect();
        let unmet = unmet(&tree, "venv", &BTreeSet::new()).unwrap();
        assert!(unmet.iter().all(|need| need.soname != "libc.so.6"), "{unmet:?}");
    }
}
