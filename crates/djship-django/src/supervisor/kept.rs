//! One program as the supervisor keeps it.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use djship_engine::{ExitStatus, Running};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::Signal;

use super::backoff::Backoff;
use super::log::{Log, Tail};
use super::observer::{Event, Observer};
use super::output::{Sink, Source};
use super::program::{Program, ProgramError};
use super::state::{ProgramCondition, ProgramState};
use super::supervise::Message;
use super::terminals::Terminals;

/// What a program is connected with when it starts.
pub(super) struct Connections {
    pub(super) log: Log,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) terminals: Terminals,
    pub(super) loop_: Sender<Message>,
}

impl Connections {
    /// Tells the observer, and the log what should be read there later.
    pub(super) fn event(&self, event: &Event<'_>) {
        if let (Some(program), Some(line)) = (event.program(), event.logged()) {
            // The screen has it even when the disk is full.
            let _ = self.log.append(program, &line);
        }
        self.observer.event(event);
    }
}

/// A program, and how it is.
pub(super) struct Kept<'a> {
    pub(super) program: Box<dyn Program + 'a>,
    pub(super) condition: ProgramCondition,
    /// While it runs.
    pub(super) running: Option<Running>,
    /// Which start this is: news of an earlier one come late.
    pub(super) generation: u64,
    pub(super) started: Instant,
    pub(super) backoff: Backoff,
    /// When it is started again.
    pub(super) again_at: Option<Instant>,
    pub(super) restarts: u32,
    pub(super) tail: Tail,
    /// It never served; its first failure ends the start.
    pub(super) first: bool,
}

impl<'a> Kept<'a> {
    pub(super) fn new(program: Box<dyn Program + 'a>) -> Self {
        Self {
            program,
            condition: ProgramCondition::Starting,
            running: None,
            generation: 0,
            started: Instant::now(),
            backoff: Backoff::default(),
            again_at: None,
            restarts: 0,
            tail: Tail::default(),
            first: true,
        }
    }

    pub(super) fn name(&self) -> &str {
        self.program.name()
    }

    /// Starts the program and the threads that follow it.
    pub(super) fn start(&mut self, connections: &Connections, generation: u64) -> Result<(), ProgramError> {
        self.again_at = None;
        self.generation = generation;
        self.started = Instant::now();
        self.condition = ProgramCondition::Starting;
        let mut running = self.program.start()?;
        let sink = Sink {
            program: self.program.name().to_owned(),
            role: self.program.role(),
            log: connections.log.clone(),
            observer: Arc::clone(&connections.observer),
            tail: self.tail.clone(),
        };
        if let Some(terminal) = running.take_terminal() {
            let terminal = connections.terminals.open(self.program.name(), terminal);
            sink.clone().follow(Source::Terminal(terminal));
        }
        if let Some(pipe) = running.take_stdout() {
            sink.clone().follow(Source::Pipe(pipe.into()));
        }
        if let Some(pipe) = running.take_stderr() {
            sink.follow(Source::Pipe(pipe.into()));
        }
        let end = running.as_pidfd().try_clone_to_owned()?;
        let loop_ = connections.loop_.clone();
        std::thread::spawn(move || {
            await_end(&end);
            // A supervisor that is gone needs no news.
            let _ = loop_.send(Message::Ended(generation));
        });
        self.running = Some(running);
        Ok(())
    }

    /// One look whether it serves by now.
    pub(super) fn look(&mut self) -> Result<bool, ProgramError> {
        match &self.running {
            Some(running) => self.program.is_ready(running),
            None => Ok(false),
        }
    }

    /// Asks it to end.
    pub(super) fn ask_to_end(&mut self) {
        self.again_at = None;
        if let Some(running) = &self.running {
            self.condition = ProgramCondition::Stopping;
            let _ = running.signal(self.program.ending().signal);
        }
    }

    /// Waits until it has ended, for at most `limit`; whether it has.
    pub(super) fn has_ended_within(&mut self, limit: Duration) -> bool {
        let Some(running) = &mut self.running else { return true };
        // What cannot be waited for is ended by dropping it.
        let ended = !matches!(running.wait_for(limit), Ok(None));
        if ended {
            self.forget();
        }
        ended
    }

    /// Ends it at once.
    pub(super) fn kill(&mut self) {
        if let Some(running) = &mut self.running {
            let _ = running.signal(Signal::KILL);
            let _ = running.wait();
        }
        self.forget();
    }

    /// It has ended: how.
    pub(super) fn reap(&mut self) -> Option<ExitStatus> {
        let status = self.running.as_mut()?.wait().ok();
        self.running = None;
        status
    }

    fn forget(&mut self) {
        self.running = None;
        self.condition = ProgramCondition::Stopped;
    }

    /// As it stands in the state.
    pub(super) fn state(&self, debugging: bool) -> ProgramState {
        ProgramState {
            name: self.program.name().to_owned(),
            role: self.program.role(),
            condition: self.condition,
            container: self.running.as_ref().and_then(|running| running.record().ok()),
            restarts: self.restarts,
            terminal: self.program.container().tty,
            debugging,
        }
    }
}

fn await_end(pidfd: &OwnedFd) {
    let fd = pidfd.as_fd();
    while let Err(Errno::INTR) = poll(&mut [PollFd::new(&fd, PollFlags::IN)], None) {}
}
