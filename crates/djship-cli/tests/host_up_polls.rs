//! `examples/polls` in development, end to end, as every kind of user.

#![expect(clippy::print_stderr, reason = "tests talk to their developer")]

mod support;

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use djship_testkit::http::Request;
use djship_testkit::mirror::DebianMirror;
use djship_testkit::{Djship, TempProject, User, need, needs, user};
use support::developing::edit;
use support::environment::{
    Background, Up, files, foreign_files, kept, nothing_is_left, nothing_is_said_to_run, status, typed,
    within,
};
use support::{SOON, await_some, fixture, polls, sharing, timed};

const POLL: &str = "from polls.models import Poll; poll = Poll.objects.create(question='Tea or coffee?'); \
                    [poll.answers.create(text=text) for text in ('Tea', 'Coffee')]; print(f'poll={poll.pk}')";

/// djship for a user, with the store that this user's tests share.
fn djship_of(user: &User, mirror: &DebianMirror) -> Result<Djship> {
    support::djship(user, mirror)?.sharing_home()
}

fn create_poll(djship: &Djship, project: &Path) -> Result<String> {
    let output = within(djship, project, &["manage", "shell", "-c", POLL])?.success()?;
    let number = output.stdout.lines().find_map(|line| line.strip_prefix("poll="));
    Ok(number.with_context(|| format!("no poll was made\n{output}"))?.trim().to_owned())
}

/// Votes through HTTP, and returns the page with the result.
fn vote(port: u16, poll: &str) -> Result<String> {
    let url = format!("http://localhost:{port}/{poll}/");
    let page = Request::get(&url).send()?;
    let cookie = page.cookie("csrftoken").context("no CSRF cookie")?.to_owned();
    let html = page.text();
    let value = |name: &str| -> Result<String> {
        let tag =
            html.split('<').find(|tag| tag.starts_with("input") && tag.contains(&format!("name=\"{name}\"")));
        let value = tag.and_then(|tag| tag.split("value=\"").nth(1)).and_then(|rest| rest.split('"').next());
        Ok(value.with_context(|| format!("no input `{name}`\n{html}"))?.to_owned())
    };
    let (token, answer) = (value("csrfmiddlewaretoken")?, value("answer")?);
    let fields = [("csrfmiddlewaretoken", token.as_str()), ("answer", answer.as_str())];
    let voted = Request::post_form(&url, &fields).header("Cookie", &format!("csrftoken={cookie}")).send()?;
    ensure!(voted.status == 302, "{voted:?}");
    Ok(support::environment::page(port, &format!("/{poll}/result/"))?.text())
}

