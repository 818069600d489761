//! Which process it is: a number alone is given to another process sooner or later.

use std::io;

use serde::{Deserialize, Serialize};

/// A process of this host, told apart from a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// The number.
    pub pid: i32,
    /// When it started, in clock ticks since boot (field 22 of `/proc/PID/stat`, see proc_pid_stat(5)).
    pub start_time: u64,
}

impl ProcessId {
    /// This process.
    pub fn own() -> io::Result<Self> {
        let pid = rustix::process::getpid().as_raw_pid();
        let start_time = start_time(pid).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(Self { pid, start_time })
    }

    /// Whether that very process still runs.
    pub fn is_alive(self) -> bool {
        start_time(self.pid) == Some(self.start_time)
    }

    /// As it stands in a lock file.
    pub(super) fn to_line(self) -> String {
        format!("{} {}\n", self.pid, self.start_time)
    }

    /// Reads such a line.
    pub(super) fn from_line(line: &str) -> Option<Self> {
        let (pid, start_time) = line.trim().split_once(' ')?;
        Some(Self { pid: pid.parse().ok()?, start_time: start_time.parse().ok()? })
    }
}

/// `None` for a process that is gone, or that only waits to be collected.
fn start_time(pid: i32) -> Option<u64> {
    let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in brackets and may hold brackets and blanks itself.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
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
    fn another_process_with_the_same_number_is_not_it() {
        let own = ProcessId::own().unwrap();
        assert!(own.is_alive());
        assert!(!ProcessId { start_time: own.start_time + 1, ..own }.is_alive());
        assert_eq!(ProcessId::from_line(&own.to_line()), Some(own));
        for line in ["", "7", "7 x", "x 7"] {
            assert_eq!(ProcessId::from_line(line), None, "{line:?}");
        }
    }

    #[test]
    fn one_that_has_ended_is_not_alive() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        child.wait().unwrap();
        assert!(!ProcessId { pid, start_time: 1 }.is_alive());
    }
}
