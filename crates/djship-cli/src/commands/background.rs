//! Containers in the background: `djship run -d`, `stop`, `logs`, `ps`.
//!
//! A background container is an ordinary `djship run` in a session of its own that writes to a log file; the engine
//! lets nothing outlive it. Below `DJSHIP_HOME`, `containers/NAME/` holds `log`, `process` (its id and start time, so that
//! another process with the same id is never signalled) and, once it runs, `ready`.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use djship_django::supervisor::Environments;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::env;
use crate::errors::{self, Kind, Report};
use crate::ui::Console;

/// Set for the process in the background: the folder of the container.
const FOLDER: &str = "DJSHIP_BACKGROUND";
/// How long a container may take to end before it is made to.
const PATIENCE: Duration = Duration::from_secs(20);
/// How many lines of the log an error shows.
const SHOWN: usize = 25;

/// Starts the command line that this process was given once more, in the background, and returns when it runs.
pub(crate) fn start(name: &str, port: Option<u16>, console: &Console) -> Result<i32, Report> {
    let folder = folder(name);
    if let Some(process) = alive(&folder) {
        return Err(Report::new(
            Kind::User,
            format!(
                "cannot start the container `{name}`: it runs already, as process {}",
                process.as_raw_pid()
            ),
        )
        .hint(format!("Stop it first: djship stop {name}; or give another name: --name NAME")));
    }
    let failed = |error: std::io::Error| {
        Report::new(Kind::Host, "cannot start a container in the background").line(error.to_string())
    };
    // Private from its first moment on.
    djship_store::Store::open(&env::home(rustix::process::geteuid().is_root()))
        .map_err(|error| errors::storage(&error))?;
    // What an earlier one left.
    let _ = fs_err::remove_dir_all(&folder);
    fs_err::create_dir_all(&folder).map_err(failed)?;
    let log = fs_err::File::create(folder.join("log")).map_err(failed)?.into_file();
    let arguments = std::env::args_os().skip(1).filter(|word| word != "-d" && word != "--detach");
    let mut command = Command::new("/proc/self/exe");
    command.args(arguments).env(FOLDER, &folder).stdin(Stdio::null());
    command.stdout(log.try_clone().map_err(failed)?).stderr(log).process_group(0);
    let mut child = command.spawn().map_err(failed)?;
    while !folder.join("ready").exists() {
        if let Some(status) = child.try_wait().map_err(failed)? {
            let log = fs_err::read_to_string(folder.join("log")).unwrap_or_default();
            let lines: Vec<String> = log.lines().map(str::to_owned).collect();
            let report = Report::new(
                Kind::User,
                format!("cannot start the container `{name}`: it has ended ({status})"),
            );
            return Err(report.tail(&lines[lines.len().saturating_sub(SHOWN)..]));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    if let Some(port) = port {
        console.result(&format!("Serving on http://localhost:{port}"));
    }
    console.line(&format!("Stop it: djship stop {name}; see what it says: djship logs {name}"));
    anstream::println!("{name}");
    Ok(0)
}

/// In the background: says who this is. Called before anything is started.
pub(crate) fn enter() -> std::io::Result<()> {
    let Some(folder) = env::get(FOLDER).map(PathBuf::from) else { return Ok(()) };
    // No terminal of its own: closing the one that it was started from ends nothing.
    let _ = rustix::process::setsid();
    let own = rustix::process::getpid().as_raw_pid();
    fs_err::write(folder.join("process"), format!("{own} {}\n", start_time(own).unwrap_or_default()))
}

/// In the background: the container runs.
pub(crate) fn ready() {
    if let Some(folder) = env::get(FOLDER).map(PathBuf::from) {
        // Whoever waits notices the end of this process as well.
        let _ = fs_err::write(folder.join("ready"), "");
    }
}

/// `djship stop`.
pub(crate) fn stop(name: &str) -> Result<i32, Report> {
    let folder = folder(name);
    let Some(process) = alive(&folder) else {
        return Err(Report::new(Kind::User, format!("cannot stop `{name}`: no container of that name runs"))
            .hint("See what runs: djship ps"));
    };
    let failed = |error: rustix::io::Errno| {
        Report::new(Kind::Host, format!("cannot stop `{name}`")).line(error.to_string())
    };
    let handle = pidfd_open(process, PidfdFlags::empty()).map_err(failed)?;
    pidfd_send_signal(&handle, Signal::TERM).map_err(failed)?;
    let since = Instant::now();
    while alive(&folder).is_some() {
        if since.elapsed() > PATIENCE {
            pidfd_send_signal(&handle, Signal::KILL).map_err(failed)?;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = fs_err::remove_dir_all(&folder);
    Ok(0)
}

/// Whether a container of that name ran in the background.
pub(crate) fn is_known(name: &str) -> bool {
    folder(name).exists()
}

/// `djship logs`.
pub(crate) fn logs(name: &str, follow: bool) -> Result<i32, Report> {
    let folder = folder(name);
    let failed = |error: std::io::Error| {
        Report::new(Kind::User, format!("cannot read the log of `{name}`"))
            .line(error.to_string())
            .hint("See what runs: djship ps")
    };
    if !folder.exists() {
        return Err(Report::new(
            Kind::User,
            format!("cannot show the log of `{name}`: no container of that name ran in the background"),
        )
        .hint("See what runs: djship ps"));
    }
    let mut log = fs_err::File::open(folder.join("log")).map_err(failed)?;
    let mut out = std::io::stdout().lock();
    loop {
        let more = std::io::copy(&mut log, &mut out).and_then(|more| out.flush().map(|()| more));
        match more {
            // Whoever reads has seen enough.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(0),
            Err(error) => return Err(failed(error)),
            Ok(0) if !follow || alive(&folder).is_none() => return Ok(0),
            Ok(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

/// `djship ps`.
pub(crate) fn list() -> i32 {
    let entries = fs_err::read_dir(containers()).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .filter(|entry| alive(&entry.path()).is_some())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    for name in names {
        anstream::println!("{}", name.replace('%', "/"));
    }
    let environments = Environments::at(&env::home(rustix::process::geteuid().is_root()));
    // One that cannot be read is one that another version runs.
    for (_, state) in environments.list().unwrap_or_default() {
        let url = state.url.unwrap_or_default();
        anstream::println!("{} (djship up) {url}", state.project.display());
    }
    0
}

/// What is left of containers that said nothing since then and do not run.
pub(super) fn ended(unused_since: std::time::SystemTime) -> Vec<PathBuf> {
    let entries = fs_err::read_dir(containers()).into_iter().flatten().flatten();
    let is_old = |folder: &PathBuf| {
        let time = fs_err::metadata(folder.join("log")).and_then(|log| log.modified());
        time.is_ok_and(|time| time < unused_since)
    };
    entries.map(|entry| entry.path()).filter(|folder| is_old(folder) && alive(folder).is_none()).collect()
}

fn containers() -> PathBuf {
    env::home(rustix::process::geteuid().is_root()).join("containers")
}

fn folder(name: &str) -> PathBuf {
    containers().join(name.replace('/', "%"))
}

/// The process of a container, if it is still that one.
fn alive(folder: &Path) -> Option<Pid> {
    let text = fs_err::read_to_string(folder.join("process")).ok()?;
    let (id, time) = text.trim().split_once(' ')?;
    let id: i32 = id.parse().ok()?;
    (start_time(id).as_deref() == Some(time)).then(|| Pid::from_raw(id)).flatten()
}

/// When a process started, in the kernel's ticks: field 22 of proc_pid_stat(5). `None` for one that is gone or a zombie.
fn start_time(id: i32) -> Option<String> {
    let text = fs_err::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    (state != "Z").then(|| fields.nth(18).map(str::to_owned)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_process_with_the_same_id_is_not_the_container() {
        let folder = std::env::temp_dir().join(format!("djship-background-{}", std::process::id()));
        fs_err::create_dir_all(&folder).unwrap();
        let own = rustix::process::getpid().as_raw_pid();
        fs_err::write(folder.join("process"), format!("{own} {}\n", start_time(own).unwrap())).unwrap();
        assert_eq!(alive(&folder), Pid::from_raw(own));
        fs_err::write(folder.join("process"), format!("{own} 1\n")).unwrap();
        assert_eq!(alive(&folder), None);
        fs_err::remove_dir_all(&folder).unwrap();
    }
}
