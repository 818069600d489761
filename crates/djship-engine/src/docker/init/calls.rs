//! The system calls that are needed, and what the compiler takes for granted.

use crate::machine::{self, call};

pub(crate) const KILL: i32 = 9;
pub(crate) const CHILD: i32 = 17;
pub(crate) const AGAIN: isize = -11;
pub(crate) const NOT_FOUND: u8 = 2;
pub(crate) const NO_FOLDER: u8 = 20;
const INTERRUPTED: isize = -4;
/// Folders in which relative paths begin: the current one.
const CURRENT: usize = (-100_isize).cast_unsigned();
const CLOSE_ON_EXEC: usize = 0o2_000_000;
const NON_BLOCKING: usize = 0o4000;
const READ_WRITE: usize = 2;
const NO_CONTROLLING: usize = 0o400;

/// How a child ended.
#[derive(Clone, Copy)]
pub(crate) enum Reaped {
    Code(u8),
    Signal(u8),
}

/// What poll(2) is told of a descriptor; a negative one is left out.
#[repr(C)]
pub(crate) struct PollFd {
    descriptor: i32,
    wanted: i16,
    found: i16,
}

impl PollFd {
    pub(crate) const NONE: Self = Self { descriptor: -1, wanted: 0, found: 0 };

    pub(crate) fn input(descriptor: i32) -> Self {
        Self { descriptor, wanted: 1, found: 0 }
    }

    pub(crate) fn output(descriptor: i32) -> Self {
        Self { descriptor, wanted: 4, found: 0 }
    }

    /// Only its end is of interest.
    pub(crate) fn hang_up(descriptor: i32) -> Self {
        Self { descriptor, wanted: 0, found: 0 }
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.found != 0
    }
}

fn simple(number: usize, arguments: [usize; 5]) -> isize {
    loop {
        // SAFETY: every caller in this file gives what the call's manual asks for, with pointers that live long enough.
        let result = unsafe { call(number, arguments) };
        if result != INTERRUPTED {
            return result;
        }
    }
}

fn checked(result: isize) -> Result<i32, u8> {
    if result < 0 { Err(u8::try_from(-result).unwrap_or(u8::MAX)) } else { Ok(result as i32) }
}

fn number(descriptor: i32) -> usize {
    descriptor as isize as usize
}

pub(crate) fn exit(code: i32) -> ! {
    loop {
        simple(machine::EXIT_GROUP, [number(code), 0, 0, 0, 0]);
    }
}

pub(crate) fn read(descriptor: i32, buffer: &mut [u8]) -> isize {
    simple(machine::READ, [number(descriptor), buffer.as_mut_ptr() as usize, buffer.len(), 0, 0])
}

pub(crate) fn write(descriptor: i32, bytes: &[u8]) -> isize {
    simple(machine::WRITE, [number(descriptor), bytes.as_ptr() as usize, bytes.len(), 0, 0])
}

pub(crate) fn write_all(descriptor: i32, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match usize::try_from(write(descriptor, bytes)) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or(&[]),
            Err(_) => return,
        }
    }
}

pub(crate) fn close(descriptor: i32) {
    simple(machine::CLOSE, [number(descriptor), 0, 0, 0, 0]);
}

pub(crate) fn duplicate(descriptor: i32, as_number: i32) {
    simple(machine::DUP3, [number(descriptor), number(as_number), 0, 0, 0]);
}

pub(crate) fn pipe() -> Result<(i32, i32), u8> {
    let mut ends = [0_i32; 2];
    checked(simple(machine::PIPE2, [ends.as_mut_ptr() as usize, CLOSE_ON_EXEC, 0, 0, 0]))?;
    Ok((ends[0], ends[1]))
}

fn open(path: &[u8], flags: usize) -> Result<i32, u8> {
    checked(simple(machine::OPENAT, [CURRENT, path.as_ptr() as usize, flags | CLOSE_ON_EXEC, 0, 0]))
}

pub(crate) fn open_null() -> Result<i32, u8> {
    open(b"/dev/null\0", 0)
}

/// Both ends of a new terminal: pts(4).
pub(crate) fn terminal() -> Result<(i32, i32), u8> {
    const SET_LOCK: usize = 0x4004_5431;
    const GET_NUMBER: usize = 0x8004_5430;
    let master = open(b"/dev/ptmx\0", READ_WRITE | NO_CONTROLLING)?;
    let (unlocked, mut index) = (0_i32, 0_u32);
    checked(simple(machine::IOCTL, [number(master), SET_LOCK, (&raw const unlocked) as usize, 0, 0]))?;
    checked(simple(machine::IOCTL, [number(master), GET_NUMBER, (&raw mut index) as usize, 0, 0]))?;
    let mut path = *b"/dev/pts/\0\0\0\0\0\0\0";
    let mut digits = 1;
    while index / 10_u32.pow(digits) > 0 && digits < 6 {
        digits += 1;
    }
    for at in 0..digits {
        path[9 + at as usize] = b'0' + (index / 10_u32.pow(digits - 1 - at) % 10) as u8;
    }
    Ok((master, open(&path, READ_WRITE | NO_CONTROLLING)?))
}

