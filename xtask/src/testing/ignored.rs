//! The tests that were left out because they need more than a Rust toolchain, with what they need.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::skips::Skip;
use crate::workspace::{self, cargo, output_of};

/// The part of nextest's listing that is used here.
#[derive(Debug, Deserialize)]
struct Listing {
    #[serde(rename = "rust-suites")]
    suites: BTreeMap<String, Suite>,
}

#[derive(Debug, Deserialize)]
struct Suite {
    #[serde(rename = "package-name")]
    package: String,
    testcases: BTreeMap<String, Case>,
}

#[derive(Debug, Deserialize)]
struct Case {
    ignored: bool,
    #[serde(rename = "filter-match")]
    filter: FilterMatch,
}

#[derive(Debug, Deserialize)]
struct FilterMatch {
    status: String,
}

/// Lists them, each with the reason in its `#[ignore = ".."]`.
pub(super) fn list(filters: &[String]) -> Result<Vec<Skip>> {
    let reasons = reasons()?;
    if !workspace::has_cargo_command("nextest") {
        let skip = |((package, name), reason): (&(String, String), &String)| Skip {
            test: format!("{package} {name}"),
            reason: reason.clone(),
        };
        return Ok(reasons.iter().map(skip).collect());
    }
    let mut command =
        cargo(&["nextest", "list", "--workspace", "--run-ignored", "only", "--message-format", "json"]);
    let listing: Listing = serde_json::from_str(&output_of(command.args(filters))?)
        .context("cannot read the listing of cargo nextest")?;
    Ok(name_reasons(&listing, &reasons))
}

fn name_reasons(listing: &Listing, reasons: &BTreeMap<(String, String), String>) -> Vec<Skip> {
    let mut skips = Vec::new();
    for (binary, suite) in &listing.suites {
        for (name, case) in &suite.testcases {
            if !case.ignored || case.filter.status != "matches" {
                continue;
            }
            let function = name.rsplit("::").next().unwrap_or(name);
            let reason = reasons.get(&(suite.package.clone(), function.to_owned()));
            skips.push(Skip {
                test: format!("{binary} {name}"),
                reason: reason.cloned().unwrap_or_else(|| "ignored without a reason".to_owned()),
            });
        }
    }
    skips
}

/// The reason of every ignored test, by package and name of the function.
fn reasons() -> Result<BTreeMap<(String, String), String>> {
    let root = workspace::root();
    let mut reasons = BTreeMap::new();
    for path in workspace::tracked_files()?.iter().filter(|path| workspace::has_extension(path, "rs")) {
        let Some(package) = path.strip_prefix("crates/").and_then(|rest| rest.split('/').next()) else {
            continue;
        };
        for (name, reason) in ignored_functions(&fs_err::read_to_string(root.join(path))?) {
            reasons.insert((package.to_owned(), name), reason);
        }
    }
    Ok(reasons)
}

/// (function, reason) for each `#[ignore = "reason"]`.
fn ignored_functions(text: &str) -> Vec<(String, String)> {
    text.split("#[ignore = \"")
        .skip(1)
        .filter_map(|rest| {
            let (reason, rest) = rest.split_once("\"]")?;
            let name = rest.split_once("fn ")?.1.split(['(', '<']).next()?;
            Some((name.trim().to_owned(), reason.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ignored_test_has_its_reason() {
        let attribute = "#[ignore";
        let text =
            format!("#[test]\n{attribute} = \"needs root\"]\nfn mounts() {{}}\n#[test]\nfn plain() {{}}");
        let functions = ignored_functions(&text);
        assert_eq!(functions, [("mounts".to_owned(), "needs root".to_owned())]);

        let listing = serde_json::json!({"rust-suites": {"djship-engine::host": {"package-name": "djship-engine", "testcases": {
            "overlay::mounts": {"kind": "test", "ignored": true, "filter-match": {"status": "matches"}},
            "overlay::other": {"ignored": true, "filter-match": {"status": "mismatch", "reason": "string"}},
            "plain": {"ignored": false, "filter-match": {"status": "matches"}},
        }}}});
        let listing: Listing = serde_json::from_value(listing).unwrap();
        let reasons = functions
            .into_iter()
            .map(|(name, reason)| (("djship-engine".to_owned(), name), reason))
            .collect();
        let skips = name_reasons(&listing, &reasons);
        assert_eq!(
            skips.iter().map(Skip::to_string).collect::<Vec<_>>(),
            ["djship-engine::host overlay::mounts: needs root"]
        );
    }
}
