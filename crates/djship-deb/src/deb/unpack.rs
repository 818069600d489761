//! One `.deb`, whose digest has been checked, into a folder: `fs/` with the files, `tree.json`, `package.json`, `status`.

use std::io::{self, BufReader, Read};
use std::path::Path;

use djship_store::unpack::{Attributes, Door, EntryKind, Limits};
use djship_store::{Digest, TreePath, saved};

use super::DebError;
use super::ar;
use super::record::{PackageRecord, RECORD, STATUS};
use super::skip::is_skipped;
use crate::alternatives;
use crate::control::Paragraph;
use crate::decompress::Compression;
use crate::package::Package;

/// The largest file of a control part that is read, in bytes.
const CONTROL_LIMIT: u64 = 16 * 1024 * 1024;

/// Files of the control part that are looked at.
#[derive(Debug, Default)]
struct Control {
    paragraph: Option<String>,
    postinst: String,
    conffiles: String,
}

/// Unpacks `deb` into `folder`, which exists and is empty.
pub(super) fn unpack(deb: &[u8], package: &Package, folder: &Path) -> Result<(), DebError> {
    check_format(deb)?;
    let control = read_control(deb)?;
    let paragraph = control.paragraph.ok_or(DebError::Control { file: "control" })?;
    let status = status(&paragraph, package)?;
    let bytes = folder.join(saved::BYTES);
    let mut door = Door::with_limits(&bytes, limits(package))?;
    unpack_data(deb, &mut door)?;
    door.finish().save(folder)?;
    let found = alternatives::parse(&package.name, &control.postinst);
    let record = PackageRecord {
        status_digest: Digest::of(status.as_bytes()),
        status_size: status.len() as u64,
        alternatives: found.alternatives,
        unread_alternatives: found.unread,
        conffiles: control.conffiles.lines().map(str::to_owned).collect(),
    };
    write(&folder.join(STATUS), status.as_bytes())?;
    let path = folder.join(RECORD);
    let json = serde_json::to_vec(&record)
        .map_err(|error| DebError::Write { path: path.clone(), source: error.into() })?;
    write(&path, &json)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), DebError> {
    fs_err::write(path, bytes).map_err(|source| DebError::Write { path: path.to_owned(), source })
}

/// Generous beside what the index says, and far below what would fill a disk.
fn limits(package: &Package) -> Limits {
    let total_size =
        (package.installed_kib.saturating_mul(4 * 1024)).clamp(64 << 20, Limits::default().total_size);
    Limits { total_size, ..Limits::default() }
}

fn check_format(deb: &[u8]) -> Result<(), DebError> {
    let first = ar::members(deb).next().flatten();
    let is_known =
        first.is_some_and(|first| first.name == "debian-binary" && first.content.starts_with(b"2."));
    if is_known { Ok(()) } else { Err(DebError::Member { member: "debian-binary" }) }
}

/// A reader of a member whose name is `beginning` and the end for its compression.
fn open_member<'deb>(
    deb: &'deb [u8],
    beginning: &'static str,
) -> Result<tar::Archive<BufReader<Box<dyn Read + 'deb>>>, DebError> {
    let (member, compression) = ar::members(deb)
        .map_while(|member| member)
        .find_map(|member| Compression::of_name(member.name, beginning).map(|how| (member, how)))
        .ok_or(DebError::Member { member: beginning })?;
    let reader = compression
        .reader(member.content, 1)
        .map_err(|source| DebError::Read { member: beginning, source })?;
    Ok(tar::Archive::new(BufReader::with_capacity(128 * 1024, reader)))
}

fn read_control(deb: &[u8]) -> Result<Control, DebError> {
    const MEMBER: &str = "control.tar";
    let failed = |source| DebError::Read { member: MEMBER, source };
    let mut control = Control::default();
    let mut archive = open_member(deb, MEMBER)?;
    for entry in archive.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path_bytes().into_owned();
        let mut read = |file| {
            let mut text = String::new();
            let result = (&mut entry).take(CONTROL_LIMIT + 1).read_to_string(&mut text);
            match result {
                Ok(size) if size as u64 <= CONTROL_LIMIT => Ok(text),
                Ok(_) => Err(DebError::Control { file }),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(DebError::Control { file }),
                Err(error) => Err(failed(error)),
            }
        };
        match path.strip_prefix(b"./").unwrap_or(&path) {
            b"control" => control.paragraph = Some(read("control")?),
            // A script in another encoding has no calls that matter.
            b"postinst" => control.postinst = read("postinst").unwrap_or_default(),
            b"conffiles" => control.conffiles = read("conffiles")?,
            _ => {}
        }
    }
    Ok(control)
}

