//! uv's caches: one for each project and user that its containers run as.

use std::path::PathBuf;
use std::time::SystemTime;

use djship_store::{Digest, Lock, Store, StoreError};

use super::{BuilderError, make_owned};
use crate::tools::Tools;

/// The folder of all caches.
pub fn folder(store: &Store) -> PathBuf {
    store.root().join("caches-v1")
}

/// What is held by whoever uses the cache `name`.
pub(crate) fn lock_name(name: &str) -> String {
    format!("cache-{name}")
}

/// The folder that uv keeps for a project, locked.
pub(super) fn cache_of(tools: &Tools<'_>, project: &Digest) -> Result<(PathBuf, Lock), BuilderError> {
    // What a project compiles is its own: another project's `setup.py` never wrote here.
    let owner = tools.host.owner.map_or_else(|| rustix::process::getuid().as_raw(), |owner| owner.uid);
    let name = format!("{}-{owner}", &project.hex()[..16]);
    let lock = tools.store.lock(&lock_name(&name))?;
    let cache = folder(tools.store).join(name);
    make_owned(&cache, tools)?;
    tools.store.mark_folder(&cache);
    Ok((cache, lock))
}

/// The caches that were not used since `unused_since` and are not in use now, one after the other, each with what keeps it so.
pub fn unused(
    store: &Store,
    unused_since: SystemTime,
) -> impl Iterator<Item = Result<(PathBuf, Lock), StoreError>> {
    let entries = fs_err::read_dir(folder(store)).into_iter().flatten().flatten();
    entries.filter_map(move |entry| {
        let name = entry.file_name().into_string().ok()?;
        let lock = match store.try_lock(&lock_name(&name)) {
            Ok(lock) => lock?,
            // Nobody who uses it could have a name like that.
            Err(StoreError::LockName { .. }) => return None,
            Err(error) => return Some(Err(error)),
        };
        // The time of the folder itself is set by those who use it.
        let metadata = entry.metadata().ok().filter(std::fs::Metadata::is_dir)?;
        let is_old = metadata.modified().is_ok_and(|time| time < unused_since);
        is_old.then(|| Ok((entry.path(), lock)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_in_use_or_used_lately_stays() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        for name in ["a-1", "b-1"] {
            fs_err::create_dir_all(folder(&store).join(name)).unwrap();
        }
        let before = SystemTime::UNIX_EPOCH;
        let after = SystemTime::now() + std::time::Duration::from_mins(1);
        assert_eq!(unused(&store, before).count(), 0);
        let held = store.lock(&lock_name("a-1")).unwrap();
        let found: Vec<_> = unused(&store, after).map(|found| found.unwrap().0).collect();
        assert_eq!(found, [folder(&store).join("b-1")]);
        drop(held);
        assert_eq!(unused(&store, after).count(), 2);
    }
}
