//! One suite: its list fetched and checked, its index fetched, checked, decompressed and cached.

use std::io::Read as _;

use djship_store::fetch::{FetchError, Fetcher};
use djship_store::{Bucket, Digest, Store};

use super::state::{State, SuiteState, digest_of};
use super::{ArchiveError, ArchiveOptions, Freshness};
use crate::decompress::Compression;
use crate::in_release::InRelease;
use crate::index::{self, compact};
use crate::release::{Arch, Suite};
use crate::sources::MirrorUrl;

/// The largest list that is read, in bytes. Debian's are about 150 kB.
const LIST_LIMIT: u64 = 8 * 1024 * 1024;

/// Asks for all suites at the same time.
pub(super) fn fetch_all(
    options: &ArchiveOptions<'_>,
    known: Option<&State>,
    store: &Store,
    fetcher: &Fetcher,
) -> Result<State, ArchiveError> {
    let suites = std::thread::scope(|scope| {
        let one =
            |suite| move || fetch(options, suite, known.and_then(|known| known.of(suite)), store, fetcher);
        let threads = Suite::ALL.map(|suite| scope.spawn(one(suite)));
        threads.map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    Ok(State { suites: suites.into_iter().collect::<Result<_, _>>()? })
}

/// Asks the mirrors one after the other. If all fail, the first one's reason counts: it is the one that was meant.
fn fetch(
    options: &ArchiveOptions<'_>,
    suite: Suite,
    known: Option<&SuiteState>,
    store: &Store,
    fetcher: &Fetcher,
) -> Result<SuiteState, ArchiveError> {
    let mut first_error = None;
    for mirror in options.mirrors.of(suite) {
        match fetch_from(mirror, options, suite, known, store, fetcher) {
            Ok(state) => return Ok(state),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.unwrap_or_else(|| ArchiveError::NoMirror { suite: suite.dist(options.codename) }))
}

fn fetch_from(
    mirror: &MirrorUrl,
    options: &ArchiveOptions<'_>,
    suite: Suite,
    known: Option<&SuiteState>,
    store: &Store,
    fetcher: &Fetcher,
) -> Result<SuiteState, ArchiveError> {
    let dist = suite.dist(options.codename);
    let path = format!("dists/{dist}/InRelease");
    let shown = format!("{mirror}/{path}");
    let failed = |source| ArchiveError::Fetch { suite: dist.clone(), source };
    let bytes = fetcher.get(&mirror.join(&path), LIST_LIMIT).map_err(failed)?;
    let Ok(text) = String::from_utf8(bytes) else { return Err(ArchiveError::NotUtf8 { url: shown }) };
    let now = options.freshness.now;
    let signed = options
        .keyring
        .verify(&text, now)
        .map_err(|source| ArchiveError::Signature { url: shown.clone(), source })?;
    let list = InRelease::parse(&signed.text, options.codename, suite, options.arch)
        .map_err(|source| ArchiveError::InRelease { url: shown.clone(), source })?;
    if let Some(known) = known.filter(|known| list.date < known.date) {
        return Err(ArchiveError::OlderThanSeen { url: shown, date: list.date, seen: known.date });
    }
    check_valid_until(dist.clone(), list.valid_until, options.freshness)?;
    let key = part_key(&list.packages.sha256, suite, options.arch);
    store.insert_file(Bucket::Indexes, &key, |writer| {
        let part = fetch_index(mirror, options, suite, &list, fetcher)?;
        let path = store.root().join(Bucket::Indexes.dir_name());
        writer.write_all(&part).map_err(|source| ArchiveError::Write { path, source })
    })?;
    Ok(SuiteState {
        suite,
        date: list.date,
        valid_until: list.valid_until,
        fetched: now,
        mirror: digest_of(mirror),
        packages: list.packages.sha256,
    })
}

pub(super) fn check_valid_until(
    suite: String,
    valid_until: Option<u64>,
    freshness: Freshness,
) -> Result<(), ArchiveError> {
    match valid_until {
        Some(valid_until) if valid_until < freshness.now && !freshness.accept_expired => {
            Err(ArchiveError::Expired { suite, valid_until, now: freshness.now })
        }
        _ => Ok(()),
    }
}

/// The key of a cached index: everything that it was made from.
pub(super) fn part_key(packages: &Digest, suite: Suite, arch: Arch) -> Digest {
    let text = format!("{}\n{}\n{arch}\n{packages}\n", index::FORM, suite.suffix());
    Digest::of(text.as_bytes())
}

/// Fetches an index and puts it into the form of the cache.
fn fetch_index(
    mirror: &MirrorUrl,
    options: &ArchiveOptions<'_>,
    suite: Suite,
    list: &InRelease,
    fetcher: &Fetcher,
) -> Result<Vec<u8>, ArchiveError> {
    let dist = suite.dist(options.codename);
    let file = &list.packages;
    let plain = format!("dists/{dist}/{}", file.path);
    let folder = plain.rsplit_once('/').map_or("", |(folder, _)| folder);
    let by_hash = format!("{folder}/by-hash/SHA256/{}", file.sha256.hex());
    let path = if list.by_hash { &by_hash } else { &plain };
    let answer = match fetcher.get(&mirror.join(path), file.size) {
        // A mirror that copies lists and not these names.
        Err(FetchError::Status { status: 404, .. }) if list.by_hash => {
            fetcher.get(&mirror.join(&plain), file.size)
        }
        result => result,
    };
    let bytes = answer.map_err(|source| ArchiveError::Fetch { suite: dist.clone(), source })?;
    let url = format!("{mirror}/{plain}");
    let found = Digest::of(&bytes);
    let found_size = bytes.len() as u64;
    if found != file.sha256 || found_size != file.size {
        return Err(ArchiveError::WrongHash {
            url,
            expected: file.sha256,
            size: file.size,
            found,
            found_size,
        });
    }
    let text = decompress(&bytes, list.unpacked_size, &url)?;
    compact(&text, suite, options.arch).map_err(|source| ArchiveError::Index { url, source })
}

fn decompress(bytes: &[u8], size: u64, url: &str) -> Result<Vec<u8>, ArchiveError> {
    let failed = |source| ArchiveError::Decompress { url: url.to_owned(), source };
    let threads = std::thread::available_parallelism()
        .map_or(1, |count| u32::try_from(count.get()).unwrap_or(1))
        .min(4);
    // The size is signed, and limited where it was read.
    let mut text = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    let reader = Compression::Xz.reader(bytes, threads).map_err(failed)?;
    reader.take(size + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 == size {
        Ok(text)
    } else {
        Err(ArchiveError::WrongUnpackedSize { url: url.to_owned(), size })
    }
}
