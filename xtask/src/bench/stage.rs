//! Everything that is measured, set up: the proxy, djship, Docker, and a copy of each project for each side.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::docker::{BASES, Builder, CLIENT, COMPOSE, Docker, SERVER};
use super::measure::{Run, run_once};
use super::ours::Ours;
use super::project::{Checkout, Project};
use super::proxy::Proxy;
use super::registry;
use crate::testing;
use crate::workspace::{self, run};

/// Debian packages that the comparison needs beside a Rust toolchain and Python with pip.
const PACKAGES: [&str; 6] =
    ["curl", "docker-compose", "docker-registry", "docker.io", "mmdebstrap", "util-linux"];

/// What the packages are needed for.
const PROGRAMS: [&str; 7] =
    [CLIENT, SERVER, COMPOSE, registry::PROGRAM, "/usr/bin/mmdebstrap", "/usr/bin/curl", "/usr/bin/setpriv"];

pub(super) struct Stage {
    // Docker ends before the proxy that it asks.
    pub(super) docker: Docker,
    pub(super) ours: Ours,
    pub(super) proxy: Proxy,
    /// What is made on the way.
    pub(super) folder: PathBuf,
}

/// A project once for each side: an edit for one side is news for the others too.
pub(super) struct Copies {
    pub(super) project: Project,
    pub(super) ours: Checkout,
    pub(super) docker: [(Builder, Checkout); 2],
}

impl Stage {
    /// Sets everything up below the target folder.
    pub(super) fn set(install: bool, djship: Option<&Path>) -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            bail!("dockerd and mmdebstrap need root");
        }
        let is_here = || PROGRAMS.iter().all(|program| Path::new(program).is_file());
        if install && !is_here() {
            run(Command::new("apt-get").args(["-q", "update"]))?;
            run(Command::new("apt-get")
                .env("DEBIAN_FRONTEND", "noninteractive")
                .args(["-q", "install", "--yes", "--no-install-recommends"])
                .args(PACKAGES))?;
        }
        if let Some(missing) = PROGRAMS.iter().find(|program| !Path::new(program).is_file()) {
            bail!("{missing} is missing; --setup installs {}", PACKAGES.join(", "));
        }
        let folder = workspace::root().join("target/bench");
        fs_err::create_dir_all(&folder)?;
        let proxy = Proxy::start(&workspace::root().join(testing::CACHE_FOLDER))?;
        let binary = workspace::djship(djship)?;
        let ours = Ours::new(binary, folder.join("home"), &proxy);
        let docker = Docker::start(&folder.join("docker"))?;
        Ok(Self { docker, ours, proxy, folder })
    }

    /// Writes a project.
    pub(super) fn copies(&self, project: Project) -> Result<Copies> {
        let place = |side: &str| self.folder.join("projects").join(side);
        let docker = |builder: Builder| -> Result<_> {
            let checkout = Checkout::write(project, &place(&builder.name().to_lowercase()))?;
            Ok((builder, checkout.with_dockerfile()?))
        };
        let [classic, buildkit] = Builder::ALL;
        Ok(Copies {
            project,
            ours: Checkout::write(project, &place("djship"))?,
            docker: [docker(classic)?, docker(buildkit)?],
        })
    }

    /// Builds the project once on every side, so that what follows is a rebuild. Not measured.
    pub(super) fn build_all(&self, copies: &Copies) -> Result<()> {
        self.make_bases()?;
        self.ours_built(copies)?;
        for (builder, checkout) in &copies.docker {
            self.docker_built(*builder, checkout, copies.project, &[])?;
        }
        Ok(())
    }

    /// Makes the bases that Docker does not have.
    pub(super) fn make_bases(&self) -> Result<()> {
        for (name, packages) in BASES {
            if !self.docker.has(name)? {
                self.measured_base(name, packages)?;
            }
        }
        Ok(())
    }

    pub(super) fn measured_base(&self, name: &str, packages: &str) -> Result<Run> {
        println!("  making {name}");
        run_once(&mut self.docker.make_base(name, packages, &self.proxy))
            .with_context(|| format!("cannot make {name}"))
    }

    pub(super) fn ours_built(&self, copies: &Copies) -> Result<Run> {
        let name = copies.project.name();
        println!("  building {name} with djship");
        run_once(&mut self.ours.build(&copies.ours, &Ours::image(name)))
            .with_context(|| format!("cannot build {name} with djship"))
    }

    /// `docker build` with more flags.
    pub(super) fn docker_built(
        &self,
        builder: Builder,
        checkout: &Checkout,
        project: Project,
        flags: &[&str],
    ) -> Result<Run> {
        let name = project.name();
        println!("  building {name} with Docker ({})", builder.name());
        let mut command = self.docker.build(builder, checkout, &builder.image(name), &self.proxy);
        run_once(command.args(flags)).with_context(|| format!("cannot build {name} with {}", builder.name()))
    }
}

/// Takes away what the environment would change on either side: proxies, and settings of pip, uv and djship.
pub(super) fn undisturbed(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_uppercase();
        let is_setting = ["PIP_", "UV_", "DJSHIP_"].iter().any(|prefix| text.starts_with(prefix));
        if is_setting || text.ends_with("_PROXY") {
            command.env_remove(&name);
        }
    }
    command
}
