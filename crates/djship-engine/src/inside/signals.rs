//! Signals of PID 1 and of joining helpers: blocked, and read from a descriptor.

#![expect(unsafe_code, reason = "signal masks, dispositions and signalfd have no safe form")]

use std::os::fd::{FromRawFd as _, OwnedFd};

use rustix::io::Errno;

/// What is passed on to the program.
const FORWARDED: [i32; 9] = [
    libc::SIGTERM,
    libc::SIGINT,
    libc::SIGHUP,
    libc::SIGQUIT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGWINCH,
    libc::SIGCONT,
    libc::SIGALRM,
];

/// Blocks the forwarded signals and SIGCHLD, and opens a descriptor that delivers them.
pub(super) fn open() -> Result<OwnedFd, Errno> {
    // SAFETY: the set is initialised by sigemptyset before it is used; all calls take valid pointers.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        for signal in FORWARDED {
            libc::sigaddset(&raw mut set, signal);
        }
        if libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) != 0 {
            return Err(super::errno(&std::io::Error::last_os_error()));
        }
        let descriptor = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        if descriptor < 0 {
            return Err(super::errno(&std::io::Error::last_os_error()));
        }
        Ok(OwnedFd::from_raw_fd(descriptor))
    }
}

/// The next signal to pass on; `None` when there is none for now. SIGCHLD is left out.
pub(super) fn next(descriptor: &OwnedFd) -> Option<i32> {
    let mut record = [0_u8; size_of::<libc::signalfd_siginfo>()];
    loop {
        match rustix::io::read(descriptor, &mut record) {
            // The number is the first field.
            Ok(length) if length == record.len() => {
                let number = i32::from_ne_bytes([record[0], record[1], record[2], record[3]]);
                if number != libc::SIGCHLD {
                    return Some(number);
                }
            }
            Err(Errno::INTR) => {}
            _ => return None,
        }
    }
}

/// Passes a signal on to one process.
pub(super) fn send(pid: i32, signal: i32) {
    // SAFETY: plain system call. A process that has ended meanwhile is a zombie until we collect it, so the number is its own.
    unsafe { libc::kill(pid, signal) };
}

/// What every program expects: nothing blocked, nothing ignored. Rust ignores SIGPIPE, and who started djship may have
/// ignored others (`nohup`).
pub(super) fn reset() {
    // The C library keeps two signals to itself and does not reset those, so the kernel is asked directly. All zeros is the
    // default action; the structure is at most this large anywhere.
    let default = [0_u64; 8];
    // SAFETY: the action is valid, and numbers that cannot be set are refused; the set is initialised by sigemptyset.
    unsafe {
        for signal in 1..=64 {
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), 0_usize, size_of::<u64>());
        }
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut());
    }
}
