//! `examples/polls`, end to end: built by everybody alike, served, voted on, stopped.

#![expect(clippy::print_stderr, reason = "tests talk to their developer")]

mod support;

use anyhow::{Context as _, Result, ensure};
use djship_testkit::http::Request;
use djship_testkit::mirror::DebianMirror;
use djship_testkit::{Djship, TempProject, User, need, needs, user};
use support::layout::{Layout, difference};
use support::postgres::{self, Postgres};
use support::serving::Serving;
use support::{SECRET_KEY, polls, processes, sharing, store, timed};

/// Builds polls in the shared store, which takes a moment when an earlier test has done it.
fn built() -> Result<(DebianMirror, Djship)> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let folder = polls();
    let folder = folder.to_str().context("a path in UTF-8")?;
    timed("build in the shared store", || djship.run(["build", folder, "-t", "polls"])?.success())?;
    Ok((mirror, djship))
}

/// The image that a user builds from an empty store.
fn build_from_nothing(user: &User, mirror: &DebianMirror) -> Result<(Layout, tempfile::TempDir)> {
    let djship = support::djship(user, mirror)?;
    let project = TempProject::copy_of(polls())?.owned_by(user)?;
    let out = tempfile::Builder::new().prefix("djship-layout-").tempdir()?;
    user.own(out.path())?;
    let folder = out.path().join("layout");
    let folder_text = folder.to_str().context("a path in UTF-8")?;
    let project = project.path().to_str().context("a path in UTF-8")?;
    let output = timed(&format!("build from nothing as {}", user.name), || {
        djship.run(["build", project, "-t", "polls", "-o", &format!("layout:{folder_text}"), "-v"])?.success()
    })?;
    let said = format!("{}{}", output.stdout, output.stderr);
    ensure!(said.contains("No wheel for psycopg2"), "nothing was compiled\n{output}");
    ensure!(store::unfinished(djship.home()).is_empty(), "{:?}", store::unfinished(djship.home()));
    timed("looking at the store", || store::verify(djship.home()))?;
    // Nothing of root's is in an ordinary user's store, and the image has no trace of who made it.
    let layout = Layout::read(&folder)?;
    let id = layout.id.trim_start_matches("sha256:").get(..12).context("a short id")?.to_owned();
    let images = djship.run(["images"])?.success()?;
    ensure!(images.stdout.contains(&id), "the store has another image than {id}\n{images}");
    Ok((layout, out))
}

#[test]
#[ignore = "needs root, the users of `cargo xtask setup` and the network"]
fn everybody_builds_the_same_image_from_nothing() -> Result<()> {
    let with_ranges = need!(needs::user(user::WITH_SUBORDINATE_IDS));
    let without = need!(needs::user(user::WITHOUT_SUBORDINATE_IDS));
    let mirror = DebianMirror::start()?;
    let (first, _first_folder) = build_from_nothing(&User::current()?, &mirror)?;
    ensure!(
        first.diff_ids()?.len() == 4,
        "base, libraries, dependencies, application: {:?}",
        first.diff_ids()?
    );
    for user in [with_ranges, without] {
        let (other, _folder) = build_from_nothing(&user, &mirror)?;
        let same = first.id == other.id && first.diff_ids()? == other.diff_ids()?;
        ensure!(same, "root and {} build different images:\n{}", user.name, difference(&first, &other)?);
    }
    Ok(())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn a_first_look_needs_nothing() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let folder = polls();
    let folder = folder.to_str().context("a path in UTF-8")?;
    let serving = timed("run --try", || Serving::start(&djship, &["--try", folder]))?;
    let list = serving.page("/")?.text();
    ensure!(list.contains("Nobody has asked anything so far."), "{list}");
    serving.page("/admin/login/")?;
    serving.style_sheet("/admin/login/", "/static/admin/css/base")?;
    serving.style_sheet("/", "/static/polls/site")?;
    let said = serving.stop()?.to_string();
    ensure!(said.contains("PostgreSQL on 127."), "{said}");
    ensure!(said.contains("Throw-away values for DATABASE_URL, DJANGO_SECRET_KEY"), "{said}");
    ensure!(store::unfinished(djship.home()).is_empty(), "{:?}", store::unfinished(djship.home()));
    Ok(())
}

