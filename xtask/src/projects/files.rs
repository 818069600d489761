//! The files of a project: copied, and looked at again when it has run.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;

/// How many files are named; the others are counted.
const NAMED: usize = 12;

/// Copies a folder without its history; links stay links.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    fs_err::create_dir_all(to)?;
    for entry in fs_err::read_dir(from)? {
        let entry = entry?;
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if entry.file_name() == ".git" {
            continue;
        }
        if kind.is_dir() {
            self::copy(&path, &copy)?;
        } else if kind.is_symlink() {
            fs_err::os::unix::fs::symlink(fs_err::read_link(&path)?, &copy)?;
        } else if kind.is_file() {
            fs_err::copy(&path, &copy)?;
        }
    }
    Ok(())
}

/// Gives a folder and everything in it to a user and the group of the same number.
pub(super) fn give(folder: &Path, owner: u32) -> Result<()> {
    std::os::unix::fs::lchown(folder, Some(owner), Some(owner))?;
    for path in Listing::of(folder)?.0 {
        std::os::unix::fs::lchown(folder.join(path), Some(owner), Some(owner))?;
    }
    Ok(())
}

/// Every path below a folder, relative to it.
#[derive(Debug)]
pub(super) struct Listing(BTreeSet<PathBuf>);

/// What is new in a folder.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// Outside of `.cache`, without compiled Python.
    pub(super) files: Vec<String>,
    /// What does not belong to whom the folder belongs, with its owner.
    pub(super) foreign: Vec<String>,
}

impl Listing {
    pub(super) fn of(folder: &Path) -> Result<Self> {
        let mut paths = BTreeSet::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(next) = folders.pop() {
            for entry in fs_err::read_dir(&next)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    folders.push(entry.path());
                }
                paths.insert(entry.path().strip_prefix(folder)?.to_owned());
            }
        }
        Ok(Self(paths))
    }

    /// What came into the folder since.
    pub(super) fn news(&self, folder: &Path) -> Result<News> {
        let owner_of = |path: &Path| -> Result<(u32, u32)> {
            let metadata = fs_err::symlink_metadata(path)?;
            Ok((metadata.uid(), metadata.gid()))
        };
        let owner = owner_of(folder)?;
        let mut news = News::default();
        for path in Self::of(folder)?.0.difference(&self.0) {
            let theirs = owner_of(&folder.join(path))?;
            if theirs != owner {
                news.foreign.push(format!("{} ({}:{})", path.display(), theirs.0, theirs.1));
            }
            let is_cache = path.starts_with(".cache") || path.iter().any(|part| part == "__pycache__");
            // What lies in a new folder is told by the folder.
            let is_told = path
                .parent()
                .is_some_and(|parent| !parent.as_os_str().is_empty() && !self.0.contains(parent));
            if !is_cache && !is_told {
                news.files.push(path.display().to_string());
            }
        }
        shorten(&mut news.files);
        shorten(&mut news.foreign);
        Ok(news)
    }
}

fn shorten(names: &mut Vec<String>) {
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    if more > 0 {
        names.push(format!("and {more} more"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_is_told() {
        let place = std::env::temp_dir().join(format!("djship-projects-files-{}", std::process::id()));
        let (original, folder) = (place.join("original"), place.join("copy"));
        for path in [".git/config", "site/urls.py", "manage.py"] {
            let file = original.join(path);
            fs_err::create_dir_all(file.parent().unwrap()).unwrap();
            fs_err::write(file, "").unwrap();
        }
        std::os::unix::fs::symlink("/nowhere", original.join("link")).unwrap();
        copy(&original, &folder).unwrap();
        assert!(!folder.join(".git").exists() && folder.join("site/urls.py").is_file());
        assert!(folder.join("link").is_symlink());

        let before = Listing::of(&folder).unwrap();
        assert_eq!(before.news(&folder).unwrap(), News::default());
        for path in [".cache/venv/a", "media/b/c", "site/__pycache__/urls.pyc", "site/new.py", "db.sqlite3"] {
            let file = folder.join(path);
            fs_err::create_dir_all(file.parent().unwrap()).unwrap();
            fs_err::write(file, "").unwrap();
        }
        let news = before.news(&folder).unwrap();
        assert_eq!(news.files, ["db.sqlite3", "media", "site/new.py"]);
        assert_eq!(news.foreign, [""; 0]);
        for number in 0..20 {
            fs_err::write(folder.join(format!("z{number}")), "").unwrap();
        }
        let news = before.news(&folder).unwrap();
        assert_eq!((news.files.len(), news.files[NAMED].as_str()), (NAMED + 1, "and 11 more"));
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::lchown(folder.join("media/b/c"), Some(7), Some(8)).unwrap();
            assert_eq!(before.news(&folder).unwrap().foreign, ["media/b/c (7:8)"]);
            give(&folder, 7).unwrap();
            assert_eq!(before.news(&folder).unwrap().foreign, [""; 0]);
        }
        fs_err::remove_dir_all(place).unwrap();
    }
}
