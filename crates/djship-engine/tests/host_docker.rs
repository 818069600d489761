//! Docker as the engine: what callers see of a container is what they see of one of the embedded engine.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on fails")]

mod support;

use std::{
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use djship_engine::{Container, Network, Stdio, Streams, Upper};
use djship_testkit::{docker::Docker, need};
use serde_json::json;
use support::{Held, Place, Report, set_mode};

/// Programs of the host that the root has, with the libraries that they need.
const PROGRAMS: [&str; 14] = [
    "sh", "cat", "id", "ls", "ln", "mkdir", "mkfifo", "rm", "sleep", "stat", "stty", "touch", "true",
    "setsid",
];

/// A daemon, and a place whose containers it runs.
struct Trial {
    docker: Docker,
    place: Place,
    root: PathBuf,
}

impl Trial {
    fn start() -> Self {
        let docker = Docker::start().unwrap();
        let place = Place::of_root();
        let root = place.path("small");
        for name in PROGRAMS {
            let found = ["/bin", "/usr/bin"].map(|folder| Path::new(folder).join(name));
            let program = found.iter().find(|path| path.exists()).unwrap();
            copy(&program.canonicalize().unwrap(), &root.join("bin").join(name));
            let said = Command::new("ldd").arg(program).output().unwrap().stdout;
            for library in
                String::from_utf8(said).unwrap().split_whitespace().filter(|word| word.starts_with('/'))
            {
                copy(Path::new(library), &root.join(library.trim_start_matches('/')));
            }
        }
        fs_err::create_dir_all(root.join("srv/data")).unwrap();
        fs_err::write(root.join("srv/data/old"), "of the root\n").unwrap();
        Self { docker, place, root }
    }

    fn script(&self, script: &str) -> Container {
        let mut container = Container::new([&self.root], ["/bin/sh", "-c", script]);
        container.stdio.stdin = Stdio::Null;
        container
    }

    fn daemon(&self) -> String {
        self.docker.variables()[0].1.clone()
    }

    fn run(&self, container: &Container) -> Report {
        self.place.ask(&["run"], json!({"container": container, "docker": self.daemon()}))
    }

    fn output(&self, container: &Container) -> String {
        let report = self.run(container);
        assert_eq!(report.code, Some(0), "{report:?}");
        report.stdout
    }

    fn hold(&self, container: &Container, more: &serde_json::Value) -> Held {
        let mut wish = json!({"container": container, "docker": self.daemon()});
        wish.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.place.hold_with(wish)
    }

    /// Ids of containers, also of those that have ended.
    fn containers(&self) -> String {
        self.docker.say(["ps", "--all", "--quiet", "--no-trunc"]).unwrap()
    }

    fn await_none_runs(&self) {
        self.await_nothing(&["ps", "--quiet"]);
    }

    /// Waits until no container is left, running or not; the daemon removes some of them by itself.
    fn await_none(&self) {
        self.await_nothing(&["ps", "--all", "--quiet"]);
    }

    fn await_nothing(&self, question: &[&str]) {
        let since = Instant::now();
        let ask = || self.docker.say(question.iter().copied()).unwrap();
        while !ask().is_empty() {
            assert!(
                since.elapsed() < Duration::from_secs(20),
                "{}",
                self.docker.say(["ps", "--all"]).unwrap()
            );
            // The daemon does not tell.
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs_err::create_dir_all(to.parent().unwrap()).unwrap();
    if !to.exists() {
        fs_err::copy(from, to).unwrap();
        set_mode(to, 0o755);
    }
}

fn inherited(mut container: Container) -> Container {
    container.stdio = Streams { stdin: Stdio::Null, stdout: Stdio::Inherit, stderr: Stdio::Inherit };
    container
}

#[test]
#[ignore = "needs root and Debian's docker.io"]
fn what_a_program_says_and_how_it_ends() {
    need!(djship_testkit::docker::needed());
    let trial = Trial::start();
    let report = trial.run(&trial.script("echo out; echo err >&2; exit 3"));
    assert_eq!((report.code, &*report.stdout, &*report.stderr), (Some(3), "out\n", "err\n"), "{report:?}");
    let report = trial.run(&trial.script("kill -TERM $$"));
    assert_eq!(report.status, Some(djship_engine::ExitStatus::Signal(15)), "{report:?}");
    let report = trial.run(&trial.script("exit 143"));
    assert_eq!(report.status, Some(djship_engine::ExitStatus::Code(143)), "{report:?}");
    let missing = trial.run(&Container::new([&trial.root], ["no-such-program"]));
    assert_eq!((missing.exit_code, missing.code), (Some(127), None), "{missing:?}");
    assert!(missing.error.as_ref().unwrap().contains("no such program"), "{missing:?}");
    let refused = trial.run(&Container::new([&trial.root], ["/srv/data/old"]));
    assert_eq!(refused.exit_code, Some(126), "{refused:?}");
    trial.await_none();
}

#[test]
#[ignore = "needs root and Debian's docker.io"]
fn who_and_where_a_program_is() {
    need!(djship_testkit::docker::needed());
    let trial = Trial::start();
    let mut container = trial.script(
        "id -u; id -g; pwd; echo $A; cat /proc/sys/kernel/hostname; touch /x 2>/dev/null || echo read-only
         echo x >/tmp/x && cat /tmp/x; ls -A /dev/shm /run; stat -c %a:%u /tmp /run
         while read name value; do case $name in CapEff:|CapBnd:|NoNewPrivs:|Seccomp:) echo $name $value;; esac; done </proc/self/status
         ls /sys/class/net; echo ${HOSTNAME-unset}",
    );
    container.user = djship_engine::RunUser { uid: 777, gid: 778 };
    container.cwd = "/srv".into();
    container.hostname = "shop".to_owned();
    container.network = Network::None;
    container.env("A", "b c=d");
    let zero = "0".repeat(16);
    assert_eq!(
        trial.output(&container),
        format!(
            "777\n778\n/srv\nb c=d\nshop\nread-only\nx\n/dev/shm:\n\n/run:\n1777:777\n755:777\n\
             CapEff: {zero}\nCapBnd: {zero}\nNoNewPrivs: 1\nSeccomp: 2\nlo\nunset\n"
        )
    );
    container.network = Network::Host;
    container.argv = ["cat", "/etc/hosts"].map(str::to_owned).to_vec();
    container.file("/etc/hosts", "127.0.0.1 localhost\n127.70.1.2 db\n");
    let hosts = trial.output(&container);
    assert!(hosts.contains("127.70.1.2\tdb\n") && hosts.contains("localhost"), "{hosts}");
}

#[test]
#[ignore = "needs root and Debian's docker.io"]
fn folders_go_in_and_come_back() {
    need!(djship_testkit::docker::needed());
    let trial = Trial::start();
    let (app, out, fixed) =
        (trial.place.owned_folder("app"), trial.place.owned_folder("out"), trial.place.path("fixed"));
    let owner = trial.place.owner();
    let own = |path: &Path| std::os::unix::fs::chown(path, Some(owner.uid), Some(owner.gid)).unwrap();
    for (name, text) in [("manage.py", "x\n"), ("gone", ""), ("out", "hidden\n")] {
        fs_err::write(app.join(name), text).unwrap();
        own(&app.join(name));
    }
    fs_err::remove_file(app.join("out")).unwrap();
    fs_err::create_dir(app.join("out")).unwrap();
    fs_err::write(app.join("out/hidden"), "").unwrap();
    fs_err::create_dir(&fixed).unwrap();
    fs_err::write(fixed.join("a"), "fixed\n").unwrap();
    fs_err::write(trial.place.path("file"), "one file\n").unwrap();
    let script = "set -e; cat /fixed/a /file /etc/x; ls /app/out; ls /srv/data
        echo new >/app/new; rm /app/gone; ln -s /etc/passwd /app/link; mkfifo /app/fifo; mkdir -p /app/deep/er
        echo y >/app/deep/er/y; ln /app/new /app/also; echo r >/app/out/result; : >/app/run; touch /srv/data/mine
        if touch /fixed/b 2>/dev/null; then echo changed; fi; exec 2>/dev/null; stat -c %u:%g /app/manage.py /app /fixed/a";
    let mut container = trial.script(script);
    container.bind(&out, "/app/out").bind(&app, "/app").bind_read_only(&fixed, "/fixed");
    container.bind_read_only(trial.place.path("file"), "/file").file("/etc/x", "inline\n");
    let data = trial.place.owned_folder("data");
    container.bind(&data, "/srv/data");
    assert_eq!(trial.output(&container), "fixed\none file\ninline\n1000:1000\n1000:1000\n0:0\n");
    let read = |path: &str| fs_err::read_to_string(app.join(path)).unwrap();
    assert_eq!((&*read("new"), &*read("also"), &*read("deep/er/y")), ("new\n", "new\n", "y\n"));
    assert_eq!(fs_err::read_to_string(out.join("result")).unwrap(), "r\n");
    assert_eq!(fs_err::read_link(app.join("link")).unwrap(), Path::new("/etc/passwd"));
    assert!(!app.join("gone").exists() && !app.join("fifo").exists() && !out.join("hidden").exists());
    assert!(data.join("mine").exists() && !data.join("old").exists(), "what the root has there is hidden");
    for path in [app.join("new"), app.join("deep/er"), app.clone(), out.join("result")] {
        let metadata = fs_err::symlink_metadata(&path).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (owner.uid, owner.gid), "{}", path.display());
    }
    let leftovers = fs_err::read_dir(trial.place.dir.path()).unwrap().flatten();
    let leftovers: Vec<_> =
        leftovers.filter(|entry| entry.file_name().to_string_lossy().starts_with('.')).collect();
    assert!(leftovers.is_empty(), "{leftovers:?}");
    trial.await_none();
    assert_eq!(trial.docker.say(["volume", "ls", "--quiet"]).unwrap(), "");
}

#[test]
#[ignore = "needs root and Debian's docker.io"]
fn a_cache_stays_with_the_daemon_and_a_writable_root_goes() {
    need!(djship_testkit::docker::needed());
    let trial = Trial::start();
    let cache = trial.place.owned_folder("cache");
    let script = "cat /cache/x 2>/dev/null; echo kept >/cache/x; touch /srv/mark && echo written";
    let mut container = trial.script(script);
    container.cache(&cache, "/cache");
    let (upper, work) = (trial.place.owned_folder("upper"), trial.place.owned_folder("work"));
    container.upper = Some(Upper { upper, work, volatile: true });
    set_mode(&trial.root.join("srv"), 0o777);
    assert_eq!(trial.output(&container), "written\n");
    assert_eq!(trial.output(&container), "kept\nwritten\n");
    assert_eq!(fs_err::read_dir(&cache).unwrap().count(), 0);
}

#[test]
#[ignore = "needs root and Debian's docker.io"]
fn signals_arrive_and_stopping_ends_everything() {
    need!(djship_testkit::docker::needed());
    let trial = Trial::start();
    let script = "trap 'echo hup' HUP; trap 'echo usr1' USR1; trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done";
    let mut held = trial.hold(&inherited(trial.script(script)), &json!({}));
    assert_eq!(held.line(), "ready");
    held.say("signal 1");
    assert_eq!(held.line(), "hup");
    held.say("signal 10");
    assert_eq!(held.line(), "usr1");
    held.say("stop 60000");
    assert_eq!(held.line(), "{\"Code\":7}");
    let script = "trap '' TERM; (setsid sleep 1000 &); echo ready; while :; do sleep 1; done";
    let mut held = trial.hold(&inherited(trial.script(script)), &json!({}));
    assert_eq!(held.line(), "ready");
    held.say("stop 100");
    assert_eq!(held.line(), "{\"Signal\":9}");
    trial.await_none_runs();
}

#[test]
#[ignore = "needs root and Debian's docker.io"]
fn nothing_outlives_a_killed_starter_and_locks_are_held() {
    need!(djship_testkit::docker::needed());
    let trial = Trial::start();
    let lock = trial.place.path("lock");
    let script =
        "trap '' TERM INT HUP; (setsid sleep 1000 &); sleep 1000 & echo ready; while :; do wait; done";
    let container = inherited(trial.script(script));
    let mut held = trial.hold(&container, &json!({"held": lock}));
    assert_eq!(held.line(), "ready");
    let second = trial
        .place
        .ask::<Report>(&["hold"], json!({"container": container, "docker": trial.daemon(), "held": lock}));
    assert_eq!(second.error.as_deref(), Some("locked"));
    held.child.kill().unwrap();
    trial.await_none_runs();
    held.child.wait().unwrap();

    // What has results to be taken stays for a moment, and goes with the next start.
    let out = trial.place.owned_folder("out");
    let mut container = container;
    container.bind(&out, "/out");
    let mut held = trial.hold(&container, &json!({}));
    assert_eq!(held.line(), "ready");
    held.child.kill().unwrap();
    held.child.wait().unwrap();
    trial.await_none_runs();
    assert_eq!(trial.containers().lines().count(), 1);
    trial.output(&trial.script("true"));
    trial.await_none();
}

#[test]
#[ignore = "needs root and Debian's docker.io"]
fn further_programs_run_in_it_and_terminals_are_terminals() {
    need!(djship_testkit::docker::needed());
    let trial = Trial::start();
    let mut container = inherited(trial.script("echo ready; exec sleep 1000"));
    container.user = djship_engine::RunUser { uid: 777, gid: 778 };
    let mut held = trial.hold(&container, &json!({}));
    assert_eq!(held.line(), "ready");
    let exec = |argv: &[&str], tty: bool| -> Report {
        // Without the daemon's address: the record has it.
        trial.place.ask(&["exec"], json!({"record": held.record(), "argv": argv, "tty": tty}))
    };
    let report = exec(&["/bin/sh", "-c", "id -u; (setsid sleep 1000 &); echo err >&2; exit 5"], false);
    assert_eq!((report.code, &*report.stdout, &*report.stderr), (Some(5), "777\n", "err\n"), "{report:?}");
    let report = exec(&["/bin/sh", "-c", "test -t 0 && test -t 1 && echo terminal; kill -INT $$"], true);
    assert_eq!(report.status, Some(djship_engine::ExitStatus::Signal(2)), "{report:?}");
    assert!(report.stdout.contains("terminal"), "{report:?}");
    let missing = exec(&["no-such-program"], false);
    assert_eq!(missing.exit_code, Some(127), "{missing:?}");
    let record = held.record().clone();
    drop(held);
    trial.await_none_runs();
    let gone = trial.place.ask::<Report>(&["exec"], json!({"record": record, "argv": ["true"]}));
    assert!(gone.error.unwrap().contains("has ended"));
}

#[test]
#[ignore = "needs root and Debian's docker.io"]
fn many_at_once() {
    need!(djship_testkit::docker::needed());
    let trial = Trial::start();
    let mut container = trial.script("cat >/dev/null; echo x");
    container.stdio = Streams::NULL;
    let since = Instant::now();
    let failures: Vec<String> =
        trial.place.ask(&["storm", "24"], json!({"container": container, "docker": trial.daemon()}));
    assert!(failures.is_empty(), "{failures:?}");
    eprintln!("24 containers in {:.1} s", since.elapsed().as_secs_f64());
    trial.await_none();
}
