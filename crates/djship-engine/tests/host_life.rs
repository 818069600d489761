//! Lives and deaths: signals, orphans, zombies, stopping, entering, and the starter's own end.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on fails")]

mod support;

use djship_engine::{Container, Stdio, Streams};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};
use support::{Held, Place, as_each_user};

/// Much longer than anything takes; only a failure takes it.
const LIMIT: Timespec = Timespec { tv_sec: 20, tv_nsec: 0 };

fn quiet(place: &Place, script: &str) -> Container {
    let mut container = place.script(script);
    container.stdio = Streams { stdin: Stdio::Null, stdout: Stdio::Inherit, stderr: Stdio::Inherit };
    container
}

/// Watches processes, and sees whether all of them end.
struct Watch(Vec<std::os::fd::OwnedFd>);

impl Watch {
    fn on(pids: &[i32]) -> Self {
        Self(
            pids.iter()
                .map(|pid| pidfd_open(Pid::from_raw(*pid).unwrap(), PidfdFlags::empty()).unwrap())
                .collect(),
        )
    }

    fn assert_all_end(&self) {
        for pidfd in &self.0 {
            let ended = poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&LIMIT)).unwrap();
            assert_eq!(ended, 1, "a process is left");
        }
    }
}

/// A container with everything that likes to survive: a child, a daemon in a session of its own whose parent has gone, all of
/// them ignoring TERM.
fn stubborn(place: &Place) -> Held {
    let script = "trap '' TERM INT HUP; (setsid sh -c 'sleep 1000 & exec sleep 1000' &) ; sleep 1000 & sleep 1000 &
        until [ $(cat /proc/[0-9]*/comm | grep -c '^sleep$') -ge 4 ]; do :; done; echo ready; while :; do wait; done";
    let mut held = place.hold(&quiet(place, script));
    assert_eq!(held.line(), "ready");
    held
}

