//! Docker as the engine: the same image, and nothing left in the daemon, whatever happens.

#![expect(clippy::print_stderr, reason = "tests talk to their developer")]

mod support;

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;

use anyhow::{Context as _, Result, ensure};
use djship_testkit::docker::{self, Docker};
use djship_testkit::mirror::DebianMirror;
use djship_testkit::{Djship, Output, TempProject, User, need, needs, user};
use rustix::process::Signal;
use support::environment::{Background, foreign_files, kept, typed, within};
use support::layout::{Layout, difference};
use support::serving::Serving;
use support::{SECRET_KEY, SOON, await_some, in_place, polls, sharing, store, timed};

/// djship with Docker's daemon as its engine.
fn with(djship: Djship, docker: &Docker) -> Djship {
    let djship = docker.variables().into_iter().fold(djship, |djship, (name, value)| djship.env(name, value));
    djship.env("DJSHIP_ENGINE", "docker")
}

/// The image that a build makes.
fn layout(djship: &Djship, project: &str) -> Result<(Layout, tempfile::TempDir)> {
    let out = tempfile::Builder::new().prefix("djship-layout-").tempdir()?;
    djship.user().own(out.path())?;
    let folder = out.path().join("layout");
    let output = format!("layout:{}", folder.display());
    djship.run(["build", project, "-t", "polls", "-o", &output])?.success()?;
    Ok((Layout::read(&folder)?, out))
}

/// The daemon's containers, also those that have ended.
fn containers(docker: &Docker) -> Result<Vec<String>> {
    let said = docker.say(["ps", "--all", "--format", "{{.Image}} {{.Status}} {{.Command}}"])?;
    Ok(said.lines().map(str::to_owned).collect())
}

/// Waits until no container is left; the daemon removes some of them by itself.
fn none_is_left(docker: &Docker) -> Result<()> {
    let gone = await_some(SOON, || containers(docker).ok().filter(Vec::is_empty));
    gone.map(drop).with_context(|| format!("left: {:?}", containers(docker)))
}

#[test]
#[ignore = "needs root, Debian's docker.io, the users of `cargo xtask setup` and the network"]
fn the_image_is_the_one_of_the_embedded_engine() -> Result<()> {
    need!(docker::needed());
    let plain = need!(needs::user(user::WITHOUT_SUBORDINATE_IDS));
    let mirror = DebianMirror::start()?;
    let project = TempProject::copy_of(polls())?;
    let project = in_place(&project, "docker-polls")?;
    let project = project.to_str().context("a path in UTF-8")?;
    let (embedded, _folder) = timed("embedded, shared store", || layout(&sharing(&mirror)?, project))?;
    let docker = timed("start of dockerd", Docker::start)?;
    for user in [User::current()?, plain] {
        let djship = with(support::djship(&user, &mirror)?, &docker);
        let own = TempProject::copy_of(polls())?.owned_by(&user)?;
        let own = own.path().to_str().context("a path in UTF-8")?;
        let (built, _folder) =
            timed(&format!("with Docker, from nothing, as {}", user.name), || layout(&djship, own))?;
        let same = built.id == embedded.id && built.diff_ids()? == embedded.diff_ids()?;
        ensure!(same, "Docker builds another image:\n{}", difference(&embedded, &built)?);
        ensure!(store::unfinished(djship.home()).is_empty(), "{:?}", store::unfinished(djship.home()));
        none_is_left(&docker)?;
        // An edited view takes one look and one small layer.
        let views = std::path::Path::new(own).join("polls/views.py");
        let text = fs_err::read_to_string(&views)?;
        fs_err::write(&views, format!("{text}\n\nEDITED = True\n"))?;
        timed("the same after an edit", || djship.run(["build", own, "-t", "polls"])?.success())?;
    }
    Ok(())
}

