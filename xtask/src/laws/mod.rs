//! The workspace's laws as code. Each law is a function from the files to its violations, and each has a test that
//! plants one.

mod code;
mod crates;
mod hosts;
mod lexer;
mod shape;
mod source;
mod words;

use std::fmt;

use anyhow::{Result, bail};

use crate::workspace;
pub(crate) use hosts::fingerprint;
use source::Source;

/// One place where a law is broken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Violation {
    path: String,
    /// Counted from one; zero where the law is about the whole file.
    line: usize,
    message: String,
}

impl Violation {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.message),
            line => write!(f, "{}:{line}: {}", self.path, self.message),
        }
    }
}

/// Checks every law on the files of the workspace.
pub(crate) fn check() -> Result<()> {
    let sources = Source::read_all(&workspace::root(), &workspace::tracked_files()?)?;
    let violations = violations(&sources, &hosts::machine_hosts());
    for violation in &violations {
        println!("{violation}");
    }
    if !violations.is_empty() {
        bail!("{} violations of the workspace's laws", violations.len());
    }
    println!("{} files obey the workspace's laws", sources.len());
    Ok(())
}

fn violations(sources: &[Source], machine_hosts: &[String]) -> Vec<Violation> {
    let mut all = Vec::new();
    all.extend(crates::check(sources));
    all.extend(words::check(sources));
    all.extend(code::check(sources));
    all.extend(shape::check(sources));
    all.extend(hosts::check(sources, machine_hosts));
    all.sort();
    all.dedup();
    all
}

/// Violations of one law in files given as literals.
#[cfg(test)]
fn found(law: impl Fn(&[Source]) -> Vec<Violation>, files: &[(&str, &str)]) -> Vec<String> {
    law(&Source::literals(files)).iter().map(Violation::to_string).collect()
}
