//! Packages from a mirror into the store: a few threads download, as many as there are cores unpack.
//!
//! A package is held in memory from the first byte until its digest is right, and only then does unpacking begin. What is kept in
//! the store is the unpacked form, so that no package is decompressed twice.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use djship_store::fetch::{FetchError, Fetcher, Progress};
use djship_store::{Bucket, Digest, FileTree, Store, StoreError};

use super::record::{PackageRecord, RECORD};
use super::unpack::unpack;
use super::{DebError, FetchPackagesError, UnpackedPackage};
use crate::package::Package;
use crate::sources::Mirrors;

/// Connections at the same time. More gain nothing: a mirror is as fast as its cache.
const CONNECTIONS: usize = 4;

/// Packages that wait in memory for a free unpacker. One is enough to keep it busy, and each may be 50 MB.
const WAITING: usize = 1;

/// The largest package, in bytes.
const SIZE_LIMIT: u64 = 512 * 1024 * 1024;

/// How many bytes [`fetch_packages`] would download.
pub fn missing_bytes(packages: &[Package], store: &Store) -> u64 {
    let is_missing = |package: &&Package| store.find(Bucket::Packages, &package.sha256).is_none();
    packages.iter().filter(is_missing).map(|package| package.size).sum()
}

/// Downloads and unpacks what is not in the store yet; returns all packages in the given order. `progress` hears of downloaded
/// bytes, at the end of each package.
pub fn fetch_packages(
    packages: &[Package],
    mirrors: &Mirrors,
    store: &Store,
    fetcher: &Fetcher,
    progress: &dyn Progress,
) -> Result<Vec<UnpackedPackage>, FetchPackagesError> {
    let mut missing: Vec<&Package> =
        packages.iter().filter(|package| store.find(Bucket::Packages, &package.sha256).is_none()).collect();
    // Large ones first, so that the last thread to finish does not finish late.
    missing.sort_by_key(|package| std::cmp::Reverse(package.size));
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let work = Work {
        missing: &missing,
        next: AtomicUsize::new(0),
        failed: AtomicBool::new(false),
        error: Mutex::new(None),
        mirrors,
        store,
        fetcher,
        progress,
    };
    let (sender, receiver) = sync_channel(WAITING);
    let receiver = Mutex::new(receiver);
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS.min(missing.len()) {
            let sender = sender.clone();
            let work = &work;
            scope.spawn(move || work.download(&sender));
        }
        // The last sender to go ends the unpackers.
        drop(sender);
        for _ in 0..cores.min(missing.len()) {
            scope.spawn(|| work.unpack(&receiver));
        }
    });
    if let Some(error) = work.error.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        return Err(error);
    }
    load_all(packages, store, cores)
}

struct Work<'work> {
    missing: &'work [&'work Package],
    next: AtomicUsize,
    failed: AtomicBool,
    error: Mutex<Option<FetchPackagesError>>,
    mirrors: &'work Mirrors,
    store: &'work Store,
    fetcher: &'work Fetcher,
    progress: &'work dyn Progress,
}

impl<'work> Work<'work> {
    /// Downloads one package after the other until there are none left or something failed.
    fn download(&self, sender: &SyncSender<(&'work Package, Vec<u8>)>) {
        while !self.failed.load(Ordering::Relaxed) {
            let Some(package) = self.missing.get(self.next.fetch_add(1, Ordering::Relaxed)) else { return };
            match self.get(package) {
                Ok(deb) => {
                    self.progress.add(package.size);
                    // Nobody listens any more: the unpackers have failed.
                    if sender.send((package, deb)).is_err() {
                        return;
                    }
                }
                Err(error) => return self.fail(error),
            }
        }
    }

    /// Tries the mirrors in order. If all fail, the first one's reason counts.
    fn get(&self, package: &Package) -> Result<Vec<u8>, FetchPackagesError> {
        let name = package.to_string();
        if package.size > SIZE_LIMIT {
            return Err(FetchPackagesError::TooLarge {
                package: name,
                size: package.size,
                limit: SIZE_LIMIT,
            });
        }
        let mut first_error = None;
        for mirror in self.mirrors.of(package.suite) {
            let result = self.fetcher.get(&mirror.join(&package.filename), package.size);
            match result.map_err(|source| failed(&name, source)).and_then(|deb| check(package, deb)) {
                Ok(deb) => return Ok(deb),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        Err(first_error.unwrap_or(FetchPackagesError::NoMirror { package: name }))
    }

    fn unpack(&self, receiver: &Mutex<Receiver<(&Package, Vec<u8>)>>) {
        loop {
            let next = receiver.lock().unwrap_or_else(std::sync::PoisonError::into_inner).recv();
            let Ok((package, deb)) = next else { return };
            // After a failure the channel is only emptied, so that no sender waits for ever.
            if self.failed.load(Ordering::Relaxed) {
                continue;
            }
            let kept = self
                .store
                .insert_dir(Bucket::Packages, &package.sha256, |folder| unpack(&deb, package, folder));
            if let Err(source) = kept {
                self.fail(FetchPackagesError::Unpack { package: package.to_string(), source });
            }
        }
    }

    fn fail(&self, error: FetchPackagesError) {
        self.failed.store(true, Ordering::Relaxed);
        let mut first = self.error.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        first.get_or_insert(error);
    }
}

fn failed(package: &str, source: FetchError) -> FetchPackagesError {
    FetchPackagesError::Fetch { package: package.to_owned(), source }
}

fn check(package: &Package, deb: Vec<u8>) -> Result<Vec<u8>, FetchPackagesError> {
    let found = Digest::of(&deb);
    let found_size = deb.len() as u64;
    if found == package.sha256 && found_size == package.size {
        return Ok(deb);
    }
    Err(FetchPackagesError::WrongHash {
        package: package.to_string(),
        expected: package.sha256,
        size: package.size,
        found,
        found_size,
    })
}

/// Reads the trees, which for a toolchain is enough text to share among the cores.
fn load_all(
    packages: &[Package],
    store: &Store,
    cores: usize,
) -> Result<Vec<UnpackedPackage>, FetchPackagesError> {
    let share = packages.len().div_ceil(cores.max(1)).max(1);
    let loaded: Vec<Result<Vec<UnpackedPackage>, FetchPackagesError>> = std::thread::scope(|scope| {
        let threads: Vec<_> = packages
            .chunks(share)
            .map(|share| scope.spawn(move || share.iter().map(|package| load(package, store)).collect()))
            .collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().map(join).collect()
    });
    let mut all = Vec::with_capacity(packages.len());
    for share in loaded {
        all.extend(share?);
    }
    Ok(all)
}

fn load(package: &Package, store: &Store) -> Result<UnpackedPackage, FetchPackagesError> {
    let name = || package.to_string();
    let gone = || {
        let source = std::io::Error::from(std::io::ErrorKind::NotFound);
        let path = store.root().join(Bucket::Packages.dir_name());
        DebError::from(StoreError::Io { verb: "find", path, source })
    };
    let folder = store
        .find(Bucket::Packages, &package.sha256)
        .ok_or_else(|| FetchPackagesError::Unpack { package: name(), source: gone() })?;
    let tree =
        FileTree::load(&folder).map_err(|source| FetchPackagesError::Load { package: name(), source })?;
    let path = folder.join(RECORD);
    let record = fs_err::read(&path)
        .and_then(|bytes| serde_json::from_slice::<PackageRecord>(&bytes).map_err(Into::into))
        .map_err(|source| FetchPackagesError::Record { package: name(), path, source })?;
    Ok(UnpackedPackage { package: package.clone(), tree, folder, record })
}
