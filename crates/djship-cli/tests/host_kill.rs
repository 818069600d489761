//! djship killed at random moments: nothing of it stays, and the next build makes the same image.
//!
//! `DJSHIP_SOAK_ROUNDS` (5) and `DJSHIP_SOAK_SEED` (random, printed) repeat a run; `cargo xtask soak` sets them.

#![expect(clippy::print_stderr, reason = "tests talk to their developer")]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use djship_testkit::http::Request;
use djship_testkit::mirror::DebianMirror;
use djship_testkit::{Djship, Running, TempProject, User, needs, user};
use fastrand::Rng;
use support::processes::{self, Process};
use support::serving::{self, Serving};
use support::{SOON, await_some, polls, sharing, store, timed};

/// Longer than a build from nothing.
const BUILD: Duration = Duration::from_mins(5);

/// The moments that are waited for before the dice decide about the rest.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// The mirror was asked for this many files.
    Downloading(usize),
    /// This many packages are unpacked.
    Unpacking(usize),
    /// The compiler is called for.
    Compiling,
}

struct Victim<'a> {
    djship: Djship,
    mirror: &'a DebianMirror,
    project: String,
}

impl Victim<'_> {
    /// Starts a build, kills it some time after the moment, and looks at what it leaves.
    fn kill_build(&self, moment: Moment, delay: Duration) -> Result<()> {
        self.mirror.take_requests();
        let mut running = self.djship.start(["build", &self.project, "-t", "polls", "-v"])?;
        let mut requests = 0;
        // A build that has passed the moment, or has ended, is as good a victim as any.
        let _ = await_some(BUILD, || {
            requests += self.mirror.take_requests().len();
            let reached = match moment {
                Moment::Downloading(number) => requests >= number,
                Moment::Unpacking(number) => entries(&self.djship.home().join("packages-v1")) >= number,
                Moment::Compiling => running.text().contains("so the compiler comes in"),
            };
            (reached || running.has_ended().unwrap_or(true)).then_some(())
        });
        std::thread::sleep(delay);
        let last = running.text().lines().last().unwrap_or_default().to_owned();
        eprintln!("  {moment:?} and {delay:?} later, after `{}`", last.trim());
        self.kill(running)
    }

    /// Starts what serves, and kills it while it prepares or later.
    fn kill_server(&self, delay: Duration, rng: &mut Rng) -> Result<()> {
        let port = serving::free_port()?;
        let publish = port.to_string();
        let mut running = self.djship.start(["run", "--try", &self.project, "-p", &publish])?;
        if rng.bool() {
            running.await_text("Serving on http://", BUILD)?;
        }
        std::thread::sleep(delay);
        eprintln!("  serving, {delay:?} later: {}", running.text().contains("Serving on"));
        self.kill(running)?;
        let answer = Request::get(&format!("http://127.0.0.1:{port}/")).send();
        ensure!(answer.is_err(), "somebody still serves");
        Ok(())
    }

    fn kill(&self, running: Running) -> Result<()> {
        let id = running.id();
        let family = processes::descendants(id);
        running.kill()?;
        self.nothing_is_left(&family)
    }

    /// No process and no mount has to do with this store any more. The kernel gets a moment to end what it ends.
    fn nothing_is_left(&self, family: &[Process]) -> Result<()> {
        let home = self.djship.home();
        let left = || -> Vec<Process> {
            let mut left = processes::using(home);
            left.extend(family.iter().filter(|process| processes::is_alive(process)).cloned());
            left
        };
        let gone = await_some(Duration::from_secs(10), || left().is_empty().then_some(()));
        ensure!(gone.is_some(), "these processes are left: {:#?}", left());
        let mounts = processes::mounts(home);
        ensure!(mounts.is_empty(), "these mounts are left: {mounts:#?}");
        Ok(())
    }
}

fn entries(folder: &Path) -> usize {
    fs_err::read_dir(folder).map_or(0, Iterator::count)
}

/// The id in `Image polls:latest (0123456789ab)`.
fn image_id(djship: &Djship, project: &str) -> Result<String> {
    let output = djship.run(["build", project, "-t", "polls"])?.success()?.to_string();
    let line = output.lines().find_map(|line| line.strip_prefix("Image polls:latest ("));
    Ok(line.with_context(|| format!("no image is named\n{output}"))?.trim_end_matches(')').to_owned())
}

