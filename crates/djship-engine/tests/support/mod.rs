//! A place where a test runs containers as one of three kinds of user, and what it sees of them from outside.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::{
    collections::VecDeque,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use djship_engine::{Container, ContainerRecord, ExitStatus, HostOwner, IdMap, IdRange, RunUser};
use djship_testkit::{User, needs, skips, user};
use serde::{Deserialize, de::DeserializeOwned};
use tempfile::TempDir;

/// Who starts containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Root, which becomes somebody else for its containers.
    Root,
    /// A user without subordinate ids.
    Plain,
    /// A user with them, whose containers use them.
    Subordinate,
}

/// What a container left.
#[derive(Debug, Deserialize)]
pub(crate) struct Report {
    pub(crate) code: Option<i32>,
    pub(crate) status: Option<ExitStatus>,
    #[serde(default)]
    pub(crate) stdout: String,
    #[serde(default)]
    pub(crate) stderr: String,
    pub(crate) error: Option<String>,
    pub(crate) exit_code: Option<i32>,
    pub(crate) step: Option<String>,
}

/// One user's folder, with a root file system in it that borrows the host's `/usr`.
pub(crate) struct Place {
    pub(crate) kind: Kind,
    pub(crate) user: User,
    /// Closed to everybody else, as a home folder is.
    pub(crate) dir: TempDir,
}

/// Runs `test` as each kind of user that this machine has; says which it has not.
pub(crate) fn as_each_user(test: impl Fn(&Place)) {
    let mut ran = false;
    for kind in [Kind::Root, Kind::Plain, Kind::Subordinate] {
        let found = match kind {
            Kind::Root => needs::root().map(|()| User::current().expect("root has a line in passwd")),
            Kind::Plain if needs::root().is_err() => {
                Ok(User::current().expect("users have a line in passwd"))
            }
            Kind::Plain => needs::user(user::WITHOUT_SUBORDINATE_IDS),
            Kind::Subordinate => {
                needs::program("newuidmap").and_then(|_| needs::user(user::WITH_SUBORDINATE_IDS))
            }
        };
        match found {
            Ok(user) => {
                eprintln!("as {kind:?} ({})", user.name);
                test(&Place::new(kind, user));
                ran = true;
            }
            Err(needs::Missing(what)) => skips::note(&format!("as {kind:?}: {what}")),
        }
    }
    assert!(ran, "no kind of user could run it");
}

impl Place {
    /// Of the root that runs the test.
    pub(crate) fn of_root() -> Self {
        Self::new(Kind::Root, User::current().expect("root has a line in passwd"))
    }

    fn new(kind: Kind, user: User) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let place = Self { kind, user, dir };
        let root = place.root();
        for folder in ["usr", "etc", "var", "srv/data"] {
            fs_err::create_dir_all(root.join(folder)).unwrap();
        }
        for name in ["bin", "sbin", "lib", "lib64"] {
            std::os::unix::fs::symlink(format!("usr/{name}"), root.join(name)).unwrap();
        }
        std::os::unix::fs::symlink("/run", root.join("var/run")).unwrap();
        fs_err::write(root.join("etc/marker"), "from the layer\n").unwrap();
        fs_err::create_dir(place.path("scratch")).unwrap();
        fs_err::copy(env!("CARGO_BIN_EXE_engine-trial"), place.binary()).unwrap();
        place.user.own(place.dir.path()).unwrap();
        set_mode(place.dir.path(), 0o700);
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.path("root")
    }

    pub(crate) fn binary(&self) -> PathBuf {
        self.path("engine-trial")
    }

    /// Who the containers of this place run as on the host.
    pub(crate) fn owner(&self) -> HostOwner {
        match self.kind {
            Kind::Root => HostOwner::NOBODY_ELSE,
            _ => HostOwner { uid: self.user.uid, gid: self.user.gid },
        }
    }

    /// A folder that the containers of this place may write to, as a bind or an upper.
    pub(crate) fn owned_folder(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs_err::create_dir(&path).unwrap();
        let owner = self.owner();
        if needs::root().is_ok() {
            std::os::unix::fs::chown(&path, Some(owner.uid), Some(owner.gid)).unwrap();
        }
        path
    }

    /// A shell script in a container.
    pub(crate) fn script(&self, script: &str) -> Container {
        self.container(["/bin/sh", "-c", script])
    }

    pub(crate) fn container<A: Into<String>>(&self, argv: impl IntoIterator<Item = A>) -> Container {
        let mut container = Container::new([self.root()], argv);
        container.bind_read_only("/usr", "/usr");
        if self.kind == Kind::Subordinate {
            let range = |file| subordinate_range(file, &self.user.name);
            container.id_map = IdMap::Range {
                uids: range("/etc/subuid"),
                gids: range("/etc/subgid"),
                invoker: RunUser { uid: 1000, gid: 1000 },
            };
        }
        container
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.user.command(self.binary());
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        command
    }

    /// The description in JSON, with `more` added to it.
    pub(crate) fn wish(&self, more: serde_json::Value) -> String {
        let owner = (self.kind == Kind::Root).then(|| self.owner());
        let mut wish = serde_json::json!({"scratch": self.path("scratch"), "owner": owner});
        let (Some(wish_fields), serde_json::Value::Object(more)) = (wish.as_object_mut(), more) else {
            unreachable!()
        };
        wish_fields.extend(more);
        wish.to_string()
    }

    /// Has the trial program do something with a description, and reads its answer.
    pub(crate) fn ask<T: DeserializeOwned>(&self, arguments: &[&str], more: serde_json::Value) -> T {
        answer(self.command(arguments), &self.wish(more))
    }

    /// Runs a container to its end.
    pub(crate) fn run(&self, container: &Container) -> Report {
        self.ask(&["run"], serde_json::json!({"container": container}))
    }

    /// Runs a container to its end where root has run a shell script before, in a mount namespace that goes with it.
    pub(crate) fn run_after(&self, preparation: &str, container: &Container) -> Report {
        let command = through("unshare", &["--mount"], preparation, &self.command(&["run"]));
        answer(command, &self.wish(serde_json::json!({"container": container})))
    }

    /// Runs a script that must succeed; returns its output.
    pub(crate) fn output(&self, container: &Container) -> String {
        let report = self.run(container);
        assert_eq!(report.code, Some(0), "{report:?}");
        report.stdout
    }

    /// Starts a container and keeps it.
    pub(crate) fn hold(&self, container: &Container) -> Held {
        self.hold_by(self.command(&["hold"]), serde_json::json!({"container": container}))
    }

    /// The same, with a lock that the program holds; by way of a shell script that limits the starter.
    pub(crate) fn hold_locked(&self, container: &Container, lock: &Path, limits: &str) -> Held {
        let command = through("env", &[], limits, &self.command(&["hold"]));
        self.hold_by(command, serde_json::json!({"container": container, "held": lock}))
    }

    fn hold_by(&self, mut command: Command, more: serde_json::Value) -> Held {
        let mut child = command.spawn().expect("the trial program starts");
        let mut stdin = child.stdin.take().unwrap();
        writeln!(stdin, "{}", self.wish(more)).unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut held = Held { child, stdin, stdout, record: None, early: VecDeque::new() };
        // The program may speak before the record is out.
        while held.record.is_none() {
            let line = held.line_from_pipe();
            match serde_json::from_str(&line) {
                Ok(record) => held.record = Some(record),
                Err(_) => held.early.push_back(line),
            }
        }
        held
    }

    /// Starts a container with a whole wish, and keeps it.
    pub(crate) fn hold_with(&self, wish: serde_json::Value) -> Held {
        self.hold_by(self.command(&["hold"]), wish)
    }

    /// Runs one more program in a container that is held.
    pub(crate) fn exec(&self, held: &Held, argv: &[&str], tty: bool) -> Report {
        self.ask(&["exec"], serde_json::json!({"record": held.record(), "argv": argv, "tty": tty}))
    }
}

