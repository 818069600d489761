//! Other people's layers: whiteouts, hard links, links in the way, names, and archives that are out for trouble.

#![expect(clippy::unwrap_used, reason = "a test may panic anywhere")]

mod support;

use std::collections::BTreeMap;

use djship_oci::registry::error::LayerArchiveError;
use djship_oci::registry::flatten::FlattenError;
use djship_oci::registry::{Pulled, RegistryError, pull};
use djship_oci::{Platform, wire};
use djship_store::{Digest, FileTree, Node, Store, TreePath};
use djship_testkit::registry::{Behaviour, Registry};
use support::{archive, client, fetcher, gzip, reference, store};

type Entries<'a> = &'a [(&'a str, char, &'a str)];

/// An image of these archives, pulled.
fn pull_archives(store: &Store, archives: &[Vec<u8>]) -> Result<Pulled, RegistryError> {
    let diff_ids: Vec<_> = archives.iter().map(|archive| Digest::of(archive)).collect();
    let blobs = archives.iter().map(|archive| (wire::LAYER_TAR_GZIP, gzip(archive)));
    pull_blobs(store, &diff_ids, &blobs.collect::<Vec<_>>())
}

fn pull_blobs(
    store: &Store,
    diff_ids: &[Digest],
    blobs: &[(&str, Vec<u8>)],
) -> Result<Pulled, RegistryError> {
    let registry = Registry::start(Behaviour::default()).unwrap();
    let descriptor = |kind: &str, content: &[u8]| {
        let digest = registry.put_blob("x", content);
        serde_json::json!({"mediaType": kind, "digest": digest.to_string(), "size": content.len()})
    };
    let config = serde_json::json!({"architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": diff_ids.iter().map(ToString::to_string).collect::<Vec<_>>()}});
    let manifest = serde_json::json!({"schemaVersion": 2, "mediaType": wire::MANIFEST,
        "config": descriptor(wire::CONFIG, config.to_string().as_bytes()),
        "layers": blobs.iter().map(|(kind, blob)| descriptor(kind, blob)).collect::<Vec<_>>()});
    registry.put_manifest("x", "1", wire::MANIFEST, manifest.to_string().as_bytes());
    let name = reference(&format!("{}/x:1", registry.host()));
    pull(&client(&fetcher(), &()), &name, &Platform::linux("amd64"), store, &())
}

/// Every entry with its content, `/` for a folder, `-> target` for a link.
fn shown(tree: &FileTree) -> BTreeMap<String, String> {
    let show = |node: &Node| match node {
        Node::Dir => "/".to_owned(),
        Node::Symlink { target } => format!("-> {target}"),
        Node::File { at, .. } => fs_err::read_to_string(at).unwrap(),
    };
    tree.iter().map(|(path, entry)| (path.as_str().to_owned(), show(&entry.node))).collect()
}

