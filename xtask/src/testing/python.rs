//! Our Python files: the probe and what stands beside it. Tests are `test_*.py` files, run with `unittest`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::counts::Counts;
use super::skips::SkipList;
use crate::workspace::{self, run};

/// What the tests import, which `--setup` puts into an environment below target/.
const DISTRIBUTIONS: [&str; 10] = [
    "Django>=5.2,<5.3",
    "dj-database-url",
    "django-configurations",
    "django-debug-toolbar",
    "django-environ",
    "gunicorn",
    "psycopg2-binary",
    "psycopg[binary]",
    "python-decouple",
    "whitenoise",
];

const ENVIRONMENT: &str = "target/python";

/// Debian's own Python where there is one, as it is what runs the probe in a builder.
fn host_python() -> Option<PathBuf> {
    let debian = PathBuf::from("/usr/bin/python3");
    if debian.is_file() { Some(debian) } else { workspace::find_program("python3") }
}

/// Makes the environment that the tests run in.
pub(crate) fn make_environment() -> Result<()> {
    if test_folders()?.is_empty() {
        println!("there are no Python tests");
        return Ok(());
    }
    let python = host_python().context("cannot find python3")?;
    let environment = workspace::root().join(ENVIRONMENT);
    if !environment.join("bin/python").exists() {
        run(Command::new(python).args(["-m", "venv"]).arg(&environment))?;
    }
    let mut pip = Command::new(environment.join("bin/python"));
    run(pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(DISTRIBUTIONS))
}

/// Runs the tests; with the environment when it was made.
pub(super) fn test(needs_environment: bool, skip_list: &SkipList) -> Result<Counts> {
    let mut counts = Counts::default();
    let environment = workspace::root().join(ENVIRONMENT).join("bin/python");
    let python = if environment.exists() || needs_environment { Some(environment) } else { host_python() };
    let Some(python) = python else {
        println!("SKIP: python3 is not installed: the tests of the probe");
        return Ok(Counts { skipped: 1, ..counts });
    };
    for folder in test_folders()? {
        println!("{folder}");
        let mut unittest = Command::new(&python);
        unittest
            .args(["-B", "-m", "unittest", "discover", "-v", "-s", &folder])
            .current_dir(workspace::root());
        // unittest writes its report to standard error.
        let output = unittest.output().with_context(|| format!("cannot start {}", python.display()))?;
        let report = String::from_utf8_lossy(&output.stderr);
        println!("{}{}", String::from_utf8_lossy(&output.stdout), report.trim_end());
        for (test, reason) in report.lines().filter_map(skipped) {
            skip_list.add(test, reason)?;
        }
        counts.add(from_unittest(&report));
    }
    Ok(counts)
}

/// The test and the reason in a line such as `test_x (mod.Class.test_x) ... skipped 'no server'`.
fn skipped(line: &str) -> Option<(&str, &str)> {
    let (test, reason) = line.split_once(" ... skipped ")?;
    let name = test.rsplit_once('(').map_or(test, |(_, name)| name.trim_end_matches(')'));
    Some((name, reason.trim_matches(['\'', '"'])))
}

/// Reads the two lines with which unittest ends: `Ran 5 tests in 0.1s` and `FAILED (failures=1, skipped=2)`.
fn from_unittest(report: &str) -> Option<Counts> {
    let ran: usize = report
        .lines()
        .find_map(|line| line.strip_prefix("Ran ")?.split_once(" test"))
        .and_then(|(number, _)| number.parse().ok())?;
    let closing = report.lines().rev().find(|line| line.starts_with("OK") || line.starts_with("FAILED"))?;
    let number = |name: &str| -> usize {
        closing
            .split(['(', ',', ')'])
            .find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('=')?.parse().ok())
            .unwrap_or_default()
    };
    let failed = number("failures") + number("errors") + number("unexpected successes");
    // An error outside every test makes more failures than tests.
    let failed = if failed == 0 && !closing.starts_with("OK") { 1 } else { failed };
    // Skipped ones are on the list, and counted from there.
    Some(Counts { passed: ran.saturating_sub(failed), failed, skipped: 0 })
}

/// Folders of the crates with tests in them.
fn test_folders() -> Result<BTreeSet<String>> {
    let files = workspace::tracked_files()?;
    Ok(files.iter().filter_map(|path| test_folder(path)).collect())
}

fn test_folder(path: &str) -> Option<String> {
    let (folder, name) = path.rsplit_once('/')?;
    // Projects in fixtures have tests of their own, which are data here.
    let is_test = name.starts_with("test_")
        && workspace::has_extension(name, "py")
        && folder.starts_with("crates/")
        && !folder.split('/').any(|part| part == "fixtures");
    is_test.then(|| folder.to_owned())
}

/// Compiles every Python file of the crates, to nowhere: a syntax check.
pub(crate) fn compile_all() -> Result<()> {
    const PROGRAM: &str =
        "import sys\nfor path in sys.argv[1:]:\n    compile(open(path, 'rb').read(), path, 'exec')\n";
    let Some(python) = host_python() else {
        println!("python3 is not installed: Python files are not checked");
        return Ok(());
    };
    let mut files = workspace::tracked_files()?;
    files.retain(|path| {
        workspace::has_extension(path, "py")
            && path.starts_with("crates/")
            && !path.split('/').any(|part| part == "fixtures")
    });
    println!("{} files", files.len());
    run(Command::new(python).args(["-B", "-c", PROGRAM]).args(&files).current_dir(workspace::root()))
        .context("a Python file cannot be compiled")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skipped_test_is_listed_with_its_reason() {
        let line = "test_lock (test_serve.ServeTest.test_lock) ... skipped 'no server'";
        assert_eq!(skipped(line), Some(("test_serve.ServeTest.test_lock", "no server")));
        assert_eq!(skipped("test_lock (test_serve.ServeTest.test_lock) ... ok"), None);
    }

    #[test]
    fn closing_lines_of_unittest() {
        let counts = |passed, failed, skipped| Some(Counts { passed, failed, skipped });
        assert_eq!(from_unittest("..\n---\nRan 5 tests in 0.1s\n\nOK (skipped=2)\n"), counts(5, 0, 0));
        assert_eq!(from_unittest("Ran 5 tests in 0.1s\n\nFAILED (failures=1, errors=2)\n"), counts(2, 3, 0));
        assert_eq!(from_unittest("Ran 1 test in 0.1s\n\nOK\n"), counts(1, 0, 0));
        assert_eq!(from_unittest("Traceback"), None);
        assert_eq!(from_unittest("Ran 0 tests in 0.000s\n\nNO TESTS RAN\n"), None);
    }

    #[test]
    fn tests_in_fixtures_are_data() {
        assert_eq!(
            test_folder("crates/djship-django/python/test_probe.py").as_deref(),
            Some("crates/djship-django/python")
        );
        assert_eq!(test_folder("crates/djship-django/tests/fixtures/a/test_views.py"), None);
        assert_eq!(test_folder("examples/polls/polls/test_views.py"), None);
    }
}
