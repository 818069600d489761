//! What a project says about its image, and what comes of it.

#![expect(clippy::print_stderr, reason = "tests talk to their developer")]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use djship_testkit::mirror::DebianMirror;
use djship_testkit::{Djship, Output, TempProject, User, need, needs, user};
use rustix::process::Signal;
use support::layout::Layout;
use support::serving::Serving;
use support::ship_project::{FILES, TOKEN, in_place_of};
use support::{SOON, clean, timed};

/// Files in the place of the project's, and what is said.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);

/// The project with some files in the place of its own, for a user without any privilege.
fn project(user: &User, changes: &[(&str, &str)]) -> Result<PathBuf> {
    let project = TempProject::of(FILES)?;
    for (path, text) in changes {
        project.write(path, text)?;
    }
    in_place_of(user, &project, "ship-config")
}

fn build(djship: &Djship, project: &Path, further: &[&str]) -> Result<Output> {
    let folder = project.to_str().context("a path in UTF-8")?;
    timed("build", || djship.run([&["build", folder, "-t", "ship-config"], further].concat()))
}

fn run(djship: &Djship, command: &[&str]) -> Result<Output> {
    let token = format!("BUILD_TOKEN={TOKEN}");
    djship.run([&["run", "ship-config", "-e", &token, "--"], command].concat())
}

fn has(text: &str, parts: &[&str]) -> Result<()> {
    let missing: Vec<_> = parts.iter().filter(|part| !text.contains(*part)).collect();
    ensure!(missing.is_empty(), "{missing:?} is not in\n{text}");
    Ok(())
}

#[test]
#[ignore = "needs user namespaces, a user without privileges and the network"]
fn what_is_said_is_what_ships() -> Result<()> {
    let plain = need!(needs::user(user::WITHOUT_SUBORDINATE_IDS));
    let mirror = DebianMirror::start()?;
    let djship = support::djship(&plain, &mirror)?.sharing_home()?;
    let folder = project(&plain, &[])?;
    let place = TempProject::new()?.owned_by(&plain)?;
    let layout = place.at("layout");
    let output = format!("layout:{}", layout.display());
    let said = build(&djship, &folder, &["-o", &output])?.success()?.stderr;
    has(
        &said,
        &[
            "Dependencies from djship.toml, line 3",
            "Settings shop.settings.live (from djship.toml, line 2)",
            "web: gunicorn djship_serve.wsgi:application --workers 1 (from Procfile, line 1)",
            "`--bind 0.0.0.0:$PORT` gives way",
            "Procfile, line 2: `worker` is no command of the image: `bin/worker.sh` is not among the files that ship",
            "worker: celery -A shop worker --loglevel INFO (from the settings: Celery)",
            "beat: celery -A shop beat",
            "release: echo first && echo released $DJANGO_SETTINGS_MODULE (from Procfile, line 3)",
            "djship.toml (djship's own)",
            "Commands: web, release, clock, worker, beat",
        ],
    )?;
    ensure!(!said.contains("db.sqlite3 (a developer's database)"), "include brings nothing back\n{said}");

    // What builds are given is nowhere.
    let found = Layout::read(&layout)?;
    ensure!(!found.records().contains(TOKEN), "the configuration holds the token");
    for file in found.files()?.iter().flatten() {
        ensure!(!clean::contains(&file.content, TOKEN.as_bytes()), "{} holds the token", file.path);
    }
    // It is necessary all the same, for every command of the project's.
    let refused = djship.run(["run", "ship-config", "--", "clock"])?.exit_code(1)?;
    has(
        &refused.stderr,
        &["cannot start `clock`: 1 necessary variable is not set (or empty):", "BUILD_TOKEN"],
    )?;

    ensure!(run(&djship, &["clock"])?.success()?.stdout == "tick\n");
    let released = run(&djship, &["release"])?.success()?.stdout;
    ensure!(released == "first\nreleased shop.settings.live\n", "{released}");
    // Debian packages of the Aptfile and of the configuration, one of them under the name that it had before.
    let tried = run(&djship, &["jq", "-nr", "\"a\" + \"b\""])?.success()?.stdout;
    ensure!(tried == "ab\n", "{tried}");
    let loads =
        "import ctypes, os; ctypes.CDLL('libssl.so.3'); print(os.path.exists('/app/seed/db.sqlite3'))";
    ensure!(run(&djship, &["python", "-c", loads])?.success()?.stdout == "True\n");

    let mut beat = djship.start(["run", "ship-config", "-e", "BUILD_TOKEN=x", "--", "beat"])?;
    beat.await_text("beat: Starting", SOON)?;
    beat.signal(Signal::INT)?;
    beat.wait(SOON)?;

    let token = format!("BUILD_TOKEN={TOKEN}");
    let serving = Serving::start(&djship, &["ship-config", "-e", &token])?;
    ensure!(serving.page("/")?.text().starts_with("shop.settings.live"));
    serving.style_sheet("/", "site")?;
    serving.stop()?;
    plan_after_a_build(&djship, &folder)
}

