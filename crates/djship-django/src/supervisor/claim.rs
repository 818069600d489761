//! Taking an environment: one supervisor at a time.

use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::environment::{Environment, EnvironmentError, read_holder};
use super::log::Log;
use super::process::ProcessId;
use super::state::{self, State, StateFile};

/// How long containers of a dead supervisor may take to go. The kernel takes them within milliseconds.
const LAST_BREATH: Duration = Duration::from_secs(5);
/// How long the lock may be held by somebody who is no supervisor: a reader, or a child that is being born.
const TOUCH: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(5);

/// An environment cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// It runs.
    #[error("the environment runs already{}", pid.map(|pid| format!(", as process {pid}")).unwrap_or_default())]
    Running {
        /// The supervisor, where it can be seen.
        pid: Option<i32>,
    },
    /// The supervisor is gone, and a container of it is not.
    #[error("the container of `{program}` (process {pid}) is left of an earlier run")]
    Left {
        /// The program.
        program: String,
        /// PID 1 of its container.
        pid: i32,
    },
    /// Its files cannot be used.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
}

/// An environment that belongs to this process. Dropping it leaves no more than the log and the home folder.
#[derive(Debug)]
pub struct Claim {
    environment: Environment,
    lock: OwnedFd,
    state: Arc<StateFile>,
    log: Log,
}

impl Claim {
    pub(super) fn take(environment: &Environment, for_commands: bool) -> Result<Self, ClaimError> {
        make_private(environment.folder())?;
        let lock = lock(&environment.lock_file())?;
        // At once: readers must not take a dead one's state for ours.
        let process = write_holder(&environment.lock_file(), &lock)?;
        await_containers(environment)?;
        remove_leftovers(environment)?;
        environment.remember_project()?;
        for folder in [environment.run(), environment.home(), environment.logs()] {
            make_private(&folder)?;
        }
        let log =
            Log::open(&environment.logs()).map_err(EnvironmentError::io("open", &environment.logs()))?;
        let state = State { for_commands, ..State::new(environment.project(), process) };
        let state = Arc::new(StateFile::create(environment.state_file(), state)?);
        Ok(Self { environment: environment.clone(), lock, state, log })
    }

    /// Whose it is.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Its log. Cheap to clone, and to be written to from any thread.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// What it says about itself.
    pub fn state(&self) -> State {
        self.state.current()
    }

    /// Changes what it says about itself. The programs are kept up to date by the supervisor.
    pub fn update(&self, change: impl FnOnce(&mut State)) -> Result<(), EnvironmentError> {
        self.state.update(change)
    }

    pub(super) fn state_file(&self) -> &Arc<StateFile> {
        &self.state
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // What cannot be removed is removed by the next one.
        let _ = remove_leftovers(&self.environment);
        let _ = rustix::fs::ftruncate(&self.lock, 0);
        // Unlocked by name: a child that is being born shares the descriptor.
        let _ = rustix::fs::flock(&self.lock, FlockOperation::Unlock);
    }
}

/// A folder that only its owner may enter.
fn make_private(folder: &Path) -> Result<(), EnvironmentError> {
    let make = || {
        fs_err::create_dir_all(folder)?;
        fs_err::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
    };
    make().map_err(EnvironmentError::io("make", folder))
}

fn lock(path: &Path) -> Result<OwnedFd, ClaimError> {
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let lock =
        rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR).map_err(EnvironmentError::io("open", path))?;
    let since = Instant::now();
    loop {
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(lock),
            Err(Errno::WOULDBLOCK | Errno::INTR) => {}
            Err(errno) => return Err(EnvironmentError::io("lock", path)(errno).into()),
        }
        // A reader holds it for a moment, and then the file names nobody who lives.
        let holder = read_holder(&lock).map_err(EnvironmentError::io("read", path))?;
        let pid = holder.map(|holder| holder.pid);
        if holder.is_some_and(ProcessId::is_alive) || since.elapsed() > TOUCH {
            return Err(ClaimError::Running { pid });
        }
        std::thread::sleep(PAUSE);
    }
}

fn write_holder(path: &Path, lock: &OwnedFd) -> Result<ProcessId, EnvironmentError> {
    let write = || {
        let process = ProcessId::own()?;
        rustix::fs::ftruncate(lock, 0)?;
        let mut file = std::fs::File::from(lock.try_clone()?);
        std::io::Seek::rewind(&mut file)?;
        file.write_all(process.to_line().as_bytes())?;
        Ok::<_, std::io::Error>(process)
    };
    write().map_err(EnvironmentError::io("write", path))
}

/// Waits until nothing of a dead supervisor runs, so that nobody holds its volumes.
fn await_containers(environment: &Environment) -> Result<(), ClaimError> {
    // Of a state that cannot be understood nothing can be waited for; the volumes have locks of their own.
    let Ok(Some(state)) = state::load(&environment.state_file()) else { return Ok(()) };
    let since = Instant::now();
    for program in &state.programs {
        let Some(container) = &program.container else { continue };
        while container.is_alive() {
            if since.elapsed() > LAST_BREATH {
                return Err(ClaimError::Left { program: program.name.clone(), pid: container.pid });
            }
            std::thread::sleep(PAUSE);
        }
    }
    Ok(())
}

