//! What machines share: base and dependencies in a repository, each part under the digest of what it was made from.
//!
//! A stage asks the store, then the shared cache, then makes its part and, where that is allowed, puts it there. Nothing that
//! is wrong with the cache stops a build: it is said, and the part is made here.
//!
//! Who may write the repository decides what everybody who takes from it ships. A key therefore holds all that counts and
//! nothing of the machine: neither paths nor user ids, proxies or credentials.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use djship_oci::Layer;
use djship_oci::registry::{Artifact, Artifacts, RegistryError};
use djship_store::{Bucket, Digest, FileTree};

use crate::base::ARCHITECTURE;
use crate::laid::{Key, Laid};
use crate::report::{Note, Progress};
use crate::tools::Tools;

/// A shared cache, and what came of it in this build.
#[derive(Debug)]
pub struct SharedCache<'a> {
    artifacts: Artifacts<'a>,
    /// Nobody but the project names it: what others would ship as well does not come from there.
    is_projects: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Nothing is to be had from there: something is wrong that would be wrong the next time, too.
    is_off: bool,
    /// Whether something may be put there, once that is known.
    may_write: Option<bool>,
    taken: Vec<Shared>,
    put: Vec<Shared>,
}

/// A part of an image that machines share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The base layer.
    Base,
    /// The installed environment.
    Environment,
    /// The names of the Debian packages that the environment needs: finding them may take the whole toolchain.
    LibraryNames,
    /// The layer of these packages.
    Libraries,
    /// What djship supplies.
    Supplied,
}

/// A part that was taken or put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shared {
    /// What it is.
    pub part: Part,
    /// Bytes that came, or were sent.
    pub size: u64,
    /// How long it took where it was made.
    pub took: Duration,
}

/// What there is to say about the shared cache.
#[derive(Debug)]
pub enum SharedNote<'a> {
    /// A part came from there.
    Taken(Shared),
    /// A part is there from now on.
    Put(Shared),
    /// An entry is damaged, or is not what it should be. The part is made here.
    Unusable {
        /// What it was to be.
        part: Part,
        /// What is wrong; it names the entry.
        error: &'a RegistryError,
    },
    /// Nothing can be taken from there, now or later in this build: it does not answer, or refuses.
    Unreachable(&'a RegistryError),
    /// Nothing may be put there.
    ReadOnly(&'a RegistryError),
    /// A part was not put there.
    NotPut {
        /// What it is.
        part: Part,
        /// Why.
        error: &'a RegistryError,
    },
    /// The environment is not shared, because other machines cannot tell whether theirs would be the same.
    NotShared(NotShared),
}

/// Why an environment is not shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotShared {
    /// A part of it is built from the project itself, and changes with it.
    Local,
    /// What is not locked may come from a folder of this machine that cannot be read.
    Links,
}

/// A part with its key in the shared cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    part: Part,
    key: Digest,
}

/// What the maker of a part says about it.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Facts<T> {
    /// Milliseconds that it took to make.
    took: u64,
    about: T,
}

impl Part {
    /// Every part.
    pub const ALL: [Self; 5] =
        [Self::Base, Self::Environment, Self::LibraryNames, Self::Libraries, Self::Supplied];

    /// What its entries are called.
    fn kind(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Environment => "environment",
            Self::LibraryNames => "library-names",
            Self::Libraries => "libraries",
            Self::Supplied => "supplied",
        }
    }
}

impl Share {
    /// The part that `key` describes. Another version of djship makes another one, and so does another processor.
    pub(crate) fn new(part: Part, key: &Key) -> Self {
        let shared = Key::new("shared, form 1").part(env!("CARGO_PKG_VERSION")).part(ARCHITECTURE);
        Self { part, key: shared.part(part.kind()).part(key.digest().as_bytes()).digest() }
    }
}

impl<'a> SharedCache<'a> {
    /// The cache in a repository that the developer names. Nothing is asked yet.
    pub fn new(artifacts: Artifacts<'a>) -> Self {
        Self { artifacts, is_projects: false, state: Mutex::default() }
    }

    /// The cache in a repository that a project names. A stranger's project could name a stranger's: only its own
    /// dependencies come from there, no part that other projects on this machine get, and nothing is put there.
    pub fn of_project(artifacts: Artifacts<'a>) -> Self {
        let state = State { may_write: Some(false), ..State::default() };
        Self { artifacts, is_projects: true, state: Mutex::new(state) }
    }

    /// What was taken from there so far.
    pub fn taken(&self) -> Vec<Shared> {
        self.lock().taken.clone()
    }

    /// What was put there so far.
    pub fn put(&self) -> Vec<Shared> {
        self.lock().put.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, tools: &Tools<'_>, share: &Share) -> Option<Artifact> {
        if self.lock().is_off || self.is_projects && share.part != Part::Environment {
            return None;
        }
        self.artifacts.find(share.part.kind(), &share.key).unwrap_or_else(|error| {
            self.failed(tools, share.part, &error);
            None
        })
    }

    /// Says what is wrong with the cache, or with one entry.
    fn failed(&self, tools: &Tools<'_>, part: Part, error: &RegistryError) {
        let note = if error.is_lasting() {
            let mut state = self.lock();
            state.is_off = true;
            // Some registries refuse what is not there yet. It can still be made, by who may.
            if !error.is_refusal() {
                state.may_write = Some(false);
            }
            SharedNote::Unreachable(error)
        } else {
            SharedNote::Unusable { part, error }
        };
        tools.reporter.note(Note::Shared(&note));
    }

