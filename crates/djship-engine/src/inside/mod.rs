//! The processes inside: everything here runs in a re-execution of our own binary, single-threaded, until the program of the
//! container takes over.

mod abstract_sockets;
mod capabilities;
mod devices;
mod executable;
mod held;
mod idmapped;
mod init;
mod join;
mod mount_calls;
mod mount_table;
mod overlay;
mod root_owned;
mod root_view;
mod scratch_copies;
mod seccomp;
mod set_ids;
mod signals;
mod sources;
mod stage;
mod terminal;
mod trees;
mod user_namespace;
mod workload;

use std::{ffi::OsString, fs::File, io::Seek as _, path::Path};

use rustix::io::Errno;
use serde::de::DeserializeOwned;

use crate::{
    control::{self, Event},
    descriptors,
    error::{Fault, Step},
};

/// What our own binary is called when it is executed again; nobody types this.
pub(crate) const ARGV0: &str = "djship-container";

/// Exit code of a stage that failed; the front goes by the event, not by this.
const FAILED: i32 = 70;

/// What a re-execution is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Makes the namespaces and gives birth to init.
    Stage,
    /// PID 1 of a container.
    Init,
    /// Enters a running container.
    Join,
}

impl Role {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stage => "stage",
            Self::Init => "init",
            Self::Join => "join",
        }
    }
}

/// Plays its part when this process is a re-execution by [`crate::Engine`], and never returns then; otherwise it returns at
/// once. `arguments` are the process' own, `std::env::args_os()`.
///
/// Must be the first call in `main`, before anything starts a thread, opens a file or installs a signal handler.
pub fn dispatch(mut arguments: impl Iterator<Item = OsString>) {
    if arguments.next().is_none_or(|name| name != ARGV0) {
        return;
    }
    let Some(role) = arguments.next() else { return };
    std::panic::set_hook(Box::new(|info| {
        let fault = Fault { step: Step::Panic, subject: None, errno: None, detail: Some(info.to_string()) };
        let _ = control::send_event(descriptors::control(), &Event::Failed(fault), None);
        std::process::exit(FAILED);
    }));
    let rest: Vec<_> = arguments.collect();
    if role != Role::Init.name() {
        // What the caller forgot to mark must stay open neither here nor in PID 1, which would keep it for long.
        descriptors::close_from(3);
    }
    let outcome = match role.to_str() {
        Some("stage") => stage::run(),
        Some("init") => init::run(&rest),
        Some("join") => join::run(),
        _ => return,
    };
    let code = match outcome {
        Ok(code) => code,
        Err(fault) => {
            let _ = control::send_event(descriptors::control(), &Event::Failed(fault), None);
            FAILED
        }
    };
    std::process::exit(code);
}

/// Reads what the front wrote, from its start: the memory file is shared by consecutive stages.
fn read_assignment<T: DeserializeOwned>() -> Result<T, Fault> {
    let fault = |detail: String| Fault {
        step: Step::ReadAssignment,
        subject: None,
        errno: None,
        detail: Some(detail),
    };
    let copy = descriptors::assignment().try_clone_to_owned().map_err(|error| fault(error.to_string()))?;
    let mut file = File::from(copy);
    file.rewind().map_err(|error| fault(error.to_string()))?;
    serde_json::from_reader(std::io::BufReader::new(file)).map_err(|error| fault(error.to_string()))
}

/// Whether this kernel can keep programs from abstract sockets of the host.
pub(crate) fn can_confine_abstract_sockets() -> bool {
    abstract_sockets::is_supported()
}

/// Turns a kernel error at `step` into a fault without a subject.
fn at(step: Step) -> impl Fn(Errno) -> Fault {
    move |errno| Fault { step, subject: None, errno: Some(errno.raw_os_error()), detail: None }
}

/// Turns a kernel error at `step` into a fault about a path.
fn about(step: Step, path: &Path) -> impl Fn(Errno) -> Fault {
    move |errno| Fault {
        step,
        subject: Some(path.display().to_string()),
        errno: Some(errno.raw_os_error()),
        detail: None,
    }
}

/// The kernel's number in an error of the standard library.
fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
