//! `InRelease`: the signed list of an archive's indexes, and whether it is the one that was asked for.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use djship_store::Digest;

use crate::control::Paragraph;
use crate::release::{Arch, Codename, Suite};

/// What is taken from an InRelease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InRelease {
    /// When it was made, in seconds since 1970.
    pub date: u64,
    /// When it stops to count.
    pub valid_until: Option<u64>,
    /// Whether files can be fetched by their digest.
    pub by_hash: bool,
    /// The compressed package index (`main/binary-ARCH/Packages.xz`).
    pub packages: IndexFile,
    /// Size of the index when it is decompressed, in bytes.
    pub unpacked_size: u64,
}

/// A file that an InRelease lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexFile {
    /// Path below `dists/SUITE/`.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// Digest.
    pub sha256: Digest,
}

/// A signed InRelease that is not usable, or not the one that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InReleaseError {
    /// It speaks about another release or suite.
    #[error("its `{field}` is `{found}`, expected `{expected}`")]
    WrongSuite {
        /// `Codename`, `Suite`, `Components`, `Architectures` or `Origin`.
        field: &'static str,
        /// What stands there.
        found: String,
        /// What should.
        expected: String,
    },
    /// A field is missing or cannot be read.
    #[error("it has no proper `{field}`")]
    Field {
        /// The field.
        field: &'static str,
    },
    /// The list has no such file.
    #[error("it does not list `{path}`")]
    NotListed {
        /// Path below `dists/SUITE/`.
        path: String,
    },
    /// An index is larger than is sensible.
    #[error("it lists `{path}` with {size} bytes, more than {limit}")]
    TooLarge {
        /// Path below `dists/SUITE/`.
        path: String,
        /// The size that it lists.
        size: u64,
        /// The limit.
        limit: u64,
    },
}

/// The largest decompressed index that is read, in bytes. Debian's are below 60 MB.
pub const INDEX_LIMIT: u64 = 512 * 1024 * 1024;

/// The roles that a release goes through, as `Suite` says them.
const ROLES: [&str; 4] = ["testing", "stable", "oldstable", "oldoldstable"];

impl InRelease {
    /// Reads the text of a verified InRelease and checks that it is about this suite of this release.
    pub fn parse(text: &str, codename: Codename, suite: Suite, arch: Arch) -> Result<Self, InReleaseError> {
        let paragraph = Paragraph::first(text).ok_or(InReleaseError::Field { field: "Codename" })?;
        let field = |field: &'static str| paragraph.get(field).ok_or(InReleaseError::Field { field });
        check_suite(&field, codename, suite, arch)?;
        let date = parse_date(field("Date")?).ok_or(InReleaseError::Field { field: "Date" })?;
        let valid_until = match paragraph.get("Valid-Until") {
            Some(text) => Some(parse_date(text).ok_or(InReleaseError::Field { field: "Valid-Until" })?),
            None => None,
        };
        let list = field("SHA256")?;
        let plain = find(list, &format!("main/binary-{arch}/Packages"))?;
        let packages = find(list, &format!("main/binary-{arch}/Packages.xz"))?;
        Ok(Self {
            date,
            valid_until,
            by_hash: paragraph.get("Acquire-By-Hash").is_some_and(|value| value == "yes"),
            packages,
            unpacked_size: plain.size,
        })
    }
}

fn check_suite<'text>(
    field: &impl Fn(&'static str) -> Result<&'text str, InReleaseError>,
    codename: Codename,
    suite: Suite,
    arch: Arch,
) -> Result<(), InReleaseError> {
    let wrong = |field, found: &str, expected: String| InReleaseError::WrongSuite {
        field,
        found: found.to_owned(),
        expected,
    };
    let found = field("Codename")?;
    let expected = suite.dist(codename);
    if found != expected {
        return Err(wrong("Codename", found, expected));
    }
    let found = field("Suite")?;
    let role = found.strip_suffix(suite.suffix());
    if !role.is_some_and(|role| ROLES.contains(&role) || role == codename.as_str()) {
        return Err(wrong("Suite", found, format!("stable{}", suite.suffix())));
    }
    for (name, expected) in [("Components", suite.main_component()), ("Architectures", arch.as_str())] {
        let found = field(name)?;
        if !found.split_whitespace().any(|word| word == expected) {
            return Err(wrong(name, found, expected.to_owned()));
        }
    }
    Ok(())
}

