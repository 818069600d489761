//! PID 1 of a container: finishes the set-up, starts the program, passes signals on, collects the dead, and exits when the
//! program has ended or the front is gone. With PID 1 the kernel ends every process inside, and with the last of them every
//! mount.

use std::{
    ffi::OsString,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::{Errno, FdFlags, fcntl_setfd},
    process::{DumpableBehavior, WaitOptions, set_dumpable_behavior, setsid, wait},
    thread::CapabilitySet,
};

use super::{
    at, capabilities, held, read_assignment, root_view, signals,
    terminal::{self, CallerTerminal},
    workload::{self, Child},
};
use crate::{
    assignment::Assignment,
    control::{self, Event},
    descriptors,
    error::{ExitStatus, Fault, Step},
};

/// What the front is told by nobody when it is gone: the code of a process killed by SIGKILL.
const ABANDONED: i32 = 137;

pub(super) fn run(arguments: &[OsString]) -> Result<i32, Fault> {
    // Nobody inside may look into this process: it holds handles of the host, and its binary is the host's.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(at(Step::StartInit))?;
    let _ = rustix::thread::set_name(c"djship-init");
    let mut handed_on = take_handed_on(arguments)?.into_iter();
    let (Some(root), Some(landing)) = (handed_on.next(), handed_on.next()) else {
        return Err(at(Step::StartInit)(Errno::BADF));
    };
    let assignment: Assignment = read_assignment()?;
    let streams = workload::receive_streams()?;
    let held = held::receive(assignment.held)?;
    // A session of its own: what is typed at the caller's terminal reaches the caller alone, which decides.
    setsid().map_err(at(Step::StartInit))?;
    let signals = signals::open().map_err(at(Step::PrepareSignals))?;

    root_view::build(&assignment, &root, &landing, handed_on)?;
    drop((root, landing));

    let (streams, caller_terminal) = terminal::arrange(&assignment.workload, streams)?;
    let child = match workload::start(&assignment.workload, streams, &held)? {
        workload::Outcome::Running(child) => child,
        workload::Outcome::Failed(event) => {
            let _ = control::send_event(descriptors::control(), &event, None);
            return Ok(super::FAILED);
        }
    };
    let one_user = assignment.identity.uids.len() == 1;
    drop(assignment);
    withdraw(one_user)?;
    control::send_event(descriptors::control(), &Event::Started, None).map_err(at(Step::StartInit))?;
    Ok(watch(&child, &signals, caller_terminal.as_ref()))
}

/// The descriptors that the stage left open, by their numbers.
fn take_handed_on(arguments: &[OsString]) -> Result<Vec<OwnedFd>, Fault> {
    let mut taken = Vec::new();
    for argument in arguments {
        let number = argument.to_str().and_then(|text| text.parse().ok());
        let descriptor =
            number.and_then(descriptors::take_over).ok_or_else(|| at(Step::StartInit)(Errno::BADF))?;
        fcntl_setfd(&descriptor, FdFlags::CLOEXEC).map_err(at(Step::StartInit))?;
        taken.push(descriptor);
    }
    Ok(taken)
}

/// From here on PID 1 needs next to nothing. It lets go of the assignment, which holds the environment, and of its
/// capabilities, except for the right to signal where programs may run as other users.
fn withdraw(one_user: bool) -> Result<(), Fault> {
    if let Ok(null) = std::fs::File::open("/dev/null") {
        let _ = rustix::stdio::dup2_stdin(&null);
    }
    let kept = if one_user { CapabilitySet::empty() } else { CapabilitySet::KILL };
    capabilities::keep_only(kept).map_err(at(Step::DropPrivileges))
}

/// Watches until the program has ended or the front is gone; returns this process' exit code.
fn watch(child: &Child, signals: &OwnedFd, caller_terminal: Option<&CallerTerminal>) -> i32 {
    let lifeline = descriptors::control();
    // Whichever is seen first: when the front is killed, its end of the program's terminal goes, too, and may end the program.
    let restore = || caller_terminal.map_or((), CallerTerminal::restore);
    loop {
        if let Some(status) = collect(child) {
            restore();
            let _ = control::send_event(lifeline, &Event::Ended(status), None);
            return status.code();
        }
        if wait_for_news(signals, lifeline) == News::FrontGone {
            restore();
            return ABANDONED;
        }
        while let Some(signal) = signals::next(signals) {
            signals::send(child.pid(), signal);
        }
    }
}

/// Collects every process that has ended, orphans included, and says how the program ended if it is among them.
fn collect(child: &Child) -> Option<ExitStatus> {
    loop {
        // Not `waitpid(None)`: that is the own process group, and the program has a session of its own.
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid.as_raw_nonzero().get() == child.pid() => {
                if let Some(status) = workload::translate(status) {
                    return Some(status);
                }
            }
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) | Err(_) => return None,
        }
    }
}

/// Why [`wait_for_news`] came back.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    Signal,
    FrontGone,
}

/// Sleeps until a signal arrives or the front is gone.
pub(super) fn wait_for_news(signals: &OwnedFd, lifeline: BorrowedFd<'_>) -> News {
    loop {
        let mut watched = [
            PollFd::new(signals, PollFlags::IN),
            PollFd::from_borrowed_fd(lifeline.as_fd(), PollFlags::empty()),
        ];
        match poll(&mut watched, None) {
            Ok(_) => {
                let gone = watched[1].revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL);
                // A program that has ended is reported even when the front goes at the same time.
                return if gone && watched[0].revents().is_empty() { News::FrontGone } else { News::Signal };
            }
            Err(Errno::INTR) => {}
            Err(_) => return News::FrontGone,
        }
    }
}
