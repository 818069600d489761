//! Descriptors that the program holds for the caller, such as that of a locked file.
//!
//! PID 1 holds them as well, in case the program closes what it does not know. It alone would not do: the kernel closes PID 1's
//! files before it ends everything else inside.

use std::os::fd::{OwnedFd, RawFd};

use rustix::io::{Errno, FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};

use super::at;
use crate::{
    control, descriptors,
    error::{Fault, Step},
};

/// Above what shells and other programs number themselves, and below the usual limit of 1024.
const FIRST: RawFd = 900;

/// Receives as many as the front sends after the streams.
pub(super) fn receive(count: usize) -> Result<Vec<OwnedFd>, Fault> {
    let mut held = Vec::new();
    for _ in 0..count {
        let received = control::receive_descriptors(descriptors::control()).map_err(at(Step::ReceiveHeld))?;
        // A message without one: this process may not open as many files.
        held.push(received.into_iter().next().ok_or_else(|| at(Step::ReceiveHeld)(Errno::MFILE))?);
    }
    Ok(held)
}

/// Copies that stay open in the program; to be kept until it is executed.
pub(super) fn keep(held: &[OwnedFd]) -> Result<Vec<OwnedFd>, Errno> {
    let keep = |descriptor| {
        let copy = match fcntl_dupfd_cloexec(descriptor, FIRST) {
            // Above the limit of this process.
            Err(Errno::INVAL | Errno::MFILE) => fcntl_dupfd_cloexec(descriptor, 3),
            other => other,
        }?;
        fcntl_setfd(&copy, FdFlags::empty())?;
        Ok(copy)
    };
    held.iter().map(keep).collect()
}