fn flattened(layers: &[Entries<'_>]) -> BTreeMap<String, String> {
    let (_dir, store) = store();
    let archives: Vec<_> = layers.iter().map(|entries| archive(entries)).collect();
    shown(&pull_archives(&store, &archives).unwrap().flatten().unwrap())
}

#[track_caller]
fn assert_flat(layers: &[Entries<'_>], expected: &[(&str, &str)]) {
    let expected: BTreeMap<_, _> =
        expected.iter().map(|(path, content)| ((*path).to_owned(), (*content).to_owned())).collect();
    assert_eq!(flattened(layers), expected);
}

#[test]
fn hard_links_are_names_of_their_own() {
    let lower: Entries<'_> = &[("a", 'f', "old"), ("b", 'h', "a"), ("c", 'h', "b")];
    assert_flat(&[lower, &[("a", 'f', "new")]], &[("a", "new"), ("b", "old"), ("c", "old")]);
    assert_flat(&[lower, &[(".wh.a", 'f', "")]], &[("b", "old"), ("c", "old")]);
    // A new name of what a layer below has.
    assert_flat(
        &[&[("d/", 'd', ""), ("d/a", 'f', "old")], &[("b", 'h', "d/a")]],
        &[("b", "old"), ("d", "/"), ("d/a", "old")],
    );
    // And of a link in the same layer.
    assert_flat(&[&[("l", 'l', "a"), ("m", 'h', "l")]], &[("l", "-> a"), ("m", "-> a")]);
}

#[test]
fn folders_become_links_and_links_become_folders() {
    assert_flat(
        &[
            &[("a/", 'd', ""), ("a/f", 'f', "f"), ("b/", 'd', ""), ("b/g", 'f', "g")],
            &[("a/.wh.f", 'f', ""), ("a", 'l', "b")],
        ],
        &[("a", "-> b"), ("b", "/"), ("b/g", "g")],
    );
    assert_flat(
        &[
            &[("target/", 'd', ""), ("target/keep", 'f', "k"), ("link", 'l', "target")],
            &[("link/", 'd', ""), ("link/.wh..wh..opq", 'f', ""), ("link/new", 'f', "n")],
        ],
        &[("link", "/"), ("link/new", "n"), ("target", "/"), ("target/keep", "k")],
    );
    assert_flat(&[&[("a", 'f', "x")], &[("a/", 'd', ""), ("a/b", 'f', "y")]], &[("a", "/"), ("a/b", "y")]);
}

#[test]
fn a_folder_on_the_way_is_what_it_is_below() {
    let merged: Entries<'_> = &[("usr/lib/", 'd', ""), ("usr/lib/libc", 'f', "c"), ("lib", 'l', "usr/lib")];
    // With an entry of its own it is a folder, as other programs have it.
    assert_flat(
        &[merged, &[("lib/", 'd', ""), ("lib/x", 'f', "x")]],
        &[("lib", "/"), ("lib/x", "x"), ("usr", "/"), ("usr/lib", "/"), ("usr/lib/libc", "c")],
    );
    let through: &[(&str, &str)] =
        &[("lib", "-> usr/lib"), ("usr", "/"), ("usr/lib", "/"), ("usr/lib/libc", "c"), ("usr/lib/x", "x")];
    assert_flat(&[merged, &[("lib/x", 'f', "x")]], through);
    // Whiteouts as well.
    assert_flat(
        &[merged, &[("lib/.wh.libc", 'f', "")]],
        &[("lib", "-> usr/lib"), ("usr", "/"), ("usr/lib", "/")],
    );
    // Links that lead out lead to the root, those that lead nowhere are replaced, loops end.
    assert_flat(
        &[&[("d/", 'd', ""), ("l", 'l', "../../d")], &[("l/x", 'f', "x")]],
        &[("d", "/"), ("d/x", "x"), ("l", "-> ../../d")],
    );
    assert_flat(&[&[("l", 'l', "nothing")], &[("l/x", 'f', "x")]], &[("l", "/"), ("l/x", "x")]);
    assert_flat(
        &[&[("l", 'l', "m"), ("m", 'l', "l")], &[("l/x", 'f', "x")]],
        &[("l", "/"), ("l/x", "x"), ("m", "-> l")],
    );
}

#[test]
fn whiteouts_are_for_what_is_below() {
    assert_flat(
        &[
            &[("a/", 'd', ""), ("a/b/", 'd', ""), ("a/b/c", 'f', "1"), ("ab", 'f', "2")],
            &[("a/.wh..wh..opq", 'f', ""), ("a/new", 'f', "3"), (".wh.ab", 'f', ""), ("ab", 'f', "4")],
            &[("a/.wh..wh..opq", 'f', ""), (".wh..wh.plnk", 'f', ""), (".wh.nothing", 'f', "")],
        ],
        &[("a", "/"), ("ab", "4")],
    );
    assert_flat(&[&[("a", 'f', "1")], &[(".wh..wh..opq", 'f', ""), ("b", 'f', "2")]], &[("b", "2")]);
}

#[test]
fn the_attributes_of_folders_on_the_way_stay() {
    let (_dir, store) = store();
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_mode(0o1777);
    header.set_uid(7);
    header.set_size(0);
    builder.append_data(&mut header, "tmp/", std::io::empty()).unwrap();
    let archives = [builder.into_inner().unwrap(), archive(&[("tmp/x", 'f', "x")])];
    let tree = pull_archives(&store, &archives).unwrap().flatten().unwrap();
    let folder = tree.get("tmp").unwrap();
    assert_eq!((folder.mode, folder.uid), (0o1777, 7));
}

#[test]
fn names_come_as_they_are_and_attributes_are_reported() {
    let long = format!("static/{}/{}.txt", "very_long_directory_name/".repeat(8), "x".repeat(120));
    let long = long.replace("//", "/");
    let mut builder = tar::Builder::new(archive(&[]).split_off(1024));
    let records =
        [("path", "media/Zażółć 日本.txt".as_bytes()), ("SCHILY.xattr.security.capability", b"\x01\0\xff")];
    builder.append_pax_extensions(records).unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_size(1);
    header.set_mode(0o755);
    header.set_path("other").unwrap();
    header.set_cksum();
    builder.append(&header, &b"1"[..]).unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_size(1);
    header.set_mode(0o644);
    builder.append_data(&mut header, &long, &b"2"[..]).unwrap();
    builder.append_link(&mut link_header(), "s", &long).unwrap();
    let (_dir, store) = store();
    let pulled = pull_archives(&store, &[builder.into_inner().unwrap()]).unwrap();
    let content = &pulled.layers[0].content;
    let shown = shown(&content.tree);
    assert_eq!(shown["media/Zażółć 日本.txt"], "1");
    assert_eq!((shown[&long].as_str(), shown["s"].as_str()), ("2", format!("-> {long}").as_str()));
    let attributes: Vec<_> = content.marks.attributes.iter().map(TreePath::as_str).collect();
    assert_eq!(attributes, ["media/Zażółć 日本.txt"]);
}

fn link_header() -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    header.set_mode(0o777);
    header
}

#[test]
fn devices_are_left_out() {
    let (_dir, store) = store();
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Char);
    header.set_size(0);
    header.set_mode(0o666);
    header.set_device_major(1).unwrap();
    header.set_device_minor(3).unwrap();
    builder.append_data(&mut header, "dev/null", std::io::empty()).unwrap();
    let pulled = pull_archives(&store, &[builder.into_inner().unwrap()]).unwrap();
    let marks = &pulled.layers[0].content.marks;
    assert_eq!(marks.left_out.iter().map(TreePath::as_str).collect::<Vec<_>>(), ["dev/null"]);
}

