//! A service as the supervisor keeps it running.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use djship_engine::{Container, Exec, Running};

use super::inside::Inside;
use super::making::Making;
use super::replacement::{Form, Plan, Replacement};
use super::volume::{Volume, birth};
use super::wanted::{Kind, OwnService, PlannedServer};
use super::{ServiceError, listen, mail, mariadb, memcached, own, postgres, rabbitmq, redis, start};
use crate::base::Roots;
use crate::report::Note;
use crate::supervisor::{Ending, Program, ProgramError, Role};
use crate::tools::Tools;

/// Where services of an environment are.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The folder of the environment's volumes.
    pub volumes: &'a Path,
    /// The environment's address.
    pub address: Ipv4Addr,
    /// Names for `/etc/hosts` of every service.
    pub names: &'a [(IpAddr, String)],
    /// The password where the settings have none.
    pub password: &'a str,
}

/// Without the password.
impl fmt::Debug for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { volumes, address, .. } = self;
        f.debug_struct("Place").field("volumes", volumes).field("address", address).finish_non_exhaustive()
    }
}

/// Something worth saying about a service.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServiceNote {
    /// Its volume is new.
    NewVolume,
    /// A database was not there, and is now, empty.
    NewDatabase {
        /// Its name.
        name: String,
    },
    /// An account had another password; now it has the one of the settings.
    PasswordChanged {
        /// The account.
        user: String,
    },
}

/// What a developer does with a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Talk to it.
    Shell,
    /// Write everything in it to standard output.
    Dump,
    /// Run the statement that is appended to its last argument.
    Statement,
}

/// A program for a task, with further variables.
pub(super) struct Client {
    pub(super) argv: Vec<String>,
    pub(super) env: Vec<(String, String)>,
}

impl Client {
    /// To be run in a container with these variables.
    pub(super) fn exec(self, env: &BTreeMap<String, String>) -> Exec {
        let mut exec = Exec::new(self.argv);
        exec.env.clone_from(env);
        exec.env.extend(self.env);
        exec
    }
}

/// What one kind of server does in its own way.
pub(super) trait Service: Send {
    /// One look whether it serves.
    fn look(&mut self, inside: &Inside<'_>) -> Result<bool, ServiceError>;

    /// How it is asked to end.
    fn ending(&self) -> Ending;

    /// How long it may take until it serves: recovery after a crash is the slowest case.
    fn patience(&self) -> Duration {
        Duration::from_mins(2)
    }

    /// Changes what must be new at each start.
    fn renew(&mut self, container: &mut Container) -> Result<(), ServiceError> {
        let _ = container;
        Ok(())
    }

    /// The address for a client on the desktop, with the password.
    fn url(&self) -> Option<String> {
        None
    }

    /// How a database is replaced; it is the settings' first one if it is not given.
    fn replacement(&self, form: Form, database: Option<&str>) -> Option<Plan> {
        let _ = (form, database);
        None
    }

    /// The program and variables for a task; `database` is the settings' first one if it is not given.
    fn command(&self, task: Task, database: Option<&str>) -> Option<Client> {
        let _ = (task, database);
        None
    }

    /// What was found out since the last call.
    fn take_notes(&mut self) -> Vec<ServiceNote> {
        Vec::new()
    }
}

/// A server of one kind, ready to be started.
pub(super) struct Prepared {
    pub(super) title: String,
    pub(super) container: Container,
    pub(super) volume: Option<Volume>,
    pub(super) service: Box<dyn Service>,
    pub(super) notes: Vec<ServiceNote>,
}

/// A service of a development environment.
pub struct Server<'a> {
    tools: &'a Tools<'a>,
    name: String,
    listen: Vec<SocketAddr>,
    prepared: Prepared,
    made_databases: Arc<AtomicBool>,
}

impl fmt::Debug for Server<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the container: its files and variables hold passwords.
        f.debug_struct("Server")
            .field("name", &self.name)
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

/// Prepares a server: its root, its addresses, its volume with data in it.
pub fn prepare<'a>(
    tools: &'a Tools<'a>,
    roots: &Roots<'_>,
    place: &Place<'_>,
    planned: &PlannedServer,
) -> Result<Server<'a>, ServiceError> {
    let mut listen = listen::addresses(planned, place.address);
    if planned.kind == Kind::Smtp {
        listen.push((place.address, mail::WEB_PORT).into());
    }
    listen::check(&planned.name, &listen)?;
    let making = Making { tools, roots, place, name: &planned.name, listen: &listen };
    let prepared = match planned.kind {
        Kind::Postgres | Kind::Postgis => postgres::prepare(&making, planned)?,
        Kind::Mysql => mariadb::prepare(&making, planned)?,
        Kind::Redis => redis::prepare(&making, planned)?,
        Kind::Amqp => rabbitmq::prepare(&making, planned)?,
        Kind::Memcached => memcached::prepare(&making)?,
        Kind::Smtp => mail::prepare(&making)?,
    };
    Ok(Server::new(tools, &planned.name, listen, prepared))
}

