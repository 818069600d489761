//! The development environment: `up`, and the commands that work in it.

mod alone;
pub(crate) mod attach;
pub(crate) mod db;
mod detach;
pub(crate) mod down;
pub(crate) mod exec;
pub(crate) mod logs;
pub(crate) mod manage;
pub(crate) mod status;
pub(crate) mod up;

use std::path::Path;

use djship_django::develop::Access;
use djship_django::project::Project;
use djship_django::supervisor::{ClaimError, Environment, Environments, State};
use djship_engine::{ExitStatus, Running};

use crate::env;
use crate::errors::{self, Kind, Report};
use crate::interrupt::Interrupts;

/// The environment of the project that a command means: the folder itself or one above it, as git does it.
pub(crate) fn environment(path: &Path) -> Result<Environment, Report> {
    let environments = Environments::at(&env::home(rustix::process::geteuid().is_root()));
    let open = |folder: &Path| environments.open(folder).map_err(|error| errors::environment(&error));
    if !path.exists()
        && let Ok(absolute) = std::path::absolute(path)
        && let Ok(all) = environments.list()
        && let Some((gone, _)) = all.into_iter().find(|(_, state)| state.project == absolute)
    {
        // The folder was moved or removed, and what runs for it can still be ended.
        return Ok(gone);
    }
    let here = open(path)?;
    for folder in here.project().ancestors() {
        let environment = open(folder)?;
        if environment.is_running().map_err(|error| errors::environment(&error))? {
            return Ok(environment);
        }
    }
    // A folder within a project: the one in which `up` would find it.
    let found = here.project().ancestors().find(|folder| Project::open(folder).is_ok() && is_top(folder));
    found.map_or(Ok(here.clone()), open)
}

/// Whether a folder is one that people take for a project, and not merely one that has a project somewhere below it.
fn is_top(folder: &Path) -> bool {
    ["manage.py", "pyproject.toml", "djship.toml", "requirements.txt", ".git"]
        .iter()
        .any(|name| folder.join(name).exists())
}

/// What runs, or an error that says how to start it.
pub(crate) fn running(environment: &Environment) -> Result<(State, Access), Report> {
    let Some(state) = environment.running().map_err(|error| errors::environment(&error))? else {
        return Err(not_running(environment));
    };
    let access = serde_json::from_value(state.facts.clone()).map_err(|_| {
        Report::new(
            Kind::User,
            format!("cannot work in `{}` yet: it is still starting", environment.project().display()),
        )
        .hint("See how far it is: djship logs -f")
    })?;
    Ok((state, access))
}

pub(crate) fn not_running(environment: &Environment) -> Report {
    Report::new(
        Kind::User,
        format!("no development environment runs for `{}`", environment.project().display()),
    )
    .hint("Start it: djship up")
}

/// Why an environment cannot be taken.
pub(crate) fn refused(environment: &Environment, error: &ClaimError) -> Report {
    match error {
        ClaimError::Running { .. } => match environment.running() {
            Ok(Some(state)) => runs_already(&state),
            _ => Report::new(Kind::User, error.to_string()).hint("Try again in a moment"),
        },
        ClaimError::Left { .. } => Report::new(Kind::Host, error.to_string())
            .hint("It ends by itself; if it does not within a minute, end that process"),
        ClaimError::Environment(error) => errors::environment(error),
    }
}

/// Somebody else has the environment.
pub(crate) fn runs_already(state: &State) -> Report {
    let pid = state.process.pid;
    if state.for_commands {
        return Report::new(
            Kind::User,
            "`djship manage` or `djship shell` uses the services of this environment",
        )
        .hint("End that command first; or end its services, and with them what it does: djship down");
    }
    let url = state.url.as_ref().map_or_else(String::new, |url| format!(": {url}"));
    Report::new(Kind::User, format!("the environment runs already, as process {pid}{url}"))
        .hint("See what it does: djship logs -f, djship status")
        .hint("Stop it: djship down")
}

pub(crate) fn cannot_listen(error: &std::io::Error) -> Report {
    Report::new(Kind::Host, "cannot listen for other commands").line(error.to_string())
}

/// Whether this command has a terminal to lend.
pub(crate) fn has_terminal() -> bool {
    rustix::termios::isatty(rustix::stdio::stdin()) && rustix::termios::isatty(rustix::stdio::stdout())
}

/// Connects a program with this command's streams until it ends.
pub(crate) fn until_its_end(mut running: Running, terminal: bool) -> Result<i32, Report> {
    let failed =
        |error: &(dyn std::error::Error + 'static)| Report::new(Kind::Host, error.to_string()).causes(error);
    let status: ExitStatus = if terminal {
        running.attach_terminal().map_err(|error| failed(&error))?
    } else {
        let interrupts = Interrupts::watch().map_err(|error| failed(&error))?;
        interrupts.wait(&mut running).map_err(|error| failed(&error))?
    };
    Ok(status.code())
}
