//! Terminals: one of the container's own for the program, and the caller's, kept only to put it in order again.

use std::os::fd::{AsFd as _, OwnedFd};

use rustix::{
    fs::{CWD, Gid, Mode, OFlags, Uid, fchown, openat},
    pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt},
    termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize},
};

use super::{at, workload::Streams};
use crate::{
    assignment::Workload,
    control::{self, Event},
    descriptors,
    error::{Fault, Step},
};

/// The terminal at which the caller sits, and its settings before the caller changed them.
#[derive(Debug)]
pub(super) struct CallerTerminal {
    descriptor: OwnedFd,
    settings: Termios,
}

impl CallerTerminal {
    fn remember(descriptor: OwnedFd) -> Option<Self> {
        let settings = tcgetattr(&descriptor).ok()?;
        Some(Self { descriptor, settings })
    }

    /// Undoes raw mode after the caller was killed. It is not our controlling terminal, so the kernel does not mind that we are
    /// in the background.
    pub(super) fn restore(&self) {
        let _ = tcsetattr(&self.descriptor, OptionalActions::Now, &self.settings);
    }
}

/// Decides what the program gets as streams: those sent by the front, or a new terminal whose other end the front gets.
pub(super) fn arrange(
    workload: &Workload,
    mut received: Vec<OwnedFd>,
) -> Result<(Streams, Option<CallerTerminal>), Fault> {
    let caller = if received.len() > 3 { received.pop().and_then(CallerTerminal::remember) } else { None };
    if workload.tty {
        return Ok((Streams::Terminal(open(workload, caller.as_ref())?), caller));
    }
    Ok((Streams::Separate(received), caller))
}

fn open(workload: &Workload, caller: Option<&CallerTerminal>) -> Result<OwnedFd, Fault> {
    let fault = at(Step::OpenTerminal);
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let controller = openat(CWD, "/dev/ptmx", flags, Mode::empty()).map_err(&fault)?;
    unlockpt(&controller).map_err(&fault)?;
    if let Some(size) = caller.and_then(|caller| tcgetwinsize(&caller.descriptor).ok()) {
        // The front keeps it up to date, but the program asks for it first.
        let _ = tcsetwinsize(&controller, size);
    }
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let terminal = ioctl_tiocgptpeer(&controller, flags).map_err(&fault)?;
    // Where it is another user inside; otherwise it is the owner already.
    let (uid, gid) = (Uid::from_raw(workload.uid), Gid::from_raw(workload.gid));
    let _ = fchown(&terminal, Some(uid), Some(gid));
    control::send_event(descriptors::control(), &Event::Terminal, Some(controller.as_fd()))
        .map_err(&fault)?;
    Ok(terminal)
}