/// Finds the line of one file.
fn find(list: &str, path: &str) -> Result<IndexFile, InReleaseError> {
    let line = list
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find(|words| words.get(2) == Some(&path))
        .ok_or_else(|| InReleaseError::NotListed { path: path.to_owned() })?;
    let (Ok(sha256), Ok(size)) = (line[0].parse(), line[1].parse()) else {
        return Err(InReleaseError::Field { field: "SHA256" });
    };
    if size > INDEX_LIMIT {
        return Err(InReleaseError::TooLarge { path: path.to_owned(), size, limit: INDEX_LIMIT });
    }
    Ok(IndexFile { path: path.to_owned(), size, sha256 })
}

/// `Sat, 21 Nov 2026 09:15:44 UTC`, in seconds since 1970.
fn parse_date(text: &str) -> Option<u64> {
    let text = text.trim();
    let text = text.strip_suffix("UTC").or_else(|| text.strip_suffix("+0000")).map_or_else(
        || text.to_owned(),
        // The form of HTTP, which the crate reads.
        |front| format!("{front}GMT"),
    );
    // One-digit days are written with a space or a zero, or with nothing.
    let words: Vec<&str> = text.split_whitespace().collect();
    let [weekday, day, month, year, time, zone] = words.as_slice() else { return None };
    let date =
        httpdate::parse_http_date(&format!("{weekday} {day:0>2} {month} {year} {time} {zone}")).ok()?;
    Some(seconds(date))
}

/// Seconds since 1970; times before are 0.
pub fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(change: (&str, &str)) -> String {
        format!(
            "Origin: Debian\nSuite: stable-security\nCodename: trixie-security\nDate: Mon, 23 Nov 2026 11:22:38 UTC\n\
             Valid-Until: Mon, 30 Nov 2026 11:22:38 UTC\nAcquire-By-Hash: yes\nArchitectures: all amd64 arm64\n\
             Components: updates/main updates/contrib\nSHA256:\n {} 100 main/binary-amd64/Packages\n \
             {} 20 main/binary-amd64/Packages.xz\n",
            "a".repeat(64),
            "b".repeat(64)
        )
        .replace(change.0, change.1)
    }

    fn parse(change: (&str, &str)) -> Result<InRelease, InReleaseError> {
        // The text of a signature has the line ends of mail.
        let text = text(change).replace('\n', "\r\n");
        InRelease::parse(&text, Codename::Trixie, Suite::Security, Arch::Amd64)
    }

    #[test]
    fn reads_what_debian_writes() {
        let read = parse(("", "")).unwrap();
        assert_eq!(read.date, 1_795_432_958);
        assert_eq!(read.valid_until, Some(1_795_432_958 + 7 * 86_400));
        assert_eq!((read.packages.size, read.unpacked_size, read.by_hash), (20, 100, true));
        assert_eq!(read.packages.sha256.hex(), "b".repeat(64));
    }

    #[test]
    fn refuses_other_suites() {
        for (from, to, name) in [
            ("Codename: trixie-security", "Codename: trixie", "Codename"),
            ("Codename: trixie-security", "Codename: bookworm-security", "Codename"),
            ("Suite: stable-security", "Suite: unstable", "Suite"),
            ("Suite: stable-security", "Suite: stable-updates", "Suite"),
            ("updates/main", "main", "Components"),
            ("all amd64 arm64", "all arm64", "Architectures"),
        ] {
            let error = parse((from, to)).unwrap_err();
            assert!(matches!(error, InReleaseError::WrongSuite { field, .. } if field == name), "{error}");
        }
    }

    #[test]
    fn refuses_what_cannot_be_read() {
        assert_eq!(parse(("Date: Mon", "Date: Someday")), Err(InReleaseError::Field { field: "Date" }));
        assert_eq!(parse(("Codename", "Kodename")), Err(InReleaseError::Field { field: "Codename" }));
        assert!(matches!(parse((".xz", ".gz")), Err(InReleaseError::NotListed { .. })));
        assert!(matches!(parse((" 100 ", " 99999999999 ")), Err(InReleaseError::TooLarge { .. })));
    }

    #[test]
    fn one_digit_days() {
        assert_eq!(
            parse_date("Mon,  2 Nov 2026 01:02:03 UTC"),
            parse_date("Mon, 02 Nov 2026 01:02:03 +0000")
        );
        assert!(parse_date("Mon, 02 Nov 2026 01:02:03 UTC").is_some());
    }
}
