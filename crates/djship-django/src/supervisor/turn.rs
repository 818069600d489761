//! One turn of the supervisor's loop.

use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use djship_engine::ExitStatus;

use super::failure::{StartFailed, WhyNot};
use super::kept::Kept;
use super::observer::{Because, Event};
use super::program::{ProgramError, Role};
use super::state::ProgramCondition;
use super::supervise::{End, Message, Supervisor};

/// How many messages are taken in before everything else has its turn.
const IN_ONE_TURN: usize = 64;
/// How long a program that served before may take to serve again before that is worth a word.
const UNANSWERED: Duration = Duration::from_secs(10);
/// How long one that serves may be silent before that is: a development server is away for a moment after each change.
const AWAY: Duration = Duration::from_secs(4);
/// How long one that does not serve may take to notice by itself that the project changed. Django's reloader does not see a file
/// again that was mended within a second.
const OWN_RELOAD: Duration = Duration::from_secs(3);

impl Supervisor<'_> {
    /// One turn of the loop: takes in what happened, for at most `limit`, and does what is due. A first start that failed
    /// is returned.
    pub(super) fn step(&mut self, limit: Duration) -> Option<StartFailed> {
        let due = self.kept.iter().filter_map(Kept::due).min();
        let wait = due.map_or(limit, |due| limit.min(due.saturating_duration_since(Instant::now())));
        let mut failed = None;
        match self.messages.recv_timeout(wait) {
            Ok(message) => {
                failed = self.take(message);
                for _ in 1..IN_ONE_TURN {
                    let Ok(message) = self.messages.try_recv() else { break };
                    failed = failed.or(self.take(message));
                }
            }
            // The supervisor itself holds a sender.
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        self.make_end();
        for at in 0..self.kept.len() {
            if self.kept[at].again_at.is_some_and(|due| due <= Instant::now()) {
                let because = Because::Backoff;
                self.connections.event(&Event::Restarting { program: self.kept[at].name(), because });
                self.launch(at);
                self.save();
            }
        }
        failed.or_else(|| self.look())
    }

    fn take(&mut self, message: Message) -> Option<StartFailed> {
        match message {
            Message::Stop => self.end = self.end.or(Some(End::Asked)),
            Message::Signal { press, at } => {
                self.end = self.end.or(Some(End::Interrupted));
                if press && self.presses.is_further(at) {
                    self.kill_all();
                }
            }
            Message::Changed(changes) => self.changes.push_back(changes),
            Message::Debugging => self.save(),
            Message::Restart(name) => self.restart(&name, Because::Asked),
            Message::Ended(generation) => {
                let at = self
                    .kept
                    .iter()
                    .position(|kept| kept.generation == generation && kept.running.is_some())?;
                if self.stopping || self.kept[at].leaving.is_some() {
                    self.gone(at);
                } else {
                    return self.ended(at);
                }
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

    /// A program cannot be started.
    pub(super) fn try_again(&mut self, at: usize, error: &ProgramError) {
        let kept = &mut self.kept[at];
        kept.condition = ProgramCondition::Failed;
        let again_in = kept.backoff.after(Duration::ZERO);
        kept.again_at = Some(Instant::now() + again_in);
        let program = kept.program.name();
        self.connections.event(&Event::NotStarted { program, error, again_in });
    }

    /// A change in the project may have mended what had ended.
    pub(super) fn hurry(&mut self) {
        for kept in self.kept.iter_mut().filter(|kept| kept.program.role() != Role::Service) {
            if kept.again_at.is_some() {
                kept.again_at = Some(Instant::now());
                kept.backoff.reset();
            }
            if kept.condition == ProgramCondition::NotServing {
                kept.changed_at = Some(Instant::now());
            }
        }
    }

    /// Looks at every program that is to be looked at now.
    fn look(&mut self) -> Option<StartFailed> {
        let mut failed = None;
        let mut news = false;
        for at in 0..self.kept.len() {
            if self.kept[at].look_at.is_some_and(|due| due <= Instant::now()) {
                let before = self.kept[at].condition;
                let why =
                    if self.kept[at].served { self.look_whether_still(at) } else { self.look_at_start(at) };
                failed = failed.or_else(|| Some(StartFailed::of(&self.kept[at], why?)));
                news |= self.kept[at].condition != before;
                if self.kept[at].changed_at.is_some_and(|changed| changed.elapsed() > OWN_RELOAD) {
                    let name = self.kept[at].name().to_owned();
                    self.restart(&name, Because::Code);
                }
            }
        }
        if news {
            self.save();
        }
        failed
    }

    /// Looks at a program that has not served since it was started; why it never will, when that ends a first start.
    fn look_at_start(&mut self, at: usize) -> Option<WhyNot> {
        let kept = &mut self.kept[at];
        let after = kept.started.elapsed();
        match kept.look() {
            Ok(true) => {
                kept.first = false;
                kept.served = true;
                self.serves(at);
            }
            Ok(false) if kept.first && after > kept.program.patience() => {
                return Some(WhyNot::Silent(kept.program.patience()));
            }
            Ok(false) => {
                kept.look_again();
                if !kept.first && after > UNANSWERED {
                    self.does_not_serve(at);
                }
            }
            Err(error) if kept.first => return Some(WhyNot::Error(error)),
            Err(_) => {
                // It runs; whether it serves is looked at again when it was started again.
                kept.condition = ProgramCondition::Failed;
                kept.look_at = None;
            }
        }
        None
    }

    /// Looks at a program that serves, or did.
    fn look_whether_still(&mut self, at: usize) -> Option<WhyNot> {
        let kept = &mut self.kept[at];
        kept.look_again();
        match kept.still_serves() {
            // Nobody can say.
            None => kept.look_at = None,
            Some(true) if kept.said_away => self.serves(at),
            Some(true) => {
                (kept.away_since, kept.changed_at) = (None, None);
                kept.condition = ProgramCondition::Ready;
            }
            Some(false) => {
                kept.condition = ProgramCondition::NotServing;
                let since = *kept.away_since.get_or_insert_with(Instant::now);
                if since.elapsed() > AWAY {
                    self.does_not_serve(at);
                }
            }
        }
        None
    }

    fn serves(&mut self, at: usize) {
        let kept = &mut self.kept[at];
        kept.condition = ProgramCondition::Ready;
        (kept.said_away, kept.away_since, kept.changed_at) = (false, None, None);
        kept.look_again();
        let (program, role, after) = (kept.program.name(), kept.program.role(), kept.started.elapsed());
        self.connections.event(&Event::Ready { program, role, after });
    }

    fn does_not_serve(&mut self, at: usize) {
        let kept = &mut self.kept[at];
        kept.condition = ProgramCondition::NotServing;
        if !std::mem::replace(&mut kept.said_away, true) {
            self.connections.event(&Event::NotServing { program: kept.program.name() });
            // With what it said meanwhile.
            self.save();
        }
    }
}
