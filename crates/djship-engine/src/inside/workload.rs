//! The program's process: takes its streams, gives up every right, and executes the program.

#![expect(unsafe_code, reason = "fork and execve")]

use std::{
    convert::Infallible,
    ffi::{CString, OsStr},
    fs::File,
    io::Read as _,
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Access, Mode, access},
    io::Errno,
    pipe::{PipeFlags, pipe_with},
    process::{Signal, WaitStatus, chdir, ioctl_tiocsctty, set_parent_process_death_signal, setsid, umask},
    thread::CapabilitySet,
};
use serde::{Deserialize, Serialize};

use super::{about, abstract_sockets, at, capabilities, held, seccomp, signals, user_namespace::take_ids};
use crate::{
    assignment::Workload,
    control::{self, Event},
    descriptors,
    error::{ExitStatus, Fault, NotRunnable, Step},
};

/// What the program reads and writes.
#[derive(Debug)]
pub(super) enum Streams {
    /// Input, output, error.
    Separate(Vec<OwnedFd>),
    /// One terminal for all three, and to be controlled by.
    Terminal(OwnedFd),
}

/// The program's process.
#[derive(Debug)]
pub(super) struct Child {
    pid: i32,
}

impl Child {
    pub(super) fn pid(&self) -> i32 {
        self.pid
    }
}

/// What became of the start.
#[derive(Debug)]
pub(super) enum Outcome {
    Running(Child),
    /// What the front is to be told.
    Failed(Event),
}

/// Why the program's process gave up; travels over a pipe to its parent.
#[derive(Debug, Serialize, Deserialize)]
enum GaveUp {
    Step(Fault),
    Program(NotRunnable),
}

/// Receives the streams that the front sent.
pub(super) fn receive_streams() -> Result<Vec<OwnedFd>, Fault> {
    let streams = control::receive_descriptors(descriptors::control()).map_err(at(Step::ReceiveStreams))?;
    if streams.len() < 3 { Err(at(Step::ReceiveStreams)(Errno::BADF)) } else { Ok(streams) }
}

/// Starts the program, with `held` open beside its streams; comes back once it was executed or could not be.
pub(super) fn start(workload: &Workload, streams: Streams, held: &[OwnedFd]) -> Result<Outcome, Fault> {
    // The writing end closes on execution: reading nothing from it means success.
    let (answer, speaker) = pipe_with(PipeFlags::CLOEXEC).map_err(at(Step::StartProgram))?;
    // SAFETY: this process has one thread, so the child is a complete copy of it.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        drop(answer);
        let Err(gave_up) = execute(workload, &streams, held);
        let _ = rustix::io::write(&speaker, &serde_json::to_vec(&gave_up).unwrap_or_default());
        // SAFETY: ends the copy without running what the original has registered for its own end.
        unsafe { libc::_exit(super::FAILED) };
    }
    if pid < 0 {
        return Err(at(Step::StartProgram)(super::errno(&std::io::Error::last_os_error())));
    }
    // Readers of pipes must see their end when the program closes it.
    drop((speaker, streams));
    let mut said = Vec::new();
    let _ = File::from(answer).read_to_end(&mut said);
    Ok(match serde_json::from_slice(&said) {
        Ok(GaveUp::Step(fault)) => Outcome::Failed(Event::Failed(fault)),
        Ok(GaveUp::Program(reason)) => {
            Outcome::Failed(Event::NotRunnable(reason, workload.argv.first().cloned().unwrap_or_default()))
        }
        Err(_) => Outcome::Running(Child { pid }),
    })
}

fn execute(workload: &Workload, streams: &Streams, held: &[OwnedFd]) -> Result<Infallible, GaveUp> {
    let words = prepare(workload, streams, held).map_err(GaveUp::Step)?;
    run(&words)
}

/// The program's words, as the kernel takes them. Made before the filter is in place.
struct Words {
    candidates: Vec<CString>,
    argv: Vec<CString>,
    env: Vec<CString>,
    /// Open until the program takes over, and in it.
    held: Vec<OwnedFd>,
}

