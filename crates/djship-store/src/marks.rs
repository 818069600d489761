//! When an entry was last used, and how users and sweepers keep out of each other's way.
//!
//! The mark of last use is a time of the entry itself: of a folder the time of its last change, since nothing in an entry
//! ever changes; of a file the time of its last access, since the other one shows in layers that the file is linked into.
//!
//! 1. Whoever opens a store is a user from then on, and says since when (`users`).
//! 2. Whoever finds an entry whose mark is older than that sets the mark to now, *behind the gate*: a lock on
//!    `sweep.lock` that any number of users share for that moment. An entry whose mark is not older is found without it.
//! 3. A sweeper moves entries away while it has the gate for itself, and then only those whose mark is older than the
//!    oldest living user, itself included. It asks who lives before it asks what is needed, so of those who end in between
//!    it sees what they made, and again each time it has the gate.
//!
//! So whatever somebody has found or made stays as long as they live, nobody waits for longer than a few renames take, and
//! nothing has to be given back by those who are killed.

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;

use crate::bucket::Bucket;
use crate::digest::Digest;
use crate::store::{Store, StoreError};
use crate::users::{self, User};

/// Nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(pub(crate) i128);

impl Moment {
    pub(crate) fn now() -> Self {
        SystemTime::now().into()
    }

    pub(crate) fn modified(metadata: &Metadata) -> Self {
        Self::of(metadata.mtime(), metadata.mtime_nsec())
    }

    /// The mark of an entry.
    pub(crate) fn last_use(metadata: &Metadata) -> Self {
        if metadata.is_dir() {
            Self::modified(metadata)
        } else {
            Self::of(metadata.atime(), metadata.atime_nsec())
        }
    }

    fn of(seconds: i64, nanoseconds: i64) -> Self {
        Self(i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds))
    }

    fn timespec(self) -> Timespec {
        let seconds = i64::try_from(self.0.div_euclid(1_000_000_000)).unwrap_or(i64::MAX);
        let nanoseconds = i64::try_from(self.0.rem_euclid(1_000_000_000)).unwrap_or_default();
        Timespec { tv_sec: seconds, tv_nsec: nanoseconds }
    }
}

impl From<SystemTime> for Moment {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i128::try_from(since.as_nanos()).unwrap_or(i128::MAX))
    }
}

/// What one process knows of its own use of a store.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    gate: Mutex<Option<OwnedFd>>,
    used: Mutex<BTreeSet<(&'static str, Digest)>>,
}

impl Store {
    /// Every entry that was found or made through this store since it was opened, as [`Store::entry_name`] has it.
    pub fn used(&self) -> Vec<String> {
        let used = self.marks().used.lock().unwrap_or_else(PoisonError::into_inner);
        used.iter().filter_map(|(name, key)| Some(Self::entry_name(Bucket::named(name)?, key))).collect()
    }

    /// An entry's place relative to the store, such as `layers-v1/ab12..`: for records of what something needs.
    pub fn entry_name(bucket: Bucket, key: &Digest) -> String {
        format!("{}/{}", bucket.dir_name(), key.hex())
    }

    /// The entry of such a name.
    pub fn parse_entry_name(name: &str) -> Option<(Bucket, Digest)> {
        let (bucket, hex) = name.split_once('/')?;
        let key: Digest = hex.parse().ok()?;
        (key.hex() == hex).then_some((Bucket::named(bucket)?, key))
    }

    /// Everybody who has the store open, this process included.
    pub fn users(&self) -> Result<Vec<User>, StoreError> {
        let folder = self.users_dir();
        users::living(&folder).map_err(StoreError::io("list", &folder))
    }

    /// Lets others know what this process works with, in [`Store::users`], until it ends.
    pub fn note_use(&self, what: &str) -> Result<(), StoreError> {
        self.lease().note(what).map_err(StoreError::io("write in", &self.users_dir()))
    }

    /// Marks something that is not an entry, such as a cache of its own form, as used now. Its owner keeps sweepers away.
    pub fn mark_folder(&self, path: &Path) {
        let _ = set_mark(path, self.now(), true);
    }

    /// Whether the entry at `path` is there. From then on no sweeper takes it, as long as this process lives.
    pub(crate) fn use_entry(&self, bucket: Bucket, key: &Digest, path: &Path) -> bool {
        let Ok(metadata) = path.symlink_metadata() else { return false };
        if Moment::last_use(&metadata) < self.lease().since() {
            let gate = self.marks().gate.lock().unwrap_or_else(PoisonError::into_inner);
            let passage = Passage::enter(gate, &self.gate_path());
            let marked = set_mark(path, self.now(), metadata.is_dir());
            drop(passage);
            // Where nothing can be marked, nothing can be swept.
            if marked == Err(Errno::NOENT) {
                return false;
            }
        }
        self.note_used(bucket, key);
        true
    }

    /// Marks what is about to become the entry of `key`.
    pub(crate) fn mark_new(&self, bucket: Bucket, key: &Digest, path: &Path) {
        let _ = set_mark(path, self.now(), !bucket.is_sharded());
        self.note_used(bucket, key);
    }

    fn note_used(&self, bucket: Bucket, key: &Digest) {
        let mut used = self.marks().used.lock().unwrap_or_else(PoisonError::into_inner);
        used.insert((bucket.dir_name(), *key));
    }

    /// Never before this store was opened, whatever happens to the clock.
    fn now(&self) -> Moment {
        Moment::now().max(self.lease().since())
    }
}

/// The gate, shared with other users. Threads of one process pass one by one: the lock belongs to the open file.
struct Passage<'a>(MutexGuard<'a, Option<OwnedFd>>);

impl<'a> Passage<'a> {
    fn enter(mut gate: MutexGuard<'a, Option<OwnedFd>>, path: &Path) -> Self {
        if gate.is_none() {
            *gate = open_gate(path).ok();
        }
        if let Some(file) = &*gate {
            // Where nothing can be locked, nobody sweeps.
            let _ = rustix::io::retry_on_intr(|| rustix::fs::flock(file, FlockOperation::LockShared));
        }
        Self(gate)
    }
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        if let Some(file) = &*self.0 {
            let _ = rustix::fs::flock(file, FlockOperation::Unlock);
        }
    }
}

pub(crate) fn open_gate(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)
}

fn set_mark(path: &Path, mark: Moment, is_dir: bool) -> Result<(), Errno> {
    let as_it_is = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    let (last_access, last_modification) =
        if is_dir { (as_it_is, mark.timespec()) } else { (mark.timespec(), as_it_is) };
    let times = Timestamps { last_access, last_modification };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
}
