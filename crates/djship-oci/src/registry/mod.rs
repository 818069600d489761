//! Registries: images pushed to them and pulled from them, with nothing in between.
//!
//! | module | holds |
//! |---|---|
//! | [`mod@reference`] | [`Reference`]: `registry[:port]/path[:tag][@digest]` |
//! | [`credentials`], [`docker_config`] | who asks, and what `docker login` left about it |
//! | [`mod@push`], [`mod@pull`] | an image to a registry, and from one |
//! | [`mod@artifacts`] | trees that one build made and another takes, by what they were made from |
//! | [`unpack`], [`flatten`] | somebody else's layers as trees, and all of them as one |
//! | [`error`] | [`RegistryError`] |
//!
//! Everything blocks; a few threads at a time move layers. Nothing is read from the environment.

mod answer;
pub mod artifacts;
mod challenge;
pub mod credentials;
pub mod docker_config;
pub mod error;
pub mod flatten;
mod manifest;
mod memory;
pub mod pull;
pub mod push;
pub mod reference;
mod session;
mod token;
pub mod unpack;
mod upload;

use djship_store::fetch::Fetcher;
use djship_store::unpack::Limits;

pub use artifacts::{Artifact, Artifacts};
pub use credentials::{Credentials, CredentialsError, Login, Secret};
pub use docker_config::{DockerConfig, Place};
pub use error::RegistryError;
pub use pull::{Pulled, pull};
pub use push::{Pushed, push};
pub use reference::{Reference, ReferenceError};

/// What registries are spoken with by.
pub struct Client<'a> {
    /// Requests go through it: its proxies, certificates, patience and "offline" count.
    pub fetcher: &'a Fetcher,
    /// Who asks.
    pub credentials: &'a dyn Credentials,
    /// What may be done.
    pub options: Options,
}

impl std::fmt::Debug for Client<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("options", &self.options).finish_non_exhaustive()
    }
}

/// What may be done.
#[derive(Debug, Clone)]
pub struct Options {
    /// Registries (host and port) that may be spoken with by plain HTTP. Those on this machine always may.
    pub insecure: Vec<String>,
    /// How many blobs move at a time.
    pub parallel: usize,
    /// How much one pulled layer may hold when it is unpacked.
    pub limits: Limits,
    /// How large the blob of one pulled layer may be, in bytes.
    pub blob_limit: u64,
}

impl Default for Options {
    /// No insecure registry, three blobs at a time, layers of at most 4 GiB.
    fn default() -> Self {
        Self { insecure: Vec::new(), parallel: 3, limits: Limits::default(), blob_limit: 4 << 30 }
    }
}

/// Runs `work` for every number below `count`, on a few threads; the first failure ends it.
fn at_a_time<T: Send, E: Send>(
    parallel: usize,
    count: usize,
    work: impl Fn(usize) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let next = AtomicUsize::new(0);
    let run = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return Ok(done);
            }
            match work(index) {
                Ok(value) => done.push((index, value)),
                Err(error) => {
                    // The others finish what they have, and begin nothing new.
                    next.store(count, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
    };
    let results = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..parallel.clamp(1, count.max(1))).map(|_| scope.spawn(run)).collect();
        let joined = threads.into_iter().map(|thread| match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.collect::<Vec<_>>()
    });
    let mut done = Vec::new();
    for result in results {
        done.extend(result?);
    }
    done.sort_by_key(|(index, _)| *index);
    Ok(done.into_iter().map(|(_, value)| value).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_the_first_failure_counts() {
        let doubled: Result<Vec<_>, ()> = at_a_time(3, 10, |index| Ok(index * 2));
        assert_eq!(doubled, Ok((0..10).map(|index| index * 2).collect()));
        assert_eq!(at_a_time(3, 0, |_| Err::<(), _>("never")), Ok(Vec::new()));
        assert_eq!(at_a_time(2, 10, |index| if index == 4 { Err(index) } else { Ok(()) }), Err(4));
    }
}
