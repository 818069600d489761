//! Packages over a root that somebody else made, such as the layers of an image.

use djship_store::{FileTree, Node, Store, TreePath};

use super::compose::{apply, check_parents, merge, record, sorted};
use super::generated::{add_users, certificates, put, read};
use super::select::link_alternatives;
use super::trim::trim;
use super::{ComposeError, RootOptions};
use crate::control::paragraphs;
use crate::data::effects::{EFFECTS, MOUNT_POINTS};
use crate::deb::UnpackedPackage;
use crate::loader::refresh_cache;

/// dpkg's own list of what is installed.
const STATUS: &str = "var/lib/dpkg/status";

/// Puts packages over `base`, whose `/usr` is merged, as unpacking and their scripts would: a file of theirs replaces what is there, a folder joins it. Only
/// they are trimmed; what `base` brings stays as it is. The records of packages that are replaced go with them.
pub fn compose_over(
    base: &FileTree,
    packages: &[UnpackedPackage],
    options: &RootOptions,
    store: &Store,
) -> Result<FileTree, ComposeError> {
    let packages = sorted(packages);
    let mut added = merge(&packages)?;
    trim(&mut added, options.trim, options.arch);
    let mut tree = base.clone();
    for (path, entry) in added {
        match tree.get(path.as_str()).map(|there| &there.node) {
            // A link to a folder is the folder.
            Some(Node::Dir | Node::Symlink { .. }) if entry.is_dir() => continue,
            Some(Node::Dir) => drop(tree.remove(path.as_str())),
            _ => {}
        }
        tree.insert(path, entry);
    }
    for (package, effects) in EFFECTS {
        if packages.iter().any(|unpacked| unpacked.package.name == package) {
            apply(&mut tree, effects, store)?;
        }
    }
    apply(&mut tree, MOUNT_POINTS, store)?;
    add_users(&mut tree, &options.users, store)?;
    // The image's own bundle may hold more than Debian's authorities.
    if packages.iter().any(|unpacked| unpacked.package.name == "ca-certificates") {
        certificates(&mut tree, store)?;
    }
    link_alternatives(&mut tree, packages.iter().flat_map(|unpacked| &unpacked.record.alternatives));
    forget(&mut tree, &packages, store)?;
    record(&mut tree, &packages)?;
    tree.fill_parents();
    check_parents(&tree)?;
    if !packages.is_empty() {
        refresh_cache(&mut tree, options.arch, store)?;
    }
    Ok(tree)
}

