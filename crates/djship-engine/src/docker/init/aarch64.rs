//! The entry and the system calls of 64-bit ARM.

use core::arch::{asm, global_asm};

global_asm!(".globl _start", "_start:", "mov x29, #0", "mov x0, sp", "bl enter");

pub(crate) const DUP3: usize = 24;
pub(crate) const FCNTL: usize = 25;
pub(crate) const IOCTL: usize = 29;
pub(crate) const OPENAT: usize = 56;
pub(crate) const CLOSE: usize = 57;
pub(crate) const PIPE2: usize = 59;
pub(crate) const READ: usize = 63;
pub(crate) const WRITE: usize = 64;
pub(crate) const PPOLL: usize = 73;
pub(crate) const SIGNALFD4: usize = 74;
pub(crate) const EXIT_GROUP: usize = 94;
pub(crate) const KILL: usize = 129;
pub(crate) const RT_SIGPROCMASK: usize = 135;
pub(crate) const SETSID: usize = 157;
pub(crate) const GETPID: usize = 172;
pub(crate) const CLONE: usize = 220;
pub(crate) const EXECVE: usize = 221;
pub(crate) const WAIT4: usize = 260;

/// SAFETY: what the call asks for.
pub(crate) unsafe fn call(number: usize, arguments: [usize; 5]) -> isize {
    let [a, b, c, d, e] = arguments;
    let result: isize;
    // SAFETY: the kernel's calling convention; the rest is the caller's promise.
    unsafe {
        asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a as isize => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e,
            options(nostack)
        );
    }
    result
}