/// What only Django can tell is known from the last build, until something changes.
fn plan_after_a_build(djship: &Djship, folder: &Path) -> Result<()> {
    let plan = |further: &[&str]| -> Result<String> {
        let folder = folder.to_str().context("a path in UTF-8")?;
        Ok(djship.run([&["plan", folder], further].concat())?.success()?.stdout)
    };
    let plan: &dyn Fn(&[&str]) -> Result<String> = &plan;
    let document: serde_json::Value = serde_json::from_str(&plan(&["--json"])?)?;
    for (key, value, origin) in [
        ("settings", serde_json::json!("shop.settings.live"), "djship.toml, line 2"),
        ("databases", serde_json::json!({ "default": "sqlite3" }), "the settings, in the last build"),
        ("build-env", serde_json::json!(["BUILD_TOKEN"]), "djship.toml, line 9"),
    ] {
        ensure!(
            document[key]["value"] == value && document[key]["origin"] == origin,
            "{key}: {}",
            document[key]
        );
    }
    // A build that follows closely on a change cannot tell whether more follows.
    build(djship, folder, &[])?.success()?;
    let variables = document["variables"]["value"].as_array().context("no variables")?;
    let token = variables.iter().find(|one| one["name"] == "BUILD_TOKEN").context("no BUILD_TOKEN")?;
    ensure!(token["need"] == "necessary" && token["place"] == "shop/settings/live.py:4", "{token}");
    ensure!(!document.to_string().contains(TOKEN), "the plan shows the token");
    let names = |key: &str| document[key]["value"].as_array().map_or(0, Vec::len);
    ensure!((names("commands"), names("writable")) == (4, 1), "{document}");
    has(&plan(&[])?, &["The last build was ship-config:latest", "nothing has changed since", "jq"])?;
    let said = plan(&["--explain", "server"])?;
    has(
        &said,
        &[
            "+ Procfile, line 1: web: ",
            "+ djship: supplies whitenoise",
            "`commands.web` of the configuration",
        ],
    )?;
    let said = plan(&["--explain", "commands"])?;
    has(
        &said,
        &["`worker` is no command of the image: `bin/worker.sh`", "+ the settings: Celery: worker: celery"],
    )?;
    let unknown =
        djship.run(["plan", "--explain", "pyhton", folder.to_str().unwrap_or_default()])?.exit_code(2)?;
    has(&unknown.stderr, &["There are: name, manage.py, python"])?;
    fs_err::write(folder.join("shop/urls.py"), "urlpatterns = []\n")?;
    has(&plan(&[])?, &["files have changed since"])
}

