//! A container that Docker runs, as long as its handle lives.

use std::{
    io::{self, BufReader},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::{
    event::{EventfdFlags, Timespec, eventfd},
    io::Errno,
    process::Signal,
};
use serde::Deserialize;

use super::{
    client::{Client, parsed},
    error::DockerError,
    http::{Body, Response},
    init::Record,
    results::Results,
    stream::Stream,
    streams::{self, Outputs, ToInit},
};
use crate::{
    error::{ExitStatus, WaitError},
    streams::Ours,
};

/// How long the last output may take to arrive after the end.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How a container ended, and that its results are taken.
type Outcome = Result<ExitStatus, Arc<DockerError>>;

/// What a started container is made of.
pub(crate) struct Parts {
    pub(crate) client: Client,
    pub(crate) what: What,
    /// The attached streams, upgraded.
    pub(crate) attached: BufReader<Stream>,
    pub(crate) outputs: Outputs,
    /// Where the program's input comes from, and whether it is a terminal.
    pub(crate) input: Option<(OwnedFd, bool)>,
    pub(crate) ours: Ours,
    pub(crate) terminal: Option<OwnedFd>,
    pub(crate) results: Results,
    pub(crate) held: Vec<OwnedFd>,
}

/// What a handle is of.
pub(crate) enum What {
    /// A container, and the answer that comes when it ends.
    Container(String, Response),
    /// A further program in one.
    Exec,
}

/// The handle.
#[derive(Debug)]
pub(crate) struct Process {
    client: Client,
    /// The container's; `None` for a further program in one.
    pub(crate) id: Option<String>,
    to_init: ToInit,
    /// Readable for good when the container has ended and its results are taken.
    ended: Arc<OwnedFd>,
    outcome: Arc<Mutex<Option<Outcome>>>,
    /// Nobody wants the results.
    abandoned: Arc<AtomicBool>,
    /// The connection whose end ends the container.
    lifeline: Stream,
    pub(crate) ours: Ours,
    pub(crate) terminal: Option<OwnedFd>,
    keeper: Option<JoinHandle<()>>,
    /// Closed when everything inside is gone.
    _held: Vec<OwnedFd>,
}

/// The answer that comes when a container ends.
#[derive(Deserialize)]
struct End {
    #[serde(rename = "StatusCode")]
    code: i64,
}

impl Process {
    /// Takes over a container that is about to be started; what its first process says of the program comes out of the receiver.
    pub(crate) fn attach(parts: Parts) -> io::Result<(Self, mpsc::Receiver<Record>)> {
        let Parts { client, what, attached, outputs, input, ours, terminal, results, held } = parts;
        let stream = attached.get_ref();
        let (to_init, lifeline) = (ToInit::new(stream.try_clone()?), stream.try_clone()?);
        let ended = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let (outcome, abandoned) = (Arc::new(Mutex::new(None)), Arc::new(AtomicBool::new(false)));
        if let Some((from, is_terminal)) = input {
            let (ended, to_init) = (ended.clone(), to_init.clone());
            thread::spawn(move || streams::copy_input(&from, &ended, &to_init, is_terminal));
        }
        let (starts, started) = mpsc::channel();
        let (words, said) = mpsc::channel();
        thread::spawn(move || {
            let (forward, all) = mpsc::channel();
            thread::scope(|scope| {
                scope.spawn(|| streams::copy_output(attached, outputs, &{ forward }));
                for record in all {
                    let to = if matches!(record, Record::Executed(_)) { &starts } else { &words };
                    let _ = to.send(record);
                }
            });
        });
        let (id, end) = match what {
            What::Container(id, end) => (Some(id), Some(end)),
            What::Exec => (None, None),
        };
        let keeper = Keeper {
            client: client.clone(),
            id: id.clone(),
            results,
            ended: ended.clone(),
            outcome: outcome.clone(),
            abandoned: abandoned.clone(),
        };
        let keeper = thread::spawn(move || keeper.keep(end, &said));
        let process = Self {
            client,
            id,
            to_init,
            ended,
            outcome,
            abandoned,
            lifeline,
            ours,
            terminal,
            keeper: Some(keeper),
            _held: held,
        };
        Ok((process, started))
    }

    pub(crate) fn wait(&mut self) -> Result<ExitStatus, WaitError> {
        loop {
            if let Some(status) = self.wait_for(Duration::from_hours(1))? {
                return Ok(status);
            }
        }
    }

    pub(crate) fn wait_for(&mut self, limit: Duration) -> Result<Option<ExitStatus>, WaitError> {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match streams::is_readable(&*self.ended, Timespec::try_from(left).ok().as_ref()) {
                Ok(true) => break,
                Ok(false) => return Ok(None),
                Err(Errno::INTR) => {}
                Err(errno) => {
                    return Err(WaitError::Kernel { verb: "wait for", pid: 0, source: errno.into() });
                }
            }
        }
        let outcome = self.outcome.lock().ok().and_then(|outcome| outcome.clone());
        match outcome {
            Some(Ok(status)) => Ok(Some(status)),
            Some(Err(error)) => Err(WaitError::Docker(error)),
            // Its thread has panicked.
            None => Ok(Some(ExitStatus::Signal(libc::SIGKILL))),
        }
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<(), WaitError> {
        let Some(id) = &self.id else {
            // It ended meanwhile, if nobody listens.
            let _ = self.to_init.send(b's', &[u8::try_from(signal.as_raw()).unwrap_or_default()]);
            return Ok(());
        };
        let path = format!("/containers/{id}/kill?signal={}", signal.as_raw());
        match self.client.ask("signal a container", "POST", &path, Body::None) {
            // It ended meanwhile; that is what signals are mostly for.
            Ok(_) | Err(DockerError::Refused { status: 404 | 409, .. }) => Ok(()),
            Err(error) => Err(WaitError::Docker(Arc::new(error))),
        }
    }

    pub(crate) fn stop(&mut self, grace: Duration) -> Result<ExitStatus, WaitError> {
        self.signal(Signal::TERM)?;
        if let Some(status) = self.wait_for(grace)? {
            return Ok(status);
        }
        self.signal(Signal::KILL)?;
        self.wait()
    }

    pub(crate) fn ended(&self) -> BorrowedFd<'_> {
        self.ended.as_fd()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.abandoned.store(true, Ordering::SeqCst);
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        if let Some(id) = &self.id
            && !matches!(streams::is_readable(&*self.ended, Some(&now)), Ok(true))
        {
            remove(&self.client, id);
        }
        // Also when the daemon does not answer any more.
        self.lifeline.hang_up();
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
    }
}

