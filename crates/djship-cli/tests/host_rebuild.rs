//! What a second build does again and what it does not; containers in the background; the archive.

#![expect(clippy::print_stderr, reason = "tests talk to their developer")]

mod support;

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use djship_testkit::http::Request;
use djship_testkit::mirror::DebianMirror;
use djship_testkit::{Djship, TempProject, need, needs};
use support::{fixture, in_place, serving, sharing, timed};

/// Longer than file systems need to show that a file has changed.
const SETTLED: std::time::Duration = std::time::Duration::from_millis(150);

/// Builds, and returns what was said.
fn build(djship: &Djship, project: &Path, name: &str) -> Result<String> {
    // A file that changed a moment ago is never trusted to be the same: the next build must be able to tell.
    let newest = newest_change(project)?;
    let wait = || newest.elapsed().ok().filter(|age| *age > SETTLED);
    support::await_some(support::SOON, wait);
    let project = project.to_string_lossy();
    let output = timed("build", || djship.run(["build", &project, "-t", name])?.success())?;
    Ok(output.stderr)
}

fn newest_change(folder: &Path) -> Result<std::time::SystemTime> {
    let mut newest = fs_err::metadata(folder)?.modified()?;
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        let time = if path.is_dir() { newest_change(&path)? } else { fs_err::metadata(&path)?.modified()? };
        newest = newest.max(time);
    }
    Ok(newest)
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn a_second_build_redoes_what_read_something_that_changed() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = in_place(&TempProject::copy_of(fixture("beside-manage"))?, "rebuild")?;
    build(&djship, &project, "rebuild")?;
    let nothing = build(&djship, &project, "rebuild")?;
    ensure!(nothing.contains("Nothing has changed since the last build"), "{nothing}");

    let view = project.join("visits/views.py");
    let text = fs_err::read_to_string(&view)?;
    fs_err::write(&view, format!("{text}\n# edited\n"))?;
    let edited = build(&djship, &project, "rebuild")?;
    for kept in ["installed before", "Using what Django said before"] {
        ensure!(edited.contains(kept), "`{kept}` is not in\n{edited}");
    }
    ensure!(edited.contains("Django starts as the run user"), "an edited view is imported again\n{edited}");

    fs_err::write(&view, "def broken(:\n")?;
    let project_text = project.to_string_lossy();
    let broken = djship.run(["build", &project_text, "-t", "rebuild"])?.exit_code(1)?;
    ensure!(broken.stderr.contains("visits/views.py"), "{}", broken.stderr);
    fs_err::write(&view, text)?;

    let style = project.join("visits/static/welcome.css");
    fs_err::write(&style, "body { color: teal }\n")?;
    let restyled = build(&djship, &project, "rebuild")?;
    ensure!(restyled.contains("Collected"), "{restyled}");
    Ok(())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn in_the_background_until_it_is_stopped() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = in_place(&TempProject::copy_of(fixture("beside-manage"))?, "background")?;
    build(&djship, &project, "background")?;
    djship.run(["run", "background", "--name", "in-back", "--", "migrate"])?.success()?;
    let port = serving::free_port()?.to_string();
    let started = djship.run(["run", "-d", "background", "--name", "in-back", "-p", &port])?.success()?;
    ensure!(started.stdout.trim() == "in-back", "{}", started.stdout);
    let status = || -> Result<u16> { Ok(Request::get(&format!("http://127.0.0.1:{port}/")).send()?.status) };
    ensure!(status()? == 200, "it does not serve");
    ensure!(djship.run(["ps"])?.success()?.stdout.contains("in-back"), "ps does not list it");
    let again = djship.run(["run", "-d", "background", "--name", "in-back", "-p", &port])?.exit_code(1)?;
    ensure!(again.stderr.contains("runs already"), "{}", again.stderr);
    ensure!(djship.run(["logs", "in-back"])?.success()?.stdout.contains("unicorn"), "the log is empty");
    djship.run(["stop", "in-back"])?.success()?;
    ensure!(status().is_err(), "it still serves");
    ensure!(!djship.run(["ps"])?.success()?.stdout.contains("in-back"), "ps still lists it");
    djship.run(["stop", "in-back"])?.exit_code(1)?;

    // A one-off with --rm takes away only what it made: the tables are still there.
    djship.run(["run", "--rm", "background", "--name", "in-back", "--", "python", "-V"])?.success()?;
    let count = ["run", "background", "--name", "in-back", "--", "python", "manage.py", "migrate", "--check"];
    djship.run(count)?.success()?;
    for name in ["..", "a/b", "-x"] {
        let option = format!("--name={name}");
        djship.run(["run", &option, "background", "--", "python", "-V"])?.exit_code(2)?;
    }
    Ok(())
}

#[test]
#[ignore = "needs user namespaces, the network and skopeo"]
fn the_archive_is_one_for_docker() -> Result<()> {
    need!(needs::program("skopeo"));
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = in_place(&TempProject::copy_of(fixture("beside-manage"))?, "archive")?;
    let place = tempfile::tempdir()?;
    let file = place.path().join("archive.tar");
    let output = format!("archive:{}", file.display());
    djship.run(["build", &project.to_string_lossy(), "-t", "archived:1", "-o", &output])?.success()?;
    let inspected = Command::new("skopeo")
        .args(["inspect", "--config", &format!("docker-archive:{}", file.display())])
        .output()?;
    let text = String::from_utf8_lossy(&inspected.stdout);
    ensure!(inspected.status.success(), "{}", String::from_utf8_lossy(&inspected.stderr));
    ensure!(text.contains("/opt/djship/start") && text.contains("1000:1000"), "{text}");
    // A slip of the pen makes no folder.
    let nowhere = format!("archive:{}/none/x.tar", place.path().display());
    djship.run(["build", &project.to_string_lossy(), "-t", "archived:1", "-o", &nowhere])?.exit_code(2)?;
    ensure!(!place.path().join("none").exists());
    eprintln!("{} bytes", fs_err::metadata(&file)?.len());
    Ok(())
}
