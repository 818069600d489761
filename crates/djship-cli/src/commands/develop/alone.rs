//! Services alone: what commands work with when no environment runs.
//!
//! A process in the background brings them up and holds them, so that they belong to no command: they stay until the last
//! command that uses them has ended, however it ends.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use djship_django::develop::{Access, Options, Session, Until};
use djship_django::supervisor::{ClaimError, ControlError, Environment, Lease, Phase, State, Supervisor};

use super::detach::{Background, PAUSE, Role};
use crate::args::Cli;
use crate::env;
use crate::errors::{self, Kind, Report};
use crate::host::Workshop;
use crate::interrupt;
use crate::ui::{Console, Stream};

/// The exit code of a process in the background that came too late: somebody else has the environment. (EX_TEMPFAIL)
const TAKEN: i32 = 75;
/// How long everything may take to end: a database a minute, what uses it its own time before.
const ENDING: Duration = Duration::from_mins(2);
/// How long a process that has the environment may take until it listens.
const LISTENING: Duration = Duration::from_secs(10);
/// How often it is tried again when others come and go in the same moment.
const ATTEMPTS: usize = 20;

/// What a command works in, kept for as long as it runs.
pub(super) struct Place {
    pub(super) access: Access,
    environment: Environment,
    lease: Option<Lease>,
}

/// How it went.
pub(super) enum Found {
    Place(Box<Place>),
    /// The services do not come up; that was said, and this is the exit code.
    Failed(i32),
}

impl Place {
    /// Finds what runs, or brings up the services.
    pub(super) fn find(environment: &Environment, console: &Console) -> Result<Found, Report> {
        for _ in 0..ATTEMPTS {
            let found = match environment.running().map_err(|error| errors::environment(&error))? {
                Some(state) => join(environment, &state, console)?.map(|place| Found::Place(Box::new(place))),
                None => bring_up(environment)?,
            };
            if let Some(found) = found {
                return Ok(found);
            }
        }
        Err(Report::new(Kind::User, "the environment starts and ends again and again")
            .hint("See who does it: djship status"))
    }

    /// The command has ended. When the services end with it, that is waited for, so that the next command finds nothing half
    /// ended.
    pub(super) fn leave(self, console: &Console) {
        if let Some(lease) = self.lease
            // Ended meanwhile, by `djship down`.
            && lease.leave().unwrap_or(false)
        {
            await_end(&self.environment, console);
        }
    }
}

/// Uses what runs; `None` when it is gone, or going, and was waited for.
fn join(environment: &Environment, state: &State, console: &Console) -> Result<Option<Place>, Report> {
    let lease = match Lease::of(environment) {
        Ok(lease) => Some(lease),
        Err(ControlError::Ending) => {
            await_end(environment, console);
            return Ok(None);
        }
        // In the moment before it listens, and after: it is one attempt as long as it is the same process.
        Err(_) if state.for_commands => {
            let since = Instant::now();
            while since.elapsed() < LISTENING
                && is_still(environment, state)
                && Lease::of(environment).is_err()
            {
                std::thread::sleep(PAUSE);
            }
            return Ok(None);
        }
        // It is there by itself.
        Err(_) => None,
    };
    while let Some(now) = environment.running().map_err(|error| errors::environment(&error))? {
        if !now.for_commands || now.phase == Phase::Running {
            let (_, access) = super::running(environment)?;
            return Ok(Some(Place { access, environment: environment.clone(), lease }));
        }
        if now.phase == Phase::Stopping {
            await_end(environment, console);
            return Ok(None);
        }
        std::thread::sleep(PAUSE);
    }
    Ok(None)
}

fn is_still(environment: &Environment, state: &State) -> bool {
    environment.running().is_ok_and(|now| now.is_some_and(|now| now.process == state.process))
}

/// Waits for the end of what is ending, and says so when that takes a while.
fn await_end(environment: &Environment, console: &Console) {
    // What cannot be looked at is met again by whoever comes next.
    if !environment.await_end(Duration::from_secs(3)).unwrap_or(true) {
        console.line("Waiting until the services have ended");
        let _ = environment.await_end(ENDING);
    }
}

/// Has the services brought up in the background, and uses them. `None` when somebody else was quicker.
fn bring_up(environment: &Environment) -> Result<Option<Found>, Report> {
    let mut background = Background::start(environment, Role::Services, "services.log", Stdio::piped())?;
    // The first use: the services go when this process does.
    let first = background.take_stdin();
    loop {
        let ended = background.ended()?;
        if ended == Some(TAKEN) {
            return Ok(None);
        }
        background.show();
        match ended {
            Some(0) => {
                return Err(Report::new(Kind::User, "the services were stopped while they started")
                    .hint("Run the command again"));
            }
            Some(code) => return Ok(Some(Found::Failed(code))),
            None => {}
        }
        if let Ok(Some(state)) = environment.running()
            && state.for_commands
            && state.phase == Phase::Running
            && let Ok(lease) = Lease::of(environment)
        {
            background.show();
            let (_, access) = super::running(environment)?;
            drop(first);
            let place = Place { access, environment: environment.clone(), lease: Some(lease) };
            return Ok(Some(Found::Place(Box::new(place))));
        }
        std::thread::sleep(PAUSE);
    }
}

/// In the background: brings the services up, and keeps them until nobody uses them.
pub(super) fn hold(cli: &Cli, environment: &Environment, console: &Console) -> Result<i32, Report> {
    Role::Services.enter();
    let claim = match environment.claim_for_commands() {
        Err(ClaimError::Running { .. }) => return Ok(TAKEN),
        claim => claim.map_err(|error| super::refused(environment, &error))?,
    };
    let workshop = Workshop::open(cli, Some(environment.project()), false)?;
    let given_up = Arc::new(AtomicBool::new(false));
    let interrupts = interrupt::forward(console.has_services())?;
    // Only what is worth a wait is said: the command's own output is what counts.
    console.be_calm();
    let tools = workshop.tools_until(console, &given_up);
    let stream = Arc::new(Stream::new(false));
    let mut supervisor = Supervisor::new(&claim, stream, Some(interrupts), Arc::clone(&given_up))
        .map_err(|error| super::cannot_listen(&error))?;
    supervisor.end_with_users(std::io::stdin());
    let options = Options {
        folder: environment.project().to_owned(),
        home: env::home(rustix::process::geteuid().is_root()),
        port: None,
        exported: env::exported(),
        until: Until::Services,
    };
    let mut session = Session::new(&tools, &claim, options);
    let result = session.bring_up(&mut supervisor);
    console.end();
    if result.is_ok() {
        supervisor.supervise(&mut |_, _| {});
    }
    supervisor.stop_all();
    match result {
        Err(error) if !supervisor.is_ending() => Err(errors::up(&error)),
        _ => Ok(0),
    }
}
