//! The root: an overlay of layers, each named by a handle instead of its path, so that neither the length nor the signs in a
//! path nor the rights on the way to it matter.

use std::os::fd::OwnedFd;

use rustix::{
    fs::{Mode, OFlags, fstat, fstatfs, openat},
    io::Errno,
    mount::{MountAttrFlags, MountFlags, UnmountFlags, mount as mount_call, unmount},
};

use super::{
    mount_calls::{self, Described, Reach, Refusal},
    sources::{Opened, handle_path},
};
use crate::{
    assignment::Assignment,
    error::{Fault, Step},
    file_systems::name_of,
};

/// Mounts the root; it is nowhere yet.
pub(super) fn mount(assignment: &Assignment, sources: &Opened) -> Result<OwnedFd, Fault> {
    let volatile = assignment.upper.as_ref().is_some_and(|upper| upper.volatile);
    let newer = (!assignment.old_mount_call).then(|| by_context(sources, volatile));
    let mounted = match newer {
        // Before 6.5 the kernel takes any key, and refuses those of single layers only at the end, with a number that means
        // many other things, too.
        Some(Err(first)) if first.errno == Errno::INVAL => by_call(sources, volatile)
            .map_err(|second| if first.explanation.is_some() { first } else { second }),
        Some(mounted) => mounted,
        None => by_call(sources, volatile),
    };
    mounted.map_err(|refusal| Fault {
        step: Step::MountRoot,
        subject: None,
        errno: Some(refusal.errno.raw_os_error()),
        detail: refusal.explanation.or_else(|| diagnose(sources, refusal.errno)),
    })
}

/// Overlay tells most of its reasons to the kernel's log, which users may not read: look for the known ones.
fn diagnose(sources: &Opened, errno: Errno) -> Option<String> {
    let (upper, work) = sources.upper.as_ref().filter(|_| errno == Errno::INVAL)?;
    let name = name_of(u64::try_from(fstatfs(upper).ok()?.f_type).ok()?);
    if ["overlay", "NFS"].contains(&name) {
        return Some(format!("the upper folder is on a file system of type {name}, which cannot hold one"));
    }
    let one_device = fstat(upper).ok()?.st_dev == fstat(work).ok()?.st_dev;
    (!one_device).then(|| "the upper and the work folder are not on the same file system".to_owned())
}

/// With one call for each layer, since 6.5.
fn by_context(sources: &Opened, volatile: bool) -> Result<OwnedFd, Refusal> {
    let overlay = Described::new("overlay")?;
    for lower in &sources.lowers {
        overlay.set("lowerdir+", &handle_path(lower).to_string_lossy())?;
    }
    let mut attributes = MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID;
    if let Some((upper, work)) = &sources.upper {
        overlay.set("upperdir", &handle_path(upper).to_string_lossy())?;
        overlay.set("workdir", &handle_path(work).to_string_lossy())?;
        if volatile {
            overlay.flag("volatile")?;
        }
    } else {
        attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY;
    }
    // The same marks in layers whoever makes them: without it, root would use names that users cannot write.
    overlay.flag("userxattr")?;
    overlay.create(attributes)
}

/// With the older call, which takes everything in one page of text and needs a place to mount on. Handles are short, so more
/// than two hundred layers fit.
fn by_call(sources: &Opened, volatile: bool) -> Result<OwnedFd, Refusal> {
    let lowers: Vec<_> =
        sources.lowers.iter().map(|lower| handle_path(lower).to_string_lossy().into_owned()).collect();
    let mut options = format!("userxattr,lowerdir={}", lowers.join(":"));
    let mut flags = MountFlags::NODEV | MountFlags::NOSUID;
    if let Some((upper, work)) = &sources.upper {
        let (upper, work) = (handle_path(upper), handle_path(work));
        options += &format!(",upperdir={},workdir={}", upper.display(), work.display());
        if volatile {
            options += ",volatile";
        }
    } else {
        flags |= MountFlags::RDONLY;
    }
    let place = handle_path(&sources.landing);
    let plain = |errno| Refusal { errno, explanation: None };
    let options = std::ffi::CString::new(options).map_err(|_| plain(Errno::INVAL))?;
    mount_call("overlay", &place, "overlay", flags, options.as_c_str()).map_err(plain)?;
    // The handle of the landing folder still leads below the new mount; going up and down again leads onto it.
    let landing = openat(&sources.landing, "../landing", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .map_err(plain)?;
    let copy = mount_calls::open_clone(std::os::fd::AsFd::as_fd(&landing), Reach::Below).map_err(plain)?;
    unmount(handle_path(&landing), UnmountFlags::DETACH).map_err(plain)?;
    Ok(copy)
}
