//! Databases in development: which are migrated and when, who may use them, how they are saved and replaced.

#![expect(clippy::print_stderr, reason = "tests talk to their developer")]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use djship_testkit::TempProject;
use djship_testkit::mirror::DebianMirror;
use rustix::process::Signal;
use support::environment::{Background, kept};
use support::{SOON, await_some, fixture, sharing};

/// Settings of `fixtures/dev-hard-coded` with other databases; nothing else is asked for.
fn settings(databases: &str) -> String {
    format!(
        "import os\n\
         SECRET_KEY = 'only for development'\n\
         DEBUG = True\n\
         INSTALLED_APPS = ['orders']\n\
         MIDDLEWARE = ['django.middleware.common.CommonMiddleware']\n\
         ROOT_URLCONF = 'shop.urls'\n\
         DEFAULT_AUTO_FIELD = 'django.db.models.BigAutoField'\n\
         {databases}\n"
    )
}

/// Orders are in the archive, and nothing else is; no password anywhere.
const TWO_AND_ONE_OF_OTHERS: &str = "
def server(host, name):
    return {'ENGINE': 'django.db.backends.postgresql', 'HOST': host, 'USER': 'shop', 'NAME': name}

DATABASES = {
    'default': server('db', 'shop'),
    'archive': server('db', 'archive'),
    'far': server('db.example.invalid', 'production'),
}
DATABASE_ROUTERS = ['shop.routers.Orders']
";

const ROUTER: &str = "
class Orders:
    def db_for_read(self, model, **hints):
        return 'archive' if model._meta.app_label == 'orders' else None

    db_for_write = db_for_read

    def allow_migrate(self, db, app_label, **hints):
        return (db == 'archive') == (app_label == 'orders')
";