pub(crate) fn make_controlling(terminal: i32) {
    const SET_CONTROLLING: usize = 0x540E;
    simple(machine::IOCTL, [number(terminal), SET_CONTROLLING, 0, 0, 0]);
}

pub(crate) fn set_size(terminal: i32, rows: u16, columns: u16) {
    const SET_SIZE: usize = 0x5414;
    let size = [rows, columns, 0, 0];
    simple(machine::IOCTL, [number(terminal), SET_SIZE, size.as_ptr() as usize, 0, 0]);
}

pub(crate) fn do_not_wait(descriptor: i32) {
    const SET_FLAGS: usize = 4;
    simple(machine::FCNTL, [number(descriptor), SET_FLAGS, NON_BLOCKING | 1, 0, 0]);
}

pub(crate) fn new_session() {
    simple(machine::SETSID, [0; 5]);
}

pub(crate) fn is_first() -> bool {
    simple(machine::GETPID, [0; 5]) == 1
}

pub(crate) fn kill(pid: i32, signal: i32) {
    simple(machine::KILL, [number(pid), number(signal), 0, 0, 0]);
}

pub(crate) fn fork() -> Result<i32, u8> {
    checked(simple(machine::CLONE, [number(CHILD), 0, 0, 0, 0]))
}

/// Comes back with the kernel's error number. SAFETY: all texts end with zero bytes, both lists with a null.
pub(crate) unsafe fn execute(path: *const u8, argv: *const *const u8, environment: *const *const u8) -> u8 {
    let result = simple(machine::EXECVE, [path as usize, argv as usize, environment as usize, 0, 0]);
    u8::try_from(-result).unwrap_or(u8::MAX)
}

/// A child that has ended, if there is one.
pub(crate) fn wait_any() -> Option<(i32, Reaped)> {
    const NOT_WAITING: usize = 1;
    let mut status = 0_i32;
    let pid = simple(machine::WAIT4, [usize::MAX, (&raw mut status) as usize, NOT_WAITING, 0, 0]);
    if pid <= 0 {
        return None;
    }
    let signal = (status & 0x7f) as u8;
    let reaped = if signal == 0 { Reaped::Code((status >> 8 & 0xff) as u8) } else { Reaped::Signal(signal) };
    Some((pid as i32, reaped))
}

pub(crate) fn poll(watched: &mut [PollFd]) {
    // Interrupted or not: the caller looks at what is ready.
    simple(machine::PPOLL, [watched.as_mut_ptr() as usize, watched.len(), 0, 0, 8]);
}

/// Signals that are passed on, and that of children, come out of a descriptor from now on: HUP INT QUIT USR1 USR2 ALRM TERM
/// CHLD CONT WINCH.
const MASK: u64 = bits(&[1, 2, 3, 10, 12, 14, 15, 17, 18, 28]);

const fn bits(signals: &[u32]) -> u64 {
    let mut mask = 0;
    let mut at = 0;
    while at < signals.len() {
        mask |= 1 << (signals[at] - 1);
        at += 1;
    }
    mask
}

pub(crate) fn take_signals() -> i32 {
    set_mask(MASK);
    let mask = MASK;
    simple(machine::SIGNALFD4, [usize::MAX, (&raw const mask) as usize, 8, CLOSE_ON_EXEC | NON_BLOCKING, 0]) as i32
}

pub(crate) fn forget_signals() {
    set_mask(0);
}

fn set_mask(mask: u64) {
    const SET: usize = 2;
    simple(machine::RT_SIGPROCMASK, [SET, (&raw const mask) as usize, 0, 8, 0]);
}

/// The number of a signal that came: signalfd(2).
pub(crate) fn read_signal(descriptor: i32) -> Option<i32> {
    let mut bytes = [0; 128];
    if read(descriptor, &mut bytes) != 128 {
        return None;
    }
    let [a, b, c, d, ..] = bytes;
    i32::try_from(u32::from_ne_bytes([a, b, c, d])).ok()
}

/// The compiler calls these by name wherever it likes. SAFETY: as in string.h.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
    // SAFETY: promised by the caller. Volatile, so that it is not made a call of itself.
    unsafe {
        for at in 0..length {
            to.add(at).write_volatile(from.add(at).read());
        }
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
    // SAFETY: promised by the caller.
    unsafe {
        if to.cast_const() < from {
            return memcpy(to, from, length);
        }
        for at in (0..length).rev() {
            to.add(at).write_volatile(from.add(at).read());
        }
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, value: i32, length: usize) -> *mut u8 {
    // SAFETY: promised by the caller.
    unsafe {
        for at in 0..length {
            to.add(at).write_volatile(value as u8);
        }
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, length: usize) -> i32 {
    for at in 0..length {
        // SAFETY: promised by the caller.
        let (left, right) = unsafe { (a.add(at).read_volatile(), b.add(at).read_volatile()) };
        if left != right {
            return i32::from(left) - i32::from(right);
        }
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, length: usize) -> i32 {
    // SAFETY: promised by the caller.
    unsafe { memcmp(a, b, length) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(text: *const u8) -> usize {
    let mut length = 0;
    // SAFETY: promised by the caller.
    while unsafe { text.add(length).read_volatile() } != 0 {
        length += 1;
    }
    length
}

/// Named by the core library, which can unwind; this program cannot.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
