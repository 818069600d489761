//! A strict umask changes nothing that containers of another user read. In a binary of its own: the umask belongs to the
//! whole process.

#![expect(clippy::unwrap_used, reason = "a test may panic anywhere")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use djship_store::unpack::{Attributes, Door, EntryKind};
use djship_store::{Bucket, Digest, How, Store, StoreError, TreePath};

fn assert_readable(dir: &Path) {
    for entry in fs_err::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o7777;
        if entry.file_type().unwrap().is_dir() {
            assert_eq!(mode, 0o755, "{}", entry.path().display());
            assert_readable(&entry.path());
        } else {
            assert_eq!(mode, 0o644, "{}", entry.path().display());
        }
    }
}

#[test]
fn a_strict_umask_changes_nothing() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    store.put_blob(b"blob").unwrap();
    let work = store.temp_dir("work").unwrap();
    let mut door = Door::new(&work.path().join("package")).unwrap();
    let path = TreePath::parse("deep/file").unwrap();
    door.place(&path, EntryKind::File { size: 1 }, Attributes::of_root(0o600), &mut &b"x"[..]).unwrap();
    let tree = door.finish();
    for (key, how) in [(b"link", How::Link), (b"copy", How::Copy)] {
        store
            .insert_dir(Bucket::Layers, &Digest::of(key), |folder| {
                tree.lay_out(&folder.join("fs"), how).unwrap();
                tree.clone().laid_out_in(&folder.join("fs")).save(folder).unwrap();
                Ok::<_, StoreError>(())
            })
            .unwrap();
    }
    for bucket in [Bucket::Blobs, Bucket::Layers] {
        assert_readable(&store.bucket_dir(bucket).unwrap());
    }
    assert_readable(&store.root().join("tmp"));
}
