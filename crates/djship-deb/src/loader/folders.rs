//! The folders that the loader looks in: those of `/etc/ld.so.conf`, then the built-in ones.

use djship_store::{FileTree, Node};

use crate::release::Arch;
use crate::root::resolve;

/// The largest configuration file that is read, in bytes.
const LIMIT: u64 = 64 * 1024;

/// The loader's own folders, as they are under merged `/usr`.
pub(super) fn built_in(arch: Arch) -> [String; 2] {
    [format!("usr/lib/{}", arch.triplet()), "usr/lib".to_owned()]
}

/// The folders in the order of the loader's cache, as paths in the tree are written and as the configuration writes them. Folders that
/// are the same through links are named once, as they were first.
pub fn library_folders(tree: &FileTree, arch: Arch) -> Vec<String> {
    let mut folders = Vec::new();
    read_configuration(tree, "etc/ld.so.conf", &mut folders, 0);
    let triplet = arch.triplet();
    folders.extend([
        format!("/lib/{triplet}"),
        format!("/usr/lib/{triplet}"),
        "/lib".to_owned(),
        "/usr/lib".to_owned(),
    ]);
    let mut seen = Vec::new();
    folders.retain(|folder| match resolve(tree, folder) {
        Some(real)
            if tree.get(real.as_str()).is_some_and(djship_store::Entry::is_dir) && !seen.contains(&real) =>
        {
            seen.push(real);
            true
        }
        _ => false,
    });
    folders
}

/// One folder per line; `include PATTERN` reads others. Anything else is left out.
fn read_configuration(tree: &FileTree, path: &str, folders: &mut Vec<String>, depth: u32) {
    if depth > 4 {
        return;
    }
    let Some(text) = read_text(tree, path) else { return };
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or("").trim();
        if let Some(pattern) =
            line.strip_prefix("include").filter(|rest| rest.starts_with(char::is_whitespace))
        {
            for pattern in pattern.split_whitespace() {
                for included in matching(tree, pattern) {
                    read_configuration(tree, &included, folders, depth + 1);
                }
            }
        } else if line.starts_with('/') {
            folders.push(line.trim_end_matches('/').to_owned());
        }
    }
}

/// Entries whose path is the pattern's with something in place of one `*`, sorted.
fn matching(tree: &FileTree, pattern: &str) -> Vec<String> {
    let pattern = pattern.trim_start_matches('/');
    let Some((front, back)) = pattern.split_once('*') else { return vec![pattern.to_owned()] };
    let matches = |path: &&str| {
        path.strip_prefix(front)
            .and_then(|rest| rest.strip_suffix(back))
            .is_some_and(|middle| !middle.contains('/') && !middle.starts_with('.'))
    };
    tree.iter().map(|(path, _)| path.as_str()).filter(matches).map(str::to_owned).collect()
}

fn read_text(tree: &FileTree, path: &str) -> Option<String> {
    let real = resolve(tree, path)?;
    match &tree.get(real.as_str())?.node {
        Node::File { at, size, .. } if *size <= LIMIT => fs_err::read_to_string(at).ok(),
        _ => None,
    }
}
