//! Programs that are asked to end: to be started again, to be replaced, or for good.

use std::time::{Duration, Instant};

use super::kept::{Kept, LOOK, Leaving, Then};
use super::observer::{Because, Event};
use super::program::{Program, Role};
use super::state::{Phase, ProgramCondition};
use super::supervise::Supervisor;

/// The order in which everything ends: what gives out work and what needs others first.
const ORDER: [&[Role]; 3] = [&[Role::Worker, Role::Watcher], &[Role::Web], &[Role::Service]];

impl<'a> Supervisor<'a> {
    /// Has a program ended and started again, with what it is now described by. Returns at once.
    pub fn restart(&mut self, name: &str, because: Because) {
        let Some(at) = self.kept.iter().position(|kept| kept.name() == name) else { return };
        if self.stopping || self.kept[at].is_leaving_for_good() {
            return;
        }
        self.connections.event(&Event::Restarting { program: name, because });
        self.kept[at].backoff.reset();
        self.leave(at, Then::Start);
        self.save();
    }

    /// Puts a program in the place of the one of its name, and starts it when that has ended. Returns at once.
    pub fn replace(&mut self, program: Box<dyn Program + 'a>) {
        let Some(at) = self.kept.iter().position(|kept| kept.name() == program.name()) else { return };
        if self.stopping || self.kept[at].is_leaving_for_good() {
            return;
        }
        let because = Because::Description;
        self.connections.event(&Event::Restarting { program: program.name(), because });
        self.kept[at].backoff.reset();
        self.leave(at, Then::Replace(program));
        self.save();
    }

    /// Ends everything: what runs the project's code first, then what it needs, each kind side by side, each program in its own
    /// way, and by force when its time is over. A further Ctrl-C ends what is left at once.
    pub fn stop_all(&mut self) {
        let _ = self.state.update(|state| state.phase = Phase::Stopping);
        self.connections.event(&Event::Stopping);
        self.stopping = true;
        self.users.close();
        self.presses.begin_end(Instant::now());
        for roles in ORDER {
            for at in 0..self.kept.len() {
                if roles.contains(&self.kept[at].program.role()) {
                    self.leave(at, Then::Nothing);
                }
            }
            self.save();
            while self.kept.iter().any(|kept| roles.contains(&kept.program.role()) && kept.running.is_some())
            {
                self.step(Duration::from_secs(1));
            }
        }
        for kept in self.kept.drain(..) {
            self.connections.terminals.close(kept.name());
        }
        self.save();
        self.relay.0.finish();
    }

    /// Ends by force whatever still runs.
    pub(super) fn kill_all(&mut self) {
        self.kept.iter_mut().for_each(Kept::kill);
    }

    /// Asks a program to end. What comes then comes at once when it does not run.
    pub(super) fn leave(&mut self, at: usize, then: Then<'a>) {
        let kept = &mut self.kept[at];
        kept.again_at = None;
        kept.look_at = None;
        match (&mut kept.leaving, &kept.running) {
            (_, None) => {
                kept.leaving = None;
                self.go_on(at, then);
            }
            (Some(leaving), _) => match (&leaving.then, &then) {
                // What it is to be replaced by is started anyway.
                (Then::Replace(_) | Then::Nothing, Then::Start) => {}
                _ => leaving.then = then,
            },
            (None, Some(running)) => {
                let ending = kept.program.ending();
                let asked = running.signal(ending.signal);
                kept.condition = ProgramCondition::Stopping;
                kept.leaving = Some(Leaving { until: Instant::now() + ending.grace, killed: false, then });
                if asked.is_err() {
                    // What cannot be asked is made to.
                    kept.kill();
                }
            }
        }
    }

    /// Ends by force whatever had its time.
    pub(super) fn make_end(&mut self) {
        let now = Instant::now();
        let late = |leaving: &Leaving<'_>| !leaving.killed && leaving.until <= now;
        self.kept.iter_mut().filter(|kept| kept.leaving.as_ref().is_some_and(late)).for_each(Kept::kill);
    }

    /// A program has ended that was asked to, or while everything ends.
    pub(super) fn gone(&mut self, at: usize) {
        let kept = &mut self.kept[at];
        kept.reap();
        let then = kept.leaving.take().map_or(Then::Nothing, |leaving| leaving.then);
        self.go_on(at, then);
        self.save();
    }

    /// What comes after the end of a program.
    fn go_on(&mut self, at: usize, then: Then<'a>) {
        self.kept[at].condition = ProgramCondition::Stopped;
        match then {
            // Everything that is listed was there, until the last of it is gone.
            _ if self.stopping => {}
            Then::Nothing => {
                let kept = self.kept.remove(at);
                self.connections.terminals.close(kept.name());
            }
            Then::Start => self.launch(at),
            Then::Replace(program) => {
                self.kept[at].program = program;
                self.launch(at);
            }
        }
    }

    /// Waits until none of these is left that was stopped, or the end is asked for.
    pub(super) fn await_gone(&mut self, names: &[String]) {
        while self.end.is_none()
            && self
                .kept
                .iter()
                .any(|kept| kept.is_leaving_for_good() && names.iter().any(|name| name == kept.name()))
        {
            self.step(LOOK);
        }
    }
}
