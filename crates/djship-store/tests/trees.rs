//! Trees to the disk and back.

#![expect(clippy::unwrap_used, reason = "a test may panic anywhere")]

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use djship_store::lay_out::LayOutError;
use djship_store::saved::{LoadError, SaveError};
use djship_store::scan::ScanError;
use djship_store::tree::Node;
use djship_store::{Digest, Entry, FileTree, How, TreePath};
use proptest::prelude::*;

fn path(text: &str) -> TreePath {
    TreePath::parse(text).unwrap()
}

/// A folder with a program, two names of one file, a link to it, and an empty folder.
fn sample(dir: &Path) {
    fs_err::create_dir_all(dir.join("bin")).unwrap();
    fs_err::create_dir_all(dir.join("empty")).unwrap();
    fs_err::write(dir.join("bin/tool"), b"#!/bin/sh\n").unwrap();
    fs_err::set_permissions(dir.join("bin/tool"), std::fs::Permissions::from_mode(0o755)).unwrap();
    fs_err::write(dir.join("né"), b"data").unwrap();
    fs_err::hard_link(dir.join("né"), dir.join("second")).unwrap();
    symlink("/bin/tool", dir.join("link")).unwrap();
}

#[test]
fn scanned_laid_out_saved_and_loaded_is_the_same_tree() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    sample(&source);
    let scanned = FileTree::scan(&source).unwrap();
    assert_eq!(scanned.len(), 6);
    assert_eq!(scanned.get("bin/tool").unwrap().mode, 0o755);
    let Node::File { digest, size, .. } = &scanned.get("second").unwrap().node else { panic!("not a file") };
    assert_eq!((*digest, *size), (Digest::of(b"data"), 4));
    for how in [How::Link, How::Copy] {
        let folder = dir.path().join(format!("{how:?}"));
        scanned.lay_out(&folder.join("fs"), how).unwrap();
        let metadata = fs_err::metadata(folder.join("fs/bin/tool")).unwrap();
        let linked = metadata.ino() == fs_err::metadata(source.join("bin/tool")).unwrap().ino();
        assert_eq!(linked, how == How::Link);
        let home = scanned.clone().laid_out_in(&folder.join("fs"));
        home.save(&folder).unwrap();
        let loaded = FileTree::load(&folder).unwrap();
        assert_eq!(loaded, home);
        assert_eq!(loaded.digest(), scanned.digest());
        assert_eq!(FileTree::scan(&folder.join("fs")).unwrap(), home);
        // Entries say where their bytes are, wherever the folder went.
        let moved = dir.path().join("moved");
        fs_err::rename(&folder, &moved).unwrap();
        let Node::File { at, .. } = &FileTree::load(&moved).unwrap().get("né").unwrap().node.clone() else {
            panic!("not a file")
        };
        assert_eq!(fs_err::read(at).unwrap(), b"data");
        fs_err::remove_dir_all(&moved).unwrap();
    }
}

#[test]
fn modes_on_the_disk_are_plain_and_a_shared_file_keeps_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let blob = dir.path().join("blob");
    fs_err::write(&blob, b"x").unwrap();
    fs_err::set_permissions(&blob, std::fs::Permissions::from_mode(0o644)).unwrap();
    let entry = Entry::file(Digest::of(b"x"), 1, &blob);
    let tree: FileTree = [
        (path("secret"), entry.clone().with_mode(0o600)),
        (path("tool"), entry.clone().with_mode(0o4755)),
        (path("folder"), Entry::dir().with_mode(0o1000)),
        (path("no/parents/here"), entry),
    ]
    .into_iter()
    .collect();
    let out = dir.path().join("out");
    tree.lay_out(&out, How::Link).unwrap();
    let metadata = |name: &str| fs_err::metadata(out.join(name)).unwrap();
    let mode = |name: &str| metadata(name).permissions().mode() & 0o7777;
    assert_eq!(["secret", "tool", "folder", "no/parents"].map(mode), [0o644, 0o755, 0o755, 0o755]);
    assert_eq!(fs_err::metadata(&blob).unwrap().permissions().mode() & 0o7777, 0o644);
    assert_eq!(metadata("secret").ino(), fs_err::metadata(&blob).unwrap().ino());
    assert_ne!(metadata("tool").ino(), fs_err::metadata(&blob).unwrap().ino());
    assert!(matches!(tree.lay_out(&out, How::Link), Err(LayOutError::NotEmpty { .. })));
}

