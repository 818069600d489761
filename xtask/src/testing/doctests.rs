//! Examples in documentation, which nextest does not run.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::counts::{Counts, from_libtest};
use crate::workspace::{cargo, command_line};

/// Runs them in every library.
pub(super) fn test() -> Result<Counts> {
    let (success, output) = tee(&mut cargo(&["test", "--workspace", "--doc", "--locked"]))?;
    let counts = from_libtest(&output);
    if !success && counts.failed == 0 {
        bail!("the doctests could not be run");
    }
    Ok(counts)
}

/// Runs a command, showing its standard output and keeping it; says whether it ended well.
pub(super) fn tee(command: &mut Command) -> Result<(bool, String)> {
    let line = command_line(command);
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start `{line}`"))?;
    let mut kept = String::new();
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines() {
            let line = line?;
            println!("{line}");
            kept.push_str(&line);
            kept.push('\n');
        }
    }
    Ok((child.wait()?.success(), kept))
}
