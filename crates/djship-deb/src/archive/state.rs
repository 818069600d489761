//! What is remembered about an archive between two runs: when it was asked, and the newest date seen, which never goes back.

use std::path::{Path, PathBuf};

use djship_store::{Bucket, Digest, Store, atomic};

use super::{ArchiveError, ArchiveOptions};
use crate::release::Suite;
use crate::sources::{MirrorUrl, Mirrors};

/// The last good answer of an archive.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct State {
    /// In the order of [`Suite::ALL`].
    pub(super) suites: Vec<SuiteState>,
}

/// The last good answer about one suite.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct SuiteState {
    pub(super) suite: Suite,
    /// When the list was made.
    pub(super) date: u64,
    /// When it stops to count.
    pub(super) valid_until: Option<u64>,
    /// When it was fetched.
    pub(super) fetched: u64,
    /// Digest of the mirror's URL, which may hold a password.
    pub(super) mirror: Digest,
    /// Digest of the compressed index.
    pub(super) packages: Digest,
}

impl State {
    /// Reads the file; a missing one is nothing, and so is one that another version wrote.
    pub(super) fn load(path: &Path) -> Result<Option<Self>, ArchiveError> {
        match fs_err::read(path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ArchiveError::Read { path: path.to_owned(), source }),
        }
    }

    pub(super) fn save(&self, path: &Path) -> Result<(), ArchiveError> {
        let failed = |source| ArchiveError::Write { path: path.to_owned(), source };
        let bytes = serde_json::to_vec(self).map_err(|error| failed(error.into()))?;
        atomic::write(path, &bytes).map_err(failed)
    }

    pub(super) fn of(&self, suite: Suite) -> Option<&SuiteState> {
        self.suites.iter().find(|known| known.suite == suite)
    }

    /// The same mirrors, those first that gave this answer.
    pub(super) fn mirrors(&self, all: &Mirrors) -> Mirrors {
        let first = |suite: Suite| {
            let mut urls = all.of(suite).to_vec();
            let served = self.of(suite).map(|known| known.mirror);
            urls.sort_by_key(|url| Some(digest_of(url)) != served);
            urls
        };
        Mirrors { main: first(Suite::Main), security: first(Suite::Security) }
    }
}

pub(super) fn digest_of(url: &MirrorUrl) -> Digest {
    Digest::of(url.join("").as_bytes())
}

/// The file for one release, architecture and keyring. Another mirror shares it: a mirror must not take dates back. Another
/// keyring is another archive.
pub(super) fn place(store: &Store, options: &ArchiveOptions<'_>) -> Result<PathBuf, ArchiveError> {
    Ok(store.bucket_dir(Bucket::Indexes)?.join(format!("{}.json", lock_name(options))))
}

pub(super) fn lock_name(options: &ArchiveOptions<'_>) -> String {
    let keys = Digest::of(options.keyring.fingerprints().join("\n").as_bytes()).hex();
    format!("archive-{}-{}-{}", options.codename, options.arch, &keys[..8])
}
