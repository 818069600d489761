//! Enters a user namespace with the maps decided by the front, and becomes the mapped owner.

#![expect(unsafe_code, reason = "fork and unshare")]

use std::{
    os::fd::OwnedFd,
    path::Path,
    process::{Command, Stdio},
};

use rustix::{
    io::Errno,
    pipe::{PipeFlags, pipe_with},
    process::{Gid, Pid, Uid, WaitOptions, getpid, waitpid},
    thread::{UnshareFlags, set_thread_groups, set_thread_res_gid, set_thread_res_uid, unshare_unsafe},
};

use super::{about, at};
use crate::{
    error::{Fault, Step},
    identity::{Identity, MapLine, MapWriter},
};

/// Where distributions put `newuidmap` and `newgidmap`; the environment is empty here and not to be trusted anyway.
const TOOL_PATH: &str = "/usr/bin:/bin:/usr/sbin:/sbin:/usr/local/bin";

/// Creates and enters the namespace. Afterwards this process holds every capability in it; the user id of the host is still
/// the old one.
pub(super) fn enter(identity: &Identity) -> Result<(), Fault> {
    match identity.writer {
        MapWriter::Own => {
            unshare_user()?;
            // Without the right to shed groups nobody may gain access by shedding one: the kernel wants it in writing.
            write_map("/proc/self/setgroups", "deny")?;
            write_map("/proc/self/gid_map", &lines(&identity.gids))?;
            write_map("/proc/self/uid_map", &lines(&identity.uids))
        }
        MapWriter::Root => {
            set_thread_groups(&[]).map_err(at(Step::MapIds))?;
            with_helper(|pid| {
                write_map(&format!("/proc/{pid}/gid_map"), &lines(&identity.gids))?;
                write_map(&format!("/proc/{pid}/uid_map"), &lines(&identity.uids))
            })
        }
        MapWriter::Tools => with_helper(|pid| {
            run_tool("newgidmap", pid, &identity.gids)?;
            run_tool("newuidmap", pid, &identity.uids)
        }),
    }
}

/// Becomes the owner for good: on the host this is the user behind the container, whoever started it. Capabilities in the
/// namespace stay; id 0 of the host cannot come back.
pub(super) fn become_owner(identity: &Identity) -> Result<(), Fault> {
    take_ids(identity.owner)
}

/// Sets all user and group ids of this process; sheds other groups where the kernel allows that.
pub(super) fn take_ids((uid, gid): (u32, u32)) -> Result<(), Fault> {
    let fault = |errno| about(Step::BecomeOwner, Path::new(&format!("{uid}:{gid}")))(errno);
    match set_thread_groups(&[]) {
        // A user that mapped itself may not; its groups stay, as nobody inside.
        Ok(()) | Err(Errno::PERM) => {}
        Err(errno) => return Err(fault(errno)),
    }
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    set_thread_res_gid(gid, gid, gid).map_err(fault)?;
    set_thread_res_uid(uid, uid, uid).map_err(fault)
}

fn unshare_user() -> Result<(), Fault> {
    // SAFETY: the descriptor table is not among the flags.
    unsafe { unshare_unsafe(UnshareFlags::NEWUSER) }.map_err(at(Step::CreateUserNamespace))
}

/// Has `write` run in the parent namespace, by a child that stays behind, after this process entered the new one.
fn with_helper(write: impl Fn(i32) -> Result<(), Fault>) -> Result<(), Fault> {
    let own = getpid().as_raw_nonzero().get();
    let (gate, opener) = pipe_with(PipeFlags::CLOEXEC).map_err(at(Step::MapIds))?;
    // The fault comes back over a pipe, and only this process speaks to the front.
    let (answer, speaker) = pipe_with(PipeFlags::CLOEXEC).map_err(at(Step::MapIds))?;
    // SAFETY: this process has one thread, so the child is a complete copy of it.
    let child = unsafe { libc::fork() };
    match child {
        0 => {
            drop((opener, answer));
            let mut byte = [0_u8; 1];
            if rustix::io::read(&gate, &mut byte) == Ok(1)
                && let Err(fault) = write(own)
            {
                let _ = rustix::io::write(&speaker, &serde_json::to_vec(&fault).unwrap_or_default());
            }
            std::process::exit(0)
        }
        pid if pid > 0 => {
            drop((gate, speaker));
            unshare_user()?;
            rustix::io::write(&opener, b"g").map_err(at(Step::MapIds))?;
            drop(opener);
            let said = read_all(answer);
            let _ = waitpid(Pid::from_raw(pid), WaitOptions::empty());
            serde_json::from_slice(&said).map_or(Ok(()), Err)
        }
        _ => Err(at(Step::MapIds)(super::errno(&std::io::Error::last_os_error()))),
    }
}

/// Reads what a process says until it ends.
pub(super) fn read_all(pipe: OwnedFd) -> Vec<u8> {
    let mut text = Vec::new();
    let _ = std::io::Read::read_to_end(&mut std::fs::File::from(pipe), &mut text);
    text
}

fn lines(map: &[MapLine]) -> String {
    map.iter().map(|line| format!("{} {} {}\n", line.inside, line.outside, line.count)).collect()
}

fn write_map(path: &str, text: &str) -> Result<(), Fault> {
    // One write: the kernel takes a map as a whole or not at all.
    std::fs::File::options()
        .write(true)
        .open(path)
        .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
        .map_err(|error| about(Step::MapIds, Path::new(path))(super::errno(&error)))
}

fn run_tool(tool: &str, pid: i32, map: &[MapLine]) -> Result<(), Fault> {
    let mut command = Command::new(tool);
    command.env("PATH", TOOL_PATH).arg(pid.to_string());
    for line in map {
        command.args([line.inside, line.outside, line.count].map(|number| number.to_string()));
    }
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| about(Step::MapIds, Path::new(tool))(super::errno(&error)))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Fault {
        step: Step::MapIds,
        subject: Some(tool.to_owned()),
        errno: None,
        detail: Some(String::from_utf8_lossy(&output.stderr).trim().chars().take(2000).collect()),
    })
}