/// A day with polls: what a developer does, and what then belongs to whom.
fn a_day(user: &User, owner: u32, project: &TempProject, mirror: &DebianMirror) -> Result<()> {
    let djship = djship_of(user, mirror)?;
    let folder = project.path();
    let up = timed("up", || Up::start(&djship, folder, &[]))?;
    ensure!(
        up.page("/")?.text().contains("Nobody has asked anything so far."),
        "the start page is another one"
    );
    let warned = up.running.text().contains("warning: the project belongs to root");
    ensure!(warned == (owner == 0), "{}", up.running.text());
    let before = files(folder)?;
    let poll = create_poll(&djship, folder)?;
    let result = vote(up.port, &poll)?;
    ensure!(result.contains("100 % (1)"), "{result}");

    // Templates and code, live.
    let template = folder.join("polls/templates/polls/list.html");
    let text = fs_err::read_to_string(&template)?;
    fs_err::write(&template, text.replace("What people are asked", "What you are asked"))?;
    up.await_page("/", "What you are asked")?;
    let models = folder.join("polls/models.py");
    let text = fs_err::read_to_string(&models)?;
    let more = "    note = models.TextField(blank=True";
    fs_err::write(
        &models,
        text.replace(
            more,
            &format!("    colour = models.CharField(max_length=20, default='red', editable=False)\n{more}"),
        ),
    )?;
    let made = within(&djship, folder, &["manage", "makemigrations"])?.success()?;
    ensure!(made.stdout.contains("colour"), "{made}");
    within(&djship, folder, &["manage", "migrate"])?.success()?;
    let shown = within(
        &djship,
        folder,
        &["manage", "shell", "-c", "from polls.models import Poll; print(Poll.objects.get().colour)"],
    )?;
    ensure!(shown.success()?.stdout.contains("red"), "the new column is not there");
    let tests = timed("manage test", || within(&djship, folder, &["manage", "test"]))?;
    ensure!(tests.to_string().contains("OK"), "{tests}");
    tests.success()?;

    // What runs, and as whom.
    let id = within(&djship, folder, &["exec", "web", "id", "-u"])?.success()?;
    let expected = if owner == 0 { 1000 } else { owner };
    ensure!(id.stdout.trim() == expected.to_string(), "{id}");
    within(&djship, folder, &["manage", "shell", "-c", "import sys; sys.exit(7)"])?.exit_code(7)?;
    let refused = within(&djship, folder, &["manage", "check", "--tag", "nope"])?.exit_code(1)?;
    ensure!(refused.stderr.contains("nope"), "{refused}");
    let asked = typed(&djship, folder, &["db"], "select question from polls_poll;\n")?.success()?;
    ensure!(asked.stdout.contains("Tea or coffee?"), "{asked}");
    let document = status(&djship, folder)?;
    ensure!(document["url"] == format!("http://localhost:{}", up.port), "{document}");
    let names: Vec<_> =
        document["programs"].as_array().context("programs")?.iter().map(|one| &one["name"]).collect();
    ensure!(names == ["postgres", "web"], "{names:?}");
    let database = document["services"][0]["url"].as_str().unwrap_or_default();
    ensure!(database.starts_with("postgres://"), "{document}");
    let said = within(&djship, folder, &["status"])?.success()?;
    ensure!(said.stdout.contains(database) && said.stdout.contains(".cache/venv/bin/python"), "{said}");
    let logs = within(&djship, folder, &["logs", "web"])?.success()?;
    ensure!(logs.stdout.contains("\"GET / HTTP/1.1\" 200"), "{logs}");
    ensure!(!logs.stdout.contains("postgres |"), "{logs}");
    let logs = within(&djship, folder, &["logs"])?.success()?;
    let said = logs.stdout.contains("web      | ") && logs.stdout.contains("postgres | ");
    ensure!(said && logs.stdout.contains("database system is ready"), "{logs}");
    let second = djship.run(["up", folder.to_str().context("UTF-8")?])?.exit_code(1)?;
    ensure!(second.stderr.contains("runs already") && second.stderr.contains("djship logs"), "{second}");

    let output = up.interrupt()?.to_string();
    ensure!(output.contains("database system is shut down"), "PostgreSQL was not ended properly\n{output}");
    let again = Background::start(&djship, folder)?;
    ensure!(again.page("/")?.text().contains("Tea or coffee?"), "the poll is gone");
    ensure!(again.page(&format!("/{poll}/result/"))?.text().contains("100 % (1)"), "the vote is gone");
    again.down()?;
    nothing_is_left(folder, &[])?;
    nothing_is_said_to_run(&djship, folder)?;

    let foreign = foreign_files(folder, owner)?;
    ensure!(foreign.is_empty(), "these belong to somebody else: {foreign:#?}");
    let new: Vec<_> = files(folder)?.into_iter().filter(|file| !before.contains(file)).collect();
    let asked_for = new.iter().all(|file| file.starts_with("polls/migrations"));
    ensure!(new.len() == 1 && asked_for, "{new:?} appeared");
    ensure!(fs_err::read_to_string(folder.join(".cache/.gitignore"))? == "*\n", "the cache is not ignored");
    ensure!(kept(&djship, "volumes", folder).is_some(), "the data is gone already");
    djship.run(["down", "--volumes", "--yes", folder.to_str().context("UTF-8")?])?.success()?;
    ensure!(kept(&djship, "volumes", folder).is_none(), "the data is still there");
    Ok(())
}

#[test]
#[ignore = "needs the users of `cargo xtask setup` and the network"]
fn a_day_of_a_user_with_subordinate_ids() -> Result<()> {
    let user = need!(needs::user(user::WITH_SUBORDINATE_IDS));
    let project = TempProject::copy_of(polls())?.owned_by(&user)?;
    a_day(&user, user.uid, &project, &DebianMirror::start()?)
}

#[test]
#[ignore = "needs the users of `cargo xtask setup` and the network"]
fn a_day_of_a_user_without_subordinate_ids() -> Result<()> {
    let user = need!(needs::user(user::WITHOUT_SUBORDINATE_IDS));
    let project = TempProject::copy_of(polls())?.owned_by(&user)?;
    a_day(&user, user.uid, &project, &DebianMirror::start()?)
}

#[test]
#[ignore = "needs root, the users of `cargo xtask setup` and the network"]
fn a_day_of_root_in_somebodys_project() -> Result<()> {
    need!(needs::root());
    let owner = need!(needs::user(user::WITHOUT_SUBORDINATE_IDS));
    let project = TempProject::copy_of(polls())?.owned_by(&owner)?;
    a_day(&User::current()?, owner.uid, &project, &DebianMirror::start()?)
}

