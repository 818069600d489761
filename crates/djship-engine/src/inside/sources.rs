//! Opens every folder and file of the host that a container is made of, as handles that need no path any more.
//!
//! Started by root, the store may lie in a folder that is closed to the container's owner, and a project in one that is
//! closed to root without its privileges. So each source is tried twice: as root, but then without following a single link,
//! since a link planted in somebody's folder must not lead root to a place of root's; and as the owner.

use std::{
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2},
    io::Errno,
};

use super::about;
use crate::{
    assignment::Assignment,
    error::{Fault, Step},
};

/// What is to be opened, in a fixed order.
#[derive(Debug)]
pub(super) struct Sources {
    wanted: Vec<(PathBuf, Option<OwnedFd>)>,
    lowers: usize,
    upper: bool,
    own_binary: bool,
}

/// Everything opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) lowers: Vec<OwnedFd>,
    /// Upper and work folder.
    pub(super) upper: Option<(OwnedFd, OwnedFd)>,
    pub(super) landing: OwnedFd,
    /// What binds and copies show, in the order of the mounts.
    pub(super) shown: Vec<OwnedFd>,
    pub(super) own_binary: Option<OwnedFd>,
}

impl Sources {
    pub(super) fn list(assignment: &Assignment, own_binary: Option<&Path>) -> Self {
        let mut wanted: Vec<PathBuf> = assignment.lowers.clone();
        if let Some(upper) = &assignment.upper {
            wanted.extend([upper.upper.clone(), upper.work.clone()]);
        }
        wanted.push(assignment.landing.clone());
        for mount in &assignment.mounts {
            if let Some((source, stand_in)) = mount.what.source() {
                wanted.push(stand_in.unwrap_or(source).to_owned());
            }
        }
        wanted.extend(own_binary.map(Path::to_owned));
        Self {
            wanted: wanted.into_iter().map(|path| (path, None)).collect(),
            lowers: assignment.lowers.len(),
            upper: assignment.upper.is_some(),
            own_binary: own_binary.is_some(),
        }
    }

    /// First try, with whatever rights this process has now. What fails is left for the second.
    pub(super) fn open_without_links(&mut self) {
        for (path, opened) in &mut self.wanted {
            let handle = OFlags::PATH | OFlags::CLOEXEC;
            *opened = openat2(CWD, path.as_path(), handle, Mode::empty(), ResolveFlags::NO_SYMLINKS).ok();
        }
    }

    /// Second try, as the owner.
    pub(super) fn open_rest(&mut self) -> Result<(), Fault> {
        let last = self.wanted.len().saturating_sub(1);
        for (index, (path, opened)) in self.wanted.iter_mut().enumerate() {
            if opened.is_some() {
                continue;
            }
            match openat(CWD, path.as_path(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
                Ok(descriptor) => *opened = Some(descriptor),
                // Our own binary can be copied when it cannot be reached.
                Err(_) if self.own_binary && index == last => {}
                Err(errno) => return Err(about(Step::OpenSource, path)(errno)),
            }
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Opened, Fault> {
        let mut rest = self.wanted.into_iter();
        let mut next = || match rest.next() {
            Some((_, Some(descriptor))) => Ok(descriptor),
            Some((path, None)) => Err(about(Step::OpenSource, &path)(Errno::NOENT)),
            None => Err(super::at(Step::OpenSource)(Errno::NOENT)),
        };
        let lowers = (0..self.lowers).map(|_| next()).collect::<Result<_, _>>()?;
        let upper = if self.upper { Some((next()?, next()?)) } else { None };
        let landing = next()?;
        let mut shown: Vec<_> = rest.map(|(_, descriptor)| descriptor).collect();
        let own_binary = if self.own_binary { shown.pop().flatten() } else { None };
        Ok(Opened { lowers, upper, landing, shown: shown.into_iter().flatten().collect(), own_binary })
    }
}

/// A path by which the kernel finds an opened source again; it leads to the very object, through no folder on the way.
pub(super) fn handle_path(descriptor: impl AsFd) -> PathBuf {
    use std::os::fd::AsRawFd as _;
    PathBuf::from(format!("/proc/self/fd/{}", descriptor.as_fd().as_raw_fd()))
}
