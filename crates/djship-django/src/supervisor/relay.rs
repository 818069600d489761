//! Between programs and whoever watches them: a terminal that is stopped (Ctrl-S), or a pager that is not read, holds up nobody.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use djship_engine::ExitStatus;

use super::observer::{Because, Event, Observer};
use super::program::{ProgramError, Role};

/// What waits to be shown, in bytes.
const MOST_BYTES: usize = 1 << 20;
/// How many lines and events.
const MOST: usize = 5000;
/// At the end it is waited for an observer that takes something at least this often.
const PATIENCE: Duration = Duration::from_millis(500);

/// Passes everything on in a thread of its own. What does not fit is left out, the oldest first, and that is said.
pub(super) struct Relay {
    queue: Mutex<Queue>,
    /// Something came, or was passed on.
    moved: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Told>,
    bytes: usize,
    left_out: usize,
    /// How much was taken out to be passed on.
    taken: u64,
    /// One of them is being passed on.
    busy: bool,
    closed: bool,
}

/// An event or a line that owns what it says.
enum Told {
    Line { program: String, role: Role, text: String, prompt: bool },
    Ready { program: String, role: Role, after: Duration },
    Ended { program: String, role: Role, status: ExitStatus, again_in: Duration },
    NotStarted { program: String, error: ProgramError, again_in: Duration },
    Restarting { program: String, because: Because },
    NotServing { program: String },
    Debugger { program: String },
    Polling,
    LeftOut { number: usize },
    Stopping,
}

impl Told {
    fn of(event: &Event<'_>) -> Self {
        let owned = |program: &str| program.to_owned();
        match *event {
            Event::Ready { program, role, after } => Self::Ready { program: owned(program), role, after },
            Event::Ended { program, role, status, again_in } => {
                Self::Ended { program: owned(program), role, status, again_in }
            }
            Event::NotStarted { program, error, again_in } => {
                Self::NotStarted { program: owned(program), error: error.to_string().into(), again_in }
            }
            Event::Restarting { program, because } => Self::Restarting { program: owned(program), because },
            Event::NotServing { program } => Self::NotServing { program: owned(program) },
            Event::Debugger { program } => Self::Debugger { program: owned(program) },
            Event::Polling => Self::Polling,
            Event::LeftOut { number } => Self::LeftOut { number },
            Event::Stopping => Self::Stopping,
        }
    }

    fn pass_to(&self, observer: &dyn Observer) {
        observer.event(&match self {
            Self::Line { program, role, text, prompt } => {
                observer.line(program, *role, text, *prompt);
                return;
            }
            Self::Ready { program, role, after } => Event::Ready { program, role: *role, after: *after },
            Self::Ended { program, role, status, again_in } => {
                Event::Ended { program, role: *role, status: *status, again_in: *again_in }
            }
            Self::NotStarted { program, error, again_in } => {
                Event::NotStarted { program, error, again_in: *again_in }
            }
            Self::Restarting { program, because } => Event::Restarting { program, because: *because },
            Self::NotServing { program } => Event::NotServing { program },
            Self::Debugger { program } => Event::Debugger { program },
            Self::Polling => Event::Polling,
            Self::LeftOut { number } => Event::LeftOut { number: *number },
            Self::Stopping => Event::Stopping,
        });
    }

    fn bytes(&self) -> usize {
        if let Self::Line { text, .. } = self { text.len() } else { 0 }
    }
}

impl Relay {
    /// Passes on to `observer` from now on, until what is returned is dropped.
    pub(super) fn before(observer: Arc<dyn Observer>) -> Relaying {
        let relay = Arc::new(Self { queue: Mutex::default(), moved: Condvar::new() });
        let own = Arc::clone(&relay);
        std::thread::spawn(move || {
            while let Some(told) = own.next() {
                told.pass_to(&*observer);
            }
        });
        Relaying(relay)
    }

