//! Removing what is stored: nothing that is needed goes, nothing else stays, and nobody who works beside it notices.

#![expect(clippy::print_stderr, reason = "tests talk to their developer")]

mod support;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use djship_testkit::mirror::DebianMirror;
use djship_testkit::{Djship, TempProject, User, cache};
use serde_json::Value;
use support::environment::{Background, kept};
use support::serving::Serving;
use support::{SOON, await_some, fixture, in_place, polls, store, timed};

const NOTHING_CHANGED: &str = "Nothing has changed since the last build";
/// Longer than file systems need to show that a file has changed.
const SETTLED: Duration = Duration::from_millis(150);
/// Every bucket of the store.
const BUCKETS: [&str; 9] = [
    "blobs-v1",
    "packages-v1",
    "roots-v1",
    "layers-v1",
    "outputs-v1",
    "images-v1",
    "indexes-v1",
    "bytecode-v1",
    "facts-v1",
];

/// djship with a home of these tests alone: they empty it.
fn own_home(mirror: &DebianMirror) -> Result<Djship> {
    let home = cache::cache_dir()?.join("home-prune");
    fs_err::create_dir_all(&home)?;
    Ok(support::djship(&User::current()?, mirror)?.home_at(home))
}

fn build(djship: &Djship, project: &Path, name: &str) -> Result<String> {
    let folder = project.to_str().context("a path in UTF-8")?;
    Ok(timed("build", || djship.run(["build", folder, "-t", name])?.success())?.stderr)
}

/// Waits until a build may trust the times of the project's files.
fn settle(project: &Path) -> Result<()> {
    let mut newest = SystemTime::UNIX_EPOCH;
    for path in support::environment::files(project)? {
        newest = newest.max(fs_err::symlink_metadata(project.join(path))?.modified()?);
    }
    let old = await_some(SOON, || newest.elapsed().ok().filter(|age| *age > SETTLED));
    old.map(drop).context("the project's files are from the future")
}

/// Removes the images of the other tests.
fn without_images(djship: &Djship) -> Result<()> {
    let listed = djship.run(["images"])?.success()?.stdout;
    let names: Vec<_> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    if !names.is_empty() {
        djship.run(["rmi"].iter().chain(&names))?.success()?;
    }
    Ok(())
}

/// What `djship cache prune --json` says.
fn prune(djship: &Djship, arguments: &[&str]) -> Result<Value> {
    let all = ["cache", "prune", "--json"].iter().chain(arguments);
    let output = timed("prune", || djship.run(all)?.success())?;
    serde_json::from_str(&output.stdout).with_context(|| output.to_string())
}

