//! `djship up`.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use djship_django::develop::{Options, Session, Until, UpError};
use djship_django::supervisor::{End, Supervisor};

use super::detach::{self, Role};
use crate::args::{Cli, UpArgs};
use crate::env;
use crate::errors::{self, Report};
use crate::host::Workshop;
use crate::interrupt;
use crate::ui::{Console, Stream, duration};

/// The exit code of a command that Ctrl-C ended, as shells have it.
const INTERRUPTED: i32 = 130;

pub(crate) fn run(cli: &Cli, args: &UpArgs, console: &Console) -> Result<i32, Report> {
    let since = Instant::now();
    let project = djship_django::project::Project::open(&args.path)
        .map_err(|error| errors::up(&UpError::Project(error)));
    // A project that has no `manage.py` yet may get one; a folder that is not there does not.
    let folder = match project {
        Ok(project) => project.folder,
        Err(report) => fs_err::canonicalize(&args.path).map_err(|_| report)?,
    };
    let environment = super::environment(&folder)?;
    if args.detach && !Role::Up.is_own() {
        return detach::start(&environment, console);
    }
    Role::Up.enter();
    let workshop = Workshop::open(cli, Some(&folder), args.refresh)?;
    let claim = environment.claim().map_err(|error| super::refused(&environment, &error))?;
    let stream = Arc::new(Stream::new(!Role::Up.is_own()));
    let (interrupts, given_up) =
        (interrupt::forward(console.has_services())?, Arc::new(AtomicBool::new(false)));
    let tools = workshop.tools_until(console, &given_up);
    let supervisor = Supervisor::new(&claim, stream, Some(interrupts), Arc::clone(&given_up));
    let mut supervisor = supervisor.map_err(|error| super::cannot_listen(&error))?;
    if let Err(error) = supervisor.watch(&folder) {
        console.warn(&format!("changes in the project are not seen: {error}"));
    }
    let options = Options {
        folder,
        home: env::home(rustix::process::geteuid().is_root()),
        port: args.port,
        exported: env::exported(),
        until: Until::Everything,
    };
    let mut session = Session::new(&tools, &claim, options);
    let result = keep_up(&mut session, &mut supervisor, console, since);
    let stopping = Instant::now();
    supervisor.stop_all();
    let end = result?;
    console.result(&format!("Stopped in {}", duration(stopping.elapsed())));
    Ok(match end {
        End::Asked => 0,
        End::Interrupted => INTERRUPTED,
    })
}

/// Brings the environment up, as often as it takes, and keeps it.
fn keep_up<'a>(
    session: &mut Session<'a>,
    supervisor: &mut Supervisor<'a>,
    console: &Console,
    since: Instant,
) -> Result<End, Report> {
    while let Err(error) = session.bring_up(supervisor) {
        console.end();
        if let Some(end) = supervisor.end() {
            return Ok(end);
        }
        if supervisor.is_ending() {
            return Ok(End::Interrupted);
        }
        let report = errors::up(&error);
        if !error.is_mendable() || Role::Up.is_own() {
            return Err(report);
        }
        report.print();
        console.line("Waiting for a change in the project (Ctrl-C stops everything)");
        if supervisor.await_change().is_none() {
            return Ok(supervisor.end().unwrap_or(End::Interrupted));
        }
    }
    announce(session, console, since);
    console.be_calm();
    Ok(supervisor.supervise(&mut |changes, supervisor| {
        if let Err(error) = session.changed(changes, supervisor)
            && !supervisor.is_ending()
        {
            console.end();
            errors::up(&error).print();
            console.line("What runs goes on as it was; the next change is tried again");
        }
    }))
}

fn announce(session: &Session<'_>, console: &Console, since: Instant) {
    for (what, url) in session.places() {
        console.line(&format!("{what}: {url}"));
    }
    if let Some(url) = session.url() {
        let how = if Role::Up.is_own() { "djship down stops everything" } else { "Ctrl-C stops everything" };
        console.result(&format!("Serving on {url} ({how})"));
    }
    console.line(&format!("Ready after {}", duration(since.elapsed())));
}
