//! Docker, Debian's: a daemon of our own for the time of the measurement, with everything it keeps in one folder.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::project::Checkout;
use super::proxy::Proxy;
use super::stage::undisturbed;
use crate::workspace::{output_of, run};

/// Debian's clients and server. Other clients on PATH may not know BuildKit.
pub(super) const CLIENT: &str = "/usr/bin/docker";
pub(super) const COMPOSE: &str = "/usr/bin/docker-compose";
pub(super) const SERVER: &str = "/usr/sbin/dockerd";

/// The release that djship takes by default; both sides are to ship the same packages.
const CODENAME: &str = "trixie";

/// Debian's own keys.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// What the production image starts from, and what it is built in.
pub(super) const BASES: [(&str, &str); 2] = [
    ("bench-runtime", "python3,libpq5"),
    ("bench-builder", "python3,python3-venv,python3-dev,gcc,libc6-dev,libpq-dev"),
];

/// How Docker builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Builder {
    Classic,
    BuildKit,
}

impl Builder {
    pub(super) const ALL: [Self; 2] = [Self::Classic, Self::BuildKit];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::BuildKit => "BuildKit",
        }
    }

    /// The name of the image that it builds of this project.
    pub(super) fn image(self, project: &str) -> String {
        format!("bench-{project}-{}", self.name().to_lowercase())
    }
}

/// A running daemon; it ends on drop.
#[derive(Debug)]
pub(super) struct Docker {
    folder: PathBuf,
    daemon: Child,
}

impl Docker {
    /// Starts the daemon. What it keeps stays in `folder` from run to run.
    pub(super) fn start(folder: &Path) -> Result<Self> {
        /// For starting up with what an earlier run left.
        const PATIENCE: Duration = Duration::from_mins(1);
        fs_err::create_dir_all(folder.join("client"))?;
        let (settings, log) = (folder.join("daemon.json"), folder.join("log"));
        // Not the machine's own configuration.
        fs_err::write(&settings, "{}\n")?;
        let output = fs_err::File::create(&log)?.into_parts().0;
        // Whatever becomes of us, the daemon is asked to end.
        let mut command = Command::new("setpriv");
        command.args([
            "--pdeathsig",
            "TERM",
            SERVER,
            "--iptables=false",
            "--ip6tables=false",
            "--bridge=none",
        ]);
        command.arg("--config-file").arg(&settings);
        command.arg("--data-root").arg(folder.join("data"));
        command.arg("--exec-root").arg(folder.join("run"));
        command.arg("--pidfile").arg(folder.join("pid"));
        command.arg("--host").arg(socket(folder));
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let daemon = command.spawn().context("cannot start dockerd")?;
        let mut docker = Self { folder: folder.to_owned(), daemon };
        let since = Instant::now();
        while !docker.client(&["version"]).output()?.status.success() {
            if docker.daemon.try_wait()?.is_some() || since.elapsed() > PATIENCE {
                let told = fs_err::read_to_string(&log)?;
                let lines: Vec<&str> = told.lines().collect();
                bail!(
                    "dockerd does not start; it said:\n{}",
                    lines[lines.len().saturating_sub(8)..].join("\n")
                );
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(docker)
    }

    /// The client with these arguments.
    pub(super) fn client(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(CLIENT);
        self.tell(&mut command);
        command.args(arguments);
        command
    }

    /// Lets a client talk to this daemon.
    pub(super) fn tell(&self, command: &mut Command) {
        command.env("DOCKER_HOST", socket(&self.folder)).env("DOCKER_CONFIG", self.folder.join("client"));
        command.env_remove("DOCKER_CONTEXT");
    }

    /// `docker build`.
    pub(super) fn build(&self, builder: Builder, checkout: &Checkout, image: &str, proxy: &Proxy) -> Command {
        let mut command = self.client(&["build", "--network", "host"]);
        command.env("DOCKER_BUILDKIT", if builder == Builder::BuildKit { "1" } else { "0" });
        command.arg("--build-arg").arg(format!("PIP_INDEX_URL={}", proxy.index()));
        command.args(["--tag", image]).arg(&checkout.folder);
        command
    }

    /// Makes a base from Debian's packages.
    pub(super) fn make_base(&self, name: &str, packages: &str, proxy: &Proxy) -> Command {
        let (main, security) = (proxy.debian(), proxy.debian_security());
        let mut command = Command::new("bash");
        undisturbed(&mut command);
        self.tell(&mut command);
        // Both at the same time, as anyone would.
        let line = format!("mmdebstrap --quiet \"$@\" | {CLIENT} import - {name}");
        command.args(["-o", "pipefail", "-c", &line, "bash", "--variant=minbase"]);
        command.arg(format!("--keyring={KEYRING}")).arg(format!("--include={packages}"));
        command.args([CODENAME, "-"]);
        command.arg(format!("deb {main} {CODENAME} main"));
        command.arg(format!("deb {main} {CODENAME}-updates main"));
        command.arg(format!("deb {security} {CODENAME}-security main"));
        command
    }

    /// Whether there is such an image.
    pub(super) fn has(&self, image: &str) -> Result<bool> {
        Ok(!output_of(&mut self.client(&["image", "ls", "--quiet", image]))?.trim().is_empty())
    }

    /// Removes every image and what the builders kept.
    pub(super) fn forget(&self) -> Result<()> {
        run(self.client(&["system", "prune", "--all", "--force"]).stdout(Stdio::null()))
    }

    /// The version of the server.
    pub(super) fn version(&self) -> Result<String> {
        let version = output_of(&mut self.client(&["version", "--format", "{{.Server.Version}}"]))?;
        Ok(version.trim().to_owned())
    }

    /// The version of docker-compose.
    pub(super) fn compose_version(&self) -> Result<String> {
        let mut compose = Command::new(COMPOSE);
        self.tell(&mut compose);
        Ok(output_of(compose.args(["version", "--short"]))?.trim().to_owned())
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        /// After this time it is not going to end by itself.
        const PATIENCE: Duration = Duration::from_secs(30);
        let _ = kill_process(Pid::from_child(&self.daemon), Signal::TERM);
        let since = Instant::now();
        while matches!(self.daemon.try_wait(), Ok(None)) {
            if since.elapsed() > PATIENCE {
                let _ = self.daemon.kill();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn socket(folder: &Path) -> String {
    format!("unix://{}", folder.join("socket").display())
}
