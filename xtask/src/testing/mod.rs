//! Runs the tests, and says what did not run and why.

mod counts;
mod doctests;
mod ignored;
mod leaks;
mod nextest;
pub(crate) mod python;
mod skips;

use anyhow::{Result, bail};
use counts::Counts;

use crate::phases::Phases;
use crate::{setup, workspace};

/// Names the folder in which tests keep what they downloaded; the testkit reads it.
pub(crate) const CACHE_VARIABLE: &str = "DJSHIP_TEST_CACHE";

/// That folder, below the workspace's root.
pub(crate) const CACHE_FOLDER: &str = "target/test-cache";

/// Runs the tests: all of them after setting up what they need, otherwise those that need nothing.
pub(crate) fn test(with_setup: bool, filters: &[String]) -> Result<()> {
    if with_setup {
        setup::prepare()?;
    }
    let skip_list = skips::SkipList::start()?;
    let before = leaks::Snapshot::take();
    let mut phases = Phases::default();
    let mut counts = Counts::default();
    // Filters are names of Rust tests, so the other kinds are left out.
    if filters.is_empty() {
        counts.add(phases.run("Python tests", || python::test(with_setup, &skip_list)));
        counts.add(phases.run("doctests", doctests::test));
    }
    counts.add(phases.run("tests", || nextest::test(with_setup, filters, &skip_list)));

    let mut skips = skip_list.read()?;
    // A skipped test ended well as far as its runner knows.
    counts.skip(skips.len());
    if !with_setup {
        let ignored = ignored::list(filters)?;
        counts.skipped += ignored.len();
        skips.extend(ignored);
    }
    skips::print(&skips);
    let refused = if workspace::is_ci() { skips::not_allowed(&skips)? } else { Vec::new() };
    for skip in &refused {
        println!("error: in CI this must run, or stand in {} with its reason: {skip}", skips::ALLOWED);
    }
    let leaks = before.what_stays();
    for leak in &leaks {
        println!(
            "{}: left behind by the tests: {leak}",
            if workspace::is_ci() { "error" } else { "warning" }
        );
    }
    phases.print_times();
    println!("\n{counts}");
    phases.verdict()?;
    if counts.failed > 0 || !refused.is_empty() {
        bail!("tests failed, or did not run where they must");
    }
    // On a developer's machine something else may have started what is new.
    if !leaks.is_empty() && workspace::is_ci() {
        bail!("the tests left something behind");
    }
    Ok(())
}
