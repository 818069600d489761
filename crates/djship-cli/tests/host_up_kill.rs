//! `djship up` killed while rows are being written: nothing of it stays, and no row that was acknowledged is lost.
//!
//! `DJSHIP_SOAK_ROUNDS` (5) and `DJSHIP_SOAK_SEED` (random, printed) repeat a run; `cargo xtask soak` sets them.

#![expect(clippy::print_stderr, reason = "tests talk to their developer")]

mod support;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use djship_testkit::mirror::DebianMirror;
use djship_testkit::{Djship, TempProject, User, needs, user};
use fastrand::Rng;
use support::environment::{Background, Up, kept, nothing_is_left, within};
use support::{SOON, await_some, fixture, polls, processes, sharing, store, timed};

/// Writes rows until it is ended; what it prints was acknowledged by the server.
const WRITER: &str = "import os, sys, itertools, psycopg2\n\
    connection = psycopg2.connect(os.environ['DATABASE_URL'])\n\
    connection.autocommit = True\n\
    cursor = connection.cursor()\n\
    cursor.execute('create table if not exists kept (id bigint primary key)')\n\
    for number in itertools.count(int(sys.argv[1])):\n\
    \x20   cursor.execute('insert into kept values (%s)', (number,))\n\
    \x20   print(number, flush=True)\n";

/// Prints every row.
const READER: &str = "import os, psycopg2\n\
    connection = psycopg2.connect(os.environ['DATABASE_URL'])\n\
    cursor = connection.cursor()\n\
    cursor.execute('select id from kept order by id')\n\
    [print(row[0]) for row in cursor]\n\
    for name in ('fsync', 'full_page_writes', 'synchronous_commit'):\n\
    \x20   cursor.execute('show ' + name)\n\
    \x20   print(name, cursor.fetchone()[0])\n";

fn setting(name: &str, otherwise: u64) -> Result<u64> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name} is no number: {text}")),
        Err(_) => Ok(otherwise),
    }
}

/// Rows that a text of numbers names.
fn rows(text: &str) -> Vec<u64> {
    // A line that was cut off is a row that nobody knows to be written.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().filter_map(|line| line.trim().parse().ok()).collect()
}

/// Starts, writes, kills; the rows that were acknowledged.
fn killed_while_writing(djship: &Djship, project: &Path, first: u64, delay: Duration) -> Result<Vec<u64>> {
    let up = Up::start(djship, project, &[])?;
    let family = processes::descendants(up.running.id());
    ensure!(family.len() > 5, "{family:#?}");
    let folder = project.to_str().context("UTF-8")?;
    let first = first.to_string();
    let mut writer = djship.start(["-C", folder, "exec", "web", "python", "-c", WRITER, &first])?;
    writer.await_text("\n", SOON)?;
    std::thread::sleep(delay);
    up.running.kill()?;
    let written = writer.wait(SOON)?;
    nothing_is_left(project, &family)?;
    let mounts = processes::mounts(project);
    ensure!(mounts.is_empty(), "these mounts are left: {mounts:#?}");
    let rows = rows(&written.stdout);
    ensure!(!rows.is_empty(), "nothing was written\n{written}");
    Ok(rows)
}