#[test]
#[ignore = "needs root, Debian's docker.io, the users of `cargo xtask setup` and the network"]
fn what_is_no_daemon_of_use() -> Result<()> {
    let plain = need!(needs::user(user::WITHOUT_SUBORDINATE_IDS));
    let place = tempfile::tempdir()?;
    std::os::unix::fs::chown(place.path(), Some(plain.uid), Some(plain.gid))?;
    let socket = place.path().join("socket");
    let address = format!("unix://{}", socket.display());
    let djship = Djship::with_binary(std::path::Path::new(env!("CARGO_BIN_EXE_djship")), &plain)?
        .env("DOCKER_HOST", &address);
    let refused = |djship: &Djship, words: &[&str]| -> Result<Output> {
        let output = djship.run(["--engine", "docker", "build", "/nowhere"])?;
        for word in words.iter().chain(&["error: ", "hint: "]) {
            ensure!(output.stderr.contains(word), "`{word}` is not said\n{output}");
        }
        Ok(output)
    };
    refused(&djship, &["annot reach", &address, "--engine embedded"])?.exit_code(3)?;
    let nonsense = Djship::with_binary(std::path::Path::new(env!("CARGO_BIN_EXE_djship")), &plain)?
        .env("DOCKER_HOST", "nowhere");
    refused(&nonsense, &["`nowhere`", "DOCKER_HOST"])?.exit_code(2)?;
    let no_context = Djship::with_binary(std::path::Path::new(env!("CARGO_BIN_EXE_djship")), &plain)?
        .env("DOCKER_CONTEXT", "gone")
        .env("DOCKER_CONFIG", place.path());
    refused(&no_context, &["`gone`", "docker context ls"])?.exit_code(1)?;

    let listener = UnixListener::bind(&socket)?;
    refused(&djship, &["ermission denied", "usermod"])?.exit_code(3)?;
    fs_err::set_permissions(&socket, std::os::unix::fs::PermissionsExt::from_mode(0o666))?;
    for (answer, words) in [
        (
            r#"{"ApiVersion":"1.30","MinAPIVersion":"1.12","Os":"linux","Arch":"amd64"}"#,
            &["API 1.30", "1.40"][..],
        ),
        (r#"{"ApiVersion":"1.43","MinAPIVersion":"1.12","Os":"windows","Arch":"amd64"}"#, &["windows/amd64"]),
        (r#"{"ApiVersion":"1.43","MinAPIVersion":"1.12","Os":"linux","Arch":"s390x"}"#, &["linux/s390x"]),
        ("It works!", &["its answer is not what the API says"]),
    ] {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut asked = [0; 1024];
                let length = stream.read(&mut asked).unwrap();
                assert!(asked[..length].starts_with(b"GET /version HTTP/1.1\r\n"));
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", answer.len());
                stream.write_all(head.as_bytes()).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            });
            refused(&djship, words)?.exit_code(3)
        })?;
    }
    Ok(())
}

#[test]
#[ignore = "needs root, Debian's docker.io and the network"]
fn nothing_outlives_a_killed_djship() -> Result<()> {
    need!(docker::needed());
    let docker = Docker::start()?;
    let mirror = DebianMirror::start()?;
    let djship = with(sharing(&mirror)?, &docker);
    let project = TempProject::copy_of(polls())?;
    // Waits while the settings are asked.
    let settings = project.at("pollsite/settings.py");
    let text = fs_err::read_to_string(&settings)?;
    let waits = "import subprocess, sys, time\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1e5)'])\n";
    fs_err::write(&settings, format!("{waits}time.sleep(1e5)\n{text}"))?;
    let project = in_place(&project, "docker-killed")?;
    let running = djship.start(["build", project.to_str().context("a path in UTF-8")?])?;
    let at_work = || {
        let ids = docker.say(["ps", "--quiet"]).ok()?;
        let top = docker.say(["top", ids.trim()]).ok()?;
        top.contains("time.sleep(1e5)").then(|| ids.trim().to_owned())
    };
    let id = await_some(5 * SOON, at_work).with_context(|| format!("it does not run\n{}", running.text()))?;
    running.signal(Signal::KILL)?;
    let ended = await_some(SOON, || docker.say(["ps", "--quiet"]).ok().filter(|ids| ids.trim().is_empty()));
    ensure!(ended.is_some(), "it runs on: {:?}", containers(&docker)?);
    // What it would have taken out is removed by the next one.
    ensure!(docker.say(["ps", "--all", "--quiet", "--no-trunc"])?.contains(&id), "somebody has removed it");
    djship.run(["build", "/nowhere"])?.exit_code(1)?;
    none_is_left(&docker)?;
    Ok(())
}

