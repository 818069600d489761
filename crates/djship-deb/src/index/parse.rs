//! Reads a `Packages` file into the form that [`super::IndexPart`] is cached in.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::part::{PartWriter, Record};
use crate::depends::is_package_name;
use crate::release::{Arch, Suite};
use crate::version;

/// An index that cannot be used, though it was signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseIndexError {
    /// The bytes are not UTF-8.
    #[error("cannot read the package index: it is not UTF-8 from byte {at}")]
    NotUtf8 {
        /// Where it goes wrong.
        at: usize,
    },
    /// A package lacks a field, or has one that makes no sense.
    #[error("cannot read the package index: the package `{package}` has no proper `{field}`")]
    Field {
        /// The package, or the number of the paragraph if it has no name.
        package: String,
        /// The field.
        field: &'static str,
    },
    /// It is larger than offsets in the cache can say.
    #[error("cannot read the package index: {bytes} bytes are more than 1 GiB")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
}

/// Reads the text of a `Packages` file and writes it in the form that [`super::IndexPart::parse`] reads. Packages of other
/// architectures are left out; of several versions of one name the highest stays.
pub fn compact(packages: &[u8], suite: Suite, arch: Arch) -> Result<Vec<u8>, ParseIndexError> {
    if packages.len() > 1 << 30 {
        return Err(ParseIndexError::TooLarge { bytes: packages.len() });
    }
    let text = std::str::from_utf8(packages)
        .map_err(|error| ParseIndexError::NotUtf8 { at: error.valid_up_to() })?;
    let mut records = Vec::with_capacity(packages.len() / 700);
    let end_of_paragraph = memchr::memmem::Finder::new("\n\n");
    let mut rest = text;
    let mut number = 0;
    while !rest.is_empty() {
        let end = end_of_paragraph.find(rest.as_bytes()).map_or(rest.len(), |found| found + 1);
        let (paragraph, after) = rest.split_at(end);
        rest = after.trim_start_matches('\n');
        number += 1;
        if paragraph.trim().is_empty() {
            continue;
        }
        let record = read(paragraph, number)?;
        if record.architecture == arch.as_str() || record.architecture == "all" {
            records.push(record);
        }
    }
    records.sort_by(|left, right| {
        left.name.cmp(right.name).then_with(|| version::compare(left.version, right.version).reverse())
    });
    records.dedup_by(|later, kept| later.name.cmp(kept.name) == Ordering::Equal);
    let mut writer = PartWriter::new(suite);
    for record in &records {
        let [pre_depends, depends, provides] =
            [record.pre_depends, record.depends, record.provides].map(one_line);
        writer.push(&Record { pre_depends: &pre_depends, depends: &depends, provides: &provides, ..*record });
    }
    Ok(writer.finish())
}

/// Takes the fields that are kept. A line that begins with a space goes to the field before it.
fn read(paragraph: &str, number: usize) -> Result<Record<'_>, ParseIndexError> {
    let mut record = Record::default();
    let bytes = paragraph.as_bytes();
    let mut start = 0;
    while start < bytes.len() {
        let mut end = line_end(bytes, start);
        while matches!(bytes.get(end), Some(b' ' | b'\t')) {
            end = line_end(bytes, end);
        }
        let field = &paragraph[start..end];
        start = end;
        let Some((name, value)) = field.split_once(':') else { continue };
        let slot = match name {
            "Package" => &mut record.name,
            "Version" => &mut record.version,
            "Architecture" => &mut record.architecture,
            "Source" => &mut record.source,
            "Priority" => &mut record.priority,
            "Filename" => &mut record.filename,
            "Size" => &mut record.size,
            "SHA256" => &mut record.sha256,
            "Installed-Size" => &mut record.installed_kib,
            "Pre-Depends" => &mut record.pre_depends,
            "Depends" => &mut record.depends,
            "Provides" => &mut record.provides,
            "Essential" => {
                record.essential = value.trim() == "yes";
                continue;
            }
            _ => continue,
        };
        *slot = value.trim();
    }
    check(&record, number)?;
    Ok(record)
}

fn line_end(bytes: &[u8], start: usize) -> usize {
    memchr::memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |found| start + found + 1)
}

