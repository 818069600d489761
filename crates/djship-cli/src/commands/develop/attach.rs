//! `djship attach`.

use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;

use djship_django::supervisor::{Attached, ControlError, attach};
use djship_engine::RawTerminal;
use rustix::event::{PollFd, PollFlags, poll};

use crate::errors::{Kind, Report};

/// Ctrl-]: what ends a connection, as in telnet. Nothing that a debugger reads is bound to it.
const DETACH: u8 = 0x1d;

pub(crate) fn run(program: &str) -> Result<i32, Report> {
    let environment = super::environment(Path::new("."))?;
    super::running(&environment)?;
    let (rows, columns) = own_size();
    let attached = attach(&environment, program, rows, columns).map_err(|error| refused(&error))?;
    let failed =
        |error: std::io::Error| Report::new(Kind::Host, "the connection broke").line(error.to_string());
    anstream::eprintln!("Connected with {program}. To leave it running: Ctrl-]");
    anstream::eprintln!(
        "Ctrl-C goes to {program} like every other key: it may end of it, and is started again then"
    );
    let stdin = std::io::stdin();
    // Not a terminal: a script that types.
    let raw = RawTerminal::new(stdin.as_fd()).ok();
    let result = copy(&attached, (rows, columns));
    drop(raw);
    anstream::eprintln!();
    result.map_err(failed)?;
    Ok(0)
}

fn own_size() -> (u16, u16) {
    rustix::termios::tcgetwinsize(rustix::stdio::stdin()).map_or((24, 80), |size| (size.ws_row, size.ws_col))
}

/// Copies both ways until either side ends.
fn copy(attached: &Attached, mut size: (u16, u16)) -> std::io::Result<()> {
    let stdin = std::io::stdin();
    let mut typing = true;
    let mut bytes = [0; 4096];
    loop {
        let mut watched = vec![PollFd::from_borrowed_fd(attached.output().as_fd(), PollFlags::IN)];
        if typing {
            watched.push(PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN));
        }
        match poll(&mut watched, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let ready: Vec<bool> = watched.iter().map(|one| !one.revents().is_empty()).collect();
        if own_size() != size {
            size = own_size();
            attached.resize(size.0, size.1)?;
        }
        if ready[0] {
            match attached.output().read(&mut bytes)? {
                0 => return Ok(()),
                length => {
                    let mut out = std::io::stdout().lock();
                    out.write_all(&bytes[..length])?;
                    out.flush()?;
                }
            }
        }
        if ready.get(1) == Some(&true) {
            let length = rustix::io::read(&stdin, &mut bytes)?;
            let typed = &bytes[..length];
            let end = typed.iter().position(|byte| *byte == DETACH);
            attached.keys(&typed[..end.unwrap_or(length)])?;
            if end.is_some() {
                return Ok(());
            }
            // The end of a script's input; what the program answers is still shown.
            typing = length > 0;
        }
    }
}

fn refused(error: &ControlError) -> Report {
    Report::new(Kind::User, error.to_string()).causes(error).hint("See what runs: djship status")
}
