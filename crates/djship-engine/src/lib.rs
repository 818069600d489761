//! The embedded container engine: starts programs in a root file system of their own, with kernel interfaces only.
//! No daemon, no setuid tool, no root needed.
//!
//! ```text
//!  front (any thread)      stage (exec of our own binary)         init (PID 1 of the container)     workload
//!  Engine::start ------->  user namespace, other namespaces, -->  /proc, /dev, mounts, pivot,  -->  drops everything,
//!  Running <-- control     sources opened, root mounted,          signals, reaping,                 execve
//!   (events)   socket      gives birth to init, ends              watches the lifeline
//! ```
//!
//! The control socket is also the *lifeline*: its front end lives in the calling process alone. When that process ends,
//! however it ends, init sees the hang-up and exits, and the kernel takes the whole PID namespace and every mount with it.
//!
//! [`dispatch`] must be the first call in `main` of every binary that starts containers: the stages above are that same
//! binary, executed again.
//!
//! # In the background
//!
//! A container never outlives the process that holds its [`Running`]. What should run on (`djship run -d`, `djship up -d`) needs a
//! process that stays: the command executes its own binary again as a supervisor, in a session of its own, with its streams
//! on a log file and a pipe back; the supervisor starts the containers, writes each [`ContainerRecord`] down (temporary file and
//! rename), says through the pipe how it went, and waits. Later commands enter with [`Engine::exec`], and end everything by
//! sending the supervisor TERM; a supervisor that is killed takes its containers with it.
//!
//! # What a caller should know
//!
//! * Started by root, sources are reached as root but programs run as [`Engine::host_owner`]; folders that a container shall
//!   write to must belong to that owner, or be root's own and shown with [`Container::bind_as_owner`]. Layers that belong to
//!   root look as if they belonged to the owner (idmapped mounts), where the file system knows those.
//! * What programs change in a folder that is shown with [`Container::throw_away`] takes memory, and goes with the container.
//! * What must not be used twice at a time, such as a database's files, is locked with `flock` and started with
//!   [`Engine::start_holding`]: the lock lasts as long as anything inside, also when this process is killed.
//! * PID 1 has a session of its own, so Ctrl-C reaches the caller only. Pass it on with [`Running::signal`].
//! * Nothing in the calling process may collect children that are not its own (`waitpid(-1)`); exit statuses would still
//!   arrive, over the control socket.

mod assignment;
mod capture;
mod container;
mod control;
mod descriptors;
mod docker;
mod engine;
mod error;
mod file_systems;
mod holding;
mod identity;
mod inside;
mod joining;
mod lookup;
mod mount_points;
mod record;
mod running;
mod scratch;
mod streams;
mod terminal;

pub mod doctor;

pub use capture::{CaptureError, CaptureLimits, Output};
pub use container::{
    Bind, Container, HostOwner, IdMap, IdRange, InlineFile, Network, RunUser, ScratchCopy, Stdio, Streams,
    Tmpfs, Upper,
};
pub use docker::{Docker, DockerError, DockerSettings};
pub use engine::Engine;
pub use error::{ExitStatus, Fault, NotRunnable, StartError, Step, WaitError};
pub use inside::dispatch;
pub use joining::Exec;
pub use lookup::LookupError;
pub use record::{ContainerRecord, RecordError};
pub use running::Running;
pub use rustix::process::Signal;
pub use terminal::{RawTerminal, TerminalError};
