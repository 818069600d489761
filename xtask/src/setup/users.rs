//! The kinds of user that djship is tested as. Root is there; two ordinary ones are made.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::workspace::run;

/// Has ranges of subordinate ids.
const WITH_SUBORDINATE_IDS: &str = "djship-sub";

/// Has none: the user of a company's machine or a CI runner.
const WITHOUT: &str = "djship-plain";

/// How many ids a range holds, as distributions give them.
const RANGE: u32 = 65536;

/// The first id of a range when no other user has one.
const FIRST: u32 = 100_000;

pub(super) fn make() -> Result<()> {
    for name in [WITH_SUBORDINATE_IDS, WITHOUT] {
        if exists(name)? {
            println!("{name} is here");
        } else {
            println!("making {name}");
            // No range is given here, whatever the distribution's default is.
            let mut useradd = Command::new("useradd");
            useradd.args([
                "--create-home",
                "--shell",
                "/bin/sh",
                "--key",
                "SUB_UID_COUNT=0",
                "--key",
                "SUB_GID_COUNT=0",
            ]);
            run(useradd.arg(name))?;
        }
    }
    for (file, flag) in [("/etc/subuid", "--add-subuids"), ("/etc/subgid", "--add-subgids")] {
        let ranges = read_ranges(file)?;
        if ranges.iter().any(|range| range.owner == WITHOUT) {
            bail!("{WITHOUT} has a range in {file}, and is the user without one");
        }
        if ranges.iter().any(|range| range.owner == WITH_SUBORDINATE_IDS && range.count >= RANGE) {
            continue;
        }
        let first = first_free(&ranges);
        let range = format!("{first}-{}", first + RANGE - 1);
        println!("{WITH_SUBORDINATE_IDS} gets {range} in {file}");
        run(Command::new("usermod").args([flag, &range, WITH_SUBORDINATE_IDS]))?;
    }
    Ok(())
}

fn exists(name: &str) -> Result<bool> {
    let passwd = fs_err::read_to_string("/etc/passwd")?;
    Ok(passwd.lines().any(|line| line.split(':').next() == Some(name)))
}

/// A line of /etc/subuid or /etc/subgid.
#[derive(Debug)]
struct Range {
    owner: String,
    first: u32,
    count: u32,
}

/// The ranges in a file; none when there is no such file yet.
fn read_ranges(file: &str) -> Result<Vec<Range>> {
    match fs_err::read_to_string(file) {
        Ok(text) => parse_ranges(&text).with_context(|| format!("cannot read {file}")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

fn parse_ranges(text: &str) -> Result<Vec<Range>> {
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let mut fields = line.split(':');
            let mut next =
                || fields.next().with_context(|| format!("a line with fewer than three fields: {line}"));
            Ok(Range { owner: next()?.to_owned(), first: next()?.parse()?, count: next()?.parse()? })
        })
        .collect()
}

/// The first id after every range that somebody has.
fn first_free(ranges: &[Range]) -> u32 {
    ranges.iter().map(|range| range.first.saturating_add(range.count)).max().unwrap_or(FIRST).max(FIRST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_range_overlaps_none() {
        assert_eq!(first_free(&[]), 100_000);
        let ranges = parse_ranges("a:165536:65536\nb:100000:65536\n").unwrap();
        assert_eq!(first_free(&ranges), 231_072);
        assert!(parse_ranges("a:1\n").is_err());
    }
}
