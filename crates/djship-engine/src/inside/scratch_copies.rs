//! Folders of the host as copies that go with the container: overlays whose upper folders are in a file system in memory.

use std::os::fd::OwnedFd;

use rustix::{
    fs::{AtFlags, Gid, Mode, OFlags, Stat, Uid, chmodat, chownat, fstat, fstatfs, mkdirat, openat},
    io::Errno,
    mount::{MountAttrFlags, UnmountFlags, unmount},
};

use super::{
    mount_calls::{self, Described, Refusal},
    mount_table,
    sources::handle_path,
};
use crate::file_systems::name_of;

/// Who owns a file whose owner does not exist here, if the administrator did not change it.
const NOBODY: u32 = 65_534;

/// The file system in memory for all copies of a container.
///
/// ```text
/// <number>/upper     receives what changes
///          work      of the kernel
/// ```
///
/// It has to be mounted somewhere while overlays are made of it (kernels before 6.15); they keep it when it is not any more.
#[derive(Debug)]
pub(super) struct Copies {
    memory: OwnedFd,
    count: u32,
}

impl Copies {
    /// Mounts it on `landing` for a while.
    pub(super) fn new(landing: &OwnedFd) -> Result<Self, Refusal> {
        let memory = Described::new("tmpfs")?;
        memory.set("mode", "700")?;
        let memory = memory.create(MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV)?;
        mount_calls::attach(&memory, landing).map_err(bare)?;
        Ok(Self { memory, count: 0 })
    }

    /// Makes a copy of an opened folder; it is nowhere yet.
    pub(super) fn make(&mut self, source: &OwnedFd) -> Result<OwnedFd, Refusal> {
        let number = self.count.to_string();
        self.count += 1;
        let place = make_folder(&self.memory, &number).map_err(bare)?;
        let work = make_folder(&place, "work").map_err(bare)?;
        let upper = make_folder(&place, "upper").map_err(bare)?;
        fstat(source).and_then(|original| take_after(&place, &original)).map_err(bare)?;

        let overlay = Described::new("overlay")?;
        // One layer: the older key, which every kernel knows.
        overlay.set("lowerdir", &handle_path(source).to_string_lossy())?;
        overlay.set("upperdir", &handle_path(&upper).to_string_lossy())?;
        overlay.set("workdir", &handle_path(&work).to_string_lossy())?;
        overlay.flag("userxattr")?;
        let made = overlay.create(MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID);
        made.map_err(|refusal| {
            let explanation = diagnose(source, refusal.errno).or(refusal.explanation);
            let explanation = explanation.or_else(|| unfit(source, refusal.errno));
            Refusal { errno: refusal.errno, explanation }
        })
    }
}

impl Drop for Copies {
    fn drop(&mut self) {
        let _ = unmount(handle_path(&self.memory), UnmountFlags::DETACH);
    }
}

fn bare(errno: Errno) -> Refusal {
    Refusal { errno, explanation: None }
}

fn make_folder(parent: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    mkdirat(parent, name, Mode::RWXU)?;
    openat(parent, name, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// The top of an overlay is that of its upper folder, so that gets mode and owner of the source's. Where the owner does not
/// exist here it stays the container's, who can add and delete there then.
fn take_after(place: &OwnedFd, original: &Stat) -> Result<(), Errno> {
    let (uid, gid) = (original.st_uid, original.st_gid);
    let known = |id: u32| (id != NOBODY).then_some(id);
    let (uid, gid) = (known(uid).map(Uid::from_raw), known(gid).map(Gid::from_raw));
    match chownat(place, "upper", uid, gid, AtFlags::SYMLINK_NOFOLLOW) {
        // The administrator changed the number of nobody.
        Ok(()) | Err(Errno::INVAL | Errno::PERM) => {}
        Err(errno) => return Err(errno),
    }
    let mode = Mode::from_raw_mode(original.st_mode & 0o7777);
    let mode = if uid.is_none() { mode | Mode::RWXU } else { mode };
    chmodat(place, "upper", mode, AtFlags::empty())
}

/// What mostly is behind a refusal: mounts that the host has below the folder must not be uncovered.
pub(super) fn diagnose(source: &OwnedFd, errno: Errno) -> Option<String> {
    let path = handle_path(source).read_link().ok().filter(|_| errno == Errno::INVAL)?;
    let below = mount_table::first_below(&path)?;
    Some(format!("`{}` is a file system of its own", below.display()))
}

/// What else may be: names that do not tell cases apart, overlays in overlays in overlays, or root's folders before 5.19.
fn unfit(source: &OwnedFd, errno: Errno) -> Option<String> {
    let facts = fstatfs(source).ok().filter(|_| errno == Errno::INVAL)?;
    let name = name_of(u64::try_from(facts.f_type).ok()?);
    Some(format!("this kernel makes no overlay of such a folder on {name}"))
}
