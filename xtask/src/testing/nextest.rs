//! The Rust tests, by cargo-nextest where it is installed.

use anyhow::{Context as _, Result, bail};

use super::counts::{Counts, from_libtest};
use super::doctests::tee;
use super::skips::SkipList;
use super::{CACHE_FOLDER, CACHE_VARIABLE};
use crate::workspace::{self, cargo};

/// Runs those that need nothing but a Rust toolchain, or all of them.
pub(super) fn test(all: bool, filters: &[String], skip_list: &SkipList) -> Result<Counts> {
    let cache = workspace::root().join(CACHE_FOLDER);
    fs_err::create_dir_all(&cache)?;
    let environment = [(super::skips::VARIABLE, skip_list.path()), (CACHE_VARIABLE, cache.as_path())];
    if !workspace::has_cargo_command("nextest") {
        println!(
            "cargo-nextest is not installed: using `cargo test`, without time limits and one test at a time"
        );
        let mut command =
            cargo(&["test", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast", "--"]);
        command
            .arg("--test-threads=1")
            .args(all.then_some("--include-ignored"))
            .args(filters)
            .envs(environment);
        let (success, output) = tee(&mut command)?;
        return judge(success, from_libtest(&output));
    }
    let profile = if workspace::is_ci() { "ci" } else { "default" };
    let report = workspace::root().join("target/nextest").join(profile).join("junit.xml");
    // A report of an earlier run must not be taken for this one's.
    match fs_err::remove_file(&report) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let mut command = cargo(&["nextest", "run", "--workspace", "--no-fail-fast", "--profile", profile]);
    if all {
        command.args(["--run-ignored", "all"]);
    }
    let status = command.args(filters).envs(environment).status().context("cannot start cargo nextest")?;
    let counts = match fs_err::read_to_string(&report) {
        Ok(text) => from_junit(&text).with_context(|| format!("cannot read {}", report.display()))?,
        Err(_) => bail!("cargo nextest ended ({status}) before any test ran"),
    };
    judge(status.success(), counts)
}

fn judge(success: bool, counts: Counts) -> Result<Counts> {
    if !success && counts.failed == 0 {
        bail!("no test failed, but the run did");
    }
    Ok(counts)
}

/// Reads the totals of a JUnit report, which stand in its first element.
fn from_junit(report: &str) -> Result<Counts> {
    let start = report.find("<testsuites").context("no <testsuites> element")?;
    let element = report[start..].split('>').next().unwrap_or_default();
    let number = |name: &str| -> Result<usize> {
        let value = element.split(&format!(" {name}=\"")).nth(1).and_then(|rest| rest.split('"').next());
        value
            .with_context(|| format!("no attribute {name}"))?
            .parse()
            .with_context(|| format!("attribute {name}"))
    };
    let failed = number("failures")? + number("errors")?;
    Ok(Counts { passed: number("tests")?.saturating_sub(failed), failed, skipped: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_of_a_junit_report() {
        let report = "<?xml version=\"1.0\"?>\n<testsuites name=\"nextest-run\" tests=\"12\" failures=\"1\" errors=\"2\" uuid=\"x\">\n";
        assert_eq!(from_junit(report).unwrap(), Counts { passed: 9, failed: 3, skipped: 0 });
        assert!(from_junit("<testsuite tests=\"1\">").is_err());
    }

    #[test]
    fn a_run_that_fails_without_a_failed_test_is_an_error() {
        assert!(judge(false, Counts { passed: 3, failed: 0, skipped: 0 }).is_err());
        assert!(judge(false, Counts { passed: 3, failed: 1, skipped: 0 }).is_ok());
    }
}
