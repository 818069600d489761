//! The loop that keeps programs running.

use std::collections::VecDeque;
use std::io::Read as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use djship_engine::{Container, ExitStatus};

use super::claim::Claim;
use super::control::{self, Listening};
use super::kept::{Connections, Kept};
use super::observer::{Because, Event, Observer};
use super::program::{Program, ProgramError, Role};
use super::state::{Phase, ProgramCondition, StateFile};
use super::terminals::Terminals;
use super::watch::{self, Changes, Means};

/// How often a program that starts is looked at.
const LOOK: Duration = Duration::from_millis(20);
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
}

/// Why the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// `djship down`, or whoever else asked through the control socket.
    Asked,
    /// A signal.
    Interrupted,
}

/// A program that did not come up.
#[derive(Debug, thiserror::Error)]
#[error("cannot start `{program}`{}", why.in_short())]
pub struct StartFailed {
    /// Its name.
    pub program: String,
    /// What it is.
    pub role: Role,
    /// The last lines that it printed.
    pub output: Vec<String>,
    /// Why.
    #[source]
    pub why: WhyNot,
}

/// Why a program did not come up.
#[derive(Debug, thiserror::Error)]
pub enum WhyNot {
    /// It ended.
    #[error("it has ended: {0}")]
    Ended(ExitStatus),
    /// It does not serve.
    #[error("it does not serve after {} s", .0.as_secs())]
    Silent(Duration),
    /// It could not be started or looked at.
    #[error(transparent)]
    Error(ProgramError),
    /// Everything is to be ended.
    #[error("it was interrupted")]
    Interrupted,
}

impl WhyNot {
    fn in_short(&self) -> String {
        match self {
            Self::Ended(status) => format!(": it has ended ({status})"),
            Self::Silent(_) => ": it does not serve".to_owned(),
            Self::Error(_) => String::new(),
            Self::Interrupted => ": interrupted".to_owned(),
        }
    }
}

/// Keeps programs running.
pub struct Supervisor<'a> {
    connections: Connections,
    state: Arc<StateFile>,
    messages: Receiver<Message>,
    kept: Vec<Kept<'a>>,
    generation: u64,
    changes: VecDeque<Changes>,
    end: Option<End>,
    ending: Arc<AtomicBool>,
    debugging: Arc<Debugging>,
    _listening: Listening,
}

impl std::fmt::Debug for Supervisor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Supervisor").field("programs", &self.kept.len()).finish_non_exhaustive()
    }
}

/// Passes everything on, and remembers who waits in a debugger.
struct Debugging {
    observer: Arc<dyn Observer>,
    program: std::sync::Mutex<Option<String>>,
}

impl Observer for Debugging {
    fn line(&self, program: &str, role: Role, text: &str, prompt: bool) {
        if !prompt {
            let mut waiting = self.program.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.as_deref() == Some(program) {
                *waiting = None;
            }
        }
        self.observer.line(program, role, text, prompt);
    }

    fn event(&self, event: &Event<'_>) {
        if let Event::Debugger { program } = event {
            let mut waiting = self.program.lock().unwrap_or_else(PoisonError::into_inner);
            // Said once for each time that it stops.
            if waiting.as_deref() == Some(program) {
                return;
            }
            *waiting = Some((*program).to_owned());
        }
        self.observer.event(event);
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
        let (asked, own) = mpsc::channel();
        let listening = control::serve(folder, terminals.clone(), asked)?;
        let (flag, to_loop) = (Arc::clone(&ending), sender.clone());
        std::thread::spawn(move || {
            for message in own {
                if matches!(message, Message::Stop) {
                    flag.store(true, Ordering::SeqCst);
                }
                if to_loop.send(message).is_err() {
                    return;
                }
            }
        });
        if let Some(mut interrupts) = interrupts {
            let (flag, to_loop) = (Arc::clone(&ending), sender.clone());
            std::thread::spawn(move || {
                let mut byte = [0];
                while interrupts.read(&mut byte).is_ok_and(|length| length == 1) {
                    flag.store(true, Ordering::SeqCst);
                    let _ = to_loop.send(Message::Interrupt);
                }
            });
        }
        let debugging = Arc::new(Debugging { observer, program: std::sync::Mutex::default() });
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
        if watch::watch(folder, move |changes| loop_.send(Message::Changed(changes)).is_ok())? == Means::Polling {
            self.connections.observer.event(&Event::Polling);
        }
        Ok(())
    }

