//! One program as the supervisor keeps it.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use djship_engine::{Container, ExitStatus, Running};
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

/// How often a program that starts is looked at.
pub(super) const LOOK: Duration = Duration::from_millis(20);
/// How often when it takes its time.
const PATIENT_LOOK: Duration = Duration::from_millis(250);
/// How long it is looked at often.
const SOON: Duration = Duration::from_secs(5);
/// How often one that serves is looked at.
const WATCH: Duration = Duration::from_secs(1);
/// How long the threads that read a program's output may take to come to its end once it has ended.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How many of its last lines stand in the state.
const TOLD_LINES: usize = 20;

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

/// A program that was asked to end.
pub(super) struct Leaving<'a> {
    /// When it is made to.
    pub(super) until: Instant,
    /// It was made to.
    pub(super) killed: bool,
    pub(super) then: Then<'a>,
}

/// What comes when a program has ended.
pub(super) enum Then<'a> {
    /// It is kept no longer.
    Nothing,
    /// It is started again.
    Start,
    /// Another one takes its place.
    Replace(Box<dyn Program + 'a>),
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
    /// It served since it was started.
    pub(super) served: bool,
    /// When it is looked at next.
    pub(super) look_at: Option<Instant>,
    /// Since when it does not serve any more, as far as looks can tell.
    pub(super) away_since: Option<Instant>,
    /// That was said.
    pub(super) said_away: bool,
    /// When the project changed while it did not serve.
    pub(super) changed_at: Option<Instant>,
    /// It was asked to end.
    pub(super) leaving: Option<Leaving<'a>>,
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
            served: false,
            look_at: None,
            away_since: None,
            said_away: false,
            changed_at: None,
            leaving: None,
        }
    }

    pub(super) fn name(&self) -> &str {
        self.program.name()
    }

    /// The container that it runs in, or will when what runs now has ended.
    pub(super) fn container(&self) -> &Container {
        match &self.leaving {
            Some(Leaving { then: Then::Replace(program), .. }) => program.container(),
            _ => self.program.container(),
        }
    }

    /// Whether it was asked to end, and is not started again.
    pub(super) fn is_leaving_for_good(&self) -> bool {
        self.leaving.as_ref().is_some_and(|leaving| matches!(leaving.then, Then::Nothing))
    }

    /// When something is to be done about it.
    pub(super) fn due(&self) -> Option<Instant> {
        let end = self.leaving.as_ref().filter(|leaving| !leaving.killed).map(|leaving| leaving.until);
        [self.again_at, self.look_at, end].into_iter().flatten().min()
    }

    /// Starts the program and the threads that follow it.
    pub(super) fn start(&mut self, connections: &Connections, generation: u64) -> Result<(), ProgramError> {
        self.again_at = None;
        self.generation = generation;
        self.started = Instant::now();
        self.condition = ProgramCondition::Starting;
        (self.served, self.said_away, self.away_since, self.changed_at) = (false, false, None, None);
        let mut running = self.program.start()?;
        let sink = Sink {
            program: self.program.name().to_owned(),
            role: self.program.role(),
            log: connections.log.clone(),
            observer: Arc::clone(&connections.observer),
            tail: self.tail.clone(),
        };
        let mut readers = Vec::new();
        if let Some(terminal) = running.take_terminal() {
            let terminal = connections.terminals.open(self.program.name(), terminal);
            readers.push(sink.clone().follow(Source::Terminal(terminal)));
        }
        if let Some(pipe) = running.take_stdout() {
            readers.push(sink.clone().follow(Source::Pipe(pipe.into())));
        }
        if let Some(pipe) = running.take_stderr() {
            readers.push(sink.follow(Source::Pipe(pipe.into())));
        }
        let end = running.as_pidfd().try_clone_to_owned()?;
        let loop_ = connections.loop_.clone();
        std::thread::spawn(move || {
            await_end(&end);
            // What it said last is often why.
            let ended = Instant::now();
            while readers.iter().any(|reader| !reader.is_finished()) && ended.elapsed() < LAST_WORDS {
                std::thread::sleep(Duration::from_millis(2));
            }
            // A supervisor that is gone needs no news.
            let _ = loop_.send(Message::Ended(generation));
        });
        self.running = Some(running);
        self.look_at = Some(self.started);
        Ok(())
    }

    /// One look whether it serves by now.
    pub(super) fn look(&mut self) -> Result<bool, ProgramError> {
        match &self.running {
            Some(running) => self.program.is_ready(running),
            None => Ok(false),
        }
    }

    /// One look whether it still serves; `None` when nobody can say.
    pub(super) fn still_serves(&mut self) -> Option<bool> {
        self.program.still_serves(self.running.as_ref()?)
    }

    /// Has it looked at again, in a while.
    pub(super) fn look_again(&mut self) {
        let pause = match self.condition {
            ProgramCondition::Ready => WATCH,
            _ if self.started.elapsed() < SOON => LOOK,
            _ => PATIENT_LOOK,
        };
        self.look_at = Some(Instant::now() + pause);
    }

    /// Ends it by force, if it runs. That it has ended is told as usual.
    pub(super) fn kill(&mut self) {
        let Some(running) = &self.running else { return };
        let _ = running.signal(Signal::KILL);
        self.condition = ProgramCondition::Stopping;
        let then = self.leaving.take().map_or(Then::Nothing, |leaving| leaving.then);
        self.leaving = Some(Leaving { until: Instant::now(), killed: true, then });
    }

    /// It has ended: how.
    pub(super) fn reap(&mut self) -> Option<ExitStatus> {
        self.look_at = None;
        let status = self.running.as_mut()?.wait().ok();
        self.running = None;
        status
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
            output: match self.condition {
                ProgramCondition::NotServing | ProgramCondition::Waiting => self.tail.last(TOLD_LINES),
                _ => Vec::new(),
            },
        }
    }
}

fn await_end(pidfd: &OwnedFd) {
    let fd = pidfd.as_fd();
    while let Err(Errno::INTR) = poll(&mut [PollFd::new(&fd, PollFlags::IN)], None) {}
}