/// What a query answers, without decoration.
fn query(up: &Background<'_>, database: &str, statement: &str) -> Result<String> {
    let output = up.within(&["db", "-c", statement, "--", "-At", "-d", database])?.success()?;
    Ok(output.stdout.trim().to_owned())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn every_database_of_ours_is_migrated_and_nobody_elses() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(fixture("dev-hard-coded"))?
        .with("shop/settings.py", &settings(TWO_AND_ONE_OF_OTHERS))?
        .with("shop/routers.py", ROUTER)?;
    let up = Background::start(&djship, project.path())?;
    ensure!(up.page("/order/")?.text().contains("order 1"), "no order");
    ensure!(up.page("/")?.text().contains("orders: 1"), "the order is not there");
    // As the router says.
    for (database, tables) in [("shop", "f"), ("archive", "t")] {
        let found = query(&up, database, "select to_regclass('orders_order') is not null")?;
        ensure!(found == tables, "{database}: {found}");
    }
    let logs = up.within(&["logs"])?.success()?.stdout;
    ensure!(!logs.contains("permission denied"), "{logs}");
    // The settings have no password: the environment has one, which nobody else reads.
    let file = kept(&djship, "environments", project.path()).context("no state")?.join("password");
    ensure!(fs_err::metadata(&file)?.permissions().mode() & 0o777 == 0o600, "{}", file.display());
    let password = fs_err::read_to_string(&file)?;
    let url = up.status()?["services"][0]["url"].as_str().context("no URL")?.to_owned();
    ensure!(url.contains(&format!("shop:{password}@")), "{url}");
    for shard in fs_err::read_dir(djship.home().join("facts-v1"))? {
        for file in fs_err::read_dir(shard?.path())? {
            let text = fs_err::read(file?.path())?;
            ensure!(!String::from_utf8_lossy(&text).contains(&password), "the store says it to everybody");
        }
    }
    ensure!(
        query(&up, "shop", "select rolsuper from pg_roles where rolname = current_user")? == "f",
        "a superuser"
    );
    let folder = up.project.clone();
    up.down()?;
    let said = djship.run(["up", "-d", folder.to_str().context("UTF-8")?])?.success()?.stderr;
    let _up = Background::of(&djship, &folder);
    ensure!(said.contains("DATABASES['far'] at db.example.invalid is not migrated"), "{said}");
    ensure!(said.contains("djship manage migrate --database far"), "{said}");
    ensure!(said.contains("No new migrations"), "{said}");
    Ok(())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn a_new_database_is_migrated_whatever_made_it_new() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let databases = "import dj_database_url\nDATABASES = {'default': dj_database_url.config()}";
    let requirements = "Django>=5.2,<6\npsycopg[binary]>=3.2,<4\ndj-database-url>=3,<4\n";
    let project = TempProject::copy_of(fixture("dev-hard-coded"))?
        .with("shop/settings.py", &settings(databases))?
        .with("requirements.txt", requirements)?;
    let up = Background::start(&djship, project.path())?;
    ensure!(up.page("/order/")?.text().contains("order 1"), "no order");
    // Another one while it runs.
    fs_err::write(project.at(".env"), "DATABASE_URL=postgres://clerk:word@db:5432/other\n")?;
    up.await_page("/", "orders: 0")?;
    ensure!(up.page("/order/")?.text().contains("order 1"), "no order in the other one");
    // Dropped by hand.
    let folder = up.project.clone();
    query(&up, "postgres", "drop database other with (force)")?;
    up.down()?;
    let up = Background::start(&djship, &folder)?;
    ensure!(up.page("/")?.text().contains("orders: 0"), "{}", up.page("/")?.text());
    up.down()?;
    // The whole volume removed behind our back.
    fs_err::remove_dir_all(kept(&djship, "volumes", &folder).context("no volume")?)?;
    let up = Background::start(&djship, &folder)?;
    ensure!(up.page("/")?.text().contains("orders: 0"), "{}", up.page("/")?.text());
    Ok(())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn a_dump_is_its_owners_and_a_restore_replaces_everything() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(fixture("dev-hard-coded"))?
        .with("shop/settings.py", &settings(&TWO_AND_ONE_OF_OTHERS.replace("ROUTERS", "ROUTERS_NOT_USED")))?;
    let up = Background::start(&djship, project.path())?;
    up.page("/order/")?;
    let at = |name: &str| project.at(name).to_str().map(str::to_owned).context("UTF-8");
    let file = at("before.dump")?;
    up.within(&["db", "dump", &file])?.success()?;
    ensure!(fs_err::metadata(&file)?.permissions().mode() & 0o777 == 0o600, "others may read it");
    // The development server is connected meanwhile.
    up.page("/order/")?;
    query(&up, "shop", "create table later (a int)")?;
    up.within(&["db", "restore", "--yes", &file])?.success()?;
    ensure!(up.page("/")?.text().contains("orders: 1"), "{}", up.page("/")?.text());
    ensure!(query(&up, "shop", "select to_regclass('later') is null")? == "t", "it was not replaced");
    // What cannot be restored changes nothing.
    let whole = fs_err::read(&file)?;
    fs_err::write(at("cut.dump")?, &whole[..whole.len() / 2])?;
    let failed = up.within(&["db", "restore", "--yes", &at("cut.dump")?])?.exit_code(1)?;
    ensure!(failed.stderr.contains("The database is as it was."), "{failed}");
    fs_err::write(at("other.sql")?, "\\connect archive\ncreate table elsewhere (a int);\n")?;
    let refused = up.within(&["db", "restore", "--yes", &at("other.sql")?])?.exit_code(1)?;
    ensure!(refused.stderr.contains("Line 1: \\connect archive"), "{refused}");
    ensure!(up.page("/")?.text().contains("orders: 1"), "{}", up.page("/")?.text());
    // A dump that is interrupted leaves nothing.
    let fill = "create table big as select md5(random()::text) || md5(random()::text) as text from generate_series(1, 1500000)";
    query(&up, "shop", fill)?;
    let folder = project.path().to_str().context("UTF-8")?;
    let dumps = || -> Vec<PathBuf> {
        let entries = fs_err::read_dir(project.path()).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.to_string_lossy().contains("big.dump")).collect()
    };
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let running = djship.start(["-C", folder, "db", "dump", &at("big.dump")?])?;
        await_some(SOON, || (!dumps().is_empty()).then_some(())).context("nothing is written")?;
        running.signal(signal)?;
        let output = running.wait(SOON)?.exit_code(130)?;
        ensure!(dumps().is_empty(), "{signal:?}: {:?}\n{output}", dumps());
    }
    Ok(())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn a_process_called_like_a_service_runs_beside_it() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(fixture("dev-hard-coded"))?
        .with("Procfile", "mail: sh -c 'echo sorting; exec sleep 1000'\n")?
        .with("djship.toml", "[services]\nmemcached = false\n")?;
    let up = Background::start(&djship, project.path())?;
    ensure!(up.programs()? == ["postgres", "mail", "web", "mail-process"], "{:?}", up.programs()?);
    ensure!(up.page("/mail/")?.text().contains("sent: 1"), "no mail");
    let logs = || up.within(&["logs", "mail-process"]).ok()?.stdout.contains("sorting").then_some(());
    await_some(SOON, logs).context("the process says nothing")?;
    // Code that changes starts the process anew, and not the service.
    let pid = |name: &str| -> Result<i64> {
        let status = up.status()?;
        let programs = status["programs"].as_array().context("programs")?;
        let program = programs.iter().find(|program| program["name"] == name).context("no such program")?;
        program["pid"].as_i64().context("it does not run")
    };
    let before = (pid("mail")?, pid("mail-process")?);
    let file = project.at("orders/views.py");
    fs_err::write(&file, format!("{}\n# changed\n", fs_err::read_to_string(&file)?))?;
    let again = || pid("mail-process").ok().filter(|pid| *pid != before.1).map(drop);
    await_some(SOON, again).context("it is not started anew")?;
    ensure!(pid("mail")? == before.0, "the service was started anew");
    // What is switched off has no name of ours.
    up.within(&["exec", "web", "getent", "hosts", "db"])?.success()?;
    let hosts = up.within(&["exec", "web", "cat", "/etc/hosts"])?.success()?.stdout;
    ensure!(hosts.contains("\tmail\n") && !hosts.contains("memcache"), "{hosts}");
    Ok(())
}
