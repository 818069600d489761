//! One root from unpacked packages: their files under merged `/usr`, what their scripts would have done, the links of
//! alternatives, the loader's cache, and the records of what is installed.

use djship_store::{Entry, FileTree, Node, Store, StoreError, TreePath, tree::TreePathError};

use super::RootOptions;
use super::generated::{certificates, put, read, users};
use super::select::link_alternatives;
use super::trim::trim;
use crate::data::effects::{EFFECTS, Effect, MOUNT_POINTS};
use crate::deb::UnpackedPackage;
use crate::loader::{CacheError, refresh_cache};
use crate::release::Arch;

/// A root that cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// Two packages ship the same path, and not the same thing.
    #[error("cannot put `{second}` beside `{first}`: both ship `{path}`")]
    Clash {
        /// The path.
        path: TreePath,
        /// The package that had it first.
        first: String,
        /// The other.
        second: String,
    },
    /// An entry lies below something that is not a folder.
    #[error("cannot place `{path}`: `{parent}` is not a folder")]
    BelowNonFolder {
        /// The entry.
        path: TreePath,
        /// What it lies below.
        parent: TreePath,
    },
    /// A user has a name, home or shell that cannot be in a list of users.
    #[error("cannot add the user `{name}`: its name, home or shell is malformed")]
    User {
        /// Its name.
        name: String,
    },
    /// A file of a package cannot be read.
    #[error("cannot read `/{path}`: {source}")]
    Read {
        /// Its path in the root.
        path: String,
        /// Why; names the file on the disk.
        source: std::io::Error,
    },
    /// The loader's cache cannot be made.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A path cannot be in a tree.
    #[error(transparent)]
    Path(#[from] TreePathError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Paths that two packages ship, and the one whose file counts.
const KNOWN_CLASHES: [(&str, &str); 1] = [("usr/bin/pg_config", "libpq-dev")];

/// Where scanners look for what is installed.
const STATUS: &str = "var/lib/dpkg/status.d";

/// Puts the root together. Owners are root's, setuid and setgid bits are dropped, times of packages' files are kept. Generated
/// files go into the store's blobs. The order of the packages does not matter.
pub fn compose(
    packages: &[UnpackedPackage],
    options: &RootOptions,
    store: &Store,
) -> Result<FileTree, ComposeError> {
    let sorted = sorted(packages);
    let mut tree = merge(&sorted)?;
    merge_usr(&mut tree, options.arch)?;
    trim(&mut tree, options.trim, options.arch);
    for (package, effects) in EFFECTS {
        if sorted.iter().any(|unpacked| unpacked.package.name == package) {
            apply(&mut tree, effects, store)?;
        }
    }
    apply(&mut tree, MOUNT_POINTS, store)?;
    users(&mut tree, &options.users, store)?;
    certificates(&mut tree, store)?;
    link_alternatives(&mut tree, sorted.iter().flat_map(|unpacked| &unpacked.record.alternatives));
    record(&mut tree, &sorted)?;
    tree.fill_parents();
    check_parents(&tree)?;
    refresh_cache(&mut tree, options.arch, store)?;
    Ok(tree)
}

/// The packages by name.
pub(super) fn sorted(packages: &[UnpackedPackage]) -> Vec<&UnpackedPackage> {
    let mut sorted: Vec<&UnpackedPackage> = packages.iter().collect();
    sorted.sort_by(|left, right| left.package.name.cmp(&right.package.name));
    sorted
}

/// All files of all packages.
pub(super) fn merge(packages: &[&UnpackedPackage]) -> Result<FileTree, ComposeError> {
    let mut tree = FileTree::new();
    let mut owners = std::collections::HashMap::new();
    for package in packages {
        let name = package.package.name.as_str();
        for (path, entry) in package.tree.iter() {
            match tree.get(path.as_str()) {
                None => {}
                Some(before) if is_same(before, entry) => continue,
                // A folder over a link: the link leads to where the folder's content goes, or the check of parents refuses it.
                Some(before) if entry.is_dir() && matches!(before.node, Node::Symlink { .. }) => continue,
                Some(_) => match KNOWN_CLASHES.iter().find(|(known, _)| *known == path.as_str()) {
                    Some((_, owner)) if *owner == name => {}
                    Some(_) => continue,
                    None => {
                        let first = owners.get(path).copied().unwrap_or_default();
                        let (path, first) = (path.clone(), str::to_owned(first));
                        return Err(ComposeError::Clash { path, first, second: name.to_owned() });
                    }
                },
            }
            let squashed = Entry { mode: entry.mode & 0o1777, uid: 0, gid: 0, ..entry.clone() };
            tree.insert(path.clone(), squashed);
            owners.insert(path, name);
        }
    }
    Ok(tree)
}

/// Whether two packages may both ship the entry.
fn is_same(one: &Entry, other: &Entry) -> bool {
    match (&one.node, &other.node) {
        (Node::Dir, Node::Dir) => true,
        (Node::File { digest: left, .. }, Node::File { digest: right, .. }) => left == right,
        (Node::Symlink { target: left }, Node::Symlink { target: right }) => left == right,
        _ => false,
    }
}

/// The links of the root into `/usr`, and the folders that they lead to.
fn merge_usr(tree: &mut FileTree, arch: Arch) -> Result<(), ComposeError> {
    let folders: &[&str] = match arch {
        Arch::Amd64 => &["bin", "lib", "lib64", "sbin"],
        Arch::Arm64 => &["bin", "lib", "sbin"],
    };
    for name in folders {
        let target = format!("usr/{name}");
        let path = TreePath::parse(&target)?;
        if tree.get(&target).is_none() {
            tree.insert(path, Entry::dir());
        }
        tree.insert(TreePath::parse(name)?, Entry::symlink(target));
    }
    Ok(())
}

/// Replays effects. What a package ships is never replaced, except an empty folder by a link.
pub(super) fn apply(tree: &mut FileTree, effects: &[Effect], store: &Store) -> Result<(), ComposeError> {
    for effect in effects {
        match *effect {
            Effect::CopyOf { from, to } => {
                if tree.get(to).is_none()
                    && let Some(content) = read(tree, from)?
                {
                    put(tree, to, &content, store)?;
                }
            }
            Effect::Link { path, target } => {
                let is_free = match tree.get(path) {
                    None => true,
                    Some(entry) => {
                        entry.is_dir() && tree.iter().filter(|(inner, _)| inner.is_within(path)).count() == 1
                    }
                };
                if is_free {
                    tree.insert(TreePath::parse(path)?, Entry::symlink(target));
                }
            }
            Effect::Folder { path, mode } => {
                let folder = Entry::dir().with_mode(mode);
                match tree.get(path) {
                    Some(entry) if !entry.is_dir() => {}
                    _ => drop(tree.insert(TreePath::parse(path)?, folder)),
                }
            }
            Effect::Text { path, content } => {
                if tree.get(path).is_none() {
                    put(tree, path, content.as_bytes(), store)?;
                }
            }
        }
    }
    Ok(())
}

/// One file per package, with its control paragraph.
pub(super) fn record(tree: &mut FileTree, packages: &[&UnpackedPackage]) -> Result<(), ComposeError> {
    for package in packages {
        let path = TreePath::parse(&format!("{STATUS}/{}", package.package.name))?;
        let record = &package.record;
        tree.insert(path, Entry::file(record.status_digest, record.status_size, package.status_file()));
    }
    Ok(())
}

/// Everything lies in folders: a link among them would put files somewhere else than the tree says.
pub(super) fn check_parents(tree: &FileTree) -> Result<(), ComposeError> {
    for (path, _) in tree.iter() {
        if let Some(parent) = path.parent()
            && !tree.get(parent.as_str()).is_some_and(Entry::is_dir)
        {
            return Err(ComposeError::BelowNonFolder { path: path.clone(), parent });
        }
    }
    Ok(())
}