fn prepare(workload: &Workload, streams: &Streams, held: &[OwnedFd]) -> Result<Words, Fault> {
    let mut words = Words {
        candidates: candidates(workload).iter().filter_map(|path| to_c(path.as_os_str())).collect(),
        argv: workload.argv.iter().filter_map(|word| to_c(OsStr::new(word))).collect(),
        env: workload.env.iter().filter_map(|word| to_c(OsStr::new(word))).collect(),
        held: Vec::new(),
    };
    setsid().map_err(at(Step::StartProgram))?;
    take_streams(streams).map_err(at(Step::ReceiveStreams))?;
    descriptors::close_on_exec_from(3);
    words.held = held::keep(held).map_err(at(Step::Hold))?;
    signals::reset();
    umask(Mode::from_raw_mode(0o022));
    capabilities::empty_bounding_set().map_err(at(Step::DropPrivileges))?;
    take_ids((workload.uid, workload.gid)).map_err(|fault| Fault { step: Step::SetUser, ..fault })?;
    // After the change of ids, which clears it. PID 1's end kills this process anyway; a joining helper's end would not.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(at(Step::StartProgram))?;
    capabilities::keep_only(CapabilitySet::empty()).map_err(at(Step::DropPrivileges))?;
    chdir(&workload.cwd).map_err(about(Step::EnterFolder, &workload.cwd))?;
    if workload.host_network {
        abstract_sockets::confine().map_err(at(Step::ConfineSockets))?;
    }
    seccomp::install(workload).map_err(|detail| Fault {
        step: Step::FilterSystemCalls,
        subject: None,
        errno: None,
        detail: Some(detail),
    })?;
    Ok(words)
}

fn take_streams(streams: &Streams) -> Result<(), Errno> {
    let [stdin, stdout, stderr] = match streams {
        Streams::Terminal(terminal) => {
            ioctl_tiocsctty(terminal)?;
            [terminal; 3]
        }
        Streams::Separate(separate) => match separate.as_slice() {
            [stdin, stdout, stderr] => [stdin, stdout, stderr],
            _ => return Err(Errno::BADF),
        },
    };
    rustix::stdio::dup2_stdin(stdin)?;
    rustix::stdio::dup2_stdout(stdout)?;
    rustix::stdio::dup2_stderr(stderr)
}

/// Where the program may be, as `execvp` would look for it in the container's own PATH.
fn candidates(workload: &Workload) -> Vec<PathBuf> {
    let Some(program) = workload.argv.first() else { return Vec::new() };
    if program.contains('/') {
        return vec![program.into()];
    }
    let path = workload.env.iter().find_map(|variable| variable.strip_prefix("PATH="));
    let folders = path.unwrap_or("/usr/local/bin:/usr/bin:/bin").split(':');
    folders.map(|folder| Path::new(if folder.is_empty() { "." } else { folder }).join(program)).collect()
}

fn run(words: &Words) -> Result<Infallible, GaveUp> {
    let argv = pointers(&words.argv);
    let env = pointers(&words.env);
    let mut refused = None;
    for candidate in &words.candidates {
        // SAFETY: path and words end with zero bytes, both arrays with null pointers, and all of it outlives the call.
        unsafe { libc::execve(candidate.as_ptr(), argv.as_ptr(), env.as_ptr()) };
        let errno = super::errno(&std::io::Error::last_os_error());
        let file = candidate.to_string_lossy().into_owned();
        match errno {
            Errno::NOENT | Errno::NOTDIR if access(candidate.as_c_str(), Access::EXISTS).is_err() => {}
            Errno::NOENT => return Err(GaveUp::Program(NotRunnable::InterpreterMissing { file })),
            // Another folder on the path may have one that runs.
            errno => refused = refused.or(Some(NotRunnable::Refused { file, errno: errno.raw_os_error() })),
        }
    }
    Err(GaveUp::Program(refused.unwrap_or(NotRunnable::NotFound)))
}

fn pointers(words: &[CString]) -> Vec<*const libc::c_char> {
    words.iter().map(|word| word.as_ptr()).chain([std::ptr::null()]).collect()
}

/// The front refuses zero bytes with an error of its own.
fn to_c(word: &OsStr) -> Option<CString> {
    CString::new(word.as_bytes()).ok()
}

/// How a process ended; `None` when it did not end.
pub(super) fn translate(status: WaitStatus) -> Option<ExitStatus> {
    let code = status.exit_status().map(ExitStatus::Code);
    code.or_else(|| status.terminating_signal().map(ExitStatus::Signal))
}
