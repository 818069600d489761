//! Who is told what programs print and what becomes of them.

use std::time::Duration;

use djship_engine::ExitStatus;

use super::program::{ProgramError, Role};

/// Is told everything that it has time for, by one thread, in the order of the log.
pub trait Observer: Send + Sync {
    /// A program printed a line; `prompt` says that it is not finished, and waits.
    fn line(&self, program: &str, role: Role, text: &str, prompt: bool);

    /// Something became of a program.
    fn event(&self, event: &Event<'_>);
}

/// What becomes of programs.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// It serves.
    Ready {
        /// Its name.
        program: &'a str,
        /// What it is.
        role: Role,
        /// How long that took.
        after: Duration,
    },
    /// It ended without being asked to, and is started again.
    Ended {
        /// Its name.
        program: &'a str,
        /// What it is.
        role: Role,
        /// How it ended.
        status: ExitStatus,
        /// When it is started again; a program of the project as soon as the project changes.
        again_in: Duration,
    },
    /// It cannot be started, and is tried again.
    NotStarted {
        /// Its name.
        program: &'a str,
        /// Why.
        error: &'a ProgramError,
        /// When.
        again_in: Duration,
    },
    /// It is started again.
    Restarting {
        /// Its name.
        program: &'a str,
        /// Why.
        because: Because,
    },
    /// It runs, and does not serve any more. It is looked at until it does.
    NotServing {
        /// Its name.
        program: &'a str,
    },
    /// It waits at the prompt of a debugger.
    Debugger {
        /// Its name.
        program: &'a str,
    },
    /// Changes in the project are looked for every two seconds: the kernel watches no more folders.
    Polling,
    /// The observer was too slow for this many lines and events before this one. The log has the lines.
    LeftOut {
        /// How many.
        number: usize,
    },
    /// Everything is being stopped.
    Stopping,
}

/// Why a program is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because {
    /// It had ended, and its time has come.
    Backoff,
    /// Code of the project changed.
    Code,
    /// What it is started with changed.
    Description,
    /// Somebody asked for it.
    Asked,
}

impl Event<'_> {
    /// The program that it is about.
    pub fn program(&self) -> Option<&str> {
        match self {
            Self::Ready { program, .. }
            | Self::Ended { program, .. }
            | Self::NotStarted { program, .. }
            | Self::Restarting { program, .. }
            | Self::NotServing { program }
            | Self::Debugger { program } => Some(program),
            Self::Polling | Self::LeftOut { .. } | Self::Stopping => None,
        }
    }

    /// As a line of the log; `None` for what every start has.
    pub(super) fn logged(&self) -> Option<String> {
        match self {
            Self::Ended { status, again_in, .. } => {
                Some(format!("[ended: {status}; started again in {} s at the latest]", again_in.as_secs()))
            }
            Self::NotStarted { error, again_in, .. } => {
                Some(format!("[not started: {error}; tried again in {} s]", again_in.as_secs()))
            }
            Self::Restarting { because, .. } => {
                let why = match because {
                    Because::Backoff => "it had ended",
                    Because::Code => "code changed",
                    Because::Description => "settings, variables or dependencies changed",
                    Because::Asked => "somebody asked for it",
                };
                Some(format!("[started again: {why}]"))
            }
            Self::NotServing { .. } => Some("[does not serve any more]".to_owned()),
            Self::Ready { .. }
            | Self::Debugger { .. }
            | Self::Polling
            | Self::LeftOut { .. }
            | Self::Stopping => None,
        }
    }
}