/// Prepares a service that the configuration names.
pub fn prepare_own<'a>(
    tools: &'a Tools<'a>,
    roots: &Roots<'_>,
    place: &Place<'_>,
    service: &OwnService,
) -> Result<Server<'a>, ServiceError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if service.name.is_empty() || !service.name.bytes().all(plain) {
        // It is the name of a folder and of a host, too.
        return Err(ServiceError::Unspeakable { service: service.name.clone(), what: "name" });
    }
    let listen: Vec<SocketAddr> = service.port.map(|port| (place.address, port).into()).into_iter().collect();
    listen::check(&service.name, &listen)?;
    let making = Making { tools, roots, place, name: &service.name, listen: &listen };
    let prepared = own::prepare(&making, service)?;
    Ok(Server::new(tools, &service.name, listen, prepared))
}

impl<'a> Server<'a> {
    fn new(tools: &'a Tools<'a>, name: &str, listen: Vec<SocketAddr>, prepared: Prepared) -> Self {
        Self { tools, name: name.to_owned(), listen, prepared, made_databases: Arc::default() }
    }

    /// What it is, such as `PostgreSQL 17`.
    pub fn title(&self) -> &str {
        &self.prepared.title
    }

    /// Where it listens, the environment's address first.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.listen
    }

    /// Where its data is on the host, if it keeps any.
    pub fn volume(&self) -> Option<&Path> {
        self.prepared.volume.as_ref().map(Volume::path)
    }

    /// Stands for the server and its data: another text when it is another server or version, or when its data was made anew.
    pub fn identity(&self) -> String {
        let data = self.prepared.volume.as_ref().map(|volume| birth(&volume.data()));
        let address = self.listen.first().map(ToString::to_string).unwrap_or_default();
        let place = self.volume().map_or(address, |volume| volume.display().to_string());
        format!("{} {place} {}", self.prepared.title, data.unwrap_or_default())
    }

    /// Whether it has made a database that was not there, as far as it has run.
    pub fn made_databases(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.made_databases)
    }

    /// The address for a client on the desktop, with the password.
    pub fn url_for_desktop(&self) -> Option<String> {
        self.prepared.service.url()
    }

    /// The program for a task, to be run in the container with streams of the caller's; `None` if it is no database.
    /// `database` is the settings' first one if it is not given.
    pub fn command(&self, task: Task, database: Option<&str>) -> Option<Exec> {
        let client = self.prepared.service.command(task, database)?;
        Some(client.exec(&self.prepared.container.env))
    }

    /// The programs that replace a database by what a file holds; `None` if it is no database.
    pub fn replacement(&self, form: Form, database: Option<&str>) -> Option<Replacement> {
        let plan = self.prepared.service.replacement(form, database)?;
        Some(plan.with(&self.prepared.container.env))
    }

    /// What preparing it came to; what is found out while it runs is told to the reporter.
    pub fn take_notes(&mut self) -> Vec<ServiceNote> {
        std::mem::take(&mut self.prepared.notes)
    }
}

impl Program for Server<'_> {
    fn name(&self) -> &str {
        &self.name
    }

    fn role(&self) -> Role {
        Role::Service
    }

    fn container(&self) -> &Container {
        &self.prepared.container
    }

    fn start(&mut self) -> Result<Running, ProgramError> {
        listen::check(&self.name, &self.listen)?;
        let Prepared { container, volume, service, .. } = &mut self.prepared;
        service.renew(container)?;
        let held = volume.as_ref().map(Volume::lock);
        Ok(start::holding(self.tools.engine, container, held.as_slice())?)
    }

    fn is_ready(&mut self, running: &Running) -> Result<bool, ProgramError> {
        let inside = Inside { engine: self.tools.engine, running, env: &self.prepared.container.env };
        let serves = self.prepared.service.look(&inside)?;
        for note in self.prepared.service.take_notes() {
            if matches!(note, ServiceNote::NewDatabase { .. }) {
                self.made_databases.store(true, Ordering::SeqCst);
            }
            self.tools.reporter.note(Note::Service { name: &self.name, note: &note });
        }
        Ok(serves)
    }

    fn ending(&self) -> Ending {
        self.prepared.service.ending()
    }

    fn patience(&self) -> Duration {
        self.prepared.service.patience()
    }
}
