//! The loop that keeps programs running.

use std::collections::VecDeque;
use std::io::Read as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use djship_engine::Container;
use rustix::process::Signal;

use super::claim::Claim;
use super::control::{self, Listening};
use super::debugging::Debugging;
use super::kept::{Connections, Kept};
use super::observer::{Event, Observer};
use super::presses::Presses;
use super::program::Role;
use super::relay::{Relay, Relaying};
use super::state::{Phase, StateFile};
use super::terminals::Terminals;
use super::users::Users;
use super::watch::{self, Changes, Means};

/// How long the loop sleeps when nothing happens.
const CALM: Duration = Duration::from_mins(1);

/// What the loop is told.
#[derive(Debug)]
pub(super) enum Message {
    /// The program of that start has ended.
    Ended(u64),
    /// Somebody asks for the end.
    Stop,
    /// Somebody asks for a restart.
    Restart(String),
    /// A signal came that asks for the end.
    Signal {
        /// Somebody pressed Ctrl-C.
        press: bool,
        /// When.
        at: Instant,
    },
    /// The project changed.
    Changed(Changes),
    /// A program stopped in a debugger, or went on.
    Debugging,
}

/// Why the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// `djship down`, or whoever else asked through the control socket.
    Asked,
    /// A signal.
    Interrupted,
}

/// Keeps programs running.
pub struct Supervisor<'a> {
    pub(super) connections: Connections,
    pub(super) state: Arc<StateFile>,
    pub(super) messages: Receiver<Message>,
    pub(super) kept: Vec<Kept<'a>>,
    pub(super) generation: u64,
    pub(super) changes: VecDeque<Changes>,
    pub(super) end: Option<End>,
    /// Everything is being ended: nothing is started any more.
    pub(super) stopping: bool,
    pub(super) presses: Presses,
    pub(super) relay: Relaying,
    ending: Arc<AtomicBool>,
    debugging: Arc<Debugging>,
    pub(super) users: Users,
    _listening: Listening,
}

impl std::fmt::Debug for Supervisor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Supervisor").field("programs", &self.kept.len()).finish_non_exhaustive()
    }
}

impl<'a> Supervisor<'a> {
    /// For a claimed environment. `interrupts` gives the number of each signal that asks for the end, as a byte; `ending` is
    /// set as soon as anybody asks for it, so that steps between can give up. `observer` may be slow: what it has no time
    /// for is left out.
    pub fn new(
        claim: &Claim,
        observer: Arc<dyn Observer>,
        interrupts: Option<UnixStream>,
        ending: Arc<AtomicBool>,
    ) -> std::io::Result<Self> {
        let (sender, messages) = mpsc::channel();
        let terminals = Terminals::default();
        let folder = claim.environment().folder();
        let asked = asked_for_end(&sender, &ending);
        let users = Users::new(asked.clone());
        let listening = control::serve(folder, terminals.clone(), users.clone(), asked)?;
        if let Some(interrupts) = interrupts {
            pass_on(interrupts, sender.clone(), Arc::clone(&ending));
        }
        let relay = Relay::before(observer);
        let shown: Arc<dyn Observer> = Arc::<Relay>::clone(&relay.0);
        let debugging = Arc::new(Debugging::before(shown, sender.clone()));
        let observer: Arc<dyn Observer> = Arc::<Debugging>::clone(&debugging);
        let connections = Connections { log: claim.log().clone(), observer, terminals, loop_: sender };
        Ok(Self {
            connections,
            state: Arc::clone(claim.state_file()),
            messages,
            kept: Vec::new(),
            generation: 0,
            changes: VecDeque::new(),
            end: None,
            stopping: false,
            presses: Presses::default(),
            relay,
            ending,
            debugging,
            users,
            _listening: listening,
        })
    }

    /// Tells [`Supervisor::supervise`] of changes below `folder` from now on.
    pub fn watch(&mut self, folder: &Path) -> Result<(), notify::Error> {
        let loop_ = self.connections.loop_.clone();
        if watch::watch(folder, move |changes| loop_.send(Message::Changed(changes)).is_ok())?
            == Means::Polling
        {
            self.connections.event(&Event::Polling);
        }
        Ok(())
    }

    /// Asks for the end by itself when the last of those who use the environment has gone: those who came through
    /// [`super::Lease::of`], and whoever holds the other end of `first`.
    pub fn end_with_users(&self, first: impl std::io::Read + Send + 'static) {
        self.users.end_with_the_last(first);
    }

    /// Keeps everything running until somebody asks for the end. `changed` is told of changes in the project.
    pub fn supervise(&mut self, changed: &mut dyn FnMut(&Changes, &mut Self)) -> End {
        let _ = self.state.update(|state| state.phase = Phase::Running);
        loop {
            if let Some(end) = self.end {
                return end;
            }
            self.step(CALM);
            while let Some(changes) = self.changes.pop_front() {
                self.hurry();
                changed(&changes, self);
            }
        }
    }

    /// Waits until something in the project changes, keeping everything running; `None` when the end is asked for.
    pub fn await_change(&mut self) -> Option<Changes> {
        loop {
            if self.end.is_some() {
                return None;
            }
            if let Some(changes) = self.changes.pop_front() {
                return Some(changes);
            }
            self.step(CALM);
        }
    }

    /// Why the end is asked for, if it is.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// The names of programs of these kinds.
    pub fn names_of(&self, roles: &[Role]) -> Vec<String> {
        let of_these = self.staying().filter(|kept| roles.contains(&kept.program.role()));
        of_these.map(|kept| kept.name().to_owned()).collect()
    }

    /// The container of a program, as it is to run.
    pub fn container_of(&self, name: &str) -> Option<&Container> {
        self.staying().find(|kept| kept.name() == name).map(Kept::container)
    }

    /// All programs with their containers.
    pub fn containers(&self) -> impl Iterator<Item = (&str, &Container)> {
        self.staying().map(|kept| (kept.name(), kept.container()))
    }

    fn staying(&self) -> impl Iterator<Item = &Kept<'a>> {
        self.kept.iter().filter(|kept| !kept.is_leaving_for_good())
    }

    /// Writes down what runs. A disk that is full stops no program.
    pub(super) fn save(&self) {
        let debugging = self.debugging.waiting();
        let programs = self.kept.iter().map(|kept| kept.state(debugging.as_deref() == Some(kept.name())));
        let programs: Vec<_> = programs.collect();
        let _ = self.state.update(|state| state.programs = programs);
    }

    /// Whether somebody asked for the end, also while nothing is supervised.
    pub fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }
}

/// Where the control socket's requests go: into the loop, and a request for the end at once to whoever looks at `ending`.
fn asked_for_end(loop_: &Sender<Message>, ending: &Arc<AtomicBool>) -> Sender<Message> {
    let (asked, messages) = mpsc::channel();
    let (loop_, ending) = (loop_.clone(), Arc::clone(ending));
    std::thread::spawn(move || {
        for message in messages {
            if matches!(message, Message::Stop) {
                ending.store(true, Ordering::SeqCst);
            }
            if loop_.send(message).is_err() {
                return;
            }
        }
    });
    asked
}

/// The same for signals.
fn pass_on(mut interrupts: UnixStream, loop_: Sender<Message>, ending: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        let mut number = [0];
        while interrupts.read(&mut number).is_ok_and(|length| length == 1) {
            ending.store(true, Ordering::SeqCst);
            let press = i32::from(number[0]) == Signal::INT.as_raw();
            if loop_.send(Message::Signal { press, at: Instant::now() }).is_err() {
                return;
            }
        }
    });
}
