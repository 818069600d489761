//! Projects of many shapes in development: what the settings ask for runs, and nothing else.

#![expect(clippy::print_stderr, reason = "tests talk to their developer")]

mod support;

use std::net::TcpListener;

use anyhow::{Context as _, Result, ensure};
use djship_testkit::http::Request;
use djship_testkit::mirror::DebianMirror;
use djship_testkit::{Djship, TempProject};
use rustix::process::{Pid, Signal, kill_process};
use support::developing::{Expected, address, answer, await_log, edit, new_files, program, shows};
use support::environment::Background;
use support::web_socket::WebSocket;
use support::{SOON, await_some, fixture, sharing, timed};

fn starting<'a>(djship: &'a Djship, project: &TempProject) -> Result<Background<'a>> {
    timed("up", || Background::start(djship, project.path()))
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn celery_on_redis() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(fixture("dev-celery"))?;
    let up = starting(&djship, &project)?;
    let programs = &["redis", "web", "worker", "beat"];
    let expected = Expected { programs, titles: &["Redis 8"], ports: &[6379], fixed: &[] };
    expected.and_nothing_else(&up)?;
    shows(&up, "/add/?x=1&y=2", "sum: 3")?;
    let ticks = || up.page("/").ok()?.text().strip_prefix("ticks: ")?.parse::<u32>().ok();
    let more = |than: u32| await_some(SOON, || ticks().filter(|ticks| *ticks > than));
    more(1).context("beat schedules nothing")?;
    // It is a broker, so what waits in it outlasts it.
    let redis = up.within(&[
        "exec",
        "redis",
        "redis-cli",
        "-h",
        &address(&up)?.to_string(),
        "config",
        "get",
        "appendonly",
    ])?;
    ensure!(redis.stdout.contains("yes"), "{redis}");

    // Code that changes is the worker's as well.
    edit(&project.at("ticks/tasks.py"), "return x + y", "return x + y + 100")?;
    up.await_page("/add/?x=1&y=2", "sum: 103")?;
    for name in ["worker", "beat"] {
        await_log(&up, name, "[started again: code changed]")?;
        ensure!(program(&up, name)?["restarts"] == 1, "{}", program(&up, name)?);
    }
    // The settings are the worker's as well, though its container is the same.
    edit(&project.at("clockwork/settings.py"), "\n", "\n\n")?;
    let twice = |name: &str| program(&up, name).ok().filter(|program| program["restarts"] == 2);
    for name in ["worker", "beat"] {
        await_some(SOON, || twice(name)).with_context(|| format!("{name} does not know the new settings"))?;
    }
    ensure!(program(&up, "redis")?["restarts"] == 0, "{}", program(&up, "redis")?);
    more(ticks().context("the page shows no ticks")?).context("beat has stopped")?;
    ensure!(new_files(&up, "dev-celery")? == ["db.sqlite3"], "{:?}", new_files(&up, "dev-celery")?);
    Ok(())
}

