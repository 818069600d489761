//! Bad input in development: each a named error with what, where and what to do next, and nothing that stays running.

#![expect(clippy::print_stderr, reason = "tests talk to their developer")]

mod support;

use std::net::TcpListener;

use anyhow::{Context as _, Result, ensure};
use djship_testkit::mirror::DebianMirror;
use djship_testkit::{Djship, Output, TempProject, need, needs};
use support::developing::edit;
use support::environment::{Background, Up, kept, nothing_is_left, page, port};
use support::{SOON, await_some, fixture, polls, sharing};

/// `djship up -d` that must be refused with these words, and leave nothing running.
fn refused(djship: &Djship, project: &TempProject, arguments: &[&str], words: &[&str]) -> Result<Output> {
    let folder = project.path().to_str().context("UTF-8")?;
    let output = djship.run(["up", "-d", folder].iter().chain(arguments))?.exit_code(1)?;
    let report = output.stderr.find("error: ").map(|at| &output.stderr[at..]);
    let report = report.with_context(|| format!("no error is named\n{output}"))?;
    for word in words {
        ensure!(report.contains(word), "`{word}` is not said\n{output}");
    }
    ensure!(!report.contains("panicked"), "{output}");
    nothing_is_left(project.path(), &[]).with_context(|| output.to_string())?;
    Ok(output)
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn settings_that_are_mended() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(fixture("dev-sqlite"))?;
    let settings = project.at("diary/settings.py");
    edit(&settings, "INSTALLED_APPS = [", "INSTALLED_APPS = [[")?;
    let folder = project.path().to_str().context("UTF-8")?;
    // In the background nobody can wait for it.
    refused(&djship, &project, &[], &["diary/settings.py, line ", "SyntaxError"])?;
    let mut running = djship.start(["up", folder])?;
    running.await_text("Waiting for a change in the project", SOON)?;
    ensure!(running.text().contains("diary/settings.py, line "), "{}", running.text());
    edit(&settings, "INSTALLED_APPS = [[", "INSTALLED_APPS = [")?;
    running.await_text("Serving on http://localhost:", SOON)?;
    let number = port(&running.text())?;
    page(number, "/")?;
    // The same while it runs: the server is gone, and comes back.
    edit(&settings, "INSTALLED_APPS = [", "INSTALLED_APPS = [[")?;
    running.await_text("has ended (", SOON)?;
    edit(&settings, "INSTALLED_APPS = [[", "INSTALLED_APPS = [")?;
    let serves = || page(number, "/").ok().filter(|page| page.text().contains("diary")).map(drop);
    await_some(SOON, serves).with_context(|| running.text())?;
    running.signal(rustix::process::Signal::INT)?;
    running.wait(SOON)?.exit_code(130)?;
    nothing_is_left(project.path(), &[])
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn a_migration_that_fails() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(polls())?;
    let migration = "from django.db import migrations\n\n\ndef fail(apps, schema_editor):\n    raise ValueError('no such luck')\n\n\n\
                     class Migration(migrations.Migration):\n    dependencies = [('polls', '0001_initial')]\n    \
                     operations = [migrations.RunPython(fail)]\n";
    fs_err::write(project.at("polls/migrations/0002_luck.py"), migration)?;
    refused(&djship, &project, &[], &["polls.0002_luck", "no such luck", "hint: "])?;
    // Mended, it goes on from where it stopped.
    fs_err::write(
        project.at("polls/migrations/0002_luck.py"),
        migration.replace("raise ValueError('no such luck')", "pass"),
    )?;
    let up = Background::start(&djship, project.path())?;
    up.page("/")?;
    Ok(())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn what_the_files_say_wrongly() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let small = || TempProject::copy_of(fixture("dev-sqlite"));
    let project =
        small()?.with("djship.toml", "[services.redis]\npackages = [\"redis\"]\ncomand = \"x\"\n")?;
    refused(&djship, &project, &[], &["djship.toml", "line 3", "comand", "command"])?;
    let project = small()?.with("pyproject.toml", "[tool.djship.develop]\nmigrat = false\n")?;
    refused(&djship, &project, &[], &["pyproject.toml", "line 2", "migrat", "Did you mean `migrate`?"])?;
    let project = small()?.with(".env", "FINE=1\nthis is no variable\n")?;
    refused(&djship, &project, &[], &[".env", "line 2", "hint: "])?;
    let project = small()?;
    edit(&project.at("requirements/base.txt"), "\n", "\nno-such-thing-at-all-djship==1.0\n")?;
    refused(&djship, &project, &[], &["no-such-thing-at-all-djship"])?;
    let project = small()?;
    let manage = fs_err::read_to_string(project.at("manage.py"))?;
    fs_err::remove_file(project.at("manage.py"))?;
    let project = project.with("one/manage.py", &manage)?.with("two/manage.py", &manage)?;
    refused(&djship, &project, &[], &["one/manage.py", "two/manage.py", "djship up "])?;
    let missing = djship.run(["up", "/no/such/folder"])?.exit_code(1)?;
    ensure!(missing.stderr.contains("/no/such/folder"), "{missing}");
    Ok(())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn a_port_that_another_program_holds() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(fixture("dev-sqlite"))?;
    let holder = TempListener::new()?;
    let id = std::process::id().to_string();
    refused(
        &djship,
        &project,
        &["--port", &holder.port.to_string()],
        &[&holder.port.to_string(), &id, "--port"],
    )?;
    Ok(())
}

