//! Handles of what runs: waiting, signalling, stopping, and the caller's ends of its streams.

use std::{
    io::{self, PipeReader, PipeWriter},
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, pidfd_send_signal, waitid},
};

use crate::{
    assignment::Workload,
    control::{self, Event},
    docker,
    error::{ExitStatus, WaitError},
    record::{ContainerRecord, RecordError},
    scratch::{ScratchFolder, WorkFolder},
    streams::Ours,
};

/// A running container. Dropping it ends the container.
#[derive(Debug)]
pub struct Running(Handle);

/// A container as the engine that runs it knows it.
#[derive(Debug)]
enum Handle {
    Embedded(Box<Embedded>),
    Docker(Box<docker::Started>),
}

/// A container whose PID 1 is a child of this process.
#[derive(Debug)]
struct Embedded {
    process: Process,
    owner: (u32, u32),
    workload: Workload,
    // After the process: the kernel looks at it until the mounts are gone.
    _folders: Folders,
}

/// Folders that are tidied up after the container.
#[derive(Debug, Default)]
pub(crate) struct Folders {
    pub(crate) _scratch: Option<ScratchFolder>,
    pub(crate) _work: Option<WorkFolder>,
}

/// The same for both engines.
macro_rules! either {
    ($running:expr, $process:ident => $does:expr) => {
        match $running {
            Handle::Embedded(embedded) => {
                let $process = &mut embedded.process;
                $does
            }
            Handle::Docker(docker) => {
                let $process = &mut docker.process;
                $does
            }
        }
    };
}

impl Running {
    pub(crate) fn new(process: Process, folders: Folders, owner: (u32, u32), workload: Workload) -> Self {
        Self(Handle::Embedded(Box::new(Embedded { process, owner, workload, _folders: folders })))
    }

    pub(crate) fn in_docker(started: docker::Started) -> Self {
        Self(Handle::Docker(Box::new(started)))
    }

    /// The container's PID 1 (for [`crate::Exec`], the helper that waits for the program), as this process sees it. Of a container
    /// on another machine it is this process itself, as long as which that one lives.
    pub fn pid(&self) -> i32 {
        match &self.0 {
            Handle::Embedded(embedded) => embedded.process.pid.as_raw_nonzero().get(),
            Handle::Docker(docker) => {
                docker.pid.unwrap_or_else(|| rustix::process::getpid().as_raw_nonzero().get())
            }
        }
    }

    /// What a later djship needs to enter the container.
    pub fn record(&self) -> Result<ContainerRecord, RecordError> {
        match &self.0 {
            Handle::Embedded(embedded) => ContainerRecord::of(self.pid(), embedded.owner, &embedded.workload),
            Handle::Docker(docker) => {
                ContainerRecord::in_docker(self.pid(), docker.user, docker.recorded.clone())
            }
        }
    }

    /// Waits until the program has ended and everything else inside is gone.
    pub fn wait(&mut self) -> Result<ExitStatus, WaitError> {
        either!(&mut self.0, process => process.wait())
    }

    /// How the program ended, if it has.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>, WaitError> {
        self.wait_for(Duration::ZERO)
    }

    /// Waits for at most `limit`; `None` when the program still runs then.
    pub fn wait_for(&mut self, limit: Duration) -> Result<Option<ExitStatus>, WaitError> {
        either!(&mut self.0, process => process.wait_for(limit))
    }

    /// Sends a signal to the program. TERM, INT, HUP, QUIT, USR1, USR2, WINCH, CONT and ALRM are passed on by PID 1; KILL ends
    /// everything inside at once.
    ///
    /// PID 1 is in a session of its own: signals of the caller's terminal (Ctrl-C) do not reach it by themselves.
    pub fn signal(&self, signal: Signal) -> Result<(), WaitError> {
        match &self.0 {
            Handle::Embedded(embedded) => embedded.process.signal(signal),
            Handle::Docker(docker) => docker.process.signal(signal),
        }
    }

    /// Ends the container: TERM, up to `grace` for the program to go, then everything inside is killed.
    pub fn stop(&mut self, grace: Duration) -> Result<ExitStatus, WaitError> {
        either!(&mut self.0, process => process.stop(grace))
    }

    /// The writing end of the program's input, when it is [`crate::Stdio::Piped`]; the first call takes it.
    pub fn take_stdin(&mut self) -> Option<PipeWriter> {
        either!(&mut self.0, process => process.ours.stdin.take())
    }

    /// The reading end of the program's output, when it is [`crate::Stdio::Piped`]; the first call takes it.
    pub fn take_stdout(&mut self) -> Option<PipeReader> {
        either!(&mut self.0, process => process.ours.stdout.take())
    }

    /// The reading end of the program's errors, when it is [`crate::Stdio::Piped`]; the first call takes it.
    pub fn take_stderr(&mut self) -> Option<PipeReader> {
        either!(&mut self.0, process => process.ours.stderr.take())
    }

    /// The controlling end of the program's terminal, when it has one; the first call takes it. Most callers want
    /// [`Running::attach_terminal`].
    pub fn take_terminal(&mut self) -> Option<OwnedFd> {
        either!(&mut self.0, process => process.terminal.take())
    }

    /// A descriptor that becomes readable when the program has ended; for event loops. Then call [`Running::wait`].
    pub fn as_pidfd(&self) -> BorrowedFd<'_> {
        match &self.0 {
            Handle::Embedded(embedded) => embedded.process.pidfd.as_fd(),
            Handle::Docker(docker) => docker.process.ended(),
        }
    }

    /// Connects the program's terminal with this process' own streams until the program ends: raw mode, sizes, both
    /// directions. Ctrl-C goes to the foreground job inside. The own terminal is put in order again afterwards, on a panic, and
    /// by PID 1 of the container when this process is killed (not in Docker's containers).
    ///
    /// Waits like [`Running::wait`] when the program has no terminal.
    pub fn attach_terminal(&mut self) -> Result<ExitStatus, crate::terminal::TerminalError> {
        if let Some(terminal) = self.take_terminal() {
            crate::terminal::connect(&terminal, self.as_pidfd())?;
        }
        Ok(self.wait()?)
    }
}

