//! Comparison with Debian's own tools, where they are.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

use djship_deb::version;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

fn dpkg_says(left: &str, sign: &str, right: &str) -> bool {
    Command::new("dpkg").args(["--compare-versions", left, sign, right]).status().unwrap().success()
}

#[test]
#[ignore = "needs dpkg"]
fn versions_compare_as_in_dpkg() {
    let version = "([0-2]:)?[0-9][0-9a-cA-C.+~]{0,6}(-[0-9a-c.+~]{1,4})?";
    let mut runner = TestRunner::new(Config { cases: 1500, ..Config::default() });
    runner
        .run(&(version, version), |(left, right)| {
            let sign = match version::compare(&left, &right) {
                std::cmp::Ordering::Less => "lt",
                std::cmp::Ordering::Equal => "eq",
                std::cmp::Ordering::Greater => "gt",
            };
            prop_assert!(dpkg_says(&left, sign, &right), "{} {} {}", left, sign, right);
            Ok(())
        })
        .unwrap();
}
