//! The same command once more, in the background: `djship up -d`, and what `djship manage` needs when nothing runs.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use djship_django::supervisor::{Environment, Phase};

use crate::env;
use crate::errors::{self, Kind, Report};
use crate::ui::Console;

/// How often a process in the background is looked at.
pub(super) const PAUSE: Duration = Duration::from_millis(20);

/// What a process in the background is there for: the name of a variable that is set for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The whole environment.
    Up,
    /// Services for commands.
    Services,
}

impl Role {
    fn variable(self) -> &'static str {
        match self {
            Self::Up => "DJSHIP_UP_BACKGROUND",
            Self::Services => "DJSHIP_SERVICES_BACKGROUND",
        }
    }

    /// Whether this process is one of these.
    pub(super) fn is_own(self) -> bool {
        env::get(self.variable()).is_some()
    }

    /// In the background: no terminal of its own, so that closing the one it was started from ends nothing.
    pub(super) fn enter(self) {
        if self.is_own() {
            // Fails only for who leads a group already, and then has no terminal to lose.
            let _ = rustix::process::setsid();
        }
    }
}

/// A process in the background, and what it says.
pub(super) struct Background {
    child: Child,
    said: fs_err::File,
}

impl Background {
    /// Starts the command line that this process was given once more. What it says goes to the file `log` in the state folder.
    pub(super) fn start(
        environment: &Environment,
        role: Role,
        log: &str,
        stdin: Stdio,
    ) -> Result<Self, Report> {
        // Private from its first moment on.
        djship_store::Store::open(&env::home(rustix::process::geteuid().is_root()))
            .map_err(|error| errors::storage(&error))?;
        fs_err::create_dir_all(environment.folder()).map_err(|error| failed(&error))?;
        let path = environment.folder().join(log);
        let log = fs_err::File::create(&path).map_err(|error| failed(&error))?.into_file();
        let mut command = Command::new("/proc/self/exe");
        command.args(std::env::args_os().skip(1)).env(role.variable(), "1").stdin(stdin);
        // No group of its own: who leads one cannot open a session.
        command.stdout(log.try_clone().map_err(|error| failed(&error))?).stderr(log);
        let child = command.spawn().map_err(|error| failed(&error))?;
        let said = fs_err::File::open(&path).map_err(|error| failed(&error))?;
        Ok(Self { child, said })
    }

    /// Shows what it said since the last time.
    pub(super) fn show(&mut self) {
        let mut text = Vec::new();
        if self.said.read_to_end(&mut text).is_ok() {
            let _ = std::io::stderr().write_all(&text);
        }
    }

    /// Its exit code, when it has ended.
    pub(super) fn ended(&mut self) -> Result<Option<i32>, Report> {
        let status = self.child.try_wait().map_err(|error| failed(&error))?;
        Ok(status.map(|status| status.code().unwrap_or(1)))
    }

    /// The other end of its standard input, when that is a pipe; the first call takes it.
    pub(super) fn take_stdin(&mut self) -> Option<std::process::ChildStdin> {
        self.child.stdin.take()
    }
}

fn failed(error: &std::io::Error) -> Report {
    Report::new(Kind::Host, "cannot start the environment in the background").line(error.to_string())
}

/// `djship up -d`: returns when it serves or has failed. What it says meanwhile is shown.
pub(super) fn start(environment: &Environment, console: &Console) -> Result<i32, Report> {
    if let Some(state) = environment.running().map_err(|error| errors::environment(&error))? {
        return Err(super::runs_already(&state));
    }
    let mut background = Background::start(environment, Role::Up, "up.log", Stdio::null())?;
    loop {
        background.show();
        if let Some(code) = background.ended()? {
            background.show();
            return Ok(code.max(1));
        }
        // A state that cannot be read yet is one that is not written yet.
        if let Ok(Some(state)) = environment.running()
            && state.phase == Phase::Running
            && !state.for_commands
        {
            background.show();
            console.line("See what it does: djship logs -f; stop it: djship down");
            if let Some(url) = state.url {
                anstream::println!("{url}");
            }
            return Ok(0);
        }
        std::thread::sleep(PAUSE);
    }
}
