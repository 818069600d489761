//! `djship build --load docker|podman`: an image into the local Docker or Podman, through their own command line, which knows
//! where its daemon is.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use djship_oci::archive::{StreamError, stream_archive_above};
use djship_oci::{Compression, Image, ImageName};
use djship_store::Store;

use crate::args::Tool;
use crate::env;
use crate::errors::{Kind, Report};
use crate::ui::{Console, size};

/// Docker's or Podman's command line.
pub(crate) struct Client {
    tool: Tool,
    program: PathBuf,
}

impl Client {
    /// Finds the program, and asks whether its daemon answers: before anything is built.
    pub(crate) fn find(tool: Tool) -> Result<Self, Report> {
        let name = command(tool);
        let program = env::program(name).ok_or_else(|| {
            Report::new(
                Kind::Host,
                format!("cannot load the image into {}: there is no program `{name}`", label(tool)),
            )
            .hint(format!("Install {}, or write a file for another machine: -o archive:FILE", label(tool)))
        })?;
        let client = Self { tool, program };
        // Podman has no daemon.
        if tool == Tool::Docker {
            client.run(&["version", "--format", "{{.Server.Version}}"])?;
        }
        Ok(client)
    }

    /// Sends the image, as far as it is not there yet, and says what it is called there.
    pub(super) fn load(
        &self,
        image: &Image,
        name: &ImageName,
        store: &Store,
        console: &Console,
    ) -> Result<(), Report> {
        let there = self.layers_there(image, name);
        // What Docker has of it is asked for by name, and might go away in between.
        let loaded = match self.send(there, image, name, store) {
            Ok(loaded) => loaded,
            Err(_) if there > 0 => {
                return self.send(0, image, name, store).map(|loaded| self.told(&loaded, 0, image, console));
            }
            Err(report) => return Err(report),
        };
        self.told(&loaded, there, image, console);
        Ok(())
    }

    fn told(&self, loaded: &str, there: usize, image: &Image, console: &Console) {
        let sent = &image.layers[there..];
        if sent.is_empty() {
            console.line(&format!("{} has all of {loaded} already", label(self.tool)));
            return;
        }
        let bytes = sent.iter().map(|layer| layer.tar_size).sum();
        console.line(&format!(
            "Loaded {loaded} into {}: {} of {} layers sent, {}",
            label(self.tool),
            sent.len(),
            image.layers.len(),
            size(bytes)
        ));
    }

    /// How many of the lowest layers Docker has in the image that is called `name` there. Podman wants every layer in the
    /// archive.
    fn layers_there(&self, image: &Image, name: &ImageName) -> usize {
        if self.tool == Tool::Podman {
            return 0;
        }
        let name = name.to_string();
        let Ok(output) = self.run(&["image", "inspect", "--format", "{{json .RootFS.Layers}}", &name]) else {
            return 0;
        };
        let known: Vec<String> = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let same = |(layer, known): &(&djship_oci::Layer, &String)| layer.diff_id.to_string() == **known;
        image.layers.iter().zip(&known).take_while(same).count()
    }

    /// Streams the archive, and returns the name that the program prints.
    fn send(&self, there: usize, image: &Image, name: &ImageName, store: &Store) -> Result<String, Report> {
        let mut child = self
            .command(&["load", "--quiet"])
            .stdin(Stdio::piped())
            .spawn()
            .map_err(|error| self.not_started(&error))?;
        let stdin = child.stdin.take();
        let (written, output) = std::thread::scope(|scope| {
            // Beside, so that what the program says never has to wait.
            let writing = scope.spawn(move || {
                let Some(stdin) = stdin else { return Ok(()) };
                let mut to = std::io::BufWriter::with_capacity(128 * 1024, stdin);
                let names = std::slice::from_ref(name);
                stream_archive_above(there, image, names, Compression::None, store, &mut to)?;
                to.flush().map_err(StreamError::Io)
            });
            let output = child.wait_with_output();
            (writing.join(), output)
        });
        let output = output.map_err(|error| self.not_started(&error))?;
        // A program that fails closes its input: what it says is the reason, not that.
        let output = self.judged(output)?;
        match written {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(super::build::told(&error)),
            Err(panic) => std::panic::resume_unwind(panic),
        }
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let names = said.lines().filter_map(|line| line.strip_prefix("Loaded image")?.split_once(": "));
        Ok(names.map(|(_, name)| name.trim().to_owned()).next().unwrap_or_else(|| name.to_string()))
    }

    fn run(&self, arguments: &[&str]) -> Result<Output, Report> {
        let output = self.command(arguments).stdin(Stdio::null()).output();
        self.judged(output.map_err(|error| self.not_started(&error))?)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn not_started(&self, error: &std::io::Error) -> Report {
        Report::new(Kind::Host, format!("cannot run `{}`: {error}", self.program.display()))
    }

    fn judged(&self, output: Output) -> Result<Output, Report> {
        if output.status.success() {
            return Ok(output);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said: Vec<String> =
            said.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
        let title = |what: &str| format!("cannot load the image into {}: {what}", label(self.tool));
        let report = |what: &str| Report::new(Kind::Host, title(what)).tail(&said);
        let is_said = |parts: &[&str]| said.iter().any(|line| parts.iter().any(|part| line.contains(part)));
        Err(if is_said(&["permission denied"]) {
            report("its daemon does not let you in")
                .hint("Let an administrator add you to the group `docker`, and log in again")
                .hint("Or name a daemon of yours: DOCKER_HOST, or docker context use NAME")
        } else if is_said(DAEMON_ABSENT) {
            report("its daemon does not answer")
                .hint("Start it: systemctl start docker")
                .hint("If it is elsewhere: DOCKER_HOST, or docker context use NAME")
        } else {
            report(&format!("`{}` failed ({})", command(self.tool), output.status))
        })
    }
}

/// How the versions of Docker's client put it.
const DAEMON_ABSENT: &[&str] = &[
    "Cannot connect to the Docker daemon",
    "failed to connect to the docker API",
    "error during connect",
    "onnection refused",
    "no such host",
];

fn command(tool: Tool) -> &'static str {
    match tool {
        Tool::Docker => "docker",
        Tool::Podman => "podman",
    }
}

fn label(tool: Tool) -> &'static str {
    match tool {
        Tool::Docker => "Docker",
        Tool::Podman => "Podman",
    }
}
