//! Changes to the container's root and puts every mount into its place.
//!
//! Whatever has to do with the host is opened or made before the change of root, and attached after it, by paths that the
//! kernel resolves below the new root, refusing every link: what lies there is a stranger's work.

use std::{
    os::fd::{AsFd as _, OwnedFd},
    path::{Component, Path},
};

use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags, mkdirat, openat, openat2},
    io::Errno,
    mount::{MountAttrFlags, UnmountFlags, unmount},
    process::{chdir, fchdir, pivot_root},
};

use super::{
    about, at,
    devices::{Devices, raise_loopback},
    mount_calls::{self, Described, Refusal},
};
use crate::{
    assignment::Assignment,
    error::{Fault, Step},
    mount_points::{Mount, What},
};

/// Builds everything that the program sees. `shown` is what binds and copies show, in the order of the mounts.
pub(super) fn build(
    assignment: &Assignment,
    root: &OwnedFd,
    landing: &OwnedFd,
    mut shown: impl Iterator<Item = OwnedFd>,
) -> Result<(), Fault> {
    mount_calls::attach(root, landing).map_err(at(Step::PivotRoot))?;
    let mut proc = Some(make_proc()?);
    let mut sys = open_sys();
    let devices = Devices::open(assignment.identity.uids.len() > 1)?;
    if assignment.own_network {
        raise_loopback()?;
    }
    rustix::system::sethostname(assignment.hostname.as_bytes()).map_err(at(Step::SetHostname))?;

    fchdir(root).map_err(at(Step::PivotRoot))?;
    // The old root comes to lie on top of the new one, and goes at once.
    pivot_root(".", ".").map_err(at(Step::PivotRoot))?;
    unmount(".", UnmountFlags::DETACH).map_err(at(Step::PivotRoot))?;
    chdir("/").map_err(at(Step::PivotRoot))?;

    let top = openat(CWD, "/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(at(Step::PivotRoot))?;
    for mount in &assignment.mounts {
        let target = mount.target.as_path();
        let place = open_place(&top, target, mount.what.is_folder(), mount.make)
            .map_err(about(Step::Attach, target))?;
        let attach = |tree: &OwnedFd| mount_calls::attach(tree, &place).map_err(about(Step::Attach, target));
        match &mount.what {
            What::Proc => attach(&proc.take().ok_or_else(|| missing(mount))?)?,
            What::Sys => {
                if let Some(sys) = sys.take() {
                    attach(&sys)?;
                }
            }
            What::Devices => {
                attach(&Devices::make_folder()?)?;
                let folder = open_place(&top, target, true, false).map_err(about(Step::Attach, target))?;
                devices.populate(&folder)?;
            }
            What::Tmpfs { mode, size } => attach(&make_tmpfs(target, *mode, *size)?)?,
            What::Bind { .. } | What::Copy { .. } => attach(&shown.next().ok_or_else(|| missing(mount))?)?,
        }
    }
    Ok(())
}

fn missing(mount: &Mount) -> Fault {
    about(Step::Attach, &mount.target)(Errno::BADF)
}

/// Opens a mount point below `top`; makes what is missing where that is allowed.
fn open_place(top: &OwnedFd, target: &Path, folder: bool, make: bool) -> Result<OwnedFd, Errno> {
    let inside = target.strip_prefix("/").unwrap_or(target);
    let open = || {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
        openat2(top, inside, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)
    };
    match open() {
        Err(Errno::NOENT) if make => {}
        other => return other,
    }
    let names = |path: &Path| -> Vec<_> {
        let components = path.components();
        components
            .filter_map(|part| if let Component::Normal(name) = part { Some(name.to_owned()) } else { None })
            .collect()
    };
    let mut names = names(inside);
    let last = names.pop().ok_or(Errno::NOENT)?;
    let mut here = top.try_clone().map_err(|error| super::errno(&error))?;
    for name in names {
        make_folder(&here, &name)?;
        here = openat(
            &here,
            name.as_os_str(),
            OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
    }
    if folder {
        make_folder(&here, &last)?;
    } else {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        match openat(&here, last.as_os_str(), flags, Mode::from_raw_mode(0o644)) {
            Ok(_) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
    }
    open()
}

fn make_folder(parent: &OwnedFd, name: &std::ffi::OsStr) -> Result<(), Errno> {
    match mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// The container's own processes. The kernel grants this only where the host's `/proc` is fully visible.
fn make_proc() -> Result<OwnedFd, Fault> {
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let full = Described::new("proc").and_then(|proc| proc.create(attributes));
    full.or_else(|refusal| {
        // Newer kernels grant a view without the files that other container engines hide.
        let narrow = Described::new("proc").and_then(|proc| proc.set("subset", "pid")?.create(attributes));
        narrow.map_err(|_| refused(Step::MountProc, None, refusal))
    })
}

/// `/sys` belongs to the host's network in most setups and cannot be mounted anew; the host's own is copied. It is a
/// convenience (CPU counts, limits), so its absence stops nothing.
fn open_sys() -> Option<OwnedFd> {
    let sys = openat(CWD, "/sys", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    mount_calls::clone_tree(sys.as_fd(), true).ok()
}

fn make_tmpfs(target: &Path, mode: u32, size: Option<u64>) -> Result<OwnedFd, Fault> {
    let make = || {
        let tmpfs = Described::new("tmpfs")?;
        tmpfs.set("mode", &format!("{mode:o}"))?;
        if let Some(size) = size {
            tmpfs.set("size", &size.to_string())?;
        }
        tmpfs.create(MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV)
    };
    make().map_err(|refusal| refused(Step::MountTmpfs, Some(target), refusal))
}

/// A fault out of what the kernel said.
pub(super) fn refused(step: Step, subject: Option<&Path>, refusal: Refusal) -> Fault {
    Fault {
        step,
        subject: subject.map(|path| path.display().to_string()),
        errno: Some(refusal.errno.raw_os_error()),
        detail: refusal.explanation,
    }
}
