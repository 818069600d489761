//! The first process: makes the namespaces, opens every source on the host while it still can, mounts the root, becomes the
//! container's owner, gives birth to PID 1 and ends.
//!
//! PID 1 is born as a child of the *front* (`CLONE_PARENT`), so no process of the host's PID namespace stays between the
//! two, and the front waits for PID 1 itself.

#![expect(unsafe_code, reason = "clone with CLONE_PARENT, execveat and unshare have no safe form")]

use std::{
    ffi::CString,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
};

use rustix::{
    io::{Errno, FdFlags, fcntl_setfd},
    mount::{MountPropagationFlags, mount_change},
    pipe::{PipeFlags, pipe_with},
    thread::{UnshareFlags, unshare_unsafe},
};

use super::{
    ARGV0, Role, at, capabilities, executable, overlay, read_assignment, root_owned, sources, trees,
    user_namespace,
};
use crate::{
    assignment::Assignment,
    control::{self, Event},
    descriptors,
    error::{Fault, Step},
    identity::MapWriter,
};

pub(super) fn run() -> Result<i32, Fault> {
    let assignment: Assignment = read_assignment()?;
    let left_behind = root_owned::leave_behind(&assignment)?;
    user_namespace::enter(&assignment.identity)?;
    let mut namespaces = UnshareFlags::NEWNS
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWCGROUP;
    if assignment.own_network {
        namespaces |= UnshareFlags::NEWNET;
    }
    // SAFETY: the descriptor table is not among the flags.
    unsafe { unshare_unsafe(namespaces) }.map_err(at(Step::CreateNamespaces))?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(at(Step::SeparateMounts))?;
    if let Some(left_behind) = left_behind {
        left_behind.finish()?;
    }

    // Still real root when started by root: that alone can reach a store in a folder that is closed to others.
    let own_binary = executable::Own::open()?;
    let mut opened = sources::Sources::list(&assignment, own_binary.path());
    if assignment.identity.writer == MapWriter::Root {
        opened.open_without_links();
    }
    user_namespace::become_owner(&assignment.identity)?;
    opened.open_rest()?;
    let mut sources = opened.finish()?;

    let binary = own_binary.protect(sources.own_binary.take())?;
    let root = overlay::mount(&assignment, &sources)?;
    let trees = trees::make(&assignment, &sources)?;

    let mut handed_on = vec![&root, &sources.landing];
    handed_on.extend(&trees);
    give_birth(&binary, &handed_on)?;
    Ok(0)
}

/// Starts PID 1 with the given descriptors left open for it, and tells the front its number.
fn give_birth(binary: &OwnedFd, handed_on: &[&OwnedFd]) -> Result<(), Fault> {
    capabilities::keep_across_exec().map_err(at(Step::StartInit))?;
    for descriptor in handed_on {
        fcntl_setfd(descriptor, FdFlags::empty()).map_err(at(Step::StartInit))?;
    }
    let numbers = handed_on.iter().map(|descriptor| descriptor.as_raw_fd().to_string());
    let arguments: Vec<CString> = [ARGV0.to_owned(), Role::Init.name().to_owned()]
        .into_iter()
        .chain(numbers)
        .filter_map(|text| CString::new(text).ok())
        .collect();
    // PID 1 waits until the front was told its number, so that nothing it says itself comes first.
    let (gate, opener) = pipe_with(PipeFlags::CLOEXEC).map_err(at(Step::StartInit))?;
    // SAFETY: this process has one thread, so the child is a complete copy of it. The raw call is needed for CLONE_PARENT;
    // the child only reads, executes, or reports and leaves.
    let child = unsafe { libc::syscall(libc::SYS_clone, libc::CLONE_PARENT | libc::SIGCHLD, 0, 0, 0, 0) };
    match child {
        0 => {
            drop(opener);
            let mut byte = [0_u8; 1];
            if rustix::io::read(&gate, &mut byte) == Ok(1) {
                let fault = at(Step::StartInit)(execute(binary.as_fd(), &arguments));
                let _ = control::send_event(descriptors::control(), &Event::Failed(fault), None);
            }
            std::process::exit(super::FAILED)
        }
        pid if pid > 0 => {
            let pid = i32::try_from(pid).map_err(|_| at(Step::StartInit)(Errno::OVERFLOW))?;
            control::send_event(descriptors::control(), &Event::Born { pid }, None)
                .map_err(at(Step::StartInit))?;
            rustix::io::write(&opener, b"g").map_err(at(Step::StartInit))?;
            Ok(())
        }
        _ => Err(at(Step::StartInit)(super::errno(&std::io::Error::last_os_error()))),
    }
}

/// Executes an open file with an empty environment; returns only with the reason why not.
fn execute(binary: BorrowedFd<'_>, arguments: &[CString]) -> Errno {
    let mut pointers: Vec<_> = arguments.iter().map(|argument| argument.as_ptr()).collect();
    pointers.push(std::ptr::null());
    let environment = [std::ptr::null::<libc::c_char>()];
    // SAFETY: both arrays end with a null pointer, and everything they point to outlives the call.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            binary.as_raw_fd(),
            c"".as_ptr(),
            pointers.as_ptr(),
            environment.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    super::errno(&std::io::Error::last_os_error())
}
