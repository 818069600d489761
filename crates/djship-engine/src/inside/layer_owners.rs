//! Started by root, the layers in the store belong to root, and root does not exist inside: every file would belong to nobody
//! there, and nothing could be changed even in an upper. So each layer that belongs to root is shown as if it belonged to
//! the container's owner: an idmapped mount, laid over the layer's own folder in the container's mount namespace.
//!
//! Only real root may do that, so a helper is left behind in the parent user namespace for it. Where the file system (or the
//! kernel, before 5.19 for overlays) knows no such mounts, layers stay nobody's: readable, but not changeable.

#![expect(unsafe_code, reason = "fork, and mount_setattr with a user namespace")]

use std::{
    fs::File,
    io,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    path::PathBuf,
};

use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags, fstat, openat2},
    io::Errno,
    mount::{OpenTreeFlags, open_tree},
    pipe::{PipeFlags, pipe_with},
    process::{Pid, Signal, WaitOptions, getpid, kill_process, waitpid},
    thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe},
};

use super::{at, mount_calls};
use crate::{
    assignment::Assignment,
    error::{Fault, Step},
    identity::{MapLine, MapWriter},
};

/// The helper that is left behind.
#[derive(Debug)]
pub(super) struct Helper {
    pid: i32,
    opener: OwnedFd,
}

/// Leaves a helper behind, before the stage enters its namespaces; `None` when there is nothing to do for it.
pub(super) fn leave_behind(assignment: &Assignment) -> Result<Option<Helper>, Fault> {
    if assignment.identity.writer != MapWriter::Root {
        return Ok(None);
    }
    let stage = getpid().as_raw_nonzero().get();
    let (gate, opener) = pipe_with(PipeFlags::CLOEXEC).map_err(at(Step::MapLayers))?;
    // SAFETY: this process has one thread, so the child is a complete copy of it.
    match unsafe { libc::fork() } {
        0 => {
            drop(opener);
            let mut byte = [0_u8; 1];
            if rustix::io::read(&gate, &mut byte) == Ok(1) {
                // What fails leaves layers as they are, which is what the caller of an unfit host gets.
                let _ = show_as_owners(stage, assignment);
            }
            std::process::exit(0)
        }
        pid if pid > 0 => Ok(Some(Helper { pid, opener })),
        _ => Err(at(Step::MapLayers)(super::errno(&io::Error::last_os_error()))),
    }
}

impl Helper {
    /// Lets the helper do its work; the stage is in its mount namespace by now.
    pub(super) fn finish(self) -> Result<(), Fault> {
        rustix::io::write(&self.opener, b"g").map_err(at(Step::MapLayers))?;
        drop(self.opener);
        waitpid(Pid::from_raw(self.pid), WaitOptions::empty()).map_err(at(Step::MapLayers)).map(drop)
    }
}

fn show_as_owners(stage: i32, assignment: &Assignment) -> io::Result<()> {
    let names = translation(&assignment.identity.uids, assignment.identity.owner.0);
    let groups = translation(&assignment.identity.gids, assignment.identity.owner.1);
    let namespace = namespace_with(&names, &groups)?;
    let mounts = File::open(format!("/proc/{stage}/ns/mnt"))?;
    move_into_link_name_space(mounts.as_fd(), Some(LinkNameSpaceType::Mount))?;
    for lower in &assignment.lowers {
        show_as_owner(lower, &namespace)?;
    }
    Ok(())
}

/// On the disk root is 0, and subordinate ids are themselves; through the mount root is the container's owner.
fn translation(map: &[MapLine], owner: u32) -> String {
    map.iter()
        .map(|line| {
            let on_disk = if line.inside == owner && line.count == 1 { 0 } else { line.outside };
            format!("{on_disk} {} {}\n", line.outside, line.count)
        })
        .collect()
}

fn show_as_owner(lower: &PathBuf, namespace: &OwnedFd) -> Result<(), Errno> {
    let handle = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = openat2(CWD, lower, handle, Mode::empty(), ResolveFlags::NO_SYMLINKS)?;
    if fstat(&folder)?.st_uid != 0 {
        // Made by a container of the same owner; its files carry the right ids already.
        return Ok(());
    }
    let clone =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let copy = open_tree(&folder, "", clone)?;
    let change = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_IDMAP | libc::MOUNT_ATTR_RDONLY,
        attr_clr: 0,
        propagation: 0,
        userns_fd: u64::from(namespace.as_raw_fd().unsigned_abs()),
    };
    // SAFETY: the structure is valid for the call and its size is passed along.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            copy.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const change,
            size_of::<libc::mount_attr>(),
        )
    };
    if result != 0 {
        return Err(super::errno(&io::Error::last_os_error()));
    }
    mount_calls::attach(&copy, &folder)
}

/// A user namespace that exists for its maps alone.
fn namespace_with(uids: &str, gids: &str) -> io::Result<OwnedFd> {
    let (ready, speaker) = pipe_with(PipeFlags::CLOEXEC)?;
    // SAFETY: this process has one thread, so the child is a complete copy of it.
    let child = unsafe { libc::fork() };
    if child == 0 {
        drop(ready);
        // SAFETY: the descriptor table is not among the flags.
        if unsafe { unshare_unsafe(UnshareFlags::NEWUSER) }.is_ok() {
            let _ = rustix::io::write(&speaker, b"r");
            // Killed as soon as the namespace was opened.
            // SAFETY: plain system call.
            unsafe { libc::pause() };
        }
        std::process::exit(0);
    }
    drop(speaker);
    let pid = Pid::from_raw(child).ok_or_else(io::Error::last_os_error)?;
    let opened = (|| {
        let mut byte = [0_u8; 1];
        if rustix::io::read(&ready, &mut byte)? != 1 {
            return Err(Errno::PERM.into());
        }
        std::fs::File::options()
            .write(true)
            .open(format!("/proc/{child}/gid_map"))
            .and_then(|mut file| io::Write::write_all(&mut file, gids.as_bytes()))?;
        std::fs::File::options()
            .write(true)
            .open(format!("/proc/{child}/uid_map"))
            .and_then(|mut file| io::Write::write_all(&mut file, uids.as_bytes()))?;
        Ok(OwnedFd::from(File::open(format!("/proc/{child}/ns/user"))?))
    })();
    let _ = kill_process(pid, Signal::KILL);
    let _ = waitpid(Some(pid), WaitOptions::empty());
    opened
}
