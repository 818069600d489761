//! `djship exec`.

use std::path::Path;

use djship_engine::Streams;

use crate::args::{Cli, ExecArgs};
use crate::errors::{self, Kind, Report};
use crate::host::Workshop;

pub(crate) fn run(cli: &Cli, args: &ExecArgs) -> Result<i32, Report> {
    let environment = super::environment(Path::new("."))?;
    let (state, access) = super::running(&environment)?;
    let program = state.program(&args.program);
    let (Some(record), Some(access)) = (
        program.and_then(|program| program.container.as_ref()),
        access.programs.iter().find(|access| access.name == args.program),
    ) else {
        let names: Vec<_> = state.programs.iter().map(|program| program.name.as_str()).collect();
        return Err(Report::new(
            Kind::User,
            format!("cannot run a command in `{}`: it does not run", args.program),
        )
        .line(format!("There are: {}", names.join(", "))));
    };
    let workshop = Workshop::open(cli, Some(environment.project()), false)?;
    let mut exec = access.exec(args.command.iter().cloned());
    for (name, value) in djship_django::develop::installer_environment(&workshop.host) {
        exec.env.entry(name).or_insert(value);
    }
    exec.tty = super::has_terminal();
    if exec.tty {
        exec.env("TERM", std::env::var("TERM").unwrap_or_else(|_| "xterm".to_owned()));
    }
    exec.stdio = Streams::default();
    let running = workshop.engine.exec(record, &exec).map_err(|error| errors::start(&error))?;
    super::until_its_end(running, exec.tty)
}
