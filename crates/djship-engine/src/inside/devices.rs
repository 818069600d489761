//! `/dev`: a few harmless device files of the host, terminals of the container's own, and the usual links. And the loopback
//! device of an own network.

#![expect(unsafe_code, reason = "the interface request has no safe form")]

use std::{
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{CWD, Mode, OFlags, mkdirat, openat, symlinkat},
    io::Errno,
    mount::MountAttrFlags,
    net::{AddressFamily, SocketFlags, SocketType, socket_with},
};

use super::{
    about, at,
    mount_calls::{self, Described, Reach},
    root_view::refused,
};
use crate::error::{Fault, Step};

/// A user namespace may not make device files, so the host's are bound. All of them are usable by everybody on any host.
const NODES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
];

/// Group of terminals in Debian.
const TTY_GROUP: &str = "5";

/// Everything for `/dev` that has to be taken from the host.
#[derive(Debug)]
pub(super) struct Devices {
    nodes: Vec<(&'static str, OwnedFd)>,
    terminals: OwnedFd,
}

impl Devices {
    /// Opens what is needed, before the change of root. `tty_group` says whether group 5 exists inside.
    pub(super) fn open(tty_group: bool) -> Result<Self, Fault> {
        let mut nodes = Vec::new();
        for name in NODES {
            let path = Path::new("/dev").join(name);
            let tree = openat(CWD, &path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
                .and_then(|node| mount_calls::open_clone(node.as_fd(), Reach::Below));
            match tree {
                Ok(tree) => nodes.push((name, tree)),
                // Minimal hosts lack some; without this one nothing works.
                Err(errno) if name == "null" => return Err(about(Step::MountDevices, &path)(errno)),
                Err(_) => {}
            }
        }
        let make = || {
            let terminals = Described::new("devpts")?;
            terminals.flag("newinstance")?.set("ptmxmode", "0666")?.set("mode", "0620")?;
            if tty_group {
                terminals.set("gid", TTY_GROUP)?;
            }
            terminals.create(MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC)
        };
        let terminals =
            make().map_err(|refusal| refused(Step::MountDevices, Some(Path::new("/dev/pts")), refusal))?;
        Ok(Self { nodes, terminals })
    }

    /// The file system that `/dev` is.
    pub(super) fn make_folder() -> Result<OwnedFd, Fault> {
        let make = || {
            let folder = Described::new("tmpfs")?;
            folder.set("mode", "755")?.set("size", "65536")?;
            folder.create(MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC)
        };
        make().map_err(|refusal| refused(Step::MountDevices, Some(Path::new("/dev")), refusal))
    }

    /// Fills `/dev`, which is mounted by now.
    pub(super) fn populate(&self, folder: &OwnedFd) -> Result<(), Fault> {
        let fault = |name: &str| {
            let path = Path::new("/dev").join(name);
            move |errno| about(Step::MountDevices, &path)(errno)
        };
        for (name, tree) in &self.nodes {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDONLY | OFlags::CLOEXEC;
            let place = openat(folder, *name, flags, Mode::from_raw_mode(0o666)).map_err(fault(name))?;
            mount_calls::attach(tree, &place).map_err(fault(name))?;
        }
        for (to, name) in LINKS {
            symlinkat(to, folder, name).map_err(fault(name))?;
        }
        mkdirat(folder, "pts", Mode::from_raw_mode(0o755)).map_err(fault("pts"))?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let pts = openat(folder, "pts", flags, Mode::empty()).map_err(fault("pts"))?;
        mount_calls::attach(&self.terminals, &pts).map_err(fault("pts"))
    }
}

/// Brings up `lo` in a network of the container's own, and lets everybody there listen on any port, as nobody has
/// capabilities.
pub(super) fn raise_loopback() -> Result<(), Fault> {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
        .map_err(at(Step::RaiseLoopback))?;
    // SAFETY: all zeros is a valid request; the name is shorter than its field.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    let flags = libc::IFF_UP | libc::IFF_RUNNING;
    request.ifr_ifru.ifru_flags =
        libc::c_short::try_from(flags).map_err(|_| at(Step::RaiseLoopback)(Errno::INVAL))?;
    // SAFETY: the request is valid for the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    if result < 0 {
        return Err(at(Step::RaiseLoopback)(super::errno(&std::io::Error::last_os_error())));
    }
    // Absent on kernels without IPv4; then there are no ports either.
    let _ = fs_err::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
    Ok(())
}
