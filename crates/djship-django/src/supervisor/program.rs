//! What the supervisor keeps running.

use std::time::Duration;

use djship_engine::{Container, Running};
use rustix::process::Signal;

/// Why a program does not start or serve: a typed error of whoever described the program. The words are the command line's.
pub type ProgramError = Box<dyn std::error::Error + Send + Sync>;

/// What kind of thing a program is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A server that the application needs.
    Service,
    /// The development server.
    Web,
    /// A process of the project beside it: Celery, what a Procfile names.
    Worker,
    /// A process that watches files itself, such as a front end's bundler.
    Watcher,
}

/// How a program is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// The signal that asks it.
    pub signal: Signal,
    /// How long it may take before it is made to.
    pub grace: Duration,
}

/// A program in a container of its own.
pub trait Program {
    /// Its name in logs and on the command line, such as `postgres` or `web`.
    fn name(&self) -> &str;

    /// What kind of thing it is.
    fn role(&self) -> Role;

    /// The container that it runs in, as it will be started next: what `exec` enters, with its environment.
    fn container(&self) -> &Container;

    /// Starts it. Standard output and error are piped, or it has a terminal.
    fn start(&mut self) -> Result<Running, ProgramError>;

    /// One quick look, well below a second, whether it serves. Asked again and again after a start until it says yes; it
    /// may do once what can be done only then, such as making a role and a database.
    fn is_ready(&mut self, running: &Running) -> Result<bool, ProgramError>;

    /// One very quick look, a few milliseconds, whether it still serves after it did; `None` when that cannot be seen, and its
    /// end is the only sign.
    fn still_serves(&mut self, _running: &Running) -> Option<bool> {
        None
    }

    /// How it is asked to end.
    fn ending(&self) -> Ending;

    /// How long it may take until it is ready.
    fn patience(&self) -> Duration {
        Duration::from_mins(1)
    }
}
