//! Whether a port is free, and who holds it when it is not.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use super::RunError;

/// A process that listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its id.
    pub pid: u32,
    /// Its name, as the kernel has it.
    pub name: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {})", self.name, self.pid)
    }
}

/// Why nobody can listen on an address.
#[derive(Debug)]
pub enum Unavailable {
    /// Somebody else does.
    InUse(Option<Holder>),
    /// The port is for root alone; from this one on, ports are for everybody.
    Privileged(u16),
    /// The kernel refuses the address.
    Refused(io::Error),
}

/// Whether a server can listen on `address`.
pub fn check_free(address: SocketAddr) -> Result<(), RunError> {
    available(address).map_err(|why| match why {
        Unavailable::InUse(holder) => RunError::PortInUse { address, holder },
        Unavailable::Privileged(first) => RunError::Privileged { address, first },
        Unavailable::Refused(source) => RunError::Address { address, source },
    })
}

/// The same, without saying what for.
pub fn available(address: SocketAddr) -> Result<(), Unavailable> {
    let first = fs_err::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    let first = first.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(1024);
    if address.port() < first {
        return Err(Unavailable::Privileged(first));
    }
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(Unavailable::InUse(holder(address))),
        Err(source) => Err(Unavailable::Refused(source)),
    }
}

/// Whether somebody listens there. Nothing is opened for it.
pub fn is_listened_on(address: SocketAddr) -> bool {
    listeners(address).next().is_some()
}

/// Who listens there, as far as this user may see: `/proc/net/tcp` has the socket's inode, the processes' descriptors lead
/// to it (proc(5)).
fn holder(address: SocketAddr) -> Option<Holder> {
    let inodes: Vec<String> = listeners(address).collect();
    for process in fs_err::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(descriptors) = fs_err::read_dir(process.path().join("fd")) else { continue };
        let holds = descriptors
            .flatten()
            .filter_map(|descriptor| fs_err::read_link(descriptor.path()).ok())
            .any(|link| {
                let link = link.to_string_lossy();
                link.strip_prefix("socket:[")
                    .and_then(|rest| rest.strip_suffix(']'))
                    .is_some_and(|inode| inodes.iter().any(|own| own == inode))
            });
        if holds {
            let name = fs_err::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(Holder { pid, name: name.trim().to_owned() });
        }
    }
    None
}

/// The inodes of the sockets that listen there.
fn listeners(address: SocketAddr) -> impl Iterator<Item = String> {
    ["/proc/net/tcp", "/proc/net/tcp6"].into_iter().flat_map(move |file| {
        let table = fs_err::read_to_string(file).unwrap_or_default();
        let found: Vec<String> = table.lines().skip(1).filter_map(|line| listener(line, address)).collect();
        found
    })
}

/// The inode of a listening socket (state 0A) that is in the way of `address`: on the same port, and on that address, on
/// all addresses, or asked for all addresses.
fn listener(line: &str, address: SocketAddr) -> Option<String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (local, port) = fields.get(1)?.rsplit_once(':')?;
    if u16::from_str_radix(port, 16) != Ok(address.port()) || fields.get(3) != Some(&"0A") {
        return None;
    }
    let local = local_address(local)?;
    let same = local == address.ip() || local.is_unspecified() || address.ip().is_unspecified();
    same.then(|| fields.get(9).map(|inode| (*inode).to_owned())).flatten()
}

/// An address as the tables have it: words of 32 bits in the machine's order, each holding four bytes in the network's.
fn local_address(hex: &str) -> Option<IpAddr> {
    let words = hex.as_bytes().chunks(8).map(|word| {
        let word = u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
        Some(word.to_ne_bytes())
    });
    let bytes = words.collect::<Option<Vec<_>>>()?.concat();
    let four = <[u8; 4]>::try_from(bytes.as_slice()).map(Ipv4Addr::from).map(IpAddr::V4);
    let sixteen = <[u8; 16]>::try_from(bytes.as_slice()).map(Ipv6Addr::from);
    four.or_else(|_| sixteen.map(|address| address.to_canonical())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_names_its_holder() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let Err(RunError::PortInUse { holder: Some(holder), .. }) = check_free(address) else { panic!() };
        assert_eq!(holder.pid, std::process::id());
        drop(listener);
        assert!(check_free(address).is_ok());
    }

    #[test]
    fn only_who_is_in_the_way_counts() {
        let line = "   0: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100 0";
        let at = |text: &str| listener(line, text.parse().unwrap());
        if cfg!(target_endian = "little") {
            assert_eq!(at("127.0.0.1:5432").as_deref(), Some("4711"));
            assert_eq!(at("0.0.0.0:5432").as_deref(), Some("4711"));
            assert_eq!(at("127.0.0.2:5432"), None);
            assert_eq!(at("127.0.0.1:5433"), None);
            let mapped = line.replace("0100007F", "0000000000000000FFFF00000100007F");
            assert_eq!(listener(&mapped, "127.0.0.1:5432".parse().unwrap()).as_deref(), Some("4711"));
        }
        let all = line.replace("0100007F", "00000000000000000000000000000000");
        assert!(listener(&all, "127.0.0.2:5432".parse().unwrap()).is_some());
    }
}
