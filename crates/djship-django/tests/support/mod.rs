//! Services of a project as the tests have them: each in a process of its own that a test can kill.

#![allow(dead_code, reason = "every test binary uses another part")]

pub(crate) mod amqp;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use djship_django::services::of_project;
use djship_engine::HostOwner;
use djship_testkit::mirror::DebianMirror;
use djship_testkit::{User, cache, needs};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Debian's names of the releases that services come from.
pub(crate) const RELEASES: [&str; 2] = ["trixie", "bookworm"];

/// The password of the environments that `services-trial` makes.
pub(crate) const PASSWORD: &str = "a password of the environment";

/// A project's address and volumes, and the store that all tests share.
#[derive(Debug)]
pub(crate) struct Project {
    mirror: DebianMirror,
    user: User,
    home: PathBuf,
    binary: PathBuf,
    dir: TempDir,
    pub(crate) release: &'static str,
    pub(crate) address: Ipv4Addr,
    /// Who containers run as when root starts them.
    pub(crate) owner: HostOwner,
}

impl Project {
    /// Of the user that runs the tests.
    pub(crate) fn new(release: &'static str) -> Self {
        Self::of(&User::current().unwrap(), release)
    }

    /// Of another user.
    pub(crate) fn of(user: &User, release: &'static str) -> Self {
        let mirror = DebianMirror::start().unwrap();
        let home = if user.is_current() {
            cache::cache_dir().unwrap().join("home")
        } else {
            user.home.join("djship-test-home")
        };
        fs_err::create_dir_all(&home).unwrap();
        let dir = tempfile::Builder::new().prefix("djship-services-").tempdir().unwrap();
        set_mode(dir.path(), 0o755);
        // The target folder may be closed to this user.
        let binary = dir.path().join("services-trial");
        fs_err::copy(env!("CARGO_BIN_EXE_services-trial"), &binary).unwrap();
        fs_err::create_dir(dir.path().join("volumes")).unwrap();
        user.own(dir.path()).unwrap();
        if !user.is_current() {
            std::os::unix::fs::chown(&home, Some(user.uid), Some(user.gid)).unwrap();
        }
        let address = of_project(dir.path(), 0);
        let owner = HostOwner::NOBODY_ELSE;
        Self { mirror, user: user.clone(), home, binary, dir, release, address, owner }
    }

    pub(crate) fn volumes(&self) -> PathBuf {
        self.dir.path().join("volumes")
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Where a service of the project listens.
    pub(crate) fn at(&self, port: u16) -> SocketAddr {
        (IpAddr::V4(self.address), port).into()
    }

    /// What a project wants of a kind of server; `more` are further fields.
    pub(crate) fn wanted(&self, kind: &str, port: u16, more: Value) -> Value {
        let mut wanted = json!({"kind": kind, "host": self.address, "port": port});
        let Value::Object(more) = more else { panic!("fields are wanted") };
        wanted.as_object_mut().unwrap().extend(more);
        wanted
    }

    /// Prepares a server of a kind.
    pub(crate) fn prepare(&self, wanted: &[Value]) -> Trial {
        self.trial(json!({"wanted": wanted}))
    }

    /// Prepares and starts a server, which must serve then.
    pub(crate) fn start(&self, wanted: &[Value]) -> Trial {
        let mut trial = self.prepare(wanted);
        trial.prepared();
        trial.start();
        trial
    }

    /// Prepares what `wish` says.
    pub(crate) fn trial(&self, mut wish: Value) -> Trial {
        let owner = Some(self.owner).filter(|_| self.user.is_current() && needs::root().is_ok());
        let fields = json!({
            "home": self.home,
            "volumes": self.volumes(),
            "main": self.mirror.main(),
            "security": self.mirror.security(),
            "owner": owner,
            "release": self.release,
            "address": self.address,
        });
        wish.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let mut child =
            self.user.command(&self.binary).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut trial = Trial { child, stdin: Some(stdin), stdout, title: String::new(), url: String::new() };
        trial.send(&wish);
        trial
    }
}

/// A service in a process of its own, which is killed at the end of the test.
#[derive(Debug)]
pub(crate) struct Trial {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    pub(crate) title: String,
    /// For a client on the desktop.
    pub(crate) url: String,
}

/// What a program in the container left.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i64,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Trial {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The answer to being prepared.
    pub(crate) fn answer(&mut self) -> Value {
        let answer = self.hear();
        answer["url"].as_str().unwrap_or_default().clone_into(&mut self.url);
        answer
    }

