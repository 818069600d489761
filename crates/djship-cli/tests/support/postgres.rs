//! A PostgreSQL server from the host's Debian package, run by an ordinary user on the loopback interface.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use djship_testkit::needs::{self, Missing};
use djship_testkit::{Running, User, user};
use rustix::process::Signal;

use super::{SOON, serving};

/// A running server with one empty database; it ends on drop.
#[derive(Debug)]
pub(crate) struct Postgres {
    port: u16,
    server: Option<Running>,
    _folder: tempfile::TempDir,
}

/// The folder of the newest server's programs, and who can run it: PostgreSQL refuses to run as root.
pub(crate) fn server() -> Result<(PathBuf, User), Missing> {
    let missing = || Missing("needs Debian's package postgresql".to_owned());
    let versions = fs_err::read_dir("/usr/lib/postgresql").map_err(|_| missing())?;
    let programs = versions.filter_map(Result::ok).map(|version| version.path().join("bin"));
    let programs = programs.filter(|folder| folder.join("initdb").is_file()).max().ok_or_else(missing)?;
    let user = match needs::root() {
        Ok(()) => needs::user(user::WITHOUT_SUBORDINATE_IDS)?,
        Err(_) => User::current().map_err(|error| Missing(format!("needs a user: {error:#}")))?,
    };
    Ok((programs, user))
}

impl Postgres {
    pub(crate) fn start((programs, user): &(PathBuf, User)) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("djship-postgres-").tempdir()?;
        user.own(folder.path())?;
        let data = folder.path().join("data");
        let mut initdb = user.command(programs.join("initdb"));
        initdb.args(["--auth=trust", "--username=polls", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]);
        initdb.arg("-D").arg(&data);
        Running::start(&mut initdb)?.wait(SOON)?.success()?;
        let port = serving::free_port()?;
        let mut postgres = user.command(programs.join("postgres"));
        postgres.arg("-D").arg(&data).args(["-h", "127.0.0.1", "-p", &port.to_string()]);
        postgres.arg("-k").arg(folder.path());
        let mut server = Running::start(&mut postgres)?;
        server.await_text("ready to accept connections", SOON)?;
        let mut createdb = user.command(programs.join("createdb"));
        createdb.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-U", "polls", "polls"]);
        Running::start(&mut createdb)?.wait(SOON)?.success()?;
        Ok(Self { port, server: Some(server), _folder: folder })
    }

    /// Where it listens on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// `DATABASE_URL=...` for `djship run -e`.
    pub(crate) fn variable(&self) -> String {
        format!("DATABASE_URL=postgres://polls:any@127.0.0.1:{}/polls", self.port)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            // Fast shutdown: its children are gone when it is.
            let _ = server.signal(Signal::INT);
            let _ = server.wait(SOON);
        }
    }
}
