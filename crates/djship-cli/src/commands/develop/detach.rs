//! `djship up -d`: the same command once more, in a session of its own, watched until the first page can be served.

use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use djship_django::supervisor::{Environment, Phase};

use crate::env;
use crate::errors::{self, Kind, Report};
use crate::ui::Console;

/// Set for the process in the background.
const BACKGROUND: &str = "DJSHIP_UP_BACKGROUND";
/// How often it is looked at.
const PAUSE: Duration = Duration::from_millis(20);

/// Whether this process is the one in the background.
pub(super) fn is_background() -> bool {
    env::get(BACKGROUND).is_some()
}

/// In the background: no terminal of its own, so that closing the one it was started from ends nothing.
pub(super) fn enter() {
    if is_background() {
        let _ = rustix::process::setsid();
    }
}

/// Starts the command line that this process was given once more, and returns when it serves or has failed. What it says
/// meanwhile is shown.
pub(super) fn start(environment: &Environment, console: &Console) -> Result<i32, Report> {
    let failed = |error: std::io::Error| {
        Report::new(Kind::Host, "cannot start the environment in the background").line(error.to_string())
    };
    if let Some(state) = environment.running().map_err(|error| errors::environment(&error))? {
        let url = state.url.unwrap_or_default();
        return Err(Report::new(Kind::User, format!("the environment runs already {url}").trim_end())
            .hint("See what it does: djship logs -f, djship status")
            .hint("Stop it: djship down"));
    }
    // Private from its first moment on.
    djship_store::Store::open(&env::home(rustix::process::geteuid().is_root()))
        .map_err(|error| errors::storage(&error))?;
    fs_err::create_dir_all(environment.folder()).map_err(failed)?;
    let path = environment.folder().join("up.log");
    let log = fs_err::File::create(&path).map_err(failed)?.into_file();
    let mut command = Command::new("/proc/self/exe");
    command.args(std::env::args_os().skip(1)).env(BACKGROUND, "1").stdin(Stdio::null());
    command.stdout(log.try_clone().map_err(failed)?).stderr(log).process_group(0);
    let mut child = command.spawn().map_err(failed)?;
    let mut said = fs_err::File::open(&path).map_err(failed)?;
    let mut show = || {
        let mut text = Vec::new();
        if said.read_to_end(&mut text).is_ok() {
            let _ = std::io::stderr().write_all(&text);
        }
    };
    loop {
        show();
        if let Some(status) = child.try_wait().map_err(failed)? {
            show();
            return Ok(status.code().unwrap_or(1).max(1));
        }
        // A state that cannot be read yet is one that is not written yet.
        if let Ok(Some(state)) = environment.running()
            && state.phase == Phase::Running
        {
            show();
            console.line("See what it does: djship logs -f; stop it: djship down");
            if let Some(url) = state.url {
                anstream::println!("{url}");
            }
            return Ok(0);
        }
        std::thread::sleep(PAUSE);
    }
}