/// The paragraph for the package database, checked against the index.
fn status(control: &str, package: &Package) -> Result<String, DebError> {
    let paragraph = Paragraph::first(control).ok_or(DebError::Control { file: "control" })?;
    let expected =
        [("Package", &package.name), ("Version", &package.version), ("Architecture", &package.architecture)];
    for (field, expected) in expected {
        let found = paragraph.get(field).unwrap_or("");
        if found != expected {
            let found = found.to_owned();
            return Err(DebError::OtherPackage { field, found, expected: expected.clone() });
        }
    }
    // Scanners that read the classic database want the line; it says what is true.
    let (first, rest) = paragraph.as_str().split_once('\n').unwrap_or((paragraph.as_str(), ""));
    Ok(format!("{first}\nStatus: install ok installed\n{rest}\n"))
}

fn unpack_data(deb: &[u8], door: &mut Door) -> Result<(), DebError> {
    const MEMBER: &str = "data.tar";
    let failed = |source| DebError::Read { member: MEMBER, source };
    let mut archive = open_member(deb, MEMBER)?;
    for entry in archive.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        let name = utf8(&entry.path_bytes(), "name")?;
        if name.split('/').all(|part| matches!(part, "" | ".")) {
            continue;
        }
        let path = merged_usr(&TreePath::parse(&name)?);
        let kind = kind(&entry)?;
        let is_own_link = matches!(kind, EntryKind::Symlink { .. } | EntryKind::Dir) && is_top_folder(&path);
        if is_own_link || is_skipped(path.as_str()) {
            continue;
        }
        let header = entry.header();
        let attributes = Attributes {
            mode: header.mode().map_err(failed)?,
            uid: u32::try_from(header.uid().map_err(failed)?).unwrap_or(0),
            gid: u32::try_from(header.gid().map_err(failed)?).unwrap_or(0),
            mtime: i64::try_from(header.mtime().map_err(failed)?).unwrap_or(0),
        };
        door.place(&path, kind, attributes, &mut entry)?;
    }
    Ok(())
}

fn kind(entry: &tar::Entry<'_, impl Read>) -> Result<EntryKind, DebError> {
    let link = || {
        let target = entry.link_name_bytes().unwrap_or_default();
        utf8(&target, "link target")
    };
    Ok(match entry.header().entry_type() {
        tar::EntryType::Directory => EntryKind::Dir,
        tar::EntryType::Regular | tar::EntryType::Continuous => EntryKind::File { size: entry.size() },
        tar::EntryType::Symlink => EntryKind::Symlink { target: link()? },
        tar::EntryType::Link => EntryKind::HardLink { target: merged_usr(&TreePath::parse(&link()?)?) },
        tar::EntryType::Char | tar::EntryType::Block => EntryKind::Special { kind: "device node" },
        tar::EntryType::Fifo => EntryKind::Special { kind: "pipe" },
        _ => EntryKind::Special { kind: "special entry" },
    })
}

fn utf8(bytes: &[u8], what: &'static str) -> Result<String, DebError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| DebError::NotUtf8 {
        what,
        path: String::from_utf8_lossy(bytes).chars().take(200).collect(),
    })
}

/// The folders of the root that are links into `/usr`, and what is in them there.
const MERGED: [&str; 7] = ["bin", "lib", "lib32", "lib64", "libo32", "libx32", "sbin"];

/// Where the entry is once `/bin`, `/lib` and so on are links into `/usr`. Relative links keep their text: both releases ship
/// what works that way, because that is how every installed system looks.
fn merged_usr(path: &TreePath) -> TreePath {
    let text = path.as_str();
    let (first, rest) = text.split_once('/').unwrap_or((text, ""));
    if rest.is_empty() || !MERGED.contains(&first) {
        return path.clone();
    }
    // A path that was valid stays so with `usr/` before it, unless it was within four bytes of the limit.
    TreePath::parse(&format!("usr/{text}")).unwrap_or_else(|_| path.clone())
}

/// One of those folders itself, or the link that takes its place: composing a root makes them.
fn is_top_folder(path: &TreePath) -> bool {
    MERGED.contains(&path.as_str())
}

#[cfg(test)]
mod tests;
