//! The usual side: docker-compose, with a web server from a Dockerfile and PostgreSQL beside it.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use super::site::Site;
use super::{Environment, THEIRS};
use crate::bench::docker::{BASES, COMPOSE};
use crate::bench::measure::{Run, run_once};
use crate::bench::stage::Stage;

/// What the database's image is made from, and its packages.
const BASE: (&str, &str) = ("bench-postgres", "postgresql");

/// What a team that develops with docker-compose has beside its code.
const FILES: [(&str, &str); 4] = [
    ("Dockerfile", include_str!("compose_files/Dockerfile")),
    ("docker-compose.yml", include_str!("compose_files/docker-compose.yml")),
    ("docker/database.Dockerfile", include_str!("compose_files/database.Dockerfile")),
    ("docker/database.sh", include_str!("compose_files/database.sh")),
];

/// Makes the images that others would pull.
pub(super) fn make_bases(stage: &Stage) -> Result<()> {
    // What it is built in has an interpreter, a compiler and headers: what development needs as well.
    let [_, builder] = BASES;
    for (name, packages) in [builder, BASE] {
        if !stage.docker.has(name)? {
            stage.measured_base(name, packages)?;
        }
    }
    Ok(())
}

/// A project that docker-compose runs. What it made goes away on drop.
pub(super) struct Compose<'a> {
    stage: &'a Stage,
    /// Names containers, images, network and volume.
    name: String,
    site: Site,
    /// Where the web server is published on the loopback address.
    port: u16,
}

impl<'a> Compose<'a> {
    /// A copy of the project in `folder`, whose database's image is there, and nothing else.
    pub(super) fn of(stage: &'a Stage, folder: &Path, name: &str) -> Result<Self> {
        let site = Site::copy(folder)?.with(&FILES)?;
        let compose = Self { stage, name: name.to_owned(), site, port: free_port()? };
        run_once(&mut compose.command(&["build", "db"])).context("cannot build the image of the database")?;
        Ok(compose)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(COMPOSE);
        self.stage.docker.tell(&mut command);
        // BuildKit is the faster builder, and the client that knows it is not the first one on every PATH.
        command.envs([
            ("COMPOSE_DOCKER_CLI_BUILD", "1"),
            ("DOCKER_BUILDKIT", "1"),
            ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
        ]);
        command.env("COMPOSE_PROJECT_NAME", &self.name).env_remove("COMPOSE_FILE");
        command.env("PIP_INDEX_URL", self.stage.proxy.index()).env("WEB_PORT", self.port.to_string());
        command.args(arguments).current_dir(&self.site.folder);
        command
    }
}

impl Environment for Compose<'_> {
    fn name(&self) -> &'static str {
        THEIRS
    }

    fn install_and_up(&mut self) -> Result<Run> {
        let built = run_once(&mut self.command(&["build", "--no-cache", "web"]))?;
        Ok(built + self.up()?)
    }

    fn up(&mut self) -> Result<Run> {
        run_once(&mut self.command(&["up", "--detach"]))
    }

    fn url(&self) -> Result<String> {
        Ok(format!("http://localhost:{}/", self.port))
    }

    fn site(&mut self) -> &mut Site {
        &mut self.site
    }

    fn down(&mut self) -> Result<Run> {
        run_once(&mut self.command(&["down"]))
    }

    fn kill_and_down(&mut self) -> Result<Option<Run>> {
        // The database is asked to end as ever, so that the next start has nothing to recover.
        let killed = run_once(&mut self.command(&["kill", "web"]))?;
        Ok(Some(killed + self.down()?))
    }
}

impl Drop for Compose<'_> {
    fn drop(&mut self) {
        // Nothing is lost when it is killed here: what it kept goes with it.
        for arguments in [&["kill"][..], &["down", "--volumes", "--rmi", "local"]] {
            let _ = self.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
        self.site.remove();
    }
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen")?.local_addr()?.port())
}
