//! What a test has done with a running service.

use std::collections::BTreeMap;
use std::io::{BufRead as _, Read, Write as _};
use std::path::PathBuf;

use djship_django::services::{Form, Input, Task};
use djship_django::supervisor::Program as _;
use djship_engine::{Exec, Signal, Stdio, Streams};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Failure, Supervised, say};

/// Exit code, standard output, standard error.
type Left = (i32, Vec<u8>, Vec<u8>);

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
enum Step {
    /// Starts it.
    Start,
    /// Asks it to end.
    Stop,
    /// Kills it, with everything in its container.
    Kill,
    /// Looks once whether it serves.
    Look,
    /// Runs a program in its container.
    Exec {
        argv: Vec<String>,
        #[serde(default)]
        env: BTreeMap<String, String>,
        #[serde(default)]
        input: String,
    },
    /// Does what developers do with databases; files stand for the streams.
    Task { task: String, database: Option<String>, input: Option<PathBuf>, output: Option<PathBuf> },
}

impl Supervised<'_> {
    /// Does one step after the other.
    pub(super) fn obey(mut self) -> Result<(), Failure> {
        for line in std::io::stdin().lock().lines() {
            let step: Step = serde_json::from_str(&line?)?;
            let answer = match step {
                Step::Start => self.start()?,
                Step::Stop => self.stop()?,
                Step::Kill => {
                    let mut running = self.running.take().ok_or("not running")?;
                    running.signal(Signal::KILL)?;
                    json!({"killed": running.wait()?.code()})
                }
                Step::Look => {
                    let running = self.running.as_ref().ok_or("not running")?;
                    json!({"serves": self.server.is_ready(running)?})
                }
                Step::Exec { argv, env, input } => {
                    let mut exec = Exec::new(argv);
                    exec.env = self.server.container().env.clone();
                    exec.env.extend(env);
                    let (code, stdout, stderr) = self.exec(exec, input.as_bytes())?;
                    said(code, &stdout, &stderr)
                }
                Step::Task { task, database, input, output } => {
                    let input = input.map(fs_err::read).transpose()?.unwrap_or_default();
                    let database = database.as_deref();
                    let task = match task.as_str() {
                        "restore" => self.replace(Form::Own, database, &input)?,
                        "script" => self.replace(Form::Script, database, &input)?,
                        "shell" => self.task(Task::Shell, database, &input)?,
                        _ => self.task(Task::Dump, database, &input)?,
                    };
                    let (code, stdout, stderr) = task;
                    if let Some(output) = output {
                        fs_err::write(output, &stdout)?;
                    }
                    said(code, &stdout, &stderr)
                }
            };
            say(&answer)?;
        }
        Ok(())
    }

    fn task(&self, task: Task, database: Option<&str>, input: &[u8]) -> Result<Left, Failure> {
        self.exec(self.server.command(task, database).ok_or("no such task")?, input)
    }

    /// Replaces a database; what the first step that fails says, or the last one.
    fn replace(&self, form: Form, database: Option<&str>, file: &[u8]) -> Result<Left, Failure> {
        let replacement = self.server.replacement(form, database).ok_or("no such task")?;
        let mut last = (0, Vec::new(), Vec::new());
        for step in replacement.steps {
            let input = match &step.input {
                Input::File => file,
                Input::Text(text) => text.as_bytes(),
            };
            last = self.exec(step.exec, input)?;
            if last.0 != 0 {
                let Input::Text(text) = &replacement.give_up.input else {
                    return Err("no statements".into());
                };
                self.exec(replacement.give_up.exec, text.as_bytes())?;
                break;
            }
        }
        Ok(last)
    }

    fn exec(&self, mut exec: Exec, input: &[u8]) -> Result<Left, Failure> {
        let running = self.running.as_ref().ok_or("not running")?;
        exec.stdio = Streams { stdin: Stdio::Piped, stdout: Stdio::Piped, stderr: Stdio::Piped };
        let mut program = self.tools.engine.exec(&running.record()?, &exec)?;
        let (stdin, stdout, stderr) = (program.take_stdin(), program.take_stdout(), program.take_stderr());
        std::thread::scope(|scope| {
            scope.spawn(|| stdin.map(|mut stdin| stdin.write_all(input)));
            let stdout = scope.spawn(|| read(stdout));
            let stderr = scope.spawn(|| read(stderr));
            let status = program.wait()?;
            let [stdout, stderr] = [stdout, stderr].map(|thread| thread.join().unwrap_or_default());
            Ok((status.code(), stdout, stderr))
        })
    }
}

fn read(stream: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        let _ = stream.read_to_end(&mut bytes);
    }
    bytes
}

fn said(code: i32, stdout: &[u8], stderr: &[u8]) -> Value {
    json!({"code": code, "stdout": String::from_utf8_lossy(stdout), "stderr": String::from_utf8_lossy(stderr)})
}