fn remove_leftovers(environment: &Environment) -> Result<(), EnvironmentError> {
    for file in [environment.state_file(), environment.control_socket()] {
        match fs_err::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(EnvironmentError::io("remove", &file)(error));
            }
            _ => {}
        }
    }
    let run = environment.run();
    djship_store::temp::remove_tree(&run).map_err(EnvironmentError::io("remove", &run))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Child, Command, Stdio};

    use super::super::environment::Environments;
    use super::super::program::Role;
    use super::super::state::{ProgramCondition, ProgramState};
    use super::*;

    struct Place {
        home: tempfile::TempDir,
        environment: Environment,
    }

    fn place() -> Place {
        let home = tempfile::tempdir().unwrap();
        let project = home.path().join("shop");
        fs_err::create_dir(&project).unwrap();
        let environment = Environments::at(home.path()).open(&project).unwrap();
        Place { home, environment }
    }

    /// Another process that holds the lock as a supervisor does.
    fn other_holder(environment: &Environment) -> Child {
        let script =
            "exec 9<>\"$1\"; flock 9; set -- $(cat /proc/$$/stat); echo $$ ${22} >&9; echo locked; read _";
        let mut child = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(environment.lock_file())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "locked\n");
        child
    }

    #[test]
    fn one_at_a_time_and_nothing_is_left() {
        let place = place();
        let claim = place.environment.claim().unwrap();
        let mode = |path: &Path| fs_err::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(place.environment.folder()), 0o700);
        let own = rustix::process::getpid().as_raw_pid();
        assert!(
            matches!(place.environment.claim(), Err(ClaimError::Running { pid: Some(pid) }) if pid == own)
        );
        claim.update(|state| state.url = Some("http://localhost:8000".to_owned())).unwrap();
        let state = place.environment.running().unwrap().unwrap();
        assert_eq!(state.url.as_deref(), Some("http://localhost:8000"));
        assert_eq!(state, claim.state());
        let listed = Environments::at(place.home.path()).list().unwrap();
        assert_eq!(listed, [(place.environment.clone(), state)]);
        drop(claim);
        assert_eq!(place.environment.running().unwrap(), None);
        let mut left: Vec<_> = fs_err::read_dir(place.environment.folder())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["home", "lock", "logs", "project.json"]);
        drop(place.environment.claim().unwrap());
    }

    #[test]
    fn the_holder_may_be_another_process_and_may_be_killed() {
        let place = place();
        drop(place.environment.claim().unwrap());
        let mut child = other_holder(&place.environment);
        let pid = i32::try_from(child.id()).unwrap();
        assert!(
            matches!(place.environment.claim(), Err(ClaimError::Running { pid: Some(found) }) if found == pid)
        );
        assert!(place.environment.is_running().unwrap());
        // It holds the lock and never says what it is.
        assert!(matches!(place.environment.running(), Err(EnvironmentError::Silent { .. })));
        for name in ["state.json", "control", "run/3/landing"] {
            let path = place.environment.folder().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(&path, "left").unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!place.environment.is_running().unwrap());
        let claim = place.environment.claim().unwrap();
        assert_eq!(fs_err::read_dir(place.environment.run()).unwrap().count(), 0);
        assert!(!place.environment.control_socket().exists());
        assert_eq!(place.environment.running().unwrap(), Some(claim.state()));
    }

    #[test]
    fn readers_keep_nobody_out() {
        let place = place();
        drop(place.environment.claim().unwrap());
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        place.environment.is_running().unwrap();
                    }
                });
            }
            let claims: Vec<_> = (0..20).map(|_| place.environment.claim().map(drop)).collect();
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            for claim in claims {
                claim.unwrap();
            }
        });
    }

    #[test]
    fn containers_of_a_dead_supervisor_are_waited_for() {
        let place = place();
        let claim = place.environment.claim().unwrap();
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let start_time: u64 =
            stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse().unwrap();
        let container = serde_json::from_value(serde_json::json!({
            "pid": pid, "start_time": start_time, "owner": [1, 1], "user": [1, 1],
            "unix_sockets": true, "ptrace": false, "host_network": true,
        }));
        claim
            .update(|state| {
                state.programs.push(ProgramState {
                    name: "postgres".to_owned(),
                    role: Role::Service,
                    condition: ProgramCondition::Ready,
                    container: Some(container.unwrap()),
                    restarts: 0,
                    terminal: false,
                    debugging: false,
                    output: Vec::new(),
                });
            })
            .unwrap();
        // As after SIGKILL: the state is left, the lock is free.
        let state = fs_err::read(place.environment.state_file()).unwrap();
        drop(claim);
        fs_err::write(place.environment.state_file(), &state).unwrap();
        let claim = std::thread::scope(|scope| {
            let claiming = scope.spawn(|| place.environment.claim());
            while !place.environment.is_running().unwrap() {
                std::thread::yield_now();
            }
            assert!(!claiming.is_finished());
            child.kill().unwrap();
            child.wait().unwrap();
            claiming.join().unwrap()
        });
        assert!(claim.unwrap().state().programs.is_empty());
    }
}