/// A process that stands for a program inside: PID 1 of a container, or a joining helper.
#[derive(Debug)]
pub(crate) struct Process {
    pid: Pid,
    pidfd: OwnedFd,
    /// Our end of the control socket; `None` once it was closed on purpose.
    lifeline: Option<OwnedFd>,
    ours: Ours,
    terminal: Option<OwnedFd>,
    ended: Option<ExitStatus>,
}

impl Process {
    pub(crate) fn new(
        pid: Pid,
        pidfd: OwnedFd,
        lifeline: OwnedFd,
        ours: Ours,
        terminal: Option<OwnedFd>,
    ) -> Self {
        Self { pid, pidfd, lifeline: Some(lifeline), ours, terminal, ended: None }
    }

    fn wait(&mut self) -> Result<ExitStatus, WaitError> {
        if self.ended.is_none() {
            self.readable(None)?;
        }
        self.reap()
    }

    fn wait_for(&mut self, limit: Duration) -> Result<Option<ExitStatus>, WaitError> {
        if self.ended.is_none() && !self.readable(Some(limit))? {
            return Ok(None);
        }
        self.reap().map(Some)
    }

    fn signal(&self, signal: Signal) -> Result<(), WaitError> {
        match pidfd_send_signal(&self.pidfd, signal) {
            // It ended meanwhile; that is what signals are mostly for.
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(errno) => Err(self.failed("signal", errno)),
        }
    }

    fn stop(&mut self, grace: Duration) -> Result<ExitStatus, WaitError> {
        self.signal(Signal::TERM)?;
        if let Some(status) = self.wait_for(grace)? {
            return Ok(status);
        }
        // The events that are already in the socket stay readable only while it is open.
        self.signal(Signal::KILL)?;
        self.lifeline_closed_wait()
    }

    fn lifeline_closed_wait(&mut self) -> Result<ExitStatus, WaitError> {
        let status = self.wait()?;
        self.lifeline = None;
        Ok(status)
    }

    /// Whether the process has ended, waiting for it up to `limit`.
    fn readable(&self, limit: Option<Duration>) -> Result<bool, WaitError> {
        let deadline = limit.map(|limit| Instant::now() + limit);
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let timeout = left.and_then(|left| Timespec::try_from(left).ok());
            match poll(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], timeout.as_ref()) {
                Ok(count) => return Ok(count > 0),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(self.failed("wait for", errno)),
            }
        }
    }

    /// Collects a process that has ended. What it said itself counts before what the kernel says of it.
    fn reap(&mut self) -> Result<ExitStatus, WaitError> {
        if let Some(status) = self.ended {
            return Ok(status);
        }
        let kernel = loop {
            match waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED) {
                Err(Errno::INTR) => {}
                // Somebody waits for all children of this process, or SIGCHLD is ignored.
                Err(Errno::CHILD) => break None,
                Err(errno) => return Err(self.failed("wait for", errno)),
                Ok(status) => break status,
            }
        };
        let mut said = None;
        while let Some(socket) = &self.lifeline {
            match control::receive_event(socket.as_fd(), false) {
                Ok(Some((Event::Ended(status), _))) => said = Some(status),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            }
        }
        let status = said.or_else(|| kernel.as_ref().and_then(translate));
        let status = status.unwrap_or(ExitStatus::Signal(libc::SIGKILL));
        self.ended = Some(status);
        Ok(status)
    }

    fn failed(&self, verb: &'static str, errno: Errno) -> WaitError {
        WaitError::Kernel { verb, pid: self.pid.as_raw_nonzero().get(), source: io::Error::from(errno) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended.is_none() {
            self.lifeline = None;
            kill_and_reap(&self.pidfd);
        }
    }
}

/// Ends a container at once. The kernel finishes PID 1 only after everything else inside is gone.
pub(crate) fn kill_and_reap(pidfd: &OwnedFd) {
    let _ = pidfd_send_signal(pidfd, Signal::KILL);
    while let Err(Errno::INTR) = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED) {}
}

fn translate(status: &WaitIdStatus) -> Option<ExitStatus> {
    let code = status.exit_status().map(ExitStatus::Code);
    code.or_else(|| status.terminating_signal().map(ExitStatus::Signal))
}
