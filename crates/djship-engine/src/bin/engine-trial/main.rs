//! Starts containers for the tests of this crate: tests run as one user, and this program as another.
//!
//! ```text
//! engine-trial run            one container to its end; a report in JSON
//! engine-trial hold           one container, steered by lines on standard input
//! engine-trial exec           one more program in a running container; a report in JSON
//! engine-trial terminal       the same, connected with this process' own terminal
//! engine-trial storm COUNT    that many containers from eight busy threads
//! engine-trial doctor         the examination of the host, its scratch folder taken for the store
//! engine-trial probe ...      what a hostile program inside would try
//! engine-trial probe-set-ids FOLDER    the same for the bits with which a file runs as its owner
//! ```
//!
//! The description comes as one line of JSON on standard input.

#![expect(clippy::print_stdout, reason = "this program talks to a test")]

mod probe;
mod set_ids;

use std::{
    io::{BufRead as _, Read as _, Write as _},
    os::fd::{AsFd as _, OwnedFd},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use djship_engine::{
    CaptureError, CaptureLimits, Container, ContainerRecord, Docker, DockerSettings, Engine, Exec, HostOwner,
    Output, Running, Signal, StartError, Stdio, Streams,
};
use serde::Deserialize;

type Failure = Box<dyn std::error::Error>;

/// What the test wants.
#[derive(Deserialize)]
struct Wish {
    scratch: PathBuf,
    owner: Option<HostOwner>,
    #[serde(default)]
    old_mount_call: bool,
    container: Option<Container>,
    record: Option<ContainerRecord>,
    #[serde(default)]
    argv: Vec<String>,
    #[serde(default)]
    tty: bool,
    /// A file to lock and have the program of `hold` hold.
    held: Option<PathBuf>,
    /// The address of a Docker daemon that runs the containers.
    docker: Option<String>,
}

impl Wish {
    fn read() -> Result<Self, Failure> {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }

    fn engine(&self) -> Result<Engine, Failure> {
        let mut engine = Engine::new(&self.scratch);
        engine.host_owner = self.owner;
        engine.old_mount_call = self.old_mount_call;
        let settings = DockerSettings { host: self.docker.clone(), ..DockerSettings::default() };
        Ok(if self.docker.is_some() { engine.with_docker(Docker::connect(&settings)?) } else { engine })
    }

    fn container(&self) -> Result<&Container, Failure> {
        Ok(self.container.as_ref().ok_or("no container given")?)
    }
}

fn main() -> Result<(), Failure> {
    djship_engine::dispatch(std::env::args_os());
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("run") => run(),
        Some("hold") => hold(),
        Some("exec") => exec(),
        Some("terminal") => terminal(),
        Some("storm") => storm(arguments.get(1).ok_or("how many?")?.parse()?),
        Some("doctor") => doctor(),
        Some("probe") => {
            println!("{}", probe::run(&arguments[1..]));
            Ok(())
        }
        Some("probe-set-ids") => {
            println!("{}", set_ids::run(arguments.get(1).ok_or("which folder?")?));
            Ok(())
        }
        Some("probe-own-binary") => {
            println!("{}", probe::own_binary());
            Ok(())
        }
        _ => Err("run, hold, exec, terminal, storm or probe".into()),
    }
}

fn run() -> Result<(), Failure> {
    let wish = Wish::read()?;
    let engine = wish.engine()?;
    let limits = CaptureLimits { bytes: 1 << 20, time: Duration::from_mins(1) };
    report(match engine.run_captured(wish.container()?, limits) {
        Ok(output) => Ok(output),
        Err(CaptureError::Start(error)) => Err(error),
        Err(error) => return Err(error.into()),
    })
}

fn report(outcome: Result<Output, StartError>) -> Result<(), Failure> {
    let report = match outcome {
        Ok(output) => serde_json::json!({
            "code": output.code(),
            "status": output.status,
            "stdout": String::from_utf8_lossy(&output.stdout),
            "stderr": String::from_utf8_lossy(&output.stderr),
        }),
        Err(error) => {
            let step = if let StartError::Setup(fault) = &error { Some(fault.step) } else { None };
            serde_json::json!({"error": error.to_string(), "exit_code": error.exit_code(), "step": step})
        }
    };
    println!("{report}");
    std::io::stdout().flush()?;
    Ok(())
}

