//! Who waits in a debugger.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use super::observer::{Event, Observer};
use super::program::Role;
use super::supervise::Message;

/// Passes everything on, and remembers who waits in a debugger.
pub(super) struct Debugging {
    observer: Arc<dyn Observer>,
    program: Mutex<Option<String>>,
    loop_: Mutex<Sender<Message>>,
}

impl Debugging {
    pub(super) fn before(observer: Arc<dyn Observer>, loop_: Sender<Message>) -> Self {
        Self { observer, program: Mutex::default(), loop_: Mutex::new(loop_) }
    }

    fn tell(&self) {
        // A loop that is gone needs no news.
        let _ = self.loop_.lock().unwrap_or_else(PoisonError::into_inner).send(Message::Debugging);
    }

    /// The program that waits.
    pub(super) fn waiting(&self) -> Option<String> {
        self.program.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Observer for Debugging {
    fn line(&self, program: &str, role: Role, text: &str, prompt: bool) {
        if !prompt {
            let mut waiting = self.program.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.as_deref() == Some(program) {
                *waiting = None;
                self.tell();
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
            self.tell();
        }
        self.observer.event(event);
    }
}
