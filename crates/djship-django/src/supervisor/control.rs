//! The control socket of a running environment: how other commands reach the supervisor.
//!
//! One request as a line of JSON, one answer as a line of JSON. After an answered `attach`, what the program prints comes as it
//! is, and what is typed goes the other way in frames: a kind (0 keys, 1 size), a length of two bytes, the bytes.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::Sender;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use super::environment::Environment;
use super::supervise::Message;
use super::terminals::Terminals;
use super::users::Users;

/// The socket's name in the state folder.
pub(super) const SOCKET: &str = "control";
/// A request is at most this long, in bytes.
const LONGEST_REQUEST: u64 = 4096;
/// How long either side waits for the other one's line.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long somebody who is attached may take to read.
const SLOW: Duration = Duration::from_secs(1);

const KEYS: u8 = 0;
const SIZE: u8 = 1;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "request", deny_unknown_fields)]
pub(super) enum Request {
    /// End everything.
    Stop,
    /// Connect with a program's terminal.
    Attach { program: String, rows: u16, columns: u16 },
    /// End a program and start it again.
    Restart { program: String },
    /// Keep the services until this connection ends, or says so.
    Use,
}

/// What is answered: nothing, or what is wrong.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Answer {
    #[serde(default)]
    error: Option<Refusal>,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Refusal {
    NoSuchProgram,
    NoTerminal,
    Ending,
    Malformed,
}

/// An environment cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nothing of that name runs.
    #[error("cannot reach `{program}`: no program of that name runs")]
    NoSuchProgram {
        /// The name.
        program: String,
    },
    /// It has no terminal.
    #[error("cannot attach to `{program}`: it has no terminal")]
    NoTerminal {
        /// The name.
        program: String,
    },
    /// It ends, and takes nobody any more.
    #[error("the environment is being ended")]
    Ending,
    /// Another version runs there, or something that is no supervisor.
    #[error("cannot talk to the environment: it does not understand")]
    Malformed,
    /// The socket cannot be used.
    #[error("cannot talk to the environment")]
    Io(#[from] io::Error),
}

/// Answers requests from now on, in threads of its own, until the listener is dropped.
pub(super) fn serve(
    folder: &Path,
    terminals: Terminals,
    users: Users,
    loop_: Sender<Message>,
) -> io::Result<Listening> {
    let (handle, path) = reach(folder)?;
    let listener = UnixListener::bind(path)?;
    drop(handle);
    let own = listener.try_clone()?;
    std::thread::spawn(move || {
        for client in listener.incoming() {
            // The end of the listener, too.
            let Ok(client) = client else { return };
            let (terminals, users, loop_) = (terminals.clone(), users.clone(), loop_.clone());
            std::thread::spawn(move || {
                if is_trusted(&client) {
                    // Who hangs up misses the answer.
                    let _ = answer(&client, &terminals, &users, &loop_);
                }
            });
        }
    });
    Ok(Listening(own))
}

/// A socket that is listened on while this lives.
#[derive(Debug)]
pub(super) struct Listening(UnixListener);

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = rustix::net::shutdown(&self.0, rustix::net::Shutdown::Both);
    }
}

/// The state folder's mode keeps others out; this keeps them out also when somebody opens it.
fn is_trusted(client: &UnixStream) -> bool {
    let own = rustix::process::geteuid();
    rustix::net::sockopt::socket_peercred(client).is_ok_and(|peer| peer.uid == own || peer.uid.is_root())
}

fn answer(
    client: &UnixStream,
    terminals: &Terminals,
    users: &Users,
    loop_: &Sender<Message>,
) -> io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    client.set_write_timeout(Some(SLOW))?;
    let mut line = String::new();
    let mut reader = BufReader::new(client);
    reader.by_ref().take(LONGEST_REQUEST).read_line(&mut line)?;
    let refuse = |refusal| say(client, &Answer { error: Some(refusal) });
    match serde_json::from_str(&line) {
        Err(_) => refuse(Refusal::Malformed),
        Ok(Request::Stop) => {
            // Gone already is as good.
            let _ = loop_.send(Message::Stop);
            say(client, &Answer::default())
        }
        Ok(Request::Restart { program }) => {
            let _ = loop_.send(Message::Restart(program));
            say(client, &Answer::default())
        }
        Ok(Request::Use) => {
            let Some(user) = users.enter() else { return refuse(Refusal::Ending) };
            say(client, &Answer::default())?;
            client.set_read_timeout(None)?;
            // One byte says that it goes, and wants to know whether everything ends then.
            if reader.read(&mut [0])? == 1 {
                let last = user.leave();
                (&*client).write_all(&[u8::from(last)])?;
            }
            Ok(())
        }
        Ok(Request::Attach { program, rows, columns }) => {
            let Some(terminal) = terminals.find(&program) else { return refuse(Refusal::NoTerminal) };
            say(client, &Answer::default())?;
            terminal.resize(rows, columns);
            terminal.attach(client.try_clone()?);
            client.set_read_timeout(None)?;
            take_keys(&mut reader, &program, terminals)
        }
    }
}

