//! The store as callers and other processes see it.

#![expect(clippy::unwrap_used, reason = "a test may panic anywhere")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use djship_store::store::Readers;
use djship_store::{Bucket, Digest, Store, StoreError};

fn entries(dir: &Path) -> usize {
    fs_err::read_dir(dir).unwrap().count()
}

fn new_store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    (dir, store)
}

#[test]
fn a_folder_is_built_once_and_found_afterwards() {
    let (_dir, store) = new_store();
    let key = Digest::of(b"key");
    assert_eq!(store.find(Bucket::Packages, &key), None);
    let built = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let path = store.insert_dir(Bucket::Packages, &key, |work| {
                    built.fetch_add(1, Ordering::Relaxed);
                    fs_err::write(work.join("content"), b"x").unwrap();
                    Ok::<_, StoreError>(())
                });
                assert_eq!(fs_err::read(path.unwrap().join("content")).unwrap(), b"x");
            });
        }
    });
    assert_eq!(built.into_inner(), 1);
    let path = store.find(Bucket::Packages, &key).unwrap();
    assert_eq!(path, store.root().join(Bucket::Packages.dir_name()).join(key.hex()));
    assert_eq!(entries(&store.root().join("tmp")), 0);
    assert_eq!(entries(&store.root().join("locks")), 0);
    assert!(store.remove(Bucket::Packages, &key).unwrap());
    assert!(!store.remove(Bucket::Packages, &key).unwrap());
    assert_eq!(store.find(Bucket::Packages, &key), None);
}

#[test]
fn a_failed_build_leaves_nothing() {
    #[derive(Debug, thiserror::Error)]
    enum Failure {
        #[error("it failed")]
        Build,
        #[error(transparent)]
        Store(#[from] StoreError),
    }
    let (_dir, store) = new_store();
    let key = Digest::of(b"key");
    let result = store.insert_dir(Bucket::Layers, &key, |work| {
        fs_err::create_dir_all(work.join("half/done")).unwrap();
        fs_err::set_permissions(work.join("half"), std::fs::Permissions::from_mode(0o500)).unwrap();
        Err(Failure::Build)
    });
    assert!(matches!(result, Err(Failure::Build)), "{result:?}");
    assert_eq!(store.find(Bucket::Layers, &key), None);
    assert_eq!(entries(&store.root().join("tmp")), 0);
}

#[test]
fn a_blob_is_kept_only_with_the_right_digest_and_size() {
    let (_dir, store) = new_store();
    let expected = Digest::of(b"right");
    let insert = |bytes: &'static [u8], limit| {
        store.insert_blob(&expected, limit, |writer| {
            writer.write_all(bytes).map_err(|source| StoreError::Io {
                verb: "write",
                path: "blob".into(),
                source,
            })
        })
    };
    assert!(matches!(insert(b"wrong", 5), Err(StoreError::WrongDigest { .. })));
    assert!(matches!(insert(b"right", 4), Err(StoreError::TooLarge { limit: 4, .. })));
    assert_eq!(store.find(Bucket::Blobs, &expected), None);
    assert_eq!(entries(&store.root().join("tmp")), 0);
    let path = insert(b"right", 5).unwrap();
    assert_eq!(fs_err::read(&path).unwrap(), b"right");
    assert_eq!(store.put_blob(b"right").unwrap(), (expected, path.clone()));
    assert_eq!(fs_err::metadata(path).unwrap().permissions().mode() & 0o7777, 0o644);
}

#[test]
fn a_file_is_kept_under_what_it_was_made_from() {
    let (_dir, store) = new_store();
    let key = Digest::of(b"source");
    for text in ["made", "not made again"] {
        let path = store.insert_file(Bucket::Bytecode, &key, |writer| {
            writer.write_all(text.as_bytes()).unwrap();
            Ok::<_, StoreError>(())
        });
        assert_eq!(fs_err::read(path.unwrap()).unwrap(), b"made");
    }
}

#[test]
fn what_a_killed_process_left_is_swept_and_what_is_in_use_is_not() {
    let (dir, store) = new_store();
    let work = store.temp_dir("work").unwrap();
    fs_err::write(work.path().join("file"), b"x").unwrap();
    // What is left of a killed process: the same, with nobody holding the lock.
    let stale = store.root().join("tmp/work-0-0");
    fs_err::create_dir_all(stale.join("read/only")).unwrap();
    fs_err::set_permissions(stale.join("read"), std::fs::Permissions::from_mode(0o500)).unwrap();
    fs_err::write(store.root().join("tmp/file-0-0"), b"x").unwrap();
    let _again = Store::open(store.root()).unwrap();
    assert!(!stale.exists());
    assert!(work.path().join("file").exists());
    assert_eq!(entries(&store.root().join("tmp")), 1);
    drop(work);
    assert_eq!(entries(&store.root().join("tmp")), 0);
    drop(dir);
}

#[test]
fn a_lock_excludes_others() {
    let (_dir, store) = new_store();
    let other = Store::open(store.root()).unwrap();
    let held = store.lock("volume.shop").unwrap();
    assert!(other.try_lock("volume.shop").unwrap().is_none());
    assert!(other.try_lock("volume.other").unwrap().is_some());
    drop(held);
    assert!(other.try_lock("volume.shop").unwrap().is_some());

    let counter = store.root().join("counter");
    fs_err::write(&counter, "0").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    let _lock = store.lock("counter").unwrap();
                    let value: u32 = fs_err::read_to_string(&counter).unwrap().parse().unwrap();
                    fs_err::write(&counter, (value + 1).to_string()).unwrap();
                }
            });
        }
    });
    assert_eq!(fs_err::read_to_string(&counter).unwrap(), "400");
    assert_eq!(entries(&store.root().join("locks")), 0);
    for name in ["", "../x", "a/b", ".hidden"] {
        assert!(matches!(store.lock(name), Err(StoreError::LockName { .. })), "{name}");
    }
}

#[test]
fn a_store_is_private_unless_it_is_opened_for_everybody() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("store");
    let mode = || fs_err::metadata(&root).unwrap().permissions().mode() & 0o7777;
    Store::open(&root).unwrap();
    assert_eq!(mode(), 0o700);
    let store = Store::open_for(&root, Readers::Everybody).unwrap();
    assert_eq!(mode(), 0o755);
    let path = store.insert_dir(Bucket::Roots, &Digest::of(b"k"), |_| Ok::<_, StoreError>(())).unwrap();
    assert_eq!(fs_err::metadata(path).unwrap().permissions().mode() & 0o7777, 0o755);
    // Containers may be reading at this moment.
    Store::open(&root).unwrap();
    assert_eq!(mode(), 0o755);
}
