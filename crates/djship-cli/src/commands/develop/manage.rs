//! `djship manage` and `djship shell`: a command in a container like the development server's.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use djship_django::develop::{Options, Session, Until};
use djship_django::supervisor::{Environment, Supervisor};
use djship_engine::{Container, Stdio, Streams};

use crate::args::Cli;
use crate::env;
use crate::errors::{self, Kind, Report};
use crate::host::Workshop;
use crate::ui::{Console, Stream};

/// What `djship shell` opens.
const SHELL: &str = "/bin/bash";

/// `djship manage ARGS`.
pub(crate) fn manage(cli: &Cli, arguments: &[String], console: &Console) -> Result<i32, Report> {
    let argv = ["python", "manage.py"].into_iter().map(str::to_owned).chain(arguments.iter().cloned());
    run(cli, argv.collect(), console)
}

/// `djship shell`.
pub(crate) fn shell(cli: &Cli, console: &Console) -> Result<i32, Report> {
    run(cli, vec![SHELL.to_owned()], console)
}

/// Runs a command in the environment; when nothing runs, its services run for as long.
fn run(cli: &Cli, argv: Vec<String>, console: &Console) -> Result<i32, Report> {
    let environment = super::environment(Path::new("."))?;
    let workshop = Workshop::open(cli, Some(environment.project()), false)?;
    if environment.is_running().map_err(|error| errors::environment(&error))? {
        let (_, access) = super::running(&environment)?;
        return run_in(&workshop, access.one_off, argv);
    }
    alone(&workshop, &environment, console, |container| run_in(&workshop, container, argv))
}

/// Brings up the services for one command, and ends them with it.
pub(super) fn alone(
    workshop: &Workshop,
    environment: &Environment,
    console: &Console,
    command: impl FnOnce(Container) -> Result<i32, Report>,
) -> Result<i32, Report> {
    let claim = environment.claim().map_err(|error| {
        Report::new(Kind::User, error.to_string()).causes(&error).hint("Try again in a moment")
    })?;
    let given_up = Arc::new(AtomicBool::new(false));
    // Only what is worth a wait is said: this command's own output is what counts.
    console.be_calm();
    let tools = workshop.tools_until(console, &given_up);
    let supervisor = Supervisor::new(&claim, Arc::new(Stream::new(false)), None, Arc::clone(&given_up));
    let mut supervisor = supervisor.map_err(|error| {
        Report::new(Kind::Host, "cannot listen for other commands").line(error.to_string())
    })?;
    let options = Options {
        folder: environment.project().to_owned(),
        home: env::home(rustix::process::geteuid().is_root()),
        port: None,
        exported: env::exported(),
        until: Until::Services,
    };
    let mut session = Session::new(&tools, &claim, options);
    let code = match session.bring_up(&mut supervisor) {
        Ok(()) => match session.one_off() {
            Some(container) => command(container),
            None => Ok(0),
        },
        Err(error) => Err(errors::up(&error)),
    };
    console.end();
    supervisor.stop_all();
    code
}

fn run_in(workshop: &Workshop, mut container: Container, argv: Vec<String>) -> Result<i32, Report> {
    if argv[0] == SHELL {
        // Whoever sits there may install something to try it.
        for (name, value) in djship_django::develop::installer_environment(&workshop.host) {
            container.env.entry(name).or_insert(value);
        }
    }
    container.argv = argv;
    container.tty = super::has_terminal();
    if container.tty {
        container.env("TERM", std::env::var("TERM").unwrap_or_else(|_| "xterm".to_owned()));
    }
    container.stdio = Streams { stdin: Stdio::Inherit, stdout: Stdio::Inherit, stderr: Stdio::Inherit };
    let terminal = container.tty;
    let running = workshop.engine.start(&container).map_err(|error| errors::start(&error))?;
    super::until_its_end(running, terminal)
}