fn say(mut client: &UnixStream, answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    client.write_all(&line)
}

/// Types what comes in frames, until the end of the stream.
fn take_keys(reader: &mut impl io::Read, program: &str, terminals: &Terminals) -> io::Result<()> {
    loop {
        let mut head = [0; 3];
        match reader.read_exact(&mut head) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            result => result?,
        }
        let mut body = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
        reader.read_exact(&mut body)?;
        // Each time: a restart gives it another one.
        let Some(terminal) = terminals.find(program) else { return Ok(()) };
        match (head[0], body.as_slice()) {
            (KEYS, keys) => terminal.type_in(keys),
            (SIZE, [a, b, c, d]) => {
                terminal.resize(u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]));
            }
            _ => return Ok(()),
        }
    }
}

/// The folder's handle and a short path through it: a socket's path holds 107 bytes (unix(7)).
fn reach(folder: &Path) -> io::Result<(File, String)> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let handle: OwnedFd = rustix::fs::open(folder, flags, Mode::empty())?;
    let path = format!("/proc/self/fd/{}/{SOCKET}", handle.as_raw_fd());
    Ok((handle.into(), path))
}

fn ask(environment: &Environment, request: &Request) -> Result<UnixStream, ControlError> {
    let (handle, path) = reach(environment.folder())?;
    let mut stream = UnixStream::connect(path)?;
    drop(handle);
    let mut line = serde_json::to_vec(request).map_err(io::Error::other)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // Byte by byte: what follows the line is the program's.
    let mut text = Vec::new();
    let mut byte = [0];
    while stream.read(&mut byte)? == 1 && byte[0] != b'\n' && text.len() < 4096 {
        text.push(byte[0]);
    }
    stream.set_read_timeout(None)?;
    let answer: Answer = serde_json::from_slice(&text).map_err(|_| ControlError::Malformed)?;
    let program = match request {
        Request::Attach { program, .. } | Request::Restart { program } => program.clone(),
        Request::Stop | Request::Use => String::new(),
    };
    match answer.error {
        None => Ok(stream),
        Some(Refusal::NoSuchProgram) => Err(ControlError::NoSuchProgram { program }),
        Some(Refusal::NoTerminal) => Err(ControlError::NoTerminal { program }),
        Some(Refusal::Ending) => Err(ControlError::Ending),
        Some(Refusal::Malformed) => Err(ControlError::Malformed),
    }
}

/// Asks a running environment to end; it takes a moment.
pub fn request_stop(environment: &Environment) -> Result<(), ControlError> {
    ask(environment, &Request::Stop).map(drop)
}

/// Asks a running environment to start a program again.
pub fn request_restart(environment: &Environment, program: &str) -> Result<(), ControlError> {
    ask(environment, &Request::Restart { program: program.to_owned() }).map(drop)
}

/// A use of a running environment's services: as long as this lives, an environment that is there for such commands alone
/// stays.
#[derive(Debug)]
pub struct Lease(UnixStream);

impl Lease {
    /// Of an environment that runs, or is starting.
    pub fn of(environment: &Environment) -> Result<Self, ControlError> {
        ask(environment, &Request::Use).map(Self)
    }

    /// Ends the use; whether the environment ends with it.
    pub fn leave(self) -> io::Result<bool> {
        (&self.0).write_all(&[0])?;
        self.0.set_read_timeout(Some(PATIENCE))?;
        let mut last = [0];
        (&self.0).read_exact(&mut last)?;
        Ok(last[0] == 1)
    }
}

/// Connects with the terminal of a program, at a size of `rows` and `columns`.
pub fn attach(
    environment: &Environment,
    program: &str,
    rows: u16,
    columns: u16,
) -> Result<Attached, ControlError> {
    ask(environment, &Request::Attach { program: program.to_owned(), rows, columns }).map(Attached)
}

/// A connection with a program's terminal. Reading gives what the program prints.
#[derive(Debug)]
pub struct Attached(UnixStream);

impl Attached {
    /// The stream of what the program prints; it ends with the program.
    pub fn output(&self) -> &UnixStream {
        &self.0
    }

    /// Types.
    pub fn keys(&self, keys: &[u8]) -> io::Result<()> {
        keys.chunks(usize::from(u16::MAX)).try_for_each(|part| self.frame(KEYS, part))
    }

    /// Tells the size of the own terminal.
    pub fn resize(&self, rows: u16, columns: u16) -> io::Result<()> {
        let ([a, b], [c, d]) = (rows.to_be_bytes(), columns.to_be_bytes());
        self.frame(SIZE, &[a, b, c, d])
    }

    fn frame(&self, kind: u8, body: &[u8]) -> io::Result<()> {
        let length = u16::try_from(body.len()).map_err(io::Error::other)?.to_be_bytes();
        let mut frame = vec![kind, length[0], length[1]];
        frame.extend_from_slice(body);
        (&self.0).write_all(&frame)
    }
}

#[cfg(test)]
#[path = "control_tests.rs"]
mod tests;