#[test]
#[ignore = "needs user namespaces, the network and port 6379 of 127.0.0.1"]
fn channels_on_a_redis_that_is_fixed_at_localhost() -> Result<()> {
    if let Err(error) = TcpListener::bind("127.0.0.1:6379") {
        djship_testkit::skip!("port 6379 of 127.0.0.1 is in use: {error}");
    }
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(fixture("dev-channels"))?;
    let up = starting(&djship, &project)?;
    let programs = &["redis", "web"];
    let expected = Expected { programs, titles: &["Redis 8"], ports: &[6379], fixed: &[6379] };
    expected.and_nothing_else(&up)?;
    shows(&up, "/", "lines: 0")?;
    await_log(&up, "web", "Starting ASGI/Daphne")?;

    let origin = format!("http://localhost:{}", up.port);
    let refusal = WebSocket::refusal(up.port, "/ws/room/", "http://elsewhere.example")?;
    ensure!(refusal == 403, "a page from elsewhere gets the status {refusal}");
    let mut ann = WebSocket::open(up.port, "/ws/room/", &origin)?;
    let mut bob = WebSocket::open(up.port, "/ws/room/", &origin)?;
    ann.say("good morning")?;
    bob.say("\u{1f989}")?;
    // Everybody hears everybody; who is heard first is not said.
    for (name, socket) in [("ann", &mut ann), ("bob", &mut bob)] {
        let mut heard = [socket.hear()?, socket.hear()?];
        heard.sort();
        ensure!(heard == ["echo: good morning", "echo: \u{1f989}"], "{name} hears {heard:?}");
    }
    shows(&up, "/", "lines: 2")
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn mariadb() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(fixture("dev-mariadb"))?;
    let up = starting(&djship, &project)?;
    let programs = &["mariadb", "web"];
    let expected = Expected { programs, titles: &["MariaDB"], ports: &[3306], fixed: &[] };
    expected.and_nothing_else(&up)?;
    shows(&up, "/", "books: 0, on MariaDB")?;
    // Four bytes are not too many.
    shows(&up, "/add/", "added The \u{1f989}")?;
    shows(&up, "/", "books: 1, on MariaDB")?;
    ensure!(new_files(&up, "dev-mariadb")?.is_empty(), "{:?}", new_files(&up, "dev-mariadb")?);
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
    let programs = &["postgres", "rabbitmq", "web", "worker"];
    let titles = &["PostgreSQL 17", "RabbitMQ"];
    let expected = Expected { programs, titles, ports: &[5432, 5672], fixed: &[] };
    expected.and_nothing_else(&up)?;
    ensure!(up.page("/")?.text() == "notes: ", "{}", up.page("/")?.text());
    shows(&up, "/send/?text=hello", "sent")?;
    up.await_page("/", "notes: hello")?;
    // What the worker writes is in the same database.
    await_log(&up, "worker", "notes.tasks.write")?;
    ensure!(new_files(&up, "dev-rabbitmq")?.is_empty(), "{:?}", new_files(&up, "dev-rabbitmq")?);
    Ok(())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn geodjango_on_a_postgis_that_is_fixed_at_db() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(fixture("dev-geo"))?;
    let up = starting(&djship, &project)?;
    let programs = &["postgres", "web"];
    let titles = &["PostgreSQL 17 with PostGIS"];
    let expected = Expected { programs, titles, ports: &[5432], fixed: &[] };
    expected.and_nothing_else(&up)?;
    // The database, GDAL and PROJ, each of which calculates.
    let page = up.page("/")?.text();
    let right = "from Berlin: Potsdam 27 km, Bern 752 km, Rome 1184 km; easting 391 km";
    ensure!(page == right, "{page}");
    let found = up.within(&["exec", "web", "getent", "hosts", "db"])?.success()?;
    ensure!(found.stdout.starts_with(&format!("{} ", address(&up)?)), "{found}");
    Ok(())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn fixed_hosts_an_awkward_password_a_cache_and_mail() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(fixture("dev-hard-coded"))?;
    let up = starting(&djship, &project)?;
    let programs = &["postgres", "memcached", "mail", "web"];
    let titles = &["PostgreSQL 17", "memcached", "mail catcher"];
    let expected = Expected { programs, titles, ports: &[5432, 11211, 1025, 8025], fixed: &[] };
    expected.and_nothing_else(&up)?;
    for (path, text) in [
        ("/", "orders: 0"),
        ("/order/", "order 1"),
        ("/", "orders: 1"),
        ("/count/", "count: 1"),
        ("/count/", "count: 2"),
        ("/mail/", "sent: 1"),
    ] {
        shows(&up, path, text)?;
    }
    let mailbox = format!("http://{}:8025", address(&up)?);
    let status = up.status()?;
    let described = status["services"].as_array().context("services")?.iter();
    let mail = described.clone().find(|one| one["name"] == "mail").context("no mail")?;
    ensure!(mail["url"] == format!("{mailbox}/"), "{mail}");
    // For a desktop client, and so without a sign that would end a part of the address.
    let database = described.clone().find(|one| one["name"] == "postgres").context("no database")?;
    let password = "it%27s%20only%20%22development%22%20%2540";
    ensure!(database["url"].as_str().is_some_and(|url| url.contains(password)), "{database}");
    let messages = Request::get(&format!("{mailbox}/messages.json")).send()?.text();
    let messages: serde_json::Value = serde_json::from_str(&messages)?;
    ensure!(messages.as_array().is_some_and(|all| all.len() == 1), "{messages}");
    let message = &messages[0];
    let (sender, to) = (&message["sender"], &message["to"]);
    ensure!(message["subject"] == "Your order" && sender == "shop@example.org", "{message}");
    ensure!(to.to_string().contains("ann@example.org"), "{message}");
    let whole = Request::get(&format!("{mailbox}/{}.eml", message["number"])).send()?.text();
    ensure!(whole.contains("multipart/alternative") && whole.contains("text/html"), "{whole}");
    Ok(())
}

