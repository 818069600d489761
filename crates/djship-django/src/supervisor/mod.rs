//! Keeps the programs of a development environment running. Knows nothing of what they are.
//!
//! Threads that own a descriptor (the output of a program, its end, the control socket, the watched folder) tell one loop what
//! happens; the loop owns every program. What programs print goes to the log without waiting for the loop, and to the
//! observer without waiting for that.

mod backoff;
mod claim;
mod control;
mod controls;
mod debugging;
mod ending;
mod environment;
mod failure;
mod kept;
mod known;
mod lines;
mod log;
mod log_reader;
mod observer;
mod output;
mod presses;
mod process;
mod program;
mod relay;
mod starting;
mod state;
mod supervise;
mod terminals;
mod turn;
mod users;
mod watch;

pub use claim::{Claim, ClaimError};
pub use control::{Attached, ControlError, Lease, attach, request_restart, request_stop};
pub use controls::{with_colours_only, without_controls};
pub use environment::{Environment, EnvironmentError, Environments};
pub use failure::{StartFailed, WhyNot};
pub use known::{Halted, Known, PROJECT, Presence};
pub use log::Log;
pub use log_reader::{LogLine, LogReader};
pub use observer::{Because, Event, Observer};
pub use process::ProcessId;
pub use program::{Ending, Program, ProgramError, Role};
pub use state::{Phase, ProgramCondition, ProgramState, ServiceDescription, State};
pub use supervise::{End, Supervisor};
pub use watch::Changes;