    /// The same, which must have worked.
    pub(crate) fn prepared(&mut self) -> Value {
        let answer = self.answer();
        assert!(answer["prepared"].is_u64(), "{answer}");
        answer["title"].as_str().unwrap().clone_into(&mut self.title);
        answer
    }

    /// Why it could not be prepared: the error's variants, and its words.
    pub(crate) fn refused(&mut self) -> (String, String) {
        let answer = self.hear();
        let text = |name: &str| answer[name].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        (text("debug"), text("error"))
    }

    /// Starts it; what is worth saying.
    pub(crate) fn start(&mut self) -> Vec<String> {
        let answer = self.ask(&json!({"do": "start"}));
        assert!(answer["ready"].is_u64(), "{answer}");
        eprintln!("{} is ready after {} ms", self.title, answer["ready"]);
        answer["notes"].as_array().unwrap().iter().map(|note| note.as_str().unwrap().to_owned()).collect()
    }

    /// Asks it to end as the supervisor does; it must end by itself.
    pub(crate) fn stop(&mut self) {
        let answer = self.ask(&json!({"do": "stop"}));
        assert!(answer["stopped"].is_i64(), "{answer}");
        eprintln!("{} has stopped after {} ms with {}", self.title, answer["after"], answer["stopped"]);
    }

    /// Kills the container and starts it again.
    pub(crate) fn kill_and_start(&mut self) {
        self.ask(&json!({"do": "kill"}));
        self.start();
    }

    /// Kills the process that supervises it, and waits for its end.
    pub(crate) fn kill_supervisor(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Runs a program in the container.
    pub(crate) fn exec(&mut self, argv: &[&str], env: &[(&str, &str)], input: &str) -> Said {
        let env: serde_json::Map<_, _> =
            env.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        Said::from(&self.ask(&json!({"do": "exec", "argv": argv, "env": env, "input": input})))
    }

    /// What a program in the container writes, which must end well.
    pub(crate) fn output(&mut self, argv: &[&str], env: &[(&str, &str)], input: &str) -> String {
        let said = self.exec(argv, env, input);
        assert_eq!(said.code, 0, "{argv:?}: {said:?}");
        said.stdout.trim().to_owned()
    }

    /// A developer's task on a database, with files for its streams.
    pub(crate) fn task(
        &mut self,
        task: &str,
        database: &str,
        input: Option<&Path>,
        output: Option<&Path>,
    ) -> Said {
        let step =
            json!({"do": "task", "task": task, "database": database, "input": input, "output": output});
        Said::from(&self.ask(&step))
    }

    /// Has something done.
    pub(crate) fn ask(&mut self, step: &Value) -> Value {
        self.send(step);
        self.hear()
    }

    fn send(&mut self, line: &Value) {
        // A process that has ended says why in what is heard next.
        let _ = writeln!(self.stdin.as_mut().unwrap(), "{line}");
    }

    fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        // The end of its input is the end of it, and of its container.
        self.stdin = None;
        let _ = self.child.wait();
    }
}

impl From<&Value> for Said {
    fn from(answer: &Value) -> Self {
        let text = |name: &str| answer[name].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        Self { code: answer["code"].as_i64().unwrap(), stdout: text("stdout"), stderr: text("stderr") }
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Asks a server over TCP, line by line.
#[derive(Debug)]
pub(crate) struct Lines(BufReader<std::net::TcpStream>);

impl Lines {
    pub(crate) fn with(address: SocketAddr) -> Self {
        Self(BufReader::new(std::net::TcpStream::connect(address).unwrap()))
    }

    /// Says something; the first line of the answer.
    pub(crate) fn ask(&mut self, text: &str) -> String {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
        self.hear()
    }

    pub(crate) fn hear(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

/// A port that nobody listened on a moment ago.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A small file system in memory on a folder, until it is dropped. Needs root.
#[derive(Debug)]
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    pub(crate) fn on(folder: &Path, size: &str) -> Self {
        let options = format!("size={size},mode=755");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder);
        assert!(mount.status().unwrap().success());
        Self(folder.to_owned())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
