//! Locks of Poetry, Pipenv, PDM and `pylock.toml`, made by the real tools, in production and in development.

#![expect(clippy::print_stderr, reason = "tests talk to their developer")]

mod support;

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use djship_testkit::mirror::DebianMirror;
use djship_testkit::{Djship, TempProject};
use support::environment::Background;
use support::lock_tools::{self, LockTool};
use support::serving::Serving;
use support::{fixture, in_place, sharing, timed};

/// What the page of the fixtures shows.
const PRODUCTION: &str = "Django 5.2.19; bcrypt; tally 42";
/// The same with the group for development.
const DEVELOPMENT: &str = "Django 5.2.19; bcrypt iniconfig; tally 42";

/// Builds and serves.
fn serves(djship: &Djship, project: &Path, name: &str) -> Result<String> {
    let folder = project.to_str().context("a path in UTF-8")?;
    let said = timed(&format!("build of {name}"), || djship.run(["build", folder, "-t", name])?.success())?;
    let serving = Serving::start(djship, &[name])?;
    let page = serving.page("/")?.text();
    ensure!(page == PRODUCTION, "the page shows: {page}");
    serving.stop()?;
    Ok(said.to_string())
}

/// Refuses to build, and names the command that makes the lock new.
fn refuses(djship: &Djship, project: &Path, lock: &str, command: &str) -> Result<()> {
    let output = djship.run(["build", project.to_str().context("a path in UTF-8")?])?.exit_code(1)?;
    let text = output.to_string();
    ensure!(text.contains(lock) && text.contains(command) && text.contains("has changed"), "{text}");
    Ok(())
}

fn shows_in_development(djship: &Djship, project: &Path) -> Result<()> {
    let up = timed("up", || Background::start(djship, project))?;
    let page = up.page("/")?.text();
    ensure!(page == DEVELOPMENT, "the page shows: {page}");
    Ok(())
}

/// Adds the index of this machine, as its lock would not know one otherwise.
fn with_index(project: &Path) -> Result<()> {
    let file = project.join("pyproject.toml");
    let text = fs_err::read_to_string(&file)?;
    let source = format!(
        "\n[[tool.poetry.source]]\nname = \"index\"\nurl = \"{}/\"\npriority = \"primary\"\n",
        lock_tools::index()?
    );
    Ok(fs_err::write(file, text + &source)?)
}

fn edit(project: &Path, file: &str, from: &str, to: &str) -> Result<()> {
    let text = fs_err::read_to_string(project.join(file))?;
    ensure!(text.contains(from), "{file} has no `{from}`");
    Ok(fs_err::write(project.join(file), text.replace(from, to))?)
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn poetry_in_both_formats() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = in_place(&TempProject::copy_of(fixture("lock-poetry"))?, "lock-poetry")?;
    with_index(&project)?;
    for tool in [LockTool::Poetry1, LockTool::Poetry2] {
        timed("lock", || tool.lock(&project))?;
        let said = serves(&djship, &project, "lock-poetry")?;
        let is_said = said.contains("tally (libs/tally)") || said.contains("installed before");
        ensure!(is_said, "what has no hash is not said\n{said}");
    }
    shows_in_development(&djship, &project)?;
    edit(&project, "pyproject.toml", "iniconfig = \"*\"", "iniconfig = \"*\"\ntoolz = \"*\"")?;
    ensure!(!LockTool::Poetry2.finds_current(&project)?, "Poetry itself finds the lock current");
    refuses(&djship, &project, "poetry.lock", "poetry lock")
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn pipenv() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = in_place(&TempProject::copy_of(fixture("lock-pipenv"))?, "lock-pipenv")?;
    timed("lock", || LockTool::Pipenv.lock(&project))?;
    serves(&djship, &project, "lock-pipenv")?;
    shows_in_development(&djship, &project)?;
    edit(&project, "Pipfile", "[dev-packages]\n", "[dev-packages]\ntoolz = \"*\"\n")?;
    ensure!(!LockTool::Pipenv.finds_current(&project)?, "Pipenv itself finds the lock current");
    refuses(&djship, &project, "Pipfile.lock", "pipenv lock")
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn pdm() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = in_place(&TempProject::copy_of(fixture("lock-pdm"))?, "lock-pdm")?;
    timed("lock", || LockTool::Pdm.lock(&project))?;
    serves(&djship, &project, "lock-pdm")?;
    shows_in_development(&djship, &project)?;
    edit(&project, "pyproject.toml", "more = [\"toolz\"]", "more = [\"toolz<99\"]")?;
    ensure!(!LockTool::Pdm.finds_current(&project)?, "PDM itself finds the lock current");
    refuses(&djship, &project, "pdm.lock", "pdm lock")
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn pylock_and_the_uv_lock_that_it_comes_from() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = in_place(&TempProject::copy_of(fixture("lock-pylock"))?, "lock-pylock")?;
    LockTool::Uv.lock(&project)?;
    let export = ["export", "--format", "pylock.toml", "--no-dev", "--output-file", "pylock.toml"];
    let output = LockTool::Uv.run(&project, &export)?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = serves(&djship, &project, "lock-uv")?;
    ensure!(said.contains("pylock.toml not used"), "{said}");
    edit(&project, "pyproject.toml", "more = [\"toolz\"]", "more = [\"toolz<99\"]")?;
    ensure!(!LockTool::Uv.finds_current(&project)?, "uv itself finds the lock current");
    refuses(&djship, &project, "uv.lock", "uv lock")?;
    fs_err::remove_file(project.join("uv.lock"))?;
    serves(&djship, &project, "lock-pylock")?;
    Ok(())
}

