//! Keeps programs on the host's network from the abstract sockets of the host.
//!
//! Abstract sockets (D-Bus, X11, some container daemons) belong to the network namespace, not to the file system, so a root of
//! its own does not hide them. Since Linux 6.12 Landlock confines a process to those of its own domain.

#![expect(unsafe_code, reason = "Landlock calls")]

use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use rustix::io::Errno;

/// `LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET`.
const SCOPE_ABSTRACT_UNIX_SOCKET: u64 = 1;
/// `LANDLOCK_CREATE_RULESET_VERSION`.
const ASK_VERSION: u32 = 1;
/// The version that brought scopes.
const FIRST_WITH_SCOPES: libc::c_long = 6;

/// `struct landlock_ruleset_attr` of version 6.
#[repr(C)]
struct Ruleset {
    file_rights: u64,
    network_rights: u64,
    scoped: u64,
}

/// Whether this kernel can confine abstract sockets.
pub(super) fn is_supported() -> bool {
    // SAFETY: with a null pointer and this flag the call only tells its version.
    let version = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<Ruleset>(), 0_usize, ASK_VERSION)
    };
    version >= FIRST_WITH_SCOPES
}

/// Confines this process and its descendants. Does nothing on older kernels; needs no_new_privs.
pub(super) fn confine() -> Result<(), Errno> {
    if !is_supported() {
        return Ok(());
    }
    let ruleset = Ruleset { file_rights: 0, network_rights: 0, scoped: SCOPE_ABSTRACT_UNIX_SOCKET };
    // SAFETY: the structure is valid for the call and its size is passed along.
    let descriptor = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, &raw const ruleset, size_of::<Ruleset>(), 0_u32)
    };
    let descriptor = i32::try_from(descriptor).ok().filter(|number| *number >= 0);
    let Some(descriptor) = descriptor else { return Err(super::errno(&std::io::Error::last_os_error())) };
    // SAFETY: the kernel just gave it to us.
    let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
    // SAFETY: plain call with a descriptor that is ours.
    let result = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, descriptor.as_raw_fd(), 0_u32) };
    if result == 0 { Ok(()) } else { Err(super::errno(&std::io::Error::last_os_error())) }
}
