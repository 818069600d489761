//! Runs a short-lived container and collects what it says, within limits.

use std::{
    io::{self, PipeReader, Read as _},
    os::fd::AsFd,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use thiserror::Error;

use crate::{
    container::{Container, Stdio},
    engine::Engine,
    error::{ExitStatus, StartError, WaitError},
};

/// How much a captured program may say, and how long it may take.
#[derive(Debug, Clone, Copy)]
pub struct CaptureLimits {
    /// Most bytes of each of the two streams.
    pub bytes: usize,
    /// Most time from the start to the end.
    pub time: Duration,
}

impl Default for CaptureLimits {
    /// 16 MiB a stream, five minutes.
    fn default() -> Self {
        Self { bytes: 16 << 20, time: Duration::from_mins(5) }
    }
}

/// What a captured program left.
#[derive(Debug, Clone)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Its whole standard output.
    pub stdout: Vec<u8>,
    /// Its whole standard error.
    pub stderr: Vec<u8>,
}

impl Output {
    /// The shell's number: the exit code, or 128 plus the signal.
    pub fn code(&self) -> i32 {
        self.status.code()
    }
}

/// A program could not be captured.
#[derive(Debug, Error)]
pub enum CaptureError {
    /// It did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It could not be waited for.
    #[error(transparent)]
    Wait(#[from] WaitError),
    /// A pipe broke.
    #[error("cannot read the {stream} of `{program}` in container: {source}")]
    Read {
        /// The program.
        program: String,
        /// `standard output` or `standard error`.
        stream: &'static str,
        /// Why.
        source: io::Error,
    },
    /// It said too much and was ended.
    #[error("cannot take the {stream} of `{program}` in container: it is longer than {limit} bytes")]
    TooLong {
        /// The program.
        program: String,
        /// `standard output` or `standard error`.
        stream: &'static str,
        /// The limit.
        limit: usize,
    },
    /// It took too long and was ended.
    #[error("cannot wait for `{program}` in container: it took longer than {} s", limit.as_secs_f32())]
    TooSlow {
        /// The program.
        program: String,
        /// The limit.
        limit: Duration,
        /// What it had written to standard error by then.
        stderr: Vec<u8>,
    },
}

/// One stream being collected.
struct Collected {
    name: &'static str,
    pipe: Option<PipeReader>,
    bytes: Vec<u8>,
}

impl Engine {
    /// Runs a container to its end and returns what it said. Its input is empty, whatever the description says.
    ///
    /// Everything inside ends with the program, so nothing that it left behind can keep the streams open.
    pub fn run_captured(&self, container: &Container, limits: CaptureLimits) -> Result<Output, CaptureError> {
        let mut container = container.clone();
        container.tty = false;
        container.stdio.stdin = Stdio::Null;
        container.stdio.stdout = Stdio::Piped;
        container.stdio.stderr = Stdio::Piped;
        let program = || container.argv.first().cloned().unwrap_or_default();
        let deadline = Instant::now() + limits.time;
        let mut running = self.start(&container)?;
        let mut streams = [
            Collected { name: "standard output", pipe: running.take_stdout(), bytes: Vec::new() },
            Collected { name: "standard error", pipe: running.take_stderr(), bytes: Vec::new() },
        ];
        while streams.iter().any(|stream| stream.pipe.is_some()) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let stderr = std::mem::take(&mut streams[1].bytes);
                return Err(CaptureError::TooSlow { program: program(), limit: limits.time, stderr });
            }
            wait_readable(&streams, left).map_err(|source| CaptureError::Read {
                program: program(),
                stream: "output",
                source,
            })?;
            for stream in &mut streams {
                stream.read_available(limits.bytes, program)?;
            }
        }
        // It may have closed both streams and go on.
        let left = deadline.saturating_duration_since(Instant::now());
        let [stdout, stderr] = streams.map(|stream| stream.bytes);
        match running.wait_for(left)? {
            Some(status) => Ok(Output { status, stdout, stderr }),
            None => Err(CaptureError::TooSlow { program: program(), limit: limits.time, stderr }),
        }
    }
}

impl Collected {
    /// Reads once if there is something; forgets the pipe at its end.
    fn read_available(&mut self, limit: usize, program: impl Fn() -> String) -> Result<(), CaptureError> {
        let Some(pipe) = &mut self.pipe else { return Ok(()) };
        if !is_readable(&*pipe) {
            return Ok(());
        }
        let mut buffer = [0_u8; 16_384];
        match pipe.read(&mut buffer) {
            Ok(0) => self.pipe = None,
            Ok(length) if self.bytes.len() + length > limit => {
                return Err(CaptureError::TooLong { program: program(), stream: self.name, limit });
            }
            Ok(length) => self.bytes.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(CaptureError::Read { program: program(), stream: self.name, source }),
        }
        Ok(())
    }
}

fn wait_readable(streams: &[Collected], limit: Duration) -> io::Result<()> {
    let mut watched: Vec<_> = streams
        .iter()
        .filter_map(|stream| stream.pipe.as_ref())
        .map(|pipe| PollFd::new(pipe, PollFlags::IN))
        .collect();
    match poll(&mut watched, Timespec::try_from(limit).ok().as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn is_readable(pipe: impl AsFd) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut [PollFd::new(&pipe, PollFlags::IN)], Some(&now)), Ok(1..))
}