/// A manifest and what is changed in it: some of it counts for the tool's hash, some does not.
struct Case {
    tool: LockTool,
    file: &'static str,
    text: &'static str,
    changes: &'static [(&'static str, &'static str)],
}

const POETRY: &str = "[tool.poetry]\nname = \"x\"\nversion = \"1\"\ndescription = \"é ü\"\nauthors = []\n\
    [tool.poetry.dependencies]\npython = \"^3.11\"\ndjango = {version = \"^5.2\", extras = [\"argon2\"], optional = false}\n\
    [tool.poetry.group.dev]\noptional = true\n[tool.poetry.group.dev.dependencies]\niniconfig = \"*\"\n[tool.poetry.scripts]\nserve = \"x:y\"\n";
const PROJECT: &str = "[project]\nname = \"x\"\nversion = \"1\"\nrequires-python = \">=3.11,<4\"\ndescription = \"é ü\"\n\
    dependencies = [\"django>=5.2,<6 ; python_version > '3'\"]\n[project.optional-dependencies]\nmore = [\"toolz\"]\n\
    [dependency-groups]\ndev = [\"iniconfig\", {include-group = \"lint\"}]\nlint = [\"toolz>0.1\"]\n[tool.other]\nx = 1.5\n";
const PIPFILE: &str = "[packages]\ndjango = {version = \"~=5.2\", extras = [\"argon2\"]}\n[dev-packages]\n\"iniconfig\" = \"*\"\n\
    [docs]\ntoolz = \"*\"\n[scripts]\nserve = \"é\"\n[pipenv]\nallow_prereleases = false\n";

const PROJECT_EDITS: &[(&str, &str)] = &[
    ("é ü", "other"),
    ("django>=5.2,<6", "django>=5.2,<5.3"),
    (">=3.11,<4", ">=3.11,<3.99"),
    ("[\"toolz\"]", "[\"toolz\", \"iniconfig\"]"),
    ("toolz>0.1", "toolz>0.2"),
    ("x = 1.5", "x = 2.5"),
];

const CASES: &[Case] = &[
    Case {
        tool: LockTool::Poetry1,
        file: "pyproject.toml",
        text: POETRY,
        changes: &[
            ("é ü", "other"),
            ("^5.2", "^5.1"),
            ("optional = true", "optional = false"),
            ("x:y", "x:z"),
            ("iniconfig", "toolz"),
        ],
    },
    Case {
        tool: LockTool::Poetry2,
        file: "pyproject.toml",
        text: POETRY,
        changes: &[("^5.2", "^5.1"), ("iniconfig", "toolz"), ("x:y", "x:z")],
    },
    Case { tool: LockTool::Poetry2, file: "pyproject.toml", text: PROJECT, changes: PROJECT_EDITS },
    Case { tool: LockTool::Pdm, file: "pyproject.toml", text: PROJECT, changes: PROJECT_EDITS },
    Case { tool: LockTool::Uv, file: "pyproject.toml", text: PROJECT, changes: PROJECT_EDITS },
    Case {
        tool: LockTool::Pipenv,
        file: "Pipfile",
        text: PIPFILE,
        changes: &[
            ("~=5.2", "~=5.1"),
            ("é", "other"),
            ("argon2", "bcrypt"),
            ("[docs]\ntoolz", "[docs]\niniconfig"),
            ("prereleases = false", "prereleases = true"),
        ],
    },
];

#[test]
#[ignore = "needs the network"]
fn a_lock_is_stale_when_its_own_tool_says_so() -> Result<()> {
    let djship =
        Djship::with_binary(Path::new(env!("CARGO_BIN_EXE_djship")), &djship_testkit::User::current()?)?;
    let manage_py = fs_err::read_to_string(fixture("lock-pdm").join("manage.py"))?;
    let mut differences = Vec::new();
    for Case { tool, file, text, changes } in CASES {
        let project = TempProject::of(&[("manage.py", &manage_py), (file, text)])?;
        if matches!(tool, LockTool::Poetry1 | LockTool::Poetry2) {
            with_index(project.path())?;
        }
        let text = fs_err::read_to_string(project.at(file))?;
        tool.lock(project.path()).with_context(|| format!("{tool:?}"))?;
        for (from, to) in [("", "")].iter().chain(*changes) {
            let changed = if from.is_empty() { text.clone() } else { text.replace(from, to) };
            ensure!(from.is_empty() || changed != text, "{from} is not there");
            project.write(file, &changed)?;
            let theirs = tool.finds_current(project.path())?;
            let output = djship.run(["plan", project.path().to_str().context("UTF-8")?])?;
            let ours = !output.to_string().contains("has changed since it was made");
            eprintln!("{tool:?} {from:?}: {}", if theirs { "current" } else { "stale" });
            if ours != theirs || ours != output.status.success() {
                differences.push(format!("{tool:?}, {from:?} to {to:?}: theirs {theirs}, {output}"));
            }
        }
    }
    ensure!(differences.is_empty(), "{}", differences.join("\n"));
    Ok(())
}
