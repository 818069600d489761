//! A child process whose output is kept while it runs, and which is killed, by its own process id, when the test is done
//! with it.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal};

use crate::djship::Output;

/// A running command.
#[derive(Debug)]
pub struct Running {
    child: Child,
    said: Arc<Said>,
    readers: Vec<JoinHandle<()>>,
}

/// What the command said so far, and a bell that rings whenever that changes.
#[derive(Debug, Default)]
struct Said {
    text: Mutex<Text>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Text {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// Output streams that have ended.
    ended: u32,
}

impl Text {
    fn contains(&self, needle: &str) -> bool {
        [&self.stdout, &self.stderr].into_iter().any(|text| String::from_utf8_lossy(text).contains(needle))
    }

    fn output(&self, status: ExitStatus) -> Output {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Output { status, stdout: text(&self.stdout), stderr: text(&self.stderr) }
    }
}

impl Said {
    fn lock(&self) -> MutexGuard<'_, Text> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    /// Starts a command without standard input.
    pub fn start(command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let said = Arc::new(Said::default());
        let stdout = child.stdout.take().map(|stream| keep(&said, stream, |text| &mut text.stdout));
        let stderr = child.stderr.take().map(|stream| keep(&said, stream, |text| &mut text.stderr));
        Ok(Self { child, said, readers: stdout.into_iter().chain(stderr).collect() })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything said so far, standard output first.
    pub fn text(&self) -> String {
        let text = self.said.lock();
        format!("{}{}", String::from_utf8_lossy(&text.stdout), String::from_utf8_lossy(&text.stderr))
    }

    /// Waits until the command said `needle`; an error when it ended without, or the time is over.
    pub fn await_text(&mut self, needle: &str, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        let mut text = self.said.lock();
        while !text.contains(needle) {
            let left = deadline.saturating_duration_since(Instant::now());
            if text.ended == 2 || left.is_zero() {
                drop(text);
                let how =
                    if left.is_zero() { format!("within {limit:?}") } else { "before it ended".to_owned() };
                bail!("the command did not say `{needle}` {how}\n{}", self.text());
            }
            text = self.said.changed.wait_timeout(text, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        rustix::process::kill_process(self.pid()?, signal).context("cannot send a signal")
    }

    /// Sends SIGKILL and waits for the end.
    pub fn kill(mut self) -> Result<Output> {
        self.child.kill().context("cannot kill the command")?;
        self.wait(Duration::from_secs(10))
    }

    /// Waits for the end of the command and of its output; an error, and its death, when the time is over.
    pub fn wait(mut self, limit: Duration) -> Result<Output> {
        let deadline = Instant::now() + limit;
        let mut text = self.said.lock();
        while text.ended < 2 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(text);
                bail!(
                    "the command, or something that holds its output, still runs after {limit:?}\n{}",
                    self.text()
                );
            }
            text = self.said.changed.wait_timeout(text, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(text);
        // Its output has ended, and it with it or in a moment: nothing that we test closes its output and stays.
        let status = self.child.wait().context("cannot wait for the command")?;
        for reader in self.readers.drain(..) {
            if reader.join().is_err() {
                bail!("the thread that reads the command's output panicked");
            }
        }
        Ok(self.said.lock().output(status))
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait().context("cannot ask for the command")?.is_some())
    }

    fn pid(&self) -> Result<Pid> {
        i32::try_from(self.id()).ok().and_then(Pid::from_raw).context("not a process id")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // After a wait there is nothing to kill, and `Child` knows that the id is no longer ours.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn keep(
    said: &Arc<Said>,
    mut stream: impl Read + Send + 'static,
    part: fn(&mut Text) -> &mut Vec<u8>,
) -> JoinHandle<()> {
    let said = Arc::clone(said);
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        loop {
            let length = stream.read(&mut buffer).unwrap_or(0);
            let mut text = said.lock();
            part(&mut text).extend_from_slice(&buffer[..length]);
            if length == 0 {
                text.ended += 1;
            }
            drop(text);
            said.changed.notify_all();
            if length == 0 {
                return;
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(30);

    fn shell(line: &str) -> Running {
        Running::start(Command::new("sh").args(["-c", line])).unwrap()
    }

    #[test]
    fn output_is_kept_and_awaited() {
        let mut running = shell("echo ready; echo warning >&2; read x; exit 3");
        running.await_text("ready", SOON).unwrap();
        let output = running.wait(SOON).unwrap().exit_code(3).unwrap();
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("ready\n", "warning\n"));
        assert!(output.success().is_err());
    }

    #[test]
    fn a_command_that_ends_without_the_word_is_an_error_with_what_it_said() {
        let error = shell("echo something else").await_text("ready", SOON).unwrap_err().to_string();
        assert!(error.contains("before it ended") && error.contains("something else"), "{error}");
    }

    #[test]
    fn nothing_outlives_its_test() {
        let mut running = shell("echo up; exec sleep 1000");
        running.await_text("up", SOON).unwrap();
        let process = std::path::PathBuf::from(format!("/proc/{}", running.id()));
        assert!(process.exists());
        drop(running);
        assert!(!process.exists());
    }

    #[test]
    fn too_late_is_an_error() {
        assert!(shell("exec sleep 1000").wait(Duration::from_millis(10)).is_err());
    }

    #[test]
    fn signals_arrive() {
        let mut running = shell("trap 'echo terminated; exit 7' TERM; echo up; while :; do sleep 0.05; done");
        running.await_text("up", SOON).unwrap();
        running.signal(Signal::TERM).unwrap();
        assert!(running.wait(SOON).unwrap().exit_code(7).unwrap().stdout.contains("terminated"));
    }
}
