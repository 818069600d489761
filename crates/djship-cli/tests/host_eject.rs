//! Ejected files: kept with the example, and enough to develop and to ship with Docker alone.

#![expect(clippy::print_stderr, reason = "tests talk to their developer")]

mod support;

use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use djship_testkit::docker::{COMPOSE, Docker, output_of};
use djship_testkit::mirror::DebianMirror;
use djship_testkit::{Djship, Running, TempProject, User, need, needs, user};
use support::docker::{await_page, page};
use support::{SECRET_KEY, SOON, in_place, polls, sharing, timed};

const FILES: [&str; 5] = [
    "docker-compose.yml",
    "docker/Dockerfile-dev",
    "docker/builder.sh",
    "docker/Dockerfile-prod",
    ".dockerignore",
];

fn read(folder: &Path) -> Result<Vec<String>> {
    FILES.iter().map(|name| Ok(fs_err::read_to_string(folder.join(name))?)).collect()
}

/// Polls without its ejected files, always in the same place.
fn project() -> Result<std::path::PathBuf> {
    let folder = in_place(&TempProject::copy_of(polls())?, "eject")?;
    for name in FILES {
        fs_err::remove_file(folder.join(name))?;
    }
    fs_err::remove_dir(folder.join("docker"))?;
    Ok(folder)
}

/// The answer of somebody at a terminal.
fn at_a_terminal(djship: &Djship, arguments: &[&str], answer: &str) -> Result<(Option<i32>, String)> {
    let inner = djship.command(arguments);
    let words: Vec<_> = std::iter::once(inner.get_program())
        .chain(inner.get_args())
        .map(std::ffi::OsStr::to_string_lossy)
        .collect();
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &words.join(" "), "/dev/null"]);
    for (name, value) in inner.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command.current_dir(inner.get_current_dir().context("a folder")?);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    writeln!(child.stdin.as_ref().context("a pipe")?, "{answer}")?;
    let output = child.wait_with_output()?;
    Ok((output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned()))
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn polls_carries_its_ejected_files() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let folder = project()?;
    let djship = sharing(&mirror)?.folder(&folder);
    timed("djship eject", || djship.run(["eject"])?.success())?;
    let expected = read(&polls())?;
    for ((name, expected), found) in FILES.iter().zip(&expected).zip(read(&folder)?) {
        ensure!(
            *expected == found,
            "examples/polls/{name} is stale; `djship eject --force examples/polls` writes:\n{found}"
        );
        ensure!(!found.to_lowercase().contains("djship"), "{name} speaks of djship");
    }
    let mode = fs_err::metadata(folder.join("docker/builder.sh"))?.mode() & 0o777;
    ensure!(mode == 0o755, "builder.sh has the mode {mode:o}");
    let again = djship.run(["eject"])?.success()?;
    ensure!(again.stderr.contains("Every file is there already"), "{again}");

    // The files that ship are the same with them.
    let (with, without) = (folder.clone(), in_place(&TempProject::copy_of(polls())?, "eject-none")?);
    for name in FILES {
        fs_err::remove_file(without.join(name))?;
    }
    fs_err::remove_dir(without.join("docker"))?;
    let id = |folder: &Path| -> Result<String> {
        let build = djship
            .run(["build", folder.to_str().context("UTF-8")?, "-t", "eject", "--no-check"])?
            .success()?;
        let line =
            build.stderr.lines().find(|line| line.starts_with("Image eject:latest")).context("no id")?;
        Ok(line.to_owned())
    };
    ensure!(id(&with)? == id(&without)?, "the ejected files change the image");

    // Somebody's own change is shown, and stays unless it is to go.
    let prod = folder.join("docker/Dockerfile-prod");
    let own = format!("{}RUN true\n", fs_err::read_to_string(&prod)?);
    fs_err::write(&prod, &own)?;
    fs_err::remove_file(folder.join(".dockerignore"))?;
    let refused = djship.run(["eject"])?.exit_code(1)?;
    ensure!(
        refused.stdout.contains("-RUN true") && refused.stdout.contains("--- docker/Dockerfile-prod"),
        "{refused}"
    );
    ensure!(
        refused.stderr.contains("there is no terminal to ask at") && refused.stderr.contains("--force"),
        "{refused}"
    );
    let (code, said) = at_a_terminal(&djship, &["eject"], "n")?;
    ensure!(code == Some(1) && said.contains("Overwrite this file? [y/N]"), "{code:?} {said}");
    ensure!(
        fs_err::read_to_string(&prod)? == own && !folder.join(".dockerignore").exists(),
        "something was written"
    );
    let (code, said) = at_a_terminal(&djship, &["eject"], "y")?;
    ensure!(code == Some(0), "{said}");
    ensure!(read(&folder)? == expected, "the answer was yes");
    fs_err::write(&prod, &own)?;
    djship.run(["eject", "--force"])?.success()?;
    ensure!(read(&folder)? == expected, "--force was given");

    // No link leads out of the project, and nothing is half-written.
    fs_err::remove_dir_all(folder.join("docker"))?;
    fs_err::os::unix::fs::symlink("/tmp", folder.join("docker"))?;
    fs_err::remove_file(folder.join(".dockerignore"))?;
    let refused = djship.run(["eject", "--force"])?.exit_code(1)?;
    ensure!(refused.stderr.contains("docker`: it is there and no folder"), "{refused}");
    ensure!(
        !folder.join(".dockerignore").exists() && !Path::new("/tmp/Dockerfile-dev").exists(),
        "something was written"
    );
    Ok(())
}

/// A developer with nothing but Docker.
struct Developer<'a> {
    docker: &'a Docker,
    user: User,
    folder: std::path::PathBuf,
    home: std::path::PathBuf,
}

