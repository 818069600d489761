//! Packages made in memory, good and hostile.

use super::*;
use crate::deb::ar::tests::write as write_ar;
use crate::package::Priority;
use crate::release::Suite;
use djship_store::{FileTree, Node};

const CONTROL: &str = "Package: a\nVersion: 1\nArchitecture: all\nDescription: short\n long\n";

fn package() -> Package {
    Package {
        name: "a".to_owned(),
        version: "1".to_owned(),
        architecture: "all".to_owned(),
        source: String::new(),
        priority: Priority::Optional,
        essential: false,
        suite: Suite::Main,
        filename: "pool/a.deb".to_owned(),
        size: 0,
        sha256: Digest::of(b""),
        installed_kib: 0,
        pre_depends: String::new(),
        depends: String::new(),
        provides: String::new(),
    }
}

/// `(path, kind, content or target)`; the path is written as it is, however wrong.
fn tar_of(entries: &[(&str, tar::EntryType, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, kind, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(if *kind == tar::EntryType::Directory { 0o755 } else { 0o4755 });
        header.set_uid(0);
        header.set_gid(42);
        header.set_mtime(7);
        header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        let is_file = *kind == tar::EntryType::Regular;
        header.set_size(if is_file { content.len() as u64 } else { 0 });
        if !is_file {
            header.as_gnu_mut().unwrap().linkname[..content.len()].copy_from_slice(content.as_bytes());
        }
        header.set_cksum();
        builder.append(&header, if is_file { content.as_bytes() } else { b"" }).unwrap();
    }
    builder.into_inner().unwrap()
}

fn deb_of(control: &str, data: &[(&str, tar::EntryType, &str)]) -> Vec<u8> {
    let control = tar_of(&[("./control", tar::EntryType::Regular, control)]);
    let data = zstd::encode_all(tar_of(data).as_slice(), 1).unwrap();
    write_ar(&[("debian-binary", b"2.0\n"), ("control.tar", &control), ("data.tar.zst", &data)])
}

fn unpacked(deb: &[u8]) -> (tempfile::TempDir, Result<FileTree, DebError>) {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("inside");
    fs_err::create_dir(&folder).unwrap();
    let result = unpack(deb, &package(), &folder).map(|()| FileTree::load(&folder).unwrap());
    (dir, result)
}

#[test]
fn files_land_under_merged_usr() {
    use tar::EntryType::{Directory, Link, Regular, Symlink};
    let deb = deb_of(
        CONTROL,
        &[
            ("./", Directory, ""),
            ("./bin/", Directory, ""),
            ("./bin/tool", Regular, "binary"),
            ("./bin/hard", Link, "./bin/tool"),
            ("./lib64", Symlink, "usr/lib64"),
            ("./usr/share/man/man1/tool.1", Regular, "page"),
            ("./usr/share/doc/a/copyright", Regular, "free"),
            ("./usr/share/doc/a/README", Regular, "read"),
        ],
    );
    let (dir, tree) = unpacked(&deb);
    let tree = tree.unwrap();
    let paths: Vec<&str> = tree.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "usr",
            "usr/bin",
            "usr/bin/hard",
            "usr/bin/tool",
            "usr/share",
            "usr/share/doc",
            "usr/share/doc/a",
            "usr/share/doc/a/copyright"
        ]
    );
    let tool = tree.get("usr/bin/tool").unwrap();
    assert_eq!((tool.mode, tool.gid, tool.mtime), (0o4755, 42, 7));
    let Node::File { digest, at, .. } = &tool.node else { panic!("{tool:?}") };
    assert_eq!(*digest, Digest::of(b"binary"));
    assert_eq!(fs_err::read(at).unwrap(), b"binary");
    let status = fs_err::read_to_string(dir.path().join("inside/status")).unwrap();
    assert_eq!(status.lines().nth(1), Some("Status: install ok installed"));
    assert!(status.ends_with(" long\n"), "{status}");
}

#[test]
fn nothing_gets_out() {
    use tar::EntryType::{Block, Char, Fifo, Link, Regular, Symlink};
    for attack in [
        vec![("../outside", Regular, "x")],
        vec![("./usr/../../outside", Regular, "x")],
        vec![("./usr/link", Symlink, "../.."), ("./usr/link/outside", Regular, "x")],
        vec![("./opt", Symlink, "/"), ("./opt/outside", Regular, "x")],
        vec![("./hard", Link, "/etc/passwd")],
        vec![("./hard", Link, "../outside")],
        vec![("./null", Char, "")],
        vec![("./disk", Block, "")],
        vec![("./pipe", Fifo, "")],
    ] {
        let (dir, result) = unpacked(&deb_of(CONTROL, &attack));
        assert!(result.is_err(), "{attack:?}");
        let left: Vec<_> =
            fs_err::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["inside"], "{attack:?}");
    }
}

#[test]
fn another_package_is_refused() {
    let deb = deb_of(&CONTROL.replace("Version: 1", "Version: 2"), &[]);
    assert!(matches!(unpacked(&deb).1, Err(DebError::OtherPackage { field: "Version", .. })));
}

#[test]
fn cut_off_packages_are_refused() {
    let deb = deb_of(CONTROL, &[("./usr/lib/x", tar::EntryType::Regular, &"long".repeat(5000))]);
    assert!(unpacked(&deb).1.is_ok());
    for length in (0..deb.len() - 1).step_by(97) {
        assert!(unpacked(&deb[..length]).1.is_err(), "{length}");
    }
    assert!(matches!(unpacked(b"!<arch>\n").1, Err(DebError::Member { member: "debian-binary" })));
}
