//! Keeps the workload's hands off our own binary.
//!
//! PID 1 runs it, and a program can get hold of `/proc/self/exe` of the process that is about to execute it (an image whose
//! shell names `/proc/self/exe` as its interpreter is enough). The binary belongs to the same user of the host in most
//! installations, so a writable handle would mean owning the user's next command. Therefore PID 1 is executed from a
//! read-only copy of the mount that the binary is on, or, where that cannot be had, from a sealed copy in memory.

use std::{
    fs::File,
    io,
    os::fd::{AsFd as _, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Access, MemfdFlags, SealFlags, access, fcntl_add_seals, fstat, memfd_create},
    io::Errno,
};

use super::mount_calls;
use crate::error::{Fault, Step};

/// Our own binary, opened while every right is still there.
#[derive(Debug)]
pub(super) struct Own {
    file: File,
    path: Option<PathBuf>,
}

impl Own {
    pub(super) fn open() -> Result<Self, Fault> {
        let link = "/proc/self/exe";
        let file = File::open(link).map_err(|error| fault(&error))?;
        // The path is of no use when the file was replaced by an update meanwhile; checked below.
        Ok(Self { file, path: Path::new(link).read_link().ok() })
    }

    pub(super) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// A handle from which PID 1 can be executed. `reopened` is what is at the path now, opened in the new mount namespace.
    pub(super) fn protect(self, reopened: Option<OwnedFd>) -> Result<OwnedFd, Fault> {
        if let Some(reopened) = reopened
            && self.is_same(&reopened)
            && access(super::sources::handle_path(&reopened), Access::EXEC_OK).is_ok()
            && let Ok(copy) = mount_calls::clone_tree(reopened.as_fd(), true)
        {
            return Ok(copy);
        }
        self.copy_to_memory().map_err(|error| fault(&error))
    }

    fn is_same(&self, other: &OwnedFd) -> bool {
        let identity = |stat: rustix::fs::Stat| (stat.st_dev, stat.st_ino);
        matches!((fstat(&self.file), fstat(other)), (Ok(own), Ok(other)) if identity(own) == identity(other))
    }

    fn copy_to_memory(mut self) -> io::Result<OwnedFd> {
        let name = "djship";
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let memory = match memfd_create(name, flags | MemfdFlags::EXEC) {
            // The flag is known since 6.3.
            Err(Errno::INVAL) => memfd_create(name, flags),
            other => other,
        }?;
        let mut memory = File::from(memory);
        io::copy(&mut self.file, &mut memory)?;
        fcntl_add_seals(&memory, SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        // The kernel executes no file that is open for writing, and a sealed one still counts as that: open it anew.
        let reopened = File::open(super::sources::handle_path(&memory))?;
        Ok(reopened.into())
    }
}

fn fault(error: &io::Error) -> Fault {
    super::at(Step::ProtectExecutable)(super::errno(error))
}
