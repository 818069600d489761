//! What a running environment says about itself: `state.json`.

use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use djship_engine::ContainerRecord;
use djship_store::temp::TempFile;
use serde::{Deserialize, Serialize};

use super::environment::EnvironmentError;
use super::process::ProcessId;
use super::program::Role;

/// The form of the file. Another one is an error, not a guess.
const VERSION: u32 = 1;
/// No state is nearly this large, in bytes.
const LARGEST: u64 = 4 << 20;

/// A running environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The form of this document: 1.
    pub version: u32,
    /// The project's folder, absolute.
    pub project: PathBuf,
    /// The supervisor.
    pub process: ProcessId,
    /// When it started, such as `2026-11-25T04:30:12.123Z`.
    pub started_at: String,
    /// How far it is.
    pub phase: Phase,
    /// It is there for commands that need its services, and ends with the last of them: see [`super::Lease`].
    #[serde(default)]
    pub for_commands: bool,
    /// Where the first page is.
    pub url: Option<String>,
    /// What serves the application.
    pub services: Vec<ServiceDescription>,
    /// What is kept running, in the order in which it was started.
    pub programs: Vec<ProgramState>,
    /// What others need to know: variables for a program that enters, where the interpreter is.
    #[serde(default)]
    pub facts: serde_json::Value,
}

/// How far an environment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// What is needed is being fetched, installed and started.
    Starting,
    /// Everything was started.
    Running,
    /// It is being ended.
    Stopping,
}

/// A service, as people and desktop clients know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceDescription {
    /// The program's name, such as `postgres`.
    pub name: String,
    /// Its name for people, such as `PostgreSQL 17`.
    pub title: String,
    /// Where it listens, such as `127.70.1.2:5432`.
    pub address: String,
    /// For a desktop client.
    pub url: Option<String>,
}

/// One program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramState {
    /// Its name.
    pub name: String,
    /// What kind of thing it is.
    pub role: Role,
    /// How it is.
    pub condition: ProgramCondition,
    /// Its container, while it runs: for [`djship_engine::Engine::exec`].
    pub container: Option<ContainerRecord>,
    /// How often it was started again.
    pub restarts: u32,
    /// Whether it has a terminal to attach to.
    pub terminal: bool,
    /// It waits at the prompt of a debugger.
    pub debugging: bool,
    /// What it said last, while it does not serve.
    #[serde(default)]
    pub output: Vec<String>,
}

/// How a program is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProgramCondition {
    /// It runs and does not serve yet.
    Starting,
    /// It serves, or did at the last look.
    Ready,
    /// It runs, and does not serve any more: the reloader of a development server lives on when the code has a mistake.
    #[serde(rename = "not-serving")]
    NotServing,
    /// It has ended, and is started again soon.
    Waiting,
    /// It was asked to end.
    Stopping,
    /// It has ended, as it was asked to.
    Stopped,
    /// It could not be started.
    Failed,
}

impl State {
    /// The environment of `project`, run by this process, with nothing in it.
    pub(super) fn new(project: &Path, process: ProcessId) -> Self {
        Self {
            version: VERSION,
            project: project.to_owned(),
            process,
            started_at: now(),
            phase: Phase::Starting,
            for_commands: false,
            url: None,
            services: Vec::new(),
            programs: Vec::new(),
            facts: serde_json::Value::Null,
        }
    }

    /// The program of that name.
    pub fn program(&self, name: &str) -> Option<&ProgramState> {
        self.programs.iter().find(|program| program.name == name)
    }
}

/// This moment, as logs and states have it.
pub(super) fn now() -> String {
    humantime::format_rfc3339_millis(std::time::SystemTime::now()).to_string()
}

/// Reads a state; `None` when there is no file.
pub(super) fn load(path: &Path) -> Result<Option<State>, EnvironmentError> {
    #[derive(Deserialize)]
    struct Form {
        version: u32,
    }
    let failed = || EnvironmentError::io("read", path);
    let file = match fs_err::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(failed())?,
    };
    let mut text = Vec::new();
    file.take(LARGEST).read_to_end(&mut text).map_err(failed())?;
    let wrong = |source| EnvironmentError::State { path: path.to_owned(), source };
    let form: Form = serde_json::from_slice(&text).map_err(wrong)?;
    if form.version != VERSION {
        let what = format!("version {} instead of {VERSION}", form.version);
        return Err(wrong(<serde_json::Error as serde::de::Error>::custom(what)));
    }
    serde_json::from_slice(&text).map_err(wrong).map(Some)
}

/// The state of a claimed environment, in memory and on disk.
#[derive(Debug)]
pub(super) struct StateFile {
    path: PathBuf,
    state: Mutex<State>,
}

impl StateFile {
    /// Writes the first state.
    pub(super) fn create(path: PathBuf, state: State) -> Result<Self, EnvironmentError> {
        save(&path, &state)?;
        Ok(Self { path, state: Mutex::new(state) })
    }

    /// As it is now.
    pub(super) fn current(&self) -> State {
        self.lock().clone()
    }

    /// Changes it; the file is written when that made a difference.
    pub(super) fn update(&self, change: impl FnOnce(&mut State)) -> Result<(), EnvironmentError> {
        let mut state = self.lock();
        let mut changed = state.clone();
        change(&mut changed);
        if changed != *state {
            // What the file lacks is tried again with the next change, so memory goes first.
            *state = changed;
            save(&self.path, &state)?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whole or not at all. Not flushed: after a power cut nothing runs that it could tell about.
fn save(path: &Path, state: &State) -> Result<(), EnvironmentError> {
    let write = || -> io::Result<()> {
        let text = serde_json::to_vec_pretty(state)?;
        let file = TempFile::beside(path)?;
        file.file().set_permissions(std::fs::Permissions::from_mode(0o600))?;
        file.file().write_all(&text)?;
        file.rename_to(path)
    };
    write().map_err(EnvironmentError::io("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_differences_are_written_and_only_the_owner_reads() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let state = State::new(Path::new("/srv/shop"), ProcessId::own().unwrap());
        let file = StateFile::create(path.clone(), state.clone()).unwrap();
        assert_eq!(fs_err::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(load(&path).unwrap().as_ref(), Some(&state));
        fs_err::remove_file(&path).unwrap();
        file.update(|state| state.phase = Phase::Starting).unwrap();
        assert_eq!(load(&path).unwrap(), None);
        file.update(|state| state.facts = serde_json::json!({"python": "/app/.cache/venv/bin/python"}))
            .unwrap();
        assert_eq!(load(&path).unwrap(), Some(file.current()));
    }

    #[test]
    fn what_is_no_state_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        for text in ["", "{", "[]", "{\"version\": 1}", "{\"version\": 2}", "\u{0}"] {
            fs_err::write(&path, text).unwrap();
            assert!(matches!(load(&path), Err(EnvironmentError::State { .. })), "{text:?}");
        }
        fs_err::write(&path, "{\"version\": 2}").unwrap();
        let error = std::error::Error::source(&load(&path).unwrap_err()).unwrap().to_string();
        assert_eq!(error, "version 2 instead of 1");
    }

    #[test]
    fn times_are_sortable_text() {
        let time = now();
        assert!(time.len() == 24 && time.ends_with('Z') && time.as_bytes()[10] == b'T', "{time}");
    }
}