/// A command that is executed after a shell script, both by way of a program.
fn through(program: &str, arguments: &[&str], script: &str, inner: &Command) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).args(["sh", "-c", &format!("set -e; {script}; exec \"$@\""), "sh"]);
    command.arg(inner.get_program()).args(inner.get_args());
    command.env_clear().envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

fn answer<T: DeserializeOwned>(mut command: Command, wish: &str) -> T {
    let mut child = command.spawn().expect("the trial program starts");
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "{wish}").unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text:?}, {}", output.status))
}

/// A container whose starter is a child of the test.
pub(crate) struct Held {
    pub(crate) child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    record: Option<ContainerRecord>,
    early: VecDeque<String>,
}

impl Held {
    pub(crate) fn record(&self) -> &ContainerRecord {
        self.record.as_ref().unwrap()
    }

    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
    }

    /// The next line that the container or its starter wrote.
    pub(crate) fn line(&mut self) -> String {
        self.early.pop_front().unwrap_or_else(|| self.line_from_pipe())
    }

    fn line_from_pipe(&mut self) -> String {
        let mut line = String::new();
        let length = self.stdout.read_line(&mut line).unwrap();
        assert!(length > 0, "the starter has ended: {:?}", self.child.wait());
        line.trim_end().to_owned()
    }

    /// PID 1 of the container and all its descendants.
    pub(crate) fn processes(&self) -> Vec<i32> {
        descendants(self.record().pid)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process and everything below it.
pub(crate) fn descendants(pid: i32) -> Vec<i32> {
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        let children = fs_err::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        found.extend(children.split_whitespace().map(|child| child.parse::<i32>().unwrap()));
        next += 1;
    }
    found
}

/// The four user ids of a process, as the host sees them.
pub(crate) fn host_uids(pid: i32) -> Vec<u32> {
    field(&fs_err::read_to_string(format!("/proc/{pid}/status")).unwrap(), "Uid")
        .split_whitespace()
        .map(|uid| uid.parse().unwrap())
        .collect()
}

/// One field of `/proc/PID/status`.
pub(crate) fn field(status: &str, name: &str) -> String {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name} in {status}")).trim().to_owned()
}

fn subordinate_range(file: &str, name: &str) -> IdRange {
    let text = fs_err::read_to_string(file).unwrap();
    let line = text.lines().find(|line| line.starts_with(&format!("{name}:"))).expect("a range");
    let numbers: Vec<u32> = line.split(':').skip(1).map(|number| number.trim().parse().unwrap()).collect();
    IdRange { first: numbers[0], count: numbers[1] }
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs_err::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}