/// Creates a poll through Django, and returns its number.
fn create_poll(djship: &Djship, database: &str) -> Result<String> {
    let code = "from polls.models import Poll; poll = Poll.objects.create(question='Tea or coffee?'); \
                [poll.answers.create(text=text) for text in ('Tea', 'Coffee')]; print(f'poll={poll.pk}')";
    let command = ["run", "polls", "-e", SECRET_KEY, "-e", database, "--"];
    let output =
        djship.run(command.iter().chain(&["python", "manage.py", "shell", "-c", code]))?.success()?;
    let number = output.stdout.lines().find_map(|line| line.strip_prefix("poll="));
    Ok(number.with_context(|| format!("no poll was made\n{output}"))?.trim().to_owned())
}

/// The value of the input of that name and kind whose label or value follows.
fn input<'a>(html: &'a str, name: &str) -> Result<&'a str> {
    let tag =
        html.split('<').find(|tag| tag.starts_with("input") && tag.contains(&format!("name=\"{name}\"")));
    let value = tag.and_then(|tag| tag.split_once("value=\"")).and_then(|(_, rest)| rest.split('"').next());
    value.with_context(|| format!("no input `{name}`\n{html}"))
}

#[test]
#[ignore = "needs user namespaces, the network and Debian's postgresql"]
fn votes_outlast_a_restart() -> Result<()> {
    let server = need!(postgres::server());
    let postgres = timed("start of PostgreSQL", || Postgres::start(&server))?;
    let database = postgres.variable();
    let (_mirror, djship) = built()?;
    let arguments = ["polls", "-e", SECRET_KEY, "-e", &database];
    djship.run(["run"].iter().chain(&arguments).chain(&["--", "migrate"]))?.success()?;
    let poll = create_poll(&djship, &database)?;

    let serving = timed("start of the server", || Serving::start(&djship, &arguments))?;
    let list = serving.page("/")?.text();
    ensure!(list.contains("Tea or coffee?") && list.contains("0 votes"), "{list}");
    let page = serving.page(&format!("/{poll}/"))?;
    let cookie = page.cookie("csrftoken").context("no CSRF cookie")?.to_owned();
    let html = page.text();
    let fields =
        [("csrfmiddlewaretoken", input(&html, "csrfmiddlewaretoken")?), ("answer", input(&html, "answer")?)];
    let url = serving.url(&format!("/{poll}/"));
    let forged = Request::post_form(&url, &fields).send()?;
    ensure!(forged.status == 403, "a vote without the cookie has the status {}", forged.status);
    let voted = Request::post_form(&url, &fields).header("Cookie", &format!("csrftoken={cookie}")).send()?;
    let result = format!("/{poll}/result/");
    ensure!(voted.status == 302 && voted.header("location") == Some(&result), "{voted:?}");
    let before = serving.page(&result)?.text();
    ensure!(before.contains("1 vote") && before.contains("100 % (1)"), "{before}");
    serving.stop()?;

    let serving = timed("start after a restart", || Serving::start(&djship, &arguments))?;
    let after = serving.page(&result)?.text();
    ensure!(after.contains("1 vote") && after.contains("100 % (1)"), "{after}");

    // Killed this time: what is in the database is in the database.
    serving.running.kill()?;
    let serving = Serving::start(&djship, &arguments)?;
    ensure!(serving.page("/")?.text().contains("1 vote"), "a vote is gone");
    serving.stop()?;
    Ok(())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn without_its_key_it_stops_at_once_and_names_everything() -> Result<()> {
    let (_mirror, djship) = built()?;
    for command in [&["run", "polls"][..], &["run", "polls", "--", "migrate"]] {
        let output = djship.run(command)?.exit_code(1)?;
        for name in ["DJANGO_SECRET_KEY", "POSTGRES_USER", "POSTGRES_PASSWORD"] {
            ensure!(output.stderr.contains(name), "{name} is not named\n{output}");
        }
        ensure!(output.stderr.contains("set DATABASE_URL in its place"), "{output}");
        ensure!(!output.to_string().contains("Booting worker"), "{output}");
    }
    // With the database only the key is left.
    let output =
        djship.run(["run", "polls", "-e", "DATABASE_URL=postgres://a:b@127.0.0.1:1/c"])?.exit_code(1)?;
    ensure!(output.stderr.contains("DJANGO_SECRET_KEY") && !output.stderr.contains("POSTGRES"), "{output}");
    Ok(())
}

#[test]
#[ignore = "needs user namespaces, the network and Debian's postgresql"]
fn nothing_in_it_is_root_and_any_user_will_do() -> Result<()> {
    let server = need!(postgres::server());
    let postgres = Postgres::start(&server)?;
    let database = postgres.variable();
    let (_mirror, djship) = built()?;
    let arguments = ["polls", "-e", SECRET_KEY, "-e", &database];
    djship.run(["run"].iter().chain(&arguments).chain(&["--user", "12345:0", "--", "migrate"]))?.success()?;
    for user in [&[][..], &["--user", "12345:0"], &["--user", "12345:0", "--read-only"]] {
        let arguments: Vec<_> = arguments.iter().chain(user).copied().collect();
        let serving = timed(&format!("start with {user:?}"), || Serving::start(&djship, &arguments))?;
        serving.page("/admin/login/")?;
        let inside = processes::descendants(serving.running.id());
        // tini, the server and at least one worker.
        ensure!(inside.len() >= 3, "{inside:?}");
        let root: Vec<_> = inside.iter().filter(|process| process.uids.contains(&0)).collect();
        ensure!(root.is_empty(), "these run as root: {root:?}");
        serving.stop()?;
    }
    let code = "import os; print(os.getuid(), os.geteuid(), os.getgid())";
    for (user, expected) in [(&[][..], "1000 1000 1000"), (&["--user", "12345:0"], "12345 12345 0")] {
        let command = [&["run", "polls"], user, &["--", "python", "-c", code]].concat();
        ensure!(djship.run(command)?.success()?.stdout.trim() == expected, "another user than {expected}");
    }
    Ok(())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn one_off_commands_end_as_they_end() -> Result<()> {
    let (_mirror, djship) = built()?;
    let environment = ["-e", SECRET_KEY, "-e", "DATABASE_URL=postgres://a:b@127.0.0.1:1/c"];
    let run = |further: &[&str]| {
        djship.run(["run", "polls"].iter().chain(&environment).chain(&["--"]).chain(further))
    };
    let check = run(&["python", "manage.py", "check", "--deploy"])?.success()?;
    ensure!(check.to_string().contains("System check identified"), "{check}");
    run(&["python", "-c", "import sys; sys.exit(7)"])?.exit_code(7)?;
    run(&["python", "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"])?.exit_code(137)?;
    let missing = run(&["no-such-program"])?.exit_code(127)?;
    ensure!(missing.stderr.contains("no-such-program"), "{missing}");
    run(&["/app/manage.py.no"])?.exit_code(127)?;
    run(&["/app/manage.py/x"])?.exit_code(127)?;
    run(&["/app"])?.exit_code(126)?;
    // What a child prints comes out as it is, on the stream that it used.
    let streams =
        run(&["python", "-c", "import sys; print('one'); print('two', file=sys.stderr)"])?.success()?;
    ensure!(streams.stdout == "one\n" && streams.stderr == "two\n", "{streams}");
    // The image as it is, not changed by anybody: there is no writing to its root.
    let write = run(&["python", "-c", "open('/app/new', 'w')"])?.exit_code(1)?;
    ensure!(write.stderr.contains("Read-only file system"), "{write}");
    Ok(())
}
