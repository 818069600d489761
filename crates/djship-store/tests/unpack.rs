//! The guarded door: every attack that an archive can carry, and that nothing outside its folder changes.

#![expect(clippy::unwrap_used, reason = "a test may panic anywhere")]

use std::io::Read;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use djship_store::tree::Node;
use djship_store::unpack::{Attributes, Door, EntryKind, Limits, UnpackError};
use djship_store::{Entry, FileTree, TreePath};

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs_err::create_dir(dir.path().join("outside")).unwrap();
        Self { dir }
    }

    fn door(&self) -> Door {
        Door::new(&self.inside()).unwrap()
    }

    fn inside(&self) -> std::path::PathBuf {
        self.dir.path().join("inside")
    }

    fn outside(&self) -> std::path::PathBuf {
        self.dir.path().join("outside")
    }
}

fn path(text: &str) -> TreePath {
    TreePath::parse(text).unwrap()
}

fn put(door: &mut Door, at: &str, kind: EntryKind) -> Result<Entry, UnpackError> {
    door.place(&path(at), kind, Attributes::of_root(0o644), &mut &b"content"[..])
}

fn file() -> EntryKind {
    EntryKind::File { size: 7 }
}

fn link(target: impl Into<String>) -> EntryKind {
    EntryKind::Symlink { target: target.into() }
}

#[test]
fn nothing_gets_out() {
    type Attack = fn(&mut Door, outside: &Path) -> Result<(), UnpackError>;
    let attacks: [(&str, Attack); 10] = [
        ("write through an absolute link", |door, outside| {
            put(door, "a", link(outside.to_str().unwrap()))?;
            put(door, "a/file", file()).map(drop)
        }),
        ("write through a relative link", |door, _| {
            put(door, "a", link("../outside"))?;
            put(door, "a/file", file()).map(drop)
        }),
        ("write through a link further up", |door, _| {
            put(door, "a", EntryKind::Dir)?;
            put(door, "a/b", link("../../outside"))?;
            put(door, "a/b/c/d/file", file()).map(drop)
        }),
        ("make a folder through a link", |door, _| {
            put(door, "a", link("../outside"))?;
            put(door, "a/folder", EntryKind::Dir).map(drop)
        }),
        ("make a link through a link", |door, _| {
            put(door, "a", link("../outside"))?;
            put(door, "a/link", link("x")).map(drop)
        }),
        ("replace an empty folder that is in use by a link", |door, _| {
            put(door, "a/file", file())?;
            // Removes nothing, because the folder is not empty.
            put(door, "a", link("../outside"))?;
            put(door, "a/file2", file()).map(drop)
        }),
        ("hard link to a file that is not of this archive", |door, _| {
            put(door, "a", EntryKind::HardLink { target: path("etc/passwd") }).map(drop)
        }),
        ("hard link to a link", |door, outside| {
            put(door, "a", link(outside.join("victim").to_str().unwrap()))?;
            put(door, "b", EntryKind::HardLink { target: path("a") }).map(drop)
        }),
        ("hard link through a link", |door, _| {
            put(door, "a", link("../outside"))?;
            put(door, "b", EntryKind::HardLink { target: path("a/victim") }).map(drop)
        }),
        ("hard link into a link", |door, _| {
            put(door, "f", file())?;
            put(door, "a", link("../outside"))?;
            put(door, "a/x", EntryKind::HardLink { target: path("f") }).map(drop)
        }),
    ];
    for (name, attack) in attacks {
        let place = Place::new();
        assert!(attack(&mut place.door(), &place.outside()).is_err(), "{name}");
        assert_eq!(fs_err::read_dir(place.outside()).unwrap().count(), 0, "{name}");
    }
}

#[test]
fn a_link_is_replaced_and_not_written_through() {
    let place = Place::new();
    let victim = place.outside().join("victim");
    fs_err::write(&victim, b"before").unwrap();
    let mut door = place.door();
    put(&mut door, "a", link("../outside/victim")).unwrap();
    put(&mut door, "a", file()).unwrap();
    put(&mut door, "b", link("../outside")).unwrap();
    put(&mut door, "b", EntryKind::Dir).unwrap();
    put(&mut door, "b/victim", file()).unwrap();
    assert_eq!(fs_err::read(&victim).unwrap(), b"before");
    assert_eq!(fs_err::read(place.inside().join("a")).unwrap(), b"content");
    assert_eq!(fs_err::read(place.inside().join("b/victim")).unwrap(), b"content");
}

#[test]
fn a_second_name_is_not_written_through() {
    let place = Place::new();
    let mut door = place.door();
    put(&mut door, "a", file()).unwrap();
    put(&mut door, "deep/b", EntryKind::HardLink { target: path("a") }).unwrap();
    door.place(&path("a"), EntryKind::File { size: 3 }, Attributes::of_root(0o644), &mut &b"new"[..])
        .unwrap();
    assert_eq!(fs_err::read(place.inside().join("deep/b")).unwrap(), b"content");
    let tree = door.finish();
    let Node::File { size, at, .. } = &tree.get("deep/b").unwrap().node else { panic!("not a file") };
    assert_eq!((*size, at), (7, &place.inside().join("deep/b")));
    assert!(tree.get("deep").unwrap().is_dir());
}