    /// Starts programs side by side, and returns when all of them serve. Those that do not come up are not kept; the
    /// first of them is the error.
    pub fn start_all(&mut self, programs: Vec<Box<dyn Program + 'a>>) -> Result<(), StartFailed> {
        let mut failed = None;
        for program in programs {
            let mut kept = Kept::new(program);
            self.generation += 1;
            match kept.start(&self.connections, self.generation) {
                Ok(()) => self.kept.push(kept),
                Err(error) => {
                    failed = Some(refuse(&kept, WhyNot::Error(error)));
                    break;
                }
            }
        }
        while failed.is_none() && self.kept.iter().any(|kept| kept.first) {
            failed = self.step(LOOK);
            if self.end.is_some() && failed.is_none() {
                let kept = self.kept.iter().find(|kept| kept.first);
                failed = kept.map(|kept| refuse(kept, WhyNot::Interrupted));
            }
        }
        let Some(failed) = failed else {
            self.save();
            return Ok(());
        };
        // What has not served yet goes with it.
        for kept in self.kept.iter_mut().filter(|kept| kept.first) {
            kept.kill();
            self.connections.terminals.close(kept.program.name());
        }
        self.kept.retain(|kept| !kept.first);
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
        self.connections.observer.event(&Event::Restarting { program: name, because });
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
        self.connections.observer.event(&Event::Stopping);
        for services in [false, true] {
            let mut going: Vec<&mut Kept<'a>> = self
                .kept
                .iter_mut()
                .filter(|kept| (kept.program.role() == Role::Service) == services)
                .collect();
            going.iter_mut().for_each(|kept| kept.ask_to_end());
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

    /// One turn of the loop: takes in what happened, for at most `limit`, and does what is due. A first start that failed
    /// is returned.
    fn step(&mut self, limit: Duration) -> Option<StartFailed> {
        let starting = self.kept.iter().any(|kept| kept.condition == ProgramCondition::Starting);
        let due = self.kept.iter().filter_map(|kept| kept.again_at).min();
        let mut wait = if starting { limit.min(LOOK) } else { limit };
        if let Some(due) = due {
            wait = wait.min(due.saturating_duration_since(Instant::now()));
        }
        let mut failed = None;
        match self.messages.recv_timeout(wait) {
            Ok(message) => failed = self.take(message),
            // The supervisor itself holds a sender.
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        for at in 0..self.kept.len() {
            if self.kept[at].again_at.is_some_and(|due| due <= Instant::now()) {
                self.kept[at].restarts += 1;
                let because = Because::Backoff;
                self.connections.observer.event(&Event::Restarting { program: self.kept[at].name(), because });
                self.start_again(at);
                self.save();
            }
        }
        failed.or_else(|| self.look_at_starting())
    }

    fn take(&mut self, message: Message) -> Option<StartFailed> {
        match message {
            Message::Stop => self.end = self.end.or(Some(End::Asked)),
            Message::Interrupt => self.end = self.end.or(Some(End::Interrupted)),
            Message::Changed(changes) => self.changes.push_back(changes),
            Message::Restart(name) => self.restart(&name, Because::Asked),
            Message::Ended(generation) => {
                let at = self.kept.iter().position(|kept| kept.generation == generation && kept.running.is_some())?;
                return self.ended(at);
            }
        }
        None
    }

    /// A program ended without being asked to.
    fn ended(&mut self, at: usize) -> Option<StartFailed> {
        let kept = &mut self.kept[at];
        let status = kept.reap().unwrap_or(ExitStatus::Signal(9));
        kept.condition = ProgramCondition::Waiting;
        if kept.first {
            return Some(refuse(kept, WhyNot::Ended(status)));
        }
        let again_in = kept.backoff.after(kept.started.elapsed());
        kept.again_at = Some(Instant::now() + again_in);
        let (program, role) = (kept.program.name(), kept.program.role());
        self.connections.observer.event(&Event::Ended { program, role, status, again_in });
        self.save();
        None
    }

    /// A change in the project may have mended what had ended.
    fn hurry(&mut self) {
        for kept in self.kept.iter_mut().filter(|kept| kept.program.role() != Role::Service) {
            if kept.again_at.is_some() {
                kept.again_at = Some(Instant::now());
                kept.backoff.reset();
            }
        }
    }

    fn start_again(&mut self, at: usize) {
        self.generation += 1;
        let kept = &mut self.kept[at];
        if let Err(error) = kept.start(&self.connections, self.generation) {
            kept.condition = ProgramCondition::Failed;
            let again_in = kept.backoff.after(Duration::ZERO);
            kept.again_at = Some(Instant::now() + again_in);
            let program = kept.program.name();
            self.connections.observer.event(&Event::NotStarted { program, error: &error, again_in });
        }
    }

    fn look_at_starting(&mut self) -> Option<StartFailed> {
        let mut failed = None;
        let mut news = false;
        for kept in self.kept.iter_mut().filter(|kept| kept.condition == ProgramCondition::Starting) {
            let why = match kept.look() {
                Ok(true) => {
                    kept.condition = ProgramCondition::Ready;
                    kept.first = false;
                    news = true;
                    let (program, role, after) = (kept.program.name(), kept.program.role(), kept.started.elapsed());
                    self.connections.observer.event(&Event::Ready { program, role, after });
                    continue;
                }
                Ok(false) if kept.first && kept.started.elapsed() > kept.program.patience() => {
                    WhyNot::Silent(kept.program.patience())
                }
                Ok(false) => continue,
                Err(error) => WhyNot::Error(error),
            };
            if kept.first {
                failed = failed.or_else(|| Some(refuse(kept, why)));
            } else {
                // It runs; whether it serves is looked at again when it was started again.
                kept.condition = ProgramCondition::Failed;
                news = true;
            }
        }
        if news {
            self.save();
        }
        failed
    }

    /// Writes down what runs. A disk that is full stops no program.
    fn save(&self) {
        let debugging = self.debugging.program.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let programs = self.kept.iter().map(|kept| kept.state(debugging.as_deref() == Some(kept.name())));
        let programs: Vec<_> = programs.collect();
        let _ = self.state.update(|state| state.programs = programs);
    }

    /// Whether somebody asked for the end, also while nothing is supervised.
    pub fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }
}

fn refuse(kept: &Kept<'_>, why: WhyNot) -> StartFailed {
    StartFailed {
        program: kept.name().to_owned(),
        role: kept.program.role(),
        output: kept.tail.lines(),
        why,
    }
}