    /// What is to be passed on next; waits for it. `None` at the end.
    fn next(&self) -> Option<Told> {
        let mut queue = self.lock();
        queue.busy = false;
        self.moved.notify_all();
        loop {
            if queue.left_out > 0 {
                queue.taken += 1;
                queue.busy = true;
                return Some(Told::LeftOut { number: std::mem::take(&mut queue.left_out) });
            }
            if let Some(told) = queue.waiting.pop_front() {
                queue.bytes -= told.bytes();
                queue.taken += 1;
                queue.busy = true;
                return Some(told);
            }
            if queue.closed {
                return None;
            }
            queue = self.moved.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn push(&self, told: Told) {
        let mut queue = self.lock();
        queue.bytes += told.bytes();
        queue.waiting.push_back(told);
        while queue.waiting.len() > MOST || queue.bytes > MOST_BYTES {
            let Some(oldest) = queue.waiting.pop_front() else { break };
            queue.bytes -= oldest.bytes();
            queue.left_out += 1;
        }
        self.moved.notify_all();
    }

    /// Waits until everything was passed on, as long as the observer takes it.
    pub(super) fn finish(&self) {
        let mut queue = self.lock();
        while queue.busy || !queue.waiting.is_empty() {
            let taken = queue.taken;
            let (now, waited) = self
                .moved
                .wait_timeout_while(queue, PATIENCE, |queue| {
                    queue.taken == taken && (queue.busy || !queue.waiting.is_empty())
                })
                .unwrap_or_else(PoisonError::into_inner);
            queue = now;
            if waited.timed_out() {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A relay that is closed when this is dropped.
pub(super) struct Relaying(pub(super) Arc<Relay>);

impl Drop for Relaying {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.moved.notify_all();
    }
}

impl Observer for Relay {
    fn line(&self, program: &str, role: Role, text: &str, prompt: bool) {
        self.push(Told::Line { program: program.to_owned(), role, text: text.to_owned(), prompt });
    }

    fn event(&self, event: &Event<'_>) {
        self.push(Told::of(event));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Writes down what it is told, one thing for each that it is let.
    struct Slow {
        may: Mutex<Receiver<()>>,
        seen: Sender<String>,
    }

    impl Slow {
        fn note(&self, what: String) {
            // Without leave any more, it takes everything.
            let _ = self.may.lock().unwrap().recv();
            self.seen.send(what).unwrap();
        }
    }

    impl Observer for Slow {
        fn line(&self, program: &str, _: Role, text: &str, _: bool) {
            self.note(format!("{program}: {text}"));
        }

        fn event(&self, event: &Event<'_>) {
            self.note(match event {
                Event::LeftOut { number } => format!("left out {number}"),
                Event::NotStarted { error, .. } => format!("not started: {error}"),
                other => format!("{other:?}"),
            });
        }
    }

    fn relay() -> (Relaying, Sender<()>, Receiver<String>) {
        let ((leave, may), (seen, told)) = (channel(), channel());
        (Relay::before(Arc::new(Slow { may: Mutex::new(may), seen })), leave, told)
    }

    #[test]
    fn an_observer_that_stands_still_holds_nobody_up_and_is_told_what_it_missed() {
        let (relaying, leave, told) = relay();
        let relay = &relaying.0;
        relay.line("web", Role::Web, "first", false);
        // It is at that one now.
        while relay.lock().taken == 0 {
            std::thread::yield_now();
        }
        for number in 0..MOST + 7 {
            relay.line("web", Role::Web, &number.to_string(), false);
        }
        // Nobody waits for who does not move.
        relay.finish();
        drop(leave);
        relay.finish();
        let seen: Vec<String> = told.try_iter().collect();
        assert_eq!(seen[..3], ["web: first", "left out 7", "web: 7"]);
        assert_eq!(seen.last().unwrap(), &format!("web: {}", MOST + 6));
        assert_eq!(seen.len(), 2 + MOST);
    }

    #[test]
    fn long_lines_count_by_their_length_and_events_keep_their_place() {
        let (relaying, leave, told) = relay();
        let relay = &relaying.0;
        relay.event(&Event::Stopping);
        while relay.lock().taken == 0 {
            std::thread::yield_now();
        }
        let text = "x".repeat(MOST_BYTES / 4);
        for _ in 0..5 {
            relay.line("web", Role::Web, &text, false);
        }
        let error: ProgramError = "no room".into();
        relay.event(&Event::NotStarted { program: "web", error: &error, again_in: Duration::ZERO });
        assert!(relay.lock().bytes <= MOST_BYTES);
        drop(leave);
        relay.finish();
        let seen: Vec<String> = told.try_iter().collect();
        assert_eq!(seen[..2], ["Stopping".to_owned(), "left out 1".to_owned()]);
        assert_eq!((seen.len(), seen.last().unwrap().as_str()), (7, "not started: no room"));
    }
}
