//! What is remembered of environments that do not run: whose they are, and what of the store they need.
//!
//! ```text
//! DJSHIP_HOME/environments/ID/project.json    the project's folder: the id does not tell it
//!                            /needs.json      entries of the store that its last run used
//! ```

use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use djship_store::atomic;
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::environment::{Environment, EnvironmentError, Environments};

/// What stays for the volumes of a project that is gone.
pub const PROJECT: &str = "project.json";
const NEEDS: &str = "needs.json";
/// No such file is nearly this large, in bytes.
const LARGEST: u64 = 4 << 20;

/// Whether the folder of a project is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It is.
    There,
    /// It is not.
    Gone,
    /// Nobody wrote down where it is, or it cannot be seen.
    Unknown,
}

/// An environment that has run before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// `NAME-HASH8`.
    pub id: String,
    /// The state folder.
    pub folder: PathBuf,
    /// The project's folder, where that is known.
    pub project: Option<PathBuf>,
    /// Whether that is there.
    pub presence: Presence,
    /// When it started or ended last.
    pub last_use: Option<SystemTime>,
}

/// An environment that does not run, and cannot start as long as this is held.
#[derive(Debug)]
pub struct Halted {
    _lock: OwnedFd,
}

impl Environments {
    /// Every environment that there is or was, by id.
    pub fn known(&self) -> Result<Vec<Known>, EnvironmentError> {
        let entries = match fs_err::read_dir(self.folder()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(EnvironmentError::io("read", self.folder()))?,
        };
        let mut found = Vec::new();
        for entry in entries.flatten() {
            let Ok(id) = entry.file_name().into_string() else { continue };
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                found.push(Known::of(id, entry.path()));
            }
        }
        found.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(found)
    }

    /// The one of that id, whether or not anything is left of it.
    pub fn known_as(&self, id: &str) -> Known {
        Known::of(id.to_owned(), self.folder().join(id))
    }
}

impl Known {
    fn of(id: String, folder: PathBuf) -> Self {
        let project: Option<PathBuf> = read(&folder.join(PROJECT));
        let presence = match project.as_ref().map(|project| project.try_exists()) {
            Some(Ok(true)) => Presence::There,
            Some(Ok(false)) => Presence::Gone,
            Some(Err(_)) | None => Presence::Unknown,
        };
        let last_use = fs_err::metadata(folder.join("lock")).and_then(|metadata| metadata.modified()).ok();
        Self { id, folder, project, presence, last_use }
    }

    /// The entries of the store that its last run used, as the store names them.
    pub fn needs(&self) -> Vec<String> {
        read(&self.folder.join(NEEDS)).unwrap_or_default()
    }

    /// Keeps it from starting; `None` when it runs.
    pub fn halt(&self) -> Result<Option<Halted>, EnvironmentError> {
        let path = self.folder.join("lock");
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let lock = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR)
            .map_err(EnvironmentError::io("open", &path))?;
        let exclusive = || rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive);
        match rustix::io::retry_on_intr(exclusive) {
            Ok(()) => Ok(Some(Halted { _lock: lock })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(EnvironmentError::io("lock", &path)(errno)),
        }
    }
}

impl Environment {
    /// Remembers whose it is.
    pub(super) fn remember_project(&self) -> Result<(), EnvironmentError> {
        let path = self.folder().join(PROJECT);
        if read::<PathBuf>(&path).as_deref() == Some(self.project()) {
            return Ok(());
        }
        write(&path, &self.project())
    }

    /// Remembers what it needs of the store, as the store names it.
    pub fn remember_needs(&self, entries: &[String]) -> Result<(), EnvironmentError> {
        write(&self.folder().join(NEEDS), &entries)
    }
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    let file = fs_err::File::open(path).ok()?;
    let mut text = Vec::new();
    file.take(LARGEST).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

fn write(path: &Path, value: &impl serde::Serialize) -> Result<(), EnvironmentError> {
    let text = serde_json::to_vec(value).map_err(io::Error::from);
    text.and_then(|text| atomic::write_quickly(path, &text)).map_err(EnvironmentError::io("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_is_known_after_it_ran_and_its_folder_is_missed() {
        let home = tempfile::tempdir().unwrap();
        let project = home.path().join("shop");
        fs_err::create_dir(&project).unwrap();
        let environments = Environments::at(home.path());
        assert!(environments.known().unwrap().is_empty());
        let environment = environments.open(&project).unwrap();
        let claim = environment.claim().unwrap();
        environment.remember_needs(&["roots-v1/ab".to_owned()]).unwrap();
        let known = environments.known_as(environment.id());
        assert_eq!(known.needs(), ["roots-v1/ab"]);
        assert!(known.halt().unwrap().is_none(), "it runs");
        drop(claim);
        let known = environments.known().unwrap();
        assert_eq!(known.len(), 1);
        assert_eq!(known[0].project.as_deref(), Some(environment.project()));
        assert!(known[0].presence == Presence::There && known[0].last_use.is_some());
        let halted = known[0].halt().unwrap().unwrap();
        assert!(matches!(environment.claim(), Err(super::super::ClaimError::Running { .. })));
        drop(halted);
        fs_err::remove_dir(&project).unwrap();
        assert_eq!(environments.known().unwrap()[0].presence, Presence::Gone);
        fs_err::remove_file(known[0].folder.join(PROJECT)).unwrap();
        assert_eq!(environments.known().unwrap()[0].presence, Presence::Unknown);
    }
}
