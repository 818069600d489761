//! The services of an environment: why each of them runs, and where they listen.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::access::DatabaseAccess;
use super::describe::Description;
use super::facts::DevelopmentFacts;
use crate::project::command::CommandLine;
use crate::project::config::{Config, Entry};
use crate::services::{self, OwnService, PlannedServer, Server};
use crate::supervisor::{Program as _, ServiceDescription};

/// The usual ports of the services.
const SERVICE_PORTS: &[u16] = &[5432, 3306, 6379, 5672, 11211, 1025];

/// A service that runs.
pub(super) struct Started {
    pub(super) name: String,
    pub(super) wish: Wish,
    pub(super) description: ServiceDescription,
    pub(super) database: Option<DatabaseAccess>,
    /// Stands for the server and its data.
    pub(super) identity: String,
    /// Set once the server has made a database that was not there.
    pub(super) made_databases: Arc<AtomicBool>,
}

/// Why a service runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wish {
    /// The settings lead to it.
    Found(PlannedServer),
    /// The configuration names it.
    Own(OwnService),
}

impl Wish {
    /// The service's name.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Found(planned) => &planned.name,
            Self::Own(own) => &own.name,
        }
    }
}

impl Started {
    pub(super) fn of(server: &Server<'_>, wish: Wish) -> Self {
        let name = server.name().to_owned();
        let address = server.addresses().first().map_or_else(String::new, ToString::to_string);
        let description = ServiceDescription {
            name: name.clone(),
            title: server.title().to_owned(),
            address,
            url: server.url_for_desktop(),
        };
        let database = DatabaseAccess::of(server);
        let (identity, made_databases) = (server.identity(), server.made_databases());
        Self { name, wish, description, database, identity, made_databases }
    }
}

/// The services that the settings and the configuration come to.
pub(super) fn wishes(description: &Description<'_>) -> Vec<Wish> {
    of(&description.facts, &description.config)
}

fn of(facts: &DevelopmentFacts, config: &Config) -> Vec<Wish> {
    // Switched off, or described by the project itself.
    let off = |name: &str| config.services.contains_key(name);
    let found = PlannedServer::all(&facts.services).into_iter().filter(|server| !off(&server.name));
    let own = config.services.iter().filter_map(|(name, entry)| match &entry.value {
        Entry::Off => None,
        Entry::On(own) => Some(Wish::Own(OwnService {
            name: name.clone(),
            packages: own.packages.clone(),
            command: own.command.argv(),
            port: own.port,
            health: own.health.as_ref().map(CommandLine::argv),
            data: own.data.clone(),
            environment: own.environment.clone(),
        })),
    });
    found.map(Wish::Found).chain(own).collect()
}

/// The names of the services, sorted.
pub(super) fn names(description: &Description<'_>) -> BTreeSet<String> {
    wishes(description).iter().map(|wish| wish.name().to_owned()).collect()
}

/// Names that lead to the services that run: the usual ones, and what the settings say. One that is switched off has none:
/// whoever did that has a server of that name elsewhere.
pub(super) fn host_names(facts: &DevelopmentFacts, config: &Config) -> BTreeSet<String> {
    let all = PlannedServer::all(&facts.services);
    let mut names = BTreeSet::new();
    for wish in of(facts, config) {
        // What is in the place of one of ours is found by its names.
        let planned = all.iter().filter(|planned| planned.name == wish.name());
        names.extend(planned.flat_map(|planned| &planned.wanted).flat_map(services::aliases));
        if let Wish::Own(own) = wish {
            names.insert(own.name);
        }
    }
    names
}

/// The address of the project's own on which all usual ports are free; its first one when none is.
pub(super) fn free_address(project: &Path) -> Ipv4Addr {
    let free =
        |address: &Ipv4Addr| SERVICE_PORTS.iter().all(|port| TcpListener::bind((*address, *port)).is_ok());
    (0..32)
        .map(|attempt| services::of_project(project, attempt))
        .find(free)
        .unwrap_or_else(|| services::of_project(project, 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::Project;

    fn config(text: &str) -> Config {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("djship.toml"), text).unwrap();
        let manage_py = djship_store::TreePath::parse("manage.py").unwrap();
        Config::read(&Project { folder: folder.path().to_owned(), manage_py }).unwrap()
    }

    #[test]
    fn what_is_switched_off_has_no_names() {
        let facts: DevelopmentFacts = serde_json::from_str(
            r#"{"services": [{"kind": "postgres", "host": "pg.internal", "port": 5432},
                             {"kind": "redis", "host": "keys", "port": 6379}]}"#,
        )
        .unwrap();
        let names = |text: &str| -> Vec<String> { host_names(&facts, &config(text)).into_iter().collect() };
        let redis = ["broker", "cache", "keys", "redis", "valkey"];
        let postgres = ["database", "db", "postgis", "postgres", "postgresql"];
        assert_eq!(names("services.postgres = false"), redis);
        assert_eq!(names("services.redis = false"), postgres);
        let own = "[services.files]\npackages = ['python3']\ncommand = 'python3 -m http.server'\n";
        assert_eq!(names(&format!("services.redis = false\n{own}")).len(), postgres.len() + 1);
        // In the place of ours, it is found by the same names.
        let own = "[services.postgres]\npackages = ['pgbouncer']\ncommand = 'pgbouncer'\n";
        let all: Vec<_> = redis.iter().chain(&postgres).map(|name| (*name).to_owned()).collect();
        assert_eq!(BTreeSet::from_iter(names(own)), BTreeSet::from_iter(all));
    }
}
