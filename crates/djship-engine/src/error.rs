//! What can go wrong when a container starts or is waited for, as facts.

use std::{fmt, io, path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{docker::DockerError, lookup::LookupError, record::RecordError};

/// A container could not be started. None of these is an exit code of the program inside.
#[derive(Debug, Error)]
pub enum StartError {
    /// [`crate::Container::argv`] is empty.
    #[error("cannot start container: no program was given")]
    NoProgram,
    /// [`crate::Container::lowers`] is empty.
    #[error("cannot start container: no root folder was given")]
    NoRoot,
    /// Argument, variable or path that the kernel or the set-up cannot take.
    #[error("cannot start container: {what} {value:?} holds a zero byte or is not UTF-8")]
    Unspeakable {
        /// What it is, such as `argument` or `variable`.
        what: &'static str,
        /// The value, made printable.
        value: String,
    },
    /// A target that is not an absolute path, names the root itself, or holds `..`.
    #[error("cannot start container: `{}` is no place for a mount inside it", target.display())]
    BadTarget {
        /// The target asked for.
        target: PathBuf,
    },
    /// Started by root without a [`crate::HostOwner`].
    #[error("cannot start container: root runs no program itself, and no host owner was given")]
    OwnerMissing,
    /// The [`crate::HostOwner`] is root.
    #[error("cannot start container: the host owner {uid}:{gid} is root")]
    OwnerIsRoot {
        /// User id given.
        uid: u32,
        /// Group id given.
        gid: u32,
    },
    /// [`crate::IdMap::Range`] with ranges that are too short or an invoker outside `0..=65535`.
    #[error(
        "cannot start container: the ranges of subordinate ids hold {uids} users and {gids} groups; 65535 are needed"
    )]
    RangeTooShort {
        /// Users in the range.
        uids: u32,
        /// Groups in the range.
        gids: u32,
    },
    /// A folder or file that the container needs is not there or cannot be looked at.
    #[error("cannot start container: cannot use `{}`: {source}", path.display())]
    Source {
        /// Path on the host.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The place for a mount could not be worked out.
    #[error("cannot start container: {0}")]
    Lookup(#[from] LookupError),
    /// Work space in the scratch folder could not be made.
    #[error("cannot start container: cannot write `{}`: {source}", path.display())]
    Scratch {
        /// Path on the host.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A descriptor to hold is a folder's, from which the program could walk through the host.
    #[error("cannot start container: descriptor {number} is a folder's, and would lead out of it")]
    HeldFolder {
        /// The descriptor's number in the calling process.
        number: i32,
    },
    /// The re-execution of our own binary failed, or the plumbing for it did.
    #[error("cannot start container: cannot {verb}: {source}")]
    Spawn {
        /// What was tried.
        verb: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// A container to join is gone.
    #[error("cannot enter container: {0}")]
    Record(#[from] RecordError),
    /// Docker does not do it.
    #[error(transparent)]
    Docker(#[from] DockerError),
    /// A step of the set-up failed inside.
    #[error("cannot start container: {0}")]
    Setup(#[from] Fault),
    /// The set-up succeeded, but there is no such program to run.
    #[error("cannot run `{program}` in container: {reason}")]
    Program {
        /// The program as given.
        program: String,
        /// Why it does not run.
        reason: NotRunnable,
    },
    /// The set-up ended without saying why; it was probably killed.
    #[error("cannot start container: its set-up ended without a report (first process: {stage})")]
    Lost {
        /// How our first process ended.
        stage: String,
    },
}

impl StartError {
    /// The exit code that shells and Docker give for this: 127 not found, 126 not executable; `None` for everything else.
    pub fn exit_code(&self) -> Option<i32> {
        match self {
            Self::Program { reason: NotRunnable::NotFound, .. } => Some(127),
            Self::Program { .. } => Some(126),
            _ => None,
        }
    }
}

/// Why a program in a container cannot be executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NotRunnable {
    /// No file of that name, in `PATH` or at the given place.
    NotFound,
    /// The file is there; the interpreter or loader that it names is not.
    InterpreterMissing {
        /// The file.
        file: String,
    },
    /// The kernel refused it, for example because it is not executable or is for another CPU.
    Refused {
        /// The file.
        file: String,
        /// The kernel's error number.
        errno: i32,
    },
}

impl fmt::Display for NotRunnable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => write!(formatter, "no such program"),
            Self::InterpreterMissing { file } => {
                write!(formatter, "`{file}` exists, but the interpreter or loader that it names does not")
            }
            Self::Refused { file, errno } => {
                write!(formatter, "cannot execute `{file}`: {}", io::Error::from_raw_os_error(*errno))
            }
        }
    }
}

/// One failed step of the set-up, as reported from inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
pub struct Fault {
    /// What was being done.
    pub step: Step,
    /// What it was done to, where there is such a thing: a host path, or a path inside for mounts.
    pub subject: Option<String>,
    /// The kernel's error number.
    pub errno: Option<i32>,
    /// What the kernel or a tool said beyond the number.
    pub detail: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "cannot {}", self.step.words())?;
        if let Some(subject) = &self.subject {
            write!(formatter, " `{subject}`")?;
        }
        let reason = self.errno.map(|number| io::Error::from_raw_os_error(number).to_string());
        let parts: Vec<_> = reason.into_iter().chain(self.detail.clone()).collect();
        if parts.is_empty() { Ok(()) } else { write!(formatter, ": {}", parts.join(": ")) }
    }
}

macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident => $words:literal,)*) => {
        /// A step of the set-up, in the order in which they happen.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Step { $($(#[$doc])* $name,)* }

        impl Step {
            /// Completes "cannot ...".
            pub fn words(self) -> &'static str {
                match self { $(Self::$name => $words,)* }
            }
        }
    };
}

steps! {
    /// The description could not be read from the caller.
    ReadAssignment => "read what to set up",
    /// `unshare(CLONE_NEWUSER)`: refused where user namespaces are switched off or restricted.
    CreateUserNamespace => "create a user namespace",
    /// Writing `uid_map`, `gid_map` or `setgroups`.
    MapIds => "map user and group ids with",
    /// The other namespaces.
    CreateNamespaces => "create the container's namespaces",
    /// Cutting the mount namespace off from the host's.
    SeparateMounts => "separate the container's mounts from the host's",
    /// Showing root's layers as the owner's.
    MapLayers => "show the layers as the container owner's",
    /// Showing root's own folder as the owner's: takes a file system and a kernel with idmapped mounts.
    MapOwner => "map root to the container's owner in",
    /// Opening a folder or file of the host.
    OpenSource => "open",
    /// Becoming the mapped user.
    BecomeOwner => "become user",
    /// Making our own binary safe to show inside.
    ProtectExecutable => "protect the djship binary",
    /// Overlay of the root.
    MountRoot => "mount the root file system",
    /// Copying a mount of the host for a bind.
    CloneBind => "bind",
    /// Overlay of a folder that is shown as a copy.
    CopyFolder => "show a copy of",
    /// Birth of PID 1.
    StartInit => "start the container's first process",
    /// Receiving the standard streams.
    ReceiveStreams => "receive the standard streams",
    /// Receiving what the program is to hold.
    ReceiveHeld => "receive the descriptors to hold",
    /// `/proc`; refused where the host's own is partly hidden, as inside other containers.
    MountProc => "mount a process file system",
    /// `/dev` and what is in it.
    MountDevices => "provide devices",
    /// A file system in memory.
    MountTmpfs => "mount a file system in memory for",
    /// The change of root.
    PivotRoot => "change to the container's root",
    /// Putting a mount into its place.
    Attach => "mount on",
    /// Host name.
    SetHostname => "set the host name",
    /// Loopback device of an own network.
    RaiseLoopback => "bring up the loopback device",
    /// Entering the namespaces of a running container.
    JoinNamespaces => "enter the container's namespaces",
    /// Terminal.
    OpenTerminal => "open a terminal",
    /// Signals.
    PrepareSignals => "prepare signal handling",
    /// Keeping descriptors open for the program.
    Hold => "hold descriptors",
    /// Birth of the program's process.
    StartProgram => "start the program's process",
    /// Capabilities and no_new_privs.
    DropPrivileges => "drop privileges",
    /// User and group of the program.
    SetUser => "become the container's user",
    /// Working folder.
    EnterFolder => "enter the working folder",
    /// Confinement of abstract sockets.
    ConfineSockets => "confine abstract sockets",
    /// System call filter.
    FilterSystemCalls => "install the system call filter",
    /// A bug of ours: a stage panicked.
    Panic => "go on: internal error in the set-up",
}

/// How the program inside ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitStatus {
    /// It exited with this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
}

impl std::fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

impl ExitStatus {
    /// The shell's number: the code itself, or 128 plus the signal.
    pub fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }

    /// Whether the program exited with code 0.
    pub fn success(self) -> bool {
        self == Self::Code(0)
    }
}

/// A container could not be waited for or signalled.
#[derive(Debug, Error)]
pub enum WaitError {
    /// The kernel refused.
    #[error("cannot {verb} container process {pid}: {source}")]
    Kernel {
        /// What was tried.
        verb: &'static str,
        /// PID 1 of the container, as the caller sees it.
        pid: i32,
        /// Why.
        source: io::Error,
    },
    /// Docker does not tell, or what comes out of its container cannot be taken.
    #[error(transparent)]
    Docker(Arc<DockerError>),
}
