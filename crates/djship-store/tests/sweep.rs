//! Sweeping a store that others use.

#![expect(clippy::unwrap_used, reason = "a test may panic anywhere")]

use std::collections::HashSet;
use std::fs::FileTimes;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use djship_store::sweep::Rule;
use djship_store::{Bucket, Digest, Store, StoreError, SweepError, Swept};

const DAY: Duration = Duration::from_hours(24);

fn insert(store: &Store, bucket: Bucket, name: &str) -> PathBuf {
    let key = Digest::of(name.as_bytes());
    let folder = store.insert_dir(bucket, &key, |work| {
        fs_err::write(work.join("content"), name).unwrap();
        Ok::<_, StoreError>(())
    });
    folder.unwrap()
}

/// As if it was used so many days ago.
fn age(path: &Path, days: u32) {
    let time = SystemTime::now() - days * DAY;
    let times = FileTimes::new().set_accessed(time).set_modified(time);
    fs_err::File::open(path).unwrap().file().set_times(times).unwrap();
}

/// Sweeps what was not used for so many days.
fn sweep(store: &Store, days: u32, needed: &HashSet<(Bucket, Digest)>, dry: bool) -> Swept {
    let sweep = store.begin_sweep(dry).unwrap();
    let mut swept = Swept::default();
    let rule = Rule { unused_since: SystemTime::now() - days * DAY, needed };
    sweep.entries(&rule, &mut swept).unwrap();
    swept
}

#[test]
fn what_is_old_and_not_needed_goes() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let [old, needed, young] = ["old", "needed", "young"].map(|name| insert(&store, Bucket::Roots, name));
    let (_, old_blob) = store.put_blob(b"old").unwrap();
    let (_, young_blob) = store.put_blob(b"young").unwrap();
    // What else lies in a bucket is its crate's.
    let names = store.bucket_dir(Bucket::Images).unwrap().join("names");
    fs_err::create_dir(&names).unwrap();
    // A package may bring folders that forbid everything.
    fs_err::create_dir(old.join("closed")).unwrap();
    fs_err::write(old.join("closed/file"), "").unwrap();
    fs_err::set_permissions(old.join("closed"), std::fs::Permissions::from_mode(0o500)).unwrap();
    for path in [&old, &needed, &old_blob, &names] {
        age(path, 31);
    }
    age(&young, 20);
    age(&young_blob, 20);
    drop(store);

    let store = Store::open(dir.path()).unwrap();
    let keep = HashSet::from([(Bucket::Roots, Digest::of(b"needed"))]);
    let would = sweep(&store, 30, &keep, true);
    assert!(old.is_dir() && old_blob.is_file());
    let swept = sweep(&store, 30, &keep, false);
    assert_eq!(would.entries, swept.entries);
    assert_eq!(would.bytes(), swept.bytes());
    assert!(swept.bytes() > 0 && swept.left.is_empty());
    let counts: Vec<_> = swept.entries.into_iter().collect();
    assert_eq!(counts, [("blobs-v1", 1), ("roots-v1", 1)]);
    assert!(!old.exists() && !old_blob.exists());
    assert!(needed.is_dir() && young.is_dir() && young_blob.is_file() && names.is_dir());
    for folder in ["tmp", "locks"] {
        assert_eq!(fs_err::read_dir(dir.path().join(folder)).unwrap().count(), 0, "{folder}");
    }
}

#[test]
fn what_somebody_has_found_stays_until_they_end() {
    let dir = tempfile::tempdir().unwrap();
    let made = Store::open(dir.path()).unwrap();
    let paths = ["dir", "other"].map(|name| insert(&made, Bucket::Layers, name));
    let (key, blob) = made.put_blob(b"blob").unwrap();
    for path in paths.iter().chain([&blob]) {
        age(path, 400);
    }
    drop(made);
    let user = Store::open(dir.path()).unwrap();
    let sweeper = Store::open(dir.path()).unwrap();
    assert_eq!(user.find(Bucket::Layers, &Digest::of(b"dir")).as_ref(), Some(&paths[0]));
    assert_eq!(user.find(Bucket::Blobs, &key).as_ref(), Some(&blob));
    let fresh = insert(&user, Bucket::Layers, "fresh");
    // Even if it becomes old meanwhile.
    let later = |store: &Store| {
        let rule = Rule { unused_since: SystemTime::now() + DAY, needed: &HashSet::new() };
        let mut swept = Swept::default();
        store.begin_sweep(false).unwrap().entries(&rule, &mut swept).unwrap();
        swept.entries.values().sum::<usize>()
    };
    assert_eq!(later(&sweeper), 1);
    assert!(paths[0].is_dir() && blob.is_file() && fresh.is_dir() && !paths[1].exists());
    assert_eq!(user.used().len(), 3);
    drop(user);
    // What was used after the sweeper opened the store stays for its sake.
    assert_eq!(later(&sweeper), 0);
    drop(sweeper);
    assert_eq!(later(&Store::open(dir.path()).unwrap()), 3);
}