#[test]
#[ignore = "needs root, Debian's docker.io and the network"]
fn an_image_serves() -> Result<()> {
    need!(docker::needed());
    let mirror = DebianMirror::start()?;
    let embedded = sharing(&mirror)?;
    let project = polls();
    let project = project.to_str().context("a path in UTF-8")?;
    // Everything is fetched here: the daemon's network does not reach the mirror.
    timed("embedded", || Serving::start(&embedded, &["--try", project]))?.stop()?;
    let docker = Docker::start()?;
    let djship = with(sharing(&mirror)?, &docker).env("DJSHIP_OFFLINE", "1");
    let arguments = ["polls", "-e", SECRET_KEY, "-e", "POSTGRES_USER=x", "-e", "POSTGRES_PASSWORD=y"];
    docker.inside(|| {
        let serving = timed("with Docker", || Serving::start(&djship, &["--try", project]))?;
        ensure!(serving.page("/")?.text().contains("Nobody has asked anything so far."), "another page");
        serving.style_sheet("/admin/login/", "/static/admin/css/base")?;
        // The server and its database.
        ensure!(containers(&docker)?.len() == 2, "{:?}", containers(&docker)?);
        serving.stop()?;
        none_is_left(&docker)?;
        // Its own words, its exit code, and what comes from outside.
        let code = "import os; print(os.getuid()); exit(7)";
        let output = djship.run(["run"].iter().chain(&arguments).chain(&["--", "python", "-c", code]))?;
        ensure!(output.clone().exit_code(7)?.stdout == "1000\n", "{output}");
        let missing = djship.run(["run", "polls", "-e", SECRET_KEY])?;
        ensure!(!missing.status.success() && missing.stderr.contains("POSTGRES_USER"), "{missing}");
        let nothing = djship.run(["run", "polls", "--", "no-such-program"])?.exit_code(127)?;
        ensure!(nothing.stderr.contains("no-such-program"), "{nothing}");
        let serving = Serving::start(&djship, &["--try", project])?;
        serving.running.signal(Signal::KILL)?;
        none_is_left(&docker)
    })
}

const POLL: &str = "from polls.models import Poll; print('poll', Poll.objects.create(question='Tea?').pk)";

/// The developer's day of `host_up_polls`, in short, with a daemon that has a network of its own.
#[test]
#[ignore = "needs root, Debian's docker.io, the users of `cargo xtask setup` and the network"]
fn development_runs_in_docker() -> Result<()> {
    need!(docker::needed());
    let user = need!(needs::user(user::WITHOUT_SUBORDINATE_IDS));
    let mirror = DebianMirror::start()?;
    let project = TempProject::copy_of(polls())?.owned_by(&user)?;
    let folder = project.path();
    let embedded = support::djship(&user, &mirror)?.sharing_home()?;
    // Everything is fetched and installed here: the daemon's network does not reach the mirror.
    drop(timed("embedded", || Background::start(&embedded, folder))?);
    let docker = Docker::start()?;
    let djship = with(support::djship(&user, &mirror)?.sharing_home()?, &docker).env("DJSHIP_OFFLINE", "1");
    docker.inside(|| {
        let up = timed("with Docker", || Background::start(&djship, folder))?;
        ensure!(up.page("/")?.text().contains("Nobody has asked anything so far."), "another page");
        ensure!(containers(&docker)?.len() == 2, "{:?}", containers(&docker)?);
        up.within(&["manage", "shell", "-c", POLL])?.success()?;
        ensure!(up.page("/")?.text().contains("Tea?"), "the poll is not shown");
        // Not told which engine: the environment knows.
        let plain = support::djship(&user, &mirror)?.sharing_home()?;
        let ids = within(&plain, folder, &["exec", "web", "id", "-u"])?.success()?;
        ensure!(ids.stdout.trim() == user.uid.to_string(), "{ids}");
        let count = typed(&plain, folder, &["db"], "select 'polls', count(*) from polls_poll;")?.success()?;
        ensure!(count.stdout.contains("polls    |     1"), "{count}");
        let views = folder.join("polls/templates/polls/list.html");
        let text = fs_err::read_to_string(&views)?;
        fs_err::write(&views, text.replace("What people are asked", "What you are asked"))?;
        let shown =
            await_some(SOON, || up.page("/").ok().filter(|page| page.text().contains("What you are asked")));
        ensure!(shown.is_some(), "an edited template is not shown");
        ensure!(foreign_files(folder, user.uid)?.is_empty(), "{:?}", foreign_files(folder, user.uid)?);

        let pid = up.status()?["pid"].as_i64().context("a supervisor")?;
        let pid = rustix::process::Pid::from_raw(i32::try_from(pid)?).context("a process")?;
        rustix::process::kill_process(pid, Signal::KILL)?;
        none_is_left(&docker)?;
        let again = timed("again", || Background::start(&djship, folder))?;
        ensure!(again.page("/")?.text().contains("Tea?"), "the poll is lost");
        ensure!(kept(&djship, "volumes", folder).is_some(), "the volume is not djship's own");
        within(&plain, folder, &["down"])?.success()?;
        none_is_left(&docker)
    })?;
    ensure!(docker.say(["volume", "ls", "--quiet"])?.is_empty(), "volumes are left");
    Ok(())
}

