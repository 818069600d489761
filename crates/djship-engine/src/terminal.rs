//! Connects a program's terminal with the one at which the caller sits.

#![expect(unsafe_code, reason = "the handler for changed window sizes is installed with sigaction")]

use std::{
    io::{self, IsTerminal as _},
    os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd},
    sync::atomic::{AtomicI32, Ordering},
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, eventfd, poll},
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    io::Errno,
    termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize},
};
use thiserror::Error;

use crate::error::WaitError;

/// A terminal session broke.
#[derive(Debug, Error)]
pub enum TerminalError {
    /// The own terminal or the program's cannot be used.
    #[error("cannot {verb} terminal: {source}")]
    Kernel {
        /// What was tried.
        verb: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The program could not be waited for.
    #[error(transparent)]
    Wait(#[from] WaitError),
}

/// The caller's terminal in raw mode: keys arrive as they are typed. Put in order again when dropped, also by a panic.
#[derive(Debug)]
pub struct RawTerminal<'a> {
    terminal: BorrowedFd<'a>,
    before: Termios,
}

impl<'a> RawTerminal<'a> {
    /// Switches `terminal` to raw mode.
    pub fn new(terminal: BorrowedFd<'a>) -> Result<Self, TerminalError> {
        let before = tcgetattr(terminal).map_err(failed("read the settings of"))?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(terminal, OptionalActions::Now, &raw).map_err(failed("change the settings of"))?;
        Ok(Self { terminal, before })
    }
}

impl Drop for RawTerminal<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}

/// Copies between our streams and the program's terminal until the program has ended and all it wrote was read.
pub(crate) fn connect(terminal: &OwnedFd, ended: BorrowedFd<'_>) -> Result<(), TerminalError> {
    let stdin = io::stdin();
    let raw = if stdin.is_terminal() { Some(RawTerminal::new(stdin.as_fd())?) } else { None };
    let sizes = if raw.is_some() { Some(SizeWatch::new()?) } else { None };
    copy_size(terminal);
    // Our description alone: writing to a program that does not read must not keep us from reading what it writes.
    let flags = fcntl_getfl(terminal).map_err(failed("read the flags of"))?;
    fcntl_setfl(terminal, flags | OFlags::NONBLOCK).map_err(failed("set the flags of"))?;
    let copied =
        Copying { terminal, ended, sizes: sizes.as_ref(), typed: Vec::new(), input: true, over: false }.run();
    drop((sizes, raw));
    copied
}

struct Copying<'a> {
    terminal: &'a OwnedFd,
    ended: BorrowedFd<'a>,
    sizes: Option<&'a SizeWatch>,
    /// Typed and not yet taken by the program.
    typed: Vec<u8>,
    /// Our input has not ended.
    input: bool,
    /// The program has ended; what is still in the terminal is read.
    over: bool,
}

impl Copying<'_> {
    fn run(mut self) -> Result<(), TerminalError> {
        let stdin = io::stdin();
        loop {
            let terminal = if self.typed.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
            let mut watched = vec![PollFd::new(self.terminal, terminal)];
            let ended = (!self.over).then(|| watch(&mut watched, self.ended));
            let sizes = self.sizes.map(|sizes| watch(&mut watched, sizes.changed.as_fd()));
            let keys = (self.input && self.typed.is_empty()).then(|| watch(&mut watched, stdin.as_fd()));
            match poll(&mut watched, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(failed("wait for")(errno)),
            }
            let ready: Vec<bool> = watched.iter().map(|one| !one.revents().is_empty()).collect();
            drop(watched);
            let is_ready = |index: Option<usize>| index.is_some_and(|index| ready[index]);
            if is_ready(sizes) {
                if let Some(sizes) = self.sizes {
                    sizes.forget();
                }
                copy_size(self.terminal);
            }
            if is_ready(keys) {
                self.read_keys(stdin.as_fd())?;
            }
            if ready[0] && !self.exchange()? {
                return Ok(());
            }
            if is_ready(ended) {
                self.over = true;
            } else if self.over && !ready[0] {
                return Ok(());
            }
        }
    }

    fn read_keys(&mut self, stdin: BorrowedFd<'_>) -> Result<(), TerminalError> {
        let mut buffer = [0_u8; 4096];
        match rustix::io::read(stdin, &mut buffer) {
            Ok(0) => {
                self.input = false;
                // End of file as a terminal knows it.
                self.typed.push(4);
            }
            Ok(length) => self.typed.extend_from_slice(&buffer[..length]),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(errno) => return Err(failed("read from")(errno)),
        }
        Ok(())
    }

    /// Moves bytes both ways; false when the program's side is closed for good.
    fn exchange(&mut self) -> Result<bool, TerminalError> {
        if !self.typed.is_empty() {
            match rustix::io::write(self.terminal, &self.typed) {
                Ok(length) => drop(self.typed.drain(..length)),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => self.typed.clear(),
            }
        }
        let mut buffer = [0_u8; 16_384];
        match rustix::io::read(self.terminal, &mut buffer) {
            Ok(0) | Err(Errno::IO) => Ok(false),
            Ok(length) => {
                write_all(io::stdout().as_fd(), &buffer[..length])?;
                Ok(true)
            }
            Err(Errno::AGAIN) => Ok(!self.over),
            Err(Errno::INTR) => Ok(true),
            Err(errno) => Err(failed("read from")(errno)),
        }
    }
}