    /// Whether a part that is made now can be put there. Asked once, and said once when not.
    fn may_write(&self, tools: &Tools<'_>, part: Part) -> bool {
        if let Some(known) = self.lock().may_write {
            return known;
        }
        let asked = self.artifacts.check_writable();
        self.lock().may_write = Some(asked.is_ok());
        match &asked {
            Ok(()) => {}
            Err(error) if error.is_refusal() => {
                tools.reporter.note(Note::Shared(&SharedNote::ReadOnly(error)));
            }
            Err(error) if error.is_lasting() => self.failed(tools, part, error),
            Err(error) => tools.reporter.note(Note::Shared(&SharedNote::NotPut { part, error })),
        }
        asked.is_ok()
    }

    fn took(&self, tools: &Tools<'_>, shared: Shared) {
        self.lock().taken.push(shared);
        tools.reporter.note(Note::Shared(&SharedNote::Taken(shared)));
    }
}

/// Whether a part that is made now is going to be shared.
pub(crate) fn is_shared(tools: &Tools<'_>, share: &Share) -> bool {
    tools.shared.is_some_and(|cache| cache.may_write(tools, share.part))
}

/// The layer that somebody made, if it is shared.
pub(crate) fn layer(tools: &Tools<'_>, share: &Share) -> Option<Layer> {
    let (folder, ()) = take(tools, share, Bucket::Layers, None, |_, ()| Ok(()))?;
    // What is in the store by now is checked; if it cannot be read, the store is to blame, and says so when it is made.
    Layer::in_folder(tools.store, &folder).ok()
}

/// The tree that somebody made, if it is shared, kept in `bucket` under `key`, with what they say about it. `also` may write
/// further files beside it.
pub(crate) fn tree<T: serde::de::DeserializeOwned>(
    tools: &Tools<'_>,
    share: &Share,
    bucket: Bucket,
    key: &Digest,
    also: impl FnOnce(&Path, &T) -> std::io::Result<()>,
) -> Option<(Laid, T)> {
    let (folder, about) = take(tools, share, bucket, Some(key), also)?;
    Some((Laid::load(&folder).ok()?, about))
}

/// What somebody found out, if it is shared.
pub(crate) fn answer<T: serde::de::DeserializeOwned>(tools: &Tools<'_>, share: &Share) -> Option<T> {
    let cache = tools.shared?;
    let facts: Facts<T> = read(tools, cache, share, &cache.find(tools, share)?)?;
    let took = Duration::from_millis(facts.took);
    cache.took(tools, Shared { part: share.part, size: 0, took });
    Some(facts.about)
}

/// Takes an entry into the store, under `key` or the digest of its tree; returns the folder.
fn take<T: serde::de::DeserializeOwned>(
    tools: &Tools<'_>,
    share: &Share,
    bucket: Bucket,
    key: Option<&Digest>,
    also: impl FnOnce(&Path, &T) -> std::io::Result<()>,
) -> Option<(std::path::PathBuf, T)> {
    let cache = tools.shared?;
    let artifact = cache.find(tools, share)?;
    let Facts { took, about } = read(tools, cache, share, &artifact)?;
    let key = key.copied().or(artifact.tree)?;
    let mut size = 0;
    tools.reporter.progress(Progress::Transfer(artifact.size));
    let folder = tools.store.insert_dir(bucket, &key, |work| {
        cache.artifacts.unpack(&artifact, work)?;
        size = artifact.size;
        also(work, &about).map_err(|source| RegistryError::Blob { digest: key, source })
    });
    tools.reporter.progress(Progress::Done);
    match folder {
        Ok(folder) => {
            cache.took(tools, Shared { part: share.part, size, took: Duration::from_millis(took) });
            Some((folder, about))
        }
        Err(error) => {
            cache.failed(tools, share.part, &error);
            None
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(
    tools: &Tools<'_>,
    cache: &SharedCache<'_>,
    share: &Share,
    artifact: &Artifact,
) -> Option<Facts<T>> {
    serde_json::from_value(artifact.facts.clone())
        .map_err(|source| cache.failed(tools, share.part, &cache.artifacts.malformed(artifact, source)))
        .ok()
}

/// Puts a part there that took so long to make, if there is a cache that takes it.
pub(crate) fn put(
    tools: &Tools<'_>,
    share: &Share,
    took: Duration,
    about: impl serde::Serialize,
    tree: Option<&FileTree>,
) {
    let Some(cache) = tools.shared else { return };
    if !cache.may_write(tools, share.part) {
        return;
    }
    let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let facts = serde_json::to_value(Facts { took: milliseconds, about }).unwrap_or_default();
    tools.reporter.progress(Progress::Transfer(0));
    let sent = cache.artifacts.put(share.part.kind(), &share.key, facts, tree);
    tools.reporter.progress(Progress::Done);
    match sent {
        Ok(size) => {
            let shared = Shared { part: share.part, size, took };
            cache.lock().put.push(shared);
            tools.reporter.note(Note::Shared(&SharedNote::Put(shared)));
        }
        Err(error) => {
            if error.is_lasting() {
                cache.lock().may_write = Some(false);
            }
            tools.reporter.note(Note::Shared(&SharedNote::NotPut { part: share.part, error: &error }));
        }
    }
}
