//! Our tar streams, read by another implementation.

#![expect(clippy::unwrap_used, reason = "a test may panic anywhere")]

use std::io::Read as _;
use std::path::Path;

use djship_oci::tar::{TarError, size_of, write_tree};
use djship_store::tree::Node;
use djship_store::{Digest, Entry, FileTree, TreePath};
use proptest::prelude::*;

fn tar_of(tree: &FileTree) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_tree(tree, &mut bytes).unwrap();
    assert_eq!(bytes.len() as u64, size_of(tree));
    bytes
}

/// A file whose bytes are in `dir`, under their digest.
fn file(dir: &Path, content: &[u8]) -> Entry {
    let digest = Digest::of(content);
    let at = dir.join(digest.hex());
    fs_err::write(&at, content).unwrap();
    Entry::file(digest, content.len() as u64, at)
}

/// What another implementation reads: name, kind, mode, owner, time, digest of the content or target.
type Seen = (String, u8, u32, u64, u64, i64, String);

fn read_back(bytes: &[u8]) -> Vec<Seen> {
    let mut archive = tar::Archive::new(bytes);
    let mut seen = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        // The crate applies `path`, `linkpath`, `size`, `uid` and `gid` records; times are ours to look up.
        let mut mtime = i64::try_from(entry.header().mtime().unwrap()).unwrap();
        for record in entry.pax_extensions().unwrap().into_iter().flatten() {
            let record = record.unwrap();
            if record.key() == Ok("mtime") {
                mtime = record.value().unwrap().parse().unwrap();
            }
        }
        let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let header = entry.header();
        let (kind, mode) = (header.entry_type().as_byte(), header.mode().unwrap());
        let (uid, gid) = (header.uid().unwrap(), header.gid().unwrap());
        let content = if kind == b'2' {
            String::from_utf8(entry.link_name_bytes().unwrap().into_owned()).unwrap()
        } else {
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            Digest::of(&content).to_string()
        };
        seen.push((name, kind, mode, uid, gid, mtime, content));
    }
    seen
}

fn expected(tree: &FileTree) -> Vec<Seen> {
    let lines = tree.iter().map(|(path, entry)| {
        let (name, kind, content) = match &entry.node {
            Node::Dir => (format!("{}/", path.as_str()), b'5', Digest::of(b"").to_string()),
            Node::Symlink { target } => (path.as_str().to_owned(), b'2', target.clone()),
            Node::File { at, .. } => {
                (path.as_str().to_owned(), b'0', Digest::of(&fs_err::read(at).unwrap()).to_string())
            }
        };
        (name, kind, entry.mode, entry.uid.into(), entry.gid.into(), entry.mtime, content)
    });
    lines.collect()
}

/// One of everything, with nothing of this machine in it.
fn golden_tree(dir: &Path) -> FileTree {
    let long = "long/".repeat(30);
    let mut tree: FileTree = [
        ("app", Entry::dir().owned_by(1000, 0).with_mode(0o2775)),
        ("app/manage.py", file(dir, b"#!/usr/bin/env python3\n").with_mode(0o755)),
        ("app/empty", file(dir, b"")),
        ("app/n\u{e9}", file(dir, &[7; 512])),
        ("bin", Entry::symlink("usr/bin")),
        (&format!("{long}{}", "x".repeat(99)), file(dir, b"split")),
        (&format!("{long}{}", "x".repeat(101)), file(dir, b"too long to split")),
        ("link", Entry::symlink("t".repeat(101))),
        ("owner", Entry { mtime: -1, ..file(dir, b"big").owned_by(4_000_000_000, 0o777_7777) }),
    ]
    .into_iter()
    .map(|(path, entry)| (TreePath::parse(path).unwrap(), entry))
    .collect();
    tree.fill_parents();
    tree
}

#[test]
fn the_golden_tree_has_the_golden_digest() {
    let dir = tempfile::tempdir().unwrap();
    let tree = golden_tree(dir.path());
    let bytes = tar_of(&tree);
    // The content first: a difference there says more than a digest.
    assert_eq!(read_back(&bytes), expected(&tree));
    let found = Digest::of(&bytes).to_string();
    assert_eq!(
        found, "sha256:37298d710949b8c8ca36785dbc7198df5b39cba097a21f8c4b7306e35d47d852",
        "changing the form of tar streams changes every image"
    );
}

#[test]
fn a_changed_file_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in [("shorter", &b"abc"[..]), ("longer", b"abcde")] {
        let at = dir.path().join(name);
        fs_err::write(&at, content).unwrap();
        let path = TreePath::parse("file").unwrap();
        let tree: FileTree = [(path, Entry::file(Digest::of(b"abcd"), 4, at))].into_iter().collect();
        let error = write_tree(&tree, &mut Vec::new()).unwrap_err();
        assert!(matches!(error, TarError::Changed { size: 4, .. }), "{error}");
    }
}

#[test]
fn a_line_feed_ends_no_record() {
    let tree: FileTree = [(TreePath::parse("\u{e9}\nb").unwrap(), Entry::symlink("x"))].into_iter().collect();
    let bytes = tar_of(&tree);
    assert_eq!(&bytes[512..526], "13 path=\u{e9}\nb\n\0".as_bytes());
}

#[test]
fn an_empty_tree_is_an_empty_archive() {
    assert_eq!(tar_of(&FileTree::new()), vec![0; 1024]);
}

// Without line feeds: the other implementation takes them for the ends of records, whatever length a record says.
fn any_name() -> impl Strategy<Value = String> {
    let part = prop_oneof!["[a-z. -]{1,12}", "[a-z]{90,110}", "[^/\0\n]{1,40}", Just("p".repeat(200))];
    prop::collection::vec(part, 1..5).prop_map(|parts| parts.join("/"))
}

fn any_entry() -> impl Strategy<Value = (Option<Option<String>>, Vec<u8>, u32, u32, u32, i64)> {
    let link = prop_oneof![".{1,20}", "[a-z/]{90,300}"]
        .prop_filter("no zero byte", |text| !text.contains(['\0', '\n']));
    let node = prop_oneof![Just(None), Just(Some(None)), link.prop_map(|target| Some(Some(target)))];
    let time = prop_oneof![0..2_000_000_000_i64, any::<i64>()];
    (node, prop::collection::vec(any::<u8>(), 0..1500), 0..=0o7777_u32, any::<u32>(), 0..4_000_000_u32, time)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_tree_is_read_back(entries in prop::collection::btree_map(any_name(), any_entry(), 0..12)) {
        let dir = tempfile::tempdir().unwrap();
        let tree: FileTree = entries
            .into_iter()
            .filter_map(|(name, (node, content, mode, uid, gid, mtime))| {
                let entry = match node {
                    None => Entry::dir().with_mode(mode),
                    Some(None) => file(dir.path(), &content).with_mode(mode),
                    Some(Some(target)) => Entry::symlink(target),
                };
                Some((TreePath::parse(&name).ok()?, Entry { mtime, ..entry.owned_by(uid, gid) }))
            })
            .collect();
        prop_assert_eq!(read_back(&tar_of(&tree)), expected(&tree));
    }
}
