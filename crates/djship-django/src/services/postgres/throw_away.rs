//! A server for a first look, thrown away with its data.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use djship_engine::{Container, Network, Running, StartError, Streams};

use super::sql::identifier;
use super::{PORT, Programs, USER};
use crate::base::{BaseError, Roots};
use crate::builder::make_owned;
use crate::child::{self, ChildError};
use crate::services::container::{self, DATA};
use crate::tools::Tools;

/// How long a server may take until it answers.
const PATIENCE: Duration = Duration::from_mins(1);

/// Who may connect to what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Role.
    pub user: String,
    /// Password.
    pub password: String,
    /// Database.
    pub database: String,
}

/// A running server.
#[derive(Debug)]
pub struct Postgres {
    /// Where it listens.
    pub address: Ipv4Addr,
    /// Who may connect.
    pub account: Account,
    running: Running,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// Its root cannot be made.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// A container failed to run.
    #[error(transparent)]
    Child(#[from] ChildError),
    /// The server's container did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The data folder cannot be made.
    #[error("cannot make a PostgreSQL data folder")]
    Init {
        /// The last lines of `initdb`.
        output: Vec<String>,
    },
    /// It does not answer.
    #[error("cannot reach the PostgreSQL server on {address}: {}", if *ended { "it has ended" } else { "it does not answer" })]
    Silent {
        /// Where it should listen.
        address: Ipv4Addr,
        /// The process is gone.
        ended: bool,
    },
    /// No address of the project is free.
    #[error("cannot start PostgreSQL: port {PORT} is in use on every address of the project")]
    NoAddress,
    /// A file operation failed.
    #[error("cannot prepare PostgreSQL")]
    Io(#[from] std::io::Error),
}

impl Postgres {
    /// Starts a new server on an empty data folder in `data`, and returns once it answers a query.
    pub fn start(
        tools: &Tools<'_>,
        roots: &Roots<'_>,
        data: &Path,
        address: impl Fn(u8) -> Ipv4Addr,
        account: Account,
    ) -> Result<Self, PostgresError> {
        let root = roots.service(&djship_deb::sets::postgres(roots.codename()))?;
        let server = Server { programs: Programs::new(root.fs(), roots.codename()), data };
        make_owned(data, tools)?;
        server.initialise(tools, &account)?;
        let free = |address: &Ipv4Addr| TcpListener::bind((*address, PORT)).is_ok();
        let address = (0..32).map(address).find(free).ok_or(PostgresError::NoAddress)?;
        let running = tools.engine.start(&server.container(address))?;
        let mut started = Self { address, account, running };
        started.wait_until_it_answers(tools, &server)?;
        started.create_database(tools, &server)?;
        Ok(started)
    }

    /// Ends the server: fast shutdown, everything written.
    pub fn stop(mut self) {
        // SIGINT is PostgreSQL's fast shutdown; dropping the handle ends what is left.
        let asked = self.running.signal(rustix::process::Signal::INT);
        if asked.is_ok() {
            let _ = self.running.wait_for(Duration::from_secs(10));
        }
    }

    fn wait_until_it_answers(&mut self, tools: &Tools<'_>, server: &Server<'_>) -> Result<(), PostgresError> {
        let since = Instant::now();
        loop {
            // A failed query is quick, and the server's own log goes to the reporter only when it matters.
            if server.query(tools, self, "postgres", "select 1")? {
                return Ok(());
            }
            let ended = self.running.wait_for(Duration::from_millis(20)).map_err(ChildError::from)?.is_some();
            if ended || since.elapsed() > PATIENCE {
                return Err(PostgresError::Silent { address: self.address, ended });
            }
        }
    }

    fn create_database(&self, tools: &Tools<'_>, server: &Server<'_>) -> Result<(), PostgresError> {
        if self.account.database == "postgres" {
            return Ok(());
        }
        let statement = format!("create database {}", identifier(&self.account.database));
        if server.query(tools, self, "postgres", &statement)? {
            return Ok(());
        }
        Err(PostgresError::Silent { address: self.address, ended: false })
    }
}

struct Server<'a> {
    programs: Programs,
    data: &'a Path,
}

impl Server<'_> {
    fn initialise(&self, tools: &Tools<'_>, account: &Account) -> Result<(), PostgresError> {
        let mut container =
            self.step(self.programs.initdb(&account.user, &["--pwfile=/etc/djship-password"]));
        container.file("/etc/djship-password", format!("{}\n", account.password));
        let finished = child::run(tools, &container)?;
        if finished.success() {
            Ok(())
        } else {
            Err(PostgresError::Init { output: finished.tail(20).to_vec() })
        }
    }

    fn container(&self, address: Ipv4Addr) -> Container {
        let mut container = self.step(self.programs.postgres(&[SocketAddr::from((address, PORT))], &[]));
        container.network = Network::Host;
        container.stdio = Streams::NULL;
        container
    }

    /// Whether a statement succeeds.
    fn query(
        &self,
        tools: &Tools<'_>,
        server: &Postgres,
        database: &str,
        statement: &str,
    ) -> Result<bool, PostgresError> {
        let Postgres { address, account, .. } = server;
        let address = address.to_string();
        let psql = self.programs.path("psql");
        let arguments =
            [&psql, "-X", "-q", "-h", &address, "-U", &account.user, "-d", database, "-c", statement];
        let mut container = self.step(arguments.map(str::to_owned).to_vec());
        container.network = Network::Host;
        container.stdio = Streams::NULL;
        container.binds.clear();
        container
            .env("PGPASSWORD", &account.password)
            .env("PGPORT", PORT.to_string())
            .env("PGCONNECT_TIMEOUT", "5");
        Ok(child::run(tools, &container)?.success())
    }

    fn step(&self, arguments: Vec<String>) -> Container {
        let mut container = container::step(self.programs.root.clone(), arguments, USER);
        container.bind(self.data, DATA);
        container
    }
}