#[test]
#[ignore = "needs root and the network"]
fn a_day_of_root_in_roots_project() -> Result<()> {
    need!(needs::root());
    let project = TempProject::copy_of(polls())?;
    a_day(&User::current()?, 0, &project, &DebianMirror::start()?)
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn the_database_is_saved_and_restored() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(polls())?;
    let up = Background::start(&djship, project.path())?;
    let poll = create_poll(&djship, project.path())?;
    let file = project.at("before.dump");
    let file = file.to_str().context("UTF-8")?;
    up.within(&["db", "dump", file])?.success()?;
    up.within(&["manage", "shell", "-c", "from polls.models import Poll; Poll.objects.all().delete()"])?
        .success()?;
    ensure!(up.page("/")?.text().contains("Nobody has asked anything so far."), "it is still there");
    let refused = up.within(&["db", "restore", file])?.exit_code(2)?;
    ensure!(refused.stderr.contains("--yes"), "{refused}");
    up.within(&["db", "restore", "--yes", file])?.success()?;
    up.await_page(&format!("/{poll}/"), "Tea or coffee?")?;
    let missing = up.within(&["db", "restore", "--yes", "/no/such/file"])?.exit_code(1)?;
    ensure!(missing.stderr.contains("/no/such/file"), "{missing}");
    // A restart asks whether there is something to migrate, and finds the restored database as it is.
    let project_folder = up.project.clone();
    up.down()?;
    let again = Background::start(&djship, &project_folder)?;
    ensure!(
        again.page(&format!("/{poll}/"))?.text().contains("Tea or coffee?"),
        "it is gone after a restart"
    );
    Ok(())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn changed_requirements_are_installed_by_themselves() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(fixture("dev-sqlite"))?;
    // A module that some code would use if it were there: who has looked once does not look again.
    edit(
        &project.at("days/views.py"),
        "def index",
        "try:\n    import shortuuid\nexcept ImportError:\n    shortuuid = None\n\n\n\
         def identified(request):\n    return HttpResponse(f'uuids: {shortuuid is not None}')\n\n\ndef index",
    )?;
    edit(
        &project.at("diary/urls.py"),
        "urlpatterns = [",
        "urlpatterns = [path('uuid/', views.identified), ",
    )?;
    let up = Background::start(&djship, project.path())?;
    up.await_page("/uuid/", "uuids: False")?;
    let requirements = project.at("requirements/base.txt");
    let text = fs_err::read_to_string(&requirements)?;
    fs_err::write(&requirements, format!("{}\nshortuuid\n", text.trim_end()))?;
    let import = || up.within(&["exec", "web", "python", "-c", "import shortuuid"]).ok()?.success().ok();
    let logs = || up.within(&["logs"]).map(|logs| logs.to_string()).unwrap_or_default();
    await_some(SOON, import).with_context(logs)?;
    up.await_page("/uuid/", "uuids: True")
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn a_cache_of_somebody_else_is_left_alone() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(fixture("dev-sqlite"))?.with(".cache/theirs", "untouched")?;
    let up = Background::start(&djship, project.path())?;
    ensure!(up.page("/")?.text().contains("diary"), "it does not serve");
    let names: Vec<_> =
        fs_err::read_dir(project.at(".cache"))?.filter_map(|entry| Some(entry.ok()?.file_name())).collect();
    ensure!(names == ["theirs"], "{names:?}");
    let document = up.status()?;
    let interpreter = document["interpreter"].as_str().unwrap_or_default().to_owned();
    ensure!(Path::new(&interpreter).starts_with(djship.home()), "{interpreter}");
    Ok(())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn a_breakpoint_is_reached_through_attach() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(fixture("dev-sqlite"))?;
    let up = Background::start(&djship, project.path())?;
    let url = format!("http://localhost:{}/pause/", up.port);
    let answer = std::thread::spawn(move || Request::get(&url).send());
    let waits = || up.within(&["status"]).ok()?.stdout.contains("djship attach web").then_some(());
    await_some(SOON, waits).context("nobody waits in a debugger")?;
    let folder = project.path().to_str().context("UTF-8")?;
    let mut attach = djship.command(["-C", folder, "attach"]);
    attach.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut attach = attach.spawn()?;
    let mut typing = attach.stdin.take().context("a pipe")?;
    std::io::Write::write_all(&mut typing, b"mood = \"changed\"\nc\n")?;
    let answer = answer.join().map_err(|_| anyhow::anyhow!("the request panicked"))??;
    ensure!(answer.text().contains("went on changed"), "{}", answer.text());
    // Ctrl-] leaves the program running.
    std::io::Write::write_all(&mut typing, b"\x1d")?;
    let output = attach.wait_with_output()?;
    ensure!(output.status.success(), "{output:?}");
    ensure!(String::from_utf8_lossy(&output.stdout).contains("mood"), "{output:?}");
    up.page("/")?;
    let gone = || (!up.within(&["status"]).ok()?.stdout.contains("djship attach web")).then_some(());
    await_some(SOON, gone).context("it is still said to wait")
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn commands_work_when_nothing_runs() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = TempProject::copy_of(polls())?;
    let folder = project.path();
    let checked = timed("manage", || within(&djship, folder, &["manage", "migrate"]))?.success()?;
    ensure!(checked.stdout.contains("Applying polls.0001_initial... OK"), "{checked}");
    nothing_is_left(folder, &[])?;
    let down = djship.run(["down", folder.to_str().context("UTF-8")?])?.success()?;
    ensure!(down.stderr.contains("Nothing was running"), "{down}");
    for command in [&["status"][..], &["exec", "web", "true"], &["attach"], &["db"]] {
        let refused = within(&djship, folder, command)?.exit_code(1)?;
        ensure!(refused.stderr.contains("djship up"), "{refused}");
    }
    djship.run(["down", "--volumes", "--yes", folder.to_str().context("UTF-8")?])?.success()?;
    Ok(())
}