/// The id in `Image polls:latest (0123456789ab)`.
fn image_id(said: &str) -> Result<String> {
    let images = said.lines().filter_map(|line| line.strip_prefix("Image ")?.split_once(" ("));
    let mut ids = images.filter_map(|(_, rest)| rest.strip_suffix(')'));
    let id = ids.find(|id| id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    Ok(id.with_context(|| format!("no image is named\n{said}"))?.to_owned())
}

/// Entries of all buckets, by their names.
fn entries(home: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for bucket in BUCKETS {
        let mut folders = vec![home.join(bucket)];
        while let Some(folder) = folders.pop() {
            for entry in fs_err::read_dir(&folder).into_iter().flatten() {
                let path = entry?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                match name.len() {
                    64 => found.push(path),
                    2 => folders.push(path),
                    _ => {}
                }
            }
        }
    }
    Ok(found)
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn what_is_needed_stays_and_nothing_else_does() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = own_home(&mirror)?;
    without_images(&djship)?;
    let project = in_place(&TempProject::copy_of(polls())?, "prune-polls")?;
    settle(&project)?;
    let first = build(&djship, &project, "prune-polls")?;
    let id = image_id(&first)?;
    let again = build(&djship, &project, "prune-polls")?;
    ensure!(again.contains(NOTHING_CHANGED), "{again}");

    // What was just used is young.
    let before = entries(djship.home())?.len();
    prune(&djship, &[])?;
    ensure!(entries(djship.home())?.len() == before, "something young has gone");
    let unchanged = build(&djship, &project, "prune-polls")?;
    ensure!(unchanged.contains(NOTHING_CHANGED), "{unchanged}");

    // Only what the image needs.
    let would = prune(&djship, &["--all", "--dry-run"])?;
    ensure!(entries(djship.home())?.len() == before, "a dry run has removed something");
    let did = prune(&djship, &["--all"])?;
    ensure!(would["removed"] == did["removed"] && would["bytes"] == did["bytes"], "{would}\n{did}");
    ensure!(did["bytes"].as_u64() > Some(10_000_000), "{did}");
    let left = entries(djship.home())?;
    ensure!(left.len() < before && left.len() <= 8, "{left:#?}");
    store::verify(djship.home())?;
    let unchanged = build(&djship, &project, "prune-polls")?;
    ensure!(unchanged.contains(NOTHING_CHANGED), "{unchanged}");
    let version = djship.run(["run", "prune-polls", "--", "python", "-c", "import django; print('runs')"]);
    ensure!(version?.success()?.stdout.contains("runs"));

    let listed: Value = serde_json::from_str(&djship.run(["cache", "--json"])?.success()?.stdout)?;
    let layers = listed["kinds"].as_array().context("kinds")?.iter().find(|kind| kind["name"] == "layers");
    ensure!(layers.context("layers")?["bytes"].as_u64() > Some(20_000_000), "{listed}");

    djship.run(["rmi", "prune-polls"])?.success()?;
    djship.run(["rmi", "prune-polls"])?.exit_code(1)?;
    prune(&djship, &["--all"])?;
    let left = entries(djship.home())?;
    ensure!(left.is_empty(), "{left:#?}");
    let built = build(&djship, &project, "prune-polls")?;
    ensure!(image_id(&built)? == id, "another image than {id}:\n{built}");
    store::verify(djship.home())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn images_go_by_name_and_by_id_but_not_while_they_run() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = own_home(&mirror)?;
    let project = in_place(&TempProject::copy_of(fixture("beside-manage"))?, "prune-images")?;
    // Another image than those of the other tests.
    let view = project.join("visits/views.py");
    fs_err::write(&view, format!("{}\n# images\n", fs_err::read_to_string(&view)?))?;
    let said = build(&djship, &project, "prune-images:1")?;
    let id = image_id(&said)?;
    build(&djship, &project, "prune-images:2")?;
    let several = djship.run(["rmi", &id])?.exit_code(1)?;
    ensure!(several.stderr.contains("it has 2 names") && several.stderr.contains("--force"), "{several}");
    let untagged = djship.run(["rmi", "prune-images:1"])?.success()?;
    ensure!(untagged.stdout.contains("Untagged") && untagged.stdout.contains("other names"), "{untagged}");

    djship.run(["run", "prune-images:2", "--name", "prune-images", "--", "migrate"])?.success()?;
    let serving = Serving::start(&djship, &["prune-images:2", "--name", "prune-images"])?;
    for wanted in ["prune-images:2", &id] {
        let refused = djship.run(["rmi", "--force", wanted])?.exit_code(1)?;
        ensure!(refused.stderr.contains("a container runs on it"), "{refused}");
        ensure!(refused.stderr.contains("`prune-images`"), "{refused}");
    }
    // Not even a prune of everything takes away what somebody runs.
    prune(&djship, &["--all"])?;
    serving.page("/")?;
    serving.style_sheet("/", "")?;
    serving.stop()?;
    djship.run(["rmi", &id, "no-such-image"])?.exit_code(1)?;
    let left = djship.run(["images"])?.success()?.stdout;
    ensure!(!left.contains("prune-images"), "{left}");
    Ok(())
}

/// A prune of everything, again and again, beside builds that find and make what it would remove.
#[test]
#[ignore = "needs user namespaces and the network"]
fn builds_beside_prunes_lose_nothing() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = own_home(&mirror)?;
    let project = in_place(&TempProject::copy_of(fixture("beside-manage"))?, "prune-beside")?;
    let done = std::sync::atomic::AtomicBool::new(false);
    let (prunes, effective) = std::thread::scope(|scope| -> Result<(usize, usize)> {
        let pruning = scope.spawn(|| -> Result<(usize, usize)> {
            let (mut count, mut effective) = (0, 0);
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let output = djship.run(["cache", "prune", "--all"])?.success()?;
                count += 1;
                effective += usize::from(output.stderr.contains("Removed"));
            }
            Ok((count, effective))
        });
        let builds = || -> Result<()> {
            for round in 0..3 {
                let view = project.join("visits/views.py");
                let text = fs_err::read_to_string(&view)?;
                fs_err::write(&view, format!("{text}\n# round {round}\n"))?;
                build(&djship, &project, "prune-beside")?;
                let check = ["run", "prune-beside", "--", "python", "manage.py", "check"];
                djship.run(check)?.success()?;
            }
            Ok(())
        };
        let built = builds();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        let count = pruning.join().map_err(|_| anyhow::anyhow!("the pruning thread panicked"))?;
        built?;
        count
    })?;
    eprintln!("{prunes} prunes, {effective} of which removed something");
    ensure!(prunes > 3 && effective > 0, "only {effective} of {prunes} prunes removed something");
    store::verify(djship.home())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn a_prune_that_is_killed_leaves_a_whole_store() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = own_home(&mirror)?;
    let project = in_place(&TempProject::copy_of(fixture("beside-manage"))?, "prune-killed")?;
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    for round in 0..3 {
        build(&djship, &project, "prune-killed")?;
        let before = entries(djship.home())?.len();
        djship.run(["rmi", "prune-killed"])?.success()?;
        let mut running = djship.start(["cache", "prune", "--all"])?;
        let begun = || {
            let ended = running.has_ended().unwrap_or(true);
            (ended || entries(djship.home()).map_or(0, |left| left.len()) < before).then_some(())
        };
        await_some(SOON, begun).context("it removes nothing")?;
        std::thread::sleep(Duration::from_millis(rng.u64(0..1500)));
        running.kill()?;
        let left = entries(djship.home())?.len();
        eprintln!("  round {round}: {left} of {before} entries left");
        ensure!(left < before, "nothing was removed");
        store::verify(djship.home())?;
        djship.run(["images"])?.success()?;
        let unfinished = store::unfinished(djship.home());
        ensure!(unfinished.is_empty(), "{unfinished:#?}");
    }
    build(&djship, &project, "prune-killed")?;
    djship.run(["run", "prune-killed", "--", "python", "manage.py", "check"])?.success()?;
    store::verify(djship.home())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn an_environment_keeps_what_it_needs_until_its_folder_is_gone() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = own_home(&mirror)?;
    let project = in_place(&TempProject::copy_of(polls())?, "prune-up")?;
    let up = timed("up", || Background::start(&djship, &project))?;
    let volumes = || -> Result<Vec<Value>> {
        let output = djship.run(["volumes", "--json"])?.success()?;
        let document: Value = serde_json::from_str(&output.stdout)?;
        let all = document["volumes"].as_array().context("volumes")?.clone();
        Ok(all.into_iter().filter(|volume| volume["project"].as_str() == project.to_str()).collect())
    };
    let found = volumes()?;
    ensure!(found.len() == 1 && found[0]["service"] == "postgres", "{found:#?}");
    ensure!(found[0]["in_use"] == true && found[0]["project_exists"] == true, "{found:#?}");
    ensure!(found[0]["bytes"].as_u64() > Some(1_000_000), "{found:#?}");
    let name = found[0]["name"].as_str().context("a name")?.to_owned();
    let refused = djship.run(["volumes", "rm", &name, "--yes"])?.exit_code(1)?;
    ensure!(refused.stderr.contains("it is in use"), "{refused}");
    let listed = djship.run(["volumes"])?.success()?.stdout;
    ensure!(listed.contains(&name) && listed.contains("in use"), "{listed}");

    // While it runs, and after it has ended, an image or not.
    prune(&djship, &["--all"])?;
    up.page("/")?;
    up.within(&["manage", "check"])?.success()?;
    up.down()?;
    prune(&djship, &["--all"])?;
    let roots = fs_err::read_dir(djship.home().join("roots-v1"))?.count();
    ensure!(roots >= 2, "its roots are gone");
    mirror.take_requests();
    let again = timed("up again", || Background::start(&djship, &project))?;
    let fetched = mirror.take_requests();
    ensure!(fetched.iter().all(|path| !path.contains("pool/")), "{fetched:#?}");
    again.page("/")?;
    again.down()?;

    fs_err::remove_dir_all(&project)?;
    let asked = djship.run(["volumes", "rm", "--orphaned"])?.exit_code(2)?;
    ensure!(asked.stderr.contains("--yes") && asked.stderr.contains(&name), "{asked}");
    prune(&djship, &["--all"])?;
    let state = kept(&djship, "environments", &project).context("whose the volume is must be kept")?;
    ensure!(!state.join("logs").exists() && !state.join("home").exists(), "its state is left");
    let found = volumes()?;
    ensure!(found.len() == 1 && found[0]["project_exists"] == false, "{found:#?}");
    let removed = djship.run(["volumes", "rm", "--orphaned", "--yes"])?.success()?;
    ensure!(removed.stdout.contains(&name), "{removed}");
    ensure!(volumes()?.is_empty() && kept(&djship, "volumes", &project).is_none());
    prune(&djship, &["--all"])?;
    ensure!(kept(&djship, "environments", &project).is_none(), "its state is left");
    djship.run(["volumes", "rm", &name, "--yes"])?.exit_code(1)?;
    Ok(())
}
