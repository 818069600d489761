//! memcached.

use std::net::SocketAddr;
use std::time::Duration;

use djship_deb::sets;
use djship_engine::Signal;

use super::inside::Inside;
use super::making::{Making, series};
use super::server::{Prepared, Service};
use super::talk::Talk;
use super::{ServiceError, listen};
use crate::supervisor::Ending;

/// Prepares memcached; it keeps nothing.
pub(super) fn prepare(making: &Making<'_>) -> Result<Prepared, ServiceError> {
    let root = making.roots.service(&sets::memcached())?;
    let version = series(making.package(&root, "memcached")?, 2);
    let hosts = listen::joined(making.listen, ",");
    let port = making.listen[0].port().to_string();
    // Nobody speaks UDP with it, and its standard size of 64 MB is enough to try out caching.
    let argv = ["/usr/bin/memcached", "-l", &hosts, "-p", &port, "-U", "0"].map(str::to_owned);
    Ok(Prepared {
        title: format!("memcached {version}"),
        container: making.container(&root, argv.to_vec(), "memcache"),
        volume: None,
        service: Box::new(Memcached { listen: making.listen.to_vec() }),
        notes: Vec::new(),
    })
}

struct Memcached {
    listen: Vec<SocketAddr>,
}

impl Service for Memcached {
    fn look(&mut self, _: &Inside<'_>) -> Result<bool, ServiceError> {
        let serves = |address: &SocketAddr| {
            let mut talk = Talk::with(*address)?;
            talk.say(b"version\r\n")?;
            talk.hear_line().filter(|line| line.starts_with("VERSION "))
        };
        Ok(self.listen.iter().all(|address| serves(address).is_some()))
    }

    fn ending(&self) -> Ending {
        // It always takes about a second.
        Ending { signal: Signal::TERM, grace: Duration::from_secs(5) }
    }
}