#[test]
fn trouble_is_refused() {
    /// An entry whose name no library would write.
    fn raw(name: &[u8], kind: tar::EntryType, target: &[u8]) -> Vec<u8> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_mode(0o644);
        header.as_mut_bytes()[..name.len()].copy_from_slice(name);
        header.as_mut_bytes()[157..157 + target.len()].copy_from_slice(target);
        header.set_cksum();
        let mut builder = tar::Builder::new(Vec::new());
        builder.append(&header, std::io::empty()).unwrap();
        builder.into_inner().unwrap()
    }
    /// An extension of so many bytes.
    fn extension(kind: tar::EntryType, size: usize) -> Vec<u8> {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(size as u64);
        header.set_path("extension").unwrap();
        header.set_cksum();
        let mut builder = tar::Builder::new(Vec::new());
        builder.append(&header, &*vec![b'x'; size]).unwrap();
        builder.into_inner().unwrap()
    }
    let file = tar::EntryType::Regular;
    let link_then_file = archive(&[("out", 'l', "/etc"), ("out/passwd", 'f', "x")]);
    for (what, archive) in [
        ("a way out", raw(b"a/../../b", file, b"")),
        ("a name that is no text", raw(b"caf\xe9", file, b"")),
        ("a hard link out", raw(b"a", tar::EntryType::Link, b"../../etc/passwd")),
        ("a target that is no text", raw(b"a", tar::EntryType::Symlink, b"caf\xe9")),
        ("a link without a target", raw(b"a", tar::EntryType::Symlink, b"")),
        ("a whiteout of everything", raw(b"a/.wh..", file, b"")),
        ("a whiteout of what is above", raw(b"a/.wh...", file, b"")),
        ("a whiteout of nothing", raw(b".wh.", file, b"")),
        ("a sparse file", raw(b"a", tar::EntryType::GNUSparse, b"")),
        ("a long name without end", extension(tar::EntryType::GNULongName, 100_000)),
        ("attributes without end", extension(tar::EntryType::XHeader, 100_000)),
        ("a file through a link", link_then_file),
        ("no archive", vec![b'x'; 2048]),
        ("a cut archive", archive(&[("a", 'f', "content")])[..520].to_vec()),
    ] {
        let (_dir, store) = store();
        let error = pull_archives(&store, &[archive]).err().unwrap_or_else(|| panic!("{what}"));
        assert!(matches!(error, RegistryError::Unpack(_)), "{what}: {error:?}");
        // Nothing half-made is kept.
        assert!(fs_err::read_dir(store.root().join("tmp")).unwrap().next().is_none(), "{what}");
    }
}

#[test]
fn a_hard_link_to_nothing_is_noticed_when_layers_are_put_together() {
    let (_dir, store) = store();
    let pulled = pull_archives(&store, &[archive(&[("a", 'h', "nothing")])]).unwrap();
    assert!(matches!(pulled.flatten(), Err(FlattenError::LinkTarget { .. })));
}

#[test]
fn every_packing_is_read_and_the_content_is_what_the_config_says() {
    let archive = archive(&[("a", 'f', "x")]);
    let diff_id = Digest::of(&archive);
    // Two members, as some packers write.
    let (first, second) = archive.split_at(700);
    let members = [gzip(first), gzip(second)].concat();
    let zstd = zstd::encode_all(archive.as_slice(), 1).unwrap();
    for (kind, blob) in [
        (wire::LAYER_TAR, archive.clone()),
        (wire::LAYER_TAR_GZIP, members),
        ("application/vnd.docker.image.rootfs.diff.tar.gzip", gzip(&archive)),
        ("application/vnd.oci.image.layer.v1.tar+zstd", zstd),
    ] {
        let (_dir, store) = store();
        let pulled = pull_blobs(&store, &[diff_id], &[(kind, blob)]).unwrap();
        assert_eq!(shown(&pulled.flatten().unwrap())["a"], "x", "{kind}");
    }
    let (_dir, store) = store();
    let error = pull_blobs(&store, &[Digest::of(b"y")], &[(wire::LAYER_TAR, archive.clone())]).unwrap_err();
    assert!(matches!(error, RegistryError::Unpack(LayerArchiveError::WrongContent { .. })), "{error:?}");
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    let error = pull_blobs(&store, &[diff_id], &[(foreign, archive.clone())]).unwrap_err();
    assert!(matches!(error, RegistryError::Unsupported { .. }), "{error:?}");
    let error = pull_blobs(&store, &[diff_id], &[(wire::LAYER_TAR_GZIP, archive)]).unwrap_err();
    assert!(matches!(error, RegistryError::Unpack(LayerArchiveError::Archive { .. })), "{error:?}");
}