/// Prints the record, then obeys: `signal N`, `stop MILLISECONDS`, `wait`. What the program writes goes through.
fn hold() -> Result<(), Failure> {
    let wish = Wish::read()?;
    let held = wish.held.as_deref().map(lock).transpose()?;
    if let Some(None) = held {
        println!("{}", serde_json::json!({"error": "locked"}));
        return Ok(());
    }
    let held = held.flatten();
    let borrowed: Vec<_> = held.iter().map(OwnedFd::as_fd).collect();
    let mut running = wish.engine()?.start_holding(wish.container()?, &borrowed)?;
    drop(held);
    println!("{}", serde_json::to_string(&running.record()?)?);
    std::io::stdout().flush()?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (word, number) = line.split_once(' ').unwrap_or((&line, "0"));
        match word {
            "signal" => running.signal(Signal::from_named_raw(number.parse()?).ok_or("no such signal")?)?,
            "stop" => {
                let status = running.stop(Duration::from_millis(number.parse()?))?;
                println!("{}", serde_json::to_string(&status)?);
            }
            "wait" => println!("{}", serde_json::to_string(&running.wait()?)?),
            _ => return Err("signal, stop or wait".into()),
        }
    }
    Ok(())
}

/// Locks a file; `None` when somebody else has.
fn lock(path: &Path) -> Result<Option<OwnedFd>, Failure> {
    let file = std::fs::File::options().create(true).truncate(false).write(true).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file.into())),
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        Err(std::fs::TryLockError::Error(error)) => Err(error.into()),
    }
}

fn exec() -> Result<(), Failure> {
    let wish = Wish::read()?;
    let mut exec = Exec::new(wish.argv.clone());
    exec.tty = wish.tty;
    exec.stdio = Streams { stdin: Stdio::Null, stdout: Stdio::Piped, stderr: Stdio::Piped };
    let record = wish.record.as_ref().ok_or("no record given")?;
    let mut running = match wish.engine()?.exec(record, &exec) {
        Ok(running) => running,
        Err(error) => return report(Err(error)),
    };
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    if let Some(terminal) = running.take_terminal() {
        // Ends with EIO when the program has closed its side.
        let _ = std::fs::File::from(terminal).read_to_end(&mut stdout);
    }
    if let Some(mut pipe) = running.take_stdout() {
        pipe.read_to_end(&mut stdout)?;
    }
    if let Some(mut pipe) = running.take_stderr() {
        pipe.read_to_end(&mut stderr)?;
    }
    report(Ok(Output { status: running.wait()?, stdout, stderr }))
}

/// The wish comes as an argument here: standard input is the terminal.
fn terminal() -> Result<(), Failure> {
    let text = std::env::args().nth(2).ok_or("no wish given")?;
    let wish: Wish = serde_json::from_str(&text)?;
    let mut running: Running = if let Some(record) = &wish.record {
        let mut exec = Exec::new(wish.argv.clone());
        exec.tty = true;
        wish.engine()?.exec(record, &exec)?
    } else {
        wish.engine()?.start(wish.container()?)?
    };
    let status = running.attach_terminal()?;
    std::process::exit(status.code());
}

fn doctor() -> Result<(), Failure> {
    let subject = djship_engine::doctor::Subject {
        store: Wish::read()?.scratch,
        binary: "/usr/bin/djship".into(),
        tool_path: vec!["/usr/bin".into()],
    };
    println!("{}", serde_json::to_string(&djship_engine::doctor::examine(&subject))?);
    Ok(())
}

fn storm(count: usize) -> Result<(), Failure> {
    let wish = Wish::read()?;
    let (engine, container) = (wish.engine()?, wish.container()?);
    let stop = AtomicBool::new(false);
    let failures: Vec<String> = std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::black_box(vec![1_u8; 4096]);
                }
            });
        }
        let starters: Vec<_> = (0..8)
            .map(|number| {
                let engine = &engine;
                scope.spawn(move || -> Vec<String> {
                    let own = (number..count).step_by(8);
                    own.filter_map(|_| {
                        let outcome = engine.start(container).map(|mut running| running.wait());
                        (!matches!(&outcome, Ok(Ok(status)) if status.success()))
                            .then(|| format!("{outcome:?}"))
                    })
                    .collect()
                })
            })
            .collect();
        let failures =
            starters.into_iter().flat_map(|starter| starter.join().unwrap_or_else(|_| vec!["panic".into()]));
        let failures = failures.collect();
        stop.store(true, Ordering::Relaxed);
        failures
    });
    println!("{}", serde_json::to_string(&failures)?);
    Ok(())
}
