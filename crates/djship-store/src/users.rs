//! Who has the store open: one file per user below `users/`, locked by its process as long as it lives.
//!
//! The time of the file is when its user opened the store: nothing that was used since then is ever swept, so whatever
//! somebody has found stays until they end. What the file says is for people: what the user works with.

use std::io::{self, Read as _, Write as _};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::lock::{names_same_file, try_flock};
use crate::marks::Moment;
use crate::temp::TempFile;

/// More than anybody writes, in bytes.
const LARGEST: u64 = 64 << 10;

/// This user of the store.
#[derive(Debug)]
pub(crate) struct Lease {
    file: TempFile,
    since: Moment,
}

/// Somebody who has the store open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The number of the process, as it sees itself.
    pub process: u32,
    /// What it works with, as it has noted.
    pub notes: Vec<String>,
    pub(crate) since: Moment,
}

impl Lease {
    pub(crate) fn take(folder: &Path) -> io::Result<Self> {
        let file = TempFile::new(folder, "user")?;
        let since = Moment::modified(&file.file().metadata()?);
        // Written down, because the file's own time changes with what is noted later.
        file.file().write_all(format!("{}\n", since.0).as_bytes())?;
        Ok(Self { file, since })
    }

    /// When the store was opened.
    pub(crate) fn since(&self) -> Moment {
        self.since
    }

    pub(crate) fn note(&self, what: &str) -> io::Result<()> {
        let line: String = what.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        // At once: whoever reads sees a whole line or none.
        self.file.file().write_all(format!("{line}\n").as_bytes())
    }
}

/// Everybody who lives; what the dead left is removed.
pub(crate) fn living(folder: &Path) -> io::Result<Vec<User>> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        // Gone meanwhile.
        let Ok(open) = rustix::fs::open(&path, flags, Mode::empty()) else { continue };
        if try_flock(&open)? {
            if names_same_file(&path, &open)? {
                let _ = rustix::fs::unlink(&path);
            }
            continue;
        }
        let mut file = std::fs::File::from(open);
        // Before what it says: of a user that has not written yet, it is the time that will be written.
        let born = Moment::modified(&file.metadata()?);
        let mut text = String::new();
        let _ = (&mut file).take(LARGEST).read_to_string(&mut text);
        let mut lines = text.lines();
        let since = lines.next().and_then(|line| line.parse().ok()).map_or(born, Moment);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let process = name.split('-').nth(1).and_then(|number| number.parse().ok()).unwrap_or_default();
        found.push(User { process, notes: lines.map(str::to_owned).collect(), since });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_lives_is_seen_with_what_it_notes() {
        let dir = tempfile::tempdir().unwrap();
        let lease = Lease::take(dir.path()).unwrap();
        lease.note("image 1").unwrap();
        lease.note("a line\nand another").unwrap();
        // Of somebody who was killed, and of somebody who has just begun.
        fs_err::write(dir.path().join("user-1-1"), "5\n").unwrap();
        let born = TempFile::new(dir.path(), "user").unwrap();
        let mut users = living(dir.path()).unwrap();
        users.sort_by_key(|user| user.notes.is_empty());
        assert_eq!(users.len(), 2);
        assert_eq!(users[0].process, std::process::id());
        assert_eq!((users[0].since, users[0].notes.len()), (lease.since(), 2));
        assert_eq!(users[0].notes, ["image 1", "a line?and another"]);
        assert_eq!(users[1].since, Moment::modified(&born.file().metadata().unwrap()));
        assert!(!dir.path().join("user-1-1").exists());
        drop((lease, born));
        assert!(living(dir.path()).unwrap().is_empty());
    }
}