/// The kinds of user that there are.
fn users() -> Result<Vec<User>> {
    let mut users = vec![User::current()?];
    for name in [user::WITHOUT_SUBORDINATE_IDS, user::WITH_SUBORDINATE_IDS] {
        users.extend(needs::user(name).ok());
    }
    Ok(users)
}

fn setting(name: &str, otherwise: u64) -> Result<u64> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name} is no number: {text}")),
        Err(_) => Ok(otherwise),
    }
}

fn round(mirror: &DebianMirror, user: &User, expected: &str, rng: &mut Rng) -> Result<()> {
    let project = TempProject::copy_of(polls())?.owned_by(user)?;
    let folder = project.path().to_str().context("a path in UTF-8")?.to_owned();
    let victim = Victim { djship: support::djship(user, mirror)?, mirror, project: folder };
    let mut delay = |most: u64| Duration::from_millis(rng.u64(0..most));
    let delays = [delay(300), delay(1500), delay(8000), delay(1500)];
    victim.kill_build(Moment::Downloading(rng.usize(1..40)), delays[0])?;
    victim.kill_build(Moment::Unpacking(rng.usize(1..90)), delays[1])?;
    victim.kill_build(Moment::Compiling, delays[2])?;
    // Before anybody had the chance to tidy up: what has a name is whole.
    store::verify(victim.djship.home())?;
    let id = timed("  the next build", || image_id(&victim.djship, &victim.project))?;
    ensure!(id == expected, "the image is {id} and should be {expected}");
    let left = store::unfinished(victim.djship.home());
    ensure!(left.is_empty(), "the next build leaves {left:?}");
    victim.kill_server(delays[3], rng)?;
    let id = image_id(&victim.djship, &victim.project)?;
    ensure!(id == expected, "after serving the image is {id} and should be {expected}");
    let left = store::unfinished(victim.djship.home());
    ensure!(left.is_empty(), "after serving there is {left:?}");
    let serving = timed("  the next server", || Serving::start(&victim.djship, &["--try", &victim.project]))?;
    serving.page("/")?;
    serving.stop()?;
    let left = store::unfinished(victim.djship.home());
    ensure!(left.is_empty(), "the next server leaves {left:?}");
    store::verify(victim.djship.home())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn soak_killed_at_random_moments() -> Result<()> {
    let rounds = setting("DJSHIP_SOAK_ROUNDS", 5)?;
    let seed = setting("DJSHIP_SOAK_SEED", fastrand::u64(..))?;
    eprintln!("DJSHIP_SOAK_SEED={seed} DJSHIP_SOAK_ROUNDS={rounds}");
    let mut rng = Rng::with_seed(seed);
    let mirror = DebianMirror::start()?;
    let project = polls();
    let expected = image_id(&sharing(&mirror)?, project.to_str().context("a path in UTF-8")?)?;
    let users = users()?;
    for number in 0..rounds {
        let user = &users[usize::try_from(number)? % users.len()];
        let what = format!("round {} of {rounds} as {}", number + 1, user.name);
        timed(&what, || round(&mirror, user, &expected, &mut rng))
            .with_context(|| format!("{what}, DJSHIP_SOAK_SEED={seed}"))?;
    }
    Ok(())
}

/// A container in which somebody does not want to end.
#[test]
#[ignore = "needs user namespaces and the network"]
fn what_ignores_every_signal_ends_too() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = polls();
    let id = image_id(&djship, project.to_str().context("a path in UTF-8")?)?;
    let code = "import os, signal, time\n\
                [signal.signal(number, signal.SIG_IGN) for number in range(1, 32) if number not in (9, 19)]\n\
                os.fork(); os.setsid() if os.fork() == 0 else None\n\
                print('ready', flush=True); time.sleep(1000)";
    let mut running = djship.start(["run", &id, "--", "python", "-c", code])?;
    running.await_text("ready", SOON)?;
    let family = processes::descendants(running.id());
    let names: BTreeSet<_> = family.iter().map(|process| process.name.as_str()).collect();
    ensure!(family.len() >= 4, "{names:?}");
    running.kill()?;
    let gone =
        await_some(Duration::from_secs(10), || (!family.iter().any(processes::is_alive)).then_some(()));
    if gone.is_none() {
        bail!(
            "these are left: {:#?}",
            family.iter().filter(|process| processes::is_alive(process)).collect::<Vec<_>>()
        );
    }
    Ok(())
}
