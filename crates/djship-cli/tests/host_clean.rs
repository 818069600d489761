//! The image that ships is clean, keeps no secret, and is an image for everybody else too.

#![expect(clippy::print_stderr, reason = "tests talk to their developer")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use djship_testkit::http::await_http;
use djship_testkit::mirror::DebianMirror;
use djship_testkit::{Running, need, needs};
use serde_json::Value;
use support::layout::Layout;
use support::{SECRET_KEY, SOON, clean, in_place, secrets, serving, sharing, timed};

/// What the builder makes up for variables that have no value; nothing of it may be anywhere.
const MADE_UP: [&str; 3] = ["djshipprobe", "djship-probe-", "ZGpzaGlwcHJvYmVkanNoaXBwcm9iZWRqc2hpcHByb2I="];

const DATABASE: &str = "DATABASE_URL=postgres://a:b@127.0.0.1:1/c";

/// The layout of a project that is full of secrets, and words that tell where it was made.
fn layout(folder: &Path) -> Result<Vec<String>> {
    let mirror = DebianMirror::start()?;
    let djship = secrets::environment(sharing(&mirror)?);
    let project = in_place(&secrets::project()?, "secrets")?;
    let text = |path: &Path| path.to_str().context("a path in UTF-8").map(str::to_owned);
    let output = format!("layout:{}", text(folder)?);
    timed("build with layout", || {
        djship.run(["build", &text(&project)?, "-t", "secrets:1", "-o", &output])?.success()
    })?;
    Ok(vec![text(&project)?, text(djship.home())?, mirror.main(), text(folder)?])
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn nothing_ships_that_should_not() -> Result<()> {
    let place = tempfile::tempdir()?;
    let folder = place.path().join("layout");
    let traces = layout(&folder)?;
    let layout = Layout::read(&folder)?;
    let layers = timed("reading the layers", || layout.files())?;
    let mut offences = Vec::new();
    let mut words: Vec<(String, String)> =
        secrets::WORDS.iter().map(|(place, word)| ((*place).to_owned(), (*word).to_owned())).collect();
    words.extend(MADE_UP.iter().map(|word| ("what the builder made up".to_owned(), (*word).to_owned())));
    words.extend(traces.into_iter().map(|trace| ("the place where it was built".to_owned(), trace)));
    let mut count = 0;
    for file in layers.iter().flatten() {
        count += 1;
        if let Some(why) = clean::offence(file) {
            offences.push(format!("{} {why}", file.path));
        }
        for (place, word) in &words {
            if clean::contains(&file.content, word.as_bytes()) || file.path.contains(word.as_str()) {
                offences.push(format!("{} holds `{word}` from {place}", file.path));
            }
        }
    }
    let records = layout.records();
    for (place, word) in &words {
        ensure!(!records.contains(word.as_str()), "the configuration holds `{word}` from {place}: {records}");
    }
    eprintln!("{count} files in {} layers", layers.len());
    ensure!(count > 5000, "only {count} files were looked at");
    ensure!(offences.is_empty(), "{} offences:\n{}", offences.len(), offences.join("\n"));
    // The walk has seen the image: what must be there is.
    for path in ["app/manage.py", "usr/bin/tini-static", "opt/djship/start", "venv/bin/python"] {
        ensure!(layers.iter().flatten().any(|file| file.path == path), "{path} is missing");
    }
    Ok(())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn layers_are_made_for_their_user_and_nobody_else() -> Result<()> {
    let place = tempfile::tempdir()?;
    let folder = place.path().join("layout");
    layout(&folder)?;
    let layout = Layout::read(&folder)?;
    ensure!(layout.config["config"]["User"] == "1000:1000", "{}", layout.config["config"]["User"]);
    let variables = layout.config["config"]["Env"].to_string();
    ensure!(!variables.contains("SECRET") && !variables.contains("PASSWORD"), "{variables}");
    let layers = layout.files()?;
    for (number, files) in layers.iter().enumerate() {
        let mut before: Option<&str> = None;
        let mut modes = BTreeMap::new();
        for file in files {
            ensure!(
                before.is_none_or(|before| before < file.path.as_str()),
                "layer {number}: {} is not in order",
                file.path
            );
            before = Some(&file.path);
            // Nobody else has to do with root's home, and a closed folder is no harm as long as there is nothing in it.
            let inside = format!("{}/", file.path);
            let empty = || {
                file.path == "root" || !layers.iter().flatten().any(|other| other.path.starts_with(&inside))
            };
            let open = file.mode & 0o444 == 0o444 && (!file.kind.is_dir() || file.mode & 0o111 == 0o111);
            let readable = open || file.kind.is_symlink() || (file.kind.is_dir() && empty());
            ensure!(readable, "layer {number}: {} has the mode {:o}", file.path, file.mode);
            let writable = file.mode & 0o022 != 0 && !file.kind.is_symlink();
            let shared = file.mode == 0o1777 || (file.mode == 0o2775 && file.owner == (1000, 0));
            ensure!(!writable || shared, "layer {number}: {} may be changed: {:o}", file.path, file.mode);
            modes.insert(format!("{:04o}", file.mode), &file.path);
        }
        eprintln!("layer {number}: {} files, modes {modes:?}", files.len());
    }
    Ok(())
}

fn output_of(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{command:?}\n{text}\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(text)
}

#[test]
#[ignore = "needs user namespaces, the network and skopeo"]
fn skopeo_reads_it() -> Result<()> {
    let skopeo = need!(needs::program("skopeo"));
    let place = tempfile::tempdir()?;
    let folder = place.path().join("layout");
    layout(&folder)?;
    let layout = Layout::read(&folder)?;
    let source = format!("oci:{}:1", folder.display());
    let shown: Value = serde_json::from_str(&output_of(Command::new(&skopeo).args(["inspect", &source]))?)?;
    ensure!(shown["Layers"].as_array().is_some_and(|layers| layers.len() == 4), "{shown}");
    let config = output_of(Command::new(&skopeo).args(["inspect", "--config", &source]))?;
    ensure!(serde_json::from_str::<Value>(&config)?["config"]["User"] == "1000:1000", "{config}");
    // Copying reads every layer and checks its digest.
    let copy = format!("dir:{}", place.path().join("copy").display());
    output_of(Command::new(&skopeo).args(["--insecure-policy", "copy", &source, &copy]))?;
    let manifest: Value = serde_json::from_slice(&fs_err::read(place.path().join("copy/manifest.json"))?)?;
    ensure!(manifest["config"]["digest"] == layout.id.as_str(), "{manifest}");
    Ok(())
}

#[test]
#[ignore = "needs user namespaces, the network and umoci"]
fn umoci_unpacks_it() -> Result<()> {
    let umoci = need!(needs::program("umoci"));
    let place = tempfile::tempdir()?;
    let folder = place.path().join("layout");
    layout(&folder)?;
    let layout = Layout::read(&folder)?;
    let bundle = place.path().join("bundle");
    let mut unpack = Command::new(umoci);
    unpack.args(["unpack", "--rootless", "--image", &format!("{}:1", folder.display())]).arg(&bundle);
    timed("umoci unpack", || output_of(&mut unpack))?;
    let root = bundle.join("rootfs");
    // The last layer that has a file decides.
    let layers = layout.files()?;
    let files: BTreeMap<_, _> = layers.iter().flatten().map(|file| (&file.path, file)).collect();
    for file in files.values().filter(|file| file.kind.is_file()) {
        let content = fs_err::read(root.join(&file.path))?;
        ensure!(content == file.content, "{} has another content", file.path);
    }
    ensure!(fs_err::read_link(root.join("bin"))? == Path::new("usr/bin"), "/bin is no link");
    Ok(())
}

/// podman with its storage in a folder of the test's.
struct Podman {
    program: std::path::PathBuf,
    folder: tempfile::TempDir,
}

impl Podman {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(self.folder.path().join("root"));
        command.arg("--runroot").arg(self.folder.path().join("run"));
        command.arg("--tmpdir").arg(self.folder.path().join("tmp"));
        command.args(["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "none"]);
        command.args(["--runtime", "runc"]).args(arguments);
        command
    }

    /// `podman run` of an image, read-only; podman's own limits are above what a container's root may set.
    fn run(&self, image: &str, options: &[&str], command: &[&str]) -> Command {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let files = limit.maximum.unwrap_or(1024).min(1024);
        let files = format!("nofile={files}:{files}");
        let run = [
            "run",
            "--rm",
            "--network",
            "host",
            "--read-only",
            "--ulimit",
            &files,
            "--ulimit",
            "nproc=500:500",
        ];
        let mut all = run.to_vec();
        all.extend(options);
        all.push(image);
        all.extend(command);
        self.command(&all)
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // Ends what the test left running, and unmounts what it has mounted.
        let _ = self.command(&["rm", "--all", "--force", "--time", "1"]).output();
        let _ = self.command(&["rmi", "--all", "--force"]).output();
    }
}

#[test]
#[ignore = "needs root, the network, podman and runc"]
fn podman_runs_it_with_runc() -> Result<()> {
    need!(needs::root());
    let program = need!(needs::program("podman"));
    need!(needs::program("runc"));
    let place = tempfile::tempdir()?;
    let folder = place.path().join("layout");
    layout(&folder)?;
    let layout = Layout::read(&folder)?;
    let podman = Podman { program, folder: tempfile::Builder::new().prefix("djship-podman-").tempdir()? };
    // As a relative path: podman takes the path for the image's name, which has no capital letters.
    let mut pull = podman.command(&["pull", "--quiet", "oci:layout:1"]);
    pull.current_dir(place.path());
    let id = timed("podman pull", || output_of(&mut pull))?.trim().to_owned();
    ensure!(layout.id == format!("sha256:{id}"), "podman calls it {id}, not {}", layout.id);
    let code = "import os, psycopg2; print(os.getuid(), os.getgid(), os.getcwd())";
    let user = timed("podman run", || output_of(&mut podman.run(&id, &[], &["python", "-c", code])))?;
    ensure!(user.trim() == "1000 1000 /app", "{user}");
    let other = output_of(&mut podman.run(&id, &["--user", "12345:0"], &["python", "-c", code]))?;
    ensure!(other.trim() == "12345 0 /app", "{other}");
    // Without its key it stops, there as here.
    let refused = podman.run(&id, &[], &[]).output()?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(refused.status.code() == Some(1) && said.contains("DJANGO_SECRET_KEY"), "{said}");

    let port = serving::free_port()?;
    let listen = format!("PORT={port}");
    let options = [
        "--name",
        "djship-polls",
        "-e",
        SECRET_KEY,
        "-e",
        DATABASE,
        "-e",
        &listen,
        "-e",
        "DJSHIP_BIND=127.0.0.1",
    ];
    let mut server = Running::start(&mut podman.run(&id, &options, &[]))?;
    let answer =
        timed("podman serves", || await_http(&format!("http://127.0.0.1:{port}/admin/login/"), SOON));
    let answer = answer.with_context(|| format!("podman said:\n{}", server.text()))?;
    ensure!(answer.status == 200, "the status is {}", answer.status);
    timed("podman stop", || {
        output_of(&mut podman.command(&["stop", "--time", "10", "djship-polls"]))?;
        server.await_text("Shutting down", SOON)?;
        server.wait(SOON)
    })?;
    timed("cleaning up", || {
        drop(podman);
        Ok(())
    })
}
