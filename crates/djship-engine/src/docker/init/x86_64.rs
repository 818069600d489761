//! The entry and the system calls of x86-64.

use core::arch::{asm, global_asm};

global_asm!(
    ".globl _start",
    "_start:",
    "xor %ebp, %ebp",
    "mov %rsp, %rdi",
    "and $-16, %rsp",
    "call enter",
    options(att_syntax)
);

pub(crate) const READ: usize = 0;
pub(crate) const WRITE: usize = 1;
pub(crate) const CLOSE: usize = 3;
pub(crate) const RT_SIGPROCMASK: usize = 14;
pub(crate) const IOCTL: usize = 16;
pub(crate) const GETPID: usize = 39;
pub(crate) const CLONE: usize = 56;
pub(crate) const EXECVE: usize = 59;
pub(crate) const WAIT4: usize = 61;
pub(crate) const KILL: usize = 62;
pub(crate) const FCNTL: usize = 72;
pub(crate) const SETSID: usize = 112;
pub(crate) const EXIT_GROUP: usize = 231;
pub(crate) const OPENAT: usize = 257;
pub(crate) const PPOLL: usize = 271;
pub(crate) const SIGNALFD4: usize = 289;
pub(crate) const DUP3: usize = 292;
pub(crate) const PIPE2: usize = 293;

/// SAFETY: what the call asks for.
pub(crate) unsafe fn call(number: usize, arguments: [usize; 5]) -> isize {
    let [a, b, c, d, e] = arguments;
    let result: isize;
    // SAFETY: the kernel's calling convention; the rest is the caller's promise.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e,
            lateout("rcx") _, lateout("r11") _,
            options(nostack)
        );
    }
    result
}
