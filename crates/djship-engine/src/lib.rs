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

mod assignment;
mod capture;
mod container;
mod control;
mod descriptors;
mod engine;
mod error;
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
    Bind, Container, HostOwner, IdMap, IdRange, InlineFile, Network, RunUser, Stdio, Streams, Tmpfs, Upper,
};
pub use engine::Engine;
pub use error::{ExitStatus, Fault, NotRunnable, StartError, Step, WaitError};
pub use inside::dispatch;
pub use joining::Exec;
pub use lookup::LookupError;
pub use record::{ContainerRecord, RecordError};
pub use running::Running;
pub use rustix::process::Signal;
pub use terminal::{RawTerminal, TerminalError};