#[test]
#[ignore = "needs user namespaces, a user without privileges and the network"]
fn the_port_wins_over_what_the_project_binds() -> Result<()> {
    let plain = need!(needs::user(user::WITHOUT_SUBORDINATE_IDS));
    let mirror = DebianMirror::start()?;
    let djship = support::djship(&plain, &mirror)?.sharing_home()?;
    let pyproject = format!(
        "[tool.djship]\nsettings = \"shop.settings.live\"\nstatic = \"none\"\nrequirements = [\"deps/live.txt\", \"deps/tasks.txt\"]\n\
         [tool.djship.commands]\nworker = false\nbeat = false\n[tool.djship.build-env]\nBUILD_TOKEN = \"{TOKEN}\"\n"
    );
    let changes = [
        ("djship.toml", "# empty\n"),
        ("pyproject.toml", pyproject.as_str()),
        ("Procfile", "web: gunicorn shop.wsgi\n"),
        ("gunicorn.conf.py", "bind = '127.0.0.1:1'\nworkers = 1\n"),
        ("Aptfile", ""),
    ];
    let folder = project(&plain, &changes)?;
    let said = build(&djship, &folder, &[])?.success()?.stderr;
    has(&said, &["web: gunicorn shop.wsgi (from Procfile, line 1)", "static = \"none\""])?;
    ensure!(!said.contains("worker:") && !said.contains("Supplied"), "{said}");
    // The project's own file ships, without the value.
    let shipped =
        run(&djship, &["python", "-c", "print(open('/app/pyproject.toml').read())"])?.success()?.stdout;
    has(&shipped, &["settings = \"shop.settings.live\"", "BUILD_TOKEN = \"\""])?;
    let token = format!("BUILD_TOKEN={TOKEN}");
    let serving = Serving::start(&djship, &["ship-config", "-e", &token])?;
    ensure!(serving.page("/")?.text().starts_with("shop.settings.live"));
    serving.stop()?;
    Ok(())
}

#[test]
#[ignore = "needs user namespaces, a user without privileges and the network"]
fn what_cannot_be_is_named_with_its_place() -> Result<()> {
    let plain = need!(needs::user(user::WITHOUT_SUBORDINATE_IDS));
    let mirror = DebianMirror::start()?;
    let djship = support::djship(&plain, &mirror)?.sharing_home()?;
    let cases: &[Case] = &[
        (
            &[("djship.toml", "packages.run = [\"libffi7\"]\n"), ("requirements.txt", "Django==5.2.8\n")],
            &[
                "Cannot use the Debian package `libffi7` in trixie",
                "djship.toml, line 1 asks for it",
                "libffi8",
            ],
        ),
        (
            &[("Aptfile", "jq\n:repo:deb https://example.com/deb stable main\n")],
            &["Aptfile`, line 2", "takes packages from Debian alone"],
        ),
        (
            &[("djship.toml", "setings = \"a\"\n")],
            &["line 1: there is no key `setings`", "Did you mean `settings`?"],
        ),
        (
            &[("djship.toml", "requirements = [\"deps/none.txt\"]\n")],
            &["cannot read `deps/none.txt`: no such file, included by `djship.toml`, line 1"],
        ),
        (
            &[
                ("djship.toml", "python-strict = true\nrequirements = [\"deps/live.txt\"]\n"),
                (".python-version", "3.12"),
            ],
            &["Cannot use Python 3.12", ".python-version, line 1 wishes for it", "djship.toml, line 1"],
        ),
    ];
    let data = project(&plain, &[("djship.toml", "requirements = [\"deps/live.txt\"]\n")])?.join("data/pg");
    fs_err::create_dir_all(&data)?;
    fs_err::set_permissions(&data, std::fs::Permissions::from_mode(0o700))?;
    let folder = data.ancestors().nth(2).context("a project")?;
    let failed = build(&djship, folder, &[])?.exit_code(1)?;
    has(
        &failed.stderr,
        &["Cannot read the folder `data/pg`: it belongs to user 0", "Add `data/pg` to .dockerignore"],
    )?;
    for (changes, parts) in cases {
        let folder = project(&plain, changes)?;
        let failed = build(&djship, &folder, &[])?.exit_code(1)?;
        has(&failed.stderr.replace("Cannot read", "cannot read"), parts)?;
    }
    Ok(())
}