#[test]
fn a_tree_with_something_below_a_link_is_not_laid_out() {
    let dir = tempfile::tempdir().unwrap();
    fs_err::create_dir(dir.path().join("outside")).unwrap();
    let target = dir.path().join("outside").to_str().unwrap().to_owned();
    let tree: FileTree =
        [(path("a"), Entry::symlink(target)), (path("a/b/c"), Entry::symlink("x"))].into_iter().collect();
    let result = tree.lay_out(&dir.path().join("inside"), How::Copy);
    assert!(matches!(result, Err(LayOutError::NotAFolder { .. })), "{result:?}");
    assert_eq!(fs_err::read_dir(dir.path().join("outside")).unwrap().count(), 0);
}

#[test]
fn what_no_tree_holds_is_named() {
    use std::os::unix::ffi::OsStrExt as _;
    let dir = tempfile::tempdir().unwrap();
    let socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
    let error = FileTree::scan(dir.path()).unwrap_err();
    assert!(
        matches!(&error, ScanError::Special { path, kind: "socket" } if path.ends_with("socket")),
        "{error}"
    );
    // Refused entries are not looked at.
    assert_eq!(FileTree::scan_where(dir.path(), |path, _| path.as_str() != "socket").unwrap().len(), 0);
    drop(socket);
    fs_err::remove_file(dir.path().join("socket")).unwrap();
    fs_err::write(dir.path().join(std::ffi::OsStr::from_bytes(b"\xff")), b"").unwrap();
    assert!(matches!(FileTree::scan(dir.path()), Err(ScanError::NotUtf8 { what: "name", .. })));
}

#[test]
fn a_saved_tree_does_not_point_outside() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    let tree: FileTree = [(path("a"), Entry::file(Digest::of(b""), 0, "/etc/passwd"))].into_iter().collect();
    assert!(matches!(tree.save(folder), Err(SaveError::Outside { .. })));
    let tree: FileTree =
        [(path("a"), Entry::file(Digest::of(b""), 0, folder.join("fs/../../x")))].into_iter().collect();
    assert!(matches!(tree.save(folder), Err(SaveError::Outside { .. })));
    let digest = Digest::of(b"");
    for (line, outside) in [
        (format!(r#"[{{"path":"a","digest":"{digest}","at":"../x"}}]"#), true),
        (format!(r#"[{{"path":"a","digest":"{digest}","at":"/x"}}]"#), true),
        (format!(r#"[{{"path":"a","digest":"{digest}","target":"x"}}]"#), false),
        (r#"[{"path":"../a"}]"#.to_owned(), false),
        (r#"[{"path":"a","mode":"77777"}]"#.to_owned(), false),
        (r#"[{"path":"a","unknown":1}]"#.to_owned(), false),
        ("[".to_owned(), false),
    ] {
        fs_err::write(folder.join("tree.json"), &line).unwrap();
        let error = FileTree::load(folder).unwrap_err();
        assert_eq!(matches!(error, LoadError::Outside { .. }), outside, "{line}: {error}");
        assert!(outside || matches!(error, LoadError::Malformed { .. }), "{line}: {error}");
    }
}

#[test]
fn a_subtree_is_what_lies_below() {
    let tree: FileTree = ["a", "a/b", "a/b/c", "a.b", "a/d", "ab"]
        .into_iter()
        .map(|text| (path(text), Entry::symlink(text)))
        .collect();
    let below = tree.subtree("a");
    assert_eq!(below.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["b", "b/c", "d"]);
    assert_eq!(below.moved_below(&path("x/y")).unwrap().get("x/y/b/c"), Some(&Entry::symlink("a/b/c")));
    assert_eq!(tree.subtree("/"), tree);
    assert!(tree.subtree("nothing").is_empty());
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let node = prop_oneof![
        Just(Node::Dir),
        ".{1,40}".prop_map(|target| Node::Symlink { target }),
        (any::<[u8; 4]>(), any::<u64>(), "[a-z\"\\\\\u{e9}]{1,9}").prop_map(|(bytes, size, at)| {
            Node::File { digest: Digest::of(&bytes), size, at: Path::new("/kept/fs").join(at) }
        }),
    ];
    (node, 0..=0o7777_u32, any::<u32>(), any::<u32>(), any::<i64>())
        .prop_map(|(node, mode, uid, gid, mtime)| Entry { node, mode, uid, gid, mtime })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_tree_is_loaded_as_it_was_saved(entries in prop::collection::btree_map("[^/\0]{1,8}(/[^/\0]{1,8}){0,3}", any_entry(), 0..20)) {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path();
        let tree: FileTree = entries
            .into_iter()
            .filter_map(|(path, mut entry)| {
                if let Node::File { at, .. } = &mut entry.node {
                    *at = folder.join("fs").join(at.strip_prefix("/kept/fs").unwrap());
                }
                Some((TreePath::parse(&path).ok()?, entry))
            })
            .collect();
        tree.save(folder).unwrap();
        prop_assert_eq!(FileTree::load(folder).unwrap(), tree);
    }
}
