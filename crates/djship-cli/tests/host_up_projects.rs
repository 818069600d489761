//! Projects of many shapes in development: what the settings ask for runs, and nothing else.

#![expect(clippy::print_stderr, reason = "tests talk to their developer")]

mod support;

use std::net::TcpListener;

use anyhow::{Context as _, Result, ensure};
use djship_testkit::http::Request;
use djship_testkit::mirror::DebianMirror;
use djship_testkit::{Djship, TempProject};
use rustix::process::{Pid, Signal, kill_process};
use support::environment::Background;
use support::{SOON, await_some, fixture, sharing, timed};

fn starting<'a>(djship: &'a Djship, project: &TempProject) -> Result<Background<'a>> {
    timed("up", || Background::start(djship, project.path()))
}

/// The number in `days: 3`.
fn number(text: &str, after: &str) -> Option<u32> {
    let rest = text.split(after).nth(1)?;
    rest.chars().skip_while(|c| *c == ' ').take_while(char::is_ascii_digit).collect::<String>().parse().ok()
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn celery_on_redis() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(fixture("dev-celery"))?;
    let up = starting(&djship, &project)?;
    ensure!(up.services()? == ["Redis 8"], "{:?}", up.services()?);
    ensure!(up.programs()? == ["redis", "web", "worker", "beat"], "{:?}", up.programs()?);
    ensure!(up.page("/add/?x=1&y=2")?.text().contains("sum: 3"), "the task was not done");
    let ticks = || number(&up.page("/").ok()?.text(), "ticks:").filter(|ticks| *ticks > 1).map(drop);
    await_some(SOON, ticks).context("beat schedules nothing")?;
    // Code that changes is the worker's as well.
    let file = project.at("clockwork/tasks.py");
    let file = if file.exists() { file } else { found_in(&project, "tasks.py")? };
    let text = fs_err::read_to_string(&file)?;
    ensure!(text.contains("return x + y"), "the fixture's task is another one\n{text}");
    fs_err::write(&file, text.replace("return x + y", "return x + y + 100"))?;
    up.await_page("/add/?x=1&y=2", "sum: 103")?;
    Ok(())
}

/// The first file of that name.
fn found_in(project: &TempProject, name: &str) -> Result<std::path::PathBuf> {
    let mut folders = vec![project.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(&folder)? {
            let path = entry?.path();
            if path.file_name().is_some_and(|found| found == name) {
                return Ok(path);
            }
            if path.is_dir() && !path.ends_with(".cache") {
                folders.push(path);
            }
        }
    }
    anyhow::bail!("there is no {name}")
}

#[test]
#[ignore = "needs user namespaces, the network and port 6379 of 127.0.0.1"]
fn channels_on_a_redis_that_is_fixed_at_localhost() -> Result<()> {
    if let Err(error) = TcpListener::bind("127.0.0.1:6379") {
        djship_testkit::skips::note(&format!("port 6379 of 127.0.0.1 is in use: {error}"));
        return Ok(());
    }
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(fixture("dev-channels"))?;
    let up = starting(&djship, &project)?;
    ensure!(up.services()? == ["Redis 8"], "{:?}", up.services()?);
    ensure!(up.page("/")?.text().contains("lines: 0"), "another start page");
    let script = "import asyncio, websockets\n\
                  async def main():\n\
                  \x20   async with websockets.connect('ws://localhost:PORT/ws/room/', origin='http://localhost:PORT') as socket:\n\
                  \x20       await socket.send('hello')\n\
                  \x20       print(await asyncio.wait_for(socket.recv(), 20))\n\
                  asyncio.run(main())\n"
        .replace("PORT", &up.port.to_string());
    up.within(&["exec", "web", "uv", "pip", "install", "--quiet", "websockets"])?.success()?;
    let talk = up.within(&["exec", "web", "python", "-c", &script])?.success()?;
    ensure!(talk.stdout.contains("echo: hello"), "{talk}");
    Ok(())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn mariadb() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(fixture("dev-mariadb"))?;
    let up = starting(&djship, &project)?;
    ensure!(up.services()?.len() == 1 && up.services()?[0].starts_with("MariaDB"), "{:?}", up.services()?);
    ensure!(up.page("/add/")?.text().contains("added The \u{1f989}"), "four bytes are too many");
    ensure!(up.page("/")?.text().contains("books: 1, on MariaDB"), "{}", up.page("/")?.text());
    up.within(&["manage", "test", "--noinput"])?.success()?;
    let file = project.at("dump.sql");
    up.within(&["db", "dump", file.to_str().context("UTF-8")?])?.success()?;
    ensure!(fs_err::read_to_string(&file)?.contains("CREATE TABLE"), "nothing was dumped");
    Ok(())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn rabbitmq_and_a_worker_that_only_the_settings_show() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(fixture("dev-rabbitmq"))?;
    let up = starting(&djship, &project)?;
    let services = up.services()?;
    ensure!(
        services.len() == 2 && services[0] == "PostgreSQL 17" && services[1].starts_with("RabbitMQ"),
        "{services:?}"
    );
    ensure!(up.programs()?.contains(&"worker".to_owned()), "{:?}", up.programs()?);
    ensure!(up.page("/send/?text=hello")?.text().contains("sent"), "nothing was sent");
    up.await_page("/", "notes: hello")
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn geodjango_on_a_postgis_that_is_fixed_at_db() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(fixture("dev-geo"))?;
    let up = starting(&djship, &project)?;
    ensure!(up.services()?.len() == 1, "{:?}", up.services()?);
    let page = up.page("/")?.text();
    ensure!(page.contains("Potsdam 27 km") && page.contains("Rome 1184 km"), "{page}");
    Ok(())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn fixed_hosts_an_awkward_password_a_cache_and_mail() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(fixture("dev-hard-coded"))?;
    let up = starting(&djship, &project)?;
    let services = up.services()?;
    ensure!(services.len() == 3, "{services:?}");
    ensure!(up.page("/order/")?.text().contains("order 1"), "no order");
    ensure!(up.page("/")?.text().contains("orders: 1"), "the order is not there");
    ensure!(up.page("/count/")?.text().contains("count: 1"), "the cache does not count");
    ensure!(up.page("/count/")?.text().contains("count: 2"), "the cache forgets");
    ensure!(up.page("/mail/")?.text().contains("sent: 1"), "no mail");
    let status = up.status()?;
    let mail = status["services"].as_array().context("services")?.iter().find(|one| one["name"] == "mail");
    let url = mail.and_then(|mail| mail["url"].as_str()).context("mail cannot be read")?;
    let messages = Request::get(&format!("{url}messages.json")).send()?.text();
    let messages: serde_json::Value = serde_json::from_str(&messages)?;
    ensure!(messages.as_array().is_some_and(|all| all.len() == 1), "{messages}");
    Ok(())
}