#[test]
fn one_sweeper_at_a_time_and_no_lock_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let path = insert(&store, Bucket::Outputs, "held");
    age(&path, 40);
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    let first = store.begin_sweep(false).unwrap();
    assert!(matches!(store.begin_sweep(true), Err(SweepError::Busy { .. })));
    drop(first);
    let held = store.lock(&format!("outputs-v1.{}", Digest::of(b"held").hex())).unwrap();
    assert!(sweep(&store, 30, &HashSet::new(), false).entries.is_empty());
    assert!(path.is_dir());
    drop(held);
    assert_eq!(sweep(&store, 30, &HashSet::new(), false).entries.len(), 1);
}

#[test]
fn links_are_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = dir.path().join("elsewhere");
    let root = dir.path().join("store");
    let store = Store::open(&root).unwrap();
    let there = elsewhere.join(Digest::of(b"there").hex());
    fs_err::create_dir_all(&there).unwrap();
    let linked = root.join("layers-v1");
    fs_err::os::unix::fs::symlink(&elsewhere, &linked).unwrap();
    let entry = insert(&store, Bucket::Roots, "entry");
    fs_err::os::unix::fs::symlink(&elsewhere, entry.join("out")).unwrap();
    for path in [&there, &entry] {
        age(path, 40);
    }
    drop(store);
    let store = Store::open(&root).unwrap();
    let swept = sweep(&store, 30, &HashSet::new(), false);
    assert_eq!(swept.entries.into_iter().collect::<Vec<_>>(), [("roots-v1", 1)]);
    assert!(there.is_dir() && linked.is_symlink() && !entry.exists());
}

/// Users come, find or make, read and go, while somebody sweeps everything all the time.
#[test]
fn nobody_loses_what_they_have_found() {
    let dir = tempfile::tempdir().unwrap();
    let (root, done) = (dir.path(), AtomicBool::new(false));
    let swept = std::thread::scope(|scope| {
        let users: Vec<_> = (0..4)
            .map(|user| {
                scope.spawn(move || -> Result<(), String> {
                    for round in 0..150 {
                        let store = Store::open(root).unwrap();
                        for name in ["a", "b", "c"] {
                            let path = insert(&store, Bucket::Layers, name);
                            std::thread::yield_now();
                            let content = fs_err::read(path.join("content"));
                            content.map_err(|error| format!("user {user}, round {round}: {error}"))?;
                            let (_, blob) = store.put_blob(name.as_bytes()).unwrap();
                            std::thread::yield_now();
                            fs_err::read(blob).map_err(|error| format!("user {user}: {error}"))?;
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        let sweeper = scope.spawn(|| {
            let mut count = 0;
            while !done.load(Ordering::Relaxed) {
                let store = Store::open(dir.path()).unwrap();
                let rule = Rule { unused_since: SystemTime::now() + DAY, needed: &HashSet::new() };
                let mut swept = Swept::default();
                store.begin_sweep(false).unwrap().entries(&rule, &mut swept).unwrap();
                count += swept.entries.values().sum::<usize>();
            }
            count
        });
        let ends: Vec<_> = users.into_iter().map(|user| user.join().unwrap()).collect();
        done.store(true, Ordering::Relaxed);
        for end in ends {
            end.unwrap();
        }
        sweeper.join().unwrap()
    });
    assert!(swept > 0, "nothing was ever swept");
}

#[test]
fn nobody_finds_an_old_entry_while_entries_are_moved_away() {
    let dir = tempfile::tempdir().unwrap();
    let made = Store::open(dir.path()).unwrap();
    let path = insert(&made, Bucket::Roots, "old");
    age(&path, 40);
    drop(made);
    let user = Store::open(dir.path()).unwrap();
    let gate = fs_err::File::create(dir.path().join("sweep.lock")).unwrap();
    rustix::fs::flock(gate.file(), rustix::fs::FlockOperation::LockExclusive).unwrap();
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| send.send(user.find(Bucket::Roots, &Digest::of(b"old"))).unwrap());
        // Whoever does not wait at the gate has long found it.
        assert!(receive.recv_timeout(Duration::from_millis(200)).is_err());
        fs_err::remove_dir_all(&path).unwrap();
        drop(gate);
        assert_eq!(receive.recv().unwrap(), None);
    });
}
