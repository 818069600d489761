//! Services that the project's configuration names.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use djship_engine::Signal;

use super::ServiceError;
use super::inside::Inside;
use super::making::{Making, series};
use super::server::{Prepared, Service};
use super::talk;
use super::wanted::OwnService;
use crate::supervisor::Ending;

/// How long a health check may take.
const CHECK: Duration = Duration::from_secs(5);

/// Prepares a service. How its data changes from one version to the next is not known, so data belongs to a Debian release.
pub(super) fn prepare(making: &Making<'_>, own: &OwnService) -> Result<Prepared, ServiceError> {
    let root = making.roots.own_service(&own.packages)?;
    let first = own.packages.first().and_then(|name| root.package(name));
    let title =
        first.map_or_else(|| own.name.clone(), |package| format!("{} {}", own.name, series(package, 2)));
    let filled = Filled {
        address: making.place.address.to_string(),
        port: own.port.map(|port| port.to_string()).unwrap_or_default(),
        data: own.data.clone().unwrap_or_default(),
    };
    let mut container = making.container(&root, filled.all(&own.command), "service");
    for (name, value) in &own.environment {
        container.env(name, filled.one(value));
    }
    if Path::new("/etc/resolv.conf").exists() {
        container.bind_read_only("/etc/resolv.conf", "/etc/resolv.conf");
    }
    let (mut volume, mut notes) = (None, Vec::new());
    if let Some(data) = &own.data {
        let package = first.map(ToString::to_string).unwrap_or_default();
        let (opened, said) = making.volume(&making.roots.codename().to_string(), &package, |_, _| Ok(()))?;
        container.bind(opened.data(), data);
        (volume, notes) = (Some(opened), said);
    }
    let health = own.health.as_ref().map(|command| filled.all(command));
    let service = Box::new(Own { health, listen: making.listen.first().copied() });
    Ok(Prepared { title, container, volume, service, notes })
}

/// What stands for something in a command.
#[derive(Debug)]
struct Filled {
    address: String,
    port: String,
    data: String,
}

impl Filled {
    fn one(&self, text: &str) -> String {
        text.replace("{address}", &self.address).replace("{port}", &self.port).replace("{data}", &self.data)
    }

    fn all(&self, words: &[String]) -> Vec<String> {
        words.iter().map(|word| self.one(word)).collect()
    }
}

struct Own {
    health: Option<Vec<String>>,
    listen: Option<SocketAddr>,
}

impl Service for Own {
    fn look(&mut self, inside: &Inside<'_>) -> Result<bool, ServiceError> {
        match (&self.health, self.listen) {
            (Some(command), _) => {
                let words: Vec<&str> = command.iter().map(String::as_str).collect();
                inside.succeeds(&words, CHECK)
            }
            (None, Some(address)) => Ok(talk::listens(address)),
            (None, None) => Ok(true),
        }
    }

    fn ending(&self) -> Ending {
        Ending { signal: Signal::TERM, grace: Duration::from_secs(15) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_filled_in() {
        let filled = Filled { address: "127.70.1.2".into(), port: "9000".into(), data: "/srv/data".into() };
        assert_eq!(
            filled.one("--listen={address}:{port} {data} {other}"),
            "--listen=127.70.1.2:9000 /srv/data {other}"
        );
    }
}
