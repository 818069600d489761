//! Who is told what programs print and what becomes of them.

use std::time::Duration;

use djship_engine::ExitStatus;

use super::program::{ProgramError, Role};

/// Is told everything, from any thread, in the order of the log.
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
    /// It waits at the prompt of a debugger.
    Debugger {
        /// Its name.
        program: &'a str,
    },
    /// Changes in the project are looked for every two seconds: the kernel watches no more folders.
    Polling,
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
