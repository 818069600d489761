//! What the front hands to the stages inside: everything decided, paths resolved, nothing left to look up.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{identity::Identity, mount_points::Mount};

/// All of a new container.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Assignment {
    /// Who to become.
    pub(crate) identity: Identity,
    /// Layers of the root, first is topmost; at least two.
    pub(crate) lowers: Vec<PathBuf>,
    /// Folders for changes.
    pub(crate) upper: Option<crate::container::Upper>,
    /// An empty folder on which the new root is mounted for a moment.
    pub(crate) landing: PathBuf,
    /// Use `mount(2)` even where the newer interface works (tests of the fallback).
    pub(crate) old_mount_call: bool,
    /// Own network instead of the host's.
    pub(crate) own_network: bool,
    /// Host name inside.
    pub(crate) hostname: String,
    /// Mounts in the order in which they are attached.
    pub(crate) mounts: Vec<Mount>,
    /// How many descriptors the front sends for the program to hold.
    pub(crate) held: usize,
    /// The program.
    pub(crate) workload: Workload,
}

/// A program to run, in a new container or a running one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "mirrors the switches of the public description")]
pub(crate) struct Workload {
    /// Program and arguments.
    pub(crate) argv: Vec<String>,
    /// `NAME=value`.
    pub(crate) env: Vec<String>,
    /// Working folder.
    pub(crate) cwd: PathBuf,
    /// User id inside.
    pub(crate) uid: u32,
    /// Group id inside.
    pub(crate) gid: u32,
    /// Give it a terminal.
    pub(crate) tty: bool,
    /// Allow `socket(AF_UNIX)`.
    pub(crate) unix_sockets: bool,
    /// Allow ptrace.
    pub(crate) ptrace: bool,
    /// Allow files to get set-user-ID and set-group-ID bits.
    pub(crate) set_ids: bool,
    /// The network is shared with the host, so abstract sockets need confinement.
    pub(crate) host_network: bool,
}

/// A program to run in a container that is running already.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct JoinAssignment {
    /// PID 1 of the container, as the front sees it.
    pub(crate) pid: i32,
    /// Start time of that process in clock ticks since boot, against reuse of the number.
    pub(crate) start_time: u64,
    /// User and group inside to act as while joining: the invoker.
    pub(crate) owner: (u32, u32),
    /// The program.
    pub(crate) workload: Workload,
}
