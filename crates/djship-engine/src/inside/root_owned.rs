//! Root's own files, shown as those of the container's owner, by idmapped mounts in the container's mount namespace.
//!
//! Started by root, the layers in the store belong to root, and root does not exist inside: every file would belong to nobody
//! there, and nothing could be changed even in an upper. So such a mount is laid over each layer's own folder. Where the file
//! system (or the kernel, before 5.19 for overlays) knows none, layers stay nobody's: readable, but not changeable.
//!
//! Folders of root's for which the caller wishes it are laid on stand-ins, empty folders in the scratch folder, and shown from
//! there. That either works or is a fault.
//!
//! Only root may do all this, so a process is left behind in the parent user namespace for it.

#![expect(unsafe_code, reason = "fork")]

use std::{
    fs::File,
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags, fstat, fstatfs, openat2},
    io::Errno,
    pipe::{PipeFlags, pipe_with},
    process::{Pid, WaitOptions, getpid, waitpid},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use super::{
    about, at, idmapped,
    mount_calls::{self, Reach},
    scratch_copies, user_namespace,
};
use crate::{
    assignment::Assignment,
    error::{Fault, Step},
    file_systems::name_of,
    identity::MapWriter,
    mount_points::What,
};

/// The process that is left behind.
#[derive(Debug)]
pub(super) struct LeftBehind {
    pid: i32,
    opener: OwnedFd,
    answer: OwnedFd,
}

/// Leaves a process behind, before the stage enters its namespaces; `None` when there is nothing to do for it.
pub(super) fn leave_behind(assignment: &Assignment) -> Result<Option<LeftBehind>, Fault> {
    if assignment.identity.writer != MapWriter::Root {
        return Ok(None);
    }
    let stage = getpid().as_raw_nonzero().get();
    let (gate, opener) = pipe_with(PipeFlags::CLOEXEC).map_err(at(Step::MapLayers))?;
    // The fault comes back over a pipe, and only the stage speaks to the front.
    let (answer, speaker) = pipe_with(PipeFlags::CLOEXEC).map_err(at(Step::MapLayers))?;
    // SAFETY: this process has one thread, so the child is a complete copy of it.
    match unsafe { libc::fork() } {
        0 => {
            drop((opener, answer));
            let mut byte = [0_u8; 1];
            if rustix::io::read(&gate, &mut byte) == Ok(1) {
                let outcome = show(stage, assignment);
                let _ = rustix::io::write(&speaker, &serde_json::to_vec(&outcome).unwrap_or_default());
            }
            std::process::exit(0)
        }
        pid if pid > 0 => Ok(Some(LeftBehind { pid, opener, answer })),
        _ => Err(at(Step::MapLayers)(super::errno(&io::Error::last_os_error()))),
    }
}

impl LeftBehind {
    /// Lets it do its work; the stage is in its mount namespace by now.
    pub(super) fn finish(self) -> Result<(), Fault> {
        rustix::io::write(&self.opener, b"g").map_err(at(Step::MapLayers))?;
        drop(self.opener);
        let said = user_namespace::read_all(self.answer);
        waitpid(Pid::from_raw(self.pid), WaitOptions::empty()).map_err(at(Step::MapLayers))?;
        // Nothing said: it was killed.
        serde_json::from_slice(&said).unwrap_or_else(|_| Err(at(Step::MapLayers)(Errno::CHILD)))
    }
}

fn show(stage: i32, assignment: &Assignment) -> Result<(), Fault> {
    let enter = || {
        let namespace = idmapped::namespace_for(assignment.identity.on_host())?;
        let mounts = File::open(format!("/proc/{stage}/ns/mnt"))?;
        move_into_link_name_space(mounts.as_fd(), Some(LinkNameSpaceType::Mount))?;
        Ok(namespace)
    };
    let entered: io::Result<OwnedFd> = enter();
    // Before the layers: one of them may hold a source, and what is shown through one map cannot be shown through another.
    for what in assignment.mounts.iter().map(|mount| &mount.what) {
        if let Some((source, Some(stand_in))) = what.source() {
            let namespace =
                entered.as_ref().map_err(|error| about(Step::MapOwner, source)(super::errno(error)))?;
            show_on(what, source, stand_in, namespace.as_fd())?;
        }
    }
    // What fails here leaves layers as they are, which is what the caller of an unfit host gets.
    if let Ok(namespace) = &entered {
        let mut lowers = assignment.lowers.iter();
        let _ = lowers.try_for_each(|lower| show_layer(lower, namespace.as_fd()));
    }
    Ok(())
}

/// Opens a path of the host as root: without following a single link, which may have been planted.
fn open(path: &Path) -> Result<OwnedFd, Errno> {
    openat2(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::NO_SYMLINKS)
}

fn show_on(what: &What, source: &Path, stand_in: &Path, namespace: BorrowedFd<'_>) -> Result<(), Fault> {
    let place = open(stand_in).map_err(about(Step::MapOwner, stand_in))?;
    let original = open(source).map_err(about(Step::OpenSource, source))?;
    let (reach, read_only) = match what {
        What::Bind { read_only, .. } => (Reach::Below, *read_only),
        _ => (Reach::Alone, true),
    };
    let copy = mount_calls::clone_mapped(original.as_fd(), reach, read_only, namespace);
    copy.and_then(|copy| mount_calls::attach(&copy, &place)).map_err(|errno| {
        if reach == Reach::Alone
            && let Some(detail) = scratch_copies::diagnose(&original, errno)
        {
            return Fault { detail: Some(detail), ..about(Step::CopyFolder, source)(errno) };
        }
        Fault { detail: diagnose(&original, errno), ..about(Step::MapOwner, source)(errno) }
    })
}

/// The kernel gives a bare number.
fn diagnose(source: &OwnedFd, errno: Errno) -> Option<String> {
    let kind = fstatfs(source).ok().and_then(|facts| u64::try_from(facts.f_type).ok())?;
    [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP].contains(&errno).then(|| {
        format!(
            "it, or something mounted below it, is on a file system (here {}) without idmapped mounts",
            name_of(kind)
        )
    })
}

fn show_layer(lower: &Path, namespace: BorrowedFd<'_>) -> Result<(), Errno> {
    let folder = open(lower)?;
    if fstat(&folder)?.st_uid != 0 {
        // Made by a container of the same owner; its files carry the right ids already.
        return Ok(());
    }
    let copy = mount_calls::clone_mapped(folder.as_fd(), Reach::Alone, true, namespace)?;
    mount_calls::attach(&copy, &folder)
}
