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

use super::claim::Claim;
use super::control::{self, Listening};
use super::debugging::Debugging;
use super::failure::{StartFailed, WhyNot};
use super::kept::{Connections, Kept};
use super::observer::{Because, Event, Observer};
use super::program::{Program, Role};
use super::state::{Phase, StateFile};
use super::terminals::Terminals;
use super::watch::{self, Changes, Means};

/// How often a program that starts is looked at.
pub(super) const LOOK: Duration = Duration::from_millis(20);
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
    /// A signal came.
    Interrupt,
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
    state: Arc<StateFile>,
    pub(super) messages: Receiver<Message>,
    pub(super) kept: Vec<Kept<'a>>,
    pub(super) generation: u64,
    pub(super) changes: VecDeque<Changes>,
    pub(super) end: Option<End>,
    ending: Arc<AtomicBool>,
    debugging: Arc<Debugging>,
    _listening: Listening,
}

impl std::fmt::Debug for Supervisor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Supervisor").field("programs", &self.kept.len()).finish_non_exhaustive()
    }
}

impl<'a> Supervisor<'a> {
    /// For a claimed environment. `interrupts` becomes readable with each signal that asks for the end; `ending` is set
    /// as soon as anybody asks for it, so that steps between can give up.
    pub fn new(
        claim: &Claim,
        observer: Arc<dyn Observer>,
        interrupts: Option<UnixStream>,
        ending: Arc<AtomicBool>,
    ) -> std::io::Result<Self> {
        let (sender, messages) = mpsc::channel();
        let terminals = Terminals::default();
        let folder = claim.environment().folder();
        let listening = control::serve(folder, terminals.clone(), asked_for_end(&sender, &ending))?;
        if let Some(interrupts) = interrupts {
            pass_on(interrupts, sender.clone(), Arc::clone(&ending));
        }
        let debugging = Arc::new(Debugging::before(observer, sender.clone()));
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
            ending,
            debugging,
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

    /// Starts programs side by side, and returns when all of them serve. When one does not come up, none of them is kept, and
    /// it is the error.
    pub fn start_all(&mut self, programs: Vec<Box<dyn Program + 'a>>) -> Result<(), StartFailed> {
        let names: Vec<String> = programs.iter().map(|program| program.name().to_owned()).collect();
        let mut failed = None;
        for program in programs {
            let mut kept = Kept::new(program);
            self.generation += 1;
            match kept.start(&self.connections, self.generation) {
                Ok(()) => self.kept.push(kept),
                Err(error) => {
                    failed = Some(StartFailed::of(&kept, WhyNot::Error(error)));
                    break;
                }
            }
        }
        while failed.is_none() && self.kept.iter().any(|kept| kept.first) {
            failed = self.step(LOOK);
            if self.end.is_some() && failed.is_none() {
                let kept = self.kept.iter().find(|kept| kept.first);
                failed = kept.map(|kept| StartFailed::of(kept, WhyNot::Interrupted));
            }
        }
        let Some(failed) = failed else {
            self.save();
            return Ok(());
        };
        // What has not served yet goes with it at once, what serves already in its own way.
        for kept in self.kept.iter_mut().filter(|kept| kept.first) {
            kept.kill();
            self.connections.terminals.close(kept.program.name());
        }
        self.kept.retain(|kept| !kept.first);
        for name in names {
            self.stop(&name);
        }
        self.save();
        Err(failed)
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

    /// Starts a program again, with what it is now described by.
    pub fn restart(&mut self, name: &str, because: Because) {
        let Some(at) = self.kept.iter().position(|kept| kept.name() == name) else { return };
        self.connections.event(&Event::Restarting { program: name, because });
        self.kept[at].ask_to_end();
        let grace = self.kept[at].program.ending().grace;
        if !self.kept[at].has_ended_within(grace) {
            self.kept[at].kill();
        }
        self.kept[at].backoff.reset();
        self.kept[at].restarts += 1;
        self.start_again(at);
        self.save();
    }

    /// Puts a program in the place of the one of its name, and starts it.
    pub fn replace(&mut self, program: Box<dyn Program + 'a>) {
        let name = program.name().to_owned();
        if let Some(kept) = self.kept.iter_mut().find(|kept| kept.name() == name) {
            // The old one describes how it is ended, so it goes before the new one comes.
            kept.ask_to_end();
            let grace = kept.program.ending().grace;
            if !kept.has_ended_within(grace) {
                kept.kill();
            }
            kept.program = program;
            self.restart(&name, Because::Description);
        }
    }

    /// Ends a program and keeps it no longer.
    pub fn stop(&mut self, name: &str) {
        if let Some(at) = self.kept.iter().position(|kept| kept.name() == name) {
            let mut kept = self.kept.remove(at);
            kept.ask_to_end();
            if !kept.has_ended_within(kept.program.ending().grace) {
                kept.kill();
            }
            self.connections.terminals.close(name);
            self.save();
        }
    }

    /// Ends everything: what runs the project's code first, then what it needs, each kind side by side. A further
    /// interrupt ends what is left at once.
    pub fn stop_all(&mut self) {
        let _ = self.state.update(|state| state.phase = Phase::Stopping);
        self.connections.event(&Event::Stopping);
        for services in [false, true] {
            let mut going: Vec<&mut Kept<'a>> = self
                .kept
                .iter_mut()
                .filter(|kept| (kept.program.role() == Role::Service) == services)
                .collect();
            for kept in &mut going {
                kept.ask_to_end();
            }
            let since = Instant::now();
            while !going.is_empty() {
                let hurry = std::iter::from_fn(|| self.messages.try_recv().ok())
                    .any(|message| matches!(message, Message::Interrupt));
                going.retain_mut(|kept| {
                    if hurry || since.elapsed() > kept.program.ending().grace {
                        kept.kill();
                    }
                    !kept.has_ended_within(Duration::from_millis(5))
                });
            }
        }
        for kept in self.kept.drain(..) {
            self.connections.terminals.close(kept.name());
        }
        self.save();
    }

    /// The names of programs of these kinds.
    pub fn names_of(&self, roles: &[Role]) -> Vec<String> {
        let of_these = self.kept.iter().filter(|kept| roles.contains(&kept.program.role()));
        of_these.map(|kept| kept.name().to_owned()).collect()
    }

    /// The container of a program.
    pub fn container_of(&self, name: &str) -> Option<&Container> {
        self.kept.iter().find(|kept| kept.name() == name).map(|kept| kept.program.container())
    }

    /// All programs with their containers.
    pub fn containers(&self) -> impl Iterator<Item = (&str, &Container)> {
        self.kept.iter().map(|kept| (kept.name(), kept.program.container()))
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
        let mut byte = [0];
        while interrupts.read(&mut byte).is_ok_and(|length| length == 1) {
            ending.store(true, Ordering::SeqCst);
            if loop_.send(Message::Interrupt).is_err() {
                return;
            }
        }
    });
}