/// Somebody who listens.
struct TempListener {
    port: u16,
    _listener: TcpListener,
}

impl TempListener {
    fn new() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        Ok(Self { port: listener.local_addr()?.port(), _listener: listener })
    }
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn volumes_of_another_time() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project =
        TempProject::copy_of(polls())?.with(".env", "POSTGRES_USER=ada\nPOSTGRES_PASSWORD=first\n")?;
    let up = Background::start(&djship, project.path())?;
    up.page("/")?;
    up.down()?;
    // Another password: the volume is made to fit the settings, and that is said.
    fs_err::write(project.at(".env"), "POSTGRES_USER=ada\nPOSTGRES_PASSWORD=second\n")?;
    let folder = project.path().to_str().context("UTF-8")?;
    let _ended_with_the_test = Background::of(&djship, project.path());
    let output = djship.run(["up", "-d", folder])?.success()?;
    ensure!(output.stderr.contains("password of `ada`"), "{output}");
    let up = Up::start(&djship, project.path(), &[]);
    ensure!(up.is_err(), "a second one was started");
    djship.run(["down", folder])?.success()?;
    // A server of another major version would not read it.
    let volumes = kept(&djship, "volumes", project.path()).context("the volumes of this project")?;
    fs_err::rename(volumes.join("postgres-17"), volumes.join("postgres-16"))?;
    refused(&djship, &project, &[], &["16", "17", "--volumes"])?;
    djship.run(["down", "--volumes", "--yes", folder])?.success()?;
    ensure!(!volumes.join("postgres-16").exists(), "the data was not removed");
    Ok(())
}

#[test]
#[ignore = "needs root and the network"]
fn a_disk_that_is_full() -> Result<()> {
    need!(needs::root());
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(polls())?;
    let folder = project.path().to_str().context("UTF-8")?;
    let volumes = tempfile::tempdir()?;
    // A home whose volumes are on a small disk, in a mount namespace of the command's own.
    let home = tempfile::tempdir()?;
    for name in fs_err::read_dir(djship.home())?.filter_map(|entry| Some(entry.ok()?.file_name())) {
        if name != "environments" && name != "volumes" {
            fs_err::os::unix::fs::symlink(djship.home().join(&name), home.path().join(&name))?;
        }
    }
    fs_err::os::unix::fs::symlink(volumes.path(), home.path().join("volumes"))?;
    let inner = sharing(&mirror)?.home_at(home.path());
    let command = inner.command(["up", "-d", folder]);
    let mut outer = std::process::Command::new("unshare");
    let script = "mount -t tmpfs -o size=6m tmpfs \"$1\" && shift && exec \"$@\"";
    outer.args(["--mount", "sh", "-c", script, "sh"]).arg(volumes.path());
    outer.arg(command.get_program()).args(command.get_args());
    outer.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = djship_testkit::Running::start(&mut outer)?.wait(10 * SOON)?.exit_code(3)?;
    ensure!(output.stderr.contains("no space is left") && output.stderr.contains("hint: "), "{output}");
    nothing_is_left(project.path(), &[])
}

/// Not wrong at all: `DJSHIP_HOME` that a link leads to, as with a larger disk mounted elsewhere.
#[test]
#[ignore = "needs root and the network"]
fn a_home_behind_a_link() -> Result<()> {
    need!(needs::root());
    let mirror = DebianMirror::start()?;
    let place = tempfile::tempdir()?;
    let link = place.path().join("home");
    fs_err::os::unix::fs::symlink(sharing(&mirror)?.home(), &link)?;
    let djship = sharing(&mirror)?.home_at(&link);
    // A cache of another tool's, so that ours is in the home, too.
    let project = TempProject::copy_of(fixture("dev-sqlite"))?.with(".cache/of-another-tool", "")?;
    let up = Background::start(&djship, project.path())?;
    ensure!(up.page("/")?.text().contains("diary"), "another page");
    Ok(())
}
