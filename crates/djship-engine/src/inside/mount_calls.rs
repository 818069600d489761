//! The newer mount interface (since Linux 5.2, attributes since 5.12) where `rustix` has no call for it, and with the
//! kernel's own explanation in errors.

#![expect(unsafe_code, reason = "mount_setattr has no safe form")]

use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::{
    io::Errno,
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
        fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
    },
};

/// A new file system that is being described to the kernel.
#[derive(Debug)]
pub(super) struct Described {
    context: OwnedFd,
}

/// Why a file system could not be made: the number, and what the kernel wrote about it.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) errno: Errno,
    pub(super) explanation: Option<String>,
}

impl Described {
    pub(super) fn new(kind: &str) -> Result<Self, Refusal> {
        let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC);
        context.map(|context| Self { context }).map_err(|errno| Refusal { errno, explanation: None })
    }

    pub(super) fn set(&self, key: &str, value: &str) -> Result<&Self, Refusal> {
        fsconfig_set_string(self.context.as_fd(), key, value).map_err(|errno| self.refusal(errno))?;
        Ok(self)
    }

    pub(super) fn flag(&self, key: &str) -> Result<&Self, Refusal> {
        fsconfig_set_flag(self.context.as_fd(), key).map_err(|errno| self.refusal(errno))?;
        Ok(self)
    }

    /// Makes it; the mount is nowhere yet.
    pub(super) fn create(&self, attributes: MountAttrFlags) -> Result<OwnedFd, Refusal> {
        fsconfig_create(self.context.as_fd()).map_err(|errno| self.refusal(errno))?;
        fsmount(self.context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
            .map_err(|errno| self.refusal(errno))
    }

    /// The kernel leaves messages in the context, one a read, such as "e overlay: ...".
    fn refusal(&self, errno: Errno) -> Refusal {
        let mut said = Vec::new();
        let mut buffer = [0_u8; 1024];
        while let Ok(length @ 1..) = rustix::io::read(&self.context, &mut buffer) {
            let line = String::from_utf8_lossy(&buffer[..length]);
            said.push(line.trim_end().trim_start_matches(['e', 'w', 'i']).trim_start().to_owned());
        }
        Refusal { errno, explanation: (!said.is_empty()).then(|| said.join("; ")) }
    }
}

/// Copies a mount of the host with everything mounted below it; the copy is nowhere yet. Never with set-uid programs or
/// usable device files.
pub(super) fn clone_tree(source: BorrowedFd<'_>, read_only: bool) -> Result<OwnedFd, Errno> {
    let tree = open_clone(source, Reach::Below)?;
    set_attributes(tree.as_fd(), protection(read_only), None)?;
    Ok(tree)
}

/// The same, of a mount that nobody uses yet, with the ids on the disk shown through the maps of a user namespace. For root
/// alone.
pub(super) fn clone_mapped(
    source: BorrowedFd<'_>,
    reach: Reach,
    read_only: bool,
    namespace: BorrowedFd<'_>,
) -> Result<OwnedFd, Errno> {
    let tree = open_clone(source, reach)?;
    set_attributes(tree.as_fd(), protection(read_only), Some(namespace))?;
    Ok(tree)
}

/// How far a copy of a mount goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// This file system alone.
    Alone,
    /// With everything mounted below.
    Below,
}

/// Copies a mount as it is.
pub(super) fn open_clone(source: BorrowedFd<'_>, reach: Reach) -> Result<OwnedFd, Errno> {
    let mut flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    if reach == Reach::Below {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    open_tree(source, "", flags)
}

fn protection(read_only: bool) -> u64 {
    let fixed = if read_only { libc::MOUNT_ATTR_RDONLY } else { 0 };
    libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | fixed
}

/// Adds attributes to a mount and all below it. Adding alone is always allowed; the older remount call stumbles over
/// attributes that the host has locked.
fn set_attributes(
    tree: BorrowedFd<'_>,
    attributes: u64,
    namespace: Option<BorrowedFd<'_>>,
) -> Result<(), Errno> {
    let change = libc::mount_attr {
        attr_set: attributes | namespace.map_or(0, |_| libc::MOUNT_ATTR_IDMAP),
        attr_clr: 0,
        propagation: 0,
        userns_fd: namespace.map_or(0, |namespace| u64::from(namespace.as_raw_fd().unsigned_abs())),
    };
    // SAFETY: the structure is valid for the call and its size is passed along.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | libc::AT_RECURSIVE,
            &raw const change,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(super::errno(&std::io::Error::last_os_error())) }
}

/// Puts a mount that is nowhere onto an opened place.
pub(super) fn attach(tree: impl AsFd, place: impl AsFd) -> Result<(), Errno> {
    move_mount(
        tree.as_fd(),
        "",
        place.as_fd(),
        "",
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH,
    )
}
