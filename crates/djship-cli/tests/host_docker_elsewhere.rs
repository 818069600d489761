//! Docker as the engine, where the daemon is on another machine: reached with TLS and through ssh, seeing none of our folders.

#![expect(clippy::print_stderr, reason = "tests talk to their developer")]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use djship_testkit::docker::{self, Docker, output_of};
use djship_testkit::mirror::DebianMirror;
use djship_testkit::{Djship, TempProject, need, needs};
use rustix::process::Signal;
use support::{SOON, await_some, in_place, polls, serving, sharing, timed};

/// djship with Docker's daemon as its engine.
fn with(djship: Djship, docker: &Docker) -> Djship {
    let djship = docker.variables().into_iter().fold(djship, |djship, (name, value)| djship.env(name, value));
    djship.env("DJSHIP_ENGINE", "docker")
}

/// Waits until no container is left.
fn none_is_left(docker: &Docker) -> Result<()> {
    let left = || docker.say(["ps", "--all"]);
    let none = || left().ok().filter(|said| said.lines().count() == 1);
    await_some(SOON, none).map(drop).with_context(|| format!("{:?}", left()))
}

/// A project of which something has to be compiled and checked, each time it is edited.
struct Edited {
    folder: PathBuf,
    views: PathBuf,
    text: String,
}

impl Edited {
    fn of_polls(name: &str) -> Result<Self> {
        let folder = in_place(&TempProject::copy_of(polls())?, name)?;
        let views = folder.join("polls/views.py");
        let text = fs_err::read_to_string(&views)?;
        Ok(Self { folder, views, text })
    }

    /// Edits and builds it.
    fn build(&self, djship: &Djship) -> Result<djship_testkit::Output> {
        fs_err::write(&self.views, format!("{}\n# {:?}\n", self.text, std::time::SystemTime::now()))?;
        djship.run(["build", self.folder.to_str().context("a path in UTF-8")?, "-t", "polls"])
    }
}

/// Shows the daemon something else in a folder than the machine has there.
fn hide(docker: &Docker, folder: &Path) -> Result<()> {
    let socket = docker.variables()[0].1.clone();
    let daemon = support::processes::all().into_iter().find(|process| {
        let line = fs_err::read_to_string(format!("/proc/{}/cmdline", process.id)).unwrap_or_default();
        line.contains("dockerd\0") && line.contains(&socket)
    });
    let namespace = format!("--mount=/proc/{}/ns/mnt", daemon.context("no dockerd")?.id);
    let mount =
        Command::new("nsenter").args([&namespace, "mount", "-t", "tmpfs", "none"]).arg(folder).status()?;
    ensure!(mount.success(), "nsenter: {mount}");
    Ok(())
}

#[test]
#[ignore = "needs root, Debian's docker.io and the network"]
fn a_daemon_on_another_machine_builds_and_says_what_it_does_not_see() -> Result<()> {
    need!(docker::needed());
    need!(needs::program("nsenter"));
    let mirror = DebianMirror::start()?;
    let embedded = sharing(&mirror)?;
    let project = Edited::of_polls("docker-elsewhere")?;
    let docker = Docker::start()?;
    hide(&docker, embedded.home())?;
    hide(&docker, &project.folder)?;
    let djship = with(sharing(&mirror)?, &docker);
    project.build(&djship)?.success()?;
    let data = tempfile::tempdir()?;
    let volume = format!("{}:/data", data.path().display());
    let output = djship.run(["run", "-v", &volume, "polls", "--", "ls", "/data"])?.exit_code(3)?;
    for word in ["does not see", "another machine", "--engine embedded"] {
        ensure!(output.stderr.contains(word), "`{word}` is not said\n{output}");
    }
    none_is_left(&docker)
}

/// Passes connections with TLS on to a socket, for those who show a certificate: the daemon's own way needs another start.
const PROXY: &str = r#"
import socket, ssl, sys, threading
folder, target = sys.argv[1], sys.argv[2]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(folder + "/server.pem", folder + "/server-key.pem")
context.load_verify_locations(folder + "/ca.pem")
context.verify_mode = ssl.CERT_REQUIRED
listener = socket.create_server(("127.0.0.1", int(sys.argv[3])))
print("listening", flush=True)
def copy(source, to, close):
    try:
        while data := source.recv(65536):
            to.sendall(data)
    except OSError:
        pass
    try:
        to.shutdown(socket.SHUT_WR) if not close else to.unwrap()
    except OSError:
        pass
