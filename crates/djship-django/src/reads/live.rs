//! The state of a project's paths as they are on the disk, for development: nothing is copied there, and only what a step read
//! is looked at.

use std::ffi::OsStr;
use std::fs::Metadata;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path};

use djship_store::Digest;

use super::{Kind, Look};
use crate::laid::Key;
use crate::project::Folder;

/// Names that tools make anew, which no answer depends on.
const PASSING: &[&str] =
    &[".cache", ".git", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", "node_modules"];
/// Larger files count by size and time. The largest that settings read are lists of translations.
const LARGEST: u64 = 16 << 20;

/// Whether a name is one that tools make anew.
pub(crate) fn is_passing(name: &OsStr) -> bool {
    PASSING.iter().any(|passing| name == *passing)
}

/// The project on the disk.
pub(super) struct Live<'a> {
    pub(super) folder: &'a Path,
}

impl Look for Live<'_> {
    fn state(&self, kind: Kind, path: &str) -> String {
        if kind == Kind::Whole {
            return whole(self.folder);
        }
        // The project's own code wrote the record.
        if !path.is_empty() && Path::new(path).components().any(|part| !matches!(part, Component::Normal(_)))
        {
            return "absent".to_owned();
        }
        let file = self.folder.join(path);
        let Ok(metadata) = fs_err::symlink_metadata(&file) else { return "absent".to_owned() };
        if metadata.is_symlink() {
            let target = fs_err::read_link(&file).unwrap_or_default();
            return format!("link to {}", target.display());
        }
        match kind {
            Kind::Listing if metadata.is_dir() => listing(&file),
            Kind::Content if metadata.is_file() => self.content(path, &metadata),
            _ if metadata.is_dir() => "folder".to_owned(),
            _ => "file".to_owned(),
        }
    }
}

impl Live<'_> {
    /// The digest of a regular file. What it was a moment ago, it may not be any more.
    fn content(&self, path: &str, metadata: &Metadata) -> String {
        if metadata.len() > LARGEST {
            return stamp(metadata);
        }
        let file =
            Folder::open(self.folder).and_then(|folder| folder.map_or(Ok(None), |folder| folder.file(path)));
        let digest = file.ok().flatten().and_then(|file| Digest::of_reader(&mut file.take(LARGEST)).ok());
        digest.map_or_else(|| "unreadable".to_owned(), |(digest, _)| digest.hex())
    }
}

fn stamp(metadata: &Metadata) -> String {
    format!("{} {}.{}", metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}

/// The names in a folder, each with its kind.
fn listing(folder: &Path) -> String {
    let mut names: Vec<String> = fs_err::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| !is_passing(&entry.file_name()))
        .map(|entry| {
            let kind = match entry.file_type() {
                Ok(kind) if kind.is_dir() => 'd',
                Ok(kind) if kind.is_symlink() => 'l',
                _ => 'f',
            };
            format!("{kind}{}/", entry.file_name().to_string_lossy())
        })
        .collect();
    names.sort();
    names.concat()
}

/// Stands for everything: size and time of every file. Used when what was read cannot be told.
fn whole(folder: &Path) -> String {
    let mut key = Key::new("project on the disk, form 1");
    let walk = ignore::WalkBuilder::new(folder)
        .standard_filters(false)
        .filter_entry(|entry| !is_passing(entry.file_name()))
        .sort_by_file_name(Ord::cmp)
        .build();
    for entry in walk.flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        // The times of folders change with what is not looked at.
        let state = if metadata.is_dir() { String::new() } else { stamp(&metadata) };
        key = key.part(entry.path().as_os_str().as_encoded_bytes()).part(state);
    }
    key.digest().hex()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_record_names_outside_of_the_project_is_not_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("project");
        fs_err::create_dir(&project).unwrap();
        fs_err::write(folder.path().join("secret"), "x").unwrap();
        let live = Live { folder: &project };
        let secret = folder.path().join("secret");
        for path in ["../secret", "./../secret", secret.to_str().unwrap()] {
            for kind in [Kind::Content, Kind::Existence, Kind::Listing] {
                assert_eq!(live.state(kind, path), "absent", "{path}");
            }
        }
        assert_eq!(live.state(Kind::Listing, ""), "");
    }

    #[test]
    fn each_kind_sees_its_change_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let live = Live { folder: folder.path() };
        fs_err::create_dir(folder.path().join("site")).unwrap();
        fs_err::write(folder.path().join("site/a.py"), "one").unwrap();
        let look = |kind, path: &str| live.state(kind, path);
        let before = [
            look(Kind::Content, "site/a.py"),
            look(Kind::Listing, "site"),
            look(Kind::Existence, "site/b.py"),
            look(Kind::Whole, ""),
        ];
        fs_err::create_dir(folder.path().join("site/__pycache__")).unwrap();
        assert_eq!(before[1], look(Kind::Listing, "site"));
        assert_eq!(before[3], look(Kind::Whole, ""));
        fs_err::write(folder.path().join("site/a.py"), "three").unwrap();
        assert_ne!(before[0], look(Kind::Content, "site/a.py"));
        assert_eq!(before[1], look(Kind::Listing, "site"));
        assert_ne!(before[3], look(Kind::Whole, ""));
        fs_err::write(folder.path().join("site/b.py"), "x").unwrap();
        assert_ne!(before[1], look(Kind::Listing, "site"));
        assert_ne!(before[2], look(Kind::Existence, "site/b.py"));
    }
}