#[test]
#[ignore = "needs user namespaces, the network and port 5432 of 127.0.0.1"]
fn a_database_that_is_fixed_at_localhost() -> Result<()> {
    if let Err(error) = TcpListener::bind("127.0.0.1:5432") {
        djship_testkit::skip!("port 5432 of 127.0.0.1 is in use: {error}");
    }
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(fixture("dev-localhost"))?;
    let up = starting(&djship, &project)?;
    let programs = &["postgres", "web"];
    let titles = &["PostgreSQL 17"];
    let expected = Expected { programs, titles, ports: &[5432], fixed: &[5432] };
    expected.and_nothing_else(&up)?;
    shows(&up, "/", "balance: 0.00")?;
    shows(&up, "/add/", "balance: 0.10")?;
    up.down()?;
    // Held by another program, which is named. What was there before is there again once the port is free.
    let holder = TcpListener::bind("127.0.0.1:5432")?;
    let folder = project.path().to_str().context("UTF-8")?;
    let _ended_with_the_test = Background::of(&djship, project.path());
    let refused = djship.run(["up", "-d", folder])?.exit_code(1)?;
    let id = std::process::id().to_string();
    ensure!(refused.stderr.contains("127.0.0.1:5432") && refused.stderr.contains(&id), "{refused}");
    drop(holder);
    let up = starting(&djship, &project)?;
    shows(&up, "/", "balance: 0.10")
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn sqlite_needs_no_server_and_exported_variables_win() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(fixture("dev-sqlite"))?;
    let up = starting(&djship, &project)?;
    let expected = Expected { programs: &["web"], ..Expected::default() };
    expected.and_nothing_else(&up)?;
    shows(&up, "/", "Good morning, diary")?;
    // The toolbar is among the requirements for development.
    shows(&up, "/", "id=\"djDebug\"")?;
    let tested = up.within(&["manage", "test"])?.success()?;
    ensure!(tested.stderr.contains("Ran 1 test"), "{tested}");
    up.within(&["manage", "test", "days.nowhere"])?.exit_code(1)?;
    fs_err::write(project.at(".env"), "GREETING=\"Good evening, diary\"\n")?;
    up.await_page("/", "Good evening, diary")?;
    // A view, noticed by the development server itself.
    edit(&project.at("days/views.py"), "Day.objects.count()", "Day.objects.count() + 41")?;
    up.await_page("/", "days: 41")?;
    ensure!(new_files(&up, "dev-sqlite")? == ["db.sqlite3"], "{:?}", new_files(&up, "dev-sqlite")?);
    let folder = up.project.clone();
    up.down()?;
    // A variable that no settings read, in a page that is waited for only so long.
    edit(
        &folder.join("days/views.py"),
        "def index",
        "def key(request):\n    import os\n\n    return HttpResponse(f\"key: {os.environ.get('MAP_KEY')}\")\n\n\ndef index",
    )?;
    edit(&folder.join("diary/urls.py"), "urlpatterns = [", "urlpatterns = [path('key/', views.key), ")?;
    edit(
        &folder.join("days/views.py"),
        "    return render",
        "    if 'go' not in request.GET:\n        breakpoint()\n    return render",
    )?;
    let exporting = sharing(&mirror)?
        .env("GREETING", "Good night, diary")
        .env("MAP_KEY", "between quotes")
        .env("NOBODYS_KEY", "of the shell");
    let up = Background::start(&exporting, &folder)?;
    ensure!(up.said.contains("the first page has not come in"), "{}", up.said);
    shows(&up, "/?go", "Good night, diary")?;
    shows(&up, "/key/", "key: between quotes")?;
    let environment = up.within(&["exec", "web", "env"])?.success()?.stdout;
    ensure!(!environment.contains("NOBODYS_KEY"), "{environment}");
    Ok(())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn a_service_by_configuration_serves_when_its_check_says_so_and_is_started_again() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    // It listens at once, and is what it should be later.
    let script = "redis-server --bind {address} --port {port} --appendonly no & sleep 2; \
                  redis-cli -h {address} -p {port} set state warm; wait";
    let config = format!(
        "[services.cache]\npackages = [\"redis-server\"]\nport = 6380\ncommand = [\"sh\", \"-c\", \"{script}\"]\n\
         health = \"sh -c 'redis-cli -h {{address}} -p {{port}} get state | grep -q warm'\"\n"
    );
    let project = TempProject::copy_of(fixture("dev-sqlite"))?.with("djship.toml", &config)?;
    let up = starting(&djship, &project)?;
    let warm = answer(address(&up)?, 6380, "GET state\r\n")?;
    ensure!(warm == "$4\r\nwarm\r\n", "nobody waited for its check: {warm}");
    let expected = Expected { programs: &["cache", "web"], titles: &["cache"], ports: &[6380], fixed: &[] };
    expected.and_nothing_else(&up)?;
    let found = up.within(&["exec", "web", "getent", "hosts", "cache"])?.success()?;
    ensure!(found.stdout.starts_with(&address(&up)?.to_string()), "{found}");

    // One that dies is started again, later each time, and that is said.
    let web = program(&up, "web")?["pid"].clone();
    for (round, seconds) in [(1, 1), (2, 2)] {
        let id = i32::try_from(program(&up, "cache")?["pid"].as_i64().context("it does not run")?)?;
        kill_process(Pid::from_raw(id).context("a process id")?, Signal::KILL)?;
        let again = || {
            let cache = program(&up, "cache").ok()?;
            (cache["condition"] == "ready" && cache["restarts"] == round && cache["pid"] != id).then_some(())
        };
        await_some(SOON, again).with_context(|| format!("not started again: {:?}", program(&up, "cache")))?;
        let said = format!("[ended: signal 9; started again in {seconds} s at the latest]");
        await_log(&up, "cache", &said)?;
    }
    let warm = answer(address(&up)?, 6380, "GET state\r\n")?;
    ensure!(warm == "$4\r\nwarm\r\n", "{warm}");
    ensure!(program(&up, "web")?["pid"] == web, "the development server was started again as well");
    Ok(())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn processes_by_configuration() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let config = "[processes.assets]\nkind = \"watcher\"\ncommand = \"sh -c 'echo watching $PWD; exec sleep 1000'\"\n\
                  folder = \"days\"\n\
                  [processes.queue]\nkind = \"worker\"\ncommand = \"sh -c 'echo working; exec sleep 1000'\"\n";
    let project = TempProject::copy_of(fixture("dev-sqlite"))?.with("djship.toml", config)?;
    let up = starting(&djship, &project)?;
    let expected = Expected { programs: &["web", "assets", "queue"], ..Expected::default() };
    expected.and_nothing_else(&up)?;
    await_log(&up, "assets", "watching /app/days")?;
    await_log(&up, "queue", "working")?;
    // A watcher watches for itself; a worker is started again with new code.
    let watcher = program(&up, "assets")?["pid"].clone();
    edit(&project.at("days/views.py"), "Day.objects.count()", "Day.objects.count() + 41")?;
    await_log(&up, "queue", "[started again: code changed]")?;
    up.await_page("/", "days: 41")?;
    let (assets, queue) = (program(&up, "assets")?, program(&up, "queue")?);
    ensure!(assets["restarts"] == 0 && assets["pid"] == watcher, "{assets}");
    ensure!(assets["role"] == "watcher" && queue["role"] == "worker", "{assets} {queue}");
    // Taken out of the configuration, it runs no more.
    fs_err::write(project.at("djship.toml"), config.split("[processes.queue]").next().context("a part")?)?;
    let gone = || (up.programs().ok()? == ["web", "assets"]).then_some(());
    await_some(SOON, gone).with_context(|| format!("{:?}", up.programs()))
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
    ensure!(address(&first)? != address(&second)?, "both use {}", address(&first)?);
    for up in [&first, &second] {
        let programs = &["postgres", "web"];
        let expected = Expected { programs, titles: &["PostgreSQL 17"], ports: &[5432], fixed: &[] };
        expected.and_nothing_else(up)?;
    }
    let code = "from polls.models import Poll; Poll.objects.create(question='Tea or coffee?')";
    first.within(&["manage", "shell", "-c", code])?.success()?;
    shows(&first, "/", "Tea or coffee?")?;
    shows(&second, "/", "Nobody has asked anything so far.")?;
    let listed = djship.run(["ps"])?.success()?;
    for project in &projects {
        ensure!(listed.stdout.contains(project.path().to_str().context("UTF-8")?), "{listed}");
    }
    // The end of one is nothing to the other.
    drop(first);
    shows(&second, "/", "Nobody has asked anything so far.")
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn a_port_that_another_program_takes_in_the_last_moment() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(fixture("dev-sqlite"))?;
    // The first server waits before it listens, and goes on as one that does not end when it cannot: daphne is one.
    let wait = "if __name__ == \"__main__\":\n    if \"runserver\" in sys.argv and not os.path.exists(\"asked\"):\n        \
                import time\n\n        open(\"asked\", \"w\").write(sys.argv[-1])\n        time.sleep(1000)\n";
    edit(&project.at("manage.py"), "if __name__ == \"__main__\":\n", wait)?;
    let folder = project.path().to_str().context("UTF-8")?;
    let _ended_with_the_test = Background::of(&djship, project.path());
    let starting = djship.start(["up", "-d", folder])?;
    let asked = || fs_err::read_to_string(project.at("asked")).ok().filter(|asked| asked.contains(':'));
    let asked = await_some(10 * SOON, asked).with_context(|| starting.text())?;
    let _holder = TcpListener::bind(&asked)?;
    let output = starting.wait(SOON)?.success()?;
    let port = output.stdout.trim().rsplit(':').next().context("no address")?.parse()?;
    ensure!(!asked.ends_with(&format!(":{port}")), "both have {asked}");
    ensure!(support::environment::page(port, "/")?.text().contains("days: 0"), "another page");
    Ok(())
}
