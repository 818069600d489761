//! Supervises containers for the tests of this crate: tests run as one user, and this program as another.
//!
//! The first line on standard input says what is wanted, as JSON. Each later line is a signal: `press` for Ctrl-C, `term` for
//! TERM. Whatever happens is a line of JSON on standard output.

#![expect(clippy::print_stderr, reason = "this program talks to a test")]

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use djship_django::supervisor::{
    Changes, Ending, Environments, Event, Observer, Program, ProgramError, Role, Supervisor,
};
use djship_engine::{Container, Engine, HostOwner, Running, Signal};
use serde::Deserialize;
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What the test wants.
#[derive(Deserialize)]
struct Wish {
    home: PathBuf,
    project: PathBuf,
    owner: Option<HostOwner>,
    /// Started first.
    #[serde(default)]
    services: Vec<Described>,
    /// After the services something is done that takes until this file is there, without a look at anything else.
    work: Option<PathBuf>,
    #[serde(default)]
    programs: Vec<Described>,
    /// What takes the place of the program of its name when `replace.py` changes; when `stop.py` does, that is stopped.
    other: Option<Described>,
    /// The observer stands still while this file is there.
    hold: Option<PathBuf>,
}

/// A program as a test describes it.
#[derive(Clone, Deserialize)]
struct Described {
    name: String,
    role: Role,
    container: Container,
    /// It serves as soon as this file is there.
    ready: Option<PathBuf>,
    /// And for as long as this one is.
    serving: Option<PathBuf>,
    signal: i32,
    /// In milliseconds.
    grace: u64,
}

struct Contained<'a> {
    engine: &'a Engine,
    described: Described,
}

impl Program for Contained<'_> {
    fn name(&self) -> &str {
        &self.described.name
    }

    fn role(&self) -> Role {
        self.described.role
    }

    fn container(&self) -> &Container {
        &self.described.container
    }

    fn start(&mut self) -> Result<Running, ProgramError> {
        Ok(self.engine.start(&self.described.container)?)
    }

    fn is_ready(&mut self, _: &Running) -> Result<bool, ProgramError> {
        Ok(self.described.ready.as_ref().is_none_or(|file| file.exists()))
    }

    fn still_serves(&mut self, _: &Running) -> Option<bool> {
        self.described.serving.as_ref().map(|file| file.exists())
    }

    fn ending(&self) -> Ending {
        let signal = Signal::from_named_raw(self.described.signal).unwrap_or(Signal::TERM);
        Ending { signal, grace: Duration::from_millis(self.described.grace) }
    }
}

/// Tells the test.
struct Teller(Option<PathBuf>);

impl Teller {
    fn tell(&self, value: &Value) {
        while self.0.as_ref().is_some_and(|file| file.exists()) {
            std::thread::sleep(Duration::from_millis(5));
        }
        say(value);
    }
}

fn say(value: &Value) {
    let mut out = std::io::stdout().lock();
    // A test that is gone needs nothing.
    let _ = writeln!(out, "{value}").and_then(|()| out.flush());
}

impl Observer for Teller {
    fn line(&self, program: &str, _: Role, text: &str, prompt: bool) {
        self.tell(&json!({"program": program, "line": text, "prompt": prompt}));
    }

    fn event(&self, event: &Event<'_>) {
        let (name, detail) = match event {
            Event::Ready { .. } => ("ready", Value::Null),
            Event::Ended { status, .. } => ("ended", json!(status.code())),
            Event::NotStarted { error, .. } => ("not started", json!(error.to_string())),
            Event::Restarting { because, .. } => ("restarting", json!(format!("{because:?}"))),
            Event::NotServing { .. } => ("not serving", Value::Null),
            Event::LeftOut { number } => ("left out", json!(number)),
            Event::Stopping => ("stopping", Value::Null),
            _ => ("another", Value::Null),
        };
        self.tell(&json!({"event": name, "program": event.program(), "detail": detail}));
    }
}

fn main() {
    djship_engine::dispatch(std::env::args_os());
    if let Err(error) = run() {
        eprintln!("{error}");
        say(&json!({"failed": error.to_string()}));
        std::process::exit(1);
    }
}

fn run() -> Result<(), Failure> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    let wish: Wish = serde_json::from_str(&line)?;
    let environment = Environments::at(&wish.home).open(&wish.project)?;
    let claim = environment.claim()?;
    let mut engine = Engine::new(environment.run());
    if let Some(owner) = wish.owner {
        engine = engine.with_host_owner(owner);
    }
    let (ours, theirs) = UnixStream::pair()?;
    std::thread::spawn(move || signals(ours));
    let ending = Arc::new(AtomicBool::new(false));
    let mut supervisor = Supervisor::new(&claim, Arc::new(Teller(wish.hold)), Some(theirs), ending)?;
    supervisor.watch(&wish.project)?;
    let boxed = |described: &Described| -> Box<dyn Program + '_> {
        Box::new(Contained { engine: &engine, described: described.clone() })
    };
    let result = supervisor.start_all(wish.services.iter().map(boxed).collect()).and_then(|()| {
        if let Some(work) = &wish.work {
            say(&json!({"working": true}));
            while !work.exists() {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        supervisor.start_all(wish.programs.iter().map(boxed).collect())
    });
    match result {
        // What was asked for while it worked is still in the queue, as after a migration that was given up.
        Ok(()) if supervisor.is_ending() => {}
        Ok(()) => {
            say(&json!({"settled": true}));
            supervisor.supervise(&mut |changes: &Changes, supervisor: &mut Supervisor<'_>| {
                let changed = |name| changes.paths.contains(&wish.project.join(name));
                let Some(other) = &wish.other else { return };
                if changed("replace.py") {
                    supervisor.replace(boxed(other));
                    let argv = supervisor.container_of(&other.name).map(|container| &container.argv);
                    say(&json!({"replaced": argv}));
                }
                if changed("stop.py") {
                    supervisor.stop(std::slice::from_ref(&other.name));
                    say(&json!({"stopped": supervisor.container_of(&other.name).is_none()}));
                }
            });
        }
        Err(failed) => {
            say(&json!({"failed": failed.program, "why": failed.why.to_string(), "output": failed.output}));
        }
    }
    supervisor.stop_all();
    say(&json!({"end": true}));
    Ok(())
}

/// Passes on what the test sends, until it has ended.
fn signals(mut ours: UnixStream) {
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let signal = if line == "press" { Signal::INT } else { Signal::TERM };
        let number = u8::try_from(signal.as_raw()).unwrap_or_default();
        if ours.write_all(&[number]).is_err() {
            return;
        }
    }
}
