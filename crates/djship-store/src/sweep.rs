//! Removing what nobody needs: mark and sweep. How that is safe beside everybody who uses the store is written in
//! [`marks`](crate::marks).
//!
//! What goes is first renamed into a temporary folder of this process. Killed in between, it leaves whole entries and
//! something in `tmp/` that the next one to open the store sweeps.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::FlockOperation;

use crate::bucket::Bucket;
use crate::digest::Digest;
use crate::lock::Lock;
use crate::marks::{Moment, open_gate};
use crate::store::{Store, StoreError};
use crate::temp::remove_tree;
use crate::usage::Usage;

/// How many entries are moved away while nobody else gets through the gate.
const BATCH: usize = 64;

/// Why nothing is swept.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// Somebody sweeps already.
    #[error("cannot prune the store in `{}`: somebody else prunes it at this moment", root.display())]
    Busy {
        /// The store.
        root: PathBuf,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is kept.
#[derive(Debug)]
pub struct Rule<'a> {
    /// Entries that were used since then are kept.
    pub unused_since: SystemTime,
    /// These are kept, whenever they were used.
    pub needed: &'a HashSet<(Bucket, Digest)>,
}

/// What was swept, or would be.
#[derive(Debug, Default)]
pub struct Swept {
    /// The number of entries that went, by bucket.
    pub entries: BTreeMap<&'static str, usize>,
    /// What could not be removed and lies in `tmp/`, with the reason: files of somebody else's.
    pub left: Vec<(PathBuf, io::Error)>,
    usage: Usage,
}

impl Swept {
    /// Bytes that are free now.
    pub fn bytes(&self) -> u64 {
        self.usage.bytes_alone()
    }

    /// Counts something else that goes with it.
    pub fn count(&mut self, what: &'static str) {
        *self.entries.entry(what).or_default() += 1;
    }
}

/// The right to sweep a store. Taken before it is asked what is needed.
#[derive(Debug)]
pub struct Sweep<'store> {
    store: &'store Store,
    /// Only measure.
    dry: bool,
    horizon: Moment,
    _alone: Lock,
}

impl Store {
    /// Begins a sweep, for one process at a time. `dry` ones remove nothing.
    pub fn begin_sweep(&self, dry: bool) -> Result<Sweep<'_>, SweepError> {
        let busy = || SweepError::Busy { root: self.root().to_owned() };
        let alone = self.try_lock("sweep")?.ok_or_else(busy)?;
        let horizon = oldest(self)?;
        Ok(Sweep { store: self, dry, horizon, _alone: alone })
    }
}

/// Since when somebody who lives has used the store.
fn oldest(store: &Store) -> Result<Moment, StoreError> {
    let users = store.users()?.into_iter().map(|user| user.since);
    Ok(users.chain([store.lease().since()]).min().unwrap_or(Moment(i128::MIN)))
}

impl Sweep<'_> {
    /// Whether nothing is removed.
    pub fn is_dry(&self) -> bool {
        self.dry
    }

    /// Sweeps all buckets.
    pub fn entries(&self, rule: &Rule<'_>, swept: &mut Swept) -> Result<(), StoreError> {
        let cut = Moment::from(rule.unused_since);
        // Records before what they name: a record whose layers are gone helps nobody.
        let records_first = |bucket: &Bucket| *bucket != Bucket::Images;
        let mut buckets = Bucket::ALL;
        buckets.sort_by_key(records_first);
        for bucket in buckets {
            let old = |path: &Path| {
                let metadata = path.symlink_metadata().ok()?;
                (Moment::last_use(&metadata) < cut.min(self.horizon)).then_some(())
            };
            let mut found =
                entries_of(self.store, bucket).map_err(StoreError::io("list", self.store.root()))?;
            found.retain(|(key, path)| !rule.needed.contains(&(bucket, *key)) && old(path).is_some());
            for batch in found.chunks(BATCH) {
                self.batch(bucket, batch, cut, swept)?;
            }
        }
        Ok(())
    }

    fn batch(
        &self,
        bucket: Bucket,
        batch: &[(Digest, PathBuf)],
        cut: Moment,
        swept: &mut Swept,
    ) -> Result<(), StoreError> {
        if self.dry {
            for (_, path) in batch {
                swept.count(bucket.dir_name());
                swept.usage.add(path);
            }
            return Ok(());
        }
        let work = self.store.temp_dir("swept")?;
        let mut away = Vec::new();
        {
            let path = self.store.gate_path();
            let failed = |errno: rustix::io::Errno| StoreError::io("lock", &path)(errno.into());
            // Closed at the end of the block, and with it unlocked.
            let gate = open_gate(&path).map_err(failed)?;
            rustix::io::retry_on_intr(|| rustix::fs::flock(&gate, FlockOperation::LockExclusive))
                .map_err(failed)?;
            let limit = cut.min(self.horizon).min(oldest(self.store)?);
            for (key, path) in batch {
                // Somebody who makes or removes it has it in hand.
                let Some(_lock) = self.store.try_lock_key(bucket, key)? else { continue };
                let Ok(metadata) = path.symlink_metadata() else { continue };
                if Moment::last_use(&metadata) >= limit {
                    continue;
                }
                let to = work.path().join(key.hex());
                fs_err::rename(path, &to).map_err(StoreError::io("move away", path))?;
                away.push(to);
            }
        }
        for path in away {
            swept.count(bucket.dir_name());
            remove(&path, swept);
        }
        Ok(())
    }

    /// Removes something of the store that is no entry and that nobody can be using: the caller holds what keeps others out.
    pub fn take_away(&self, what: &'static str, path: &Path, swept: &mut Swept) -> Result<(), StoreError> {
        if path.symlink_metadata().is_err() {
            return Ok(());
        }
        swept.count(what);
        if self.dry {
            swept.usage.add(path);
            return Ok(());
        }
        let work = self.store.temp_dir("swept")?;
        let to = work.path().join("swept");
        match fs_err::rename(path, &to) {
            Ok(()) => remove(&to, swept),
            Err(error) => swept.left.push((path.to_owned(), error)),
        }
        Ok(())
    }
}

fn remove(path: &Path, swept: &mut Swept) {
    swept.usage.add(path);
    let is_dir = path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
    let removed = if is_dir { remove_tree(path) } else { fs_err::remove_file(path) };
    if let Err(error) = removed {
        swept.left.push((path.to_owned(), error));
    }
}

/// Every entry of a bucket. What else its crate keeps there is left alone.
pub(crate) fn entries_of(store: &Store, bucket: Bucket) -> io::Result<Vec<(Digest, PathBuf)>> {
    let top = store.root().join(bucket.dir_name());
    let folders = if bucket.is_sharded() { children(&top)? } else { vec![top] };
    let mut found = Vec::new();
    for folder in folders {
        for path in children(&folder)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let key = name.parse::<Digest>().ok().filter(|key| key.hex() == name);
            if let Some(key) = key.filter(|key| store.entry_path(bucket, key) == path) {
                found.push((key, path));
            }
        }
    }
    Ok(found)
}

/// What is in a folder; nothing where there is none, and nothing behind a link.
fn children(folder: &Path) -> io::Result<Vec<PathBuf>> {
    if !folder.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Ok(Vec::new());
    }
    fs_err::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
}

impl Store {
    /// How many entries a bucket has, and where it is.
    pub fn count(&self, bucket: Bucket) -> Result<(usize, PathBuf), StoreError> {
        let path = self.root().join(bucket.dir_name());
        let entries = entries_of(self, bucket).map_err(StoreError::io("list", &path))?;
        Ok((entries.len(), path))
    }
}
