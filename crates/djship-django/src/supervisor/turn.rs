//! One turn of the supervisor's loop.

use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use djship_engine::ExitStatus;

use super::failure::{StartFailed, WhyNot};
use super::observer::{Because, Event};
use super::program::Role;
use super::state::ProgramCondition;
use super::supervise::{End, LOOK, Message, Supervisor};

impl Supervisor<'_> {
    /// One turn of the loop: takes in what happened, for at most `limit`, and does what is due. A first start that failed
    /// is returned.
    pub(super) fn step(&mut self, limit: Duration) -> Option<StartFailed> {
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
                self.connections
                    .observer
                    .event(&Event::Restarting { program: self.kept[at].name(), because });
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
            Message::Debugging => self.save(),
            Message::Restart(name) => self.restart(&name, Because::Asked),
            Message::Ended(generation) => {
                let at = self
                    .kept
                    .iter()
                    .position(|kept| kept.generation == generation && kept.running.is_some())?;
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
            return Some(StartFailed::of(kept, WhyNot::Ended(status)));
        }
        let again_in = kept.backoff.after(kept.started.elapsed());
        kept.again_at = Some(Instant::now() + again_in);
        let (program, role) = (kept.program.name(), kept.program.role());
        self.connections.event(&Event::Ended { program, role, status, again_in });
        self.save();
        None
    }

    /// A change in the project may have mended what had ended.
    pub(super) fn hurry(&mut self) {
        for kept in self.kept.iter_mut().filter(|kept| kept.program.role() != Role::Service) {
            if kept.again_at.is_some() {
                kept.again_at = Some(Instant::now());
                kept.backoff.reset();
            }
        }
    }

    pub(super) fn start_again(&mut self, at: usize) {
        self.generation += 1;
        let kept = &mut self.kept[at];
        if let Err(error) = kept.start(&self.connections, self.generation) {
            kept.condition = ProgramCondition::Failed;
            let again_in = kept.backoff.after(Duration::ZERO);
            kept.again_at = Some(Instant::now() + again_in);
            let program = kept.program.name();
            self.connections.event(&Event::NotStarted { program, error: &error, again_in });
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
                    let (program, role, after) =
                        (kept.program.name(), kept.program.role(), kept.started.elapsed());
                    self.connections.event(&Event::Ready { program, role, after });
                    continue;
                }
                Ok(false) if kept.first && kept.started.elapsed() > kept.program.patience() => {
                    WhyNot::Silent(kept.program.patience())
                }
                Ok(false) => continue,
                Err(error) => WhyNot::Error(error),
            };
            if kept.first {
                failed = failed.or_else(|| Some(StartFailed::of(kept, why)));
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
}
