//! `.cache` in the project: the environment, what pip and uv keep, bytecode. It ignores itself, and a folder of that name
//! that somebody else made is left alone.

use std::io;
use std::path::{Path, PathBuf};

use djship_store::Beneath;
use djship_store::beneath::BeneathError;
use rustix::io::Errno;

use crate::builder::BuilderError;

/// What marks the folder as ours. The first line is what backup programs look for
/// (<https://bford.info/cachedir/>).
const TAG: &str =
    "Signature: 8a477f597d28d172789f06886806bc55\n# Made by djship: everything in here is made anew.\n";
/// The longest file that is read from there: a record of ours.
const LONGEST: u64 = 1 << 20;

/// The folder for everything that development makes.
///
/// It is in the hands of whoever owns the project, so a djship that root started works in it through its descriptor and
/// never through its path.
#[derive(Debug)]
pub struct Cache {
    folder: Beneath,
    /// On the host: for mounts, which follow no link as root, and for words.
    pub path: PathBuf,
    /// In containers.
    pub inside: &'static str,
    /// The project has a `.cache` of somebody else's, so this one is elsewhere.
    pub elsewhere: bool,
}

impl Cache {
    /// Opens the project's `.cache`, or makes it; when there is one that is not ours, `elsewhere` is used instead.
    /// `project` is without links. `owner` is who owns what is made.
    pub fn open(project: &Path, elsewhere: &Path, owner: Option<(u32, u32)>) -> Result<Self, BuilderError> {
        let cache = if let Some(folder) = in_project(project, owner)? {
            Self { folder, path: project.join(".cache"), inside: "/app/.cache", elsewhere: false }
        } else {
            let (above, name) = (elsewhere.parent(), elsewhere.file_name().and_then(|name| name.to_str()));
            let (Some(above), Some(name)) = (above, name) else {
                return Err(io::Error::from(io::ErrorKind::InvalidInput).into());
            };
            fs_err::create_dir_all(above)?;
            let folder = Beneath::open(above)?.making_for(owner).make_folder(name)?;
            Self { folder, path: elsewhere.to_owned(), inside: "/cache", elsewhere: true }
        };
        for (name, text) in [("CACHEDIR.TAG", TAG), (".gitignore", "*\n")] {
            if !cache.folder.has(name)? {
                cache.folder.write(name, text.as_bytes())?;
            }
        }
        Ok(cache)
    }

    /// The folder, to work in.
    pub(super) fn beneath(&self) -> &Beneath {
        &self.folder
    }

    /// What a file of ours in it says.
    pub(super) fn read(&self, name: &str) -> Option<Vec<u8>> {
        self.folder.read(name, LONGEST).ok()
    }

    /// Writes a file of ours: the old one or the new one is there, whatever happens.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        Ok(self.folder.write(name, bytes)?)
    }

    /// Where the link `name` leads, as it is written.
    pub(super) fn linked(&self, name: &str) -> Option<String> {
        self.folder.linked(name).ok()?.into_string().ok()
    }
}

/// The project's `.cache`, made if need be; `None` when it is not ours to use.
fn in_project(project: &Path, owner: Option<(u32, u32)>) -> Result<Option<Beneath>, BeneathError> {
    let top = Beneath::open_without_links(project)?;
    let uid = top.stat()?.st_uid;
    if owner.is_some_and(|(owner, _)| owner != uid) {
        // Another folder has taken its place since its owner was asked.
        return Ok(None);
    }
    match top.making_for(owner).make_folder(".cache") {
        Ok(folder) => Ok(is_ours(&folder)?.then_some(folder)),
        // A file or a link.
        Err(error) if matches!(error.errno(), Some(Errno::NOTDIR | Errno::LOOP)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a folder is empty or has our tag.
fn is_ours(folder: &Beneath) -> Result<bool, BeneathError> {
    match folder.read("CACHEDIR.TAG", LONGEST) {
        Ok(text) => Ok(text == TAG.as_bytes()),
        Err(error) if error.is_absent() => Ok(folder.entries()?.is_empty()),
        // Whatever else has the name, it is not ours.
        Err(BeneathError::Unread { .. }) => Ok(false),
        Err(error) if error.errno() == Some(Errno::LOOP) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn open(project: &Path) -> Cache {
        Cache::open(project, &project.join("elsewhere"), None).unwrap()
    }

    #[test]
    fn it_ignores_itself_and_is_found_again() {
        let project = tempfile::tempdir().unwrap();
        let cache = open(project.path());
        assert!(!cache.elsewhere);
        assert_eq!(fs_err::read_to_string(project.path().join(".cache/.gitignore")).unwrap(), "*\n");
        cache.write("record", b"one").unwrap();
        cache.write("record", b"two").unwrap();
        cache.beneath().link("venv", "venvs/a").unwrap();
        cache.beneath().link("venv", "venvs/b").unwrap();
        let again = open(project.path());
        assert_eq!(again.read("record").as_deref(), Some(&b"two"[..]));
        assert_eq!(again.linked("venv").as_deref(), Some("venvs/b"));
        let names = fs_err::read_dir(project.path().join(".cache")).unwrap().count();
        assert_eq!(names, 4, "tag, gitignore, record, link: nothing half-written");
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        for make in [
            (|path| fs_err::create_dir_all(path.join("pre-commit")).unwrap()) as fn(&Path),
            |path| fs_err::write(path, "a file").unwrap(),
            |path| fs_err::os::unix::fs::symlink("/tmp", path).unwrap(),
        ] {
            let project = tempfile::tempdir().unwrap();
            let place = project.path().join(".cache");
            make(&place);
            let before = fs_err::symlink_metadata(&place).unwrap().modified().unwrap();
            let cache = open(project.path());
            assert!(cache.elsewhere && cache.path.ends_with("elsewhere"));
            assert_eq!(cache.inside, "/cache");
            assert_eq!(fs_err::symlink_metadata(&place).unwrap().modified().unwrap(), before);
        }
    }

    #[test]
    fn a_tag_that_leads_elsewhere_makes_it_not_ours() {
        let project = tempfile::tempdir().unwrap();
        let place = project.path().join(".cache");
        fs_err::create_dir(&place).unwrap();
        fs_err::write(project.path().join("tag"), TAG).unwrap();
        fs_err::os::unix::fs::symlink("../tag", place.join("CACHEDIR.TAG")).unwrap();
        assert!(open(project.path()).elsewhere);
        fs_err::remove_file(place.join("CACHEDIR.TAG")).unwrap();
        let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o644));
        rustix::fs::mknodat(rustix::fs::CWD, place.join("CACHEDIR.TAG"), kind, mode, 0).unwrap();
        assert!(open(project.path()).elsewhere);
    }

    #[test]
    fn a_folder_that_is_not_the_owners_any_more_gets_no_cache() {
        let project = tempfile::tempdir().unwrap();
        let uid = fs_err::metadata(project.path()).unwrap().uid();
        let elsewhere = tempfile::tempdir().unwrap();
        fs_err::create_dir(elsewhere.path().join("cache")).unwrap();
        fs_err::write(elsewhere.path().join("cache/CACHEDIR.TAG"), TAG).unwrap();
        // Only root could give files to somebody else; here none is made.
        fs_err::write(elsewhere.path().join("cache/.gitignore"), "*\n").unwrap();
        let cache =
            Cache::open(project.path(), &elsewhere.path().join("cache"), Some((uid + 1, uid + 1))).unwrap();
        assert!(cache.elsewhere && !project.path().join(".cache").exists());
    }
}
