//! Development environments on disk: where each keeps its state, and which of them run.
//!
//! ```text
//! DJSHIP_HOME/environments/
//!   shop-1f2e3d4c/        mode 0700, one per project folder
//!     lock                held (flock) by the supervisor that runs it; its process stands inside
//!     state.json          what runs: see State
//!     control             socket: stop, status, attach, restart
//!     run/                work space of the engine, thrown away
//!     home/               HOME of the programs
//!     logs/               what the programs said
//!     project.json        whose it is; needs.json: what it needs of the store. See `known`
//! ```
//!
//! Whether an environment runs is asked of the lock, which the kernel frees however its holder ends; files are
//! never proof.

use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use djship_store::Digest;
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::claim::{Claim, ClaimError};
use super::process::ProcessId;
use super::state::{self, State};

/// How often a lock is looked at by who waits for its end.
const PAUSE: Duration = Duration::from_millis(5);
/// How long a supervisor may take from its lock to its first state.
const BIRTH: Duration = Duration::from_secs(2);

/// Something about an environment's files failed.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// A file or folder cannot be used.
    #[error("cannot {verb} `{}`", path.display())]
    Io {
        /// What was attempted, as a verb.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The state was written by another version, or by nobody.
    #[error("cannot understand `{}`", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The environment runs, and has not said what it is within two seconds.
    #[error("the environment `{id}` runs and does not say what it is")]
    Silent {
        /// The environment.
        id: String,
    },
}

impl EnvironmentError {
    /// For `map_err`: an [`EnvironmentError::Io`] about `path`.
    pub(super) fn io<E: Into<io::Error>>(verb: &'static str, path: &Path) -> impl FnOnce(E) -> Self {
        move |source| Self::Io { verb, path: path.to_owned(), source: source.into() }
    }
}

/// All environments of one DJSHIP_HOME.
#[derive(Debug, Clone)]
pub struct Environments {
    folder: PathBuf,
}

impl Environments {
    /// Those below `home`, which need not exist.
    pub fn at(home: &Path) -> Self {
        Self { folder: home.join("environments") }
    }

    /// The folder of all of them.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the environment of a project folder is called: `NAME-HASH8`. `folder` is absolute and without links.
    pub fn id_of(folder: &Path) -> String {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let words: Vec<String> = name
            .split(|character: char| !character.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty())
            .map(str::to_ascii_lowercase)
            .collect();
        // Short enough for a host name with something behind it.
        let name: String = words.join("-").chars().take(40).collect();
        let name = name.trim_end_matches('-');
        let digest = Digest::of(folder.as_os_str().as_encoded_bytes());
        let hash: String = digest.as_bytes().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        if name.is_empty() { format!("project-{hash}") } else { format!("{name}-{hash}") }
    }

    /// The environment of the project in `folder`. Makes nothing.
    pub fn open(&self, folder: &Path) -> Result<Environment, EnvironmentError> {
        let project =
            fs_err::canonicalize(folder).map_err(EnvironmentError::io("find the project folder", folder))?;
        let id = Self::id_of(&project);
        Ok(Environment { folder: self.folder.join(&id), id, project })
    }

    /// Every environment that runs, by id.
    pub fn list(&self) -> Result<Vec<(Environment, State)>, EnvironmentError> {
        let entries = match fs_err::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(EnvironmentError::io("read", &self.folder))?,
        };
        let mut found = Vec::new();
        for entry in entries.flatten() {
            let Ok(id) = entry.file_name().into_string() else { continue };
            let mut environment = Environment { id, folder: entry.path(), project: PathBuf::new() };
            // One that cannot be read says nothing about the others.
            if let Ok(Some(state)) = environment.running() {
                environment.project.clone_from(&state.project);
                found.push((environment, state));
            }
        }
        found.sort_by(|(one, _), (other, _)| one.id.cmp(&other.id));
        Ok(found)
    }
}

/// The development environment of one project folder, running or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    id: String,
    folder: PathBuf,
    project: PathBuf,
}

impl Environment {
    /// `NAME-HASH8`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The project's folder, absolute and without links.
    pub fn project(&self) -> &Path {
        &self.project
    }

    /// The state folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder of the logs.
    pub fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    /// HOME of the programs. There once the environment ran.
    pub fn home(&self) -> PathBuf {
        self.folder.join("home")
    }

    /// Work space of the engine. There while the environment runs.
    pub fn run(&self) -> PathBuf {
        self.folder.join("run")
    }

    /// Takes the environment for this process, and removes what a dead one left.
    pub fn claim(&self) -> Result<Claim, ClaimError> {
        Claim::take(self, false)
    }

