//! The programs that run the project's own code: the development server and what runs beside it.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::Duration;

use djship_engine::{Container, Running};
use rustix::process::Signal;

use crate::report::Note;
use crate::running::{self, Unavailable};
use crate::supervisor::{Ending, Program, ProgramError, Role};
use crate::tools::Tools;

/// How long a page may take: the first one imports the whole project.
const PAGE: Duration = Duration::from_mins(2);
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
    answer: Option<Receiver<Option<u16>>>,
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
        Self { tools, name: "web".to_owned(), role: Role::Web, container, port: Some(port), answer: None }
    }

    /// A process beside it. It has a terminal as well: a debugger in a task is a debugger.
    pub(super) fn beside(tools: &'a Tools<'a>, name: String, role: Role, mut container: Container) -> Self {
        container.tty = true;
        container.env("TERM", "xterm-256color");
        Self { tools, name, role, container, port: None, answer: None }
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
        self.answer = None;
        Ok(self.tools.engine.start(&self.container)?)
    }

    fn is_ready(&mut self, running: &Running) -> Result<bool, ProgramError> {
        let Some(port) = self.port else { return Ok(true) };
        if !listens(port, running) {
            // Nobody, or somebody else who took the port in the moment since it was free.
            std::thread::sleep(Duration::from_millis(10));
            return Ok(false);
        }
        let answer = self.answer.get_or_insert_with(|| {
            let (sender, receiver) = mpsc::channel();
            std::thread::spawn(move || {
                // Nobody waits for it any more when the program is gone.
                let _ = sender.send(first_page(port));
            });
            receiver
        });
        match answer.recv_timeout(LOOK) {
            Ok(Some(status)) => {
                if status >= 500 {
                    self.tools.reporter.note(Note::FirstPage(status));
                }
                Ok(true)
            }
            Ok(None) => {
                self.answer = None;
                std::thread::sleep(Duration::from_millis(10));
                Ok(false)
            }
            Err(_) => {
                if matches!(answer.try_recv(), Err(TryRecvError::Disconnected)) {
                    self.answer = None;
                }
                Ok(false)
            }
        }
    }

    fn ending(&self) -> Ending {
        Ending { signal: Signal::TERM, grace: Duration::from_secs(10) }
    }

    fn patience(&self) -> Duration {
        PAGE
    }
}

/// Whether a program in this container listens on the port.
fn listens(port: u16, running: &Running) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let Err(Unavailable::InUse(holder)) = running::available(address) else { return false };
    let namespace = |pid: &str| fs_err::read_link(format!("/proc/{pid}/ns/pid_for_children")).ok();
    // Who it is cannot always be seen; then it is taken to be ours.
    holder.is_none_or(|holder| namespace(&holder.pid.to_string()) == namespace(&running.pid().to_string()))
}

/// The status of the start page; `None` when nobody answers, or not in HTTP.
fn first_page(port: u16) -> Option<u16> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
    stream.set_read_timeout(Some(PAGE)).ok()?;
    let request = format!(
        "GET / HTTP/1.1\r\nHost: localhost:{port}\r\nUser-Agent: djship\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut start = [0; 12];
    stream.read_exact(&mut start).ok()?;
    // Let it finish, so that its log has no broken pipe.
    let _ = std::io::copy(&mut stream.take(16 << 20), &mut std::io::sink());
    std::str::from_utf8(&start).ok()?.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()
}