impl Developer<'_> {
    /// A line of the documentation, in bash.
    fn shell(&self, line: &str) -> Command {
        let mut command = self.user.command("/usr/bin/bash");
        command.args(["-e", "-o", "pipefail", "-c", line]).current_dir(&self.folder);
        command
            .envs(self.docker.variables())
            .env("HOME", &self.home)
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    fn run(&self, line: &str) -> Result<String> {
        timed(line, || output_of(&mut self.shell(line)))
    }
}

/// Files below a folder that belong to somebody else.
fn foreign(folder: &Path, uid: u32) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.uid() != uid {
            found.push(entry.path().display().to_string());
        }
        if metadata.is_dir() {
            found.extend(foreign(&entry.path(), uid)?);
        }
    }
    Ok(found)
}

#[test]
#[ignore = "needs root, the users of `cargo xtask setup`, docker.io, docker-compose, slirp4netns, mmdebstrap and the network"]
fn docker_alone_develops_and_ships() -> Result<()> {
    need!(Docker::images_needed());
    need!(needs::path(COMPOSE));
    let user = need!(needs::user(user::WITHOUT_SUBORDINATE_IDS));
    let docker = timed("start of dockerd", Docker::start)?;
    timed("stand-ins", || docker.debian_slim().and_then(|()| docker.postgres()))?;
    let project = TempProject::copy_of(polls())?.owned_by(&user)?;
    let home = tempfile::Builder::new().prefix("djship-home-").tempdir()?;
    user.own(home.path())?;
    let developer = Developer {
        docker: &docker,
        user: user.clone(),
        folder: project.path().to_owned(),
        home: home.path().to_owned(),
    };
    developer.run("docker-compose config --quiet")?;
    let url = "http://127.0.0.1:8000";

    let mut up = Running::start(&mut developer.shell("export UID; exec docker-compose up"))?;
    timed("docker-compose up", || up.await_text("Watching for file changes", 10 * SOON))?;
    let list = await_page(&docker, &format!("{url}/"))?.text();
    ensure!(list.contains("Nobody has asked anything so far."), "{list}\n{}", up.text());
    let code = "from polls.models import Poll; import os; print(Poll.objects.create(question='Tea or coffee?').pk, os.getuid())";
    let said = developer.run(&format!("docker-compose exec -T web python manage.py shell -c \"{code}\""))?;
    ensure!(said.contains(&format!("1 {}", user.uid)), "{said}");
    ensure!(page(&docker, &format!("{url}/"))?.text().contains("Tea or coffee?"), "the poll is not stored");
    ensure!(project.at(".cache/bytecode").is_dir(), "there is no cache in the project");
    ensure!(foreign(project.path(), user.uid)?.is_empty(), "{:?}", foreign(project.path(), user.uid)?);
    developer.run("docker-compose down --timeout 20")?;
    drop(up);

    // The second Compose reads the same file, and finds the first one's data.
    let compose = format!("DOCKER_BUILDKIT=0 {}", Docker::compose_2()?.display());
    developer.run(&format!("export UID; {compose} config --quiet"))?;
    developer.run(&format!("export UID; {compose} up --detach --wait"))?;
    ensure!(await_page(&docker, &format!("{url}/"))?.text().contains("Tea or coffee?"), "other data");
    ensure!(foreign(project.path(), user.uid)?.is_empty(), "{:?}", foreign(project.path(), user.uid)?);
    developer.run(&format!("{compose} down --timeout 20"))?;

    // To the letter, in a home folder without `cache` and `output`.
    developer.run("docker build --build-arg uid=$UID --file docker/Dockerfile-dev --tag webdev .")?;
    let builder = "docker run --rm --volume $PWD:/source --volume $HOME/cache:/cache --volume $HOME/output:/output \
                   webdev /source/docker/builder.sh";
    developer.run(builder)?;
    ensure!(foreign(home.path(), user.uid)?.is_empty(), "{:?}", foreign(home.path(), user.uid)?);
    developer.run("docker build --tag myapp - < $HOME/output/docker-build-context.tar.gz")?;
    docker.say(["network", "create", "polls"])?;
    let account = "-e POSTGRES_USER=postgres -e POSTGRES_PASSWORD=postgres";
    developer.run(&format!("docker run --detach --rm --name db --network polls {account} postgres:17"))?;
    let environment =
        format!("-e ENVIRONMENT=PRODUCTION -e {SECRET_KEY} {account} --network polls -e POSTGRES_HOST=db");
    let migrate = format!("docker run --rm {environment} myapp python manage.py migrate");
    support::await_some(SOON, || developer.run(&migrate).ok()).context("no database")?;
    let create = format!("docker run --rm {environment} myapp python manage.py shell -c \"{code}\"");
    let said = developer.run(&create)?;
    ensure!(said.contains("1 1000"), "{said}");
    developer.run(&format!("docker run --detach --name site --publish 8000:8000 {environment} myapp"))?;
    let list = await_page(&docker, &format!("{url}/"))?.text();
    ensure!(list.contains("Tea or coffee?"), "{list}");
    let style = list.split('"').find(|text| text.starts_with("/static/polls/")).context("no style sheet")?;
    page(&docker, &format!("{url}{style}"))?;
    // What ships has no compiler and no installer, and cannot change its own code.
    let look =
        "docker exec site sh -c 'for x in gcc pip pip3; do command -v $x; done; touch /app/x 2>&1 || true'";
    let found = developer.run(look)?;
    ensure!(found.trim().ends_with("Permission denied") && found.trim().lines().count() == 1, "{found}");
    developer.run("docker stop --time 20 site db")?;
    Ok(())
}
