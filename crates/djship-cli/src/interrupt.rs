//! Ctrl-C and TERM while a container runs: the container is asked to end, then made to.

use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use djship_engine::{ExitStatus, Running, WaitError};
use rustix::event::{PollFd, PollFlags, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::errors::{Kind, Report};

/// How long a server may take to finish its requests.
const GRACE: Duration = Duration::from_secs(10);

/// Notices Ctrl-C and TERM from now on.
pub(crate) struct Interrupts(UnixStream);

/// The exit code of a command that Ctrl-C ended, as shells have it.
pub(crate) const INTERRUPTED: i32 = 130;

/// Passes Ctrl-C and TERM on, each as a byte with the signal's number, once there is something to end properly. Before, they
/// end the process: whatever it started ends with it.
pub(crate) fn forward(properly: Arc<AtomicBool>) -> Result<UnixStream, Report> {
    let failed =
        |error: std::io::Error| Report::new(Kind::Host, "cannot notice Ctrl-C").line(error.to_string());
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(failed)?;
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            if !properly.load(Ordering::SeqCst) {
                std::process::exit(INTERRUPTED);
            }
            let number = u8::try_from(signal).unwrap_or_default();
            let _ = (&ours).write_all(&[number]);
        }
    });
    Ok(theirs)
}

impl Interrupts {
    pub(crate) fn watch() -> Result<Self, std::io::Error> {
        Self::of(&[SIGINT, SIGTERM])
    }

    /// The same, and the end of the terminal, unless that was made not to matter (`nohup`).
    pub(crate) fn watch_terminal() -> Result<Self, std::io::Error> {
        if is_ignored(SIGHUP) { Self::watch() } else { Self::of(&[SIGINT, SIGTERM, SIGHUP]) }
    }

    fn of(signals: &[i32]) -> Result<Self, std::io::Error> {
        let (reader, writer) = UnixStream::pair()?;
        for &signal in signals {
            signal_hook::low_level::pipe::register(signal, writer.try_clone()?)?;
        }
        Ok(Self(reader))
    }

    /// Whether a signal came.
    pub(crate) fn came(&self) -> bool {
        let mut watched = [PollFd::from_borrowed_fd(self.0.as_fd(), PollFlags::IN)];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut watched, Some(&now)).is_ok_and(|ready| ready > 0)
    }

    /// Waits for the container to end; asks it to when a signal comes.
    pub(crate) fn wait(&self, running: &mut Running) -> Result<ExitStatus, WaitError> {
        loop {
            let mut watched = [
                PollFd::from_borrowed_fd(running.as_pidfd(), PollFlags::IN),
                PollFd::from_borrowed_fd(self.0.as_fd(), PollFlags::IN),
            ];
            // A signal that only interrupts the wait has written to the pipe: the next round sees it.
            let _ = poll(&mut watched, None);
            let interrupted = watched[1].revents().contains(PollFlags::IN);
            if interrupted {
                return running.stop(GRACE);
            }
            if let Some(status) = running.try_wait()? {
                return Ok(status);
            }
        }
    }
}

/// Whether this process was started so that a signal does nothing (proc_pid_status(5)).
fn is_ignored(signal: i32) -> bool {
    let status = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap_or_default();
    u64::from_str_radix(mask.trim(), 16).is_ok_and(|mask| mask & (1 << (signal - 1)) != 0)
}
