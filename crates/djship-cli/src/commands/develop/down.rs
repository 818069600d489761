//! `djship down`.

use std::io::{BufRead as _, Write as _};
use std::time::{Duration, Instant};

use djship_django::services::volumes;
use djship_django::supervisor::{Environment, request_stop};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::args::DownArgs;
use crate::env;
use crate::errors::{self, Kind, Report};
use crate::ui::{Console, duration, size};

/// How long everything may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(25);

pub(crate) fn run(args: &DownArgs, console: &Console) -> Result<i32, Report> {
    let environment = super::environment(&args.path)?;
    let folder = env::home(rustix::process::geteuid().is_root()).join("volumes").join(environment.id());
    if args.volumes && folder.is_dir() && !args.yes && !confirmed(&folder)? {
        console.line("Nothing was changed");
        return Ok(1);
    }
    let since = Instant::now();
    if stop(&environment)? {
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
    Ok(0)
}

/// Ends what runs; whether anything did.
fn stop(environment: &Environment) -> Result<bool, Report> {
    let failed = |error: &djship_django::supervisor::EnvironmentError| errors::environment(error);
    let Some(state) = environment.running().map_err(|error| failed(&error))? else { return Ok(false) };
    // One that does not listen is ended by a signal.
    let asked = request_stop(environment).is_ok();
    if asked && environment.await_end(PATIENCE).map_err(|error| failed(&error))? {
        return Ok(true);
    }
    for signal in [Signal::TERM, Signal::KILL] {
        // By a handle, and only while it is still that process: numbers are given away again.
        if let Some(pid) = Pid::from_raw(state.process.pid)
            && let Ok(process) = pidfd_open(pid, PidfdFlags::empty())
            && state.process.is_alive()
        {
            let _ = pidfd_send_signal(&process, signal);
        }
        if environment.await_end(Duration::from_secs(10)).map_err(|error| failed(&error))? {
            return Ok(true);
        }
    }
    Err(Report::new(Kind::Host, format!("cannot end process {}", state.process.pid)))
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