/// The same command where no user namespace can be made: in one that allows none in itself.
fn confined(djship: &Djship, arguments: &[&str]) -> Result<std::process::Command> {
    let inner = djship.command(arguments);
    let words: Vec<_> = inner.get_args().collect();
    let binary =
        words.iter().position(|word| std::path::Path::new(word).ends_with("djship")).context("djship")?;
    let script = "echo 0 >/proc/sys/user/max_user_namespaces
        exec setpriv --ambient-caps=-all --inh-caps=-all \"$@\"";
    let mut command = djship.user().command("unshare");
    command.args(["--user", "--map-current-user", "--keep-caps", "sh", "-c", script, "sh"]);
    command.args(&words[binary..]);
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Ok(command)
}

#[test]
#[ignore = "needs root, Debian's docker.io, the users of `cargo xtask setup` and the network"]
fn docker_is_picked_where_the_embedded_engine_cannot_work() -> Result<()> {
    need!(docker::needed());
    let plain = need!(needs::user(user::WITHOUT_SUBORDINATE_IDS));
    let mirror = DebianMirror::start()?;
    let project = TempProject::copy_of(polls())?.owned_by(&plain)?;
    let project = project.path().to_str().context("a path in UTF-8")?;
    let own = support::djship(&plain, &mirror)?.sharing_home()?;
    own.run(["build", project, "-t", "polls"])?.success()?;
    let views = std::path::Path::new(project).join("polls/views.py");
    let text = fs_err::read_to_string(&views)?;
    let edit = |number: u32| fs_err::write(&views, format!("{text}\n# {number}\n"));
    let run = |djship: &Djship, arguments: &[&str]| -> Result<Output> {
        djship_testkit::Running::start(&mut confined(djship, arguments)?)?.wait(10 * SOON)
    };
    // What was found out before the machine was changed counts until it starts again.
    let engine = own.home().join("engine");
    ensure!(engine.exists(), "nothing is remembered");
    fs_err::remove_file(&engine)?;
    edit(1)?;
    let build = ["build", project, "-t", "polls"];
    let nowhere = support::djship(&plain, &mirror)?.sharing_home()?.env("DOCKER_HOST", "unix:///nowhere");
    let refused = run(&nowhere, &build)?.exit_code(3)?;
    ensure!(refused.stderr.contains("namespace") && refused.stderr.contains("djship doctor"), "{refused}");
    run(&nowhere, &["doctor"])?.exit_code(3)?;
    let docker = Docker::start()?;
    let [host, config] = docker.variables();
    let auto = support::djship(&plain, &mirror)?.sharing_home()?.env(host.0, host.1).env(config.0, config.1);
    let built = run(&auto, &build)?.success()?;
    ensure!(
        built.stderr.contains("Docker runs the containers: djship's own engine does not work"),
        "{built}"
    );
    let doctor = run(&auto, &["doctor"])?.success()?;
    ensure!(doctor.stdout.contains("can run containers instead"), "{doctor}");
    edit(2)?;
    let forced = run(&auto, &["--engine", "embedded", "build", project, "-t", "polls"])?.exit_code(3)?;
    ensure!(forced.stderr.contains("namespace"), "{forced}");
    ensure!(!engine.exists(), "a failure is remembered as a success");
    Ok(())
}
