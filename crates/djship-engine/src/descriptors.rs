//! Taking over descriptors whose numbers are a convention between our own processes.

#![expect(unsafe_code, reason = "numbers become owners here and nowhere else")]

use std::os::fd::{BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

/// Where a stage finds its assignment, a memory file: standard input.
pub(crate) const ASSIGNMENT: RawFd = 0;
/// Where a stage finds the control socket: standard output.
pub(crate) const CONTROL: RawFd = 1;

/// The control socket of a stage.
pub(crate) fn control() -> BorrowedFd<'static> {
    // SAFETY: the front opens it before the stage is executed, and no stage closes descriptor 1 before it ends, except the
    // workload, which does not come back here after it replaced its streams.
    unsafe { BorrowedFd::borrow_raw(CONTROL) }
}

/// The assignment of a stage.
pub(crate) fn assignment() -> BorrowedFd<'static> {
    // SAFETY: as for `control`.
    unsafe { BorrowedFd::borrow_raw(ASSIGNMENT) }
}

/// Owns a descriptor that the previous stage left open under an agreed number.
///
/// Each number is taken once, right after a stage begins, before anything else is opened.
pub(crate) fn take_over(number: RawFd) -> Option<OwnedFd> {
    // SAFETY: F_GETFD only looks; a number that is not open gives an error.
    if number <= CONTROL || unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return None;
    }
    // SAFETY: it is open (checked above), and by the convention nobody else in this process owns it.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Marks every descriptor from `first` on close-on-exec.
pub(crate) fn close_on_exec_from(first: u32) {
    // SAFETY: only sets flags. Kernels without the call (before 5.11) ignore it; everything we open is close-on-exec anyway.
    unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
}

/// Closes every descriptor from `first` on. Only right at the start of a stage, when nothing of ours is open yet.
pub(crate) fn close_from(first: u32) {
    // SAFETY: no owner of any of these numbers exists yet. On kernels without the call they merely stay open.
    unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
}