fn users() -> Result<Vec<User>> {
    let mut users = vec![User::current()?];
    for name in [user::WITHOUT_SUBORDINATE_IDS, user::WITH_SUBORDINATE_IDS] {
        users.extend(needs::user(name).ok());
    }
    Ok(users)
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn soak_killed_while_rows_are_written() -> Result<()> {
    let rounds = setting("DJSHIP_SOAK_ROUNDS", 5)?;
    let seed = setting("DJSHIP_SOAK_SEED", fastrand::u64(..))?;
    eprintln!("DJSHIP_SOAK_SEED={seed} DJSHIP_SOAK_ROUNDS={rounds}");
    let mut rng = Rng::with_seed(seed);
    let mirror = DebianMirror::start()?;
    for (number, user) in users()?.into_iter().enumerate() {
        let djship = support::djship(&user, &mirror)?.sharing_home()?;
        let project = TempProject::copy_of(polls())?.owned_by(&user)?;
        let mut acknowledged = Vec::new();
        // The rounds are shared out among the users.
        let share = rounds / 3 + u64::from(rounds % 3 > number as u64);
        for round in 0..share {
            let delay = Duration::from_millis(rng.u64(0..1500));
            let what = format!("round {} as {}, killed after {delay:?}", round + 1, user.name);
            let first = 1 + round * 1_000_000;
            acknowledged
                .extend(timed(&what, || killed_while_writing(&djship, project.path(), first, delay))?);
        }
        let again = Background::start(&djship, project.path())?;
        let kept = again.within(&["exec", "web", "python", "-c", READER])?.success()?;
        let there = rows(&kept.stdout);
        let lost: Vec<_> = acknowledged.iter().filter(|row| there.binary_search(row).is_err()).collect();
        ensure!(lost.is_empty(), "{} of {} rows are lost: {lost:?}", lost.len(), acknowledged.len());
        for name in ["fsync", "full_page_writes", "synchronous_commit"] {
            ensure!(kept.stdout.contains(&format!("{name} on")), "{name} is not on\n{kept}");
        }
        let said = again.within(&["logs", "postgres"])?.to_string();
        ensure!(said.contains("not properly shut down"), "the server noticed nothing\n{said}");
        eprintln!("{} rows as {}, none lost", acknowledged.len(), user.name);
        drop(again);
        let left = store::unfinished(djship.home());
        ensure!(left.is_empty(), "left in the store: {left:?}");
    }
    Ok(())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn two_servers_never_share_a_volume() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(polls())?;
    let up = Background::start(&djship, project.path())?;
    let status = up.status()?;
    let holder = status["programs"][0]["pid"].as_u64().context("postgres runs")?;
    // Another DJSHIP_HOME that leads to the same volumes.
    let other = tempfile::tempdir()?;
    for name in fs_err::read_dir(djship.home())?.filter_map(|entry| Some(entry.ok()?.file_name())) {
        if name != "environments" {
            fs_err::os::unix::fs::symlink(djship.home().join(&name), other.path().join(&name))?;
        }
    }
    let second = sharing(&mirror)?.home_at(other.path());
    let refused = second.run(["up", "-d", project.path().to_str().context("UTF-8")?])?.exit_code(1)?;
    let named = status["pid"].as_u64().context("a supervisor")?;
    let names_holder = [holder, named].iter().any(|pid| refused.stderr.contains(&pid.to_string()));
    ensure!(refused.stderr.contains("postgres-17") && names_holder, "{refused}");
    up.page("/")?;
    ensure!(within(&djship, project.path(), &["status"])?.status.success(), "the first one is gone");
    let ended = || processes::using(other.path()).is_empty().then_some(());
    await_some(SOON, ended).context("the second one left something")
}

/// Killed before anything serves: while it installs, while the database is made, while it migrates.
#[test]
#[ignore = "needs user namespaces and the network"]
fn soak_killed_while_it_starts() -> Result<()> {
    let rounds = setting("DJSHIP_SOAK_ROUNDS", 5)?;
    let seed = setting("DJSHIP_SOAK_SEED", fastrand::u64(..))?;
    eprintln!("DJSHIP_SOAK_SEED={seed} DJSHIP_SOAK_ROUNDS={rounds}");
    let mut rng = Rng::with_seed(seed);
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(fixture("dev-hard-coded"))?;
    let folder = project.path().to_str().context("UTF-8")?;
    let again = Background::of(&djship, project.path());
    for round in 0..rounds {
        // The moments that are waited for before the dice decide about the rest.
        let moments = ["Builder", "Facts", "Services", "New volume for postgres", "Start"];
        let moment = moments[rng.usize(..moments.len())];
        let delay = Duration::from_millis(rng.u64(0..1500));
        let what = format!("round {}, killed {delay:?} after `{moment}`", round + 1);
        let kill = || -> Result<()> {
            let mut running = djship.start(["up", folder])?;
            running.await_text(moment, SOON)?;
            std::thread::sleep(delay);
            let family = processes::descendants(running.id());
            running.kill()?;
            nothing_is_left(project.path(), &family)?;
            let mounts = processes::mounts(project.path());
            ensure!(mounts.is_empty(), "these mounts are left: {mounts:#?}");
            let down = djship.run(["down", "--volumes", "--yes", folder])?.success()?;
            ensure!(down.stderr.contains("Nothing was running"), "{down}");
            Ok(())
        };
        timed(&what, kill).with_context(|| format!("{what}, DJSHIP_SOAK_SEED={seed}"))?;
    }
    drop(again);
    let up = Background::start(&djship, project.path())?;
    ensure!(up.page("/order/")?.text().contains("order 1"), "no order");
    drop(up);
    let left = store::unfinished(djship.home());
    ensure!(left.is_empty(), "left in the store: {left:?}");
    Ok(())
}

/// Between taking the lock and writing its name into it, a new supervisor holds a lock that names a dead one, whose state
/// is still there.
#[test]
#[ignore = "needs user namespaces and the network"]
fn a_dead_environment_is_not_taken_for_one_that_runs() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(fixture("dev-sqlite"))?;
    let up = Up::start(&djship, project.path(), &[])?;
    let family = processes::descendants(up.running.id());
    up.running.kill()?;
    nothing_is_left(project.path(), &family)?;
    let folder = kept(&djship, "environments", project.path()).context("the environment's folder")?;
    ensure!(folder.join("state.json").exists(), "it has left no state");
    let lock = fs_err::File::open(folder.join("lock"))?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
    let status = within(&djship, project.path(), &["status"])?;
    ensure!(!status.status.success(), "a dead process is said to run\n{status}");
    drop(lock);
    within(&djship, project.path(), &["status"])?.exit_code(1)?;
    Ok(())
}