/// Takes the old records of these packages out of dpkg's list.
fn forget(tree: &mut FileTree, packages: &[&UnpackedPackage], store: &Store) -> Result<(), ComposeError> {
    let Some(text) = read(tree, STATUS)? else { return Ok(()) };
    let text = String::from_utf8_lossy(&text);
    let is_replaced = |name: &str| packages.iter().any(|unpacked| unpacked.package.name == name);
    let replaced = paragraphs(&text).filter(|one| one.get("Package").is_some_and(is_replaced)).count();
    if replaced == 0 {
        return Ok(());
    }
    let stays = paragraphs(&text).filter(|one| !one.get("Package").is_some_and(is_replaced));
    let text: String = stays.map(|one| format!("{}\n\n", one.as_str())).collect();
    // In place: its owner and mode are the image's.
    let before = tree.get(STATUS).cloned();
    put(tree, STATUS, text.as_bytes(), store)?;
    let path = TreePath::parse(STATUS)?;
    if let (Some(before), Some(mut entry)) = (before, tree.get(STATUS).cloned()) {
        (entry.mode, entry.uid, entry.gid) = (before.mode, before.uid, before.gid);
        tree.insert(path, entry);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::{Package, Priority};
    use crate::release::{Arch, Codename, Suite};
    use crate::root::{Trim, User};
    use djship_store::{Digest, Entry};

    fn file(store: &Store, text: &str) -> Entry {
        let (digest, at) = store.put_blob(text.as_bytes()).unwrap();
        Entry::file(digest, text.len() as u64, at)
    }

    fn tree(entries: impl IntoIterator<Item = (&'static str, Entry)>) -> FileTree {
        let mut tree: FileTree =
            entries.into_iter().map(|(path, entry)| (TreePath::parse(path).unwrap(), entry)).collect();
        tree.fill_parents();
        tree
    }

    fn text(tree: &FileTree, path: &str) -> String {
        String::from_utf8(read(tree, path).unwrap().unwrap()).unwrap()
    }

    #[test]
    fn packages_replace_join_and_are_recorded() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let status =
            "Package: tool\nStatus: install ok installed\nVersion: 1\n\nPackage: other\nVersion: 7\n";
        let base = tree([
            ("bin", Entry::symlink("usr/bin")),
            ("lib", Entry::symlink("/usr/lib")),
            ("usr/lib", Entry::dir()),
            ("usr/bin/tool", file(&store, "old")),
            ("usr/bin/pip", file(&store, "stays, whatever it is")),
            ("etc/shadow", file(&store, "root:*").with_mode(0o640).owned_by(0, 42)),
            ("etc/passwd", file(&store, "root:x:0:0::/root:/bin/sh")),
            (STATUS, file(&store, status).with_mode(0o600)),
        ]);
        let files = tree([
            ("usr/bin/tool", file(&store, "new")),
            ("usr/include/tool.h", file(&store, "")),
            ("usr/share/tool/data", file(&store, "data")),
        ]);
        let folder = dir.path().join("package");
        fs_err::create_dir(&folder).unwrap();
        fs_err::write(folder.join("status"), "Package: tool\nVersion: 2\n").unwrap();
        let package = Package {
            name: "tool".into(),
            version: "2".into(),
            architecture: "all".into(),
            source: String::new(),
            priority: Priority::Optional,
            essential: false,
            suite: Suite::Main,
            filename: String::new(),
            size: 1,
            sha256: Digest::of(b""),
            installed_kib: 0,
            pre_depends: String::new(),
            depends: String::new(),
            provides: String::new(),
        };
        let record = crate::PackageRecord {
            status_digest: Digest::of(b"Package: tool\nVersion: 2\n"),
            status_size: 25,
            alternatives: Vec::new(),
            unread_alternatives: Vec::new(),
            conffiles: Vec::new(),
        };
        let unpacked = [UnpackedPackage { package, tree: files, folder, record }];
        let options = RootOptions {
            codename: Codename::Trixie,
            arch: Arch::Amd64,
            trim: Trim::Production,
            users: vec![User::new("runner", 1000, "/app")],
        };
        let whole = compose_over(&base, &unpacked, &options, &store).unwrap();
        assert_eq!(text(&whole, "usr/bin/tool"), "new");
        assert_eq!(text(&whole, "usr/share/tool/data"), "data");
        assert!(whole.get("usr/include/tool.h").is_none(), "headers do not ship");
        assert_eq!(whole.get("usr/bin/pip"), base.get("usr/bin/pip"));
        assert_eq!(whole.get("etc/shadow"), base.get("etc/shadow"));
        assert_eq!(whole.get("lib"), base.get("lib"));
        assert_eq!(text(&whole, STATUS), "Package: other\nVersion: 7\n\n");
        assert_eq!(whole.get(STATUS).unwrap().mode, 0o600);
        assert!(whole.get("var/lib/dpkg/status.d/tool").is_some());
        let passwd = text(&whole, "etc/passwd");
        assert_eq!(passwd, "root:x:0:0::/root:/bin/sh\nrunner:*:1000:1000::/app:/bin/sh\n");
        // Once more, with nothing: who has the number keeps it.
        let again = compose_over(&whole, &[], &options, &store).unwrap();
        assert_eq!(again.digest(), whole.digest());
    }
}
