//! Terminals: the program's own, and the order in which the caller's is left.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on fails")]

mod support;

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::OwnedFd,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};
use support::{Place, as_each_user};

/// A terminal window with a shell in it, from which the caller was started.
struct Window {
    controller: File,
    terminal: OwnedFd,
    shell: Child,
    seen: String,
}

impl Window {
    /// Opens a window and runs `engine-trial terminal` in it.
    fn open(place: &Place, more: serde_json::Value) -> Self {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        unlockpt(&controller).unwrap();
        tcsetwinsize(&controller, size(50, 20)).unwrap();
        let terminal =
            ioctl_tiocgptpeer(&controller, OpenptFlags::RDWR | OpenptFlags::CLOEXEC | OpenptFlags::NOCTTY)
                .unwrap();
        let mut command = place.user.command("setsid");
        // The kernel hangs a terminal up when the leader of its session ends, which the caller is not in real life, either.
        command.args(["--ctty", "sh", "-c", "\"$@\"; echo left $?; read wait", "sh"]);
        command.arg(place.binary()).arg("terminal").arg(place.wish(more));
        let copy = || Stdio::from(terminal.try_clone().unwrap());
        let shell = command.stdin(copy()).stdout(copy()).stderr(copy()).spawn().unwrap();
        Self { controller: controller.into(), terminal, shell, seen: String::new() }
    }

    fn caller(&self) -> Pid {
        let shell = i32::try_from(self.shell.id()).unwrap();
        let binary =
            |pid: &i32| fs_err::read_link(format!("/proc/{pid}/exe")).unwrap().ends_with("engine-trial");
        let caller = support::descendants(shell).into_iter().find(binary).expect("the caller");
        Pid::from_raw(caller).unwrap()
    }

    /// Reads until `text` has appeared after everything awaited before.
    fn await_text(&mut self, text: &str) {
        self.await_both(text, text);
    }

    /// The same for two texts in any order.
    fn await_both(&mut self, one: &str, other: &str) {
        let mut buffer = [0_u8; 4096];
        while !(self.seen.contains(one) && self.seen.contains(other)) {
            let limit = Timespec { tv_sec: 20, tv_nsec: 0 };
            let readable = poll(&mut [PollFd::new(&self.controller, PollFlags::IN)], Some(&limit)).unwrap();
            assert_eq!(readable, 1, "waited for {one:?} and {other:?}, saw {:?}", self.seen);
            let length =
                self.controller.read(&mut buffer).unwrap_or_else(|error| panic!("{error}: {:?}", self.seen));
            self.seen.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
        let end = [one, other].map(|text| self.seen.find(text).unwrap() + text.len());
        self.seen.drain(..end[0].max(end[1]));
    }

    fn type_text(&mut self, text: &str) {
        self.controller.write_all(text.as_bytes()).unwrap();
    }

    fn is_raw(&self) -> bool {
        !tcgetattr(&self.terminal).unwrap().local_modes.contains(LocalModes::ICANON)
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

fn size(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 }
}

const SHELL: &str = "tty; stty size; trap 'stty size' WINCH; trap 'echo interrupted' INT; echo ready; \
    while read line; do echo got $line; done; exit 3";

#[test]
#[ignore = "needs root and user namespaces"]
fn a_session_at_the_callers_terminal() {
    as_each_user(|place| {
        let mut container = place.container(["/bin/bash", "-c", SHELL]);
        container.tty = true;
        let mut window = Window::open(place, serde_json::json!({"container": container}));
        window.await_text("/dev/pts/0");
        window.await_text("20 50");
        window.await_text("ready");
        assert!(window.is_raw(), "keys go to the program as they are typed");
        window.type_text("hello\r");
        window.await_text("got hello");
        tcsetwinsize(&window.controller, size(70, 30)).unwrap();
        // A line wakes the shell when the signal came just before it began to read.
        window.type_text("x\r");
        window.await_both("30 70", "got x");
        // Ctrl-C goes to the program, not to the caller.
        window.type_text("\x03");
        window.type_text("y\r");
        window.await_both("interrupted", "got y");
        // Ctrl-D ends its input.
        window.type_text("\x04");
        window.await_text("left 3");
        assert!(!window.is_raw(), "the caller's terminal is in order again");
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn entering_gives_a_terminal_too() {
    as_each_user(|place| {
        let mut container = place.script("echo ready; exec sleep 1000");
        container.stdio.stdin = djship_engine::Stdio::Null;
        let mut held = place.hold(&container);
        assert_eq!(held.line(), "ready");
        let argv = ["/bin/bash", "-c", SHELL];
        let mut window = Window::open(place, serde_json::json!({"record": held.record(), "argv": argv}));
        window.await_text("/dev/pts/0");
        window.await_text("20 50");
        window.await_text("ready");
        window.type_text("x\r\x04");
        window.await_text("got x");
        window.await_text("left 3");
        assert!(!window.is_raw());
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn a_killed_caller_leaves_its_terminal_in_order() {
    as_each_user(|place| {
        let mut container = place.container(["/bin/bash", "-c", SHELL]);
        container.tty = true;
        let mut window = Window::open(place, serde_json::json!({"container": container}));
        window.await_text("ready");
        assert!(window.is_raw());
        kill_process(window.caller(), Signal::KILL).unwrap();
        window.await_text("left 137");
        // PID 1 of the container does it on its way out; there is nothing to be notified by.
        let limit = Instant::now() + Duration::from_secs(20);
        while window.is_raw() {
            assert!(Instant::now() < limit, "still raw");
            std::thread::yield_now();
        }
    });
}
