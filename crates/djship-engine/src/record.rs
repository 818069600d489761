//! What is written down about a running container so that another djship can enter it.

use std::{io, path::PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{assignment::Workload, docker::Recorded};

/// A running container, as written down by whoever started it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "mirrors the switches of the public description")]
pub struct ContainerRecord {
    /// PID 1 of the container, as the starter saw it.
    pub pid: i32,
    /// When that process started, in clock ticks since boot (field 22 of `/proc/PID/stat`): numbers are reused.
    pub start_time: u64,
    /// The invoker's ids inside.
    pub(crate) owner: (u32, u32),
    /// The program's ids inside.
    pub(crate) user: (u32, u32),
    /// Switches of the container that hold for whatever enters it.
    pub(crate) unix_sockets: bool,
    pub(crate) ptrace: bool,
    pub(crate) host_network: bool,
    #[serde(default = "allowed")]
    pub(crate) set_ids: bool,
    /// The container when Docker runs it; when that is on another machine, the process is the djship that it belongs to.
    #[serde(default)]
    pub(crate) docker: Option<Recorded>,
}

/// What held for every container before there was a switch.
fn allowed() -> bool {
    true
}

/// A recorded container is not (or no longer) there.
#[derive(Debug, Error)]
pub enum RecordError {
    /// No such process, or the number belongs to another one by now.
    #[error("container process {pid} has ended")]
    Gone {
        /// The recorded process.
        pid: i32,
    },
    /// The process cannot be looked at.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file in `/proc`.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl ContainerRecord {
    pub(crate) fn of(pid: i32, owner: (u32, u32), workload: &Workload) -> Result<Self, RecordError> {
        Ok(Self {
            pid,
            start_time: start_time(pid)?,
            owner,
            user: (workload.uid, workload.gid),
            unix_sockets: workload.unix_sockets,
            ptrace: workload.ptrace,
            host_network: workload.host_network,
            set_ids: workload.set_ids,
            docker: None,
        })
    }

    pub(crate) fn in_docker(pid: i32, user: (u32, u32), recorded: Recorded) -> Result<Self, RecordError> {
        Ok(Self {
            pid,
            start_time: start_time(pid)?,
            owner: user,
            user,
            unix_sockets: true,
            ptrace: false,
            host_network: false,
            set_ids: true,
            docker: Some(recorded),
        })
    }

    /// Whether the container still runs.
    pub fn is_alive(&self) -> bool {
        start_time(self.pid).is_ok_and(|start_time| start_time == self.start_time)
    }
}

/// When a process started, in clock ticks since boot.
pub(crate) fn start_time(pid: i32) -> Result<u64, RecordError> {
    let path = PathBuf::from(format!("/proc/{pid}/stat"));
    match fs_err::read_to_string(&path) {
        Ok(stat) => parse_start_time(&stat).ok_or(RecordError::Gone { pid }),
        Err(error)
            if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH) =>
        {
            Err(RecordError::Gone { pid })
        }
        Err(source) => Err(RecordError::Read { path, source }),
    }
}

/// Field 22 of a live process. Field 2, the name, is in brackets and may hold anything, brackets and blanks included.
pub(crate) fn parse_start_time(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_do_not_shift_the_fields() {
        let stat = "7 (a) S 1 (x) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 1 1";
        assert_eq!(parse_start_time(stat), Some(4711));
        assert_eq!(parse_start_time(&stat.replace(") S 1 7", ") Z 1 7")), None);
        assert_eq!(parse_start_time(""), None);
    }

    #[test]
    fn this_process_is_alive() {
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(start_time(pid).unwrap() > 0);
        assert!(matches!(start_time(i32::MAX), Err(RecordError::Gone { .. })));
    }
}
