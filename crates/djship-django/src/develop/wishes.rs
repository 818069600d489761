//! The services of an environment: why each of them runs, and where they listen.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use super::access::DatabaseAccess;
use super::describe::Description;
use crate::project::command::CommandLine;
use crate::project::config::Entry;
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
}

/// Why a service runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wish {
    /// The settings lead to it.
    Found(PlannedServer),
    /// The configuration names it.
    Own(OwnService),
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
        Self { name, wish, description, database }
    }
}

/// The services that the settings and the configuration come to.
pub(super) fn wishes(description: &Description<'_>) -> Vec<Wish> {
    let config = &description.config.services;
    // Switched off, or described by the project itself.
    let off = |name: &str| config.contains_key(name);
    let found =
        PlannedServer::all(&description.facts.services).into_iter().filter(|server| !off(&server.name));
    let own = config.iter().filter_map(|(name, entry)| match &entry.value {
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

/// The address of the project's own on which all usual ports are free; its first one when none is.
pub(super) fn free_address(project: &Path) -> Ipv4Addr {
    let free =
        |address: &Ipv4Addr| SERVICE_PORTS.iter().all(|port| TcpListener::bind((*address, *port)).is_ok());
    (0..32)
        .map(|attempt| services::of_project(project, attempt))
        .find(free)
        .unwrap_or_else(|| services::of_project(project, 0))
}
