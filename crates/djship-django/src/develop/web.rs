//! The programs that run the project's own code: the development server and what runs beside it.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use djship_engine::{Container, Running};
use rustix::process::Signal;

use crate::report::Note;
use crate::running::{self, Holder, RunError, Unavailable};
use crate::supervisor::{Ending, Program, ProgramError, Role, StartFailed, WhyNot};
use crate::tools::Tools;

/// How long it may take until it listens.
const PATIENCE: Duration = Duration::from_mins(2);
/// How long the first page is waited for: it imports the whole project. One that stops at a breakpoint, or waits for
/// something else, is no reason not to say where the server is.
const FIRST_PAGE: Duration = Duration::from_secs(10);
/// How long one look may wait for the answer.
const LOOK: Duration = Duration::from_millis(50);

/// A program of the project, in its container.
pub(super) struct ProjectProgram<'a> {
    tools: &'a Tools<'a>,
    name: String,
    role: Role,
    container: Container,
    /// Where it serves pages, when it does.
    port: Option<u16>,
    asked: Option<Asked>,
}

/// The question for the first page.
struct Asked {
    since: Instant,
    status: Receiver<u16>,
}

impl std::fmt::Debug for ProjectProgram<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProjectProgram")
            .field("name", &self.name)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl<'a> ProjectProgram<'a> {
    /// The development server, on `port` of 127.0.0.1, with a terminal so that a debugger has one.
    pub(super) fn web(tools: &'a Tools<'a>, mut container: Container, port: u16) -> Self {
        container.tty = true;
        container.env("TERM", "xterm-256color");
        Self { tools, name: "web".to_owned(), role: Role::Web, container, port: Some(port), asked: None }
    }

    /// A process beside it. It has a terminal as well: a debugger in a task is a debugger.
    pub(super) fn beside(tools: &'a Tools<'a>, name: String, role: Role, mut container: Container) -> Self {
        container.tty = true;
        container.env("TERM", "xterm-256color");
        Self { tools, name, role, container, port: None, asked: None }
    }
}

impl Program for ProjectProgram<'_> {
    fn name(&self) -> &str {
        &self.name
    }

    fn role(&self) -> Role {
        self.role
    }

    fn container(&self) -> &Container {
        &self.container
    }

    fn start(&mut self) -> Result<Running, ProgramError> {
        self.asked = None;
        Ok(self.tools.engine.start(&self.container)?)
    }

    fn is_ready(&mut self, running: &Running) -> Result<bool, ProgramError> {
        let Some(port) = self.port else { return Ok(true) };
        match listener(port, running) {
            Listener::Own => {}
            Listener::Nobody => {
                std::thread::sleep(Duration::from_millis(10));
                return Ok(false);
            }
            // Somebody took the port in the moment since it was free. Not every server ends because of that.
            Listener::Other(holder) => {
                return Err(RunError::PortInUse { address: local(port), holder: Some(holder) }.into());
            }
        }
        let asked = self.asked.get_or_insert_with(|| Asked::now(port));
        match asked.status.recv_timeout(LOOK) {
            Ok(status) => {
                if status >= 500 {
                    self.tools.reporter.note(Note::FirstPage(status));
                }
                Ok(true)
            }
            Err(RecvTimeoutError::Timeout) if asked.since.elapsed() < FIRST_PAGE => Ok(false),
            Err(RecvTimeoutError::Timeout) => {
                self.tools.reporter.note(Note::FirstPageWaits(FIRST_PAGE));
                Ok(true)
            }
            // No answer in HTTP: the server has just begun, or ends.
            Err(RecvTimeoutError::Disconnected) => {
                self.asked = None;
                std::thread::sleep(Duration::from_millis(10));
                Ok(false)
            }
        }
    }

    fn still_serves(&mut self, _: &Running) -> Option<bool> {
        let port = self.port?;
        Some(running::is_listened_on(SocketAddr::from((Ipv4Addr::LOCALHOST, port))))
    }

    fn ending(&self) -> Ending {
        Ending { signal: Signal::TERM, grace: Duration::from_secs(10) }
    }

    fn patience(&self) -> Duration {
        PATIENCE
    }
}

impl Asked {
    fn now(port: u16) -> Self {
        let (sender, status) = mpsc::channel();
        std::thread::spawn(move || first_page(port, &sender));
        Self { since: Instant::now(), status }
    }
}

/// Who listens on the port of the development server.
enum Listener {
    Nobody,
    /// A program in its container.
    Own,
    Other(Holder),
}

fn listener(port: u16, running: &Running) -> Listener {
    let Err(Unavailable::InUse(holder)) = running::available(local(port)) else { return Listener::Nobody };
    // Who it is cannot always be seen; then it is taken to be ours.
    let Some(holder) = holder else { return Listener::Own };
    let namespace = |pid: &str| fs_err::read_link(format!("/proc/{pid}/ns/pid_for_children")).ok();
    match (namespace(&holder.pid.to_string()), namespace(&running.pid().to_string())) {
        (theirs, ours) if theirs == ours => Listener::Own,
        (Some(_), Some(_)) => Listener::Other(holder),
        // One of the two has just ended.
        _ => Listener::Nobody,
    }
}

/// Whether a development server did not come up because somebody else has its port.
pub(super) fn has_lost_its_port(failed: &StartFailed) -> bool {
    let seen = match &failed.why {
        WhyNot::Error(why) => matches!(why.downcast_ref(), Some(RunError::PortInUse { .. })),
        _ => false,
    };
    // Who it is cannot always be seen; Django says it, and ends.
    let said = || failed.output.iter().any(|line| line.contains("port is already in use"));
    failed.role == Role::Web && (seen || said())
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Tells the status of the start page; nothing when nobody answers, or not in HTTP.
fn first_page(port: u16, status: &Sender<u16>) -> Option<()> {
    let mut stream = TcpStream::connect_timeout(&local(port), Duration::from_secs(1)).ok()?;
    // Longer than anybody waits for it: a debugger in the page is not disturbed by the end of the connection.
    stream.set_read_timeout(Some(Duration::from_hours(24))).ok()?;
    let request = format!(
        "GET / HTTP/1.1\r\nHost: localhost:{port}\r\nUser-Agent: djship\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut start = [0; 12];
    stream.read_exact(&mut start).ok()?;
    // Nobody waits for it any more when the program is gone.
    let _ = status.send(std::str::from_utf8(&start).ok()?.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()?);
    // Let it finish, so that its log has no broken pipe.
    let _ = std::io::copy(&mut stream.take(16 << 20), &mut std::io::sink());
    Some(())
}