/// Adds a descriptor to those polled for input, and says at which index.
fn watch<'a>(watched: &mut Vec<PollFd<'a>>, descriptor: BorrowedFd<'a>) -> usize {
    watched.push(PollFd::from_borrowed_fd(descriptor, PollFlags::IN));
    watched.len() - 1
}

fn write_all(to: impl AsFd, mut bytes: &[u8]) -> Result<(), TerminalError> {
    while !bytes.is_empty() {
        match rustix::io::write(&to, bytes) {
            Ok(length) => bytes = &bytes[length..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::new(&to, PollFlags::OUT)], None);
            }
            Err(errno) => return Err(failed("write to")(errno)),
        }
    }
    Ok(())
}

/// Gives the program's terminal the size of ours, if ours has one.
fn copy_size(terminal: &OwnedFd) {
    if let Ok(size) = tcgetwinsize(io::stdin()) {
        let _ = tcsetwinsize(terminal, size);
    }
}

fn failed(verb: &'static str) -> impl Fn(Errno) -> TerminalError {
    move |errno| TerminalError::Kernel { verb, source: errno.into() }
}

/// Where the handler writes; -1 when nobody watches.
static CHANGED: AtomicI32 = AtomicI32::new(-1);

/// Learns of changed window sizes while it lives. One at a time: there is one terminal.
struct SizeWatch {
    changed: OwnedFd,
    before: libc::sigaction,
}

impl SizeWatch {
    fn new() -> Result<Self, TerminalError> {
        let changed = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(failed("watch the size of"))?;
        CHANGED.store(changed.as_raw_fd(), Ordering::SeqCst);
        // SAFETY: all zeros is a valid sigaction; the handler only does what is allowed in one.
        let before = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_change as extern "C" fn(libc::c_int) as usize;
            action.sa_flags = libc::SA_RESTART;
            let mut before = std::mem::zeroed();
            libc::sigaction(libc::SIGWINCH, &raw const action, &raw mut before);
            before
        };
        Ok(Self { changed, before })
    }

    fn forget(&self) {
        let mut count = [0_u8; 8];
        let _ = rustix::io::read(&self.changed, &mut count);
    }
}

impl Drop for SizeWatch {
    fn drop(&mut self) {
        // SAFETY: restores what was there before.
        unsafe { libc::sigaction(libc::SIGWINCH, &raw const self.before, std::ptr::null_mut()) };
        CHANGED.store(-1, Ordering::SeqCst);
    }
}

extern "C" fn on_change(_signal: libc::c_int) {
    let descriptor = CHANGED.load(Ordering::SeqCst);
    if descriptor >= 0 {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: write is allowed in handlers; the descriptor is open, as it is withdrawn before it is closed. errno is kept.
        unsafe {
            let errno = *libc::__errno_location();
            libc::write(descriptor, one.as_ptr().cast(), one.len());
            *libc::__errno_location() = errno;
        }
    }
}
