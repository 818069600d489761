//! A release as its archives serve it today: three signed lists and the package index of each, fetched when needed and checked
//! before anything of them is used.

mod error;
mod state;
mod suite;

pub use error::ArchiveError;

use std::time::Duration;

use djship_store::fetch::Fetcher;
use djship_store::{Bucket, Digest, Store};

use crate::index::{IndexPart, PackageIndex};
use crate::keyring::Keyring;
use crate::release::{Arch, Codename, Suite};
use crate::sources::Mirrors;
use state::{State, SuiteState};

/// Which release, from where, and how fresh.
#[derive(Debug, Clone, Copy)]
pub struct ArchiveOptions<'options> {
    /// The release.
    pub codename: Codename,
    /// The architecture.
    pub arch: Arch,
    /// Where to fetch from.
    pub mirrors: &'options Mirrors,
    /// Whose signatures count.
    pub keyring: &'options Keyring,
    /// How old what is known may be.
    pub freshness: Freshness,
}

/// How old what is known about an archive may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// The time, in seconds since 1970.
    pub now: u64,
    /// Archives are not asked again before this has passed; zero asks every time.
    pub max_age: Duration,
    /// Whether a list past its `Valid-Until` will do, as on a mirror that was frozen on purpose.
    pub accept_expired: bool,
}

/// The lists of a release, checked.
#[derive(Debug)]
pub struct Archive {
    codename: Codename,
    arch: Arch,
    state: State,
    mirrors: Mirrors,
    unreached: Option<ArchiveError>,
}

impl Archive {
    /// Checks the lists of all three suites, fetching those that are not fresh enough. On failure nothing new is remembered.
    /// When no mirror can be reached, lists that were checked earlier and have not expired serve on; see
    /// [`Archive::unreached`].
    pub fn open(
        options: &ArchiveOptions<'_>,
        store: &Store,
        fetcher: &Fetcher,
    ) -> Result<Self, ArchiveError> {
        let place = state::place(store, options)?;
        let known = State::load(&place)?;
        if let Some(state) = known.as_ref().filter(|state| is_fresh(state, options, store, fetcher)) {
            check_time(state, options)?;
            return Ok(Self::new(options, state.clone(), None));
        }
        if fetcher.is_offline() {
            return Err(ArchiveError::NotKnown { codename: options.codename, arch: options.arch });
        }
        // One process asks, the others wait and then know.
        let _lock = store.lock(&state::lock_name(options))?;
        let known = State::load(&place)?.filter(|state| state.suites.len() == Suite::ALL.len());
        if let Some(state) = known.as_ref().filter(|state| is_fresh(state, options, store, fetcher)) {
            check_time(state, options)?;
            return Ok(Self::new(options, state.clone(), None));
        }
        match suite::fetch_all(options, known.as_ref(), store, fetcher) {
            Ok(state) => {
                state.save(&place)?;
                Ok(Self::new(options, state, None))
            }
            Err(error) => match known {
                Some(state)
                    if error.is_unreached()
                        && has_parts(&state, options, store)
                        && check_time(&state, options).is_ok() =>
                {
                    Ok(Self::new(options, state, Some(error)))
                }
                _ => Err(error),
            },
        }
    }

    fn new(options: &ArchiveOptions<'_>, state: State, unreached: Option<ArchiveError>) -> Self {
        let mirrors = state.mirrors(options.mirrors);
        Self { codename: options.codename, arch: options.arch, state, mirrors, unreached }
    }

    /// A digest that stands for all that the archive offers: same digest, same packages.
    pub fn identity(&self) -> Digest {
        let mut text = format!("{} {}\n", self.codename, self.arch);
        for suite in &self.state.suites {
            text.push_str(&suite.packages.hex());
            text.push('\n');
        }
        Digest::of(text.as_bytes())
    }

    /// The packages. Reads the indexes that [`Archive::open`] has put into the store.
    pub fn index(&self, store: &Store) -> Result<PackageIndex, ArchiveError> {
        let mut parts = Vec::with_capacity(self.state.suites.len());
        for suite in &self.state.suites {
            let key = suite::part_key(&suite.packages, suite.suite, self.arch);
            let path = store
                .find(Bucket::Indexes, &key)
                .ok_or(ArchiveError::NotKnown { codename: self.codename, arch: self.arch })?;
            let bytes =
                fs_err::read(&path).map_err(|source| ArchiveError::Read { path: path.clone(), source })?;
            let part = IndexPart::parse(bytes).map_err(|source| {
                // It is made again the next time. If it cannot be removed, that is what the next run will say.
                let _ = store.remove(Bucket::Indexes, &key);
                ArchiveError::Damaged { path, source }
            })?;
            parts.push(part);
        }
        Ok(PackageIndex::new(parts, self.identity()))
    }

    /// The mirrors, those first that served the lists.
    pub fn mirrors(&self) -> &Mirrors {
        &self.mirrors
    }

    /// When the list of a suite was made, in seconds since 1970.
    pub fn date(&self, suite: Suite) -> Option<u64> {
        self.state.suites.iter().find(|known| known.suite == suite).map(|known| known.date)
    }

    /// Why the archives were not asked although it was time to.
    pub fn unreached(&self) -> Option<&ArchiveError> {
        self.unreached.as_ref()
    }
}

fn is_fresh(state: &State, options: &ArchiveOptions<'_>, store: &Store, fetcher: &Fetcher) -> bool {
    let Freshness { now, max_age, .. } = options.freshness;
    let complete = has_parts(state, options, store);
    let young = |suite: &SuiteState| {
        // A time in the future is a clock that was wrong, then or now.
        suite.fetched <= now && now - suite.fetched < max_age.as_secs()
    };
    complete
        && (fetcher.is_offline() || (state.suites.iter().all(young) && check_time(state, options).is_ok()))
}

fn has_parts(state: &State, options: &ArchiveOptions<'_>, store: &Store) -> bool {
    let part = |suite: &SuiteState| suite::part_key(&suite.packages, suite.suite, options.arch);
    state.suites.len() == Suite::ALL.len()
        && state.suites.iter().all(|suite| store.find(Bucket::Indexes, &part(suite)).is_some())
}

/// `Valid-Until` of every suite.
fn check_time(state: &State, options: &ArchiveOptions<'_>) -> Result<(), ArchiveError> {
    state.suites.iter().try_for_each(|suite| {
        suite::check_valid_until(suite.suite.dist(options.codename), suite.valid_until, options.freshness)
    })
}
