//! Enters a running container and runs one more program there.
//!
//! This helper stays outside the container's PID namespace (a process cannot change its own) and waits for the program. Its
//! binary is PID 1's protected copy, and it cannot be looked into from inside.

use std::os::fd::AsFd as _;

use rustix::{
    io::Errno,
    process::{
        DumpableBehavior, Pid, PidfdFlags, WaitOptions, chdir, getpid, pidfd_open, set_dumpable_behavior,
        setsid, waitpid,
    },
    thread::{CapabilitySet, ThreadNameSpaceType, move_into_thread_name_spaces},
};

use super::{
    at, capabilities,
    init::{News, wait_for_news},
    read_assignment, signals,
    terminal::{self, CallerTerminal},
    user_namespace,
    workload::{self, Outcome},
};
use crate::{
    assignment::JoinAssignment,
    control::{self, Event},
    descriptors,
    error::{Fault, Step},
    record::start_time,
};

pub(super) fn run() -> Result<i32, Fault> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(at(Step::JoinNamespaces))?;
    let _ = rustix::thread::set_name(c"djship-exec");
    let pid = getpid().as_raw_nonzero().get();
    control::send_event(descriptors::control(), &Event::Born { pid }, None)
        .map_err(at(Step::JoinNamespaces))?;
    let assignment: JoinAssignment = read_assignment()?;
    let streams = workload::receive_streams()?;
    setsid().map_err(at(Step::JoinNamespaces))?;
    let signals = signals::open().map_err(at(Step::PrepareSignals))?;
    enter(&assignment)?;
    let (streams, caller_terminal) = terminal::arrange(&assignment.workload, streams)?;
    let child = match workload::start(&assignment.workload, streams, &[])? {
        Outcome::Running(child) => child,
        Outcome::Failed(event) => {
            let _ = control::send_event(descriptors::control(), &event, None);
            return Ok(super::FAILED);
        }
    };
    drop(assignment);
    // The right to signal the program, which may be another user's, is all that is needed from here on.
    capabilities::keep_only(CapabilitySet::KILL).map_err(at(Step::DropPrivileges))?;
    control::send_event(descriptors::control(), &Event::Started, None).map_err(at(Step::JoinNamespaces))?;

    let lifeline = descriptors::control();
    let restore = || caller_terminal.as_ref().map_or((), CallerTerminal::restore);
    loop {
        match waitpid(Pid::from_raw(child.pid()), WaitOptions::NOHANG) {
            Ok(Some((_, status))) => {
                if let Some(status) = workload::translate(status) {
                    restore();
                    let _ = control::send_event(lifeline, &Event::Ended(status), None);
                    return Ok(status.code());
                }
            }
            Ok(None) | Err(Errno::INTR) => {}
            Err(errno) => return Err(at(Step::StartProgram)(errno)),
        }
        if wait_for_news(&signals, lifeline) == News::FrontGone {
            signals::send(child.pid(), libc::SIGKILL);
            restore();
            return Ok(128 + libc::SIGKILL);
        }
        while let Some(signal) = signals::next(&signals) {
            signals::send(child.pid(), signal);
        }
    }
}

/// Enters all namespaces of the container at once, and becomes its owner.
fn enter(assignment: &JoinAssignment) -> Result<(), Fault> {
    let fault = at(Step::JoinNamespaces);
    let pid = Pid::from_raw(assignment.pid).ok_or_else(|| fault(Errno::SRCH))?;
    // First the handle, then the check: from then on it is one and the same process.
    let container = pidfd_open(pid, PidfdFlags::empty()).map_err(&fault)?;
    if !start_time(assignment.pid).is_ok_and(|time| time == assignment.start_time) {
        return Err(fault(Errno::SRCH));
    }
    let mut namespaces = ThreadNameSpaceType::USER
        | ThreadNameSpaceType::MOUNT
        | ThreadNameSpaceType::PROCESS_ID
        | ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION
        | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME
        | ThreadNameSpaceType::CONTROL_GROUP;
    if !assignment.workload.host_network {
        // Entering the host's own network again is refused to users.
        namespaces |= ThreadNameSpaceType::NETWORK;
    }
    move_into_thread_name_spaces(container.as_fd(), namespaces).map_err(&fault)?;
    user_namespace::take_ids(assignment.owner)?;
    chdir("/").map_err(&fault)
}