    /// The same, for services alone that end with the last command that uses them.
    pub fn claim_for_commands(&self) -> Result<Claim, ClaimError> {
        Claim::take(self, true)
    }

    /// What runs, or `None` when nothing does.
    pub fn running(&self) -> Result<Option<State>, EnvironmentError> {
        let since = Instant::now();
        loop {
            let Some(holder) = self.holder()? else { return Ok(None) };
            let state = state::load(&self.state_file())?;
            // Between its lock and its first state, a supervisor removes what a dead one left: a state, and its number in the
            // lock's file.
            if let Some(state) = state
                && holder.process == Some(state.process)
                && state.process.is_alive()
            {
                return Ok(Some(state));
            }
            if since.elapsed() > BIRTH {
                return Err(EnvironmentError::Silent { id: self.id.clone() });
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Whether a supervisor holds the environment.
    pub fn is_running(&self) -> Result<bool, EnvironmentError> {
        Ok(self.holder()?.is_some())
    }

    /// Waits until nothing runs, for at most `limit`; whether it is so.
    pub fn await_end(&self, limit: Duration) -> Result<bool, EnvironmentError> {
        let since = Instant::now();
        while self.is_running()? {
            if since.elapsed() > limit {
                return Ok(false);
            }
            std::thread::sleep(PAUSE);
        }
        Ok(true)
    }

    /// Who holds the lock.
    pub(super) fn holder(&self) -> Result<Option<Holder>, EnvironmentError> {
        let path = self.lock_file();
        let failed = |verb| EnvironmentError::io(verb, &path);
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let lock = match rustix::fs::open(&path, flags, Mode::empty()) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            lock => lock.map_err(failed("open"))?,
        };
        // Shared, so that readers do not see each other.
        match rustix::io::retry_on_intr(|| rustix::fs::flock(&lock, FlockOperation::NonBlockingLockShared)) {
            Ok(()) => Ok(None),
            Err(Errno::WOULDBLOCK) => {
                Ok(Some(Holder { process: read_holder(&lock).map_err(EnvironmentError::io("read", &path))? }))
            }
            Err(errno) => Err(failed("lock")(errno)),
        }
    }

    pub(super) fn lock_file(&self) -> PathBuf {
        self.folder.join("lock")
    }

    pub(super) fn state_file(&self) -> PathBuf {
        self.folder.join("state.json")
    }

    pub(super) fn control_socket(&self) -> PathBuf {
        self.folder.join(super::control::SOCKET)
    }
}

/// Somebody who holds the lock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Holder {
    /// As it stands in the file; `None` in the moment before it does.
    pub(super) process: Option<ProcessId>,
}

/// The process that a lock file names.
pub(super) fn read_holder(lock: &OwnedFd) -> io::Result<Option<ProcessId>> {
    let mut file = std::fs::File::from(lock.try_clone()?);
    io::Seek::rewind(&mut file)?;
    let mut line = String::new();
    // Nothing else is a lock's content, so it says nothing.
    if file.take(100).read_to_string(&mut line).is_err() {
        return Ok(None);
    }
    Ok(ProcessId::from_line(&line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_names_of_hosts_and_differ_by_path() {
        let id = |path: &str| Environments::id_of(Path::new(path));
        assert_eq!(id("/home/ada/shop"), id("/home/ada/shop"));
        assert_ne!(id("/home/ada/shop"), id("/home/bob/shop"));
        assert!(id("/home/ada/shop").starts_with("shop-"), "{}", id("/home/ada/shop"));
        assert!(id("/a/My Shop_2.0").starts_with("my-shop-2-0-"), "{}", id("/a/My Shop_2.0"));
        assert!(id("/").starts_with("project-") && id("/\u{e9}").starts_with("project-"));
        let long = id(&format!("/{}-{}", "x".repeat(39), "y".repeat(100)));
        assert_eq!(long.len(), 39 + 1 + 8, "{long}");
    }

    #[test]
    fn looking_makes_nothing() {
        let home = tempfile::tempdir().unwrap();
        let environments = Environments::at(home.path());
        let environment = environments.open(home.path()).unwrap();
        assert_eq!(environment.running().unwrap(), None);
        assert!(environments.list().unwrap().is_empty());
        assert!(environment.await_end(Duration::ZERO).unwrap());
        assert_eq!(fs_err::read_dir(home.path()).unwrap().count(), 0);
        assert!(matches!(
            environments.open(&home.path().join("missing")),
            Err(EnvironmentError::Io { verb: "find the project folder", .. })
        ));
    }
}
