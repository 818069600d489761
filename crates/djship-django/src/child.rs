//! Programs in containers during a build: their lines go to the reporter, the last ones are kept for errors.

use std::io::{BufRead as _, BufReader, Read};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use djship_engine::{Container, ExitStatus, Network, Running, StartError, Stdio, Streams, WaitError};

use crate::hosts;
use crate::tools::Tools;

/// How many lines are kept of what a program prints.
const KEPT_LINES: usize = 2000;
/// How long a program may run on when its result is not wanted any more.
const GIVING_UP: Duration = Duration::from_millis(100);
/// Longer lines are cut, in bytes.
const LONGEST_LINE: u64 = 64 << 10;

/// A program that ended.
#[derive(Debug, Clone)]
pub(crate) struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// Its last lines, standard output and standard error as they came.
    pub lines: Vec<String>,
}

/// A program that could not be run.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// The container did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Waiting for it failed.
    #[error(transparent)]
    Wait(#[from] WaitError),
    /// It was ended, because nobody wants its result any more.
    #[error("interrupted")]
    GivenUp,
}

impl Finished {
    /// Whether it ended with exit code 0.
    pub(crate) fn success(&self) -> bool {
        self.status.code() == 0
    }

    /// The last `number` lines.
    pub(crate) fn tail(&self, number: usize) -> &[String] {
        &self.lines[self.lines.len().saturating_sub(number)..]
    }
}

/// A container for a step of a build: no network, no sockets of the host, fixed environment, nothing to read.
pub(crate) fn step(
    lowers: impl IntoIterator<Item = PathBuf>,
    argv: impl IntoIterator<Item = impl Into<String>>,
) -> Container {
    let mut container = Container::new(lowers, argv);
    container.stdio = Streams { stdin: Stdio::Null, stdout: Stdio::Piped, stderr: Stdio::Piped };
    container.network = Network::None;
    container.unix_sockets = false;
    for (name, value) in [
        ("PATH", "/venv/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"),
        ("HOME", "/tmp"),
        ("LANG", "C.UTF-8"),
        ("PYTHONDONTWRITEBYTECODE", "1"),
        ("PYTHONHASHSEED", "0"),
        ("PYTHONUNBUFFERED", "1"),
        ("SOURCE_DATE_EPOCH", "946684800"),
    ] {
        container.env(name, value);
    }
    hosts::isolated(&mut container);
    container
}

/// Runs the container to its end.
pub(crate) fn run(tools: &Tools<'_>, container: &Container) -> Result<Finished, ChildError> {
    follow(tools, tools.engine.start(container)?)
}

/// Follows a started container to its end.
pub(crate) fn follow(tools: &Tools<'_>, mut running: Running) -> Result<Finished, ChildError> {
    let (sender, receiver) = mpsc::channel();
    let mut lines = std::collections::VecDeque::new();
    let (stdout, stderr) = (running.take_stdout(), running.take_stderr());
    std::thread::scope(|scope| {
        for stream in [stdout.map(boxed), stderr.map(boxed)].into_iter().flatten() {
            let sender = sender.clone();
            scope.spawn(move || read_lines(stream, &sender));
        }
        drop(sender);
        while let Some(line) = next(&receiver, tools.given_up, &running) {
            tools.reporter.output(&line);
            if lines.len() == KEPT_LINES {
                lines.pop_front();
            }
            lines.push_back(line);
        }
    });
    let status = running.wait()?;
    if tools.given_up.load(Ordering::SeqCst) {
        return Err(ChildError::GivenUp);
    }
    Ok(Finished { status, lines: lines.into() })
}

/// The next line. When the work is given up, the program is killed, and its output ends.
fn next(receiver: &mpsc::Receiver<String>, given_up: &AtomicBool, running: &Running) -> Option<String> {
    loop {
        match receiver.recv_timeout(GIVING_UP) {
            Ok(line) => return Some(line),
            Err(mpsc::RecvTimeoutError::Disconnected) => return None,
            Err(mpsc::RecvTimeoutError::Timeout) if given_up.load(Ordering::SeqCst) => {
                let _ = running.signal(rustix::process::Signal::KILL);
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
    }
}

fn boxed(stream: impl Read + Send + 'static) -> Box<dyn Read + Send> {
    Box::new(stream)
}

fn read_lines(stream: Box<dyn Read + Send>, sender: &mpsc::Sender<String>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        match reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line) {
            // A broken pipe here is the end of the program; how it ended is told by its status.
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let text = String::from_utf8_lossy(&line);
                // Nobody listens any more only when the build is being given up.
                if sender.send(text.trim_end_matches(['\n', '\r']).to_owned()).is_err() {
                    return;
                }
            }
        }
    }
}
