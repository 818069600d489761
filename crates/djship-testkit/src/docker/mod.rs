//! Docker, Debian's: a daemon of the test's own with everything it keeps in a temporary folder and a network of its own, so that
//! no other daemon is in its way, every port is free, and nothing of the machine's network changes.
//!
//! The daemon is the first process of a process namespace: when it ends, however it ends, so does everything that it started.
//! `slirp4netns` connects its network namespace with the outside.

mod compose;
mod images;

use std::fs::File;
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tempfile::TempDir;

use crate::needs::{self, Missing};

/// Debian's client. Another one on PATH may not know BuildKit.
pub const CLIENT: &str = "/usr/bin/docker";
/// Debian's docker-compose.
pub const COMPOSE: &str = "/usr/bin/docker-compose";
const SERVER: &str = "/usr/sbin/dockerd";

/// How long the daemon may take to start, and to end.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a test with a daemon needs.
pub fn needed() -> Result<(), Missing> {
    needs::root()?;
    for path in [CLIENT, SERVER] {
        needs::path(path)?;
    }
    for program in ["slirp4netns", "setpriv", "unshare", "ip"] {
        needs::program(program)?;
    }
    Ok(())
}

/// A running daemon; it ends on drop.
#[derive(Debug)]
pub struct Docker {
    folder: TempDir,
    /// `unshare`, the daemon's parent.
    parent: Child,
    daemon: Pid,
    network: Child,
}

impl Docker {
    /// Starts a daemon without images.
    pub fn start() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("djship-docker-").tempdir()?;
        // Other users may talk to it.
        fs_err::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
        let at = |name: &str| folder.path().join(name);
        fs_err::create_dir(at("client"))?;
        // Not the machine's own configuration.
        fs_err::write(at("daemon.json"), "{}\n")?;
        let log = fs_err::File::create(at("log"))?.into_parts().0;
        let mut command = Command::new("setpriv");
        // Whatever becomes of the test, the daemon ends, and with it its process namespace.
        command.args(["--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--fork"]);
        command.args(["--mount-proc", "--kill-child=KILL", "sh", "-c"]);
        // The daemon asks for the way out when it starts.
        command.arg(
            "ip link set lo up; until ip link show tap0 >/dev/null 2>&1; do sleep 0.02; done; exec \"$@\"",
        );
        command.args(["sh", SERVER, "--dns", "10.0.2.3", "--config-file"]).arg(at("daemon.json"));
        command.arg("--data-root").arg(at("data")).arg("--exec-root").arg(at("run"));
        command.arg("--pidfile").arg(at("pid")).arg("--host").arg(socket(folder.path()));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log.try_clone()?);
        let mut parent = command.spawn().context("cannot start dockerd")?;
        let daemon = match child_of(&mut parent) {
            Ok(daemon) => daemon,
            Err(error) => {
                let _ = parent.kill();
                let _ = parent.wait();
                return Err(error.context(said(&at("log"))));
            }
        };
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "slirp4netns", "--configure", "--mtu=65520"]);
        command.arg(daemon.as_raw_nonzero().to_string()).arg("tap0");
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let network = match command.spawn().context("cannot start slirp4netns") {
            Ok(network) => network,
            Err(error) => {
                let _ = parent.kill();
                let _ = parent.wait();
                return Err(error);
            }
        };
        let mut docker = Self { folder, parent, daemon, network };
        docker.await_answer()?;
        // Users of the tests are in no group that may.
        fs_err::set_permissions(docker.folder.path().join("socket"), std::fs::Permissions::from_mode(0o666))?;
        Ok(docker)
    }

    fn await_answer(&mut self) -> Result<()> {
        let since = Instant::now();
        while !self.client(["version"]).output()?.status.success() {
            let has_ended = self.parent.try_wait()?.is_some();
            if has_ended || since.elapsed() > PATIENCE {
                bail!("dockerd does not start; it said:\n{}", said(&self.folder.path().join("log")));
            }
            // It does not tell when it listens.
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// What leads a client to this daemon.
    pub fn variables(&self) -> [(&'static str, String); 2] {
        let config = self.folder.path().join("client");
        [("DOCKER_HOST", socket(self.folder.path())), ("DOCKER_CONFIG", config.display().to_string())]
    }

    /// The client with these arguments.
    pub fn client<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new(CLIENT);
        command.args(arguments).envs(self.variables()).env_remove("DOCKER_CONTEXT");
        command
    }

    /// What a client printed, which ended well.
    pub fn say<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Result<String> {
        output_of(&mut self.client(arguments))
    }

    /// Does something where published ports are: in the daemon's network, on its loopback interface.
    pub fn inside<T: Send>(&self, action: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let path = format!("/proc/{}/ns/net", self.daemon.as_raw_nonzero());
        let namespace = File::open(&path).with_context(|| format!("cannot open {path}"))?;
        // A namespace belongs to a thread.
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                    .context("cannot enter the daemon's network")?;
                action()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        // With them go their control groups.
        if let Ok(ids) = self.say(["ps", "--all", "--quiet"]) {
            let arguments = ["rm", "--force", "--volumes"].into_iter().chain(ids.split_whitespace());
            let _ = self.client(arguments).output();
        }
        let _ = kill_process(self.daemon, Signal::TERM);
        let since = Instant::now();
        while matches!(self.parent.try_wait(), Ok(None)) {
            if since.elapsed() > PATIENCE {
                let _ = self.parent.kill();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.network.kill();
        let _ = self.network.wait();
    }
}

/// The standard output of a command, which must end well; an error with all it said.
pub fn output_of(command: &mut Command) -> Result<String> {
    let Output { status, stdout, stderr } =
        command.output().with_context(|| format!("cannot run {command:?}"))?;
    let stdout = String::from_utf8_lossy(&stdout).into_owned();
    let stderr = String::from_utf8_lossy(&stderr);
    ensure!(status.success(), "{command:?}: {status}\n{stdout}\n{stderr}");
    Ok(stdout)
}

fn socket(folder: &Path) -> String {
    format!("unix://{}", folder.join("socket").display())
}

/// The process that `unshare` starts: the first one of the new namespaces.
fn child_of(parent: &mut Child) -> Result<Pid> {
    let file = format!("/proc/{0}/task/{0}/children", parent.id());
    let since = Instant::now();
    loop {
        let children = fs_err::read_to_string(&file).unwrap_or_default();
        let child = children.split_whitespace().next().and_then(|id| id.parse().ok()).and_then(Pid::from_raw);
        if let Some(child) = child {
            return Ok(child);
        }
        if parent.try_wait()?.is_some() || since.elapsed() > PATIENCE {
            bail!("unshare starts nothing");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The last lines of a log.
fn said(log: &Path) -> String {
    let text = fs_err::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}