#[test]
#[ignore = "needs root and user namespaces"]
fn nothing_outlives_a_killed_starter() {
    as_each_user(|place| {
        let mut held = stubborn(place);
        let processes = held.processes();
        assert!(processes.len() >= 6, "{processes:?}");
        let watch = Watch::on(&processes);
        let namespace = std::fs::read_link(format!("/proc/{}/ns/mnt", processes[0])).unwrap();
        held.child.kill().unwrap();
        watch.assert_all_end();
        held.child.wait().unwrap();
        let own_mounts = fs_err::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!own_mounts.contains(place.dir.path().to_str().unwrap()), "{own_mounts}");
        // The mounts were in a namespace that nobody is in any more.
        for entry in fs_err::read_dir("/proc").unwrap().flatten() {
            let other = std::fs::read_link(entry.path().join("ns/mnt"));
            assert_ne!(other.ok().as_ref(), Some(&namespace), "{:?}", entry.path());
        }
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn signals_are_passed_on() {
    as_each_user(|place| {
        let script = "trap 'echo hup' HUP; trap 'echo usr1' USR1; trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done";
        let mut held = place.hold(&quiet(place, script));
        assert_eq!(held.line(), "ready");
        for (signal, word) in [(libc::SIGHUP, "hup"), (libc::SIGUSR1, "usr1")] {
            held.say(&format!("signal {signal}"));
            assert_eq!(held.line(), word);
        }
        held.say("stop 20000");
        assert_eq!(held.line(), r#"{"Code":7}"#);
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn stopping_ends_what_ignores_the_request() {
    as_each_user(|place| {
        let mut held = stubborn(place);
        let watch = Watch::on(&held.processes());
        held.say("stop 50");
        assert_eq!(held.line(), r#"{"Signal":9}"#);
        watch.assert_all_end();
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn the_end_of_the_program_is_the_end_of_everything_inside() {
    as_each_user(|place| {
        let script = "(setsid sleep 1000 &); until grep -qs '^sleep$' /proc/[0-9]*/comm; do :; done; echo ready; read line < /fifo/f; exit 5";
        let folder = place.owned_folder("fifo");
        let mut container = quiet(place, &format!("mkfifo /fifo/f; {script}"));
        container.bind(&folder, "/fifo");
        let mut held = place.hold(&container);
        assert_eq!(held.line(), "ready");
        let watch = Watch::on(&held.processes());
        fs_err::write(folder.join("f"), "go\n").unwrap();
        held.say("wait");
        assert_eq!(held.line(), r#"{"Code":5}"#);
        watch.assert_all_end();
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn orphans_are_collected() {
    as_each_user(|place| {
        // Each subshell leaves a child behind that ends later than it, as an orphan of PID 1.
        let script = "for i in 1 2 3 4 5 6 7 8 9 10; do (sh -c ':' &) ; done;
            while grep -lqs '^State:.Z' /proc/[0-9]*/status || [ $(ls -d /proc/[0-9]* | wc -l) -gt 4 ]; do :; done; echo clean";
        assert_eq!(place.output(&place.script(script)), "clean\n");
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn more_programs_can_enter() {
    as_each_user(|place| {
        let mut held = place.hold(&quiet(place, "touch /tmp/mine; echo ready; exec sleep 1000"));
        assert_eq!(held.line(), "ready");
        let seen = place.exec(
            &held,
            &["sh", "-c", "ls /tmp; id -u; cat /proc/self/status; echo $$ >&2; exit 3"],
            false,
        );
        assert_eq!(seen.code, Some(3), "{seen:?}");
        assert!(seen.stdout.starts_with("mine\n1000\n"), "{seen:?}");
        for set in ["CapPrm", "CapEff", "CapBnd"] {
            assert_eq!(support::field(&seen.stdout, set), "0000000000000000");
        }
        assert_eq!(support::field(&seen.stdout, "Seccomp"), "2");
        let missing = place.exec(&held, &["no-such-program"], false);
        assert_eq!(missing.exit_code, Some(127), "{missing:?}");
        let killed = place.exec(&held, &["sh", "-c", "kill -TERM $$"], false);
        assert_eq!(killed.code, Some(143), "{killed:?}");
        let terminal = place.exec(&held, &["sh", "-c", "tty; test -t 0 && test -t 2 && exit 3"], true);
        assert_eq!((terminal.code, terminal.stdout.trim()), (Some(3), "/dev/pts/0"), "{terminal:?}");

        let record = held.record().clone();
        assert!(record.is_alive());
        held.say("stop 0");
        assert!(held.line().starts_with(r#"{"Signal":"#));
        assert!(!record.is_alive());
        let gone = place.exec(&held, &["true"], false);
        assert!(gone.error.unwrap().contains("has ended"));
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn nobody_else_enters() {
    as_each_user(|place| {
        let Ok(other) = djship_testkit::needs::user(djship_testkit::user::WITHOUT_SUBORDINATE_IDS) else {
            return;
        };
        if other == place.user {
            return;
        }
        let mut held = place.hold(&quiet(place, "echo ready; exec sleep 1000"));
        assert_eq!(held.line(), "ready");
        support::set_mode(place.dir.path(), 0o755);
        let stranger = Place { kind: place.kind, user: other, dir: tempfile::tempdir().unwrap() };
        fs_err::copy(place.binary(), stranger.binary()).unwrap();
        support::set_mode(stranger.dir.path(), 0o755);
        let refused = stranger.exec(&held, &["true"], false);
        assert!(refused.code.is_none() && refused.error.is_some(), "{refused:?}");
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn many_at_once_from_busy_threads() {
    as_each_user(|place| {
        let container = quiet(place, "exit 0");
        let failures: Vec<String> = place.ask(&["storm", "100"], serde_json::json!({"container": container}));
        assert_eq!(failures, Vec::<String>::new());
        assert_eq!(fs_err::read_dir(place.path("scratch")).unwrap().count(), 0);
    });
}
