//! Commands beside and without `djship up`: whose services they use, when those end, and what is said of what runs.

#![expect(clippy::print_stderr, reason = "tests talk to their developer")]

mod support;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use djship_testkit::mirror::DebianMirror;
use djship_testkit::{Djship, Running, TempProject};
use rustix::process::Signal;
use support::environment::{Background, Up, nothing_is_left, status, within};
use support::{SOON, await_some, fixture, polls, processes, sharing};

/// Uses the database, waits for a file, and uses it again.
const USE: &str = "import os, time; from polls.models import Poll; Poll.objects.count(); print('first', flush=True)\n\
                   while not os.path.exists('.cache/GO'): time.sleep(0.02)\n\
                   Poll.objects.count(); print('second', flush=True)";

/// `djship manage shell` with a script that goes on when `.cache/NAME` is there.
fn using(djship: &Djship, project: &Path, name: &str) -> Result<Running> {
    let folder = project.to_str().context("UTF-8")?;
    djship.start(["-C", folder, "manage", "shell", "-c", &USE.replace("GO", name)])
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn services_stay_until_the_last_command_has_ended() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(polls())?;
    let folder = project.path();
    within(&djship, folder, &["manage", "migrate"])?.success()?;
    // The next one finds nothing half ended, whatever it is.
    let down = djship.run(["down", folder.to_str().context("UTF-8")?])?.success()?;
    ensure!(down.stderr.contains("Nothing was running"), "{down}");

    // Both at once: one of them brings the services up.
    let mut one = using(&djship, folder, "one")?;
    let mut two = using(&djship, folder, "two")?;
    one.await_text("first", 10 * SOON)?;
    two.await_text("first", 10 * SOON)?;
    let document = status(&djship, folder)?;
    ensure!(document["for_commands"] == true && document["phase"] == "running", "{document}");
    let refused = djship.run(["up", folder.to_str().context("UTF-8")?])?.exit_code(1)?;
    ensure!(refused.stderr.contains("djship manage"), "{refused}");
    fs_err::write(project.at(".cache/one"), "")?;
    let ended = one.wait(SOON)?.success()?;
    ensure!(ended.stdout.contains("second"), "{ended}");
    fs_err::write(project.at(".cache/two"), "")?;
    let ended = two.wait(SOON)?.success()?;
    ensure!(ended.stdout.contains("second"), "{ended}");
    ensure!(status(&djship, folder)?["running"] == false, "the last command did not wait for the end");
    nothing_is_left(folder, &[])?;

    // One that is killed takes its services with it, and no data.
    let mut killed = using(&djship, folder, "three")?;
    killed.await_text("first", 10 * SOON)?;
    killed.kill()?;
    nothing_is_left(folder, &[])?;
    let again = within(&djship, folder, &["manage", "showmigrations", "polls"])?.success()?;
    ensure!(again.stdout.contains("[X] 0001_initial"), "{again}");
    djship.run(["down", "--volumes", "--yes", folder.to_str().context("UTF-8")?])?.success()?;
    Ok(())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn down_ends_what_is_still_starting_before_it_removes_data() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(polls())?;
    let folder = project.path().to_str().context("UTF-8")?;
    for moment in ["Plan", "Services", "Start"] {
        let mut up = djship.start(["up", folder])?;
        up.await_text(moment, 10 * SOON)?;
        let down = djship.run(["down", "--volumes", "--yes", folder])?.success()?;
        ensure!(down.stderr.contains("Removed the data"), "{moment}: {down}");
        let ended = up.wait(SOON)?;
        ensure!(ended.status.code() != Some(1), "{moment}: {ended}");
        nothing_is_left(project.path(), &[])?;
        let left = fs_err::read_dir(djship.home().join("volumes"))?.flatten().any(|entry| {
            let id = entry.file_name().to_string_lossy().into_owned();
            project
                .path()
                .file_name()
                .is_some_and(|name| id.contains(&*name.to_string_lossy().to_lowercase()))
        });
        ensure!(!left, "{moment}: data is left");
    }
    Ok(())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn a_mistake_in_the_code_is_seen_in_the_status_until_it_is_mended() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(fixture("dev-sqlite"))?;
    let up = Background::start(&djship, project.path())?;
    // In the background it has a session of its own, so that no terminal ends it.
    let pid = up.status()?["pid"].as_u64().context("a supervisor")?;
    let stat = fs_err::read_to_string(format!("/proc/{pid}/stat"))?;
    let session =
        stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(3)).context("a session")?;
    ensure!(session == pid.to_string(), "{stat}");

    let web = || -> Result<serde_json::Value> { Ok(up.status()?["programs"][0].clone()) };
    let is = |condition: &str| web().is_ok_and(|web| web["condition"] == condition).then_some(());
    ensure!(is("ready").is_some(), "{}", web()?);
    let views = project.at("days/views.py");
    let text = fs_err::read_to_string(&views)?;
    fs_err::write(&views, format!("{text}\ndef broken(:\n"))?;
    await_some(SOON, || is("not-serving")).with_context(|| format!("{:?}", web()))?;
    let said = || up.within(&["status"]).ok()?.stdout.contains("SyntaxError").then_some(());
    await_some(SOON, said).with_context(|| format!("{:?}", up.within(&["status"])))?;
    let shown = up.within(&["status"])?.success()?;
    ensure!(shown.stdout.contains("not serving") && shown.stdout.contains("djship logs web"), "{shown}");
    fs_err::write(&views, &text)?;
    await_some(SOON, || is("ready")).with_context(|| format!("{:?}", web()))?;
    up.page("/")?;
    ensure!(web()?["output"] == serde_json::json!([]), "{}", web()?);

    let mut attach = djship.command(["-C", project.path().to_str().context("UTF-8")?, "attach"]);
    attach.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut attach = attach.stdout(Stdio::null()).spawn()?;
    std::io::Write::write_all(&mut attach.stdin.take().context("a pipe")?, b"\x1d")?;
    let banner = String::from_utf8_lossy(&attach.wait_with_output()?.stderr).into_owned();
    ensure!(banner.contains("Ctrl-]") && banner.contains("Ctrl-C goes to web"), "{banner}");
    Ok(())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn one_press_while_it_migrates_is_an_orderly_end() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(polls())?.with(
        "polls/migrations/0099_slow.py",
        "import time\nfrom django.db import migrations\n\
         def slow(apps, editor):\n    print('slowly', flush=True)\n    time.sleep(600)\n\
         class Migration(migrations.Migration):\n    dependencies = [('polls', '0001_initial')]\n    \
         operations = [migrations.RunPython(slow)]\n",
    )?;
    let folder = project.path().to_str().context("UTF-8")?;
    let up = djship.start(["up", "-v", folder])?;
    let background = Background::of(&djship, project.path());
    let mut up = up;
    up.await_text("slowly", 10 * SOON)?;
    let family = processes::descendants(up.id());
    // As an impatient developer does it: nothing of that is meant for the database.
    up.signal(Signal::INT)?;
    std::thread::sleep(Duration::from_millis(5));
    up.signal(Signal::TERM)?;
    let output = up.wait(SOON)?.exit_code(130)?;
    nothing_is_left(project.path(), &family)?;
    ensure!(output.to_string().contains("database system is shut down"), "{output}");
    fs_err::remove_file(project.at("polls/migrations/0099_slow.py"))?;
    let again = Up::start(&djship, project.path(), &[])?;
    let logs = within(&djship, project.path(), &["logs", "postgres"])?.to_string();
    ensure!(!logs.contains("not properly shut down"), "{logs}");
    again.interrupt()?;
    drop(background);
    Ok(())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn output_that_nobody_reads_stops_nothing() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(fixture("dev-sqlite"))?;
    let urls = fs_err::read_to_string(project.at("diary/urls.py"))?;
    // More than a pipe and all queues hold, before the first page.
    let chatty = "for number in range(30000):\n    print('line', number)\nprint('all said', flush=True)\n";
    fs_err::write(project.at("diary/urls.py"), format!("{urls}\n{chatty}"))?;
    let background = Background::of(&djship, project.path());
    let mut up = djship.command(["up", project.path().to_str().context("UTF-8")?]);
    let mut up = up.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let running = || (background.status().ok()?["phase"] == "running").then_some(());
    let logs = || {
        background.within(&["logs", "web", "--tail", "20"]).map(|logs| logs.to_string()).unwrap_or_default()
    };
    await_some(10 * SOON, running).with_context(logs)?;
    let said = background.within(&["logs", "web"])?.success()?;
    ensure!(said.stdout.contains("line 29999") && said.stdout.contains("all said"), "{}", logs());
    let pid = rustix::process::Pid::from_raw(i32::try_from(up.id())?).context("a process")?;
    rustix::process::kill_process(pid, Signal::INT)?;
    let Some(ended) = await_some(SOON, || up.try_wait().ok().flatten()) else {
        up.kill()?;
        anyhow::bail!("it does not end while nobody reads");
    };
    ensure!(ended.code() == Some(130), "{ended}");
    nothing_is_left(project.path(), &[])
}