#[test]
#[ignore = "needs user namespaces, the network and port 5432 of 127.0.0.1"]
fn a_database_that_is_fixed_at_localhost() -> Result<()> {
    if let Err(error) = TcpListener::bind("127.0.0.1:5432") {
        djship_testkit::skips::note(&format!("port 5432 of 127.0.0.1 is in use: {error}"));
        return Ok(());
    }
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(fixture("dev-localhost"))?;
    let up = starting(&djship, &project)?;
    ensure!(up.page("/add/")?.text().contains("balance: 0.10"), "nothing was added");
    drop(up);
    // Held by another program, which is named.
    let _holder = TcpListener::bind("127.0.0.1:5432")?;
    let folder = project.path().to_str().context("UTF-8")?;
    let refused = djship.run(["up", "-d", folder])?.exit_code(1)?;
    let id = std::process::id().to_string();
    ensure!(refused.stderr.contains("127.0.0.1:5432") && refused.stderr.contains(&id), "{refused}");
    Ok(())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn sqlite_needs_no_server_and_exported_variables_win() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(fixture("dev-sqlite"))?;
    let up = starting(&djship, &project)?;
    ensure!(up.services()?.is_empty() && up.programs()? == ["web"], "{:?}", up.programs()?);
    let page = up.page("/")?.text();
    ensure!(page.contains("Good morning, diary") && page.contains("id=\"djDebug\""), "{page}");
    up.within(&["manage", "test"])?.success()?;
    fs_err::write(project.at(".env"), "GREETING=\"Good evening, diary\"\n")?;
    up.await_page("/", "Good evening, diary")?;
    // A view, noticed by the development server itself.
    let view = project.at("days/views.py");
    let text = fs_err::read_to_string(&view)?;
    fs_err::write(&view, text.replace("Day.objects.count()", "Day.objects.count() + 41"))?;
    up.await_page("/", "days: 41")?;
    let folder = up.project.clone();
    up.down()?;
    let exporting = sharing(&mirror)?.env("GREETING", "Good night, diary");
    let up = Background::start(&exporting, &folder)?;
    ensure!(up.page("/")?.text().contains("Good night, diary"), "{}", up.page("/")?.text());
    Ok(())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn services_and_processes_by_configuration() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let config = "[services.keys]\npackages = [\"redis-server\"]\nport = 6380\n\
                  command = \"redis-server --bind {address} --port {port} --save '' --appendonly no\"\n\
                  [processes.assets]\nkind = \"watcher\"\ncommand = \"sh -c 'echo watching; exec sleep 1000'\"\n";
    let project = TempProject::copy_of(fixture("dev-sqlite"))?.with("djship.toml", config)?;
    let up = starting(&djship, &project)?;
    ensure!(up.programs()? == ["keys", "web", "assets"], "{:?}", up.programs()?);
    let logs = || up.within(&["logs", "assets"]).ok()?.stdout.contains("watching").then_some(());
    await_some(SOON, logs).context("the watcher says nothing")?;
    // One that dies is started again, and that is said.
    let id = |name: &str| -> Result<i32> {
        let status = up.status()?;
        let programs = status["programs"].as_array().context("programs")?;
        let program = programs.iter().find(|program| program["name"] == name).context("no such program")?;
        Ok(i32::try_from(program["pid"].as_i64().context("it does not run")?)?)
    };
    let first = id("keys")?;
    kill_process(Pid::from_raw(first).context("a process id")?, Signal::KILL)?;
    let again = || id("keys").ok().filter(|id| *id != first).map(drop);
    await_some(SOON, again).context("it is not started again")?;
    let logged = up.within(&["logs", "keys"])?.success()?.stdout;
    ensure!(logged.contains("[ended: signal 9; started again in 1 s at the latest]"), "{logged}");
    Ok(())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn two_projects_at_once() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let projects = [TempProject::copy_of(support::polls())?, TempProject::copy_of(support::polls())?];
    let first = starting(&djship, &projects[0])?;
    let second = starting(&djship, &projects[1])?;
    ensure!(first.port != second.port, "both serve on {}", first.port);
    let address = |up: &Background<'_>| up.status().map(|status| status["services"][0]["address"].clone());
    ensure!(address(&first)? != address(&second)?, "both use {}", address(&first)?);
    first.page("/")?;
    second.page("/")?;
    let listed = djship.run(["ps"])?.success()?;
    for project in &projects {
        ensure!(listed.stdout.contains(project.path().to_str().context("UTF-8")?), "{listed}");
    }
    Ok(())
}
