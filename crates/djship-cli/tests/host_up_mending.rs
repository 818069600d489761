//! What becomes wrong while an environment starts or runs: it is named, what runs goes on, and mending the file is enough.

#![expect(clippy::print_stderr, reason = "tests talk to their developer")]

mod support;

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use djship_testkit::mirror::DebianMirror;
use djship_testkit::{Djship, TempProject};
use support::developing::edit;
use support::environment::{Background, Up, nothing_is_left, page, port, status, within};
use support::{SOON, await_some, fixture, sharing};

/// What is said when a change is refused.
const GOES_ON: &str = "What runs goes on as it was";

/// Programs that are ready.
fn ready(djship: &Djship, project: &Path) -> Result<Vec<String>> {
    let document = status(djship, project)?;
    let programs = document["programs"].as_array().context("programs")?.iter();
    let ready = programs.filter(|program| program["condition"] == "ready");
    Ok(ready.map(|program| program["name"].as_str().unwrap_or_default().to_owned()).collect())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn requirements_that_cannot_be_installed() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(fixture("dev-sqlite"))?;
    let mut up = Up::start(&djship, project.path(), &[])?;
    let requirements = project.at("requirements/base.txt");
    let text = fs_err::read_to_string(&requirements)?;
    fs_err::write(&requirements, format!("{}\nno-such-thing-at-all-djship\n", text.trim_end()))?;
    up.running.await_text(GOES_ON, SOON)?;
    ensure!(up.running.text().contains("no-such-thing-at-all-djship"), "{}", up.running.text());
    up.page("/")?;
    within(&djship, project.path(), &["exec", "web", "python", "-c", "import django"])?.success()?;
    ensure!(ready(&djship, project.path())? == ["web"], "{}", up.running.text());
    fs_err::write(&requirements, format!("{}\nshortuuid\n", text.trim_end()))?;
    let import = || {
        let arguments = ["exec", "web", "python", "-c", "import shortuuid"];
        within(&djship, project.path(), &arguments).ok()?.success().ok()
    };
    await_some(SOON, import).with_context(|| up.running.text())?;
    up.await_page("/", "diary")?;
    up.interrupt()?;
    Ok(())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn variables_that_cannot_be_read() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(fixture("dev-sqlite"))?.with(".env", "GREETING=first\n")?;
    let mut up = Up::start(&djship, project.path(), &[])?;
    up.await_page("/", "first")?;
    fs_err::write(project.at(".env"), "GREETING=second\nthis is no variable\n")?;
    up.running.await_text(GOES_ON, SOON)?;
    let said = up.running.text();
    ensure!(said.contains(".env") && said.contains("line 2"), "{said}");
    ensure!(up.page("/")?.text().contains("first"), "half of the file was taken");
    fs_err::write(project.at(".env"), "GREETING=third\n")?;
    up.await_page("/", "third")?;
    up.interrupt()?;
    Ok(())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn a_service_that_cannot_be_started() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(fixture("dev-sqlite"))?;
    let mut up = Up::start(&djship, project.path(), &[])?;
    let server = |name: &str, port: u16, package: &str| {
        format!(
            "[services.{name}]\npackages = [\"{package}\"]\nport = {port}\n\
             command = \"redis-server --bind {{address}} --port {{port}} --save '' --appendonly no\"\n"
        )
    };
    // The first one is fine, and comes up as soon as the second one is.
    let first = server("first", 6380, "redis-server");
    let text = format!("{first}{}", server("second", 6381, "no-such-package-djship"));
    fs_err::write(project.at("djship.toml"), text)?;
    up.running.await_text(GOES_ON, SOON)?;
    ensure!(up.running.text().contains("no-such-package-djship"), "{}", up.running.text());
    up.page("/")?;
    fs_err::write(project.at("djship.toml"), format!("{first}{}", server("second", 6381, "redis-server")))?;
    let mended = || {
        let mut ready = ready(&djship, project.path()).ok()?;
        ready.sort();
        (ready == ["first", "second", "web"]).then_some(())
    };
    let shown = await_some(SOON, mended);
    shown.with_context(|| format!("{:?}\n{}", ready(&djship, project.path()), up.running.text()))?;
    // Without them in the file they end.
    fs_err::remove_file(project.at("djship.toml"))?;
    let alone = || (ready(&djship, project.path()).ok()? == ["web"]).then_some(());
    await_some(SOON, alone).with_context(|| up.running.text())?;
    up.interrupt()?;
    Ok(())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn code_that_the_development_server_cannot_load() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(fixture("dev-sqlite"))?;
    let urls = project.at("diary/urls.py");
    edit(&urls, "urlpatterns = [", "urlpatterns = [[")?;
    let mut running = djship.start(["up", project.path().to_str().context("UTF-8")?])?;
    running.await_text("SyntaxError", SOON)?;
    ensure!(running.text().contains("urls.py"), "{}", running.text());
    edit(&urls, "urlpatterns = [[", "urlpatterns = [")?;
    running.await_text("Serving on http://localhost:", 2 * SOON)?;
    ensure!(page(port(&running.text())?, "/")?.text().contains("diary"), "another page");
    running.signal(rustix::process::Signal::INT)?;
    running.wait(SOON)?.exit_code(130)?;
    nothing_is_left(project.path(), &[])
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn a_migration_that_fails_at_first() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(fixture("dev-sqlite"))?;
    let file = project.at("days/migrations/0002_luck.py");
    let migration = "from django.db import migrations\n\n\ndef fail(apps, schema_editor):\n    raise ValueError('no such luck')\n\n\n\
                     class Migration(migrations.Migration):\n    dependencies = [('days', '0001_initial')]\n    \
                     operations = [migrations.RunPython(fail)]\n";
    fs_err::write(&file, migration)?;
    let mut running = djship.start(["up", project.path().to_str().context("UTF-8")?])?;
    running.await_text("Waiting for a change in the project", SOON)?;
    let said = running.text();
    ensure!(said.contains("days.0002_luck") && said.contains("ValueError: no such luck"), "{said}");
    edit(&file, "raise ValueError('no such luck')", "pass")?;
    running.await_text("Serving on http://localhost:", SOON)?;
    page(port(&running.text())?, "/")?;
    running.signal(rustix::process::Signal::INT)?;
    running.wait(SOON)?.exit_code(130)?;
    nothing_is_left(project.path(), &[])
}

/// A database server that dies is started again, and has kept what was written.
#[test]
#[ignore = "needs user namespaces and the network"]
fn a_database_that_is_killed() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(fixture("dev-hard-coded"))?;
    let up = Background::start(&djship, project.path())?;
    ensure!(up.page("/order/")?.text().contains("order 1"), "no order");
    let id = || {
        let document = up.status().ok()?;
        let programs = document["programs"].as_array()?;
        let postgres = programs.iter().find(|program| program["name"] == "postgres")?;
        Some((i32::try_from(postgres["pid"].as_i64()?).ok()?, postgres["condition"] == "ready"))
    };
    let (first, _) = id().context("postgres runs")?;
    let pid = rustix::process::Pid::from_raw(first).context("a process id")?;
    rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
    let again = || id().filter(|(number, ready)| *number != first && *ready).map(drop);
    await_some(SOON, again).context("it is not started again")?;
    up.await_page("/", "orders: 1")?;
    let logs = up.within(&["logs", "postgres"])?.to_string();
    ensure!(logs.contains("not properly shut down"), "{logs}");
    Ok(())
}
