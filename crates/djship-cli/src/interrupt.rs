//! Ctrl-C and TERM while a container runs: the container is asked to end, then made to.

use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use djship_engine::{ExitStatus, Running, WaitError};
use rustix::event::{PollFd, PollFlags, poll};
use signal_hook::consts::{SIGINT, SIGTERM};

/// How long a server may take to finish its requests.
const GRACE: Duration = Duration::from_secs(10);

/// Notices Ctrl-C and TERM from now on.
pub(crate) struct Interrupts(UnixStream);

impl Interrupts {
    pub(crate) fn watch() -> Result<Self, std::io::Error> {
        let (reader, writer) = UnixStream::pair()?;
        for signal in [SIGINT, SIGTERM] {
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
