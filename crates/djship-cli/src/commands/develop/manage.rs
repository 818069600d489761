//! `djship manage` and `djship shell`: a command in a container like the development server's.

use std::path::Path;

use djship_engine::{Container, Stdio, Streams};

use super::alone::{self, Found, Place};
use super::detach::Role;
use crate::args::Cli;
use crate::errors::{self, Report};
use crate::host::Workshop;
use crate::ui::Console;

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
    if Role::Services.is_own() {
        return alone::hold(cli, &environment, console);
    }
    let workshop = Workshop::open(cli, Some(environment.project()), false)?;
    let place = match Place::find(&environment, console)? {
        Found::Place(place) => place,
        Found::Failed(code) => return Ok(code),
    };
    let code = run_in(&workshop, place.access.one_off.clone(), argv);
    place.leave(console);
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
