//! Tests that found, while they ran, that this machine lacks what they need. The testkit's `need!` and `skip!` write
//! them to a file, one line each: the test, a tab, the reason.

use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::workspace;

/// Names the file; the testkit reads it.
pub(super) const VARIABLE: &str = "DJSHIP_SKIP_LIST";

/// The skips that CI accepts, relative to the root: `test | reason of the skip | why that is accepted`.
pub(super) const ALLOWED: &str = "xtask/allowed-skips.txt";

/// A test that did not run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Skip {
    pub(super) test: String,
    pub(super) reason: String,
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.test, self.reason)
    }
}

/// The file that the tests of one run append to.
#[derive(Debug)]
pub(super) struct SkipList {
    path: PathBuf,
}

impl SkipList {
    /// An empty list.
    pub(super) fn start() -> Result<Self> {
        let folder = workspace::root().join("target/skips");
        fs_err::create_dir_all(&folder)?;
        let path = folder.join(format!("{}.txt", std::process::id()));
        fs_err::write(&path, "")?;
        Ok(Self { path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a test that another runner skipped.
    pub(super) fn add(&self, test: &str, reason: &str) -> Result<()> {
        let mut file = fs_err::OpenOptions::new().append(true).open(&self.path)?;
        Ok(writeln!(file, "{test}\t{reason}")?)
    }

    /// What was skipped, sorted, each once.
    pub(super) fn read(&self) -> Result<Vec<Skip>> {
        Ok(parse(&fs_err::read_to_string(&self.path)?))
    }
}

impl Drop for SkipList {
    fn drop(&mut self) {
        // It lies below target/, where a file too many does no harm.
        let _ = fs_err::remove_file(&self.path);
    }
}

fn parse(text: &str) -> Vec<Skip> {
    let mut skips: Vec<Skip> = text
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(test, reason)| Skip { test: test.to_owned(), reason: reason.to_owned() })
        .collect();
    skips.sort();
    skips.dedup();
    skips
}

/// Prints each reason once, with the tests that it kept from running.
pub(super) fn print(skips: &[Skip]) {
    if skips.is_empty() {
        return;
    }
    println!("\n== {} tests did not run", skips.len());
    let mut reasons: Vec<&str> = skips.iter().map(|skip| skip.reason.as_str()).collect();
    reasons.sort_unstable();
    reasons.dedup();
    for reason in reasons {
        println!("SKIP: {reason}");
        for skip in skips.iter().filter(|skip| skip.reason == reason) {
            println!("    {}", skip.test);
        }
    }
}

/// The skips that CI does not accept.
pub(super) fn not_allowed(skips: &[Skip]) -> Result<Vec<Skip>> {
    let allowed = parse_allowed(&fs_err::read_to_string(workspace::root().join(ALLOWED))?)?;
    Ok(skips.iter().filter(|skip| !allowed.contains(skip)).cloned().collect())
}

fn parse_allowed(text: &str) -> Result<Vec<Skip>> {
    text.lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|line| {
            let fields: Vec<&str> = line.split('|').map(str::trim).collect();
            match fields.as_slice() {
                [name, reason, why] if !name.is_empty() && !reason.is_empty() && !why.is_empty() => {
                    Ok(Skip { test: (*name).to_owned(), reason: (*reason).to_owned() })
                }
                _ => Err(anyhow::anyhow!("not `test | reason of the skip | why it is accepted`: {line}")),
            }
        })
        .collect::<Result<_>>()
        .with_context(|| format!("cannot read {ALLOWED}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skip_is_accepted_for_its_own_reason_only() {
        let allowed =
            parse_allowed("# comment\n\ndjship-cli::host serves | needs a TTY | CI has none\n").unwrap();
        let skips = parse("djship-cli::host serves\tneeds a TTY\ndjship-cli::host serves\tneeds podman\n");
        assert_eq!(skips.len(), 2);
        assert_eq!(skips.iter().filter(|skip| !allowed.contains(skip)).count(), 1);
        assert!(parse_allowed("a | b\n").is_err());
        assert!(parse_allowed("a | b | \n").is_err());
    }

    #[test]
    fn the_list_of_accepted_skips_can_be_read() {
        assert!(not_allowed(&[]).is_ok());
    }

    #[test]
    fn a_test_that_skips_twice_counts_once() {
        assert_eq!(parse("a\tb\na\tb\n").len(), 1);
    }
}