def serve(raw):
    try:
        outer = context.wrap_socket(raw, server_side=True)
    except (ssl.SSLError, OSError):
        return
    inner = socket.socket(socket.AF_UNIX)
    inner.connect(target)
    threading.Thread(target=copy, args=(outer, inner, False), daemon=True).start()
    copy(inner, outer, True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"#;

struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An authority in `folder`, and certificates of it for both sides.
fn certificates(folder: &Path, name: &str) -> Result<()> {
    let openssl = |arguments: &str| {
        output_of(
            Command::new("openssl").args(arguments.split(' ')).current_dir(folder).stderr(Stdio::null()),
        )
        .map(drop)
    };
    fs_err::create_dir_all(folder)?;
    fs_err::write(folder.join("names"), format!("subjectAltName=DNS:{name},IP:127.0.0.1\n"))?;
    openssl("req -x509 -newkey rsa:2048 -nodes -keyout ca-key.pem -out ca.pem -subj /CN=authority -days 2")?;
    for (certificate, key) in [("server", "server-key"), ("cert", "key")] {
        openssl(&format!(
            "req -newkey rsa:2048 -nodes -keyout {key}.pem -out {certificate}.csr -subj /CN={certificate}"
        ))?;
        let signed = "-CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 2";
        openssl(&format!("x509 -req -in {certificate}.csr {signed} -out {certificate}.pem -extfile names"))?;
    }
    Ok(())
}

#[test]
#[ignore = "needs root, Debian's docker.io, openssl and the network"]
fn a_daemon_with_tls() -> Result<()> {
    need!(docker::needed());
    need!(needs::program("openssl"));
    need!(needs::program("python3"));
    let mirror = DebianMirror::start()?;
    let project = Edited::of_polls("docker-tls")?;
    project.build(&sharing(&mirror)?)?.success()?;
    let docker = Docker::start()?;
    let place = tempfile::tempdir()?;
    let (folder, other) = (place.path().join("own"), place.path().join("other"));
    certificates(&folder, "localhost")?;
    certificates(&other, "localhost")?;
    let port = serving::free_port()?;
    let socket = docker.variables()[0].1.trim_start_matches("unix://").to_owned();
    let mut command = Command::new("python3");
    command.args(["-c", PROXY]).arg(&folder).args([&socket, &port.to_string()]).stdout(Stdio::piped());
    let mut proxy = Proxy(command.spawn()?);
    let mut line = String::new();
    std::io::BufRead::read_line(
        &mut std::io::BufReader::new(proxy.0.stdout.take().context("a pipe")?),
        &mut line,
    )?;
    let with = |folder: &Path| -> Result<Djship> {
        Ok(sharing(&mirror)?
            .env("DJSHIP_ENGINE", "docker")
            .env("DOCKER_HOST", format!("tcp://localhost:{port}"))
            .env("DOCKER_TLS_VERIFY", "1")
            .env("DOCKER_CERT_PATH", folder))
    };
    let djship = with(&folder)?;
    timed("with TLS", || project.build(&djship)?.success())?;
    none_is_left(&docker)?;

    // The end of this connection is the end of the container as well.
    fs_err::write(&project.views, format!("{}\nimport time; time.sleep(1e5)\n", project.text))?;
    let running = djship.start(["build", project.folder.to_str().context("a path in UTF-8")?])?;
    let runs = || docker.say(["ps", "--quiet"]).ok().filter(|ids| !ids.trim().is_empty());
    await_some(SOON, || {
        runs().filter(|id| docker.say(["top", id.trim()]).is_ok_and(|top| top.contains("check.py")))
    })
    .with_context(|| running.text())?;
    running.signal(Signal::KILL)?;
    await_some(SOON, || runs().is_none().then_some(())).context("it runs on")?;

    let stranger = project.build(&with(&other)?)?.exit_code(3)?;
    ensure!(stranger.stderr.contains("ertificate"), "{stranger}");
    fs_err::remove_file(folder.join("key.pem"))?;
    let no_key = project.build(&djship)?.exit_code(3)?;
    ensure!(no_key.stderr.contains("key.pem") && no_key.stderr.contains("DOCKER_CERT_PATH"), "{no_key}");
    fs_err::remove_file(folder.join("cert.pem"))?;
    let nobody = project.build(&djship)?.exit_code(3)?;
    ensure!(nobody.stderr.contains("error: "), "{nobody}");
    Ok(())
}

#[test]
#[ignore = "needs root, Debian's docker.io and the network"]
fn a_daemon_behind_ssh() -> Result<()> {
    need!(docker::needed());
    let mirror = DebianMirror::start()?;
    let project = Edited::of_polls("docker-ssh")?;
    project.build(&sharing(&mirror)?)?.success()?;
    let docker = Docker::start()?;
    // Stands for ssh and the other machine: what it is told, and the helper that it would start there.
    let place = tempfile::tempdir()?;
    let log = place.path().join("log");
    let script = format!(
        "#!/bin/sh\necho \"$*\" >>{}\nDOCKER_HOST={} exec {} system dial-stdio\n",
        log.display(),
        docker.variables()[0].1,
        docker::CLIENT
    );
    fs_err::write(place.path().join("ssh"), script)?;
    fs_err::set_permissions(place.path().join("ssh"), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let djship = sharing(&mirror)?
        .env("DJSHIP_ENGINE", "docker")
        .env("DOCKER_HOST", "ssh://ada@build.example:2222")
        .env("PATH", format!("{}:/usr/bin:/bin", place.path().display()));
    timed("through ssh", || project.build(&djship)?.success())?;
    none_is_left(&docker)?;
    let told = fs_err::read_to_string(&log)?;
    ensure!(
        told.starts_with("-o BatchMode=yes -p 2222 -- ada@build.example docker system dial-stdio\n"),
        "{told}"
    );
    Ok(())
}

/// Podman's service of the user that runs the test, with everything that it keeps in a folder.
struct Podman {
    service: Child,
    folder: tempfile::TempDir,
}

impl Podman {
    fn command(folder: &Path) -> Command {
        let mut command = Command::new("podman");
        command.arg("--root").arg(folder.join("root")).arg("--runroot").arg(folder.join("run"));
        command.args(["--runtime", "runc", "--cgroup-manager", "cgroupfs"]);
        command.env("CONTAINERS_CONF", folder.join("containers.conf"));
        command
    }

    fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        // Its own limits may be above what this machine allows.
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum.unwrap_or(1 << 20);
        let limits =
            format!("[containers]\ndefault_ulimits = [\"nofile={limit}:{limit}\", \"nproc=4096:4096\"]\n");
        fs_err::write(folder.path().join("containers.conf"), limits)?;
        let socket = format!("unix://{}", folder.path().join("socket").display());
        let mut command = Self::command(folder.path());
        command
            .args(["system", "service", "--time", "0", &socket])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let podman = Self { service: command.spawn()?, folder };
        let answers = || std::os::unix::net::UnixStream::connect(podman.folder.path().join("socket")).ok();
        await_some(SOON, answers).context("podman does not listen")?;
        Ok(podman)
    }

    fn say(&self, arguments: &[&str]) -> Result<String> {
        output_of(Self::command(self.folder.path()).args(arguments))
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let _ = self.say(&["system", "reset", "--force"]);
        let _ = self.service.kill();
        let _ = self.service.wait();
    }
}

#[test]
#[ignore = "needs root, Debian's podman and runc, and the network"]
fn podman_is_a_daemon_as_well() -> Result<()> {
    need!(needs::root());
    need!(needs::program("podman"));
    need!(needs::program("runc"));
    let mirror = DebianMirror::start()?;
    let project = Edited::of_polls("docker-podman")?;
    let podman = Podman::start()?;
    let djship = sharing(&mirror)?
        .env("DJSHIP_ENGINE", "docker")
        .env("DOCKER_HOST", format!("unix://{}", podman.folder.path().join("socket").display()));
    timed("with Podman", || project.build(&djship)?.success())?;
    let none = || podman.say(&["ps", "--all", "--quiet"]).ok().filter(String::is_empty);
    await_some(SOON, none).context("containers are left")?;
    // Folders as they are, and owners right in them.
    let data = tempfile::tempdir()?;
    let volume = format!("{}:/data", data.path().display());
    let owner = "import os; open('/data/x', 'w').close(); print(os.stat('/data/x').st_uid)";
    std::os::unix::fs::chown(data.path(), Some(1_900_000_000), Some(1_900_000_000))?;
    let output = djship.run(["run", "-v", &volume, "polls", "--", "python", "-c", owner])?.success()?;
    ensure!(output.stdout.trim() == "1900000000" && data.path().join("x").exists(), "{output}");
    Ok(())
}
