//! Runs one service for the tests of this crate, as the supervisor would: tests run as one user, and this program as another.
//!
//! The first line on standard input says what is wanted, the following ones what to do with it; every line is JSON, and
//! each is answered with a line of JSON. At the end of the input the service is dropped.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this program talks to a test")]

mod steps;

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use djship_django::base::Roots;
use djship_django::plan::python::Release;
use djship_django::report::{Note, Progress, Reporter, Stage};
use djship_django::services::{self, OwnService, Place, PlannedServer, Server, Wanted};
use djship_django::supervisor::Program as _;
use djship_django::tools::{DebianSources, Host, Tools};
use djship_engine::{Engine, HostOwner, Running};
use djship_store::Store;
use djship_store::fetch::{FetchOptions, Fetcher};
use serde::Deserialize;
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What the test wants.
#[derive(Deserialize)]
struct Wish {
    home: PathBuf,
    volumes: PathBuf,
    main: String,
    security: String,
    owner: Option<HostOwner>,
    release: String,
    address: Ipv4Addr,
    #[serde(default)]
    names: Vec<(IpAddr, String)>,
    #[serde(default)]
    wanted: Vec<Wanted>,
    own: Option<OwnService>,
}

/// Whatever is reported goes to the test's log.
struct Log;

/// What was said about services since they were last told.
static NOTES: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn take_notes() -> Vec<String> {
    std::mem::take(&mut *NOTES.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Reporter for Log {
    fn stage(&self, _: Stage) {}

    fn note(&self, note: Note<'_>) {
        if let Note::Service { note, .. } = &note {
            NOTES.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{note:?}"));
        }
        eprintln!("{note:?}");
    }

    fn progress(&self, _: Progress) {}

    fn output(&self, line: &str) {
        eprintln!("| {line}");
    }
}

fn main() -> Result<(), Failure> {
    djship_engine::dispatch(std::env::args_os());
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    let wish: Wish = serde_json::from_str(&line)?;
    // Errors are told by their variants: the words are for people.
    run(&wish).or_else(|error| say(&json!({"error": error.to_string(), "debug": format!("{error:?}")})))
}

fn run(wish: &Wish) -> Result<(), Failure> {
    let store = Store::open(&wish.home)?;
    let scratch = store.temp_dir("containers")?;
    let mut engine = Engine::new(scratch.path());
    engine.host_owner = wish.owner;
    let fetcher = Fetcher::new(FetchOptions::default())?;
    let debian = DebianSources {
        main: Some(wish.main.clone()),
        security: Some(wish.security.clone()),
        ..DebianSources::default()
    };
    let host = Host { owner: wish.owner, debian, ..Host::default() };
    let given_up = std::sync::atomic::AtomicBool::new(false);
    let tools = Tools {
        store: &store,
        engine: &engine,
        fetcher: &fetcher,
        host: &host,
        credentials: &(),
        reporter: &Log,
        shared: None,
        given_up: &given_up,
    };
    let release = Release::ALL.into_iter().find(|release| release.codename() == wish.release);
    let roots = Roots::open(&tools, release.ok_or("no such release")?)?;
    let place = Place {
        volumes: &wish.volumes,
        address: wish.address,
        names: &wish.names,
        password: "a password of the environment",
    };
    let since = Instant::now();
    let server = if let Some(own) = &wish.own {
        services::prepare_own(&tools, &roots, &place, own)?
    } else {
        let planned = PlannedServer::all(&wish.wanted);
        services::prepare(&tools, &roots, &place, planned.first().ok_or("nothing is wanted")?)?
    };
    say(&json!({
        "prepared": since.elapsed().as_millis(),
        "name": server.name(),
        "title": server.title(),
        "url": server.url_for_desktop(),
        "volume": server.volume(),
        "pid": std::process::id(),
    }))?;
    Supervised { tools: &tools, server, running: None, lines: Arc::default(), readers: Vec::new() }.obey()
}

fn say(value: &Value) -> Result<(), Failure> {
    println!("{value}");
    Ok(std::io::stdout().flush()?)
}

/// A service that is kept running.
struct Supervised<'a> {
    tools: &'a Tools<'a>,
    server: Server<'a>,
    running: Option<Running>,
    /// The last lines that it wrote.
    lines: Arc<Mutex<Vec<String>>>,
    /// Who reads them: until the last program that holds the other end has ended.
    readers: Vec<JoinHandle<()>>,
}

impl Supervised<'_> {
    /// Starts it and waits until it serves.
    fn start(&mut self) -> Result<Value, Failure> {
        let since = Instant::now();
        let mut running = self.server.start()?;
        for stream in [running.take_stdout(), running.take_stderr()].into_iter().flatten() {
            let lines = Arc::clone(&self.lines);
            self.readers.push(std::thread::spawn(move || keep(stream, &lines)));
        }
        loop {
            if self.server.is_ready(&running)? {
                break;
            }
            if let Some(status) = running.wait_for(Duration::from_millis(20))? {
                return Ok(json!({"ended": status.code(), "lines": self.said_to_the_end()}));
            }
            if since.elapsed() > self.server.patience() {
                return Ok(json!({"silent": true, "lines": self.said()}));
            }
        }
        let pid = running.pid();
        self.running = Some(running);
        let mut notes: Vec<String> =
            self.server.take_notes().iter().map(|note| format!("{note:?}")).collect();
        notes.extend(take_notes());
        Ok(json!({"ready": since.elapsed().as_millis(), "pid": pid, "notes": notes}))
    }

    /// Asks it to end, and waits until it has.
    fn stop(&mut self) -> Result<Value, Failure> {
        let ending = self.server.ending();
        let mut running = self.running.take().ok_or("not running")?;
        let since = Instant::now();
        running.signal(ending.signal)?;
        let status = running.wait_for(ending.grace)?.map(djship_engine::ExitStatus::code);
        let after = since.elapsed().as_millis();
        let lines = if status.is_some() { self.said_to_the_end() } else { self.said() };
        Ok(json!({"stopped": status, "after": after, "lines": lines}))
    }

    /// What it said, when it has ended.
    fn said_to_the_end(&mut self) -> Vec<String> {
        for reader in self.readers.drain(..) {
            // One that broke off has read what it could.
            let _ = reader.join();
        }
        self.said()
    }

    fn said(&self) -> Vec<String> {
        self.lines.lock().map(|lines| lines.clone()).unwrap_or_default()
    }
}

fn keep(stream: impl Read, lines: &Mutex<Vec<String>>) {
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        eprintln!("> {line}");
        if let Ok(mut lines) = lines.lock() {
            lines.push(line);
        }
    }
}
