//! Running a small program beside a server, in its container.

use std::collections::BTreeMap;
use std::io::{Read, Write as _};
use std::time::Duration;

use djship_engine::{Engine, Exec, ExitStatus, RecordError, Running, StartError, Stdio, Streams};

use super::ServiceError;

/// Most bytes that are kept of each stream.
const LONGEST: u64 = 64 << 10;

/// A running server's container.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inside<'a> {
    pub(super) engine: &'a Engine,
    pub(super) running: &'a Running,
    /// The environment of the container.
    pub(super) env: &'a BTreeMap<String, String>,
}

/// What a program left.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) success: bool,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Said {
    /// Its lines, errors last.
    pub(super) fn lines(&self) -> Vec<String> {
        self.stdout.lines().chain(self.stderr.lines()).map(str::to_owned).collect()
    }
}

impl Inside<'_> {
    /// Runs a program with further variables and something to read; `None` when it takes longer than `limit`, or when the
    /// container has ended, which whoever watches that will say.
    pub(super) fn run(
        &self,
        argv: &[&str],
        env: &[(&str, &str)],
        input: &str,
        limit: Duration,
    ) -> Result<Option<Said>, ServiceError> {
        let streams = Streams { stdin: Stdio::Piped, stdout: Stdio::Piped, stderr: Stdio::Piped };
        let Some(mut program) = self.start(argv, env, streams)? else { return Ok(None) };
        if let Some(mut stdin) = program.take_stdin() {
            // A program that does not read has ended, and says why itself.
            let _ = stdin.write_all(input.as_bytes());
        }
        let (stdout, stderr) = (program.take_stdout(), program.take_stderr());
        std::thread::scope(|scope| {
            let stdout = scope.spawn(|| read(stdout));
            let stderr = scope.spawn(|| read(stderr));
            let status = program.wait_for(limit)?;
            // Ends it if it has not, and with it the streams.
            drop(program);
            let [stdout, stderr] = [stdout, stderr].map(|thread| thread.join().unwrap_or_default());
            Ok(status.map(|status| Said { success: status.success(), stdout, stderr }))
        })
    }

    /// Whether somebody else's program ends well in time. What it says is lost: something that it leaves behind could hold
    /// its streams open for ever.
    pub(super) fn succeeds(&self, argv: &[&str], limit: Duration) -> Result<bool, ServiceError> {
        let Some(mut program) = self.start(argv, &[], Streams::NULL)? else { return Ok(false) };
        Ok(program.wait_for(limit)?.is_some_and(ExitStatus::success))
    }

    fn start(
        &self,
        argv: &[&str],
        env: &[(&str, &str)],
        streams: Streams,
    ) -> Result<Option<Running>, ServiceError> {
        let record = match self.running.record() {
            Err(RecordError::Gone { .. }) => return Ok(None),
            record => record?,
        };
        let mut exec = Exec::new(argv.iter().copied());
        exec.env = self.env.clone();
        for (name, value) in env {
            exec.env(*name, *value);
        }
        exec.stdio = streams;
        match self.engine.exec(&record, &exec) {
            // There is no such program: that does not get better.
            Err(error @ StartError::Program { .. }) => Err(error.into()),
            // Whatever it looks like when the container goes away in the middle of it.
            Err(_) if !record.is_alive() => Ok(None),
            program => Ok(Some(program?)),
        }
    }
}

fn read(stream: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        // What was read until a pipe broke is good.
        let _ = stream.take(LONGEST).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
