//! What programs print: read by a thread each, into the log, to the observer, and to whoever is attached.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::lines::{LineBuffer, Piece, SILENCE};
use super::log::{Log, Tail};
use super::observer::{Event, Observer};
use super::program::Role;
use super::terminals::Terminal;

/// Where the output of one program goes.
#[derive(Clone)]
pub(super) struct Sink {
    pub(super) program: String,
    pub(super) role: Role,
    pub(super) log: Log,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) tail: Tail,
}

/// Where it comes from.
pub(super) enum Source {
    Pipe(OwnedFd),
    Terminal(Arc<Terminal>),
}

impl Sink {
    /// Reads to the end, in a thread of its own.
    pub(super) fn follow(self, source: Source) -> JoinHandle<()> {
        std::thread::spawn(move || match source {
            Source::Pipe(pipe) => self.read(&pipe, |_| {}),
            Source::Terminal(terminal) => self.read(terminal.end(), |bytes| terminal.show(bytes)),
        })
    }

    fn read(&self, from: &OwnedFd, also: impl Fn(&[u8])) {
        let mut buffer = LineBuffer::new();
        let mut bytes = vec![0_u8; 16 << 10];
        loop {
            // After the prompt it waits for more without a limit.
            if buffer.is_unfinished()
                && !is_readable_soon(from)
                && let Some(prompt) = buffer.silence()
            {
                self.say(&prompt);
            }
            match rustix::io::read(from, &mut bytes) {
                // A terminal whose program is gone says EIO.
                Ok(0) | Err(Errno::IO) => break,
                Ok(length) => {
                    also(&bytes[..length]);
                    buffer.push(&bytes[..length]).iter().for_each(|piece| self.say(piece));
                }
                Err(Errno::INTR) => {}
                Err(_) => break,
            }
        }
        if let Some(piece) = buffer.finish() {
            self.say(&piece);
        }
    }

    fn say(&self, piece: &Piece) {
        match piece {
            Piece::Line(text) => {
                self.tail.push(text);
                // The screen has it even when the disk is full.
                self.log.append_and(&self.program, text, |_| {
                    self.observer.line(&self.program, self.role, text, false);
                });
            }
            Piece::Prompt(text) => {
                self.log.append_and(&self.program, text, |_| {
                    self.observer.line(&self.program, self.role, text, true);
                });
                if is_debugger(text) {
                    self.observer.event(&Event::Debugger { program: &self.program });
                }
            }
        }
    }
}

fn is_readable_soon(from: impl AsFd) -> bool {
    let limit = Timespec::try_from(SILENCE).ok();
    // A signal only makes a prompt appear a moment early.
    poll(&mut [PollFd::new(&from, PollFlags::IN)], limit.as_ref()).is_ok_and(|ready| ready > 0)
}

/// Whether a prompt is a debugger's: pdb, ipdb, pdb++, pudb's console.
fn is_debugger(text: &str) -> bool {
    let text = super::controls::without_controls(text);
    ["(Pdb)", "ipdb>", "(Pdb++)", "(IPdb)"].iter().any(|prompt| text.trim_end().ends_with(prompt))
}