/// What is used later as a name, a path or a number must be one.
fn check(record: &Record<'_>, number: usize) -> Result<(), ParseIndexError> {
    let one_word = |text: &str| !text.is_empty() && !text.contains(char::is_whitespace);
    let path = |text: &str| {
        one_word(text)
            && text.rsplit_once('.').is_some_and(|(_, extension)| extension == "deb")
            && !text.split('/').any(|part| matches!(part, "" | "." | ".."))
            && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'\\'))
    };
    let field = if !is_package_name(record.name) {
        "Package"
    } else if !one_word(record.version) {
        "Version"
    } else if !one_word(record.architecture) {
        "Architecture"
    } else if !path(record.filename) {
        "Filename"
    } else if record.size.parse::<u64>().is_err() {
        "Size"
    } else if record.sha256.len() != 64 || !record.sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        "SHA256"
    } else if record.source.contains('\n') {
        "Source"
    } else if record.priority.contains('\n') {
        "Priority"
    } else if record.installed_kib.contains('\n') {
        "Installed-Size"
    } else {
        return Ok(());
    };
    let package = if record.name.is_empty() { format!("number {number}") } else { record.name.to_owned() };
    Err(ParseIndexError::Field { package, field })
}

fn one_line(value: &str) -> Cow<'_, str> {
    if value.contains('\n') { Cow::Owned(value.replace('\n', " ")) } else { Cow::Borrowed(value) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::IndexPart;

    fn stanza(name: &str, version: &str, more: &str) -> String {
        format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\nFilename: pool/{name}.deb\nSize: 10\nSHA256: {}\n{more}\n",
            "a".repeat(64)
        )
    }

    fn part(text: &str) -> Result<IndexPart, ParseIndexError> {
        compact(text.as_bytes(), Suite::Security, Arch::Amd64).map(|bytes| IndexPart::parse(bytes).unwrap())
    }

    #[test]
    fn keeps_the_highest_version_and_joins_lines() {
        let text = [
            stanza("b", "1.9", ""),
            stanza(
                "a",
                "1",
                "Essential: yes\nDepends: x,\n y (>= 1)\nDescription: about\n Depends: not this\n",
            ),
            stanza("b", "1.10", "Provides: v (= 2), w, v (= 3)\n"),
            stanza("b", "1.2", "Provides: u\n"),
        ]
        .concat();
        let part = part(&text).unwrap();
        assert_eq!(part.len(), 2);
        assert_eq!(part.get("b").unwrap().version, "1.10");
        let first = part.get("a").unwrap();
        assert_eq!(first.depends, "x,  y (>= 1)");
        assert_eq!(first.suite, Suite::Security);
        assert_eq!(part.essential().collect::<Vec<_>>(), ["a"]);
        assert_eq!(part.providers("v").collect::<Vec<_>>(), ["b"]);
        assert_eq!(part.providers("u").count(), 0);
        assert!(part.get("c").is_none());
    }

    #[test]
    fn refuses_paths_that_lead_elsewhere() {
        for wrong in
            ["../../etc/x.deb", "/etc/x.deb", "pool/a b.deb", "pool/a.tar", "pool//x.deb", "pool/x.deb?y.deb"]
        {
            let text = stanza("a", "1", "").replace("pool/a.deb", wrong);
            let error = part(&text).err();
            assert_eq!(
                error,
                Some(ParseIndexError::Field { package: "a".to_owned(), field: "Filename" }),
                "{wrong}"
            );
        }
        assert!(matches!(
            part(&stanza("../a", "1", "")),
            Err(ParseIndexError::Field { field: "Package", .. })
        ));
    }

    #[test]
    fn damaged_caches_are_refused_or_empty_handed() {
        let bytes = compact(stanza("a", "1", "Provides: v\n").as_bytes(), Suite::Main, Arch::Amd64).unwrap();
        for length in 0..bytes.len() {
            if let Ok(part) = IndexPart::parse(bytes[..length].to_vec()) {
                let _ = (part.get("a"), part.providers("v").count(), part.essential().count());
            }
        }
        let last = bytes.len() - 1;
        let mut damaged = bytes;
        damaged[last] = 0xff;
        let part = IndexPart::parse(damaged).unwrap();
        assert_eq!(part.providers("v").count(), 0);
    }
}
