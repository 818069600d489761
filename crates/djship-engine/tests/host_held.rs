//! Descriptors that a program holds for its starter: a lock lasts as long as anything inside.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on fails")]

mod support;

use std::{
    fs::{File, TryLockError},
    path::Path,
    sync::mpsc,
    time::Duration,
};

use djship_engine::{Container, Stdio, Streams};
use support::{Place, as_each_user};

/// Much longer than anything takes; only a failure takes it.
const LIMIT: Duration = Duration::from_secs(20);

/// Children and a daemon in a session of its own, all of them deaf to TERM, and all of them at work until the very end.
fn stubborn(place: &Place) -> Container {
    let script = "trap '' TERM INT HUP; (setsid sh -c 'sleep 1000 & exec sleep 1000' &) ; sleep 1000 & sleep 1000 &
        until [ $(cat /proc/[0-9]*/comm | grep -c '^sleep$') -ge 4 ]; do :; done; echo ready; while :; do wait; done";
    let mut container = place.script(script);
    container.stdio = Streams { stdin: Stdio::Null, stdout: Stdio::Inherit, stderr: Stdio::Inherit };
    container
}

/// Under which numbers a process has a file open.
fn numbers(pid: i32, file: &Path) -> Vec<u32> {
    let entries = fs_err::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let open = entries.filter(|entry| std::fs::read_link(entry.path()).is_ok_and(|link| link == file));
    open.map(|entry| entry.file_name().to_str().unwrap().parse().unwrap()).collect()
}

/// Whether a process runs and is not on its way out: `PF_EXITING` in the ninth field, set before its files are closed.
fn is_at_work(pid: i32) -> bool {
    let Ok(stat) = fs_err::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    !matches!(fields[0], "Z" | "X") && fields[6].parse::<u32>().unwrap() & 0x4 == 0
}

#[test]
#[ignore = "needs root and user namespaces"]
fn a_lock_outlives_its_starter_by_as_long_as_anything_runs() {
    as_each_user(|place| {
        let path = place.path("lock");
        let mut held = place.hold_locked(&stubborn(place), &path, "true");
        assert_eq!(held.line(), "ready");
        let lock = File::options().write(true).open(&path).unwrap();
        assert!(matches!(lock.try_lock(), Err(TryLockError::WouldBlock)));
        let wish = serde_json::json!({"container": stubborn(place), "held": path});
        let second: support::Report = place.ask(&["hold"], wish);
        assert_eq!(second.error.as_deref(), Some("locked"));

        let starter = i32::try_from(held.child.id()).unwrap();
        assert!(numbers(starter, &path).is_empty(), "its own copy is closed");
        let processes = held.processes();
        assert!(processes.len() >= 6, "{processes:?}");
        for pid in &processes {
            let numbers = numbers(*pid, &path);
            assert!(numbers.len() == 1 && numbers[0] > 2, "{pid}: {numbers:?}");
        }
        // Who enters later has nothing of it.
        assert_eq!(place.exec(&held, &["ls", "/proc/self/fd"], false).stdout, "0\n1\n2\n3\n");

        let (sender, receiver) = mpsc::channel();
        let at_work = processes.clone();
        let waiter = std::thread::spawn(move || {
            lock.lock().unwrap();
            let left: Vec<i32> = at_work.into_iter().filter(|pid| is_at_work(*pid)).collect();
            sender.send(left).unwrap();
        });
        assert!(processes.iter().all(|pid| is_at_work(*pid)));
        held.child.kill().unwrap();
        let left = receiver.recv_timeout(LIMIT).expect("the lock is free again");
        assert!(left.is_empty(), "{left:?} ran on without the lock");
        waiter.join().unwrap();
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn a_lock_is_free_after_the_program() {
    as_each_user(|place| {
        let path = place.path("lock");
        for _ in 0..2 {
            let mut held = place.hold_locked(&stubborn(place), &path, "true");
            assert_eq!(held.line(), "ready");
            held.say("stop 0");
            assert_eq!(held.line(), r#"{"Signal":9}"#);
            assert!(File::open(&path).unwrap().try_lock().is_ok());
        }
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn programs_with_a_terminal_or_few_descriptors_hold_it_too() {
    as_each_user(|place| {
        for (tty, limits) in [(true, "true"), (false, "ulimit -n 100")] {
            let path = place.path("lock");
            let mut container = stubborn(place);
            container.tty = tty;
            let held = place.hold_locked(&container, &path, limits);
            let program = held.processes()[1];
            let numbers = numbers(program, &path);
            assert_eq!((numbers.len(), numbers[0] > 2), (1, true), "{numbers:?}");
            assert_eq!(numbers[0] < 100, !tty);
            drop(held);
            File::open(&path).unwrap().lock().unwrap();
        }
    });
}
