//! A place where a test has containers supervised by another process.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use djship_django::supervisor::{Environment, Environments, LogReader, State};
use djship_engine::{Container, HostOwner, Stdio as Stream, Streams};
use djship_testkit::{User, needs};
use serde_json::{Value, json};

/// Longer than anything takes that is going to happen.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// The folder of a test.
pub(crate) struct Place {
    user: User,
    is_root: bool,
    folder: tempfile::TempDir,
}

impl Place {
    /// Of the user that runs the tests.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let user = User::current().unwrap();
        let place = Self { user, is_root: needs::root().is_ok(), folder };
        for name in ["root/usr", "root/etc", "home", "project", "shared"] {
            fs_err::create_dir_all(place.path(name)).unwrap();
        }
        for name in ["bin", "sbin", "lib", "lib64"] {
            std::os::unix::fs::symlink(format!("usr/{name}"), place.path("root").join(name)).unwrap();
        }
        fs_err::set_permissions(place.folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        if place.is_root {
            let owner = HostOwner::NOBODY_ELSE;
            std::os::unix::fs::chown(place.path("shared"), Some(owner.uid), Some(owner.gid)).unwrap();
        }
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file that containers see as `/shared/NAME`.
    pub(crate) fn shared(&self, name: &str) -> PathBuf {
        self.path("shared").join(name)
    }

    pub(crate) fn environment(&self) -> Environment {
        Environments::at(&self.path("home")).open(&self.path("project")).unwrap()
    }

    /// A script that serves at once and ends by TERM, within ten seconds.
    pub(crate) fn program(&self, name: &str, role: &str, script: &str) -> Value {
        let mut container = Container::new([self.path("root")], ["/bin/sh", "-c", script]);
        container.bind_read_only("/usr", "/usr").bind(self.path("shared"), "/shared");
        container.stdio = Streams { stdin: Stream::Null, stdout: Stream::Piped, stderr: Stream::Piped };
        json!({"name": name, "role": role, "container": container, "signal": 15, "grace": 10_000})
    }

    /// Has all this supervised.
    pub(crate) fn supervise(&self, mut wish: Value) -> Supervised {
        wish["home"] = json!(self.path("home"));
        wish["project"] = json!(self.path("project"));
        wish["owner"] = json!(self.is_root.then_some(HostOwner::NOBODY_ELSE));
        let mut command = self.user.command(env!("CARGO_BIN_EXE_supervisor-trial"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        writeln!(stdin, "{wish}").unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, told) = channel();
        // Ends with the child, or with the test.
        std::thread::spawn(move || stdout.lines().try_for_each(|line| sender.send(line.unwrap())));
        Supervised { child, stdin, told, seen: VecDeque::new() }
    }

    /// Waits until a program has said this.
    pub(crate) fn await_line(&self, program: &str, text: &str) {
        await_that(|| {
            let mut log = LogReader::open(&self.environment().logs(), [program]).unwrap();
            log.last(None).unwrap().iter().any(|line| line.text == text)
        });
    }

    /// Waits until the environment says something of itself.
    pub(crate) fn await_state(&self, is_so: impl Fn(&State) -> bool) -> State {
        let mut state = None;
        await_that(|| {
            state = self.environment().running().unwrap();
            state.as_ref().is_some_and(&is_so)
        });
        state.unwrap()
    }
}

/// Tries until it is so.
pub(crate) fn await_that(mut is_so: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + SOON;
    while !is_so() {
        assert!(std::time::Instant::now() < deadline, "it never was so");
        // What is waited for here does not tell.
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A supervisor that is a child of the test.
pub(crate) struct Supervised {
    pub(crate) child: Child,
    stdin: ChildStdin,
    told: Receiver<String>,
    seen: VecDeque<Value>,
}

impl Supervised {
    /// `press` or `term`.
    pub(crate) fn signal(&mut self, which: &str) {
        writeln!(self.stdin, "{which}").unwrap();
    }

    /// What happens within a time; `None` at the end or when nothing does.
    pub(crate) fn next_within(&mut self, limit: Duration) -> Result<Option<Value>, RecvTimeoutError> {
        let line = match self.told.recv_timeout(limit) {
            Ok(line) => line,
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Err(timeout) => return Err(timeout),
        };
        let value: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.seen.push_back(value.clone());
        if self.seen.len() > 100 {
            self.seen.pop_front();
        }
        Ok(Some(value))
    }

    /// Waits for something.
    pub(crate) fn until(&mut self, what: impl Fn(&Value) -> bool) -> Value {
        loop {
            match self.next_within(SOON) {
                Ok(Some(value)) if what(&value) => return value,
                Ok(Some(_)) => {}
                Ok(None) => panic!("it never came: {:#?}", self.seen),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("nothing happens any more: {:#?}", self.seen)
                }
            }
        }
    }

    pub(crate) fn until_event(&mut self, event: &str, program: &str) -> Value {
        self.until(|value| value["event"] == event && value["program"] == program)["detail"].clone()
    }

    pub(crate) fn until_line(&mut self, program: &str, text: &str) {
        self.until(|value| value["line"] == text && value["program"] == program);
    }

    pub(crate) fn until_key(&mut self, key: &str) -> Value {
        self.until(|value| !value[key].is_null())
    }

    /// All that still happens.
    pub(crate) fn rest(&mut self) -> Vec<Value> {
        let mut rest = Vec::new();
        while let Ok(Some(value)) = self.next_within(SOON) {
            rest.push(value);
        }
        assert!(self.child.wait().unwrap().success());
        rest
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