/// Ends a container and removes it with its volumes that have no name.
pub(crate) fn remove(client: &Client, id: &str) {
    // It is gone, or will be when the daemon is swept.
    let _ = client.ask_openly(
        "remove a container",
        "DELETE",
        &format!("/containers/{id}?force=1&v=1"),
        Body::None,
    );
}

/// Waits for the end, takes the results out and tidies up.
struct Keeper {
    client: Client,
    id: Option<String>,
    results: Results,
    ended: Arc<OwnedFd>,
    outcome: Arc<Mutex<Option<Outcome>>>,
    abandoned: Arc<AtomicBool>,
}

impl Keeper {
    fn keep(self, end: Option<Response>, said: &mpsc::Receiver<Record>) {
        let outcome = match end {
            Some(end) => self.await_container(end, said),
            // Its first process says how it ended, or is gone with the container.
            None => Ok(exact(said.recv().ok()).unwrap_or(ExitStatus::Signal(libc::SIGKILL))),
        };
        // All others the daemon removes by itself.
        if let Some(id) = self.id.as_ref().filter(|_| self.results.are_wanted()) {
            remove(&self.client, id);
        }
        if let Ok(mut place) = self.outcome.lock() {
            *place = Some(outcome.map_err(Arc::new));
        }
        let _ = rustix::io::write(&*self.ended, &1_u64.to_ne_bytes());
    }

    fn await_container(
        &self,
        end: Response,
        said: &mpsc::Receiver<Record>,
    ) -> Result<ExitStatus, DockerError> {
        let end: End = parsed("wait for a container", end)?;
        // More exact than the daemon's number, which is the same for a signal and for a code.
        let status = exact(said.recv_timeout(LAST_WORDS).ok()).unwrap_or_else(|| match end.code {
            // Killed, the first process as well.
            137 => ExitStatus::Signal(libc::SIGKILL),
            code => ExitStatus::Code(i32::try_from(code).unwrap_or(i32::MAX)),
        });
        if !self.abandoned.load(Ordering::SeqCst)
            && let Some(id) = &self.id
        {
            self.results.take(&self.client, id)?;
        }
        Ok(status)
    }
}

fn exact(record: Option<Record>) -> Option<ExitStatus> {
    match record? {
        Record::Signal(signal) => Some(ExitStatus::Signal(signal.into())),
        Record::Code(code) => Some(ExitStatus::Code(code.into())),
        Record::Executed(_) => None,
    }
}
