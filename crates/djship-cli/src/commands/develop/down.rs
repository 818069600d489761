//! `djship down`.

use std::io::{BufRead as _, Write as _};
use std::time::{Duration, Instant};

use djship_django::services::volumes;
use djship_django::supervisor::{
    Claim, ClaimError, Environment, EnvironmentError, Phase, State, request_stop,
};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::args::DownArgs;
use crate::env;
use crate::errors::{self, Kind, Report};
use crate::ui::{Console, duration, size};

/// How long it may take until everything has ended: a database a minute, what uses it its own time before.
const PATIENCE: Duration = Duration::from_mins(2);
/// How long until a signal asks once more: for one that is still fetching, or does not listen.
const SIGNAL_AFTER: Duration = Duration::from_secs(10);
/// How long until it is said what is waited for.
const QUIET: Duration = Duration::from_secs(3);
/// How often something that is started again in between is stopped.
const ATTEMPTS: usize = 5;

pub(crate) fn run(args: &DownArgs, console: &Console) -> Result<i32, Report> {
    let environment = super::environment(&args.path)?;
    let folder = env::home(rustix::process::geteuid().is_root()).join("volumes").join(environment.id());
    if args.volumes && folder.is_dir() && !args.yes && !confirmed(&folder)? {
        console.line("Nothing was changed");
        return Ok(1);
    }
    let since = Instant::now();
    let (stopped, claim) = if args.volumes && environment.folder().is_dir() {
        // While the environment is this process's, nobody starts a server on what is being removed.
        let (stopped, claim) = stop_and_take(&environment, console)?;
        (stopped, Some(claim))
    } else {
        (stop(&environment, console)?, None)
    };
    if stopped {
        console.result(&format!("Stopped in {}", duration(since.elapsed())));
    } else {
        console.line("Nothing was running");
    }
    if args.volumes {
        volumes::remove_all(&folder).map_err(|error| errors::volume(&error))?;
        // What was migrated is gone.
        let _ = fs_err::remove_file(environment.folder().join("migrated"));
        console.result("Removed the data of its services");
    }
    drop(claim);
    Ok(0)
}

/// Ends what runs, and what is started meanwhile; whether anything did, and the environment.
fn stop_and_take(environment: &Environment, console: &Console) -> Result<(bool, Claim), Report> {
    let mut stopped = false;
    for _ in 0..ATTEMPTS {
        stopped |= stop(environment, console)?;
        match environment.claim() {
            Ok(claim) => {
                // Whoever looks sees that nothing is starting here.
                let _ = claim.update(|state| state.phase = Phase::Stopping);
                return Ok((stopped, claim));
            }
            Err(ClaimError::Running { .. }) => {
                console.line("The environment was started in this moment: stopping that first");
            }
            Err(error) => return Err(super::refused(environment, &error)),
        }
    }
    Err(Report::new(Kind::User, "cannot remove the data: the environment is started again and again")
        .hint("End whatever starts it, then once more: djship down --volumes"))
}

/// Ends what runs, or is starting; whether anything was.
fn stop(environment: &Environment, console: &Console) -> Result<bool, Report> {
    let failed = |error: &EnvironmentError| errors::environment(error);
    let Some(state) = environment.running().map_err(|error| failed(&error))? else { return Ok(false) };
    if state.phase == Phase::Starting {
        console.line("The environment is still starting: that is given up");
    }
    let since = Instant::now();
    let mut asked = request_stop(environment).is_ok();
    let mut said = false;
    // One request is enough for an orderly end, however long that takes, and a further one changes nothing.
    while since.elapsed() < PATIENCE {
        if !asked || since.elapsed() > SIGNAL_AFTER {
            asked = true;
            signal(&state, Signal::TERM);
        }
        // Another one may have taken its place.
        if environment.await_end(QUIET).map_err(|error| failed(&error))? || !state.process.is_alive() {
            return Ok(true);
        }
        if !std::mem::replace(&mut said, true) {
            console.line(&format!("Waiting for {}", still_there(environment)));
        }
    }
    console.warn(&format!("ended by force: it did not end within {}", duration(PATIENCE)));
    signal(&state, Signal::KILL);
    if environment.await_end(Duration::from_secs(10)).map_err(|error| failed(&error))? {
        return Ok(true);
    }
    Err(Report::new(Kind::Host, format!("cannot end process {}", state.process.pid)))
}

/// By a handle, and only while it is still that process: numbers are given away again.
fn signal(state: &State, signal: Signal) {
    if let Some(pid) = Pid::from_raw(state.process.pid)
        && let Ok(process) = pidfd_open(pid, PidfdFlags::empty())
        && state.process.is_alive()
    {
        let _ = pidfd_send_signal(&process, signal);
    }
}

/// The programs that have not ended, for people.
fn still_there(environment: &Environment) -> String {
    let state = environment.running().ok().flatten();
    let names: Vec<String> = state.map_or_else(Vec::new, |state| {
        let there = state.programs.into_iter().filter(|program| program.container.is_some());
        there.map(|program| program.name).collect()
    });
    if names.is_empty() { "it to end".to_owned() } else { format!("{} to end", names.join(", ")) }
}

fn confirmed(folder: &std::path::Path) -> Result<bool, Report> {
    let found = volumes::list(folder).map_err(|error| errors::volume(&error))?;
    let names: Vec<_> =
        found.iter().map(|(path, _)| path.file_name().unwrap_or_default().to_string_lossy()).collect();
    if !rustix::termios::isatty(rustix::stdio::stdin()) {
        return Err(Report::new(Kind::Usage, format!("cannot ask whether to remove {}", names.join(", ")))
            .hint("To remove it without a question: djship down --volumes --yes"));
    }
    let bytes = bytes_below(folder);
    anstream::eprint!("Remove the data of {} ({}) for good? [y/N] ", names.join(", "), size(bytes));
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    // No answer is no.
    let _ = std::io::stdin().lock().read_line(&mut answer);
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn bytes_below(folder: &std::path::Path) -> u64 {
    let entries = fs_err::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}