#[test]
fn names_that_lead_out_are_no_paths() {
    for text in ["..", "../x", "a/../../x", "/..", "a/..", "x\0y", "", "/", "."] {
        assert!(TreePath::parse(text).is_err(), "{text:?}");
    }
    // An absolute name means the tree's own root.
    let place = Place::new();
    put(&mut place.door(), "/outside/file", file()).unwrap();
    assert!(place.inside().join("outside/file").exists());
    assert_eq!(fs_err::read_dir(place.outside()).unwrap().count(), 0);
}

#[test]
fn special_files_are_refused() {
    let place = Place::new();
    let mut door = place.door();
    for kind in ["device node", "pipe", "socket"] {
        let error = put(&mut door, "dev/x", EntryKind::Special { kind }).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot unpack `/dev/x`: it is a {kind}"));
    }
    for target in [String::new(), "a\0b".to_owned(), "x".repeat(5000)] {
        assert!(matches!(put(&mut door, "x", link(target)), Err(UnpackError::LinkTarget { .. })));
    }
    assert_eq!(fs_err::read_dir(place.inside()).unwrap().count(), 0);
}

#[test]
fn owners_and_modes_are_in_the_tree_and_not_on_the_disk() {
    let place = Place::new();
    let mut door = place.door();
    for (mode, on_disk) in [(0o4755, 0o755), (0o2755, 0o755), (0o600, 0o644), (0o000, 0o644), (0o6777, 0o777)]
    {
        let attributes = Attributes { mode: 0o10_0000 | mode, uid: 33, gid: 42, mtime: 7 };
        let name = path(&format!("file-{mode:o}"));
        let entry = door.place(&name, file(), attributes, &mut &b"content"[..]).unwrap();
        assert_eq!((entry.mode, entry.uid, entry.gid, entry.mtime), (mode, 33, 42, 7));
        let metadata = fs_err::metadata(name.below(&place.inside())).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o7777, on_disk);
    }
    let attributes = Attributes { mode: 0o1700, uid: 0, gid: 0, mtime: 7 };
    let entry = door.place(&path("folder"), EntryKind::Dir, attributes, &mut std::io::empty()).unwrap();
    assert_eq!(entry.mode, 0o1700);
    let metadata = fs_err::metadata(place.inside().join("folder")).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o755);
    // The disk says the same as the tree about everything else.
    let scanned = FileTree::scan(&place.inside()).unwrap();
    let digests = |tree: &FileTree| {
        tree.iter().map(|(path, entry)| (path.clone(), entry.node.clone())).collect::<Vec<_>>()
    };
    assert_eq!(digests(&scanned), digests(&door.finish()));
}

#[test]
fn limits_hold() {
    let place = Place::new();
    let limits = Limits { entries: 4, file_size: 10, total_size: 15 };
    let mut door = Door::with_limits(&place.inside(), limits).unwrap();
    let mut endless = std::io::repeat(b'x').take(1 << 20);
    let mut place_sized = |size, content: &mut dyn Read| {
        door.place(&path("f"), EntryKind::File { size }, Attributes::of_root(0o644), content)
    };
    assert!(matches!(
        place_sized(11, &mut endless),
        Err(UnpackError::FileTooLarge { size: 11, limit: 10, .. })
    ));
    assert!(matches!(
        place_sized(8, &mut endless),
        Err(UnpackError::WrongSize { expected: 8, found: None, .. })
    ));
    let short = place_sized(8, &mut &b"short"[..]);
    assert!(matches!(short, Err(UnpackError::ArchiveTooLarge { limit: 15, .. })), "{short:?}");
    // Over the limit stays over the limit.
    assert!(matches!(place_sized(0, &mut &b""[..]), Err(UnpackError::ArchiveTooLarge { .. })));
    assert!(matches!(place_sized(0, &mut &b""[..]), Err(UnpackError::TooManyEntries { limit: 4, .. })));
    let mut door = Door::new(&place.inside()).unwrap();
    let error =
        door.place(&path("f"), EntryKind::File { size: 8 }, Attributes::of_root(0o644), &mut &b"short"[..]);
    assert!(matches!(error, Err(UnpackError::WrongSize { expected: 8, found: Some(5), .. })));
    put(&mut door, "d/x", file()).unwrap();
    assert!(matches!(put(&mut door, "d", file()), Err(UnpackError::Occupied { .. })));
    assert!(matches!(put(&mut door, "d/x/y", file()), Err(UnpackError::BelowNonFolder { .. })));
}
